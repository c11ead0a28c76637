//! Records that Shopify does not show: hidden, deleted, not there yet, never there.

use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};

use super::bench::*;
use super::*;
use crate::domain::{Disposition, LinkKind};
use crate::store::{Delivery, DeliveryAction, Recorded};

/// Delivers an event about the record.
pub(super) async fn event(bench: &Bench, topic: &str, object: Object, id: u64) -> JobId {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = format!("{topic} {}", NEXT.fetch_add(1, Ordering::Relaxed));
    let delivery = Delivery {
        shop: "main".parse().unwrap(),
        topic: topic.to_owned(),
        webhook_id: None,
        event_id: None,
        dedup_key: name.clone(),
        triggered_at: None,
        api_version: None,
        received_at: crate::domain::Clock::now(&SystemClock),
        body: b"{}".to_vec().into(),
        body_sha256: name,
        action: DeliveryAction::Job {
            key: bench.key(object, id),
            priority: Priority::LIVE,
        },
    };
    match bench.store.record_delivery(delivery).await.unwrap() {
        Recorded::New { job: Some(job), .. } => job,
        other => panic!("{other:?}"),
    }
}

/// Delivers an event about the record, runs what it asks for, and returns the job's state and why.
pub(super) async fn hear(bench: &Bench, topic: &str, object: Object, id: u64) -> (JobState, String) {
    let job = event(bench, topic, object, id).await;
    bench.drain().await;
    let (state, why) = bench.story(job).await;
    (state, why.unwrap_or_default())
}

async fn is_linked(bench: &Bench, kind: LinkKind, id: u64) -> bool {
    let shop = "main".parse().unwrap();
    let links = bench.store.links(&shop, kind, &[id.to_string()]).await.unwrap();
    live(links).is_some()
}

#[tokio::test]
async fn a_hidden_order_is_a_problem_and_keeps_its_link() {
    let days_later = Arc::new(AtomicI64::new(0));
    let mut options = ShopOptions::default();
    options.access.scopes.retain(|scope| scope != "read_all_orders");
    options.clock = {
        let (real, days_later) = (Arc::clone(&options.clock), Arc::clone(&days_later));
        Arc::new(move || real() + chrono::Duration::days(days_later.load(Ordering::Relaxed)))
    };
    let erp = OdooOptions {
        services: services(),
        ..OdooOptions::version(Version::V18)
    };
    let bench = Bench::between(options, erp, Settings::default()).await;
    let (_, variants) = shirt(&bench);
    let customer = ada(&bench);
    let (id, name) = order(&bench, everyday(Buyer::Customer(customer), variants[0]));
    let (state, why) = bench.sync(Object::Order, id).await;
    assert_eq!(state, JobState::Completed, "{why:?}");
    days_later.store(70, Ordering::Relaxed);
    let (state, why) = hear(&bench, "refunds/create", Object::Order, id).await;
    assert_eq!(state, JobState::Problem, "{why}");
    assert!(why.starts_with("order_not_visible: "), "{why}");
    assert!(is_linked(&bench, LinkKind::Order, id).await);
    assert_eq!(bench.booked(&name).state, "sale");
    // Once the scope is granted (here: the day is the old one), the same job goes through.
    days_later.store(0, Ordering::Relaxed);
    let (state, why) = hear(&bench, "orders/updated", Object::Order, id).await;
    assert_eq!(state, JobState::Completed, "{why}");
}

#[tokio::test]
async fn only_shopifys_own_word_makes_a_record_deleted() {
    let bench = Bench::new(Version::V18).await;
    let (product, variants) = shirt(&bench);
    let customer = ada(&bench);
    let guest = Buyer::Guest {
        email: Some("guest@example.com".into()),
        phone: None,
    };
    let (id, _) = order(&bench, everyday(guest, variants[0]));
    let cases = [
        (
            Object::Order,
            id,
            LinkKind::Order,
            "orders/updated",
            JobState::Obsolete,
        ),
        (
            Object::Customer,
            customer,
            LinkKind::Customer,
            "customers/update",
            JobState::Completed,
        ),
        (
            Object::Product,
            product,
            LinkKind::Product,
            "products/update",
            JobState::Completed,
        ),
    ];
    for (object, id, kind, ..) in cases {
        let (state, why) = bench.sync(object, id).await;
        assert_eq!(state, JobState::Completed, "{object}: {why:?}");
        assert!(is_linked(&bench, kind, id).await, "{object}");
    }
    bench.shop.change(|shop| {
        shop.cancel_order(id, &Default::default()).unwrap();
        shop.delete_order(id).unwrap();
        shop.delete_customer(customer).unwrap();
        shop.delete_product(product).unwrap();
    });
    for (object, id, kind, update, ends) in cases {
        let (state, why) = hear(&bench, update, object, id).await;
        assert_eq!(state, JobState::Problem, "{object}: {why}");
        assert!(why.starts_with(&format!("{object}_not_visible: ")), "{why}");
        assert!(is_linked(&bench, kind, id).await, "{object}");
        let (state, why) = hear(&bench, &format!("{object}s/delete"), object, id).await;
        assert_eq!(state, ends, "{object}: {why}");
        assert!(!is_linked(&bench, kind, id).await, "{object}");
        // An update that comes behind the deletion asks for a job of its own.
        let (state, why) = hear(&bench, update, object, id).await;
        assert_eq!(state, JobState::Obsolete, "{object}: {why}");
    }
}

#[tokio::test]
async fn what_cannot_be_read_yet_is_looked_at_again_and_an_unknown_number_is_said_at_once() {
    let bench = Bench::new(Version::V18).await;
    // Asked for by a person: there is nothing to wait for.
    let (state, why) = bench.sync(Object::Order, 424_242).await;
    assert_eq!(state, JobState::Problem);
    assert!(why.unwrap().contains("no order 424242"));
    // Named by an event: it may have been made a moment ago.
    let id = event(&bench, "orders/create", Object::Order, 515_151).await;
    let claim = Claim {
        node: "test".into(),
        lanes: vec![(Lane::of(&bench.key(Object::Order, 0)), 10)],
        now: crate::domain::Clock::now(&SystemClock),
        lease: Duration::from_secs(60),
    };
    let job = bench.store.claim(claim).await.unwrap().remove(0);
    assert_eq!(job.id, id);
    for (failed_attempts, is_tried_again) in [(0, true), (2, true), (3, false)] {
        let attempt = ClaimedJob {
            failed_attempts,
            ..job.clone()
        };
        let report = bench.engine.attempt(attempt, CancellationToken::new()).await;
        let again = matches!(
            report.outcome,
            Outcome::Failed {
                disposition: Disposition::Transient { retry_after: Some(_) },
                ..
            }
        );
        assert_eq!(again, is_tried_again, "{failed_attempts}: {:?}", report.outcome);
    }
}
