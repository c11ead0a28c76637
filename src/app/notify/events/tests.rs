//! Which notifications are made of what happened.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::*;
use crate::domain::{
    About, ErpAbout, ErpId, Fact, Fence, Happening, JobId, JobKey, Object, ProblemCode, Related,
    SeededEntropy, ShopifyId,
};
use crate::notify::{Expression, ExpressionError, Expressions, Includes, Known, Settings};
use crate::store::{ClaimedJob, RunOutcome};

const AT: Timestamp = Timestamp::from_millis(1_700_000_000_000);

/// The endpoints of these tests read no expressions.
struct NoExpressions;

impl Expressions for NoExpressions {
    fn compile(
        &self,
        text: &str,
        _: &[(&'static str, crate::domain::Shape)],
    ) -> Result<Arc<dyn Expression>, ExpressionError> {
        panic!("{text}")
    }
}

fn shop() -> ShopName {
    "main".parse().unwrap()
}

/// For endpoints with these lines each.
pub(in crate::app) fn events(endpoints: &[&str]) -> Events {
    let mut text = String::new();
    for (n, lines) in endpoints.iter().enumerate() {
        writeln!(
            text,
            "[endpoints.e{n}]\nurl = 'https://hooks.example.com/{n}'\n{lines}"
        )
        .unwrap();
    }
    let settings: Settings = toml::from_str(&text).unwrap_or_else(|error| panic!("{error}"));
    let (endpoints, flaws) = settings.check(&Known {
        shops: &BTreeSet::from([shop()]),
        expressions: &NoExpressions,
    });
    assert!(flaws.iter().all(|flaw| flaw.is_warning), "{flaws:?}");
    let places = ("main-store.myshopify.com".to_owned(), "prod".to_owned());
    let audience = Audience::new(endpoints.into_iter().map(Arc::new).collect(), [(shop(), places)]);
    let (_, audience) = watch::channel(Arc::new(audience));
    Events::new(audience, Arc::new(SeededEntropy::new(5)))
}

fn job(object: Object, problem: Option<&str>) -> ClaimedJob {
    ClaimedJob {
        id: JobId(7),
        key: JobKey {
            shop: shop(),
            object,
            direction: Direction::In,
            source_id: "450789469".into(),
        },
        fence: Fence(1),
        failed_attempts: 0,
        attempt: 1,
        unclean_at: None,
        wanted_since: AT,
        triggered_at: None,
        record_name: None,
        import: None,
        problem: problem.map(str::to_owned),
        priority: crate::domain::Priority::LIVE,
    }
}

fn about() -> About {
    let record = Fact::Record([("name", Fact::Text("#1001".into()))].into_iter().collect());
    About {
        name: Some("#1001".into()),
        shopify: Some((ShopifyId(450_789_469), "Order")),
        erp: Some(ErpAbout::new("sale.order", ErpId(42))),
        record: Some(Arc::new(record)),
        ..About::new(Object::Order)
    }
}

fn synced(status: Carried) -> Happened {
    Happened {
        status: Some(status),
        changed: vec![Changed {
            field: "note".into(),
            old: Some(FieldValue::Clear),
            new: Some(FieldValue::Text("ring twice".into())),
        }],
        ..Happened::new(Happening::OrderSynced)
    }
}

fn problem(code: &str) -> NewProblem {
    NewProblem {
        code: ProblemCode::from(code),
        record: None,
        field: Some("tax".into()),
        reason: "No tax of 21 %.".into(),
        fix: "Make it.".into(),
        owner: "finance".into(),
        mapping: None,
        cluster: code.to_owned(),
        detail: Value::Null,
    }
}

fn told(events: &Events, job: &ClaimedJob, verdict: &Verdict, happened: &[Happened]) -> Vec<Notification> {
    let about = about();
    let ending = Ending {
        job,
        verdict,
        about: (job.key.object == Object::Order).then_some(&about),
        record_name: Some("#1001"),
        erp_name: Some("S00042"),
        happened,
        at: AT,
    };
    let told = events.of(&ending);
    told.iter()
        .map(|text| serde_json::from_str(text).unwrap())
        .collect()
}

#[test]
fn every_happening_is_an_event_of_the_same_kind_of_record() {
    for happening in Happening::ALL {
        let event: EventType = happening.as_str().parse().unwrap();
        if let Some(object) = event.object().filter(|_| event.as_str().ends_with(".synced")) {
            assert_eq!(Happening::synced(object), Some(*happening));
        }
    }
}

#[test]
fn an_order_is_told_with_both_references_and_what_was_asked_for_only() {
    let job = job(Object::Order, None);
    let happened = [synced(Carried::Created)];
    let tell = |endpoints: &[&str]| {
        let mut told = told(&events(endpoints), &job, &Verdict::Completed, &happened);
        assert_eq!(told.len(), 1, "one notification for all endpoints");
        told.remove(0)
    };
    let plain = tell(&["events = ['order.*']"]);
    let object = plain.object.as_ref().unwrap();
    assert_eq!(plain.status, Some(Status::Created));
    assert_eq!(plain.changed, ["note"]);
    assert_eq!(object.name.as_deref(), Some("#1001"));
    assert_eq!(
        object.shopify.as_ref().unwrap().gid,
        "gid://shopify/Order/450789469"
    );
    let erp = object.erp.as_ref().unwrap();
    assert_eq!((erp.model.as_str(), erp.id), ("sale.order", ErpId(42)));
    assert_eq!(
        erp.number.as_ref().map(|number| number.0.as_str()),
        Some("S00042")
    );
    let place = |place: &Option<Place>| place.as_ref().map(|place| place.name.clone());
    assert_eq!(place(&plain.source).as_deref(), Some("main-store.myshopify.com"));
    assert_eq!(place(&plain.destination).as_deref(), Some("prod"));
    assert_eq!(
        (&plain.record, &plain.values, &plain.related),
        (&None, &None, &None)
    );

    let whole = tell(&[
        "events = ['order.*']",
        "events = ['*']\ninclude = ['record', 'values']",
    ]);
    assert_eq!(whole.record.as_ref().unwrap()["name"], "#1001");
    assert_eq!(whole.values.as_ref().unwrap()[0].new, "ring twice");
}

#[test]
fn an_orders_customer_is_kept_with_what_is_told_whoever_gets_to_see_it() {
    let job = job(Object::Order, None);
    let customer = Related {
        kind: "customer",
        shopify: Some((ShopifyId(115_310), "Customer")),
        erp: None,
    };
    let about = About {
        related: vec![customer],
        ..about()
    };
    let events = events(&["events = ['order.*']"]);
    let ending = Ending {
        job: &job,
        verdict: &Verdict::Completed,
        about: Some(&about),
        record_name: None,
        erp_name: None,
        happened: &[synced(Carried::Created)],
        at: AT,
    };
    let kept: Notification = serde_json::from_str(&events.of(&ending)[0]).unwrap();
    let related = kept.related.clone().unwrap();
    // By this number it is found when the customer is to be forgotten.
    assert_eq!(
        related[0].shopify.as_ref().map(|customer| customer.number),
        Some(ShopifyId(115_310))
    );
    assert_eq!(kept.shown(Includes::default()).related, None);
}

#[test]
fn what_nobody_wants_is_not_made() {
    let happened = [synced(Carried::Created)];
    let order = job(Object::Order, None);
    for endpoints in [&[][..], &["events = ['product.*']"]] {
        assert!(told(&events(endpoints), &order, &Verdict::Completed, &happened).is_empty());
    }
}

#[test]
fn echoes_are_told_to_endpoints_that_ask_for_them() {
    let order = job(Object::Order, None);
    let happened = [synced(Carried::Skipped)];
    assert!(
        told(
            &events(&["events = ['*']"]),
            &order,
            &Verdict::Completed,
            &happened
        )
        .is_empty()
    );
    let asks = events(&["events = ['*']", "events = ['*']\nskipped = true"]);
    let told = told(&asks, &order, &Verdict::Completed, &happened);
    assert_eq!(told[0].status, Some(Status::Skipped));
}

#[test]
fn a_problem_is_told_once_until_it_is_over_or_another_one() {
    let all = events(&["events = ['sync.*']"]);
    let tax = problem("tax_not_found");
    let mark = tax.mark();
    let events_of = |known: Option<&str>, verdict: Verdict| {
        told(&all, &job(Object::Order, known), &verdict, &[])
            .into_iter()
            .map(|one| (one.event, one.status.unwrap()))
            .collect::<Vec<_>>()
    };
    let failed = [(EventType::SyncFailed, Status::Failed)];
    assert_eq!(events_of(None, Verdict::Problem(tax.clone())), failed);
    assert_eq!(events_of(Some(&mark), Verdict::Problem(tax.clone())), []);
    assert_eq!(
        events_of(Some(&mark), Verdict::Problem(problem("journal_missing"))),
        failed
    );
    assert_eq!(
        events_of(Some(&mark), Verdict::Held(problem("waits"))),
        [(EventType::SyncHeld, Status::Held)]
    );
    let retry = Verdict::Retry {
        at: AT,
        counts: true,
        system_down: None,
    };
    assert_eq!(events_of(Some(&mark), retry), []);
    let recovered = [(EventType::SyncRecovered, Status::Recovered)];
    assert_eq!(events_of(Some(&mark), Verdict::Completed), recovered);
    let reason = "deleted".to_owned();
    assert_eq!(events_of(Some(&mark), Verdict::Obsolete { reason }), recovered);
    assert_eq!(events_of(None, Verdict::Completed), []);

    let note = told(&all, &job(Object::Order, None), &Verdict::Problem(tax), &[]).remove(0);
    let note = note.problem.unwrap();
    assert_eq!(
        (note.code.as_str(), note.owner.as_str(), note.job),
        ("tax_not_found", "finance", Some(7))
    );
}

#[test]
fn a_record_that_was_never_read_is_named_by_its_job() {
    let all = events(&["events = ['sync.failed']"]);
    let job = job(Object::Customer, None);
    let verdict = Verdict::Problem(problem("shopify_scope_missing"));
    let object = told(&all, &job, &verdict, &[]).remove(0).object.unwrap();
    assert_eq!(object.shopify.unwrap().gid, "gid://shopify/Customer/450789469");
    assert_eq!(object.kind, Object::Customer);
}

#[test]
fn a_run_is_told_and_what_differs_only_where_something_does() {
    let all = events(&["events = ['run.finished', 'drift.found']"]);
    let shop = shop();
    let of = |kind, found, outcome| {
        let ended = RunEnded {
            run: 3,
            kind,
            shop: &shop,
            object: Object::Order,
            outcome,
            seen: 12,
            found,
            at: AT,
        };
        let told = all.of_run(&ended);
        told.iter()
            .map(|text| serde_json::from_str::<Notification>(text).unwrap())
            .map(|one| {
                let place = |place: Option<crate::notify::Place>| place.unwrap().name;
                assert_eq!(
                    (place(one.source), place(one.destination)),
                    ("main-store.myshopify.com".to_owned(), "prod".to_owned())
                );
                (
                    one.event,
                    one.detail["found"].as_u64(),
                    one.detail["outcome"].clone(),
                )
            })
            .collect::<Vec<_>>()
    };
    let finished = |found, outcome: &str| (EventType::RunFinished, found, Value::from(outcome));
    assert_eq!(
        of(RunKind::Full, Some(2), RunOutcome::Done),
        [
            finished(Some(2), "done"),
            (EventType::DriftFound, Some(2), Value::from("done"))
        ]
    );
    assert_eq!(
        of(RunKind::Full, Some(0), RunOutcome::Done),
        [finished(Some(0), "done")]
    );
    assert_eq!(
        of(RunKind::Delta, Some(2), RunOutcome::Done),
        [finished(Some(2), "done")]
    );
    assert_eq!(
        of(RunKind::Full, None, RunOutcome::Failed),
        [finished(None, "failed")]
    );
}
