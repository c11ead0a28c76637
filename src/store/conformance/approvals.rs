//! A person's answer to a plan that waits: for exactly that plan, once, with its line in the audit log.

use super::fixture::Fixture;
use super::given::{START, claim_one, finish, new_job, order, problem, shop, state};
use crate::domain::{Actor, JobId, JobState, NewProblem, Object, Priority, Via};
use crate::store::{Act, Acted, Action, AuditFilter, SharedStore, Verdict, WAITING_FOR_APPROVAL};

const POSITION: &str = "plan:in:order:1";

fn plan(hash: &str) -> NewProblem {
    NewProblem {
        detail: serde_json::json!({ "plan": hash }),
        ..problem(WAITING_FOR_APPROVAL)
    }
}

/// A job that waits with a problem.
async fn held(store: &SharedStore, id: &str, problem: NewProblem) -> JobId {
    store.enqueue(new_job(&order(id), START)).await.unwrap();
    let job = claim_one(store, Object::Order, START).await;
    finish(store, &job, START, Verdict::Held(problem)).await;
    job.id
}

async fn act(store: &SharedStore, action: Action) -> Acted {
    let act = Act {
        actor: Actor::new("anna", Via::Console),
        reason: None,
        at: START,
        action,
    };
    store.act(act).await.unwrap()
}

fn yes(job: JobId, plan: &str) -> Action {
    yes_at(job, plan, Priority::URGENT)
}

fn yes_at(job: JobId, plan: &str, priority: Priority) -> Action {
    Action::ApprovePlan {
        job,
        plan: plan.to_owned(),
        position: POSITION.to_owned(),
        approval: format!("yes to {plan}"),
        priority,
    }
}

/// A no to this plan, or to whatever waits.
fn no(job: JobId, plan: Option<&str>) -> Action {
    Action::RejectPlan {
        job,
        plan: plan.map(str::to_owned),
    }
}

async fn log(store: &SharedStore) -> Vec<String> {
    let rows = store.audit(AuditFilter::default()).await.unwrap();
    rows.into_iter()
        .rev()
        .map(|row| format!("{} {} {}", row.action, row.subject, row.detail))
        .collect()
}

pub(super) async fn a_yes_counts_for_the_plan_that_waits_and_once(fixture: Fixture) {
    let store = &fixture.store;
    assert_eq!(act(store, yes(JobId(99), "one")).await, Acted::Unknown);
    let job = held(store, "1", plan("one")).await;
    assert_eq!(act(store, yes(job, "other")).await, Acted::NotNow(JobState::Held));
    assert_eq!(store.cursor(&shop(), POSITION).await.unwrap(), None);
    assert_eq!(state(store, job).await, JobState::Held);
    let (one, two) = tokio::join!(act(store, yes(job, "one")), act(store, yes(job, "one")));
    let mut answers = [one, two];
    answers.sort_by_key(|answer| answer != &Acted::Again(job));
    assert_eq!(answers, [Acted::Again(job), Acted::Already]);
    assert_eq!(state(store, job).await, JobState::Available);
    let kept = store.cursor(&shop(), POSITION).await.unwrap();
    assert_eq!(kept.as_deref(), Some("yes to one"));
    assert_eq!(
        log(store).await,
        [format!("approve job:{job} {{\"plan\":\"one\"}}")]
    );
    // It is planned anew and waits with another plan: the old yes is none to that.
    let claimed = claim_one(store, Object::Order, START).await;
    assert_eq!(
        act(store, yes(job, "two")).await,
        Acted::NotNow(JobState::Running)
    );
    finish(store, &claimed, START, Verdict::Held(plan("two"))).await;
    assert_eq!(act(store, yes(job, "one")).await, Acted::NotNow(JobState::Held));
    // One of many that are approved of at once does not go before what comes now.
    let of_many = yes_at(job, "two", Priority::LIVE);
    assert_eq!(act(store, of_many).await, Acted::Again(job));
    let priority = fixture.number("SELECT priority FROM jobs").await;
    assert_eq!(priority, i64::from(Priority::LIVE.0));
}

pub(super) async fn a_no_gives_up_what_waits_and_nothing_else(fixture: Fixture) {
    let store = &fixture.store;
    let job = held(store, "1", plan("one")).await;
    let other = held(store, "2", problem("sudden_change")).await;
    assert_eq!(act(store, no(JobId(99), None)).await, Acted::Unknown);
    assert_eq!(act(store, no(other, None)).await, Acted::NotNow(JobState::Held));
    // It was planned anew since somebody looked at it.
    assert_eq!(
        act(store, no(job, Some("another"))).await,
        Acted::NotNow(JobState::Held)
    );
    assert_eq!(state(store, job).await, JobState::Held);
    assert_eq!(act(store, yes(other, "one")).await, Acted::NotNow(JobState::Held));
    assert_eq!(act(store, no(job, Some("one"))).await, Acted::Done);
    assert_eq!(state(store, job).await, JobState::Discarded);
    assert_eq!(act(store, no(job, None)).await, Acted::Already);
    assert_eq!(
        act(store, yes(job, "one")).await,
        Acted::NotNow(JobState::Discarded)
    );
    assert_eq!(log(store).await, [format!("reject job:{job} null")]);
}
