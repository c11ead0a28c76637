//! What happens in the life of an installation.

use super::*;
use crate::domain::Object;
use crate::store::faulty::{FaultyStore, StoreFault};
use crate::subscriptions::Why;

#[tokio::test]
async fn toggles_are_followed_and_a_second_look_writes_nothing() {
    let sandbox = sandbox().await;
    let mut here = Here::new(&sandbox, ORDERS).await;
    let rounds = here.apply().await;
    assert_eq!(rounds.len(), 1);
    assert!(rounds[0].is_complete(), "{:?}", rounds[0]);
    assert_eq!(topics(&sandbox), ALL_TOPICS);
    for one in registered(&sandbox) {
        assert_eq!(one.uri, "https://sync.example.com/webhooks/shopify");
        let name = format!("lockstep-{}-{}", here.at.instance, one.topic.to_lowercase());
        assert_eq!(one.name, Some(name));
        assert_eq!((one.format.as_str(), &one.filter), ("JSON", &None));
    }
    let after_first = writes(&sandbox);
    assert_eq!(after_first, 8);
    here.apply().await;
    assert!(here.plan().await.is_empty());
    assert_eq!(
        writes(&sandbox),
        after_first,
        "nothing differs: nothing is written"
    );

    here.toggles("orders = { in = 'paused' }\ncustomers = { in = 'on' }");
    here.apply().await;
    assert_eq!(
        topics(&sandbox),
        ALL_TOPICS.replace(
            "ORDERS_CANCELLED",
            "CUSTOMERS_CREATE CUSTOMERS_DELETE CUSTOMERS_MERGE CUSTOMERS_UPDATE ORDERS_CANCELLED"
        )
    );
    here.toggles("");
    here.apply().await;
    assert_eq!(topics(&sandbox), "APP_UNINSTALLED");
}

#[tokio::test]
async fn what_was_deleted_behind_our_back_comes_back_and_the_gap_is_known() {
    let sandbox = sandbox().await;
    let here = Here::new(&sandbox, ORDERS).await;
    let first = here.apply().await;
    let why: Vec<Why> = first[0].restored.iter().map(|one| one.why).collect();
    assert_eq!(why, [Why::New; 6], "{:?}", first[0].restored);
    assert!(
        first[0]
            .restored
            .iter()
            .all(|one| one.since.is_none() && one.object == Object::Order)
    );

    here.clock.advance(Duration::from_hours(48));
    here.apply().await;
    let seen = here.at.clock.now();
    here.clock.advance(Duration::from_mins(5));
    let paid = registered(&sandbox)
        .into_iter()
        .find(|one| one.topic == "ORDERS_PAID")
        .unwrap();
    sandbox.change(|shop| shop.unregister(paid.id));
    assert!(
        here.plan()
            .await
            .lines
            .iter()
            .any(|line| line.kind == Kind::Create
                && line.reason.contains(&format!("subscription {} is gone", paid.id)))
    );
    let healed = here.apply().await;
    assert_eq!(topics(&sandbox), ALL_TOPICS);
    let restored = &healed[0].restored;
    assert_eq!(restored.len(), 1, "{restored:?}");
    assert_eq!(
        (restored[0].why, restored[0].topic.as_str()),
        (Why::Missing, "ORDERS_PAID")
    );
    assert_eq!(
        restored[0].since,
        Some(seen.minus(Duration::from_hours(5))),
        "retries last that long"
    );

    // Something arrived later than that: it says nothing of what is older, which may still have been retried.
    let row = crate::store::DeliveryCount {
        shop: here.target.name.clone(),
        topic: "orders/paid".to_owned(),
        name: String::new(),
        hour: seen,
        accepted: 1,
        failed: 0,
        last_at: seen,
        last_accepted_at: Some(seen.minus(Duration::from_mins(1))),
    };
    here.at.store.count_deliveries(vec![row]).await.unwrap();
    let paid = registered(&sandbox)
        .into_iter()
        .find(|one| one.topic == "ORDERS_PAID")
        .unwrap();
    sandbox.change(|shop| shop.unregister(paid.id));
    let healed = here.apply().await;
    assert_eq!(
        healed[0].restored[0].since,
        Some(here.at.clock.now().minus(Duration::from_hours(5)))
    );
}

/// What others were told.
async fn told(here: &Here) -> Vec<String> {
    let rows = here.at.store.outbox(100).await.unwrap();
    let read = |row: &crate::store::OutboxRow| {
        let told: crate::notify::Notification = serde_json::from_str(&row.body).unwrap();
        format!("{} {}", told.event, told.detail["topic"].as_str().unwrap())
    };
    rows.iter().map(read).collect()
}

