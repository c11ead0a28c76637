//! A dispatcher that runs, with a receiver for each of its endpoints that answers at once.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::extract::State;
use lockstep::app::notify::Dispatcher;
use lockstep::config::Config;
use lockstep::domain::{Clock as _, SystemClock, SystemEntropy};
use lockstep::store::{NodeFile, SharedStore, Standing, TakenUp};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// A dispatcher and its receivers.
pub(crate) struct Dispatching {
    taken: Arc<AtomicUsize>,
    stop: CancellationToken,
    running: JoinHandle<()>,
    /// It would stop to follow them if they were dropped.
    _followed: (watch::Sender<Arc<Config>>, watch::Sender<Standing>),
}

impl Dispatching {
    /// To so many endpoints, which all get everything.
    pub(crate) async fn start(store: &SharedStore, endpoints: usize) -> Self {
        let taken = Arc::new(AtomicUsize::new(0));
        let ports = receivers(&taken, endpoints).await;
        let file = NodeFile {
            node: "bench".to_owned(),
            hash: String::new(),
            summary: String::new(),
            toggles: serde_json::json!({}),
        };
        let standing = store
            .config_revision(file, TakenUp::Saved, SystemClock.now())
            .await
            .expect("the revision is noted");
        let config = watch::Sender::new(Arc::new(config(&ports)));
        let standing = watch::Sender::new(standing);
        let dispatcher = Dispatcher::new(
            config.subscribe(),
            standing.subscribe(),
            store.clone(),
            Arc::new(SystemClock),
            Arc::new(SystemEntropy),
            "bench",
        );
        let stop = CancellationToken::new();
        Self {
            taken,
            running: tokio::spawn(dispatcher.run(stop.clone())),
            stop,
            _followed: (config, standing),
        }
    }

    /// How many requests have come to the receivers.
    pub(crate) fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }

    /// Stops it: what was sent is noted then.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.running.await.expect("it stops");
    }
}

/// So many receivers that count what they take; their ports.
pub(crate) async fn receivers(taken: &Arc<AtomicUsize>, count: usize) -> Vec<u16> {
    let mut ports = Vec::with_capacity(count);
    for _ in 0..count {
        ports.push(receiver(taken).await);
    }
    ports
}

async fn receiver(taken: &Arc<AtomicUsize>) -> u16 {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let port = listener.local_addr().expect("it has an address").port();
    let router = Router::new().fallback(take).with_state(Arc::clone(taken));
    tokio::spawn(async move { axum::serve(listener, router).await });
    port
}

async fn take(State(taken): State<Arc<AtomicUsize>>) {
    taken.fetch_add(1, Ordering::Relaxed);
}

fn config(ports: &[u16]) -> Config {
    let text = format!(
        "{}[shops.main]\ndomain = 'main-store.myshopify.com'\naccess_token = 'token'\nwebhook_secrets = ['secret']\n\
         [shops.main.odoo]\nurl = 'http://127.0.0.1:9'\ndatabase = 'prod'\nlogin = 'a@example.com'\napi_key = 'key'\n\
         [shops.main.sync]\norders = {{ in = 'on' }}\n",
        tables(ports, EVERYTHING)
    );
    Config::parse(&text, Path::new("/nowhere/lockstep.toml"), &|_| None).expect("it is right")
}

/// Of an endpoint that gets everything.
pub(crate) const EVERYTHING: &[&str] = &["events = ['*']"];

/// The configuration's tables for these receivers, which ask for this by turns.
pub(crate) fn tables(ports: &[u16], asks: &[&str]) -> String {
    let mut text = "[notify]\nallow_networks = ['127.0.0.1']\n".to_owned();
    for ((n, port), asks) in ports.iter().enumerate().zip(asks.iter().cycle()) {
        writeln!(
            text,
            "[notify.endpoints.e{n}]\nurl = 'http://127.0.0.1:{port}/'\nallow_http = true\n\
             secrets = ['whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD']\n{asks}"
        )
        .expect("texts can be written to");
    }
    text
}
