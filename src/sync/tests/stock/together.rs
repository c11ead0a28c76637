//! The stock of all variants of a product in one go.

use super::*;

/// Calls of the shop's API so far, by operation.
fn calls(bench: &Bench, operation: &str) -> u64 {
    let calls = bench.shop.ledger().calls.by_operation;
    calls.get(operation).copied().unwrap_or(0)
}

#[tokio::test]
async fn all_variants_are_read_and_written_in_one_call_each() {
    let bench = bench().await;
    let articles = bench.articles(12).await;
    for (n, article) in articles.iter().enumerate() {
        bench.count(article, 3 + i64::try_from(n).unwrap());
    }
    let before = bench.erp.ledger().calls();
    let (state, why) = bench.push(&articles[0]).await;
    assert_eq!(
        (state, why.as_deref()),
        (JobState::Completed, Some("set the stock"))
    );
    for (n, article) in articles.iter().enumerate() {
        assert_eq!(bench.level(article).0, 3 + i64::try_from(n).unwrap());
    }
    assert_eq!(calls(&bench, "LockstepQuantitiesSet"), 1);
    assert_eq!(calls(&bench, "LockstepItemStock"), 1);
    assert_eq!(calls(&bench, "LockstepVariantItems"), 1);
    let asked: u64 = bench.calls_since(&before).values().sum();
    assert!(asked <= 4, "{:?}", bench.calls_since(&before));

    // Nothing changed: nothing is written, and the items are known.
    let (_, why) = bench.push(&articles[0]).await;
    assert_eq!(why.as_deref(), Some("stock is up to date"));
    assert_eq!(calls(&bench, "LockstepQuantitiesSet"), 1);
    assert_eq!(calls(&bench, "LockstepVariantItems"), 1);
}

#[tokio::test]
async fn a_job_that_names_a_variant_brings_its_product_over() {
    let bench = bench().await;
    let articles = bench.articles(2).await;
    for article in &articles {
        bench.count(article, 7);
    }
    let (state, why) = bench.send(Object::Inventory, articles[1].erp_id).await;
    assert_eq!(state, JobState::Completed, "{why:?}");
    for article in &articles {
        assert_eq!(bench.level(article).0, 7);
    }
    let (state, why) = bench.send(Object::Inventory, 987_654).await;
    assert_eq!(
        (state, why.as_deref()),
        (JobState::Obsolete, Some("deleted_in_erp"))
    );
}

#[tokio::test]
async fn what_an_earlier_version_sent_of_a_variant_is_sent_again_first() {
    let bench = bench().await;
    let article = &bench.articles(1).await[0];
    bench.count(article, 12);
    let (item, location) = bench.shop.read(|shop| {
        let (_, variant) = shop.variant(article.variant).unwrap();
        (variant.item.id, shop.main_location())
    });
    let now = crate::domain::Clock::now(&SystemClock);
    let key = JobKey {
        source_id: article.erp_id.to_string(),
        ..bench.stock_key(article)
    };
    let job = NewJob {
        key: key.clone(),
        priority: Priority::LIVE,
        now,
        cause: "test".into(),
    };
    bench.store.enqueue(job).await.unwrap();
    let claim = Claim {
        node: "test".into(),
        lanes: vec![(Lane::of(&key), 1)],
        now,
        lease: Duration::from_secs(60),
    };
    let job = bench.store.claim(claim).await.unwrap().remove(0);
    let shown = bench.level(article).0;
    let payload = serde_json::json!({ "name": "on_hand", "reference": "gid://lockstep/Job/1",
        "items": [[item, location, 5, shown]] });
    let intent = NewIntent {
        kind: "set_quantities".into(),
        key: "an-old-key".into(),
        payload,
    };
    bench
        .store
        .open_intent(job.id, job.fence, intent, now)
        .await
        .unwrap();
    let (id, fence) = (job.id, job.fence);
    let report = bench.engine.attempt(job, CancellationToken::new()).await;
    assert_eq!(bench.level(article).0, 5);
    bench.store.finish(finish(id, fence, report)).await.unwrap();
    assert!(bench.store.open_intents(&key).await.unwrap().is_empty());
    bench.drain().await;
    assert_eq!(bench.level(article).0, 12);
}

