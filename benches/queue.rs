//! What the queue costs: recording deliveries, draining jobs that do nothing, claiming with few and with very many jobs
//! waiting, and looking around among very many finished ones. `cargo bench --bench queue`
//!
//! Numbers are printed with the machine; only a violated ratio, or a database that is missing, makes it fail. SQLite runs as in production
//! (`synchronous=FULL`) in `$TMPDIR`; PostgreSQL runs where `LOCKSTEP_TEST_POSTGRES_URL` is set, in a schema of its own.

#![expect(clippy::print_stdout, reason = "a bench prints its numbers")]

#[path = "rig/machine.rs"]
mod machine;
#[path = "rig/stores.rs"]
mod stores;

use std::fmt::Write as _;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures_util::future::join_all;
use lockstep::domain::{
    Clock as _, Direction, JobKey, Object, Outcome, Priority, Report, ShopName, SystemClock, SystemEntropy,
};
use lockstep::queue::{self, Handler, LaneGate, Live, Queue};
use lockstep::store::{Claim, ClaimedJob, Delivery, DeliveryAction, Lane, NewJob, SharedStore, Verdict};
use sha2::{Digest as _, Sha256};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use machine::machine;
use stores::{end, schema, store};

/// Deliveries recorded, by how many at once, and the size of each body.
const DELIVERIES: usize = 60_000;
const CONNECTIONS: usize = 64;
const BODY_BYTES: usize = 6_000;

/// Jobs drained, of how many shops, and how many a second are asked for.
const DRAINED: usize = 60_000;
const WORKERS: u32 = 512;
const SHOPS: usize = 4;
const LEAST_ON_SQLITE: f64 = 10_000.0;
const LEAST_ON_POSTGRES: f64 = 5_000.0;

/// Jobs waiting while claims are measured, jobs per claim, and how often.
const FEW: usize = 1_000;
const MANY: usize = 1_000_000;
const CLAIM: u32 = 50;
const ROUNDS: usize = 101;

/// A claim with many jobs waiting may cost this many times what it costs with few.
const MOST_TIMES: f64 = 1.5;

/// Jobs enqueued at once while a store is filled.
const FILL: usize = 1_000;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    println!("machine: {}", machine());
    let mut is_good = true;
    let mut is_measured = true;
    let mut is_fast = true;
    runtime.block_on(async {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let sqlite = |name: &str| format!("sqlite://{}", folder.path().join(name).display());
        println!("\nSQLite, synchronous=FULL");
        intake(&store(&sqlite("intake.db")).await).await;
        let narrow = store(&sqlite("drain.db")).await;
        let wide = store(&sqlite("drain-wide.db")).await;
        is_fast &= drains(&narrow, &wide, LEAST_ON_SQLITE).await;
        let many = store(&sqlite("many.db")).await;
        is_good &= claims(&store(&sqlite("few.db")).await, &many).await;
        complete_all(&many).await;
        housekeeping(&many).await;

        println!("\nPostgreSQL");
        match std::env::var("LOCKSTEP_TEST_POSTGRES_URL") {
            Err(_) => is_measured = false,
            Ok(server) => {
                intake(&store(&schema(&server, "intake").await).await).await;
                let narrow = store(&schema(&server, "drain").await).await;
                let wide = store(&schema(&server, "drain_wide").await).await;
                is_fast &= drains(&narrow, &wide, LEAST_ON_POSTGRES).await;
                let few = store(&schema(&server, "few").await).await;
                let many = store(&schema(&server, "many").await).await;
                is_good &= claims(&few, &many).await;
                complete_all(&many).await;
                housekeeping(&many).await;
            }
        }
    });
    if !is_fast {
        println!("\na rate is below what is asked, on this machine");
    }
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

fn shop(number: usize) -> ShopName {
    format!("shop-{number}").parse().expect("a shop's name")
}

fn key(id: usize) -> JobKey {
    JobKey {
        shop: shop(0),
        object: Object::Order,
        direction: Direction::In,
        source_id: (5_000_000_000_000 + id).to_string(),
    }
}

