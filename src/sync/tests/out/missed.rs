//! What no webhook told of: a run finds it, whatever we wrote to the record meanwhile.

use std::sync::atomic::{AtomicI64, Ordering};

use super::safety::{context, meddle, odoo, text};
use super::*;
use crate::reconcile::{Delta, DeltaShop, Known, delta_run};

/// Looks for what no webhook told of, and carries it in: how many records that were.
async fn missed(bench: &Bench, object: Object) -> u64 {
    let context = context(bench);
    let shop = DeltaShop {
        name: context.name,
        source: context.source,
        store: Arc::clone(&bench.store),
        clock: context.clock,
        node: "test".to_owned(),
        notifier: Arc::new(crate::reconcile::TellNobody),
    };
    let wanted = Delta {
        object,
        since: Timestamp::from_millis(0),
        cause: "delta",
        known: Known::Applied(BTreeMap::new()),
    };
    let report = delta_run(&shop, wanted, &CancellationToken::new()).await.unwrap();
    bench.drain().await;
    report.counts.made
}

/// Between a shop that tells of nothing, and whose clock is also moved by hand, and an ERP.
async fn untold() -> (Bench, impl Fn()) {
    let moved = Arc::new(AtomicI64::new(0));
    let (real, hand) = (ShopOptions::default().clock, Arc::clone(&moved));
    let options = ShopOptions {
        clock: Arc::new(move || real() + chrono::Duration::seconds(hand.load(Ordering::SeqCst))),
        ..ShopOptions::default()
    };
    let mappings = crate::app::mappings::load(None).unwrap();
    let bench = Bench::built(options, odoo(), mappings, |shop| {
        shop.out = BTreeSet::from([Object::Customer, Object::Product]);
    })
    .await;
    let later = move || {
        moved.fetch_add(10, Ordering::SeqCst);
    };
    (bench, later)
}

#[tokio::test]
async fn a_change_that_no_webhook_told_of_is_found_after_a_write_of_ours_to_the_same_record() {
    let (mut bench, later) = untold().await;
    let (product, _) = shirt(&bench);
    completed(bench.sync(Object::Product, product).await);
    let template = theirs(&bench, LinkKind::Product, product).await;
    let customer = ada(&bench);
    completed(bench.sync(Object::Customer, customer).await);
    let partner = theirs(&bench, LinkKind::Customer, customer).await;
    for object in [Object::Customer, Object::Product] {
        assert_eq!(missed(&bench, object).await, 0, "{object}: all of it is known");
    }

    // Before our write.
    later();
    bench.shop.change(|shop| {
        shop.edit_product(product, |product| product.title = "Renamed unheard".into())
            .unwrap();
        shop.edit_customer(customer, |customer| customer.last_name = Some("King".into()))
            .unwrap();
    });
    later();
    write(&bench, "product.template", template, json!({ "list_price": 25 }));
    write(
        &bench,
        "res.partner",
        partner,
        json!({ "street": "Ockham Park 1" }),
    );
    completed(bench.send(Object::Product, template).await);
    completed(bench.send(Object::Customer, partner).await);
    assert_eq!(missed(&bench, Object::Product).await, 1);
    assert_eq!(missed(&bench, Object::Customer).await, 1);
    assert_eq!(
        read(&bench, "product.template", template)["name"],
        "Renamed unheard"
    );
    assert_eq!(read(&bench, "res.partner", partner)["name"], "Ada King");

    // Nothing but our own write.
    later();
    write(&bench, "product.template", template, json!({ "list_price": 26 }));
    write(
        &bench,
        "res.partner",
        partner,
        json!({ "street": "Ockham Park 2" }),
    );
    completed(bench.send(Object::Product, template).await);
    completed(bench.send(Object::Customer, partner).await);
    for object in [Object::Customer, Object::Product] {
        assert_eq!(missed(&bench, object).await, 0, "{object}: the change is our own");
    }

    // While we write.
    later();
    write(
        &bench,
        "res.partner",
        partner,
        json!({ "street": "Ockham Park 3" }),
    );
    let quiet = bench.engine.clone();
    bench.engine = meddle(&bench, vec![("last_name".to_owned(), text("Byron"))]);
    completed(bench.send(Object::Customer, partner).await);
    bench.engine = quiet;
    assert_eq!(missed(&bench, Object::Customer).await, 1);
    assert_eq!(read(&bench, "res.partner", partner)["name"], "Ada Byron");
}

#[tokio::test]
async fn a_customer_that_an_adoption_linked_is_still_to_be_carried_in() {
    let bench = Bench::both_ways(Version::V18, &[]).await;
    let customer = ada(&bench);
    bench
        .shop
        .change(|shop| shop.edit_customer(customer, |ada| ada.email = Some("ada@example.com".into())))
        .unwrap();
    let values = json!({ "name": "Ada L.", "email": "ada@example.com", "customer_rank": 1 });
    let partner = bench.made_in_the_erp("res.partner", values);
    completed(bench.send(Object::Customer, partner).await);
    assert_eq!(theirs(&bench, LinkKind::Customer, customer).await, partner);
    assert_eq!(missed(&bench, Object::Customer).await, 1);
}

#[tokio::test]
async fn a_customer_that_an_order_linked_is_still_to_be_carried_in() {
    let bench = Bench::new(Version::V18).await;
    let (product, variants) = shirt(&bench);
    completed(bench.sync(Object::Product, product).await);
    let customer = ada(&bench);
    let (id, _) = order(&bench, everyday(Buyer::Customer(customer), variants[0]));
    completed(bench.sync(Object::Order, id).await);
    assert!(bench.link(LinkKind::Customer, customer).await.is_some());
    assert_eq!(missed(&bench, Object::Customer).await, 1);
    assert_eq!(missed(&bench, Object::Customer).await, 0);
}
