//! Polling: cursor, what was seen, what was there, and the jobs that follow.

use std::time::Duration;

use super::fixture::Fixture;
use super::given::{START, other_shop, shop};
use crate::domain::{Direction, ErpId, JobKey, Object, Priority, Timestamp};
use crate::store::{
    JobFilter, NewJob, NodeFile, PollCommit, PollCommitted, PollCursor, PollForget, PollForgotten, PresentId,
    PresentPage, SeenRow, SharedStore, TakenUp,
};

const MODEL: &str = "res.partner";
const LEASE: &str = "poll/main/res.partner";

fn at(seconds: u64) -> Timestamp {
    START.plus(Duration::from_secs(seconds))
}

fn job(id: i64) -> NewJob {
    NewJob {
        key: JobKey {
            shop: shop(),
            object: Object::Customer,
            direction: Direction::Out,
            source_id: id.to_string(),
        },
        priority: Priority::LIVE,
        now: START,
        cause: "poll".to_owned(),
    }
}

fn seen(id: i64, written: u64) -> SeenRow {
    SeenRow {
        id: ErpId(id),
        written_at: at(written),
        hash: format!("h{id}"),
        is_settled: id % 2 == 0,
        first_at: at(written + 1),
    }
}

fn commit(until: Option<u64>) -> PollCommit {
    PollCommit {
        shop: shop(),
        model: MODEL.to_owned(),
        lease: (LEASE.to_owned(), "a".to_owned()),
        until: until.map(at),
        seen: Vec::new(),
        present: None,
        noted: Vec::new(),
        jobs: Vec::new(),
        now: START,
    }
}

async fn holding(fixture: &Fixture) -> &SharedStore {
    let held = fixture.store.take_lease(LEASE, "a", START, at(60)).await;
    assert!(held.unwrap());
    &fixture.store
}

async fn jobs(store: &SharedStore) -> Vec<String> {
    let rows = store.jobs(JobFilter::default()).await.unwrap();
    let mut ids: Vec<String> = rows.into_iter().map(|row| row.key.source_id).collect();
    ids.sort();
    ids
}

pub(super) async fn a_poll_is_saved_with_its_jobs_or_not_at_all(fixture: Fixture) {
    let store = holding(&fixture).await;
    assert_eq!(store.poll_cursor(&shop(), MODEL).await.unwrap(), None);
    let first = PollCommit {
        seen: vec![seen(1, 5), seen(2, 6)],
        jobs: vec![job(1), job(2), job(1)],
        ..commit(None)
    };
    let made = store.commit_poll(first.clone()).await.unwrap();
    assert_eq!(made, PollCommitted::Done { made: 2 });
    assert_eq!(
        store.poll_cursor(&shop(), MODEL).await.unwrap(),
        None,
        "not the last page"
    );
    let again = store
        .commit_poll(PollCommit {
            until: Some(at(3)),
            ..first
        })
        .await;
    assert_eq!(again.unwrap(), PollCommitted::Done { made: 0 });
    let cursor = store.poll_cursor(&shop(), MODEL).await.unwrap();
    let expected = PollCursor {
        until: at(3),
        swept_at: None,
    };
    assert_eq!(cursor, Some(expected));
    assert_eq!(jobs(store).await, ["1", "2"]);
    // Others are not concerned, and a crash takes nothing back.
    assert_eq!(store.poll_cursor(&other_shop(), MODEL).await.unwrap(), None);
    assert_eq!(store.poll_cursor(&shop(), "other").await.unwrap(), None);
    let fixture = fixture.crash().await;
    assert_eq!(
        fixture.store.poll_cursor(&shop(), MODEL).await.unwrap(),
        Some(expected)
    );
    assert_eq!(jobs(&fixture.store).await, ["1", "2"]);
}

pub(super) async fn what_was_seen_is_kept_as_long_as_its_window(fixture: Fixture) {
    let store = holding(&fixture).await;
    let all: Vec<SeenRow> = (1..=1_200)
        .map(|id| seen(id, u64::try_from(id).unwrap()))
        .collect();
    let step = PollCommit {
        seen: all.clone(),
        ..commit(Some(0))
    };
    store.commit_poll(step).await.unwrap();
    let found = store
        .poll_seen(&shop(), MODEL, &[ErpId(7), ErpId(1_200), ErpId(5_000)])
        .await;
    let mut found = found.unwrap();
    found.sort_by_key(|row| row.id);
    assert_eq!(found, [seen(7, 7), seen(1_200, 1_200)]);
    assert_eq!(store.poll_seen(&shop(), MODEL, &[]).await.unwrap(), []);
    // It was written again: the row is replaced.
    let step = PollCommit {
        seen: vec![seen(3, 2_000)],
        ..commit(Some(1_000))
    };
    store.commit_poll(step).await.unwrap();
    let ids = [3, 999, 1_000].map(ErpId);
    let mut left = store.poll_seen(&shop(), MODEL, &ids).await.unwrap();
    left.sort_by_key(|row| row.id);
    assert_eq!(left, [seen(3, 2_000), seen(1_000, 1_000)]);
}

