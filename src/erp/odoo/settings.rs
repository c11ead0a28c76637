//! What the configuration says about an Odoo server: the table `[shops.NAME.odoo]`, without the API key and without how
//! the server is reached, which come apart.

use std::collections::BTreeMap;
use std::fmt;

use std::time::Duration;

use chrono::NaiveDate;
use schemars::JsonSchema;
use serde::de::{Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::domain::{Interval, Timestamp};

/// How long before an API key ends people are told.
const EXPIRY_NOTICE_DAYS: i64 = 14;

/// An Odoo server and what one shop uses there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Address, e.g. `https://erp.example.com`.
    pub url: String,
    /// Name of the database.
    pub database: String,
    /// Login of the API user.
    pub login: String,
    /// The day on which the key ends (Odoo ends keys after 90 days unless told otherwise, and an expired key looks exactly
    /// like a wrong one): warned of from 14 days before.
    #[serde(default, deserialize_with = "day")]
    #[schemars(with = "Option<String>")]
    pub api_key_expires: Option<NaiveDate>,
    /// Which protocol to speak; `auto` asks the server for its version.
    #[serde(default)]
    pub protocol: Protocol,
    /// The company to work in, by name or id; the API user's own one unless declared.
    #[serde(default)]
    pub company: Option<Reference>,
    /// The warehouse that delivers this shop's orders, by name or id.
    #[serde(default)]
    pub warehouse: Option<Reference>,
    /// The sales team of this shop's orders, by name or id.
    #[serde(default)]
    pub sales_team: Option<Reference>,
    /// The salesperson of this shop's orders, by name or id of the user.
    #[serde(default)]
    pub salesperson: Option<Reference>,
    /// The price list of this shop's orders, by name or id; needed when there are several in one currency.
    #[serde(default)]
    pub pricelist: Option<Reference>,
    /// Language in which names are read and written, e.g. `de_DE`; the API user's own one unless declared.
    #[serde(default)]
    pub language: Option<String>,
    /// Service products by purpose (`shipping`, `discount`, `rounding`…), each by internal reference or id of the variant.
    #[serde(default)]
    pub services: BTreeMap<String, Reference>,
    /// How often it is asked what changed, for everything that is carried to the shop, e.g. `15s` or `2m`; five times as often
    /// while something changes. A poll costs two small calls for each kind of record.
    #[serde(default = "default_poll")]
    pub poll: Interval,
    /// When all ids are listed, to find what was deleted: a cron expression, by the clocks of the shop's `time_zone`.
    #[serde(default = "default_sweep")]
    pub sweep: String,
    /// How many calls may run at the same time; more than four buy little.
    #[serde(default = "default_concurrency")]
    pub max_concurrent_calls: u32,
    /// How many calls may be started per second.
    #[serde(default = "default_rate")]
    pub calls_per_second: u32,
}

const fn default_poll() -> Interval {
    Interval(Duration::from_secs(15))
}

fn default_sweep() -> String {
    "17 3 * * *".to_owned()
}

const fn default_concurrency() -> u32 {
    4
}

const fn default_rate() -> u32 {
    20
}

/// Which of Odoo's protocols to speak.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// JSON-2 from Odoo 19, JSON-RPC before.
    #[default]
    Auto,
    /// JSON-2 (Odoo 19 and later).
    Json2,
    /// JSON-RPC (up to Odoo 21).
    JsonRpc,
}

/// A record that is named in the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Reference {
    /// By its database id.
    Id(i64),
    /// By its exact name.
    Name(String),
}

/// By hand: an untagged enum's own message names neither of the two.
impl<'de> Deserialize<'de> for Reference {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct IdOrName;

        impl Visitor<'_> for IdOrName {
            type Value = Reference;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name in quotes or a database id")
            }

            fn visit_i64<E: serde::de::Error>(self, id: i64) -> Result<Reference, E> {
                Ok(Reference::Id(id))
            }

            fn visit_u64<E: serde::de::Error>(self, id: u64) -> Result<Reference, E> {
                let id = i64::try_from(id).map_err(|_| E::invalid_value(Unexpected::Unsigned(id), &self))?;
                Ok(Reference::Id(id))
            }

            fn visit_str<E>(self, name: &str) -> Result<Reference, E> {
                Ok(Reference::Name(name.to_owned()))
            }
        }

        deserializer.deserialize_any(IdOrName)
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => write!(f, "#{id}"),
            Self::Name(name) => write!(f, "`{name}`"),
        }
    }
}

