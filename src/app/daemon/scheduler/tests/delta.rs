//! Delta runs of a scripted shop: what a run that fails leaves behind, and by whose clock it goes.

use super::*;
use crate::app::daemon::scheduler::delta::{DeltaRuns, Position, read};
use crate::domain::{Customer, Order, Product, ShopifyId};
use crate::reconcile::{DeltaShop, TellNobody};
use crate::shopify::{Page, RequestId, ShopifyError};
use crate::store::JobFilter;
use crate::store::faulty::FaultyStore;
use crate::sync::Source;

const EVERY: Duration = Duration::from_secs(600);

/// What the shop answers, page by page.
struct Scripted(Mutex<VecDeque<Result<Page, ShopifyError>>>);

#[async_trait]
impl Source for Scripted {
    async fn order(&self, _: ShopifyId, _: &str) -> Result<Option<Order>, ShopifyError> {
        Ok(None)
    }
    async fn customer(&self, _: ShopifyId, _: &str) -> Result<Option<Customer>, ShopifyError> {
        Ok(None)
    }
    async fn product(&self, _: ShopifyId, _: &str) -> Result<Option<Product>, ShopifyError> {
        Ok(None)
    }
    async fn probe(&self) -> Result<(), ShopifyError> {
        Ok(())
    }
    async fn changed_since(&self, _: Object, _: Timestamp, _: Option<String>) -> Result<Page, ShopifyError> {
        self.0.lock().unwrap().pop_front().unwrap()
    }
}

/// Delta runs of a node, and the shop that they ask.
fn runs(
    world: &World,
    store: SharedStore,
    answers: impl IntoIterator<Item = Result<Page, ShopifyError>>,
) -> (DeltaRuns, DeltaShop) {
    let shop = DeltaShop {
        name: "main".parse().unwrap(),
        source: Arc::new(Scripted(Mutex::new(answers.into_iter().collect()))),
        store: Arc::clone(&store),
        clock: Arc::new(world.clock.clone()),
        node: "one".to_owned(),
        notifier: Arc::new(TellNobody),
    };
    let around = Around {
        current: world.current.clone(),
        store,
        clock: Arc::new(world.clock.clone()),
        node: "one".to_owned(),
        events: Events::silent(Arc::new(SystemEntropy)),
    };
    (DeltaRuns::new(around), shop)
}

fn page(id: u64, changed: Timestamp, next: Option<&str>) -> Result<Page, ShopifyError> {
    Ok(Page {
        records: vec![(ShopifyId(id), changed)],
        next: next.map(str::to_owned),
    })
}

#[tokio::test]
async fn a_run_that_does_not_come_to_its_end_moves_nothing() {
    let world = World::new("2026-11-20T12:00:00Z", &[("main", &orders("off"))]).await;
    let now = world.clock.now();
    let changed = now.minus(MINUTE);
    let ignored = ShopifyError::SearchIgnored {
        operation: "LockstepChangedOrders",
        reason: "updated_at: invalid".to_owned(),
        request: RequestId::default(),
    };
    let away = ShopifyError::Internal {
        reason: "it is overloaded".to_owned(),
        retry_after: None,
        request: RequestId::default(),
    };
    for (name, answers, jobs) in [
        (
            "the second page fails",
            vec![page(1, changed, Some("a")), Err(away)],
            1,
        ),
        ("what is searched for is ignored", vec![Err(ignored)], 1),
        ("it comes to its end", vec![page(2, changed, None)], 2),
    ] {
        let is_done = answers.iter().all(Result::is_ok);
        let (runs, shop) = runs(&world, world.store.clone(), answers);
        let position = Position {
            ran_at: now.minus(EVERY),
            until: now.minus(HOUR),
            seen: vec![(ShopifyId(9), now.minus(HOUR))],
        };
        let stop = CancellationToken::new();
        runs.look(Object::Order, &shop, position.clone(), EVERY, &stop)
            .await;
        let stands = read(&world.store, &shop.name, Object::Order)
            .await
            .unwrap()
            .unwrap();
        if is_done {
            assert_eq!(stands.until, changed, "{name}");
            assert_eq!(stands.seen, [(ShopifyId(2), changed)], "{name}");
        } else {
            assert_eq!(
                (stands.until, stands.seen),
                (position.until, position.seen),
                "{name}"
            );
        }
        assert_eq!(stands.ran_at, now, "{name}");
        let made = world.store.jobs(JobFilter::default()).await.unwrap().len();
        assert_eq!(made, jobs, "{name}");
    }
}

#[tokio::test]
async fn a_node_that_is_a_day_ahead_begins_by_the_databases_clock() {
    let world = World::new("2026-11-20T12:00:00Z", &[("main", &orders("off"))]).await;
    let store = Arc::new(FaultyStore::new(world.store.clone()));
    store.is_behind(24 * HOUR);
    let ours = world.clock.now();
    let right = ours.minus(24 * HOUR);
    let (runs, shop) = runs(&world, store, [page(1, right, None)]);
    let stop = CancellationToken::new();
    let again = runs.begin(Object::Order, &shop, EVERY, &stop).await;
    assert!(again > ours && again <= ours.plus(EVERY), "{again}");
    let position = read(&world.store, &shop.name, Object::Order)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(position.ran_at, right);
    assert!(position.until <= right, "a day would be looked at by nobody");
    let again = runs.look(Object::Order, &shop, position, EVERY, &stop).await;
    assert!(again > ours && again <= ours.plus(EVERY), "{again}");
    let position = read(&world.store, &shop.name, Object::Order)
        .await
        .unwrap()
        .unwrap();
    assert_eq!((position.ran_at, position.until), (right, right));
}
