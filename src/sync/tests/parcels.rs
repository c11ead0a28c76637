//! Parcels of Shopify and deliveries of the ERP; and all that can happen to an order, in any order.

use std::collections::BTreeMap;

use serde_json::json;

use super::bench::*;
use super::changes::{BOTH, confirmed, fix};
use super::edits::{added, done, problem, removed};
use super::*;
use crate::sandbox::odoo::{Fault, PickingView};
use crate::sandbox::shopify::draft::{OrderEdit, RefundDraft};

async fn bench(version: Version, fulfillments: Fulfillments) -> Bench {
    let options = OdooOptions {
        services: services(),
        ..OdooOptions::version(version)
    };
    let settings = Settings {
        fulfillments,
        refunds: Refunds::CreditNote,
        ..Settings::default()
    };
    Bench::with(options, settings).await
}

fn send(bench: &Bench, id: u64, lines: Option<&[(usize, u32)]>) -> u64 {
    bench.shop.change(|shop| shop.fulfill_order(id, lines)).unwrap()
}

/// Deliveries in a state: tracking number, and units that were moved by SKU.
fn deliveries(bench: &Bench, name: &str, state: &str) -> Vec<PickingView> {
    let mut all = bench.booked(name).pickings;
    all.retain(|picking| picking.kind == "outgoing" && picking.state == state);
    all
}

fn moved(pickings: &[PickingView]) -> BTreeMap<String, Decimal> {
    let mut units = BTreeMap::new();
    for line in pickings.iter().flat_map(|picking| &picking.lines) {
        if !line.quantity.is_zero() {
            *units
                .entry(line.sku.clone().unwrap_or_default())
                .or_insert(Decimal::ZERO) += line.quantity;
        }
    }
    units
}

#[tokio::test]
async fn parcels_carry_out_the_delivery_with_quantities_and_tracking_and_keep_the_rest_open() {
    for version in BOTH {
        let bench = bench(version, Fulfillments::Validate).await;
        let (_, id, name) = confirmed(&bench).await;
        let first = send(&bench, id, Some(&[(0, 2)]));
        done(&bench, id).await;
        done(&bench, id).await;
        let sent = deliveries(&bench, &name, "done");
        assert_eq!(sent.len(), 1, "{version:?}");
        assert_eq!(
            moved(&sent),
            [("SHIRT-S".to_owned(), decimal("2"))].into(),
            "{version:?}"
        );
        assert_eq!(sent[0].tracking, Some(format!("00340{first}")), "{version:?}");
        let open: Vec<_> = bench
            .booked(&name)
            .pickings
            .into_iter()
            .filter(|picking| !["done", "cancel"].contains(&picking.state.as_str()))
            .collect();
        assert_eq!(open.len(), 1, "{version:?}: what is left stays open");
        assert_eq!(open[0].backorder_of, Some(sent[0].id), "{version:?}");
        let second = send(&bench, id, None);
        done(&bench, id).await;
        let sent = deliveries(&bench, &name, "done");
        assert_eq!(
            moved(&sent),
            [("SHIRT-S".to_owned(), decimal("3"))].into(),
            "{version:?}"
        );
        let tracking: Vec<_> = sent
            .iter()
            .filter_map(|picking| picking.tracking.clone())
            .collect();
        assert_eq!(
            tracking,
            [format!("00340{first}"), format!("00340{second}")],
            "{version:?}"
        );
    }
}

#[tokio::test]
async fn a_delivery_whose_answer_is_lost_is_not_carried_out_twice() {
    for version in BOTH {
        let bench = bench(version, Fulfillments::Validate).await;
        let (_, id, name) = confirmed(&bench).await;
        send(&bench, id, Some(&[(0, 2)]));
        bench.erp.faults().on("stock.picking", "write", Fault::CloseAfter);
        assert!(problem(&bench, id).await.starts_with("erp_no_answer"));
        // Whether this one was carried out is looked at, at once.
        bench
            .erp
            .faults()
            .on("stock.picking", "button_validate", Fault::CloseAfter);
        done(&bench, id).await;
        done(&bench, id).await;
        let sent = deliveries(&bench, &name, "done");
        assert_eq!(
            moved(&sent),
            [("SHIRT-S".to_owned(), decimal("2"))].into(),
            "{version:?}"
        );
    }
}

