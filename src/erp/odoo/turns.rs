//! Who may call the server next: at most so many calls at a time, so many a second, and what is live first.
//!
//! Calls that give way (an import's, see [`calls::gives_way`]) hold at most half of the slots, and take a slot and a place in
//! the pace only while no other call waits for either. So a live call waits for none that came before it, and at most for
//! the end of one that runs. Where there is one slot only, it has to be shared.

use std::num::NonZeroU32;

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use tokio::select;
use tokio::sync::{Semaphore, SemaphorePermit, watch};

use crate::telemetry::calls;

/// So many others may go first while a call gives way; then it waits in line as they do. An import whose calls never went
/// would run into the time limit of its attempts, and make problems of records that nothing is wrong with.
const MOST_GO_FIRST: u64 = 50;

/// The slots and the pace of one server.
pub(super) struct Turns {
    slots: Semaphore,
    /// Those of the slots that calls which give way may hold.
    lesser: Semaphore,
    pace: DefaultDirectRateLimiter,
    line: watch::Sender<Line>,
}

/// The calls that give way to nobody.
#[derive(Clone, Copy, Debug, Default)]
struct Line {
    /// How many wait now.
    waiting: usize,
    /// How many ever came.
    came: u64,
}

impl Line {
    /// Whether a call that came when `since` others had come is to wait for them.
    const fn goes_before(self, since: u64) -> bool {
        self.waiting > 0 && self.came.saturating_sub(since) < MOST_GO_FIRST
    }
}

/// The turn to make one call; over when dropped.
#[must_use]
pub(super) struct Turn<'a> {
    // None only where a semaphore is closed, which these never are: then the call is a little early.
    _slot: Option<SemaphorePermit<'a>>,
    _lesser: Option<SemaphorePermit<'a>>,
}

/// A call that gives way to nobody, while it waits.
struct InLine<'a>(&'a watch::Sender<Line>);

impl<'a> InLine<'a> {
    fn join(line: &'a watch::Sender<Line>) -> Self {
        line.send_modify(|line| {
            line.waiting += 1;
            line.came += 1;
        });
        Self(line)
    }
}

impl Drop for InLine<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|line| line.waiting -= 1);
    }
}

/// So many of these slots calls that give way may hold.
pub(super) fn lesser(slots: usize) -> usize {
    (slots / 2).max(1)
}

impl Turns {
    /// For so many calls at a time and so many a second.
    pub(super) fn new(slots: usize, per_second: u32) -> Self {
        let slots = slots.max(1);
        let rate = NonZeroU32::new(per_second).unwrap_or(NonZeroU32::MIN);
        Self {
            slots: Semaphore::new(slots),
            lesser: Semaphore::new(lesser(slots)),
            pace: RateLimiter::direct(Quota::per_second(rate)),
            line: watch::Sender::new(Line::default()),
        }
    }

    /// Waits for the turn of a call that is made by the work that asks.
    pub(super) async fn next(&self) -> Turn<'_> {
        if calls::gives_way() {
            return self.last().await;
        }
        let _in_line = InLine::join(&self.line);
        Turn {
            _slot: self.slot().await,
            _lesser: None,
        }
    }

    async fn last(&self) -> Turn<'_> {
        let lesser = self.lesser.acquire().await.ok();
        let mut line = self.line.subscribe();
        let since = line.borrow().came;
        loop {
            until(&mut line, |line| !line.goes_before(since)).await;
            select! {
                biased;
                // Somebody came: the place in line for a slot and for the pace is given up.
                () = until(&mut line, |line| line.goes_before(since)) => {}
                slot = self.slot() => return Turn { _slot: slot, _lesser: lesser },
            }
        }
    }

    async fn slot(&self) -> Option<SemaphorePermit<'_>> {
        let slot = self.slots.acquire().await.ok();
        self.pace.until_ready().await;
        slot
    }
}

