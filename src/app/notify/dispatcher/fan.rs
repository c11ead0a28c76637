//! From the outbox to one dispatch for each endpoint that wants a notification.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::domain::Timestamp;
use crate::failpoint::{FailPoint, reach};
use crate::notify::{
    Endpoint, EndpointPriority, EndpointState, ErpReference, Notification, ShopifyReference, Wants,
    WhenPaused,
};
use crate::store::{FannedOut, KeptNotification, NewDispatch, OutboxRow, SharedStore, StoreError};
use crate::telemetry;

/// So many notifications are fanned out in one transaction.
const AT_ONCE: u32 = 200;

/// What one look at the outbox did.
pub(super) struct Fanned {
    /// Endpoints that something was made for.
    pub(super) endpoints: BTreeSet<String>,
    /// Whether more may be there.
    pub(super) is_full: bool,
}

/// Fans out what is in the outbox, up to a number that one transaction takes. What cannot be read stays there: a newer version wrote it,
/// and sends it once it is its turn. `unread` is which of these are known.
pub(super) async fn fan_out(
    store: &SharedStore,
    endpoints: &[Arc<Endpoint>],
    unread: &mut BTreeSet<i64>,
    now: Timestamp,
) -> Result<Fanned, StoreError> {
    let (rows, is_full) = readable(store, unread).await?;
    let mut fanned = Fanned {
        endpoints: BTreeSet::new(),
        is_full,
    };
    if rows.is_empty() {
        return Ok(fanned);
    }
    let discarding = discarding(store, endpoints).await?;
    let outs: Vec<FannedOut> = rows
        .iter()
        .map(|(row, notification)| fan(row, notification, endpoints, &discarding, now))
        .collect();
    for new in outs.iter().flat_map(|out| &out.dispatches) {
        if new.problem.is_none() {
            fanned.endpoints.insert(new.endpoint.clone());
        }
    }
    store.fan_out(outs, now).await?;
    // What is told to fail here has happened all the same.
    reach(FailPoint::NotifyFannedOut).await.ok();
    Ok(fanned)
}

/// The first of the outbox that can be read, and whether more may be there. Looked for from the beginning each time: a lower number may
/// be committed after a higher one.
async fn readable(
    store: &SharedStore,
    unread: &mut BTreeSet<i64>,
) -> Result<(Vec<(OutboxRow, Notification)>, bool), StoreError> {
    let mut rows = Vec::new();
    let mut left = BTreeSet::new();
    let mut first_new: Option<(i64, serde_json::Error)> = None;
    let mut after = 0;
    let is_full = loop {
        let page = store.outbox_after(after, AT_ONCE).await?;
        let is_full = page.len() == AT_ONCE as usize;
        for row in page {
            after = row.id;
            match serde_json::from_str::<Notification>(&row.body) {
                Ok(notification) => rows.push((row, notification)),
                Err(error) => {
                    if !unread.contains(&row.id) && first_new.is_none() {
                        first_new = Some((row.id, error));
                    }
                    left.insert(row.id);
                }
            }
        }
        if !is_full || rows.len() >= AT_ONCE as usize {
            break is_full;
        }
    };
    if is_full {
        unread.append(&mut left);
    } else {
        *unread = left;
    }
    if let Some((id, error)) = first_new {
        tracing::warn!(
            id,
            %error,
            notifications = unread.len(),
            "this version cannot read notifications in the outbox: they wait for a newer one"
        );
    }
    gauge(unread.len());
    Ok((rows, is_full))
}

#[expect(clippy::cast_precision_loss, reason = "a gauge: counts stay far below 2^53")]
fn gauge(unread: usize) {
    metrics::gauge!(telemetry::NOTIFY_UNREADABLE).set(unread as f64);
}

/// The endpoints that are paused and keep nothing meanwhile.
async fn discarding(
    store: &SharedStore,
    endpoints: &[Arc<Endpoint>],
) -> Result<BTreeSet<String>, StoreError> {
    let discard = |name: &str| {
        endpoints
            .iter()
            .any(|endpoint| endpoint.name == name && endpoint.when_paused == WhenPaused::Discard)
    };
    let mut names: BTreeSet<String> = endpoints
        .iter()
        .filter(|endpoint| endpoint.state == EndpointState::Paused && discard(&endpoint.name))
        .map(|endpoint| endpoint.name.clone())
        .collect();
    if endpoints
        .iter()
        .any(|endpoint| endpoint.when_paused == WhenPaused::Discard)
    {
        let rows = store.endpoints().await?;
        names.extend(
            rows.into_iter()
                .filter(|row| row.is_paused && discard(&row.name))
                .map(|row| row.name),
        );
    }
    Ok(names)
}

fn fan(
    row: &OutboxRow,
    notification: &Notification,
    endpoints: &[Arc<Endpoint>],
    discarding: &BTreeSet<String>,
    now: Timestamp,
) -> FannedOut {
    let nobody = FannedOut {
        id: row.id,
        kept: None,
        dispatches: Vec::new(),
    };
    let dispatches: Vec<NewDispatch> = endpoints
        .iter()
        .filter(|endpoint| !discarding.contains(&endpoint.name))
        .filter_map(|endpoint| {
            let problem = match endpoint.wants(notification) {
                Wants::No => return None,
                Wants::Yes => None,
                Wants::Unclear(reason) => Some(format!("its condition cannot be worked out: {reason}")),
            };
            Some(NewDispatch {
                endpoint: endpoint.name.clone(),
                priority: priority(endpoint.limits.priority),
                object_key: endpoint.unique.then(|| notification.object_key()).flatten(),
                due_at: now,
                problem,
            })
        })
        .collect();
    if dispatches.is_empty() {
        return nobody;
    }
    FannedOut {
        id: row.id,
        kept: Some(kept(notification, row.body.clone())),
        dispatches,
    }
}

const fn priority(priority: EndpointPriority) -> u8 {
    match priority {
        EndpointPriority::High => 0,
        EndpointPriority::Normal => 1,
        EndpointPriority::Low => 2,
    }
}

fn kept(notification: &Notification, body: String) -> KeptNotification {
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