#[tokio::test]
async fn what_the_supplier_sends_to_the_customer_has_left() {
    for version in BOTH {
        let options = OdooOptions {
            services: services(),
            dropship: true,
            ..OdooOptions::version(version)
        };
        let settings = Settings {
            fulfillments: Fulfillments::Validate,
            ..Settings::default()
        };
        let bench = Bench::with(options, settings).await;
        let (_, id, name) = confirmed(&bench).await;
        send(&bench, id, Some(&[(0, 2)]));
        done(&bench, id).await;
        // The rest by hand, before Shopify tells of it.
        let pickings = bench.booked(&name).pickings;
        let units: Vec<_> = pickings.iter().map(|it| (&*it.kind, &*it.state)).collect();
        assert_eq!(
            units,
            [("dropship", "done"), ("dropship", "confirmed")],
            "{version:?}"
        );
        let left = json!([[pickings[1].lines[0].id], { "quantity": 1, "picked": true }]);
        bench.in_the_erp("stock.move", "write", left);
        bench.in_the_erp("stock.picking", "button_validate", json!([[pickings[1].id]]));
        send(&bench, id, None);
        done(&bench, id).await;
        let pickings = bench.booked(&name).pickings;
        assert_eq!(
            moved(&pickings),
            [("SHIRT-S".to_owned(), decimal("3"))].into(),
            "{version:?}"
        );
        assert_eq!(pickings.len(), 2, "{version:?}");
    }
}

#[tokio::test]
async fn an_order_that_was_sent_before_it_came_reserves_nothing() {
    for version in BOTH {
        let bench = bench(version, Fulfillments::Validate).await;
        let (_, variants) = shirt(&bench);
        // As at the till: no buyer, no address, taken away at once.
        let draft = OrderDraft {
            source_name: "pos".into(),
            shipping: Vec::new(),
            shipping_address: None,
            billing_address: None,
            ..everyday(Buyer::Nobody, variants[0])
        };
        let (id, name) = order(&bench, draft);
        send(&bench, id, None);
        done(&bench, id).await;
        let pickings = bench.booked(&name).pickings;
        assert!(
            pickings.iter().all(|picking| picking.state == "done"),
            "{version:?}: {pickings:?}"
        );
    }
}

#[tokio::test]
async fn a_step_in_the_warehouse_that_stays_open_after_all_was_sent_is_told() {
    for version in BOTH {
        let bench = bench(version, Fulfillments::Validate).await;
        let (_, id, name) = confirmed(&bench).await;
        let held = bench.booked(&name);
        let pick = bench.made_in_the_erp(
            "stock.picking",
            json!({ "name": "WH/PICK/00001", "sale_id": held.id, "picking_type_code": "internal" }),
        );
        let line = &held.lines[0];
        bench.made_in_the_erp(
            "stock.move",
            json!({
                "product_id": line.product_id, "product_uom_qty": 3, "sale_line_id": line.id, "picking_id": pick,
            }),
        );
        send(&bench, id, Some(&[(0, 2)]));
        // Something is still to be picked for the rest.
        done(&bench, id).await;
        send(&bench, id, None);
        let why = problem(&bench, id).await;
        assert!(
            why.starts_with("transfer_left_open") && why.contains("WH/PICK/00001"),
            "{version:?}: {why}"
        );
        assert_eq!(deliveries(&bench, &name, "done").len(), 2, "{version:?}");
        bench.in_the_erp("stock.picking", "action_cancel", json!([[pick]]));
        done(&bench, id).await;
    }
}

#[tokio::test]
async fn left_alone_or_left_to_a_person_nothing_is_delivered() {
    for version in BOTH {
        let leaves = bench(version, Fulfillments::Leave).await;
        let (_, id, name) = confirmed(&leaves).await;
        send(&leaves, id, None);
        done(&leaves, id).await;
        assert!(deliveries(&leaves, &name, "done").is_empty(), "{version:?}");

        let holds = bench(version, Fulfillments::Hold).await;
        let (_, id, name) = confirmed(&holds).await;
        done(&holds, id).await;
        let parcel = send(&holds, id, None);
        let why = problem(&holds, id).await;
        assert!(
            why.starts_with("delivery_by_hand") && why.contains("3 x Shirt"),
            "{why}"
        );
        assert!(fix(&holds, id).await.contains(&format!("00340{parcel}")));
        assert!(deliveries(&holds, &name, "done").is_empty(), "{version:?}");
        // A person does it.
        let picking = &holds.booked(&name).pickings[0];
        let moves: Vec<_> = picking
            .lines
            .iter()
            .map(|line| json!([1, line.id, { "quantity": 3, "picked": true }]))
            .collect();
        holds.in_the_erp(
            "stock.picking",
            "write",
            json!([[picking.id], { "move_ids": moves }]),
        );
        holds.in_the_erp("stock.picking", "button_validate", json!([[picking.id]]));
        done(&holds, id).await;
    }
}

