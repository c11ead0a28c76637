use super::super::{client, product, start};
use super::{calls, lose_answer, refusals};
use crate::domain::{Disposition, LevelStock, QuantitiesSet, SetQuantities, SetQuantity, ShopifyId};
use crate::sandbox::shopify::ShopSandbox;
use crate::shopify::ShopifyError;

/// The main place, and the inventory items of a product with two variants.
fn stocked(sandbox: &ShopSandbox) -> (ShopifyId, Vec<u64>, Vec<ShopifyId>) {
    let (_, variants) = product(sandbox, 2);
    sandbox.read(|shop| {
        let items = variants
            .iter()
            .map(|v| ShopifyId(shop.variant(*v).unwrap().1.item.id));
        (ShopifyId(shop.main_location()), variants.clone(), items.collect())
    })
}

fn set(key: &str, name: &str, items: &[(ShopifyId, ShopifyId, i64, Option<i64>)]) -> SetQuantities {
    SetQuantities {
        name: name.to_owned(),
        key: key.to_owned(),
        reference: "gid://lockstep/Job/42".to_owned(),
        items: items
            .iter()
            .map(|(item, location, quantity, from)| SetQuantity {
                item: *item,
                location: *location,
                quantity: *quantity,
                from: *from,
            })
            .collect(),
    }
}

#[tokio::test]
async fn a_quantity_is_set_once_although_the_answer_is_lost() {
    let sandbox = start().await;
    let (place, variants, items) = stocked(&sandbox);
    let shop = client(&sandbox);
    let plan = set("job-1", "on_hand", &[(items[0], place, 40, Some(100))]);
    lose_answer(&sandbox, "LockstepQuantitiesSet");
    let error = shop.set_quantities(&plan).await.unwrap_err();
    assert!(error.outcome_unknown(), "{error}");
    // A sale between the two must not be undone.
    sandbox.change(|shop| shop.sell(variants[0], 3)).unwrap();
    assert_eq!(shop.set_quantities(&plan).await.unwrap(), QuantitiesSet::Done);
    let stock = shop.item_stock(&items[..1]).await.unwrap();
    assert_eq!(
        stock[0].levels,
        [LevelStock {
            location: place,
            available: 37,
            on_hand: 40,
            committed: 3
        }]
    );
    let adjustments = sandbox.ledger().adjustments;
    assert_eq!(adjustments.len(), 1);
    assert_eq!(adjustments[0].reference.as_deref(), Some("gid://lockstep/Job/42"));
    // Sent and gone: nothing is committed any more.
    let order = sandbox.ledger().orders[0].id;
    sandbox.change(|shop| shop.fulfill_order(order, None)).unwrap();
    let stock = shop.item_stock(&items[..1]).await.unwrap();
    assert_eq!(
        (stock[0].levels[0].on_hand, stock[0].levels[0].committed),
        (37, 0)
    );
}

#[tokio::test]
async fn a_stale_quantity_keeps_all_from_being_written() {
    let sandbox = start().await;
    let (place, variants, items) = stocked(&sandbox);
    let shop = client(&sandbox);
    sandbox.change(|shop| shop.sell(variants[1], 1)).unwrap();
    let plan = set(
        "job-1",
        "available",
        &[(items[0], place, 5, Some(100)), (items[1], place, 6, Some(100))],
    );
    assert_eq!(
        shop.set_quantities(&plan).await.unwrap(),
        QuantitiesSet::Stale(vec![1])
    );
    assert_eq!(sandbox.ledger().adjustments, []);
    // The key is spent: whoever comes back with it must plan anew.
    assert_eq!(
        shop.set_quantities(&plan).await.unwrap(),
        QuantitiesSet::Stale(vec![0, 1])
    );
    let again = set(
        "job-1b",
        "available",
        &[(items[0], place, 5, Some(100)), (items[1], place, 6, Some(99))],
    );
    assert_eq!(shop.set_quantities(&again).await.unwrap(), QuantitiesSet::Done);
    // Whatever it was.
    let any = set("job-2", "on_hand", &[(items[0], place, 9, None)]);
    assert_eq!(shop.set_quantities(&any).await.unwrap(), QuantitiesSet::Done);
    let left = sandbox.read(|shop| shop.level(variants[0], place.0).unwrap().available);
    assert_eq!(left, 9);
}

