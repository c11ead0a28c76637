//! Waiting for what happens in other processes.

use std::time::{Duration, Instant};

pub(crate) const PATIENCE: Duration = Duration::from_mins(20);

pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    let mut tick = tokio::time::interval(Duration::from_millis(20));
    while !holds() {
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        tick.tick().await;
    }
}
