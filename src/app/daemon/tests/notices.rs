//! Notices about the shop: removed, back again, privacy requests.

use super::between::{Between, TOKEN};
use super::*;
use crate::domain::Clock as _;

const REMOVED: &str = r#"{"id":954889,"domain":"a"}"#;

#[tokio::test]
async fn a_shop_is_disabled_while_our_access_is_gone_and_its_jobs_wait() {
    let world = Between::new("main").await;
    let carried_out = async |times: usize| {
        until(&format!("{times} notices are carried out"), async || {
            let jobs = world.jobs(Object::Shop).await;
            assert!(jobs.iter().all(|job| job.state != JobState::Problem), "{jobs:?}");
            jobs.len() == times && jobs.iter().all(|job| job.state == JobState::Completed)
        })
        .await;
    };
    // Anybody can send the topic with a captured body: our token still works, nothing happens.
    world.deliver("app/uninstalled", REMOVED).await;
    carried_out(1).await;
    assert!(!world.is_disabled().await);

    let mut lanes = world.daemon.live.clone();
    lanes.mark_unchanged();
    world.shop.uninstall();
    world.deliver("app/uninstalled", REMOVED).await;
    carried_out(2).await;
    assert!(world.is_disabled().await);
    let closed = tokio::time::timeout(PATIENCE, lanes.changed()).await;
    closed.expect("the queue learns of it").unwrap();
    // A job for the shop waits, while the queue does carry out what concerns our own data.
    world.deliver("orders/create", r#"{"id":7}"#).await;
    world.deliver("app/uninstalled", REMOVED).await;
    carried_out(3).await;
    let order = world.job_is(Object::Order, "7", JobState::Available).await;
    assert_eq!(order.attempts, 0);

    // Installed again.
    world.shop.set_static_token(Some(TOKEN));
    until("the shop is enabled", async || {
        world.clock.advance(Duration::from_mins(11));
        !world.is_disabled().await
    })
    .await;
    until("its jobs go on", async || {
        world.jobs(Object::Order).await[0].attempts > 0
    })
    .await;
    world.daemon.stop().await;
}

#[tokio::test]
async fn an_api_version_that_shopify_does_not_know_is_no_proof_of_a_removal() {
    use crate::sandbox::shopify::faults::ApiFault;
    let world = Between::new("main").await;
    world.shop.inject(ApiFault::NotFound, None, 1);
    world.deliver("app/uninstalled", REMOVED).await;
    // Asked again later: then the token works.
    until("the notice is carried out", async || {
        world.clock.advance(Duration::from_secs(30));
        world.jobs(Object::Shop).await[0].state == JobState::Completed
    })
    .await;
    assert!(world.jobs(Object::Shop).await[0].attempts > 1);
    assert!(!world.is_disabled().await);
    world.daemon.stop().await;
}

#[tokio::test]
async fn privacy_requests_are_carried_out_and_proven() {
    let world = Between::new("main").await;
    let shop = format!(r#""shop_id":954889,"shop_domain":"{}""#, world.shop.domain());
    let customer = r#""customer":{"id":191167,"email":"john@example.com","phone":null}"#;
    for (topic, body) in [
        ("customers/update", r#"{"id":191167,"first_name":"John"}"#),
        (
            "orders/updated",
            r#"{"id":299938,"customer":{"first_name":"John"}}"#,
        ),
        (
            "orders/updated",
            r#"{"id":400000,"customer":{"first_name":"Jane"}}"#,
        ),
    ] {
        world.deliver(topic, body).await;
    }
    let job = async |object, id: &str| {
        let jobs = world.jobs(object).await;
        jobs.into_iter().find(|job| job.key.source_id == id).unwrap()
    };
    let john = job(Object::Customer, "191167").await;
    let (johns, janes) = (
        job(Object::Order, "299938").await,
        job(Object::Order, "400000").await,
    );
    let carried_out = async |topic: &str, body: String| {
        world.deliver(topic, &body).await;
        until(topic, async || {
            let jobs = world.jobs(Object::Shop).await;
            jobs.iter().all(|job| job.state == JobState::Completed)
        })
        .await;
        let notice = world.jobs(Object::Shop).await.remove(0);
        assert!(
            !world.has_bodies(&notice).await,
            "{topic}: the request names the customer, too"
        );
        let records = world.daemon.store.compliance_records(&world.name).await.unwrap();
        assert_eq!(records[0].topic, topic);
        records[0].summary.clone()
    };

    let request = format!(r#"{{{shop},"orders_requested":[299938],{customer},"data_request":{{"id":9}}}}"#);
    let told = carried_out("customers/data_request", request).await;
    assert_eq!(
        told,
        format!(
            "customer 191167: data is held by jobs [{}, {}]",
            john.id, johns.id
        )
    );
    assert!(world.has_bodies(&john).await && world.has_bodies(&johns).await);

    let request = format!(r#"{{{shop},{customer},"orders_to_redact":[299938]}}"#);
    carried_out("customers/redact", request).await;
    assert!(!world.has_bodies(&john).await && !world.has_bodies(&johns).await);
    assert!(world.has_bodies(&janes).await);

    carried_out("shop/redact", format!("{{{shop}}}")).await;
    assert!(!world.has_bodies(&janes).await);
    let records = world.daemon.store.compliance_records(&world.name).await.unwrap();
    assert_eq!(records.len(), 3);
    assert!(records.iter().all(|record| record.done_at <= world.clock.now()));

    // A captured request under another topic is not carried out.
    world
        .deliver(
            "orders/updated",
            r#"{"id":500000,"customer":{"first_name":"Jim"}}"#,
        )
        .await;
    let jims = job(Object::Order, "500000").await;
    let captured = format!(r#"{{{shop},"orders_requested":[299938],{customer},"data_request":{{"id":9}}}}"#);
    world.deliver("shop/redact", &captured).await;
    until("it is a problem", async || {
        world.jobs(Object::Shop).await[0].state == JobState::Problem
    })
    .await;
    assert!(world.has_bodies(&jims).await);
    world.daemon.stop().await;
}
