//! The numbers of a shop's last day: sums, and a small chart that is drawn here, as SVG without a script or a style of its
//! own. The same stands beside it as a table.

use super::view::{Moment, span};
use crate::app::numbers::{HourNumbers, Numbers, length};
use crate::domain::Timestamp;

/// The width of an hour, and of the gap within it.
const STEP: u64 = 20;
const GAP: u64 = 4;

/// The heights of the two parts.
const COUNTS_HIGH: u64 = 48;
const TIMES_HIGH: u64 = 48;

/// Where the second part ends.
const BOTTOM: u64 = COUNTS_HIGH + 16 + TIMES_HIGH;

/// The axis has a mark every so many hours.
const MARK_EVERY: usize = 6;

/// Times are drawn by their logarithm, from this on, in milliseconds.
const SHORTEST: u64 = 64;

/// A rectangle of the chart.
pub(super) struct Bar {
    pub(super) class: &'static str,
    pub(super) x: u64,
    pub(super) y: u64,
    pub(super) width: u64,
    pub(super) height: u64,
}

/// One hour in words.
pub(super) struct HourView {
    pub(super) hour: String,
    pub(super) completed: u64,
    pub(super) failed: u64,
    pub(super) retried: u64,
    pub(super) p50: String,
    pub(super) p95: String,
}

/// A shop's last day.
pub(super) struct NumbersView {
    pub(super) success: String,
    pub(super) completed: u64,
    pub(super) failed: u64,
    pub(super) retried: u64,
    pub(super) corrections: u64,
    pub(super) duplicates: u64,
    pub(super) p50: String,
    pub(super) p95: String,
    pub(super) deliveries: String,
    /// What the chart shows, in a sentence.
    pub(super) words: String,
    pub(super) bars: Vec<Bar>,
    pub(super) width: u64,
    pub(super) height: u64,
    /// What the tallest bars stand for.
    pub(super) most: u64,
    pub(super) longest: String,
    /// The base lines of both parts.
    pub(super) bases: [u64; 2],
    /// Where a mark stands on them, every six hours.
    pub(super) marks: Vec<u64>,
    /// The times under the marks, from left to right, and when the picture ends.
    pub(super) times: Vec<String>,
    pub(super) hours: Vec<HourView>,
}

fn percent(share: Option<u64>) -> String {
    share.map_or_else(|| "–".to_owned(), |percent| format!("{percent} %"))
}

fn time(ms: Option<u64>) -> String {
    ms.map_or_else(|| "–".to_owned(), length)
}

impl NumbersView {
    /// Nothing where nothing was done.
    pub(super) fn new(numbers: &Numbers) -> Option<Self> {
        let total = &numbers.total;
        if total.completed + total.obsolete + total.failed + total.retried + total.held == 0 {
            return None;
        }
        let hours = numbers.hours.iter().map(|hour| HourView {
            hour: hour.hour.to_utc().format("%H:%M").to_string(),
            completed: hour.sums.completed,
            failed: hour.sums.failed,
            retried: hour.sums.retried,
            p50: time(hour.sums.p50_ms),
            p95: time(hour.sums.p95_ms),
        });
        Some(Self {
            success: percent(total.success_percent),
            completed: total.completed,
            failed: total.failed,
            retried: total.retried,
            corrections: numbers.manual_corrections,
            duplicates: numbers.duplicate_skips,
            p50: time(total.p50_ms),
            p95: time(total.p95_ms),
            deliveries: percent(numbers.delivery_success_percent),
            words: format!(
                "By the hour, from {} to {} UTC: above, {} completed jobs and {} that needed a person; below, how long half and \
                 95 in 100 of them took from the change to the record, {} and {} over the day.",
                numbers.since.to_utc().format("%H:%M"),
                numbers.until.to_utc().format("%H:%M"),
                total.completed,
                total.failed,
                time(total.p50_ms),
                time(total.p95_ms)
            ),
            bars: bars(&numbers.hours),
            most: most(&numbers.hours),
            longest: time(longest(&numbers.hours)),
            bases: [COUNTS_HIGH, BOTTOM],
            marks: (0..=numbers.hours.len() as u64)
                .step_by(MARK_EVERY)
                .map(|hour| hour * STEP)
                .collect(),
            times: numbers
                .hours
                .iter()
                .step_by(MARK_EVERY)
                .map(|hour| hour.hour)
                .chain([numbers.until])
                .map(|at| at.to_utc().format("%H:%M").to_string())
                .collect(),
            width: STEP * numbers.hours.len() as u64,
            height: BOTTOM,
            hours: hours.collect(),
        })
    }
}

/// The most jobs of an hour.
fn most(hours: &[HourNumbers]) -> u64 {
    let counts = hours.iter().map(|hour| hour.sums.completed + hour.sums.failed);
    counts.max().unwrap_or(0)
}

/// The longest time of an hour within which 95 in 100 were done, in milliseconds.
fn longest(hours: &[HourNumbers]) -> Option<u64> {
    hours.iter().filter_map(|hour| hour.sums.p95_ms).max()
}

