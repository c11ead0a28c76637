//! Notifications through the dispatcher to receivers that answer at once.

use std::time::{Duration, Instant};

use lockstep::domain::{Clock as _, SystemClock, SystemEntropy};
use lockstep::notify::{EventType, Notification, NotificationId};
use lockstep::store::SharedStore;

use crate::dispatching::Dispatching;

/// So many notifications are to be sent in a second to one endpoint, and so many requests to several together, at least.
const LEAST: f64 = 2_000.0;

/// How long it may take at most, before it counts as hanging.
const PATIENCE: Duration = Duration::from_secs(120);

/// Sends so many notifications to each of so many endpoints, prints how fast it went, and says whether that is fast enough.
pub(crate) async fn sends(store: &SharedStore, endpoints: usize, notifications: usize) -> bool {
    let now = SystemClock.now();
    let bodies: Vec<String> = (0..notifications)
        .map(|_| {
            let id = NotificationId::new(&SystemEntropy);
            let notification = Notification::new(id, EventType::RunFinished, now);
            serde_json::to_string(&notification).expect("it is JSON")
        })
        .collect();
    store
        .add_notifications(bodies, now)
        .await
        .expect("they are committed");
    let begun = Instant::now();
    let dispatching = Dispatching::start(store, endpoints).await;
    let all = notifications * endpoints;
    while dispatching.taken() < all && begun.elapsed() < PATIENCE {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let sent = dispatching.taken();
    // What was sent is also noted.
    dispatching.stop().await;
    let seconds = begun.elapsed().as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "rates for people")]
    let (requests, told) = (sent as f64 / seconds, (sent / endpoints) as f64 / seconds);
    let is_good = sent == all && requests >= LEAST;
    println!(
        "  sent and noted: {sent} of {all} to {endpoints} endpoints in {seconds:.1} s: {requests:.0} requests (at least {LEAST:.0}), \
         {told:.0} notifications a second{}",
        if is_good { "" } else { "  <-- TOO SLOW" }
    );
    is_good
}
