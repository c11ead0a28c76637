//! Odd lines, and what is told of an order.

use super::*;
use crate::domain::{AppliedDiscount, Payment as Movement};
use crate::sandbox::odoo::CustomField;

#[tokio::test]
async fn a_price_stays_when_a_person_changes_the_quantity_also_a_price_of_nothing() {
    for version in BOTH {
        let bench = Bench::with(options(version), Settings::default()).await;
        let (_, variants) = shirt(&bench);
        let mut draft = everyday(guest(), variants[0]);
        // The catalogue says 19.99.
        draft.lines[0].price = Some(decimal("11.11"));
        draft.lines.push(LineDraft {
            price: Some(Decimal::ZERO),
            ..LineDraft::variant(variants[1], 1)
        });
        let (id, name) = order(&bench, draft);
        done(&bench, id).await;
        let before: Vec<Decimal> = bench.booked(&name).lines.iter().map(|l| l.price_unit).collect();
        assert_eq!(before[..2], [decimal("11.11"), Decimal::ZERO]);
        for line in bench.booked(&name).lines {
            let values = json!([[line.id], { "product_uom_qty": 5 }]);
            bench.in_the_erp("sale.order.line", "write", values);
        }
        let after: Vec<Decimal> = bench.booked(&name).lines.iter().map(|l| l.price_unit).collect();
        assert_eq!(after, before, "{version:?}");
        // What the stand-in does to a price that is not made to stick.
        let line = bench.booked(&name).lines[0].id;
        let values = json!([[line], { "technical_price_unit": 11.11 }]);
        bench.in_the_erp("sale.order.line", "write", values);
        bench.in_the_erp(
            "sale.order.line",
            "write",
            json!([[line], { "product_uom_qty": 6 }]),
        );
        assert_ne!(bench.booked(&name).lines[0].price_unit, decimal("11.11"));
    }
}

#[tokio::test]
async fn lines_without_a_product_wait_for_a_person_where_the_shop_says_so() {
    for (is_custom, settings, code) in [
        (
            true,
            Settings {
                custom_lines: NoProduct::Problem,
                ..Settings::default()
            },
            "custom_line",
        ),
        (
            false,
            Settings {
                lines_of_deleted_products: NoProduct::Problem,
                ..Settings::default()
            },
            "deleted_product",
        ),
    ] {
        for (policy, settings) in [("problem", settings), ("fallback", Settings::default())] {
            let bench = otherwise(options(Version::V18), settings, move |order| {
                order.lines[0].is_custom = is_custom;
            })
            .await;
            let (id, name) = order(&bench, custom(&[("10.00", 1)], true));
            if policy == "problem" {
                let why = problem(&bench, id).await;
                assert!(why.starts_with(code) && why.contains("Goods"), "{why}");
                assert!(bench.erp.ledger().orders_by_reference(&name).is_empty());
            } else {
                done(&bench, id).await;
                assert_eq!(bench.booked(&name).state, "sale");
            }
        }
    }
}

#[tokio::test]
async fn a_high_risk_is_held_booked_or_left_alone_as_declared() {
    for policy in [HighRisk::Hold, HighRisk::Book, HighRisk::Skip] {
        let settings = Settings {
            high_risk: policy,
            ..Settings::default()
        };
        let bench = otherwise(options(Version::V19), settings, |order| order.risk = Risk::High).await;
        let (id, name) = order(&bench, custom(&[("10.00", 1)], true));
        let (state, why) = bench.sync(Object::Order, id).await;
        let why = why.unwrap_or_default();
        match policy {
            HighRisk::Book => assert_eq!(
                (state, bench.booked(&name).state.as_str()),
                (JobState::Completed, "sale")
            ),
            HighRisk::Skip => {
                assert_eq!(state, JobState::Obsolete, "{why}");
                assert!(why.contains("risk"), "{why}");
                assert!(bench.erp.ledger().orders_by_reference(&name).is_empty());
            }
            HighRisk::Hold => {
                assert_eq!(state, JobState::Problem, "{why}");
                assert!(why.starts_with("high_fraud_risk"), "{why}");
                let booked = bench.booked(&name);
                assert_eq!(
                    (booked.state.as_str(), booked.amount_total),
                    ("draft", decimal("10.00"))
                );
                assert!(bench.link(LinkKind::Order, id).await.is_some());
                let shop = "main".parse().unwrap();
                let preview = bench
                    .engine
                    .preview(&shop, Object::Order, ShopifyId(id))
                    .await
                    .unwrap();
                assert_eq!(preview.problem.unwrap().code.to_string(), "high_fraud_risk");
                // Told again as long as nobody decided; a person's confirmation settles it.
                assert!(problem(&bench, id).await.starts_with("high_fraud_risk"));
                bench.in_the_erp("sale.order", "action_confirm", json!([[booked.id]]));
                done(&bench, id).await;
                assert_eq!(bench.booked(&name).state, "sale");
            }
        }
    }
}

