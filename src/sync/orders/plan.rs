//! Planning an order: what is to be done, decided without I/O.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::super::agree::hash;
use crate::domain::Link;
use crate::erp::{OrderState, SalesOrder};
use crate::mapping::{Mapped, MappedField, Stage};

/// The mapping's group that holds an order's lines.
pub(super) const LINES: &str = "lines";

/// What is to be done about an order.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::sync) enum OrderPlan {
    /// Save header and all lines as a draft, compare, and confirm if the mapping says so.
    Book {
        /// Whether the order exists already as a draft.
        exists: bool,
        /// Keys of lines that were booked before and are no longer part of the order.
        removed: Vec<String>,
    },
    /// What stands there is right; it is to be confirmed now, or its confirmation to be completed.
    Confirm,
    /// Nothing differs.
    Nothing,
    /// It is confirmed or cancelled in the ERP, and the shop's order is not what was booked.
    Changed {
        /// What differs, for people.
        differences: Vec<String>,
    },
}

/// Hashes of what was booked: header and each line.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Fingerprint {
    header: String,
    lines: BTreeMap<String, String>,
}

/// The fingerprint of what the mapping made. Names and dates of the header count; the order's confirmation does not.
pub(super) fn fingerprint(mapped: &Mapped) -> Fingerprint {
    Fingerprint {
        header: digest(&mapped.fields),
        lines: mapped
            .group(LINES)
            .map(|group| {
                group
                    .rows
                    .iter()
                    .map(|row| (row.key.clone(), digest(&row.fields)))
                    .collect()
            })
            .unwrap_or_default(),
    }
}

fn digest(fields: &[MappedField]) -> String {
    let mut hasher = Sha256::new();
    for field in fields {
        hasher.update(field.target.as_bytes());
        hasher.update([0]);
        hasher.update(hash(&field.value).as_bytes());
        hasher.update([0]);
    }
    hex::encode(&hasher.finalize()[..8])
}

/// What was booked under this link, if the link knows.
fn booked_before(link: Option<&Link>) -> Option<Fingerprint> {
    serde_json::from_value(link?.agreed.get("fingerprint")?.clone()).ok()
}

/// Whether the order is known to have been confirmed, with its date restored afterwards.
fn was_confirmed(link: Option<&Link>) -> bool {
    link.and_then(|link| link.agreed.get("confirmed")?.as_bool())
        .unwrap_or(false)
}

/// Decides what to do. `held` is the order as the ERP has it now.
pub(super) fn plan(mapped: &Mapped, link: Option<&Link>, held: Option<&SalesOrder>) -> OrderPlan {
    let Some(held) = held else {
        return OrderPlan::Book {
            exists: false,
            removed: Vec::new(),
        };
    };
    let wanted = fingerprint(mapped);
    let before = booked_before(link);
    let same = before.as_ref() == Some(&wanted);
    match held.state {
        OrderState::Draft if same && mapped.stage == Some(Stage::Confirmed) => OrderPlan::Confirm,
        OrderState::Draft if same => OrderPlan::Nothing,
        OrderState::Draft => {
            let removed = before
                .map(|before| {
                    before
                        .lines
                        .into_keys()
                        .filter(|key| !wanted.lines.contains_key(key))
                        .collect()
                })
                .unwrap_or_default();
            OrderPlan::Book {
                exists: true,
                removed,
            }
        }
        // An attempt that was killed between confirming and recording: totals and date are still to be seen to.
        OrderState::Confirmed if before.is_none() => OrderPlan::Confirm,
        OrderState::Confirmed if same && mapped.stage == Some(Stage::Confirmed) && !was_confirmed(link) => {
            OrderPlan::Confirm
        }
        OrderState::Confirmed if same => OrderPlan::Nothing,
        OrderState::Confirmed | OrderState::Cancelled | OrderState::Other => OrderPlan::Changed {
            differences: differences(before.as_ref(), &wanted, held),
        },
    }
}

fn differences(before: Option<&Fingerprint>, wanted: &Fingerprint, held: &SalesOrder) -> Vec<String> {
    let mut texts = Vec::new();
    if held.state == OrderState::Cancelled {
        texts.push("the order is cancelled in the ERP and not on Shopify".to_owned());
    }
    let Some(before) = before else { return texts };
    if before.header != wanted.header {
        texts.push("the order's own fields".to_owned());
    }
    for (key, digest) in &wanted.lines {
        match before.lines.get(key) {
            None => texts.push(format!("{key} was added")),
            Some(booked) if booked != digest => texts.push(format!("{key} was changed")),
            Some(_) => {}
        }
    }
    for key in before.lines.keys().filter(|key| !wanted.lines.contains_key(*key)) {
        texts.push(format!("{key} was removed"));
    }
    texts
}
