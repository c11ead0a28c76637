//! The loop: look, claim, run, note, wait.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::select;
use tokio::sync::{mpsc, watch};
use tokio::task::{Id, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::domain::{Fence, JobId, NewProblem, ShopName, Timestamp};
use crate::store::{Claim, ClaimedJob, Lane, StoreError};
use crate::telemetry;

use super::attempt::{self, Ended, Frame, Shown, chain};
use super::breaker::{Admission, Breakers, Change, Evidence, mended_by_people};
use super::leases::Leases;
use super::slots::{Of, Slots};
use super::turns::{Candidate, Free, Turns, spread};
use super::{Live, Settings, Shared};

/// How long to leave the store alone after it failed.
const AFTER_FAILURE: Duration = Duration::from_secs(1);

/// While work is there that may not be claimed (no room for the shop, a paused lane), arriving work is looked at no more
/// often than this: a flood for one shop must not become a flood of questions to the store.
const CROWDED: Duration = Duration::from_millis(5);

/// Nothing more is claimed while this many attempts have ended and wait for their results to be saved.
const UNSAVED_MOST: usize = 512;

/// State of the loop. One task owns it.
pub(super) struct Dispatcher {
    shared: Arc<Shared>,
    live: watch::Receiver<Live>,
    node: String,
    turns: Turns,
    breakers: Breakers,
    leases: Arc<Leases>,
    slots: Arc<Slots>,
    tasks: JoinSet<Ended>,
    /// What attempts show about the systems, told before their results are saved.
    shown: (mpsc::UnboundedSender<Shown>, mpsc::UnboundedReceiver<Shown>),
    running: HashMap<Id, (JobId, Fence, Lane)>,
    /// When the store was looked at last.
    looked_at: Timestamp,
    /// Whether a lane had nothing but jobs of imports then, or some were claimed: more may come.
    has_imports: bool,
    /// When dead processes' jobs are looked for next.
    reclaim_at: Timestamp,
    /// Jobs that were claimed ahead are to be given back.
    recall: CancellationToken,
    hard_stop: CancellationToken,
}

/// What a look at the store came to.
enum Look {
    /// Less was there than asked for: other lanes may have more.
    Again,
    /// Nothing more can be claimed now.
    Nothing {
        /// Work is there that may not be claimed.
        crowded: bool,
    },
    /// The store failed.
    Failed,
}

impl Dispatcher {
    pub(super) fn new(shared: Arc<Shared>, live: watch::Receiver<Live>, node: String) -> Self {
        Self {
            shared,
            live,
            node,
            turns: Turns::default(),
            breakers: Breakers::default(),
            leases: Arc::default(),
            slots: Arc::default(),
            tasks: JoinSet::new(),
            shown: mpsc::unbounded_channel(),
            running: HashMap::new(),
            looked_at: Timestamp::default(),
            has_imports: false,
            reclaim_at: Timestamp::default(),
            recall: CancellationToken::new(),
            hard_stop: CancellationToken::new(),
        }
    }

    pub(super) async fn run(mut self, stop: CancellationToken) {
        let shared = Arc::clone(&self.shared);
        let leases = Arc::clone(&self.leases);
        let live = self.live.clone();
        select! {
            () = self.work(stop) => {}
            () = leases.keep(&shared, || live.borrow().settings.lease()) => {}
        }
    }

    async fn work(&mut self, stop: CancellationToken) {
        if !self.take_over(&stop).await {
            return;
        }
        while !stop.is_cancelled() {
            let settings = Arc::new(self.live.borrow_and_update().settings.clone());
            self.slots.follow(&settings);
            self.reclaim(&settings).await;
            match self.look(&settings).await {
                Look::Again => self.note_ended(&settings).await,
                Look::Nothing { crowded } => self.wait(&settings, crowded, &stop).await,
                Look::Failed => {
                    let again = self.shared.clock.now().plus(AFTER_FAILURE);
                    select! {
                        () = stop.cancelled() => {}
                        () = self.shared.clock.sleep_until(again) => {}
                    }
                    self.note_ended(&settings).await;
                }
            }
        }
        self.finish_up().await;
    }

    /// Takes over what a dead process left; whether it came to that before the stop.
    async fn take_over(&mut self, stop: &CancellationToken) -> bool {
        loop {
            if stop.is_cancelled() {
                return false;
            }
            let now = self.shared.clock.now();
            match self.read_state(now).await {
                Ok(0) => return true,
                Ok(jobs) => {
                    info!(jobs, "took over jobs that a process left running");
                    return true;
                }
                Err(failure) => {
                    error!(error = %chain(&failure), "cannot take over jobs yet; trying on");
                    select! {
                        () = stop.cancelled() => return false,
                        () = self.shared.clock.sleep_until(now.plus(AFTER_FAILURE)) => {}
                    }
                }
            }
        }
    }

    async fn read_state(&mut self, now: Timestamp) -> Result<u64, StoreError> {
        // The clock may have been set back while nothing ran.
        self.shared.store.clock_went_back(now).await?;
        let reclaimed = self.shared.store.reclaim(now).await?;
        let rows = self.shared.store.breakers().await?;
        let settings = self.live.borrow().settings.breaker.clone();
        self.breakers = Breakers::restore(&rows, now, &settings);
        Ok(reclaimed)
    }

    /// Takes over the jobs of other processes that died meanwhile, now and then.
    async fn reclaim(&mut self, settings: &Settings) {
        let now = self.shared.clock.now();
        if now < self.looked_at {
            self.clock_went_back(now).await;
        }
        if now < self.reclaim_at && self.reclaim_at <= now.plus(settings.poll()) {
            return;
        }
        self.reclaim_at = now.plus(settings.poll());
        // After the machine slept, the leases of our own attempts have run out too, and nobody took them.
        if self.leases.some_ended(now) && !self.leases.renew(&self.shared, settings.lease()).await {
            return;
        }
        match self.shared.store.reclaim(now).await {
            Ok(0) => {}
            Ok(jobs) => warn!(jobs, "took over jobs whose process died or lost touch"),
            Err(failure) => error!(error = %chain(&failure), "cannot look for jobs of dead processes"),
        }
    }

    /// Work that was ready stays ready, and nothing waits for what has become a far future.
    async fn clock_went_back(&mut self, now: Timestamp) {
        let by = self.looked_at.since(now);
        warn!(seconds = by.as_secs(), "the machine's clock was set back");
        self.breakers.clock_went_back(now);
        match self.shared.store.clock_went_back(now).await {
            // Noted as seen only now: what failed is tried again at the next look.
            Ok(_) => self.looked_at = now,
            Err(failure) => error!(error = %chain(&failure), "cannot mend the times of ready jobs"),
        }
    }

    /// How many jobs may be claimed now.
    fn free(&self) -> Free {
        if self.running.len() > UNSAVED_MOST {
            return Free::default();
        }
        let others = self.slots.free();
        // Where nothing else may be claimed, the store is not asked for imports that it did not have the last time.
        let imports = if others > 0 || self.has_imports {
            self.slots.free_for_imports()
        } else {
            0
        };
        Free { imports, others }
    }

    /// Claims what there is room for.
    async fn look(&mut self, settings: &Arc<Settings>) -> Look {
        let free = self.free();
        // In this order: of every place that is free it is known how its last attempt ended.
        self.hear(settings).await;
        if free.is_none() {
            return Look::Nothing { crowded: true };
        }
        let now = self.shared.clock.now();
        self.looked_at = now;
        self.slots.asking();
        let ready = match self.shared.store.ready_lanes(now).await {
            Ok(ready) => ready,
            Err(failure) => {
                error!(error = %chain(&failure), "cannot look for work; trying on");
                return Look::Failed;
            }
        };
        self.has_imports = self.slots.has_imports() || ready.iter().any(|ready| ready.has_only_imports);
        if ready.is_empty() {
            return Look::Nothing { crowded: false };
        }
        let gate = self.live.borrow().gate.clone();
        let candidates: Vec<Candidate> = ready
            .into_iter()
            .filter(|ready| gate.lets(&ready.lane))
            .filter_map(|ready| {
                let admission = self.breakers.admit(&ready.lane, now);
                (admission != Admission::Shut).then_some(Candidate {
                    lane: ready.lane,
                    probe: admission == Admission::Probe,
                    imports: ready.has_only_imports,
                })
            })
            .collect();
        let room = |shop: &ShopName| self.slots.room(shop);
        let lanes = self.turns.allot(&candidates, free, room, &settings.weights);
        if lanes.is_empty() {
            return Look::Nothing { crowded: true };
        }
        let asked: u32 = lanes.iter().map(|(_, count)| count).sum();
        let claim = Claim {
            node: self.node.clone(),
            lanes,
            now,
            lease: settings.lease(),
        };
        let claimed = self.shared.store.claim(claim).await;
        self.slots.asked();
        match claimed {
            Ok(jobs) => {
                let claimed = u32::try_from(jobs.len()).unwrap_or(u32::MAX);
                for job in spread(jobs) {
                    self.start(job, now, settings);
                }
                if claimed > 0 && claimed < asked {
                    Look::Again
                } else {
                    Look::Nothing { crowded: true }
                }
            }
            Err(failure) => {
                error!(error = %chain(&failure), "cannot claim jobs; trying on");
                Look::Failed
            }
        }
    }

    fn start(&mut self, job: ClaimedJob, now: Timestamp, settings: &Arc<Settings>) {
        let lane = Lane {
            shop: job.key.shop.clone(),
            object: job.key.object,
            direction: job.key.direction,
        };
        let of = if job.gives_way() {
            self.has_imports = true;
            Of::Import
        } else {
            // Imports take no turn of others.
            self.turns.charge(&lane, 1, &settings.weights);
            Of::Shop(lane.shop.clone())
        };
        self.breakers.begin(&lane, job.id);
        let (lost, expired) = self.leases.hold(job.id, job.fence, now.plus(settings.lease()));
        let frame = Frame {
            settings: Arc::clone(settings),
            revision: self.live.borrow().revision,
            lost,
            expired,
            recall: self.recall.clone(),
            hard_stop: self.hard_stop.clone(),
            shown: self.shown.0.clone(),
        };
        let shared = Arc::clone(&self.shared);
        let (id, fence) = (job.id, job.fence);
        let place = self.slots.claimed(of);
        let task = self
            .tasks
            .spawn(async move { attempt::run(&shared, job, frame, place).await });
        self.running.insert(task.id(), (id, fence, lane));
        metrics::gauge!(telemetry::JOBS_RUNNING).set(count(self.running.len()));
    }

    /// Waits for a reason to look again.
    async fn wait(&mut self, settings: &Arc<Settings>, crowded: bool, stop: &CancellationToken) {
        let has_room = !self.free().is_none();
        let due = if has_room { self.next_due().await } else { None };
        // Counted from the look: what became due since then has not been seen.
        let wake_at = [due, self.breakers.next_probe(self.looked_at)]
            .into_iter()
            .flatten()
            .fold(self.looked_at.plus(settings.poll()), Timestamp::min);
        let shared = Arc::clone(&self.shared);
        let work_arrives = async {
            if crowded {
                tokio::time::sleep(CROWDED).await;
            }
            shared.store.work_arrived().await;
        };
        let ended = select! {
            () = stop.cancelled() => None,
            Some(ended) = self.tasks.join_next_with_id(), if !self.tasks.is_empty() => Some(ended),
            () = self.slots.left(), if !self.tasks.is_empty() => None,
            () = work_arrives, if has_room => None,
            () = shared.clock.sleep_until(wake_at), if has_room => None,
            Ok(()) = self.live.changed() => None,
        };
        if let Some(ended) = ended {
            self.note(ended, settings).await;
        }
        self.note_ended(settings).await;
    }

    /// When the next job becomes due that was not due at the last look.
    async fn next_due(&self) -> Option<Timestamp> {
        match self.shared.store.next_due().await {
            Ok(due) => due.filter(|due| *due > self.looked_at),
            Err(failure) => {
                error!(error = %chain(&failure), "cannot tell when the next job is due; polling");
                None
            }
        }
    }

    /// Notes all attempts that have ended by now.
    async fn note_ended(&mut self, settings: &Settings) {
        while let Some(ended) = self.tasks.try_join_next_with_id() {
            self.note(ended, settings).await;
        }
    }

    async fn note(&mut self, ended: Result<(Id, Ended), JoinError>, settings: &Settings) {
        self.hear(settings).await;
        let (task, has_shown) = match ended {
            Ok((task, ended)) => (task, ended.has_shown),
            Err(failure) => {
                error!(%failure, "an attempt's task failed; its job is taken over when its lease ends");
                (failure.id(), false)
            }
        };
        let Some((job, fence, lane)) = self.running.remove(&task) else {
            return;
        };
        self.leases.release(job, fence);
        metrics::gauge!(telemetry::JOBS_RUNNING).set(count(self.running.len()));
        if !has_shown {
            self.learn(&lane, job, &Evidence::Nothing, settings).await;
        }
    }

    /// Takes note of what attempts showed about the systems.
    async fn hear(&mut self, settings: &Settings) {
        while let Ok(Shown { lane, job, evidence }) = self.shown.1.try_recv() {
            self.learn(&lane, job, &evidence, settings).await;
        }
    }

    async fn learn(&mut self, lane: &Lane, job: JobId, evidence: &Evidence, settings: &Settings) {
        let now = self.shared.clock.now();
        let unit = self.shared.entropy.unit();
        let changes = self
            .breakers
            .end(lane, job, evidence, now, &settings.breaker, unit);
        for change in changes {
            if matches!(change, Change::Opened(_)) {
                std::mem::take(&mut self.recall).cancel();
            }
            self.publish(change, now).await;
        }
    }

    /// Shows a breaker's change to people and other processes. What the store cannot take is not tried again: the row is
    /// for the eye, and waiting jobs become due by themselves.
    async fn publish(&self, change: Change, now: Timestamp) {
        let (row, open) = match change {
            Change::Blamed(shop, problem) => return self.blame(&shop, *problem, now).await,
            Change::Opened(row) => {
                warn!(
                    shop = %row.shop, system = %row.system,
                    "system is down: its jobs wait, single probes find out when it is back"
                );
                (row, true)
            }
            Change::Closed(row) => {
                info!(shop = %row.shop, system = %row.system, "system is back: its jobs go on");
                (row, false)
            }
        };
        let (shop, system) = (row.shop.clone(), row.system);
        metrics::gauge!(telemetry::BREAKER_OPEN, "shop" => shop.as_str().to_owned(), "system" => system.as_str())
            .set(if open { 1.0 } else { 0.0 });
        let saved = self.shared.store.save_breaker(row).await;
        let hastened = if open {
            Ok(0)
        } else {
            self.shared.store.hasten(&shop, system, now).await
        };
        for failure in [saved.err(), hastened.err()].into_iter().flatten() {
            error!(%shop, %system, error = %chain(&failure), "cannot note the change of a breaker");
        }
        if !open {
            for code in mended_by_people(system) {
                if let Err(failure) = self.shared.store.close_shop_problems(&shop, code, now).await {
                    error!(%shop, %system, code, error = %chain(&failure), "cannot close the shop's problem");
                }
            }
        }
    }

    /// Shows people what they must mend before the system works again. Every failed probe says it again, so one that the
    /// store could not take comes back.
    async fn blame(&self, shop: &ShopName, problem: NewProblem, now: Timestamp) {
        let code = problem.code.clone();
        if let Err(failure) = self.shared.store.open_shop_problem(shop, problem, now).await {
            error!(%shop, %code, error = %chain(&failure), "cannot open the shop's problem");
        }
    }

    /// Lets attempts run for a while, then cancels them.
    async fn finish_up(&mut self) {
        let settings = self.live.borrow().settings.clone();
        let clock = Arc::clone(&self.shared.clock);
        if !self.running.is_empty() {
            info!(
                attempts = self.running.len(),
                within_s = settings.stop_within_s,
                "stopping: no more jobs are claimed, running attempts may end"
            );
        }
        self.recall.cancel();
        let soft = clock.sleep_until(clock.now().plus(settings.stop_within()));
        self.drain(&settings, soft).await;
        if self.running.is_empty() {
            return;
        }
        warn!(
            attempts = self.running.len(),
            "stopping: cancelling attempts that still run"
        );
        self.hard_stop.cancel();
        let hard = clock.sleep_until(clock.now().plus(attempt::GRACE * 2));
        self.drain(&settings, hard).await;
        if !self.running.is_empty() {
            warn!(
                attempts = self.running.len(),
                "stopping: attempts are left to be taken over at the next start"
            );
        }
    }

    /// Notes attempts as they end, until none is left or `deadline` comes.
    async fn drain(&mut self, settings: &Settings, deadline: impl Future<Output = ()>) {
        tokio::pin!(deadline);
        while !self.tasks.is_empty() {
            select! {
                Some(ended) = self.tasks.join_next_with_id() => self.note(ended, settings).await,
                () = &mut deadline => return,
            }
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a gauge of a few workers")]
fn count(n: usize) -> f64 {
    n as f64
}
