//! `check --live`: asks both systems of every shop whether they are as the configuration and the mappings need them.

use std::collections::BTreeSet;

use serde::Serialize;

use super::{connect, reach, status};
use crate::config::{Config, Shop};
use crate::domain::{
    Canonical as _, CheckOutcome, CheckRow, Direction, LineKind, Object, SharedClock, SharedEntropy, ShopName,
};
use crate::erp::Needs;
use crate::mapping::{Mappings, ShopFacts};
use crate::shopify::CheckNeeds;
use crate::store::{EndpointRow, OpenMode, StoreError};
use crate::subscriptions::{self, Toggle, Wish};

/// What was found out about one shop, or about the installation (without a shop).
#[derive(Clone, Debug, Serialize)]
pub struct Checked {
    /// The shop.
    pub shop: Option<ShopName>,
    /// `shopify`, `erp` or `lockstep`.
    pub system: &'static str,
    /// The rows.
    pub rows: Vec<CheckRow>,
}

impl Checked {
    /// Whether anything does not work.
    pub fn has_failed(&self) -> bool {
        self.rows.iter().any(|row| row.outcome == CheckOutcome::Failed)
    }
}

/// Asks everything, for all shops or one. Failures are rows.
pub async fn check_live(
    config: &Config,
    mappings: &Mappings,
    only: Option<&ShopName>,
    clock: &SharedClock,
    entropy: &SharedEntropy,
) -> Vec<Checked> {
    let mut checked = vec![Checked {
        shop: None,
        system: "lockstep",
        rows: own_rows(config, clock, entropy).await,
    }];
    for shop in config.shops.values() {
        if only.is_none_or(|name| *name == shop.name) {
            let address = config.http.public_url.as_deref().map(webhook_address);
            let (shopify, currencies) = shopify_rows(shop, address, clock, entropy).await;
            // The currencies that the ERP must know are Shopify's to say.
            let erp = erp_rows(shop, mappings, currencies, clock).await;
            for (system, rows) in [("shopify", shopify), ("erp", erp)] {
                checked.push(Checked {
                    shop: Some(shop.name.clone()),
                    system,
                    rows,
                });
            }
        }
    }
    checked
}

/// The store and the public address.
async fn own_rows(config: &Config, clock: &SharedClock, entropy: &SharedEntropy) -> Vec<CheckRow> {
    let store = match super::open(config, clock, OpenMode::Tool).await {
        Ok(store) => store,
        Err(error) => {
            let outcome = match error {
                // Nothing is wrong: the daemon's first start, or `lockstep migrate`, brings it up.
                StoreError::Behind { .. } => CheckOutcome::Warning,
                _ => CheckOutcome::Failed,
            };
            return vec![
                row("store", outcome, with_cause(&error)),
                row("public_url", CheckOutcome::Skipped, "needs the store"),
            ];
        }
    };
    let asked: Result<_, StoreError> = async {
        store.ping().await?;
        let counts = store.counts(clock.now()).await?;
        let key = reach::instance_key(&store, clock, entropy).await?;
        Ok((counts, key, removed_endpoints(config, &store.endpoints().await?)))
    }
    .await;
    store.close().await;
    match asked {
        Ok((counts, key, removed)) => {
            let mut rows = vec![
                row(
                    "store",
                    CheckOutcome::Ok,
                    format!("can be written and read; {} events stored", counts.events),
                ),
                reach::check_public_url(config, &key, entropy, counts.last_event_at, clock.now()).await,
            ];
            rows.extend(removed);
            rows
        }
        Err(error) => vec![row("store", CheckOutcome::Failed, with_cause(&error))],
    }
}

/// Endpoints that something waits for, and that are not in the configuration any more.
fn removed_endpoints(config: &Config, rows: &[EndpointRow]) -> Vec<CheckRow> {
    rows.iter()
        .filter(|row| row.waiting > 0)
        .filter(|row| config.endpoints.iter().all(|endpoint| endpoint.name != row.name))
        .map(|endpoint| {
            let note = format!(
                "{} deliveries wait for the endpoint {}, which is not in the configuration: the daemon cancels them when it takes \
                 this file up",
                endpoint.waiting, endpoint.name
            );
            row("notify", CheckOutcome::Warning, note)
        })
        .collect()
}

