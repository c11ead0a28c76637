//! A record between a stand-in shop and a stand-in ERP.

mod rig;

use serde_json::json;

use super::*;
use crate::domain::LinkKind;

use rig::{PATIENT, Rig};

fn differences(record: &Record) -> Vec<(&str, &str, &str)> {
    let ways = &record.comparison.as_ref().unwrap().ways;
    ways.iter()
        .flat_map(|way| &way.differences)
        .map(|row| (row.field.as_str(), row.shopify.as_str(), row.erp.as_str()))
        .collect()
}

#[tokio::test]
async fn an_order_opens_with_what_a_customer_asks() {
    let rig = Rig::new().await;
    let story = rig.story();
    rig.sync(Object::Order, story.order).await;
    let found = rig.record(Object::Order, story.order, PATIENT).await;
    let erp_name = found.references.erp.as_ref().unwrap().name.clone();
    assert_eq!(
        found.sentence,
        format!(
            "Order {} is in the ERP as {erp_name}; on Shopify it is paid and not sent yet.",
            story.name
        )
    );
    let order = found.order.as_ref().unwrap();
    let (shopify, erp) = (order.shopify.held().unwrap(), order.erp.held().unwrap());
    assert_eq!(
        (shopify.name.as_str(), erp.name.as_str()),
        (story.name.as_str(), erp_name.as_str())
    );
    assert_eq!(
        (shopify.amounts.total.as_str(), erp.amounts.total.as_str()),
        ("64.87 EUR", "64.87 EUR")
    );
    assert_eq!(order.totals_agree, Some(true));
    assert_eq!(shopify.amounts.paid, "64.87 EUR");
    for (side, what) in [(shopify, "Shopify"), (erp, "ERP")] {
        assert_eq!(
            side.buyer.as_ref().unwrap().email.as_deref(),
            Some("ada@example.com"),
            "{what}"
        );
        assert!(
            side.billing.contains(&"Ada Byron".to_owned()),
            "{what}: {:?}",
            side.billing
        );
        assert!(
            side.shipping.contains(&"Ada Lovelace".to_owned()),
            "{what}: {:?}",
            side.shipping
        );
        assert!(
            side.shipping.contains(&"10117 Berlin".to_owned()),
            "{what}: {:?}",
            side.shipping
        );
    }
    let lines: Vec<_> = order
        .lines
        .iter()
        .map(|pair| {
            let total = |side: &Option<LineFacts>| side.as_ref().map(|line| line.total.clone());
            (total(&pair.shopify), total(&pair.erp))
        })
        .collect();
    let both = |total: &str| (Some(total.to_owned()), Some(total.to_owned()));
    assert_eq!(lines, [both("59.97"), both("4.90")]);
    assert!(differences(&found).is_empty(), "{:?}", differences(&found));
    assert_eq!(found.jobs.len(), 1);
    assert_eq!(found.link.as_ref().unwrap().model, "sale.order");

    // Sent and, in part, paid back.
    rig.shop
        .change(|shop| shop.fulfill_order(story.order, None))
        .unwrap();
    let sent = rig.record(Object::Order, story.order, PATIENT).await;
    assert!(sent.sentence.contains("it is paid and sent"), "{}", sent.sentence);
    let shipments = &sent.order.as_ref().unwrap().shopify.held().unwrap().shipments;
    assert_eq!((shipments.len(), shipments[0].units.as_str()), (1, "3"));

    // A change in the ERP is seen.
    let line = rig.erp.ledger().orders()[0].lines[0].id;
    let change = json!([[line], { "price_unit": 25 }]);
    rig.erp
        .as_admin("sale.order.line", "write", change, json!({}))
        .unwrap();
    let changed = rig.record(Object::Order, story.order, PATIENT).await;
    assert_eq!(differences(&changed), [("price_unit", "19.99", "25")]);
    assert_eq!(changed.order.unwrap().totals_agree, Some(false));
}

