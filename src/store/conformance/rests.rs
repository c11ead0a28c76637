//! When a job is looked at again: its rests, what may still take effect, and a clock that is set back.

use std::time::Duration;

use super::fixture::Fixture;
use super::given::{START, claim, claim_one, delivery, end, finish, new_job, order, retry_at, shop, story};
use crate::domain::{JobState, Object, System};
use crate::store::{Finished, GivenUpJob, Verdict};

const SECOND: Duration = Duration::from_secs(1);

pub(super) async fn events_leave_a_resting_job_its_time(fixture: Fixture) {
    let store = &fixture.store;
    store
        .record_delivery(delivery("a", &order("1"), START))
        .await
        .unwrap();
    let job = claim_one(store, Object::Order, START).await;
    let at = START.plus(SECOND * 300);
    finish(store, &job, START, retry_at(at, true, Some(System::Erp))).await;
    for (name, n) in [("b", 1), ("c", 2), ("d", 3)] {
        let now = START.plus(SECOND * n);
        store
            .record_delivery(delivery(name, &order("1"), now))
            .await
            .unwrap();
        store.enqueue(new_job(&order("1"), now)).await.unwrap();
        assert!(claim(store, Object::Order, 1, now).await.is_empty(), "{name}");
    }
    assert!(claim(store, Object::Order, 1, at.minus(SECOND)).await.is_empty());
    // What ends the rest is its time, the system's return, or a person.
    assert_eq!(store.hasten(&shop(), System::Erp, START).await.unwrap(), 1);
    let job = claim_one(store, Object::Order, START).await;
    assert_eq!((job.failed_attempts, job.wanted_since), (1, START));
    let ended = finish(store, &job, START, Verdict::Completed).await;
    assert_eq!(
        ended,
        Finished::Done(JobState::Completed),
        "all events are served by the one attempt"
    );
}

pub(super) async fn a_job_that_kills_its_process_rests_and_ends_as_a_problem(fixture: Fixture) {
    let mut fixture = fixture;
    for id in ["killer", "innocent"] {
        fixture.store.enqueue(new_job(&order(id), START)).await.unwrap();
    }
    let both = claim(&fixture.store, Object::Order, 2, START).await;
    let (killer, innocent) = (both[0].id, both[1].id);
    let mut times = Vec::new();
    for round in 1..=5 {
        fixture = fixture.crash().await;
        let now = fixture.now();
        let row = story(&fixture.store, killer).await.job;
        if round == 5 {
            assert_eq!(row.state, JobState::Problem);
            assert_eq!(row.problem.unwrap().code, "attempt_killed_the_process".into());
            break;
        }
        times.push(row.run_at.map_or(0, |at| at.since(now).as_secs()));
        if round == 2 {
            let other = story(&fixture.store, innocent).await.job.run_at.unwrap();
            assert!(other > row.run_at.unwrap(), "each is tried alone");
            // It comes through, and its row of killed attempts is forgotten.
            fixture.clock.advance(other.since(now));
            let due = claim(&fixture.store, Object::Order, 2, other).await;
            let job = due.iter().find(|job| job.id == innocent).unwrap();
            assert_eq!(job.failed_attempts, 0, "nobody's failure");
            finish(&fixture.store, job, other, Verdict::Completed).await;
            continue;
        }
        fixture
            .clock
            .advance(row.run_at.map_or(SECOND, |at| at.since(now)));
        let due = claim(&fixture.store, Object::Order, 2, fixture.now()).await;
        assert!(due.iter().any(|job| job.id == killer), "round {round}");
    }
    assert_eq!(times, [0, 10, 60, 300]);
    // Others are told, with the problem and not before.
    let told = fixture.store.outbox(10).await.unwrap();
    let told: Vec<_> = told
        .iter()
        .filter_map(|row| GivenUpJob::from_body(&row.body))
        .collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!((told[0].job, &told[0].key), (killer, &order("killer")));
    assert_eq!(told[0].problem.code, "attempt_killed_the_process".into());
    // A person's retry, after the cause was removed.
    let store = &fixture.store;
    let now = fixture.now();
    store.retry(killer, now).await.unwrap();
    let job = claim_one(store, Object::Order, now).await;
    let ended = finish(store, &job, now, Verdict::Completed).await;
    assert_eq!(ended, Finished::Done(JobState::Completed));
    assert!(store.open_problems(10).await.unwrap().is_empty());
}

