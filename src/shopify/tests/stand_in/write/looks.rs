//! Looking for variants by their keys: what many who ask share, and what is looked for ahead.

use std::sync::Mutex;

use async_trait::async_trait;
use rust_decimal::Decimal;

use super::super::super::support::SkippingClock;
use super::super::{client, connected_at, product, start};
use super::{calls, text, variant};
use crate::domain::{ShopifyId, VariantFound, VariantKeys};
use crate::sandbox::shopify::Options;
use crate::sandbox::shopify::ShopSandbox;
use crate::sandbox::shopify::draft::{ProductDraft, VariantDraft};
use crate::sandbox::shopify::faults::ApiFault;
use crate::shopify::Upcoming;

const NO_KEYS: [&str; 0] = [];

fn keys(skus: &[&str], barcodes: &[&str]) -> VariantKeys {
    VariantKeys::new(skus, barcodes)
}

/// These are next, one SKU each; keeps for how many it was asked.
struct Next(Vec<&'static str>, Mutex<Vec<usize>>);

impl Next {
    fn are(skus: &[&'static str]) -> Self {
        Self(skus.to_vec(), Mutex::default())
    }

    fn asked(&self) -> Vec<usize> {
        self.1.lock().unwrap().clone()
    }
}

#[async_trait]
impl Upcoming for Next {
    async fn keys(&self, most: usize) -> Vec<VariantKeys> {
        self.1.lock().unwrap().push(most);
        self.0.iter().map(|sku| keys(&[sku], &[])).collect()
    }
}

/// Nobody learns what is next.
struct Silent;

#[async_trait]
impl Upcoming for Silent {
    async fn keys(&self, _: usize) -> Vec<VariantKeys> {
        std::future::pending().await
    }
}

fn cup(sandbox: &ShopSandbox, sku: &str) -> ShopifyId {
    let made = sandbox.change(|shop| {
        shop.create_product(ProductDraft {
            title: format!("Cup {sku}"),
            variants: vec![VariantDraft::new(&[], sku, Decimal::ONE)],
            ..ProductDraft::default()
        })
    });
    ShopifyId(made)
}

fn skus(found: &[VariantFound]) -> Vec<&str> {
    found.iter().filter_map(|one| one.sku.as_deref()).collect()
}

#[tokio::test]
async fn one_look_answers_what_comes_next_once_and_no_more_than_that() {
    let sandbox = start().await;
    let shop = connected_at(&sandbox, SkippingClock::new());
    cup(&sandbox, "B");
    let next = Next::are(&["A", "B", "C", "D"]);
    let find = async |sku: &str, next: Option<&dyn Upcoming>| {
        let found = shop.find_variants(&keys(&[sku], &[]), next).await.unwrap();
        (skus(&found).join(","), looks(&sandbox))
    };
    assert_eq!(find("A", Some(&next)).await, (String::new(), 1));
    assert_eq!(find("B", Some(&next)).await, ("B".to_owned(), 1));
    assert_eq!(find("C", Some(&next)).await, (String::new(), 1));
    // Used once: who asks again wants to know it anew.
    assert_eq!(find("C", Some(&next)).await, (String::new(), 2));
    // Who wants to know it as it is now is not told what it was.
    assert_eq!(find("D", None).await, (String::new(), 3));
    // Only who looks asks what comes next, and not while answers are left.
    assert_eq!(next.asked().len(), 1);
}

#[tokio::test]
async fn a_look_does_not_wait_for_long_to_learn_what_comes_next() {
    let sandbox = start().await;
    let shop = connected_at(&sandbox, SkippingClock::new());
    cup(&sandbox, "A");
    let key = keys(&["A"], &[]);
    let answer = shop.find_variants(&key, Some(&Silent));
    let answer = tokio::time::timeout(std::time::Duration::from_secs(20), answer).await;
    let found = answer.expect("it looks without that").unwrap();
    assert_eq!((skus(&found), looks(&sandbox)), (vec!["A"], 1));
}

#[tokio::test]
async fn an_answer_that_was_fetched_ahead_is_not_used_when_it_is_old() {
    let sandbox = start().await;
    let clock = SkippingClock::new();
    let shop = connected_at(&sandbox, clock.clone());
    let next = Next::are(&["B"]);
    for (seconds, is_found) in [(10, false), (11, true)] {
        shop.find_variants(&keys(&["A"], &[]), Some(&next)).await.unwrap();
        // Nobody tells us of it.
        let made = cup(&sandbox, "B");
        clock.advance_s(seconds);
        let found = shop.find_variants(&keys(&["B"], &[]), Some(&next)).await.unwrap();
        assert_eq!(!found.is_empty(), is_found, "after {seconds} s");
        sandbox.change(|shop| shop.delete_product(made.0)).unwrap();
    }
}

#[tokio::test]
async fn what_the_shop_shows_or_takes_meanwhile_is_looked_for_anew() {
    let sandbox = start().await;
    let shop = connected_at(&sandbox, SkippingClock::new());
    let (other, variants) = product(&sandbox, 1);
    let next = Next::are(&["B", "C", "D"]);
    let find = async |sku: &str| {
        let found = shop.find_variants(&keys(&[sku], &[]), Some(&next)).await.unwrap();
        skus(&found).join(",")
    };
    assert_eq!(find("A").await, "");
    // Somebody made one, and we hear of it as of every change: by reading it.
    let made = cup(&sandbox, "B");
    shop.product(made, "").await.unwrap().unwrap();
    assert_eq!(find("B").await, "B");
    let before = looks(&sandbox);
    // Another product of ours gets the key, by a write of which the answer is lost.
    sandbox.inject(ApiFault::CutAfter, Some("LockstepVariantsUpdate"), 1);
    let fields = vec![text("sku", "C")];
    let write = [(ShopifyId(variants[0]), fields)];
    shop.update_variants(other, &write).await.unwrap_err();
    assert_eq!(find("C").await, "C");
    assert_eq!(looks(&sandbox), before + 1);
    let more = [variant("M", vec![text("sku", "D")])];
    shop.create_variants(other, &more).await.unwrap();
    assert_eq!(find("D").await, "D");
}

#[tokio::test]
async fn what_is_looked_for_ahead_never_costs_a_call_more() {
    let sandbox = start().await;
    let shop = client(&sandbox);
    let many: Vec<&'static str> = (0..300)
        .map(|n| -> &'static str { Box::leak(format!("N-{n}").into_boxed_str()) })
        .collect();
    let next = Next::are(&many);
    shop.find_variants(&keys(&["A"], &[]), Some(&next)).await.unwrap();
    assert_eq!(looks(&sandbox), 1);
    // As many as the one call takes: 200 keys with that of the question.
    for sku in [many[0], many[198]] {
        shop.find_variants(&keys(&[sku], &[]), Some(&next)).await.unwrap();
        assert_eq!(looks(&sandbox), 1, "{sku}");
    }
    shop.find_variants(&keys(&[many[199]], &[]), Some(&next))
        .await
        .unwrap();
    assert_eq!(looks(&sandbox), 2);
    // And where the question fills the call, nobody asks what comes next.
    let before = next.asked().len();
    let full = VariantKeys::new((0..200).map(|n| format!("F-{n}")), NO_KEYS);
    shop.find_variants(&full, Some(&next)).await.unwrap();
    assert_eq!((looks(&sandbox), next.asked().len()), (3, before));
}

#[tokio::test]
async fn variants_are_found_by_exact_keys() {
    let sandbox = start().await;
    let draft = |sku: &str, barcode: Option<&str>| VariantDraft {
        barcode: barcode.map(str::to_owned),
        ..VariantDraft::new(&[sku], sku, Decimal::ONE)
    };
    sandbox.change(|shop| {
        shop.create_product(ProductDraft {
            title: "Tee".to_owned(),
            options: vec!["Size".to_owned()],
            variants: vec![
                draft("tee 1", None),
                draft("TEE 1", None),
                draft("say \"hi\"", Some("400")),
                draft("other", Some("401")),
            ],
            ..ProductDraft::default()
        })
    });
    let shop = client(&sandbox);
    let found = shop
        .find_variants(&keys(&["TEE 1", ""], &[]), None)
        .await
        .unwrap();
    assert_eq!(skus(&found), ["TEE 1"], "the search does not look at case, we do");
    let found = shop
        .find_variants(&keys(&["say \"hi\""], &["401"]), None)
        .await
        .unwrap();
    assert_eq!(skus(&found), ["say \"hi\"", "other"]);
    let many: Vec<String> = (0..95).map(|n| format!("none-{n}")).collect();
    assert_eq!(
        shop.find_variants(&VariantKeys::new(many, NO_KEYS), None)
            .await
            .unwrap(),
        []
    );
    // More than one search takes are several of one call.
    assert_eq!(calls(&sandbox, "LockstepFindVariants"), 2);
    assert_eq!(calls(&sandbox, "LockstepFindManyVariants"), 1);
    assert_eq!(shop.find_variants(&keys(&[], &[]), None).await.unwrap(), []);
}

#[tokio::test]
async fn the_search_index_lags() {
    let sandbox = ShopSandbox::start(Options {
        search_lag: std::time::Duration::from_secs(600),
        ..Options::default()
    })
    .await
    .unwrap();
    product(&sandbox, 1);
    let found = client(&sandbox)
        .find_variants(&keys(&["TEE-0"], &[]), None)
        .await
        .unwrap();
    assert_eq!(found, []);
}

/// Calls that looked for variants.
fn looks(sandbox: &ShopSandbox) -> u64 {
    calls(sandbox, "LockstepFindVariants") + calls(sandbox, "LockstepFindManyVariants")
}

#[tokio::test]
async fn who_looks_for_variants_at_the_same_time_shares_one_call_and_gets_its_own() {
    let sandbox = start().await;
    let shop = client(&sandbox);
    for n in 0..90 {
        sandbox.change(|shop| {
            shop.create_product(ProductDraft {
                title: format!("Cup {n}"),
                variants: vec![VariantDraft::new(&[], &format!("CUP-{n}"), Decimal::ONE)],
                ..ProductDraft::default()
            })
        });
    }
    // Ninety and one that nobody has: three searches in one call.
    let expected: Vec<_> = (0..=90).map(|_| shop.expect_look()).collect();
    let asked = expected.into_iter().enumerate().map(|(n, expected)| {
        let shop = &shop;
        async move {
            drop(expected);
            shop.find_variants(&keys(&[&format!("CUP-{n}")], &[]), None)
                .await
                .unwrap()
        }
    });
    let found = futures_util::future::join_all(asked).await;
    assert_eq!(looks(&sandbox), 1);
    for (n, found) in found.iter().enumerate() {
        let skus: Vec<Option<&str>> = found.iter().map(|one| one.sku.as_deref()).collect();
        let expected = format!("CUP-{n}");
        let expected: &[Option<&str>] = if n < 90 { &[Some(&expected)] } else { &[] };
        assert_eq!(skus, expected, "{n}");
    }
    // Alone nobody waits, and nothing is remembered.
    assert_eq!(
        shop.find_variants(&keys(&["CUP-1"], &[]), None)
            .await
            .unwrap()
            .len(),
        1
    );
    assert_eq!(looks(&sandbox), 2);
}

#[tokio::test]
async fn a_shared_look_that_breaks_off_or_fails_is_told_to_all_who_asked() {
    let sandbox = start().await;
    let shop = client(&sandbox);
    product(&sandbox, 1);
    let (one, other) = (keys(&["A"], &[]), keys(&["B"], &[]));
    {
        let expected = shop.expect_look();
        let mut first = Box::pin(shop.find_variants(&one, None));
        let mut second = Box::pin(shop.find_variants(&other, None));
        assert!(futures_util::poll!(&mut first).is_pending());
        assert!(futures_util::poll!(&mut second).is_pending());
        drop(expected);
        // It is on its way for both, and whoever sent it is stopped.
        assert!(futures_util::poll!(&mut first).is_pending());
        drop(first);
        assert_eq!(second.await.unwrap(), []);
    }
    sandbox.inject(ApiFault::InternalError, Some("LockstepFindVariants"), 1);
    let expected = shop.expect_look();
    let asked = async {
        drop(expected);
        shop.find_variants(&other, None).await
    };
    let (first, second) = tokio::join!(shop.find_variants(&one, None), asked);
    for answer in [first, second] {
        assert_eq!(answer.unwrap_err().code(), "shopify_internal_error");
    }
}
