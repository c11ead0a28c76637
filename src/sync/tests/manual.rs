//! Orders that a person entered into the ERP.

use serde_json::json;

use super::bench::*;
use super::*;
use crate::domain::{Actor, ErpId, Link, LinkKind, LinkState, ShopifyId, Via};
use crate::sandbox::shopify::draft::OrderEdit;
use crate::store::{Act, Acted, Action, JobFilter, JobName};
use crate::sync::{ReviewSettings, RuleTexts, Rules, ScopeSettings};

/// A person says that the order stands in the ERP under this id.
async fn resolve(bench: &Bench, order: u64, erp_id: i64) -> Acted {
    let filter = JobFilter {
        source_id: Some(order.to_string()),
        object: Some(Object::Order),
        ..JobFilter::default()
    };
    let job = bench.store.jobs(filter).await.unwrap().remove(0).id;
    let actor = Actor::new("anna", Via::Cli);
    let now = crate::domain::Clock::now(&SystemClock);
    let shop = "main".parse().unwrap();
    let source = &bench.engine.shop(&shop).unwrap().source;
    let seen = source.order(ShopifyId(order), "").await.unwrap();
    let link = Link {
        shop,
        kind: LinkKind::Order,
        source_id: order.to_string(),
        model: "sale.order".into(),
        erp_id: ErpId(erp_id),
        erp_name: Some("S00815".into()),
        state: LinkState::Linked,
        source_updated_at: None,
        agreed: entered_by_hand(&actor, now, seen.as_ref()),
        agreed_out: serde_json::Value::Null,
        writes: serde_json::Value::Null,
    };
    let act = Act {
        actor,
        reason: Some("typed in by hand".into()),
        at: now,
        action: Action::Resolve {
            job,
            link: Box::new(link),
        },
    };
    bench.store.act(act).await.unwrap()
}

#[tokio::test]
async fn an_order_entered_by_hand_is_left_to_people_and_told_when_it_changes() {
    let bench = Bench::new(Version::V18).await;
    is_left_to_people(&bench).await;
}

#[tokio::test]
async fn rules_do_not_take_an_order_entered_by_hand_for_a_stranger() {
    let review = ReviewSettings {
        orders: RuleTexts {
            inward: Some("order.test".to_owned()),
            outward: None,
        },
        ..ReviewSettings::default()
    };
    let options = OdooOptions {
        services: services(),
        ..OdooOptions::version(Version::V18)
    };
    let bench = Bench::adjusted(options, |shop| {
        shop.rules = Rules::new(&ScopeSettings::default(), &review).unwrap();
    })
    .await;
    is_left_to_people(&bench).await;
}

async fn is_left_to_people(bench: &Bench) {
    let (_, variants) = shirt(bench);
    let mut draft = everyday(Buyer::Customer(ada(bench)), variants[0]);
    draft.taxes = vec![vat(23)];
    let (id, name) = order(bench, draft);
    let (state, why) = bench.sync(Object::Order, id).await;
    assert_eq!(state, JobState::Problem, "{why:?}");

    let partner = bench.made_in_the_erp("res.partner", json!({ "name": "Ada" }));
    let entered = bench.made_in_the_erp("sale.order", json!({ "partner_id": partner }));
    assert_eq!(resolve(bench, id, entered).await, Acted::Done);
    let before = bench.erp.ledger().calls();
    let (state, why) = bench.sync(Object::Order, id).await;
    assert_eq!(
        (state, why.as_deref()),
        (JobState::Obsolete, Some("entered_by_hand"))
    );

    let edit = OrderEdit {
        add: Vec::new(),
        remove: vec![(0, 1)],
        settle: None,
    };
    bench.shop.change(|shop| shop.edit_order(id, &edit)).unwrap();
    let (state, why) = bench.sync(Object::Order, id).await;
    assert_eq!(state, JobState::Problem, "{why:?}");
    let why = why.unwrap_or_default();
    assert!(
        why.starts_with("entered_by_hand_and_changed") && why.contains("S00815"),
        "{why}"
    );
    assert_eq!(
        bench.calls_since(&before),
        BTreeMap::new(),
        "the ERP is not even asked"
    );

    // Carried over by hand, too: said once more, it is settled.
    assert_eq!(resolve(bench, id, entered).await, Acted::Done);
    let (state, why) = bench.sync(Object::Order, id).await;
    assert_eq!(
        (state, why.as_deref()),
        (JobState::Obsolete, Some("entered_by_hand"))
    );
    assert!(bench.erp.ledger().orders_by_reference(&name).is_empty());
}

#[tokio::test]
async fn an_order_is_found_by_what_it_sells_and_whose_it_is_even_when_it_failed() {
    let bench = Bench::new(Version::V18).await;
    let (_, variants) = shirt(&bench);
    let mut draft = everyday(Buyer::Customer(ada(&bench)), variants[0]);
    draft.taxes = vec![vat(23)];
    let (id, _) = order(&bench, draft);
    assert_eq!(bench.sync(Object::Order, id).await.0, JobState::Problem);
    let shop = "main".parse().unwrap();
    let source = &bench.engine.shop(&shop).unwrap().source;
    let seen = source.order(ShopifyId(id), "").await.unwrap().unwrap();
    let sku = seen.lines.iter().find_map(|line| line.sku.clone()).unwrap();
    let customer = seen.customer.and_then(|customer| customer.email);
    let email = seen.email.or(customer).unwrap();
    for name in [JobName::Sku(sku), JobName::of_email(&shop, &email.to_uppercase())] {
        let filter = JobFilter {
            known_by: Some(name.clone()),
            ..JobFilter::default()
        };
        let found = bench.store.jobs(filter).await.unwrap();
        assert_eq!(found.len(), 1, "{name:?}");
        assert_eq!(found[0].key.source_id, id.to_string());
    }
}
