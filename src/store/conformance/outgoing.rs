//! Writes to the shop that are noted before they are sent, and what orders in work sell.

use std::time::Duration;

use serde_json::json;

use super::fixture::Fixture;
use super::given::{START, claim_one, end, key, link, new_job, order, other_shop, shop};
use crate::domain::{Fence, LinkKind, LinkState, Object};
use crate::store::{NewIntent, Verdict};

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(86_400);

fn intent(name: &str) -> NewIntent {
    NewIntent {
        kind: "set_quantities".to_owned(),
        key: name.to_owned(),
        payload: json!({ "quantity": 4, "from": null }),
    }
}

pub(super) async fn a_write_is_noted_under_the_fence_and_outlives_its_job(fixture: Fixture) {
    let store = &fixture.store;
    let (stock, other) = (key(Object::Inventory, "7"), key(Object::Inventory, "8"));
    for key in [&stock, &other] {
        store.enqueue(new_job(key, START)).await.unwrap();
    }
    let job = claim_one(store, Object::Inventory, START).await;
    assert_eq!(job.key, stock);
    let stale = Fence(job.fence.0 + 1);
    let opened = store
        .open_intent(job.id, stale, intent("a"), START)
        .await
        .unwrap();
    assert_eq!(opened, None);
    assert!(store.open_intents(&stock).await.unwrap().is_empty());

    let first = store
        .open_intent(job.id, job.fence, intent("a"), START)
        .await
        .unwrap();
    let second = store
        .open_intent(job.id, job.fence, intent("b"), START.plus(SECOND))
        .await
        .unwrap();
    let open = store.open_intents(&stock).await.unwrap();
    assert_eq!(
        open.iter().map(|intent| intent.key.as_str()).collect::<Vec<_>>(),
        ["a", "b"]
    );
    assert_eq!((Some(open[0].id), Some(open[1].id)), (first, second));
    assert_eq!(open[0].payload, intent("a").payload);
    assert_eq!(open[1].created_at, START.plus(SECOND));
    assert!(
        store.open_intents(&other).await.unwrap().is_empty(),
        "another record's"
    );

    // The same key twice would let one answer stand for two writes.
    store
        .open_intent(job.id, job.fence, intent("a"), START)
        .await
        .unwrap_err();

    assert!(
        !store
            .close_intent(job.id, stale, open[0].id, START)
            .await
            .unwrap()
    );
    assert_eq!(store.open_intents(&stock).await.unwrap().len(), 2);
    assert!(
        store
            .close_intent(job.id, job.fence, open[0].id, START)
            .await
            .unwrap()
    );
    store
        .finish(end(&job, START.plus(SECOND), Verdict::Completed))
        .await
        .unwrap();

    // The next job of the record finds what the one before left open, even when that is gone.
    let later = START.plus(DAY * 40);
    while store.prune(later, 100).await.unwrap() > 0 {}
    let left = store.open_intents(&stock).await.unwrap();
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].key, "b");
}

