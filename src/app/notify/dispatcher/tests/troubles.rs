//! What goes wrong with one endpoint, or with the store for a moment, and what the others see of it: nothing. Changed
//! configurations.

use std::time::UNIX_EPOCH;

use super::receiver::Answer;
use super::*;
use crate::domain::{Actor, Via};
use crate::store::faulty::{FaultyStore, StoreFault};

/// Puts a store that fails on demand before the rig's.
pub(super) fn faulty(rig: &mut Rig) -> Arc<FaultyStore> {
    let faulty = Arc::new(FaultyStore::new(rig.store.clone()));
    rig.store = faulty.clone();
    faulty
}

pub(super) async fn the_urgent_are_claimed_first(on: On) {
    let receiver = Receiver::start(Answer::Status(200)).await;
    let endpoints = [
        ("early", &receiver, "priority = 'low'"),
        ("middle", &receiver, ""),
        ("urgent", &receiver, "priority = 'high'"),
    ];
    let mut rig = Rig::idle_on(on, "", &endpoints).await;
    let store = faulty(&mut rig);
    // Whatever is not claimed first waits.
    store.fail_after("claim_dispatches", 1, StoreFault::Hangs, 1);
    rig.add([1]).await;
    rig.start();
    rig.reach("urgent", DispatchState::Delivered, 1).await;
    until("another claim was tried", async || {
        (store.calls("claim_dispatches") == 2).then_some(())
    })
    .await;
    for name in ["early", "middle"] {
        rig.reach(name, DispatchState::Waiting, 1).await;
    }
}

// On one database: on the other a bell may ring between the rounds, and what failed is tried again at once.
#[tokio::test]
async fn a_claim_that_fails_stops_no_other() {
    let receiver = Receiver::start(Answer::Status(200)).await;
    let endpoints = [
        ("early", &receiver, "priority = 'low'"),
        ("urgent", &receiver, "priority = 'high'"),
    ];
    let mut rig = Rig::idle("", &endpoints).await;
    let store = faulty(&mut rig);
    rig.start();
    // The first round has looked at the outbox then.
    until("it goes round", async || {
        (store.calls("next_dispatch") >= 1).then_some(())
    })
    .await;
    store.fail("claim_dispatches", StoreFault::Refuses, 1);
    rig.add([1]).await;
    rig.reach("early", DispatchState::Delivered, 1).await;
    let urgent = rig.dispatches("urgent").await;
    assert_eq!(urgent[0].state, DispatchState::Waiting, "the first claim was its");
    rig.clock.advance(TROUBLE);
    rig.reach("urgent", DispatchState::Delivered, 1).await;
    rig.stop().await;
}

#[tokio::test]
async fn clearing_an_endpoint_away_holds_up_no_other() {
    let (kept, removed) = (
        Receiver::start(Answer::Status(200)).await,
        Receiver::start(Answer::Status(500)).await,
    );
    let mut rig = Rig::idle("", &[("kept", &kept, ""), ("removed", &removed, "")]).await;
    let store = faulty(&mut rig);
    rig.add([1]).await;
    rig.start();
    rig.reach("kept", DispatchState::Delivered, 1).await;
    store.fail("cancel_dispatches", StoreFault::Hangs, 1);
    rig.config.send_replace(config("", &[("kept", &kept, "")]));
    until("it is being cleared away", async || {
        (store.calls("cancel_dispatches") >= 1).then_some(())
    })
    .await;
    rig.add([2]).await;
    rig.reach("kept", DispatchState::Delivered, 2).await;
    rig.stop().await;
}

pub(super) async fn an_endpoint_that_comes_back_while_it_is_cleared_away_holds_up_nobody(on: On) {
    let (kept, back) = (
        Receiver::start(Answer::Status(200)).await,
        Receiver::start(Answer::Status(200)).await,
    );
    let both = [("kept", &kept, ""), ("back", &back, "")];
    let mut rig = Rig::idle_on(on, "", &both).await;
    let store = faulty(&mut rig);
    rig.add([1]).await;
    rig.start();
    for name in ["kept", "back"] {
        rig.reach(name, DispatchState::Delivered, 1).await;
    }
    store.fail("cancel_dispatches", StoreFault::Hangs, 1);
    rig.config.send_replace(config("", &both[..1]));
    until("it is being cleared away", async || {
        (store.calls("cancel_dispatches") >= 1).then_some(())
    })
    .await;
    rig.config.send_replace(config("", &both));
    until("it is told again", async || {
        // A round that had begun goes by the configuration of before to its end.
        rig.add([2]).await;
        (back.count() >= 2).then_some(())
    })
    .await;
    rig.stop().await;
}

#[tokio::test]
async fn what_cannot_be_taken_back_holds_up_nothing_new() {
    let receiver = Receiver::start(Answer::Status(200)).await;
    let mut rig = Rig::idle("", &[("one", &receiver, "")]).await;
    let store = faulty(&mut rig);
    store.fail("reclaim_dispatches", StoreFault::Refuses, 1_000);
    rig.add([1]).await;
    rig.start();
    rig.reach("one", DispatchState::Delivered, 1).await;
    rig.stop().await;
}

