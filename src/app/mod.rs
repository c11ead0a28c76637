//! Use cases: what the command line, and later the API and the console, ask for. They join the store, the configuration
//! and the flows; they print nothing and know no protocol.

pub mod alerts;
pub mod api;
pub mod check;
pub mod clock;
pub mod connect;
mod console;
mod courtesy;
pub mod daemon;
pub mod edit;
pub mod enqueue;
pub mod gaps;
pub mod import;
pub mod imports;
pub mod jobs;
pub mod mappings;
pub mod notify;
pub mod numbers;
mod open;
pub mod polls;
pub mod preview;
pub mod push;
pub mod reach;
pub mod reconcile;
pub mod record;
pub mod recovery;
pub mod replay;
pub mod report;
pub mod resync;
pub mod review;
pub mod ring;
pub mod schedules;
pub mod setup;
pub mod status;
pub mod subscriptions;
pub mod suggest;
pub mod test_delivery;
#[cfg(test)]
mod testing;
pub mod toggle;
pub mod users;

pub use open::{folder, open};
