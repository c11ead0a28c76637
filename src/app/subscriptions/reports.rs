//! What came of looking at subscriptions or changing them, for programs: the same through the API and `--json`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::{Applying, Installation, ListRow, Listed, Planned, SubscriptionsError, notes};
use crate::domain::ShopName;
use crate::store::StoreError;
use crate::subscriptions::{Applied, Changed, PlanLine};

/// The plans of some shops.
#[derive(Debug, Serialize, JsonSchema)]
pub struct PlanReports {
    /// Shop by shop.
    pub shops: Vec<PlanReport>,
    /// Shops that are not declared any more, with how many subscriptions stand there.
    pub left_behind: BTreeMap<String, usize>,
}

/// A shop's plan, or why there is none.
#[derive(Debug, Serialize, JsonSchema)]
pub struct PlanReport {
    /// The shop.
    pub shop: ShopName,
    /// Why there is no plan.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorReport>,
    /// What tells this plan from others: who agrees to it names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hash: Option<String>,
    /// What is wanted or was found, and what is to be done about it.
    pub lines: Vec<PlanLine>,
    /// What should be looked at although nothing is to be done.
    pub notes: Vec<String>,
}

/// Why something could not be done for a shop.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ErrorReport {
    /// Stable.
    pub code: &'static str,
    /// A sentence.
    pub reason: String,
    /// What to do.
    pub fix: String,
}

impl From<&SubscriptionsError> for ErrorReport {
    fn from(error: &SubscriptionsError) -> Self {
        Self {
            code: error.code(),
            reason: error.to_string(),
            fix: error.fix(),
        }
    }
}

/// The subscriptions of one shop, or why they cannot be seen.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ListReport {
    /// The shop.
    pub shop: ShopName,
    /// Why they cannot be seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorReport>,
    /// By topic.
    pub rows: Vec<ListRow>,
    /// What should be looked at although nothing is to be done.
    pub notes: Vec<String>,
}

/// What became of a shop's changes.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ApplyReport {
    /// The shop.
    pub shop: ShopName,
    /// Why nothing was done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorReport>,
    /// Whether the shop is now as it is wanted.
    pub is_complete: bool,
    /// Change by change.
    pub results: Vec<Changed>,
}

/// Plans with their notes.
///
/// # Errors
/// When the store fails.
pub async fn report_plans(
    at: &Installation,
    planned: Vec<(ShopName, Result<Planned, SubscriptionsError>)>,
    left_behind: BTreeMap<ShopName, usize>,
) -> Result<PlanReports, StoreError> {
    let mut shops = Vec::new();
    for (shop, result) in planned {
        shops.push(match result {
            Ok(planned) => PlanReport {
                shop,
                error: None,
                hash: Some(planned.plan.hash()),
                notes: notes(at, &planned).await?,
                lines: planned.plan.lines,
            },
            Err(error) => PlanReport {
                shop,
                error: Some(ErrorReport::from(&error)),
                hash: None,
                lines: Vec::new(),
                notes: Vec::new(),
            },
        });
    }
    let left_behind = left_behind
        .into_iter()
        .map(|(shop, standing)| (shop.to_string(), standing))
        .collect();
    Ok(PlanReports { shops, left_behind })
}

/// Lists.
pub fn report_lists(listed: Vec<(ShopName, Result<Listed, SubscriptionsError>)>) -> Vec<ListReport> {
    let report = |(shop, result)| match result {
        Ok(Listed { rows, notes, .. }) => ListReport {
            shop,
            error: None,
            rows,
            notes,
        },
        Err(error) => ListReport {
            shop,
            error: Some(ErrorReport::from(&error)),
            rows: Vec::new(),
            notes: Vec::new(),
        },
    };
    listed.into_iter().map(report).collect()
}

/// Whether a shop is as it is wanted after this.
pub fn is_complete(result: &Result<Vec<Applied>, SubscriptionsError>) -> bool {
    result
        .as_ref()
        .is_ok_and(|rounds| rounds.last().is_some_and(Applied::is_complete))
}

/// What was done.
pub fn report_applied(done: &[Applying]) -> Vec<ApplyReport> {
    done.iter()
        .map(|(shop, result)| ApplyReport {
            shop: shop.clone(),
            error: result.as_ref().err().map(ErrorReport::from),
            is_complete: is_complete(result),
            results: result
                .iter()
                .flatten()
                .flat_map(|round| round.results.iter().cloned())
                .collect(),
        })
        .collect()
}
