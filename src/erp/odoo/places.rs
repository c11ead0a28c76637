//! Taxes that are named after states, provinces and counties: whether one is of the place that a title speaks of.

use std::collections::BTreeSet;

/// States or provinces: the postal code and the name.
pub(super) type States = &'static [(&'static str, &'static str)];

/// States, districts and territories of the United States (USPS Publication 28, appendix B).
const UNITED_STATES: States = &[
    ("AL", "Alabama"),
    ("AK", "Alaska"),
    ("AZ", "Arizona"),
    ("AR", "Arkansas"),
    ("CA", "California"),
    ("CO", "Colorado"),
    ("CT", "Connecticut"),
    ("DE", "Delaware"),
    ("DC", "District of Columbia"),
    ("FL", "Florida"),
    ("GA", "Georgia"),
    ("GU", "Guam"),
    ("HI", "Hawaii"),
    ("ID", "Idaho"),
    ("IL", "Illinois"),
    ("IN", "Indiana"),
    ("IA", "Iowa"),
    ("KS", "Kansas"),
    ("KY", "Kentucky"),
    ("LA", "Louisiana"),
    ("ME", "Maine"),
    ("MD", "Maryland"),
    ("MA", "Massachusetts"),
    ("MI", "Michigan"),
    ("MN", "Minnesota"),
    ("MS", "Mississippi"),
    ("MO", "Missouri"),
    ("MT", "Montana"),
    ("NE", "Nebraska"),
    ("NV", "Nevada"),
    ("NH", "New Hampshire"),
    ("NJ", "New Jersey"),
    ("NM", "New Mexico"),
    ("NY", "New York"),
    ("NC", "North Carolina"),
    ("ND", "North Dakota"),
    ("OH", "Ohio"),
    ("OK", "Oklahoma"),
    ("OR", "Oregon"),
    ("PA", "Pennsylvania"),
    ("PR", "Puerto Rico"),
    ("RI", "Rhode Island"),
    ("SC", "South Carolina"),
    ("SD", "South Dakota"),
    ("TN", "Tennessee"),
    ("TX", "Texas"),
    ("UT", "Utah"),
    ("VT", "Vermont"),
    ("VA", "Virginia"),
    ("WA", "Washington"),
    ("WV", "West Virginia"),
    ("WI", "Wisconsin"),
    ("WY", "Wyoming"),
];

/// Provinces and territories of Canada (Canada Post's addressing guidelines).
const CANADA: States = &[
    ("AB", "Alberta"),
    ("BC", "British Columbia"),
    ("MB", "Manitoba"),
    ("NB", "New Brunswick"),
    ("NL", "Newfoundland and Labrador"),
    ("NS", "Nova Scotia"),
    ("NT", "Northwest Territories"),
    ("NU", "Nunavut"),
    ("ON", "Ontario"),
    ("PE", "Prince Edward Island"),
    ("QC", "Quebec"),
    ("QC", "Québec"),
    ("SK", "Saskatchewan"),
    ("YT", "Yukon"),
];

/// What a name says of a tax besides its place.
const NO_PLACE: &str = "\
    tax taxes sales sale use state states county city town township village borough municipal municipality local \
    district special regional transit metro metropolitan transportation authority area zone improvement community \
    federal provincial province territory harmonized harmonised goods and services service retail general \
    gst hst pst qst rst vat tps tvh tvp tvq incl included inclusive excl excluded exclusive on top of the in for \
    rate standard reduced combined total percent pct us usa united america canada canadian";

/// Words that many places begin with: they do not tell one from another.
const OFTEN_BEGINS: &str = "new north south east west san santa saint st los las fort port lake mount el la";

/// The states or provinces of a country whose taxes are named after them; none where taxes are the country's.
pub(super) fn states_of(country_code: &str) -> Option<States> {
    match country_code {
        "US" => Some(UNITED_STATES),
        "CA" => Some(CANADA),
        _ => None,
    }
}

/// How a tax's name fits a title that it does not bear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fit {
    /// It names another place, or one where the title names none.
    Elsewhere,
    /// It names no place.
    Anywhere,
    /// It names the title's place.
    There,
}

