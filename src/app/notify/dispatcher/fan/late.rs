//! Notifications that the store does not take in time, though it takes others: they hold up nothing, and are given up in the end.
//!
//! That the store is away says nothing of a notification: only failures between which others were taken are counted.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::domain::Timestamp;

/// One that was late again after others were taken is left alone for so long.
const LATER: Duration = Duration::from_secs(60);

/// So often one is tried again after others were taken. Then it is given up.
const MOST_TRIES: u32 = 3;

/// Whose turn it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// Nothing is known against it: with others.
    WithOthers,
    /// By itself, as it has been late.
    Alone,
    /// By itself, and not to be sent any more: it was late too often.
    GivenUp,
    /// By itself, where there are no others: it may be that the store takes none.
    OthersFirst,
    /// Later.
    NotYet,
}

/// What is known of one.
#[derive(Debug)]
struct Known {
    /// How many pages had been taken when it failed last.
    pages: u64,
    /// How often it failed after others were taken.
    tries: u32,
    not_before: Timestamp,
}

/// Those that were late.
#[derive(Debug, Default)]
pub(super) struct Late {
    known: BTreeMap<i64, Known>,
    /// How many pages of others were taken.
    pages: u64,
}

impl Late {
    pub(super) fn turn(&self, id: i64, now: Timestamp) -> Turn {
        let Some(known) = self.known.get(&id) else {
            return Turn::WithOthers;
        };
        if known.tries == 0 && known.pages == self.pages {
            Turn::OthersFirst
        } else if now < known.not_before {
            Turn::NotYet
        } else if known.tries >= MOST_TRIES {
            Turn::GivenUp
        } else {
            Turn::Alone
        }
    }

    pub(super) fn knows(&self, id: i64) -> bool {
        self.known.contains_key(&id)
    }

    /// Others were taken.
    pub(super) const fn took_others(&mut self) {
        self.pages += 1;
    }

    /// It was taken.
    pub(super) fn took(&mut self, id: i64) {
        self.known.remove(&id);
    }

    /// By itself it was not taken in time. False where that was its last turn.
    pub(super) fn failed(&mut self, id: i64, now: Timestamp) -> bool {
        let pages = self.pages;
        let known = self.known.entry(id).or_insert(Known {
            pages,
            tries: 0,
            not_before: now,
        });
        if known.pages < pages {
            if known.tries >= MOST_TRIES {
                self.known.remove(&id);
                return false;
            }
            known.tries += 1;
            known.pages = pages;
        }
        if known.tries > 0 {
            known.not_before = now.plus(LATER);
        }
        true
    }

    /// The clock was set back: none waits for what has become a far future.
    pub(super) fn clock_went_back(&mut self) {
        for known in self.known.values_mut() {
            known.not_before = Timestamp::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_late_while_others_are_taken_is_given_up() {
        let mut late = Late::default();
        let mut now = Timestamp::from_millis(1_000_000);
        assert_eq!(late.turn(7, now), Turn::WithOthers);
        // The store is away for a day.
        for _ in 0..1_440 {
            assert!(late.failed(7, now));
            now = now.plus(LATER);
            assert_eq!(late.turn(7, now), Turn::OthersFirst);
        }
        late.took_others();
        for _ in 0..MOST_TRIES {
            assert_eq!(late.turn(7, now), Turn::Alone);
            assert!(late.failed(7, now));
            late.took_others();
            assert_eq!(late.turn(7, now), Turn::NotYet);
            now = now.plus(LATER);
        }
        assert_eq!(late.turn(7, now), Turn::GivenUp);
        assert!(!late.failed(7, now), "not even as one that is given up");
        assert_eq!(late.turn(8, now), Turn::WithOthers);
    }
}
