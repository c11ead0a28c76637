//! Changes that take long, and names that change.

use std::sync::Mutex;

use super::*;
use crate::domain::Clock as _;

/// A shop in which the making of each subscription takes minutes.
struct Slow {
    shop: Arc<Shopify>,
    store: SharedStore,
    clock: ManualClock,
    /// Since when the open gap is known to stand, at each of them.
    stood_at: Mutex<Vec<Timestamp>>,
}

#[async_trait::async_trait]
impl Registry for Slow {
    async fn list(&self) -> Result<Vec<Observed>, ShopifyError> {
        self.shop.list().await
    }
    async fn create(&self, new: &subscriptions::NewSubscription) -> Result<Observed, ShopifyError> {
        let gaps = self.store.gaps().await.unwrap();
        self.stood_at
            .lock()
            .unwrap()
            .extend(gaps.iter().map(|gap| gap.stood_at));
        self.clock.advance(Duration::from_mins(1));
        self.shop.create(new).await
    }
    async fn update(
        &self,
        id: ShopifyId,
        new: &subscriptions::NewSubscription,
    ) -> Result<Observed, ShopifyError> {
        self.shop.update(id, new).await
    }
    async fn delete(&self, id: ShopifyId) -> Result<(), ShopifyError> {
        self.shop.delete(id).await
    }
    async fn granted_scopes(&self) -> Result<BTreeSet<String>, ShopifyError> {
        Registry::granted_scopes(self.shop.as_ref()).await
    }
    fn has_names(&self) -> bool {
        true
    }
}

#[tokio::test]
async fn a_gap_that_may_have_been_looked_at_too_early_is_noted_again_before_each_change() {
    let sandbox = sandbox().await;
    let mut here = Here::new(&sandbox, ORDERS).await;
    let slow = Arc::new(Slow {
        shop: client(&sandbox, "2026-10"),
        store: here.at.store.clone(),
        clock: here.clock.clone(),
        stood_at: Mutex::default(),
    });
    let began = here.clock.now();
    here.target.registry = Arc::clone(&slow) as Arc<dyn Registry>;
    here.apply().await;
    let stood_at = slow.stood_at.lock().unwrap().clone();
    assert_eq!((stood_at.len(), stood_at[0]), (8, began));
    // Four are under way at once: the last one began when four at least were done.
    assert!(
        stood_at[7] >= began.plus(Duration::from_mins(4)),
        "{:?}",
        stood_at.iter().map(|at| at.since(began)).collect::<Vec<_>>()
    );
}

#[tokio::test]
async fn a_subscription_that_was_only_given_another_name_overlaps_with_nothing() {
    let sandbox = sandbox().await;
    let here = Here::new(&sandbox, ORDERS).await;
    here.apply().await;
    let paid = registered(&sandbox)
        .into_iter()
        .find(|one| one.topic == "ORDERS_PAID")
        .unwrap();
    let own = paid.name.unwrap();
    // The stand-in shop lives in the machine's time.
    let listed = list(&here.at, &here.target).await.unwrap();
    let made = listed.rows.iter().find_map(|row| row.created_at).unwrap();
    let renamed = made.plus(Duration::from_hours(1));
    let came = async |name: &str, at: Timestamp| {
        let count = crate::store::DeliveryCount {
            shop: here.target.name.clone(),
            topic: "orders/paid".to_owned(),
            name: name.to_owned(),
            hour: at,
            accepted: 1,
            failed: 0,
            last_at: at,
            last_accepted_at: Some(at),
        };
        here.at.store.count_deliveries(vec![count]).await.unwrap();
        here.apply().await;
        here.codes().await
    };
    assert_eq!(came("its old name", renamed).await, [""; 0], "nothing came since");
    let later = renamed.plus(Duration::from_mins(6));
    assert_eq!(came(&own, later).await, [""; 0], "the old name has ended");
    let overlap = ["subscription_overlap subscription_overlap"];
    assert_eq!(came("", later.plus(Duration::from_secs(1))).await, overlap);
}
