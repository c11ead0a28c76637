//! Windows and judgements over random histories of one row, without I/O.

use std::time::Duration;

use proptest::prelude::*;

use super::super::window::{OVERLAP, Window};
use crate::domain::{ErpId, Timestamp};
use crate::erp::ChangedRow;
use crate::store::SeenRow;

const DAY: i64 = 1_795_514_400_000;

/// A transaction that writes the row: how long after the one before ended it begins, and how long it takes, in milliseconds.
type Write = (i64, i64);

proptest! {
    #[test]
    fn a_window_goes_on_where_the_last_one_overlaps(cursor in proptest::option::of(0..2 * DAY), newest in 0..2 * DAY) {
        let cursor = cursor.map(Timestamp::from_millis);
        let newest = Timestamp::from_millis(newest);
        let window = Window::open(cursor, newest);
        prop_assert!(window.since <= window.next && window.next < window.until);
        prop_assert!(window.until > newest && window.until.since(newest) <= Duration::from_secs(1));
        prop_assert_eq!(window.until.millis() % 1_000, 0);
        prop_assert_eq!(window.until.since(window.next), OVERLAP);
        prop_assert!(cursor.is_none_or(|cursor| window.since <= cursor), "nothing is skipped");
    }

    /// One row is written again and again by transactions shorter than the overlap; another row moves the time on. Whatever
    /// the times of the polls, every version that stays until the end is judged a change after it became visible.
    #[test]
    fn the_last_version_is_always_seen(
        writes in proptest::collection::vec((0..3_000_i64, 0..590_000_i64), 1..6),
        gaps in proptest::collection::vec(500..90_000_i64, 10..60),
        ours in -5_000..5_000_i64,
    ) {
        check(&writes, &gaps, ours)?;
    }
}

fn check(writes: &[Write], gaps: &[i64], ours: i64) -> Result<(), TestCaseError> {
    // (began, visible from, version)
    let mut versions = Vec::new();
    let mut at = DAY;
    for (version, (pause, lasts)) in writes.iter().enumerate() {
        at += pause;
        versions.push((at, at + lasts, version));
        at += lasts;
    }
    let end = at;
    let mut polls = Vec::new();
    let mut time = DAY;
    for gap in gaps.iter().cycle() {
        time += gap;
        polls.push(time);
        if time > end + 2 * 600_000 {
            break;
        }
    }
    let second = |millis: i64| Timestamp::from_millis(millis - millis.rem_euclid(1_000));
    let (mut cursor, mut seen, mut known) =
        (Some(Timestamp::from_millis(DAY - 600_000)), None::<SeenRow>, None);
    for poll in polls {
        // The other row was written a moment ago.
        let window = Window::open(cursor, second(poll));
        let visible = versions.iter().rev().find(|(_, from, _)| *from <= poll);
        if let Some((began, _, version)) = visible {
            let row = ChangedRow {
                id: ErpId(1),
                at: second(*began),
                owner: None,
                alone: true,
            };
            if (window.since..window.until).contains(&row.at) && window.doubts(&row, seen.as_ref()) {
                let now = Timestamp::from_millis(poll + ours);
                let judged = window.judge(&row, seen.as_ref(), version.to_string(), now);
                if judged.is_change {
                    known = Some(*version);
                }
                seen = Some(judged.seen);
            }
        }
        seen = seen.filter(|seen| seen.written_at >= window.next);
        cursor = Some(window.next);
    }
    prop_assert_eq!(known, Some(writes.len() - 1));
    Ok(())
}
