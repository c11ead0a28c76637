//! A whole catalogue goes to the shop, and a second push of it writes nothing.

use super::*;
use crate::store::JobFilter;

/// A tenth of the full size, which `benches/way_back.rs` has: two products of a hundred variants.
const PRODUCTS: usize = 2;
const SIZES: usize = 10;
const COLOURS: usize = 10;

/// An attribute of the ERP with so many values: what a template's line of it looks like.
fn line(bench: &Bench, name: &str, values: usize) -> serde_json::Value {
    let attribute = bench.made_in_the_erp("product.attribute", json!({ "name": name }));
    let made: Vec<i64> = (0..values)
        .map(|n| {
            let value = json!({ "name": format!("{name} {n}"), "attribute_id": attribute });
            bench.made_in_the_erp("product.attribute.value", value)
        })
        .collect();
    json!([0, 0, { "attribute_id": attribute, "value_ids": [[6, 0, made]] }])
}

/// A storable template with these lines, whose variants all have a SKU: its id and theirs.
pub(super) fn template(bench: &Bench, name: &str, lines: &[serde_json::Value]) -> (i64, Vec<i64>) {
    let values = json!({ "name": name, "list_price": 20, "type": "consu", "is_storable": true, "sale_ok": true, "attribute_line_ids": lines });
    let template = bench.made_in_the_erp("product.template", values);
    let all = bench.erp.ledger().products();
    let own = all.iter().filter(|variant| variant.template_id == template);
    let variants: Vec<i64> = own.map(|variant| variant.id).collect();
    for variant in &variants {
        write(
            bench,
            "product.product",
            *variant,
            json!({ "default_code": format!("{name}-{variant}") }),
        );
    }
    (template, variants)
}

/// Writes of each kind that the shop was sent.
fn writes(bench: &Bench) -> BTreeMap<String, u64> {
    let mut calls = bench.shop.ledger().calls.by_operation;
    calls.retain(|name, _| {
        ["Set", "Create", "Update"]
            .iter()
            .any(|verb| name.ends_with(verb))
    });
    calls
}

#[tokio::test]
async fn a_catalogue_is_pushed_once_and_a_second_push_writes_nothing() {
    let bench = Bench::both_ways_and_stock(&[]).await;
    let mut made = Vec::new();
    for n in 0..PRODUCTS {
        let lines = [
            line(&bench, &format!("Size {n}"), SIZES),
            line(&bench, &format!("Colour {n}"), COLOURS),
        ];
        let (template, variants) = template(&bench, &format!("Shirt {n}"), &lines);
        assert_eq!(variants.len(), SIZES * COLOURS);
        // A few of them are counted: their stock follows them.
        for variant in variants.iter().step_by(10) {
            bench.erp.set_stock(*variant, None, 5).unwrap();
        }
        made.push((template, variants));
    }
    for (template, _) in &made {
        assert_eq!(
            completed(bench.send(Object::Product, *template).await),
            "created the product"
        );
    }
    // More jobs of stock than one pass takes.
    bench.drain().await;

    let ledger = bench.shop.ledger();
    assert_eq!(ledger.products.len(), PRODUCTS);
    for (product, (_, variants)) in ledger.products.iter().zip(&made) {
        let mut shown: Vec<String> = product
            .variants
            .iter()
            .filter_map(|(_, sku, _)| sku.clone())
            .collect();
        let mut wanted: Vec<String> = variants
            .iter()
            .map(|id| format!("{}-{id}", product.title))
            .collect();
        shown.sort();
        wanted.sort();
        assert_eq!(shown, wanted);
    }
    let units: i64 = bench.shop.read(|shop| {
        let products = ledger
            .products
            .iter()
            .filter_map(|product| shop.product(product.id));
        let variants = products.flat_map(|product| &product.variants);
        variants.map(|variant| variant.item.available()).sum()
    });
    let counted = PRODUCTS * SIZES * COLOURS / 10;
    assert_eq!(usize::try_from(units).unwrap(), 5 * counted);
    let first = writes(&bench);
    let of = |name: &str| first.get(name).copied().unwrap_or(0);
    assert_eq!(of("LockstepProductSet"), 2, "one for each product: {first:?}");
    assert_eq!(
        of("LockstepVariantsCreate") + of("LockstepVariantsUpdate"),
        0,
        "{first:?}"
    );
    assert!(
        of("LockstepQuantitiesSet") <= u64::try_from(counted).unwrap(),
        "{first:?}"
    );

    // All of it again, in both directions, stock included.
    let filter = JobFilter {
        limit: 1_000,
        ..JobFilter::default()
    };
    let done = bench.store.jobs(filter).await.unwrap();
    assert!(done.iter().any(|job| job.key.object == Object::Inventory));
    let keys: BTreeSet<JobKey> = done.into_iter().map(|job| job.key).collect();
    let now = crate::domain::Clock::now(&SystemClock);
    let ours = ledger
        .products
        .iter()
        .map(|product| bench.key(Object::Product, product.id));
    for key in keys.into_iter().chain(ours) {
        let job = NewJob {
            key,
            priority: Priority::LIVE,
            now,
            cause: "test".into(),
        };
        bench.store.enqueue(job).await.unwrap();
    }
    bench.drain().await;
    bench.drain().await;
    assert_eq!(writes(&bench), first, "nothing is written");
    let waiting = bench
        .store
        .jobs(JobFilter {
            limit: 1_000,
            ..JobFilter::default()
        })
        .await
        .unwrap();
    let open: Vec<_> = waiting.iter().filter(|job| job.state.is_open()).collect();
    assert!(open.is_empty(), "{open:?}");
}

/// A template that the shop cannot take in one way or another, and the field that the problem must name.
async fn is_refused(lines: &[(&str, usize)], field: &str, said: &str) {
    let bench = Bench::both_ways(Version::V18, &[]).await;
    let lines: Vec<serde_json::Value> = lines
        .iter()
        .map(|(name, values)| line(&bench, name, *values))
        .collect();
    let values = json!({ "name": "Too much", "list_price": 20, "type": "consu", "sale_ok": true, "attribute_line_ids": lines });
    let template = bench.made_in_the_erp("product.template", values);
    let (state, why) = bench.send(Object::Product, template).await;
    assert_eq!(state, JobState::Problem, "{why:?}");
    let problem = bench.store.open_problems(10).await.unwrap().remove(0).problem;
    assert_eq!(problem.field.as_deref(), Some(field), "{problem:?}");
    assert!(problem.reason.contains(said), "{problem:?}");
    assert_eq!(
        (problem.owner.as_str(), problem.record.as_deref()),
        ("catalogue", Some("Too much"))
    );
    assert!(bench.shop.ledger().products.is_empty(), "nothing of it is made");
}

#[tokio::test]
async fn a_product_with_more_options_than_the_shop_takes_is_a_problem_and_not_made() {
    is_refused(&[("A", 2), ("B", 2), ("C", 2), ("D", 2)], "options", "3").await;
}