pub(super) async fn killed_between_sending_and_noting_it_is_sent_again_under_the_same_id(on: On) {
    let receiver = Receiver::start(Answer::Status(200)).await;
    let mut rig = Rig::idle_on(on, "", &[("one", &receiver, "")]).await;
    let store = faulty(&mut rig);
    store.fail("end_dispatches", StoreFault::Hangs, 1);
    let ids = rig.add([1]).await;
    rig.start();
    until("it is sent and being noted", async || {
        (receiver.count() == 1 && store.calls("end_dispatches") == 1).then_some(())
    })
    .await;
    let running = rig.running.take().unwrap();
    running.abort();
    assert!(running.await.unwrap_err().is_cancelled());
    // Whoever comes next cannot tell whether it was sent: it waits until the claim has ended.
    let looks = store.calls("reclaim_dispatches");
    rig.start();
    until("it has looked", async || {
        (store.calls("reclaim_dispatches") > looks).then_some(())
    })
    .await;
    let sending = rig.reach("one", DispatchState::Sending, 1).await;
    assert_eq!((sending[0].tries, receiver.count()), (1, 1));
    let delivered = until("it is sent again", async || {
        rig.clock.advance(LOOK);
        let rows = rig.dispatches("one").await;
        rows.into_iter().find(|row| row.state == DispatchState::Delivered)
    })
    .await;
    assert_eq!(delivered.tries, 2);
    assert_eq!(receiver.ids(), [ids[0].as_str(), ids[0].as_str()]);
    rig.stop().await;
}

pub(super) async fn what_cannot_be_noted_at_once_is_noted_later_and_sent_once(on: On) {
    let receiver = Receiver::start(Answer::Status(200)).await;
    let mut rig = Rig::idle_on(on, "", &[("one", &receiver, "")]).await;
    let store = faulty(&mut rig);
    rig.add(1..=8).await;
    store.fail("end_dispatches", StoreFault::Refuses, 2);
    rig.start();
    until("all is noted", async || {
        // Between its tries the recorder waits.
        rig.clock.advance(Duration::from_millis(200));
        let rows = rig.dispatches("one").await;
        let is_noted = |row: &DispatchRow| row.state == DispatchState::Delivered;
        (rows.len() == 8 && rows.iter().all(is_noted)).then_some(())
    })
    .await;
    assert_eq!(receiver.count(), 8, "none twice");
    rig.stop().await;
}

#[tokio::test]
async fn the_right_to_dispatch_is_kept_while_the_store_cannot_say_whose_it_is() {
    let receiver = Receiver::start(Answer::Status(200)).await;
    let mut rig = Rig::idle("", &[("one", &receiver, "")]).await;
    let store = faulty(&mut rig);
    rig.add([1]).await;
    rig.start();
    rig.reach("one", DispatchState::Delivered, 1).await;
    store.fail("take_lease", StoreFault::Away, 1);
    rig.clock.advance(RENEW);
    until("it is asked for", async || {
        (store.calls("take_lease") >= 2).then_some(())
    })
    .await;
    rig.add([2]).await;
    rig.reach("one", DispatchState::Delivered, 2).await;
    rig.stop().await;
}

#[tokio::test]
async fn a_rest_is_remembered_when_the_right_to_dispatch_comes_back() {
    let (busy, quick) = (
        Receiver::start(Answer::Later(429, 600)).await,
        Receiver::start(Answer::Status(200)).await,
    );
    let endpoints = [
        ("busy", &busy, "concurrency = 1"),
        ("quick", &quick, "priority = 'low'"),
    ];
    let mut rig = Rig::idle("", &endpoints).await;
    let store = faulty(&mut rig);
    rig.add([1]).await;
    rig.start();
    rig.reach("quick", DispatchState::Delivered, 1).await;
    until("it was tried", async || {
        let rows = rig.dispatches("busy").await;
        let is_tried = |row: &DispatchRow| row.state == DispatchState::Waiting && row.tries == 1;
        rows.iter().all(is_tried).then_some(())
    })
    .await;
    busy.answer(Answer::Status(200));
    until("the right is taken anew", async || {
        rig.standing.send_modify(|standing| standing.is_newest = false);
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        rig.standing.send_modify(|standing| standing.is_newest = true);
        (store.calls("take_lease") >= 2).then_some(())
    })
    .await;
    rig.add([2]).await;
    rig.reach("quick", DispatchState::Delivered, 2).await;
    rig.reach("busy", DispatchState::Waiting, 2).await;
    assert_eq!(busy.count(), 1, "it rests");
    rig.stop().await;
}

