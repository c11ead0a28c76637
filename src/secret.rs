//! Secrets that may change while the daemon runs.
//!
//! A secret is either a text of the configuration (usually through `${ENV}`) or the content of a file (`*_file`). Files
//! are read again when they change and when the other side refuses the secret, so that a rotation needs no restart.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use secrecy::{ExposeSecret as _, SecretString};

/// A secret that could not be read.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The file cannot be read.
    #[error("cannot read the secret file {path}")]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file has no content.
    #[error("the secret file {path} is empty")]
    Empty {
        /// Which file.
        path: PathBuf,
    },
}

/// A secret and where it comes from. `Debug` shows the source, never the secret.
#[derive(Clone)]
pub struct Secret(Arc<Source>);

enum Source {
    Text(SecretString),
    File {
        path: PathBuf,
        read: Mutex<Option<Known>>,
    },
}

/// What was read from a file.
struct Known {
    /// The file's modification time then; none when it is to be read again in any case.
    modified: Option<SystemTime>,
    secret: SecretString,
    before: Option<Before>,
}

/// The content that the file had before.
struct Before {
    secret: SecretString,
    /// When [`Secret::recent`] first saw that it was replaced.
    replaced_at_ms: Option<i64>,
}

impl Secret {
    /// A secret that does not change.
    pub fn text(secret: impl Into<String>) -> Self {
        Self(Arc::new(Source::Text(SecretString::from(secret.into()))))
    }

    /// The content of a file, without surrounding white space.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self(Arc::new(Source::File {
            path: path.into(),
            read: Mutex::new(None),
        }))
    }

    /// Whether both come from the same place: the same text, or the same file whatever it holds.
    pub fn is_same(&self, other: &Self) -> bool {
        match (&*self.0, &*other.0) {
            (Source::Text(one), Source::Text(two)) => one.expose_secret() == two.expose_secret(),
            (Source::File { path: one, .. }, Source::File { path: two, .. }) => one == two,
            _ => false,
        }
    }

    /// The file it is read from, if it is.
    pub fn path(&self) -> Option<&Path> {
        match &*self.0 {
            Source::Text(_) => None,
            Source::File { path, .. } => Some(path),
        }
    }

    /// The secret as it is now. A file is read again only when its modification time changed.
    ///
    /// # Errors
    /// When the file cannot be read or is empty; a file that was readable before and is gone for a moment (an editor
    /// replacing it) yields its last content.
    pub fn current(&self) -> Result<SecretString, SecretError> {
        let Source::File { path, read } = &*self.0 else {
            let Source::Text(text) = &*self.0 else {
                unreachable!("a source is a text or a file")
            };
            return Ok(text.clone());
        };
        let mut read = read.lock().unwrap_or_else(PoisonError::into_inner);
        up_to_date(path, &mut read).map(|known| known.secret.clone())
    }

    /// The secret as it is now and, when its file got another content less than `keep` ago, the one before: whoever signs
    /// may not have changed over yet. `now_ms` is the current time in milliseconds.
    ///
    /// # Errors
    /// As [`Secret::current`].
    pub fn recent(&self, now_ms: i64, keep: Duration) -> Result<Vec<SecretString>, SecretError> {
        let Source::File { path, read } = &*self.0 else {
            return self.current().map(|secret| vec![secret]);
        };
        let mut read = read.lock().unwrap_or_else(PoisonError::into_inner);
        let known = up_to_date(path, &mut read)?;
        let keep_ms = i64::try_from(keep.as_millis()).unwrap_or(i64::MAX);
        if let Some(before) = &mut known.before {
            let replaced_at_ms = *before.replaced_at_ms.get_or_insert(now_ms);
            if now_ms.saturating_sub(replaced_at_ms) >= keep_ms {
                known.before = None;
            }
        }
        let before = known.before.as_ref().map(|before| before.secret.clone());
        Ok(std::iter::once(known.secret.clone()).chain(before).collect())
    }

    /// Has the next [`Secret::current`] read the file whatever its modification time says: two writes may fall into one
    /// tick of the file system's clock. To be called when the other side refuses the secret.
    pub fn refresh(&self) {
        if let Source::File { read, .. } = &*self.0
            && let Some(known) = &mut *read.lock().unwrap_or_else(PoisonError::into_inner)
        {
            known.modified = None;
        }
    }
}

