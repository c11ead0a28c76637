//! How soon a change in the ERP stands on the shop, by polling alone and by Odoo's hint, and what it takes to push a whole
//! catalogue: 1,000 products with 2,000 variants, twice. The second push must write nothing.
//!
//! `cargo bench --bench way_back` (`-- 50` for fewer products). The real daemon between a stand-in shop and a stand-in ERP, all on
//! this machine. Fails when the second push writes, or when the first one takes more than 1.2 calls of the shop for each product;
//! times are only printed.

#![expect(clippy::print_stdout, reason = "a bench prints its numbers")]

#[path = "rig/command.rs"]
mod command;
#[path = "rig/daemon.rs"]
mod daemon;
#[path = "rig/machine.rs"]
mod machine;
#[path = "rig/patience.rs"]
mod patience;
#[path = "rig/sides.rs"]
mod sides;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Child;
use std::time::{Duration, Instant};

use lockstep::sandbox::odoo::{OdooSandbox, Options as ErpOptions, Version};
use lockstep::sandbox::shopify::ShopSandbox;
use rust_decimal::Decimal;
use serde_json::{Value, json};

use command::command;
use daemon::serve;
use machine::machine;
use patience::until;
use sides::{Says, configuration, sides};

const PRODUCTS: usize = 1_000;

/// Edits of which each kind is timed.
const EDITS: i64 = 5;

/// What the first push may take of the shop's API.
const MOST_CALLS: f64 = 1.2;

const TOKEN: &str = "a-token-that-nobody-guesses";

/// Mutations that write records of the shop.
const WRITES: [&str; 5] = [
    "ProductSet",
    "ProductUpdate",
    "VariantsCreate",
    "VariantsUpdate",
    "QuantitiesSet",
];

fn main() {
    let asked = std::env::args()
        .skip(1)
        .find_map(|argument| argument.parse().ok());
    let products = asked.unwrap_or(PRODUCTS);
    println!("machine: {}", machine());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let is_good = runtime.block_on(async {
        arrivals("15s", false).await;
        arrivals("1h", true).await;
        catalogue(products).await
    });
    if !is_good {
        eprintln!("a push of the catalogue takes more than is allowed");
        std::process::exit(1);
    }
}

/// Both stand-ins and the daemon between them.
struct World {
    shop: ShopSandbox,
    erp: OdooSandbox,
    daemon: Child,
    http: String,
    config: PathBuf,
    _folder: tempfile::TempDir,
}

impl World {
    async fn start(poll: &str) -> Self {
        let (shop, erp) = sides(ErpOptions::version(Version::V18)).await;
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
        let config = folder.path().join("lockstep.toml");
        let says = Says {
            odoo: &format!(
                "hint_token = \"{TOKEN}\"\npoll = \"{poll}\"\ncalls_per_second = 1000\nmax_concurrent_calls = 8"
            ),
            sync: "products = { in = \"on\", out = \"on\" }",
            ..Says::default()
        };
        std::fs::write(&config, configuration(&shop, &erp, &says)).expect("a configuration");
        let (daemon, http) = serve(&config);
        let world = Self {
            shop,
            erp,
            daemon,
            http,
            config,
            _folder: folder,
        };
        // What changes from the first look on is work.
        until("the ERP is followed", || world.looks() > 0).await;
        world
    }

    fn admin(&self, model: &str, method: &str, args: Value) -> Value {
        self.erp
            .as_admin(model, method, args, json!({}))
            .expect("the ERP takes it")
    }

    fn looks(&self) -> u64 {
        self.erp.ledger().calls_of("product.product", "search_read")
    }

    fn command(&self, arguments: &[&str]) -> String {
        command(&self.config, arguments)
    }

    fn hint(&self) {
        let body = json!({ "_model": "product.template" }).to_string();
        let mut stream = TcpStream::connect(&self.http).expect("it listens");
        let head = format!(
            "POST /webhooks/odoo/main/{TOKEN} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
            self.http,
            body.len()
        );
        stream.write_all((head + &body).as_bytes()).expect("it takes it");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        assert!(answer.starts_with("HTTP/1.1 202"), "{answer}");
    }

    /// Requests of the shop's API, and those of them that wrote records.
    fn calls(&self) -> (u64, u64) {
        let calls = self.shop.ledger().calls;
        let of = |name: &&str| calls.by_operation.get(&format!("Lockstep{name}"));
        (calls.graphql, WRITES.iter().filter_map(of).sum())
    }

