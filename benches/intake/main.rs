//! How much the intake takes, and what durability costs: 6 kB bodies over 64 connections, SQLite with `synchronous=FULL`
//! against the very same endpoint with storage switched off; one delivery in four is a new order's. Then how fast the real
//! daemon is ready on an existing database, and what it uses while nothing happens.
//!
//! `cargo bench --bench intake`. The server is a process of its own (this program again), so that its memory is its own;
//! the load comes from here, on the same machine. Fails when the ratio of the medians is below 0.30, or when an answer 200
//! was given for something that is not stored; absolute numbers are only printed.

#![expect(clippy::print_stdout, reason = "a bench prints its numbers")]

#[path = "../rig/daemon.rs"]
mod daemon;
mod idle;
mod load;
#[path = "../rig/machine.rs"]
mod machine;
mod off;
mod server;

use std::time::Duration;

use load::Load;
use machine::machine;
use server::{Kind, Server};

const CONNECTIONS: usize = 64;
const WARM_UP: Duration = Duration::from_secs(2);
const MEASURED: Duration = Duration::from_secs(6);

/// Runs of each kind, in turns. Their median counts.
const RUNS: usize = 3;

const IDLE: Duration = Duration::from_secs(15);

/// The least that durability may leave of the throughput.
const LEAST_RATIO: f64 = 0.30;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let Some(at) = arguments.iter().position(|argument| argument == "--serve") {
        return server::run(Kind::parse(&arguments[at + 1]));
    }
    println!("machine: {}", machine());
    println!("one 4 kB write and fsync here: {:.2} ms", fsync_ms());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let mut rates = Vec::new();
    for kind in [Kind::Off, Kind::Sqlite].repeat(RUNS) {
        let server = Server::start(kind);
        let load = Load::new(server.address);
        let warm_up = runtime.block_on(load.run(CONNECTIONS, WARM_UP));
        let cpu = server.cpu_seconds();
        let result = runtime.block_on(load.run(CONNECTIONS, MEASURED));
        #[expect(clippy::cast_precision_loss, reason = "a mean")]
        let cpu = (server.cpu_seconds() - cpu) * 1e6 / result.taken as f64;
        println!(
            "{:>7}: {:>7.0} deliveries/s, p50 {:>6.2} ms, p99 {:>6.2} ms, max {:>6.1} ms, server: {cpu:.0} us of a \
             processor each, peak memory {:.1} MB",
            kind.name(),
            result.per_second,
            result.percentile_ms(0.50),
            result.percentile_ms(0.99),
            result.percentile_ms(1.0),
            server.peak_mb(),
        );
        assert_eq!(warm_up.refused + result.refused, 0, "every delivery is taken");
        let events = server.stop();
        if kind == Kind::Sqlite {
            assert_eq!(
                events,
                warm_up.taken + result.taken,
                "what was answered 200 is stored"
            );
        }
        rates.push((kind, result.per_second));
    }
    let median = |wanted: Kind| {
        let mut rates: Vec<f64> = rates
            .iter()
            .filter(|(kind, _)| *kind == wanted)
            .map(|(_, rate)| *rate)
            .collect();
        rates.sort_by(f64::total_cmp);
        rates[rates.len() / 2]
    };
    let ratio = median(Kind::Sqlite) / median(Kind::Off);
    println!("ratio of the medians: {ratio:.2} (at least {LEAST_RATIO:.2})");

    let idle = idle::watch(IDLE);
    println!(
        "  serve: ready after {} ms on an existing database (wanted: under 300 ms); idle: {:.1} MB (wanted: under 30 MB), \
         {:.1} wake-ups/s",
        idle.ready.as_millis(),
        idle.memory_mb,
        idle.wake_ups_per_second,
    );
    if ratio < LEAST_RATIO {
        eprintln!("durability costs more than is allowed");
        std::process::exit(1);
    }
}

/// What durability costs at least: the mean of some writes that reach the disk.
fn fsync_ms() -> f64 {
    use std::io::Write as _;
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let mut file = std::fs::File::create(folder.path().join("probe")).expect("a file");
    let began = std::time::Instant::now();
    for _ in 0..50 {
        file.write_all(&[7; 4096]).expect("a write");
        file.sync_data().expect("a sync");
    }
    began.elapsed().as_secs_f64() * 1000.0 / 50.0
}

/// A pause without a runtime.
pub(crate) fn wait(time: Duration) {
    let (_keep, never) = std::sync::mpsc::channel::<()>();
    never.recv_timeout(time).ok();
}