pub(super) async fn an_order_in_work_is_found_by_what_it_sells(fixture: Fixture) {
    let store = &fixture.store;
    let in_work = |item: &'static str| async move { store.order_in_work(&shop(), item).await.unwrap() };
    assert_eq!(in_work("11").await, None);

    store.enqueue(new_job(&order("1"), START)).await.unwrap();
    let job = claim_one(store, Object::Order, START).await;
    assert_eq!(
        in_work("11").await,
        Some(job.id),
        "nobody knows yet what it sells"
    );
    assert_eq!(store.order_in_work(&other_shop(), "11").await.unwrap(), None);

    let items = |items: &[&str]| items.iter().map(|item| (*item).to_owned()).collect::<Vec<_>>();
    let stale = Fence(job.fence.0 + 1);
    assert!(!store.note_items(job.id, stale, items(&["11"])).await.unwrap());
    assert_eq!(in_work("13").await, Some(job.id));
    for _ in 0..2 {
        let noted = store
            .note_items(job.id, job.fence, items(&["11", "12", "11"]))
            .await;
        assert!(noted.unwrap());
    }
    assert_eq!(in_work("11").await, Some(job.id));
    assert_eq!(in_work("12").await, Some(job.id));
    assert_eq!(in_work("13").await, None);

    // It stays in work while a person is needed, and no longer when it was carried out.
    store
        .finish(end(
            &job,
            START.plus(SECOND),
            Verdict::Problem(super::given::problem("x")),
        ))
        .await
        .unwrap();
    assert_eq!(in_work("11").await, Some(job.id));
    store.retry(job.id, START.plus(SECOND)).await.unwrap();
    let job = claim_one(store, Object::Order, START.plus(SECOND)).await;
    store
        .finish(end(&job, START.plus(SECOND * 2), Verdict::Completed))
        .await
        .unwrap();
    assert_eq!(in_work("11").await, None);

    // One that could not even be read waits for a person: it holds nothing else up.
    store.enqueue(new_job(&order("3"), START)).await.unwrap();
    let job = claim_one(store, Object::Order, START.plus(SECOND * 2)).await;
    assert_eq!(in_work("11").await, Some(job.id));
    let unread = Verdict::Problem(super::given::problem("y"));
    store
        .finish(end(&job, START.plus(SECOND * 2), unread))
        .await
        .unwrap();
    assert_eq!(in_work("11").await, None);

    // An order that sells nothing of the shop's catalogue holds nothing up, but must say so.
    store.enqueue(new_job(&order("2"), START)).await.unwrap();
    let job = claim_one(store, Object::Order, START.plus(SECOND * 2)).await;
    assert_eq!(in_work("11").await, Some(job.id));
    store
        .note_items(job.id, job.fence, items(&["none"]))
        .await
        .unwrap();
    assert_eq!(in_work("11").await, None);

    while store.prune(START.plus(DAY * 40), 100).await.unwrap() > 0 {}
    assert_eq!(in_work("11").await, None);
}

pub(super) async fn writes_to_the_shop_are_counted_by_record(fixture: Fixture) {
    let store = &fixture.store;
    let note = |record: &'static str, at| async move {
        store
            .note_out_write(&shop(), Object::Product, "write", record, at)
            .await
            .unwrap();
    };
    let since = |but: &'static str, at| async move {
        store
            .out_writes_since(&shop(), Object::Product, "write", but, at)
            .await
            .unwrap()
    };
    for (record, at) in [
        ("1", START),
        ("2", START.plus(SECOND)),
        ("1", START.plus(SECOND * 5)),
    ] {
        note(record, at).await;
    }
    assert_eq!(since("", START).await, 2, "a record counts once");
    assert_eq!(since("", START.plus(SECOND * 2)).await, 1, "by its last write");
    assert_eq!(since("1", START).await, 1);
    let other = store
        .out_writes_since(&other_shop(), Object::Product, "write", "", START)
        .await;
    assert_eq!(other.unwrap(), 0);
    for (object, kind) in [(Object::Customer, "write"), (Object::Product, "zero")] {
        let count = store.out_writes_since(&shop(), object, kind, "", START).await;
        assert_eq!(count.unwrap(), 0, "{object} {kind}");
    }
    while store.prune(START.plus(DAY * 40), 1).await.unwrap() > 0 {}
    assert_eq!(since("", START).await, 0);

    store.enqueue(new_job(&order("1"), START)).await.unwrap();
    let job = claim_one(store, Object::Order, START).await;
    let mut gone = link(LinkKind::Product, "3", 30);
    gone.state = LinkState::Retired;
    let links = vec![
        link(LinkKind::Product, "1", 10),
        link(LinkKind::Product, "2", 20),
        gone,
    ];
    store.save_links(job.id, job.fence, links).await.unwrap();
    assert_eq!(store.count_links(&shop(), LinkKind::Product).await.unwrap(), 2);
    assert_eq!(store.count_links(&shop(), LinkKind::Variant).await.unwrap(), 0);
}
