//! Imports: what they list, the jobs that they make, and what goes before those.

use std::time::Duration;

use super::fixture::Fixture;
use super::given::{START, claim, claim_one, end, key, lane, new_job, shop};
use crate::domain::{Actor, Direction, JobKey, Object, Priority, ShopifyId, Timestamp, Via};
use crate::store::{
    AuditFilter, ImportAct, ImportCounts, ImportEffect, ImportFed, ImportPage, ImportRow, ImportState,
    ImportsBegun, JobFilter, NewImport, SharedStore, Verdict,
};

fn actor() -> Actor {
    Actor::new("ada", Via::Cli)
}

fn wanted(object: Object) -> NewImport {
    NewImport {
        shop: shop(),
        object,
        since: Some(START.minus(Duration::from_hours(24))),
        until: None,
        warning: (object == Object::Order).then(|| "old ones are hidden".to_owned()),
    }
}

async fn begun(store: &SharedStore, objects: &[Object]) -> Vec<i64> {
    let imports = objects.iter().map(|object| wanted(*object)).collect();
    match store.begin_imports(imports, actor(), START).await.unwrap() {
        ImportsBegun::Begun(ids) => ids,
        ImportsBegun::UnderWay(row) => panic!("{row:?} runs"),
    }
}

async fn row(store: &SharedStore, import: i64) -> ImportRow {
    let rows = store.imports(100).await.unwrap();
    rows.into_iter().find(|row| row.id == import).unwrap()
}

fn page(import: i64, after: Option<u64>, ids: &[u64], is_last: bool) -> ImportPage {
    ImportPage {
        import,
        after: after.map(ShopifyId),
        records: ids.iter().copied().map(ShopifyId).collect(),
        cursor: ids.last().copied().or(after).map(ShopifyId),
        is_last,
    }
}

async fn feed(store: &SharedStore, import: i64, most: u32) -> u64 {
    store
        .feed_import(import, lane(Object::Customer), most, START)
        .await
        .unwrap()
        .open
}

async fn turn(store: &SharedStore, import: i64, runs: bool) -> bool {
    let act = ImportAct {
        import,
        actor: actor(),
        at: START,
        runs,
    };
    store.act_on_import(act).await.unwrap()
}

/// What is told of an import's end. That its text is none is the reader's concern.
fn body() -> Vec<String> {
    vec!["{}".to_owned()]
}

/// Ends the jobs that are ready, and says whose they were.
async fn done(store: &SharedStore, verdict: Verdict, now: Timestamp) -> Vec<String> {
    let jobs = claim(store, Object::Customer, 10, now).await;
    let mut ids = Vec::new();
    for job in jobs {
        ids.push(job.key.source_id.clone());
        store.finish(end(&job, now, verdict.clone())).await.unwrap();
    }
    ids
}

