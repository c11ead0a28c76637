//! Records that a wrong mapping wrote are put right, and what a person changed since stays.

use std::collections::BTreeMap;

use futures_util::future::BoxFuture;
use serde_json::json;

use super::between::Between;
use super::*;
use crate::app::resync::{Becomes, Resync, ResyncError, Resynced, resync};
use crate::app::review::Reviewer;
use crate::domain::{Actor, Clock, Via};
use crate::store::{AuditFilter, JobRow};

const NAME: &str = "name = \"customer.display_name\"";

impl Between {
    /// Puts a version of the customers' mapping in force, in which the name is made like this.
    async fn name_customers(&self, made: &str) -> String {
        let before = self.daemon.revision();
        let shipped = crate::mapping::DEFAULTS
            .iter()
            .find(|(file, _)| *file == "customer.in.toml")
            .unwrap();
        assert!(shipped.1.contains(NAME));
        let text = shipped.1.replace(NAME, &format!("name = \"{made}\""));
        let folder = self.mappings_with(shipped.0, &text);
        until("the mapping is taken up", async || {
            self.daemon.revision() != before
        })
        .await;
        let mappings = crate::app::mappings::load(Some(&folder)).unwrap();
        mappings.revision().to_owned()
    }

    /// The partners' names, by the customers' external ids.
    fn names(&self, customers: &[u64]) -> Vec<String> {
        let known: BTreeMap<String, String> = self
            .erp
            .ledger()
            .partners()
            .into_iter()
            .filter_map(|partner| Some((partner.external_ids.first()?.clone(), partner.name)))
            .collect();
        let name = |id: &u64| {
            let own = format!("customer_{id}");
            let found = known.iter().find(|(name, _)| name.ends_with(&own));
            found.map(|(_, name)| name.clone()).unwrap_or_default()
        };
        customers.iter().map(name).collect()
    }

    async fn resync(&self, mapping: &str, becomes: Becomes) -> Resynced {
        self.try_resync(mapping, becomes).await.unwrap()
    }

    async fn try_resync(&self, mapping: &str, becomes: Becomes) -> Result<Resynced, ResyncError> {
        let config = self.config();
        let wanted = Resync {
            mapping: mapping.to_owned(),
            object: None,
            becomes,
            actor: Actor::new("ada".to_owned(), Via::Cli),
        };
        // Jobs are made at a pace, by a clock that nobody else moves.
        let clock: SharedClock = Arc::new(Hurried(self.clock.clone()));
        let entropy: SharedEntropy = Arc::new(SystemEntropy);
        let shop = &config.shops[&self.name];
        resync(&config, shop, &wanted, (&clock, &entropy)).await
    }
}

/// A clock that moves on to whatever somebody waits for.
#[derive(Debug)]
struct Hurried(ManualClock);

impl Clock for Hurried {
    fn now(&self) -> Timestamp {
        self.0.now()
    }

    fn sleep_until(&self, at: Timestamp) -> BoxFuture<'static, ()> {
        self.0.advance(at.since(self.0.now()));
        Box::pin(tokio::task::yield_now())
    }
}

fn became(resynced: &Resynced, what: &str) -> Vec<String> {
    let those = resynced.records.iter().filter(|record| record.becomes == what);
    those.map(|record| record.id.clone()).collect()
}

