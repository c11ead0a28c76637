//! Drift of stock: levels that differ, what is in flux, and what the mapping leaves to the shop.

use super::*;
use crate::domain::ErpId;

/// A product of two variants on both sides, the first with seven units in the ERP.
struct Shelf {
    both: Damaged,
    variant: u64,
    erp_variant: i64,
    product: ErpId,
}

impl Shelf {
    async fn new(both: Damaged) -> Self {
        let (product, variants) = shirt(&both.bench);
        let (state, why) = both.bench.sync(Object::Product, product).await;
        assert_eq!(state, JobState::Completed, "{why:?}");
        let link = both.bench.link(LinkKind::Variant, variants[0]).await.unwrap();
        both.bench.erp.set_stock(link.erp_id.0, None, 7).unwrap();
        // The shop has a hundred of each.
        let other = both.bench.link(LinkKind::Variant, variants[1]).await.unwrap();
        both.bench.erp.set_stock(other.erp_id.0, None, 100).unwrap();
        Self {
            variant: variants[0],
            erp_variant: link.erp_id.0,
            product: both.bench.link(LinkKind::Product, product).await.unwrap().erp_id,
            both,
        }
    }

    async fn sent() -> Self {
        Self::new(Damaged::adjusted(|shop| shop.out.extend([Object::Inventory])).await).await
    }

    fn units(&self) -> i64 {
        self.both.bench.shop.read(|shop| {
            let level = shop.level(self.variant, shop.main_location()).unwrap();
            level.available + level.committed
        })
    }

    fn count(&self, units: i64) {
        self.both.bench.shop.change(|shop| {
            let place = shop.main_location();
            shop.set_level(self.variant, place, units).unwrap();
        });
    }

    async fn enqueue(&self, key: JobKey) {
        let job = NewJob {
            key,
            priority: Priority::LIVE,
            now: crate::domain::Clock::now(&SystemClock),
            cause: "test".into(),
        };
        self.both.bench.store.enqueue(job).await.unwrap();
    }
}

#[tokio::test]
async fn a_level_that_differs_is_told_with_both_numbers_and_pushed() {
    let shelf = Shelf::sent().await;
    let rows = shelf.both.repaired(Object::Inventory).await;
    assert_eq!(rows.len(), 1, "{rows:?}");
    assert_eq!(
        (rows[0].class, rows[0].fate),
        (DriftClass::StockDiffers, DriftFate::Repaired)
    );
    assert_eq!(rows[0].erp.as_deref(), Some("7"));
    assert_eq!(rows[0].name.as_deref(), Some("SHIRT-S"));
    assert_eq!(shelf.units(), 7);
    assert_eq!(shelf.both.is_quiet(Object::Inventory).await, []);
    // Somebody counts on the shop, and nobody is told.
    shelf.count(9);
    let dry = FullRun {
        dry_run: true,
        ..FullRun::of(Object::Inventory, "test")
    };
    let (report, rows) = shelf.both.run_as(dry).await;
    let place = shelf
        .both
        .bench
        .shop
        .read(crate::sandbox::shopify::Shop::main_location);
    let field = format!("on_hand@{place}");
    assert_eq!(
        told(&rows),
        [(
            DriftClass::StockDiffers,
            Some(&*field),
            Some("9"),
            Some("7"),
            DriftFate::Repairable
        )]
    );
    assert_eq!((report.looked.linked, report.looked.in_step), (2, 1));
    assert_eq!(shelf.units(), 9, "it only looked");
    let rows = shelf.both.repaired(Object::Inventory).await;
    assert_eq!(rows[0].fate, DriftFate::Repaired);
    assert_eq!(shelf.units(), 7);
    assert_eq!(shelf.both.is_quiet(Object::Inventory).await, []);
}

