//! What is claimed for one endpoint and waits for its turn, and how much more may be claimed.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crate::domain::{Fence, Timestamp};
use crate::notify::{Endpoint, Sender};
use crate::store::ClaimedDispatch;

/// What is claimed ahead is worked off within about so long. What waited for longer is looked at once more before it is sent.
pub(super) const AHEAD: Duration = Duration::from_secs(1);

/// At most so many requests are claimed ahead for each place.
const MOST_AHEAD: u32 = 64;

/// At most so many dispatches of an endpoint are claimed and wait for their turn: a claim is one transaction, and the store has only
/// so much time for it.
const MOST_READY: usize = 1_000;

/// Their notifications are at most about so large together, in bytes: they are held in memory.
const MOST_BYTES: usize = 8 << 20;

/// A notification is taken to be so large, in bytes, before the first was seen.
const GUESSED_BYTES: usize = 64 << 10;

/// How long claimed dispatches are ours.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Claim {
    /// When they were claimed.
    pub(super) at: Timestamp,
    /// When others may take them.
    pub(super) until: Timestamp,
}

/// What one request carries.
#[derive(Debug)]
pub(super) struct Unit {
    /// The dispatches, the oldest first.
    pub(super) members: Vec<ClaimedDispatch>,
    pub(super) claim: Claim,
}

impl Unit {
    pub(super) fn ids(&self) -> Vec<(i64, Fence)> {
        self.members.iter().map(|one| (one.id, one.fence)).collect()
    }

    fn bytes(&self) -> usize {
        self.members.iter().map(|one| one.body.len()).sum()
    }
}

/// What is claimed, as the requests that carry it: what was sent together before stays together.
pub(super) fn units(claimed: Vec<ClaimedDispatch>, batch: u32, claim: Claim) -> Vec<Unit> {
    let most = usize::try_from(batch.max(1)).unwrap_or(1);
    let mut units: Vec<Unit> = Vec::new();
    let mut together: BTreeMap<String, usize> = BTreeMap::new();
    let mut open: Option<usize> = None;
    for one in claimed {
        let known = match (&one.batch, most) {
            // An endpoint that takes no batches any more gets each for itself.
            (_, 1) => None,
            (Some(batch), _) => together.get(batch).copied(),
            (None, _) => open.filter(|at| units[*at].members.len() < most),
        };
        match known {
            Some(at) => units[at].members.push(one),
            None => {
                match &one.batch {
                    Some(batch) => {
                        together.insert(batch.clone(), units.len());
                    }
                    None => open = Some(units.len()),
                }
                units.push(Unit {
                    members: vec![one],
                    claim,
                });
            }
        }
    }
    for unit in &mut units {
        unit.members.sort_by_key(|one| one.id);
    }
    units
}

/// One endpoint that may be sent to.
pub(super) struct Line {
    pub(super) endpoint: Arc<Endpoint>,
    pub(super) sender: Sender,
    /// Claimed, and not sent yet.
    pub(super) ready: VecDeque<Unit>,
    /// When something is due, as far as is known.
    pub(super) due: Option<Timestamp>,
    /// Nothing is claimed before then: its turn comes later.
    pub(super) not_before: Option<Timestamp>,
    /// Nothing is claimed before then, unless a bell rings: what seemed to be due could not be claimed.
    pub(super) in_vain: Option<Timestamp>,
    /// How long its last attempts took, in milliseconds; none before the first.
    took_ms: Option<u64>,
    /// How large a notification is, in bytes, as its last claims went; never 0.
    body_bytes: usize,
}

impl Line {
    pub(super) fn new(endpoint: Arc<Endpoint>, sender: Sender) -> Self {
        Self {
            endpoint,
            sender,
            ready: VecDeque::new(),
            due: None,
            not_before: None,
            in_vain: None,
            took_ms: None,
            body_bytes: GUESSED_BYTES,
        }
    }

    /// Goes on from what it was before the configuration was read anew. What is ready stays only where it would be sent just as it
    /// was put together; the rest is left with `before`, to be given back.
    pub(super) fn follow(&mut self, before: &mut Self) {
        self.took_ms = before.took_ms;
        self.body_bytes = before.body_bytes;
        let (new, old) = (&self.endpoint, &before.endpoint);
        // Templates cannot be compared: what has one is put together anew.
        if new.batch == old.batch && new.template.is_none() && old.template.is_none() {
            self.ready = std::mem::take(&mut before.ready);
        }
    }

    /// Takes note of what was claimed: it is ready.
    pub(super) fn claimed(&mut self, claimed: Vec<ClaimedDispatch>, claim: Claim) {
        let bytes: usize = claimed.iter().map(|one| one.body.len()).sum();
        if let Some(each) = bytes.checked_div(claimed.len()) {
            // Large ones are not forgotten at once.
            self.body_bytes = each.max((self.body_bytes * 3 + each) / 4).max(1);
        }
        self.ready.extend(units(claimed, self.endpoint.batch, claim));
    }

    /// Takes note of how long an attempt took.
    pub(super) fn took(&mut self, took: Duration) {
        let took = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        self.took_ms = Some(self.took_ms.map_or(took, |before| (before * 3 + took) / 4));
    }

    /// When something can be claimed, if anything is known to wait.
    pub(super) fn claims_at(&self) -> Option<Timestamp> {
        self.due
            .max(self.due.and(self.not_before))
            .max(self.due.and(self.in_vain))
    }

