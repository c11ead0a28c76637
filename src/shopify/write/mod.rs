//! Writing to the shop: customers, products with their variants, quantities, and the mark that ties a record to the ERP's.
//!
//! Promises: a repeat makes nothing twice (a record that is made carries the ERP's name for it in a metafield of type
//! `id`, whose values Shopify keeps unique: <https://shopify.dev/docs/apps/build/custom-data/metafields/working-with-custom-ids>;
//! quantities carry a key); no list of a record that is there already is ever replaced; a refusal names our own field,
//! and says what was written all the same. Deliberately absent: what is to be written (the mapping's), agreement and
//! retries (the flow's).

mod customers;
mod fields;
mod inventory;
mod look;
mod products;
mod refs;
mod refusal;
mod variants;

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use crate::domain::{Currency, Location, Timestamp};

pub use look::{ExpectedLook, Upcoming};

/// Shopify's limit of a list in one call (<https://shopify.dev/docs/api/usage/limits>).
const MOST_PER_CALL: usize = 250;

/// What a client remembers of its shop.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Kinds of records whose mark is defined in the shop.
    definitions: tokio::sync::Mutex<BTreeSet<&'static str>>,
    /// The places, and when they were asked for.
    locations: Mutex<Option<(Timestamp, Vec<Location>)>>,
    /// The shop's currency: it does not change while there are sales in it.
    currency: tokio::sync::Mutex<Option<Currency>>,
    /// Questions about variants.
    pub(super) looks: look::Looks,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
