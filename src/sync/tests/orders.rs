//! Orders.

use super::bench::*;
use super::*;

#[tokio::test]
async fn a_paid_order_becomes_one_confirmed_sales_order_with_the_same_total() {
    for version in [Version::V18, Version::V19] {
        let bench = Bench::new(version).await;
        let (_, variants) = shirt(&bench);
        let customer = ada(&bench);
        let (id, name) = order(&bench, everyday(Buyer::Customer(customer), variants[0]));
        let (state, why) = bench.sync(Object::Order, id).await;
        assert_eq!(state, JobState::Completed, "{version:?} {why:?}");
        let booked = bench.booked(&name);
        // 3 x 19.99 + 4.90 = 64.87, tax included.
        assert_eq!(booked.amount_total, decimal("64.87"), "{version:?}");
        assert_eq!(booked.state, "sale");
        let placed = bench.shop.ledger().order(&name).unwrap().processed_at.naive_utc();
        assert_eq!(
            booked.date_order.unwrap().and_utc().timestamp(),
            placed.and_utc().timestamp()
        );
        assert_ne!(booked.partner_invoice_id, booked.partner_shipping_id);
        // Again, because the webhook came twice: nothing changes and nothing is written.
        let before = bench.erp.ledger().calls();
        let (state, why) = bench.sync(Object::Order, id).await;
        assert_eq!(state, JobState::Completed, "{why:?}");
        assert_eq!(bench.booked(&name), booked);
        let calls = bench.calls_since(&before);
        assert!(
            !calls
                .keys()
                .any(|call| call.contains("load") || call.contains("write")),
            "{calls:?}"
        );
    }
}

#[tokio::test]
async fn an_order_costs_at_most_six_calls_for_a_known_customer_and_nine_for_a_new_guest() {
    for version in [Version::V18, Version::V19] {
        let bench = Bench::new(version).await;
        let (_, variants) = shirt(&bench);
        let customer = ada(&bench);
        let before = bench.erp.ledger().calls();
        let (first, _) = order(&bench, everyday(Buyer::Customer(customer), variants[0]));
        assert_eq!(bench.sync(Object::Order, first).await.0, JobState::Completed);
        let cold: u64 = bench.calls_since(&before).values().sum();

        // The customer is linked, the address is new.
        let before = bench.erp.ledger().calls();
        let mut draft = everyday(Buyer::Customer(customer), variants[1]);
        draft.shipping_address = Some(berlin("Somerville"));
        let (second, _) = order(&bench, draft);
        assert_eq!(bench.sync(Object::Order, second).await.0, JobState::Completed);
        let linked = bench.calls_since(&before);

        let before = bench.erp.ledger().calls();
        let guest = Buyer::Guest {
            email: Some("guest@example.com".into()),
            phone: None,
        };
        let (third, _) = order(&bench, everyday(guest, variants[0]));
        let (state, why) = bench.sync(Object::Order, third).await;
        assert_eq!(state, JobState::Completed, "{why:?}");
        let new_guest = bench.calls_since(&before);

        let (linked_sum, guest_sum): (u64, u64) = (linked.values().sum(), new_guest.values().sum());
        println!("{version:?}: cold {cold}, linked customer {linked_sum}, new guest {guest_sum} ERP calls");
        assert!(linked_sum <= 6, "{version:?} linked customer: {linked:?}");
        assert!(guest_sum <= 9, "{version:?} new guest: {new_guest:?}");
    }
}

#[tokio::test]
async fn a_pending_order_stays_a_quotation_until_it_is_paid() {
    let bench = Bench::new(Version::V18).await;
    let (_, variants) = shirt(&bench);
    let mut draft = everyday(Buyer::Customer(ada(&bench)), variants[0]);
    draft.payment = Payment::Pending("bank_transfer".into());
    let (id, name) = order(&bench, draft);
    assert_eq!(bench.sync(Object::Order, id).await.0, JobState::Completed);
    assert_eq!(bench.booked(&name).state, "draft");
    bench.shop.change(|shop| shop.pay_order(id)).unwrap();
    assert_eq!(bench.sync(Object::Order, id).await.0, JobState::Completed);
    assert_eq!(bench.booked(&name).state, "sale");
}

