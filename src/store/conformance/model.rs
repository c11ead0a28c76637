//! Both stores against a small model of the queue in memory: whatever is delivered, claimed, ended, locked, lost, retried
//! and discarded in whatever order, they say the same and stand the same afterwards.
//!
//! The model is written from the design's words, not from the stores' statements.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::fixture::Fixture;
use super::given::{claim_as, delivery, end, key, new_job, problem, record, shop};
use super::kept::MISCOUNTED;
use crate::domain::{Fence, JobId, JobKey, JobState, Object, Priority, System, Timestamp};
use crate::store::{
    ClaimedJob, ClusterFilter, Finished, JobFilter, Locked, Recorded, Retried, SharedStore, Verdict,
};

/// Cases of SQLite, and steps of each case.
const CASES: u32 = 32;
const STEPS: usize = 60;
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
        9 => (0_usize..6, end, prop::bool::weighted(0.2), proptest::option::weighted(0.2, 0..KEYS))
            .prop_map(|(claim, end, unclean, also)| Step::Finish { claim, end, unclean, also }),
        4 => (0_usize..6, proptest::collection::vec(0..KEYS * 2, 0..3))
            .prop_map(|(claim, records)| Step::Lock { claim, records }),
        1 => (0_usize..6).prop_map(|claim| Step::Heartbeat { claim }),
        4 => (0_u64..50).prop_map(|seconds| Step::Advance { seconds }),
        2 => Just(Step::Reclaim),
        1 => Just(Step::Crash),
        2 => (0_usize..8).prop_map(|job| Step::Retry { job }),
        2 => (0_usize..8).prop_map(|job| Step::Discard { job }),
        1 => any::<bool>().prop_map(|erp| Step::Hasten { erp }),
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

/// One job of the model.
#[derive(Clone, Debug)]
struct Job {
    id: JobId,
    key: usize,
    state: JobState,
    priority: i16,
    run_at: Timestamp,
    wanted: u32,
    taken: u32,
    events: u32,
    attempts: u32,
    failed: u32,
    /// When an attempt ended whose last call may still take effect.
    unclean: Option<Timestamp>,
    /// Attempts in a row that ended without a word.
    killed: u32,
    down: Option<System>,
    waits_on: Option<usize>,
    has_problem: bool,
    /// The token of the claim that holds it.
    held_by: Option<Fence>,
    lease_ends: bool,
}

/// The model: jobs, locks by record, and the deliveries that were stored.
#[derive(Default)]
struct Model {
    jobs: Vec<Job>,
    locks: BTreeMap<usize, JobId>,
    delivered: BTreeSet<(usize, usize)>,
}

impl Model {
    fn open(&mut self, key: usize) -> Option<&mut Job> {
        self.jobs
            .iter_mut()
            .find(|job| job.key == key && job.state.is_open())
    }

    fn job(&mut self, id: JobId) -> &mut Job {
        self.jobs
            .iter_mut()
            .find(|job| job.id == id)
            .expect("a job of the model")
    }

    /// Somebody wants work on the record; `made` is the number that the store gave.
    fn want(&mut self, key: usize, priority: i16, now: Timestamp, is_event: bool, made: JobId) -> bool {
        let events = u32::from(is_event);
        let Some(job) = self.open(key) else {
            self.jobs.push(Job {
                id: made,
                key,
                state: JobState::Available,
                priority,
                run_at: now,
                wanted: 1,
                taken: 0,
                events,
                attempts: 0,
                failed: 0,
                unclean: None,
                killed: 0,
                down: None,
                waits_on: None,
                has_problem: false,
                held_by: None,
                lease_ends: false,
            });
            return true;
        };
        job.wanted += 1;
        job.events += events;
        job.priority = job.priority.min(priority);
        if matches!(job.state, JobState::Problem | JobState::Held) {
            job.failed = 0;
            job.state = JobState::Available;
            job.run_at = now;
        }
        false
    }

    /// Wakes who waits for one of the records that `by` let go.
    fn wake(&mut self, records: &[usize], by: JobId, now: Timestamp) {
        for job in &mut self.jobs {
            let waits = job.waits_on.is_some_and(|on| records.contains(&on));
            if job.state == JobState::Scheduled && waits && job.id != by {
                job.state = JobState::Available;
                job.run_at = now;
                job.waits_on = None;
            }
        }
    }

    fn release(&mut self, id: JobId) -> Vec<usize> {
        let records = self.locks.iter().filter(|(_, holder)| **holder == id);
        let records: Vec<usize> = records.map(|(record, _)| *record).collect();
        self.locks.retain(|_, holder| *holder != id);
        records
    }

    /// The jobs that a claim takes.
    fn claim(&mut self, products: bool, limit: u32, now: Timestamp, lease_ends: bool) -> Vec<JobId> {
        let mut waiting: Vec<(i16, Timestamp, JobId)> = self
            .jobs
            .iter()
            .filter(|job| (job.key >= 3) == products && job.run_at <= now)
            .filter(|job| {
                matches!(
                    job.state,
                    JobState::Available | JobState::Scheduled | JobState::Retryable
                )
            })
            .map(|job| (job.priority, job.run_at, job.id))
            .collect();
        waiting.sort_unstable();
        let mut claimed = Vec::new();
        for (_, _, id) in waiting {
            if claimed.len() == limit as usize {
                break;
            }
            let record = self.job(id).key;
            let is_locked = self.locks.contains_key(&record);
            let job = self.job(id);
            if is_locked {
                job.state = JobState::Scheduled;
                job.waits_on = Some(record);
                job.run_at = now.plus(SET_ASIDE);
                continue;
            }
            job.state = JobState::Running;
            job.taken = job.wanted;
            job.attempts += 1;
            job.waits_on = None;
            job.down = None;
            job.lease_ends = lease_ends;
            self.locks.insert(record, id);
            claimed.push(id);
        }
        claimed
    }