/// An order's body in the shape and size of a real one.
fn body(id: usize) -> Vec<u8> {
    let mut text = format!(r#"{{"id":{id},"admin_graphql_api_id":"gid://shopify/Order/{id}","line_items":["#);
    let mut line = 0_usize;
    while text.len() < BODY_BYTES {
        let number = id.wrapping_mul(2_654_435_761).wrapping_add(line * 40_503) % 1_000_003;
        let _ = write!(
            text,
            r#"{{"id":{},"variant_id":{},"title":"Article {number}","quantity":{},"sku":"SKU-{number}","price":"{}.{:02}","taxable":true,"fulfillment_status":null}},"#,
            id * 100 + line,
            number * 7,
            number % 5 + 1,
            number % 300,
            number % 100
        );
        line += 1;
    }
    text.push_str("null]}");
    text.into_bytes()
}

fn delivery(id: usize) -> Delivery {
    let body = body(id);
    let now = SystemClock.now();
    let webhook_id = hex::encode(&Sha256::digest(id.to_be_bytes())[..16]);
    Delivery {
        shop: shop(0),
        topic: "orders/create".to_owned(),
        webhook_id: Some(webhook_id.clone()),
        event_id: Some(hex::encode(&Sha256::digest(webhook_id.as_bytes())[..16])),
        dedup_key: webhook_id,
        triggered_at: Some(now),
        api_version: Some("2026-10".to_owned()),
        received_at: now,
        body_sha256: hex::encode(Sha256::digest(&body)),
        body: body.into(),
        action: DeliveryAction::Job {
            key: key(id),
            priority: Priority::LIVE,
        },
    }
}

fn per_second(count: usize, took: Duration) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    let count = count as f64;
    count / took.as_secs_f64()
}

/// The middle and the 99th of a hundred.
fn middle_and_high(times: &mut [Duration]) -> (Duration, Duration) {
    times.sort_unstable();
    (times[times.len() / 2], times[times.len() * 99 / 100])
}

async fn intake(store: &SharedStore) {
    let began = Instant::now();
    let tasks = (0..CONNECTIONS).map(|task| {
        let store = Arc::clone(store);
        tokio::spawn(async move {
            let mut times = Vec::new();
            for id in (task..DELIVERIES).step_by(CONNECTIONS) {
                let delivery = delivery(id);
                let began = Instant::now();
                store.record_delivery(delivery).await.expect("it is recorded");
                times.push(began.elapsed());
            }
            times
        })
    });
    let mut times: Vec<Duration> = join_all(tasks)
        .await
        .into_iter()
        .flat_map(|times| times.expect("a task"))
        .collect();
    let rate = per_second(DELIVERIES, began.elapsed());
    let (middle, high) = middle_and_high(&mut times);
    println!(
        "  recording deliveries of {BODY_BYTES} bytes, {CONNECTIONS} at once: {rate:.0} a second, median {middle:.2?}, p99 {high:.2?}"
    );
}

async fn fill(store: &SharedStore, count: usize, shops: usize) {
    let now = SystemClock.now();
    for first in (0..count).step_by(FILL) {
        let jobs = (first..(first + FILL).min(count)).map(|id| {
            store.enqueue(NewJob {
                key: JobKey {
                    shop: shop(id % shops),
                    ..key(id)
                },
                priority: Priority::LIVE,
                now,
                cause: "a bench".to_owned(),
            })
        });
        for made in join_all(jobs).await {
            made.expect("it is enqueued");
        }
    }
}

async fn claim(store: &SharedStore, limit: u32) -> Vec<ClaimedJob> {
    let claim = Claim {
        node: "bench".to_owned(),
        lanes: vec![(Lane::of(&key(0)), limit)],
        now: SystemClock.now(),
        lease: Duration::from_secs(60),
    };
    store.claim(claim).await.expect("jobs are claimed")
}

/// Does nothing, and counts.
struct Nothing {
    done: AtomicUsize,
    all: Notify,
}

#[async_trait]
impl Handler for Nothing {
    async fn attempt(&self, _job: ClaimedJob, _stop: CancellationToken) -> Report {
        if self.done.fetch_add(1, Ordering::Relaxed) + 1 == DRAINED {
            self.all.notify_one();
        }
        Report::of(Outcome::Completed, "nothing to do")
    }
}

