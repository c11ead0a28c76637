//! Planning an order: what is to be done, decided without I/O.
//!
//! Two things are remembered of an order that was booked, as hashes. What the mapping made of it: a draft is brought up
//! to date when that changes, whatever the cause. And what Shopify says was sold, to whom and where it goes: only that
//! counts against a confirmed order, because another mapping, a replaced tax or a new price list is no change of the sale.
//! Its lines are edited, its remarks written; another buyer or address is asked of a person and holds up nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::super::agree::append_content;
use super::agreed::FIELDS;
use crate::domain::{Address, BookedLine, Link, Order};
use crate::erp::{OrderState, SalesOrder};
use crate::mapping::{Mapped, MappedField, Stage};

/// Room for the text of one line, in bytes, so that it seldom grows while it is written.
const TYPICAL: usize = 400;

/// The mapping's group that holds an order's lines.
pub(super) const LINES: &str = "lines";

/// What is to be done about an order.
#[derive(Clone, Debug, PartialEq)]
pub enum OrderPlan {
    /// Save header and all lines as a draft, compare, and confirm if the mapping says so.
    Book {
        /// Whether the order exists already as a draft.
        exists: bool,
    },
    /// What stands there is right; it is to be confirmed now, or its confirmation to be completed.
    Confirm,
    /// It is confirmed, and its lines are not what the shop's order has now: they are changed where the ERP allows.
    Edit {
        /// What differs, for people.
        differences: Vec<String>,
        /// The keys of the lines that differ; none when it is not known what stands there, and all are looked at.
        lines: Option<BTreeSet<String>>,
    },
    /// Nothing differs.
    Nothing,
    /// It is cancelled in the ERP, or in a state that nobody knows.
    Changed {
        /// What differs, for people.
        differences: Vec<String>,
    },
}

/// Hashes of what was booked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Fingerprint {
    /// Of the order's own fields as the mapping made them.
    header: String,
    /// Of the custom fields among them (`x_…`): they state facts about the sale and move nothing, so they are kept up to
    /// date on a confirmed order, too.
    #[serde(default)]
    facts: String,
    /// Of each line as the mapping made it.
    lines: BTreeMap<String, String>,
    /// Of the sale as Shopify has it.
    #[serde(default)]
    sale: Sale,
}

/// Hashes of what was sold, as Shopify has it: nothing in here depends on the mapping or on the ERP.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Sale {
    buyer: String,
    billing: String,
    shipping: String,
    /// Note and purchase order number.
    remarks: String,
    lines: BTreeMap<String, String>,
}

/// Whom and where an order is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Party {
    Buyer,
    Billing,
    Shipping,
}

impl Party {
    pub(super) const ALL: [Self; 3] = [Self::Buyer, Self::Billing, Self::Shipping];

    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Buyer => "the buyer",
            Self::Billing => "the billing address",
            Self::Shipping => "the shipping address",
        }
    }
}

impl Sale {
    fn party(&mut self, party: Party) -> &mut String {
        match party {
            Party::Buyer => &mut self.buyer,
            Party::Billing => &mut self.billing,
            Party::Shipping => &mut self.shipping,
        }
    }
}

impl Fingerprint {
    /// Whoever is another one than was booked.
    pub(super) fn parties_moved(&self, link: Option<&Link>) -> Vec<Party> {
        let Some(mut before) = before(link) else {
            return Vec::new();
        };
        let mut now = self.sale.clone();
        Party::ALL
            .into_iter()
            .filter(|party| before.sale.party(*party) != now.party(*party))
            .collect()
    }

    /// Remembers these as they were booked, not as they are now: they are still to be changed in the ERP.
    pub(super) fn keep_parties(&mut self, link: Option<&Link>, parties: &[Party]) {
        if let Some(mut before) = before(link) {
            for party in parties {
                self.sale.party(*party).clone_from(before.sale.party(*party));
            }
        }
    }

    /// Whether the note or the purchase order number is another one, and may be carried by the mapping.
    pub(super) fn remarks_moved(&self, link: Option<&Link>) -> bool {
        before(link)
            .is_some_and(|before| before.sale.remarks != self.sale.remarks && before.header != self.header)
    }

    /// Whether a draft that was booked so holds what this one asks for.
    fn asks_the_same(&self, other: &Self) -> bool {
        self.header == other.header && self.facts == other.facts && self.lines == other.lines
    }
}

