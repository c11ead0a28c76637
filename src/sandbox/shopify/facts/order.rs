//! Orders as they were agreed: lines, prices, taxes, delivery.

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;

use super::totals::Totals;
use super::{Address, Allocation, Cancellation, Discount, Fulfillment, Metafield, Refund, Transaction};
use crate::sandbox::shopify::money::{Bag, Currencies};

/// One order.
#[expect(
    clippy::struct_excessive_bools,
    reason = "the flags are independent facts of the API's record"
)]
#[derive(Clone, Debug)]
pub struct Order {
    /// Number part of the gid.
    pub id: u64,
    /// 1001 and up.
    pub number: u64,
    /// `#1001`.
    pub name: String,
    /// What the buyer sees.
    pub confirmation_number: String,
    /// The currencies and their rate.
    pub money: Currencies,
    /// Buyer with an account; guests have none.
    pub customer: Option<u64>,
    /// Company that bought (B2B).
    pub purchasing: Option<Purchasing>,
    /// Contact address of the order.
    pub email: Option<String>,
    /// Contact phone of the order.
    pub phone: Option<String>,
    /// Language of the buyer.
    pub locale: Option<String>,
    /// Where the bill goes.
    pub billing_address: Option<Address>,
    /// Where the goods go; none for pick-up and POS.
    pub shipping_address: Option<Address>,
    /// `web`, `pos`, `shopify_draft_order` …
    pub source_name: String,
    /// Id in the system that the order came from.
    pub source_identifier: Option<String>,
    /// The buyer's own reference.
    pub po_number: Option<String>,
    /// Note of buyer or merchant.
    pub note: Option<String>,
    /// Sorted, unique.
    pub tags: Vec<String>,
    /// Key and value pairs of the cart.
    pub attributes: Vec<(String, String)>,
    /// Made by a test gateway.
    pub test: bool,
    /// Prices contain tax.
    pub taxes_included: bool,
    /// No tax is charged at all.
    pub tax_exempt: bool,
    /// Lines, in the order in which they were added.
    pub lines: Vec<Line>,
    /// Ways of delivery that were charged.
    pub shipping_lines: Vec<ShippingLine>,
    /// Discounts; allocations point here by index.
    pub discounts: Vec<Discount>,
    /// Payments and refunds of money.
    pub transactions: Vec<Transaction>,
    /// Returns, removals and goodwill.
    pub refunds: Vec<Refund>,
    /// What was sent.
    pub fulfillments: Vec<Fulfillment>,
    /// Set once it was cancelled.
    pub cancellation: Option<Cancellation>,
    /// Archived.
    pub closed_at: Option<DateTime<Utc>>,
    /// Lines were added, removed or changed after the sale.
    pub edited: bool,
    /// Total when the order was made.
    pub original_total: Bag,
    /// Custom data.
    pub metafields: Vec<Metafield>,
    /// When the record was made.
    pub created_at: DateTime<Utc>,
    /// Date of the sale; imported orders have an older one.
    pub processed_at: DateTime<Utc>,
    /// Last change of anything that the order shows.
    pub updated_at: DateTime<Utc>,
    /// What follows from the above; refreshed after every change.
    pub totals: Totals,
}

impl Order {
    /// Gateways that were used, each once.
    pub fn gateways(&self) -> Vec<String> {
        let mut names = Vec::new();
        for transaction in &self.transactions {
            if !names.contains(&transaction.gateway) {
                names.push(transaction.gateway.clone());
            }
        }
        names
    }
}

/// The company side of a B2B order.
#[derive(Clone, Copy, Debug)]
pub struct Purchasing {
    /// Company.
    pub company: u64,
}