#[tokio::test]
async fn people_who_may_not_see_customers_see_that_there_is_something() {
    let rig = Rig::new().await;
    let story = rig.story();
    rig.sync(Object::Order, story.order).await;
    rig.sync(Object::Customer, story.customer).await;
    for (object, id) in [(Object::Order, story.order), (Object::Customer, story.customer)] {
        let found = rig.record(object, id, PATIENT).await;
        let whole = serde_json::to_string(&found).unwrap();
        assert!(
            whole.contains("Lovelace") && whole.contains("ada@example.com"),
            "{whole}"
        );
        let masked = serde_json::to_string(&found.masked()).unwrap();
        for personal in [
            "Ada",
            "Byron",
            "Lovelace",
            "ada@example.com",
            "Linden",
            "10117",
            "Berlin",
        ] {
            assert!(!masked.contains(personal), "{personal}: {masked}");
        }
        assert!(masked.contains("•••"), "{masked}");
    }
    // What is sold is no secret, and neither are amounts.
    let order = rig.record(Object::Order, story.order, PATIENT).await.masked();
    let text = serde_json::to_string(&order).unwrap();
    assert!(text.contains("Shirt") && text.contains("64.87 EUR"), "{text}");
    let product = rig.record(Object::Product, story.product, PATIENT).await.masked();
    assert!(serde_json::to_string(&product).unwrap().contains("19.99"));
}

#[tokio::test]
async fn customers_and_products_are_told_and_compared_in_both_directions() {
    let rig = Rig::new().await;
    let story = rig.story();
    rig.sync(Object::Order, story.order).await;
    rig.sync(Object::Customer, story.customer).await;
    let links = |kind, id: u64| {
        let store = rig.store.clone();
        async move {
            let shop = "main".parse().unwrap();
            store
                .links(&shop, kind, &[id.to_string()])
                .await
                .unwrap()
                .remove(0)
                .erp_id
        }
    };
    let partner = links(LinkKind::Customer, story.customer).await;
    let found = rig.record(Object::Customer, story.customer, PATIENT).await;
    assert_eq!(
        found.sentence,
        format!("Customer {} is in the ERP as {partner}.", story.customer)
    );
    assert!(found.order.is_none());
    let directions: Vec<Direction> = found
        .comparison
        .as_ref()
        .unwrap()
        .ways
        .iter()
        .map(|way| way.direction)
        .collect();
    assert_eq!(directions, [Direction::In, Direction::Out]);
    assert!(differences(&found).is_empty(), "{:?}", differences(&found));
    let change = json!([[partner.0], { "city": "Potsdam" }]);
    rig.erp
        .as_admin("res.partner", "write", change, json!({}))
        .unwrap();
    let changed = rig.record(Object::Customer, story.customer, PATIENT).await;
    // The same difference, once for each direction, each value in its own column.
    assert_eq!(
        differences(&changed),
        [
            ("city", "Berlin", "Potsdam"),
            ("address.city", "Berlin", "Potsdam")
        ]
    );
    let product = rig.record(Object::Product, story.product, PATIENT).await;
    assert!(
        product.sentence.starts_with("Product Shirt is in the ERP as "),
        "{}",
        product.sentence
    );
    assert!(differences(&product).is_empty(), "{:?}", differences(&product));
}

