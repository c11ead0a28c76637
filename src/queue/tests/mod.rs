//! The running queue, against a real SQLite store and a clock that the test moves.

mod rig;

use std::collections::HashMap;
use std::num::{NonZeroU32, NonZeroU64};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use tokio::sync::{Semaphore, watch};

use super::attempt::GRACE;
use super::{LaneGate, Settings, prune_on_schedule};
use crate::domain::{
    Clock as _, Disposition, JobState, Object, Outcome, ProblemCode, Report, RetryPolicy, System,
};
use crate::store::faulty::StoreFault;
use crate::store::{self, BreakerRow, SharedStore, Store as _};
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
async fn while_the_erp_is_down_for_days_jobs_wait_and_burn_no_attempts() {
    let is_down = Arc::new(AtomicBool::new(true));
    let mut settings = Settings {
        // A single counted failure would make a problem of the job.
        retry: RetryPolicy {
            max_attempts: 1,
            ..RetryPolicy::default()
        },
        ..Settings::default()
    };
    settings.breaker.longest_probe_s = NonZeroU64::new(3600).unwrap();
    let seen = Arc::clone(&is_down);
    let rig = Rig::start(settings, move |job, _| {
        let fails =
            seen.load(Ordering::SeqCst) && job.key.shop.as_str() == "main" && job.key.object != Object::Shop;
        async move { if fails { down(System::Erp) } else { done() } }
    })
    .await;
    for id in 1..=40 {
        rig.enqueue("main", Object::Order, id).await;
    }
    let breaker = async || {
        let rows: Vec<BreakerRow> = rig.store.breakers().await.unwrap();
        rows.first().map(|row| (row.state.clone(), row.system))
    };
    rig.until(
        "the breaker opens",
        Some(("open".to_owned(), System::Erp)),
        breaker,
    )
    .await;
    rig.until("nothing runs", 0, async || rig.in_state(JobState::Running).await)
        .await;
    let storm = rig.began();
    // Eight run at a time; a result that is being saved takes no place, so a second and a third round may begin meanwhile.
    assert!(storm <= 24, "{storm} attempts before the breaker opened");

    // Others are not concerned: another shop, and notices about this one.
    rig.enqueue("other", Object::Order, 1).await;
    rig.enqueue("main", Object::Shop, 1).await;
    rig.until_in_state(JobState::Completed, 2).await;

    let (began, before) = (rig.clock.now(), rig.began());
    for probe in 1..=72 {
        rig.until("another probe", true, async || {
            rig.clock.advance(minutes(5));
            rig.ended() >= before + probe
        })
        .await;
        if probe % 10 == 0 {
            rig.enqueue("main", Object::Order, 100 + probe as u64).await;
        }
    }
    rig.until("nothing runs", 0, async || rig.in_state(JobState::Running).await)
        .await;
    let outage = rig.clock.now().since(began);
    assert!(outage > minutes(36 * 60), "{outage:?}");
    // Waits grow from seconds to at least half an hour.
    let probes = rig.began() - before;
    assert!(
        probes as u64 <= 15 + outage.as_secs() / 1800,
        "{probes} probes in {outage:?}"
    );
    assert_eq!(rig.in_state(JobState::Problem).await, 0, "no attempt was burnt");

    is_down.store(false, Ordering::SeqCst);
    rig.until("a job is done", true, async || {
        rig.clock.advance(minutes(5));
        rig.in_state(JobState::Completed).await > 2
    })
    .await;
    rig.until_in_state(JobState::Completed, 2 + 40 + 7).await;
    let none_counted = rig
        .handler
        .began
        .lock()
        .unwrap()
        .iter()
        .all(|job| job.failed_attempts == 0);
    assert!(none_counted, "no attempt ever counted");
    rig.until(
        "the breaker closes",
        Some(("closed".to_owned(), System::Erp)),
        breaker,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_key_is_a_problem_of_the_shop_until_it_works() {
    let is_refused = Arc::new(AtomicBool::new(true));
    let seen = Arc::clone(&is_refused);
    let rig = Rig::start(Settings::default(), move |_, _| {
        let mut report = down(System::Erp);
        if let Outcome::Failed { problem, .. } = &mut report.outcome {
            problem.code = ProblemCode::from("erp_login_refused");
            problem.record = Some("#1042".into());
        }
        let report = if seen.load(Ordering::SeqCst) {
            report
        } else {
            done()
        };
        async move { report }
    })
    .await;
    for id in 1..=3 {
        rig.enqueue("main", Object::Order, id).await;
    }
    let open = async || {
        let rows = rig.store.open_problems(10).await.unwrap();
        rows.into_iter()
            .map(|row| (row.job, row.problem.record, row.problem.code.0))
            .collect::<Vec<_>>()
    };
    let expected = vec![(None, None, "erp_login_refused".to_owned())];
    rig.until("the shop has a problem", expected, open).await;
    is_refused.store(false, Ordering::SeqCst);
    rig.until("all is done", 3, async || {
        rig.clock.advance(Duration::from_secs(5));
        rig.in_state(JobState::Completed).await
    })
    .await;
    rig.until("the problem is over", Vec::new(), open).await;
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
async fn a_lease_that_ran_out_is_nobodys_failure() {
    let rig = Rig::start(Settings::default(), |job, _| async move {
        if job.attempt == 1 {
            std::future::pending::<()>().await;
        }
        done()
    })
    .await;
    rig.enqueue("main", Object::Order, 1).await;
    rig.until("it began", 1, async || rig.began()).await;
    rig.store.fail("heartbeat", StoreFault::Away, 1000);
    rig.store.fail("reclaim", StoreFault::Away, 1000);
    rig.until("it is given up", 1, async || {
        rig.clock.advance(Duration::from_secs(1));
        rig.in_state(JobState::Retryable).await
    })
    .await;
    let job = rig.jobs().await.remove(0);
    assert!(job.last_summary.unwrap().contains("lease ran out"));
    rig.store.fail("heartbeat", StoreFault::Away, 0);
    rig.store.fail("reclaim", StoreFault::Away, 0);
    rig.until("it is done", 1, async || {
        rig.clock.advance(Duration::from_secs(5));
        rig.in_state(JobState::Completed).await
    })
    .await;
    let again = rig.handler.began.lock().unwrap()[1].clone();
    assert_eq!(again.failed_attempts, 0);
    assert!(
        again.unclean_at.is_some(),
        "what it sent may have taken effect late"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_that_lost_its_claim_is_cancelled_and_saves_nothing() {
    let cancelled = Arc::new(AtomicU32::new(0));
    let seen = Arc::clone(&cancelled);
    let rig = Rig::start(Settings::default(), move |job, stop| {
        let seen = Arc::clone(&seen);
        async move {
            if job.attempt == 1 {
                stop.cancelled().await;
                seen.fetch_add(1, Ordering::SeqCst);
                return failed(Disposition::Permanent);
            }
            done()
        }
    })
    .await;
    rig.enqueue("main", Object::Order, 1).await;
    rig.until("it began", 1, async || rig.began()).await;
    // As another node does that finds the lease ended.
    assert_eq!(
        rig.store.reclaim(rig.clock.now().plus(minutes(2))).await.unwrap(),
        1
    );
    rig.until("the first attempt is cancelled", 1, async || {
        rig.clock.advance(Duration::from_secs(1));
        cancelled.load(Ordering::SeqCst)
    })
    .await;
    rig.clock.advance(minutes(2));
    rig.until_in_state(JobState::Completed, 1).await;
    let job = rig.jobs().await.remove(0);
    assert_eq!((job.state, job.problem), (JobState::Completed, None));
    assert!(rig.handler.began.lock().unwrap()[1].unclean_at.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn leases_of_long_attempts_are_kept() {
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
    let began = rig.clock.now();
    rig.enqueue("main", Object::Order, 1).await;
    rig.until("it began", 1, async || rig.began()).await;
    for _ in 0..30 {
        let beats = rig.store.calls("heartbeat");
        rig.until("a heartbeat", true, async || {
            rig.clock.advance(Duration::from_secs(1));
            rig.store.calls("heartbeat") > beats
        })
        .await;
    }
    assert!(rig.clock.now().since(began) > minutes(5), "many leases long");
    gate.add_permits(1);
    rig.until_in_state(JobState::Completed, 1).await;
    assert_eq!(rig.began(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_claims_nothing_more_and_gives_back_what_still_runs() {
    let gate = Arc::new(Semaphore::new(0));
    let opened = Arc::clone(&gate);
    let settings = Settings {
        workers: NonZeroU32::new(2).unwrap(),
        ..Settings::default()
    };
    let mut rig = Rig::start(settings, move |job, stop| {
        let gate = Arc::clone(&opened);
        async move {
            if job.key.source_id == "1" {
                gate.acquire().await.unwrap().forget();
                return done();
            }
            stop.cancelled().await;
            Report::of(Outcome::Interrupted, "stopped")
        }
    })
    .await;
    for id in 1..=3 {
        rig.enqueue("main", Object::Order, id).await;
    }
    rig.until("two run", 2, async || rig.began()).await;
    rig.stop.cancel();
    gate.add_permits(1);
    rig.until_in_state(JobState::Completed, 1).await;
    assert_eq!(rig.began(), 2, "nothing more is claimed");
    rig.clock.advance(Duration::from_secs(20));
    rig.until_stopped().await;
    assert_eq!(
        rig.in_state(JobState::Available).await,
        2,
        "released, and never claimed"
    );
    let interrupted = rig
        .jobs()
        .await
        .into_iter()
        .find(|job| job.key.source_id == "2")
        .unwrap();
    assert_eq!(interrupted.attempts, 0, "as if it had not been claimed");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_claimed_ahead_of_fast_work_is_given_back_at_a_stop() {
    let gate = Arc::new(Semaphore::new(200));
    let opened = Arc::clone(&gate);
    let settings = Settings {
        workers: NonZeroU32::new(2).unwrap(),
        ..Settings::default()
    };
    let (rig, queue) = Rig::prepare(settings, move |_, _| {
        let gate = Arc::clone(&opened);
        async move {
            gate.acquire().await.unwrap().forget();
            done()
        }
    })
    .await;
    for id in 1..=300 {
        rig.enqueue("main", Object::Order, id).await;
    }
    let mut rig = rig.await_start(queue);
    rig.until_in_state(JobState::Completed, 200).await;
    rig.until("two work", 202, async || rig.began()).await;
    rig.stop.cancel();
    // Those that work may go on; the others need not wait for them.
    rig.until_in_state(JobState::Running, 2).await;
    assert_eq!(rig.in_state(JobState::Available).await, 98);
    assert!(
        rig.jobs()
            .await
            .iter()
            .all(|job| job.state != JobState::Available || job.attempts == 0)
    );
    gate.add_permits(2);
    rig.until_stopped().await;
    assert_eq!(rig.in_state(JobState::Completed).await, 202);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_that_ignores_the_stop_is_left_to_the_next_start() {
    let a_day = NonZeroU64::new(24 * 3600).unwrap();
    let settings = Settings {
        lease_s: a_day,
        attempt_limit_s: a_day,
        ..Settings::default()
    };
    let mut rig = Rig::start(settings, |_, _| std::future::pending()).await;
    rig.enqueue("main", Object::Order, 1).await;
    rig.until("it runs", 1, async || rig.began()).await;
    rig.stop.cancel();
    // Two deadlines, one after the other.
    let clock = rig.clock.clone();
    let time = tokio::spawn(async move {
        loop {
            clock.advance(Duration::from_secs(5));
            tokio::task::yield_now().await;
        }
    });
    rig.until_stopped().await;
    time.abort();
    assert_eq!(rig.in_state(JobState::Running).await, 1);
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
async fn an_attempt_that_takes_too_long_is_cut_off_and_counts() {
    let rig = Rig::start(Settings::default(), |job, _| async move {
        if job.attempt == 1 {
            std::future::pending::<()>().await;
        }
        done()
    })
    .await;
    rig.enqueue("main", Object::Order, 1).await;
    rig.until("it began", 1, async || rig.began()).await;
    rig.clock.advance(minutes(15));
    // It has some seconds to come to an end by itself.
    rig.until("it is given up", 1, async || {
        rig.clock.advance(GRACE);
        rig.in_state(JobState::Retryable).await
    })
    .await;
    let job = rig.jobs().await.remove(0);
    assert!(job.last_summary.unwrap().contains("longer than 900 seconds"));
    rig.clock.advance(minutes(10));
    rig.until_in_state(JobState::Completed, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_is_saved_when_the_store_is_back() {
    let rig = Rig::start(Settings::default(), |_, _| async { done() }).await;
    rig.store.fail("finish", StoreFault::Away, 4);
    rig.enqueue("main", Object::Order, 1).await;
    rig.until("the store is asked again and again", 5, async || {
        rig.clock.advance(Duration::from_secs(1));
        rig.store.calls("finish")
    })
    .await;
    rig.until_in_state(JobState::Completed, 1).await;
    assert_eq!(rig.began(), 1, "the attempt itself is not repeated");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_that_the_store_refuses_becomes_a_problem() {
    let rig = Rig::start(Settings::default(), |_, _| async { done() }).await;
    rig.store.fail("finish", StoreFault::Refuses, 3);
    rig.enqueue("main", Object::Order, 1).await;
    rig.until("it is a problem", 1, async || {
        rig.clock.advance(Duration::from_secs(1));
        rig.in_state(JobState::Problem).await
    })
    .await;
    let problem = rig.jobs().await.remove(0).problem.unwrap();
    assert_eq!(problem.code.0, "result_not_stored");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_queue_goes_on_when_the_store_is_back() {
    let (rig, queue) = Rig::prepare(Settings::default(), |_, _| async { done() }).await;
    for operation in [
        "reclaim",
        "ready_lanes",
        "claim",
        "next_due",
        "heartbeat",
        "save_breaker",
    ] {
        rig.store.fail(operation, StoreFault::Away, 3);
    }
    rig.enqueue("main", Object::Order, 1).await;
    let rig = rig.await_start(queue);
    rig.until("it is done", 1, async || {
        rig.clock.advance(Duration::from_secs(1));
        rig.in_state(JobState::Completed).await
    })
    .await;
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
