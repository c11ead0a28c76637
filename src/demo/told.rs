//! Whether the receiver of notifications was told of every order that was booked, exactly once: by the ids that it took, and by
//! the ERP's own books.

use std::collections::{BTreeMap, BTreeSet};

use super::expect::Expected;
use crate::sandbox::odoo::Ledger;
use crate::sandbox::receiver::Receiver;

/// What the endpoint signs with. It is worth nothing: the receiver is on this machine and goes away with the demonstration.
pub(super) const SECRET: &str = "whsec_dGhlIGtleSBvZiB0aGUgZGVtb25zdHJhdGlvbiAwMDE=";

/// What does not hold, one sentence each.
pub(super) fn broken(receiver: &Receiver, erp: &Ledger, expected: &Expected) -> Vec<String> {
    let mut broken: Vec<String> = receiver
        .refused()
        .into_iter()
        .map(|reason| format!("the receiver refused a notification: {reason}"))
        .collect();
    // How many ids told that an order was booked, by its name.
    let mut told: BTreeMap<String, u64> = BTreeMap::new();
    for (id, one) in receiver.told() {
        if one.times > 1 {
            broken.push(format!("notification {id} came {} times", one.times));
        }
        let name = one.body.pointer("/object/name").and_then(|name| name.as_str());
        if one.body["type"] == "order.synced" && one.body["status"] == "created" {
            *told.entry(name.unwrap_or_default().to_owned()).or_default() += 1;
        }
    }
    let booked: BTreeSet<String> = erp
        .orders()
        .into_iter()
        .filter_map(|order| order.client_order_ref)
        .collect();
    for name in booked {
        match told.remove(&name) {
            Some(1) => {}
            // What waits for a person may have been begun.
            None if expected.held.contains(&name) => {}
            None => broken.push(format!("order {name} was booked, and the receiver was not told")),
            Some(times) => broken.push(format!(
                "the receiver was told {times} times that order {name} was booked"
            )),
        }
    }
    for name in told.keys() {
        broken.push(format!(
            "the receiver was told that order {name} was booked, and it was not"
        ));
    }
    broken
}
