//! Watching imports: how far they are, how fast they go, and whether anybody works on them.

use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use tokio::select;

use super::records::summary;
use crate::app::imports::of;
use crate::cli::Context;
use crate::cli::failure::{Failure, say};
use crate::cli::output::span;
use crate::domain::{SharedClock, Timestamp};
use crate::store::{ImportRow, ImportState, SharedStore};

/// How often it is looked how far imports are.
const LOOK: Duration = Duration::from_secs(1);

/// How many looks pass between two lines in a log.
const LOOKS_PER_LINE: u32 = 30;

/// Shows imports until they are over or stopped, or nobody wants to see more.
pub(super) async fn follow(
    context: &Context,
    store: &SharedStore,
    clock: &SharedClock,
    ids: &[i64],
    totals: &[Option<u64>],
) -> Result<(), Failure> {
    let is_terminal = std::io::stderr().is_terminal();
    let mut attendance = Attendance::default();
    let mut watched = None;
    for look in 0_u32.. {
        let rows = of(store, ids).await?;
        let is_over = rows.iter().all(|row| row.state != ImportState::Running);
        if let Some(row) = rows
            .iter()
            .find(|row| row.state == ImportState::Running)
            .or(rows.last())
        {
            let total = ids
                .iter()
                .position(|id| *id == row.id)
                .and_then(|at| totals.get(at).copied());
            let pace = Watched::pace(&mut watched, row, clock.now());
            if row.state == ImportState::Running
                && let Some(change) = attendance.seen(store.nodes(clock.now()).await?.len())
            {
                if is_terminal {
                    let _gone = write!(std::io::stderr().lock(), "\r\x1b[K");
                }
                say(change);
            }
            let line = progress(row, total.flatten(), pace);
            if is_terminal {
                // Over the line before, whose rest is cleared.
                let _gone = write!(std::io::stderr().lock(), "\r\x1b[K{line}");
            } else if look.is_multiple_of(LOOKS_PER_LINE) || is_over {
                say(&line);
            }
        }
        if is_over {
            if is_terminal {
                say("");
            }
            return summary(context, &rows);
        }
        select! {
            () = tokio::time::sleep(LOOK) => {}
            _ = tokio::signal::ctrl_c() => {
                say(if is_terminal { "\n" } else { "" });
                say("not watched any more; the import goes on. `lockstep import --status` shows it, `lockstep import --stop` stops it");
                return Ok(());
            }
        }
    }
    Ok(())
}

/// Whether a daemon works on what is watched. One that is only started anew is no reason to end the watching.
#[derive(Debug, Default)]
struct Attendance {
    is_alone: bool,
}

impl Attendance {
    /// What is to be said now that so many daemons live; none where that is as it was.
    fn seen(&mut self, daemons: usize) -> Option<&'static str> {
        let was_alone = std::mem::replace(&mut self.is_alone, daemons == 0);
        match (was_alone, self.is_alone) {
            (false, true) => Some(
                "no daemon runs any more: the import stands still, and goes on where it stood once `lockstep serve` runs again. \
                 Watching on; Ctrl-C ends that",
            ),
            (true, false) => Some("a daemon runs again: the import goes on"),
            (false, false) | (true, true) => None,
        }
    }
}

/// An import as it stood when it was shown first: of several, each has its own time.
#[derive(Clone, Copy, Debug)]
struct Watched {
    import: i64,
    over: u64,
    at: Timestamp,
}

impl Watched {
    /// How fast the import goes that is shown now.
    fn pace(watched: &mut Option<Self>, row: &ImportRow, now: Timestamp) -> Pace {
        let over = row.counts.over();
        let first = watched.filter(|first| first.import == row.id).unwrap_or(Self {
            import: row.id,
            over,
            at: now,
        });
        *watched = Some(first);
        Pace {
            done: over.saturating_sub(first.over),
            within: now.since(first.at),
        }
    }
}

/// How fast it went since it was watched.
#[derive(Clone, Copy, Debug)]
struct Pace {
    done: u64,
    within: Duration,
}

