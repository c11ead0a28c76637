//! What the store refuses, and what goes wrong inside: nothing stands still because of it, and nothing goes on for ever.

use super::receiver::Answer;
use super::troubles::faulty;
use super::*;
use crate::app::notify::dispatcher::line::{Claim, Unit};
use crate::app::notify::dispatcher::record::{Recorder, outcomes};
use crate::app::notify::dispatcher::send::{Outcome, done};
use crate::domain::{Actor, Via};
use crate::store::faulty::StoreFault;

#[tokio::test]
async fn what_waits_is_sent_while_the_outbox_cannot_be_fanned_out() {
    let receiver = Receiver::start(Answer::Status(200)).await;
    let mut rig = Rig::idle("", &[("one", &receiver, "")]).await;
    let store = faulty(&mut rig);
    let ids = rig.add([1]).await;
    rig.start();
    let sent = rig.reach("one", DispatchState::Delivered, 1).await;
    store.fail("fan_out", StoreFault::Away, 1_000);
    rig.add([2]).await;
    until("it fails", async || (store.calls("fan_out") >= 2).then_some(())).await;
    let again = Redeliver::One(sent[0].id);
    let ada = Actor::new("ada", Via::Cli);
    rig.store.redeliver(again, ada, rig.clock.now()).await.unwrap();
    until("the first is sent once more", async || {
        rig.clock.advance(TROUBLE);
        (receiver.count() == 2).then_some(())
    })
    .await;
    assert_eq!(once(&receiver.ids()), once(&ids));
    store.fail("fan_out", StoreFault::Away, 0);
    rig.clock.advance(TROUBLE);
    rig.reach("one", DispatchState::Delivered, 2).await;
    rig.stop().await;
}

#[tokio::test]
async fn a_notification_that_the_store_refuses_stays_alone() {
    let receiver = Receiver::start(Answer::Status(200)).await;
    let mut rig = Rig::idle("", &[("one", &receiver, "")]).await;
    let store = faulty(&mut rig);
    let ids = rig.add(1..=5).await;
    // Until the page is the first notification, and then it.
    store.fail("fan_out", StoreFault::Refuses, 8);
    rig.start();
    until("the others are sent", async || {
        rig.clock.advance(TROUBLE);
        (receiver.count() == 4).then_some(())
    })
    .await;
    let ids: Vec<String> = ids.into_iter().skip(1).collect();
    assert_eq!(once(&receiver.ids()), once(&ids));
    assert_eq!(rig.store.outbox(10).await.unwrap().len(), 1);
    // Whoever begins anew tries it again.
    rig.stop().await;
    rig.start();
    rig.reach("one", DispatchState::Delivered, 5).await;
    rig.stop().await;
}

pub(super) async fn what_the_store_never_takes_in_time_becomes_a_problem_and_holds_up_no_other(on: On) {
    let receiver = Receiver::start(Answer::Status(200)).await;
    let mut rig = Rig::idle_on(on, "", &[("one", &receiver, "")]).await;
    let store = faulty(&mut rig);
    let ids = rig.add(1..=3).await;
    let first = rig.store.outbox(1).await.unwrap()[0].id;
    store.never_send(first);
    rig.start();
    until("the others are sent", async || {
        rig.clock.advance(TROUBLE);
        (receiver.count() == 2).then_some(())
    })
    .await;
    assert_eq!(once(&receiver.ids()), once(&ids[1..]));
    // Others come from time to time. The steps are shorter than the right to dispatch lasts.
    let mut order = 10;
    let problem = until("it is given up", async || {
        rig.add([order]).await;
        order += 1;
        rig.clock.advance(RENEW);
        let rows = rig.dispatches("one").await;
        rows.into_iter().find(|row| row.state == DispatchState::Problem)
    })
    .await;
    assert_eq!(problem.notification, ids[0]);
    assert!(
        problem.sentence.as_deref().unwrap().contains("in time"),
        "{problem:?}"
    );
    let row = rig.endpoint("one").await;
    assert!(row.problems == 1 && row.given_up_at.is_some(), "{row:?}");
    until("nothing is left in the outbox", async || {
        rig.clock.advance(TROUBLE);
        rig.store.outbox(10).await.unwrap().is_empty().then_some(())
    })
    .await;
    // A person may have it sent all the same.
    let ada = Actor::new("ada", Via::Cli);
    let again = Redeliver::One(problem.id);
    rig.store.redeliver(again, ada, rig.clock.now()).await.unwrap();
    until("it is sent", async || {
        receiver.ids().contains(&ids[0]).then_some(())
    })
    .await;
    rig.stop().await;
}

