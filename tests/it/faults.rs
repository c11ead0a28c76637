//! Outages, throttles, refusals, late and lost answers: no job ends for good because of them, none disappears, and each
//! failure is to be seen.

use std::time::{Duration, Instant};

use lockstep::sandbox::odoo::Fault;
use lockstep::sandbox::shopify::draft::{Buyer, LineDraft, OrderDraft};
use lockstep::sandbox::shopify::faults::ApiFault;
use rust_decimal::Decimal;

use crate::support::daemon::{Daemon, Start};
use crate::support::world::{Database, Settings, World, attempts, everyday, everyday_total, rows, until};

const HOUR_MS: u64 = 3_600_000;

/// After so long without a probe the time is moved once more.
const NUDGE: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_erp_that_is_down_for_days_costs_no_attempts_and_everything_drains_afterwards() {
    // While the breaker is open nothing is tried for three to six hours: when the time is moved, nothing runs that it could
    // cut off.
    let settings = Settings {
        queue: "breaker = { first_probe_s = 21600, longest_probe_s = 21600 }",
        ..Settings::default()
    };
    let world = World::with(Database::Sqlite, settings).await;
    let clock = world.folder.path().join("clock");
    let set = |hours: u64| {
        // In one step: a daemon that reads it must not find half of a number.
        let next = world.folder.path().join("clock.next");
        std::fs::write(&next, (hours * HOUR_MS).to_string()).expect("the clock can be set");
        std::fs::rename(&next, &clock).expect("the clock can be set");
    };
    set(0);
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
    let is_open = || {
        let breakers = rows(&world.json(&["status"])["breakers"]);
        breakers.iter().any(|breaker| breaker["state"] == "open")
    };
    until("the breaker is open", || is_open().then_some(()), || daemon.log()).await;
    let at_rest = || {
        let running = world.under_way();
        (!running.iter().any(|job| job["state"] == "running")).then_some(())
    };
    // Three days pass, six hours at a time; each time a probe must have failed before the time goes on.
    let refused = || refused_attempts(&daemon.log());
    let mut hours = 0;
    for _ in 0..12 {
        until("nothing runs", at_rest, || daemon.log()).await;
        let before = refused();
        hours += 6;
        set(hours);
        // Should the daemon have noted the probe before only after the time was moved, it probes hours later once more.
        let mut moved = Instant::now();
        until(
            "a probe failed",
            || {
                if refused() > before {
                    return Some(());
                }
                if moved.elapsed() > NUDGE && at_rest().is_some() {
                    hours += 6;
                    set(hours);
                    moved = Instant::now();
                }
                None
            },
            || daemon.log(),
        )
        .await;
    }
    until("nothing runs", at_rest, || daemon.log()).await;
    let waiting = world.under_way();
    let orders: Vec<_> = waiting
        .iter()
        .filter(|job| job["key"]["object"] == "order")
        .collect();
    assert_eq!(orders.len(), names.len(), "none has disappeared: {waiting:?}");
    let tried: u64 = waiting.iter().filter_map(|job| job["attempts"].as_u64()).sum();
    assert!(tried >= 12, "each probe was an attempt: {waiting:?}");
    for job in &waiting {
        assert_eq!(job["failed_attempts"], 0, "an outage costs no attempts: {job}");
    }
    world.erp.up().await.expect("the ERP comes back");
    set(hours + 6);
    for name in &names {
        let booked = world.booked(name, "sale", &daemon).await;
        assert_eq!(booked.amount_total, everyday_total());
    }
    world.idle(&daemon).await;
    assert_eq!(world.erp.ledger().orders().len(), names.len());
    assert!(world.problems().is_empty(), "{:?}", world.problems());
    assert!(!is_open(), "the breaker is closed again");
}

/// How many attempts ended because the ERP refused the connection.
fn refused_attempts(log: &str) -> usize {
    log.lines()
        .filter(|line| line.contains("attempt ended: erp_unreachable"))
        .count()
}

/// Something new in the shop, which a fault is to meet.
enum Subject {
    Order { id: u64, name: String },
    Customer { id: u64, email: String },
    Product { id: u64, sku: String },
}

impl Subject {
    /// Makes one that is like no other.
    fn make(world: &World, object: &str, n: usize, variant: u64) -> Self {
        match object {
            "order" => {
                let (id, name) = world.order(
                    Buyer::Guest {
                        email: Some(format!("guest{n}@example.com")),
                        phone: None,
                    },
                    variant,
                );
                Self::Order { id, name }
            }
            "customer" => {
                let email = format!("ada{n}@example.com");
                let id = world.customer(&email);
                Self::Customer { id, email }
            }
            _ => {
                let title = format!("Hat{n}");
                let variants = world.product_called(&title);
                let id = world
                    .shop
                    .read(|shop| shop.variant(variants[0]).map(|(product, _)| product.id))
                    .expect("it was just made");
                Self::Product {
                    id,
                    sku: format!("HAT{n}-M"),
                }
            }
        }
    }

