//! What others are told of ends that the store changes.

use super::*;
use crate::domain::{ErpId, Link, LinkKind, LinkState};
use crate::queue::{Ending, Notifier};
use crate::store::Verdict;

/// Tells the codes of problems.
struct Codes;

impl Notifier for Codes {
    fn of(&self, ending: &Ending<'_>) -> Vec<String> {
        match ending.verdict {
            Verdict::Problem(problem) => vec![problem.code.0.clone()],
            _ => Vec::new(),
        }
    }
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
        let told = rig.store.outbox(10).await.unwrap();
        told.into_iter().map(|row| row.body).collect::<Vec<_>>()
    })
    .await;
    rig.until_in_state(JobState::Completed, 2).await;
}
