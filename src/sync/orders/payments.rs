//! Money that moved: a payment in the ERP for each movement, in the journal of its gateway, matched with the invoice.

use std::collections::BTreeSet;

use rust_decimal::Decimal;
use serde_json::json;

use super::super::flow::Flow;
use super::super::settings::Payments;
use super::super::steps::{Act, Step};
use super::super::stop::Stop;
use super::next::told;
use super::{after, invoices};
use crate::domain::{
    Direction, ErpId, FieldValue, Link, LinkKind, LinkState, LookUp, Needed, Object, Order, Payment, Scalar,
    TableKey,
};
use crate::erp::{Document, DocumentState, Find, PaymentSave};
use crate::mapping::Mapping;

const PAYMENT: &str = "account.payment";

/// Whether a movement brought money in (`true`), or took it out.
fn direction(payment: &Payment) -> Option<bool> {
    match payment.kind.as_str() {
        "SALE" | "CAPTURE" => Some(true),
        "REFUND" | "CHANGE" => Some(false),
        _ => None,
    }
}

/// What the till took or gave: cash is rounded beside the amount that it stands for.
pub(super) fn moved(payment: &Payment) -> Decimal {
    payment.amount + payment.rounding
}

/// The movements that belong in the ERP, and whether each brought money in.
fn wanted<'o>(flow: &Flow<'_>, order: &'o Order) -> Vec<(&'o Payment, bool)> {
    let settings = &flow.shop.settings;
    order
        .payments
        .iter()
        .filter(|payment| payment.status == "SUCCESS" && !moved(payment).is_zero())
        .filter(|payment| !payment.test || settings.book_test_orders)
        .filter_map(|payment| Some((payment, direction(payment)?)))
        .filter(|(payment, inbound)| {
            *inbound || payment.kind == "CHANGE" || settings.refund_payments == Payments::Register
        })
        .collect()
}

async fn links(flow: &Flow<'_>, wanted: &[(&Payment, bool)]) -> Result<Vec<Link>, Stop> {
    let ids: Vec<String> = wanted.iter().map(|(payment, _)| payment.id.to_string()).collect();
    let links = flow
        .shop
        .store
        .links(&flow.shop.name, LinkKind::Payment, &ids)
        .await?;
    Ok(links)
}

/// For a preview: what would be registered.
pub(super) async fn planned(flow: &Flow<'_>, order: &Order) -> Result<Vec<Step>, Stop> {
    let wanted = wanted(flow, order);
    let links = links(flow, &wanted).await?;
    let mapping = flow.mapping(Object::Order, Direction::In)?;
    let closed = match wanted.as_slice() {
        [] => None,
        _ => flow.shop.erp.closed(false).await?,
    };
    let mut steps = Vec::new();
    for (payment, inbound) in wanted {
        let is_linked =
            |link: &Link| link.source_id == payment.id.to_string() && link.state != LinkState::Retired;
        if links.iter().any(is_linked) {
            continue;
        }
        let external_id = flow.external_id(&format!("payment_{}", payment.id))?;
        let ours = flow.shop.erp.identify(&external_id).await?.map(|known| known.id);
        let stands = match ours {
            Some(id) if is_draft(flow, id).await? => Ok(false),
            Some(_) => Ok(true),
            None => told(registered_by_hand(flow, payment).await)?.map(|found| found.is_some()),
        };
        if matches!(stands, Ok(true)) {
            continue;
        }
        let gateway = payment.gateway.as_deref().unwrap_or("unknown");
        let day = flow.day(payment.processed_at.unwrap_or(order.processed_at));
        let mut problem = stands.err();
        if problem.is_none() {
            problem = told(journal(flow, gateway).await)?.err();
        }
        if problem.is_none()
            && let Some(closed) = closed.as_ref().filter(|closed| day <= closed.until)
        {
            let what = format!("The payment {} of {}", payment.id, order.name);
            let remedy = format!(
                "Register it by hand with the memo {} and the date",
                by_hand(payment)
            );
            let stop = invoices::is_closed(flow, &what, &remedy, day, closed);
            problem = told(Err::<(), _>(stop))?.err();
        }
        let journal = journal_name(flow, &mapping, gateway).unwrap_or("no journal");
        let act = if inbound { Act::Payment } else { Act::PaymentBack };
        let what = format!("{gateway} in {journal}, of {day} (transaction {})", payment.id);
        steps.push(
            Step::new(act, what, order.currency)
                .of(moved(payment))
                .but(problem),
        );
    }
    Ok(steps)
}

