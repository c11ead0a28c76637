//! What is told of a confirmed order later: other remarks, another address, another buyer, a risk; and what people did about it.

use std::sync::atomic::{AtomicBool, Ordering};

use super::super::changes::{confirmed, fix, total};
use super::super::edits::{added, edit};
use super::*;
use crate::sandbox::shopify::draft::OrderPatch;
use crate::sync::settings::{Guests, HighRisk};

fn patch(bench: &Bench, id: u64, patch: OrderPatch) {
    bench.shop.change(|shop| shop.patch_order(id, patch)).unwrap();
}

/// Fields of the order in the ERP.
fn stored(bench: &Bench, order: i64, field: &str) -> serde_json::Value {
    bench.in_the_erp("sale.order", "read", json!([[order], [field]]))[0][field].clone()
}

/// The number after the last `word` of this text.
fn number(text: &str, word: &str) -> i64 {
    let (_, rest) = text.rsplit_once(word).unwrap();
    let digits: String = rest.trim().chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap()
}

#[tokio::test]
async fn a_note_is_written_on_a_locked_order_once_and_keeps_nothing_else_from_being_done() {
    for version in BOTH {
        let bench = Bench::new(version).await;
        let (_, id, name) = confirmed(&bench).await;
        let before = bench.booked(&name);
        bench.in_the_erp("sale.order", "action_lock", json!([[before.id]]));
        // A field of the mapping that has nothing to do with it, and that somebody changed.
        let theirs = json!([[before.id], { "origin": "Fair in Leipzig" }]);
        bench.in_the_erp("sale.order", "write", theirs);
        let ring = OrderPatch {
            note: Some("Ring twice".into()),
            ..OrderPatch::default()
        };
        patch(&bench, id, ring);
        done(&bench, id).await;
        let note = stored(&bench, before.id, "note");
        assert!(
            note.as_str().is_some_and(|note| note.contains("Ring twice")),
            "{note}"
        );
        let after = bench.booked(&name);
        assert_eq!(after.origin.as_deref(), Some("Fair in Leipzig"), "{version:?}");
        assert_eq!(after.lines, before.lines);
        let calls = bench.erp.ledger().calls();
        done(&bench, id).await;
        let calls = bench.calls_since(&calls);
        assert!(
            !calls
                .keys()
                .any(|call| call.contains("write") || call.contains("load")),
            "{calls:?}"
        );
    }
}

#[tokio::test]
async fn another_address_is_told_after_the_edits_were_made_and_needs_nobody_once_the_erp_has_it() {
    for version in BOTH {
        let bench = Bench::new(version).await;
        let (variants, id, name) = confirmed(&bench).await;
        let elsewhere = OrderPatch {
            shipping_address: Some(berlin("Somerville")),
            ..OrderPatch::default()
        };
        patch(&bench, id, elsewhere);
        edit(&bench, id, &added(LineDraft::variant(variants[1], 1)));
        let why = problem(&bench, id).await;
        assert!(
            why.starts_with("order_changed_after_booking") && why.contains("the shipping address"),
            "{why}"
        );
        let booked = bench.booked(&name);
        assert_eq!(
            (booked.lines.len(), booked.amount_total),
            (3, total(&bench, id)),
            "{version:?}"
        );
        let told = fix(&bench, id).await;
        assert!(
            told.contains("set the delivery address from")
                && told.contains("Lovelace")
                && told.contains("Somerville"),
            "{told}"
        );
        // It stays a problem, and nothing is written for it.
        assert!(problem(&bench, id).await.contains("the shipping address"));
        assert_eq!(bench.booked(&name), booked);
        let there = json!([[booked.id], { "partner_shipping_id": number(&told, "(contact ") }]);
        bench.in_the_erp("sale.order", "write", there);
        done(&bench, id).await;
        // It is remembered: what a person does there later is theirs.
        let link = bench.link(LinkKind::Order, id).await.unwrap();
        let partner = stored(&bench, booked.id, "partner_id")[0].clone();
        bench.in_the_erp(
            "sale.order",
            "write",
            json!([[booked.id], { "partner_shipping_id": partner }]),
        );
        done(&bench, id).await;
        assert_eq!(
            bench.link(LinkKind::Order, id).await.unwrap().agreed["fingerprint"],
            link.agreed["fingerprint"]
        );
    }
}

#[tokio::test]
async fn another_buyer_who_is_the_same_partner_is_no_change() {
    let settings = Settings {
        guests: Guests::PerOrder,
        ..Settings::default()
    };
    let bench = Bench::with(options(Version::V18), settings).await;
    let (_, variants) = shirt(&bench);
    let (id, name) = order(&bench, everyday(guest(), variants[0]));
    done(&bench, id).await;
    let booked = bench.booked(&name);
    let known = bench.link(LinkKind::Order, id).await.unwrap().agreed["fingerprint"]["sale"]["buyer"].clone();
    let other = OrderPatch {
        email: Some("countess@example.com".into()),
        ..OrderPatch::default()
    };
    patch(&bench, id, other);
    done(&bench, id).await;
    assert_eq!(bench.booked(&name), booked);
    let now = bench.link(LinkKind::Order, id).await.unwrap().agreed["fingerprint"]["sale"]["buyer"].clone();
    assert_ne!(now, known, "and it is known as it is now");
}

