//! `lockstep jobs resolve --keep`: whose value is kept where both sides changed a field.

use super::super::failure::Failure;
use super::super::output::Output;
use super::unknown;
use crate::app;
use crate::app::review::{ChoiceError, Keep, Reviewer};
use crate::config::Config;
use crate::domain::JobId;
use crate::store::SharedStore;

/// The side whose value is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(in crate::cli) enum Side {
    Shopify,
    Erp,
}

pub(super) async fn run(
    output: Output,
    id: JobId,
    side: Side,
    field: Option<&str>,
    reason: Option<&str>,
    reviewer: &Reviewer,
    (config, store): (&Config, &SharedStore),
) -> Result<(), Failure> {
    let (keep, whose) = match side {
        Side::Shopify => (Keep::Shopify, "Shopify's"),
        Side::Erp => (Keep::Erp, "the ERP's"),
    };
    let chosen = reviewer.choose(id, keep, field, reason).await;
    let chosen = chosen.map_err(|error| match error {
        ChoiceError::Unknown(_) => unknown(id),
        ChoiceError::Store(error) => error.into(),
        ChoiceError::NotAsked { .. } | ChoiceError::Choose(_) => {
            Failure::new(error.to_string()).help(format!("`lockstep jobs show {id}` says what it asks"))
        }
    })?;
    app::ring::ring(config, store).await;
    if output.json {
        return output.document(&serde_json::json!({ "job": id, "keep": keep, "fields": chosen }));
    }
    output.table(
        ["OF", "FIELD", "ON SHOPIFY", "IN THE ERP", "KEPT"],
        chosen.into_iter().map(|conflict| {
            [
                conflict.of.unwrap_or_default(),
                conflict.field,
                conflict.shopify,
                conflict.erp,
                whose.to_owned(),
            ]
        }),
    );
    output.line(format!("job {id} is tried again now"));
    Ok(())
}