    /// Waits until it stands in the ERP, once.
    async fn arrived(&self, world: &World, daemon: &Daemon) {
        match self {
            Self::Order { name, .. } => {
                let booked = world.booked(name, "sale", daemon).await;
                assert_eq!(booked.amount_total, everyday_total());
                world.idle(daemon).await;
                assert_eq!(world.erp.ledger().orders_by_reference(name).len(), 1);
            }
            Self::Customer { email, .. } => {
                let count = || {
                    let partners = world.erp.ledger().partners();
                    let known = |partner: &&_| is_called(partner, email);
                    partners.iter().filter(known).count()
                };
                until(email, || (count() > 0).then_some(()), || daemon.log()).await;
                world.idle(daemon).await;
                assert_eq!(count(), 1, "{email}");
            }
            Self::Product { sku, .. } => {
                let count = || {
                    let products = world.erp.ledger().products();
                    products
                        .iter()
                        .filter(|each| each.sku.as_ref() == Some(sku))
                        .count()
                };
                until(sku, || (count() > 0).then_some(()), || daemon.log()).await;
                world.idle(daemon).await;
                assert_eq!(count(), 1, "{sku}");
            }
        }
    }

    /// The histories of its jobs.
    fn stories(&self, world: &World) -> Vec<serde_json::Value> {
        let (object, id) = match self {
            Self::Order { id, .. } => ("order", id),
            Self::Customer { id, .. } => ("customer", id),
            Self::Product { id, .. } => ("product", id),
        };
        world.stories(&["--object", object, "--id", &id.to_string()])
    }

    /// Asserts that the failure is a line of the retry log, or that the client dealt with it within the attempt.
    fn check_log(&self, world: &World, is_seen: bool, why: &str) {
        let stories = self.stories(world);
        assert!(!stories.is_empty(), "{why}: its job has disappeared");
        let failed: Vec<_> = stories
            .iter()
            .flat_map(|story| attempts(story, "retry"))
            .collect();
        if is_seen {
            assert_eq!(failed.len(), 1, "{why}: {stories:?}");
            assert_ne!(failed[0]["summary"].as_str().unwrap_or_default(), "", "{why}");
        } else {
            assert!(failed.is_empty(), "{why}: {failed:?}");
        }
        for story in &stories {
            assert_eq!(story["job"]["state"], "completed", "{why}: {story}");
        }
    }
}

