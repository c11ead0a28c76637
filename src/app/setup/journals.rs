//! The journals that payments of this shop's gateways are booked in: which are named, and which are not.

use super::{RowState, SetupRow};
use crate::app::suggest::RECENT;
use crate::config::Shop;
use crate::domain::Timestamp;
use crate::erp::{Choice, ChoiceKind, SharedErp};
use crate::mapping::{Mappings, TableEntry};
use crate::shopify::Shopify;
use crate::sync::Payments;

const WHAT: &str = "journal";

/// How many journals are named in a note.
const NAMED: usize = 8;

/// Where a person makes one.
const MAKE: &str = "Accounting, Configuration, Journals, New, type Bank";

/// One row for each gateway of late.
pub(super) async fn rows(
    shop: &Shop,
    mappings: &Mappings,
    shopify: &Shopify,
    erp: &SharedErp,
    now: Timestamp,
) -> Vec<SetupRow> {
    let told = |note: String| vec![SetupRow::new(WHAT, "of gateways", RowState::Named, note)];
    let recent = match shopify.recent(now.minus(RECENT)).await {
        Ok(recent) => recent,
        Err(error) => {
            return told(format!(
                "which gateways are in use is unknown: {error}. {}",
                error.fix()
            ));
        }
    };
    let journals = match erp.setup_choices(ChoiceKind::Journal).await {
        Ok(journals) => journals,
        Err(error) => return told(format!("the journals cannot be read: {error}")),
    };
    recent
        .gateways
        .keys()
        .map(|gateway| {
            let declared = shop.flow.journals.get(gateway).cloned();
            let name =
                declared.or_else(
                    || match mappings.table_entry(shop.name.as_str(), "journal", gateway) {
                        Some(TableEntry::Value(value)) => Some(value.to_string()),
                        Some(TableEntry::Todo) | None => None,
                    },
                );
            let is_named = name.is_some();
            let (is_there, note) = row(shop, name, &journals);
            let state = match (is_there, shop.flow.payments) {
                (true, _) => RowState::There,
                (false, Payments::Register) => RowState::ByHand,
                (false, Payments::None) => RowState::Named,
            };
            let mut row = SetupRow::new(WHAT, gateway.clone(), state, note);
            if !is_named {
                row.how = how(shop, &journals);
            }
            row
        })
        .collect()
}

/// Whether the journal is there, and what is to be said about it.
fn row(shop: &Shop, name: Option<String>, journals: &[Choice]) -> (bool, String) {
    let Some(name) = name else {
        let needed = match shop.flow.payments {
            Payments::Register => "none is named, and payments are to be registered",
            Payments::None => "none is named; needed once payments are registered",
        };
        return (false, needed.to_owned());
    };
    match journals.iter().filter(|journal| journal.name == name).count() {
        1 => (true, format!("`{name}`")),
        0 => (
            false,
            format!("there is no bank or cash journal `{name}`: make it ({MAKE}), or name another"),
        ),
        _ => (
            false,
            format!("several journals are called `{name}`: rename all but one"),
        ),
    }
}

/// How a person names one.
fn how(shop: &Shop, journals: &[Choice]) -> String {
    let there: Vec<&str> = journals
        .iter()
        .take(NAMED)
        .map(|journal| journal.name.as_str())
        .collect();
    let there = if there.is_empty() {
        "there is none yet".to_owned()
    } else {
        format!("there are: {}", there.join(", "))
    };
    format!(
        "name one for each gateway in [tables.journal] of tables.{}.toml (`lockstep mappings suggest` begins that file), or \
         make one ({MAKE}); {there}",
        shop.name
    )
}