/// Whether a tax with this name is of the place that the title speaks of. States count by code in capitals or by name; a place
/// below them by any of its words.
pub(super) fn fit(name: &str, title: &str, states: States) -> Fit {
    let (name, title) = (Places::in_text(name, states), Places::in_text(title, states));
    if name.states.is_empty() && name.others.is_empty() {
        return Fit::Anywhere;
    }
    let same_state = !name.states.is_disjoint(&title.states);
    if !(same_state || name.states.is_empty() || title.states.is_empty()) {
        return Fit::Elsewhere;
    }
    let tells = |word: &String| !OFTEN_BEGINS.split_whitespace().any(|often| often == word);
    let same_other = !name.others.is_empty()
        && (name.others == title.others || name.others.intersection(&title.others).any(tells));
    let other_differs = !(same_other || name.others.is_empty() || title.others.is_empty());
    if (same_state || same_other) && !other_differs {
        Fit::There
    } else {
        Fit::Elsewhere
    }
}

/// The places that a text names.
struct Places {
    /// By their codes.
    states: BTreeSet<&'static str>,
    /// The words that are left over, in lower case: counties and cities.
    others: BTreeSet<String>,
}

impl Places {
    fn in_text(text: &str, states: States) -> Self {
        let words: Vec<&str> = split(text).collect();
        let lower: Vec<String> = words.iter().map(|word| word.to_lowercase()).collect();
        let mut taken = vec![false; words.len()];
        let mut named = BTreeSet::new();
        // The longest names first, so that West Virginia is not Virginia, too.
        let mut names: Vec<(Vec<String>, &'static str)> = states
            .iter()
            .map(|(code, name)| (split(name).map(str::to_lowercase).collect(), *code))
            .collect();
        names.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
        for (name, code) in names {
            for start in 0..(words.len() + 1).saturating_sub(name.len()) {
                let here = start..start + name.len();
                if lower[here.clone()] == name[..] && !taken[here.clone()].contains(&true) {
                    taken[here].fill(true);
                    named.insert(code);
                }
            }
        }
        let mut others = BTreeSet::new();
        for (at, word) in lower.into_iter().enumerate().filter(|(at, _)| !taken[*at]) {
            if let Some((code, _)) = states.iter().find(|(code, _)| *code == words[at]) {
                named.insert(*code);
            } else if word.chars().count() > 1
                && !word.chars().all(char::is_numeric)
                && !NO_PLACE.split_whitespace().any(|known| known == word)
            {
                others.insert(word);
            }
        }
        Self {
            states: named,
            others,
        }
    }
}

fn split(text: &str) -> impl Iterator<Item = &str> {
    text.split(|letter: char| !letter.is_alphanumeric())
        .filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tax_fits_a_title_by_its_place() {
        use Fit::{Anywhere, Elsewhere, There};
        for (country, name, title, expected) in [
            ("US", "FL 6%", "Michigan State Tax", Elsewhere),
            ("US", "MI 6%", "Michigan State Tax", There),
            ("US", "Florida 6%", "FL State Tax", There),
            ("US", "6% sales tax", "Michigan State Tax", Anywhere),
            ("US", "State tax 6% incl.", "Michigan State Tax", Anywhere),
            ("US", "6%", "-", Anywhere),
            // Where the title names no place, none is meant.
            ("US", "FL 6%", "Sales tax", Elsewhere),
            ("US", "FL 6%", "-", Elsewhere),
            ("US", "Marketplace 6%", "Michigan State Tax", Elsewhere),
            ("US", "Virginia 6%", "West Virginia State Tax", Elsewhere),
            ("US", "North Dakota 5%", "North Carolina State Tax", Elsewhere),
            ("US", "Orange County 1%", "Orange County Tax", There),
            ("US", "FL Orange County 1%", "Orange County Tax", There),
            ("US", "FL Orange County 1%", "CA Orange County Tax", Elsewhere),
            ("US", "NY Queens County", "NY Kings County Tax", Elsewhere),
            ("US", "San Diego 1%", "San Jose City Tax", Elsewhere),
            ("US", "Lake County 1%", "Lake County Tax", There),
            ("US", "Tax in Ohio", "Indiana State Tax", Elsewhere),
            ("CA", "5% GST", "GST", Anywhere),
            ("CA", "5% GST", "Canada GST", Anywhere),
            ("CA", "7% PST BC", "British Columbia PST", There),
            ("CA", "7% PST BC", "Manitoba RST", Elsewhere),
            ("CA", "9,975% Québec", "QC QST", There),
            ("CA", "15% HST NL", "Newfoundland and Labrador HST", There),
        ] {
            let states = states_of(country).unwrap();
            assert_eq!(fit(name, title, states), expected, "{name} for {title}");
        }
        assert!(states_of("DE").is_none());
    }
}
