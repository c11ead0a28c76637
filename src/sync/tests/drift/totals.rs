//! An order that comes to something else, whatever waits for a person besides.

use super::refused::Broken;
use super::standing::ended;
use super::*;

const CODE: &str = "drift_total_differs";
const TAX: &str = "drift_tax_differs";

async fn is_open(both: &Damaged, code: &str) -> bool {
    let open = both.bench.store.open_problems(100).await.unwrap();
    open.iter().any(|row| row.problem.code.0 == code)
}

async fn is_told(both: &Damaged) -> bool {
    is_open(both, CODE).await
}

/// An order that was booked.
async fn booked(both: &Damaged) -> (u64, String) {
    let (_, variants) = shirt(&both.bench);
    let buyer = Buyer::Customer(ada(&both.bench));
    let (id, name) = order(&both.bench, everyday(buyer, variants[0]));
    assert_eq!(both.bench.sync(Object::Order, id).await.0, JobState::Completed);
    (id, name)
}

#[tokio::test]
async fn a_changed_total_is_told_though_a_job_of_the_order_waits_for_a_person() {
    for is_held in [false, true] {
        let both = Damaged::new(false).await;
        let (id, name) = booked(&both).await;
        let line = both.bench.booked(&name).lines[0].id;
        let price = both.bench.booked(&name).lines[0].price_unit;
        both.write("sale.order.line", line, json!({ "price_unit": 1 }));
        both.run(Object::Order).await;
        assert!(is_told(&both).await);
        let job = both.bench.claim(Object::Order, id).await;
        let state = if is_held {
            JobState::Held
        } else {
            JobState::Problem
        };
        ended(&both, job, state).await;
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
    let (id, name) = booked(&both).await;
    let line = both.bench.booked(&name).lines[0].id;
    both.write("sale.order.line", line, json!({ "price_unit": 1 }));
    both.run(Object::Order).await;
    both.bench.claim(Object::Order, id).await;
    let (_, rows) = both.run(Object::Order).await;
    let rows: Vec<_> = told(&rows).into_iter().map(|row| (row.0, row.1, row.4)).collect();
    assert_eq!(
        rows,
        [
            (DriftClass::TotalDiffers, Some("total"), DriftFate::InWork),
            (DriftClass::TaxDiffers, Some("tax"), DriftFate::InWork)
        ]
    );
    assert!(is_open(&both, CODE).await && is_open(&both, TAX).await);
}

/// An order of which only the tax is another one than was booked.
async fn of_another_tax(both: &Damaged) -> u64 {
    let (id, _) = booked(both).await;
    let mut link = both.bench.link(LinkKind::Order, id).await.unwrap();
    let tax = link.agreed.get_mut("tax").unwrap();
    *tax = serde_json::to_value(decimal("0.01")).unwrap();
    both.bench.relink(link).await;
    id
}

#[tokio::test]
async fn a_changed_tax_that_a_job_is_at_work_on_stays_told_and_is_called_so() {
    let both = Damaged::new(false).await;
    let id = of_another_tax(&both).await;
    both.run(Object::Order).await;
    assert!(!is_told(&both).await && is_open(&both, TAX).await);
    both.bench.claim(Object::Order, id).await;
    let (_, rows) = both.run(Object::Order).await;
    let rows: Vec<_> = told(&rows).into_iter().map(|row| (row.0, row.4)).collect();
    assert_eq!(rows, [(DriftClass::TaxDiffers, DriftFate::InWork)]);
    assert!(!is_told(&both).await && is_open(&both, TAX).await);
}

#[tokio::test]
async fn a_changed_amount_is_told_though_the_order_cannot_be_compared() {
    let both = Damaged::new(false).await;
    let id = of_another_tax(&both).await;
    both.run(Object::Order).await;
    let both = both.through(|shop| Broken {
        hidden: Some(id),
        ..Broken::whole(shop)
    });
    let (_, rows) = both.run(Object::Order).await;
    let rows: Vec<_> = told(&rows).into_iter().map(|row| (row.0, row.4)).collect();
    assert_eq!(
        rows,
        [
            (DriftClass::NotCompared, DriftFate::Unexplained),
            (DriftClass::TaxDiffers, DriftFate::NeedsPerson)
        ]
    );
    assert!(is_open(&both, TAX).await, "it is still wrong");
}

#[tokio::test]
async fn a_part_of_a_run_opens_problems_and_closes_none() {
    let whole = FullRun::of(Object::Order, "test");
    let sample = FullRun {
        sample: Some(10),
        ..whole
    };
    let since = FullRun {
        since: Some(Timestamp::from_millis(0)),
        ..whole
    };
    for part in [sample, since] {
        let both = Damaged::new(false).await;
        let (id, _) = booked(&both).await;
        let right = both.bench.link(LinkKind::Order, id).await.unwrap();
        let mut wrong = right.clone();
        *wrong.agreed.get_mut("tax").unwrap() = serde_json::to_value(decimal("0.01")).unwrap();
        both.bench.relink(wrong).await;
        let dry = FullRun {
            dry_run: true,
            ..part
        };
        both.run_as(dry).await;
        assert!(!is_open(&both, TAX).await, "a dry run tells nobody");
        both.run_as(part).await;
        assert!(is_open(&both, TAX).await, "{part:?}");
        both.bench.relink(right).await;
        both.run_as(part).await;
        assert!(is_open(&both, TAX).await, "it did not look at all: {part:?}");
        both.run_as(whole).await;
        assert!(!is_open(&both, TAX).await);
    }
}
