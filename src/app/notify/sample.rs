//! A notification about a real record as it is now, for people who write conditions and templates. It is sent to nobody.

use crate::app::enqueue::{FindError, Named, find};
use crate::config::Shop;
use crate::domain::{
    Canonical as _, Direction, Link, LinkKind, Object, SharedClock, SharedEntropy, ShopName, ShopifyId,
    System,
};
use crate::notify::{
    ErpReference, EventType, Notification, NotificationId, ObjectReference, Place, RelatedRecord,
    ShopifyReference, Shown, Status, to_json,
};
use crate::shopify::{Shopify, ShopifyError};
use crate::store::{SharedStore, StoreError};

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub enum SampleError {
    /// There are notifications with fields of orders, customers and products.
    #[error("{0} has no fields of its own: ask for an order, a customer or a product")]
    Unsupported(Object),
    /// The shop does not have it.
    #[error("the shop has no {object} {id}")]
    NotFound {
        /// What.
        object: Object,
        /// Its number.
        id: ShopifyId,
    },
    /// It cannot be told which one is meant.
    #[error(transparent)]
    Find(#[from] FindError),
    /// The shop cannot be asked.
    #[error("the shop cannot be asked")]
    Shopify(#[from] ShopifyError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The type of event that tells that such a record was carried over.
pub const fn synced(object: Object) -> Option<EventType> {
    match object {
        Object::Order => Some(EventType::OrderSynced),
        Object::Customer => Some(EventType::CustomerSynced),
        Object::Product => Some(EventType::ProductSynced),
        Object::Inventory | Object::Shop => None,
    }
}

/// What would be told if the record that is meant had been carried over just now: by its number or gid, the address of its page, or
/// the name of an order, with or without its `#`.
///
/// # Errors
/// When it cannot be told which one is meant, or it cannot be read.
pub async fn sample_named(
    shop: &Shop,
    sides: (&Shopify, &SharedStore),
    (object, text): (Object, &str),
    sources: (&SharedClock, &SharedEntropy),
) -> Result<Notification, SampleError> {
    let named = Named::parse(object, text).map_err(FindError::Id)?;
    let id = find(sides.0, named).await?;
    match sample(shop, sides, (object, id), sources).await {
        // Who writes 1001 may well mean the order's name.
        Err(SampleError::NotFound { .. }) if object == Object::Order && text.trim() == id.to_string() => {
            let id = find(sides.0, Named::OrderName(format!("#{id}"))).await?;
            sample(shop, sides, (object, id), sources).await
        }
        sampled => sampled,
    }
}

/// What would be told if this record had been carried over just now. What only the attempt itself knows (which fields it
/// changed, their values before) is empty.
///
/// # Errors
/// When the record cannot be read.
async fn sample(
    shop: &Shop,
    (shopify, store): (&Shopify, &SharedStore),
    (object, id): (Object, ShopifyId),
    (clock, entropy): (&SharedClock, &SharedEntropy),
) -> Result<Notification, SampleError> {
    let event = synced(object).ok_or(SampleError::Unsupported(object))?;
    let missing = || SampleError::NotFound { object, id };
    let (kind, link, called, record) = match object {
        Object::Order => {
            let order = shopify.order(id, "").await?.ok_or_else(missing)?;
            let called = Called {
                name: Some(order.name.clone()),
                related: order.customer.as_ref().map(|customer| RelatedRecord {
                    kind: "customer".to_owned(),
                    shopify: Some(ShopifyReference::new("Customer", customer.id)),
                    erp: None,
                }),
                ..Called::default()
            };
            ("Order", LinkKind::Order, called, to_json(&order.fact()))
        }
        Object::Customer => {
            let customer = shopify.customer(id, "").await?.ok_or_else(missing)?;
            let called = Called {
                title: Some(Shown(customer.display_name.clone())),
                ..Called::default()
            };
            ("Customer", LinkKind::Customer, called, to_json(&customer.fact()))
        }
        Object::Product => {
            let product = shopify.product(id, "").await?.ok_or_else(missing)?;
            let called = Called {
                title: Some(Shown(product.title.clone())),
                sku: match product.variants.as_slice() {
                    [only] => only.sku.clone(),
                    _ => None,
                },
                ..Called::default()
            };
            ("Product", LinkKind::Product, called, to_json(&product.fact()))
        }
        Object::Inventory | Object::Shop => return Err(SampleError::Unsupported(object)),
    };
    let link = linked(store, &shop.name, link, id).await?;
    Ok(Notification {
        shop: Some(shop.name.clone()),
        direction: Some(Direction::In),
        status: Some(if link.is_some() {
            Status::Updated
        } else {
            Status::Created
        }),
        object: Some(ObjectReference {
            kind: object,
            title: called.title,
            sku: called.sku,
            name: called.name,
            shopify: Some(ShopifyReference::new(kind, id)),
            erp: link.map(erp_reference),
        }),
        source: Some(Place {
            system: System::Shopify,
            name: shop.shopify.domain.clone(),
        }),
        destination: Some(Place {
            system: System::Erp,
            name: shop.odoo.server.database.clone(),
        }),
        record: Some(record),
        related: Some(called.related.into_iter().collect()),
        ..Notification::new(NotificationId::new(&**entropy), event, clock.now())
    })
}

/// What people call a record, and whom it belongs to.
#[derive(Default)]
struct Called {
    title: Option<Shown>,
    sku: Option<String>,
    name: Option<String>,
    related: Option<RelatedRecord>,
}

async fn linked(
    store: &SharedStore,
    shop: &ShopName,
    kind: LinkKind,
    id: ShopifyId,
) -> Result<Option<Link>, StoreError> {
    Ok(store.links(shop, kind, &[id.to_string()]).await?.pop())
}

fn erp_reference(link: Link) -> ErpReference {
    ErpReference {
        model: link.model,
        id: link.erp_id,
        number: link.erp_name.map(Shown),
    }
}
