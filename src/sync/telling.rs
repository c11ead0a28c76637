//! What an attempt tells others: gathered while it works, handed over with its report.
//!
//! It is told with the end of the attempt or not at all, and an attempt that is repeated leaves to its repeat what that sees,
//! too, although it then only finds it: see [`Flow::is_made`] for records, and what an order's link remembers of what was told
//! (`orders/told.rs`). That a record was written it does not see. So an attempt that wrote and does not end well tells that in
//! parting; and where one was killed, so that it could tell nothing, its repeat says that the record was written.

use std::collections::BTreeSet;
use std::sync::{Arc, MutexGuard, PoisonError};

use super::flow::{Flow, Held};
use crate::domain::{
    About, Carried, Changed, ErpAbout, Fact, FieldValue, Happened, Happening, Link, Object, Outcome, Report,
    ShopifyId,
};

/// What is known so far.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is found out by itself")]
pub(super) struct Telling {
    about: Option<Box<About>>,
    /// Whether the record on the other side is of this job's making: by this attempt, or by one before that did not live to
    /// say so.
    is_made: bool,
    /// Whether the record is gone, so that nothing was carried over.
    is_gone: bool,
    changed: Vec<Changed>,
    happened: Vec<Happened>,
    /// Whether others know of the order already: one of which they do not is told as made by whatever ends well.
    pub(super) is_known: bool,
    /// What is told although the attempt does not end well: it is done for good. With the links that remember that it was told.
    parting: Option<(Vec<Link>, Vec<Happened>)>,
    /// What a look of this attempt before this one wrote, where it is told by itself and this look does not see it.
    wrote_before: Vec<Happened>,
    /// Movements of money that stand in the ERP.
    pub(super) registered: BTreeSet<ShopifyId>,
    /// Whether the order is from before the shop's start: what happened to it is no news.
    pub(super) is_history: bool,
}

