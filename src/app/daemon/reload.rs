//! Changed files take effect without a restart, all or nothing.
//!
//! The content of the configuration and of the mapping folder is looked at every two seconds (and at once on SIGHUP). What
//! changed is read, checked and wired completely; only then it replaces what is in force. A mistake keeps everything as it
//! was and is logged with its place. Listeners, store and logs belong to the process: changes there are told to need a
//! restart.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tokio::select;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::shops::{Before, Current, Disabled, Wired, note_revision};
use super::{StartError, pause};
use crate::config::{Config, ConfigError};
use crate::domain::{SharedClock, SharedEntropy};
use crate::http::IntakeShops;
use crate::mapping::{MappingErrors, Mappings};
use crate::queue::Live;
use crate::store::{self, SharedStore};
use crate::sync::Engine;

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(2);

/// Somebody asks for a reload and may wait for the revision that is in force then, or why nothing was taken.
pub(super) type ReloadRequest = oneshot::Sender<Result<Option<i64>, String>>;

/// Why changed files were not taken.
#[derive(Debug, thiserror::Error)]
enum ReloadError {
    #[error("{}", told(.0))]
    Config(ConfigError),
    #[error("{0}")]
    Mappings(MappingErrors),
    #[error(transparent)]
    Wire(#[from] StartError),
}

/// The error with every place.
fn told(error: &ConfigError) -> String {
    match error {
        ConfigError::Invalid(findings) => findings.to_string(),
        ConfigError::Read { source, .. } => format!("{error}: {source}"),
    }
}

/// Everything that a reload replaces.
pub(super) struct Reloader {
    pub(super) config: watch::Sender<Arc<Config>>,
    pub(super) store: SharedStore,
    pub(super) clock: SharedClock,
    pub(super) entropy: SharedEntropy,
    pub(super) mappings: watch::Sender<Arc<Mappings>>,
    pub(super) engine: watch::Sender<Arc<Engine>>,
    pub(super) live: watch::Sender<Live>,
    pub(super) intake_shops: watch::Sender<Arc<IntakeShops>>,
    pub(super) store_settings: watch::Sender<store::Settings>,
    pub(super) disabled: Disabled,
}

impl Reloader {
    /// What is in force, now and after every reload.
    pub(super) fn current(&self) -> Current {
        Current {
            config: self.config.subscribe(),
            engine: self.engine.subscribe(),
            live: self.live.clone(),
        }
    }

    /// Follows the files (if it is to) and requests until `stop`.
    pub(super) async fn follow(
        self,
        follow_files: bool,
        mut requests: mpsc::Receiver<ReloadRequest>,
        stop: CancellationToken,
    ) {
        let mut seen = self.fingerprint().await;
        loop {
            let request = select! {
                () = stop.cancelled() => return,
                Some(request) = requests.recv() => Some(request),
                () = pause(LOOK), if follow_files => None,
            };
            let fresh = self.fingerprint().await;
            if fresh == seen && request.is_none() {
                continue;
            }
            let config_changed = fresh.config != seen.config || request.is_some();
            // Also after a failure: the same mistake is told once, not every two seconds.
            seen = fresh;
            let taken = self.reload(config_changed).await;
            match &taken {
                // The mapping folder may be another one now.
                Ok(_) => seen = self.fingerprint().await,
                Err(error) => {
                    tracing::error!(error = %error, "the changed files are not taken; everything stays as it was");
                }
            }
            if let Some(request) = request {
                // Whoever asked may not have waited.
                request.send(taken.map_err(|error| error.to_string())).ok();
            }
        }
    }

    async fn fingerprint(&self) -> Fingerprint {
        let config = Arc::clone(&self.config.borrow());
        tokio::task::spawn_blocking(move || Fingerprint::of(&config.path, config.mappings.dir.as_deref()))
            .await
            .unwrap_or_default()
    }

    async fn reload(&self, config_changed: bool) -> Result<Option<i64>, ReloadError> {
        let old = Arc::clone(&self.config.borrow());
        if !config_changed {
            let mappings = load_mappings(old.mappings.dir.clone()).await?;
            let revision = note_revision(&old, &mappings, &self.store, &self.clock)
                .await
                .map_err(StartError::from)?;
            self.mappings.send_replace(Arc::new(mappings));
            self.live.send_modify(|live| live.revision = Some(revision));
            tracing::info!(revision, "took changed mappings");
            return Ok(Some(revision));
        }
        let path = old.path.clone();
        let config = tokio::task::spawn_blocking(move || Config::load(&path))
            .await
            .map_err(|error| {
                ReloadError::Config(ConfigError::Read {
                    path: old.path.clone(),
                    source: std::io::Error::other(error),
                })
            })?
            .map_err(ReloadError::Config)?;
        let mappings = load_mappings(config.mappings.dir.clone()).await?;
        // Shops become known, and disabled ones are left out, before anything runs for them.
        let engine = Arc::clone(&self.engine.borrow());
        let before = Before {
            config: &old,
            engine: &engine,
        };
        let wired = Wired::new(
            &config,
            &mappings,
            &self.mappings,
            &self.store,
            &self.clock,
            &self.entropy,
            &self.disabled,
            Some(&before),
        )
        .await?;
        for section in needs_restart(&old, &config) {
            tracing::warn!(section, "the change of [{section}] takes effect after a restart");
        }
        for warning in config.warnings.iter() {
            tracing::warn!("{}", warning.message);
        }
        let revision = wired.live.revision;
        self.mappings.send_replace(Arc::new(mappings));
        self.engine.send_replace(Arc::new(wired.engine));
        self.intake_shops.send_replace(Arc::new(wired.intake));
        self.store_settings.send_replace(config.store.clone());
        self.config.send_replace(Arc::new(config));
        self.live.send_replace(wired.live);
        tracing::info!(revision, "took the changed configuration");
        Ok(revision)
    }
}

async fn load_mappings(folder: Option<PathBuf>) -> Result<Mappings, ReloadError> {
    let loaded = tokio::task::spawn_blocking(move || crate::app::mappings::load(folder.as_deref())).await;
    match loaded {
        Ok(mappings) => mappings.map_err(ReloadError::Mappings),
        // The thread panicked: as good as a mistake in the files, which then stay out of force.
        Err(_) => Err(ReloadError::Mappings(MappingErrors { errors: Vec::new() })),
    }
}

/// The sections whose changes the running process cannot take.
fn needs_restart(old: &Config, new: &Config) -> Vec<&'static str> {
    let mut sections = Vec::new();
    let mut note = |changed: bool, section| {
        if changed {
            sections.push(section);
        }
    };
    note(
        old.store.url != new.store.url || old.store.max_connections != new.store.max_connections,
        "store",
    );
    note(old.http != new.http, "http");
    note(old.admin != new.admin, "admin");
    note(old.log != new.log, "log");
    sections
}

/// What the files hold, as hashes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Fingerprint {
    config: Option<[u8; 32]>,
    mappings: Option<[u8; 32]>,
}

impl Fingerprint {
    fn of(config: &Path, folder: Option<&Path>) -> Self {
        Self {
            config: std::fs::read(config).ok().map(|text| Sha256::digest(text).into()),
            mappings: folder.and_then(|folder| folder_hash(folder).ok()),
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
        let look = || Fingerprint::of(&config, Some(&mappings));
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