    /// Calls of the ERP.
    fn erp_calls(&self) -> u64 {
        self.erp.ledger().calls().values().sum()
    }

    /// Pushes everything and waits until no job is under way: how long that took.
    async fn push(&self) -> Duration {
        let began = Instant::now();
        self.command(&["sync", "product", "all", "--out", "--yes"]);
        let states = ["available", "scheduled", "running", "retryable"];
        let mut list = vec!["jobs", "list", "--limit", "1", "--json"];
        list.extend(states.iter().flat_map(|state| ["--state", *state]));
        until("all jobs are done", || !self.command(&list).contains("\"id\"")).await;
        began.elapsed()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.daemon.kill().ok();
        self.daemon.wait().ok();
    }
}

/// Times single edits of a price.
async fn arrivals(poll: &str, hints: bool) {
    let world = World::start(poll).await;
    let values =
        json!([{ "name": "Mug", "list_price": 20, "type": "consu", "sale_ok": true, "default_code": "MUG" }]);
    let article = world.admin("product.product", "create", values);
    let read = world.admin("product.product", "read", json!([[article], ["product_tmpl_id"]]));
    let template = read[0]["product_tmpl_id"][0].clone();
    let shown = || {
        let products = world.shop.ledger().products;
        products
            .first()
            .and_then(|product| product.variants.first())
            .map(|(_, _, price)| *price)
    };
    if hints {
        world.hint();
    }
    until("the product is there", || shown() == Some(Decimal::from(20))).await;
    let mut times = Vec::new();
    for n in 1..=EDITS {
        // Not in step with the poller's pace.
        let mut pause = tokio::time::interval(Duration::from_millis(3_700));
        pause.tick().await;
        pause.tick().await;
        let began = Instant::now();
        world.admin(
            "product.template",
            "write",
            json!([[template], { "list_price": 20 + n }]),
        );
        if hints {
            world.hint();
        }
        until("the price is there", || shown() == Some(Decimal::from(20 + n))).await;
        times.push(began.elapsed());
    }
    times.sort();
    println!(
        "an edit stands on the shop {}: median {:.2} s, longest {:.2} s (wanted: under {} s)",
        if hints {
            "after a hint".to_owned()
        } else {
            format!("by polling alone, every {poll}")
        },
        times[times.len() / 2].as_secs_f64(),
        times[times.len() - 1].as_secs_f64(),
        if hints { 2 } else { 20 },
    );
}

/// Pushes a whole catalogue twice; says whether both took no more than they may.
#[expect(clippy::cast_precision_loss, reason = "ratios")]
async fn catalogue(products: usize) -> bool {
    // The first look of the poller finds nothing, and no later one disturbs.
    let world = World::start("1h").await;
    let size = world.admin("product.attribute", "create", json!([{ "name": "Size" }]));
    let sizes = ["S", "M"].map(|name| {
        world.admin(
            "product.attribute.value",
            "create",
            json!([{ "name": name, "attribute_id": size }]),
        )
    });
    for n in 0..products {
        let values = json!([{
            "name": format!("Shirt {n}"), "list_price": 20, "type": "consu", "sale_ok": true,
            "attribute_line_ids": [[0, 0, { "attribute_id": size, "value_ids": [[6, 0, sizes]] }]],
        }]);
        world.admin("product.template", "create", values);
    }
    for variant in world.erp.ledger().products() {
        let sku = json!({ "default_code": format!("SKU-{}", variant.id) });
        world.admin("product.product", "write", json!([[variant.id], sku]));
    }
    let before = world.calls();
    let erp_before = world.erp_calls();
    let took = world.push().await;
    let first = world.calls();
    let of_the_erp = world.erp_calls() - erp_before;
    let made = world.shop.ledger().products.len();
    assert_eq!(made, products, "products on the shop");
    let each = (first.0 - before.0) as f64 / products as f64;
    println!(
        "first push of {products} products with {} variants: {:.1} s, {each:.2} calls of the shop for each (at most {MOST_CALLS}), {:.2} of the ERP",
        2 * products,
        took.as_secs_f64(),
        of_the_erp as f64 / products as f64,
    );
    for (operation, calls) in world.shop.ledger().calls.by_operation {
        println!("  {operation}: {calls}");
    }
    let took = world.push().await;
    let second = world.calls();
    let written = second.1 - first.1;
    println!(
        "second push: {:.1} s, {} calls of the shop, {written} writes (wanted: none)",
        took.as_secs_f64(),
        second.0 - first.0,
    );
    each <= MOST_CALLS && written == 0
}
