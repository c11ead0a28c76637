//! One thing after another: what a poll costs, what it begins with, what it does with rows that are not alone.

use super::super::{lease_name, sweep};
use super::world::World;
use super::{MODEL, Rig, shop};
use crate::domain::Object;
use crate::erp::ErpError;
use crate::poll::{PollError, Vanished};
use crate::store::PollCursor;

async fn both(check: impl AsyncFn(Rig)) {
    for by_second in [false, true] {
        check(Rig::new(World::new(by_second, 0)).await).await;
    }
}

async fn cursor(rig: &Rig) -> Option<PollCursor> {
    rig.store.poll_cursor(&shop(), MODEL).await.unwrap()
}

#[tokio::test]
async fn what_was_there_is_no_work_and_what_comes_is() {
    both(async |rig| {
        rig.world.write(1, "old");
        rig.world.write(2, "old");
        let first = rig.poll().await;
        assert!(first.began && first.rows == 2, "{first:?}");
        assert_eq!(rig.work().await, [] as [i64; 0]);
        rig.world.write(2, "new");
        rig.world.write(3, "new");
        let second = rig.poll().await;
        assert!(!second.began);
        assert_eq!((second.changed, second.made), (2, 2));
        assert_eq!(rig.work().await, [2, 3]);
    })
    .await;
}

#[tokio::test]
async fn the_first_row_of_an_empty_table_is_new() {
    both(async |rig| {
        assert!(rig.poll().await.began);
        assert!(!rig.poll().await.began);
        rig.world.write(1, "first");
        rig.poll().await;
        assert_eq!(rig.work().await, [1]);
    })
    .await;
}

#[tokio::test]
async fn a_poll_that_finds_nothing_costs_two_calls_and_writes_nothing() {
    both(async |rig| {
        for id in 1..=900 {
            rig.world.write(id, "a");
        }
        rig.poll().await;
        rig.wait(15);
        // The second of the last writes is over by now.
        rig.poll().await;
        for wait in [15, 15, 3_600, 86_400] {
            rig.wait(wait);
            rig.world.take_calls();
            let polled = rig.poll().await;
            assert_eq!(rig.world.take_calls(), ["newest", "changed"], "after {wait} s");
            assert_eq!((polled.changed, polled.made), (0, 0));
        }
    })
    .await;
}

#[tokio::test]
async fn a_mere_touch_is_no_change_and_a_second_write_in_the_same_second_is() {
    both(async |rig| {
        rig.world.write(1, "a");
        rig.poll().await;
        rig.wait(15);
        rig.world.write(1, "a");
        assert_eq!(rig.poll().await.changed, 0);
        // Now twice within a second, with a poll between.
        rig.wait(15);
        rig.world.write(1, "b");
        rig.poll().await;
        assert_eq!(rig.work().await, [1]);
        rig.world.advance(200_000);
        rig.world.write(1, "c");
        rig.poll().await;
        assert_eq!(rig.work().await, [1], "it looks the same by its time");
    })
    .await;
}

#[tokio::test]
async fn a_long_transaction_that_began_in_the_second_of_a_short_one_is_seen_when_the_window_closes() {
    both(async |rig| {
        rig.world.write(9, "x");
        rig.poll().await;
        rig.wait(15);
        rig.world.write(1, "short");
        rig.world.advance(300_000);
        rig.world.begin([1], "long", 90_000_000);
        rig.poll().await;
        rig.wait(15);
        rig.poll().await;
        assert_eq!(rig.work().await, [1]);
        rig.wait(90);
        assert_eq!(rig.world.name(1).unwrap(), "long");
        // Other rows move the window on.
        for _ in 0..14 {
            rig.wait(60);
            rig.world.write(9, "x");
            rig.poll().await;
        }
        assert_eq!(rig.work().await, [1]);
    })
    .await;
}

#[tokio::test]
async fn a_row_is_its_owners_work_and_a_persons_its_own_too() {
    both(async |rig| {
        for id in 1..=3 {
            rig.world.write(id, "a");
        }
        rig.poll().await;
        rig.world.put(2, |row| (row.parent, row.alone) = (Some(1), false));
        rig.world.put(3, |row| row.parent = Some(1));
        rig.wait(15);
        rig.world.write(2, "address");
        rig.poll().await;
        assert_eq!(rig.work().await, [1]);
        rig.world.write(3, "person");
        rig.poll().await;
        assert_eq!(rig.work().await, [1, 3]);
    })
    .await;
}

#[tokio::test]
async fn an_erp_that_was_restored_from_a_copy_is_followed_from_there() {
    both(async |rig| {
        rig.world.write(1, "a");
        rig.world.write(2, "b");
        rig.wait(7_200);
        rig.world.write(3, "late");
        rig.poll().await;
        // The copy is two hours old, and so is its clock.
        rig.world.delete(3);
        let rows = [1, 2];
        rig.poll().await;
        rig.work().await;
        rig.world.put(rows[0], |row| {
            row.name = "changed".to_owned();
            row.written += 1_000_000;
        });
        rig.poll().await;
        assert_eq!(rig.work().await, [1]);
    })
    .await;
}

#[tokio::test]
async fn windows_of_many_pages_are_read_to_the_end() {
    both(async |rig| {
        rig.world.write(1, "a");
        rig.poll().await;
        rig.wait(15);
        rig.world.begin(1..=2_000, "b", 0);
        let polled = rig.poll().await;
        assert_eq!((polled.rows, polled.made), (2_000, 2_000));
        assert_eq!(rig.work().await.len(), 2_000);
    })
    .await;
}

