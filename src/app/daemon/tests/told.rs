//! What is kept for other systems of what jobs do.

mod privacy;

use std::collections::BTreeMap;

use super::between::Between;
use super::*;
use crate::domain::Clock as _;
use crate::notify::{EventType, Notification, Status};
use crate::sandbox::shopify::draft::{ProductDraft, VariantDraft};
use crate::store::{DispatchFilter, Retried};

/// A paused endpoint that wants everything: what is told stays.
const ENDPOINT: &str =
    "[notify.endpoints.ledger]\nurl = \"https://hooks.example.com/1\"\nevents = [\"*\"]\nstate = \"paused\"";

impl Between {
    /// What was told so far, in order, whether it was fanned out or not.
    async fn told(&self) -> Vec<(EventType, Option<Status>)> {
        let store = &self.daemon.store;
        let mut bodies = BTreeMap::new();
        for row in store.outbox(100).await.unwrap() {
            bodies.insert(row.id, row.body);
        }
        let filter = DispatchFilter {
            limit: 100,
            ..DispatchFilter::default()
        };
        for row in store.dispatches(filter).await.unwrap() {
            let story = store.dispatch(row.id).await.unwrap().unwrap();
            bodies.insert(row.sequence, story.body.unwrap());
        }
        let read = |body: String| serde_json::from_str::<Notification>(&body).unwrap();
        let told = bodies.into_values().map(read);
        told.map(|one| (one.event, one.status)).collect()
    }
}

#[tokio::test]
async fn a_job_that_fails_again_is_told_once_and_so_is_that_it_was_done_after_all() {
    let world = Between::telling("main", ENDPOINT).await;
    let template = world
        .erp
        .as_admin(
            "product.template",
            "create",
            serde_json::json!([{ "name": "Old cup", "default_code": "CUP" }]),
            serde_json::json!({}),
        )
        .unwrap();
    let product = world.shop.change(|shop| {
        shop.create_product(ProductDraft {
            title: "Cup".into(),
            variants: vec![VariantDraft::new(&[], "CUP", "4.99".parse().unwrap())],
            ..ProductDraft::default()
        })
    });
    world
        .deliver("products/create", &format!(r#"{{"id":{product}}}"#))
        .await;
    let failed = (EventType::SyncFailed, Some(Status::Failed));
    let id = product.to_string();
    let job = world.job_is(Object::Product, &id, JobState::Problem).await;
    assert_eq!(world.told().await, [failed]);

    let retry = async || {
        let retried = world.daemon.store.retry(job.id, world.clock.now()).await.unwrap();
        assert_eq!(retried, Retried::Again(job.id));
    };
    retry().await;
    until("it fails again", async || {
        let job = world.jobs(Object::Product).await.remove(0);
        job.attempts == 2 && job.state == JobState::Problem
    })
    .await;
    assert_eq!(world.told().await, [failed]);

    world
        .erp
        .as_admin(
            "product.template",
            "write",
            serde_json::json!([[template], { "default_code": "OLD-CUP" }]),
            serde_json::json!({}),
        )
        .unwrap();
    retry().await;
    world.job_is(Object::Product, &id, JobState::Completed).await;
    let done = [
        failed,
        (EventType::ProductSynced, Some(Status::Created)),
        (EventType::SyncRecovered, Some(Status::Recovered)),
    ];
    assert_eq!(world.told().await, done);
    // The same webhook again: nothing has to be done, and nobody asked to be told of that.
    world
        .deliver("products/update", &format!(r#"{{"id":{product}}}"#))
        .await;
    until("it is looked at again", async || {
        world
            .jobs(Object::Product)
            .await
            .iter()
            .all(|job| !job.state.is_open())
            && world.jobs(Object::Product).await.len() == 2
    })
    .await;
    assert_eq!(world.told().await, done);
    world.daemon.stop().await;
}
