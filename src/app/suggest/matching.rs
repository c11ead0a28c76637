//! Which of the ERP's records is meant by a name of the shop: only where it cannot be mistaken.

use crate::erp::Choice;
use crate::shopify::RecentTax;

/// How many candidates are named.
const CANDIDATES: usize = 12;

/// What was found for a name.
pub(super) struct Found {
    /// The record's name, where exactly one fits.
    pub(super) value: Option<String>,
    /// What else it could be.
    pub(super) candidates: Vec<String>,
    /// What a person should know who fills it in.
    pub(super) hint: Option<String>,
}

/// Letters alone decide: `shopify_payments` is "Shopify Payments".
fn folded(name: &str) -> String {
    let words = name.replace(['_', '-'], " ").to_lowercase();
    words.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Whether a record is called so, by its name or another text that it is known by.
pub(in crate::app) fn is_named(choice: &Choice, name: &str) -> bool {
    let name = folded(name);
    folded(&choice.name) == name || choice.aliases.iter().any(|alias| folded(alias) == name)
}

/// The one of these, if it is one and its name means it alone.
fn only(fitting: &[&Choice], all: &[Choice]) -> Option<String> {
    let [one] = fitting else { return None };
    let namesakes = all.iter().filter(|choice| choice.name == one.name).count();
    (namesakes == 1).then(|| one.name.clone())
}

fn shown<'c>(choices: impl IntoIterator<Item = &'c Choice>) -> Vec<String> {
    let choices = choices.into_iter().take(CANDIDATES);
    choices
        .map(|choice| match choice.note.is_empty() {
            true => choice.name.clone(),
            false => format!("{} ({})", choice.name, choice.note),
        })
        .collect()
}

/// The record of the same name.
pub(super) fn named_like(name: &str, all: &[Choice]) -> Found {
    let fitting: Vec<&Choice> = all.iter().filter(|choice| is_named(choice, name)).collect();
    Found {
        value: only(&fitting, all),
        candidates: if fitting.is_empty() {
            shown(all)
        } else {
            shown(fitting)
        },
        hint: None,
    }
}

/// The carrier of the same name.
pub(super) fn carrier(name: &str, all: &[Choice]) -> Found {
    Found {
        hint: all.is_empty().then(|| {
            "Odoo has no delivery method yet: Inventory, Configuration, Delivery Methods".to_owned()
        }),
        ..named_like(name, all)
    }
}

/// The active currency of the same code.
pub(super) fn currency(code: &str, active: &[Choice]) -> Found {
    let is_active = active.iter().any(|choice| choice.name == code);
    Found {
        value: is_active.then(|| code.to_owned()),
        candidates: Vec::new(),
        hint: (!is_active)
            .then(|| format!("{code} is not active in Odoo: activate it, then write \"{code}\"")),
    }
}

/// What a tax is called in tables, e.g. `MwSt 19 % included`.
pub(super) fn tax_key(tax: &RecentTax) -> String {
    let how = if tax.is_included { "included" } else { "added" };
    let key = format!("{} {} % {how}", tax.title, tax.rate_percent.normalize());
    key.trim().to_owned()
}

/// The tax of the same rate that is part of prices, or not, as in the shop; where several are, the one of the same name.
pub(super) fn tax(seen: &RecentTax, all: &[Choice]) -> Found {
    let same_rate: Vec<&Choice> = all
        .iter()
        .filter(|choice| choice.rate_percent == Some(seen.rate_percent))
        .collect();
    let fitting: Vec<&Choice> = same_rate
        .iter()
        .copied()
        .filter(|choice| choice.is_included == Some(seen.is_included))
        .collect();
    let named: Vec<&Choice> = fitting
        .iter()
        .copied()
        .filter(|choice| is_named(choice, &seen.title))
        .collect();
    let value = only(&fitting, all).or_else(|| only(&named, all));
    let hint = same_rate.is_empty().then(|| {
        let how = if seen.is_included { "part of" } else { "added to" };
        format!(
            "Odoo has no sale tax of {} % that is {how} the price: make one, then write its name",
            seen.rate_percent.normalize()
        )
    });
    Found {
        value,
        candidates: if fitting.is_empty() {
            shown(same_rate)
        } else {
            shown(fitting)
        },
        hint,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choice(name: &str, code: &str) -> Choice {
        Choice {
            name: name.to_owned(),
            aliases: [code]
                .iter()
                .filter(|code| !code.is_empty())
                .map(|code| (*code).to_owned())
                .collect(),
            note: "bank".to_owned(),
            rate_percent: None,
            is_included: None,
        }
    }

    fn of_rate(name: &str, rate: &str, is_included: bool) -> Choice {
        Choice {
            rate_percent: Some(rate.parse().unwrap()),
            is_included: Some(is_included),
            ..choice(name, "")
        }
    }

    #[test]
    fn a_name_is_matched_by_its_letters_and_only_where_one_record_has_it() {
        let journals = [
            choice("PayPal", "PP"),
            choice("Shopify Payments", "SHP"),
            choice("Cash", "CSH1"),
            choice("Twice", "A"),
            choice("twice", "B"),
        ];
        for (name, expected) in [
            ("paypal", Some("PayPal")),
            ("shopify_payments", Some("Shopify Payments")),
            ("csh1", Some("Cash")),
            ("twice", None),
            ("klarna", None),
            ("pay", None),
        ] {
            assert_eq!(named_like(name, &journals).value.as_deref(), expected, "{name}");
        }
        assert_eq!(
            named_like("twice", &journals).candidates,
            ["Twice (bank)", "twice (bank)"]
        );
        assert_eq!(named_like("klarna", &journals).candidates.len(), 5);
    }

    #[test]
    fn a_tax_needs_the_same_rate_and_the_same_place_in_the_price() {
        let taxes = [
            of_rate("19%", "19", false),
            of_rate("19% incl.", "19.00", true),
            of_rate("State", "8.875", false),
            of_rate("City", "8.875", false),
            of_rate("7%", "7", false),
        ];
        let seen = |title: &str, rate: &str, is_included| RecentTax {
            rate_percent: rate.parse().unwrap(),
            is_included,
            title: title.to_owned(),
        };
        for (title, rate, is_included, expected, candidates) in [
            ("MwSt", "19", true, Some("19% incl."), 1),
            ("MwSt", "19", false, Some("19%"), 1),
            ("city", "8.875", false, Some("City"), 2),
            ("County", "8.875", false, None, 2),
            ("MwSt", "7", true, None, 1),
            ("MwSt", "13", true, None, 0),
        ] {
            let found = tax(&seen(title, rate, is_included), &taxes);
            assert_eq!(found.value.as_deref(), expected, "{title} {rate}");
            assert_eq!(found.candidates.len(), candidates, "{title} {rate}");
            assert_eq!(found.hint.is_some(), rate == "13", "{title} {rate}");
        }
        assert_eq!(tax_key(&seen("MwSt", "19.00", true)), "MwSt 19 % included");
        assert_eq!(tax_key(&seen("", "8.875", false)), "8.875 % added");
    }
}
