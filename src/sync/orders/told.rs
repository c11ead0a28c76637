//! What others were told of an order and of what followed it: payments, refunds, parcels.
//!
//! It stands in the order's link and is saved with the end of the attempt that tells it, in one transaction: each is told once,
//! whatever was repeated, and nothing is left out because an attempt was killed after it had done it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::super::flow::Flow;
use super::super::settings::Payments;
use super::super::telling::of_erp;
use super::credits::DOCUMENT;
use super::parties::PARTNER;
use super::payments::moved;
use crate::domain::{
    About, Carried, ErpAbout, ErpId, Fact, Fulfillment, Happened, HappenedDetail, Happening, Link, LinkKind,
    Object, Order, Payment, Related, Report, ShopifyId, Timestamp,
};
use crate::erp::{Delivery, Document, DocumentKind};

/// What an order's link calls it.
pub(super) const TOLD: &str = "told";

/// The shop's word for a parcel that was cancelled.
const CANCELLED: &str = "CANCELLED";

/// What was told.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Told {
    /// That the order was made in the ERP.
    made: bool,
    cancelled: bool,
    fulfilled: bool,
    refunds: BTreeSet<ShopifyId>,
    /// Those that succeeded and those that failed.
    payments: BTreeSet<ShopifyId>,
    parcels: BTreeMap<ShopifyId, ToldParcel>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct ToldParcel {
    /// A hash of carrier and numbers.
    tracking: String,
    delivered: bool,
}

/// How far the attempt came.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reached<'a> {
    /// Whether the order is cancelled in the ERP.
    pub(super) cancelled: bool,
    /// Positions of refunds that are not carried over yet.
    pub(super) open_refunds: &'a BTreeSet<usize>,
}

/// Which movements of money the ERP is to have, and has.
struct Registered {
    payments: Payments,
    refunds: Payments,
    known: BTreeSet<ShopifyId>,
}

impl Registered {
    /// Whether the ERP has it, where it is to have it.
    fn is_done(&self, payment: &Payment) -> bool {
        let is_wanted = self.payments == Payments::Register
            && (payment.kind != "REFUND" || self.refunds == Payments::Register);
        !is_wanted || self.known.contains(&payment.id)
    }
}

/// What a link that is saved on the way remembers: what was told when the attempt began. A new order's link says that nothing
/// was, so that the repeat of an attempt that was killed tells it from a link of a time when nobody was told anything.
pub(super) fn kept(before: Option<&Link>) -> Option<Value> {
    match before {
        Some(link) => link.agreed.get(TOLD).cloned(),
        None => serde_json::to_value(Told::default()).ok(),
    }
}

/// Whether others know that the order was made. Of one from before anybody was told anything that counts as known.
pub(super) fn is_known(link: Option<&Link>) -> bool {
    link.is_some_and(|link| match link.agreed.get(TOLD) {
        Some(told) => told.get("made") == Some(&Value::Bool(true)),
        None => true,
    })
}

/// What is known of the order before anything is done about it.
pub(super) fn about(order: &Order, link: Option<&Link>, record: &Arc<Fact>) -> About {
    let customer = order.customer.as_ref().map(|customer| Related {
        kind: "customer",
        shopify: Some((customer.id, "Customer")),
        erp: None,
    });
    About {
        name: Some(order.name.clone()),
        shopify: Some((order.id, "Order")),
        erp: link.map(of_erp),
        related: customer.into_iter().collect(),
        record: Some(Arc::clone(record)),
        ..About::new(Object::Order)
    }
}

/// Notes whose the order is in the ERP.
pub(super) fn is_of(flow: &Flow<'_>, partner: Option<ErpId>) {
    if let Some(id) = partner {
        flow.is_related("customer", ErpAbout::new(PARTNER, id));
    }
}

/// Notes the documents that belong to the order, for those who are told of it.
pub(super) fn has_documents<'d>(flow: &Flow<'_>, documents: impl IntoIterator<Item = &'d Document>) {
    for document in documents {
        let kind = match document.kind {
            DocumentKind::Invoice => "invoice",
            DocumentKind::CreditNote => "credit_note",
            DocumentKind::Other => continue,
        };
        let erp = ErpAbout {
            number: document.name.clone(),
            ..ErpAbout::new(DOCUMENT, document.id)
        };
        flow.is_related(kind, erp);
    }
}

