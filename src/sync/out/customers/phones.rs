//! Telephone numbers that the shop does not take: they alone are left out, and the rest of the customer is written.
//!
//! In an ERP people write what they dial. A number of which not even the shop can make anything is no reason to hold up an
//! address or a name. One that belongs to another customer is: then the two may be the same, and a person decides.

use std::borrow::Cow;

use serde_json::json;

use super::super::super::agree::{Agreed, Agreement, hash};
use super::super::super::flow::{Flow, Held};
use super::super::super::resync::written_own;
use super::super::super::stop::Stop;
use crate::domain::{Customer, FieldValue, Fields, NewCustomer, Refusal, ShopifyId};
use crate::shopify::ShopifyError;

/// Our names of the fields that hold telephone numbers.
const PHONES: [&str; 2] = ["phone", "address.phone"];

/// The telephone numbers that were not written.
#[derive(Default)]
pub(super) struct LeftOut(Fields);

/// Makes a customer, or changes the one with this number, that has these values `before`.
pub(super) async fn send(
    flow: &Flow<'_>,
    id: Option<ShopifyId>,
    own: &str,
    fields: &Fields,
    before: Option<&Held>,
) -> Result<(Customer, LeftOut), Stop> {
    let target = &flow.shop.target;
    let mut fields = Cow::Borrowed(fields);
    let mut left_out = LeftOut::default();
    loop {
        note(flow, id, &fields, before);
        let sent = if let Some(id) = id {
            flow.send(target.update_customer(id, &fields)).await
        } else {
            let new = NewCustomer {
                erp_ref: own.to_owned(),
                fields: fields.to_vec(),
            };
            flow.send(target.create_customer(&new)).await
        };
        let stop = match sent {
            Ok(customer) => return Ok((customer, left_out)),
            Err(stop) => stop,
        };
        let refused = unreadable(&stop);
        let (out, rest): (Fields, Fields) = fields
            .iter()
            .cloned()
            .partition(|(name, value)| *value != FieldValue::Clear && refused.contains(&name.as_str()));
        if out.is_empty() {
            return Err(stop);
        }
        for (name, _) in &out {
            // Without the number: it is a customer's, and stands in the ERP for those who may see it.
            flow.note(
                "phone_left_out",
                json!({ "warning": "Shopify does not take this telephone number; everything else is written",
                    "field": name }),
            );
        }
        left_out.0.extend(out);
        fields = Cow::Owned(rest);
    }
}

/// Notes what is about to be written, in the place of what was refused before: it stays on record even where the answer never comes, and
/// what is left out does not.
fn note(flow: &Flow<'_>, id: Option<ShopifyId>, fields: &Fields, before: Option<&Held>) {
    let mut detail = written_own(flow, fields, before);
    detail["customer"] = id.map_or_else(|| json!("new"), |id| json!(id));
    flow.note_anew("writes", detail);
}

/// The telephone numbers that a write was refused for, where it was for nothing else.
fn unreadable(stop: &Stop) -> Vec<&'static str> {
    let Stop::Shopify(ShopifyError::Rejected { refusals, .. }) = stop else {
        return Vec::new();
    };
    // One of the two mutations names no codes.
    let is_taken = |refusal: &Refusal| {
        refusal.code.as_deref() == Some("TAKEN") || refusal.message.to_lowercase().contains("taken")
    };
    let field = |refusal: &Refusal| {
        PHONES
            .into_iter()
            .find(|name| refusal.field.as_deref() == Some(*name))
    };
    let readable = |refusal: &Refusal| field(refusal).is_none() || is_taken(refusal);
    if refusals.iter().any(readable) {
        return Vec::new();
    }
    refusals.iter().filter_map(field).collect()
}

impl LeftOut {
    /// Agrees that these stay different until one of the sides changes.
    pub(super) fn settle(&self, agreed: &mut Agreement, now: &Held) {
        for (name, value) in &self.0 {
            let settled = Agreed {
                source: hash(value),
                target: Some(hash(now.get(name.as_str()).unwrap_or(&FieldValue::Clear))),
            };
            agreed.insert(name.clone(), settled);
        }
    }

    /// What was done, and what was not.
    pub(super) fn tell(&self, done: &str) -> String {
        if self.0.is_empty() {
            return done.to_owned();
        }
        format!("{done} without its telephone number, which Shopify does not take")
    }
}
