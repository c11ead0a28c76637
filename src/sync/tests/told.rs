//! What others are told: each once, with the right status, and nothing again by a repeat, an echo or a replay.

mod looks;
mod related;
mod values;

use super::bench::*;
use super::*;
use crate::domain::{HappenedDetail, LinkKind};
use crate::sandbox::odoo::Fault;
use crate::sandbox::shopify::draft::RefundDraft;
use crate::sandbox::shopify::facts::Restock;

fn settings() -> Settings {
    Settings {
        payments: Payments::Register,
        fulfillments: Fulfillments::Validate,
        refunds: Refunds::CreditNote,
        journals: [("shopify_payments".to_owned(), "Bank".to_owned())].into(),
        ..Settings::default()
    }
}

async fn bench(settings: Settings) -> Bench {
    let options = OdooOptions {
        services: services(),
        ..OdooOptions::version(Version::V18)
    };
    Bench::with(options, settings).await
}

/// Carries the order over and returns what was told of orders meanwhile; products and customers have tests of their own.
async fn told(bench: &Bench, id: u64) -> Vec<String> {
    let (state, why) = bench.sync(Object::Order, id).await;
    assert_eq!(state, JobState::Completed, "{why:?}");
    of_orders(bench)
}

fn of_orders(bench: &Bench) -> Vec<String> {
    let mut told = bench.has_told();
    told.retain(|text| !text.starts_with("product") && !text.starts_with("customer"));
    told
}

#[tokio::test]
async fn an_order_and_what_follows_it_are_told_once_each() {
    let bench = bench(settings()).await;
    let (_, variants) = shirt(&bench);
    let (id, name) = order(&bench, everyday(Buyer::Customer(ada(&bench)), variants[0]));
    bench.sync(Object::Order, id).await;
    {
        let told = bench.told.lock().unwrap();
        let (about, happened) = told
            .iter()
            .find(|(about, happened)| {
                !happened.is_empty() && about.as_ref().is_some_and(|about| about.kind == Object::Order)
            })
            .unwrap();
        let about = about.as_ref().unwrap();
        let erp = about.erp.as_ref().unwrap();
        assert_eq!(about.name.as_deref(), Some(name.as_str()));
        assert_eq!(about.shopify.map(|(id, kind)| (id.0, kind)), Some((id, "Order")));
        assert_eq!(
            (erp.model.as_str(), erp.number.as_deref()),
            ("sale.order", Some(bench.booked(&name).name.as_str()))
        );
        assert!(about.record.is_some() && about.related.len() == 1);
        let customer = &about.related[0];
        assert!(
            customer.shopify.is_some() && customer.erp.is_some(),
            "one of both sides"
        );
        let fields: Vec<&str> = happened[0].changed.iter().map(|one| one.field.as_str()).collect();
        assert!(
            fields.contains(&"partner_id") && fields.contains(&"order_line"),
            "{fields:?}"
        );
    }
    assert_eq!(of_orders(&bench), ["order.synced Created", "payment.completed"]);
    // The same webhook again, and an echo of our own writes.
    assert_eq!(told(&bench, id).await, ["order.synced Skipped"]);

    let parcel = bench.shop.change(|shop| shop.fulfill_order(id, None)).unwrap();
    assert_eq!(
        told(&bench, id).await,
        ["order.synced Updated", "shipment.created", "order.fulfilled"]
    );
    bench
        .shop
        .change(|shop| shop.track(id, parcel, "JJD0001"))
        .unwrap();
    assert_eq!(
        told(&bench, id).await,
        ["order.synced Skipped", "shipment.tracking_updated"]
    );
    bench.shop.change(|shop| shop.deliver(id, parcel)).unwrap();
    assert_eq!(
        told(&bench, id).await,
        ["order.synced Skipped", "shipment.delivered"]
    );
    let draft = RefundDraft {
        lines: vec![(0, 1, Restock::Return)],
        ..RefundDraft::returned(0, 1)
    };
    let refund = bench.shop.change(|shop| shop.refund_order(id, &draft)).unwrap();
    bench.sync(Object::Order, id).await;
    let worth = {
        let told = bench.told.lock().unwrap();
        let mut details = told
            .iter()
            .flat_map(|(_, happened)| happened)
            .map(|one| &one.detail);
        details
            .find_map(|detail| match detail {
                HappenedDetail::Refund { id, amount, .. } if id.0 == refund => Some(*amount),
                _ => None,
            })
            .unwrap()
    };
    assert_eq!(worth, decimal("19.99"));
    let told_of_refund = of_orders(&bench);
    assert!(
        told_of_refund.contains(&"order.refunded".to_owned()),
        "{told_of_refund:?}"
    );
    for _ in 0..2 {
        assert_eq!(told(&bench, id).await, ["order.synced Skipped"]);
    }
}

