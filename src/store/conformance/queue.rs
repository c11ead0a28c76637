//! Claims, leases, fences, and what each end of an attempt makes of its job.

use std::collections::BTreeSet;
use std::time::Duration;

use super::fixture::Fixture;
use super::given::{
    LEASE, START, claim, claim_as, claim_one, delivery, finish, key, lane, new_job, order, problem, record,
    retry_at, shop, state, story,
};
use crate::domain::{JobId, JobState, Object, Priority, System, Timestamp};
use crate::store::{Claim, Finished, Verdict};
use futures_util::future::join_all;

const SECOND: Duration = Duration::from_secs(1);

pub(super) async fn an_enqueued_job_is_claimed_once(fixture: Fixture) {
    let store = &fixture.store;
    let first = store.enqueue(new_job(&order("1"), START)).await.unwrap();
    assert!(first.created);
    let again = store.enqueue(new_job(&order("1"), START)).await.unwrap();
    assert_eq!((again.job, again.created), (first.job, false));

    let job = claim_one(store, Object::Order, START).await;
    assert_eq!(job.id, first.job);
    assert_eq!(job.key, order("1"));
    assert_eq!((job.attempt, job.failed_attempts, job.unclean_at), (1, 0, None));
    assert_eq!(job.wanted_since, START);
    assert!(claim(store, Object::Order, 10, START).await.is_empty());
    assert_eq!(state(store, job.id).await, JobState::Running);
    assert_eq!(
        finish(store, &job, START, Verdict::Completed).await,
        Finished::Done(JobState::Completed)
    );
    assert!(claim(store, Object::Order, 10, START).await.is_empty());
}

pub(super) async fn two_claimers_never_share_a_job(fixture: Fixture) {
    const JOBS: usize = 200;
    let store = &fixture.store;
    join_all((0..JOBS).map(|n| store.enqueue(new_job(&order(&n.to_string()), START)))).await;
    let claims = join_all((0..10).map(|n| async move {
        claim_as(store, &format!("node-{}", n % 2), Object::Order, 20, START, LEASE).await
    }))
    .await;
    let mut ids: Vec<JobId> = claims.iter().flatten().map(|job| job.id).collect();
    // A racing claim may pass over rows that another one holds at that moment; they are found by the next look.
    while ids.len() < JOBS {
        let more = claim(store, Object::Order, 50, START).await;
        assert!(!more.is_empty(), "{} of {JOBS} were claimed", ids.len());
        ids.extend(more.iter().map(|job| job.id));
    }
    assert_eq!(ids.len(), JOBS);
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), JOBS);
}

pub(super) async fn claims_go_by_priority_then_age(fixture: Fixture) {
    let store = &fixture.store;
    for (id, priority, seconds) in [
        ("background", Priority::BACKGROUND, 0),
        ("live-2", Priority::LIVE, 2),
        ("live-1", Priority::LIVE, 1),
        ("urgent", Priority::URGENT, 3),
        ("raised", Priority::BACKGROUND, 0),
    ] {
        let mut job = new_job(&order(id), START.plus(SECOND * seconds));
        job.priority = priority;
        store.enqueue(job).await.unwrap();
    }
    let mut raise = new_job(&order("raised"), START.plus(SECOND * 9));
    raise.priority = Priority::URGENT;
    store.enqueue(raise).await.unwrap();

    let now = START.plus(SECOND * 10);
    let first: Vec<String> = claim(store, Object::Order, 3, now)
        .await
        .into_iter()
        .map(|job| job.key.source_id)
        .collect();
    assert_eq!(first, ["raised", "urgent", "live-1"]);
    let rest: Vec<String> = claim(store, Object::Order, 3, now)
        .await
        .into_iter()
        .map(|job| job.key.source_id)
        .collect();
    assert_eq!(rest, ["live-2", "background"]);
}

pub(super) async fn lanes_are_ready_when_a_job_is_due(fixture: Fixture) {
    let store = &fixture.store;
    assert!(store.ready_lanes(START).await.unwrap().is_empty());
    store
        .enqueue(new_job(&order("1"), START.plus(SECOND)))
        .await
        .unwrap();
    store
        .enqueue(new_job(&key(Object::Product, "1"), START))
        .await
        .unwrap();
    store
        .enqueue(new_job(&order("2"), START.plus(SECOND * 5)))
        .await
        .unwrap();
    let ready = |at: Timestamp| async move {
        let lanes = store.ready_lanes(at).await.unwrap();
        lanes
            .into_iter()
            .map(|ready| (ready.lane, ready.oldest_due))
            .collect::<Vec<_>>()
    };
    let (orders, products) = (lane(Object::Order), lane(Object::Product));
    assert_eq!(ready(START).await, [(products.clone(), START)]);
    assert_eq!(
        ready(START.plus(SECOND * 7)).await,
        [(products, START), (orders, START.plus(SECOND))]
    );

    // Of several lanes a claim takes as many as it was told for each; unknown lanes and repeated ones do no harm.
    let now = START.plus(SECOND * 7);
    let jobs = store
        .claim(Claim {
            node: "node-1".to_owned(),
            lanes: vec![
                (lane(Object::Product), 5),
                (lane(Object::Customer), 5),
                (lane(Object::Order), 1),
                (lane(Object::Order), 1),
            ],
            now,
            lease: LEASE,
        })
        .await
        .unwrap();
    let keys: Vec<_> = jobs.into_iter().map(|job| job.key).collect();
    assert_eq!(keys, [key(Object::Product, "1"), order("1")]);
}

