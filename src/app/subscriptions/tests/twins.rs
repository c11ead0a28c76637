//! Two installations with one identity: a store that was copied.

use super::*;
use crate::store::faulty::{FaultyStore, StoreFault};

const STAGING: &str = "https://staging.example.com";

/// The same installation again, with a copy of the store.
async fn copy_of(here: &Here, sandbox: &ShopSandbox) -> Here {
    let copy = Here::with(client(sandbox, "2026-10"), ORDERS, STAGING, 1).await;
    assert_eq!(copy.at.instance, here.at.instance);
    for row in here.at.store.subscriptions(&here.target.name).await.unwrap() {
        copy.at.store.save_subscription(row, None).await.unwrap();
    }
    copy
}

async fn moved(here: &Here) -> BTreeSet<ShopifyId> {
    let planned = plan(&here.at, &here.target).await.unwrap();
    planned.moved.iter().map(|one| one.id).collect()
}

fn addresses(sandbox: &ShopSandbox) -> BTreeSet<String> {
    registered(sandbox).into_iter().map(|one| one.uri).collect()
}

#[tokio::test]
async fn a_copied_store_is_noticed_and_nothing_is_written_until_a_person_decided() {
    let sandbox = sandbox().await;
    let here = Here::new(&sandbox, ORDERS).await;
    here.apply().await;
    let copy = copy_of(&here, &sandbox).await;
    // To the copy this looks like a changed public_url.
    copy.apply().await;
    assert_eq!(
        addresses(&sandbox),
        BTreeSet::from([format!("{STAGING}/webhooks/shopify")])
    );

    let before = writes(&sandbox);
    for _ in 0..3 {
        let error = here.try_apply().await.unwrap_err();
        assert!(
            matches!(&error, SubscriptionsError::Moved { count: 8, to, .. } if to.starts_with(STAGING)),
            "{error}"
        );
    }
    assert_eq!(writes(&sandbox), before, "neither moved back nor made anew");
    assert_eq!(here.codes().await, ["twin_installation twin_installation"]);
    let problem = here.problems().await.remove(0).problem;
    assert!(
        problem.fix.contains("adopt --moved --shop main"),
        "{}",
        problem.fix
    );
    let notes = list(&here.at, &here.target).await.unwrap().notes;
    assert!(notes[0].contains("new-instance"), "{notes:?}");
    // Nor does a command remove what leads to the other one.
    let order = Order {
        remove: true,
        ..Order::default()
    };
    apply(&here.at, &here.target, &order).await.unwrap_err();
    assert_eq!(writes(&sandbox), before);

    // It is this one that keeps them.
    let order = Order {
        adopted: moved(&here).await,
        ..Order::default()
    };
    apply(&here.at, &here.target, &order).await.unwrap();
    assert_eq!(
        addresses(&sandbox),
        BTreeSet::from(["https://sync.example.com/webhooks/shopify".to_owned()])
    );
    assert_eq!(here.codes().await, [""; 0]);
    // The copy is told now, and gets an id of its own.
    let before = writes(&sandbox);
    copy.try_apply().await.unwrap_err();
    assert_eq!(writes(&sandbox), before);
    let entropy: SharedEntropy = Arc::new(SeededEntropy::new(9));
    let fresh = renew_instance(&copy.at, [&copy.target.name], &entropy)
        .await
        .unwrap();
    assert_ne!(fresh, here.at.instance);
    copy.apply().await;
    for one in [&here, &copy] {
        assert!(one.try_apply().await.unwrap().last().unwrap().is_complete());
        assert_eq!(one.codes().await, [""; 0]);
    }
    assert_eq!(registered(&sandbox).len(), 16, "each has its own");
    assert_eq!(writes(&sandbox), before + 8);
}

#[tokio::test]
async fn a_copy_touches_nothing_that_was_made_after_it_was_taken() {
    let sandbox = sandbox().await;
    let mut here = Here::new(&sandbox, ORDERS).await;
    here.apply().await;
    // It was moved once: what the copy remembers of that must not make it ours there.
    here.at.public_url = Some("https://second.example.com".to_owned());
    here.apply().await;
    let mut copy = copy_of(&here, &sandbox).await;
    let moving = here.at.store.cursor(&here.target.name, MOVING_TO).await.unwrap();
    let now = here.at.clock.now();
    copy.at
        .store
        .set_cursor(&copy.target.name, MOVING_TO, &moving.unwrap(), now)
        .await
        .unwrap();
    let paid = registered(&sandbox)
        .into_iter()
        .find(|one| one.topic == "ORDERS_PAID")
        .unwrap();
    sandbox.change(|shop| shop.unregister(paid.id));
    here.apply().await;
    let before = writes(&sandbox);
    let urls = [None, Some(STAGING.to_owned())];
    for (url, toggles) in urls.into_iter().zip(["", ORDERS]) {
        copy.at.public_url = url;
        copy.toggles(toggles);
        let error = copy.try_apply().await.unwrap_err();
        assert!(
            matches!(&error, SubscriptionsError::Moved { count: 1, to, .. } if to.starts_with("https://second")),
            "{error}"
        );
        assert_eq!(copy.codes().await, ["twin_installation twin_installation"]);
    }
    assert_eq!(
        writes(&sandbox),
        before,
        "nothing is written until a person decided"
    );
    assert!(here.apply().await[0].plan.is_empty());
}

