//! What an attempt tells others: gathered while it works, handed over with its report.
//!
//! It is told with the end of the attempt or not at all, and an attempt that is repeated leaves to its repeat what that sees,
//! too, although it then only finds it: see [`Flow::is_made`] for records, and what an order's link remembers of what was told
//! (`orders/told.rs`). That a record was written it does not see. So an attempt that wrote and does not end well tells that in
//! parting; and where one was killed, so that it could tell nothing, its repeat says that the record was written.
//!
//! An attempt may look at its record more than once. What it wrote, it wrote: the end of its last look tells what all of them
//! did. What a look before would have told in parting waits until a later one tells of the record itself, and is told with the
//! end where none does.

use std::collections::BTreeSet;
use std::sync::{Arc, MutexGuard, PoisonError};

use serde_json::Value;

use super::flow::{Flow, Held};
use super::orders::remember_told;
use crate::domain::{
    About, Carried, Changed, Disposition, ErpAbout, Fact, FieldValue, Happened, Happening, Link, LinkKind,
    Object, Outcome, Related, Report, ShopifyId,
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
    is_known: bool,
    /// The order's link as it is stored.
    link: Option<Link>,
    /// What the order's link is to remember of what this look tells.
    pub(super) told: Option<Value>,
    /// What is told although this look does not end well: it is done for good.
    parting: Option<Vec<Happened>>,
    earlier: Earlier,
    /// Movements of money that stand in the ERP.
    pub(super) registered: BTreeSet<ShopifyId>,
    /// Whether the order is from before the shop's start: what happened to it is no news.
    pub(super) is_history: bool,
    /// Why the shop is disabled with the end of this attempt.
    pub(super) disables_shop: Option<&'static str>,
}

/// What the looks of this attempt before this one leave to be told.
#[derive(Debug, Default)]
struct Earlier {
    /// The record as they saw it.
    about: Option<Box<About>>,
    /// Whether they wrote.
    wrote: bool,
    /// What they would have told in parting, and what the order's link remembers of it then.
    parting: Option<(Vec<Happened>, Option<Value>)>,
}

