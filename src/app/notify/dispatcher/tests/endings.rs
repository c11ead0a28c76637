//! How deliveries end: given up and sent once more, paused, problems, stops, endpoints that are no more.

use super::receiver::Answer;
use super::*;
use crate::domain::{Actor, Direction, JobId, JobKey, NewProblem, Via};
use crate::store::GivenUpJob;

fn ada() -> Actor {
    Actor::new("ada", Via::Cli)
}

pub(super) async fn down_for_a_day_it_is_given_up_told_and_sent_once_more(on: On) {
    let (down, other) = (
        Receiver::start(Answer::Status(503)).await,
        Receiver::start(Answer::Status(200)).await,
    );
    let mut rig = Rig::new_on(
        on,
        "pause_after_hours = 0",
        &[("down", &down, ""), ("other", &other, "events = ['endpoint.*']")],
    )
    .await;
    let ids = rig.add([1, 2]).await;
    until("they were tried", async || (down.count() >= 2).then_some(())).await;
    let mut tries = 0;
    while rig.next_try("down").await {
        tries += 1;
        assert!(tries < 100, "it ends");
    }
    let failed = rig.reach("down", DispatchState::Failed, 2).await;
    assert!(failed.iter().all(|row| row.tries == 10), "{failed:?}");
    let hours = rig.clock.now().since(Timestamp::from_millis(NOON)).as_secs() / 3600;
    assert!((8..48).contains(&hours), "over about a day: {hours} h");
    assert_eq!(down.count(), 20);
    assert_eq!(once(&down.ids()), once(&ids), "the same ids on every try");
    // Others are told once of it.
    rig.reach("other", DispatchState::Delivered, 1).await;
    let told = other.received();
    assert_eq!(told[0].body["type"], "endpoint.failing");
    assert_eq!(told[0].body["detail"]["endpoint"], "down");
    assert_eq!(told[0].body["detail"]["failure"], "status");
    assert!(rig.endpoint("down").await.told_failing_at.is_some());

    down.answer(Answer::Status(200));
    let what = Redeliver::Failed { endpoint: None };
    let redelivered = rig.store.redeliver(what, ada(), rig.clock.now()).await.unwrap();
    assert_eq!(redelivered, Redelivered::Done(2));
    rig.reach("down", DispatchState::Delivered, 2).await;
    assert_eq!(once(&down.ids()), once(&ids));
    let story = rig.store.dispatch(failed[0].id).await.unwrap().unwrap();
    assert_eq!(story.tries.len(), 11, "the whole log");
    assert_eq!(story.tries[0].status, Some(503));
    rig.stop().await;
}

#[tokio::test]
async fn that_an_endpoint_fails_is_told_once_a_day() {
    let (down, other) = (
        Receiver::start(Answer::Status(503)).await,
        Receiver::start(Answer::Status(200)).await,
    );
    let endpoints = [
        ("down", &down, "retry = { max_attempts = 1 }"),
        ("other", &other, "events = ['endpoint.*']"),
    ];
    let mut rig = Rig::new("pause_after_hours = 0", &endpoints).await;
    for (order, hours, told) in [(1, 0, 1), (2, 23, 1), (3, 2, 2)] {
        rig.clock.advance(Duration::from_secs(hours * 3600));
        rig.add([order]).await;
        rig.reach("down", DispatchState::Failed, usize::try_from(order).unwrap())
            .await;
        // What is told was committed with the failure.
        let row = rig.endpoint("down").await;
        rig.reach("other", DispatchState::Delivered, told).await;
        let since = rig.clock.now().since(row.told_failing_at.unwrap()).as_secs() / 3600;
        assert_eq!(since, if order == 2 { 23 } else { 0 }, "{order}");
    }
    assert_eq!(other.count(), 2);
    rig.stop().await;
}

