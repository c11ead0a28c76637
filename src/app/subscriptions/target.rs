//! Shops and this process, as far as subscriptions go.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::SubscriptionsError;
use crate::app::notify::events::Events;
use crate::app::{connect, reach, status};
use crate::config::{Config, Shop, is_local};
use crate::domain::{SharedClock, SharedEntropy, ShopName, Timestamp, Topic};
use crate::http::OwnName;
use crate::store::{SERVING, SharedStore, StoreError};
use crate::subscriptions::{self, INSTANCE_DIGITS, Lease, Registry};
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
    /// The hash of the configuration that this process acts for: nothing is changed unless it is the newest. None where no node
    /// runs any.
    pub acting_for: Option<String>,
    /// Ends what is under way: the rights to change something are given back at once.
    pub interrupt: CancellationToken,
    /// Who is told of subscriptions that were gone.
    pub events: Events,
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
            acting_for: None,
            interrupt: CancellationToken::new(),
            events: Events::silent(entropy.clone()),
        })
    }

    /// The same, which has others told.
    #[must_use]
    pub fn telling(self, events: Events) -> Self {
        Self { events, ..self }
    }

    /// The same with the id that it has now: a command may have given it another one.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn refreshed(&self) -> Result<Self, StoreError> {
        let known = self.store.cursor(&reach::installation(), INSTANCE).await?;
        Ok(Self {
            instance: known.unwrap_or_else(|| self.instance.clone()),
            ..self.clone()
        })
    }

    /// As a command of this configuration: where a node runs, the configuration must be the one that all act on, now and at every
    /// change.
    ///
    /// # Errors
    /// When it is not ([`SubscriptionsError::NotNewest`]), or when the store fails.
    pub async fn as_command(mut self, config: &Config) -> Result<Self, SubscriptionsError> {
        if self.store.nodes(self.clock.now()).await?.is_empty() {
            return Ok(self);
        }
        // With mappings that cannot be read it is none that a node runs.
        let mappings = crate::app::mappings::load(config.mappings.dir.as_deref()).ok();
        let own = mappings.map(|mappings| status::revision_hash(config, &mappings));
        self.acting_for = Some(own.unwrap_or_default());
        if subscriptions::is_newest(&self.store, self.acting_for.as_deref()).await? {
            Ok(self)
        } else {
            Err(SubscriptionsError::NotNewest)
        }
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

/// Gives this installation another id, and leaves the subscriptions that it knows to the installation that has the old one.
/// Returns the new id.
///
/// # Errors
/// When somebody changes subscriptions at this moment, or when the store fails.
pub async fn renew_instance(
    at: &Installation,
    declared: impl IntoIterator<Item = &ShopName>,
    entropy: &SharedEntropy,
) -> Result<String, SubscriptionsError> {
    let mut shops: BTreeSet<ShopName> = declared.into_iter().cloned().collect();
    shops.extend(at.store.subscribed_shops().await?);
    let mut leases = Vec::new();
    let mut result = Ok(());
    for shop in &shops {
        match Lease::take(&at.store, &at.clock, shop, &at.holder, None).await? {
            Ok(lease) => leases.push(lease),
            Err(_) => result = Err(SubscriptionsError::Busy),
        }
    }
    let fresh = hex::encode(&entropy.bytes()[..INSTANCE_DIGITS / 2]);
    if result.is_ok() {
        result = exchange(at, &shops, &fresh)
            .await
            .map_err(SubscriptionsError::from);
    }
    for lease in leases {
        lease.release().await;
    }
    result.map(|()| fresh)
}

async fn exchange(at: &Installation, shops: &BTreeSet<ShopName>, fresh: &str) -> Result<(), StoreError> {
    at.store
        .set_cursor(&reach::installation(), INSTANCE, fresh, at.clock.now())
        .await?;
    for shop in shops {
        for row in at.store.subscriptions(shop).await? {
            // Since it was last seen its events went elsewhere.
            at.store
                .remove_subscription(shop, row.id, row.seen_at, None)
                .await?;
        }
    }
    Ok(())
}

/// The name under which a topic's events come through the subscription of this installation.
pub(in crate::app) fn own_name(instance: &str) -> OwnName {
    let instance = instance.to_owned();
    Arc::new(move |topic| {
        let graphql = Topic::of_header(topic)?.graphql?;
        Some(subscriptions::name_of(&instance, graphql))
    })
}

/// The same as a process that serves: of one that was killed, no lease is left to wait for.
pub(in crate::app) fn serving(at: Installation) -> Installation {
    Installation {
        holder: format!("{}{}", SERVING, at.holder),
        ..at
    }
}
