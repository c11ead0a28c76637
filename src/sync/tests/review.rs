//! Plans wait for a person, and exactly what was approved of is written.

mod partners;
mod products;

use super::bench::*;
use super::*;
use crate::app::review::{Answered, Plan, Reviewer, plan_of};
use crate::domain::{Actor, LinkKind, Via};
use crate::sandbox::odoo::Fault;
use crate::store::{Acted, JobFilter, JobRow};
use crate::sync::{FirstTime, Manual, ReviewSettings, RuleTexts, Rules, ScopeSettings};

fn odoo() -> OdooOptions {
    OdooOptions {
        services: services(),
        ..OdooOptions::version(Version::V18)
    }
}

fn manual(lanes: &[(Object, Direction)]) -> Rules {
    let mut rules = Rules::default();
    for (object, direction) in lanes {
        rules.review_all(
            *object,
            *direction,
            Manual {
                owner: "anna".to_owned(),
                until: "2026-12-31".parse().unwrap(),
            },
        );
    }
    rules
}

fn reviewing(rule: &str, first_time: &[FirstTime]) -> Rules {
    let review = ReviewSettings {
        orders: RuleTexts {
            inward: (!rule.is_empty()).then(|| rule.to_owned()),
            outward: None,
        },
        first_time: first_time.to_vec(),
        ..ReviewSettings::default()
    };
    Rules::new(&ScopeSettings::default(), &review).unwrap()
}

fn anna(bench: &Bench) -> Reviewer {
    let clock: SharedClock = Arc::new(SystemClock);
    Reviewer::new(bench.store.clone(), clock, Actor::new("anna", Via::Cli))
}

async fn job_of(bench: &Bench, key: &JobKey) -> JobRow {
    let filter = JobFilter {
        object: Some(key.object),
        direction: Some(key.direction),
        source_id: Some(key.source_id.clone()),
        limit: 1,
        ..JobFilter::default()
    };
    bench.store.jobs(filter).await.unwrap().remove(0)
}

async fn waiting(bench: &Bench, key: &JobKey) -> (JobRow, Plan) {
    let job = job_of(bench, key).await;
    let plan = plan_of(&job).unwrap_or_else(|| panic!("it does not wait: {job:?}"));
    (job, plan)
}

async fn approve(bench: &Bench, job: JobId, plan: &str) -> Answered {
    anna(bench).approve_plan(job, Some(plan), None).await.unwrap()
}

fn counts(answered: &Answered) -> bool {
    matches!(answered, Answered::Counts(acted) if acted.is_change())
}

fn rename(bench: &Bench, customer: u64, last_name: &str) {
    let edit = |customer: &mut crate::sandbox::shopify::facts::Customer| {
        customer.last_name = Some(last_name.to_owned());
    };
    bench
        .shop
        .change(|shop| shop.edit_customer(customer, edit))
        .unwrap();
}

fn booked_orders(bench: &Bench) -> usize {
    bench.erp.ledger().orders().len()
}

#[tokio::test]
async fn an_order_waits_with_its_plan_and_is_written_as_approved_once() {
    let bench = Bench::adjusted(odoo(), |shop| {
        shop.rules = manual(&[(Object::Order, Direction::In)]);
    })
    .await;
    let (product, variants) = shirt(&bench);
    bench.sync(Object::Product, product).await;
    let (id, name) = order(&bench, everyday(Buyer::Customer(ada(&bench)), variants[0]));
    let (state, why) = bench.sync(Object::Order, id).await;
    assert_eq!(state, JobState::Held, "{why:?}");
    let key = bench.key(Object::Order, id);
    let (job, plan) = waiting(&bench, &key).await;
    assert_eq!(job.problem.as_ref().unwrap().owner, "anna");
    assert_eq!(job.record_name.as_deref(), Some(name.as_str()));
    let actions: Vec<(&str, &str)> = plan
        .writes
        .iter()
        .map(|write| (write.action.as_str(), write.model.as_str()))
        .collect();
    assert!(actions.contains(&("create", "res.partner")), "{actions:?}");
    assert!(actions.contains(&("create", "sale.order")), "{actions:?}");
    assert_eq!(booked_orders(&bench), 0);
    assert!(bench.link(LinkKind::Customer, 1).await.is_none());
    // A new event plans anew and stays held.
    assert_eq!(bench.sync(Object::Order, id).await.0, JobState::Held);
    let (again, same) = waiting(&bench, &key).await;
    assert_eq!((again.id, &same.plan), (job.id, &plan.plan));
    assert!(!same.changed);
    // A yes to another plan is none.
    assert_eq!(approve(&bench, job.id, "another").await, Answered::Changed);
    assert!(counts(&approve(&bench, job.id, &plan.plan).await));
    // Two people at once: the second one changes nothing.
    let second = approve(&bench, job.id, &plan.plan).await;
    assert!(
        matches!(second, Answered::Counts(Acted::Already) | Answered::NotWaiting(_)),
        "{second:?}"
    );
    bench.drain().await;
    let (state, why) = bench.story(job.id).await;
    assert_eq!(state, JobState::Completed, "{why:?}");
    bench.booked(&name);
    assert_eq!(booked_orders(&bench), 1);
    let audit = bench
        .store
        .audit(crate::store::AuditFilter::default())
        .await
        .unwrap();
    let lines: Vec<(&str, &str)> = audit
        .iter()
        .map(|row| (row.action.as_str(), row.subject.as_str()))
        .collect();
    assert_eq!(lines, [("approve", format!("job:{}", job.id).as_str())]);
    // With nothing left to write, nothing waits.
    let (state, why) = bench.sync(Object::Order, id).await;
    assert_eq!(state, JobState::Completed, "{why:?}");
}

