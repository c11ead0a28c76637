//! What people answer, and what is kept and forgotten of it.

use std::time::Duration;

use serde_json::json;

use super::fixture::Fixture;
use super::given::{
    START, claim, claim_one, finish, key, new_job, order, other_shop, problem, record, shop, state, story,
};
use crate::domain::{Actor, JobId, JobState, Object, Via};
use crate::store::{
    Act, Acted, Action, AuditFilter, AuditRow, BatchFilter, BatchState, Claim, Cluster, ClusterFilter, Noted,
    SharedStore, Verdict,
};

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(86_400);

async fn act_as(store: &SharedStore, who: &str, action: Action) -> Acted {
    let act = Act {
        actor: Actor::new(who, Via::Console),
        reason: Some("Jane asked".to_owned()),
        at: START,
        action,
    };
    store.act(act).await.unwrap()
}

async fn act(store: &SharedStore, action: Action) -> Acted {
    act_as(store, "anna", action).await
}

async fn log(store: &SharedStore) -> Vec<AuditRow> {
    store.audit(AuditFilter::default()).await.unwrap()
}

/// A job of this order that ended so.
async fn ended(store: &SharedStore, id: &str, verdict: Verdict) -> JobId {
    let made = store.enqueue(new_job(&order(id), START)).await.unwrap().job;
    let job = claim_one(store, Object::Order, START).await;
    assert_eq!(job.id, made);
    finish(store, &job, START, verdict).await;
    made
}

fn noted(name: &str, value: &str) -> Noted {
    Noted {
        name: name.to_owned(),
        value: value.to_owned(),
    }
}

fn tax() -> Cluster {
    Cluster {
        shop: shop(),
        code: "tax".to_owned(),
        cluster: "tax:21".to_owned(),
    }
}

/// Who asks for a record to be carried over is written down with its job, and twice is one job.
pub(super) async fn carrying_over_makes_one_job_and_says_who_asked(fixture: Fixture) {
    let store = &fixture.store;
    let key = order("1042");
    let carry_over = async |at| {
        let act = Act {
            actor: Actor::new("anna", Via::Console),
            reason: Some("a test".to_owned()),
            at,
            action: Action::CarryOver { key: key.clone() },
        };
        store.act(act).await.unwrap()
    };
    let made = carry_over(START).await;
    let Acted::Again(job) = made else {
        panic!("{made:?}")
    };
    assert_eq!(carry_over(START.plus(SECOND)).await, Acted::Again(job));
    let found = story(store, job).await.job;
    assert_eq!((found.state, found.key), (JobState::Available, key));
    let rows = log(store).await;
    assert_eq!(rows.len(), 2, "{rows:?}");
    let row = &rows[0];
    assert_eq!(
        (row.action.as_str(), row.subject.clone()),
        ("carry_over", format!("job:{job}"))
    );
    assert_eq!(
        (
            row.shop.as_ref().map(ToString::to_string),
            row.actor.as_str(),
            row.reason.as_deref()
        ),
        (Some("main".to_owned()), "anna", Some("a test"))
    );
}