#[tokio::test]
async fn history_is_booked_without_moving_stock_or_mailing_anybody() {
    for version in BOTH {
        let options = OdooOptions {
            services: services(),
            ..OdooOptions::version(version)
        };
        let bench = Bench::adjusted(options, |shop| {
            shop.start_at = Some(Timestamp::parse_rfc3339("2099-01-01T00:00:00Z").unwrap());
            shop.settings.before_start = BeforeStart::Book;
            shop.settings.fulfillments = Fulfillments::Validate;
            shop.settings.invoices = Invoices::Post;
        })
        .await;
        let (_, id, name) = confirmed(&bench).await;
        send(&bench, id, None);
        done(&bench, id).await;
        let booked = bench.booked(&name);
        assert_eq!(booked.state, "sale", "{version:?}");
        assert!(
            booked.pickings.iter().all(|picking| picking.state == "cancel"),
            "{version:?}: {:?}",
            booked.pickings
        );
        assert!(bench.erp.ledger().invoices().is_empty(), "{version:?}");
        assert!(bench.erp.ledger().mails().is_empty(), "{version:?}");
    }
}

#[tokio::test]
async fn an_order_that_was_cancelled_after_the_erp_delivered_it_tells_what_is_to_come_back() {
    for version in BOTH {
        let bench = bench(version, Fulfillments::Leave).await;
        let (_, id, name) = confirmed(&bench).await;
        let line = bench.booked(&name).lines[0].id;
        let set = |units: u32| {
            let values = json!([[line], { "qty_delivered": units }]);
            bench.in_the_erp("sale.order.line", "write", values);
        };
        set(3);
        bench
            .shop
            .change(|shop| shop.cancel_order(id, &Default::default()))
            .unwrap();
        let why = problem(&bench, id).await;
        assert!(why.starts_with("cancelled_after_delivery"), "{why}");
        assert!(fix(&bench, id).await.contains("take back 3 x Shirt"));
        assert_eq!(bench.booked(&name).state, "sale", "{version:?}");
        set(0);
        done(&bench, id).await;
        assert_eq!(bench.booked(&name).state, "cancel", "{version:?}");
    }
}

/// Something that happens to an order.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Event {
    Paid,
    Added,
    Removed,
    Sent,
    Returned,
    Goodwill,
    Cancelled,
}

/// Lets it happen; `false` where the shop does not allow it now.
fn happen(bench: &Bench, id: u64, event: Event, variant: u64) -> bool {
    let is_paid = bench
        .shop
        .change(|shop| !shop.order(id).unwrap().totals.received.is_zero());
    let settle = is_paid.then(|| "shopify_payments".to_owned());
    bench.shop.change(|shop| match event {
        Event::Paid => shop.pay_order(id).is_ok(),
        Event::Added => {
            let change = OrderEdit {
                settle,
                ..added(LineDraft::variant(variant, 2))
            };
            shop.edit_order(id, &change).is_ok()
        }
        Event::Removed => {
            let change = OrderEdit {
                settle,
                ..removed(0, 1)
            };
            shop.edit_order(id, &change).is_ok()
        }
        Event::Sent => shop.fulfill_order(id, None).is_ok(),
        Event::Returned => is_paid && shop.refund_order(id, &RefundDraft::returned(0, 1)).is_ok(),
        Event::Goodwill => {
            is_paid
                && shop
                    .refund_order(id, &RefundDraft::goodwill(decimal("2.50")))
                    .is_ok()
        }
        Event::Cancelled => shop.cancel_order(id, &Default::default()).is_ok(),
    })
}

/// What stands in the ERP for an order.
#[derive(Debug, PartialEq)]
struct End {
    state: String,
    total: Decimal,
    tax: Decimal,
    lines: BTreeMap<String, Decimal>,
    delivered: BTreeMap<String, Decimal>,
    credited: Vec<Decimal>,
    paid: Vec<Decimal>,
}

