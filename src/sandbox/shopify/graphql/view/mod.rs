//! The shop's records as GraphQL nodes: each answers for the fields that it has data for.

mod aftersale;
mod customer;
mod line;
mod list;
mod order;
mod product;
mod raw;
pub(super) mod root;
mod shop;
pub(super) mod webhook;

use rust_decimal::Decimal;
use serde_json::{Value as Json, json};

use super::node::{Args, Out};
use crate::sandbox::shopify::facts::{Address, Metafield, TaxLine};
use crate::sandbox::shopify::ids::{gid, utc_text};
use crate::sandbox::shopify::money::{Bag, Currencies, graphql_text};
use crate::sandbox::shopify::shop::Shop;

fn id<'a>(kind: &str, id: u64) -> Out<'a> {
    Out::leaf(gid(kind, id))
}

/// `legacyResourceId`: a 64-bit number as text.
fn legacy<'a>(id: u64) -> Out<'a> {
    Out::leaf(id.to_string())
}

fn time<'a>(at: chrono::DateTime<chrono::Utc>) -> Out<'a> {
    Out::leaf(utc_text(at))
}

fn maybe_time<'a>(at: Option<chrono::DateTime<chrono::Utc>>) -> Out<'a> {
    at.map_or(Out::Absent, time)
}

fn money<'a>(amount: Decimal, currency: &str) -> Out<'a> {
    let fields = vec![
        ("amount", Out::leaf(graphql_text(amount))),
        ("currencyCode", Out::leaf(currency)),
    ];
    Out::record("MoneyV2", fields)
}

fn bag<'a>(bag: Bag, currencies: &Currencies) -> Out<'a> {
    let sides = vec![
        ("shopMoney", money(bag.shop, &currencies.shop)),
        (
            "presentmentMoney",
            money(bag.presentment, &currencies.presentment),
        ),
    ];
    Out::record("MoneyBag", sides)
}

/// An exact decimal as the number that a `Float` is on the wire.
fn float(number: Decimal) -> Json {
    number
        .normalize()
        .to_string()
        .parse::<f64>()
        .map_or(Json::Null, Json::from)
}

fn count<'a>(number: usize) -> Out<'a> {
    Out::record(
        "Count",
        vec![("count", Out::leaf(number)), ("precision", Out::leaf("EXACT"))],
    )
}

fn tax_line<'a>(line: &TaxLine, currencies: &Currencies) -> Out<'a> {
    Out::record(
        "TaxLine",
        vec![
            ("title", Out::leaf(line.tax.title.clone())),
            ("rate", Out::leaf(float(line.tax.rate))),
            (
                "ratePercentage",
                Out::leaf(float(line.tax.rate * Decimal::ONE_HUNDRED)),
            ),
            ("channelLiable", Out::leaf(line.tax.channel_liable)),
            ("source", Out::leaf("Shopify")),
            ("price", Out::leaf(graphql_text(line.amount.shop))),
            ("priceSet", bag(line.amount, currencies)),
        ],
    )
}

fn attributes<'a>(pairs: &[(String, String)]) -> Out<'a> {
    Out::list(pairs.iter().map(|(key, value)| {
        let fields = vec![
            ("key", Out::leaf(key.clone())),
            ("value", Out::leaf(value.clone())),
        ];
        Out::record("Attribute", fields)
    }))
}

fn strings<'a>(items: impl IntoIterator<Item = impl AsRef<str>>) -> Out<'a> {
    Out::list(items.into_iter().map(|item| Out::leaf(item.as_ref())))
}

fn address<'a>(address: &Address, owner: u64) -> Out<'a> {
    let number = if address.id == 0 { owner } else { address.id };
    let country = address.country_code.clone();
    let line = |parts: &[&Option<String>]| {
        let parts: Vec<&str> = parts
            .iter()
            .filter_map(|p| p.as_deref())
            .filter(|p| !p.is_empty())
            .collect();
        Some(parts.join(" ")).filter(|p| !p.is_empty())
    };
    let city_line = line(&[&address.zip, &address.city]);
    let formatted = [
        address.address1.clone(),
        address.address2.clone(),
        city_line.clone(),
        address.country(),
    ];
    Out::record(
        "MailingAddress",
        vec![
            ("id", id("MailingAddress", number)),
            ("firstName", Out::leaf(address.first_name.clone())),
            ("lastName", Out::leaf(address.last_name.clone())),
            ("name", Out::leaf(address.name())),
            ("company", Out::leaf(address.company.clone())),
            ("address1", Out::leaf(address.address1.clone())),
            ("address2", Out::leaf(address.address2.clone())),
            ("city", Out::leaf(address.city.clone())),
            ("zip", Out::leaf(address.zip.clone())),
            ("province", Out::leaf(address.province.clone())),
            ("provinceCode", Out::leaf(address.province_code.clone())),
            ("country", Out::leaf(address.country())),
            ("countryCode", Out::leaf(country.clone())),
            ("countryCodeV2", Out::leaf(country)),
            ("phone", Out::leaf(address.phone.clone())),
            ("formatted", strings(formatted.into_iter().flatten())),
            (
                "formattedArea",
                Out::leaf(line(&[&address.city, &address.country()])),
            ),
        ],
    )
}

