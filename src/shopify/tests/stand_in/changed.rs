//! What changed since a time, read from the stand-in.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{client, place, product, start, vat};
use crate::domain::{Clock as _, Object, ShopifyId, SystemClock, Timestamp};
use crate::sandbox::shopify::draft::{CustomerDraft, LineDraft, OrderDraft};
use crate::sandbox::shopify::{Options, ShopSandbox};
use crate::shopify::{Shopify, ShopifyError};

/// All records that changed since then, and how many pages they came on.
async fn all(shop: &Shopify, object: Object, since: Timestamp) -> (Vec<(ShopifyId, Timestamp)>, u32) {
    let (mut records, mut after, mut pages) = (Vec::new(), None, 0);
    loop {
        let page = shop.changed_since(object, since, after).await.unwrap();
        records.extend(page.records);
        pages += 1;
        after = page.next;
        if after.is_none() {
            return (records, pages);
        }
    }
}

#[tokio::test]
async fn everything_that_changed_is_found_page_by_page_oldest_change_first() {
    let sandbox = start().await;
    let hour_ago = SystemClock.now().minus(Duration::from_secs(3600));
    let made: BTreeSet<u64> = (0..260)
        .map(|n| {
            let draft = CustomerDraft {
                email: Some(format!("customer{n}@example.com")),
                ..CustomerDraft::default()
            };
            sandbox.change(|shop| shop.create_customer(draft).unwrap())
        })
        .collect();
    let (of_product, variants) = product(&sandbox, 1);
    let order = place(
        &sandbox,
        OrderDraft {
            lines: vec![LineDraft::variant(variants[0], 1)],
            taxes: vat(),
            ..OrderDraft::default()
        },
    );
    let shop = client(&sandbox);
    let (customers, pages) = all(&shop, Object::Customer, hour_ago).await;
    assert_eq!((customers.len(), pages), (260, 2));
    let found: BTreeSet<u64> = customers.iter().map(|(id, _)| id.0).collect();
    assert_eq!(found, made, "each once");
    assert!(
        customers.is_sorted_by_key(|(_, changed)| *changed),
        "{customers:?}"
    );
    let (orders, _) = all(&shop, Object::Order, hour_ago).await;
    assert_eq!(orders.iter().map(|(id, _)| id.0).collect::<Vec<_>>(), [order.0]);
    let (products, _) = all(&shop, Object::Product, hour_ago).await;
    assert_eq!(
        products.iter().map(|(id, _)| *id).collect::<Vec<_>>(),
        [of_product]
    );
    // The second in which something changed counts; what comes after all of it finds nothing.
    let (_, last) = customers[259];
    assert!(!all(&shop, Object::Customer, last).await.0.is_empty());
    let later = last.plus(Duration::from_secs(60));
    assert_eq!(all(&shop, Object::Customer, later).await, (Vec::new(), 1));
    for object in [Object::Inventory, Object::Shop] {
        assert!(shop.changed_since(object, later, None).await.is_err(), "{object}");
    }
}

#[tokio::test]
async fn a_list_that_we_may_not_read_is_an_error_and_not_an_empty_page() {
    let mut options = Options::default();
    options.access.scopes.retain(|scope| !scope.contains("customers"));
    let sandbox = ShopSandbox::start(options).await.unwrap();
    let shop = client(&sandbox);
    let now = SystemClock.now();
    let refused = shop.changed_since(Object::Customer, now, None).await.unwrap_err();
    assert!(
        !matches!(refused, ShopifyError::Incomplete { .. }),
        "it names the scope: {refused:?}"
    );
    assert!(refused.to_string().contains("read_customers"), "{refused}");
    shop.changed_since(Object::Order, now, None).await.unwrap();
}
