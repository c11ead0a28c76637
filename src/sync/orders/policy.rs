//! What the shop declares about odd orders: lines without a product, and a high risk of fraud.

use super::super::flow::Flow;
use super::super::stop::Stop;
use crate::domain::{BookedLine, LineKind, Order, Risk};
use crate::mapping::{Mapped, Stage};
use crate::sync::settings::{HighRisk, NoProduct};

/// Lines that a person has to decide about end the attempt before anything is made.
pub(in crate::sync) fn check_lines(flow: &Flow<'_>, order: &Order) -> Result<(), Stop> {
    let settings = &flow.shop.settings;
    let needs_a_person = |line: &&BookedLine| {
        let policy = if line.is_deleted_product() {
            settings.lines_of_deleted_products
        } else if line.is_custom {
            settings.custom_lines
        } else {
            return false;
        };
        policy == NoProduct::Problem && line.kind == LineKind::Product && !line.quantity.is_zero()
    };
    let Some(line) = order.lines.iter().find(needs_a_person) else {
        return Ok(());
    };
    let (code, why, setting) = if line.is_custom {
        ("custom_line", "never had a product", "custom_lines")
    } else {
        (
            "deleted_product",
            "had a product that was deleted on Shopify since",
            "lines_of_deleted_products",
        )
    };
    let mut problem = flow.subject.problem(
        code,
        line.sku.as_deref().unwrap_or(&line.key),
        format!("The line `{}` ({}) {why}.", line.title, line.key),
        &format!(
            "Enter the order in the ERP by hand and discard this job; or say `{setting} = \"fallback\"` in the shop's flow, \
             which books such lines on the service product `custom`, then retry."
        ),
    );
    problem.field = Some(format!("lines[{}]", line.key));
    Err(problem.into())
}

/// Whether the order waits for a person because of its risk; it is then carried no further than a quotation.
pub(super) fn hold(flow: &Flow<'_>, order: &Order, mapped: &mut Mapped) -> bool {
    let risky = order.risk == Risk::High && flow.shop.settings.high_risk == HighRisk::Hold;
    if risky && mapped.stage == Some(Stage::Confirmed) {
        mapped.stage = Some(Stage::Quotation);
    }
    risky
}

/// That a person has to look at it.
pub(super) fn high_risk(flow: &Flow<'_>, order: &Order) -> Stop {
    let mut problem = flow.subject.problem(
        "high_fraud_risk",
        "",
        format!(
            "Shopify holds the order {} to be a likely fraud and recommends to cancel it. It stands in the ERP as a quotation.",
            order.name
        ),
        "Look at the fraud analysis on Shopify. If the sale is good, confirm the quotation in the ERP and retry; if it is not, cancel the order on Shopify.",
    );
    problem.field = Some("risk".into());
    problem.into()
}
