//! What can happen that others are told of, and how an endpoint says which of it it wants.

use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::domain::{Object, nearest, text_enum};

text_enum! {
    /// What happened. The names are a promise: none is ever renamed or given another meaning.
    EventType, "event type" {
        /// An order was carried over, in either direction, or nothing had to be.
        OrderSynced = "order.synced",
        /// An order was cancelled in the shop, and the ERP has been told.
        OrderCancelled = "order.cancelled",
        /// All of an order was sent.
        OrderFulfilled = "order.fulfilled",
        /// A refund of an order was carried over.
        OrderRefunded = "order.refunded",
        /// A customer was carried over, or nothing had to be.
        CustomerSynced = "customer.synced",
        /// A customer was deleted.
        CustomerDeleted = "customer.deleted",
        /// A product was carried over, or nothing had to be.
        ProductSynced = "product.synced",
        /// A product was deleted.
        ProductDeleted = "product.deleted",
        /// A stock level was carried over, or nothing had to be.
        InventorySynced = "inventory.synced",
        /// A payment succeeded; where payments are registered in the ERP, it has been.
        PaymentCompleted = "payment.completed",
        /// A payment failed, or its refund or void.
        PaymentFailed = "payment.failed",
        /// Money went back; where that is registered in the ERP, it has been.
        PaymentRefunded = "payment.refunded",
        /// A parcel was made.
        ShipmentCreated = "shipment.created",
        /// A parcel got another tracking number or carrier.
        ShipmentTrackingUpdated = "shipment.tracking_updated",
        /// A parcel arrived.
        ShipmentDelivered = "shipment.delivered",
        /// A job needs a person.
        SyncFailed = "sync.failed",
        /// A job waits for somebody's approval.
        SyncHeld = "sync.held",
        /// A job that had failed or waited has been done.
        SyncRecovered = "sync.recovered",
        /// A webhook subscription that we need was gone from the shop.
        SubscriptionRemoved = "subscription.removed",
        /// A webhook subscription that was gone is there again.
        SubscriptionRestored = "subscription.restored",
        /// A run that looks for what webhooks missed has ended.
        RunFinished = "run.finished",
        /// A run found records that differ between the two sides.
        DriftFound = "drift.found",
        /// Another endpoint does not take what it is sent.
        EndpointFailing = "endpoint.failing",
        /// The app was uninstalled from the shop.
        ShopUninstalled = "shop.uninstalled",
        /// Somebody tries out an endpoint.
        TestPing = "test.ping",
    }
}

impl EventType {
    /// The kind of record that all events of this type are about; none where it differs or there is none.
    pub const fn object(self) -> Option<Object> {
        Some(match self {
            Self::OrderSynced
            | Self::OrderCancelled
            | Self::OrderFulfilled
            | Self::OrderRefunded
            | Self::PaymentCompleted
            | Self::PaymentFailed
            | Self::PaymentRefunded
            | Self::ShipmentCreated
            | Self::ShipmentTrackingUpdated
            | Self::ShipmentDelivered => Object::Order,
            Self::CustomerSynced | Self::CustomerDeleted => Object::Customer,
            Self::ProductSynced | Self::ProductDeleted => Object::Product,
            Self::InventorySynced => Object::Inventory,
            Self::SyncFailed
            | Self::SyncHeld
            | Self::SyncRecovered
            | Self::SubscriptionRemoved
            | Self::SubscriptionRestored
            | Self::RunFinished
            | Self::DriftFound
            | Self::EndpointFailing
            | Self::ShopUninstalled
            | Self::TestPing => return None,
        })
    }

    /// What it means, in one sentence, for the docs.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::OrderSynced => "An order was carried over, or nothing had to be.",
            Self::OrderCancelled => "An order was cancelled in the shop, and the ERP has been told.",
            Self::OrderFulfilled => "All of an order was sent.",
            Self::OrderRefunded => "A refund of an order was carried over.",
            Self::CustomerSynced => "A customer was carried over, or nothing had to be.",
            Self::CustomerDeleted => "A customer was deleted.",
            Self::ProductSynced => "A product was carried over, or nothing had to be.",
            Self::ProductDeleted => "A product was deleted.",
            Self::InventorySynced => "A stock level was carried over, or nothing had to be.",
            Self::PaymentCompleted => {
                "A payment succeeded; where payments are registered in the ERP, it has been."
            }
            Self::PaymentFailed => "A payment failed, or its refund or void.",
            Self::PaymentRefunded => "Money went back; where that is registered in the ERP, it has been.",
            Self::ShipmentCreated => "A parcel was made.",
            Self::ShipmentTrackingUpdated => "A parcel got another tracking number or carrier.",
            Self::ShipmentDelivered => "A parcel arrived.",
            Self::SyncFailed => "A job needs a person.",
            Self::SyncHeld => "A job waits for somebody's approval.",
            Self::SyncRecovered => "A job that had failed or waited has been done.",
            Self::SubscriptionRemoved => "A webhook subscription that is needed was gone from the shop.",
            Self::SubscriptionRestored => "A webhook subscription that was gone is there again.",
            Self::RunFinished => "A run that looks for what webhooks missed has ended.",
            Self::DriftFound => "A run found records that differ between the two sides.",
            Self::EndpointFailing => "Another endpoint does not take what it is sent.",
            Self::ShopUninstalled => "The app was uninstalled from the shop.",
            Self::TestPing => "Somebody tries out an endpoint.",
        }
    }

    /// The two parts of the name: what it is about, and what happened.
    fn parts(self) -> (&'static str, &'static str) {
        let name = self.as_str();
        name.split_once('.').unwrap_or((name, ""))
    }
}

