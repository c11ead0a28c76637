//! Webhook subscriptions of the app in one shop: listed whole, made, changed, deleted; and the scopes that topics need.
//!
//! Only subscriptions made through the API are seen, never those that the app's own configuration declares
//! (<https://shopify.dev/docs/apps/build/webhooks/subscribe>).

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::{Value, json};

use super::client::Client;
use super::documents::{self, Document};
use super::error::{RequestId, ShopifyError};
use super::settings::Settings;
use crate::domain::{ShopifyId, Timestamp, Topic};

/// GraphQL's type name.
const KIND: &str = "WebhookSubscription";

/// The field that exists from [`NAMED_SINCE`] on.
const NAME: &str = "name";

/// The first API version in which subscriptions have names.
const NAMED_SINCE: &str = "2026-04";

/// More pages of 100 than any shop has: Shopify has fewer topics.
const MOST_PAGES: usize = 100;

/// Pages that a list is read again from the start for, because it changed meanwhile.
const TRIES: usize = 3;

/// A webhook registered on Shopify.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Subscription {
    /// Shopify's number.
    pub id: ShopifyId,
    /// GraphQL's spelling, e.g. `ORDERS_CREATE`; it may be one that we do not know.
    pub topic: String,
    /// Where deliveries go.
    pub uri: String,
    /// What deliveries carry in `X-Shopify-Name`.
    pub name: Option<String>,
    /// `JSON` or `XML`.
    pub format: String,
    /// A search that bodies must match.
    pub filter: Option<String>,
    /// The only fields of the body, if not all.
    pub include_fields: Vec<String>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// What a subscription is to be. Everything else about it is as plain as can be: JSON, whole bodies, no filter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NewSubscription {
    /// GraphQL's spelling of the topic.
    pub topic: &'static str,
    /// Where deliveries go.
    pub uri: String,
    /// Its name; none where the API version knows no names.
    pub name: Option<String>,
    /// Whether a filter and a selection of fields that somebody set are to be taken back.
    pub undo: bool,
}

impl NewSubscription {
    /// As an input of a mutation.
    fn input(&self) -> Value {
        let mut input = json!({ "uri": self.uri, "format": "JSON" });
        if let Some(name) = &self.name {
            input[NAME] = json!(name);
        }
        if self.undo {
            input["filter"] = json!("");
            input["includeFields"] = json!([]);
            input["metafieldNamespaces"] = json!([]);
        }
        input
    }
}

/// The scope without which a topic cannot be subscribed to, e.g. `read_orders`; none for what needs none.
pub fn scope_of_topic(topic: &Topic) -> Option<&'static str> {
    super::check::scope_of_topic(topic.name)
}

/// Whether scopes allow what needs `scope`: writing a kind of record contains reading it.
pub fn scope_is_granted(granted: &BTreeSet<String>, scope: &str) -> bool {
    let stronger = scope.strip_prefix("read_").map(|name| format!("write_{name}"));
    granted.contains(scope) || stronger.is_some_and(|stronger| granted.contains(&stronger))
}

/// Whether subscriptions have names in the API version that the shop declares.
pub(super) fn have_names(settings: &Settings) -> bool {
    settings.api_version == "unstable" || settings.api_version.as_str() >= NAMED_SINCE
}

fn select(settings: &Settings) -> &'static str {
    if have_names(settings) { NAME } else { "" }
}

/// Every subscription of the app in the shop, oldest first.
pub(super) async fn list(client: &Client, settings: &Settings) -> Result<Vec<Subscription>, ShopifyError> {
    let document = &documents::SUBSCRIPTIONS;
    let mut tries = 0;
    'begin: loop {
        tries += 1;
        let mut found: Vec<Subscription> = Vec::new();
        let mut cursor = Value::Null;
        for _ in 0..MOST_PAGES {
            let variables = json!({ "cursor": cursor });
            let data = client
                .call_selecting(document, select(settings), &variables)
                .await?;
            let page = &data["webhookSubscriptions"];
            let nodes = page["nodes"]
                .as_array()
                .ok_or_else(|| incomplete(document, "it has no list of subscriptions"))?;
            for node in nodes {
                found.push(read(document, node)?);
            }
            if page.pointer("/pageInfo/hasNextPage").and_then(Value::as_bool) != Some(true) {
                let ids: BTreeSet<ShopifyId> = found.iter().map(|one| one.id).collect();
                // A list that changed between two pages may show one twice.
                if ids.len() != found.len() && tries < TRIES {
                    continue 'begin;
                }
                found.sort_by_key(|one| (one.created_at, one.id));
                found.dedup_by_key(|one| one.id);
                return Ok(found);
            }
            cursor = match page.pointer("/pageInfo/endCursor") {
                Some(Value::String(next)) if *next != cursor => json!(next),
                _ => return Err(incomplete(document, "it has more pages and no way to the next")),
            };
        }
        return Err(incomplete(document, "its pages do not end"));
    }
}