#[tokio::test]
async fn a_payment_that_fails_and_an_order_that_is_cancelled_are_told_once() {
    let bench = bench(settings()).await;
    let (_, variants) = shirt(&bench);
    let mut draft = everyday(Buyer::Customer(ada(&bench)), variants[0]);
    draft.payment = Payment::Pending("shopify_payments".into());
    let (id, _) = order(&bench, draft);
    assert_eq!(told(&bench, id).await, ["order.synced Created"]);
    bench
        .shop
        .change(|shop| shop.refuse_payment(id, "shopify_payments"))
        .unwrap();
    assert_eq!(told(&bench, id).await, ["order.synced Skipped", "payment.failed"]);
    bench
        .shop
        .change(|shop| shop.cancel_order(id, &Default::default()))
        .unwrap();
    let cancelled = told(&bench, id).await;
    assert_eq!(cancelled.first().unwrap(), "order.synced Updated");
    assert!(cancelled.contains(&"order.cancelled".to_owned()), "{cancelled:?}");
    assert_eq!(told(&bench, id).await, ["order.synced Skipped"]);
}

#[tokio::test]
async fn a_refund_that_fails_is_told_once_and_by_its_kind() {
    let bench = bench(settings()).await;
    let (_, variants) = shirt(&bench);
    let (id, _) = order(&bench, everyday(Buyer::Customer(ada(&bench)), variants[0]));
    bench.sync(Object::Order, id).await;
    let refused = bench
        .shop
        .change(|shop| shop.refuse_refund(id, "shopify_payments"));
    let refused = refused.unwrap();
    bench.has_told();
    bench.sync(Object::Order, id).await;
    {
        let told = bench.told.lock().unwrap();
        let failed = told.iter().flat_map(|(_, happened)| happened);
        let mut failed = failed.filter(|one| one.what.as_str() == "payment.failed");
        let Some(HappenedDetail::Payment { id, kind, .. }) = failed.next().map(|one| &one.detail) else {
            panic!("it is not told: {told:?}");
        };
        assert_eq!((id.0, kind.as_str()), (refused, "REFUND"));
        assert!(failed.next().is_none());
    }
    bench.has_told();
    assert_eq!(told(&bench, id).await, ["order.synced Skipped"]);
}

#[tokio::test]
async fn an_attempt_that_was_killed_at_its_end_leaves_all_to_be_told_by_its_repeat() {
    let bench = bench(settings()).await;
    let (_, variants) = shirt(&bench);
    let (id, _) = order(&bench, everyday(Buyer::Customer(ada(&bench)), variants[0]));
    bench.sync(Object::Order, id).await;
    assert_eq!(of_orders(&bench).len(), 2);
    // As if the process had died before the end of the attempt was saved: the order's link is as `confirm` left it.
    let mut link = bench.link(LinkKind::Order, id).await.unwrap();
    link.agreed["told"] = serde_json::json!({});
    bench.relink(link).await;
    assert_eq!(
        told(&bench, id).await,
        ["order.synced Created", "payment.completed"]
    );
    assert_eq!(told(&bench, id).await, ["order.synced Skipped"]);
}

