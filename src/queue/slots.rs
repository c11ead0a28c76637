//! Places for handlers: how many work at once, in all and for one shop. Imports have places of their own beside these.
//!
//! A job that is claimed waits here until there is a place, in the order of the claims. Usually it need not: no more is
//! claimed than there are places for. Only where handlers end faster than the store can be asked, jobs are claimed ahead, as
//! many as ended while it was asked; they wait about as long as one question to the store takes.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, oneshot};

use crate::domain::ShopName;

use super::Settings;

/// How many times as many jobs as workers are claimed ahead at most.
const AHEAD_MOST: u32 = 8;

/// The places of one process.
#[derive(Debug, Default)]
pub(super) struct Slots {
    inner: Mutex<Inner>,
    /// Told when a handler has ended.
    left: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    workers: u32,
    workers_per_shop: u32,
    /// Claimed and not ended, and of these those that work: all but imports' jobs, and the same by shop.
    live: Taken,
    shops: HashMap<ShopName, Taken>,
    import_workers: u32,
    imports: Taken,
    waiting: VecDeque<Waiting>,
    next: u64,
    /// What ended since the store began to be asked.
    round: Round,
    /// How many jobs may be claimed beyond the places.
    ahead: u32,
}

#[derive(Debug, Default)]
struct Taken {
    claimed: u32,
    working: u32,
}

#[derive(Debug)]
struct Waiting {
    number: u64,
    of: Of,
    go: oneshot::Sender<()>,
}

#[derive(Debug, Default)]
struct Round {
    /// Handlers that did what they should.
    done: u32,
    /// One did not: nothing is claimed ahead of trouble.
    trouble: bool,
}

/// Whose a job is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Of {
    /// A shop's.
    Shop(ShopName),
    /// An import's, of whichever shop.
    Import,
}

/// The place of one claimed job, from its claim until its handler has ended.
#[derive(Debug)]
pub(super) struct Place {
    slots: Arc<Slots>,
    of: Of,
    /// Its number among those that wait, from [`Place::enter`] on.
    number: Option<u64>,
}

impl Slots {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Follows the settings.
    pub(super) fn follow(&self, settings: &Settings) {
        let mut inner = self.lock();
        inner.workers = settings.workers.get();
        inner.workers_per_shop = settings.workers_per_shop.get();
        inner.import_workers = settings.import_workers.get();
        inner.admit();
    }

    /// How many jobs may be claimed now, beside those of imports.
    pub(super) fn free(&self) -> u32 {
        let inner = self.lock();
        // In steps: a question to the store for every single job that ended would cost more than it brings.
        if inner.live.claimed > inner.workers.saturating_add(inner.ahead / 2) {
            return 0;
        }
        inner
            .workers
            .saturating_add(inner.ahead)
            .saturating_sub(inner.live.claimed)
    }

    /// How many jobs of imports may be claimed now.
    pub(super) fn free_for_imports(&self) -> u32 {
        let inner = self.lock();
        inner.import_workers.saturating_sub(inner.imports.claimed)
    }

    /// Whether jobs of imports are claimed.
    pub(super) fn has_imports(&self) -> bool {
        self.lock().imports.claimed > 0
    }

    /// How many more jobs of a shop may be claimed.
    pub(super) fn room(&self, shop: &ShopName) -> u32 {
        let inner = self.lock();
        let claimed = inner.shops.get(shop).map_or(0, |of_shop| of_shop.claimed);
        inner
            .workers_per_shop
            .saturating_add(inner.ahead)
            .saturating_sub(claimed)
    }

    /// The store is going to be asked for work.
    pub(super) fn asking(&self) {
        self.lock().round = Round::default();
    }

    /// It was asked: from what ended meanwhile follows how much may be claimed ahead.
    pub(super) fn asked(&self) {
        let mut inner = self.lock();
        let most = inner.workers.saturating_mul(AHEAD_MOST);
        inner.ahead = match inner.round {
            Round { trouble: true, .. } => 0,
            Round { done, .. } => done.min(most),
        };
    }

    /// Takes a place in line for a claimed job.
    pub(super) fn claimed(self: &Arc<Self>, of: Of) -> Place {
        self.lock().count(&of, |taken| taken.claimed += 1);
        Place {
            slots: Arc::clone(self),
            of,
            number: None,
        }
    }

