//! Records of any kind against the stand-in: once whatever happens, with the values that were meant.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;

use super::given::{ORDERED_AT, VERSIONS, fields, found, id, order, partner, start, stock, text, word};
use super::{clock, connect, settings};
use crate::domain::{ErpId, FieldValue};
use crate::erp::odoo::{Reference, Settings};
use crate::erp::{Erp as _, ErpError, Find};
use crate::sandbox::odoo::{CompanySeed, Denied, Fault, OdooSandbox, Options, Version};
use crate::secret::Secret;

#[tokio::test]
async fn saving_twice_and_in_parallel_makes_one_record() {
    for version in VERSIONS {
        let (server, odoo) = start(Options {
            races: true,
            latency: Duration::from_millis(5),
            ..Options::version(version)
        })
        .await;
        let save = partner(
            "customer_7",
            &[("name", text("Ada")), ("email", text("ada@example.com"))],
        );
        // Everybody at once; who loses the race is told to try again, and does.
        let ids = join_all((0..8).map(|_| async {
            loop {
                match odoo.save(std::slice::from_ref(&save)).await {
                    Ok(ids) => return ids[0],
                    Err(ErpError::Busy { .. }) => {}
                    Err(error) => panic!("{version:?}: {error}"),
                }
            }
        }))
        .await;
        assert!(ids.iter().all(|id| *id == ids[0]), "{version:?}");
        assert_eq!(odoo.save(std::slice::from_ref(&save)).await.unwrap(), [ids[0]]);
        let named = server.ledger().partners();
        assert_eq!(
            named.iter().filter(|partner| partner.name == "Ada").count(),
            1,
            "{version:?}"
        );
        assert_eq!(
            server.ledger().authentications(),
            u64::from(version == Version::V18),
            "{version:?}"
        );
    }
}

#[tokio::test]
async fn after_a_cut_the_record_is_found_and_not_made_again() {
    for version in VERSIONS {
        let (server, odoo) = start(Options::version(version)).await;
        let save = partner("customer_7", &[("name", text("Ada"))]);
        assert_eq!(odoo.identify(&save.external_id).await.unwrap(), None);
        server.faults().on("res.partner", "load", Fault::CloseAfter);
        let error = odoo.save(std::slice::from_ref(&save)).await.unwrap_err();
        assert!(matches!(error, ErpError::Unknown { .. }), "{error}");
        let there = odoo.identify(&save.external_id).await.unwrap().unwrap();
        assert_eq!(there.model, "res.partner");
        assert_eq!(odoo.save(&[save]).await.unwrap(), [there.id]);
        // A cut before anything happened leaves nothing behind.
        server.faults().on("res.partner", "load", Fault::CloseBefore);
        let other = partner("customer_8", &[("name", text("Bob"))]);
        assert!(odoo.save(std::slice::from_ref(&other)).await.is_err());
        assert_eq!(odoo.identify(&other.external_id).await.unwrap(), None);
    }
}

#[tokio::test]
async fn values_arrive_as_they_were_meant_and_come_back_typed() {
    for version in VERSIONS {
        // The API user lives in Tokyo: dates must not be read in its time zone.
        let (_server, odoo) = start(Options {
            user_tz: Some("Asia/Tokyo".to_owned()),
            ..Options::version(version)
        })
        .await;
        let country = found(&odoo, &[("code", word("us"))], "country").await;
        let state = found(&odoo, &[("country", word("US")), ("code", word("CA"))], "state").await;
        let german = found(&odoo, &[("code", word("de"))], "language").await;
        let values = [
            ("name", text("Ada, \"the\" first")),
            ("email", text("Ada@Example.com")),
            ("country_id", FieldValue::Record(country)),
            ("state_id", FieldValue::Record(state)),
            ("lang", FieldValue::Record(german)),
            ("is_company", FieldValue::Bool(true)),
            ("customer_rank", FieldValue::Integer(1)),
            ("street2", FieldValue::Clear),
        ];
        let partner_id = odoo.save(&[partner("customer_1", &values)]).await.unwrap()[0];
        let names: Vec<String> = values.iter().map(|(name, _)| (*name).to_owned()).collect();
        let rows = odoo
            .read("res.partner", &[partner_id, ErpId(999_999)], &names)
            .await
            .unwrap();
        assert_eq!(rows.len(), 1, "the missing record is absent");
        for (name, value) in &values {
            let expected = if *name == "lang" { &text("de_DE") } else { value };
            assert_eq!(&rows[0].fields[*name], expected, "{version:?} {name}");
        }
        odoo.update(
            "res.partner",
            partner_id,
            &fields(&[("street2", text("Floor 2")), ("state_id", FieldValue::Clear)]),
        )
        .await
        .unwrap();
        let rows = odoo.read("res.partner", &[partner_id], &names).await.unwrap();
        assert_eq!(rows[0].fields["street2"], text("Floor 2"));
        assert_eq!(rows[0].fields["state_id"], FieldValue::Clear);
        assert_eq!(
            rows[0].fields["country_id"],
            FieldValue::Record(country),
            "what is not named stays"
        );

        let (customer, product) = stock(&odoo).await;
        let save = order(&odoo, "order_1", customer, product).await;
        let order_id = odoo.save(&[save]).await.unwrap()[0];
        assert_eq!(
            odoo.order(order_id).await.unwrap().unwrap().ordered_at,
            Some(ORDERED_AT),
            "{version:?}"
        );
    }
}

