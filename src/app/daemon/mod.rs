//! The daemon: everything that `lockstep serve` runs, wired together.
//!
//! [`start`] opens the store, connects the shops, starts queue and listeners, and returns as soon as deliveries are taken.
//! Nothing of it is global (but metrics and logs, which belong to the process), so that several daemons can live in one
//! process: the demonstration and tests do that.
//!
//! A stop takes no new work, lets what runs come to a safe end within the configured times, and closes the store. Killing
//! the process instead is safe, too: the next start takes over what was running.

mod controls;
mod files;
mod imports;
mod keys;
mod lanes;
mod outage;
mod poller;
mod reconciler;
mod reload;
mod scheduler;
mod shops;
mod signals;
#[cfg(test)]
mod tests;

use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};

use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::app::alerts::Watch;
use crate::app::api::{self, Api};
use crate::app::console::{self, Console};
use crate::app::notify::Dispatcher;
use crate::app::notify::events::{Audience, Events};
use crate::app::reach;
use crate::app::subscriptions::{self, Departed, Installation};
use crate::config::Config;
use crate::domain::{SharedClock, SharedEntropy, ShopName, SystemEntropy};
use crate::http::{self, Admin, Health, Hints, HttpError, Intake, Listeners, Public};
use crate::mapping::{MappingErrors, Mappings};
use crate::queue::{self, Live, Queue};
use crate::store::{OpenMode, SharedStore, Standing, StoreError};
use crate::telemetry;
use crate::transport::BuildError;

use controls::{Part, pause};
use files::Fingerprint;
use lanes::ActedOn;
use poller::{HintBox, Poller};
use reconciler::Reconciler;
use reload::Reloader;
use scheduler::{Around, BothSides, DeltaRuns, FullRuns, GapRuns};
use shops::{Disabled, Flows, Wired};

pub(crate) use controls::Controls;
pub(crate) use scheduler::{DELTA, DELTA_OBJECTS};
pub(crate) use shops::context;
pub use signals::Signals;

/// Why the daemon did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The store cannot be opened or used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The listeners cannot be opened.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The mapping files have mistakes.
    #[error("the mappings cannot be used")]
    Mappings(#[source] MappingErrors),
    /// A shop's settings are not usable.
    #[error("[shops.{shop}] cannot be connected")]
    Connect {
        /// Which shop.
        shop: ShopName,
        /// Why.
        #[source]
        source: BuildError,
    },
}

/// What a daemon is given besides its configuration.
#[derive(Clone, Debug)]
pub struct DaemonOptions {
    /// The time that it lives by.
    pub clock: SharedClock,
    /// Where its randomness comes from.
    pub entropy: SharedEntropy,
    /// Whether it follows changes of the configuration and mapping files.
    pub follow_files: bool,
}

impl DaemonOptions {
    /// As `serve` runs it.
    pub fn new(clock: SharedClock) -> Self {
        Self {
            clock,
            entropy: Arc::new(SystemEntropy),
            follow_files: true,
        }
    }
}

/// A running daemon. Dropping it stops nothing: call [`Daemon::stop`].
pub struct Daemon {
    /// Where the public listener is, with its real port.
    pub http_addr: SocketAddr,
    /// Where the admin listener is, with its real port.
    pub admin_addr: SocketAddr,
    stop: CancellationToken,
    broken: CancellationToken,
    controls: Controls,
    live: watch::Receiver<Live>,
    reconcile: Arc<Notify>,
    standing: watch::Receiver<Standing>,
    pending: watch::Sender<Vec<String>>,
    tasks: TaskTracker,
    store: SharedStore,
}

impl fmt::Debug for Daemon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Daemon")
            .field("http", &self.http_addr)
            .field("admin", &self.admin_addr)
            .finish_non_exhaustive()
    }
}

/// Starts a daemon with this configuration.
///
/// # Errors
/// When the store, a listener, the mappings or a shop's settings cannot be used. Nothing runs then.
pub async fn start(config: Config, options: DaemonOptions) -> Result<Daemon, StartError> {
    // Ports first: they fail fast, and deliveries that come meanwhile wait in the kernel.
    let listeners = Listeners::open(&config.http, &config.admin).await?;
    let files = Fingerprint::read_with(&config);
    let mappings =
        crate::app::mappings::load(config.mappings.dir.as_deref()).map_err(StartError::Mappings)?;
    let store = crate::app::open(&config, &options.clock, OpenMode::Serve).await?;
    match run(config, files, options, listeners, mappings, &store).await {
        Ok(daemon) => Ok(daemon),
        Err(error) => {
            store.close().await;
            Err(error)
        }
    }
}

