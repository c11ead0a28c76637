//! Everything of an object: by pages, by bulk operations, and every way in which a bulk operation or its file fails.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::routing::get;
use futures_util::StreamExt as _;
use serde_json::json;
use wiremock::ResponseTemplate;

use super::support::{SkippingClock, Stage, connect, data};
use crate::domain::{Disposition, Object};
use crate::sandbox::shopify::draft::{
    Buyer, CustomerDraft, LineDraft, OrderDraft, ProductDraft, VariantDraft,
};
use crate::sandbox::shopify::faults::{ApiFault, BulkFault};
use crate::sandbox::shopify::{Options, Shop, ShopSandbox};
use crate::shopify::{BulkError, Everything, ListedRecord, ListedState, Manner, Shopify, ShopifyError};

/// Nothing is small enough for pages.
fn bulk() -> Manner {
    Manner {
        paged_up_to: 0,
        silence: Duration::from_secs(20),
        ..Manner::default()
    }
}

async fn sandbox() -> (ShopSandbox, Shopify) {
    let mut options = Options::quick();
    options.access.static_token = Some("shpat_static".to_owned());
    // Pace is another test's subject.
    options.rate.restore_rate = 1_000_000.0;
    options.rate.maximum_available = 1_000_000.0;
    let sandbox = ShopSandbox::start(options).await.unwrap();
    let shop = connect(&sandbox.url(), SkippingClock::new());
    (sandbox, shop)
}

fn product(shop: &mut Shop, title: &str, variants: usize) -> u64 {
    let variants = (0..variants)
        .map(|n| {
            VariantDraft::new(
                &[&format!("S{n}")],
                &format!("{title}-{n}"),
                "9.90".parse().unwrap(),
            )
        })
        .collect();
    shop.create_product(ProductDraft {
        title: title.to_owned(),
        options: vec!["Size".to_owned()],
        variants,
        ..ProductDraft::default()
    })
}

fn order(shop: &mut Shop) -> u64 {
    let buyer = CustomerDraft {
        email: Some(format!("b{}@example.com", shop.now().timestamp_subsec_nanos())),
        ..CustomerDraft::default()
    };
    let buyer = shop.create_customer(buyer).unwrap();
    let made = product(shop, "Mug", 1);
    let variant = shop.product(made).unwrap().variants[0].id;
    let draft = OrderDraft {
        buyer: Buyer::Customer(buyer),
        lines: vec![LineDraft::variant(variant, 2)],
        ..OrderDraft::default()
    };
    shop.place_order(draft).unwrap()
}

/// Reads to the end.
async fn all(mut everything: Everything) -> Result<BTreeMap<u64, ListedRecord>, ShopifyError> {
    let mut records = BTreeMap::new();
    while let Some(mut record) = everything.next().await? {
        record.variants.sort_by_key(|variant| variant.id);
        assert!(records.insert(record.id.0, record).is_none(), "each once");
    }
    Ok(records)
}

async fn everything(
    shop: &Shopify,
    object: Object,
    manner: &Manner,
) -> Result<BTreeMap<u64, ListedRecord>, ShopifyError> {
    all(shop.everything_in(object, manner).await?).await
}

