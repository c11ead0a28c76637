//! Lists of jobs, by every filter and by what jobs are found.

use std::time::Duration;

use super::fixture::Fixture;
use super::given::{START, claim_one, finish, key, new_job, order, other_shop, problem, record, shop};
use super::review::{act, log};
use crate::domain::{Direction, Fence, JobId, JobState, Object};
use crate::store::{Action, Claim, JobFilter, JobName, JobRow, Lane, SharedStore, Verdict};

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(86_400);

/// Jobs of three lanes in many states.
async fn crowd(store: &SharedStore) {
    for n in 0..12 {
        let id = n.to_string();
        for (object, is_ours) in [
            (Object::Order, true),
            (Object::Customer, true),
            (Object::Order, false),
        ] {
            let mut key = key(object, &id);
            if !is_ours {
                key.shop = other_shop();
            }
            store.enqueue(new_job(&key, START)).await.unwrap();
            let claim = Claim {
                node: "node-1".to_owned(),
                lanes: vec![(Lane::of(&key), 1)],
                now: START,
                lease: super::given::LEASE,
            };
            let job = store.claim(claim).await.unwrap().remove(0);
            let name = JobName::Sku(if n % 2 == 0 { "HAT" } else { "CAP" }.to_owned());
            store.note_names(job.id, job.fence, vec![name]).await.unwrap();
            let at = START.plus(SECOND * n);
            let verdict = match n % 4 {
                0 => Verdict::Completed,
                1 => Verdict::Problem(problem(if n == 1 { "customer" } else { "tax" })),
                2 => Verdict::Held(problem("held")),
                _ => Verdict::Obsolete {
                    reason: "a test".to_owned(),
                },
            };
            finish(store, &job, at, verdict).await;
        }
    }
}

pub(super) async fn every_filter_lists_what_fits_newest_first(fixture: Fixture) {
    let store = &fixture.store;
    crowd(store).await;
    let list = async |filter: JobFilter| -> Vec<JobRow> { store.jobs(filter).await.unwrap() };
    let all = list(JobFilter {
        limit: 100,
        ..JobFilter::default()
    })
    .await;
    assert_eq!(all.len(), 36);
    let skus = [None, Some("HAT"), Some("CAP"), Some("none")];
    let states = [
        vec![],
        vec![JobState::Completed],
        vec![JobState::Problem, JobState::Held],
        vec![JobState::Running],
    ];
    let lanes = [
        (None, None, None),
        (Some(shop()), None, None),
        (None, Some(Object::Customer), Some(Direction::In)),
        (Some(other_shop()), Some(Object::Order), None),
        (None, None, Some(Direction::Out)),
    ];
    let since = [None, Some(START.plus(SECOND * 6))];
    let causes = [
        (None, None),
        (Some("tax"), None),
        (None, Some("customer:21")),
        (Some("held"), Some("held:21")),
    ];
    let mut asked = 0;
    for sku in skus {
        for states in &states {
            for (of_shop, object, direction) in &lanes {
                for since in since {
                    for (code, cluster) in causes {
                        for before in [None, Some(all[10].id)] {
                            let filter = JobFilter {
                                shop: of_shop.clone(),
                                object: *object,
                                direction: *direction,
                                states: states.clone(),
                                code: code.map(str::to_owned),
                                cluster: cluster.map(str::to_owned),
                                known_by: sku.map(|sku| JobName::Sku(sku.to_owned())),
                                changed_since: since,
                                before,
                                limit: 4,
                                ..JobFilter::default()
                            };
                            let expected: Vec<JobId> = all
                                .iter()
                                .filter(|job| fits(job, &filter))
                                .map(|job| job.id)
                                .take(4)
                                .collect();
                            let found: Vec<JobId> =
                                list(filter.clone()).await.iter().map(|job| job.id).collect();
                            assert_eq!(found, expected, "{filter:?}");
                            asked += 1;
                        }
                    }
                }
            }
        }
    }
    assert_eq!(asked, 4 * 4 * 5 * 2 * 4 * 2);
    let ids = JobFilter {
        ids: vec![all[3].id, all[1].id, JobId(999)],
        ..JobFilter::default()
    };
    let found: Vec<JobId> = list(ids).await.iter().map(|job| job.id).collect();
    assert_eq!(found, [all[1].id, all[3].id]);
}

fn fits(job: &JobRow, filter: &JobFilter) -> bool {
    let key = &job.key;
    let sku = if key.source_id.parse::<u32>().unwrap().is_multiple_of(2) {
        "HAT"
    } else {
        "CAP"
    };
    filter.shop.as_ref().is_none_or(|shop| *shop == key.shop)
        && filter.object.is_none_or(|object| object == key.object)
        && filter
            .direction
            .is_none_or(|direction| direction == key.direction)
        && (filter.states.is_empty() || filter.states.contains(&job.state))
        && filter
            .known_by
            .as_ref()
            .is_none_or(|name| *name == JobName::Sku(sku.to_owned()))
        && filter.changed_since.is_none_or(|since| job.updated_at >= since)
        && filter.before.is_none_or(|before| job.id < before)
        && filter.code.as_ref().is_none_or(|code| {
            job.problem
                .as_ref()
                .is_some_and(|problem| problem.code.0 == *code)
        })
        && filter.cluster.as_ref().is_none_or(|cluster| {
            job.problem
                .as_ref()
                .is_some_and(|problem| problem.cluster == *cluster)
        })
}

pub(super) async fn jobs_are_found_by_what_they_sell_and_whose_they_are(fixture: Fixture) {
    let store = &fixture.store;
    let made = store.enqueue(new_job(&order("1"), START)).await.unwrap().job;
    let job = claim_one(store, Object::Order, START).await;
    let email = JobName::of_email(&shop(), " Anna@Example.com ");
    assert_eq!(email, JobName::of_email(&shop(), "anna@example.com"));
    assert_ne!(email, JobName::of_email(&other_shop(), "anna@example.com"));
    let names = vec![JobName::Sku("HAT-1".into()), email.clone()];
    let stale = Fence(job.fence.0 + 1);
    assert!(!store.note_names(made, stale, names.clone()).await.unwrap());
    for _ in 0..2 {
        assert!(store.note_names(made, job.fence, names.clone()).await.unwrap());
    }
    finish(store, &job, START, Verdict::Problem(problem("tax"))).await;
    let found = async |name: JobName| {
        let filter = JobFilter {
            known_by: Some(name),
            ..JobFilter::default()
        };
        store.jobs(filter).await.unwrap().len()
    };
    assert_eq!(found(JobName::Sku("HAT-1".into())).await, 1);
    assert_eq!(found(JobName::Sku("hat-1".into())).await, 0);
    assert_eq!(found(email.clone()).await, 1);
    act(store, Action::Discard { job: made }).await;
    store
        .redact(&shop(), &[record("order", "1")], START)
        .await
        .unwrap();
    assert_eq!(found(email).await, 0);
    let row = &log(store).await[0];
    assert_eq!((row.action.as_str(), row.actor.as_str()), ("discard", "anna"));
    assert_ne!(
        row.reason.as_deref(),
        Some("a test"),
        "a reason may name a customer"
    );
    while store.prune(START.plus(DAY * 40), 100).await.unwrap() > 0 {}
    assert!(store.job(made).await.unwrap().is_none());
}
