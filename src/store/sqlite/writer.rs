//! The one writer: a thread that owns the only connection that writes.
//!
//! It takes whatever units of work are queued, runs them in one transaction, and answers each after the commit: one
//! flush to the disk serves all that came meanwhile (group commit). Deliveries and ends of attempts are saved as
//! batches by few statements; when a batch fails, everything is rolled back and done again unit by unit, each in a
//! savepoint of its own, so that a bad unit fails alone.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use sqlx::{AssertSqlSafe, Connection as _};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::{Conn, finish, intake};
use crate::store::fault::Fault;
use crate::store::prepared::{Lanes, PreparedDelivery, PreparedFinish};
use crate::store::sqlite::files::{BUSY, ServeLock};
use crate::store::{Enqueued, Finished, NewJob, Recorded, StoreError};

/// How many units may wait; more callers wait for a place.
const QUEUE: usize = 4096;

/// How long readers are waited for when the write-ahead log is to be emptied.
const LOG_PATIENCE: Duration = Duration::from_millis(500);

/// At most this many units share a commit.
const MOST_UNITS: usize = 1024;

type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

/// The end of a unit that is no batch: whether to keep what it wrote, and how to answer once the outcome of the commit
/// is known.
struct Ran {
    is_good: bool,
    answer: Box<dyn FnOnce(Result<(), StoreError>) + Send>,
}

type Run = Box<dyn for<'c> FnOnce(&'c mut Conn) -> BoxFuture<'c, Ran> + Send>;

enum Unit {
    Delivery(Box<PreparedDelivery>, Reply<Recorded>),
    Enqueue(Box<(NewJob, i64)>, Reply<Enqueued>),
    Finish(Box<PreparedFinish>, Reply<Finished>),
    Other(Run),
    /// Asks for a number that changes when another process has written.
    Version(oneshot::Sender<i64>),
    /// Asks for the write-ahead log to be emptied.
    EmptyLog(oneshot::Sender<bool>),
    Close(oneshot::Sender<()>),
}

/// The way to the writer.
pub(super) struct Writer {
    units: mpsc::Sender<Unit>,
}

impl Writer {
    /// Starts the writer. It ends when it is told to close or when nobody can reach it any more, and holds `lock` until
    /// then. `broken` is cancelled when it ends in any other way.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(super) fn start(
        conn: Conn,
        lanes: Arc<Lanes>,
        arrived: Arc<Notify>,
        told: Arc<Notify>,
        lock: Option<ServeLock>,
        broken: CancellationToken,
    ) -> std::io::Result<Self> {
        let (sender, receiver) = mpsc::channel(QUEUE);
        let task = Task {
            conn,
            lanes,
            arrived,
            told,
            lock,
        };
        // A thread of its own: among the tasks of the runtime each of its steps would wait for a turn behind all requests that
        // are ready, and storing and serving would take turns instead of going on at the same time.
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || {
                // Cancelled when a panic ends the thread: without it nothing can be stored any more.
                let guard = broken.drop_guard();
                runtime.block_on(task.run(receiver));
                guard.disarm();
            })?;
        Ok(Self { units: sender })
    }

    async fn send(&self, unit: Unit) -> Result<(), StoreError> {
        self.units.send(unit).await.map_err(|_| StoreError::Closed)
    }

    pub(super) async fn record(&self, delivery: PreparedDelivery) -> Result<Recorded, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.send(Unit::Delivery(Box::new(delivery), reply)).await?;
        answer.await.unwrap_or(Err(StoreError::Closed))
    }

    pub(super) async fn enqueue(&self, job: NewJob, lane_id: i64) -> Result<Enqueued, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.send(Unit::Enqueue(Box::new((job, lane_id)), reply)).await?;
        answer.await.unwrap_or(Err(StoreError::Closed))
    }

    pub(super) async fn finish(&self, finish: PreparedFinish) -> Result<Finished, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.send(Unit::Finish(Box::new(finish), reply)).await?;
        answer.await.unwrap_or(Err(StoreError::Closed))
    }

    /// Runs any other operation in the next transaction, in a savepoint of its own. The operation happens even when the
    /// caller stops waiting for it.
    pub(super) async fn run<T, F>(&self, trying: &'static str, operation: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut Conn) -> BoxFuture<'c, Result<T, Fault>> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel::<Result<T, StoreError>>();
        let run: Run = Box::new(move |conn| {
            let operation = operation(conn);
            Box::pin(async move {
                let result = operation.await.map_err(|fault| fault.told(trying));
                Ran {
                    is_good: result.is_ok(),
                    answer: Box::new(move |committed| {
                        // Nobody waits for the answer any more: that is their choice.
                        let _ = reply.send(committed.and(result));
                    }),
                }
            })
        });
        self.send(Unit::Other(run)).await?;
        answer.await.unwrap_or(Err(StoreError::Unavailable {
            trying,
            source: sqlx::Error::WorkerCrashed,
        }))
    }

    /// A number that changes when another process has written; none when the store is closed.
    pub(super) async fn version(&self) -> Option<i64> {
        let (reply, answer) = oneshot::channel();
        self.send(Unit::Version(reply)).await.ok()?;
        answer.await.ok()
    }

    /// Has the write-ahead log emptied, in which what was deleted or changed stands until it is overwritten. Whether it was: a
    /// reader that is under way for long keeps it from that.
    pub(super) async fn empty_log(&self) -> bool {
        let (reply, answer) = oneshot::channel();
        if self.send(Unit::EmptyLog(reply)).await.is_err() {
            return false;
        }
        answer.await.unwrap_or(false)
    }

    /// Finishes what is queued and ends the writer.
    pub(super) async fn close(&self) {
        let (reply, answer) = oneshot::channel();
        if self.send(Unit::Close(reply)).await.is_ok() {
            let _ = answer.await;
        }
    }
}

