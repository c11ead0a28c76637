//! The model of what other systems are told: the outbox, and what becomes of each dispatch.

use std::time::Duration;

use proptest::prelude::*;

use super::super::notices;
use super::LEASE;
use crate::domain::{Actor, Fence, Timestamp, Via};
use crate::store::{
    ClaimedDispatch, DispatchEnd, DispatchFilter, DispatchState, Redeliver, Redelivered, SharedStore,
};

const ENDPOINTS: [&str; 2] = ["ledger", "slack"];

/// One thing that happens to what was told.
#[derive(Clone, Debug)]
pub(super) enum Telling {
    /// What is in the outbox goes to these endpoints.
    FanOut { wanted: [bool; 2] },
    /// What is due for an endpoint is claimed.
    Claim {
        endpoint: usize,
        limit: u32,
        claim_ends: bool,
    },
    /// A claim ends, be it long over.
    End { claim: usize, end: Sent },
    /// Claims that ended without a word are taken back.
    Reclaim,
    /// Somebody has one sent once more.
    Redeliver { dispatch: usize },
}

/// How a try ended.
#[derive(Clone, Copy, Debug)]
pub(super) enum Sent {
    Delivered,
    Again { seconds: u64 },
    Failed,
    GivenBack { seconds: u64 },
}

pub(super) fn steps() -> impl Strategy<Value = Telling> {
    let end = prop_oneof![
        3 => Just(Sent::Delivered),
        3 => (0_u64..40).prop_map(|seconds| Sent::Again { seconds }),
        2 => Just(Sent::Failed),
        1 => (0_u64..40).prop_map(|seconds| Sent::GivenBack { seconds }),
    ];
    prop_oneof![
        4 => any::<[bool; 2]>().prop_map(|wanted| Telling::FanOut { wanted }),
        4 => (0..ENDPOINTS.len(), 1_u32..4, prop::bool::weighted(0.3))
            .prop_map(|(endpoint, limit, claim_ends)| Telling::Claim { endpoint, limit, claim_ends }),
        5 => (0_usize..6, end).prop_map(|(claim, end)| Telling::End { claim, end }),
        1 => Just(Telling::Reclaim),
        1 => (0_usize..8).prop_map(|dispatch| Telling::Redeliver { dispatch }),
    ]
}

/// One dispatch of the model.
#[derive(Clone, Debug)]
struct Dispatch {
    id: i64,
    name: usize,
    endpoint: usize,
    state: DispatchState,
    tries: u32,
    due_at: Timestamp,
    /// The token of the claim under which it is being sent.
    held_by: Option<Fence>,
    claimed_until: Timestamp,
}

/// Notifications, each with a name of its own.
#[derive(Default)]
pub(super) struct Told {
    names: usize,
    pub(super) outbox: Vec<usize>,
    dispatches: Vec<Dispatch>,
    /// Claims so far, newest first: also those that were lost or ended.
    claims: Vec<(usize, ClaimedDispatch)>,
}

impl Told {
    /// A name that nothing had before.
    pub(super) fn new_name(&mut self) -> usize {
        self.names += 1;
        self.names
    }

    fn dispatch(&mut self, id: i64) -> &mut Dispatch {
        self.dispatches
            .iter_mut()
            .find(|dispatch| dispatch.id == id)
            .expect("a dispatch of the model")
    }

    pub(super) async fn step(&mut self, store: &SharedStore, step: Telling, now: Timestamp) {
        match step {
            Telling::FanOut { wanted } => self.fan_out(store, wanted, now).await,
            Telling::Claim {
                endpoint,
                limit,
                claim_ends,
            } => {
                let until = if claim_ends { now } else { now.plus(LEASE) };
                let claimed = store
                    .claim_dispatches(ENDPOINTS[endpoint], now, until, limit)
                    .await
                    .unwrap();
                let ids: Vec<i64> = claimed.iter().map(|one| one.id).collect();
                assert_eq!(ids, self.due(endpoint, limit, now));
                for one in claimed {
                    let is_newer =
                        |(_, old): &(usize, ClaimedDispatch)| old.id != one.id || old.fence < one.fence;
                    assert!(self.claims.iter().all(is_newer));
                    let dispatch = self.dispatch(one.id);
                    dispatch.state = DispatchState::Sending;
                    dispatch.tries += 1;
                    dispatch.held_by = Some(one.fence);
                    dispatch.claimed_until = until;
                    let body = notices::body(&dispatch.name.to_string());
                    assert_eq!((one.tries, &one.body), (dispatch.tries, &body));
                    self.claims.insert(0, (endpoint, one));
                }
            }
            Telling::End { claim, end } => self.end(store, claim, end, now).await,
            Telling::Reclaim => {
                let count = store.reclaim_dispatches(now).await.unwrap();
                assert_eq!(count, self.reclaim(false, now));
            }
            Telling::Redeliver { dispatch } => {
                let Some(dispatch) = self.dispatches.get_mut(dispatch) else {
                    return;
                };
                let again = store
                    .redeliver(Redeliver::One(dispatch.id), Actor::new("ada", Via::Console), now)
                    .await
                    .unwrap();
                if dispatch.state == DispatchState::Sending {
                    assert_eq!(again, Redelivered::UnderWay);
                    return;
                }
                assert_eq!(again, Redelivered::Done(1));
                if dispatch.state == DispatchState::Waiting {
                    dispatch.due_at = dispatch.due_at.min(now);
                    return;
                }
                dispatch.state = DispatchState::Waiting;
                dispatch.tries = 0;
                dispatch.due_at = now;
            }
        }
    }

