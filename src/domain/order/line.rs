//! Booked lines: what is to stand in the ERP, one for each thing that was sold or charged.

use rust_decimal::Decimal;

use crate::domain::ShopifyId;
use crate::domain::canonical::{canonical, canonical_text};
use crate::domain::ids::text_enum;

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
        /// What a price that the ERP keeps with fewer digits leaves over; the shop's own lines never have this kind.
        Correction = "correction",
    }
}

canonical_text!(LineKind);

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
        /// Units that are left after edits and removals.
        quantity: Decimal,
        /// Units as they were ordered.
        sold_quantity: Decimal,
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
        /// Title of the bundle that the line is a part of. The bundle itself is no line, and its price is in its parts.
        group: Option<String>,
        /// Whether it never had a product: it has neither product nor anything that only a product gives (SKU, vendor, variant).
        is_custom: bool,
        /// Whether it is something to be sent.
        requires_shipping: bool,
    }
}

impl BookedLine {
    /// Whether its product was deleted after the sale: it was goods of the catalogue and has no variant any more.
    pub fn is_deleted_product(&self) -> bool {
        self.kind == LineKind::Product && !self.is_custom && self.variant_id.is_none()
    }
}
