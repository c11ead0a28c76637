//! Notifications: what other systems are told, from the outbox to the receiver, and what people ask about it.

mod declare;
mod deliveries;
mod dispatcher;
mod endpoints;
pub mod events;
pub mod expressions;
mod fields;
mod preview;
mod retention;
mod sample;
#[cfg(test)]
mod tests;
mod trial;

pub use declare::{Declaration, Declare, DeclareError, Declared, Extent, declare};
pub use deliveries::{Again, Wanted, deliveries, masked, masked_row, redeliver};
pub use dispatcher::Dispatcher;
pub use endpoints::{
    EndpointView, LastFailure, Recent, Standing, Turned, cancel, endpoints, paused, paused_words, turn,
};
pub use fields::{EventFields, FieldView, fields_of, fields_with};
pub use preview::{NotifyPreview, preview, shown_event};
pub use retention::prune_on_schedule;
pub use sample::{SampleError, sample_named, synced};
pub use trial::{Trial, try_out};

pub use crate::notify::{Endpoint, EventType, Notification};
