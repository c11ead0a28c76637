//! A stand-in Shopify shop on loopback: the Admin GraphQL API, tokens, rate limits and webhooks, over data in memory.
//!
//! It is held to the facts that were recorded from real shops, and it uses nothing else of this crate, so that it cannot
//! share its mistakes: its own money, its own totals, its own signatures.
//!
//! - [`ShopSandbox`] starts it; [`ShopSandbox::change`] makes things happen in it ([`Shop`] has the actions), the
//!   webhooks follow by themselves;
//! - the API executes any document that is valid against the pinned schema ([`schema`]); what the data lacks is null or
//!   the default of its type; errors, cost and throttling have Shopify's shapes;
//! - [`shopping`] makes realistic orders of many kinds; [`faults`] go wrong on demand;
//! - [`Ledger`] is the shop's own truth and what happened on the wire.
//!
//! - bulk operations run over everything and leave their result as a file of lines, in no order, on the same port;
//! - what an app writes about customers, products, variants, quantities, metafields and tags is carried out as the real
//!   shop does it: lists that are given replace what was there, keys work once, user errors have the schema's codes.
//!
//! Absent: mutations on orders, draft orders, fulfillment orders, returns as objects, REST, XML.

mod access;
mod actions;
mod bucket;
mod bulk;
pub mod draft;
pub mod facts;
pub mod faults;
mod graphql;
pub mod ids;
pub mod ledger;
pub mod money;
pub mod options;
mod raw;
mod sandbox;
pub mod schema;
mod search;
mod server;
mod shop;
pub mod shopping;
pub mod webhook;

pub use actions::ActionError;
pub use ledger::Ledger;
pub use options::Options;
pub use raw::RawError;
pub use sandbox::{CONNECTOR_TOPICS, ShopSandbox};
pub use shop::Shop;

#[cfg(test)]
mod tests;
