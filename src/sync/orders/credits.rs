//! Credit notes of refunds: a draft each, known by the refund's own number, proven to be worth what Shopify says.

mod draft;
mod tax;

use std::collections::BTreeMap;

use rust_decimal::Decimal;
use serde_json::{Value, json};

use self::draft::Draft;
use super::super::flow::Flow;
use super::super::live;
use super::super::stop::Stop;
use super::refunds::{Credit, Decided, Made, credited, value};
use super::{REFERENCE, after, book, told};
use crate::domain::{
    ErpId, ExternalId, FieldValue, Fields, Link, LinkKind, LinkState, LookUp, Needed, Order, Refund, Scalar,
    ShopifyId, round_half_up,
};
use crate::erp::{Document, DocumentState, Find, Lines, SalesOrder, Save};
use crate::failpoint::{FailPoint, reach};
use crate::mapping::in_small_units;

pub(super) const DOCUMENT: &str = "account.move";

/// How many documents of one reference are looked at.
const MANY: u32 = 10;

/// What an order's link calls the decisions about credit notes that were begun and are not proven, by the refund's number.
pub(super) const UNPROVEN: &str = "unproven_credits";

/// The live links of the order's refunds.
async fn links(flow: &Flow<'_>, order: &Order) -> Result<Vec<Link>, Stop> {
    let ids: Vec<String> = order.refunds.iter().map(|refund| refund.id.to_string()).collect();
    let mut links = flow
        .shop
        .store
        .links(&flow.shop.name, LinkKind::Refund, &ids)
        .await?;
    links.retain(|link| link.state != LinkState::Retired);
    Ok(links)
}

/// The refunds that became credit notes before, with what of them.
pub(super) async fn made(flow: &Flow<'_>, order: &Order) -> Result<BTreeMap<ShopifyId, Made>, Stop> {
    if order.refunds.is_empty() {
        return Ok(BTreeMap::new());
    }
    let mut made: BTreeMap<ShopifyId, Made> = links(flow, order)
        .await?
        .into_iter()
        .filter_map(|link| {
            let credit = serde_json::from_value(link.agreed.get("credit")?.clone()).ok()?;
            let is_proven = true;
            Some((link.source_id.parse().ok()?, Made { credit, is_proven }))
        })
        .collect();
    let unproven = unproven(flow, order).await?.unwrap_or_default();
    for refund in &order.refunds {
        let known = unproven.get(refund.id.to_string());
        let credit = known.and_then(|known| serde_json::from_value(known.clone()).ok());
        let (Some(credit), false) = (credit, made.contains_key(&refund.id)) else {
            continue;
        };
        // If nothing came of the decision, it is taken anew.
        let key = flow.external_id(&reference(refund))?;
        if flow.shop.erp.identify(&key).await?.is_some() {
            let is_proven = false;
            made.insert(refund.id, Made { credit, is_proven });
        }
    }
    Ok(made)
}

/// The documents that stand for the order's refunds. Those that take nothing off what is invoiced of the order are not
/// among the documents that the ERP counts as the order's.
pub(super) async fn documents(flow: &Flow<'_>, order: &Order) -> Result<Vec<ErpId>, Stop> {
    if order.refunds.is_empty() {
        return Ok(Vec::new());
    }
    let links = links(flow, order).await?;
    Ok(links.into_iter().map(|link| link.erp_id).collect())
}

async fn order_link(flow: &Flow<'_>, order: &Order) -> Result<Option<Link>, Stop> {
    let ids = [order.id.to_string()];
    let links = flow
        .shop
        .store
        .links(&flow.shop.name, LinkKind::Order, &ids)
        .await?;
    Ok(live(links))
}

/// What the order's link knows of credit notes that are not proven.
pub(super) async fn unproven(flow: &Flow<'_>, order: &Order) -> Result<Option<Value>, Stop> {
    if order.refunds.is_empty() {
        return Ok(None);
    }
    let link = order_link(flow, order).await?;
    let Some(Value::Object(mut known)) = link.and_then(|link| link.agreed.get(UNPROVEN).cloned()) else {
        return Ok(None);
    };
    // What was proven since is linked.
    for link in links(flow, order).await? {
        known.remove(&link.source_id);
    }
    Ok((!known.is_empty()).then_some(Value::Object(known)))
}

