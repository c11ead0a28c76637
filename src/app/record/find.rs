//! Which record is meant.

use crate::app::enqueue::{FindError, Named, find};
use crate::config::Shop;
use crate::domain::{Direction, IdError, Object};
use crate::shopify::Shopify;
use crate::store::{JobFilter, SharedStore, StoreError};

/// Why it cannot be told which record is meant.
#[derive(Debug, thiserror::Error)]
pub enum LocateError {
    /// It is no name and no number that we know.
    #[error(transparent)]
    Id(#[from] IdError),
    /// Shopify was asked and knows none, or several, or could not be asked.
    #[error(transparent)]
    Find(#[from] FindError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Shopify's number of the record that is meant: by that number, a gid, the address of its page, by its name on either side
/// as our jobs know it, or by an order's name as Shopify knows it. A plain number is Shopify's.
///
/// # Errors
/// When nobody knows it, or who has to be asked does not answer.
pub async fn locate(
    store: &SharedStore,
    shop: &Shop,
    object: Object,
    text: &str,
    shopify: Option<&Shopify>,
) -> Result<String, LocateError> {
    let text = text.trim();
    let named = Named::parse(object, text);
    if let Ok(Named::Id(id)) = &named {
        return Ok(id.to_string());
    }
    let filter = JobFilter {
        shop: Some(shop.name.clone()),
        object: Some(object),
        direction: Some(Direction::In),
        name: Some(text.to_owned()),
        limit: 1,
        ..JobFilter::default()
    };
    if let Some(job) = store.jobs(filter).await?.into_iter().next() {
        return Ok(job.key.source_id);
    }
    match (named?, shopify) {
        (Named::OrderName(name), None) => Err(FindError::NoSuchOrder(name).into()),
        (named, Some(shopify)) => Ok(find(shopify, named).await?.to_string()),
        (Named::Id(id), None) => Ok(id.to_string()),
    }
}