#[tokio::test]
async fn what_cannot_be_set_is_named() {
    let sandbox = start().await;
    let (place, variants, items) = stocked(&sandbox);
    let closed = sandbox.change(|shop| {
        shop.edit_variant(variants[1], |v| v.item.tracked = false)
            .unwrap();
        let id = shop.add_location("Old store", "Ulm", "DE");
        shop.set_location_active(id, false);
        ShopifyId(id)
    });
    let shop = client(&sandbox);
    let plan = set(
        "job-1",
        "on_hand",
        &[
            (items[0], place, 1, Some(7)),
            (items[1], place, 1, None),
            (items[0], closed, 1, None),
            (ShopifyId(5), place, 1, None),
        ],
    );
    let error = shop.set_quantities(&plan).await.unwrap_err();
    let told: Vec<(Option<usize>, Option<String>)> = refusals(&error)
        .into_iter()
        .map(|(at, _, code)| (at, code))
        .collect();
    let code = |code: &str| Some(code.to_owned());
    assert_eq!(
        told,
        [
            (Some(1), code("NON_MUTABLE_INVENTORY_ITEM")),
            (Some(2), code("INVALID_LOCATION")),
            (Some(3), code("INVALID_INVENTORY_ITEM")),
        ]
    );
    assert_eq!(error.field(), Some("on_hand"));
    assert_eq!(error.disposition(), Disposition::Permanent);
    // The same key for another plan is our own mistake.
    let done = set("job-2", "on_hand", &[(items[0], place, 1, None)]);
    shop.set_quantities(&done).await.unwrap();
    let other = set("job-2", "on_hand", &[(items[0], place, 2, None)]);
    let error = shop.set_quantities(&other).await.unwrap_err();
    assert!(
        matches!(&error, ShopifyError::Rejected { code: Some(code), .. } if code == "IDEMPOTENCY_KEY_PARAMETER_MISMATCH")
    );
    // The same call under way passes by itself.
    sandbox.change(|shop| {
        let code = Some("IDEMPOTENCY_CONCURRENT_REQUEST");
        shop.refuse_next("inventorySetQuantities", &[], "in progress", code);
    });
    let error = shop.set_quantities(&done).await.unwrap_err();
    assert_eq!(error.disposition(), Disposition::Transient { retry_after: None });
    // More or less than there can be.
    for wrong in [-1, 3_000_000_000] {
        let plan = set("job-9", "on_hand", &[(items[0], place, wrong, None)]);
        let error = shop.set_quantities(&plan).await.unwrap_err();
        assert!(matches!(error, ShopifyError::NotWritable { .. }), "{error}");
    }
    // Too many at once, or none.
    let many = set("job-3", "on_hand", &vec![(items[0], place, 1, None); 251]);
    let error = shop.set_quantities(&many).await.unwrap_err();
    assert!(matches!(error, ShopifyError::NotWritable { .. }));
    let none = set("job-4", "on_hand", &[]);
    assert_eq!(shop.set_quantities(&none).await.unwrap(), QuantitiesSet::Done);
}

#[tokio::test]
async fn stock_is_read_to_its_end() {
    let sandbox = start().await;
    let (place, variants, items) = stocked(&sandbox);
    sandbox.change(|shop| {
        shop.edit_variant(variants[1], |v| v.item.tracked = false)
            .unwrap();
        for n in 0..160 {
            let id = shop.add_location(&format!("Store {n}"), "Ulm", "DE");
            shop.set_level(variants[0], id, n).unwrap();
        }
    });
    let shop = client(&sandbox);
    let stock = shop
        .item_stock(&[items[0], ShopifyId(5), items[1]])
        .await
        .unwrap();
    assert_eq!(stock.len(), 2, "one is not there");
    assert_eq!(stock[0].levels.len(), 161);
    assert_eq!(stock[0].levels[160].on_hand, 159);
    assert_eq!(stock[0].variant, Some(ShopifyId(variants[0])));
    assert_eq!((stock[0].tracked, stock[1].tracked), (true, false));
    assert_eq!(calls(&sandbox, "LockstepItemLevels"), 2);

    let places = shop.locations().await.unwrap();
    assert_eq!(places.len(), 161);
    assert_eq!(
        (places[0].id, places[0].active, places[0].fulfills_online),
        (place, true, true)
    );
    shop.locations().await.unwrap();
    assert_eq!(
        calls(&sandbox, "LockstepStockLocations"),
        2,
        "two pages, asked for once"
    );
}
