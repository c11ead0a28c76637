//! What is wrong with a configuration file, shown with file, line and caret.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use miette::{Diagnostic, LabeledSpan, NamedSource, Severity};
use serde::Serialize;

/// The most characters of a message.
const LONGEST: usize = 400;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// The configuration cannot be used.
    Error,
    /// It can be used, but somebody should look.
    Warning,
}

/// One thing to say about a place in the file. Texts never quote a value: the caret shows the place, and secrets are
/// blanked out there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub level: Level,
    /// What is wrong, one sentence.
    pub message: String,
    /// What the caret says; empty for a bare caret.
    pub label: String,
    /// What to do about it.
    pub help: Option<String>,
    /// Where, in bytes of the file.
    pub span: Range<usize>,
    /// Where in a file that is named there, if that is meant.
    pub elsewhere: Option<Elsewhere>,
    /// Whether the same text may be right another time: a file that it names is not there, say.
    pub outside: bool,
}

/// A place in a file that the configuration names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Elsewhere {
    /// The file.
    pub path: PathBuf,
    /// What it holds, secrets blanked out.
    pub text: Arc<str>,
    /// Where in it, in bytes.
    pub span: Range<usize>,
}

impl Finding {
    pub(super) fn error(span: Range<usize>, message: impl Into<String>) -> Self {
        let mut message = message.into();
        // A path or an expression that it names may be of any length.
        if let Some((end, _)) = message.char_indices().nth(LONGEST) {
            message.truncate(end);
            message.push('…');
        }
        Self {
            level: Level::Error,
            message,
            label: String::new(),
            help: None,
            span,
            elsewhere: None,
            outside: false,
        }
    }

    pub(super) fn warning(span: Range<usize>, message: impl Into<String>) -> Self {
        Self {
            level: Level::Warning,
            ..Self::error(span, message)
        }
    }

    /// What is wrong is not the text but something that it names.
    #[must_use]
    pub(super) fn outside(mut self) -> Self {
        self.outside = true;
        self
    }

    /// The place is in a file that the text names.
    #[must_use]
    pub(super) fn elsewhere(mut self, place: Elsewhere) -> Self {
        self.elsewhere = Some(Elsewhere {
            span: inside(&place.text, &place.span),
            ..place
        });
        self
    }

    #[must_use]
    pub(super) fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    #[must_use]
    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// The findings of one file and of those that it names, together with their texts (secrets blanked out).
#[derive(Clone, Debug)]
pub struct Findings {
    path: PathBuf,
    source: Arc<str>,
    found: Vec<Finding>,
}

/// A finding for programs (`check --json`).
#[derive(Clone, Debug, Serialize)]
pub struct FindingRow {
    /// How bad it is.
    pub level: Level,
    /// File.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

impl Findings {
    /// Findings about `source`, in the order of their places in it. Every place is moved inside the text.
    pub(super) fn new(path: &Path, source: impl Into<Arc<str>>, mut found: Vec<Finding>) -> Self {
        let source = source.into();
        for finding in &mut found {
            finding.span = inside(&source, &finding.span);
        }
        found.sort_by_key(|finding| (finding.span.start, finding.level == Level::Warning));
        found.dedup();
        Self {
            path: path.to_owned(),
            source,
            found,
        }
    }

    /// Each finding, in the order of its place.
    pub fn iter(&self) -> impl Iterator<Item = &Finding> {
        self.found.iter()
    }

    /// Whether there is nothing to say.
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// How many of them are errors.
    pub fn errors(&self) -> usize {
        self.found.iter().filter(|f| f.level == Level::Error).count()
    }

    /// Whether only another text helps: some error is not about a thing that the text merely names.
    pub fn are_in_the_text(&self) -> bool {
        self.found
            .iter()
            .any(|finding| finding.level == Level::Error && !finding.outside)
    }

