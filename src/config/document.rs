//! The file as a tree of values that know their places, made ready for the typed sections: `${ENV}` filled in, files
//! found relative to the configuration, dates as text.

use std::borrow::Cow;
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::finding::Finding;

/// How environment variables are found: a parameter, so that tests need not touch the process.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// A parsed file.
#[derive(Debug)]
pub(super) struct Document<'t> {
    /// The text as it stands in the file.
    pub(super) text: &'t str,
    /// Its values.
    pub(super) root: DeTable<'t>,
    /// The folder that relative paths start from.
    pub(super) folder: PathBuf,
}

impl<'t> Document<'t> {
    /// Parses the text. With findings, the tree holds what could be understood and is good for nothing but showing.
    pub(super) fn parse(text: &'t str, folder: &Path) -> (Self, Vec<Finding>) {
        let (root, errors) = DeTable::parse_recoverable(text);
        let end = text.len()..text.len();
        let findings = errors
            .iter()
            .map(|error| {
                let span = error.span().unwrap_or_else(|| end.clone());
                Finding::error(span, format!("this is not TOML: {}", error.message()))
            })
            .collect();
        let document = Self {
            text,
            root: root.into_inner(),
            folder: folder.to_owned(),
        };
        (document, findings)
    }

    /// The value at a path of keys.
    pub(super) fn get(&self, path: &[&str]) -> Option<&Spanned<DeValue<'t>>> {
        let (last, tables) = path.split_last()?;
        let mut table = &self.root;
        for key in tables {
            let DeValue::Table(inner) = table.get(*key)?.get_ref() else {
                return None;
            };
            table = inner;
        }
        table.get(*last)
    }

    /// The place of a value, else of the closest table that is there, else the file's start.
    pub(super) fn span(&self, path: &[&str]) -> Range<usize> {
        (1..=path.len())
            .rev()
            .find_map(|length| self.get(&path[..length]).map(|value| (length, value)))
            .map_or(0..0, |(length, value)| {
                if length == path.len() {
                    value.span()
                } else {
                    self.key_span(&path[..length])
                }
            })
    }

    /// The place of a key: for a table the word in its header, which is easier to find than its content.
    pub(super) fn key_span(&self, path: &[&str]) -> Range<usize> {
        let Some((last, tables)) = path.split_last() else {
            return 0..0;
        };
        let table = if tables.is_empty() {
            Some(&self.root)
        } else {
            self.get(tables).and_then(|value| match value.get_ref() {
                DeValue::Table(table) => Some(table),
                _ => None,
            })
        };
        table
            .and_then(|table| table.get_key_value(*last))
            .map_or_else(|| self.span(tables), |(key, _)| key.span())
    }

    /// Fills in `${NAME}`, makes dates text, and resolves relative paths, everywhere.
    pub(super) fn prepare(&mut self, environment: Environment<'_>) -> Vec<Finding> {
        let mut findings = Vec::new();
        let mut visitor = Preparation {
            text: self.text,
            folder: &self.folder,
            environment,
            findings: &mut findings,
        };
        for (key, value) in &mut self.root {
            visitor.visit(key.get_ref(), value);
        }
        findings
    }
}

/// One walk over all values.
struct Preparation<'a> {
    text: &'a str,
    folder: &'a Path,
    environment: Environment<'a>,
    findings: &'a mut Vec<Finding>,
}

