//! Changes that no webhook told of, and a daemon that dies while it looks for them.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use lockstep::sandbox::shopify::faults::{ApiFault, DeliveryFault};
use serde_json::Value;
use sqlx::Connection as _;

use crate::support::daemon::{Start, run};
use crate::support::world::{Database, World, rows, until};

/// More than a page holds.
const CUSTOMERS: usize = 260;

/// Opens a gap, as the look at the shop's webhooks does when one is missing.
async fn open_gap(world: &World) {
    let path = world.folder.path().join("lockstep.db");
    let mut store = sqlx::SqliteConnection::connect(&format!("sqlite://{}", path.display()))
        .await
        .expect("the store can be opened");
    sqlx::query(
        "INSERT INTO gaps (shop, object, since, stood_at, reason, opened_at, next_at)
         SELECT 'main', 'customer', now - 3600000, now, 'a test', now, now
         FROM (SELECT unixepoch() * 1000 AS now)",
    )
    .execute(&mut store)
    .await
    .expect("the row can be written");
    store.close().await.expect("it can be closed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_that_is_killed_while_it_looks_for_missed_changes_finds_them_all_later() {
    let world = World::new(Database::Sqlite).await;
    let clock = world.folder.path().join("clock");
    std::fs::write(&clock, "0").expect("the clock can be set");
    let start = Start {
        clock: Some(clock.clone()),
        ..Start::default()
    };
    let mut daemon = world.start(&start);
    world.shop.inject_delivery(DeliveryFault::Drop, None, u32::MAX);
    let ids: BTreeSet<String> = (0..CUSTOMERS)
        .map(|n| world.customer(&format!("customer{n}@example.com")).to_string())
        .collect();
    // Each page takes its time: the daemon dies between the first and the second.
    let slow = ApiFault::Slow(Duration::from_secs(4));
    world.shop.inject(slow, Some("LockstepChangedCustomers"), 4);
    open_gap(&world).await;
    let runs = || rows(&world.json(&["status"])["runs"]);
    until(
        "the first page was read",
        || runs().iter().any(|run| run["records"] == 250).then_some(()),
        || daemon.log(),
    )
    .await;
    daemon.kill();
    let cut = runs();
    assert_eq!(
        (cut.len(), &cut[0]["outcome"]),
        (1, &Value::Null),
        "in the middle: {cut:?}"
    );
    world.shop.clear_faults();
    world.shop.inject_delivery(DeliveryFault::Drop, None, u32::MAX);

    let daemon = world.start(&start);
    let done = || -> BTreeSet<String> {
        let arguments = [
            "jobs",
            "list",
            "--object",
            "customer",
            "--state",
            "completed",
            "--limit",
            "1000",
        ];
        let jobs = rows(&world.json(&arguments));
        jobs.iter()
            .map(|job| job["key"]["source_id"].as_str().unwrap_or_default().to_owned())
            .collect()
    };
    until(
        "all customers are done",
        || (done() == ids).then_some(()),
        || daemon.log(),
    )
    .await;
    // Of orders there may have been a scheduled look meanwhile.
    let mut seen = runs();
    seen.retain(|run| run["object"] == "customer");
    let outcomes: Vec<_> = seen.iter().map(|run| run["outcome"].clone()).collect();
    assert_eq!(outcomes, ["done", "cut"], "{seen:?}");
    assert_eq!(
        rows(&world.json(&["status"])["gaps"]).len(),
        1,
        "the index may lag behind"
    );

    std::fs::write(&clock, "180000").expect("the clock can be set");
    until(
        "the gap closes",
        || rows(&world.json(&["status"])["gaps"]).is_empty().then_some(()),
        || daemon.log(),
    )
    .await;
    assert!(world.problems().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_run_of_a_command_that_is_told_to_stop_is_over_at_once() {
    let world = World::new(Database::Sqlite).await;
    // No answer comes before it is told to.
    world
        .shop
        .inject(ApiFault::Slow(Duration::from_secs(30)), None, u32::MAX);
    let mut command = Command::new(env!("CARGO_BIN_EXE_lockstep"))
        .args(["reconcile", "--object", "customer"])
        .env("LOCKSTEP_CONFIG", &world.config)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary can be run");
    let runs = || rows(&world.json(&["status"])["runs"]);
    until("the run is under way", || runs().pop(), String::new).await;
    let told = Command::new("kill")
        .args(["-TERM", &command.id().to_string()])
        .status()
        .expect("kill can be run");
    assert!(told.success());
    let mut said = String::new();
    let mut errors = command.stderr.take().expect("its errors are ours");
    // It ends with the process.
    errors.read_to_string(&mut said).expect("it is text");
    let ended = command.wait().expect("it ends");
    assert_eq!(ended.code(), Some(1), "{said}");
    assert!(said.contains("broken off"), "{said}");
    let run = runs().pop().expect("its run is listed");
    assert_eq!(run["outcome"], "stopped", "{run}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_one_kind_of_record_cannot_be_compared_the_others_reports_are_printed() {
    let world = World::new(Database::Sqlite).await;
    let compare = || run(&world.config, &["reconcile", "--dry-run"]);
    let (code, reports, errors) = compare();
    assert_eq!(code, 0, "{reports}{errors}");
    let titles = |reports: &str| reports.lines().filter(|line| line.starts_with("# ")).count();
    let all = titles(&reports);
    assert!(all >= 3, "{reports}");
    for operation in ["LockstepListCustomers", "LockstepCountCustomers"] {
        world.shop.inject(ApiFault::Forbidden, Some(operation), u32::MAX);
    }
    let (code, reports, errors) = compare();
    assert_eq!(code, 1, "{reports}{errors}");
    assert_eq!(titles(&reports), all - 1, "{reports}");
    assert!(
        errors.contains("both sides could not be compared") && errors.contains("403"),
        "{errors}"
    );
    // Those that it has are JSON, too.
    let (code, reports, _) = run(&world.config, &["reconcile", "--dry-run", "--json"]);
    let reports: Value = serde_json::from_str(&reports).expect("JSON");
    assert_eq!((code, rows(&reports).len()), (1, all - 1), "{reports}");
}
