//! What a shop needs in the ERP.

use crate::config::{Config, Shop};
use crate::domain::{Direction, Object};
use crate::erp::OrderFieldKind::{self, Lines, Number, Text};
use crate::erp::SetupWish;
use crate::mapping::Mappings;

/// What service products are for, and what they are called.
pub const PURPOSES: &[(&str, &str)] = &[
    ("shipping", "shipping"),
    ("discount", "discount"),
    ("rounding", "rounding difference"),
    ("custom", "item without a product"),
    ("tip", "tip"),
    ("gift_card", "gift card"),
    ("duty", "import duties"),
    ("fee", "additional fee"),
];

/// Optional fields of orders: name, label, what it holds.
pub const ORDER_FIELDS: &[(&str, &str, OrderFieldKind)] = &[
    ("x_shopify_id", "Shopify id", Text),
    ("x_shopify_gateways", "Shopify gateways", Text),
    ("x_shopify_payment_status", "Shopify payment status", Text),
    ("x_shopify_payment_references", "Shopify payment references", Text),
    ("x_shopify_payments", "Shopify payments", Lines),
    ("x_shopify_paid", "Shopify paid", Number),
    ("x_shopify_discount_codes", "Shopify discount codes", Text),
    ("x_shopify_discounts", "Shopify discounts", Lines),
    ("x_shopify_channel", "Shopify channel", Text),
    ("x_shopify_tags", "Shopify tags", Text),
    ("x_shopify_risk", "Shopify risk", Text),
    ("x_shopify_po_number", "Shopify PO number", Text),
];

/// Everything that this shop needs, in the order in which it can be made. Fields of orders only where the mapping in force
/// writes them.
pub(super) fn wishes(
    config: &Config,
    shop: &Shop,
    mappings: &Mappings,
    currencies: &[String],
) -> Vec<SetupWish> {
    // Where several shops share an ERP, people must be able to tell their records apart.
    let of_shop = match config.shops.len() {
        0 | 1 => String::new(),
        _ => format!(" ({})", shop.name),
    };
    let mut wishes = Vec::new();
    for code in currencies {
        wishes.push(SetupWish::Currency { code: code.clone() });
    }
    for code in currencies {
        wishes.push(SetupWish::PriceList {
            currency: code.clone(),
            label: format!("Shopify {code}{of_shop}"),
        });
    }
    for (purpose, title) in PURPOSES {
        wishes.push(SetupWish::Service {
            purpose: (*purpose).to_owned(),
            label: format!("Shopify {title}{of_shop}"),
        });
    }
    wishes.push(SetupWish::GiftCardAccount);
    let mapping = mappings.of_shop(shop.name.as_str(), Object::Order, Direction::In);
    let written =
        |field: &str| mapping.is_some_and(|mapping| mapping.optional_fields().any(|(_, name)| name == field));
    for (name, label, holds) in ORDER_FIELDS.iter().filter(|(name, _, _)| written(name)) {
        wishes.push(SetupWish::OrderField {
            name: (*name).to_owned(),
            label: (*label).to_owned(),
            holds: *holds,
        });
    }
    wishes
}

/// What a wish is called in rows.
pub(super) fn named(wish: &SetupWish) -> (&'static str, String) {
    match wish {
        SetupWish::Currency { code } => ("currency", code.clone()),
        SetupWish::PriceList { currency, .. } => ("price list", currency.clone()),
        SetupWish::Service { purpose, .. } => ("service product", purpose.clone()),
        SetupWish::GiftCardAccount => ("gift card account", "liability".to_owned()),
        SetupWish::OrderField { name, .. } => ("order field", name.clone()),
    }
}
