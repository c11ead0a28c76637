//! Booking: totals and taxes are proven before anything is confirmed, and what was lost on the way is made up for.

use serde_json::json;

use super::bench::*;
use super::*;
use crate::sandbox::odoo::Fault;

/// The rate by which the shipped mapping looks a tax up.
const RATE: &str = r#"rate = "tax.rate_percent""#;

/// Has taxes looked up by another rate, so that the ERP computes something else than the shop did.
fn bend_taxes(bench: &Bench, rate: &str) {
    bench.remap_orders(RATE, &format!(r#"rate = "{rate}""#));
}

/// Has taxes looked up by their own rate again.
fn straighten_taxes(bench: &Bench) {
    bench.remap_orders(RATE, RATE);
}

fn globally(version: Version) -> OdooOptions {
    OdooOptions {
        services: services(),
        rounding: Rounding::Globally,
        ..OdooOptions::version(version)
    }
}

/// An order of custom goods: price, units, tax in percent.
fn goods(lines: &[(&str, u32, i64)], taxes_included: bool) -> OrderDraft {
    let lines = lines
        .iter()
        .map(|(price, units, tax)| LineDraft {
            taxes: Some(vec![vat(*tax)]),
            ..LineDraft::custom("Goods", decimal(price), *units)
        })
        .collect();
    OrderDraft {
        buyer: Buyer::Guest {
            email: Some("ada@example.com".into()),
            phone: None,
        },
        lines,
        taxes_included,
        payment: Payment::Paid("shopify_payments".into()),
        billing_address: Some(berlin("Byron")),
        ..OrderDraft::default()
    }
}

#[tokio::test]
async fn another_total_leaves_a_quotation_and_a_problem_with_both_totals_until_the_cause_is_mended() {
    let bench = Bench::new(Version::V18).await;
    bend_taxes(&bench, "tax.rate_percent | plus('6')");
    let (id, name) = order(&bench, goods(&[("100.00", 1, 19)], false));
    let (state, why) = bench.sync(Object::Order, id).await;
    assert_eq!(state, JobState::Problem);
    let why = why.unwrap();
    for part in ["total_differs", "119", "125", "-6.00", "left a quotation"] {
        assert!(why.contains(part), "{part}: {why}");
    }
    assert_eq!(bench.booked(&name).state, "draft");

    straighten_taxes(&bench);
    let (state, why) = bench.sync(Object::Order, id).await;
    assert_eq!(state, JobState::Completed, "{why:?}");
    let booked = bench.booked(&name);
    assert_eq!(
        (booked.state.as_str(), booked.amount_total),
        ("sale", decimal("119.00"))
    );
}

#[tokio::test]
async fn another_tax_within_the_same_total_is_a_problem() {
    let bench = Bench::new(Version::V19).await;
    bend_taxes(&bench, "tax.rate_percent | minus('12')");
    let (id, name) = order(&bench, goods(&[("119.00", 1, 19)], true));
    let (state, why) = bench.sync(Object::Order, id).await;
    assert_eq!(state, JobState::Problem);
    let why = why.unwrap();
    assert!(
        // 119.00 with 19 % in it holds 19.00 of tax, with 7 % in it 7.79 (119 / 1.07 x 0.07 = 7.785).
        why.contains("tax_differs") && why.contains("the tax differs by 11.21"),
        "{why}"
    );
    assert_eq!(bench.booked(&name).state, "draft");
}

#[tokio::test]
async fn taxes_that_changed_places_are_a_problem_although_all_sums_are_equal() {
    let bench = Bench::new(Version::V18).await;
    let both = [("119.00", 1, 19), ("119.00", 1, 7)];
    let (first, name) = order(&bench, goods(&both, true));
    let (state, why) = bench.sync(Object::Order, first).await;
    assert_eq!(state, JobState::Completed, "{why:?}");
    assert_eq!(bench.booked(&name).amount_tax, decimal("26.79"));
    bend_taxes(&bench, "tax.rate_percent | negate | plus('26')");
    let (id, name) = order(&bench, goods(&both, true));
    let (state, why) = bench.sync(Object::Order, id).await;
    assert_eq!(state, JobState::Problem);
    let why = why.unwrap();
    assert!(why.contains("tax_differs"), "{why}");
    assert!(
        why.contains("the tax of 19 % is 19.00 on Shopify and 7.79 in the ERP"),
        "{why}"
    );
    let booked = bench.booked(&name);
    assert_eq!(
        (booked.state.as_str(), booked.amount_tax),
        ("draft", decimal("26.79"))
    );
}

#[tokio::test]
async fn another_currency_is_a_problem_that_names_both() {
    let options = OdooOptions {
        services: services(),
        currencies: vec!["USD".into()],
        ..OdooOptions::version(Version::V18)
    };
    let bench = Bench::with(options, Settings::default()).await;
    // The shipped mapping would ask for a price list in the order's currency first.
    bench.remap_orders(
        r#"  { when = "settings.company_currency is present and order.currency != settings.company_currency", look_up = { kind = "pricelist", currency = "order.currency" } },
"#,
        "",
    );
    let domain = json!([[["name", "=", "USD"]]]);
    let dollar = bench
        .erp
        .as_admin("res.currency", "search", domain, json!({}))
        .unwrap();
    let values = json!([[1], { "currency_id": dollar[0] }]);
    bench
        .erp
        .as_admin("res.company", "write", values, json!({}))
        .unwrap();
    let (id, name) = order(&bench, goods(&[("10.00", 1, 19)], true));
    let (state, why) = bench.sync(Object::Order, id).await;
    assert_eq!(state, JobState::Problem);
    let why = why.unwrap();
    assert!(
        why.contains("The order is in EUR, the ERP made it in USD"),
        "{why}"
    );
    assert_eq!(bench.booked(&name).state, "draft");
}

#[tokio::test]
async fn a_cent_is_rounded_on_a_visible_line_with_a_name_of_its_own() {
    let bench = Bench::with(globally(Version::V18), Settings::default()).await;
    let (id, name) = order(&bench, goods(&[("9.99", 3, 20)], true));
    let (state, why) = bench.sync(Object::Order, id).await;
    assert_eq!(state, JobState::Completed, "{why:?}");
    let booked = bench.booked(&name);
    // The ERP makes 29.98 of it, the shop 29.97.
    assert_eq!(
        (booked.state.as_str(), booked.amount_total),
        ("sale", decimal("29.97"))
    );
    let [_, rounding] = booked.lines.as_slice() else {
        panic!("{:?}", booked.lines)
    };
    assert_eq!(
        (rounding.name.as_str(), rounding.price_unit),
        ("Rounding", decimal("-0.01"))
    );
    // The shop's own cash rounding has the key `rounding`: it must not be taken for this one.
    let expected = format!("__lockstep_main__.order_{id}_total_rounding");
    assert_eq!(rounding.external_ids, [expected]);
}

#[tokio::test]
async fn a_rounding_line_goes_when_an_edit_makes_it_needless() {
    let bench = Bench::with(globally(Version::V18), Settings::default()).await;
    let mut draft = goods(&[("9.99", 3, 20)], true);
    draft.payment = Payment::Pending("bank_transfer".into());
    let (id, name) = order(&bench, draft);
    let (state, why) = bench.sync(Object::Order, id).await;
    assert_eq!(state, JobState::Completed, "{why:?}");
    assert_eq!(bench.booked(&name).lines.len(), 2, "goods and rounding");
    let edit = crate::sandbox::shopify::draft::OrderEdit {
        add: vec![LineDraft {
            taxes: Some(vec![vat(20)]),
            ..LineDraft::custom("More", decimal("9.99"), 3)
        }],
        ..Default::default()
    };
    bench.shop.change(|shop| shop.edit_order(id, &edit)).unwrap();
    let (state, why) = bench.sync(Object::Order, id).await;
    assert_eq!(state, JobState::Completed, "{why:?}");
    let booked = bench.booked(&name);
    assert_eq!(booked.amount_total, decimal("59.94"));
    assert!(
        booked.lines.iter().all(|line| line.name != "Rounding"),
        "{:?}",
        booked.lines
    );
}

#[tokio::test]
async fn the_rounding_limit_is_for_all_of_the_line_however_it_grew() {
    let settings = Settings {
        rounding_limit: decimal("0.01"),
        ..Settings::default()
    };
    let bench = Bench::with(globally(Version::V18), settings).await;
    let mut draft = goods(&[("9.99", 3, 20)], true);
    draft.payment = Payment::Pending("bank_transfer".into());
    let (id, name) = order(&bench, draft);
    let (state, why) = bench.sync(Object::Order, id).await;
    assert_eq!(state, JobState::Completed, "{why:?}");
    // With these the ERP's total is another cent too high.
    let more = [("5.00", 5), ("5.13", 7), ("5.01", 10)].map(|(price, tax)| LineDraft {
        taxes: Some(vec![vat(tax)]),
        ..LineDraft::custom("More", decimal(price), 1)
    });
    let edit = crate::sandbox::shopify::draft::OrderEdit {
        add: more.to_vec(),
        ..Default::default()
    };
    bench.shop.change(|shop| shop.edit_order(id, &edit)).unwrap();
    let (state, why) = bench.sync(Object::Order, id).await;
    assert_eq!(state, JobState::Problem);
    let why = why.unwrap();
    assert!(
        why.contains("without its rounding line of -0.01 the total differs by -0.02"),
        "{why}"
    );
    assert_eq!(bench.booked(&name).state, "draft");
}

#[tokio::test]
async fn a_confirmation_without_an_answer_is_completed_with_the_date_of_the_sale() {
    // The answer is lost after the confirmation; or the confirmation is known and the date was not written.
    for (method, fault) in [
        ("action_confirm", Fault::CloseAfter),
        ("web_save", Fault::CloseBefore),
    ] {
        for pending in [true, false] {
            let bench = Bench::new(Version::V18).await;
            let mut draft = goods(&[("10.00", 1, 19)], true);
            // The ERP would date it to the present.
            draft.processed_at = Some(chrono::DateTime::from_timestamp(1_700_000_000, 0).unwrap());
            if pending {
                draft.payment = Payment::Pending("bank_transfer".into());
            }
            let (id, name) = order(&bench, draft);
            if pending {
                assert_eq!(bench.sync(Object::Order, id).await.0, JobState::Completed);
                bench.shop.change(|shop| shop.pay_order(id)).unwrap();
            }
            bench.erp.faults().on("sale.order", method, fault.clone());
            assert_eq!(
                bench.sync(Object::Order, id).await.0,
                JobState::Problem,
                "{method}"
            );
            assert_eq!(bench.booked(&name).state, "sale", "{method}");
            let (state, why) = bench.sync(Object::Order, id).await;
            assert_eq!(state, JobState::Completed, "{method}: {why:?}");
            let dated = bench.booked(&name).date_order.unwrap().and_utc().timestamp();
            assert_eq!(dated, 1_700_000_000, "{method}, pending at first: {pending}");
            // Somebody's later date is theirs.
            let order = bench.booked(&name).id;
            let values = json!([[order], { "date_order": "2024-02-03 04:05:06" }]);
            bench
                .erp
                .as_admin("sale.order", "write", values, json!({}))
                .unwrap();
            for _ in 0..2 {
                assert_eq!(bench.sync(Object::Order, id).await.0, JobState::Completed);
            }
            let kept = bench.booked(&name).date_order.unwrap();
            assert_eq!(kept.to_string(), "2024-02-03 04:05:06", "{method}");
        }
    }
}

#[tokio::test]
async fn one_bad_order_among_a_hundred_is_one_problem_and_the_others_are_booked() {
    let bench = Bench::new(Version::V18).await;
    let orders: Vec<(u64, String)> = (0..101)
        .map(|n| {
            let tax = if n == 50 { 13 } else { 19 };
            order(&bench, goods(&[("10.00", 1, tax)], true))
        })
        .collect();
    let mut problems = Vec::new();
    for (id, name) in &orders {
        match bench.sync(Object::Order, *id).await {
            (JobState::Completed, _) => assert_eq!(bench.booked(name).state, "sale"),
            (JobState::Problem, why) => problems.push(why.unwrap()),
            other => panic!("{name}: {other:?}"),
        }
    }
    assert_eq!(bench.erp.ledger().orders().len(), 100);
    assert_eq!(problems.len(), 1);
    assert!(problems[0].contains("13"), "{problems:?}");
}
