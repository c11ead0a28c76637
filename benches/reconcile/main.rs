//! A full run over customers, products and orders that are in step: how long it takes, how much memory, and that it writes nothing.
//!
//! `cargo bench --bench reconcile` (`-- 1000` for fewer records than 100,000). The real command between a stand-in shop and a
//! stand-in ERP, all on this machine; six of ten records are customers, the others products of one variant and confirmed orders of
//! two lines. Fails when the run finds or writes anything, compares more than one record whole, when the command takes 100 MB or more, or when it takes three minutes or
//! longer. The memory is that of the command's process alone.

#![expect(clippy::print_stdout, reason = "a bench prints its numbers")]

#[path = "../rig/command.rs"]
mod command;
#[path = "../rig/daemon.rs"]
mod daemon;
mod orders;
#[path = "../rig/sides.rs"]
mod sides;

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use lockstep::config::Config;
use lockstep::domain::{Clock as _, ErpId, Link, LinkKind, LinkState, SharedClock, SystemClock, Timestamp};
use lockstep::sandbox::odoo::{OdooSandbox, Options as ErpOptions, ServiceSeed, Version};
use lockstep::sandbox::shopify::ShopSandbox;
use lockstep::sandbox::shopify::draft::{CustomerDraft, ProductDraft, VariantDraft};
use lockstep::store::{Adopted, Adoption, OpenMode, SharedStore};
use rust_decimal::Decimal;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use orders::Pattern;
use sides::{Says, configuration, sides};

const RECORDS: u64 = 100_000;

const MOST_MB: f64 = 100.0;

const LONGEST: Duration = Duration::from_mins(3);

/// Records that are made at once.
const TOGETHER: u64 = 500;

fn main() {
    let asked = std::env::args()
        .skip(1)
        .find_map(|argument| argument.parse().ok());
    let records = asked.unwrap_or(RECORDS);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    if !runtime.block_on(measure(records)) {
        eprintln!("the run does more than it may");
        std::process::exit(1);
    }
}

/// How many there are of each object, by its name.
fn shares(records: u64) -> [(&'static str, u64); 3] {
    let (products, orders) = (records / 5, records / 5);
    [
        ("customer", records - products - orders),
        ("product", products),
        ("order", orders),
    ]
}

async fn measure(records: u64) -> bool {
    let options = ErpOptions {
        services: vec![ServiceSeed {
            name: "shipping".to_owned(),
            code: "SHIPPING".to_owned(),
            external_id: Some("__lockstep_main__.service_shipping".to_owned()),
        }],
        ..ErpOptions::version(Version::V18)
    };
    let (shop, erp) = sides(options).await;
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let path = folder.path().join("lockstep.toml");
    let says = Says {
        shop: "start_at = \"2020-01-01T00:00:00Z\"",
        odoo: "calls_per_second = 1000\nmax_concurrent_calls = 8",
        sync: "customers = { in = \"on\" }\nproducts = { in = \"on\" }\norders = { in = \"on\" }",
        ..Says::default()
    };
    std::fs::write(&path, configuration(&shop, &erp, &says)).expect("a configuration");
    let began = Instant::now();
    fill(&shop, &erp, &path, records).await;
    println!(
        "{records} records on both sides, linked ({:.0?})",
        began.elapsed()
    );

    let calls = writes(&erp);
    let began = Instant::now();
    let (reports, peak_mb, own_mb) = run(&path).await;
    let took = began.elapsed();
    let written = writes(&erp) - calls;
    println!(
        "full run: {took:.1?}, peak memory {peak_mb:.1} MB ({own_mb:.1} MB of data, the rest is the program's file), {written} writes"
    );
    let mut is_quiet = true;
    for (object, count) in shares(records) {
        let reports = reports.as_array().into_iter().flatten();
        let report = reports
            .map(|report| &report["report"])
            .find(|report| report["object"] == *object)
            .unwrap_or(&Value::Null);
        let looked = &report["looked"];
        println!("{object}: {looked} {}", report["counts"]);
        // What the daemon carried in is read whole once.
        let compared = looked["compared"].as_u64();
        is_quiet &= report["counts"] == json!([])
            && compared.is_some_and(|compared| compared <= 1)
            && looked["in_step"] == json!(count);
    }
    if !is_quiet {
        show_reports(&path);
    }
    is_quiet && written == 0 && peak_mb < MOST_MB && took < LONGEST
}

/// Calls of the ERP that write.
fn writes(erp: &OdooSandbox) -> u64 {
    let calls = erp.ledger().calls();
    let is_write = |name: &str| {
        ["load", "create", "write", "web_save", "unlink"]
            .iter()
            .any(|write| name.ends_with(write))
            || name.contains("/action_")
    };
    calls
        .iter()
        .filter(|(name, _)| is_write(name))
        .map(|(_, count)| count)
        .sum()
}

/// What a link keeps of a text that both sides agreed on.
fn agreed(text: &str) -> Value {
    agreed_on(&hash_of(text))
}

/// The same of a value with this hash.
fn agreed_on(hash: &str) -> Value {
    json!({ "source": hash, "target": hash })
}

/// The hash that a link keeps of a text.
fn hash_of(text: &str) -> String {
    hash_of_content(&format!("Text({text:?})"))
}

/// The hash of any value, as it is written out for it.
fn hash_of_content(content: &str) -> String {
    hex::encode(&Sha256::digest(content.as_bytes())[..8])
}

/// Both sides while they are filled.
struct Sides<'a> {
    shop: &'a ShopSandbox,
    erp: &'a OdooSandbox,
    store: SharedStore,
    /// When the links were last brought up to date: after all that happens here.
    applied: Timestamp,
}

