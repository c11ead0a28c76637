//! What an order's link remembers: what was booked, how the ERP's order is recognised, what people were asked and did.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::super::flow::Flow;
use super::super::stop::Stop;
use super::agreed::{FIELDS, OrderFields};
use super::{after, credits, plan, told};
use crate::domain::{ErpId, Link, LinkKind, LinkState, Order};
use crate::erp::SalesOrder;
use crate::mapping::{Mapped, MappedField};

/// What the link calls the reference that it saw on the ERP's order.
pub(in crate::sync) const REFERENCE: &str = "reference";

/// What the link calls what the ERP's order came to when that was last proven.
const TOTAL: &str = "total";
const TAX: &str = "tax";

/// What is known of an order before it is booked, and what is remembered of it then.
pub(super) struct Known<'a> {
    pub(super) link: Option<&'a Link>,
    /// What the ERP's order stands for once this attempt is through.
    pub(super) fingerprint: plan::Fingerprint,
    /// Whether a person was asked about the risk of fraud: see [`policy::asks_about_risk`].
    pub(super) risk_held: Value,
    /// Lines that people added as they were told, by the names that ours would have had. No external id leads to them.
    pub(super) by_hand: BTreeMap<String, ErpId>,
    /// The lines that this attempt edited, by our names of them.
    pub(super) written: BTreeSet<String>,
    /// What was agreed on about the fields that the mapping makes, as far as that is known.
    pub(super) fields: Option<OrderFields>,
    /// Whether this attempt proved that the ERP's order costs what Shopify's does.
    pub(super) is_proven: bool,
}

/// What the link calls [`Known::risk_held`] and [`Known::by_hand`].
pub(super) const RISK_HELD: &str = "risk_held";
pub(super) const BY_HAND: &str = "by_hand";

/// What the link calls whether the order was booked as history. Said once: a `start_at` that is moved later makes no history of
/// an order that is followed, nor does an earlier one have goods of old orders sent again.
const HISTORY: &str = "history";

/// Whether the order of this link was booked as history; none where that was not noted yet.
pub(super) fn is_history(link: &Link) -> Option<bool> {
    link.agreed.get(HISTORY)?.as_bool()
}

impl<'a> Known<'a> {
    pub(super) fn new(link: Option<&'a Link>, fingerprint: plan::Fingerprint) -> Self {
        Self {
            link,
            fingerprint,
            risk_held: link.map_or(Value::Null, |link| link.agreed[RISK_HELD].clone()),
            by_hand: link.map(added_by_hand).unwrap_or_default(),
            written: BTreeSet::new(),
            fields: link.and_then(OrderFields::kept),
            is_proven: false,
        }
    }
}

impl Known<'_> {
    /// Takes those of the order's own fields that are meant as the mapping makes them: so they stand in the ERP now.
    pub(super) fn take(&mut self, mapped: &Mapped, is_meant: impl Fn(&MappedField) -> bool) {
        let fields = mapped.fields.iter().filter(|field| !field.create_only);
        let meant = fields.filter(|field| is_meant(field));
        if let Some(known) = &mut self.fields {
            known.take(meant.map(|field| (&*field.target, &field.value)));
        }
    }
}

/// The lines that people added as they were told.
pub(in crate::sync) fn added_by_hand(link: &Link) -> BTreeMap<String, ErpId> {
    let known = link.agreed[BY_HAND].as_object();
    known
        .into_iter()
        .flatten()
        .filter_map(|(name, id)| Some((name.clone(), ErpId(id.as_i64()?))))
        .collect()
}

/// The order's link with what is agreed: the fingerprint of what was booked, how the ERP's order is recognised, and what
/// was decided about credit notes that are not proven yet.
pub(super) async fn link(
    flow: &Flow<'_>,
    order: &Order,
    held: &SalesOrder,
    model: &str,
    known: &Known<'_>,
) -> Result<Link, Stop> {
    let mut agreed = json!({
        "fingerprint": known.fingerprint,
        "confirmed": false,
        REFERENCE: held.reference,
    });
    if known.is_proven {
        agreed[TOTAL] = json!(held.total);
        agreed[TAX] = json!(held.tax);
    } else if let Some(before) = known.link {
        // What nobody compared may be wrong by now: it must not become what is expected.
        for name in [TOTAL, TAX] {
            if let Some(amount) = before.agreed.get(name) {
                agreed[name] = amount.clone();
            }
        }
    }
    if let Some(told) = told::kept(known.link) {
        agreed[told::TOLD] = told;
    }
    agreed[HISTORY] = json!(match known.link.and_then(is_history) {
        Some(is_history) => is_history,
        None => after::is_before_start(flow, order).await?,
    });
    if let Some(fields) = &known.fields {
        agreed[FIELDS] = json!(fields);
    }
    if !known.risk_held.is_null() {
        agreed[RISK_HELD] = known.risk_held.clone();
    }
    if !known.by_hand.is_empty() {
        agreed[BY_HAND] = json!(known.by_hand);
    }
    if let Some(unproven) = credits::unproven(flow, order).await? {
        agreed[credits::UNPROVEN] = unproven;
    }
    Ok(Link {
        shop: flow.shop.name.clone(),
        kind: LinkKind::Order,
        source_id: order.id.to_string(),
        model: model.to_owned(),
        erp_id: held.id,
        erp_name: Some(held.name.clone()),
        state: LinkState::Linked,
        source_updated_at: Some(order.updated_at),
        agreed,
        agreed_out: serde_json::Value::Null,
        writes: serde_json::Value::Null,
    })
}
