//! Slowing down whoever guesses passwords.
//!
//! After some wrong passwords an account takes none for a while, the right one neither, and longer each time. That is
//! counted for names that do not exist, too, so that the answer tells nothing about which do. The counts live in this
//! process: they are a brake, no ban.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::domain::Timestamp;

/// Wrong passwords that are free.
const FREE: u32 = 5;

/// The pause after one more; it doubles with each.
const FIRST_PAUSE: Duration = Duration::from_secs(15);

/// No pause is longer: whoever else guesses must not lock a person out for the day.
const LONGEST_PAUSE: Duration = Duration::from_secs(15 * 60);

/// Wrong passwords are forgotten after this.
const FORGOTTEN: Duration = Duration::from_secs(3600);

/// How many names are remembered at most, those of accounts not counted.
const NAMES: usize = 10_000;

/// How many passwords are compared at once: each takes 20 MB.
const AT_ONCE: usize = 2;

/// The brake.
#[derive(Debug)]
pub(super) struct Guard {
    /// By a hash of the name: what strangers send is of any length.
    failures: Mutex<HashMap<u64, Failures>>,
    hasher: RandomState,
    /// Who holds one may compare a password.
    pub(super) turns: Arc<Semaphore>,
}

#[derive(Clone, Copy, Debug)]
struct Failures {
    count: u32,
    last: Timestamp,
    /// Whether it is the name of an account.
    is_account: bool,
}

impl Default for Guard {
    fn default() -> Self {
        Self {
            failures: Mutex::default(),
            hasher: RandomState::new(),
            turns: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }
}

fn pause(count: u32) -> Duration {
    match count.checked_sub(FREE) {
        None => Duration::ZERO,
        Some(more) => FIRST_PAUSE.saturating_mul(1 << more.min(16)).min(LONGEST_PAUSE),
    }
}

impl Guard {
    /// How long this account takes no password. An attempt counts as wrong from here on, until it is told to be right: of many
    /// at once each is counted before any is compared.
    pub(super) fn attempt(&self, name: &str, is_account: bool, now: Timestamp) -> Result<(), Duration> {
        let name = self.hasher.hash_one(name);
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures.retain(|_, one| now.since(one.last) < FORGOTTEN);
        let known = failures.get(&name).copied();
        if let Some(known) = known {
            let left = known.last.plus(pause(known.count)).since(now);
            if !left.is_zero() {
                return Err(left);
            }
        } else if failures.len() >= NAMES {
            // Somebody tries names by the thousand: they push out each other's, never an account's.
            let strangers = failures.iter().filter(|(_, one)| !one.is_account);
            if let Some(oldest) = strangers.min_by_key(|(_, one)| one.last).map(|(name, _)| *name) {
                failures.remove(&oldest);
            }
        }
        let count = known.map_or(0, |known| known.count) + 1;
        let last = now;
        failures.insert(
            name,
            Failures {
                count,
                last,
                is_account,
            },
        );
        Ok(())
    }

    /// The last attempt was right.
    pub(super) fn right(&self, name: &str) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures.remove(&self.hasher.hash_one(name));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_wrong_password_after_the_fifth_takes_longer() {
        let guard = Guard::default();
        let mut now = Timestamp::from_millis(1_000_000);
        for _ in 0..5 {
            guard.attempt("ada", true, now).unwrap();
        }
        let mut pauses = Vec::new();
        for _ in 0..9 {
            let wait = guard.attempt("ada", true, now).unwrap_err();
            // Asking again meanwhile makes it no longer.
            assert_eq!(guard.attempt("ada", true, now), Err(wait));
            pauses.push(wait.as_secs());
            now = now.plus(wait);
            // Who waited long enough may try once.
            guard.attempt("ada", true, now).unwrap();
        }
        assert_eq!(pauses, [15, 30, 60, 120, 240, 480, 900, 900, 900]);
        guard.right("ada");
        guard.attempt("ada", true, now).unwrap();
    }

    #[test]
    fn names_by_the_thousand_push_out_each_other_and_no_account() {
        let guard = Guard::default();
        let now = Timestamp::from_millis(1_000_000);
        for _ in 0..=FREE {
            guard.attempt("ada", true, now).ok();
        }
        guard.attempt("ada", true, now).unwrap_err();
        let later = now.plus(Duration::from_secs(1));
        for n in 0..NAMES + 10 {
            guard.attempt(&n.to_string(), false, later).unwrap();
        }
        assert!(guard.failures.lock().unwrap().len() <= NAMES + 1);
        guard.attempt("ada", true, later).unwrap_err();
        // An account that nobody tried is let in although the table is full.
        guard.attempt("bob", true, later).unwrap();
    }
}
