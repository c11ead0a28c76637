//! What stands as it is: what people changed and nothing carries back is read whole once, and what they gave up is not asked
//! about again, until something of it is another.

use super::orders::{fields, of_two_lines};
use super::*;
use crate::domain::{NewProblem, Outcome, Report};
use crate::store::{NodeFile, TakenUp};

/// An attempt ended so.
pub(super) async fn ended(both: &Damaged, job: crate::store::ClaimedJob, state: JobState) {
    let outcome = match state {
        JobState::Completed => Outcome::Completed,
        JobState::Held => Outcome::Held(something_else()),
        _ => Outcome::Problem(something_else()),
    };
    let end = finish(job.id, job.fence, Report::of(outcome, "it ended"));
    let finished = both.bench.store.finish(end).await.unwrap();
    assert!(matches!(finished, Finished::Done(_)));
}

/// What a person is asked about.
fn something_else() -> NewProblem {
    NewProblem {
        code: "something_else".into(),
        record: None,
        field: None,
        reason: "Something else.".to_owned(),
        fix: "See to it.".to_owned(),
        owner: "operator".to_owned(),
        mapping: None,
        cluster: String::new(),
        detail: serde_json::Value::Null,
    }
}

impl Damaged {
    /// Another configuration is in force.
    async fn reconfigured(&self) {
        let file = NodeFile {
            node: "test".to_owned(),
            hash: "another".to_owned(),
            summary: String::new(),
            toggles: json!({}),
        };
        let later = crate::domain::Clock::now(&SystemClock).plus(Duration::from_secs(1));
        let standing = self.bench.store.config_revision(file, TakenUp::Saved, later);
        standing.await.unwrap();
    }

    pub(super) async fn give_up(&self, job: JobId) {
        let now = crate::domain::Clock::now(&SystemClock);
        assert!(self.bench.store.discard(job, "leave it", now).await.unwrap());
    }

    /// What the next two runs say: the first one reads the record whole and names these fields, the second one counts them.
    async fn is_told_once(&self, object: Object, expected: &[&str]) {
        let (report, rows) = self.run(object).await;
        let left: Vec<_> = expected
            .iter()
            .map(|field| (Some(*field), DriftFate::LeftAlone))
            .collect();
        assert_eq!(fields(&rows), left, "{report:?}");
        assert_eq!(report.looked.compared, 1);
        let (report, rows) = self.run(object).await;
        assert_eq!((report.looked.compared, rows), (0, Vec::new()), "{report:?}");
        assert_eq!(report.of_fate(DriftFate::LeftAlone), expected.len() as u64);
    }

    /// What an earlier version left of an order: nothing by which its fields could be told to have moved.
    async fn forget_fields(&self, order: u64) {
        let mut link = self.bench.link(LinkKind::Order, order).await.unwrap();
        link.agreed.as_object_mut().unwrap().remove("fields").unwrap();
        self.bench.relink(link).await;
    }
}

#[tokio::test]
async fn a_quotation_that_people_edited_is_read_whole_once() {
    let both = Damaged::new(false).await;
    let (_, variants) = shirt(&both.bench);
    let mut draft = everyday(Buyer::Customer(ada(&both.bench)), variants[0]);
    draft.payment = Payment::Pending("bank_transfer".into());
    let (id, name) = order(&both.bench, draft);
    assert_eq!(both.bench.sync(Object::Order, id).await.0, JobState::Completed);
    let booked = both.bench.booked(&name);
    assert_eq!(booked.state, "draft");
    both.write("sale.order", booked.id, json!({ "origin": "by phone" }));
    both.is_told_once(Object::Order, &["origin"]).await;
    both.write("sale.order", booked.id, json!({ "origin": "by letter" }));
    both.is_told_once(Object::Order, &["origin"]).await;
    // Other rules may carry it.
    both.reconfigured().await;
    both.is_told_once(Object::Order, &["origin"]).await;
    // A dry run tells, and remembers nothing.
    both.write("sale.order", booked.id, json!({ "origin": "by pigeon" }));
    let dry = FullRun {
        dry_run: true,
        ..FullRun::of(Object::Order, "test")
    };
    assert_eq!(both.run_as(dry).await.0.looked.compared, 1);
    both.is_told_once(Object::Order, &["origin"]).await;
}

