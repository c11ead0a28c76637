//! Both stores against a small model of the queue in memory: whatever is delivered, claimed, ended, locked, lost, retried
//! and discarded in whatever order, they say the same and stand the same afterwards.
//!
//! So is what other systems are told: of what attempts tell nothing is lost and nothing invented, and whoever sends it under a
//! claim that ended changes nothing any more.
//!
//! The model is written from the design's words, not from the stores' statements.

mod jobs;
mod told;

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::fixture::Fixture;
use super::given::{claim_as, delivery, end, key, new_job, problem, record, shop};
use super::kept::MISCOUNTED;
use super::notices;
use crate::domain::{JobId, JobKey, JobState, Object, Priority, System, Timestamp};
use crate::store::{
    ClaimedJob, ClusterFilter, Finished, JobFilter, Locked, Recorded, Retried, SharedStore, Verdict,
};

use jobs::{Model, system};
use told::{Telling, Told};

/// Cases of SQLite, and steps of each case.
const CASES: u32 = 32;
const STEPS: usize = 80;
/// PostgreSQL is slower to set up.
const CASES_ON_POSTGRES: u32 = 6;

/// Records that jobs are about: orders and products.
const KEYS: usize = 5;
/// Different deliveries of each record: more are repetitions.
const NAMES: usize = 6;

const LEASE: Duration = Duration::from_secs(3600);
/// How long a job that found its own record locked waits at most, and one that waits for what is free.
const SET_ASIDE: Duration = Duration::from_secs(60);
const NEEDLESS: Duration = Duration::from_secs(1);

/// One thing that happens. Numbers choose among what there is at that moment.
#[derive(Clone, Debug)]
enum Step {
    Deliver {
        key: usize,
        name: usize,
    },
    Enqueue {
        key: usize,
        priority: i16,
    },
    Claim {
        products: bool,
        limit: u32,
        lease_ends: bool,
    },
    Finish {
        claim: usize,
        end: End,
        unclean: bool,
        also: Option<usize>,
        tells: usize,
    },
    Lock {
        claim: usize,
        records: Vec<usize>,
    },
    Heartbeat {
        claim: usize,
    },
    Advance {
        seconds: u64,
    },
    Reclaim,
    Crash,
    Retry {
        job: usize,
    },
    Discard {
        job: usize,
    },
    Hasten {
        erp: bool,
    },
    Told(Telling),
}

#[derive(Clone, Copy, Debug)]
enum End {
    Completed,
    Obsolete,
    Retry {
        counts: bool,
        seconds: u64,
        down: Option<bool>,
    },
    Wait {
        on: usize,
        seconds: u64,
    },
    Problem,
    Held,
    Release,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let end = prop_oneof![
        4 => Just(End::Completed),
        1 => Just(End::Obsolete),
        3 => (any::<bool>(), 0_u64..40, proptest::option::of(any::<bool>()))
            .prop_map(|(counts, seconds, down)| End::Retry { counts, seconds, down }),
        3 => (0..KEYS * 2, 0_u64..40).prop_map(|(on, seconds)| End::Wait { on, seconds }),
        2 => Just(End::Problem),
        1 => Just(End::Held),
        1 => Just(End::Release),
    ];
    let step = prop_oneof![
        6 => (0..KEYS, 0..NAMES).prop_map(|(key, name)| Step::Deliver { key, name }),
        3 => (0..KEYS, 0_i16..3).prop_map(|(key, priority)| Step::Enqueue { key, priority }),
        8 => (any::<bool>(), 1_u32..4, prop::bool::weighted(0.2))
            .prop_map(|(products, limit, lease_ends)| Step::Claim { products, limit, lease_ends }),
        9 => (0_usize..6, end, prop::bool::weighted(0.2), proptest::option::weighted(0.2, 0..KEYS), 0_usize..3)
            .prop_map(|(claim, end, unclean, also, tells)| Step::Finish { claim, end, unclean, also, tells }),
        4 => (0_usize..6, proptest::collection::vec(0..KEYS * 2, 0..3))
            .prop_map(|(claim, records)| Step::Lock { claim, records }),
        1 => (0_usize..6).prop_map(|claim| Step::Heartbeat { claim }),
        4 => (0_u64..50).prop_map(|seconds| Step::Advance { seconds }),
        2 => Just(Step::Reclaim),
        1 => Just(Step::Crash),
        2 => (0_usize..8).prop_map(|job| Step::Retry { job }),
        2 => (0_usize..8).prop_map(|job| Step::Discard { job }),
        1 => any::<bool>().prop_map(|erp| Step::Hasten { erp }),
        14 => told::steps().prop_map(Step::Told),
    ];
    proptest::collection::vec(step, STEPS)
}

