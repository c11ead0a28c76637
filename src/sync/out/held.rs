//! The shop's records as the fields that mappings of the direction out write.

use std::collections::BTreeMap;
use std::sync::Arc;

use rust_decimal::Decimal;

use super::super::agree::hash;
use super::super::flow::Held;
use crate::domain::{Address, Customer, FieldValue, Fields, Product, ShopifyId, Variant};
use crate::mapping::MappedField;

fn text(value: Option<&str>) -> FieldValue {
    match value {
        Some(text) if !text.is_empty() => FieldValue::Text(text.to_owned()),
        _ => FieldValue::Clear,
    }
}

fn number(value: Option<Decimal>) -> FieldValue {
    value.map_or(FieldValue::Clear, FieldValue::Decimal)
}

fn held<const N: usize>(fields: [(&str, FieldValue); N]) -> Held {
    let named = fields.into_iter().map(|(name, value)| (name.to_owned(), value));
    named.collect()
}

/// A customer's.
pub(in crate::sync) fn customer(customer: &Customer) -> Held {
    let nothing = Address::nothing();
    let address = customer.default_address.as_ref().unwrap_or(&nothing);
    held([
        ("first_name", text(customer.first_name.as_deref())),
        ("last_name", text(customer.last_name.as_deref())),
        ("email", text(customer.email.as_deref())),
        ("phone", text(customer.phone.as_deref())),
        ("note", text(customer.note.as_deref())),
        ("locale", text(customer.locale.as_deref())),
        ("tax_exempt", FieldValue::Bool(customer.tax_exempt)),
        ("address.company", text(address.company.as_deref())),
        ("address.first_name", text(address.first_name.as_deref())),
        ("address.last_name", text(address.last_name.as_deref())),
        ("address.address1", text(address.address1.as_deref())),
        ("address.address2", text(address.address2.as_deref())),
        ("address.zip", text(address.zip.as_deref())),
        ("address.city", text(address.city.as_deref())),
        ("address.country_code", text(address.country_code.as_deref())),
        ("address.province_code", text(address.province_code.as_deref())),
        ("address.phone", text(address.phone.as_deref())),
    ])
}

/// A product's.
pub(in crate::sync) fn product(product: &Product) -> Held {
    held([
        ("title", text(Some(&product.title))),
        ("description_html", text(product.description_html.as_deref())),
        ("vendor", text(product.vendor.as_deref())),
        ("product_type", text(product.product_type.as_deref())),
        ("status", text(Some(&product.status))),
        ("handle", text(Some(&product.handle))),
    ])
}

/// A variant's.
pub(in crate::sync) fn variant(variant: &Variant) -> Held {
    held([
        ("price", FieldValue::Decimal(variant.price)),
        ("compare_at_price", number(variant.compare_at_price)),
        ("barcode", text(variant.barcode.as_deref())),
        ("sku", text(variant.sku.as_deref())),
        ("weight_kg", number(variant.weight_kg)),
        ("cost", number(variant.cost)),
        ("taxable", FieldValue::Bool(variant.taxable)),
        ("tracked", FieldValue::Bool(variant.tracked)),
        ("requires_shipping", FieldValue::Bool(variant.requires_shipping)),
    ])
}

/// The written fields that the shop shows as they were written, or in a form of its own that the mapping expects. Any other
/// was changed by somebody else in between.
pub(super) fn arrived<'w>(writes: &'w Fields, fields: &[MappedField], now: &Held) -> Vec<&'w str> {
    let has_arrived = |(name, value): &&(String, FieldValue)| {
        now.get(name).is_none_or(|now| hash(now) == hash(value))
            || fields.iter().any(|field| *field.target == *name && field.lossy)
    };
    let arrived = writes.iter().filter(has_arrived);
    arrived.map(|(name, _)| name.as_str()).collect()
}

/// The customer as our own write left it, without what somebody else changed meanwhile: `written` is taken from `after`, and
/// everything else from `before`, the time of the change too where the two are not the same version.
pub(super) fn customer_as_written(before: &Customer, after: &Customer, written: &[&str]) -> Customer {
    let mut customer = before.clone();
    let mut address = before.default_address.clone();
    let (mut is_named, mut is_moved) = (false, false);
    for name in written {
        match *name {
            "first_name" => customer.first_name.clone_from(&after.first_name),
            "last_name" => customer.last_name.clone_from(&after.last_name),
            "email" => customer.email.clone_from(&after.email),
            "phone" => customer.phone.clone_from(&after.phone),
            "note" => customer.note.clone_from(&after.note),
            "locale" => customer.locale.clone_from(&after.locale),
            "tax_exempt" => customer.tax_exempt = after.tax_exempt,
            part => {
                is_moved = true;
                match (address.as_mut(), &after.default_address) {
                    (Some(address), Some(now)) => take_part(address, now, part),
                    (_, now) => address.clone_from(now),
                }
            }
        }
        is_named |= matches!(*name, "first_name" | "last_name");
    }
    // Made of the names, and of other things where there are none.
    let is_nameless = before.first_name.is_none() && before.last_name.is_none();
    if is_named || (is_nameless && !written.is_empty()) {
        customer.display_name.clone_from(&after.display_name);
    }
    if is_moved {
        customer.company = address.as_ref().and_then(|address| address.company.clone());
        customer.addresses.clone_from(&after.addresses);
        customer.default_address = address;
    }
    let is_all = Customer {
        updated_at: after.updated_at,
        raw: Arc::clone(&after.raw),
        ..customer.clone()
    } == *after;
    if is_all {
        customer.updated_at = after.updated_at;
    }
    customer
}

