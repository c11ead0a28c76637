//! Lists that can be searched and sorted: orders, customers, products, variants, inventory items.

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use serde_json::{Value as Json, json};

use super::customer::CustomerNode;
use super::order::{OrderNode, visible_since};
use super::product::{ItemNode, ProductNode, VariantNode};
use super::raw;
use crate::sandbox::shopify::facts::{Address, Customer, FulfillmentStatus, Order, Product, Variant};
use crate::sandbox::shopify::graphql::node::{Args, Out};
use crate::sandbox::shopify::graphql::page::{SortValue, connection, page};
use crate::sandbox::shopify::raw::RawRecord;
use crate::sandbox::shopify::search::{Term, Value, matches, parse};
use crate::sandbox::shopify::shop::Shop;

type Sort = (SortValue, u64);

/// What a list needs to know of its records.
struct Kind<T> {
    fields: fn(&Shop, &T, &str) -> Option<Vec<Value>>,
    updated_at: fn(&T) -> DateTime<Utc>,
    sort: fn(&T, &str) -> Sort,
}

fn select<'a, T: Copy + 'a>(
    shop: &'a Shop,
    args: &Args,
    items: impl Iterator<Item = T>,
    kind: &Kind<T>,
    wrap: impl Fn(T) -> Out<'a>,
) -> Out<'a> {
    let query = args
        .get("query")
        .and_then(Json::as_str)
        .unwrap_or_default()
        .trim();
    let sort_key = args
        .get("sortKey")
        .and_then(Json::as_str)
        .unwrap_or("ID")
        .to_owned();
    let mut unknown: Vec<Term> = Vec::new();
    let chosen: Vec<T> = if query.is_empty() {
        items.collect()
    } else {
        let expr = parse(query);
        // The index that searches use lags behind the records: what was made lately is not in it yet, and what changed
        // lately still has its old time there. (Its other old values are not kept: it is found by its new ones.)
        let horizon = shop.now() - shop.search_lag;
        let by_change = query.contains("updated_at");
        let indexed = |item: &T| match (kind.fields)(shop, item, "created_at").as_deref() {
            Some([Value::Time(made), ..]) if !by_change => *made,
            _ => (kind.updated_at)(item),
        };
        items
            .filter(|item| shop.search_lag.is_zero() || indexed(item) <= horizon)
            .filter(|item| matches(&expr, &|field| (kind.fields)(shop, item, field), &mut unknown))
            .collect()
    };
    let mut out = page(
        args,
        chosen,
        |item| (kind.sort)(item, &sort_key),
        |item| wrap(*item),
    );
    if let Ok(page) = &mut out
        && !unknown.is_empty()
    {
        let warnings: Vec<Json> = unknown
            .iter()
            .map(|term| {
                json!({"field": term.field, "message": "Invalid search field for this query.", "code": "invalid_field"})
            })
            .collect();
        let parsed = json!({"field": unknown[0].field, "match_all": unknown[0].value});
        page.search = Some(json!({"query": query, "parsed": parsed, "warnings": warnings}));
    }
    connection(out)
}

fn seconds(at: DateTime<Utc>) -> SortValue {
    // Cursors hold what the API shows: whole seconds.
    SortValue::Number(at.timestamp())
}

fn cents(amount: Decimal) -> SortValue {
    let scaled = (amount * Decimal::ONE_THOUSAND).trunc();
    SortValue::Number(i64::try_from(scaled.mantissa()).unwrap_or(i64::MAX))
}

fn number(id: u64) -> SortValue {
    SortValue::Number(i64::try_from(id).unwrap_or(i64::MAX))
}

fn texts<'t>(items: impl IntoIterator<Item = &'t str>) -> Vec<Value> {
    items.into_iter().map(Value::text).collect()
}

fn text(item: Option<&str>) -> Vec<Value> {
    texts(item)
}

