//! Customers, addresses, payments and products.

use serde_json::{Value, json};

use super::build::{book, euro, line, order_of, with};
use crate::shopify::normalise::{customer, product};

fn address(id: u64, city: &str) -> Value {
    json!({
        "id": format!("gid://shopify/MailingAddress/{id}?model_name=CustomerAddress"), "firstName": "Ana",
        "lastName": "Berg", "name": "Ana Berg", "company": null, "address1": "Hauptstr. 1", "address2": "",
        "city": city, "zip": "10115", "province": "Berlin", "provinceCode": "BE", "countryCodeV2": "DE", "phone": null,
    })
}

pub(super) fn ana() -> Value {
    json!({
        "id": "gid://shopify/Customer/77", "displayName": "Ana Berg", "firstName": "Ana", "lastName": "Berg",
        "state": "ENABLED", "locale": "de", "note": null, "tags": ["vip", "b2c"], "taxExempt": false,
        "createdAt": "2026-01-02T03:04:05Z", "updatedAt": "2026-02-03T04:05:06Z",
        "defaultEmailAddress": {"emailAddress": "ana@example.com"},
        "defaultPhoneNumber": {"phoneNumber": "+49301234567"},
        "defaultAddress": address(1, "Berlin"),
        "addressesV2": {"nodes": [address(1, "Berlin"), address(2, "Potsdam")]},
    })
}

#[test]
fn a_customer_keeps_everything_and_its_raw_record() {
    let seen = customer(ana()).unwrap();
    assert_eq!((seen.id.0, seen.display_name.as_str()), (77, "Ana Berg"));
    assert_eq!(seen.email.as_deref(), Some("ana@example.com"));
    assert_eq!(seen.phone.as_deref(), Some("+49301234567"));
    assert_eq!(seen.tags, ["vip", "b2c"]);
    assert_eq!(seen.addresses.len(), 2);
    let default = seen.default_address.unwrap();
    assert_eq!(
        (default.city.as_deref(), default.address2),
        (Some("Berlin"), None)
    );
    assert_eq!(seen.raw["locale"], json!("de"));
}

#[test]
fn the_best_name_there_is_is_shown() {
    let shown = |changes: &[(&str, Value)]| {
        let changed = changes.iter().fold(ana(), |record, (pointer, value)| {
            with(record, pointer, value.clone())
        });
        customer(changed).unwrap().display_name
    };
    let nobody = [("/firstName", json!(null)), ("/lastName", json!("  "))];
    let company = ("/defaultAddress/company", json!("Berg GmbH"));
    let no_email = ("/defaultEmailAddress", json!(null));
    let no_phone = ("/defaultPhoneNumber", json!(null));
    assert_eq!(shown(&[("/lastName", json!(null))]), "Ana");
    assert_eq!(shown(&[nobody.as_slice(), &[company]].concat()), "Berg GmbH");
    assert_eq!(shown(&nobody), "ana@example.com");
    assert_eq!(
        shown(&[nobody.as_slice(), std::slice::from_ref(&no_email)].concat()),
        "+49301234567"
    );
    let bare = [nobody.as_slice(), &[no_email, no_phone]].concat();
    assert_eq!(shown(&bare), "Ana Berg", "Shopify's own name");
    let bare = [bare.as_slice(), &[("/displayName", json!(null))]].concat();
    assert_eq!(shown(&bare), "Customer 77");
}

#[test]
fn a_default_address_outside_the_list_is_added_and_empty_ones_are_left_out() {
    let record = with(
        ana(),
        "/addressesV2",
        json!({"nodes": [address(2, "Potsdam"), {"id": "gid://shopify/MailingAddress/3"}]}),
    );
    let cities: Vec<Option<String>> = customer(record)
        .unwrap()
        .addresses
        .into_iter()
        .map(|address| address.city)
        .collect();
    assert_eq!(cities, [Some("Potsdam".to_owned()), Some("Berlin".to_owned())]);
    let record = with(ana(), "/defaultAddress", json!(null));
    let record = with(record, "/addressesV2/nodes", json!([]));
    let seen = customer(record).unwrap();
    assert!(seen.default_address.is_none() && seen.addresses.is_empty());
}

#[test]
fn an_order_tells_its_customer_addresses_and_payments() {
    let raw = order_of(false, &[line(1, 1, "1.0")], &[], "1.0", "0.0");
    let raw = with(
        raw,
        "/customer",
        json!({
            "id": "gid://shopify/Customer/77", "displayName": "ana@example.com", "firstName": null, "lastName": null,
            "defaultEmailAddress": {"emailAddress": "ana@example.com"}, "defaultPhoneNumber": null,
        }),
    );
    let raw = with(raw, "/billingAddress", address(1, "Berlin"));
    let nameless = with(
        with(address(2, "Potsdam"), "/name", json!(null)),
        "/company",
        json!("Berg GmbH"),
    );
    let raw = with(raw, "/shippingAddress", nameless);
    let raw = with(
        raw,
        "/transactions",
        json!([{
            "id": "gid://shopify/OrderTransaction/5", "kind": "SALE", "status": "SUCCESS", "gateway": "manual",
            "amountSet": euro("1.0"), "processedAt": "2026-11-20T10:00:00Z",
        }, {
            "id": "gid://shopify/OrderTransaction/6", "kind": "TELEPORT", "status": "MAYBE", "gateway": null,
            "amountSet": euro("0.5"), "processedAt": null,
        }]),
    );
    let order = book(raw);
    let customer = order.customer.unwrap();
    assert_eq!(
        (customer.id.0, customer.display_name.as_str()),
        (77, "ana@example.com")
    );
    assert_eq!(order.billing_address.unwrap().city.as_deref(), Some("Berlin"));
    assert_eq!(order.shipping_address.unwrap().name.as_deref(), Some("Berg GmbH"));
    assert_eq!(
        (
            order.payments[0].id.0,
            order.payments[0].amount.to_string().as_str()
        ),
        (5, "1.00")
    );
    assert_eq!(
        (order.payments[1].kind.as_str(), order.payments[1].status.as_str()),
        ("TELEPORT", "MAYBE")
    );
}

