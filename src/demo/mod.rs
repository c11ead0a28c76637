//! The demonstration: a stand-in shop, a stand-in ERP, a stand-in receiver of notifications, and the daemon between them on an
//! embedded database in a temporary folder. Realistic shopping happens, things go wrong on purpose, and at the end both sides are
//! compared, and what the receiver was told with them.
//!
//! What is expected comes from the two stand-ins' own ledgers and from what the scenario did, never from lockstep's own
//! bookkeeping; that serves only for the figures beside the result.

mod expect;
mod report;
mod scenario;
mod stage;
mod told;
mod way_back;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::app::daemon::{self, Daemon, DaemonOptions};
use crate::config::Config;
use crate::domain::{JobState, SharedClock, SystemClock};
use crate::sandbox::odoo::OdooSandbox;
use crate::sandbox::receiver::Receiver;
use crate::sandbox::shopify::ShopSandbox;
use crate::store::{JobRow, OpenMode, SharedStore};

pub use crate::sandbox::odoo::Sabotage;
pub use report::Report;

use scenario::Scenario;
use stage::{Folder, configuration, erp_options, free_port, shop_options};

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

/// How long nothing may change before the demonstration stops waiting.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often progress is told at most.
const PROGRESS: Duration = Duration::from_millis(400);

/// The running demonstration.
pub struct Demo {
    shop: ShopSandbox,
    erp: OdooSandbox,
    /// Somebody who is told by notifications.
    receiver: Receiver,
    daemon: Daemon,
    store: SharedStore,
    folder: Folder,
    port: u16,
    started: Instant,
    sabotage: Option<Sabotage>,
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
        let port = free_port()?;
        let receiver = Receiver::start(told::SECRET).await?;
        std::fs::write(&path, configuration(&shop, &erp, &receiver, port, "on"))?;
        let config = Config::load(&path).map_err(|error| DemoError::Config(error.to_string()))?;
        let clock: SharedClock = Arc::new(SystemClock);
        let daemon = daemon::start(config.clone(), DaemonOptions::new(Arc::clone(&clock))).await?;
        let store = crate::app::open(&config, &clock, OpenMode::Tool).await?;
        Ok(Self {
            shop,
            erp,
            receiver,
            daemon,
            store,
            folder,
            port,
            started,
            sabotage: options.sabotage,
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
        let mut broken = Vec::new();
        broken.extend(self.subscribed(say).await);
        scenario.open_the_shop(say)?;
        self.settle(say).await?;
        scenario.everyday_orders(say)?;
        self.settle(say).await?;
        broken.extend(self.toggled(&mut scenario, say).await?);
        self.settle(say).await?;
        scenario.awkward_deliveries(say).await?;
        scenario.changes(say)?;
        self.settle(say).await?;
        if let Some(sabotage) = self.sabotage {
            // Not before: it must strike an order that stands in the end, not one that was cancelled just now.
            self.erp.faults().sabotage(sabotage);
        }
        scenario.outage_begins(say).await?;
        self.outage(say).await?;
        scenario.outage_ends(say).await?;
        self.settle(say).await?;
        scenario.lost_answers(say)?;
        self.settle(say).await?;
        scenario.a_problem(say)?;
        self.settle(say).await?;
        if self.sabotage.is_none() {
            broken.extend(way_back::WayBack::new(&self.shop, &self.erp)?.play(say).await?);
            self.settle(say).await?;
        }
        let expected = scenario.expected();
        broken.extend(self.wait_for(&expected).await);
        let jobs = report::all_jobs(&self.store).await?;
        broken.extend(self.left_over(&expected, &jobs));
        if self.sabotage.is_none() {
            broken.extend(self.told(&expected, say).await);
        }
        let mut report = Report::make(
            &self.shop,
            &self.erp,
            &self.store,
            &jobs,
            broken,
            self.started.elapsed(),
        )
        .await?;
        let took = report.figures.len().saturating_sub(1);
        let taken = self.receiver.told().len().to_string();
        let what = "notifications that the receiver took, each signed and once".to_owned();
        report.figures.insert(took, (what, taken));
        Ok(report)
    }

    /// Waits until the receiver was told of every order; what does not hold.
    async fn told(&self, expected: &expect::Expected, say: &mut (dyn FnMut(&str) + Send)) -> Vec<String> {
        let look = || told::broken(&self.receiver, &self.erp.ledger(), expected);
        // What was told too often stays so, and ends the waiting by the deadline.
        let _held = self.until(|| look().is_empty()).await;
        say(&format!(
            "A receiver that lockstep tells what it does took {} notifications, each signed.",
            self.receiver.told().len()
        ));
        look()
    }

    /// What shows that the demonstration itself did not run as told: work that did not end, a fault that met nobody, a
    /// problem that nobody sees or that nobody caused.
    fn left_over(&self, expected: &expect::Expected, jobs: &[JobRow]) -> Vec<String> {
        let mut left = Vec::new();
        for job in jobs.iter().filter(|job| is_under_way(job.state)) {
            left.push(format!("job {} ({}) is still {}", job.id, job.key, job.state));
        }
        let missed = self.erp.faults().pending();
        if missed > 0 {
            left.push(format!(
                "of the faults that the ERP was told to make, {missed} never struck"
            ));
        }
        if self.shop.ledger().duplicated() == 0 {
            left.push("no webhook was delivered twice, although one should have been".to_owned());
        }
        let waits = |job: &&JobRow| matches!(job.state, JobState::Problem | JobState::Held);
        let shown: Vec<&str> = jobs
            .iter()
            .filter(waits)
            .filter(|job| job.problem.is_some())
            .filter_map(|job| job.record_name.as_deref())
            .collect();
        for name in expected
            .held
            .iter()
            .filter(|name| !shown.contains(&name.as_str()))
        {
            left.push(format!("order {name} needs a person, and no problem says so"));
        }
        for job in jobs.iter().filter(waits) {
            let name = job.record_name.as_deref().unwrap_or(&job.key.source_id);
            if !expected.held.contains(name) {
                left.push(format!(
                    "job {} ({} {name}) needs a person without a reason",
                    job.id, job.key.object
                ));
            }
        }
        left
    }

    /// Waits until lockstep has registered its webhooks on the shop; what does not hold.
    async fn subscribed(&self, say: &mut (dyn FnMut(&str) + Send)) -> Option<String> {
        say("The toggles are on, so lockstep registers its webhooks on the shop by itself.");
        let objects = ["orders/", "customers/", "products/"];
        let there = self
            .until(|| objects.iter().all(|of| self.subscriptions(of) > 2))
            .await;
        let all = self.shop.read(|shop| shop.subscriptions().len());
        say(&format!("  {all} webhooks are registered"));
        (!there).then(|| "lockstep did not register its webhooks".to_owned())
    }

    /// Orders are switched off and on again in the configuration file; an order is placed in between. What does not hold.
    async fn toggled(
        &self,
        scenario: &mut Scenario<'_>,
        say: &mut (dyn FnMut(&str) + Send),
    ) -> Result<Vec<String>, DemoError> {
        let mut broken = Vec::new();
        say("The merchant switches orders off in the configuration file and saves it.");
        self.save("off")?;
        let gone = self.until(|| self.subscriptions("orders/") == 0).await;
        say("  their webhooks are gone from the shop; the others stay");
        if !gone {
            broken.push("orders were switched off, and their webhooks stayed".to_owned());
        }
        let name = scenario.an_order_unheard(say)?;
        let booked = || {
            let orders = self.erp.ledger().orders();
            orders
                .iter()
                .any(|order| order.client_order_ref.as_ref() == Some(&name))
        };
        if booked() {
            broken.push(format!("order {name} was booked although orders were off"));
        }
        say("Orders are switched on again.");
        self.save("on")?;
        if !self.until(|| self.subscriptions("orders/") > 0).await {
            broken.push("orders were switched on again, and their webhooks did not come back".to_owned());
        }
        if self.until(booked).await {
            say(&format!(
                "  their webhooks are back, and order {name} was found and booked"
            ));
        } else {
            broken.push(format!(
                "order {name} was placed while orders were off and never found"
            ));
        }
        Ok(broken)
    }

    /// Saves the configuration with this toggle for orders.
    fn save(&self, orders: &str) -> Result<(), DemoError> {
        let text = configuration(&self.shop, &self.erp, &self.receiver, self.port, orders);
        Ok(std::fs::write(self.config_path(), text)?)
    }

    /// How many of the shop's subscriptions are for topics that begin so.
    fn subscriptions(&self, topic: &str) -> usize {
        let name = topic.replace('/', "_").to_uppercase();
        let of_topic = |shop: &crate::sandbox::shopify::Shop| {
            let all = shop.subscriptions().iter();
            all.filter(|subscription| subscription.topic.starts_with(&name))
                .count()
        };
        self.shop.read(of_topic)
    }

    /// Waits until something holds; whether it came to that.
    async fn until(&self, holds: impl Fn() -> bool) -> bool {
        let deadline = Instant::now() + PATIENCE;
        let mut tick = interval(Duration::from_millis(20));
        while !holds() {
            if Instant::now() > deadline {
                return false;
            }
            tick.tick().await;
        }
        true
    }

    /// Waits until the deliveries of the outage have come in and the daemon has noticed that the ERP is down.
    async fn outage(&self, say: &mut (dyn FnMut(&str) + Send)) -> Result<(), DemoError> {
        self.shop.settle().await;
        let deadline = Instant::now() + PATIENCE;
        let mut tick = interval(Duration::from_millis(20));
        loop {
            tick.tick().await;
            let breakers = self.store.breakers().await?;
            if breakers.iter().any(|breaker| breaker.state != "closed") {
                say("  lockstep noticed: its jobs for the ERP wait");
                return Ok(());
            }
            if Instant::now() > deadline {
                say("  lockstep did not notice");
                return Ok(());
            }
        }
    }

    /// Waits until every delivery was made and no job is under way. A demonstration that does not settle (nothing changes for
    /// a minute) goes on all the same, and fails at its end.
    async fn settle(&self, say: &mut (dyn FnMut(&str) + Send)) -> Result<(), DemoError> {
        let mut deadline = Instant::now() + PATIENCE;
        let mut tick = interval(Duration::from_millis(20));
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut seen = 0;
        let (mut said, mut said_at) = (0, Instant::now());
        loop {
            tick.tick().await;
            self.shop.settle().await;
            let counts = self.store.counts(crate::domain::Clock::now(&SystemClock)).await?;
            let open: u64 = counts
                .jobs
                .iter()
                .filter(|lane| is_under_way(lane.state))
                .map(|lane| lane.count)
                .sum();
            if open == 0 && self.shop.pending() == 0 {
                return Ok(());
            }
            if open != seen {
                seen = open;
                deadline = Instant::now() + PATIENCE;
            }
            if Instant::now() > deadline {
                say(&format!(
                    "  still under way: {}, and nothing moves",
                    jobs_text(open)
                ));
                return Ok(());
            }
            if open != said && said_at.elapsed() >= PROGRESS {
                (said, said_at) = (open, Instant::now());
                say(&format!("  {} under way", jobs_text(open)));
            }
        }
    }

    /// What does not hold, once nothing changes any more. Holds at once where all is well.
    async fn wait_for(&self, expected: &expect::Expected) -> Vec<String> {
        // A fault that was injected stays: there is nothing to wait for.
        let deadline = Instant::now()
            + if self.sabotage.is_some() {
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
        self.receiver.stop().await;
    }
}

fn jobs_text(count: u64) -> String {
    let word = if count == 1 { "job" } else { "jobs" };
    format!("{count} {word}")
}

/// Whether a job in this state goes on by itself.
fn is_under_way(state: JobState) -> bool {
    state.is_open() && !matches!(state, JobState::Problem | JobState::Held)
}
