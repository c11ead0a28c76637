//! Where a shop is and how it is spoken to.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::secret::Secret;
use crate::transport::BuildError;

/// The API version that the queries are written for.
pub const PINNED_VERSION: &str = "2026-10";

/// One shop's address and choices. Holds no secrets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The shop's permanent domain, e.g. `main-store.myshopify.com`.
    pub domain: String,
    /// Admin API version, e.g. `2026-10`.
    #[serde(default = "pinned_version")]
    pub api_version: String,
    /// Another address for the same API (a proxy, a stand-in), e.g. `http://127.0.0.1:4010`.
    #[serde(default)]
    pub base_url: Option<String>,
    /// In which currency orders are booked: the shop's own, or the one that the buyer paid in.
    #[serde(default)]
    pub currency: CurrencyChoice,
}

fn pinned_version() -> String {
    PINNED_VERSION.to_owned()
}

/// Which of the two amounts that Shopify keeps of everything is used, throughout an order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CurrencyChoice {
    /// The shop's currency (`shopMoney`).
    #[default]
    Shop,
    /// The buyer's currency (`presentmentMoney`).
    Presentment,
}

/// How lockstep proves to the shop who it is.
#[derive(Clone, Debug)]
pub enum Credentials {
    /// A token that does not expire (an app made in the shop's admin).
    Token(Secret),
    /// An app of the shop's own organisation asks for a token of 24 hours, again and again
    /// (<https://shopify.dev/docs/apps/build/authentication-authorization/access-tokens/client-credentials-grant>).
    ClientCredentials {
        /// The app's client id.
        client_id: String,
        /// The app's client secret.
        client_secret: Secret,
    },
}

impl Credentials {
    /// Whether both are the same app's, with secrets from the same place.
    pub fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Token(one), Self::Token(two)) => one.is_same(two),
            (
                Self::ClientCredentials {
                    client_id: one_id,
                    client_secret: one,
                },
                Self::ClientCredentials {
                    client_id: two_id,
                    client_secret: two,
                },
            ) => one_id == two_id && one.is_same(two),
            _ => false,
        }
    }
}

impl Settings {
    /// Settings for a shop, everything else as by default.
    pub fn new(domain: impl Into<String>) -> Self {
        Self {
            domain: domain.into(),
            api_version: pinned_version(),
            base_url: None,
            currency: CurrencyChoice::Shop,
        }
    }

    /// The domain as Shopify spells it.
    pub(super) fn domain(&self) -> String {
        self.domain.to_ascii_lowercase()
    }

    /// The address of the shop without a slash at the end.
    ///
    /// # Errors
    /// When the domain, the version or the address cannot be right.
    pub(super) fn address(&self) -> Result<String, BuildError> {
        let invalid = |what: &str, reason: &str| BuildError::Invalid {
            what: what.to_owned(),
            reason: reason.to_owned(),
        };
        let domain = self.domain();
        let handle = domain.strip_suffix(".myshopify.com").unwrap_or("");
        let plain = |text: &str| {
            text.bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        };
        if handle.is_empty() || !plain(handle) {
            return Err(invalid(
                "domain",
                "it must be the shop's permanent domain, e.g. main-store.myshopify.com",
            ));
        }
        if self.api_version.is_empty() || !plain(&self.api_version) {
            return Err(invalid("api_version", "it must look like 2026-10"));
        }
        let Some(base) = &self.base_url else {
            return Ok(format!("https://{domain}"));
        };
        let url = reqwest::Url::parse(base)
            .map_err(|_| invalid("base_url", "it is no address such as http://127.0.0.1:4010"))?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() || url.query().is_some() {
            return Err(invalid(
                "base_url",
                "it must begin with http:// or https:// and have no query",
            ));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(invalid("base_url", "it must not hold a user or a password"));
        }
        Ok(base.trim_end_matches('/').to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_checked_when_connecting() {
        for (domain, version, base, expected) in [
            (
                "a-1.myshopify.com",
                "2026-10",
                None,
                Some("https://a-1.myshopify.com"),
            ),
            (
                "a.myshopify.com",
                "unstable",
                Some("http://127.0.0.1:4010/"),
                Some("http://127.0.0.1:4010"),
            ),
            (
                "Main-Store.myshopify.com",
                "2026-10",
                None,
                Some("https://main-store.myshopify.com"),
            ),
            ("example.com", "2026-10", None, None),
            ("https://a.myshopify.com", "2026-10", None, None),
            (".myshopify.com", "2026-10", None, None),
            ("a.myshopify.com", "2026-10/x", None, None),
            ("a.myshopify.com", "", None, None),
            ("a.myshopify.com", "2026-10", Some("127.0.0.1:4010"), None),
            ("a.myshopify.com", "2026-10", Some("ftp://x"), None),
            ("a.myshopify.com", "2026-10", Some("https://u:p@x"), None),
        ] {
            let settings = Settings {
                api_version: version.to_owned(),
                base_url: base.map(str::to_owned),
                ..Settings::new(domain)
            };
            assert_eq!(settings.address().ok().as_deref(), expected, "{domain} {base:?}");
        }
    }
}
