//! `[alerts]` and `[owners.NAME]`: who is told of what needs a person, by which way, and what they are told of.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::secret::Secret;
use crate::transport;

/// `[alerts]`: what people are told of without looking, and how. Nothing is sent while neither `email` nor `chat_url` is set
/// here or for an owner.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AlertSection {
    /// Addresses that get what is not an owner's with a contact of their own.
    pub email: Vec<String>,
    /// A chat's incoming webhook for the same: it is sent JSON with one key, `text` (as Slack, Mattermost and Rocket.Chat take
    /// it).
    #[schemars(with = "Option<String>")]
    pub chat_url: Option<SecretString>,
    /// File that holds that address; read again when it changes.
    pub chat_url_file: Option<PathBuf>,
    /// How chats are reached.
    pub connection: Option<transport::Settings>,
    /// The mail server. Needed where an address is set.
    pub smtp: Option<SmtpSection>,
    /// Tells of orders that have had no record in the ERP for so many minutes; 0 tells of none.
    pub late_order_minutes: u32,
    /// Tells of a system that has not answered for so many minutes.
    pub breaker_minutes: u32,
    /// Tells of a shop from which nothing has come for much longer than usual at this time of the week.
    pub silence: bool,
    /// Tells of so many deliveries with a wrong signature within an hour; 0 tells of none.
    pub refused_signatures: u32,
    /// SQLite: tells when the store's disk has less room than so many megabytes; 0 never tells.
    pub disk_free_mb: u64,
    /// A message to one recipient is written so many minutes after the last one at the earliest, and holds all that is new.
    pub every_minutes: u32,
    /// A digest of what is open and of the last day is sent at this time (UTC) every day, e.g. `07:30`.
    pub daily_at: Option<String>,
    /// Where people reach the console, e.g. `https://lockstep.example.com`: messages lead there. Default: they name the page.
    pub console_url: Option<String>,
    /// Whether messages quote what problems say of records. That may name customers.
    pub quote_reasons: bool,
}

impl Default for AlertSection {
    fn default() -> Self {
        Self {
            email: Vec::new(),
            chat_url: None,
            chat_url_file: None,
            connection: None,
            smtp: None,
            late_order_minutes: 60,
            breaker_minutes: 5,
            silence: true,
            refused_signatures: 20,
            disk_free_mb: 500,
            every_minutes: 5,
            daily_at: None,
            console_url: None,
            quote_reasons: false,
        }
    }
}

/// `[alerts.smtp]`: the mail server.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SmtpSection {
    /// Its name, e.g. `mail.example.com`.
    pub host: String,
    /// Its port. Default: 587 with `starttls`, 465 with `tls`, 25 without either.
    pub port: Option<u16>,
    /// How the connection is kept secret.
    pub tls: SmtpTls,
    /// Who logs in, where the server wants that.
    pub user: Option<String>,
    /// Their password.
    #[schemars(with = "Option<String>")]
    pub password: Option<SecretString>,
    /// File that holds the password; read again when it changes.
    pub password_file: Option<PathBuf>,
    /// Who writes, e.g. `lockstep@example.com` or `lockstep <lockstep@example.com>`.
    pub from: String,
    /// File with certificates (PEM) that are trusted besides the operating system's.
    pub ca_file: Option<PathBuf>,
}

/// How the connection to the mail server is kept secret.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SmtpTls {
    /// It begins in the open and must change to TLS before anything else is said.
    #[default]
    Starttls,
    /// TLS from the first byte.
    Tls,
    /// Not at all: only for a mail server on this machine.
    None,
}

/// `[owners.NAME]`: somebody who looks after problems. NAME is what mappings and shops name as `owner`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct OwnerSection {
    /// Addresses that get their alerts.
    pub email: Vec<String>,
    /// A chat's incoming webhook that gets their alerts.
    #[schemars(with = "Option<String>")]
    pub chat_url: Option<SecretString>,
    /// File that holds that address; read again when it changes.
    pub chat_url_file: Option<PathBuf>,
    /// Codes of problems that are theirs, whatever mapping or shop they come from.
    pub codes: Vec<String>,
}

/// Who is told, and of what.
#[derive(Clone, Debug)]
pub struct Alerts {
    /// What people are told of.
    pub settings: AlertSection,
    /// The mail server.
    pub smtp: Option<Smtp>,
    /// How chats are reached.
    pub connection: transport::Settings,
    /// Who gets what is not an owner's with a contact of their own.
    pub general: Contact,
    /// The owners, by name.
    pub owners: BTreeMap<String, Owner>,
    /// Minute of the day (UTC) at which the digest is sent.
    pub daily_minute: Option<u16>,
}

/// The mail server.
#[derive(Clone, Debug)]
pub struct Smtp {
    /// Its name.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is kept secret.
    pub tls: SmtpTls,
    /// Who logs in, with which password.
    pub login: Option<(String, Secret)>,
    /// Who writes.
    pub from: String,
    /// Certificates that are trusted besides the operating system's.
    pub ca_file: Option<PathBuf>,
}

/// Where somebody is reached.
#[derive(Clone, Debug, Default)]
pub struct Contact {
    /// By mail.
    pub email: Vec<String>,
    /// By a chat's webhook.
    pub chat: Option<Secret>,
}

impl Contact {
    /// Whether there is no way.
    pub fn is_empty(&self) -> bool {
        self.email.is_empty() && self.chat.is_none()
    }
}

/// Somebody who looks after problems.
#[derive(Clone, Debug, Default)]
pub struct Owner {
    /// Where they are reached.
    pub contact: Contact,
    /// Codes of problems that are theirs.
    pub codes: Vec<String>,
}
