//! A system or the store is away.

use super::*;

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
    // Eight run at a time, and until enough failures are heard each that ends makes room for one: whoever takes a place knows
    // how the last attempt in it ended, whether that is saved yet or not.
    assert!(storm <= 16, "{storm} attempts before the breaker opened");

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
async fn the_breaker_hears_of_a_failure_before_its_result_is_saved() {
    let rig = Rig::start(Settings::default(), |_, _| async { down(System::Erp) }).await;
    // Whatever the store does: no result is saved.
    rig.store.fail("finish", StoreFault::Away, u32::MAX);
    for id in 1..=40 {
        rig.enqueue("main", Object::Order, id).await;
    }
    rig.until("the breaker opens", true, async || {
        let rows: Vec<BreakerRow> = rig.store.breakers().await.unwrap();
        rows.first().is_some_and(|row| row.state == "open")
    })
    .await;
    rig.until("all that began have ended", true, async || {
        rig.began() == rig.ended()
    })
    .await;
    assert!(rig.began() <= 16, "{} attempts before it opened", rig.began());
    assert_eq!(
        rig.in_state(JobState::Running).await,
        rig.began(),
        "none is saved"
    );
}
