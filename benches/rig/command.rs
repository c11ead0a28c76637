//! Commands beside the daemon.

use std::path::Path;
use std::process::Command;

/// What the command writes to its output.
pub(crate) fn command(config: &Path, arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_lockstep"))
        .args(arguments)
        .env("LOCKSTEP_CONFIG", config)
        .output()
        .expect("the binary can be run");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {said}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
