//! Records that a wrong mapping wrote, carried over once more, and with care: put right is only what that mapping wrote and what
//! still stands in the ERP as it wrote it. Everything else stays, whatever the mapping says about the last word.
//!
//! Unless the record changed at its source since it was carried over last. Nothing tells which of its fields that was, and an event
//! of it has no job but this one. So what a person changed on the other side stays then, too, and the rest is carried over as by any
//! other job.
//!
//! Each write keeps in the job's story by which revision of the mappings it was made, both values, and the new one's hash. Who
//! finds such records marks each one with these hashes and makes its job; the mark is the job's, so that a later one of the same
//! record is an ordinary one.
//!
//! The mark stands until an attempt's end is on record: an attempt that did its work and did not live to say so is repeated with
//! the same care.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::agree::{Agreed, hash};
use super::flow::{Flow, Held};
use super::preview::{Preview, PreviewError, PreviewedField};
use super::stop::Stop;
use super::{Engine, ShopContext};
use crate::domain::{
    Direction, ErpId, FieldValue, Fields, JobId, JobKey, Object, ShopName, ShopifyId, Timestamp,
};
use crate::erp::{ProductSave, Row};

/// The longest value that a story keeps whole.
const LONGEST: usize = 200;

/// That a record's job is to be carried out with care.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResyncMark {
    /// The job; none as long as it is being made.
    pub job: Option<JobId>,
    /// When the mark was made. A job that was made for it is wanted since then.
    pub at: Timestamp,
    /// Whether its plan waits for a person.
    pub hold: bool,
    /// The revision of the mappings that wrote the record wrongly.
    pub mapping: String,
    /// The revision that it was planned by, to put it right. By another one it is not written before somebody has looked.
    #[serde(default)]
    pub by: String,
    /// What the wrong revision wrote: the last value's hash of each field.
    #[serde(default)]
    pub wrote: BTreeMap<String, String>,
}

impl ResyncMark {
    /// The named position in which a record's mark stands.
    pub fn name(key: &JobKey) -> String {
        match key.direction {
            Direction::In => format!("resync:{}:{}", key.object, key.source_id),
            Direction::Out => format!("resync:out:{}:{}", key.object, key.source_id),
        }
    }

