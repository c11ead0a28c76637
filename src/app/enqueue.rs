//! "Sync this record now": finding out which record is meant, and making its job.

use crate::domain::{Direction, ErpId, IdError, JobKey, Object, Priority, SharedClock, ShopName, ShopifyId};
use crate::shopify::{Shopify, ShopifyError};
use crate::store::{Enqueued, NewJob, SharedStore, StoreError};

/// Why a record could not be told.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    /// The text is no id.
    #[error(transparent)]
    Id(#[from] IdError),
    /// No order has this name.
    #[error("the shop has no order named {0}")]
    NoSuchOrder(String),
    /// Several orders have this name.
    #[error("the shop has several orders named {name}: {}", list(.ids))]
    SeveralOrders {
        /// The name.
        name: String,
        /// Their ids.
        ids: Vec<ShopifyId>,
    },
    /// Shopify could not be asked.
    #[error("the order's name could not be looked up on Shopify")]
    Shopify(#[source] ShopifyError),
}

fn list(ids: &[ShopifyId]) -> String {
    ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// How a person names a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Named {
    /// By its id.
    Id(ShopifyId),
    /// By an order's name, e.g. `#1042`.
    OrderName(String),
}

impl Named {
    /// Reads a number, a global id, the address of the record's page in Shopify's admin, or (with `#`) an order's name.
    ///
    /// # Errors
    /// When it is none of these.
    pub fn parse(object: Object, text: &str) -> Result<Self, IdError> {
        let text = text.trim();
        if object == Object::Order && text.len() > 1 && text.starts_with('#') {
            return Ok(Self::OrderName(text.to_owned()));
        }
        let id = match text.strip_prefix("https://") {
            Some(address) => {
                let path = address.split(['?', '#']).next().unwrap_or(address);
                path.rsplit('/').next().unwrap_or(path)
            }
            None => text,
        };
        id.parse().map(Self::Id).map_err(|_| IdError {
            kind: "record",
            text: text.to_owned(),
            expected: "Shopify's number, a gid://shopify/… id, the address of its page in Shopify's admin, or #NAME of an order",
        })
    }
}

/// The id of the record that is meant. Asks Shopify only for a name.
///
/// # Errors
/// When no record, or more than one, is meant.
pub async fn find(shopify: &Shopify, named: Named) -> Result<ShopifyId, FindError> {
    let name = match named {
        Named::Id(id) => return Ok(id),
        Named::OrderName(name) => name,
    };
    let found = shopify
        .find_order_by_name(&name)
        .await
        .map_err(FindError::Shopify)?;
    match found.as_slice() {
        [] => Err(FindError::NoSuchOrder(name)),
        [(id, _)] => Ok(*id),
        several => Err(FindError::SeveralOrders {
            name,
            ids: several.iter().map(|(id, _)| *id).collect(),
        }),
    }
}

/// Makes sure that the record's job exists and is done next.
///
/// # Errors
/// When the store fails.
pub async fn sync_now(
    store: &SharedStore,
    clock: &SharedClock,
    shop: &ShopName,
    object: Object,
    id: ShopifyId,
) -> Result<Enqueued, StoreError> {
    let key = JobKey {
        shop: shop.clone(),
        object,
        direction: Direction::In,
        source_id: id.to_string(),
    };
    asked_for(store, clock, key).await
}

/// Makes sure that the job of a record in the ERP exists and is done next.
///
/// # Errors
/// When the store fails.
pub async fn push_now(
    store: &SharedStore,
    clock: &SharedClock,
    shop: &ShopName,
    object: Object,
    id: ErpId,
) -> Result<Enqueued, StoreError> {
    let key = JobKey {
        shop: shop.clone(),
        object,
        direction: Direction::Out,
        source_id: id.to_string(),
    };
    asked_for(store, clock, key).await
}

async fn asked_for(store: &SharedStore, clock: &SharedClock, key: JobKey) -> Result<Enqueued, StoreError> {
    let now = clock.now();
    let enqueued = store
        .enqueue(NewJob {
            key,
            priority: Priority::URGENT,
            now,
            cause: "sync command".to_owned(),
        })
        .await?;
    if !enqueued.created {
        // A person waits: a job that rests does so no longer.
        store.retry(enqueued.job, now).await?;
    }
    Ok(enqueued)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::domain::{Clock as _, ManualClock, Timestamp};
    use crate::store::{Claim, Finish, Lane, Verdict, testing::open_temp};

    #[tokio::test]
    async fn a_person_need_not_wait_for_the_end_of_a_rest() {
        let manual = ManualClock::new(Timestamp::from_millis(1_795_514_400_000));
        let clock: SharedClock = Arc::new(manual.clone());
        let (_folder, store) = open_temp(Arc::clone(&clock)).await;
        let shop: ShopName = "main".parse().unwrap();
        let sync = async || {
            sync_now(&store, &clock, &shop, Object::Order, ShopifyId(7))
                .await
                .unwrap()
        };
        let made = sync().await;
        assert!(made.created);
        let lane = Lane {
            shop: shop.clone(),
            object: Object::Order,
            direction: Direction::In,
        };
        let claim = async || {
            let claim = Claim {
                node: "test".into(),
                lanes: vec![(lane.clone(), 1)],
                now: manual.now(),
                lease: Duration::from_secs(60),
            };
            store.claim(claim).await.unwrap()
        };
        let job = claim().await.remove(0);
        let rest = Verdict::Retry {
            at: manual.now().plus(Duration::from_secs(3600)),
            counts: true,
            system_down: None,
        };
        let finish = Finish {
            job: job.id,
            fence: job.fence,
            started_at: manual.now(),
            ended_at: manual.now(),
            verdict: rest,
            unclean: false,
            summary: String::new(),
            detail: serde_json::Value::Null,
            revision: None,
            record_name: None,
            erp_name: None,
            links: Vec::new(),
            enqueue: Vec::new(),
            disables_shop: None,
            notifications: Vec::new(),
        };
        store.finish(finish).await.unwrap();
        assert!(claim().await.is_empty());
        assert_eq!(sync().await.job, made.job);
        assert_eq!(claim().await.len(), 1);
    }

    #[test]
    fn people_name_records_in_many_ways() {
        for (object, text, expected) in [
            (
                Object::Order,
                "450789469",
                Some(Named::Id(ShopifyId(450_789_469))),
            ),
            (
                Object::Order,
                "gid://shopify/Order/1",
                Some(Named::Id(ShopifyId(1))),
            ),
            (Object::Order, "#1042", Some(Named::OrderName("#1042".into()))),
            (
                Object::Product,
                "https://admin.shopify.com/store/main/products/77?variant=5",
                Some(Named::Id(ShopifyId(77))),
            ),
            (Object::Customer, "#1042", None),
            (Object::Order, "#", None),
            (Object::Order, "S00042", None),
        ] {
            assert_eq!(Named::parse(object, text).ok(), expected, "{text}");
        }
    }
}
