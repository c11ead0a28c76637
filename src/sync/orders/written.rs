//! What is written to an order, with what stood there before: for the job's story, and so that an order that a wrong mapping wrote is
//! put right only where nobody changed it since.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;

use super::super::agree::hash;
use super::super::flow::{Flow, Held};
use super::super::preview::same;
use super::super::resync::{ResyncMark, is_edited, written_own};
use super::super::stop::Stop;
use super::book;
use super::plan::LINES;
use crate::domain::{ErpId, FieldValue, Fields};
use crate::erp::{FieldTable, SalesOrder, SalesOrderLine};
use crate::mapping::Mapped;

/// The problem's code where a draft that a wrong mapping wrote has been changed by a person since.
const EDITED: &str = "resync_order_edited";

/// How the fields of an order's line are named among those of the order.
pub(in crate::sync) fn of_line(name: &str) -> String {
    format!("lines[{name}].")
}

/// What a save of the whole order writes.
pub(super) fn whole(mapped: &Mapped, exists: bool) -> Fields {
    let own = mapped
        .fields
        .iter()
        .filter(|field| !(exists && field.create_only))
        .map(|field| (field.target.to_string(), field.value.clone()));
    let rows = mapped.group(LINES).into_iter().flat_map(|group| &group.rows);
    let lines = rows.flat_map(|row| {
        let place = of_line(&row.external_id);
        row.fields
            .iter()
            .map(move |field| (format!("{place}{}", field.target), field.value.clone()))
    });
    own.chain(lines).collect()
}

/// What stands in the ERP of all that, under the same names.
pub(super) async fn before(flow: &Flow<'_>, mapped: &Mapped, held: &SalesOrder) -> Result<Held, Stop> {
    let own = mapped.fields.iter().filter(|field| !field.create_only);
    let names = sorted(own.map(|field| field.target.to_string()));
    let mut before = fields_before(flow, &mapped.model, held.id, &names).await?;
    let Some(group) = mapped.group(LINES) else {
        return Ok(before);
    };
    let ours: BTreeMap<ErpId, String> = book::our_lines(flow, mapped, held)
        .await?
        .into_iter()
        .map(|(name, id)| (id, name))
        .collect();
    let fields = group.rows.iter().flat_map(|row| &row.fields);
    let names = sorted(fields.map(|field| field.target.to_string()));
    let ids: Vec<ErpId> = ours.keys().copied().collect();
    if ids.is_empty() || names.is_empty() {
        return Ok(before);
    }
    for row in flow.shop.erp.read(&group.model, &ids, &names).await? {
        if let Some(name) = ours.get(&row.id) {
            let place = of_line(name);
            let fields = row.fields.into_iter();
            before.extend(fields.map(|(field, value)| (format!("{place}{field}"), value)));
        }
    }
    Ok(before)
}

/// What stands in these fields of an order.
pub(super) async fn fields_before(
    flow: &Flow<'_>,
    model: &str,
    id: ErpId,
    names: &[String],
) -> Result<Held, Stop> {
    if names.is_empty() {
        return Ok(Held::new());
    }
    let rows = flow.shop.erp.read(model, &[id], names).await?;
    let row = rows.into_iter().next();
    Ok(row
        .map(|row| row.fields.into_iter().collect())
        .unwrap_or_default())
}