impl Flow<'_> {
    pub(super) fn telling(&self) -> MutexGuard<'_, Telling> {
        self.telling.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The attempt looks at its record once more, and tells what it finds then. What it wrote, it wrote.
    pub(super) fn tells_anew(&self) {
        let (wrote, mut telling) = (self.wrote(), self.telling());
        let before = std::mem::take(&mut *telling);
        let mut earlier = before.earlier;
        earlier.wrote = wrote || before.is_made;
        earlier.about.clone_from(&before.about);
        if let Some(mut happened) = before.parting {
            if let Some((known, _)) = earlier.parting.take()
                && self.is_of(Object::Inventory)
            {
                add_levels(&mut happened, known);
            }
            earlier.parting = Some((happened, before.told));
        }
        *telling = Telling {
            about: before.about,
            is_made: before.is_made,
            changed: before.changed,
            is_known: before.is_known,
            link: before.link,
            earlier,
            ..Telling::default()
        };
    }

    /// Says what stands for the order, if anything does, and so whether others know of it.
    pub(super) fn knows_order(&self, link: Option<&Link>, is_known: bool) {
        let mut telling = self.telling();
        telling.link = link.cloned();
        telling.is_known = is_known;
    }

    /// Whether it is the link of the order that the attempt is about.
    pub(super) fn is_own_order(&self, link: &Link) -> bool {
        let key = &self.job.key;
        key.object == Object::Order && link.kind == LinkKind::Order && link.source_id == key.source_id
    }

    /// Says how the order's link is stored from now on.
    pub(super) fn has_linked(&self, link: Link) {
        self.stands_for(of_erp(&link));
        self.telling().link = Some(link);
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

    /// Says which record of the ERP belongs to it. One that is known from the shop is the same; what is said later counts.
    pub(super) fn is_related(&self, kind: &'static str, erp: ErpAbout) {
        let mut telling = self.telling();
        let Some(about) = &mut telling.about else { return };
        let same = |known: &&mut Related| {
            known.kind == kind && known.erp.as_ref().is_none_or(|known| known.id == erp.id)
        };
        match about.related.iter_mut().find(same) {
            Some(known) => known.erp = Some(erp),
            None => about.related.push(Related {
                kind,
                shopify: None,
                erp: Some(erp),
            }),
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
        let wrote = self.wrote();
        self.telling().carried(wrote)
    }

    /// What is told of the record itself.
    pub(super) fn synced(&self, what: Happening, status: Carried) -> Happened {
        self.telling().synced(what, status)
    }

    /// Has this told although the attempt does not end well: its repeat finds it done.
    pub(super) fn tells_in_parting(&self, happened: Vec<Happened>) {
        self.telling().parting = Some(happened);
    }

    /// Hands over what is to be told.
    pub(super) fn tell(&self, report: &mut Report) {
        let object = self.job.key.object;
        let (wrote, mut telling) = (self.wrote(), self.telling());
        report.about.clone_from(&telling.about);
        match report.outcome {
            Outcome::Completed => {
                // An order's flow tells by itself: it knows what was told before.
                if let (false, true, Some(what)) = (
                    telling.is_gone,
                    matches!(object, Object::Customer | Object::Product) && telling.about.is_some(),
                    Happening::synced(object),
                ) {
                    let status = telling.carried(wrote);
                    report.happened.push(telling.synced(what, status));
                }
                report.happened.extend_from_slice(&telling.happened);
                report.disables_shop = telling.disables_shop.map(str::to_owned);
            }
            Outcome::Obsolete(_) => report.happened.extend_from_slice(&telling.happened),
            Outcome::Failed { .. }
            | Outcome::Wait { .. }
            | Outcome::Problem(_)
            | Outcome::Held(_)
            | Outcome::Later { .. }
            | Outcome::Interrupted => telling.part(report),
        }
        telling.tell_of_writes(object, wrote, report);
        if matches!(report.outcome, Outcome::Completed) {
            self.count_what_may_be_written(&mut report.happened);
        }
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

impl Telling {
    fn carried(&self, wrote: bool) -> Carried {
        if self.is_made {
            Carried::Created
        } else if wrote {
            Carried::Updated
        } else {
            Carried::Skipped
        }
    }

    fn synced(&self, what: Happening, status: Carried) -> Happened {
        Happened {
            status: Some(status),
            changed: self.changed.clone(),
            ..Happened::new(what)
        }
    }

    /// Hands over what this look tells although it does not end well.
    fn part(&mut self, report: &mut Report) {
        if !report.happened.is_empty() {
            // Should another look come in the place of this end.
            self.parting = Some(report.happened.clone());
        } else if let Some(parting) = &self.parting
            && self.is_remembered(self.told.as_ref(), &mut report.links)
        {
            report.happened.clone_from(parting);
        }
    }

    /// Has the order's link remember what is told with it. Without its link it is not told: whatever comes next finds it untold.
    fn is_remembered(&self, told: Option<&Value>, links: &mut Vec<Link>) -> bool {
        let Some(told) = told else { return true };
        if let Some(link) = links.iter_mut().find(|link| link.kind == LinkKind::Order) {
            remember_told(link, told);
            return true;
        }
        let Some(mut link) = self.link.clone() else {
            return false;
        };
        remember_told(&mut link, told);
        links.push(link);
        true
    }

    /// Adds what was written, by this look or one before it, where the end does not tell of the record itself.
    fn tell_of_writes(&self, object: Object, wrote: bool, report: &mut Report) {
        let earlier = self.earlier.parting.as_ref();
        if object == Object::Inventory {
            // Stock is told by its items.
            let known = earlier.map(|(happened, _)| happened.clone());
            add_levels(&mut report.happened, known.unwrap_or_default());
            return;
        }
        let Some(what) = Happening::synced(object) else {
            return;
        };
        if report.happened.iter().any(|happened| happened.what == what) {
            return;
        }
        // Of a record that is gone, what was seen of it before.
        let about = self.is_gone.then(|| self.earlier.about.clone()).flatten();
        let of_record = |mut happened: Happened| {
            if about.is_some() {
                happened.about.clone_from(&about);
            }
            happened
        };
        if let Some((happened, told)) = earlier
            && self.is_remembered(told.as_ref(), &mut report.links)
        {
            let happened = happened.iter().map(|known| {
                let mut known = of_record(known.clone());
                if known.what == what {
                    known.changed.clone_from(&self.changed);
                    if known.status == Some(Carried::Skipped) && wrote {
                        known.status = Some(Carried::Updated);
                    }
                }
                known
            });
            report.happened.splice(0..0, happened);
            return;
        }
        if let Some(status) = self.written(object, wrote, &report.outcome) {
            report.happened.insert(0, of_record(self.synced(what, status)));
        }
    }

    /// Whether the record was written, and is to be told as that: the repeat of the attempt finds it done. What it would tell all
    /// the same, that the record was made, is left to it, where there is to be one.
    fn written(&self, object: Object, wrote: bool, outcome: &Outcome) -> Option<Carried> {
        let about = if self.is_gone {
            &self.earlier.about
        } else {
            &self.about
        };
        let about = about.as_ref()?;
        // What became of a record that is gone is told by itself.
        let wrote = if self.is_gone {
            self.earlier.wrote
        } else {
            wrote || self.is_made
        };
        // On its way an order may have written other records only.
        let (is_new, stands) = match object {
            Object::Order => (!self.is_known, about.erp.is_some()),
            _ => (self.is_made, true),
        };
        let is_over = self.is_gone
            || matches!(
                outcome,
                Outcome::Obsolete(_)
                    | Outcome::Failed {
                        disposition: Disposition::Obsolete,
                        ..
                    }
            );
        match (wrote, is_new) {
            (true, false) => Some(Carried::Updated),
            (true, true) if is_over && stands => Some(Carried::Created),
            _ => None,
        }
    }
}

/// Adds levels of stock that were written before to what is told of stock: each item is told once.
fn add_levels(told: &mut Vec<Happened>, before: Vec<Happened>) {
    let item = |happened: &Happened| happened.about.as_ref().and_then(|about| about.shopify);
    for mut known in before {
        let Some(now) = told.iter_mut().find(|now| item(now) == item(&known)) else {
            told.push(known);
            continue;
        };
        for changed in now.changed.drain(..) {
            match known
                .changed
                .iter_mut()
                .find(|known| known.field == changed.field)
            {
                Some(known) => known.new = changed.new,
                None => known.changed.push(changed),
            }
        }
        now.changed = known.changed;
        now.status = Some(Carried::Updated);
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