#[tokio::test]
async fn pages_and_a_bulk_operation_show_the_same_records() {
    let (sandbox, shop) = sandbox().await;
    let (many, one, sold) = sandbox.change(|shop| {
        let many = product(shop, "Tee", 120);
        let one = product(shop, "Cup", 1);
        (many, one, order(shop))
    });
    for object in [Object::Product, Object::Customer, Object::Order] {
        let paged = everything(&shop, object, &Manner::default()).await.unwrap();
        let whole = everything(&shop, object, &bulk()).await.unwrap();
        assert_eq!(paged, whole, "{object}");
        assert!(!whole.is_empty(), "{object}");
        if object == Object::Product {
            assert_eq!(
                (whole[&many].variants.len(), whole[&one].variants.len()),
                (120, 1)
            );
            assert_eq!(whole[&one].variants[0].sku.as_deref(), Some("Cup-0"));
            assert!(whole[&one].variants[0].inventory_item.is_some());
            assert_eq!(
                (whole[&one].name.as_str(), whole[&one].state),
                ("Cup", ListedState::Active)
            );
        }
        if object == Object::Order {
            // Two mugs at 9.90, without tax.
            let total = whole[&sold].total.clone().unwrap();
            assert_eq!(
                (
                    total.gross.to_string(),
                    total.tax.to_string(),
                    total.currency.as_str()
                ),
                ("19.8".to_owned(), "0".to_owned(), "EUR")
            );
            assert_eq!(whole[&sold].name, "#1001");
        }
    }
    let calls = sandbox.ledger().calls;
    assert_eq!(calls.by_operation["LockstepBulkRun"], 3);
    assert_eq!(calls.bulk_files, 3);
}

/// A finished operation, as it was looked at.
fn finished(state: &serde_json::Value) -> [ResponseTemplate; 3] {
    let started = json!({"bulkOperation": {"id": "gid://shopify/BulkOperation/1"}, "userErrors": []});
    [
        data(&json!({"total": {"count": 10_000}})),
        data(&json!({ "bulkOperationRunQuery": started })),
        data(&json!({ "bulkOperation": state })),
    ]
}

#[tokio::test]
async fn a_shop_with_nothing_is_no_failure_and_a_result_without_a_file_is_one() {
    let (_sandbox, shop) = sandbox().await;
    assert!(
        everything(&shop, Object::Order, &Manner::default())
            .await
            .unwrap()
            .is_empty()
    );
    let stage = Stage::new().await;
    let nothing = json!({"status": "COMPLETED", "objectCount": "0", "rootObjectCount": "0", "url": null});
    stage.answers(finished(&nothing));
    assert!(
        everything(&stage.shop(), Object::Order, &bulk())
            .await
            .unwrap()
            .is_empty()
    );
    for (state, said) in [
        (
            json!({"status": "COMPLETED", "objectCount": "7", "rootObjectCount": "7", "url": null}),
            "names no result",
        ),
        (json!({"status": "COMPLETED", "url": null}), "how many objects"),
        (json!({"status": "NEW_STATE"}), "NEW_STATE"),
        (json!(null), "does not know bulk operation 1"),
    ] {
        stage.answers(
            finished(&state)
                .into_iter()
                .chain([data(&json!({ "bulkOperation": state }))]),
        );
        let error = everything(&stage.shop(), Object::Order, &bulk())
            .await
            .unwrap_err();
        assert!(error.to_string().contains(said), "{error}");
    }
}

