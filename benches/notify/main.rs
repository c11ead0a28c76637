//! What telling other systems costs. `cargo bench --bench notify [-- WAITING [ATTEMPTS [NOTIFICATIONS [CUSTOMERS]]]]`
//!
//! - Claims with WAITING dispatches waiting (1,000,000 unless given) against claims with few.
//! - Ends of ATTEMPTS attempts (60,000) that do nothing and tell against ends that tell nobody: what the store's part of it costs.
//! - How many of NOTIFICATIONS notifications (10,000) the dispatcher sends in a second to receivers that answer at once.
//! - How fast the daemon imports CUSTOMERS customers (400) into an ERP that takes its time while it tells ten endpoints, against
//!   telling nobody: what the sync pays, also where each endpoint has a condition, a template and whole records.
//!
//! Numbers are printed with the machine; a violated ratio, or a database that is missing, makes it fail. SQLite runs as in production
//! (`synchronous=FULL`) in `$TMPDIR`; PostgreSQL runs where `LOCKSTEP_TEST_POSTGRES_URL` is set, in a schema of its own. The daemon
//! uses SQLite.

#![expect(clippy::print_stdout, reason = "a bench prints its numbers")]

#[path = "../rig/command.rs"]
mod command;
#[path = "../rig/daemon.rs"]
mod daemon;
mod dispatching;
#[path = "../rig/patience.rs"]
mod patience;
mod sent;
#[path = "../rig/sides.rs"]
mod sides;
mod stored;
#[path = "../rig/stores.rs"]
mod stores;
mod synced;

use stores::{schema, store};

/// Dispatches that wait while claims are measured, attempts that are ended, notifications that are sent, and customers that are
/// imported, unless others are asked for.
const WAITING: usize = 1_000_000;
const ATTEMPTS: usize = 60_000;
const NOTIFICATIONS: usize = 10_000;
const CUSTOMERS: usize = 400;

/// To so many endpoints they are sent.
const SENT_TO: [usize; 2] = [1, 4];

fn main() {
    let asked: Vec<usize> = std::env::args()
        .skip(1)
        .filter_map(|argument| argument.parse().ok())
        .collect();
    let waiting = asked.first().copied().unwrap_or(WAITING);
    let attempts = asked.get(1).copied().unwrap_or(ATTEMPTS);
    let notifications = asked.get(2).copied().unwrap_or(NOTIFICATIONS);
    let customers = asked.get(3).copied().unwrap_or(CUSTOMERS);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    println!(
        "{cores} cores, {waiting} waiting, {attempts} attempts, {notifications} notifications, {customers} customers"
    );
    let mut is_good = true;
    let mut is_measured = true;
    runtime.block_on(async {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let sqlite = |name: &str| format!("sqlite://{}", folder.path().join(name).display());
        println!("\nSQLite, synchronous=FULL");
        let (few, many) = (store(&sqlite("few.db")).await, store(&sqlite("many.db")).await);
        is_good &= stored::claims(&few, &many, waiting).await;
        let (silent, telling) = (
            store(&sqlite("silent.db")).await,
            store(&sqlite("telling.db")).await,
        );
        is_good &= stored::ends(&silent, &telling, attempts).await;
        for endpoints in SENT_TO {
            let sent = store(&sqlite(&format!("sent{endpoints}.db"))).await;
            is_good &= sent::sends(&sent, endpoints, notifications).await;
        }

        println!("\nPostgreSQL");
        match std::env::var("LOCKSTEP_TEST_POSTGRES_URL") {
            Err(_) => is_measured = false,
            Ok(server) => {
                let few = store(&schema(&server, "notify_few").await).await;
                let many = store(&schema(&server, "notify_many").await).await;
                is_good &= stored::claims(&few, &many, waiting).await;
                let silent = store(&schema(&server, "notify_silent").await).await;
                let telling = store(&schema(&server, "notify_telling").await).await;
                is_good &= stored::ends(&silent, &telling, attempts).await;
                for endpoints in SENT_TO {
                    let sent = store(&schema(&server, &format!("notify_sent{endpoints}")).await).await;
                    is_good &= sent::sends(&sent, endpoints, notifications).await;
                }
            }
        }

        println!("\nthe daemon, on SQLite");
        is_good &= synced::syncs(customers).await;
    });
    if !is_measured {
        println!("\n*** POSTGRESQL WAS NOT MEASURED: set LOCKSTEP_TEST_POSTGRES_URL to a server ***");
    }
    if !is_good {
        println!("\na ratio is violated");
    }
    if !is_good || !is_measured {
        std::process::exit(1);
    }
}
