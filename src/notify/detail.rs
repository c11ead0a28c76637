//! What is special to some types of events.

use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::Serialize;

use super::event::EventType;

/// What is special to a type of event. Types without one have null.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Detail {
    /// Of `payment.*`.
    Payment(PaymentDetail),
    /// Of `order.refunded`.
    Refund(RefundDetail),
    /// Of `shipment.*`.
    Shipment(ShipmentDetail),
    /// Of `run.finished` and `drift.found`.
    Run(RunDetail),
    /// Of `subscription.*`.
    Subscription(SubscriptionDetail),
    /// Of `endpoint.failing`.
    Endpoint(EndpointDetail),
}

/// Which detail a type of event has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DetailKind {
    None,
    Payment,
    Refund,
    Shipment,
    Run,
    Subscription,
    Endpoint,
}

impl DetailKind {
    pub(super) const fn of(event: EventType) -> Self {
        match event {
            EventType::PaymentCompleted | EventType::PaymentFailed | EventType::PaymentRefunded => {
                Self::Payment
            }
            EventType::OrderRefunded => Self::Refund,
            EventType::ShipmentCreated
            | EventType::ShipmentTrackingUpdated
            | EventType::ShipmentDelivered => Self::Shipment,
            EventType::RunFinished | EventType::DriftFound => Self::Run,
            EventType::SubscriptionRemoved | EventType::SubscriptionRestored => Self::Subscription,
            EventType::EndpointFailing => Self::Endpoint,
            EventType::OrderSynced
            | EventType::OrderCancelled
            | EventType::OrderFulfilled
            | EventType::CustomerSynced
            | EventType::CustomerDeleted
            | EventType::ProductSynced
            | EventType::ProductDeleted
            | EventType::InventorySynced
            | EventType::SyncFailed
            | EventType::SyncHeld
            | EventType::SyncRecovered
            | EventType::ShopUninstalled
            | EventType::TestPing => Self::None,
        }
    }
}

impl DetailKind {
    /// The field that tells one detail from others about the same record; none of a kind that has nothing of the sort.
    pub(super) const fn key(self) -> Option<&'static str> {
        Some(match self {
            Self::None => return None,
            Self::Payment => "payment",
            Self::Refund => "refund",
            Self::Shipment => "shipment",
            Self::Run => "run",
            Self::Subscription => "topic",
            Self::Endpoint => "endpoint",
        })
    }
}

impl Detail {
    /// Whether events of this type have this kind of detail.
    pub fn belongs_to(&self, event: EventType) -> bool {
        let kind = match self {
            Self::Payment(_) => DetailKind::Payment,
            Self::Refund(_) => DetailKind::Refund,
            Self::Shipment(_) => DetailKind::Shipment,
            Self::Run(_) => DetailKind::Run,
            Self::Subscription(_) => DetailKind::Subscription,
            Self::Endpoint(_) => DetailKind::Endpoint,
        };
        kind == DetailKind::of(event)
    }
}

/// A payment.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct PaymentDetail {
    /// The shop's number of the payment.
    pub payment: Option<String>,
    /// Amount, with exact digits.
    #[schemars(with = "Option<String>")]
    pub amount: Option<Decimal>,
    /// Its currency: ISO 4217.
    pub currency: Option<String>,
    /// Gateway, e.g. `shopify_payments`.
    pub gateway: Option<String>,
    /// What the movement is, in the shop's own word, e.g. `SALE`, `CAPTURE`, `REFUND`, `VOID`.
    pub kind: Option<String>,
}

/// A refund.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct RefundDetail {
    /// The shop's number of the refund.
    pub refund: Option<String>,
    /// What it is worth with tax, with exact digits.
    #[schemars(with = "Option<String>")]
    pub amount: Option<Decimal>,
    /// Its currency: ISO 4217.
    pub currency: Option<String>,
}

/// A parcel.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct ShipmentDetail {
    /// The shop's number of the parcel.
    pub shipment: Option<String>,
    /// Carrier.
    pub carrier: Option<String>,
    /// Numbers at the carrier; empty where the endpoint takes no personal data: a carrier's page may name the person.
    pub tracking_numbers: Vec<String>,
    /// The parcel's state, in the shop's own word.
    pub status: Option<String>,
}

/// A run that looks for what webhooks missed.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct RunDetail {
    /// What it did: `delta` (looked for what changed), `full` (compared both sides) or `import`.
    pub kind: Option<String>,
    /// Its number among those of its kind.
    pub run: Option<i64>,
    /// What it looked at: `order`, `customer`, `product`, `inventory`.
    pub object: Option<String>,
    /// How it ended.
    pub outcome: Option<String>,
    /// Records that it looked at.
    pub seen: Option<u64>,
    /// Records that webhooks had missed, or that differed.
    pub found: Option<u64>,
}

/// A webhook subscription on the shop.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct SubscriptionDetail {
    /// Its topic, e.g. `orders/create`.
    pub topic: String,
    /// Where it led to.
    pub address: Option<String>,
}

/// An endpoint that does not take what it is sent.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct EndpointDetail {
    /// The endpoint's name in the configuration.
    pub endpoint: String,
    /// Since when nothing has been taken: RFC 3339.
    pub since: Option<String>,
    /// How it failed last, as a code.
    pub failure: Option<String>,
    /// Deliveries that wait for it.
    pub waiting: Option<u64>,
    /// Whether it was paused.
    pub paused: bool,
}
