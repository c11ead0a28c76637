//! The way back: what changes in the ERP arrives on the shop, and its echo ends quietly.

use std::time::Duration;

use rust_decimal::Decimal;
use serde_json::json;
use tokio::time::{Instant, interval};

use super::{DemoError, PATIENCE};
use crate::sandbox::odoo::OdooSandbox;
use crate::sandbox::shopify::ShopSandbox;

/// The article that is followed.
const SKU: &str = "LAMP";

/// Looks of the poller that must pass without another write before an echo counts as ended.
const QUIET_LOOKS: u64 = 3;

/// One article on both sides.
pub(super) struct WayBack<'a> {
    shop: &'a ShopSandbox,
    erp: &'a OdooSandbox,
    /// The shop's variant, and the place where its stock lies.
    variant: u64,
    location: u64,
    /// The ERP's product and variant.
    template: i64,
    product: i64,
}

impl<'a> WayBack<'a> {
    /// Finds the article in both ledgers.
    pub(super) fn new(shop: &'a ShopSandbox, erp: &'a OdooSandbox) -> Result<Self, DemoError> {
        let missing = |side: &str| DemoError::Scenario(format!("{side} has no article {SKU}"));
        let sold = shop.ledger().products;
        let variant = sold
            .iter()
            .flat_map(|product| &product.variants)
            .find(|(_, sku, _)| sku.as_deref() == Some(SKU))
            .map(|(id, ..)| *id)
            .ok_or_else(|| missing("the shop"))?;
        let stored = erp.ledger().products();
        let product = stored
            .iter()
            .find(|product| product.sku.as_deref() == Some(SKU))
            .map(|product| product.id)
            .ok_or_else(|| missing("the ERP"))?;
        let template = erp
            .ledger()
            .record("product.product", product)
            .and_then(|record| {
                record["product_tmpl_id"]
                    .as_i64()
                    .or(record["product_tmpl_id"][0].as_i64())
            })
            .ok_or_else(|| missing("the ERP"))?;
        Ok(Self {
            shop,
            erp,
            variant,
            location: shop.read(crate::sandbox::shopify::Shop::main_location),
            template,
            product,
        })
    }

    /// Lets it happen; what does not hold.
    pub(super) async fn play(&self, say: &mut (dyn FnMut(&str) + Send)) -> Result<Vec<String>, DemoError> {
        let mut broken = Vec::new();
        say("Somebody changes a price in the ERP.");
        self.set_price("119.5")?;
        let price = Decimal::new(11_950, 2);
        self.must("the new price did not arrive on the shop", &mut broken, || {
            self.price() == Some(price)
        })
        .await;
        say("  the shop shows it");
        say("Somebody counts 40 of them in the ERP.");
        self.count(40)?;
        self.must(
            "the counted stock did not arrive on the shop",
            &mut broken,
            || self.on_hand() == Some(40),
        )
        .await;
        say("  the shop shows them");
        say("Three are sold at the same moment at which the ERP counts 30.");
        let order = self
            .shop
            .change(|shop| shop.sell(self.variant, 3))
            .map_err(|error| DemoError::Scenario(error.to_string()))?;
        self.count(30)?;
        let name = self
            .shop
            .read(|shop| shop.order(order).map(|order| order.name.clone()));
        let booked = || {
            let orders = self.erp.ledger().orders();
            orders.iter().any(|booked| booked.client_order_ref == name)
        };
        self.must("the sale beside the count was not booked", &mut broken, booked)
            .await;
        self.must(
            "the count beside the sale did not arrive on the shop",
            &mut broken,
            || self.on_hand() == Some(30),
        )
        .await;
        if let Some((available, committed)) = self.shop.read(|shop| {
            let level = shop.level(self.variant, self.location)?;
            Some((level.available, level.committed))
        }) && available + committed > 30
        {
            broken.push(format!(
                "of 30 units {committed} are sold, and the shop offers {available} more"
            ));
        }
        say("  nothing is sold twice");
        broken.extend(self.quiet().await);
        say("  and the echo of what lockstep wrote ends quietly");
        Ok(broken)
    }

    fn set_price(&self, price: &str) -> Result<(), DemoError> {
        let price: f64 = price.parse().unwrap_or_default();
        self.erp
            .as_admin(
                "product.template",
                "write",
                json!([[self.template], {"list_price": price}]),
                json!({}),
            )
            .map(drop)
            .map_err(|error| DemoError::Scenario(error.to_string()))
    }

    fn count(&self, units: i64) -> Result<(), DemoError> {
        self.erp
            .set_stock(self.product, None, units)
            .map_err(|error| DemoError::Scenario(error.to_string()))
    }

    fn price(&self) -> Option<Decimal> {
        self.shop
            .read(|shop| shop.variant(self.variant).map(|(_, variant)| variant.price))
    }

    fn on_hand(&self) -> Option<i64> {
        self.shop.read(|shop| {
            let level = shop.level(self.variant, self.location)?;
            Some(level.available + level.committed + level.reserved + level.damaged)
        })
    }

    async fn must(&self, else_say: &str, broken: &mut Vec<String>, holds: impl Fn() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        let mut tick = interval(Duration::from_millis(20));
        while !holds() {
            if Instant::now() > deadline {
                broken.push(else_say.to_owned());
                return;
            }
            tick.tick().await;
        }
    }

    /// What was written to the shop so far.
    fn writes(&self) -> u64 {
        let calls = self.shop.ledger().calls.by_operation;
        let written = [
            "ProductUpdate",
            "ProductSet",
            "VariantsUpdate",
            "VariantsCreate",
            "QuantitiesSet",
        ];
        written
            .iter()
            .filter_map(|name| calls.get(&format!("Lockstep{name}")))
            .sum()
    }

    /// How often the ERP was asked for changes of products.
    fn looks(&self) -> u64 {
        self.erp.ledger().calls_of("product.template", "search_read")
    }

    /// Waits for some looks of the poller; what was written to the shop meanwhile.
    async fn quiet(&self) -> Option<String> {
        let (written, looks) = (self.writes(), self.looks());
        let mut broken = Vec::new();
        self.must("the ERP is not looked at any more", &mut broken, || {
            self.looks() >= looks + 2 * QUIET_LOOKS
        })
        .await;
        let more = self.writes() - written;
        if more > 0 {
            broken.push(format!(
                "nothing changed any more, and lockstep wrote to the shop {more} times"
            ));
        }
        broken.pop()
    }
}
