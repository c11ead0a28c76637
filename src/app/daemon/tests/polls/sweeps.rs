//! The nightly list of all ids comes when the schedule says so, and what is told of polls.

use std::sync::Arc;

use super::*;
use crate::app::{polls, status};
use crate::config::Config;
use crate::domain::{ManualClock, SharedClock, Timestamp};

/// The last poll of partners began at this time.
async fn polled_at(daemon: &Daemon, at: Timestamp) {
    until("a poll at this time", async || {
        let note = polls::noted(&daemon.store, &main(), "res.partner").await.unwrap();
        note.is_some_and(|note| note.succeeded_at >= Some(at))
    })
    .await;
}

#[tokio::test]
async fn what_was_deleted_is_found_at_the_scheduled_time_and_not_before() {
    let polled = Polled::new(Version::V18).await;
    let ada = polled.partner("Ada");
    // The list is due at 03:17 of the shop's clocks.
    let start = Timestamp::parse_rfc3339("2026-11-20T02:10:00Z").unwrap();
    let manual = ManualClock::new(start);
    let clock: SharedClock = Arc::new(manual.clone());
    polled.write(&polled.place, "1s", "customers = { out = 'paused' }", "");
    let daemon = polled.place.start(Arc::clone(&clock)).await.unwrap();
    followed(&daemon, "res.partner").await;
    let listed = async || {
        let cursor = daemon.store.poll_cursor(&main(), "res.partner").await.unwrap();
        cursor.unwrap().swept_at
    };
    let first = listed().await;
    polled.admin("res.partner", "unlink", json!([[ada]]));
    manual.advance(Duration::from_secs(6 * 60));
    // One that had begun may have ended only now: by itself the next one comes a second later, for which this clock stands still.
    assert_eq!(hint(&daemon, TOKEN).await, 202);
    polled_at(&daemon, manual.now()).await;
    assert_eq!(listed().await, first, "02:16, which is 03:16");
    assert_eq!(out(&daemon).await, []);
    manual.advance(Duration::from_secs(61));
    assert_eq!(hint(&daemon, TOKEN).await, 202);
    until("the deleted one is a job", async || {
        out(&daemon).await == [(Object::Customer, ada.to_string())]
    })
    .await;
    assert!(listed().await > first);

    assert_eq!(hint(&daemon, TOKEN).await, 202);
    let config = Config::load(&polled.place.path()).unwrap_or_else(|error| panic!("{error}"));
    manual.advance(Duration::from_millis(500));
    let known = status::status(&config, &daemon.store, &clock)
        .await
        .unwrap()
        .polls;
    let [partners] = &known[..] else {
        panic!("{known:?}");
    };
    assert_eq!(
        (partners.object, partners.model.as_str()),
        (Object::Customer, "res.partner")
    );
    assert!(partners.polled_at.is_some() && partners.lag_s.is_some_and(|lag| lag < 120));
    assert!(partners.hinted_at.is_some() && partners.error.is_none());
    assert!(partners.listed_at > first && partners.noticed_until.is_some());
    let planned = status::status(&config, &daemon.store, &clock)
        .await
        .unwrap()
        .schedules;
    let listed: Vec<_> = planned
        .iter()
        .filter(|planned| planned.what.contains("list of all ids"))
        .collect();
    let next: Vec<_> = listed[0].next.iter().map(ToString::to_string).collect();
    assert_eq!(next.len(), 5);
    assert_eq!((listed.len(), next[0].as_str()), (1, "2026-11-21T02:17:00Z"));

    // An ERP that does not answer is told, and the lag grows.
    polled
        .erp
        .faults()
        .add(Rule::new(Fault::PostgresDown).model("res.partner").always());
    manual.advance(Duration::from_secs(90));
    until("the failure is told", async || {
        let known = status::status(&config, &daemon.store, &clock)
            .await
            .unwrap()
            .polls;
        known[0].error.is_some() && known[0].lag_s >= Some(90)
    })
    .await;
    daemon.stop().await;
}
