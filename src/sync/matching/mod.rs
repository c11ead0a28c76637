//! Linking a whole catalogue by the mappings' matching keys. Nothing is written on either system: only links are made, in the
//! state `adopted`, so that the first write of every record meets its other side.
//!
//! Both sides are read page by page. Of a record that is not linked yet only its number, its name and hashes of its keys are
//! kept. Whatever is linked stays, so doing it again, or after a crash, goes on from there.

mod count;
mod pairing;
mod read;
mod rules;

use std::time::Duration;

use serde::Serialize;
use uuid::Uuid;

pub use self::count::OutCounts;
use self::pairing::{Doubt, Node, Pair, pair};
use self::read::{Catalogue, read};
use super::flow::Flow;
use super::stop::{Stop, Subject};
use super::writes::Writes;
use super::{Engine, ShopContext, preview};
use crate::domain::{
    Direction, ErpId, Link, LinkKind, LinkState, Object, Outcome, RecordKey, ShopName, System,
};
use crate::failpoint::{FailPoint, reach};
use crate::store::{Adopted, Adoption};

/// What was found, and what was done about it.
#[derive(Clone, Debug, Serialize)]
pub struct Matched {
    /// The shop.
    pub shop: ShopName,
    /// What was matched.
    pub object: Object,
    /// Whether only looked.
    pub dry_run: bool,
    /// Records of the shop.
    pub on_shopify: u64,
    /// Records of the ERP that are not archived.
    pub in_erp: u64,
    /// Pairs that are linked from now on; with `dry_run` those that would be.
    pub linked: Vec<MatchedPair>,
    /// Records of the shop that were linked already.
    pub linked_before: u64,
    /// Records of which nobody can tell which is which.
    pub ambiguous: Vec<Ambiguity>,
    /// Pairs that were not linked because somebody else worked on them at that moment.
    pub busy: Vec<MatchedPair>,
    /// Records of the shop that nothing in the ERP is like.
    pub unmatched_on_shopify: Vec<NamedRecord>,
    /// Records of the ERP that nothing on the shop is like.
    pub unmatched_in_erp: Vec<NamedRecord>,
    /// Other records of the ERP that nothing is like, and that the mapping never makes on the shop.
    pub left_alone_in_erp: u64,
    /// Records of the shop whose keys Shopify keeps from the app.
    pub withheld: u64,
    /// Records whose keys cannot be worked out, each with the reason.
    pub unreadable: Vec<String>,
}

/// A record by its number, and its name for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NamedRecord {
    /// Its number on its side.
    pub id: i64,
    /// Its name.
    pub name: String,
}

/// Two records that are the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MatchedPair {
    /// The shop's.
    pub shopify: NamedRecord,
    /// The ERP's.
    pub erp: NamedRecord,
    /// Their variants: the shop's number and the ERP's.
    pub variants: Vec<(i64, i64)>,
}

/// Records of which nobody can tell which is which.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Ambiguity {
    /// Why.
    pub reason: String,
    /// Those of the shop.
    pub shopify: Vec<NamedRecord>,
    /// Those of the ERP.
    pub erp: Vec<NamedRecord>,
}

/// How far it is, for whoever waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MatchProgress {
    /// So many records of the shop are read.
    Shopify(u64),
    /// So many records of the ERP are read.
    Erp(u64),
    /// So many pairs are linked.
    Linked(u64),
}

/// Why a catalogue was not matched, or not to the end. Links that were made stay.
#[derive(Debug, thiserror::Error)]
pub enum MatchError {
    /// No such shop in the configuration.
    #[error("the configuration has no shop `{0}`")]
    UnknownShop(ShopName),
    /// Nothing of this kind is matched.
    #[error("only customers and products are matched, and stock follows its product's variants")]
    Unsupported,
    /// No mapping says how records are recognised.
    #[error("neither mapping of {0} has [[match]], so nothing says which records are the same")]
    NoKeys(Object),
    /// It is being done already.
    #[error("the {0}s of this shop are being matched by another process at this moment")]
    Elsewhere(Object),
    /// A side could not be asked.
    #[error("{reason}")]
    Failed {
        /// What went wrong.
        reason: String,
        /// What to do.
        fix: String,
    },
}

/// Pairs that are linked in one transaction.
const TOGETHER: usize = 50;

/// How long the right to match is kept without a sign of life.
const LEASE: Duration = Duration::from_mins(5);

