//! What is written to the shop and what is found there before it is, in words that know nothing of its API.

use std::collections::BTreeSet;

use crate::domain::{Fields, ShopifyId};

/// A customer to be made on the shop; making it again makes no second one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewCustomer {
    /// Our name of the ERP's record, e.g. `customer_17`; unique among the shop's customers.
    pub erp_ref: String,
    /// What it starts with.
    pub fields: Fields,
}

/// A product to be made on the shop; making it again makes no second one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewProduct {
    /// Our name of the ERP's record, e.g. `product_17`; unique among the shop's products.
    pub erp_ref: String,
    /// What it starts with.
    pub fields: Fields,
    /// Options in order, each with its values in order; none for a product with one variant and no choice.
    pub options: Vec<(String, Vec<String>)>,
    /// At least one variant.
    pub variants: Vec<NewVariant>,
}

/// A variant to be made on the shop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewVariant {
    /// Our name of the ERP's record, e.g. `variant_17`; unique among the shop's variants.
    pub erp_ref: String,
    /// One value for each option of the product.
    pub options: Vec<(String, String)>,
    /// What it starts with.
    pub fields: Fields,
}

/// What variants are looked for by, each exactly.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct VariantKeys {
    /// Stock keeping units.
    pub skus: BTreeSet<String>,
    /// Bar codes.
    pub barcodes: BTreeSet<String>,
}

impl VariantKeys {
    /// Of what is given, without surrounding white space; nothing is no key.
    pub fn new(
        skus: impl IntoIterator<Item = impl AsRef<str>>,
        barcodes: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> Self {
        Self {
            skus: different(skus),
            barcodes: different(barcodes),
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.skus.len() + self.barcodes.len()
    }

    /// Whether there is nothing to look for.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether one of them is a key of the other, too.
    pub fn meets(&self, other: &Self) -> bool {
        !self.skus.is_disjoint(&other.skus) || !self.barcodes.is_disjoint(&other.barcodes)
    }
}

fn different(keys: impl IntoIterator<Item = impl AsRef<str>>) -> BTreeSet<String> {
    let keys = keys.into_iter().map(|key| key.as_ref().trim().to_owned());
    keys.filter(|key| !key.is_empty()).collect()
}

/// A variant that has a key that was looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VariantFound {
    /// Shopify's number of its product.
    pub product: ShopifyId,
    /// Shopify's number.
    pub variant: ShopifyId,
    /// Stock keeping unit.
    pub sku: Option<String>,
    /// Bar code.
    pub barcode: Option<String>,
}

/// A customer that has a key that was looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CustomerFound {
    /// Shopify's number.
    pub id: ShopifyId,
    /// E-mail as Shopify has it.
    pub email: Option<String>,
    /// Phone as Shopify has it.
    pub phone: Option<String>,
}

/// A place at which the shop keeps stock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// Shopify's number.
    pub id: ShopifyId,
    /// Name.
    pub name: String,
    /// Whether it is in use.
    pub active: bool,
    /// Whether orders of the online shop are sent from here.
    pub fulfills_online: bool,
}

/// What the shop knows of one inventory item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ItemStock {
    /// Shopify's number of the item.
    pub item: ShopifyId,
    /// Shopify's number of its variant.
    pub variant: Option<ShopifyId>,
    /// Whether the shop counts it.
    pub tracked: bool,
    /// One entry for each location that stocks it.
    pub levels: Vec<LevelStock>,
}

/// What is there of one item at one location, in units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LevelStock {
    /// Shopify's number of the location.
    pub location: ShopifyId,
    /// What can be sold.
    pub available: i64,
    /// What is there: `available`, `committed` and what is set aside for other reasons.
    pub on_hand: i64,
    /// What was sold and not yet sent.
    pub committed: i64,
}

/// One quantity to set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SetQuantity {
    /// Shopify's number of the inventory item.
    pub item: ShopifyId,
    /// Shopify's number of the location.
    pub location: ShopifyId,
    /// The new quantity in units.
    pub quantity: i64,
    /// What it must be until then; `None` overwrites whatever is there.
    pub from: Option<i64>,
}

/// Quantities that are set all or none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetQuantities {
    /// Which quantity: `on_hand` or `available`.
    pub name: String,
    /// The same key with the same items is carried out once; 24 hours.
    pub key: String,
    /// Address of what caused it, seen in the shop's history of the item, e.g. `gid://lockstep/Job/42`.
    pub reference: String,
    /// The quantities; an item and a location come together once.
    pub items: Vec<SetQuantity>,
}

/// What became of a [`SetQuantities`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QuantitiesSet {
    /// All are set.
    Done,
    /// These, by their index, were not what they had to be. Nothing was written.
    Stale(Vec<usize>),
}

/// Why the shop did not take something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Index of the variant in the call.
    pub index: Option<usize>,
    /// Our name of the field, where it can be told.
    pub field: Option<String>,
    /// The shop's words.
    pub message: String,
    /// The shop's code.
    pub code: Option<String>,
}
