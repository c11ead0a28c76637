//! What runs as a part of the daemon, and what its parts may ask of it.

use std::time::{Duration, Instant};

use tokio::select;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::reload::ReloadRequest;
use crate::queue::Live;
use crate::store::Standing;

/// How long a part rests before it is begun anew, at first; twice as long each time, up to [`LONGEST_REST`].
const FIRST_REST: Duration = Duration::from_millis(if cfg!(test) { 1 } else { 1_000 });

/// The longest such rest. What ran for longer than this begins with the first again.
const LONGEST_REST: Duration = Duration::from_secs(60);

/// Starts the parts of the daemon and notes when one ends before its time.
pub(super) struct Part<'a> {
    pub(super) tasks: &'a TaskTracker,
    pub(super) stop: &'a CancellationToken,
    pub(super) broken: &'a CancellationToken,
}

impl Part<'_> {
    pub(super) fn run(&self, name: &'static str, part: impl Future<Output = ()> + Send + 'static) {
        let (stop, broken) = (self.stop.clone(), self.broken.clone());
        let task = self.tasks.spawn(part);
        self.tasks.spawn(async move {
            let ended = task.await;
            if !stop.is_cancelled() {
                tracing::error!(
                    part = name,
                    panicked = ended.is_err(),
                    "{name} ended before its time"
                );
                broken.cancel();
            }
        });
    }

    /// Runs a part that everything else can do without for a while: when it ends before its time it is begun anew, and nothing
    /// else is held up.
    pub(super) fn keep<F>(&self, name: &'static str, begin: impl Fn() -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (stop, tasks) = (self.stop.clone(), self.tasks.clone());
        self.tasks.spawn(async move {
            let mut rest = FIRST_REST;
            loop {
                let began = Instant::now();
                let ended = tasks.spawn(begin()).await;
                if stop.is_cancelled() {
                    return;
                }
                if began.elapsed() > LONGEST_REST {
                    rest = FIRST_REST;
                }
                tracing::error!(
                    part = name,
                    panicked = ended.is_err(),
                    "{name} ended before its time and is begun anew in {} s",
                    rest.as_secs_f32()
                );
                select! {
                    () = stop.cancelled() => return,
                    () = pause(rest) => {}
                }
                rest = (rest * 2).min(LONGEST_REST);
            }
        });
    }
}

/// Waits in machine time. What follows files and other processes must go on while a test's clock stands still.
pub(super) async fn pause(length: Duration) {
    tokio::time::sleep(length).await;
}

/// What may be asked of a running daemon from elsewhere in it.
#[derive(Clone, Debug)]
pub(crate) struct Controls {
    pub(super) reload: mpsc::Sender<ReloadRequest>,
    pub(super) live: watch::Sender<Live>,
    pub(super) standing: watch::Receiver<Standing>,
    pub(super) stop: CancellationToken,
    pub(super) tasks: TaskTracker,
}

impl Controls {
    /// Does this beside everything else. It is told when the daemon stops, which waits for its end.
    pub(crate) fn aside<F>(&self, work: impl FnOnce(CancellationToken) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.tasks.spawn(work(self.stop.child_token()));
    }

    /// The hash of this node's configuration, if it is the one that all act on as far as this node knows.
    pub(crate) fn newest(&self) -> Option<String> {
        let standing = self.standing.borrow();
        standing.is_newest.then(|| standing.newest.hash.clone())
    }

    /// Takes the files up again now; see [`super::Daemon::reload`].
    pub(crate) async fn reload(&self) -> Result<Option<i64>, String> {
        let (sender, answer) = oneshot::channel();
        let stopping = || "the daemon is stopping".to_owned();
        self.reload.send(sender).await.map_err(|_| stopping())?;
        answer.await.map_err(|_| stopping())?
    }

    /// Has the queue look at the store: a change of what it follows makes it.
    pub(crate) fn look(&self) {
        self.live.send_modify(|_| {});
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn a_part_that_panics_is_begun_anew_and_ends_nothing_else() {
        let (tasks, stop, broken) = (
            TaskTracker::new(),
            CancellationToken::new(),
            CancellationToken::new(),
        );
        let part = Part {
            tasks: &tasks,
            stop: &stop,
            broken: &broken,
        };
        let (begun, runs) = (Arc::new(AtomicUsize::new(0)), CancellationToken::new());
        part.keep("a part", {
            let (begun, runs, stop) = (Arc::clone(&begun), runs.clone(), stop.clone());
            move || {
                let (nth, runs, stop) = (begun.fetch_add(1, Ordering::Relaxed), runs.clone(), stop.clone());
                async move {
                    assert!(nth >= 2, "it panics twice");
                    runs.cancel();
                    stop.cancelled().await;
                }
            }
        });
        runs.cancelled().await;
        assert!(!broken.is_cancelled());
        stop.cancel();
        tasks.close();
        tasks.wait().await;
        assert_eq!(
            begun.load(Ordering::Relaxed),
            3,
            "what was stopped is not begun anew"
        );
    }
}
