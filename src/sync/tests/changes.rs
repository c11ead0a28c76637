//! Edits of orders that are confirmed in the ERP: written where it allows, told line by line where it does not.

use serde_json::json;

use super::bench::*;
use super::edits::{added, done, edit, pending, problem, removed, units};
use super::*;
use crate::sandbox::odoo::Fault;
use crate::sandbox::shopify::draft::OrderEdit;
use crate::sync::settings::Invoices;

pub(super) const BOTH: [Version; 2] = [Version::V18, Version::V19];

/// A confirmed order of three small shirts and shipping.
pub(super) async fn confirmed(bench: &Bench) -> (Vec<u64>, u64, String) {
    let (_, variants) = shirt(bench);
    let (id, name) = order(bench, everyday(Buyer::Customer(ada(bench)), variants[0]));
    done(bench, id).await;
    assert_eq!(bench.booked(&name).state, "sale");
    (variants, id, name)
}

/// The shop's own total of the order now.
pub(super) fn total(bench: &Bench, id: u64) -> Decimal {
    bench
        .shop
        .change(|shop| shop.order(id).unwrap().totals.current_total.shop)
}

/// What the order's open problem tells a person to do.
pub(super) async fn fix(bench: &Bench, id: u64) -> String {
    let filter = crate::store::JobFilter {
        source_id: Some(id.to_string()),
        limit: 1,
        ..Default::default()
    };
    let job = bench.store.jobs(filter).await.unwrap().remove(0);
    job.problem.expect("a problem").fix
}

#[tokio::test]
async fn lines_of_a_confirmed_order_are_added_changed_and_emptied_and_the_total_is_right() {
    for version in BOTH {
        let bench = Bench::new(version).await;
        let (variants, id, name) = confirmed(&bench).await;

        edit(&bench, id, &added(LineDraft::variant(variants[1], 2)));
        done(&bench, id).await;
        let booked = bench.booked(&name);
        assert_eq!(booked.amount_total, total(&bench, id), "{version:?}: a line more");
        assert_eq!(booked.lines.len(), 3, "{version:?}");
        // An edit that leaves something to be paid does not undo the confirmation.
        assert_eq!(booked.state, "sale", "{version:?}");

        edit(&bench, id, &removed(0, 1));
        done(&bench, id).await;
        let booked = bench.booked(&name);
        assert_eq!(booked.amount_total, total(&bench, id), "{version:?}: a unit less");
        assert_eq!(booked.lines[0].quantity, decimal("2"), "{version:?}");
        // The quantity alone would have brought the price list's price.
        assert_eq!(booked.lines[0].price_unit, decimal("19.99"), "{version:?}");

        edit(&bench, id, &removed(1, 2));
        done(&bench, id).await;
        let booked = bench.booked(&name);
        assert_eq!(booked.amount_total, total(&bench, id), "{version:?}: a line less");
        let shirts: Vec<_> = units(&booked.lines)
            .into_iter()
            .filter(|(sku, _)| sku.is_some_and(|sku| sku.starts_with("SHIRT")))
            .collect();
        assert_eq!(
            shirts,
            [(Some("SHIRT-S"), decimal("2")), (Some("SHIRT-M"), Decimal::ZERO)],
            "{version:?}"
        );
        // Nothing is left to do.
        let before = bench.erp.ledger().calls();
        done(&bench, id).await;
        let calls = bench.calls_since(&before);
        assert!(!calls.keys().any(|call| call.contains("load")), "{calls:?}");
    }
}

