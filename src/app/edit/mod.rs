//! Changing the configuration file for somebody: the file stays theirs, with its comments, order and layout.
//!
//! The whole file as it would be is checked before anything is written, and it is replaced at once, so that a running
//! daemon never sees half of it. A file that cannot be written (a read-only mount, a file under version control that is
//! deployed) is no failure: the difference to commit is the answer.

mod diff;
mod replace;

use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use toml_edit::{DocumentMut, Item};

pub(in crate::app) use self::diff::unified;
pub(in crate::app) use self::replace::{Held, Outcome};
use crate::config::{Config, ConfigError, Environment, redacted};

/// Why a file was not changed. Nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum EditError {
    /// The file cannot be used as it is; that must be mended first.
    #[error(transparent)]
    Config(ConfigError),
    /// The file would not be usable with this change.
    #[error("with this change the configuration could not be used")]
    Refused(#[source] ConfigError),
    /// The file is laid out in a way that cannot be edited safely.
    #[error("cannot change {} safely: {reason}; write {wanted} there yourself", path.display())]
    Layout {
        /// Which file.
        path: PathBuf,
        /// What is in the way.
        reason: String,
        /// What should stand there.
        wanted: String,
    },
    /// The file changed while it was edited.
    #[error("{} was changed by somebody else at the same moment: look at it, then try again", .0.display())]
    ChangedMeanwhile(PathBuf),
    /// The file cannot be written for another reason than its permissions.
    #[error("cannot write {}", path.display())]
    Write {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// How far to go.
#[derive(Clone, Copy, Debug)]
pub(in crate::app) enum Go<'a> {
    /// Only to what the file would become.
    Plan,
    /// Write it, if it is still the change that somebody agreed to, by its hash.
    Agreed(&'a str),
    /// Write it.
    Write,
}

/// What a file would become, or has become.
#[derive(Clone, Debug)]
pub(in crate::app) struct FileEdit {
    /// The change as a unified difference; empty where nothing had to change. Secrets are overwritten.
    pub(in crate::app) diff: String,
    /// Tells this change of this file from every other.
    pub(in crate::app) hash: String,
    /// Whether the file was written.
    pub(in crate::app) written: bool,
    /// Why the file was left alone although something had to change.
    pub(in crate::app) read_only: Option<String>,
    /// The file was another one when somebody agreed: nothing was written.
    pub(in crate::app) differs: bool,
}

/// Changes the file at `path` as `change` says, which makes a new text of the one that is there and of what that means.
///
/// # Errors
/// When the file cannot be read, used or changed. Nothing was written then.
pub(in crate::app) fn edit<T, E: From<EditError>>(
    path: &Path,
    go: Go<'_>,
    environment: Environment<'_>,
    change: impl FnOnce(&str, Config) -> Result<(String, T), E>,
) -> Result<(FileEdit, T), E> {
    let (held, text) = Held::open(path).map_err(|source| {
        EditError::Config(ConfigError::Read {
            path: path.to_owned(),
            source,
        })
    })?;
    let config = Config::parse(&text, path, environment).map_err(EditError::Config)?;
    let (new, made) = change(&text, config)?;
    let name = path.display().to_string();
    let hash = hex::encode(Sha256::digest([text.as_str(), new.as_str()].join("\0")));
    let mut edit = FileEdit {
        diff: unified(&name, (&text, &redacted(&text)), (&new, &redacted(&new))),
        written: false,
        read_only: None,
        differs: matches!(go, Go::Agreed(agreed) if agreed != hash),
        hash,
    };
    if matches!(go, Go::Plan) || edit.differs || new == text {
        return Ok((edit, made));
    }
    match held.replace(&text, &new) {
        Ok(Outcome::Changed) => return Err(EditError::ChangedMeanwhile(path.to_owned()).into()),
        Ok(Outcome::Written) => edit.written = true,
        Ok(Outcome::ReadOnly(why)) => edit.read_only = Some(why),
        Err(source) => {
            return Err(EditError::Write {
                path: path.to_owned(),
                source,
            }
            .into());
        }
    }
    Ok((edit, made))
}

/// A byte order mark, which some editors write.
const MARK: char = '\u{feff}';

/// The text without the mark that it may begin with, and whether it had one.
pub(in crate::app) fn unmarked(text: &str) -> (bool, &str) {
    text.strip_prefix(MARK).map_or((false, text), |body| (true, body))
}

/// Puts back the mark that the text began with.
pub(in crate::app) fn marked(is_marked: bool, mut text: String) -> String {
    if is_marked {
        text.insert(0, MARK);
    }
    text
}

/// A text (without a mark) with something else in it; how its lines end stays.
pub(in crate::app) fn rewritten(
    body: &str,
    change: impl FnOnce(&mut DocumentMut) -> Result<(), String>,
) -> Result<String, String> {
    // The editor knows one kind of line's end.
    let lines_end_in_two = body.contains("\r\n");
    let mut document: DocumentMut = body
        .replace("\r\n", "\n")
        .parse()
        .map_err(|error: toml_edit::TomlError| error.to_string())?;
    change(&mut document)?;
    let new = document.to_string();
    Ok(if lines_end_in_two {
        new.replace('\n', "\r\n")
    } else {
        new
    })
}

/// Adds a key at the end. In a table on one line the space before its closing bracket moves behind the new value.
pub(in crate::app) fn insert(table: &mut Item, key: &str, item: Item) -> Result<(), String> {
    if let Some(inline) = table.as_inline_table_mut()
        && let Some((_, last)) = inline.iter_mut().last()
    {
        let suffix = last.decor().suffix().and_then(|suffix| suffix.as_str());
        if suffix.is_some_and(|suffix| suffix.trim_matches(' ').is_empty()) {
            last.decor_mut().set_suffix("");
        }
    }
    table
        .as_table_like_mut()
        .ok_or_else(|| format!("what should hold `{key}` is no table"))?
        .insert(key, item);
    Ok(())
}
