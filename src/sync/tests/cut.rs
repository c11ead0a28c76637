//! Attempts that are cut off, or never learn what became of a write.

use super::bench::*;
use super::*;
use crate::domain::{Carried, Happening, LONGEST_CALL};
use crate::sandbox::odoo::Fault;

/// A bench with a shirt that is linked, and an order of it by a known customer.
async fn with_an_order() -> (Bench, u64, String) {
    let bench = Bench::new(Version::V18).await;
    let (product, variants) = shirt(&bench);
    assert_eq!(bench.sync(Object::Product, product).await.0, JobState::Completed);
    let (id, name) = order(&bench, everyday(Buyer::Customer(ada(&bench)), variants[0]));
    (bench, id, name)
}

fn cancel_on_shopify(bench: &Bench, id: u64) {
    bench
        .shop
        .change(|shop| shop.cancel_order(id, &Default::default()))
        .unwrap();
}

#[tokio::test]
async fn a_write_without_a_clear_answer_is_told() {
    for (fault, unclean) in [
        (Fault::HttpAfter(504), true),
        (Fault::CloseAfter, true),
        (Fault::PostgresDown, true),
        (Fault::Garbage, true),
        (Fault::Serialization, false),
    ] {
        let (bench, id, _) = with_an_order().await;
        bench.erp.faults().on("sale.order", "load", fault.clone());
        let job = bench.claim(Object::Order, id).await;
        let report = bench.engine.attempt(job, CancellationToken::new()).await;
        assert!(matches!(report.outcome, Outcome::Failed { .. }), "{report:?}");
        assert_eq!(report.unclean, unclean, "{fault:?}");
    }
}

#[tokio::test]
async fn a_stop_lets_the_write_that_is_under_way_come_to_its_end() {
    let (bench, id, name) = with_an_order().await;
    let slow = Fault::Delay(Duration::from_secs(3));
    bench.erp.faults().on("sale.order", "load", slow);
    let job = bench.claim(Object::Order, id).await;
    let (engine, stop) = (bench.engine.clone(), CancellationToken::new());
    let attempt = tokio::spawn({
        let stop = stop.clone();
        async move { engine.attempt(job, stop).await }
    });
    while bench.erp.ledger().orders_by_reference(&name).is_empty() {
        assert!(!attempt.is_finished(), "the order is made first");
        tokio::task::yield_now().await;
    }
    stop.cancel();
    let report = attempt.await.unwrap();
    assert!(matches!(report.outcome, Outcome::Interrupted), "{report:?}");
    assert!(!report.unclean, "the answer was waited for");
    assert_eq!(bench.booked(&name).state, "draft", "no further step was taken");
}

#[tokio::test]
async fn what_a_stopped_attempt_wrote_is_told_with_its_end() {
    let bench = Bench::new(Version::V18).await;
    let customer = ada(&bench);
    assert_eq!(
        bench.sync(Object::Customer, customer).await.0,
        JobState::Completed
    );
    bench
        .shop
        .change(|shop| shop.edit_customer(customer, |customer| customer.last_name = Some("King".into())))
        .unwrap();
    let writes = || bench.erp.ledger().calls_of("res.partner", "write");
    let before = writes();
    let job = bench.claim(Object::Customer, customer).await;
    let stop = CancellationToken::new();
    let report = {
        let mut attempt = Box::pin(bench.engine.attempt(job, stop.clone()));
        while writes() == before {
            assert!(futures_util::poll!(&mut attempt).is_pending());
            tokio::task::yield_now().await;
        }
        stop.cancel();
        attempt.await
    };
    assert!(matches!(report.outcome, Outcome::Interrupted), "{report:?}");
    let told: Vec<_> = report.happened.iter().map(|one| (one.what, one.status)).collect();
    assert_eq!(told, [(Happening::CustomerSynced, Some(Carried::Updated))]);
    assert_eq!(report.happened[0].changed[0].field, "name");
}

#[tokio::test]
async fn a_write_that_is_dropped_under_way_is_told() {
    let writes = Writes::default();
    let (bench, id, name) = with_an_order().await;
    let slow = Fault::ApplyLate(Duration::from_secs(3600));
    bench.erp.faults().on("sale.order", "load", slow);
    let job = bench.claim(Object::Order, id).await;
    let shop = bench.engine.shop(&job.key.shop).unwrap();
    let subject = Subject {
        record: None,
        owner: "operator".into(),
        mapping: None,
    };
    let mut flow = Flow::new(shop, &job, shop.mappings.borrow().clone(), subject, &writes);
    {
        let mut attempt = Box::pin(run(&mut flow));
        while bench.erp.ledger().calls_of("sale.order", "load") == 0 {
            assert!(futures_util::poll!(&mut attempt).is_pending());
            tokio::task::yield_now().await;
        }
    }
    assert!(writes.in_doubt());
    assert!(bench.erp.ledger().orders_by_reference(&name).is_empty());
}

#[tokio::test]
async fn an_order_cancelled_early_ends_only_when_no_late_write_can_make_it() {
    let (bench, id, name) = with_an_order().await;
    cancel_on_shopify(&bench, id);
    let mut job = bench.claim(Object::Order, id).await;
    let now = crate::domain::Clock::now(&SystemClock);
    job.unclean_at = Some(now);
    let report = bench.engine.attempt(job.clone(), CancellationToken::new()).await;
    let Outcome::Later { at } = report.outcome else {
        panic!("{report:?}");
    };
    assert_eq!(at, now.plus(LONGEST_CALL));

    job.unclean_at = Some(now.minus(LONGEST_CALL));
    let report = bench.engine.attempt(job, CancellationToken::new()).await;
    let Outcome::Obsolete(reason) = report.outcome else {
        panic!("{report:?}");
    };
    assert_eq!(reason, "cancelled_before_import");
    assert!(bench.erp.ledger().orders_by_reference(&name).is_empty());
}

