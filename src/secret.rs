//! Secrets that may change while the daemon runs.
//!
//! A secret is either a text of the configuration (usually through `${ENV}`) or the content of a file (`*_file`). Files
//! are read again when they change and when the other side refuses the secret, so that a rotation needs no restart.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use secrecy::SecretString;

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
        read: Mutex<Option<(SystemTime, SecretString)>>,
    },
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
        match (
            read_if_changed(path, read.as_ref().map(|(modified, _)| *modified)),
            &*read,
        ) {
            (Ok(Some(fresh)), _) => Ok(read.insert(fresh).1.clone()),
            (Ok(None) | Err(_), Some((_, secret))) => Ok(secret.clone()),
            (Ok(None), None) => Err(SecretError::Empty { path: path.clone() }),
            (Err(error), None) => Err(error),
        }
    }

    /// Forgets what was read, so that the next [`Secret::current`] reads the file whatever its modification time says.
    /// To be called when the other side refuses the secret.
    pub fn refresh(&self) {
        if let Source::File { read, .. } = &*self.0
            && let Some((modified, _)) = &mut *read.lock().unwrap_or_else(PoisonError::into_inner)
        {
            *modified = SystemTime::UNIX_EPOCH;
        }
    }
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
    let text = std::fs::read_to_string(path).map_err(failed)?;
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
    use std::time::Duration;

    use secrecy::ExposeSecret as _;

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
    fn debug_never_shows_the_secret() {
        assert_eq!(format!("{:?}", Secret::text("hunter2")), "Secret(text)");
    }
}
