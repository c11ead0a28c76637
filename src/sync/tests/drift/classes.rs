//! Each class of drift, by itself.

use super::*;
use crate::domain::ErpId;

#[tokio::test]
async fn two_sides_in_step_cost_a_few_calls_and_nothing_is_found() {
    let both = Damaged::new(true).await;
    for name in ["Ada", "Grace", "Mary"] {
        both.customer(name).await;
    }
    let (shirt, _) = shirt(&both.bench);
    assert_eq!(
        both.bench.sync(Object::Product, shirt).await.0,
        JobState::Completed
    );
    for object in [Object::Customer, Object::Product, Object::Order] {
        let rows = both.is_quiet(object).await;
        assert_eq!(rows, [], "{object}");
        let (report, _) = both.run(object).await;
        assert_eq!(
            (report.found(), report.looked.compared),
            (0, 0),
            "{object}: {report:?}"
        );
        assert_eq!(report.looked.in_step, report.looked.linked, "{object}");
    }
    let (report, _) = both.run(Object::Customer).await;
    assert_eq!((report.looked.on_shopify, report.looked.linked), (3, 3));
}

#[tokio::test]
async fn a_change_that_no_webhook_told_of_is_named_and_carried_in() {
    let both = Damaged::new(false).await;
    let (ada, partner) = both.customer("Ada").await;
    both.customer("Grace").await;
    both.later();
    let edit = |customer: &mut crate::sandbox::shopify::facts::Customer| {
        customer.last_name = Some("King".into());
    };
    both.bench
        .shop
        .change(|shop| shop.edit_customer(ada, edit))
        .unwrap();
    let dry = FullRun {
        dry_run: true,
        ..FullRun::of(Object::Customer, "test")
    };
    let (report, rows) = both.run_as(dry).await;
    let name = (
        DriftClass::FieldDiffers,
        Some("name"),
        Some("Ada King"),
        Some("Ada Lovelace"),
    );
    let (class, field, ours, theirs) = name;
    assert_eq!(told(&rows), [(class, field, ours, theirs, DriftFate::Repairable)]);
    assert!(report.dry_run && report.looked.compared == 1);
    let jobs = both.bench.store.jobs(JobFilter::default()).await.unwrap();
    assert!(jobs.iter().all(|job| !job.state.is_open()), "only looked");

    let rows = both.repaired(Object::Customer).await;
    assert_eq!(told(&rows), [(class, field, ours, theirs, DriftFate::Repaired)]);
    assert_eq!(rows[0].source_id, Some(ShopifyId(ada)));
    let job = both.bench.store.job(rows[0].job.unwrap()).await.unwrap().unwrap();
    assert_eq!(job.job.state, JobState::Completed);
    let record = both.bench.erp.ledger().record("res.partner", partner).unwrap();
    assert_eq!(record["name"], "Ada King");
    assert_eq!(both.is_quiet(Object::Customer).await, []);
}

#[tokio::test]
async fn what_a_person_changed_in_the_erp_stands_and_counts_once_as_a_correction() {
    let both = Damaged::new(false).await;
    let (_, partner) = both.customer("Ada").await;
    both.write("res.partner", partner, json!({ "city": "Potsdam" }));
    let (report, rows) = both.run(Object::Customer).await;
    let city = (
        DriftClass::FieldDiffers,
        Some("city"),
        Some("Berlin"),
        Some("Potsdam"),
    );
    assert_eq!(
        told(&rows),
        [(city.0, city.1, city.2, city.3, DriftFate::LeftAlone)]
    );
    assert_eq!(rows[0].why.as_deref(), Some("changed_in_the_erp"));
    assert_eq!(report.looked.corrections, 1);
    // Told once, it is counted: nobody reads the record again for it.
    let (report, rows) = both.run(Object::Customer).await;
    assert_eq!((report.looked.compared, rows), (0, Vec::new()));
    assert_eq!(report.of_fate(DriftFate::LeftAlone), 1);
    assert_eq!(report.looked.corrections, 0);
    both.write("res.partner", partner, json!({ "city": "Rome" }));
    assert_eq!(
        both.run(Object::Customer).await.0.looked.corrections,
        1,
        "another change"
    );
    let counted = both
        .bench
        .store
        .corrections(Timestamp::from_millis(0))
        .await
        .unwrap();
    assert_eq!(
        (counted.len(), counted[0].field.as_str(), counted[0].count),
        (1, "city", 2)
    );
    assert_eq!(counted[0].mapping, "customer.in.toml");
}

