//! What happens while a run is under way: a list that breaks off where it was read already, and changes behind its back.

use async_trait::async_trait;
use tokio::sync::Notify;

use super::*;
use crate::domain::{Customer, Order, Product};
use crate::shopify::{Everything, Page, RequestId, ShopifyError};
use crate::store::RunOutcome;
use crate::sync::Source;

/// What happens to the list of everything.
enum Midway {
    /// It breaks off after its first record.
    BreaksOff,
    /// It begins once somebody says so.
    Waits(Arc<Gate>),
}

#[derive(Default)]
struct Gate {
    reached: Notify,
    goes_on: Notify,
}

struct Listing {
    shop: Arc<dyn Source>,
    midway: Midway,
}

#[async_trait]
impl Source for Listing {
    async fn order(&self, id: ShopifyId, select: &str) -> Result<Option<Order>, ShopifyError> {
        self.shop.order(id, select).await
    }

    async fn customer(&self, id: ShopifyId, select: &str) -> Result<Option<Customer>, ShopifyError> {
        self.shop.customer(id, select).await
    }

    async fn product(&self, id: ShopifyId, select: &str) -> Result<Option<Product>, ShopifyError> {
        self.shop.product(id, select).await
    }

    async fn probe(&self) -> Result<(), ShopifyError> {
        self.shop.probe().await
    }

    async fn changed_since(
        &self,
        object: Object,
        since: Timestamp,
        after: Option<String>,
    ) -> Result<Page, ShopifyError> {
        self.shop.changed_since(object, since, after).await
    }

    async fn everything(&self, object: Object) -> Result<Everything, ShopifyError> {
        match &self.midway {
            Midway::BreaksOff => {
                let first = self.shop.everything(object).await?.next().await?;
                let broken = ShopifyError::Internal {
                    reason: "it is overloaded".to_owned(),
                    retry_after: None,
                    request: RequestId::default(),
                };
                Ok(Everything::given(first.map(Ok).into_iter().chain([Err(broken)])))
            }
            Midway::Waits(gate) => {
                gate.reached.notify_one();
                gate.goes_on.notified().await;
                self.shop.everything(object).await
            }
        }
    }
}

impl Damaged {
    fn listed(mut self, midway: Midway) -> Self {
        let shop = self.bench.engine.shop(&main_shop()).unwrap();
        let mut context = ShopContext::clone(shop);
        let shop = context.source;
        context.source = Arc::new(Listing { shop, midway });
        self.bench.engine = Engine::new([context]);
        self
    }
}

#[tokio::test]
async fn a_list_that_breaks_off_within_is_not_taken_for_a_whole_one() {
    let both = Damaged::new(false).await;
    for name in ["Ada", "Grace", "Mary"] {
        both.customer(name).await;
    }
    let both = both.listed(Midway::BreaksOff);
    let failed = both.try_run(FullRun::of(Object::Customer, "test")).await;
    assert!(matches!(failed, Err(RunError::Shopify { .. })), "{failed:?}");
    let run = both.bench.store.runs(1).await.unwrap().remove(0);
    assert_eq!(run.outcome, Some(RunOutcome::Failed));
}

#[tokio::test]
async fn what_changes_in_the_erp_while_a_run_looks_is_left_to_its_own_event() {
    let both = Damaged::new(false).await;
    let (_, partner) = both.customer("Ada").await;
    let gate = Arc::new(Gate::default());
    let both = both.listed(Midway::Waits(Arc::clone(&gate)));
    let edit = async {
        gate.reached.notified().await;
        both.erp_moved.fetch_add(10, Ordering::SeqCst);
        both.write("res.partner", partner, json!({ "name": "Countess Lovelace" }));
        gate.goes_on.notify_one();
    };
    let ((report, rows), ()) = futures_util::future::join(both.run(Object::Customer), edit).await;
    assert_eq!((rows, report.looked.left_to_events), (Vec::new(), 1));
    // The next run comes to it, if nothing else did.
    gate.goes_on.notify_one();
    let (_, rows) = both.run(Object::Customer).await;
    let fields: Vec<Option<&str>> = rows.iter().map(|row| row.field.as_deref()).collect();
    assert_eq!(fields, [Some("name")]);
}