/// Registers what is not registered yet. A gateway without a journal does not keep the others waiting.
pub(super) async fn carry_out(
    flow: &Flow<'_>,
    order: &Order,
    partner: Option<ErpId>,
    bills: &[Document],
    done: &mut Vec<String>,
) -> Result<(), Stop> {
    let wanted = wanted(flow, order);
    if wanted.is_empty() {
        return Ok(());
    }
    let links = links(flow, &wanted).await?;
    let mut first: Option<Stop> = None;
    let mut complained: BTreeSet<&str> = BTreeSet::new();
    let mut open: Vec<&Document> = bills
        .iter()
        .filter(|bill| bill.state == DocumentState::Posted && !bill.open.is_zero())
        .collect();
    let partner = bills.iter().find_map(|bill| bill.partner).or(partner);
    for (payment, inbound) in wanted {
        let known = links
            .iter()
            .find(|link| link.source_id == payment.id.to_string() && link.state != LinkState::Retired);
        let id = match known {
            Some(link) => link.erp_id,
            None => {
                let gateway = payment.gateway.as_deref().unwrap_or("unknown");
                if complained.contains(gateway) {
                    continue;
                }
                match register(flow, order, payment, inbound, partner).await {
                    Ok(id) => {
                        done.push(format!("registered {} {}", moved(payment), order.currency));
                        id
                    }
                    Err(stop @ Stop::Problem(_)) => {
                        complained.insert(gateway);
                        first.get_or_insert(stop);
                        continue;
                    }
                    Err(stop) => return Err(stop),
                }
            }
        };
        flow.telling().registered.insert(payment.id);
        if inbound && let Some(bill) = open.first() {
            // It is asked for as long as the bill is open: where the payment is used up, nothing is done.
            let settled = flow.write_unjudged(flow.shop.erp.settle(bill.id, id)).await?;
            if settled {
                flow.did_write();
                flow.note("settled", json!({ "invoice": bill.label(), "payment": id }));
                let now = flow.shop.erp.document(bill.id).await?;
                if now.is_some_and(|now| now.open.is_zero()) {
                    open.remove(0);
                }
            }
        }
    }
    first.map_or(Ok(()), Err)
}

async fn register(
    flow: &Flow<'_>,
    order: &Order,
    payment: &Payment,
    inbound: bool,
    partner: Option<ErpId>,
) -> Result<ErpId, Stop> {
    let erp = &flow.shop.erp;
    // What stands already is found before anything else is asked: a period may have been closed, or opened again, since.
    let external_id = flow.external_id(&format!("payment_{}", payment.id))?;
    let ours = erp.identify(&external_id).await?.map(|known| known.id);
    let is_draft = match ours {
        Some(id) => is_draft(flow, id).await?,
        None => false,
    };
    let standing = match ours {
        Some(_) => ours.filter(|_| !is_draft),
        None => registered_by_hand(flow, payment).await?,
    };
    if let Some(id) = standing {
        link(flow, payment, id).await?;
        return Ok(id);
    }
    let gateway = payment.gateway.as_deref().unwrap_or("unknown");
    let journal = journal(flow, gateway).await?;
    let day = flow.day(payment.processed_at.unwrap_or(order.processed_at));
    if let Some(closed) = erp.closed(false).await?
        && day <= closed.until
    {
        let what = format!("The payment {} of {}", payment.id, order.name);
        let remedy = match ours {
            Some(id) => format!("Post the draft payment {id} by hand with the date"),
            None => format!(
                "Register it by hand with the memo {} and the date",
                by_hand(payment)
            ),
        };
        return Err(invoices::is_closed(flow, &what, &remedy, day, &closed));
    }
    let memo = match &payment.reference {
        Some(reference) => format!("{} {gateway} {reference}", order.name),
        None => format!("{} {gateway}", order.name),
    };
    let save = PaymentSave {
        external_id,
        inbound,
        partner: partner.ok_or(Stop::Stale)?,
        amount: moved(payment),
        currency: after::currency(flow, order.currency).await?,
        journal,
        date: day,
        memo,
    };
    let id = flow.write(flow.shop.erp.save_payment(&save)).await?;
    flow.note(
        "payment",
        json!({ "payment": payment.id, "id": id, "amount": moved(payment), "gateway": gateway, "in": inbound }),
    );
    link(flow, payment, id).await?;
    Ok(id)
}