pub(super) async fn an_end_that_knows_no_answer_is_remembered_until_a_success(fixture: Fixture) {
    let store = &fixture.store;
    store.enqueue(new_job(&order("1"), START)).await.unwrap();
    let job = claim_one(store, Object::Order, START).await;
    let mut cut = end(&job, START.plus(SECOND), retry_at(START, false, None));
    cut.unclean = true;
    store.finish(cut).await.unwrap();
    let job = claim_one(store, Object::Order, START.plus(SECOND)).await;
    assert_eq!(job.unclean_at, Some(START.plus(SECOND)));
    assert_eq!(
        job.settled_at(),
        Some(START.plus(SECOND * 131)),
        "the longest call later"
    );
    // An end that sent nothing says nothing of what was sent before.
    finish(store, &job, START.plus(SECOND * 9), retry_at(START, true, None)).await;
    let job = claim_one(store, Object::Order, START.plus(SECOND * 9)).await;
    assert_eq!(job.unclean_at, Some(START.plus(SECOND)));
    store.enqueue(new_job(&order("1"), START)).await.unwrap();
    finish(store, &job, START, Verdict::Completed).await;
    assert_eq!(claim_one(store, Object::Order, START).await.unclean_at, None);
}

pub(super) async fn no_job_wakes_itself(fixture: Fixture) {
    let store = &fixture.store;
    store.enqueue(new_job(&order("1"), START)).await.unwrap();
    let job = claim_one(store, Object::Order, START).await;
    let wait = Verdict::Wait {
        on: order("1").record(),
        until: START.plus(SECOND * 100),
    };
    assert_eq!(
        finish(store, &job, START, wait).await,
        Finished::Done(JobState::Scheduled)
    );
    let before = START.plus(SECOND * 99);
    assert!(claim(store, Object::Order, 1, before).await.is_empty());
    assert_eq!(
        claim(store, Object::Order, 1, START.plus(SECOND * 100))
            .await
            .len(),
        1
    );
}

pub(super) async fn a_job_of_a_newer_version_that_is_given_up_waits_in_the_outbox(fixture: Fixture) {
    let key = order("killer");
    fixture.store.enqueue(new_job(&key, START)).await.unwrap();
    claim_one(&fixture.store, Object::Order, START).await;
    let often = "UPDATE jobs SET unclean_attempts = 4 RETURNING CAST(1 AS BIGINT)";
    assert_eq!(fixture.number(often).await, 1);
    // After an upgrade of one node of several.
    let newer = "UPDATE lanes SET object = 'gift_card' RETURNING CAST(1 AS BIGINT)";
    assert_eq!(fixture.number(newer).await, 1);
    let fixture = fixture.crash().await;
    let told = fixture.store.outbox(10).await.unwrap();
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(GivenUpJob::from_body(&told[0].body), None);
    let body: serde_json::Value = serde_json::from_str(&told[0].body).unwrap();
    let about = &body["given_up_job"]["key"];
    assert_eq!(
        (&about["object"], &about["source_id"]),
        (&"gift_card".into(), &"killer".into())
    );
    let code = &body["given_up_job"]["problem"]["code"];
    assert_eq!(code, "attempt_killed_the_process");
}

pub(super) async fn ready_work_stays_ready_when_the_clock_is_set_back(fixture: Fixture) {
    let store = &fixture.store;
    let at = START.plus(SECOND * 5);
    for id in ["1", "2"] {
        store.enqueue(new_job(&order(id), START)).await.unwrap();
    }
    let resting = claim_one(store, Object::Order, START).await;
    finish(store, &resting, START, retry_at(at, true, None)).await;
    let back = START.minus(SECOND * 3600);
    assert!(store.ready_lanes(back).await.unwrap().is_empty());
    assert_eq!(store.clock_went_back(back).await.unwrap(), 1);
    assert_eq!(store.ready_lanes(back).await.unwrap().len(), 1);
    assert_eq!(claim(store, Object::Order, 5, back).await.len(), 1);
    // What rests until a time keeps it.
    assert_eq!(story(store, resting.id).await.job.run_at, Some(at));
    assert_eq!(store.clock_went_back(back).await.unwrap(), 0);
    // Whatever is wrong with deliveries: no job waits for them.
    fixture.execute("ALTER TABLE dispatches RENAME TO away").await;
    assert!(store.mend_dispatch_times(back).await.is_err());
    assert_eq!(store.clock_went_back(back).await.unwrap(), 0);
}
