//! What people do with failed work: each change once, with its line in the audit log.

use std::collections::BTreeMap;
use std::time::Duration;

use super::fixture::Fixture;
use super::given::{
    START, claim, claim_one, delivery, finish, key, link, new_job, order, other_shop, problem, record,
    retry_at, shop, state, story,
};
use crate::domain::{Actor, JobId, JobState, LinkKind, Object, Timestamp, Via};
use crate::store::{
    Act, Acted, Action, AuditFilter, AuditRow, Cluster, ClusterFilter, HELD_BY_PERSON, JobFilter,
    SharedStore, Verdict,
};

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(86_400);

pub(super) fn anna() -> Actor {
    Actor::new("anna", Via::Console)
}

async fn act_as(store: &SharedStore, actor: Actor, at: Timestamp, action: Action) -> Acted {
    let act = Act {
        actor,
        reason: Some("a test".to_owned()),
        at,
        action,
    };
    store.act(act).await.unwrap()
}

pub(super) async fn act(store: &SharedStore, action: Action) -> Acted {
    act_as(store, anna(), START, action).await
}

pub(super) async fn log(store: &SharedStore) -> Vec<AuditRow> {
    let filter = AuditFilter {
        limit: 1000,
        ..AuditFilter::default()
    };
    store.audit(filter).await.unwrap()
}

/// The actions of the log, oldest first.
async fn actions(store: &SharedStore) -> Vec<String> {
    let mut rows = log(store).await;
    rows.reverse();
    rows.into_iter()
        .map(|row| format!("{} {}", row.action, row.subject))
        .collect()
}

/// A job of this order that needs a person.
pub(super) async fn failed(store: &SharedStore, id: &str, code: &str) -> JobId {
    let made = store.enqueue(new_job(&order(id), START)).await.unwrap().job;
    let job = claim_one(store, Object::Order, START).await;
    assert_eq!(job.id, made);
    finish(store, &job, START, Verdict::Problem(problem(code))).await;
    made
}

fn retry(job: JobId, seen: Option<JobState>) -> Action {
    Action::Retry { job, seen }
}

fn of(code: &str) -> Cluster {
    Cluster {
        shop: shop(),
        code: code.to_owned(),
        cluster: format!("{code}:21"),
    }
}