pub(super) async fn an_event_during_a_run_makes_the_job_available_again(fixture: Fixture) {
    let store = &fixture.store;
    store
        .record_delivery(delivery("a", &order("1"), START))
        .await
        .unwrap();
    let job = claim_one(store, Object::Order, START).await;
    let (second, third) = (START.plus(SECOND), START.plus(SECOND * 2));
    store
        .record_delivery(delivery("b", &order("1"), second))
        .await
        .unwrap();
    store
        .record_delivery(delivery("c", &order("1"), third))
        .await
        .unwrap();
    assert!(
        claim(store, Object::Order, 10, third).await.is_empty(),
        "one running job per key"
    );

    assert_eq!(
        finish(store, &job, third, Verdict::Completed).await,
        Finished::Done(JobState::Available)
    );
    let next = claim_one(store, Object::Order, third).await;
    assert_eq!(next.id, job.id, "the same row, no follow-up row");
    assert_eq!(next.attempt, 2);
    assert_eq!(next.wanted_since, second, "the first event is served");
    assert_eq!(next.triggered_at, Some(second.minus(SECOND * 2)));
    let reason = "deleted".to_owned();
    let ended = finish(store, &next, third, Verdict::Obsolete { reason }).await;
    assert_eq!(ended, Finished::Done(JobState::Obsolete));
    let row = story(store, job.id).await.job;
    assert_eq!(
        (row.events, row.attempts, row.reason.as_deref()),
        (3, 2, Some("deleted"))
    );
}

pub(super) async fn an_event_during_a_failing_run_does_not_get_lost(fixture: Fixture) {
    let store = &fixture.store;
    store
        .record_delivery(delivery("a", &order("1"), START))
        .await
        .unwrap();
    let job = claim_one(store, Object::Order, START).await;
    store
        .record_delivery(delivery("b", &order("1"), START.plus(SECOND)))
        .await
        .unwrap();
    // The attempt may have read the record before the change that the event tells of.
    let ended = finish(store, &job, START, Verdict::Problem(problem("tax_not_found"))).await;
    assert_eq!(ended, Finished::Done(JobState::Available));
    assert_eq!(
        store.open_problems(10).await.unwrap().len(),
        1,
        "the problem is shown all the same"
    );

    let job = claim_one(store, Object::Order, START.plus(SECOND)).await;
    assert_eq!(job.wanted_since, START, "nothing was served yet");
    store
        .record_delivery(delivery("c", &order("1"), START.plus(SECOND)))
        .await
        .unwrap();
    let at = START.plus(SECOND * 30);
    let ended = finish(store, &job, START, retry_at(at, true, None)).await;
    assert_eq!(
        ended,
        Finished::Done(JobState::Retryable),
        "a failing system gets its rest"
    );
    let job = claim_one(store, Object::Order, at).await;
    assert_eq!((job.wanted_since, job.failed_attempts), (START, 1));
    let ended = finish(store, &job, at, Verdict::Completed).await;
    assert_eq!(ended, Finished::Done(JobState::Completed));
}

pub(super) async fn retries_count_only_when_they_should(fixture: Fixture) {
    let store = &fixture.store;
    store.enqueue(new_job(&order("1"), START)).await.unwrap();
    let mut now = START;
    for (counts, expected) in [(true, 1), (false, 1), (true, 2)] {
        let job = claim_one(store, Object::Order, now).await;
        let at = now.plus(SECOND * 20);
        let ended = finish(store, &job, now, retry_at(at, counts, None)).await;
        assert_eq!(ended, Finished::Done(JobState::Retryable));
        assert!(
            claim(store, Object::Order, 1, at.minus(SECOND)).await.is_empty(),
            "not before its time"
        );
        assert_eq!(story(store, job.id).await.job.run_at, Some(at));
        now = at;
        let next = claim_one(store, Object::Order, now).await;
        assert_eq!(next.failed_attempts, expected);
        finish(store, &next, now, Verdict::Release).await;
    }
    // Success forgets the failures.
    let job = claim_one(store, Object::Order, now).await;
    store.enqueue(new_job(&order("1"), now)).await.unwrap();
    finish(store, &job, now, Verdict::Completed).await;
    assert_eq!(claim_one(store, Object::Order, now).await.failed_attempts, 0);
}

