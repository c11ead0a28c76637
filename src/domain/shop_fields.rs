//! The fields of the shop's records that mappings of the direction out may write, with the kind of value of each.

use super::Object;

/// What kind of value a field of the shop takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShopFieldKind {
    /// Text.
    Text,
    /// One of these texts.
    OneOf(&'static [&'static str]),
    /// Yes or no.
    Bool,
    /// An exact number.
    Decimal,
    /// A whole number.
    Integer,
}

/// A field of a record of the shop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShopField {
    /// Its name in mapping files, e.g. `address.city`.
    pub name: &'static str,
    /// What it takes.
    pub kind: ShopFieldKind,
    /// Whether it can be given only while the record is made.
    pub create_only: bool,
    /// Whether the shop can hold nothing in it.
    pub may_be_empty: bool,
}

const fn field(name: &'static str, kind: ShopFieldKind) -> ShopField {
    ShopField {
        name,
        kind,
        create_only: false,
        may_be_empty: true,
    }
}

const fn required(name: &'static str, kind: ShopFieldKind) -> ShopField {
    ShopField {
        may_be_empty: false,
        ..field(name, kind)
    }
}

use ShopFieldKind::{Bool, Decimal, Integer, OneOf, Text};

/// Fields of a customer; those under `address.` are of its default address.
pub const CUSTOMER_FIELDS: &[ShopField] = &[
    field("first_name", Text),
    field("last_name", Text),
    field("email", Text),
    field("phone", Text),
    field("note", Text),
    field("locale", Text),
    required("tax_exempt", Bool),
    field("address.company", Text),
    field("address.first_name", Text),
    field("address.last_name", Text),
    field("address.address1", Text),
    field("address.address2", Text),
    field("address.zip", Text),
    field("address.city", Text),
    field("address.country_code", Text),
    field("address.province_code", Text),
    field("address.phone", Text),
];

/// Fields of a product.
pub const PRODUCT_FIELDS: &[ShopField] = &[
    required("title", Text),
    field("description_html", Text),
    field("vendor", Text),
    field("product_type", Text),
    required("status", OneOf(&["ACTIVE", "DRAFT", "ARCHIVED", "UNLISTED"])),
    ShopField {
        create_only: true,
        ..required("handle", Text)
    },
];

/// Fields of a product's variant.
pub const VARIANT_FIELDS: &[ShopField] = &[
    required("price", Decimal),
    field("compare_at_price", Decimal),
    field("barcode", Text),
    field("sku", Text),
    field("weight_kg", Decimal),
    field("cost", Decimal),
    required("taxable", Bool),
    required("tracked", Bool),
    required("requires_shipping", Bool),
];

/// Quantities of an inventory item at a location.
pub const STOCK_FIELDS: &[ShopField] = &[required("on_hand", Integer), required("available", Integer)];

/// The fields that a mapping of the direction out may write to the records of an object.
pub const fn shop_fields(object: Object) -> &'static [ShopField] {
    match object {
        Object::Customer => CUSTOMER_FIELDS,
        Object::Product => PRODUCT_FIELDS,
        Object::Inventory => STOCK_FIELDS,
        Object::Order | Object::Shop => &[],
    }
}
