//! How much the intake takes, and what durability costs: 6 kB bodies over 64 connections, SQLite with `synchronous=FULL`
//! against the very same endpoint with storage switched off. Then what an idle daemon's parts use.
//!
//! `cargo bench --bench intake`. The server is a process of its own (this program again), so that its memory is its own;
//! the load comes from here, on the same machine. Fails when the ratio is below 0.30; absolute numbers are only printed.

#![expect(clippy::print_stdout, reason = "a bench prints its numbers")]

mod load;
mod off;
mod server;

use std::time::Duration;

use load::Load;
use server::{Kind, Server};

const CONNECTIONS: usize = 64;
const WARM_UP: Duration = Duration::from_secs(2);
const MEASURED: Duration = Duration::from_secs(10);
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
    for kind in [Kind::Off, Kind::Sqlite, Kind::Off, Kind::Sqlite] {
        let server = Server::start(kind);
        let load = Load::new(server.address);
        runtime.block_on(load.run(CONNECTIONS, WARM_UP));
        let result = runtime.block_on(load.run(CONNECTIONS, MEASURED));
        println!(
            "{:>7}: {:>7.0} deliveries/s, p50 {:>6.2} ms, p99 {:>6.2} ms, max {:>6.1} ms, server's peak memory {:.1} MB",
            kind.name(),
            result.per_second,
            result.percentile_ms(0.50),
            result.percentile_ms(0.99),
            result.percentile_ms(1.0),
            server.status_kb("VmHWM") / 1024.0,
        );
        assert_eq!(result.refused, 0, "every delivery is taken");
        rates.push((kind, result.per_second));
    }
    let best = |wanted: Kind| {
        rates
            .iter()
            .filter(|(kind, _)| *kind == wanted)
            .map(|(_, rate)| *rate)
            .fold(0.0, f64::max)
    };
    let ratio = best(Kind::Sqlite) / best(Kind::Off);
    println!("ratio of the better runs: {ratio:.2} (at least {LEAST_RATIO:.2})");

    let idle = Server::start(Kind::Idle);
    let before = idle.wake_ups();
    wait(IDLE);
    let woken = idle.wake_ups() - before;
    println!(
        "   idle: {:.1} MB, {:.1} wake-ups/s (listeners, queue and store of one process)",
        idle.status_kb("VmRSS") / 1024.0,
        woken / IDLE.as_secs_f64(),
    );
    drop(idle);
    if ratio < LEAST_RATIO {
        eprintln!("durability costs more than is allowed");
        std::process::exit(1);
    }
}

fn machine() -> String {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split(": ").nth(1))
        .unwrap_or("unknown processor");
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    format!(
        "{name}, {cores} cores, load before: {}",
        load.split(' ').next().unwrap_or("?")
    )
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
fn wait(time: Duration) {
    let (_keep, never) = std::sync::mpsc::channel::<()>();
    never.recv_timeout(time).ok();
}
