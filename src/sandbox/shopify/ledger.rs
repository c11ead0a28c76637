//! The shop's own truth, for those who check what came out elsewhere.

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;

use super::facts::{Order, StockAdjustment};
use super::shop::Shop;
pub use super::webhook::deliver::DeliveryRecord;

/// A copy of what the shop knows and what it did.
#[derive(Clone, Debug)]
pub struct Ledger {
    /// Orders that exist, oldest first.
    pub orders: Vec<OrderFact>,
    /// Customers that exist.
    pub customers: Vec<CustomerFact>,
    /// Products that exist.
    pub products: Vec<ProductFact>,
    /// Kind and number of records that were deleted.
    pub deleted: Vec<(&'static str, u64)>,
    /// Writes of quantities that changed something, oldest first.
    pub adjustments: Vec<StockAdjustment>,
    /// What the API was asked.
    pub calls: Calls,
    /// Every webhook delivery.
    pub deliveries: Vec<DeliveryRecord>,
    /// Subscriptions that were deleted because they failed too often.
    pub deleted_subscriptions: u32,
}

impl Ledger {
    /// An order by its name (`#1001`).
    pub fn order(&self, name: &str) -> Option<&OrderFact> {
        self.orders.iter().find(|o| o.name == name)
    }

    /// Deliveries that were accepted at least once.
    pub fn delivered(&self) -> usize {
        self.deliveries.iter().filter(|d| d.accepted > 0).count()
    }

    /// Deliveries that were accepted more than once.
    pub fn duplicated(&self) -> usize {
        self.deliveries.iter().filter(|d| d.accepted > 1).count()
    }

    /// Deliveries that never arrived: dropped or given up.
    pub fn lost(&self) -> usize {
        self.deliveries
            .iter()
            .filter(|d| d.accepted == 0 && (d.dropped || d.given_up))
            .count()
    }

    /// When a delivery of this topic about this record was first accepted.
    pub fn accepted_at(&self, topic: &str, resource: u64) -> Option<DateTime<Utc>> {
        self.deliveries
            .iter()
            .filter(|d| d.topic == topic && d.resource == Some(resource))
            .filter_map(|d| d.accepted_at)
            .min()
    }
}

/// An order in short. Money is in the shop's currency.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderFact {
    /// Number part of the gid.
    pub id: u64,
    /// `#1001`.
    pub name: String,
    /// Buyer with an account.
    pub customer: Option<u64>,
    /// Contact address.
    pub email: Option<String>,
    /// The shop's currency.
    pub currency: String,
    /// Prices contain tax.
    pub taxes_included: bool,
    /// As sold.
    pub total: Decimal,
    /// As it stands after edits and refunds.
    pub current_total: Decimal,
    /// Taxes as sold.
    pub tax: Decimal,
    /// Taxes as they stand.
    pub current_tax: Decimal,
    /// Shipping after discounts, as it stands.
    pub current_shipping: Decimal,
    /// All discounts, as sold.
    pub discounts: Decimal,
    /// Money given back.
    pub refunded: Decimal,
    /// Lines.
    pub lines: Vec<LineFact>,
    /// Cancelled.
    pub cancelled: bool,
    /// Made by a test gateway.
    pub test: bool,
    /// `PAID`, `PENDING` …
    pub financial_status: &'static str,
    /// `FULFILLED`, `UNFULFILLED` …
    pub fulfillment_status: &'static str,
    /// Date of the sale.
    pub processed_at: DateTime<Utc>,
    /// Last change.
    pub updated_at: DateTime<Utc>,
}

/// A line in short.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineFact {
    /// Number part of the gid.
    pub id: u64,
    /// Variant, unless it is gone or the line never had one.
    pub variant: Option<u64>,
    /// SKU at the time of sale.
    pub sku: Option<String>,
    /// Title at the time of sale.
    pub title: String,
    /// Ordered.
    pub quantity: u32,
    /// Left after edits and refunds.
    pub current_quantity: u32,
    /// Before discounts.
    pub unit_price: Decimal,
    /// After all discounts, for all units.
    pub total: Decimal,
    /// Taxes on the line.
    pub tax: Decimal,
    /// A tip.
    pub tip: bool,
}

/// A customer in short.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CustomerFact {
    /// Number part of the gid.
    pub id: u64,
    /// Shown name.
    pub name: String,
    /// E-mail.
    pub email: Option<String>,
    /// Phone.
    pub phone: Option<String>,
    /// Number of addresses.
    pub addresses: usize,
    /// Last change.
    pub updated_at: DateTime<Utc>,
}

/// A product in short.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProductFact {
    /// Number part of the gid.
    pub id: u64,
    /// Title.
    pub title: String,
    /// Id, SKU and price of each variant.
    pub variants: Vec<(u64, Option<String>, Decimal)>,
    /// Last change.
    pub updated_at: DateTime<Utc>,
}

/// Counters of the API.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Calls {
    /// GraphQL requests that reached the shop, refused ones included.
    pub graphql: u64,
    /// Requests by operation name.
    pub by_operation: std::collections::BTreeMap<String, u64>,
    /// Tokens granted.
    pub token_grants: u64,
    /// Requests with a wrong or ended token.
    pub unauthorized: u64,
    /// Requests that were throttled for want of points.
    pub throttled: u64,
    /// Faults that struck.
    pub faults: u64,
    /// Results of bulk operations that were fetched.
    pub bulk_files: u64,
    /// Points that were asked for in all.
    pub requested_cost: u64,
}

impl OrderFact {
    fn of(order: &Order) -> Self {
        let t = &order.totals;
        let lines = order.lines.iter().map(|line| LineFact {
            id: line.id,
            variant: line.variant,
            sku: line.sku.clone(),
            title: line.title.clone(),
            quantity: line.quantity,
            current_quantity: order.current_quantity(line),
            unit_price: line.unit_price.shop,
            total: line.total().shop,
            tax: line.tax().shop,
            tip: line.tip,
        });
        Self {
            id: order.id,
            name: order.name.clone(),
            customer: order.customer,
            email: order.email.clone(),
            currency: order.money.shop.clone(),
            taxes_included: order.taxes_included,
            total: t.total.shop,
            current_total: t.current_total.shop,
            tax: t.tax.shop,
            current_tax: t.current_tax.shop,
            current_shipping: t.current_shipping.shop,
            discounts: t.discounts.shop,
            refunded: t.refunded.shop,
            lines: lines.collect(),
            cancelled: order.cancellation.is_some(),
            test: order.test,
            financial_status: t.financial.name(),
            fulfillment_status: t.fulfillment.name(),
            processed_at: order.processed_at,
            updated_at: order.updated_at,
        }
    }
}

/// What the shop knows, without what happened on the wire.
pub(super) fn records(shop: &Shop) -> (Vec<OrderFact>, Vec<CustomerFact>, Vec<ProductFact>) {
    let orders = shop.orders.values().map(OrderFact::of).collect();
    let customers = shop.customers.values().map(|c| CustomerFact {
        id: c.id,
        name: c.display_name(),
        email: c.email.clone(),
        phone: c.phone.clone(),
        addresses: c.addresses.len(),
        updated_at: c.updated_at,
    });
    let products = shop.products.values().map(|p| ProductFact {
        id: p.id,
        title: p.title.clone(),
        variants: p
            .variants
            .iter()
            .map(|v| (v.id, v.sku.clone(), v.price))
            .collect(),
        updated_at: p.updated_at,
    });
    (orders, customers.collect(), products.collect())
}
