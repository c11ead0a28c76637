//! Which revision of the mappings wrote what.

use std::time::Duration;

use serde_json::{Value, json};

use super::fixture::Fixture;
use super::given::{START, end, link, new_job, record, shop};
use crate::domain::{Direction, JobId, JobKey, Link, LinkKind, Object, Timestamp};
use crate::store::{Claim, Finish, Lane, SharedStore, Verdict, WrittenFilter, WrittenRecord};

fn note(mapping: &str, object: Object, source: &str, hash: &str) -> Value {
    json!({ "what": "writes", "mapping": mapping, "of": { "object": object, "source": source },
            "values": [{ "field": "name", "hash": hash }] })
}

/// Has an attempt at a job of this record end with this story.
async fn attempt(
    store: &SharedStore,
    record: (Object, Direction, &str),
    at: Timestamp,
    story: Value,
) -> JobId {
    attempt_linking(store, record, at, story, Vec::new()).await
}

async fn attempt_linking(
    store: &SharedStore,
    (object, direction, id): (Object, Direction, &str),
    at: Timestamp,
    story: Value,
    links: Vec<Link>,
) -> JobId {
    let key = JobKey {
        shop: shop(),
        object,
        direction,
        source_id: id.to_owned(),
    };
    store.enqueue(new_job(&key, at)).await.unwrap();
    let claim = Claim {
        node: "one".to_owned(),
        lanes: vec![(Lane::of(&key), 1)],
        now: at,
        lease: Duration::from_secs(60),
    };
    let claimed = store.claim(claim).await.unwrap().remove(0);
    let end = Finish {
        detail: story,
        links,
        ..end(&claimed, at, Verdict::Completed)
    };
    store.finish(end).await.unwrap();
    claimed.id
}

async fn written(store: &SharedStore, mapping: &str) -> Vec<WrittenRecord> {
    store.written_records(of(mapping), 100).await.unwrap()
}

fn of(mapping: &str) -> WrittenFilter {
    WrittenFilter {
        shop: shop(),
        mapping: mapping.to_owned(),
        object: None,
        except: None,
        stories: 50,
        after: None,
    }
}

fn names(records: &[WrittenRecord]) -> Vec<String> {
    records
        .iter()
        .map(|record| format!("{}.{} {}", record.object, record.direction, record.source_id))
        .collect()
}

pub(super) async fn what_a_mapping_wrote_is_found_by_its_revision_page_by_page(fixture: Fixture) {
    let store = &fixture.store;
    let later = |seconds| START.plus(Duration::from_secs(seconds));
    let customer = (Object::Customer, Direction::In, "7");
    let first = json!([{ "what": "said \0 and \\u0000" }, note("m1", Object::Customer, "7", "a")]);
    attempt(store, customer, later(1), first.clone()).await;
    // An order makes its buyer; and what is no write, or no story at all, is none.
    let order = json!([
        note("m1", Object::Order, "1", "o"),
        note("m1", Object::Customer, "guest_ü", "g"),
        5,
        "mapping"
    ]);
    attempt(store, (Object::Order, Direction::In, "1"), later(2), order).await;
    attempt(
        store,
        (Object::Customer, Direction::In, "9"),
        later(3),
        json!({ "mapping": "m1" }),
    )
    .await;
    attempt(
        store,
        (Object::Customer, Direction::In, "9"),
        later(4),
        Value::Null,
    )
    .await;
    let second = json!([
        note("m1", Object::Customer, "7", "b"),
        note("m2", Object::Customer, "7", "c")
    ]);
    attempt(store, customer, later(5), second.clone()).await;
    let back = json!([note("m1", Object::Customer, "7", "d")]);
    attempt(store, (Object::Customer, Direction::Out, "7"), later(6), back).await;

    assert_eq!(store.mappings_that_wrote(&shop()).await.unwrap(), ["m1", "m2"]);
    let all = written(store, "m1").await;
    let expected = [
        "customer.in 7",
        "customer.in guest_ü",
        "order.in 1",
        "customer.out 7",
    ];
    assert_eq!(names(&all), expected);
    // The newest story first, each once.
    assert_eq!(all[0].stories, [(later(5), second), (later(1), first)]);
    assert_eq!(names(&written(store, "m2").await), ["customer.in 7"]);
    assert!(written(store, "m").await.is_empty(), "by its whole name");

    let mut paged = Vec::new();
    let mut filter = of("m1");
    loop {
        let page = store.written_records(filter.clone(), 1).await.unwrap();
        let Some(last) = page.last() else { break };
        filter.after = Some(last.place());
        paged.extend(names(&page));
    }
    assert_eq!(paged, expected);
    let orders = WrittenFilter {
        object: Some(Object::Order),
        ..of("m1")
    };
    assert_eq!(store.written_count(orders.clone()).await.unwrap(), 1);
    assert_eq!(
        names(&store.written_records(orders, 9).await.unwrap()),
        ["order.in 1"]
    );
    let others = WrittenFilter {
        except: Some(Object::Customer),
        ..of("m1")
    };
    assert_eq!(store.written_count(others.clone()).await.unwrap(), 1);
    assert_eq!(
        names(&store.written_records(others, 9).await.unwrap()),
        ["order.in 1"]
    );
    // Each record once, however often it was written.
    let all = WrittenFilter {
        after: Some(all[1].place()),
        ..of("m1")
    };
    assert_eq!(store.written_count(all).await.unwrap(), 4);
}

