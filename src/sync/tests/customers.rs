//! Customers.

use super::bench::*;
use super::*;
use crate::domain::LinkKind;
use crate::shopify::ShopifyError;

#[tokio::test]
async fn a_customer_is_made_once_and_follows_later_edits_only_where_shopify_changed() {
    let bench = Bench::new(Version::V18).await;
    let id = ada(&bench);
    assert_eq!(bench.sync(Object::Customer, id).await.0, JobState::Completed);
    let found = bench
        .erp
        .ledger()
        .find_by_external_id(&format!("__lockstep_main__.customer_{id}"))
        .unwrap()
        .1;
    assert_eq!(bench.sync(Object::Customer, id).await.0, JobState::Completed);
    // Somebody in the ERP corrects the street; Shopify changes the name.
    bench
        .erp
        .as_admin(
            "res.partner",
            "write",
            serde_json::json!([[found], { "street": "Corrected 7" }]),
            serde_json::json!({}),
        )
        .unwrap();
    bench
        .shop
        .change(|shop| shop.edit_customer(id, |customer| customer.last_name = Some("King".into())))
        .unwrap();
    let (state, why) = bench.sync(Object::Customer, id).await;
    assert_eq!(state, JobState::Completed, "{why:?}");
    let record = bench.erp.ledger().record("res.partner", found).unwrap();
    assert_eq!(record["name"], "Ada King");
    assert_eq!(record["street"], "Corrected 7", "what only the ERP changed stays");
}

#[tokio::test]
async fn an_existing_partner_with_the_same_e_mail_is_adopted_and_two_are_a_problem() {
    let bench = Bench::new(Version::V18).await;
    let make = |name: &str| {
        let values = serde_json::json!([{ "name": name, "email": "ADA@example.com " }]);
        bench
            .erp
            .as_admin("res.partner", "create", values, serde_json::json!({}))
            .unwrap()
    };
    make("Ada from before");
    let id = ada(&bench);
    let before = bench.erp.ledger().partners().len();
    let (state, why) = bench.sync(Object::Customer, id).await;
    assert_eq!(state, JobState::Completed, "{why:?}");
    assert_eq!(bench.erp.ledger().partners().len(), before, "nobody was made");

    let other = Bench::new(Version::V18).await;
    for name in ["one", "two"] {
        let values = serde_json::json!([{ "name": name, "email": "ada@example.com" }]);
        other
            .erp
            .as_admin("res.partner", "create", values, serde_json::json!({}))
            .unwrap();
    }
    let id = ada(&other);
    let (state, why) = other.sync(Object::Customer, id).await;
    assert_eq!(state, JobState::Problem);
    assert!(why.unwrap().starts_with("customer_ambiguous"));
}

#[tokio::test]
async fn guests_of_one_order_each_in_another_shop_are_not_adopted() {
    for version in [Version::V18, Version::V19] {
        let bench = Bench::new(version).await;
        // More than are looked at first.
        let guests: Vec<serde_json::Value> = (1..=60)
            .map(|n| {
                serde_json::json!([
                    format!("__lockstep_other__.guest_order_{n}"),
                    "Ada",
                    "ada@example.com"
                ])
            })
            .collect();
        bench.in_the_erp(
            "res.partner",
            "load",
            serde_json::json!([["id", "name", "email"], guests]),
        );
        let values = serde_json::json!({ "name": "Ada", "email": "ada@example.com" });
        let known = bench.made_in_the_erp("res.partner", values);
        let before = bench.erp.ledger().partners().len();
        let id = ada(&bench);
        let (state, why) = bench.sync(Object::Customer, id).await;
        assert_eq!(state, JobState::Completed, "{version:?}: {why:?}");
        let link = bench.link(crate::domain::LinkKind::Customer, id).await.unwrap();
        assert_eq!(link.erp_id.0, known, "{version:?}");
        assert_eq!(bench.erp.ledger().partners().len(), before, "{version:?}");
    }
}

#[tokio::test]
async fn a_guest_who_becomes_a_customer_keeps_the_partner() {
    let bench = Bench::new(Version::V18).await;
    let (_, variants) = shirt(&bench);
    let guest = Buyer::Guest {
        email: Some("ada@example.com".into()),
        phone: None,
    };
    let (first, name) = order(&bench, everyday(guest.clone(), variants[0]));
    assert_eq!(bench.sync(Object::Order, first).await.0, JobState::Completed);
    let partner = bench.booked(&name).partner_id;
    let customer = ada(&bench);
    let (second, name) = order(&bench, everyday(Buyer::Customer(customer), variants[0]));
    let (state, why) = bench.sync(Object::Order, second).await;
    assert_eq!(state, JobState::Completed, "{why:?}");
    assert_eq!(bench.booked(&name).partner_id, partner);
    // And a guest again with the same address: still the same person.
    let (third, name) = order(&bench, everyday(guest, variants[0]));
    let (state, why) = bench.sync(Object::Order, third).await;
    assert_eq!(state, JobState::Completed, "{why:?}");
    assert_eq!(bench.booked(&name).partner_id, partner);
}