/// Notes the deliveries that go to the order's customer, for those who are told of it.
pub(super) fn has_deliveries(flow: &Flow<'_>, deliveries: &[Delivery]) {
    for delivery in deliveries.iter().filter(|delivery| delivery.outgoing) {
        let erp = ErpAbout {
            number: Some(delivery.name.clone()),
            ..ErpAbout::new("stock.picking", delivery.id)
        };
        flow.is_related("delivery", erp);
    }
}

/// Has others told what became of an order that stands in the ERP; its link remembers that they were.
pub(super) fn end(
    flow: &Flow<'_>,
    order: &Order,
    before: Option<&Link>,
    report: &mut Report,
    open_refunds: &BTreeSet<usize>,
) {
    let Some(link) = report.links.iter_mut().find(|link| link.kind == LinkKind::Order) else {
        return;
    };
    flow.stands_for(ErpAbout {
        number: link.erp_name.clone(),
        ..ErpAbout::new(&link.model, link.erp_id)
    });
    let reached = Reached {
        cancelled: false,
        open_refunds,
    };
    report.happened = tell(flow, order, before, link, reached);
}

/// What is to be told now. `link` is the order's link as it is to be saved; from here on it remembers that it was told.
/// `before` is the link that the attempt began with.
pub(super) fn tell(
    flow: &Flow<'_>,
    order: &Order,
    before: Option<&Link>,
    link: &mut Link,
    reached: Reached<'_>,
) -> Vec<Happened> {
    let mut told: Told = match before.map(|link| link.agreed.get(TOLD)) {
        None => Told::default(),
        Some(Some(known)) => serde_json::from_value(known.clone()).unwrap_or_default(),
        Some(None) => Told::as_of(order, before.and_then(|link| link.source_updated_at)),
    };
    let status = match (told.made, flow.carried()) {
        (false, _) => Carried::Created,
        (true, Carried::Skipped) => Carried::Skipped,
        (true, Carried::Created | Carried::Updated) => Carried::Updated,
    };
    told.made = true;
    let mut happened = vec![flow.synced(Happening::OrderSynced, status)];
    let (registered, is_history) = {
        let telling = flow.telling();
        let registered = Registered {
            payments: flow.shop.settings.payments,
            refunds: flow.shop.settings.refund_payments,
            known: telling.registered.clone(),
        };
        (registered, telling.is_history)
    };
    let news = told.follow(order, reached, &registered);
    // Of an order from before the start everything is old: it is noted, and not told.
    if !is_history {
        happened.extend(news);
    }
    let told = serde_json::to_value(&told).unwrap_or_default();
    remember_told(link, &told);
    flow.telling().told = Some(told);
    happened
}

/// Has the order's link remember what was told.
pub(in crate::sync) fn remember_told(link: &mut Link, told: &Value) {
    if !link.agreed.is_object() {
        link.agreed = Value::Object(serde_json::Map::new());
    }
    link.agreed[TOLD] = told.clone();
}

impl Told {
    /// What counts as told of an order that was carried over before anybody was told anything: what was known to the version
    /// of this time.
    fn as_of(order: &Order, version: Option<Timestamp>) -> Self {
        let is_old = |at: Option<Timestamp>| match (at, version) {
            (Some(at), Some(version)) => at <= version,
            _ => true,
        };
        let parcels: BTreeMap<_, _> = parcels(order)
            .filter(|parcel| is_old(Some(parcel.created_at)))
            .map(|parcel| (parcel.id, ToldParcel::of(parcel)))
            .collect();
        let refunds = order.refunds.iter().filter(|refund| is_old(refund.created_at));
        let payments = order
            .payments
            .iter()
            .filter(|payment| is_old(payment.processed_at));
        Self {
            made: true,
            cancelled: order.cancelled_at.is_some() && is_old(order.cancelled_at),
            fulfilled: is_sent(order) && parcels.len() == self::parcels(order).count(),
            refunds: refunds.map(|refund| refund.id).collect(),
            payments: payments.map(|payment| payment.id).collect(),
            parcels,
        }
    }