    /// Completes when a handler has ended since the last call.
    pub(super) async fn left(&self) {
        self.left.notified().await;
    }
}

impl Inner {
    /// Lets those go whose turn it is.
    fn admit(&mut self) {
        loop {
            let next = self
                .waiting
                .iter()
                .position(|waiting| self.has_place(&waiting.of));
            let Some(waiting) = next.and_then(|at| self.waiting.remove(at)) else {
                return;
            };
            self.count(&waiting.of, |taken| taken.working += 1);
            // Whoever has gone away meanwhile gives the place back when it is dropped.
            waiting.go.send(()).ok();
        }
    }

    fn has_place(&self, of: &Of) -> bool {
        match of {
            Of::Import => self.imports.working < self.import_workers,
            Of::Shop(shop) => {
                let working = self.shops.get(shop).map_or(0, |of_shop| of_shop.working);
                self.live.working < self.workers && working < self.workers_per_shop
            }
        }
    }

    /// Counts in each place where a job is counted.
    fn count(&mut self, of: &Of, mut count: impl FnMut(&mut Taken)) {
        match of {
            Of::Import => count(&mut self.imports),
            Of::Shop(shop) => {
                count(&mut self.live);
                let of_shop = self.shops.entry(shop.clone()).or_default();
                count(of_shop);
                if of_shop.claimed == 0 {
                    self.shops.remove(shop);
                }
            }
        }
    }
}

impl Place {
    /// Waits for its turn. To be called once.
    pub(super) async fn enter(&mut self) {
        let turn = {
            let mut inner = self.slots.lock();
            let number = inner.next;
            inner.next += 1;
            self.number = Some(number);
            let (go, turn) = oneshot::channel();
            inner.waiting.push_back(Waiting {
                number,
                of: self.of.clone(),
                go,
            });
            inner.admit();
            turn
        };
        // The sender is dropped only by `admit`, after it sent.
        turn.await.ok();
    }

