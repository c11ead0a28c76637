//! Webhook subscriptions of the calling app.

use serde_json::Value as Json;

use super::shop::version;
use super::{id, legacy, strings, time};
use crate::sandbox::shopify::graphql::node::{Args, Node, Out};
use crate::sandbox::shopify::graphql::page::{SortValue, connection, page};
use crate::sandbox::shopify::shop::Shop;
use crate::sandbox::shopify::webhook::Subscription;

/// One subscription.
pub(in crate::sandbox::shopify::graphql) struct SubscriptionNode<'a> {
    pub(in crate::sandbox::shopify::graphql) shop: &'a Shop,
    pub(in crate::sandbox::shopify::graphql) subscription: &'a Subscription,
}

impl<'a> Node<'a> for SubscriptionNode<'a> {
    fn type_name(&self) -> &'static str {
        "WebhookSubscription"
    }

    fn field(&self, name: &str, _: &Args) -> Out<'a> {
        let s = self.subscription;
        match name {
            "id" => id("WebhookSubscription", s.id),
            "legacyResourceId" => legacy(s.id),
            "topic" => Out::leaf(s.topic.clone()),
            "uri" | "callbackUrl" => Out::leaf(s.uri.clone()),
            "endpoint" => Out::record(
                "WebhookHttpEndpoint",
                vec![("callbackUrl", Out::leaf(s.uri.clone()))],
            ),
            "name" => Out::leaf(s.name.clone()),
            "format" => Out::leaf(s.format.clone()),
            "filter" => Out::leaf(s.filter.clone()),
            "includeFields" => strings(&s.include_fields),
            "metafieldNamespaces" => strings(&s.metafield_namespaces),
            "metafields" => Out::list([]),
            "apiVersion" => version(&self.shop.webhook_version),
            "createdAt" => time(s.created_at),
            "updatedAt" => time(s.updated_at),
            _ => Out::Absent,
        }
    }
}

/// Only those made through the API are listed.
fn listed<'a>(shop: &'a Shop, args: &Args) -> Vec<&'a Subscription> {
    let topics: Option<Vec<&str>> = args
        .get("topics")
        .and_then(Json::as_array)
        .map(|topics| topics.iter().filter_map(Json::as_str).collect());
    let text = |name: &str| args.get(name).and_then(Json::as_str);
    let uri = text("uri").or_else(|| text("callbackUrl"));
    shop.subscriptions
        .iter()
        .filter(|s| s.through_api)
        .filter(|s| {
            topics
                .as_ref()
                .is_none_or(|t| t.is_empty() || t.contains(&s.topic.as_str()))
        })
        .filter(|s| uri.is_none_or(|u| u == s.uri))
        .filter(|s| text("format").is_none_or(|f| f == s.format))
        .collect()
}

/// `webhookSubscriptions`.
pub(super) fn subscriptions<'a>(shop: &'a Shop, args: &Args) -> Out<'a> {
    connection(page(
        args,
        listed(shop, args),
        |s| (SortValue::Number(s.created_at.timestamp_millis()), s.id),
        |s| {
            Out::node(SubscriptionNode {
                shop,
                subscription: s,
            })
        },
    ))
}

/// `webhookSubscription`.
pub(super) fn subscription(shop: &Shop, number: u64) -> Out<'_> {
    let found = shop
        .subscriptions
        .iter()
        .find(|s| s.through_api && s.id == number);
    Out::maybe(found.map(|subscription| SubscriptionNode { shop, subscription }))
}

/// How many subscriptions `webhookSubscriptions` lists.
pub(super) fn number_of_subscriptions(shop: &Shop, args: &Args) -> usize {
    listed(shop, args).len()
}
