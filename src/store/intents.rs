//! Intents: writes to the shop that were decided and are not yet known to have happened.

use serde_json::Value;

use crate::domain::Timestamp;

/// A write that is about to be sent. It is committed first, so that whoever comes after a crash sends the very same again
/// instead of something else beside it.
#[derive(Clone, Debug, PartialEq)]
pub struct NewIntent {
    /// What kind of write, e.g. `set_quantities`.
    pub kind: String,
    /// The idempotency key that it is sent with: drawn at random, once.
    pub key: String,
    /// Exactly what is sent.
    pub payload: Value,
}

/// A write whose outcome is not known yet.
#[derive(Clone, Debug, PartialEq)]
pub struct Intent {
    /// Its number.
    pub id: i64,
    /// What kind of write.
    pub kind: String,
    /// Its idempotency key.
    pub key: String,
    /// Exactly what was sent, or would have been.
    pub payload: Value,
    /// When it was decided.
    pub created_at: Timestamp,
}
