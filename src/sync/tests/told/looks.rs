//! Attempts that look at their record more than once: what their looks wrote is told once, whatever ends them.

use serde_json::json;

use super::*;
use crate::domain::{Carried, Changed, Disposition, ErpId, Happening, Link, LinkKind, NewProblem};

/// What the first look did before it ended with a problem.
#[derive(Clone, Copy, Debug, PartialEq)]
enum First {
    /// Nothing.
    Nothing,
    /// It wrote.
    Wrote,
    /// It made the record.
    Made,
    /// It told the order in parting: made, with a payment.
    Parted,
    /// The same of an order whose link is not stored yet.
    PartedUnlinked,
    /// It found nothing to do but a parcel to tell of, and told that in parting.
    PartedUnchanged,
}

fn problem() -> NewProblem {
    NewProblem {
        code: "journal_missing".into(),
        record: None,
        field: None,
        reason: "No journal.".to_owned(),
        fix: String::new(),
        owner: "operator".to_owned(),
        mapping: None,
        cluster: "journal_missing".to_owned(),
        detail: json!(null),
    }
}

/// Every way in which the second look may end.
fn ends() -> Vec<(&'static str, Outcome)> {
    let failed = |disposition| Outcome::Failed {
        disposition,
        problem: problem(),
    };
    let on = JobKey {
        shop: "main".parse().unwrap(),
        object: Object::Product,
        direction: Direction::In,
        source_id: "1".to_owned(),
    };
    vec![
        ("completed", Outcome::Completed),
        ("obsolete", Outcome::Obsolete("deleted".to_owned())),
        ("failed as obsolete", failed(Disposition::Obsolete)),
        ("failed", failed(Disposition::Transient { retry_after: None })),
        ("failed for good", failed(Disposition::Permanent)),
        (
            "wait",
            Outcome::Wait {
                on: on.record(),
                at_most: Duration::from_secs(1),
            },
        ),
        ("problem", Outcome::Problem(problem())),
        ("held", Outcome::Held(problem())),
        (
            "later",
            Outcome::Later {
                at: Timestamp::from_millis(1),
            },
        ),
        ("interrupted", Outcome::Interrupted),
    ]
}

fn order_link() -> Link {
    Link {
        shop: "main".parse().unwrap(),
        kind: LinkKind::Order,
        source_id: "1".to_owned(),
        model: "sale.order".to_owned(),
        erp_id: ErpId(42),
        erp_name: Some("S00042".to_owned()),
        state: LinkState::Linked,
        source_updated_at: None,
        agreed: json!({ "told": {} }),
        agreed_out: json!(null),
        writes: json!(null),
    }
}

fn item(status: Carried) -> Happened {
    Happened {
        about: Some(Box::new(About {
            shopify: Some((ShopifyId(7), "InventoryItem")),
            ..About::new(Object::Inventory)
        })),
        status: Some(status),
        ..Happened::new(Happening::InventorySynced)
    }
}

fn field(name: &str) -> Changed {
    Changed {
        field: name.to_owned(),
        old: None,
        new: None,
    }
}

/// The first look, up to its problem.
fn look(flow: &Flow<'_>, first: First) {
    let object = flow.job.key.object;
    flow.tells_anew();
    flow.is_about(About {
        title: Some("as it was seen first".to_owned()),
        ..About::new(object)
    });
    if object == Object::Order {
        flow.knows_order(
            None,
            matches!(first, First::Nothing | First::Wrote | First::PartedUnchanged),
        );
    }
    let parted = |status| {
        let mut synced = flow.synced(Happening::OrderSynced, status);
        synced.changed = Vec::new();
        let what = match status {
            Carried::Created => Happening::PaymentCompleted,
            _ => Happening::ShipmentCreated,
        };
        flow.telling().told = Some(json!({ "made": true }));
        flow.tells_in_parting(vec![synced, Happened::new(what)]);
    };
    match first {
        First::Nothing => {}
        First::Wrote | First::Made => {
            flow.did_write();
            flow.has_written_part("name");
            if first == First::Made {
                flow.is_made();
            }
            match object {
                Object::Inventory => {
                    let mut written = item(Carried::Updated);
                    written.changed = vec![field("available")];
                    flow.tells_in_parting(vec![written]);
                }
                Object::Order => flow.has_linked(order_link()),
                _ => {}
            }
        }
        First::Parted => {
            flow.did_write();
            flow.has_linked(order_link());
            parted(Carried::Created);
        }
        First::PartedUnlinked => {
            flow.did_write();
            parted(Carried::Created);
        }
        First::PartedUnchanged => {
            flow.has_linked(order_link());
            parted(Carried::Skipped);
        }
    }
    let mut report = Report::of(Outcome::Problem(problem()), "a problem");
    flow.tell(&mut report);
}

