//! What came after the sale: the credit notes, payments and deliveries that were made for orders, where the ERP has one no
//! more or has it cancelled.
//!
//! An order's own job takes a credit note or a payment that is linked as made, and never asks for it again: that keeps it from
//! being booked twice. So here a person is told, once; what they did stands. Of deliveries the job looks at what left the
//! ERP in all, so it is given the order. Links do not name the order of a document: Shopify does, and is asked for those few.

use std::collections::BTreeMap;
use std::time::Duration;

use super::book::{About, Became, Book};
use super::look::{TOGETHER, source_of};
use super::shelf::{Sign, Suspect};
use super::{Run, RunError};
use crate::domain::{
    DriftClass, DriftFate, ErpId, FieldValue, Link, LinkKind, LinkState, NewProblem, Object, ShopifyId,
    Timestamp,
};
use crate::erp::OrderState;
use crate::shopify::OrderOf;
use crate::sync::Fulfillments;

/// The code of the problem that tells of them.
const CODE: &str = "drift_document_gone";

/// How long that problem stays open after the last one was told of: people are told once, and not only for a weekend.
const SHOWN: Duration = Duration::from_hours(7 * 24);

/// The states of what is cancelled: of entries, transfers and, up to Odoo 17, payments; and of payments from 18 on.
const CANCELLED: [&str; 3] = ["cancel", "canceled", "rejected"];

/// A kind of documents.
struct Kind {
    link: LinkKind,
    /// What a report calls its field.
    field: &'static str,
    /// What it stands for on Shopify.
    part: &'static str,
}

const KINDS: [Kind; 3] = [
    Kind {
        link: LinkKind::Refund,
        field: "credit_note",
        part: "refund",
    },
    Kind {
        link: LinkKind::Payment,
        field: "payment",
        part: "transaction",
    },
    Kind {
        link: LinkKind::Fulfillment,
        field: "delivery",
        part: "parcel",
    },
];

/// A document that does not stand any more.
struct Lost {
    kind: &'static Kind,
    source: ShopifyId,
    model: String,
    erp_id: ErpId,
    /// Its number, where that is known.
    name: Option<String>,
    /// The state that says cancelled; none where it is gone.
    state: Option<String>,
}

impl Lost {
    const fn class(&self) -> DriftClass {
        match self.state {
            Some(_) => DriftClass::Archived,
            None => DriftClass::GoneFromErp,
        }
    }

    fn record(&self) -> String {
        format!("{} {}", self.model, self.erp_id)
    }

    fn about(&self, order: Option<String>) -> About {
        // A draft's number is a stroke up to Odoo 17.
        let number = self.name.clone().filter(|name| name != "/");
        let number = number.unwrap_or_else(|| self.record());
        let became = self.state.as_deref().map_or("deleted", |_| "cancelled");
        About {
            model: Some(self.record()),
            name: order,
            field: Some(self.kind.field.to_owned()),
            shopify: Some(format!("{} {}", self.kind.part, self.source)),
            erp: Some(format!("{number}: {became}")),
        }
    }

    /// Where it is noted what was told of it. It is told once, so that the note stays.
    fn place(&self) -> String {
        format!("full:lost:{}:{}", self.kind.field, self.source)
    }

    /// What is noted, but for when.
    fn found(&self) -> String {
        format!("{} {}", self.erp_id, self.state.as_deref().unwrap_or("gone"))
    }
}

/// What an earlier run made of one.
enum Told {
    At(Timestamp),
    /// Its order or its parcel was cancelled as a whole: it was to go.
    AsItShould,
}

/// What a run has to note of those that it found.
#[derive(Default)]
struct Telling {
    notes: Vec<(String, String)>,
    /// How many a person is told of for the first time.
    new: u64,
    /// Whether earlier runs told of some of late.
    is_shown: bool,
}

