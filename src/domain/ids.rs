//! Names and numbers of things. Each kind has its own type, so that two of them are never exchanged.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A text that is no valid id of its kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a valid {kind}: {expected}")]
pub struct IdError {
    /// What was to be read, e.g. `shop name`.
    pub kind: &'static str,
    /// The text as it came.
    pub text: String,
    /// What would have been right.
    pub expected: &'static str,
}

/// The name of a shop in the configuration (`[shops.NAME]`): 1 to 40 of `a-z`, `0-9`, `_`, `-`, starting with a
/// letter. It is part of the ERP's external ids and must not change later.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, schemars::JsonSchema)]
#[serde(transparent)]
pub struct ShopName(Arc<str>);

impl ShopName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ShopName {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let valid = (1..=40).contains(&text.len())
            && text.starts_with(|c: char| c.is_ascii_lowercase())
            && text
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-');
        if !valid {
            return Err(IdError {
                kind: "shop name",
                text: text.to_owned(),
                expected: "1 to 40 of a-z, 0-9, `_` and `-`, starting with a letter",
            });
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for ShopName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for ShopName {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

/// Defines an enum whose variants have one fixed text each, used in tables, metrics, the CLI and the API.
macro_rules! text_enum {
    ($(#[$doc:meta])* $name:ident, $kind:literal { $($(#[$vdoc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(
            Clone,
            Copy,
            Debug,
            PartialEq,
            Eq,
            PartialOrd,
            Ord,
            Hash,
            serde::Serialize,
            serde::Deserialize,
            schemars::JsonSchema,
        )]
        pub enum $name { $($(#[$vdoc])* #[serde(rename = $text)] $variant),+ }

        impl $name {
            /// Every value, in the order of declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The fixed text of this value.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::domain::IdError;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                match text {
                    $($text => Ok(Self::$variant),)+
                    _ => Err($crate::domain::IdError {
                        kind: $kind,
                        text: text.to_owned(),
                        expected: concat!("one of", $(" ", $text),+),
                    }),
                }
            }
        }
    };
}
pub(crate) use text_enum;

text_enum! {
    /// What a job is about.
    Object, "object" {
        /// A Shopify order and the ERP's sales order.
        Order = "order",
        /// A Shopify customer and the ERP's partner.
        Customer = "customer",
        /// A Shopify product with its variants.
        Product = "product",
        /// A stock level.
        Inventory = "inventory",
        /// A notice about the shop itself: uninstalled, or a privacy request to carry out.
        Shop = "shop",
    }
}

text_enum! {
    /// Which way a change travels.
    Direction, "direction" {
        /// From Shopify to the ERP.
        In = "in",
        /// From the ERP to Shopify.
        Out = "out",
    }
}

text_enum! {
    /// One of the two sides.
    System, "system" {
        /// The shop side.
        Shopify = "shopify",
        /// The ERP side.
        Erp = "erp",
    }
}

/// Shopify's numeric id of a record: GraphQL's `legacyResourceId`, REST's and webhooks' `id`.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(transparent)]
pub struct ShopifyId(pub u64);

impl ShopifyId {
    /// The global id, e.g. `gid://shopify/Order/1`, of this record of `kind` (GraphQL's type name).
    pub fn gid(self, kind: &str) -> String {
        format!("gid://shopify/{kind}/{}", self.0)
    }
}

impl fmt::Display for ShopifyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for ShopifyId {
    type Err = IdError;

    /// Reads a plain number or a global id (`gid://shopify/Order/1`, with or without a query part).
    fn from_str(text: &str) -> Result<Self, IdError> {
        let number = match text.strip_prefix("gid://shopify/") {
            Some(rest) => rest
                .split_once('/')
                .map_or("", |(_, id)| id.split('?').next().unwrap_or(id)),
            None => text,
        };
        number
            .parse()
            .ok()
            .filter(|id| *id > 0)
            .map(Self)
            .ok_or_else(|| IdError {
                kind: "Shopify id",
                text: text.to_owned(),
                expected: "a positive whole number or gid://shopify/Kind/NUMBER",
            })
    }
}

/// The ERP's number of a record (Odoo's database id).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ErpId(pub i64);

impl fmt::Display for ErpId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A job's number in the store: small and easy to type.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(transparent)]
pub struct JobId(pub i64);

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An event's number in the store.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(transparent)]
pub struct EventId(pub i64);

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The fencing token of a claim: raised by every claim of the job, named by every later write of the attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fence(pub i64);

/// What makes a job the same job: at most one open job exists for each key.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
pub struct JobKey {
    /// The shop.
    pub shop: ShopName,
    /// What the job is about.
    pub object: Object,
    /// Which way.
    pub direction: Direction,
    /// The record's id on the side where the change came from: Shopify's number for `in`, the ERP's for `out`.
    pub source_id: String,
}

impl fmt::Display for JobKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}/{}.{}/{}",
            self.shop, self.object, self.direction, self.source_id
        )
    }
}