impl Settings {
    /// These three and the defaults.
    pub fn new(url: impl Into<String>, database: impl Into<String>, login: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            database: database.into(),
            login: login.into(),
            api_key_expires: None,
            protocol: Protocol::Auto,
            company: None,
            warehouse: None,
            sales_team: None,
            salesperson: None,
            pricelist: None,
            language: None,
            services: BTreeMap::new(),
            poll: default_poll(),
            sweep: default_sweep(),
            max_concurrent_calls: default_concurrency(),
            calls_per_second: default_rate(),
        }
    }

    /// What is wrong with these settings without asking the server: the key and a sentence for each fault.
    pub fn faults(&self) -> Vec<(&'static str, String)> {
        let mut faults = Vec::new();
        let mut fault = |key, wrong: bool, sentence: &str| {
            if wrong {
                faults.push((key, sentence.to_owned()));
            }
        };
        let address = reqwest::Url::parse(&self.url).ok();
        let usable = address
            .as_ref()
            .is_some_and(|url| matches!(url.scheme(), "http" | "https") && url.host_str().is_some());
        fault(
            "url",
            !usable,
            "must be an address such as https://erp.example.com",
        );
        let extra = address
            .as_ref()
            .is_some_and(|url| url.query().is_some() || url.fragment().is_some() || url.password().is_some());
        fault("url", extra, "must hold no password, `?` or `#`");
        fault("database", self.database.trim().is_empty(), "must not be empty");
        fault("login", self.login.trim().is_empty(), "must not be empty");
        fault(
            "max_concurrent_calls",
            self.max_concurrent_calls == 0,
            "must be at least 1",
        );
        fault(
            "calls_per_second",
            self.calls_per_second == 0,
            "must be at least 1",
        );
        fault(
            "poll",
            !(Duration::from_secs(1)..=Duration::from_hours(1)).contains(&self.poll.0),
            "must be from 1s to 1h",
        );
        let code = self.language.as_deref().unwrap_or("en_US");
        let valid = !code.is_empty()
            && code
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"_@.".contains(&b));
        fault("language", !valid, "must be a code such as de_DE");
        faults
    }

    /// A warning when the API key ends within 14 days or has ended.
    pub fn expiry_warning(&self, now: Timestamp) -> Option<String> {
        let day = self.api_key_expires?;
        let left = (day - now.to_utc().date_naive()).num_days();
        if left < 0 {
            return Some(format!(
                "the API key ended on {day}: make a new one in the API user's preferences"
            ));
        }
        (left <= EXPIRY_NOTICE_DAYS).then(|| {
            format!("the API key ends on {day}, in {left} days: make a new one in the API user's preferences")
        })
    }
}

/// A day as text (`"2027-01-31"`) or as TOML's own date.
fn day<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<NaiveDate>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Day {
        Text(String),
        Toml(toml::value::Datetime),
    }
    let text = match Option::<Day>::deserialize(deserializer)? {
        None => return Ok(None),
        Some(Day::Text(text)) => text,
        Some(Day::Toml(date)) => date.to_string(),
    };
    text.parse()
        .map(Some)
        .map_err(|_| serde::de::Error::custom("expected a day such as 2027-01-31"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "url = \"https://erp.example.com\"\ndatabase = \"prod\"\nlogin = \"a@example.com\"\n";

    fn read(more: &str) -> Settings {
        toml::from_str(&format!("{TABLE}{more}")).unwrap()
    }

    #[test]
    fn the_shortest_table_is_enough() {
        let settings = read("");
        assert_eq!(
            settings,
            Settings::new("https://erp.example.com", "prod", "a@example.com")
        );
        assert_eq!(settings.faults(), vec![]);
    }

    #[test]
    fn faults_name_their_key() {
        for (name, more, key) in [
            ("no calls", "calls_per_second = 0", "calls_per_second"),
            ("no interval", "poll = \"0s\"", "poll"),
            ("no slots", "max_concurrent_calls = 0", "max_concurrent_calls"),
            ("language", "language = \"de DE\"", "language"),
        ] {
            let faults = read(more).faults();
            assert_eq!(
                faults.iter().map(|(key, _)| *key).collect::<Vec<_>>(),
                [key],
                "{name}"
            );
        }
        for url in [
            "erp.example.com",
            "ftp://erp.example.com",
            "https://u:p@erp.example.com",
            "https://e/?a=1",
        ] {
            let settings = Settings::new(url, "prod", "a@example.com");
            assert_eq!(
                settings.faults().first().map(|(key, _)| *key),
                Some("url"),
                "{url}"
            );
        }
    }

    #[test]
    fn records_are_named_by_id_or_name_and_days_in_both_spellings() {
        let settings = read("company = 2\nwarehouse = \"Main\"\napi_key_expires = 2027-01-31");
        assert_eq!(settings.company, Some(Reference::Id(2)));
        assert_eq!(settings.warehouse, Some(Reference::Name("Main".to_owned())));
        assert_eq!(
            settings.api_key_expires,
            read("api_key_expires = \"2027-01-31\"").api_key_expires
        );
    }

    #[test]
    fn the_end_of_a_key_is_announced_fourteen_days_before() {
        let settings = read("api_key_expires = 2027-01-31");
        for (now, expected) in [
            ("2027-01-16T23:59:59Z", None),
            ("2027-01-17T00:00:00Z", Some("ends on 2027-01-31, in 14 days")),
            ("2027-01-31T12:00:00Z", Some("in 0 days")),
            ("2027-02-01T00:00:00Z", Some("ended on 2027-01-31")),
        ] {
            let warning = settings.expiry_warning(Timestamp::parse_rfc3339(now).unwrap());
            match expected {
                None => assert_eq!(warning, None, "{now}"),
                Some(part) => assert!(warning.unwrap().contains(part), "{now}"),
            }
        }
    }
}
