//! One request: from claimed dispatches to what became of them.

use crate::domain::{Fence, SharedClock, Timestamp};
use crate::failpoint::{FailPoint, reach};
use crate::notify::{Attempt, Ended, Message, Notification, RenderError, Wants};
use crate::store::{ClaimedDispatch, SharedStore};

use super::TROUBLE;
use super::line::{AHEAD, Line, Unit};
use super::wanted;

/// What became of claimed dispatches.
#[derive(Debug)]
pub(super) enum Outcome {
    /// They were sent.
    Sent {
        /// How that went.
        attempt: Attempt,
        /// When it began.
        at: Timestamp,
        /// Until when the receiver wants rest from everything.
        rests_until: Option<Timestamp>,
    },
    /// It cannot be said what is to be sent.
    Problem {
        /// Why.
        sentence: String,
    },
    /// The endpoint does not want them any more.
    NotWanted,
    /// They were not sent.
    GivenBack {
        /// When they are due.
        at: Timestamp,
    },
}

/// One of the dispatches of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Member {
    /// Its number, with the token of its claim.
    pub(super) id: (i64, Fence),
    /// How often it was tried, this time included.
    pub(super) tries: u32,
}

/// Dispatches that are to be ended.
#[derive(Debug)]
pub(super) struct Done {
    /// The endpoint's name.
    pub(super) endpoint: String,
    pub(super) members: Vec<Member>,
    pub(super) outcome: Outcome,
    /// How often it could not be saved, by itself.
    pub(super) failures: u32,
}

/// What is needed to carry out one request.
pub(super) struct Carrier {
    pub(super) store: SharedStore,
    pub(super) clock: SharedClock,
    pub(super) endpoint: std::sync::Arc<crate::notify::Endpoint>,
    pub(super) sender: crate::notify::Sender,
}

impl Carrier {
    pub(super) fn of(line: &Line, store: &SharedStore, clock: &SharedClock) -> Self {
        Self {
            store: store.clone(),
            clock: clock.clone(),
            endpoint: std::sync::Arc::clone(&line.endpoint),
            sender: line.sender.clone(),
        }
    }

    /// Sends the unit. Each of its dispatches is among what is done; of a batch that would be too large, what does not fit is given
    /// back, and so is all of it where some is no longer ours, or was removed.
    pub(super) async fn carry(&self, unit: Unit) -> Vec<Done> {
        let mut done = Vec::new();
        let (mut unit, mut notifications) = self.read(unit, &mut done);
        let message = loop {
            if notifications.is_empty() {
                return done;
            }
            match self.endpoint.message(&notifications) {
                Ok(message) => break message,
                Err(RenderError::TooLarge { .. }) if notifications.len() > 1 => {
                    let half = notifications.len() / 2;
                    notifications.truncate(half);
                    let rest = Unit {
                        members: unit.members.split_off(half),
                        claim: unit.claim,
                    };
                    done.push(self.given_back(&rest, self.clock.now()));
                }
                Err(error) => {
                    let sentence = error.to_string();
                    done.push(self.done(&unit, Outcome::Problem { sentence }));
                    return done;
                }
            }
        };
        match self.may_go(&unit, &message).await {
            Ok(true) => {}
            // Those that are still to be sent need not wait until their claim ends.
            Ok(false) => {
                done.push(self.given_back(&unit, self.clock.now()));
                return done;
            }
            Err(()) => {
                done.push(self.given_back(&unit, self.clock.now().plus(TROUBLE)));
                return done;
            }
        }
        if reach(FailPoint::NotifyBeforeSend).await.is_err() {
            done.push(self.given_back(&unit, self.clock.now()));
            return done;
        }
        let at = self.clock.now();
        let attempt = self.sender.send(&message, at).await;
        // What was sent and is not recorded goes out again.
        if reach(FailPoint::NotifyAfterSend).await.is_err() {
            done.push(self.given_back(&unit, self.clock.now()));
            return done;
        }
        let rests_until = rest(&attempt, self.clock.now());
        let sent = Outcome::Sent {
            attempt,
            at,
            rests_until,
        };
        done.push(self.done(&unit, sent));
        done
    }

