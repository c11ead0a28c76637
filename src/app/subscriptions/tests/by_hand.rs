//! What people do with subscriptions, and what they are shown.

use super::*;
use crate::subscriptions::Outcome;

#[tokio::test]
async fn a_subscription_can_be_taken_over() {
    let sandbox = sandbox().await;
    let here = Here::new(&sandbox, ORDERS).await;
    let (taken, unwanted) = sandbox.change(|shop| {
        let address = "https://sync.example.com/webhooks/shopify";
        (
            shop.register_through_api(
                "ORDERS_PAID",
                address,
                Some("lockstep-ffffffff-orders_paid"),
                None,
            ),
            shop.register_through_api("SHOP_UPDATE", address, None, None),
        )
    });
    here.apply().await;
    assert_eq!(registered(&sandbox).len(), 9, "{}", topics(&sandbox));
    let plan = here.plan().await;
    assert!(plan.is_empty());
    assert_eq!((plan.count(Kind::Foreign), plan.count(Kind::Blocked)), (2, 1));
    assert!(plan.lines.iter().any(|line| line.kind == Kind::Blocked
        && line.reason.contains(&format!("lockstep webhooks adopt {taken}"))));

    let adopt = async |id: u64| {
        let order = Order {
            adopted: BTreeSet::from([ShopifyId(id)]),
            ..Order::default()
        };
        apply(&here.at, &here.target, &order).await
    };
    assert!(matches!(
        adopt(4_711).await,
        Err(SubscriptionsError::NoSuchSubscription(_))
    ));
    assert!(matches!(
        adopt(unwanted).await,
        Err(SubscriptionsError::NotWanted { .. })
    ));
    adopt(taken).await.unwrap();
    let paid: Vec<_> = registered(&sandbox)
        .into_iter()
        .filter(|one| one.topic == "ORDERS_PAID")
        .collect();
    assert_eq!(paid.len(), 1);
    assert_eq!(paid[0].id, taken);
    assert_eq!(
        paid[0].name,
        Some(format!("lockstep-{}-orders_paid", here.at.instance))
    );
    assert!(here.plan().await.is_empty());
    assert_eq!(here.plan().await.count(Kind::Blocked), 0);
}

#[tokio::test]
async fn a_plan_that_was_agreed_to_is_the_one_that_is_carried_out() {
    let sandbox = sandbox().await;
    let here = Here::new(&sandbox, ORDERS).await;
    let order = Order {
        agreed: Some(here.plan().await.hash()),
        ..Order::default()
    };
    sandbox.change(|shop| {
        let address = "https://sync.example.com/webhooks/shopify";
        shop.register_through_api("ORDERS_PAID", address, None, None)
    });
    let changed = apply(&here.at, &here.target, &order).await;
    assert!(matches!(changed, Err(SubscriptionsError::Changed)));
    assert_eq!(writes(&sandbox), 0);
    let order = Order {
        agreed: Some(here.plan().await.hash()),
        ..Order::default()
    };
    apply(&here.at, &here.target, &order).await.unwrap();
    assert_eq!(topics(&sandbox), ALL_TOPICS);
    let removed = Order {
        remove: true,
        ..Order::default()
    };
    let rounds = apply(&here.at, &here.target, &removed).await.unwrap();
    assert!(
        rounds[0]
            .results
            .iter()
            .all(|changed| changed.outcome == Outcome::Done)
    );
    assert_eq!(topics(&sandbox), "");
}

#[tokio::test]
async fn a_list_shows_how_each_fares() {
    let sandbox = sandbox().await;
    let mut here = Here::new(&sandbox, ORDERS).await;
    here.apply().await;
    let shown = async |here: &Here, topic: &str| {
        let listed = list(&here.at, &here.target).await.unwrap();
        let row = listed.rows.into_iter().find(|row| row.topic == topic).unwrap();
        (row, listed.notes)
    };
    let (row, notes) = shown(&here, "orders/paid").await;
    assert_eq!(
        (row.status, row.last_delivery_at, notes.len()),
        (Status::Unproven, None, 0)
    );
    // The stand-in shop lives in the machine's time.
    let now = row.created_at.unwrap().plus(Duration::from_secs(1));
    let count = |name: &str, accepted: u64, failed: u64, last: Timestamp| crate::store::DeliveryCount {
        shop: here.target.name.clone(),
        topic: "orders/paid".to_owned(),
        name: name.to_owned(),
        hour: Timestamp::from_millis(last.millis() / 3_600_000 * 3_600_000),
        accepted,
        failed,
        last_at: last,
        last_accepted_at: (accepted > 0).then_some(last),
    };
    let ours = row.name.clone().unwrap();
    here.at
        .store
        .count_deliveries(vec![count(&ours, 3, 0, now)])
        .await
        .unwrap();
    let (row, notes) = shown(&here, "orders/paid").await;
    assert_eq!(
        (row.status, row.deliveries_24h, notes.len()),
        (Status::Active, 3, 0)
    );
    let later = now.plus(Duration::from_secs(1));
    here.at
        .store
        .count_deliveries(vec![count(&ours, 0, 2, later), count("", 1, 0, later)])
        .await
        .unwrap();
    let (row, notes) = shown(&here, "orders/paid").await;
    assert_eq!((row.status, row.failures_24h), (Status::Failing, 2));
    assert!(
        notes[0].contains("orders/paid") && notes[0].contains("shopify.app.toml"),
        "{notes:?}"
    );
    here.apply().await;
    assert_eq!(here.codes().await, ["subscription_overlap subscription_overlap"]);
    assert!(
        here.problems().await[0].problem.reason.contains("orders/paid"),
        "{:?}",
        here.problems().await
    );
    let much_later = later.plus(Duration::from_secs(1));
    here.at
        .store
        .count_deliveries(vec![count(&ours, 1, 0, much_later)])
        .await
        .unwrap();
    here.toggles("orders = { in = 'paused' }");
    assert_eq!(shown(&here, "orders/paid").await.0.status, Status::Paused);
    here.toggles("");
    assert_eq!(shown(&here, "orders/paid").await.0.status, Status::Unwanted);
    here.toggles(ORDERS);
    sandbox.change(|shop| shop.unregister(row.id.unwrap().0));
    assert_eq!(shown(&here, "orders/paid").await.0.status, Status::Missing);
}