impl Engine {
    /// Links the records of an object that exist on both sides; with `dry_run` only says what would be.
    ///
    /// # Errors
    /// When a side cannot be asked, or it is being done already.
    pub async fn match_records(
        &self,
        shop: &ShopName,
        object: Object,
        dry_run: bool,
        progress: &(dyn Fn(MatchProgress) + Sync),
    ) -> Result<Matched, MatchError> {
        let Some(context) = self.shop(shop) else {
            return Err(MatchError::UnknownShop(shop.clone()));
        };
        if !matches!(object, Object::Customer | Object::Product) {
            return Err(MatchError::Unsupported);
        }
        let right = Right::of(context, object);
        if !dry_run && !right.take().await? {
            return Err(MatchError::Elsewhere(object));
        }
        let matched = matched(context, object, dry_run, &right, progress).await;
        if !dry_run {
            right.give_back().await;
        }
        matched
    }
}

/// The right to link the records of an object, which one process has at a time.
pub(super) struct Right<'a> {
    shop: &'a ShopContext,
    name: String,
    holder: String,
}

impl<'a> Right<'a> {
    fn of(shop: &'a ShopContext, object: Object) -> Self {
        Self {
            shop,
            name: format!("match:{}:{object}", shop.name),
            holder: format!("match {}", Uuid::new_v4()),
        }
    }

    /// Takes it, or keeps it for longer.
    async fn take(&self) -> Result<bool, MatchError> {
        let now = self.shop.clock.now();
        let taken = self
            .shop
            .store
            .take_lease(&self.name, &self.holder, now, now.plus(LEASE))
            .await;
        taken.map_err(|error| told(self.shop, error.into()))
    }

    async fn give_back(&self) {
        if let Err(error) = self.shop.store.release_lease(&self.name, &self.holder).await {
            tracing::debug!(error = %error, "a lease was not given back; it ends by itself");
        }
    }
}

async fn matched(
    shop: &ShopContext,
    object: Object,
    dry_run: bool,
    right: &Right<'_>,
    progress: &(dyn Fn(MatchProgress) + Sync),
) -> Result<Matched, MatchError> {
    let mappings = std::sync::Arc::clone(&shop.mappings.borrow());
    let subject = Subject {
        record: None,
        owner: shop.owner.clone(),
        mapping: None,
    };
    let job = preview::nobodys_job(shop, object, Direction::In, String::new());
    let writes = Writes::default();
    let mut flow = Flow::new(shop, &job, mappings, subject, &writes);
    let failed = |stop: Stop| told(shop, stop);
    flow.learn().await.map_err(failed)?;
    let catalogue = read(&flow, object, progress).await.map_err(failed)?;
    let Some(catalogue) = catalogue else {
        return Err(MatchError::NoKeys(object));
    };
    let tokens = catalogue.tokens.clone();
    let found = pair(&catalogue.shop, &catalogue.erp, tokens);
    let mut matched = Matched {
        shop: shop.name.clone(),
        object,
        dry_run,
        on_shopify: catalogue.on_shopify,
        in_erp: catalogue.in_erp,
        linked: Vec::new(),
        linked_before: catalogue.linked_before,
        ambiguous: found
            .doubts
            .iter()
            .map(|doubt| ambiguity(&catalogue, doubt, object))
            .collect(),
        busy: Vec::new(),
        unmatched_on_shopify: named_all(&catalogue.shop, &found.alone_on_shop),
        unmatched_in_erp: Vec::new(),
        left_alone_in_erp: 0,
        withheld: catalogue.withheld,
        unreadable: catalogue.unreadable.clone(),
    };
    let (left_alone, alone): (Vec<usize>, Vec<usize>) = found
        .alone_in_erp
        .iter()
        .partition(|node| catalogue.left_alone.contains(node));
    matched.left_alone_in_erp = left_alone.len() as u64;
    matched.unmatched_in_erp = named_all(&catalogue.erp, &alone);
    for pairs in found.pairs.chunks(TOGETHER) {
        if dry_run {
            matched
                .linked
                .extend(pairs.iter().map(|pair| shown(&catalogue, pair)));
            continue;
        }
        if !right.take().await? {
            return Err(MatchError::Elsewhere(object));
        }
        let groups = pairs.iter().map(|pair| adoption(shop, object, &catalogue, pair));
        let adopted = shop
            .store
            .adopt_links(groups.collect(), shop.clock.now())
            .await
            .map_err(|error| failed(error.into()))?;
        reach(FailPoint::LinkAdopted)
            .await
            .map_err(|injected| failed(injected.into()))?;
        for (pair, adopted) in pairs.iter().zip(adopted) {
            let shown = shown(&catalogue, pair);
            match adopted {
                Adopted::Done => matched.linked.push(shown),
                Adopted::Busy | Adopted::Taken => matched.busy.push(shown),
            }
        }
        progress(MatchProgress::Linked(matched.linked.len() as u64));
    }
    if !dry_run {
        tracing::info!(
            shop = %shop.name, %object, linked = matched.linked.len(), ambiguous = matched.ambiguous.len(),
            "records of both sides linked by their keys"
        );
    }
    Ok(matched)
}

