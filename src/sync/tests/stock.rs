//! Stock on its way to the shop.

mod by_hand;
mod places;
mod quotations;
mod together;

use super::bench::*;
use super::*;
use crate::app::review::Reviewer;
use crate::domain::{Actor, ErpId, LinkKind, Via};
use crate::sandbox::shopify::faults::ApiFault;
use crate::store::NewIntent;

/// A bench that sends stock.
async fn bench() -> Bench {
    let options = OdooOptions {
        services: services(),
        ..OdooOptions::version(Version::V18)
    };
    Bench::adjusted(options, sends_stock).await
}

fn sends_stock(shop: &mut ShopContext) {
    shop.out.insert(Object::Inventory);
}

/// A variant that both sides have: the shop's and the ERP's, and the ERP's product.
struct Article {
    variant: u64,
    erp_id: i64,
    product: i64,
}

impl Bench {
    /// Articles, each a variant of one product, carried into the ERP.
    async fn articles(&self, count: usize) -> Vec<Article> {
        let sizes: Vec<String> = (0..count).map(|n| format!("size {n}")).collect();
        let product = self.shop.change(|shop| {
            shop.create_product(ProductDraft {
                title: "Shirt".into(),
                options: vec!["Size".into()],
                variants: sizes
                    .iter()
                    .enumerate()
                    .map(|(n, size)| VariantDraft::new(&[size], &format!("SHIRT-{n}"), decimal("19.99")))
                    .collect(),
                ..ProductDraft::default()
            })
        });
        let (state, why) = self.sync(Object::Product, product).await;
        assert_eq!(state, JobState::Completed, "{why:?}");
        let variants: Vec<u64> = self.shop.read(|shop| {
            let product = shop.product(product).unwrap();
            product.variants.iter().map(|variant| variant.id).collect()
        });
        let mut articles = Vec::new();
        for variant in variants {
            let link = self.link(LinkKind::Variant, variant).await.unwrap();
            articles.push(Article {
                variant,
                erp_id: link.erp_id.0,
                product: self.link(LinkKind::Product, product).await.unwrap().erp_id.0,
            });
        }
        articles
    }

    /// Articles of a product each.
    async fn products(&self, count: usize) -> Vec<Article> {
        let mut articles = Vec::new();
        for n in 0..count {
            let product = self.shop.change(|shop| {
                shop.create_product(ProductDraft {
                    title: format!("Cup {n}"),
                    variants: vec![VariantDraft::new(&[], &format!("CUP-{n}"), decimal("4.99"))],
                    ..ProductDraft::default()
                })
            });
            assert_eq!(self.sync(Object::Product, product).await.0, JobState::Completed);
            let variant = self
                .shop
                .read(|shop| shop.product(product).unwrap().variants[0].id);
            articles.push(Article {
                variant,
                erp_id: self.link(LinkKind::Variant, variant).await.unwrap().erp_id.0,
                product: self.link(LinkKind::Product, product).await.unwrap().erp_id.0,
            });
        }
        articles
    }

    fn count(&self, article: &Article, units: i64) {
        self.erp.set_stock(article.erp_id, None, units).unwrap();
    }

    /// On hand and available at the main location.
    fn level(&self, article: &Article) -> (i64, i64) {
        self.shop.read(|shop| {
            let level = shop.level(article.variant, shop.main_location()).unwrap();
            let on_hand = level.available + level.committed + level.reserved + level.damaged;
            (on_hand, level.available)
        })
    }

    /// What was written so far lies behind the window over which changes are counted.
    async fn much_later(&self) {
        let day = Duration::from_secs(86_400);
        let later = crate::domain::Clock::now(&SystemClock).plus(day);
        while self.store.prune(later, 100).await.unwrap() > 0 {}
    }

    fn adjustments(&self) -> usize {
        self.shop.read(|shop| shop.adjustments().len())
    }

    fn stock_key(&self, article: &Article) -> JobKey {
        let shop = "main".parse().unwrap();
        JobKey::of_erp(&shop, Object::Inventory, ErpId(article.product))
    }

    /// Brings the stock of the article's product over, that of its other variants included.
    async fn push(&self, article: &Article) -> (JobState, Option<String>) {
        let job = NewJob {
            key: self.stock_key(article),
            priority: Priority::LIVE,
            now: crate::domain::Clock::now(&SystemClock),
            cause: "test".into(),
        };
        let job = self.store.enqueue(job).await.unwrap().job;
        self.drain().await;
        self.story(job).await
    }
}

/// The person who answers.
fn reviewer(bench: &Bench) -> Reviewer {
    Reviewer::new(
        bench.store.clone(),
        Arc::new(SystemClock),
        Actor::new("ada", Via::Cli),
    )
}

