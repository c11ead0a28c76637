//! How fast customers, products and orders are imported into an ERP that takes its time for each call and for each row, as a real
//! one does, next to one record at a time; and how long a live change takes while an import runs, next to how long it takes alone.
//!
//! `cargo bench --bench import` (`-- 60` for fewer customers; a third as many products and orders are imported, the orders those of
//! customers and products that were imported before, as `import all` has it). The real daemon
//! between a stand-in shop and a stand-in ERP, all on this machine. Everything of ours is as it is by default: workers, calls at a
//! time, calls a second. The one exception is what the import is compared with, which has one worker. So the ratio is what an
//! operator gets who sets nothing. Of live changes the median of a few is told, from the shop to the partner in the ERP. What
//! is slow in the numbers is the stand-in, by the times below. Fails unless each import is three times as fast, and a live change waits
//! less than a second more.
//!
//! `cargo bench --bench import -- --kill 10000` imports so many orders instead, into an ERP that answers at once, while the daemon is
//! killed (`kill -9`) again and again at random moments. Fails unless each order stands in the ERP once in the end.

#![expect(clippy::print_stdout, reason = "a bench prints its numbers")]

#[path = "rig/command.rs"]
mod command;
#[path = "rig/daemon.rs"]
mod daemon;
#[path = "rig/patience.rs"]
mod patience;
#[path = "rig/sides.rs"]
mod sides;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Child;
use std::time::{Duration, Instant};

use lockstep::sandbox::odoo::{OdooSandbox, Options as ErpOptions, ServiceSeed, Version};
use lockstep::sandbox::shopify::ShopSandbox;
use lockstep::sandbox::shopify::draft::{
    Buyer, CustomerDraft, LineDraft, OrderDraft, Payment, ProductDraft, ShippingDraft, VariantDraft,
};
use lockstep::sandbox::shopify::facts::Tax;
use rand::{RngExt as _, SeedableRng as _};
use rust_decimal::Decimal;
use serde_json::Value;

use command::command;
use daemon::serve;
use patience::{PATIENCE, until};
use sides::{Says, configuration, sides};

const CUSTOMERS: usize = 300;

/// Orders that are imported while the daemon is killed.
const ORDERS_KILLED: usize = 10_000;

/// What one call of Odoo was seen to take: a read 25 ms, a partner 50 to 80 ms. Records that are saved,
/// and orders that are confirmed, by one call take as long each as those that are saved or confirmed alone (which is hard on batches: 100
/// partners in one call were seen to take 0.4 to 0.5 s).
const LATENCY: Duration = Duration::from_millis(25);
const ROW_LATENCY: Duration = Duration::from_millis(40);

/// An import has to be so many times as fast as one record at a time.
const FASTER: f64 = 3.0;

/// Most that a live change may wait longer for an import.
const WAITS: Duration = Duration::from_secs(1);

/// Live changes of which each kind is timed.
const LIVE: usize = 5;

/// The times between two kills, in milliseconds.
const KILLED_AFTER_MS: std::ops::Range<u64> = 300..4_000;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let asked = arguments.iter().find_map(|argument| argument.parse().ok());
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    if arguments.iter().any(|argument| argument == "--kill") {
        runtime.block_on(killed(asked.unwrap_or(ORDERS_KILLED)));
    } else {
        runtime.block_on(measured(asked.unwrap_or(CUSTOMERS)));
    }
}

async fn measured(customers: usize) {
    let mut is_good = true;
    let mut one = World::start(
        "workers = 1\nworkers_per_shop = 1\nimport_workers = 1",
        Erp::Realistic,
    )
    .await;
    let mut world = World::start("", Erp::Realistic).await;
    for (object, count) in [
        ("customers", customers),
        ("products", customers.div_ceil(3)),
        ("orders", customers.div_ceil(3)),
    ] {
        let alone = one.import(object, count.div_ceil(5)).await;
        let together = world.import(object, count).await;
        let faster = together.a_minute / alone.a_minute;
        println!("{object}: an import is {faster:.1} times as fast (at least {FASTER})");
        is_good &= faster >= FASTER;
        println!("  one at a time {alone}\n  an import     {together}");
    }
    drop(one);
    is_good &= world.live(customers).await;
    drop(world);
    if !is_good {
        eprintln!("that is not good enough");
        std::process::exit(1);
    }
}

