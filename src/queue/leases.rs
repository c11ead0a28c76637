//! Signs of life for the jobs that run here.
//!
//! One call for all of them at a third of the lease. Nothing wakes up while nothing runs.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::select;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use crate::domain::{Fence, JobId, Timestamp};

use super::Shared;
use super::attempt::chain;

/// The claims that are held.
#[derive(Debug, Default)]
pub(super) struct Leases {
    held: Mutex<HashMap<JobId, Held>>,
    some: Notify,
}

#[derive(Debug)]
struct Held {
    fence: Fence,
    /// Until when we know it to be ours.
    until: Timestamp,
    lost: CancellationToken,
    expired: CancellationToken,
}

impl Leases {
    /// Notes a claim; returns the tokens that are cancelled when it is lost, and when its lease runs out.
    pub(super) fn hold(
        &self,
        job: JobId,
        fence: Fence,
        until: Timestamp,
    ) -> (CancellationToken, CancellationToken) {
        let held = Held {
            fence,
            until,
            lost: CancellationToken::new(),
            expired: CancellationToken::new(),
        };
        let tokens = (held.lost.clone(), held.expired.clone());
        if let Some(older) = self.lock().insert(job, held) {
            // Claimed again while an attempt of ours still runs: that one lost its claim in between.
            older.lost.cancel();
        }
        self.some.notify_one();
        tokens
    }

    /// Forgets a claim.
    pub(super) fn release(&self, job: JobId, fence: Fence) {
        let mut held = self.lock();
        if held.get(&job).is_some_and(|held| held.fence == fence) {
            held.remove(&job);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<JobId, Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Renews the leases for as long as it is polled.
    pub(super) async fn keep(&self, shared: &Shared, lease: impl Fn() -> Duration) {
        let mut pause = lease() / 3;
        loop {
            while self.lock().is_empty() {
                self.some.notified().await;
            }
            shared.clock.sleep_until(shared.clock.now().plus(pause)).await;
            let lease = lease();
            pause = if self.renew(shared, lease).await {
                lease / 3
            } else {
                lease / 12
            };
        }
    }

    /// One round; whether the store answered.
    pub(super) async fn renew(&self, shared: &Shared, lease: Duration) -> bool {
        let claims: Vec<(JobId, Fence)> = self.lock().iter().map(|(job, held)| (*job, held.fence)).collect();
        if claims.is_empty() {
            return true;
        }
        let now = shared.clock.now();
        let until = now.plus(lease);
        let answer = select! {
            answer = shared.store.heartbeat(claims.clone(), until) => Some(answer),
            () = shared.clock.sleep_until(now.plus(lease / 3)) => None,
        };
        let gone = match answer {
            Some(Ok(gone)) => gone,
            Some(Err(failure)) => {
                error!(error = %chain(&failure), jobs = claims.len(), "cannot renew the leases of running jobs");
                self.expire(shared.clock.now());
                return false;
            }
            None => {
                error!(
                    jobs = claims.len(),
                    "the store did not renew the leases of running jobs in time"
                );
                self.expire(shared.clock.now());
                return false;
            }
        };
        let mut held = self.lock();
        for (job, fence) in claims {
            // It may have ended, or have been claimed anew, while the store was asked.
            let Some(claim) = held.get_mut(&job).filter(|claim| claim.fence == fence) else {
                continue;
            };
            if gone.contains(&job) {
                warn!(%job, "the claim of a running job is no longer ours");
                claim.lost.cancel();
            } else {
                claim.until = until;
            }
        }
        true
    }

    /// Whether a lease has run out without anybody having noticed yet.
    pub(super) fn some_ended(&self, now: Timestamp) -> bool {
        self.lock().values().any(|held| held.until <= now)
    }

    fn expire(&self, now: Timestamp) {
        for held in self.lock().values().filter(|held| held.until <= now) {
            held.expired.cancel();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_that_was_made_anew_ends_the_older_attempt_and_outlives_it() {
        let leases = Leases::default();
        let until = Timestamp::from_millis(1);
        let (older, _) = leases.hold(JobId(1), Fence(1), until);
        let (newer, expired) = leases.hold(JobId(1), Fence(2), until);
        assert!(older.is_cancelled() && !newer.is_cancelled());
        leases.release(JobId(1), Fence(1));
        leases.expire(until);
        assert!(
            expired.is_cancelled(),
            "the older attempt's end did not release the newer claim"
        );
        leases.release(JobId(1), Fence(2));
        assert!(leases.lock().is_empty());
    }
}