#[tokio::test]
async fn cancelled_orders_are_cancelled_or_never_made() {
    for version in [Version::V18, Version::V19] {
        let bench = Bench::new(version).await;
        let (_, variants) = shirt(&bench);
        let customer = ada(&bench);
        let (id, name) = order(&bench, everyday(Buyer::Customer(customer), variants[0]));
        assert_eq!(bench.sync(Object::Order, id).await.0, JobState::Completed);
        bench
            .shop
            .change(|shop| shop.cancel_order(id, &Default::default()))
            .unwrap();
        let (state, why) = bench.sync(Object::Order, id).await;
        assert_eq!(state, JobState::Completed, "{why:?}");
        assert_eq!(bench.booked(&name).state, "cancel", "{version:?}");

        let (early, name) = order(&bench, everyday(Buyer::Customer(customer), variants[0]));
        bench
            .shop
            .change(|shop| shop.cancel_order(early, &Default::default()))
            .unwrap();
        assert_eq!(bench.sync(Object::Order, early).await.0, JobState::Obsolete);
        assert!(bench.erp.ledger().orders_by_reference(&name).is_empty());
    }
}

#[tokio::test]
async fn a_tax_that_the_erp_lacks_is_one_problem_and_nothing_is_written() {
    let bench = Bench::new(Version::V18).await;
    let (_, variants) = shirt(&bench);
    let mut draft = everyday(Buyer::Customer(ada(&bench)), variants[0]);
    draft.taxes = vec![vat(13)];
    let (id, name) = order(&bench, draft);
    let (state, why) = bench.sync(Object::Order, id).await;
    assert_eq!(state, JobState::Problem);
    assert!(why.unwrap().contains("13"));
    assert!(bench.erp.ledger().orders_by_reference(&name).is_empty());
}

#[tokio::test]
async fn what_was_set_up_in_the_erp_counts_at_the_next_try() {
    let bench = Bench::new(Version::V18).await;
    let (_, variants) = shirt(&bench);
    let customer = ada(&bench);
    let of = |percent: i64| {
        let mut draft = everyday(Buyer::Customer(customer), variants[0]);
        draft.taxes = vec![vat(percent)];
        draft
    };
    let (first, _) = order(&bench, of(19));
    assert_eq!(bench.sync(Object::Order, first).await.0, JobState::Completed);
    let (id, name) = order(&bench, of(13));
    for _ in 0..2 {
        assert_eq!(bench.sync(Object::Order, id).await.0, JobState::Problem);
    }
    let tax = serde_json::json!([{
        "name": "13%", "amount": 13, "amount_type": "percent", "type_tax_use": "sale", "price_include_override": "tax_included",
    }]);
    bench.in_the_erp("account.tax", "create", tax);
    let (state, why) = bench.sync(Object::Order, id).await;
    assert_eq!(state, JobState::Completed, "{why:?}");
    bench.booked(&name);
}

#[tokio::test]
async fn an_answer_that_was_cut_off_after_the_commit_makes_no_second_order() {
    use crate::sandbox::odoo::Fault;
    for (model, method) in [
        ("sale.order", "load"),
        ("sale.order", "action_confirm"),
        ("res.partner", "load"),
    ] {
        let bench = Bench::new(Version::V18).await;
        let (product, variants) = shirt(&bench);
        assert_eq!(bench.sync(Object::Product, product).await.0, JobState::Completed);
        let (id, name) = order(&bench, everyday(Buyer::Customer(ada(&bench)), variants[0]));
        bench.erp.faults().on(model, method, Fault::CloseAfter);
        assert_eq!(
            bench.sync(Object::Order, id).await.0,
            JobState::Problem,
            "{model}.{method}"
        );
        let (state, why) = bench.sync(Object::Order, id).await;
        assert_eq!(state, JobState::Completed, "{model}.{method}: {why:?}");
        let booked = bench.booked(&name);
        assert_eq!(
            (booked.state.as_str(), booked.amount_total),
            ("sale", decimal("64.87")),
            "{model}.{method}"
        );
        let placed = bench.shop.ledger().order(&name).unwrap().processed_at.timestamp();
        assert_eq!(
            booked.date_order.unwrap().and_utc().timestamp(),
            placed,
            "{model}.{method}: the date is the sale's"
        );
    }
}

