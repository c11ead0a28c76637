//! The files that a daemon follows, by what they hold.

use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::config::{Config, Followed};

/// What the files hold, as hashes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Fingerprint {
    pub(super) config: Option<[u8; 32]>,
    pub(super) mappings: Option<[u8; 32]>,
    /// The files that endpoints name: templates, addresses, certificates.
    pub(super) followed: Followed,
}

impl Fingerprint {
    /// Of a configuration that was read, and of its mapping folder, which is about to be read.
    pub(super) fn read_with(config: &Config) -> Self {
        let folder = config.mappings.dir.as_deref();
        Self {
            config: Some(config.text_sha256),
            mappings: folder.and_then(|folder| folder_hash(folder).ok()),
            followed: config.followed.clone(),
        }
    }

    /// Of the files that this configuration comes from and names, as they are now.
    pub(super) fn now(config: &Config) -> Self {
        Self::of(&config.path, config.mappings.dir.as_deref(), &config.followed)
    }

    fn of(config: &Path, folder: Option<&Path>, followed: &Followed) -> Self {
        Self {
            config: std::fs::read(config).ok().map(|text| Sha256::digest(text).into()),
            mappings: folder.and_then(|folder| folder_hash(folder).ok()),
            followed: followed.again(),
        }
    }
}

/// A hash over the names and contents of the mapping files in a folder.
fn folder_hash(folder: &Path) -> std::io::Result<[u8; 32]> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    files.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    files.sort();
    let mut hash = Sha256::new();
    for path in files {
        let text = std::fs::read(&path)?;
        let name = path.as_os_str().as_encoded_bytes();
        for part in [name, &text] {
            hash.update(part.len().to_le_bytes());
            hash.update(part);
        }
    }
    Ok(hash.finalize().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_changed_content_changes_the_fingerprint() {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("lockstep.toml");
        let mappings = folder.path().join("mappings");
        std::fs::create_dir(&mappings).unwrap();
        let look = || Fingerprint::of(&config, Some(&mappings), &Followed::default());
        std::fs::write(&config, "a").unwrap();
        std::fs::write(mappings.join("order.in.toml"), "x").unwrap();
        let first = look();
        std::fs::write(&config, "a").unwrap();
        std::fs::write(mappings.join("notes.txt"), "not a mapping").unwrap();
        assert_eq!(look(), first, "touched, not changed");
        std::fs::write(mappings.join("order.in.toml"), "y").unwrap();
        let second = look();
        assert_eq!(second.config, first.config);
        assert_ne!(second.mappings, first.mappings);
        std::fs::write(&config, "b").unwrap();
        assert_ne!(look().config, first.config);
    }
}
