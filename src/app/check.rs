//! `check --live`: asks both systems of every shop whether they are as the configuration and the mappings need them.

use std::collections::BTreeSet;

use serde::Serialize;

use super::{connect, reach, status};
use crate::config::{Config, Shop, Toggle};
use crate::domain::{
    Canonical as _, CheckOutcome, CheckRow, Direction, Object, SharedClock, SharedEntropy, ShopName, Topic,
    TopicAction,
};
use crate::erp::Needs;
use crate::mapping::{Mappings, ShopFacts};
use crate::shopify::CheckNeeds;
use crate::store::{OpenMode, StoreError};

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
            let (shopify, erp) = tokio::join!(
                shopify_rows(shop, clock, entropy),
                erp_rows(shop, mappings, clock)
            );
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
            return vec![
                row("store", CheckOutcome::Failed, with_cause(&error)),
                row("public_url", CheckOutcome::Skipped, "needs the store"),
            ];
        }
    };
    let asked: Result<_, StoreError> = async {
        store.ping().await?;
        let events = store.counts(clock.now()).await?.events;
        let key = reach::instance_key(config, &store, clock, entropy).await?;
        Ok((events, key))
    }
    .await;
    store.close().await;
    match asked {
        Ok((events, key)) => vec![
            row(
                "store",
                CheckOutcome::Ok,
                format!("can be written and read; {events} events stored"),
            ),
            reach::check_public_url(config, &key, entropy, events).await,
        ],
        Err(error) => vec![row("store", CheckOutcome::Failed, with_cause(&error))],
    }
}

async fn shopify_rows(shop: &Shop, clock: &SharedClock, entropy: &SharedEntropy) -> Vec<CheckRow> {
    match connect::shopify(shop, clock, entropy) {
        Ok(shopify) => shopify.check(&shopify_needs(shop)).await,
        Err(error) => vec![row("connection", CheckOutcome::Failed, with_cause(&error))],
    }
}

async fn erp_rows(shop: &Shop, mappings: &Mappings, clock: &SharedClock) -> Vec<CheckRow> {
    match connect::erp(shop, clock) {
        Ok(erp) => erp.check(&erp_needs(shop, mappings)).await,
        Err(error) => vec![row("connection", CheckOutcome::Failed, with_cause(&error))],
    }
}

/// What the toggles need of Shopify.
fn shopify_needs(shop: &Shop) -> CheckNeeds {
    let wanted: BTreeSet<Object> = status::toggles(shop)
        .into_iter()
        .filter(|(_, direction, toggle)| *direction == Direction::In && *toggle != Toggle::Off)
        .map(|(object, _, _)| object)
        .collect();
    let topics = Topic::ALL
        .iter()
        .filter(|topic| topic.graphql.is_some())
        .filter(|topic| match topic.action {
            TopicAction::Look(object, _) | TopicAction::Gone(object, _) => wanted.contains(&object),
            TopicAction::Uninstalled => true,
            TopicAction::Record | TopicAction::Compliance => false,
        })
        .map(|topic| topic.name.to_owned())
        .collect();
    let mut reads = wanted;
    if reads.contains(&Object::Order) {
        // An order makes its customer and its products where they are missing.
        reads.extend([Object::Customer, Object::Product]);
    }
    CheckNeeds {
        reads: reads.into_iter().collect(),
        writes: Vec::new(),
        topics,
        orders_since: shop.start_at,
    }
}

/// What mappings and settings need of the ERP.
fn erp_needs(shop: &Shop, mappings: &Mappings) -> Needs {
    let facts = ShopFacts {
        name: shop.name.to_string(),
        guest_partner: shop.flow.guest_partner,
        book_test_orders: shop.flow.book_test_orders,
        rounding_limit: shop.flow.rounding_limit,
        tax_tolerance: shop.flow.tax_tolerance,
        ..ShopFacts::default()
    };
    Needs {
        fields: mappings.needs(Some(&facts.fact())),
        read: ["res.country", "res.country.state", "product.pricelist"]
            .map(str::to_owned)
            .to_vec(),
        currencies: Vec::new(),
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
