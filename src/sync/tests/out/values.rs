//! Values on their way out: what a mapping selects besides, what Odoo's versions call things, and what the shop refuses.

use super::*;
use crate::domain::{ErpId, NewProblem};

fn context(bench: &Bench) -> ShopContext {
    (**bench.engine.shop(&"main".parse().unwrap()).unwrap()).clone()
}

async fn problem(bench: &Bench) -> NewProblem {
    let mut open = bench.store.open_problems(10).await.unwrap();
    assert_eq!(open.len(), 1, "{open:?}");
    open.remove(0).problem
}

/// A partner of the ERP that is to become a customer.
fn grace(bench: &Bench, more: serde_json::Value) -> i64 {
    let mut values = json!({ "name": "Grace Hopper", "email": "grace@example.com", "customer_rank": 1 });
    for (name, value) in more.as_object().unwrap() {
        values[name] = value.clone();
    }
    bench.made_in_the_erp("res.partner", values)
}

/// The ERP's number of a country.
fn country_id(bench: &Bench, code: &str) -> serde_json::Value {
    let found = bench.in_the_erp("res.country", "search", json!([[["code", "=", code]]]));
    found[0].clone()
}

/// Brings a partner to the shop: the story of the attempt that did it, and what it said.
async fn told(bench: &Bench, partner: i64) -> (String, String) {
    let said = completed(bench.send(Object::Customer, partner).await);
    let filter = crate::store::JobFilter {
        object: Some(Object::Customer),
        direction: Some(Direction::Out),
        ..Default::default()
    };
    let job = bench.store.jobs(filter).await.unwrap().remove(0).id;
    let story = bench.store.job(job).await.unwrap().unwrap();
    (story.attempts.last().unwrap().detail.to_string(), said)
}

fn mug(bench: &Bench, more: serde_json::Value) -> i64 {
    let mut values = json!({ "name": "Mug", "list_price": 5, "default_code": "MUG", "sale_ok": true });
    // 17 says in one word what later versions say apart.
    if bench.erp.options().version == Version::V17 {
        values["detailed_type"] = json!("product");
    } else {
        values["type"] = json!("consu");
        values["is_storable"] = json!(true);
    }
    for (name, value) in more.as_object().unwrap() {
        values[name] = value.clone();
    }
    let variant = bench.made_in_the_erp("product.product", values);
    let read = bench.in_the_erp("product.product", "read", json!([[variant], ["product_tmpl_id"]]));
    read[0]["product_tmpl_id"][0].as_i64().unwrap()
}

#[tokio::test]
async fn what_a_mapping_selects_of_the_erp_besides_reaches_the_shop() {
    let of_partners = (
        "customer.out.toml",
        "truth = \"shopify\"",
        "truth = \"shopify\"\nselect = [\"ref\"]",
    );
    let note = (
        "customer.out.toml",
        "note = { value = \"partner.note\", missing = \"skip\", lossy = true, note = \"Odoo keeps html; only its text is sent\" }",
        "note = { value = \"partner.raw.ref\", type = \"text\", missing = \"clear\" }",
    );
    let of_products = (
        "product.out.toml",
        "truth = \"shopify\"",
        "truth = \"shopify\"\nselect = [\"description_sale\"]",
    );
    let vendor = (
        "product.out.toml",
        "title = \"product.name\"",
        "title = \"product.name\"\nvendor = { value = \"product.raw.description_sale\", type = \"text\", missing = \"clear\" }",
    );
    let of_variants = (
        "product.out.toml",
        "when = \"variant.active\"",
        "when = \"variant.active\"\nselect = [\"volume\"]",
    );
    let cost = (
        "product.out.toml",
        "tracked = {",
        "cost = { value = \"variant.raw.volume | decimal\", missing = \"clear\" }\ntracked = {",
    );
    for version in [Version::V17, Version::V18, Version::V19] {
        let changes = [of_partners, note, of_products, vendor, of_variants, cost];
        let bench = Bench::both_ways(version, &changes).await;
        let partner = grace(&bench, json!({ "ref": "G-17" }));
        completed(bench.send(Object::Customer, partner).await);
        let template = mug(
            &bench,
            json!({ "description_sale": "Potter & Co", "volume": 2.5 }),
        );
        completed(bench.send(Object::Product, template).await);
        let ledger = bench.shop.ledger();
        let (customer, product) = (ledger.customers[0].id, ledger.products[0].id);
        bench.shop.read(|shop| {
            assert_eq!(
                shop.customer(customer).unwrap().note.as_deref(),
                Some("G-17"),
                "{version:?}"
            );
            let product = shop.product(product).unwrap();
            assert_eq!(product.vendor, "Potter & Co", "{version:?}");
            assert_eq!(product.variants[0].item.cost, Some(decimal("2.5")), "{version:?}");
        });
        write(&bench, "res.partner", partner, json!({ "ref": "G-18" }));
        completed(bench.send(Object::Customer, partner).await);
        let note = bench
            .shop
            .read(|shop| shop.customer(customer).unwrap().note.clone());
        assert_eq!(
            note.as_deref(),
            Some("G-18"),
            "{version:?}: and an edit of it follows"
        );
    }
}

