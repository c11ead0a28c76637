//! Delta runs: what no webhook told of is found, once.

use super::super::DELTA as CAUSE;
use super::between::Between;
use super::*;
use crate::reconcile::INDEX_LAG;
use crate::sandbox::shopify::faults::ApiFault;
use crate::store::{RunOutcome, RunRow};

/// How often the shop is asked.
const EVERY: Duration = Duration::from_secs(600);

impl Between {
    /// How far the customers are looked at.
    async fn position(&self) -> Option<String> {
        let text = self
            .daemon
            .store
            .cursor(&self.name, "delta:customer")
            .await
            .unwrap();
        text.filter(|text| !text.is_empty())
    }

    /// Takes customers in again, and waits until the runs that look for what changed about the switch itself have ended.
    async fn switch_on_again(&self) {
        self.configure("customers = {}", "customers = { in = \"on\" }");
        until("it begins again", async || self.position().await.is_some()).await;
        self.clock.advance(INDEX_LAG);
        until("the switch is looked after", async || {
            self.daemon.store.gaps().await.unwrap().is_empty()
        })
        .await;
    }

    /// The finished runs over customers, newest first.
    async fn customer_runs(&self) -> Vec<RunRow> {
        let mut runs = self.runs().await;
        runs.retain(|run| run.object == Object::Customer && run.cause == CAUSE);
        runs
    }

    /// Lets the next run come, and returns it.
    async fn next_run(&self) -> RunRow {
        let before = self.customer_runs().await.len();
        self.clock.advance(EVERY);
        until("a run", async || self.customer_runs().await.len() > before).await;
        self.customer_runs().await.remove(0)
    }
}

#[tokio::test]
async fn what_no_webhook_told_of_becomes_one_job_and_then_there_is_nothing_to_do() {
    let world = Between::asked("main").await;
    until("it begins", async || world.position().await.is_some()).await;
    let ada = world.new_customer("ada@example.com").to_string();
    let run = world.next_run().await;
    assert_eq!((run.outcome, run.counts.made), (Some(RunOutcome::Done), 1));
    assert_eq!(run.cause, CAUSE);
    let job = world.job_is(Object::Customer, &ada, JobState::Completed).await;
    assert_eq!(job.events, 0, "no webhook told of it");

    // It is read again, and known.
    let run = world.next_run().await;
    assert_eq!((run.counts.pages, run.counts.records, run.counts.made), (1, 1, 0));
    let grace = world.new_customer("grace@example.com").to_string();
    let run = world.next_run().await;
    assert_eq!(run.counts.made, 1);
    world.job_is(Object::Customer, &grace, JobState::Completed).await;
    assert_eq!(world.jobs(Object::Customer).await.len(), 2);
    world.daemon.stop().await;
}

#[tokio::test]
async fn what_a_webhook_told_of_is_left_alone() {
    let world = Between::asked("main").await;
    until("it begins", async || world.position().await.is_some()).await;
    let id = world.new_customer("ada@example.com");
    let body = format!(r#"{{"id": {id}, "admin_graphql_api_id": "gid://shopify/Customer/{id}"}}"#);
    world.deliver("customers/create", &body).await;
    world
        .job_is(Object::Customer, &id.to_string(), JobState::Completed)
        .await;
    let run = world.next_run().await;
    assert_eq!((run.counts.records, run.counts.made), (1, 0));
    world.daemon.stop().await;
}

#[tokio::test]
async fn a_run_that_fails_moves_nothing() {
    let world = Between::asked("main").await;
    until("it begins", async || world.position().await.is_some()).await;
    let ada = world.new_customer("ada@example.com").to_string();
    // As many as the client itself tries, and more.
    world.shop.inject(ApiFault::HtmlError(502), None, 40);
    let run = world.next_run().await;
    assert_eq!(run.outcome, Some(RunOutcome::Failed), "{run:?}");
    world.shop.clear_faults();
    let run = world.next_run().await;
    assert_eq!((run.outcome, run.counts.made), (Some(RunOutcome::Done), 1));
    world.job_is(Object::Customer, &ada, JobState::Completed).await;
    world.daemon.stop().await;
}

#[tokio::test]
async fn what_changed_while_it_was_off_stays_as_it_is() {
    let world = Between::asked("main").await;
    until("it begins", async || world.position().await.is_some()).await;
    world.configure("customers = { in = \"on\" }", "customers = {}");
    until("its place is forgotten", async || {
        world.position().await.is_none()
    })
    .await;
    let off = world.new_customer("off@example.com");
    world.switch_on_again().await;
    let run = world.next_run().await;
    assert_eq!(
        (run.counts.records, run.counts.made),
        (1, 0),
        "it is seen and left alone"
    );
    // Until it changes. The shop's times are whole seconds: what changes in that of the switch counts as from before it.
    let before = world.shop.read(|shop| shop.now().timestamp());
    until("the shop's next second", async || {
        world.shop.read(|shop| shop.now().timestamp()) > before
    })
    .await;
    world
        .shop
        .change(|shop| shop.edit_customer(off, |customer| customer.last_name = Some("King".into())))
        .unwrap();
    assert_eq!(world.next_run().await.counts.made, 1);
    world.daemon.stop().await;
}

#[tokio::test]
async fn a_clock_of_ours_that_is_ahead_of_the_shops_misses_nothing_where_it_begins() {
    let world = Between::asked("main").await;
    until("it begins", async || world.position().await.is_some()).await;
    world.configure("customers = { in = \"on\" }", "customers = {}");
    until("its place is forgotten", async || {
        world.position().await.is_none()
    })
    .await;
    world.clock.advance(Duration::from_secs(600));
    world.switch_on_again().await;
    let ada = world.new_customer("ada@example.com").to_string();
    assert_eq!(world.next_run().await.counts.made, 1);
    world.job_is(Object::Customer, &ada, JobState::Completed).await;
    world.daemon.stop().await;
}