pub(super) async fn an_answer_is_carried_out_on_what_still_waits(fixture: Fixture) {
    let store = &fixture.store;
    let held = || Verdict::Held(problem("sudden_change"));
    let mut jobs = Vec::new();
    for id in ["1", "2", "3", "4"] {
        jobs.push(ended(store, id, held()).await);
    }
    // One is held by a person by now, one was tried again meanwhile.
    assert_eq!(act(store, Action::Hold { job: jobs[1] }).await, Acted::Done);
    store.retry(jobs[2], START).await.unwrap();
    let answer = |approved, held: Vec<JobId>, value: &str| Action::Answer {
        shop: shop(),
        object: Object::Order,
        approved,
        held,
        notes: vec![noted("limits:order", value), noted("approved:order:1", "a plan")],
    };
    let seen = vec![jobs[0], jobs[1], jobs[2], JobId(999)];
    assert_eq!(
        act(store, answer(true, seen.clone(), "open")).await,
        Acted::Jobs(1)
    );
    assert_eq!(state(store, jobs[0]).await, JobState::Available);
    assert_eq!(state(store, jobs[1]).await, JobState::Held);
    assert_eq!(state(store, jobs[3]).await, JobState::Held, "it was not meant");
    for (name, value) in [("limits:order", "open"), ("approved:order:1", "a plan")] {
        let there = store.cursor(&shop(), name).await.unwrap();
        assert_eq!(there.as_deref(), Some(value), "{name}");
    }
    let rows = log(store).await;
    assert_eq!(
        (rows[0].action.as_str(), rows[0].subject.as_str(), &rows[0].detail),
        ("approve", "limit:order", &json!({ "jobs": 1 }))
    );
    // Nobody waits any more: what was said is noted, and who said it.
    let again = answer(true, seen, "open again");
    assert_eq!(act(store, again.clone()).await, Acted::Jobs(0));
    let later = log(store).await;
    assert_eq!(later.len(), rows.len() + 1);
    assert_eq!(
        (later[0].subject.as_str(), &later[0].detail),
        ("limit:order", &json!({ "jobs": 0 }))
    );
    let there = store.cursor(&shop(), "limits:order").await.unwrap();
    assert_eq!(there.as_deref(), Some("open again"));
    // A double click changes nothing.
    assert_eq!(act(store, again).await, Acted::Jobs(0));
    assert_eq!(log(store).await.len(), later.len());

    assert_eq!(
        act(store, answer(false, vec![jobs[3]], "open")).await,
        Acted::Jobs(1)
    );
    assert_eq!(state(store, jobs[3]).await, JobState::Discarded);
    assert_eq!(log(store).await[0].action, "reject");
    assert!(
        store
            .open_problems(10)
            .await
            .unwrap()
            .iter()
            .all(|row| row.job != Some(jobs[3]))
    );
}

/// All at once, with all that is noted of them: PostgreSQL ends a transaction that asks for each of thousands.
pub(super) async fn many_held_jobs_are_answered_in_one_go(fixture: Fixture) {
    const MANY: u32 = 60;
    let store = &fixture.store;
    for approved in [true, false] {
        let object = if approved { Object::Order } else { Object::Product };
        let mut jobs = Vec::new();
        for id in 0..MANY {
            let key = key(object, &id.to_string());
            jobs.push(store.enqueue(new_job(&key, START)).await.unwrap().job);
        }
        for job in claim(store, object, MANY, START).await {
            finish(store, &job, START, Verdict::Held(problem("sudden_change"))).await;
        }
        let notes = jobs
            .iter()
            .map(|job| noted(&format!("approved:{object}:{job}"), "a plan"))
            .chain([noted("limits", "held"), noted("limits", "open")])
            .collect();
        let answer = Action::Answer {
            shop: shop(),
            object,
            approved,
            held: jobs.clone(),
            notes,
        };
        assert_eq!(act(store, answer).await, Acted::Jobs(u64::from(MANY)));
        let after = if approved {
            JobState::Available
        } else {
            JobState::Discarded
        };
        for job in jobs {
            assert_eq!(state(store, job).await, after);
            let name = format!("approved:{object}:{job}");
            let there = store.cursor(&shop(), &name).await.unwrap();
            assert_eq!(there.as_deref(), Some("a plan"));
        }
        let there = store.cursor(&shop(), "limits").await.unwrap();
        assert_eq!(there.as_deref(), Some("open"), "the last word counts");
    }
}

pub(super) async fn a_choice_is_taken_while_it_is_asked(fixture: Fixture) {
    let store = &fixture.store;
    let job = ended(store, "1", Verdict::Problem(problem("tax"))).await;
    let choose = |job| Action::Choose {
        job,
        note: noted("choice:in:order:1", "ours"),
        detail: json!({ "keep": "erp" }),
    };
    assert_eq!(act(store, choose(JobId(999))).await, Acted::Unknown);
    assert_eq!(act(store, choose(job)).await, Acted::Again(job));
    let there = store.cursor(&shop(), "choice:in:order:1").await.unwrap();
    assert_eq!(there.as_deref(), Some("ours"));
    let rows = log(store).await;
    assert_eq!(
        (rows.len(), rows[0].action.as_str(), rows[0].subject.clone()),
        (1, "choose", format!("job:{job}"))
    );
    assert_eq!(rows[0].shop, Some(shop()));
    // The second click.
    store
        .set_cursor(&shop(), "choice:in:order:1", "", START)
        .await
        .unwrap();
    assert_eq!(act(store, choose(job)).await, Acted::NotNow(JobState::Available));
    let there = store.cursor(&shop(), "choice:in:order:1").await.unwrap();
    assert_eq!(there.as_deref(), Some(""));
    assert_eq!(log(store).await.len(), 1);
}

