//! `serve` in a process of its own: signals.

use tokio::signal::unix::{SignalKind, signal};

use super::Daemon;

/// Runs the daemon until SIGTERM or SIGINT (then it stops in order), or until a part of it breaks. SIGHUP takes up changed
/// files. A second SIGTERM or SIGINT ends the process at once: that is safe, and sometimes wanted. Says whether it was
/// asked to stop.
///
/// # Errors
/// When signals cannot be received.
pub async fn serve_until_signal(daemon: Daemon) -> std::io::Result<bool> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let asked = loop {
        tokio::select! {
            _ = terminate.recv() => break true,
            _ = interrupt.recv() => break true,
            () = daemon.broken() => break false,
            _ = hangup.recv() => {
                tracing::info!("SIGHUP: taking up changed files");
                daemon.request_reload();
            }
        }
    };
    tracing::info!("stopping");
    tokio::select! {
        () = daemon.stop() => {}
        _ = terminate.recv() => tracing::warn!("asked again: ending at once"),
        _ = interrupt.recv() => tracing::warn!("asked again: ending at once"),
    }
    Ok(asked)
}