#[tokio::test]
async fn with_the_way_out_on_what_the_erp_changed_goes_to_the_shop() {
    let both = Damaged::new(true).await;
    let (ada, partner) = both.customer("Ada").await;
    both.later();
    both.write("res.partner", partner, json!({ "city": "Potsdam" }));
    let (report, rows) = both.run(Object::Customer).await;
    both.bench.drain().await;
    assert_eq!(report.looked.corrections, 0, "it is an edit like any other");
    let city = (
        DriftClass::FieldDiffers,
        Some("city"),
        Some("Berlin"),
        Some("Potsdam"),
    );
    assert_eq!(
        told(&rows),
        [(city.0, city.1, city.2, city.3, DriftFate::Repaired)]
    );
    assert_eq!(rows[0].direction, Some(Direction::Out));
    let city = both.bench.shop.read(|shop| {
        let customer = shop.customer(ada).unwrap();
        customer.addresses[0].city.clone()
    });
    assert_eq!(city.as_deref(), Some("Potsdam"));
    assert_eq!(both.is_quiet(Object::Customer).await, []);
}

#[tokio::test]
async fn what_is_missing_is_made_and_what_is_older_than_the_shop_is_left_to_an_import() {
    let both = Damaged::new(false).await;
    both.customer("Ada").await;
    both.later();
    let lost = both.bench.shop.change(|shop| {
        let draft = CustomerDraft {
            first_name: Some("Lost".into()),
            email: Some("lost@example.com".into()),
            ..CustomerDraft::default()
        };
        shop.create_customer(draft).unwrap()
    });
    let rows = both.repaired(Object::Customer).await;
    assert_eq!(
        told(&rows),
        [(DriftClass::MissingInErp, None, None, None, DriftFate::Repaired)]
    );
    assert!(both.bench.link(LinkKind::Customer, lost).await.is_some());
    assert_eq!(both.is_quiet(Object::Customer).await, []);

    let tomorrow = crate::domain::Clock::now(&SystemClock).plus(Duration::from_hours(24));
    let late = Damaged::adjusted(|shop| shop.start_at = Some(tomorrow)).await;
    ada(&late.bench);
    let (report, rows) = late.run(Object::Customer).await;
    // Counted without a look at it: a shop may have millions of them.
    assert_eq!(told(&rows), []);
    assert_eq!((report.looked.compared, report.found()), (0, 1));
    assert_eq!(report.of_fate(DriftFate::LeftAlone), 1);
    let jobs = late.bench.store.jobs(JobFilter::default()).await.unwrap();
    assert!(jobs.is_empty(), "{jobs:?}");
}

#[tokio::test]
async fn what_is_gone_from_a_side_or_both_is_told_by_its_class() {
    let both = Damaged::new(false).await;
    let (ours, _) = both.customer("Ours").await;
    let (theirs, partner) = both.customer("Theirs").await;
    let (neither, other) = both.customer("Neither").await;
    both.customer("Stays").await;
    both.later();
    both.bench.shop.change(|shop| shop.delete_customer(ours)).unwrap();
    both.delete("res.partner", partner);
    both.bench
        .shop
        .change(|shop| shop.delete_customer(neither))
        .unwrap();
    both.delete("res.partner", other);
    let (report, rows) = both.run(Object::Customer).await;
    let of = |id: u64| {
        let row = rows
            .iter()
            .find(|row| row.source_id == Some(ShopifyId(id)))
            .unwrap();
        (row.class, row.fate)
    };
    assert_eq!(of(ours), (DriftClass::Deleted, DriftFate::NeedsPerson));
    assert_eq!(of(theirs), (DriftClass::GoneFromErp, DriftFate::Repaired));
    assert_eq!(of(neither), (DriftClass::OrphanedLink, DriftFate::Repaired));
    assert_eq!(rows.len(), 3, "{report:?}");
    both.bench.drain().await;
    assert_ne!(both.partner_of(theirs).await, partner, "made again");
    assert!(both.bench.link(LinkKind::Customer, neither).await.is_none());
    // Nothing was deleted, and a person is asked about the one that no event said to be deleted.
    let rows = both.is_quiet(Object::Customer).await;
    assert_eq!(
        told(&rows),
        [(DriftClass::Deleted, None, None, None, DriftFate::NeedsPerson)]
    );
    assert_eq!(rows[0].why.as_deref(), Some("customer_not_visible"));
}