pub(super) async fn one_import_of_an_object_at_a_time_and_its_end_counts_its_jobs(fixture: Fixture) {
    let store = &fixture.store;
    let ids = begun(store, &[Object::Product, Object::Customer]).await;
    let import = ids[1];
    // Of a wish for two none is begun where one runs, and it is told which.
    let both = vec![wanted(Object::Order), wanted(Object::Customer)];
    match store.begin_imports(both, actor(), START).await.unwrap() {
        ImportsBegun::UnderWay(running) => {
            assert_eq!((running.id, running.object), (import, Object::Customer));
            assert_eq!(
                (running.actor.as_str(), running.state),
                ("ada", ImportState::Running)
            );
        }
        ImportsBegun::Begun(ids) => panic!("{ids:?}"),
    }
    let all = store.imports(100).await.unwrap();
    assert_eq!(all.len(), 2);
    assert_eq!(store.imports_of(vec![import, 4711]).await.unwrap(), all[..1]);

    assert!(
        !store.end_import(import, Vec::new(), START).await.unwrap(),
        "nothing is listed yet"
    );
    assert!(
        store
            .save_import_page(page(import, None, &[1, 2, 3], true))
            .await
            .unwrap()
    );
    assert!(
        !store.end_import(import, Vec::new(), START).await.unwrap(),
        "three have no job"
    );
    assert_eq!(feed(store, import, 5).await, 3);
    assert!(
        !store.end_import(import, body(), START).await.unwrap(),
        "three jobs are open"
    );
    assert_eq!(row(store, import).await.counts.open, 3);
    let jobs = claim(store, Object::Customer, 10, START).await;
    assert!(jobs.iter().all(|job| job.import == Some(import)));
    for (job, verdict) in jobs.iter().zip([
        Verdict::Completed,
        Verdict::Obsolete {
            reason: "deleted".to_owned(),
        },
        Verdict::Problem(super::given::problem("broken")),
    ]) {
        store.finish(end(job, START, verdict)).await.unwrap();
    }
    assert!(store.end_import(import, body(), START).await.unwrap());
    assert!(!store.end_import(import, body(), START).await.unwrap(), "once");
    let told = store.outbox(10).await.unwrap();
    assert_eq!(told.len(), 1, "only of the end that was one: {told:?}");
    let over = row(store, import).await;
    let expected = ImportCounts {
        unchanged: 1,
        left_out: 1,
        problems: 1,
        ..ImportCounts::default()
    };
    assert_eq!(
        (over.state, over.counts, over.ended_at),
        (ImportState::Done, expected, Some(START))
    );
    // Another one may begin now. What people did is written down.
    begun(store, &[Object::Customer]).await;
    let lines = store.audit(AuditFilter::default()).await.unwrap();
    let imports = lines.iter().filter(|line| line.action == "import").count();
    assert_eq!(imports, 3, "{lines:?}");
}

pub(super) async fn what_an_import_did_is_kept_until_its_end_counts_it(fixture: Fixture) {
    let store = &fixture.store;
    let import = begun(store, &[Object::Customer]).await[0];
    let listed = page(import, None, &[1, 2], true);
    assert!(store.save_import_page(listed).await.unwrap());
    assert_eq!(feed(store, import, 1).await, 1);
    assert_eq!(done(store, Verdict::Completed, START).await.len(), 1);
    // However long the rest takes.
    let later = START.plus(Duration::from_hours(24 * 30));
    let kept = async || {
        store.prune(later, 100).await.unwrap();
        store.jobs(JobFilter::default()).await.unwrap().len()
    };
    assert_eq!(kept().await, 1);
    assert_eq!(feed(store, import, 1).await, 1);
    assert_eq!(done(store, Verdict::Completed, later).await.len(), 1);
    assert!(store.end_import(import, body(), later).await.unwrap());
    assert_eq!(row(store, import).await.counts.unchanged, 2);
    assert_eq!(kept().await, 1, "the first one is counted and goes");
    assert_eq!(row(store, import).await.counts.unchanged, 2);
}

pub(super) async fn what_was_listed_becomes_few_jobs_at_a_time_once_each(fixture: Fixture) {
    let store = &fixture.store;
    let import = begun(store, &[Object::Customer]).await[0];
    let first = page(import, None, &[1, 2, 3], false);
    assert!(store.save_import_page(first.clone()).await.unwrap());
    // Whoever lists the same page at the same time is too late; and there is no next page before the last one has jobs.
    assert!(!store.save_import_page(first.clone()).await.unwrap());
    assert!(
        !store
            .save_import_page(page(import, Some(3), &[4], true))
            .await
            .unwrap()
    );
    assert_eq!(feed(store, import, 2).await, 2);
    assert_eq!(feed(store, import, 2).await, 2, "no more than two are open");
    // A kill changes nothing of it.
    let fixture = fixture.crash().await;
    let store = &fixture.store;
    let stands = row(store, import).await;
    assert_eq!(
        (stands.listed, stands.pending, stands.cursor),
        (3, 1, Some(ShopifyId(3)))
    );
    assert_eq!(done(store, Verdict::Completed, START).await, ["1", "2"]);
    // Stopped, it makes no more jobs and takes no page; then it goes on where it stood.
    assert!(turn(store, import, false).await);
    assert!(!turn(store, import, false).await, "it stands like that");
    assert_eq!(feed(store, import, 2).await, 0);
    assert!(done(store, Verdict::Completed, START).await.is_empty());
    assert!(turn(store, import, true).await);
    assert_eq!(feed(store, import, 2).await, 1);
    // Nor does it count again where whoever listed it comes back once all of it has jobs.
    assert!(!store.save_import_page(first).await.unwrap());
    assert_eq!(row(store, import).await.listed, 3);
    assert!(
        store
            .save_import_page(page(import, Some(3), &[4], true))
            .await
            .unwrap()
    );
    assert_eq!(feed(store, import, 2).await, 2);
    assert_eq!(done(store, Verdict::Completed, START).await, ["3", "4"]);
    assert!(store.end_import(import, Vec::new(), START).await.unwrap());
    assert_eq!(row(store, import).await.counts.unchanged, 4);
    // One that is stopped makes room for another one of the same object.
    let stopped = begun(store, &[Object::Customer]).await[0];
    assert!(turn(store, stopped, false).await);
    begun(store, &[Object::Customer]).await;
    assert_eq!(row(store, stopped).await.state, ImportState::Dropped);
    assert!(!turn(store, stopped, true).await, "it is over");
}

