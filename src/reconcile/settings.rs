//! `[shops.NAME.runs]`: when it is looked for what webhooks missed.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::domain::Interval;

/// When it is looked for what webhooks missed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// How often the shop is asked what changed since the last time, e.g. `10m` (the default) or `1h`; or `off`. Costs one
    /// small query for each kind of record.
    pub delta: Every,
    /// When both sides are compared as a whole, by the shop's own clocks: five fields (minute hour day month weekday), or six
    /// with seconds first; or `off`. The default is every night at three: `0 3 * * *`.
    pub full: Times,
}

/// The set times at which something is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Times {
    /// Never.
    Off,
    /// As this cron expression says.
    Cron(String),
}

impl Default for Times {
    fn default() -> Self {
        Self::Cron("0 3 * * *".to_owned())
    }
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Off => "off",
            Self::Cron(expression) => expression,
        })
    }
}

impl<'de> Deserialize<'de> for Times {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Ok(if text.trim() == "off" {
            Self::Off
        } else {
            Self::Cron(text)
        })
    }
}

impl Serialize for Times {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for Times {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Times".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string" })
    }
}

/// How often something is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Every {
    /// Never.
    Off,
    /// Each time that this has passed.
    Each(Duration),
}

/// More often costs the shop's calls and finds nothing that webhooks would not tell.
const LEAST: Duration = Duration::from_secs(60);

impl Default for Every {
    fn default() -> Self {
        Self::Each(Duration::from_secs(600))
    }
}

impl fmt::Display for Every {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::Each(time) => Interval(*time).fmt(f),
        }
    }
}

impl FromStr for Every {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.trim() == "off" {
            return Ok(Self::Off);
        }
        let Interval(time) = text.parse().map_err(|form| format!("{form}, or \"off\""))?;
        if time < LEAST {
            return Err("at least one minute: what is new comes by webhooks".to_owned());
        }
        Ok(Self::Each(time))
    }
}

impl<'de> Deserialize<'de> for Every {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

impl Serialize for Every {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for Every {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Every".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^(off|[0-9]+ *[smh])$" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_a_length_of_time_or_off() {
        assert_eq!("off".parse(), Ok(Every::Off));
        assert_eq!("10m".parse(), Ok(Every::default()));
        assert_eq!(Every::default().to_string().parse(), Ok(Every::default()));
        for (text, reason) in [
            ("", "such as"),
            ("on", "\"off\""),
            ("59s", "one minute"),
            ("0s", "one minute"),
        ] {
            let error = text.parse::<Every>().unwrap_err();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
