//! Runs and the gaps that they fill.

use std::time::Duration;

use super::fixture::Fixture;
use super::given::{START, other_shop, shop};
use crate::domain::{Object, Timestamp};
use crate::store::{Covered, GapRow, GapRun, NewGap, NewRun, RunCounts, RunKind, RunOutcome, SharedStore};

const MINUTE: Duration = Duration::from_secs(60);

fn new_run(object: Object, now: Timestamp) -> NewRun {
    NewRun {
        kind: RunKind::Delta,
        shop: shop(),
        object,
        cause: "catch_up".to_owned(),
        since: START.minus(MINUTE),
        node: "one".to_owned(),
        now,
    }
}

fn new_gap(since: Timestamp, stood_at: Timestamp) -> NewGap {
    NewGap {
        shop: shop(),
        object: Object::Order,
        since,
        stood_at,
        reason: "orders/create was missing".to_owned(),
    }
}

async fn the_gap(store: &SharedStore) -> GapRow {
    let mut gaps = store.gaps().await.unwrap();
    assert_eq!(gaps.len(), 1, "{gaps:?}");
    gaps.remove(0)
}

pub(super) async fn one_run_of_an_object_at_a_time(fixture: Fixture) {
    let store = &fixture.store;
    let starts = (0..8).map(|_| store.start_run(new_run(Object::Order, START)));
    let started = futures_util::future::join_all(starts).await;
    let ids: Vec<i64> = started.into_iter().filter_map(Result::unwrap).collect();
    assert_eq!(ids.len(), 1, "{ids:?}");
    let run = ids[0];
    // Others are not concerned.
    assert!(
        store
            .start_run(new_run(Object::Product, START))
            .await
            .unwrap()
            .is_some()
    );
    let theirs = NewRun {
        shop: other_shop(),
        ..new_run(Object::Order, START)
    };
    assert!(store.start_run(theirs).await.unwrap().is_some());
    // A full run takes hours, and what changes meanwhile is looked for as ever.
    let full = || NewRun {
        kind: RunKind::Full,
        ..new_run(Object::Order, START)
    };
    let whole = store.start_run(full()).await.unwrap();
    assert!(whole.is_some(), "a delta run of the same object is under way");
    assert_eq!(store.start_run(full()).await.unwrap(), None);
    let counts = RunCounts {
        pages: 2,
        records: 300,
        made: 7,
    };
    assert!(store.run_goes_on(run, counts, START).await.unwrap());
    let end = START.plus(MINUTE);
    let failed = store
        .finish_run(
            run,
            RunOutcome::Failed,
            Some("no answer"),
            vec!["told".into()],
            end,
        )
        .await;
    assert!(failed.unwrap());
    assert!(
        !store
            .finish_run(run, RunOutcome::Done, None, vec!["told again".into()], end)
            .await
            .unwrap()
    );
    let told = store.outbox(10).await.unwrap();
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].body, "told");
    assert!(!store.run_goes_on(run, counts, end).await.unwrap());
    let again = store.start_run(new_run(Object::Order, end)).await.unwrap();
    assert!(again.is_some_and(|id| id > run), "{again:?}");
    let rows = store.runs(10).await.unwrap();
    assert_eq!(rows.len(), 5);
    assert_eq!(store.runs(2).await.unwrap(), rows[..2], "newest first");
    let row = rows.iter().find(|row| row.id == run).unwrap();
    assert_eq!(
        (row.object, row.outcome, row.error.as_deref(), row.counts),
        (Object::Order, Some(RunOutcome::Failed), Some("no answer"), counts)
    );
    assert_eq!(
        (row.since, row.started_at, row.ended_at),
        (START.minus(MINUTE), START, Some(end))
    );
    assert_eq!((row.cause.as_str(), row.node.as_str()), ("catch_up", "one"));
    assert_eq!(rows[0].outcome, None, "it is under way");
}

pub(super) async fn a_run_that_is_not_heard_of_is_cut(fixture: Fixture) {
    let store = &fixture.store;
    let lost = store
        .start_run(new_run(Object::Order, START))
        .await
        .unwrap()
        .unwrap();
    fixture
        .execute("UPDATE runs SET seen_at = seen_at - 119000")
        .await;
    assert_eq!(
        store.start_run(new_run(Object::Order, START)).await.unwrap(),
        None
    );
    fixture.execute("UPDATE runs SET seen_at = seen_at - 2000").await;
    let next = store.start_run(new_run(Object::Order, START)).await.unwrap();
    assert!(next.is_some());
    let rows = store.runs(10).await.unwrap();
    assert_eq!(rows[1].id, lost);
    assert_eq!(rows[1].outcome, Some(RunOutcome::Cut));
    // It comes back too late.
    let counts = RunCounts::default();
    assert!(!store.run_goes_on(lost, counts, START).await.unwrap());
    assert!(
        !store
            .finish_run(lost, RunOutcome::Done, None, Vec::new(), START)
            .await
            .unwrap()
    );
    let fixture = fixture.crash().await;
    if !fixture.is_shared() {
        let rows = fixture.store.runs(1).await.unwrap();
        assert_eq!(rows[0].outcome, Some(RunOutcome::Cut), "nobody else serves");
    }
}

fn ended(gap: &GapRow, covered: Option<Covered>, next_at: Timestamp) -> GapRun {
    GapRun {
        gap: gap.clone(),
        run: Some(7),
        covered,
        next_at,
        now: next_at,
    }
}

