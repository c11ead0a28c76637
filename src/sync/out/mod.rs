//! The way back: a record of the ERP that changed is brought to the shop.
//!
//! As on the way in, the record is read fresh on both sides, the mapping says what it should be, and only what changed since
//! both sides agreed is written. An attempt locks the record on both sides, so that in and out of one pair never run together,
//! and ends by settling the agreement of both directions: the shop's own notice of the write finds nothing to do.

mod customers;
mod guard;
pub(super) mod held;
mod identity;
mod inventory;
mod products;

pub use inventory::{StockFailed, StockFound, StockLevel, StockStanding};

use super::flow::{Flow, agreed_of, agreed_out_of};
use super::stop::Stop;
use crate::domain::{
    Direction, ErpId, JobKey, Link, LinkKind, LinkState, Object, Outcome, Priority, Report, ShopifyId,
    System, Timestamp,
};
use crate::mapping::{Archived, MappedField, Mapping, OutRules, Truth, VARIANTS};

pub use guard::{LimitState, Limits, SUDDEN_CHANGE, approval_of};

/// What an attempt did.
struct Done {
    links: Vec<Link>,
    name: String,
    summary: String,
    /// The ERP's product that has variants which are new on the shop, and of which the ERP keeps stock.
    unstocked: Option<ErpId>,
}

impl From<Done> for Report {
    fn from(done: Done) -> Self {
        let mut report = Self::of(Outcome::Completed, done.summary);
        report.record_name = Some(done.name);
        report.links = done.links;
        report
    }
}

/// A partner's own job.
pub(super) async fn customer(flow: &mut Flow<'_>) -> Result<Report, Stop> {
    let id = erp_id(flow)?;
    Ok(customers::sync(flow, id).await?.into())
}

/// A product's own job.
pub(super) async fn product(flow: &mut Flow<'_>) -> Result<Report, Stop> {
    let id = erp_id(flow)?;
    let done = products::sync(flow, id).await?;
    let stock = done.unstocked.and_then(|product| stock_of(flow, product));
    let mut report = Report::from(done);
    report.enqueue.extend(stock);
    Ok(report)
}

/// The job that brings the stock of a product's variants to the shop that it did not have so far. Their own notices came too
/// early: there was nothing yet to set the stock of.
fn stock_of(flow: &Flow<'_>, product: ErpId) -> Option<(JobKey, Priority, String)> {
    flow.is_sent_out(Object::Inventory).then(|| {
        let key = JobKey::of_erp(&flow.shop.name, Object::Inventory, product);
        (key, Priority::LIVE, "its product is new on the shop".to_owned())
    })
}

/// The job of the stock of a product's variants.
pub(super) async fn inventory(flow: &mut Flow<'_>) -> Result<Report, Stop> {
    inventory::sync(flow).await
}

/// The job of an inventory item of which a level changed on the shop.
pub(super) async fn level_changed(flow: &Flow<'_>) -> Result<Report, Stop> {
    inventory::noticed(flow).await
}

/// Counts the version that our write left, of this time, as applied on the way in, where the version `before` the write was
/// (none where this attempt made the record). Where it was not, somebody changed the record and nobody carried that in yet: a
/// run that looks for missed changes must still find it.
fn caught_up(link: &mut Link, before: Option<Timestamp>, after: Timestamp) {
    let applied = link.source_updated_at;
    if before.is_none_or(|before| applied.is_some_and(|applied| applied >= before)) {
        link.source_updated_at = applied.max(Some(after));
    }
}

/// The ERP's id in the job's key.
fn erp_id(flow: &Flow<'_>) -> Result<ErpId, Stop> {
    let key = &flow.job.key.source_id;
    let number = key.parse().ok().filter(|id| *id > 0).map(ErpId);
    number.ok_or_else(|| unusable_id(flow))
}

fn unusable_id(flow: &Flow<'_>) -> Stop {
    let key = &flow.job.key.source_id;
    flow.subject
        .problem(
            "event_unreadable",
            "",
            format!("The job names no usable id of the ERP (`{key}`)."),
            "Sync the record by its number in the ERP, then discard this job.",
        )
        .into()
}

/// The ERP's model of variants.
fn model_of_variants(flow: &Flow<'_>) -> String {
    flow.mapping(Object::Product, Direction::In)
        .ok()
        .and_then(|mapping| mapping.group_model(VARIANTS).map(str::to_owned))
        .unwrap_or_else(|| "product.product".to_owned())
}