#[tokio::test]
async fn counted_stock_arrives_and_a_second_push_writes_nothing() {
    let bench = bench().await;
    let article = &bench.articles(1).await[0];
    bench.count(article, 12);
    let (state, why) = bench.push(article).await;
    assert_eq!(
        (state, why.as_deref()),
        (JobState::Completed, Some("set the stock"))
    );
    assert_eq!(bench.level(article).0, 12);
    {
        let told = bench.told.lock().unwrap();
        let happened = &told.last().unwrap().1[0];
        let about = happened.about.as_ref().unwrap();
        assert_eq!(about.sku.as_deref(), Some("SHIRT-0"));
        assert!(about.title.as_deref().is_some_and(|title| !title.is_empty()));
        assert_eq!(happened.changed.len(), 1);
    }
    assert_eq!(bench.has_told().last().unwrap(), "inventory.synced Updated");
    let written = bench.adjustments();
    let (state, why) = bench.push(article).await;
    assert_eq!(
        (state, why.as_deref()),
        (JobState::Completed, Some("stock is up to date"))
    );
    assert_eq!(bench.has_told(), ["inventory.synced Skipped"]);
    assert_eq!(bench.adjustments(), written);
    // What is sold meanwhile the shop subtracts by itself.
    bench.shop.change(|shop| shop.sell(article.variant, 5)).unwrap();
    bench.count(article, 20);
    bench.drain().await;
    bench.push(article).await;
    assert_eq!(bench.level(article), (20, 15));
}

#[tokio::test]
async fn what_left_the_shop_with_a_parcel_is_not_put_back_before_the_erp_delivered_it() {
    let bench = bench().await;
    let article = &bench.articles(1).await[0];
    bench.count(article, 12);
    bench.push(article).await;
    let (id, name) = order(&bench, everyday(Buyer::Nobody, article.variant));
    assert_eq!(bench.sync(Object::Order, id).await.0, JobState::Completed);
    let written = bench.adjustments();
    let (state, why) = bench.push(article).await;
    assert_eq!(
        (state, why.as_deref()),
        (JobState::Completed, Some("stock is up to date"))
    );
    assert_eq!(bench.level(article), (12, 9), "sold, and still in the shelves");
    // The parcel leaves the shop; the ERP's delivery is still open.
    bench.shop.change(|shop| shop.fulfill_order(id, None)).unwrap();
    assert_eq!(bench.sync(Object::Order, id).await.0, JobState::Completed);
    assert_eq!(bench.level(article), (9, 9));
    bench.push(article).await;
    assert_eq!(bench.level(article), (9, 9), "the ERP still counts 12");
    assert_eq!(bench.adjustments(), written);
    // Eight more come in before the ERP delivers.
    bench.count(article, 20);
    bench.push(article).await;
    assert_eq!(bench.level(article), (17, 17));
    bench.erp.deliver_all(bench.booked(&name).id).unwrap();
    let written = bench.adjustments();
    bench.push(article).await;
    assert_eq!(bench.level(article), (17, 17));
    assert_eq!(bench.adjustments(), written, "both sides show 17 by now");
}

#[tokio::test]
async fn stock_never_rises_while_an_order_of_it_is_in_work() {
    let bench = bench().await;
    let articles = bench.articles(2).await;
    for article in &articles {
        bench.count(article, 10);
    }
    bench.push(&articles[0]).await;
    // An order that cannot be carried in until somebody makes a tax of 17 %.
    let draft = OrderDraft {
        taxes: vec![vat(17)],
        ..everyday(Buyer::Nobody, articles[0].variant)
    };
    let (order, _) = order(&bench, draft);
    let (state, _) = bench.sync(Object::Order, order).await;
    assert_eq!(state, JobState::Problem);
    for article in &articles {
        bench.count(article, 15);
    }
    let waits = |why: Option<String>| why.unwrap_or_default().starts_with("stock_waits_for_an_order");
    let (_, why) = bench.push(&articles[0]).await;
    assert!(waits(why));
    assert_eq!(bench.level(&articles[0]).0, 10);
    assert_eq!(bench.level(&articles[1]).0, 15, "of another article it rises");
    // Fewer are sent at once.
    bench.count(&articles[0], 8);
    assert_eq!(bench.push(&articles[0]).await.0, JobState::Completed);
    assert_eq!(bench.level(&articles[0]).0, 8);
    bench.count(&articles[0], 15);
    let (_, why) = bench.push(&articles[0]).await;
    assert!(waits(why));
    // The order is out of the way: then it rises.
    let known = bench.store.jobs(crate::store::JobFilter {
        object: Some(Object::Order),
        limit: 10,
        ..Default::default()
    });
    let known = known.await.unwrap()[0].id;
    let now = crate::domain::Clock::now(&SystemClock);
    assert!(bench.store.discard(known, "test", now).await.unwrap());
    assert_eq!(bench.push(&articles[0]).await.0, JobState::Completed);
    assert_eq!(bench.level(&articles[0]).0, 15);
}

