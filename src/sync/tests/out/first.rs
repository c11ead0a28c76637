//! The way back meets a record for the first time: it is made, adopted, or found different.

use super::*;

fn hat(bench: &Bench, sku: Option<&str>) -> i64 {
    let variant = bench.made_in_the_erp(
        "product.product",
        json!({ "name": "Hat", "list_price": 30, "type": "consu", "is_storable": true, "default_code": sku, "sale_ok": true }),
    );
    let read = bench.in_the_erp("product.product", "read", json!([[variant], ["product_tmpl_id"]]));
    read[0]["product_tmpl_id"][0].as_i64().unwrap()
}

fn grace(bench: &Bench) -> i64 {
    let values = json!({ "name": "Grace Brewster Hopper", "email": "Grace@example.com", "customer_rank": 1, "street": "Navy Yard 1", "city": "Berlin", "zip": "10115" });
    let partner = bench.made_in_the_erp("res.partner", values);
    let germany = bench.in_the_erp("res.country", "search", json!([[["code", "=", "DE"]]]));
    write(bench, "res.partner", partner, json!({ "country_id": germany[0] }));
    partner
}

async fn link_of(bench: &Bench, kind: LinkKind, id: i64) -> Option<crate::domain::Link> {
    let shop = "main".parse().unwrap();
    bench
        .store
        .link_of_erp(&shop, kind, crate::domain::ErpId(id))
        .await
        .unwrap()
}

#[tokio::test]
async fn a_product_of_the_erp_becomes_a_draft_once_and_its_echo_is_quiet() {
    for version in [Version::V18, Version::V19] {
        let bench = Bench::both_ways(version, &[]).await;
        let template = hat(&bench, Some("HAT"));
        assert_eq!(
            completed(bench.send(Object::Product, template).await),
            "created the product"
        );
        let link = link_of(&bench, LinkKind::Product, template).await.unwrap();
        let product: u64 = link.source_id.parse().unwrap();
        bench.shop.read(|shop| {
            let product = shop.product(product).unwrap();
            assert_eq!(product.title, "Hat");
            assert_eq!(product.status, ProductStatus::Draft);
            assert_eq!(product.variants.len(), 1);
            assert_eq!(product.variants[0].price, decimal("30"));
            assert_eq!(product.variants[0].sku.as_deref(), Some("HAT"));
        });
        let templates = bench.erp.ledger().count("product.template");
        is_quiet(&bench, Object::Product, product, template).await;
        assert_eq!(
            bench.erp.ledger().count("product.template"),
            templates,
            "the echo makes none"
        );
        assert_eq!(
            read(&bench, "product.template", template)["sale_ok"],
            true,
            "nor hides it"
        );
    }
}

#[tokio::test]
async fn a_product_gets_the_variants_that_the_erp_adds_later() {
    let bench = Bench::both_ways(Version::V18, &[]).await;
    let (product, _) = shirt(&bench);
    completed(bench.sync(Object::Product, product).await);
    let template = theirs(&bench, LinkKind::Product, product).await;
    let line = bench.in_the_erp(
        "product.template.attribute.line",
        "search_read",
        json!([[["product_tmpl_id", "=", template]], ["attribute_id"]]),
    );
    let (line, attribute) = (line[0]["id"].clone(), line[0]["attribute_id"][0].clone());
    let value = bench.made_in_the_erp(
        "product.attribute.value",
        json!({ "name": "L", "attribute_id": attribute }),
    );
    write(
        &bench,
        "product.template",
        template,
        json!({ "attribute_line_ids": [[1, line, { "value_ids": [[4, value]] }]] }),
    );
    completed(bench.send(Object::Product, template).await);
    let sizes = bench.shop.read(|shop| {
        let variants = &shop.product(product).unwrap().variants;
        variants
            .iter()
            .map(|variant| variant.option_values.join("/"))
            .collect::<Vec<_>>()
    });
    assert_eq!(sizes, ["S", "M", "L"]);
    is_quiet(&bench, Object::Product, product, template).await;
}

#[tokio::test]
async fn a_partner_becomes_a_customer_once_and_its_echo_is_quiet() {
    let bench = Bench::both_ways(Version::V18, &[]).await;
    let partner = grace(&bench);
    assert_eq!(
        completed(bench.send(Object::Customer, partner).await),
        "created the customer"
    );
    let link = link_of(&bench, LinkKind::Customer, partner).await.unwrap();
    let customer: u64 = link.source_id.parse().unwrap();
    bench.shop.read(|shop| {
        let customer = shop.customer(customer).unwrap();
        assert_eq!(customer.display_name(), "Grace Brewster Hopper");
        assert_eq!(customer.email.as_deref(), Some("grace@example.com"));
        assert_eq!(customer.address().unwrap().city.as_deref(), Some("Berlin"));
    });
    let partners = bench.erp.ledger().partners().len();
    is_quiet(&bench, Object::Customer, customer, partner).await;
    assert_eq!(
        bench.erp.ledger().partners().len(),
        partners,
        "the echo makes none"
    );
    assert_eq!(read(&bench, "res.partner", partner)["email"], "Grace@example.com");
}

