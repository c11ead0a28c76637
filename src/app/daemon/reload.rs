//! Changed files take effect without a restart, all or nothing.
//!
//! The content of the configuration, of the mapping folder and of the files that endpoints name (templates, addresses,
//! certificates) is looked at every second (and at once on SIGHUP), whatever way
//! it came there: written over, renamed, a link that leads elsewhere. What is still being written is left alone until it holds
//! still. What changed is read, checked and wired completely; only then it replaces what is in force. A mistake keeps everything as it
//! was and is logged with its place; it is looked at again when the text changes. What failed for another reason (the store
//! was away, a file that the text names could not be read) is tried again, ever less often. What is not taken stands in
//! `lockstep status`, too. Listeners, store and logs belong to the process: changes there are told to need a
//! restart.
//!
//! What is taken becomes the newest revision, on which all nodes of the store act. A node whose files differ from it says so,
//! works with the newest revision's toggles, and changes nothing on the shops by itself.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::select;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::files::Fingerprint;
use super::lanes::{ActedOn, Toggles, declared, gate, in_force, intake, to_discard, to_look_for};
use super::shops::{Before, Clients, Current, Disabled, Wired, node_file};
use super::{StartError, pause};
use crate::app::gaps::{self, Missed};
use crate::app::notify::events::Audience;
use crate::app::reach::{self, NOT_TAKEN};
use crate::config::{Config, ConfigError};
use crate::domain::{SharedClock, SharedEntropy};
use crate::http::{self, IntakeShops};
use crate::mapping::{MappingErrors, Mappings};
use crate::queue::Live;
use crate::store::{self, NodeFile, SharedStore, Standing, StoreError, TakenUp};
use crate::subscriptions::Toggle;
use crate::sync::Engine;

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(1);

/// How long a changed file must hold still: half of one that is written over may be a configuration, too.
const HOLDS_STILL: Duration = Duration::from_millis(150);

/// How often this node says that it lives and looks at the newest revision. Machine time: tests cannot move it.
const LOOK_AROUND: Duration = Duration::from_millis(if cfg!(test) { 100 } else { 10_000 });

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
    pub(super) audience: watch::Sender<Arc<Audience>>,
    pub(super) disabled: Disabled,
    pub(super) acted_on: ActedOn,
    /// What this node runs.
    pub(super) file: Mutex<NodeFile>,
    pub(super) standing: watch::Sender<Standing>,
}

impl Reloader {
    /// What is in force, now and after every reload.
    pub(super) fn current(&self) -> Current {
        Current {
            config: self.config.subscribe(),
            engine: self.engine.subscribe(),
            clients: self.clients.subscribe(),
            live: self.live.clone(),
            standing: self.standing.subscribe(),
            disabled: self.disabled.clone(),
        }
    }

    /// Follows the files (if it is to) and requests until `stop`. `taken` are the files in force.
    pub(super) async fn follow(
        self,
        mut taken: Fingerprint,
        follow_files: bool,
        mut requests: mpsc::Receiver<ReloadRequest>,
        stop: CancellationToken,
    ) {
        let mut again = Again::default();
        let mut looked_around = Instant::now();
        // What an earlier process could not take is of no interest any more.
        self.note(None).await;
        self.tell_standing();
        loop {
            self.act_on_toggles().await;
            let request = select! {
                () = stop.cancelled() => break,
                Some(request) = requests.recv() => Some(request),
                () = pause(LOOK), if follow_files => None,
                () = pause(LOOK_AROUND) => None,
            };
            if looked_around.elapsed() >= LOOK_AROUND {
                self.look_around().await;
                looked_around = Instant::now();
            }
            if request.is_none() && !follow_files {
                continue;
            }
            let fresh = self.fingerprint().await;
            let now = Instant::now();
            if request.is_none() {
                if fresh == taken || !again.is_due(&fresh, now) {
                    continue;
                }
                pause(HOLDS_STILL).await;
                if self.fingerprint().await != fresh {
                    continue;
                }
            }
            let config_changed =
                fresh.config != taken.config || fresh.followed != taken.followed || request.is_some();
            let result = self.reload(config_changed, &fresh).await;
            match &result {
                Ok((_, read)) => {
                    taken = read.clone();
                    if again.forget() {
                        self.note(None).await;
                    }
                }
                Err(error) => {
                    // The same mistake is told once, not every second.
                    again.failed(fresh, error.is_in_the_text(), now);
                    tracing::error!(error = %error, "the changed files are not taken; everything stays as it was");
                    self.note(Some(&error.to_string())).await;
                }
            }
            if let Some(request) = request {
                let revision = result.map(|(revision, _)| revision);
                // Whoever asked may not have waited.
                request.send(revision.map_err(|error| error.to_string())).ok();
            }
        }
        let node = self.file().node;
        if let Err(error) = self.store.node_gone(&node).await {
            tracing::debug!(error = %error, "the other nodes were not told of the end of this one");
        }
    }

