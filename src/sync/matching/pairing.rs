//! Which records of both sides are the same, by values that they share. Pure.
//!
//! Every way to recognise a record that a mapping declares, of either direction, joins all records of both sides that have the
//! same values for it. Records that are joined are one pair only if there is exactly one of each side; whatever more there is
//! makes it a question for a person. So it does not matter from which side it is looked, nor in which order.

use std::collections::BTreeMap;

/// A record that is not linked yet.
#[derive(Clone, Debug, Default)]
pub(super) struct Node {
    pub(super) id: i64,
    /// For people.
    pub(super) name: String,
    /// Its variants, by number; none for records that have no parts.
    pub(super) parts: Vec<i64>,
}

/// Which side a record lives on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Side {
    Shop,
    Erp,
}

/// That a record, or a part of it, has a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Token {
    /// How good the way is by which the value was made; the best comes first.
    pub(super) tier: u32,
    /// A hash of the way and of its values.
    pub(super) value: u128,
    pub(super) side: Side,
    /// The place of the record among those of its side.
    pub(super) node: usize,
    /// The place of the part within the record.
    pub(super) part: usize,
}

/// Two records that are the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pair {
    pub(super) shop: usize,
    pub(super) erp: usize,
    /// Which part of the one is which of the other, by number.
    pub(super) parts: Vec<(i64, i64)>,
}

/// Records of which nobody can tell which is which.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Doubt {
    pub(super) shop: Vec<usize>,
    pub(super) erp: Vec<usize>,
    /// Whether there is one of each side, whose parts do not fit.
    pub(super) parts_differ: bool,
}

/// What is to be made of all records.
#[derive(Debug, Default)]
pub(super) struct Pairing {
    pub(super) pairs: Vec<Pair>,
    pub(super) doubts: Vec<Doubt>,
    pub(super) alone_on_shop: Vec<usize>,
    pub(super) alone_in_erp: Vec<usize>,
}

/// So many records with one value are looked at part by part; more do not fit anyway.
const MANY: usize = 64;

/// A part of a record of the shop that may be a part of one of the ERP.
type Edge = ((usize, usize), (usize, usize));

/// Sorts out which records are the same.
pub(super) fn pair(shop: &[Node], erp: &[Node], mut tokens: Vec<Token>) -> Pairing {
    tokens.sort_unstable();
    let mut pairing = Pairing::default();
    let mut settled = vec![false; shop.len() + erp.len()];
    let place = |side: Side, node: usize| match side {
        Side::Shop => node,
        Side::Erp => shop.len() + node,
    };
    for tier in tokens.chunk_by(|a, b| a.tier == b.tier) {
        let mut groups = Groups::new(settled.len());
        let mut edges: Vec<Edge> = Vec::new();
        for run in tier.chunk_by(|a, b| a.value == b.value) {
            let settled = &settled;
            let open = |side| {
                let of_side = run.iter().filter(move |token| token.side == side);
                of_side.filter(move |token| !settled[place(token.side, token.node)])
            };
            // What only one side has joins nothing.
            let (Some(first), Some(_)) = (open(Side::Shop).next(), open(Side::Erp).next()) else {
                continue;
            };
            let first = place(Side::Shop, first.node);
            for token in open(Side::Shop).chain(open(Side::Erp)) {
                groups.join(first, place(token.side, token.node));
            }
            for ours in open(Side::Shop).take(MANY) {
                for theirs in open(Side::Erp).take(MANY) {
                    edges.push(((ours.node, ours.part), (theirs.node, theirs.part)));
                }
            }
        }
        edges.sort_unstable();
        for members in groups.joined() {
            for member in &members {
                settled[*member] = true;
            }
            let (ours, theirs): (Vec<usize>, Vec<usize>) =
                members.into_iter().partition(|member| *member < shop.len());
            let theirs: Vec<usize> = theirs.into_iter().map(|member| member - shop.len()).collect();
            let mut doubt = Doubt::default();
            if let ([ours], [theirs]) = (ours.as_slice(), theirs.as_slice()) {
                if let Some(parts) = same_parts((&shop[*ours], *ours), &erp[*theirs], &edges) {
                    pairing.pairs.push(Pair {
                        shop: *ours,
                        erp: *theirs,
                        parts,
                    });
                    continue;
                }
                doubt.parts_differ = true;
            }
            pairing.doubts.push(Doubt {
                shop: ours,
                erp: theirs,
                ..doubt
            });
        }
    }
    let alone = |from: usize, count: usize| (0..count).filter(|node| !settled[from + node]).collect();
    pairing.alone_on_shop = alone(0, shop.len());
    pairing.alone_in_erp = alone(shop.len(), erp.len());
    pairing.pairs.sort_unstable_by_key(|pair| pair.shop);
    pairing
}

/// The pairing in which every part of both records has exactly one of the other, if there is one.
fn same_parts((ours, place): (&Node, usize), theirs: &Node, edges: &[Edge]) -> Option<Vec<(i64, i64)>> {
    let begin = edges.partition_point(|((node, _), _)| *node < place);
    let of_ours = edges[begin..].iter().take_while(|((node, _), _)| *node == place);
    let mut pairs: BTreeMap<usize, usize> = BTreeMap::new();
    for ((_, ours), (_, theirs)) in of_ours {
        if pairs.insert(*ours, *theirs).is_some_and(|other| other != *theirs) {
            return None;
        }
    }
    if ours.parts.is_empty() && theirs.parts.is_empty() {
        return Some(Vec::new());
    }
    let mut taken: Vec<usize> = pairs.values().copied().collect();
    taken.sort_unstable();
    taken.dedup();
    let is_whole =
        pairs.len() == ours.parts.len() && taken.len() == pairs.len() && theirs.parts.len() == pairs.len();
    if !is_whole {
        return None;
    }
    let parts = pairs
        .into_iter()
        .map(|(our, their)| Some((*ours.parts.get(our)?, *theirs.parts.get(their)?)));
    parts.collect()
}