/// Imports orders while the daemon is killed at random moments.
async fn killed(orders: usize) {
    let mut world = World::start("", Erp::Immediate).await;
    world.shop.hold_deliveries();
    world.fill(10, 2);
    let names = world.place(orders);
    world.command(&["import", "orders", "--since", "2020-01-01", "--no-wait"]);
    let began = Instant::now();
    let (mut kills, mut told) = (0_u32, Instant::now());
    let seed = u64::from(std::process::id());
    println!("killed at random by the seed {seed}");
    let mut random = rand::rngs::StdRng::seed_from_u64(seed);
    loop {
        tokio::time::sleep(Duration::from_millis(random.random_range(KILLED_AFTER_MS))).await;
        if world.is_over() {
            break;
        }
        world.kill();
        kills += 1;
        world.daemon = serve(&world.config).0;
        if told.elapsed() > Duration::from_secs(30) {
            told = Instant::now();
            println!("{} of {orders} after {kills} kills", world.booked());
        }
        assert!(began.elapsed() < PATIENCE, "not in time: {}", world.booked());
    }
    let took = began.elapsed();
    let mut times: BTreeMap<String, usize> = BTreeMap::new();
    for order in world.erp.ledger().orders() {
        let name = order.client_order_ref.unwrap_or_default();
        *times.entry(name).or_default() += 1;
    }
    let wrong: Vec<&String> = names.iter().filter(|name| times.get(*name) != Some(&1)).collect();
    let (ours, theirs) = (world.shop.ledger().orders.len(), world.booked());
    println!("{orders} orders, {kills} kills, {took:.0?}: {ours} on the shop, {theirs} in the ERP");
    if !wrong.is_empty() || ours != orders || theirs != orders || times.len() != orders {
        eprintln!("not exactly once: {wrong:?}");
        std::process::exit(1);
    }
}

/// How an import went.
struct Imported {
    /// Records a minute.
    a_minute: f64,
    /// Calls of the ERP for each record, by what they ask, the most first.
    each: Vec<(String, f64)>,
}

impl std::fmt::Display for Imported {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let calls: f64 = self.each.iter().map(|(_, calls)| calls).sum();
        let most = self
            .each
            .iter()
            .take(8)
            .map(|(name, calls)| format!("{name} {calls:.2}"));
        let most: Vec<String> = most.collect();
        let (a_minute, most) = (self.a_minute, most.join(", "));
        write!(
            f,
            "{a_minute:.0} a minute, {calls:.1} calls of the ERP each: {most}"
        )
    }
}

/// How long the ERP takes.
#[derive(Clone, Copy)]
enum Erp {
    /// As long as a real one was seen to.
    Realistic,
    /// No time, and it may be asked as often as one likes.
    Immediate,
}

struct World {
    shop: ShopSandbox,
    erp: OdooSandbox,
    daemon: Child,
    config: PathBuf,
    /// The shop's customers, and a variant of each of its products.
    buyers: Vec<u64>,
    variants: Vec<u64>,
    _folder: tempfile::TempDir,
}

impl World {
    async fn start(queue: &str, kind: Erp) -> Self {
        let (latency, row_latency, pace) = match kind {
            Erp::Realistic => (LATENCY, ROW_LATENCY, ""),
            Erp::Immediate => (
                Duration::ZERO,
                Duration::ZERO,
                "calls_per_second = 10000\nmax_concurrent_calls = 8",
            ),
        };
        let options = ErpOptions {
            latency,
            row_latency,
            services: ["shipping", "discount", "rounding", "custom", "tip"]
                .map(|purpose| ServiceSeed {
                    name: purpose.to_owned(),
                    code: purpose.to_uppercase(),
                    external_id: Some(format!("__lockstep_main__.service_{purpose}")),
                })
                .to_vec(),
            ..ErpOptions::version(Version::V18)
        };
        let (shop, erp) = sides(options).await;
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
        let config = folder.path().join("lockstep.toml");
        let says = Says {
            tables: &format!("[queue]\n{queue}"),
            shop: "runs = { delta = \"off\" }",
            odoo: pace,
            sync: "customers = { in = \"on\" }\nproducts = { in = \"on\" }\norders = { in = \"on\" }",
        };
        std::fs::write(&config, configuration(&shop, &erp, &says)).expect("a configuration");
        let (daemon, http) = serve(&config);
        for topic in ["customers/create", "customers/update"] {
            shop.register(topic, &format!("http://{http}/webhooks/shopify"));
        }
        Self {
            shop,
            erp,
            daemon,
            config,
            buyers: Vec::new(),
            variants: Vec::new(),
            _folder: folder,
        }
    }