pub(super) async fn a_release_leaves_no_trace(fixture: Fixture) {
    let store = &fixture.store;
    store.enqueue(new_job(&order("1"), START)).await.unwrap();
    let job = claim_one(store, Object::Order, START).await;
    store
        .lock(job.id, job.fence, vec![record("customer", "5")])
        .await
        .unwrap();
    let now = START.plus(SECOND);
    assert_eq!(
        finish(store, &job, now, Verdict::Release).await,
        Finished::Done(JobState::Available)
    );
    let before = story(store, job.id).await;
    assert_eq!((before.job.attempts, before.attempts.len()), (0, 0));
    let again = claim_one(store, Object::Order, START).await;
    assert_eq!(
        (again.attempt, again.failed_attempts, again.unclean_at),
        (1, 0, None)
    );
    assert!(again.fence > job.fence);
    assert_eq!(
        finish(store, &job, now, Verdict::Completed).await,
        Finished::Stale
    );
    // An event that came meanwhile is served by the next attempt, not by one more.
    store.enqueue(new_job(&order("1"), now)).await.unwrap();
    finish(store, &again, now, Verdict::Release).await;
    let last = claim_one(store, Object::Order, now).await;
    assert_eq!(
        finish(store, &last, now, Verdict::Completed).await,
        Finished::Done(JobState::Completed)
    );
}

pub(super) async fn recovery_hastens_only_what_that_system_stopped(fixture: Fixture) {
    let store = &fixture.store;
    let far = START.plus(SECOND * 3600);
    for (id, system) in [
        ("1", Some(System::Erp)),
        ("2", Some(System::Shopify)),
        ("3", None),
    ] {
        store.enqueue(new_job(&order(id), START)).await.unwrap();
        let job = claim_one(store, Object::Order, START).await;
        finish(store, &job, START, retry_at(far, false, system)).await;
    }
    let now = START.plus(SECOND);
    assert_eq!(
        store
            .hasten(&super::given::other_shop(), System::Erp, now)
            .await
            .unwrap(),
        0
    );
    assert_eq!(store.hasten(&shop(), System::Erp, now).await.unwrap(), 1);
    let jobs = claim(store, Object::Order, 10, now).await;
    assert_eq!(jobs.len(), 1);
    assert_eq!(jobs[0].key, order("1"));
}

pub(super) async fn every_closed_state_lets_a_new_job_be_made(fixture: Fixture) {
    let store = &fixture.store;
    let mut last = None;
    for verdict in [
        Verdict::Completed,
        Verdict::Obsolete {
            reason: "deleted".to_owned(),
        },
    ] {
        let made = store.enqueue(new_job(&order("1"), START)).await.unwrap();
        assert!(made.created);
        assert_ne!(Some(made.job), last);
        let job = claim_one(store, Object::Order, START).await;
        finish(store, &job, START, verdict).await;
        last = Some(made.job);
    }
    let made = store.enqueue(new_job(&order("1"), START)).await.unwrap();
    assert!(made.created);
    assert!(Some(made.job) > last, "numbers never come back");
}

pub(super) async fn a_problem_stays_open_until_an_attempt_succeeds(fixture: Fixture) {
    let store = &fixture.store;
    store
        .record_delivery(delivery("a", &order("1"), START))
        .await
        .unwrap();
    let job = claim_one(store, Object::Order, START).await;
    let ended = finish(store, &job, START, Verdict::Problem(problem("tax_not_found"))).await;
    assert_eq!(ended, Finished::Done(JobState::Problem));
    assert!(claim(store, Object::Order, 1, START).await.is_empty());
    assert_eq!(
        story(store, job.id).await.job.problem,
        Some(problem("tax_not_found"))
    );

    // A new event starts it again; the problem is still there.
    let second = START.plus(SECOND);
    store
        .record_delivery(delivery("b", &order("1"), second))
        .await
        .unwrap();
    let job = claim_one(store, Object::Order, second).await;
    assert_eq!(job.failed_attempts, 0);
    assert_eq!(store.open_problems(10).await.unwrap().len(), 1);
    // The same cause again is the same problem; its words are renewed.
    let mut renewed = problem("tax_not_found");
    renewed.reason = "there is still no such tax".to_owned();
    finish(store, &job, second, Verdict::Problem(renewed.clone())).await;
    let open = store.open_problems(10).await.unwrap();
    assert_eq!(open.len(), 1);
    assert_eq!(
        (open[0].count, open[0].opened_at, open[0].seen_at),
        (2, START, second)
    );
    assert_eq!(open[0].problem, renewed);

    // Another cause is another problem, in its place; a transient failure changes nothing.
    store
        .record_delivery(delivery("c", &order("1"), second))
        .await
        .unwrap();
    let job = claim_one(store, Object::Order, second).await;
    finish(
        store,
        &job,
        second,
        Verdict::Problem(problem("customer_ambiguous")),
    )
    .await;
    store
        .record_delivery(delivery("d", &order("1"), second))
        .await
        .unwrap();
    let job = claim_one(store, Object::Order, second).await;
    finish(store, &job, second, retry_at(second, true, None)).await;
    let open = store.open_problems(10).await.unwrap();
    assert_eq!(open.len(), 1);
    assert_eq!(open[0].problem.code, "customer_ambiguous".into());

    let job = claim_one(store, Object::Order, second).await;
    finish(store, &job, second, Verdict::Completed).await;
    assert!(store.open_problems(10).await.unwrap().is_empty());
    let story = story(store, job.id).await;
    assert_eq!(story.job.problem, None);
    assert_eq!(story.problems.len(), 2);
    assert!(story.problems.iter().all(|row| row.closed_at == Some(second)));
}

