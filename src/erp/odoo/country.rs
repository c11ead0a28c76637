//! Countries, and which of them a tax's title or name speaks of.

use super::places::{States, states_of};
use crate::domain::ErpId;

/// A country that the ERP knows.
#[derive(Clone, Debug)]
pub(super) struct Country {
    pub(super) id: ErpId,
    /// ISO 3166-1, two capitals.
    pub(super) code: String,
    /// In the language of the API user.
    pub(super) name: String,
}

/// All countries that the ERP knows.
#[derive(Clone, Debug, Default)]
pub(super) struct Countries(pub(super) Vec<Country>);

/// What tax authorities call a country beside its ISO code.
const OTHER_CODES: [(&str, &str); 2] = [("UK", "GB"), ("EL", "GR")];

/// What a value-added tax, or the number that a seller has for it, is called in the countries of the EU and around it: the
/// labels that Odoo ends its own names with, in the languages of these countries.
const ADDED_VALUE: [&str; 22] = [
    "vat", "tva", "mwst", "ust", "iva", "btw", "moms", "mva", "alv", "dph", "ddv", "pdv", "pvm", "pvn", "km",
    "ptu", "nif", "nip", "áfa", "afa", "φπα", "ддс",
];

/// What a value-added tax is called in Australia, India, New Zealand and Singapore; and, for the whole of it, in Canada.
const GOODS_AND_SERVICES: &str = "gst";

impl Countries {
    /// The country with this code, whatever its case.
    pub(super) fn with_code(&self, code: &str) -> Option<ErpId> {
        let found = self
            .0
            .iter()
            .find(|country| country.code.eq_ignore_ascii_case(code));
        found.map(|country| country.id)
    }

    /// The countries that the title of a tax names, by their code in capitals as a word of its own (`CY VAT`, `VAT (CY)`) or
    /// by their name (`Cyprus VAT`). A tax of `place` may be named after places there, and then names none.
    pub(super) fn named_in(&self, title: &str, place: Option<ErpId>) -> Vec<ErpId> {
        if self.names_after_places(place) {
            return Vec::new();
        }
        let named = self.mentions(&split(title));
        named.into_iter().map(|mention| mention.country).collect()
    }

    fn names_after_places(&self, country: Option<ErpId>) -> bool {
        self.states(country).is_some()
    }

    /// The states or provinces of a country whose sales taxes are named after them and their counties (`CA State Tax`,
    /// `Georgia State Tax`, `Lebanon County Tax`, `NL HST`), many of which are called like a country elsewhere.
    pub(super) fn states(&self, country: Option<ErpId>) -> Option<States> {
        self.code_of(country).and_then(states_of)
    }

    fn code_of(&self, id: Option<ErpId>) -> Option<&str> {
        let found = self.0.iter().find(|country| Some(country.id) == id);
        found.map(|country| country.code.as_str())
    }

    /// Where words speak of a country: first the names, the longest before the others, so that "Northern Ireland" is not
    /// Ireland, too; then the codes.
    fn mentions(&self, words: &[&str]) -> Vec<Mention> {
        let lower: Vec<String> = words.iter().map(|word| word.to_lowercase()).collect();
        let mut names: Vec<(Vec<String>, ErpId)> = self
            .0
            .iter()
            .map(|country| (words_of(&country.name), country.id))
            .filter(|(name, _)| !name.is_empty())
            .collect();
        names.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
        let mut taken = vec![false; words.len()];
        let mut found = Vec::new();
        for (name, country) in names {
            for start in 0..(words.len() + 1).saturating_sub(name.len()) {
                let here = start..start + name.len();
                if lower[here.clone()] == name[..] && !taken[here.clone()].contains(&true) {
                    taken[here.clone()].fill(true);
                    found.push(Mention {
                        country,
                        end: here.end,
                        is_code: false,
                    });
                }
            }
        }
        for (at, word) in words.iter().enumerate().filter(|(at, _)| !taken[*at]) {
            let other = OTHER_CODES.iter().find(|(other, _)| other == word);
            let code = other.map_or(*word, |(_, code)| code);
            found.extend(self.0.iter().filter(|it| it.code == code).map(|it| Mention {
                country: it.id,
                end: at + 1,
                is_code: true,
            }));
        }
        found
    }

    /// Whose tax this is: the country that its name names, else the one that it is filed under. Odoo files the taxes that it
    /// makes for sales to other countries of the EU under the company's own country, and names them after the other, rate
    /// first and label last: `20.0% FR TVA` (`_map_eu_taxes` of its module `l10n_eu_oss`).
    ///
    /// A code counts only where another word follows it: Odoo's own charts of accounts end names with abbreviations that are
    /// countries elsewhere (`9% SR`, the standard rate of Singapore; `5% AZ`, Abu Dhabi).
    pub(super) fn whose(&self, name: &str, filed_under: Option<ErpId>) -> Option<ErpId> {
        let words = split(name);
        let mut named = self.mentions(&words);
        named.retain(|mention| !mention.is_code || words[mention.end..].iter().any(|word| is_word(word)));
        if self.names_after_places(filed_under) {
            named.retain(|mention| self.is_abroad(mention, &words));
        }
        match filed_under {
            Some(own) if named.iter().any(|mention| mention.country == own) => Some(own),
            _ => named.first().map(|mention| mention.country).or(filed_under),
        }
    }