#[tokio::test]
async fn an_approval_is_void_when_the_record_changed() {
    let bench = Bench::adjusted(odoo(), |shop| {
        shop.rules = manual(&[(Object::Customer, Direction::In)]);
    })
    .await;
    let customer = ada(&bench);
    let key = bench.key(Object::Customer, customer);
    assert_eq!(bench.sync(Object::Customer, customer).await.0, JobState::Held);
    let (job, plan) = waiting(&bench, &key).await;
    assert!(counts(&approve(&bench, job.id, &plan.plan).await));
    rename(&bench, customer, "King");
    bench.drain().await;
    let (job, other) = waiting(&bench, &key).await;
    assert!(other.changed && other.plan != plan.plan);
    assert!(
        job.problem
            .unwrap()
            .reason
            .contains("changed after its plan was approved")
    );
    assert!(
        bench.link(LinkKind::Customer, customer).await.is_none(),
        "nothing is written"
    );
    // The old plan is approved of no more, even if somebody still has it before them.
    assert_eq!(approve(&bench, job.id, &plan.plan).await, Answered::Changed);
    assert!(counts(&approve(&bench, job.id, &other.plan).await));
    bench.drain().await;
    assert_eq!(bench.story(job.id).await.0, JobState::Completed);
    assert!(bench.link(LinkKind::Customer, customer).await.is_some());
}

#[tokio::test]
async fn an_approval_is_for_one_time() {
    let bench = Bench::adjusted(odoo(), |shop| {
        shop.rules = manual(&[(Object::Customer, Direction::In)]);
    })
    .await;
    let customer = ada(&bench);
    let key = bench.key(Object::Customer, customer);
    for (last_name, expected) in [("A", 1), ("B", 2), ("A", 3), ("B", 4)] {
        rename(&bench, customer, last_name);
        assert_eq!(
            bench.sync(Object::Customer, customer).await.0,
            JobState::Held,
            "{expected}"
        );
        let (job, plan) = waiting(&bench, &key).await;
        assert!(counts(&approve(&bench, job.id, &plan.plan).await));
        bench.drain().await;
        assert_eq!(bench.story(job.id).await.0, JobState::Completed, "{expected}");
    }
}

#[tokio::test]
async fn a_rejected_plan_is_given_up_and_a_later_change_makes_a_new_one() {
    let bench = Bench::adjusted(odoo(), |shop| {
        shop.rules = manual(&[(Object::Customer, Direction::In)]);
    })
    .await;
    let customer = ada(&bench);
    let key = bench.key(Object::Customer, customer);
    assert_eq!(bench.sync(Object::Customer, customer).await.0, JobState::Held);
    let (job, plan) = waiting(&bench, &key).await;
    let answered = anna(&bench)
        .reject_plan(job.id, Some(&plan.plan), "not ours")
        .await
        .unwrap();
    assert_eq!(answered, Answered::Counts(Acted::Done));
    assert_eq!(bench.story(job.id).await.0, JobState::Discarded);
    assert_eq!(
        approve(&bench, job.id, &plan.plan).await,
        Answered::NotWaiting(JobState::Discarded)
    );
    assert_eq!(bench.sync(Object::Customer, customer).await.0, JobState::Held);
    assert_ne!(job_of(&bench, &key).await.id, job.id);
}