#[tokio::test]
async fn an_import_lets_orders_from_before_the_start_in_as_history() {
    let options = OdooOptions {
        services: services(),
        ..OdooOptions::version(Version::V18)
    };
    let bench = Bench::adjusted(options, |shop| {
        shop.start_at = Some(Timestamp::parse_rfc3339("2099-01-01T00:00:00Z").unwrap());
        shop.settings.fulfillments = Fulfillments::Validate;
        shop.settings.invoices = Invoices::Post;
        shop.settings.payments = Payments::Register;
    })
    .await;
    let (product, variants) = shirt(&bench);
    bench.sync(Object::Product, product).await;
    let (id, name) = order(&bench, everyday(Buyer::Nobody, variants[0]));
    bench.shop.change(|shop| shop.fulfill_order(id, None)).unwrap();
    let job = bench.claim(Object::Order, id).await;
    let (number, fence) = (job.id, job.fence);
    let mut last = None;
    for (import, booked) in [(None, 0), (Some(1), 1)] {
        let attempt = crate::store::ClaimedJob {
            import,
            ..job.clone()
        };
        let report = bench.engine.attempt(attempt, CancellationToken::new()).await;
        assert_eq!(
            bench.erp.ledger().orders_by_reference(&name).len(),
            booked,
            "{report:?}"
        );
        last = Some(report);
    }
    let moves_nothing = || {
        let booked = bench.booked(&name);
        assert_eq!(booked.state, "sale");
        assert!(
            booked.pickings.iter().all(|picking| picking.state == "cancel"),
            "{:?}",
            booked.pickings
        );
        let ledger = bench.erp.ledger();
        assert!(ledger.invoices().is_empty() && ledger.payments().is_empty());
    };
    moves_nothing();
    // Nor does a webhook of the same order later on, which no import asks for.
    let end = finish(number, fence, last.unwrap());
    bench.store.finish(end).await.unwrap();
    let (state, why) = bench.sync(Object::Order, id).await;
    assert_eq!(state, JobState::Completed, "{why:?}");
    moves_nothing();
}

#[tokio::test]
async fn what_an_import_made_in_an_attempt_that_failed_counts_as_created() {
    use crate::domain::{Actor, ShopifyId, Via};
    use crate::sandbox::odoo::Fault;
    use crate::store::{ImportPage, ImportsBegun, NewImport};
    let bench = Bench::new(Version::V18).await;
    let (product, variants) = shirt(&bench);
    assert_eq!(bench.sync(Object::Product, product).await.0, JobState::Completed);
    let (id, name) = order(&bench, everyday(Buyer::Customer(ada(&bench)), variants[0]));
    let (key, now) = (
        bench.key(Object::Order, id),
        crate::domain::Clock::now(&SystemClock),
    );
    let wanted = NewImport {
        shop: key.shop.clone(),
        object: Object::Order,
        since: None,
        until: None,
        warning: None,
    };
    let actor = Actor::new("ada", Via::Cli);
    let begun = bench.store.begin_imports(vec![wanted], actor, now).await.unwrap();
    let ImportsBegun::Begun(imports) = begun else {
        panic!("{begun:?}");
    };
    let page = ImportPage {
        import: imports[0],
        after: None,
        records: vec![ShopifyId(id)],
        cursor: Some(ShopifyId(id)),
        is_last: true,
    };
    assert!(bench.store.save_import_page(page).await.unwrap());
    let lane = Lane::of(&key);
    bench.store.feed_import(imports[0], lane, 1, now).await.unwrap();
    // The order is saved and linked, and then nobody answers.
    bench
        .erp
        .faults()
        .on("sale.order", "action_confirm", Fault::CloseAfter);
    bench.drain().await;
    let (state, why) = bench.sync(Object::Order, id).await;
    assert_eq!(state, JobState::Completed, "{why:?}");
    assert_eq!(bench.booked(&name).state, "sale");
    let counts = bench.store.imports(1).await.unwrap()[0].counts;
    assert_eq!((counts.created, counts.over()), (1, 1), "{counts:?}");
}

