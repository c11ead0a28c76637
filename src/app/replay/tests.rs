//! Which records a time names.

use super::*;
use crate::domain::{Actor, Clock as _, Priority, SystemClock, Via};
use crate::store::testing::open_temp;
use crate::store::{Act, Action, NewJob};

#[tokio::test]
async fn each_record_of_a_time_is_named_once_however_many_pages_its_jobs_take() {
    let (_folder, store) = open_temp(Arc::new(SystemClock)).await;
    let shop: ShopName = "main".parse().unwrap();
    let noon = Timestamp::parse_rfc3339("2026-11-25T12:00:00Z").unwrap();
    let after = |minutes: u64| noon.plus(std::time::Duration::from_secs(minutes * 60));
    let enqueue = async |id: u64| {
        let job = NewJob {
            key: JobKey {
                shop: shop.clone(),
                object: Object::Customer,
                direction: Direction::In,
                source_id: id.to_string(),
            },
            priority: Priority::LIVE,
            now: after(60 * id),
            cause: "test".to_owned(),
        };
        store.enqueue(job).await.unwrap().job
    };
    for id in 1..=7 {
        let job = enqueue(id).await;
        if id == 4 {
            // It is over, and another one comes.
            let act = Act {
                actor: Actor::new("anna", Via::Cli),
                reason: None,
                at: after(60 * id),
                action: Action::Discard { job },
            };
            store.act(act).await.unwrap();
            enqueue(id).await;
        }
    }
    let wanted = |limit| Replay {
        since: after(150),
        until: Some(after(390)),
        object: None,
        mappings: None,
        limit,
    };
    let ids = |named: &Named| -> Vec<String> {
        let records = named.records.iter();
        records.map(|(key, _)| key.source_id.clone()).collect()
    };
    let all = named(&store, &shop, &wanted(4)).await.unwrap();
    assert_eq!(
        (ids(&all), all.is_limited),
        (["6", "5", "4", "3"].map(str::to_owned).into(), false)
    );
    let some = named(&store, &shop, &wanted(3)).await.unwrap();
    assert_eq!(
        (ids(&some), some.is_limited),
        (["6", "5", "4"].map(str::to_owned).into(), true)
    );
}

#[tokio::test]
async fn what_there_is_no_plan_of_is_passed_by_and_told() {
    let (_folder, store) = open_temp(Arc::new(SystemClock)).await;
    let shop: ShopName = "main".parse().unwrap();
    let now = SystemClock.now();
    for (object, direction, source_id) in [
        (Object::Inventory, Direction::In, "77"),
        (Object::Inventory, Direction::In, "78"),
        (Object::Customer, Direction::In, "guest_1"),
        (Object::Customer, Direction::In, "7"),
        (Object::Inventory, Direction::Out, "9"),
        (Object::Shop, Direction::In, "1"),
    ] {
        let job = NewJob {
            key: JobKey {
                shop: shop.clone(),
                object,
                direction,
                source_id: source_id.to_owned(),
            },
            priority: Priority::LIVE,
            now,
            cause: "test".to_owned(),
        };
        store.enqueue(job).await.unwrap();
    }
    let wanted = Replay {
        since: now.minus(std::time::Duration::from_secs(3600)),
        until: None,
        object: None,
        mappings: None,
        limit: 2,
    };
    let named = named(&store, &shop, &wanted).await.unwrap();
    assert!(!named.is_limited, "what is passed by counts nothing");
    let planned: BTreeSet<String> = named
        .records
        .iter()
        .map(|(key, planned)| format!("{} {planned:?}", key.object))
        .collect();
    let expected = ["customer In(ShopifyId(7))", "inventory Out(ErpId(9))"];
    assert_eq!(planned, BTreeSet::from(expected.map(str::to_owned)));
    let passed: Vec<(String, u64)> = named
        .passed_by
        .told()
        .into_iter()
        .map(|count| (count.what, count.records))
        .collect();
    assert_eq!(
        passed,
        [("inventory.in".to_owned(), 2), ("customer.in".to_owned(), 1)]
    );
}