/// Where Shopify is to send webhooks.
fn webhook_address(public_url: &str) -> String {
    format!("{}/webhooks/shopify", public_url.trim_end_matches('/'))
}

/// The rows about Shopify, and the currencies that orders may be booked in.
async fn shopify_rows(
    shop: &Shop,
    address: Option<String>,
    clock: &SharedClock,
    entropy: &SharedEntropy,
) -> (Vec<CheckRow>, Vec<String>) {
    match connect::shopify(shop, clock, entropy) {
        Ok(shopify) => {
            let checked = shopify.check(&shopify_needs(shop, address)).await;
            (checked.rows, checked.currencies)
        }
        Err(error) => {
            let row = row("connection", CheckOutcome::Failed, with_cause(&error));
            (vec![row], Vec::new())
        }
    }
}

async fn erp_rows(
    shop: &Shop,
    mappings: &Mappings,
    currencies: Vec<String>,
    clock: &SharedClock,
) -> Vec<CheckRow> {
    let needs = erp_needs(shop, mappings, currencies);
    let unknown = needs.currencies.is_empty();
    let mut rows = match connect::erp(shop, clock) {
        Ok(erp) => erp.check(&needs).await,
        Err(error) => vec![row("connection", CheckOutcome::Failed, with_cause(&error))],
    };
    if unknown {
        let note = "Shopify did not say which currencies are in use";
        rows.push(row("ERP currencies", CheckOutcome::Skipped, note));
    }
    rows
}

/// The objects that are carried in.
fn wanted(shop: &Shop) -> BTreeSet<Object> {
    status::toggles(shop)
        .into_iter()
        .filter(|(_, direction, toggle)| *direction == Direction::In && *toggle != Toggle::Off)
        // Stock that only follows the products is not asked for.
        .filter(|(object, ..)| *object != Object::Inventory || shop.sync.inventory.is_some())
        .map(|(object, _, _)| object)
        // Stock that only follows the products is welcome, and asks for nothing.
        .filter(|object| *object != Object::Inventory || shop.sync.inventory.is_some())
        .collect()
}

/// The same with what they make where it is missing: an order its customer and its products.
fn made(shop: &Shop) -> BTreeSet<Object> {
    let mut made = wanted(shop);
    if made.contains(&Object::Order) {
        made.extend([Object::Customer, Object::Product]);
    }
    made
}

/// What the toggles need of Shopify.
fn shopify_needs(shop: &Shop, webhook_address: Option<String>) -> CheckNeeds {
    let topics = subscriptions::desired(&Wish {
        toggles: shop.sync.clone(),
        public_url: String::new(),
        instance: String::new(),
        names: false,
    });
    let topics = topics
        .into_iter()
        .filter(|one| !one.optional)
        .map(|one| one.topic.name.to_owned())
        .collect();
    CheckNeeds {
        reads: made(shop).into_iter().collect(),
        writes: Vec::new(),
        topics,
        webhook_address,
        orders_since: shop.start_at,
    }
}

/// What mappings and settings need of the ERP.
fn erp_needs(shop: &Shop, mappings: &Mappings, currencies: Vec<String>) -> Needs {
    let facts = ShopFacts {
        name: shop.name.to_string(),
        guest_partner: shop.flow.guest_partner,
        book_test_orders: shop.flow.book_test_orders,
        rounding_limit: shop.flow.rounding_limit,
        tax_tolerance: shop.flow.tax_tolerance,
        ..ShopFacts::default()
    };
    let objects = made(shop);
    let services = if objects.contains(&Object::Order) {
        // What a line without a product of its own may be: every kind but goods, and goods that were typed in by hand. What
        // a rounded price leaves over is rounding.
        LineKind::ALL
            .iter()
            .filter(|kind| !matches!(kind, LineKind::Product | LineKind::Correction))
            .map(|kind| kind.as_str())
            .chain(["custom"])
            .map(str::to_owned)
            .collect()
    } else {
        Vec::new()
    };
    Needs {
        fields: mappings.needs(&objects, Some(&facts.fact())),
        services,
        currencies,
        languages: shop.odoo.server.language.iter().cloned().collect(),
    }
}

fn row(what: &str, outcome: CheckOutcome, note: impl Into<String>) -> CheckRow {
    CheckRow {
        what: what.to_owned(),
        outcome,
        note: note.into(),
    }
}

