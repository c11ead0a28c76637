//! Deliveries that come several times or in any order.

use lockstep::sandbox::shopify::draft::{Buyer, OrderDraft, Payment};
use lockstep::sandbox::shopify::faults::DeliveryFault;

use crate::support::daemon::Start;
use crate::support::world::{Database, World, everyday, everyday_total, rows};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paid_order_becomes_one_confirmed_sales_order_and_no_secret_reaches_the_log() {
    for database in [Database::Sqlite, Database::Postgres] {
        let world = World::new(database).await;
        let daemon = world.start(&Start::default());
        let variants = world.product();
        let customer = world.customer("ada@example.com");
        let (id, name) = world.order(Buyer::Customer(customer), variants[0]);
        let booked = world.booked(&name, "sale", &daemon).await;
        assert_eq!(booked.amount_total, everyday_total());
        assert!(
            booked
                .external_ids
                .contains(&format!("__lockstep_main__.order_{id}")),
            "{:?}",
            booked.external_ids
        );
        world.idle(&daemon).await;
        let log = daemon.log();
        for secret in [
            "shpss_",
            "shpat_",
            world.erp.api_key(),
            "ada@example.com",
            "Lovelace",
            "Unter den Linden",
        ] {
            assert!(!log.contains(secret), "the log holds `{secret}`:\n{log}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_delivery_fifty_times_at_once_is_one_event_and_one_job() {
    let world = World::new(Database::Sqlite).await;
    let daemon = world.start(&Start::default());
    let variants = world.product();
    world.idle(&daemon).await;
    let before = rows(&world.json(&["jobs", "list", "--limit", "500"])).len();
    world
        .shop
        .inject_delivery(DeliveryFault::Duplicate(49), Some("orders/create"), 1);
    // Nobody has paid: the one event is orders/create (and the update that follows it).
    let (_, name) = world.place(OrderDraft {
        payment: Payment::None,
        ..everyday(variants[0])
    });
    world.booked(&name, "draft", &daemon).await;
    world.idle(&daemon).await;
    let most = world
        .shop
        .ledger()
        .deliveries
        .iter()
        .map(|delivery| delivery.accepted)
        .max();
    assert_eq!(most, Some(50), "one delivery was made and accepted 50 times");
    let jobs = rows(&world.json(&["jobs", "list", "--object", "order", "--limit", "500"]));
    assert!((1..=2).contains(&jobs.len()), "{jobs:?}");
    let events: u64 = jobs.iter().filter_map(|job| job["events"].as_u64()).sum();
    assert!(events <= 3, "50 deliveries count as one event: {jobs:?}");
    assert!(before > 0);
    assert_eq!(world.erp.ledger().orders().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_order_of_an_orders_events_ends_in_the_same_state() {
    let world = World::new(Database::Sqlite).await;
    let daemon = world.start(&Start::default());
    let variants = world.product();
    world.idle(&daemon).await;
    let mut tried = 0;
    loop {
        world.shop.hold_deliveries();
        let (id, name) = world.place(OrderDraft {
            payment: Payment::Pending("bank_transfer".into()),
            ..everyday(variants[0])
        });
        world
            .shop
            .change(|shop| shop.pay_order(id))
            .expect("the shop takes the money");
        let held = world.shop.held().len();
        let orders = permutations(held.min(4));
        let Some(order) = orders.get(tried) else {
            world.shop.release(&(0..held).collect::<Vec<_>>()).await;
            break;
        };
        world.shop.release(order).await;
        world.shop.settle().await;
        let booked = world.booked(&name, "sale", &daemon).await;
        assert_eq!(booked.amount_total, everyday_total(), "{order:?}");
        tried += 1;
    }
    assert!(tried >= 6, "at least three events were permuted: {tried}");
    world.idle(&daemon).await;
    assert_eq!(world.erp.ledger().orders().len(), tried + 1);
}

/// All orders of `0..n`.
fn permutations(n: usize) -> Vec<Vec<usize>> {
    if n == 0 {
        return vec![Vec::new()];
    }
    permutations(n - 1)
        .into_iter()
        .flat_map(|shorter| {
            (0..=shorter.len()).map(move |at| {
                let mut longer = shorter.clone();
                longer.insert(at, n - 1);
                longer
            })
        })
        .collect()
}