    /// The handler has ended, and whether as it should.
    pub(super) fn leave(self, well: bool) {
        let mut inner = self.slots.lock();
        if well {
            // Of imports none are claimed ahead: their jobs take long.
            inner.round.done += u32::from(self.of != Of::Import);
        } else {
            inner.round.trouble = true;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut inner = self.slots.lock();
        let waits = self
            .number
            .and_then(|number| inner.waiting.iter().position(|waiting| waiting.number == number));
        let worked = self.number.is_some() && waits.is_none();
        if let Some(at) = waits {
            inner.waiting.remove(at);
        }
        inner.count(&self.of, |taken| {
            taken.claimed -= 1;
            taken.working -= u32::from(worked);
        });
        inner.admit();
        drop(inner);
        self.slots.left.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use futures_util::FutureExt as _;

    use super::*;

    fn slots(workers: u32, per_shop: u32) -> Arc<Slots> {
        let slots = Arc::new(Slots::default());
        slots.follow(&Settings {
            workers: NonZeroU32::new(workers).unwrap(),
            workers_per_shop: NonZeroU32::new(per_shop).unwrap(),
            ..Settings::default()
        });
        slots
    }

    fn shop(name: &str) -> ShopName {
        name.parse().unwrap()
    }

    fn of(name: &str) -> Of {
        Of::Shop(shop(name))
    }

    #[test]
    fn imports_have_places_beside_all_others() {
        let slots = Arc::new(Slots::default());
        slots.follow(&toml::from_str("workers = 1\nworkers_per_shop = 1\nimport_workers = 2").unwrap());
        let mut imports: Vec<Place> = (0..3).map(|_| slots.claimed(Of::Import)).collect();
        let mut third = imports.pop().unwrap();
        for place in &mut imports {
            place.enter().now_or_never().expect("a place of an import");
        }
        assert!(Box::pin(third.enter()).now_or_never().is_none(), "they have two");
        assert_eq!(
            (slots.free(), slots.room(&shop("a"))),
            (1, 1),
            "no place of others is taken"
        );
        let mut live = slots.claimed(of("a"));
        live.enter().now_or_never().expect("it passes those that wait");
        assert_eq!((slots.free(), slots.free_for_imports()), (0, 0));
        drop(third);
        imports.pop().unwrap().leave(true);
        assert_eq!((slots.free(), slots.free_for_imports()), (0, 1));
        // What imports end says nothing of how much else may be claimed ahead.
        slots.asking();
        imports.pop().unwrap().leave(true);
        slots.asked();
        assert_eq!((slots.free(), slots.free_for_imports()), (0, 2));
    }

    #[test]
    fn no_more_work_at_once_than_there_are_places_and_in_the_order_of_claims() {
        let slots = slots(2, 2);
        let mut places: Vec<Place> = (0..4).map(|_| slots.claimed(of("a"))).collect();
        let mut last = places.pop().unwrap();
        let mut third = places.pop().unwrap();
        for place in &mut places {
            place.enter().now_or_never().expect("there is a place");
        }
        {
            let mut third = Box::pin(third.enter());
            let mut last = Box::pin(last.enter());
            assert!(third.as_mut().now_or_never().is_none());
            assert!(last.as_mut().now_or_never().is_none());
            places.pop().unwrap().leave(true);
            assert!(last.as_mut().now_or_never().is_none(), "not before its turn");
            assert!(third.as_mut().now_or_never().is_some());
        }
        drop(third);
        drop(last);
        places.pop().unwrap().leave(true);
        assert_eq!(slots.free(), 2, "all places are given back");
    }

    #[test]
    fn a_shop_that_is_full_holds_up_no_other() {
        let slots = slots(4, 1);
        let mut places: Vec<Place> = ["a", "a", "b"]
            .iter()
            .map(|name| slots.claimed(of(name)))
            .collect();
        let mut of_b = places.pop().unwrap();
        let mut second = places.pop().unwrap();
        places[0].enter().now_or_never().expect("the first");
        assert!(Box::pin(second.enter()).now_or_never().is_none());
        of_b.enter().now_or_never().expect("another shop has a place");
        assert_eq!((slots.room(&shop("a")), slots.room(&shop("c"))), (0, 1));
    }

    #[test]
    fn who_goes_away_while_waiting_or_when_let_in_leaves_no_place_taken() {
        let slots = slots(1, 1);
        let mut first = slots.claimed(of("a"));
        first.enter().now_or_never().unwrap();
        let mut waits = slots.claimed(of("a"));
        assert!(waits.enter().now_or_never().is_none());
        let mut also = slots.claimed(of("a"));
        assert!(also.enter().now_or_never().is_none());
        drop(waits);
        // It is let in by this, and goes away without having noticed.
        drop(first);
        drop(also);
        slots.claimed(of("a")).enter().now_or_never().expect("it is free");
        assert_eq!(slots.free(), 1);
    }

    #[test]
    fn as_much_is_claimed_ahead_as_ended_while_the_store_was_asked() {
        let slots = slots(4, 4);
        let work = |count: u32, well: bool| {
            for _ in 0..count {
                let mut place = slots.claimed(of("a"));
                place.enter().now_or_never().expect("a place");
                place.leave(well);
            }
        };
        // What ended before the question says nothing: nobody waited for the store then.
        work(9, true);
        slots.asking();
        slots.asked();
        assert_eq!(slots.free(), 4);
        slots.asking();
        work(3, true);
        slots.asked();
        assert_eq!((slots.free(), slots.room(&shop("a"))), (7, 7));
        slots.asking();
        work(1_000, true);
        slots.asked();
        assert_eq!(slots.free(), 4 + 4 * AHEAD_MOST);
        // Whatever is amiss, no heap of jobs is to meet it.
        slots.asking();
        work(50, true);
        work(1, false);
        slots.asked();
        assert_eq!(slots.free(), 4);
    }

    #[test]
    fn the_store_is_asked_again_when_half_of_what_was_claimed_ahead_is_gone() {
        let slots = slots(2, 20);
        slots.asking();
        for _ in 0..8 {
            let mut place = slots.claimed(of("a"));
            place.enter().now_or_never().unwrap();
            place.leave(true);
        }
        slots.asked();
        let mut places: Vec<Place> = (0..10).map(|_| slots.claimed(of("a"))).collect();
        assert_eq!(slots.free(), 0);
        places.truncate(7);
        assert_eq!(slots.free(), 0);
        places.truncate(6);
        assert_eq!(slots.free(), 4);
    }
}