pub(super) async fn what_takes_nothing_for_hours_is_paused_until_somebody_lets_it_go_on(on: On) {
    let (down, other) = (
        Receiver::start(Answer::Status(500)).await,
        Receiver::start(Answer::Status(200)).await,
    );
    let mut rig = Rig::new_on(
        on,
        "pause_after_hours = 2",
        &[("down", &down, ""), ("other", &other, "events = ['endpoint.*']")],
    )
    .await;
    let ids = rig.add([1, 2, 3]).await;
    until("they were tried", async || (down.count() >= 3).then_some(())).await;
    while !rig.endpoint("down").await.is_paused {
        assert!(rig.next_try("down").await, "something waits");
    }
    let row = rig.endpoint("down").await;
    assert_eq!(row.paused_because.as_deref(), Some("nothing_taken"));
    rig.reach("down", DispatchState::Waiting, 3).await;
    rig.reach("other", DispatchState::Delivered, 1).await;
    assert_eq!(other.received()[0].body["detail"]["paused"], true);
    let before = down.count();
    rig.add([4]).await;
    rig.reach("down", DispatchState::Waiting, 4).await;
    rig.clock.advance(Duration::from_secs(24 * 3600));
    rig.add([5]).await;
    rig.reach("down", DispatchState::Waiting, 5).await;
    assert_eq!(down.count(), before, "it is left alone");

    down.answer(Answer::Status(200));
    let health: crate::notify::Health = serde_json::from_str(&row.health).unwrap();
    let act = EndpointAct {
        name: "down".to_owned(),
        pause: false,
        health: Some(serde_json::to_string(&health.resumed()).unwrap()),
        reason: None,
        actor: ada(),
        at: rig.clock.now(),
    };
    assert!(rig.store.set_endpoint(act).await.unwrap());
    rig.reach("down", DispatchState::Delivered, 5).await;
    let received = down.ids();
    assert!(ids.iter().all(|id| received.contains(id)));
    rig.stop().await;
}

pub(super) async fn what_nobody_could_note_again_and_again_is_counted_and_told_as_failing(on: On) {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let seen = recorder.handle();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let receiver = Receiver::start(Answer::Status(200)).await;
    let endpoints = [
        ("killer", &receiver, "state = 'paused'"),
        ("other", &receiver, "events = ['endpoint.*']"),
    ];
    let mut rig = Rig::new_on(on, "", &endpoints).await;
    rig.add([1]).await;
    rig.reach("killer", DispatchState::Waiting, 1).await;
    rig.stop().await;
    // Each process that claims it dies.
    for death in 1..=20 {
        let now = rig.clock.now();
        let claimed = rig
            .store
            .claim_dispatches("killer", now, now.plus(CLAIM_MARGIN), 1);
        assert_eq!(claimed.await.unwrap().len(), 1);
        rig.clock.advance(CLAIM_MARGIN);
        if death < 20 {
            assert_eq!(rig.store.reclaim_dispatches(rig.clock.now()).await.unwrap(), 1);
        }
    }
    rig.start();
    rig.reach("killer", DispatchState::Failed, 1).await;
    rig.reach("other", DispatchState::Delivered, 1).await;
    let told = receiver.received();
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0].body["type"], "endpoint.failing");
    assert_eq!(told[0].body["detail"]["endpoint"], "killer");
    assert_eq!(told[0].body["detail"]["failure"], "outcome_unknown");
    rig.stop().await;
    let row = rig.endpoint("killer").await;
    assert!(
        row.told_failing_at.is_some() && row.given_up_at.is_some(),
        "{row:?}"
    );
    let metrics = seen.render();
    let counted = "lockstep_notify_deliveries_total{endpoint=\"killer\",outcome=\"failed\"} 1";
    assert!(metrics.contains(counted), "{metrics}");
}

#[tokio::test]
async fn a_receiver_that_is_gone_is_paused_at_once() {
    let gone = Receiver::start(Answer::Status(410)).await;
    let mut rig = Rig::idle("", &[("gone", &gone, "concurrency = 1")]).await;
    rig.add(1..=3).await;
    rig.start();
    until("it is paused", async || {
        rig.endpoint("gone").await.is_paused.then_some(())
    })
    .await;
    assert_eq!(rig.endpoint("gone").await.paused_because.as_deref(), Some("gone"));
    rig.reach("gone", DispatchState::Waiting, 3).await;
    assert_eq!(gone.count(), 1);
    rig.stop().await;
}

#[tokio::test]
async fn what_cannot_be_told_or_rendered_is_a_problem_and_not_sent() {
    let receiver = Receiver::start(Answer::Status(200)).await;
    let mut rig = Rig::idle(
        "",
        &[
            ("choosy", &receiver, "condition = 'order.totals.total > 10'"),
            (
                "written",
                &receiver,
                "[notify.endpoints.written.body]\ntemplate = '{\"total\": {{ order.totals.total | fixed(2) }}}'",
            ),
        ],
    )
    .await;
    rig.add([1]).await;
    let mut without = order_synced(2, rig.clock.now());
    without.record = None;
    let body = serde_json::to_string(&without).unwrap();
    rig.store
        .add_notifications(vec![body], rig.clock.now())
        .await
        .unwrap();
    rig.start();
    for endpoint in ["choosy", "written"] {
        rig.reach(endpoint, DispatchState::Delivered, 1).await;
        let problems = rig.reach(endpoint, DispatchState::Problem, 1).await;
        assert!(problems[0].sentence.is_some(), "{endpoint}: {problems:?}");
    }
    assert_eq!(receiver.count(), 2);
    rig.stop().await;
}

