//! Whether a credit note gives back the taxes that Shopify gave back: the total may be right with the wrong tax in it.

use std::collections::{BTreeMap, BTreeSet};

use rust_decimal::Decimal;
use serde_json::json;

use super::super::super::flow::Flow;
use super::super::super::stop::Stop;
use super::super::super::totals::{RateTax, differing};
use crate::domain::{ErpId, FieldValue, Order, Refund, round_half_up};
use crate::erp::{Document, Find, Row};

/// More lines than a credit note has, and more taxes.
const MANY: u32 = 10_000;

/// One line of a document: its taxes, what they come to, and its total.
struct TaxedLine {
    taxes: Vec<ErpId>,
    tax: Decimal,
    total: Decimal,
}

/// Compares the tax in sum and for each rate. `rates` is Shopify's tax by percentage.
pub(super) async fn prove(
    flow: &Flow<'_>,
    order: &Order,
    refund: &Refund,
    document: &Document,
    rates: BTreeMap<Decimal, Decimal>,
) -> Result<(), Stop> {
    let currency = order.currency;
    let tolerance = flow.shop.settings.tax_tolerance_in(currency);
    let shop: Decimal = rates.values().sum();
    let lines = lines(flow, document.id).await?;
    let percentages = percentages(flow, &lines).await?;
    let rates = percentages.map(|known| compared(rates, &lines, &known, document, order));
    let difference = round_half_up(shop - document.tax, currency.decimals());
    let what = if difference.abs() > tolerance {
        format!("its tax differs by {difference}")
    } else if let Some(rate) = rates
        .as_deref()
        .and_then(|all| differing(all, currency, tolerance))
    {
        format!(
            "the tax of {} is {} on Shopify and {} in the ERP",
            rate.name, rate.shop, rate.erp
        )
    } else {
        return Ok(());
    };
    let mut problem = flow.subject.problem(
        "refund_tax_differs",
        "",
        format!(
            "The refund {} gives back {shop} {currency} of tax on Shopify, its credit note {} {} {currency}: {what}. It is left a draft.",
            refund.id,
            document.label(),
            document.tax,
        ),
        "Correct the taxes of the lines of the draft credit note, or post it as it is if its taxes are right; then retry.",
    );
    problem.field = Some("amount_tax".into());
    problem.detail = json!({
        "refund": refund.id, "shopify": shop, "erp": document.tax, "document": document.id, "by_rate": rates,
    });
    Err(problem.into())
}

/// Both sides of each rate.
fn compared(
    shop: BTreeMap<Decimal, Decimal>,
    lines: &[TaxedLine],
    percentages: &BTreeMap<ErpId, Decimal>,
    document: &Document,
    order: &Order,
) -> Vec<RateTax> {
    let named = |percent: &Decimal| RateTax {
        name: format!("{} %", percent.normalize()),
        ..RateTax::default()
    };
    let mut rates: BTreeMap<Decimal, RateTax> = BTreeMap::new();
    for (percent, tax) in shop {
        rates.entry(percent).or_insert_with(|| named(&percent)).shop += tax;
    }
    // A company that rounds per document rounds the lines only to show them, and then they need not add up.
    let half = Decimal::new(5, order.currency.decimals() + 1);
    let sum = |of: fn(&TaxedLine) -> Decimal| lines.iter().map(of).sum::<Decimal>();
    let exact = sum(|line| line.total) == document.total && sum(|line| line.tax) == document.tax;
    for line in lines {
        let percent = line.taxes.iter().filter_map(|tax| percentages.get(tax)).sum();
        let rate = rates.entry(percent).or_insert_with(|| named(&percent));
        rate.erp += line.tax;
        if !exact {
            rate.unsure += half;
        }
    }
    rates.into_values().collect()
}

/// The percentages of the taxes; none where one of them is no plain percentage, so that only the sum can be compared.
async fn percentages(flow: &Flow<'_>, lines: &[TaxedLine]) -> Result<Option<BTreeMap<ErpId, Decimal>>, Stop> {
    let ids: BTreeSet<ErpId> = lines.iter().flat_map(|line| line.taxes.iter().copied()).collect();
    if ids.is_empty() {
        return Ok(Some(BTreeMap::new()));
    }
    let find = Find {
        model: "account.tax".to_owned(),
        equal: vec![("amount_type".to_owned(), FieldValue::Text("percent".into()))],
        one_of: Some((
            "id".to_owned(),
            ids.iter().map(|id| FieldValue::Record(*id)).collect(),
        )),
        fields: vec!["amount".to_owned()],
        limit: MANY,
    };
    let rows = flow.shop.erp.find(&find).await?;
    let known: BTreeMap<ErpId, Decimal> = rows.iter().map(|row| (row.id, amount(row, "amount"))).collect();
    Ok((known.len() == ids.len()).then_some(known))
}

fn amount(row: &Row, field: &str) -> Decimal {
    match row.fields.get(field) {
        Some(FieldValue::Decimal(amount)) => *amount,
        _ => Decimal::ZERO,
    }
}

/// The lines of a document that stand for something; not those of its entry in the books.
async fn lines(flow: &Flow<'_>, document: ErpId) -> Result<Vec<TaxedLine>, Stop> {
    let fields = ["tax_ids", "price_subtotal", "price_total", "display_type"];
    let find = Find {
        model: "account.move.line".to_owned(),
        equal: vec![("move_id".to_owned(), FieldValue::Record(document))],
        one_of: None,
        fields: fields.map(str::to_owned).to_vec(),
        limit: MANY,
    };
    let rows = flow.shop.erp.find(&find).await?;
    let stands = rows.iter().filter(|row| match row.fields.get("display_type") {
        Some(FieldValue::Text(kind)) => kind == "product",
        _ => true,
    });
    Ok(stands
        .map(|row| {
            let taxes = match row.fields.get("tax_ids") {
                Some(FieldValue::Records(taxes)) => taxes.clone(),
                _ => Vec::new(),
            };
            let total = amount(row, "price_total");
            TaxedLine {
                taxes,
                tax: total - amount(row, "price_subtotal"),
                total,
            }
        })
        .collect())
}
