//! Retention, redaction, crashes, and text of every kind.

use std::path::Path;
use std::time::Duration;

use super::fixture::Fixture;
use super::given::{
    START, claim, claim_one, delivery, end, finish, key, link, new_job, order, other_shop, problem, record,
    shop, state, story,
};
use crate::domain::{Direction, EventId, JobKey, JobState, LinkKind, Object};
use crate::store::{
    ComplianceRecord, DeliveryAction, JobFilter, OpenMode, Recorded, RejectionCount, Retried, SharedStore,
    StoreError, Verdict, migrate, migrations,
};

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(24 * 3600);

pub(super) async fn pruning_goes_in_steps_and_leaves_what_is_open(fixture: Fixture) {
    let store = &fixture.store;
    // Old: three completed, one problem, one waiting, one recorded-only event, one closed problem of the shop.
    for n in 0..5 {
        let name = n.to_string();
        store
            .record_delivery(delivery(&name, &order(&name), START))
            .await
            .unwrap();
    }
    for job in claim(store, Object::Order, 3, START).await {
        finish(store, &job, START, Verdict::Completed).await;
    }
    let job = claim_one(store, Object::Order, START).await;
    finish(store, &job, START, Verdict::Problem(problem("x"))).await;
    let mut only_kept = delivery("kept", &order("1"), START);
    only_kept.action = DeliveryAction::Record { reason: "toggle_off" };
    store.record_delivery(only_kept).await.unwrap();
    store
        .open_shop_problem(&shop(), problem("over"), START)
        .await
        .unwrap();
    store.close_shop_problems(&shop(), "over", START).await.unwrap();
    store
        .open_shop_problem(&shop(), problem("still"), START)
        .await
        .unwrap();
    let refused = RejectionCount {
        shop: "-".to_owned(),
        reason: "unknown_shop".to_owned(),
        hour: START,
        count: 1,
    };
    store.count_rejections(vec![refused]).await.unwrap();
    // New: one completed.
    let now = START.plus(DAY * 90);
    store
        .record_delivery(delivery("new", &order("new"), now))
        .await
        .unwrap();
    let job = loop {
        let job = claim_one(store, Object::Order, now).await;
        if job.key.source_id == "new" {
            break job;
        }
        finish(store, &job, now, Verdict::Held(problem("waits"))).await;
    };
    finish(store, &job, now, Verdict::Completed).await;

    let before = START.plus(DAY);
    assert_eq!(store.prune(START, 100).await.unwrap(), 0, "nothing is that old");
    let mut steps = Vec::new();
    loop {
        let deleted = store.prune(before, 2).await.unwrap();
        if deleted == 0 {
            break;
        }
        steps.push(deleted);
    }
    // Six, and what their three ends were counted as.
    assert_eq!(steps.iter().sum::<u64>(), 9, "{steps:?}");
    assert!(steps.iter().all(|step| *step <= 2), "{steps:?}");

    let left = store.jobs(JobFilter::default()).await.unwrap();
    let states: Vec<_> = left.iter().map(|job| job.state).collect();
    assert_eq!(states, [JobState::Completed, JobState::Held, JobState::Problem]);
    assert_eq!(store.open_problems(10).await.unwrap().len(), 3);
    assert!(store.rejections(START).await.unwrap().is_empty());
    assert!(store.event(EventId(1)).await.unwrap().is_none());
    let open = left.last().unwrap();
    assert_eq!(
        store.events_of(open.id, true).await.unwrap().len(),
        1,
        "what is open keeps its events"
    );
    // Numbers of deleted rows never come back.
    let next = store.enqueue(new_job(&order("0"), now)).await.unwrap();
    assert!(next.created && next.job > left[0].id);
}

/// A customer with a closed job, a problem and a link; returns the number of the job.
async fn with_history(store: &SharedStore, key: &JobKey, name: &str) -> crate::domain::JobId {
    store
        .record_delivery(delivery(&format!("first of {key}"), key, START))
        .await
        .unwrap();
    let job = claim_of(store, key).await;
    let mut bad = end(&job, START, Verdict::Problem(problem("x")));
    bad.record_name = Some(name.to_owned());
    bad.summary = format!("{name} is refused");
    store.finish(bad).await.unwrap();
    store.retry(job.id, START).await.unwrap();
    let job = claim_of(store, key).await;
    let mut done = end(&job, START, Verdict::Completed);
    let mut pair = link(LinkKind::Customer, &key.source_id, 10);
    pair.shop = key.shop.clone();
    done.links = vec![pair];
    store.finish(done).await.unwrap();
    job.id
}

