//! Who is sent how much when: rates, places, batches, replacing.

use super::receiver::Answer;
use super::*;

#[tokio::test]
async fn a_thousand_events_into_fifty_a_second_are_all_sent_and_never_faster() {
    let receiver = Receiver::start(Answer::Status(200)).await;
    let mut rig = Rig::idle("", &[("slow", &receiver, "rate = '50/s'\nconcurrency = 50")]).await;
    receiver.watch(&rig.clock);
    let ids = rig.add(1..=1_000).await;
    rig.start();
    // A tenth of the rate may come at once; the rest follows as the clock goes.
    let mut steps = 0;
    loop {
        let expected = (5 + steps * 5).min(1_000);
        while receiver.count() < expected {
            tokio::task::yield_now().await;
        }
        if expected == 1_000 {
            break;
        }
        rig.clock.advance(Duration::from_millis(100));
        steps += 1;
    }
    assert_eq!(steps, 199, "about twenty seconds");
    rig.reach("slow", DispatchState::Delivered, 1_000).await;
    let received = receiver.received();
    assert_eq!(received.len(), 1_000, "none twice");
    assert_eq!(once(&receiver.ids()), once(&ids), "none lost");
    for (n, first) in received.iter().enumerate() {
        let within = received[n..]
            .iter()
            .filter(|one| one.at.since(first.at) < Duration::from_secs(1))
            .count();
        assert!(within <= 50, "{within} from the {n}th on");
    }
    rig.stop().await;
}

pub(super) async fn one_that_hangs_delays_no_other(on: On) {
    let (hanging, quick) = (
        Receiver::start(Answer::Never).await,
        Receiver::start(Answer::Status(200)).await,
    );
    let rig = Rig::new_on(
        on,
        "",
        &[
            (
                "hanging",
                &hanging,
                "timeout = '30s'\nconcurrency = 2\npriority = 'high'",
            ),
            ("quick", &quick, "priority = 'low'"),
        ],
    )
    .await;
    rig.add(1..=40).await;
    rig.reach("quick", DispatchState::Delivered, 40).await;
    assert!(hanging.count() <= 2, "it has two places");
    let delivered = rig.dispatches("hanging").await;
    assert!(
        delivered.iter().all(|row| row.tries <= 1),
        "none of its tries has ended"
    );
}

pub(super) async fn of_what_waits_about_one_record_the_newest_is_sent(on: On) {
    let receiver = Receiver::start(Answer::Status(200)).await;
    let every = Receiver::start(Answer::Status(200)).await;
    let endpoints = [("newest", &receiver, "unique = true"), ("every", &every, "")];
    let mut rig = Rig::idle_on(on, "", &endpoints).await;
    let first = rig.add([1, 2]).await;
    let second = rig.add([1]).await;
    rig.start();
    rig.reach("newest", DispatchState::Delivered, 2).await;
    rig.reach("newest", DispatchState::Replaced, 1).await;
    assert_eq!(
        once(&receiver.ids()),
        BTreeSet::from([first[1].as_str(), second[0].as_str()])
    );
    let sequences: Vec<i64> = receiver
        .received()
        .iter()
        .map(|one| one.body["sequence"].as_i64().unwrap())
        .collect();
    assert!(sequences.iter().all(|sequence| *sequence > 1), "{sequences:?}");
    rig.reach("every", DispatchState::Delivered, 3).await;
    assert_eq!(
        once(&every.ids()),
        once(&[first, second].concat()),
        "who did not ask for it gets all"
    );
    rig.stop().await;
}