struct Task {
    conn: Conn,
    lanes: Arc<Lanes>,
    arrived: Arc<Notify>,
    told: Arc<Notify>,
    /// Held as long as something may be written.
    lock: Option<ServeLock>,
}

/// Who is to be told after the commit.
#[derive(Default)]
struct Rings {
    /// There may be work.
    work: bool,
    /// There may be something to tell other systems.
    notifications: bool,
}

/// The units of one transaction.
#[derive(Default)]
struct Batch {
    deliveries: Vec<PreparedDelivery>,
    recorded: Vec<Reply<Recorded>>,
    jobs: Vec<(NewJob, i64)>,
    enqueued: Vec<Reply<Enqueued>>,
    finishes: Vec<PreparedFinish>,
    finished: Vec<Reply<Finished>>,
}

/// What is told to everybody once the commit is done.
type Answers = Vec<Box<dyn FnOnce(Result<(), StoreError>) + Send>>;

impl Task {
    async fn run(mut self, mut receiver: mpsc::Receiver<Unit>) {
        let mut units = Vec::new();
        let mut closing: Option<oneshot::Sender<()>> = None;
        while receiver.recv_many(&mut units, MOST_UNITS).await > 0 {
            let mut batch = Batch::default();
            let mut others = Vec::new();
            for unit in units.drain(..) {
                match unit {
                    Unit::Delivery(delivery, reply) => {
                        batch.deliveries.push(*delivery);
                        batch.recorded.push(reply);
                    }
                    Unit::Enqueue(job, reply) => {
                        batch.jobs.push(*job);
                        batch.enqueued.push(reply);
                    }
                    Unit::Finish(finish, reply) => {
                        batch.finishes.push(*finish);
                        batch.finished.push(reply);
                    }
                    Unit::Other(run) => others.push(run),
                    Unit::Version(reply) => {
                        if let Ok(version) = self.version().await {
                            let _ = reply.send(version);
                        }
                    }
                    Unit::EmptyLog(reply) => {
                        let _ = reply.send(self.empty_log().await.unwrap_or(false));
                    }
                    Unit::Close(reply) => {
                        // What is queued already is still done; nothing new comes in.
                        receiver.close();
                        closing = Some(reply);
                    }
                }
            }
            self.commit(batch, others).await;
        }
        if let Err(error) = self.conn.close().await {
            tracing::warn!(%error, "the database was not closed cleanly");
        }
        drop(self.lock);
        if let Some(reply) = closing {
            let _ = reply.send(());
        }
    }

    async fn version(&mut self) -> Result<i64, sqlx::Error> {
        sqlx::query_scalar("PRAGMA data_version")
            .fetch_one(&mut self.conn)
            .await
    }

    async fn empty_log(&mut self) -> Result<bool, sqlx::Error> {
        // Everything that is to be stored waits meanwhile.
        self.wait_for_others(LOG_PATIENCE).await?;
        let emptied = sqlx::query_scalar::<_, i64>("PRAGMA wal_checkpoint(TRUNCATE)")
            .fetch_one(&mut self.conn)
            .await;
        self.wait_for_others(BUSY).await?;
        Ok(emptied? == 0)
    }

    /// Says how long a statement waits for others.
    async fn wait_for_others(&mut self, patience: Duration) -> Result<(), sqlx::Error> {
        let statement = format!("PRAGMA busy_timeout = {}", patience.as_millis());
        sqlx::query(AssertSqlSafe(statement))
            .execute(&mut self.conn)
            .await?;
        Ok(())
    }