async fn claim_of(store: &SharedStore, key: &JobKey) -> crate::store::ClaimedJob {
    let mut jobs = store
        .claim(crate::store::Claim {
            node: "node-1".to_owned(),
            lanes: vec![(crate::store::Lane::of(key), 1)],
            now: START,
            lease: super::given::LEASE,
        })
        .await
        .unwrap();
    assert_eq!(jobs.len(), 1);
    jobs.remove(0)
}

async fn shows(store: &SharedStore, job: crate::domain::JobId, name: &str) -> bool {
    let story = story(store, job).await;
    let bodies = store.events_of(job, true).await.unwrap();
    let text = serde_json::to_string(&story).unwrap();
    text.contains(name) || text.contains("no such tax") || bodies.iter().any(|row| row.body.is_some())
}

pub(super) async fn redaction_removes_contents_and_keeps_ids(fixture: Fixture) {
    let store = &fixture.store;
    let (jane, john) = (
        key(Object::Customer, "207119551"),
        key(Object::Customer, "1207119551"),
    );
    let janes = with_history(store, &jane, "Jane").await;
    let mut johns_key = john.clone();
    johns_key.shop = shop();
    store
        .record_delivery(delivery("John 1", &johns_key, START))
        .await
        .unwrap();
    let johns = claim_of(store, &john).await.id;
    // Events without a job: one names her, one somebody else, one is of another shop.
    let mut events = Vec::new();
    for (name, id, shop) in [
        ("k1", "207119551", shop()),
        ("k2", "1207119551", shop()),
        ("k3", "207119551", other_shop()),
    ] {
        let mut about = key(Object::Customer, id);
        about.shop = shop;
        let mut only_kept = delivery(name, &about, START);
        only_kept.action = DeliveryAction::Record { reason: "toggle_off" };
        let Recorded::New { event, .. } = store.record_delivery(only_kept).await.unwrap() else {
            panic!("new");
        };
        events.push(event);
    }
    assert!(shows(store, janes, "Jane").await);
    // Hashes of her data, in what is kept about plans and about what a wrong mapping wrote.
    let mark = |id: &str| format!("resync:customer:{id}");
    let (plan, wrote) = (
        "plan:in:customer:207119551",
        r#"{"job":1,"wrote":{"name":"0123"}}"#,
    );
    let kept = [mark(&jane.source_id), mark(&john.source_id), plan.to_owned()];
    for name in &kept {
        store.set_cursor(&shop(), name, wrote, START).await.unwrap();
    }

    let touched = store
        .redact(&shop(), &[record("customer", "207119551")], START)
        .await
        .unwrap();
    assert!(touched > 0);
    assert!(!shows(store, janes, "Jane").await);
    assert!(shows(store, johns, "John").await);
    for (name, expected) in kept.iter().zip([r#"{"job":1,"wrote":{}}"#, wrote, ""]) {
        let left = store.cursor(&shop(), name).await.unwrap();
        assert_eq!(left.as_deref(), Some(expected), "{name}");
    }
    let body = |event| async move { store.event(event).await.unwrap().unwrap().body.is_some() };
    assert!(!body(events[0]).await);
    assert!(body(events[1]).await && body(events[2]).await);

    // Ids stay: nothing is synced twice.
    let links = store
        .links(&shop(), LinkKind::Customer, std::slice::from_ref(&jane.source_id))
        .await
        .unwrap();
    assert_eq!((links[0].erp_id.0, links[0].erp_name.clone()), (10, None));
    assert_eq!(links[0].agreed, serde_json::json!({}));
    let again = store
        .record_delivery(delivery(&format!("first of {jane}"), &jane, START))
        .await
        .unwrap();
    assert_eq!(again, Recorded::Repeated);
    assert_eq!(state(store, janes).await, JobState::Completed);

    let proof = ComplianceRecord {
        shop: shop(),
        topic: "customers/redact".to_owned(),
        event: events[0],
        requested_at: START,
        done_at: START.plus(SECOND),
        summary: "12 rows".to_owned(),
    };
    store.record_compliance(proof.clone()).await.unwrap();
    store.record_compliance(proof.clone()).await.unwrap();
    assert_eq!(store.compliance_records(&shop()).await.unwrap(), [proof]);
    assert!(store.compliance_records(&other_shop()).await.unwrap().is_empty());

    // The request itself names her, too: its body goes with its success.
    let notice = key(Object::Shop, "customers-redact-1");
    let Recorded::New {
        job: Some(notice_job),
        ..
    } = store
        .record_delivery(delivery("notice", &notice, START))
        .await
        .unwrap()
    else {
        panic!("new");
    };
    let job = claim_one(store, Object::Shop, START).await;
    assert!(store.events_of(notice_job, true).await.unwrap()[0].body.is_some());
    finish(store, &job, START, Verdict::Completed).await;
    assert!(store.events_of(notice_job, true).await.unwrap()[0].body.is_none());
}

pub(super) async fn a_whole_shop_is_redacted_alone(fixture: Fixture) {
    let store = &fixture.store;
    let ours = key(Object::Customer, "1");
    let mut theirs = ours.clone();
    theirs.shop = other_shop();
    let mine = with_history(store, &ours, "Jane").await;
    let other = with_history(store, &theirs, "John").await;
    store
        .open_shop_problem(&shop(), problem("secret_wrong"), START)
        .await
        .unwrap();
    assert!(store.redact_shop(&shop(), START).await.unwrap() > 0);
    assert!(!shows(store, mine, "Jane").await);
    assert!(shows(store, other, "John").await);
    let links = store
        .links(&shop(), LinkKind::Customer, &["1".to_owned()])
        .await
        .unwrap();
    assert_eq!((links[0].erp_id.0, links[0].erp_name.clone()), (10, None));
    let links = store
        .links(&other_shop(), LinkKind::Customer, &["1".to_owned()])
        .await
        .unwrap();
    assert!(links[0].erp_name.is_some());
    assert_eq!(store.open_problems(1).await.unwrap()[0].problem.record, None);
}

/// A redaction needs the requests that are still to be carried out, its own too: it may be killed and begin again.
pub(super) async fn pending_notices_outlive_redactions(fixture: Fixture) {
    let store = &fixture.store;
    // Bodies name the source id: all three are about customer 77.
    let notice = |name: &str| {
        let mut delivery = delivery(name, &key(Object::Shop, name), START);
        delivery.body = br#"{"customer":{"id":77}}"#.to_vec().into();
        delivery
    };
    let mut jobs = Vec::new();
    for name in ["ended", "running", "pending"] {
        let Recorded::New { job: Some(job), .. } = store.record_delivery(notice(name)).await.unwrap() else {
            panic!("new");
        };
        jobs.push(job);
    }
    let ended = claim_one(store, Object::Shop, START).await;
    // Discarded, not completed: a success would have removed the body itself.
    finish(store, &ended, START, Verdict::Problem(problem("unreadable"))).await;
    assert!(store.discard(ended.id, "not genuine", START).await.unwrap());
    let running = claim_one(store, Object::Shop, START).await;
    assert_eq!((ended.id, running.id), (jobs[0], jobs[1]));
    store
        .record_delivery(delivery("an order", &order("1"), START))
        .await
        .unwrap();

    let bodies = async || {
        let mut bodies = Vec::new();
        for job in &jobs {
            bodies.push(store.events_of(*job, true).await.unwrap()[0].body.is_some());
        }
        bodies
    };
    store
        .redact(&shop(), &[record("customer", "77")], START)
        .await
        .unwrap();
    assert_eq!(
        bodies().await,
        [false, true, true],
        "after a customer's redaction"
    );
    store.redact_shop(&shop(), START).await.unwrap();
    assert_eq!(bodies().await, [false, true, true], "after the shop's redaction");
    let orders = store.jobs(JobFilter {
        object: Some(Object::Order),
        ..JobFilter::default()
    });
    let order = orders.await.unwrap().remove(0).id;
    assert!(store.events_of(order, true).await.unwrap()[0].body.is_none());
    // Each goes with its own success.
    finish(store, &running, START, Verdict::Completed).await;
    assert_eq!(bodies().await, [false, false, true]);
}

pub(super) async fn odd_characters_survive(fixture: Fixture) {
    let store = &fixture.store;
    let odd = "ü\u{1f600}'\"\\%_\n\t\u{7f}; DROP TABLE jobs; --";
    let key = JobKey {
        direction: Direction::Out,
        ..order(odd)
    };
    let mut delivery = delivery(odd, &key, START);
    delivery.body = b"\0".to_vec().into();
    let Recorded::New { job: Some(id), .. } = store.record_delivery(delivery).await.unwrap() else {
        panic!("new");
    };
    let job = claim_of(store, &key).await;
    assert_eq!((job.id, &job.key), (id, &key));
    let mut bad = end(&job, START, Verdict::Problem(problem(odd)));
    // PostgreSQL knows no NUL in texts: it is replaced, not refused.
    bad.summary = format!("{odd}\0.");
    bad.record_name = Some(odd.to_owned());
    bad.detail = serde_json::json!({ odd: "\0" });
    store.finish(bad).await.unwrap();
    let story = story(store, id).await;
    assert_eq!(story.job.problem, Some(problem(odd)));
    assert_eq!(story.job.last_summary, Some(format!("{odd}\u{fffd}.")));
    assert_eq!(story.attempts[0].detail, serde_json::json!({ odd: "\0" }));
    assert_eq!(story.events[0].webhook_id.as_deref(), Some(odd));
    let by_name = JobFilter {
        name: Some(odd.to_owned()),
        ..Default::default()
    };
    assert_eq!(store.jobs(by_name).await.unwrap().len(), 1);
    store.set_cursor(&shop(), odd, odd, START).await.unwrap();
    assert_eq!(store.cursor(&shop(), odd).await.unwrap().as_deref(), Some(odd));
}

pub(super) async fn what_was_committed_survives_a_crash(fixture: Fixture) {
    let store = &fixture.store;
    store
        .record_delivery(delivery("a", &order("1"), START))
        .await
        .unwrap();
    let job = claim_one(store, Object::Order, START).await;
    let mut done = end(&job, START, Verdict::Completed);
    done.links = vec![link(LinkKind::Order, "1", 10)];
    store.finish(done).await.unwrap();
    store.enqueue(new_job(&order("2"), START)).await.unwrap();
    let fixture = fixture.crash().await;
    let store = &fixture.store;
    assert_eq!(state(store, job.id).await, JobState::Completed);
    assert_eq!(
        store
            .links(&shop(), LinkKind::Order, &["1".to_owned()])
            .await
            .unwrap()
            .len(),
        1
    );
    assert_eq!(claim_one(store, Object::Order, START).await.key, order("2"));
    let again = store
        .record_delivery(delivery("a", &order("1"), START))
        .await
        .unwrap();
    assert_eq!(again, Recorded::Repeated);

    fixture.store.close().await;
    let refused = fixture
        .store
        .record_delivery(delivery("b", &order("1"), START))
        .await;
    assert!(matches!(refused, Err(StoreError::Closed)), "{refused:?}");
    assert!(matches!(
        fixture.store.counts(START).await,
        Err(StoreError::Closed)
    ));
    let reopened = fixture.open(OpenMode::Serve).await.unwrap();
    assert_eq!(reopened.counts(START).await.unwrap().events, 1);
}

pub(super) async fn a_second_daemon_is_refused(fixture: Fixture) {
    if fixture.is_shared() {
        // PostgreSQL serves several nodes.
        let second = fixture.open(OpenMode::Serve).await.unwrap();
        second.enqueue(new_job(&order("1"), START)).await.unwrap();
        let job = claim_one(&fixture.store, Object::Order, START).await;
        // The second node finds nothing to reclaim as long as the first one lives.
        assert_eq!(second.reclaim(START.plus(DAY)).await.unwrap(), 0);
        assert_eq!(state(&second, job.id).await, JobState::Running);
        return;
    }
    let second = fixture.open(OpenMode::Serve).await;
    assert!(matches!(second, Err(StoreError::InUse { .. })));
    // Tools work beside it, and leave running jobs alone.
    let job = fixture
        .store
        .enqueue(new_job(&order("1"), START))
        .await
        .unwrap()
        .job;
    let claimed = claim_one(&fixture.store, Object::Order, START).await;
    let tool = fixture.open(OpenMode::Tool).await.unwrap();
    assert_eq!(tool.retry(job, START).await.unwrap(), Retried::Running);
    finish(&fixture.store, &claimed, START, Verdict::Completed).await;
    assert!(matches!(tool.retry(job, START).await.unwrap(), Retried::New(_)));
    tool.close().await;
    assert_eq!(
        claim_one(&fixture.store, Object::Order, START).await.key,
        order("1")
    );
}

pub(super) async fn migrations_are_reported_and_newer_ones_refused(fixture: Fixture) {
    let (settings, here) = (fixture.settings(), Path::new("."));
    let report = migrations(&settings, here).await.unwrap();
    assert!(
        !report.applied.is_empty() && report.pending.is_empty(),
        "{report:?}"
    );
    assert_eq!(
        migrate(&settings, here).await.unwrap(),
        report,
        "again is nothing"
    );
    fixture.store.close().await;
    if settings.url.starts_with("postgres") {
        fixture
            .execute("ALTER TABLE _sqlx_migrations RENAME TO kept_migrations")
            .await;
        assert!(matches!(
            fixture.open(OpenMode::Tool).await.err(),
            Some(StoreError::Behind { pending: 1.. })
        ));
        fixture.execute("DROP TABLE _sqlx_migrations").await;
        fixture
            .execute("ALTER TABLE kept_migrations RENAME TO _sqlx_migrations")
            .await;
    }
    fixture
        .execute(
            "INSERT INTO _sqlx_migrations (version, description, installed_on, success, checksum, execution_time)
             SELECT version + 1000, description, installed_on, success, checksum, execution_time
             FROM _sqlx_migrations",
        )
        .await;
    let is_refused = |result: Option<StoreError>| matches!(result, Some(StoreError::TooNew { found, known }) if found > known);
    assert!(is_refused(migrations(&settings, here).await.err()));
    assert!(is_refused(migrate(&settings, here).await.err()));
    assert!(is_refused(fixture.open(OpenMode::Serve).await.err()));
    assert!(is_refused(fixture.open(OpenMode::Tool).await.err()));
}