/// Records that are joined to each other, directly or through others.
struct Groups {
    parent: Vec<usize>,
    joined: Vec<usize>,
}

impl Groups {
    fn new(count: usize) -> Self {
        Self {
            parent: (0..count).collect(),
            joined: Vec::new(),
        }
    }

    fn root(&mut self, mut of: usize) -> usize {
        while self.parent[of] != of {
            self.parent[of] = self.parent[self.parent[of]];
            of = self.parent[of];
        }
        of
    }

    fn join(&mut self, a: usize, b: usize) {
        self.joined.extend([a, b]);
        let (a, b) = (self.root(a), self.root(b));
        self.parent[b] = a;
    }

    /// The members of each group, in order.
    fn joined(mut self) -> Vec<Vec<usize>> {
        let mut members = std::mem::take(&mut self.joined);
        members.sort_unstable();
        members.dedup();
        let mut groups: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for member in members {
            let root = self.root(member);
            groups.entry(root).or_default().push(member);
        }
        groups.into_values().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes(parts: &[usize]) -> Vec<Node> {
        let node = |(n, parts): (usize, &usize)| Node {
            id: i64::try_from(n).unwrap(),
            name: String::new(),
            parts: (0..*parts)
                .map(|part| i64::try_from(100 * n + part).unwrap())
                .collect(),
        };
        parts.iter().enumerate().map(node).collect()
    }

    fn token(tier: u32, value: u128, side: Side, node: usize, part: usize) -> Token {
        Token {
            tier,
            value,
            side,
            node,
            part,
        }
    }

    use Side::{Erp, Shop};

    #[test]
    fn one_of_each_side_is_a_pair_and_more_are_a_question() {
        let tokens = vec![
            token(0, 1, Shop, 0, 0),
            token(0, 1, Erp, 0, 0),
            // Two of the ERP have what one of the shop has.
            token(0, 2, Shop, 1, 0),
            token(0, 2, Erp, 1, 0),
            token(0, 2, Erp, 2, 0),
            // Two of the shop have what nobody in the ERP has.
            token(0, 3, Shop, 2, 0),
            token(0, 3, Shop, 3, 0),
        ];
        let found = pair(&nodes(&[0, 0, 0, 0]), &nodes(&[0, 0, 0, 0]), tokens);
        assert_eq!(found.pairs.len(), 1);
        assert_eq!((found.pairs[0].shop, found.pairs[0].erp), (0, 0));
        let doubt = Doubt {
            shop: vec![1],
            erp: vec![1, 2],
            parts_differ: false,
        };
        assert_eq!(found.doubts, [doubt]);
        assert_eq!(found.alone_on_shop, [2, 3]);
        assert_eq!(found.alone_in_erp, [3]);
    }

    #[test]
    fn directions_that_do_not_agree_are_a_question() {
        // By the way in 0 is 0; by the way out it is 1.
        let tokens = vec![
            token(0, 1, Shop, 0, 0),
            token(0, 1, Erp, 0, 0),
            token(0, 9, Shop, 0, 0),
            token(0, 9, Erp, 1, 0),
        ];
        let found = pair(&nodes(&[0]), &nodes(&[0, 0]), tokens);
        assert!(found.pairs.is_empty());
        assert_eq!(found.doubts[0].erp, [0, 1]);
    }

    #[test]
    fn a_better_way_comes_first_and_a_worse_one_asks_only_about_the_rest() {
        let tokens = vec![
            token(0, 1, Shop, 0, 0),
            token(0, 1, Erp, 0, 0),
            // The same telephone number in the whole house.
            token(1, 5, Shop, 0, 0),
            token(1, 5, Erp, 1, 0),
            token(1, 5, Shop, 1, 0),
        ];
        let found = pair(&nodes(&[0, 0]), &nodes(&[0, 0]), tokens);
        let pairs: Vec<(usize, usize)> = found.pairs.iter().map(|pair| (pair.shop, pair.erp)).collect();
        assert_eq!(pairs, [(0, 0), (1, 1)]);
        assert!(found.doubts.is_empty());
    }

    #[test]
    fn all_parts_of_both_must_fit() {
        let whole = vec![
            token(0, 1, Shop, 0, 0),
            token(0, 1, Erp, 0, 1),
            token(0, 2, Shop, 0, 1),
            token(0, 2, Erp, 0, 0),
        ];
        let found = pair(&nodes(&[2]), &nodes(&[2]), whole.clone());
        assert_eq!(found.pairs[0].parts, [(0, 1), (1, 0)]);
        for (name, ours, theirs, extra) in [
            ("the ERP has one more", 2, 3, None),
            ("the shop has one more", 3, 2, None),
            (
                "two of the shop are the same",
                3,
                2,
                Some(token(0, 1, Shop, 0, 2)),
            ),
            ("one fits two", 2, 2, Some(token(0, 1, Erp, 0, 0))),
        ] {
            let tokens = whole.iter().copied().chain(extra).collect();
            let found = pair(&nodes(&[ours]), &nodes(&[theirs]), tokens);
            assert!(found.pairs.is_empty(), "{name}");
            assert!(found.doubts[0].parts_differ, "{name}");
        }
        // Parts of two products that share one.
        let mut shared = whole;
        shared.push(token(0, 2, Shop, 1, 0));
        let found = pair(&nodes(&[2, 1]), &nodes(&[2]), shared);
        assert_eq!(found.doubts[0].shop, [0, 1]);
    }
}