    /// What is wrong, with the line that is meant, and what to do: for whoever does not look at the text.
    pub fn in_words(&self) -> String {
        let errors = self.found.iter().filter(|finding| finding.level == Level::Error);
        let sentences = errors.map(|finding| {
            let (path, text, span) = self.place(finding);
            let (number, _) = position(text, span.start);
            let line = text.lines().nth(number.saturating_sub(1)).unwrap_or_default();
            let help = finding.help.as_ref().map(|help| format!(" ({help})"));
            let file = finding.elsewhere.as_ref();
            let file = file.map(|_| format!("{}:{number}: ", path.display()));
            format!(
                "{}`{}`: {}{}",
                file.unwrap_or_default(),
                line.trim(),
                finding.message,
                help.unwrap_or_default()
            )
        });
        sentences.collect::<Vec<_>>().join("; ")
    }

    /// The file, its text, and the place in it that a finding is about.
    fn place<'f>(&'f self, finding: &'f Finding) -> (&'f Path, &'f Arc<str>, &'f Range<usize>) {
        match &finding.elsewhere {
            Some(place) => (&place.path, &place.text, &place.span),
            None => (&self.path, &self.source, &finding.span),
        }
    }

    /// Each finding as a report of its own, for printing.
    pub fn reports(&self) -> Vec<FindingReport> {
        self.found
            .iter()
            .map(|finding| {
                let (path, text, span) = self.place(finding);
                FindingReport {
                    finding: finding.clone(),
                    source: NamedSource::new(path.display().to_string(), Arc::clone(text)),
                    span: span.clone(),
                }
            })
            .collect()
    }

    /// Each finding for programs.
    pub fn rows(&self) -> Vec<FindingRow> {
        self.found
            .iter()
            .map(|finding| {
                let (path, text, span) = self.place(finding);
                let (line, column) = position(text, span.start);
                FindingRow {
                    level: finding.level,
                    file: path.display().to_string(),
                    line,
                    column,
                    message: finding.message.clone(),
                    help: finding.help.clone(),
                }
            })
            .collect()
    }
}

/// One line each: for logs, where there is no room for carets.
impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, row) in self.rows().iter().enumerate() {
            let newline = if n > 0 { "\n" } else { "" };
            write!(
                f,
                "{newline}{}:{}:{}: {}",
                row.file, row.line, row.column, row.message
            )?;
        }
        Ok(())
    }
}

/// One finding with the text it is about, ready for miette's printers.
#[derive(Debug)]
pub struct FindingReport {
    finding: Finding,
    source: NamedSource<Arc<str>>,
    span: Range<usize>,
}

impl fmt::Display for FindingReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.finding.message)
    }
}

impl std::error::Error for FindingReport {}

impl Diagnostic for FindingReport {
    fn severity(&self) -> Option<Severity> {
        Some(match self.finding.level {
            Level::Error => Severity::Error,
            Level::Warning => Severity::Warning,
        })
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.finding
            .help
            .as_ref()
            .map(|help| Box::new(help) as Box<dyn fmt::Display + 'a>)
    }

    fn source_code(&self) -> Option<&dyn miette::SourceCode> {
        Some(&self.source)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        // miette draws a caret only where there is a label.
        let label = if self.finding.label.is_empty() {
            "here"
        } else {
            &self.finding.label
        };
        Some(Box::new(std::iter::once(LabeledSpan::new_with_span(
            Some(label.to_owned()),
            self.span.clone(),
        ))))
    }
}

/// Line and column, both from 1, of a byte of the text.
fn position(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (
        before.matches('\n').count() + 1,
        before[line_start..].chars().count() + 1,
    )
}

/// `span` cut to the text and to whole characters.
fn inside(text: &str, span: &Range<usize>) -> Range<usize> {
    let snap = |at: usize| {
        let at = at.min(text.len());
        (0..=at).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
    };
    let start = snap(span.start);
    start..snap(span.end).max(start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_characters_from_one() {
        let text = "a\nüb = 1\n";
        assert_eq!(position(text, 0), (1, 1));
        assert_eq!(position(text, text.find('b').unwrap()), (2, 2));
        assert_eq!(position(text, 999), (3, 1));
    }

    #[test]
    fn places_outside_the_text_are_moved_into_it() {
        assert_eq!(inside("aü", &(2..9)), 1..3);
        assert_eq!(inside("", &(5..9)), 0..0);
    }
}
