//! Everything around the daemon: both stand-ins, a database, a configuration.

use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use lockstep::sandbox::odoo::{
    OdooSandbox, Options as ErpOptions, OrderView, Rounding, ServiceSeed, Version,
};
use lockstep::sandbox::shopify::draft::{
    Buyer, CustomerDraft, LineDraft, OrderDraft, Payment, ProductDraft, ShippingDraft, VariantDraft,
};
use lockstep::sandbox::shopify::facts::{Address, Tax};
use lockstep::sandbox::shopify::options::DeliveryOptions;
use lockstep::sandbox::shopify::{Options as ShopOptions, ShopSandbox};
use rust_decimal::Decimal;
use serde_json::Value;
use sqlx::Connection as _;

use super::daemon::{Daemon, PATIENCE, Start, run};

/// Where durable state lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Database {
    Sqlite,
    Postgres,
}

/// Both stand-ins with a configuration for the daemon.
pub(crate) struct World {
    pub(crate) shop: ShopSandbox,
    pub(crate) erp: OdooSandbox,
    pub(crate) folder: tempfile::TempDir,
    pub(crate) config: PathBuf,
    pub(crate) http_port: u16,
    settings: Settings,
}

/// What is special about a world.
#[derive(Clone)]
pub(crate) struct Settings {
    /// How the ERP rounds taxes.
    pub(crate) rounding: Rounding,
    /// More of `[queue]`.
    pub(crate) queue: &'static str,
    /// More of `[shops.main.odoo]`.
    pub(crate) odoo: &'static str,
    /// `[shops.main.flow]`.
    pub(crate) flow: &'static str,
    /// How often the ERP is polled, where what changes in it is brought to the shop, too.
    pub(crate) way_back: Option<&'static str>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            rounding: Rounding::PerLine,
            queue: "",
            odoo: "",
            flow: "",
            way_back: None,
        }
    }
}

const TOPICS: &[&str] = &[
    "orders/create",
    "orders/updated",
    "orders/edited",
    "orders/paid",
    "orders/cancelled",
    "customers/create",
    "customers/update",
    "products/create",
    "products/update",
];

impl World {
    pub(crate) async fn new(database: Database) -> Self {
        Self::with(database, Settings::default()).await
    }

    pub(crate) async fn with(database: Database, settings: Settings) -> Self {
        let service = |purpose: &str| ServiceSeed {
            name: purpose.to_owned(),
            code: purpose.to_uppercase(),
            external_id: Some(format!("__lockstep_main__.service_{purpose}")),
        };
        let mut erp_options = ErpOptions {
            services: ["shipping", "discount", "rounding", "custom", "tip"]
                .map(service)
                .to_vec(),
            rounding: settings.rounding,
            ..ErpOptions::version(Version::V18)
        };
        erp_options.companies[0].currency = "EUR".to_owned();
        let erp = OdooSandbox::start(erp_options)
            .await
            .expect("the stand-in ERP starts");
        let shop = ShopSandbox::start(ShopOptions {
            // Deliveries that fail come again within seconds instead of hours.
            delivery: DeliveryOptions {
                backoff_scale: 0.002,
                // What is sent at once arrives at once.
                concurrency: 64,
                ..DeliveryOptions::default()
            },
            ..ShopOptions::default()
        })
        .await
        .expect("the stand-in shop starts");
        let folder = tempfile::tempdir().expect("a temporary folder");
        // The port stays the same over restarts: subscriptions name it.
        let http_port = free_port();
        let url = match database {
            Database::Sqlite => "sqlite://lockstep.db".to_owned(),
            Database::Postgres => fresh_postgres().await,
        };
        let world = Self {
            config: folder.path().join("lockstep.toml"),
            shop,
            erp,
            folder,
            http_port,
            settings,
        };
        world.write_config(&world.config, &url, http_port);
        let levels = world.settings.way_back.map(|_| &"inventory_levels/update");
        for topic in TOPICS.iter().chain(levels) {
            world
                .shop
                .register(topic, &format!("http://127.0.0.1:{http_port}/webhooks/shopify"));
        }
        world
    }