/// A stop as the error of whoever asked.
fn told(shop: &ShopContext, stop: Stop) -> MatchError {
    let reason = stop.to_string();
    let subject = Subject {
        record: None,
        owner: shop.owner.clone(),
        mapping: None,
    };
    match stop.outcome(&subject) {
        Outcome::Problem(problem) | Outcome::Held(problem) | Outcome::Failed { problem, .. } => {
            MatchError::Failed {
                reason: problem.reason,
                fix: problem.fix,
            }
        }
        _ => MatchError::Failed {
            reason,
            fix: "Do it again.".to_owned(),
        },
    }
}

fn named(node: &Node) -> NamedRecord {
    NamedRecord {
        id: node.id,
        name: node.name.clone(),
    }
}

fn named_all(nodes: &[Node], places: &[usize]) -> Vec<NamedRecord> {
    let mut records: Vec<NamedRecord> = places.iter().map(|place| named(&nodes[*place])).collect();
    records.sort_by_key(|record| record.id);
    records
}

fn shown(catalogue: &Catalogue, pair: &Pair) -> MatchedPair {
    MatchedPair {
        shopify: named(&catalogue.shop[pair.shop]),
        erp: named(&catalogue.erp[pair.erp]),
        variants: pair.parts.clone(),
    }
}

fn ambiguity(catalogue: &Catalogue, doubt: &Doubt, object: Object) -> Ambiguity {
    let reason = if doubt.parts_differ {
        "they share keys, but their variants do not fit one to one".to_owned()
    } else {
        format!("several {object}s share the same keys")
    };
    Ambiguity {
        reason,
        shopify: named_all(&catalogue.shop, &doubt.shop),
        erp: named_all(&catalogue.erp, &doubt.erp),
    }
}

/// The links of a pair, and what must not be in an attempt's hands while they are made.
fn adoption(shop: &ShopContext, object: Object, catalogue: &Catalogue, pair: &Pair) -> Adoption {
    let (ours, theirs) = (&catalogue.shop[pair.shop], &catalogue.erp[pair.erp]);
    let kind = match object {
        Object::Customer => LinkKind::Customer,
        _ => LinkKind::Product,
    };
    let link = |kind, ours: i64, model: &str, theirs: i64| Link {
        shop: shop.name.clone(),
        kind,
        source_id: ours.to_string(),
        model: model.to_owned(),
        erp_id: ErpId(theirs),
        erp_name: None,
        state: LinkState::Adopted,
        source_updated_at: None,
        agreed: serde_json::Value::Null,
        agreed_out: serde_json::Value::Null,
        writes: serde_json::Value::Null,
    };
    let mut links: Vec<Link> = catalogue.guests.get(&theirs.id).cloned().into_iter().collect();
    links.push(link(kind, ours.id, &catalogue.model, theirs.id));
    let parts = pair.parts.iter();
    links.extend(parts.map(|(ours, theirs)| link(LinkKind::Variant, *ours, &catalogue.part_model, *theirs)));
    let record = |system, model: &str, id: String| RecordKey {
        shop: shop.name.clone(),
        system,
        model: model.to_owned(),
        id,
    };
    let mut records = vec![
        record(System::Shopify, object.as_str(), ours.id.to_string()),
        record(System::Erp, object.as_str(), theirs.id.to_string()),
        record(System::Erp, &catalogue.model, theirs.id.to_string()),
    ];
    // Whoever looks for a partner by the same values has locked these.
    let locks = catalogue.locks.get(&ours.id).into_iter().flatten();
    records.extend(locks.map(|lock| record(System::Erp, &catalogue.model, lock.clone())));
    Adoption { records, links }
}
