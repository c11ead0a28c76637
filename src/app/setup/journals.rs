//! The journals that payments of this shop's gateways are booked in: which are named, and which are not.

use super::{RowState, SetupRow};
use crate::app::suggest::{RECENT, is_named};
use crate::config::Shop;
use crate::domain::Timestamp;
use crate::erp::{Choice, ChoiceKind, SharedErp};
use crate::mapping::{Mappings, TableEntry};
use crate::shopify::Shopify;

const WHAT: &str = "journal";

/// How many journals are named in a note.
const NAMED: usize = 8;

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
            let entry = mappings.table_entry(shop.name.as_str(), "journal", gateway);
            let (state, note) = row(shop, gateway, entry, &journals);
            SetupRow::new(WHAT, gateway.clone(), state, note)
        })
        .collect()
}

fn row(shop: &Shop, gateway: &str, entry: Option<TableEntry>, journals: &[Choice]) -> (RowState, String) {
    let there: Vec<&str> = journals
        .iter()
        .take(NAMED)
        .map(|journal| journal.name.as_str())
        .collect();
    let there = match there.is_empty() {
        true => "there is none yet".to_owned(),
        false => format!("there are: {}", there.join(", ")),
    };
    let make = "Accounting, Configuration, Journals, New, type Bank";
    if let Some(TableEntry::Value(value)) = &entry {
        let name = value.to_string();
        return if journals.iter().any(|journal| is_named(journal, &name)) {
            (RowState::There, format!("`{name}`"))
        } else {
            let note = format!(
                "there is no bank or cash journal `{name}`: make it ({make}), or name another; {there}"
            );
            (RowState::Named, note)
        };
    }
    let note = format!(
        "needed once payments are registered: name one for `{gateway}` in [tables.journal] of tables.{}.toml (`lockstep \
         mappings suggest` begins that file), or make one ({make}); {there}",
        shop.name
    );
    (RowState::Named, note)
}
