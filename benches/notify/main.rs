//! What telling other systems costs. `cargo bench --bench notify [-- WAITING [ATTEMPTS [NOTIFICATIONS]]]`
//!
//! Claims with WAITING dispatches waiting (1,000,000 unless given) against claims with few; ends of ATTEMPTS attempts (60,000
//! unless given) that tell, by themselves and while a dispatcher sends to ten receivers, against ends that tell nobody; and how
//! many of NOTIFICATIONS notifications (10,000 unless given) the dispatcher sends in a second to receivers that answer at once.
//! Numbers are printed with the machine; a violated ratio,
//! or a database that is missing, makes it fail. SQLite runs as in production (`synchronous=FULL`) in `$TMPDIR`; PostgreSQL runs
//! where `LOCKSTEP_TEST_POSTGRES_URL` is set, in a schema of its own.

#![expect(clippy::print_stdout, reason = "a bench prints its numbers")]

mod dispatching;
mod sent;
mod stored;

use std::path::Path;
use std::sync::Arc;

use lockstep::domain::SystemClock;
use lockstep::store::{OpenMode, Settings, SharedStore, open};

/// Dispatches that wait while claims are measured, attempts that are ended, and notifications that are sent, unless others are asked
/// for.
const WAITING: usize = 1_000_000;
const ATTEMPTS: usize = 60_000;
const NOTIFICATIONS: usize = 10_000;

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
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    println!("{cores} cores, {waiting} waiting, {attempts} attempts, {notifications} notifications");
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
                let few = store(&schema(&server, "few").await).await;
                let many = store(&schema(&server, "many").await).await;
                is_good &= stored::claims(&few, &many, waiting).await;
                let silent = store(&schema(&server, "silent").await).await;
                let telling = store(&schema(&server, "telling").await).await;
                is_good &= stored::ends(&silent, &telling, attempts).await;
                for endpoints in SENT_TO {
                    let sent = store(&schema(&server, &format!("sent{endpoints}")).await).await;
                    is_good &= sent::sends(&sent, endpoints, notifications).await;
                }
            }
        }
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

async fn store(url: &str) -> SharedStore {
    let settings = Settings {
        url: url.to_owned(),
        ..Settings::default()
    };
    open(&settings, Path::new("."), Arc::new(SystemClock), OpenMode::Serve)
        .await
        .expect("the store opens")
}

/// A fresh schema on the server.
async fn schema(server: &str, name: &str) -> String {
    use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
    let mut conn = PgConnection::connect(server).await.expect("PostgreSQL");
    let name = format!("bench_notify_{name}");
    for statement in [
        format!("DROP SCHEMA IF EXISTS {name} CASCADE"),
        format!("CREATE SCHEMA {name}"),
    ] {
        sqlx::query(AssertSqlSafe(statement))
            .execute(&mut conn)
            .await
            .expect("a schema");
    }
    let separator = if server.contains('?') { '&' } else { '?' };
    format!("{server}{separator}options[search_path]={name}")
}