/// What the file holds. One that was readable before and is not at the moment yields its last content.
fn up_to_date<'a>(path: &Path, read: &'a mut Option<Known>) -> Result<&'a mut Known, SecretError> {
    let fresh = read_if_changed(path, read.as_ref().and_then(|known| known.modified));
    match (fresh, &mut *read) {
        (Ok(Some((modified, secret))), Some(known)) => {
            known.modified = Some(modified);
            if known.secret.expose_secret() != secret.expose_secret() {
                known.before = Some(Before {
                    secret: std::mem::replace(&mut known.secret, secret),
                    replaced_at_ms: None,
                });
            }
        }
        (Ok(Some((modified, secret))), none) => {
            *none = Some(Known {
                modified: Some(modified),
                secret,
                before: None,
            });
        }
        (Err(error), None) => return Err(error),
        (Ok(None), _) | (Err(_), Some(_)) => {}
    }
    read.as_mut().ok_or_else(|| SecretError::Empty {
        path: path.to_owned(),
    })
}

fn read_if_changed(
    path: &Path,
    known: Option<SystemTime>,
) -> Result<Option<(SystemTime, SecretString)>, SecretError> {
    let failed = |source| SecretError::Read {
        path: path.to_owned(),
        source,
    };
    let modified = std::fs::metadata(path)
        .and_then(|meta| meta.modified())
        .map_err(failed)?;
    if known == Some(modified) {
        return Ok(None);
    }
    let text = crate::files::read_text(path).map_err(failed)?;
    let secret = text.trim();
    if secret.is_empty() {
        return Err(SecretError::Empty {
            path: path.to_owned(),
        });
    }
    Ok(Some((modified, SecretString::from(secret.to_owned()))))
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.0 {
            Source::Text(_) => f.write_str("Secret(text)"),
            Source::File { path, .. } => write!(f, "Secret(file {})", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_file_is_read_again_and_a_vanished_one_keeps_its_last_content() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let secret = Secret::file(&path);
        assert!(matches!(secret.current(), Err(SecretError::Read { .. })));
        std::fs::write(&path, "first\n").unwrap();
        assert_eq!(secret.current().unwrap().expose_secret(), "first");
        std::fs::write(&path, "second\n").unwrap();
        let file = std::fs::File::options().append(true).open(&path).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(5))
            .unwrap();
        assert_eq!(secret.current().unwrap().expose_secret(), "second");
        std::fs::write(&path, "third").unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(5))
            .unwrap();
        assert_eq!(
            secret.current().unwrap().expose_secret(),
            "second",
            "same time: not read again"
        );
        secret.refresh();
        assert_eq!(secret.current().unwrap().expose_secret(), "third");
        std::fs::remove_file(&path).unwrap();
        assert_eq!(secret.current().unwrap().expose_secret(), "third");
    }

    #[test]
    fn the_secret_before_is_known_for_a_while() {
        const HOUR: Duration = Duration::from_secs(3600);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        let secret = Secret::file(&path);
        let write = |text: &str, modified_s: u64| {
            std::fs::write(&path, text).unwrap();
            let file = std::fs::File::options().append(true).open(&path).unwrap();
            file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(modified_s))
                .unwrap();
        };
        let recent = |now_s: i64| -> Vec<String> {
            let secrets = secret.recent(now_s * 1000, HOUR).unwrap();
            secrets
                .iter()
                .map(|secret| secret.expose_secret().to_owned())
                .collect()
        };
        // A file as old as time itself is a file like any other.
        write("first", 0);
        assert_eq!(recent(0), ["first"]);
        write("second", 1);
        assert_eq!(recent(10), ["second", "first"]);
        write("second", 2);
        assert_eq!(recent(3_609), ["second", "first"], "touched, not changed");
        assert_eq!(recent(3_610), ["second"]);
        assert_eq!(Secret::text("x").recent(0, HOUR).unwrap().len(), 1);
    }

    #[test]
    fn debug_never_shows_the_secret() {
        assert_eq!(format!("{:?}", Secret::text("hunter2")), "Secret(text)");
    }
}