/// What the second look tells that comes to such an end without having done anything.
fn second(flow: &Flow<'_>, first: First, outcome: Outcome) -> Report {
    flow.tells_anew();
    let mut report = Report::of(outcome, "the end");
    if matches!(report.outcome, Outcome::Completed) {
        // Orders and stock tell by themselves.
        match flow.job.key.object {
            Object::Order => {
                let status = match first {
                    First::Made | First::Parted | First::PartedUnlinked => Carried::Created,
                    _ => flow.carried(),
                };
                report.happened = vec![flow.synced(Happening::OrderSynced, status)];
            }
            Object::Inventory => report.happened = vec![item(Carried::Skipped)],
            _ => {}
        }
    }
    flow.tell(&mut report);
    report
}

fn texts(happened: &[Happened]) -> String {
    let text = |one: &Happened| match one.status {
        Some(status) => format!("{} {status:?}", one.what).replace('"', ""),
        None => one.what.to_string(),
    };
    happened.iter().map(text).collect::<Vec<_>>().join(", ")
}

#[tokio::test]
async fn what_any_look_wrote_is_told_once_whatever_ends_the_attempt() {
    use First::{Made, Nothing, Parted, PartedUnchanged, PartedUnlinked, Wrote};
    use Object::{Inventory, Order, Shop};
    let bench = Bench::new(Version::V18).await;
    let claimed = bench.claim(Object::Customer, 1).await;
    let parted = "order.synced Created, payment.completed";
    let unchanged = "order.synced Skipped, shipment.created";
    // What is told with a good end, with one that leaves nothing to do, and with any other.
    let mut cases = vec![
        (Order, Nothing, "order.synced Skipped", "", ""),
        (
            Order,
            Wrote,
            "order.synced Updated",
            "order.synced Updated",
            "order.synced Updated",
        ),
        // That it was made, the repeat finds and tells.
        (Order, Made, "order.synced Created", "order.synced Created", ""),
        (Order, Parted, "order.synced Created", parted, parted),
        // Nothing could remember that it was told.
        (Order, PartedUnlinked, "order.synced Created", "", ""),
        (
            Order,
            PartedUnchanged,
            "order.synced Skipped",
            unchanged,
            unchanged,
        ),
        (Inventory, Nothing, "inventory.synced Skipped", "", ""),
        (
            Inventory,
            Wrote,
            "inventory.synced Updated",
            "inventory.synced Updated",
            "inventory.synced Updated",
        ),
        (Shop, Nothing, "", "", ""),
    ];
    cases.extend([
        (Object::Customer, Nothing, "customer.synced Skipped", "", ""),
        (
            Object::Customer,
            Wrote,
            "customer.synced Updated",
            "customer.synced Updated",
            "customer.synced Updated",
        ),
        (
            Object::Customer,
            Made,
            "customer.synced Created",
            "customer.synced Created",
            "",
        ),
        (Object::Product, Nothing, "product.synced Skipped", "", ""),
        (
            Object::Product,
            Wrote,
            "product.synced Updated",
            "product.synced Updated",
            "product.synced Updated",
        ),
        (
            Object::Product,
            Made,
            "product.synced Created",
            "product.synced Created",
            "",
        ),
    ]);
    let shop = bench.engine.shop(&claimed.key.shop).unwrap();
    for (object, first, completed, over, otherwise) in cases {
        for (name, outcome) in ends() {
            let writes = Writes::default();
            let mut job = claimed.clone();
            job.key.object = object;
            let subject = Subject {
                record: None,
                owner: "operator".to_owned(),
                mapping: None,
            };
            let flow = Flow::new(shop, &job, shop.mappings.borrow().clone(), subject, &writes);
            look(&flow, first);
            let report = second(&flow, first, outcome);
            let expected = match name {
                "completed" => completed,
                "obsolete" | "failed as obsolete" => over,
                _ => otherwise,
            };
            let case = format!("{object} {first:?} {name}");
            assert_eq!(texts(&report.happened), expected, "{case}");
            // The order's link remembers what it tells, and nothing else is written over.
            let is_linked = matches!(first, Parted | PartedUnchanged) && name != "completed";
            let links: Vec<_> = report.links.iter().map(|link| &link.agreed["told"]).collect();
            let remembers = json!({ "made": true });
            assert_eq!(links, Vec::from_iter(is_linked.then_some(&remembers)), "{case}");
            if first == Wrote && !matches!(object, Inventory) {
                assert_eq!(report.happened[0].changed[0].field, "name", "{case}");
            }
            if object != Shop {
                assert!(
                    report.about.is_some(),
                    "{case}: what is known of the record stays known"
                );
            }
        }
    }
}

