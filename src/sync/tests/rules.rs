//! Scope: what is carried over at all.

use super::bench::*;
use super::*;
use crate::sync::{FirstTime, ReviewSettings, RuleTexts, Rules, Ruling, ScopeSettings, Series};

fn inward(text: &str) -> RuleTexts {
    RuleTexts {
        inward: Some(text.to_owned()),
        outward: None,
    }
}

fn outward(text: &str) -> RuleTexts {
    RuleTexts {
        inward: None,
        outward: Some(text.to_owned()),
    }
}

fn scope(scope: &ScopeSettings) -> Rules {
    Rules::new(scope, &ReviewSettings::default()).unwrap()
}

fn odoo() -> OdooOptions {
    OdooOptions {
        services: services(),
        ..OdooOptions::version(Version::V18)
    }
}

async fn reason(bench: &Bench, object: Object, id: u64) -> (JobState, Option<String>) {
    let (state, _) = bench.sync(object, id).await;
    let filter = crate::store::JobFilter {
        object: Some(object),
        source_id: Some(id.to_string()),
        limit: 1,
        ..crate::store::JobFilter::default()
    };
    let job = bench.store.jobs(filter).await.unwrap().remove(0);
    (state, job.reason)
}

#[tokio::test]
async fn an_order_out_of_scope_is_left_alone_and_one_in_scope_is_booked() {
    let rules = scope(&ScopeSettings {
        orders: inward("'vip' in order.tags and order.totals.total > ('10' | decimal)"),
        ..ScopeSettings::default()
    });
    let mut bench = Bench::adjusted(odoo(), |shop| shop.rules = rules).await;
    let (_, variants) = shirt(&bench);
    let mut draft = everyday(Buyer::Customer(ada(&bench)), variants[0]);
    let (plain, _) = order(&bench, draft.clone());
    draft.tags = vec!["vip".to_owned()];
    let (vip, name) = order(&bench, draft);
    let expected = (JobState::Obsolete, Some(OUT_OF_SCOPE.to_owned()));
    assert_eq!(reason(&bench, Object::Order, plain).await, expected);
    assert_eq!(bench.erp.ledger().orders().len(), 0);
    let (state, why) = bench.sync(Object::Order, vip).await;
    assert_eq!(state, JobState::Completed, "{why:?}");
    bench.booked(&name);
    // What is booked is followed to its end, whatever the rule says of it by now.
    let rules = scope(&ScopeSettings {
        orders: inward("'nobody' in order.tags"),
        ..ScopeSettings::default()
    });
    let mut context = (**bench.engine.shop(&"main".parse().unwrap()).unwrap()).clone();
    context.rules = rules;
    bench.engine = Engine::new([context]);
    let (state, why) = bench.sync(Object::Order, vip).await;
    assert_eq!(state, JobState::Completed, "{why:?}");
}

#[tokio::test]
async fn customers_and_products_out_of_scope_are_left_alone_both_ways() {
    let rules = scope(&ScopeSettings {
        customers: RuleTexts {
            outward: Some("partner.name != 'Nobody'".to_owned()),
            ..inward("customer.email != 'Ada@Example.com'")
        },
        products: inward("product.title != 'Shirt'"),
        ..ScopeSettings::default()
    });
    let bench = Bench::adjusted(odoo(), |shop| {
        shop.rules = rules;
        shop.out = BTreeSet::from([Object::Customer]);
    })
    .await;
    let (product, variants) = shirt(&bench);
    let customer = ada(&bench);
    let expected = (JobState::Obsolete, Some(OUT_OF_SCOPE.to_owned()));
    assert_eq!(reason(&bench, Object::Customer, customer).await, expected);
    assert_eq!(reason(&bench, Object::Product, product).await, expected);
    let values = serde_json::json!({ "name": "Nobody", "email": "nobody@example.com", "customer_rank": 1 });
    let partner = bench.made_in_the_erp("res.partner", values);
    assert_eq!(bench.send(Object::Customer, partner).await.0, JobState::Obsolete);
    assert_eq!(bench.shop.ledger().customers.len(), 1);
    // An order of a product that is not wanted is no order that is lost: a person is told.
    let (id, _) = order(&bench, everyday(Buyer::Customer(customer), variants[0]));
    let (state, why) = bench.sync(Object::Order, id).await;
    let why = why.unwrap();
    assert_eq!(state, JobState::Problem);
    assert!(
        why.contains("product_not_linked") && why.contains(OUT_OF_SCOPE),
        "{why}"
    );
}

#[test]
fn a_rule_that_cannot_be_used_is_told_with_its_place() {
    let settings = ScopeSettings {
        orders: inward("order.totl > 3"),
        customers: outward("partner.name"),
        products: inward("product.title =="),
    };
    let errors = Rules::new(&settings, &ReviewSettings::default()).unwrap_err();
    let told: Vec<(&str, &str)> = errors
        .iter()
        .map(|wrong| (wrong.path[1], wrong.path[2]))
        .collect();
    assert_eq!(told, [("orders", "in"), ("products", "in")], "{errors:?}");
    assert!(errors[0].error.message.contains("totl"), "{errors:?}");
}

#[tokio::test]
async fn rules_are_tried_on_records_without_writing_anything() {
    let rules = Rules::new(
        &ScopeSettings {
            orders: inward("'no' not in order.tags"),
            ..ScopeSettings::default()
        },
        &ReviewSettings {
            orders: inward("order.totals.total > ('1000' | decimal)"),
            first_time: vec![FirstTime::Country],
            ..ReviewSettings::default()
        },
    )
    .unwrap();
    let bench = Bench::adjusted(odoo(), |shop| shop.rules = rules).await;
    let (_, variants) = shirt(&bench);
    let customer = ada(&bench);
    let draft = everyday(Buyer::Customer(customer), variants[0]);
    let mut no = draft.clone();
    no.tags = vec!["no".to_owned()];
    let (no, _) = order(&bench, no);
    let (first, _) = order(&bench, draft.clone());
    let (second, _) = order(&bench, draft);
    let shop = "main".parse().unwrap();
    let mut series = Series::default();
    let mut said = Vec::new();
    for id in [no, first, second] {
        let tried = bench
            .engine
            .try_rules(&shop, Object::Order, crate::domain::ShopifyId(id), &mut series)
            .await
            .unwrap();
        said.push(tried.unwrap().1);
    }
    assert_eq!(said[0], Ruling::OutOfScope("'no' not in order.tags".to_owned()));
    let new = "the country DE is seen for the first time".to_owned();
    assert_eq!(said[1], Ruling::Waits(vec![new]));
    assert_eq!(said[2], Ruling::Carried);
    assert!(bench.erp.ledger().orders().is_empty());
}

#[tokio::test]
async fn a_trial_knows_what_rules_read_of_the_company() {
    let rules = scope(&ScopeSettings {
        orders: inward("settings.company_currency is present"),
        ..ScopeSettings::default()
    });
    let bench = Bench::adjusted(odoo(), |shop| shop.rules = rules).await;
    let (_, variants) = shirt(&bench);
    let customer = ada(&bench);
    let shop = "main".parse().unwrap();
    let mut series = Series::default();
    for _ in 0..2 {
        let (id, _) = order(&bench, everyday(Buyer::Customer(customer), variants[0]));
        let tried = bench
            .engine
            .try_rules(&shop, Object::Order, crate::domain::ShopifyId(id), &mut series)
            .await
            .unwrap();
        assert_eq!(tried.unwrap().1, Ruling::Carried);
    }
}
