//! Replacing a file as a whole.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// What became of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::app) enum Outcome {
    /// It was replaced.
    Written,
    /// It cannot be written, for this reason.
    ReadOnly(String),
    /// It holds something else by now.
    Changed,
}

/// A file that is being edited: of several commands that do it at once, each waits for the one before.
pub(in crate::app) struct Held {
    /// The file itself, behind all symbolic links.
    target: PathBuf,
    /// Locked as long as it is open. (Where locks are not to be had, [`Outcome::Changed`] is what is left.)
    _file: File,
}

impl Held {
    /// Waits for the right to edit the file, and reads it.
    pub(in crate::app) fn open(path: &Path) -> io::Result<(Self, String)> {
        loop {
            let target = fs::canonicalize(path)?;
            let mut file = File::open(&target)?;
            let _unavailable = file.lock();
            // Whoever was before us put another file in its place.
            let (ours, there) = (file.metadata()?, fs::metadata(&target)?);
            if (ours.dev(), ours.ino()) != (there.dev(), there.ino()) {
                continue;
            }
            let mut text = String::new();
            file.read_to_string(&mut text)?;
            let held = Self { target, _file: file };
            return Ok((held, text));
        }
    }

    /// Puts the new text in the place of the old one: owner, group and permissions stay.
    pub(in crate::app) fn replace(&self, old: &str, new: &str) -> io::Result<Outcome> {
        let metadata = fs::metadata(&self.target)?;
        if metadata.permissions().readonly() {
            return Ok(Outcome::ReadOnly("its permissions allow no writing".to_owned()));
        }
        if fs::read(&self.target)? != old.as_bytes() {
            return Ok(Outcome::Changed);
        }
        match self.swap(&metadata, new) {
            Ok(()) => Ok(Outcome::Written),
            // The folder is not ours to write in, the file is a mount of its own, or its owner cannot be kept: then the
            // file itself may still be written.
            Err(error) if is_refusal(&error) => match self.overwrite(new) {
                Ok(()) => Ok(Outcome::Written),
                Err(error) if is_refusal(&error) => Ok(Outcome::ReadOnly(error.to_string())),
                Err(error) => Err(error),
            },
            Err(error) => Err(error),
        }
    }

    /// Writes a draft beside it and moves that over it: others see the old or the new text, whole.
    fn swap(&self, metadata: &fs::Metadata, new: &str) -> io::Result<()> {
        let folder = self.target.parent().unwrap_or(Path::new("/"));
        let name = self.target.file_name().unwrap_or_default().to_string_lossy();
        let draft = folder.join(format!(".{name}.{}", std::process::id()));
        // One that a killed command left: nobody else edits the file now.
        let _none = fs::remove_file(&draft);
        let written = OpenOptions::new()
            .write(true)
            .create_new(true)
            // Readable by nobody else until its permissions are known.
            .mode(0o600)
            .open(&draft)
            .and_then(|mut file| {
                file.write_all(new.as_bytes())?;
                let made = file.metadata()?;
                if (made.uid(), made.gid()) != (metadata.uid(), metadata.gid()) {
                    std::os::unix::fs::fchown(&file, Some(metadata.uid()), Some(metadata.gid()))?;
                }
                file.set_permissions(fs::Permissions::from_mode(metadata.mode() & 0o7777))?;
                file.sync_all()
            })
            .and_then(|()| fs::rename(&draft, &self.target));
        if written.is_err() {
            let _gone = fs::remove_file(&draft);
        } else {
            // The name is durable, too, where folders can be synchronised.
            let _unsupported = File::open(folder).and_then(|folder| folder.sync_all());
        }
        written
    }

    /// Writes over it. The daemon takes nothing that it sees in the middle of this: it looks twice.
    fn overwrite(&self, new: &str) -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).open(&self.target)?;
        file.write_all(new.as_bytes())?;
        file.set_len(new.len() as u64)?;
        file.sync_all()
    }
}

/// Whether the system lets us not write here.
fn is_refusal(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::PermissionDenied
            | ErrorKind::ReadOnlyFilesystem
            | ErrorKind::ResourceBusy
            | ErrorKind::CrossesDevices
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_over_ends_where_the_new_text_does() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lockstep.toml");
        let mut old = "a = 1\nb = 2\n".to_owned();
        fs::write(&path, &old).unwrap();
        for new in ["a = 1\n", "a = 1\nb = 2\nc = 3\n"] {
            let (held, text) = Held::open(&path).unwrap();
            assert_eq!(text, old);
            held.overwrite(new).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), new);
            new.clone_into(&mut old);
        }
    }

    #[test]
    fn what_somebody_else_saved_meanwhile_is_not_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lockstep.toml");
        fs::write(&path, "a = 1\n").unwrap();
        let (held, text) = Held::open(&path).unwrap();
        fs::write(&path, "theirs\n").unwrap();
        assert_eq!(held.replace(&text, "ours\n").unwrap(), Outcome::Changed);
        assert_eq!(fs::read_to_string(&path).unwrap(), "theirs\n");
    }
}
