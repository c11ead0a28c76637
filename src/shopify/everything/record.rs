//! A record as lists show it: what tells records apart and whether one changed, and nothing personal.

use rust_decimal::Decimal;
use serde_json::Value;

use crate::domain::{Currency, Object, ShopifyId, Timestamp, parse_decimal};
use crate::shopify::settings::CurrencyChoice;

/// One record of a list.
#[derive(Clone, Debug, PartialEq)]
pub struct ListedRecord {
    /// Its number.
    pub id: ShopifyId,
    /// An order's name (`#1001`), a product's title. Empty of customers: nothing personal is listed.
    pub name: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it changed last.
    pub updated_at: Timestamp,
    /// How it stands.
    pub state: ListedState,
    /// Whether it is an order that somebody only tried the shop with.
    pub is_test: bool,
    /// Of an order: what it comes to now.
    pub total: Option<ListedTotal>,
    /// Of a product: all its variants, in no order.
    pub variants: Vec<ListedVariant>,
}

/// How a record stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ListedState {
    /// In use: an open order, a customer, a product on sale.
    Active,
    /// A product that is not on sale yet.
    Draft,
    /// A product that is not sold any more.
    Archived,
    /// A product that is sold only to whoever has its address.
    Unlisted,
    /// An order that was cancelled.
    Cancelled,
    /// An order that was closed.
    Closed,
    /// A state that this version does not know.
    Other,
}

/// What an order comes to as it stands, in the currency that orders are booked in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedTotal {
    /// Which.
    pub currency: Currency,
    /// With tax.
    pub gross: Decimal,
    /// The tax in it.
    pub tax: Decimal,
}

/// A variant of a product.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedVariant {
    /// Its number.
    pub id: ShopifyId,
    /// Its stock keeping unit, where it has one.
    pub sku: Option<String>,
    /// The number of its inventory item.
    pub inventory_item: Option<ShopifyId>,
}

/// Reads a record without its variants. The error says what is wrong with it, and holds nothing of it.
pub(super) fn record(object: Object, node: &Value, choice: CurrencyChoice) -> Result<ListedRecord, String> {
    let text = |name: &str| node[name].as_str().unwrap_or_default();
    let time =
        |name: &str| Timestamp::parse_rfc3339(text(name)).map_err(|_| format!("{name} is no date and time"));
    let name = match object {
        Object::Order => "name",
        Object::Product => "title",
        Object::Customer | Object::Inventory | Object::Shop => "",
    };
    let state = match (object, text("status")) {
        (Object::Order, _) if node["cancelledAt"].is_string() => ListedState::Cancelled,
        (Object::Order, _) if node["closedAt"].is_string() => ListedState::Closed,
        (Object::Product, "DRAFT") => ListedState::Draft,
        (Object::Product, "ARCHIVED") => ListedState::Archived,
        (Object::Product, "UNLISTED") => ListedState::Unlisted,
        (Object::Product, "ACTIVE") => ListedState::Active,
        (Object::Product, _) => ListedState::Other,
        _ => ListedState::Active,
    };
    Ok(ListedRecord {
        id: id(&node["id"])?,
        name: text(name).to_owned(),
        created_at: time("createdAt")?,
        updated_at: time("updatedAt")?,
        state,
        is_test: node["test"] == true,
        total: match object {
            Object::Order => Some(total(node, choice)?),
            _ => None,
        },
        variants: Vec::new(),
    })
}

/// Reads a variant.
pub(super) fn variant(node: &Value) -> Result<ListedVariant, String> {
    let item = &node["inventoryItem"]["id"];
    Ok(ListedVariant {
        id: id(&node["id"])?,
        sku: node["sku"]
            .as_str()
            .filter(|sku| !sku.is_empty())
            .map(str::to_owned),
        inventory_item: if item.is_null() { None } else { Some(id(item)?) },
    })
}

/// The number in a global id.
pub(super) fn id(value: &Value) -> Result<ShopifyId, String> {
    let id = value.as_str().and_then(|text| text.parse().ok());
    id.ok_or_else(|| "it has no id".to_owned())
}

fn total(node: &Value, choice: CurrencyChoice) -> Result<ListedTotal, String> {
    let side = match choice {
        CurrencyChoice::Shop => "shopMoney",
        CurrencyChoice::Presentment => "presentmentMoney",
    };
    let money = |name: &str| {
        let money = &node[name][side];
        let amount = money["amount"].as_str().and_then(|text| parse_decimal(text).ok());
        let currency: Option<Currency> = money["currencyCode"].as_str().and_then(|code| code.parse().ok());
        amount.zip(currency).ok_or_else(|| format!("{name} is no amount"))
    };
    let (gross, currency) = money("currentTotalPriceSet")?;
    let (tax, same) = money("currentTotalTaxSet")?;
    if currency != same {
        return Err("its total and its tax are in different currencies".to_owned());
    }
    Ok(ListedTotal {
        currency,
        gross: gross.normalize(),
        tax: tax.normalize(),
    })
}
