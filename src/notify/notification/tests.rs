//! The envelope as receivers get it.

use super::*;
use crate::domain::SeededEntropy;

/// An order that was carried over, with everything that can be known of it.
pub(in crate::notify) fn full() -> Notification {
    Notification {
        shop: Some("main".parse().unwrap()),
        direction: Some(Direction::In),
        sequence: Some(7),
        object: Some(ObjectReference {
            kind: Object::Order,
            title: None,
            sku: None,
            name: Some("#1001".to_owned()),
            shopify: Some(ShopifyReference::new("Order", ShopifyId(450_789_469))),
            erp: Some(ErpReference {
                model: "sale.order".to_owned(),
                id: ErpId(42),
                number: Some(Shown("S00042".to_owned())),
            }),
        }),
        status: Some(Status::Created),
        changed: vec!["order_line".to_owned()],
        problem: Some(ProblemNote {
            code: "tax_not_found".to_owned(),
            field: Some("lines[0].tax".to_owned()),
            reason: Some(Shown("Ada Lovelace is unknown".to_owned())),
            fix: Some(Shown("ask Ada".to_owned())),
            owner: "ops".to_owned(),
            job: Some(3),
        }),
        source: Some(Place {
            system: System::Shopify,
            name: "main-store.myshopify.com".to_owned(),
        }),
        destination: Some(Place {
            system: System::Erp,
            name: "prod".to_owned(),
        }),
        ..Notification::new(
            NotificationId::new(&SeededEntropy::new(1)),
            EventType::OrderSynced,
            Timestamp::from_millis(1_700_000_000_123),
        )
    }
}

#[test]
fn the_envelope_has_every_field_and_null_where_nothing_is_known() {
    let bare = Notification::new(
        NotificationId::new(&SeededEntropy::new(1)),
        EventType::TestPing,
        Timestamp::from_millis(0),
    );
    let bare = serde_json::to_value(&bare).unwrap();
    let whole = serde_json::to_value(full()).unwrap();
    let names = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&bare), names(&whole));
    assert_eq!(bare["object"], Value::Null);
    assert_eq!(bare["timestamp"], "1970-01-01T00:00:00.000Z");
    assert_eq!(whole["timestamp"], "2023-11-14T22:13:20.123Z");
    assert_eq!(whole["type"], "order.synced");
    assert_eq!(whole["object"]["shopify"]["gid"], "gid://shopify/Order/450789469");
    assert_eq!(whole["object"]["title"], Value::Null);
    assert_eq!(whole["object"]["erp"]["number"], "S00042");
}

#[test]
fn what_was_stored_is_read_back_unchanged() {
    let text = serde_json::to_string(&full()).unwrap();
    assert_eq!(serde_json::from_str::<Notification>(&text).unwrap(), full());
}

#[test]
fn ids_differ_and_hold_no_dot() {
    let entropy = SeededEntropy::new(5);
    let (one, two) = (NotificationId::new(&entropy), NotificationId::new(&entropy));
    assert_ne!(one, two);
    assert!(one.as_str().starts_with("evt_") && one.as_str().len() == 36);
    assert!(!one.as_str().contains('.'));
}

#[test]
fn debug_shows_nobodys_name() {
    let shown = format!("{:?} {:?}", full(), full().problem);
    assert!(!shown.contains("Ada"), "{shown}");
    assert!(shown.contains("tax_not_found"), "{shown}");
}

#[test]
fn a_record_is_known_by_its_reference_on_either_side() {
    let mut one = full();
    assert_eq!(
        one.object_key().as_deref(),
        Some("order.synced/main/in/gid://shopify/Order/450789469")
    );
    one.object.as_mut().unwrap().shopify = None;
    assert_eq!(
        one.object_key().as_deref(),
        Some("order.synced/main/in/sale.order/42")
    );
    one.direction = Some(Direction::Out);
    assert_eq!(
        one.object_key().as_deref(),
        Some("order.synced/main/out/sale.order/42"),
        "the two ways are two things"
    );
    one.object = None;
    assert_eq!(one.object_key(), None);
}

#[test]
fn two_payments_of_an_order_do_not_replace_each_other() {
    for (event, field) in [
        (EventType::PaymentCompleted, "payment"),
        (EventType::PaymentFailed, "payment"),
        (EventType::PaymentRefunded, "payment"),
        (EventType::OrderRefunded, "refund"),
        (EventType::ShipmentCreated, "shipment"),
        (EventType::ShipmentTrackingUpdated, "shipment"),
        (EventType::ShipmentDelivered, "shipment"),
    ] {
        let key = |number: Value| {
            let detail = serde_json::json!({ field: number, "amount": "1.00" });
            let about = Notification {
                event,
                detail,
                ..full()
            };
            about.object_key()
        };
        let one = key(Value::from("7")).unwrap();
        assert_eq!(one, format!("{event}/main/in/gid://shopify/Order/450789469/7"));
        assert_ne!(Some(one), key(Value::from("8")), "{event}");
        assert_eq!(key(Value::Null), None, "{event}: which one is not known");
    }
    let nothing = Notification {
        event: EventType::OrderRefunded,
        ..full()
    };
    assert_eq!(nothing.object_key(), None);
}