fn key_of(index: usize) -> JobKey {
    let object = if index < 3 { Object::Order } else { Object::Product };
    key(object, &index.to_string())
}

/// The records that attempts lock or wait for: the jobs' own ones, and as many of the ERP's.
fn record_of(index: usize) -> crate::domain::RecordKey {
    if index < KEYS {
        return key_of(index).record();
    }
    crate::domain::RecordKey {
        system: System::Erp,
        ..record("res.partner", &index.to_string())
    }
}

/// A store and its model, side by side.
struct Pair {
    fixture: Fixture,
    model: Model,
    told: Told,
    /// Claims so far, newest first: also those that were lost or ended.
    claims: Vec<ClaimedJob>,
}

impl Pair {
    async fn run(mut self, steps: Vec<Step>) {
        for step in steps {
            let text = format!("{step:?}");
            self = self.step(step).await;
            self.compare(&text).await;
        }
        assert_eq!(self.fixture.number(MISCOUNTED).await, 0, "kept counts");
        notices::check_counts(&self.fixture).await;
    }

    async fn step(mut self, step: Step) -> Self {
        let now = self.fixture.now();
        let store = self.fixture.store.clone();
        let model = &mut self.model;
        match step {
            Step::Deliver { key, name } => {
                let mut unit = delivery(&format!("{key}-{name}"), &key_of(key), now);
                // A repetition tells the time of the first.
                unit.triggered_at = None;
                let recorded = store.record_delivery(unit).await.unwrap();
                if model.delivered.insert((key, name)) {
                    let Recorded::New { job: Some(job), .. } = recorded else {
                        panic!("{recorded:?}");
                    };
                    model.want(key, Priority::LIVE.0, now, true, job);
                    assert_eq!(model.open(key).unwrap().id, job);
                } else {
                    assert_eq!(recorded, Recorded::Repeated);
                }
            }
            Step::Enqueue { key, priority } => {
                let mut job = new_job(&key_of(key), now);
                job.priority = Priority(priority);
                let made = store.enqueue(job).await.unwrap();
                let created = model.want(key, priority, now, false, made.job);
                assert_eq!((made.created, made.job), (created, model.open(key).unwrap().id));
            }
            Step::Claim {
                products,
                limit,
                lease_ends,
            } => {
                let object = if products { Object::Product } else { Object::Order };
                let lease = if lease_ends { Duration::ZERO } else { LEASE };
                let before = model.jobs.clone();
                let claimed = claim_as(&store, "node-1", object, limit, now, lease).await;
                let expected = model.claim(products, limit, now, lease_ends);
                assert_eq!(claimed.iter().map(|job| job.id).collect::<Vec<_>>(), expected);
                for job in claimed {
                    let was = before.iter().find(|was| was.id == job.id).unwrap();
                    assert_eq!(
                        (job.failed_attempts, job.attempt, job.unclean_at),
                        (was.failed, was.attempts + 1, was.unclean)
                    );
                    assert!(
                        self.claims
                            .iter()
                            .all(|old| old.id != job.id || old.fence < job.fence)
                    );
                    model.job(job.id).held_by = Some(job.fence);
                    self.claims.insert(0, job);
                }
            }
            Step::Finish {
                claim,
                end: kind,
                unclean,
                also,
                tells,
            } => {
                let Some(claim) = self.claims.get(claim) else {
                    return self;
                };
                let mut finish = end(claim, now, verdict(kind, now));
                finish.unclean = unclean;
                if let Some(also) = also {
                    finish.enqueue = vec![new_job(&key_of(also), now)];
                }
                let tells: Vec<usize> = (0..tells).map(|_| self.told.new_name()).collect();
                finish.notifications = tells
                    .iter()
                    .map(|name| notices::body(&name.to_string()))
                    .collect();
                let finished = store.finish(finish).await.unwrap();
                if model.job(claim.id).held_by != Some(claim.fence) {
                    assert_eq!(finished, Finished::Stale);
                    return self;
                }
                if let Some(also) = also {
                    let made = newest(&store).await;
                    model.want(also, Priority::LIVE.0, now, false, made);
                }
                let state = model.finish(claim.id, kind, unclean, now);
                assert_eq!(finished, Finished::Done(state));
                self.told.outbox.extend(tells);
            }
            Step::Lock { claim, records } => {
                let Some(claim) = self.claims.get(claim) else {
                    return self;
                };
                let wanted = records.iter().map(|index| record_of(*index)).collect();
                let locked = store.lock(claim.id, claim.fence, wanted).await.unwrap();
                let expected = if model.job(claim.id).held_by == Some(claim.fence) {
                    match model.lock(claim.id, &records) {
                        None => Locked::Taken,
                        Some(record) => Locked::Busy(record_of(record)),
                    }
                } else {
                    Locked::Stale
                };
                assert_eq!(locked, expected);
            }
            Step::Heartbeat { claim } => {
                let Some(claim) = self.claims.get(claim) else {
                    return self;
                };
                let lost = store
                    .heartbeat(vec![(claim.id, claim.fence)], now.plus(LEASE))
                    .await
                    .unwrap();
                let job = model.job(claim.id);
                let is_held = job.held_by == Some(claim.fence);
                assert_eq!(lost.is_empty(), is_held);
                if is_held {
                    job.lease_ends = false;
                }
            }
            Step::Advance { seconds } => self.fixture.clock.advance(Duration::from_secs(seconds)),
            Step::Reclaim => {
                store.reclaim(now).await.unwrap();
                model.reclaim(false, now);
            }
            Step::Crash => {
                drop(store);
                self.model.reclaim(true, now);
                if !self.fixture.is_shared() {
                    // Nobody else serves: what was being sent is taken back at once.
                    self.told.reclaim(true, now);
                }
                self.fixture = self.fixture.crash().await;
            }
            Step::Retry { job } => {
                let Some(id) = model.jobs.get(job).map(|job| job.id) else {
                    return self;
                };
                let retried = store.retry(id, now).await.unwrap();
                if let Some(expected) = model.retry(id, now) {
                    assert_eq!(retried, expected);
                } else {
                    let Retried::New(made) = retried else {
                        panic!("{retried:?}");
                    };
                    let key = model.job(id).key;
                    assert!(model.want(key, Priority::URGENT.0, now, false, made));
                }
            }
            Step::Discard { job } => {
                let Some(id) = model.jobs.get(job).map(|job| job.id) else {
                    return self;
                };
                let discarded = store.discard(id, "a test", now).await.unwrap();
                let job = model.job(id);
                let is_possible = job.state.is_open() && job.state != JobState::Running;
                assert_eq!(discarded, is_possible);
                if is_possible {
                    job.state = JobState::Discarded;
                    job.waits_on = None;
                    job.has_problem = false;
                    let record = job.key;
                    model.wake(&[record], id, now);
                }
            }
            Step::Hasten { erp } => {
                let count = store.hasten(&shop(), system(erp), now).await.unwrap();
                let mut expected = 0;
                for job in &mut model.jobs {
                    if job.state == JobState::Retryable && job.down == Some(system(erp)) {
                        job.state = JobState::Available;
                        job.run_at = now;
                        job.down = None;
                        expected += 1;
                    }
                }
                assert_eq!(count, expected);
            }
            Step::Told(step) => self.told.step(&store, step, now).await,
        }
        self
    }

