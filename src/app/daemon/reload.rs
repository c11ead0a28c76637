//! Changed files take effect without a restart, all or nothing.
//!
//! The content of the configuration and of the mapping folder is looked at every two seconds (and at once on SIGHUP). What
//! changed is read, checked and wired completely; only then it replaces what is in force. A mistake keeps everything as it
//! was and is logged with its place; it is looked at again when the text changes. What failed for another reason (the store
//! was away, a file that the text names could not be read) is tried again, ever less often. What is not taken stands in
//! `lockstep status`, too. Listeners, store and logs belong to the process: changes there are told to need a
//! restart.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};
use tokio::select;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::shops::{Before, Clients, Current, Disabled, Wired, note_revision};
use super::{StartError, pause};
use crate::app::reach::{self, NOT_TAKEN};
use crate::config::{Config, ConfigError};
use crate::domain::{SharedClock, SharedEntropy};
use crate::http::IntakeShops;
use crate::mapping::{MappingErrors, Mappings};
use crate::queue::Live;
use crate::store::{self, SharedStore};
use crate::sync::Engine;

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(2);

/// The first wait after a failure that has nothing to do with the text; it doubles up to [`LONGEST_WAIT`].
const FIRST_WAIT: Duration = Duration::from_secs(4);

/// The longest wait between two tries.
const LONGEST_WAIT: Duration = Duration::from_secs(300);

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

impl ReloadError {
    /// Whether the text itself is wrong: then only another text helps.
    fn is_in_the_text(&self) -> bool {
        match self {
            Self::Config(ConfigError::Invalid(findings)) => findings.are_in_the_text(),
            Self::Mappings(_) => true,
            // A store that is away, a file that is about to be put there.
            Self::Config(ConfigError::Read { .. }) | Self::Wire(_) => false,
        }
    }
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
    pub(super) clients: watch::Sender<Arc<Clients>>,
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
            clients: self.clients.subscribe(),
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
        let mut taken = self.fingerprint().await;
        let mut again = Again::default();
        // What an earlier process could not take is of no interest any more.
        self.note(None).await;
        loop {
            let request = select! {
                () = stop.cancelled() => return,
                Some(request) = requests.recv() => Some(request),
                () = pause(LOOK), if follow_files => None,
            };
            let fresh = self.fingerprint().await;
            let now = Instant::now();
            if request.is_none() && (fresh == taken || !again.is_due(&fresh, now)) {
                continue;
            }
            let config_changed = fresh.config != taken.config || request.is_some();
            let result = self.reload(config_changed).await;
            match &result {
                // The mapping folder may be another one now.
                Ok(_) => {
                    taken = self.fingerprint().await;
                    if again.forget() {
                        self.note(None).await;
                    }
                }
                Err(error) => {
                    // The same mistake is told once, not every two seconds.
                    again.failed(fresh, error.is_in_the_text(), now);
                    tracing::error!(error = %error, "the changed files are not taken; everything stays as it was");
                    self.note(Some(&error.to_string())).await;
                }
            }
            if let Some(request) = request {
                // Whoever asked may not have waited.
                request.send(result.map_err(|error| error.to_string())).ok();
            }
        }
    }

    /// Leaves word for `lockstep status`, which runs in another process.
    async fn note(&self, error: Option<&str>) {
        let (shop, text) = (reach::installation(), error.unwrap_or_default());
        let noted = match self.store.cursor(&shop, NOT_TAKEN).await {
            Ok(known) if known.as_deref().unwrap_or_default() == text => Ok(()),
            Ok(_) => {
                self.store
                    .set_cursor(&shop, NOT_TAKEN, text, self.clock.now())
                    .await
            }
            Err(error) => Err(error),
        };
        if let Err(error) = noted {
            tracing::debug!(error = %error, "status does not learn which files are not taken");
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
        let clients = Arc::clone(&self.clients.borrow());
        let before = Before {
            config: &old,
            engine: &engine,
            clients: &clients,
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
        self.clients.send_replace(Arc::new(wired.clients));
        self.intake_shops.send_replace(Arc::new(wired.intake));
        self.store_settings.send_replace(config.store.clone());
        self.config.send_replace(Arc::new(config));
        self.live.send_replace(wired.live);
        tracing::info!(revision, "took the changed configuration");
        Ok(revision)
    }
}

/// Files that were not taken, and when they are tried again.
#[derive(Debug, Default)]
struct Again {
    failed: Option<Fingerprint>,
    due: Option<Instant>,
    wait: Duration,
}

impl Again {
    /// Whether files that are not the taken ones are to be tried now.
    fn is_due(&self, fresh: &Fingerprint, now: Instant) -> bool {
        self.failed.as_ref() != Some(fresh) || self.due.is_some_and(|due| now >= due)
    }

    /// Notes a failure.
    fn failed(&mut self, files: Fingerprint, is_in_the_text: bool, now: Instant) {
        self.wait = if self.failed.as_ref() == Some(&files) {
            (self.wait * 2).min(LONGEST_WAIT)
        } else {
            FIRST_WAIT
        };
        self.failed = Some(files);
        self.due = (!is_in_the_text).then(|| now + self.wait);
    }

    /// Forgets what failed. Says whether there was anything.
    fn forget(&mut self) -> bool {
        std::mem::take(self).failed.is_some()
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
    note(!old.admin.is_same_listener(&new.admin), "admin");
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

    #[test]
    fn a_mistake_waits_for_another_text_and_everything_else_for_its_time() {
        let files = |n| Fingerprint {
            config: Some([n; 32]),
            mappings: None,
        };
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut again = Again::default();
        assert!(again.is_due(&files(1), start));
        again.failed(files(1), true, start);
        assert!(
            !again.is_due(&files(1), at(86_400)),
            "the text is as wrong as before"
        );
        assert!(again.is_due(&files(2), start));

        again.failed(files(2), false, start);
        assert!(!again.is_due(&files(2), at(3)) && again.is_due(&files(2), at(4)));
        again.failed(files(2), false, at(4));
        assert!(!again.is_due(&files(2), at(11)) && again.is_due(&files(2), at(12)));
        for _ in 0..40 {
            again.failed(files(2), false, start);
        }
        assert!(again.is_due(&files(2), start + LONGEST_WAIT));
        again.failed(files(3), false, start);
        assert!(again.is_due(&files(3), at(4)), "other files begin anew");
        assert!(again.forget() && !again.forget());
        assert!(again.is_due(&files(3), start));
    }
}
