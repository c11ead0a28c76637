//! Look-ups and checks against the stand-in.

use futures_util::future::join_all;

use super::given::{VERSIONS, fields, find, found, id, start, tax_keys, text, total_calls, word};
use super::{clock, connect, settings};
use crate::domain::{CheckOutcome, CheckRow, FieldNeed, LookUp, Needed, Scalar};
use crate::erp::odoo::{Reference, Settings};
use crate::erp::{Erp as _, Needs, Save};
use crate::sandbox::odoo::{Denied, Options, Version};
use crate::secret::Secret;

#[tokio::test]
async fn look_ups_are_answered_once_and_never_guessed() {
    for version in VERSIONS {
        let (server, odoo) = start(Options {
            pricelists: vec![
                ("Euros".to_owned(), "EUR".to_owned()),
                ("A".to_owned(), "USD".to_owned()),
                ("B".to_owned(), "USD".to_owned()),
            ],
            ..Options::version(version)
        })
        .await;
        odoo.about().await.unwrap();
        let before = total_calls(&odoo);
        let same = [("code", word("DE"))];
        let all = join_all((0..20).map(|_| found(&odoo, &same, "country"))).await;
        assert!(all.iter().all(|id| *id == all[0]));
        assert_eq!(total_calls(&odoo) - before, 1, "one call for everybody");
        for (kind, keys, there) in [
            ("country", vec![("code", word("XX"))], "missing"),
            (
                "state",
                vec![("country", word("US")), ("code", word("NY"))],
                "found",
            ),
            (
                "state",
                vec![("country", word("DE")), ("code", word("NY"))],
                "missing",
            ),
            ("currency", vec![("code", word("EUR"))], "found"),
            ("currency", vec![("code", word("CHF"))], "missing"),
            ("pricelist", vec![("currency", word("EUR"))], "found"),
            ("pricelist", vec![("currency", word("USD"))], "ambiguous"),
            ("pricelist", vec![("currency", word("GBP"))], "missing"),
            ("language", vec![("code", word("fr-FR"))], "found"),
            ("language", vec![("code", word("it"))], "missing"),
            ("tax", tax_keys("8.875", false).to_vec(), "found"),
            ("tax", tax_keys("8.876", false).to_vec(), "missing"),
            ("service", vec![("purpose", word("shipping"))], "missing"),
            (
                "record",
                vec![("model", word("res.currency")), ("name", word("EUR"))],
                "found",
            ),
            (
                "record",
                vec![
                    ("model", word("product.pricelist")),
                    ("currency_id.name", word("USD")),
                ],
                "ambiguous",
            ),
        ] {
            let seen = match find(&odoo, &keys, kind).await {
                Needed::Found(_) => "found",
                Needed::Missing => "missing",
                Needed::Ambiguous(_) => "ambiguous",
            };
            assert_eq!(seen, there, "{version:?} {kind} {keys:?}");
        }
        // A service product that carries our name is found once the shop's people (or lockstep) made it.
        let shipping = Save {
            model: "product.product".to_owned(),
            external_id: id("service_shipping"),
            fields: fields(&[("name", text("Shipping")), ("type", text("service"))]),
            lines: None,
        };
        let made = odoo.save(&[shipping]).await.unwrap()[0];
        odoo.forget_look_ups();
        assert_eq!(
            found(&odoo, &[("purpose", word("shipping"))], "service").await,
            made
        );
        for (kind, keys) in [
            ("tax", vec![]),
            ("weather", vec![]),
            ("record", vec![("model", word("res.foo"))]),
        ] {
            let keys = keys
                .into_iter()
                .map(|(name, value): (&str, Scalar)| (name.to_owned(), value))
                .collect();
            let look_up = LookUp {
                kind: kind.to_owned(),
                keys,
            };
            assert!(odoo.look_up(&look_up).await.is_err(), "{kind}");
        }
        drop(server);
    }
}

fn written_field(name: &str) -> FieldNeed {
    FieldNeed {
        name: name.to_owned(),
        optional: false,
        written: true,
        place: "test.in.toml:7".to_owned(),
    }
}

fn needs() -> Needs {
    Needs {
        fields: [
            ("res.partner", vec!["name", "email"]),
            ("sale.order", vec!["partner_id", "client_order_ref"]),
            ("sale.order.line", vec!["tax_ids", "price_unit", "product_uom_id"]),
        ]
        .into_iter()
        .map(|(model, fields)| (model.to_owned(), fields.into_iter().map(written_field).collect()))
        .collect(),
        services: Vec::new(),
        currencies: vec!["USD".to_owned()],
        languages: vec!["de_DE".to_owned()],
    }
}

#[tokio::test]
async fn a_check_of_a_sound_server_finds_nothing_wrong() {
    for version in [Version::V17, Version::V18, Version::V19] {
        let (_server, odoo) = start(Options {
            pricelists: vec![("Dollars".to_owned(), "USD".to_owned())],
            ..Options::version(version)
        })
        .await;
        let rows = odoo.check(&needs()).await;
        for row in &rows {
            assert_eq!(
                row.outcome,
                CheckOutcome::Ok,
                "{version:?} {}: {}",
                row.what,
                row.note
            );
        }
        let notes = written(rows.iter());
        for part in [
            version.major().to_string().as_str(),
            "language de_DE",
            "currency USD",
            "rights on sale.order",
        ] {
            assert!(notes.contains(part), "{part}\n{notes}");
        }
    }
}