pub(super) async fn listed_ids_are_replaced_page_by_page(fixture: Fixture) {
    let store = holding(&fixture).await;
    let row = |id, active| PresentId {
        id: ErpId(id),
        owner: (id == 2).then_some(ErpId(1)),
        active,
    };
    let page = |after: Option<i64>, upto: Option<i64>, rows: &[PresentId]| PollCommit {
        present: Some(PresentPage {
            after: after.map(ErpId),
            upto: upto.map(ErpId),
            rows: rows.to_vec(),
        }),
        ..commit(None)
    };
    let listed = async |after: Option<i64>, upto: Option<i64>| {
        store
            .poll_present(&shop(), MODEL, after.map(ErpId), upto.map(ErpId))
            .await
            .unwrap()
    };
    store.commit_poll(commit(Some(0))).await.unwrap();
    let first = page(None, Some(2), &[row(1, true), row(2, false)]);
    store.commit_poll(first).await.unwrap();
    let swept = async || store.poll_cursor(&shop(), MODEL).await.unwrap().unwrap().swept_at;
    assert_eq!(swept().await, None, "not the last page");
    let last = page(Some(2), None, &[row(5, true), row(9, true)]);
    store.commit_poll(last).await.unwrap();
    assert_eq!(swept().await, Some(START));
    assert_eq!(listed(Some(1), Some(5)).await, [row(2, false), row(5, true)]);
    store
        .commit_poll(page(Some(2), None, &[row(7, false)]))
        .await
        .unwrap();
    assert_eq!(
        listed(None, None).await,
        [row(1, true), row(2, false), row(7, false)]
    );
    // What a poll finds meanwhile; that it moved is left to the next list.
    let moved = PresentId {
        owner: Some(ErpId(9)),
        ..row(2, true)
    };
    let noted = PollCommit {
        noted: vec![moved, row(8, true), row(8, true)],
        ..commit(None)
    };
    store.commit_poll(noted).await.unwrap();
    assert_eq!(
        listed(Some(1), None).await,
        [row(2, true), row(7, false), row(8, true)]
    );
}

pub(super) async fn a_poll_without_its_right_saves_nothing(fixture: Fixture) {
    let store = &fixture.store;
    let step = || PollCommit {
        seen: vec![seen(1, 1)],
        jobs: vec![job(1)],
        ..commit(Some(1))
    };
    let stale = async || {
        assert_eq!(store.commit_poll(step()).await.unwrap(), PollCommitted::Stale);
        assert_eq!(store.poll_cursor(&shop(), MODEL).await.unwrap(), None);
        assert_eq!(store.poll_seen(&shop(), MODEL, &[ErpId(1)]).await.unwrap(), []);
        assert!(jobs(store).await.is_empty());
    };
    stale().await;
    assert!(store.take_lease(LEASE, "b", START, at(60)).await.unwrap());
    stale().await;
    store.release_lease(LEASE, "b").await.unwrap();
    assert!(store.take_lease(LEASE, "a", at(60), at(120)).await.unwrap());
    assert_eq!(
        store.commit_poll(step()).await.unwrap(),
        PollCommitted::Done { made: 1 }
    );
}

/// The number of a configuration that was saved just now.
async fn saved(store: &SharedStore, hash: &str) -> i64 {
    let file = NodeFile {
        node: "one".to_owned(),
        hash: hash.to_owned(),
        summary: String::new(),
        toggles: serde_json::json!({}),
    };
    let standing = store.config_revision(file, TakenUp::Saved, START).await;
    standing.unwrap().own
}

fn forget(revision: i64) -> PollForget {
    PollForget {
        shop: shop(),
        model: MODEL.to_owned(),
        lease: (LEASE.to_owned(), "a".to_owned()),
        revision,
    }
}

pub(super) async fn a_poll_that_is_forgotten_begins_anew(fixture: Fixture) {
    let store = holding(&fixture).await;
    let off = saved(store, "off").await;
    let forgotten = async || store.forget_poll(forget(off)).await.unwrap();
    assert_eq!(forgotten().await, PollForgotten::Done { was_known: false });
    let step = PollCommit {
        seen: vec![seen(1, 1)],
        present: Some(PresentPage {
            after: None,
            upto: None,
            rows: vec![PresentId {
                id: ErpId(1),
                owner: None,
                active: true,
            }],
        }),
        ..commit(Some(1))
    };
    store.commit_poll(step).await.unwrap();
    assert_eq!(forgotten().await, PollForgotten::Done { was_known: true });
    assert_eq!(store.poll_cursor(&shop(), MODEL).await.unwrap(), None);
    assert_eq!(store.poll_seen(&shop(), MODEL, &[ErpId(1)]).await.unwrap(), []);
    assert_eq!(store.poll_present(&shop(), MODEL, None, None).await.unwrap(), []);
}

pub(super) async fn what_is_followed_anew_is_not_forgotten_by_who_comes_late(fixture: Fixture) {
    let store = holding(&fixture).await;
    let stale = async |forget: PollForget, why: &str| {
        let step = PollCommit {
            seen: vec![seen(1, 1)],
            ..commit(Some(1))
        };
        store.commit_poll(step).await.unwrap();
        let forgotten = store.forget_poll(forget).await.unwrap();
        assert_eq!(forgotten, PollForgotten::Stale, "{why}");
        let cursor = store.poll_cursor(&shop(), MODEL).await.unwrap();
        assert_eq!(cursor.map(|cursor| cursor.until), Some(at(1)), "{why}");
        let seen = store.poll_seen(&shop(), MODEL, &[ErpId(1)]).await.unwrap();
        assert_eq!(seen.len(), 1, "{why}");
    };
    stale(forget(1), "no configuration is known").await;
    let off = saved(store, "off").await;
    let on = saved(store, "on").await;
    stale(forget(off), "it was switched on again").await;
    let other = PollForget {
        lease: (LEASE.to_owned(), "b".to_owned()),
        ..forget(on)
    };
    stale(other, "another node has the right").await;
    // Off as before is a configuration of its own.
    let again = saved(store, "off").await;
    stale(forget(off), "an off of before").await;
    assert_eq!(
        store.forget_poll(forget(again)).await.unwrap(),
        PollForgotten::Done { was_known: true }
    );
}
