//! What runs as a part of the daemon, and what its parts may ask of it.

use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::reload::ReloadRequest;
use crate::queue::Live;
use crate::store::Standing;

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