async fn link(flow: &Flow<'_>, payment: &Payment, id: ErpId) -> Result<(), Stop> {
    flow.commit_links(vec![Link {
        shop: flow.shop.name.clone(),
        kind: LinkKind::Payment,
        source_id: payment.id.to_string(),
        model: PAYMENT.to_owned(),
        erp_id: id,
        erp_name: None,
        state: LinkState::Linked,
        source_updated_at: None,
        agreed: json!({ "amount": moved(payment) }),
        agreed_out: serde_json::Value::Null,
        writes: serde_json::Value::Null,
    }])
    .await
}

/// How a person names a payment that they registered, so that it is found.
fn by_hand(payment: &Payment) -> String {
    format!("payment_{}", payment.id)
}

async fn registered_by_hand(flow: &Flow<'_>, payment: &Payment) -> Result<Option<ErpId>, Stop> {
    // Odoo's name of the text up to 17, and from 18 on.
    let fields = flow.shop.erp.fields(PAYMENT).await?;
    let memo = if fields.0.contains_key("memo") {
        "memo"
    } else {
        "ref"
    };
    let find = Find {
        model: PAYMENT.to_owned(),
        equal: vec![(memo.to_owned(), FieldValue::Text(by_hand(payment)))],
        one_of: None,
        fields: Vec::new(),
        limit: 2,
    };
    match flow.shop.erp.find(&find).await?.as_slice() {
        [] => Ok(None),
        [only] => Ok(Some(only.id)),
        several => {
            let ids: Vec<String> = several.iter().map(|row| row.id.to_string()).collect();
            let mut problem = flow.subject.problem(
                "payment_registered_twice",
                "",
                format!(
                    "Several payments of the ERP ({}) have the memo {}: the money came once.",
                    ids.join(", "),
                    by_hand(payment)
                ),
                "Leave that memo on the payment that is right, cancel the others and change their memos, then retry.",
            );
            problem.field = Some("memo".into());
            problem.detail = json!({ "payment": payment.id, "erp": ids });
            Err(problem.into())
        }
    }
}

async fn is_draft(flow: &Flow<'_>, id: ErpId) -> Result<bool, Stop> {
    let rows = flow.shop.erp.read(PAYMENT, &[id], &["state".to_owned()]).await?;
    let state = rows.first().and_then(|row| row.fields.get("state"));
    Ok(matches!(state, Some(FieldValue::Text(state)) if state == "draft"))
}

/// The journal of a gateway. One that is missing is one problem for all its orders.
async fn journal(flow: &Flow<'_>, gateway: &str) -> Result<ErpId, Stop> {
    let mapping = flow.mapping(Object::Order, Direction::In)?;
    let name = journal_name(flow, &mapping, gateway);
    let Some(name) = name else {
        let mut problem = flow.subject.problem(
            "journal_missing",
            gateway,
            format!("No journal of the ERP is declared for payments by `{gateway}`."),
            &format!(
                "Name it in the configuration: [shops.{}.flow] journals = {{ {gateway} = \"…\" }} (or in the table `journal` of tables.{}.toml), then retry.",
                flow.shop.name, flow.shop.name
            ),
        );
        problem.field = Some("journal_id".into());
        let entry = TableKey {
            table: "journal".to_owned(),
            key: gateway.to_owned(),
        };
        return Err(problem.answered_by(Some(&entry)).into());
    };
    let question = LookUp {
        kind: "record".into(),
        keys: [
            ("model".to_owned(), Scalar::Text("account.journal".into())),
            ("name".to_owned(), Scalar::Text(name.to_owned())),
        ]
        .into(),
    };
    match flow.shop.erp.look_up(&question).await? {
        Needed::Found(id) => Ok(id),
        Needed::Missing | Needed::Ambiguous(_) => {
            let mut problem = flow.subject.problem(
                "journal_missing",
                gateway,
                format!("Payments by `{gateway}` belong in the journal `{name}`, and the ERP has no single journal of that name."),
                "Correct the name in the configuration, or make the journal in the ERP, then retry.",
            );
            problem.field = Some("journal_id".into());
            Err(problem.into())
        }
    }
}

/// What the journal of a gateway is called in the ERP, where that is declared.
fn journal_name<'n>(flow: &'n Flow<'_>, mapping: &'n Mapping, gateway: &str) -> Option<&'n str> {
    let declared = flow.shop.settings.journals.get(gateway).map(String::as_str);
    declared.or_else(|| mapping.table_text("journal", gateway))
}
