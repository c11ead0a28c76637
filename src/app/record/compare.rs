//! Both sides field by field, as people read it: differences first.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;
use tokio::sync::watch;

use super::Wanted;
use crate::app::daemon;
use crate::app::review::Said;
use crate::domain::{Direction, NewProblem, SharedClock, SharedEntropy, ShopifyId, SystemEntropy};
use crate::mapping::Mappings;
use crate::store::SharedStore;
use crate::sync::{Comparison, Engine, Preview, PreviewError, ShopContext, Source, Target};

/// Both sides of a record, compared now.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct Compared {
    /// Each direction that is carried out.
    pub ways: Vec<Way>,
    /// Why they could not be compared.
    pub failure: Option<String>,
}

/// One direction.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Way {
    /// Which.
    pub direction: Direction,
    /// Whether it is switched on.
    pub is_carried: bool,
    /// One sentence: what would happen now.
    pub verdict: String,
    /// Fields that differ.
    pub differences: Vec<ComparedRow>,
    /// Fields that differ as they did when both sides last agreed: two forms of one value, say.
    pub agreed: Vec<ComparedRow>,
    /// Fields that are the same.
    pub same: Vec<ComparedRow>,
    /// What would be made, removed, confirmed or cancelled, and what would follow then.
    pub acts: Vec<String>,
    /// What would need a person.
    pub problem: Option<NewProblem>,
}

/// One field on both sides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ComparedRow {
    /// The record of the side that is written to, e.g. `sale.order.line 7`.
    pub record: String,
    /// What it stands for, e.g. the key of an order's line.
    pub part: String,
    /// The field of the side that is written to.
    pub field: String,
    /// Shopify's value, in the form that the mapping gives it.
    pub shopify: String,
    /// The ERP's, likewise.
    pub erp: String,
    /// Whether the difference would be written; if not, it is left as it is.
    pub is_written: bool,
}

impl Compared {
    /// Nothing could be compared.
    pub(super) fn failed(why: impl Into<String>) -> Self {
        Self {
            ways: Vec::new(),
            failure: Some(why.into()),
        }
    }
}

/// A shop ready to be looked at with the clients that are in use.
///
/// # Errors
/// When the shop cannot be connected.
pub(in crate::app) fn ready(
    shop: &crate::config::Shop,
    said: &Said,
    store: &SharedStore,
    clock: &SharedClock,
    mappings: Arc<Mappings>,
) -> Result<ShopContext, daemon::StartError> {
    let entropy: SharedEntropy = Arc::new(SystemEntropy);
    let mappings = watch::Sender::new(mappings);
    let context = daemon::context(shop, &mappings, store, clock, &entropy)?;
    Ok(ShopContext {
        source: Arc::clone(&said.shopify) as Arc<dyn Source>,
        target: Arc::clone(&said.shopify) as Arc<dyn Target>,
        erp: Arc::clone(&said.erp),
        ..context
    })
}

pub(super) async fn compare(
    store: &SharedStore,
    clock: &SharedClock,
    wanted: &Wanted<'_>,
    said: &Said,
    mappings: Arc<Mappings>,
    id: ShopifyId,
) -> Compared {
    let context = match ready(wanted.shop, said, store, clock, mappings) {
        Ok(context) => context,
        Err(error) => return Compared::failed(told(&error)),
    };
    let engine = Engine::new([context]);
    match engine.compare(&wanted.shop.name, wanted.object, id).await {
        Ok(Comparison {
            into_erp,
            out,
            is_carried,
        }) => {
            let into = into_erp.map(|preview| way(Direction::In, is_carried, preview));
            let out = out.map(|preview| way(Direction::Out, true, preview));
            Compared {
                ways: into.into_iter().chain(out).collect(),
                failure: None,
            }
        }
        Err(PreviewError::Failed { reason, .. }) => Compared::failed(reason),
        Err(error) => Compared::failed(format!("{}.", told(&error))),
    }
}

/// An error with what is behind it.
pub(in crate::app) fn told(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(below) = cause {
        text.push_str(": ");
        text.push_str(&below.to_string());
        cause = below.source();
    }
    text
}

fn way(direction: Direction, is_carried: bool, preview: Preview) -> Way {
    let (mut differences, mut agreed, mut same) = (Vec::new(), Vec::new(), Vec::new());
    for record in preview.compared.unwrap_or_default() {
        for field in record.fields {
            let (shopify, erp) = match direction {
                Direction::In => (field.wanted, field.held),
                Direction::Out => (field.held, field.wanted),
            };
            let rows = match (field.differs, field.is_agreed && !field.is_written) {
                (false, _) => &mut same,
                (true, true) => &mut agreed,
                (true, false) => &mut differences,
            };
            rows.push(ComparedRow {
                record: format!("{} {}", record.model, record.record),
                part: record.part.clone(),
                field: field.field,
                shopify,
                erp,
                is_written: field.is_written,
            });
        }
    }
    // What would be written comes before what is left as it is.
    differences.sort_by_key(|row| !row.is_written);
    let mut acts: Vec<String> = preview
        .writes
        .iter()
        .filter(|write| write.action != "update")
        .map(|write| format!("{} {} {}", write.action, write.model, write.record))
        .collect();
    acts.extend(
        preview
            .steps
            .iter()
            .map(|step| format!("{}: {}", step.act, step.what)),
    );
    Way {
        direction,
        is_carried,
        verdict: preview.verdict,
        differences,
        agreed,
        same,
        acts,
        problem: preview.problem,
    }
}
