//! `lockstep.toml`: what it may say, reading it, and telling exactly where it is wrong.
//!
//! Each module owns the settings of its section; here they are embedded, read together, and checked against each other.
//! Reading never stops at the first mistake: all of them are reported, each with file, line and caret. Deliberately
//! absent: reaching anything over the network (`lockstep check --live` does that), and writing the file.

mod alerts;
mod decode;
mod document;
mod expressions;
mod finding;
mod followed;
#[cfg(test)]
mod garbage;
mod redact;
mod sections;
#[cfg(test)]
mod tests;
mod validate;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use crate::domain::{Role, ShopName, Timestamp};
use crate::erp::odoo;
use crate::secret::Secret;
use crate::shopify::Credentials;
use crate::{http, queue, reconcile, shopify, store, sync, telemetry, transport};

pub use alerts::{AlertSection, Alerts, Contact, Owner, OwnerSection, Smtp, SmtpSection, SmtpTls};
pub use document::Environment;
pub(crate) use document::is_path;
pub use expressions::MappingExpressions;
pub use finding::{Finding, FindingReport, FindingRow, Findings, Level};
pub use followed::Followed;
pub use sections::{File, MappingFiles};
pub use validate::{is_account_name, is_local};

/// A commented file to begin with; `lockstep init` writes it.
pub const EXAMPLE: &str = include_str!("example.toml");

/// A configuration that was read and checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// The file it came from.
    pub path: PathBuf,
    /// `[store]`, with the path of an SQLite file made absolute.
    pub store: store::Settings,
    /// `[http]`.
    pub http: http::Settings,
    /// `[admin]`.
    pub admin: http::AdminSettings,
    /// The tokens that open the API.
    pub api_tokens: Vec<ApiToken>,
    /// `[queue]`.
    pub queue: queue::Settings,
    /// `[log]`.
    pub log: telemetry::Settings,
    /// `[mappings]`.
    pub mappings: MappingFiles,
    /// `[webhooks]`.
    pub webhooks: crate::subscriptions::WebhookSettings,
    /// `[alerts]` and `[owners]`.
    pub alerts: Alerts,
    /// `[notify]`, as it is written.
    pub notify: crate::notify::Settings,
    /// The endpoints of `[notify]`, by name in alphabetical order.
    pub endpoints: Vec<Arc<crate::notify::Endpoint>>,
    /// The shops; at least one.
    pub shops: BTreeMap<ShopName, Shop>,
    /// What should be looked at although it can be used.
    pub warnings: Findings,
    /// SHA-256 over everything that decides what is carried over how and who is told (shops, toggles, `public_url`, endpoints with
    /// their templates; of what is secret only where endpoints are, hashed once more), hexadecimal.
    pub hash: String,
    /// The files that endpoints name, as they were read.
    pub followed: Followed,
    /// SHA-256 over the text of the file.
    pub text_sha256: [u8; 32],
}

/// A token that opens the API.
#[derive(Clone, Debug)]
pub struct ApiToken {
    /// The token.
    pub secret: Secret,
    /// Who shows it.
    pub name: String,
    /// What they may.
    pub role: Role,
}

/// One shop, ready for use.
#[derive(Clone, Debug)]
pub struct Shop {
    /// Its name here.
    pub name: ShopName,
    /// Where Shopify's side is.
    pub shopify: shopify::Settings,
    /// How lockstep shows who it is.
    pub credentials: Credentials,
    /// Secrets that sign webhooks; at least one.
    pub webhook_secrets: Vec<Secret>,
    /// Older orders are left alone.
    pub start_at: Option<Timestamp>,
    /// Whose clocks its schedules are meant by.
    pub time_zone: chrono_tz::Tz,
    /// Who owns problems by default.
    pub owner: String,
    /// How Shopify is reached.
    pub connection: transport::Settings,
    /// The ERP.
    pub odoo: Odoo,
    /// The toggles.
    pub sync: crate::subscriptions::Settings,
    /// How records are carried over.
    pub flow: sync::Settings,
    /// What is carried over at all, and what waits for a person.
    pub rules: sync::Rules,
    /// When it is looked for what webhooks missed.
    pub runs: reconcile::Settings,
}

