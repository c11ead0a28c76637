//! The shops of a configuration as the running parts see them: flows, lanes, intake.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use tokio::select;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use super::lanes::{ActedOn, declared, gate, in_force, intake};
use super::{StartError, pause};
use crate::app::{connect, status};
use crate::config::{Config, Shop};
use crate::domain::{Direction, Object, Report, SharedClock, SharedEntropy, ShopName, Timestamp};
use crate::http::{IntakeShops, Signature, Verify};
use crate::mapping::{Mappings, ShopFacts};
use crate::queue::{Handler, Live};
use crate::shopify::Shopify;
use crate::shopify::webhook::{self, SignatureError};
use crate::store::{ClaimedJob, NodeFile, SharedStore, Standing, StoreError, TakenUp};
use crate::subscriptions::Toggle;
use crate::sync::{Engine, Seen, ShopContext, Source, Target};
use crate::transport;

/// How often it is looked whether a shop was disabled or enabled. Machine time: tests cannot move it.
const LOOK: Duration = Duration::from_millis(if cfg!(test) { 50 } else { 5_000 });

/// How often a disabled shop is asked whether our access works again.
const PROBE: Duration = Duration::from_secs(600);

/// Each shop's client of Shopify, which all users of the shop share.
pub(super) type Clients = BTreeMap<ShopName, Arc<Shopify>>;

/// Everything that one configuration makes, ready to be put in force at once.
pub(super) struct Wired {
    pub(super) engine: Engine,
    pub(super) clients: Clients,
    pub(super) live: Live,
    pub(super) intake: IntakeShops,
    pub(super) file: NodeFile,
    pub(super) standing: Standing,
}

/// What is in force when a reload begins.
pub(super) struct Before<'a> {
    pub(super) config: &'a Config,
    pub(super) engine: &'a Engine,
    pub(super) clients: &'a Clients,
    /// The hash of configuration and mappings.
    pub(super) hash: &'a str,
}

impl Before<'_> {
    /// Puts the clients back that the shop has already, where nothing that they are made of changed: they hold the throttle,
    /// the token and the ERP's session, which a change of a toggle must not throw away.
    fn keep_clients(&self, shop: &Shop, context: &mut ShopContext, shopify: &mut Arc<Shopify>) {
        let (Some(old), Some(known), Some(client)) = (
            self.config.shops.get(&shop.name),
            self.engine.shop(&shop.name),
            self.clients.get(&shop.name),
        ) else {
            return;
        };
        if old.shopify == shop.shopify
            && old.credentials.is_same(&shop.credentials)
            && is_reached_alike(&old.connection, &shop.connection)
        {
            context.source = Arc::clone(&known.source);
            *shopify = Arc::clone(client);
        }
        if old.odoo.server == shop.odoo.server
            && old.odoo.api_key.is_same(&shop.odoo.api_key)
            && is_reached_alike(&old.odoo.connection, &shop.odoo.connection)
        {
            context.erp = Arc::clone(&known.erp);
        }
    }
}

/// Whether clients with these settings are alike. The files that settings name are read when a client is made, and may hold
/// something else by now.
fn is_reached_alike(old: &transport::Settings, new: &transport::Settings) -> bool {
    old == new && new.ca_file.is_none() && new.client_certificate_file.is_none()
}