#[tokio::test]
async fn of_a_risky_order_from_before_the_start_no_payment_is_told() {
    let bench = Bench::adjusted(options(Version::V18), |context| {
        context.start_at = Some(Timestamp::parse_rfc3339("2099-01-01T00:00:00Z").unwrap());
        context.settings = Settings {
            high_risk: HighRisk::Hold,
            before_start: BeforeStart::Book,
            ..Settings::default()
        };
        context.source = Arc::new(Otherwise {
            shop: Arc::clone(&context.source),
            change: Arc::new(|order: &mut Order| order.risk = Risk::High),
        });
    })
    .await;
    let mut draft = custom(&[("10.00", 1)], true);
    draft.payment = Payment::Paid("shopify_payments".into());
    let (id, _) = order(&bench, draft);
    assert!(problem(&bench, id).await.starts_with("high_fraud_risk"));
    let mut told = bench.has_told();
    told.retain(|text| !text.starts_with("customer"));
    assert_eq!(told, ["order.synced Created"]);
}

#[tokio::test]
async fn a_gift_card_is_sold_on_its_service_and_needs_no_product() {
    let bench = otherwise(options(Version::V18), Settings::default(), |order| {
        order.lines[0].kind = LineKind::GiftCard;
        order.lines[0].is_custom = false;
    })
    .await;
    let (_, variants) = shirt(&bench);
    let mut draft = custom(&[], true);
    draft.taxes = Vec::new();
    draft.lines = vec![LineDraft::variant(variants[0], 1)];
    let (id, name) = order(&bench, draft);
    done(&bench, id).await;
    let line = &bench.booked(&name).lines[0];
    let code = bench.in_the_erp(
        "product.product",
        "read",
        json!([[line.product_id], ["default_code"]]),
    );
    assert_eq!(code[0]["default_code"], "GIFT_CARD");
    assert!(
        bench.link(LinkKind::Variant, variants[0]).await.is_none(),
        "nobody needs the product"
    );
}

#[tokio::test]
async fn a_part_of_a_bundle_is_its_own_product_and_names_the_bundle() {
    let bench = Bench::with(options(Version::V18), Settings::default()).await;
    let (_, variants) = shirt(&bench);
    let mut draft = everyday(guest(), variants[0]);
    draft.lines = vec![
        LineDraft {
            group: Some(("Summer set".into(), 1)),
            ..LineDraft::variant(variants[0], 2)
        },
        LineDraft {
            group: Some(("Summer set".into(), 1)),
            ..LineDraft::variant(variants[1], 1)
        },
    ];
    draft.shipping = Vec::new();
    let (id, name) = order(&bench, draft);
    done(&bench, id).await;
    let booked = bench.booked(&name);
    assert_eq!(booked.lines.len(), 2, "{:?}", booked.lines);
    for line in &booked.lines {
        assert!(line.name.ends_with("Summer set"), "{}", line.name);
    }
}

#[tokio::test]
async fn each_payment_and_each_discount_stands_in_a_line_of_its_own() {
    for version in BOTH {
        let fields = ["x_shopify_payments", "x_shopify_discounts"];
        let options = OdooOptions {
            custom_fields: fields
                .map(|name| CustomField::new("sale.order", name, "text"))
                .to_vec(),
            ..options(version)
        };
        let bench = otherwise(options, Settings::default(), |order| {
            let paid = order.payments[0].clone();
            order.payments = vec![
                Movement {
                    id: ShopifyId(11),
                    status: "FAILURE".into(),
                    reference: None,
                    ..paid.clone()
                },
                Movement {
                    id: ShopifyId(12),
                    reference: Some("pay \"12\"".into()),
                    ..paid
                },
            ];
            let off = |code: Option<&str>, amount: &str| AppliedDiscount {
                title: "Autumn".into(),
                code: code.map(str::to_owned),
                kind: "order".into(),
                amount: decimal(amount),
            };
            order.discounts = vec![off(Some("FIVE"), "5.00"), off(None, "0.50")];
        })
        .await;
        let (id, name) = order(&bench, custom(&[("10.00", 1)], true));
        done(&bench, id).await;
        let booked = bench.booked(&name).id;
        let read = || bench.in_the_erp("sale.order", "read", json!([[booked], fields]))[0].clone();
        let rows = |field: &str| -> Vec<serde_json::Value> {
            let text = read()[field].as_str().unwrap().to_owned();
            text.lines()
                .map(|line| serde_json::from_str(line).unwrap())
                .collect()
        };
        let payments = rows("x_shopify_payments");
        assert_eq!(payments.len(), 2, "{version:?} {payments:?}");
        for (row, (id, status, reference)) in payments.iter().zip([
            ("11", "FAILURE", json!(null)),
            ("12", "SUCCESS", json!("pay \"12\"")),
        ]) {
            assert_eq!(
                (&row["id"], &row["status"], &row["reference"]),
                (&json!(id), &json!(status), &reference)
            );
            assert_eq!(
                (&row["amount"], &row["gateway"]),
                (&json!("10"), &json!("shopify_payments"))
            );
        }
        assert_eq!(
            rows("x_shopify_discounts"),
            [
                json!({"code": "FIVE", "title": "Autumn", "kind": "order", "amount": "5"}),
                json!({"title": "Autumn", "kind": "order", "amount": "0.5"}),
            ],
            "{version:?}"
        );
        // Told once, they are no change.
        let calls = bench.erp.ledger().calls();
        done(&bench, id).await;
        let since = bench.calls_since(&calls);
        assert!(!since.keys().any(|call| call.contains("write")), "{since:?}");
    }
}