fn take_part(address: &mut Address, now: &Address, part: &str) {
    match part {
        "address.company" => address.company.clone_from(&now.company),
        "address.first_name" => address.first_name.clone_from(&now.first_name),
        "address.last_name" => address.last_name.clone_from(&now.last_name),
        "address.address1" => address.address1.clone_from(&now.address1),
        "address.address2" => address.address2.clone_from(&now.address2),
        "address.zip" => address.zip.clone_from(&now.zip),
        "address.city" => address.city.clone_from(&now.city),
        "address.country_code" => address.country_code.clone_from(&now.country_code),
        "address.province_code" => address.province_code.clone_from(&now.province_code),
        "address.phone" => address.phone.clone_from(&now.phone),
        _ => {}
    }
    address.name.clone_from(&now.name);
}

/// The same of a product. `variants` are the written fields of each, those of new ones included.
pub(super) fn product_as_written(
    before: &Product,
    after: &Product,
    written: &[&str],
    variants: &BTreeMap<ShopifyId, Vec<&str>>,
) -> Product {
    let mut product = before.clone();
    for name in written {
        match *name {
            "title" => product.title.clone_from(&after.title),
            "description_html" => product.description_html.clone_from(&after.description_html),
            "vendor" => product.vendor.clone_from(&after.vendor),
            "product_type" => product.product_type.clone_from(&after.product_type),
            "status" => product.status.clone_from(&after.status),
            "handle" => product.handle.clone_from(&after.handle),
            _ => {}
        }
    }
    for (id, written) in variants {
        let Some(now) = after.variants.iter().find(|variant| variant.id == *id) else {
            continue;
        };
        let Some(variant) = product.variants.iter_mut().find(|variant| variant.id == *id) else {
            product.variants.push(now.clone());
            product.options.clone_from(&after.options);
            continue;
        };
        for name in written {
            match *name {
                "price" => variant.price = now.price,
                "compare_at_price" => variant.compare_at_price = now.compare_at_price,
                "barcode" => variant.barcode.clone_from(&now.barcode),
                "sku" => variant.sku.clone_from(&now.sku),
                "weight_kg" => variant.weight_kg = now.weight_kg,
                "cost" => variant.cost = now.cost,
                "taxable" => variant.taxable = now.taxable,
                "tracked" => variant.tracked = now.tracked,
                "requires_shipping" => variant.requires_shipping = now.requires_shipping,
                _ => {}
            }
        }
    }
    let is_all = Product {
        updated_at: after.updated_at,
        raw: Arc::clone(&after.raw),
        ..product.clone()
    } == *after;
    if is_all {
        product.updated_at = after.updated_at;
    }
    product
}

/// What a new record is made with: fields that would be empty are left out.
pub(super) fn given(fields: &[MappedField]) -> Fields {
    let filled = fields.iter().filter(|field| {
        !matches!(&field.value, FieldValue::Clear) && field.value != FieldValue::Text(String::new())
    });
    filled
        .map(|field| (field.target.to_string(), field.value.clone()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{CUSTOMER_FIELDS, PRODUCT_FIELDS, Timestamp, VARIANT_FIELDS};

    #[test]
    fn every_field_of_the_shop_is_read_back() {
        let names = |fields: &[crate::domain::ShopField]| {
            let mut names: Vec<String> = fields.iter().map(|field| field.name.to_owned()).collect();
            names.sort();
            names
        };
        let now = Timestamp::from_millis(0);
        let raw = Arc::new(serde_json::Value::Null);
        let mug = Variant {
            id: ShopifyId(1),
            inventory_item_id: None,
            title: String::new(),
            sku: None,
            barcode: None,
            price: Decimal::ONE,
            compare_at_price: None,
            cost: None,
            weight_kg: None,
            taxable: true,
            requires_shipping: true,
            tracked: true,
            options: vec![],
        };
        assert_eq!(
            variant(&mug).into_keys().collect::<Vec<_>>(),
            names(VARIANT_FIELDS)
        );
        let mugs = Product {
            id: ShopifyId(1),
            title: "Mug".into(),
            handle: "mug".into(),
            description_html: None,
            vendor: None,
            product_type: None,
            status: "ACTIVE".into(),
            tags: vec![],
            is_gift_card: false,
            options: vec![],
            variants: vec![mug],
            created_at: now,
            updated_at: now,
            raw: Arc::clone(&raw),
        };
        assert_eq!(
            product(&mugs).into_keys().collect::<Vec<_>>(),
            names(PRODUCT_FIELDS)
        );
        let ada = Customer {
            id: ShopifyId(1),
            first_name: None,
            last_name: None,
            display_name: "Ada".into(),
            company: None,
            email: None,
            phone: None,
            locale: None,
            note: None,
            tags: vec![],
            tax_exempt: false,
            state: None,
            default_address: None,
            addresses: vec![],
            refused: vec![],
            created_at: now,
            updated_at: now,
            raw,
        };
        assert_eq!(
            customer(&ada).into_keys().collect::<Vec<_>>(),
            names(CUSTOMER_FIELDS)
        );
    }
}
