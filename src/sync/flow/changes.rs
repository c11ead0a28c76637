//! Which fields are to be written over what the other side holds.

use std::sync::PoisonError;

use super::super::agree::{Agreement, Change, decide};
use super::super::both::truth_seen;
use super::super::resolve::Conflict;
use super::super::resync::{ResyncMark, is_edited};
use super::super::stop::Stop;
use super::{Flow, Held};
use crate::domain::{Direction, FieldValue, Object};
use crate::erp::Row;
use crate::mapping::MappedField;

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
                is_edited(wrote.map(String::as_str), known, field.lossy, now)
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
