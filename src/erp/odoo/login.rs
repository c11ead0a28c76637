//! Logging in: version, protocol, user, company.
//!
//! One login serves all workers, until its key is replaced in the file that it comes from. A refused key is read again from its file; one that is still refused is not tried again
//! for a while, since each try costs Odoo a second of CPU.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Map, Value, json};

use super::call::Call;
use super::fault::short;
use super::session::Session;
use super::settings::{Protocol, Reference};
use super::value;
use crate::domain::{ErpId, Timestamp};
use crate::erp::{About, ErpError};
use crate::transport::Failure;

/// How long a refused key is not tried again.
const REFUSAL_PAUSE: Duration = Duration::from_secs(15);

/// What a login found out.
#[derive(Debug)]
pub(super) struct Login {
    pub(super) about: About,
    pub(super) json2: bool,
    pub(super) uid: i64,
    /// The company that every call names.
    pub(super) company: ErpId,
    /// The API user's e-mail.
    pub(super) email: Option<String>,
    pub(super) key: SecretString,
    /// What every call carries: language, time zone, company.
    pub(super) context: Map<String, Value>,
}

/// A key that was refused.
pub(super) struct Refusal {
    key: SecretString,
    at: Timestamp,
    message: String,
}

impl Session {
    /// Our login, made now if there is none.
    pub(super) async fn login(&self) -> Result<Arc<Login>, ErpError> {
        match self.known_login() {
            Some(login) if self.is_of_another_key(&login) => self.renew(&login).await,
            Some(login) if self.take_doubt() => Box::pin(self.verified(login)).await,
            Some(login) => Ok(login),
            None => Box::pin(self.enter(None)).await,
        }
    }

    /// The login when the server still is what it was, else a new one.
    async fn verified(&self, login: Arc<Login>) -> Result<Arc<Login>, ErpError> {
        match self.discover().await {
            Ok(about) if about == login.about => Ok(login),
            Ok(about) => {
                tracing::info!(shop = %self.shop(), was = %login.about.version, is = %about.version, "Odoo has another version now");
                self.enter(Some(&login)).await
            }
            Err(error) => {
                self.doubt_version();
                Err(error)
            }
        }
    }

    /// Whether the key in the file is another one now. The old one may go on working for a while; whoever made a new one
    /// means it to be used, and not first when the old one ends.
    fn is_of_another_key(&self, login: &Login) -> bool {
        let current = self.secret.current();
        current.is_ok_and(|key| key.expose_secret() != login.key.expose_secret())
    }

    /// A login in place of one that was refused, or of a key that was replaced.
    pub(super) async fn renew(&self, refused: &Arc<Login>) -> Result<Arc<Login>, ErpError> {
        Box::pin(self.enter(Some(refused))).await
    }

