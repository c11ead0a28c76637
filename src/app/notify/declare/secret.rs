//! A file for a secret that was just made.

use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use super::DeclareError;

/// The file; it goes again when this is dropped, unless it is kept.
#[derive(Debug)]
pub(super) struct SecretFile {
    path: PathBuf,
    text: String,
    is_kept: bool,
}

impl SecretFile {
    /// Writes the secret beside the configuration, for whoever owns that.
    pub(super) fn create(config: &Path, endpoint: &str, secret: &str) -> Result<Self, DeclareError> {
        let absolute = std::path::absolute(config).unwrap_or_else(|_| config.to_owned());
        let folder = absolute.parent().unwrap_or(Path::new("/"));
        let mut number = 1_u32;
        loop {
            let name = match number {
                1 => format!("notify-{endpoint}.secret"),
                number => format!("notify-{endpoint}-{number}.secret"),
            };
            let path = folder.join(name);
            match write(&path, config, secret) {
                Ok(()) => {
                    return Ok(Self {
                        path,
                        text: secret.to_owned(),
                        is_kept: false,
                    });
                }
                Err(error) if error.kind() == ErrorKind::AlreadyExists => number += 1,
                Err(source) => return Err(DeclareError::Secret { path, source }),
            }
        }
    }

    /// The name to write in the configuration.
    pub(super) fn name(&self) -> String {
        let name = self.path.file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    }

    /// Where it is, and what it holds. It stays.
    pub(super) fn kept(mut self) -> (PathBuf, String) {
        self.is_kept = true;
        (self.path.clone(), self.text.clone())
    }
}

impl Drop for SecretFile {
    fn drop(&mut self) {
        if !self.is_kept {
            let _gone = fs::remove_file(&self.path);
        }
    }
}

/// Owner and group are the configuration's, and so is what they may: the daemon may be somebody else than whoever edits.
fn write(path: &Path, config: &Path, secret: &str) -> io::Result<()> {
    let owner = fs::metadata(config)?;
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    let written = (|| {
        writeln!(file, "{secret}")?;
        let made = file.metadata()?;
        if (made.uid(), made.gid()) != (owner.uid(), owner.gid()) {
            std::os::unix::fs::fchown(&file, Some(owner.uid()), Some(owner.gid()))?;
        }
        file.set_permissions(Permissions::from_mode(owner.mode() & 0o660))?;
        file.sync_all()
    })();
    if written.is_err() {
        let _gone = fs::remove_file(path);
    }
    written
}
