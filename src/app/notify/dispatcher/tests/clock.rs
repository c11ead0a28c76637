//! A clock that is set back.

use super::receiver::Answer;
use super::troubles::faulty;
use super::*;
use crate::notify::Health;
use crate::store::faulty::StoreFault;

const MONTH: Duration = Duration::from_secs(30 * 24 * 3600);

#[tokio::test]
async fn a_clock_that_is_set_back_holds_up_nothing() {
    let receiver = Receiver::start(Answer::Status(200)).await;
    let mut rig = Rig::idle("", &[("one", &receiver, "rate = '10/m'")]).await;
    rig.clock.advance(MONTH);
    rig.add([1]).await;
    rig.start();
    rig.reach("one", DispatchState::Delivered, 1).await;
    rig.clock.set_back(MONTH);
    // As long after the first as the rate wants it.
    rig.add([2]).await;
    until("it is sent", async || {
        rig.clock.advance(Duration::from_secs(1));
        (receiver.count() == 2).then_some(())
    })
    .await;
    rig.reach("one", DispatchState::Delivered, 2).await;
    rig.stop().await;
}

#[tokio::test]
async fn what_a_clock_that_was_ahead_put_off_is_sent_after_a_start() {
    let receiver = Receiver::start(Answer::Status(200)).await;
    let mut rig = Rig::idle("", &[("one", &receiver, "state = 'paused'")]).await;
    rig.clock.advance(MONTH);
    rig.add(1..=10).await;
    rig.start();
    rig.reach("one", DispatchState::Waiting, 10).await;
    rig.stop().await;
    rig.clock.set_back(MONTH);
    rig.config.send_replace(config("", &[("one", &receiver, "")]));
    rig.start();
    rig.reach("one", DispatchState::Delivered, 10).await;
    rig.stop().await;
}

#[tokio::test]
async fn mending_times_holds_up_no_endpoint_and_is_tried_until_it_is_done() {
    let receiver = Receiver::start(Answer::Status(200)).await;
    let mut rig = Rig::idle("", &[("one", &receiver, "")]).await;
    let store = faulty(&mut rig);
    store.fail("mend_dispatch_times", StoreFault::Hangs, 1);
    rig.add([1]).await;
    rig.start();
    rig.reach("one", DispatchState::Delivered, 1).await;
    assert_eq!(store.calls("mend_dispatch_times"), 1);
    rig.stop().await;

    store.fail("mend_dispatch_times", StoreFault::Away, 1);
    rig.start();
    until("it fails", async || {
        (store.calls("mend_dispatch_times") == 2).then_some(())
    })
    .await;
    until("it is done at a later look", async || {
        rig.clock.advance(LOOK);
        (store.calls("mend_dispatch_times") == 3).then_some(())
    })
    .await;
    rig.add([2]).await;
    rig.reach("one", DispatchState::Delivered, 2).await;
    rig.stop().await;
}

#[tokio::test]
async fn a_rest_that_a_clock_noted_which_was_ahead_counts_for_nothing() {
    let receiver = Receiver::start(Answer::Status(200)).await;
    let mut rig = Rig::idle("", &[("one", &receiver, "")]).await;
    rig.clock.advance(MONTH);
    receiver.answer(Answer::Later(429, 600));
    rig.add([1]).await;
    rig.start();
    until("it asks for rest", async || {
        let health: Option<Health> = serde_json::from_str(&rig.endpoint("one").await.health).ok();
        health?.rests_until.map(drop)
    })
    .await;
    rig.stop().await;
    rig.clock.set_back(MONTH);
    receiver.answer(Answer::Status(200));
    rig.start();
    rig.add([2]).await;
    rig.reach("one", DispatchState::Delivered, 2).await;
    rig.stop().await;
}
