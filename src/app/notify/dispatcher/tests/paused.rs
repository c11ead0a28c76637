//! Pauses and rests: what is kept or discarded meanwhile, and what happens when an endpoint goes on.

use super::receiver::Answer;
use super::troubles::faulty;
use super::*;
use crate::app::notify::{Turned, turn};
use crate::domain::{Actor, Via};

fn ada() -> Actor {
    Actor::new("ada", Via::Cli)
}

/// Has a person pause an endpoint, or let it go on.
async fn set(rig: &Rig, name: &str, pause: bool) {
    let config = Arc::clone(&rig.config.borrow());
    let clock: SharedClock = Arc::new(rig.clock.clone());
    let turned = turn(&config, &rig.store, &clock, ada(), (name, pause, None)).await;
    assert_eq!(turned.unwrap(), Some(Turned::Done));
}

#[tokio::test]
async fn what_comes_during_a_pause_is_kept_or_discarded_however_it_came_about() {
    for (keys, is_kept) in [("", true), ("when_paused = 'discard'", false)] {
        for paused_by in ["the configuration", "a person", "itself"] {
            let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
            let seen = recorder.handle();
            let _guard = metrics::set_default_local_recorder(&recorder);
            let (receiver, other) = (
                Receiver::start(Answer::Status(410)).await,
                Receiver::start(Answer::Status(200)).await,
            );
            let state = if paused_by == "the configuration" {
                "state = 'paused'"
            } else {
                ""
            };
            let keys = format!("{keys}\n{state}");
            let mut rig = Rig::idle("", &[("one", &receiver, &keys), ("other", &other, "")]).await;
            let mut before = 0;
            match paused_by {
                "a person" => {
                    // Something is known of it first.
                    let now = rig.clock.now();
                    let act = EndpointAct {
                        name: "one".to_owned(),
                        pause: true,
                        health: None,
                        reason: None,
                        actor: ada(),
                        at: now,
                    };
                    assert!(rig.store.set_endpoint(act).await.unwrap());
                }
                "itself" => {
                    before = 1;
                    rig.add([1]).await;
                }
                _ => {}
            }
            rig.start();
            if before > 0 {
                until("it is paused", async || {
                    rig.endpoint("one").await.is_paused.then_some(())
                })
                .await;
                rig.reach("other", DispatchState::Delivered, 1).await;
            }
            rig.add([2, 3]).await;
            rig.reach("other", DispatchState::Delivered, before + 2).await;
            let told = format!("paused by {paused_by}, kept: {is_kept}");
            let made = rig.dispatches("one").await.len() - before;
            assert_eq!(made, if is_kept { 2 } else { 0 }, "{told}");
            rig.stop().await;
            let metrics = seen.render();
            let line = "lockstep_notify_deliveries_total{endpoint=\"one\",outcome=\"discarded\"} 2";
            assert_eq!(metrics.contains(line), !is_kept, "{told}: {metrics}");
        }
    }
}

pub(super) async fn what_waits_for_a_receiver_that_works_again_is_sent_when_the_endpoint_goes_on(on: On) {
    let receiver = Receiver::start(Answer::Status(200)).await;
    let mut rig = Rig::idle_on(on, "", &[("one", &receiver, "concurrency = 1")]).await;
    let store = faulty(&mut rig);
    rig.add([1]).await;
    rig.start();
    rig.reach("one", DispatchState::Delivered, 1).await;
    // One that was quick is claimed ahead for: all of that is given back until the rest is over.
    receiver.answer(Answer::Later(429, 86_400));
    rig.add(2..=9).await;
    let tomorrow = rig.clock.now().plus(Duration::from_secs(20 * 3600));
    until("they are due tomorrow", async || {
        let rows = rig.dispatches("one").await;
        let later = rows
            .iter()
            .filter(|row| row.state == DispatchState::Waiting && row.due_at > tomorrow);
        (later.count() > 1 && receiver.count() == 2).then_some(())
    })
    .await;
    let looks = store.calls("reclaim_dispatches");
    until("it has looked around since", async || {
        // A look that is under way when the clock moves is none that comes after.
        rig.clock.advance(Duration::from_millis(500));
        (store.calls("reclaim_dispatches") >= looks + 3).then_some(())
    })
    .await;
    receiver.answer(Answer::Status(200));
    // Both between two looks, as a script does it.
    set(&rig, "one", true).await;
    set(&rig, "one", false).await;
    until("all are sent", async || {
        rig.clock.advance(Duration::from_millis(500));
        (receiver.count() == 10).then_some(())
    })
    .await;
    rig.reach("one", DispatchState::Delivered, 9).await;
    rig.stop().await;
}

#[tokio::test]
async fn one_that_waits_is_sent_now_when_it_is_asked_for() {
    let receiver = Receiver::start(Answer::Status(500)).await;
    let mut rig = Rig::new("", &[("one", &receiver, "")]).await;
    rig.add([1]).await;
    let tried = until("it was tried", async || {
        let rows = rig.dispatches("one").await;
        let is_tried = |row: &DispatchRow| row.state == DispatchState::Waiting && row.tries == 1;
        rows.into_iter().find(is_tried)
    })
    .await;
    assert!(tried.due_at > rig.clock.now());
    receiver.answer(Answer::Status(200));
    let what = Redeliver::One(tried.id);
    let again = rig.store.redeliver(what, ada(), rig.clock.now()).await.unwrap();
    assert_eq!(again, Redelivered::Done(1));
    let delivered = rig.reach("one", DispatchState::Delivered, 1).await;
    assert_eq!(delivered[0].tries, 2, "it goes on counting");
    rig.stop().await;
}
