//! Group commit: a task for deliveries, one for wishes for work and one for ends of attempts, each of which saves everything that came meanwhile
//! in one transaction and answers after its commit. When a batch fails, its units are saved again one by one, each in a
//! transaction of its own, so that a bad unit fails alone.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use sqlx::Connection as _;
use sqlx::postgres::PgPool;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::{Conn, PgStore, TRIES, finish, intake};
use crate::store::fault::Fault;
use crate::store::prepared::{Lanes, PreparedDelivery, PreparedFinish};
use crate::store::{Enqueued, Finished, NewJob, Recorded, StoreError};

/// How many units may wait; more callers wait for a place.
const QUEUE: usize = 4096;

/// At most this many units share a commit.
const MOST_UNITS: usize = 512;

/// What saves a batch.
pub(super) trait Batch: Send + Sync + 'static {
    type Unit: Send + Sync + 'static;
    type Answer: Send + 'static;
    /// What is tried, for errors.
    const TRYING: &'static str;

    /// Saves the units within the open transaction; says whether work or something to tell may have arrived. `alone` as in
    /// [`finish::finish`].
    fn save<'a>(
        &'a self,
        conn: &'a mut Conn,
        units: &'a [Self::Unit],
        alone: bool,
    ) -> BoxFuture<'a, Result<(Vec<Self::Answer>, Rings), Fault>>;
}

/// Who is to be told after the commit.
#[derive(Clone, Copy, Default)]
pub(super) struct Rings {
    /// There may be work.
    work: bool,
    /// There may be something to tell other systems.
    notifications: bool,
}

impl Rings {
    fn work(work: bool) -> Self {
        Self {
            work,
            ..Self::default()
        }
    }
}

/// Deliveries.
pub(super) struct Deliveries;

impl Batch for Deliveries {
    type Unit = PreparedDelivery;
    type Answer = Recorded;
    const TRYING: &'static str = "record a delivery";

    fn save<'a>(
        &'a self,
        conn: &'a mut Conn,
        units: &'a [PreparedDelivery],
        _alone: bool,
    ) -> BoxFuture<'a, Result<(Vec<Recorded>, Rings), Fault>> {
        Box::pin(async move {
            let results = intake::record(conn, units).await?;
            let stirred = results
                .iter()
                .any(|result| matches!(result, Recorded::New { job: Some(_), .. }));
            Ok((results, Rings::work(stirred)))
        })
    }
}

/// Wishes for work, with their lanes.
pub(super) struct Jobs;

impl Batch for Jobs {
    type Unit = (NewJob, i64);
    type Answer = Enqueued;
    const TRYING: &'static str = "enqueue a job";

    fn save<'a>(
        &'a self,
        conn: &'a mut Conn,
        units: &'a [(NewJob, i64)],
        _alone: bool,
    ) -> BoxFuture<'a, Result<(Vec<Enqueued>, Rings), Fault>> {
        Box::pin(async move { Ok((intake::enqueue(conn, units).await?, Rings::work(true))) })
    }
}

/// Ends of attempts.
pub(super) struct Finishes(pub(super) Arc<Lanes>);

impl Batch for Finishes {
    type Unit = PreparedFinish;
    type Answer = Finished;
    const TRYING: &'static str = "finish an attempt";

    fn save<'a>(
        &'a self,
        conn: &'a mut Conn,
        units: &'a [PreparedFinish],
        alone: bool,
    ) -> BoxFuture<'a, Result<(Vec<Finished>, Rings), Fault>> {
        Box::pin(async move {
            let ends = finish::finish(conn, &self.0, units, alone).await?;
            let rings = Rings {
                work: ends.stirred,
                notifications: ends.told,
            };
            Ok((ends.results, rings))
        })
    }
}

/// The way to a task.
pub(super) struct Batcher<B: Batch> {
    units: mpsc::Sender<(B::Unit, Reply<B::Answer>)>,
}

type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

impl<B: Batch> Batcher<B> {
    /// Starts the task. It ends when nobody can reach it any more or the pool is closed.
    /// `broken` is cancelled when it ends in any other way.
    pub(super) fn start(batch: B, pool: PgPool, bell: Bell, broken: &CancellationToken) -> Self {
        let (units, receiver) = mpsc::channel(QUEUE);
        let guard = broken.clone().drop_guard();
        tokio::spawn(async move {
            run(batch, pool, bell, receiver).await;
            guard.disarm();
        });
        Self { units }
    }

