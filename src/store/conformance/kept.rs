//! Counts that are kept come to what there is, whatever happened.

use std::time::Duration;

use super::fixture::Fixture;
use super::given::{
    START, claim_one, delivery, end, finish, key, new_job, order, other_shop, problem, record, shop,
};
use super::review::{act, failed};
use crate::domain::{JobId, JobState, Object, Timestamp};
use crate::store::{
    Action, BatchFilter, ClusterFilter, ClusterRow, JobFilter, JobName, SharedStore, Verdict,
};

const DAY: Duration = Duration::from_secs(86_400);

/// How many of the kept rows are not what a look at all rows finds, or the other way round.
pub(in crate::store) const MISCOUNTED: &str = "
    SELECT (SELECT count(*) FROM (
        SELECT lane_id, state, count FROM job_counts WHERE count <> 0 EXCEPT
        SELECT lane_id, state, count(*) FROM jobs WHERE ended_at IS NULL AND state <> 'running' GROUP BY lane_id, state) AS a)
    + (SELECT count(*) FROM (
        SELECT lane_id, state, count(*) FROM jobs WHERE ended_at IS NULL AND state <> 'running' GROUP BY lane_id, state EXCEPT
        SELECT lane_id, state, count FROM job_counts) AS b)
    + (SELECT count(*) FROM (
        SELECT cluster, code, shop, problems, jobs FROM problem_counts WHERE problems <> 0 OR jobs <> 0 EXCEPT
        SELECT cluster, code, shop, count(*), count(job_id) FROM problems WHERE closed_at IS NULL
            GROUP BY cluster, code, shop) AS c)
    + (SELECT count(*) FROM (
        SELECT cluster, code, shop, count(*), count(job_id) FROM problems WHERE closed_at IS NULL
            GROUP BY cluster, code, shop EXCEPT
        SELECT cluster, code, shop, problems, jobs FROM problem_counts) AS d)
    + (SELECT count(*) FROM (
        SELECT kind, value, lane_id, state, job_id FROM names_at_rest EXCEPT
        SELECT n.kind, n.value, j.lane_id, j.state, j.id FROM job_names AS n JOIN jobs AS j ON j.id = n.job_id
            WHERE j.state IN ('held', 'problem')) AS e)
    + (SELECT count(*) FROM (
        SELECT n.kind, n.value, j.lane_id, j.state, j.id FROM job_names AS n JOIN jobs AS j ON j.id = n.job_id
            WHERE j.state IN ('held', 'problem') EXCEPT
        SELECT kind, value, lane_id, state, job_id FROM names_at_rest) AS f)";

/// Fails when a count is not what there is. Adds up what changed, where that is done, and looks again.
async fn check(fixture: &Fixture, after: &str) {
    assert_eq!(fixture.number(MISCOUNTED).await, 0, "after {after}");
    fixture.store.reclaim(fixture.now()).await.unwrap();
    assert_eq!(
        fixture.number(MISCOUNTED).await,
        0,
        "after {after}, and adding up"
    );
    if fixture.is_shared() {
        let left = "SELECT (SELECT count(*) FROM job_counts_changed) + (SELECT count(*) FROM problem_counts_changed)";
        assert_eq!(fixture.number(left).await, 0, "after {after}");
    }
}

async fn clusters(store: &SharedStore, limit: u32) -> Vec<ClusterRow> {
    let filter = ClusterFilter {
        limit,
        ..ClusterFilter::default()
    };
    store.problem_clusters(filter).await.unwrap()
}

/// A job of this order that needs a person and is found by an article.
async fn failed_of(store: &SharedStore, id: &str, code: &str, at: Timestamp) -> JobId {
    let made = store.enqueue(new_job(&order(id), START)).await.unwrap().job;
    let job = claim_one(store, Object::Order, at).await;
    let names = vec![JobName::Sku("HAT".to_owned())];
    assert!(store.note_names(job.id, job.fence, names).await.unwrap());
    finish(store, &job, at, Verdict::Problem(problem(code))).await;
    made
}

async fn hats_at_rest(store: &SharedStore) -> Vec<JobId> {
    let filter = JobFilter {
        known_by: Some(JobName::Sku("HAT".to_owned())),
        states: vec![JobState::Held, JobState::Problem],
        object: Some(Object::Order),
        ..JobFilter::default()
    };
    let rows = store.jobs(filter).await.unwrap();
    rows.iter().map(|row| row.id).collect()
}

