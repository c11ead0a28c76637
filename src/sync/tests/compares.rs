//! Both sides of a record, field by field.

use serde_json::json;

use super::bench::*;
use super::*;

async fn compare(bench: &Bench, object: Object, id: u64) -> Comparison {
    let shop = "main".parse().unwrap();
    bench.engine.compare(&shop, object, ShopifyId(id)).await.unwrap()
}

/// The fields that differ and are not agreed on: the model, the field, what the mapping makes of the source, what the target holds, and whether
/// it would be written.
fn differing(preview: &Preview) -> Vec<(&str, &str, &str, &str, bool)> {
    let records = preview.compared.as_ref().unwrap();
    let fields = records.iter().flat_map(|record| {
        let fields = record
            .fields
            .iter()
            .filter(|field| field.differs && !field.is_agreed);
        fields.map(|field| {
            (
                record.model.as_str(),
                field.field.as_str(),
                field.wanted.as_str(),
                field.held.as_str(),
                field.is_written,
            )
        })
    });
    fields.collect()
}

fn into_erp(comparison: &Comparison) -> &Preview {
    comparison.into_erp.as_ref().unwrap()
}

#[tokio::test]
async fn an_order_differs_in_nothing_then_in_what_the_erp_changed_and_then_in_what_shopify_changed() {
    for version in [Version::V18, Version::V19] {
        let bench = Bench::new(version).await;
        let (_, variants) = shirt(&bench);
        let mut draft = everyday(Buyer::Customer(ada(&bench)), variants[0]);
        draft.payment = Payment::Pending("bank_transfer".into());
        let (id, name) = order(&bench, draft);
        // Never booked: there is nothing to compare with, and the verdict says what would be made.
        let unknown = compare(&bench, Object::Order, id).await;
        assert!(into_erp(&unknown).verdict.contains("would be created"));
        assert_eq!(into_erp(&unknown).compared, Some(Vec::new()));
        assert_eq!(bench.sync(Object::Order, id).await.0, JobState::Completed);
        let calls = bench.erp.ledger().calls();
        let same = compare(&bench, Object::Order, id).await;
        assert!(
            differing(into_erp(&same)).is_empty(),
            "{:?}",
            differing(into_erp(&same))
        );
        let records = into_erp(&same).compared.as_ref().unwrap();
        let parts: Vec<&str> = records.iter().map(|record| record.model.as_str()).collect();
        assert_eq!(parts, ["sale.order", "sale.order.line", "sale.order.line"]);
        assert!(
            records.iter().all(|record| record.fields.len() > 3),
            "{records:?}"
        );
        assert!(same.out.is_none() && same.is_carried);
        // A person changed the quotation in the ERP: that differs, and is left as it is.
        let line = bench.booked(&name).lines[0].id;
        bench.in_the_erp(
            "sale.order.line",
            "write",
            json!([[line], { "product_uom_qty": 5 }]),
        );
        let theirs = compare(&bench, Object::Order, id).await;
        let quantity = ("sale.order.line", "product_uom_qty", "3", "5", false);
        assert_eq!(differing(into_erp(&theirs)), [quantity], "{version:?}");
        // The buyer bought less: now it would be written.
        let edit = crate::sandbox::shopify::draft::OrderEdit {
            remove: vec![(0, 1)],
            ..Default::default()
        };
        bench.shop.change(|shop| shop.edit_order(id, &edit)).unwrap();
        let ours = compare(&bench, Object::Order, id).await;
        let quantity = ("sale.order.line", "product_uom_qty", "2", "5", true);
        assert!(
            differing(into_erp(&ours)).contains(&quantity),
            "{:?}",
            differing(into_erp(&ours))
        );
        let written = bench.calls_since(&calls);
        assert!(!written.keys().any(|call| call.contains("load")), "{written:?}");
        assert_eq!(bench.booked(&name).lines[0].id, line, "nothing was written");
    }
}

