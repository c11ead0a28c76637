//! What others are told of ends that the store changes.

use super::*;
use crate::domain::{About, Carried, ErpId, Happened, Happening, Link, LinkKind, LinkState};
use crate::queue::{Ending, Notifier};
use crate::store::Verdict;

/// Tells what happened, and the codes of problems.
struct Codes;

impl Notifier for Codes {
    fn of(&self, ending: &Ending<'_>) -> Vec<String> {
        let name = ending
            .about
            .and_then(|about| about.name.as_deref())
            .unwrap_or_default();
        let happened = ending.happened.iter().map(|one| match one.status {
            Some(status) => format!("{} {status:?} {name}", one.what),
            None => one.what.to_string(),
        });
        let mut told: Vec<String> = happened.collect();
        if let Verdict::Problem(problem) = ending.verdict {
            told.push(problem.code.0.clone());
        }
        told
    }
}

/// A report of an order that was written, and of all that its link would remember.
fn wrote(report: Report, status: Carried) -> Report {
    let synced = Happened {
        status: Some(status),
        ..Happened::new(Happening::OrderSynced)
    };
    Report {
        about: Some(Box::new(About {
            name: Some("#1001".to_owned()),
            ..About::new(Object::Order)
        })),
        happened: vec![synced, Happened::new(Happening::PaymentCompleted)],
        ..report
    }
}

async fn told(rig: &Rig) -> Vec<String> {
    let rows = rig.store.outbox(10).await.unwrap();
    rows.into_iter().map(|row| row.body).collect()
}

/// A report that links the order with the one sales order that there is.
fn linked(source_id: &str) -> Report {
    let link = Link {
        shop: "main".parse().unwrap(),
        kind: LinkKind::Order,
        source_id: source_id.to_owned(),
        model: "sale.order".into(),
        erp_id: ErpId(10),
        erp_name: None,
        state: LinkState::Linked,
        source_updated_at: None,
        agreed: serde_json::Value::Null,
        agreed_out: serde_json::Value::Null,
        writes: serde_json::Value::Null,
    };
    Report {
        links: vec![link],
        ..done()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conflict_of_links_is_told_although_the_job_is_wanted_again_by_then() {
    let gate = Arc::new(Semaphore::new(0));
    let ends = Arc::clone(&gate);
    let (rig, queue) = Rig::prepare(Settings::default(), move |job, _| {
        let gate = Arc::clone(&ends);
        async move {
            match (job.key.source_id.as_str(), job.attempt) {
                ("2", 1) => {
                    gate.acquire().await.unwrap().forget();
                    linked("2")
                }
                ("2", _) => done(),
                (id, _) => linked(id),
            }
        }
    })
    .await;
    let rig = rig.await_start(queue.telling(Arc::new(Codes)));
    rig.enqueue("main", Object::Order, 1).await;
    rig.until_in_state(JobState::Completed, 1).await;
    rig.enqueue("main", Object::Order, 2).await;
    rig.until("the second one began", 2, async || rig.began()).await;
    // Another event comes before its end.
    rig.enqueue("main", Object::Order, 2).await;
    gate.add_permits(1);
    rig.until("it was told", vec!["link_conflict".to_owned()], async || {
        told(&rig).await
    })
    .await;
    rig.until_in_state(JobState::Completed, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_is_told_with_the_problem_that_keeps_its_links_from_being_saved() {
    for (status, is_refused, expected) in [
        (
            Carried::Updated,
            false,
            &["order.synced Updated #1001", "link_conflict"][..],
        ),
        // That it was made, and what its link would remember, the repeat tells.
        (Carried::Created, false, &["link_conflict"]),
        (Carried::Skipped, false, &["link_conflict"]),
        (
            Carried::Updated,
            true,
            &["order.synced Updated #1001", "result_not_stored"],
        ),
        (Carried::Created, true, &["result_not_stored"]),
    ] {
        let (rig, queue) = Rig::prepare(Settings::default(), move |job, _| async move {
            match job.key.source_id.as_str() {
                "2" => wrote(linked("2"), status),
                id => linked(id),
            }
        })
        .await;
        let rig = rig.await_start(queue.telling(Arc::new(Codes)));
        if is_refused {
            rig.store.fail("finish", StoreFault::Refuses, 3);
        } else {
            rig.enqueue("main", Object::Order, 1).await;
            rig.until_in_state(JobState::Completed, 1).await;
        }
        let before = rig.store.calls("add_notifications");
        rig.enqueue("main", Object::Order, 2).await;
        rig.until("it is a problem", 1, async || {
            rig.clock.advance(Duration::from_secs(1));
            rig.in_state(JobState::Problem).await
        })
        .await;
        // It stands there as soon as the problem does: nothing is told by itself.
        assert_eq!(told(&rig).await, expected, "{status:?} {is_refused}");
        assert_eq!(rig.store.calls("add_notifications"), before);
        let job = rig
            .jobs()
            .await
            .into_iter()
            .find(|job| job.state == JobState::Problem);
        assert_eq!(job.unwrap().attempts, 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_cut_attempt_tells_in_parting_is_remembered_by_its_links() {
    let settings = Settings {
        attempt_limit_s: NonZeroU64::new(60).unwrap(),
        ..Settings::default()
    };
    let (rig, queue) = Rig::prepare(settings, |_, stop| async move {
        stop.cancelled().await;
        let stopped = Report {
            outcome: Outcome::Interrupted,
            ..linked("1")
        };
        wrote(stopped, Carried::Updated)
    })
    .await;
    let rig = rig.await_start(queue.telling(Arc::new(Codes)));
    rig.enqueue("main", Object::Order, 1).await;
    rig.until("it began", 1, async || rig.began()).await;
    rig.until("it is cut", 1, async || {
        rig.clock.advance(minutes(1));
        rig.in_state(JobState::Retryable).await
    })
    .await;
    assert_eq!(
        told(&rig).await,
        ["order.synced Updated #1001", "payment.completed"]
    );
    let links = rig
        .store
        .links(&"main".parse().unwrap(), LinkKind::Order, &["1".to_owned()])
        .await
        .unwrap();
    assert_eq!(links.len(), 1);
}