fn end(bench: &Bench, name: &str) -> Option<End> {
    let ledger = bench.erp.ledger();
    let booked = ledger.orders_by_reference(name).into_iter().next()?;
    let mut lines = BTreeMap::new();
    for line in booked.lines.iter().filter(|line| !line.quantity.is_zero()) {
        *lines
            .entry(line.sku.clone().unwrap_or_else(|| line.name.clone()))
            .or_insert(Decimal::ZERO) += line.quantity;
    }
    let mut credited: Vec<Decimal> = ledger
        .invoices()
        .iter()
        .filter(|document| document.kind == "out_refund" && document.origin.as_ref() == Some(&booked.name))
        .map(|document| document.amount_total)
        .collect();
    let mut paid: Vec<Decimal> = ledger
        .payments()
        .iter()
        .filter(|payment| {
            payment
                .memo
                .as_ref()
                .is_some_and(|memo| memo.starts_with(&format!("{name} ")))
        })
        .map(|payment| payment.amount)
        .collect();
    credited.sort();
    paid.sort();
    Some(End {
        delivered: moved(&deliveries(bench, name, "done")),
        state: booked.state,
        total: booked.amount_total,
        tax: booked.amount_tax,
        lines,
        credited,
        paid,
    })
}

fn permutations(events: &[Event]) -> Vec<Vec<Event>> {
    if events.is_empty() {
        return vec![Vec::new()];
    }
    let mut all = Vec::new();
    for (at, first) in events.iter().enumerate() {
        let mut rest = events.to_vec();
        rest.remove(at);
        for mut tail in permutations(&rest) {
            tail.insert(0, *first);
            all.push(tail);
        }
    }
    all
}

#[tokio::test]
async fn whatever_happens_in_whatever_order_ends_the_same_however_late_it_is_seen() {
    use Event::*;
    // What may come between: each family in every order, on one of the versions; the long ones on both.
    let long = [
        vec![Paid, Added, Sent, Returned, Goodwill],
        vec![Sent, Paid, Returned, Added, Removed],
        vec![Added, Removed, Paid, Goodwill, Sent, Returned],
    ];
    for (version, families) in [
        (
            Version::V18,
            [vec![Paid, Sent, Returned], vec![Paid, Removed, Cancelled]],
        ),
        (
            Version::V19,
            [vec![Paid, Removed, Sent], vec![Paid, Added, Goodwill]],
        ),
    ] {
        let options = OdooOptions {
            services: services(),
            ..OdooOptions::version(version)
        };
        let settings = Settings {
            fulfillments: Fulfillments::Validate,
            refunds: Refunds::CreditNote,
            payments: Payments::Register,
            refund_payments: Payments::Register,
            journals: [("shopify_payments".to_owned(), "Bank".to_owned())].into(),
            ..Settings::default()
        };
        let bench = Bench::with(options, settings).await;
        let (_, variants) = shirt(&bench);
        let customer = ada(&bench);
        let histories = families
            .iter()
            .flat_map(|family| permutations(family))
            .chain(long.clone());
        let (mut compared, mut never_made) = (0, 0);
        for history in histories {
            let mut ends: Vec<Option<End>> = Vec::new();
            // Seen after each event, and only at the end.
            for every in [1, usize::MAX] {
                let mut draft = everyday(Buyer::Customer(customer), variants[0]);
                draft.payment = Payment::Pending("shopify_payments".into());
                let (id, name) = order(&bench, draft);
                if every == 1 {
                    done(&bench, id).await;
                }
                for (position, event) in history.iter().enumerate() {
                    happen(&bench, id, *event, variants[1]);
                    if (position + 1) % every == 0 {
                        let (state, why) = bench.sync(Object::Order, id).await;
                        assert!(
                            matches!(state, JobState::Completed | JobState::Obsolete),
                            "{version:?} {history:?} after {event:?}: {why:?}"
                        );
                    }
                }
                // Once more at the end, which changes nothing where all was seen before.
                let (state, why) = bench.sync(Object::Order, id).await;
                assert!(
                    matches!(state, JobState::Completed | JobState::Obsolete),
                    "{version:?} {history:?}: {why:?}"
                );
                ends.push(end(&bench, &name));
            }
            // An order that was cancelled before it was ever seen is never made.
            if ends[1].is_none() {
                assert_eq!(ends[0].as_ref().map(|end| end.state.as_str()), Some("cancel"));
                never_made += 1;
                continue;
            }
            assert_eq!(ends[0], ends[1], "{version:?} {history:?}");
            compared += 1;
        }
        let expected = if version == Version::V18 { (9, 6) } else { (15, 0) };
        assert_eq!((compared, never_made), expected, "{version:?}");
    }
}