    async fn execute(&mut self, statement: &'static str) -> Result<(), Fault> {
        sqlx::query(statement).execute(&mut self.conn).await?;
        Ok(())
    }

    /// Runs a batch in one transaction and answers everybody.
    async fn commit(&mut self, batch: Batch, others: Vec<Run>) {
        if batch.is_empty() && others.is_empty() {
            return;
        }
        let mut rings = Rings::default();
        let saved = match self.save_together(&batch, &mut rings).await {
            Ok(saved) => saved,
            Err(fault) => {
                tracing::warn!(
                    error = &fault.told("save a batch") as &dyn std::error::Error,
                    deliveries = batch.deliveries.len(),
                    jobs = batch.jobs.len(),
                    finishes = batch.finishes.len(),
                    "a batch failed: its units are saved one by one"
                );
                // A broken transaction may or may not be open.
                let _ = self.execute("ROLLBACK").await;
                self.save_one_by_one(&batch, &mut rings).await
            }
        };
        let results = match saved {
            Saved::Open(results) => results,
            Saved::Refused(error) => {
                // The others' callers learn of it when the way to their answer is dropped.
                let none = Results::default();
                none.answer(batch, Some(&error));
                return;
            }
        };
        let mut answers = Answers::new();
        for run in others {
            if let Some(answer) = self.run_other(run).await {
                answers.push(answer);
            }
        }
        let failure = self.execute("COMMIT").await.err().map(|fault| {
            let text = fault_text(fault);
            tracing::error!(error = text, "a commit failed");
            text
        });
        if failure.is_some() {
            let _ = self.execute("ROLLBACK").await;
        } else {
            if rings.work {
                self.arrived.notify_one();
            }
            if rings.notifications {
                self.told.notify_one();
            }
        }
        results.answer(batch, failure.as_deref());
        for answer in answers {
            answer(match &failure {
                None => Ok(()),
                Some(text) => Err(unavailable(text, "commit")),
            });
        }
    }

    /// The fast way: few statements for all. On `Err` nothing of it may stay.
    async fn save_together(&mut self, batch: &Batch, rings: &mut Rings) -> Result<Saved, Fault> {
        if let Err(fault) = self.execute("BEGIN IMMEDIATE").await {
            return Ok(Saved::Refused(fault_text(fault)));
        }
        let mut results = Results::default();
        if !batch.deliveries.is_empty() {
            for result in intake::record(&mut self.conn, &batch.deliveries).await? {
                rings.work |= brings_work(result);
                results.recorded.push(Ok(result));
            }
        }
        if !batch.jobs.is_empty() {
            rings.work = true;
            let enqueued = intake::enqueue(&mut self.conn, &batch.jobs).await?;
            results.enqueued.extend(enqueued.into_iter().map(Ok));
        }
        if !batch.finishes.is_empty() {
            let ends = finish::finish(&mut self.conn, &self.lanes, &batch.finishes, false).await?;
            rings.work |= ends.stirred;
            rings.notifications |= ends.told;
            results.finished.extend(ends.results.into_iter().map(Ok));
        }
        Ok(Saved::Open(results))
    }

    /// The careful way: each unit in a savepoint.
    async fn save_one_by_one(&mut self, batch: &Batch, rings: &mut Rings) -> Saved {
        if let Err(fault) = self.execute("BEGIN IMMEDIATE").await {
            return Saved::Refused(fault_text(fault));
        }
        let mut results = Results::default();
        for unit in &batch.deliveries {
            let result = match self.execute("SAVEPOINT unit").await {
                Ok(()) => intake::record(&mut self.conn, std::slice::from_ref(unit)).await,
                Err(fault) => Err(fault),
            };
            let result = self.end_savepoint(result).await.and_then(only);
            rings.work |= result.as_ref().is_ok_and(|result| brings_work(*result));
            results.recorded.push(result);
        }
        for unit in &batch.jobs {
            let result = match self.execute("SAVEPOINT unit").await {
                Ok(()) => intake::enqueue(&mut self.conn, std::slice::from_ref(unit)).await,
                Err(fault) => Err(fault),
            };
            rings.work = true;
            results
                .enqueued
                .push(self.end_savepoint(result).await.and_then(only));
        }
        for unit in &batch.finishes {
            let result = match self.execute("SAVEPOINT unit").await {
                Ok(()) => finish::finish(&mut self.conn, &self.lanes, std::slice::from_ref(unit), true).await,
                Err(fault) => Err(fault),
            };
            let result = self.end_savepoint(result).await;
            rings.work |= result.as_ref().is_ok_and(|ends| ends.stirred);
            rings.notifications |= result.as_ref().is_ok_and(|ends| ends.told);
            results.finished.push(result.and_then(|ends| only(ends.results)));
        }
        Saved::Open(results)
    }

