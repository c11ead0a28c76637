//! What a privacy request removes is not sent, wherever it waits.

use super::receiver::Answer;
use super::*;
use crate::domain::{RecordKey, System};

pub(super) async fn what_is_removed_while_it_waits_for_its_turn_is_not_sent(on: On) {
    let receiver = Receiver::start(Answer::Status(200)).await;
    let keys = "rate = '10/s'\nconcurrency = 10";
    let mut rig = Rig::idle_on(on, "", &[("slow", &receiver, keys)]).await;
    let told = rig.add(1..=5).await;
    rig.start();
    // One may go at once; the others are claimed, and their turn comes.
    rig.reach("slow", DispatchState::Delivered, 1).await;
    rig.reach("slow", DispatchState::Sending, 4).await;
    let record = RecordKey {
        shop: "main".parse().unwrap(),
        system: System::Shopify,
        model: "order".to_owned(),
        id: "3".to_owned(),
    };
    let (shop, now) = (record.shop.clone(), rig.clock.now());
    rig.store.redact(&shop, &[record], now).await.unwrap();
    rig.clock.advance(Duration::from_secs(2));
    until("the others were sent", async || {
        rig.clock.advance(Duration::from_millis(100));
        let rows = rig.dispatches("slow").await;
        rows.iter()
            .all(|row| row.state != DispatchState::Sending && row.state != DispatchState::Waiting)
            .then_some(())
    })
    .await;
    rig.reach("slow", DispatchState::Delivered, 4).await;
    let removed = rig.reach("slow", DispatchState::Cancelled, 1).await;
    assert_eq!(removed[0].notification, told[2]);
    assert!(!receiver.ids().contains(&told[2]), "it was not sent");
    rig.stop().await;
}
