//! Who goes next: a fair choice between shops, and within a shop a weighted one between lanes.
//!
//! Pure. Each shop and each lane has a *tag*: the time, counted in turns, at which it is served next. The smallest tag
//! is served and moves on by its stride, which is small for a heavy weight (start-time fair queueing). So shops share
//! alike, lanes share by weight, a lane that was idle gets no credit for it, and nobody waits longer than the sum of the
//! others' turns: nobody starves. At equal tags the heavier lane goes first.
//!
//! Which job of a lane goes first is the store's affair (priority, then age).

use std::collections::HashMap;

use crate::domain::{Direction, Object, ShopName};
use crate::store::{ClaimedJob, Lane};

use super::settings::Weights;

/// One turn of the lightest possible weight.
const STRIDE: u64 = 1 << 32;

/// A lane that has work and may be claimed from.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    /// The lane.
    pub(super) lane: Lane,
    /// At most one job of all the shop's candidates with this mark: it finds out whether a system is back.
    pub(super) probe: bool,
    /// Nothing is ready there but jobs of imports, which have places of their own.
    pub(super) imports: bool,
}

/// How many jobs may be claimed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Free {
    /// Of imports.
    pub(super) imports: u32,
    /// Of all others.
    pub(super) others: u32,
}

impl Free {
    /// Whether nothing may be claimed.
    pub(super) const fn is_none(self) -> bool {
        self.imports == 0 && self.others == 0
    }
}

/// The memory of past turns.
#[derive(Clone, Debug, Default)]
pub(super) struct Turns {
    shops: HashMap<ShopName, ShopTurns>,
    /// The tag that was served last: nobody who was idle is behind it.
    now: u64,
}

#[derive(Clone, Debug, Default)]
struct ShopTurns {
    tag: u64,
    lanes: HashMap<(Object, Direction), u64>,
    now: u64,
}

impl Turns {
    /// Distributes `free` slots among the candidates; of those that are no imports' no more than `room(shop)` to any shop. A lane
    /// may have fewer jobs than it is given slots; [`Turns::charge`] is told what it really took.
    pub(super) fn allot(
        &self,
        candidates: &[Candidate],
        mut free: Free,
        room: impl Fn(&ShopName) -> u32,
        weights: &Weights,
    ) -> Vec<(Lane, u32)> {
        // The choice is made on a copy: only what is really claimed counts.
        let mut future = self.clone();
        let mut given: Vec<u32> = vec![0; candidates.len()];
        let mut rooms: HashMap<&ShopName, u32> = HashMap::new();
        let mut probes: HashMap<&ShopName, bool> = HashMap::new();
        for candidate in candidates {
            let shop = &candidate.lane.shop;
            rooms.entry(shop).or_insert_with(|| room(shop));
        }
        loop {
            let next = candidates
                .iter()
                .enumerate()
                .filter(|(_, candidate)| {
                    let shop = &candidate.lane.shop;
                    let has_slot = if candidate.imports {
                        free.imports > 0
                    } else {
                        free.others > 0 && rooms.get(shop).is_some_and(|room| *room > 0)
                    };
                    has_slot && !(candidate.probe && probes.contains_key(shop))
                })
                .min_by_key(|(at, candidate)| {
                    (candidate.imports, future.order_of(&candidate.lane, weights), *at)
                });
            let Some((at, candidate)) = next else { break };
            given[at] += 1;
            if candidate.imports {
                free.imports -= 1;
            } else if let Some(room) = rooms.get_mut(&candidate.lane.shop) {
                free.others -= 1;
                *room -= 1;
            }
            if candidate.probe {
                probes.insert(&candidate.lane.shop, true);
            }
            future.charge(&candidate.lane, 1, weights);
        }
        candidates
            .iter()
            .zip(given)
            .filter(|(_, given)| *given > 0)
            .map(|(candidate, given)| (candidate.lane.clone(), given))
            .collect()
    }

    /// Notes that `turns` jobs of the lane were claimed.
    pub(super) fn charge(&mut self, lane: &Lane, turns: u32, weights: &Weights) {
        let now = self.now;
        let shop = self.shops.entry(lane.shop.clone()).or_default();
        for _ in 0..turns {
            let served = shop.tag.max(now);
            self.now = self.now.max(served);
            shop.tag = served + STRIDE;
            let key = (lane.object, lane.direction);
            let lane_served = shop.lanes.get(&key).copied().unwrap_or(0).max(shop.now);
            shop.now = shop.now.max(lane_served);
            shop.lanes.insert(
                key,
                lane_served + STRIDE / u64::from(weights.of(lane.object).get()),
            );
        }
    }

