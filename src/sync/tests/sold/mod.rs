//! What was sold and what it cost: odd lines, odd prices, odd buyers. Both versions where the ERP's behaviour matters.

mod buyers;
mod cost;
mod later;
mod lines;

use async_trait::async_trait;
use serde_json::json;

use super::bench::*;
use super::*;
use crate::domain::{BookedTax, Customer, LineKind, LinkKind, Order, OrderCompany, Product, Risk, ShopifyId};
use crate::sandbox::shopify::facts::{
    AllocationMethod, Discount, DiscountKind, DiscountTarget, DiscountValue,
};
use crate::shopify::ShopifyError;

type Change = Arc<dyn Fn(&mut Order) + Send + Sync>;

/// The shop, with something else about every order.
pub(super) struct Otherwise {
    pub(super) shop: Arc<dyn Source>,
    pub(super) change: Change,
}

#[async_trait]
impl Source for Otherwise {
    async fn order(&self, id: ShopifyId, select: &str) -> Result<Option<Order>, ShopifyError> {
        let mut order = self.shop.order(id, select).await?;
        if let Some(order) = &mut order {
            (self.change)(order);
        }
        Ok(order)
    }

    async fn customer(&self, id: ShopifyId, select: &str) -> Result<Option<Customer>, ShopifyError> {
        self.shop.customer(id, select).await
    }

    async fn product(&self, id: ShopifyId, select: &str) -> Result<Option<Product>, ShopifyError> {
        self.shop.product(id, select).await
    }

    async fn probe(&self) -> Result<(), ShopifyError> {
        self.shop.probe().await
    }
    async fn changed_since(
        &self,
        object: crate::domain::Object,
        since: crate::domain::Timestamp,
        after: Option<String>,
    ) -> Result<crate::shopify::Page, ShopifyError> {
        self.shop.changed_since(object, since, after).await
    }
}

fn all_services() -> Vec<ServiceSeed> {
    let more = ["gift_card", "duty", "fee"].map(|purpose| ServiceSeed {
        name: purpose.to_owned(),
        code: purpose.to_uppercase(),
        external_id: Some(format!("__lockstep_main__.service_{purpose}")),
    });
    services().into_iter().chain(more).collect()
}

fn options(version: Version) -> OdooOptions {
    OdooOptions {
        services: all_services(),
        ..OdooOptions::version(version)
    }
}

/// A bench whose orders are otherwise than the shop has them.
async fn otherwise(
    options: OdooOptions,
    settings: Settings,
    change: impl Fn(&mut Order) + Send + Sync + 'static,
) -> Bench {
    Bench::adjusted(options, |context| {
        context.settings = settings;
        context.source = Arc::new(Otherwise {
            shop: Arc::clone(&context.source),
            change: Arc::new(change),
        });
    })
    .await
}

const BOTH: [Version; 2] = [Version::V18, Version::V19];

fn guest() -> Buyer {
    Buyer::Guest {
        email: Some("ada@example.com".into()),
        phone: None,
    }
}

/// A paid order of custom lines at 19 %, tax included or not.
fn custom(lines: &[(&str, u32)], taxes_included: bool) -> OrderDraft {
    OrderDraft {
        buyer: guest(),
        lines: lines
            .iter()
            .map(|(price, units)| LineDraft::custom("Goods", decimal(price), *units))
            .collect(),
        taxes: vec![vat(19)],
        taxes_included,
        billing_address: Some(berlin("Byron")),
        ..OrderDraft::default()
    }
}

async fn done(bench: &Bench, id: u64) {
    let (state, why) = bench.sync(Object::Order, id).await;
    assert_eq!(state, JobState::Completed, "{why:?}");
}

async fn problem(bench: &Bench, id: u64) -> String {
    let (state, why) = bench.sync(Object::Order, id).await;
    assert_eq!(state, JobState::Problem, "{why:?}");
    why.unwrap()
}

/// Product code, units, price and total of each line of an order in the ERP.
fn lines(bench: &Bench, name: &str) -> Vec<String> {
    bench
        .booked(name)
        .lines
        .iter()
        .map(|line| {
            format!(
                "{} x {} = {}",
                line.quantity.normalize(),
                line.price_unit.normalize(),
                line.price_total.normalize()
            )
        })
        .collect()
}