#[tokio::test]
async fn a_field_that_the_erp_does_not_have_is_named() {
    let selects = (
        "customer.out.toml",
        "truth = \"shopify\"",
        "truth = \"shopify\"\nselect = [\"x_nickname\"]",
    );
    let bench = Bench::both_ways(Version::V18, &[selects]).await;
    let partner = grace(&bench, json!({}));
    let (state, _) = bench.send(Object::Customer, partner).await;
    assert_eq!(state, JobState::Problem);
    let problem = problem(&bench).await;
    assert_eq!(problem.code.to_string(), "erp_not_set_up");
    assert!(problem.reason.contains("x_nickname"), "{problem:?}");
    assert!(bench.shop.ledger().customers.is_empty());
}

#[tokio::test]
async fn each_warehouse_is_counted_apart_on_every_version() {
    for version in [Version::V17, Version::V18, Version::V19] {
        let options = OdooOptions {
            services: services(),
            warehouses: vec![("Depot".into(), "DEP".into())],
            ..OdooOptions::version(version)
        };
        let bench = Bench::adjusted(options, |_| ()).await;
        let template = mug(&bench, json!({}));
        let all = bench.erp.ledger().products();
        let variant = all
            .iter()
            .find(|variant| variant.template_id == template)
            .unwrap()
            .id;
        bench.erp.set_stock(variant, Some(1), 5).unwrap();
        bench.erp.set_stock(variant, Some(2), 8).unwrap();
        let erp = context(&bench).erp;
        let counted = async |warehouses: &[ErpId]| {
            let stocks = erp.stock(&[ErpId(variant)], warehouses).await.unwrap();
            stocks
                .iter()
                .map(|stock| (stock.warehouse, stock.on_hand))
                .collect::<Vec<_>>()
        };
        let apart = [(Some(1), decimal("5")), (Some(2), decimal("8"))];
        assert_eq!(counted(&[ErpId(1), ErpId(2)]).await, apart, "{version:?}");
        assert_eq!(counted(&[]).await, [(None, decimal("13"))], "{version:?}");
    }
}

#[tokio::test]
async fn a_phone_number_gets_the_code_of_the_address_or_else_of_the_company() {
    // The company is a German one.
    for (phone, country, expected) in [
        ("030 123456", None, "+4930123456"),
        ("01 23 45 67 89", Some("FR"), "+33123456789"),
        ("+49 (30) 123-456", Some("FR"), "+4930123456"),
    ] {
        let bench = Bench::both_ways(Version::V18, &[]).await;
        let country = country.map(|code| country_id(&bench, code));
        let values = json!({ "phone": phone, "country_id": country.unwrap_or(json!(false)) });
        let partner = grace(&bench, values);
        let said = completed(bench.send(Object::Customer, partner).await);
        assert_eq!(said, "created the customer", "{phone}");
        let shown = bench.shop.ledger().customers.remove(0);
        assert_eq!(shown.phone.as_deref(), Some(expected), "{phone}");
        is_quiet(&bench, Object::Customer, shown.id, partner).await;
        let kept = &read(&bench, "res.partner", partner)["phone"];
        assert_eq!(*kept, phone, "Odoo keeps what was typed");
    }
}

