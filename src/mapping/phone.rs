//! Telephone numbers in the form that is dialled from anywhere: `+`, the code of the country, the number within it.
//!
//! What people type in one country is told apart by how numbers are written there: with a digit in front that is dialled
//! only within the country (Germany: `030 123456`), or without one (Spain). Where a number does not look as they do there,
//! or nothing is known of the country, it is left as it is: no number is better than somebody else's. Codes and lengths are
//! those of the national numbering plans (<https://www.itu.int/oth/T0202.aspx?parent=T0202>).

use std::ops::RangeInclusive;

use minijinja::Value;

use super::filter_work::str_of;
use super::value::value_is_empty;

/// What stands before a number within its country.
enum Front {
    /// Nothing.
    Nothing,
    /// Always one of these, and never abroad.
    Always(&'static [&'static str]),
    /// Sometimes this, and never abroad.
    Sometimes(&'static str),
    /// One of these, abroad as well.
    Kept(&'static [&'static str]),
}

/// How numbers of a country are written: its two letters, its code, what stands in front, how many digits follow that.
type Plan = (&'static str, &'static str, Front, RangeInclusive<usize>);

/// All of a number, without the sign in front (ITU-T E.164).
const DIGITS: RangeInclusive<usize> = 7..=15;

const ZERO: Front = Front::Always(&["0"]);
const MAYBE_ZERO: Front = Front::Sometimes("0");

const PLANS: &[Plan] = &[
    ("AE", "971", ZERO, 8..=9),
    ("AT", "43", ZERO, 4..=13),
    ("AU", "61", ZERO, 9..=9),
    ("BE", "32", ZERO, 8..=9),
    ("BG", "359", ZERO, 7..=9),
    ("BR", "55", MAYBE_ZERO, 10..=11),
    ("CA", "1", Front::Sometimes("1"), 10..=10),
    ("CH", "41", ZERO, 9..=9),
    ("CL", "56", Front::Nothing, 9..=9),
    ("CN", "86", MAYBE_ZERO, 10..=11),
    ("CO", "57", Front::Nothing, 10..=10),
    ("CY", "357", Front::Nothing, 8..=8),
    ("CZ", "420", Front::Nothing, 9..=9),
    ("DE", "49", ZERO, 5..=13),
    ("DK", "45", Front::Nothing, 8..=8),
    ("EE", "372", Front::Nothing, 7..=8),
    ("ES", "34", Front::Nothing, 9..=9),
    ("FI", "358", ZERO, 5..=12),
    ("FR", "33", ZERO, 9..=9),
    ("GB", "44", ZERO, 9..=10),
    ("GR", "30", Front::Nothing, 10..=10),
    ("HK", "852", Front::Nothing, 8..=8),
    ("HR", "385", ZERO, 8..=9),
    ("HU", "36", Front::Always(&["06"]), 8..=9),
    ("ID", "62", ZERO, 8..=12),
    ("IE", "353", ZERO, 7..=9),
    ("IL", "972", ZERO, 8..=9),
    ("IN", "91", MAYBE_ZERO, 10..=10),
    ("IS", "354", Front::Nothing, 7..=7),
    ("IT", "39", Front::Kept(&["0", "3"]), 6..=11),
    ("JP", "81", ZERO, 9..=10),
    ("KR", "82", ZERO, 8..=10),
    ("LI", "423", Front::Nothing, 7..=7),
    ("LT", "370", Front::Always(&["0", "8"]), 8..=8),
    ("LU", "352", Front::Nothing, 6..=9),
    ("LV", "371", Front::Nothing, 8..=8),
    ("MT", "356", Front::Nothing, 8..=8),
    ("MX", "52", Front::Nothing, 10..=10),
    ("MY", "60", ZERO, 8..=10),
    ("NL", "31", ZERO, 9..=9),
    ("NO", "47", Front::Nothing, 8..=8),
    ("NZ", "64", ZERO, 8..=10),
    ("PH", "63", ZERO, 8..=10),
    ("PL", "48", Front::Nothing, 9..=9),
    ("PT", "351", Front::Nothing, 9..=9),
    ("RO", "40", ZERO, 9..=9),
    ("RS", "381", ZERO, 8..=9),
    ("SA", "966", ZERO, 8..=9),
    ("SE", "46", ZERO, 7..=10),
    ("SG", "65", Front::Nothing, 8..=8),
    ("SI", "386", ZERO, 8..=8),
    ("SK", "421", ZERO, 9..=9),
    ("TH", "66", ZERO, 8..=9),
    ("TR", "90", MAYBE_ZERO, 10..=10),
    ("UA", "380", ZERO, 9..=9),
    ("US", "1", Front::Sometimes("1"), 10..=10),
    ("VN", "84", ZERO, 9..=10),
    ("ZA", "27", ZERO, 9..=9),
];

