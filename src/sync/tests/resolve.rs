//! Fields that both sides changed, where the mapping leaves the choice to a person.

use serde_json::json;

use super::bench::*;
use super::out::{completed, read, theirs, write};
use super::*;
use crate::domain::LinkKind;
use crate::store::{JobFilter, JobRow};
use crate::sync::{CHANGED_ON_BOTH_SIDES, ChooseError, Conflict, Keep, choose};

const TRUTH: &str = "truth = \"shopify\"";
const HOLD: &str = "truth = \"hold\"";

async fn held_bench() -> Bench {
    let files = [
        "product.in.toml",
        "product.out.toml",
        "customer.in.toml",
        "customer.out.toml",
    ];
    let changes: Vec<(&str, &str, &str)> = files.into_iter().map(|file| (file, TRUTH, HOLD)).collect();
    Bench::both_ways(Version::V18, &changes).await
}

fn title(bench: &Bench, product: u64) -> String {
    bench
        .shop
        .read(|shop| shop.product(product).unwrap().title.clone())
}

fn retitle(bench: &Bench, product: u64, title: &str) {
    let edited = bench
        .shop
        .change(|shop| shop.edit_product(product, |product| product.title = title.into()));
    edited.unwrap();
}

/// The job that asks.
async fn asking(bench: &Bench) -> JobRow {
    let filter = JobFilter {
        states: vec![JobState::Problem],
        ..JobFilter::default()
    };
    let jobs = bench.store.jobs(filter).await.unwrap();
    assert_eq!(jobs.len(), 1);
    let job = jobs.into_iter().next().unwrap();
    assert_eq!(job.problem.as_ref().unwrap().code.0, CHANGED_ON_BOTH_SIDES);
    job
}

/// Chooses as a person does who was shown this job, and lets everything run that follows.
async fn choice(
    bench: &Bench,
    asked: &JobRow,
    keep: Keep,
    field: Option<&str>,
) -> Result<Vec<Conflict>, ChooseError> {
    let now = crate::domain::Clock::now(&SystemClock);
    let problem = asked.problem.as_ref().unwrap();
    let (chosen, note) = choose(&bench.store, (asked.id, &asked.key, problem), keep, field).await?;
    let shop = &asked.key.shop;
    bench
        .store
        .set_cursor(shop, &note.name, &note.value, now)
        .await
        .unwrap();
    bench.store.retry(asked.id, now).await.unwrap();
    bench.drain().await;
    Ok(chosen)
}

async fn is_quiet(bench: &Bench, object: Object, ours: u64, theirs: i64) {
    for _ in 0..2 {
        let back = completed(bench.sync(object, ours).await);
        assert!(back.ends_with("up to date"), "in: {back}");
        let there = completed(bench.send(object, theirs).await);
        assert!(there.ends_with("up to date"), "out: {there}");
    }
}

#[tokio::test]
async fn the_kept_value_goes_to_the_other_side_whichever_direction_asked() {
    for asks_out in [false, true] {
        for (keep, kept) in [(Keep::Shopify, "From the shop"), (Keep::Erp, "From the ERP")] {
            let case = format!("out asks: {asks_out}, {keep:?}");
            let bench = held_bench().await;
            let (product, _) = shirt(&bench);
            completed(bench.sync(Object::Product, product).await);
            let template = theirs(&bench, LinkKind::Product, product).await;
            let edit = json!({ "name": "From the ERP" });
            write(&bench, "product.template", template, edit);
            retitle(&bench, product, "From the shop");
            let (state, _) = if asks_out {
                bench.send(Object::Product, template).await
            } else {
                bench.sync(Object::Product, product).await
            };
            assert_eq!(state, JobState::Problem, "{case}");
            let asked = asking(&bench).await;
            let problem = asked.problem.as_ref().unwrap();
            let command = format!("lockstep jobs resolve {} --keep shopify", asked.id);
            assert!(problem.fix.contains(&command), "{case}: {}", problem.fix);
            let [shown] = &choice(&bench, &asked, keep, None).await.unwrap()[..] else {
                panic!("{case}");
            };
            assert_eq!(
                (shown.shopify.as_str(), shown.erp.as_str()),
                ("From the shop", "From the ERP"),
                "{case}"
            );
            assert_eq!(title(&bench, product), kept, "{case}");
            let there = read(&bench, "product.template", template);
            assert_eq!(there["name"], kept, "{case}");
            is_quiet(&bench, Object::Product, product, template).await;

            // The next edit of either side is no question.
            retitle(&bench, product, "Later");
            completed(bench.sync(Object::Product, product).await);
            let there = read(&bench, "product.template", template);
            assert_eq!(there["name"], "Later", "{case}");
            // And the next question is asked again, even with the same values.
            let edit = json!({ "name": "From the ERP" });
            write(&bench, "product.template", template, edit);
            retitle(&bench, product, "From the shop");
            let (state, _) = bench.sync(Object::Product, product).await;
            assert_eq!(state, JobState::Problem, "{case}");
        }
    }
}

