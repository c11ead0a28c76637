//! The Shopify rows of `check --live`.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use super::client::Client;
use super::documents;
use super::error::ShopifyError;
use super::settings::Settings;
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
    /// Orders from this time on are wanted.
    pub orders_since: Option<Timestamp>,
}

/// The scopes that these needs ask for, without `read_all_orders`. `write_x` contains `read_x`.
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
    for topic in needs.topics.iter().filter_map(|name| Topic::of_header(name)) {
        scopes.extend(scope_of_topic(topic.name));
    }
    scopes
}

/// The scope without which a topic cannot be subscribed to.
fn scope_of_topic(topic: &str) -> Option<&'static str> {
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

/// Rows for everything that can be seen with one question. Later rows are skipped when the token is refused.
pub(super) async fn rows(
    client: &Client,
    settings: &Settings,
    needs: &CheckNeeds,
    now: Timestamp,
) -> Vec<CheckRow> {
    let data = match client.call(&documents::CHECK, &json!({})).await {
        Ok(data) => data,
        Err(error) => return unreached(&error),
    };
    vec![
        row("Shopify access", CheckOutcome::Ok, "the access token is accepted"),
        shop(&data, settings),
        version(client),
        granted(&data, needs),
        history(&data, needs, now),
    ]
}

const LATER: &[&str] = &[
    "Shopify shop",
    "Shopify API version",
    "Shopify scopes",
    "Shopify order history",
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
    fn scopes_follow_from_objects_and_topics() {
        let needs = CheckNeeds {
            reads: vec![Object::Order, Object::Product],
            writes: vec![Object::Product],
            topics: [
                "customers/merge",
                "refunds/create",
                "fulfillments/create",
                "shop/redact",
                "app/uninstalled",
                "carts/x",
            ]
            .map(str::to_owned)
            .to_vec(),
            orders_since: None,
        };
        let expected = [
            "read_customer_merge",
            "read_customers",
            "read_fulfillments",
            "read_inventory",
            "read_orders",
            "read_products",
            "write_products",
        ];
        assert_eq!(scopes(&needs).into_iter().collect::<Vec<_>>(), expected);
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