#[tokio::test]
async fn further_addresses_become_contacts_below_the_partner_once() {
    let bench = Bench::new(Version::V18).await;
    let id = ada(&bench);
    // The new one is the default from now on.
    let mut office = berlin("Lovelace");
    office.address1 = Some("Hauptstr. 2".into());
    bench.shop.change(|shop| shop.add_address(id, office)).unwrap();
    for _ in 0..2 {
        let (state, why) = bench.sync(Object::Customer, id).await;
        assert_eq!(state, JobState::Completed, "{why:?}");
    }
    let made = bench.link(LinkKind::Customer, id).await.unwrap().erp_id.0;
    let below = || -> Vec<(i64, Option<String>)> {
        let partners = bench.erp.ledger().partners();
        let mut below: Vec<_> = partners
            .iter()
            .filter(|partner| partner.parent_id == Some(made))
            .map(|partner| (partner.id, partner.street.clone()))
            .collect();
        below.sort();
        below
    };
    assert_eq!(below().len(), 1, "the default address is the partner's own");
    assert_eq!(below()[0].1.as_deref(), Some("Unter den Linden 1"));
    // An order to that address uses the same contact.
    let (_, variants) = shirt(&bench);
    let mut draft = everyday(Buyer::Customer(id), variants[0]);
    draft.shipping_address = Some(berlin("Lovelace"));
    let (order_id, name) = order(&bench, draft);
    let (state, why) = bench.sync(Object::Order, order_id).await;
    assert_eq!(state, JobState::Completed, "{why:?}");
    assert_eq!(bench.booked(&name).partner_shipping_id, below()[0].0);
}

fn partner(bench: &Bench, id: i64) -> serde_json::Value {
    bench.erp.ledger().record("res.partner", id).unwrap()
}

#[tokio::test]
async fn corrections_of_everything_that_was_written_last_make_no_stranger() {
    let bench = Bench::new(Version::V18).await;
    let id = ada(&bench);
    assert_eq!(bench.sync(Object::Customer, id).await.0, JobState::Completed);
    let made = bench.link(LinkKind::Customer, id).await.unwrap();
    assert!(
        made.agreed["street"]["target"].is_string(),
        "what was made is read back: {}",
        made.agreed
    );
    let moves = |street: &str, zip: &str, city: &str| {
        bench
            .shop
            .change(|shop| {
                shop.edit_customer(id, |customer| {
                    let address = &mut customer.addresses[0];
                    address.address1 = Some(street.into());
                    address.zip = Some(zip.into());
                    address.city = Some(city.into());
                })
            })
            .unwrap();
    };
    moves("Hauptstr. 1", "20095", "Hambrug");
    assert_eq!(bench.sync(Object::Customer, id).await.0, JobState::Completed);
    // Support corrects exactly what was written last.
    let corrected = serde_json::json!({ "street": "Hauptstraße 1", "zip": "20099", "city": "Hamburg" });
    bench.in_the_erp(
        "res.partner",
        "write",
        serde_json::json!([[made.erp_id.0], corrected]),
    );
    for _ in 0..2 {
        let (state, why) = bench.sync(Object::Customer, id).await;
        assert_eq!(state, JobState::Completed, "{why:?}");
    }
    assert_eq!(partner(&bench, made.erp_id.0)["city"], "Hamburg");
    moves("Nebenstr. 2", "80331", "Munich");
    let (state, why) = bench.sync(Object::Customer, id).await;
    assert_eq!(state, JobState::Completed, "{why:?}");
    assert_eq!(partner(&bench, made.erp_id.0)["city"], "Munich");
}

