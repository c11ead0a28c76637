//! Mutations. Of the schema's mutations the shop carries out those on webhook subscriptions; the others are refused by
//! name, so that nobody takes silence for success.

use apollo_compiler::ExecutableDocument;
use apollo_compiler::executable::{Field, Operation, Selection, SelectionSet};
use apollo_compiler::schema::Schema;
use serde_json::{Value as Json, json};

use super::execute::{Outcome, run as execute};
use super::node::{Args, Failure, Node, Out};
use super::scopes;
use super::variables::arguments;
use super::view::webhook::SubscriptionNode;
use crate::sandbox::shopify::ids::parse_gid;
use crate::sandbox::shopify::shop::Shop;
use crate::sandbox::shopify::webhook::{Subscription, topics};

/// Mutations that need `@idempotent(key:)` since 2026-04.
const NEED_KEY: &[&str] = &["refundCreate", "inventorySetQuantities", "inventoryActivate"];

/// What a mutation did: the record to show, and what was wrong.
struct Payload {
    type_name: &'static str,
    /// Field of the payload that shows the record, and its number.
    record: Option<(&'static str, u64)>,
    /// Other fields of the payload.
    leaf: Option<(&'static str, Json)>,
    /// Field path and message.
    user_errors: Vec<(Option<Vec<String>>, String)>,
}

/// Runs the root fields one after the other, each seeing what the one before did.
pub(super) fn run(
    shop: &mut Shop,
    schema: &Schema,
    document: &ExecutableDocument,
    operation: &Operation,
    variables: &Args,
) -> Outcome {
    let mut fields = Vec::new();
    roots(document, &operation.selection_set, &mut fields);
    let mut done: Vec<(String, Result<Payload, Failure>)> = Vec::new();
    for field in fields {
        let args = arguments(field, variables);
        let key = field.response_key().to_string();
        let has_key = field.directives.get("idempotent").is_some();
        let outcome = if NEED_KEY.contains(&field.name.as_str()) && !has_key {
            let message = "The @idempotent directive is required for this mutation but was not provided.";
            Err(Failure::new(message, "BAD_REQUEST"))
        } else {
            apply(shop, &field.name, &args)
        };
        done.push((key, outcome));
    }
    let root = MutationRoot { shop, done: &done };
    execute(shop, schema, document, operation, variables, &root)
}

fn roots<'a>(document: &'a ExecutableDocument, set: &'a SelectionSet, fields: &mut Vec<&'a Field>) {
    for selection in &set.selections {
        match selection {
            Selection::Field(field) => fields.push(field),
            Selection::InlineFragment(inline) => roots(document, &inline.selection_set, fields),
            Selection::FragmentSpread(spread) => {
                if let Some(fragment) = document.fragments.get(&spread.fragment_name) {
                    roots(document, &fragment.selection_set, fields);
                }
            }
        }
    }
}

fn apply(shop: &mut Shop, name: &str, args: &Args) -> Result<Payload, Failure> {
    match name {
        "webhookSubscriptionCreate" => create(shop, args),
        "webhookSubscriptionUpdate" => Ok(update(shop, args)),
        "webhookSubscriptionDelete" => Ok(delete(shop, args)),
        _ => Err(Failure::new(
            format!("the stand-in shop does not carry out {name}"),
            "NOT_IMPLEMENTED",
        )),
    }
}

fn create(shop: &mut Shop, args: &Args) -> Result<Payload, Failure> {
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
    let mut payload = Payload {
        type_name: "WebhookSubscriptionCreatePayload",
        record: None,
        leaf: None,
        user_errors: Vec::new(),
    };
    read_input(&mut subscription, &args["webhookSubscription"]);
    payload.user_errors = complaints(shop, &subscription);
    if payload.user_errors.is_empty() {
        subscription.id = shop.ids.take();
        payload.record = Some(("webhookSubscription", subscription.id));
        shop.subscriptions.push(subscription);
    }
    Ok(payload)
}

fn update(shop: &mut Shop, args: &Args) -> Payload {
    let mut payload = Payload {
        type_name: "WebhookSubscriptionUpdatePayload",
        record: None,
        leaf: None,
        user_errors: Vec::new(),
    };
    let Some(index) = listed(shop, args) else {
        payload.user_errors.push(unknown());
        return payload;
    };
    let mut changed = shop.subscriptions[index].clone();
    read_input(&mut changed, &args["webhookSubscription"]);
    payload.user_errors = complaints(shop, &changed);
    if payload.user_errors.is_empty() {
        changed.updated_at = shop.now();
        payload.record = Some(("webhookSubscription", changed.id));
        shop.subscriptions[index] = changed;
    }
    payload
}

fn delete(shop: &mut Shop, args: &Args) -> Payload {
    let mut payload = Payload {
        type_name: "WebhookSubscriptionDeletePayload",
        record: None,
        leaf: None,
        user_errors: Vec::new(),
    };
    match listed(shop, args) {
        Some(index) => {
            shop.subscriptions.remove(index);
            payload.leaf = Some(("deletedWebhookSubscriptionId", args["id"].clone()));
        }
        None => payload.user_errors.push(unknown()),
    }
    payload
}

fn unknown() -> (Option<Vec<String>>, String) {
    (
        Some(vec!["id".to_owned()]),
        "Webhook subscription does not exist".to_owned(),
    )
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
            .map(|n| super::view::own_namespace(n))
            .collect();
    }
}

