//! How fast customers are imported into an ERP that takes its time for each call and for each row, as a real one does, next to one record
//! at a time; and how long a live change takes while an import runs, next to how long it takes alone.
//!
//! `cargo bench --bench import` (`-- 60` for fewer customers). The real daemon between a stand-in shop and a stand-in ERP, all on this
//! machine. Everything of ours is as it is by default: workers, calls at a time, calls a second. The one exception is what the import is
//! compared with, which has one worker. So the ratio is what an operator gets who sets nothing; with the default pace it is the pace
//! that bounds it, not the number of workers. Of live changes the median of a few is told, from the shop to the partner in the ERP.
//! Numbers are printed and judged by nobody: what is slow in them is the stand-in, by the times below.

#![expect(clippy::print_stdout, reason = "a bench prints its numbers")]

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use lockstep::sandbox::odoo::{OdooSandbox, Options as ErpOptions, Version};
use lockstep::sandbox::shopify::draft::CustomerDraft;
use lockstep::sandbox::shopify::options::Rate;
use lockstep::sandbox::shopify::{Options as ShopOptions, ShopSandbox};
use serde_json::Value;

const CUSTOMERS: usize = 300;

/// What one call of Odoo was seen to take: a read 25 ms, a partner 50 to 80 ms. Partners that are saved in one call take as long each.
const LATENCY: Duration = Duration::from_millis(25);
const ROW_LATENCY: Duration = Duration::from_millis(40);

/// Live changes of which each kind is timed.
const LIVE: usize = 5;

const PATIENCE: Duration = Duration::from_mins(20);

fn main() {
    let asked = std::env::args()
        .skip(1)
        .find_map(|argument| argument.parse().ok());
    let customers = asked.unwrap_or(CUSTOMERS);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let one = World::start("workers = 1\nworkers_per_shop = 1").await;
        let alone = one.import(customers / 5).await;
        drop(one);
        let world = World::start("").await;
        let together = world.import(customers).await;
        println!(
            "one record at a time: {alone:.0} a minute; an import: {together:.0} a minute, {:.1} times as fast",
            together / alone
        );
        world.live(customers).await;
    });
}

struct World {
    shop: ShopSandbox,
    erp: OdooSandbox,
    daemon: Child,
    config: PathBuf,
    _folder: tempfile::TempDir,
}

impl World {
    async fn start(queue: &str) -> Self {
        let mut options = ErpOptions {
            latency: LATENCY,
            row_latency: ROW_LATENCY,
            ..ErpOptions::version(Version::V18)
        };
        options.companies[0].currency = "EUR".to_owned();
        let erp = OdooSandbox::start(options)
            .await
            .expect("the stand-in ERP starts");
        let shop = ShopSandbox::start(ShopOptions {
            rate: Rate {
                restore_rate: 1e6,
                maximum_available: 1e6,
                ..ShopOptions::default().rate
            },
            ..ShopOptions::default()
        });
        let shop = shop.await.expect("the stand-in shop starts");
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
        let config = folder.path().join("lockstep.toml");
        std::fs::write(&config, configuration(&shop, &erp, queue)).expect("a configuration");
        let (daemon, http) = serve(&config);
        for topic in ["customers/create", "customers/update"] {
            shop.register(topic, &format!("http://{http}/webhooks/shopify"));
        }
        Self {
            shop,
            erp,
            daemon,
            config,
            _folder: folder,
        }
    }

    fn customer(&self, mail: String) {
        let draft = CustomerDraft {
            first_name: Some("Ada".to_owned()),
            email: Some(mail),
            ..CustomerDraft::default()
        };
        self.shop
            .change(|shop| shop.create_customer(draft))
            .expect("the shop takes it");
    }