#[tokio::test]
async fn edits_that_came_one_by_one_or_all_at_once_leave_the_same_order() {
    for version in BOTH {
        let mut ends = Vec::new();
        for at_once in [false, true] {
            let bench = Bench::new(version).await;
            let (variants, id, name) = confirmed(&bench).await;
            for step in [
                added(LineDraft::variant(variants[1], 2)),
                removed(0, 1),
                removed(1, 1),
                added(LineDraft::custom("Gift wrap", decimal("2.50"), 1)),
            ] {
                edit(&bench, id, &step);
                if !at_once {
                    done(&bench, id).await;
                }
            }
            done(&bench, id).await;
            let booked = bench.booked(&name);
            assert_eq!(booked.amount_total, total(&bench, id), "{version:?}");
            let mut lines: Vec<_> = booked
                .lines
                .iter()
                .map(|line| {
                    (
                        line.sku.clone(),
                        line.name.clone(),
                        line.quantity,
                        line.price_unit,
                    )
                })
                .collect();
            lines.sort();
            ends.push((
                booked.state.clone(),
                booked.amount_total,
                booked.amount_tax,
                lines,
            ));
        }
        assert_eq!(ends[0], ends[1], "{version:?}");
    }
}

#[tokio::test]
async fn an_edit_that_the_erp_cuts_off_and_that_is_taken_back_leaves_nothing_behind() {
    for version in BOTH {
        let bench = Bench::new(version).await;
        let (variants, id, name) = confirmed(&bench).await;
        let before = bench.booked(&name);
        let both = OrderEdit {
            add: added(LineDraft::variant(variants[1], 1)).add,
            remove: vec![(0, 1)],
            ..OrderEdit::default()
        };
        edit(&bench, id, &both);
        bench.erp.faults().on("sale.order", "load", Fault::CloseAfter);
        assert!(problem(&bench, id).await.starts_with("erp_no_answer"));
        // Taken back: what was added goes, and a unit of the same comes again under a line of its own.
        edit(&bench, id, &removed(1, 1));
        edit(&bench, id, &added(LineDraft::variant(variants[0], 1)));
        done(&bench, id).await;
        let after = bench.booked(&name);
        assert_eq!(after.amount_total, total(&bench, id), "{version:?}");
        assert_eq!(after.amount_total, before.amount_total, "{version:?}");
        let shirts: Decimal = after
            .lines
            .iter()
            .filter(|line| line.sku.as_deref() == Some("SHIRT-S"))
            .map(|line| line.quantity)
            .sum();
        assert_eq!(shirts, decimal("3"), "{version:?}");
    }
}

#[tokio::test]
async fn a_locked_order_becomes_a_problem_that_tells_each_line_and_goes_on_when_it_was_followed() {
    for version in BOTH {
        let bench = Bench::new(version).await;
        let (variants, id, name) = confirmed(&bench).await;
        let booked = bench.booked(&name);
        bench.in_the_erp("sale.order", "action_lock", json!([[booked.id]]));
        let both = OrderEdit {
            add: added(LineDraft::variant(variants[1], 1)).add,
            remove: vec![(0, 1)],
            ..OrderEdit::default()
        };
        edit(&bench, id, &both);
        let why = problem(&bench, id).await;
        assert!(
            why.starts_with("order_changed_after_booking") && why.contains("is locked"),
            "{why}"
        );
        let fix = fix(&bench, id).await;
        assert!(
            fix.contains("set the quantity of Shirt - S from 3 to 2")
                && fix.contains("add 1 x Shirt - M at 21.99"),
            "{fix}"
        );
        assert_eq!(
            bench.booked(&name).lines,
            booked.lines,
            "{version:?}: nothing was written"
        );
        bench.in_the_erp("sale.order", "action_unlock", json!([[booked.id]]));
        done(&bench, id).await;
        assert_eq!(bench.booked(&name).amount_total, total(&bench, id), "{version:?}");
    }
}

#[tokio::test]
async fn what_people_have_invoiced_is_changed_by_people() {
    for (adds, obstacle) in [(false, "were invoiced"), (true, "is invoiced")] {
        let bench = Bench::new(Version::V18).await;
        let (variants, id, name) = confirmed(&bench).await;
        bench.erp.invoice(bench.booked(&name).id).unwrap();
        let before = bench.booked(&name);
        let change = if adds {
            added(LineDraft::variant(variants[1], 1))
        } else {
            removed(0, 1)
        };
        edit(&bench, id, &change);
        let why = problem(&bench, id).await;
        assert!(
            why.starts_with("order_changed_after_booking") && why.contains(obstacle),
            "{why}"
        );
        let after = bench.booked(&name);
        assert_eq!(units(&after.lines), units(&before.lines));
        assert_eq!(after.amount_total, before.amount_total);
    }
}