/// One line.
#[expect(
    clippy::struct_excessive_bools,
    reason = "the flags are independent facts of the API's record"
)]
#[derive(Clone, Debug)]
pub struct Line {
    /// Number part of the gid.
    pub id: u64,
    /// None for custom lines and deleted products.
    pub product: Option<u64>,
    /// None for custom lines and deleted variants.
    pub variant: Option<u64>,
    /// Product title at the time of sale.
    pub title: String,
    /// Variant title at the time of sale.
    pub variant_title: Option<String>,
    /// SKU at the time of sale.
    pub sku: Option<String>,
    /// Maker.
    pub vendor: Option<String>,
    /// Ordered; never changes after the sale, removals count against it.
    pub quantity: u32,
    /// Price of one, before discounts.
    pub unit_price: Bag,
    /// Taxes are charged.
    pub taxable: bool,
    /// It is sent by parcel.
    pub requires_shipping: bool,
    /// A gift card is sold.
    pub gift_card: bool,
    /// A tip: no goods, no tax, not part of the subtotal.
    pub tip: bool,
    /// Key and value pairs (engravings and the like).
    pub attributes: Vec<(String, String)>,
    /// Bundle that the line is a component of.
    pub group: Option<LineGroup>,
    /// Discounts that fall on this line.
    pub allocations: Vec<Allocation>,
    /// Taxes on the whole line after all discounts.
    pub taxes: Vec<TaxLine>,
    /// Import duties.
    pub duties: Vec<Duty>,
}

impl Line {
    /// Unit price times quantity.
    pub fn original_total(&self) -> Bag {
        self.unit_price.times(Decimal::from(self.quantity))
    }

    /// Sum of all discounts.
    pub fn discount(&self) -> Bag {
        self.allocations.iter().map(|a| a.amount).sum()
    }

    /// After all discounts, before or with tax as the order says.
    pub fn total(&self) -> Bag {
        self.original_total() - self.discount()
    }

    /// Sum of its tax lines.
    pub fn tax(&self) -> Bag {
        self.taxes.iter().map(|t| t.amount).sum()
    }

    /// Title with the variant's behind it.
    pub fn name(&self) -> String {
        match &self.variant_title {
            Some(variant) => format!("{} - {variant}", self.title),
            None => self.title.clone(),
        }
    }
}

/// The bundle that component lines belong to.
#[derive(Clone, Debug)]
pub struct LineGroup {
    /// Number part of the gid.
    pub id: u64,
    /// Title of the bundle.
    pub title: String,
    /// Bundles sold.
    pub quantity: u32,
}

/// A tax as it is charged in a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tax {
    /// Name, for example `DE MwSt`.
    pub title: String,
    /// 0.19 for 19 %.
    pub rate: Decimal,
    /// The sales channel pays it to the authorities.
    pub channel_liable: bool,
}

impl Tax {
    /// A tax that the merchant pays.
    pub fn new(title: &str, rate: Decimal) -> Self {
        Self {
            title: title.to_owned(),
            rate,
            channel_liable: false,
        }
    }
}

/// A tax on one line, in money.
#[derive(Clone, Debug)]
pub struct TaxLine {
    /// The tax.
    pub tax: Tax,
    /// Rounded by itself.
    pub amount: Bag,
}

/// Import duty on a line.
#[derive(Clone, Debug)]
pub struct Duty {
    /// Number part of the gid.
    pub id: u64,
    /// Amount.
    pub price: Bag,
    /// Taxes on the duty.
    pub taxes: Vec<TaxLine>,
    /// Customs tariff number.
    pub hs_code: Option<String>,
    /// Two letters.
    pub origin: Option<String>,
}

/// A way of delivery that was charged.
#[derive(Clone, Debug)]
pub struct ShippingLine {
    /// Number part of the gid.
    pub id: u64,
    /// Name that the buyer saw.
    pub title: String,
    /// The merchant's code of it.
    pub code: Option<String>,
    /// Who gave the rate.
    pub source: Option<String>,
    /// Made by hand.
    pub custom: bool,
    /// Price before discounts.
    pub price: Bag,
    /// Discounts that fall on it.
    pub allocations: Vec<Allocation>,
    /// Taxes after discounts.
    pub taxes: Vec<TaxLine>,
    /// Taken off by an edit.
    pub removed: bool,
}

impl ShippingLine {
    /// After discounts.
    pub fn total(&self) -> Bag {
        self.price - self.allocations.iter().map(|a| a.amount).sum()
    }

    /// Sum of its tax lines.
    pub fn tax(&self) -> Bag {
        self.taxes.iter().map(|t| t.amount).sum()
    }
}
