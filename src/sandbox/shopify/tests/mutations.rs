//! What an app writes: carried out, refused, told.

use serde_json::{Value as Json, json};

use super::{Receiver, address, customer, product, quick, run, run_named, start};
use crate::sandbox::shopify::ShopSandbox;
use crate::sandbox::shopify::draft::CustomerDraft;
use crate::sandbox::shopify::ids::gid;

/// First user error's code and path.
fn first_error(payload: &Json) -> (String, String) {
    let error = &payload["userErrors"][0];
    let path: Vec<&str> = error["field"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Json::as_str)
        .collect();
    (
        error["code"].as_str().unwrap_or_default().to_owned(),
        path.join("."),
    )
}

fn quantity(item: u64, location: u64, quantity: i64, from: &Json) -> Json {
    json!({"inventoryItemId": gid("InventoryItem", item), "locationId": gid("Location", location),
        "quantity": quantity, "changeFromQuantity": from})
}

async fn set_quantities(sandbox: &ShopSandbox, key: &str, name: &str, quantities: Vec<Json>) -> Json {
    let input = json!({"name": name, "reason": "correction",
        "referenceDocumentUri": "gid://erp/Job/1", "quantities": quantities});
    let data = run_named(
        sandbox,
        "ConnectorInventorySet",
        json!({"key": key, "input": input}),
    )
    .await;
    data["inventorySetQuantities"].clone()
}

/// Item of a variant.
fn item(sandbox: &ShopSandbox, variant: u64) -> u64 {
    sandbox.read(|shop| shop.variant(variant).unwrap().1.item.id)
}

#[tokio::test]
async fn quantities_are_set_once_under_a_key_and_only_from_what_they_were() {
    let sandbox = start(quick()).await;
    let receiver = Receiver::start(&[]).await;
    let (_, variants) = sandbox.change(|shop| product(shop, "Tee", &["10.00", "11.00"]));
    sandbox.register("inventory_levels/update", &receiver.url);
    let place = sandbox.read(crate::sandbox::shopify::Shop::main_location);
    let items = [item(&sandbox, variants[0]), item(&sandbox, variants[1])];
    // Two units are sold and not sent: on hand is more than what can be sold.
    sandbox.change(|shop| shop.sell(variants[0], 2)).unwrap();
    let level = |variant| sandbox.read(|shop| shop.level(variant, place).unwrap().clone());
    assert_eq!(
        (level(variants[0]).available, level(variants[0]).committed),
        (98, 2)
    );

    let done = set_quantities(
        &sandbox,
        "k1",
        "on_hand",
        vec![quantity(items[0], place, 50, &json!(100))],
    )
    .await;
    assert_eq!(done["userErrors"], json!([]), "{done:#}");
    assert_eq!(
        (level(variants[0]).available, level(variants[0]).committed),
        (48, 2)
    );
    assert_eq!(
        done["inventoryAdjustmentGroup"]["changes"][0]["delta"],
        json!(-50)
    );

    // The same once more changes nothing, although the quantity would be stale now.
    let again = set_quantities(
        &sandbox,
        "k1",
        "on_hand",
        vec![quantity(items[0], place, 50, &json!(100))],
    )
    .await;
    assert_eq!(again, done);
    let other = set_quantities(
        &sandbox,
        "k1",
        "on_hand",
        vec![quantity(items[0], place, 51, &json!(100))],
    )
    .await;
    assert_eq!(first_error(&other).0, "IDEMPOTENCY_KEY_PARAMETER_MISMATCH");

    // One stale quantity keeps all from being written.
    let both = vec![
        quantity(items[1], place, 7, &json!(100)),
        quantity(items[0], place, 9, &json!(49)),
    ];
    let stale = set_quantities(&sandbox, "k2", "available", both.clone()).await;
    let path = "input.quantities.1.changeFromQuantity".to_owned();
    assert_eq!(
        first_error(&stale),
        ("CHANGE_FROM_QUANTITY_STALE".to_owned(), path)
    );
    assert_eq!(level(variants[1]).available, 100);
    let again = set_quantities(&sandbox, "k2", "available", both).await;
    assert_eq!(first_error(&again).0, "IDEMPOTENCY_PREVIOUS_ATTEMPT_FAILED");
    assert_eq!(sandbox.ledger().adjustments.len(), 1);
    sandbox.settle().await;
    // The sale's own and one adjustment.
    assert_eq!(receiver.topics().len(), 2);
}