#[tokio::test]
async fn a_supplier_and_a_service_are_left_alone() {
    let bench = Bench::both_ways(Version::V18, &[]).await;
    let supplier = bench.made_in_the_erp("res.partner", json!({ "name": "Mill", "email": "m@example.com" }));
    let (state, _) = bench.send(Object::Customer, supplier).await;
    assert_eq!(state, JobState::Obsolete);
    let service = bench.made_in_the_erp("product.template", json!({ "name": "Advice", "type": "service" }));
    let (state, _) = bench.send(Object::Product, service).await;
    assert_eq!(state, JobState::Obsolete);
    let ledger = bench.shop.ledger();
    assert!(ledger.customers.is_empty() && ledger.products.is_empty());
}

#[tokio::test]
async fn a_customer_with_the_same_e_mail_is_adopted_and_two_partners_are_a_problem() {
    let bench = Bench::both_ways(Version::V18, &[]).await;
    let customer = ada(&bench);
    let in_lower_case = |customer: &mut crate::sandbox::shopify::facts::Customer| {
        customer.email = Some("ada@example.com".into());
    };
    bench
        .shop
        .change(|shop| shop.edit_customer(customer, in_lower_case))
        .unwrap();
    let values =
        json!({ "name": "Ada L.", "email": "ada@example.com", "customer_rank": 1, "phone": "+4930123456" });
    let partner = bench.made_in_the_erp("res.partner", values);
    completed(bench.send(Object::Customer, partner).await);
    assert_eq!(theirs(&bench, LinkKind::Customer, customer).await, partner);
    bench.shop.read(|shop| {
        let customer = shop.customer(customer).unwrap();
        assert_eq!(
            customer.last_name.as_deref(),
            Some("Lovelace"),
            "the shop's word counts at a first meeting"
        );
        assert!(
            customer.address().unwrap().address1.is_some(),
            "what the ERP does not say takes nothing away"
        );
    });
    let other = json!({ "name": "Ada again", "email": "ada@example.com", "customer_rank": 1 });
    let other = bench.made_in_the_erp("res.partner", other);
    let (state, why) = bench.send(Object::Customer, other).await;
    assert_eq!(state, JobState::Problem);
    assert!(why.unwrap().starts_with("customer_ambiguous"));
}

#[tokio::test]
async fn a_product_with_a_known_sku_is_proposed_or_adopted_as_the_mapping_says() {
    let bench = Bench::both_ways(Version::V18, &[]).await;
    let make = |bench: &Bench| {
        bench.shop.change(|shop| {
            shop.create_product(ProductDraft {
                title: "Hat of the shop".into(),
                variants: vec![VariantDraft::new(&[], "HAT", decimal("31"))],
                ..ProductDraft::default()
            })
        })
    };
    make(&bench);
    let template = hat(&bench, Some("HAT"));
    let (state, why) = bench.send(Object::Product, template).await;
    assert_eq!(state, JobState::Problem);
    assert!(why.unwrap().starts_with("product_match_proposed"));
    assert_eq!(bench.shop.ledger().products.len(), 1);

    let adopt = [("product.out.toml", "adopt = \"propose\"", "adopt = \"exact\"")];
    let bench = Bench::both_ways(Version::V18, &adopt).await;
    let product = make(&bench);
    let template = hat(&bench, Some("HAT"));
    completed(bench.send(Object::Product, template).await);
    assert_eq!(theirs(&bench, LinkKind::Product, product).await, template);
    assert_eq!(
        prices(&bench, product),
        [decimal("31")],
        "the shop's word counts at a first meeting"
    );
    write(&bench, "product.template", template, json!({ "list_price": 40 }));
    completed(bench.send(Object::Product, template).await);
    assert_eq!(
        prices(&bench, product),
        [decimal("40")],
        "and an edit after it arrives"
    );
}

#[tokio::test]
async fn records_that_were_linked_before_the_way_back_was_switched_on_are_left_as_they_stand() {
    let bench = Bench::both_ways(Version::V18, &[]).await;
    let (product, variants) = shirt(&bench);
    completed(bench.sync(Object::Product, product).await);
    let template = theirs(&bench, LinkKind::Product, product).await;
    // As if that link came from a time before: it knows nothing of the way back.
    for (kind, id) in [
        (LinkKind::Product, product),
        (LinkKind::Variant, variants[0]),
        (LinkKind::Variant, variants[1]),
    ] {
        let mut link = bench.link(kind, id).await.unwrap();
        link.agreed_out = json!({});
        bench.relink(link).await;
    }
    write(
        &bench,
        "product.template",
        template,
        json!({ "name": "Shirt, new" }),
    );
    completed(bench.send(Object::Product, template).await);
    assert_eq!(title(&bench, product), "Shirt, new", "the first edit arrives");
    assert_eq!(
        prices(&bench, product),
        [decimal("19.99"), decimal("21.99")],
        "what stood differently and nobody touched stays"
    );
}
