//! The store's part: claims with few and with very many dispatches waiting, and what telling takes of the ends of attempts.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use lockstep::domain::{Clock as _, Direction, JobKey, Object, Priority, SystemClock, SystemEntropy};
use lockstep::notify::{EventType, Notification, NotificationId};
use lockstep::store::{
    Claim, DispatchEnd, EndedDispatch, EndedPart, EndpointChange, FannedOut, Finish, KeptNotification, Lane,
    NewDispatch, NewJob, SharedStore, Verdict,
};

use crate::stores::end;

const ENDPOINTS: usize = 10;

/// Dispatches waiting in the small store, per claim, and how many claims are measured.
const FEW: usize = 1_000;
const CLAIM: u32 = 50;
const ROUNDS: usize = 301;
const WARM: usize = 50;

/// A claim with many waiting may cost this many times what it costs with few.
const MOST_TIMES: f64 = 1.5;

/// Telling may take this much of the rate at which attempts end that do nothing else. What it takes of the sync is measured with the
/// daemon, where an attempt asks two systems; this shows when the part of the store grows.
const MOST_LOST: f64 = 0.25;

/// Attempts that tell and attempts that do not are ended by turns, in so many parts.
const PARTS: usize = 12;

/// Attempts that end at once.
const AT_ONCE: usize = 64;

/// A body as one of an order without its record is long.
const BODY_BYTES: usize = 1_200;

fn endpoint(number: usize) -> String {
    format!("endpoint-{}", number % ENDPOINTS)
}

fn body(number: usize) -> String {
    format!(
        r#"{{"id":"evt_{number:032x}","type":"order.synced","shop":"main","filler":"{}"}}"#,
        "x".repeat(BODY_BYTES)
    )
}

/// A notification of about that length that the dispatcher can read.
fn told(number: usize) -> String {
    let id = NotificationId::new(&SystemEntropy);
    let mut notification = Notification::new(id, EventType::OrderSynced, SystemClock.now());
    notification.shop = Some("main".parse().expect("a name"));
    notification.record = Some(serde_json::json!({ "number": number, "filler": "x".repeat(BODY_BYTES) }));
    serde_json::to_string(&notification).expect("it is JSON")
}

fn fanned(id: i64, body: String, endpoints: impl Iterator<Item = String>) -> FannedOut {
    let now = SystemClock.now();
    FannedOut {
        id,
        kept: Some(KeptNotification {
            notification: format!("evt_{id:032x}"),
            event: "order.synced".to_owned(),
            shop: Some("main".to_owned()),
            object: Some("order".to_owned()),
            record: Some(format!("#{id}")),
            keys: vec![format!("shopify/{id}"), format!("erp/sale.order/{id}")],
            body,
        }),
        dispatches: endpoints
            .map(|endpoint| NewDispatch {
                endpoint,
                priority: 1,
                object_key: None,
                due_at: now,
                problem: None,
            })
            .collect(),
    }
}

/// Fills a store with so many dispatches that wait, a tenth for each endpoint.
async fn fill(store: &SharedStore, count: usize) {
    let notifications = count / ENDPOINTS;
    let step = 1_000;
    for first in (0..notifications).step_by(step) {
        let bodies = (first..(first + step).min(notifications)).map(body).collect();
        let now = SystemClock.now();
        store.add_notifications(bodies, now).await.expect("they are told");
        let rows = store.outbox(1_000).await.expect("an outbox");
        let rows = rows
            .into_iter()
            .map(|row| fanned(row.id, row.body, (0..ENDPOINTS).map(endpoint)))
            .collect();
        store.fan_out(rows, now).await.expect("they are fanned out");
    }
}

/// How long a claim of one endpoint takes. What was claimed is given back.
async fn claim(store: &SharedStore, round: usize) -> Duration {
    let name = endpoint(round);
    let now = SystemClock.now();
    let began = Instant::now();
    let claimed = store
        .claim_dispatches(&name, now, now.plus(Duration::from_secs(60)), CLAIM)
        .await
        .expect("a claim");
    let took = began.elapsed();
    assert_eq!(claimed.len(), CLAIM as usize);
    let end = EndedDispatch {
        parts: vec![EndedPart {
            ids: claimed.iter().map(|one| (one.id, one.fence)).collect(),
            end: DispatchEnd::GivenBack { at: now },
        }],
        attempt: None,
        endpoint: EndpointChange {
            name,
            health: None,
            pause: None,
            told_failing_at: None,
        },
        notifications: Vec::new(),
    };
    store
        .end_dispatches(vec![end], now)
        .await
        .expect("they are given back");
    took
}

