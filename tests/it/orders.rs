//! Deliveries that come several times or in any order, and many orders with a bad one among them.

use lockstep::sandbox::odoo::OrderView;
use lockstep::sandbox::shopify::draft::{Buyer, CancelDraft, LineDraft, OrderDraft, OrderEdit, Payment};
use lockstep::sandbox::shopify::facts::Tax;
use lockstep::sandbox::shopify::faults::DeliveryFault;
use lockstep::sandbox::shopify::options::Rate;
use rust_decimal::Decimal;

use crate::support::daemon::{Daemon, Start};
use crate::support::world::{Database, World, everyday, everyday_total, rows, until};

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
    // Nobody has paid, and the update that follows every creation is lost: all that comes is orders/create.
    world
        .shop
        .inject_delivery(DeliveryFault::Duplicate(49), Some("orders/create"), 1);
    world
        .shop
        .inject_delivery(DeliveryFault::Drop, Some("orders/updated"), 1);
    let (id, name) = world.place(OrderDraft {
        payment: Payment::None,
        ..everyday(variants[0])
    });
    world.booked(&name, "draft", &daemon).await;
    world.idle(&daemon).await;
    let deliveries = world.shop.ledger().deliveries;
    let accepted: Vec<(&str, u32)> = deliveries
        .iter()
        .filter(|delivery| delivery.resource == Some(id))
        .map(|delivery| (delivery.topic, delivery.accepted))
        .collect();
    assert_eq!(accepted, [("orders/create", 50), ("orders/updated", 0)]);
    let jobs = rows(&world.json(&["jobs", "list", "--object", "order"]));
    assert_eq!(jobs.len(), 1, "{jobs:?}");
    assert_eq!(jobs[0]["events"], 1, "{jobs:?}");
    assert_eq!(jobs[0]["attempts"], 1, "{jobs:?}");
    assert_eq!(world.erp.ledger().orders().len(), 1);
}

/// What happens to an order after it was placed.
#[derive(Clone, Copy, Debug)]
enum Change {
    Paid,
    Cancelled,
    Edited,
}

/// An order, what is delivered of it at once, what happens then, and how it must end whatever the order of the rest.
struct Story {
    change: Change,
    payment: Payment,
    /// How many of the events of its placing are delivered, and worked off, before anything else happens.
    at_once: usize,
    /// The events that are then delivered in every order.
    left: &'static [&'static str],
    state: &'static str,
}

/// Lets the story happen once for every order of its events, the daemon at rest before each delivery, and compares the
/// sales orders with each other, all but their numbers.
async fn permute(world: &World, daemon: &Daemon, variants: &[u64], story: &Story) {
    let mut first: Option<OrderView> = None;
    let orders = permutations(story.left.len());
    for order in &orders {
        world.shop.hold_deliveries();
        let (id, name) = world.place(OrderDraft {
            buyer: Buyer::Guest {
                email: Some("guest@example.com".into()),
                phone: None,
            },
            lines: vec![
                LineDraft::variant(variants[0], 3),
                LineDraft::variant(variants[1], 1),
            ],
            payment: story.payment.clone(),
            ..everyday(variants[0])
        });
        for _ in 0..story.at_once {
            world.shop.release_one(0).await;
            world.idle(daemon).await;
        }
        world
            .shop
            .change(|shop| match story.change {
                Change::Paid => shop.pay_order(id),
                Change::Cancelled => shop.cancel_order(id, &CancelDraft::default()),
                Change::Edited => {
                    let edit = OrderEdit {
                        remove: vec![(1, 1)],
                        ..OrderEdit::default()
                    };
                    shop.edit_order(id, &edit)
                }
            })
            .expect("the shop takes it");
        let held: Vec<&str> = world.shop.held().iter().map(|(topic, _)| *topic).collect();
        assert_eq!(held, story.left, "{:?}", story.change);
        let mut left: Vec<usize> = (0..held.len()).collect();
        for next in order {
            let position = left.iter().position(|each| each == next).expect("it is left");
            left.remove(position);
            world.shop.release_one(position).await;
            world.idle(daemon).await;
        }
        let booked = world.booked(&name, story.state, daemon).await;
        let booked = without_numbers(booked);
        match &first {
            None => {
                // With the second line, 21.99 more.
                let total = match story.change {
                    Change::Edited => everyday_total(),
                    Change::Paid | Change::Cancelled => everyday_total() + Decimal::new(2_199, 2),
                };
                assert_eq!(booked.amount_total, total, "{:?} {order:?}", story.change);
                first = Some(booked);
            }
            Some(first) => assert_eq!(&booked, first, "{:?} {order:?}", story.change),
        }
    }
    assert!(world.problems().is_empty(), "{:?}", world.problems());
}