pub(super) async fn what_is_removed_or_pruned_was_written_by_none(fixture: Fixture) {
    let store = &fixture.store;
    let at = |seconds| START.plus(Duration::from_secs(seconds));
    let story = |id: &str| json!([note("m1", Object::Customer, id, "a")]);
    let customer = |id| (Object::Customer, Direction::In, id);
    let linked = vec![link(LinkKind::Customer, "7", 42)];
    attempt_linking(store, customer("7"), at(1), story("7"), linked).await;
    attempt(store, customer("8"), at(2), story("8")).await;
    // The same customer on the way back, and somebody else's number there.
    let back = attempt(
        store,
        (Object::Customer, Direction::Out, "42"),
        at(3),
        story("42"),
    )
    .await;
    attempt(store, (Object::Customer, Direction::Out, "7"), at(4), story("7")).await;
    let mark = "resync:out:customer:42";
    store.set_cursor(&shop(), mark, "hashes", START).await.unwrap();
    store
        .redact(&shop(), &[record("customer", "7")], START)
        .await
        .unwrap();
    assert_eq!(
        names(&written(store, "m1").await),
        ["customer.in 8", "customer.out 7"]
    );
    let story = store.job(back).await.unwrap().unwrap();
    assert_eq!(
        story.attempts[0].detail,
        Value::Null,
        "values are removed there, too"
    );
    let mark = store.cursor(&shop(), mark).await.unwrap();
    assert_eq!(mark.unwrap_or_default(), "");
    let late = START.plus(Duration::from_hours(24 * 365));
    while store.prune(late, 100).await.unwrap() > 0 {}
    assert!(written(store, "m1").await.is_empty());
    assert!(store.mappings_that_wrote(&shop()).await.unwrap().is_empty());
}

pub(super) async fn of_a_record_only_the_newest_stories_are_told(fixture: Fixture) {
    let store = &fixture.store;
    for n in 0..4 {
        let story = json!([note("m1", Object::Customer, "7", &n.to_string())]);
        let at = START.plus(Duration::from_secs(n));
        attempt(store, (Object::Customer, Direction::In, "7"), at, story).await;
    }
    for (stories, has_older) in [(3, true), (4, false)] {
        let filter = WrittenFilter { stories, ..of("m1") };
        let told = store.written_records(filter, 9).await.unwrap().remove(0);
        assert_eq!(
            (told.stories.len(), told.has_older),
            (stories as usize, has_older)
        );
        let newest = &told.stories[0].1;
        assert_eq!(newest[0]["values"][0]["hash"], "3", "the first ones are left out");
    }
}
