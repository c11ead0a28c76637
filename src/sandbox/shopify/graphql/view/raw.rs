//! Raw records as nodes, whatever their type: the pinned schema says how each value is shown.

use rust_decimal::Decimal;
use serde_json::Value as Json;

use super::customer::CustomerNode;
use super::product::{ProductNode, VariantNode};
use super::shop::location;
use crate::sandbox::shopify::graphql::node::{Args, Node, Out};
use crate::sandbox::shopify::graphql::page::page_of_list;
use crate::sandbox::shopify::ids::gid;
use crate::sandbox::shopify::money::graphql_text;
use crate::sandbox::shopify::raw::RawRecord;
use crate::sandbox::shopify::raw::shape::{self, Kind};
use crate::sandbox::shopify::shop::Shop;

/// One record, or a part of one.
pub(super) struct RawNode<'a> {
    shop: &'a Shop,
    record: &'a RawRecord,
    kind: &'static str,
    json: &'a Json,
}

/// A whole raw record.
pub(super) fn whole<'a>(shop: &'a Shop, record: &'a RawRecord) -> Out<'a> {
    Out::node(RawNode {
        shop,
        record,
        kind: record.kind,
        json: &record.json,
    })
}

/// A raw record or a part of one, by type and id.
pub(super) fn find<'a>(shop: &'a Shop, kind: &str, id: u64) -> Option<Out<'a>> {
    let (record, kind, json) = shop.raw.find(kind, id)?;
    if record.kind == "Order" && !super::order::visible_since(shop, record.time("createdAt")) {
        return None;
    }
    Some(Out::node(RawNode {
        shop,
        record,
        kind,
        json,
    }))
}

impl<'a> Node<'a> for RawNode<'a> {
    fn type_name(&self) -> &str {
        self.kind
    }

    fn field(&self, name: &str, args: &Args) -> Out<'a> {
        let Some(ty) = shape::field(self.kind, name) else {
            return Out::Absent;
        };
        let value = &self.json[name];
        if name == "metafield" && value.is_null() {
            return self.metafield(args);
        }
        let Some(what) = shape::kind(ty.inner_named_type().as_str()) else {
            return Out::Absent;
        };
        match (what, value) {
            // The buyer's currency is not the shop's, so the executor's default would name the wrong one.
            (Kind::Bag, Json::Null) if ty.is_non_null() => self.bag((Decimal::ZERO, Decimal::ZERO)),
            (Kind::Scalar("UnsignedInt64"), Json::Null) if name == "legacyResourceId" => {
                Out::leaf(self.json["id"].to_string())
            }
            (_, Json::Null) => Out::Absent,
            (Kind::Connection(inner), Json::Array(items)) => {
                let removals = args.get("includeRemovals").and_then(Json::as_bool);
                let shown = items
                    .iter()
                    .filter(|item| removals != Some(false) || item["isRemoved"] != true)
                    .collect();
                let inner = shape::kind(inner);
                page_of_list(args, shown, |item| {
                    inner.map_or(Out::Absent, |inner| self.one(inner, item))
                })
            }
            (what, Json::Array(items)) => {
                let first = args.get("first").and_then(Json::as_u64).unwrap_or(u64::MAX);
                let first = usize::try_from(first).unwrap_or(usize::MAX);
                Out::list(items.iter().take(first).map(|item| self.one(what, item)))
            }
            (what, value) => self.one(what, value),
        }
    }
}