pub(super) async fn problems_are_counted_by_cause(fixture: Fixture) {
    let store = &fixture.store;
    for id in ["1", "2", "3"] {
        failed(store, id, "tax").await;
    }
    let other = failed(store, "4", "customer").await;
    store
        .open_shop_problem(&other_shop(), problem("tax"), START.plus(SECOND))
        .await
        .unwrap();
    let clusters = async |filter: ClusterFilter| store.problem_clusters(filter).await.unwrap();
    let all = clusters(ClusterFilter::default()).await;
    let told: Vec<_> = all
        .iter()
        .map(|row| {
            let cluster = &row.cluster;
            (
                cluster.shop.as_str(),
                cluster.code.as_str(),
                row.problems,
                row.jobs,
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            ("main", "tax", 3, 3),
            ("second", "tax", 1, 0),
            ("main", "customer", 1, 1)
        ],
        "the most frequent first, then the newest"
    );
    assert_eq!(all[0].cluster, of("tax"));
    assert_eq!(all[0].example, problem("tax"));
    assert_eq!((all[0].opened_at, all[1].seen_at), (START, START.plus(SECOND)));
    assert_eq!(all[2].example_job, Some(other));

    for (filter, expected) in [
        (
            ClusterFilter {
                shop: Some(other_shop()),
                ..ClusterFilter::default()
            },
            1,
        ),
        (
            ClusterFilter {
                code: Some("tax".into()),
                ..ClusterFilter::default()
            },
            2,
        ),
        (
            ClusterFilter {
                cluster: Some("customer:21".into()),
                ..ClusterFilter::default()
            },
            1,
        ),
        (
            ClusterFilter {
                cluster: Some("' OR 1=1".into()),
                ..ClusterFilter::default()
            },
            0,
        ),
        (
            ClusterFilter {
                limit: 2,
                ..ClusterFilter::default()
            },
            2,
        ),
    ] {
        let text = format!("{filter:?}");
        assert_eq!(clusters(filter).await.len(), expected, "{text}");
    }
    let jobs = store
        .jobs(JobFilter {
            cluster: Some("tax:21".into()),
            ..JobFilter::default()
        })
        .await
        .unwrap();
    assert_eq!(jobs.len(), 3);

    // What is solved counts no more.
    act(store, Action::Discard { job: other }).await;
    assert_eq!(clusters(ClusterFilter::default()).await.len(), 2);
}

pub(super) async fn a_double_click_is_one_action(fixture: Fixture) {
    let store = &fixture.store;
    let job = failed(store, "1", "tax").await;
    let seen = Some(JobState::Problem);
    assert_eq!(act(store, retry(job, seen)).await, Acted::Again(job));
    assert_eq!(act(store, retry(job, seen)).await, Acted::Already);
    let running = claim_one(store, Object::Order, START).await;
    assert_eq!(
        act(store, retry(job, seen)).await,
        Acted::NotNow(JobState::Running)
    );
    finish(store, &running, START, Verdict::Completed).await;
    // It has just succeeded: whoever saw it fail does not do it again.
    assert_eq!(
        act(store, retry(job, seen)).await,
        Acted::NotNow(JobState::Completed)
    );
    assert!(claim(store, Object::Order, 5, START).await.is_empty());
    // Who means the closed job gets a new one, once.
    let Acted::New(new) = act(store, retry(job, None)).await else {
        panic!("a new job");
    };
    assert_eq!(act(store, retry(job, None)).await, Acted::Again(new));
    assert_eq!(act(store, retry(JobId(999), None)).await, Acted::Unknown);

    assert_eq!(act(store, Action::Discard { job: new }).await, Acted::Done);
    assert_eq!(act(store, Action::Discard { job: new }).await, Acted::Already);
    assert_eq!(
        act(store, Action::Discard { job }).await,
        Acted::NotNow(JobState::Completed)
    );
    // Eight people at once: one of them does it.
    let crowd = failed(store, "2", "tax").await;
    let acts = (0..8).map(|number| {
        let actor = Actor::new(format!("person {number}"), Via::Console);
        act_as(store, actor, START, retry(crowd, seen))
    });
    let acted = futures_util::future::join_all(acts).await;
    let again = acted
        .iter()
        .filter(|acted| **acted == Acted::Again(crowd))
        .count();
    let already = acted.iter().filter(|acted| **acted == Acted::Already).count();
    assert_eq!((again, already), (1, 7), "{acted:?}");

    let expected = [
        format!("retry job:{job}"),
        format!("retry job:{job}"),
        format!("retry job:{job}"),
        format!("discard job:{new}"),
        format!("retry job:{crowd}"),
    ];
    assert_eq!(actions(store).await, expected, "one line for each change");
    let rows = log(store).await;
    assert_eq!(
        (rows[1].actor.as_str(), rows[1].via, rows[1].reason.as_deref()),
        ("anna", Via::Console, Some("a test"))
    );
    assert_eq!(rows[1].shop, Some(shop()));
    let of_one = AuditFilter {
        subject: Some(format!("job:{new}")),
        ..AuditFilter::default()
    };
    assert_eq!(store.audit(of_one).await.unwrap().len(), 1);
    let counts = store.action_counts(START).await.unwrap();
    let counted: BTreeMap<_, _> = counts
        .iter()
        .map(|row| (row.action.as_str(), row.count))
        .collect();
    assert_eq!(counted, BTreeMap::from([("discard", 1), ("retry", 4)]));
    assert!(store.action_counts(START.plus(SECOND)).await.unwrap().is_empty());
}

pub(super) async fn what_a_person_holds_stays_held_whatever_comes(fixture: Fixture) {
    let store = &fixture.store;
    let job = store.enqueue(new_job(&order("1"), START)).await.unwrap().job;
    assert_eq!(act(store, Action::Hold { job }).await, Acted::Done);
    assert_eq!(act(store, Action::Hold { job }).await, Acted::Already);
    for name in ["a", "b"] {
        store
            .record_delivery(delivery(name, &order("1"), START))
            .await
            .unwrap();
    }
    assert_eq!(state(store, job).await, JobState::Held);
    assert!(claim(store, Object::Order, 5, START).await.is_empty());
    let told = story(store, job).await.job.problem.unwrap();
    assert_eq!(
        (told.code.0.as_str(), told.owner.as_str()),
        (HELD_BY_PERSON, "anna")
    );
    assert!(told.reason.contains("a test"), "{}", told.reason);

    assert_eq!(act(store, Action::Release { job }).await, Acted::Again(job));
    assert_eq!(act(store, Action::Release { job }).await, Acted::Already);
    let running = claim_one(store, Object::Order, START).await;
    assert_eq!(
        act(store, Action::Hold { job }).await,
        Acted::NotNow(JobState::Running)
    );
    finish(store, &running, START, Verdict::Held(problem("limit"))).await;
    // A limit holds it now: that is another matter.
    assert_eq!(
        act(store, Action::Release { job }).await,
        Acted::NotNow(JobState::Held)
    );
    store
        .record_delivery(delivery("c", &order("1"), START))
        .await
        .unwrap();
    assert_eq!(
        state(store, job).await,
        JobState::Available,
        "an event is looked at again"
    );
}

pub(super) async fn what_was_done_by_hand_closes_the_job_once(fixture: Fixture) {
    let store = &fixture.store;
    let job = failed(store, "1", "tax").await;
    let waits = store
        .enqueue(new_job(&key(Object::Customer, "9"), START))
        .await
        .unwrap()
        .job;
    let waiting = claim_one(store, Object::Customer, START).await;
    let wait = Verdict::Wait {
        on: record("order", "1"),
        until: START.plus(DAY),
    };
    finish(store, &waiting, START, wait).await;
    let resolve = |job, erp_id| Action::Resolve {
        job,
        link: Box::new(link(LinkKind::Order, "1", erp_id)),
    };
    assert_eq!(act(store, resolve(job, 815)).await, Acted::Done);
    let row = story(store, job).await.job;
    assert_eq!(
        (row.state, row.erp_name.as_deref()),
        (JobState::Completed, Some("S00815"))
    );
    assert!(store.open_problems(10).await.unwrap().is_empty());
    assert_eq!(
        state(store, waits).await,
        JobState::Available,
        "who waited for it goes on"
    );
    let links = store
        .links(&shop(), LinkKind::Order, &["1".into()])
        .await
        .unwrap();
    assert_eq!(links[0].erp_id.0, 815);
    assert_eq!(act(store, resolve(job, 815)).await, Acted::Already);
    assert_eq!(
        act(store, resolve(job, 816)).await,
        Acted::Linked("S00815".into())
    );

    // The same record of the ERP for another order: refused, and nothing of it stays.
    let second = failed(store, "2", "tax").await;
    let stolen = Action::Resolve {
        job: second,
        link: Box::new(link(LinkKind::Order, "2", 815)),
    };
    assert_eq!(act(store, stolen).await, Acted::Taken("1".into()));
    assert_eq!(state(store, second).await, JobState::Problem);
    assert_eq!(actions(store).await, [format!("resolve job:{job}")]);

    // Which partner is meant: the job goes on with that link.
    let adopt = Action::Adopt {
        job: second,
        link: Box::new(link(LinkKind::Customer, "77", 5)),
    };
    assert_eq!(act(store, adopt.clone()).await, Acted::Again(second));
    // A customer that is linked is not linked to another partner unseen.
    let elsewhere = Action::Adopt {
        job: second,
        link: Box::new(link(LinkKind::Customer, "77", 6)),
    };
    assert!(matches!(act(store, elsewhere).await, Acted::Linked(_)));
    let running = claim_one(store, Object::Order, START).await;
    assert_eq!(act(store, adopt).await, Acted::NotNow(JobState::Running));
    finish(store, &running, START, Verdict::Completed).await;
    let links = store
        .links(&shop(), LinkKind::Customer, &["77".into()])
        .await
        .unwrap();
    assert_eq!(links[0].erp_id.0, 5);
}

pub(super) async fn a_paused_shop_takes_in_and_does_nothing(fixture: Fixture) {
    let store = &fixture.store;
    let mut theirs = order("7");
    theirs.shop = other_shop();
    store.enqueue(new_job(&order("1"), START)).await.unwrap();
    store.enqueue(new_job(&theirs, START)).await.unwrap();
    store
        .enqueue(new_job(&key(Object::Shop, "notice"), START))
        .await
        .unwrap();
    let pause = Action::Pause { shop: shop() };
    assert_eq!(act(store, pause.clone()).await, Acted::Done);
    assert_eq!(act(store, pause).await, Acted::Already);
    let ready = async || {
        let lanes = store.ready_lanes(START).await.unwrap();
        let mut names: Vec<String> = lanes
            .into_iter()
            .map(|ready| format!("{} {}", ready.lane.shop, ready.lane.object))
            .collect();
        names.sort();
        names
    };
    assert_eq!(
        ready().await,
        ["main shop", "second order"],
        "privacy requests know no pause"
    );
    let taken = store
        .record_delivery(delivery("a", &order("2"), START))
        .await
        .unwrap();
    assert!(matches!(taken, crate::store::Recorded::New { job: Some(_), .. }));
    let rows = store.pauses().await.unwrap();
    assert_eq!(
        (rows.len(), rows[0].actor.as_str(), rows[0].since),
        (1, "anna", START)
    );
    let resume = Action::Resume { shop: shop() };
    assert_eq!(act(store, resume.clone()).await, Acted::Done);
    assert_eq!(act(store, resume).await, Acted::Already);
    assert_eq!(ready().await, ["main order", "main shop", "second order"]);
    assert_eq!(actions(store).await, ["pause shop:main", "resume shop:main"]);
}

pub(super) async fn a_job_moves_ahead_of_all_others(fixture: Fixture) {
    let store = &fixture.store;
    let mut jobs = Vec::new();
    for id in ["1", "2", "3"] {
        jobs.push(store.enqueue(new_job(&order(id), START)).await.unwrap().job);
    }
    let place = async |job| store.queue_place(job, START).await.unwrap();
    assert_eq!(place(jobs[2]).await.map(|place| place.ahead), Some(2));
    assert_eq!(
        place(jobs[2]).await.unwrap().expected(),
        None,
        "no pace is known yet"
    );
    // Somebody else's hurry is older.
    act(store, retry(jobs[1], None)).await;
    let ahead = |job| Action::MoveAhead { job };
    assert_eq!(act(store, ahead(jobs[2])).await, Acted::Again(jobs[2]));
    assert_eq!(act(store, ahead(jobs[2])).await, Acted::Already);
    assert_eq!(place(jobs[2]).await.map(|place| place.ahead), Some(0));
    let mut order_done = Vec::new();
    for _ in 0..3 {
        let job = claim_one(store, Object::Order, START).await;
        assert_eq!(act(store, ahead(job.id)).await, Acted::NotNow(JobState::Running));
        order_done.push(job.id);
        finish(store, &job, START, Verdict::Completed).await;
    }
    assert_eq!(order_done, [jobs[2], jobs[1], jobs[0]]);
    assert_eq!(place(jobs[0]).await, None);

    // One that rests does so no longer; the lane has a pace now.
    let rests = store.enqueue(new_job(&order("4"), START)).await.unwrap().job;
    let job = claim_one(store, Object::Order, START).await;
    finish(store, &job, START, retry_at(START.plus(DAY), true, None)).await;
    assert_eq!(act(store, ahead(rests)).await, Acted::Again(rests));
    let last = store.enqueue(new_job(&order("5"), START)).await.unwrap().job;
    let place = place(last).await.unwrap();
    assert_eq!((place.ahead, place.ended_lately), (1, 3));
    assert_eq!(place.expected(), Some(Duration::from_secs(300)));
    assert_eq!(claim_one(store, Object::Order, START).await.id, rests);
}

pub(super) async fn problems_are_claimed_and_snoozed(fixture: Fixture) {
    let store = &fixture.store;
    failed(store, "1", "tax").await;
    let bert = Actor::new("bert", Via::Cli);
    let claim = |over| Action::Claim {
        cluster: of("tax"),
        over,
    };
    let shown = async || {
        let rows = store.problem_clusters(ClusterFilter::default()).await.unwrap();
        (rows[0].claimed_by.clone(), rows[0].snoozed_until)
    };
    assert_eq!(act(store, claim(false)).await, Acted::Done);
    assert_eq!(act(store, claim(false)).await, Acted::Already);
    assert_eq!(
        act_as(store, bert.clone(), START, claim(false)).await,
        Acted::Taken("anna".into())
    );
    assert_eq!(shown().await, (Some("anna".into()), None));
    assert_eq!(act_as(store, bert, START, claim(true)).await, Acted::Done);
    let until = START.plus(DAY);
    let snooze = |until| Action::Snooze {
        cluster: of("tax"),
        until,
    };
    assert_eq!(act(store, snooze(Some(until))).await, Acted::Done);
    assert_eq!(shown().await, (Some("bert".into()), Some(until)));
    assert_eq!(act(store, snooze(None)).await, Acted::Done);
    let unclaim = Action::Unclaim { cluster: of("tax") };
    assert_eq!(act(store, unclaim.clone()).await, Acted::Done);
    assert_eq!(act(store, unclaim).await, Acted::Already);
    assert_eq!(shown().await, (None, None));
    let note = Action::NoteCluster { cluster: of("tax") };
    assert_eq!(act(store, note).await, Acted::Done);
    assert_eq!(
        act(store, Action::NoteJob { job: JobId(99) }).await,
        Acted::Unknown
    );
    assert_eq!(log(store).await[0].subject, "cluster:tax/tax:21");
}
