//! Agreement of both directions at the end of an attempt that wrote.
//!
//! A write of one direction is a change to the other one: it would come back as an echo. So an attempt that wrote works out
//! what the other direction makes of both sides then, and settles that, too: the echo finds nothing changed, whatever
//! either side does to the form of a value. What somebody changed meanwhile and nobody sent yet is left as it was agreed.

use std::collections::BTreeSet;

use super::agree::{Agreed, Agreement, Truth, hash, settle};
use super::flow::{Flow, Held};
use super::stop::Stop;
use crate::domain::{Canonical as _, Customer, Direction, ErpId, FieldValue, Object, Partner, Product};
use crate::erp::Erp;
use crate::mapping::{Mapped, MappedField, Mapping};

/// What both sides agree on when an attempt ends. `held` is the record as it was read last: after the write, or before
/// it where nothing of what it holds was written; `writes` are the fields that were written. Fields that were not read
/// since they were written are agreed on one side only, until the next reading. `both` says that the other direction is
/// carried out, too.
pub(super) fn agreement(
    direction: Direction,
    fields: &[MappedField],
    writes: &[(String, FieldValue)],
    held: Option<&Held>,
    before: &Agreement,
    both: bool,
) -> Agreement {
    fields
        .iter()
        .filter(|field| !field.create_only)
        .map(|field| {
            let written = writes.iter().any(|(name, _)| *name == *field.target);
            let known = before.get(&*field.target);
            let agreed = match held.and_then(|held| held.get(&*field.target)) {
                Some(now) => {
                    let changed = known.is_some_and(|known| known.source != hash(&field.value));
                    let truth = truth_in(direction, field);
                    // It changed, and neither was it written nor does a person decide: the target's own change won.
                    let given_up = both && !written && changed && truth == Truth::Erp;
                    settle(known, &field.value, now, written, field.lossy, given_up)
                }
                None => Agreed {
                    source: hash(&field.value),
                    target: known.filter(|_| !written).and_then(|known| known.target.clone()),
                },
            };
            (field.target.to_string(), agreed)
        })
        .collect()
}

/// Who has the last word about a field, as a direction sees it: `Shopify` stands for its source, `Erp` for its target.
pub(super) fn truth_in(direction: Direction, field: &MappedField) -> Truth {
    truth_seen(direction, field.truth)
}

/// A mapping's word about that, as a direction sees it.
pub(super) fn truth_seen(direction: Direction, truth: crate::mapping::Truth) -> Truth {
    match direction {
        Direction::In => truth.into(),
        Direction::Out => Truth::from(truth).seen_from_the_erp(),
    }
}

impl From<crate::mapping::Truth> for Truth {
    fn from(truth: crate::mapping::Truth) -> Self {
        match truth {
            crate::mapping::Truth::Shopify => Self::Shopify,
            crate::mapping::Truth::Erp => Self::Erp,
            crate::mapping::Truth::Hold => Self::Hold,
        }
    }
}

/// What the other direction has agreed on after a write of this one. `before` and `after` are what it makes of its source
/// before and after the write (no `before` where this attempt made the record), and `held` what its target holds.
///
/// `meddled` says that somebody else changed the record between the two readings, and that `after` shows it: then what
/// changed is not known to be our own doing, and is settled only where both sides are alike. `is_ours` says of a field
/// whether our write can have changed it at all: a change of any other one is somebody's, too.
pub(super) fn follow(
    known: &Agreement,
    before: Option<&[MappedField]>,
    after: &[MappedField],
    held: &Held,
    meddled: bool,
    is_ours: impl Fn(&MappedField) -> bool,
) -> Agreement {
    let mut settled = known.clone();
    for field in after.iter().filter(|field| !field.create_only) {
        let Some(now) = held.get(&*field.target) else {
            continue;
        };
        let was = before.map(|fields| {
            let was = fields.iter().find(|was| was.target == field.target);
            was.map(|was| hash(&was.value))
        });
        let may_be_theirs = meddled || !is_ours(field);
        let nobody_changed_it = match (was, known.get(&*field.target)) {
            (None, _) => true,
            (Some(Some(was)), Some(agreed)) => {
                was == agreed.source && !(may_be_theirs && was != hash(&field.value))
            }
            // Nothing was made before, and something is now: our own write did that.
            (Some(None), _) => !meddled,
            // Never agreed that way: alike on both sides before is as good, and so is what our own write changed.
            (Some(Some(was)), None) => was == hash(now) || (was != hash(&field.value) && !may_be_theirs),
        };
        // Alike on both sides is agreed, even where our write went over somebody's edit: the declared truth wanted that.
        if nobody_changed_it || hash(&field.value) == hash(now) {
            let agreed = Agreed {
                source: hash(&field.value),
                target: Some(hash(now)),
            };
            settled.insert(field.target.to_string(), agreed);
        }
    }
    settled
}

