//! Attempts that lose their claim, take too long, or are told to stop.

use super::*;

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
async fn no_job_waits_for_deliveries_whose_times_cannot_be_mended() {
    let (rig, queue) = Rig::prepare(Settings::default(), |_, _| async { done() }).await;
    rig.store.fail("mend_dispatch_times", StoreFault::Hangs, u32::MAX);
    rig.enqueue("main", Object::Order, 1).await;
    let rig = rig.await_start(queue);
    rig.until_in_state(JobState::Completed, 1).await;
    rig.clock.set_back(minutes(60));
    rig.enqueue("main", Object::Order, 2).await;
    rig.until_in_state(JobState::Completed, 2).await;
    assert_eq!(rig.store.calls("mend_dispatch_times"), 0);
}
