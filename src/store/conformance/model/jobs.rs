//! The model of the queue: its jobs, and who holds which record.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{End, NEEDLESS, SET_ASIDE, record_of};
use crate::domain::{Fence, JobId, JobState, System, Timestamp};
use crate::store::Retried;

/// One job of the model.
#[derive(Clone, Debug)]
pub(super) struct Job {
    pub(super) id: JobId,
    pub(super) key: usize,
    pub(super) state: JobState,
    pub(super) priority: i16,
    pub(super) run_at: Timestamp,
    pub(super) wanted: u32,
    pub(super) taken: u32,
    pub(super) events: u32,
    pub(super) attempts: u32,
    pub(super) failed: u32,
    /// When an attempt ended whose last call may still take effect.
    pub(super) unclean: Option<Timestamp>,
    /// Attempts in a row that ended without a word.
    pub(super) killed: u32,
    pub(super) down: Option<System>,
    pub(super) waits_on: Option<usize>,
    pub(super) has_problem: bool,
    /// The token of the claim that holds it.
    pub(super) held_by: Option<Fence>,
    pub(super) lease_ends: bool,
}

/// The model: jobs, locks by record, and the deliveries that were stored.
#[derive(Default)]
pub(super) struct Model {
    pub(super) jobs: Vec<Job>,
    pub(super) locks: BTreeMap<usize, JobId>,
    pub(super) delivered: BTreeSet<(usize, usize)>,
}

impl Model {
    pub(super) fn open(&mut self, key: usize) -> Option<&mut Job> {
        self.jobs
            .iter_mut()
            .find(|job| job.key == key && job.state.is_open())
    }

    pub(super) fn job(&mut self, id: JobId) -> &mut Job {
        self.jobs
            .iter_mut()
            .find(|job| job.id == id)
            .expect("a job of the model")
    }

    /// Somebody wants work on the record; `made` is the number that the store gave.
    pub(super) fn want(
        &mut self,
        key: usize,
        priority: i16,
        now: Timestamp,
        is_event: bool,
        made: JobId,
    ) -> bool {
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
    pub(super) fn wake(&mut self, records: &[usize], by: JobId, now: Timestamp) {
        for job in &mut self.jobs {
            let waits = job.waits_on.is_some_and(|on| records.contains(&on));
            if job.state == JobState::Scheduled && waits && job.id != by {
                job.state = JobState::Available;
                job.run_at = now;
                job.waits_on = None;
            }
        }
    }

    pub(super) fn release(&mut self, id: JobId) -> Vec<usize> {
        let records = self.locks.iter().filter(|(_, holder)| **holder == id);
        let records: Vec<usize> = records.map(|(record, _)| *record).collect();
        self.locks.retain(|_, holder| *holder != id);
        records
    }

    /// The jobs that a claim takes.
    pub(super) fn claim(
        &mut self,
        products: bool,
        limit: u32,
        now: Timestamp,
        lease_ends: bool,
    ) -> Vec<JobId> {
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

    pub(super) fn reclaim(&mut self, all: bool, now: Timestamp) {
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

    pub(super) fn finish(&mut self, id: JobId, end: End, unclean: bool, now: Timestamp) -> JobState {
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

    pub(super) fn lock(&mut self, id: JobId, records: &[usize]) -> Option<usize> {
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

    pub(super) fn retry(&mut self, id: JobId, now: Timestamp) -> Option<Retried> {
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

pub(super) fn system(erp: bool) -> System {
    if erp { System::Erp } else { System::Shopify }
}
