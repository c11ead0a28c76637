//! Gaps between what webhooks told and what changed: found and filled.

use std::time::Duration;

use super::between::Between;
use super::*;
use crate::domain::Clock as _;
use crate::reconcile::INDEX_LAG;
use crate::sandbox::shopify::faults::ApiFault;
use crate::store::{GapRow, NewGap, RunOutcome};

impl Between {
    /// Opens a gap since so long ago.
    async fn open_gap(&self, object: Object, ago: Duration) {
        let now = self.clock.now();
        let gap = NewGap {
            shop: self.name.clone(),
            object,
            since: now.minus(ago),
            stood_at: now,
            reason: "a test took its subscription away".to_owned(),
        };
        self.daemon.store.open_gap(gap, now).await.unwrap();
    }

    async fn gaps(&self) -> Vec<GapRow> {
        self.daemon.store.gaps().await.unwrap()
    }
}

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn what_no_webhook_told_of_arrives_and_the_gap_closes_after_the_index_caught_up() {
    let world = Between::new("main").await;
    let early = world.new_customer("early@example.com");
    world.open_gap(Object::Customer, HOUR).await;
    // At once: nobody moves the clock.
    let id = early.to_string();
    let job = world.job_is(Object::Customer, &id, JobState::Completed).await;
    assert_eq!(job.events, 0, "no webhook told of it");
    let gap = world.gaps().await.remove(0);
    assert_eq!(gap.next_at, gap.stood_at.plus(INDEX_LAG));
    // What the index did not have yet, and no webhook told of either.
    let late = world.new_customer("late@example.com");
    world.clock.advance(INDEX_LAG);
    world
        .job_is(Object::Customer, &late.to_string(), JobState::Completed)
        .await;
    until("the gap closes", async || world.gaps().await.is_empty()).await;
    let runs = world.runs().await;
    assert_eq!(runs.len(), 2, "{runs:?}");
    assert!(runs.iter().all(|run| run.outcome == Some(RunOutcome::Done)));
    assert_eq!((runs[1].counts.records, runs[0].counts.records), (1, 2));
    assert_eq!(runs[0].cause, "catch_up");
    assert_eq!(
        world.jobs(Object::Customer).await.len(),
        3,
        "the first was looked at twice"
    );
    world.daemon.stop().await;
}

#[tokio::test]
async fn what_happens_while_a_subscription_is_deleted_behind_our_back_arrives_in_the_erp() {
    let world = Between::subscribed("main").await;
    let customers = |shop: &crate::sandbox::shopify::ShopSandbox| {
        shop.read(|shop| {
            let all = shop.subscriptions().iter();
            all.filter(|one| one.topic.starts_with("CUSTOMERS_"))
                .map(|one| one.id)
                .collect::<Vec<u64>>()
        })
    };
    until("the toggles are followed", async || {
        customers(&world.shop).len() == 4
    })
    .await;
    let partners = || {
        let all = world.erp.ledger().partners();
        all.iter()
            .filter(|one| one.email.as_deref() == Some("gap@example.com"))
            .count()
    };
    // In one step: the subscriptions go, and then somebody registers.
    for id in customers(&world.shop) {
        world.shop.change(|shop| shop.unregister(id));
    }
    let id = world.new_customer("gap@example.com").to_string();
    world.shop.settle().await;
    assert!(
        world
            .jobs(Object::Customer)
            .await
            .iter()
            .all(|job| job.events == 0)
    );
    until("they are healed", async || {
        // Only the clock of the daemon is the test's.
        world.clock.advance(Duration::from_secs(1));
        customers(&world.shop).len() == 4
    })
    .await;
    let job = world.job_is(Object::Customer, &id, JobState::Completed).await;
    assert_eq!(job.events, 0, "no webhook told of it");
    assert_eq!(partners(), 1);
    world.daemon.stop().await;
}

#[tokio::test]
async fn a_shop_that_does_not_answer_is_asked_again_and_nothing_is_closed_meanwhile() {
    let world = Between::new("main").await;
    let id = world.new_customer("ada@example.com").to_string();
    // As many as the client itself tries, and more.
    world.shop.inject(ApiFault::HtmlError(502), None, 40);
    world.open_gap(Object::Customer, HOUR).await;
    until("a run failed", async || {
        world
            .runs()
            .await
            .iter()
            .any(|run| run.outcome == Some(RunOutcome::Failed))
    })
    .await;
    let failed = world.runs().await.remove(0);
    assert!(failed.error.is_some(), "{failed:?}");
    until("it is noted", async || {
        world.gaps().await.iter().any(|gap| gap.failed > 0)
    })
    .await;
    world.shop.clear_faults();
    until("the gap closes", async || {
        world.clock.advance(Duration::from_secs(30));
        world.gaps().await.is_empty()
    })
    .await;
    world.job_is(Object::Customer, &id, JobState::Completed).await;
    world.daemon.stop().await;
}

#[tokio::test]
async fn what_is_switched_off_is_not_asked_for_until_it_is_on_again() {
    let place = Place::new();
    place.write("off", "");
    let daemon = place.start(system_clock()).await.unwrap();
    let now = system_clock().now();
    let gap = NewGap {
        shop: "main".parse().unwrap(),
        object: Object::Order,
        since: now.minus(HOUR),
        stood_at: now,
        reason: "a test".to_owned(),
    };
    daemon.store.open_gap(gap, now).await.unwrap();
    let stock = NewGap {
        shop: "main".parse().unwrap(),
        object: Object::Product,
        since: now.minus(HOUR),
        stood_at: now,
        reason: "a test".to_owned(),
    };
    daemon.store.open_gap(stock, now).await.unwrap();
    // Long enough for many looks.
    place.write("onn", "");
    for _ in 0..5 {
        daemon.reload().await.unwrap_err();
    }
    assert_eq!(daemon.store.gaps().await.unwrap().len(), 2);
    assert!(daemon.store.runs(9).await.unwrap().is_empty());
    place.write("paused", "");
    daemon.reload().await.unwrap();
    until(
        "a run begins: what comes while it is paused is kept",
        async || !daemon.store.runs(9).await.unwrap().is_empty(),
    )
    .await;
    let runs = daemon.store.runs(9).await.unwrap();
    assert!(runs.iter().all(|run| run.object == Object::Order), "{runs:?}");
    daemon.stop().await;
}

#[tokio::test]
async fn what_changed_while_nothing_ran_arrives_also_without_delta_runs() {
    let world = Between::new("main").await;
    let id = world.new_customer("ada@example.com").to_string();
    let (config, clock) = (world.config(), world.clock.clone());
    world.daemon.stop().await;
    // Longer than Shopify tries, and the subscriptions still stand.
    clock.advance(HOUR * 5);
    let daemon = start(config, DaemonOptions::new(Arc::new(clock))).await.unwrap();
    until("it arrives", async || {
        let filter = JobFilter {
            object: Some(Object::Customer),
            ..JobFilter::default()
        };
        let jobs = daemon.store.jobs(filter).await.unwrap();
        jobs.iter()
            .any(|job| job.key.source_id == id && job.state == JobState::Completed)
    })
    .await;
    daemon.stop().await;
}