/// An order that actions made, or a raw one.
#[derive(Clone, Copy)]
enum AnyOrder<'a> {
    Made(&'a Order),
    Raw(&'a RawRecord),
}

impl<'a> AnyOrder<'a> {
    fn all(shop: &'a Shop) -> impl Iterator<Item = Self> {
        let made = shop.orders.values().map(Self::Made);
        let all = made.chain(shop.raw.orders().map(Self::Raw));
        all.filter(|order| visible_since(shop, order.time("createdAt")))
    }

    fn customer(self) -> Option<u64> {
        match self {
            Self::Made(order) => order.customer,
            Self::Raw(order) => order.json["customer"].as_u64(),
        }
    }

    fn time(self, field: &str) -> DateTime<Utc> {
        match (self, field) {
            (Self::Raw(order), field) => order.time(field),
            (Self::Made(order), "createdAt") => order.created_at,
            (Self::Made(order), "processedAt") => order.processed_at,
            (Self::Made(order), _) => order.updated_at,
        }
    }

    fn node(self, shop: &'a Shop) -> Out<'a> {
        match self {
            Self::Made(order) => Out::node(OrderNode { shop, order }),
            Self::Raw(order) => raw::whole(shop, order),
        }
    }
}

fn order_kind<'a>() -> Kind<AnyOrder<'a>> {
    Kind {
        fields: |shop, order, field| match order {
            AnyOrder::Made(order) => order_fields(shop, order, field),
            AnyOrder::Raw(order) => raw_fields(order, field),
        },
        updated_at: |o| o.time("updatedAt"),
        sort: |o, key| {
            let text = |made: fn(&Order) -> String, field: &str| {
                SortValue::Text(match o {
                    AnyOrder::Made(order) => made(order),
                    AnyOrder::Raw(order) => order.text(field).unwrap_or_default().to_owned(),
                })
            };
            let id = match o {
                AnyOrder::Made(order) => order.id,
                AnyOrder::Raw(order) => order.id,
            };
            let value = match key {
                "CREATED_AT" => seconds(o.time("createdAt")),
                "PROCESSED_AT" => seconds(o.time("processedAt")),
                "UPDATED_AT" => seconds(o.time("updatedAt")),
                "ORDER_NUMBER" => number(match o {
                    AnyOrder::Made(order) => order.number,
                    AnyOrder::Raw(order) => order.json["number"].as_u64().unwrap_or(order.id),
                }),
                "TOTAL_PRICE" | "CURRENT_TOTAL_PRICE" => cents(match o {
                    AnyOrder::Made(order) => order.totals.total.shop,
                    AnyOrder::Raw(order) => order.amount("totalPriceSet"),
                }),
                "FINANCIAL_STATUS" => {
                    text(|o| o.totals.financial.name().to_owned(), "displayFinancialStatus")
                }
                "FULFILLMENT_STATUS" => text(
                    |o| o.totals.fulfillment.name().to_owned(),
                    "displayFulfillmentStatus",
                ),
                "PO_NUMBER" => text(|o| o.po_number.clone().unwrap_or_default(), "poNumber"),
                _ => number(id),
            };
            (value, id)
        },
    }
}

/// What raw orders are found by.
fn raw_fields(order: &RawRecord, field: &str) -> Option<Vec<Value>> {
    let json = &order.json;
    let name = order.text("name").unwrap_or_default();
    let list = |field: &str| -> Vec<Value> {
        let items = json[field].as_array().into_iter().flatten();
        items.filter_map(Json::as_str).map(Value::text).collect()
    };
    Some(match field {
        "" => texts(
            [name, name.trim_start_matches('#')]
                .into_iter()
                .chain(order.text("email")),
        ),
        "id" => vec![Value::id(order.id)],
        "name" => texts([name, name.trim_start_matches('#')]),
        "created_at" => vec![Value::Time(order.time("createdAt"))],
        "processed_at" => vec![Value::Time(order.time("processedAt"))],
        "updated_at" => vec![Value::Time(order.time("updatedAt"))],
        "status" => {
            let (closed, cancelled) = (json["closedAt"].is_string(), json["cancelledAt"].is_string());
            let mut words = vec!["any"];
            words.extend((!closed && !cancelled).then_some("open"));
            words.extend((!closed).then_some("not_closed"));
            words.extend((closed && !cancelled).then_some("closed"));
            words.extend(cancelled.then_some("cancelled"));
            texts(words)
        }
        "financial_status" => text(order.text("displayFinancialStatus")),
        "fulfillment_status" => text(order.text("displayFulfillmentStatus")),
        "customer_id" => json["customer"].as_u64().map(Value::id).into_iter().collect(),
        "email" => text(order.text("email")),
        "tag" => list("tags"),
        "gateway" => list("paymentGatewayNames"),
        "discount_code" => list("discountCodes"),
        "test" => texts([if json["test"] == true { "true" } else { "false" }]),
        "source_name" | "channel" => text(order.text("sourceName")),
        "source_identifier" => text(order.text("sourceIdentifier")),
        "po_number" => text(order.text("poNumber")),
        "confirmation_number" => text(order.text("confirmationNumber")),
        _ => return None,
    })
}

fn order_fields(shop: &Shop, order: &Order, field: &str) -> Option<Vec<Value>> {
    let plain = order.name.trim_start_matches('#');
    Some(match field {
        "" => {
            let buyer = order
                .customer
                .and_then(|c| shop.customer(c))
                .map(Customer::display_name);
            texts(
                [order.name.as_str(), plain]
                    .into_iter()
                    .chain(order.email.as_deref())
                    .chain(buyer.as_deref()),
            )
        }
        "id" => vec![Value::id(order.id)],
        "name" => texts([order.name.as_str(), plain]),
        "created_at" => vec![Value::Time(order.created_at)],
        "processed_at" => vec![Value::Time(order.processed_at)],
        "updated_at" => vec![Value::Time(order.updated_at)],
        "status" => {
            let (closed, cancelled) = (order.closed_at.is_some(), order.cancellation.is_some());
            let mut words = vec!["any"];
            words.extend((!closed && !cancelled).then_some("open"));
            words.extend((!closed).then_some("not_closed"));
            words.extend((closed && !cancelled).then_some("closed"));
            words.extend(cancelled.then_some("cancelled"));
            texts(words)
        }
        "financial_status" => texts([order.totals.financial.name()]),
        "fulfillment_status" => texts(match order.totals.fulfillment {
            FulfillmentStatus::Fulfilled => ["fulfilled", "shipped"],
            FulfillmentStatus::Partial => ["partial", "partially_fulfilled"],
            FulfillmentStatus::NotRequired | FulfillmentStatus::Unfulfilled => ["unfulfilled", "unshipped"],
        }),
        "return_status" => texts(["no_return"]),
        "customer_id" => order.customer.map(Value::id).into_iter().collect(),
        "email" => text(order.email.as_deref()),
        "tag" => texts(order.tags.iter().map(String::as_str)),
        "test" => texts([if order.test { "true" } else { "false" }]),
        "sku" => texts(order.lines.iter().filter_map(|l| l.sku.as_deref())),
        "source_name" | "channel" => texts([order.source_name.as_str()]),
        "source_identifier" => text(order.source_identifier.as_deref()),
        "po_number" => text(order.po_number.as_deref()),
        "confirmation_number" => texts([order.confirmation_number.as_str()]),
        "gateway" => order.gateways().into_iter().map(Value::Text).collect(),
        "location_id" => vec![Value::id(shop.main_location())],
        "cart_token" | "checkout_token" => Vec::new(),
        "discount_code" => texts(order.discounts.iter().map(|d| d.kind.label())),
        _ => return None,
    })
}

/// `orders`.
pub(super) fn orders<'a>(shop: &'a Shop, args: &Args) -> Out<'a> {
    select(shop, args, AnyOrder::all(shop), &order_kind(), |order| {
        order.node(shop)
    })
}

