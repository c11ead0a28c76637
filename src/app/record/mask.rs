//! What people see who may not see customers' data.

use super::{Compared, ComparedRow, LinePair, OrderFacts, Record, Side};
use crate::domain::Object;

/// In the place of what is not shown.
const MASK: &str = "•••";

impl Record {
    /// Without customers' data: no names, addresses, notes, tracking numbers and values that may be such. What stands there
    /// is still seen to stand there.
    #[must_use]
    pub fn masked(mut self) -> Self {
        if let Some(order) = &mut self.order {
            side(&mut order.shopify);
            side(&mut order.erp);
            order.lines.iter_mut().for_each(line);
        }
        let is_personal = self.object != Object::Product;
        if let Some(compared) = &mut self.comparison {
            comparison(compared, is_personal);
        }
        for job in &mut self.jobs {
            for problem in [&mut job.problem, &mut job.row.problem].into_iter().flatten() {
                // Details hold both sides' values, and candidates by name.
                problem.detail = serde_json::Value::Null;
            }
        }
        if is_personal && let Some(link) = &mut self.link {
            // Short texts can be guessed from their hashes.
            link.agreed = serde_json::Value::Null;
            link.agreed_out = serde_json::Value::Null;
        }
        if self.object == Object::Customer
            && let Some(erp) = &mut self.references.erp
        {
            erp.name.clone_from(&erp.id);
        }
        self
    }
}

fn hide(text: &mut String) {
    if !text.is_empty() {
        MASK.clone_into(text);
    }
}

fn side(side: &mut Side<OrderFacts>) {
    match side {
        Side::Held { record } => facts(record),
        // What a system says about a record may quote it.
        Side::Silent { reason } => "it does not answer".clone_into(reason),
        Side::Absent => {}
    }
}

fn facts(facts: &mut OrderFacts) {
    if let Some(buyer) = &mut facts.buyer {
        hide(&mut buyer.name);
        [&mut buyer.email, &mut buyer.phone]
            .into_iter()
            .flatten()
            .for_each(hide);
    }
    for address in [&mut facts.billing, &mut facts.shipping] {
        if !address.is_empty() {
            *address = vec![MASK.to_owned()];
        }
    }
    facts
        .shipments
        .iter_mut()
        .flat_map(|one| &mut one.tracking)
        .for_each(hide);
    facts.note.iter_mut().for_each(hide);
}

/// The ERP's text of a line may hold what the buyer had engraved.
fn line(pair: &mut LinePair) {
    if let Some(held) = &mut pair.erp {
        hide(&mut held.title);
    }
}

fn comparison(compared: &mut Compared, is_personal: bool) {
    if let Some(failure) = &mut compared.failure {
        "The two sides could not be compared.".clone_into(failure);
    }
    for way in &mut compared.ways {
        if let Some(problem) = &mut way.problem {
            problem.detail = serde_json::Value::Null;
        }
        if is_personal {
            let rows = [&mut way.differences, &mut way.agreed, &mut way.same];
            rows.into_iter().flatten().for_each(row);
        }
    }
}

fn row(row: &mut ComparedRow) {
    hide(&mut row.shopify);
    hide(&mut row.erp);
}
