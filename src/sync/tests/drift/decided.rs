//! What the ERP changed is not forgotten before somebody decided about it; and a way out that is switched off while a run looks
//! stays forgotten.

use super::refused::{Broken, Gate};
use super::sent::{VALUE, sent_since_long_ago, settled};
use super::standing::ended;
use super::*;
use crate::domain::ErpId;
use crate::reconcile::forget_sent;
use crate::store::{NodeFile, TakenUp};

const HOUR: Duration = Duration::from_secs(3600);

fn now() -> Timestamp {
    crate::domain::Clock::now(&SystemClock)
}

async fn known(both: &Damaged, name: &str) -> Option<String> {
    let known = both.bench.store.cursor(&main_shop(), name).await.unwrap();
    known.filter(|known| !known.is_empty())
}

/// The run before was two hours ago, and an hour ago the ERP changed the price of a variant: nobody sent it.
async fn price_of_an_hour_ago(both: &Damaged, template: i64) {
    let (before, later) = (now().minus(2 * HOUR), now().plus(24 * HOUR));
    // What is new in the ERP is no matter here.
    for (name, at) in [("full:seen:product", before), ("full:out:product", later)] {
        let at = at.to_utc().to_rfc3339();
        let shop = main_shop();
        let cursor = both.bench.store.set_cursor(&shop, name, &at, now());
        cursor.await.unwrap();
    }
    let values = json!([[["product_tmpl_id", "=", template], ["name", "=", "M"]], ["name"]]);
    let values = both.bench.in_the_erp(VALUE, "search_read", values);
    let written = both.bench.erp.as_admin_since(
        now().minus(HOUR).to_utc(),
        VALUE,
        "write",
        json!([[values[0]["id"]], { "price_extra": 5 }]),
        json!({}),
    );
    written.unwrap();
}

/// The rows about the variant's price.
fn price(rows: &[DriftRow]) -> Option<(DriftFate, Option<Direction>)> {
    let row = rows.iter().find(|row| row.field.as_deref() == Some("price"))?;
    Some((row.fate, row.direction))
}

const SENT: Option<(DriftFate, Option<Direction>)> = Some((DriftFate::Repaired, Some(Direction::Out)));

#[tokio::test]
async fn a_change_that_a_job_held_up_is_sent_by_the_next_run() {
    let both = Damaged::new(true).await;
    let (product, template) = settled(&both).await;
    price_of_an_hour_ago(&both, template).await;
    let job = both.bench.claim(Object::Product, product).await;
    let (_, rows) = both.run(Object::Product).await;
    assert_eq!(price(&rows), None, "{rows:?}");
    assert!(rows.iter().any(|row| row.fate == DriftFate::InWork), "{rows:?}");
    ended(&both, job, JobState::Completed).await;
    let (_, rows) = both.run(Object::Product).await;
    assert_eq!(price(&rows), SENT, "{rows:?}");
    // It is decided, and the run after looks from its own time on.
    both.bench.drain().await;
    let seen = known(&both, "full:seen:product").await.unwrap();
    assert!(
        Timestamp::parse_rfc3339(&seen).unwrap() > now().minus(HOUR / 2),
        "{seen}"
    );
}

#[tokio::test]
async fn a_change_of_a_record_that_could_not_be_compared_is_sent_by_the_next_run() {
    for is_stale in [false, true] {
        let mut both = Damaged::new(true).await;
        let (product, template) = settled(&both).await;
        price_of_an_hour_ago(&both, template).await;
        let engine = both.bench.engine.clone();
        // It cannot be read, or changed after it was listed.
        both = both.through(|shop| Broken {
            hidden: (!is_stale).then_some(product),
            is_stale,
            ..Broken::whole(shop)
        });
        let (report, rows) = both.run(Object::Product).await;
        assert_eq!(price(&rows), None, "{rows:?}");
        let told = (
            report.looked.left_to_events,
            report.of_fate(DriftFate::Unexplained),
        );
        assert_eq!(told, if is_stale { (1, 0) } else { (0, 1) });
        both.bench.engine = engine;
        let (_, rows) = both.run(Object::Product).await;
        assert_eq!(price(&rows), SENT, "stale: {is_stale}, {rows:?}");
    }
}

#[tokio::test]
async fn a_change_is_sent_though_a_person_gave_up_what_the_shop_changed() {
    let both = Damaged::new(true).await;
    both.moved.fetch_sub(7_200, Ordering::SeqCst);
    let (product, template) = settled(&both).await;
    let title = |product: &mut crate::sandbox::shopify::facts::Product| product.title = "Cup".into();
    both.bench
        .shop
        .change(|shop| shop.edit_product(product, title))
        .unwrap();
    let job = both.bench.claim(Object::Product, product).await;
    let id = job.id;
    ended(&both, job, JobState::Problem).await;
    both.give_up(id).await;
    price_of_an_hour_ago(&both, template).await;
    let (_, rows) = both.run(Object::Product).await;
    assert_eq!(price(&rows), SENT, "{rows:?}");
    let others: Vec<_> = rows
        .iter()
        .filter(|row| row.field.as_deref() != Some("price"))
        .map(|row| (row.fate, row.why.as_deref(), row.job))
        .collect();
    let left = (DriftFate::LeftAlone, Some("discarded_by_a_person"), Some(id));
    assert_eq!(others, [left], "what the shop changed stays given up: {rows:?}");
}