/// Which events an endpoint wants: one by its name (`order.synced`), all about one thing (`order.*`), all in which one thing
/// happened (`*.failed`), or all (`*`). A pattern that no event fits cannot be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventPattern(String);

/// A pattern that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct PatternError {
    /// What is wrong, in one sentence.
    pub reason: String,
    /// What to write instead.
    pub help: String,
}

impl EventPattern {
    /// Whether an event of this type is wanted.
    pub fn matches(&self, event: EventType) -> bool {
        fits(&self.0, event)
    }

    /// The event types that are wanted.
    pub fn events(&self) -> impl Iterator<Item = EventType> {
        EventType::ALL
            .iter()
            .copied()
            .filter(|event| self.matches(*event))
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn fits(pattern: &str, event: EventType) -> bool {
    if pattern == "*" {
        return true;
    }
    let Some((about, happened)) = pattern.split_once('.') else {
        return false;
    };
    let (event_about, event_happened) = event.parts();
    (about == "*" || about == event_about) && (happened == "*" || happened == event_happened)
}

impl FromStr for EventPattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        if EventType::ALL.iter().any(|event| fits(text, *event)) {
            return Ok(Self(text.to_owned()));
        }
        let star_within = text.split('.').any(|part| part.contains('*') && part != "*");
        let reason = if text.is_empty() {
            "an empty text names no event".to_owned()
        } else if star_within {
            format!("`{text}` has a `*` within a word: it stands for a whole part of a name only")
        } else {
            format!("`{text}` fits no event")
        };
        // A slip in either part of a pattern is one letter of a name that exists.
        let mut known: Vec<String> = vec!["*".to_owned()];
        for event in EventType::ALL {
            let (about, happened) = event.parts();
            known.extend([
                event.as_str().to_owned(),
                format!("{about}.*"),
                format!("*.{happened}"),
            ]);
        }
        let help = match nearest(text, known.iter().map(String::as_str)) {
            Some(near) if !text.is_empty() => format!("did you mean `{near}`?"),
            _ => "write a name such as order.synced, order.* for all about orders, *.failed, or * for all"
                .to_owned(),
        };
        Err(PatternError { reason, help })
    }
}

impl fmt::Display for EventPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for EventPattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for EventPattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(|error: PatternError| serde::de::Error::custom(format!("{error}; {}", error.help)))
    }
}

impl JsonSchema for EventPattern {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "EventPattern".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^(\\*|([a-z]+|\\*)\\.([a-z_]+|\\*))$" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_name_one_event_or_many() {
        for (pattern, event, expected) in [
            ("order.synced", EventType::OrderSynced, true),
            ("order.synced", EventType::OrderCancelled, false),
            ("order.*", EventType::OrderRefunded, true),
            ("order.*", EventType::CustomerSynced, false),
            ("*.failed", EventType::SyncFailed, true),
            ("*.failed", EventType::PaymentFailed, true),
            ("*.failed", EventType::EndpointFailing, false),
            ("*.*", EventType::TestPing, true),
            ("*", EventType::ShopUninstalled, true),
        ] {
            let read: EventPattern = pattern.parse().unwrap();
            assert_eq!(read.matches(event), expected, "{pattern} and {event}");
        }
        let all: EventPattern = "*".parse().unwrap();
        assert_eq!(all.events().count(), EventType::ALL.len());
    }

    #[test]
    fn a_pattern_that_fits_nothing_is_refused_with_the_nearest_name() {
        for (pattern, reason, help) in [
            ("order.sinced", "fits no event", "did you mean `order.synced`?"),
            ("oder.*", "fits no event", "did you mean `order.*`?"),
            ("*.faild", "fits no event", "did you mean `*.failed`?"),
            ("order*", "within a word", "did you mean `order.*`?"),
            ("order.sync*", "within a word", "did you mean `order.synced`?"),
            ("order", "fits no event", "did you mean `order.*`?"),
            ("order.sync", "fits no event", "did you mean `order.synced`?"),
            ("ord.synced", "fits no event", "did you mean `order.synced`?"),
            ("invoice.booked", "fits no event", "write a name such as"),
            ("", "an empty text", "write a name such as"),
            ("**", "within a word", "did you mean `*`?"),
        ] {
            let error = pattern.parse::<EventPattern>().unwrap_err();
            assert!(error.reason.contains(reason), "{pattern}: {}", error.reason);
            assert!(error.help.contains(help), "{pattern}: {}", error.help);
        }
    }

    #[test]
    fn every_event_has_a_name_of_two_parts_and_a_meaning() {
        for event in EventType::ALL {
            let (about, happened) = event.parts();
            assert!(!about.is_empty() && !happened.is_empty(), "{event}");
            assert!(event.meaning().ends_with('.'), "{event}");
        }
    }
}
