//! The way back, between the stand-in ERP and the stand-in shop.

mod catalogue;
mod first;
mod identity;
mod looks;
mod missed;
mod push;
mod random;
pub(super) mod safety;
mod storm;
mod values;

use serde_json::json;

use super::bench::*;
use super::*;
use crate::domain::LinkKind;
use crate::sandbox::shopify::facts::ProductStatus;

const TRUTH: &str = "truth = \"shopify\"";

/// Both files of an object with another truth.
fn truth<'a>(of_in: &'a str, of_out: &'a str, to: &'a str) -> [(&'a str, &'a str, &'a str); 2] {
    [(of_in, TRUTH, to), (of_out, TRUTH, to)]
}

pub(super) fn prices(bench: &Bench, product: u64) -> Vec<Decimal> {
    bench.shop.read(|shop| {
        let product = shop.product(product).unwrap();
        product.variants.iter().map(|variant| variant.price).collect()
    })
}

fn title(bench: &Bench, product: u64) -> String {
    bench
        .shop
        .read(|shop| shop.product(product).unwrap().title.clone())
}

/// The ERP's id of a linked record.
pub(super) async fn theirs(bench: &Bench, kind: LinkKind, id: u64) -> i64 {
    bench.link(kind, id).await.unwrap().erp_id.0
}

pub(super) fn write(bench: &Bench, model: &str, id: i64, values: serde_json::Value) {
    bench.in_the_erp(model, "write", json!([[id], values]));
}

pub(super) fn read(bench: &Bench, model: &str, id: i64) -> serde_json::Value {
    bench.erp.ledger().record(model, id).unwrap()
}

/// Runs a job that must end well; returns what it did.
pub(super) fn completed(state: (JobState, Option<String>)) -> String {
    let (state, summary) = state;
    assert_eq!(state, JobState::Completed, "{summary:?}");
    summary.unwrap_or_default()
}

/// Both directions find nothing to do.
async fn is_quiet(bench: &Bench, object: Object, ours: u64, theirs: i64) {
    for _ in 0..2 {
        let back = completed(bench.sync(object, ours).await);
        assert!(back.ends_with("up to date"), "in: {back}");
        let there = completed(bench.send(object, theirs).await);
        assert!(there.ends_with("up to date"), "out: {there}");
    }
}

#[tokio::test]
async fn an_edit_in_the_erp_arrives_and_its_echo_ends_quietly() {
    for version in [Version::V18, Version::V19] {
        let bench = Bench::both_ways(version, &[]).await;
        let (product, _) = shirt(&bench);
        completed(bench.sync(Object::Product, product).await);
        let template = theirs(&bench, LinkKind::Product, product).await;
        is_quiet(&bench, Object::Product, product, template).await;

        write(
            &bench,
            "product.template",
            template,
            json!({ "name": "Shirt, washed" }),
        );
        assert_eq!(
            completed(bench.send(Object::Product, template).await),
            "updated the product"
        );
        assert_eq!(title(&bench, product), "Shirt, washed");
        assert_eq!(
            prices(&bench, product),
            [decimal("19.99"), decimal("21.99")],
            "a price that nobody changed stays, although Odoo has one for all variants"
        );
        is_quiet(&bench, Object::Product, product, template).await;

        write(
            &bench,
            "product.template",
            template,
            json!({ "list_price": 25.5 }),
        );
        completed(bench.send(Object::Product, template).await);
        assert_eq!(prices(&bench, product), [decimal("25.5"), decimal("25.5")]);
        is_quiet(&bench, Object::Product, product, template).await;

        // And an edit on the shop still arrives in the ERP, and ends there.
        bench
            .shop
            .change(|shop| shop.edit_product(product, |product| product.title = "Shirt, dried".into()))
            .unwrap();
        assert_eq!(
            completed(bench.sync(Object::Product, product).await),
            "updated the product"
        );
        assert_eq!(read(&bench, "product.template", template)["name"], "Shirt, dried");
        is_quiet(&bench, Object::Product, product, template).await;
    }
}

#[tokio::test]
async fn a_value_that_a_side_keeps_in_its_own_form_is_no_change() {
    let bench = Bench::both_ways(Version::V18, &[]).await;
    let customer = ada(&bench);
    completed(bench.sync(Object::Customer, customer).await);
    let partner = theirs(&bench, LinkKind::Customer, customer).await;
    is_quiet(&bench, Object::Customer, customer, partner).await;

    // The shop keeps addresses in lower case; Odoo keeps what was typed.
    write(
        &bench,
        "res.partner",
        partner,
        json!({ "email": "Ada.King@Example.COM", "street": "Ockham Park 1", "comment": "<p>prefers <b>tea</b></p>" }),
    );
    assert_eq!(
        completed(bench.send(Object::Customer, partner).await),
        "updated the customer"
    );
    bench.shop.read(|shop| {
        let customer = shop.customer(customer).unwrap();
        assert_eq!(customer.email.as_deref(), Some("ada.king@example.com"));
        assert_eq!(customer.note.as_deref(), Some("prefers tea"));
        assert_eq!(
            customer.address().unwrap().address1.as_deref(),
            Some("Ockham Park 1")
        );
        assert_eq!(customer.last_name.as_deref(), Some("Lovelace"));
    });
    is_quiet(&bench, Object::Customer, customer, partner).await;
    assert_eq!(
        read(&bench, "res.partner", partner)["email"],
        "Ada.King@Example.COM",
        "the echo does not write the ERP's own value over"
    );
}

#[tokio::test]
async fn where_both_sides_changed_a_field_its_truth_decides() {
    for out_first in [false, true] {
        for (name, to, expected) in [
            ("shopify", "truth = \"shopify\"", Some("From the shop")),
            ("erp", "truth = \"erp\"", Some("From the ERP")),
            ("hold", "truth = \"hold\"", None),
        ] {
            let case = format!("{name}, out first: {out_first}");
            let changes = truth("product.in.toml", "product.out.toml", to);
            let bench = Bench::both_ways(Version::V18, &changes).await;
            let (product, _) = shirt(&bench);
            completed(bench.sync(Object::Product, product).await);
            let template = theirs(&bench, LinkKind::Product, product).await;
            write(
                &bench,
                "product.template",
                template,
                json!({ "name": "From the ERP" }),
            );
            bench
                .shop
                .change(|shop| shop.edit_product(product, |product| product.title = "From the shop".into()))
                .unwrap();
            let mut states = Vec::new();
            for n in 0..3 {
                states.push(if (n % 2 == 0) == out_first {
                    bench.send(Object::Product, template).await
                } else {
                    bench.sync(Object::Product, product).await
                });
            }
            let now = (
                title(&bench, product),
                read(&bench, "product.template", template)["name"].clone(),
            );
            match expected {
                Some(winner) => {
                    assert_eq!(now, (winner.to_owned(), json!(winner)), "{case}");
                    is_quiet(&bench, Object::Product, product, template).await;
                }
                None => {
                    assert_eq!(now, ("From the shop".to_owned(), json!("From the ERP")), "{case}");
                    for (state, why) in &states {
                        assert_eq!(*state, JobState::Problem, "{case}: {why:?}");
                        assert!(
                            why.as_ref().unwrap().starts_with("changed_on_both_sides"),
                            "{case}: {why:?}"
                        );
                    }
                }
            }
        }
    }
}

#[tokio::test]
async fn what_was_decided_once_is_not_held_against_the_next_edit() {
    let bench = Bench::both_ways(Version::V18, &[]).await;
    let (product, _) = shirt(&bench);
    completed(bench.sync(Object::Product, product).await);
    let template = theirs(&bench, LinkKind::Product, product).await;
    write(&bench, "product.template", template, json!({ "name": "Lost" }));
    bench
        .shop
        .change(|shop| shop.edit_product(product, |product| product.title = "Won".into()))
        .unwrap();
    completed(bench.send(Object::Product, template).await);
    completed(bench.sync(Object::Product, product).await);
    assert_eq!(read(&bench, "product.template", template)["name"], "Won");
    write(&bench, "product.template", template, json!({ "name": "Later" }));
    completed(bench.send(Object::Product, template).await);
    assert_eq!(title(&bench, product), "Later");
}

#[tokio::test]
async fn writes_that_go_in_circles_stop_and_name_the_field() {
    let bench = Bench::both_ways(Version::V18, &[]).await;
    let (product, _) = shirt(&bench);
    completed(bench.sync(Object::Product, product).await);
    let template = theirs(&bench, LinkKind::Product, product).await;
    let mut stopped = None;
    for n in 0..30 {
        write(
            &bench,
            "product.template",
            template,
            json!({ "name": format!("Shirt {n}") }),
        );
        let (state, why) = bench.send(Object::Product, template).await;
        if state == JobState::Problem {
            stopped = Some((n, why.unwrap()));
            break;
        }
    }
    let (after, why) = stopped.expect("it stops");
    assert_eq!(after, 20);
    assert!(
        why.starts_with("writes_go_in_circles") && why.contains("title"),
        "{why}"
    );
    assert_eq!(title(&bench, product), "Shirt 19", "nothing is written any more");
}

#[tokio::test]
async fn a_product_that_is_archived_in_the_erp_is_archived_on_the_shop_and_comes_back_as_a_draft() {
    let bench = Bench::both_ways(Version::V18, &[]).await;
    let (product, _) = shirt(&bench);
    completed(bench.sync(Object::Product, product).await);
    let template = theirs(&bench, LinkKind::Product, product).await;
    let status = || bench.shop.read(|shop| shop.product(product).unwrap().status);
    completed(bench.send(Object::Product, template).await);
    write(&bench, "product.template", template, json!({ "active": false }));
    completed(bench.send(Object::Product, template).await);
    assert_eq!(status(), ProductStatus::Archived);
    completed(bench.sync(Object::Product, product).await);
    write(&bench, "product.template", template, json!({ "active": true }));
    completed(bench.send(Object::Product, template).await);
    assert_eq!(status(), ProductStatus::Draft);
}

#[tokio::test]
async fn a_variant_that_the_shop_refuses_is_a_problem_and_the_others_are_written() {
    let bench = Bench::both_ways(Version::V18, &[]).await;
    let (product, variants) = shirt(&bench);
    completed(bench.sync(Object::Product, product).await);
    let template = theirs(&bench, LinkKind::Product, product).await;
    let small = theirs(&bench, LinkKind::Variant, variants[0]).await;
    let medium = theirs(&bench, LinkKind::Variant, variants[1]).await;
    write(
        &bench,
        "product.product",
        small,
        json!({ "default_code": "SMALL" }),
    );
    write(
        &bench,
        "product.product",
        medium,
        json!({ "default_code": "MEDIUM" }),
    );
    bench.shop.change(|shop| {
        shop.refuse_next(
            "productVariantsBulkUpdate",
            &["variants", "1", "inventoryItem", "sku"],
            "is not a word that the shop likes",
            Some("INVALID_INPUT"),
        );
    });
    let (state, why) = bench.send(Object::Product, template).await;
    assert_eq!(state, JobState::Problem, "{why:?}");
    assert!(why.as_ref().unwrap().contains("sku"), "{why:?}");
    // Once the reason is gone, the same is sent again, and then it is quiet.
    assert_eq!(
        completed(bench.send(Object::Product, template).await),
        "updated the product"
    );
    let skus = || {
        bench.shop.read(|shop| {
            let variants = &shop.product(product).unwrap().variants;
            variants
                .iter()
                .map(|variant| variant.sku.clone().unwrap_or_default())
                .collect::<Vec<_>>()
        })
    };
    assert_eq!(skus(), ["SMALL", "MEDIUM"]);
    is_quiet(&bench, Object::Product, product, template).await;
}

#[tokio::test]
async fn what_was_deleted_on_either_side_is_not_made_again() {
    let bench = Bench::both_ways(Version::V18, &[]).await;
    let (product, _) = shirt(&bench);
    completed(bench.sync(Object::Product, product).await);
    let template = theirs(&bench, LinkKind::Product, product).await;
    bench.shop.change(|shop| shop.delete_product(product)).unwrap();
    let said = completed(bench.send(Object::Product, template).await);
    assert_eq!(said, "the product is not on the shop any more");
    let (state, why) = bench.send(Object::Product, template).await;
    assert_eq!(state, JobState::Obsolete, "{why:?}");
    let customer = ada(&bench);
    completed(bench.sync(Object::Customer, customer).await);
    let partner = theirs(&bench, LinkKind::Customer, customer).await;
    bench.in_the_erp("res.partner", "unlink", json!([[partner]]));
    let said = completed(bench.send(Object::Customer, partner).await);
    assert!(said.starts_with("the partner was deleted"), "{said}");
    assert!(bench.shop.read(|shop| shop.customer(customer).is_some()));
}