#[tokio::test]
async fn a_new_variant_is_sent_whatever_became_of_the_products_way_in() {
    for is_given_up in [false, true] {
        let both = Damaged::new(true).await;
        both.moved.fetch_sub(7_200, Ordering::SeqCst);
        let (product, template) = settled(&both).await;
        sent_since_long_ago(&both, Object::Product).await;
        super::sent::add_size(&both, template);
        let job = both.bench.claim(Object::Product, product).await;
        let id = job.id;
        ended(&both, job, JobState::Problem).await;
        if is_given_up {
            both.give_up(id).await;
        }
        let (_, rows) = both.run(Object::Product).await;
        let new = rows.iter().find(|row| row.field.as_deref() == Some("create"));
        assert_eq!(
            new.map(|row| (row.class, row.fate, row.direction)),
            Some((
                DriftClass::MissingOnShopify,
                DriftFate::Repaired,
                Some(Direction::Out)
            )),
            "given up: {is_given_up}, {rows:?}"
        );
    }
}

#[tokio::test]
async fn what_is_forgotten_while_a_run_looks_stays_forgotten() {
    let both = Damaged::new(true).await;
    both.customer("Ada").await;
    both.run(Object::Customer).await;
    for name in ["full:out:customer", "full:seen:customer"] {
        assert!(known(&both, name).await.is_some(), "{name}");
    }
    let gate = Arc::new(Gate::default());
    let both = both.through(|shop| Broken {
        gate: Some(Arc::clone(&gate)),
        ..Broken::whole(shop)
    });
    let switched_off = async {
        gate.arrived.notified().await;
        forget_sent(&both.bench.store, &main_shop(), Object::Customer, now())
            .await
            .unwrap();
        gate.open.add_permits(1);
    };
    futures_util::future::join(both.run(Object::Customer), switched_off).await;
    for name in ["full:out:customer", "full:seen:customer"] {
        assert_eq!(known(&both, name).await, None, "{name}");
    }
}

#[tokio::test]
async fn a_run_that_began_before_its_way_out_was_switched_off_sends_nothing() {
    let both = Damaged::new(true).await;
    let (_, partner) = both.customer("Ada").await;
    let sent = both.bench.send(Object::Customer, partner).await;
    assert_eq!(sent.0, JobState::Completed, "{sent:?}");
    let file = NodeFile {
        node: "test".to_owned(),
        hash: "another".to_owned(),
        summary: String::new(),
        toggles: json!({ "main": { "customers": { "in": "on", "out": "off" } } }),
    };
    let standing = both.bench.store.config_revision(file, TakenUp::Saved, now());
    standing.await.unwrap();
    both.write("res.partner", partner, json!({ "city": "Rome" }));
    let rows = both.is_quiet(Object::Customer).await;
    let row = rows.iter().find(|row| row.field.as_deref() == Some("city"));
    let row = row.unwrap_or_else(|| panic!("{rows:?}"));
    assert_eq!(
        (row.fate, row.why.as_deref()),
        (DriftFate::LeftAlone, Some("toggle_off"))
    );
    for name in ["full:out:customer", "full:seen:customer"] {
        assert_eq!(known(&both, name).await, None, "{name}");
    }
}

#[tokio::test]
async fn the_first_run_notes_since_when_whatever_it_finds() {
    let both = Damaged::new(true).await;
    let all = both.bench.in_the_erp("product.template", "search", json!([[]]));
    both.bench
        .in_the_erp("product.template", "write", json!([all, { "active": false }]));
    let dry = FullRun {
        dry_run: true,
        ..FullRun::of(Object::Product, "test")
    };
    both.run_as(dry).await;
    assert_eq!(known(&both, "full:out:product").await, None);
    both.run(Object::Product).await;
    assert!(known(&both, "full:out:product").await.is_some());
}