/// `metafield(namespace, key)` of an owner; `$app` stands for the app's own namespace.
fn metafield<'a>(owner: Out<'a>, fields: &[Metafield], args: &Args) -> Out<'a> {
    let text = |name: &str| args.get(name).and_then(Json::as_str).unwrap_or_default();
    let namespace = own_namespace(text("namespace"));
    let found = fields
        .iter()
        .find(|m| m.namespace == namespace && m.key == text("key"));
    found.map_or(Out::Absent, |field| one_metafield(owner, field))
}

fn metafields<'a>(owner: &Out<'a>, fields: &[Metafield], args: &Args) -> Out<'a> {
    let wanted = args.get("namespace").and_then(Json::as_str).map(own_namespace);
    let chosen = fields
        .iter()
        .filter(|m| wanted.as_ref().is_none_or(|n| *n == m.namespace))
        .collect();
    super::page::page_of_list(args, chosen, |m| one_metafield(owner.clone(), m))
}

/// An address out of a customer's book.
pub(super) fn stored_address<'a>(shop: &Shop, customer: u64, number: u64) -> Out<'a> {
    let found = shop.customer(customer).map(|c| &c.addresses);
    let found = found.and_then(|all| all.iter().find(|a| a.id == number));
    found.map_or(Out::Absent, |a| address(a, a.id))
}

/// One level of an item.
pub(super) fn level_of(shop: &Shop, item: u64, location: u64) -> Out<'_> {
    let Some((_, variant)) = shop.inventory_item(item) else {
        return Out::Absent;
    };
    let level = variant.item.levels.iter().find(|l| l.location == location);
    level.map_or(Out::Absent, |level| product::level_node(shop, variant, level))
}

/// A stored metafield by its owner and key.
pub(super) fn one_metafield_of<'a>(
    shop: &Shop,
    owner: Out<'a>,
    kind: &str,
    id: u64,
    namespace: &str,
    key: &str,
) -> Out<'a> {
    let found = shop.metafields_of(kind, id).and_then(|all| {
        all.iter()
            .find(|field| field.namespace == namespace && field.key == key)
    });
    found.map_or(Out::Absent, |field| one_metafield(owner, field))
}

/// A definition of metafields.
pub(super) fn definition<'a>(shop: &Shop, number: u64) -> Out<'a> {
    let Some(found) = shop.definitions.iter().find(|d| d.id == number) else {
        return Out::Absent;
    };
    let kind = Out::record(
        "MetafieldDefinitionType",
        vec![
            ("name", Out::leaf(found.kind.clone())),
            ("category", Out::leaf("ID")),
        ],
    );
    Out::record(
        "MetafieldDefinition",
        vec![
            ("id", id("MetafieldDefinition", found.id)),
            ("name", Out::leaf(found.name.clone())),
            ("namespace", Out::leaf(found.namespace.clone())),
            ("key", Out::leaf(found.key.clone())),
            ("ownerType", Out::leaf(found.owner_type.clone())),
            ("type", kind),
        ],
    )
}

/// What tells one value of a metafield from another.
pub(super) fn digest(field: &Metafield) -> String {
    // FNV-1a: only equality counts here.
    let hash = field.value.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    format!("{:016x}{hash:016x}", field.id)
}

/// The namespace behind `$app` and `$app:x`.
pub(super) fn own_namespace(namespace: &str) -> String {
    match namespace.strip_prefix("$app") {
        Some(rest) => format!("app--1{}", rest.replace(':', "--")),
        None if namespace.is_empty() => "app--1".to_owned(),
        None => namespace.to_owned(),
    }
}

fn one_metafield<'a>(owner: Out<'a>, field: &Metafield) -> Out<'a> {
    Out::record(
        "Metafield",
        vec![
            ("id", id("Metafield", field.id)),
            ("legacyResourceId", legacy(field.id)),
            ("owner", owner),
            ("namespace", Out::leaf(field.namespace.clone())),
            ("key", Out::leaf(field.key.clone())),
            ("type", Out::leaf(field.kind.clone())),
            ("value", Out::leaf(field.value.clone())),
            (
                "jsonValue",
                Out::leaf(serde_json::from_str(&field.value).unwrap_or(json!(field.value))),
            ),
            ("compareDigest", Out::leaf(digest(field))),
        ],
    )
}