#[tokio::test]
async fn a_check_asks_for_the_rights_that_are_used_and_for_no_others() {
    let rights = |rows: &[CheckRow]| -> Vec<String> {
        let rights = rows.iter().filter_map(|row| {
            let model = row.what.strip_prefix("ERP rights on ")?;
            Some(format!("{model}: {}", row.note))
        });
        rights.collect()
    };
    let (server, odoo) = start(Options::version(Version::V18)).await;
    let only = |model: &str| Needs {
        fields: [(model.to_owned(), vec![written_field("name")])].into(),
        ..Needs::default()
    };
    assert_eq!(
        rights(&odoo.check(&only("res.partner")).await),
        [
            "res.company: read",
            "res.country: read",
            "res.country.state: read",
            "res.lang: read",
            "res.partner: create, read, write",
        ]
    );
    assert_eq!(
        rights(&odoo.check(&only("product.template")).await),
        [
            "product.attribute: create, read",
            "product.attribute.value: create, read",
            "product.product: create, read, write",
            "product.template: create, read, write",
            "product.template.attribute.line: create, read, write",
            "res.company: read",
            "res.lang: read",
        ]
    );
    let declared = Settings {
        warehouse: Some(Reference::Id(1)),
        sales_team: Some(Reference::Id(1)),
        ..settings(&server.url())
    };
    let odoo = connect(declared, Secret::text(server.api_key()), &clock());
    let asked = rights(&odoo.check(&Needs::default()).await);
    assert_eq!(
        asked,
        [
            "crm.team: read",
            "res.company: read",
            "res.lang: read",
            "stock.warehouse: read"
        ]
    );
}

#[tokio::test]
async fn a_check_warns_of_a_field_only_where_it_is_written_and_of_services_that_nobody_made() {
    let (_server, odoo) = start(Options {
        services: vec![crate::sandbox::odoo::ServiceSeed {
            name: "Shipping".to_owned(),
            code: "SHIP".to_owned(),
            external_id: Some("__lockstep_main__.service_shipping".to_owned()),
        }],
        ..Options::version(Version::V18)
    })
    .await;
    let searched_by = FieldNeed {
        written: false,
        ..written_field("email_normalized")
    };
    let needs = Needs {
        fields: [("res.partner".to_owned(), vec![written_field("name"), searched_by])].into(),
        services: vec!["shipping".to_owned(), "tip".to_owned()],
        ..Needs::default()
    };
    let rows = odoo.check(&needs).await;
    assert!(
        written(rows.iter()).contains("service for shipping: product"),
        "{rows:?}"
    );
    let wrong = failed(&rows);
    assert_eq!(wrong.lines().count(), 1, "{wrong}");
    assert!(
        wrong.contains("service for tip: none") && wrong.contains("odoo.services"),
        "{wrong}"
    );
}

#[tokio::test]
async fn a_check_names_every_fault_with_what_to_do() {
    for version in VERSIONS {
        let (server, odoo) = start(Options {
            user_email: None,
            denied: vec![Denied {
                model: "res.partner".to_owned(),
                operations: vec!["create".to_owned()],
            }],
            ..Options::version(version)
        })
        .await;
        let mut wanted = needs();
        wanted
            .fields
            .get_mut("res.partner")
            .unwrap()
            .push(written_field("x_shopify"));
        wanted
            .fields
            .get_mut("sale.order")
            .unwrap()
            .push(written_field("amount_total"));
        wanted.currencies = vec!["CHF".to_owned(), "EUR".to_owned()];
        wanted.languages = vec!["it_IT".to_owned()];
        let rows = failed(&odoo.check(&wanted).await);
        for part in [
            "e-mail of the API user: the API user has none",
            "rights on res.partner: the API user may not create",
            "Odoo has no x_shopify (test.in.toml:7)",
            "Odoo computes amount_total (test.in.toml:7) itself",
            "language it_IT: not installed",
            "currency CHF: not active",
            "currency EUR: active, but there is no price list",
        ] {
            assert!(rows.contains(part), "{version:?} {part}\n{rows}");
        }

        let expiring = Settings {
            api_key_expires: chrono::NaiveDate::from_ymd_opt(2023, 11, 20),
            warehouse: Some(Reference::Name("Moon".to_owned())),
            services: [("shipping".to_owned(), Reference::Name("SHIP".to_owned()))].into(),
            ..settings(&server.url())
        };
        let odoo = connect(expiring, Secret::text(server.api_key()), &clock());
        let rows = failed(&odoo.check(&Needs::default()).await);
        for part in [
            "ends on 2023-11-20, in 6 days",
            "warehouse = \"Moon\": no stock.warehouse",
            "internal reference `SHIP`",
        ] {
            assert!(rows.contains(part), "{version:?} {part}\n{rows}");
        }

        let odoo = connect(settings(&server.url()), Secret::text("wrong"), &clock());
        let rows = odoo.check(&needs()).await;
        assert!(
            failed(&rows).contains("Check `login` and the API key"),
            "{rows:?}"
        );
        assert!(rows.iter().any(|row| row.outcome == CheckOutcome::Skipped));
        server.down().await.unwrap();
        let odoo = connect(settings(&server.url()), Secret::text("wrong"), &clock());
        assert!(failed(&odoo.check(&needs()).await).contains("Check the port"));
    }
}

/// Rows as text, one line each.
fn written<'a>(rows: impl Iterator<Item = &'a CheckRow>) -> String {
    let lines: Vec<String> = rows.map(|row| format!("{}: {}", row.what, row.note)).collect();
    lines.join("\n")
}

fn failed(rows: &[CheckRow]) -> String {
    written(rows.iter().filter(|row| row.outcome != CheckOutcome::Ok))
}