/// The problem that a preview foresees.
async fn foreseen(bench: &Bench, id: u64) -> Option<String> {
    let shop = "main".parse().unwrap();
    let preview = bench.engine.preview(&shop, Object::Order, ShopifyId(id)).await;
    preview.unwrap().problem.map(|problem| problem.code.0)
}

#[tokio::test]
async fn a_risk_that_is_told_after_the_confirmation_holds_what_follows_until_somebody_says_yes() {
    let settings = Settings {
        high_risk: HighRisk::Hold,
        invoices: crate::sync::settings::Invoices::Draft,
        ..Settings::default()
    };
    let told = Arc::new(AtomicBool::new(false));
    let risky = Arc::clone(&told);
    let bench = otherwise(options(Version::V19), settings, move |order| {
        if risky.load(Ordering::SeqCst) {
            order.risk = Risk::High;
        }
    })
    .await;
    let (id, name) = order(&bench, custom(&[("10.00", 1)], true));
    done(&bench, id).await;
    told.store(true, Ordering::SeqCst);
    // A preview says what the job would say, and that the next retry is the yes.
    assert_eq!(foreseen(&bench, id).await.as_deref(), Some("high_fraud_risk"));
    let why = problem(&bench, id).await;
    assert!(
        why.starts_with("high_fraud_risk") && why.contains("confirmed in the ERP"),
        "{why}"
    );
    assert_eq!(foreseen(&bench, id).await, None);
    // Something else happened on Shopify: that is nobody's yes.
    edit(
        &bench,
        id,
        &added(LineDraft::custom("Gift wrap", decimal("2.50"), 1)),
    );
    assert_eq!(foreseen(&bench, id).await.as_deref(), Some("high_fraud_risk"));
    assert!(problem(&bench, id).await.starts_with("high_fraud_risk"));
    // A retry is, and it is asked once.
    done(&bench, id).await;
    edit(
        &bench,
        id,
        &added(LineDraft::custom("Ribbon", decimal("1.50"), 1)),
    );
    done(&bench, id).await;
    assert_eq!(bench.booked(&name).amount_total, total(&bench, id));
}

#[tokio::test]
async fn a_line_that_a_person_added_as_told_is_found_and_never_doubled() {
    for version in BOTH {
        let bench = Bench::new(version).await;
        let (variants, id, name) = confirmed(&bench).await;
        let booked = bench.booked(&name);
        bench.in_the_erp("sale.order", "action_lock", json!([[booked.id]]));
        edit(&bench, id, &added(LineDraft::variant(variants[1], 1)));
        problem(&bench, id).await;
        let told = fix(&bench, id).await;
        assert!(told.contains("add 1 x Shirt - M at 21.99"), "{told}");
        bench.in_the_erp("sale.order", "action_unlock", json!([[booked.id]]));
        let line = json!([[booked.id], { "order_line": [[0, 0, {
            "product_id": number(&told, "(product "), "product_uom_qty": 1, "price_unit": 21.99, "name": "Shirt M",
            (if version == Version::V18 { "tax_id" } else { "tax_ids" }): [[6, 0, [number(&told, "taxes ")]]],
        }]] }]);
        bench.in_the_erp("sale.order", "write", line);
        bench.in_the_erp("sale.order", "action_lock", json!([[booked.id]]));
        done(&bench, id).await;
        let booked = bench.booked(&name);
        assert_eq!(
            (booked.lines.len(), booked.amount_total),
            (3, total(&bench, id)),
            "{version:?}"
        );
        done(&bench, id).await;
        // Another change is made, and nothing is added beside the person's line.
        bench.in_the_erp("sale.order", "action_unlock", json!([[booked.id]]));
        edit(&bench, id, &super::super::edits::removed(0, 1));
        done(&bench, id).await;
        let after = bench.booked(&name);
        assert_eq!(
            (after.lines.len(), after.amount_total),
            (3, total(&bench, id)),
            "{version:?}"
        );
        // A change of the person's own line is the person's again.
        edit(&bench, id, &super::super::edits::removed(1, 1));
        let why = problem(&bench, id).await;
        assert!(why.contains("was added by hand"), "{why}");
        let mine = json!([[booked.lines[2].id], { "product_uom_qty": 0 }]);
        bench.in_the_erp("sale.order.line", "write", mine);
        done(&bench, id).await;
        assert_eq!(bench.booked(&name).amount_total, total(&bench, id), "{version:?}");
    }
}