#[tokio::test]
async fn a_level_that_cannot_be_set_keeps_no_other_from_being_set() {
    let bench = bench().await;
    let articles = bench.articles(4).await;
    for article in &articles {
        bench.count(article, 9);
    }
    let not_counted = |variant: &mut crate::sandbox::shopify::facts::Variant| variant.item.tracked = false;
    bench
        .shop
        .change(|shop| shop.edit_variant(articles[1].variant, not_counted))
        .unwrap();
    bench.shop.change(|shop| {
        shop.refuse_next(
            "inventorySetQuantities",
            &["input", "quantities", "1", "quantity"],
            "cannot be set there",
            Some("INVALID_LOCATION"),
        );
    });
    let untouched = bench.level(&articles[2]).0;
    let (state, why) = bench.push(&articles[0]).await;
    // Of those that are counted the second one is refused; the others are written.
    assert_eq!(state, JobState::Problem);
    let why = why.unwrap();
    assert!(
        why.starts_with("shopify_write_rejected") && why.contains("cannot be set there"),
        "{why}"
    );
    let levels: Vec<i64> = articles.iter().map(|article| bench.level(article).0).collect();
    assert_eq!((levels[0], levels[2], levels[3]), (9, untouched, 9));
    // Once the reason is gone, the same is sent again.
    assert_eq!(bench.push(&articles[0]).await.0, JobState::Completed);
    assert_eq!(bench.level(&articles[2]).0, 9);
}

#[tokio::test]
async fn many_levels_of_one_product_that_become_none_are_held() {
    let bench = bench().await;
    let articles = bench.articles(25).await;
    for article in &articles {
        bench.count(article, 5);
    }
    let (state, why) = bench.push(&articles[0]).await;
    assert_eq!(
        state,
        JobState::Completed,
        "one product alone is nothing sudden: {why:?}"
    );
    bench.much_later().await;
    for article in &articles[..21] {
        bench.count(article, 0);
    }
    let (state, why) = bench.push(&articles[0]).await;
    assert_eq!(state, JobState::Held, "{why:?}");
    assert!(articles.iter().all(|article| bench.level(article).0 == 5));
    bench.count(&articles[0], 5);
    assert_eq!(
        bench.push(&articles[0]).await.0,
        JobState::Held,
        "time alone is no approval"
    );
}

/// The shop's next answer to quantities is that one of them moved meanwhile.
fn next_is_stale(bench: &Bench) {
    bench.shop.change(|shop| {
        shop.refuse_next(
            "inventorySetQuantities",
            &["input", "quantities", "0"],
            "The quantity is another one by now",
            Some("CHANGE_FROM_QUANTITY_STALE"),
        );
    });
}

#[tokio::test]
async fn levels_that_become_none_are_counted_once_when_the_shop_moved_meanwhile() {
    let bench = bench().await;
    let articles = bench.articles(25).await;
    let count = |some: &[Article], units: i64| some.iter().for_each(|article| bench.count(article, units));
    count(&articles, 5);
    assert_eq!(bench.push(&articles[0]).await.0, JobState::Completed);
    bench.much_later().await;
    // Fifteen, and again fifteen when it is planned anew: they are the same.
    count(&articles[..15], 0);
    next_is_stale(&bench);
    let (state, why) = bench.push(&articles[0]).await;
    assert_eq!(state, JobState::Completed, "{why:?}");
    assert!(articles[..15].iter().all(|article| bench.level(article).0 == 0));
    // Ten more are others.
    count(&articles[15..], 0);
    next_is_stale(&bench);
    let (state, why) = bench.push(&articles[0]).await;
    assert_eq!(state, JobState::Held, "{why:?}");
    assert!(articles[15..].iter().all(|article| bench.level(article).0 == 5));
    // What a person says yes to is written, also where the shop moved once more.
    let clock: SharedClock = Arc::new(SystemClock);
    let shop: ShopName = "main".parse().unwrap();
    let reviewer = crate::app::review::Reviewer::new(
        bench.store.clone(),
        clock,
        crate::domain::Actor::new("ada", crate::domain::Via::Cli),
    );
    let approved = reviewer.approve(&shop, Object::Inventory, None).await;
    assert_eq!(approved.unwrap(), 1);
    bench.drain().await;
    assert!(articles.iter().all(|article| bench.level(article).0 == 0));
}

