//! Claims of dispatches.

use super::super::fixture::Fixture;
use super::super::given::START;
use super::{MINUTE, ada, check_counts, claim, end, ids, names, states, tell, to};
use crate::domain::Timestamp;
use crate::store::{DispatchEnd, DispatchState, EndpointAct, NewDispatch, SharedStore};

fn of(priority: u8, due: u32) -> NewDispatch {
    NewDispatch {
        priority,
        due_at: START.plus(MINUTE * due),
        ..to("slack")
    }
}

pub(in super::super) async fn dispatches_are_claimed_by_priority_then_time(fixture: Fixture) {
    let store = &fixture.store;
    for (name, dispatch) in [
        ("late", of(1, 2)),
        ("first of two", of(1, 1)),
        ("second of two", of(1, 1)),
        ("background", of(7, 0)),
        ("urgent", of(0, 3)),
        ("not yet", of(0, 4)),
    ] {
        tell(store, name, &[dispatch]).await;
    }
    tell(store, "another's", &[to("sheet")]).await;
    let next = store.next_dispatch().await.unwrap();
    assert_eq!(next, [("sheet".to_owned(), START), ("slack".to_owned(), START)]);

    let now = START.plus(MINUTE * 3);
    let order = ["urgent", "first of two", "second of two", "late", "background"];
    let mut claimed = claim(store, "slack", 2, now).await;
    assert_eq!(names(&claimed), order[..2]);
    claimed.extend(claim(store, "slack", 10, now).await);
    assert_eq!(names(&claimed), order);
    assert!(claim(store, "slack", 10, now).await.is_empty());
    assert!(claim(store, "nobody", 10, now).await.is_empty());
    let next = store.next_dispatch().await.unwrap();
    let not_yet = ("slack".to_owned(), START.plus(MINUTE * 4));
    assert_eq!(next, [("sheet".to_owned(), START), not_yet]);
}