#[tokio::test]
async fn what_the_erp_changed_of_a_customer_is_left_there_and_goes_the_other_way() {
    let bench = Bench::both_ways(Version::V18, &[]).await;
    let id = ada(&bench);
    assert_eq!(bench.sync(Object::Customer, id).await.0, JobState::Completed);
    let same = compare(&bench, Object::Customer, id).await;
    assert!(
        differing(into_erp(&same)).is_empty(),
        "{:?}",
        differing(into_erp(&same))
    );
    assert!(
        differing(same.out.as_ref().unwrap()).is_empty(),
        "{:?}",
        differing(same.out.as_ref().unwrap())
    );
    // The ERP's mail address is in lower case: both sides agreed on that, and it is told as what it is.
    let records = same.out.as_ref().unwrap().compared.as_ref().unwrap();
    let email = records[0]
        .fields
        .iter()
        .find(|field| field.field == "email")
        .unwrap();
    assert!(email.differs && email.is_agreed && !email.is_written, "{email:?}");
    let partner = bench
        .link(crate::domain::LinkKind::Customer, id)
        .await
        .unwrap()
        .erp_id
        .0;
    bench.in_the_erp("res.partner", "write", json!([[partner], { "city": "Potsdam" }]));
    let theirs = compare(&bench, Object::Customer, id).await;
    let into = ("res.partner", "city", "Berlin", "Potsdam", false);
    assert_eq!(differing(into_erp(&theirs)), [into]);
    let back = ("customer", "address.city", "Potsdam", "Berlin", true);
    assert_eq!(differing(theirs.out.as_ref().unwrap()), [back]);
    // What a field refers to is told by name.
    let france = bench.in_the_erp("res.country", "search", json!([[["code", "=", "FR"]]]));
    let country = |id: &serde_json::Value| json!([[partner], { "country_id": id }]);
    bench.in_the_erp("res.partner", "write", country(&france[0]));
    let theirs = compare(&bench, Object::Customer, id).await;
    let told = differing(into_erp(&theirs));
    let told = told.iter().find(|(_, field, ..)| *field == "country_id").unwrap();
    assert!(
        told.2.starts_with("Germany (#") && told.3.starts_with("France (#"),
        "{told:?}"
    );
    // Carried over, both sides are the same again.
    assert_eq!(bench.send(Object::Customer, partner).await.0, JobState::Completed);
    let same = compare(&bench, Object::Customer, id).await;
    assert!(
        differing(into_erp(&same)).is_empty(),
        "{:?}",
        differing(into_erp(&same))
    );
    assert!(
        differing(same.out.as_ref().unwrap()).is_empty(),
        "{:?}",
        differing(same.out.as_ref().unwrap())
    );
}

#[tokio::test]
async fn a_product_is_compared_variant_by_variant_and_a_record_that_is_gone_is_told() {
    let bench = Bench::both_ways(Version::V18, &[]).await;
    let (id, variants) = shirt(&bench);
    assert_eq!(bench.sync(Object::Product, id).await.0, JobState::Completed);
    assert_eq!(bench.sync(Object::Product, id).await.0, JobState::Completed);
    let same = compare(&bench, Object::Product, id).await;
    assert!(
        differing(into_erp(&same)).is_empty(),
        "{:?}",
        differing(into_erp(&same))
    );
    let records = same.out.as_ref().unwrap().compared.as_ref().unwrap();
    assert_eq!(records.len(), 3, "the product and its variants: {records:?}");
    bench
        .shop
        .change(|shop| shop.edit_variant(variants[1], |variant| variant.sku = Some("SHIRT-MEDIUM".into())))
        .unwrap();
    let changed = compare(&bench, Object::Product, id).await;
    let into = ("product.product", "default_code", "SHIRT-MEDIUM", "SHIRT-M", true);
    assert_eq!(differing(into_erp(&changed)), [into]);
    let back = ("variant", "sku", "SHIRT-M", "SHIRT-MEDIUM", false);
    let told = differing(changed.out.as_ref().unwrap());
    assert!(told.contains(&back), "{told:?}");
    assert!(told.iter().all(|(.., is_written)| !is_written), "{told:?}");
    let shop = "main".parse().unwrap();
    let gone = bench.engine.compare(&shop, Object::Product, ShopifyId(1)).await;
    assert!(matches!(gone, Err(PreviewError::NotFound { .. })), "{gone:?}");
    let stock = bench.engine.compare(&shop, Object::Inventory, ShopifyId(1)).await;
    assert!(matches!(stock, Err(PreviewError::Unsupported(_))), "{stock:?}");
}
