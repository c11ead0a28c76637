//! A plan shows every partner that is made with an order.

use super::*;
use crate::domain::{OrderCompany, ShopifyId};
use crate::sync::tests::sold::Otherwise;

/// The writes to partners of a plan, in words.
fn partners(plan: &Plan) -> Vec<String> {
    let of_partners = plan.writes.iter().filter(|write| write.model == "res.partner");
    of_partners
        .map(|write| {
            let parent = write.fields.iter().find(|field| field.field == "parent_id");
            let below = parent.map(|field| format!(" below {}", field.then));
            format!("{} {}{}", write.action, write.record, below.unwrap_or_default())
        })
        .collect()
}

#[tokio::test]
async fn a_buyer_whose_partner_is_gone_is_planned_anew_with_the_order() {
    let bench = Bench::adjusted(odoo(), |shop| {
        shop.rules = manual(&[(Object::Order, Direction::In)]);
    })
    .await;
    let (product, variants) = shirt(&bench);
    bench.sync(Object::Product, product).await;
    let buyer = ada(&bench);
    bench.sync(Object::Customer, buyer).await;
    let partner = bench.link(LinkKind::Customer, buyer).await.unwrap().erp_id.0;
    bench.in_the_erp("res.partner", "unlink", serde_json::json!([[partner]]));
    let (id, name) = order(&bench, everyday(Buyer::Customer(buyer), variants[0]));
    assert_eq!(bench.sync(Object::Order, id).await.0, JobState::Held);
    let (job, plan) = waiting(&bench, &bench.key(Object::Order, id)).await;
    let planned = partners(&plan);
    assert!(
        planned
            .iter()
            .any(|write| write.starts_with("create") && write.contains("customer")),
        "the buyer is made anew: {planned:?}"
    );
    let header = plan
        .writes
        .iter()
        .find(|write| write.model == "sale.order")
        .unwrap();
    let buyer_is = header
        .fields
        .iter()
        .find(|field| field.field == "partner_id")
        .unwrap();
    assert_eq!(buyer_is.then, "(made first)");
    assert!(counts(&approve(&bench, job.id, &plan.plan).await));
    bench.drain().await;
    let (state, why) = bench.story(job.id).await;
    assert_eq!(
        state,
        JobState::Completed,
        "the plan that was approved of is enough: {why:?}"
    );
    let booked = bench.booked(&name);
    assert_ne!(booked.partner_id, partner);
}

#[tokio::test]
async fn whoever_orders_for_a_company_is_in_the_plan_too() {
    let bench = Bench::adjusted(odoo(), |context| {
        context.rules = manual(&[(Object::Order, Direction::In)]);
        context.source = Arc::new(Otherwise {
            shop: Arc::clone(&context.source),
            change: Arc::new(|order| {
                order.company = Some(OrderCompany {
                    id: ShopifyId(8001),
                    name: "Acme GmbH".into(),
                    location_id: ShopifyId(8101),
                    location_name: "Hamburg".into(),
                    external_id: None,
                });
            }),
        });
    })
    .await;
    let (product, variants) = shirt(&bench);
    bench.sync(Object::Product, product).await;
    let buyer = ada(&bench);
    let (id, _) = order(&bench, everyday(Buyer::Customer(buyer), variants[0]));
    assert_eq!(bench.sync(Object::Order, id).await.0, JobState::Held);
    let (job, plan) = waiting(&bench, &bench.key(Object::Order, id)).await;
    let planned = partners(&plan);
    let person = format!("customer_{buyer}");
    assert!(
        planned
            .iter()
            .any(|write| write.starts_with("create") && write.contains(&person)),
        "{planned:?}"
    );
    assert!(
        planned.contains(&"update (made first) below (made first)".to_owned()),
        "it is put below the company: {planned:?}"
    );
    assert!(counts(&approve(&bench, job.id, &plan.plan).await));
    bench.drain().await;
    let (state, why) = bench.story(job.id).await;
    assert_eq!(state, JobState::Completed, "{why:?}");
    let contact = bench.link(LinkKind::Customer, buyer).await.unwrap().erp_id.0;
    let parent = bench.in_the_erp(
        "res.partner",
        "read",
        serde_json::json!([[contact], ["parent_id"]]),
    );
    assert!(parent[0]["parent_id"][0].is_i64(), "{parent}");
    // Another order of theirs plans neither again.
    let (id, _) = order(&bench, everyday(Buyer::Customer(buyer), variants[0]));
    assert_eq!(bench.sync(Object::Order, id).await.0, JobState::Held);
    let (_, plan) = waiting(&bench, &bench.key(Object::Order, id)).await;
    assert!(
        partners(&plan)
            .iter()
            .all(|write| !write.contains(&person) && !write.starts_with("update")),
        "{:?}",
        partners(&plan)
    );
}

#[tokio::test]
async fn further_addresses_of_a_known_partner_wait_too() {
    let bench = Bench::adjusted(odoo(), |shop| {
        shop.rules = manual(&[(Object::Customer, Direction::In)]);
    })
    .await;
    let customer = ada(&bench);
    let key = bench.key(Object::Customer, customer);
    assert_eq!(bench.sync(Object::Customer, customer).await.0, JobState::Held);
    let (job, plan) = waiting(&bench, &key).await;
    assert!(counts(&approve(&bench, job.id, &plan.plan).await));
    bench.drain().await;
    assert_eq!(bench.story(job.id).await.0, JobState::Completed);
    let partners = bench.erp.ledger().partners().len();
    let mut office = berlin("Lovelace");
    office.address1 = Some("Hauptstr. 2".into());
    bench
        .shop
        .change(|shop| shop.add_address(customer, office))
        .unwrap();
    assert_eq!(bench.sync(Object::Customer, customer).await.0, JobState::Held);
    let (job, plan) = waiting(&bench, &key).await;
    assert!(
        plan.writes.iter().any(|write| write.action == "create"),
        "{plan:?}"
    );
    assert_eq!(
        bench.erp.ledger().partners().len(),
        partners,
        "nothing is written"
    );
    assert!(counts(&approve(&bench, job.id, &plan.plan).await));
    bench.drain().await;
    let (state, why) = bench.story(job.id).await;
    assert_eq!(state, JobState::Completed, "{why:?}");
    assert_eq!(bench.erp.ledger().partners().len(), partners + 1);
    // With nothing left to write, nothing waits.
    let (state, why) = bench.sync(Object::Customer, customer).await;
    assert_eq!(state, JobState::Completed, "{why:?}");
}

#[tokio::test]
async fn a_partner_that_is_gone_from_the_erp_waits_to_be_made_anew() {
    let bench = Bench::adjusted(odoo(), |shop| {
        shop.rules = manual(&[(Object::Customer, Direction::In)]);
    })
    .await;
    let customer = ada(&bench);
    let key = bench.key(Object::Customer, customer);
    for _ in 0..2 {
        assert_eq!(bench.sync(Object::Customer, customer).await.0, JobState::Held);
        let (job, plan) = waiting(&bench, &key).await;
        assert_eq!(plan.writes[0].action, "create");
        assert!(counts(&approve(&bench, job.id, &plan.plan).await));
        bench.drain().await;
        let (state, why) = bench.story(job.id).await;
        assert_eq!(state, JobState::Completed, "{why:?}");
        let partner = bench.link(LinkKind::Customer, customer).await.unwrap().erp_id.0;
        bench.in_the_erp("res.partner", "unlink", serde_json::json!([[partner]]));
    }
}