    pub(super) async fn submit(&self, unit: B::Unit) -> Result<B::Answer, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.units
            .send((unit, reply))
            .await
            .map_err(|_| StoreError::Closed)?;
        answer.await.unwrap_or(Err(StoreError::Closed))
    }
}

/// What an announcement says where it is not about work.
const ABOUT_NOTIFICATIONS: &str = "notifications";

/// Tells all nodes that there may be work, or something to tell other systems.
#[derive(Clone)]
pub(super) struct Bell {
    pub(super) channel: Arc<str>,
    pub(super) arrived: Arc<Notify>,
    pub(super) told: Arc<Notify>,
}

impl Bell {
    /// Rings for work when the transaction is committed.
    pub(super) async fn announce(&self, conn: &mut Conn) -> Result<(), Fault> {
        self.say(conn, "").await
    }

    /// Rings for notifications when the transaction is committed.
    pub(super) async fn announce_notifications(&self, conn: &mut Conn) -> Result<(), Fault> {
        self.say(conn, ABOUT_NOTIFICATIONS).await
    }

    async fn say(&self, conn: &mut Conn, what: &str) -> Result<(), Fault> {
        sqlx::query("SELECT pg_notify($1, $2)")
            .bind(&*self.channel)
            .bind(what)
            .execute(conn)
            .await?;
        Ok(())
    }

    /// Rings in this process what another one announced.
    pub(super) fn heard(&self, what: &str) {
        if what == ABOUT_NOTIFICATIONS {
            self.told.notify_one();
        } else {
            self.arrived.notify_one();
        }
    }
}

async fn run<B: Batch>(
    batch: B,
    pool: PgPool,
    bell: Bell,
    mut receiver: mpsc::Receiver<(B::Unit, Reply<B::Answer>)>,
) {
    let mut queue = Vec::new();
    while receiver.recv_many(&mut queue, MOST_UNITS).await > 0 {
        let (units, replies): (Vec<_>, Vec<_>) = queue.drain(..).unzip();
        let results = match transact(&batch, &pool, &bell, &units, false).await {
            Ok(answers) => answers.into_iter().map(Ok).collect(),
            Err(fault) => {
                tracing::debug!(
                    error = &fault.told(B::TRYING) as &dyn std::error::Error,
                    units = units.len(),
                    "a batch failed: its units are saved one by one"
                );
                one_by_one(&batch, &pool, &bell, &units).await
            }
        };
        for (reply, result) in replies.into_iter().zip(results) {
            // A caller that does not wait any more (a time limit) needs no answer; the work is done all the same.
            let _ = reply.send(result);
        }
    }
}

async fn transact<B: Batch>(
    batch: &B,
    pool: &PgPool,
    bell: &Bell,
    units: &[B::Unit],
    alone: bool,
) -> Result<Vec<B::Answer>, Fault> {
    let mut held = pool.acquire().await?;
    let result = PgStore::in_time(async {
        let mut transaction = held.begin().await?;
        let (answers, rings) = batch.save(&mut transaction, units, alone).await?;
        if rings.work {
            bell.announce(&mut transaction).await?;
        }
        if rings.notifications {
            bell.announce_notifications(&mut transaction).await?;
        }
        transaction.commit().await?;
        Ok((answers, rings))
    })
    .await;
    if matches!(result, Err(Fault::TooLong)) {
        PgStore::give_up(held);
    }
    let (answers, rings) = result?;
    if rings.work {
        bell.arrived.notify_one();
    }
    if rings.notifications {
        bell.told.notify_one();
    }
    Ok(answers)
}

async fn one_by_one<B: Batch>(
    batch: &B,
    pool: &PgPool,
    bell: &Bell,
    units: &[B::Unit],
) -> Vec<Result<B::Answer, StoreError>> {
    let mut results = Vec::with_capacity(units.len());
    let mut is_away = false;
    for unit in units {
        if is_away {
            results.push(Err(Fault::TooLong.told(B::TRYING)));
            continue;
        }
        let mut tries = 0;
        let result = loop {
            tries += 1;
            match transact(batch, pool, bell, std::slice::from_ref(unit), true).await {
                // The same delivery may have been stored by another node just now: the next look finds it.
                Err(fault) if tries < TRIES && (fault.is_lost_race() || fault.is_unique_violation()) => {}
                result => break result,
            }
        };
        // Every further unit would wait for as long, and fail as well.
        is_away = result.as_ref().is_err_and(Fault::is_outage);
        results.push(match result {
            Ok(mut answers) => answers.pop().ok_or(StoreError::Closed),
            Err(fault) => Err(fault.told(B::TRYING)),
        });
    }
    results
}
