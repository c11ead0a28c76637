//! The time that the daemon lives by.
//!
//! A debug build can be told through `LOCKSTEP_CLOCK=path` to add the number of milliseconds that stands in a file to the
//! machine's time. The file is read again every 20 ms, so that a test moves the time of a running daemon by writing to it.
//! A release build has only the machine's clock and knows neither the variable nor the file.

use std::sync::Arc;

use crate::domain::{SharedClock, SystemClock};

/// The process's clock. Must be called inside a tokio runtime.
#[cfg(not(debug_assertions))]
pub fn process_clock() -> SharedClock {
    Arc::new(SystemClock)
}

/// The process's clock. Must be called inside a tokio runtime.
#[cfg(debug_assertions)]
pub fn process_clock() -> SharedClock {
    match std::env::var_os("LOCKSTEP_CLOCK") {
        Some(path) => Arc::new(shifted::ShiftedClock::follow(path.into())),
        None => Arc::new(SystemClock),
    }
}

#[cfg(debug_assertions)]
mod shifted {
    use std::path::{Path, PathBuf};
    use std::time::Duration;

    use futures_util::future::BoxFuture;
    use tokio::sync::watch;

    use crate::domain::{Clock, SystemClock, Timestamp};

    /// How often the file is read.
    const POLL: Duration = Duration::from_millis(20);

    /// The machine's time plus the offset in a file.
    #[derive(Clone, Debug)]
    pub(super) struct ShiftedClock {
        offset_ms: watch::Receiver<i64>,
    }

    impl ShiftedClock {
        /// A clock that follows the file. A file that is missing or unreadable changes nothing.
        pub(super) fn follow(path: PathBuf) -> Self {
            let (sender, offset_ms) = watch::channel(read(&path).unwrap_or(0));
            tokio::spawn(async move {
                while !sender.is_closed() {
                    tokio::time::sleep(POLL).await;
                    if let Some(offset) = read(&path) {
                        sender.send_if_modified(|now| std::mem::replace(now, offset) != offset);
                    }
                }
            });
            Self { offset_ms }
        }
    }

    fn read(path: &Path) -> Option<i64> {
        std::fs::read_to_string(path).ok()?.trim().parse().ok()
    }

    impl Clock for ShiftedClock {
        fn now(&self) -> Timestamp {
            let offset = *self.offset_ms.borrow();
            Timestamp::from_millis(SystemClock.now().millis().saturating_add(offset))
        }

        fn sleep_until(&self, at: Timestamp) -> BoxFuture<'static, ()> {
            let mut clock = self.clone();
            Box::pin(async move {
                loop {
                    let offset = *clock.offset_ms.borrow_and_update();
                    let machine = SystemClock.now().millis().saturating_add(offset);
                    let wait = at.since(Timestamp::from_millis(machine));
                    if wait.is_zero() {
                        return;
                    }
                    tokio::select! {
                        () = tokio::time::sleep(wait) => {}
                        changed = clock.offset_ms.changed() => if changed.is_err() {
                            // The follower ended with its runtime, and so will this wait.
                            tokio::time::sleep(wait).await;
                        }
                    }
                }
            })
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[tokio::test]
        async fn a_sleeper_wakes_when_the_file_moves_the_time_past_it() {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("clock");
            let clock = ShiftedClock::follow(path.clone());
            let day = Duration::from_secs(24 * 3600);
            let tomorrow = clock.now().plus(day);
            let sleeper = clock.sleep_until(tomorrow);
            std::fs::write(&path, day.as_millis().to_string()).unwrap();
            tokio::time::timeout(Duration::from_secs(20), sleeper)
                .await
                .unwrap();
            assert!(clock.now() >= tomorrow);
        }
    }
}