fn middle(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// Claims with few and with many waiting; whether many cost about the same.
pub(crate) async fn claims(few: &SharedStore, many: &SharedStore, waiting: usize) -> bool {
    fill(few, FEW).await;
    let began = Instant::now();
    fill(many, waiting).await;
    println!("  {waiting} dispatches are made in {:.1?}", began.elapsed());
    let began = Instant::now();
    let endpoints = many.endpoints().await.expect("endpoints");
    let listed = began.elapsed();
    let shown: u64 = endpoints.iter().map(|row| row.waiting).sum();
    assert_eq!(usize::try_from(shown), Ok(waiting / ENDPOINTS * ENDPOINTS));
    let (mut of_few, mut of_many) = (Vec::new(), Vec::new());
    // By turns, so that both see the same machine. The first rounds warm both up.
    for round in 0..WARM + ROUNDS {
        let (with_few, with_many) = (claim(few, round).await, claim(many, round).await);
        if round >= WARM {
            of_few.push(with_few);
            of_many.push(with_many);
        }
    }
    let (of_few, of_many) = (middle(of_few), middle(of_many));
    let times = of_many.as_secs_f64() / of_few.as_secs_f64();
    println!(
        "  a claim of {CLAIM} among {FEW}: {of_few:.2?}, among {waiting}: {of_many:.2?} ({times:.2} times, at most {MOST_TIMES}); \
         endpoints with their counts: {listed:.2?}"
    );
    times <= MOST_TIMES
}

fn key(id: usize) -> JobKey {
    JobKey {
        shop: "main".parse().expect("a name"),
        object: Object::Order,
        direction: Direction::In,
        source_id: id.to_string(),
    }
}

/// Ends so many attempts, many at once, each with a notification or without; how long that takes.
async fn drain(store: &SharedStore, attempts: usize, first: usize, tells: bool) -> Duration {
    let now = SystemClock.now();
    for some in (first..first + attempts).collect::<Vec<_>>().chunks(1_000) {
        let jobs = some.iter().map(|id| {
            store.enqueue(NewJob {
                key: key(*id),
                priority: Priority::LIVE,
                now,
                cause: "a bench".to_owned(),
            })
        });
        for made in join_all(jobs).await {
            made.expect("it is enqueued");
        }
    }
    let began = Instant::now();
    let mut ended = 0;
    loop {
        let claim = Claim {
            node: "bench".to_owned(),
            lanes: vec![(Lane::of(&key(0)), u32::try_from(AT_ONCE).unwrap_or(u32::MAX))],
            now: SystemClock.now(),
            lease: Duration::from_secs(60),
        };
        let jobs = store.claim(claim).await.expect("jobs are claimed");
        if jobs.is_empty() {
            break;
        }
        let ends = jobs.iter().enumerate().map(|(place, job)| {
            let told = tells.then(|| told(ended + place)).into_iter().collect();
            store.finish(Finish {
                notifications: told,
                ..end(job, Verdict::Completed)
            })
        });
        for done in join_all(ends).await {
            done.expect("it ends");
        }
        ended += jobs.len();
    }
    assert_eq!(ended, attempts);
    began.elapsed()
}

/// What telling takes of the rate at which attempts end that do nothing else; whether it is little.
pub(crate) async fn ends(silent: &SharedStore, telling: &SharedStore, attempts: usize) -> bool {
    let part = attempts / PARTS;
    // Both are warm then.
    drain(silent, part, 0, false).await;
    drain(telling, part, 0, true).await;
    let (mut without, mut with) = (Duration::ZERO, Duration::ZERO);
    for turn in 1..=PARTS {
        without += drain(silent, part, turn * part, false).await;
        with += drain(telling, part, turn * part, true).await;
    }
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    let rate = |took: Duration| (PARTS * part) as f64 / took.as_secs_f64();
    let lost = 1.0 - rate(with) / rate(without);
    println!(
        "  attempts that do nothing, ended a second: {:.0} telling nobody, {:.0} telling ({:.1} % less, at most {:.0} %)",
        rate(without),
        rate(with),
        lost * 100.0,
        MOST_LOST * 100.0
    );
    lost <= MOST_LOST
}