#[tokio::test]
async fn records_are_adopted_by_exact_values_of_our_company() {
    for version in VERSIONS {
        let (server, odoo) = start(Options::version(version)).await;
        let make = |values: serde_json::Value| {
            server
                .as_admin("res.partner", "create", json!([values]), json!({}))
                .unwrap()
        };
        make(json!({"name": "Ada", "email": "Ada@Example.com"}));
        let archived = make(json!({"name": "Old Ada", "email": "ada@example.com", "active": false}));
        make(json!({"name": "Ada_", "email": "ada_x@example.com"}));
        let search = Find {
            model: "res.partner".to_owned(),
            equal: fields(&[("email_normalized", text("ada@example.com"))]),
            one_of: None,
            fields: vec!["name".to_owned(), "email".to_owned()],
            limit: 5,
        };
        let rows = odoo.find(&search).await.unwrap();
        assert_eq!(rows.len(), 1, "{version:?}");
        assert_eq!(rows[0].fields["name"], text("Ada"));
        // An external id leads to an archived record all the same.
        let ours = odoo
            .save(&[partner("customer_1", &[("name", text("Bob"))])])
            .await
            .unwrap()[0];
        odoo.set_active("res.partner", ours, false).await.unwrap();
        assert_eq!(odoo.identify(&id("customer_1")).await.unwrap().unwrap().id, ours);
        let archived = ErpId(archived.as_i64().unwrap_or_default());
        let named = odoo
            .external_ids("res.partner", &[ours, archived, rows[0].id])
            .await
            .unwrap();
        assert_eq!(named, [(ours, id("customer_1"))]);
        assert_eq!(odoo.external_ids("res.partner", &[]).await.unwrap(), []);
    }
}

#[tokio::test]
async fn faults_of_the_server_mean_what_they_are() {
    for version in VERSIONS {
        let (server, odoo) = start(Options::version(version)).await;
        odoo.about().await.unwrap();
        let save = [partner("customer_1", &[("name", text("Ada"))])];
        odoo.save(&save).await.unwrap();
        for (fault, expected) in [
            (Fault::Serialization, "erp_busy"),
            (Fault::ConnectionLost, "erp_busy"),
            (Fault::PostgresDown, "erp_down"),
            (Fault::LoginPage, "erp_unreachable"),
            (Fault::Garbage, "erp_nonsense"),
            (
                Fault::Http {
                    status: 503,
                    retry_after: Some(3),
                },
                "erp_unreachable",
            ),
            (
                Fault::Http {
                    status: 502,
                    retry_after: None,
                },
                "erp_no_answer",
            ),
            (Fault::HttpAfter(504), "erp_no_answer"),
        ] {
            server.faults().on("res.partner", "load", fault.clone());
            assert_eq!(
                odoo.save(&save).await.unwrap_err().code(),
                expected,
                "{version:?} {fault:?}"
            );
        }
        server.down().await.unwrap();
        assert_eq!(odoo.save(&save).await.unwrap_err().code(), "erp_unreachable");
        server.up().await.unwrap();
        server.faults().set_keys_expired(true);
        assert_eq!(odoo.save(&save).await.unwrap_err().code(), "erp_login_refused");
        server.faults().set_keys_expired(false);
        server.deny(Denied {
            model: "res.partner".to_owned(),
            operations: vec!["write".to_owned()],
        });
        let wrong = Settings {
            database: "other".to_owned(),
            ..settings(&server.url())
        };
        let stranger = connect(wrong, Secret::text(server.api_key()), &clock());
        assert_eq!(
            stranger.about().await.unwrap_err().code(),
            "erp_misconfigured",
            "{version:?}"
        );
        server.faults().set_postgres_down(true);
        assert_eq!(
            stranger.about().await.unwrap_err().code(),
            "erp_down",
            "{version:?}"
        );
    }
}