/// One line: how far, how fast, how long still.
fn progress(row: &ImportRow, total: Option<u64>, pace: Pace) -> String {
    let over = row.counts.over();
    let total = if row.is_listed {
        Some(row.listed)
    } else {
        total.map(|total| total.max(row.listed))
    };
    let how_far = match total.filter(|total| *total > 0) {
        Some(total) => {
            let full = usize::try_from(over.min(total) * 24 / total).unwrap_or(0);
            format!(
                "[{}{}] {over} of {total}",
                "#".repeat(full),
                ".".repeat(24 - full)
            )
        }
        None => format!("{over} of {} listed so far", row.listed),
    };
    let mut parts = vec![format!("{}s {how_far}", row.object)];
    let seconds = pace.within.as_secs();
    if pace.done > 0 && seconds > 0 {
        parts.push(format!("{} a minute", pace.done * 60 / seconds));
        if let Some(left) = total
            .map(|total| total.saturating_sub(over))
            .filter(|left| *left > 0)
        {
            let rest = Duration::from_secs(left * seconds / pace.done);
            parts.push(format!("about {} left", span(rest)));
        }
    }
    if row.counts.problems > 0 {
        parts.push(format!("{} need a person", row.counts.problems));
    }
    if let Some(error) = &row.error {
        parts.push(format!("it waits: {error}"));
    }
    parts.join(", ")
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::domain::Object;
    use crate::store::ImportCounts;

    pub(in crate::cli::import) fn row(listed: u64, is_listed: bool, over: u64) -> ImportRow {
        ImportRow {
            id: 1,
            shop: "main".parse().unwrap(),
            object: Object::Order,
            since: None,
            until: None,
            actor: "ada".to_owned(),
            state: ImportState::Running,
            cursor: None,
            listed,
            pending: 0,
            is_listed,
            error: None,
            warning: None,
            started_at: Timestamp::from_millis(0),
            ended_at: None,
            counts: ImportCounts {
                created: over,
                ..ImportCounts::default()
            },
        }
    }

    #[test]
    fn that_nobody_works_on_it_is_said_once_each_time() {
        let mut attendance = Attendance::default();
        let seen: Vec<&str> = [1, 1, 0, 0, 0, 2, 1, 0]
            .into_iter()
            .map(|daemons| attendance.seen(daemons).unwrap_or_default())
            .map(|said| said.split(':').next().unwrap())
            .collect();
        let (gone, back) = ("no daemon runs any more", "a daemon runs again");
        assert_eq!(seen, ["", "", gone, "", "", back, "", gone]);
    }

    #[test]
    fn a_line_says_how_far_how_fast_and_how_long_still() {
        let pace = |done, seconds| Pace {
            done,
            within: Duration::from_secs(seconds),
        };
        for (row, total, pace, expected) in [
            (
                row(250, false, 0),
                None,
                pace(0, 0),
                "orders 0 of 250 listed so far",
            ),
            (
                row(250, false, 100),
                Some(1_000),
                pace(100, 60),
                "orders [##......................] 100 of 1000, 100 a minute, about 9 min left",
            ),
            // More were made since they were counted.
            (
                row(1_200, true, 1_200),
                Some(1_000),
                pace(600, 60),
                "orders [########################] 1200 of 1200, 600 a minute",
            ),
            (
                row(0, true, 0),
                Some(0),
                pace(0, 9),
                "orders 0 of 0 listed so far",
            ),
        ] {
            assert_eq!(progress(&row, total, pace), expected);
        }
    }

    #[test]
    fn each_import_has_its_own_pace() {
        let at = |seconds: i64| Timestamp::from_millis(seconds * 1_000);
        let mut watched = None;
        let mut orders = row(100, true, 0);
        orders.id = 2;
        for (row, seconds, expected) in [
            // What was done before it was watched counts for nothing.
            (&row(5_000, true, 1_000), 0, (0, 0)),
            (&row(5_000, true, 4_000), 600, (3_000, 600)),
            // The next one begins anew, however long the first one took.
            (&orders, 601, (0, 0)),
            (
                &ImportRow {
                    counts: row(0, true, 10).counts,
                    ..orders.clone()
                },
                611,
                (10, 10),
            ),
        ] {
            let pace = Watched::pace(&mut watched, row, at(seconds));
            assert_eq!((pace.done, pace.within.as_secs()), expected, "at {seconds} s");
        }
    }
}