#[tokio::test]
async fn a_rest_outlives_the_process() {
    let (busy, quick) = (
        Receiver::start(Answer::Later(429, 3_600)).await,
        Receiver::start(Answer::Status(200)).await,
    );
    let endpoints = [
        ("busy", &busy, "concurrency = 1"),
        ("quick", &quick, "priority = 'low'"),
    ];
    let mut rig = Rig::new("", &endpoints).await;
    rig.add([1]).await;
    until("it was tried", async || {
        let rows = rig.dispatches("busy").await;
        let is_tried = |row: &DispatchRow| row.state == DispatchState::Waiting && row.tries == 1;
        rows.iter().any(is_tried).then_some(())
    })
    .await;
    rig.stop().await;
    busy.answer(Answer::Status(200));
    rig.start();
    rig.add([2]).await;
    rig.reach("quick", DispatchState::Delivered, 2).await;
    rig.reach("busy", DispatchState::Waiting, 2).await;
    assert_eq!(busy.count(), 1, "it rests");
    rig.stop().await;
    // Whoever begins when the rest is over does not wait.
    rig.clock.advance(Duration::from_secs(3_600 * 2));
    rig.start();
    rig.reach("busy", DispatchState::Delivered, 2).await;
    rig.stop().await;
}

#[tokio::test]
async fn a_pause_reaches_what_is_claimed_and_not_sent_yet() {
    let receiver = Receiver::start(Answer::Status(200)).await;
    let rig = Rig::new("", &[("one", &receiver, "timeout = '30s'\nconcurrency = 1")]).await;
    rig.add([1]).await;
    rig.reach("one", DispatchState::Delivered, 1).await;
    // One that was quick is claimed ahead for, and now it hangs.
    receiver.answer(Answer::Never);
    rig.add(2..=6).await;
    until("the second is under way", async || {
        (receiver.count() == 2).then_some(())
    })
    .await;
    let act = EndpointAct {
        name: "one".to_owned(),
        pause: true,
        health: None,
        reason: None,
        actor: Actor::new("ada", Via::Cli),
        at: rig.clock.now(),
    };
    assert!(rig.store.set_endpoint(act).await.unwrap());
    rig.clock.advance(LOOK);
    let waiting = rig.reach("one", DispatchState::Waiting, 4).await;
    assert!(waiting.iter().all(|row| row.tries == 0), "{waiting:?}");
    assert_eq!(receiver.count(), 2);
}

#[tokio::test]
async fn of_a_batch_only_what_was_tried_often_enough_is_given_up() {
    let receiver = Receiver::start(Answer::Status(500)).await;
    let retry = "[notify.endpoints.many.retry]\nmax_attempts = 2";
    let single = format!("concurrency = 1\n{retry}");
    let mut rig = Rig::new("", &[("many", &receiver, single.as_str())]).await;
    rig.add([1]).await;
    let tried = until("it was tried", async || {
        let rows = rig.dispatches("many").await;
        let is_tried = |row: &DispatchRow| row.state == DispatchState::Waiting && row.tries == 1;
        rows.into_iter().find(is_tried)
    })
    .await;
    rig.stop().await;
    let batches = format!("concurrency = 1\nbatch = 10\n{retry}");
    rig.config
        .send_replace(config("", &[("many", &receiver, batches.as_str())]));
    rig.clock.advance(tried.due_at.since(rig.clock.now()));
    rig.add([2]).await;
    rig.start();
    let failed = rig.reach("many", DispatchState::Failed, 1).await;
    assert_eq!(failed[0].id, tried.id);
    let waiting = rig.reach("many", DispatchState::Waiting, 1).await;
    assert_eq!(waiting[0].tries, 1);
    assert_eq!(receiver.count(), 2, "they were sent together");
    rig.stop().await;
}

#[tokio::test]
async fn a_changed_endpoint_is_sent_to_at_its_new_address_and_signed_with_the_old_secret_too() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret");
    std::fs::write(&file, SECRET).unwrap();
    let keys = format!("secrets_files = ['{}']", file.display());
    let (first, second) = (
        Receiver::start(Answer::Status(200)).await,
        Receiver::start(Answer::Status(200)).await,
    );
    let removed = Receiver::start(Answer::Status(500)).await;
    let endpoints = [("one", &first, keys.as_str()), ("removed", &removed, "")];
    let mut rig = Rig::new("", &endpoints).await;
    rig.add([1]).await;
    rig.reach("one", DispatchState::Delivered, 1).await;
    std::fs::write(&file, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
    // Both writes may fall into one tick of the file system's clock.
    let written = std::fs::File::options().write(true).open(&file).unwrap();
    written
        .set_modified(UNIX_EPOCH + Duration::from_secs(1_000_000))
        .unwrap();
    rig.config
        .send_replace(config("", &[("one", &second, keys.as_str())]));
    // A round that had begun goes by the old configuration to its end.
    rig.reach("removed", DispatchState::Cancelled, 1).await;
    rig.add([2]).await;
    rig.reach("one", DispatchState::Delivered, 2).await;
    assert_eq!(first.count(), 1);
    // That the old one signs is looked at with each request.
    let signatures: Vec<usize> = second.received().iter().map(|one| one.signatures).collect();
    assert_eq!(signatures, [2]);
    rig.stop().await;
}
