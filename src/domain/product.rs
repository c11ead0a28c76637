//! The canonical product with its options and variants.

use std::sync::Arc;

use rust_decimal::Decimal;

use super::canonical::canonical;
use crate::domain::{ShopifyId, Timestamp};

canonical! {
    /// An option that variants choose from, e.g. `Size` with `S`, `M`, `L`.
    ProductOption {
        /// Name.
        name: String,
        /// Its values in the shop's order.
        values: Vec<String>,
    }
}

canonical! {
    /// The value that one variant has for one option.
    OptionValue {
        /// The option's name.
        name: String,
        /// The chosen value.
        value: String,
    }
}

canonical! {
    /// One variant.
    Variant {
        /// Shopify's number.
        id: ShopifyId,
        /// Shopify's number of its inventory item.
        inventory_item_id: Option<ShopifyId>,
        /// Title, e.g. `M / red`; `Default Title` where the product has no options.
        title: String,
        /// Stock keeping unit; neither unique nor always there.
        sku: Option<String>,
        /// Bar code.
        barcode: Option<String>,
        /// Price in the shop's currency.
        price: Decimal,
        /// Struck-through price.
        compare_at_price: Option<Decimal>,
        /// What it costs the merchant, in the shop's currency.
        cost: Option<Decimal>,
        /// Weight in kilograms.
        weight_kg: Option<Decimal>,
        /// Whether tax is charged.
        taxable: bool,
        /// Whether it must be shipped.
        requires_shipping: bool,
        /// Whether its stock is tracked.
        tracked: bool,
        /// The chosen option values; empty where the product has only its default variant.
        options: Vec<OptionValue>,
    }
}

canonical! {
    /// A product as Shopify has it now.
    Product {
        /// Shopify's number.
        id: ShopifyId,
        /// Title.
        title: String,
        /// The part of its address in the shop.
        handle: String,
        /// Description as html.
        description_html: Option<String>,
        /// Vendor.
        vendor: Option<String>,
        /// Merchant's own type.
        product_type: Option<String>,
        /// `ACTIVE`, `ARCHIVED`, `DRAFT`, `UNLISTED`; unknown values are kept as they came.
        status: String,
        /// Tags in Shopify's order.
        tags: Vec<String>,
        /// Whether it is a gift card.
        is_gift_card: bool,
        /// Options; empty where there is only the default variant.
        options: Vec<ProductOption>,
        /// All variants.
        variants: Vec<Variant>,
        /// When it was made.
        created_at: Timestamp,
        /// When it last changed.
        updated_at: Timestamp,
        /// Shopify's own record.
        raw: Arc<serde_json::Value>,
    }
}
