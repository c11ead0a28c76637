//! The dispatcher: takes notifications from the outbox, and sends them to the endpoints that want them.
//!
//! One node at a time does it, by a lease, so that rates hold over all nodes; and only one that acts on the newest
//! configuration. What is claimed and not ended, because the process was killed, becomes due again and goes out under the same
//! id: at least once, never lost. Every endpoint has its own places, rate, rest and queue here ([`Pace`], [`line`]), so that one
//! that hangs or fails delays no other. Nothing here holds up the sync: it is a task of its own.
//!
//! Store operations are grouped: one claim takes what an endpoint works off within about a second, one transaction ends
//! whatever ended while the one before was being saved; both are bounded, because a database gives a transaction only so long.
//! The lease is kept, outcomes are saved and endpoints that are no more are cleared away beside the rounds, so that none of it
//! waits for another.

mod fan;
mod line;
mod record;
mod rounds;
mod send;
#[cfg(test)]
mod tests;
mod wanted;

use std::sync::Arc;
use std::time::Duration;

use tokio::select;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::domain::{Actor, SharedClock, SharedEntropy, Timestamp, Via};
use crate::store::{SERVING, SharedStore, Standing, StoreError};
use rounds::{Kept, Rounds};

/// The right to dispatch is had for so long.
const LEASE: Duration = Duration::from_secs(30);

/// It is taken anew after so long.
const RENEW: Duration = Duration::from_secs(10);

/// The name of that right.
const LEASE_NAME: &str = "notify";

/// How often it is looked around, whatever rings: bells may be lost.
const LOOK: Duration = Duration::from_secs(5);

/// So much longer than an attempt may take, a claim holds.
const CLAIM_MARGIN: Duration = Duration::from_secs(30);

/// A clock that is back by less is none that was set back.
const NOT_BACK: Duration = Duration::from_secs(1);

/// After a failure of the store.
const TROUBLE: Duration = Duration::from_secs(1);

/// In whose name the audit log has what a changed configuration brings about.
fn by_configuration() -> Actor {
    Actor::new("the configuration", Via::Cli)
}

/// What sends notifications.
pub struct Dispatcher {
    config: watch::Receiver<Arc<Config>>,
    standing: watch::Receiver<Standing>,
    store: SharedStore,
    clock: SharedClock,
    entropy: SharedEntropy,
    holder: String,
}

impl std::fmt::Debug for Dispatcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dispatcher")
            .field("holder", &self.holder)
            .finish_non_exhaustive()
    }
}

impl Dispatcher {
    /// Sends what is in this store, by the configuration in force, while this node acts on the newest.
    pub fn new(
        config: watch::Receiver<Arc<Config>>,
        standing: watch::Receiver<Standing>,
        store: SharedStore,
        clock: SharedClock,
        entropy: SharedEntropy,
        node: &str,
    ) -> Self {
        Self {
            config,
            standing,
            store,
            clock,
            entropy,
            holder: format!("{SERVING}{node}"),
        }
    }

    /// Dispatches until `stop`. What is under way then comes to its end, within the time that an attempt may take.
    ///
    /// # Panics
    /// When something inside did that it cannot go on without: whoever runs it begins anew.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut kept = Kept::new(&self.clock);
        while !stop.is_cancelled() {
            if let Ok(Some(until)) = self.take_lease().await {
                kept = self.dispatch(kept, until, &stop).await;
                if !self.standing.borrow().is_newest {
                    // Nothing is under way any more: whoever knows the newest need not wait for the end of the lease.
                    let _gone = self.store.release_lease(LEASE_NAME, &self.holder).await;
                }
            }
            select! {
                () = stop.cancelled() => {}
                () = self.clock.sleep_until(self.clock.now().plus(LOOK)) => {}
                Ok(()) = self.standing.changed() => {}
            }
        }
        let _gone = self.store.release_lease(LEASE_NAME, &self.holder).await;
    }

    /// Takes the right to dispatch, or keeps it. Until when it is held; none where it is not.
    async fn take_lease(&self) -> Result<Option<Timestamp>, StoreError> {
        if !self.standing.borrow().is_newest {
            return Ok(None);
        }
        let now = self.clock.now();
        let until = now.plus(LEASE);
        self.store
            .take_lease(LEASE_NAME, &self.holder, now, until)
            .await
            .map(|is_held| is_held.then_some(until))
            .inspect_err(|error| tracing::warn!(%error, "cannot tell which node sends notifications"))
    }

    /// Dispatches while this node has the right to, which is kept beside the rounds: however long one takes, it is not lost.
    async fn dispatch(&self, kept: Kept, until: Timestamp, stop: &CancellationToken) -> Kept {
        let held = watch::Sender::new(until);
        let (lost, over) = (CancellationToken::new(), CancellationToken::new());
        let rounds = async {
            let kept = self.go_round(kept, held.subscribe(), &lost, stop).await;
            over.cancel();
            kept
        };
        let (kept, ()) = tokio::join!(rounds, self.keep_lease(&held, &lost, &over));
        kept
    }

    /// Keeps the right to dispatch until it is over. Where the store cannot say whose it is, it is this node's for as long as it was
    /// said to be.
    async fn keep_lease(
        &self,
        held: &watch::Sender<Timestamp>,
        lost: &CancellationToken,
        over: &CancellationToken,
    ) {
        let mut ask_at = self.clock.now().plus(RENEW);
        loop {
            select! {
                () = over.cancelled() => return,
                () = self.clock.sleep_until(ask_at) => {}
            }
            let until = *held.borrow();
            match self.take_lease().await {
                Ok(Some(until)) => {
                    held.send_replace(until);
                    ask_at = self.clock.now().plus(RENEW);
                }
                Err(_) if self.clock.now() < until => ask_at = self.clock.now().plus(TROUBLE),
                Ok(None) | Err(_) => {
                    lost.cancel();
                    return;
                }
            }
        }
    }

    /// Goes round until the right to dispatch is lost or this node is to send no more.
    async fn go_round(
        &self,
        kept: Kept,
        mut held: watch::Receiver<Timestamp>,
        lost: &CancellationToken,
        stop: &CancellationToken,
    ) -> Kept {
        let mut config = self.config.clone();
        let mut standing = self.standing.clone();
        let mut rounds = Rounds::new(self, kept, stop);
        let broken = rounds.broken();
        loop {
            let is_over = stop.is_cancelled() || lost.is_cancelled() || broken.is_cancelled();
            if is_over || !standing.borrow_and_update().is_newest {
                break;
            }
            let until = *held.borrow_and_update();
            if self.clock.now() >= until {
                // The machine slept, or the store took too long: whether it is still ours is being asked.
                select! {
                    () = stop.cancelled() => {}
                    () = lost.cancelled() => {}
                    Ok(()) = held.changed() => {}
                    Ok(()) = standing.changed() => {}
                }
                continue;
            }
            rounds.follow(&config.borrow_and_update().clone());
            let wake = rounds.round().await;
            select! {
                biased;
                () = stop.cancelled() => {}
                () = lost.cancelled() => {}
                () = broken.cancelled() => {}
                () = self.store.notifications_arrived() => rounds.rung(),
                () = rounds.heard() => {}
                Ok(()) = config.changed() => {}
                Ok(()) = standing.changed() => {}
                () = self.clock.sleep_until(wake) => {}
            }
        }
        rounds.close().await
    }
}