/// The fingerprint of an order and of what the mapping made of it. Names and dates of the header count; the order's
/// confirmation does not, nor what is written only when the order is made.
pub(super) fn fingerprint(mapped: &Mapped, order: &Order) -> Fingerprint {
    Fingerprint {
        header: digest(mapped.fields.iter().filter(|field| !is_fact(field))),
        facts: digest(mapped.fields.iter().filter(|field| is_fact(field))),
        lines: mapped
            .group(LINES)
            .map(|group| {
                group
                    .rows
                    .iter()
                    .map(|row| (row.key.clone(), digest(row.fields.iter())))
                    .collect()
            })
            .unwrap_or_default(),
        sale: sale(order),
    }
}

/// Whether it is a custom field of the order, which states a fact about the sale.
fn is_fact(field: &MappedField) -> bool {
    field.target.starts_with("x_")
}

pub(super) fn digest<'f>(fields: impl Iterator<Item = &'f MappedField>) -> String {
    let mut text = String::with_capacity(TYPICAL);
    for field in fields.filter(|field| !field.create_only) {
        text.push_str(&field.target);
        text.push('\0');
        append_content(&mut text, &field.value);
        text.push('\0');
    }
    short_digest(&text)
}

fn sale(order: &Order) -> Sale {
    let address = |address: &Option<Address>| address.as_ref().map(Address::content_hash).unwrap_or_default();
    // A customer's own name and e-mail may change long after the sale; a guest is known by nothing else.
    let buyer = match &order.customer {
        Some(customer) => customer.id.to_string(),
        None => short_hash(&(&order.email, &order.phone)),
    };
    Sale {
        buyer,
        billing: address(&order.billing_address),
        shipping: address(&order.shipping_address),
        remarks: short_hash(&(&order.note, &order.po_number)),
        lines: order
            .lines
            .iter()
            .filter(|line| !(line.quantity.is_zero() && line.amount.is_zero()))
            .map(|line| (line.key.clone(), line_hash(line)))
            .collect(),
    }
}

/// What was sold with this line. Product and variant are left out: they vanish from it when they are deleted on Shopify.
fn line_hash(line: &BookedLine) -> String {
    let taxes: Vec<_> = line
        .taxes
        .iter()
        .map(|tax| (tax.rate_percent.normalize(), tax.amount.normalize()))
        .collect();
    short_hash(&(
        (line.kind, &line.sku, &line.title, &line.variant_title),
        (line.quantity.normalize(), line.amount.normalize(), taxes),
        &line.properties,
    ))
}

fn short_hash(value: &impl std::fmt::Debug) -> String {
    let mut text = String::with_capacity(TYPICAL);
    let written = write!(text, "{value:?}");
    debug_assert!(written.is_ok(), "writing to text does not fail");
    short_digest(&text)
}

fn short_digest(text: &str) -> String {
    hex::encode(&Sha256::digest(text)[..8])
}

/// What a link keeps of an order that is about to be written over: not what stands there, for the write may fail half-way,
/// but what is being written. Nor what was agreed on of its fields: whatever cuts the attempt short, that is not what stands
/// there any more, and would be told as drift.
pub(super) fn while_saving(link: &Link, fingerprint: &Fingerprint) -> Link {
    let mut agreed = link.agreed.clone();
    if let Some(fields) = agreed.as_object_mut() {
        fields.remove("fingerprint");
        fields.remove(FIELDS);
    } else {
        agreed = json!({});
    }
    agreed["saving"] = json!(fingerprint);
    agreed["confirmed"] = json!(false);
    Link {
        agreed,
        ..link.clone()
    }
}

/// What a link keeps of a confirmed order whose lines are about to be changed: what was booked before, and that it is not
/// known how much of the change stands.
pub(super) fn while_editing(link: &Link) -> Link {
    let mut link = link.clone();
    if !link.agreed.is_object() {
        link.agreed = json!({});
    }
    link.agreed["editing"] = json!(true);
    link
}

/// Whether a change of the confirmed order's lines was begun and not finished.
fn is_being_edited(link: Option<&Link>) -> bool {
    link.is_some_and(|link| link.agreed["editing"] == true)
}

/// A fingerprint that the link keeps.
fn kept(link: Option<&Link>, name: &str) -> Option<Fingerprint> {
    serde_json::from_value(link?.agreed.get(name)?.clone()).ok()
}

/// What was booked, or at least what an attempt that was cut was writing.
fn before(link: Option<&Link>) -> Option<Fingerprint> {
    kept(link, "fingerprint").or_else(|| kept(link, "saving"))
}

/// Whether the link knows that the order was confirmed and its date restored.
pub(super) fn is_settled(link: Option<&Link>) -> bool {
    link.is_some_and(|link| link.agreed["confirmed"] == true)
}

