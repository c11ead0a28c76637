//! Shops and this process, as far as subscriptions go.

use std::sync::Arc;

use crate::app::{connect, reach};
use crate::config::{Config, Shop, is_local};
use crate::domain::{SharedClock, SharedEntropy, ShopName, Timestamp};
use crate::store::{SERVING, SharedStore, StoreError};
use crate::subscriptions::{self, INSTANCE_DIGITS, Registry};
use crate::transport::BuildError;

/// The named position in which the installation's id stands.
const INSTANCE: &str = "instance";

/// One shop, as far as its subscriptions go.
#[derive(Clone)]
pub struct Target {
    /// Its name.
    pub name: ShopName,
    /// Where they are registered.
    pub registry: Arc<dyn Registry>,
    /// The toggles.
    pub toggles: subscriptions::Settings,
    /// Who owns its problems.
    pub owner: String,
    /// Older orders are left alone; none means the shop's first connection.
    pub start_at: Option<Timestamp>,
    /// Whether it is a real shop, and not a stand-in on this machine.
    pub is_real: bool,
}

impl Target {
    /// A shop of the configuration, reached through this client.
    pub fn new(shop: &Shop, registry: Arc<dyn Registry>) -> Self {
        Self {
            name: shop.name.clone(),
            registry,
            toggles: shop.sync.clone(),
            owner: shop.owner.clone(),
            start_at: shop.start_at,
            is_real: shop
                .shopify
                .base_url
                .as_deref()
                .and_then(|base| reqwest::Url::parse(base).ok())
                .is_none_or(|base| !is_local(&base)),
        }
    }

    /// The shops of the configuration (or one), each with a client of its own.
    pub fn all(
        config: &Config,
        only: Option<&ShopName>,
        clock: &SharedClock,
        entropy: &SharedEntropy,
    ) -> Result<Vec<Self>, (ShopName, BuildError)> {
        config
            .shops
            .values()
            .filter(|shop| only.is_none_or(|name| *name == shop.name))
            .map(|shop| {
                let client =
                    connect::shopify(shop, clock, entropy).map_err(|error| (shop.name.clone(), error))?;
                Ok(Self::new(shop, client))
            })
            .collect()
    }
}

/// What all shops have in common.
#[derive(Clone)]
pub struct Installation {
    /// What we remember.
    pub store: SharedStore,
    /// The time.
    pub clock: SharedClock,
    /// `public_url` of the configuration.
    pub public_url: Option<String>,
    /// The installation's id.
    pub instance: String,
    /// This process.
    pub holder: String,
}

impl Installation {
    /// This process on behalf of the installation.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn new(
        store: &SharedStore,
        clock: &SharedClock,
        entropy: &SharedEntropy,
        public_url: Option<String>,
    ) -> Result<Self, StoreError> {
        Ok(Self {
            store: store.clone(),
            clock: clock.clone(),
            public_url,
            instance: instance(store, clock, entropy).await?,
            holder: hex::encode(entropy.bytes()),
        })
    }
}

/// The installation's id, which the names of its subscriptions carry: made once, then kept in the store.
///
/// # Errors
/// When the store fails.
pub async fn instance(
    store: &SharedStore,
    clock: &SharedClock,
    entropy: &SharedEntropy,
) -> Result<String, StoreError> {
    let fresh = hex::encode(&entropy.bytes()[..INSTANCE_DIGITS / 2]);
    store
        .first_value(&reach::installation(), INSTANCE, &fresh, clock.now())
        .await
}

/// The same as a process that serves: of one that was killed, no lease is left to wait for.
pub(in crate::app) fn serving(at: Installation) -> Installation {
    Installation {
        holder: format!("{}{}", SERVING, at.holder),
        ..at
    }
}
