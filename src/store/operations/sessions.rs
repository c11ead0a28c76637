//! Who is logged in on the console.

use async_trait::async_trait;

use crate::domain::Timestamp;
use crate::store::StoreError;

/// Sessions of the console.
#[async_trait]
pub trait Sessions: Send + Sync {
    /// Begins a session of the console, and forgets those that were last seen before `idle_since`.
    async fn open_session(&self, row: SessionRow, idle_since: Timestamp) -> Result<(), StoreError>;

    /// The session with this id.
    async fn session(&self, id: &str) -> Result<Option<SessionRow>, StoreError>;

    /// Notes that a session was used; one that was ended stays ended.
    async fn see_session(&self, id: &str, now: Timestamp) -> Result<(), StoreError>;

    /// Ends a session, if there is one.
    async fn close_session(&self, id: &str) -> Result<(), StoreError>;
}

/// One session. It ends by a log-out, or when nothing was seen of it for the time that the caller allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRow {
    /// SHA-256 of what the browser shows, hexadecimal.
    pub id: String,
    /// The account's name.
    pub account: String,
    /// Tells whether the account's password is still the one that was shown.
    pub stamp: String,
    /// When it began.
    pub created_at: Timestamp,
    /// When it was last used.
    pub seen_at: Timestamp,
}