#[tokio::test]
async fn a_level_of_which_an_order_or_a_push_is_under_way_is_no_drift() {
    let shelf = Shelf::sent().await;
    shelf.both.repaired(Object::Inventory).await;
    shelf.count(3);
    let buyer = Buyer::Customer(ada(&shelf.both.bench));
    let (id, _) = order(&shelf.both.bench, everyday(buyer, shelf.variant));
    shelf.enqueue(shelf.both.bench.key(Object::Order, id)).await;
    let in_flux = async || {
        let (report, rows) = shelf.both.run(Object::Inventory).await;
        assert_eq!((rows, report.looked.left_to_events), (Vec::new(), 1));
    };
    in_flux().await;
    shelf.both.bench.drain().await;
    shelf.count(4);
    let push = JobKey::of_erp(&main_shop(), Object::Inventory, shelf.product);
    shelf.enqueue(push).await;
    in_flux().await;
}

#[tokio::test]
async fn what_the_till_sold_is_not_put_back_before_its_order_may_have_been_told() {
    let shelf = Shelf::sent().await;
    shelf.both.repaired(Object::Inventory).await;
    let bench = &shelf.both.bench;
    let ours = [ErpId(shelf.erp_variant)];
    let items = bench
        .store
        .links_of_erp(&main_shop(), LinkKind::Inventory, &ours)
        .await
        .unwrap();
    let item = items[0].source_id.clone();
    let notices = async || {
        let filter = JobFilter {
            object: Some(Object::Inventory),
            direction: Some(Direction::In),
            source_id: Some(item.clone()),
            limit: 9,
            ..JobFilter::default()
        };
        bench.store.jobs(filter).await.unwrap()
    };
    // Sold and handed over: the level fell, and neither the order's notice nor the level's came.
    shelf.count(6);
    let rows = shelf.both.repaired(Object::Inventory).await;
    assert_eq!(
        (rows.len(), rows[0].class, rows[0].fate),
        (1, DriftClass::StockDiffers, DriftFate::Repaired),
        "{rows:?}"
    );
    assert_eq!(rows[0].job, notices().await.first().map(|job| job.id));
    assert_eq!(shelf.units(), 6, "the notice waits for the order");
    assert!(notices().await[0].state.is_open());
    // With its notice under way it is no drift, nor is another variant's push to put it back.
    let place = bench.shop.read(crate::sandbox::shopify::Shop::main_location);
    let variants = bench
        .store
        .links_in_order(&main_shop(), LinkKind::Variant, None, 9)
        .await
        .unwrap();
    let second = variants
        .iter()
        .find(|link| link.erp_id.0 != shelf.erp_variant)
        .unwrap();
    let second: u64 = second.source_id.parse().unwrap();
    bench
        .shop
        .change(|shop| shop.set_level(second, place, 120).unwrap());
    let (report, rows) = shelf.both.run(Object::Inventory).await;
    assert_eq!((rows, report.looked.left_to_events), (Vec::new(), 2));
    bench.drain().await;
    assert_eq!(shelf.units(), 6);
}

#[tokio::test]
async fn a_variant_whose_number_cannot_be_reckoned_is_told_and_the_others_are_compared() {
    let many = "{ value = \"stock.on_hand | whole\", when = \"stock.on_hand > ('50' | decimal)\" }";
    let mappings = edited_for_stock(
        "on_hand = \"stock.on_hand | whole\"",
        &format!("on_hand = {{ first_of = [{many}, {many}], missing = \"fail\" }}"),
    );
    let both = Damaged::with_mappings(mappings, |shop| shop.out.extend([Object::Inventory])).await;
    let shelf = Shelf::new(both).await;
    let (report, rows) = shelf.both.run(Object::Inventory).await;
    assert_eq!(
        told(&rows),
        [(DriftClass::NotCompared, None, None, None, DriftFate::Unexplained)]
    );
    assert_eq!(rows[0].erp_id, Some(ErpId(shelf.erp_variant)));
    assert_eq!(rows[0].why.as_deref(), Some("missing_value"));
    assert_eq!((report.looked.linked, report.looked.in_step), (1, 1));
}

#[tokio::test]
async fn a_sample_of_stock_compares_the_variants_that_it_picks() {
    let shelf = Shelf::sent().await;
    let sample = |count| FullRun {
        sample: Some(count),
        dry_run: true,
        ..FullRun::of(Object::Inventory, "test")
    };
    let (report, _) = shelf.both.run_as(sample(1)).await;
    assert_eq!(report.looked.linked, 1);
    let (report, rows) = shelf.both.run_as(sample(50)).await;
    assert_eq!((report.looked.linked, rows.len()), (2, 1), "{rows:?}");
    assert_eq!(rows[0].erp_id, Some(ErpId(shelf.erp_variant)));
}