#[tokio::test]
async fn of_an_order_from_before_notifications_only_what_happens_later_is_told() {
    let bench = bench(settings()).await;
    let (_, variants) = shirt(&bench);
    let mut draft = everyday(Buyer::Customer(ada(&bench)), variants[0]);
    draft.processed_at = Some("2026-01-05T10:00:00Z".parse().unwrap());
    let (id, _) = order(&bench, draft);
    bench.sync(Object::Order, id).await;
    bench.has_told();
    let mut link = bench.link(LinkKind::Order, id).await.unwrap();
    link.agreed.as_object_mut().unwrap().remove("told");
    bench.relink(link).await;
    // Shopify's times are whole seconds: what follows is to be later than the version that was carried over.
    let second = || bench.shop.read(|shop| shop.now().timestamp());
    let before = second();
    while second() == before {
        tokio::task::yield_now().await;
    }
    bench.shop.change(|shop| shop.fulfill_order(id, None)).unwrap();
    assert_eq!(
        told(&bench, id).await,
        ["order.synced Updated", "shipment.created", "order.fulfilled"]
    );
}

#[tokio::test]
async fn what_is_done_is_told_with_the_problem_that_keeps_the_rest() {
    let bench = bench(Settings {
        journals: [].into(),
        ..settings()
    })
    .await;
    let (_, variants) = shirt(&bench);
    let (id, _) = order(&bench, everyday(Buyer::Customer(ada(&bench)), variants[0]));
    for expected in [vec!["order.synced Created"], vec!["order.synced Skipped"]] {
        let (state, why) = bench.sync(Object::Order, id).await;
        assert_eq!(state, JobState::Problem, "{why:?}");
        assert!(why.unwrap().starts_with("journal_missing"));
        // The payment is not registered, and not told.
        assert_eq!(of_orders(&bench), expected);
    }
}

#[tokio::test]
async fn customers_and_products_are_told_as_made_changed_left_and_deleted() {
    let bench = Bench::new(Version::V18).await;
    let customer = ada(&bench);
    bench.sync(Object::Customer, customer).await;
    {
        let told = bench.told.lock().unwrap();
        let about = told[0].0.as_ref().unwrap();
        assert_eq!(about.title.as_deref(), Some("Ada Lovelace"));
        assert_eq!(
            about.erp.as_ref().map(|erp| erp.model.as_str()),
            Some("res.partner")
        );
        assert!(
            !format!("{told:?}").contains("Lovelace"),
            "names are not for logs"
        );
    }
    assert_eq!(bench.has_told(), ["customer.synced Created"]);
    bench.sync(Object::Customer, customer).await;
    assert_eq!(bench.has_told(), ["customer.synced Skipped"]);
    bench
        .shop
        .change(|shop| shop.edit_customer(customer, |customer| customer.last_name = Some("King".into())))
        .unwrap();
    bench.sync(Object::Customer, customer).await;
    {
        let told = bench.told.lock().unwrap();
        let changed = &told[0].1[0].changed;
        let names: Vec<&str> = changed.iter().map(|one| one.field.as_str()).collect();
        assert_eq!(names, ["name"]);
        assert!(
            changed[0]
                .old
                .as_ref()
                .is_some_and(|old| old.to_string() == "Ada Lovelace")
        );
    }
    assert_eq!(bench.has_told(), ["customer.synced Updated"]);

    let product = bench.shop.change(|shop| {
        shop.create_product(ProductDraft {
            title: "Cup".into(),
            variants: vec![VariantDraft::new(&[], "CUP", decimal("4.99"))],
            ..ProductDraft::default()
        })
    });
    bench.sync(Object::Product, product).await;
    {
        let told = bench.told.lock().unwrap();
        let about = told[0].0.as_ref().unwrap();
        assert_eq!(
            (about.title.as_deref(), about.sku.as_deref()),
            (Some("Cup"), Some("CUP"))
        );
    }
    assert_eq!(bench.has_told(), ["product.synced Created"]);
    bench.sync(Object::Product, product).await;
    assert_eq!(bench.has_told(), ["product.synced Skipped"]);

    bench.shop.change(|shop| shop.delete_product(product)).unwrap();
    bench.shop.change(|shop| shop.delete_customer(customer)).unwrap();
    for (topic, object, id) in [
        ("products/delete", Object::Product, product),
        ("customers/delete", Object::Customer, customer),
    ] {
        super::gone::hear(&bench, topic, object, id).await;
        assert_eq!(bench.has_told(), [format!("{object}.deleted")]);
        super::gone::hear(&bench, topic, object, id).await;
        assert_eq!(bench.has_told(), [""; 0]);
    }
}

