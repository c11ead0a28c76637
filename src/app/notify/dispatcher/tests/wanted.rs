//! Whether an endpoint wants something, asked when it is fanned out and when it is sent.

use super::receiver::Answer;
use super::*;
use crate::domain::{Actor, Fact, Shape, Via};
use crate::notify::{Condition, Expression, ExpressionError, Expressions};

fn ada() -> Actor {
    Actor::new("ada", Via::Cli)
}

/// Commits notifications about these orders, of which no record is known.
async fn add_without_record(rig: &Rig, orders: &[u64]) {
    let now = rig.clock.now();
    let bodies = orders.iter().map(|order| {
        let mut without = order_synced(*order, now);
        without.record = None;
        serde_json::to_string(&without).unwrap()
    });
    rig.store.add_notifications(bodies.collect(), now).await.unwrap();
}

pub(super) async fn after_the_mend_of_a_condition_what_it_excludes_is_not_sent(on: On) {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let seen = recorder.handle();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let receiver = Receiver::start(Answer::Status(200)).await;
    let broken = "condition = 'order.totals.total > 10'";
    let mut rig = Rig::new_on(on, "", &[("choosy", &receiver, broken)]).await;
    add_without_record(&rig, &[1, 2]).await;
    rig.reach("choosy", DispatchState::Problem, 2).await;
    let row = rig.endpoint("choosy").await;
    assert_eq!(
        (row.problems, row.given_up_at),
        (2, Some(rig.clock.now())),
        "somebody is told"
    );
    rig.stop().await;
    let metrics = seen.render();
    let counted = "lockstep_notify_deliveries_total{endpoint=\"choosy\",outcome=\"problem\"} 2";
    assert!(metrics.contains(counted), "{metrics}");

    let mended = "condition = \"event.object.name == '#1'\"";
    rig.config
        .send_replace(config("", &[("choosy", &receiver, mended)]));
    let all = Redeliver::Failed { endpoint: None };
    let again = rig.store.redeliver(all, ada(), rig.clock.now()).await.unwrap();
    assert_eq!(again, Redelivered::Done(2), "problems have failed, too");
    rig.start();
    rig.reach("choosy", DispatchState::Delivered, 1).await;
    let cancelled = rig.reach("choosy", DispatchState::Cancelled, 1).await;
    let sentence = cancelled[0].sentence.as_deref().unwrap();
    assert!(sentence.contains("does not want it any more"), "{sentence}");
    assert_eq!((cancelled[0].tries, receiver.count()), (0, 1));
    // A person who asks for that one gets it.
    let one = Redeliver::One(cancelled[0].id);
    rig.store.redeliver(one, ada(), rig.clock.now()).await.unwrap();
    rig.reach("choosy", DispatchState::Delivered, 2).await;
    rig.stop().await;
}

#[tokio::test]
async fn what_waited_is_not_sent_when_nobody_wants_it_any_more() {
    let receiver = Receiver::start(Answer::Status(500)).await;
    let mut rig = Rig::new("", &[("one", &receiver, "batch = 10\nconcurrency = 1")]).await;
    rig.add([1, 2]).await;
    until("they were tried", async || {
        let rows = rig.dispatches("one").await;
        let is_tried = |row: &DispatchRow| row.state == DispatchState::Waiting && row.tries == 1;
        (rows.len() == 2 && rows.iter().all(is_tried)).then_some(())
    })
    .await;
    rig.stop().await;
    receiver.answer(Answer::Status(200));
    let narrower = "batch = 10\nconcurrency = 1\ncondition = \"event.object.name == '#2'\"";
    rig.config
        .send_replace(config("", &[("one", &receiver, narrower)]));
    rig.start();
    while rig.next_try("one").await {}
    rig.reach("one", DispatchState::Delivered, 1).await;
    let cancelled = rig.reach("one", DispatchState::Cancelled, 1).await;
    assert_eq!(cancelled[0].record.as_deref(), Some("#1"));
    rig.stop().await;
}

/// Compiles everything to what panics.
struct Panics;

#[derive(Debug)]
struct PanicsAlways;

impl Expressions for Panics {
    fn compile(
        &self,
        _text: &str,
        _names: &[(&'static str, Shape)],
    ) -> Result<Arc<dyn Expression>, ExpressionError> {
        Ok(Arc::new(PanicsAlways))
    }
}

impl Expression for PanicsAlways {
    fn value(&self, _facts: &[Fact]) -> Result<Fact, String> {
        panic!("the value was told to panic")
    }

    fn holds(&self, _facts: &[Fact]) -> Result<bool, String> {
        panic!("the condition was told to panic")
    }
}

#[tokio::test]
async fn a_condition_that_panics_makes_problems_and_ends_nothing_else() {
    let (bad, good) = (
        Receiver::start(Answer::Status(200)).await,
        Receiver::start(Answer::Status(200)).await,
    );
    let mut rig = Rig::idle("", &[("bad", &bad, ""), ("good", &good, "")]).await;
    let mut config = Arc::into_inner(config("", &[("bad", &bad, ""), ("good", &good, "")])).unwrap();
    for endpoint in &mut config.endpoints {
        if endpoint.name == "bad" {
            let condition = Condition::compile("true", &[EventType::OrderSynced], &Panics).unwrap();
            Arc::make_mut(endpoint).condition = Some(condition);
        }
    }
    rig.config.send_replace(Arc::new(config));
    rig.add([1, 2]).await;
    rig.start();
    rig.reach("good", DispatchState::Delivered, 2).await;
    let problems = rig.reach("bad", DispatchState::Problem, 2).await;
    assert!(problems[0].sentence.as_deref().unwrap().contains("panic"));
    assert!(rig.store.outbox(10).await.unwrap().is_empty());
    // Sent again together they are problems again, and what a person asks for by itself is sent.
    let all = Redeliver::Failed { endpoint: None };
    rig.store.redeliver(all, ada(), rig.clock.now()).await.unwrap();
    rig.reach("bad", DispatchState::Problem, 2).await;
    let one = Redeliver::One(problems[0].id);
    rig.store.redeliver(one, ada(), rig.clock.now()).await.unwrap();
    rig.reach("bad", DispatchState::Delivered, 1).await;
    assert_eq!(bad.count(), 1);
    rig.stop().await;
}