    /// What this node runs.
    fn file(&self) -> NodeFile {
        self.file.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Says that this node lives, and follows the newest revision.
    async fn look_around(&self) {
        let now = self.clock.now();
        match self.store.config_revision(self.file(), TakenUp::Found, now).await {
            Ok(standing) if *self.standing.borrow() != standing => self.stand(standing),
            Ok(_) => {}
            Err(error) => tracing::warn!(error = %error, "cannot look which configuration is the newest"),
        }
    }

    /// Acts on another standing: its toggles are in force from now on.
    fn stand(&self, standing: Standing) {
        let config = Arc::clone(&self.config.borrow());
        let toggles = in_force(&config, &standing);
        self.intake_shops
            .send_replace(Arc::new(intake(&config, &toggles)));
        self.live.send_modify(|live| {
            live.gate = gate(toggles, &self.disabled, &self.acted_on);
            live.revision = Some(standing.own);
        });
        self.standing.send_replace(standing);
        self.tell_standing();
    }

    /// Tells the log when this node is not the one to follow.
    fn tell_standing(&self) {
        let standing = self.standing.borrow();
        let (own, newest) = (standing.own, standing.newest.id);
        if standing.is_newest {
            tracing::info!(revision = own, "acting on the newest configuration");
        } else {
            tracing::warn!(
                revision = own,
                newest,
                by = standing.newest.node,
                "the files of this node differ from the newest configuration: it works with that one's toggles and changes \
                 nothing on the shops by itself until its own files are the same, or are saved anew"
            );
        }
    }

    /// Does what a toggle asks for at the moment when it is switched, once, whenever that was: the daemon may have been
    /// stopped meanwhile.
    async fn act_on_toggles(&self) {
        let config = Arc::clone(&self.config.borrow());
        let toggles = declared(&config);
        if !self.standing.borrow().is_newest || self.acted_on.is(&toggles) {
            return;
        }
        match self.switched(&toggles).await {
            Ok(()) => {
                self.acted_on.set(toggles);
                // Lanes may be open now: let the queue look.
                self.live.send_modify(|_| {});
            }
            Err(error) => {
                tracing::warn!(error = %error, "cannot do what switched toggles ask for; trying again");
            }
        }
    }

    async fn switched(&self, toggles: &Toggles) -> Result<(), StoreError> {
        let place = reach::installation();
        let text = serde_json::to_string(toggles).unwrap_or_default();
        let known = self.store.cursor(&place, TOGGLES_ACTED_ON).await?;
        if known.as_deref() == Some(text.as_str()) {
            return Ok(());
        }
        let before: Toggles = known
            .and_then(|known| serde_json::from_str(&known).ok())
            .unwrap_or_default();
        for lane in to_discard(&before, toggles) {
            let now = self.clock.now();
            let jobs = self.store.discard_waiting(&lane, SWITCHED_OFF, now).await?;
            tracing::info!(
                shop = %lane.shop, object = %lane.object, direction = %lane.direction, jobs,
                "switched off: the jobs that waited are discarded"
            );
        }
        // Whatever becomes of the subscriptions: from the moment of the switch events are left alone, and after it they are not.
        let config = Arc::clone(&self.config.borrow());
        for (shop, object, toggle) in to_look_for(&before, toggles) {
            let reason = match toggle {
                Toggle::Off => format!("{object}s were switched off"),
                Toggle::On | Toggle::Paused => format!("{object}s had been switched off"),
            };
            let missed = Missed {
                shop: &shop,
                start_at: config.shops.get(&shop).and_then(|shop| shop.start_at),
                object,
                since: Some(self.clock.now()),
                reason: &reason,
            };
            gaps::open(&self.store, &self.clock, missed).await?;
        }
        self.store
            .set_cursor(&place, TOGGLES_ACTED_ON, &text, self.clock.now())
            .await
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
        tokio::task::spawn_blocking(move || Fingerprint::now(&config))
            .await
            .unwrap_or_default()
    }

    /// Takes the files up. Returns the number of what is in force then, and what was read: the files may have changed
    /// again meanwhile.
    async fn reload(
        &self,
        config_changed: bool,
        fresh: &Fingerprint,
    ) -> Result<(Option<i64>, Fingerprint), ReloadError> {
        let old = Arc::clone(&self.config.borrow());
        let before = self.file();
        if !config_changed {
            let mappings = load_mappings(old.mappings.dir.clone()).await?;
            let file = node_file(&old, &mappings, &before.node);
            let how = if file.hash == before.hash {
                TakenUp::Found
            } else {
                TakenUp::Saved
            };
            let standing = self
                .store
                .config_revision(file.clone(), how, self.clock.now())
                .await
                .map_err(StartError::from)?;
            let revision = standing.own;
            self.mappings.send_replace(Arc::new(mappings));
            self.runs(file);
            self.stand(standing);
            tracing::info!(revision, "took changed mappings");
            return Ok((Some(revision), fresh.clone()));
        }
        let path = old.path.clone();
        let (config, read) = tokio::task::spawn_blocking(move || read(&path))
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
        let known = Before {
            config: &old,
            engine: &engine,
            clients: &clients,
            hash: &before.hash,
        };
        let wired = Wired::new(
            &config,
            &mappings,
            &self.mappings,
            &self.store,
            &self.clock,
            &self.entropy,
            &self.disabled,
            &self.acted_on,
            &before.node,
            Some(&known),
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
        self.audience.send_replace(Arc::new(Audience::of(&config)));
        self.config.send_replace(Arc::new(config));
        self.live.send_replace(wired.live);
        self.runs(wired.file);
        self.standing.send_replace(wired.standing);
        tracing::info!(revision, "took the changed configuration");
        self.tell_standing();
        Ok((revision, read))
    }

    /// Notes what this node runs from now on.
    fn runs(&self, file: NodeFile) {
        *self.file.lock().unwrap_or_else(PoisonError::into_inner) = file;
    }
}

/// The named position of the toggles whose switching was acted on.
pub(super) const TOGGLES_ACTED_ON: &str = "toggles_acted_on";

/// Why jobs are discarded.
const SWITCHED_OFF: &str = "switched off";

/// The configuration as it stands in the file, and what exactly was read. The mapping folder is hashed before it is read:
/// what changes in between is seen at the next look.
fn read(path: &Path) -> Result<(Config, Fingerprint), ConfigError> {
    let config = Config::load(path)?;
    let read = Fingerprint::read_with(&config);
    Ok((config, read))
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
    // Where Shopify reaches us concerns the webhooks, which follow it.
    let http = http::Settings {
        public_url: old.http.public_url.clone(),
        ..new.http.clone()
    };
    note(old.http != http, "http");
    note(!old.admin.is_same_listener(&new.admin), "admin");
    note(old.log != new.log, "log");
    sections
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistake_waits_for_another_text_and_everything_else_for_its_time() {
        let files = |n| Fingerprint {
            config: Some([n; 32]),
            ..Fingerprint::default()
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