impl Preparation<'_> {
    fn visit(&mut self, key: &str, value: &mut Spanned<DeValue<'_>>) {
        let span = value.span();
        let slot = value.get_mut();
        match slot {
            DeValue::String(text) => {
                if text.contains('$')
                    && let Some(filled) = self.fill_in(text, &span)
                {
                    *text = Cow::Owned(filled);
                }
                if is_path(key) && !text.is_empty() {
                    *text = Cow::Owned(self.folder.join(&**text).display().to_string());
                }
            }
            DeValue::Datetime(time) => *slot = DeValue::String(Cow::Owned(time.to_string())),
            DeValue::Array(items) => {
                for item in items.iter_mut() {
                    self.visit(key, item);
                }
            }
            DeValue::Table(table) => {
                for (key, value) in table.iter_mut() {
                    self.visit(key.get_ref(), value);
                }
            }
            DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_) => {}
        }
    }

    /// The text with every `${NAME}` replaced and every `$${` as `${`; `None` after a finding.
    fn fill_in(&mut self, text: &str, span: &Range<usize>) -> Option<String> {
        let found_before = self.findings.len();
        let mut filled = String::new();
        let mut rest = text;
        while let Some(at) = rest.find('$') {
            filled.push_str(&rest[..at]);
            rest = &rest[at..];
            if let Some(escaped) = rest.strip_prefix("$${") {
                filled.push_str("${");
                rest = escaped;
            } else if let Some(reference) = rest.strip_prefix("${") {
                let Some((name, after)) = reference.split_once('}') else {
                    self.findings
                        .push(Finding::error(span.clone(), "`${` without its closing `}`").help(
                        "write `${NAME}` for an environment variable, or `$${` for the two characters `${`",
                    ));
                    return None;
                };
                filled.push_str(&self.variable(name, span).unwrap_or_default());
                rest = after;
            } else {
                filled.push('$');
                rest = &rest[1..];
            }
        }
        filled.push_str(rest);
        (self.findings.len() == found_before).then_some(filled)
    }

    fn variable(&mut self, name: &str, span: &Range<usize>) -> Option<String> {
        let valid = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if !valid {
            self.findings.push(
                Finding::error(
                    span.clone(),
                    "`${…}` must hold the name of an environment variable",
                )
                .help("names have letters, digits and `_`; defaults (`${NAME:-…}`) are not supported"),
            );
            return None;
        }
        let value = (self.environment)(name);
        if value.is_none() {
            let reference = format!("${{{name}}}");
            let span = self
                .text
                .get(span.clone())
                .and_then(|source| source.find(&reference))
                .map_or_else(
                    || span.clone(),
                    |at| span.start + at..span.start + at + reference.len(),
                );
            self.findings.push(
                Finding::error(span, format!("the environment variable {name} is not set"))
                    .label("not set")
                    .help(format!(
                        "set {name} for this process, or put the value into a file and name it with the key's `_file` twin"
                    )),
            );
        }
        value
    }
}

/// Whether values of this key are paths, relative to the configuration's folder.
pub(crate) fn is_path(key: &str) -> bool {
    key.ends_with("_file") || key.ends_with("_files") || key == "dir"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prepared(text: &str) -> Result<String, String> {
        let environment = |name: &str| (name == "KNOWN").then(|| "value".to_owned());
        let (mut document, findings) = Document::parse(text, Path::new("/etc/lockstep"));
        assert!(findings.is_empty(), "{findings:?}");
        match document.prepare(&environment).first() {
            Some(finding) => Err(format!("{} @ {}", finding.message, &text[finding.span.clone()])),
            None => match document.root.values().next().map(Spanned::get_ref) {
                Some(DeValue::String(text)) => Ok(text.to_string()),
                other => Err(format!("{other:?}")),
            },
        }
    }

    #[test]
    fn environment_variables_are_filled_in() {
        for (text, expected) in [
            ("a = 'x${KNOWN}y'", Ok("xvaluey")),
            ("a = '${KNOWN}${KNOWN}'", Ok("valuevalue")),
            ("a = '$${KNOWN}'", Ok("${KNOWN}")),
            ("a = 'cost: 5$'", Ok("cost: 5$")),
            ("a = '$KNOWN'", Ok("$KNOWN")),
            (
                "a = 'x${OTHER}'",
                Err("the environment variable OTHER is not set @ ${OTHER}"),
            ),
            ("a = 'x${'", Err("`${` without its closing `}` @ 'x${'")),
            (
                "a = '${a b}'",
                Err("`${…}` must hold the name of an environment variable @ '${a b}'"),
            ),
            ("token_file = 'secrets/token'", Ok("/etc/lockstep/secrets/token")),
            ("token_file = '/run/token'", Ok("/run/token")),
            ("start_at = 2026-11-01", Ok("2026-11-01")),
        ] {
            assert_eq!(
                prepared(text),
                expected.map(str::to_owned).map_err(str::to_owned),
                "{text}"
            );
        }
    }
}
