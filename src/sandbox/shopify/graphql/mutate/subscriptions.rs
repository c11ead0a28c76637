//! Mutations on webhook subscriptions.

use serde_json::Value as Json;

use super::{Complaint, Payload, Shown};
use crate::sandbox::shopify::graphql::node::{Args, Failure};
use crate::sandbox::shopify::graphql::{scopes, view};
use crate::sandbox::shopify::ids::parse_gid;
use crate::sandbox::shopify::shop::Shop;
use crate::sandbox::shopify::webhook::{Subscription, topics};

const KIND: &str = "WebhookSubscription";

pub(super) fn create(shop: &mut Shop, args: &Args) -> Result<Payload, Failure> {
    let topic = args
        .get("topic")
        .and_then(Json::as_str)
        .unwrap_or_default()
        .to_owned();
    if let Some(scope) = topics::by_name(&topic).and_then(|t| t.scope)
        && !shop.has_scope(scope)
    {
        return Err(scopes::denied("webhookSubscriptionCreate", &[scope]));
    }
    let now = shop.now();
    let mut subscription = Subscription {
        id: 0,
        topic,
        uri: String::new(),
        format: "JSON".to_owned(),
        filter: None,
        include_fields: Vec::new(),
        metafield_namespaces: Vec::new(),
        name: None,
        through_api: true,
        failures: 0,
        created_at: now,
        updated_at: now,
    };
    let mut payload = Payload::default();
    read_input(&mut subscription, &args["webhookSubscription"]);
    payload.complaints = complaints(shop, &subscription);
    if payload.complaints.is_empty() {
        subscription.id = shop.ids.take();
        payload.show("webhookSubscription", Shown::Record(KIND, subscription.id));
        shop.subscriptions.push(subscription);
    }
    Ok(payload)
}

pub(super) fn update(shop: &mut Shop, args: &Args) -> Payload {
    let mut payload = Payload::default();
    let Some(index) = listed(shop, args) else {
        payload.complaints.push(unknown());
        return payload;
    };
    let mut changed = shop.subscriptions[index].clone();
    read_input(&mut changed, &args["webhookSubscription"]);
    payload.complaints = complaints(shop, &changed);
    if payload.complaints.is_empty() {
        changed.updated_at = shop.now();
        payload.show("webhookSubscription", Shown::Record(KIND, changed.id));
        shop.subscriptions[index] = changed;
    }
    payload
}

pub(super) fn delete(shop: &mut Shop, args: &Args) -> Payload {
    let mut payload = Payload::default();
    match listed(shop, args) {
        Some(index) => {
            shop.subscriptions.remove(index);
            payload.show("deletedWebhookSubscriptionId", Shown::Leaf(args["id"].clone()));
        }
        None => payload.complaints.push(unknown()),
    }
    payload
}

fn unknown() -> Complaint {
    Complaint::new(&["id"], "Webhook subscription does not exist", None)
}

/// Position of the subscription that the `id` argument names; those of the app's configuration are out of reach.
fn listed(shop: &Shop, args: &Args) -> Option<usize> {
    let (_, id) = args.get("id").and_then(Json::as_str).and_then(parse_gid)?;
    shop.subscriptions
        .iter()
        .position(|s| s.through_api && s.id == id)
}

fn read_input(subscription: &mut Subscription, input: &Json) {
    let texts = |json: &Json| -> Vec<String> {
        json.as_array()
            .into_iter()
            .flatten()
            .filter_map(Json::as_str)
            .map(str::to_owned)
            .collect()
    };
    for name in ["callbackUrl", "uri"] {
        if let Some(uri) = input[name].as_str() {
            uri.clone_into(&mut subscription.uri);
        }
    }
    if let Some(format) = input["format"].as_str() {
        format.clone_into(&mut subscription.format);
    }
    if !input["filter"].is_null() {
        let filter = input["filter"].as_str().map(str::to_owned);
        subscription.filter = filter.filter(|filter| !filter.trim().is_empty());
    }
    if !input["name"].is_null() {
        subscription.name = input["name"].as_str().map(str::to_owned);
    }
    if !input["includeFields"].is_null() {
        subscription.include_fields = texts(&input["includeFields"]);
    }
    if !input["metafieldNamespaces"].is_null() {
        subscription.metafield_namespaces = texts(&input["metafieldNamespaces"])
            .iter()
            .map(|n| view::own_namespace(n))
            .collect();
    }
}

/// What is wrong with a subscription, in the words that were recorded from the real API.
fn complaints(shop: &Shop, subscription: &Subscription) -> Vec<Complaint> {
    let address = |message: &str| Complaint::new(&["webhookSubscription", "callbackUrl"], message, None);
    let name_is = |message: &str| Complaint::new(&["webhookSubscription", "name"], message, None);
    let uri = subscription.uri.as_str();
    let mut found = Vec::new();
    let host = uri
        .split_once("://")
        .map_or("", |(_, rest)| rest.split(['/', ':', '?']).next().unwrap_or(""));
    // The sandbox lives on loopback, where there is no TLS: plain HTTP is taken there and nowhere else.
    let loopback = matches!(host, "127.0.0.1" | "localhost" | "[");
    let other = uri.starts_with("pubsub://") || uri.starts_with("arn:aws:events:");
    if uri.trim().is_empty() {
        found.push(address("Address can't be blank"));
    } else if uri.len() > 65_536 {
        found.push(address("Address is too big (maximum is 64 KB)"));
    } else if uri.starts_with("http://") && !loopback {
        found.push(address("Address protocol http:// is not supported"));
    } else if host.ends_with(".myshopify.com") || host.ends_with("shopify.com") {
        found.push(address("Address cannot be a Shopify or an internal domain"));
    } else if !other && (host.is_empty() || !(uri.starts_with("https://") || uri.starts_with("http://"))) {
        found.push(address("Address is invalid"));
    }
    let others = || {
        shop.subscriptions
            .iter()
            .filter(|s| s.through_api && s.id != subscription.id)
    };
    let twin = others().any(|s| {
        s.topic == subscription.topic
            && s.uri == subscription.uri
            && s.format == subscription.format
            && s.filter == subscription.filter
    });
    if twin {
        found.push(address("Address for this topic has already been taken"));
    }
    if let Some(name) = &subscription.name {
        let well_formed = (1..=50).contains(&name.len())
            && name
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
        if !well_formed {
            found.push(name_is("Name is invalid"));
        } else if others().any(|s| s.name.as_ref() == Some(name)) {
            found.push(name_is("Name already exists, no duplicate allowed"));
        }
    }
    // Every term of a filter needs a field.
    if subscription
        .filter
        .as_deref()
        .is_some_and(|f| !f.trim().is_empty() && !f.contains(':'))
    {
        let message =
            "The specified filter is invalid, please ensure you specify the field(s) you wish to filter on.";
        found.push(Complaint::new(&["webhookSubscription"], message, None));
    }
    found
}