/// Keeps what was decided before the first write: a draft credit note takes its units off what the ERP calls invoiced, so
/// that the same decision could not be taken again.
async fn remember(
    flow: &Flow<'_>,
    order: &Order,
    refund: &Refund,
    credit: &Credit,
    held: &SalesOrder,
) -> Result<(), Stop> {
    let mut link = order_link(flow, order).await?.unwrap_or_else(|| Link {
        shop: flow.shop.name.clone(),
        kind: LinkKind::Order,
        source_id: order.id.to_string(),
        model: "sale.order".to_owned(),
        erp_id: held.id,
        erp_name: Some(held.name.clone()),
        state: LinkState::Linked,
        source_updated_at: None,
        agreed: json!({ REFERENCE: held.reference, told::TOLD: told::kept(None) }),
        agreed_out: serde_json::Value::Null,
        writes: serde_json::Value::Null,
    });
    if !link.agreed.is_object() {
        link.agreed = json!({ REFERENCE: held.reference });
    }
    link.agreed[UNPROVEN][refund.id.to_string()] = json!(credit);
    flow.commit_links(vec![link]).await
}

/// A refund that still needs finance.
pub(super) struct Left {
    /// Its position in the order.
    pub(super) position: usize,
    /// What finance made for it, and does not stand for it.
    wrong: Vec<Document>,
}

/// Makes the credit notes that are missing, and looks for those that finance was asked for. Returns the refunds that
/// still need finance.
pub(super) async fn carry_out(
    flow: &Flow<'_>,
    order: &Order,
    decided: &Decided,
    held: &SalesOrder,
    lines: &BTreeMap<String, ErpId>,
    partner: Option<ErpId>,
) -> Result<Vec<Left>, Stop> {
    let mut left = Vec::new();
    for (position, credit) in &decided.credits {
        let refund = &order.refunds[*position];
        let document = if decided.finance.contains(position) {
            made_by_finance(flow, order, refund, credit).await?
        } else {
            Ok(note(flow, order, refund, credit, held, lines, partner).await?)
        };
        match document {
            Ok(document) => {
                flow.note(
                    "credit_note",
                    json!({ "refund": refund.id, "document": document.label(), "total": document.total }),
                );
                told::has_documents(flow, [&document]);
                flow.commit_links(vec![link(flow, refund, credit, &document)])
                    .await?;
            }
            Err(wrong) => left.push(Left {
                position: *position,
                wrong,
            }),
        }
    }
    Ok(left)
}

fn link(flow: &Flow<'_>, refund: &Refund, credit: &Credit, document: &Document) -> Link {
    Link {
        shop: flow.shop.name.clone(),
        kind: LinkKind::Refund,
        source_id: refund.id.to_string(),
        model: DOCUMENT.to_owned(),
        erp_id: document.id,
        erp_name: document.name.clone(),
        state: LinkState::Linked,
        source_updated_at: None,
        agreed: json!({ "credit": credit, "total": document.total }),
        agreed_out: serde_json::Value::Null,
        writes: serde_json::Value::Null,
    }
}

/// How finance names a credit note that it made for a refund, so that it is found.
pub(super) fn reference(refund: &Refund) -> String {
    format!("refund_{}", refund.id)
}

/// The document that finance made for a refund: the only one of its reference that is not cancelled, and worth what it is
/// to be worth. Else those that there are.
async fn made_by_finance(
    flow: &Flow<'_>,
    order: &Order,
    refund: &Refund,
    credit: &Credit,
) -> Result<Result<Document, Vec<Document>>, Stop> {
    let worth = value(refund, credit, order.currency);
    let kind = if worth < Decimal::ZERO {
        "out_invoice"
    } else {
        "out_refund"
    };
    let find = Find {
        model: DOCUMENT.to_owned(),
        equal: vec![
            ("move_type".to_owned(), FieldValue::Text(kind.into())),
            ("ref".to_owned(), FieldValue::Text(reference(refund))),
        ],
        one_of: None,
        fields: Vec::new(),
        limit: MANY,
    };
    let mut documents = Vec::new();
    for found in flow.shop.erp.find(&find).await? {
        documents.extend(flow.shop.erp.document(found.id).await?);
    }
    documents.retain(|document| document.state != DocumentState::Cancelled);
    if let [only] = documents.as_slice() {
        let currency = after::currency(flow, order.currency).await?;
        if only.total == worth.abs() && only.currency == Some(currency) {
            return Ok(Ok(only.clone()));
        }
    }
    Ok(Err(documents))
}

