//! Everything that a shop has is imported, and the daemon is killed while it does.

use std::time::{Duration, Instant};

use lockstep::failpoint::FailPoint;
use lockstep::sandbox::shopify::draft::Buyer;
use serde_json::Value;

use crate::crashes::{Action, struck};
use crate::support::daemon::{Start, run};
use crate::support::world::{Database, World, until};

/// A hundredth of what it is meant for.
const ORDERS: usize = 100;

/// After how many booked orders it is killed.
const KILLED_AT: [usize; 3] = [5, 30, 70];

fn booked(world: &World) -> usize {
    world.erp.ledger().count("sale.order")
}

fn status(world: &World) -> Value {
    world.json(&["import", "--status"])[0].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_that_is_killed_again_and_again_makes_every_order_once() {
    let world = World::new(Database::Sqlite).await;
    // Neither a webhook nor a scheduled look tells of any of this, however slow the machine is.
    world.shop.hold_deliveries();
    let text = std::fs::read_to_string(&world.config).expect("it was just written");
    let quiet = text.replace("full = \"off\"", "full = \"off\", delta = \"off\"");
    assert_ne!(quiet, text);
    std::fs::write(&world.config, quiet).expect("it can be written");
    let variants: Vec<u64> = ["Cup", "Hat"]
        .iter()
        .map(|title| world.product_called(title)[0])
        .collect();
    let buyers: Vec<u64> = (0..10)
        .map(|n| world.customer(&format!("ada{n}@example.com")))
        .collect();
    let names: Vec<String> = (0..ORDERS)
        .map(|n| world.order(Buyer::Customer(buyers[n % 10]), variants[n % 2]).1)
        .collect();

    // Nobody is there who could do it.
    let orders = ["import", "orders", "--since", "2020-01-01", "--no-wait"];
    let (code, _, err) = run(&world.config, &orders);
    assert!(code == 1 && err.contains("lockstep serve"), "{code} {err}");

    let mut daemon = world.start(&Start::default());
    let begun = world.json(&orders);
    assert_eq!(
        (&begun[0]["state"], &begun[0]["object"]),
        (&"running".into(), &"order".into())
    );
    let (code, _, err) = run(&world.config, &orders);
    assert!(
        code == 1 && err.contains("import 1 of the orders of main runs already"),
        "{code} {err}"
    );
    for count in KILLED_AT {
        until(
            "some orders are booked",
            || (booked(&world) >= count).then_some(()),
            || daemon.log(),
        )
        .await;
        daemon.kill();
        daemon = world.start(&Start::default());
    }
    // An order that was killed where nobody can tell what its last call did waits until that can take effect no more: 130 seconds.
    let deadline = Instant::now() + Duration::from_secs(240);
    while status(&world)["state"] != "done" {
        assert!(Instant::now() < deadline, "{}\n{}", status(&world), daemon.log());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let ledger = world.erp.ledger();
    for name in &names {
        assert_eq!(ledger.orders_by_reference(name).len(), 1, "{name}");
    }
    assert_eq!(booked(&world), ORDERS);
    let over = status(&world);
    assert_eq!(over["listed"], ORDERS);
    let count = |name: &str| over["counts"][name].as_u64().unwrap_or_default();
    // Also what was cut in the middle, and is finished by another attempt, which finds a part of it there.
    assert_eq!(
        (count("created"), count("updated"), count("unchanged")),
        (ORDERS as u64, 0, 0),
        "{over}"
    );
    assert_eq!(
        (count("problems"), count("open"), count("left_out")),
        (0, 0, 0),
        "{over}"
    );
}

/// Customers of an import that is killed at each of its own steps.
const CUSTOMERS: usize = 8;

async fn killed_at_each_step(database: Database) {
    let world = World::new(database).await;
    world.shop.hold_deliveries();
    let text = std::fs::read_to_string(&world.config).expect("it was just written");
    let quiet = text.replace("full = \"off\"", "full = \"off\", delta = \"off\"");
    assert_ne!(quiet, text);
    std::fs::write(&world.config, quiet).expect("it can be written");
    let steps = [
        FailPoint::ImportListed,
        FailPoint::ImportPageSaved,
        FailPoint::ImportFed,
        FailPoint::ImportEnded,
    ];
    for (round, point) in steps.into_iter().enumerate() {
        let mails: Vec<String> = (0..CUSTOMERS)
            .map(|n| format!("ada{n}-{round}@example.com"))
            .collect();
        for mail in &mails {
            world.customer(mail);
        }
        let mut armed = world.start(&Start {
            fail: Some(format!("{point}=abort")),
            ..Start::default()
        });
        world.json(&["import", "customers", "--no-wait"]);
        struck(&mut armed, point, Action::Abort, &point.to_string()).await;
        let mut daemon = world.start(&Start::default());
        until(
            &format!("{point}: the import goes on to its end"),
            || (status(&world)["state"] == "done").then_some(()),
            || daemon.log(),
        )
        .await;
        let over = status(&world);
        let counts = |name: &str| over["counts"][name].as_u64().unwrap_or_default();
        let all = (CUSTOMERS * (round + 1)) as u64;
        assert_eq!(over["listed"], all, "{point}: {over}");
        assert_eq!(
            (counts("created"), counts("unchanged"), counts("problems")),
            (CUSTOMERS as u64, all - CUSTOMERS as u64, 0),
            "{point}: {over}"
        );
        let partners = world.erp.ledger().partners();
        for mail in &mails {
            let theirs = partners.iter().filter(|one| one.email.as_ref() == Some(mail));
            assert_eq!(theirs.count(), 1, "{point}: {mail}");
        }
        assert!(daemon.terminate().success(), "{}", daemon.log());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_each_step_an_import_on_sqlite_goes_on_where_it_stood() {
    killed_at_each_step(Database::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_each_step_an_import_on_postgres_goes_on_where_it_stood() {
    killed_at_each_step(Database::Postgres).await;
}