fn with_cause(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn shop(sync: &str) -> Shop {
        let text = format!(
            "[http]\npublic_url = \"https://sync.example.com/\"\n[shops.main]\ndomain = \"main.myshopify.com\"\n\
             access_token = \"a\"\nwebhook_secrets = [\"b\"]\n[shops.main.odoo]\nurl = \"https://erp.example.com\"\n\
             database = \"d\"\nlogin = \"l\"\napi_key = \"k\"\n[shops.main.sync]\n{sync}\n"
        );
        let config = Config::parse(&text, Path::new("/nowhere/lockstep.toml"), &|_| None).unwrap();
        config.shops.into_values().next().unwrap()
    }

    #[test]
    fn what_waits_for_endpoints_that_are_gone_from_the_file_is_told() {
        let text = "[http]\npublic_url = \"https://sync.example.com/\"\n[shops.main]\ndomain = \"main.myshopify.com\"\n\
                    access_token = \"a\"\nwebhook_secrets = [\"b\"]\n[shops.main.odoo]\nurl = \"https://erp.example.com\"\n\
                    database = \"d\"\nlogin = \"l\"\napi_key = \"k\"\n[notify.endpoints.kept]\n\
                    url = \"https://hooks.example.com/1\"\nevents = [\"*\"]\n";
        let config = Config::parse(text, Path::new("/nowhere/lockstep.toml"), &|_| None).unwrap();
        let row = |name: &str, waiting| EndpointRow {
            name: name.to_owned(),
            is_paused: false,
            paused_because: None,
            paused_by: None,
            paused_at: None,
            health: String::new(),
            told_failing_at: None,
            given_up_at: None,
            waiting,
            oldest_waiting: None,
            is_sending: false,
            problems: 0,
            failed: 0,
        };
        let rows = removed_endpoints(&config, &[row("kept", 5), row("gone", 7), row("empty", 0)]);
        assert_eq!(rows.len(), 1, "{rows:?}");
        assert_eq!(rows[0].outcome, CheckOutcome::Warning);
        assert!(
            rows[0]
                .note
                .starts_with("7 deliveries wait for the endpoint gone,"),
            "{rows:?}"
        );
    }

    #[test]
    fn what_is_asked_of_both_systems_follows_the_toggles() {
        let mappings = crate::app::mappings::load(None).unwrap();
        for (sync, models, reads, topic, services) in [
            ("", &[][..], &[][..], "app/uninstalled", false),
            (
                "customers = { in = \"on\" }",
                &["res.partner"][..],
                &[Object::Customer][..],
                "customers/update",
                false,
            ),
            (
                "products = { in = \"paused\" }",
                &["product.product", "product.template"],
                &[Object::Product],
                "products/update",
                false,
            ),
            (
                "orders = { in = \"on\" }",
                &[
                    "product.product",
                    "product.template",
                    "res.partner",
                    "sale.order",
                    "sale.order.line",
                ],
                &[Object::Order, Object::Customer, Object::Product],
                "refunds/create",
                true,
            ),
        ] {
            let shop = shop(sync);
            let needs = erp_needs(&shop, &mappings, vec!["EUR".to_owned()]);
            assert_eq!(needs.fields.keys().collect::<Vec<_>>(), models, "{sync}");
            assert_eq!(needs.currencies, ["EUR"]);
            for purpose in ["shipping", "tip", "rounding", "custom"] {
                assert_eq!(
                    needs.services.iter().any(|known| known == purpose),
                    services,
                    "{sync} {purpose}"
                );
            }
            let needs = shopify_needs(&shop, None);
            assert_eq!(needs.reads.len(), reads.len(), "{sync}: {:?}", needs.reads);
            assert!(reads.iter().all(|object| needs.reads.contains(object)), "{sync}");
            assert!(
                needs.topics.iter().any(|name| name == topic),
                "{sync}: {:?}",
                needs.topics
            );
            // An order makes its customer, but events about customers are not asked for.
            let about_customers = needs.topics.iter().any(|name| name.starts_with("customers/"));
            assert_eq!(about_customers, sync.starts_with("customers"), "{sync}");
        }
    }

    #[test]
    fn webhooks_go_below_the_public_address() {
        for url in ["https://sync.example.com", "https://sync.example.com/"] {
            assert_eq!(webhook_address(url), "https://sync.example.com/webhooks/shopify");
        }
    }
}
