//! Imports, carried out by a daemon between both stand-ins.

use super::between::Between;
use super::*;
use crate::domain::{Actor, Clock as _, Via};
use crate::sandbox::shopify::faults::ApiFault;
use crate::store::{Act, Action, ImportCounts, ImportRow, ImportState, ImportsBegun, NewImport};

async fn begin(between: &Between, object: Object, since: Option<Timestamp>) -> i64 {
    let wanted = NewImport {
        shop: between.name.clone(),
        object,
        since,
        until: None,
        warning: None,
    };
    let actor = Actor::new("ada", Via::Cli);
    let store = &between.daemon.store;
    match store
        .begin_imports(vec![wanted], actor, between.clock.now())
        .await
        .unwrap()
    {
        ImportsBegun::Begun(ids) => ids[0],
        ImportsBegun::UnderWay(row) => panic!("{row:?}"),
    }
}

async fn row(between: &Between, import: i64) -> ImportRow {
    let rows = between.daemon.store.imports(10).await.unwrap();
    rows.into_iter().find(|row| row.id == import).unwrap()
}

async fn is_done(between: &Between, import: i64) -> ImportRow {
    until("the import is done", async || {
        row(between, import).await.state == ImportState::Done
    })
    .await;
    row(between, import).await
}

fn partners(between: &Between, mail: &str) -> usize {
    let all = between.erp.ledger().partners();
    all.iter()
        .filter(|one| one.email.as_deref() == Some(mail))
        .count()
}

#[tokio::test]
async fn everything_that_the_shop_has_is_carried_over_once_and_counted() {
    let between = Between::new("main").await;
    let mails: Vec<String> = (0..12).map(|n| format!("ada{n}@example.com")).collect();
    for mail in &mails {
        between.new_customer(mail);
    }
    let import = begin(&between, Object::Customer, None).await;
    let done = is_done(&between, import).await;
    let counts = |created, unchanged| ImportCounts {
        created,
        unchanged,
        ..ImportCounts::default()
    };
    assert_eq!((done.listed, done.counts), (12, counts(12, 0)));
    assert!(mails.iter().all(|mail| partners(&between, mail) == 1));
    // Again it finds everything as it should be.
    let import = begin(&between, Object::Customer, None).await;
    assert_eq!(is_done(&between, import).await.counts, counts(0, 12));
    assert!(mails.iter().all(|mail| partners(&between, mail) == 1));
    // What was made before is left out.
    let later = between.clock.now().plus(Duration::from_hours(1));
    let import = begin(&between, Object::Customer, Some(later)).await;
    assert_eq!(is_done(&between, import).await.listed, 0);
    between.daemon.stop().await;
}

/// Waits until the import says that it waits, in these words.
async fn waits(between: &Between, import: i64, words: &str) {
    until(&format!("it says `{words}`"), async || {
        let error = row(between, import).await.error;
        error.is_some_and(|error| error.contains(words))
    })
    .await;
}

#[tokio::test]
async fn an_import_waits_and_says_so_while_its_object_is_off_or_its_shop_is_paused() {
    let between = Between::new("main").await;
    let (on, off) = ("customers = { in = \"on\" }", "customers = { in = \"off\" }");
    between.configure(on, off);
    between.daemon.reload().await.unwrap();
    between.new_customer("ada@example.com");
    let import = begin(&between, Object::Customer, None).await;
    waits(&between, import, "customers are switched off").await;
    let act = async |action: Action| {
        let act = Act {
            actor: Actor::new("ada", Via::Cli),
            reason: None,
            at: between.clock.now(),
            action,
        };
        between.daemon.store.act(act).await.unwrap();
    };
    let shop = between.name.clone();
    act(Action::Pause { shop: shop.clone() }).await;
    between.configure(off, on);
    between.daemon.reload().await.unwrap();
    waits(&between, import, "main is paused").await;
    let stands = row(&between, import).await;
    assert_eq!((stands.state, stands.listed), (ImportState::Running, 0));
    assert_eq!(partners(&between, "ada@example.com"), 0);
    act(Action::Resume { shop }).await;
    let done = is_done(&between, import).await;
    // What happened while customers were off is looked for as well, and may be quicker.
    assert_eq!((done.listed, done.counts.over(), done.error), (1, 1, None));
    assert_eq!(done.counts.problems, 0);
    assert_eq!(partners(&between, "ada@example.com"), 1);
    between.daemon.stop().await;
}

#[tokio::test]
async fn a_shop_that_fails_is_asked_again_where_it_stood() {
    let between = Between::new("main").await;
    between.new_customer("ada@example.com");
    between
        .shop
        .inject(ApiFault::InternalError, Some("LockstepListCustomers"), 1);
    let import = begin(&between, Object::Customer, None).await;
    until("the failure is told", async || {
        row(&between, import).await.error.is_some()
    })
    .await;
    let stands = row(&between, import).await;
    assert_eq!((stands.state, stands.listed), (ImportState::Running, 0));
    assert!(stands.error.unwrap().contains("Shopify failed inside"));
    between.clock.advance(Duration::from_mins(1));
    let done = is_done(&between, import).await;
    assert_eq!((done.counts.created, done.error), (1, None));
    between.daemon.stop().await;
}