    /// Takes back claims that ended, or all of them. Returns how many.
    pub(super) fn reclaim(&mut self, all: bool, now: Timestamp) -> u64 {
        let mut count = 0;
        for dispatch in &mut self.dispatches {
            if dispatch.held_by.is_some() && (all || dispatch.claimed_until <= now) {
                dispatch.state = DispatchState::Waiting;
                dispatch.held_by = None;
                dispatch.due_at = now;
                count += 1;
            }
        }
        count
    }

    async fn fan_out(&mut self, store: &SharedStore, wanted: [bool; 2], now: Timestamp) {
        let to: Vec<_> = (0..ENDPOINTS.len())
            .filter(|endpoint| wanted[*endpoint])
            .collect();
        let dispatches: Vec<_> = to
            .iter()
            .map(|endpoint| notices::to(ENDPOINTS[*endpoint]))
            .collect();
        let rows = notices::wanted(store, &dispatches).await;
        let told = std::mem::take(&mut self.outbox);
        let made = store.fan_out(rows.clone(), now).await.unwrap();
        assert_eq!(made, (told.len() * to.len()) as u64);
        // Somebody else did the same, and was slower.
        assert_eq!(store.fan_out(rows, now).await.unwrap(), 0);
        let listed = listed(store).await;
        for name in told {
            for endpoint in &to {
                let of = (format!("#{name}"), ENDPOINTS[*endpoint]);
                let row = listed
                    .iter()
                    .find(|row| (row.record.as_deref(), row.endpoint.as_str()) == (Some(&of.0), of.1));
                self.dispatches.push(Dispatch {
                    id: row.expect("it was made").id,
                    name,
                    endpoint: *endpoint,
                    state: DispatchState::Waiting,
                    tries: 0,
                    due_at: dispatches[0].due_at,
                    held_by: None,
                    claimed_until: now,
                });
            }
        }
    }

    /// What a claim takes.
    fn due(&self, endpoint: usize, limit: u32, now: Timestamp) -> Vec<i64> {
        let mut due: Vec<(Timestamp, i64)> = self
            .dispatches
            .iter()
            .filter(|one| {
                one.endpoint == endpoint && one.state == DispatchState::Waiting && one.due_at <= now
            })
            .map(|one| (one.due_at, one.id))
            .collect();
        due.sort_unstable();
        due.truncate(limit as usize);
        due.into_iter().map(|(_, id)| id).collect()
    }

    async fn end(&mut self, store: &SharedStore, claim: usize, end: Sent, now: Timestamp) {
        let Some((endpoint, claim)) = self.claims.get(claim).cloned() else {
            return;
        };
        let later = |seconds| now.plus(Duration::from_secs(seconds));
        let asked = match end {
            Sent::Delivered => DispatchEnd::Delivered,
            Sent::Again { seconds } => DispatchEnd::Again { at: later(seconds) },
            Sent::Failed => DispatchEnd::Failed,
            Sent::GivenBack { seconds } => DispatchEnd::GivenBack { at: later(seconds) },
        };
        let ended = notices::ended(ENDPOINTS[endpoint], std::slice::from_ref(&claim), asked);
        let stale = store.end_dispatches(vec![ended], now).await.unwrap();
        let dispatch = self.dispatch(claim.id);
        if dispatch.held_by != Some(claim.fence) {
            assert_eq!(stale, [claim.id]);
            return;
        }
        assert_eq!(stale, [0_i64; 0]);
        dispatch.held_by = None;
        dispatch.state = DispatchState::Waiting;
        match end {
            Sent::Delivered => dispatch.state = DispatchState::Delivered,
            Sent::Failed => dispatch.state = DispatchState::Failed,
            Sent::Again { seconds } => dispatch.due_at = later(seconds),
            Sent::GivenBack { seconds } => {
                dispatch.due_at = later(seconds);
                dispatch.tries -= 1;
            }
        }
    }

    /// Everything that was told stands as the model says, and nothing else does.
    pub(super) async fn compare(&self, store: &SharedStore, after: &str) {
        let outbox = store.outbox(1000).await.unwrap();
        let outbox: Vec<String> = outbox.into_iter().map(|row| row.body).collect();
        let expected = self.outbox.iter().map(|name| notices::body(&name.to_string()));
        assert_eq!(outbox, expected.collect::<Vec<_>>(), "after {after}");
        let mut seen: Vec<_> = listed(store)
            .await
            .into_iter()
            .map(|row| (row.id, row.record, row.endpoint, row.state, row.tries))
            .collect();
        seen.sort_by_key(|row| row.0);
        let mut expected: Vec<_> = self
            .dispatches
            .iter()
            .map(|one| {
                let record = Some(format!("#{}", one.name));
                (
                    one.id,
                    record,
                    ENDPOINTS[one.endpoint].to_owned(),
                    one.state,
                    one.tries,
                )
            })
            .collect();
        expected.sort_by_key(|row| row.0);
        assert_eq!(seen, expected, "after {after}");
    }
}

async fn listed(store: &SharedStore) -> Vec<crate::store::DispatchRow> {
    let filter = DispatchFilter {
        limit: 1000,
        ..DispatchFilter::default()
    };
    store.dispatches(filter).await.unwrap()
}
