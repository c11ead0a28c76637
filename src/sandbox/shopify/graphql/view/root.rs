//! The root fields of queries.

use serde_json::Value as Json;

use super::aftersale::{fulfillment, refund, transaction};
use super::customer::{CompanyNode, CustomerNode};
use super::list::{customers, items, orders, products, variants};
use super::order::{OrderNode, visible};
use super::product::{ItemNode, ProductNode, VariantNode, level_node};
use super::raw;
use super::shop::{ShopNode, installation, location, version};
use super::webhook::{number_of_subscriptions, subscription, subscriptions};
use super::{address, count};
use crate::sandbox::shopify::facts::Order;
use crate::sandbox::shopify::graphql::bulk;
use crate::sandbox::shopify::graphql::node::{Args, Failure, Node, Out};
use crate::sandbox::shopify::graphql::page::{WHOLE, page_of_list};
use crate::sandbox::shopify::ids::parse_gid;
use crate::sandbox::shopify::shop::Shop;

/// `QueryRoot`.
pub(in crate::sandbox::shopify::graphql) struct Root<'a>(pub(in crate::sandbox::shopify::graphql) &'a Shop);

impl<'a> Node<'a> for Root<'a> {
    fn type_name(&self) -> &'static str {
        "QueryRoot"
    }

    fn field(&self, name: &str, args: &Args) -> Out<'a> {
        let shop = self.0;
        let by_id = |kind: &str| match wanted(args, kind) {
            Ok(id) => record(shop, kind, id).unwrap_or(Out::Absent),
            Err(failure) => Out::Failed(failure),
        };
        match name {
            "order" => by_id("Order"),
            "customer" => by_id("Customer"),
            "product" => by_id("Product"),
            "productVariant" => by_id("ProductVariant"),
            "inventoryItem" => by_id("InventoryItem"),
            "inventoryLevel" => by_id("InventoryLevel"),
            "bulkOperation" => {
                if let Ok(id) = wanted(args, "BulkOperation") {
                    shop.look_at_bulk(id);
                }
                by_id("BulkOperation")
            }
            "bulkOperations" => page_of_list(args, shop.bulk.iter().collect(), |found| {
                bulk::operation(shop, found.id)
            }),
            "ordersCount" => limited(args, &orders(shop, &whole(args))),
            "customersCount" => limited(args, &customers(shop, &whole(args))),
            "productsCount" => limited(args, &products(shop, &whole(args))),
            "webhookSubscription" => by_id("WebhookSubscription"),
            "location" if args.get("id").is_none_or(Json::is_null) => location(shop, shop.main_location()),
            "location" => by_id("Location"),
            "node" => node(shop, args.get("id")),
            "nodes" => {
                let ids = args
                    .get("ids")
                    .and_then(Json::as_array)
                    .map_or(&[][..], Vec::as_slice);
                Out::list(ids.iter().map(|id| node(shop, Some(id))))
            }
            "orders" => orders(shop, args),
            "customers" => customers(shop, args),
            "products" => products(shop, args),
            "productVariants" => variants(shop, args),
            "inventoryItems" => items(shop, args),
            "locations" => {
                let all = args.get("includeInactive").and_then(Json::as_bool) == Some(true);
                let places = shop.locations.iter().filter(|place| all || place.active);
                page_of_list(args, places.collect(), |place| location(shop, place.id))
            }
            "orderByIdentifier" => by_identifier(shop, args, "Order"),
            "customerByIdentifier" => by_identifier(shop, args, "Customer"),
            "productByIdentifier" => by_identifier(shop, args, "Product"),
            "productVariantByIdentifier" => by_identifier(shop, args, "ProductVariant"),
            "__schema" | "__type" => Out::Failed(Failure::new(
                "the stand-in shop does not describe its schema",
                "NOT_IMPLEMENTED",
            )),
            "shop" => Out::node(ShopNode(shop)),
            "currentAppInstallation" => installation(shop),
            "publicApiVersions" => Out::list(shop.versions.iter().map(|v| version(v))),
            "webhookSubscriptions" => subscriptions(shop, args),
            "webhookSubscriptionsCount" => count(number_of_subscriptions(shop, args)),
            _ => Out::Absent,
        }
    }
}

/// The arguments of a count, as those of the list that is counted.
fn whole(args: &Args) -> Args {
    let mut args = args.clone();
    args.insert("first".to_owned(), WHOLE.into());
    args
}

/// How many there are, up to the limit.
fn limited<'a>(args: &Args, list: &Out<'a>) -> Out<'a> {
    let found = match list {
        Out::Connection(page) => page.items.len(),
        Out::Failed(failure) => return Out::Failed(failure.clone()),
        _ => 0,
    };
    match args.get("limit").and_then(Json::as_u64) {
        Some(limit) if found as u64 > limit => Out::record(
            "Count",
            vec![("count", Out::leaf(limit)), ("precision", Out::leaf("AT_LEAST"))],
        ),
        _ => count(found),
    }
}