#[tokio::test]
async fn a_job_that_was_given_up_before_a_record_was_gone_does_not_hide_that_and_a_later_one_answers_it() {
    let both = Damaged::new(false).await;
    let (ada, _) = both.customer("Ada").await;
    let store = &both.bench.store;
    let now = || crate::domain::Clock::now(&SystemClock);
    let asked = NewJob {
        key: both.bench.key(Object::Customer, ada),
        priority: Priority::LIVE,
        now: now(),
        cause: "webhook".into(),
    };
    let job = store.enqueue(asked).await.unwrap().job;
    assert!(store.discard(job, "not worth it", now()).await.unwrap());
    both.bench.shop.change(|shop| shop.delete_customer(ada)).unwrap();
    let rows = both.repaired(Object::Customer).await;
    let gone = |fate| -> [Told<'static>; 1] { [(DriftClass::Deleted, None, None, None, fate)] };
    assert_eq!(told(&rows), gone(DriftFate::NeedsPerson));
    let asks = rows[0].job.unwrap();
    assert_ne!(asks, job);
    assert!(store.discard(asks, "it is gone", now()).await.unwrap());
    let rows = both.is_quiet(Object::Customer).await;
    assert_eq!(told(&rows), gone(DriftFate::LeftAlone));
    assert_eq!(rows[0].why.as_deref(), Some("discarded_by_a_person"));
}

#[tokio::test]
async fn a_second_record_for_one_of_the_shops_is_a_twin() {
    let both = Damaged::new(false).await;
    let (_, partner) = both.customer("Ada").await;
    let email = both.bench.erp.ledger().record("res.partner", partner).unwrap()["email"].clone();
    let values = json!({ "name": "Ada again", "email": email, "customer_rank": 1 });
    let twin = both.bench.made_in_the_erp("res.partner", values);
    let rows = both.repaired(Object::Customer).await;
    assert_eq!(rows.len(), 1, "{rows:?}");
    assert_eq!(
        (rows[0].class, rows[0].fate, rows[0].erp_id),
        (
            DriftClass::DuplicateInErp,
            DriftFate::NeedsPerson,
            Some(ErpId(twin))
        )
    );
    let problems = both.bench.store.open_problems(10).await.unwrap();
    assert!(
        problems
            .iter()
            .any(|row| row.problem.code.0 == "drift_duplicate_in_erp")
    );
    // Put right, the next run closes the problem.
    both.delete("res.partner", twin);
    assert_eq!(both.is_quiet(Object::Customer).await, []);
    assert!(both.bench.store.open_problems(10).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_second_product_with_the_number_of_a_linked_ones_variant_is_a_twin() {
    let both = Damaged::new(false).await;
    let (product, _) = shirt(&both.bench);
    assert_eq!(
        both.bench.sync(Object::Product, product).await.0,
        JobState::Completed
    );
    let values = |code: &str| json!({ "name": "Shirt again", "type": "consu", "default_code": code });
    both.bench.made_in_the_erp("product.product", values("OTHER"));
    assert_eq!(both.is_quiet(Object::Product).await, []);
    both.bench.made_in_the_erp("product.product", values("SHIRT-S"));
    let (_, rows) = both.run(Object::Product).await;
    assert_eq!(
        told(&rows),
        [(
            DriftClass::DuplicateInErp,
            None,
            None,
            rows[0].erp.as_deref(),
            DriftFate::NeedsPerson
        )]
    );
    let ours = both.bench.link(LinkKind::Product, product).await.unwrap().erp_id;
    assert_eq!(rows[0].erp.as_deref(), Some(format!("beside #{ours}").as_str()));
    assert_ne!(rows[0].erp_id, Some(ours));
}

#[tokio::test]
async fn a_variant_that_was_edited_in_the_erp_is_told_with_its_product() {
    let both = Damaged::new(false).await;
    let (product, variants) = shirt(&both.bench);
    assert_eq!(
        both.bench.sync(Object::Product, product).await.0,
        JobState::Completed
    );
    let variant = both
        .bench
        .link(LinkKind::Variant, variants[0])
        .await
        .unwrap()
        .erp_id
        .0;
    both.write("product.product", variant, json!({ "default_code": "OTHER" }));
    let (report, rows) = both.run(Object::Product).await;
    assert_eq!(report.looked.corrections, 1);
    let code = (
        DriftClass::FieldDiffers,
        Some("default_code"),
        Some("SHIRT-S"),
        Some("OTHER"),
    );
    assert_eq!(
        told(&rows),
        [(code.0, code.1, code.2, code.3, DriftFate::LeftAlone)]
    );
    assert_eq!(rows[0].source_id, Some(ShopifyId(product)));
    // One that is archived there is told as that.
    both.write("product.product", variant, json!({ "default_code": "SHIRT-S" }));
    let template = both
        .bench
        .link(LinkKind::Product, product)
        .await
        .unwrap()
        .erp_id
        .0;
    both.write("product.template", template, json!({ "active": false }));
    let (_, rows) = both.run(Object::Product).await;
    assert!(
        told(&rows).contains(&(
            DriftClass::Archived,
            Some("active"),
            Some("true"),
            Some("false"),
            DriftFate::LeftAlone
        )),
        "{rows:?}"
    );
}

#[tokio::test]
async fn a_sample_compares_what_no_sign_points_at() {
    let both = Damaged::new(false).await;
    for name in ["Ada", "Grace", "Mary", "Joan"] {
        both.customer(name).await;
    }
    let sample = FullRun {
        sample: Some(3),
        ..FullRun::of(Object::Customer, "test")
    };
    let (report, rows) = both.run_as(sample).await;
    assert_eq!((report.looked.compared, report.looked.linked), (3, 4));
    assert_eq!(rows, []);
    // Nobody agreed on this link's values: only reading both sides shows what differs.
    let (ada, partner) = both.customer("Odd").await;
    let link = both.bench.link(LinkKind::Customer, ada).await.unwrap();
    both.write("res.partner", partner, json!({ "city": "Rome" }));
    both.bench
        .relink(crate::domain::Link {
            agreed: json!({}),
            state: LinkState::Linked,
            ..link
        })
        .await;
    assert_eq!(both.run(Object::Customer).await.0.found(), 0);
    let all = FullRun {
        sample: Some(100),
        ..sample
    };
    let (report, rows) = both.run_as(all).await;
    assert_eq!(report.looked.compared, 5);
    assert!(
        rows.iter().any(|row| row.field.as_deref() == Some("city")),
        "{rows:?}"
    );
}

#[tokio::test]
async fn what_is_new_in_the_erp_and_what_is_on_the_shop_twice_are_told() {
    let both = Damaged::new(true).await;
    let (product, _) = shirt(&both.bench);
    assert_eq!(
        both.bench.sync(Object::Product, product).await.0,
        JobState::Completed
    );
    both.later();
    let twin = both.bench.shop.change(|shop| {
        shop.create_product(ProductDraft {
            title: "Shirt again".into(),
            variants: vec![VariantDraft::new(&[], "SHIRT-S", decimal("19.99"))],
            ..ProductDraft::default()
        })
    });
    let (_, rows) = both.run(Object::Product).await;
    let row = rows.iter().find(|row| row.source_id == Some(ShopifyId(twin)));
    let row = row.unwrap_or_else(|| panic!("{rows:?}"));
    assert_eq!(row.class, DriftClass::DuplicateOnShopify);
    assert!(row.job.is_some(), "its job asks: {row:?}");

    // As if the first run had been long ago.
    let now = crate::domain::Clock::now(&SystemClock);
    let long_ago = "2020-01-01T00:00:00Z";
    let shop = main_shop();
    let cursor = both
        .bench
        .store
        .set_cursor(&shop, "full:out:customer", long_ago, now);
    cursor.await.unwrap();
    let values = json!({ "name": "New Here", "email": "new@example.com", "customer_rank": 1 });
    let partner = both.bench.made_in_the_erp("res.partner", values);
    let (_, rows) = both.run(Object::Customer).await;
    let row = rows.iter().find(|row| row.erp_id == Some(ErpId(partner)));
    let row = row.unwrap_or_else(|| panic!("{rows:?}"));
    assert_eq!(
        (row.class, row.fate),
        (DriftClass::MissingOnShopify, DriftFate::Repaired)
    );
}