impl<'a> RawNode<'a> {
    fn one(&self, what: Kind, value: &'a Json) -> Out<'a> {
        match (what, value) {
            (_, Json::Null) => Out::Absent,
            (Kind::Bag, Json::String(text)) => {
                shape::bag(text).map_or(Out::Absent, |amount| self.bag(amount))
            }
            (Kind::Bag, _) => self.part("MoneyBag", value),
            (Kind::Money, Json::String(text)) => shape::bag(text).map_or(Out::Absent, |(amount, _)| {
                super::money(amount, &self.record.currencies.0)
            }),
            (Kind::Money, _) => self.part("MoneyV2", value),
            (Kind::Abstract("DiscountApplication"), Json::Number(place)) => {
                let place = place.as_u64().and_then(|place| usize::try_from(place).ok());
                let found = place.and_then(|place| self.record.json["discountApplications"].get(place));
                found.map_or(Out::Absent, |found| self.one(what, found))
            }
            (Kind::Abstract(name), value) => match (shape::member(name, value), value) {
                (Some("MoneyV2"), Json::String(_)) => self.one(Kind::Money, value),
                (Some("PricingPercentageValue"), Json::Number(number)) => Out::record(
                    "PricingPercentageValue",
                    vec![("percentage", Out::Leaf(number.clone().into()))],
                ),
                (Some(member), value) => self.part(member, value),
                (None, _) => Out::Absent,
            },
            (Kind::Object(name), Json::Number(id)) => {
                id.as_u64().map_or(Out::Absent, |id| self.reference(name, id))
            }
            (Kind::Object(name), value) => match value["id"].as_u64() {
                // The same record may stand elsewhere in more words.
                Some(id) => self.reference(name, id),
                None => self.part(name, value),
            },
            (Kind::Scalar("ID"), Json::Number(id)) => Out::leaf(id.as_u64().map(|id| gid(self.kind, id))),
            (Kind::Connection(_), _) => Out::Absent,
            (Kind::Enum | Kind::Scalar(_), value) => Out::leaf(value.clone()),
        }
    }

    fn part(&self, kind: &'static str, json: &'a Json) -> Out<'a> {
        let (shop, record) = (self.shop, self.record);
        Out::node(RawNode {
            shop,
            record,
            kind,
            json,
        })
    }

    /// A record that is named by its number: of this order, of the shop, or of another raw record.
    fn reference(&self, kind: &'static str, id: u64) -> Out<'a> {
        let shop = self.shop;
        if let Some((kind, json)) = self.record.inner(kind, id) {
            return self.part(kind, json);
        }
        let own = match kind {
            "Customer" => shop
                .customer(id)
                .map(|customer| Out::node(CustomerNode { shop, customer })),
            "Product" => shop
                .product(id)
                .map(|product| Out::node(ProductNode { shop, product })),
            "ProductVariant" => shop.variant(id).map(|(product, variant)| {
                Out::node(VariantNode {
                    shop,
                    product,
                    variant,
                })
            }),
            "Location" => shop.location(id).map(|_| location(shop, id)),
            _ => None,
        };
        own.or_else(|| find(shop, kind, id)).unwrap_or(Out::Absent)
    }

    fn bag(&self, (shop, presentment): (Decimal, Decimal)) -> Out<'a> {
        let (shop_code, presentment_code) = &self.record.currencies;
        let money = |amount, code: &str| {
            Out::record(
                "MoneyV2",
                vec![
                    ("amount", Out::leaf(graphql_text(amount))),
                    ("currencyCode", Out::leaf(code)),
                ],
            )
        };
        Out::record(
            "MoneyBag",
            vec![
                ("shopMoney", money(shop, shop_code)),
                ("presentmentMoney", money(presentment, presentment_code)),
            ],
        )
    }

    /// One of the record's metafields by its name.
    fn metafield(&self, args: &Args) -> Out<'a> {
        let text = |name: &str| args.get(name).and_then(Json::as_str).unwrap_or_default();
        let namespace = super::own_namespace(text("namespace"));
        let fields = self.json["metafields"].as_array();
        let mut fields = fields.map_or(&[][..], Vec::as_slice).iter();
        let found = fields.find(|field| field["namespace"] == *namespace && field["key"] == text("key"));
        found.map_or(Out::Absent, |field| self.part("Metafield", field))
    }
}
