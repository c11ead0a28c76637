//! Bodies of webhooks: the shape of the REST resources (snake case, numeric ids, padded money, the shop's offset).

mod aftersale;
mod customer;
mod order;
mod product;

use serde_json::{Map, Value as Json, json};

use super::{Change, Subscription};
use crate::sandbox::shopify::facts::{Address, Metafield, TaxLine};
use crate::sandbox::shopify::ids::{gid, zoned_text};
use crate::sandbox::shopify::money::{Bag, Currencies, rest_text};
use crate::sandbox::shopify::raw;
use crate::sandbox::shopify::shop::Shop;

/// The whole body of a change, and the id of the record that it is about.
pub(in crate::sandbox::shopify) fn of(shop: &Shop, change: &Change) -> (Option<u64>, Json) {
    let body = match change {
        Change::Order(_, id) => {
            let made = shop.order(*id).map(|o| order::order(shop, o));
            let body = made.or_else(|| shop.raw.order(*id).map(raw::body));
            body.map(|body| (*id, body))
        }
        Change::OrderEdit {
            order,
            additions,
            removals,
        } => Some((*order, aftersale::edit(shop, *order, additions, removals))),
        Change::Transaction(order, id) => shop.order(*order).and_then(|o| {
            let transaction = o.transactions.iter().find(|t| t.id == *id)?;
            Some((*order, aftersale::transaction(shop, o, transaction)))
        }),
        Change::Refund(order, id) => shop.order(*order).and_then(|o| {
            let refund = o.refunds.iter().find(|r| r.id == *id)?;
            Some((*order, aftersale::refund(shop, o, refund)))
        }),
        Change::Fulfillment(_, order, id) => shop.order(*order).and_then(|o| {
            let fulfillment = o.fulfillments.iter().find(|f| f.id == *id)?;
            Some((*order, aftersale::fulfillment(shop, o, fulfillment)))
        }),
        Change::FulfillmentEvent {
            order,
            fulfillment,
            status,
        } => shop.order(*order).and_then(|o| {
            let parcel = o.fulfillments.iter().find(|f| f.id == *fulfillment)?;
            Some((*order, aftersale::fulfillment_event(shop, o, parcel, status)))
        }),
        Change::Customer(_, id) => shop.customer(*id).map(|c| (*id, customer::customer(shop, c))),
        Change::CustomersMerged { kept, gone } => Some((*kept, customer::merge(*kept, *gone))),
        Change::Product(_, id) => shop.product(*id).map(|p| (*id, product::product(shop, p))),
        Change::Level(_, item, location) => product::level(shop, *item, *location).map(|body| (*item, body)),
        Change::Deleted(_, kind, id) => Some((*id, deleted(kind, *id))),
        Change::Raw(_, body) => return (body["id"].as_u64(), body.clone()),
    };
    match body {
        Some((id, body)) => (Some(id), body),
        None => (None, json!({})),
    }
}

/// The body as one subscription wants it.
pub(super) fn trimmed(shop: &Shop, full: &Json, subscription: &Subscription, change: &Change) -> Json {
    let mut body = full.clone();
    if !subscription.include_fields.is_empty()
        && let Some(fields) = body.as_object_mut()
    {
        let wanted = |name: &str| {
            subscription
                .include_fields
                .iter()
                .any(|f| f.split('.').next() == Some(name))
        };
        fields.retain(|name, _| wanted(name));
    }
    if !subscription.metafield_namespaces.is_empty()
        && let Some(fields) = body.as_object_mut()
    {
        let all: &[Metafield] = match change {
            Change::Order(_, id) => shop.order(*id).map_or(&[], |o| &o.metafields),
            Change::Customer(_, id) => shop.customer(*id).map_or(&[], |c| &c.metafields),
            Change::Product(_, id) => shop.product(*id).map_or(&[], |p| &p.metafields),
            _ => &[],
        };
        let chosen = all
            .iter()
            .filter(|m| subscription.metafield_namespaces.contains(&m.namespace));
        fields.insert("metafields".to_owned(), chosen.map(metafield).collect());
    }
    body
}

fn metafield(field: &Metafield) -> Json {
    json!({
        "id": field.id, "admin_graphql_api_id": gid("Metafield", field.id), "namespace": field.namespace,
        "key": field.key, "value": field.value, "type": field.kind,
    })
}

fn deleted(kind: &str, id: u64) -> Json {
    if kind == "Customer" {
        return json!({"id": id, "phone": null, "addresses": [], "tax_exemptions": [],
            "admin_graphql_api_id": gid(kind, id)});
    }
    json!({"id": id})
}

/// `{shop_money, presentment_money}`.
fn set(bag: Bag, money: &Currencies) -> Json {
    json!({
        "shop_money": {"amount": rest_text(bag.shop, &money.shop), "currency_code": money.shop},
        "presentment_money": {
            "amount": rest_text(bag.presentment, &money.presentment), "currency_code": money.presentment,
        },
    })
}

fn tax_line(line: &TaxLine, money: &Currencies) -> Json {
    json!({
        "channel_liable": line.tax.channel_liable,
        "price": rest_text(line.amount.shop, &money.shop),
        "price_set": set(line.amount, money),
        "rate": rate(line.tax.rate),
        "title": line.tax.title,
    })
}

/// A rate as the number that it is on the wire.
pub(in crate::sandbox::shopify) fn rate(rate: rust_decimal::Decimal) -> Json {
    rate.normalize()
        .to_string()
        .parse::<f64>()
        .map_or(Json::Null, Json::from)
}

fn time(shop: &Shop, at: chrono::DateTime<chrono::Utc>) -> Json {
    zoned_text(at, shop.zone).into()
}

fn address(address: &Address) -> Map<String, Json> {
    let Json::Object(fields) = json!({
        "first_name": address.first_name, "last_name": address.last_name, "company": address.company,
        "address1": address.address1, "address2": address.address2, "city": address.city, "zip": address.zip,
        "province": address.province, "province_code": address.province_code, "country": address.country(),
        "country_code": address.country_code, "phone": address.phone, "name": address.name(),
    }) else {
        return Map::new();
    };
    fields
}