    /// Writes a configuration file for this world, for a second daemon on another port, say.
    pub(crate) fn write_config(&self, path: &std::path::Path, store: &str, port: u16) {
        let access = ShopOptions::default().access;
        let (poll, out, inventory) = match self.settings.way_back {
            Some(every) => (
                format!("poll = \"{every}\""),
                ", out = \"on\"",
                "inventory = { out = \"on\" }",
            ),
            None => (String::new(), "", ""),
        };
        let text = format!(
            r#"[store]
url = "{store}"

[http]
listen = "127.0.0.1:{port}"

[admin]
listen = "127.0.0.1:0"

[mappings]
dir = "mappings"

# Nothing may wait for a lease to run out, and a repetition comes soon.
[queue]
lease_s = 600
retry = {{ first_wait_s = 1 }}
{queue}

[shops.main]
domain = "{domain}"
client_id = "{client_id}"
client_secret = "{client_secret}"
base_url = "{shop_url}"
start_at = 2000-01-01T00:00:00Z
# What a test breaks is not put right behind its back, whatever the time of the day is.
runs = {{ full = "off" }}

[shops.main.odoo]
url = "{erp_url}"
database = "prod"
login = "connector@example.com"
api_key = "{api_key}"
calls_per_second = 1000
max_concurrent_calls = 8
{poll}
{odoo}

[shops.main.flow]
{flow}

[shops.main.sync]
orders = {{ in = "on" }}
customers = {{ in = "on"{out} }}
products = {{ in = "on"{out} }}
{inventory}
"#,
            queue = self.settings.queue,
            odoo = self.settings.odoo,
            flow = self.settings.flow,
            domain = self.shop.domain(),
            client_id = access.client_id,
            client_secret = access.client_secret,
            shop_url = self.shop.url(),
            erp_url = self.erp.url(),
            api_key = self.erp.api_key(),
        );
        std::fs::create_dir_all(self.folder.path().join("mappings")).expect("a folder can be made");
        std::fs::write(path, text).expect("the configuration can be written");
    }

    pub(crate) fn start(&self, start: &Start) -> Daemon {
        Daemon::start(&self.config, start)
    }

    /// Runs another command and returns its JSON.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let mut arguments = arguments.to_vec();
        arguments.push("--json");
        let (code, out, err) = run(&self.config, &arguments);
        assert_eq!(code, 0, "{arguments:?}: {out}{err}");
        serde_json::from_str(&out)
            .unwrap_or_else(|error| panic!("{arguments:?} printed no JSON ({error}): {out}"))
    }

    /// A product with two variants; returns the variants.
    pub(crate) fn product(&self) -> Vec<u64> {
        self.product_called("Shirt")
    }

    /// A product with two variants, whose title, option and SKUs are like no other product's; returns the variants.
    pub(crate) fn product_called(&self, title: &str) -> Vec<u64> {
        let sku = title.to_uppercase();
        self.shop.change(|shop| {
            let id = shop.create_product(ProductDraft {
                title: title.into(),
                options: vec![format!("Size of {title}")],
                variants: vec![
                    VariantDraft::new(&["S"], &format!("{sku}-S"), Decimal::new(1_999, 2)),
                    VariantDraft::new(&["M"], &format!("{sku}-M"), Decimal::new(2_199, 2)),
                ],
                ..ProductDraft::default()
            });
            shop.product(id)
                .expect("it was just made")
                .variants
                .iter()
                .map(|variant| variant.id)
                .collect()
        })
    }

    pub(crate) fn customer(&self, email: &str) -> u64 {
        self.shop.change(|shop| {
            shop.create_customer(CustomerDraft {
                first_name: Some("Ada".into()),
                last_name: Some("Lovelace".into()),
                email: Some(email.into()),
                addresses: vec![address()],
                ..CustomerDraft::default()
            })
            .expect("the shop takes it")
        })
    }

    /// A paid order of three shirts with shipping: 3 x 19.99 + 4.90 = 64.87, 19 % included. Returns id and name.
    pub(crate) fn order(&self, buyer: Buyer, variant: u64) -> (u64, String) {
        self.place(OrderDraft {
            buyer,
            ..everyday(variant)
        })
    }

    pub(crate) fn place(&self, draft: OrderDraft) -> (u64, String) {
        self.shop.change(|shop| {
            let id = shop.place_order(draft).expect("the shop takes it");
            (id, shop.order(id).expect("it was just placed").name.clone())
        })
    }

    /// Waits until the order stands in the ERP in this state, and returns it; there must be exactly one.
    pub(crate) async fn booked(&self, name: &str, state: &str, daemon: &Daemon) -> OrderView {
        until(
            &format!("order {name} is `{state}` in the ERP"),
            || {
                let orders = self.erp.ledger().orders_by_reference(name);
                assert!(
                    orders.len() <= 1,
                    "order {name} stands {} times in the ERP",
                    orders.len()
                );
                orders.into_iter().next().filter(|order| order.state == state)
            },
            || daemon.log(),
        )
        .await
    }

    /// Waits until every delivery was made and no job is under way.
    pub(crate) async fn idle(&self, daemon: &Daemon) {
        self.shop.settle().await;
        until(
            "no job is under way",
            || self.under_way().is_empty().then_some(()),
            || daemon.log(),
        )
        .await;
    }

    /// Jobs that go on by themselves.
    pub(crate) fn under_way(&self) -> Vec<Value> {
        let states = ["available", "scheduled", "running", "retryable"];
        let mut arguments = vec!["jobs", "list", "--limit", "1000"];
        arguments.extend(states.iter().flat_map(|state| ["--state", *state]));
        rows(&self.json(&arguments))
    }

    /// Jobs that need a person.
    pub(crate) fn problems(&self) -> Vec<Value> {
        rows(&self.json(&["jobs", "list", "--problems", "--limit", "1000"]))
    }

    /// The jobs that fit the filter (arguments of `jobs list`), newest first, each with its history.
    pub(crate) fn stories(&self, filter: &[&str]) -> Vec<Value> {
        let list = ["jobs", "list", "--limit", "1000"];
        rows(&self.json(&[&list, filter].concat()))
            .iter()
            .map(|job| self.json(&["jobs", "show", &job["id"].to_string()]))
            .collect()
    }
}

