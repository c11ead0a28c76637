//! Products, variants, their stock, and the places where it lies.

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;

use super::Metafield;

/// Whether a product is for sale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProductStatus {
    /// For sale.
    Active,
    /// No longer for sale.
    Archived,
    /// Not yet for sale.
    Draft,
    /// For sale to those who know the address.
    Unlisted,
}

impl ProductStatus {
    /// The enum value of the API; webhook bodies use it in lower case.
    pub fn name(self) -> &'static str {
        match self {
            Self::Active => "ACTIVE",
            Self::Archived => "ARCHIVED",
            Self::Draft => "DRAFT",
            Self::Unlisted => "UNLISTED",
        }
    }
}

/// A product with at least one variant.
#[derive(Clone, Debug)]
pub struct Product {
    /// Number part of the gid.
    pub id: u64,
    /// Title.
    pub title: String,
    /// Unique, for addresses.
    pub handle: String,
    /// HTML.
    pub description_html: String,
    /// Maker.
    pub vendor: String,
    /// The merchant's own kind.
    pub product_type: String,
    /// For sale or not.
    pub status: ProductStatus,
    /// Sorted, unique.
    pub tags: Vec<String>,
    /// Gift cards are sold.
    pub gift_card: bool,
    /// Id and full name in the taxonomy.
    pub category: Option<(String, String)>,
    /// Options; a product without variants has one called `Title`.
    pub options: Vec<ProductOption>,
    /// Variants in their order.
    pub variants: Vec<Variant>,
    /// Pictures.
    pub images: Vec<Image>,
    /// Custom data.
    pub metafields: Vec<Metafield>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// Last change of product or variant.
    pub updated_at: DateTime<Utc>,
    /// When it went on sale.
    pub published_at: Option<DateTime<Utc>>,
}

impl Product {
    /// The product has no real options.
    pub fn only_default_variant(&self) -> bool {
        self.variants.len() == 1 && self.options.len() == 1 && self.options[0].name == "Title"
    }
}

/// An option such as Size.
#[derive(Clone, Debug)]
pub struct ProductOption {
    /// Number part of the gid.
    pub id: u64,
    /// Name.
    pub name: String,
    /// Values in their order.
    pub values: Vec<OptionValue>,
}

/// A value of an option such as M.
#[derive(Clone, Debug)]
pub struct OptionValue {
    /// Number part of the gid.
    pub id: u64,
    /// Name.
    pub name: String,
}

/// A picture of a product.
#[derive(Clone, Debug)]
pub struct Image {
    /// Number part of the gid (`MediaImage`).
    pub id: u64,
    /// Address.
    pub url: String,
    /// Text for those who do not see it.
    pub alt: Option<String>,
}

/// What is actually sold.
#[derive(Clone, Debug)]
pub struct Variant {
    /// Number part of the gid.
    pub id: u64,
    /// Not unique, may be missing.
    pub sku: Option<String>,
    /// GTIN or the like.
    pub barcode: Option<String>,
    /// In the shop's currency; with or without tax as the shop decides.
    pub price: Decimal,
    /// Former price.
    pub compare_at_price: Option<Decimal>,
    /// Taxes are charged.
    pub taxable: bool,
    /// May be sold without stock.
    pub oversell: bool,
    /// One value per option of the product.
    pub option_values: Vec<String>,
    /// Stock record.
    pub item: InventoryItem,
    /// Custom data.
    pub metafields: Vec<Metafield>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was changed last.
    pub updated_at: DateTime<Utc>,
}

impl Variant {
    /// Option values joined as the shop shows them.
    pub fn title(&self) -> String {
        self.option_values.join(" / ")
    }
}

/// The stock side of a variant.
#[derive(Clone, Debug)]
pub struct InventoryItem {
    /// Number part of the gid.
    pub id: u64,
    /// Quantities are kept.
    pub tracked: bool,
    /// It is sent by parcel.
    pub requires_shipping: bool,
    /// Purchase price.
    pub cost: Option<Decimal>,
    /// Weight in kilograms.
    pub weight_kg: Decimal,
    /// Two letters.
    pub origin: Option<String>,
    /// Customs tariff number.
    pub hs_code: Option<String>,
    /// One per place that stocks it.
    pub levels: Vec<Level>,
}

impl InventoryItem {
    /// Sum of what can be sold at all places.
    pub fn available(&self) -> i64 {
        self.levels.iter().map(|l| l.available).sum()
    }
}

/// Quantities at one place. On hand = available + committed + the rest.
#[derive(Clone, Debug)]
pub struct Level {
    /// The place.
    pub location: u64,
    /// Can be sold.
    pub available: i64,
    /// Sold, not yet sent.
    pub committed: i64,
    /// On its way in.
    pub incoming: i64,
    /// Set aside.
    pub reserved: i64,
    /// Broken.
    pub damaged: i64,
    /// Last change.
    pub updated_at: DateTime<Utc>,
}

impl Level {
    /// The quantity of a state by its API name; states that nobody set are 0.
    pub fn quantity(&self, name: &str) -> Option<i64> {
        Some(match name {
            "available" => self.available,
            "committed" => self.committed,
            "incoming" => self.incoming,
            "reserved" => self.reserved,
            "damaged" => self.damaged,
            "on_hand" => self.available + self.committed + self.reserved + self.damaged,
            "safety_stock" | "quality_control" => 0,
            _ => return None,
        })
    }
}

/// A place that stocks goods.
#[derive(Clone, Debug)]
pub struct Location {
    /// Number part of the gid.
    pub id: u64,
    /// Name.
    pub name: String,
    /// Its city.
    pub city: String,
    /// Two letters.
    pub country_code: String,
    /// In use.
    pub active: bool,
    /// Orders of the online shop are sent from here.
    pub fulfills_online: bool,
}
