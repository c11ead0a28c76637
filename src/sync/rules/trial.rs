//! What the rules would say of a record of the shop now. Nothing is written. The ERP is asked once for what the rules read of its
//! company, and only where they do.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{FirstTime, OUT_OF_SCOPE, values_of};
use crate::domain::{Canonical as _, Direction, Fact, Object, ShopName, ShopifyId};
use crate::sync::flow::{Flow, Learnt};
use crate::sync::preview::nobodys_job;
use crate::sync::stop::{Stop, Subject};
use crate::sync::writes::Writes;
use crate::sync::{Engine, PreviewError, ShopContext};

/// What the rules say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ruling {
    /// It is carried over.
    Carried,
    /// It is out of scope, by this rule.
    OutOfScope(String),
    /// It waits for a person, for these reasons.
    Waits(Vec<String>),
    /// A rule cannot be worked out for it.
    Fails(String),
}

/// What the rules say of one record after the other: what the first one brings is not new in the second.
#[derive(Debug, Default)]
pub struct Series {
    seen: BTreeSet<(FirstTime, String)>,
    /// What the rules may read of the ERP's company; none until it was asked for.
    learnt: Option<Learnt>,
}

impl Engine {
    /// What the rules would say of a record of the shop, and its name for people. None where the shop does not have it.
    ///
    /// # Errors
    /// When the shop cannot be asked.
    pub async fn try_rules(
        &self,
        shop: &ShopName,
        object: Object,
        id: ShopifyId,
        series: &mut Series,
    ) -> Result<Option<(String, Ruling)>, PreviewError> {
        let Some(shop) = self.shop(shop) else {
            return Err(PreviewError::UnknownShop(shop.clone()));
        };
        let mappings = Arc::clone(&shop.mappings.borrow());
        let subject = Subject {
            record: None,
            owner: shop.owner.clone(),
            mapping: None,
        };
        let job = nobodys_job(shop, object, Direction::In, id.to_string());
        let writes = Writes::default();
        let mut flow = Flow::new(shop, &job, mappings, subject, &writes);
        if let Some(learnt) = &series.learnt {
            flow.knows(learnt.clone());
        } else if reads_settings(shop, object) {
            flow.learn().await.map_err(unasked)?;
            series.learnt = Some(flow.learnt());
        }
        let select = flow.select(object);
        let said = match object {
            Object::Order => match shop.source.order(id, select).await.map_err(unread)? {
                Some(order) => {
                    let mut ruling = judged(&flow, &order.fact());
                    if !matches!(ruling, Ruling::OutOfScope(_)) {
                        let first = flow.first_seen(&order).await.map_err(failed)?;
                        let first = first.into_iter().filter(|new| !series.seen.contains(new));
                        let why = first.map(|(kind, value)| first_time(kind, &value)).collect();
                        ruling = with(ruling, why);
                        series.seen.extend(values_of(&order));
                    }
                    Some((order.name, ruling))
                }
                None => None,
            },
            Object::Customer => {
                let record = shop.source.customer(id, select).await.map_err(unread)?;
                record.map(|record| (format!("customer {id}"), judged(&flow, &record.fact())))
            }
            Object::Product => {
                let record = shop.source.product(id, select).await.map_err(unread)?;
                record.map(|record| {
                    let ruling = judged(&flow, &record.fact());
                    (record.title, ruling)
                })
            }
            Object::Inventory | Object::Shop => return Err(PreviewError::Unsupported(object)),
        };
        Ok(said.map(|(name, ruling)| (name, manual(shop, object, ruling))))
    }
}

/// Whether a rule about these records reads what only the ERP can tell.
fn reads_settings(shop: &ShopContext, object: Object) -> bool {
    let rules = [
        shop.rules.scope(object, Direction::In),
        shop.rules.review(object, Direction::In),
    ];
    rules
        .iter()
        .flatten()
        .any(|rule| rule.text().contains("settings"))
}

/// Why an order waits that brings something new.
pub(super) fn first_time(kind: FirstTime, value: &str) -> String {
    format!("the {kind} {value} is seen for the first time")
}

fn judged(flow: &Flow<'_>, record: &Fact) -> Ruling {
    match flow.judge(record) {
        Err(Stop::Obsolete(reason)) if reason == OUT_OF_SCOPE => {
            let key = &flow.job.key;
            let rule = flow.shop.rules.scope(key.object, key.direction);
            Ruling::OutOfScope(rule.map_or_else(String::new, |rule| rule.text().to_owned()))
        }
        Err(stop) => Ruling::Fails(stop.to_string()),
        Ok(()) => with(Ruling::Carried, flow.reasons_to_wait()),
    }
}

/// With more reasons to wait.
fn with(ruling: Ruling, more: Vec<String>) -> Ruling {
    match ruling {
        ruling if more.is_empty() => ruling,
        Ruling::Carried => Ruling::Waits(more),
        Ruling::Waits(mut why) => {
            why.extend(more);
            Ruling::Waits(why)
        }
        other => other,
    }
}

fn manual(shop: &ShopContext, object: Object, ruling: Ruling) -> Ruling {
    let manual = shop.rules.manual(object, Direction::In);
    let why = manual.map(|manual| format!("all plans of {object}.in wait until {}", manual.until));
    with(ruling, why.into_iter().collect())
}

fn unread(error: crate::shopify::ShopifyError) -> PreviewError {
    PreviewError::Failed {
        reason: error.to_string(),
        fix: error.fix(),
    }
}

fn unasked(stop: Stop) -> PreviewError {
    PreviewError::Failed {
        reason: stop.to_string(),
        fix: "Make sure that the ERP can be reached, then try again.".to_owned(),
    }
}

fn failed(stop: Stop) -> PreviewError {
    PreviewError::Failed {
        reason: stop.to_string(),
        fix: "Look at the store, then try again.".to_owned(),
    }
}