#[tokio::test]
async fn what_a_wrong_mapping_wrote_is_put_right_but_for_what_a_person_changed_since() {
    let world = Between::new("main").await;
    let wrong = world.name_customers("customer.display_name | upper").await;
    let mut customers = Vec::new();
    for n in 0..5 {
        let id = world.new_customer(&format!("ada{n}@example.com"));
        let body = format!(r#"{{"id": {id}, "admin_graphql_api_id": "gid://shopify/Customer/{id}"}}"#);
        world.deliver("customers/create", &body).await;
        let job = world
            .job_is(Object::Customer, &id.to_string(), JobState::Completed)
            .await;
        let story = world.daemon.store.job(job.id).await.unwrap().unwrap();
        let told = serde_json::to_string(&story.attempts).unwrap();
        assert!(told.contains(&wrong) && told.contains("ADA LOVELACE"), "{told}");
        customers.push(id);
    }
    assert_eq!(world.names(&customers), ["ADA LOVELACE"; 5]);
    // Somebody puts one right by hand, in their own way.
    let edited = customers[2];
    let partners = world.erp.ledger().partners();
    let theirs = partners
        .iter()
        .find(|partner| {
            partner
                .external_ids
                .iter()
                .any(|id| id.ends_with(&format!("customer_{edited}")))
        })
        .unwrap();
    let values = json!({ "name": "Countess Lovelace" });
    world
        .erp
        .as_admin("res.partner", "write", json!([[theirs.id], values]), json!({}))
        .unwrap();

    let right = world.name_customers("customer.display_name").await;
    let four: Vec<String> = customers
        .iter()
        .filter(|id| **id != edited)
        .map(ToString::to_string)
        .collect();
    let left_alone = |resynced: &Resynced| -> Vec<(String, String)> {
        let records = resynced.records.iter();
        records
            .flat_map(|record| {
                record
                    .left_alone
                    .iter()
                    .map(|field| (record.id.clone(), field.field.clone()))
            })
            .collect()
    };
    let one = [(edited.to_string(), "name".to_owned())];

    let shown = world.resync(&wrong[..12], Becomes::Shown).await;
    assert_eq!(
        (shown.mapping.as_deref(), shown.by.as_str()),
        (Some(wrong.as_str()), right.as_str())
    );
    assert_eq!(
        (became(&shown, "shown"), left_alone(&shown)),
        (four.clone(), one.to_vec())
    );
    assert_eq!(world.jobs(Object::Customer).await.len(), 5, "nothing was made");

    // They wait for a yes, each with its plan.
    let reviewed = world.resync(&wrong, Becomes::Reviewed).await;
    assert_eq!(
        (became(&reviewed, "reviewed"), left_alone(&reviewed)),
        (four.clone(), one.to_vec())
    );
    let filter = AuditFilter {
        action: Some("resync".to_owned()),
        ..AuditFilter::default()
    };
    let audit = world.daemon.store.audit(filter).await.unwrap();
    assert_eq!(audit.len(), 1, "looking is not written down: {audit:?}");
    assert_eq!(audit[0].actor, "ada");
    assert_eq!(
        (&audit[0].detail["mapping"], &audit[0].detail["by"]),
        (&json!(wrong), &json!(right))
    );
    let reviewer = Reviewer::new(
        world.daemon.store.clone(),
        Arc::new(world.clock.clone()),
        Actor::new("ada".to_owned(), Via::Cli),
    );
    for id in &four {
        world.job_is(Object::Customer, id, JobState::Held).await;
    }
    let waiting = world.resync(&wrong, Becomes::Shown).await;
    assert_eq!(became(&waiting, "in_work"), four, "what has a job is left to it");
    for id in &four {
        let job: JobRow = world.job_is(Object::Customer, id, JobState::Held).await;
        assert_eq!(world.names(&[id.parse().unwrap()]), ["ADA LOVELACE"]);
        reviewer.approve_plan(job.id, None, None).await.unwrap();
        world.job_is(Object::Customer, id, JobState::Completed).await;
    }
    let mut names = ["Ada Lovelace"; 5];
    names[2] = "Countess Lovelace";
    assert_eq!(world.names(&customers), names);

    // That was wrong, too; and this time nobody is asked.
    let last = world.name_customers("customer.display_name | lower").await;
    assert_ne!(last, right);
    let written = world.resync(&right, Becomes::Written).await;
    assert_eq!(became(&written, "written"), four);
    for id in &four {
        until("it is written", async || {
            world.names(&[id.parse().unwrap()]) == ["ada lovelace"]
        })
        .await;
        world.job_is(Object::Customer, id, JobState::Completed).await;
    }
    assert_eq!(world.names(&[edited]), ["Countess Lovelace"]);
    let again = world.resync(&right, Becomes::Written).await;
    assert_eq!(became(&again, "right").len(), 4, "{again:?}");
    // Of several revisions that begin like that none is taken.
    let Err(ResyncError::Ambiguous(_, found)) = world.try_resync("", Becomes::Written).await else {
        panic!("one of them was taken");
    };
    assert!(found.contains(&wrong) && found.contains(&right), "{found:?}");
    world.daemon.stop().await;
}

#[tokio::test]
async fn what_the_buyer_changes_while_the_plan_waits_arrives_with_it() {
    let world = Between::new("main").await;
    let id = world.new_customer("ada@example.com");
    let live_in = |city: &str, last_name: &str| {
        let (city, last_name) = (Some(city.to_owned()), Some(last_name.to_owned()));
        let edit = |customer: &mut crate::sandbox::shopify::facts::Customer| {
            customer.last_name = last_name;
            customer.addresses.truncate(1);
            customer.addresses.resize_with(1, Default::default);
            customer.addresses[0].city = city;
            customer.addresses[0].country_code = Some("DE".into());
        };
        world.shop.change(|shop| shop.edit_customer(id, edit)).unwrap();
    };
    let tell = async |topic: &str| {
        let body = format!(r#"{{"id": {id}, "admin_graphql_api_id": "gid://shopify/Customer/{id}"}}"#);
        world.deliver(topic, &body).await;
    };
    let partner = || {
        let name = world.names(&[id]).remove(0);
        let partners = world.erp.ledger().partners();
        let found = partners.iter().find(|partner| partner.name == name);
        let record = found.and_then(|found| world.erp.ledger().record("res.partner", found.id));
        let city = record.and_then(|record| record["city"].as_str().map(str::to_owned));
        (name, city.unwrap_or_default())
    };
    let is = |name: &str, city: &str| partner() == (name.to_owned(), city.to_owned());
    live_in("London", "Lovelace");
    tell("customers/create").await;
    until("it is made", async || is("Ada Lovelace", "London")).await;
    // The wrong mapping writes the name, and nothing else.
    let wrong = world.name_customers("customer.display_name | upper").await;
    live_in("London", "King");
    tell("customers/update").await;
    until("it is written wrongly", async || is("ADA KING", "London")).await;
    world
        .job_is(Object::Customer, &id.to_string(), JobState::Completed)
        .await;

    world.name_customers("customer.display_name").await;
    let reviewed = world.resync(&wrong, Becomes::Reviewed).await;
    let fields = reviewed.records[0]
        .fields
        .iter()
        .map(|field| field.field.as_str());
    assert_eq!(fields.collect::<Vec<_>>(), ["name"], "{reviewed:?}");
    let held = world
        .job_is(Object::Customer, &id.to_string(), JobState::Held)
        .await;
    let before = world.shop.read(|shop| shop.now().timestamp());
    until("the shop's next second", async || {
        world.shop.read(|shop| shop.now().timestamp()) > before
    })
    .await;
    live_in("Paris", "King");
    tell("customers/update").await;
    // The event joins the job, and whoever looks sees both.
    until("the plan has it", async || {
        let job = world.daemon.store.job(held.id).await.unwrap().unwrap().job;
        let plan = job.problem.map(|problem| problem.detail.to_string());
        job.state == JobState::Held && plan.is_some_and(|plan| plan.contains("Paris"))
    })
    .await;
    let reviewer = Reviewer::new(
        world.daemon.store.clone(),
        Arc::new(world.clock.clone()),
        Actor::new("ada".to_owned(), Via::Cli),
    );
    reviewer.approve_plan(held.id, None, None).await.unwrap();
    let done = world
        .job_is(Object::Customer, &id.to_string(), JobState::Completed)
        .await;
    assert_eq!(done.id, held.id);
    assert_eq!(partner(), ("Ada King".to_owned(), "Paris".to_owned()));
    world.daemon.stop().await;
}
