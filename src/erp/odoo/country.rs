//! Countries, and which of them a tax's title or name speaks of.

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

/// Sales taxes of these countries are named after states, provinces and counties (`CA State Tax`, `Georgia State Tax`,
/// `Lebanon County Tax`, `NL HST`), many of which are called like a country elsewhere.
const NAMED_AFTER_PLACES: [&str; 2] = ["US", "CA"];

/// What tax authorities call a country beside its ISO code.
const OTHER_CODES: [(&str, &str); 2] = [("UK", "GB"), ("EL", "GR")];

impl Countries {
    /// The country with this code, whatever its case.
    pub(super) fn with_code(&self, code: &str) -> Option<ErpId> {
        let found = self
            .0
            .iter()
            .find(|country| country.code.eq_ignore_ascii_case(code));
        found.map(|country| country.id)
    }

    /// The countries that a text about a tax names, by their code in capitals as a word of its own (`CY VAT`,
    /// `VAT (CY)`) or by their name (`Cyprus VAT`). A tax of `place` may be named after places there, and then names none.
    pub(super) fn named_in(&self, text: &str, place: Option<ErpId>) -> Vec<ErpId> {
        let is_place = |country: &Country| {
            Some(country.id) == place && NAMED_AFTER_PLACES.contains(&country.code.as_str())
        };
        if self.0.iter().any(is_place) {
            return Vec::new();
        }
        let words: Vec<&str> = text
            .split(|letter: char| !letter.is_alphanumeric())
            .filter(|word| !word.is_empty())
            .collect();
        let lower: Vec<String> = words.iter().map(|word| word.to_lowercase()).collect();
        // The longest names first, so that "Northern Ireland" is not Ireland, too.
        let mut names: Vec<(Vec<String>, ErpId)> = self
            .0
            .iter()
            .map(|country| (words_of(&country.name), country.id))
            .filter(|(name, _)| !name.is_empty())
            .collect();
        names.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
        let mut taken = vec![false; words.len()];
        let mut found = Vec::new();
        for (name, id) in names {
            for start in 0..(words.len() + 1).saturating_sub(name.len()) {
                let here = start..start + name.len();
                if lower[here.clone()] == name[..] && !taken[here.clone()].contains(&true) {
                    taken[here].fill(true);
                    found.push(id);
                }
            }
        }
        for (word, _) in words.iter().zip(&taken).filter(|(_, taken)| !**taken) {
            let other = OTHER_CODES.iter().find(|(other, _)| other == word);
            let code = other.map_or(*word, |(_, code)| code);
            found.extend(self.0.iter().filter(|it| it.code == code).map(|it| it.id));
        }
        found
    }

    /// Whose tax this is: the country that its name names, else the one that it is filed under. Odoo files the taxes that it
    /// makes for sales to other countries of the EU under the company's own country, and names them after the other:
    /// `20.0% FR TVA`.
    pub(super) fn whose(&self, name: &str, filed_under: Option<ErpId>) -> Option<ErpId> {
        let named = self.named_in(name, filed_under);
        match filed_under {
            Some(own) if named.contains(&own) => Some(own),
            _ => named.first().copied().or(filed_under),
        }
    }
}

fn words_of(name: &str) -> Vec<String> {
    name.split(|letter: char| !letter.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Some countries, numbered from 1.
    pub(in crate::erp::odoo) fn some() -> Countries {
        let known = "DE Germany|CY Cyprus|US United States|CA Canada|GE Georgia|GB United Kingdom|GR Greece|IE Ireland|\
                     XI Northern Ireland|GW Guinea-Bissau|GN Guinea|AT Austria|FR France";
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
            ("20% FR", "", "FR"),
            ("20%", "", ""),
            ("GE sales tax", "US", "US"),
        ] {
            let whose = countries.whose(name, countries.with_code(filed_under));
            assert_eq!(whose, countries.with_code(expected), "{name}");
        }
    }
}