/// The draft credit note: made, or found where an attempt before made it, and proven.
async fn note(
    flow: &Flow<'_>,
    order: &Order,
    refund: &Refund,
    credit: &Credit,
    held: &SalesOrder,
    lines: &BTreeMap<String, ErpId>,
    partner: Option<ErpId>,
) -> Result<Document, Stop> {
    let name = reference(refund);
    let key = flow.external_id(&name)?;
    let known = flow.shop.erp.identify(&key).await?;
    let draft = Draft {
        flow,
        order,
        refund,
        credit,
        held,
        lines,
    };
    let id = match known {
        Some(found) => found.id,
        None => {
            let save = draft.save(&key, partner).await?;
            remember(flow, order, refund, credit, held).await?;
            let saved = flow
                .write(flow.shop.erp.save(std::slice::from_ref(&save)))
                .await?;
            reach(FailPoint::CreditNoteSaved).await?;
            saved.first().copied().ok_or(Stop::Stale)?
        }
    };
    let expected = value(refund, credit, order.currency);
    let mut document = existing(flow, id).await?;
    // What finance did with it since is finance's.
    if document.state != DocumentState::Draft {
        return Ok(document);
    }
    let difference = round_half_up(expected - document.total, order.currency.decimals());
    if !difference.is_zero() && difference.abs() <= flow.shop.settings.rounding_limit_in(order.currency) {
        let product = after::service(flow, "rounding").await?;
        let (units, price) = in_small_units(difference, flow.price_digits());
        let fields = vec![
            ("product_id".to_owned(), FieldValue::Record(product)),
            ("name".to_owned(), FieldValue::Text("Rounding".into())),
            ("quantity".to_owned(), FieldValue::Decimal(units)),
            ("price_unit".to_owned(), FieldValue::Decimal(price)),
            ("tax_ids".to_owned(), FieldValue::Records(Vec::new())),
        ];
        let rows = vec![(flow.external_id(&format!("{name}_rounding"))?, fields)];
        let save = Save {
            model: DOCUMENT.to_owned(),
            external_id: key,
            fields: Fields::new(),
            lines: Some(document_lines(rows)),
        };
        flow.write(flow.shop.erp.save(std::slice::from_ref(&save)))
            .await?;
        document = existing(flow, id).await?;
    }
    if round_half_up(expected - document.total, order.currency.decimals()).is_zero() {
        tax::prove(flow, order, refund, &document, &draft.taxes()).await?;
        return Ok(document);
    }
    let mut problem = flow.subject.problem(
        "refund_total_differs",
        "",
        format!(
            "The refund {} is worth {expected} {currency} on Shopify, its credit note {} comes to {} {currency}. It is left a draft.",
            refund.id,
            document.label(),
            document.total,
            currency = order.currency,
        ),
        "Correct the lines of the draft credit note so that it comes to Shopify's amount, then retry.",
    );
    problem.field = Some("amount_total".into());
    problem.detail =
        json!({ "refund": refund.id, "shopify": expected, "erp": document.total, "document": document.id });
    Err(problem.into())
}

async fn existing(flow: &Flow<'_>, id: ErpId) -> Result<Document, Stop> {
    match flow.shop.erp.document(id).await? {
        Some(document) => Ok(document),
        None => Err(crate::erp::ErpError::Missing {
            model: DOCUMENT.to_owned(),
            id: Some(id),
        }
        .into()),
    }
}

fn document_lines(rows: Vec<(ExternalId, Fields)>) -> Lines {
    Lines {
        field: "invoice_line_ids".to_owned(),
        model: "account.move.line".to_owned(),
        rows,
    }
}