    async fn end_savepoint<T>(&mut self, result: Result<T, Fault>) -> Result<T, Fault> {
        if result.is_err() {
            self.execute("ROLLBACK TO SAVEPOINT unit").await?;
        }
        self.execute("RELEASE SAVEPOINT unit").await?;
        result
    }

    /// Runs another unit. `None` when it could not even be tried: its caller learns of that by the missing answer.
    async fn run_other(&mut self, run: Run) -> Option<Box<dyn FnOnce(Result<(), StoreError>) + Send>> {
        self.execute("SAVEPOINT unit").await.ok()?;
        let ran = run(&mut self.conn).await;
        let result = if ran.is_good {
            self.execute("RELEASE SAVEPOINT unit").await
        } else {
            self.execute("ROLLBACK TO SAVEPOINT unit; RELEASE SAVEPOINT unit")
                .await
        };
        match result {
            Ok(()) => Some(ran.answer),
            Err(fault) => {
                (ran.answer)(Err(fault.told("end a savepoint")));
                None
            }
        }
    }
}

/// What became of a batch before its commit.
enum Saved {
    /// The transaction is open and holds these results.
    Open(Results),
    /// The transaction could not begin.
    Refused(String),
}

/// The results of a batch's units, in their order.
#[derive(Default)]
struct Results {
    recorded: Vec<Result<Recorded, Fault>>,
    enqueued: Vec<Result<Enqueued, Fault>>,
    finished: Vec<Result<Finished, Fault>>,
}

impl Batch {
    fn is_empty(&self) -> bool {
        self.deliveries.is_empty() && self.jobs.is_empty() && self.finishes.is_empty()
    }
}

impl Results {
    /// Tells everybody; `failure` is why nothing was committed.
    fn answer(self, batch: Batch, failure: Option<&str>) {
        answer_all(batch.recorded, self.recorded, failure, "record a delivery");
        answer_all(batch.enqueued, self.enqueued, failure, "enqueue a job");
        answer_all(batch.finished, self.finished, failure, "finish an attempt");
    }
}

fn brings_work(recorded: Recorded) -> bool {
    matches!(recorded, Recorded::New { job: Some(_), .. })
}

/// The result of a batch of one.
fn only<T>(results: Vec<T>) -> Result<T, Fault> {
    let first = results.into_iter().next();
    first.ok_or(Fault::Sql(sqlx::Error::RowNotFound))
}

fn fault_text(fault: Fault) -> String {
    use std::error::Error as _;
    let error = fault.told("write");
    error
        .source()
        .map_or_else(|| error.to_string(), ToString::to_string)
}

/// One cause told to several callers.
fn unavailable(text: &str, trying: &'static str) -> StoreError {
    StoreError::Unavailable {
        trying,
        source: sqlx::Error::Io(std::io::Error::other(text.to_owned())),
    }
}

fn answer_all<T>(
    replies: Vec<Reply<T>>,
    results: Vec<Result<T, Fault>>,
    failure: Option<&str>,
    trying: &'static str,
) {
    let mut results = results.into_iter();
    for reply in replies {
        let result = match failure {
            Some(text) => Err(unavailable(text, trying)),
            None => results
                .next()
                .unwrap_or(Err(Fault::Sql(sqlx::Error::RowNotFound)))
                .map_err(|fault| fault.told(trying)),
        };
        // A caller that does not wait any more (a time limit) needs no answer; the work is done all the same.
        let _ = reply.send(result);
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::store::sqlite::files::{self, Sync};

    async fn writer(path: &Path) -> (Writer, CancellationToken) {
        let conn = files::writer(path, Sync::Off).await.unwrap();
        let broken = CancellationToken::new();
        let writer = Writer::start(
            conn,
            Arc::default(),
            Arc::default(),
            Arc::default(),
            None,
            broken.clone(),
        );
        (writer.unwrap(), broken)
    }

    #[tokio::test]
    async fn a_writer_that_panics_says_so_and_one_that_is_closed_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lockstep.db");
        let (closed, broken) = writer(&path).await;
        closed.close().await;
        assert!(!broken.is_cancelled());

        let (writer, broken) = writer(&path).await;
        let answer: Result<(), StoreError> = writer
            .run("panic", |_| Box::pin(async { panic!("a fault of our own") }))
            .await;
        assert!(
            matches!(answer, Err(StoreError::Unavailable { .. })),
            "{answer:?}"
        );
        broken.cancelled().await;
    }
}