    /// Follows the order as it is now. Returns what was not told yet.
    fn follow(&mut self, order: &Order, reached: Reached<'_>, registered: &Registered) -> Vec<Happened> {
        let mut news = Vec::new();
        for payment in &order.payments {
            let what = match (payment.status.as_str(), payment.kind.as_str()) {
                ("SUCCESS", "SALE" | "CAPTURE") if registered.is_done(payment) => Happening::PaymentCompleted,
                ("SUCCESS", "REFUND") if registered.is_done(payment) => Happening::PaymentRefunded,
                ("FAILURE" | "ERROR", "SALE" | "CAPTURE" | "AUTHORIZATION" | "REFUND" | "VOID") => {
                    Happening::PaymentFailed
                }
                _ => continue,
            };
            if self.payments.insert(payment.id) {
                news.push(Happened::new(what).with(money(order, payment)));
            }
        }
        for (position, refund) in order.refunds.iter().enumerate() {
            if !reached.open_refunds.contains(&position) && self.refunds.insert(refund.id) {
                news.push(
                    Happened::new(Happening::OrderRefunded).with(HappenedDetail::Refund {
                        id: refund.id,
                        amount: refund.total,
                        currency: order.currency,
                    }),
                );
            }
        }
        for parcel in parcels(order) {
            self.follow_parcel(parcel, &mut news);
        }
        // One that is opened again and sent once more is told once more.
        if !is_sent(order) {
            self.fulfilled = false;
        } else if !std::mem::replace(&mut self.fulfilled, true) {
            news.push(Happened::new(Happening::OrderFulfilled));
        }
        if reached.cancelled && !std::mem::replace(&mut self.cancelled, true) {
            news.push(Happened::new(Happening::OrderCancelled));
        }
        news
    }

    fn follow_parcel(&mut self, parcel: &Fulfillment, news: &mut Vec<Happened>) {
        let now = ToldParcel::of(parcel);
        let known = self.parcels.insert(parcel.id, now.clone());
        let mut tell = |what| news.push(Happened::new(what).with(shipment(parcel)));
        match &known {
            None => tell(Happening::ShipmentCreated),
            Some(known) if known.tracking != now.tracking => tell(Happening::ShipmentTrackingUpdated),
            Some(_) => {}
        }
        if now.delivered && !known.is_some_and(|known| known.delivered) {
            tell(Happening::ShipmentDelivered);
        }
    }
}

impl ToldParcel {
    fn of(parcel: &Fulfillment) -> Self {
        let mut hasher = Sha256::new();
        for part in parcel.tracking_company.iter().chain(&parcel.tracking_numbers) {
            hasher.update(part.as_bytes());
            hasher.update([0]);
        }
        Self {
            tracking: hex::encode(&hasher.finalize()[..8]),
            delivered: parcel.display_status.as_deref() == Some("DELIVERED"),
        }
    }
}

/// The parcels that stand.
fn parcels(order: &Order) -> impl Iterator<Item = &Fulfillment> {
    order
        .fulfillments
        .iter()
        .filter(|parcel| parcel.status != CANCELLED)
}

/// Whether all of the order was sent.
fn is_sent(order: &Order) -> bool {
    super::deliveries::is_over(order) && parcels(order).next().is_some()
}

fn money(order: &Order, payment: &Payment) -> HappenedDetail {
    HappenedDetail::Payment {
        id: payment.id,
        amount: moved(payment),
        currency: order.currency,
        gateway: payment.gateway.clone(),
        kind: payment.kind.clone(),
    }
}

fn shipment(parcel: &Fulfillment) -> HappenedDetail {
    HappenedDetail::Shipment {
        id: parcel.id,
        carrier: parcel.tracking_company.clone(),
        tracking_numbers: parcel.tracking_numbers.clone(),
        status: parcel
            .display_status
            .clone()
            .or_else(|| Some(parcel.status.clone())),
    }
}