#[tokio::test]
async fn who_wants_to_know_is_told_once_that_one_was_gone_and_that_it_stands_again() {
    let sandbox = sandbox().await;
    let mut here = Here::new(&sandbox, ORDERS).await;
    here.at = here.at.telling(crate::app::notify::events::tests::events(&[
        "events = ['subscription.*']",
    ]));
    here.apply().await;
    assert_eq!(told(&here).await, [""; 0], "none was there before");
    here.clock.advance(Duration::from_hours(1));
    here.apply().await;
    let paid = registered(&sandbox)
        .into_iter()
        .find(|one| one.topic == "ORDERS_PAID")
        .unwrap();
    sandbox.change(|shop| shop.unregister(paid.id));
    let both = [
        "subscription.removed orders/paid",
        "subscription.restored orders/paid",
    ];
    for _ in 0..2 {
        here.clock.advance(Duration::from_mins(5));
        here.apply().await;
        assert_eq!(told(&here).await, both);
    }
    // What we delete ourselves is nobody's loss.
    here.clock.advance(Duration::from_mins(5));
    here.toggles("");
    here.apply().await;
    here.toggles(ORDERS);
    here.clock.advance(Duration::from_mins(5));
    here.apply().await;
    assert_eq!(told(&here).await, both);
}

#[tokio::test]
async fn wherever_it_breaks_off_each_is_told_once() {
    for (operation, passes) in [
        ("remove_subscription", 0),
        ("save_subscription", 0),
        ("saw_subscriptions", 0),
        ("saw_subscriptions", 1),
        ("subscriptions", 2),
        ("subscriptions", 4),
    ] {
        let case = format!("{operation} after {passes}");
        let sandbox = sandbox().await;
        let mut here = Here::new(&sandbox, ORDERS).await;
        here.at = here.at.telling(crate::app::notify::events::tests::events(&[
            "events = ['subscription.*']",
        ]));
        here.apply().await;
        here.clock.advance(Duration::from_hours(1));
        here.apply().await;
        let paid = registered(&sandbox)
            .into_iter()
            .find(|one| one.topic == "ORDERS_PAID")
            .unwrap();
        sandbox.change(|shop| shop.unregister(paid.id));
        let real = here.at.store.clone();
        let faulty = Arc::new(FaultyStore::new(real.clone()));
        here.at.store = Arc::clone(&faulty) as SharedStore;
        // As if the process were killed there: nothing of the store works any more.
        faulty.fail_after(operation, passes, StoreFault::Away, 1_000);
        here.clock.advance(Duration::from_mins(5));
        here.try_apply().await.ok();
        here.at.store = real;
        for _ in 0..2 {
            here.clock.advance(Duration::from_mins(5));
            here.apply().await;
        }
        let both = [
            "subscription.removed orders/paid",
            "subscription.restored orders/paid",
        ];
        assert_eq!(told(&here).await, both, "{case}");
    }
}

#[tokio::test]
async fn switching_off_and_on_again_opens_a_gap_since_it_was_off() {
    let sandbox = sandbox().await;
    let mut here = Here::new(&sandbox, ORDERS).await;
    here.apply().await;
    here.clock.advance(Duration::from_hours(24));
    here.toggles("");
    here.apply().await;
    let off = here.at.clock.now();
    here.clock.advance(Duration::from_hours(24));
    here.toggles(ORDERS);
    let on = here.apply().await;
    assert_eq!(on[0].restored.len(), 6);
    for one in &on[0].restored {
        assert_eq!(
            (one.why, one.since),
            (Why::SwitchedOn, Some(off.minus(Duration::from_hours(5))))
        );
    }
    // The retired rows are forgotten when they have a successor.
    assert_eq!(
        here.at
            .store
            .subscriptions(&here.target.name)
            .await
            .unwrap()
            .len(),
        8
    );
}

