//! Customers.

use super::bench::*;
use super::*;

#[tokio::test]
async fn a_customer_is_made_once_and_follows_later_edits_only_where_shopify_changed() {
    let bench = Bench::new(Version::V18).await;
    let id = ada(&bench);
    assert_eq!(bench.sync(Object::Customer, id).await.0, JobState::Completed);
    let found = bench
        .erp
        .ledger()
        .find_by_external_id(&format!("__lockstep_main__.customer_{id}"))
        .unwrap()
        .1;
    assert_eq!(bench.sync(Object::Customer, id).await.0, JobState::Completed);
    // Somebody in the ERP corrects the street; Shopify changes the name.
    bench
        .erp
        .as_admin(
            "res.partner",
            "write",
            serde_json::json!([[found], { "street": "Corrected 7" }]),
            serde_json::json!({}),
        )
        .unwrap();
    bench
        .shop
        .change(|shop| shop.edit_customer(id, |customer| customer.last_name = Some("King".into())))
        .unwrap();
    let (state, why) = bench.sync(Object::Customer, id).await;
    assert_eq!(state, JobState::Completed, "{why:?}");
    let record = bench.erp.ledger().record("res.partner", found).unwrap();
    assert_eq!(record["name"], "Ada King");
    assert_eq!(record["street"], "Corrected 7", "what only the ERP changed stays");
}

#[tokio::test]
async fn an_existing_partner_with_the_same_e_mail_is_adopted_and_two_are_a_problem() {
    let bench = Bench::new(Version::V18).await;
    let make = |name: &str| {
        let values = serde_json::json!([{ "name": name, "email": "ADA@example.com " }]);
        bench
            .erp
            .as_admin("res.partner", "create", values, serde_json::json!({}))
            .unwrap()
    };
    make("Ada from before");
    let id = ada(&bench);
    let before = bench.erp.ledger().partners().len();
    let (state, why) = bench.sync(Object::Customer, id).await;
    assert_eq!(state, JobState::Completed, "{why:?}");
    assert_eq!(bench.erp.ledger().partners().len(), before, "nobody was made");

    let other = Bench::new(Version::V18).await;
    for name in ["one", "two"] {
        let values = serde_json::json!([{ "name": name, "email": "ada@example.com" }]);
        other
            .erp
            .as_admin("res.partner", "create", values, serde_json::json!({}))
            .unwrap();
    }
    let id = ada(&other);
    let (state, why) = other.sync(Object::Customer, id).await;
    assert_eq!(state, JobState::Problem);
    assert!(why.unwrap().starts_with("customer_ambiguous"));
}

#[tokio::test]
async fn a_guest_who_becomes_a_customer_keeps_the_partner() {
    let bench = Bench::new(Version::V18).await;
    let (_, variants) = shirt(&bench);
    let guest = Buyer::Guest {
        email: Some("ada@example.com".into()),
        phone: None,
    };
    let (first, name) = order(&bench, everyday(guest.clone(), variants[0]));
    assert_eq!(bench.sync(Object::Order, first).await.0, JobState::Completed);
    let partner = bench.booked(&name).partner_id;
    let customer = ada(&bench);
    let (second, name) = order(&bench, everyday(Buyer::Customer(customer), variants[0]));
    let (state, why) = bench.sync(Object::Order, second).await;
    assert_eq!(state, JobState::Completed, "{why:?}");
    assert_eq!(bench.booked(&name).partner_id, partner);
    // And a guest again with the same address: still the same person.
    let (third, name) = order(&bench, everyday(guest, variants[0]));
    let (state, why) = bench.sync(Object::Order, third).await;
    assert_eq!(state, JobState::Completed, "{why:?}");
    assert_eq!(bench.booked(&name).partner_id, partner);
}
