//! Record locks and waits.

use std::time::Duration;

use super::fixture::Fixture;
use super::given::{
    START, claim, claim_as, claim_one, end, finish, key, new_job, order, problem, record, retry_at, state,
    story,
};
use crate::domain::{JobState, Object, RecordKey, System};
use crate::store::{ClaimedJob, Finished, Locked, SharedStore, Verdict};

const SECOND: Duration = Duration::from_secs(1);

fn partner(id: &str) -> RecordKey {
    RecordKey {
        system: System::Erp,
        ..record("res.partner", id)
    }
}

async fn running(store: &SharedStore, object: Object, id: &str) -> ClaimedJob {
    store.enqueue(new_job(&key(object, id), START)).await.unwrap();
    let job = claim_one(store, object, START).await;
    assert_eq!(job.key.source_id, id);
    job
}

async fn lock(store: &SharedStore, job: &ClaimedJob, records: &[RecordKey]) -> Locked {
    store.lock(job.id, job.fence, records.to_vec()).await.unwrap()
}

pub(super) async fn locks_are_taken_all_or_none(fixture: Fixture) {
    let store = &fixture.store;
    let one = running(store, Object::Order, "1").await;
    let two = running(store, Object::Order, "2").await;
    let (a, b, c) = (partner("1"), partner("2"), partner("3"));
    assert_eq!(lock(store, &one, &[b.clone(), b.clone()]).await, Locked::Taken);
    assert_eq!(
        lock(store, &one, &[b.clone()]).await,
        Locked::Taken,
        "again is no conflict with oneself"
    );
    assert_eq!(
        lock(store, &two, &[c.clone(), b.clone(), a.clone()]).await,
        Locked::Busy(b.clone())
    );
    // Nothing of the refused set stayed.
    assert_eq!(lock(store, &one, &[a.clone(), c.clone()]).await, Locked::Taken);
    assert_eq!(
        lock(store, &two, &[c.clone(), a.clone()]).await,
        Locked::Busy(a),
        "the first in their order"
    );
    assert_eq!(lock(store, &two, &[]).await, Locked::Taken);
}

pub(super) async fn another_running_jobs_own_record_is_busy(fixture: Fixture) {
    let store = &fixture.store;
    let customer = running(store, Object::Customer, "5").await;
    let order = running(store, Object::Order, "1").await;
    let record = record("customer", "5");
    assert_eq!(
        lock(store, &order, &[record.clone()]).await,
        Locked::Busy(record.clone())
    );
    assert_eq!(
        lock(store, &customer, &[record.clone()]).await,
        Locked::Taken,
        "one's own"
    );
    finish(store, &customer, START, Verdict::Completed).await;
    assert_eq!(lock(store, &order, &[record]).await, Locked::Taken);
}

pub(super) async fn a_locked_record_is_not_claimed_until_released(fixture: Fixture) {
    let store = &fixture.store;
    let holder = running(store, Object::Order, "1").await;
    assert_eq!(
        lock(store, &holder, &[record("customer", "5")]).await,
        Locked::Taken
    );
    for id in ["5", "6"] {
        store
            .enqueue(new_job(&key(Object::Customer, id), START))
            .await
            .unwrap();
    }
    // The locked one is set aside and does not use up the limit.
    let claimed = claim(store, Object::Customer, 1, START).await;
    assert_eq!(claimed.len(), 1);
    assert_eq!(claimed[0].key.source_id, "6");
    let jobs = store
        .jobs(crate::store::JobFilter {
            source_id: Some("5".to_owned()),
            ..Default::default()
        })
        .await
        .unwrap();
    assert_eq!(jobs[0].state, JobState::Scheduled);
    assert_eq!(jobs[0].waits_on, Some(record("customer", "5").to_string()));
    assert_eq!(jobs[0].attempts, 0);

    let now = START.plus(SECOND);
    finish(store, &holder, now, Verdict::Completed).await;
    let claimed = claim_one(store, Object::Customer, now).await;
    assert_eq!((claimed.key.source_id.as_str(), claimed.attempt), ("5", 1));
}

