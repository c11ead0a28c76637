//! Setting the stand-in up: what is missing is made once, and what may not be made is told to whoever may.

use serde_json::json;

use super::given::{VERSIONS, start};
use super::{clock, connect, settings};
use crate::erp::odoo::{Odoo, Reference, Settings};
use crate::erp::{ChoiceKind, Erp as _, ErpError, OrderFieldKind, SetupState, SetupWish};
use crate::sandbox::odoo::{Denied, OdooSandbox, Options, Version};
use crate::secret::Secret;

fn service(purpose: &str) -> SetupWish {
    SetupWish::Service {
        purpose: purpose.to_owned(),
        label: format!("Shopify {purpose}"),
    }
}

fn price_list(currency: &str) -> SetupWish {
    SetupWish::PriceList {
        currency: currency.to_owned(),
        label: format!("Shopify {currency}"),
    }
}

async fn state(odoo: &Odoo, wish: &SetupWish) -> SetupState {
    odoo.setup_state(wish).await.unwrap()
}

fn is_missing(state: &SetupState) -> bool {
    matches!(state, SetupState::Missing { .. })
}

fn count(server: &OdooSandbox, model: &str, domain: serde_json::Value) -> i64 {
    let found = server.as_admin(model, "search_count", json!([domain]), json!({}));
    found.unwrap().as_i64().unwrap()
}

#[tokio::test]
async fn a_service_product_is_made_once_and_found_by_look_ups() {
    for version in VERSIONS {
        let (server, odoo) = start(Options::version(version)).await;
        for purpose in ["shipping", "gift_card"] {
            let wish = service(purpose);
            assert!(is_missing(&state(&odoo, &wish).await), "{version:?} {purpose}");
            odoo.setup_make(&wish).await.unwrap();
            odoo.setup_make(&wish).await.unwrap();
            assert!(
                matches!(state(&odoo, &wish).await, SetupState::There(_)),
                "{version:?} {purpose}"
            );
            let named = json!([["name", "=", format!("Shopify {purpose}")]]);
            assert_eq!(count(&server, "product.product", named), 1, "{version:?}");
        }
        let made = server
            .as_admin(
                "product.product",
                "search_read",
                json!([
                    [["name", "like", "Shopify"]],
                    ["name", "type", "list_price", "taxes_id", "purchase_ok"]
                ]),
                json!({"order": "id"}),
            )
            .unwrap();
        assert_eq!(made[0]["type"], "service", "{version:?}");
        assert_eq!(made[0]["purchase_ok"], false, "{version:?}");
        assert!(
            made[0]["taxes_id"]
                .as_array()
                .is_some_and(|taxes| !taxes.is_empty())
        );
        // What is sold with a gift card is taxed when it is spent.
        assert_eq!(made[1]["taxes_id"], json!([]), "{version:?}");
    }
}

#[tokio::test]
async fn a_declared_reference_is_given_to_the_product_that_is_made() {
    let server = OdooSandbox::start(Options::version(Version::V18)).await.unwrap();
    let declared = Settings {
        services: [
            ("shipping".to_owned(), Reference::Name("DELIVERY".to_owned())),
            ("tip".to_owned(), Reference::Id(987_654)),
        ]
        .into(),
        ..settings(&server.url())
    };
    let odoo = connect(declared, Secret::text(server.api_key()), &clock());
    odoo.setup_make(&service("shipping")).await.unwrap();
    let SetupState::There(note) = state(&odoo, &service("shipping")).await else {
        panic!("it was made");
    };
    assert!(note.contains("DELIVERY"), "{note}");
    let coded = json!([["default_code", "=", "DELIVERY"]]);
    assert_eq!(count(&server, "product.product", coded), 1);
    let SetupState::ByHand(how) = state(&odoo, &service("tip")).await else {
        panic!("an id that no product has is not there");
    };
    assert!(how.contains("987654") && how.contains("odoo.services"), "{how}");
}

