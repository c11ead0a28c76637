//! Which fields are to be written over what the other side holds.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::super::agree::{Agreed, Agreement, Change, decide, hash};
use super::super::both::truth_seen;
use super::super::resolve::Conflict;
use super::super::resync::{ResyncMark, is_edited};
use super::super::stop::Stop;
use super::{Flow, Held};
use crate::domain::{Direction, FieldValue, Object, Timestamp};
use crate::erp::Row;
use crate::mapping::MappedField;

/// How long before its mark a record may have changed and not be carried over yet, where no link tells: notices are late, and clocks
/// differ.
const LATE: Duration = Duration::from_secs(900);

/// Whether a record changed at its source and nobody carried that over yet. `applied` is the version that its link says was carried
/// over last; none where none does, which is so on the way to the shop.
///
/// A job with care may be the only one that such a change has: its event joined it, or never came.
fn has_moved(mark: &ResyncMark, applied: Option<Timestamp>, changed_at: Timestamp) -> bool {
    changed_at > applied.unwrap_or_else(|| mark.at.minus(LATE))
}

/// Whether a field of the ERP is as both sides left it when they agreed last. What was not read again after it was written is as it
/// was written.
fn is_as_agreed(agreed: Option<&Agreed>, now: &FieldValue) -> bool {
    agreed.is_some_and(|agreed| *agreed.target.as_ref().unwrap_or(&agreed.source) == hash(now))
}

impl Flow<'_> {
    /// Which of the mapped fields are to be written over what the ERP holds, and the differences for people. A field
    /// that both sides changed and that the mapping leaves to a person is among none of them: it ends the attempt before
    /// anything is written, or at its end, when all such fields of the record are known.
    pub(in crate::sync) fn changes(
        &self,
        fields: &[MappedField],
        agreed: &Agreement,
        held: &Row,
    ) -> Result<Vec<(String, FieldValue)>, Stop> {
        self.changes_of(Direction::In, fields, agreed, &held.fields)
    }

    /// The same of a part of the record, whose fields stand among those of the record with this before their names.
    pub(in crate::sync) fn changes_below(
        &self,
        place: &str,
        fields: &[MappedField],
        agreed: &Agreement,
        held: &Row,
    ) -> Result<Vec<(String, FieldValue)>, Stop> {
        self.changes_at(place, Direction::In, fields, agreed, &held.fields)
    }

    /// Notes how the record stands at its source, before its changes are asked for: the version that its link says was carried over
    /// last, and when it changed.
    pub(in crate::sync) fn source_stands(&self, applied: Option<Timestamp>, changed_at: Timestamp) {
        let moved = self
            .care
            .as_ref()
            .is_some_and(|care| has_moved(care, applied, changed_at));
        self.source_moved.store(moved, Ordering::Relaxed);
    }

    /// Notes that a field is left as a person made it.
    pub(in crate::sync) fn keep(&self, name: String, now: &FieldValue, then: &FieldValue) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.push((name, now.clone(), then.clone()));
    }

    /// The same for either direction: which fields are to be written over what the target holds.
    pub(in crate::sync) fn changes_of(
        &self,
        direction: Direction,
        fields: &[MappedField],
        agreed: &Agreement,
        held: &Held,
    ) -> Result<Vec<(String, FieldValue)>, Stop> {
        self.changes_at("", direction, fields, agreed, held)
    }

    /// The same of a part of the record, as [`Self::changes_below`].
    pub(in crate::sync) fn changes_at(
        &self,
        place: &str,
        direction: Direction,
        fields: &[MappedField],
        agreed: &Agreement,
        held: &Held,
    ) -> Result<Vec<(String, FieldValue)>, Stop> {
        let mut writes = Vec::new();
        for field in fields.iter().filter(|field| !field.create_only) {
            let now = held.get(&*field.target).unwrap_or(&FieldValue::Clear);
            // What was chosen is for this value of the target: two rows may have the same one of the source.
            let chosen = self.choice.as_ref().and_then(|choice| choice.about(field, now));
            let truth = truth_seen(direction, chosen.unwrap_or(field.truth));
            let known = agreed.get(&*field.target);
            let mut change = decide(known, &field.value, now, truth);
            let is_kept = |care: &ResyncMark| {
                let wrote = care.wrote.get(&format!("{place}{}", field.target));
                // What changed at the source is carried over: nobody else does it.
                let is_owed = self.source_moved.load(Ordering::Relaxed) && is_as_agreed(known, now);
                !is_owed && is_edited(wrote.map(String::as_str), known, field.lossy, now)
            };
            // An order's care is about the order, and not about whom it makes or brings up to date on its way.
            let care = self
                .care
                .as_ref()
                .filter(|_| self.job.key.object != Object::Order);
            if change != Change::Keep && care.is_some_and(is_kept) {
                self.keep(format!("{place}{}", field.target), now, &field.value);
                change = Change::Keep;
            }
            match change {
                Change::Keep => {}
                Change::Write => writes.push((field.target.to_string(), field.value.clone())),
                Change::Conflict => self
                    .conflicts
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(Conflict::new(direction, field, now, held)),
            }
        }
        Ok(writes)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn what_moved_is_told_by_the_link_or_by_when_the_mark_was_made() {
        let at = |minutes: i64| Timestamp::from_millis(minutes * 60_000);
        let mark = ResyncMark {
            job: None,
            at: at(100),
            hold: false,
            mapping: String::new(),
            by: String::new(),
            wrote: BTreeMap::new(),
        };
        for (name, applied, changed_at, expected) in [
            ("carried over", Some(at(50)), at(50), false),
            ("changed since, long before the mark", Some(at(50)), at(51), true),
            ("the link knows a newer one", Some(at(120)), at(110), false),
            ("no link tells, and it changed long ago", None, at(80), false),
            ("a moment before the mark", None, at(90), true),
            ("after the mark", None, at(101), true),
        ] {
            assert_eq!(has_moved(&mark, applied, changed_at), expected, "{name}");
        }
    }
}
