//! What people see and order.

use std::time::Duration;

use super::fixture::Fixture;
use super::given::{
    START, claim, claim_one, delivery, end, finish, key, lane, link, new_job, order, other_shop, problem,
    record, retry_at, shop, state, story,
};
use crate::domain::{JobId, JobState, LinkKind, Object, Priority};
use crate::store::{DeliveryAction, JobFilter, Recorded, Retried, Verdict};

const SECOND: Duration = Duration::from_secs(1);

pub(super) async fn retry_depends_on_the_state(fixture: Fixture) {
    let store = &fixture.store;
    let far = START.plus(SECOND * 3600);
    let now = START.plus(SECOND);
    for verdict in [
        Verdict::Problem(problem("x")),
        Verdict::Held(problem("x")),
        retry_at(far, true, None),
        Verdict::Wait {
            on: record("product", "1"),
            until: far,
        },
    ] {
        let text = format!("{verdict:?}");
        let made = store.enqueue(new_job(&order(&text), START)).await.unwrap();
        let job = claim_one(store, Object::Order, now).await;
        assert_eq!(store.retry(job.id, now).await.unwrap(), Retried::Running);
        finish(store, &job, START, retry_at(START, true, None)).await;
        let job = claim_one(store, Object::Order, now).await;
        finish(store, &job, START, verdict).await;
        // Something that would go first if the person's job were not urgent.
        store
            .enqueue(new_job(&order("waits longer"), START.minus(SECOND)))
            .await
            .unwrap();
        assert_eq!(
            store.retry(made.job, now).await.unwrap(),
            Retried::Again(made.job),
            "{text}"
        );
        let job = claim_one(store, Object::Order, now).await;
        assert_eq!(
            (job.id, job.failed_attempts, job.attempt),
            (made.job, 0, 3),
            "{text}"
        );
        finish(store, &job, now, Verdict::Completed).await;
        let other = claim_one(store, Object::Order, now).await;
        finish(store, &other, now, Verdict::Completed).await;
    }

    let closed = store.enqueue(new_job(&order("closed"), START)).await.unwrap().job;
    assert_eq!(
        store.retry(closed, now).await.unwrap(),
        Retried::Again(closed),
        "one that waits is hurried"
    );
    let job = claim_one(store, Object::Order, now).await;
    finish(store, &job, now, Verdict::Completed).await;
    let Retried::New(fresh) = store.retry(closed, now).await.unwrap() else {
        panic!("a closed job gets a new one");
    };
    assert_ne!(fresh, closed);
    assert_eq!(
        store.retry(closed, now).await.unwrap(),
        Retried::Again(fresh),
        "never two of one key"
    );
    assert_eq!(story(store, fresh).await.job.key, order("closed"));
    assert_eq!(store.retry(JobId(999_999), now).await.unwrap(), Retried::Unknown);
}

pub(super) async fn discard_is_refused_while_the_job_runs(fixture: Fixture) {
    let store = &fixture.store;
    let made = store.enqueue(new_job(&order("1"), START)).await.unwrap().job;
    let job = claim_one(store, Object::Order, START).await;
    assert!(!store.discard(made, "no", START).await.unwrap());
    finish(store, &job, START, Verdict::Problem(problem("x"))).await;
    assert!(store.discard(made, "the customer withdrew", START).await.unwrap());
    let row = story(store, made).await.job;
    assert_eq!(
        (row.state, row.reason.as_deref()),
        (JobState::Discarded, Some("the customer withdrew"))
    );
    assert_eq!(row.problem, None);
    assert!(store.open_problems(10).await.unwrap().is_empty());
    assert!(!store.discard(made, "again", START).await.unwrap());
    assert!(!store.discard(JobId(999_999), "unknown", START).await.unwrap());
    assert!(claim(store, Object::Order, 1, START).await.is_empty());
}

