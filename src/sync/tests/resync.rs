//! Records that a wrong mapping wrote, carried over with care.

use super::bench::*;
use super::*;
use crate::domain::{Clock as _, LinkKind};
use crate::store::JobFilter;
use crate::sync::{ResyncMark, written_by};

const FILE: &str = "customer.in.toml";
const NAME: &str = "name = \"customer.display_name\"";
const WRONG: &str = "name = \"customer.display_name | upper\"";

impl Bench {
    /// What the stories of a customer's jobs tell was written, as hashes, and by which revision.
    async fn told(&self, id: u64) -> (String, BTreeMap<String, String>) {
        let filter = JobFilter {
            object: Some(Object::Customer),
            source_id: Some(id.to_string()),
            limit: 10,
            ..JobFilter::default()
        };
        let (mut by, mut wrote) = (String::new(), BTreeMap::new());
        for job in self.store.jobs(filter).await.unwrap() {
            let story = self.store.job(job.id).await.unwrap().unwrap();
            for write in story.attempts.iter().flat_map(|one| written_by(&one.detail)) {
                by = write.mapping;
                wrote.extend(write.fields);
            }
        }
        (by, wrote)
    }

    /// Makes the job that puts a customer right, as it was planned by mappings of this revision, and claims it.
    async fn claim_with_care(&self, id: u64, by: &str) -> ClaimedJob {
        let (mapping, wrote) = self.told(id).await;
        let job = self.claim(Object::Customer, id).await;
        let mark = ResyncMark {
            job: Some(job.id),
            at: job.wanted_since,
            hold: false,
            mapping,
            by: by.to_owned(),
            wrote,
        };
        let (name, now) = (ResyncMark::name(&job.key), SystemClock.now());
        self.store
            .set_cursor(&job.key.shop, &name, &mark.value(), now)
            .await
            .unwrap();
        job
    }

    async fn attempt(&self, job: &ClaimedJob) -> Report {
        self.engine.attempt(job.clone(), CancellationToken::new()).await
    }

    async fn end(&self, job: &ClaimedJob, report: Report) {
        let ended = self.store.finish(finish(job.id, job.fence, report)).await;
        assert!(matches!(ended.unwrap(), Finished::Done(_)));
    }

    fn edit_partner(&self, id: i64, values: serde_json::Value) {
        self.in_the_erp("res.partner", "write", serde_json::json!([[id], values]));
    }

    fn partner(&self, id: i64, field: &str) -> String {
        let record = self.erp.ledger().record("res.partner", id).unwrap();
        record[field].as_str().unwrap_or_default().to_owned()
    }
}

#[tokio::test]
async fn an_attempt_that_did_not_live_to_say_it_was_done_is_repeated_with_the_same_care() {
    let bench = Bench::with_edited(FILE, NAME, WRONG).await;
    let id = ada(&bench);
    assert_eq!(bench.sync(Object::Customer, id).await.0, JobState::Completed);
    let made = bench.link(LinkKind::Customer, id).await.unwrap().erp_id.0;
    assert_eq!(bench.partner(made, "name"), "ADA LOVELACE");
    // The shipped one again.
    let by = bench.remap(FILE, NAME, NAME);
    let job = bench.claim_with_care(id, &by).await;
    let lost = bench.attempt(&job).await;
    assert!(matches!(lost.outcome, Outcome::Completed), "{lost:?}");
    assert_eq!(bench.partner(made, "name"), "Ada Lovelace");

    // Its end was not saved. A person changes the name before it is repeated.
    bench.edit_partner(made, serde_json::json!({ "name": "Countess Lovelace" }));
    let repeated = bench.attempt(&job).await;
    assert!(matches!(repeated.outcome, Outcome::Completed), "{repeated:?}");
    assert_eq!(bench.partner(made, "name"), "Countess Lovelace");
    bench.end(&job, repeated).await;

    // What comes later is ordinary: the mapping has the last word.
    bench
        .shop
        .change(|shop| shop.edit_customer(id, |customer| customer.last_name = Some("King".into())))
        .unwrap();
    let (state, why) = bench.sync(Object::Customer, id).await;
    assert_eq!(state, JobState::Completed, "{why:?}");
    assert_eq!(bench.partner(made, "name"), "Ada King");
    let mark = bench
        .store
        .cursor(&job.key.shop, &ResyncMark::name(&job.key))
        .await;
    assert_eq!(mark.unwrap().unwrap_or_default(), "", "the mark is taken away");
}

#[tokio::test]
async fn what_the_wrong_mapping_did_not_write_stays() {
    let bench = Bench::with_edited(FILE, NAME, WRONG).await;
    let values =
        serde_json::json!({ "name": "Ada", "email": "ada@example.com", "street": "Unter den Linden 1" });
    let known = bench.made_in_the_erp("res.partner", values);
    let id = ada(&bench);
    assert_eq!(bench.sync(Object::Customer, id).await.0, JobState::Completed);
    assert_eq!(bench.partner(known, "name"), "ADA LOVELACE", "it is taken over");
    // The street was the same from the beginning: both sides agree on it, and no mapping wrote it.
    let street = "street = { value = \"customer.default_address.address1\"";
    let by = bench.remap(FILE, street, &street.replace("address1", "address1 | upper"));
    let job = bench.claim_with_care(id, &by).await;
    let report = bench.attempt(&job).await;
    assert!(matches!(report.outcome, Outcome::Completed), "{report:?}");
    assert_eq!(bench.partner(known, "name"), "Ada Lovelace");
    assert_eq!(bench.partner(known, "street"), "Unter den Linden 1");
    assert!(report.detail.to_string().contains("left_as_edited"), "{report:?}");
}

#[tokio::test]
async fn what_was_planned_by_other_mappings_waits_for_a_person() {
    let bench = Bench::with_edited(FILE, NAME, WRONG).await;
    let id = ada(&bench);
    assert_eq!(bench.sync(Object::Customer, id).await.0, JobState::Completed);
    // The wrong mappings are still in force here: nothing would be put right, and nobody would know.
    let job = bench.claim_with_care(id, "mended").await;
    let report = bench.attempt(&job).await;
    let Outcome::Held(problem) = &report.outcome else {
        panic!("{report:?}");
    };
    assert!(problem.reason.contains("mended"), "{}", problem.reason);
}

#[tokio::test]
async fn the_story_of_an_order_has_no_values_of_its_buyer() {
    let bench = Bench::new(Version::V18).await;
    let (_, variants) = shirt(&bench);
    let buyer = ada(&bench);
    let (id, _) = order(&bench, everyday(Buyer::Customer(buyer), variants[0]));
    assert_eq!(bench.sync(Object::Order, id).await.0, JobState::Completed);
    let filter = JobFilter {
        object: Some(Object::Order),
        limit: 1,
        ..JobFilter::default()
    };
    let job = bench.store.jobs(filter).await.unwrap().remove(0).id;
    let story = bench.store.job(job).await.unwrap().unwrap();
    let told: Vec<_> = story
        .attempts
        .iter()
        .flat_map(|one| written_by(&one.detail))
        .collect();
    assert!(
        told.iter().any(|write| write.source == buyer.to_string()
            && write.fields.iter().any(|(field, _)| field == "name"))
    );
    let writes = story.attempts.iter().filter_map(|one| one.detail.as_array());
    for note in writes.flatten().filter(|note| note["of"]["object"] == "customer") {
        assert!(!note.to_string().contains("Lovelace"), "{note}");
    }
}
