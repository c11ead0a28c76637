use std::sync::Arc;

use super::*;
use crate::domain::{Actor, Direction, JobKey, ManualClock, NewProblem, Object, Priority, Via};
use crate::store::testing::open_temp;
use crate::store::{Act, Action, Claim, Finish, Lane, NewJob, Noted, Verdict};

const START: Timestamp = Timestamp::from_millis(1_795_608_000_000);
const DAY: Duration = Duration::from_secs(24 * 3600);
const MINUTE: Duration = Duration::from_secs(60);

fn problem(cause: &str) -> Verdict {
    Verdict::Problem(NewProblem {
        code: "tax_not_found".into(),
        record: Some("#1_001".to_owned()),
        field: None,
        reason: format!("There is no tax | <{cause}>."),
        fix: "Make it.".to_owned(),
        owner: "accounting".to_owned(),
        mapping: None,
        cluster: cause.to_owned(),
        detail: serde_json::Value::Null,
    })
}

/// Asks for an order `asked_at`, and ends attempts of it then, each begun a minute before.
async fn order(store: &SharedStore, id: &str, asked_at: Timestamp, ends: Vec<(Timestamp, Verdict)>) -> JobId {
    let key = JobKey {
        shop: "main".parse().unwrap(),
        object: Object::Order,
        direction: Direction::In,
        source_id: id.to_owned(),
    };
    let job = NewJob {
        key: key.clone(),
        priority: Priority::LIVE,
        now: asked_at,
        cause: "a test".to_owned(),
    };
    let made = store.enqueue(job).await.unwrap().job;
    for (at, verdict) in ends {
        let claim = Claim {
            node: "a".to_owned(),
            lanes: vec![(Lane::of(&key), 1)],
            now: at.minus(MINUTE),
            lease: DAY,
        };
        let job = store.claim(claim).await.unwrap().remove(0);
        assert_eq!(job.id, made);
        let finish = Finish {
            job: job.id,
            fence: job.fence,
            started_at: at.minus(MINUTE),
            ended_at: at,
            verdict,
            unclean: false,
            summary: "it ended".to_owned(),
            detail: serde_json::Value::Null,
            revision: None,
            record_name: Some(format!("#{id}")),
            erp_name: None,
            links: Vec::new(),
            enqueue: Vec::new(),
            disables_shop: None,
            notifications: Vec::new(),
        };
        store.finish(finish).await.unwrap();
    }
    made
}