/// The number behind the `id` argument, if it is a gid of this kind.
fn wanted(args: &Args, kind: &str) -> Result<u64, Failure> {
    let text = args.get("id").and_then(Json::as_str).unwrap_or_default();
    match parse_gid(text) {
        Some((found, id)) if found == kind => Ok(if kind == "InventoryLevel" {
            level_item(text)
        } else {
            id
        }),
        Some(_) => Err(Failure::new(format!("Invalid id: {text}"), "RESOURCE_NOT_FOUND")),
        None => Err(Failure::new(
            format!("Invalid global id '{text}'"),
            "argumentLiteralsIncompatible",
        )),
    }
}

/// The item in the gid of an inventory level.
fn level_item(gid: &str) -> u64 {
    gid.split_once("inventory_item_id=")
        .and_then(|(_, id)| id.parse().ok())
        .unwrap_or(0)
}

/// A record by kind and number; `None` for kinds that the shop does not keep.
pub(in crate::sandbox::shopify::graphql) fn record<'a>(
    shop: &'a Shop,
    kind: &str,
    id: u64,
) -> Option<Out<'a>> {
    if let Some(found) = raw::find(shop, kind, id) {
        return Some(found);
    }
    Some(match kind {
        "Order" => {
            let order = shop.order(id).filter(|o| visible(shop, o));
            Out::maybe(order.map(|order| OrderNode { shop, order }))
        }
        "Customer" => Out::maybe(shop.customer(id).map(|customer| CustomerNode { shop, customer })),
        "Product" => Out::maybe(shop.product(id).map(|product| ProductNode { shop, product })),
        "ProductVariant" => Out::maybe(shop.variant(id).map(|(product, variant)| VariantNode {
            shop,
            product,
            variant,
        })),
        "InventoryItem" => Out::maybe(shop.inventory_item(id).map(|(product, variant)| ItemNode {
            shop,
            product,
            variant,
        })),
        "MailingAddress" => {
            let mut all = shop.customers.values().flat_map(|c| &c.addresses);
            all.find(|a| a.id == id).map_or(Out::Absent, |a| address(a, a.id))
        }
        "InventoryLevel" => shop.inventory_item(id).map_or(Out::Absent, |(_, variant)| {
            variant
                .item
                .levels
                .first()
                .map_or(Out::Absent, |level| level_node(shop, variant, level))
        }),
        "BulkOperation" => bulk::operation(shop, id),
        "Location" => location(shop, id),
        "WebhookSubscription" => subscription(shop, id),
        "Company" => {
            let company = shop.companies.get(&id);
            Out::maybe(company.map(|company| CompanyNode {
                shop,
                company,
                kind: "Company",
            }))
        }
        "Refund" => part(shop, |order| {
            let found = order.refunds.iter().find(|part| part.id == id)?;
            Some(refund(shop, order, found))
        }),
        "OrderTransaction" => part(shop, |order| {
            let found = order.transactions.iter().find(|part| part.id == id)?;
            Some(transaction(shop, order, found))
        }),
        "Fulfillment" => part(shop, |order| {
            let found = order.fulfillments.iter().find(|part| part.id == id)?;
            Some(fulfillment(shop, order, found))
        }),
        "Shop" => Out::node(ShopNode(shop)),
        _ => return None,
    })
}

/// A part of an order that may be seen.
fn part<'a>(shop: &'a Shop, of: impl Fn(&'a Order) -> Option<Out<'a>>) -> Out<'a> {
    let mut orders = shop.orders.values().filter(|order| visible(shop, order));
    orders.find_map(of).unwrap_or(Out::Absent)
}

fn node<'a>(shop: &'a Shop, id: Option<&Json>) -> Out<'a> {
    let text = id.and_then(Json::as_str).unwrap_or_default();
    match parse_gid(text) {
        Some((kind, id)) => record(shop, kind, id).unwrap_or(Out::Absent),
        None => Out::Failed(Failure::new(
            format!("Invalid global id '{text}'"),
            "argumentLiteralsIncompatible",
        )),
    }
}

/// `…ByIdentifier`: exactly one way of naming a record.
fn by_identifier<'a>(shop: &'a Shop, args: &Args, kind: &str) -> Out<'a> {
    let identifier = &args["identifier"];
    let text = |name: &str| identifier[name].as_str();
    if let Some(id) = text("id").and_then(parse_gid) {
        return record(shop, kind, id.1).unwrap_or(Out::Absent);
    }
    if !identifier["customId"].is_null() {
        return match shop.owner_of_custom_id(kind, &identifier["customId"]) {
            Ok(owner) => owner.and_then(|id| record(shop, kind, id)).unwrap_or(Out::Absent),
            Err(failure) => Out::Failed(failure),
        };
    }
    match kind {
        "Customer" => {
            let same = |c: &&crate::sandbox::shopify::facts::Customer| {
                (text("emailAddress").is_some() && c.email.as_deref() == text("emailAddress"))
                    || (text("phoneNumber").is_some() && c.phone.as_deref() == text("phoneNumber"))
            };
            let found = shop.customers.values().find(same);
            Out::maybe(found.map(|customer| CustomerNode { shop, customer }))
        }
        "Product" => {
            let found = shop
                .products
                .values()
                .find(|p| text("handle") == Some(p.handle.as_str()));
            Out::maybe(found.map(|product| ProductNode { shop, product }))
        }
        _ => Out::Absent,
    }
}
