//! Outages, throttles, refusals and lost answers: no job ends for good because of them, and none disappears.

use lockstep::sandbox::odoo::Fault;
use lockstep::sandbox::shopify::draft::Buyer;
use lockstep::sandbox::shopify::faults::ApiFault;

use crate::support::daemon::Start;
use crate::support::world::{Database, World, everyday_total, rows, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_erp_that_is_down_for_days_costs_no_attempts_and_everything_drains_afterwards() {
    let world = World::new(Database::Sqlite).await;
    let clock = world.folder.path().join("clock");
    std::fs::write(&clock, "0").expect("the clock can be set");
    let daemon = world.start(&Start {
        clock: Some(clock.clone()),
        ..Start::default()
    });
    let variants = world.product();
    let customer = world.customer("ada@example.com");
    world.idle(&daemon).await;
    world.erp.down().await.expect("the ERP goes down");
    let names: Vec<String> = (0..8)
        .map(|_| world.order(Buyer::Customer(customer), variants[0]).1)
        .collect();
    world.shop.settle().await;
    until(
        "the breaker is open",
        || {
            let status = world.json(&["status"]).to_string();
            status.contains("\"open\"").then_some(())
        },
        || daemon.log(),
    )
    .await;
    // Three days pass, six hours at a time; each time a probe must have failed before the time goes on.
    let refused = || refused_attempts(&daemon.log());
    for step in 1..=12_u64 {
        let before = refused();
        std::fs::write(&clock, (step * 6 * 3_600_000).to_string()).expect("the clock can be set");
        until(
            "a probe failed",
            || (refused() > before).then_some(()),
            || daemon.log(),
        )
        .await;
    }
    world.erp.up().await.expect("the ERP comes back");
    let mut seconds = 13 * 6 * 3_600_u64;
    for name in &names {
        // An attempt that was under way when the time jumped was cut off, and waits until nothing of it can take effect
        // any more. So the time goes on, slowly enough for leases to be renewed.
        let booked = until(
            &format!("order {name} is confirmed in the ERP"),
            || {
                seconds += 5;
                std::fs::write(&clock, (seconds * 1_000).to_string()).ok()?;
                let orders = world.erp.ledger().orders_by_reference(name);
                orders.into_iter().find(|order| order.state == "sale")
            },
            || daemon.log(),
        )
        .await;
        assert_eq!(booked.amount_total, everyday_total());
    }
    world.idle(&daemon).await;
    assert_eq!(world.erp.ledger().orders().len(), names.len());
    assert!(
        rows(&world.json(&["jobs", "list", "--problems"])).is_empty(),
        "no attempts were wasted"
    );
}

/// How many attempts ended because the ERP refused the connection.
fn refused_attempts(log: &str) -> usize {
    log.lines()
        .filter(|line| line.contains("attempt ended: erp_unreachable"))
        .count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn single_faults_of_shopify_end_no_job() {
    let world = World::new(Database::Sqlite).await;
    let clock = world.folder.path().join("clock");
    std::fs::write(&clock, "0").expect("the clock can be set");
    let daemon = world.start(&Start {
        clock: Some(clock.clone()),
        ..Start::default()
    });
    let variants = world.product();
    world.idle(&daemon).await;
    let mut seconds = 0_u64;
    for fault in [
        ApiFault::Unauthorized,
        ApiFault::TooManyRequests(1.0),
        ApiFault::HtmlError(503),
        ApiFault::CutBefore,
        ApiFault::CutAfter,
        ApiFault::Throttled,
        ApiFault::Garbage,
    ] {
        world.shop.inject(fault.clone(), None, 1);
        let (_, name) = world.order(Buyer::Nobody, variants[0]);
        world.shop.settle().await;
        // The clock is moved past the backoff, slowly enough for leases to be renewed.
        let booked = until(
            &format!("order {name} after {fault:?}"),
            || {
                seconds += 5;
                std::fs::write(&clock, (seconds * 1_000).to_string()).ok()?;
                world
                    .erp
                    .ledger()
                    .orders_by_reference(&name)
                    .into_iter()
                    .find(|order| order.state == "sale")
            },
            || daemon.log(),
        )
        .await;
        assert_eq!(booked.amount_total, everyday_total(), "{fault:?}");
    }
    world.shop.revoke_tokens();
    let (_, name) = world.order(Buyer::Nobody, variants[0]);
    world.booked(&name, "sale", &daemon).await;
    world.idle(&daemon).await;
    assert!(rows(&world.json(&["jobs", "list", "--problems"])).is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn single_faults_of_the_erp_end_no_job_and_double_nothing() {
    let world = World::new(Database::Sqlite).await;
    let clock = world.folder.path().join("clock");
    std::fs::write(&clock, "0").expect("the clock can be set");
    let daemon = world.start(&Start {
        clock: Some(clock.clone()),
        ..Start::default()
    });
    let variants = world.product();
    world.idle(&daemon).await;
    let mut seconds = 0_u64;
    let mut placed = 0;
    for fault in [
        Fault::CloseBefore,
        Fault::CloseAfter,
        Fault::Http {
            status: 429,
            retry_after: Some(1),
        },
        Fault::Http {
            status: 503,
            retry_after: None,
        },
        Fault::HttpAfter(504),
        Fault::Serialization,
        Fault::ConnectionLost,
        Fault::PostgresDown,
        Fault::LoginPage,
        Fault::Garbage,
    ] {
        for (model, method) in [("sale.order", "load"), ("sale.order", "action_confirm")] {
            world.erp.faults().on(model, method, fault.clone());
            let (_, name) = world.order(Buyer::Nobody, variants[0]);
            placed += 1;
            world.shop.settle().await;
            let booked = until(
                &format!("order {name} after {fault:?} on {model}.{method}"),
                || {
                    seconds += 5;
                    std::fs::write(&clock, (seconds * 1_000).to_string()).ok()?;
                    world
                        .erp
                        .ledger()
                        .orders_by_reference(&name)
                        .into_iter()
                        .find(|order| order.state == "sale")
                },
                || daemon.log(),
            )
            .await;
            assert_eq!(booked.amount_total, everyday_total(), "{fault:?}");
        }
    }
    world.idle(&daemon).await;
    assert_eq!(world.erp.ledger().orders().len(), placed, "nothing is doubled");
    assert!(rows(&world.json(&["jobs", "list", "--problems"])).is_empty());
}