pub(super) async fn what_is_kept_is_what_there_is(fixture: Fixture) {
    let store = &fixture.store;
    let mut jobs = Vec::new();
    for n in 0..6 {
        let code = if n % 3 == 0 { "customer" } else { "tax" };
        jobs.push(failed_of(store, &n.to_string(), code, START).await);
    }
    check(&fixture, "failing").await;
    jobs.sort_unstable_by(|a, b| b.cmp(a));
    assert_eq!(hats_at_rest(store).await, jobs);
    for shop in [shop(), other_shop()] {
        store
            .open_shop_problem(&shop, problem("tax"), START)
            .await
            .unwrap();
    }
    check(&fixture, "problems of shops").await;
    act(store, Action::Hold { job: jobs[0] }).await;
    check(&fixture, "holding").await;
    act(store, Action::Release { job: jobs[0] }).await;
    check(&fixture, "releasing").await;
    assert_eq!(hats_at_rest(store).await, jobs[1..]);
    act(store, Action::Discard { job: jobs[1] }).await;
    check(&fixture, "giving up").await;
    // An event sets it free, and one of another kind of trouble comes of it.
    store
        .record_delivery(delivery("again", &order("2"), START))
        .await
        .unwrap();
    check(&fixture, "an event").await;
    while let [job] = &super::given::claim(store, Object::Order, 1, START).await[..] {
        let mut ends = end(job, START, Verdict::Held(problem("review")));
        ends.enqueue = vec![new_job(&key(Object::Product, "9"), START)];
        store.finish(ends).await.unwrap();
    }
    check(&fixture, "another cause").await;
    let batch = Action::StartBatch {
        filter: BatchFilter::default(),
        per_second: 2,
    };
    let crate::store::Acted::Batch { id, .. } = act(store, batch).await else {
        panic!("no batch");
    };
    store.batch_step(id, fixture.now()).await.unwrap();
    check(&fixture, "a batch's step").await;
    store.close_shop_problems(&shop(), "tax", START).await.unwrap();
    check(&fixture, "a shop's problem that is over").await;
    let records = [record("order", "2"), record("order", "4")];
    store.redact(&shop(), &records, START).await.unwrap();
    check(&fixture, "a privacy request").await;
    while store.prune(START.plus(DAY * 40), 3).await.unwrap() > 0 {}
    check(&fixture, "deleting what is old").await;
    let counts = store.counts(START).await.unwrap();
    let told: u64 = clusters(store, 50).await.iter().map(|row| row.problems).sum();
    assert!(told > 0);
    assert_eq!(counts.open_problems, told);
}

pub(super) async fn the_example_of_a_cause_is_the_newest_that_is_open(fixture: Fixture) {
    let store = &fixture.store;
    let older = failed(store, "1", "tax").await;
    let newer = failed_of(store, "2", "tax", START.plus(DAY)).await;
    failed(store, "3", "customer").await;
    for is_added_up in [false, true] {
        if is_added_up {
            store.reclaim(START).await.unwrap();
        }
        let rows = clusters(store, 50).await;
        let tax = &rows[0];
        assert_eq!((tax.jobs, tax.example_job), (2, Some(newer)));
        assert_eq!((tax.opened_at, tax.seen_at), (START, START.plus(DAY)));
        // The list ends where it is asked to, and the most frequent one is not what is left out.
        let first = clusters(store, 1).await;
        assert_eq!((first.len(), &first[0].cluster), (1, &tax.cluster));
    }
    act(store, Action::Discard { job: newer }).await;
    for is_added_up in [false, true] {
        if is_added_up {
            store.reclaim(START).await.unwrap();
        }
        let rows = clusters(store, 50).await;
        let tax = rows.iter().find(|row| row.cluster.code == "tax").unwrap();
        assert_eq!((tax.jobs, tax.example_job), (1, Some(older)));
        assert_eq!((tax.opened_at, tax.seen_at), (START, START));
    }
    act(store, Action::Discard { job: older }).await;
    let rows = clusters(store, 50).await;
    assert!(rows.iter().all(|row| row.cluster.code != "tax"), "{rows:?}");
}
