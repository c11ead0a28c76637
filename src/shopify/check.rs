//! The Shopify rows of `check --live`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Value, json};

use super::client::Client;
use super::documents;
use super::error::ShopifyError;
use super::settings::{CurrencyChoice, Settings};
use crate::domain::{CheckOutcome, CheckRow, Object, Timestamp, Topic};

/// Orders older than this are invisible without `read_all_orders`.
const VISIBLE: Duration = Duration::from_hours(60 * 24);

/// What [`Shopify::check`](super::Shopify::check) looks for.
#[derive(Clone, Debug, Default)]
pub struct CheckNeeds {
    /// Objects that are read.
    pub reads: Vec<Object>,
    /// Objects that are written.
    pub writes: Vec<Object>,
    /// Webhook topics in use, e.g. `orders/create`.
    pub topics: Vec<String>,
    /// Where webhooks are to arrive, if that is known.
    pub webhook_address: Option<String>,
    /// Orders from this time on are wanted.
    pub orders_since: Option<Timestamp>,
}

/// What [`Shopify::check`](super::Shopify::check) found.
#[derive(Clone, Debug, Default)]
pub struct Checked {
    /// What works and what does not.
    pub rows: Vec<CheckRow>,
    /// The currencies that orders may be booked in; empty when Shopify did not answer.
    pub currencies: Vec<String>,
}

/// The scopes without which records cannot be read or written, without `read_all_orders`. `write_x` contains `read_x`.
fn scopes(needs: &CheckNeeds) -> BTreeSet<&'static str> {
    let mut scopes = BTreeSet::new();
    for object in &needs.reads {
        scopes.extend(match object {
            // An order's lines name products and variants, its customer is read with it.
            Object::Order => &["read_orders", "read_customers", "read_products"][..],
            Object::Customer => &["read_customers"],
            Object::Product => &["read_products", "read_inventory"],
            Object::Inventory => &["read_inventory", "read_locations"],
            Object::Shop => &[],
        });
    }
    for object in &needs.writes {
        scopes.extend(match object {
            Object::Order => &["write_orders"][..],
            Object::Customer => &["write_customers"],
            Object::Product => &["write_products"],
            Object::Inventory => &["write_inventory", "read_locations"],
            Object::Shop => &[],
        });
    }
    scopes
}

/// The wanted topics that the granted scopes leave out, by the scope that each needs.
fn lost_topics<'n>(data: &Value, needs: &'n CheckNeeds) -> BTreeMap<&'static str, Vec<&'n str>> {
    let mut lost: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for topic in &needs.topics {
        if let Some(scope) = scope_of_topic(topic)
            && !has(data, scope)
        {
            lost.entry(scope).or_default().push(topic);
        }
    }
    lost
}

/// The scope without which a topic cannot be subscribed to.
pub(super) fn scope_of_topic(topic: &str) -> Option<&'static str> {
    Some(match topic.split_once('/')?.0 {
        "customers" if topic == "customers/merge" => "read_customer_merge",
        "customers" if topic.ends_with("redact") || topic.ends_with("data_request") => return None,
        "orders" | "refunds" | "order_transactions" => "read_orders",
        "fulfillments" | "fulfillment_events" => "read_fulfillments",
        "customers" => "read_customers",
        "products" => "read_products",
        "inventory_levels" => "read_inventory",
        _ => return None,
    })
}

/// Asks for everything that can be seen with one question, then for the subscriptions. Later rows are skipped when the
/// token is refused.
pub(super) async fn check(
    client: &Client,
    settings: &Settings,
    needs: &CheckNeeds,
    now: Timestamp,
) -> Checked {
    let data = match client.call(&documents::CHECK, &json!({})).await {
        Ok(data) => data,
        Err(error) => {
            return Checked {
                rows: unreached(&error),
                currencies: Vec::new(),
            };
        }
    };
    Checked {
        rows: vec![
            row("Shopify access", CheckOutcome::Ok, "the access token is accepted"),
            shop(&data, settings),
            version(client),
            granted(&data, needs),
            topics(&data, needs),
            history(&data, needs, now),
            webhooks(client, &data, needs).await,
        ],
        currencies: currencies(&data, settings.currency),
    }
}

