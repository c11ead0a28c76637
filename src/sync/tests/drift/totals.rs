//! An order that comes to something else, whatever waits for a person besides.

use super::*;
use crate::domain::{NewProblem, Outcome, Report};

const CODE: &str = "drift_total_differs";

async fn is_told(both: &Damaged) -> bool {
    let open = both.bench.store.open_problems(100).await.unwrap();
    open.iter().any(|row| row.problem.code.0 == CODE)
}

/// A job of the order that asks a person about something else.
async fn asks(both: &Damaged, order: u64, is_held: bool) {
    let problem = NewProblem {
        code: "something_else".into(),
        record: None,
        field: None,
        reason: "Something else.".to_owned(),
        fix: "See to it.".to_owned(),
        owner: "operator".to_owned(),
        mapping: None,
        cluster: String::new(),
        detail: serde_json::Value::Null,
    };
    let outcome = if is_held {
        Outcome::Held(problem)
    } else {
        Outcome::Problem(problem)
    };
    let job = both.bench.claim(Object::Order, order).await;
    let end = finish(job.id, job.fence, Report::of(outcome, "it asks"));
    let finished = both.bench.store.finish(end).await.unwrap();
    assert!(matches!(finished, Finished::Done(_)));
}

#[tokio::test]
async fn a_changed_total_is_told_though_a_job_of_the_order_waits_for_a_person() {
    for is_held in [false, true] {
        let both = Damaged::new(false).await;
        let (_, variants) = shirt(&both.bench);
        let buyer = Buyer::Customer(ada(&both.bench));
        let (id, name) = order(&both.bench, everyday(buyer, variants[0]));
        assert_eq!(both.bench.sync(Object::Order, id).await.0, JobState::Completed);
        let line = both.bench.booked(&name).lines[0].id;
        let price = both.bench.booked(&name).lines[0].price_unit;
        both.write("sale.order.line", line, json!({ "price_unit": 1 }));
        both.run(Object::Order).await;
        assert!(is_told(&both).await);
        asks(&both, id, is_held).await;
        let (_, rows) = both.run(Object::Order).await;
        let total = rows.iter().find(|row| row.class == DriftClass::TotalDiffers);
        let total = total.unwrap_or_else(|| panic!("{rows:?}"));
        assert_eq!(
            (total.fate, total.why.as_deref(), total.field.as_deref()),
            (DriftFate::NeedsPerson, Some(CODE), Some("total")),
            "held: {is_held}"
        );
        assert!(is_told(&both).await, "it is still wrong; held: {is_held}");
        // Put right, it is closed, whatever the other job still asks.
        let price: f64 = price.to_string().parse().unwrap();
        both.write("sale.order.line", line, json!({ "price_unit": price }));
        both.run(Object::Order).await;
        assert!(!is_told(&both).await, "held: {is_held}");
    }
}

#[tokio::test]
async fn a_changed_total_that_a_job_is_at_work_on_stays_told() {
    let both = Damaged::new(false).await;
    let (_, variants) = shirt(&both.bench);
    let buyer = Buyer::Customer(ada(&both.bench));
    let (id, name) = order(&both.bench, everyday(buyer, variants[0]));
    assert_eq!(both.bench.sync(Object::Order, id).await.0, JobState::Completed);
    let line = both.bench.booked(&name).lines[0].id;
    both.write("sale.order.line", line, json!({ "price_unit": 1 }));
    both.run(Object::Order).await;
    both.bench.claim(Object::Order, id).await;
    let (_, rows) = both.run(Object::Order).await;
    assert_eq!(
        told(&rows),
        [(DriftClass::TotalDiffers, None, None, None, DriftFate::InWork)]
    );
    assert!(is_told(&both).await);
}
