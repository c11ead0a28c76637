//! A running queue over a real SQLite store, with a clock that only the test moves and a handler that the test scripts.

use std::fmt::Debug;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::domain::{
    Actor, Clock as _, Direction, Disposition, JobKey, JobState, ManualClock, NewProblem, Object, Outcome,
    Priority, ProblemCode, Report, SeededEntropy, SharedClock, ShopifyId, System, Timestamp, Via,
};
use crate::queue::{Handler, LaneGate, Live, Queue, Settings};
use crate::store::faulty::FaultyStore;
use crate::store::{
    ClaimedJob, ImportPage, ImportsBegun, JobFilter, JobRow, Lane, NewImport, NewJob, SharedStore, testing,
};

/// How long a condition may take that usually takes milliseconds.
const PATIENCE: Duration = Duration::from_mins(1);

pub(super) type Script =
    Arc<dyn Fn(ClaimedJob, CancellationToken) -> BoxFuture<'static, Report> + Send + Sync>;

/// Runs the script and keeps book of who began and who ended.
pub(super) struct Scripted {
    script: Script,
    pub(super) began: Mutex<Vec<ClaimedJob>>,
    pub(super) ended: Mutex<Vec<String>>,
}

#[async_trait]
impl Handler for Scripted {
    async fn attempt(&self, job: ClaimedJob, stop: CancellationToken) -> Report {
        let name = name_of(&job);
        self.began.lock().unwrap().push(job.clone());
        let report = (self.script)(job, stop).await;
        self.ended.lock().unwrap().push(name);
        report
    }
}

/// `main/order/7`.
pub(super) fn name_of(job: &ClaimedJob) -> String {
    format!("{}/{}/{}", job.key.shop, job.key.object, job.key.source_id)
}

pub(super) struct Rig {
    pub(super) store: Arc<FaultyStore>,
    pub(super) clock: ManualClock,
    pub(super) handler: Arc<Scripted>,
    pub(super) live: watch::Sender<Live>,
    pub(super) stop: CancellationToken,
    run: JoinHandle<()>,
    _folder: TempDir,
}