    fn kill(&mut self) {
        self.daemon.kill().ok();
        self.daemon.wait().ok();
    }

    fn booked(&self) -> usize {
        self.erp.ledger().count("sale.order")
    }

    fn product(&self, title: &str) -> u64 {
        self.shop.change(|shop| {
            let id = shop.create_product(ProductDraft {
                title: title.to_owned(),
                options: vec!["Size".to_owned()],
                variants: ["S", "M"]
                    .map(|size| {
                        VariantDraft::new(&[size], &format!("{title}-{size}"), Decimal::new(1_999, 2))
                    })
                    .to_vec(),
                ..ProductDraft::default()
            });
            shop.product(id).expect("it was just made").variants[0].id
        })
    }

    /// Further customers and products.
    fn fill(&mut self, customers: usize, products: usize) {
        for n in 0..customers {
            let customer = self.customer(format!("ada{n}@example.com"));
            self.buyers.push(customer);
        }
        for n in 0..products {
            let variant = self.product(&format!("Shirt-{n}"));
            self.variants.push(variant);
        }
    }

    /// Paid orders of the shop's products by its customers; their numbers.
    fn place(&self, orders: usize) -> Vec<String> {
        let (buyers, variants) = (&self.buyers, &self.variants);
        let draft = |n: usize| OrderDraft {
            buyer: Buyer::Customer(buyers[n % buyers.len()]),
            lines: vec![LineDraft::variant(variants[n % variants.len()], 3)],
            shipping: vec![ShippingDraft::new("Standard", Decimal::new(490, 2))],
            taxes: vec![Tax::new("MwSt", Decimal::new(19, 2))],
            taxes_included: true,
            payment: Payment::Paid("shopify_payments".to_owned()),
            ..OrderDraft::default()
        };
        let place = |n: usize| {
            self.shop.change(|shop| {
                let id = shop.place_order(draft(n)).expect("the shop takes it");
                shop.order(id).expect("it was just placed").name.clone()
            })
        };
        (0..orders).map(place).collect()
    }

    fn customer(&self, mail: String) -> u64 {
        let draft = CustomerDraft {
            first_name: Some("Ada".to_owned()),
            email: Some(mail),
            ..CustomerDraft::default()
        };
        self.shop
            .change(|shop| shop.create_customer(draft))
            .expect("the shop takes it")
    }

    fn command(&self, arguments: &[&str]) -> Value {
        let arguments = [arguments, &["--json"]].concat();
        serde_json::from_str(&command(&self.config, &arguments)).expect("JSON")
    }

    fn is_over(&self) -> bool {
        self.command(&["import", "--status"])[0]["state"] == "done"
    }

    /// Calls of the ERP so far, by what they ask.
    fn calls(&self) -> BTreeMap<String, u64> {
        self.erp.ledger().calls()
    }

    /// Imports so many records that no webhook told of.
    #[expect(clippy::cast_precision_loss, reason = "a rate")]
    async fn import(&mut self, object: &str, count: usize) -> Imported {
        self.shop.hold_deliveries();
        match object {
            "orders" => drop(self.place(count)),
            "customers" => self.fill(count, 0),
            _ => self.fill(0, count),
        }
        let (began, before) = (Instant::now(), self.calls());
        self.command(&["import", object, "--since", "2020-01-01", "--no-wait"]);
        until("the import is over", || self.is_over()).await;
        let took = began.elapsed();
        let since = |(name, calls): (String, u64)| {
            let calls = calls - before.get(&name).unwrap_or(&0);
            (name, calls as f64 / count as f64)
        };
        let mut each: Vec<(String, f64)> = self.calls().into_iter().map(since).collect();
        each.retain(|(_, calls)| *calls > 0.0);
        each.sort_by(|(_, one), (_, other)| other.total_cmp(one));
        Imported {
            a_minute: count as f64 * 60.0 / took.as_secs_f64(),
            each,
        }
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

    /// Whether a live change waits no longer than it may.
    async fn live(&self, customers: usize) -> bool {
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
        during < alone + WAITS
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.kill();
    }
}
