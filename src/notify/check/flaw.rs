//! Something that is not right with the settings, and its place.

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

/// Something that is not right. Texts quote no secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flaw {
    /// Where, as keys below `[notify]`, e.g. `endpoints`, `slack`, `url`.
    pub path: Vec<String>,
    /// Where in the text that stands there, or in the file, in bytes; none when the whole of it is meant.
    pub place: Option<Range<usize>>,
    /// The file that stands there, where something in it is meant.
    pub file: Option<NamedFile>,
    /// What is wrong, in one sentence.
    pub message: String,
    /// What to do about it.
    pub help: String,
    /// Whether it is not the text that is wrong but something that it names, e.g. a file.
    pub is_outside: bool,
    /// Whether the settings can be used all the same.
    pub is_warning: bool,
}

/// A file that the settings name, as it was read. `Debug` shows its path only: it may hold a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct NamedFile {
    /// Where it is.
    pub path: PathBuf,
    /// What it holds.
    pub text: Arc<str>,
}

impl fmt::Debug for NamedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("NamedFile").field(&self.path).finish()
    }
}