#[tokio::test]
async fn a_phone_number_that_the_shop_cannot_read_is_left_out_with_a_word_and_blocks_nothing() {
    let bench = Bench::both_ways(Version::V18, &[]).await;
    let germany = country_id(&bench, "DE");
    let partner = grace(
        &bench,
        json!({ "phone": "ask for Grace", "street": "Harbour 1", "country_id": germany }),
    );
    let (story, said) = told(&bench, partner).await;
    assert!(said.contains("without its telephone number"), "{said}");
    assert!(
        story.contains("phone_left_out") && !story.contains("ask for Grace"),
        "{story}"
    );
    let shown = bench.shop.ledger().customers.remove(0);
    assert_eq!(
        (shown.phone.as_deref(), shown.name.as_str()),
        (None, "Grace Hopper")
    );
    is_quiet(&bench, Object::Customer, shown.id, partner).await;
    assert_eq!(read(&bench, "res.partner", partner)["phone"], "ask for Grace");
    // Something else is edited: that arrives, and the number is not asked about again.
    let writes = || bench.shop.ledger().calls.by_operation["LockstepCustomerUpdate"];
    write(
        &bench,
        "res.partner",
        partner,
        json!({ "name": "Grace Brewster" }),
    );
    assert_eq!(
        completed(bench.send(Object::Customer, partner).await),
        "updated the customer"
    );
    assert_eq!(writes(), 1);
    // Another one that is no better is left out of an edit as well.
    let edit = json!({ "phone": "call me", "name": "Grace Murray" });
    write(&bench, "res.partner", partner, edit);
    let (_, said) = told(&bench, partner).await;
    assert!(
        said.starts_with("updated") && said.contains("without its telephone number"),
        "{said}"
    );
    let shown = bench.shop.ledger().customers.remove(0);
    assert_eq!(
        (shown.phone.as_deref(), shown.name.as_str()),
        (None, "Grace Murray")
    );
    is_quiet(&bench, Object::Customer, shown.id, partner).await;
    // Corrected it goes out.
    write(
        &bench,
        "res.partner",
        partner,
        json!({ "phone": "+49 30 123456" }),
    );
    assert_eq!(
        completed(bench.send(Object::Customer, partner).await),
        "updated the customer"
    );
    assert_eq!(
        bench.shop.ledger().customers[0].phone.as_deref(),
        Some("+4930123456")
    );
    is_quiet(&bench, Object::Customer, shown.id, partner).await;
}

#[tokio::test]
async fn a_phone_number_of_another_customer_is_for_a_person() {
    let bench = Bench::both_ways(Version::V18, &[]).await;
    bench.shop.change(|shop| {
        let draft = CustomerDraft {
            email: Some("other@example.com".into()),
            phone: Some("+4930123456".into()),
            ..CustomerDraft::default()
        };
        shop.create_customer(draft).unwrap()
    });
    let partner = grace(&bench, json!({ "phone": "030 123456" }));
    let (state, why) = bench.send(Object::Customer, partner).await;
    assert_eq!(state, JobState::Problem, "{why:?}");
    let told = problem(&bench).await;
    assert_eq!(told.field.as_deref(), Some("phone"), "{told:?}");
    assert!(told.reason.contains("taken"), "{told:?}");
}

