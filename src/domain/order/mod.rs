//! The canonical order: what was sold and what it cost, as booked lines in one currency.
//!
//! Normalising spreads every discount allocation over the lines that it belongs to, applies edits, and proves that the
//! lines add up to the shop's own totals; a mapping then only names what stands here. `line` holds what is booked, `after`
//! what happened after the sale: payments, refunds, parcels.

mod after;
mod line;

use std::sync::Arc;

use rust_decimal::Decimal;

pub use after::{
    FulfilledLine, Fulfillment, Payment, Refund, RefundAdjustment, RefundedLine, RefundedShipping, Restock,
};
pub use line::{BookedLine, BookedTax, LineKind};

use super::canonical::{canonical, canonical_text};
use super::ids::text_enum;
use crate::domain::{Address, Currency, ShopifyId, Timestamp};

text_enum! {
    /// Shopify's `displayFinancialStatus`, in lower case.
    FinancialStatus, "financial status" {
        /// Authorised, not yet paid.
        Authorized = "authorized",
        /// The authorisation ran out.
        Expired = "expired",
        /// Paid.
        Paid = "paid",
        /// Partly paid.
        PartiallyPaid = "partially_paid",
        /// Partly paid back.
        PartiallyRefunded = "partially_refunded",
        /// To be paid, e.g. cash on delivery.
        Pending = "pending",
        /// Paid back.
        Refunded = "refunded",
        /// The authorisation was given up.
        Voided = "voided",
        /// A status that this version does not know, or none.
        Unknown = "unknown",
    }
}

text_enum! {
    /// How risky the shop's own check holds the order to be.
    Risk, "fraud risk" {
        /// Nothing is said.
        None = "none",
        /// Shopify recommends to accept it.
        Low = "low",
        /// Shopify recommends to look into it.
        Medium = "medium",
        /// Shopify recommends to cancel it.
        High = "high",
        /// Shopify's word is not one that this version knows.
        Pending = "pending",
    }
}

canonical_text!(FinancialStatus, Risk);

canonical! {
    /// The customer as far as the order itself tells.
    OrderCustomer {
        /// Shopify's number.
        id: ShopifyId,
        /// Name for people.
        display_name: String,
        /// E-mail.
        email: Option<String>,
        /// Phone.
        phone: Option<String>,
    }
}

canonical! {
    /// The company that bought, with the one of its locations that the order is for.
    OrderCompany {
        /// Shopify's number of the company.
        id: ShopifyId,
        /// Name of the company.
        name: String,
        /// Shopify's number of the location.
        location_id: ShopifyId,
        /// Name of the location.
        location_name: String,
        /// What the merchant calls the company in another system.
        external_id: Option<String>,
    }
}

canonical! {
    /// A discount as it was given, with all that it took off the order as sold.
    AppliedDiscount {
        /// Name for people; the code where it has no other.
        title: String,
        /// The code that the buyer entered.
        code: Option<String>,
        /// `product`, `order` (spread over all lines) or `shipping`.
        kind: String,
        /// The sum of its allocations, positive, in the order's currency.
        amount: Decimal,
    }
}

canonical! {
    /// The shop's own totals now (after edits and refunds), in the order's currency.
    OrderTotals {
        /// What the order costs with everything.
        total: Decimal,
        /// All taxes.
        tax: Decimal,
        /// All discounts, positive.
        discounts: Decimal,
        /// Shipping after discounts.
        shipping: Decimal,
        /// What was received so far.
        received: Decimal,
        /// What was paid back so far.
        refunded: Decimal,
        /// What is still to be paid.
        outstanding: Decimal,
    }
}

canonical! {
    /// An order as Shopify has it now.
    Order {
        /// Shopify's number.
        id: ShopifyId,
        /// The number for people, e.g. `#1001`.
        name: String,
        /// When it was placed; an imported one may be older than the shop.
        processed_at: Timestamp,
        /// When the record was made.
        created_at: Timestamp,
        /// When it last changed.
        updated_at: Timestamp,
        /// When it was cancelled.
        cancelled_at: Option<Timestamp>,
        /// Why, as Shopify's word.
        cancel_reason: Option<String>,
        /// Whether it was placed with a test gateway.
        test: bool,
        /// Whether it was edited after it was placed.
        edited: bool,
        /// Payment status.
        financial_status: FinancialStatus,
        /// Shopify's `displayFulfillmentStatus`; unknown values are kept.
        fulfillment_status: Option<String>,
        /// The one currency of every amount here.
        currency: Currency,
        /// Whether prices contain tax.
        taxes_included: bool,
        /// The buyer's e-mail on the order.
        email: Option<String>,
        /// The buyer's phone on the order.
        phone: Option<String>,
        /// The customer; none for a guest.
        customer: Option<OrderCustomer>,
        /// Billing address as on the order.
        billing_address: Option<Address>,
        /// Shipping address as on the order.
        shipping_address: Option<Address>,
        /// Note.
        note: Option<String>,
        /// Tags in Shopify's order.
        tags: Vec<String>,
        /// Where it was made: `web`, `pos`, `shopify_draft_order`…
        source_name: Option<String>,
        /// Purchase order number.
        po_number: Option<String>,
        /// Payment gateways.
        gateways: Vec<String>,
        /// Discount codes.
        discount_codes: Vec<String>,
        /// What is to be booked.
        lines: Vec<BookedLine>,
        /// The shop's totals; the lines' `gross` adds up to `totals.total`.
        totals: OrderTotals,
        /// Money movements.
        payments: Vec<Payment>,
        /// What was given back, oldest first.
        refunds: Vec<Refund>,
        /// Parcels, oldest first.
        fulfillments: Vec<Fulfillment>,
        /// The company that bought; none where a person did.
        company: Option<OrderCompany>,
        /// The shop's own judgement of fraud.
        risk: Risk,
        /// Whether the buyer pays no tax.
        tax_exempt: bool,
        /// Discounts as they were given, in Shopify's order.
        discounts: Vec<AppliedDiscount>,
        /// The number that the buyer was shown, e.g. `XPAV284CT`; not unique for ever.
        confirmation_number: Option<String>,
        /// Name of the store where it was sold at the till.
        retail_location: Option<String>,
        /// Shopify's own record.
        raw: Arc<serde_json::Value>,
    }
}