#[tokio::test]
async fn a_week_is_told_with_failures_hands_and_slow_jobs() {
    let (_folder, store) = open_temp(Arc::new(ManualClock::new(START))).await;
    let at = |minutes: u32| START.plus(MINUTE * minutes);
    // Before the week.
    order(
        &store,
        "1",
        START.minus(DAY * 8),
        vec![(START.minus(DAY * 8).plus(MINUTE), problem("old"))],
    )
    .await;
    // Waits ten minutes, fails, rests for twenty, succeeds: 31 minutes.
    let retry = Verdict::Retry {
        at: at(30),
        counts: true,
        system_down: None,
    };
    let slow = order(
        &store,
        "2",
        at(0),
        vec![(at(11), retry), (at(31), Verdict::Completed)],
    )
    .await;
    order(&store, "3", at(40), vec![(at(41), Verdict::Completed)]).await;
    let first = order(&store, "4", at(50), vec![(at(51), problem("21 %"))]).await;
    order(&store, "5", at(52), vec![(at(53), problem("21 %"))]).await;
    order(&store, "6", at(54), vec![(at(55), problem("7 %"))]).await;
    let act = Act {
        actor: Actor::new("ada", Via::Console),
        reason: Some("a duplicate".to_owned()),
        at: at(60),
        action: Action::Discard { job: first },
    };
    store.act(act).await.unwrap();

    let now = at(70);
    let report = report(&store, None, DAY * 7, now).await.unwrap();
    let failed: Vec<_> = report
        .failed
        .iter()
        .map(|cause| (cause.cluster.as_str(), cause.failures.len(), cause.open))
        .collect();
    assert_eq!(failed, [("21 %", 2, 1), ("7 %", 1, 1)]);
    assert_eq!(report.slow[0].job.job, slow);
    let parts = &report.slow[0];
    assert_eq!(
        (
            parts.job.took_ms / 60_000,
            parts.until_heard_ms,
            parts.until_begun_ms / 60_000,
            parts.in_attempts_ms / 60_000,
            parts.between_attempts_ms / 60_000
        ),
        (31, 0, 10, 2, 19)
    );
    assert_eq!(report.by_hand.len(), 1);
    assert_eq!(report.by_hand[0].actor, "ada");
    let mut open: Vec<_> = report.open.iter().map(|open| open.reason.as_str()).collect();
    open.sort_unstable();
    assert_eq!(open.len(), 3, "what is older and open is told, too: {open:?}");
    assert_eq!(report.queue_depth, 3);
    let text = report.markdown();
    for expected in [
        "# Review: 2026-11-18 to 2026-11-25",
        "| Completed jobs | 2 |",
        "| Failed jobs | 3 |",
        "| Retries | 1 |",
        "| Manual corrections | 0 |",
        "| Duplicate skips | 0 |",
        "| Queue depth now | 3 |",
        "### 2 times `tax_not_found` in main, 1 open",
        "There is no tax \\| \\<21 %\\>.",
        "| ada | discard | job:4 | a duplicate |",
    ] {
        assert!(text.contains(expected), "{expected}\n{text}");
    }
    insta::assert_snapshot!("week", text);
    let other = super::report(&store, Some(&"second".parse().unwrap()), DAY * 7, now)
        .await
        .unwrap();
    assert!(other.failed.is_empty() && other.slow.is_empty() && other.open.is_empty());
    assert_eq!((other.queue_depth, other.numbers.total.completed), (0, 0));
}

#[tokio::test]
async fn choices_are_done_by_hand_and_what_is_cut_is_told() {
    let (_folder, store) = open_temp(Arc::new(ManualClock::new(START))).await;
    let shop: ShopName = "main".parse().unwrap();
    let mut jobs = Vec::new();
    for (id, at) in [("1", START.minus(DAY * 8)), ("2", START)] {
        let ends = vec![(at.plus(MINUTE), problem("21 %"))];
        jobs.push((id, at, order(&store, id, at, ends).await));
    }
    for (id, at, job) in jobs {
        let act = Act {
            actor: Actor::new("ada", Via::Console),
            reason: None,
            at: at.plus(MINUTE),
            action: Action::Choose {
                job,
                note: Noted {
                    name: format!("choice:in:order:{id}"),
                    value: "ours".to_owned(),
                },
                detail: serde_json::Value::Null,
            },
        };
        store.act(act).await.unwrap();
    }
    let now = START.plus(MINUTE * 2);
    let whole = report(&store, None, DAY * 7, now).await.unwrap();
    let done: Vec<_> = whole
        .by_hand
        .iter()
        .map(|act| (act.action.as_str(), act.at))
        .collect();
    assert_eq!(done, [("choose", START.plus(MINUTE))], "and none of before");
    assert!(!whole.by_hand_is_cut && !whole.open_is_cut);
    assert!(!whole.markdown().contains("than is listed here"));
    for cause in 0..MOST_OPEN {
        let Verdict::Problem(problem) = problem(&cause.to_string()) else {
            panic!("a problem");
        };
        store.open_shop_problem(&shop, problem, now).await.unwrap();
    }
    let mut cut = report(&store, None, DAY * 7, now).await.unwrap();
    assert!(cut.open_is_cut);
    assert!(cut.markdown().contains("More is open than is listed here"));
    cut.by_hand_is_cut = true;
    assert!(cut.markdown().contains("More was done than is listed here"));
}