/// Drains jobs of several shops through the queue as the daemon runs it; how many a second.
async fn drain(store: &SharedStore, settings: queue::Settings) -> f64 {
    fill(store, DRAINED, SHOPS).await;
    let handler = Arc::new(Nothing {
        done: AtomicUsize::new(0),
        all: Notify::new(),
    });
    let (_live, follow) = watch::channel(Live {
        settings,
        gate: LaneGate::open(),
        revision: Some(1),
    });
    let queue = Queue::new(
        Arc::clone(store),
        Arc::clone(&handler) as Arc<dyn Handler>,
        follow,
        Arc::new(SystemClock),
        Arc::new(SystemEntropy),
        "bench",
    );
    let stop = CancellationToken::new();
    let began = Instant::now();
    let running = tokio::spawn(queue.run(stop.clone()));
    handler.all.notified().await;
    // The last results are saved before it ends.
    stop.cancel();
    running.await.expect("the queue ends");
    let rate = per_second(DRAINED, began.elapsed());
    assert_eq!(
        handler.done.load(Ordering::Relaxed),
        DRAINED,
        "every job was run once"
    );
    let open = store.ready_lanes(SystemClock.now()).await.expect("lanes");
    assert!(open.is_empty(), "every result was saved");
    rate
}

/// Drains with the default settings, which are made for an ERP that takes few calls at once, and with as many workers as
/// show what the queue itself can do.
async fn drains(narrow: &SharedStore, wide: &SharedStore, least: f64) -> bool {
    let rate = drain(narrow, queue::Settings::default()).await;
    println!(
        "  draining jobs that do nothing through the queue, {SHOPS} shops, default settings: {rate:.0} a second"
    );
    let workers = NonZeroU32::new(WORKERS).expect("there are some");
    let settings = queue::Settings {
        workers,
        workers_per_shop: workers,
        ..queue::Settings::default()
    };
    let rate = drain(wide, settings).await;
    println!("  the same with {WORKERS} workers: {rate:.0} a second (asked: {least:.0})");
    rate >= least
}

/// What looks at the store in the background costs with very many finished jobs.
async fn housekeeping(store: &SharedStore) {
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        let began = Instant::now();
        store.reclaim(SystemClock.now()).await.expect("it reclaims");
        times[0].push(began.elapsed());
        let began = Instant::now();
        store.ready_lanes(SystemClock.now()).await.expect("lanes");
        times[1].push(began.elapsed());
    }
    let [reclaim, look] = times.map(|mut times| middle_and_high(&mut times).0);
    println!(
        "  with {MANY} completed jobs: looking for dead attempts {reclaim:.2?}, for ready lanes {look:.2?}"
    );
}

/// Ends all waiting jobs, as a person who has no patience would with the database itself.
async fn complete_all(store: &SharedStore) {
    loop {
        let jobs = claim(store, 10_000).await;
        if jobs.is_empty() {
            return;
        }
        for finished in join_all(jobs.iter().map(|job| store.finish(end(job, Verdict::Completed)))).await {
            finished.expect("it is finished");
        }
    }
}

/// Claims by turns from both stores, so that whatever else the machine does falls on both alike.
async fn claims(few: &SharedStore, many: &SharedStore) -> bool {
    fill(few, FEW, 1).await;
    fill(many, MANY, 1).await;
    let mut times = [Vec::new(), Vec::new()];
    let mut looks = [Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        for (which, store) in [few, many].into_iter().enumerate() {
            let began = Instant::now();
            let lanes = store.ready_lanes(SystemClock.now()).await.expect("lanes");
            looks[which].push(began.elapsed());
            assert_eq!(lanes.len(), 1);
            let began = Instant::now();
            let jobs = claim(store, CLAIM).await;
            times[which].push(began.elapsed());
            assert_eq!(jobs.len(), CLAIM as usize);
            for finished in join_all(jobs.iter().map(|job| store.finish(end(job, Verdict::Release)))).await {
                finished.expect("it is given back");
            }
        }
    }
    let [claims_few, claims_many] = times.map(|mut times| middle_and_high(&mut times).0);
    let [looks_few, looks_many] = looks.map(|mut times| middle_and_high(&mut times).0);
    let ratio = claims_many.as_secs_f64() / claims_few.as_secs_f64();
    println!(
        "  claiming {CLAIM} of {FEW} waiting jobs: {claims_few:.2?}; of {MANY}: {claims_many:.2?}; ratio {ratio:.2} (at most {MOST_TIMES})"
    );
    println!(
        "  looking for ready lanes: {looks_few:.2?} and {looks_many:.2?}; ratio {:.2}",
        looks_many.as_secs_f64() / looks_few.as_secs_f64()
    );
    ratio <= MOST_TIMES
}