fn is_called(partner: &lockstep::sandbox::odoo::PartnerView, email: &str) -> bool {
    partner.email_normalized.as_deref() == Some(email)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn single_faults_of_shopify_end_no_job_and_are_seen() {
    let world = World::new(Database::Sqlite).await;
    let daemon = world.start(&Start::default());
    let variants = world.product();
    world.idle(&daemon).await;
    let mut n = 0;
    for (object, operation) in [
        ("order", "LockstepOrder"),
        ("customer", "LockstepCustomer"),
        ("product", "LockstepProduct"),
    ] {
        for (fault, is_seen) in [
            // A new token is fetched, and a throttle waited out, within the attempt.
            (ApiFault::Unauthorized, false),
            (ApiFault::TooManyRequests(1.0), false),
            (ApiFault::Throttled, false),
            (ApiFault::HtmlError(503), true),
            (ApiFault::CutBefore, true),
            (ApiFault::CutAfter, true),
            (ApiFault::InternalError, true),
            (ApiFault::Garbage, true),
        ] {
            n += 1;
            let why = format!("{fault:?} on {operation}");
            let struck = world.shop.ledger().calls.faults;
            world.shop.inject(fault, Some(operation), 1);
            let subject = Subject::make(&world, object, n, variants[0]);
            subject.arrived(&world, &daemon).await;
            assert_eq!(world.shop.ledger().calls.faults, struck + 1, "{why}: it struck");
            subject.check_log(&world, is_seen, &why);
        }
    }
    assert!(world.problems().is_empty(), "{:?}", world.problems());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_ends_in_the_middle_of_a_job_is_renewed() {
    let world = World::new(Database::Sqlite).await;
    let daemon = world.start(&Start::default());
    let variants = world.product();
    world.idle(&daemon).await;
    let before = world.shop.ledger().calls;
    // The token ends between the first page of the order's 130 lines and the second.
    world.shop.inject(ApiFault::TokensEnd, Some("LockstepOrder"), 1);
    let (_, name) = world.place(OrderDraft {
        lines: (0..130).map(|n| LineDraft::variant(variants[n % 2], 1)).collect(),
        ..everyday(variants[0])
    });
    let booked = world.booked(&name, "sale", &daemon).await;
    world.idle(&daemon).await;
    // 65 x 19.99 + 65 x 21.99 + 4.90
    assert_eq!(booked.amount_total, Decimal::new(273_360, 2));
    assert_eq!(booked.lines.len(), 131);
    let after = world.shop.ledger().calls;
    assert_eq!(
        after.unauthorized,
        before.unauthorized + 1,
        "the old token was refused once"
    );
    assert_eq!(after.token_grants, before.token_grants + 1);
    for story in world.stories(&["--name", &name]) {
        assert!(
            attempts(&story, "retry").is_empty(),
            "within the attempt: {story}"
        );
    }
}

/// Faults of the ERP, and whether an attempt fails by them.
fn all_faults() -> Vec<(Fault, bool)> {
    let http = |status, retry_after| Fault::Http { status, retry_after };
    vec![
        // The login is renewed and the call repeated within the attempt.
        (Fault::ExpiredKey, false),
        (Fault::CloseBefore, true),
        (Fault::CloseAfter, true),
        (http(429, Some(1)), true),
        (http(503, None), true),
        (Fault::HttpAfter(504), true),
        (Fault::Serialization, true),
        (Fault::ConnectionLost, true),
        (Fault::PostgresDown, true),
        (Fault::LoginPage, true),
        (Fault::Garbage, true),
    ]
}

/// Lets each fault strike each call once.
async fn strike(calls: &[(&str, &str, &str)], faults: &[(Fault, bool)]) {
    let world = World::new(Database::Sqlite).await;
    let daemon = world.start(&Start::default());
    let variants = world.product();
    world.idle(&daemon).await;
    let mut n = 0;
    for (object, model, method) in calls {
        for (fault, is_seen) in faults {
            n += 1;
            let why = format!("{fault:?} on {model}.{method}");
            world.erp.faults().on(model, method, fault.clone());
            let subject = Subject::make(&world, object, n, variants[0]);
            subject.arrived(&world, &daemon).await;
            assert_eq!(world.erp.faults().pending(), 0, "{why}: it struck");
            subject.check_log(&world, *is_seen, &why);
        }
    }
    let problems = world.problems();
    assert!(problems.is_empty(), "{problems:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn single_faults_of_the_erp_end_no_order_double_nothing_and_are_seen() {
    let calls = [
        ("order", "sale.order", "load"),
        ("order", "sale.order", "action_confirm"),
        ("order", "sale.order", "web_read"),
    ];
    strike(&calls, &all_faults()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn single_faults_of_the_erp_end_no_partner_and_no_product() {
    let calls = [
        ("order", "res.partner", "load"),
        ("customer", "res.partner", "load"),
        ("product", "product.template", "load"),
        ("product", "product.product", "load"),
    ];
    let faults: Vec<_> = all_faults()
        .into_iter()
        .filter(|(fault, _)| {
            matches!(
                fault,
                Fault::ExpiredKey | Fault::CloseBefore | Fault::CloseAfter | Fault::Serialization
            )
        })
        .collect();
    strike(&calls, &faults).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_come_too_late_and_calls_that_take_effect_later_still_double_nothing() {
    let settings = Settings {
        odoo: "connection = { timeout_s = 1 }",
        ..Settings::default()
    };
    let world = World::with(Database::Sqlite, settings).await;
    let daemon = world.start(&Start::default());
    let variants = world.product();
    world.idle(&daemon).await;
    let mut n = 0;
    let mut late = 0;
    for fault in [
        Fault::Delay(Duration::from_secs(3)),
        Fault::ApplyLate(Duration::from_secs(3)),
    ] {
        for method in ["load", "action_confirm"] {
            n += 1;
            let why = format!("{fault:?} on {method}");
            world.erp.faults().on("sale.order", method, fault.clone());
            let subject = Subject::make(&world, "order", n, variants[0]);
            subject.arrived(&world, &daemon).await;
            assert_eq!(world.erp.faults().pending(), 0, "{why}: it struck");
            if matches!(fault, Fault::ApplyLate(_)) {
                late += 1;
                until(
                    &format!("{why}: it has taken effect"),
                    || (world.erp.faults().landed() == late).then_some(()),
                    || daemon.log(),
                )
                .await;
            }
            let stories = subject.stories(&world);
            let failed: Vec<_> = stories
                .iter()
                .flat_map(|story| attempts(story, "retry"))
                .collect();
            assert!(
                !failed.is_empty(),
                "{why}: the timeout is to be seen: {stories:?}"
            );
            let Subject::Order { name, .. } = &subject else {
                panic!("an order was asked for")
            };
            let orders = world.erp.ledger().orders_by_reference(name);
            assert_eq!(orders.len(), 1, "{why}: {orders:?}");
            let order = &orders[0];
            assert_eq!(order.state, "sale", "{why}");
            assert_eq!(order.amount_total, everyday_total(), "{why}");
            assert_eq!(order.lines.len(), 2, "{why}: {:?}", order.lines);
            assert_eq!(order.pickings.len(), 1, "{why}: {:?}", order.pickings);
            let dated = order.date_order.map(|at| at.and_utc().to_rfc3339());
            assert_eq!(dated.as_deref(), Some("2026-01-02T03:04:05+00:00"), "{why}");
        }
    }
    assert_eq!(world.erp.ledger().orders().len(), n);
    assert!(world.problems().is_empty(), "{:?}", world.problems());
}