#[tokio::test]
async fn an_address_that_is_no_e_mail_address_is_a_problem_and_nothing_is_made() {
    let as_typed = (
        "customer.out.toml",
        "value = \"partner.email | normal_email\", missing",
        "value = \"partner.email\", missing",
    );
    let recognised = (
        "customer.out.toml",
        "when = \"partner.email | normal_email is empty\"",
        "when = \"partner.email is empty\"",
    );
    let matched = (
        "customer.out.toml",
        "equal = { email = \"partner.email | normal_email\" }",
        "equal = { email = \"partner.email\" }",
    );
    let bench = Bench::both_ways(Version::V18, &[as_typed, recognised, matched]).await;
    let partner = grace(&bench, json!({ "email": "grace at example.com" }));
    let (state, why) = bench.send(Object::Customer, partner).await;
    assert_eq!(state, JobState::Problem, "{why:?}");
    let told = problem(&bench).await;
    assert_eq!(told.field.as_deref(), Some("email"), "{told:?}");
    assert_eq!(told.detail["value"], "grace at example.com", "{told:?}");
    assert!(bench.shop.ledger().customers.is_empty());
}

#[tokio::test]
async fn a_price_with_more_decimals_than_the_currency_is_a_problem_and_nothing_is_made() {
    let finer = (
        "product.out.toml",
        "variant.price | round_to(2)",
        "variant.price | times('1.001')",
    );
    let bench = Bench::both_ways(Version::V18, &[finer]).await;
    let template = mug(&bench, json!({}));
    let (state, why) = bench.send(Object::Product, template).await;
    assert_eq!(state, JobState::Problem, "{why:?}");
    let told = problem(&bench).await;
    assert_eq!(
        (told.code.to_string().as_str(), told.field.as_deref()),
        ("shopify_value_not_writable", Some("variants[0].price"))
    );
    assert_eq!(told.detail["value"], "5.005", "{told:?}");
    assert!(told.reason.contains("5.005"), "{told:?}");
    assert!(bench.shop.ledger().products.is_empty());
}

#[tokio::test]
async fn a_bar_code_that_two_of_the_shops_variants_have_is_a_problem_with_both() {
    let adopt = ("product.out.toml", "adopt = \"propose\"", "adopt = \"exact\"");
    let bench = Bench::both_ways(Version::V18, &[adopt]).await;
    let twin = |sku: &str| {
        bench.shop.change(|shop| {
            let mut variant = VariantDraft::new(&[], sku, decimal("5"));
            variant.barcode = Some("4006381333931".into());
            let product = ProductDraft {
                title: sku.into(),
                variants: vec![variant],
                ..ProductDraft::default()
            };
            shop.create_product(product)
        })
    };
    let twins = [twin("ONE"), twin("TWO")];
    let template = mug(&bench, json!({ "barcode": "4006381333931" }));
    let (state, why) = bench.send(Object::Product, template).await;
    assert_eq!(state, JobState::Problem, "{why:?}");
    let told = problem(&bench).await;
    assert_eq!(told.code.to_string(), "product_match_proposed");
    for product in twins {
        assert!(told.reason.contains(&product.to_string()), "{told:?}");
    }
    assert_eq!(bench.shop.ledger().products.len(), 2, "none is made beside them");
}