    /// How many dispatches are to be claimed now that so many places are free: what is worked off soon, as far as there is room for
    /// it, in whole requests.
    pub(super) fn limit(&self, places: u32) -> u32 {
        let batch = usize::try_from(self.endpoint.batch.max(1)).unwrap_or(1);
        let wanted = usize::try_from(self.wanted(places)).unwrap_or(usize::MAX);
        let ready: usize = self.ready.iter().map(|unit| unit.members.len()).sum();
        let bytes: usize = self.ready.iter().map(Unit::bytes).sum();
        let room = MOST_READY
            .saturating_sub(ready)
            .min(MOST_BYTES.saturating_sub(bytes) / self.body_bytes);
        let most = wanted.saturating_mul(batch).min(room);
        let limit = match most - most % batch {
            // Better a part of a request, or one that is very large, than nothing for ever.
            0 if wanted > 0 && self.ready.is_empty() => most.max(1),
            whole => whole,
        };
        u32::try_from(limit).unwrap_or(u32::MAX)
    }

    /// How many requests' worth is to be claimed now that so many places are free: what it works off within about a second, as its
    /// last attempts went and as its rate allows. None while enough of it is there.
    fn wanted(&self, places: u32) -> u32 {
        let each = match self.took_ms {
            None => 1,
            Some(took_ms) => {
                let ahead = u64::try_from(AHEAD.as_millis()).unwrap_or(1) / took_ms.max(1);
                u32::try_from(ahead).unwrap_or(MOST_AHEAD).clamp(1, MOST_AHEAD)
            }
        };
        let mut most = self.endpoint.limits.concurrency.saturating_mul(each);
        if let Some(rate) = self.endpoint.limits.rate {
            let seconds = u32::try_from(rate.per.as_secs()).unwrap_or(1).max(1);
            most = most.min(rate.requests.get().div_ceil(seconds));
        }
        let here = u32::try_from(self.ready.len()).unwrap_or(u32::MAX);
        if here >= places.min(most) && here >= most / 2 {
            return 0;
        }
        most.saturating_sub(here)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claimed(id: i64, batch: Option<&str>) -> ClaimedDispatch {
        ClaimedDispatch {
            id,
            fence: Fence(1),
            sequence: id,
            body: String::new(),
            tries: 1,
            batch: batch.map(str::to_owned),
            created_at: Timestamp::default(),
            is_asked_for: false,
        }
    }

    #[test]
    fn what_was_sent_together_stays_together_and_the_rest_fills_requests() {
        let all = vec![
            claimed(5, None),
            claimed(2, Some("a")),
            claimed(1, Some("a")),
            claimed(6, None),
            claimed(7, None),
            claimed(3, Some("b")),
        ];
        let ids = |batch: u32| -> Vec<Vec<i64>> {
            units(all.clone(), batch, Claim::default())
                .iter()
                .map(|unit| unit.members.iter().map(|one| one.id).collect())
                .collect()
        };
        assert_eq!(ids(2), [vec![5, 6], vec![1, 2], vec![7], vec![3]]);
        assert_eq!(ids(1), [vec![5], vec![2], vec![1], vec![6], vec![7], vec![3]]);
    }

    /// A line of an endpoint with these keys, whose attempts take a millisecond.
    fn line(more: &str) -> Line {
        let text = format!(
            "[shops.main]\ndomain = 'main-store.myshopify.com'\naccess_token = 'token'\nwebhook_secrets = ['secret']\n\
             [shops.main.odoo]\nurl = 'http://127.0.0.1:9'\ndatabase = 'prod'\nlogin = 'a@example.com'\napi_key = 'key'\n\
             [shops.main.sync]\norders = {{ in = 'on' }}\n\
             [notify.endpoints.one]\nurl = 'https://hooks.example.com/'\nevents = ['*']\n\
             secrets = ['whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD']\n{more}\n"
        );
        let config =
            crate::config::Config::parse(&text, std::path::Path::new("/nowhere/lockstep.toml"), &|_| None);
        let config = config.unwrap_or_else(|error| panic!("{error:?}\n{text}"));
        let endpoint = Arc::clone(&config.endpoints[0]);
        let sender = Sender::new(endpoint.target.clone(), &[]).unwrap();
        let mut line = Line::new(endpoint, sender);
        line.took(Duration::from_millis(1));
        line
    }

    #[test]
    fn a_claim_is_bounded_in_dispatches_and_in_bytes() {
        let mut large = line("concurrency = 100\nbatch = 100");
        assert_eq!(
            large.limit(100),
            100,
            "the first is careful: nobody knows how large they are"
        );
        let some = |count: i64, bytes: usize| -> Vec<ClaimedDispatch> {
            (0..count)
                .map(|id| ClaimedDispatch {
                    body: "x".repeat(bytes),
                    ..claimed(id, None)
                })
                .collect()
        };
        // Many small ones were seen.
        for _ in 0..50 {
            large.claimed(some(1, 1_000), Claim::default());
        }
        large.ready.clear();
        assert_eq!(
            large.limit(100),
            1_000,
            "although 640,000 would be worked off in a second"
        );
        large.claimed(some(950, 1_000), Claim::default());
        assert_eq!(large.limit(100), 0, "no room for a whole request");
        large.ready.clear();
        large.claimed(some(1, MOST_BYTES / 2), Claim::default());
        assert_eq!(large.limit(100), 0, "large ones are not forgotten at once");
        large.ready.clear();
        assert_eq!(large.limit(100), 2, "it goes on all the same");
    }

    #[test]
    fn what_was_put_together_for_other_batches_is_not_kept() {
        let ready = |old: &str, new: &str| {
            let (mut before, mut after) = (line(old), line(new));
            before.claimed(vec![claimed(1, None), claimed(2, None)], Claim::default());
            after.follow(&mut before);
            (before.ready.len(), after.ready.len())
        };
        assert_eq!(ready("batch = 10", "batch = 10\nconcurrency = 9"), (0, 1));
        assert_eq!(ready("batch = 10", ""), (1, 0));
        assert_eq!(ready("", "batch = 10"), (2, 0));
    }
}
