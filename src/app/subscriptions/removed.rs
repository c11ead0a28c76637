//! Shops whose subscriptions a command removed while they were declared still.

use std::time::Duration;

use sha2::{Digest as _, Sha256};

use crate::config::Config;
use crate::domain::{ShopName, Timestamp};
use crate::store::{SharedStore, StoreError};

/// The named position of shops whose subscriptions were removed by a command while they were declared still.
const REMOVED: &str = "subscriptions_removed";

/// How long a removed shop's subscriptions stay away: long enough to take the shop out of the configuration.
const STAYS_REMOVED: Duration = Duration::from_hours(24);

/// Whether a command removed the shop's subscriptions while this configuration was in force: then they stay away for a day, until
/// the configuration changes, or until a command brings them back.
///
/// # Errors
/// When the store fails.
pub async fn is_removed(
    store: &SharedStore,
    shop: &ShopName,
    config: &Config,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let Some(known) = store
        .cursor(shop, REMOVED)
        .await?
        .filter(|known| !known.is_empty())
    else {
        return Ok(false);
    };
    let (marked, at) = known.split_once(' ').unwrap_or((&known, ""));
    let at = Timestamp::from_millis(at.parse().unwrap_or_default());
    if marked == mark(config) && now < at.plus(STAYS_REMOVED) {
        return Ok(true);
    }
    // It is over for good: the same configuration may come back one day, and means what it says then.
    store.set_cursor(shop, REMOVED, "", now).await?;
    Ok(false)
}

/// Notes (or forgets) that a command removed them.
///
/// # Errors
/// When the store fails.
pub async fn set_removed(
    store: &SharedStore,
    shop: &ShopName,
    config: &Config,
    removed: bool,
    now: Timestamp,
) -> Result<(), StoreError> {
    let value = if removed {
        format!("{} {}", mark(config), now.millis())
    } else {
        String::new()
    };
    store.set_cursor(shop, REMOVED, &value, now).await
}

/// What tells this configuration from another one.
fn mark(config: &Config) -> String {
    let url = config.http.public_url.as_deref().unwrap_or_default();
    hex::encode(Sha256::digest(format!("{} {url}", config.hash)))
}
