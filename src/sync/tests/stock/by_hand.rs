//! Numbers that somebody sets on the shop.

use super::*;

impl Bench {
    /// The shop tells of a level of this article; returns what became of that.
    async fn told_of(&self, article: &Article) -> (JobState, Option<String>) {
        let item = self
            .shop
            .read(|shop| shop.variant(article.variant).unwrap().1.item.id);
        self.sync(Object::Inventory, item).await
    }

    fn set_by_hand(&self, article: &Article, units: i64) {
        self.shop.change(|shop| {
            let location = shop.main_location();
            shop.set_available(article.variant, location, units).unwrap();
        });
    }

    /// Jobs of the way back.
    async fn pushes(&self) -> u64 {
        let filter = crate::store::JobFilter {
            object: Some(Object::Inventory),
            limit: 100,
            ..Default::default()
        };
        let jobs = self.store.jobs(filter).await.unwrap();
        jobs.iter()
            .filter(|job| job.key.direction == Direction::Out)
            .count() as u64
    }
}

/// A bench whose mapping of stock has this truth.
async fn with_truth(truth: &str) -> Bench {
    let folder = tempfile::tempdir().unwrap();
    let (_, shipped) = crate::mapping::DEFAULTS
        .iter()
        .find(|(name, _)| *name == "inventory.out.toml")
        .unwrap();
    let text = shipped.replace("truth = \"erp\"", &format!("truth = \"{truth}\""));
    std::fs::write(folder.path().join("inventory.out.toml"), text).unwrap();
    let mappings = crate::app::mappings::load(Some(folder.path())).unwrap();
    let options = OdooOptions {
        services: services(),
        ..OdooOptions::version(Version::V18)
    };
    Bench::built(ShopOptions::default(), options, mappings, sends_stock).await
}

#[tokio::test]
async fn our_own_push_coming_back_ends_at_the_agreement() {
    let bench = bench().await;
    let article = &bench.articles(1).await[0];
    let (state, why) = bench.told_of(article).await;
    assert_eq!(
        (state, why.as_deref()),
        (JobState::Obsolete, Some("its_stock_was_never_sent"))
    );
    bench.count(article, 12);
    bench.push(article).await;
    let (pushes, written) = (bench.pushes().await, bench.adjustments());
    let (state, why) = bench.told_of(article).await;
    assert_eq!(
        (state, why.as_deref()),
        (JobState::Completed, Some("the shop shows what was agreed on"))
    );
    // What is sold the shop subtracts by itself from what is available; what is on hand stays.
    bench.shop.change(|shop| shop.sell(article.variant, 5)).unwrap();
    let (_, why) = bench.told_of(article).await;
    assert_eq!(why.as_deref(), Some("the shop shows what was agreed on"));
    assert_eq!((bench.pushes().await, bench.adjustments()), (pushes, written));
}

#[tokio::test]
async fn a_number_set_by_hand_does_not_stay_unless_the_mapping_says_so() {
    for (truth, expected) in [("erp", 12), ("shopify", 40), ("hold", 40)] {
        let bench = with_truth(truth).await;
        let article = &bench.articles(1).await[0];
        bench.set_by_hand(article, 0);
        bench.count(article, 12);
        bench.push(article).await;
        assert_eq!(
            bench.level(article).0,
            12,
            "{truth}: a level that was never set is set"
        );
        bench.set_by_hand(article, 40);
        let (state, why) = bench.told_of(article).await;
        assert_eq!(state, JobState::Completed, "{truth}: {why:?}");
        assert_eq!(bench.level(article).0, expected, "{truth}");
        // Told once more, nothing is written.
        let written = bench.adjustments();
        bench.told_of(article).await;
        assert_eq!(bench.adjustments(), written, "{truth}");

        // And what the ERP counts next is what the truth makes of it.
        bench.count(article, 15);
        let (state, why) = bench.push(article).await;
        let (now, expected) = (
            (state, bench.level(article).0),
            match truth {
                "erp" => (JobState::Completed, 15),
                "shopify" => (JobState::Completed, 40),
                _ => (JobState::Problem, 40),
            },
        );
        assert_eq!(now, expected, "{truth}: {why:?}");
        if truth == "hold" {
            assert!(why.unwrap().starts_with("changed_on_both_sides"));
        }
    }
}

#[tokio::test]
async fn a_level_that_fell_is_looked_at_when_its_order_had_time_to_arrive() {
    let bench = bench().await;
    let article = &bench.articles(1).await[0];
    bench.count(article, 12);
    bench.push(article).await;
    // Sold at the till and taken along: the shop tells of the level and of the order, in any sequence.
    bench.set_by_hand(article, 7);
    let item = bench
        .shop
        .read(|shop| shop.variant(article.variant).unwrap().1.item.id);
    let mut job = bench.claim(Object::Inventory, item).await;
    let report = bench.engine.attempt(job.clone(), CancellationToken::new()).await;
    let Outcome::Later { at } = report.outcome else {
        panic!("{report:?}");
    };
    assert_eq!(at, job.wanted_since.plus(Duration::from_mins(1)));
    assert!(report.enqueue.is_empty(), "{report:?}");
    job.wanted_since = job.wanted_since.minus(Duration::from_mins(1));
    let report = bench.engine.attempt(job, CancellationToken::new()).await;
    assert!(matches!(report.outcome, Outcome::Completed), "{report:?}");
    assert_eq!(report.enqueue[0].0, bench.stock_key(article));
}
