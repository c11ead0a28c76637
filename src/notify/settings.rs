//! `[notify]` and `[notify.endpoints.NAME]`, as they are written. Everything is optional here; what must be there, and what it
//! must be, is checked in [`check`](super::check).

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::pace::{EndpointPriority, Rate};
use super::signature::HmacEncoding;
use crate::domain::{Interval, Network, RetryPolicy};

/// `[notify]`: what other systems are told by webhooks of lockstep's own.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Networks that endpoints may be in although they are not public, e.g. `["10.1.2.0/24"]`.
    pub allow_networks: Vec<Network>,
    /// Deliveries that ended are kept for so many days.
    pub keep_days: u32,
    /// An endpoint that has taken nothing for so many hours, though it was sent something, is paused; 0 pauses none.
    pub pause_after_hours: u32,
    /// The endpoints, by name: 1 to 40 of `a-z`, `0-9`, `_`, `-`, starting with a letter. Deliveries are kept under it.
    pub endpoints: BTreeMap<String, EndpointSection>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            allow_networks: Vec::new(),
            keep_days: 30,
            pause_after_hours: 24,
            endpoints: BTreeMap::new(),
        }
    }
}

/// `[notify.endpoints.NAME]`: one receiver. `Debug` shows no secret.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is written by itself in the file"
)]
pub struct EndpointSection {
    /// Where to send, e.g. `https://hooks.example.com/lockstep`. Addresses that are secrets themselves (of chats, of automation
    /// services) are better kept in `url_file`.
    #[schemars(with = "Option<String>")]
    pub url: Option<SecretString>,
    /// File that holds the address; read again when it changes.
    pub url_file: Option<PathBuf>,
    /// Which events it gets: names (`order.synced`), `order.*` for all about orders, `*.failed`, or `*` for all.
    pub events: Vec<String>,
    /// Of which shops. Empty: of all, and what belongs to no shop.
    pub shops: Vec<String>,
    /// It gets only those for which this holds, e.g. `order.totals.total > ("1000" | decimal)`: an expression as in mappings.
    pub condition: Option<String>,
    /// Whether it is sent anything.
    pub state: EndpointState,
    /// What becomes of events while it is paused.
    pub when_paused: WhenPaused,
    /// Secrets that sign (`whsec_…`); several while one is being rotated: all of them sign.
    #[schemars(with = "Vec<String>")]
    pub secrets: Vec<SecretString>,
    /// Files that hold such secrets; read again when they change. What a file held before signs for 24 hours more, but not after
    /// a restart: to rotate a secret without any gap, name a second file, and take the old one out when all receivers
    /// have changed over.
    pub secrets_files: Vec<PathBuf>,
    /// A header more with a plain HMAC-SHA256 over the body, for receivers that expect that.
    pub hmac: Option<HmacSection>,
    /// How lockstep identifies itself to the receiver.
    pub auth: Option<AuthSection>,
    /// Headers sent with every request.
    pub headers: Headers,
    /// PEM file with lockstep's own certificate and its private key; taken up when it changes. It is shown to the endpoint's own
    /// address, and not where a redirect leads to another host.
    pub client_certificate_file: Option<PathBuf>,
    /// PEM file with certificates to trust besides the operating system's; taken up when it changes.
    pub ca_file: Option<PathBuf>,
    /// Whether an address without TLS may be used.
    pub allow_http: bool,
    /// How many redirects are followed, up to 5. Only those that keep the method are, and each is checked as the address is.
    #[schemars(range(max = 5))]
    pub redirects: u8,
    /// How long an attempt may take, e.g. `5s`.
    pub timeout: Interval,
    /// How long connecting may take of that.
    pub connect_timeout: Interval,
    /// Whose deliveries are looked at first.
    pub priority: EndpointPriority,
    /// Whether a newer waiting event of the same type about the same record replaces the older one.
    pub unique: bool,
    /// Whether it is told, too, of records of which nothing had to be done (`*.synced` with the status `skipped`). Every echo of
    /// our own writes is one.
    pub skipped: bool,
    /// The most requests in a time, e.g. `50/s`, `100/m`, `1000/h`.
    pub rate: Option<Rate>,
    /// Requests under way at once.
    #[schemars(range(min = 1, max = 100))]
    pub concurrency: u32,
    /// Up to so many events are sent in one request.
    #[schemars(range(min = 1, max = 100))]
    pub batch: u32,
    /// How often and how patiently it is tried.
    pub retry: RetryPolicy,
    /// What is sent. Default: the event as JSON.
    pub body: Option<BodySection>,
    /// What is sent besides the envelope.
    pub include: Vec<Include>,
    /// Whether names, addresses and whatever else tells of a person may be sent.
    pub personal_data: bool,
    /// What it is for.
    pub description: Option<String>,
    /// Who looks after it, and is told when it fails.
    pub owner: Option<String>,
}

