//! The demonstration: a stand-in shop, a stand-in ERP, and the daemon between them on an embedded database in a temporary
//! folder. Realistic shopping happens, things go wrong on purpose, and at the end both sides are compared.
//!
//! What is expected comes from the two stand-ins' own ledgers and from what the scenario did, never from lockstep's own
//! bookkeeping; that serves only for the figures beside the result.

mod expect;
mod report;
mod scenario;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::app::daemon::{self, Daemon, DaemonOptions};
use crate::config::Config;
use crate::domain::{JobState, SharedClock, SystemClock};
use crate::sandbox::odoo::{CompanySeed, OdooSandbox, Options as ErpOptions, Rounding, ServiceSeed, Version};
use crate::sandbox::shopify::options::DeliveryOptions;
use crate::sandbox::shopify::{Options as ShopOptions, ShopSandbox};
use crate::store::{OpenMode, SharedStore};

pub use crate::sandbox::odoo::Sabotage;
pub use report::Report;

use scenario::Scenario;

/// What the demonstration is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// How many everyday orders are placed.
    pub orders: u32,
    /// A fault of the ERP that must make the demonstration fail.
    pub sabotage: Option<Sabotage>,
    /// The version of Odoo that the stand-in plays: 17, 18 or 19.
    pub odoo: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            orders: 24,
            sabotage: None,
            odoo: 18,
        }
    }
}

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// A stand-in or the temporary folder could not be made.
    #[error("the demonstration could not be set up")]
    SetUp(#[from] std::io::Error),
    /// The demonstration's own configuration was refused.
    #[error("the demonstration's configuration is refused: {0}")]
    Config(String),
    /// The daemon did not start.
    #[error("the daemon did not start")]
    Daemon(#[from] daemon::StartError),
    /// The store could not be read.
    #[error(transparent)]
    Store(#[from] crate::store::StoreError),
    /// The scenario asked the shop for something that it refuses.
    #[error("the scenario is wrong: {0}")]
    Scenario(String),
}

/// How long everything may take to settle after the last thing that happened.
const PATIENCE: Duration = Duration::from_secs(60);

/// The running demonstration.
pub struct Demo {
    shop: ShopSandbox,
    erp: OdooSandbox,
    daemon: Daemon,
    store: SharedStore,
    folder: Folder,
    started: Instant,
    faults: bool,
}

/// A folder that goes away with the demonstration.
struct Folder(PathBuf);

impl Folder {
    fn new() -> std::io::Result<Self> {
        let path = std::env::temp_dir().join(format!("lockstep-demo-{}", std::process::id()));
        std::fs::create_dir_all(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // It is below the system's folder for temporary files; what cannot be removed now is removed there some day.
        let _left = std::fs::remove_dir_all(&self.0);
    }
}

impl Demo {
    /// Starts both stand-ins and the daemon.
    ///
    /// # Errors
    /// When one of them does not start.
    pub async fn start(options: Options) -> Result<Self, DemoError> {
        let started = Instant::now();
        let folder = Folder::new()?;
        let erp = OdooSandbox::start(erp_options(options.odoo)).await?;
        let shop = ShopSandbox::start(shop_options()).await?;
        let path = folder.0.join("lockstep.toml");
        let text = configuration(&shop, &erp);
        std::fs::write(&path, &text)?;
        let config = Config::load(&path).map_err(|error| DemoError::Config(error.to_string()))?;
        let clock: SharedClock = Arc::new(SystemClock);
        let daemon = daemon::start(config.clone(), DaemonOptions::new(Arc::clone(&clock))).await?;
        let store = crate::app::open(&config, &clock, OpenMode::Tool).await?;
        for topic in scenario::TOPICS {
            shop.register(topic, &format!("http://{}/webhooks/shopify", daemon.http_addr));
        }
        if let Some(sabotage) = options.sabotage {
            erp.faults().sabotage(sabotage);
        }
        Ok(Self {
            shop,
            erp,
            daemon,
            store,
            folder,
            started,
            faults: options.sabotage.is_some(),
        })
    }

    /// Where the daemon's listeners are, for people who want to look around.
    pub fn addresses(&self) -> (String, String) {
        (
            format!("http://{}", self.daemon.http_addr),
            format!("http://{}", self.daemon.admin_addr),
        )
    }

    /// The folder with the configuration, for `lockstep --config … jobs list` beside the demonstration.
    pub fn config_path(&self) -> PathBuf {
        self.folder.0.join("lockstep.toml")
    }

    /// Lets the whole scenario happen, telling `say` each step, waits until everything settled, and compares.
    ///
    /// # Errors
    /// When the scenario or the store fails; that expectations do not hold is no error but the report's verdict.
    pub async fn play(
        &self,
        options: Options,
        say: &mut (dyn FnMut(&str) + Send),
    ) -> Result<Report, DemoError> {
        let mut scenario = Scenario::new(&self.shop, &self.erp, options.orders);
        scenario.open_the_shop(say)?;
        self.settle(say).await?;
        scenario.everyday_orders(say)?;
        self.settle(say).await?;
        scenario.awkward_deliveries(say).await?;
        scenario.changes(say)?;
        self.settle(say).await?;
        scenario.outage_begins(say).await?;
        self.outage().await;
        scenario.outage_ends(say).await?;
        self.settle(say).await?;
        scenario.lost_answers(say)?;
        self.settle(say).await?;
        scenario.a_problem(say)?;
        self.settle(say).await?;
        let expected = scenario.expected();
        let broken = self.wait_for(&expected).await;
        Report::make(&self.shop, &self.erp, &self.store, broken, self.started.elapsed()).await
    }

    /// Waits until the deliveries of the outage have come in and the breaker has had something to hold back.
    async fn outage(&self) {
        self.shop.settle().await;
        let mut tick = interval(Duration::from_millis(50));
        for _ in 0..60 {
            tick.tick().await;
        }
    }

    /// Waits until every delivery was made and no job is under way. A demonstration that does not settle is compared all the
    /// same, and fails there.
    async fn settle(&self, say: &mut (dyn FnMut(&str) + Send)) -> Result<(), DemoError> {
        let deadline = Instant::now() + PATIENCE;
        let mut tick = interval(Duration::from_millis(20));
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut said = 0;
        loop {
            tick.tick().await;
            self.shop.settle().await;
            let counts = self.store.counts(crate::domain::Clock::now(&SystemClock)).await?;
            let open: u64 = counts
                .jobs
                .iter()
                .filter(|lane| {
                    lane.state.is_open() && lane.state != JobState::Problem && lane.state != JobState::Held
                })
                .map(|lane| lane.count)
                .sum();
            if open == 0 && self.shop.pending() == 0 {
                return Ok(());
            }
            if Instant::now() > deadline {
                say(&format!(
                    "  still {open} jobs under way after {} s",
                    PATIENCE.as_secs()
                ));
                return Ok(());
            }
            if open != said && open > 0 && open.is_multiple_of(10) {
                said = open;
                say(&format!("  {open} jobs under way"));
            }
        }
    }

    /// What does not hold, once nothing changes any more. Holds at once where all is well.
    async fn wait_for(&self, expected: &expect::Expected) -> Vec<String> {
        // A fault that was injected stays: there is nothing to wait for.
        let deadline = Instant::now()
            + if self.faults {
                Duration::from_secs(2)
            } else {
                Duration::from_secs(15)
            };
        let mut tick = interval(Duration::from_millis(50));
        loop {
            tick.tick().await;
            let broken = expect::broken(&self.shop.ledger(), &self.erp.ledger(), expected);
            if broken.is_empty() || Instant::now() > deadline {
                return broken;
            }
        }
    }

    /// Stops the daemon and both stand-ins.
    pub async fn stop(self) {
        self.daemon.stop().await;
        self.store.close().await;
        self.shop.stop().await;
        self.erp.stop().await;
    }
}

fn erp_options(major: u32) -> ErpOptions {
    let version = match major {
        17 => Version::V17,
        19 => Version::V19,
        _ => Version::V18,
    };
    let service = |purpose: &str, name: &str| ServiceSeed {
        name: name.to_owned(),
        code: purpose.to_uppercase(),
        external_id: Some(format!("__lockstep_main__.service_{purpose}")),
    };
    ErpOptions {
        rounding: Rounding::Globally,
        latency: Duration::from_millis(15),
        companies: vec![CompanySeed {
            name: "Demo GmbH".into(),
            currency: "EUR".into(),
            country: "DE".into(),
            allowed: true,
        }],
        services: vec![
            service("shipping", "Shipping"),
            service("discount", "Discount"),
            service("rounding", "Rounding"),
            service("custom", "Custom article"),
            service("tip", "Tip"),
        ],
        ..ErpOptions::version(version)
    }
}

fn shop_options() -> ShopOptions {
    ShopOptions {
        domain: "demo-shop.myshopify.com".into(),
        name: "Demo Shop".into(),
        delivery: DeliveryOptions {
            backoff_scale: 0.001,
            ..DeliveryOptions::default()
        },
        ..ShopOptions::default()
    }
}

fn configuration(shop: &ShopSandbox, erp: &OdooSandbox) -> String {
    let access = ShopOptions::default().access;
    format!(
        r#"[store]
url = "sqlite://lockstep.db"

[http]
listen = "127.0.0.1:0"

[admin]
listen = "127.0.0.1:0"

[shops.main]
domain = "{domain}"
client_id = "{client_id}"
client_secret = "{client_secret}"
base_url = "{shop_url}"
start_at = 2000-01-01T00:00:00Z
owner = "demo team"

[shops.main.odoo]
url = "{erp_url}"
database = "prod"
login = "connector@example.com"
api_key = "{api_key}"
calls_per_second = 500
max_concurrent_calls = 8

[shops.main.sync]
orders = {{ in = "on" }}
customers = {{ in = "on" }}
products = {{ in = "on" }}
"#,
        domain = shop.domain(),
        client_id = access.client_id,
        client_secret = access.client_secret,
        shop_url = shop.url(),
        erp_url = erp.url(),
        api_key = erp.api_key(),
    )
}
