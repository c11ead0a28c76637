//! What becomes of an order that is booked already: drafts follow Shopify, confirmed orders are left to people.

use serde_json::json;

use super::bench::*;
use super::changes::BOTH;
use super::*;
use crate::sandbox::odoo::{Fault, LineView};
use crate::sandbox::shopify::draft::{OrderEdit, OrderPatch};

pub(super) fn pending(bench: &Bench, variant: u64) -> (u64, String) {
    let mut draft = everyday(Buyer::Customer(ada(bench)), variant);
    draft.payment = Payment::Pending("bank_transfer".into());
    order(bench, draft)
}

pub(super) fn edit(bench: &Bench, id: u64, edit: &OrderEdit) {
    bench.shop.change(|shop| shop.edit_order(id, edit)).unwrap();
}

pub(super) fn added(line: LineDraft) -> OrderEdit {
    OrderEdit {
        add: vec![LineDraft {
            taxes: Some(vec![vat(19)]),
            ..line
        }],
        ..OrderEdit::default()
    }
}

pub(super) fn removed(position: usize, units: u32) -> OrderEdit {
    OrderEdit {
        remove: vec![(position, units)],
        ..OrderEdit::default()
    }
}

pub(super) fn units(lines: &[LineView]) -> Vec<(Option<&str>, Decimal)> {
    lines
        .iter()
        .map(|line| (line.sku.as_deref(), line.quantity))
        .collect()
}

pub(super) async fn done(bench: &Bench, id: u64) {
    let (state, why) = bench.sync(Object::Order, id).await;
    assert_eq!(state, JobState::Completed, "{why:?}");
}

pub(super) async fn problem(bench: &Bench, id: u64) -> String {
    let (state, why) = bench.sync(Object::Order, id).await;
    assert_eq!(state, JobState::Problem, "{why:?}");
    why.unwrap()
}

#[tokio::test]
async fn a_draft_loses_the_lines_that_an_edit_removed_and_keeps_those_of_people() {
    let bench = Bench::new(Version::V18).await;
    let (_, variants) = shirt(&bench);
    let (id, name) = pending(&bench, variants[0]);
    edit(&bench, id, &added(LineDraft::variant(variants[1], 1)));
    done(&bench, id).await;
    let booked = bench.booked(&name);
    assert_eq!(booked.lines.len(), 3);
    let note = json!([[booked.id], { "order_line": [[0, 0, { "display_type": "line_note", "name": "Call first" }]] }]);
    bench
        .erp
        .as_admin("sale.order", "write", note, json!({}))
        .unwrap();
    edit(&bench, id, &removed(1, 1));
    done(&bench, id).await;
    let booked = bench.booked(&name);
    let names: Vec<&str> = booked.lines.iter().map(|line| line.name.as_str()).collect();
    assert_eq!(names.len(), 3, "{names:?}");
    assert!(names.contains(&"Call first"), "{names:?}");
    assert!(
        !booked
            .lines
            .iter()
            .any(|line| line.sku.as_deref() == Some("SHIRT-M")),
        "{names:?}"
    );
}

