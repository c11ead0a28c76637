//! The real daemon with nothing to do: how fast it is ready, and what it uses then.

use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use crate::daemon::serve;
use crate::server::{status, wake_ups};
use crate::wait;

/// Nobody listens at either address: an idle daemon asks nobody anything.
const CONFIG: &str = r#"
[http]
listen = "127.0.0.1:0"
[admin]
listen = "127.0.0.1:0"
[shops.main]
domain = "main-store.myshopify.com"
access_token = "token"
webhook_secrets = ["secret"]
base_url = "http://127.0.0.1:9"
[shops.main.odoo]
url = "http://127.0.0.1:9"
database = "prod"
login = "connector@example.com"
api_key = "key"
[shops.main.sync]
orders = { in = "on" }
customers = { in = "on" }
products = { in = "on" }
"#;

pub(crate) struct Idle {
    pub(crate) ready: Duration,
    pub(crate) memory_mb: f64,
    pub(crate) wake_ups_per_second: f64,
}

/// Starts the daemon on an existing database and watches it for `time`.
pub(crate) fn watch(time: Duration) -> Idle {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let config = folder.path().join("lockstep.toml");
    std::fs::write(&config, CONFIG).expect("a configuration");
    // The first start makes the database.
    let (first, _) = start(&config);
    stop(first);
    let (daemon, ready) = start(&config);
    let before = wake_ups(daemon.id());
    wait(time);
    let woken = wake_ups(daemon.id()) - before;
    let memory_mb = status(daemon.id(), "VmRSS") / 1024.0;
    stop(daemon);
    Idle {
        ready,
        memory_mb,
        wake_ups_per_second: woken / time.as_secs_f64(),
    }
}

/// The daemon, and how long it took until its first line.
fn start(config: &Path) -> (Child, Duration) {
    let began = Instant::now();
    let (daemon, _) = serve(config);
    (daemon, began.elapsed())
}

fn stop(mut daemon: Child) {
    let asked = Command::new("kill")
        .args(["-TERM", &daemon.id().to_string()])
        .status();
    assert!(asked.expect("kill can be run").success());
    assert!(daemon.wait().expect("it ends").success());
}