fn sorted(names: impl Iterator<Item = String>) -> Vec<String> {
    let mut names: Vec<String> = names.collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// Notes what is about to be written: it stays on record even where the answer never comes.
pub(super) fn note(flow: &Flow<'_>, model: &str, fields: &[(String, FieldValue)], before: Option<&Held>) {
    flow.note_written(
        "writes",
        json!({ "model": model }),
        written_own(flow, fields, before),
    );
}

/// Has others told what was written of a line, and over what.
pub(super) fn tell_line(flow: &Flow<'_>, name: &str, fields: &[(String, FieldValue)], before: &Held) {
    let place = of_line(name);
    for (field, value) in fields {
        let field = format!("{place}{field}");
        let old = before.get(&field).cloned();
        flow.has_written_value(field, old, value);
    }
}

/// The same of all lines of an order that was written anew, as far as they are not what they were.
pub(super) fn tell_lines(flow: &Flow<'_>, mapped: &Mapped, before: &Held) {
    for row in mapped.group(LINES).into_iter().flat_map(|group| &group.rows) {
        let place = of_line(&row.external_id);
        let own = row.fields.iter().filter(|field| {
            let now = before.get(&format!("{place}{}", field.target));
            now.is_none_or(|now| !same(&field.value, now))
        });
        let fields: Fields = own
            .map(|field| (field.target.to_string(), field.value.clone()))
            .collect();
        tell_line(flow, &row.external_id, &fields, before);
    }
}

/// The same of a line that was removed.
pub(super) fn tell_removed(flow: &Flow<'_>, name: &str, before: Option<&Held>) {
    let place = of_line(name);
    let own = before.into_iter().flatten();
    for (field, old) in own.filter(|(field, _)| field.starts_with(&place)) {
        flow.has_written_value(field.clone(), Some(old.clone()), &FieldValue::Clear);
    }
}

/// What stands of a line in the fields that an edit writes.
pub(super) fn line_before(line: &SalesOrderLine, name: &str) -> Held {
    let place = of_line(name);
    [
        ("product_uom_qty", FieldValue::Decimal(line.quantity)),
        ("price_unit", FieldValue::Decimal(line.unit_price)),
        ("tax_ids", FieldValue::Records(line.taxes.clone())),
    ]
    .into_iter()
    .map(|(field, value)| (format!("{place}{field}"), value))
    .collect()
}

/// What tells the values in an order that the wrong mapping wrote from those that a person made of them.
pub(in crate::sync) struct Care<'a> {
    mark: &'a ResyncMark,
    /// The fields of the order.
    own: Arc<FieldTable>,
    /// Those of its lines.
    lines: Arc<FieldTable>,
}

impl<'a> Care<'a> {
    /// None where nothing is carried over with care.
    pub(in crate::sync) async fn of(flow: &'a Flow<'_>, mapped: &Mapped) -> Result<Option<Self>, Stop> {
        let Some(mark) = &flow.care else {
            return Ok(None);
        };
        let lines = mapped
            .group(LINES)
            .map_or("sale.order.line", |group| group.model.as_str());
        let erp = &flow.shop.erp;
        Ok(Some(Self {
            mark,
            own: erp.fields(&mapped.model).await?,
            lines: erp.fields(lines).await?,
        }))
    }

    /// Whether a field that is to be written is to be left as it stands: it differs, and the wrong mapping did not write what
    /// stands there.
    pub(in crate::sync) fn is_anothers(&self, name: &str, now: &FieldValue, then: &FieldValue) -> bool {
        let wrote = self.mark.wrote.get(name).map(String::as_str);
        !self.is_same(name, now, then) && !self.is_as_written(name, now) && is_edited(wrote, None, false, now)
    }

    /// Whether a field holds already what is to be written, in the ERP's form of it or as it is.
    pub(in crate::sync) fn is_same(&self, name: &str, now: &FieldValue, then: &FieldValue) -> bool {
        same(then, now) || self.is_form_of(name, now, &hash(then))
    }

    /// Whether what stands in a field is what the wrong mapping wrote there.
    fn is_as_written(&self, name: &str, now: &FieldValue) -> bool {
        let wrote = self.mark.wrote.get(name);
        wrote.is_some_and(|wrote| self.is_form_of(name, now, wrote))
    }

    /// Whether what stands in a field is a value of this hash, or the form in which the ERP keeps it.
    fn is_form_of(&self, name: &str, now: &FieldValue, wrote: &str) -> bool {
        let is_form = || unwrapped(now).iter().any(|form| hash(form) == wrote);
        hash(now) == wrote || (self.is_html(name) && is_form())
    }

    fn is_html(&self, name: &str) -> bool {
        let (table, field) = match name.rsplit_once("].") {
            Some((_, field)) => (&self.lines, field),
            None => (&self.own, name),
        };
        table.0.get(field).is_some_and(|info| info.kind == "html")
    }
}