impl Wired {
    /// Makes the clients of all shops, which follow `mappings`, and notes the revision of the configuration together with
    /// the mappings that are to be in force with it. Clients of `before` that are still right are kept.
    #[expect(
        clippy::too_many_arguments,
        reason = "everything that a configuration is wired with"
    )]
    pub(super) async fn new(
        config: &Config,
        with: &Mappings,
        mappings: &watch::Sender<Arc<Mappings>>,
        store: &SharedStore,
        clock: &SharedClock,
        entropy: &SharedEntropy,
        disabled: &Disabled,
        acted_on: &ActedOn,
        node: &str,
        before: Option<&Before<'_>>,
    ) -> Result<Self, StartError> {
        let mut contexts = Vec::new();
        let mut clients = Clients::new();
        for shop in config.shops.values() {
            let (mut context, mut shopify) = connected(shop, mappings, store, clock, entropy)?;
            if let Some(before) = before {
                before.keep_clients(shop, &mut context, &mut shopify);
            }
            contexts.push(context);
            clients.insert(shop.name.clone(), shopify);
        }
        let file = node_file(config, with, node);
        let how = match before {
            // Somebody saved it, unless nothing of it is new (a signal without a change, a comment).
            Some(before) if before.hash != file.hash => TakenUp::Saved,
            _ => TakenUp::Found,
        };
        let standing = store.config_revision(file.clone(), how, clock.now()).await?;
        let toggles = in_force(config, &standing);
        Ok(Self {
            engine: Engine::new(contexts),
            clients,
            live: Live {
                settings: config.queue.clone(),
                gate: gate(toggles.clone(), disabled, acted_on),
                revision: Some(standing.own),
            },
            intake: intake(config, &toggles),
            file,
            standing,
        })
    }
}

/// One shop with both of its clients.
pub(crate) fn context(
    shop: &Shop,
    mappings: &watch::Sender<Arc<Mappings>>,
    store: &SharedStore,
    clock: &SharedClock,
    entropy: &SharedEntropy,
) -> Result<ShopContext, StartError> {
    Ok(connected(shop, mappings, store, clock, entropy)?.0)
}

fn connected(
    shop: &Shop,
    mappings: &watch::Sender<Arc<Mappings>>,
    store: &SharedStore,
    clock: &SharedClock,
    entropy: &SharedEntropy,
) -> Result<(ShopContext, Arc<Shopify>), StartError> {
    let failed = |source| StartError::Connect {
        shop: shop.name.clone(),
        source,
    };
    let shopify = connect::shopify(shop, clock, entropy).map_err(failed)?;
    let context = ShopContext {
        name: shop.name.clone(),
        domain: shop.shopify.domain.clone(),
        settings: shop.flow.clone(),
        facts: ShopFacts {
            name: shop.name.to_string(),
            ..ShopFacts::default()
        },
        start_at: shop.start_at,
        owner: shop.owner.clone(),
        source: Arc::clone(&shopify) as Arc<dyn Source>,
        target: Arc::clone(&shopify) as Arc<dyn Target>,
        erp: connect::erp(shop, clock).map_err(failed)?,
        out: Object::ALL
            .iter()
            .copied()
            .filter(|object| shop.sync.toggle(*object, Direction::Out) != Toggle::Off)
            .collect(),
        not_in: Object::ALL
            .iter()
            .copied()
            .filter(|object| shop.sync.toggle(*object, Direction::In) == Toggle::Off)
            .collect(),
        rules: shop.rules.clone(),
        seen: Seen::default(),
        mappings: mappings.subscribe(),
        store: store.clone(),
        clock: clock.clone(),
    };
    Ok((context, shopify))
}

/// What a node runs, as the store knows it: configuration and mappings together.
pub(super) fn node_file(config: &Config, mappings: &Mappings, node: &str) -> NodeFile {
    let shops: Vec<&str> = config.shops.keys().map(ShopName::as_str).collect();
    NodeFile {
        node: node.to_owned(),
        hash: status::revision_hash(config, mappings),
        summary: format!("shops {}; mappings {}", shops.join(", "), mappings.revision()),
        toggles: serde_json::to_value(declared(config)).unwrap_or_default(),
    }
}

/// The queue's handler: hands each job to the flows of the engine in force.
pub(super) struct Flows(watch::Receiver<Arc<Engine>>);

impl Flows {
    pub(super) fn new(engine: watch::Receiver<Arc<Engine>>) -> Self {
        Self(engine)
    }
}

#[async_trait]
impl Handler for Flows {
    async fn attempt(&self, job: ClaimedJob, stop: CancellationToken) -> Report {
        // The attempt keeps the engine that it began with.
        let engine = Arc::clone(&self.0.borrow());
        engine.attempt(job, stop).await
    }
}