    /// Its value there.
    pub fn value(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// Whether records of this object can be carried over with care. An order can as long as the ERP has it as a draft: one that is confirmed
/// follows only what was sold. Stock is no value of a mapping: its next job sets it to what the ERP counts.
pub const fn can_be_resynced(object: Object, direction: Direction) -> bool {
    match direction {
        Direction::In => matches!(object, Object::Order | Object::Customer | Object::Product),
        Direction::Out => matches!(object, Object::Customer | Object::Product),
    }
}

/// The mark of the attempt's job; none once an attempt of it has ended on record. Only then is the mark taken away: what comes
/// later is ordinary.
pub(super) async fn asked_for(flow: &Flow<'_>) -> Result<Option<ResyncMark>, Stop> {
    let (shop, job) = (flow.shop, flow.job);
    if !can_be_resynced(job.key.object, job.key.direction) {
        return Ok(None);
    }
    let text = shop.store.cursor(&shop.name, &ResyncMark::name(&job.key)).await?;
    let mark: Option<ResyncMark> = text.and_then(|text| serde_json::from_str(&text).ok());
    let Some(mark) = mark else {
        return Ok(None);
    };
    let marked = match mark.job {
        Some(marked) => marked,
        None if job.wanted_since == mark.at => job.id,
        // It is being made, or was meant for a job that never was.
        None => return Ok(None),
    };
    let story = shop.store.job(marked).await?;
    let is_spent = story.is_none_or(|story| {
        let mut ends = story.attempts.iter().map(|attempt| attempt.outcome.as_str());
        !story.job.state.is_open() || ends.any(|end| matches!(end, "completed" | "obsolete"))
    });
    if is_spent {
        forget(shop, &job.key).await?;
        return Ok(None);
    }
    Ok((marked == job.id).then_some(mark))
}

/// The mark's job is done: the next one of the record is an ordinary one.
async fn forget(shop: &ShopContext, key: &JobKey) -> Result<(), Stop> {
    let name = ResyncMark::name(key);
    Ok(shop
        .store
        .set_cursor(&shop.name, &name, "", shop.clock.now())
        .await?)
}

/// Whether what stands in a field of the ERP is to be left alone: it is not what the wrong revision wrote there. `wrote` is the
/// hash of what it wrote; none where it wrote nothing. What was only ever agreed on by a look (of an adopted record, or given up to
/// the other side) is a person's. An empty field that nobody agreed on is nobody's.
///
/// Of a field that the ERP brings into a form of its own (`is_lossy`), that form of the same value is what was written.
pub(super) fn is_edited(
    wrote: Option<&str>,
    agreed: Option<&Agreed>,
    is_lossy: bool,
    now: &FieldValue,
) -> bool {
    let now = hash(now);
    let Some(wrote) = wrote else {
        return agreed.is_some() || now != hash(&FieldValue::Clear);
    };
    let is_its_form = || {
        is_lossy
            && agreed.is_some_and(|agreed| agreed.source == wrote && agreed.target.as_ref() == Some(&now))
    };
    now != wrote && !is_its_form()
}

/// How the fields of a product's variant are named among those of the product.
pub(super) fn of_variant(id: &str) -> String {
    format!("variants[{id}].")
}

/// What a mapping wrote to a record, as the job's story tells it. A story of another record's job (the order that makes its
/// buyer) has no values, only their hashes: it is not where a customer's data would be looked for.
pub(super) fn written(
    flow: &Flow<'_>,
    object: Object,
    source: &str,
    fields: &[(String, FieldValue)],
    held: Option<&Held>,
) -> Value {
    let is_own = flow.job.key.object == object;
    let values: Vec<Value> = fields
        .iter()
        .map(|(name, new)| {
            if !is_own {
                return json!({ "field": name, "hash": hash(new) });
            }
            let old = held.and_then(|held| held.get(name)).map(shortened);
            json!({ "field": name, "old": old, "new": shortened(new), "hash": hash(new) })
        })
        .collect();
    told(flow, object, source, &values)
}

/// The same of the job's own record.
pub(super) fn written_own(flow: &Flow<'_>, fields: &[(String, FieldValue)], held: Option<&Held>) -> Value {
    let key = &flow.job.key;
    written(flow, key.object, &key.source_id, fields, held)
}

/// The same of rows that belong to a record (its addresses), by their names. Only a customer's own job tells the values: an order has
/// its buyer's.
pub(super) fn written_rows(
    flow: &Flow<'_>,
    group: &str,
    rows: &[(String, Fields)],
    held: &BTreeMap<String, Held>,
) -> Value {
    let key = &flow.job.key;
    let shows_values = key.object != Object::Order;
    let mut values = Vec::new();
    for (row, fields) in rows {
        for (name, new) in fields {
            let field = format!("{group}[{row}].{name}");
            if !shows_values {
                values.push(json!({ "field": field, "hash": hash(new) }));
                continue;
            }
            let old = held.get(row).and_then(|held| held.get(name)).map(shortened);
            values.push(json!({ "field": field, "old": old, "new": shortened(new), "hash": hash(new) }));
        }
    }
    told(flow, key.object, &key.source_id, &values)
}

fn told(flow: &Flow<'_>, object: Object, source: &str, values: &[Value]) -> Value {
    json!({
        "mapping": flow.mappings.revision(), "of": { "object": object, "source": source }, "values": values,
    })
}

/// The same for a product with its variants, as they were before.
pub(super) fn written_product(
    flow: &Flow<'_>,
    id: ShopifyId,
    save: &ProductSave,
    held: Option<&Row>,
    held_variants: &BTreeMap<ErpId, Row>,
) -> Value {
    let mut fields = save.fields.clone();
    let mut before = held.map(|row| row.fields.clone()).unwrap_or_default();
    for variant in &save.variants {
        let known = variant.existing.and_then(|id| held_variants.get(&id));
        for (name, value) in &variant.fields {
            let place = format!("{}{name}", of_variant(&variant.id.to_string()));
            if let Some(now) = known.and_then(|row| row.fields.get(name)) {
                before.insert(place.clone(), now.clone());
            }
            fields.push((place, value.clone()));
        }
    }
    written(flow, Object::Product, &id.to_string(), &fields, Some(&before))
}

fn shortened(value: &FieldValue) -> String {
    let text = value.to_string();
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// A note of a story, about what was written by which revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrittenBy {
    /// The revision of the mappings.
    pub mapping: String,
    /// What was written.
    pub object: Object,
    /// Its number on Shopify, or the name that a guest has.
    pub source: String,
    /// The fields that were written, each with its new value's hash.
    pub fields: Vec<(String, String)>,
}

/// What the story of an attempt tells of writes.
pub fn written_by(story: &Value) -> Vec<WrittenBy> {
    let notes = story.as_array().map(Vec::as_slice).unwrap_or_default();
    notes
        .iter()
        .filter_map(|note| {
            Some(WrittenBy {
                mapping: note["mapping"].as_str()?.to_owned(),
                object: note["of"]["object"].as_str()?.parse().ok()?,
                source: note["of"]["source"].as_str()?.to_owned(),
                fields: note["values"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .filter_map(|value| {
                        Some((
                            value["field"].as_str()?.to_owned(),
                            value["hash"].as_str()?.to_owned(),
                        ))
                    })
                    .collect(),
            })
        })
        .collect()
}

impl Engine {
    /// What carrying a record over with care would do. `wrote` has the hashes of what is to be put right, by fields. Writes nothing.
    ///
    /// # Errors
    /// When the record does not exist, or a side cannot be asked.
    pub async fn preview_resync(
        &self,
        shop: &ShopName,
        object: Object,
        id: ShopifyId,
        wrote: BTreeMap<String, String>,
    ) -> Result<Resyncable, PreviewError> {
        if !can_be_resynced(object, Direction::In) {
            return Err(PreviewError::Unsupported(object));
        }
        let preview = self
            .look(shop, object, id, None, Some(self.care(shop, wrote)))
            .await?;
        Ok(Resyncable::of(preview))
    }

    /// The same of a record of the ERP that is carried over to the shop.
    ///
    /// # Errors
    /// See [`Engine::preview_resync`].
    pub async fn preview_resync_out(
        &self,
        shop: &ShopName,
        object: Object,
        id: ErpId,
        wrote: BTreeMap<String, String>,
    ) -> Result<Resyncable, PreviewError> {
        if !can_be_resynced(object, Direction::Out) {
            return Err(PreviewError::Unsupported(object));
        }
        let preview = self
            .look_out(shop, object, id, Some(self.care(shop, wrote)))
            .await?;
        Ok(Resyncable::of(preview))
    }

    /// The care that a job would have that was made now.
    fn care(&self, shop: &ShopName, wrote: BTreeMap<String, String>) -> ResyncMark {
        ResyncMark {
            job: None,
            at: self
                .shop(shop)
                .map_or_else(Timestamp::default, |shop| shop.clock.now()),
            hold: false,
            mapping: String::new(),
            by: String::new(),
            wrote,
        }
    }
}

/// What carrying a record over with care would do.
#[derive(Clone, Debug)]
pub struct Resyncable {
    /// What it would write.
    pub preview: Preview,
    /// Which fields it would leave as a person made them, each with what the mapping makes of it.
    pub kept: Vec<PreviewedField>,
}

impl Resyncable {
    /// Whether its plan would write what is to be left: a draft order is saved as a whole.
    pub fn would_write_over_what_is_kept(&self) -> bool {
        let fields = || self.preview.writes.iter().flat_map(|write| &write.fields);
        self.kept.iter().any(|kept| {
            let name = kept
                .field
                .rsplit_once("].")
                .map_or(kept.field.as_str(), |(_, name)| name);
            fields().any(|field| field.field == name && field.then == kept.then)
        })
    }

    fn of(mut preview: Preview) -> Self {
        let kept = std::mem::take(&mut preview.kept);
        Self { preview, kept }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_still_stands_as_it_was_written_is_no_edit() {
        let text = |text: &str| FieldValue::Text(text.to_owned());
        let wrote = |value: &str| Some(hash(&text(value)));
        let agreed = |source: &str, target: &str| {
            Some(Agreed {
                source: hash(&text(source)),
                target: Some(hash(&text(target))),
            })
        };
        for (name, wrote, agreed, is_lossy, now, expected) in [
            (
                "as written",
                wrote("a"),
                agreed("a", "a"),
                false,
                text("a"),
                false,
            ),
            ("never read back", wrote("a"), None, false, text("a"), false),
            (
                "changed since",
                wrote("a"),
                agreed("a", "a"),
                false,
                text("b"),
                true,
            ),
            (
                "emptied since",
                wrote("a"),
                agreed("a", "a"),
                false,
                FieldValue::Clear,
                true,
            ),
            (
                "given up to the ERP",
                wrote("a"),
                agreed("b", "p"),
                false,
                text("p"),
                true,
            ),
            (
                "the ERP's own form",
                wrote("a"),
                agreed("a", "A"),
                true,
                text("A"),
                false,
            ),
            (
                "no form of it",
                wrote("a"),
                agreed("a", "A"),
                false,
                text("A"),
                true,
            ),
            (
                "the form of something later",
                wrote("a"),
                agreed("b", "B"),
                true,
                text("B"),
                true,
            ),
            (
                "adopted, and never written",
                None,
                agreed("a", "p"),
                false,
                text("p"),
                true,
            ),
            (
                "adopted, and left empty",
                None,
                agreed("a", ""),
                false,
                FieldValue::Clear,
                true,
            ),
            ("nobody's", None, None, false, FieldValue::Clear, false),
            ("somebody's", None, None, false, text("p"), true),
        ] {
            let is = is_edited(wrote.as_deref(), agreed.as_ref(), is_lossy, &now);
            assert_eq!(is, expected, "{name}");
        }
    }

    #[test]
    fn a_story_tells_fields_and_hashes_with_or_without_values() {
        let story = json!([
            { "what": "calls" },
            { "what": "writes", "mapping": "m1", "of": { "object": "customer", "source": "7" },
              "values": [{ "field": "name", "old": null, "new": "Ada", "hash": "h1" },
                         { "field": "email", "hash": "h2" }, { "field": "older", "new": "x" }] },
        ]);
        let told = written_by(&story);
        let fields = [("name", "h1"), ("email", "h2")];
        let fields = fields.map(|(field, hash)| (field.to_owned(), hash.to_owned()));
        assert_eq!(told.len(), 1);
        assert_eq!((told[0].source.as_str(), told[0].object), ("7", Object::Customer));
        assert_eq!(told[0].fields, fields);
    }
}
