//! What telling takes of the sync: the real daemon imports customers into an ERP that takes its time, once telling nobody and once ten
//! receivers that answer at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use lockstep::sandbox::odoo::{Options as ErpOptions, Version};
use lockstep::sandbox::shopify::draft::CustomerDraft;

use crate::command::command;
use crate::daemon::serve;
use crate::dispatching::{EVERYTHING, receivers, tables};
use crate::patience::until;
use crate::sides::{Says, configuration, sides};

const ENDPOINTS: usize = 10;

/// Endpoints that decide by the record: some get whole records with their old and new values, others a text that is made of them.
const DEMANDING: &[&str] = &[
    r#"events = ["customer.synced"]
personal_data = true
condition = "event.direction == 'in' and customer.email"
include = ["record", "related", "values"]"#,
    r#"events = ["customer.synced"]
personal_data = true
condition = "event.direction == 'in' and customer.email"
body = { template = '{"id": {{ event.id }}, "text": "{{ customer.first_name }} <{{ customer.email }}>"}', mime = "application/json" }"#,
];

/// Each is measured so often, by turns.
const ROUNDS: usize = 3;

/// Telling may take this much of the customers that are carried over in a second.
const MOST_LOST: f64 = 0.10;

/// What one call of Odoo was seen to take, and each partner in it.
const LATENCY: Duration = Duration::from_millis(25);
const ROW_LATENCY: Duration = Duration::from_millis(40);

/// Our own pace is no limit: the ERP is.
const PACE: &str = "calls_per_second = 10000\nmax_concurrent_calls = 8";

/// Imports so many customers, with and without receivers; whether telling takes little of the rate.
pub(crate) async fn syncs(customers: usize) -> bool {
    let (mut silent, mut telling, mut demanding) = (Duration::ZERO, Duration::ZERO, Duration::ZERO);
    for _ in 0..ROUNDS {
        silent += imported(customers, 0, EVERYTHING).await;
        telling += imported(customers, ENDPOINTS, EVERYTHING).await;
        demanding += imported(customers, ENDPOINTS, DEMANDING).await;
    }
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    let rate = |took: Duration| (ROUNDS * customers) as f64 / took.as_secs_f64();
    println!(
        "  customers imported a second: {:.1} telling nobody",
        rate(silent)
    );
    let mut is_good = true;
    for (took, whom) in [
        (telling, "endpoints"),
        (demanding, "endpoints that ask for all there is"),
    ] {
        let lost = 1.0 - rate(took) / rate(silent);
        println!(
            "    {:.1} while all is told to {ENDPOINTS} {whom} ({:.1} % less, at most {:.0} %)",
            rate(took),
            lost * 100.0,
            MOST_LOST * 100.0
        );
        is_good &= lost <= MOST_LOST;
    }
    is_good
}

/// How long the import of so many customers takes. All of it is told before this returns.
async fn imported(customers: usize, endpoints: usize, asks: &[&str]) -> Duration {
    let taken = Arc::new(AtomicUsize::new(0));
    let ports = receivers(&taken, endpoints).await;
    let (shop, erp) = sides(ErpOptions {
        latency: LATENCY,
        row_latency: ROW_LATENCY,
        ..ErpOptions::version(Version::V18)
    })
    .await;
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let config = folder.path().join("lockstep.toml");
    let says = Says {
        tables: &tables(&ports, asks),
        shop: "runs = { delta = \"off\" }",
        odoo: PACE,
        sync: "customers = { in = \"on\" }",
    };
    std::fs::write(&config, configuration(&shop, &erp, &says)).expect("a configuration");
    let (mut daemon, _) = serve(&config);
    shop.hold_deliveries();
    for n in 0..customers {
        let draft = CustomerDraft {
            first_name: Some("Ada".to_owned()),
            email: Some(format!("ada{n}@example.com")),
            ..CustomerDraft::default()
        };
        shop.change(|shop| shop.create_customer(draft))
            .expect("a customer");
    }
    let before = erp.ledger().count("res.partner");
    let began = Instant::now();
    command(
        &config,
        &["import", "customers", "--since", "2020-01-01", "--no-wait"],
    );
    until("all are in the ERP", || {
        erp.ledger().count("res.partner") >= before + customers
    })
    .await;
    let took = began.elapsed();
    until("all are told", || {
        taken.load(Ordering::Relaxed) >= customers * endpoints
    })
    .await;
    daemon.kill().expect("it is running");
    daemon.wait().expect("it ends");
    took
}