/// The currencies that orders may be booked in: the shop's own and, where the buyer's is booked, every one that buyers
/// may pay in.
fn currencies(data: &Value, choice: CurrencyChoice) -> Vec<String> {
    let own = data.pointer("/shop/currencyCode").and_then(Value::as_str);
    let enabled = data
        .pointer("/shop/enabledPresentmentCurrencies")
        .and_then(Value::as_array);
    let buyers = enabled
        .filter(|_| choice == CurrencyChoice::Presentment)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str);
    let all: BTreeSet<&str> = own.into_iter().chain(buyers).collect();
    all.into_iter().map(str::to_owned).collect()
}

const LATER: &[&str] = &[
    "Shopify shop",
    "Shopify API version",
    "Shopify scopes",
    "Shopify topics",
    "Shopify order history",
    "Shopify webhooks",
];

fn unreached(error: &ShopifyError) -> Vec<CheckRow> {
    let note = format!("{error}. {}", error.fix());
    let skipped = |what: &&str| row(what, CheckOutcome::Skipped, "Shopify did not answer");
    let mut rows = vec![row("Shopify access", CheckOutcome::Failed, note)];
    rows.extend(LATER.iter().map(skipped));
    rows
}

fn row(what: &str, outcome: CheckOutcome, note: impl Into<String>) -> CheckRow {
    CheckRow {
        what: what.to_owned(),
        outcome,
        note: note.into(),
    }
}

fn shop(data: &Value, settings: &Settings) -> CheckRow {
    let text = |path: &str| data.pointer(path).and_then(Value::as_str).unwrap_or("?");
    let taxes = match data.pointer("/shop/taxesIncluded").and_then(Value::as_bool) {
        Some(true) => "prices usually contain tax",
        Some(false) => "tax is usually added to prices",
        None => "tax setting unknown",
    };
    let domain = text("/shop/myshopifyDomain");
    let note = format!(
        "{} ({domain}), {}, {taxes}, {}, plan {}",
        text("/shop/name"),
        text("/shop/currencyCode"),
        text("/shop/ianaTimezone"),
        text("/shop/plan/publicDisplayName"),
    );
    if domain.eq_ignore_ascii_case(&settings.domain) {
        row("Shopify shop", CheckOutcome::Ok, note)
    } else {
        let wrong = format!(
            "the token belongs to {note}; the configuration names {}",
            settings.domain
        );
        row("Shopify shop", CheckOutcome::Failed, wrong)
    }
}

fn version(client: &Client) -> CheckRow {
    let what = "Shopify API version";
    match client.versions() {
        (asked, Some(served)) if asked == served => {
            row(what, CheckOutcome::Ok, format!("{asked}, as asked for"))
        }
        (asked, Some(served)) => row(
            what,
            CheckOutcome::Warning,
            format!(
                "{asked} was asked for, {served} is served: set api_version to a version that Shopify still supports"
            ),
        ),
        (asked, None) => row(
            what,
            CheckOutcome::Warning,
            format!("{asked} was asked for; the answer does not say what is served"),
        ),
    }
}

fn has(data: &Value, scope: &str) -> bool {
    let granted = data
        .pointer("/currentAppInstallation/accessScopes")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|scope| scope.get("handle")?.as_str());
    let stronger = scope.strip_prefix("read_").map(|name| format!("write_{name}"));
    granted
        .into_iter()
        .any(|handle| handle == scope || Some(handle) == stronger.as_deref())
}

