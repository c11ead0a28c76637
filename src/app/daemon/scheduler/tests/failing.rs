//! Runs that fail, are lost, or cannot keep the right to be made.

use super::*;
use crate::domain::NewProblem;
use crate::store::faulty::{FaultyStore, StoreFault};

#[tokio::test]
async fn a_run_that_fails_is_tried_again_until_a_person_is_told() {
    let world = World::new("2026-11-20T12:00:00Z", &[("main", &orders("0 3 * * *"))]).await;
    let node = world.node("one");
    work(&node).await;
    world.next((0..6).map(|_| Does::Fails));
    let problems = async || world.store.open_problems(10).await.unwrap();
    let mut made = 0;
    for _ in 0..2 * 24 * 12 {
        world.clock.advance(5 * MINUTE);
        work(&node).await;
        made += world.made().len();
        if made == 5 {
            assert_eq!(problems().await.len(), 0, "it may still succeed");
        }
        if made == 6 {
            break;
        }
    }
    assert_eq!(made, 6, "as often as it is tried within a day");
    let told = problems().await;
    assert_eq!(told.len(), 1);
    assert!(told[0].problem.reason.contains("table links"), "{told:?}");
    let standing = read(&world.store, &"main".parse().unwrap(), Object::Order).await;
    let last = standing.unwrap().unwrap().last.unwrap();
    assert_eq!(last.outcome, Some(RunOutcome::Failed));

    // The next night it succeeds.
    for _ in 0..24 * 12 {
        world.clock.advance(5 * MINUTE);
        work(&node).await;
    }
    assert_eq!((world.made().len(), problems().await.len()), (1, 0));
}

#[tokio::test]
async fn what_was_told_is_taken_back_even_where_a_note_of_it_was_lost() {
    let world = World::new("2026-11-20T12:00:00Z", &[("main", &orders("0 3 * * *"))]).await;
    let node = world.node("one");
    work(&node).await;
    let shop: ShopName = "main".parse().unwrap();
    let tell = async || {
        let problem = NewProblem {
            code: "full_run_failed".into(),
            record: None,
            field: None,
            reason: "told, and then the store was away".to_owned(),
            fix: String::new(),
            owner: "operator".to_owned(),
            mapping: None,
            cluster: Object::Order.to_string(),
            detail: serde_json::Value::Null,
        };
        let now = world.clock.now();
        world.store.open_shop_problem(&shop, problem, now).await.unwrap();
        assert_eq!(world.store.open_problems(10).await.unwrap().len(), 1);
    };
    tell().await;
    world.clock.advance(24 * HOUR);
    work(&node).await;
    assert_eq!(world.made().len(), 1);
    assert_eq!(
        world.store.open_problems(10).await.unwrap().len(),
        0,
        "it succeeded"
    );
    tell().await;
    world.config.send_replace(config(&[("main", &orders("off"))]));
    work(&node).await;
    assert_eq!(world.store.open_problems(10).await.unwrap().len(), 0, "it is off");
}

#[tokio::test]
async fn a_right_that_cannot_be_renewed_for_a_moment_ends_no_run() {
    for (faults, is_cut) in [(1, false), (3, true)] {
        let world = World::new("2026-11-20T12:00:00Z", &[("main", &orders("0 3 * * *"))]).await;
        let faulty = Arc::new(FaultyStore::new(world.store.clone()));
        let node = world.node_at("one", faulty.clone());
        work(&node).await;
        world.clock.advance(24 * HOUR);
        let (key, due) = node.due(&BTreeMap::new()).await.remove(0);
        let stop = CancellationToken::new();
        world.next([Does::WaitsForTheEnd(stop.clone())]);
        let meanwhile = async {
            world.fake.began.notified().await;
            let asked = faulty.calls("take_lease");
            faulty.fail("take_lease", StoreFault::Away, faults);
            while faulty.calls("take_lease") < asked + faults + 1 {
                world.clock.advance(Duration::from_secs(5));
                tokio::task::yield_now().await;
            }
            let is_running = world.fake.running.load(Ordering::SeqCst) == 1;
            assert_eq!(is_running, !is_cut, "{faults}");
            stop.cancel();
        };
        futures_util::future::join(node.run(&key, due, &stop), meanwhile).await;
        let standing = read(&world.store, &key.0, key.1).await.unwrap().unwrap();
        assert_eq!(standing.last, None, "it was told to stop: {faults}");
    }
}

#[tokio::test]
async fn a_run_that_was_lost_is_tried_again_later_each_time() {
    let world = World::new("2026-11-20T12:00:00Z", &[("main", &orders("0 3 * * *"))]).await;
    let node = world.node("one");
    work(&node).await;
    world.clock.advance(24 * HOUR);
    world.next([Does::IsLost]);
    work(&node).await;
    let standing = read(&world.store, &"main".parse().unwrap(), Object::Order).await;
    let standing = standing.unwrap().unwrap();
    assert_eq!(standing.last.unwrap().outcome, Some(RunOutcome::Failed));
    assert!(standing.retry_at.unwrap() > world.clock.now().plus(MINUTE));
}
