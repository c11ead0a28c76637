//! What the ERP has to choose from for one entry of a table.

use schemars::JsonSchema;
use serde::Serialize;

use super::matching::{Entry, carrier, currency, journal, named_like};
use crate::erp::{Choice, ChoiceKind, Erp, ErpError};

/// One thing that an entry could say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct TableChoice {
    /// What would stand in the table: the record's number, or its name.
    pub value: String,
    /// What people call it.
    pub label: String,
    /// Whether it looks as if it were meant. These come first.
    pub fits: bool,
}

/// How a table names the ERP's records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Id,
    Name,
}

/// What a table leads to; none for tables that hold no records of the ERP.
fn kind_of(table: &str) -> Option<(ChoiceKind, By)> {
    Some(match table {
        "journal" => (ChoiceKind::Journal, By::Name),
        "tax" => (ChoiceKind::Tax, By::Id),
        "warehouse" => (ChoiceKind::Warehouse, By::Name),
        "locations" => (ChoiceKind::Warehouse, By::Id),
        "currency" => (ChoiceKind::Currency, By::Name),
        "carrier" => (ChoiceKind::Carrier, By::Name),
        _ => return None,
    })
}

/// What the ERP has for an entry of this table; nothing where the table does not name records of the ERP.
///
/// # Errors
/// When the ERP does not answer.
pub async fn table_choices(
    erp: &dyn Erp,
    table: &str,
    key: Option<&str>,
) -> Result<Vec<TableChoice>, ErpError> {
    let Some((kind, by)) = kind_of(table) else {
        return Ok(Vec::new());
    };
    let all = erp.setup_choices(kind).await?;
    let mut choices: Vec<TableChoice> = all
        .iter()
        .map(|choice| TableChoice {
            value: match by {
                By::Id => choice.id.to_string(),
                By::Name => choice.name.clone(),
            },
            label: if choice.note.is_empty() {
                choice.name.clone()
            } else {
                format!("{} ({})", choice.name, choice.note)
            },
            fits: key.is_some_and(|key| fits(kind, key, choice, &all)),
        })
        .collect();
    choices.sort_by_key(|choice| !choice.fits);
    Ok(choices)
}

fn fits(kind: ChoiceKind, key: &str, choice: &Choice, all: &[Choice]) -> bool {
    let found = match kind {
        ChoiceKind::Tax => return is_of_rate(key, choice),
        ChoiceKind::Journal => journal(key, all),
        ChoiceKind::Carrier => carrier(key, all),
        ChoiceKind::Currency => currency(key, all),
        ChoiceKind::Warehouse => named_like(key, all),
    };
    match found.value {
        Some(Entry::Name(name)) => name == choice.name,
        Some(Entry::Id(id, _)) => id == choice.id.0,
        None => false,
    }
}

/// Whether a tax has the rate that an entry begins with, as in `21 included VAT`, and is part of the price as it says.
fn is_of_rate(key: &str, choice: &Choice) -> bool {
    let Some((rate, rest)) = key.split_once(' ') else {
        return false;
    };
    let is_included = !rest.starts_with("not ");
    choice.rate_percent.is_some()
        && choice.rate_percent == rate.parse().ok()
        && choice.is_included == Some(is_included)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ErpId;

    #[test]
    fn a_tax_fits_by_its_rate_and_whether_prices_hold_it() {
        let tax = |rate: &str, is_included| Choice {
            id: ErpId(7),
            name: "VAT".to_owned(),
            aliases: Vec::new(),
            note: String::new(),
            rate_percent: rate.parse().ok(),
            is_included: Some(is_included),
        };
        for (key, expected) in [
            ("21 included VAT BE", true),
            ("21 included", true),
            ("21 not included VAT", false),
            ("20 included VAT", false),
            ("21", false),
            ("x included", false),
        ] {
            assert_eq!(is_of_rate(key, &tax("21.00", true)), expected, "{key}");
        }
        assert!(is_of_rate("8.875 not included channel", &tax("8.875", false)));
        assert!(!is_of_rate("x included", &tax("none", true)));
    }
}
