//! What a shop used lately, read from the stand-in.

use super::{address, client, d, place, product, start, vat};
use crate::domain::{Clock as _, SystemClock, Timestamp};
use crate::sandbox::shopify::draft::{LineDraft, OrderDraft, Payment, ShippingDraft};
use std::time::Duration;

fn ago(days: u64) -> Timestamp {
    SystemClock.now().minus(Duration::from_hours(24 * days))
}

#[tokio::test]
async fn every_page_of_the_last_days_is_counted_and_nothing_older() {
    let sandbox = start().await;
    let (_, variants) = product(&sandbox, 1);
    let order = |gateway: &str| OrderDraft {
        lines: vec![LineDraft::variant(variants[0], 1)],
        shipping: vec![ShippingDraft::new("Standard", d("4.90"))],
        taxes: vat(),
        taxes_included: true,
        payment: Payment::Paid(gateway.to_owned()),
        shipping_address: Some(address("Ulm")),
        ..OrderDraft::default()
    };
    let old = OrderDraft {
        created_at: Some(ago(61).to_utc()),
        ..order("long_ago")
    };
    place(&sandbox, old);
    place(
        &sandbox,
        OrderDraft {
            test: true,
            ..order("bogus")
        },
    );
    let sent = place(&sandbox, order("paypal"));
    for _ in 0..60 {
        place(&sandbox, order("shopify_payments"));
    }
    sandbox.change(|shop| {
        shop.add_location("Back room", "Ulm", "DE");
        shop.fulfill_order(sent.0, None).unwrap();
    });
    let recent = client(&sandbox).recent(ago(60)).await.unwrap();
    let gateways: Vec<(&str, u64)> = recent
        .gateways
        .iter()
        .map(|(name, count)| (name.as_str(), *count))
        .collect();
    assert_eq!(recent.orders, 61);
    assert_eq!(gateways, [("paypal", 1), ("shopify_payments", 60)]);
    assert_eq!(recent.carriers.get("Standard"), Some(&61));
    assert_eq!(recent.locations.get("Back room"), Some(&0));
    assert_eq!(
        recent.locations.values().sum::<u64>(),
        1,
        "{:?}",
        recent.locations
    );
    assert_eq!(recent.currencies.get("EUR"), Some(&61));
    let taxes: Vec<String> = recent
        .taxes
        .keys()
        .map(|tax| format!("{} {} {}", tax.title, tax.rate_percent, tax.is_included))
        .collect();
    assert_eq!(taxes, ["DE MwSt 19 true"]);
    assert!(!recent.is_cut && recent.notes.is_empty(), "{:?}", recent.notes);
    let calls = sandbox.ledger().calls.by_operation;
    assert_eq!(calls.get("LockstepRecentOrders"), Some(&2));
}