/// Counts above, times below, from left to right.
fn bars(hours: &[HourNumbers]) -> Vec<Bar> {
    let most = most(hours).max(1);
    let longest = longest(hours).unwrap_or(0).max(SHORTEST * 2);
    let mut bars = Vec::new();
    for (at, hour) in hours.iter().enumerate() {
        let x = STEP * at as u64 + GAP / 2;
        let mut add = |class, height: u64, bottom: u64| {
            if height > 0 {
                bars.push(Bar {
                    class,
                    x,
                    y: bottom - height,
                    width: STEP - GAP,
                    height,
                });
            }
        };
        // What there was is seen, however little it is.
        let high = |count: u64| (count * COUNTS_HIGH).div_ceil(most).min(COUNTS_HIGH);
        let failed = high(hour.sums.failed).min(COUNTS_HIGH - u64::from(hour.sums.completed > 0));
        let done = high(hour.sums.completed).min(COUNTS_HIGH - failed);
        add("failed", failed, COUNTS_HIGH);
        add("done", done, COUNTS_HIGH - failed);
        for (class, ms) in [("p95", hour.sums.p95_ms), ("p50", hour.sums.p50_ms)] {
            if let Some(ms) = ms {
                let height = (logarithm(ms) * TIMES_HIGH / logarithm(longest)).clamp(1, TIMES_HIGH);
                add(class, height, BOTTOM);
            }
        }
    }
    bars
}

/// A hundred for each doubling above the shortest time; in between on a straight line.
fn logarithm(ms: u64) -> u64 {
    let times = (ms * 100 / SHORTEST).max(100);
    let doublings = u64::from((times / 100).ilog2());
    let whole = 100 << doublings;
    doublings * 100 + (times - whole) * 100 / whole
}

/// What an outage means: since when, how many wait, what happens by itself, and when it will be worked off.
pub(super) fn outage(
    who: &str,
    system: &str,
    since: Timestamp,
    why: Option<&str>,
    waiting: u64,
    pace: Option<u64>,
    now: Timestamp,
) -> String {
    let why = why.map(|why| format!(" ({why})")).unwrap_or_default();
    let waits = match waiting {
        0 => "No job waits".to_owned(),
        1 => "1 job waits".to_owned(),
        many => format!("{many} jobs wait"),
    };
    let done = match pace.filter(|pace| *pace > 0) {
        _ if waiting == 0 => String::new(),
        Some(pace) => {
            let minutes = (waiting * 60).div_ceil(pace).max(1);
            format!(
                " At the pace of the last day ({pace} an hour) they are worked off about {} after that.",
                span(std::time::Duration::from_secs(minutes * 60))
            )
        }
        None => {
            " When they will be worked off is not known: nothing was completed in the last day.".to_owned()
        }
    };
    format!(
        "{who}: {system} has not answered for {}, since {}{why}. {waits}, none is lost: deliveries are taken in as always. It is \
         tried again all the time, and everything goes on by itself once it answers.{done}",
        span(now.since(since)),
        Moment::new(now, since).exact
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::numbers::Sums;

    fn hour(completed: u64, failed: u64, times: Option<(u64, u64)>) -> HourNumbers {
        HourNumbers {
            hour: Timestamp::default(),
            sums: Sums {
                completed,
                failed,
                p50_ms: times.map(|times| times.0),
                p95_ms: times.map(|times| times.1),
                ..Sums::default()
            },
        }
    }

    #[test]
    fn bars_stay_in_the_picture_and_nothing_that_was_there_is_missing() {
        let hours = [
            hour(0, 0, None),
            hour(10_000, 1, Some((1, 90_000_000))),
            hour(1, 10_000, Some((64, 64))),
        ];
        let bars = bars(&hours);
        let of = |x: u64, class: &str| bars.iter().find(|bar| bar.x / STEP == x && bar.class == class);
        assert!(
            bars.iter().all(|bar| bar.x / STEP > 0),
            "nothing was done in the first hour"
        );
        assert_eq!(of(1, "failed").unwrap().height, 1);
        assert_eq!(of(2, "failed").unwrap().height, COUNTS_HIGH - 1);
        assert_eq!(of(1, "p95").unwrap().height, TIMES_HIGH);
        assert_eq!(of(1, "p50").unwrap().height, 1);
        for bar in &bars {
            assert!(
                bar.y + bar.height <= BOTTOM && bar.height > 0,
                "{} {}",
                bar.class,
                bar.height
            );
            let is_above = matches!(bar.class, "done" | "failed");
            assert_eq!(bar.y + bar.height <= COUNTS_HIGH, is_above);
        }
    }

    #[test]
    fn the_axis_says_when_and_what_the_tallest_bars_stand_for() {
        let since = Timestamp::parse_rfc3339("2026-12-01T10:00:00Z").unwrap();
        let step = std::time::Duration::from_secs(3600);
        let mut hours = Vec::new();
        for at in 0..24_u32 {
            hours.push(HourNumbers {
                hour: since.plus(step * at),
                ..hour(u64::from(at), 1, (at == 5).then_some((900, 240_000)))
            });
        }
        let numbers = Numbers {
            hours,
            total: Sums {
                completed: 276,
                ..Sums::default()
            },
            since,
            until: since.plus(step * 24),
            ..Numbers::default()
        };
        let view = NumbersView::new(&numbers).unwrap();
        assert_eq!(view.times, ["10:00", "16:00", "22:00", "04:00", "10:00"]);
        assert_eq!(view.marks, [0, 120, 240, 360, 480]);
        assert_eq!((view.most, view.longest.as_str()), (24, length(240_000).as_str()));
    }

    #[test]
    fn an_outage_says_when_it_will_be_worked_off() {
        let since = Timestamp::from_millis(1_795_608_000_000);
        let now = since.plus(std::time::Duration::from_secs(600));
        let told = |waiting, pace| outage("main", "the ERP", since, Some("HTTP 503"), waiting, pace, now);
        let text = told(90, Some(60));
        for part in [
            "has not answered for 10 min, since 2026-11-25 12:00:00Z (HTTP 503)",
            "90 jobs wait, none is lost",
            "At the pace of the last day (60 an hour) they are worked off about 90 min after that.",
        ] {
            assert!(text.contains(part), "{part}\n{text}");
        }
        assert!(told(5, None).contains("is not known"));
        assert!(!told(0, Some(60)).contains("pace"));
    }
}