/// Whether the mapping makes something else of the order than what was booked.
pub(in crate::sync) fn is_mapped_anew(link: Option<&Link>, mapped: &Mapped, order: &Order) -> bool {
    kept(link, "fingerprint").is_some_and(|booked| !booked.asks_the_same(&fingerprint(mapped, order)))
}

/// Decides what to do. `held` is the order as the ERP has it now.
pub fn plan(mapped: &Mapped, order: &Order, link: Option<&Link>, held: Option<&SalesOrder>) -> OrderPlan {
    let Some(held) = held else {
        return OrderPlan::Book { exists: false };
    };
    let wanted = fingerprint(mapped, order);
    let booked = kept(link, "fingerprint");
    let confirm = mapped.stage == Some(Stage::Confirmed);
    match held.state {
        OrderState::Draft
            if booked
                .as_ref()
                .is_some_and(|booked| booked.asks_the_same(&wanted)) =>
        {
            if confirm {
                OrderPlan::Confirm
            } else {
                OrderPlan::Nothing
            }
        }
        OrderState::Draft => OrderPlan::Book { exists: true },
        OrderState::Confirmed => {
            let complete = booked.is_some();
            // Of an attempt that was killed on the way to confirming nothing may be known, or only what it was writing.
            let found = before(link)
                .map(|before| differences(&before, &wanted))
                .unwrap_or_default();
            // What stands there is not known: every line is looked at.
            let unsure = is_being_edited(link) || (!complete && kept(link, "saving").is_some());
            if !found.lines.is_empty() || unsure {
                OrderPlan::Edit {
                    differences: found.lines.values().cloned().collect(),
                    lines: (!unsure).then(|| found.lines.into_keys().collect()),
                }
            } else if !complete || (confirm && !is_settled(link)) {
                // Totals and date are still to be seen to.
                OrderPlan::Confirm
            } else {
                OrderPlan::Nothing
            }
        }
        OrderState::Cancelled | OrderState::Other => {
            let mut texts = Vec::new();
            if held.state == OrderState::Cancelled {
                texts.push("the order is cancelled in the ERP and not on Shopify".to_owned());
            }
            if let Some(booked) = booked {
                texts.extend(differences(&booked, &wanted).texts());
            }
            OrderPlan::Changed { differences: texts }
        }
    }
}

/// What was sold differently than it was booked.
#[derive(Debug, Default)]
struct Differences {
    /// Buyer, addresses, remarks.
    others: Vec<String>,
    /// Keys of lines, and what became of each.
    lines: BTreeMap<String, String>,
}

impl Differences {
    fn texts(&self) -> Vec<String> {
        self.others.iter().chain(self.lines.values()).cloned().collect()
    }
}

fn differences(before: &Fingerprint, wanted: &Fingerprint) -> Differences {
    let (mut was, mut is) = (before.sale.clone(), wanted.sale.clone());
    let mut found = Differences::default();
    for party in Party::ALL {
        if was.party(party) != is.party(party) {
            found.others.push(party.title().to_owned());
        }
    }
    let (old, new) = (&before.sale, &wanted.sale);
    // These matter only where the mapping carries them over.
    if old.remarks != new.remarks && before.header != wanted.header {
        found
            .others
            .push("the note or the purchase order number".to_owned());
    }
    for (key, hash) in &new.lines {
        match old.lines.get(key) {
            None => found.lines.insert(key.clone(), format!("{key} was added")),
            Some(booked) if booked != hash => found.lines.insert(key.clone(), format!("{key} was changed")),
            Some(_) => None,
        };
    }
    for key in old.lines.keys().filter(|key| !new.lines.contains_key(*key)) {
        found.lines.insert(key.clone(), format!("{key} was removed"));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{ErpId, LinkKind, LinkState};

    #[test]
    fn while_an_order_is_written_over_nothing_is_agreed_on_of_its_fields() {
        let link = Link {
            shop: "main".parse().unwrap(),
            kind: LinkKind::Order,
            source_id: "1".to_owned(),
            model: "sale.order".to_owned(),
            erp_id: ErpId(7),
            erp_name: None,
            state: LinkState::Linked,
            source_updated_at: None,
            agreed: json!({ "fingerprint": {}, "fields": { "own": { "note": "x" } }, "total": "1" }),
            agreed_out: serde_json::Value::Null,
            writes: serde_json::Value::Null,
        };
        let saving = while_saving(&link, &Fingerprint::default());
        assert_eq!(saving.agreed.get(FIELDS), None);
        assert_eq!(saving.agreed["total"], "1", "what it came to is still expected");
    }
}
