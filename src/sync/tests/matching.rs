//! Linking a whole catalogue by its keys, between the stand-in shop and the stand-in ERP.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::json;

use super::bench::*;
use super::out::safety::context;
use super::*;
use crate::domain::{ErpId, LinkKind, LinkState};
use crate::store::faulty::{FaultyStore, StoreFault};
use crate::sync::{MatchError, MatchProgress, Matched};

fn main_shop() -> ShopName {
    "main".parse().unwrap()
}

async fn matched(bench: &Bench, object: Object, dry_run: bool) -> Matched {
    let quiet = |_: MatchProgress| ();
    let shop = main_shop();
    let matched = bench.engine.match_records(&shop, object, dry_run, &quiet);
    matched.await.unwrap()
}

fn product(bench: &Bench, title: &str, skus: &[&str]) -> u64 {
    let sizes: Vec<String> = (0..skus.len()).map(|n| format!("S{n}")).collect();
    let one = skus.len() == 1;
    let variants = skus.iter().zip(&sizes).map(|(sku, size)| {
        let values: &[&str] = if one { &[] } else { &[size.as_str()] };
        VariantDraft::new(values, sku, decimal("10"))
    });
    bench.shop.change(|shop| {
        shop.create_product(ProductDraft {
            title: title.into(),
            options: if one { vec![] } else { vec!["Size".into()] },
            variants: variants.collect(),
            ..ProductDraft::default()
        })
    })
}

fn template(bench: &Bench, name: &str, sku: &str) -> i64 {
    let values = json!({ "name": name, "list_price": 30, "default_code": sku, "sale_ok": true });
    let variant = bench.made_in_the_erp("product.product", values);
    let read = bench.in_the_erp("product.product", "read", json!([[variant], ["product_tmpl_id"]]));
    read[0]["product_tmpl_id"][0].as_i64().unwrap()
}

fn customer(bench: &Bench, name: &str, email: Option<&str>) -> u64 {
    bench.shop.change(|shop| {
        shop.create_customer(CustomerDraft {
            first_name: Some(name.into()),
            email: email.map(Into::into),
            ..CustomerDraft::default()
        })
        .unwrap()
    })
}

fn partner(bench: &Bench, name: &str, email: &str, rank: i64) -> i64 {
    let values = json!({ "name": name, "email": email, "customer_rank": rank });
    bench.made_in_the_erp("res.partner", values)
}

/// How often either side was written to, and what it holds.
fn state(bench: &Bench) -> (usize, usize, usize, usize) {
    let ledger = bench.shop.ledger();
    (
        ledger.products.len(),
        ledger.customers.len(),
        bench.erp.ledger().count("product.template"),
        bench.erp.ledger().partners().len(),
    )
}