#[tokio::test]
async fn a_system_that_does_not_answer_has_a_word_for_it_and_the_rest_is_told() {
    let rig = Rig::new().await;
    let story = rig.story();
    rig.sync(Object::Order, story.order).await;
    // Refused at once.
    rig.erp.faults().set_postgres_down(true);
    let down = rig.record(Object::Order, story.order, PATIENT).await;
    let order = down.order.as_ref().unwrap();
    assert!(order.shopify.held().is_some());
    assert!(
        matches!(&order.erp, Side::Silent { reason } if !reason.is_empty()),
        "{:?}",
        order.erp
    );
    assert!(down.comparison.unwrap().failure.is_some());
    assert!(down.sentence.contains("is in the ERP as"), "{}", down.sentence);
    // It takes longer than anybody waits.
    rig.erp.faults().set_postgres_down(false);
    rig.erp.faults().hold();
    let short = Patience {
        side: Duration::from_millis(300),
        comparison: Duration::from_millis(300),
    };
    let slow = rig.record(Object::Order, story.order, short).await;
    let order = slow.order.as_ref().unwrap();
    assert!(
        matches!(&order.erp, Side::Silent { reason } if reason.contains("no answer")),
        "{:?}",
        order.erp
    );
    assert_eq!(slow.jobs.len(), 1);
    rig.erp.faults().release();
}

#[tokio::test]
async fn customers_and_products_that_never_came_are_told_from_those_that_are_not_there() {
    let rig = Rig::new().await;
    let story = rig.story();
    let ask = async |object, id: u64| {
        let id = id.to_string();
        let wanted = Wanted {
            shop: rig.of_shop(),
            object,
            id: &id,
            said: Some(&rig.said),
            mappings: None,
            patience: PATIENT,
        };
        record(&rig.store, &rig.clock, wanted).await
    };
    let customer = ask(Object::Customer, story.customer).await.unwrap();
    assert_eq!(
        customer.sentence,
        format!("Customer {} is not in the ERP.", story.customer)
    );
    let product = ask(Object::Product, story.product).await.unwrap();
    assert_eq!(product.sentence, "Product Shirt is not in the ERP.");
    for object in [Object::Customer, Object::Product] {
        let nowhere = ask(object, 123_456).await;
        assert!(
            matches!(nowhere, Err(RecordError::Unknown { .. })),
            "{object}: {nowhere:?}"
        );
    }
}

#[tokio::test]
async fn what_nobody_knows_is_no_record_and_names_lead_to_one() {
    let rig = Rig::new().await;
    let story = rig.story();
    let wanted = |id| Wanted {
        shop: rig.of_shop(),
        object: Object::Order,
        id,
        said: Some(&rig.said),
        mappings: None,
        patience: PATIENT,
    };
    let ask = async |id| record(&rig.store, &rig.clock, wanted(id)).await;
    assert!(matches!(ask("123456").await, Err(RecordError::Unknown { .. })));
    assert!(matches!(ask("' OR 1=1").await, Err(RecordError::NoNumber(_))));
    let inventory = Wanted {
        object: Object::Inventory,
        ..wanted("1")
    };
    let inventory = record(&rig.store, &rig.clock, inventory).await;
    assert!(matches!(inventory, Err(RecordError::Unsupported(_))));
    // Without the systems the store alone is asked.
    let offline = Wanted {
        said: None,
        ..wanted("123456")
    };
    let offline = record(&rig.store, &rig.clock, offline).await;
    assert!(matches!(offline, Err(RecordError::Unknown { .. })));
    // Never seen by us, and Shopify has it: it is shown, and the sentence does not claim more.
    let id = story.order.to_string();
    let unseen = ask(&id).await.unwrap();
    assert!(
        unseen.sentence.contains("no delivery about it ever came"),
        "{}",
        unseen.sentence
    );
    assert!(unseen.order.unwrap().shopify.held().is_some());
    let find = async |text: &str, live: bool| {
        let shopify = live.then_some(&*rig.said.shopify);
        locate(&rig.store, rig.of_shop(), Object::Order, text, shopify).await
    };
    assert!(find(&story.name, false).await.is_err());
    assert_eq!(find(&story.name, true).await.unwrap(), id);
    rig.sync(Object::Order, story.order).await;
    let erp_name = rig.erp.ledger().orders()[0].name.clone();
    for text in [
        story.name.as_str(),
        erp_name.as_str(),
        id.as_str(),
        &format!("gid://shopify/Order/{id}"),
    ] {
        assert_eq!(find(text, false).await.unwrap(), id, "{text}");
    }
}