#[tokio::test]
async fn a_failure_moves_nothing_and_the_next_poll_finds_it_all() {
    both(async |rig| {
        rig.world.write(1, "a");
        rig.poll().await;
        let before = cursor(&rig).await;
        rig.wait(1_000);
        rig.world.write(1, "b");
        rig.world.refuse(0, ErpError::Down { retry_after: None });
        assert!(matches!(rig.try_poll().await, Err(PollError::Erp(_))));
        assert_eq!(cursor(&rig).await, before);
        rig.poll().await;
        assert_eq!(rig.work().await, [1]);
        assert_ne!(cursor(&rig).await, before);
    })
    .await;
}

#[tokio::test]
async fn a_failure_between_two_pages_loses_nothing_of_the_second_however_old_it_is() {
    both(async |rig| {
        rig.world.write(1, "a");
        rig.poll().await;
        // Nobody polls for an hour, and much is written at its beginning.
        rig.wait(15);
        rig.world.begin(1..=1_500, "b", 0);
        rig.wait(3_600);
        rig.world.write(1, "c");
        // After the newest row, a page of ids and what is read of them.
        rig.world.refuse(7, ErpError::Down { retry_after: None });
        assert!(matches!(rig.try_poll().await, Err(PollError::Erp(_))));
        let first = rig.work().await;
        assert_eq!(first.len(), 1_000, "the first page is saved");
        rig.wait(15);
        rig.poll().await;
        let second = rig.work().await;
        assert!((1_001..=1_500).all(|id| second.contains(&id)), "{}", second.len());
    })
    .await;
}

#[tokio::test]
async fn one_node_polls_at_a_time() {
    both(async |rig| {
        rig.world.write(1, "a");
        let now = rig.clock.now();
        let lease = lease_name(&shop(), MODEL);
        let taken = rig
            .store
            .take_lease(&lease, "serve-two", now, now.plus(super::super::LEASE));
        assert!(taken.await.unwrap());
        assert!(matches!(rig.try_poll().await, Err(PollError::Elsewhere)));
        assert_eq!(rig.world.take_calls(), [] as [&str; 0]);
        // Its node died.
        rig.wait(60);
        assert!(rig.poll().await.began);
    })
    .await;
}

#[tokio::test]
async fn a_sweep_finds_what_left_no_trace() {
    both(async |rig| {
        for id in 1..=5 {
            rig.world.write(id, "a");
        }
        assert_eq!(
            sweep(&rig.poller(), false).await.unwrap().rows,
            0,
            "not before the first poll"
        );
        rig.poll().await;
        let first = sweep(&rig.poller(), false).await.unwrap();
        assert!(first.began && first.rows == 5);
        assert_eq!(rig.work().await, [] as [i64; 0]);
        rig.wait(15);
        rig.poll().await;
        rig.world.delete(2);
        rig.world.put(3, |row| row.active = false);
        rig.wait(15);
        rig.world.write(6, "polled");
        rig.poll().await;
        assert_eq!(rig.work().await, [6]);
        let second = sweep(&rig.poller(), false).await.unwrap();
        assert_eq!((second.rows, second.changed), (5, 2));
        assert_eq!(rig.work().await, [2, 3]);
        let third = sweep(&rig.poller(), false).await.unwrap();
        assert_eq!((third.rows, third.changed), (5, 0));
    })
    .await;
}

#[tokio::test]
async fn where_too_many_are_gone_nothing_is_done_until_they_are_back_or_a_person_says_so() {
    both(async |rig| {
        for id in 1..=100 {
            rig.world.write(id, "a");
        }
        rig.poll().await;
        sweep(&rig.poller(), false).await.unwrap();
        rig.wait(15);
        rig.poll().await;
        let swept_at = cursor(&rig).await.unwrap().swept_at;
        // Another ERP: many are not there, one is archived, one is new and no poll saw it.
        for id in 1..=21 {
            rig.world.delete(id);
        }
        rig.world.put(50, |row| row.active = false);
        rig.wait(60);
        for _ in 0..2 {
            let swept = sweep(&rig.poller(), false).await.unwrap();
            assert_eq!(swept.held, Some(Vanished { gone: 21, known: 100 }));
            assert_eq!((swept.changed, swept.made), (0, 0));
            assert_eq!(rig.work().await, [] as [i64; 0]);
            assert_eq!(cursor(&rig).await.unwrap().swept_at, swept_at);
        }
        // One is back: the others are few enough to be believed.
        rig.world.write(21, "a");
        rig.poll().await;
        rig.work().await;
        let swept = sweep(&rig.poller(), false).await.unwrap();
        assert_eq!((swept.held, swept.changed), (None, 21));
        assert_eq!(rig.work().await, (1..=20).chain([50]).collect::<Vec<_>>());
        // A person says so.
        for id in 51..=80 {
            rig.world.delete(id);
        }
        assert!(sweep(&rig.poller(), false).await.unwrap().held.is_some());
        let swept = sweep(&rig.poller(), true).await.unwrap();
        assert_eq!((swept.held, swept.changed), (None, 30));
        assert_eq!(rig.work().await, (51..=80).collect::<Vec<_>>());
        assert_eq!(sweep(&rig.poller(), false).await.unwrap().changed, 0);
    })
    .await;
}

#[tokio::test]
async fn levels_of_stock_come_and_go() {
    let rig = Rig::new(World::new(true, 0)).await;
    for id in 1..=100 {
        rig.world.write(id, "a");
    }
    let stock = || {
        let mut poll = rig.poller();
        poll.watched.object = Object::Inventory;
        poll
    };
    crate::poll::poll(&stock()).await.unwrap();
    sweep(&stock(), false).await.unwrap();
    for id in 1..=50 {
        rig.world.delete(id);
    }
    let swept = sweep(&stock(), false).await.unwrap();
    assert_eq!((swept.held, swept.changed, swept.made), (None, 50, 50));
}
