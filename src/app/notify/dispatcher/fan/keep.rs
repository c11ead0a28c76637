//! What is kept of a notification that somebody wants.

use std::collections::BTreeSet;

use crate::notify::{ErpReference, Notification, ShopifyReference};
use crate::store::KeptNotification;

pub(super) fn kept(notification: &Notification, body: String) -> KeptNotification {
    let object = notification.object.as_ref();
    let record = object.and_then(|object| {
        object
            .name
            .clone()
            .or_else(|| object.title.as_ref().map(|title| title.0.clone()))
            .or_else(|| object.sku.clone())
    });
    KeptNotification {
        notification: notification.id.as_str().to_owned(),
        event: notification.event.as_str().to_owned(),
        shop: notification.shop.as_ref().map(|shop| shop.as_str().to_owned()),
        object: notification.kind().map(|kind| kind.as_str().to_owned()),
        record,
        keys: keys(notification).into_iter().collect(),
        body,
    }
}

/// What it is found by, and removed by on a privacy request: its record, and those that belong to it, above all the customer.
fn keys(notification: &Notification) -> BTreeSet<String> {
    let mut keys = BTreeSet::new();
    let mut add = |shopify: Option<&ShopifyReference>, erp: Option<&ErpReference>| {
        keys.extend(shopify.map(|shopify| format!("shopify/{}", shopify.number)));
        keys.extend(erp.map(|erp| format!("erp/{}/{}", erp.model, erp.id)));
    };
    if let Some(object) = &notification.object {
        add(object.shopify.as_ref(), object.erp.as_ref());
    }
    for related in notification.related.iter().flatten() {
        add(related.shopify.as_ref(), related.erp.as_ref());
    }
    let customer = notification
        .record
        .as_ref()
        .and_then(|record| record.pointer("/customer/id"));
    if let Some(customer) = customer {
        let id = customer.as_str().map_or_else(
            || customer.to_string(),
            |text| text.rsplit('/').next().unwrap_or(text).to_owned(),
        );
        keys.insert(format!("shopify/{id}"));
    }
    keys
}
