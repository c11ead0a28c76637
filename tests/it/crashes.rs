//! Killed at every step, several daemons, orderly stops.

use std::time::Instant;

use lockstep::failpoint::FailPoint;
use lockstep::sandbox::shopify::draft::Buyer;
use serde_json::json;

use crate::support::daemon::{Daemon, Start};
use crate::support::world::{Database, World, everyday_total, free_port, fresh_postgres, until};

/// Kills the daemon (as with kill -9) the first time it reaches the point, starts it again, and looks at the ERP.
async fn killed_at(point: FailPoint, database: Database) {
    let world = World::new(database).await;
    // A partner from before, so that the customer is adopted and every step is passed.
    let partner = json!([{ "name": "Ada from before", "email": "ada@example.com" }]);
    world
        .erp
        .as_admin("res.partner", "create", partner, json!({}))
        .expect("the ERP takes it");
    let mut daemon = world.start(&Start {
        fail: Some(format!("{point}=abort")),
        ..Start::default()
    });
    let variants = world.product();
    let customer = world.customer("ada@example.com");
    let (_, name) = world.order(Buyer::Customer(customer), variants[0]);
    until(
        &format!("the daemon dies at {point}"),
        || daemon.has_ended().then_some(()),
        String::new,
    )
    .await;

    let restarted = Instant::now();
    let daemon = world.start(&Start::default());
    let booked = world.booked(&name, "sale", &daemon).await;
    world.idle(&daemon).await;
    eprintln!(
        "{point} on {database:?}: done {} ms after the restart",
        restarted.elapsed().as_millis()
    );

    assert_eq!(booked.amount_total, everyday_total(), "{point}");
    let ledger = world.erp.ledger();
    assert_eq!(ledger.orders().len(), 1, "{point}: orders");
    let placed = world
        .shop
        .ledger()
        .order(&name)
        .expect("the shop has it")
        .processed_at
        .timestamp();
    let dated = world
        .booked(&name, "sale", &daemon)
        .await
        .date_order
        .map(|at| at.and_utc().timestamp());
    assert_eq!(dated, Some(placed), "{point}: the date of the sale");
    let ada = |email: &Option<String>| email.as_deref() == Some("ada@example.com");
    let partners = ledger
        .partners()
        .into_iter()
        .filter(|partner| ada(&partner.email_normalized))
        .count();
    assert_eq!(partners, 1, "{point}: partners");
    let shirts = ledger
        .products()
        .into_iter()
        .filter(|product| product.sku.as_deref() == Some("SHIRT-S"))
        .count();
    assert_eq!(shirts, 1, "{point}: products");
    let problems = crate::support::world::rows(&world.json(&["jobs", "list", "--problems"]));
    assert!(problems.is_empty(), "{point}: {problems:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_step_on_sqlite_everything_is_there_once_after_the_restart() {
    for point in FailPoint::ALL {
        killed_at(*point, Database::Sqlite).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_step_on_postgres_everything_is_there_once_after_the_restart() {
    for point in FailPoint::ALL {
        killed_at(*point, Database::Postgres).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_daemon_on_the_same_sqlite_database_is_refused() {
    let world = World::new(Database::Sqlite).await;
    let daemon = world.start(&Start::default());
    let other = world.folder.path().join("other.toml");
    world.write_config(&other, "sqlite://lockstep.db", free_port());
    let refused = Daemon::try_start(&other, &Start::default())
        .map(|_| ())
        .expect_err("it must not start");
    assert!(refused.contains("already"), "{refused}");
    drop(daemon);
    drop(Daemon::start(&other, &Start::default()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_daemons_on_one_postgres_share_the_work_and_double_nothing() {
    let world = World::new(Database::Postgres).await;
    let url = fresh_postgres().await;
    world.write_config(&world.config, &url, world.http_port);
    let other = world.folder.path().join("other.toml");
    world.write_config(&other, &url, free_port());
    let one = world.start(&Start::default());
    let mut two = Daemon::start(&other, &Start::default());
    let variants = world.product();
    let customer = world.customer("ada@example.com");
    let names: Vec<String> = (0..12)
        .map(|n| world.order(Buyer::Customer(customer), variants[n % 2]).1)
        .collect();
    for name in &names[..6] {
        world.booked(name, "sale", &one).await;
    }
    two.kill();
    for name in &names {
        world.booked(name, "sale", &one).await;
    }
    world.idle(&one).await;
    assert_eq!(world.erp.ledger().orders().len(), names.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn asked_to_stop_it_ends_in_order_and_goes_on_later() {
    let world = World::new(Database::Sqlite).await;
    let mut daemon = world.start(&Start::default());
    let variants = world.product();
    let customer = world.customer("ada@example.com");
    let names: Vec<String> = (0..6)
        .map(|_| world.order(Buyer::Customer(customer), variants[0]).1)
        .collect();
    let status = daemon.terminate();
    assert!(status.success(), "{status:?}\n{}", daemon.log());
    let daemon = world.start(&Start::default());
    for name in &names {
        world.booked(name, "sale", &daemon).await;
    }
    assert_eq!(world.erp.ledger().orders().len(), names.len());
}