/// An order that is invoiced and whose parcels are delivered, as a job that is claimed.
async fn with_acts(version: Version) -> (Bench, u64, String) {
    let settings = Settings {
        invoices: Invoices::Post,
        fulfillments: Fulfillments::Validate,
        ..Settings::default()
    };
    let options = OdooOptions {
        services: services(),
        ..OdooOptions::version(version)
    };
    let bench = Bench::with(options, settings).await;
    let (product, variants) = shirt(&bench);
    assert_eq!(bench.sync(Object::Product, product).await.0, JobState::Completed);
    let (id, name) = order(&bench, everyday(Buyer::Customer(ada(&bench)), variants[0]));
    (bench, id, name)
}

/// How the order's attempt ends whose predecessor ended without an answer so long ago.
async fn after_unclean(bench: &Bench, id: u64, ago: Duration) -> Outcome {
    let mut job = bench.claim(Object::Order, id).await;
    let now = crate::domain::Clock::now(&SystemClock);
    job.unclean_at = Some(now.minus(ago));
    let mut report = Box::pin(bench.engine.attempt(job.clone(), CancellationToken::new())).await;
    let outcome = report.outcome.clone();
    if let Outcome::Later { at } = &mut report.outcome {
        assert_eq!(*at, now.minus(ago).plus(LONGEST_CALL));
        // The test looks again when it likes.
        *at = now;
    }
    bench
        .store
        .finish(finish(job.id, job.fence, report))
        .await
        .unwrap();
    outcome
}

#[tokio::test]
async fn an_invoice_that_a_killed_attempt_may_still_make_is_waited_for() {
    for version in [Version::V18, Version::V19] {
        let (bench, id, name) = with_acts(version).await;
        let waits = after_unclean(&bench, id, Duration::from_secs(1)).await;
        assert!(matches!(waits, Outcome::Later { .. }), "{version:?} {waits:?}");
        let booked = bench.booked(&name);
        assert_eq!(booked.state, "sale", "what has a key is done at once");
        assert!(bench.erp.ledger().invoices().is_empty(), "{version:?}");
        // The killed attempt's call takes effect.
        bench.erp.invoice(booked.id).unwrap();
        let done = after_unclean(&bench, id, Duration::from_secs(2)).await;
        assert!(
            matches!(done, Outcome::Completed),
            "what stands is proof: {done:?}"
        );
        assert_eq!(bench.erp.ledger().invoices().len(), 1, "{version:?}");
    }
}

#[tokio::test]
async fn an_invoice_that_no_killed_attempt_can_make_any_more_is_made() {
    let (bench, id, _) = with_acts(Version::V18).await;
    let done = after_unclean(&bench, id, LONGEST_CALL).await;
    assert!(matches!(done, Outcome::Completed), "{done:?}");
    assert_eq!(bench.erp.ledger().invoices().len(), 1);
}

#[tokio::test]
async fn a_delivery_that_a_killed_attempt_may_still_carry_out_is_waited_for() {
    for version in [Version::V18, Version::V19] {
        let (bench, id, name) = with_acts(version).await;
        assert_eq!(bench.sync(Object::Order, id).await.0, JobState::Completed);
        bench.shop.change(|shop| shop.fulfill_order(id, None)).unwrap();
        let waits = after_unclean(&bench, id, Duration::from_secs(1)).await;
        assert!(matches!(waits, Outcome::Later { .. }), "{version:?} {waits:?}");
        let states = || -> Vec<String> {
            let pickings = bench.booked(&name).pickings.into_iter();
            pickings.map(|picking| picking.state).collect()
        };
        assert!(!states().contains(&"done".to_owned()), "{version:?}");
        let calls = bench.erp.ledger().calls_of("stock.picking", "button_validate");
        assert_eq!(calls, 0, "{version:?}");
        let done = after_unclean(&bench, id, LONGEST_CALL).await;
        assert!(matches!(done, Outcome::Completed), "{version:?} {done:?}");
        assert_eq!(states(), ["done"], "{version:?}");
    }
}

#[tokio::test]
async fn an_order_that_appeared_late_is_cancelled_after_all() {
    let (bench, id, name) = with_an_order().await;
    // The order is made, and nobody learns of it.
    bench.erp.faults().on("sale.order", "load", Fault::HttpAfter(504));
    let job = bench.claim(Object::Order, id).await;
    let (number, fence) = (job.id, job.fence);
    let report = bench.engine.attempt(job, CancellationToken::new()).await;
    assert!(report.unclean);
    let mut end = finish(number, fence, report);
    let now = crate::domain::Clock::now(&SystemClock);
    end.verdict = Verdict::Retry {
        at: now,
        counts: true,
        system_down: None,
    };
    bench.store.finish(end).await.unwrap();
    cancel_on_shopify(&bench, id);
    let (state, why) = bench.sync(Object::Order, id).await;
    assert_eq!(state, JobState::Completed, "{why:?}");
    assert_eq!(bench.booked(&name).state, "cancel");
}