    fn reclaim(&mut self, all: bool, now: Timestamp) {
        let dead: Vec<JobId> = self
            .jobs
            .iter()
            .filter(|job| job.state == JobState::Running && (all || job.lease_ends))
            .map(|job| job.id)
            .collect();
        let mut freed = Vec::new();
        for (place, id) in dead.into_iter().enumerate() {
            let job = self.job(id);
            job.held_by = None;
            job.unclean = Some(now);
            job.killed += 1;
            let rest = match job.killed {
                1 => 0,
                2 => 10 + 5 * place,
                3 => 60 + 5 * place,
                _ => 300 + 5 * place,
            };
            job.run_at = now.plus(Duration::from_secs(u64::try_from(rest).unwrap()));
            job.state = match job.killed {
                1 => JobState::Available,
                2..=4 => JobState::Retryable,
                _ => JobState::Problem,
            };
            job.has_problem |= job.state == JobState::Problem;
            freed.push((id, self.release(id)));
        }
        for (id, records) in freed {
            self.wake(&records, id, now);
        }
    }

    fn finish(&mut self, id: JobId, end: End, unclean: bool, now: Timestamp) -> JobState {
        let records = self.release(id);
        let job = self.job(id);
        job.held_by = None;
        let again = job.wanted > job.taken;
        job.state = JobState::Available;
        let release_at = job.run_at;
        job.run_at = now;
        if !matches!(end, End::Release) {
            job.killed = 0;
        }
        if matches!(end, End::Completed | End::Obsolete) {
            job.unclean = None;
        }
        if unclean {
            job.unclean = Some(now);
        }
        match end {
            End::Completed | End::Obsolete => {
                job.failed = 0;
                job.has_problem = false;
                if !again {
                    job.state = match end {
                        End::Obsolete => JobState::Obsolete,
                        _ => JobState::Completed,
                    };
                }
            }
            End::Retry {
                counts,
                seconds,
                down,
            } => {
                job.state = JobState::Retryable;
                job.run_at = now.plus(Duration::from_secs(seconds));
                job.failed += u32::from(counts);
                job.down = down.map(system);
            }
            End::Wait { on, seconds } => {
                job.state = JobState::Scheduled;
                job.run_at = now.plus(Duration::from_secs(seconds));
                job.waits_on = Some(on);
            }
            End::Problem | End::Held => {
                job.has_problem = true;
                if again {
                    job.failed = 0;
                } else if matches!(end, End::Held) {
                    job.state = JobState::Held;
                } else {
                    job.state = JobState::Problem;
                }
            }
            End::Release => {
                job.attempts -= 1;
                job.run_at = release_at;
            }
        }
        let state = job.state;
        self.wake(&records, id, now);
        if let End::Wait { on, .. } = end {
            let is_busy = self.locks.contains_key(&on)
                || self
                    .open(on)
                    .is_some_and(|job| !matches!(job.state, JobState::Problem | JobState::Held));
            let job = self.job(id);
            if job.state == JobState::Scheduled && !is_busy {
                job.run_at = job.run_at.min(now.plus(NEEDLESS));
            }
        }
        state
    }

    fn lock(&mut self, id: JobId, records: &[usize]) -> Option<usize> {
        let mut sorted: Vec<usize> = records.to_vec();
        sorted.sort_by_key(|index| record_of(*index));
        let busy = sorted
            .iter()
            .copied()
            .find(|record| self.locks.get(record).is_some_and(|holder| *holder != id));
        if busy.is_none() {
            self.locks.extend(sorted.into_iter().map(|record| (record, id)));
        }
        busy
    }

    fn retry(&mut self, id: JobId, now: Timestamp) -> Option<Retried> {
        let key = self.job(id).key;
        let target = if self.job(id).state.is_open() {
            id
        } else {
            // None: the store makes a new one.
            self.open(key)?.id
        };
        let job = self.job(target);
        if job.state == JobState::Running {
            return Some(Retried::Running);
        }
        job.state = JobState::Available;
        job.run_at = now;
        job.priority = 0;
        job.failed = 0;
        job.down = None;
        job.waits_on = None;
        Some(Retried::Again(target))
    }
}

fn system(erp: bool) -> System {
    if erp { System::Erp } else { System::Shopify }
}

/// A store and its model, side by side.
struct Pair {
    fixture: Fixture,
    model: Model,
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
            } => {
                let Some(claim) = self.claims.get(claim) else {
                    return self;
                };
                let mut finish = end(claim, now, verdict(kind, now));
                finish.unclean = unclean;
                if let Some(also) = also {
                    finish.enqueue = vec![new_job(&key_of(also), now)];
                }
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
