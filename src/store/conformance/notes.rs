//! Retention of what full runs note.

use std::time::Duration;

use super::fixture::Fixture;
use super::given::{START, new_job, order, shop};

const DAY: Duration = Duration::from_secs(24 * 3600);

pub(super) async fn old_notes_of_full_runs_go_and_other_positions_stay(fixture: Fixture) {
    let store = &fixture.store;
    // The job of a stock level that a person gave up, and one that was deleted.
    let job = store.enqueue(new_job(&order("1"), START)).await.unwrap().job;
    let level = |job: i64| format!("{:016x} {job}", 7);
    for (name, value) in [
        ("full:told:order:1", "00000000000000aa 2 1".to_owned()),
        ("full:told:inventory:2:available", level(job.0)),
        ("full:told:inventory:3:available", level(job.0 + 1)),
        ("full:told:inventory:4:available", String::new()),
        ("full:asked:product:out:5", level(job.0)),
        ("full:asked:product:out:6", level(job.0 + 1)),
        ("full:lost:payment:7", "7 cancel 1".to_owned()),
        ("full:order", "{}".to_owned()),
        ("full:out:order", "2026-11-20T00:00:00Z".to_owned()),
    ] {
        store.set_cursor(&shop(), name, &value, START).await.unwrap();
    }
    let later = START.plus(DAY);
    store
        .set_cursor(&shop(), "full:told:order:5", "00000000000000aa 2 1", later)
        .await
        .unwrap();
    let prune = async |at| {
        let mut count = 0;
        loop {
            let deleted = store.prune(at, 2).await.unwrap();
            if deleted == 0 {
                return count;
            }
            count += deleted;
        }
    };
    assert_eq!(
        prune(START.plus(DAY * 30)).await,
        0,
        "what was told is told again after thirty days"
    );
    assert_eq!(prune(later.plus(DAY * 30)).await, 4);
    let mut left = Vec::new();
    for name in [
        "full:told:order:1",
        "full:told:order:5",
        "full:told:inventory:2:available",
        "full:told:inventory:3:available",
        "full:told:inventory:4:available",
        "full:asked:product:out:5",
        "full:asked:product:out:6",
        "full:lost:payment:7",
        "full:order",
        "full:out:order",
    ] {
        if store.cursor(&shop(), name).await.unwrap().is_some() {
            left.push(name);
        }
    }
    let expected = [
        "full:told:order:5",
        "full:told:inventory:2:available",
        "full:asked:product:out:5",
        "full:lost:payment:7",
        "full:order",
        "full:out:order",
    ];
    assert_eq!(left, expected);
}