/// The order without what differs from one order to the next.
fn without_numbers(mut order: OrderView) -> OrderView {
    order.id = 0;
    order.name.clear();
    order.external_ids.clear();
    order.client_order_ref = None;
    order.origin = None;
    order.created_at = None;
    order.written_at = None;
    for line in &mut order.lines {
        line.id = 0;
        line.external_ids.clear();
    }
    for picking in &mut order.pickings {
        picking.id = 0;
        picking.name.clear();
        for line in &mut picking.lines {
            line.id = 0;
            line.sale_line_id = None;
        }
    }
    order
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_order_of_a_payments_events_ends_in_the_same_sales_order() {
    let world = World::new(Database::Sqlite).await;
    let daemon = world.start(&Start::default());
    let variants = world.product();
    world.idle(&daemon).await;
    let pending = || Payment::Pending("bank_transfer".into());
    let all_late = Story {
        change: Change::Paid,
        payment: pending(),
        at_once: 0,
        left: &["orders/create", "orders/updated", "orders/paid", "orders/updated"],
        state: "sale",
    };
    let booked_before = Story {
        at_once: 2,
        left: &["orders/paid", "orders/updated"],
        payment: pending(),
        ..all_late
    };
    for story in [&all_late, &booked_before] {
        permute(&world, &daemon, &variants, story).await;
    }
    // 4! and 2!
    assert_eq!(world.erp.ledger().orders().len(), 24 + 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_order_of_a_cancellations_or_an_edits_events_ends_in_the_same_sales_order() {
    let world = World::new(Database::Sqlite).await;
    let daemon = world.start(&Start::default());
    let variants = world.product();
    world.idle(&daemon).await;
    // The payment's event is late: it comes before, between and behind those of the cancellation.
    let cancelled = Story {
        change: Change::Cancelled,
        payment: Payment::Paid("shopify_payments".into()),
        at_once: 1,
        left: &[
            "orders/paid",
            "orders/updated",
            "orders/cancelled",
            "orders/updated",
        ],
        state: "cancel",
    };
    let edited = Story {
        change: Change::Edited,
        payment: Payment::Pending("bank_transfer".into()),
        at_once: 1,
        left: &["orders/updated", "orders/edited", "orders/updated"],
        state: "draft",
    };
    for story in [&cancelled, &edited] {
        permute(&world, &daemon, &variants, story).await;
    }
    // 4! and 3!
    assert_eq!(world.erp.ledger().orders().len(), 24 + 6);
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_order_among_a_hundred_good_ones_holds_up_nobody() {
    for database in [Database::Sqlite, Database::Postgres] {
        let world = World::new(database).await;
        // The shop's own pace is not the matter here.
        world.shop.set_rate(Rate {
            restore_rate: 10_000.0,
            maximum_available: 100_000.0,
            max_query_cost: 1_000,
        });
        let daemon = world.start(&Start::default());
        let variants = world.product();
        world.idle(&daemon).await;
        let mut good: Vec<String> = (0..50)
            .map(|_| world.order(Buyer::Nobody, variants[0]).1)
            .collect();
        // The ERP has no tax of 13 %.
        let (_, bad) = world.place(OrderDraft {
            taxes: vec![Tax::new("MwSt", Decimal::new(13, 2))],
            ..everyday(variants[0])
        });
        good.extend((0..50).map(|_| world.order(Buyer::Nobody, variants[1]).1));
        let confirmed = || {
            let orders = world.erp.ledger().orders();
            orders.iter().filter(|order| order.state == "sale").count()
        };
        // Far more than one condition's time on a busy machine: as long as something moves, it goes on.
        let mut seen = 0;
        while seen < good.len() {
            until(
                &format!("more than {seen} of {} orders are confirmed", good.len()),
                || (confirmed() > seen).then_some(()),
                || daemon.log(),
            )
            .await;
            seen = confirmed();
        }
        world.idle(&daemon).await;
        let ledger = world.erp.ledger();
        assert_eq!(ledger.orders().len(), good.len(), "{database:?}: each once");
        for name in &good {
            assert_eq!(ledger.orders_by_reference(name).len(), 1, "{database:?}: {name}");
        }
        let problems = world.problems();
        assert_eq!(problems.len(), 1, "{database:?}: {problems:?}");
        assert_eq!(problems[0]["problem"]["record"], bad.as_str(), "{database:?}");
        let reason = problems[0]["problem"]["reason"].as_str().unwrap_or_default();
        assert!(reason.contains("13"), "{database:?}: {reason}");
    }
}