/// The filter `phone(country, …)`: the first of the countries that is there counts.
pub(super) fn phone(value: &Value, countries: &[Value]) -> Result<Value, String> {
    if value_is_empty(value) {
        return Ok(value.clone());
    }
    let text = str_of(value)?.trim();
    let country = countries.iter().find(|country| !value_is_empty(country));
    let country = country.map(str_of).transpose()?;
    Ok(Value::from(
        international(text, country).unwrap_or_else(|| text.to_owned()),
    ))
}

/// The number for callers from anywhere; none where it has that form already, or where it cannot be told.
fn international(text: &str, country: Option<&str>) -> Option<String> {
    if text.starts_with('+') {
        // A way to write it for both kinds of callers: +49 (0)30 123456.
        return text.contains("(0)").then(|| text.replace("(0)", ""));
    }
    let is_between =
        |c: char| c.is_whitespace() || matches!(c, '-' | '(' | ')' | '/' | '.' | '\u{2010}'..='\u{2013}');
    let digits: String = text.chars().filter(|c| !is_between(*c)).collect();
    if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    if let Some(abroad) = digits.strip_prefix("00") {
        return fits(abroad).then(|| format!("+{abroad}"));
    }
    let country = country?.trim();
    let (_, code, front, length) = PLANS
        .iter()
        .find(|(known, ..)| known.eq_ignore_ascii_case(country))?;
    let number = match front {
        Front::Nothing => digits.as_str(),
        Front::Always(fronts) => fronts.iter().find_map(|front| digits.strip_prefix(front))?,
        Front::Sometimes(front) => digits
            .strip_prefix(front)
            .filter(|number| length.contains(&number.len()))
            .unwrap_or(&digits),
        Front::Kept(fronts) => fronts
            .iter()
            .any(|front| digits.starts_with(front))
            .then_some(digits.as_str())?,
    };
    let all = format!("{code}{number}");
    (length.contains(&number.len()) && fits(&all)).then(|| format!("+{all}"))
}

fn fits(digits: &str) -> bool {
    DIGITS.contains(&digits.len()) && !digits.starts_with('0')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_gets_the_code_of_its_country_where_it_is_written_as_there() {
        for (text, country, expected) in [
            ("030 / 123-456", "DE", Some("+4930123456")),
            ("0171 1234567", "de", Some("+491711234567")),
            ("020 7946 0018", "GB", Some("+442079460018")),
            ("01 23 45 67 89", "FR", Some("+33123456789")),
            ("(613) 555-0123", "CA", Some("+16135550123")),
            ("1-613-555-0123", "US", Some("+16135550123")),
            ("06 1234567", "IT", Some("+39061234567")),
            ("912 345 678", "ES", Some("+34912345678")),
            ("06 30 123 4567", "HU", Some("+36301234567")),
            ("8 612 34567", "LT", Some("+37061234567")),
            ("+49 (0)30 123456", "FR", Some("+49 30 123456")),
            ("0049 30 123456", "FR", Some("+4930123456")),
            // As it is already.
            ("+49 30 123456", "FR", None),
            // It has no area code, or none of it can be told.
            ("123456", "DE", None),
            ("30 123456", "DE", None),
            ("555-0123", "US", None),
            ("2 1234567", "IT", None),
            ("030 123456", "XX", None),
            ("030 123456", "", None),
            ("030 123456 ext. 7", "DE", None),
            ("0000", "DE", None),
            ("", "DE", None),
        ] {
            let made = international(text, Some(country));
            assert_eq!(made.as_deref(), expected, "{text} in {country}");
        }
        assert_eq!(international("030 123456", None), None);
    }

    #[test]
    fn every_country_is_there_once_and_its_numbers_can_be_dialled() {
        let mut countries: Vec<&str> = PLANS.iter().map(|(country, ..)| *country).collect();
        countries.sort_unstable();
        let all = countries.len();
        countries.dedup();
        assert_eq!(countries.len(), all);
        for (country, code, _, length) in PLANS {
            assert!(code.len() + length.end() <= *DIGITS.end(), "{country}");
            assert!(!code.starts_with('0'), "{country}");
        }
    }
}