/// The judge of signatures that the intake asks.
pub(super) fn verify() -> Verify {
    Arc::new(
        |secrets, body, signature| match webhook::verify(secrets, body, signature) {
            Ok(()) => Signature::Good,
            Err(SignatureError::Missing) => Signature::Missing,
            Err(SignatureError::Malformed | SignatureError::Wrong) => Signature::Bad,
        },
    )
}

/// The shops that are disabled at this moment (the app was uninstalled).
#[derive(Clone, Debug, Default)]
pub(super) struct Disabled(Arc<RwLock<BTreeSet<ShopName>>>);

impl Disabled {
    /// As the store says. New shops become known there.
    pub(super) async fn read(
        config: &Config,
        store: &SharedStore,
        clock: &SharedClock,
    ) -> Result<Self, StoreError> {
        let disabled = Self::default();
        disabled.refresh(config, store, clock).await?;
        Ok(disabled)
    }

    /// Reads them again. Says whether something changed.
    async fn refresh(
        &self,
        config: &Config,
        store: &SharedStore,
        clock: &SharedClock,
    ) -> Result<bool, StoreError> {
        let mut fresh = BTreeSet::new();
        for name in config.shops.keys() {
            if store.shop_state(name, clock.now()).await?.disabled.is_some() {
                fresh.insert(name.clone());
            }
        }
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let changed = *known != fresh;
        *known = fresh;
        Ok(changed)
    }

    pub(super) fn contains(&self, shop: &ShopName) -> bool {
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .contains(shop)
    }

    fn names(&self) -> Vec<ShopName> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        known.iter().cloned().collect()
    }
}

/// What is in force, for parts that follow it.
#[derive(Clone)]
pub(super) struct Current {
    pub(super) config: watch::Receiver<Arc<Config>>,
    pub(super) engine: watch::Receiver<Arc<Engine>>,
    pub(super) clients: watch::Receiver<Arc<Clients>>,
    pub(super) live: watch::Sender<Live>,
    /// Whether this node's configuration is the one that all are to act on: only then it writes to the shops by itself.
    pub(super) standing: watch::Receiver<Standing>,
    pub(super) disabled: Disabled,
}

/// Follows which shops are disabled, and enables those to which our access works again (the app was installed anew).
pub(super) async fn watch_disabled(
    current: Current,
    disabled: Disabled,
    store: SharedStore,
    clock: SharedClock,
    reconcile: Arc<Notify>,
    stop: CancellationToken,
) {
    let mut probed: BTreeMap<ShopName, Timestamp> = BTreeMap::new();
    loop {
        select! {
            () = stop.cancelled() => return,
            () = pause(LOOK) => {}
        }
        let config = Arc::clone(&current.config.borrow());
        match disabled.refresh(&config, &store, &clock).await {
            // The lanes of a shop opened or closed: let the queue look. Whoever installs the app again finds no subscription.
            Ok(true) => {
                current.live.send_modify(|_| {});
                reconcile.notify_one();
            }
            Ok(false) => {}
            Err(error) => tracing::warn!(error = %error, "cannot read which shops are disabled"),
        }
        for name in disabled.names() {
            let now = clock.now();
            let due = probed
                .get(&name)
                .is_none_or(|at| now.since(*at) >= PROBE || *at > now);
            if due {
                probed.insert(name.clone(), now);
                enable_if_reachable(&current, &name, &store, &clock).await;
            }
        }
    }
}

async fn enable_if_reachable(current: &Current, name: &ShopName, store: &SharedStore, clock: &SharedClock) {
    let engine = Arc::clone(&current.engine.borrow());
    let Some(shop) = engine.shop(name) else { return };
    match shop.source.probe().await {
        Ok(()) => match store.set_shop_disabled(name, None, clock.now()).await {
            Ok(()) => tracing::info!(shop = %name, "our access works again: the shop is enabled"),
            Err(error) => tracing::warn!(shop = %name, error = %error, "cannot enable the shop"),
        },
        Err(error) => tracing::debug!(shop = %name, error = %error, "the shop stays disabled"),
    }
}
