//! Previews: exactly what would be written, and nothing is.

use serde_json::{Value, json};

use super::bench::*;
use super::changes::{BOTH, confirmed};
use super::edits::problem;
use super::*;
use crate::sandbox::odoo::Fault;
use crate::sandbox::shopify::draft::OrderEdit;

async fn preview(bench: &Bench, object: Object, id: u64) -> Preview {
    bench
        .engine
        .preview(&"main".parse().unwrap(), object, ShopifyId(id))
        .await
        .unwrap()
}

/// What would be done, to what, and which fields with their values now and then.
type Shown = (String, String, Vec<(String, Option<String>, String)>);

fn shown(preview: &Preview) -> Vec<Shown> {
    preview
        .writes
        .iter()
        .map(|write| {
            let fields = write
                .fields
                .iter()
                .map(|field| (field.field.clone(), field.now.clone(), field.then.clone()))
                .collect();
            (write.action.clone(), write.model.clone(), fields)
        })
        .collect()
}

fn actions(preview: &Preview) -> Vec<(String, String)> {
    shown(preview)
        .into_iter()
        .map(|(action, model, _)| (action, model))
        .collect()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected
        .iter()
        .map(|(action, model)| ((*action).to_owned(), (*model).to_owned()))
        .collect()
}

#[tokio::test]
async fn a_new_order_is_shown_with_all_that_is_made_for_it_and_nothing_is_written() {
    let bench = Bench::new(Version::V18).await;
    let (product, variants) = shirt(&bench);
    let guest = Buyer::Guest {
        email: Some("guest@example.com".into()),
        phone: None,
    };
    let (id, _) = order(&bench, everyday(guest, variants[0]));
    assert_eq!(bench.sync(Object::Product, product).await.0, JobState::Completed);
    let calls = bench.erp.ledger().calls();
    let preview = preview(&bench, Object::Order, id).await;
    assert!(
        preview.verdict.contains("would be created and confirmed"),
        "{}",
        preview.verdict
    );
    let expected = [
        ("create", "res.partner"),
        ("create", "res.partner"),
        ("create", "res.partner"),
        ("create", "sale.order"),
        ("create", "sale.order.line"),
        ("create", "sale.order.line"),
        ("confirm", "sale.order"),
    ];
    assert_eq!(actions(&preview), pairs(&expected));
    // A guest is made under the name that the flow gives them, not as customer 0.
    assert!(
        preview.writes[0].record.starts_with("guest_"),
        "{}",
        preview.writes[0].record
    );
    let header = &preview.writes[3];
    let then = |name: &str| {
        let field = header.fields.iter().find(|field| field.field == name);
        field.map(|field| (field.then.as_str(), field.source.as_str()))
    };
    assert_eq!(then("warehouse_id"), Some(("#1", "declared for the shop")));
    assert_eq!(then("partner_id").map(|(then, _)| then), Some("(made first)"));
    let price = preview.writes[4]
        .fields
        .iter()
        .find(|field| field.field == "price_unit");
    assert_eq!(price.unwrap().then, "19.99");
    let written = bench.calls_since(&calls);
    assert!(
        !written
            .keys()
            .any(|call| call.contains("load") || call.contains("write")),
        "{written:?}"
    );
    assert!(bench.erp.ledger().orders().is_empty());
}

#[tokio::test]
async fn a_booked_order_shows_nothing_and_after_an_edit_exactly_the_edited_line() {
    for version in [Version::V18, Version::V19] {
        let bench = Bench::new(version).await;
        let (_, variants) = shirt(&bench);
        let mut draft = everyday(Buyer::Customer(ada(&bench)), variants[0]);
        draft.lines.push(LineDraft::variant(variants[1], 1));
        draft.payment = Payment::Pending("bank_transfer".into());
        let (id, name) = order(&bench, draft);
        assert_eq!(bench.sync(Object::Order, id).await.0, JobState::Completed);
        let nothing = preview(&bench, Object::Order, id).await;
        assert!(nothing.verdict.contains("is up to date"), "{}", nothing.verdict);
        assert!(nothing.writes.is_empty(), "{:?}", nothing.writes);

        let edit = OrderEdit {
            remove: vec![(0, 1), (1, 1)],
            ..OrderEdit::default()
        };
        bench.shop.change(|shop| shop.edit_order(id, &edit)).unwrap();
        let line = ("product_uom_qty".to_owned(), Some("3".to_owned()), "2".to_owned());
        let update = |field| ("update".to_owned(), "sale.order.line".to_owned(), vec![field]);
        let removed = ("remove".to_owned(), "sale.order.line".to_owned(), Vec::new());
        let edited = preview(&bench, Object::Order, id).await;
        assert_eq!(shown(&edited), [update(line), removed], "{version:?}");
        assert_eq!(bench.booked(&name).lines.len(), 3, "nothing was written");

        bench.shop.change(|shop| shop.pay_order(id)).unwrap();
        assert_eq!(bench.sync(Object::Order, id).await.0, JobState::Completed);
        let done = preview(&bench, Object::Order, id).await;
        assert!(done.writes.is_empty(), "{:?}", done.writes);
        bench
            .shop
            .change(|shop| shop.cancel_order(id, &Default::default()))
            .unwrap();
        let cancelled = preview(&bench, Object::Order, id).await;
        assert_eq!(actions(&cancelled), pairs(&[("cancel", "sale.order")]));
    }
}

