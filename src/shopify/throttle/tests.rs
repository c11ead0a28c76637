//! The line before the bucket, on a clock that only the test moves.

use std::sync::Arc;

use super::*;
use crate::domain::{ManualClock, SeededEntropy};

const DOCUMENT: Document = Document {
    name: "Costly",
    text: "",
    points: 300.0,
    writes: false,
    tells_refusals: false,
    searches: false,
};
const CHEAP: Document = Document {
    name: "Cheap",
    points: 1.0,
    ..DOCUMENT
};

fn throttle() -> (ManualClock, Throttle) {
    let clock = ManualClock::new(Timestamp::from_millis(1_000_000));
    let throttle = Throttle::new(Arc::new(clock.clone()), Arc::new(SeededEntropy::new(1)));
    (clock, throttle)
}

fn in_s(clock: &ManualClock, seconds: u64) -> Timestamp {
    use crate::domain::Clock as _;
    clock.now().plus(Duration::from_secs(seconds))
}

fn told(requested: f64, level: f64) -> Cost {
    Cost {
        requested: Some(requested),
        status: Some(Status {
            maximum: 2000.0,
            level,
            rate: 100.0,
        }),
    }
}

#[tokio::test]
async fn answers_steer_level_and_cost() {
    let (clock, throttle) = throttle();
    let deadline = in_s(&clock, 30);
    assert_eq!(throttle.level(), None, "nothing was told yet");
    throttle
        .take(&DOCUMENT, deadline)
        .await
        .unwrap()
        .settle(told(500.0, 120.0));
    assert_eq!(throttle.level(), Some(120.0));
    // 500 - 120 = 380 points at 100 a second: 3.8 s and a moment.
    let mut waiting = Box::pin(throttle.take(&DOCUMENT, deadline));
    assert!(futures_util::poll!(&mut waiting).is_pending());
    clock.advance(Duration::from_millis(3_799));
    assert!(futures_util::poll!(&mut waiting).is_pending());
    clock.advance(Duration::from_millis(2));
    let permit = waiting.await.unwrap();
    assert!(throttle.level().unwrap() < 1.0);
    permit.settle(told(500.0, 1990.0));
    clock.advance(Duration::from_mins(1));
    assert_eq!(throttle.level(), Some(2000.0), "never above the bucket's size");
}

#[tokio::test]
async fn what_gives_way_leaves_half_of_the_bucket_and_nobody_waits_behind_it() {
    let (clock, throttle) = throttle();
    let deadline = in_s(&clock, 30);
    let first = throttle.take(&DOCUMENT, deadline).await.unwrap();
    first.settle(told(300.0, 2000.0));
    let import = || Box::pin(calls::giving_way(true, throttle.take(&DOCUMENT, deadline)));
    let mut permits = Vec::new();
    for _ in 0..3 {
        permits.push(import().await.unwrap());
    }
    assert_eq!(throttle.level(), Some(1100.0));
    let mut fourth = import();
    assert!(
        futures_util::poll!(&mut fourth).is_pending(),
        "half is for others"
    );
    // Live questions find points at once, although another one stands before the bucket.
    for _ in 0..3 {
        let mut live = Box::pin(throttle.take(&DOCUMENT, deadline));
        let std::task::Poll::Ready(permit) = futures_util::poll!(&mut live) else {
            panic!("what is live waits for an import");
        };
        permits.push(permit.unwrap());
    }
    assert_eq!(throttle.level(), Some(200.0));
    // 300 are wanted and 1000 stay: 11 s at 100 a second.
    clock.advance(Duration::from_millis(10_900));
    assert!(futures_util::poll!(&mut fourth).is_pending());
    clock.advance(Duration::from_millis(200));
    assert!(futures_util::poll!(&mut fourth).is_ready());
}

#[tokio::test]
async fn what_gave_way_for_half_of_its_time_stands_in_line() {
    let (clock, throttle) = throttle();
    let deadline = in_s(&clock, 30);
    let first = throttle.take(&DOCUMENT, deadline).await.unwrap();
    first.settle(told(300.0, 1000.0));
    let mut import = Box::pin(calls::giving_way(true, throttle.take(&DOCUMENT, deadline)));
    for _ in 0..15 {
        assert!(futures_util::poll!(&mut import).is_pending());
        // Others use up all that flows in.
        clock.advance(Duration::from_secs(1));
        let live = throttle.take(&CHEAP, deadline).await.unwrap();
        live.settle(told(100.0, 900.0));
    }
    assert!(futures_util::poll!(&mut import).is_ready());
}

