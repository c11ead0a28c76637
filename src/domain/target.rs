//! What a mapping asks of the ERP and what it wants written there, in words that fit every ERP.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use chrono::NaiveDate;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::domain::{ErpId, IdError, LinkKind, ShopName, Timestamp};

/// The name under which the ERP itself remembers one of our records: unique there, so that making it twice is
/// impossible. In Odoo it is the external id `__lockstep_SHOP__.NAME`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct ExternalId {
    /// The shop.
    pub shop: ShopName,
    /// Within the shop, e.g. `order_450789469`: `A-Z`, `a-z`, `0-9` and `_`, at most 120.
    pub name: String,
}

impl ExternalId {
    /// The id of `name` within `shop`.
    ///
    /// # Errors
    /// When `name` is empty, too long, or has other characters than letters, digits and `_`.
    pub fn new(shop: &ShopName, name: &str) -> Result<Self, IdError> {
        let valid =
            (1..=120).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if !valid {
            return Err(IdError {
                kind: "external id",
                text: name.to_owned(),
                expected: "1 to 120 of A-Z, a-z, 0-9 and `_`",
            });
        }
        Ok(Self {
            shop: shop.clone(),
            name: name.to_owned(),
        })
    }
}

/// A value for a field of an ERP record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum FieldValue {
    /// Empties the field.
    Clear,
    /// Text.
    Text(String),
    /// Yes or no.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// An exact number.
    Decimal(Decimal),
    /// A day.
    Date(NaiveDate),
    /// A point in time.
    Time(Timestamp),
    /// Another record.
    Record(ErpId),
    /// Exactly these other records, replacing what was there.
    Records(Vec<ErpId>),
}

/// For previews and problem details.
impl fmt::Display for FieldValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Clear => f.write_str("(empty)"),
            Self::Text(text) => f.write_str(text),
            Self::Bool(value) => value.fmt(f),
            Self::Integer(value) => value.fmt(f),
            Self::Decimal(value) => value.fmt(f),
            Self::Date(value) => value.fmt(f),
            Self::Time(value) => value.fmt(f),
            Self::Record(id) => write!(f, "#{id}"),
            Self::Records(ids) => {
                f.write_str("[")?;
                for (n, id) in ids.iter().enumerate() {
                    write!(f, "{}#{id}", if n > 0 { ", " } else { "" })?;
                }
                f.write_str("]")
            }
        }
    }
}

/// Fields to write, by the ERP's field name, in the mapping's order. A field that is absent stays as it is.
pub type Fields = Vec<(String, FieldValue)>;

/// A plain value that a look-up is keyed by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum Scalar {
    /// Text, compared exactly.
    Text(String),
    /// A number, compared by value.
    Decimal(Decimal),
    /// Yes or no.
    Bool(bool),
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Decimal(value) => value.normalize().fmt(f),
            Self::Bool(value) => value.fmt(f),
        }
    }
}

/// A question to the ERP that has one record as its answer, e.g. the country with code `DE`. Answers are cached.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct LookUp {
    /// The kind, one of [`LOOK_UP_KINDS`].
    pub kind: String,
    /// Its keys by name.
    pub keys: BTreeMap<String, Scalar>,
}

impl fmt::Display for LookUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.kind)?;
        for (name, value) in &self.keys {
            write!(f, " {name}={value}")?;
        }
        Ok(())
    }
}

/// A kind of look-up that every ERP adapter answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LookUpKind {
    /// Its name in mapping files.
    pub name: &'static str,
    /// Keys that must be given.
    pub required: &'static [&'static str],
    /// Keys that may be given.
    pub optional: &'static [&'static str],
}

/// Every kind of look-up. `record` finds a record of any model by the exact values of its fields: its key `model` names
/// the model and every other key a field.
pub const LOOK_UP_KINDS: &[LookUpKind] = &[
    LookUpKind {
        name: "country",
        required: &["code"],
        optional: &[],
    },
    LookUpKind {
        name: "state",
        required: &["country", "code"],
        optional: &[],
    },
    LookUpKind {
        name: "currency",
        required: &["code"],
        optional: &[],
    },
    LookUpKind {
        name: "pricelist",
        required: &["currency"],
        optional: &[],
    },
    LookUpKind {
        name: "language",
        required: &["code"],
        optional: &[],
    },
    LookUpKind {
        name: "tax",
        required: &["rate", "included"],
        optional: &["country", "title", "ship_to", "channel"],
    },
    LookUpKind {
        name: "service",
        required: &["purpose"],
        optional: &[],
    },
    LookUpKind {
        name: "record",
        required: &["model"],
        optional: &["*"],
    },
];

/// A fact that a mapping needs before it can be evaluated.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Need {
    /// The ERP record that is linked to this record of Shopify.
    Link {
        /// What kind.
        kind: LinkKind,
        /// Shopify's number or the content hash.
        source_id: String,
    },
    /// A look-up in the ERP.
    LookUp(LookUp),
}

/// The answer to a [`Need`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Needed {
    /// This record.
    Found(ErpId),
    /// There is none.
    Missing,
    /// Several fit; a person must say which.
    Ambiguous(Vec<ErpId>),
}

impl FromStr for Scalar {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self::Text(text.to_owned()))
    }
}

impl<'de> Deserialize<'de> for ExternalId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Parts {
            shop: ShopName,
            name: String,
        }
        let Parts { shop, name } = Parts::deserialize(deserializer)?;
        Self::new(&shop, &name).map_err(serde::de::Error::custom)
    }
}
