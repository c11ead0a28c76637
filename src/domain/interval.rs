//! Lengths of time in the configuration.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

const FORM: &str = "expected a length of time such as \"15s\", \"2m\" or \"1h\"";

/// A length of time as people write it: whole seconds, minutes or hours, e.g. `15s`, `2m`, `1h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interval(pub Duration);

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}s", self.0.as_secs())
    }
}

impl FromStr for Interval {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (count, unit) = text.split_at(end);
        let seconds = match unit.trim() {
            "s" => 1,
            "m" => 60,
            "h" => 3_600,
            _ => return Err(FORM),
        };
        let count: u64 = count.parse().map_err(|_| FORM)?;
        let length = count.checked_mul(seconds).ok_or(FORM)?;
        Ok(Self(Duration::from_secs(length)))
    }
}

impl<'de> Deserialize<'de> for Interval {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

impl Serialize for Interval {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for Interval {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Interval".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-9]+ *[smh]$" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_written_as_people_write_them() {
        for (text, seconds) in [("15s", 15), (" 2 m", 120), ("1h", 3_600)] {
            let read: Interval = text.parse().unwrap();
            assert_eq!(read.0.as_secs(), seconds, "{text}");
        }
        for text in ["", "15", "s", "1.5s", "-1s", "15 sec", "99999999999999999999h"] {
            assert!(text.parse::<Interval>().is_err(), "{text}");
        }
        assert_eq!(Interval(Duration::from_secs(90)).to_string(), "90s");
    }
}