pub(super) async fn discarded_work_comes_back_with_the_next_event(fixture: Fixture) {
    let store = &fixture.store;
    let made = store.enqueue(new_job(&order("1"), START)).await.unwrap().job;
    assert!(store.discard(made, "not wanted", START).await.unwrap());
    let Recorded::New { job: Some(next), .. } = store
        .record_delivery(delivery("a", &order("1"), START))
        .await
        .unwrap()
    else {
        panic!("a new job");
    };
    assert_ne!(next, made);
    assert_eq!(state(store, made).await, JobState::Discarded);
    assert_eq!(claim_one(store, Object::Order, START).await.id, next);
}

pub(super) async fn jobs_are_filtered_and_paged(fixture: Fixture) {
    let store = &fixture.store;
    let mut theirs = order("1");
    theirs.shop = other_shop();
    let mut ids = Vec::new();
    for key in [order("1"), order("2"), key(Object::Customer, "1"), theirs] {
        ids.push(store.enqueue(new_job(&key, START)).await.unwrap().job);
    }
    let job = claim_one(store, Object::Customer, START).await;
    let mut named = end(&job, START, Verdict::Problem(problem("x")));
    named.record_name = Some("Jane".to_owned());
    named.erp_name = Some("P00007".to_owned());
    store.finish(named).await.unwrap();

    let all = |filter: JobFilter| async move {
        let jobs = store.jobs(filter).await.unwrap();
        jobs.into_iter().map(|job| job.id).collect::<Vec<_>>()
    };
    let newest_first: Vec<JobId> = ids.iter().rev().copied().collect();
    assert_eq!(all(JobFilter::default()).await, newest_first);
    let two = JobFilter {
        limit: 2,
        ..Default::default()
    };
    assert_eq!(all(two.clone()).await, newest_first[..2]);
    assert_eq!(
        all(JobFilter {
            before: Some(newest_first[1]),
            ..two
        })
        .await,
        newest_first[2..]
    );
    let ours = JobFilter {
        shop: Some(shop()),
        object: Some(Object::Order),
        ..Default::default()
    };
    assert_eq!(all(ours).await, [ids[1], ids[0]]);
    let states = JobFilter {
        states: vec![JobState::Problem, JobState::Held],
        ..Default::default()
    };
    assert_eq!(all(states).await, [ids[2]]);
    let source = JobFilter {
        source_id: Some("1".to_owned()),
        ..Default::default()
    };
    assert_eq!(all(source).await, [ids[3], ids[2], ids[0]]);
    for name in ["Jane", "P00007"] {
        let by_name = JobFilter {
            name: Some(name.to_owned()),
            ..Default::default()
        };
        let jobs = store.jobs(by_name).await.unwrap();
        assert_eq!(jobs.len(), 1, "{name}");
        assert_eq!(jobs[0].problem, Some(problem("x")));
        assert_eq!(jobs[0].last_summary.as_deref(), Some("a test ended it"));
    }
    let nobody = JobFilter {
        name: Some("' OR 1 = 1 --".to_owned()),
        ..Default::default()
    };
    assert!(all(nobody).await.is_empty());
}