#[tokio::test]
async fn optional_fields_are_written_where_the_erp_has_them_and_follow_after_confirmation() {
    // None of the x_shopify fields is there: left out, and the order is booked.
    let bench = Bench::with(options(Version::V18), Settings::default()).await;
    let (id, _) = order(&bench, custom(&[("10.00", 1)], true));
    done(&bench, id).await;
    // A field that is there stands for them; the shop tags the order after it was confirmed and locked.
    let tagged = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let seen = Arc::clone(&tagged);
    let bench = otherwise(options(Version::V18), Settings::default(), move |order| {
        if seen.load(std::sync::atomic::Ordering::Relaxed) {
            order.tags = vec!["vip".into(), "gift".into()];
        }
    })
    .await;
    bench.remap_orders(
        r#"origin = "order.name""#,
        r#"origin = { value = "order.tags | joined(', ')", missing = "clear", optional = true }"#,
    );
    let (id, name) = order(&bench, custom(&[("10.00", 1)], true));
    done(&bench, id).await;
    let booked = bench.booked(&name);
    assert_eq!((booked.state.as_str(), booked.origin), ("sale", None));
    bench.in_the_erp("sale.order", "action_lock", json!([[booked.id]]));
    tagged.store(true, std::sync::atomic::Ordering::Relaxed);
    done(&bench, id).await;
    let booked = bench.booked(&name);
    assert_eq!((booked.state.as_str(), booked.locked), ("sale", true));
    assert_eq!(booked.origin.as_deref(), Some("vip, gift"));
    let calls = bench.erp.ledger().calls();
    done(&bench, id).await;
    let since = bench.calls_since(&calls);
    assert!(
        !since
            .keys()
            .any(|call| call.contains("write") || call.contains("save")),
        "{since:?}"
    );
}

#[tokio::test]
async fn a_preview_and_the_jobs_story_explain_every_number() {
    let bench = Bench::with(options(Version::V18), Settings::default()).await;
    let mut draft = custom(&[("10.00", 3), ("5.00", 1)], true);
    draft.discounts = vec![Discount {
        kind: DiscountKind::Code("SAVE".into()),
        value: DiscountValue::Amount(decimal("1.00")),
        target: DiscountTarget::Lines(vec![0]),
        method: AllocationMethod::Across,
    }];
    let (id, _) = order(&bench, draft);
    let shop = "main".parse().unwrap();
    let preview = bench
        .engine
        .preview(&shop, Object::Order, ShopifyId(id))
        .await
        .unwrap();
    let explanation = preview.explanation.unwrap();
    assert_eq!(
        explanation.lines[0].how,
        "3 x 10.00 less 1.00 of discounts = 29.00; the discount is a row of its own"
    );
    let rows: Vec<String> = explanation.lines[0]
        .rows
        .iter()
        .map(|row| {
            format!(
                "{} x {} = {}",
                row.quantity.normalize(),
                row.unit_price,
                row.amount
            )
        })
        .collect();
    assert_eq!(rows, ["3 x 10.00 = 30.00", "1 x -1.00 = -1.00"]);
    assert_eq!(
        (explanation.shop.total, explanation.erp.as_ref()),
        (decimal("34.00"), None)
    );
    assert_eq!(explanation.discounts[0].amount, decimal("1.00"));

    done(&bench, id).await;
    let preview = bench
        .engine
        .preview(&shop, Object::Order, ShopifyId(id))
        .await
        .unwrap();
    let explanation = preview.explanation.unwrap();
    let erp = explanation.erp.unwrap();
    assert_eq!(
        (erp.net + erp.tax, erp.total),
        (decimal("34.00"), decimal("34.00"))
    );
    let discount = explanation.lines[0].rows[1].erp.clone().unwrap();
    // -1.00 with 19 % in it: 0.16 of tax.
    assert_eq!(
        (discount.gross, discount.tax),
        (decimal("-1.00"), decimal("-0.16"))
    );
    assert!(explanation.further.is_empty());

    let filter = crate::store::JobFilter {
        object: Some(Object::Order),
        limit: 1,
        ..Default::default()
    };
    let job = bench.store.jobs(filter).await.unwrap().remove(0);
    let story = bench.store.job(job.id).await.unwrap().unwrap();
    let detail = story.attempts.last().unwrap().detail.to_string();
    assert!(
        detail.contains("explained") && detail.contains("the discount is a row of its own"),
        "{detail}"
    );
}
