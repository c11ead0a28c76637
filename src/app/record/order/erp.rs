//! An order as the ERP has it, with whatever belongs to it.

use rust_decimal::Decimal;

use super::{Amounts, DocumentFacts, OrderFacts, Person, Shipment, joined, money, number};
use crate::domain::{ErpId, ExternalId, Partner};
use crate::erp::{
    Delivery, DeliveryState, Document, DocumentKind, DocumentState, Erp, ErpError, OrderState, SalesOrder,
};

/// The ERP's model of an order's lines.
const LINE: &str = "sale.order.line";

/// Everything that the ERP says of an order.
pub(super) struct Booked {
    pub(super) order: SalesOrder,
    buyer: Option<Partner>,
    billing: Option<Partner>,
    shipping: Option<Partner>,
    documents: Vec<Document>,
    deliveries: Vec<Delivery>,
    /// Our names for its lines.
    pub(super) names: Vec<(ErpId, ExternalId)>,
}

pub(super) async fn booked(erp: &dyn Erp, id: ErpId) -> Result<Option<Booked>, ErpError> {
    let Some(order) = erp.order(id).await? else {
        return Ok(None);
    };
    let ids: Vec<ErpId> = order.lines.iter().map(|line| line.id).collect();
    let (parties, documents, deliveries, names) = tokio::join!(
        erp.order_parties(id),
        erp.documents(id),
        erp.deliveries(id),
        erp.external_ids(LINE, &ids)
    );
    let parties = parties?.unwrap_or_default();
    let mut wanted: Vec<ErpId> = [parties.buyer, parties.billing, parties.shipping]
        .into_iter()
        .flatten()
        .collect();
    wanted.sort_unstable();
    wanted.dedup();
    let partners = if wanted.is_empty() {
        Vec::new()
    } else {
        erp.partners(&wanted, &[]).await?
    };
    let of = |id: Option<ErpId>| {
        let id = id?;
        partners.iter().find(|partner| partner.id == id.0).cloned()
    };
    Ok(Some(Booked {
        buyer: of(parties.buyer),
        billing: of(parties.billing),
        shipping: of(parties.shipping),
        documents: unless_missing(documents)?,
        deliveries: unless_missing(deliveries)?,
        names: names?,
        order,
    }))
}

/// An ERP without invoices or stock has none of them.
fn unless_missing<T>(found: Result<Vec<T>, ErpError>) -> Result<Vec<T>, ErpError> {
    match found {
        Err(ErpError::Setup { .. } | ErpError::Forbidden { .. }) => Ok(Vec::new()),
        found => found,
    }
}

fn place(partner: &Partner) -> Vec<String> {
    let town = joined([partner.zip.as_deref(), partner.city.as_deref()]);
    let country = joined([partner.province_code.as_deref(), partner.country_code.as_deref()]);
    [
        Some(partner.name.clone()),
        partner.street.clone(),
        partner.street2.clone(),
        town,
        country,
        partner.phone.clone(),
    ]
    .into_iter()
    .flatten()
    .filter(|line| !line.trim().is_empty())
    .collect()
}

pub(super) fn of_erp(booked: &Booked) -> OrderFacts {
    let order = &booked.order;
    let currency = order.currency.as_deref();
    let money = |amount: Decimal| money(amount, currency);
    let posted = |kind: DocumentKind| {
        booked
            .documents
            .iter()
            .filter(move |document| document.kind == kind && document.state == DocumentState::Posted)
    };
    let open: Decimal = posted(DocumentKind::Invoice).map(|document| document.open).sum();
    let invoiced: Decimal = posted(DocumentKind::Invoice).map(|document| document.total).sum();
    let credited: Decimal = posted(DocumentKind::CreditNote)
        .map(|document| document.total)
        .sum();
    OrderFacts {
        name: order.name.clone(),
        state: match order.state {
            OrderState::Draft => "quotation".to_owned(),
            OrderState::Confirmed if order.locked => "confirmed, locked".to_owned(),
            OrderState::Confirmed => "confirmed".to_owned(),
            OrderState::Cancelled => "cancelled".to_owned(),
            OrderState::Other => "in a state that lockstep does not know".to_owned(),
        },
        ordered_at: order.ordered_at,
        amounts: Amounts {
            total: money(order.total),
            tax: money(order.tax),
            paid: money(invoiced - open),
            refunded: money(credited),
            open: money(open),
        },
        buyer: booked.buyer.as_ref().map(|partner| Person {
            name: partner.name.clone(),
            email: partner.email.clone(),
            phone: partner.phone.clone(),
        }),
        billing: booked.billing.as_ref().map(place).unwrap_or_default(),
        shipping: booked.shipping.as_ref().map(place).unwrap_or_default(),
        shipments: booked
            .deliveries
            .iter()
            .filter(|delivery| !delivery.internal)
            .map(delivered)
            .collect(),
        documents: booked
            .documents
            .iter()
            .map(|document| documented(document, currency))
            .collect(),
        note: None,
    }
}

fn delivered(delivery: &Delivery) -> Shipment {
    let moves = delivery.moves.iter().filter(|one| !one.is_cancelled);
    let is_done = delivery.state == DeliveryState::Done;
    let units = moves.map(|one| if is_done { one.quantity } else { one.demand });
    let state = match (delivery.state, delivery.outgoing) {
        (DeliveryState::Open, _) => "not carried out yet",
        (DeliveryState::Done, true) => "sent",
        (DeliveryState::Done, false) => "came back",
        (DeliveryState::Cancelled, _) => "cancelled",
    };
    Shipment {
        name: delivery.name.clone(),
        state: state.to_owned(),
        carrier: None,
        tracking: delivery.tracking.iter().cloned().collect(),
        made_at: None,
        units: number(units.sum()),
    }
}

fn documented(document: &Document, currency: Option<&str>) -> DocumentFacts {
    let kind = match document.kind {
        DocumentKind::Invoice => "invoice",
        DocumentKind::CreditNote => "credit note",
        DocumentKind::Other => "document",
    };
    let state = match document.state {
        DocumentState::Draft => "draft",
        DocumentState::Posted => "in the books",
        DocumentState::Cancelled => "cancelled",
    };
    let is_posted = document.state == DocumentState::Posted;
    DocumentFacts {
        name: document.label(),
        state: format!("{kind}, {state}"),
        total: money(document.total, currency),
        open: is_posted.then(|| money(document.open, currency)),
    }
}
