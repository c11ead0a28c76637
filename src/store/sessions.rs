//! Who is logged in on the console.

use crate::domain::Timestamp;

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