/// Whether an attempt settled a field that it did not write: both sides were alike, or the declared truth kept the target.
pub(super) fn is_settled_by_a_look(
    before: &Agreement,
    after: &Agreement,
    writes: &[(String, FieldValue)],
) -> bool {
    after.iter().any(|(name, now)| {
        let is_other =
            |was: &Agreed| was.source != now.source || (was.target.is_some() && was.target != now.target);
        before.get(name).is_some_and(is_other) && writes.iter().all(|(written, _)| written != name)
    })
}

/// What the other direction has agreed on after an attempt of this one that settled a field by a look. `made` is what it
/// makes of its source, and `held` what its target holds, both as the attempt saw them.
///
/// It must not count a value any more from which both sides have moved on: its source may return to that before it runs, and
/// would pass for unchanged. So where both sides changed, as it sees them, it is settled what it would settle itself: alike is
/// agreed on, what the declared truth gives up is given up, and what is to be written is to be written whatever it is by then.
/// Where only one side changed, nothing is lost by waiting.
pub(super) fn follow_a_look(
    direction: Direction,
    known: &Agreement,
    made: &[MappedField],
    held: &Held,
) -> Agreement {
    let mut settled = known.clone();
    for field in made.iter().filter(|field| !field.create_only) {
        let (Some(now), Some(agreed)) = (held.get(&*field.target), settled.get_mut(&*field.target)) else {
            continue;
        };
        let (source, target) = (hash(&field.value), hash(now));
        let both_changed =
            agreed.source != source && agreed.target.as_ref().is_some_and(|known| *known != target);
        match truth_in(direction, field) {
            _ if source == target => {
                agreed.source = source;
                agreed.target = Some(target);
            }
            Truth::Erp if both_changed => {
                agreed.source = source;
                agreed.target = Some(target);
            }
            // No value has this hash: the source changed.
            Truth::Shopify if both_changed => agreed.source = String::new(),
            _ => {}
        }
    }
    settled
}

/// Whether a mapping makes other values of a record now than it made of it before.
pub(super) fn is_another(before: &[MappedField], now: &[MappedField]) -> bool {
    now.iter().filter(|field| !field.create_only).any(|now| {
        let was = before.iter().find(|was| was.target == now.target);
        was.is_some_and(|was| hash(&was.value) != hash(&now.value))
    })
}

/// What our own writes can change of what a mapping of the way out reads.
pub(super) struct OwnWrites<'a> {
    erp: &'a dyn Erp,
    /// The ERP's fields that were written.
    written: BTreeSet<&'a str>,
}

impl<'a> OwnWrites<'a> {
    pub(super) fn new(erp: &'a dyn Erp, writes: impl IntoIterator<Item = &'a (String, FieldValue)>) -> Self {
        Self {
            erp,
            written: writes.into_iter().map(|(name, _)| name.as_str()).collect(),
        }
    }

    /// Whether they can have changed this field; also where it is not known what it is made of.
    pub(super) fn can_change(&self, field: &MappedField) -> bool {
        let is_written = |name: &&str| self.written.contains(*name);
        let mut is_known = false;
        for path in paths(&field.source) {
            is_known = true;
            let can = match path.split_once(".raw.") {
                Some((_, raw)) => raw.split('.').next().is_some_and(|name| is_written(&name)),
                None => match self.erp.made_of(path) {
                    Some(fields) => fields.iter().any(is_written),
                    None => true,
                },
            };
            if can {
                return true;
            }
        }
        !is_known
    }
}

/// The parts of the ERP's record that an expression names.
fn paths(expression: &str) -> impl Iterator<Item = &str> {
    let words = expression.split(|letter: char| !(letter.is_alphanumeric() || matches!(letter, '_' | '.')));
    words.filter(|word| {
        let record = word.split_once('.').map(|(record, _)| record);
        matches!(record, Some("partner" | "product" | "variant"))
    })
}

