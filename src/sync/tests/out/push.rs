//! A whole catalogue on its way to the shop for the first time: how many calls it takes.

use super::*;
use crate::sync::LimitState;

/// Products of the first push.
const PRODUCTS: u64 = 60;

/// Calls of the shop's API so far, by operation.
fn calls(bench: &Bench) -> BTreeMap<String, u64> {
    bench.shop.ledger().calls.by_operation
}

fn lamp(bench: &Bench, n: u64) -> i64 {
    let variant = bench.made_in_the_erp(
        "product.product",
        json!({ "name": format!("Lamp {n}"), "list_price": 10 + n, "type": "consu", "is_storable": true,
            "default_code": format!("LAMP-{n}"), "barcode": format!("40000000{n:05}"), "sale_ok": true }),
    );
    read(bench, "product.product", variant)["product_tmpl_id"]
        .as_i64()
        .unwrap()
}

/// Who switched `out` on asked for everything.
async fn push_all(bench: &Bench) {
    let now = crate::domain::Clock::now(&SystemClock).plus(Duration::from_secs(600));
    let shop = "main".parse().unwrap();
    LimitState::Pushing { until: now }
        .write(&*bench.store, &shop, Object::Product, now)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_first_push_takes_hardly_more_calls_than_products() {
    let bench = Bench::both_ways(Version::V18, &[]).await;
    push_all(&bench).await;
    let templates: Vec<i64> = (0..PRODUCTS).map(|n| lamp(&bench, n)).collect();
    let stories = bench.send_at_once(Object::Product, &templates).await;
    for (state, why) in stories {
        assert_eq!(state, JobState::Completed, "{why:?}");
    }
    let after = calls(&bench);
    assert_eq!(after["LockstepProductSet"], PRODUCTS);
    assert_eq!(bench.shop.ledger().products.len() as u64, PRODUCTS);
    // All of them, also those that are made once for a shop.
    let took: u64 = after.values().sum();
    assert!(
        took * 10 <= PRODUCTS * 12,
        "{took} calls for {PRODUCTS} products: {after:?}"
    );
    // Ten attempts run at a time, and those that come after them are looked for along with them: fifty at the first
    // time, then all that are left. What that takes of the ERP is one reading of many products for each look.
    let looks = |name: &str| after.get(name).copied().unwrap_or(0);
    let looks = looks("LockstepFindVariants") + looks("LockstepFindManyVariants");
    assert!(looks <= 2, "{looks} looks: {after:?}");
    let listed = bench.erp.ledger().calls_of("product.template", "search_read");
    assert!(listed <= looks, "{listed} lists of products");

    // And a second time nothing is written.
    bench.send_at_once(Object::Product, &templates).await;
    let quiet = calls(&bench);
    for name in [
        "LockstepProductSet",
        "LockstepProductUpdate",
        "LockstepVariantsUpdate",
        "LockstepRefNote",
    ] {
        assert_eq!(quiet.get(name), after.get(name), "{name}");
    }
}

#[tokio::test]
async fn what_the_shop_has_already_is_found_in_a_look_that_many_share() {
    let adopt = [("product.out.toml", "adopt = \"propose\"", "adopt = \"exact\"")];
    let bench = Bench::both_ways(Version::V18, &adopt).await;
    let templates: Vec<i64> = (0..8).map(|n| lamp(&bench, n)).collect();
    let product = |title: &str, sku: &str| {
        bench.shop.change(|shop| {
            shop.create_product(ProductDraft {
                title: title.into(),
                variants: vec![VariantDraft::new(&[], sku, decimal("31"))],
                ..ProductDraft::default()
            })
        })
    };
    // One is on the shop already, and of another one the shop has two.
    let known = product("Lamp of the shop", "LAMP-2");
    product("Lamp", "LAMP-3");
    product("Lamp again", "LAMP-3");
    let stories = bench.send_at_once(Object::Product, &templates).await;
    assert_eq!(calls(&bench)["LockstepFindVariants"], 1);
    for (n, (state, why)) in stories.iter().enumerate() {
        if n == 3 {
            assert_eq!(*state, JobState::Problem);
            let why = why.as_ref().unwrap();
            assert!(why.starts_with("product_match_proposed"), "{why}");
        } else {
            assert_eq!(*state, JobState::Completed, "{n}: {why:?}");
        }
    }
    assert_eq!(theirs(&bench, LinkKind::Product, known).await, templates[2]);
    assert_eq!(bench.shop.ledger().products.len(), 3 + 6);
    // What was found says from then on which one of the ERP it belongs to; once.
    assert_eq!(calls(&bench)["LockstepRefNote"], 1);
    bench.send_at_once(Object::Product, &templates[..3]).await;
    assert_eq!(calls(&bench)["LockstepRefNote"], 1);
    completed(bench.sync(Object::Product, known).await);
}
