//! The report as Markdown.

use std::fmt::Write as _;

use super::{FailedCause, Report, Slow};
use crate::app::numbers::length;
use crate::domain::Timestamp;

/// So many failures of a cause are named; all are in the JSON.
const NAMED: usize = 50;

impl Report {
    /// For people.
    pub fn markdown(&self) -> String {
        let mut text = String::new();
        let of = self
            .shop
            .as_ref()
            .map_or_else(String::new, |shop| format!(" of {}", escaped(shop.as_str())));
        line(
            &mut text,
            &format!("# Review{of}: {} to {}\n", day(self.since), day(self.until)),
        );
        self.numbers_table(&mut text);
        self.failures(&mut text);
        line(&mut text, "\n## Done by hand\n");
        if self.by_hand.is_empty() {
            line(&mut text, "Nothing.");
        } else {
            line(
                &mut text,
                "| When | Who | What | To what | Why |\n|---|---|---|---|---|",
            );
        }
        for act in &self.by_hand {
            let cells = [
                &minute(act.at),
                &act.actor,
                &act.action,
                &act.subject,
                act.reason.as_deref().unwrap_or("–"),
            ];
            line(&mut text, &row(&cells));
        }
        if self.by_hand_is_cut {
            line(
                &mut text,
                "\nMore was done than is listed here: these are the newest.",
            );
        }
        if !self.corrected.is_empty() {
            line(
                &mut text,
                "\n## Values that people put in place of ours\n\n| What | Field | Mapping | Shop | How many |\n|---|---|---|---|---:|",
            );
        }
        for count in &self.corrected {
            let cells = [
                count.object.as_str(),
                &count.field,
                &count.mapping,
                count.shop.as_str(),
                &count.count.to_string(),
            ];
            line(&mut text, &row(&cells));
        }
        line(&mut text, "\n## Slow\n");
        if self.slow.is_empty() {
            line(&mut text, "No job was completed.");
        } else {
            line(
                &mut text,
                "| Job | Record | Took | Until heard of | Until begun | In attempts | Between them | Longest attempt |\n\
                 |---|---|---|---|---|---|---|---|",
            );
        }
        for slow in &self.slow {
            line(&mut text, &slow_row(slow));
        }
        line(&mut text, "\n## Still open\n");
        if self.open.is_empty() {
            line(&mut text, "Nothing.");
        } else {
            line(
                &mut text,
                "| Shop | Code | Jobs | Since | Owner | Looked after by | What is wrong | What to do |\n\
                 |---|---|---|---|---|---|---|---|",
            );
        }
        for open in &self.open {
            let cells = [
                open.shop.as_str(),
                &open.code,
                &open.jobs.to_string(),
                &minute(open.opened_at),
                &open.owner,
                open.claimed_by.as_deref().unwrap_or("nobody"),
                &open.reason,
                &open.fix,
            ];
            line(&mut text, &row(&cells));
        }
        if self.open_is_cut {
            line(
                &mut text,
                "\nMore is open than is listed here: these are the most frequent.",
            );
        }
        text
    }

    fn numbers_table(&self, text: &mut String) {
        let total = &self.numbers.total;
        let count = |count: u64| count.to_string();
        let share =
            |percent: Option<u64>| percent.map_or_else(|| "–".to_owned(), |percent| format!("{percent} %"));
        let time = |ms: Option<u64>| ms.map_or_else(|| "–".to_owned(), length);
        line(text, "| Number | |\n|---|---:|");
        for (name, value) in [
            ("Completed jobs", count(total.completed)),
            ("Jobs with nothing left to do", count(total.obsolete)),
            ("Failed jobs", count(total.failed)),
            ("Success rate", share(total.success_percent)),
            ("Retries", count(total.retried)),
            (
                "Error frequency (attempts that failed)",
                share(total.error_percent),
            ),
            ("Manual corrections", count(self.numbers.manual_corrections)),
            ("Duplicate skips", count(self.numbers.duplicate_skips)),
            ("Source event to target record, half within", time(total.p50_ms)),
            (
                "Source event to target record, 95 in 100 within",
                time(total.p95_ms),
            ),
            (
                "Delivery success rate",
                share(self.numbers.delivery_success_percent),
            ),
            ("Deliveries taken", count(self.numbers.deliveries_accepted)),
            ("Deliveries refused", count(self.numbers.deliveries_failed)),
            (
                "Response time to deliveries, half within",
                time(self.numbers.answer_p50_ms),
            ),
            (
                "Response time to deliveries, 95 in 100 within",
                time(self.numbers.answer_p95_ms),
            ),
            ("Queue depth now", count(self.queue_depth)),
        ] {
            line(text, &row(&[name, &value]));
        }
    }

    fn failures(&self, text: &mut String) {
        line(text, "\n## Failed, by cause\n");
        if self.failed.is_empty() {
            line(text, "Nothing.");
        }
        for cause in &self.failed {
            line(text, &heading(cause));
            line(
                text,
                &format!("{} Owner: {}.\n", escaped(&cause.reason), escaped(&cause.owner)),
            );
            for failure in cause.failures.iter().take(NAMED) {
                let job = failure
                    .job
                    .map_or_else(|| "the shop itself".to_owned(), |job| format!("job {job}"));
                let record = failure
                    .record
                    .as_deref()
                    .map_or_else(String::new, |record| format!(" ({})", escaped(record)));
                let end = failure
                    .closed_at
                    .map_or_else(|| "open".to_owned(), |at| format!("over {}", minute(at)));
                line(
                    text,
                    &format!("- {job}{record}: {}, {end}", minute(failure.opened_at)),
                );
            }
            if let Some(more) = cause.failures.len().checked_sub(NAMED).filter(|more| *more > 0) {
                line(text, &format!("- and {more} more, all in the JSON"));
            }
        }
        if self.failed_is_cut {
            line(text, "\nMore failed than is listed here: these are the newest.");
        }
    }
}

fn heading(cause: &FailedCause) -> String {
    format!(
        "\n### {} times `{}` in {}, {} open\n",
        cause.failures.len(),
        cause.code.replace('`', "'"),
        escaped(cause.shop.as_str()),
        cause.open
    )
}

fn slow_row(slow: &Slow) -> String {
    let name = format!(
        "{} {} {}",
        slow.job.object,
        slow.job.direction,
        slow.job.record.as_deref().unwrap_or("–")
    );
    row(&[
        &slow.job.job.to_string(),
        &name,
        &length(slow.job.took_ms),
        &length(slow.until_heard_ms),
        &length(slow.until_begun_ms),
        &length(slow.in_attempts_ms),
        &length(slow.between_attempts_ms),
        slow.longest_attempt.as_deref().unwrap_or("–"),
    ])
}

fn line(text: &mut String, words: &str) {
    let _infallible = writeln!(text, "{words}");
}

fn row(cells: &[&str]) -> String {
    let cells: Vec<String> = cells.iter().map(|cell| escaped(cell)).collect();
    format!("| {} |", cells.join(" | "))
}

/// What would be markup is written so that it stays text.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            c if c.is_control() => out.push(' '),
            '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '|' | '#' => {
                out.push('\\');
                out.push(c);
            }
            '&' => out.push_str("&amp;"),
            c => out.push(c),
        }
    }
    out
}

fn day(at: Timestamp) -> String {
    at.to_utc().format("%Y-%m-%d").to_string()
}

fn minute(at: Timestamp) -> String {
    at.to_utc().format("%Y-%m-%d %H:%M").to_string()
}