/// Whether somebody else changed a record between two readings of the fields that we write: one that we did not write is
/// another now, or one that we wrote has not the value that we gave it (where its mapping does not expect that).
pub(super) fn is_meddled_with(
    before: &Held,
    after: &Held,
    fields: &[MappedField],
    writes: &[(String, FieldValue)],
) -> bool {
    after.iter().any(|(name, now)| {
        let is_lossy = || fields.iter().any(|field| *field.target == **name && field.lossy);
        match writes.iter().find(|(written, _)| written == name) {
            Some((_, value)) => hash(value) != hash(now) && !is_lossy(),
            None => before.get(name).is_some_and(|was| hash(was) != hash(now)),
        }
    })
}

/// What the way out takes for agreed on a link that only the way in has agreed on so far. What stands differently on the two
/// sides was left so on purpose, but where somebody changed the ERP since: `edited` are the hashes of those values of the
/// ERP, and a field that is made of one of them was changed with it.
pub(super) fn first_way_out(
    known: &Agreement,
    fields: &[MappedField],
    held: &Held,
    edited: &[String],
) -> Agreement {
    let mut agreed = known.clone();
    for field in fields.iter().filter(|field| !field.create_only) {
        let (Some(now), false) = (held.get(&*field.target), agreed.contains_key(&*field.target)) else {
            continue;
        };
        let wanted = hash(&field.value);
        let source = if edited.contains(&wanted) {
            // No value has this hash: the source changed.
            String::new()
        } else {
            wanted
        };
        let target = Some(hash(now));
        agreed.insert(field.target.to_string(), Agreed { source, target });
    }
    agreed
}

/// The values of an ERP record that somebody changed since the way in agreed on them.
pub(super) fn edited(agreed: &Agreement, held: &Held) -> Vec<String> {
    let changed = |(name, agreed): (&String, &Agreed)| {
        let now = hash(held.get(name)?);
        (agreed.target.as_ref()? != &now).then_some(now)
    };
    agreed.iter().filter_map(changed).collect()
}

/// The mapping of the other direction where what it makes counts.
fn mapping_of(flow: &Flow<'_>, object: Object, direction: Direction) -> Option<std::sync::Arc<Mapping>> {
    if direction == Direction::Out && !flow.is_sent_out(object) {
        return None;
    }
    flow.mapping(object, direction).ok()
}

/// What a mapping makes of a record; none where it makes a problem of it. That problem is the other direction's own job's.
async fn made(
    flow: &Flow<'_>,
    mapping: &Mapping,
    record: &crate::domain::Fact,
) -> Result<Option<Mapped>, Stop> {
    match flow.evaluate(mapping, record, &flow.settings_fact(None)).await {
        Ok(mapped) => Ok(Some(mapped)),
        Err(Stop::Problem(_) | Stop::Held(_)) => Ok(None),
        Err(other) => Err(other),
    }
}

/// What the way in makes of a customer.
pub(super) async fn customer_in(flow: &Flow<'_>, customer: &Customer) -> Result<Option<Mapped>, Stop> {
    // What Shopify keeps from us says nothing.
    if !customer.refused.is_empty() {
        return Ok(None);
    }
    match mapping_of(flow, Object::Customer, Direction::In) {
        Some(mapping) => made(flow, &mapping, &customer.fact()).await,
        None => Ok(None),
    }
}

/// What the way in makes of a product.
pub(super) async fn product_in(flow: &Flow<'_>, product: &Product) -> Result<Option<Mapped>, Stop> {
    match mapping_of(flow, Object::Product, Direction::In) {
        Some(mapping) => made(flow, &mapping, &product.fact()).await,
        None => Ok(None),
    }
}

/// What the way out makes of a partner as it is in the ERP now; none where partners are not sent out.
pub(super) async fn partner_out(flow: &Flow<'_>, id: ErpId) -> Result<Option<Mapped>, Stop> {
    let Some(mapping) = mapping_of(flow, Object::Customer, Direction::Out) else {
        return Ok(None);
    };
    let select = mapping.out.as_ref().map_or(&[][..], |out| out.select.as_slice());
    match flow.shop.erp.partner(id, select).await? {
        Some(partner) => made(flow, &mapping, &Partner::fact(&partner)).await,
        None => Ok(None),
    }
}