/// The attempts of a job's history that ended in this way.
pub(crate) fn attempts(story: &Value, outcome: &str) -> Vec<Value> {
    rows(&story["attempts"])
        .into_iter()
        .filter(|attempt| attempt["outcome"] == outcome)
        .collect()
}

/// The rows of a list that a command printed.
pub(crate) fn rows(list: &Value) -> Vec<Value> {
    match list {
        Value::Array(rows) => rows.clone(),
        Value::Object(object) => object
            .values()
            .find_map(Value::as_array)
            .cloned()
            .unwrap_or_default(),
        _ => Vec::new(),
    }
}

pub(crate) fn everyday(variant: u64) -> OrderDraft {
    OrderDraft {
        lines: vec![LineDraft::variant(variant, 3)],
        shipping: vec![ShippingDraft::new("Standard", Decimal::new(490, 2))],
        taxes: vec![Tax::new("MwSt", Decimal::new(19, 2))],
        taxes_included: true,
        payment: Payment::Paid("shopify_payments".into()),
        // Long ago, so that no other date is taken for it.
        processed_at: Some("2026-01-02T03:04:05Z".parse().expect("a date")),
        shipping_address: Some(address()),
        billing_address: Some(address()),
        ..OrderDraft::default()
    }
}

pub(crate) fn address() -> Address {
    Address {
        first_name: Some("Ada".into()),
        last_name: Some("Lovelace".into()),
        address1: Some("Unter den Linden 1".into()),
        city: Some("Berlin".into()),
        zip: Some("10117".into()),
        country_code: Some("DE".into()),
        ..Address::default()
    }
}

/// What an everyday order costs.
pub(crate) fn everyday_total() -> Decimal {
    Decimal::new(6_487, 2)
}

/// Polls until `check` yields something; panics with the last word of `context` after the deadline.
pub(crate) async fn until<T>(
    what: &str,
    mut check: impl FnMut() -> Option<T>,
    context: impl Fn() -> String,
) -> T {
    let deadline = Instant::now() + PATIENCE;
    let mut tick = tokio::time::interval(Duration::from_millis(25));
    loop {
        tick.tick().await;
        if let Some(found) = check() {
            return found;
        }
        assert!(
            Instant::now() < deadline,
            "not within {PATIENCE:?}: {what}\n{}",
            context()
        );
    }
}

/// A port that nobody listens on and nobody is given by chance: it lies below the range from which systems take the ports
/// of outgoing connections, so that a daemon which was killed finds it free again. (The test command's PostgreSQL keeps
/// below 20000.)
pub(crate) fn free_port() -> u16 {
    const FIRST: u16 = 20_000;
    const COUNT: u16 = 12_000;
    static TAKEN: AtomicU16 = AtomicU16::new(0);
    // Test processes that run side by side begin at different places.
    let start = u16::try_from(std::process::id().wrapping_mul(97) % u32::from(COUNT)).expect("it is small");
    (0..COUNT)
        .map(|_| FIRST + (start + TAKEN.fetch_add(1, Ordering::Relaxed) % COUNT) % COUNT)
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .expect("a free port")
}

/// A fresh database on the server that the test command started.
pub(crate) async fn fresh_postgres() -> String {
    let url = std::env::var("LOCKSTEP_TEST_POSTGRES_URL").expect(
        "LOCKSTEP_TEST_POSTGRES_URL names no server: run the tests with scripts/test, which starts one",
    );
    let name = format!("it_{}", uuid::Uuid::new_v4().simple());
    let mut connection = sqlx::PgConnection::connect(&url)
        .await
        .expect("the server takes connections");
    sqlx::query(sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}")))
        .execute(&mut connection)
        .await
        .expect("a database can be made");
    let (server, _) = url.rsplit_once('/').expect("the address names a database");
    format!("{server}/{name}")
}