/// Waits until this is so.
async fn until(line: &mut watch::Receiver<Line>, is_so: impl Fn(Line) -> bool) {
    // The sender lives as long as whoever waits here.
    line.wait_for(|line| is_so(*line)).await.ok();
}

#[cfg(test)]
mod tests {
    use std::task::Poll;
    use std::time::Duration;

    use futures_util::poll;

    use super::*;

    #[tokio::test]
    async fn what_gives_way_holds_half_of_the_slots_and_goes_last() {
        let turns = Turns::new(4, 10_000);
        let import = || Box::pin(calls::giving_way(true, turns.next()));
        let (first, second) = (import().await, import().await);
        let mut third = import();
        assert!(
            poll!(&mut third).is_pending(),
            "two of the four slots are free all the same"
        );
        let live = (turns.next().await, turns.next().await);
        let mut next = Box::pin(turns.next());
        assert!(poll!(&mut next).is_pending(), "all slots are taken");
        drop(first);
        // Both wait for the slot that is free now, and the import waited longer.
        assert!(poll!(&mut third).is_pending());
        let Poll::Ready(next) = poll!(&mut next) else {
            panic!("what is live goes first");
        };
        drop((second, live, next));
        // Nobody else waits: it is its turn.
        drop(third.await);
    }

    #[tokio::test]
    async fn for_the_pace_an_import_waits_only_while_nothing_live_does() {
        // Nobody's turn comes while this runs.
        let slow = Quota::with_period(Duration::from_hours(1)).unwrap();
        let turns = Turns {
            pace: RateLimiter::direct(slow),
            ..Turns::new(5, 1)
        };
        drop(turns.next().await);
        let holding = || 5 - turns.slots.available_permits();
        let mut import = Box::pin(calls::giving_way(true, turns.next()));
        assert!(look(&mut import).await.is_pending());
        assert_eq!(holding(), 1, "it waits for the pace, with a slot");
        let mut live = Box::pin(turns.next());
        assert!(look(&mut live).await.is_pending());
        assert!(look(&mut import).await.is_pending());
        assert_eq!(holding(), 1, "what is live waits for the pace alone");
        // Another one of the import does not even begin to.
        let mut another = Box::pin(calls::giving_way(true, turns.next()));
        assert!(look(&mut another).await.is_pending());
        assert_eq!(holding(), 1);
        drop((another, live));
        assert!(look(&mut import).await.is_pending());
        assert_eq!(holding(), 1, "it waits for the pace again");
    }

    #[tokio::test]
    async fn what_gave_way_often_enough_waits_in_line() {
        let turns = Turns::new(1, 10_000);
        let held = turns.next().await;
        let mut import = Box::pin(calls::giving_way(true, turns.next()));
        assert!(look(&mut import).await.is_pending());
        let mut live = Vec::new();
        for _ in 0..MOST_GO_FIRST {
            let mut one = Box::pin(turns.next());
            assert!(look(&mut one).await.is_pending());
            live.push(one);
            // At the last of them it is in line; before, it gave its place up.
            assert!(look(&mut import).await.is_pending());
        }
        let mut late = Box::pin(turns.next());
        assert!(look(&mut late).await.is_pending());
        drop(held);
        for (place, mut one) in live.into_iter().enumerate() {
            // Not awaited: whoever has the slot instead is not driven, and that would never end.
            assert!(look(&mut one).await.is_ready(), "the live call {place} waits");
        }
        assert!(look(&mut late).await.is_pending());
        assert!(look(&mut import).await.is_ready(), "it is the import's turn");
        assert!(look(&mut late).await.is_ready());
    }

    /// Looks once whether it is ready. So many looks in a row would use up what tokio grants a task before it has to yield, and
    /// everything would seem to wait.
    async fn look<F: Future + Unpin>(work: &mut F) -> Poll<F::Output> {
        tokio::task::coop::unconstrained(async { poll!(work) }).await
    }
}
