//! What happens to an order after the sale: payments, refunds, parcels.

use rust_decimal::Decimal;

use super::BookedTax;
use crate::domain::canonical::{canonical, canonical_text};
use crate::domain::ids::text_enum;
use crate::domain::{ShopifyId, Timestamp};

text_enum! {
    /// Where the goods of a refunded line went.
    Restock, "restock kind" {
        /// Never sent: taken off the order.
        Cancel = "cancel",
        /// Sent and came back.
        Return = "return",
        /// Not put back.
        NoRestock = "no_restock",
        /// Put back, of old refunds that do not say more.
        Legacy = "legacy_restock",
        /// A word that this version does not know.
        Unknown = "unknown",
    }
}

canonical_text!(Restock);

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
        /// What cash was rounded by: with it, the amount is what the till took or gave. Zero for other money.
        rounding: Decimal,
        /// When.
        processed_at: Option<Timestamp>,
        /// The payment's number at its gateway.
        reference: Option<String>,
        /// The movement that this one captures, voids or pays back.
        parent: Option<ShopifyId>,
        /// Whether a test gateway made it.
        test: bool,
    }
}

canonical! {
    /// Units of one line that a refund took off.
    RefundedLine {
        /// Key of the booked line: `line_123`.
        key: String,
        /// Units.
        quantity: Decimal,
        /// Where the goods went.
        restock: Restock,
        /// Their price after discounts; contains tax when the order's prices do.
        amount: Decimal,
        /// Amount without tax.
        net: Decimal,
        /// All tax of it.
        tax: Decimal,
        /// Amount with tax.
        gross: Decimal,
        /// Their share of the line's taxes; they add up to `tax`.
        taxes: Vec<BookedTax>,
        /// Name of the place that got the goods back.
        location: Option<String>,
    }
}

canonical! {
    /// Shipping that a refund took off.
    RefundedShipping {
        /// Key of the booked line: `shipping_45`; `shipping` where Shopify does not say which.
        key: String,
        /// Amount without tax.
        net: Decimal,
        /// Tax of it.
        tax: Decimal,
        /// Amount with tax.
        gross: Decimal,
    }
}

canonical! {
    /// The difference between what a refund's lines are worth and the money that it stands for.
    RefundAdjustment {
        /// Shopify's word in lower case, e.g. `refund_discrepancy`; `unknown` where it says none.
        reason: String,
        /// Positive where the buyer gets more back than the lines are worth, without tax. (Shopify's sign is the other way round.)
        net: Decimal,
        /// Tax of it, of the same sign.
        tax: Decimal,
    }
}

canonical! {
    /// One refund, with or without units, shipping and money.
    Refund {
        /// Shopify's number: what makes a refund the same one, for ever.
        id: ShopifyId,
        /// When the record was made.
        created_at: Option<Timestamp>,
        /// When it counts for the books.
        processed_at: Option<Timestamp>,
        /// Note of the staff.
        note: Option<String>,
        /// Units.
        lines: Vec<RefundedLine>,
        /// Shipping.
        shipping: Vec<RefundedShipping>,
        /// What balances lines and money.
        adjustments: Vec<RefundAdjustment>,
        /// Import duties.
        duties: Decimal,
        /// What it is worth with tax: lines, shipping, adjustments and duties.
        total: Decimal,
        /// Money that went back.
        paid_back: Decimal,
        /// Money on its way back.
        pending: Decimal,
    }
}

canonical! {
    /// Units of one line in a parcel.
    FulfilledLine {
        /// Key of the booked line: `line_123`.
        key: String,
        /// Units.
        quantity: Decimal,
    }
}

canonical! {
    /// A parcel.
    Fulfillment {
        /// Shopify's number.
        id: ShopifyId,
        /// `SUCCESS`, `CANCELLED`, `PENDING`…; unknown values are kept.
        status: String,
        /// How far it got, in Shopify's word: `IN_TRANSIT`, `DELIVERED`…; unknown values are kept.
        display_status: Option<String>,
        /// When it was made.
        created_at: Timestamp,
        /// What is in it.
        lines: Vec<FulfilledLine>,
        /// Carrier.
        tracking_company: Option<String>,
        /// Numbers of its parts at the carrier.
        tracking_numbers: Vec<String>,
        /// Name of the place that sent it.
        location: Option<String>,
    }
}