fn variant(id: u64, size: &str, weight: &Value) -> Value {
    json!({
        "id": format!("gid://shopify/ProductVariant/{id}"), "title": size, "position": 1, "sku": format!("TEE-{size}"),
        "barcode": "4006381333931", "price": "19.90", "compareAtPrice": null, "taxable": true,
        "updatedAt": "2026-02-03T04:05:06Z", "selectedOptions": [{"name": "Size", "value": size}],
        "inventoryItem": {
            "id": format!("gid://shopify/InventoryItem/{}", id + 100), "tracked": true, "requiresShipping": true,
            "unitCost": {"amount": "7.5", "currencyCode": "EUR"}, "measurement": {"weight": weight},
        },
    })
}

pub(super) fn tee() -> Value {
    json!({
        "id": "gid://shopify/Product/9", "title": "Tee", "handle": "tee", "descriptionHtml": "<p>Soft</p>",
        "vendor": "Maker", "productType": "", "status": "ACTIVE", "tags": ["summer"], "isGiftCard": false,
        "hasOnlyDefaultVariant": false, "createdAt": "2026-01-02T03:04:05Z", "updatedAt": "2026-02-03T04:05:06Z",
        "publishedAt": null,
        "options": [{"name": "Size", "position": 1, "optionValues": [
            {"name": "M", "hasVariants": true}, {"name": "L", "hasVariants": true}, {"name": "XXL", "hasVariants": false},
        ]}],
        "variants": {"nodes": [
            variant(1, "M", &json!({"value": 0.2, "unit": "KILOGRAMS"})),
            variant(2, "L", &json!({"value": 8.0, "unit": "OUNCES"})),
        ]},
    })
}

#[test]
fn a_product_keeps_options_and_variants() {
    let seen = product(tee()).unwrap();
    assert_eq!(
        (seen.id.0, seen.title.as_str(), seen.product_type),
        (9, "Tee", None)
    );
    assert_eq!(
        seen.options[0].values,
        ["M", "L"],
        "values without variants are left out"
    );
    let second = &seen.variants[1];
    assert_eq!(
        (second.id.0, second.inventory_item_id.map(|id| id.0)),
        (2, Some(102))
    );
    assert_eq!(
        (second.options[0].name.as_str(), second.options[0].value.as_str()),
        ("Size", "L")
    );
    assert_eq!(
        (second.price.to_string(), second.cost.unwrap().to_string()),
        ("19.9".to_owned(), "7.5".to_owned())
    );
}

#[test]
fn a_product_without_options_has_none() {
    let record = with(tee(), "/hasOnlyDefaultVariant", json!(true));
    let seen = product(record).unwrap();
    assert!(seen.options.is_empty() && seen.variants[0].options.is_empty());
}

#[test]
fn weights_are_kilograms() {
    for (value, unit, expected) in [
        (json!(0.2), "KILOGRAMS", Some("0.2")),
        (json!(1250.0), "GRAMS", Some("1.25")),
        // 8 x 0.028349523125 = 0.226796185, rounded to a milligram.
        (json!(8.0), "OUNCES", Some("0.226796")),
        (json!(1), "POUNDS", Some("0.453592")),
        (json!(0), "GRAMS", Some("0")),
        (json!(3), "STONES", None),
        (json!(null), "GRAMS", None),
    ] {
        let weight = json!({"value": value, "unit": unit});
        let record = with(tee(), "/variants/nodes", json!([variant(1, "M", &weight)]));
        let seen = product(record).unwrap().variants[0].weight_kg;
        assert_eq!(
            seen.map(|weight| weight.to_string()).as_deref(),
            expected,
            "{unit}"
        );
    }
    let record = with(tee(), "/variants/nodes", json!([variant(1, "M", &json!(null))]));
    assert_eq!(product(record).unwrap().variants[0].weight_kg, None);
}

#[test]
fn what_a_product_must_have_is_named() {
    for (pointer, field) in [
        ("/title", "title"),
        ("/status", "status"),
        ("/hasOnlyDefaultVariant", "hasOnlyDefaultVariant"),
        ("/variants", "variants"),
        ("/variants/nodes/1/price", "variants[1].price"),
        (
            "/variants/nodes/0/inventoryItem",
            "variants[0].inventoryItem.requiresShipping",
        ),
    ] {
        let error = product(with(tee(), pointer, json!(null))).unwrap_err();
        assert_eq!((error.code, error.field.as_str()), ("missing_value", field));
    }
}
