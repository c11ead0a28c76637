//! `mappings suggest`: reads what the shop used lately and what the ERP has, and writes the tables that join the two.
//!
//! Only what cannot be mistaken is filled in: the same name, the same rate, the same code. Everything else says `TODO`
//! beside its candidates. What stands in the file already stays as it is, whoever wrote it.

mod entry;
pub(in crate::app) mod file;
mod matching;

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

use super::connect;
use crate::config::Shop;
use crate::domain::{LookUp, Needed, Scalar, SharedClock, SharedEntropy, ShopName};
use crate::erp::{ChoiceKind, ErpError, SharedErp};
use crate::shopify::{Recent, RecentTax, ShopifyError};
use crate::transport::BuildError;

pub use entry::{TableChoice, table_choices};
pub use file::FileError;
use matching::{Found, carrier, currency, journal, named_like, tax, tax_key};

/// How far back orders are looked at: what an app without further rights may see.
pub(super) const RECENT: Duration = Duration::from_hours(60 * 24);

/// What was suggested for a shop.
#[derive(Debug, Serialize)]
pub struct Suggested {
    /// The shop.
    pub shop: ShopName,
    /// The file.
    pub file: PathBuf,
    /// Whether anything was added to it.
    pub changed: bool,
    /// How many orders of the last 60 days were looked at.
    pub orders: u64,
    /// One row for each entry.
    pub rows: Vec<SuggestedRow>,
    /// What could not be looked at, and why.
    pub notes: Vec<String>,
}

/// One entry of a table.
#[derive(Clone, Debug, Serialize)]
pub struct SuggestedRow {
    /// The table.
    pub table: &'static str,
    /// The entry: what the shop calls it.
    pub key: String,
    /// What the ERP calls it; none is a TODO.
    pub value: Option<String>,
    /// What was done about it.
    pub result: EntryResult,
    /// What it could be, where it is a TODO.
    pub candidates: Vec<String>,
    /// In how many of the orders it was seen.
    pub orders: u64,
}

/// What was done about an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EntryResult {
    /// It was added with its value.
    FilledIn,
    /// It was added to be filled in.
    Todo,
    /// It was there before, filled in.
    Kept,
    /// It was there before, and is still to be filled in.
    StillTodo,
}

/// Why nothing was suggested.
#[derive(Debug, thiserror::Error)]
pub enum SuggestFailure {
    /// A client cannot be made.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// Shopify does not answer us.
    #[error(transparent)]
    Shopify(#[from] ShopifyError),
    /// The ERP does not answer us.
    #[error(transparent)]
    Erp(#[from] ErpError),
    /// The file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
}

/// Adds to `tables.SHOP.toml` in `folder` what is not there yet.
///
/// # Errors
/// When one of the two systems does not answer, or the file cannot be used.
pub async fn suggest(
    shop: &Shop,
    folder: &Path,
    clock: &SharedClock,
    entropy: &SharedEntropy,
) -> Result<Suggested, SuggestFailure> {
    let shopify = connect::shopify(shop, clock, entropy)?;
    let erp = connect::erp(shop, clock)?;
    // A file that cannot be added to is told before anything is asked.
    file::Tables::look(folder, &shop.name)?;
    erp.about().await?;
    let recent = shopify.recent(clock.now().minus(RECENT)).await?;
    let mut notes = recent.notes.clone();
    if recent.is_cut {
        notes.push(format!("only the newest {} orders were looked at", recent.orders));
    }
    let wanted = wanted(&recent, &erp, &mut notes).await?;
    // Only now: whoever else changes the file does not wait for both systems' answers.
    let mut tables = file::Tables::open(folder, &shop.name)?;
    let rows = wanted.into_iter().map(|wanted| tables.add(wanted)).collect();
    Ok(Suggested {
        shop: shop.name.clone(),
        changed: tables.save()?,
        file: tables.path,
        orders: recent.orders,
        rows,
        notes,
    })
}

/// An entry that the table should have.
struct Wanted {
    table: &'static str,
    key: String,
    found: Found,
    orders: u64,
}

/// Every entry that both systems together suggest.
async fn wanted(recent: &Recent, erp: &SharedErp, notes: &mut Vec<String>) -> Result<Vec<Wanted>, ErpError> {
    let mut all = Vec::new();
    let mut add = |table, key: String, found, orders| {
        all.push(Wanted {
            table,
            key,
            found,
            orders,
        });
    };
    if let Some(journals) = choices(erp, ChoiceKind::Journal, notes).await? {
        for (gateway, orders) in &recent.gateways {
            add("journal", gateway.clone(), journal(gateway, &journals), *orders);
        }
    }
    if let Some(taxes) = choices(erp, ChoiceKind::Tax, notes).await? {
        for (seen, orders) in &recent.taxes {
            let mut found = tax(seen, &taxes);
            // What a table says has the last word, so nothing stands in it that an order would not find: the only tax of a
            // rate may be another country's than its title names.
            if found.value.is_some() && !matches!(erp.look_up(&asked(seen)).await?, Needed::Found(_)) {
                found.value = None;
            }
            add("tax", tax_key(seen), found, *orders);
        }
    }
    if let Some(warehouses) = choices(erp, ChoiceKind::Warehouse, notes).await? {
        for (name, orders) in &recent.locations {
            add("warehouse", name.clone(), named_like(name, &warehouses), *orders);
        }
    }
    if let Some(currencies) = choices(erp, ChoiceKind::Currency, notes).await? {
        for (code, orders) in &recent.currencies {
            add("currency", code.clone(), currency(code, &currencies), *orders);
        }
    }
    if let Some(carriers) = choices(erp, ChoiceKind::Carrier, notes).await? {
        for (name, orders) in &recent.carriers {
            add("carrier", name.clone(), carrier(name, &carriers), *orders);
        }
    }
    Ok(all)
}

/// The look-up of an order for a tax, wherever it goes.
fn asked(tax: &RecentTax) -> LookUp {
    let keys = [
        ("rate", Scalar::Decimal(tax.rate_percent)),
        ("included", Scalar::Bool(tax.is_included)),
        ("title", Scalar::Text(tax.title.clone())),
        ("channel", Scalar::Bool(tax.is_channels)),
    ];
    LookUp {
        kind: "tax".to_owned(),
        keys: keys.map(|(name, value)| (name.to_owned(), value)).into(),
    }
}

/// What the ERP has of a kind; none where it has no such thing, or does not show it to us.
async fn choices(
    erp: &SharedErp,
    kind: ChoiceKind,
    notes: &mut Vec<String>,
) -> Result<Option<Vec<crate::erp::Choice>>, ErpError> {
    match erp.setup_choices(kind).await {
        Ok(choices) => Ok(Some(choices)),
        Err(error @ (ErpError::Setup { .. } | ErpError::Forbidden { .. } | ErpError::Rejected { .. })) => {
            let what = match kind {
                ChoiceKind::Journal => "journals",
                ChoiceKind::Tax => "taxes",
                ChoiceKind::Warehouse => "warehouses",
                ChoiceKind::Currency => "currencies",
                ChoiceKind::Carrier => "delivery carriers",
            };
            notes.push(format!("nothing is suggested for {what}: {error}"));
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
