//! Retries of many jobs: each once, whatever dies, and to be stopped.

use std::time::Duration;

use super::fixture::Fixture;
use super::given::{START, claim, finish, problem, shop, state};
use super::review::{act, anna, failed};
use crate::domain::{JobState, Object, Timestamp};
use crate::store::{
    Acted, Action, BatchFilter, BatchRow, BatchState, JobFilter, OpenMode, SharedStore, Verdict,
};

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(86_400);

/// So many jobs of orders that need a person, past the store: one by one they would take minutes.
const MANY: &str = "
    WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000)
    INSERT INTO jobs (lane_id, source_id, state, priority, run_at, wanted, taken, events, wanted_since, cause,
                      created_at, updated_at)
    SELECT (SELECT id FROM lanes WHERE object = 'order'), 'many-' || i, 'problem', 1, 5, 1, 1, 1, 5, 'a test', 5, 5
    FROM n";

const THEIR_PROBLEMS: &str = "
    INSERT INTO problems (shop, job_id, code, reason, fix, owner, cluster, detail, opened_at, seen_at, count)
    SELECT 'main', id, 'tax', 'no such tax', 'make it', 'accounting', 'tax:21', 'null', 5, 5, 1
    FROM jobs WHERE source_id LIKE 'many-%'";

async fn step(store: &SharedStore, batch: i64, now: Timestamp) -> BatchRow {
    store
        .batch_step(batch, now)
        .await
        .unwrap()
        .expect("the batch exists")
}

pub(super) async fn a_batch_retries_each_job_once_whatever_dies(fixture: Fixture) {
    // The lane exists, and one job of another cause that must be left alone.
    let other = failed(&fixture.store, "other", "customer").await;
    fixture.execute(MANY).await;
    fixture.execute(THEIR_PROBLEMS).await;
    let filter = BatchFilter {
        shop: Some(shop()),
        code: Some("tax".into()),
        cluster: Some("tax:21".into()),
        ..BatchFilter::default()
    };
    let start = Action::StartBatch {
        filter,
        per_second: 500,
    };
    let Acted::Batch { id, is_new: true } = act(&fixture.store, start.clone()).await else {
        panic!("a batch");
    };
    assert_eq!(
        act(&fixture.store, start).await,
        Acted::Batch { id, is_new: false },
        "a second click"
    );
    let mut fixture = fixture;
    let mut now = START;
    for round in 1..=9 {
        let row = step(&fixture.store, id, now).await;
        assert_eq!((row.total, row.done), (10_000, 500 * round));
        assert_eq!(
            step(&fixture.store, id, now).await.done,
            row.done,
            "not before the next second"
        );
        now = now.plus(SECOND);
    }
    // Some of those that were tried again fail again at once: they are not tried a second time.
    let again = claim(&fixture.store, Object::Order, 20, now).await;
    assert_eq!(again.len(), 20);
    for job in &again {
        finish(&fixture.store, job, now, Verdict::Problem(problem("tax"))).await;
    }
    fixture = fixture.crash().await;
    // Another process makes its steps, too.
    let beside = fixture.open(OpenMode::Tool).await.unwrap();
    let running = beside.batches(true, 0).await.unwrap();
    assert_eq!((running.len(), running[0].id, running[0].done), (1, id, 4500));
    let mut done = 4500;
    while done < 10_000 {
        now = now.plus(SECOND);
        let (ours, theirs) = tokio::join!(step(&fixture.store, id, now), step(&beside, id, now));
        done = ours.done.max(theirs.done);
        assert_eq!(done % 500, 0, "one step in a second, whoever makes it");
    }
    assert_eq!(
        step(&fixture.store, id, now.plus(SECOND)).await.state,
        BatchState::Done
    );
    beside.close().await;

    let retried = fixture.number(RETRIES).await;
    let jobs = fixture.number(RETRIED_JOBS).await;
    assert_eq!((retried, jobs), (10_000, 10_000), "each once");
    let left = JobFilter {
        states: vec![JobState::Problem],
        limit: 100,
        ..JobFilter::default()
    };
    let left = fixture.store.jobs(left).await.unwrap();
    assert_eq!(left.len(), 21, "those that failed again, and the other cause");
    assert!(left.iter().any(|job| job.id == other));
    let row = &fixture.store.batches(false, 0).await.unwrap()[0];
    assert_eq!(
        (row.state, row.done, row.actor.clone()),
        (BatchState::Done, 10_000, anna())
    );
}

const RETRIES: &str = "SELECT count(*) FROM audit WHERE action = 'retry'";
const RETRIED_JOBS: &str = "SELECT count(DISTINCT subject) FROM audit WHERE action = 'retry'";

pub(super) async fn a_batch_can_be_stopped_and_takes_nothing_new(fixture: Fixture) {
    let store = &fixture.store;
    let mut jobs = Vec::new();
    for id in ["1", "2", "3"] {
        jobs.push(failed(store, id, "tax").await);
    }
    let filter = BatchFilter {
        object: Some(Object::Order),
        ..BatchFilter::default()
    };
    let start = Action::StartBatch {
        filter,
        per_second: 2,
    };
    let Acted::Batch { id, .. } = act(store, start.clone()).await else {
        panic!("a batch");
    };
    let later = failed(store, "4", "tax").await;
    assert_eq!(step(store, id, START).await.done, 2);
    for job in claim(store, Object::Order, 5, START).await {
        finish(store, &job, START, Verdict::Completed).await;
    }
    assert_eq!(act(store, Action::StopBatch { batch: id }).await, Acted::Done);
    assert_eq!(act(store, Action::StopBatch { batch: id }).await, Acted::Already);
    assert_eq!(act(store, Action::StopBatch { batch: 999 }).await, Acted::Unknown);
    assert_eq!(step(store, id, START.plus(DAY)).await.state, BatchState::Stopped);
    assert_eq!(state(store, jobs[2]).await, JobState::Problem);

    // Begun anew it takes what is left, and not what came after its start.
    let Acted::Batch {
        id: second,
        is_new: true,
    } = act(store, start.clone()).await
    else {
        panic!("another batch");
    };
    let newest = failed(store, "5", "tax").await;
    let row = step(store, second, START).await;
    assert_eq!((row.total, row.done), (2, 2));
    assert_eq!(
        step(store, second, START.plus(SECOND)).await.state,
        BatchState::Done
    );
    assert_eq!(state(store, later).await, JobState::Available);
    assert_eq!(state(store, newest).await, JobState::Problem);
    assert_eq!(
        store.batch_step(999, START).await.unwrap().map(|row| row.id),
        None
    );
    let nobody = Action::StartBatch {
        filter: BatchFilter {
            code: Some("unheard".into()),
            ..BatchFilter::default()
        },
        per_second: 2,
    };
    assert_eq!(act(store, nobody).await, Acted::Already, "nothing fits");
}