#[tokio::test]
async fn a_job_about_a_record_that_moved_is_not_made_again_once_it_was_given_up() {
    for object in [Object::Customer, Object::Product] {
        let both = Damaged::new(true).await;
        // No time tells that the person answered: the shop changed it later.
        both.moved.fetch_add(3_600, Ordering::SeqCst);
        let (model, record, field) = match object {
            Object::Customer => {
                let (_, partner) = both.customer("Ada").await;
                let sent = both.bench.send(Object::Customer, partner).await;
                assert_eq!(sent.0, JobState::Completed, "{sent:?}");
                ("res.partner", partner, "city")
            }
            _ => ("product.template", settled(&both).await.1, "name"),
        };
        both.run(object).await;
        let run = async || {
            let (_, rows) = both.run(object).await;
            let of_it = rows.into_iter().filter(|row| row.erp_id == Some(ErpId(record)));
            of_it.collect::<Vec<_>>()
        };
        let mut last = None;
        for value in ["Rome", "Oslo"] {
            both.write(model, record, json!({ field: value }));
            let rows = run().await;
            assert_eq!(rows.len(), 1, "{rows:?}");
            assert_eq!(
                (rows[0].fate, rows[0].direction),
                (DriftFate::Repaired, Some(Direction::Out))
            );
            assert_ne!(rows[0].job, last, "{value} is another change");
            last = rows[0].job;
            both.give_up(last.unwrap()).await;
            for _ in 0..2 {
                let rows = run().await;
                assert_eq!(rows.len(), 1, "{rows:?}");
                assert_eq!((rows[0].fate, rows[0].job), (DriftFate::LeftAlone, last));
                assert_eq!(rows[0].why.as_deref(), Some("discarded_by_a_person"));
            }
        }
    }
}

#[tokio::test]
async fn of_many_old_variants_the_first_are_listed_and_a_new_one_is_sent() {
    let both = Damaged::new(true).await;
    let (_, template) = settled(&both).await;
    let long_ago = |text: &str| Timestamp::parse_rfc3339(text).unwrap().to_utc();
    for size in ["L", "XL", "XXL"] {
        super::sent::add_size_at(&both, template, size, Some(long_ago("2020-01-01T00:00:00Z")));
    }
    let (store, shop) = (&both.bench.store, main_shop());
    let since = store.set_cursor(&shop, "full:out:product", "2025-01-01T00:00:00Z", now());
    since.await.unwrap();
    super::sent::add_size_at(&both, template, "XXXL", None);
    let (report, rows) = both.run(Object::Product).await;
    let old = |row: &&DriftRow| row.why.as_deref() == Some("older_than_the_way_out");
    let listed = rows.iter().filter(old).count() as u64;
    assert_eq!(listed, 2, "{rows:?}");
    assert!(
        rows.iter()
            .any(|row| row.fate == DriftFate::Repaired && row.class == DriftClass::MissingOnShopify),
        "{rows:?}"
    );
    let left = rows.iter().filter(|row| row.fate == DriftFate::LeftAlone).count() as u64;
    assert_eq!(
        report.of_fate(DriftFate::LeftAlone),
        left + 1,
        "the others are counted"
    );
}

#[tokio::test]
async fn an_erp_that_asks_for_patience_while_it_is_asked_what_goes_out_gets_it() {
    let both = Damaged::new(true).await;
    let (_, template) = settled(&both).await;
    price_of_an_hour_ago(&both, template).await;
    let fault = crate::sandbox::odoo::Fault::Http {
        status: 429,
        retry_after: Some(90),
    };
    // The first two calls ask what was written last, and what was written since; the third is the way out's own.
    let rule = crate::sandbox::odoo::Rule::new(fault).model("product.template.attribute.value");
    both.bench.erp.faults().add(rule.skip(2).always());
    let failed = both
        .try_run(FullRun::of(Object::Product, "test"))
        .await
        .unwrap_err();
    assert!(matches!(failed, RunError::Erp { .. }), "{failed:?}");
    assert_eq!(failed.retry_after(), Some(Duration::from_secs(90)));
}

#[tokio::test]
async fn what_is_left_aside_or_to_its_events_is_not_in_step() {
    let both = Damaged::new(false).await;
    let (ada, _) = both.customer("Ada").await;
    let (_, grace) = both.customer("Grace").await;
    both.later();
    let edit = |customer: &mut crate::sandbox::shopify::facts::Customer| {
        customer.last_name = Some("King".into());
    };
    both.bench
        .shop
        .change(|shop| shop.edit_customer(ada, edit))
        .unwrap();
    let later = FullRun {
        since: Some(now().plus(24 * HOUR)),
        dry_run: true,
        ..FullRun::of(Object::Customer, "test")
    };
    let (report, rows) = both.run_as(later).await;
    assert_eq!(
        (rows, report.looked.linked, report.looked.in_step),
        (Vec::new(), 2, 1)
    );
    // Grace is changed in the ERP while the shop is listed.
    let gate = Arc::new(Gate::default());
    let both = both.through(|shop| Broken {
        gate: Some(Arc::clone(&gate)),
        ..Broken::whole(shop)
    });
    let changed = async {
        gate.arrived.notified().await;
        let in_a_moment = now().plus(Duration::from_secs(5)).to_utc();
        let values = json!([[grace], { "city": "Rome" }]);
        let written = both
            .bench
            .erp
            .as_admin_since(in_a_moment, "res.partner", "write", values, json!({}));
        written.unwrap();
        gate.open.add_permits(1);
    };
    let ((report, _), ()) = futures_util::future::join(both.run_as(later), changed).await;
    let looked = report.looked;
    assert_eq!((looked.linked, looked.left_to_events, looked.in_step), (2, 1, 0));
}