#[tokio::test]
async fn where_the_way_in_is_off_a_choice_leaves_no_job_behind() {
    let mut bench = held_bench().await;
    let (product, _) = shirt(&bench);
    completed(bench.sync(Object::Product, product).await);
    let template = theirs(&bench, LinkKind::Product, product).await;
    let mut shop = super::out::safety::context(&bench);
    shop.not_in.insert(Object::Product);
    bench.engine = Engine::new([shop]);
    write(
        &bench,
        "product.template",
        template,
        json!({ "name": "From the ERP" }),
    );
    retitle(&bench, product, "From the shop");
    assert_eq!(bench.send(Object::Product, template).await.0, JobState::Problem);
    let asked = asking(&bench).await;
    choice(&bench, &asked, Keep::Shopify, None).await.unwrap();
    assert_eq!(title(&bench, product), "From the shop");
    let there = read(&bench, "product.template", template);
    assert_eq!(there["name"], "From the ERP");
    let (state, why) = bench.story(asked.id).await;
    assert_eq!(state, JobState::Completed);
    let why = why.unwrap();
    assert!(why.ends_with("`in` is off: the ERP keeps its value"), "{why}");
    let ins = bench.store.jobs(JobFilter::default()).await.unwrap();
    let ins = ins.iter().filter(|job| job.key.direction == Direction::In);
    assert_eq!(ins.count(), 1, "the first one");
}

#[tokio::test]
async fn a_choice_is_void_when_a_value_changed_since_it_was_shown() {
    for in_the_erp in [false, true] {
        let bench = held_bench().await;
        let (product, _) = shirt(&bench);
        completed(bench.sync(Object::Product, product).await);
        let template = theirs(&bench, LinkKind::Product, product).await;
        write(&bench, "product.template", template, json!({ "name": "E1" }));
        retitle(&bench, product, "S1");
        bench.sync(Object::Product, product).await;
        let asked = asking(&bench).await;
        if in_the_erp {
            write(&bench, "product.template", template, json!({ "name": "E2" }));
        } else {
            retitle(&bench, product, "S2");
        }
        choice(&bench, &asked, Keep::Shopify, None).await.unwrap();
        let again = asking(&bench).await;
        let detail = &again.problem.as_ref().unwrap().detail;
        let (ours, theirs) = if in_the_erp { ("S1", "E2") } else { ("S2", "E1") };
        assert_eq!(detail["shopify"], ours, "the new values are shown");
        assert_eq!(detail["erp"], theirs);
        assert_eq!(title(&bench, product), ours, "and nothing is written");
        assert_eq!(read(&bench, "product.template", template)["name"], theirs);
        choice(&bench, &again, Keep::Erp, None).await.unwrap();
        assert_eq!(title(&bench, product), theirs);
    }
}

#[tokio::test]
async fn all_fields_are_asked_at_once_and_each_may_be_answered_by_itself() {
    let bench = held_bench().await;
    let (product, variants) = shirt(&bench);
    completed(bench.sync(Object::Product, product).await);
    let template = theirs(&bench, LinkKind::Product, product).await;
    write(&bench, "product.template", template, json!({ "name": "E" }));
    for (n, variant) in variants.iter().take(2).enumerate() {
        let variant = theirs(&bench, LinkKind::Variant, *variant).await;
        write(
            &bench,
            "product.product",
            variant,
            json!({ "barcode": format!("400000000000{n}") }),
        );
    }
    let edited = bench.shop.change(|shop| {
        shop.edit_product(product, |product| {
            product.title = "S".into();
            for (n, variant) in product.variants.iter_mut().take(2).enumerate() {
                variant.barcode = Some(format!("500000000000{n}"));
            }
        })
    });
    edited.unwrap();
    bench.sync(Object::Product, product).await;
    let asked = asking(&bench).await;
    let fields = asked.problem.as_ref().unwrap().detail["fields"].clone();
    let fields: Vec<Conflict> = serde_json::from_value(fields).unwrap();
    let names: Vec<&str> = fields.iter().map(|conflict| conflict.field.as_str()).collect();
    assert_eq!(names, ["name", "barcode", "barcode"]);

    let unknown = choice(&bench, &asked, Keep::Erp, Some("title")).await;
    assert!(matches!(unknown, Err(ChooseError::NoSuchField { known, .. }) if known == ["name", "barcode"]));
    choice(&bench, &asked, Keep::Erp, Some("name")).await.unwrap();
    let asked = asking(&bench).await;
    assert_eq!(title(&bench, product), "S", "nothing before all is answered");
    choice(&bench, &asked, Keep::Shopify, Some("barcode"))
        .await
        .unwrap();
    assert_eq!(title(&bench, product), "E");
    assert_eq!(read(&bench, "product.template", template)["name"], "E");
    for (n, variant) in variants.iter().take(2).enumerate() {
        let barcode = format!("500000000000{n}");
        let there = theirs(&bench, LinkKind::Variant, *variant).await;
        assert_eq!(read(&bench, "product.product", there)["barcode"], barcode);
        let here = bench
            .shop
            .read(|shop| shop.product(product).unwrap().variants[n].barcode.clone());
        assert_eq!(here, Some(barcode));
    }
    is_quiet(&bench, Object::Product, product, template).await;
}

