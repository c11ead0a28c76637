//! Asking an endpoint whether it wants a notification, when it is fanned out and when it is sent, and telling of those that nobody
//! can tell of.

use std::panic::AssertUnwindSafe;

use crate::notify::{Endpoint, Notification, Wants};

/// What stands with a dispatch that its endpoint does not want any more.
pub(super) const NOT_WANTED: &str = "its endpoint does not want it any more: the events, shops, `skipped` or condition that it has \
    now leave it out; sent again by its number, it is sent all the same";

/// Why it cannot be told whether an endpoint wants something where asking it panicked.
const PANICKED: &str = "an internal error (a panic): the log says where";

/// Does it; none where it panics, which says itself in the log where it was. What it would have changed must be thrown away then.
pub(super) fn guarded<T>(work: impl FnOnce() -> T) -> Option<T> {
    std::panic::catch_unwind(AssertUnwindSafe(work)).ok()
}

/// Whether the endpoint wants it, by the settings that it has now. One that panics takes nothing else with it.
pub(super) fn wants(endpoint: &Endpoint, notification: &Notification) -> Wants {
    guarded(|| endpoint.wants(notification)).unwrap_or_else(|| {
        tracing::error!(
            endpoint = endpoint.name,
            notification = notification.id.as_str(),
            "an internal error (a panic) ended the look whether an endpoint wants a notification: its delivery is a problem"
        );
        Wants::Unclear(PANICKED.to_owned())
    })
}

/// The sentence of a problem.
pub(super) fn unclear(reason: &str) -> String {
    format!("its condition cannot be worked out: {reason}")
}

/// Says once of many that they became problems. `sentence` is that of one of them; it names no value.
pub(super) fn tell_problems(endpoint: &str, deliveries: usize, sentence: &str) {
    tracing::warn!(
        endpoint,
        deliveries,
        sentence,
        "deliveries are not sent, because it cannot be said what or whether: they are kept as problems, and can be sent again once \
         the condition or the template is mended"
    );
}
