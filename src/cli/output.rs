//! What commands print on stdout: tables for people, JSON for programs.
//!
//! In a terminal tables have borders and fit its width; piped they are plain columns, one row per line, nothing cut.

use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use comfy_table::{ContentArrangement, LineStyle, Table, TableStyle};
use serde::Serialize;

use super::failure::Failure;
use crate::domain::Timestamp;

/// Where results go.
#[derive(Clone, Copy, Debug)]
pub(super) struct Output {
    /// Whether the reader is a program.
    pub(super) json: bool,
    terminal: bool,
}

impl Output {
    /// The process's stdout.
    pub(super) fn stdout(json: bool) -> Self {
        Self {
            json,
            terminal: std::io::stdout().is_terminal(),
        }
    }

    /// Prints text and a line's end. Much of what is told was written by others, so nothing of it may steer the terminal.
    pub(super) fn line(self, text: impl AsRef<str>) {
        print(&harmless(text.as_ref()));
    }

    /// Prints one JSON document.
    pub(super) fn document<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(value)
            .map_err(|error| Failure::because("the result cannot be written as JSON", error))?;
        // For programs: every character as it is.
        print(&text);
        Ok(())
    }

    /// Prints rows under a header.
    pub(super) fn table<const N: usize>(
        self,
        header: [&str; N],
        rows: impl IntoIterator<Item = [String; N]>,
    ) {
        self.line(render(header, rows, self.terminal));
    }
}

fn print(text: &str) {
    // A reader that went away (`| head`) is no failure of ours.
    let _gone = writeln!(std::io::stdout().lock(), "{text}");
}

/// The text without what would steer a terminal; lines and tabs stay.
pub(super) fn harmless(text: &str) -> String {
    let text = text.replace("\r\n", "\n");
    let shown = |character: char| match character {
        '\n' | '\t' => character,
        character if character.is_control() => '\u{fffd}',
        character => character,
    };
    text.chars().map(shown).collect()
}

/// The same, but for colours, which are our own.
pub(super) fn harmless_but_coloured(text: &str) -> String {
    let (mut shown, mut rest) = (String::new(), text);
    while let Some(at) = rest.find("\u{1b}[") {
        shown.push_str(&harmless(&rest[..at]));
        let codes = &rest[at + 2..];
        let end = codes.find(|c: char| !(c.is_ascii_digit() || c == ';'));
        match end.filter(|end| codes[*end..].starts_with('m')) {
            Some(end) => {
                shown.push_str(&rest[at..=at + 2 + end]);
                rest = &codes[end + 1..];
            }
            None => {
                shown.push('\u{fffd}');
                rest = &rest[at + 1..];
            }
        }
    }
    shown.push_str(&harmless(rest));
    shown
}

/// A line below the header and nothing else: rows are told apart by their first column.
const RULED: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

/// The table as text.
pub(super) fn render<const N: usize>(
    header: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
    terminal: bool,
) -> String {
    let mut table = Table::new();
    if terminal {
        table.load_style(RULED);
        // A terminal that does not tell its width (or a silly one) lets lines run over rather than cutting words to letters.
        table.set_content_arrangement(match table.width() {
            Some(60..) => ContentArrangement::Dynamic,
            _ => ContentArrangement::Disabled,
        });
    } else {
        table
            .load_style(TableStyle::new())
            .set_content_arrangement(ContentArrangement::Disabled);
    }
    table.set_header(header);
    for row in rows {
        // A line break inside a cell would make two lines of a plain row.
        table.add_row(row.map(|cell| {
            let cell = harmless(&cell);
            if terminal { cell } else { cell.replace('\n', " ") }
        }));
    }
    let text = table.to_string();
    text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

/// `3 min ago (2026-11-20 10:00:00Z)`: relative for people, absolute to be sure.
pub(super) fn time(now: Timestamp, at: Timestamp) -> String {
    format!("{} ({})", relative(now, at), absolute(at))
}

/// A point in time, UTC, to the second.
pub(super) fn absolute(at: Timestamp) -> String {
    at.to_utc().format("%Y-%m-%d %H:%M:%SZ").to_string()
}

/// How long ago, or in how long.
pub(super) fn relative(now: Timestamp, at: Timestamp) -> String {
    if at > now {
        match at.since(now) {
            short if short < Duration::from_secs(1) => "now".to_owned(),
            wait => format!("in {}", span(wait)),
        }
    } else {
        match now.since(at) {
            short if short < Duration::from_secs(1) => "now".to_owned(),
            age => format!("{} ago", span(age)),
        }
    }
}

/// A length of time in its largest fitting unit.
pub(super) fn span(length: Duration) -> String {
    let seconds = length.as_secs();
    match seconds {
        0 => format!("{} ms", length.as_millis()),
        1..=99 => format!("{seconds} s"),
        100..=5_999 => format!("{} min", seconds / 60),
        6_000..=172_799 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// A count with its noun: `1 job`, `2 jobs`.
pub(super) fn counted(count: u64, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_in_the_largest_fitting_unit() {
        let now = Timestamp::parse_rfc3339("2026-11-20T10:00:00Z").unwrap();
        for (at, expected) in [
            ("2026-11-20T10:00:00Z", "now (2026-11-20 10:00:00Z)"),
            ("2026-11-20T09:59:18Z", "42 s ago (2026-11-20 09:59:18Z)"),
            ("2026-11-20T09:57:00Z", "3 min ago (2026-11-20 09:57:00Z)"),
            ("2026-11-19T10:00:00Z", "24 h ago (2026-11-19 10:00:00Z)"),
            ("2026-11-17T10:00:00Z", "3 d ago (2026-11-17 10:00:00Z)"),
            ("2026-11-20T10:05:00Z", "in 5 min (2026-11-20 10:05:00Z)"),
        ] {
            assert_eq!(time(now, Timestamp::parse_rfc3339(at).unwrap()), expected, "{at}");
        }
    }

    #[test]
    fn what_others_wrote_steers_no_terminal() {
        assert_eq!(
            harmless("a\u{1b}[2Jb\tc\r\nd\re\u{9b}1m\u{7f}\n"),
            "a\u{fffd}[2Jb\tc\nd\u{fffd}e\u{fffd}1m\u{fffd}\n"
        );
        assert_eq!(
            harmless_but_coloured("a\u{1b}[1;31mb\u{1b}[0m\u{1b}[2Jc\u{1b}]0;d\u{1b}[3"),
            "a\u{1b}[1;31mb\u{1b}[0m\u{fffd}[2Jc\u{fffd}]0;d\u{fffd}[3"
        );
        for terminal in [false, true] {
            let text = render(["A"], [["\u{1b}]0;mine\u{7}".to_owned()]], terminal);
            assert!(text.contains("\u{fffd}]0;mine\u{fffd}"), "{text:?}");
        }
    }

    #[test]
    fn a_piped_table_is_one_plain_line_per_row() {
        let long = "x".repeat(300);
        let text = render(
            ["A", "B"],
            [
                ["1".to_owned(), "two\nlines".to_owned()],
                ["2".to_owned(), long.clone()],
            ],
            false,
        );
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 3, "{text}");
        assert!(
            lines[1].ends_with("two lines") && lines[2].ends_with(&long),
            "{text}"
        );
        assert!(text.is_ascii(), "{text}");
    }
}