#[tokio::test]
async fn a_catalogue_is_linked_once_and_nothing_is_written() {
    for version in [Version::V18, Version::V19] {
        let bench = Bench::both_ways(version, &[]).await;
        let mut pairs = Vec::new();
        // More than a page of either side.
        for n in 0..230 {
            let sku = format!("SKU-{n}");
            let ours = product(&bench, &format!("Mug {n}"), &[&sku]);
            pairs.push((ours, template(&bench, &format!("Mug {n}"), &sku)));
        }
        // The same SKU twice in the ERP, twice on the shop, and on one side only.
        let twice = product(&bench, "Twice there", &["TWICE"]);
        let (one, two) = (template(&bench, "A", "TWICE"), template(&bench, "B", "TWICE"));
        let (left, right) = (product(&bench, "L", &["BOTH"]), product(&bench, "R", &["BOTH"]));
        let both = template(&bench, "Both", "BOTH");
        let ours = product(&bench, "Only ours", &["OURS"]);
        let theirs = template(&bench, "Only theirs", "THEIRS");
        let more = product(&bench, "Two sizes", &["FIRST", "SECOND"]);
        let first = template(&bench, "One size", "FIRST");
        let service = json!({ "name": "Advice", "type": "service", "default_code": "ADVICE" });
        bench.made_in_the_erp("product.product", service);
        let before = state(&bench);
        let calls = |bench: &Bench| bench.engine.shop(&main_shop()).unwrap().erp.calls();

        let looked = matched(&bench, Object::Product, true).await;
        assert_eq!(looked.linked.len(), 230, "{version:?}");
        assert!(
            bench.link(LinkKind::Product, pairs[0].0).await.is_none(),
            "only looked"
        );
        let done = matched(&bench, Object::Product, false).await;
        assert_eq!(done.linked, looked.linked);
        for (ours, theirs) in &pairs {
            let link = bench.link(LinkKind::Product, *ours).await.unwrap();
            assert_eq!((link.erp_id, link.state), (ErpId(*theirs), LinkState::Adopted));
            assert_eq!(link.model, "product.template");
        }
        let shown = &done.linked[0].variants;
        assert_eq!(shown.len(), 1);
        let variant = bench
            .link(LinkKind::Variant, u64::try_from(shown[0].0).unwrap())
            .await
            .unwrap();
        assert_eq!(
            (variant.erp_id.0, variant.state),
            (shown[0].1, LinkState::Adopted)
        );

        let sides = |matched: &Matched| -> Vec<(Vec<i64>, Vec<i64>)> {
            let ids = |records: &[crate::sync::NamedRecord]| records.iter().map(|record| record.id).collect();
            let mut sides: Vec<(Vec<i64>, Vec<i64>)> = matched
                .ambiguous
                .iter()
                .map(|doubt| (ids(&doubt.shopify), ids(&doubt.erp)))
                .collect();
            sides.sort();
            sides
        };
        let ours_of =
            |ids: &[u64]| -> Vec<i64> { ids.iter().map(|id| i64::try_from(*id).unwrap()).collect() };
        let mut expected = vec![
            (ours_of(&[twice]), vec![one, two]),
            (ours_of(&[left, right]), vec![both]),
            (ours_of(&[more]), vec![first]),
        ];
        expected.sort();
        assert_eq!(sides(&done), expected);
        let ids = |records: &[crate::sync::NamedRecord]| -> Vec<i64> {
            records.iter().map(|record| record.id).collect()
        };
        assert_eq!(ids(&done.unmatched_on_shopify), ours_of(&[ours]));
        assert!(ids(&done.unmatched_in_erp).contains(&theirs));
        assert!(done.left_alone_in_erp >= 1, "the service");

        let again = matched(&bench, Object::Product, false).await;
        assert!(again.linked.is_empty() && again.busy.is_empty());
        assert_eq!(again.linked_before, 230);
        assert_eq!(sides(&again), expected);
        assert_eq!(state(&bench), before);
        let wrote = calls(&bench)
            .into_iter()
            .filter(|(method, _)| ["load", "create", "write", "web_save"].contains(&method.as_str()));
        assert_eq!(wrote.count(), 0);
    }
}

#[tokio::test]
async fn people_are_linked_by_the_keys_of_both_directions() {
    let bench = Bench::both_ways(Version::V18, &[]).await;
    let mut pairs = Vec::new();
    for n in 0..120 {
        let ours = customer(&bench, &format!("P{n}"), Some(&format!("p{n}@example.com")));
        // The ERP keeps what was typed.
        pairs.push((
            ours,
            partner(&bench, &format!("P{n}"), &format!("P{n}@Example.com"), 1),
        ));
    }
    let nameless = customer(&bench, "No address", None);
    let shared = customer(&bench, "Shared", Some("office@example.com"));
    let (one, two) = (
        partner(&bench, "One", "office@example.com", 1),
        partner(&bench, "Two", "office@example.com", 1),
    );
    let alone = partner(&bench, "Alone", "alone@example.com", 1);
    partner(&bench, "Supplier", "mill@example.com", 0);

    let done = matched(&bench, Object::Customer, false).await;
    assert_eq!(done.linked.len(), 120);
    for (ours, theirs) in &pairs {
        let link = bench.link(LinkKind::Customer, *ours).await.unwrap();
        assert_eq!((link.erp_id, link.state), (ErpId(*theirs), LinkState::Adopted));
    }
    let [doubt] = done.ambiguous.as_slice() else {
        panic!("{:?}", done.ambiguous);
    };
    assert_eq!(doubt.shopify[0].id, i64::try_from(shared).unwrap());
    let candidates: Vec<i64> = doubt.erp.iter().map(|record| record.id).collect();
    assert_eq!(candidates, [one, two]);
    assert_eq!(done.unmatched_on_shopify[0].id, i64::try_from(nameless).unwrap());
    let unmatched: Vec<i64> = done.unmatched_in_erp.iter().map(|record| record.id).collect();
    assert_eq!(
        unmatched,
        [alone],
        "the supplier and the company's own are left alone"
    );

    // The first write meets its other side, and makes nobody twice.
    let partners = bench.erp.ledger().partners().len();
    let (state, why) = bench.sync(Object::Customer, pairs[0].0).await;
    assert_eq!(state, JobState::Completed, "{why:?}");
    assert_eq!(bench.erp.ledger().partners().len(), partners);
}