    /// What a lane is compared by: its shop's tag, its own tag, then the heavier weight.
    fn order_of(&self, lane: &Lane, weights: &Weights) -> (u64, u64, std::cmp::Reverse<u32>) {
        let heaviest_first = std::cmp::Reverse(weights.of(lane.object).get());
        let Some(shop) = self.shops.get(&lane.shop) else {
            return (self.now, 0, heaviest_first);
        };
        let tag = shop.lanes.get(&(lane.object, lane.direction)).copied();
        (
            shop.tag.max(self.now),
            tag.unwrap_or(0).max(shop.now),
            heaviest_first,
        )
    }
}

/// The jobs of one claim in the order in which they are to begin: those of each lane in their own order, evenly spread over
/// the whole, so that a lane with few of them does not wait for the end of one with many.
pub(super) fn spread(jobs: Vec<ClaimedJob>) -> Vec<ClaimedJob> {
    let mut of_lane: HashMap<Lane, (u64, u64)> = HashMap::new();
    for job in &jobs {
        of_lane.entry(Lane::of(&job.key)).or_default().0 += 1;
    }
    let mut placed: Vec<(u64, ClaimedJob)> = jobs
        .into_iter()
        .map(|job| {
            let (count, seen) = of_lane.entry(Lane::of(&job.key)).or_default();
            let place = (*seen * 2 + 1) * STRIDE / *count;
            *seen += 1;
            (place, job)
        })
        .collect();
    placed.sort_by_key(|(place, _)| *place);
    placed.into_iter().map(|(_, job)| job).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::domain::{Fence, JobId, JobKey, Timestamp};

    fn lane(shop: &str, object: Object) -> Lane {
        Lane {
            shop: shop.parse().unwrap(),
            object,
            direction: Direction::In,
        }
    }

    fn candidates(lanes: &[(&str, Object)]) -> Vec<Candidate> {
        lanes
            .iter()
            .map(|(shop, object)| Candidate {
                lane: lane(shop, *object),
                probe: false,
                imports: false,
            })
            .collect()
    }

    fn claimed(object: Object, id: i64) -> ClaimedJob {
        ClaimedJob {
            id: JobId(id),
            key: JobKey {
                shop: "a".parse().unwrap(),
                object,
                direction: Direction::In,
                source_id: id.to_string(),
            },
            fence: Fence(1),
            failed_attempts: 0,
            attempt: 1,
            unclean_at: None,
            wanted_since: Timestamp::from_millis(0),
            triggered_at: None,
            record_name: None,
            import: None,
            problem: None,
            priority: crate::domain::Priority::LIVE,
        }
    }

    #[test]
    fn jobs_of_one_claim_begin_spread_and_in_the_order_of_their_lane() {
        let mut jobs: Vec<ClaimedJob> = (1..=6).map(|id| claimed(Object::Order, id)).collect();
        jobs.extend((7..=8).map(|id| claimed(Object::Product, id)));
        let order: Vec<i64> = spread(jobs).iter().map(|job| job.id.0).collect();
        assert_eq!(order, [1, 2, 7, 3, 4, 5, 8, 6]);
    }

    fn others(others: u32) -> Free {
        Free { others, imports: 0 }
    }

    /// What each lane was given, in the order of the candidates.
    fn allot(turns: &Turns, lanes: &[(&str, Object)], free: u32, room: u32) -> Vec<u32> {
        let given = turns.allot(&candidates(lanes), others(free), |_| room, &Weights::default());
        lanes
            .iter()
            .map(|(shop, object)| {
                given
                    .iter()
                    .find(|(name, _)| *name == lane(shop, *object))
                    .map_or(0, |(_, n)| *n)
            })
            .collect()
    }

    #[test]
    fn slots_are_shared_between_shops_and_orders_go_first() {
        use Object::{Customer, Order, Product};
        for (name, lanes, free, room, expected) in [
            ("nothing waits", &[][..], 4, 8, &[][..]),
            ("one lane takes all", &[("a", Product)], 4, 8, &[4]),
            ("a shop's room is its limit", &[("a", Order)], 16, 8, &[8]),
            ("no room, no slot", &[("a", Order)], 16, 0, &[0]),
            ("shops share alike", &[("a", Order), ("b", Order)], 8, 8, &[4, 4]),
            (
                "even when one has products only",
                &[("a", Order), ("b", Product)],
                8,
                8,
                &[4, 4],
            ),
            (
                "the heavier goes first",
                &[("a", Product), ("a", Customer), ("a", Order)],
                1,
                8,
                &[0, 0, 1],
            ),
            (
                "each gets its first turn early",
                &[("a", Product), ("a", Customer), ("a", Order)],
                3,
                8,
                &[1, 1, 1],
            ),
        ] {
            assert_eq!(allot(&Turns::default(), lanes, free, room), expected, "{name}");
        }
    }

    #[test]
    fn lanes_share_by_weight_in_the_long_run() {
        let weights = Weights::default();
        let lanes = [
            ("a", Object::Order),
            ("a", Object::Customer),
            ("a", Object::Product),
        ];
        let mut turns = Turns::default();
        let mut total: BTreeMap<Object, u32> = BTreeMap::new();
        for _ in 0..640 {
            for (lane, given) in turns.allot(&candidates(&lanes), others(1), |_| 8, &weights) {
                *total.entry(lane.object).or_default() += given;
                turns.charge(&lane, given, &weights);
            }
        }
        // 640 turns by 50 : 10 : 4 are 500, 100 and 40.
        for (object, expected) in [
            (Object::Order, 500),
            (Object::Customer, 100),
            (Object::Product, 40),
        ] {
            assert!(total[&object].abs_diff(expected) <= 2, "{object}: {total:?}");
        }
    }

    #[test]
    fn a_shop_that_was_idle_has_no_credit() {
        let weights = Weights::default();
        let mut turns = Turns::default();
        for _ in 0..1000 {
            turns.charge(&lane("busy", Object::Order), 1, &weights);
        }
        let given = allot(&turns, &[("busy", Object::Order), ("idle", Object::Order)], 8, 8);
        assert!(given[0] >= 3, "the busy shop is not punished: {given:?}");
    }

    #[test]
    fn imports_have_slots_of_their_own() {
        let mut all = candidates(&[
            ("a", Object::Order),
            ("a", Object::Product),
            ("b", Object::Customer),
            ("b", Object::Order),
        ]);
        (all[0].imports, all[3].imports) = (true, true);
        // However long the others were served.
        let mut served = Turns::default();
        for _ in 0..1000 {
            served.charge(&lane("a", Object::Product), 1, &Weights::default());
        }
        for turns in [Turns::default(), served] {
            for (imports, others, expected) in [
                (0, 6, vec![("a", Object::Product), ("b", Object::Customer)]),
                (6, 0, vec![("a", Object::Order), ("b", Object::Order)]),
                (0, 0, vec![]),
            ] {
                let given = turns.allot(&all, Free { imports, others }, |_| 8, &Weights::default());
                assert_eq!(given.iter().map(|(_, n)| n).sum::<u32>(), imports + others);
                let lanes: Vec<Lane> = given.into_iter().map(|(lane, _)| lane).collect();
                let expected: Vec<Lane> = expected
                    .into_iter()
                    .map(|(shop, object)| lane(shop, object))
                    .collect();
                assert_eq!(lanes, expected);
            }
        }
        // A shop without room still has its imports.
        let given = Turns::default().allot(
            &all,
            Free {
                imports: 2,
                others: 2,
            },
            |_| 0,
            &Weights::default(),
        );
        assert_eq!(
            given,
            [(lane("a", Object::Order), 1), (lane("b", Object::Order), 1)]
        );
    }

    #[test]
    fn a_probe_is_one_job_of_the_shop() {
        let mut all = candidates(&[("a", Object::Order), ("a", Object::Product), ("b", Object::Order)]);
        all[0].probe = true;
        all[1].probe = true;
        let given = Turns::default().allot(&all, others(16), |_| 8, &Weights::default());
        let of = |shop: &str| {
            given
                .iter()
                .filter(|(lane, _)| lane.shop.as_str() == shop)
                .map(|(_, n)| n)
                .sum::<u32>()
        };
        assert_eq!((of("a"), of("b")), (1, 8));
    }

    proptest! {
        /// Whatever came before and whoever else waits: a lane that keeps waiting is served within a bounded number of
        /// turns, and no slot is left empty or given twice.
        #[test]
        fn nobody_starves(
            shops in 1_usize..6,
            kinds in proptest::collection::vec(0_usize..5, 1..12),
            history in proptest::collection::vec((0_usize..6, 0_usize..5, 1_u32..50), 0..20),
            waiting in any::<proptest::sample::Index>(),
        ) {
            let weights = Weights::default();
            let lane_of = |n: usize, kind: usize| lane(&format!("s{}", n % shops), Object::ALL[kind]);
            let mut turns = Turns::default();
            for (shop, kind, count) in history {
                turns.charge(&lane_of(shop, kind), count, &weights);
            }
            let mut lanes: Vec<Lane> = kinds.iter().enumerate().map(|(n, kind)| lane_of(n, *kind)).collect();
            lanes.sort();
            lanes.dedup();
            let waits = lanes[waiting.index(lanes.len())].clone();
            let all: Vec<Candidate> =
                lanes.into_iter().map(|lane| Candidate { lane, probe: false, imports: false }).collect();
            // The lightest lane (2 of 116 turns) of one of five shops.
            let bound = 5 * (116 / 2 + 5) + 5;
            let mut served = false;
            for _ in 0..bound {
                let given = turns.allot(&all, others(1), |_| 1, &weights);
                prop_assert_eq!(given.iter().map(|(_, n)| *n).sum::<u32>(), 1);
                for (lane, count) in given {
                    served |= lane == waits;
                    turns.charge(&lane, count, &weights);
                }
                if served { break; }
            }
            prop_assert!(served, "{waits:?} was not served within {bound} turns");
        }
    }
}