pub(super) async fn locks_end_with_the_attempt_and_wake_who_waits(fixture: Fixture) {
    let store = &fixture.store;
    let far = START.plus(SECOND * 3600);
    let now = START.plus(SECOND);
    for (id, verdict) in [
        ("completed", Verdict::Completed),
        (
            "obsolete",
            Verdict::Obsolete {
                reason: "deleted".to_owned(),
            },
        ),
        ("retry", retry_at(far, true, None)),
        ("problem", Verdict::Problem(problem("x"))),
        ("held", Verdict::Held(problem("y"))),
        ("release", Verdict::Release),
        (
            "wait",
            Verdict::Wait {
                on: partner("nobody"),
                until: far,
            },
        ),
    ] {
        let record = partner(id);
        let holder = running(store, Object::Order, &format!("holder {id}")).await;
        assert_eq!(lock(store, &holder, &[record.clone()]).await, Locked::Taken);
        let waiter = running(store, Object::Product, &format!("waiter {id}")).await;
        assert_eq!(
            lock(store, &waiter, &[record.clone()]).await,
            Locked::Busy(record.clone())
        );
        let wait = Verdict::Wait {
            on: record.clone(),
            until: far,
        };
        assert_eq!(
            finish(store, &waiter, START, wait).await,
            Finished::Done(JobState::Scheduled)
        );
        let row = story(store, waiter.id).await.job;
        assert_eq!(
            (row.run_at, row.waits_on),
            (Some(far), Some(record.to_string())),
            "{id}"
        );
        finish(store, &holder, now, verdict).await;
        let woken = claim_one(store, Object::Product, now).await;
        assert_eq!(woken.id, waiter.id, "{id}");
        assert_eq!(woken.failed_attempts, 0, "a wait is no failure");
        assert_eq!(lock(store, &woken, &[record]).await, Locked::Taken, "{id}");
        finish(store, &woken, now, Verdict::Completed).await;
        // Out of the way of the next case.
        if let Ok(true) = store.discard(holder.id, "test", now).await {
            assert_eq!(state(store, holder.id).await, JobState::Discarded);
        }
    }

    // The loss of the lease releases, too.
    store.enqueue(new_job(&order("dead"), START)).await.unwrap();
    let dead = claim_as(store, "node-1", Object::Order, 1, START, Duration::ZERO)
        .await
        .remove(0);
    assert_eq!(lock(store, &dead, &[partner("dead")]).await, Locked::Taken);
    let waiter = running(store, Object::Product, "waiter dead").await;
    finish(
        store,
        &waiter,
        START,
        Verdict::Wait {
            on: partner("dead"),
            until: far,
        },
    )
    .await;
    assert_eq!(store.reclaim(now).await.unwrap(), 1);
    assert_eq!(claim_one(store, Object::Product, now).await.id, waiter.id);
}

pub(super) async fn a_wait_for_a_free_record_is_short(fixture: Fixture) {
    let store = &fixture.store;
    let far = START.plus(SECOND * 3600);
    // Between the refused lock and the end of the attempt the record was released: nobody is left to wake the job.
    let waiter = running(store, Object::Order, "1").await;
    finish(
        store,
        &waiter,
        START,
        Verdict::Wait {
            on: partner("9"),
            until: far,
        },
    )
    .await;
    let soon = START.plus(SECOND * 2);
    assert_eq!(claim_one(store, Object::Order, soon).await.id, waiter.id);
}

pub(super) async fn a_job_waits_for_the_job_of_another_record(fixture: Fixture) {
    let store = &fixture.store;
    let far = START.plus(SECOND * 3600);
    let waiter = running(store, Object::Order, "1").await;
    let mut wait = end(
        &waiter,
        START,
        Verdict::Wait {
            on: record("product", "7"),
            until: far,
        },
    );
    wait.enqueue = vec![new_job(&key(Object::Product, "7"), START)];
    assert_eq!(
        store.finish(wait).await.unwrap(),
        Finished::Done(JobState::Scheduled)
    );
    assert!(
        claim(store, Object::Order, 1, START.plus(SECOND * 10))
            .await
            .is_empty()
    );

    let product = claim_one(store, Object::Product, START).await;
    assert!(
        claim(store, Object::Order, 1, START.plus(SECOND * 10))
            .await
            .is_empty()
    );
    finish(store, &product, START, Verdict::Completed).await;
    let woken = claim_one(store, Object::Order, START).await;
    assert_eq!((woken.id, woken.attempt), (waiter.id, 2));

    // Given up by a person: who waits is told at once, too.
    let mut wait = end(
        &woken,
        START,
        Verdict::Wait {
            on: record("product", "8"),
            until: far,
        },
    );
    wait.enqueue = vec![new_job(&key(Object::Product, "8"), START)];
    store.finish(wait).await.unwrap();
    let product = claim_one(store, Object::Product, START).await;
    finish(store, &product, START, retry_at(far, true, None)).await;
    let woken = claim_one(store, Object::Order, START).await;
    finish(
        store,
        &woken,
        START,
        Verdict::Wait {
            on: record("product", "8"),
            until: far,
        },
    )
    .await;
    assert!(
        claim(store, Object::Order, 1, START.plus(SECOND * 10))
            .await
            .is_empty()
    );
    assert!(
        store
            .discard(product.id, "not sold any more", START)
            .await
            .unwrap()
    );
    assert_eq!(claim_one(store, Object::Order, START).await.id, waiter.id);
}

pub(super) async fn a_lost_attempt_takes_no_locks(fixture: Fixture) {
    let store = &fixture.store;
    store.enqueue(new_job(&order("1"), START)).await.unwrap();
    let lost = claim_as(store, "node-1", Object::Order, 1, START, Duration::ZERO)
        .await
        .remove(0);
    store.reclaim(START.plus(SECOND)).await.unwrap();
    assert_eq!(lock(store, &lost, &[partner("1")]).await, Locked::Stale);
    let other = running(store, Object::Product, "1").await;
    assert_eq!(lock(store, &other, &[partner("1")]).await, Locked::Taken);
}