#[tokio::test]
async fn a_moved_public_url_moves_what_stands() {
    let sandbox = sandbox().await;
    let mut here = Here::new(&sandbox, ORDERS).await;
    here.apply().await;
    let before: Vec<u64> = registered(&sandbox).iter().map(|one| one.id).collect();
    here.at.public_url = Some("https://new.example.com/base/".to_owned());
    let moved = here.apply().await;
    assert!(moved[0].is_complete());
    assert_eq!(moved[0].plan.count(Kind::Update), 8);
    let after = registered(&sandbox);
    assert_eq!(
        after.iter().map(|one| one.id).collect::<Vec<_>>(),
        before,
        "moved, not made anew"
    );
    assert!(
        after
            .iter()
            .all(|one| one.uri == "https://new.example.com/base/webhooks/shopify")
    );
    assert_eq!(
        moved[0].restored.len(),
        6,
        "what went to the old address meanwhile may be lost"
    );
    assert!(here.plan().await.is_empty());
}

#[tokio::test]
async fn staging_and_production_never_fight() {
    let sandbox = sandbox().await;
    let production = Here::new(&sandbox, ORDERS).await;
    let staging = Here::with(
        client(&sandbox, "2026-10"),
        ORDERS,
        "https://staging.example.com",
        2,
    )
    .await;
    assert_ne!(production.at.instance, staging.at.instance);
    production.apply().await;
    staging.apply().await;
    let count = writes(&sandbox);
    assert_eq!((count, registered(&sandbox).len()), (16, 16));
    for _ in 0..3 {
        assert!(production.apply().await[0].plan.is_empty());
        assert!(staging.apply().await[0].plan.is_empty());
    }
    assert_eq!(writes(&sandbox), count);
    let plan = production.plan().await;
    assert_eq!(plan.count(Kind::Foreign), 8);
    assert!(
        plan.lines
            .iter()
            .any(|line| line.reason.contains(&staging.at.instance))
    );
}

#[tokio::test]
async fn two_processes_at_once_make_one_set() {
    let sandbox = sandbox().await;
    let here = Here::new(&sandbox, ORDERS).await;
    let other = Installation {
        holder: "another process".to_owned(),
        ..here.at.clone()
    };
    let order = Order::default();
    let (one, two) = tokio::join!(
        apply(&here.at, &here.target, &order),
        apply(&other, &here.target, &order)
    );
    let busy = [one, two]
        .into_iter()
        .filter(|result| matches!(result, Err(SubscriptionsError::Busy)))
        .count();
    assert_eq!(busy, 1);
    assert_eq!((topics(&sandbox).as_str(), writes(&sandbox)), (ALL_TOPICS, 8));
    // Who died with the right in hand holds nobody up for long.
    let now = here.at.clock.now();
    let until = now.plus(Duration::from_mins(2));
    assert!(
        here.at
            .store
            .take_lease("subscriptions:main", "dead", now, until)
            .await
            .unwrap()
    );
    assert!(matches!(here.try_apply().await, Err(SubscriptionsError::Busy)));
    here.clock.advance(Duration::from_mins(2));
    here.apply().await;
}

#[tokio::test]
async fn a_missing_scope_is_a_problem_that_names_it_and_stops_no_other() {
    let sandbox = sandbox().await;
    sandbox.change(|shop| shop.grant_scopes(&["read_orders", "read_products"]));
    let here = Here::new(
        &sandbox,
        "orders = { in = 'on' }\ncustomers = { in = 'on' }\nproducts = { in = 'on' }",
    )
    .await;
    let rounds = here.apply().await;
    let with_products = ALL_TOPICS.replace(
        "REFUNDS",
        "PRODUCTS_CREATE PRODUCTS_DELETE PRODUCTS_UPDATE REFUNDS",
    );
    assert_eq!(topics(&sandbox), with_products);
    assert_eq!(
        here.codes().await,
        ["scope_missing read_customers"],
        "the optional topics are nobody's problem"
    );
    let problem = &here.problems().await[0].problem;
    for part in [
        "read_customers",
        "CUSTOMERS_CREATE, CUSTOMERS_DELETE, CUSTOMERS_UPDATE",
    ] {
        assert!(problem.reason.contains(part), "{}", problem.reason);
    }
    assert_eq!(rounds[0].plan.count(Kind::Blocked), 3);
    assert_eq!(
        rounds[0].plan.count(Kind::Skipped),
        2,
        "customers/merge and inventory_levels/update"
    );
    let count = writes(&sandbox);
    here.apply().await;
    assert_eq!(writes(&sandbox), count, "what cannot be had is not asked for");
    sandbox.change(|shop| shop.grant_scopes(&["read_orders", "read_products", "write_customers"]));
    here.apply().await;
    assert_eq!(here.codes().await, [""; 0]);
    assert!(topics(&sandbox).contains("CUSTOMERS_UPDATE"));
}