#[tokio::test]
async fn an_adopted_partner_loses_nothing_that_shopify_does_not_know() {
    let bench = Bench::new(Version::V18).await;
    let before = serde_json::json!({
        "name": "Countess Lovelace", "email": "ada@example.com", "phone": "+49 30 1", "street2": "Hof 2", "city": "Paris",
    });
    let id = bench.made_in_the_erp("res.partner", before);
    let (_, variants) = shirt(&bench);
    // A guest who types the address proves nothing, and only adds.
    let guest = Buyer::Guest {
        email: Some("ada@example.com".into()),
        phone: None,
    };
    let (order_id, name) = order(&bench, everyday(guest, variants[0]));
    let (state, why) = bench.sync(Object::Order, order_id).await;
    assert_eq!(state, JobState::Completed, "{why:?}");
    assert_eq!(bench.booked(&name).partner_id, id);
    let after = partner(&bench, id);
    assert_eq!(after["name"], "Countess Lovelace");
    assert_eq!(after["city"], "Paris");
    assert_eq!(after["street"], "Unter den Linden 1", "what was empty is filled");
    // The customer has the say, but what Shopify does not know stays.
    let customer = ada(&bench);
    for _ in 0..2 {
        let (state, why) = bench.sync(Object::Customer, customer).await;
        assert_eq!(state, JobState::Completed, "{why:?}");
        let after = partner(&bench, id);
        assert_eq!(after["name"], "Ada Lovelace");
        assert_eq!(after["city"], "Berlin");
        assert_eq!(after["phone"], "+49 30 1");
        assert_eq!(after["street2"], "Hof 2");
    }
}

#[tokio::test]
async fn a_partner_that_is_gone_is_found_or_made_again() {
    let bench = Bench::new(Version::V18).await;
    let id = ada(&bench);
    assert_eq!(bench.sync(Object::Customer, id).await.0, JobState::Completed);
    let first = bench.link(LinkKind::Customer, id).await.unwrap().erp_id.0;
    // Merged by hand into another contact.
    let other = serde_json::json!({ "name": "Ada", "email": "ada@example.com" });
    let kept = bench.made_in_the_erp("res.partner", other);
    bench.in_the_erp("res.partner", "unlink", serde_json::json!([[first]]));
    let (state, why) = bench.sync(Object::Customer, id).await;
    assert_eq!(state, JobState::Completed, "{why:?}");
    assert_eq!(bench.link(LinkKind::Customer, id).await.unwrap().erp_id.0, kept);
    // And again, with an order coming first; nobody is left to be found.
    bench.in_the_erp("res.partner", "unlink", serde_json::json!([[kept]]));
    let (_, variants) = shirt(&bench);
    let (order_id, name) = order(&bench, everyday(Buyer::Customer(id), variants[0]));
    let (state, why) = bench.sync(Object::Order, order_id).await;
    assert_eq!(state, JobState::Completed, "{why:?}");
    let made = bench.link(LinkKind::Customer, id).await.unwrap().erp_id.0;
    assert_ne!(made, kept);
    assert_eq!(bench.booked(&name).partner_id, made);
}

#[tokio::test]
async fn a_strangers_record_is_not_written_to() {
    let bench = Bench::new(Version::V18).await;
    let id = ada(&bench);
    assert_eq!(bench.sync(Object::Customer, id).await.0, JobState::Completed);
    let stranger = serde_json::json!({
        "name": "Charles Babbage", "email": "charles@example.com", "street": "Dorset Street 1", "city": "London",
    });
    let stranger = bench.made_in_the_erp("res.partner", stranger);
    let mut link = bench.link(LinkKind::Customer, id).await.unwrap();
    let ours = link.erp_id;
    link.erp_id = crate::domain::ErpId(stranger);
    bench.relink(link.clone()).await;
    let rename = |name: &str| {
        bench
            .shop
            .change(|shop| shop.edit_customer(id, |customer| customer.last_name = Some(name.into())))
            .unwrap();
    };
    rename("King");
    let (state, why) = bench.sync(Object::Customer, id).await;
    assert_eq!(state, JobState::Problem);
    assert!(why.unwrap().starts_with("erp_record_is_a_stranger"));
    assert_eq!(partner(&bench, stranger)["name"], "Charles Babbage");
    // The right database is back.
    link.erp_id = ours;
    bench.relink(link).await;
    let (state, why) = bench.sync(Object::Customer, id).await;
    assert_eq!(state, JobState::Completed, "{why:?}");
    assert_eq!(partner(&bench, ours.0)["name"], "Ada King");
}

#[tokio::test]
async fn a_guest_and_the_customer_that_they_become_at_the_same_time_are_one_partner() {
    for version in [Version::V18, Version::V19] {
        let options = OdooOptions {
            services: services(),
            latency: Duration::from_millis(3),
            ..OdooOptions::version(version)
        };
        let bench = Bench::with(options, Settings::default()).await;
        let (product, variants) = shirt(&bench);
        assert_eq!(bench.sync(Object::Product, product).await.0, JobState::Completed);
        let guest = Buyer::Guest {
            email: Some("Ada@Example.com".into()),
            phone: None,
        };
        let (order_id, _) = order(&bench, everyday(guest, variants[0]));
        let customer = ada(&bench);
        let ends = bench
            .sync_at_once(&[(Object::Order, order_id), (Object::Customer, customer)])
            .await;
        for (state, why) in ends {
            assert_eq!(state, JobState::Completed, "{version:?}: {why:?}");
        }
        let partners = bench.erp.ledger().partners();
        let ada = partners
            .iter()
            .filter(|partner| {
                partner
                    .email
                    .as_deref()
                    .is_some_and(|mail| mail.eq_ignore_ascii_case("ada@example.com"))
            })
            .count();
        assert_eq!(ada, 1, "{version:?}");
    }
}