    /// Every job stands as the model says.
    async fn compare(&self, after: &str) {
        let filter = JobFilter {
            limit: 1000,
            ..Default::default()
        };
        let mut rows = self.fixture.store.jobs(filter).await.unwrap();
        rows.sort_by_key(|row| row.id);
        let mut jobs = self.model.jobs.clone();
        jobs.sort_by_key(|job| job.id);
        let seen: Vec<_> = rows
            .into_iter()
            .map(|row| {
                let (attempts, events) = (row.attempts, row.events);
                let has_problem = row.problem.is_some();
                (
                    row.id,
                    row.key,
                    row.state,
                    attempts,
                    events,
                    row.run_at,
                    row.waits_on,
                    has_problem,
                )
            })
            .collect();
        let expected: Vec<_> = jobs
            .into_iter()
            .map(|job| {
                let is_timed = matches!(job.state, JobState::Scheduled | JobState::Retryable);
                let run_at = is_timed.then_some(job.run_at);
                let waits_on = job.waits_on.map(|on| record_of(on).to_string());
                (
                    job.id,
                    key_of(job.key),
                    job.state,
                    job.attempts,
                    job.events,
                    run_at,
                    waits_on,
                    job.has_problem,
                )
            })
            .collect();
        assert_eq!(seen, expected, "after {after}");
        self.compare_counts(after).await;
        self.told.compare(&self.fixture.store, after).await;
    }