#[tokio::test]
async fn a_rotated_key_is_taken_up_without_a_restart() {
    for version in VERSIONS {
        let server = OdooSandbox::start(Options::version(version)).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        std::fs::write(&path, server.api_key()).unwrap();
        let odoo = connect(settings(&server.url()), Secret::file(&path), &clock());
        let save = [partner("customer_1", &[("name", text("Ada"))])];
        odoo.save(&save).await.unwrap();
        server.set_api_keys(vec!["0123456789abcdef0123456789abcdef01234567".to_owned()]);
        std::fs::write(&path, "0123456789abcdef0123456789abcdef01234567").unwrap();
        odoo.save(&save).await.unwrap();
        assert_eq!(
            server
                .ledger()
                .partners()
                .iter()
                .filter(|partner| partner.name == "Ada")
                .count(),
            1
        );
    }
}

#[tokio::test]
async fn records_have_an_address_for_people() {
    for (version, before, after) in [
        (
            Version::V17,
            "/web#id=5&model=sale.order&view_type=form",
            "/web#id=5&model=sale.order&view_type=form",
        ),
        (
            Version::V19,
            "/web#id=5&model=sale.order&view_type=form",
            "/odoo/sale.order/5",
        ),
    ] {
        let (server, odoo) = start(Options::version(version)).await;
        assert_eq!(
            odoo.record_url("sale.order", ErpId(5)),
            Some(format!("{}{before}", server.url()))
        );
        odoo.about().await.unwrap();
        assert_eq!(
            odoo.record_url("sale.order", ErpId(5)),
            Some(format!("{}{after}", server.url()))
        );
    }
}

#[tokio::test]
async fn only_records_of_our_company_and_of_none_are_ours() {
    let company = |name: &str, allowed| CompanySeed {
        name: name.to_owned(),
        currency: "USD".to_owned(),
        country: "US".to_owned(),
        allowed,
    };
    for version in VERSIONS {
        let server = OdooSandbox::start(Options {
            companies: vec![
                company("One", true),
                company("Two", true),
                company("Three", false),
            ],
            ..Options::version(version)
        })
        .await
        .unwrap();
        let companies = server
            .as_admin(
                "res.company",
                "search_read",
                json!([[], ["name"]]),
                json!({"order": "id"}),
            )
            .unwrap();
        for of in [
            json!(false),
            companies[0]["id"].clone(),
            companies[1]["id"].clone(),
        ] {
            let values = json!([{"name": "Ada", "email": "ada@example.com", "company_id": of}]);
            server
                .as_admin("res.partner", "create", values, json!({}))
                .unwrap();
        }
        let at = |name: &str| {
            let settings = Settings {
                company: Some(Reference::Name(name.to_owned())),
                ..settings(&server.url())
            };
            connect(settings, Secret::text(server.api_key()), &clock())
        };
        let search = Find {
            model: "res.partner".to_owned(),
            equal: fields(&[("email_normalized", text("ada@example.com"))]),
            one_of: None,
            fields: vec!["company_id".to_owned()],
            limit: 10,
        };
        let found = at("Two").find(&search).await.unwrap();
        let of: Vec<&FieldValue> = found.iter().map(|row| &row.fields["company_id"]).collect();
        let second = FieldValue::Record(ErpId(companies[1]["id"].as_i64().unwrap()));
        assert_eq!(of, [&FieldValue::Clear, &second], "{version:?}");
        let error = at("Three").about().await.unwrap_err();
        assert_eq!(error.code(), "erp_misconfigured", "{version:?}: {error}");
    }
}
