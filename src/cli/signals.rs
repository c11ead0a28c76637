//! Being told to stop, for commands that have something to end in order.

use tokio::signal::unix::{SignalKind, signal};

/// Waits until the process is told to stop: Ctrl-C, or what service managers and schedulers send. A command that waits for this does not
/// end by itself any more, so that whoever calls it has to end then.
pub(super) async fn told_to_stop() {
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        // It ends by the signal as ever.
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}
