//! The shops of a configuration as the running parts see them: flows, lanes, intake.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use tokio::select;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{StartError, pause};
use crate::app::{connect, status};
use crate::config::{Config, Shop};
use crate::domain::{Direction, Object, Priority, Report, SharedClock, SharedEntropy, ShopName, Timestamp};
use crate::http::{IntakeShop, IntakeShops, Signature, Verify};
use crate::mapping::{Mappings, ShopFacts};
use crate::queue::{Handler, LaneGate, Live};
use crate::shopify::webhook::{self, SignatureError};
use crate::store::{ClaimedJob, Lane, NodeFile, SharedStore, Standing, StoreError, TakenUp};
use crate::subscriptions::{self, Toggle, WhenOff};
use crate::sync::{Engine, ShopContext};
use crate::transport;

/// How often it is looked whether a shop was disabled or enabled. Machine time: tests cannot move it.
const LOOK: Duration = Duration::from_millis(if cfg!(test) { 50 } else { 5_000 });

/// How often a disabled shop is asked whether our access works again.
const PROBE: Duration = Duration::from_secs(600);

/// Everything that one configuration makes, ready to be put in force at once.
pub(super) struct Wired {
    pub(super) engine: Engine,
    pub(super) live: Live,
    pub(super) intake: IntakeShops,
    pub(super) file: NodeFile,
    pub(super) standing: Standing,
}

/// The toggles of each shop.
pub(super) type Toggles = BTreeMap<ShopName, subscriptions::Settings>;

/// The toggles whose switching was acted on last, as far as this process knows.
#[derive(Clone, Debug, Default)]
pub(super) struct ActedOn(Arc<RwLock<Option<Toggles>>>);

impl ActedOn {
    pub(super) fn is(&self, toggles: &Toggles) -> bool {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        known.as_ref() == Some(toggles)
    }

    pub(super) fn set(&self, toggles: Toggles) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(toggles);
    }
}

/// What is in force when a reload begins.
pub(super) struct Before<'a> {
    pub(super) config: &'a Config,
    pub(super) engine: &'a Engine,
    /// The hash of configuration and mappings.
    pub(super) hash: &'a str,
}

