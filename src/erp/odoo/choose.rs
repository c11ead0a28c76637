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
    /// Whose tax it is.
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
    /// The country whose tax it is, where it must be this one.
    pub(super) country: Option<ErpId>,
    /// What the shop calls it.
    pub(super) title: Option<&'a str>,
    /// The countries that the title names; the tax must be of one of them.
    pub(super) named: &'a [ErpId],
    /// Where the goods go.
    pub(super) ship_to: Option<ErpId>,
    /// Where the company is.
    pub(super) home: Option<ErpId>,
    /// Whether the sales channel pays it to the authorities.
    pub(super) channel: bool,
}

/// The tax with this rate.
///
/// A country that is asked for, or that the title names, must be the tax's own, unless the tax bears the title as its name. A
/// title that names none leaves the taxes of the destination and, for a seller who owes no tax there, those of the company's own
/// country: where both fit, the destination's is meant, and that of home where there is no destination (at the till). What the channel pays to the authorities is no tax of the merchant's,
/// however alike the rates are: there, only the tax that bears the title is meant.
pub(super) fn choose_tax(taxes: &[Tax], keys: TaxKeys<'_>) -> Needed {
    let fits = |tax: &&Tax| {
        tax.rate_percent == keys.rate_percent
            && tax.included == keys.included
            && keys.country.is_none_or(|country| tax.country == Some(country))
    };
    let titled = |name: &String| keys.title.is_some_and(|title| name.eq_ignore_ascii_case(title));
    let mut found: Vec<&Tax> = taxes.iter().filter(fits).collect();
    if keys.channel {
        // Its first name is its own; others are what is printed on invoices.
        found.retain(|tax| tax.names.first().is_some_and(titled));
        return one_of(found.into_iter().map(|tax| tax.id).collect());
    }
    let bears = |tax: &&Tax| tax.names.iter().any(titled);
    if found.iter().any(bears) {
        found.retain(bears);
    } else if keys.country.is_none() {
        let here = |country: ErpId| keys.ship_to == Some(country) || keys.home == Some(country);
        found.retain(|tax| match tax.country {
            None => true,
            Some(country) if !keys.named.is_empty() => keys.named.contains(&country),
            // Without a destination or a company's country nothing tells which is foreign.
            Some(country) => keys.ship_to.is_none() || keys.home.is_none() || here(country),
        });
    }
    // What goes nowhere is sold at home.
    let place = keys.ship_to.or(keys.home);
    let there = |tax: &&Tax| place.is_some() && tax.country == place;
    if found.len() > 1 && found.iter().any(there) {
        found.retain(there);
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
                ..TaxKeys::default()
            };
            assert_eq!(choose_tax(&taxes, keys), expected, "{name}");
        }
        // The destination decides between several, after the name, and excludes nothing while the company's place is not known.
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
    fn a_tax_is_never_another_countrys() {
        let (de, cy, fr) = (10, 20, 30);
        let home = tax(1, "19%", "19", false, de);
        let cyprus = tax(2, "19.0% CY VAT", "19", false, cy);
        let twenty = tax(3, "20%", "20", false, fr);
        let nowhere = Tax {
            country: None,
            ..tax(4, "VAT", "21", false, 0)
        };
        let all = [&home, &cyprus, &twenty, &nowhere].map(Clone::clone);
        let without = [home, twenty, nowhere];
        let found = |id| Needed::Found(ErpId(id));
        for (name, taxes, rate, title, named, ship_to, expected) in [
            ("named", &all[..], "19", "CY VAT", vec![cy], Some(cy), found(2)),
            (
                "the home tax below the threshold",
                &all,
                "19",
                "DE MwSt",
                vec![de],
                Some(cy),
                found(1),
            ),
            (
                "named and not there",
                &without,
                "19",
                "CY VAT",
                vec![cy],
                Some(cy),
                Needed::Missing,
            ),
            ("at the till", &without, "19", "DE MwSt", vec![de], None, found(1)),
            (
                "nothing named, destination",
                &all,
                "19",
                "VAT",
                vec![],
                Some(cy),
                found(2),
            ),
            (
                "nothing named, home",
                &all,
                "19",
                "VAT",
                vec![],
                Some(fr),
                found(1),
            ),
            (
                "nothing named, at the till",
                &all,
                "19",
                "VAT",
                vec![],
                None,
                found(1),
            ),
            (
                "nothing named, only home",
                &without,
                "19",
                "VAT",
                vec![],
                Some(cy),
                found(1),
            ),
            (
                "neither home nor destination",
                &all,
                "20",
                "VAT",
                vec![],
                Some(cy),
                Needed::Missing,
            ),
            (
                "it bears the title",
                &all,
                "20",
                "20%",
                vec![],
                Some(cy),
                found(3),
            ),
            (
                "of no country",
                &all,
                "21",
                "CY VAT",
                vec![cy],
                Some(cy),
                found(4),
            ),
        ] {
            let named: Vec<ErpId> = named.into_iter().map(ErpId).collect();
            let keys = TaxKeys {
                rate_percent: rate.parse().unwrap(),
                title: Some(title),
                named: &named,
                ship_to: ship_to.map(ErpId),
                home: Some(ErpId(de)),
                ..TaxKeys::default()
            };
            assert_eq!(choose_tax(taxes, keys), expected, "{name}");
        }
    }

    #[test]
    fn what_the_channel_pays_is_no_tax_of_the_merchants() {
        let mut printed = tax(3, "Sales", "8.875", false, 10);
        printed.names.push("NY Sales Tax".to_owned());
        let mut taxes = vec![tax(1, "8.875%", "8.875", false, 10), printed];
        let keys = TaxKeys {
            rate_percent: "8.875".parse().unwrap(),
            title: Some("NY Sales Tax"),
            channel: true,
            ..TaxKeys::default()
        };
        assert_eq!(choose_tax(&taxes, keys), Needed::Missing);
        taxes.push(tax(2, "ny sales tax", "8.875", false, 10));
        assert_eq!(choose_tax(&taxes, keys), Needed::Found(ErpId(2)));
        taxes.push(tax(5, "NY Sales Tax", "8.875", false, 10));
        let both = Needed::Ambiguous(vec![ErpId(2), ErpId(5)]);
        assert_eq!(choose_tax(&taxes, keys), both);
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