#[tokio::test]
async fn an_order_that_misses_a_line_is_read_whole_once() {
    let both = Damaged::new(false).await;
    let (id, booked) = of_two_lines(&both).await;
    let mut lines = booked.lines.iter().map(|line| line.id);
    // A line that is not ours any more is missing, and what stands there instead costs the same.
    let mut lose = || {
        let named = json!([[["model", "=", "sale.order.line"], ["res_id", "=", lines.next()]]]);
        let names = both.bench.in_the_erp("ir.model.data", "search", named);
        both.bench.in_the_erp("ir.model.data", "unlink", json!([names]));
    };
    lose();
    both.is_told_once(Object::Order, &["order_line"]).await;
    lose();
    both.is_told_once(Object::Order, &["order_line"]).await;
    // So it stays, unless it changes on the shop.
    both.later();
    let patch = crate::sandbox::shopify::draft::OrderPatch {
        tags: Some(vec!["packed".into()]),
        ..Default::default()
    };
    both.bench
        .shop
        .change(|shop| shop.patch_order(id, patch))
        .unwrap();
    assert_eq!(both.bench.sync(Object::Order, id).await.0, JobState::Completed);
    both.is_told_once(Object::Order, &["order_line"]).await;
}

#[tokio::test]
async fn the_same_value_on_another_line_is_another_change() {
    let both = Damaged::new(false).await;
    let (_, booked) = of_two_lines(&both).await;
    for (line, told) in [(0, 1), (1, 2)] {
        both.write(
            "sale.order.line",
            booked.lines[line].id,
            json!({ "name": "Trousers" }),
        );
        let (report, rows) = both.run(Object::Order).await;
        assert_eq!(rows.len(), told, "{rows:?}");
        assert_eq!(report.looked.corrections, 1, "each counts once");
    }
}

#[tokio::test]
async fn the_texts_of_an_order_of_an_earlier_version_count_as_they_stand() {
    let both = Damaged::new(false).await;
    let (id, booked) = of_two_lines(&both).await;
    // Shopify's title changed, and the version that saw it wrote no text.
    let line = booked.lines[0].id;
    both.write("sale.order.line", line, json!({ "name": "Shirt, old title" }));
    both.forget_fields(id).await;
    both.repaired(Object::Order).await;
    let (report, rows) = both.run(Object::Order).await;
    assert_eq!((report.looked.compared, report.looked.corrections), (0, 0));
    assert_eq!(rows, []);
    both.write("sale.order.line", line, json!({ "name": "Trousers" }));
    both.is_told_once(Object::Order, &["name"]).await;
}

#[tokio::test]
async fn the_job_of_an_order_of_an_earlier_version_that_a_person_gave_up_is_not_made_again() {
    let both = Damaged::new(false).await;
    let (id, _) = of_two_lines(&both).await;
    both.forget_fields(id).await;
    let jobs = async || {
        let filter = JobFilter {
            object: Some(Object::Order),
            limit: 9,
            ..JobFilter::default()
        };
        both.bench.store.jobs(filter).await.unwrap()
    };
    both.run(Object::Order).await;
    let notes = jobs().await[0].id;
    both.give_up(notes).await;
    for _ in 0..2 {
        let (report, rows) = both.run(Object::Order).await;
        assert_eq!(report.looked.compared, 0);
        let left = (DriftClass::FieldDiffers, None, None, None, DriftFate::LeftAlone);
        assert_eq!(told(&rows), [left]);
        assert_eq!(rows[0].why.as_deref(), Some("discarded_by_a_person"));
        assert_eq!(jobs().await[0].id, notes);
    }
    both.reconfigured().await;
    assert_eq!(both.run(Object::Order).await.0.looked.compared, 1);
    assert_ne!(jobs().await[0].id, notes, "other rules may want it");
}