#[tokio::test]
async fn what_was_written_before_the_record_was_found_gone_is_told_with_that() {
    let bench = Bench::new(Version::V18).await;
    let job = bench.claim(Object::Customer, 1).await;
    let shop = bench.engine.shop(&job.key.shop).unwrap();
    for (first, expected) in [
        (First::Nothing, "customer.deleted"),
        (First::Wrote, "customer.synced Updated, customer.deleted"),
        (First::Made, "customer.synced Created, customer.deleted"),
    ] {
        let writes = Writes::default();
        let subject = Subject {
            record: None,
            owner: "operator".to_owned(),
            mapping: None,
        };
        let flow = Flow::new(shop, &job, shop.mappings.borrow().clone(), subject, &writes);
        look(&flow, first);
        flow.tells_anew();
        // It is archived for that, which is told as its deletion.
        flow.did_write();
        flow.is_about(About::new(Object::Customer));
        flow.is_gone(Happening::CustomerDeleted);
        let mut report = Report::of(Outcome::Completed, "gone");
        flow.tell(&mut report);
        assert_eq!(texts(&report.happened), expected);
        if first != First::Nothing {
            let about = report.happened[0].about.as_ref().unwrap();
            assert_eq!(about.title.as_deref(), Some("as it was seen first"));
        }
    }
}

#[tokio::test]
async fn what_was_told_in_parting_is_remembered_in_the_link_as_it_is_stored_by_then() {
    let bench = Bench::new(Version::V18).await;
    let mut job = bench.claim(Object::Customer, 1).await;
    job.key.object = Object::Order;
    let shop = bench.engine.shop(&job.key.shop).unwrap();
    let writes = Writes::default();
    let subject = Subject {
        record: None,
        owner: "operator".to_owned(),
        mapping: None,
    };
    let flow = Flow::new(shop, &job, shop.mappings.borrow().clone(), subject, &writes);
    look(&flow, First::PartedUnchanged);
    flow.tells_anew();
    // The second look writes, and stores the link, before it fails.
    flow.did_write();
    flow.has_written_part("order_line");
    let mut link = order_link();
    link.agreed = json!({ "told": {}, "saving": "abc" });
    flow.has_linked(link);
    let mut report = Report::of(Outcome::Interrupted, "stopped");
    flow.tell(&mut report);
    assert_eq!(texts(&report.happened), "order.synced Updated, shipment.created");
    assert_eq!(report.happened[0].changed[0].field, "order_line");
    assert_eq!(
        report.links[0].agreed,
        json!({ "told": { "made": true }, "saving": "abc" })
    );
}

#[tokio::test]
async fn levels_that_several_looks_wrote_are_told_by_item() {
    let bench = Bench::new(Version::V18).await;
    let mut job = bench.claim(Object::Customer, 1).await;
    job.key.object = Object::Inventory;
    let shop = bench.engine.shop(&job.key.shop).unwrap();
    let writes = Writes::default();
    let subject = Subject {
        record: None,
        owner: "operator".to_owned(),
        mapping: None,
    };
    let flow = Flow::new(shop, &job, shop.mappings.borrow().clone(), subject, &writes);
    for names in [["a", "b"], ["b", "c"]] {
        flow.tells_anew();
        let mut written = item(Carried::Updated);
        written.changed = names.map(field).to_vec();
        flow.tells_in_parting(vec![written]);
        flow.tell(&mut Report::of(Outcome::Problem(problem()), "a problem"));
    }
    let told = second(&flow, First::Wrote, Outcome::Completed).happened;
    assert_eq!(texts(&told), "inventory.synced Updated");
    let fields: Vec<&str> = told[0].changed.iter().map(|one| one.field.as_str()).collect();
    assert_eq!(fields, ["a", "b", "c"]);
}