impl Default for EndpointSection {
    fn default() -> Self {
        Self {
            url: None,
            url_file: None,
            events: Vec::new(),
            shops: Vec::new(),
            condition: None,
            state: EndpointState::Active,
            when_paused: WhenPaused::Keep,
            secrets: Vec::new(),
            secrets_files: Vec::new(),
            hmac: None,
            auth: None,
            headers: Headers::default(),
            client_certificate_file: None,
            ca_file: None,
            allow_http: false,
            redirects: 0,
            timeout: Interval(Duration::from_secs(5)),
            connect_timeout: Interval(Duration::from_secs(3)),
            priority: EndpointPriority::Normal,
            unique: false,
            skipped: false,
            rate: None,
            concurrency: 4,
            batch: 1,
            retry: RetryPolicy::default(),
            body: None,
            include: Vec::new(),
            personal_data: false,
            description: None,
            owner: None,
        }
    }
}

/// Whether an endpoint is sent anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum EndpointState {
    /// It is.
    #[default]
    Active,
    /// It is not.
    Paused,
}

/// What becomes of events while their endpoint is paused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum WhenPaused {
    /// They wait.
    #[default]
    Keep,
    /// They are not kept for it.
    Discard,
}

/// What is sent besides the envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Include {
    /// The whole record.
    Record,
    /// Records that belong to it.
    Related,
    /// Changed fields with their values before and after.
    Values,
}

/// `[notify.endpoints.NAME.hmac]`: a plain HMAC-SHA256 over the body.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HmacSection {
    /// Name of the header, e.g. `X-Hub-Signature-256`.
    pub header: String,
    /// How it is written.
    pub encoding: HmacEncoding,
    /// What stands before it, e.g. `sha256=`.
    pub prefix: String,
    /// Its key: the text itself.
    #[schemars(with = "Option<String>")]
    pub secret: Option<SecretString>,
    /// File that holds the key; read again when it changes.
    pub secret_file: Option<PathBuf>,
}

/// `[notify.endpoints.NAME.auth]`: either user and password, or a token.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AuthSection {
    /// User, for HTTP Basic.
    pub user: Option<String>,
    /// The user's password.
    #[schemars(with = "Option<String>")]
    pub password: Option<SecretString>,
    /// File that holds the password; read again when it changes.
    pub password_file: Option<PathBuf>,
    /// Token, sent as `Authorization: Bearer …`.
    #[schemars(with = "Option<String>")]
    pub bearer: Option<SecretString>,
    /// File that holds the token; read again when it changes.
    pub bearer_file: Option<PathBuf>,
}

/// `[notify.endpoints.NAME.body]`: a body of one's own.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BodySection {
    /// Text with merge fields, e.g. `{"text": "Order {{ event.object.name }} is in the ERP"}`.
    pub template: Option<String>,
    /// File that holds it; taken up when it is saved, as this file is.
    pub template_file: Option<PathBuf>,
    /// Its mime type, by which values are escaped: JSON, XML, Markdown or plain text.
    pub mime: String,
}

impl Default for BodySection {
    fn default() -> Self {
        Self {
            template: None,
            template_file: None,
            mime: super::render::JSON.to_owned(),
        }
    }
}

/// Headers by name. `Debug` shows the names only.
#[derive(Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Headers(pub BTreeMap<String, String>);

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