fn granted(data: &Value, needs: &CheckNeeds) -> CheckRow {
    let needed = scopes(needs);
    let missing: Vec<&str> = needed.iter().copied().filter(|scope| !has(data, scope)).collect();
    if missing.is_empty() {
        let all: Vec<&str> = needed.into_iter().collect();
        return row(
            "Shopify scopes",
            CheckOutcome::Ok,
            format!("granted: {}", all.join(", ")),
        );
    }
    row(
        "Shopify scopes",
        CheckOutcome::Failed,
        format!(
            "missing: {}. Add them to the app, then install it again or renew the token",
            missing.join(", ")
        ),
    )
}

fn topics(data: &Value, needs: &CheckNeeds) -> CheckRow {
    let what = "Shopify topics";
    let lost = lost_topics(data, needs);
    if lost.is_empty() {
        return row(
            what,
            CheckOutcome::Ok,
            "the scopes allow every topic that is wanted",
        );
    }
    let sentences: Vec<String> = lost
        .iter()
        .map(|(scope, topics)| format!("without {scope} no {}", topics.join(", ")))
        .collect();
    row(
        what,
        CheckOutcome::Warning,
        format!(
            "{}. Nothing that is read needs these scopes; add them to hear of these changes at once",
            sentences.join("; ")
        ),
    )
}

/// Which of the wanted topics are subscribed to at the address. Those that the app's own configuration declares work as
/// well and are invisible to the API, so a missing one is never a failure.
async fn webhooks(client: &Client, data: &Value, needs: &CheckNeeds) -> CheckRow {
    let what = "Shopify webhooks";
    let Some(address) = &needs.webhook_address else {
        return row(
            what,
            CheckOutcome::Warning,
            "`public_url` is not set: it is not known where they are to arrive",
        );
    };
    let lost: BTreeSet<&str> = lost_topics(data, needs).into_values().flatten().collect();
    let wanted: Vec<(&str, &str)> = needs
        .topics
        .iter()
        .filter(|topic| !lost.contains(topic.as_str()))
        .filter_map(|name| Topic::of_header(name))
        .filter_map(|topic| Some((topic.name, topic.graphql?)))
        .collect();
    let asked: Vec<&str> = wanted.iter().map(|(_, graphql)| *graphql).collect();
    let answer = client
        .call(&documents::WEBHOOKS, &json!({ "topics": asked }))
        .await;
    let nodes = match &answer {
        Ok(answer) => answer
            .pointer("/webhookSubscriptions/nodes")
            .and_then(Value::as_array),
        Err(error) => return row(what, CheckOutcome::Failed, format!("{error}. {}", error.fix())),
    };
    let bare = |address: &str| address.trim_end_matches('/').to_owned();
    let subscribed: BTreeSet<&str> = nodes
        .into_iter()
        .flatten()
        .filter(|node| node["uri"].as_str().is_some_and(|uri| bare(uri) == bare(address)))
        .filter_map(|node| node["topic"].as_str())
        .collect();
    let (there, missing): (Vec<_>, Vec<_>) = wanted
        .iter()
        .partition(|(_, graphql)| subscribed.contains(graphql));
    let names = |topics: &[&(&str, &str)]| -> String {
        let names: Vec<&str> = topics.iter().map(|(name, _)| *name).collect();
        names.join(", ")
    };
    if missing.is_empty() {
        return row(
            what,
            CheckOutcome::Ok,
            format!("{address} gets {}", names(&there)),
        );
    }
    row(
        what,
        CheckOutcome::Warning,
        format!(
            "{address} is not subscribed through the API to {}. Those that the app's configuration (shopify.app.toml) \
             declares arrive all the same, and cannot be seen from here: compare its topics and address with these",
            names(&missing)
        ),
    )
}

