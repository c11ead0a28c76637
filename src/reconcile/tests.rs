//! Runs against a scripted shop, and against the stand-in shop.

use std::collections::VecDeque;
use std::sync::Mutex;

use async_trait::async_trait;

use super::*;
use crate::domain::{Clock as _, Customer, JobState, ManualClock, Order, Product};
use crate::shopify::RequestId;
use crate::store::faulty::{FaultyStore, StoreFault};
use crate::store::testing::open_temp;
use crate::store::{JobFilter, JobRow};

const START: Timestamp = Timestamp::from_millis(1_795_514_400_000);

fn wanted(object: Object, since: Timestamp) -> Delta<'static> {
    Delta {
        object,
        since,
        cause: "catch_up",
        known: Known::Nothing,
    }
}

/// A page, a failure, or silence.
enum Answer {
    Page(Vec<u64>, Option<&'static str>),
    /// Of what changed long after the run began, by the shop's clock.
    Later(u64, &'static str),
    /// The same, and the run goes on for so long already.
    AfterLong(u64, &'static str),
    Fails,
    Silence,
}

/// A shop that answers what it is told to, and remembers where pages were asked to begin.
struct Scripted {
    answers: Mutex<VecDeque<Answer>>,
    asked: Mutex<Vec<Option<String>>>,
    clock: ManualClock,
}

#[async_trait]
impl Source for Scripted {
    async fn order(&self, _: ShopifyId, _: &str) -> Result<Option<Order>, ShopifyError> {
        Ok(None)
    }
    async fn customer(&self, _: ShopifyId, _: &str) -> Result<Option<Customer>, ShopifyError> {
        Ok(None)
    }
    async fn product(&self, _: ShopifyId, _: &str) -> Result<Option<Product>, ShopifyError> {
        Ok(None)
    }
    async fn probe(&self) -> Result<(), ShopifyError> {
        Ok(())
    }
    async fn changed_since(
        &self,
        object: Object,
        _: Timestamp,
        after: Option<String>,
    ) -> Result<Page, ShopifyError> {
        assert_eq!(object, Object::Order);
        self.asked.lock().unwrap().push(after);
        let answer = self.answers.lock().unwrap().pop_front().unwrap();
        match answer {
            Answer::Page(ids, next) => Ok(Page {
                records: ids.into_iter().map(|id| (ShopifyId(id), START)).collect(),
                next: next.map(str::to_owned),
            }),
            Answer::Later(id, next) => Ok(Page {
                records: vec![(ShopifyId(id), START.plus(HORIZON * 2))],
                next: Some(next.to_owned()),
            }),
            Answer::AfterLong(id, next) => {
                self.clock.advance(HORIZON * 2);
                Ok(Page {
                    records: vec![(ShopifyId(id), START.plus(HORIZON * 2))],
                    next: Some(next.to_owned()),
                })
            }
            Answer::Fails => Err(ShopifyError::Internal {
                reason: "it is overloaded".to_owned(),
                retry_after: Some(Duration::from_secs(77)),
                request: RequestId::default(),
            }),
            Answer::Silence => std::future::pending().await,
        }
    }
}

struct Bench {
    _folder: tempfile::TempDir,
    shop: DeltaShop,
    scripted: Arc<Scripted>,
    store: Arc<FaultyStore>,
    clock: ManualClock,
}

impl Bench {
    async fn new(answers: Vec<Answer>) -> Self {
        let clock = ManualClock::new(START);
        let (folder, store) = open_temp(Arc::new(clock.clone())).await;
        let store = Arc::new(FaultyStore::new(store));
        let scripted = Arc::new(Scripted {
            answers: Mutex::new(answers.into()),
            asked: Mutex::default(),
            clock: clock.clone(),
        });
        Self {
            _folder: folder,
            shop: DeltaShop {
                name: "main".parse().unwrap(),
                source: scripted.clone(),
                store: store.clone(),
                clock: Arc::new(clock.clone()),
                node: "test".to_owned(),
                notifier: Arc::new(TellNobody),
            },
            scripted,
            store,
            clock,
        }
    }

    async fn run(&self) -> Result<RunReport, RunError> {
        let since = START.minus(Duration::from_secs(600));
        delta_run(
            &self.shop,
            wanted(Object::Order, since),
            &CancellationToken::new(),
        )
        .await
    }

    async fn jobs(&self) -> Vec<JobRow> {
        let mut jobs = self.shop.store.jobs(JobFilter::default()).await.unwrap();
        jobs.sort_by_key(|job| job.key.source_id.clone());
        jobs
    }

    async fn last_run(&self) -> (Option<RunOutcome>, RunCounts, Option<String>) {
        let run = self.shop.store.runs(1).await.unwrap().remove(0);
        (run.outcome, run.counts, run.error)
    }
}

/// Tells every end in one line.
struct InOneLine;

impl RunNotifier for InOneLine {
    fn of_run(&self, ended: &RunEnded<'_>) -> Vec<String> {
        let RunEnded {
            run,
            outcome,
            seen,
            found,
            ..
        } = ended;
        vec![format!("{run} {outcome} {seen} {found:?}")]
    }
}

#[tokio::test]
async fn each_end_of_a_run_is_told_once_with_what_it_found() {
    let mut bench = Bench::new(vec![Answer::Page(vec![1, 2], None), Answer::Fails]).await;
    bench.shop.notifier = Arc::new(InOneLine);
    let run = bench.run().await.unwrap().run;
    let told = async || {
        let rows = bench.store.outbox(10).await.unwrap();
        rows.into_iter().map(|row| row.body).collect::<Vec<_>>()
    };
    assert_eq!(told().await, [format!("{run} done 2 Some(2)")]);
    bench.run().await.unwrap_err();
    let told = told().await;
    assert!(told.len() == 2 && told[1].contains("failed 0 None"), "{told:?}");
}

#[tokio::test]
async fn every_page_is_read_and_jobs_join_those_that_are_open() {
    let bench = Bench::new(vec![
        Answer::Page(vec![1, 2], Some("a")),
        Answer::Page(vec![2, 3], Some("b")),
        Answer::Page(vec![], None),
    ])
    .await;
    // A webhook of order 3 made a job a moment ago.
    let webhook = NewJob {
        key: JobKey {
            shop: bench.shop.name.clone(),
            object: Object::Order,
            direction: Direction::In,
            source_id: "3".to_owned(),
        },
        priority: Priority::LIVE,
        now: START,
        cause: "webhook".to_owned(),
    };
    bench.store.enqueue(webhook).await.unwrap();
    let report = bench.run().await.unwrap();
    let counts = RunCounts {
        pages: 3,
        records: 4,
        made: 2,
    };
    assert_eq!((report.counts, report.started_at), (counts, START));
    let asked = bench.scripted.asked.lock().unwrap().clone();
    assert_eq!(asked, [None, Some("a".to_owned()), Some("b".to_owned())]);
    let jobs = bench.jobs().await;
    let seen: Vec<_> = jobs
        .iter()
        .map(|job| (job.key.source_id.as_str(), job.state))
        .collect();
    let available = JobState::Available;
    assert_eq!(seen, [("1", available), ("2", available), ("3", available)]);
    assert_eq!(bench.last_run().await, (Some(RunOutcome::Done), counts, None));
}

#[tokio::test]
async fn what_fails_in_the_middle_keeps_its_jobs_and_says_why() {
    let bench = Bench::new(vec![
        Answer::Page(vec![1], Some("a")),
        Answer::Fails,
        Answer::Page(vec![1, 2], None),
    ])
    .await;
    let error = bench.run().await.unwrap_err();
    assert_eq!(error.retry_after(), Some(Duration::from_secs(77)));
    assert!(error.run().is_some());
    let (outcome, counts, said) = bench.last_run().await;
    assert_eq!((outcome, counts.records), (Some(RunOutcome::Failed), 1));
    assert!(said.as_ref().unwrap().contains("overloaded"), "{said:?}");
    assert_eq!(bench.jobs().await.len(), 1);
    bench.run().await.unwrap();
    assert_eq!(bench.jobs().await.len(), 2);
}

#[tokio::test]
async fn a_store_that_is_away_fails_the_run_and_the_next_one_may_begin() {
    let bench = Bench::new(vec![
        Answer::Page(vec![1, 2, 3], None),
        Answer::Page(vec![1, 2, 3], None),
    ])
    .await;
    bench.store.fail("enqueue", StoreFault::Away, 1);
    assert!(matches!(bench.run().await, Err(RunError::Store(_))));
    let report = bench.run().await.unwrap();
    assert_eq!(report.counts.records, 3);
    assert_eq!(bench.jobs().await.len(), 3);
}

#[tokio::test]
async fn a_run_that_waits_says_that_it_lives_and_ends_when_told_to() {
    let bench = Bench::new(vec![Answer::Page(vec![1], Some("a")), Answer::Silence]).await;
    let stop = CancellationToken::new();
    let run = delta_run(&bench.shop, wanted(Object::Order, START), &stop);
    tokio::pin!(run);
    let waits = async {
        while bench.scripted.asked.lock().unwrap().len() < 2 {
            tokio::task::yield_now().await;
        }
        // Every half minute it is heard of.
        let end = START.plus(SIGN_OF_LIFE * 6);
        while bench.clock.now() < end {
            bench.clock.advance(Duration::from_secs(1));
            // What was asked of the store before is done then.
            bench.store.ping().await.unwrap();
        }
        assert!(bench.store.calls("run_goes_on") > 5);
        // Three minutes later it is still the one.
        let second = delta_run(&bench.shop, wanted(Object::Order, START), &stop).await;
        assert!(matches!(second, Err(RunError::UnderWay)), "{second:?}");
        stop.cancel();
        std::future::pending::<()>().await;
    };
    let ended = tokio::select! {
        ended = &mut run => ended,
        () = waits => unreachable!("it does not end"),
    };
    assert!(matches!(ended, Err(RunError::Stopped(_))), "{ended:?}");
    assert_eq!(bench.last_run().await.0, Some(RunOutcome::Cut));
}

#[tokio::test]
async fn when_a_run_began_is_told_by_the_databases_clock() {
    let bench = Bench::new(vec![
        Answer::Page(vec![1], Some("a")),
        Answer::AfterLong(2, "b"),
        Answer::Fails,
    ])
    .await;
    let day = Duration::from_secs(24 * 3600);
    bench.store.is_behind(day);
    let report = bench.run().await.unwrap();
    assert_eq!(report.started_at, START.minus(day));
    assert_eq!(report.counts.pages, 2, "how long it takes is told by our own");
}

#[tokio::test]
async fn a_busy_shop_does_not_keep_a_run_going() {
    let bench = Bench::new(vec![
        Answer::Page(vec![1], Some("a")),
        Answer::AfterLong(2, "b"),
        Answer::Fails,
    ])
    .await;
    let report = bench.run().await.unwrap();
    assert_eq!(
        (report.counts.pages, report.counts.records),
        (2, 2),
        "what was read is not thrown away"
    );
}

#[tokio::test]
async fn a_shop_whose_clock_is_ahead_is_read_to_the_end() {
    let bench = Bench::new(vec![
        Answer::Later(1, "a"),
        Answer::Later(2, "b"),
        Answer::Page(vec![3], None),
    ])
    .await;
    let report = bench.run().await.unwrap();
    assert_eq!((report.counts.pages, report.counts.records), (3, 3));
}

#[tokio::test]
async fn there_is_nothing_to_ask_for_stock() {
    let bench = Bench::new(Vec::new()).await;
    for object in [Object::Inventory, Object::Shop] {
        let stop = CancellationToken::new();
        let run = delta_run(&bench.shop, wanted(object, START), &stop).await;
        assert!(matches!(run, Err(RunError::NoSuchRun(_))), "{run:?}");
    }
    assert!(bench.shop.store.runs(1).await.unwrap().is_empty());
}