/// What of a refund is credited, in words.
pub(super) fn parts(order: &Order, refund: &Refund, credit: &Credit) -> Vec<String> {
    let mut parts: Vec<String> = credited(refund, credit)
        .iter()
        .map(|(entry, units)| {
            let title = order
                .lines
                .iter()
                .find(|line| line.key == entry.key)
                .map_or(&*entry.key, |line| &*line.title);
            format!("{} x {title}", units.normalize())
        })
        .collect();
    if credit.charges {
        parts.push("shipping and duties".to_owned());
    }
    if credit.adjustments {
        parts.push("an adjustment without lines".to_owned());
    }
    parts
}

/// For a preview: the refunds that finance would be asked for.
pub(super) async fn left_to_finance(
    flow: &Flow<'_>,
    order: &Order,
    decided: &Decided,
) -> Result<Vec<Left>, Stop> {
    let mut left = Vec::new();
    for (position, credit) in &decided.credits {
        if !decided.finance.contains(position) {
            continue;
        }
        if let Err(wrong) = made_by_finance(flow, order, &order.refunds[*position], credit).await? {
            left.push(Left {
                position: *position,
                wrong,
            });
        }
    }
    Ok(left)
}

/// The problem that asks finance for what is left.
pub(super) fn needs_finance(
    flow: &Flow<'_>,
    order: &Order,
    decided: &Decided,
    held: &SalesOrder,
    left: &[Left],
) -> Stop {
    let mut instructions = Vec::new();
    for Left { position, wrong } in left {
        let refund = &order.refunds[*position];
        let credit = decided
            .credits
            .iter()
            .find(|(at, _)| at == position)
            .map(|(_, credit)| credit.clone())
            .unwrap_or_default();
        let parts = parts(order, refund, &credit);
        let worth = value(refund, &credit, order.currency);
        let (kind, article) = if worth < Decimal::ZERO {
            ("invoice", "an")
        } else {
            ("credit note", "a")
        };
        let worth = format!("{} {}", worth.abs(), order.currency);
        let (parts, reference) = (parts.join(", "), reference(refund));
        let known: Vec<String> = wrong
            .iter()
            .map(|document| format!("{} of {}", document.label(), document.total))
            .collect();
        instructions.push(match known.as_slice() {
            [] => format!(
                "make {article} {kind} of {worth} for {} ({parts}) and give it the reference {reference}",
                held.name,
            ),
            [only] => format!(
                "correct the {kind} with the reference {reference} ({only}): for {} ({parts}) it must come to {worth}",
                held.name
            ),
            several => format!(
                "leave one {kind} with the reference {reference}, which comes to {worth} for {} ({parts}), and cancel the others of {}",
                held.name,
                several.join(", ")
            ),
        });
    }
    let mut problem = flow.subject.problem(
        "refund_needs_finance",
        "",
        format!(
            "{} refunded on Shopify, and {} in the ERP is delivered or invoiced, or the refund is no change of quantity.",
            if left.len() == 1 { "A part of the order was" } else { "Several parts of the order were" },
            held.name
        ),
        &format!("In the ERP: {}. Then retry.", instructions.join("; ")),
    );
    problem.detail = json!({ "instructions": instructions, "erp_order": held.name });
    problem.into()
}

/// The service product for a purpose is asked for by name: the same question as the mapping's.
pub(super) fn service_question(purpose: &str) -> LookUp {
    LookUp {
        kind: "service".into(),
        keys: [("purpose".to_owned(), Scalar::Text(purpose.into()))].into(),
    }
}

/// Our lines of an order in the ERP by the keys of the shop's lines.
pub(super) async fn lines_by_key(
    flow: &Flow<'_>,
    order_name: &str,
    held: &SalesOrder,
) -> Result<BTreeMap<String, ErpId>, Stop> {
    let prefix = format!("{order_name}_");
    let known = book::named_lines(flow, order_name, "sale.order.line", held).await?;
    Ok(known
        .into_iter()
        .filter_map(|(name, id)| Some((name.strip_prefix(&prefix)?.to_owned(), id)))
        .collect())
}

/// Found, or why not.
pub(super) fn found(answer: Needed) -> Option<ErpId> {
    match answer {
        Needed::Found(id) => Some(id),
        Needed::Missing | Needed::Ambiguous(_) => None,
    }
}