pub(super) async fn a_closed_job_is_done_again_once(fixture: Fixture) {
    let store = &fixture.store;
    let first = ended(store, "1", Verdict::Completed).await;
    let again = || Action::Retry {
        job: first,
        seen: Some(JobState::Completed),
    };
    let Acted::New(second) = act(store, again()).await else {
        panic!("a new job");
    };
    let job = claim_one(store, Object::Order, START).await;
    assert_eq!(job.id, second);
    finish(store, &job, START, Verdict::Completed).await;
    assert_eq!(act(store, again()).await, Acted::Later(second));
    assert_eq!(log(store).await.len(), 1, "nothing was done");
    assert!(claim(store, Object::Order, 5, START).await.is_empty());

    // Whoever says it of the last one means it.
    let retry = Action::Retry {
        job: second,
        seen: None,
    };
    let Acted::New(third) = act(store, retry).await else {
        panic!("a new job");
    };
    // A person holds the open one: nobody sets it free by the way.
    assert_eq!(act(store, Action::Hold { job: third }).await, Acted::Done);
    assert_eq!(act(store, again()).await, Acted::Later(third));
    let unheld = Action::Retry {
        job: third,
        seen: Some(JobState::Available),
    };
    assert!(matches!(act(store, unheld).await, Acted::Taken(_)));
    assert_eq!(state(store, third).await, JobState::Held);
    assert_eq!(
        act(store, Action::Release { job: third }).await,
        Acted::Again(third)
    );
    assert_eq!(
        act(store, again()).await,
        Acted::Again(third),
        "one that waits is hurried"
    );
}

pub(super) async fn a_pause_counts_when_jobs_are_claimed(fixture: Fixture) {
    let store = &fixture.store;
    store.enqueue(new_job(&order("1"), START)).await.unwrap();
    store
        .enqueue(new_job(&key(Object::Shop, "app/uninstalled"), START))
        .await
        .unwrap();
    let mut theirs = order("2");
    theirs.shop = other_shop();
    store.enqueue(new_job(&theirs, START)).await.unwrap();
    // The lanes were looked at before.
    let lanes = store.ready_lanes(START).await.unwrap();
    assert_eq!(lanes.len(), 3);
    act(store, Action::Pause { shop: shop() }).await;
    let claim = Claim {
        node: "node-1".to_owned(),
        lanes: lanes.into_iter().map(|ready| (ready.lane, 5)).collect(),
        now: START,
        lease: super::given::LEASE,
    };
    let claimed = store.claim(claim).await.unwrap();
    let mut about: Vec<_> = claimed
        .iter()
        .map(|job| (job.key.shop.clone(), job.key.object))
        .collect();
    about.sort();
    assert_eq!(about, [(shop(), Object::Shop), (other_shop(), Object::Order)]);
}

pub(super) async fn a_batch_leaves_what_failed_later(fixture: Fixture) {
    let store = &fixture.store;
    let by_cause = BatchFilter {
        code: Some("order".into()),
        ..BatchFilter::default()
    };
    let by_lane = BatchFilter {
        shop: Some(shop()),
        object: Some(Object::Customer),
        ..BatchFilter::default()
    };
    for (object, filter) in [(Object::Order, by_cause), (Object::Customer, by_lane)] {
        let verdict = || Verdict::Problem(problem(object.as_str()));
        let mut jobs = Vec::new();
        for n in 0..30 {
            let made = store
                .enqueue(new_job(&key(object, &n.to_string()), START))
                .await
                .unwrap();
            jobs.push(made.job);
            let job = claim_one(store, object, START).await;
            finish(store, &job, START, verdict()).await;
        }
        let waits = store
            .enqueue(new_job(&key(object, "waits"), START))
            .await
            .unwrap()
            .job;
        let start = Action::StartBatch {
            filter,
            per_second: 500,
        };
        let Acted::Batch { id, is_new: true } = act(store, start).await else {
            panic!("a batch");
        };
        // One that waited fails, and one fails again, for the same cause and after the batch began.
        let later = START.plus(SECOND);
        store.retry(jobs[0], START).await.unwrap();
        for job in claim(store, object, 2, later).await {
            finish(store, &job, later, verdict()).await;
        }
        let row = store.batch_step(id, later).await.unwrap().unwrap();
        assert_eq!(
            (row.total, row.done, row.state),
            (30, 29, BatchState::Done),
            "{object}"
        );
        for job in [waits, jobs[0]] {
            assert_eq!(state(store, job).await, JobState::Problem, "{object}");
        }
        assert_eq!(state(store, jobs[29]).await, JobState::Available);
    }
}