/// A shop's Odoo.
#[derive(Clone, Debug)]
pub struct Odoo {
    /// The server and what this shop uses there.
    pub server: odoo::Settings,
    /// API key.
    pub api_key: Secret,
    /// What Odoo's own webhooks show; without it none are taken.
    pub hint_token: Option<Secret>,
    /// How it is reached.
    pub connection: transport::Settings,
}

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration {}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It was read and is wrong, in each of these places (warnings are among them).
    #[error("{}", summary(.0))]
    Invalid(Box<Findings>),
}

fn summary(findings: &Findings) -> String {
    match findings.errors() {
        1 => "the configuration has an error".to_owned(),
        errors => format!("the configuration has {errors} errors"),
    }
}

impl Config {
    /// Reads and checks the file, with the process's environment variables.
    ///
    /// # Errors
    /// When the file cannot be read, or with everything that is wrong with it.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read {
            path: path.to_owned(),
            source,
        })?;
        Self::parse(&text, path, &|name| std::env::var(name).ok())
    }

    /// Checks a text as if it stood in the file `path`.
    ///
    /// # Errors
    /// With everything that is wrong with it.
    pub fn parse(text: &str, path: &Path, environment: Environment<'_>) -> Result<Self, ConfigError> {
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let folder = absolute.parent().unwrap_or(Path::new("/"));
        let (mut document, mut found) = document::Document::parse(text, folder);
        let shown = redact::redact(text, &document.root, !found.is_empty());
        let invalid =
            |found: Vec<Finding>| ConfigError::Invalid(Box::new(Findings::new(path, shown.as_str(), found)));
        if !found.is_empty() {
            return Err(invalid(found));
        }
        found.extend(document.prepare(environment));
        let followed = Followed::read(&document.root);
        let (file, wrong) = decode::decode::<File>(&sections::split_odoo(&document.root));
        found.extend(wrong);
        let checked = validate::validate(&document, file, &mut found);
        if found.iter().any(|finding| finding.level == Level::Error) {
            return Err(invalid(found));
        }
        let Some(checked) = checked else {
            found.push(Finding::error(0..0, "the configuration cannot be used"));
            return Err(invalid(found));
        };
        Ok(Self {
            path: absolute.clone(),
            store: checked.store,
            http: checked.http,
            admin: checked.admin,
            api_tokens: checked.api_tokens,
            queue: checked.queue,
            log: checked.log,
            mappings: checked.mappings,
            webhooks: checked.webhooks,
            alerts: checked.alerts,
            notify: checked.notify,
            endpoints: checked.endpoints,
            shops: checked.shops,
            warnings: Findings::new(path, shown, found),
            hash: hash(&document.root, &followed),
            followed,
            text_sha256: Sha256::digest(text).into(),
        })
    }
}

/// Shops, toggles, flows and endpoints as they are after `${NAME}` was filled in, and where webhooks are sent to; without
/// secrets.
fn hash(root: &toml::de::DeTable<'_>, followed: &Followed) -> String {
    let mut public = redact::public_json(root, followed);
    if let Some(sections) = public.as_object_mut() {
        sections.retain(|name, section| {
            if name == "http" {
                if let Some(keys) = section.as_object_mut() {
                    keys.retain(|key, _| key == "public_url");
                }
                return section.as_object().is_some_and(|keys| !keys.is_empty());
            }
            matches!(name.as_str(), "shops" | "notify")
        });
    }
    hex::encode(Sha256::digest(public.to_string()))
}

/// The text with every secret overwritten by `*`, byte for byte, as excerpts show it.
pub fn redacted(text: &str) -> String {
    let (root, errors) = toml::de::DeTable::parse_recoverable(text);
    redact::redact(text, root.get_ref(), !errors.is_empty())
}

/// The file's schema (JSON Schema 2020-12), from which editors complete and check.
pub fn schema() -> serde_json::Value {
    let mut schema = schemars::schema_for!(File).to_value();
    if let Some(object) = schema.as_object_mut() {
        object.insert("title".into(), "lockstep.toml".into());
    }
    schema
}
