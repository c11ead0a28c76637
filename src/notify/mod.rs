//! Notifications: what lockstep tells other systems, by webhooks of its own.
//!
//! This is everything about one notification and one endpoint that needs no store: what an event looks like, who wants it,
//! how it is rendered and signed, where it may be sent, how one attempt to deliver it ends, when the next one is due, and
//! which endpoint may send now. Time and randomness are parameters; only [`Sender`] does I/O.
//!
//! Deliberately absent: the outbox, the deliveries and the loop that carries them out.

mod check;
mod detail;
mod endpoint;
mod event;
mod facts;
mod guard;
mod health;
mod made_up;
mod notification;
mod pace;
mod personal;
mod render;
mod retry;
mod schema;
mod send;
mod settings;
mod signature;

pub use check::{Flaw, Known, NamedFile};
pub use detail::{
    Detail, EndpointDetail, PaymentDetail, RefundDetail, RunDetail, ShipmentDetail, SubscriptionDetail,
};
pub use endpoint::{Endpoint, Wants};
pub use event::{EventPattern, EventType, PatternError};
pub use facts::{Field, Scope, to_json};
pub use guard::{AddressKind, Guard, GuardedNames, JoinedNames, Refusal, system_names};
pub use health::{Ended, Health, PausedBecause};
pub use notification::{
    ChangedValue, ErpReference, Notification, NotificationId, ObjectReference, Place, ProblemNote,
    RelatedRecord, ShopifyReference, Shown, Status, VERSION,
};
pub use pace::{EndpointPriority, Limits, Pace, Paced, Rate, RateError, Turn};
pub use personal::Includes;
pub use render::{
    Condition, Expression, ExpressionError, Expressions, Format, JSON, LARGEST_BODY, Message, MimeError,
    RenderError, Template,
};
pub use retry::{Next, after};
pub use schema::schema;
pub use send::{Answer, Attempt, Auth, BuildError, Failure, FailureCode, HmacHeader, Sender, Target, header};
pub use settings::{
    AuthSection, BodySection, EndpointSection, EndpointState, Headers, HmacSection, Include, Settings,
    WhenPaused,
};
pub use signature::{
    HmacEncoding, ID_HEADER, PlainHmac, SIGNATURE_HEADER, SecretFormError, SigningSecret, TIMESTAMP_HEADER,
    signatures,
};
