//! What both sides agreed on about each mapped field of an order and of its lines, for whoever looks for drift.
//!
//! Of each field the link keeps a hash of what the mapping made when that was written. Nothing is read for it: what was
//! written is what the ERP holds, as its totals prove. Where an attempt reads what stands there and that is another form of
//! it, a hash of that is kept, too. Html is read once after it was written: the ERP gives it a form of its own, and no total
//! tells of it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::super::agree::{Agreed, Agreement, hash};
use super::super::flow::{Flow, Held};
use super::super::stop::Stop;
use super::book::our_lines;
use super::edits::is_edited;
use super::known::Known;
use super::plan::{self, LINES};
use crate::domain::{ErpId, FieldValue, Link, Order, Timestamp};
use crate::erp::SalesOrder;
use crate::mapping::{Mapped, MappedField, Truth};

/// What the link calls it.
pub(in crate::sync) const FIELDS: &str = "fields";

/// A line's text.
const TEXT: &str = "name";

/// The ERP's own rebate on a line. Prices that the mapping makes hold every discount, so one beside them is somebody's.
const REBATE: &str = "discount";

/// One field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub(in crate::sync) struct Mark {
    /// Of the value that the mapping made.
    source: String,
    /// Of the ERP's form of it, where that was read and is another one (of html: where it was read).
    target: Option<String>,
}

/// Fields by their names.
pub(in crate::sync) type Marks = BTreeMap<String, Mark>;

/// The fields of an order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::sync) struct OrderFields {
    /// Its own.
    pub(in crate::sync) own: Marks,
    /// The field by which it holds its lines.
    pub(in crate::sync) field: String,
    /// Their model.
    pub(in crate::sync) model: String,
    /// Those of each line, by our name of the line.
    pub(in crate::sync) lines: BTreeMap<String, Marks>,
}

/// Which lines of an order an attempt edited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Edited {
    Nothing,
    /// Those of these keys of the shop's lines.
    Lines(BTreeSet<String>),
    /// It is not known what stood there, so that all were seen to.
    All,
}

impl From<String> for Mark {
    fn from(text: String) -> Self {
        match text.split_once(':') {
            Some((source, target)) => Self {
                source: source.to_owned(),
                target: Some(target.to_owned()),
            },
            None => Self {
                source: text,
                target: None,
            },
        }
    }
}

impl From<Mark> for String {
    fn from(mark: Mark) -> Self {
        match mark.target {
            Some(target) => format!("{}:{target}", mark.source),
            None => mark.source,
        }
    }
}

impl Mark {
    fn of(value: &FieldValue) -> Self {
        Self {
            source: fine(value),
            target: None,
        }
    }

    /// The same where the ERP holds this.
    fn held(self, now: &FieldValue) -> Self {
        let now = fine(now);
        Self {
            target: (now != self.source).then_some(now),
            ..self
        }
    }

    /// Notes the ERP's form of it, also where that is the very same: so it was read.
    fn read(&mut self, now: &FieldValue) {
        self.target = Some(fine(now));
    }

    /// A hash of what the ERP is to hold.
    fn form(&self) -> &str {
        self.target.as_ref().unwrap_or(&self.source)
    }

    /// Whether the ERP holds something else by now.
    pub(in crate::sync) fn has_moved(&self, now: &FieldValue) -> bool {
        self.form() != fine(now)
    }

    /// Whether the ERP's form was read.
    pub(in crate::sync) const fn is_read(&self) -> bool {
        self.target.is_some()
    }
}

/// A hash of a value as far as the ERP keeps it: of times whole seconds.
fn fine(value: &FieldValue) -> String {
    match value {
        FieldValue::Time(time) => hash(&FieldValue::Time(Timestamp::from_millis(
            time.millis().div_euclid(1000) * 1000,
        ))),
        value => hash(value),
    }
}

fn marks(fields: &[MappedField]) -> Marks {
    let fields = fields.iter().filter(|field| !field.create_only);
    fields
        .map(|field| (field.target.to_string(), Mark::of(&field.value)))
        .collect()
}

/// Fields as they are compared one by one, beside what the ERP holds now. An html field whose form there was never read tells
/// nothing by differing from what was written: it counts as it stands.
pub(in crate::sync) fn agreement(marks: &Marks, now: &Held, html: &dyn Fn(&str) -> bool) -> Agreement {
    let marks = marks.iter();
    marks
        .map(|(field, mark)| {
            let target = match now.get(field) {
                Some(now) if !mark.is_read() && html(field) => hash(now),
                _ => mark.form().to_owned(),
            };
            let agreed = Agreed {
                source: mark.source.clone(),
                target: Some(target),
            };
            (field.clone(), agreed)
        })
        .collect()
}

/// The rebate that a line is to have beside its price: none. Not where the mapping has a say in it.
pub(in crate::sync) fn no_rebate(fields: &[MappedField]) -> Option<MappedField> {
    let is_mapped = fields.iter().any(|field| &*field.target == REBATE);
    (!is_mapped).then(|| MappedField {
        target: REBATE.into(),
        value: FieldValue::Decimal(rust_decimal::Decimal::ZERO),
        source: "prices hold every discount".into(),
        truth: Truth::Shopify,
        lossy: false,
        create_only: false,
        line: 0,
    })
}