#[tokio::test]
async fn an_uninstalled_app_is_told_once_and_only_when_it_is_so() {
    let bench = Bench::new(Version::V18).await;
    let hear = async || {
        super::gone::hear(&bench, "app/uninstalled", Object::Shop, 1).await;
        bench.has_told()
    };
    assert_eq!(hear().await, [""; 0], "our token works: somebody else sent it");
    bench.shop.uninstall();
    assert_eq!(hear().await, ["shop.uninstalled"]);
    assert_eq!(hear().await, [""; 0]);
}

#[tokio::test]
async fn an_uninstalled_app_is_told_by_the_attempt_that_is_saved_and_at_each_removal() {
    let bench = Bench::new(Version::V18).await;
    bench.shop.uninstall();
    let is_disabled = async || {
        let now = crate::domain::Clock::now(&SystemClock);
        let state = bench.store.shop_state(&"main".parse().unwrap(), now).await;
        state.unwrap().disabled.is_some()
    };
    // An attempt that was killed before its end was saved left nothing behind.
    super::gone::event(&bench, "app/uninstalled", Object::Shop, 1).await;
    let job = bench.claim_ready().await;
    let report = bench.engine.attempt(job.clone(), CancellationToken::new()).await;
    assert_eq!(report.happened.len(), 1);
    assert!(!is_disabled().await);
    // Another notice comes, and both are looked at by the repeat.
    super::gone::event(&bench, "app/uninstalled", Object::Shop, 1).await;
    let report = bench.engine.attempt(job.clone(), CancellationToken::new()).await;
    assert_eq!(report.happened.len(), 1, "{report:?}");
    bench
        .store
        .finish(finish(job.id, job.fence, report))
        .await
        .unwrap();
    assert!(is_disabled().await);
    // It is wanted again for the second notice, and repeated, and tells nothing.
    bench.drain().await;
    assert_eq!(bench.has_told(), [""; 0]);
    super::gone::hear(&bench, "app/uninstalled", Object::Shop, 1).await;
    assert_eq!(bench.has_told(), [""; 0]);

    // Installed again, which the daemon finds, and removed again.
    let now = crate::domain::Clock::now(&SystemClock);
    let shop = "main".parse().unwrap();
    bench.store.set_shop_disabled(&shop, None, now).await.unwrap();
    super::gone::hear(&bench, "app/uninstalled", Object::Shop, 1).await;
    assert_eq!(bench.has_told(), ["shop.uninstalled"]);
}

#[tokio::test]
async fn what_is_sent_to_the_shop_is_told_and_its_echo_is_not() {
    let bench = Bench::both_ways_and_stock(&[]).await;
    let partner = bench.made_in_the_erp(
        "res.partner",
        serde_json::json!({ "name": "Grace Hopper", "email": "grace@example.com", "customer_rank": 1 }),
    );
    let (state, why) = bench.send(Object::Customer, partner).await;
    assert_eq!(state, JobState::Completed, "{why:?}");
    let made = {
        let told = bench.told.lock().unwrap();
        let about = told[0].0.as_ref().unwrap();
        assert_eq!(about.erp.as_ref().map(|erp| erp.id.0), Some(partner));
        about.shopify.unwrap().0.0
    };
    assert_eq!(bench.has_told(), ["customer.synced Created"]);
    bench.send(Object::Customer, partner).await;
    // The shop's own notice of our write.
    bench.sync(Object::Customer, made).await;
    assert_eq!(
        bench.has_told(),
        ["customer.synced Skipped", "customer.synced Skipped"]
    );
    // What is told of a change is the record with the change.
    super::out::write(
        &bench,
        "res.partner",
        partner,
        serde_json::json!({ "name": "Grace King" }),
    );
    bench.send(Object::Customer, partner).await;
    {
        let told = bench.told.lock().unwrap();
        let about = told[0].0.as_ref().unwrap();
        assert_eq!(about.title.as_deref(), Some("Grace King"));
        assert_eq!(about.erp.as_ref().map(|erp| erp.id.0), Some(partner));
    }
    assert_eq!(bench.has_told(), ["customer.synced Updated"]);
}