#[tokio::test]
async fn quantities_that_cannot_be_set_are_refused_with_their_codes() {
    let sandbox = start(quick()).await;
    let (_, variants) = sandbox.change(|shop| product(shop, "Tee", &["10.00", "11.00"]));
    let main = sandbox.read(crate::sandbox::shopify::Shop::main_location);
    let closed = sandbox.change(|shop| {
        let id = shop.add_location("Old store", "Ulm", "DE");
        shop.set_location_active(id, false);
        shop.edit_variant(variants[1], |v| v.item.tracked = false)
            .unwrap();
        id
    });
    let items = [item(&sandbox, variants[0]), item(&sandbox, variants[1])];
    for (n, (wrong, code)) in [
        (quantity(1, main, 1, &Json::Null), "INVALID_INVENTORY_ITEM"),
        (quantity(items[0], closed, 1, &Json::Null), "INVALID_LOCATION"),
        (
            quantity(items[1], main, 1, &Json::Null),
            "NON_MUTABLE_INVENTORY_ITEM",
        ),
        (
            quantity(items[0], main, -1, &Json::Null),
            "INVALID_QUANTITY_NEGATIVE",
        ),
        (
            quantity(items[0], main, 1_000_000_001, &Json::Null),
            "INVALID_QUANTITY_TOO_HIGH",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let refused = set_quantities(&sandbox, &format!("k{n}"), "on_hand", vec![wrong]).await;
        assert_eq!(first_error(&refused).0, code);
    }
    let twice = vec![quantity(items[0], main, 1, &Json::Null); 2];
    let refused = set_quantities(&sandbox, "twice", "on_hand", twice).await;
    assert_eq!(
        first_error(&refused).0,
        "NO_DUPLICATE_INVENTORY_ITEM_ID_GROUP_ID_PAIR"
    );
    let refused = set_quantities(&sandbox, "name", "committed", vec![]).await;
    assert_eq!(first_error(&refused).0, "INVALID_NAME");
    // Without the key, and without saying what it was.
    let bare = "mutation($input: InventorySetQuantitiesInput!) { inventorySetQuantities(input: $input) { userErrors { code } } }";
    let input = json!({"input": {"name": "on_hand", "reason": "correction", "quantities": []}});
    let answer = run(&sandbox, bare, input).await;
    assert_eq!(answer["errors"][0]["extensions"]["code"], "BAD_REQUEST");
    assert_eq!(sandbox.ledger().adjustments, []);
}

#[tokio::test]
async fn a_set_product_loses_the_variants_that_are_left_out() {
    let sandbox = start(quick()).await;
    let receiver = Receiver::start(&[]).await;
    let (id, variants) = sandbox.change(|shop| product(shop, "Tee", &["10.00", "11.00"]));
    sandbox.register("products/update", &receiver.url);
    let input = json!({"title": "Tee", "productOptions": [{"name": "Size", "values": [{"name": "S1"}]}],
        "variants": [{"optionValues": [{"optionName": "Size", "name": "S1"}], "price": "12.345"}]});
    let variables = json!({"sync": true, "identifier": {"id": gid("Product", id)}, "input": input});
    let data = run_named(&sandbox, "ConnectorProductSet", variables).await;
    assert_eq!(data["productSet"]["userErrors"], json!([]), "{data:#}");
    sandbox.read(|shop| {
        let left = &shop.product(id).unwrap().variants;
        assert_eq!(left.len(), 1);
        // Known by its option values, and its price in cents.
        assert_eq!(left[0].id, variants[1]);
        assert_eq!(left[0].price.to_string(), "12.35");
        assert!(shop.variant(variants[0]).is_none());
    });
    sandbox.settle().await;
    assert_eq!(receiver.topics(), ["products/update"]);
}

#[tokio::test]
async fn valid_variants_are_written_beside_refused_ones_where_that_is_asked_for() {
    let sandbox = start(quick()).await;
    let (id, variants) = sandbox.change(|shop| product(shop, "Tee", &["10.00", "11.00"]));
    let variables = json!({"productId": gid("Product", id), "variants": [
        {"id": gid("ProductVariant", variants[0]), "price": "-1"},
        {"id": gid("ProductVariant", variants[1]), "price": "12.5", "inventoryItem": {"sku": "NEW"}},
        {"id": gid("ProductVariant", 5), "price": "1"}]});
    let data = run_named(&sandbox, "ConnectorVariantsUpdate", variables).await;
    let errors = data["productVariantsBulkUpdate"]["userErrors"]
        .as_array()
        .unwrap();
    let codes: Vec<&str> = errors.iter().map(|e| e["code"].as_str().unwrap()).collect();
    assert_eq!(
        codes,
        ["GREATER_THAN_OR_EQUAL_TO", "PRODUCT_VARIANT_DOES_NOT_EXIST"]
    );
    assert_eq!(errors[0]["field"], json!(["variants", "0", "price"]));
    sandbox.read(|shop| {
        let written = shop.variant(variants[1]).unwrap().1;
        assert_eq!(
            (written.price.to_string(), written.sku.clone()),
            ("12.5".to_owned(), Some("NEW".to_owned()))
        );
        assert_eq!(shop.variant(variants[0]).unwrap().1.price.to_string(), "10.00");
    });
}

#[tokio::test]
async fn customers_are_checked_and_lists_replaced() {
    let sandbox = start(quick()).await;
    let receiver = Receiver::start(&[]).await;
    let id = sandbox.change(|shop| {
        customer(shop, "other@example.com");
        let id = customer(shop, "ana@example.com");
        shop.add_address(id, address()).unwrap();
        id
    });
    sandbox.register("customers/update", &receiver.url);
    sandbox.register("customers/create", &receiver.url);
    for (input, code) in [
        (json!({"email": "no address"}), "INVALID"),
        (json!({"email": "Other@example.com"}), "TAKEN"),
        (json!({"phone": "0151 234"}), "INVALID"),
        (json!({"firstName": "x".repeat(256)}), "TOO_LONG"),
    ] {
        let variables = json!({"identifier": {"id": gid("Customer", id)}, "input": input});
        let data = run_named(&sandbox, "ConnectorCustomerSet", variables).await;
        assert_eq!(first_error(&data["customerSet"]).0, code);
    }
    let variables = json!({"identifier": {"email": "ana@example.com"}, "input": {"email": "ana@example.com",
        "phone": "+49 151 2345678", "addresses": [{"city": "Bonn", "countryCode": "DE", "provinceCode": "NW"}]}});
    let data = run_named(&sandbox, "ConnectorCustomerSet", variables).await;
    assert_eq!(data["customerSet"]["userErrors"], json!([]), "{data:#}");
    sandbox.read(|shop| {
        let stored = shop.customer(id).unwrap();
        assert_eq!(stored.addresses.len(), 1, "the others are gone");
        assert_eq!(stored.address().unwrap().city.as_deref(), Some("Bonn"));
        assert_eq!(stored.address().unwrap().province_code, None);
        assert_eq!(stored.phone.as_deref(), Some("+491512345678"));
        assert_eq!(
            stored.first_name.as_deref(),
            Some("Ana"),
            "what is left out stays"
        );
    });
    let mismatch = json!({"identifier": {"email": "ana@example.com"}, "input": {"email": "new@example.com"}});
    let data = run_named(&sandbox, "ConnectorCustomerSet", mismatch).await;
    assert_eq!(first_error(&data["customerSet"]).0, "INPUT_MISMATCH");
    sandbox.settle().await;
    assert_eq!(receiver.topics(), ["customers/update"]);
}

#[tokio::test]
async fn custom_ids_need_a_definition_and_are_unique() {
    let sandbox = start(quick()).await;
    let look = "query($value: String!) { customerByIdentifier(identifier: {customId: {namespace: \"$app\", key: \"erp_ref\", value: $value}}) { id } }";
    let answer = run(&sandbox, look, json!({"value": "customer_1"})).await;
    assert_eq!(
        answer["errors"][0]["extensions"]["code"], "NOT_FOUND",
        "{answer:#}"
    );

    let define = "mutation { metafieldDefinitionCreate(definition: {name: \"ERP\", namespace: \"$app\", key: \"erp_ref\", type: \"id\", ownerType: CUSTOMER}) { createdDefinition { id namespace } userErrors { code field message } } }";
    let answer = run(&sandbox, define, json!({})).await;
    assert_eq!(
        answer["data"]["metafieldDefinitionCreate"]["userErrors"],
        json!([])
    );
    let again = run(&sandbox, define, json!({})).await;
    assert_eq!(
        first_error(&again["data"]["metafieldDefinitionCreate"]).0,
        "TAKEN"
    );

    let receiver = Receiver::start(&[]).await;
    sandbox.register("customers/create", &receiver.url);
    sandbox.register("customers/update", &receiver.url);
    let custom = json!({"customId": {"namespace": "$app", "key": "erp_ref", "value": "customer_1"}});
    for name in ["Ana", "Anna"] {
        let variables = json!({"identifier": custom, "input": {"firstName": name}});
        let data = run_named(&sandbox, "ConnectorCustomerSet", variables).await;
        assert_eq!(data["customerSet"]["userErrors"], json!([]));
    }
    let ids: Vec<u64> = sandbox.ledger().customers.iter().map(|c| c.id).collect();
    assert_eq!(ids.len(), 1, "made once, then changed");
    sandbox.settle().await;
    let mut topics = receiver.topics();
    topics.sort();
    assert_eq!(topics, ["customers/create", "customers/update"]);
    let answer = run(&sandbox, look, json!({"value": "customer_1"})).await;
    assert_eq!(
        answer["data"]["customerByIdentifier"]["id"],
        gid("Customer", ids[0])
    );

    let other = sandbox
        .change(|shop| shop.create_customer(CustomerDraft::default()))
        .unwrap();
    let set = "mutation($fields: [MetafieldsSetInput!]!) { metafieldsSet(metafields: $fields) { metafields { value } userErrors { code field message } } }";
    let field = |value: &str| json!({"fields": [{"ownerId": gid("Customer", other), "namespace": "$app", "key": "erp_ref", "value": value}]});
    let answer = run(&sandbox, set, field("customer_1")).await;
    assert_eq!(
        first_error(&answer["data"]["metafieldsSet"]).0,
        "CAPABILITY_VIOLATION"
    );
    let answer = run(&sandbox, set, field("customer_2")).await;
    assert_eq!(
        answer["data"]["metafieldsSet"]["metafields"][0]["value"],
        "customer_2"
    );
}

#[tokio::test]
async fn an_app_without_the_scope_writes_nothing() {
    let sandbox = start(quick()).await;
    let id = sandbox.change(|shop| {
        let id = customer(shop, "ana@example.com");
        shop.grant_scopes(&["read_customers"]);
        id
    });
    let text = "mutation($input: CustomerInput!) { customerUpdate(input: $input) { customer { id } userErrors { message } } }";
    let answer = run(
        &sandbox,
        text,
        json!({"input": {"id": gid("Customer", id), "note": "x"}}),
    )
    .await;
    assert_eq!(answer["errors"][0]["extensions"]["code"], "ACCESS_DENIED");
    assert_eq!(answer["errors"][0]["path"], json!(["customerUpdate"]));
    assert_eq!(sandbox.read(|shop| shop.customer(id).unwrap().note.clone()), None);
}

#[tokio::test]
async fn lists_beyond_250_are_refused() {
    let sandbox = start(quick()).await;
    let (id, variants) = sandbox.change(|shop| product(shop, "Tee", &["10.00"]));
    let one = json!({"id": gid("ProductVariant", variants[0]), "price": "1"});
    let variables = json!({"productId": gid("Product", id), "variants": vec![one; 251]});
    let text = "mutation($productId: ID!, $variants: [ProductVariantsBulkInput!]!) { productVariantsBulkUpdate(productId: $productId, variants: $variants) { userErrors { code } } }";
    let answer = run(&sandbox, text, variables).await;
    assert_eq!(
        answer["errors"][0]["extensions"]["code"],
        "MAX_INPUT_SIZE_EXCEEDED"
    );
}