#[tokio::test]
async fn a_changed_address_is_no_twin_even_where_we_died_between_the_move_and_its_record() {
    let sandbox = sandbox().await;
    let mut here = Here::new(&sandbox, ORDERS).await;
    here.apply().await;
    let real = here.at.store.clone();
    let faulty = Arc::new(FaultyStore::new(real.clone()));
    here.at.store = Arc::clone(&faulty) as SharedStore;
    // Moved, and not recorded.
    faulty.fail("save_subscription", StoreFault::Away, 100);
    here.at.public_url = Some("https://second.example.com".to_owned());
    here.try_apply().await.ok();
    assert!(addresses(&sandbox).contains("https://second.example.com/webhooks/shopify"));
    here.at.store = real;
    here.at.public_url = Some("https://third.example.com".to_owned());
    here.apply().await;
    here.apply().await;
    assert_eq!(
        addresses(&sandbox),
        BTreeSet::from(["https://third.example.com/webhooks/shopify".to_owned()])
    );
    assert_eq!(here.codes().await, [""; 0]);
    here.at.public_url = Some("https://sync.example.com".to_owned());
    here.apply().await;
    assert!(here.plan().await.is_empty());
}

#[tokio::test]
async fn subscriptions_of_others_in_the_place_of_ours_are_one_problem_until_they_are_ours() {
    let sandbox = sandbox().await;
    let here = Here::new(&sandbox, ORDERS).await;
    let address = "https://sync.example.com/webhooks/shopify";
    let theirs: Vec<u64> = sandbox.change(|shop| {
        ["ORDERS_PAID", "ORDERS_CREATE"]
            .map(|topic| shop.register_through_api(topic, address, Some(&format!("theirs-{topic}")), None))
            .to_vec()
    });
    for _ in 0..2 {
        here.apply().await;
        assert_eq!(here.codes().await, ["subscription_blocked subscription_blocked"]);
    }
    let problem = here.problems().await.remove(0).problem;
    for id in &theirs {
        assert!(problem.fix.contains(&id.to_string()), "{}", problem.fix);
    }
    let order = Order {
        adopted: theirs.into_iter().map(ShopifyId).collect(),
        ..Order::default()
    };
    apply(&here.at, &here.target, &order).await.unwrap();
    assert_eq!(here.codes().await, [""; 0]);
}

#[tokio::test]
async fn many_shops_are_planned_side_by_side_and_none_is_asked_too_much() {
    use crate::sandbox::shopify::faults::ApiFault;
    const SHOPS: usize = 50;
    const ANSWER: std::time::Duration = std::time::Duration::from_millis(200);
    let mut shops = Vec::new();
    let mut targets = Vec::new();
    for n in 0..SHOPS {
        // With the real limits, and answers that take their time.
        let shop = ShopSandbox::start(Options::quick()).await.unwrap();
        shop.inject(ApiFault::Slow(ANSWER), None, 100);
        targets.push(Target {
            name: format!("shop{n}").parse().unwrap(),
            registry: client(&shop, "2026-10"),
            toggles: toml::from_str(ORDERS).unwrap(),
            owner: "shop administrator".to_owned(),
            start_at: None,
            is_real: false,
        });
        shops.push(shop);
    }
    let here = Here::new(&shops[0], ORDERS).await;
    let began = std::time::Instant::now();
    let planned = plan_all(&here.at, &targets).await;
    let took = began.elapsed();
    println!("{SHOPS} shops were planned in {took:?}");
    for (n, (shop, result)) in planned.into_iter().enumerate() {
        assert_eq!(shop.as_str(), format!("shop{n}"), "in order");
        assert_eq!(result.unwrap().plan.count(Kind::Create), 8);
    }
    for shop in &shops {
        let calls = shop.ledger().calls;
        assert_eq!(calls.throttled, 0);
        assert!(calls.graphql <= 3, "{} questions", calls.graphql);
    }
    let one_by_one = ANSWER * u32::try_from(SHOPS).unwrap();
    assert!(
        took < one_by_one,
        "one after the other it takes {one_by_one:?} at least: {took:?}"
    );
}