#[tokio::test]
async fn what_is_written_is_told_although_a_variant_is_refused() {
    let bench = Bench::both_ways(Version::V18, &[]).await;
    let (product, variants) = shirt(&bench);
    bench.sync(Object::Product, product).await;
    let template = super::out::theirs(&bench, LinkKind::Product, product).await;
    let second = super::out::theirs(&bench, LinkKind::Variant, variants[1]).await;
    let write = |model: &str, id: i64, values: serde_json::Value| {
        super::out::write(&bench, model, id, values);
    };
    write(
        "product.template",
        template,
        serde_json::json!({ "name": "Shirt, washed" }),
    );
    write(
        "product.product",
        second,
        serde_json::json!({ "default_code": "MEDIUM" }),
    );
    bench.shop.change(|shop| {
        shop.refuse_next(
            "productVariantsBulkUpdate",
            &["variants", "0", "inventoryItem", "sku"],
            "is not a word that the shop likes",
            Some("INVALID_INPUT"),
        );
    });
    bench.has_told();
    let changed = || {
        let told = bench.told.lock().unwrap();
        let happened = told.iter().flat_map(|(_, happened)| happened);
        let changed = happened.flat_map(|one| &one.changed);
        changed.map(|one| one.field.clone()).collect::<Vec<_>>()
    };
    let (state, why) = bench.send(Object::Product, template).await;
    assert_eq!(state, JobState::Problem, "{why:?}");
    {
        let told = bench.told.lock().unwrap();
        let (about, _) = told.iter().find(|(_, happened)| !happened.is_empty()).unwrap();
        assert_eq!(about.as_ref().unwrap().title.as_deref(), Some("Shirt, washed"));
    }
    let fields = changed();
    assert!(fields.contains(&"title".to_owned()), "{fields:?}");
    assert!(
        fields.iter().all(|field| !field.starts_with("variants")),
        "{fields:?}"
    );
    assert_eq!(bench.has_told(), ["product.synced Updated"]);
    bench.send(Object::Product, template).await;
    assert_eq!(changed(), [format!("variants[{}].sku", variants[1])]);
    assert_eq!(bench.has_told(), ["product.synced Updated"]);
}

#[tokio::test]
async fn what_an_attempt_may_have_written_that_never_said_so_counts_as_written() {
    let bench = Bench::new(Version::V18).await;
    let customer = ada(&bench);
    bench.sync(Object::Customer, customer).await;
    bench
        .shop
        .change(|shop| shop.edit_customer(customer, |customer| customer.last_name = Some("King".into())))
        .unwrap();
    bench.has_told();
    bench.erp.faults().on("res.partner", "write", Fault::CloseAfter);
    let (state, why) = bench.sync(Object::Customer, customer).await;
    assert_eq!(state, JobState::Problem, "{why:?}");
    assert_eq!(bench.has_told(), [""; 0]);
    // It is written, and the repeat has nothing to do.
    for expected in ["customer.synced Updated", "customer.synced Skipped"] {
        let (state, why) = bench.sync(Object::Customer, customer).await;
        assert_eq!(state, JobState::Completed, "{why:?}");
        assert_eq!(bench.has_told(), [expected]);
    }
}

#[tokio::test]
async fn an_order_that_is_paid_in_part_is_not_told_as_updated_again_and_again() {
    let bench = bench(Settings {
        invoices: Invoices::Post,
        ..settings()
    })
    .await;
    bench.remap_orders("partially_paid = \"quotation\"", "partially_paid = \"confirmed\"");
    let (_, variants) = shirt(&bench);
    let mut draft = everyday(Buyer::Customer(ada(&bench)), variants[0]);
    draft.payment = Payment::Deposit("shopify_payments".into(), decimal("10.00"));
    let (id, _) = order(&bench, draft);
    assert_eq!(
        told(&bench, id).await,
        ["order.synced Created", "payment.completed"]
    );
    for _ in 0..2 {
        assert_eq!(told(&bench, id).await, ["order.synced Skipped"]);
    }
}