pub(super) async fn a_held_job_is_planned_anew_by_an_event_and_stays_held(fixture: Fixture) {
    let store = &fixture.store;
    store
        .record_delivery(delivery("a", &order("1"), START))
        .await
        .unwrap();
    let job = claim_one(store, Object::Order, START).await;
    let ended = finish(store, &job, START, Verdict::Held(problem("needs_approval"))).await;
    assert_eq!(ended, Finished::Done(JobState::Held));
    store
        .record_delivery(delivery("b", &order("1"), START))
        .await
        .unwrap();
    assert_eq!(
        story(store, job.id).await.job.problem,
        Some(problem("needs_approval")),
        "a person still has to say yes"
    );
    let again = claim_one(store, Object::Order, START).await;
    assert_eq!(again.id, job.id);
    // What came during the attempt may not have been seen by it.
    store
        .record_delivery(delivery("c", &order("1"), START))
        .await
        .unwrap();
    let ended = finish(store, &again, START, Verdict::Held(problem("needs_approval"))).await;
    assert_eq!(ended, Finished::Done(JobState::Available));
    let last = claim_one(store, Object::Order, START).await;
    let ended = finish(store, &last, START, Verdict::Held(problem("needs_approval"))).await;
    assert_eq!(ended, Finished::Done(JobState::Held));
    assert!(claim(store, Object::Order, 1, START).await.is_empty());
    assert_eq!(story(store, job.id).await.job.state, JobState::Held);
}

pub(super) async fn the_next_due_time_is_the_earliest_after_the_last_look(fixture: Fixture) {
    let store = &fixture.store;
    assert_eq!(store.next_due().await.unwrap(), None);
    let (soon, late) = (START.plus(SECOND * 10), START.plus(SECOND * 20));
    for (id, at) in [("1", late), ("2", soon)] {
        store.enqueue(new_job(&order(id), START)).await.unwrap();
        let job = claim_one(store, Object::Order, START).await;
        finish(store, &job, START, retry_at(at, true, None)).await;
    }
    store.enqueue(new_job(&order("3"), START)).await.unwrap();
    store.ready_lanes(START).await.unwrap();
    assert_eq!(store.next_due().await.unwrap(), Some(soon));
    // What was due at the last look was seen there: a paused lane must not make its reader run in circles.
    store.ready_lanes(soon).await.unwrap();
    assert_eq!(store.next_due().await.unwrap(), Some(late));
    store.ready_lanes(late).await.unwrap();
    assert_eq!(store.next_due().await.unwrap(), None);
}

pub(super) async fn work_is_announced(fixture: Fixture) {
    let store = &fixture.store;
    let announced = || async {
        tokio::time::timeout(Duration::from_secs(20), store.work_arrived())
            .await
            .expect("work is announced");
    };
    // Before as well as while somebody waits.
    store.enqueue(new_job(&order("1"), START)).await.unwrap();
    announced().await;
    let waiting = tokio::spawn({
        let store = store.clone();
        async move { store.work_arrived().await }
    });
    tokio::task::yield_now().await;
    store
        .record_delivery(delivery("a", &order("2"), START))
        .await
        .unwrap();
    tokio::time::timeout(Duration::from_secs(20), waiting)
        .await
        .expect("work is announced")
        .unwrap();

    // Work that another process brings, too.
    let tool = fixture.open(crate::store::OpenMode::Tool).await.unwrap();
    tool.enqueue(new_job(&order("3"), START)).await.unwrap();
    announced().await;
    tool.close().await;
}
