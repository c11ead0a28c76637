//! Hints of Odoo's, on their way to the poller.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use tokio::sync::{Notify, watch};

pub(super) use crate::app::polls::HINT;
use crate::config::Config;
use crate::domain::{SharedClock, ShopName};
use crate::http::Hinted;
use crate::secret::Secret;
use crate::store::SharedStore;

/// Hints that came to this node.
pub(in crate::app::daemon) struct HintBox {
    config: watch::Receiver<Arc<Config>>,
    store: SharedStore,
    clock: SharedClock,
    node: String,
    /// By shop: the models, or none for all of them.
    waiting: Mutex<BTreeMap<ShopName, BTreeSet<Option<String>>>>,
    pub(super) rings: Notify,
}

impl HintBox {
    pub(in crate::app::daemon) fn new(
        config: watch::Receiver<Arc<Config>>,
        store: SharedStore,
        clock: SharedClock,
        node: &str,
    ) -> Self {
        Self {
            config,
            store,
            clock,
            node: node.to_owned(),
            waiting: Mutex::default(),
            rings: Notify::new(),
        }
    }

    pub(super) fn take(&self, shop: &ShopName) -> BTreeSet<Option<String>> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.remove(shop).unwrap_or_default()
    }
}

#[async_trait]
impl Hinted for HintBox {
    fn token(&self, shop: &ShopName) -> Option<Secret> {
        let config = self.config.borrow();
        config.shops.get(shop)?.odoo.hint_token.clone()
    }

    async fn hinted(&self, shop: &ShopName, model: Option<&str>) {
        let now = self.clock.now();
        {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            waiting
                .entry(shop.clone())
                .or_default()
                .insert(model.map(str::to_owned));
        }
        self.rings.notify_one();
        // Another node may be the one that polls.
        let word = format!("{} {}", now.millis(), self.node);
        if let Err(error) = self.store.set_cursor(shop, HINT, &word, now).await {
            tracing::debug!(%shop, error = %error, "the other nodes were not told of a hint");
        }
    }
}