#[tokio::test]
async fn one_that_broke_half_way_is_done_to_its_end_by_the_next() {
    let bench = Bench::both_ways(Version::V18, &[]).await;
    let mut last = 0;
    for n in 0..130 {
        let sku = format!("SKU-{n}");
        last = product(&bench, "Mug", &[&sku]);
        template(&bench, "Mug", &sku);
    }
    let faulty = Arc::new(FaultyStore::new(Arc::clone(&bench.store)));
    let mut shop = context(&bench);
    shop.store = Arc::clone(&faulty) as crate::store::SharedStore;
    let engine = Engine::new([shop]);
    let steps = AtomicU32::new(0);
    let breaks = |progress: MatchProgress| {
        if matches!(progress, MatchProgress::Linked(_)) && steps.fetch_add(1, Ordering::SeqCst) == 0 {
            faulty.fail("adopt_links", StoreFault::Away, 1);
        }
    };
    let broken = engine
        .match_records(&main_shop(), Object::Product, false, &breaks)
        .await;
    assert!(matches!(broken, Err(MatchError::Failed { .. })));

    // One at a time.
    let now = crate::domain::Clock::now(&SystemClock);
    let (name, until) = ("match:main:product", now.plus(Duration::from_secs(60)));
    assert!(bench.store.take_lease(name, "another", now, until).await.unwrap());
    let quiet = |_: MatchProgress| ();
    let elsewhere = bench
        .engine
        .match_records(&main_shop(), Object::Product, false, &quiet)
        .await;
    assert!(matches!(elsewhere, Err(MatchError::Elsewhere(Object::Product))));
    bench.store.release_lease(name, "another").await.unwrap();

    // Somebody works on one of the rest.
    let job = bench.claim(Object::Product, last).await;
    let rest = matched(&bench, Object::Product, false).await;
    assert_eq!((rest.linked_before, rest.linked.len()), (50, 79));
    let busy: Vec<i64> = rest.busy.iter().map(|pair| pair.shopify.id).collect();
    assert_eq!(busy, [i64::try_from(last).unwrap()]);
    let report = Report::of(Outcome::Completed, "test");
    let done = finish(job.id, job.fence, report);
    assert!(matches!(
        bench.store.finish(done).await.unwrap(),
        Finished::Done(_)
    ));
    let rest = matched(&bench, Object::Product, false).await;
    assert_eq!((rest.linked_before, rest.linked.len()), (129, 1));
}

#[tokio::test]
async fn what_the_way_back_would_do_is_counted_before_it_is_switched_on() {
    let bench = Bench::both_ways(Version::V18, &[]).await;
    let before = bench
        .engine
        .count_out(&main_shop(), Object::Product)
        .await
        .unwrap();
    let (ours, _) = shirt(&bench);
    let (state, why) = bench.sync(Object::Product, ours).await;
    assert_eq!(state, JobState::Completed, "{why:?}");
    template(&bench, "New", "NEW");
    let service = json!({ "name": "Advice", "type": "service" });
    bench.made_in_the_erp("product.template", service);
    bench.made_in_the_erp("product.template", json!({ "name": "Old", "active": false }));
    let counts = bench
        .engine
        .count_out(&main_shop(), Object::Product)
        .await
        .unwrap();
    assert_eq!(counts.in_erp, before.in_erp + 3, "archived ones do not count");
    assert_eq!((counts.linked, before.linked), (1, 0));
    assert_eq!(counts.new, before.new + 1);
    assert_eq!(counts.left_alone, before.left_alone + 1);

    let before = bench
        .engine
        .count_out(&main_shop(), Object::Customer)
        .await
        .unwrap();
    partner(&bench, "Grace", "grace@example.com", 1);
    partner(&bench, "Mill", "mill@example.com", 0);
    let counts = bench
        .engine
        .count_out(&main_shop(), Object::Customer)
        .await
        .unwrap();
    assert_eq!(counts.new, before.new + 1);
    assert_eq!(counts.left_alone, before.left_alone + 1);
    let stock = bench
        .engine
        .count_out(&main_shop(), Object::Inventory)
        .await
        .unwrap();
    assert_eq!(stock.new, 0);
    let orders = bench.engine.count_out(&main_shop(), Object::Order).await;
    assert!(matches!(orders, Err(MatchError::Unsupported)));
}