/// The same of a product with its variants.
pub(super) async fn product_out(flow: &Flow<'_>, id: ErpId) -> Result<Option<Mapped>, Stop> {
    let Some(mapping) = mapping_of(flow, Object::Product, Direction::Out) else {
        return Ok(None);
    };
    let out = mapping.out.clone().unwrap_or_default();
    match flow
        .shop
        .erp
        .product_record(id, &out.select, &out.variant_select)
        .await?
    {
        Some(product) => made(flow, &mapping, &product.fact()).await,
        None => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mapping::Truth as MappingTruth;

    fn field(name: &str, value: &str) -> MappedField {
        MappedField {
            target: name.into(),
            value: FieldValue::Text(value.into()),
            source: "".into(),
            truth: MappingTruth::Shopify,
            lossy: false,
            create_only: false,
            line: 1,
        }
    }

    fn held(pairs: &[(&str, &str)]) -> Held {
        let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), FieldValue::Text((*value).into()));
        pairs.iter().map(pair).collect()
    }

    fn agreed(source: &str, target: &str) -> Agreed {
        let text = |text: &str| FieldValue::Text(text.into());
        Agreed {
            source: hash(&text(source)),
            target: Some(hash(&text(target))),
        }
    }

    #[test]
    fn the_echo_is_agreed_on_and_an_edit_that_nobody_sent_is_not() {
        let known = Agreement::from([
            ("email".to_owned(), agreed("a", "A")),
            ("phone".to_owned(), agreed("1", "+1")),
        ]);
        let before = [field("email", "a"), field("phone", "2"), field("zip", "1")];
        let after = [
            field("email", "b"),
            field("phone", "2"),
            field("zip", "1"),
            field("city", "Bonn"),
        ];
        let now = held(&[("email", "B"), ("phone", "+1"), ("zip", "2"), ("city", "BONN")]);
        let settled = follow(&known, Some(&before), &after, &now, false, |_| true);
        assert_eq!(settled["email"], agreed("b", "B"), "nobody but us changed it");
        assert_eq!(
            settled["phone"],
            agreed("1", "+1"),
            "somebody changed it from 1 to 2"
        );
        assert!(
            !settled.contains_key("zip"),
            "nobody agreed on it, and we did not write it"
        );
        assert_eq!(settled["city"], agreed("Bonn", "BONN"), "our write made it");
        let fresh = follow(&Agreement::new(), None, &after, &now, false, |_| true);
        assert_eq!(fresh["zip"], agreed("1", "2"), "we made the record");
    }

    #[test]
    fn what_somebody_else_changed_while_we_wrote_is_not_agreed_on() {
        let text = |text: &str| FieldValue::Text(text.into());
        let writes = [("name".to_owned(), text("Ada King"))];
        let fields = [field("name", "Ada King"), field("city", "Bonn")];
        let was = held(&[("name", "Ada"), ("city", "Bonn")]);
        let ours = held(&[("name", "Ada King"), ("city", "Bonn")]);
        assert!(!is_meddled_with(&was, &ours, &fields, &writes));
        let theirs = held(&[("name", "Ada King"), ("city", "Rome")]);
        assert!(is_meddled_with(&was, &theirs, &fields, &writes), "not written");
        let theirs = held(&[("name", "Ada B."), ("city", "Bonn")]);
        assert!(is_meddled_with(&was, &theirs, &fields, &writes), "written over");

        let known = Agreement::from([
            ("last_name".to_owned(), agreed("", "King")),
            ("address.city".to_owned(), agreed("Bonn", "Bonn")),
        ]);
        let before = [field("last_name", ""), field("address.city", "Bonn")];
        let after = [field("last_name", "King"), field("address.city", "Rome")];
        let now = held(&[("last_name", "King"), ("address.city", "Bonn")]);
        let settled = follow(&known, Some(&before), &after, &now, true, |_| true);
        assert_eq!(settled["last_name"], agreed("King", "King"), "alike is agreed");
        assert_eq!(
            settled["address.city"],
            agreed("Bonn", "Bonn"),
            "still to be sent"
        );
    }

    #[test]
    fn what_stood_differently_stays_so_but_for_what_was_edited_in_the_erp() {
        let fields = [field("title", "Mug 2"), field("price", "10")];
        let now = held(&[("title", "Mug"), ("price", "12")]);
        let way_in = Agreement::from([("name".to_owned(), agreed("Mug", "Mug"))]);
        let edits = edited(&way_in, &held(&[("name", "Mug 2")]));
        let first = first_way_out(&Agreement::new(), &fields, &now, &edits);
        assert_eq!(first["price"], agreed("10", "12"), "left so on purpose");
        assert_ne!(
            first["title"].source,
            hash(&FieldValue::Text("Mug 2".into())),
            "to be sent"
        );
        assert_eq!(edited(&way_in, &held(&[("name", "Mug")])), Vec::<String>::new());
    }
}