pub(super) async fn a_gap_closes_when_a_run_covers_all_of_it(fixture: Fixture) {
    let store = &fixture.store;
    assert!(store.gaps().await.unwrap().is_empty());
    let since = START.minus(MINUTE * 10);
    let id = store.open_gap(new_gap(since, START), START).await.unwrap();
    let gap = the_gap(store).await;
    assert_eq!(
        (gap.id, gap.since, gap.stood_at, gap.next_at),
        (id, since, START, START)
    );
    assert_eq!((gap.failed, gap.run), (0, None));
    let covered = |since, stood_until| Some(Covered { since, stood_until });
    let later = START.plus(MINUTE * 2);
    for (name, seen) in [
        ("began too early", covered(since, START.minus(MINUTE))),
        ("looked at less", covered(since.plus(MINUTE), START.plus(MINUTE))),
    ] {
        let run = ended(&the_gap(store).await, seen, later);
        assert!(!store.close_gap(run).await.unwrap(), "{name}");
        let gap = the_gap(store).await;
        assert_eq!((gap.next_at, gap.failed, gap.run), (later, 0, Some(7)), "{name}");
    }
    let run = ended(&the_gap(store).await, covered(since, START), later);
    assert!(store.close_gap(run.clone()).await.unwrap());
    assert!(store.gaps().await.unwrap().is_empty());
    assert!(!store.close_gap(run).await.unwrap(), "it is closed");
    // The next one of the same object is another one.
    let next = store.open_gap(new_gap(START, later), later).await.unwrap();
    assert_ne!(next, id);
}

pub(super) async fn a_gap_that_was_widened_during_a_run_stays_open(fixture: Fixture) {
    let store = &fixture.store;
    let (since, later) = (START.minus(MINUTE * 10), START.plus(MINUTE * 5));
    for (name, widened) in [
        ("an earlier time", new_gap(since.minus(MINUTE), START)),
        ("events came again later", new_gap(since, START.plus(MINUTE))),
    ] {
        let id = store.open_gap(new_gap(since, START), START).await.unwrap();
        let gap = the_gap(store).await;
        assert_eq!(
            store.open_gap(widened.clone(), later).await.unwrap(),
            id,
            "{name}: one gap"
        );
        let covered = Covered {
            since,
            stood_until: START,
        };
        let run = ended(&gap, Some(covered), later.plus(MINUTE * 60));
        assert!(!store.close_gap(run).await.unwrap(), "{name}");
        let now = the_gap(store).await;
        assert_eq!(
            (now.since, now.stood_at),
            (widened.since, widened.stood_at),
            "{name}"
        );
        assert_eq!(now.next_at, later, "{name}: the next run is due at once");
        let covered = Covered {
            since: widened.since,
            stood_until: widened.stood_at,
        };
        let run = ended(&now, Some(covered), later);
        assert!(store.close_gap(run).await.unwrap(), "{name}");
    }
    // What is narrower changes nothing.
    store.open_gap(new_gap(since, START), START).await.unwrap();
    store
        .open_gap(new_gap(since.plus(MINUTE), START.minus(MINUTE)), later)
        .await
        .unwrap();
    let gap = the_gap(store).await;
    assert_eq!((gap.since, gap.stood_at, gap.next_at), (since, START, later));
}

pub(super) async fn a_run_that_fails_puts_the_next_one_off(fixture: Fixture) {
    let store = &fixture.store;
    store
        .open_gap(new_gap(START.minus(MINUTE), START), START)
        .await
        .unwrap();
    for n in 1..=3 {
        let next = START.plus(MINUTE * n);
        let run = ended(&the_gap(store).await, None, next);
        assert!(!store.close_gap(run).await.unwrap());
        let gap = the_gap(store).await;
        assert_eq!((gap.failed, gap.next_at), (n, next));
    }
    // A gap of another object or shop is another one.
    let customers = NewGap {
        object: Object::Customer,
        ..new_gap(START, START)
    };
    let theirs = NewGap {
        shop: other_shop(),
        ..new_gap(START, START)
    };
    store.open_gap(customers, START).await.unwrap();
    store.open_gap(theirs, START).await.unwrap();
    assert_eq!(store.gaps().await.unwrap().len(), 3);
}

pub(super) async fn what_is_over_is_forgotten_in_time(fixture: Fixture) {
    let store = &fixture.store;
    for object in [Object::Order, Object::Product] {
        let run = store.start_run(new_run(object, START)).await.unwrap().unwrap();
        if object == Object::Order {
            store
                .finish_run(run, RunOutcome::Done, None, Vec::new(), START)
                .await
                .unwrap();
        }
        let gap = NewGap {
            object,
            ..new_gap(START, START)
        };
        store.open_gap(gap, START).await.unwrap();
    }
    let orders = store.gaps().await.unwrap().remove(0);
    let covered = Covered {
        since: START,
        stood_until: START,
    };
    assert!(
        store
            .close_gap(ended(&orders, Some(covered), START))
            .await
            .unwrap()
    );
    assert_eq!(store.prune(START, 100).await.unwrap(), 0, "not yet");
    assert_eq!(store.prune(START.plus(MINUTE), 100).await.unwrap(), 2);
    assert_eq!(store.prune(START.plus(MINUTE), 100).await.unwrap(), 0);
    // What is under way, or open, stays.
    let runs = store.runs(10).await.unwrap();
    assert_eq!((runs.len(), runs[0].object), (1, Object::Product));
    assert_eq!(the_gap(store).await.object, Object::Product);
}

pub(super) async fn the_time_is_one_for_all_nodes(fixture: Fixture) {
    let store = &fixture.store;
    // A node whose clock is a day off learns the same time as one whose clock is right, if the database has a clock.
    let (right, wrong) = (START, START.minus(24 * 60 * MINUTE));
    let (first, second) = (store.time(right).await.unwrap(), store.time(wrong).await.unwrap());
    if fixture.is_postgres() {
        assert!(
            second >= first && second.since(first) < MINUTE,
            "{first} {second}"
        );
    } else {
        assert_eq!((first, second), (right, wrong));
    }
}
