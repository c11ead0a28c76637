//! Whether a credit note gives back the taxes that Shopify gave back: the total may be right with the wrong tax in it.
//!
//! Each line of the note has the taxes of its order's line, whatever the mapping took for Shopify's rate, so the amounts are
//! compared for each set of them, as those of the order are. Finance may correct a draft with other taxes than the order's:
//! then the amounts are right for each percentage.

use std::collections::{BTreeMap, BTreeSet};

use rust_decimal::Decimal;
use serde_json::json;

use super::super::super::flow::Flow;
use super::super::super::stop::Stop;
use super::super::super::totals::{RateTax, differing, sorted};
use super::draft::GivenBack;
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

/// Compares the tax in sum and for each rate.
pub(super) async fn prove(
    flow: &Flow<'_>,
    order: &Order,
    refund: &Refund,
    document: &Document,
    given_back: &[GivenBack],
) -> Result<(), Stop> {
    let currency = order.currency;
    let tolerance = flow.shop.settings.tax_tolerance_in(currency);
    let shop: Decimal = given_back.iter().map(|given| given.tax).sum();
    let lines = lines(flow, document.id).await?;
    let unsure = unsure(&lines, document, order);
    let mut rates = by_taxes(given_back, &lines, unsure);
    if differing(&rates, currency, tolerance).is_some()
        && let Some(known) = percentages(flow, &lines).await?
    {
        rates = by_percentage(given_back, &lines, &known, unsure);
    }
    let difference = round_half_up(shop - document.tax, currency.decimals());
    let what = if difference.abs() > tolerance {
        format!("its tax differs by {difference}")
    } else if let Some(rate) = differing(&rates, currency, tolerance) {
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

/// By how much each line's tax may be off: a company that rounds per document rounds the lines only to show them, and then
/// they need not add up.
fn unsure(lines: &[TaxedLine], document: &Document, order: &Order) -> Decimal {
    let sum = |of: fn(&TaxedLine) -> Decimal| lines.iter().map(of).sum::<Decimal>();
    if sum(|line| line.total) == document.total && sum(|line| line.tax) == document.tax {
        Decimal::ZERO
    } else {
        Decimal::new(5, order.currency.decimals() + 1)
    }
}

/// Both sides of each set of the ERP's taxes.
fn by_taxes(given_back: &[GivenBack], lines: &[TaxedLine], unsure: Decimal) -> Vec<RateTax> {
    let mut rates: BTreeMap<Vec<ErpId>, RateTax> = BTreeMap::new();
    for given in given_back {
        let rate = rates.entry(sorted(&given.taxes)).or_default();
        rate.shop += given.tax;
        if rate.name.is_empty() {
            rate.name = in_percent(given.percent);
        }
    }
    for line in lines {
        let rate = rates.entry(sorted(&line.taxes)).or_default();
        rate.erp += line.tax;
        rate.unsure += unsure;
        if rate.name.is_empty() {
            let ids: Vec<String> = line.taxes.iter().map(|tax| format!("#{tax}")).collect();
            rate.name = format!("the ERP's tax {}", ids.join(" + "));
        }
    }
    rates.into_values().collect()
}

/// Both sides of each percentage.
fn by_percentage(
    given_back: &[GivenBack],
    lines: &[TaxedLine],
    percentages: &BTreeMap<ErpId, Decimal>,
    unsure: Decimal,
) -> Vec<RateTax> {
    let mut rates: BTreeMap<Decimal, RateTax> = BTreeMap::new();
    let named = |percent: Decimal| RateTax {
        name: in_percent(percent),
        ..RateTax::default()
    };
    for given in given_back {
        let rate = rates.entry(given.percent).or_insert_with(|| named(given.percent));
        rate.shop += given.tax;
    }
    for line in lines {
        let percent = line.taxes.iter().filter_map(|tax| percentages.get(tax)).sum();
        let rate = rates.entry(percent).or_insert_with(|| named(percent));
        rate.erp += line.tax;
        rate.unsure += unsure;
    }
    rates.into_values().collect()
}

fn in_percent(rate: Decimal) -> String {
    format!("{} %", rate.normalize())
}

/// The percentages of the taxes; none where one of them is no plain percentage.
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
