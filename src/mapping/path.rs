//! Paths such as `order.customer.email`, read straight from the facts.

use std::borrow::Cow;

use super::check::Scope;
use super::expr::Frame;
use super::types::{Kind, Typed};
use super::value::json_leaf;
use crate::domain::Fact;

/// A path whose name is known in its scope.
#[derive(Debug)]
pub(super) struct Path {
    slot: usize,
    steps: Vec<Step>,
}

/// One part of a path.
#[derive(Debug)]
struct Step {
    name: String,
    /// Where it stands in the record by its shape, to be looked at first.
    place: usize,
}

impl Path {
    /// The path of these names, and the type at its end where every part of it is declared: none in the source's own
    /// record.
    pub(super) fn new(names: &[&str], scope: &Scope) -> Option<(Self, Option<Typed>)> {
        let (first, rest) = names.split_first()?;
        let (slot, typed) = scope.slot(first)?;
        let mut known = Some(typed);
        let mut steps = Vec::with_capacity(rest.len());
        for name in rest {
            let fields = match known {
                Some(Typed {
                    kind: Kind::Record(fields),
                    ..
                }) => fields.as_slice(),
                _ => &[],
            };
            let place = fields.iter().position(|(known, _)| known == name);
            known = place.map(|place| &fields[place].1);
            steps.push(Step {
                name: (*name).to_owned(),
                place: place.unwrap_or_default(),
            });
        }
        Some((Self { slot, steps }, known.cloned()))
    }

    /// The names of a path that is written out.
    pub(super) fn names(text: &str) -> Option<Vec<&str>> {
        let names: Vec<&str> = text.trim().split('.').collect();
        let is_name = |name: &&str| {
            name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
                && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        };
        (names.iter().all(is_name) && !matches!(names[0], "true" | "false" | "none")).then_some(names)
    }

    /// The fact there; empty where nothing is.
    pub(super) fn fact<'f>(&self, frame: &Frame<'f>) -> Cow<'f, Fact> {
        let Some(mut fact) = frame.slots.get(self.slot).copied() else {
            return Cow::Owned(Fact::Null);
        };
        for (n, step) in self.steps.iter().enumerate() {
            match fact {
                Fact::Record(fields) => match step.of(fields) {
                    Some(part) => fact = part,
                    None => return Cow::Owned(Fact::Null),
                },
                Fact::Raw(json) => {
                    let leaf = self.steps[n..]
                        .iter()
                        .try_fold(&**json, |json, step| json.get(&step.name));
                    return Cow::Owned(leaf.map_or(Fact::Null, json_leaf));
                }
                _ => return Cow::Owned(Fact::Null),
            }
        }
        Cow::Borrowed(fact)
    }
}

impl Step {
    fn of<'f>(&self, fields: &'f [(&'static str, Fact)]) -> Option<&'f Fact> {
        let named = |(name, _): &&(&'static str, Fact)| *name == self.name;
        fields
            .get(self.place)
            .filter(named)
            .or_else(|| fields.iter().find(named))
            .map(|(_, fact)| fact)
    }
}