/// Shopify as it answers an app that has no approval for some personal fields.
struct Withholding(Arc<dyn Source>, Vec<&'static str>);

#[async_trait::async_trait]
impl Source for Withholding {
    async fn order(&self, id: ShopifyId, select: &str) -> Result<Option<crate::domain::Order>, ShopifyError> {
        self.0.order(id, select).await
    }

    async fn customer(
        &self,
        id: ShopifyId,
        select: &str,
    ) -> Result<Option<crate::domain::Customer>, ShopifyError> {
        let mut customer = self.0.customer(id, select).await?;
        if let Some(customer) = &mut customer {
            for field in &self.1 {
                match *field {
                    "defaultEmailAddress" => customer.email = None,
                    "defaultAddress" => customer.default_address = None,
                    other => panic!("{other}"),
                }
                customer.refused.push((*field).to_owned());
            }
        }
        Ok(customer)
    }

    async fn product(
        &self,
        id: ShopifyId,
        select: &str,
    ) -> Result<Option<crate::domain::Product>, ShopifyError> {
        self.0.product(id, select).await
    }

    async fn probe(&self) -> Result<(), ShopifyError> {
        self.0.probe().await
    }
    async fn changed_since(
        &self,
        object: crate::domain::Object,
        since: crate::domain::Timestamp,
        after: Option<String>,
    ) -> Result<crate::shopify::Page, ShopifyError> {
        self.0.changed_since(object, since, after).await
    }
}

/// The bench after Shopify withdrew its approval for these fields.
pub(super) fn withheld(bench: &Bench, fields: &[&'static str]) -> Engine {
    let mut context = (**bench.engine.shop(&"main".parse().unwrap()).unwrap()).clone();
    context.source = Arc::new(Withholding(context.source, fields.to_vec()));
    Engine::new([context])
}

#[tokio::test]
async fn withheld_personal_fields_empty_nothing_and_make_no_second_partner() {
    let mut bench = Bench::new(Version::V18).await;
    let id = ada(&bench);
    assert_eq!(bench.sync(Object::Customer, id).await.0, JobState::Completed);
    let made = bench.link(LinkKind::Customer, id).await.unwrap().erp_id.0;
    let approved = bench.engine.clone();
    bench.engine = withheld(&bench, &["defaultAddress", "defaultEmailAddress"]);
    bench
        .shop
        .change(|shop| shop.edit_customer(id, |customer| customer.last_name = Some("King".into())))
        .unwrap();
    let (state, why) = bench.sync(Object::Customer, id).await;
    assert_eq!(state, JobState::Completed, "{why:?}");
    let after = partner(&bench, made);
    assert_eq!(after["name"], "Ada King", "what Shopify tells is written");
    assert_eq!(after["city"], "Berlin");
    assert_eq!(after["email"], "Ada@Example.com");
    // The shop's owner is told, once.
    let told = bench.jobs_of_the_shop().await;
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0].state, JobState::Problem);
    let problem = told[0].problem.clone().unwrap();
    assert_eq!(problem.code.0, "shopify_scope_missing");
    assert!(
        problem.reason.contains("defaultEmailAddress"),
        "{}",
        problem.reason
    );

    // Whether the ERP knows a new customer cannot be told without the address.
    let other = bench.shop.change(|shop| {
        shop.create_customer(CustomerDraft {
            last_name: Some("Babbage".into()),
            email: Some("charles@example.com".into()),
            ..CustomerDraft::default()
        })
        .unwrap()
    });
    let before = bench.erp.ledger().partners().len();
    let (state, why) = bench.sync(Object::Customer, other).await;
    assert_eq!(state, JobState::Problem);
    assert!(why.unwrap().starts_with("shopify_scope_missing"));
    assert_eq!(bench.erp.ledger().partners().len(), before);
    assert_eq!(bench.jobs_of_the_shop().await.len(), 1, "still told once");
    bench.engine = approved;
    let again = NewJob {
        key: told[0].key.clone(),
        priority: Priority::LIVE,
        now: crate::domain::Clock::now(&SystemClock),
        cause: "retry".into(),
    };
    bench.store.enqueue(again).await.unwrap();
    assert_eq!(bench.sync(Object::Customer, other).await.0, JobState::Completed);
    assert_eq!(bench.jobs_of_the_shop().await[0].state, JobState::Completed);
}
