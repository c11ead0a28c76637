//! Trying out an endpoint whose template is made for other events than `test.ping`.

use super::*;

#[test]
fn an_endpoint_with_a_template_can_be_tried_out() {
    let ping = Notification::new(
        NotificationId::new(&crate::domain::SeededEntropy::new(3)),
        EventType::TestPing,
        crate::domain::Timestamp::from_millis(1_700_000_000_123),
    );
    let body = |text: &str, events: &[EventType]| -> Value {
        let template = Template::compile(text, "application/json", events, &Paths).unwrap();
        let message = Message::of(&ping, Includes::default(), Some(&template)).unwrap();
        assert_eq!(message.id, ping.id.as_str());
        serde_json::from_slice(&message.body).unwrap()
    };
    let of_orders = r#"{ "text": "Order {{ event.object.name }}", "type": {{ event.type }}, "total": {{ order.totals.total }},
        "email": {{ order.email }}, "lines": {{ order.lines }}, "at": {{ order.created_at }}, "test": {{ order.test }},
        "state": {{ order.financial_status }}, "id": {{ event.id }}, "sent": {{ event.timestamp }} }"#;
    assert_eq!(
        body(of_orders, ORDERS),
        json!({
            "text": "Order TEST", "type": "order.synced", "total": 0, "email": null, "lines": [],
            "at": "2023-11-14T22:13:20.123Z", "test": true, "state": "authorized", "id": ping.id,
            "sent": "2023-11-14T22:13:20.123Z",
        })
    );
    let failed = r#"{ "why": "{{ event.problem.reason }}" }"#;
    assert_eq!(
        body(failed, &[EventType::SyncFailed]),
        json!({ "why": "TEST: somebody tries out this endpoint" })
    );
    // One that wants pings gets one.
    let own = r#"{ "type": {{ event.type }}, "object": {{ event.object.name }} }"#;
    assert_eq!(
        body(own, &[EventType::OrderSynced, EventType::TestPing]),
        json!({ "type": "test.ping", "object": null })
    );
}

#[test]
fn every_template_can_be_tried_out() {
    let ping = Notification::new(
        NotificationId::new(&crate::domain::SeededEntropy::new(3)),
        EventType::TestPing,
        crate::domain::Timestamp::from_millis(0),
    );
    for event in EventType::ALL {
        let made = ping.made_up(
            *event,
            Includes {
                record: true,
                related: true,
                values: true,
                personal_data: true,
            },
        );
        assert_eq!((made.event, &made.id), (*event, &ping.id));
        // Whatever must be there is: an expression that was checked by the shape finds what the shape says.
        let scope = Scope::of(*event);
        let facts = scope.facts(&made);
        for field in scope.fields(Some(&facts)) {
            if !field.may_be_empty && !field.path.contains("[]") {
                assert!(
                    field.value.is_some_and(|value| !value.is_null()),
                    "{event}: {}",
                    field.path
                );
            }
        }
    }
}