#[tokio::test]
async fn where_the_shop_has_the_last_word_its_number_stands_and_is_told() {
    let mappings = edited_for_stock("truth = \"erp\"", "truth = \"shopify\"");
    let both = Damaged::with_mappings(mappings, |shop| shop.out.extend([Object::Inventory])).await;
    let shelf = Shelf::new(both).await;
    let rows = shelf.both.repaired(Object::Inventory).await;
    assert_eq!(rows.len(), 1, "{rows:?}");
    assert_eq!(rows[0].fate, DriftFate::LeftAlone);
    assert_eq!(rows[0].why.as_deref(), Some("shopify_has_the_last_word"));
    assert_eq!((rows[0].shopify.as_deref(), shelf.units()), (Some("100"), 100));
}

#[tokio::test]
async fn a_push_that_a_person_gave_up_is_made_again_once_the_level_moved_on_either_side() {
    let shelf = Shelf::sent().await;
    let run = async || {
        let (_, mut rows) = shelf.both.run(Object::Inventory).await;
        assert_eq!(rows.len(), 1, "{rows:?}");
        rows.remove(0)
    };
    let moves: [&dyn Fn(); 3] = [
        &|| {},
        &|| {
            let erp = &shelf.both.bench.erp;
            erp.set_stock(shelf.erp_variant, None, 8).unwrap();
        },
        &|| shelf.count(50),
    ];
    let mut last = None;
    for (turn, moved) in moves.iter().enumerate() {
        moved();
        let row = run().await;
        assert_eq!(row.fate, DriftFate::Repaired, "turn {turn}: {row:?}");
        assert_ne!(row.job, last, "turn {turn}");
        shelf.both.give_up(row.job.unwrap()).await;
        last = row.job;
        for _ in 0..2 {
            let left = run().await;
            assert_eq!((left.fate, left.job), (DriftFate::LeftAlone, last), "turn {turn}");
            assert_eq!(left.why.as_deref(), Some("discarded_by_a_person"));
        }
    }
    assert_eq!(shelf.both.is_quiet(Object::Inventory).await.len(), 1);
}

#[tokio::test]
async fn the_notice_of_a_fallen_level_that_a_person_gave_up_is_not_made_again() {
    let shelf = Shelf::sent().await;
    shelf.both.repaired(Object::Inventory).await;
    for units in [6, 5] {
        shelf.count(units);
        let (_, rows) = shelf.both.run(Object::Inventory).await;
        assert_eq!(rows[0].fate, DriftFate::Repaired, "{rows:?}");
        shelf.both.give_up(rows[0].job.unwrap()).await;
        let (_, left) = shelf.both.run(Object::Inventory).await;
        assert_eq!(left[0].why.as_deref(), Some("discarded_by_a_person"));
        assert_eq!((left[0].fate, left[0].job), (DriftFate::LeftAlone, rows[0].job));
    }
}

#[tokio::test]
async fn a_push_for_one_variant_puts_no_fallen_level_of_another_back() {
    let shelf = Shelf::sent().await;
    shelf.both.repaired(Object::Inventory).await;
    let bench = &shelf.both.bench;
    let variants = bench
        .store
        .links_in_order(&main_shop(), LinkKind::Variant, None, 9)
        .await
        .unwrap();
    let [first, second] = [&variants[0], &variants[1]].map(|link| link.source_id.parse::<u64>().unwrap());
    let agreed = |variant| if variant == shelf.variant { 7 } else { 100 };
    let set = |variant, units| {
        bench.shop.change(|shop| {
            let place = shop.main_location();
            shop.set_level(variant, place, units).unwrap();
        });
    };
    // The first is read on a page before the second, of which nobody told yet that it was sold.
    set(first, agreed(first) + 1);
    set(second, agreed(second) - 1);
    shelf.both.repaired(Object::Inventory).await;
    let shown = bench.shop.read(|shop| {
        let level = shop.level(second, shop.main_location()).unwrap();
        level.available + level.committed
    });
    assert_eq!(shown, agreed(second) - 1, "its notice waits for the order");
}
