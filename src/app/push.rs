//! "Push all": every record of an object in the ERP becomes a job of the way back. That is never done by itself: switching
//! `out` on begins with what changes from then on.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::future::join_all;

use crate::domain::{ErpId, JobKey, Object, Priority, SharedClock, ShopName, Timestamp};
use crate::erp::{Erp, ErpError};
use crate::poll::{Hold, owners};
use crate::store::{NewJob, SharedStore, StoreError};
use crate::sync::LimitState;

/// Ids that are listed at once.
const PAGE: u32 = 2_000;

/// Jobs that are made at once: they share commits.
const TOGETHER: usize = 200;

/// Longer than making the jobs takes.
const MAKING: Duration = Duration::from_mins(10);

/// What became of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pushed {
    /// Records.
    pub records: u64,
    /// Jobs that were made; the other records had an open one.
    pub made: u64,
}

/// The records of an object in the ERP that are not archived. Of stock it is the products of which there is any.
///
/// # Errors
/// When the ERP cannot be asked.
pub async fn records(erp: &dyn Erp, object: Object) -> Result<BTreeSet<ErpId>, ErpError> {
    let mut found = BTreeSet::new();
    // The first one is the record itself, or what counts of it; the others are its parts.
    let Some(watched) = erp.watched(object).into_iter().next() else {
        return Ok(found);
    };
    let owner = watched.owner.filter(|_| object == Object::Inventory);
    let mut after = None;
    loop {
        let rows = erp.all_ids(watched.model, owner, after, PAGE).await?;
        let active = rows.iter().filter(|row| row.active);
        found.extend(active.map(|row| row.owner.unwrap_or(row.id)));
        after = rows.last().map(|row| row.id);
        if rows.len() < PAGE as usize {
            return match watched.through {
                Some((model, field)) => owners(erp, model, field, &found).await,
                None => Ok(found),
            };
        }
    }
}

/// Makes the jobs of these records, behind everything that is more urgent.
///
/// # Errors
/// When the store fails; what was made until then stays.
pub async fn push(
    store: &SharedStore,
    clock: &SharedClock,
    shop: &ShopName,
    object: Object,
    records: &BTreeSet<ErpId>,
) -> Result<Pushed, StoreError> {
    let mut pushed = Pushed::default();
    let records: Vec<ErpId> = records.iter().copied().collect();
    // Whoever asks for everything approves of many changes at once; but not of those that wait for a word of their own, nor of
    // prices that jump or levels that become none.
    let held = LimitState::read(&**store, shop, object).await?;
    let approve = |until: Timestamp| async move {
        match held {
            LimitState::Closed { .. } => Ok(()),
            _ => {
                LimitState::Pushing { until }
                    .write(&**store, shop, object, clock.now())
                    .await
            }
        }
    };
    approve(clock.now().plus(MAKING)).await?;
    for some in records.chunks(TOGETHER) {
        let asked = some.iter().map(|id| {
            store.enqueue(NewJob {
                key: JobKey::of_erp(shop, object, *id),
                priority: Priority::BACKGROUND,
                now: clock.now(),
                cause: "push all".to_owned(),
            })
        });
        for enqueued in join_all(asked).await {
            pushed.records += 1;
            pushed.made += u64::from(enqueued?.created);
        }
    }
    approve(clock.now()).await?;
    Ok(pushed)
}

/// Where so many records of the object were gone that a person was asked: whoever asks for everything says that it is right,
/// and what is gone is carried over, too. Says whether that was so.
///
/// # Errors
/// When the store fails.
pub async fn accept_vanished(
    store: &SharedStore,
    clock: &SharedClock,
    erp: &dyn Erp,
    shop: &ShopName,
    object: Object,
) -> Result<bool, StoreError> {
    let mut was_held = false;
    for watched in erp.watched(object) {
        if Hold::read(store, shop, watched.model).await? == Hold::Held {
            Hold::Accepted
                .write(store, shop, watched.model, clock.now())
                .await?;
            was_held = true;
        }
    }
    Ok(was_held)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::domain::SystemClock;
    use crate::erp::odoo::{Odoo, Settings};
    use crate::sandbox::odoo::{OdooSandbox, Options, Version};
    use crate::secret::Secret;
    use crate::store::{JobFilter, testing::open_temp};
    use crate::transport;

    #[tokio::test]
    async fn everything_that_is_not_archived_is_one_job_each() {
        for version in [Version::V18, Version::V19] {
            let server = OdooSandbox::start(Options::version(version)).await.unwrap();
            let clock: SharedClock = Arc::new(SystemClock);
            let shop: ShopName = "main".parse().unwrap();
            let odoo = Odoo::connect(
                Settings::new(server.url(), "prod", "connector@example.com"),
                Secret::text(server.api_key()),
                &transport::Settings::default(),
                shop.clone(),
                Arc::clone(&clock),
            )
            .unwrap();
            let create = |name: &str, active: bool| {
                let values = json!([{"name": name, "active": active}]);
                let made = server.as_admin("product.template", "create", values, json!({}));
                ErpId(made.unwrap().as_i64().unwrap())
            };
            let before = records(&odoo, Object::Product).await.unwrap();
            let (hat, old) = (create("Hat", true), create("Old hat", false));
            let all = records(&odoo, Object::Product).await.unwrap();
            let new: Vec<ErpId> = all.difference(&before).copied().collect();
            assert_eq!(new, [hat], "{version:?}, not {old}");
            let (_folder, store) = open_temp(Arc::clone(&clock)).await;
            let count = all.len() as u64;
            for made in [count, 0] {
                let pushed = push(&store, &clock, &shop, Object::Product, &all).await.unwrap();
                assert_eq!((pushed.records, pushed.made), (count, made), "{version:?}");
            }
            let jobs = store.jobs(JobFilter::default()).await.unwrap();
            let out = crate::domain::Direction::Out;
            assert!(jobs.iter().all(|job| job.key.direction == out));

            // Nothing was held, then one of its models is.
            let (object, model) = (Object::Product, "product.product");
            let accepted = async || {
                accept_vanished(&store, &clock, &odoo, &shop, object)
                    .await
                    .unwrap()
            };
            let hold = async || Hold::read(&store, &shop, model).await.unwrap();
            assert!(!accepted().await);
            assert_eq!(hold().await, Hold::None);
            Hold::Held.write(&store, &shop, model, clock.now()).await.unwrap();
            assert!(accepted().await && !accepted().await);
            assert_eq!(hold().await, Hold::Accepted);
        }
    }
}
