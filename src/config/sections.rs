//! The file's sections as they are written: the types from which the schema for editors is generated. Everything is
//! optional here; what must be there is checked in `validate`, where a missing key gets a better message.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use secrecy::SecretString;
use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::alerts::{AlertSection, OwnerSection};
use crate::erp::odoo;
use crate::shopify::CurrencyChoice;
use crate::{http, notify, queue, reconcile, store, subscriptions, sync, telemetry, transport};

/// `lockstep.toml`. Every text may hold `${NAME}` for an environment variable (`$${` for the characters `${`). Paths are
/// relative to this file.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct File {
    /// Where durable state lives.
    pub store: store::Settings,
    /// The public listener, that Shopify reaches.
    pub http: http::Settings,
    /// The listener for people and programs of your own.
    pub admin: http::AdminSettings,
    /// How work is carried out.
    pub queue: queue::Settings,
    /// What is logged, and how.
    pub log: telemetry::Settings,
    /// Where your own mapping files are.
    pub mappings: MappingFiles,
    /// How the webhook subscriptions on Shopify are watched.
    pub webhooks: subscriptions::WebhookSettings,
    /// What people are told of without looking, and how.
    pub alerts: AlertSection,
    /// What other systems are told, by webhooks of lockstep's own.
    pub notify: notify::Settings,
    /// Who looks after problems, by the name that mappings and shops give them.
    pub owners: BTreeMap<String, OwnerSection>,
    /// The shops, by name: 1 to 40 of `a-z`, `0-9`, `_`, `-`, starting with a letter. A name becomes part of the ERP's external
    /// ids: it must not change later.
    pub shops: BTreeMap<String, ShopSection>,
}

/// `[mappings]`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MappingFiles {
    /// A folder with mapping files that replace the shipped ones file by file, e.g. `mappings`.
    pub dir: Option<PathBuf>,
}

/// `[shops.NAME]`: one Shopify store with its ERP.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ShopSection {
    /// The store's permanent name, e.g. `main-store.myshopify.com`.
    pub domain: Option<String>,
    /// Version of Shopify's Admin API, e.g. `2026-10`.
    pub api_version: Option<String>,
    /// Access token of a custom app (`shpat_…`).
    #[schemars(with = "Option<String>")]
    pub access_token: Option<SecretString>,
    /// File that holds the access token; read again when it changes.
    pub access_token_file: Option<PathBuf>,
    /// Client id of an app from the developer dashboard (client credentials grant).
    pub client_id: Option<String>,
    /// Client secret that belongs to `client_id`.
    #[schemars(with = "Option<String>")]
    pub client_secret: Option<SecretString>,
    /// File that holds the client secret; read again when it changes.
    pub client_secret_file: Option<PathBuf>,
    /// Secrets that sign this shop's webhooks; several while one is being rotated. Default: the client secret.
    #[schemars(with = "Vec<String>")]
    pub webhook_secrets: Vec<SecretString>,
    /// Files that hold such secrets; read again when they change.
    pub webhook_secrets_files: Vec<PathBuf>,
    /// Another address for the same API: a sandbox, a proxy.
    pub base_url: Option<String>,
    /// Which of the two amounts that Shopify keeps of everything is booked: in the shop's currency, or in the buyer's.
    pub currency: CurrencyChoice,
    /// Orders made before this time are recorded and left alone, e.g. `2026-11-01T00:00:00Z`. Default: the first start.
    pub start_at: Option<String>,
    /// Whose clocks the shop's schedules are meant by, e.g. `Europe/Berlin`. Default: `UTC`.
    pub time_zone: Option<String>,
    /// Who is told about problems that no mapping assigns to somebody else.
    pub owner: Option<String>,
    /// How Shopify is reached.
    pub connection: Option<transport::Settings>,
    /// The ERP of this shop.
    pub odoo: OdooSection,
    /// What is carried over.
    pub sync: subscriptions::Settings,
    /// How it is carried over.
    pub flow: sync::Settings,
    /// Which records are carried over at all.
    pub scope: sync::ScopeSettings,
    /// What waits for a person before it is written.
    pub review: sync::ReviewSettings,
    /// When it is looked for what webhooks missed.
    pub runs: reconcile::Settings,
}

/// `[shops.NAME.odoo]`. In the file its keys stand side by side; before they are read, those of [`OdooAccess`] are moved
/// into a table of their own (see [`split_odoo`]).
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OdooSection {
    /// The server and what this shop uses there.
    pub server: Option<odoo::Settings>,
    /// The key, and how the server is reached.
    pub access: OdooAccess,
}

/// The part of `[shops.NAME.odoo]` that the ERP client gets apart from its settings.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct OdooAccess {
    /// API key of the API user.
    #[schemars(with = "Option<String>")]
    pub api_key: Option<SecretString>,
    /// File that holds the API key; read again when it changes and when Odoo refuses the key.
    pub api_key_file: Option<PathBuf>,
    /// Token that Odoo's own webhooks show (see `docs/guides/odoo-hints.md`): at least 16 characters that nobody can guess.
    /// Without one, hints are refused.
    #[schemars(with = "Option<String>")]
    pub hint_token: Option<SecretString>,
    /// File that holds that token; read again when it changes.
    pub hint_token_file: Option<PathBuf>,
    /// How Odoo is reached.
    pub connection: Option<transport::Settings>,
}

/// The keys of [`OdooAccess`].
pub(super) const ODOO_ACCESS: &[&str] = &[
    "api_key",
    "api_key_file",
    "hint_token",
    "hint_token_file",
    "connection",
];

impl JsonSchema for OdooSection {
    fn schema_name() -> Cow<'static, str> {
        "OdooSection".into()
    }

    /// One table with the keys of both parts.
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = odoo::Settings::json_schema(generator);
        let mut access = OdooAccess::json_schema(generator);
        let more = access.get_mut("properties").map(std::mem::take);
        if let (Some(properties), Some(serde_json::Value::Object(more))) = (
            schema
                .get_mut("properties")
                .and_then(serde_json::Value::as_object_mut),
            more,
        ) {
            properties.extend(more);
        }
        schema
    }
}

/// The tree with the keys of each shop's `odoo` table moved to where [`OdooSection`] looks for them.
pub(super) fn split_odoo<'t>(root: &DeTable<'t>) -> DeTable<'t> {
    let mut root = root.clone();
    let Some(DeValue::Table(shops)) = root.get_mut("shops").map(Spanned::get_mut) else {
        return root;
    };
    for (_, shop) in shops.iter_mut() {
        let DeValue::Table(shop) = shop.get_mut() else {
            continue;
        };
        let Some(odoo) = shop.get_mut("odoo") else {
            continue;
        };
        let span = odoo.span();
        let DeValue::Table(keys) = odoo.get_mut() else {
            continue;
        };
        let (access, server): (DeTable<'_>, DeTable<'_>) = std::mem::take(keys)
            .into_iter()
            .partition(|(key, _)| ODOO_ACCESS.contains(&&**key.get_ref()));
        // Only one of them stands for the table in the file: what is missing is missing from the server's part.
        for (name, place, part) in [("access", span.end..span.end, access), ("server", span, server)] {
            keys.insert(
                Spanned::new(place.clone(), Cow::Borrowed(name)),
                Spanned::new(place, DeValue::Table(part)),
            );
        }
    }
    root
}