#[tokio::test]
async fn what_was_approved_goes_on_after_an_attempt_that_was_cut_short() {
    let bench = Bench::adjusted(odoo(), |shop| {
        shop.rules = manual(&[(Object::Order, Direction::In)]);
    })
    .await;
    let (product, variants) = shirt(&bench);
    bench.sync(Object::Product, product).await;
    let (id, name) = order(&bench, everyday(Buyer::Customer(ada(&bench)), variants[0]));
    bench.sync(Object::Order, id).await;
    let key = bench.key(Object::Order, id);
    let (job, plan) = waiting(&bench, &key).await;
    assert!(counts(&approve(&bench, job.id, &plan.plan).await));
    // The partner is made, then the ERP refuses the order once: what is left is a part of the plan.
    bench.erp.faults().on("sale.order", "load", Fault::CloseAfter);
    bench.drain().await;
    let (state, why) = bench.story(job.id).await;
    assert_ne!(state, JobState::Held, "{why:?}");
    assert_eq!(bench.erp.ledger().orders().len(), 1, "the ERP carried it out");
    // The tests' bench takes each failure for a problem: it is tried again, as the queue does it by itself.
    let clock: SharedClock = Arc::new(SystemClock);
    crate::app::jobs::retry(&bench.store, &clock, job.id)
        .await
        .unwrap();
    bench.drain().await;
    let (state, why) = bench.story(job.id).await;
    assert_eq!(state, JobState::Completed, "{why:?}");
    bench.booked(&name);
    assert_eq!(booked_orders(&bench), 1);
}

#[tokio::test]
async fn rules_have_only_some_orders_wait() {
    let bench = Bench::adjusted(odoo(), |shop| {
        shop.rules = reviewing("'check' in order.tags", &[]);
    })
    .await;
    let (product, variants) = shirt(&bench);
    bench.sync(Object::Product, product).await;
    let draft = everyday(Buyer::Customer(ada(&bench)), variants[0]);
    let mut checked = draft.clone();
    checked.tags = vec!["check".to_owned()];
    let (plain, _) = order(&bench, draft);
    let (checked, _) = order(&bench, checked);
    assert_eq!(bench.sync(Object::Order, plain).await.0, JobState::Completed);
    let (state, why) = bench.sync(Object::Order, checked).await;
    assert_eq!(state, JobState::Held);
    assert!(why.unwrap().contains("'check' in order.tags"));
}

#[tokio::test]
async fn a_country_is_new_until_an_order_from_there_was_carried_over() {
    let bench = Bench::adjusted(odoo(), |shop| {
        shop.rules = reviewing("", &[FirstTime::Country]);
    })
    .await;
    let (product, variants) = shirt(&bench);
    bench.sync(Object::Product, product).await;
    let buyer = ada(&bench);
    let (first, _) = order(&bench, everyday(Buyer::Customer(buyer), variants[0]));
    let (second, _) = order(&bench, everyday(Buyer::Customer(buyer), variants[0]));
    assert_eq!(bench.sync(Object::Order, first).await.0, JobState::Held);
    assert_eq!(bench.sync(Object::Order, second).await.0, JobState::Held);
    let (job, plan) = waiting(&bench, &bench.key(Object::Order, first)).await;
    assert!(plan.because[0].contains("country DE"), "{plan:?}");
    assert!(counts(&approve(&bench, job.id, &plan.plan).await));
    bench.drain().await;
    assert_eq!(bench.story(job.id).await.0, JobState::Completed);
    assert_eq!(bench.sync(Object::Order, second).await.0, JobState::Completed);
}

#[tokio::test]
async fn plans_of_the_way_back_wait_and_are_carried_out_once() {
    let bench = Bench::adjusted(odoo(), |shop| {
        shop.out = BTreeSet::from([Object::Customer]);
        shop.rules = manual(&[(Object::Customer, Direction::Out)]);
    })
    .await;
    let values = serde_json::json!({ "name": "Ada", "email": "ada@example.com", "customer_rank": 1 });
    let partner = bench.made_in_the_erp("res.partner", values);
    let key = JobKey::of_erp(
        &"main".parse().unwrap(),
        Object::Customer,
        crate::domain::ErpId(partner),
    );
    let (state, why) = bench.send(Object::Customer, partner).await;
    assert_eq!(state, JobState::Held, "{why:?}");
    assert!(bench.shop.ledger().customers.is_empty());
    let (job, plan) = waiting(&bench, &key).await;
    assert_eq!(plan.writes[0].action, "create");
    assert!(counts(&approve(&bench, job.id, &plan.plan).await));
    // The partner changes before the job runs: the plan is another one.
    bench.in_the_erp(
        "res.partner",
        "write",
        serde_json::json!([[partner], { "name": "Ada King" }]),
    );
    bench.drain().await;
    let (job, other) = waiting(&bench, &key).await;
    assert!(other.changed && bench.shop.ledger().customers.is_empty());
    assert!(counts(&approve(&bench, job.id, &other.plan).await));
    bench.drain().await;
    let (state, why) = bench.story(job.id).await;
    assert_eq!(state, JobState::Completed, "{why:?}");
    assert_eq!(bench.shop.ledger().customers.len(), 1);
}