    /// Whether a word that may be a state's or a county's is a country's: a word for a value-added tax follows it, which no
    /// place in the United States has, and no province of Canada by that word.
    fn is_abroad(&self, mention: &Mention, words: &[&str]) -> bool {
        let code = self.code_of(Some(mention.country));
        let is_province = || {
            let provinces = states_of("CA").unwrap_or_default();
            provinces.iter().any(|(province, _)| Some(*province) == code)
        };
        words[mention.end..].iter().any(|word| {
            let word = word.to_lowercase();
            ADDED_VALUE.contains(&word.as_str()) || (word == GOODS_AND_SERVICES && !is_province())
        })
    }
}

/// A place in a text that speaks of a country.
struct Mention {
    country: ErpId,
    /// The word after it.
    end: usize,
    is_code: bool,
}

/// One letter alone is none: `G` and `S` are goods and services in Odoo's names.
fn is_word(word: &str) -> bool {
    word.chars().count() > 1 || word.chars().all(char::is_numeric)
}

fn split(text: &str) -> Vec<&str> {
    text.split(|letter: char| !letter.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .collect()
}

fn words_of(name: &str) -> Vec<String> {
    split(name).into_iter().map(str::to_lowercase).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Some countries, numbered from 1.
    pub(in crate::erp::odoo) fn some() -> Countries {
        let known = "DE Germany|CY Cyprus|US United States|CA Canada|GE Georgia|GB United Kingdom|GR Greece|IE Ireland|\
                     XI Northern Ireland|GW Guinea-Bissau|GN Guinea|AT Austria|FR France|SG Singapore|SR Suriname|\
                     AE United Arab Emirates|AZ Azerbaijan|SH Saint Helena|NL Netherlands|SK Slovakia|AU Australia|\
                     EC Ecuador|BE Belgium";
        let countries = known.split('|').zip(1..).map(|(country, id)| {
            let (code, name) = country.split_once(' ').unwrap();
            Country {
                id: ErpId(id),
                code: code.to_owned(),
                name: name.to_owned(),
            }
        });
        Countries(countries.collect())
    }

    #[test]
    fn a_title_names_a_country_by_its_code_or_its_name() {
        let countries = some();
        for (title, place, expected) in [
            ("CY VAT", "DE", "CY"),
            ("VAT (CY)", "DE", "CY"),
            ("19% cyprus VAT", "", "CY"),
            ("DE MwSt", "CY", "DE"),
            ("UK VAT", "", "GB"),
            ("EL ΦΠΑ", "", "GR"),
            ("Northern Ireland VAT", "", "XI"),
            ("Guinea-Bissau", "", "GW"),
            ("AT/DE MwSt", "", "AT DE"),
            ("VAT", "CY", ""),
            ("MwSt. de", "", ""),
            ("DEX", "", ""),
            ("Cypruss", "", ""),
            ("", "", ""),
            // Named after states, provinces and counties.
            ("Georgia State Tax", "US", ""),
            ("CA State Tax", "US", ""),
            ("DE MwSt", "CA", ""),
            ("Georgia State Tax", "DE", "GE"),
        ] {
            let named = countries.named_in(title, countries.with_code(place));
            let expected: Vec<ErpId> = expected
                .split_whitespace()
                .map(|code| countries.with_code(code).unwrap())
                .collect();
            assert_eq!(named, expected, "{title} in {place}");
        }
    }

    #[test]
    fn a_tax_is_whose_name_it_bears() {
        let countries = some();
        for (name, filed_under, expected) in [
            ("19.0% CY VAT", "DE", "CY"),
            ("19%", "DE", "DE"),
            ("DE 19 % (not AT)", "DE", "DE"),
            ("20% FR TVA", "DE", "FR"),
            ("20% FR TVA", "", "FR"),
            ("AT 20%", "DE", "AT"),
            ("20% FR", "DE", "DE"),
            // Abbreviations in Odoo's own charts of accounts.
            ("9% SR", "SG", "SG"),
            ("5% AZ", "AE", "AE"),
            ("5% SH", "AE", "AE"),
            ("0% EC S", "BE", "BE"),
            ("20%", "", ""),
            ("GE sales tax", "US", "US"),
            ("Georgia State Tax", "US", "US"),
            ("20% GB VAT", "US", "GB"),
            ("20.0% FR TVA", "CA", "FR"),
            ("UK 20% VAT", "US", "GB"),
            ("Georgia VAT", "US", "GE"),
            ("10% AU GST", "CA", "AU"),
            ("15% NL HST", "CA", "CA"),
            ("5% SK GST", "CA", "CA"),
            ("21% NL BTW", "CA", "NL"),
            ("5% CA GST", "US", "CA"),
        ] {
            let whose = countries.whose(name, countries.with_code(filed_under));
            assert_eq!(whose, countries.with_code(expected), "{name}");
        }
    }
}
