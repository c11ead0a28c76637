//! Alerts: what people are told of without looking at the console.
//!
//! A condition (a cause of problems, a system that does not answer, a shop that has gone silent, …) has one row in the store
//! while it lasts. When it begins, and when it ends, a message goes to its owner, or else to whoever `[alerts]` names: all that is
//! new in one message, by mail or to a chat's webhook, kept in the store until it was taken.
//!
//! Deliberately not here: what a problem is (`review`), and mending anything.

mod daily;
mod endpoints;
mod found;
mod habit;
mod overdue;
mod route;
mod send;
#[cfg(test)]
mod tests;
mod text;
mod trial;
mod trouble;
mod watch;

pub use route::{is_reached_by, reached_at};
pub use trial::{Trial, trials};
pub use watch::Watch;
