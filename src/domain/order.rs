//! The canonical order: what was sold and what it cost, as booked lines in one currency.
//!
//! Normalising spreads every discount allocation over the lines that it belongs to, applies edits, and proves that the
//! lines add up to the shop's own totals; a mapping then only names what stands here.

use std::sync::Arc;

use rust_decimal::Decimal;

use super::canonical::{canonical, canonical_text};
use super::ids::text_enum;
use crate::domain::{Address, Currency, ShopifyId, Timestamp};

text_enum! {
    /// What a booked line is.
    LineKind, "line kind" {
        /// Goods or services of the catalogue, or a custom line.
        Product = "product",
        /// Shipping.
        Shipping = "shipping",
        /// A tip.
        Tip = "tip",
        /// A gift card that was sold.
        GiftCard = "gift_card",
        /// Import duty.
        Duty = "duty",
        /// Another fee.
        Fee = "fee",
        /// Cash rounding.
        Rounding = "rounding",
        /// The discount of another line whose units have no exact price; the shop's own lines never have this kind.
        Discount = "discount",
    }
}

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

canonical_text!(LineKind, FinancialStatus);

canonical! {
    /// One tax of one line.
    BookedTax {
        /// The shop's name of the tax.
        title: String,
        /// Rate in percent, e.g. `19` or `8.875`.
        rate_percent: Decimal,
        /// Amount in the order's currency.
        amount: Decimal,
        /// Whether a marketplace remits it instead of the merchant.
        channel_liable: bool,
    }
}

canonical! {
    /// One line as it is to be booked: quantities after edits, amounts after all discounts.
    BookedLine {
        /// Stable within the order and safe in external ids: `line_123`, `shipping_45`, `duty_67`.
        key: String,
        /// What it is.
        kind: LineKind,
        /// Shopify's product; none for a custom line or a deleted product.
        product_id: Option<ShopifyId>,
        /// Shopify's variant; none for a custom line or a deleted variant.
        variant_id: Option<ShopifyId>,
        /// SKU at the time of sale.
        sku: Option<String>,
        /// What the buyer saw.
        title: String,
        /// Variant title, when there is one.
        variant_title: Option<String>,
        /// Units.
        quantity: Decimal,
        /// Price of one unit before discounts, in the order's currency; it contains tax when the order's prices do.
        original_unit_price: Decimal,
        /// All discounts of this line together, positive; contains tax when the order's prices do.
        discount: Decimal,
        /// `quantity * original_unit_price - discount`, exact.
        amount: Decimal,
        /// `amount / quantity` where that is exact in the currency's smallest unit; none where it is not or quantity is zero.
        unit_price: Option<Decimal>,
        /// Amount without tax.
        net: Decimal,
        /// Amount with tax.
        gross: Decimal,
        /// The taxes that are charged (rate other than zero or amount other than zero).
        taxes: Vec<BookedTax>,
        /// Line properties as `name: value` texts.
        properties: Vec<String>,
    }
}

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
    /// A payment or another money movement.
    Payment {
        /// Shopify's number.
        id: ShopifyId,
        /// `SALE`, `CAPTURE`, `AUTHORIZATION`, `REFUND`…; unknown values are kept.
        kind: String,
        /// `SUCCESS`, `PENDING`, `FAILURE`…; unknown values are kept.
        status: String,
        /// Gateway, e.g. `shopify_payments`.
        gateway: Option<String>,
        /// Amount in the order's currency.
        amount: Decimal,
        /// When.
        processed_at: Option<Timestamp>,
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
        /// Shopify's own record.
        raw: Arc<serde_json::Value>,
    }
}
