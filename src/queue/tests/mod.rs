//! The running queue, against a real SQLite store and a clock that the test moves.

mod leases;
mod outages;
mod rig;
mod told;

use std::collections::HashMap;
use std::num::{NonZeroU32, NonZeroU64};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use tokio::sync::{Semaphore, watch};

use super::attempt::GRACE;
use super::{LaneGate, Settings, prune_on_schedule};
use crate::domain::{
    Calls, Clock as _, Disposition, JobState, Object, Outcome, ProblemCode, Report, RetryPolicy, System,
};
use crate::store::faulty::StoreFault;
use crate::store::{self, BreakerRow, SharedStore};
use crate::telemetry::calls;
use rig::{Rig, done, down, failed, name_of};

fn minutes(n: u64) -> Duration {
    Duration::from_secs(60 * n)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_good_jobs_are_done_beside_one_that_always_panics() {
    let settings = Settings {
        retry: RetryPolicy {
            max_attempts: 3,
            ..RetryPolicy::default()
        },
        ..Settings::default()
    };
    let (rig, queue) = Rig::prepare(settings, |job, _| async move {
        assert_ne!(job.key.source_id, "500", "poison");
        done()
    })
    .await;
    for id in 1..=1001 {
        rig.enqueue("main", Object::Order, id).await;
    }
    let rig = rig.await_start(queue);
    rig.until_in_state(JobState::Completed, 1000).await;
    for _ in 0..2 {
        rig.until_in_state(JobState::Retryable, 1).await;
        rig.clock.advance(minutes(10));
        let attempts = rig.began();
        rig.until("the next attempt began", attempts + 1, async || rig.began())
            .await;
    }
    rig.until_in_state(JobState::Problem, 1).await;
    let poison = rig
        .jobs()
        .await
        .into_iter()
        .find(|job| job.state == JobState::Problem)
        .unwrap();
    assert_eq!(poison.problem.unwrap().code.0, "attempt_panicked");
    assert_eq!(rig.began(), 1003, "each good one once, the poison three times");
}

#[tokio::test(flavor = "multi_thread")]
async fn attempts_for_an_import_give_way_and_others_do_not() {
    let (rig, queue) = Rig::prepare(Settings::default(), |_, _| async {
        let told = if calls::gives_way() {
            "gives way"
        } else {
            "goes first"
        };
        Report::of(Outcome::Completed, told)
    })
    .await;
    rig.import_customers(&[1, 3]).await;
    rig.enqueue("main", Object::Customer, 2).await;
    // It changes while the import's job for it waits.
    rig.enqueue("main", Object::Customer, 3).await;
    let rig = rig.await_start(queue);
    rig.until_in_state(JobState::Completed, 3).await;
    let mut told: Vec<(String, Option<String>)> = rig
        .jobs()
        .await
        .into_iter()
        .map(|job| (job.key.source_id, job.last_summary))
        .collect();
    told.sort();
    let expected = [("1", "gives way"), ("2", "goes first"), ("3", "goes first")];
    assert_eq!(
        told,
        expected.map(|(id, told)| (id.to_owned(), Some(told.to_owned())))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn imports_that_hang_take_no_place_of_others_and_others_none_of_theirs() {
    let settings = Settings {
        workers: NonZeroU32::new(1).unwrap(),
        import_workers: NonZeroU32::new(2).unwrap(),
        ..Settings::default()
    };
    let (imports, live) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let gates = (Arc::clone(&imports), Arc::clone(&live));
    let (rig, queue) = Rig::prepare(settings, move |_, _| {
        let (imports, live) = (Arc::clone(&gates.0), Arc::clone(&gates.1));
        async move {
            let gate = if calls::gives_way() { imports } else { live };
            gate.acquire().await.unwrap().forget();
            done()
        }
    })
    .await;
    rig.import_customers(&[1, 2, 3]).await;
    let rig = rig.await_start(queue);
    rig.until("the import has its places", 2, async || rig.began())
        .await;
    for id in [11, 12] {
        rig.enqueue("main", Object::Customer, id).await;
    }
    rig.until("and one is left for what is live", 3, async || rig.began())
        .await;
    live.add_permits(1);
    rig.until("for one after the other", 4, async || rig.began())
        .await;
    // While what is live has its only place, imports go on in theirs.
    imports.add_permits(3);
    rig.until_in_state(JobState::Completed, 4).await;
    let mut began: Vec<String> = rig.handler.began.lock().unwrap().iter().map(name_of).collect();
    began[..2].sort();
    let expected = ["1", "2", "11", "12", "3"].map(|id| format!("main/customer/{id}"));
    assert_eq!(began, expected);
    live.add_permits(1);
    rig.until_in_state(JobState::Completed, 5).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn work_goes_on_when_the_clock_is_set_back() {
    let gate = Arc::new(Semaphore::new(0));
    let opened = Arc::clone(&gate);
    let settings = Settings {
        workers: NonZeroU32::new(1).unwrap(),
        ..Settings::default()
    };
    let rig = Rig::start(settings, move |_, _| {
        let gate = Arc::clone(&opened);
        async move {
            gate.acquire().await.unwrap().forget();
            done()
        }
    })
    .await;
    for id in 1..=3 {
        rig.enqueue("main", Object::Order, id).await;
    }
    rig.until("one runs", 1, async || rig.began()).await;
    rig.clock.set_back(minutes(60));
    gate.add_permits(3);
    rig.until_in_state(JobState::Completed, 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_during_a_run_leads_to_exactly_one_more() {
    let gate = Arc::new(Semaphore::new(0));
    let opened = Arc::clone(&gate);
    let rig = Rig::start(Settings::default(), move |_, _| {
        let gate = Arc::clone(&opened);
        async move {
            gate.acquire().await.unwrap().forget();
            done()
        }
    })
    .await;
    rig.enqueue("main", Object::Order, 1).await;
    rig.until("it began", 1, async || rig.began()).await;
    for _ in 0..5 {
        rig.enqueue("main", Object::Order, 1).await;
    }
    gate.add_permits(10);
    rig.until_in_state(JobState::Completed, 1).await;
    assert_eq!(rig.began(), 2);
    assert_eq!(rig.jobs().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_shop_does_not_hold_up_a_quiet_one() {
    let (rig, queue) = Rig::prepare(Settings::default(), |_, _| async { done() }).await;
    for id in 1..=400 {
        rig.enqueue("busy", Object::Order, id).await;
    }
    for id in 1..=10 {
        rig.enqueue("quiet", Object::Product, id).await;
        rig.enqueue("busy", Object::Product, id).await;
    }
    let rig = rig.await_start(queue);
    rig.until_in_state(JobState::Completed, 420).await;
    let began: Vec<String> = rig.handler.began.lock().unwrap().iter().map(name_of).collect();
    let last_of = |prefix: &str| began.iter().rposition(|name| name.starts_with(prefix)).unwrap();
    assert!(last_of("quiet/product") < 60, "{}", last_of("quiet/product"));
    // 4 of the busy shop's 54 turns.
    assert!(last_of("busy/product") < 200, "{}", last_of("busy/product"));
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_of_a_paused_lane_wait_until_it_is_opened() {
    let (rig, queue) = Rig::prepare(Settings::default(), |_, _| async { done() }).await;
    rig.live
        .send_modify(|live| live.gate = LaneGate::new(|lane| lane.object != Object::Product));
    for id in 1..=20 {
        rig.enqueue("main", Object::Product, id).await;
        rig.enqueue("main", Object::Order, id).await;
    }
    let rig = rig.await_start(queue);
    rig.until_in_state(JobState::Completed, 20).await;
    rig.enqueue("main", Object::Product, 1).await;
    rig.clock.advance(minutes(60));
    rig.enqueue("main", Object::Order, 21).await;
    rig.until_in_state(JobState::Completed, 21).await;
    assert_eq!(rig.in_state(JobState::Available).await, 20);
    rig.live.send_modify(|live| live.gate = LaneGate::open());
    rig.until_in_state(JobState::Completed, 41).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_is_made_when_it_is_due() {
    let rig = Rig::start(Settings::default(), |job, _| async move {
        if job.attempt < 3 {
            let retry_after = Some(Duration::from_secs(100));
            failed(Disposition::Transient { retry_after })
        } else {
            done()
        }
    })
    .await;
    rig.enqueue("main", Object::Order, 1).await;
    for attempt in 1..=2 {
        rig.until("attempts", attempt, async || rig.began()).await;
        rig.until_in_state(JobState::Retryable, 1).await;
        rig.clock.advance(Duration::from_secs(99));
        assert_eq!(rig.in_state(JobState::Retryable).await, 1);
        rig.clock.advance(Duration::from_secs(2));
    }
    rig.until_in_state(JobState::Completed, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_workers_are_used_as_soon_as_the_settings_say_so() {
    let gate = Arc::new(Semaphore::new(0));
    let opened = Arc::clone(&gate);
    let mut settings = Settings {
        workers: NonZeroU32::new(3).unwrap(),
        ..Settings::default()
    };
    let rig = Rig::start(settings.clone(), move |_, _| {
        let gate = Arc::clone(&opened);
        async move {
            gate.acquire().await.unwrap().forget();
            done()
        }
    })
    .await;
    for id in 1..=30 {
        rig.enqueue(if id % 2 == 0 { "a" } else { "b" }, Object::Order, id)
            .await;
    }
    rig.until("three run", (3, 3), async || {
        (rig.began(), rig.in_state(JobState::Running).await)
    })
    .await;
    settings.workers = NonZeroU32::new(12).unwrap();
    settings.workers_per_shop = NonZeroU32::new(5).unwrap();
    rig.live.send_modify(|live| live.settings = settings);
    rig.until("ten run", (10, 10), async || {
        (rig.began(), rig.in_state(JobState::Running).await)
    })
    .await;
    let mut of_shop: HashMap<String, u32> = HashMap::new();
    for job in rig.handler.began.lock().unwrap().iter() {
        *of_shop.entry(job.key.shop.to_string()).or_default() += 1;
    }
    assert_eq!(of_shop, HashMap::from([("a".to_owned(), 5), ("b".to_owned(), 5)]));
    gate.add_permits(100);
    rig.until_in_state(JobState::Completed, 30).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_queue_hardly_asks_the_store() {
    let rig = Rig::start(Settings::default(), |_, _| async { done() }).await;
    rig.enqueue("main", Object::Order, 1).await;
    rig.until_in_state(JobState::Completed, 1).await;
    rig.until("it is idle", true, async || rig.store.calls("next_due") > 0)
        .await;
    let before = rig.store.calls("ready_lanes");
    for _ in 0..10 {
        let looked = rig.store.calls("ready_lanes");
        rig.clock.advance(Duration::from_secs(5));
        rig.until("it looks again", true, async || {
            rig.store.calls("ready_lanes") > looked
        })
        .await;
    }
    // The last attempt's end and the signal of its result may each have made it look once more.
    let looks = rig.store.calls("ready_lanes") - before;
    assert!((10..=12).contains(&looks), "{looks} looks in 50 seconds");
    assert!(
        rig.store.calls("heartbeat") <= 1,
        "nothing runs, nothing needs a heartbeat"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn finished_work_is_pruned_on_schedule_and_failures_stay() {
    let rig = Rig::start(Settings::default(), |job, _| async move {
        if job.key.source_id == "7" {
            failed(Disposition::Permanent)
        } else {
            done()
        }
    })
    .await;
    for id in 1..=10 {
        rig.enqueue("main", Object::Order, id).await;
    }
    rig.until_in_state(JobState::Completed, 9).await;
    rig.until_in_state(JobState::Problem, 1).await;
    let began = rig.clock.now();
    let (_settings, follow) = watch::channel(store::Settings {
        keep_days: 30,
        prune_schedule: "17 3 * * *".into(),
        ..store::Settings::default()
    });
    let store: SharedStore = rig.store.clone();
    let pruning = tokio::spawn(prune_on_schedule(
        store,
        Arc::new(rig.clock.clone()),
        follow,
        rig.stop.clone(),
    ));
    let hours = async |until_calls: u32| {
        rig.until("pruned", true, async || {
            rig.clock.advance(minutes(60));
            rig.store.calls("prune") >= until_calls
        })
        .await;
    };
    hours(3).await;
    assert_eq!(
        rig.jobs().await.len(),
        10,
        "nothing is old enough after three days"
    );
    rig.until("old work is gone", 1, async || {
        rig.clock.advance(minutes(60));
        rig.jobs().await.len()
    })
    .await;
    assert!(rig.clock.now().since(began) >= minutes(30 * 24 * 60));
    assert_eq!(rig.in_state(JobState::Problem).await, 1, "failures stay");
    rig.stop.cancel();
    pruning.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_are_kept_with_the_attempt_that_made_them_also_when_it_is_cut_off() {
    let settings = Settings {
        attempt_limit_s: NonZeroU64::new(60).unwrap(),
        ..Settings::default()
    };
    let rig = Rig::start(settings, |job, _| async move {
        let name = format!("read {}", job.key.source_id);
        calls::begin(System::Shopify, || name).ended("ok");
        let _hangs = (job.key.source_id == "2").then(|| calls::begin(System::Erp, || "write".to_owned()));
        if job.key.source_id == "2" {
            std::future::pending::<()>().await;
        }
        Report {
            detail: serde_json::json!([{ "what": "done" }]),
            ..done()
        }
    })
    .await;
    for id in 1..=2 {
        rig.enqueue("main", Object::Order, id).await;
    }
    rig.until_in_state(JobState::Completed, 1).await;
    rig.until("both began", 2, async || rig.began()).await;
    // It is told to stop, does not hear, and is cut off.
    rig.until("the one that hangs is cut off", 1, async || {
        rig.clock.advance(minutes(1));
        rig.in_state(JobState::Retryable).await
    })
    .await;
    for job in rig.jobs().await {
        let story = rig.store.job(job.id).await.unwrap().unwrap();
        let (calls, rest) = Calls::taken_from(story.attempts[0].detail.clone());
        let calls: Vec<String> = calls
            .unwrap()
            .first
            .iter()
            .map(|call| format!("{} {} {}", call.system, call.name, call.outcome))
            .collect();
        if job.key.source_id == "1" {
            assert_eq!(calls, ["shopify read 1 ok"]);
            assert_eq!(rest, serde_json::json!([{ "what": "done" }]));
        } else {
            assert_eq!(calls, ["shopify read 2 ok", "erp write cut_off"]);
        }
    }
}