#[tokio::test]
async fn orders_before_the_start_are_recorded_and_left_alone() {
    let options = OdooOptions {
        services: services(),
        ..OdooOptions::version(Version::V18)
    };
    let start = chrono::DateTime::from_timestamp(1_700_000_000, 0).unwrap();
    let bench = Bench::adjusted(options, |shop| {
        shop.start_at = Some(Timestamp::from_millis(start.timestamp_millis()));
    })
    .await;
    let (_, variants) = shirt(&bench);
    for (second, state) in [(-1, JobState::Obsolete), (0, JobState::Completed)] {
        let mut draft = everyday(Buyer::Nobody, variants[0]);
        draft.created_at = Some(start + chrono::TimeDelta::seconds(second));
        let (id, name) = order(&bench, draft);
        let (found, why) = bench.sync(Object::Order, id).await;
        assert_eq!(found, state, "{why:?}");
        let booked = bench.erp.ledger().orders_by_reference(&name).len();
        if state == JobState::Obsolete {
            assert_eq!((booked, why.as_deref()), (0, Some("before_start")));
            // A tag on last year's order books it no more than the order itself did.
            let patch = crate::sandbox::shopify::draft::OrderPatch {
                tags: Some(vec!["old".into()]),
                ..Default::default()
            };
            bench.shop.change(|shop| shop.patch_order(id, patch)).unwrap();
            assert_eq!(bench.sync(Object::Order, id).await.0, JobState::Obsolete);
            assert!(bench.erp.ledger().orders_by_reference(&name).is_empty());
        } else {
            assert_eq!(booked, 1);
        }
    }
}

#[tokio::test]
async fn test_orders_are_left_alone() {
    let bench = Bench::new(Version::V18).await;
    let (_, variants) = shirt(&bench);
    let mut draft = everyday(Buyer::Nobody, variants[0]);
    draft.test = true;
    let (id, name) = order(&bench, draft);
    let (state, _) = bench.sync(Object::Order, id).await;
    assert_eq!(state, JobState::Obsolete);
    assert!(bench.erp.ledger().orders_by_reference(&name).is_empty());
}

#[tokio::test]
async fn an_order_hurries_the_product_that_it_waits_for() {
    let bench = Bench::new(Version::V18).await;
    let (product, variants) = shirt(&bench);
    let (id, _) = order(&bench, everyday(Buyer::Customer(ada(&bench)), variants[0]));
    // The product was found by a run, and there are many of those.
    let now = crate::domain::Clock::now(&SystemClock);
    for source_id in [1, 2, 3, product] {
        let job = NewJob {
            key: bench.key(Object::Product, source_id),
            priority: Priority::BACKGROUND,
            now,
            cause: "test".into(),
        };
        bench.store.enqueue(job).await.unwrap();
    }
    let job = bench.claim(Object::Order, id).await;
    let report = bench.engine.attempt(job, CancellationToken::new()).await;
    assert!(matches!(report.outcome, Outcome::Wait { .. }), "{report:?}");
    let claim = Claim {
        node: "test".into(),
        lanes: vec![(Lane::of(&bench.key(Object::Product, 1)), 1)],
        now: crate::domain::Clock::now(&SystemClock),
        lease: Duration::from_secs(60),
    };
    let first = bench.store.claim(claim).await.unwrap().remove(0);
    assert_eq!(first.key, bench.key(Object::Product, product));
}