#[tokio::test]
async fn a_linked_product_shows_only_what_shopify_changed() {
    for version in [Version::V18, Version::V19] {
        let bench = Bench::new(version).await;
        let (id, variants) = shirt(&bench);
        let new = preview(&bench, Object::Product, id).await;
        assert_eq!(new.verdict, "a product would be created");
        assert_eq!(new.writes.len(), 3, "template and two variants");
        assert_eq!(bench.sync(Object::Product, id).await.0, JobState::Completed);
        assert_eq!(bench.sync(Object::Product, id).await.0, JobState::Completed);
        let nothing = preview(&bench, Object::Product, id).await;
        assert!(nothing.verdict.contains("is up to date"), "{}", nothing.verdict);
        assert!(nothing.writes.is_empty(), "{:?}", nothing.writes);
        bench
            .shop
            .change(|shop| {
                shop.edit_variant(variants[1], |variant| variant.sku = Some("SHIRT-MEDIUM".into()))
            })
            .unwrap();
        let changed = preview(&bench, Object::Product, id).await;
        let sku = (
            "default_code".to_owned(),
            Some("SHIRT-M".to_owned()),
            "SHIRT-MEDIUM".to_owned(),
        );
        let expected = ("update".to_owned(), "product.product".to_owned(), vec![sku]);
        assert_eq!(shown(&changed), [expected], "{version:?}");
    }
}

#[tokio::test]
async fn a_product_that_may_be_there_already_shows_the_candidates() {
    let bench = Bench::new(Version::V18).await;
    let values = serde_json::json!([{ "name": "Old shirt", "default_code": "SHIRT-S" }]);
    bench
        .erp
        .as_admin("product.template", "create", values, serde_json::json!({}))
        .unwrap();
    let (id, _) = shirt(&bench);
    let proposed = preview(&bench, Object::Product, id).await;
    assert!(proposed.verdict.contains("need a person"), "{}", proposed.verdict);
    assert!(proposed.writes.is_empty(), "{:?}", proposed.writes);
}

/// The first problem of the steps of a kind, and that the job then tells of the same.
async fn refused(bench: &Bench, id: u64, act: Act, code: &str) {
    let preview = preview(bench, Object::Order, id).await;
    let step = preview.steps.iter().find(|step| step.act == act);
    let told = step.and_then(|step| step.problem.as_ref());
    assert_eq!(
        told.map(|told| told.code.0.as_str()),
        Some(code),
        "{:?}",
        preview.steps
    );
    let why = problem(bench, id).await;
    assert!(why.starts_with(&format!("{code}:")), "{why}");
}

async fn posting(version: Version) -> Bench {
    let options = OdooOptions {
        services: services(),
        ..OdooOptions::version(version)
    };
    let settings = Settings {
        invoices: Invoices::Post,
        fulfillments: Fulfillments::Validate,
        ..Settings::default()
    };
    Bench::with(options, settings).await
}

fn write(bench: &Bench, model: &str, ids: Value, values: Value) {
    bench.in_the_erp(model, "write", json!([ids, values]));
}

#[tokio::test]
async fn an_invoice_that_would_be_refused_is_shown_as_refused() {
    for version in BOTH {
        for (fault, act, code) in [
            (Fault::CloseBefore, Act::Invoice, "total_differs"),
            (Fault::CloseAfter, Act::Post, "invoice_total_differs"),
        ] {
            let is_made = act == Act::Post;
            let bench = posting(version).await;
            let (_, variants) = shirt(&bench);
            let (id, name) = order(&bench, everyday(Buyer::Customer(ada(&bench)), variants[0]));
            let faults = bench.erp.faults();
            faults.on("sale.advance.payment.inv", "create_invoices", fault);
            assert!(problem(&bench, id).await.starts_with("erp_no_answer"));
            let price = json!({ "price_unit": 25 });
            if is_made {
                let draft = bench.erp.ledger().invoices()[0].id;
                let domain = json!([[["move_id", "=", draft], ["display_type", "=", "product"]]]);
                let items = bench.in_the_erp("account.move.line", "search", domain);
                write(&bench, "account.move.line", json!([items[0]]), price);
            } else {
                let line = bench.booked(&name).lines[0].id;
                write(&bench, "sale.order.line", json!([line]), price);
            }
            refused(&bench, id, act, code).await;
        }
    }
}

#[tokio::test]
async fn a_parcel_that_would_be_refused_is_shown_as_refused() {
    for version in BOTH {
        for is_kit in [true, false] {
            let bench = posting(version).await;
            let (_, id, name) = confirmed(&bench).await;
            let line = bench.booked(&name).lines[0].id;
            let domain = json!([[["sale_line_id", "=", line]]]);
            let moves = bench.in_the_erp("stock.move", "search", domain);
            let values = if is_kit {
                let part = json!({ "name": "Cloth", "type": "consu" });
                json!({ "product_id": bench.made_in_the_erp("product.product", part) })
            } else {
                json!({ "product_uom_qty": 1 })
            };
            write(&bench, "stock.move", moves, values);
            bench.shop.change(|shop| shop.fulfill_order(id, None)).unwrap();
            refused(&bench, id, Act::Deliver, "delivery_by_hand").await;
        }
    }
}
