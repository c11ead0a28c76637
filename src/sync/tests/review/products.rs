//! What a plan shows of products, and orders that wait for them.

use super::*;

#[tokio::test]
async fn an_order_waits_for_a_product_whose_plan_waits() {
    let bench = Bench::adjusted(odoo(), |shop| {
        shop.rules = manual(&[(Object::Product, Direction::In)]);
    })
    .await;
    let (product, variants) = shirt(&bench);
    let (id, name) = order(&bench, everyday(Buyer::Customer(ada(&bench)), variants[0]));
    let order_key = bench.key(Object::Order, id);
    bench.sync(Object::Order, id).await;
    let key = bench.key(Object::Product, product);
    let (job, plan) = waiting(&bench, &key).await;
    let waits = job_of(&bench, &order_key).await;
    assert!(
        waits.state.is_open() && waits.state != JobState::Problem,
        "{waits:?}"
    );
    assert!(counts(&approve(&bench, job.id, &plan.plan).await));
    bench.drain().await;
    assert_eq!(bench.story(job.id).await.0, JobState::Completed);
    // It looks again after a while, or when it is asked to.
    let clock: SharedClock = Arc::new(SystemClock);
    crate::app::jobs::retry(&bench.store, &clock, waits.id)
        .await
        .unwrap();
    bench.drain().await;
    let (state, why) = bench.story(waits.id).await;
    assert_eq!(state, JobState::Completed, "{why:?}");
    bench.booked(&name);
}

#[tokio::test]
async fn what_a_new_product_starts_with_is_a_part_of_what_was_planned() {
    let bench = Bench::adjusted(odoo(), |shop| shop.out = BTreeSet::from([Object::Product])).await;
    let values = serde_json::json!({ "name": "Hat", "list_price": 30, "type": "consu", "default_code": "HAT", "sale_ok": true });
    let variant = bench.made_in_the_erp("product.product", values);
    let read = bench.in_the_erp(
        "product.product",
        "read",
        serde_json::json!([[variant], ["product_tmpl_id"]]),
    );
    let template = read[0]["product_tmpl_id"][0].as_i64().unwrap();
    let shop = bench.engine.shop(&"main".parse().unwrap()).unwrap();
    let job = crate::sync::preview::nobodys_job(shop, Object::Product, Direction::Out, template.to_string());
    let mut planned = Vec::new();
    for price in [30, 31] {
        bench.in_the_erp(
            "product.template",
            "write",
            serde_json::json!([[template], { "list_price": price }]),
        );
        let subject = Subject {
            record: None,
            owner: "operator".to_owned(),
            mapping: None,
        };
        let writes = Writes::default();
        let mappings = Arc::clone(&shop.mappings.borrow());
        let flow = Flow::new(shop, &job, mappings, subject, &writes);
        let found = crate::sync::preview::planned_out(&flow).await.unwrap().unwrap();
        assert_eq!(found.preview.writes[0].action, "create");
        assert_eq!(found.changes.len(), 1);
        planned.push(found.changes);
    }
    assert_ne!(planned[0], planned[1], "another price is another plan");
}

#[tokio::test]
async fn a_product_that_is_gone_from_the_erp_waits_to_be_made_anew() {
    let bench = Bench::adjusted(odoo(), |shop| {
        shop.rules = manual(&[(Object::Product, Direction::In)]);
    })
    .await;
    let (product, _) = shirt(&bench);
    let key = bench.key(Object::Product, product);
    let mut made = Vec::new();
    for _ in 0..2 {
        assert_eq!(bench.sync(Object::Product, product).await.0, JobState::Held);
        let (job, plan) = waiting(&bench, &key).await;
        assert!(
            plan.writes.iter().all(|write| write.action == "create"),
            "{plan:?}"
        );
        assert!(counts(&approve(&bench, job.id, &plan.plan).await));
        bench.drain().await;
        let (state, why) = bench.story(job.id).await;
        assert_eq!(state, JobState::Completed, "{why:?}");
        let template = bench.link(LinkKind::Product, product).await.unwrap().erp_id.0;
        bench.in_the_erp("product.template", "unlink", serde_json::json!([[template]]));
        made.push(template);
    }
    assert_ne!(made[0], made[1]);
}
