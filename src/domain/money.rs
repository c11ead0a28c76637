//! Exact amounts. Money is a decimal from the moment it is read until the moment it is written.

use std::fmt;
use std::str::FromStr;

use rust_decimal::{Decimal, RoundingStrategy};
use serde::{Deserialize, Serialize};

/// An amount or a currency that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// Not a plain decimal number, or too large to be exact.
    #[error("`{0}` is not a decimal number of at most 28 digits")]
    NotADecimal(String),
    /// Not three capital letters.
    #[error("`{0}` is not a currency code of three capital letters (ISO 4217)")]
    NotACurrency(String),
}

/// An ISO 4217 currency code.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency([u8; 3]);

impl Currency {
    /// The code, e.g. `EUR`.
    pub fn as_str(&self) -> &str {
        // The constructor admits ASCII capitals only.
        std::str::from_utf8(&self.0).unwrap_or("???")
    }

    /// How many decimals the currency's smallest unit has (ISO 4217); 2 for everything that is not an exception.
    pub fn decimals(&self) -> u32 {
        match self.as_str() {
            "BIF" | "CLP" | "DJF" | "GNF" | "ISK" | "JPY" | "KMF" | "KRW" | "PYG" | "RWF" | "UGX" | "UYI"
            | "VND" | "VUV" | "XAF" | "XOF" | "XPF" => 0,
            "BHD" | "IQD" | "JOD" | "KWD" | "LYD" | "OMR" | "TND" => 3,
            _ => 2,
        }
    }
}

impl FromStr for Currency {
    type Err = MoneyError;

    fn from_str(text: &str) -> Result<Self, MoneyError> {
        match text.as_bytes() {
            [a, b, c] if [a, b, c].iter().all(|byte| byte.is_ascii_uppercase()) => Ok(Self([*a, *b, *c])),
            _ => Err(MoneyError::NotACurrency(text.chars().take(40).collect())),
        }
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Currency {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Currency {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

/// Reads a decimal number exactly, from text such as `12.30`, `-0.5` or `1e-2` (a JSON number's own text).
///
/// # Errors
/// When the text is no number or has more digits than can be kept.
pub fn parse_decimal(text: &str) -> Result<Decimal, MoneyError> {
    let parsed = if text.contains(['e', 'E']) {
        Decimal::from_scientific(text)
    } else {
        Decimal::from_str_exact(text)
    };
    parsed.map_err(|_| MoneyError::NotADecimal(text.chars().take(60).collect()))
}

/// Rounds half away from zero to `decimals` digits, as Shopify and Odoo do (a banker's rounding would not agree).
pub fn round_half_up(amount: Decimal, decimals: u32) -> Decimal {
    amount.round_dp_with_strategy(decimals, RoundingStrategy::MidpointAwayFromZero)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn halves_are_rounded_away_from_zero() {
        for (text, expected) in [
            ("0.125", "0.13"),
            ("-0.125", "-0.13"),
            ("10.555", "10.56"),
            ("2.4449", "2.44"),
        ] {
            assert_eq!(
                round_half_up(parse_decimal(text).unwrap(), 2).to_string(),
                expected,
                "{text}"
            );
        }
    }

    #[test]
    fn only_plain_numbers_are_amounts() {
        for (text, valid) in [
            ("12.30", true),
            ("-1", true),
            ("1e-2", true),
            ("1,5", false),
            ("", false),
            ("NaN", false),
            ("1e99", false),
        ] {
            assert_eq!(parse_decimal(text).is_ok(), valid, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_refused_or_kept_exactly(cents in -1_000_000_000_000_i64..1_000_000_000_000) {
            let amount = Decimal::new(cents, 2);
            prop_assert_eq!(parse_decimal(&amount.to_string()).unwrap(), amount);
        }

        #[test]
        fn garbage_never_panics(text in ".*") {
            drop(parse_decimal(&text));
            drop(text.parse::<Currency>());
        }
    }
}