#[tokio::test]
async fn what_a_plan_cannot_show_is_not_written_unasked() {
    let bench = Bench::adjusted(odoo(), |shop| {
        shop.rules = manual(&[(Object::Order, Direction::In)]);
    })
    .await;
    let (_, variants) = shirt(&bench);
    let (id, _) = order(&bench, everyday(Buyer::Customer(ada(&bench)), variants[0]));
    let claimed = bench.claim(Object::Order, id).await;
    let shop = bench.engine.shop(&"main".parse().unwrap()).unwrap();
    let subject = Subject {
        record: None,
        owner: "operator".to_owned(),
        mapping: None,
    };
    let writes = Writes::default();
    let mappings = Arc::clone(&shop.mappings.borrow());
    let mut flow = Flow::new(shop, &claimed, mappings, subject, &writes);
    flow.unasked = vec!["all plans wait".to_owned()];
    let Err(Stop::Held(problem)) = flow.write(async { Ok::<_, crate::erp::ErpError>(()) }).await else {
        panic!("it is written");
    };
    let plan = Plan::of(&problem).unwrap();
    assert_eq!(plan.because, ["all plans wait"]);
    assert!(!plan.is_empty() && !plan.plan.is_empty());
    flow.approved = true;
    assert!(
        flow.write(async { Ok::<_, crate::erp::ErpError>(()) })
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn a_rehearsal_knows_of_the_company_what_the_attempt_knows() {
    let bench = Bench::adjusted(odoo(), |shop| shop.out = BTreeSet::from([Object::Customer])).await;
    let shop = bench.engine.shop(&"main".parse().unwrap()).unwrap();
    let job = crate::sync::preview::nobodys_job(shop, Object::Customer, Direction::In, "1".to_owned());
    let subject = Subject {
        record: None,
        owner: "operator".to_owned(),
        mapping: None,
    };
    let writes = Writes::default();
    let mappings = Arc::clone(&shop.mappings.borrow());
    let mut flow = Flow::new(shop, &job, mappings, subject, &writes);
    flow.learn().await.unwrap();
    let known = format!("{:?}", flow.settings_fact(None));
    assert!(known.contains("\"DE\""), "{known}");
    assert_eq!(
        format!("{:?}", flow.rehearsed(&writes).settings_fact(None)),
        known
    );
}

#[tokio::test]
async fn stock_waits_with_its_levels() {
    let bench = Bench::adjusted(odoo(), |shop| {
        shop.out = BTreeSet::from([Object::Inventory]);
        shop.rules = manual(&[(Object::Inventory, Direction::Out)]);
    })
    .await;
    let (product, variants) = shirt(&bench);
    let (state, why) = bench.sync(Object::Product, product).await;
    assert_eq!(state, JobState::Completed, "{why:?}");
    let template = bench.link(LinkKind::Product, product).await.unwrap().erp_id;
    let variant = bench.link(LinkKind::Variant, variants[0]).await.unwrap().erp_id;
    bench.erp.set_stock(variant.0, None, 12).unwrap();
    let key = JobKey::of_erp(&"main".parse().unwrap(), Object::Inventory, template);
    let (state, why) = bench.carry_out(key.clone()).await;
    assert_eq!(state, JobState::Held, "{why:?}");
    let (job, plan) = waiting(&bench, &key).await;
    assert!(!plan.writes.is_empty());
    assert!(
        plan.writes.iter().all(|write| write.model == "inventory level"),
        "{plan:?}"
    );
    assert!(counts(&approve(&bench, job.id, &plan.plan).await));
    bench.drain().await;
    let (state, why) = bench.story(job.id).await;
    assert_eq!(state, JobState::Completed, "{why:?}");
}

#[tokio::test]
async fn an_approval_stands_until_an_end_is_on_record() {
    let bench = Bench::adjusted(odoo(), |shop| {
        shop.rules = manual(&[(Object::Customer, Direction::In)]);
    })
    .await;
    let customer = ada(&bench);
    let key = bench.key(Object::Customer, customer);
    assert_eq!(bench.sync(Object::Customer, customer).await.0, JobState::Held);
    let (waits, plan) = waiting(&bench, &key).await;
    assert!(counts(&approve(&bench, waits.id, &plan.plan).await));
    let name = format!("plan:in:customer:{customer}");
    let kept = async || {
        let text = bench.store.cursor(&key.shop, &name).await.unwrap();
        text.unwrap_or_default()
    };
    let job = bench.claim(Object::Customer, customer).await;
    let report = bench.engine.attempt(job.clone(), CancellationToken::new()).await;
    assert!(matches!(report.outcome, Outcome::Completed), "{report:?}");
    assert_ne!(kept().await, "", "the process may die before this is saved");
    let ended = bench.store.finish(finish(job.id, job.fence, report)).await;
    assert!(matches!(ended.unwrap(), Finished::Done(_)));
    let (state, why) = bench.sync(Object::Customer, customer).await;
    assert_eq!(state, JobState::Completed, "{why:?}");
    assert_eq!(kept().await, "", "what comes now is asked anew");
}