impl OrderFields {
    /// As the mapping makes them.
    pub(super) fn of(mapped: &Mapped) -> Self {
        let group = mapped.group(LINES);
        let rows = group.map_or(&[][..], |group| &group.rows);
        let line = |fields: &[MappedField]| {
            let mut line = marks(fields);
            let rebate = no_rebate(fields).into_iter();
            line.extend(rebate.map(|field| (field.target.to_string(), Mark::of(&field.value))));
            line
        };
        Self {
            own: marks(&mapped.fields),
            field: group
                .and_then(|group| group.field.clone())
                .unwrap_or_else(|| "order_line".to_owned()),
            model: group.map_or_else(|| "sale.order.line".to_owned(), |group| group.model.clone()),
            lines: rows
                .iter()
                .map(|row| (row.external_id.clone(), line(&row.fields)))
                .collect(),
        }
    }

    /// Those that an order's link keeps.
    pub(in crate::sync) fn kept(link: &Link) -> Option<Self> {
        serde_json::from_value(link.agreed.get(FIELDS)?.clone()).ok()
    }

    /// Takes these of the order's own fields as the mapping makes them: they were written, or a person wrote them as asked.
    pub(super) fn take<'f>(&mut self, fields: impl IntoIterator<Item = (&'f str, &'f FieldValue)>) {
        for (field, value) in fields {
            self.own.insert(field.to_owned(), Mark::of(value));
        }
    }

    /// Takes the lines' texts as they stand.
    fn take_texts(&mut self, mut now: Self) {
        for (name, line) in &mut self.lines {
            let text = now.lines.get_mut(name).and_then(|now| now.remove(TEXT));
            if let (Some(mark), Some(text)) = (line.get_mut(TEXT), text) {
                *mark = text;
            }
        }
    }

    /// Takes the lines that were edited as they stand, and gives up those that are no part of the order any more. `written` are
    /// those that the attempt wrote: what it does not write of a line, and people changed before, is not agreed on by that.
    pub(super) fn take_lines(
        &mut self,
        order: &Order,
        mapped: &Mapped,
        edited: &Edited,
        written: &BTreeSet<String>,
        now: Self,
    ) {
        let mut before = std::mem::take(&mut self.lines);
        let rows = mapped.group(LINES).map_or(&[][..], |group| &group.rows);
        let is_changed = |place: usize| match (edited, order.lines.get(place)) {
            (Edited::Lines(keys), Some(line)) => keys.contains(&line.key),
            _ => true,
        };
        for (name, marks) in now.lines {
            let row = rows.iter().find(|row| row.external_id == name);
            let is_changed = row.is_none_or(|row| is_changed(row.source_index));
            let marks = match before.remove(&name) {
                Some(known) if !is_changed => known,
                Some(known) => {
                    let row = row.filter(|_| written.contains(&name));
                    let is_written = |field: &str| {
                        let mut fields = row.map_or(&[][..], |row| &row.fields).iter();
                        fields.any(|one| &*one.target == field && is_edited(one))
                    };
                    after_edit(known, marks, &is_written)
                }
                None => marks,
            };
            self.lines.insert(name, marks);
        }
        (self.field, self.model) = (now.field, now.model);
    }
}

/// What is agreed on of a line's fields once it was edited: what stands there. But where the edit did not write a field, what people
/// put there before stays as visible as it was, unless that is what the mapping makes by now.
fn after_edit(mut known: Marks, now: Marks, is_written: &dyn Fn(&str) -> bool) -> Marks {
    let marks = now.into_iter().map(|(field, now)| {
        let mark = match known.remove(&field) {
            Some(known) if !is_written(&field) && now.target.is_some() && known.form() != now.form() => known,
            _ => now,
        };
        (field, mark)
    });
    marks.collect()
}

/// The fields of an order as they stand in the ERP, beside what the mapping makes of it.
pub(super) async fn as_held(
    flow: &Flow<'_>,
    mapped: &Mapped,
    held: &SalesOrder,
) -> Result<OrderFields, Stop> {
    let mut known = OrderFields::of(mapped);
    let names: BTreeSet<&str> = known.own.keys().map(String::as_str).collect();
    let own = read(flow, &mapped.model, &[held.id], &names).await?;
    settle(&mut known.own, own.get(&held.id));
    let ours: BTreeMap<String, ErpId> = our_lines(flow, mapped, held).await?.into_iter().collect();
    let ids: Vec<ErpId> = ours.values().copied().collect();
    let names: BTreeSet<&str> = known
        .lines
        .values()
        .flat_map(|line| line.keys().map(String::as_str))
        .collect();
    let lines = read(flow, &known.model, &ids, &names).await?;
    for (name, marks) in &mut known.lines {
        settle(marks, ours.get(name).and_then(|id| lines.get(id)));
    }
    Ok(known)
}