#[tokio::test]
async fn what_waits_for_an_endpoint_that_is_no_more_is_cancelled_with_a_line_in_the_audit_log() {
    let (kept, removed) = (
        Receiver::start(Answer::Status(200)).await,
        Receiver::start(Answer::Status(500)).await,
    );
    let mut rig = Rig::new("", &[("kept", &kept, ""), ("removed", &removed, "")]).await;
    rig.add([1, 2]).await;
    rig.reach("kept", DispatchState::Delivered, 2).await;
    until("the other was tried", async || {
        let rows = rig.dispatches("removed").await;
        let is_tried = |row: &DispatchRow| row.state == DispatchState::Waiting && row.tries == 1;
        (rows.len() == 2 && rows.iter().all(is_tried)).then_some(())
    })
    .await;
    rig.config.send_replace(config("", &[("kept", &kept, "")]));
    rig.reach("removed", DispatchState::Cancelled, 2).await;
    rig.add([3]).await;
    rig.reach("kept", DispatchState::Delivered, 3).await;
    assert_eq!(rig.dispatches("removed").await.len(), 2, "nothing is made for it");
    rig.stop().await;
}

#[tokio::test]
async fn what_is_under_way_to_an_endpoint_that_is_no_more_is_cancelled_without_a_word() {
    let (other, removed) = (
        Receiver::start(Answer::Status(200)).await,
        Receiver::start(Answer::Never).await,
    );
    let hangs = "timeout = '1s'\nconcurrency = 2\nretry = { max_attempts = 1 }";
    let told = "events = ['endpoint.*', 'order.*']";
    let mut rig = Rig::new("", &[("other", &other, told), ("removed", &removed, hangs)]).await;
    rig.add([1, 2]).await;
    until("both are under way", async || {
        (removed.count() == 2).then_some(())
    })
    .await;
    rig.config.send_replace(config("", &[("other", &other, told)]));
    let rows = rig.reach("removed", DispatchState::Cancelled, 2).await;
    assert!(
        rows.iter()
            .all(|row| row.sentence.as_deref() == Some("its endpoint was removed")),
        "{rows:?}"
    );
    let story = rig.store.dispatch(rows[0].id).await.unwrap().unwrap();
    assert_eq!(story.tries.len(), 1, "that it was tried is told");
    rig.add([3]).await;
    rig.reach("other", DispatchState::Delivered, 3).await;
    assert_eq!(
        rig.dispatches("other").await.len(),
        3,
        "nobody is told that it fails"
    );
    rig.stop().await;
}

#[tokio::test]
async fn a_job_that_the_store_gave_up_is_told_as_failed() {
    let receiver = Receiver::start(Answer::Status(200)).await;
    let keys = "events = ['sync.failed']\npersonal_data = true";
    let mut rig = Rig::new("", &[("one", &receiver, keys)]).await;
    let given_up = GivenUpJob {
        job: JobId(7),
        key: JobKey {
            shop: "main".parse().unwrap(),
            object: Object::Order,
            direction: Direction::In,
            source_id: "4711".to_owned(),
        },
        record: Some("#1001".to_owned()),
        problem: NewProblem {
            code: "attempt_killed_the_process".into(),
            record: Some("#1001".to_owned()),
            field: None,
            reason: "It was killed.".to_owned(),
            fix: "Look.".to_owned(),
            owner: "operator".to_owned(),
            mapping: None,
            cluster: "one".to_owned(),
            detail: serde_json::Value::Null,
        },
    };
    let bodies = vec![given_up.to_body().unwrap()];
    rig.store
        .add_notifications(bodies, rig.clock.now())
        .await
        .unwrap();
    let rows = rig.reach("one", DispatchState::Delivered, 1).await;
    let body = receiver.received()[0].body.clone();
    assert_eq!(
        (&body["type"], &body["status"]),
        (&json!("sync.failed"), &json!("failed"))
    );
    assert_eq!(
        (&body["shop"], &body["direction"]),
        (&json!("main"), &json!("in"))
    );
    assert_eq!(body["object"]["name"], "#1001");
    assert_eq!(body["object"]["shopify"]["number"], 4711);
    assert_eq!(body["source"]["name"], "main-store.myshopify.com");
    assert_eq!(body["destination"]["name"], "prod");
    assert_eq!(body["problem"]["code"], "attempt_killed_the_process");
    assert_eq!(
        (&body["problem"]["job"], &body["problem"]["reason"]),
        (&json!(7), &json!("It was killed."))
    );
    // It is kept as every notification is.
    let story = rig.store.dispatch(rows[0].id).await.unwrap().unwrap();
    assert!(serde_json::from_str::<Notification>(&story.body.unwrap()).is_ok());
    assert_eq!(story.row.record.as_deref(), Some("#1001"));
    rig.stop().await;
}

