//! The currency of prices: the ERP's are in its company's, the shop's in its own, and nothing is converted.

use serde_json::json;

use super::super::super::flow::Flow;
use super::super::super::stop::Stop;
use super::variants::rows;
use crate::mapping::Mapped;

/// The fields of a variant that are amounts.
const AMOUNTS: [&str; 3] = ["price", "compare_at_price", "cost"];

/// Sees to it that both sides reckon in one currency, where the mapping sends amounts.
pub(super) async fn is_one(flow: &Flow<'_>, mapped: &Mapped) -> Result<(), Stop> {
    let rows = rows(mapped);
    let mut fields = rows.iter().flat_map(|(_, row)| &row.fields);
    let Some(amount) = fields.find(|field| AMOUNTS.contains(&&*field.target)) else {
        return Ok(());
    };
    let Some(theirs) = flow.company_currency() else {
        return Ok(());
    };
    let ours = flow.shop.target.currency().await?;
    if ours.as_str() == theirs {
        return Ok(());
    }
    let mut problem = flow.subject.problem(
        "currency_differs",
        &format!("{ours}:{theirs}"),
        format!("The ERP's company reckons in {theirs} and the shop in {ours}: an amount would be sent as another one."),
        "Remove `price`, `compare_at_price` and `cost` from product.out.toml (prices are then kept on the shop), or connect a company that reckons in the shop's currency. Then retry.",
    );
    problem.field = Some(amount.target.to_string());
    problem.detail = json!({ "shopify": ours.as_str(), "erp": theirs });
    Err(problem.into())
}