#[tokio::test]
async fn of_those_that_gave_way_for_long_one_at_a_time_stands_before_a_live_question() {
    let (clock, throttle) = throttle();
    let deadline = in_s(&clock, 40);
    let first = throttle.take(&DOCUMENT, deadline).await.unwrap();
    first.settle(told(300.0, 0.0));
    let mut imports: Vec<_> = (0..5)
        .map(|_| Box::pin(calls::giving_way(true, throttle.take(&DOCUMENT, deadline))))
        .collect();
    for _ in 0..20 {
        for import in &mut imports {
            assert!(futures_util::poll!(import).is_pending());
        }
        // Others use up all that flows in.
        clock.advance(Duration::from_secs(1));
        let live = throttle.take(&CHEAP, deadline).await.unwrap();
        live.settle(told(100.0, 0.0));
    }
    for import in &mut imports {
        assert!(
            futures_util::poll!(import).is_pending(),
            "there is nothing to be had"
        );
    }
    let mut live = Box::pin(throttle.take(&CHEAP, in_s(&clock, 30)));
    assert!(
        futures_util::poll!(&mut live).is_pending(),
        "the first of them stands in line"
    );
    // 300 points for it, and 100 for the live one: 4 s at 100 a second.
    clock.advance(Duration::from_millis(3_100));
    let first = imports.remove(0).await.unwrap();
    for import in &mut imports {
        assert!(futures_util::poll!(import).is_pending());
    }
    clock.advance(Duration::from_secs(1));
    for import in &mut imports {
        assert!(futures_util::poll!(import).is_pending());
    }
    let std::task::Poll::Ready(live) = futures_util::poll!(&mut live) else {
        panic!("what is live waits for more than one of an import");
    };
    drop((first, live.unwrap()));
    // The next one's time began when the first one was through, and it finds half of the bucket.
    clock.advance(Duration::from_secs(14));
    drop(imports.remove(0).await.unwrap());
}

#[tokio::test]
async fn what_was_sent_later_is_taken_off_an_answers_level() {
    let (clock, throttle) = throttle();
    let deadline = in_s(&clock, 30);
    let first = throttle.take(&DOCUMENT, deadline).await.unwrap();
    let second = throttle.take(&DOCUMENT, deadline).await.unwrap();
    first.settle(told(300.0, 900.0));
    assert_eq!(
        throttle.level(),
        Some(600.0),
        "the second may have come after the answer"
    );
    second.settle(told(300.0, 880.0));
    assert_eq!(throttle.level(), Some(880.0));
    drop(throttle.take(&DOCUMENT, deadline).await.unwrap());
    assert_eq!(
        throttle.level(),
        Some(580.0),
        "a question without an answer stays paid for"
    );
    throttle
        .take(&CHEAP, deadline)
        .await
        .unwrap()
        .settle(told(1.0, 570.0));
    assert_eq!(
        throttle.level(),
        Some(570.0),
        "a dropped question is no longer under way"
    );
}

#[tokio::test]
async fn the_line_is_fair_and_the_wait_is_bounded() {
    let (clock, throttle) = throttle();
    let deadline = in_s(&clock, 10);
    throttle
        .take(&DOCUMENT, deadline)
        .await
        .unwrap()
        .settle(told(900.0, 0.0));
    let mut costly = Box::pin(throttle.take(&DOCUMENT, deadline));
    assert!(futures_util::poll!(&mut costly).is_pending());
    let mut cheap = Box::pin(throttle.take(&CHEAP, deadline));
    assert!(futures_util::poll!(&mut cheap).is_pending());
    clock.advance(Duration::from_secs(5));
    assert!(futures_util::poll!(&mut costly).is_pending());
    assert!(
        futures_util::poll!(&mut cheap).is_pending(),
        "a cheap question does not overtake"
    );
    clock.advance(Duration::from_secs(5));
    drop(costly.await.unwrap());
    drop(cheap.await.unwrap());
    // 900 points are 9 s away, which is past a deadline of 5 s: said at once.
    let refused = throttle.take(&DOCUMENT, in_s(&clock, 5)).await.unwrap_err();
    let ShopifyError::InLine { after: wait } = refused else {
        panic!("{refused:?}")
    };
    assert!(
        (8_000..10_000).contains(&u64::try_from(wait.as_millis()).unwrap()),
        "{wait:?}"
    );
}

#[tokio::test]
async fn whoever_waits_in_line_past_the_deadline_gives_up() {
    let (clock, throttle) = throttle();
    throttle.pause(Duration::from_hours(1));
    let mut first = Box::pin(throttle.take(&CHEAP, in_s(&clock, 7200)));
    assert!(futures_util::poll!(&mut first).is_pending());
    let mut second = Box::pin(throttle.take(&CHEAP, in_s(&clock, 30)));
    assert!(futures_util::poll!(&mut second).is_pending());
    clock.advance(Duration::from_secs(31));
    assert!(matches!(second.await, Err(ShopifyError::InLine { .. })));
    clock.advance(Duration::from_hours(1));
    drop(first.await.unwrap());
}

#[tokio::test]
async fn nobody_is_stopped_for_a_day() {
    let (clock, throttle) = throttle();
    throttle.pause(Duration::from_hours(24));
    assert!(matches!(
        throttle.take(&CHEAP, in_s(&clock, 30)).await,
        Err(ShopifyError::InLine { .. })
    ));
    clock.advance(LONGEST_PAUSE + JITTER);
    drop(throttle.take(&CHEAP, in_s(&clock, 0)).await.unwrap());
}

#[tokio::test]
async fn a_document_larger_than_the_bucket_waits_for_a_full_one_only() {
    let (clock, throttle) = throttle();
    let huge = Document {
        points: 1_000_000.0,
        ..DOCUMENT
    };
    drop(throttle.take(&huge, in_s(&clock, 1)).await.unwrap());
    assert!(matches!(
        throttle.take(&CHEAP, in_s(&clock, 0)).await,
        Err(ShopifyError::InLine { .. })
    ));
}