#[tokio::test]
async fn no_failure_of_a_bulk_operation_passes_for_its_end() {
    let cases: [(BulkFault, &str, &str); 12] = [
        (
            BulkFault::Fails("INTERNAL_SERVER_ERROR".to_owned()),
            "shopify_bulk_failed",
            "INTERNAL_SERVER_ERROR",
        ),
        (
            BulkFault::Fails("TIMEOUT".to_owned()),
            "shopify_bulk_failed",
            "TIMEOUT",
        ),
        (BulkFault::Canceled, "shopify_bulk_cancelled", "cancelled"),
        (BulkFault::Expires, "shopify_bulk_expired", "expired"),
        (BulkFault::UrlGone(403), "shopify_bulk_expired", "HTTP 403"),
        (BulkFault::UrlGone(404), "shopify_bulk_expired", "HTTP 404"),
        (BulkFault::CutLine, "shopify_bulk_cut_short", "last line"),
        (BulkFault::LostLines, "shopify_bulk_cut_short", "bytes"),
        (BulkFault::Garbage, "shopify_bulk_unreadable", "no JSON"),
        (
            BulkFault::WrongCount(3),
            "shopify_bulk_count_differs",
            "Shopify says",
        ),
        (BulkFault::Broken, "shopify_bulk_cut_short", "broke off"),
        (BulkFault::Silent, "shopify_bulk_cut_short", "broke off"),
    ];
    let (sandbox, shop) = sandbox().await;
    sandbox.change(|shop| {
        for n in 0..20 {
            product(shop, &format!("P{n}"), 2);
        }
    });
    for (fault, code, said) in cases {
        sandbox.change(|shop| shop.spoil_next_bulk(fault.clone()));
        let mut manner = bulk();
        if fault == BulkFault::Silent {
            manner.silence = Duration::from_millis(200);
        }
        let outcome = everything(&shop, Object::Product, &manner).await;
        let error = outcome.expect_err(&format!("{fault:?}"));
        assert_eq!(error.code(), code, "{fault:?}: {error}");
        assert!(error.to_string().contains(said), "{fault:?}: {error}");
        assert!(
            matches!(error.disposition(), Disposition::Transient { .. }),
            "{fault:?}"
        );
        assert!(!error.fix().is_empty());
    }
    // Fewer than there are, and a record that comes twice.
    for fault in [BulkFault::WrongCount(-3), BulkFault::TwiceTheSame] {
        sandbox.change(|shop| shop.spoil_next_bulk(fault.clone()));
        let error = everything(&shop, Object::Product, &bulk())
            .await
            .expect_err(&format!("{fault:?}"));
        assert!(matches!(error, ShopifyError::Bulk(_)), "{fault:?}: {error}");
    }
    assert_eq!(
        everything(&shop, Object::Product, &bulk()).await.unwrap().len(),
        20
    );
}