/// `customer.orders`.
pub(super) fn orders_of<'a>(shop: &'a Shop, customer: u64, args: &Args) -> Out<'a> {
    let items = AnyOrder::all(shop).filter(move |order| order.customer() == Some(customer));
    select(shop, args, items, &order_kind(), |order| order.node(shop))
}

fn customer_kind<'a>() -> Kind<&'a Customer> {
    Kind {
        fields: |shop, customer, field| {
            Some(match field {
                "" => texts(
                    [customer.display_name().as_str()]
                        .into_iter()
                        .chain(customer.email.as_deref())
                        .chain(customer.phone.as_deref()),
                ),
                "id" => vec![Value::id(customer.id)],
                "email" => text(customer.email.as_deref()),
                "phone" => text(customer.phone.as_deref()),
                "first_name" => text(customer.first_name.as_deref()),
                "last_name" => text(customer.last_name.as_deref()),
                "updated_at" => vec![Value::Time(customer.updated_at)],
                "customer_date" | "created_at" => vec![Value::Time(customer.created_at)],
                "state" => texts([if customer.enabled { "enabled" } else { "disabled" }]),
                "tag" => texts(customer.tags.iter().map(String::as_str)),
                "country" => {
                    let countries = customer.addresses.iter().filter_map(Address::country);
                    countries.map(Value::Text).collect()
                }
                "accepts_marketing" => texts([if customer.consent.subscribed {
                    "true"
                } else {
                    "false"
                }]),
                "orders_count" => vec![Value::Number(shop.orders_of(customer.id).count().into())],
                _ => return None,
            })
        },
        updated_at: |c| c.updated_at,
        sort: |c, key| {
            let value = match key {
                "CREATED_AT" => seconds(c.created_at),
                "UPDATED_AT" => seconds(c.updated_at),
                "NAME" => SortValue::Text(c.display_name()),
                _ => number(c.id),
            };
            (value, c.id)
        },
    }
}

/// `customers`.
pub(super) fn customers<'a>(shop: &'a Shop, args: &Args) -> Out<'a> {
    select(
        shop,
        args,
        shop.customers.values(),
        &customer_kind(),
        |customer| Out::node(CustomerNode { shop, customer }),
    )
}

