//! Notifications: what lockstep tells other systems, by webhooks of its own.
//!
//! This is everything about one notification and one endpoint that needs no store: what an event looks like, who wants it,
//! how it is rendered and signed, where it may be sent, how one attempt to deliver it ends, when the next one is due, and
//! which endpoint may send now. Time and randomness are parameters; only [`Sender`] does I/O.
//!
//! Deliberately absent: the outbox, the deliveries and the loop that carries them out.

mod detail;
mod event;
mod guard;
mod notification;
mod retry;
mod schema;
mod signature;

pub use detail::{
    Detail, EndpointDetail, PaymentDetail, RefundDetail, RunDetail, ShipmentDetail, SubscriptionDetail,
};
pub use event::{EventPattern, EventType, PatternError};
pub use guard::{AddressKind, Guard, GuardedNames, Network, NetworkError, Refusal, SystemNames};
pub use notification::{
    ChangedValue, ErpReference, Notification, NotificationId, ObjectReference, Place, ProblemNote,
    RelatedRecord, ShopifyReference, Shown, Status, VERSION,
};
pub use retry::{Next, after};
pub use schema::schema;
pub use signature::{
    HmacEncoding, ID_HEADER, PlainHmac, SIGNATURE_HEADER, SecretFormError, SigningSecret, TIMESTAMP_HEADER,
    signatures,
};