impl Rig {
    /// A queue that runs `script` for each attempt.
    pub(super) async fn start<F>(
        settings: Settings,
        script: impl Fn(ClaimedJob, CancellationToken) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Report> + Send + 'static,
    {
        let rig = Self::prepare(settings, script).await;
        rig.0.await_start(rig.1)
    }

    /// Everything but the running queue, so that work can be there before it.
    pub(super) async fn prepare<F>(
        settings: Settings,
        script: impl Fn(ClaimedJob, CancellationToken) -> F + Send + Sync + 'static,
    ) -> (Self, Queue)
    where
        F: Future<Output = Report> + Send + 'static,
    {
        let clock = ManualClock::new(Timestamp::parse_rfc3339("2026-11-20T10:00:00Z").unwrap());
        let shared: SharedClock = Arc::new(clock.clone());
        let (folder, inner) = testing::open_temp(Arc::clone(&shared)).await;
        let store = Arc::new(FaultyStore::new(inner));
        let handler = Arc::new(Scripted {
            script: Arc::new(move |job, stop| Box::pin(script(job, stop))),
            began: Mutex::default(),
            ended: Mutex::default(),
        });
        let (live, follow) = watch::channel(Live {
            settings,
            gate: LaneGate::open(),
            revision: Some(1),
        });
        let queue = Queue::new(
            Arc::clone(&store) as SharedStore,
            Arc::clone(&handler) as Arc<dyn Handler>,
            follow,
            shared,
            Arc::new(SeededEntropy::new(7)),
            "test",
        );
        let rig = Self {
            store,
            clock,
            handler,
            live,
            stop: CancellationToken::new(),
            run: tokio::spawn(std::future::ready(())),
            _folder: folder,
        };
        (rig, queue)
    }

    /// Lets the queue run.
    pub(super) fn await_start(mut self, queue: Queue) -> Self {
        self.run = tokio::spawn(queue.run(self.stop.clone()));
        self
    }

    pub(super) async fn enqueue(&self, shop: &str, object: Object, id: u64) {
        let job = NewJob {
            key: JobKey {
                shop: shop.parse().unwrap(),
                object,
                direction: Direction::In,
                source_id: id.to_string(),
            },
            priority: Priority::LIVE,
            now: self.clock.now(),
            cause: "test".into(),
        };
        self.store.enqueue(job).await.unwrap();
    }

    /// An import makes the jobs of these customers.
    pub(super) async fn import_customers(&self, ids: &[u64]) {
        let now = self.clock.now();
        let lane = Lane {
            shop: "main".parse().unwrap(),
            object: Object::Customer,
            direction: Direction::In,
        };
        let wanted = NewImport {
            shop: lane.shop.clone(),
            object: lane.object,
            since: None,
            until: None,
            warning: None,
        };
        let actor = Actor::new("ada", Via::Cli);
        let begun = self.store.begin_imports(vec![wanted], actor, now).await;
        let ImportsBegun::Begun(imports) = begun.unwrap() else {
            panic!("another import runs");
        };
        let page = ImportPage {
            import: imports[0],
            after: None,
            records: ids.iter().map(|id| ShopifyId(*id)).collect(),
            cursor: ids.last().map(|id| ShopifyId(*id)),
            is_last: true,
        };
        assert!(self.store.save_import_page(page).await.unwrap());
        let fed = self.store.feed_import(imports[0], lane, 50, now).await.unwrap();
        assert_eq!(usize::try_from(fed.made), Ok(ids.len()));
    }

    pub(super) async fn jobs(&self) -> Vec<JobRow> {
        let filter = JobFilter {
            limit: 10_000,
            ..JobFilter::default()
        };
        self.store.jobs(filter).await.unwrap()
    }

    /// How many jobs are in this state.
    pub(super) async fn in_state(&self, state: JobState) -> usize {
        self.jobs().await.iter().filter(|job| job.state == state).count()
    }

    pub(super) fn began(&self) -> usize {
        self.handler.began.lock().unwrap().len()
    }

    pub(super) fn ended(&self) -> usize {
        self.handler.ended.lock().unwrap().len()
    }

    /// Waits until `look` gives `expected`.
    pub(super) async fn until<T: PartialEq + Debug>(
        &self,
        what: &str,
        expected: T,
        mut look: impl AsyncFnMut() -> T,
    ) {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let seen = look().await;
            if seen == expected {
                return;
            }
            assert!(
                tokio::time::Instant::now() < deadline,
                "{what}: waited for {expected:?}, last saw {seen:?}; jobs: {:?}",
                self.jobs()
                    .await
                    .iter()
                    .take(5)
                    .map(|job| (&job.key, job.state, &job.last_summary))
                    .collect::<Vec<_>>()
            );
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Waits until so many jobs are in this state.
    pub(super) async fn until_in_state(&self, state: JobState, expected: usize) {
        self.until(state.as_str(), expected, async || self.in_state(state).await)
            .await;
    }

    /// Waits until the queue has ended after a stop.
    pub(super) async fn until_stopped(&mut self) {
        tokio::time::timeout(PATIENCE, &mut self.run)
            .await
            .expect("the queue ends in time")
            .expect("the queue does not panic");
    }
}

pub(super) fn done() -> Report {
    Report::of(Outcome::Completed, "done")
}

pub(super) fn failed(disposition: Disposition) -> Report {
    let problem = NewProblem {
        code: ProblemCode::from("test"),
        record: None,
        field: None,
        reason: "It failed.".into(),
        fix: "Fix it.".into(),
        owner: "test".into(),
        mapping: None,
        cluster: "test".into(),
        detail: serde_json::Value::Null,
    };
    Report::of(Outcome::Failed { disposition, problem }, "it failed")
}

pub(super) fn down(system: System) -> Report {
    failed(Disposition::SystemDown {
        system,
        retry_after: None,
    })
}