#[tokio::test]
async fn a_lost_answer_is_sent_again_under_the_same_key_and_counts_once() {
    for fault in [ApiFault::CutAfter, ApiFault::CutBefore] {
        let bench = bench().await;
        let article = &bench.articles(1).await[0];
        bench.count(article, 12);
        let before = bench.adjustments();
        bench.shop.inject(fault.clone(), Some("LockstepQuantitiesSet"), 1);
        let (state, why) = bench.push(article).await;
        assert_eq!(
            state,
            JobState::Problem,
            "tests show failures as problems: {why:?}"
        );
        assert_eq!(
            bench
                .store
                .open_intents(&bench.stock_key(article))
                .await
                .unwrap()
                .len(),
            1
        );
        let (state, why) = bench.push(article).await;
        assert_eq!(state, JobState::Completed, "{fault:?}: {why:?}");
        assert_eq!(bench.level(article).0, 12);
        assert_eq!(bench.adjustments(), before + 1, "{fault:?}");
        assert!(
            bench
                .store
                .open_intents(&bench.stock_key(article))
                .await
                .unwrap()
                .is_empty()
        );
    }
}

#[tokio::test]
async fn what_an_earlier_attempt_decided_on_an_old_number_changes_nothing_any_more() {
    let bench = bench().await;
    let article = &bench.articles(1).await[0];
    bench.count(article, 12);
    bench.push(article).await;
    let item = bench.link(LinkKind::Variant, article.variant).await.unwrap();
    assert_eq!(item.erp_id, ErpId(article.erp_id));
    let (item, location) = bench.shop.read(|shop| {
        let (_, variant) = shop.variant(article.variant).unwrap();
        (variant.item.id, shop.main_location())
    });
    // It was noted when the shop held 3, and never sent.
    let now = crate::domain::Clock::now(&SystemClock);
    bench
        .store
        .enqueue(NewJob {
            key: bench.stock_key(article),
            priority: Priority::LIVE,
            now,
            cause: "test".into(),
        })
        .await
        .unwrap();
    let claim = Claim {
        node: "test".into(),
        lanes: vec![(Lane::of(&bench.stock_key(article)), 1)],
        now,
        lease: Duration::from_secs(60),
    };
    let job = bench.store.claim(claim).await.unwrap().remove(0);
    let payload = serde_json::json!({ "name": "on_hand", "reference": "gid://lockstep/Job/1",
        "items": [[item, location, 99, 3]] });
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
    assert!(matches!(report.outcome, Outcome::Completed), "{report:?}");
    bench.store.finish(finish(id, fence, report)).await.unwrap();
    assert_eq!(bench.level(article).0, 12);
    assert!(
        bench
            .store
            .open_intents(&bench.stock_key(article))
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn articles_that_cannot_have_stock_there_are_skipped_with_a_reason() {
    let bench = bench().await;
    let articles = bench.articles(1).await;
    bench
        .shop
        .change(|shop| shop.edit_variant(articles[0].variant, |variant| variant.item.tracked = false))
        .unwrap();
    bench.count(&articles[0], 12);
    let (state, why) = bench.push(&articles[0]).await;
    assert_eq!(
        (state, why.as_deref()),
        (JobState::Obsolete, Some("not_tracked_on_shopify"))
    );
    let lamp = serde_json::json!({"name": "Lamp", "is_storable": true});
    let lamp = bench.made_in_the_erp("product.product", lamp);
    let stranger = Article {
        variant: 1,
        erp_id: lamp,
        product: bench.erp.ledger().record("product.product", lamp).unwrap()["product_tmpl_id"]
            .as_i64()
            .unwrap(),
    };
    let (state, why) = bench.push(&stranger).await;
    assert_eq!(
        (state, why.as_deref()),
        (JobState::Obsolete, Some("variant_not_linked"))
    );
}

#[tokio::test]
async fn a_bad_count_does_not_empty_the_shop() {
    let bench = bench().await;
    let articles = bench.products(25).await;
    let shop: ShopName = "main".parse().unwrap();
    for (n, article) in articles.iter().enumerate() {
        if n % 10 == 0 {
            bench.much_later().await;
        }
        bench.count(article, 5);
        assert_eq!(bench.push(article).await.0, JobState::Completed);
    }
    bench.much_later().await;

    let mut states = BTreeMap::new();
    for article in &articles {
        bench.count(article, 0);
        let (state, why) = bench.push(article).await;
        *states.entry(state).or_insert(0) += 1;
        if state == JobState::Held {
            assert!(why.unwrap().starts_with("sudden_change"));
        }
    }
    assert_eq!(
        states,
        BTreeMap::from([(JobState::Completed, 20), (JobState::Held, 5)])
    );
    let problems = bench.store.open_problems(100).await.unwrap();
    let clusters: std::collections::BTreeSet<String> =
        problems.iter().map(|row| row.problem.cluster.clone()).collect();
    assert_eq!(clusters.len(), 1, "{clusters:?}");
    // Time alone is no approval.
    bench.push(&articles[24]).await;
    assert_eq!(bench.level(&articles[24]).0, 5);

    // What a person approves of is what they saw: one of them means to write something else by now.
    bench.count(&articles[24], 1);
    let count = reviewer(&bench).approve(&shop, Object::Inventory, None).await;
    assert_eq!(count.unwrap(), 5);
    bench.drain().await;
    assert!(articles[..24].iter().all(|article| bench.level(article).0 == 0));
    assert_eq!(bench.level(&articles[24]).0, 5);
    assert_eq!(bench.store.open_problems(100).await.unwrap().len(), 1);
    let count = reviewer(&bench).approve(&shop, Object::Inventory, None).await;
    assert_eq!(count.unwrap(), 1);
    bench.drain().await;
    assert_eq!(bench.level(&articles[24]).0, 1);
    assert!(bench.store.open_problems(100).await.unwrap().is_empty());
}

#[tokio::test]
async fn what_a_person_rejects_is_given_up_and_later_changes_go_on() {
    let bench = bench().await;
    let articles = bench.products(22).await;
    for article in &articles {
        bench.count(article, 5);
        bench.push(article).await;
    }
    let shop: ShopName = "main".parse().unwrap();
    let held = |store: SharedStore| async move {
        let filter = crate::store::JobFilter {
            states: vec![JobState::Held],
            limit: 100,
            ..Default::default()
        };
        store.jobs(filter).await.unwrap().len()
    };
    let waiting = held(Arc::clone(&bench.store)).await;
    assert_eq!(waiting, 2, "more than 20 records at once");
    let count = reviewer(&bench)
        .reject(&shop, Object::Inventory, "a mistake")
        .await;
    assert_eq!(count.unwrap(), 2);
    assert_eq!(held(Arc::clone(&bench.store)).await, 0);
    bench.much_later().await;
    bench.count(&articles[21], 6);
    assert_eq!(bench.push(&articles[21]).await.0, JobState::Completed);
    assert_eq!(bench.level(&articles[21]).0, 6);
}

#[tokio::test]
async fn units_of_orders_that_reserve_nothing_yet_are_not_offered_twice() {
    let folder = tempfile::tempdir().unwrap();
    let (_, shipped) = crate::mapping::DEFAULTS
        .iter()
        .find(|(name, _)| *name == "inventory.out.toml")
        .unwrap();
    let text = shipped
        .replace("minus_open_orders = false", "minus_open_orders = true")
        .replace(
            "on_hand = \"stock.on_hand | whole\"",
            "available = \"stock.free | whole\"",
        );
    std::fs::write(folder.path().join("inventory.out.toml"), text).unwrap();
    let mappings = crate::app::mappings::load(Some(folder.path())).unwrap();
    let mut options = OdooOptions {
        services: services(),
        ..OdooOptions::version(Version::V18)
    };
    options.companies[0].currency = "EUR".to_owned();
    options.companies[0].country = "DE".to_owned();
    let erp = OdooSandbox::start(options).await.unwrap();
    let bench = Bench::connected(
        ShopOptions::default(),
        erp,
        CurrencyChoice::Shop,
        mappings,
        sends_stock,
    )
    .await;
    let article = &bench.articles(1).await[0];
    bench.count(article, 10);
    bench.push(article).await;
    assert_eq!(bench.level(article), (10, 10));
    // Sold on the shop, and never carried into the ERP.
    bench.shop.change(|shop| shop.sell(article.variant, 3)).unwrap();
    assert_eq!(bench.level(article).1, 7);
    bench.count(article, 12);
    let (state, why) = bench.push(article).await;
    assert_eq!(state, JobState::Completed, "{why:?}");
    assert_eq!(bench.level(article).1, 9, "12 less the 3 that nobody reserved");
    // Another one is carried in and reserves: the ERP's own number has them off already.
    bench.erp.set_stock(article.erp_id, None, 12).unwrap();
    let (id, _) = order(&bench, everyday(Buyer::Nobody, article.variant));
    assert_eq!(bench.sync(Object::Order, id).await.0, JobState::Completed);
    bench.push(article).await;
    assert_eq!(bench.level(article).1, 6, "12 less 3 reserved and 3 that are not");
}