/// The link of an ERP record, with both of its records locked. None where it was never linked.
///
/// # Errors
/// The shop's record is gone, and the link is history: nothing is made again behind the shop's back.
async fn linked(
    flow: &Flow<'_>,
    kind: LinkKind,
    object: Object,
    model: &str,
    id: ErpId,
) -> Result<Option<Link>, Stop> {
    flow.lock(System::Erp, model, &id.to_string()).await?;
    let shop = flow.shop;
    let mut locked: Option<String> = None;
    loop {
        let Some(link) = shop.store.link_of_erp(&shop.name, kind, id).await? else {
            return Ok(None);
        };
        if link.state == LinkState::Retired {
            return Err(flow.nothing_to_do("its_record_on_the_shop_is_gone"));
        }
        if locked.as_ref() == Some(&link.source_id) {
            return Ok(Some(link));
        }
        // What a link says counts once nobody else can change it any more: it is read again under the lock.
        flow.lock(System::Shopify, object.as_str(), &link.source_id)
            .await?;
        locked = Some(link.source_id);
    }
}

/// Whether a link is of a record that we made, by an attempt that did not live to say what it wrote: nobody has agreed on
/// anything yet, and what the ERP holds counts.
fn is_unfinished(link: &Link) -> bool {
    link.state == LinkState::Linked && is_new(link)
}

/// Whether neither direction has agreed on anything yet.
fn is_new(link: &Link) -> bool {
    agreed_of(link).is_empty() && agreed_out_of(link).is_empty()
}

/// Notes our name of the ERP's record on a record of the shop that was found and is met for the first time, where the mapping
/// wants that. Those that we make carry it from the beginning. To be called only when both are known to be the linked ones.
async fn mark(
    flow: &Flow<'_>,
    rules: &OutRules,
    link: &Link,
    raw: &serde_json::Value,
    own: &str,
) -> Result<(), Stop> {
    if !is_to_be_marked(rules, link, raw) {
        return Ok(());
    }
    let id = shopify_id(flow, link)?;
    let target = &flow.shop.target;
    flow.send(target.note_erp_ref(link.kind, id, own)).await?;
    flow.note("marked", serde_json::json!({ "record": id, "as": own }));
    Ok(())
}

/// Whether `mark` writes anything.
fn is_to_be_marked(rules: &OutRules, link: &Link, raw: &serde_json::Value) -> bool {
    rules.mark_adopted && link.state == LinkState::Adopted && identity::mark_of(raw).is_none()
}

/// The fields of a record that we made and did not finish: the ERP has the last word.
fn as_the_erp_says(fields: &[MappedField]) -> Vec<MappedField> {
    let mut fields = fields.to_vec();
    for field in &mut fields {
        field.truth = Truth::Erp;
    }
    fields
}

/// Shopify's number of a link.
fn shopify_id(flow: &Flow<'_>, link: &Link) -> Result<ShopifyId, Stop> {
    link.source_id.parse().map_err(|_| {
        // A guest's partner: the shop has no record of its own of them.
        flow.nothing_to_do("the_shop_has_no_record_of_it")
    })
}

/// What the mapping says of this direction besides fields.
fn rules(mapping: &Mapping) -> OutRules {
    mapping.out.clone().unwrap_or_default()
}

/// The model that a link of the way in names.
fn model(flow: &Flow<'_>, object: Object, usual: &str) -> String {
    flow.mapping(object, Direction::In)
        .map_or_else(|_| usual.to_owned(), |mapping| mapping.model.clone())
}

/// What becomes of links whose ERP record was deleted.
fn retired(links: Vec<Link>) -> Vec<Link> {
    let retired = |link| Link {
        state: LinkState::Retired,
        ..link
    };
    links.into_iter().map(retired).collect()
}

/// Asks a person about a record that is archived or deleted in the ERP, where the mapping wants that.
fn ask_about(
    flow: &Flow<'_>,
    archived: Archived,
    what: &str,
    happened: &str,
    on_the_shop: &str,
) -> Result<(), Stop> {
    if archived != Archived::Problem {
        return Ok(());
    }
    Err(flow
        .subject
        .problem(
            &format!("{what}_{happened}_in_the_erp"),
            "",
            format!("The {what} was {happened} in the ERP; {on_the_shop} is still there on the shop."),
            "Archive or delete it on the shop or leave it, then discard this job. `archived` in the mapping says what happens without asking.",
        )
        .into())
}

/// A record of the ERP that is not to be made on the shop.
fn left_alone(flow: &Flow<'_>, reason: &str) -> Stop {
    flow.note("left_alone", serde_json::json!({ "reason": reason }));
    flow.nothing_to_do("left_alone_by_the_mapping")
}