async fn run(
    config: Config,
    files: Fingerprint,
    options: DaemonOptions,
    listeners: Listeners,
    mappings: Mappings,
    store: &SharedStore,
) -> Result<Daemon, StartError> {
    let DaemonOptions {
        clock,
        entropy,
        follow_files,
    } = options;
    for warning in config.warnings.iter() {
        tracing::warn!("{}", warning.message);
    }
    let (http_addr, admin_addr) = (listeners.public_address(), listeners.admin_address());
    let in_force = Arc::new(mappings);
    let mappings = watch::Sender::new(Arc::clone(&in_force));
    let disabled = Disabled::read(&config, store, &clock).await?;
    let node = node_name(&entropy);
    let acted_on = ActedOn::default();
    let wired = Wired::new(
        &config, &in_force, &mappings, store, &clock, &entropy, &disabled, &acted_on, &node, None,
    )
    .await?;
    let instance_key = reach::instance_key(store, &clock, &entropy).await?;
    outage::look_back(&config, store, &clock).await?;

    let stop = CancellationToken::new();
    let broken = CancellationToken::new();
    let tasks = TaskTracker::new();
    let pending = watch::Sender::new(Vec::new());
    let (reload, reload_requests) = mpsc::channel(4);
    let settings = Arc::new(config.http.clone());
    let (engine, clients, live, intake_shops) = (
        watch::Sender::new(Arc::new(wired.engine)),
        watch::Sender::new(Arc::new(wired.clients)),
        watch::Sender::new(wired.live),
        watch::Sender::new(Arc::new(wired.intake)),
    );
    let store_settings = watch::Sender::new(config.store.clone());

    let audience = watch::Sender::new(Arc::new(Audience::of(&config)));
    let events = Events::new(audience.subscribe(), entropy.clone());

    // The queue.
    let queue = Queue::new(
        store.clone(),
        Arc::new(Flows::new(engine.subscribe())),
        live.subscribe(),
        clock.clone(),
        entropy.clone(),
        node.clone(),
    )
    .telling(Arc::new(events.clone()));
    let part = Part {
        tasks: &tasks,
        stop: &stop,
        broken: &broken,
    };
    part.run("queue", queue.run(stop.clone()));
    {
        let (store, stop) = (store.clone(), stop.clone());
        part.run("the store", async move {
            tokio::select! {
                () = store.broken() => {}
                () = stop.cancelled() => {}
            }
        });
    }
    part.run(
        "pruning",
        queue::prune_on_schedule(
            store.clone(),
            clock.clone(),
            store_settings.subscribe(),
            stop.clone(),
        ),
    );

    part.run(
        "signs of life",
        outage::note_signs_of_life(store.clone(), clock.clone(), stop.clone()),
    );

    part.run(
        "retries of many jobs",
        crate::app::review::work_batches(store.clone(), clock.clone(), stop.clone()),
    );

    let current_config = watch::Sender::new(Arc::new(config));
    // The listeners.
    let installation = Installation::new(store, &clock, &entropy, None)
        .await?
        .telling(events.clone());
    let intake = Arc::new(Intake::new(
        store.clone(),
        clock.clone(),
        intake_shops.subscribe(),
        shops::verify(),
        Arc::clone(&settings),
        subscriptions::own_name(&installation.instance),
    ));
    let metrics = telemetry::metrics();
    part.run(
        "alerts",
        Watch::new(current_config.subscribe(), store.clone(), clock.clone(), &node).run(stop.clone()),
    );
    let hints = Arc::new(HintBox::new(
        current_config.subscribe(),
        store.clone(),
        clock.clone(),
        &node,
    ));
    let public = http::public_router(Public {
        intake: Arc::clone(&intake),
        hints: Arc::new(Hints::new(hints.clone(), clock.clone())),
        health: Arc::new(Health::new(store.clone(), clock.clone(), pending.subscribe())),
        instance_key: instance_key.clone(),
        settings: Arc::clone(&settings),
        entropy: entropy.clone(),
    });
    let standing = watch::Sender::new(wired.standing);
    let controls = Controls {
        standing: standing.subscribe(),
        reload: reload.clone(),
        live: live.clone(),
        stop: stop.clone(),
        tasks: tasks.clone(),
    };
    let departed = Departed::default();
    let api = Arc::new(Api {
        departed: departed.clone(),
        config: current_config.subscribe(),
        store: store.clone(),
        clock: clock.clone(),
        clients: clients.subscribe(),
        installation,
        listener: http_addr,
        entropy: entropy.clone(),
        is_local: admin_addr.ip().to_canonical().is_loopback(),
        calls: AtomicU64::new(0),
        controls: controls.clone(),
        instance_key,
    });
    let console = console::router(Arc::new(Console::new(Arc::clone(&api), entropy.clone())));
    let admin = http::admin_router(
        Arc::new(Admin::new(store.clone(), clock.clone(), metrics.clone())),
        api::router(api).merge(console),
        entropy.clone(),
    );
    {
        let stop = stop.clone();
        part.run("listeners", async move {
            listeners.serve(public, admin, &settings, stop).await;
        });
    }
    {
        let stop = stop.clone();
        part.run("refusal counts", async move { intake.keep_count(stop).await });
    }
    part.run(
        "metrics",
        http::keep_metrics_small(metrics, clock.clone(), stop.clone()),
    );

    // What follows the outside world.
    let reloader = Reloader {
        config: current_config,
        store: store.clone(),
        clock: clock.clone(),
        entropy: entropy.clone(),
        mappings,
        engine,
        clients,
        live,
        intake_shops,
        store_settings,
        audience,
        disabled: disabled.clone(),
        acted_on,
        file: Mutex::new(wired.file),
        standing,
    };
    let current = reloader.current();
    let followed = reloader.live.subscribe();
    let standing = reloader.standing.subscribe();
    part.run(
        "reload",
        reloader.follow(files, follow_files, reload_requests, stop.clone()),
    );
    let dispatch = {
        let (current, store, clock) = (current.clone(), store.clone(), clock.clone());
        let (entropy, node, stop) = (entropy.clone(), node.clone(), stop.clone());
        move || {
            let (config, standing) = (current.config.clone(), current.standing.clone());
            Dispatcher::new(
                config,
                standing,
                store.clone(),
                clock.clone(),
                entropy.clone(),
                &node,
            )
            .run(stop.clone())
        }
    };
    let pruned_by = (clock.clone(), current.config.clone());
    let poller = Poller {
        current: current.clone(),
        hints,
        store: store.clone(),
        clock: clock.clone(),
        node: node.clone(),
        stop: stop.clone(),
    };
    part.run("polling", poller.run());
    let around = Around {
        current: current.clone(),
        store: store.clone(),
        clock: clock.clone(),
        node: node.clone(),
        events: events.clone(),
    };
    part.run(
        "catching up",
        scheduler::follow(GapRuns(around.clone()), stop.clone()),
    );
    let importer = imports::Importer {
        current: current.clone(),
        store: store.clone(),
        clock: clock.clone(),
        node: node.clone(),
        stop: stop.clone(),
        events: events.clone(),
    };
    part.run("imports", importer.run());
    part.run(
        "delta runs",
        scheduler::follow(DeltaRuns::new(around.clone()), stop.clone()),
    );
    let both_sides = Arc::new(BothSides {
        around: around.clone(),
        entropy: entropy.clone(),
    });
    part.run(
        "full runs",
        scheduler::follow(FullRuns::new(around, both_sides), stop.clone()),
    );
    part.run(
        "key expiry",
        keys::watch(current.clone(), store.clone(), clock.clone(), stop.clone()),
    );
    let reconciler = Reconciler::new(&current, &disabled, store, &clock, &entropy, &departed)
        .await?
        .telling(events);
    let reconcile = reconciler.wake();
    part.run("subscriptions", reconciler.follow(stop.clone()));
    part.run(
        "disabled shops",
        shops::watch_disabled(
            current,
            disabled,
            store.clone(),
            clock,
            Arc::clone(&reconcile),
            stop.clone(),
        ),
    );

    part.keep("notifications", dispatch);
    part.run(
        "pruning of deliveries",
        crate::app::notify::prune_on_schedule(store.clone(), pruned_by.0, pruned_by.1, stop.clone()),
    );

    tracing::info!(http = %http_addr, admin = %admin_addr, "ready");
    Ok(Daemon {
        http_addr,
        admin_addr,
        stop,
        broken,
        controls,
        live: followed,
        reconcile,
        standing,
        pending,
        tasks,
        store: store.clone(),
    })
}