    /// The notifications of the dispatches, with their sequence. One that cannot be read is done with, and so is one that the endpoint
    /// does not want any more, unless a person asked for it by itself: its settings may have changed since it was fanned out, and what
    /// was a problem then was not asked at all.
    fn read(&self, unit: Unit, done: &mut Vec<Done>) -> (Unit, Vec<Notification>) {
        let claim = unit.claim;
        let (mut members, mut notifications) = (Vec::new(), Vec::new());
        for member in unit.members {
            let outcome = match serde_json::from_str::<Notification>(&member.body) {
                Ok(mut notification) => match self.wants(&member, &notification) {
                    Wants::Yes => {
                        notification.sequence = Some(member.sequence);
                        notifications.push(notification);
                        members.push(member);
                        continue;
                    }
                    Wants::No => Outcome::NotWanted,
                    Wants::Unclear(reason) => Outcome::Problem {
                        sentence: wanted::unclear(&reason),
                    },
                },
                Err(_) => Outcome::Problem {
                    sentence: "the notification that is kept cannot be read".to_owned(),
                },
            };
            let one = Unit {
                members: vec![member],
                claim,
            };
            done.push(self.done(&one, outcome));
        }
        let unit = Unit { members, claim };
        (unit, notifications)
    }

    fn wants(&self, member: &ClaimedDispatch, notification: &Notification) -> Wants {
        if member.is_asked_for {
            return Wants::Yes;
        }
        wanted::wants(&self.endpoint, notification)
    }

    /// Whether all of it may still be sent. What waited here for its turn is looked at once more: a privacy request may have removed it.
    async fn may_go(&self, unit: &Unit, message: &Message) -> Result<bool, ()> {
        if !self.marked(unit, message).await? {
            return Ok(false);
        }
        if self.clock.now().since(unit.claim.at) < AHEAD {
            return Ok(true);
        }
        self.store.may_be_sent(unit.ids()).await.map_err(|error| {
            tracing::warn!(%error, endpoint = self.endpoint.name, "cannot look once more at what is to be sent");
        })
    }

    /// Has a batch noted before it is sent for the first time, so that every try carries the same. False when some of it is no
    /// longer ours.
    async fn marked(&self, unit: &Unit, message: &Message) -> Result<bool, ()> {
        let is_batch = self.endpoint.batch > 1;
        let is_marked = |batch: Option<&str>| batch == Some(message.id.as_str());
        if !is_batch || unit.members.iter().all(|one| is_marked(one.batch.as_deref())) {
            return Ok(true);
        }
        self.store
            .batch_dispatches(unit.ids(), &message.id)
            .await
            .map_err(|error| {
                tracing::warn!(%error, endpoint = self.endpoint.name, "cannot note what is sent together");
            })
    }

    fn given_back(&self, unit: &Unit, at: Timestamp) -> Done {
        self.done(unit, Outcome::GivenBack { at })
    }

    fn done(&self, unit: &Unit, outcome: Outcome) -> Done {
        done(&self.endpoint.name, unit, outcome)
    }
}

/// Until when the receiver wants rest from everything: it said that it gets too much, or that it is not there. One that is gone is left
/// alone until that is noted.
fn rest(attempt: &Attempt, now: Timestamp) -> Option<Timestamp> {
    if attempt.ended() == Ended::Gone {
        return Some(now.plus(TROUBLE));
    }
    let status = attempt.answer.as_ref()?.status;
    let asked = attempt.retry_after.filter(|_| matches!(status, 429 | 503))?;
    Some(now.plus(asked))
}

pub(super) fn done(endpoint: &str, unit: &Unit, outcome: Outcome) -> Done {
    Done {
        endpoint: endpoint.to_owned(),
        members: unit
            .members
            .iter()
            .map(|one| Member {
                id: (one.id, one.fence),
                tries: one.tries,
            })
            .collect(),
        outcome,
        failures: 0,
    }
}