#[tokio::test]
async fn a_draft_whose_totals_never_agreed_loses_the_wrong_line_too() {
    let bench = Bench::new(Version::V18).await;
    let (_, variants) = shirt(&bench);
    // A custom line at 7 % for which the mapping takes another tax.
    let mut draft = everyday(Buyer::Customer(ada(&bench)), variants[0]);
    draft.taxes_included = false;
    draft.payment = Payment::Pending("bank_transfer".into());
    draft.lines.push(LineDraft {
        taxes: Some(vec![vat(7)]),
        ..LineDraft::custom("Book", decimal("100.00"), 1)
    });
    bench.remap_orders(r#"rate = "tax.rate_percent""#, r#"rate = "'19' | decimal""#);
    let (id, name) = order(&bench, draft);
    assert!(problem(&bench, id).await.starts_with("total_differs"));
    assert_eq!(bench.booked(&name).lines.len(), 3);
    edit(&bench, id, &removed(1, 1));
    done(&bench, id).await;
    assert_eq!(bench.booked(&name).lines.len(), 2, "the book is gone");
}

#[tokio::test]
async fn an_edit_that_failed_half_way_and_was_taken_back_leaves_nothing_behind() {
    let bench = Bench::new(Version::V18).await;
    let (_, variants) = shirt(&bench);
    let (id, name) = pending(&bench, variants[0]);
    done(&bench, id).await;
    let before = bench.booked(&name);
    edit(&bench, id, &added(LineDraft::variant(variants[1], 1)));
    bench.erp.faults().on("sale.order", "load", Fault::CloseAfter);
    assert!(problem(&bench, id).await.starts_with("erp_no_answer"));
    assert_eq!(bench.booked(&name).lines.len(), 3, "the edit arrived");
    edit(&bench, id, &removed(1, 1));
    done(&bench, id).await;
    let after = bench.booked(&name);
    assert_eq!(units(&after.lines), units(&before.lines));
    assert_eq!(after.amount_total, before.amount_total);
}

#[tokio::test]
async fn a_draft_that_was_confirmed_by_hand_in_the_middle_of_an_edit_is_not_taken_for_the_sale() {
    let bench = Bench::new(Version::V18).await;
    let (_, variants) = shirt(&bench);
    let (id, name) = pending(&bench, variants[0]);
    done(&bench, id).await;
    let before = bench.booked(&name);
    edit(&bench, id, &added(LineDraft::variant(variants[1], 1)));
    bench.erp.faults().on("sale.order", "load", Fault::CloseAfter);
    problem(&bench, id).await;
    let order = json!([[bench.booked(&name).id]]);
    bench
        .erp
        .as_admin("sale.order", "action_confirm", order, json!({}))
        .unwrap();
    edit(&bench, id, &removed(1, 1));
    done(&bench, id).await;
    let after = bench.booked(&name);
    assert_eq!(after.amount_total, before.amount_total);
    assert!(
        units(&after.lines).contains(&(Some("SHIRT-M"), Decimal::ZERO)),
        "the line that was written and never confirmed by us counts for nothing: {:?}",
        after.lines
    );
}

#[tokio::test]
async fn an_order_that_changed_while_its_confirmation_had_no_answer_is_not_taken_for_booked() {
    let bench = Bench::new(Version::V18).await;
    let (_, variants) = shirt(&bench);
    let (id, name) = order(&bench, everyday(Buyer::Customer(ada(&bench)), variants[0]));
    bench
        .erp
        .faults()
        .on("sale.order", "action_confirm", Fault::CloseAfter);
    problem(&bench, id).await;
    assert_eq!(bench.booked(&name).state, "sale");
    let patch = OrderPatch {
        shipping_address: Some(berlin("Somerville")),
        ..OrderPatch::default()
    };
    bench.shop.change(|shop| shop.patch_order(id, patch)).unwrap();
    let why = problem(&bench, id).await;
    assert!(why.starts_with("order_changed_after_booking"), "{why}");
}

#[tokio::test]
async fn another_address_of_a_confirmed_order_is_left_to_a_person() {
    let bench = Bench::new(Version::V18).await;
    let (_, variants) = shirt(&bench);
    let (id, name) = order(&bench, everyday(Buyer::Customer(ada(&bench)), variants[0]));
    done(&bench, id).await;
    let before = bench.booked(&name);
    let patch = OrderPatch {
        shipping_address: Some(berlin("Somerville")),
        ..OrderPatch::default()
    };
    bench.shop.change(|shop| shop.patch_order(id, patch)).unwrap();
    let why = problem(&bench, id).await;
    assert!(
        why.starts_with("order_changed_after_booking") && why.contains("the shipping address"),
        "{why}"
    );
    assert_eq!(bench.booked(&name), before);
}

#[tokio::test]
async fn another_mapping_or_another_tax_is_no_change_of_a_confirmed_order() {
    let bench = Bench::new(Version::V18).await;
    let (_, variants) = shirt(&bench);
    let (id, name) = order(&bench, everyday(Buyer::Customer(ada(&bench)), variants[0]));
    done(&bench, id).await;
    let before = bench.booked(&name);
    bench.remap_orders("origin = \"order.name\"", "origin = \"'Shopify ' ~ order.name\"");
    let patch = OrderPatch {
        tags: Some(vec!["packed".into()]),
        ..OrderPatch::default()
    };
    bench.shop.change(|shop| shop.patch_order(id, patch)).unwrap();
    let (state, why) = bench.sync(Object::Order, id).await;
    assert_eq!(state, JobState::Completed);
    assert!(
        why.as_deref()
            .is_some_and(|why| why.contains("stays as it was booked")),
        "{why:?}"
    );
    assert_eq!(bench.booked(&name), before, "nothing was written");
    // Its tax was replaced by another record of the same rate.
    let domain = json!([[["amount", "=", 19], ["price_include", "=", true]]]);
    let old = bench
        .erp
        .as_admin("account.tax", "search", domain, json!({}))
        .unwrap();
    let copy = json!([{ "name": "19 % new", "amount": 19, "price_include_override": "tax_included", "type_tax_use": "sale" }]);
    bench
        .erp
        .as_admin("account.tax", "create", copy, json!({}))
        .unwrap();
    let values = json!([[old[0]], { "active": false }]);
    bench
        .erp
        .as_admin("account.tax", "write", values, json!({}))
        .unwrap();
    bench
        .engine
        .shop(&"main".parse().unwrap())
        .unwrap()
        .erp
        .forget_look_ups();
    done(&bench, id).await;
    // But a note counts where the mapping carries it.
    bench.remap_orders(
        "origin = \"order.name\"",
        "origin = { value = \"order.note\", missing = \"skip\" }",
    );
    let patch = OrderPatch {
        note: Some("Ring twice".into()),
        ..OrderPatch::default()
    };
    bench.shop.change(|shop| shop.patch_order(id, patch)).unwrap();
    done(&bench, id).await;
    let booked = bench.booked(&name);
    assert_eq!(booked.origin.as_deref(), Some("Ring twice"));
    assert_eq!(
        (&booked.lines, booked.amount_total),
        (&before.lines, before.amount_total)
    );
}

#[tokio::test]
async fn an_order_that_was_cancelled_in_the_erp_is_a_problem() {
    let bench = Bench::new(Version::V18).await;
    let (_, variants) = shirt(&bench);
    let (id, name) = order(&bench, everyday(Buyer::Customer(ada(&bench)), variants[0]));
    done(&bench, id).await;
    let flag = json!({ "context": { "disable_cancel_warning": true } });
    let order = json!([[bench.booked(&name).id]]);
    bench
        .erp
        .as_admin("sale.order", "action_cancel", order, flag)
        .unwrap();
    let why = problem(&bench, id).await;
    assert!(why.starts_with("cancelled_in_erp"), "{why}");
    assert_eq!(bench.booked(&name).state, "cancel");
}

#[tokio::test]
async fn a_cancellation_after_the_invoice_is_left_to_the_bookkeeper() {
    let bench = Bench::new(Version::V18).await;
    let (_, variants) = shirt(&bench);
    let (id, name) = order(&bench, everyday(Buyer::Customer(ada(&bench)), variants[0]));
    done(&bench, id).await;
    let booked = bench.booked(&name).id;
    bench.erp.invoice(booked).unwrap();
    bench
        .shop
        .change(|shop| shop.cancel_order(id, &Default::default()))
        .unwrap();
    let why = problem(&bench, id).await;
    assert!(why.starts_with("cancelled_after_invoice"), "{why}");
    assert_eq!(bench.booked(&name).state, "sale");
    // Credited and cancelled by hand: the retry finds nothing left to do.
    let flag = json!({ "context": { "disable_cancel_warning": true } });
    bench
        .erp
        .as_admin("sale.order", "action_cancel", json!([[booked]]), flag)
        .unwrap();
    done(&bench, id).await;
}

#[tokio::test]
async fn a_cancellation_unlocks_no_order_unless_the_shop_says_so() {
    for version in BOTH {
        for unlock_to_cancel in [false, true] {
            let options = OdooOptions {
                auto_lock: true,
                services: services(),
                ..OdooOptions::version(version)
            };
            let settings = Settings {
                unlock_to_cancel,
                ..Settings::default()
            };
            let bench = Bench::with(options, settings).await;
            let (_, variants) = shirt(&bench);
            let (id, name) = order(&bench, everyday(Buyer::Customer(ada(&bench)), variants[0]));
            done(&bench, id).await;
            let booked = bench.booked(&name);
            bench
                .shop
                .change(|shop| shop.cancel_order(id, &Default::default()))
                .unwrap();
            if !unlock_to_cancel {
                let why = problem(&bench, id).await;
                assert!(why.starts_with("cancelled_while_locked"), "{version:?} {why}");
                assert_eq!(bench.booked(&name).state, "sale", "{version:?}");
                assert_eq!(bench.erp.ledger().calls_of("sale.order", "action_unlock"), 0);
                bench.in_the_erp("sale.order", "action_unlock", json!([[booked.id]]));
            }
            done(&bench, id).await;
            assert_eq!(bench.booked(&name).state, "cancel", "{version:?}");
        }
    }
}

#[tokio::test]
async fn a_reference_that_somebody_changed_is_no_stranger_as_long_as_our_external_id_is_there() {
    let bench = Bench::new(Version::V18).await;
    bench.remap_orders(
        "client_order_ref = \"order.name\"",
        "client_order_ref = [{ value = \"order.po_number\" }, { value = \"order.name\" }]",
    );
    let (_, variants) = shirt(&bench);
    let mut draft = everyday(Buyer::Customer(ada(&bench)), variants[0]);
    draft.po_number = Some("PO-77".into());
    let (id, _) = order(&bench, draft);
    done(&bench, id).await;
    let booked = bench.booked("PO-77");
    done(&bench, id).await;
    let rename = json!([[booked.id], { "client_order_ref": "PO-78 (corrected)" }]);
    bench
        .erp
        .as_admin("sale.order", "write", rename, json!({}))
        .unwrap();
    done(&bench, id).await;
    assert_eq!(bench.booked("PO-78 (corrected)").state, "sale");
    bench
        .shop
        .change(|shop| shop.cancel_order(id, &Default::default()))
        .unwrap();
    done(&bench, id).await;
    assert_eq!(bench.booked("PO-78 (corrected)").state, "cancel");
}

#[tokio::test]
async fn a_strangers_order_under_a_known_number_is_not_touched() {
    let bench = Bench::new(Version::V18).await;
    let (_, variants) = shirt(&bench);
    let (id, name) = order(&bench, everyday(Buyer::Customer(ada(&bench)), variants[0]));
    done(&bench, id).await;
    let booked = bench.booked(&name);
    // As after a restore: another order has this number, and nothing of ours on it.
    let domain = json!([[["model", "=", "sale.order"], ["res_id", "=", booked.id]]]);
    let ids = bench
        .erp
        .as_admin("ir.model.data", "search", domain, json!({}))
        .unwrap();
    bench
        .erp
        .as_admin("ir.model.data", "unlink", json!([ids]), json!({}))
        .unwrap();
    let rename = json!([[booked.id], { "client_order_ref": "somebody else's" }]);
    bench
        .erp
        .as_admin("sale.order", "write", rename, json!({}))
        .unwrap();
    bench
        .shop
        .change(|shop| shop.cancel_order(id, &Default::default()))
        .unwrap();
    let why = problem(&bench, id).await;
    assert!(why.starts_with("erp_record_is_a_stranger"), "{why}");
    assert_eq!(bench.booked("somebody else's").state, "sale");
}

#[tokio::test]
async fn a_stage_of_the_mapping_can_cancel_an_order() {
    let bench = Bench::new(Version::V18).await;
    bench.remap_orders("pending = \"quotation\"", "pending = \"cancelled\"");
    let (_, variants) = shirt(&bench);
    let (id, name) = pending(&bench, variants[0]);
    assert_eq!(bench.sync(Object::Order, id).await.0, JobState::Obsolete);
    assert!(bench.erp.ledger().orders_by_reference(&name).is_empty());
    bench.remap_orders("voided = \"quotation\"", "voided = \"quotation\"");
    done(&bench, id).await;
    assert_eq!(bench.booked(&name).state, "draft");
    bench.remap_orders("pending = \"quotation\"", "pending = \"cancelled\"");
    done(&bench, id).await;
    assert_eq!(bench.booked(&name).state, "cancel");
}

#[tokio::test]
async fn what_is_written_at_creation_only_is_left_alone_later() {
    let bench = Bench::new(Version::V18).await;
    bench.remap_orders(
        "origin = \"order.name\"",
        "origin = { value = \"order.name\", on = \"create\" }",
    );
    let (_, variants) = shirt(&bench);
    let (id, name) = pending(&bench, variants[0]);
    done(&bench, id).await;
    let booked = bench.booked(&name);
    assert_eq!(booked.origin.as_deref(), Some(name.as_str()));
    let theirs = json!([[booked.id], { "origin": "Fair in Leipzig" }]);
    bench
        .erp
        .as_admin("sale.order", "write", theirs, json!({}))
        .unwrap();
    edit(&bench, id, &added(LineDraft::variant(variants[1], 1)));
    done(&bench, id).await;
    let booked = bench.booked(&name);
    assert_eq!(
        (booked.lines.len(), booked.origin.as_deref()),
        (3, Some("Fair in Leipzig"))
    );
}