/// Remembers what became of an order's lines where they were edited, what the mapping makes where nothing is remembered yet,
/// and the form that the ERP gave to html.
pub(super) async fn note(
    flow: &Flow<'_>,
    order: &Order,
    mapped: &Mapped,
    known: &mut Known<'_>,
    edited: &Edited,
    held: &SalesOrder,
) -> Result<(), Stop> {
    let is_new = known.fields.is_none();
    let mut fields = match known.fields.take() {
        Some(fields) => fields,
        // What the mapping made then is not known: what stands there now is no sign of damage.
        None if plan::is_mapped_anew(known.link, mapped, order) => as_held(flow, mapped, held).await?,
        // What was damaged before it was remembered is not agreed on by that: the next run tells it. But texts of lines were never
        // written again when Shopify's changed, so what they were booked with is not known.
        None => {
            let mut fields = OrderFields::of(mapped);
            fields.take_texts(as_held(flow, mapped, held).await?);
            fields
        }
    };
    if *edited != Edited::Nothing {
        let now = as_held(flow, mapped, held).await?;
        fields.take_lines(order, mapped, edited, &known.written, now);
    }
    if is_new && !known.by_hand.is_empty() {
        // What people did as they were asked is agreed on as it stands.
        let now = as_held(flow, mapped, held).await?;
        let by_hand = now.lines.into_iter();
        fields
            .lines
            .extend(by_hand.filter(|(name, _)| known.by_hand.contains_key(name)));
    }
    read_html(flow, mapped, held, &mut fields.own).await?;
    known.fields = Some(fields);
    Ok(())
}

/// Reads the order's html fields whose form in the ERP is not known: once, and only where the order has one.
async fn read_html(flow: &Flow<'_>, mapped: &Mapped, held: &SalesOrder, own: &mut Marks) -> Result<(), Stop> {
    let table = flow.shop.erp.fields(&mapped.model).await?;
    let is_html = |field: &str| table.0.get(field).is_some_and(|info| info.kind == "html");
    let unread = own
        .iter()
        .filter(|(field, mark)| !mark.is_read() && is_html(field));
    let unread: Vec<String> = unread.map(|(field, _)| field.clone()).collect();
    if unread.is_empty() {
        return Ok(());
    }
    let names: BTreeSet<&str> = unread.iter().map(String::as_str).collect();
    let rows = read(flow, &mapped.model, &[held.id], &names).await?;
    let Some(row) = rows.get(&held.id) else {
        return Ok(());
    };
    for field in &unread {
        if let (Some(mark), Some(now)) = (own.get_mut(field), row.get(field)) {
            mark.read(now);
        }
    }
    Ok(())
}

fn settle(marks: &mut Marks, held: Option<&Held>) {
    for (field, mark) in marks {
        if let Some(now) = held.and_then(|held| held.get(field)) {
            *mark = mark.clone().held(now);
        }
    }
}

async fn read(
    flow: &Flow<'_>,
    model: &str,
    ids: &[ErpId],
    names: &BTreeSet<&str>,
) -> Result<BTreeMap<ErpId, Held>, Stop> {
    if ids.is_empty() {
        return Ok(BTreeMap::new());
    }
    let erp = &flow.shop.erp;
    let table = erp.fields(model).await?;
    let names: Vec<String> = names
        .iter()
        .filter(|name| table.0.contains_key(**name))
        .map(|name| (*name).to_owned())
        .collect();
    let rows = erp.read(model, ids, &names).await?;
    Ok(rows.into_iter().map(|row| (row.id, row.fields)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_one_hash_until_the_erps_form_is_another_one() {
        let text = |text: &str| FieldValue::Text(text.to_owned());
        let mark = Mark::of(&text("a"));
        assert!(!mark.has_moved(&text("a")) && mark.has_moved(&text("b")) && !mark.is_read());
        let same = mark.clone().held(&text("a"));
        assert_eq!(same, mark);
        let other = mark.held(&text("<p>a</p>"));
        assert!(!other.has_moved(&text("<p>a</p>")) && other.has_moved(&text("a")));
        let mut read = same.clone();
        read.read(&text("a"));
        assert!(read.is_read() && !read.has_moved(&text("a")) && read.has_moved(&text("b")));
        for mark in [same, other, read] {
            let kept = serde_json::to_value(&mark).unwrap();
            assert_eq!(serde_json::from_value::<Mark>(kept).unwrap(), mark);
        }
    }

    #[test]
    fn html_that_was_never_read_back_counts_as_it_stands() {
        let text = |text: &str| FieldValue::Text(text.to_owned());
        let marks = Marks::from([("note".to_owned(), Mark::of(&text("a")))]);
        let now = Held::from([("note".to_owned(), text("<p>a</p>"))]);
        let target = |html: bool| agreement(&marks, &now, &|_: &str| html)["note"].target.clone();
        assert_eq!(target(true), Some(hash(&text("<p>a</p>"))));
        assert_eq!(target(false), Some(hash(&text("a"))));
    }

    #[test]
    fn parts_of_a_second_are_no_change() {
        let at = |millis| FieldValue::Time(Timestamp::from_millis(millis));
        let mark = Mark::of(&at(5_750));
        assert!(!mark.has_moved(&at(5_000)) && mark.has_moved(&at(6_000)));
    }
}