#[tokio::test]
async fn without_a_public_url_nothing_is_changed_and_a_problem_says_so() {
    let sandbox = sandbox().await;
    let mut here = Here::new(&sandbox, ORDERS).await;
    here.at.public_url = None;
    assert!(matches!(
        here.try_apply().await,
        Err(SubscriptionsError::NoPublicUrl)
    ));
    assert_eq!(here.codes().await, ["public_url_missing public_url_missing"]);
    here.target.is_real = true;
    for url in [
        "http://sync.example.com",
        "https://192.168.1.2",
        "https://localhost",
        "nonsense",
    ] {
        here.at.public_url = Some(url.to_owned());
        let error = here.try_apply().await.unwrap_err();
        assert!(
            matches!(error, SubscriptionsError::BadPublicUrl { .. }),
            "{url}: {error}"
        );
        assert!(here.problems().await[0].problem.reason.contains(url), "{url}");
    }
    assert_eq!(sandbox.ledger().calls.graphql, 0, "nothing was even asked");
    here.at.public_url = Some("https://sync.example.com".to_owned());
    here.apply().await;
    assert_eq!(here.codes().await, [""; 0]);
    // Without any toggle nobody needs an address, and what stands goes.
    here.at.public_url = None;
    here.toggles("");
    here.apply().await;
    assert_eq!(topics(&sandbox), "");
}

#[tokio::test]
async fn an_api_version_without_names_rests_on_records() {
    let sandbox = sandbox().await;
    let here = Here::with(client(&sandbox, "2026-01"), ORDERS, "https://sync.example.com", 1).await;
    here.apply().await;
    assert_eq!(topics(&sandbox), ALL_TOPICS);
    assert!(registered(&sandbox).iter().all(|one| one.name.is_none()));
    let count = writes(&sandbox);
    here.apply().await;
    assert_eq!(writes(&sandbox), count);
    // With a newer version they get names and nothing else.
    let newer = Target {
        registry: client(&sandbox, "2026-10"),
        ..here.target.clone()
    };
    let named = apply(&here.at, &newer, &Order::default()).await.unwrap();
    assert_eq!(named[0].plan.count(Kind::Update), 8);
    assert!(
        named[0].restored.is_empty(),
        "nothing was lost for want of a name"
    );
    assert!(registered(&sandbox).iter().all(|one| one.name.is_some()));
}

#[tokio::test]
async fn removed_subscriptions_stay_away_while_their_shop_is_taken_out_and_no_longer() {
    let sandbox = sandbox().await;
    let here = Here::new(&sandbox, ORDERS).await;
    let config = |orders: &str| {
        let text = format!(
            "[shops.main]\ndomain = 'main.myshopify.com'\naccess_token = 'shpat_1'\nwebhook_secrets = ['secret']\n\
             [shops.main.odoo]\nurl = 'https://erp.example.com'\ndatabase = 'prod'\nlogin = 'a@example.com'\napi_key = 'k'\n\
             [shops.main.sync]\norders = {{ in = '{orders}' }}\n"
        );
        Config::parse(&text, std::path::Path::new("lockstep.toml"), &|_| None).unwrap()
    };
    let (first, second) = (config("on"), config("paused"));
    let (store, shop) = (&here.at.store, &here.target.name);
    let removed = async |config: &Config| {
        is_removed(store, shop, config, here.at.clock.now())
            .await
            .unwrap()
    };
    let mark = async || {
        set_removed(store, shop, &first, true, here.at.clock.now())
            .await
            .unwrap();
    };
    assert!(!removed(&first).await);
    mark().await;
    assert!(removed(&first).await);
    assert!(!removed(&second).await, "another configuration");
    assert!(!removed(&first).await, "what it said once it does not say again");
    mark().await;
    here.clock.advance(Duration::from_hours(23));
    assert!(removed(&first).await);
    here.clock.advance(Duration::from_hours(1));
    assert!(!removed(&first).await, "nobody took it out");
}

#[tokio::test]
async fn what_is_refused_for_good_is_not_looked_for_again_and_again() {
    let sandbox = sandbox().await;
    let here = Here::with(
        client(&sandbox, "2026-10"),
        ORDERS,
        "https://main-store.myshopify.com",
        1,
    )
    .await;
    here.apply().await;
    let gaps = here.at.store.gaps().await.unwrap();
    assert_eq!(gaps.len(), 1, "noted before it was tried");
    here.clock.advance(Duration::from_mins(5));
    here.apply().await;
    assert_eq!(here.at.store.gaps().await.unwrap(), gaps, "and not widened since");
}