pub(super) async fn jobs_that_rest_take_no_place_of_others_in_an_import(fixture: Fixture) {
    let store = &fixture.store;
    let import = begun(store, &[Object::Customer]).await[0];
    let many: Vec<u64> = (1..=600).collect();
    assert!(
        store
            .save_import_page(page(import, None, &many, true))
            .await
            .unwrap()
    );
    let fed = |most| store.feed_import(import, lane(Object::Customer), most, START);
    let count = |fed: ImportFed| (fed.made, fed.open);
    assert_eq!(count(fed(2).await.unwrap()), (2, 2));
    assert_eq!(count(fed(2).await.unwrap()), (0, 2), "both are due");
    // Nobody answers, and they are tried again in an hour.
    let later = Verdict::Retry {
        at: START.plus(Duration::from_hours(1)),
        counts: true,
        system_down: None,
    };
    assert_eq!(done(store, later, START).await, ["1", "2"]);
    assert_eq!(count(fed(2).await.unwrap()), (2, 4));
    // While one runs there is no room for it.
    let running = claim_one(store, Object::Customer, START).await;
    assert_eq!(count(fed(2).await.unwrap()), (0, 4));
    store
        .finish(end(&running, START, Verdict::Completed))
        .await
        .unwrap();
    assert_eq!(count(fed(2).await.unwrap()), (1, 4));
    // All that are open have a bound of their own, whatever rests.
    assert_eq!(count(fed(10_000).await.unwrap()), (496, 500));
    assert_eq!(count(fed(10_000).await.unwrap()), (0, 500));
}

pub(super) async fn an_import_keeps_what_it_does_not_see_and_why_it_waits(fixture: Fixture) {
    let store = &fixture.store;
    let import = begun(store, &[Object::Order]).await[0];
    store
        .note_import_error(import, Some("it is switched off"))
        .await
        .unwrap();
    let said = |row: ImportRow| (row.error, row.warning);
    let warning = Some("old ones are hidden".to_owned());
    let waits = Some("it is switched off".to_owned());
    assert_eq!(said(row(store, import).await), (waits, warning.clone()));
    store.note_import_error(import, None).await.unwrap();
    assert_eq!(said(row(store, import).await), (None, warning.clone()));
    // Also when it has ended.
    assert!(
        store
            .save_import_page(page(import, None, &[], true))
            .await
            .unwrap()
    );
    assert!(store.end_import(import, Vec::new(), START).await.unwrap());
    assert_eq!(said(row(store, import).await), (None, warning));
}