fn history(data: &Value, needs: &CheckNeeds, now: Timestamp) -> CheckRow {
    let what = "Shopify order history";
    if !needs.reads.contains(&Object::Order) {
        return row(what, CheckOutcome::Skipped, "orders are not read");
    }
    if has(data, "read_all_orders") {
        return row(what, CheckOutcome::Ok, "all orders are visible (read_all_orders)");
    }
    let note = "orders older than 60 days are invisible without the scope read_all_orders";
    match needs.orders_since {
        Some(since) if since < now.minus(VISIBLE) => row(
            what,
            CheckOutcome::Warning,
            format!("{note}, and start_at is {since}"),
        ),
        _ => row(what, CheckOutcome::Ok, format!("{note}; none are needed")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_follow_from_objects_and_lost_topics_from_scopes() {
        let needs = CheckNeeds {
            reads: vec![Object::Order, Object::Product],
            writes: vec![Object::Product],
            topics: [
                "customers/merge",
                "refunds/create",
                "fulfillments/create",
                "fulfillments/update",
                "shop/redact",
                "app/uninstalled",
                "carts/x",
            ]
            .map(str::to_owned)
            .to_vec(),
            ..CheckNeeds::default()
        };
        let expected = [
            "read_customers",
            "read_inventory",
            "read_orders",
            "read_products",
            "write_products",
        ];
        let scopes = scopes(&needs);
        assert_eq!(scopes.iter().copied().collect::<Vec<_>>(), expected);
        let handles: Vec<Value> = scopes.iter().map(|scope| json!({ "handle": scope })).collect();
        let data = json!({ "currentAppInstallation": { "accessScopes": handles } });
        assert_eq!(granted(&data, &needs).outcome, CheckOutcome::Ok);
        let row = topics(&data, &needs);
        assert_eq!(row.outcome, CheckOutcome::Warning);
        for part in [
            "without read_customer_merge no customers/merge",
            "without read_fulfillments no fulfillments/create, fulfillments/update",
        ] {
            assert!(row.note.contains(part), "{part}: {}", row.note);
        }
        assert!(!row.note.contains("refunds"), "{}", row.note);
    }

    #[test]
    fn currencies_follow_the_choice() {
        let data =
            json!({"shop": {"currencyCode": "EUR", "enabledPresentmentCurrencies": ["USD", "EUR", "CHF"]}});
        assert_eq!(currencies(&data, CurrencyChoice::Shop), ["EUR"]);
        assert_eq!(
            currencies(&data, CurrencyChoice::Presentment),
            ["CHF", "EUR", "USD"]
        );
        assert_eq!(currencies(&json!({}), CurrencyChoice::Presentment), [""; 0]);
    }

    #[test]
    fn every_known_topic_has_its_scope_or_needs_none() {
        for topic in Topic::ALL {
            let free = matches!(topic.name.split('/').next(), Some("app" | "shop"))
                || matches!(topic.name, "customers/redact" | "customers/data_request");
            assert_eq!(scope_of_topic(topic.name).is_none(), free, "{}", topic.name);
        }
    }

    #[test]
    fn a_write_scope_contains_the_read_scope() {
        let data =
            json!({"currentAppInstallation": {"accessScopes": [{"handle": "write_orders"}, {"handle": 7}]}});
        assert!(has(&data, "read_orders") && has(&data, "write_orders"));
        assert!(!has(&data, "read_products") && !has(&json!(null), "read_orders"));
    }

    #[test]
    fn old_orders_need_one_more_scope() {
        let now = Timestamp::parse_rfc3339("2026-11-20T00:00:00Z").unwrap();
        let needs = |days: u64| CheckNeeds {
            reads: vec![Object::Order],
            orders_since: Some(now.minus(Duration::from_hours(days * 24))),
            ..CheckNeeds::default()
        };
        assert_eq!(history(&json!({}), &needs(59), now).outcome, CheckOutcome::Ok);
        assert_eq!(
            history(&json!({}), &needs(61), now).outcome,
            CheckOutcome::Warning
        );
        let all = json!({"currentAppInstallation": {"accessScopes": [{"handle": "read_all_orders"}]}});
        assert_eq!(history(&all, &needs(61), now).outcome, CheckOutcome::Ok);
    }
}
