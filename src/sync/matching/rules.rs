//! How records are recognised: the keys of the mappings of both directions, as hashes.

use std::collections::BTreeSet;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use super::super::agree::{content, hash};
use super::super::flow::Held;
use crate::domain::{Direction, Fact, FieldValue, LinkKind, Object};
use crate::mapping::{FieldProblem, Keys, Mapping, MatchKey, VARIANTS};

/// How records are recognised, by the mappings of both directions.
pub(super) struct Rules {
    pub(super) object: Object,
    pub(super) inward: Option<Arc<Mapping>>,
    pub(super) outward: Option<Arc<Mapping>>,
    pub(super) settings: Fact,
}

/// What a direction's ways to recognise a record find.
pub(super) enum Way<'a> {
    /// The values that the mapping made of it.
    Made(&'a [MatchKey]),
    /// The values that it has.
    Held(Option<&'a Held>),
}

impl Rules {
    pub(super) const fn kind(&self) -> LinkKind {
        match self.object {
            Object::Customer => LinkKind::Customer,
            _ => LinkKind::Product,
        }
    }

    fn mapping(&self, direction: Direction) -> Option<&Arc<Mapping>> {
        match direction {
            Direction::In => self.inward.as_ref(),
            Direction::Out => self.outward.as_ref(),
        }
    }

    /// The ways of a direction, best first: the line of each in its mapping, and the fields that it compares.
    pub(super) fn fields(&self, direction: Direction) -> Vec<(usize, Vec<&str>)> {
        let group = (self.object == Object::Product).then_some(VARIANTS);
        self.mapping(direction)
            .map(|mapping| mapping.key_fields(group))
            .unwrap_or_default()
    }

    /// All fields that a direction compares.
    pub(super) fn names(&self, direction: Direction) -> Vec<String> {
        let fields = self.fields(direction);
        let names: BTreeSet<&str> = fields.iter().flat_map(|(_, names)| names).copied().collect();
        names.into_iter().map(str::to_owned).collect()
    }

    pub(super) fn keys(&self, direction: Direction, record: &Fact) -> Result<Keys, Vec<FieldProblem>> {
        self.mapping(direction).map_or_else(
            || Ok(Keys::default()),
            |mapping| mapping.keys(record, &self.settings),
        )
    }

    /// What the way out reads of a record besides what is always read.
    pub(super) fn select(&self) -> &[String] {
        self.outward
            .as_ref()
            .and_then(|mapping| mapping.out.as_ref())
            .map_or(&[], |out| out.select.as_slice())
    }

    /// Whether the way out never makes this record on the shop. What cannot be told is shown.
    pub(super) fn leaves_alone(&self, record: &Fact) -> bool {
        self.outward
            .as_ref()
            .is_some_and(|mapping| matches!(mapping.skip(record, &self.settings), Ok(Some(_))))
    }

    /// The hash of a way and of its values. The way out compares people's values whatever their case, as its search does.
    fn token(&self, direction: Direction, rank: usize, values: &[(&str, &FieldValue)]) -> u128 {
        let mut sum = Sha256::new();
        sum.update(format!("{direction} {rank}"));
        for (name, value) in values {
            let value = match value {
                FieldValue::Text(text) if direction == Direction::Out && self.object == Object::Customer => {
                    text.trim().to_ascii_lowercase()
                }
                value => content(value),
            };
            // Each with its length, so that no two lists of values read the same.
            sum.update(format!("\0{name}\0{}\0{value}", value.len()));
        }
        let mut first = [0; 16];
        first.copy_from_slice(&sum.finalize()[..16]);
        u128::from_be_bytes(first)
    }

    /// The tiers and hashes of what a direction finds of a record.
    pub(super) fn tokens(&self, direction: Direction, way: &Way<'_>) -> Vec<(u32, u128)> {
        let nothing = hash(&FieldValue::Clear);
        let mut tokens = Vec::new();
        for (rank, (line, names)) in self.fields(direction).into_iter().enumerate() {
            let values: Option<Vec<(&str, &FieldValue)>> = match way {
                Way::Made(keys) => {
                    let key = keys.iter().find(|key| key.line == line);
                    key.map(|key| {
                        key.equal
                            .iter()
                            .map(|(name, value)| (name.as_str(), value))
                            .collect()
                    })
                }
                Way::Held(held) => names
                    .iter()
                    .map(|name| {
                        let value = held.as_ref()?.get(*name)?;
                        (hash(value) != nothing).then_some((*name, value))
                    })
                    .collect(),
            };
            let Some(mut values) = values.filter(|values| !values.is_empty()) else {
                continue;
            };
            values.sort_unstable_by_key(|(name, _)| *name);
            // All keys of variants count alike, as in the flows; those of people are asked one after the other.
            let tier = match self.object {
                Object::Customer => u32::try_from(rank).unwrap_or(u32::MAX),
                _ => 0,
            };
            tokens.push((tier, self.token(direction, rank, &values)));
        }
        tokens
    }
}
