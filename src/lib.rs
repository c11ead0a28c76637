//! lockstep keeps a Shopify shop and an ERP in step.
//!
//! The library holds everything; the `lockstep` binary only parses arguments and runs [`cli`]. `ARCHITECTURE.md`
//! has the code map, the allowed directions of dependency and the invariants.

pub mod app;
pub mod cli;
pub mod config;
pub mod demo;
pub mod domain;
pub mod erp;
pub mod failpoint;
mod files;
pub mod http;
pub mod mapping;
pub mod notify;
pub mod poll;
pub mod queue;
pub mod reconcile;
pub mod sandbox;
pub mod secret;
pub mod shopify;
pub mod store;
pub mod subscriptions;
pub mod sync;
pub mod telemetry;
pub mod transport;

/// Of everything that is linked with this library, so that benches measure what the daemon does.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