#[tokio::test]
async fn of_two_variants_with_the_same_field_each_is_answered_by_itself() {
    let bench = held_bench().await;
    let (product, variants) = shirt(&bench);
    completed(bench.sync(Object::Product, product).await);
    let template = theirs(&bench, LinkKind::Product, product).await;
    for (n, variant) in variants.iter().take(2).enumerate() {
        let variant = theirs(&bench, LinkKind::Variant, *variant).await;
        let edit = json!({ "barcode": format!("400000000000{n}") });
        write(&bench, "product.product", variant, edit);
    }
    let edited = bench.shop.change(|shop| {
        shop.edit_product(product, |product| {
            for (n, variant) in product.variants.iter_mut().take(2).enumerate() {
                variant.barcode = Some(format!("500000000000{n}"));
            }
        })
    });
    edited.unwrap();
    bench.sync(Object::Product, product).await;
    let shown = |asked: &JobRow| -> Vec<Conflict> {
        let fields = asked.problem.as_ref().unwrap().detail["fields"].clone();
        serde_json::from_value(fields).unwrap()
    };
    let asked = asking(&bench).await;
    let rows = shown(&asked);
    assert_eq!(rows.len(), 2, "{rows:?}");
    let first = rows[0].row();
    let chosen = choice(&bench, &asked, Keep::Shopify, Some(&first)).await.unwrap();
    assert_eq!(chosen, rows[..1]);
    let asked = asking(&bench).await;
    assert_eq!(shown(&asked), rows[1..], "the other one is still asked about");
    let second = rows[1].row();
    choice(&bench, &asked, Keep::Erp, Some(&second)).await.unwrap();
    for (n, variant) in variants.iter().take(2).enumerate() {
        let ours = format!("500000000000{n}");
        let kept = if rows[0].shopify == ours {
            ours
        } else {
            format!("400000000000{n}")
        };
        let there = theirs(&bench, LinkKind::Variant, *variant).await;
        assert_eq!(read(&bench, "product.product", there)["barcode"], kept);
        let here = bench
            .shop
            .read(|shop| shop.product(product).unwrap().variants[n].barcode.clone());
        assert_eq!(here, Some(kept));
    }
    is_quiet(&bench, Object::Product, product, template).await;
}

#[tokio::test]
async fn people_are_chosen_about_likewise() {
    for (keep, kept) in [(Keep::Shopify, "+4930111111"), (Keep::Erp, "+4930222222")] {
        let bench = held_bench().await;
        let customer = ada(&bench);
        completed(bench.sync(Object::Customer, customer).await);
        let partner = theirs(&bench, LinkKind::Customer, customer).await;
        let edit = |customer: &mut crate::sandbox::shopify::facts::Customer| {
            customer.phone = Some("+4930111111".into());
        };
        bench
            .shop
            .change(|shop| shop.edit_customer(customer, edit))
            .unwrap();
        write(&bench, "res.partner", partner, json!({ "phone": "+4930222222" }));
        bench.sync(Object::Customer, customer).await;
        let asked = asking(&bench).await;
        choice(&bench, &asked, keep, None).await.unwrap();
        assert_eq!(read(&bench, "res.partner", partner)["phone"], kept);
        let here = bench
            .shop
            .read(|shop| shop.customer(customer).unwrap().phone.clone());
        assert_eq!(here.as_deref(), Some(kept));
        is_quiet(&bench, Object::Customer, customer, partner).await;
    }
}