/// Makes one.
pub(super) async fn create(
    client: &Client,
    settings: &Settings,
    new: &NewSubscription,
) -> Result<Subscription, ShopifyError> {
    let document = &documents::SUBSCRIPTION_CREATE;
    let variables = json!({ "topic": new.topic, "subscription": new.input() });
    let data = client
        .call_selecting(document, select(settings), &variables)
        .await?;
    read(
        document,
        &data["webhookSubscriptionCreate"]["webhookSubscription"],
    )
}

/// Makes one what it is to be. Its topic cannot be changed.
pub(super) async fn update(
    client: &Client,
    settings: &Settings,
    id: ShopifyId,
    new: &NewSubscription,
) -> Result<Subscription, ShopifyError> {
    let document = &documents::SUBSCRIPTION_UPDATE;
    let variables = json!({ "id": id.gid(KIND), "subscription": new.input() });
    let data = client
        .call_selecting(document, select(settings), &variables)
        .await?;
    read(
        document,
        &data["webhookSubscriptionUpdate"]["webhookSubscription"],
    )
}

/// Deletes one.
pub(super) async fn delete(client: &Client, id: ShopifyId) -> Result<(), ShopifyError> {
    let document = &documents::SUBSCRIPTION_DELETE;
    let data = client.call(document, &json!({ "id": id.gid(KIND) })).await?;
    match data.pointer("/webhookSubscriptionDelete/deletedWebhookSubscriptionId") {
        Some(Value::String(_)) => Ok(()),
        _ => Err(incomplete(document, "it does not say what was deleted")),
    }
}

/// The scopes that the app was granted.
pub(super) async fn granted_scopes(client: &Client) -> Result<BTreeSet<String>, ShopifyError> {
    let document = &documents::SCOPES;
    let data = client.call(document, &json!({})).await?;
    let scopes = data
        .pointer("/currentAppInstallation/accessScopes")
        .and_then(Value::as_array)
        .ok_or_else(|| incomplete(document, "it does not say which scopes are granted"))?;
    Ok(scopes
        .iter()
        .filter_map(|scope| Some(scope.get("handle")?.as_str()?.to_owned()))
        .collect())
}

fn read(document: &Document, node: &Value) -> Result<Subscription, ShopifyError> {
    let missing = |field: &str| incomplete(document, &format!("a subscription lacks its {field}"));
    let text = |field: &str| node[field].as_str().map(str::to_owned);
    let filled = |field: &str| text(field).filter(|text| !text.trim().is_empty());
    let fields = node["includeFields"].as_array();
    Ok(Subscription {
        id: text("id")
            .and_then(|id| id.parse().ok())
            .ok_or_else(|| missing("id"))?,
        topic: text("topic").ok_or_else(|| missing("topic"))?,
        // What goes to a queue of Google or Amazon has its address in this field, too.
        uri: text("uri").ok_or_else(|| missing("address"))?,
        name: filled(NAME),
        format: text("format").ok_or_else(|| missing("format"))?,
        filter: filled("filter"),
        include_fields: fields
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect(),
        created_at: text("createdAt")
            .and_then(|time| Timestamp::parse_rfc3339(&time).ok())
            .ok_or_else(|| missing("time"))?,
    })
}

fn incomplete(document: &Document, reason: &str) -> ShopifyError {
    ShopifyError::Incomplete {
        operation: document.name,
        reason: reason.to_owned(),
        request: RequestId::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_exist_from_a_version_on() {
        for (version, named) in [
            ("2025-10", false),
            ("2026-01", false),
            ("2026-04", true),
            ("2026-10", true),
            ("2027-01", true),
            ("unstable", true),
        ] {
            let settings = Settings {
                api_version: version.to_owned(),
                ..Settings::new("main-store.myshopify.com")
            };
            assert_eq!(have_names(&settings), named, "{version}");
        }
    }

    #[test]
    fn a_write_scope_contains_the_read_scope() {
        let granted = BTreeSet::from(["write_orders".to_owned(), "read_products".to_owned()]);
        for (scope, expected) in [
            ("read_orders", true),
            ("write_orders", true),
            ("read_products", true),
            ("write_products", false),
            ("read_customers", false),
        ] {
            assert_eq!(scope_is_granted(&granted, scope), expected, "{scope}");
        }
    }
}