#[tokio::test]
async fn the_stock_of_an_item_that_is_another_variants_is_left_alone() {
    let bench = bench().await;
    let article = &bench.articles(1).await[0];
    bench.count(article, 4);
    assert_eq!(bench.push(article).await.0, JobState::Completed);
    // As in a shop that was restored: under the number that we know stands somebody else's item.
    let foreign = bench.shop.change(|shop| {
        let product = shop.create_product(ProductDraft {
            title: "A stranger".into(),
            variants: vec![VariantDraft::new(&[], "STRANGER", decimal("1"))],
            ..ProductDraft::default()
        });
        shop.product(product).unwrap().variants[0].id
    });
    let item_of = |variant: u64| bench.shop.read(|shop| shop.variant(variant).unwrap().1.item.id);
    let known = bench
        .link(LinkKind::Inventory, item_of(article.variant))
        .await
        .unwrap();
    let retired = crate::domain::Link {
        state: crate::domain::LinkState::Retired,
        ..known.clone()
    };
    bench.relink(retired).await;
    let strange = crate::domain::Link {
        source_id: item_of(foreign).to_string(),
        ..known
    };
    bench.relink(strange).await;
    let adjusted = bench.adjustments();
    bench.count(article, 9);
    let (state, why) = bench.push(article).await;
    assert_eq!(state, JobState::Completed, "{why:?}");
    assert_eq!(bench.level(article).0, 9);
    assert_eq!(bench.adjustments(), adjusted + 1, "of the right item alone");
    let right = bench.link(LinkKind::Inventory, item_of(article.variant)).await;
    assert_eq!(right.map(|link| link.erp_id), Some(ErpId(article.erp_id)));
}

#[tokio::test]
async fn a_level_that_becomes_none_twice_is_counted_once() {
    let bench = bench().await;
    let articles = bench.articles(15).await;
    for units in [5, 0, 5, 0] {
        for article in &articles {
            bench.count(article, units);
        }
        let (state, why) = bench.push(&articles[0]).await;
        assert_eq!(state, JobState::Completed, "{why:?}");
    }
}

#[tokio::test]
async fn a_refused_level_keeps_none_from_rising_once_its_order_is_carried_in() {
    let bench = bench().await;
    let articles = bench.articles(2).await;
    for article in &articles {
        bench.count(article, 10);
    }
    bench.push(&articles[0]).await;
    let draft = OrderDraft {
        taxes: vec![vat(17)],
        ..everyday(Buyer::Nobody, articles[0].variant)
    };
    let (order, _) = order(&bench, draft);
    assert_eq!(bench.sync(Object::Order, order).await.0, JobState::Problem);
    for article in &articles {
        bench.count(article, 15);
    }
    bench.shop.change(|shop| {
        shop.refuse_next(
            "inventorySetQuantities",
            &["input", "quantities", "0", "quantity"],
            "cannot be set there",
            Some("INVALID_LOCATION"),
        );
    });
    let (_, why) = bench.push(&articles[0]).await;
    let why = why.unwrap();
    assert!(why.starts_with("stock_waits_for_an_order"), "{why}");
    assert_eq!(
        (bench.level(&articles[0]).0, bench.level(&articles[1]).0),
        (10, 10)
    );
}

#[tokio::test]
async fn a_write_that_is_refused_when_it_is_sent_again_is_planned_anew() {
    let bench = bench().await;
    let article = &bench.articles(1).await[0];
    bench.count(article, 12);
    bench
        .shop
        .inject(ApiFault::CutBefore, Some("LockstepQuantitiesSet"), 1);
    assert_eq!(bench.push(article).await.0, JobState::Problem);
    bench.shop.change(|shop| {
        shop.refuse_next(
            "inventorySetQuantities",
            &["input", "quantities", "0", "quantity"],
            "cannot be set there",
            Some("INVALID_LOCATION"),
        );
    });
    let (state, why) = bench.push(article).await;
    assert_eq!(state, JobState::Completed, "{why:?}");
    assert_eq!(bench.level(article).0, 12);
}
