//! A clock that is set back.

use super::receiver::Answer;
use super::*;

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
