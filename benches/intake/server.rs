//! The server under load, as a process of its own.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::SocketAddr;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;

use lockstep::domain::{Object, Priority, SharedClock, SystemClock, SystemEntropy};
use lockstep::http::{
    Admin, AdminSettings, Health, Hinted, Hints, InstanceKey, Intake, IntakeShop, IntakeShops, Listeners,
    Public, Settings, Signature, Verify, admin_router, public_router,
};
use lockstep::secret::Secret;
use lockstep::shopify::webhook;
use lockstep::store::{self, OpenMode, SharedStore};
use lockstep::telemetry;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::off::Off;

pub(crate) const DOMAIN: &str = "bench.myshopify.com";
pub(crate) const SECRET: &str = "a secret of thirty-two characters";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Deliveries are accepted and forgotten.
    Off,
    /// Deliveries are stored, nothing works on them.
    Sqlite,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Sqlite => "sqlite",
        }
    }

    pub(crate) fn parse(name: &str) -> Self {
        [Self::Off, Self::Sqlite]
            .into_iter()
            .find(|kind| kind.name() == name)
            .expect("a kind of server")
    }
}

/// The process, ended with this value.
pub(crate) struct Server {
    child: Child,
    output: BufReader<ChildStdout>,
    pub(crate) address: SocketAddr,
}

impl Server {
    pub(crate) fn start(kind: Kind) -> Self {
        let mut child = Command::new(std::env::current_exe().expect("this program"))
            .args(["--serve", kind.name()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let mut output = BufReader::new(child.stdout.take().expect("its output"));
        let address = next_line(&mut output).parse().expect("its address");
        Self {
            child,
            output,
            address,
        }
    }

    /// Its peak memory so far, in MB.
    pub(crate) fn peak_mb(&self) -> f64 {
        status(self.child.id(), "VmHWM") / 1024.0
    }

    /// How much of a processor it used so far, in seconds (a tick of the kernel's clock is a hundredth).
    pub(crate) fn cpu_seconds(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap_or_default();
        // Name and state end the first part; user and system time are the 12th and 13th number after them.
        let after = stat.rsplit(") ").next().unwrap_or_default();
        after
            .split(' ')
            .skip(11)
            .take(2)
            .filter_map(|ticks| ticks.parse::<f64>().ok())
            .sum::<f64>()
            / 100.0
    }

    /// Ends it. Returns how many events it has stored.
    pub(crate) fn stop(mut self) -> u64 {
        drop(self.child.stdin.take());
        next_line(&mut self.output).parse().expect("a count")
    }
}

fn next_line(output: &mut BufReader<ChildStdout>) -> String {
    let mut line = String::new();
    output.read_line(&mut line).expect("a line");
    line.trim().to_owned()
}

/// A number of a process's `/proc/PID/status`; sizes are in kB.
pub(crate) fn status(process: u32, name: &str) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"));
    number(&status.unwrap_or_default(), name)
}

/// How often a process's threads have been woken so far.
pub(crate) fn wake_ups(process: u32) -> f64 {
    let threads = std::fs::read_dir(format!("/proc/{process}/task")).expect("its threads");
    threads
        .filter_map(|thread| std::fs::read_to_string(thread.ok()?.path().join("status")).ok())
        .map(|status| number(&status, "voluntary_ctxt_switches"))
        .sum()
}

fn number(status: &str, name: &str) -> f64 {
    status
        .lines()
        .find_map(|line| {
            line.strip_prefix(name)?
                .strip_prefix(':')?
                .split_whitespace()
                .next()?
                .parse()
                .ok()
        })
        .unwrap_or(f64::NAN)
}

impl Drop for Server {
    fn drop(&mut self) {
        // Its input ends, and so does it.
        drop(self.child.stdin.take());
        self.child.wait().ok();
    }
}

/// What the other process does.
pub(crate) fn run(kind: Kind) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(serve(kind));
}

/// No shop's ERP gives hints.
struct Nobody;

#[async_trait::async_trait]
impl Hinted for Nobody {
    fn token(&self, _shop: &lockstep::domain::ShopName) -> Option<lockstep::secret::Secret> {
        None
    }

    async fn hinted(&self, _shop: &lockstep::domain::ShopName, _model: Option<&str>) {}
}

async fn serve(kind: Kind) {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let clock: SharedClock = Arc::new(SystemClock);
    let store: SharedStore = match kind {
        Kind::Off => Arc::new(Off::default()),
        Kind::Sqlite => {
            let settings = store::Settings::default();
            store::open(&settings, folder.path(), Arc::clone(&clock), OpenMode::Serve)
                .await
                .expect("a store")
        }
    };
    let shops: IntakeShops = [IntakeShop {
        name: "bench".parse().expect("a name"),
        domain: DOMAIN.into(),
        secrets: vec![Secret::text(SECRET)],
        wanted: [(Object::Order, Priority::LIVE)].into(),
    }]
    .into_iter()
    .collect();
    let (_shops, follow) = watch::channel(Arc::new(shops));
    let (_pending, pending) = watch::channel(Vec::new());
    let verify: Verify = Arc::new(
        |secrets, body, header| match webhook::verify(secrets, body, header) {
            Ok(()) => Signature::Good,
            Err(_) => Signature::Bad,
        },
    );
    let settings = Settings {
        listen: ([127, 0, 0, 1], 0).into(),
        ..Settings::default()
    };
    let admin_settings = AdminSettings {
        listen: ([127, 0, 0, 1], 0).into(),
        ..AdminSettings::default()
    };
    let metrics = telemetry::metrics();
    let stop = CancellationToken::new();
    let shared = Arc::new(settings.clone());
    let intake = Arc::new(Intake::new(
        store.clone(),
        clock.clone(),
        follow,
        verify,
        shared.clone(),
        Arc::new(|_| None),
    ));
    let public = public_router(Public {
        intake: intake.clone(),
        hints: Arc::new(Hints::new(Arc::new(Nobody), clock.clone())),
        health: Arc::new(Health::new(store.clone(), clock.clone(), pending)),
        instance_key: InstanceKey::new(vec![7; 32]),
        settings: shared,
        entropy: Arc::new(SystemEntropy),
    });
    let admin = Admin::new(store.clone(), clock.clone(), metrics.clone());
    let admin = admin_router(Arc::new(admin), axum::Router::new(), Arc::new(SystemEntropy));
    let listeners = Listeners::open(&settings, &admin_settings)
        .await
        .expect("free ports");
    println!("{}", listeners.public_address());

    let end = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()));
    let ended = {
        let stop = stop.clone();
        async move {
            end.await.ok();
            stop.cancel();
        }
    };
    tokio::join!(
        ended,
        listeners.serve(public, admin, &settings, stop.clone()),
        intake.keep_count(stop.clone()),
        lockstep::http::keep_metrics_small(metrics, clock.clone(), stop.clone()),
    );
    // The store that forgets everything cannot count.
    let events = store.counts(clock.now()).await.map_or(0, |counts| counts.events);
    println!("{events}");
    store.close().await;
}
