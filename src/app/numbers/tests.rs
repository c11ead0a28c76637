use std::sync::Arc;

use super::*;
use crate::domain::{Clock as _, Direction, ManualClock, Object};
use crate::store::RejectionCount;
use crate::store::testing::open_temp;

const START: Timestamp = Timestamp::from_millis(1_795_608_000_000);

fn shop(name: &str) -> ShopName {
    name.parse().unwrap()
}

fn tally(of: &str, hour: u32, kind: TallyKind, bound_ms: u64, count: u64) -> Tally {
    let is_shops = matches!(kind, TallyKind::Repeated | TallyKind::Answered);
    Tally {
        hour: START.plus(HOUR * hour),
        shop: shop(of),
        lane: (!is_shops).then_some((Object::Order, Direction::In)),
        kind,
        bound_ms,
        count,
    }
}

#[tokio::test]
async fn numbers_are_sums_and_percentiles_of_the_hours() {
    let clock = ManualClock::new(START);
    let (_folder, store) = open_temp(Arc::new(clock.clone())).await;
    store
        .add_tallies(vec![
            tally("main", 0, TallyKind::Completed, 0, 90),
            tally("main", 0, TallyKind::Took, 100, 90),
            tally("main", 2, TallyKind::Completed, 0, 8),
            tally("main", 2, TallyKind::Took, 2_000, 5),
            tally("main", 2, TallyKind::Took, 60_000, 3),
            tally("main", 2, TallyKind::Failed, 0, 1),
            tally("main", 2, TallyKind::Obsolete, 0, 1),
            tally("main", 2, TallyKind::Retried, 0, 4),
            tally("main", 2, TallyKind::Repeated, 0, 7),
            tally("main", 2, TallyKind::Answered, 3, 95),
            tally("main", 2, TallyKind::Answered, 40, 5),
            tally("second", 2, TallyKind::Failed, 0, 50),
            tally("main", 3, TallyKind::Completed, 0, 1_000),
        ])
        .await
        .unwrap();
    let refused = |of: &str, count| RejectionCount {
        shop: of.to_owned(),
        reason: "bad_signature".to_owned(),
        hour: START,
        count,
    };
    store
        .count_rejections(vec![refused("main", 1), refused("-", 500)])
        .await
        .unwrap();
    let until = START.plus(HOUR * 3);
    let found = numbers(&store, Some(&shop("main")), START.plus(HOUR / 2), until)
        .await
        .unwrap();
    assert_eq!(
        (found.since, found.hours.len()),
        (START, 3),
        "the cut hour counts as a whole"
    );
    let total = &found.total;
    assert_eq!(
        (total.completed, total.obsolete, total.failed, total.retried),
        (98, 1, 1, 4)
    );
    assert_eq!((total.success_percent, total.error_percent), (Some(99), Some(5)));
    // Of 98, half is 49 and 95 in 100 are 94.
    assert_eq!((total.p50_ms, total.p95_ms), (Some(100), Some(2_000)));
    assert_eq!(
        found.hours[1].sums,
        Sums::default(),
        "an hour without work is told, too"
    );
    assert_eq!(found.hours[2].sums.p95_ms, Some(60_000));
    assert_eq!((found.duplicate_skips, found.deliveries_accepted), (7, 100));
    assert_eq!((found.answer_p50_ms, found.answer_p95_ms), (Some(3), Some(3)));
    assert_eq!(
        (found.deliveries_failed, found.delivery_success_percent),
        (1, Some(99))
    );
    assert_eq!(found.pace(), Some(49));
    let all = numbers(&store, None, START, until).await.unwrap();
    assert_eq!((all.total.failed, all.deliveries_failed), (51, 1), "{all:?}");
    let none = numbers(&store, Some(&shop("third")), START, clock.now())
        .await
        .unwrap();
    assert_eq!((none.total.success_percent, none.pace()), (None, None));
}

#[test]
fn lengths_are_told_in_their_unit() {
    for (ms, expected) in [
        (0, "0 ms"),
        (999, "999 ms"),
        (1_250, "1.2 s"),
        (99_999, "99.9 s"),
        (120_000, "2 min"),
        (7_200_000, "2 h"),
        (259_200_000, "3 days"),
    ] {
        assert_eq!(length(ms), expected);
    }
}