pub(super) async fn a_batch_that_failed_is_sent_again_as_it_was(on: On) {
    let receiver = Receiver::start(Answer::Status(500)).await;
    let mut rig = Rig::idle_on(on, "", &[("many", &receiver, "batch = 10\nconcurrency = 1")]).await;
    let ids = rig.add(1..=14).await;
    rig.start();
    until("both were tried", async || {
        let rows = rig.dispatches("many").await;
        let is_tried = |row: &DispatchRow| row.state == DispatchState::Waiting && row.tries == 1;
        (rows.len() == 14 && rows.iter().all(is_tried)).then_some(())
    })
    .await;
    let first = receiver.received();
    assert_eq!(first.len(), 2);
    receiver.answer(Answer::Status(204));
    // What came meanwhile does not join them.
    rig.add([15]).await;
    rig.reach("many", DispatchState::Delivered, 1).await;
    while rig.next_try("many").await {}
    rig.reach("many", DispatchState::Delivered, 15).await;
    let all = receiver.received();
    assert_eq!(all.len(), 5);
    let told = |ids: &mut Vec<(String, String)>, one: &receiver::Received| {
        ids.push((one.id.clone(), one.body["events"].to_string()));
    };
    let (mut before, mut after) = (Vec::new(), Vec::new());
    for one in &first {
        told(&mut before, one);
    }
    for one in &all[3..] {
        told(&mut after, one);
    }
    before.sort();
    after.sort();
    assert_eq!(before, after, "the same ids with the same content");
    let events: Vec<String> = first
        .iter()
        .flat_map(|one| one.body["events"].as_array().unwrap().clone())
        .map(|event| event["id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(once(&events), once(&ids));
    rig.stop().await;
}

#[tokio::test]
async fn what_failed_together_is_not_tried_again_together() {
    let receiver = Receiver::start(Answer::Status(500)).await;
    let mut rig = Rig::idle("", &[("down", &receiver, "concurrency = 20")]).await;
    rig.add(1..=20).await;
    rig.start();
    let rows = tried_once(&rig, "down", 20).await;
    let due: BTreeSet<Timestamp> = rows.iter().map(|row| row.due_at).collect();
    assert!(due.len() > 10, "{due:?}");
    rig.stop().await;
}

#[tokio::test]
async fn a_fault_that_says_how_long_it_takes_is_waited_out_by_what_it_met_alone() {
    let receiver = Receiver::start(Answer::Later(500, 7_200)).await;
    let mut rig = Rig::idle("", &[("down", &receiver, "concurrency = 1")]).await;
    rig.add([1]).await;
    rig.start();
    let rows = tried_once(&rig, "down", 1).await;
    let asked_for = Timestamp::from_millis(NOON).plus(Duration::from_secs(7_200));
    assert!(rows[0].due_at >= asked_for, "{:?}", rows[0].due_at);
    receiver.answer(Answer::Status(200));
    rig.add([2]).await;
    rig.reach("down", DispatchState::Delivered, 1).await;
    rig.stop().await;
}

/// Waits until so many of the endpoint's dispatches were tried once and wait for the next time.
async fn tried_once(rig: &Rig, endpoint: &str, count: usize) -> Vec<DispatchRow> {
    until("each was tried once", async || {
        let rows = rig.dispatches(endpoint).await;
        let is_tried = |row: &DispatchRow| row.state == DispatchState::Waiting && row.tries == 1;
        (rows.len() == count && rows.iter().all(is_tried)).then_some(rows)
    })
    .await
}

#[tokio::test]
async fn a_receiver_that_gets_too_much_is_left_alone_for_as_long_as_it_asks() {
    let receiver = Receiver::start(Answer::Later(429, 600)).await;
    let mut rig = Rig::idle("", &[("busy", &receiver, "concurrency = 1")]).await;
    rig.add(1..=3).await;
    rig.start();
    rig.reach("busy", DispatchState::Waiting, 3).await;
    until("it was asked once", async || {
        (receiver.count() == 1).then_some(())
    })
    .await;
    receiver.answer(Answer::Status(200));
    until("the first is to be tried later", async || {
        let rows = rig.dispatches("busy").await;
        rows.iter()
            .any(|row| row.tries == 1 && row.state == DispatchState::Waiting)
            .then_some(())
    })
    .await;
    rig.clock.advance(Duration::from_secs(595));
    rig.add([4]).await;
    until("it is fanned out", async || {
        (rig.dispatches("busy").await.len() == 4).then_some(())
    })
    .await;
    assert_eq!(receiver.count(), 1, "it rests");
    rig.clock.advance(Duration::from_secs(400));
    rig.reach("busy", DispatchState::Delivered, 4).await;
    rig.stop().await;
}