/// Makes the records on both sides, and their links. The first of each object is carried in by the daemon.
async fn fill(shop: &ShopSandbox, erp: &OdooSandbox, config: &Path, records: u64) {
    let first = orders::place_first(shop);
    orders::carry_in(config);
    let clock: SharedClock = Arc::new(SystemClock);
    let config = Config::load(config).unwrap_or_else(|error| panic!("{error}"));
    let store = lockstep::app::open(&config, &clock, OpenMode::Serve)
        .await
        .expect("a store");
    let pattern = Pattern::read(shop, erp, &store, first).await;
    let sides = Sides {
        shop,
        erp,
        store,
        applied: SystemClock.now().plus(Duration::from_hours(24)),
    };
    for (object, count) in shares(records) {
        for first in (1..count).step_by(usize::try_from(TOGETHER).expect("it is small")) {
            let numbers: Vec<u64> = (first..count.min(first + TOGETHER)).collect();
            let links = match object {
                "customer" => sides.customers(&numbers),
                "product" => sides.products(&numbers),
                _ => pattern.more(shop, erp, numbers.len(), sides.applied),
            };
            sides.save(links).await;
        }
    }
    sides.store.close().await;
}

impl Sides<'_> {
    fn customers(&self, numbers: &[u64]) -> Vec<Link> {
        let named = |n: &u64| (format!("Ada {n}"), format!("ada{n}@example.com"));
        let names: Vec<(String, String)> = numbers.iter().map(named).collect();
        let ours: Vec<u64> = self.shop.change(|shop| {
            let make = |(name, email): &(String, String)| {
                let draft = CustomerDraft {
                    first_name: Some(name.clone()),
                    email: Some(email.clone()),
                    ..CustomerDraft::default()
                };
                shop.create_customer(draft).expect("a customer")
            };
            names.iter().map(make).collect()
        });
        let values = names.iter().map(
            |(name, email)| json!({ "name": name, "email": email, "city": "Berlin", "customer_rank": 1 }),
        );
        let theirs = self.made("res.partner", values);
        let pairs = ours.iter().zip(&theirs).zip(&names);
        pairs
            .map(|((ours, theirs), (name, email))| {
                let fields =
                    json!({ "name": agreed(name), "email": agreed(email), "city": agreed("Berlin") });
                self.link(LinkKind::Customer, *ours, "res.partner", *theirs, fields)
            })
            .collect()
    }

    fn products(&self, numbers: &[u64]) -> Vec<Link> {
        let named = |n: &u64| (format!("Shirt {n}"), format!("SHIRT-{n}"));
        let names: Vec<(String, String)> = numbers.iter().map(named).collect();
        let ours: Vec<(u64, u64)> = self.shop.change(|shop| {
            let make = |(title, sku): &(String, String)| {
                let id = shop.create_product(ProductDraft {
                    title: title.clone(),
                    options: vec!["Size".to_owned()],
                    variants: vec![VariantDraft::new(&["M"], sku, Decimal::TEN)],
                    ..ProductDraft::default()
                });
                let product = shop.product(id).expect("it was just made");
                (id, product.variants[0].id)
            };
            names.iter().map(make).collect()
        });
        let values = names.iter().map(
            |(title, sku)| json!({ "name": title, "default_code": sku, "list_price": 10, "weight": 0.5 }),
        );
        let templates = self.made("product.template", values);
        let fields = ["product_variant_id"];
        let rows = self.admin(
            "product.template",
            "read",
            json!([templates, fields, "_classic_read"]),
        );
        let variants: Vec<i64> = rows
            .as_array()
            .expect("rows")
            .iter()
            .map(|row| row["product_variant_id"][0].as_i64().expect("a variant"))
            .collect();
        let all = ours.iter().zip(templates.iter().zip(&variants)).zip(&names);
        all.flat_map(|(((product, variant), (template, theirs)), (title, sku))| {
            let (of_product, of_variant) = (
                json!({ "name": agreed(title) }),
                json!({ "default_code": agreed(sku), "active": agreed_on(&hash_of_content("Bool(true)")) }),
            );
            [
                self.link(
                    LinkKind::Product,
                    *product,
                    "product.template",
                    *template,
                    of_product,
                ),
                self.link(
                    LinkKind::Variant,
                    *variant,
                    "product.product",
                    *theirs,
                    of_variant,
                ),
            ]
        })
        .collect()
    }

    fn admin(&self, model: &str, method: &str, arguments: Value) -> Value {
        let done = self.erp.as_admin(model, method, arguments, json!({}));
        done.expect("the stand-in ERP does it")
    }

    /// Makes records in the ERP; their numbers.
    fn made(&self, model: &str, values: impl Iterator<Item = Value>) -> Vec<i64> {
        let values: Vec<Value> = values.collect();
        let made = self.admin(model, "create", json!([values]));
        serde_json::from_value(made).expect("their numbers")
    }

    fn link(&self, kind: LinkKind, ours: u64, model: &str, theirs: i64, agreed: Value) -> Link {
        Link {
            shop: "main".parse().expect("a name"),
            kind,
            source_id: ours.to_string(),
            model: model.to_owned(),
            erp_id: ErpId(theirs),
            erp_name: None,
            state: LinkState::Linked,
            source_updated_at: Some(self.applied),
            agreed,
            agreed_out: Value::Null,
            writes: Value::Null,
        }
    }

    async fn save(&self, links: Vec<Link>) {
        let groups = links.into_iter().map(|link| Adoption {
            records: Vec::new(),
            links: vec![link],
        });
        let adopted = self
            .store
            .adopt_links(groups.collect(), SystemClock.now())
            .await
            .expect("links");
        assert!(adopted.iter().all(|adopted| *adopted == Adopted::Done));
    }
}

