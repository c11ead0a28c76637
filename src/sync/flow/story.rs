//! What an attempt tells of itself: the notes of its story, and what it meant to write.

use std::sync::PoisonError;

use serde::Serialize;
use serde_json::{Value, json};

use super::Flow;
use crate::domain::{FieldValue, Outcome};

/// One thing that an attempt did or found, as the job's story shows it.
#[derive(Clone, Debug, Serialize)]
pub(in crate::sync) struct Note {
    what: &'static str,
    #[serde(flatten)]
    detail: Value,
}

impl Flow<'_> {
    /// Remembers what is going to be written to the shop.
    pub(in crate::sync) fn means_to_write(&self, fields: &[(String, FieldValue)]) {
        let mut meant = self.meant.lock().unwrap_or_else(PoisonError::into_inner);
        meant.extend_from_slice(fields);
    }

    /// Adds the value to a problem with a field that the shop refused.
    pub(in crate::sync) fn with_value(&self, mut outcome: Outcome) -> Outcome {
        if let Outcome::Failed { problem, .. } = &mut outcome
            && let Some(field) = &problem.field
            && let Some(value) = self.meant_for(field)
            && let Some(detail) = problem.detail.as_object_mut()
        {
            detail.insert("value".to_owned(), json!(value.to_string()));
        }
        outcome
    }

    /// What is meant for a field. Where the shop names the field of a variant and not the variant, and they differ in it, nobody
    /// knows.
    fn meant_for(&self, field: &str) -> Option<FieldValue> {
        let meant = self.meant.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, value)) = meant.iter().rev().find(|(name, _)| name == field) {
            return Some(value.clone());
        }
        let mut values = meant
            .iter()
            .filter(|(name, _)| name.rsplit_once("].").is_some_and(|(_, name)| name == field))
            .map(|(_, value)| value);
        let first = values.next()?;
        values.all(|value| value == first).then(|| first.clone())
    }

    /// Adds to the story.
    pub(in crate::sync) fn note(&self, what: &'static str, detail: Value) {
        self.notes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(Note { what, detail });
    }

    /// Adds to the story what was written, with `values` beside it.
    pub(in crate::sync) fn note_written(&self, what: &'static str, mut detail: Value, values: Value) {
        if let (Some(detail), Value::Object(values)) = (detail.as_object_mut(), values) {
            detail.extend(values);
        }
        self.note(what, detail);
    }

    /// Adds to the story, in the place of what was said of the same before.
    pub(in crate::sync) fn note_anew(&self, what: &'static str, detail: Value) {
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        notes.retain(|note| note.what != what);
        notes.push(Note { what, detail });
    }

    /// The story so far.
    pub(in crate::sync) fn story(&self) -> Value {
        let notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        serde_json::to_value(&*notes).unwrap_or_default()
    }
}