    async fn enter(&self, refused: Option<&Arc<Login>>) -> Result<Arc<Login>, ErpError> {
        let mut last = self.entrance.lock().await;
        // Somebody else may have been here while we waited.
        if let Some(login) = self.known_login()
            && refused.is_none_or(|refused| !Arc::ptr_eq(refused, &login))
        {
            return Ok(login);
        }
        if refused.is_some() {
            self.secret.refresh();
        }
        let key = self.secret.current().map_err(|error| ErpError::Refused {
            message: error.to_string(),
        })?;
        if let Some(refusal) = &*last
            && refusal.key.expose_secret() == key.expose_secret()
            && self.now().since(refusal.at) < REFUSAL_PAUSE
        {
            return Err(ErpError::Refused {
                message: refusal.message.clone(),
            });
        }
        match self.log_in(key.clone()).await {
            Ok(login) => {
                let login = Arc::new(login);
                *last = None;
                *self.login.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&login));
                Ok(login)
            }
            Err(error) => {
                if let ErpError::Refused { message } = &error {
                    *self.login.write().unwrap_or_else(PoisonError::into_inner) = None;
                    *last = Some(Refusal {
                        key,
                        at: self.now(),
                        message: message.clone(),
                    });
                }
                Err(error)
            }
        }
    }

    async fn log_in(&self, key: SecretString) -> Result<Login, ErpError> {
        let about = self.discover().await?;
        let json2 = about.protocol == "json-2";
        let mut login = Login {
            about,
            json2,
            uid: 0,
            company: ErpId(0),
            email: None,
            key,
            context: Map::new(),
        };
        let uid = if json2 {
            let own = self
                .exchange(&login, &Call::read("res.users", "context_get"))
                .await?;
            own["uid"].as_i64()
        } else {
            let settings = self.settings();
            let args = json!([settings.database, settings.login, login.key.expose_secret(), {}]);
            self.service("common", "authenticate", &args).await?.as_i64()
        }
        .filter(|uid| *uid > 0);
        login.uid = match uid {
            Some(uid) => uid,
            None => {
                let refused = ErpError::Refused {
                    message: "login or API key are not accepted; an expired key looks the same".to_owned(),
                };
                // A log-in is refused with a good answer that names nobody.
                self.count_failure("authenticate", Some(&refused));
                return Err(refused);
            }
        };
        let profile = Call::read("res.users", "read").on([ErpId(login.uid)]).arg(
            "fields",
            json!(["login", "email", "lang", "company_id", "company_ids"]),
        );
        let profile = self.exchange(&login, &profile).await?;
        let profile = &profile[0];
        if json2
            && profile["login"]
                .as_str()
                .is_some_and(|name| name != self.settings().login)
        {
            return Err(ErpError::Refused {
                message: format!(
                    "the API key belongs to the user {}, not to {}",
                    profile["login"].as_str().unwrap_or_default(),
                    self.settings().login
                ),
            });
        }
        let lang = self.settings().language.as_deref();
        let lang = lang.or_else(|| profile["lang"].as_str()).unwrap_or("en_US");
        login.context.insert("lang".to_owned(), json!(lang));
        login.context.insert("tz".to_owned(), json!("UTC"));
        login.email = profile["email"].as_str().map(str::to_owned);
        login.company = self.company(&login, &profile["company_id"]).await?;
        // Otherwise every single call would be refused, and every job would look like a missing right.
        if let Some(allowed) = value::records(&profile["company_ids"])
            && !allowed.is_empty()
            && !allowed.contains(&login.company)
        {
            return Err(ErpError::Misconfigured {
                message: format!(
                    "the API user may not work in the company {}: add it to the user's allowed companies",
                    self.settings()
                        .company
                        .as_ref()
                        .map_or_else(String::new, ToString::to_string)
                ),
            });
        }
        login
            .context
            .insert("allowed_company_ids".to_owned(), json!([login.company.0]));
        tracing::info!(
            shop = %self.shop(),
            version = %login.about.version,
            protocol = %login.about.protocol,
            company = login.company.0,
            "logged in to Odoo"
        );
        Ok(login)
    }

    /// The declared company, else the user's own.
    async fn company(&self, login: &Login, own: &Value) -> Result<ErpId, ErpError> {
        let own = own[0].as_i64().or_else(|| own.as_i64()).map(ErpId);
        match &self.settings().company {
            Some(Reference::Id(id)) => Ok(ErpId(*id)),
            Some(Reference::Name(name)) => {
                let search = Call::read("res.company", "search_read")
                    .arg("domain", json!([["name", "=", name]]))
                    .arg("fields", json!(["name"]))
                    .option("limit", 2);
                let found = self.exchange(login, &search).await?;
                match found.as_array().map(Vec::as_slice) {
                    Some([company]) => company["id"].as_i64().map(ErpId),
                    _ => None,
                }
                .ok_or_else(|| ErpError::Misconfigured {
                    message: format!(
                        "there is no company `{name}` that the API user may use (or there are several)"
                    ),
                })
            }
            None => own.ok_or_else(|| ErpError::Nonsense {
                model: "res.users".to_owned(),
                method: "read".to_owned(),
                message: "the API user has no company".to_owned(),
            }),
        }
    }

    /// Version and protocol of the server.
    async fn discover(&self) -> Result<About, ErpError> {
        let wanted = self.settings().protocol;
        let version = if wanted == Protocol::Json2 {
            self.get("version", "/json/version").await?
        } else {
            match self.service("common", "version", &json!([])).await {
                // JSON-RPC goes away with Odoo 22: then only the newer address answers.
                Err(ErpError::Unreachable(Failure::Page { status: 404, .. })) if wanted == Protocol::Auto => {
                    self.get("version", "/json/version").await?
                }
                other => other?,
            }
        };
        let text = |name: &str| version[name].as_str().map(str::to_owned);
        let full = text("server_version").or_else(|| text("version"));
        let major = text("server_serie")
            .as_deref()
            .and_then(major)
            .or_else(|| full.as_deref().and_then(major));
        let (Some(full), Some(major)) = (full, major) else {
            return Err(ErpError::Nonsense {
                model: "common".to_owned(),
                method: "version".to_owned(),
                message: "it names no version: is this an Odoo server?".to_owned(),
            });
        };
        if major < 17 {
            return Err(ErpError::Misconfigured {
                message: format!("Odoo {full} is too old: 17 or later is needed"),
            });
        }
        if wanted == Protocol::Json2 && major < 19 {
            return Err(ErpError::Misconfigured {
                message: format!("Odoo {full} does not speak JSON-2: use protocol = \"jsonrpc\" or \"auto\""),
            });
        }
        let json2 = wanted == Protocol::Json2 || (wanted == Protocol::Auto && major >= 19);
        Ok(About {
            product: "odoo".to_owned(),
            version: short(&full),
            major,
            protocol: if json2 { "json-2" } else { "json-rpc" }.to_owned(),
        })
    }
}

/// The first number of a version: 18 of `18.0-20250421` and of `saas~18.2`.
fn major(version: &str) -> Option<u32> {
    let digits: String = version
        .chars()
        .skip_while(|c| !c.is_ascii_digit())
        .take_while(char::is_ascii_digit)
        .collect();
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_version_is_read_leniently() {
        for (text, expected) in [
            ("18.0", Some(18)),
            ("18.0-20250421", Some(18)),
            ("saas~18.2", Some(18)),
            ("19.0+e", Some(19)),
            ("", None),
            ("master", None),
            ("99999999999", None),
        ] {
            assert_eq!(major(text), expected, "{text}");
        }
    }
}