/// Prints the beginning of what the runs found.
fn show_reports(config: &Path) {
    let output = Command::new(env!("CARGO_BIN_EXE_lockstep"))
        .args(["reconcile", "--report"])
        .env("LOCKSTEP_CONFIG", config)
        .output()
        .expect("the binary can be run");
    for line in String::from_utf8_lossy(&output.stdout).lines().take(60) {
        println!("{line}");
    }
}

/// Runs the command: its reports, its peak memory in MB, and the most of that which is no page of a file (in a debug build the
/// program itself is many times larger than in a release build).
async fn run(config: &Path) -> (Value, f64, f64) {
    let child = Command::new(env!("CARGO_BIN_EXE_lockstep"))
        .args(["reconcile", "--format", "json"])
        .env("LOCKSTEP_CONFIG", config)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary can be run");
    let status = format!("/proc/{}/status", child.id());
    let ended = tokio::task::spawn_blocking(move || child.wait_with_output());
    let (mut peak, mut own) = (0.0_f64, 0.0_f64);
    let mut look = tokio::time::interval(Duration::from_millis(100));
    let ended = async { ended.await.expect("it is waited for").expect("it ends") };
    tokio::pin!(ended);
    let output = loop {
        tokio::select! {
            output = &mut ended => break output,
            _ = look.tick() => {
                let text = std::fs::read_to_string(&status).unwrap_or_default();
                let mb = |name: &str| {
                    let line = text.lines().find_map(|line| line.strip_prefix(name));
                    let kb = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok());
                    kb.unwrap_or(0.0) / 1024.0
                };
                (peak, own) = (peak.max(mb("VmHWM:")), own.max(mb("RssAnon:")));
            }
        }
    };
    let reports = serde_json::from_slice(&output.stdout);
    let reports =
        reports.unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    (reports, peak, own)
}