fn product_kind<'a>() -> Kind<&'a Product> {
    Kind {
        fields: |_, product, field| {
            let skus = || product.variants.iter().filter_map(|v| v.sku.as_deref());
            Some(match field {
                "" => texts(
                    [product.title.as_str(), product.vendor.as_str()]
                        .into_iter()
                        .chain(skus()),
                ),
                "id" => vec![Value::id(product.id)],
                "title" => texts([product.title.as_str()]),
                "handle" => texts([product.handle.as_str()]),
                "sku" => texts(skus()),
                "barcode" => texts(product.variants.iter().filter_map(|v| v.barcode.as_deref())),
                "variant_id" => product.variants.iter().map(|v| Value::id(v.id)).collect(),
                "variant_title" => product.variants.iter().map(|v| Value::Text(v.title())).collect(),
                "created_at" => vec![Value::Time(product.created_at)],
                "updated_at" => vec![Value::Time(product.updated_at)],
                "published_at" => product.published_at.map(Value::Time).into_iter().collect(),
                "status" => texts([product.status.name()]),
                "tag" => texts(product.tags.iter().map(String::as_str)),
                "vendor" => texts([product.vendor.as_str()]),
                "product_type" => texts([product.product_type.as_str()]),
                "gift_card" => texts([if product.gift_card { "true" } else { "false" }]),
                "price" => product.variants.iter().map(|v| Value::Number(v.price)).collect(),
                "inventory_total" => {
                    vec![Value::Number(
                        product
                            .variants
                            .iter()
                            .map(|v| v.item.available())
                            .sum::<i64>()
                            .into(),
                    )]
                }
                _ => return None,
            })
        },
        updated_at: |p| p.updated_at,
        sort: |p, key| {
            let value = match key {
                "CREATED_AT" => seconds(p.created_at),
                "UPDATED_AT" => seconds(p.updated_at),
                "TITLE" => SortValue::Text(p.title.clone()),
                "VENDOR" => SortValue::Text(p.vendor.clone()),
                "PRODUCT_TYPE" => SortValue::Text(p.product_type.clone()),
                _ => number(p.id),
            };
            (value, p.id)
        },
    }
}

/// `products`.
pub(super) fn products<'a>(shop: &'a Shop, args: &Args) -> Out<'a> {
    select(shop, args, shop.products.values(), &product_kind(), |product| {
        Out::node(ProductNode { shop, product })
    })
}

type Both<'a> = (&'a Product, &'a Variant);

fn variant_fields(_: &Shop, (product, variant): &Both<'_>, field: &str) -> Option<Vec<Value>> {
    Some(match field {
        "" => texts([product.title.as_str()].into_iter().chain(variant.sku.as_deref())),
        "id" => vec![Value::id(variant.id), Value::id(variant.item.id)],
        "sku" => text(variant.sku.as_deref()),
        "barcode" => text(variant.barcode.as_deref()),
        "title" => vec![Value::Text(variant.title()), Value::text(product.title.as_str())],
        "product_id" => vec![Value::id(product.id)],
        "product_status" => texts([product.status.name()]),
        "product_type" => texts([product.product_type.as_str()]),
        "vendor" => texts([product.vendor.as_str()]),
        "tag" => texts(product.tags.iter().map(String::as_str)),
        "created_at" => vec![Value::Time(variant.created_at)],
        "updated_at" => vec![Value::Time(variant.updated_at)],
        "inventory_quantity" => vec![Value::Number(variant.item.available().into())],
        "taxable" => texts([if variant.taxable { "true" } else { "false" }]),
        _ => return None,
    })
}

fn variant_sort((product, variant): &Both<'_>, key: &str) -> Sort {
    let value = match key {
        "SKU" => SortValue::Text(variant.sku.clone().unwrap_or_default()),
        "TITLE" => SortValue::Text(product.title.clone()),
        _ => number(variant.id),
    };
    (value, variant.id)
}

fn both(shop: &Shop) -> impl Iterator<Item = Both<'_>> {
    shop.products
        .values()
        .flat_map(|p| p.variants.iter().map(move |v| (p, v)))
}

/// `productVariants`.
pub(super) fn variants<'a>(shop: &'a Shop, args: &Args) -> Out<'a> {
    let kind = Kind {
        fields: variant_fields,
        updated_at: |(_, v)| v.updated_at,
        sort: variant_sort,
    };
    select(shop, args, both(shop), &kind, |(product, variant)| {
        Out::node(VariantNode {
            shop,
            product,
            variant,
        })
    })
}

/// `inventoryItems`.
pub(super) fn items<'a>(shop: &'a Shop, args: &Args) -> Out<'a> {
    let kind = Kind {
        fields: variant_fields,
        updated_at: |(_, v)| v.updated_at,
        sort: variant_sort,
    };
    select(shop, args, both(shop), &kind, |(product, variant)| {
        Out::node(ItemNode {
            shop,
            product,
            variant,
        })
    })
}