#[tokio::test]
async fn more_of_an_order_whose_invoices_lockstep_makes_is_booked() {
    let settings = Settings {
        invoices: Invoices::Draft,
        ..Settings::default()
    };
    let options = OdooOptions {
        services: services(),
        ..OdooOptions::version(Version::V18)
    };
    let bench = Bench::with(options, settings).await;
    let (variants, id, name) = confirmed(&bench).await;
    edit(&bench, id, &added(LineDraft::variant(variants[1], 1)));
    done(&bench, id).await;
    assert_eq!(bench.booked(&name).amount_total, total(&bench, id));
}

#[tokio::test]
async fn a_changed_order_that_does_not_come_out_right_shows_both_totals() {
    let bench = Bench::new(Version::V18).await;
    let (variants, id, name) = confirmed(&bench).await;
    // Somebody gave the order a line of their own in the ERP.
    let extra = json!([[bench.booked(&name).id], { "order_line": [[0, 0, {
        "product_id": bench.booked(&name).lines[0].product_id, "product_uom_qty": 1, "price_unit": 7.0, "name": "Extra",
    }]] }]);
    bench.in_the_erp("sale.order", "write", extra);
    edit(&bench, id, &added(LineDraft::variant(variants[1], 1)));
    let why = problem(&bench, id).await;
    let booked = bench.booked(&name);
    assert!(
        why.starts_with("total_differs")
            && why.contains(&total(&bench, id).to_string())
            && why.contains(&booked.amount_total.to_string()),
        "{why}"
    );
}

#[tokio::test]
async fn an_edited_order_that_rounds_differently_gets_a_rounding_line_that_may_go_again() {
    for version in BOTH {
        let options = OdooOptions {
            services: services(),
            rounding: Rounding::Globally,
            ..OdooOptions::version(version)
        };
        let bench = Bench::with(options, Settings::default()).await;
        let (_, variants) = shirt(&bench);
        // Each 0.13 with 19 % on top: the shop rounds each line's tax, the ERP their sum.
        let cheap = |variant: usize| LineDraft {
            price: Some(decimal("0.13")),
            ..LineDraft::variant(variants[variant], 1)
        };
        let mut draft = everyday(Buyer::Customer(ada(&bench)), variants[0]);
        draft.taxes_included = false;
        draft.shipping = Vec::new();
        draft.lines = vec![cheap(0)];
        let (id, name) = order(&bench, draft);
        done(&bench, id).await;
        assert_eq!(bench.booked(&name).lines.len(), 1, "{version:?}");
        edit(
            &bench,
            id,
            &OrderEdit {
                add: [added(cheap(1)).add, added(cheap(0)).add].concat(),
                ..OrderEdit::default()
            },
        );
        done(&bench, id).await;
        let booked = bench.booked(&name);
        assert_eq!(
            (booked.lines.len(), booked.amount_total),
            (4, total(&bench, id)),
            "{version:?}"
        );
        edit(&bench, id, &removed(2, 1));
        edit(&bench, id, &removed(1, 1));
        done(&bench, id).await;
        let booked = bench.booked(&name);
        assert_eq!(booked.amount_total, total(&bench, id), "{version:?}");
        assert!(
            booked.lines[3].price_total.is_zero(),
            "{version:?}: {:?}",
            booked.lines
        );
    }
}

#[tokio::test]
async fn a_quotation_that_was_edited_is_rewritten_as_before() {
    let bench = Bench::new(Version::V19).await;
    let (_, variants) = shirt(&bench);
    let (id, name) = pending(&bench, variants[0]);
    done(&bench, id).await;
    edit(&bench, id, &removed(0, 1));
    done(&bench, id).await;
    let booked = bench.booked(&name);
    assert_eq!(
        (booked.state.as_str(), booked.amount_total),
        ("draft", total(&bench, id))
    );
}