#[tokio::test]
async fn a_service_product_that_was_deleted_is_missing_and_made_again() {
    let (server, odoo) = start(Options::version(Version::V18)).await;
    odoo.setup_make(&service("fee")).await.unwrap();
    let SetupState::There(_) = state(&odoo, &service("fee")).await else {
        panic!("it was made");
    };
    let found = server
        .as_admin(
            "product.product",
            "search",
            json!([[["name", "=", "Shopify fee"]]]),
            json!({}),
        )
        .unwrap();
    server
        .as_admin("product.product", "unlink", json!([found]), json!({}))
        .unwrap();
    odoo.forget_everything();
    assert!(is_missing(&state(&odoo, &service("fee")).await), "it was deleted");
    odoo.setup_make(&service("fee")).await.unwrap();
    assert!(matches!(
        state(&odoo, &service("fee")).await,
        SetupState::There(_)
    ));
}

#[tokio::test]
async fn price_lists_need_an_active_currency_and_are_made_once() {
    for version in VERSIONS {
        let (server, odoo) = start(Options::version(version)).await;
        let active = SetupWish::Currency {
            code: "EUR".to_owned(),
        };
        assert!(matches!(state(&odoo, &active).await, SetupState::There(_)));
        let inactive = SetupWish::Currency {
            code: "CHF".to_owned(),
        };
        let SetupState::ByHand(how) = state(&odoo, &inactive).await else {
            panic!("{version:?}: CHF is not active");
        };
        assert!(how.contains("Currencies") && how.contains("CHF"), "{how}");
        assert!(matches!(
            state(&odoo, &price_list("CHF")).await,
            SetupState::ByHand(_)
        ));
        assert!(odoo.setup_make(&price_list("CHF")).await.is_err());

        assert!(is_missing(&state(&odoo, &price_list("EUR")).await));
        odoo.setup_make(&price_list("EUR")).await.unwrap();
        odoo.setup_make(&price_list("EUR")).await.unwrap();
        assert!(matches!(
            state(&odoo, &price_list("EUR")).await,
            SetupState::There(_)
        ));
        assert_eq!(count(&server, "product.pricelist", json!([])), 1, "{version:?}");
    }
}

#[tokio::test]
async fn what_the_api_user_may_not_make_is_told_to_an_administrator_with_every_word_to_type() {
    for version in VERSIONS {
        let (server, odoo) = start(Options::version(version)).await;
        for model in ["product.product", "product.template"] {
            server.deny(Denied {
                model: model.to_owned(),
                operations: vec!["create".to_owned()],
            });
        }
        let SetupState::Administrator { note, how } = state(&odoo, &service("shipping")).await else {
            panic!("{version:?}");
        };
        assert!(
            note.contains("Shopify shipping") && how.contains("type Service"),
            "{note} {how}"
        );
        let made = odoo.setup_make(&service("shipping")).await;
        assert!(
            matches!(made, Err(ErpError::Forbidden { .. } | ErpError::Rejected { .. })),
            "{made:?}"
        );
        let field = SetupWish::OrderField {
            name: "x_shopify_paid".to_owned(),
            label: "Shopify paid".to_owned(),
            holds: OrderFieldKind::Number,
        };
        let SetupState::Administrator { note, how } = state(&odoo, &field).await else {
            panic!("{version:?}");
        };
        for part in ["`Shopify paid`", "sale.order", "float", "Technical"] {
            assert!(format!("{note} {how}").contains(part), "{part}: {note} {how}");
        }
        assert!(odoo.setup_make(&field).await.is_err());
    }
}

#[tokio::test]
async fn choices_are_told_by_name_with_what_tells_them_apart() {
    for version in VERSIONS {
        let (_server, odoo) = start(Options::version(version)).await;
        let taxes = odoo.setup_choices(ChoiceKind::Tax).await.unwrap();
        let included = taxes.iter().find(|tax| tax.name == "19% incl.").unwrap();
        assert_eq!(
            (included.rate_percent, included.is_included),
            (Some(19.into()), Some(true))
        );
        assert!(included.note.starts_with("19 %, included"), "{}", included.note);
        let names = |choices: Vec<crate::erp::Choice>| -> Vec<String> {
            choices.into_iter().map(|choice| choice.name).collect()
        };
        let currencies = names(odoo.setup_choices(ChoiceKind::Currency).await.unwrap());
        assert_eq!(currencies.len(), 2, "only active ones: {currencies:?}");
        assert_eq!(
            names(odoo.setup_choices(ChoiceKind::Warehouse).await.unwrap()),
            ["My Company"]
        );
        odoo.setup_choices(ChoiceKind::Journal).await.unwrap();
        odoo.setup_choices(ChoiceKind::Carrier).await.unwrap();
    }
}