pub(super) async fn a_story_has_everything(fixture: Fixture) {
    let store = &fixture.store;
    store
        .record_delivery(delivery("a", &order("1"), START))
        .await
        .unwrap();
    let later = START.plus(SECOND);
    store
        .record_delivery(delivery("b", &order("1"), later))
        .await
        .unwrap();
    let job = claim_one(store, Object::Order, later).await;
    finish(store, &job, later, Verdict::Problem(problem("x"))).await;
    store.retry(job.id, later).await.unwrap();
    let job = claim_one(store, Object::Order, later).await;
    let mut done = end(&job, later, Verdict::Completed);
    done.record_name = Some("#1042".to_owned());
    done.links = vec![link(LinkKind::Order, "1", 42)];
    done.ended_at = later.plus(SECOND);
    store.finish(done).await.unwrap();

    let story = story(store, job.id).await;
    assert_eq!(story.job.record_name.as_deref(), Some("#1042"));
    assert_eq!(
        (story.job.created_at, story.job.updated_at),
        (START, later.plus(SECOND))
    );
    let topics: Vec<_> = story
        .events
        .iter()
        .map(|row| row.webhook_id.clone().unwrap())
        .collect();
    assert_eq!(topics, ["a", "b"]);
    assert_eq!(story.events[0].body_sha256, "sha of a");
    let attempts: Vec<_> = story
        .attempts
        .iter()
        .map(|row| (row.number, row.outcome.as_str()))
        .collect();
    assert_eq!(attempts, [(1, "problem"), (2, "completed")]);
    let last = &story.attempts[1];
    assert_eq!(
        (last.started_at, last.ended_at),
        (later, Some(later.plus(SECOND)))
    );
    assert_eq!((last.node.as_str(), last.revision), ("node-1", Some(7)));
    assert_eq!(last.detail, serde_json::json!({ "calls": 3 }));
    assert_eq!(story.problems.len(), 1);
    assert_eq!(story.problems[0].closed_at, Some(later.plus(SECOND)));
    assert!(store.job(JobId(999_999)).await.unwrap().is_none());
}

pub(super) async fn counts_follow_the_jobs(fixture: Fixture) {
    let store = &fixture.store;
    for n in 0..4 {
        let name = n.to_string();
        store
            .record_delivery(delivery(&name, &order(&name), START.plus(SECOND * n)))
            .await
            .unwrap();
    }
    let mut only_kept = delivery("kept", &order("1"), START);
    only_kept.action = DeliveryAction::Record {
        reason: "unused_topic",
    };
    store.record_delivery(only_kept).await.unwrap();
    let mut background = new_job(&key(Object::Product, "1"), START);
    background.priority = Priority::BACKGROUND;
    store.enqueue(background).await.unwrap();
    let now = START.plus(SECOND * 10);
    let jobs = claim(store, Object::Order, 3, now).await;
    finish(store, &jobs[0], now, Verdict::Completed).await;
    finish(store, &jobs[1], now, Verdict::Problem(problem("x"))).await;

    let counts = store.counts(now).await.unwrap();
    assert_eq!((counts.events, counts.open_problems), (5, 1));
    let seen: Vec<_> = counts
        .jobs
        .iter()
        .map(|row| (row.lane.clone(), row.state, row.count, row.oldest))
        .collect();
    let orders = lane(Object::Order);
    assert_eq!(
        seen,
        [
            (orders.clone(), JobState::Available, 1, START.plus(SECOND * 3)),
            (orders.clone(), JobState::Running, 1, START.plus(SECOND * 2)),
            (orders.clone(), JobState::Problem, 1, START.plus(SECOND)),
            (orders, JobState::Completed, 1, START),
            (lane(Object::Product), JobState::Available, 1, START),
        ]
    );
    // What ended more than a day ago is history.
    let tomorrow = now.plus(Duration::from_secs(24 * 3600 + 1));
    let counts = store.counts(tomorrow).await.unwrap();
    assert!(counts.jobs.iter().all(|row| row.state != JobState::Completed));
}