pub(in super::super) async fn nothing_is_claimed_for_a_paused_endpoint(fixture: Fixture) {
    let store = &fixture.store;
    tell(store, "1", &[to("slack"), to("sheet")]).await;
    let mut act = EndpointAct {
        name: "slack".to_owned(),
        pause: true,
        health: None,
        reason: Some("they move house".to_owned()),
        actor: ada(),
        at: START,
    };
    assert!(store.set_endpoint(act.clone()).await.unwrap());
    assert!(
        !store.set_endpoint(act.clone()).await.unwrap(),
        "it is paused already"
    );
    tell(store, "2", &[to("slack")]).await;
    assert!(claim(store, "slack", 10, START).await.is_empty());
    assert_eq!(
        store.next_dispatch().await.unwrap(),
        [("sheet".to_owned(), START)],
        "another one goes on"
    );
    let other = EndpointAct {
        name: "sheet".to_owned(),
        ..act.clone()
    };
    assert!(store.set_endpoint(other).await.unwrap());
    assert!(store.next_dispatch().await.unwrap().is_empty());
    let row = super::endpoint(store, "slack").await;
    assert!(row.is_paused);
    assert_eq!(
        (
            row.paused_because.as_deref(),
            row.paused_by.as_deref(),
            row.paused_at
        ),
        (Some("person"), Some("ada"), Some(START))
    );
    assert_eq!((row.waiting, row.oldest_waiting), (2, Some(START)));

    act.pause = false;
    act.health = Some(r#"{"failures":0}"#.to_owned());
    assert!(store.set_endpoint(act).await.unwrap());
    let row = super::endpoint(store, "slack").await;
    assert_eq!(
        (row.is_paused, row.paused_because, row.paused_by),
        (false, None, None)
    );
    assert_eq!(row.health, r#"{"failures":0}"#);
    let other = super::endpoint(store, "sheet").await;
    assert!(other.is_paused && other.health != row.health, "{other:?}");
    assert!(claim(store, "sheet", 10, START).await.is_empty());
    assert_eq!(names(&claim(store, "slack", 10, START).await), ["1", "2"]);

    let filter = crate::store::AuditFilter {
        subject: Some("endpoint:slack".to_owned()),
        ..crate::store::AuditFilter::default()
    };
    let lines = store.audit(filter).await.unwrap();
    let lines: Vec<_> = lines
        .iter()
        .map(|line| (line.action.as_str(), line.actor.as_str(), line.reason.as_deref()))
        .collect();
    let why = Some("they move house");
    assert_eq!(
        lines,
        [("resume_endpoint", "ada", why), ("pause_endpoint", "ada", why)]
    );
}

/// What waits for an endpoint, oldest first, by when it is due.
async fn due(store: &SharedStore, endpoint: &str) -> Vec<Timestamp> {
    let filter = crate::store::DispatchFilter {
        endpoint: Some(endpoint.to_owned()),
        state: Some(DispatchState::Waiting),
        ..crate::store::DispatchFilter::default()
    };
    let rows = super::rows(store, filter).await;
    rows.iter().rev().map(|row| row.due_at).collect()
}

pub(in super::super) async fn what_waits_is_due_when_an_endpoint_goes_on(fixture: Fixture) {
    let store = &fixture.store;
    // More than one step takes, of every priority, and some of it due before.
    for (number, priority) in [1, 1, 1, 1, 0, 2, 2].into_iter().enumerate() {
        let name = number.to_string();
        let other = NewDispatch {
            endpoint: "sheet".to_owned(),
            ..of(priority, 1_000)
        };
        tell(store, &name, &[of(priority, 1_000), other]).await;
    }
    tell(store, "before", &[of(1, 0)]).await;
    let mut act = EndpointAct {
        name: "slack".to_owned(),
        pause: true,
        health: None,
        reason: None,
        actor: ada(),
        at: START,
    };
    assert!(store.set_endpoint(act.clone()).await.unwrap());
    let tomorrow = START.plus(MINUTE * 1_000);
    assert_eq!(
        due(store, "slack").await[..7],
        [tomorrow; 7],
        "a pause changes nothing"
    );
    let now = START.plus(MINUTE);
    (act.pause, act.at) = (false, now);
    assert!(store.set_endpoint(act).await.unwrap());
    let mut expected = vec![now; 7];
    expected.push(START);
    assert_eq!(due(store, "slack").await, expected);
    assert_eq!(due(store, "sheet").await, [tomorrow; 7]);
    assert_eq!(claim(store, "slack", 20, now).await.len(), 8);
}

pub(in super::super) async fn a_clock_that_was_ahead_puts_no_delivery_off(fixture: Fixture) {
    let store = &fixture.store;
    let month = 30 * 24 * 60;
    let ahead = START.plus(MINUTE * month);
    // One that is tried again in an hour, one that is tried again in a month, one whose claim ends in a month.
    for name in ["soon", "far", "lost"] {
        tell(store, name, &[to("slack")]).await;
    }
    let claimed = claim(store, "slack", 2, START).await;
    let (soon, hour) = (&claimed[..1], START.plus(MINUTE * 60));
    end(store, "slack", soon, DispatchEnd::Again { at: hour }).await;
    end(store, "slack", &claimed[1..], DispatchEnd::Again { at: ahead }).await;
    let lost = store.claim_dispatches("slack", START, ahead, 1).await.unwrap();
    assert_eq!(names(&lost), ["lost"]);
    // What was not tried yet, more than one step takes.
    for number in 0..7 {
        tell(store, &number.to_string(), &[of(1, month)]).await;
    }
    let before = due(store, "slack").await;
    store.clock_went_back(START).await.unwrap();
    assert_eq!(due(store, "slack").await, before, "jobs are mended without them");
    store.mend_dispatch_times(START).await.unwrap();
    let mut expected = vec![hour];
    expected.extend([START; 8]);
    assert_eq!(due(store, "slack").await, expected);
    assert_eq!(store.reclaim_dispatches(hour).await.unwrap(), 1);
}

pub(in super::super) async fn what_was_sent_together_is_claimed_together(fixture: Fixture) {
    let store = &fixture.store;
    for name in ["1", "2", "3", "4"] {
        tell(store, name, &[to("sheet")]).await;
    }
    let claimed = claim(store, "sheet", 3, START).await;
    let (again, alone) = claimed.split_at(2);
    assert!(store.batch_dispatches(ids(again), "batch-1").await.unwrap());
    // Halved before it was sent: what was noted last counts.
    assert!(store.batch_dispatches(ids(again), "batch-2").await.unwrap());
    let later = START.plus(MINUTE);
    end(store, "sheet", again, DispatchEnd::Again { at: later }).await;
    end(store, "sheet", alone, DispatchEnd::Again { at: later }).await;
    assert!(
        !store.batch_dispatches(ids(&claimed), "batch-3").await.unwrap(),
        "they are not ours any more"
    );

    // The one that was not tried yet is due first; of the batch there is room for one.
    let claimed = claim(store, "sheet", 2, later).await;
    assert_eq!(names(&claimed), ["4", "1", "2"]);
    let batches: Vec<Option<&str>> = claimed.iter().map(|one| one.batch.as_deref()).collect();
    assert_eq!(batches, [None, Some("batch-2"), Some("batch-2")]);
    assert_eq!(names(&claim(store, "sheet", 2, later).await), ["3"]);
}

pub(in super::super) async fn a_batch_of_one_endpoint_is_no_other_endpoints(fixture: Fixture) {
    use DispatchState::{Delivered, Sending, Waiting};
    let store = &fixture.store;
    for name in ["1", "2"] {
        tell(store, name, &[to("sheet"), to("copy")]).await;
    }
    let of_sheet = claim(store, "sheet", 2, START).await;
    let of_copy = claim(store, "copy", 2, START).await;
    // Whatever a batch is called, it is an endpoint's own.
    for claimed in [&of_sheet, &of_copy] {
        assert!(store.batch_dispatches(ids(claimed), "batch").await.unwrap());
    }
    let mixed = vec![ids(&of_sheet)[0], ids(&of_copy)[0]];
    assert!(!store.batch_dispatches(mixed, "mixed").await.unwrap());
    let later = START.plus(MINUTE);
    end(store, "sheet", &of_sheet, DispatchEnd::Again { at: START }).await;
    end(store, "copy", &of_copy, DispatchEnd::Again { at: later }).await;

    let of_sheet = claim(store, "sheet", 2, START).await;
    assert_eq!(names(&of_sheet), ["1", "2"]);
    assert_eq!(states(store, "copy").await, [Waiting, Waiting]);
    // Nor is one ended by a request to another.
    let stale = end(store, "copy", &of_sheet, DispatchEnd::Delivered).await;
    assert_eq!(stale, [of_sheet[0].id, of_sheet[1].id]);
    assert_eq!(states(store, "sheet").await, [Sending, Sending]);
    end(store, "sheet", &of_sheet, DispatchEnd::Delivered).await;
    assert_eq!(states(store, "sheet").await, [Delivered, Delivered]);
    assert_eq!(names(&claim(store, "copy", 2, later).await), ["1", "2"]);
    check_counts(&fixture).await;
}

pub(in super::super) async fn a_newer_one_leaves_a_batch_as_it_was_sent(fixture: Fixture) {
    use DispatchState::{Replaced, Sending, Waiting};
    let store = &fixture.store;
    let unique = |key: &str| super::unique("sheet", key);
    tell(store, "1", &[unique("order/1")]).await;
    tell(store, "2", &[unique("order/2")]).await;
    let claimed = claim(store, "sheet", 2, START).await;
    assert!(store.batch_dispatches(ids(&claimed), "batch").await.unwrap());
    end(store, "sheet", &claimed, DispatchEnd::Again { at: START }).await;
    tell(store, "3", &[unique("order/1")]).await;
    tell(store, "4", &[unique("order/1")]).await;
    assert_eq!(
        states(store, "sheet").await,
        [Waiting, Waiting, Replaced, Waiting]
    );
    let again = claim(store, "sheet", 1, START).await;
    assert_eq!(names(&again), ["1", "2"]);
    assert_eq!(
        states(store, "sheet").await,
        [Sending, Sending, Replaced, Waiting]
    );
}
