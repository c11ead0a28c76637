//! Webhooks: who listens to what, and what they are told.
//!
//! A change is announced inside the action that made it: the body is made then and stays the same for every retry.
//! Delivery itself is in `deliver`.

pub(super) mod body;
pub(super) mod deliver;
pub mod sign;
pub mod topics;

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::Value as Json;
use uuid::Uuid;

use super::search;
use super::shop::Shop;

/// A registered webhook.
#[derive(Clone, Debug)]
pub struct Subscription {
    /// Number part of the gid.
    pub id: u64,
    /// Value of `WebhookSubscriptionTopic`.
    pub topic: String,
    /// Address.
    pub uri: String,
    /// `JSON` or `XML`; only JSON bodies are made.
    pub format: String,
    /// Search over body fields that must match.
    pub filter: Option<String>,
    /// Only these fields of the body; all when empty.
    pub include_fields: Vec<String>,
    /// Namespaces whose metafields the body carries.
    pub metafield_namespaces: Vec<String>,
    /// Echoed in `X-Shopify-Name`.
    pub name: Option<String>,
    /// Made through the API: listed there, and deleted after failures. The others belong to the app's configuration.
    pub through_api: bool,
    /// Failed attempts since the last success.
    pub failures: u32,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was changed last.
    pub updated_at: DateTime<Utc>,
}

/// Something that happened, by topic and record.
#[derive(Clone, Debug)]
pub(super) enum Change {
    Order(&'static str, u64),
    OrderEdit {
        order: u64,
        additions: Vec<(u64, u32)>,
        removals: Vec<(u64, u32)>,
    },
    Transaction(u64, u64),
    Refund(u64, u64),
    Fulfillment(&'static str, u64, u64),
    FulfillmentEvent {
        order: u64,
        fulfillment: u64,
        status: &'static str,
    },
    Customer(&'static str, u64),
    CustomersMerged {
        kept: u64,
        gone: u64,
    },
    Product(&'static str, u64),
    Level(&'static str, u64, u64),
    Deleted(&'static str, &'static str, u64),
    /// A body given as it is (compliance topics, `app/uninstalled`).
    Raw(&'static str, Json),
}

impl Change {
    fn topic(&self) -> &'static str {
        match self {
            Self::Order(topic, _)
            | Self::Fulfillment(topic, ..)
            | Self::Customer(topic, _)
            | Self::Product(topic, _)
            | Self::Level(topic, ..)
            | Self::Deleted(topic, ..)
            | Self::Raw(topic, _) => topic,
            Self::OrderEdit { .. } => "orders/edited",
            Self::FulfillmentEvent { .. } => "fulfillment_events/create",
            Self::Transaction(..) => "order_transactions/create",
            Self::Refund(..) => "refunds/create",
            Self::CustomersMerged { .. } => "customers/merge",
        }
    }
}

/// One body for one subscription, ready to be sent.
#[derive(Clone, Debug)]
pub(super) struct Announcement {
    pub(super) subscription: u64,
    pub(super) uri: String,
    pub(super) topic: &'static str,
    pub(super) name: Option<String>,
    pub(super) version: String,
    pub(super) webhook_id: Uuid,
    pub(super) event_id: Uuid,
    pub(super) at: DateTime<Utc>,
    /// The record that the body is about.
    pub(super) resource: Option<u64>,
    pub(super) body: Arc<[u8]>,
}

impl Shop {
    /// The merchant removes the app: `app/uninstalled` goes out, then all subscriptions are gone.
    pub fn uninstall(&mut self) {
        let body = serde_json::json!({"id": self.id, "name": self.name, "domain": self.domain,
            "myshopify_domain": self.domain, "currency": self.currency});
        self.announce(&[Change::Raw("app/uninstalled", body)]);
        self.subscriptions.clear();
    }

    /// Registers a webhook that belongs to the app's configuration: it is not listed and survives failures.
    pub fn register(&mut self, topic_header: &str, uri: &str) {
        let name = topics::by_header(topic_header)
            .map_or(topic_header, |t| t.name)
            .to_owned();
        let now = self.now();
        let id = self.ids.take();
        self.subscriptions.push(Subscription {
            id,
            topic: name,
            uri: uri.to_owned(),
            format: "JSON".to_owned(),
            filter: None,
            include_fields: Vec::new(),
            metafield_namespaces: Vec::new(),
            name: None,
            through_api: false,
            failures: 0,
            created_at: now,
            updated_at: now,
        });
    }

    /// Registers a webhook as another program with the same app does, through the API. `topic` is the enum's value.
    pub fn register_through_api(
        &mut self,
        topic: &str,
        uri: &str,
        name: Option<&str>,
        filter: Option<&str>,
    ) -> u64 {
        let now = self.now();
        let id = self.ids.take();
        self.subscriptions.push(Subscription {
            id,
            topic: topic.to_owned(),
            uri: uri.to_owned(),
            format: "JSON".to_owned(),
            filter: filter.map(str::to_owned),
            include_fields: Vec::new(),
            metafield_namespaces: Vec::new(),
            name: name.map(str::to_owned),
            through_api: true,
            failures: 0,
            created_at: now,
            updated_at: now,
        });
        id
    }

    /// Somebody deletes a webhook. Says whether there was one.
    pub fn unregister(&mut self, id: u64) -> bool {
        let before = self.subscriptions.len();
        self.subscriptions.retain(|s| s.id != id);
        self.subscriptions.len() < before
    }

    /// All registered webhooks.
    pub fn subscriptions(&self) -> &[Subscription] {
        &self.subscriptions
    }

    /// Sends a body of the test's choosing to everybody who listens to the topic.
    pub fn send_raw(&mut self, topic: &'static str, body: Json) {
        self.announce(&[Change::Raw(topic, body)]);
    }

    /// Tells everybody who listens. All changes of one call come from one merchant action and share its event id.
    pub(super) fn announce(&mut self, changes: &[Change]) {
        let event_id = Uuid::new_v4();
        let at = self.now();
        let mut announced = Vec::new();
        for change in changes {
            let topic = change.topic();
            // Compliance topics have no enum value: they are registered by their header.
            let name = topics::by_header(topic).map_or(topic, |t| t.name);
            let listeners: Vec<&Subscription> =
                self.subscriptions.iter().filter(|s| s.topic == name).collect();
            if listeners.is_empty() {
                continue;
            }
            let (resource, full) = body::of(self, change);
            for subscription in listeners {
                if !search::matches_json(subscription.filter.as_deref(), &full) {
                    continue;
                }
                let body = body::trimmed(self, &full, subscription, change);
                announced.push(Announcement {
                    subscription: subscription.id,
                    uri: subscription.uri.clone(),
                    topic,
                    name: subscription.name.clone(),
                    version: self.webhook_version.clone(),
                    webhook_id: Uuid::new_v4(),
                    event_id,
                    at,
                    resource,
                    body: body.to_string().into_bytes().into(),
                });
            }
        }
        self.announced.append(&mut announced);
    }
}
