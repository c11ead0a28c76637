//! Where outcomes wait to be saved.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::mpsc;

use crate::app::notify::dispatcher::send::Done;

/// Nothing more is claimed while the outcomes of so many dispatches wait to be saved.
const MOST_UNSAVED: usize = 5_000;

/// Where outcomes wait to be saved. All find room: there are never more than what was claimed, and nothing is claimed while too many
/// wait.
#[derive(Clone, Debug)]
pub(in super::super) struct Outcomes {
    to: mpsc::UnboundedSender<Done>,
    /// So many dispatches wait.
    waiting: Arc<AtomicUsize>,
}

impl Outcomes {
    pub(in super::super) fn add(&self, done: Done) {
        let count = done.members.len();
        self.waiting.fetch_add(count, Ordering::Relaxed);
        if self.to.send(done).is_err() {
            self.waiting.fetch_sub(count, Ordering::Relaxed);
        }
    }

    /// Whether so many wait that nothing more is to be claimed.
    pub(in super::super) fn is_full(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) >= MOST_UNSAVED
    }
}

/// The outcomes that wait, as the one who saves them has them.
pub(in super::super) struct Unsaved {
    pub(super) from: mpsc::UnboundedReceiver<Done>,
    waiting: Arc<AtomicUsize>,
}

impl Unsaved {
    /// So many dispatches wait no longer.
    pub(super) fn done_with(&self, dispatches: usize) {
        self.waiting.fetch_sub(dispatches, Ordering::Relaxed);
    }
}

/// A place where outcomes wait, from both sides.
pub(in super::super) fn outcomes() -> (Outcomes, Unsaved) {
    let (to, from) = mpsc::unbounded_channel();
    let waiting = Arc::new(AtomicUsize::new(0));
    let outcomes = Outcomes {
        to,
        waiting: Arc::clone(&waiting),
    };
    (outcomes, Unsaved { from, waiting })
}

/// How many dispatches these are.
pub(super) fn dispatches(dones: &[Done]) -> usize {
    dones.iter().map(|done| done.members.len()).sum()
}

/// Takes the first that wait, with so many dispatches at most, and one at least.
pub(super) fn take(waiting: &mut VecDeque<Done>, most: usize) -> Vec<Done> {
    let mut group = Vec::new();
    let mut count = 0;
    while let Some(next) = waiting.front() {
        count += next.members.len();
        if count > most && !group.is_empty() {
            break;
        }
        group.extend(waiting.pop_front());
    }
    group
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::notify::dispatcher::record::AT_ONCE;
    use crate::app::notify::dispatcher::send::{Member, Outcome};
    use crate::domain::{Fence, Timestamp};

    fn done(first: i64, count: i64) -> Done {
        let members = (first..first + count).map(|id| Member {
            id: (id, Fence(1)),
            tries: 1,
        });
        Done {
            endpoint: "one".to_owned(),
            members: members.collect(),
            outcome: Outcome::GivenBack {
                at: Timestamp::default(),
            },
            failures: 0,
        }
    }

    #[test]
    fn a_transaction_ends_so_many_dispatches_and_no_more() {
        let sizes = |counts: &[i64], most: usize| -> Vec<usize> {
            let mut waiting: VecDeque<Done> = counts.iter().map(|count| done(1, *count)).collect();
            let mut sizes = Vec::new();
            while !waiting.is_empty() {
                sizes.push(dispatches(&take(&mut waiting, most)));
            }
            sizes
        };
        assert_eq!(sizes(&vec![1; 2_500], AT_ONCE), [1_000, 1_000, 500]);
        let batches = sizes(&[100; 25], AT_ONCE);
        assert_eq!(batches, [1_000, 1_000, 500], "batches count as what they carry");
        assert_eq!(sizes(&[600, 600, 400], AT_ONCE), [600, 1_000]);
        assert_eq!(sizes(&[100, 1, 1], 1), [100, 1, 1], "one is never taken apart");
    }
}