#[tokio::test]
async fn large_notifications_are_fanned_out_one_by_one() {
    let receiver = Receiver::start(Answer::Status(200)).await;
    let mut rig = Rig::idle("", &[("one", &receiver, "state = 'paused'")]).await;
    let store = faulty(&mut rig);
    let now = rig.clock.now();
    for order in 1..=3 {
        let mut large = order_synced(order, now);
        large.record = Some(json!({ "note": "x".repeat(5 << 20) }));
        let body = serde_json::to_string(&large).unwrap();
        rig.store.add_notifications(vec![body], now).await.unwrap();
    }
    rig.add(4..=50).await;
    rig.start();
    rig.reach("one", DispatchState::Waiting, 50).await;
    assert_eq!(store.calls("fan_out"), 3, "the last of them with what is small");
    rig.stop().await;
}

#[tokio::test]
async fn a_request_that_panics_frees_its_place() {
    let receiver = Receiver::start(Answer::Status(200)).await;
    let mut rig = Rig::idle("", &[("one", &receiver, "batch = 2\nconcurrency = 1")]).await;
    let store = faulty(&mut rig);
    store.fail("batch_dispatches", StoreFault::Panics, 1);
    rig.add([1]).await;
    rig.start();
    until("it panics", async || {
        (store.calls("batch_dispatches") == 1).then_some(())
    })
    .await;
    rig.add([2]).await;
    rig.reach("one", DispatchState::Delivered, 1).await;
    // What came of the first nobody knows: it is sent again when its claim has ended.
    rig.clock.advance(CLAIM_MARGIN * 2);
    rig.reach("one", DispatchState::Delivered, 2).await;
    rig.stop().await;
}

pub(super) async fn whoever_runs_the_dispatcher_sees_that_outcomes_cannot_be_saved_any_more(on: On) {
    let receiver = Receiver::start(Answer::Status(200)).await;
    let mut rig = Rig::idle_on(on, "", &[("one", &receiver, "")]).await;
    let store = faulty(&mut rig);
    store.fail("end_dispatches", StoreFault::Panics, 1);
    rig.add([1]).await;
    rig.start();
    let running = rig.running.take().unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(20), running).await;
    assert!(ended.expect("it ends").unwrap_err().is_panic());
    // Begun anew, it goes on.
    rig.clock.advance(CLAIM_MARGIN * 2);
    rig.start();
    rig.reach("one", DispatchState::Delivered, 1).await;
    rig.stop().await;
}

#[tokio::test]
async fn at_the_end_what_is_refused_takes_nothing_else_with_it() {
    let receiver = Receiver::start(Answer::Status(200)).await;
    // It is made for a paused endpoint, and claimed by hand.
    let mut rig = Rig::new("", &[("one", &receiver, "state = 'paused'")]).await;
    rig.add(1..=64).await;
    rig.reach("one", DispatchState::Waiting, 64).await;
    rig.stop().await;
    let store = faulty(&mut rig);
    let (now, until) = (rig.clock.now(), rig.clock.now().plus(CLAIM_MARGIN));
    let claimed = rig.store.claim_dispatches("one", now, until, 64).await.unwrap();
    let (outcomes, unsaved) = outcomes();
    for member in claimed {
        let unit = Unit {
            members: vec![member],
            claim: Claim { at: now, until },
        };
        outcomes.add(done("one", &unit, Outcome::GivenBack { at: now }));
    }
    drop(outcomes);
    let stop = CancellationToken::new();
    stop.cancel();
    let (tell, _hear) = tokio::sync::mpsc::unbounded_channel();
    let recorder = Recorder {
        config: rig.config.subscribe(),
        store: rig.store.clone(),
        clock: Arc::new(rig.clock.clone()),
        entropy: Arc::new(SystemEntropy),
        tell,
        stop,
    };
    // 64, 32, 16, 8 of them.
    store.fail("end_dispatches", StoreFault::Refuses, 4);
    recorder.run(unsaved).await;
    rig.reach("one", DispatchState::Waiting, 64).await;
}
