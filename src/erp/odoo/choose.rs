//! Choosing among candidates, without guessing.

use rust_decimal::Decimal;

use crate::domain::{ErpId, Needed};

/// A sale tax.
#[derive(Clone, Debug)]
pub(super) struct Tax {
    pub(super) id: ErpId,
    pub(super) names: Vec<String>,
    pub(super) rate_percent: Decimal,
    pub(super) included: bool,
    pub(super) country: Option<ErpId>,
}

/// An installed language.
#[derive(Clone, Debug)]
pub(super) struct Language {
    pub(super) id: ErpId,
    pub(super) code: String,
}

/// One record of several candidates.
pub(super) fn one_of(ids: Vec<ErpId>) -> Needed {
    match ids.as_slice() {
        [] => Needed::Missing,
        [id] => Needed::Found(*id),
        _ => Needed::Ambiguous(ids),
    }
}

/// What a tax is looked up by.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct TaxKeys<'a> {
    pub(super) rate_percent: Decimal,
    pub(super) included: bool,
    /// The tax's own country, where it must be this one.
    pub(super) country: Option<ErpId>,
    /// Its name; decides only between several.
    pub(super) title: Option<&'a str>,
    /// Where the goods go; decides only between several.
    pub(super) ship_to: Option<ErpId>,
}

/// The tax with this rate. A country that is named must be the tax's own; title and destination only decide between
/// several that fit, and only where they leave one.
pub(super) fn choose_tax(taxes: &[Tax], keys: TaxKeys<'_>) -> Needed {
    let fits = |tax: &&Tax| {
        tax.rate_percent == keys.rate_percent
            && tax.included == keys.included
            && keys.country.is_none_or(|country| tax.country == Some(country))
    };
    let mut found: Vec<&Tax> = taxes.iter().filter(fits).collect();
    let named = |tax: &&Tax| {
        let same = |name: &String| keys.title.is_some_and(|title| name.eq_ignore_ascii_case(title));
        tax.names.iter().any(same)
    };
    let there = |tax: &&Tax| keys.ship_to.is_some() && tax.country == keys.ship_to;
    let tests: [&dyn Fn(&&Tax) -> bool; 2] = [&named, &there];
    for test in tests {
        let left: Vec<&Tax> = found.iter().filter(|tax| test(tax)).copied().collect();
        if found.len() > 1 && !left.is_empty() {
            found = left;
        }
    }
    one_of(found.into_iter().map(|tax| tax.id).collect())
}

/// The installed language for a code: `de_DE` and `de-DE` exactly, `de` when one German is installed or the country of
/// the same name (`de_DE`) is among several.
pub(super) fn language(languages: &[Language], code: &str) -> Needed {
    let code = code.replace('-', "_");
    if let Some(exact) = languages
        .iter()
        .find(|language| language.code.eq_ignore_ascii_case(&code))
    {
        return Needed::Found(exact.id);
    }
    if code.contains('_') {
        return Needed::Missing;
    }
    let same: Vec<&Language> = languages
        .iter()
        .filter(|language| {
            let spoken = language.code.split(['_', '@']).next().unwrap_or_default();
            spoken.eq_ignore_ascii_case(&code)
        })
        .collect();
    let home = format!("{code}_{code}");
    match same
        .iter()
        .find(|language| language.code.eq_ignore_ascii_case(&home))
    {
        Some(language) => Needed::Found(language.id),
        None => one_of(same.into_iter().map(|language| language.id).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tax(id: i64, name: &str, rate: &str, included: bool, country: i64) -> Tax {
        Tax {
            id: ErpId(id),
            names: vec![name.to_owned()],
            rate_percent: rate.parse().unwrap(),
            included,
            country: Some(ErpId(country)),
        }
    }

    #[test]
    fn a_tax_is_chosen_by_rate_and_inclusion_and_never_guessed() {
        let taxes = [
            tax(1, "19%", "19.0000", false, 10),
            tax(2, "19% incl", "19", true, 10),
            tax(3, "7%", "7", false, 10),
            tax(4, "State", "8.875", false, 20),
            tax(5, "City", "8.875", false, 20),
            tax(6, "OSS", "7", false, 30),
        ];
        let found = |id| Needed::Found(ErpId(id));
        for (name, rate, included, country, title, expected) in [
            ("excluded", "19", false, None, None, found(1)),
            ("included", "19.0", true, None, None, found(2)),
            (
                "a title that nobody has decides nothing",
                "19",
                true,
                None,
                Some("VAT"),
                found(2),
            ),
            ("country", "7", false, Some(30), None, found(6)),
            (
                "two countries",
                "7",
                false,
                None,
                None,
                Needed::Ambiguous(vec![ErpId(3), ErpId(6)]),
            ),
            ("title", "8.875", false, Some(20), Some("city"), found(5)),
            (
                "no title",
                "8.875",
                false,
                None,
                None,
                Needed::Ambiguous(vec![ErpId(4), ErpId(5)]),
            ),
            (
                "wrong title",
                "8.875",
                false,
                None,
                Some("x"),
                Needed::Ambiguous(vec![ErpId(4), ErpId(5)]),
            ),
            ("other rate", "8.88", false, None, None, Needed::Missing),
            ("other country", "19", false, Some(30), None, Needed::Missing),
        ] {
            let keys = TaxKeys {
                rate_percent: rate.parse().unwrap(),
                included,
                country: country.map(ErpId),
                title,
                ship_to: None,
            };
            assert_eq!(choose_tax(&taxes, keys), expected, "{name}");
        }
        // The destination decides between several, after the name, and never excludes.
        for (name, rate, title, ship_to, expected) in [
            ("by destination", "7", None, 30, found(6)),
            (
                "nobody's destination",
                "7",
                None,
                99,
                Needed::Ambiguous(vec![ErpId(3), ErpId(6)]),
            ),
            ("a name comes first", "7", Some("OSS"), 10, found(6)),
            ("no choice, no destination", "19", None, 99, found(1)),
        ] {
            let keys = TaxKeys {
                rate_percent: rate.parse().unwrap(),
                ship_to: Some(ErpId(ship_to)),
                title,
                ..TaxKeys::default()
            };
            assert_eq!(choose_tax(&taxes, keys), expected, "{name}");
        }
    }

    #[test]
    fn languages_are_found_by_exact_code_or_when_there_is_no_choice() {
        let languages: Vec<Language> = ["en_GB", "en_US", "de_DE", "de_CH", "pt_BR", "sr@latin"]
            .iter()
            .zip(1..)
            .map(|(code, id)| Language {
                id: ErpId(id),
                code: (*code).to_owned(),
            })
            .collect();
        for (code, expected) in [
            ("de_DE", Needed::Found(ErpId(3))),
            ("pt-br", Needed::Found(ErpId(5))),
            ("de", Needed::Found(ErpId(3))),
            ("pt", Needed::Found(ErpId(5))),
            ("sr", Needed::Found(ErpId(6))),
            ("en", Needed::Ambiguous(vec![ErpId(1), ErpId(2)])),
            ("de_AT", Needed::Missing),
            ("fr", Needed::Missing),
            ("", Needed::Missing),
        ] {
            assert_eq!(language(&languages, code), expected, "{code}");
        }
    }
}
