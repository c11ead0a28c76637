//! The built binary as a process: started on free ports, killed, started again.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use lockstep::failpoint::FailPoint;
use serde_json::Value;

/// How long starting, stopping or any single condition may take: ten times what is promised.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A running `lockstep serve`.
pub(crate) struct Daemon {
    child: Child,
    /// Address of the public listener.
    pub(crate) http: String,
    /// Address of the admin listener.
    pub(crate) admin: String,
    log: Arc<Mutex<String>>,
}

/// What a daemon is started with.
#[derive(Clone, Default)]
pub(crate) struct Start {
    /// Fail points, as in `LOCKSTEP_FAIL`.
    pub(crate) fail: Option<String>,
    /// File with the clock's offset, as in `LOCKSTEP_CLOCK`.
    pub(crate) clock: Option<PathBuf>,
}

impl Daemon {
    /// Starts the daemon and waits for its ready line.
    pub(crate) fn start(config: &Path, start: &Start) -> Self {
        match Self::try_start(config, start) {
            Ok(daemon) => daemon,
            Err(log) => panic!("the daemon did not start:\n{log}"),
        }
    }

    /// Starts the daemon; its log when it ends before it is ready.
    pub(crate) fn try_start(config: &Path, start: &Start) -> Result<Self, String> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lockstep"));
        command
            .arg("serve")
            .arg("--config")
            .arg(config)
            .env_remove("LOCKSTEP_FAIL")
            .env_remove("LOCKSTEP_CLOCK");
        if let Some(fail) = &start.fail {
            command.env("LOCKSTEP_FAIL", fail);
        }
        if let Some(clock) = &start.clock {
            command.env("LOCKSTEP_CLOCK", clock);
        }
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary can be started");
        let log = Arc::new(Mutex::new(String::new()));
        let mut errors = BufReader::new(child.stderr.take().expect("stderr is piped"));
        let sink = Arc::clone(&log);
        let reader = std::thread::spawn(move || {
            let mut line = String::new();
            while errors.read_line(&mut line).is_ok_and(|read| read > 0) {
                sink.lock().expect("the log is not poisoned").push_str(&line);
                line.clear();
            }
        });
        let mut output = BufReader::new(child.stdout.take().expect("stdout is piped"));
        let (first, ready) = mpsc::channel();
        std::thread::spawn(move || {
            let mut line = String::new();
            output.read_line(&mut line).ok();
            first.send(line).ok();
            // Nobody needs what follows; the pipe stays open so that a later line does not kill the daemon.
            let mut rest = String::new();
            output.read_to_string(&mut rest).ok();
        });
        let line = ready.recv_timeout(PATIENCE).unwrap_or_else(|_| {
            child.kill().ok();
            "(it did not say within the time that it is ready)".to_owned()
        });
        let Ok(ready) = serde_json::from_str::<Value>(&line) else {
            child.wait().expect("the process ends");
            // Its last lines are on their way.
            reader.join().expect("the log can be read");
            let log = log.lock().expect("the log is not poisoned").clone();
            return Err(format!("{line}{log}"));
        };
        let address = |name: &str| ready[name].as_str().unwrap_or_default().to_owned();
        Ok(Self {
            http: address("http"),
            admin: address("admin"),
            child,
            log,
        })
    }

    /// Kills it as abruptly as the system can.
    pub(crate) fn kill(&mut self) {
        self.child.kill().ok();
        self.child.wait().expect("the process ends");
    }

    /// Asks it to stop (SIGTERM) and waits for its end.
    pub(crate) fn terminate(&mut self) -> ExitStatus {
        self.signal("-TERM");
        self.wait()
    }

    /// Asks it to read its files again (SIGHUP).
    pub(crate) fn hang_up(&self) {
        self.signal("-HUP");
    }

    fn signal(&self, signal: &str) {
        let status = Command::new("kill")
            .args([signal, &self.child.id().to_string()])
            .status()
            .expect("kill can be run");
        assert!(status.success());
    }

    /// Waits until it ends by itself.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("the process can be asked") {
                return status;
            }
            assert!(
                Instant::now() < deadline,
                "the daemon does not end:\n{}",
                self.log()
            );
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }

    /// Whether it has ended.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("the process can be asked").is_some()
    }

    /// Whether a fail point that it was armed with has struck.
    pub(crate) fn has_struck(&self, point: FailPoint) -> bool {
        let point = format!("point={point}");
        self.log()
            .lines()
            .any(|line| line.contains("fail point struck") && line.contains(&point))
    }

    /// What it wrote to stderr so far.
    pub(crate) fn log(&self) -> String {
        self.log.lock().expect("the log is not poisoned").clone()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Runs another command of lockstep and returns its exit code, stdout and stderr.
pub(crate) fn run(config: &Path, arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_lockstep"))
        .args(arguments)
        .env("LOCKSTEP_CONFIG", config)
        .env_remove("LOCKSTEP_FAIL")
        .env_remove("LOCKSTEP_CLOCK")
        .output()
        .expect("the binary can be run");
    (
        output.status.code().unwrap_or(-1),
        String::from_utf8_lossy(&output.stdout).into_owned(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}