#[tokio::test]
async fn a_stop_lets_what_is_under_way_end_and_gives_the_rest_back() {
    let receiver = Receiver::start(Answer::Never).await;
    let mut rig = Rig::idle("", &[("hanging", &receiver, "timeout = '1s'\nconcurrency = 2")]).await;
    rig.add(1..=10).await;
    rig.start();
    until("two are under way", async || {
        (receiver.count() == 2).then_some(())
    })
    .await;
    rig.stop().await;
    let rows = rig.dispatches("hanging").await;
    assert!(
        rows.iter().all(|row| row.state == DispatchState::Waiting),
        "{rows:?}"
    );
    assert_eq!(rows.iter().filter(|row| row.tries == 1).count(), 2);
    let failures: Vec<_> = rows.iter().filter_map(|row| row.failure.as_deref()).collect();
    assert_eq!(failures, ["no_answer", "no_answer"]);
}

#[tokio::test]
async fn only_the_node_with_the_newest_configuration_sends() {
    let receiver = Receiver::start(Answer::Status(200)).await;
    let mut rig = Rig::idle("", &[("one", &receiver, "")]).await;
    rig.standing.send_modify(|standing| standing.is_newest = false);
    rig.start();
    rig.add([1]).await;
    rig.clock.advance(Duration::from_secs(60));
    tokio::task::yield_now().await;
    assert_eq!(rig.store.outbox(10).await.unwrap().len(), 1);
    rig.standing.send_modify(|standing| standing.is_newest = true);
    rig.reach("one", DispatchState::Delivered, 1).await;
    rig.stop().await;
}

#[tokio::test]
async fn what_a_newer_version_told_waits_for_it_and_holds_up_no_other() {
    let receiver = Receiver::start(Answer::Status(200)).await;
    let mut rig = Rig::idle("", &[("one", &receiver, "")]).await;
    // More than one look takes.
    let newer = (0..250)
        .map(|number| format!(r#"{{"id":"evt_{number}","type":"order.praised"}}"#))
        .collect();
    rig.store.add_notifications(newer, rig.clock.now()).await.unwrap();
    let ids = rig.add([1]).await;
    rig.start();
    rig.reach("one", DispatchState::Delivered, 1).await;
    assert_eq!(once(&receiver.ids()), once(&ids));
    assert_eq!(rig.store.outbox(1_000).await.unwrap().len(), 250);
    rig.stop().await;
}

#[tokio::test]
async fn what_ended_long_ago_is_deleted_and_what_waits_is_kept() {
    let (taking, down) = (
        Receiver::start(Answer::Status(200)).await,
        Receiver::start(Answer::Status(500)).await,
    );
    let mut rig = Rig::new(
        "keep_days = 30",
        &[("taking", &taking, ""), ("down", &down, "state = 'paused'")],
    )
    .await;
    rig.add([1, 2]).await;
    rig.reach("taking", DispatchState::Delivered, 2).await;
    rig.clock.advance(Duration::from_secs(20 * 24 * 3600));
    rig.add([3]).await;
    rig.reach("taking", DispatchState::Delivered, 3).await;
    rig.reach("down", DispatchState::Waiting, 3).await;
    assert_eq!(down.count(), 0, "it is paused");
    rig.stop().await;
    let clock: SharedClock = Arc::new(rig.clock.clone());
    let stop = CancellationToken::new();
    let pruning =
        crate::app::notify::prune_on_schedule(rig.store.clone(), clock, rig.config.subscribe(), stop.clone());
    let pruning = tokio::spawn(pruning);
    tokio::task::yield_now().await;
    let day = Duration::from_secs(24 * 3600);
    rig.clock.advance(day * 15);
    until("those that ended long ago are deleted", async || {
        (rig.dispatches("taking").await.len() == 1).then_some(())
    })
    .await;
    until("the last one is deleted in its turn", async || {
        rig.clock.advance(day);
        rig.dispatches("taking").await.is_empty().then_some(())
    })
    .await;
    assert_eq!(rig.dispatches("down").await.len(), 3);
    stop.cancel();
    pruning.await.unwrap();
}