    fn command(&self, arguments: &[&str]) -> Value {
        let output = Command::new(env!("CARGO_BIN_EXE_lockstep"))
            .args(arguments)
            .arg("--json")
            .env("LOCKSTEP_CONFIG", &self.config)
            .output()
            .expect("the binary can be run");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{arguments:?}: {said}");
        serde_json::from_slice(&output.stdout).expect("JSON")
    }

    fn is_over(&self) -> bool {
        self.command(&["import", "--status"])[0]["state"] == "done"
    }

    /// Imports so many customers that no webhook told of; returns how many a minute.
    #[expect(clippy::cast_precision_loss, reason = "a rate")]
    async fn import(&self, customers: usize) -> f64 {
        self.shop.hold_deliveries();
        for n in 0..customers {
            self.customer(format!("ada{n}@example.com"));
        }
        let began = Instant::now();
        self.command(&["import", "customers", "--no-wait"]);
        until("the import is over", || self.is_over()).await;
        customers as f64 * 60.0 / began.elapsed().as_secs_f64()
    }

    fn partners(&self, mail: &str) -> usize {
        let partners = self.erp.ledger().partners();
        partners
            .iter()
            .filter(|one| one.email.as_deref() == Some(mail))
            .count()
    }

    /// The median time from a customer's creation on the shop to the partner in the ERP.
    async fn arrivals(&self, name: &str) -> Duration {
        let mut times = Vec::new();
        for n in 0..LIVE {
            let mail = format!("{name}{n}@example.com");
            let began = Instant::now();
            let at = self.shop.held().len();
            self.customer(mail.clone());
            self.shop.release_one(at).await;
            until("it is there", || self.partners(&mail) == 1).await;
            times.push(began.elapsed());
        }
        times.sort();
        times[LIVE / 2]
    }

    async fn live(&self, customers: usize) {
        let alone = self.arrivals("alone").await;
        for n in 0..customers {
            self.customer(format!("more{n}@example.com"));
        }
        self.command(&["import", "customers", "--no-wait"]);
        let during = self.arrivals("during").await;
        assert!(!self.is_over(), "the import was too short for this");
        println!(
            "a live change takes {:.0} ms alone and {:.0} ms during an import",
            alone.as_secs_f64() * 1e3,
            during.as_secs_f64() * 1e3
        );
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.daemon.kill().ok();
        self.daemon.wait().ok();
    }
}

fn configuration(shop: &ShopSandbox, erp: &OdooSandbox, queue: &str) -> String {
    let access = ShopOptions::default().access;
    format!(
        r#"[http]
listen = "127.0.0.1:0"
[admin]
listen = "127.0.0.1:0"
[queue]
{queue}
[shops.main]
domain = "{domain}"
client_id = "{client_id}"
client_secret = "{client_secret}"
base_url = "{shop_url}"
runs = {{ delta = "off" }}
[shops.main.odoo]
url = "{erp_url}"
database = "prod"
login = "connector@example.com"
api_key = "{api_key}"
[shops.main.sync]
customers = {{ in = "on" }}
"#,
        domain = shop.domain(),
        client_id = access.client_id,
        client_secret = access.client_secret,
        shop_url = shop.url(),
        erp_url = erp.url(),
        api_key = erp.api_key(),
    )
}

/// The daemon, and its public address.
fn serve(config: &Path) -> (Child, String) {
    let mut daemon = Command::new(env!("CARGO_BIN_EXE_lockstep"))
        .arg("serve")
        .arg("--config")
        .arg(config)
        .env("LOCKSTEP_LOG", "error")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the daemon starts");
    let mut line = String::new();
    let mut output = BufReader::new(daemon.stdout.take().expect("its output"));
    output.read_line(&mut line).expect("its first line");
    let ready: Value = serde_json::from_str(&line).expect("it says that it is ready");
    (daemon, ready["http"].as_str().expect("an address").to_owned())
}

async fn until(what: &str, mut check: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    let mut tick = tokio::time::interval(Duration::from_millis(20));
    while !check() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        tick.tick().await;
    }
}