/// Every mutation of the way out, refused at a field: the problem names the field and the value, says what Shopify said, and
/// belongs to the mapping's owner. Once the reason is gone, a retry is enough.
#[tokio::test]
async fn whatever_the_shop_refuses_is_told_with_its_field_value_and_owner() {
    const SAID: &str = "is not to the shop's liking";
    for (mutation, path, field, value) in [
        ("customerUpdate", vec!["input", "lastName"], "last_name", "King"),
        (
            "customerAddressUpdate",
            vec!["address", "city"],
            "address.city",
            "Bonn",
        ),
        ("productUpdate", vec!["product", "title"], "title", "Cup"),
        (
            "productVariantsBulkUpdate",
            vec!["variants", "0", "price"],
            "price",
            "6",
        ),
        ("customerSet", vec!["input", "email"], "email", "eve@example.com"),
        ("productSet", vec!["input", "title"], "title", "Vase"),
    ] {
        let bench = Bench::both_ways(Version::V18, &[]).await;
        let customer = ada(&bench);
        completed(bench.sync(Object::Customer, customer).await);
        let partner = theirs(&bench, LinkKind::Customer, customer).await;
        let product = bench.shop.change(|shop| {
            shop.create_product(ProductDraft {
                title: "Mug".into(),
                variants: vec![VariantDraft::new(&[], "MUG", decimal("5"))],
                ..ProductDraft::default()
            })
        });
        completed(bench.sync(Object::Product, product).await);
        let template = theirs(&bench, LinkKind::Product, product).await;
        bench
            .shop
            .change(|shop| shop.refuse_next(mutation, &path, SAID, Some("INVALID")));
        let (object, id) = match mutation {
            "customerUpdate" => {
                write(&bench, "res.partner", partner, json!({ "name": "Ada King" }));
                (Object::Customer, partner)
            }
            "customerAddressUpdate" => {
                write(&bench, "res.partner", partner, json!({ "city": "Bonn" }));
                (Object::Customer, partner)
            }
            "productUpdate" => {
                write(&bench, "product.template", template, json!({ "name": "Cup" }));
                (Object::Product, template)
            }
            "productVariantsBulkUpdate" => {
                write(&bench, "product.template", template, json!({ "list_price": 6 }));
                (Object::Product, template)
            }
            "customerSet" => (
                Object::Customer,
                grace(&bench, json!({ "email": "eve@example.com" })),
            ),
            _ => (
                Object::Product,
                mug(&bench, json!({ "name": "Vase", "default_code": "VASE" })),
            ),
        };
        let (state, why) = bench.send(object, id).await;
        assert_eq!(state, JobState::Problem, "{mutation}: {why:?}");
        let told = problem(&bench).await;
        assert_eq!(told.code.to_string(), "shopify_write_rejected", "{mutation}");
        assert_eq!(told.field.as_deref(), Some(field), "{mutation}: {told:?}");
        assert!(told.reason.contains(SAID), "{mutation}: {told:?}");
        assert_eq!(told.detail["value"], value, "{mutation}: {told:?}");
        let owner = if object == Object::Customer {
            "customer service"
        } else {
            "catalogue"
        };
        assert_eq!(told.owner, owner, "{mutation}");
        assert!(told.record.is_some(), "{mutation}: {told:?}");
        assert!(
            told.mapping.is_some_and(|file| file.contains("out")),
            "{mutation}"
        );
        completed(bench.send(object, id).await);
        assert!(
            bench.store.open_problems(10).await.unwrap().is_empty(),
            "{mutation}"
        );
    }
}

#[tokio::test]
async fn a_quantity_that_the_shop_refuses_is_told_and_not_remembered_as_sent() {
    let bench = Bench::both_ways_and_stock(&[]).await;
    let template = mug(&bench, json!({}));
    let all = bench.erp.ledger().products();
    let variant = all
        .iter()
        .find(|variant| variant.template_id == template)
        .unwrap()
        .id;
    completed(bench.send(Object::Product, template).await);
    // The product brought a job of its stock with it, whatever that is named after.
    let filter = crate::store::JobFilter {
        object: Some(Object::Inventory),
        ..Default::default()
    };
    let key = bench.store.jobs(filter).await.unwrap().remove(0).key;
    bench.erp.set_stock(variant, None, 7).unwrap();
    let path = ["input", "quantities", "0", "quantity"];
    bench.shop.change(|shop| {
        shop.refuse_next(
            "inventorySetQuantities",
            &path,
            "is too much",
            Some("INVALID_QUANTITY_TOO_HIGH"),
        );
    });
    let (state, why) = bench.carry_out(key.clone()).await;
    assert_eq!(state, JobState::Problem, "{why:?}");
    let told = problem(&bench).await;
    assert_eq!(told.code.to_string(), "shopify_write_rejected");
    assert!(told.reason.contains("is too much"), "{told:?}");
    assert_eq!(told.owner, "warehouse");
    completed(bench.carry_out(key.clone()).await);
    let ours = bench.shop.ledger().products[0].variants[0].0;
    let level = bench.shop.read(|shop| {
        shop.level(ours, shop.main_location())
            .map(|level| level.available)
    });
    assert_eq!(level, Some(7));
}