impl Run<'_> {
    /// Looks for them, tells of those that nobody told of yet, and counts the others.
    pub(super) async fn documents(&self, book: &mut Book) -> Result<(), RunError> {
        let (mut lost, mut telling) = (Vec::new(), Telling::default());
        for kind in &KINDS {
            self.lost(kind, &mut lost, &mut telling, book).await?;
        }
        for some in lost.chunks(TOGETHER as usize) {
            self.weigh_lost(some, &mut telling, book).await?;
        }
        if self.wanted.dry_run {
            return Ok(());
        }
        self.tell_lost(&telling).await?;
        for (place, note) in telling.notes {
            self.remember(&place, &note).await?;
        }
        Ok(())
    }

    /// The documents of a kind that do not stand any more, as far as they are news.
    async fn lost(
        &self,
        kind: &'static Kind,
        lost: &mut Vec<Lost>,
        telling: &mut Telling,
        book: &mut Book,
    ) -> Result<(), RunError> {
        let mut after = None;
        loop {
            let store = &self.context.store;
            let links = store.links_in_order(&self.shop.name, kind.link, after, TOGETHER);
            let links = self.life.with(links).await??;
            after = links.last().map(|link| link.erp_id);
            let all: Vec<&Link> = links.iter().collect();
            let fields = ["state", "name"].map(str::to_owned).into();
            let mut held = self.held(&all, fields).await?;
            for link in &links {
                let (now, Some(source)) = (held.remove(&link.erp_id), source_of(link)) else {
                    continue;
                };
                let text = |field: &str| match now.as_ref()?.get(field)? {
                    FieldValue::Text(text) => Some(text.clone()),
                    _ => None,
                };
                let state = text("state");
                if now.is_some() && !state.as_deref().is_some_and(|state| CANCELLED.contains(&state)) {
                    continue;
                }
                let one = Lost {
                    kind,
                    source,
                    model: link.model.clone(),
                    erp_id: link.erp_id,
                    name: text("name").or_else(|| link.erp_name.clone()),
                    state,
                };
                match self.told_of(&one).await? {
                    None => lost.push(one),
                    Some(Told::AsItShould) => {}
                    Some(Told::At(at)) => {
                        book.tally(one.class(), DriftFate::LeftAlone, 1);
                        telling.is_shown |= self.started_at < at.plus(SHOWN);
                    }
                }
            }
            self.life.count(|counts| counts.pages += 1);
            if links.len() < TOGETHER as usize {
                return Ok(());
            }
        }
    }

    async fn told_of(&self, one: &Lost) -> Result<Option<Told>, RunError> {
        let note = self.recall(&one.place()).await?;
        let Some((found, at)) = note.rsplit_once(' ') else {
            return Ok(None);
        };
        Ok((found == one.found()).then(|| match at.parse() {
            Ok(at) => Told::At(Timestamp::from_millis(at)),
            Err(_) => Told::AsItShould,
        }))
    }

    /// Says at their orders what became of these.
    async fn weigh_lost(
        &self,
        some: &[Lost],
        telling: &mut Telling,
        book: &mut Book,
    ) -> Result<(), RunError> {
        let parts: Vec<_> = some.iter().map(|one| (one.kind.link, one.source)).collect();
        let orders = self.life.with(self.context.source.orders_of(&parts)).await?;
        let orders = orders.map_err(|source| RunError::Shopify { run: self.id, source })?;
        let standing = self.standing(&orders).await?;
        for (one, of) in some.iter().zip(orders) {
            let (suspect, name) = match of {
                Some(of) if of.is_cancelled => {
                    telling.notes.push((one.place(), format!("{} -", one.found())));
                    continue;
                }
                Some(of) => match standing.get(&of.order) {
                    Some(link) => (
                        Suspect::new(Sign::Document, Some(of.order), Some(link.erp_id)),
                        link.erp_name.clone(),
                    ),
                    // The order itself is gone or cancelled, which is told by itself.
                    None => continue,
                },
                // Shopify hides its order, or does not have it any more.
                None => (Suspect::new(Sign::Document, None, None), None),
            };
            let became = self.becomes(&suspect, one).await?;
            let is_persons = became.fate == DriftFate::NeedsPerson && became.job.is_none();
            if is_persons || became.fate == DriftFate::Repaired {
                let at = self.started_at.millis();
                telling.notes.push((one.place(), format!("{} {at}", one.found())));
            }
            telling.new += u64::from(is_persons);
            book.enter(one.class(), &suspect, one.about(name), became);
        }
        Ok(())
    }

    /// The links of those of these orders that stand in the ERP.
    async fn standing(&self, orders: &[Option<OrderOf>]) -> Result<BTreeMap<ShopifyId, Link>, RunError> {
        let live = orders.iter().flatten().filter(|of| !of.is_cancelled);
        let mut ids: Vec<String> = live.map(|of| of.order.to_string()).collect();
        ids.sort_unstable();
        ids.dedup();
        if ids.is_empty() {
            return Ok(BTreeMap::new());
        }
        let links = self.context.store.links(&self.shop.name, self.kind, &ids);
        let mut links = self.life.with(links).await??;
        links.retain(|link| link.state != LinkState::Retired);
        let ids: Vec<ErpId> = links.iter().map(|link| link.erp_id).collect();
        let mut standings = self.ask(self.context.erp.order_standings(&ids)).await?;
        standings.retain(|standing| standing.state != OrderState::Cancelled);
        links.retain(|link| standings.iter().any(|standing| standing.id == link.erp_id));
        let links = links.into_iter();
        Ok(links.filter_map(|link| Some((source_of(&link)?, link))).collect())
    }

    /// What becomes of one whose order stands.
    async fn becomes(&self, suspect: &Suspect, one: &Lost) -> Result<Became, RunError> {
        let hand = self.in_hand(suspect).await?;
        let is_new = |became: &Became| became.fate == DriftFate::InWork;
        let is_jobs = one.kind.link == LinkKind::Fulfillment
            && self.context.settings.fulfillments != Fulfillments::Leave
            && !self.context.not_in.contains(&Object::Order);
        match (hand, suspect.source) {
            (Some(hand), _) if is_jobs || is_new(&hand) => Ok(hand),
            (_, Some(source)) if is_jobs => self.job_in(source).await,
            // What a job of the order asks about is something else.
            _ => Ok(Became::of(DriftFate::NeedsPerson).because(CODE)),
        }
    }

    /// Keeps the problem about them: raised by those that are news, and closed once they were shown long enough or stand again.
    async fn tell_lost(&self, telling: &Telling) -> Result<(), RunError> {
        let (store, now) = (&self.context.store, self.context.clock.now());
        let object = Object::Order.as_str();
        if telling.new == 0 {
            if !telling.is_shown {
                store
                    .close_shop_problem(&self.shop.name, CODE, object, now)
                    .await?;
            }
            return Ok(());
        }
        let count = telling.new;
        let problem = NewProblem {
            code: CODE.into(),
            record: None,
            field: Some(object.to_owned()),
            reason: format!(
                "The full run found {count} document(s) of orders that were deleted or cancelled in the ERP after they had been \
                 made. Nothing is made again."
            ),
            fix: format!(
                "See them with `lockstep reconcile --report {}`, or on the console under Runs: each is named with its order. \
                 What was meant to stand is put back, or made again by hand, in the ERP; what was done on purpose needs \
                 nothing. Each is told once, and this closes by itself a week later.",
                self.id
            ),
            owner: self.context.owner.clone(),
            mapping: None,
            cluster: object.to_owned(),
            detail: serde_json::json!({ "run": self.id, "count": count }),
        };
        store.open_shop_problem(&self.shop.name, problem, now).await?;
        Ok(())
    }
}