/// What may have been written where an html field holds this. Odoo wraps text that has no element around it into a paragraph, and
/// keeps quotes in it plainly; that is no change of anybody's.
fn unwrapped(now: &FieldValue) -> Vec<FieldValue> {
    let FieldValue::Text(html) = now else {
        return Vec::new();
    };
    let inner = html.trim().strip_prefix("<p>");
    let Some(inner) = inner.and_then(|inner| inner.strip_suffix("</p>")) else {
        return Vec::new();
    };
    // As the mappings' `html` writes it.
    let escaped = inner.replace('"', "&quot;").replace("<br/>", "<br>");
    vec![FieldValue::Text(inner.to_owned()), FieldValue::Text(escaped)]
}

/// Ends an attempt that is to put a draft right which a person changed since. A draft is saved as a whole, so that none of it is
/// written.
pub(super) fn ask_where_edited(
    flow: &Flow<'_>,
    care: &Care<'_>,
    held: &SalesOrder,
    fields: &[(String, FieldValue)],
    before: &Held,
    stale: &[(String, ErpId)],
) -> Result<(), Stop> {
    let now = |name: &String| before.get(name).unwrap_or(&FieldValue::Clear);
    let mut edited: Vec<&str> = fields
        .iter()
        .filter(|(name, then)| care.is_anothers(name, now(name), then))
        .map(|(name, _)| name.as_str())
        .collect();
    // A line that is to be removed, too.
    for place in stale.iter().map(|(name, _)| of_line(name)) {
        let own = before.iter().filter(|(name, _)| name.starts_with(&place));
        let changed = own.filter(|(name, now)| !care.is_as_written(name, now));
        edited.extend(changed.map(|(name, _)| name.as_str()));
    }
    if edited.is_empty() {
        return Ok(());
    }
    let mut problem = flow.subject.problem(
        EDITED,
        "",
        format!(
            "{} was written by mapping {}, which was wrong, and has been changed in the ERP since: {}.",
            held.name,
            care.mark.mapping,
            edited.join(", ")
        ),
        "Correct the order in the ERP by hand, then discard this job. To have all of it written anew as it is mapped now, discard this job and sync the order.",
    );
    problem.detail = json!({ "erp_order": held.name, "fields": edited });
    Err(problem.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Timestamp;
    use crate::erp::FieldInfo;

    #[test]
    fn an_html_field_is_as_written_where_only_the_paragraph_is_the_erps() {
        let text = |text: &str| FieldValue::Text(text.to_owned());
        let info = |kind: &str| FieldInfo {
            kind: kind.to_owned(),
            required: false,
            readonly: false,
            relation: None,
            digits: None,
        };
        let table =
            |field: &str, kind: &str| Arc::new(FieldTable(BTreeMap::from([(field.to_owned(), info(kind))])));
        let names = ["note", "origin", "lines[a_1].remark"];
        let wrote = names.map(|name| (name.to_owned(), hash(&text("ring &quot;twice&quot;<br>please"))));
        let mark = ResyncMark {
            job: None,
            at: Timestamp::default(),
            hold: false,
            mapping: String::new(),
            by: String::new(),
            wrote: BTreeMap::from(wrote),
        };
        let mut own = (*table("note", "html")).clone();
        own.0.insert("origin".to_owned(), info("char"));
        let care = Care {
            mark: &mark,
            own: Arc::new(own),
            lines: table("remark", "html"),
        };
        for (field, now, expected) in [
            ("note", "ring &quot;twice&quot;<br>please", false),
            ("note", "<p>ring &quot;twice&quot;<br>please</p>", false),
            ("note", "<p>ring \"twice\"<br/>please</p>", false),
            ("note", "<p>ring \"thrice\"<br>please</p>", true),
            ("note", "<p>ring \"twice\"<br>please</p><p>or call</p>", true),
            ("origin", "<p>ring &quot;twice&quot;<br>please</p>", true),
            ("lines[a_1].remark", "<p>ring \"twice\"<br>please</p>", false),
            // What the mapping in force makes of it stands there already.
            ("note", "<p>mended</p>", false),
            ("origin", "mended", false),
        ] {
            let is = care.is_anothers(field, &text(now), &text("mended"));
            assert_eq!(is, expected, "{field}: {now}");
        }
        assert!(care.is_as_written("note", &text("<p>ring \"twice\"<br>please</p>")));
        assert!(!care.is_as_written("unwritten", &FieldValue::Clear));
    }
}