/// What is wrong with a subscription, in the words that were recorded from the real API.
fn complaints(shop: &Shop, subscription: &Subscription) -> Vec<(Option<Vec<String>>, String)> {
    let at = |field: &[&str]| Some(field.iter().map(|f| (*f).to_owned()).collect::<Vec<_>>());
    let address = || at(&["webhookSubscription", "callbackUrl"]);
    let uri = subscription.uri.as_str();
    let mut found = Vec::new();
    let host = uri
        .split_once("://")
        .map_or("", |(_, rest)| rest.split(['/', ':', '?']).next().unwrap_or(""));
    // The sandbox lives on loopback, where there is no TLS: plain HTTP is taken there and nowhere else.
    let loopback = matches!(host, "127.0.0.1" | "localhost" | "[");
    let other = uri.starts_with("pubsub://") || uri.starts_with("arn:aws:events:");
    if uri.trim().is_empty() {
        found.push((address(), "Address can't be blank".to_owned()));
    } else if uri.len() > 65_536 {
        found.push((address(), "Address is too big (maximum is 64 KB)".to_owned()));
    } else if uri.starts_with("http://") && !loopback {
        found.push((address(), "Address protocol http:// is not supported".to_owned()));
    } else if host.ends_with(".myshopify.com") || host.ends_with("shopify.com") {
        found.push((
            address(),
            "Address cannot be a Shopify or an internal domain".to_owned(),
        ));
    } else if !other && (host.is_empty() || !(uri.starts_with("https://") || uri.starts_with("http://"))) {
        found.push((address(), "Address is invalid".to_owned()));
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
        found.push((
            address(),
            "Address for this topic has already been taken".to_owned(),
        ));
    }
    if let Some(name) = &subscription.name {
        let well_formed = (1..=50).contains(&name.len())
            && name
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
        if !well_formed {
            found.push((at(&["webhookSubscription", "name"]), "Name is invalid".to_owned()));
        } else if others().any(|s| s.name.as_ref() == Some(name)) {
            let message = "Name already exists, no duplicate allowed".to_owned();
            found.push((at(&["webhookSubscription", "name"]), message));
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
        found.push((at(&["webhookSubscription"]), message.to_owned()));
    }
    found
}

/// `Mutation`, after everything was done.
struct MutationRoot<'a, 'd> {
    shop: &'a Shop,
    done: &'d [(String, Result<Payload, Failure>)],
}

impl<'a> Node<'a> for MutationRoot<'a, '_> {
    fn type_name(&self) -> &'static str {
        "Mutation"
    }

    fn field(&self, name: &str, args: &Args) -> Out<'a> {
        self.keyed(name, name, args)
    }

    fn keyed(&self, key: &str, _: &str, _: &Args) -> Out<'a> {
        match self.done.iter().find(|(k, _)| k == key) {
            Some((_, Ok(payload))) => self.show(payload),
            Some((_, Err(failure))) => Out::Failed(failure.clone()),
            None => Out::Absent,
        }
    }
}

impl<'a> MutationRoot<'a, '_> {
    fn show(&self, payload: &Payload) -> Out<'a> {
        let errors = payload.user_errors.iter().map(|(field, message)| {
            Out::record(
                "UserError",
                vec![
                    ("field", Out::leaf(json!(field))),
                    ("message", Out::leaf(message.clone())),
                ],
            )
        });
        let mut fields = vec![("userErrors", Out::list(errors))];
        if let Some((name, value)) = &payload.leaf {
            fields.push((name, Out::leaf(value.clone())));
        }
        if let Some((name, id)) = payload.record {
            let found = self.shop.subscriptions.iter().find(|s| s.id == id);
            let node = found.map(|subscription| SubscriptionNode {
                shop: self.shop,
                subscription,
            });
            fields.push((name, Out::maybe(node)));
        }
        Out::record(payload.type_name, fields)
    }
}