impl Flow<'_> {
    pub(super) fn telling(&self) -> MutexGuard<'_, Telling> {
        self.telling.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The attempt looks at its record once more, and tells what it finds then. What it wrote, it wrote.
    pub(super) fn tells_anew(&self) {
        let mut telling = self.telling();
        let mut wrote_before = std::mem::take(&mut telling.wrote_before);
        if self.is_of(Object::Inventory)
            && let Some((_, happened)) = telling.parting.take()
        {
            wrote_before.extend(happened);
        }
        *telling = Telling {
            is_made: telling.is_made,
            changed: std::mem::take(&mut telling.changed),
            wrote_before,
            ..Telling::default()
        };
    }

    /// Says which record it is about.
    pub(super) fn is_about(&self, about: About) {
        self.telling().about = Some(Box::new(about));
    }

    /// Says which record of the ERP stands for it.
    pub(super) fn stands_for(&self, erp: ErpAbout) {
        if let Some(about) = &mut self.telling().about {
            about.erp = Some(erp);
        }
    }

    /// Says that the record on the other side is of our making and that nobody was told of that yet.
    pub(super) fn is_made(&self) {
        self.telling().is_made = true;
    }

    /// Says that the record is gone.
    pub(super) fn is_gone(&self, what: Happening) {
        let mut telling = self.telling();
        telling.is_gone = true;
        telling.happened.push(Happened::new(what));
    }

    /// Says what happened besides.
    pub(super) fn has_happened(&self, happened: Happened) {
        self.telling().happened.push(happened);
    }

    /// Says which fields were written, and over what where that was read.
    pub(super) fn has_written(&self, fields: &[(String, FieldValue)], held: Option<&Held>) {
        for (field, value) in fields {
            let old = held.and_then(|held| held.get(field)).cloned();
            self.has_written_value(field.clone(), old, value);
        }
    }

    /// Says that a field was written. What stood there first is what it was.
    pub(super) fn has_written_value(&self, field: String, old: Option<FieldValue>, new: &FieldValue) {
        let (mut telling, new) = (self.telling(), Some(new.clone()));
        match telling.changed.iter_mut().find(|known| known.field == field) {
            Some(known) => known.new = new,
            None => telling.changed.push(Changed { field, old, new }),
        }
    }

    /// Says that a part of the record was written that has no value of its own, e.g. the lines of an order.
    pub(super) fn has_written_part(&self, field: &str) {
        let mut telling = self.telling();
        if telling.changed.iter().all(|known| known.field != field) {
            telling.changed.push(Changed {
                field: field.to_owned(),
                old: None,
                new: None,
            });
        }
    }

    /// Whether the attempt is about a record of this kind, and does not only see to it on the way.
    pub(super) fn is_of(&self, object: Object) -> bool {
        self.job.key.object == object
    }

    /// What came of it as things stand.
    pub(super) fn carried(&self) -> Carried {
        if self.telling().is_made {
            Carried::Created
        } else if self.wrote() {
            Carried::Updated
        } else {
            Carried::Skipped
        }
    }

    /// What is told of the record itself.
    pub(super) fn synced(&self, what: Happening, status: Carried) -> Happened {
        Happened {
            status: Some(status),
            changed: self.telling().changed.clone(),
            ..Happened::new(what)
        }
    }

    /// Has this told although the attempt does not end well: its repeat finds it done. The links remember that it was told, and
    /// are saved with it.
    pub(super) fn tells_in_parting(&self, links: Vec<Link>, happened: Vec<Happened>) {
        self.telling().parting = Some((links, happened));
    }

    /// Hands over what is to be told.
    pub(super) fn tell(&self, report: &mut Report) {
        let object = self.job.key.object;
        let (status, mut telling) = (self.carried(), self.telling());
        report.about.clone_from(&telling.about);
        report.happened.extend_from_slice(&telling.wrote_before);
        match report.outcome {
            Outcome::Completed => {
                // An order's flow tells by itself: it knows what was told before.
                if let (false, true, Some(what)) = (
                    telling.is_gone,
                    matches!(object, Object::Customer | Object::Product) && telling.about.is_some(),
                    Happening::synced(object),
                ) {
                    report.happened.push(Happened {
                        status: Some(status),
                        changed: std::mem::take(&mut telling.changed),
                        ..Happened::new(what)
                    });
                }
                report.happened.append(&mut telling.happened);
                self.count_what_may_be_written(&mut report.happened);
            }
            Outcome::Obsolete(_) => report.happened.append(&mut telling.happened),
            Outcome::Failed { .. }
            | Outcome::Wait { .. }
            | Outcome::Problem(_)
            | Outcome::Held(_)
            | Outcome::Later { .. }
            | Outcome::Interrupted => {
                // It stays: a second look of the same attempt may come, in the place of this end.
                let parting = telling.parting.clone();
                drop(telling);
                if let Some((links, happened)) = parting {
                    report.links.extend(links);
                    report.happened.extend(happened);
                } else if report.happened.is_empty() {
                    report.happened.extend(self.written_in_parting());
                }
            }
        }
    }

    /// That the record was written by an attempt that does not end well: its repeat finds that done. What it would tell all the
    /// same, that the record was made, is left to it.
    fn written_in_parting(&self) -> Option<Happened> {
        let object = self.job.key.object;
        let is_told_by_the_repeat = {
            let telling = self.telling();
            let is_new = match object {
                Object::Order => !telling.is_known,
                Object::Customer | Object::Product => telling.is_made,
                // Stock is told of by itself.
                Object::Inventory | Object::Shop => true,
            };
            is_new || telling.is_gone || telling.about.is_none()
        };
        if is_told_by_the_repeat || !self.wrote() {
            return None;
        }
        Some(self.synced(Happening::synced(object)?, Carried::Updated))
    }

    /// Where an attempt before this one was killed, or the outcome of its write never came, nobody knows what it wrote: what
    /// this one finds done counts as written then.
    fn count_what_may_be_written(&self, happened: &mut [Happened]) {
        let object = self.job.key.object;
        if self.job.unclean_at.is_none()
            || !matches!(object, Object::Order | Object::Customer | Object::Product)
        {
            return;
        }
        for one in happened {
            if one.status == Some(Carried::Skipped) && Some(one.what) == Happening::synced(object) {
                one.status = Some(Carried::Updated);
            }
        }
    }
}

/// A customer of the shop.
pub(super) fn of_customer(customer: &crate::domain::Customer, record: Option<Arc<Fact>>) -> About {
    About {
        title: Some(customer.display_name.clone()),
        shopify: Some((customer.id, "Customer")),
        record,
        ..About::new(Object::Customer)
    }
}

/// A product of the shop.
pub(super) fn of_product(product: &crate::domain::Product, record: Option<Arc<Fact>>) -> About {
    let sku = match product.variants.as_slice() {
        [only] => only.sku.clone(),
        _ => None,
    };
    About {
        title: Some(product.title.clone()),
        sku,
        shopify: Some((product.id, "Product")),
        record,
        ..About::new(Object::Product)
    }
}

/// A record that is only known by its number on the shop, and by the ERP's record that its link names.
pub(super) fn of_link(kind: Object, link: &Link) -> About {
    let graphql = match kind {
        Object::Order => "Order",
        Object::Customer => "Customer",
        Object::Product => "Product",
        Object::Inventory => "InventoryItem",
        Object::Shop => "Shop",
    };
    About {
        shopify: link.source_id.parse().ok().map(|id| (id, graphql)),
        erp: Some(of_erp(link)),
        ..About::new(kind)
    }
}

/// The ERP's record of a link.
pub(super) fn of_erp(link: &Link) -> ErpAbout {
    ErpAbout {
        number: link.erp_name.clone(),
        ..ErpAbout::new(&link.model, link.erp_id)
    }
}