pub(super) async fn jobs_of_imports_come_after_everything_else(fixture: Fixture) {
    let store = &fixture.store;
    let import = begun(store, &[Object::Customer]).await[0];
    assert!(
        store
            .save_import_page(page(import, None, &[1, 2, 3], true))
            .await
            .unwrap()
    );
    assert_eq!(feed(store, import, 3).await, 3);
    let later = START.plus(Duration::from_mins(1));
    let lanes = store.ready_lanes(later).await.unwrap();
    assert_eq!(lanes.len(), 1);
    assert!(lanes[0].has_only_imports);
    let at = |id: &str, priority: Priority| {
        let mut job = new_job(&key(Object::Customer, id), later);
        job.priority = priority;
        job
    };
    // Younger, and found by a run: it goes first all the same, and alone, so that other lanes are looked at before imports.
    store
        .enqueue(at("background", Priority::BACKGROUND))
        .await
        .unwrap();
    // A live change of a record that an import wants makes its job live.
    store.enqueue(at("3", Priority::LIVE)).await.unwrap();
    let ready = store.ready_lanes(later).await.unwrap();
    assert!(!ready[0].has_only_imports);
    assert_eq!(ready[0].oldest_due, START);
    let claimed = |jobs: Vec<crate::store::ClaimedJob>| {
        let pairs = jobs.into_iter().map(|job| (job.key.source_id, job.import));
        pairs.collect::<Vec<_>>()
    };
    let first = claimed(claim(store, Object::Customer, 10, later).await);
    assert_eq!(
        first,
        [("3".to_owned(), Some(import)), ("background".to_owned(), None)],
        "the live one still belongs to the import"
    );
    let then = claimed(claim(store, Object::Customer, 10, later).await);
    assert_eq!(
        then,
        [("1".to_owned(), Some(import)), ("2".to_owned(), Some(import))]
    );
}

pub(super) async fn what_an_import_made_stays_made(fixture: Fixture) {
    let store = &fixture.store;
    let import = begun(store, &[Object::Customer]).await[0];
    assert!(
        store
            .save_import_page(page(import, None, &[1], true))
            .await
            .unwrap()
    );
    feed(store, import, 1).await;
    let job = claim_one(store, Object::Customer, START).await;
    store
        .note_import_effect(job.id, job.fence, ImportEffect::Created)
        .await
        .unwrap();
    // It dies, and its successor finds everything done.
    let again = Verdict::Retry {
        at: START,
        counts: true,
        system_down: None,
    };
    store.finish(end(&job, START, again)).await.unwrap();
    let stale = job.fence;
    let job = claim_one(store, Object::Customer, START).await;
    store
        .note_import_effect(job.id, job.fence, ImportEffect::Unchanged)
        .await
        .unwrap();
    store
        .note_import_effect(job.id, stale, ImportEffect::Updated)
        .await
        .unwrap();
    store.finish(end(&job, START, Verdict::Completed)).await.unwrap();
    assert_eq!(row(store, import).await.counts.created, 1);
    assert!(store.end_import(import, Vec::new(), START).await.unwrap());
    // Another import that asks for a job that is still open counts for itself.
    let first = begun(store, &[Object::Customer]).await[0];
    assert!(
        store
            .save_import_page(page(first, None, &[2], true))
            .await
            .unwrap()
    );
    feed(store, first, 1).await;
    let job = claim_one(store, Object::Customer, START).await;
    store
        .note_import_effect(job.id, job.fence, ImportEffect::Created)
        .await
        .unwrap();
    let broken = Verdict::Problem(super::given::problem("broken"));
    store.finish(end(&job, START, broken)).await.unwrap();
    assert!(store.end_import(first, Vec::new(), START).await.unwrap());
    let second = begun(store, &[Object::Customer]).await[0];
    assert!(
        store
            .save_import_page(page(second, None, &[2], true))
            .await
            .unwrap()
    );
    feed(store, second, 1).await;
    let job = claim_one(store, Object::Customer, START).await;
    assert_eq!(job.import, Some(second));
    store
        .note_import_effect(job.id, job.fence, ImportEffect::Updated)
        .await
        .unwrap();
    store.finish(end(&job, START, Verdict::Completed)).await.unwrap();
    let counts = row(store, second).await.counts;
    assert_eq!((counts.created, counts.updated), (0, 1), "{counts:?}");
    // Of a job that no import asked for nothing is noted.
    let other = JobKey {
        shop: shop(),
        object: Object::Customer,
        direction: Direction::In,
        source_id: "9".to_owned(),
    };
    store.enqueue(new_job(&other, START)).await.unwrap();
    let job = claim_one(store, Object::Customer, START).await;
    assert_eq!(job.import, None);
    store
        .note_import_effect(job.id, job.fence, ImportEffect::Created)
        .await
        .unwrap();
    assert_eq!(row(store, import).await.counts.created, 1);
}
