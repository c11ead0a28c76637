//! Mistakes in mapping files, each with its file, line, a caret and, where a name is wrong, the nearest right one.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use miette::{Diagnostic, NamedSource, SourceSpan};

/// One mistake in a mapping file. Prints with `miette`'s excerpt of the file, or as one line by itself.
#[derive(Clone, Debug, thiserror::Error, Diagnostic)]
#[error("{message}")]
pub struct MappingError {
    /// The file's name, e.g. `order.in.toml`.
    pub file: String,
    /// Line, from 1; 0 when the file as a whole is meant.
    pub line: usize,
    /// What is wrong, in one sentence.
    pub message: String,
    /// How to put it right, where that is known.
    #[help]
    pub help: Option<String>,
    #[source_code]
    source_code: NamedSource<Arc<str>>,
    #[label("{label}")]
    span: SourceSpan,
    label: String,
}

impl MappingError {
    /// A mistake that is not at a place within a file: the file cannot be read, or is not one that we know.
    pub(super) fn of_file(file: &str, message: String, help: Option<String>) -> Self {
        Self {
            file: file.to_owned(),
            line: 0,
            message,
            help,
            source_code: NamedSource::new(file, Arc::from("")),
            span: (0, 0).into(),
            label: String::new(),
        }
    }
}

/// Everything that is wrong with a set of mapping files: none of them was taken.
#[derive(Clone, Debug, Diagnostic)]
pub struct MappingErrors {
    /// The mistakes, by file and line.
    #[related]
    pub errors: Vec<MappingError>,
}

impl std::error::Error for MappingErrors {}

/// The first mistake in one line, and how many more there are.
impl fmt::Display for MappingErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(first) = self.errors.first() else {
            return f.write_str("the mappings are not valid");
        };
        write!(f, "{}:{}: {}", first.file, first.line, first.message)?;
        match self.errors.len() {
            1 => Ok(()),
            n => write!(f, " (and {} more)", n - 1),
        }
    }
}

/// A place in a mapping file, in bytes.
pub(super) type Place = Range<usize>;

/// Collects the mistakes of one file.
pub(super) struct Diagnostics {
    pub(super) file: String,
    pub(super) text: Arc<str>,
    pub(super) errors: Vec<MappingError>,
    /// Where its lines end.
    line_ends: Vec<usize>,
}

impl Diagnostics {
    pub(super) fn new(file: &str, text: &str) -> Self {
        Self {
            file: file.to_owned(),
            text: Arc::from(text),
            errors: Vec::new(),
            line_ends: text.match_indices('\n').map(|(at, _)| at).collect(),
        }
    }

    /// The line of a place, from 1.
    pub(super) fn line(&self, at: usize) -> usize {
        self.line_ends.partition_point(|end| *end < at) + 1
    }

    pub(super) fn add(&mut self, place: Place, message: impl Into<String>, label: impl Into<String>) {
        self.add_with_help(place, message, label, None);
    }

    pub(super) fn add_with_help(
        &mut self,
        place: Place,
        message: impl Into<String>,
        label: impl Into<String>,
        help: Option<String>,
    ) {
        let end = place.end.min(self.text.len());
        let start = place.start.min(end);
        let (message, span) = (message.into(), SourceSpan::from((start, end - start)));
        // A value that is read for two purposes is wrong only once.
        if self
            .errors
            .iter()
            .any(|error| error.span == span && error.message == message)
        {
            return;
        }
        self.errors.push(MappingError {
            file: self.file.clone(),
            line: self.line(start),
            message,
            help,
            source_code: NamedSource::new(&self.file, Arc::clone(&self.text)),
            span,
            label: label.into(),
        });
    }

    /// Where a text value stands in quotes, inside a place or else anywhere.
    pub(super) fn find(&self, within: Place, text: &str) -> Option<Place> {
        let quoted = format!("\"{text}\"");
        let inside = self
            .text
            .get(within.clone())
            .and_then(|part| part.find(&quoted))
            .map(|at| at + within.start);
        let start = inside.or_else(|| self.text.find(&quoted))?;
        Some(start..start + quoted.len())
    }

    /// A name that is not one of `known`, with the nearest one as help.
    pub(super) fn unknown<'n>(
        &mut self,
        place: Place,
        what: &str,
        name: &str,
        known: impl IntoIterator<Item = &'n str>,
    ) {
        let known: Vec<&str> = known.into_iter().collect();
        self.add_with_help(
            place,
            format!("unknown {what} `{name}`"),
            "not known",
            hint(name, &known),
        );
    }
}

/// The nearest name when one is near, else the list of names when it is short.
pub(super) fn hint(name: &str, known: &[&str]) -> Option<String> {
    if let Some(near) = nearest(name, known) {
        return Some(format!("did you mean `{near}`?"));
    }
    (!known.is_empty() && known.len() <= 30).then(|| format!("known: {}", known.join(", ")))
}

/// The name that differs least from `name`, when it differs little.
pub(super) fn nearest<'n>(name: &str, known: &[&'n str]) -> Option<&'n str> {
    let limit = ((name.chars().count() + 1) / 3).clamp(1, 3);
    known
        .iter()
        .map(|candidate| (distance(name, candidate), *candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, candidate)| candidate)
}

/// How many letters must be changed, added, left out or swapped with their neighbour.
fn distance(left: &str, right: &str) -> usize {
    let left: Vec<char> = left.chars().take(80).collect();
    let right: Vec<char> = right.chars().take(80).collect();
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, b) in right.iter().enumerate() {
            let mut cost = (last[j] + usize::from(a != b))
                .min(last[j + 1] + 1)
                .min(row[j] + 1);
            if i > 0 && j > 0 && left[i - 1] == *b && right[j - 1] == *a {
                cost = cost.min(before_last[j - 1] + 1);
            }
            row.push(cost);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_found_when_it_is_near() {
        for (name, expected) in [
            ("custmer", Some("customer")),
            ("lines", Some("line")),
            ("emial", Some("email")),
            ("colour", None),
            ("", None),
        ] {
            assert_eq!(
                nearest(name, &["customer", "line", "email", "total"]),
                expected,
                "{name}"
            );
        }
    }

    #[test]
    fn lines_are_counted_from_one() {
        let diagnostics = Diagnostics::new("x", "a\nb\nc");
        assert_eq!([0, 1, 2, 4, 99].map(|at| diagnostics.line(at)), [1, 1, 2, 3, 3]);
    }
}