    /// The kept counts are those of the model's jobs.
    async fn compare_counts(&self, after: &str) {
        let store = &self.fixture.store;
        let counts = store.counts(self.fixture.now()).await.unwrap();
        let seen: BTreeMap<_, _> = counts
            .jobs
            .iter()
            .map(|row| ((row.lane.clone(), row.state), row.count))
            .collect();
        let mut expected = BTreeMap::new();
        for job in &self.model.jobs {
            let lane = crate::store::Lane::of(&key_of(job.key));
            *expected.entry((lane, job.state)).or_insert(0) += 1;
        }
        assert_eq!(seen, expected, "after {after}");
        let clusters = store.problem_clusters(ClusterFilter::default()).await.unwrap();
        let told: u64 = clusters.iter().map(|row| row.problems).sum();
        let open = self.model.jobs.iter().filter(|job| job.has_problem).count() as u64;
        assert_eq!((told, counts.open_problems), (open, open), "after {after}");
    }
}

fn verdict(end: End, now: Timestamp) -> Verdict {
    match end {
        End::Completed => Verdict::Completed,
        End::Obsolete => Verdict::Obsolete {
            reason: "gone".to_owned(),
        },
        End::Retry {
            counts,
            seconds,
            down,
        } => Verdict::Retry {
            at: now.plus(Duration::from_secs(seconds)),
            counts,
            system_down: down.map(system),
        },
        End::Wait { on, seconds } => Verdict::Wait {
            on: record_of(on),
            until: now.plus(Duration::from_secs(seconds)),
        },
        End::Problem => Verdict::Problem(problem("x")),
        End::Held => Verdict::Held(problem("x")),
        End::Release => Verdict::Release,
    }
}

async fn newest(store: &SharedStore) -> JobId {
    let filter = JobFilter {
        limit: 1,
        ..Default::default()
    };
    store.jobs(filter).await.unwrap()[0].id
}

fn check(cases: u32, make: impl AsyncFn() -> Fixture) {
    let config = Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    TestRunner::new(config)
        .run(&steps(), |steps| {
            runtime.block_on(async {
                let pair = Pair {
                    fixture: make().await,
                    model: Model::default(),
                    told: Told::default(),
                    claims: Vec::new(),
                };
                pair.run(steps).await;
            });
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn sqlite_does_as_the_model() {
    check(CASES, Fixture::sqlite);
}

#[test]
fn postgres_does_as_the_model() {
    check(CASES_ON_POSTGRES, Fixture::postgres);
}
