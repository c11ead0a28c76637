//! The server under load, as a process of its own.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use async_trait::async_trait;
use lockstep::domain::{Object, Outcome, Report, SharedClock, SystemClock, SystemEntropy};
use lockstep::http::{
    Admin, AdminSettings, Health, InstanceKey, Intake, IntakeShop, IntakeShops, Listeners, Public, Settings,
    Signature, Verify, admin_router, public_router,
};
use lockstep::queue::{Handler, LaneGate, Live, Queue};
use lockstep::secret::Secret;
use lockstep::shopify::webhook;
use lockstep::store::{self, ClaimedJob, OpenMode, SharedStore};
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
    /// All parts run, and nothing happens.
    Idle,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Sqlite => "sqlite",
            Self::Idle => "idle",
        }
    }

    pub(crate) fn parse(name: &str) -> Self {
        [Self::Off, Self::Sqlite, Self::Idle]
            .into_iter()
            .find(|kind| kind.name() == name)
            .expect("a kind of server")
    }
}

/// The process, ended with this value.
pub(crate) struct Server {
    child: Child,
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
        let stdout = child.stdout.take().expect("its output");
        let mut line = String::new();
        BufReader::new(stdout)
            .read_line(&mut line)
            .expect("its first line");
        let address = line.trim().parse().expect("its address");
        Self { child, address }
    }

    fn file(&self, name: &str) -> String {
        std::fs::read_to_string(format!("/proc/{}/{name}", self.child.id())).unwrap_or_default()
    }

    /// A line of `/proc/PID/status`, in kB.
    pub(crate) fn status_kb(&self, name: &str) -> f64 {
        number(&self.file("status"), name)
    }

    /// How often its threads have been woken so far.
    pub(crate) fn wake_ups(&self) -> f64 {
        let threads = std::fs::read_dir(format!("/proc/{}/task", self.child.id())).expect("its threads");
        threads
            .filter_map(|thread| std::fs::read_to_string(thread.ok()?.path().join("status")).ok())
            .map(|status| number(&status, "voluntary_ctxt_switches"))
            .sum()
    }
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

struct Nothing;

#[async_trait]
impl Handler for Nothing {
    async fn attempt(&self, _: ClaimedJob, _: CancellationToken) -> Report {
        Report::of(Outcome::Completed, "done")
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

async fn serve(kind: Kind) {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let clock: SharedClock = Arc::new(SystemClock);
    let store: SharedStore = match kind {
        Kind::Off => Arc::new(Off::default()),
        Kind::Sqlite | Kind::Idle => {
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
        wanted: vec![Object::Order],
    }]
    .into_iter()
    .collect();
    let (_shops, follow) = watch::channel(Arc::new(shops));
    let (_pending, pending) = watch::channel(Vec::new());
    let (_live, live) = watch::channel(Live {
        settings: lockstep::queue::Settings::default(),
        gate: LaneGate::open(),
        revision: None,
    });
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
    ));
    let public = public_router(Public {
        intake: intake.clone(),
        health: Arc::new(Health::new(store.clone(), clock.clone(), pending)),
        instance_key: InstanceKey::new(vec![7; 32]),
        settings: shared,
        entropy: Arc::new(SystemEntropy),
    });
    let admin = Admin::new(store.clone(), clock.clone(), metrics.clone());
    let admin = admin_router(Arc::new(admin), Arc::new(SystemEntropy));
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
    let queue = Queue::new(
        store.clone(),
        Arc::new(Nothing),
        live,
        clock.clone(),
        Arc::new(SystemEntropy),
        "bench",
    );
    let queue = async {
        if kind == Kind::Idle {
            queue.run(stop.clone()).await;
        }
    };
    tokio::join!(
        ended,
        listeners.serve(public, admin, &settings, stop.clone()),
        intake.keep_count(stop.clone()),
        lockstep::http::keep_metrics_small(metrics, clock, stop.clone()),
        queue,
    );
    store.close().await;
}