impl Before<'_> {
    /// Puts the clients back that the shop has already, where nothing that they are made of changed: they hold the throttle,
    /// the token and the ERP's session, which a change of a toggle must not throw away.
    fn keep_clients(&self, shop: &Shop, context: &mut ShopContext) {
        let (Some(old), Some(known)) = (self.config.shops.get(&shop.name), self.engine.shop(&shop.name))
        else {
            return;
        };
        if old.shopify == shop.shopify
            && old.credentials.is_same(&shop.credentials)
            && is_reached_alike(&old.connection, &shop.connection)
        {
            context.source = Arc::clone(&known.source);
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
        for shop in config.shops.values() {
            let mut context = context(shop, mappings, store, clock, entropy)?;
            if let Some(before) = before {
                before.keep_clients(shop, &mut context);
            }
            contexts.push(context);
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
    let failed = |source| StartError::Connect {
        shop: shop.name.clone(),
        source,
    };
    Ok(ShopContext {
        name: shop.name.clone(),
        domain: shop.shopify.domain.clone(),
        settings: shop.flow.clone(),
        facts: ShopFacts {
            name: shop.name.to_string(),
            ..ShopFacts::default()
        },
        start_at: shop.start_at,
        owner: shop.owner.clone(),
        source: connect::shopify(shop, clock, entropy).map_err(failed)?,
        erp: connect::erp(shop, clock).map_err(failed)?,
        mappings: mappings.subscribe(),
        store: store.clone(),
        clock: clock.clone(),
    })
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

/// The toggles as this node's configuration declares them.
pub(super) fn declared(config: &Config) -> Toggles {
    config
        .shops
        .values()
        .map(|shop| (shop.name.clone(), shop.sync.clone()))
        .collect()
}

/// The toggles that this node acts on: those of the newest revision. A shop that it does not know has its own.
pub(super) fn in_force(config: &Config, standing: &Standing) -> Toggles {
    let mut toggles = declared(config);
    if !standing.is_newest {
        for (shop, own) in &mut toggles {
            let newest = standing.newest.toggles.get(shop.as_str());
            if let Some(newest) = newest.and_then(|newest| serde_json::from_value(newest.clone()).ok()) {
                *own = newest;
            }
        }
    }
    toggles
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

/// Which lanes may be claimed.
pub(super) fn gate(toggles: Toggles, disabled: &Disabled, acted_on: &ActedOn) -> LaneGate {
    let (disabled, acted_on) = (disabled.clone(), acted_on.clone());
    LaneGate::new(move |lane| {
        let Some(sync) = toggles.get(&lane.shop) else {
            return false;
        };
        // Notices about the shop (uninstalled, privacy requests) concern our own data and are carried out in any case.
        lane.object == Object::Shop
            || (!disabled.contains(&lane.shop)
                && is_open(sync, lane)
                // What is to be discarded must not be done before it is.
                && (!discards(sync, lane.object) || acted_on.is(&toggles)))
    })
}

/// Whether what waits is discarded when the object is off, and it is.
fn discards(sync: &subscriptions::Settings, object: Object) -> bool {
    sync.category(object)
        .is_some_and(|category| category.inward == Toggle::Off && category.when_off == WhenOff::Discard)
}

/// Whether the toggles let jobs of the lane run. What is off makes no new jobs, and those that wait are done unless they are
/// to be held. An order needs its customer and its products whatever their toggles say: while orders are on, those that are
/// off are done in any case.
fn is_open(sync: &subscriptions::Settings, lane: &Lane) -> bool {
    if lane.direction == Direction::Out {
        return false;
    }
    let is_needed = match lane.object {
        Object::Shop => return true,
        Object::Inventory => return false,
        Object::Customer | Object::Product => sync.orders.inward == Toggle::On,
        Object::Order => false,
    };
    let Some(category) = sync.category(lane.object) else {
        return false;
    };
    match category.inward {
        Toggle::On => true,
        Toggle::Paused => false,
        Toggle::Off => is_needed || category.when_off != WhenOff::Hold,
    }
}

/// The shops as the intake sees them.
pub(super) fn intake(config: &Config, toggles: &Toggles) -> IntakeShops {
    config
        .shops
        .values()
        .map(|shop| IntakeShop {
            name: shop.name.clone(),
            domain: shop.shopify.domain.clone(),
            secrets: shop.webhook_secrets.clone(),
            wanted: toggles.get(&shop.name).map(wanted).unwrap_or_default(),
        })
        .collect()
}

/// The objects whose events make jobs, and how soon those are done.
fn wanted(sync: &subscriptions::Settings) -> BTreeMap<Object, Priority> {
    Object::ALL
        .iter()
        .filter_map(|object| Some((*object, sync.category(*object)?)))
        .filter(|(_, category)| category.inward != Toggle::Off)
        .map(|(object, category)| (object, category.priority.priority()))
        .collect()
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
            // The lanes of a shop opened or closed: let the queue look.
            Ok(true) => current.live.send_modify(|_| {}),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::subscriptions::Category;

    #[test]
    fn toggles_open_and_close_lanes() {
        let inward = |toggle| Category {
            inward: toggle,
            outward: Toggle::On,
            ..Category::default()
        };
        let lane = |object, direction| Lane {
            shop: "main".parse().unwrap(),
            object,
            direction,
        };
        for (orders, products, object, direction, open) in [
            (Toggle::On, Toggle::On, Object::Order, Direction::In, true),
            (Toggle::Paused, Toggle::On, Object::Order, Direction::In, false),
            // What waits is still done.
            (Toggle::Off, Toggle::On, Object::Order, Direction::In, true),
            (Toggle::Off, Toggle::On, Object::Product, Direction::In, true),
            // An order may be waiting for its product.
            (Toggle::On, Toggle::Off, Object::Product, Direction::In, true),
            (Toggle::Off, Toggle::Off, Object::Product, Direction::In, true),
            (Toggle::On, Toggle::Paused, Object::Product, Direction::In, false),
            // Not carried out by this version, whatever the toggle says.
            (Toggle::On, Toggle::On, Object::Product, Direction::Out, false),
        ] {
            let sync = subscriptions::Settings {
                orders: inward(orders),
                products: inward(products),
                ..subscriptions::Settings::default()
            };
            assert_eq!(
                is_open(&sync, &lane(object, direction)),
                open,
                "orders {orders}, products {products}, {object}.{direction}"
            );
        }
    }

    #[test]
    fn what_waits_is_held_only_where_that_is_declared_and_no_order_needs_it() {
        let lane = |object| Lane {
            shop: "main".parse().unwrap(),
            object,
            direction: Direction::In,
        };
        for (orders, when_off, order_open, product_open) in [
            (Toggle::On, WhenOff::Hold, true, true),
            (Toggle::Paused, WhenOff::Hold, false, false),
            (Toggle::Off, WhenOff::Hold, false, false),
            (Toggle::Off, WhenOff::Drain, true, true),
            // What is left after the others were discarded is waited for, or asked for by hand.
            (Toggle::Off, WhenOff::Discard, true, true),
        ] {
            let category = |inward| Category {
                inward,
                when_off,
                ..Category::default()
            };
            let sync = subscriptions::Settings {
                orders: category(orders),
                products: category(Toggle::Off),
                ..subscriptions::Settings::default()
            };
            let seen = [Object::Order, Object::Product].map(|object| is_open(&sync, &lane(object)));
            assert_eq!(seen, [order_open, product_open], "orders {orders}, {when_off:?}");
        }
    }

    #[test]
    fn what_is_to_be_discarded_is_not_done_before() {
        let sync: subscriptions::Settings =
            toml::from_str("orders = { when_off = 'discard' }\ncustomers = { in = 'on' }").unwrap();
        let toggles = Toggles::from([("main".parse().unwrap(), sync)]);
        let acted_on = ActedOn::default();
        let gate = gate(toggles.clone(), &Disabled::default(), &acted_on);
        let lets = |object| {
            gate.lets(&Lane {
                shop: "main".parse().unwrap(),
                object,
                direction: Direction::In,
            })
        };
        assert_eq!([lets(Object::Order), lets(Object::Customer)], [false, true]);
        acted_on.set(Toggles::new());
        assert!(!lets(Object::Order), "others were");
        acted_on.set(toggles);
        assert!(
            lets(Object::Order),
            "what is left is waited for, or asked for by hand"
        );
    }

    #[test]
    fn what_is_wanted_comes_with_its_priority() {
        let sync: subscriptions::Settings = toml::from_str(
            "orders = { in = 'on', priority = 'urgent' }\ncustomers = { in = 'paused', priority = 'background' }\n\
             products = { out = 'on' }",
        )
        .unwrap();
        let expected = [
            (Object::Order, Priority::URGENT),
            (Object::Customer, Priority::BACKGROUND),
        ];
        assert_eq!(wanted(&sync), BTreeMap::from(expected));
    }
}