/// What stands before the number of a product in the key of its stock's job.
const STOCK_OF: &str = "product_";

/// Whose stock a job of the direction out brings to the shop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StockOf {
    /// That of all variants of this product of the ERP.
    Product(ErpId),
    /// That of the product to which this variant of the ERP belongs. A person names one so, and so did earlier versions.
    Variant(ErpId),
}

impl JobKey {
    /// The key of the work for a record of the ERP. Of stock it is a product's: all its variants are brought over together.
    pub fn of_erp(shop: &ShopName, object: Object, id: ErpId) -> Self {
        Self {
            shop: shop.clone(),
            object,
            direction: Direction::Out,
            source_id: match object {
                Object::Inventory => format!("{STOCK_OF}{id}"),
                _ => id.to_string(),
            },
        }
    }

    /// Whose stock this job is about; none where the key names nobody.
    pub fn stock_of(&self) -> Option<StockOf> {
        let number = |text: &str| text.parse().ok().filter(|id| *id > 0).map(ErpId);
        match self.source_id.strip_prefix(STOCK_OF) {
            Some(product) => number(product).map(StockOf::Product),
            None => number(&self.source_id).map(StockOf::Variant),
        }
    }

    /// The record that this job is about, as a lock names it.
    pub fn record(&self) -> RecordKey {
        let system = match self.direction {
            Direction::In => System::Shopify,
            Direction::Out => System::Erp,
        };
        RecordKey {
            shop: self.shop.clone(),
            system,
            model: self.object.as_str().to_owned(),
            id: self.source_id.clone(),
        }
    }
}

/// One record on one side, as locks and waits name it. Ordered, so that locks are always taken in one order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RecordKey {
    /// The shop.
    pub shop: ShopName,
    /// The side on which the record lives.
    pub system: System,
    /// `order`, `customer`, `product` on Shopify; the model's name (`res.partner`) in the ERP.
    pub model: String,
    /// The record's id there.
    pub id: String,
}

impl fmt::Display for RecordKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}/{}", self.shop, self.system, self.model, self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shopify_ids_are_read_from_numbers_and_gids() {
        for (text, expected) in [
            ("450789469", Some(450_789_469)),
            ("gid://shopify/Order/450789469", Some(450_789_469)),
            (
                "gid://shopify/MailingAddress/1?model_name=CustomerAddress",
                Some(1),
            ),
            ("18446744073709551615", Some(u64::MAX)),
            ("0", None),
            ("-1", None),
            ("1.5", None),
            ("", None),
            ("gid://shopify/Order", None),
        ] {
            assert_eq!(text.parse::<ShopifyId>().ok().map(|id| id.0), expected, "{text}");
        }
    }

    #[test]
    fn shop_names_are_short_lower_case_words() {
        for (text, valid) in [
            ("main", true),
            ("eu-2_b", true),
            ("", false),
            ("Main", false),
            ("1a", false),
            ("a b", false),
        ] {
            assert_eq!(text.parse::<ShopName>().is_ok(), valid, "{text}");
        }
    }
}
