//! Declaring an endpoint in the configuration file for somebody, changing it, or taking it out ([`edit`](crate::app::edit)).

mod afar;
mod secret;
#[cfg(test)]
mod tests;
mod text;

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::app::edit::{EditError, Go, edit};
use crate::config::{Config, Environment};
use crate::domain::{SharedEntropy, ShopName};

/// Why an endpoint was not declared, changed or taken out. Nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum DeclareError {
    /// The file cannot be used or changed.
    #[error(transparent)]
    Edit(#[from] EditError),
    /// The name does not do.
    #[error("`{0}` is no name of an endpoint: take 1 to 40 of a-z, 0-9, `_` and `-`, starting with a letter")]
    Name(String),
    /// There is one of this name.
    #[error("the configuration has an endpoint `{0}` already")]
    There(String),
    /// There is none of this name.
    #[error("the configuration has no endpoint `{0}`")]
    Unknown(String),
    /// A value that a configuration cannot hold.
    #[error("`{key}` cannot be written: {reason}")]
    Value {
        /// Its key.
        key: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A value that would read something of the machine, from somebody who is not at it.
    #[error(
        "`{key}` names {what}: that can be declared at the machine only, by `lockstep notify` or in the file itself"
    )]
    Afar {
        /// Its key.
        key: String,
        /// What it names.
        what: &'static str,
    },
    /// The file of a new secret cannot be written.
    #[error("cannot write the new secret to {}; name a file of your own in `secrets_files`", path.display())]
    Secret {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// What is to become of an endpoint. Keys and values are those of `[notify.endpoints.NAME]`.
#[derive(Clone, Debug, PartialEq)]
pub enum Declare {
    /// It is declared.
    New(Map<String, Value>),
    /// These keys get these values; null takes one out, and a table is changed key by key.
    Changed(Map<String, Value>),
    /// It is taken out.
    Removed,
}

/// What somebody wants of one endpoint.
#[derive(Clone, Debug)]
pub struct Declaration {
    /// The endpoint's name.
    pub endpoint: String,
    /// What is to become of it.
    pub what: Declare,
    /// Whether it gets a new secret that signs, beside those that it has.
    pub new_secret: bool,
    /// Whether it is wanted over the network: then it names neither files nor variables of this machine.
    pub from_afar: bool,
}

/// What the file became, or would become.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Declared {
    /// The file.
    pub path: PathBuf,
    /// The endpoint.
    pub endpoint: String,
    /// The change as a unified difference; empty where nothing had to change. Addresses and secrets are overwritten.
    pub diff: String,
    /// Tells this change of this file from every other.
    pub hash: String,
    /// Whether the file was written.
    pub written: bool,
    /// Why the file was left alone although something had to change: the difference is to be committed where the file
    /// comes from.
    pub read_only: Option<String>,
    /// The file was another one when somebody agreed to the change: nothing was written.
    pub differs: bool,
    /// The new secret. It is shown this once, and kept in `secret_file`.
    pub secret: Option<String>,
    /// Where the new secret is kept.
    pub secret_file: Option<PathBuf>,
}

/// How far a declaration goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Extent {
    /// Only to what the file would become.
    Plan,
    /// It is written, if it is still the change that somebody agreed to, by its hash.
    Agreed(String),
    /// It is written.
    Write,
}

/// Changes the configuration file at `path`, or says what it would become.
///
/// # Errors
/// When the file cannot be read, used or changed so. Nothing was written then.
pub fn declare(
    path: &Path,
    wanted: &Declaration,
    extent: &Extent,
    entropy: &SharedEntropy,
) -> Result<Declared, DeclareError> {
    declare_with(path, wanted, extent, entropy, &|name| std::env::var(name).ok())
}

fn declare_with(
    path: &Path,
    wanted: &Declaration,
    extent: &Extent,
    entropy: &SharedEntropy,
    environment: Environment<'_>,
) -> Result<Declared, DeclareError> {
    let endpoint = &wanted.endpoint;
    // A shop's name has the same form.
    if endpoint.parse::<ShopName>().is_err() {
        return Err(DeclareError::Name(endpoint.clone()));
    }
    let go = match extent {
        Extent::Plan => Go::Plan,
        Extent::Agreed(hash) => Go::Agreed(hash),
        Extent::Write => Go::Write,
    };
    let (file, secret) = edit(path, go, environment, |text, config| {
        changed((text, path), &config, wanted, entropy, environment)
    })?;
    let made = match secret {
        Some(secret) if file.written => Some(secret.kept()),
        // Without the line that names it nobody would read it: it goes with what was planned.
        _ => None,
    };
    let (secret_file, secret) = made.unzip();
    Ok(Declared {
        path: path.to_owned(),
        endpoint: endpoint.clone(),
        diff: file.diff,
        hash: file.hash,
        written: file.written,
        read_only: file.read_only,
        differs: file.differs,
        secret,
        secret_file,
    })
}

/// The text with what is wanted, and the secret that was made for it.
fn changed(
    (text, path): (&str, &Path),
    config: &Config,
    wanted: &Declaration,
    entropy: &SharedEntropy,
    environment: Environment<'_>,
) -> Result<(String, Option<secret::SecretFile>), DeclareError> {
    let name = &wanted.endpoint;
    let is_there = config.notify.endpoints.contains_key(name);
    match (&wanted.what, is_there) {
        (Declare::New(_), true) => return Err(DeclareError::There(name.clone())),
        (Declare::Changed(_) | Declare::Removed, false) => return Err(DeclareError::Unknown(name.clone())),
        _ => {}
    }
    let layout = |reason: String| EditError::Layout {
        path: path.to_owned(),
        reason,
        wanted: format!("[notify.endpoints.{name}]"),
    };
    let mut secret = None;
    let values = match &wanted.what {
        Declare::Removed => None,
        Declare::New(values) | Declare::Changed(values) => {
            let now = text::endpoint(text, name);
            if wanted.from_afar {
                afar::checked(values, &now)?;
            }
            let mut values = values.clone();
            if wanted.new_secret {
                let made = secret::SecretFile::create(path, name, &new_secret(entropy))?;
                let others = values.get("secrets_files").or_else(|| now.get("secrets_files"));
                let others = others.and_then(Value::as_array).cloned().unwrap_or_default();
                let all = std::iter::once(Value::from(made.name())).chain(others);
                values.insert("secrets_files".to_owned(), all.collect());
                secret = Some(made);
            }
            Some(values)
        }
    };
    let new = match &values {
        None => text::without(text, name).map_err(layout)?,
        Some(values) => {
            text::checked(values)?;
            text::with(text, name, values).map_err(layout)?
        }
    };
    Config::parse(&new, path, environment).map_err(EditError::Refused)?;
    if !text::means(text, &new, name, values.as_ref()) {
        return Err(layout("the change would not mean what it should".to_owned()).into());
    }
    Ok((new, secret))
}

/// 32 random bytes, as the standard writes them.
fn new_secret(entropy: &SharedEntropy) -> String {
    let bytes = [entropy.bytes(), entropy.bytes()].concat();
    format!("whsec_{}", STANDARD.encode(bytes))
}
