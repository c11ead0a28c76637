//! What support staff do: find the cause, mend it once, try everything again, stop a shop and let it go on.

use std::collections::BTreeSet;

use lockstep::sandbox::shopify::draft::Buyer;

use crate::support::daemon::{Start, run};
use crate::support::world::{Database, World, rows, until};

/// Enough for a batch of several seconds.
const ORDERS: usize = 12;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_cause_over_many_orders_is_mended_once_and_retried_although_the_daemon_is_killed() {
    let world = World::new(Database::Sqlite).await;
    let shipped = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/mappings/order.in.toml"))
        .expect("the shipped mapping can be read");
    let broken = shipped.replace(
        "client_order_ref = \"order.name\"",
        "client_order_ref = { value = \"order.po_number\", missing = \"fail\" }",
    );
    let mapping = world.folder.path().join("mappings/order.in.toml");
    std::fs::write(&mapping, broken).expect("the mapping can be written");
    let mut daemon = world.start(&Start::default());
    let variants = world.product();
    let mut names = Vec::new();
    for _ in 0..ORDERS {
        names.push(world.order(Buyer::Nobody, variants[0]).1);
    }
    until(
        "every order needs a person",
        || (world.problems().len() == ORDERS).then_some(()),
        || daemon.log(),
    )
    .await;

    let why = world.json(&["why", &names[0]]);
    assert_eq!(why[0]["outlook"], "problem", "{why}");
    let clusters = rows(&world.json(&["jobs", "clusters", "--code", "missing_value"]));
    assert_eq!(clusters.len(), 1, "one cause: {clusters:?}");
    assert_eq!(clusters[0]["problems"], ORDERS);
    let cause = clusters[0]["cluster"].as_str().expect("a cause").to_owned();
    let page = clusters[0]["example_sides"]["shopify"]["url"].as_str();
    assert!(
        page.is_some_and(|page| page.contains("/admin/orders/")),
        "{clusters:?}"
    );

    std::fs::write(&mapping, shipped).expect("the mapping can be written");
    until(
        "the daemon takes the corrected mapping",
        || daemon.log().contains("took changed mappings").then_some(()),
        || daemon.log(),
    )
    .await;
    let retry = [
        "jobs",
        "retry",
        "--cluster",
        &cause,
        "--per-second",
        "1",
        "--reason",
        "the mapping is mended",
    ];
    for _double_click in 0..2 {
        let (code, out, err) = run(&world.config, &retry);
        assert_eq!(code, 0, "{out}{err}");
    }
    let batch = || rows(&world.json(&["jobs", "batches"]))[0].clone();
    until(
        "the batch is in its middle",
        || (batch()["done"].as_u64() >= Some(3)).then_some(()),
        || format!("{} {}", batch(), daemon.log()),
    )
    .await;
    daemon.kill();
    let middle = batch();
    assert_eq!(middle["state"], "running", "it is killed in the middle: {middle}");
    let daemon = world.start(&Start::default());
    until(
        "the batch goes on and ends",
        || (batch()["state"] == "done").then_some(()),
        || format!("{} {}", batch(), daemon.log()),
    )
    .await;
    for name in &names {
        world.booked(name, "sale", &daemon).await;
    }
    world.idle(&daemon).await;
    assert_eq!(world.problems(), Vec::<serde_json::Value>::new());
    assert_eq!(world.erp.ledger().orders().len(), ORDERS, "each once");
    assert_eq!(
        rows(&world.json(&["jobs", "batches"])).len(),
        1,
        "two clicks are one batch"
    );
    let retries = rows(&world.json(&["audit", "--action", "retry", "--limit", "1000"]));
    let subjects: BTreeSet<String> = retries.iter().map(|row| row["subject"].to_string()).collect();
    assert_eq!(
        (retries.len(), subjects.len()),
        (ORDERS, ORDERS),
        "each retried once"
    );
    let why = world.json(&["why", &names[0]]);
    assert_eq!(why[0]["outlook"], "booked", "{why}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_shop_takes_orders_in_and_books_them_afterwards() {
    let world = World::new(Database::Sqlite).await;
    let daemon = world.start(&Start::default());
    let variants = world.product();
    world.idle(&daemon).await;
    let (code, out, err) = run(&world.config, &["pause", "--reason", "stocktaking"]);
    assert_eq!(code, 0, "{out}{err}");
    let (id, name) = world.order(Buyer::Nobody, variants[0]);
    until(
        "the order waits",
        || (rows(&world.json(&["jobs", "list", "--id", &id.to_string()])).len() == 1).then_some(()),
        || daemon.log(),
    )
    .await;
    // The queue has looked at it and passed it by.
    let (code, ..) = run(&world.config, &["jobs", "ahead", "999999"]);
    assert_eq!(code, 1, "there is no such job");
    let why = world.json(&["why", &id.to_string()]);
    assert_eq!(why[0]["outlook"], "paused", "{why}");
    let sentence = why[0]["sentence"].as_str().unwrap_or_default();
    assert!(sentence.contains("stocktaking"), "{sentence}");
    let status = world.json(&["status"]);
    assert!(status["warnings"].to_string().contains("stocktaking"), "{status}");
    assert!(world.erp.ledger().orders().is_empty());
    let (code, out, err) = run(&world.config, &["resume"]);
    assert_eq!(code, 0, "{out}{err}");
    world.booked(&name, "sale", &daemon).await;
}