impl Daemon {
    /// Takes the configuration and mapping files up again now. Returns the number of the configuration that is in force
    /// then.
    ///
    /// # Errors
    /// What is wrong with the files, with their places; everything stays as it was.
    pub async fn reload(&self) -> Result<Option<i64>, String> {
        self.controls.reload().await
    }

    /// As [`Daemon::reload`], without waiting for it. Does nothing while several wait already.
    pub fn request_reload(&self) {
        self.controls.reload.try_send(oneshot::channel().0).ok();
    }

    /// Has the shops' webhook subscriptions looked at now, without waiting for it.
    pub fn reconcile_subscriptions(&self) {
        self.reconcile.notify_one();
    }

    /// The number of the configuration and mappings in force.
    pub fn revision(&self) -> Option<i64> {
        self.live.borrow().revision
    }

    /// Whether its files are the ones that all nodes of the store are to act on. Where they are not, it works with the
    /// toggles of those, and changes nothing on the shops by itself.
    pub fn is_newest(&self) -> bool {
        self.standing.borrow().is_newest
    }

    /// Completes when a part of the daemon ended that must not end: it is to be stopped and started again.
    pub async fn broken(&self) {
        self.broken.cancelled().await;
    }

    /// Takes no new work, ends what runs, closes the store.
    pub async fn stop(self) {
        self.pending.send_replace(vec!["stopping".to_owned()]);
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        self.store.close().await;
        tracing::info!("stopped");
    }
}

/// This process, as attempts and other nodes name it. (Containers of one image may share host name and process number.)
fn node_name(entropy: &SharedEntropy) -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = host.trim();
    let host = if host.is_empty() { "lockstep" } else { host };
    format!(
        "{host}:{}-{}",
        std::process::id(),
        hex::encode(&entropy.bytes()[..2])
    )
}