pub(super) async fn whose_problems_are_asked_before_they_are_cut(fixture: Fixture) {
    let store = &fixture.store;
    for (id, code) in [("1", "more"), ("2", "more"), ("3", "tax")] {
        ended(store, id, Verdict::Problem(problem(code))).await;
    }
    let claim = |cluster| Action::Claim { cluster, over: false };
    assert_eq!(act(store, claim(tax())).await, Acted::Done);
    let of = async |who: &str| {
        let filter = ClusterFilter {
            claimed_by: Some(who.to_owned()),
            limit: 1,
            ..ClusterFilter::default()
        };
        let rows = store.problem_clusters(filter).await.unwrap();
        rows.into_iter().map(|row| row.cluster.code).collect::<Vec<_>>()
    };
    assert_eq!(of("anna").await, ["tax"]);
    assert!(of("bert").await.is_empty());
}

pub(super) async fn the_audit_log_outlives_jobs_and_not_for_ever(fixture: Fixture) {
    let store = &fixture.store;
    let job = ended(store, "1", Verdict::Problem(problem("tax"))).await;
    let filter = BatchFilter {
        code: Some("tax".into()),
        ..BatchFilter::default()
    };
    let start = Action::StartBatch {
        filter,
        per_second: 5,
    };
    let Acted::Batch { id, .. } = act(store, start).await else {
        panic!("a batch");
    };
    act(store, Action::StopBatch { batch: id }).await;
    assert_eq!(act(store, Action::Discard { job }).await, Acted::Done);
    let prune = async |days: u32| {
        while store.prune(START.plus(DAY * days), 1).await.unwrap() > 0 {}
        let batches = store.batches(false, 0).await.unwrap().len();
        (log(store).await.len(), batches)
    };
    assert_eq!(prune(300).await, (3, 1));
    assert!(store.job(job).await.unwrap().is_none());
    assert_eq!(prune(311).await, (0, 0));
}

pub(super) async fn notes_about_causes_are_redacted_too(fixture: Fixture) {
    let store = &fixture.store;
    let job = ended(store, "1", Verdict::Problem(problem("tax"))).await;
    act(store, Action::NoteCluster { cluster: tax() }).await;
    act(
        store,
        Action::Claim {
            cluster: tax(),
            over: false,
        },
    )
    .await;
    let filter = BatchFilter {
        shop: Some(shop()),
        code: Some("tax".into()),
        cluster: Some("tax:21".into()),
        ..BatchFilter::default()
    };
    let start = Action::StartBatch {
        filter,
        per_second: 5,
    };
    let Acted::Batch { id, .. } = act(store, start).await else {
        panic!("a batch");
    };
    let stepped = store.batch_step(id, START).await.unwrap().unwrap();
    assert_eq!(
        (stepped.state, state(store, job).await),
        (BatchState::Done, JobState::Available)
    );
    let elsewhere = Cluster {
        code: "other".to_owned(),
        cluster: "other:1".to_owned(),
        ..tax()
    };
    act(store, Action::NoteCluster { cluster: elsewhere }).await;
    let of_job = log(store)
        .await
        .into_iter()
        .find(|row| row.subject == format!("job:{job}"));
    assert_eq!(of_job.unwrap().reason, None, "why stands with the batch alone");

    store
        .redact(&shop(), &[record("order", "1")], START)
        .await
        .unwrap();
    let rows = log(store).await;
    let kept: Vec<&str> = rows
        .iter()
        .filter(|row| row.reason.as_deref() == Some("Jane asked"))
        .map(|row| row.subject.as_str())
        .collect();
    assert_eq!(kept, ["cluster:other/other:1"], "{rows:?}");
    assert!(
        rows.iter().all(|row| !format!("{row:?}").contains("tax:21")),
        "{rows:?}"
    );
    let batch = &store.batches(false, 0).await.unwrap()[0];
    assert!(
        !format!("{batch:?}").contains("Jane") && !format!("{batch:?}").contains("tax:21"),
        "{batch:?}"
    );

    store.redact_shop(&shop(), START).await.unwrap();
    let rows = log(store).await;
    assert!(
        rows.iter().all(|row| row.reason.as_deref() != Some("Jane asked")),
        "{rows:?}"
    );
}
