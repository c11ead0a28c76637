//! The real daemon as a process of its own.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

/// The daemon once it is ready, and its public address.
pub(crate) fn serve(config: &Path) -> (Child, String) {
    let mut daemon = Command::new(env!("CARGO_BIN_EXE_lockstep"))
        .arg("serve")
        .arg("--config")
        .arg(config)
        .env("LOCKSTEP_LOG", "error")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the daemon starts");
    let mut line = String::new();
    let mut output = BufReader::new(daemon.stdout.take().expect("its output"));
    output.read_line(&mut line).expect("its first line");
    let ready: Value = serde_json::from_str(&line).expect("it says that it is ready");
    assert_eq!(ready["ready"], true, "{line}");
    (daemon, ready["http"].as_str().expect("an address").to_owned())
}