pub(super) async fn shop_problems_form_clusters(fixture: Fixture) {
    let store = &fixture.store;
    let later = START.plus(SECOND);
    store
        .open_shop_problem(&shop(), problem("secret_wrong"), START)
        .await
        .unwrap();
    store
        .open_shop_problem(&shop(), problem("secret_wrong"), later)
        .await
        .unwrap();
    store
        .open_shop_problem(&other_shop(), problem("secret_wrong"), START)
        .await
        .unwrap();
    let mut other = problem("secret_wrong");
    other.cluster = "another".to_owned();
    store.open_shop_problem(&shop(), other, START).await.unwrap();
    store
        .open_shop_problem(&shop(), problem("uninstalled"), START)
        .await
        .unwrap();

    let open = store.open_problems(10).await.unwrap();
    assert_eq!(open.len(), 4);
    assert!(open.iter().all(|row| row.job.is_none()));
    let first = open.last().unwrap();
    assert_eq!((first.count, first.opened_at, first.seen_at), (2, START, later));
    assert_eq!(store.open_problems(2).await.unwrap().len(), 2);

    assert_eq!(
        store
            .close_shop_problems(&shop(), "secret_wrong", later)
            .await
            .unwrap(),
        2
    );
    assert_eq!(
        store
            .close_shop_problems(&shop(), "secret_wrong", later)
            .await
            .unwrap(),
        0
    );
    assert_eq!(store.open_problems(10).await.unwrap().len(), 2);
    // After that the same cause is a new problem.
    store
        .open_shop_problem(&shop(), problem("secret_wrong"), later)
        .await
        .unwrap();
    let open = store.open_problems(10).await.unwrap();
    assert_eq!((open[0].count, open[0].opened_at), (1, later));
}

pub(super) async fn waiting_jobs_of_a_lane_are_discarded(fixture: Fixture) {
    let store = &fixture.store;
    let product = |id: &str| key(Object::Product, id);
    // An order that waits for product 1, and one that is running.
    for id in ["waits", "runs"] {
        store.enqueue(new_job(&order(id), START)).await.unwrap();
    }
    for id in ["1", "2", "3", "4", "5"] {
        store.enqueue(new_job(&product(id), START)).await.unwrap();
    }
    let orders = claim(store, Object::Order, 2, START).await;
    // Of the products: 1 is waited for, one rests, one is a problem, one runs, one waits for its turn.
    let claimed = claim(store, Object::Product, 5, START).await;
    let job = |id: &str| claimed.iter().find(|job| job.key.source_id == id).unwrap();
    let again = retry_at(START, true, None);
    finish(store, job("1"), START, again.clone()).await;
    finish(
        store,
        job("2"),
        START,
        retry_at(START.plus(Duration::from_secs(60)), true, None),
    )
    .await;
    finish(store, job("3"), START, Verdict::Problem(problem("x"))).await;
    finish(store, job("5"), START, again).await;
    let wait = Verdict::Wait {
        on: product("1").record(),
        until: START.plus(Duration::from_secs(100)),
    };
    let waiting = orders.iter().find(|job| job.key.source_id == "waits").unwrap();
    finish(store, waiting, START, wait).await;
    let later = START.plus(Duration::from_secs(5));
    let off = store
        .discard_waiting(&lane(Object::Product), "switched off", later)
        .await;
    assert_eq!(off.unwrap(), 2);
    for (id, expected) in [
        ("1", JobState::Retryable),
        ("2", JobState::Discarded),
        ("3", JobState::Problem),
        ("4", JobState::Running),
        ("5", JobState::Discarded),
    ] {
        let row = story(store, job(id).id).await.job;
        assert_eq!(row.state, expected, "{id}");
        let reason = (expected == JobState::Discarded).then_some("switched off");
        assert_eq!(row.reason.as_deref(), reason, "{id}");
    }
    assert_eq!(state(store, waiting.id).await, JobState::Scheduled);
    let nothing = store
        .discard_waiting(&lane(Object::Customer), "switched off", later)
        .await;
    assert_eq!(nothing.unwrap(), 0, "a lane that nobody has made");
    // More than one step holds.
    for id in 0..1_100 {
        store
            .enqueue(new_job(&key(Object::Customer, &id.to_string()), START))
            .await
            .unwrap();
    }
    let many = store
        .discard_waiting(&lane(Object::Customer), "switched off", later)
        .await;
    assert_eq!(many.unwrap(), 1_100);
    // What comes later is new work.
    store.enqueue(new_job(&product("2"), later)).await.unwrap();
    assert_eq!(claim(store, Object::Product, 1, later).await.len(), 1);
}
