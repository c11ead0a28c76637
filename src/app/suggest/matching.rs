//! Which of the ERP's records is meant by a name of the shop: only where it cannot be mistaken.

use crate::erp::Choice;
use crate::shopify::RecentTax;

/// How many candidates are named.
const CANDIDATES: usize = 12;

/// What was found for a name.
pub(super) struct Found {
    /// The record, where exactly one fits.
    pub(super) value: Option<Entry>,
    /// What else it could be.
    pub(super) candidates: Vec<String>,
    /// What a person should know who fills it in.
    pub(super) hint: Option<String>,
}

/// What an entry of a table says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// A name.
    Name(String),
    /// A record by its id, with its name for people.
    Id(i64, String),
}

/// Letters alone decide: `shopify_payments` is "Shopify Payments".
fn folded(name: &str) -> String {
    let words = name.replace(['_', '-'], " ").to_lowercase();
    words.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Whether a record is called so, by its name or another text that it is known by.
fn is_named(choice: &Choice, name: &str) -> bool {
    let name = folded(name);
    folded(&choice.name) == name || choice.aliases.iter().any(|alias| folded(alias) == name)
}

/// The one of these, if it is one and its name means it alone.
fn only(fitting: &[&Choice], all: &[Choice]) -> Option<Entry> {
    let [one] = fitting else { return None };
    let namesakes = all.iter().filter(|choice| choice.name == one.name).count();
    (namesakes == 1).then(|| Entry::Name(one.name.clone()))
}

fn shown<'c>(choices: impl IntoIterator<Item = &'c Choice>) -> Vec<String> {
    let choices = choices.into_iter().take(CANDIDATES);
    choices
        .map(|choice| {
            if choice.note.is_empty() {
                choice.name.clone()
            } else {
                format!("{} ({})", choice.name, choice.note)
            }
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

/// The bank or cash journal of the same name.
pub(super) fn journal(gateway: &str, all: &[Choice]) -> Found {
    Found {
        hint: all
            .is_empty()
            .then(|| "Odoo has no bank or cash journal yet: Accounting, Configuration, Journals".to_owned()),
        ..named_like(gateway, all)
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
        value: is_active.then(|| Entry::Name(code.to_owned())),
        candidates: Vec::new(),
        hint: (!is_active)
            .then(|| format!("{code} is not active in Odoo: activate it, then write \"{code}\"")),
    }
}

/// What a tax is called in tables, e.g. `19 included MwSt`: the keys of the shipped mapping's look-up in their order.
pub(super) fn tax_key(tax: &RecentTax) -> String {
    let included = if tax.is_included {
        "included"
    } else {
        "not included"
    };
    let channel = if tax.is_channels { " channel" } else { "" };
    let title = match tax.title.as_str() {
        "" => "-",
        title => title,
    };
    format!("{} {included}{channel} {title}", tax.rate_percent.normalize())
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
    // Who remits it is no matter of its rate: which tax that is, a person says.
    let value = match (seen.is_channels, fitting.as_slice(), named.as_slice()) {
        (false, [one], _) | (false, _, [one]) => Some(Entry::Id(one.id.0, one.name.clone())),
        _ => None,
    };
    let hint = fitting.is_empty().then(|| {
        let how = if seen.is_included { "part of" } else { "added to" };
        format!(
            "Odoo has no sale tax of {} % that is {how} the price: make one, then write its number",
            seen.rate_percent.normalize()
        )
    });
    let candidates = if fitting.is_empty() { &same_rate } else { &fitting };
    let candidates = candidates.iter().take(CANDIDATES);
    Found {
        value,
        candidates: candidates
            .map(|tax| format!("{} = {} ({})", tax.id, tax.name, tax.note))
            .collect(),
        hint,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choice(name: &str, code: &str) -> Choice {
        Choice {
            id: crate::domain::ErpId(name.len().try_into().unwrap()),
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
            let expected = expected.map(|name| Entry::Name(name.to_owned()));
            assert_eq!(named_like(name, &journals).value, expected, "{name}");
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
            is_channels: title == "Marketplace",
            title: title.to_owned(),
        };
        for (title, rate, is_included, expected, candidates) in [
            ("MwSt", "19", true, Some("19% incl."), 1),
            ("MwSt", "19", false, Some("19%"), 1),
            ("city", "8.875", false, Some("City"), 2),
            ("County", "8.875", false, None, 2),
            ("MwSt", "7", true, None, 1),
            ("Marketplace", "7", false, None, 1),
            ("MwSt", "13", true, None, 0),
        ] {
            let found = tax(&seen(title, rate, is_included), &taxes);
            let name = found.value.map(|entry| match entry {
                Entry::Id(id, name) if id == i64::try_from(name.len()).unwrap() => name,
                other => panic!("{other:?}"),
            });
            assert_eq!(name.as_deref(), expected, "{title} {rate}");
            assert_eq!(found.candidates.len(), candidates, "{title} {rate}");
            let none_fits = rate == "13" || (rate, is_included) == ("7", true);
            assert_eq!(found.hint.is_some(), none_fits, "{title} {rate}");
        }
        for (title, rate, is_included, key) in [
            ("MwSt", "19.00", true, "19 included MwSt"),
            ("", "8.875", false, "8.875 not included -"),
            (
                "Marketplace",
                "8.875",
                false,
                "8.875 not included channel Marketplace",
            ),
        ] {
            assert_eq!(tax_key(&seen(title, rate, is_included)), key);
        }
    }
}