/// A file with these lines.
async fn file(lines: &[serde_json::Value]) -> String {
    let lines: Vec<String> = lines.iter().map(ToString::to_string).collect();
    let text = lines.join("\n");
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/file", listener.local_addr().unwrap());
    let router = Router::new().route("/file", get(move || async { text }));
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

#[tokio::test]
async fn a_file_that_holds_something_else_than_was_told_is_no_list() {
    let product = |id: u64, variants: u64| {
        let time = "2026-11-20T10:00:00Z";
        json!({"id": format!("gid://shopify/Product/{id}"), "title": "Cup", "status": "ACTIVE", "createdAt": time,
            "updatedAt": time, "variantsCount": {"count": variants}})
    };
    let variant = |id: u64, of: u64| {
        json!({"id": format!("gid://shopify/ProductVariant/{id}"), "sku": "CUP", "inventoryItem": {"id": null},
            "__parentId": format!("gid://shopify/Product/{of}")})
    };
    for (lines, objects, records, said) in [
        (vec![product(1, 2), variant(10, 1), variant(11, 1)], 3, 1, None),
        // A variant is not there.
        (
            vec![product(1, 2), variant(10, 1)],
            3,
            1,
            Some("has 2 lines, Shopify says 3"),
        ),
        // A product is not there, and something else is in its place.
        (
            vec![product(1, 1), variant(10, 1)],
            2,
            2,
            Some("has 1 records, Shopify says 2"),
        ),
        (
            vec![product(1, 1), variant(12, 2)],
            2,
            1,
            Some("1 variants without their product"),
        ),
        (
            vec![product(1, 0), product(1, 0)],
            2,
            2,
            Some("record 1 comes a second time"),
        ),
    ] {
        let stage = Stage::new().await;
        stage.answers(finished(
            &json!({"status": "COMPLETED", "objectCount": objects.to_string(),
            "rootObjectCount": records.to_string(), "url": file(&lines).await}),
        ));
        let found = everything(&stage.shop(), Object::Product, &bulk()).await;
        match said {
            None => assert_eq!(found.unwrap()[&1].variants.len(), 2),
            Some(said) => {
                let error = found.expect_err(said).to_string();
                assert!(error.contains(said), "{error}");
            }
        }
    }
}

#[tokio::test]
async fn what_broke_off_stays_broken() {
    let (sandbox, shop) = sandbox().await;
    sandbox.change(|shop| {
        for _ in 0..4 {
            order(shop);
        }
        shop.spoil_next_bulk(BulkFault::CutLine);
    });
    let mut records = shop.everything_in(Object::Order, &bulk()).await.unwrap();
    let mut read = 0;
    let error = loop {
        match records.next().await {
            Ok(record) => {
                assert!(record.is_some(), "an end that is none");
                read += 1;
            }
            Err(error) => break error,
        }
    };
    assert_eq!(read, 3);
    assert!(
        matches!(error, ShopifyError::Bulk(BulkError::CutShort { .. })),
        "{error}"
    );
    assert!(records.next().await.is_err(), "asked again it is no end either");
}

#[tokio::test]
async fn while_others_run_it_is_tried_again_and_then_read_page_by_page() {
    let (sandbox, shop) = sandbox().await;
    sandbox.change(|shop| {
        product(shop, "Cup", 1);
        shop.hold_bulk(true);
    });
    let query = crate::shopify::documents::BULK_PRODUCTS.text;
    let run = crate::shopify::documents::BULK_RUN.text;
    for _ in 0..5 {
        let variables = json!({ "query": query });
        let started = shop
            .client
            .call(&crate::shopify::documents::BULK_RUN, &variables)
            .await
            .unwrap();
        assert!(
            started["bulkOperationRunQuery"]["bulkOperation"]["id"].is_string(),
            "{run}: {started}"
        );
    }
    let found = everything(&shop, Object::Product, &bulk()).await.unwrap();
    assert_eq!(found.len(), 1);
    let calls = sandbox.ledger().calls;
    // Ten minutes, every half minute.
    assert_eq!(calls.by_operation["LockstepBulkRun"], 5 + 20);
    assert_eq!(calls.by_operation["LockstepAllProducts"], 1);
}

#[tokio::test]
async fn an_operation_that_nobody_waits_for_any_more_is_cancelled() {
    let (sandbox, shop) = sandbox().await;
    sandbox.change(|shop| {
        product(shop, "Cup", 1);
        shop.hold_bulk(true);
    });
    let shop = Arc::new(shop);
    let reading = tokio::spawn({
        let shop = Arc::clone(&shop);
        async move { everything(&shop, Object::Product, &bulk()).await.map(drop) }
    });
    let reached = async |what: &str, is_so: &dyn Fn() -> bool| {
        let waiting = async {
            while !is_so() {
                tokio::task::yield_now().await;
            }
        };
        let in_time = tokio::time::timeout(Duration::from_secs(20), waiting).await;
        assert!(in_time.is_ok(), "{what}");
    };
    reached("it runs", &|| {
        sandbox
            .ledger()
            .calls
            .by_operation
            .contains_key("LockstepBulkState")
    })
    .await;
    reading.abort();
    reached("it is cancelled", &|| {
        sandbox.read(Shop::bulk_states) == ["CANCELED"]
    })
    .await;
    // One that came to its end is left alone.
    sandbox.change(|shop| shop.hold_bulk(false));
    assert_eq!(
        everything(&shop, Object::Product, &bulk()).await.unwrap().len(),
        1
    );
    assert_eq!(sandbox.ledger().calls.by_operation["LockstepBulkCancel"], 1);
    assert_eq!(sandbox.read(Shop::bulk_states), ["CANCELED", "COMPLETED"]);
}

#[tokio::test]
async fn without_bulk_operations_everything_is_read_page_by_page() {
    let (sandbox, shop) = sandbox().await;
    sandbox.change(|shop| product(shop, "Cup", 1));
    let denied = BulkFault::Fails("ACCESS_DENIED".to_owned());
    sandbox.change(|shop| shop.spoil_next_bulk(denied));
    assert_eq!(
        everything(&shop, Object::Product, &bulk()).await.unwrap().len(),
        1
    );
    assert_eq!(sandbox.ledger().calls.by_operation["LockstepAllProducts"], 1);
}

#[tokio::test]
async fn looking_after_an_operation_survives_a_lost_answer() {
    let (sandbox, shop) = sandbox().await;
    sandbox.change(|shop| product(shop, "Cup", 1));
    sandbox.inject(ApiFault::CutBefore, Some("LockstepBulkState"), 1);
    sandbox.inject(ApiFault::InternalError, Some("LockstepBulkState"), 1);
    assert_eq!(
        everything(&shop, Object::Product, &bulk()).await.unwrap().len(),
        1
    );
}

#[tokio::test]
async fn a_list_of_many_pages_begins_anew_behind_its_last_record() {
    let stage = Stage::new().await;
    // 81 pages of one customer each: the 81st is the first page of a list behind number 80.
    let page = |n: u32, next: bool| {
        let cursor = next.then(|| n.to_string());
        data(&json!({"customers": {
            "pageInfo": {"hasNextPage": next, "endCursor": cursor},
            "nodes": [{"id": format!("gid://shopify/Customer/{n}"), "createdAt": "2026-11-20T10:00:00Z", "updatedAt": "2026-11-20T10:00:00Z"}],
        }}))
    };
    let count = data(&json!({"total": {"count": 81}}));
    stage.answers(std::iter::once(count).chain((1..82).map(|n| page(n, n < 81))));
    let found = everything(&stage.shop(), Object::Customer, &Manner::default())
        .await
        .unwrap();
    assert_eq!(found.len(), 81);
    let asked: Vec<serde_json::Value> = stage
        .asked()
        .iter()
        .map(|asked| serde_json::from_str(&asked.body).unwrap())
        .collect();
    assert_eq!(asked[80]["variables"], json!({"cursor": "79", "search": null}));
    assert_eq!(
        asked[81]["variables"],
        json!({"cursor": null, "search": "id:>80"})
    );
}

/// The file of a hundredth of a million lines, made as it is read: `made` counts the bytes.
async fn long_file(lines: usize, made: Arc<AtomicUsize>) -> String {
    let filling = "x".repeat(6_000);
    let rows = move || {
        let (filling, made) = (filling.clone(), Arc::clone(&made));
        let row = move |n: usize| {
            let row = json!({"id": format!("gid://shopify/Customer/{n}"), "createdAt": "2026-11-20T10:00:00Z",
                "updatedAt": "2026-11-20T10:00:00Z", "filling": filling});
            let row = format!("{row}\n");
            made.fetch_add(row.len(), Ordering::Relaxed);
            Ok::<_, std::convert::Infallible>(Bytes::from(row))
        };
        let stream = futures_util::stream::iter(1..=lines).map(row);
        async { Body::from_stream(stream) }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/file", listener.local_addr().unwrap());
    let router = Router::new().route("/file", get(rows));
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

#[tokio::test]
async fn a_long_file_is_never_held() {
    const LINES: usize = 10_000;
    let made = Arc::new(AtomicUsize::new(0));
    let url = long_file(LINES, Arc::clone(&made)).await;
    let stage = Stage::new().await;
    stage.answers(finished(
        &json!({"status": "COMPLETED", "objectCount": LINES.to_string(),
        "rootObjectCount": LINES.to_string(), "url": url}),
    ));
    let mut records = stage
        .shop()
        .everything_in(Object::Customer, &bulk())
        .await
        .unwrap();
    for _ in 0..100 {
        records.next().await.unwrap().unwrap();
    }
    // Of 60 MB no more than what stands in the buffers of the connection was made.
    let made = made.load(Ordering::Relaxed);
    assert!(made < 20_000_000, "{made} bytes for 100 of {LINES} lines");
}
