//! `serve` in a process of its own: signals.

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::Daemon;

/// The signals that tell the daemon something. From when they are listened to, none ends the process by itself.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    /// Listens to them: to be done before anybody is told that the daemon is ready, who may ask it to stop at once.
    ///
    /// # Errors
    /// When signals cannot be received.
    pub fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Runs the daemon until SIGTERM or SIGINT (then it stops in order), or until a part of it breaks. SIGHUP takes up changed
    /// files. A second SIGTERM or SIGINT ends the process at once: that is safe, and sometimes wanted. Says whether it was
    /// asked to stop.
    pub async fn serve(mut self, daemon: Daemon) -> bool {
        let asked = loop {
            tokio::select! {
                _ = self.terminate.recv() => break true,
                _ = self.interrupt.recv() => break true,
                () = daemon.broken() => break false,
                _ = self.hangup.recv() => {
                    tracing::info!("SIGHUP: taking up changed files");
                    daemon.request_reload();
                }
            }
        };
        tracing::info!("stopping");
        tokio::select! {
            () = daemon.stop() => {}
            _ = self.terminate.recv() => tracing::warn!("asked again: ending at once"),
            _ = self.interrupt.recv() => tracing::warn!("asked again: ending at once"),
        }
        asked
    }
}
