//! Orders against the stand-in: their totals, their date, their end.

use std::time::Duration;

use futures_util::future::join_all;
use rust_decimal::Decimal;
use serde_json::json;

use super::given::{
    ORDERED_AT, VERSIONS, amount, fields, found, id, order, start, start_narrow, stock, text, total_calls,
    word,
};
use super::{clock, connect, settings};
use crate::domain::ErpId;
use crate::erp::odoo::{Odoo, Reference, Settings};
use crate::erp::{Erp as _, ErpError, OrderState, SalesOrder};
use crate::sandbox::odoo::{Fault, OdooError, OdooSandbox, Options, Rule};
use crate::secret::Secret;
use crate::telemetry::calls;

#[tokio::test]
async fn an_order_is_saved_read_confirmed_and_keeps_its_date_in_four_calls() {
    for version in VERSIONS {
        let (server, odoo) = start(Options::version(version)).await;
        let (customer, product) = stock(&odoo).await;
        // The first order pays for look-ups and fields; the second is what every later one costs.
        for (name, warm) in [("order_1", false), ("order_2", true)] {
            let save = order(&odoo, name, customer, product).await;
            let before = total_calls(&odoo);
            let order_id = odoo.save(&[save]).await.unwrap()[0];
            let draft = odoo.order(order_id).await.unwrap().unwrap();
            assert_eq!(draft.state, OrderState::Draft);
            assert_eq!(draft.total, "29.97".parse::<Decimal>().unwrap());
            assert_eq!(
                (draft.untaxed + draft.tax, draft.tax),
                (draft.total, "5.00".parse().unwrap())
            );
            assert_eq!(draft.currency.as_deref(), Some("USD"));
            assert_eq!(draft.reference.as_deref(), Some("#1001"));
            assert_eq!(draft.partner, Some(customer));
            assert_eq!(draft.lines.len(), 2);
            assert_eq!(draft.lines[0].quantity, Decimal::from(3));
            assert_eq!(draft.lines[0].taxes.len(), 1);
            let confirmed = odoo.confirm_order(order_id, ORDERED_AT).await.unwrap();
            assert_eq!(confirmed.state, OrderState::Confirmed);
            assert_eq!(confirmed.ordered_at, Some(ORDERED_AT), "{version:?}");
            assert_eq!(confirmed.total, draft.total);
            let calls = total_calls(&odoo) - before;
            if warm {
                assert_eq!(calls, 4, "{version:?}: {:?}", odoo.calls());
            }
            // Confirming again changes nothing.
            let before = total_calls(&odoo);
            assert_eq!(odoo.confirm_order(order_id, ORDERED_AT).await.unwrap(), confirmed);
            assert_eq!(total_calls(&odoo) - before, 2);
        }
        assert_eq!(server.ledger().count("stock.picking"), 2);
        assert_eq!(server.ledger().mails(), Vec::<String>::new(), "nobody gets mail");
        assert_eq!(odoo.order(ErpId(999_999)).await.unwrap(), None);
    }
}

/// So many orders that nobody has confirmed yet.
async fn drafts(odoo: &Odoo, count: usize) -> Vec<ErpId> {
    let (customer, product) = stock(odoo).await;
    let mut ids = Vec::new();
    for n in 0..count {
        let save = order(odoo, &format!("order_{n}"), customer, product).await;
        ids.extend(odoo.save(&[save]).await.unwrap());
    }
    ids
}

async fn confirmed_by_an_import(odoo: &Odoo, id: ErpId) -> Result<SalesOrder, ErpError> {
    calls::giving_way(true, odoo.confirm_order(id, ORDERED_AT)).await
}

#[tokio::test]
async fn orders_of_an_import_are_confirmed_together() {
    for version in VERSIONS {
        let (server, odoo) = start_narrow(Options::version(version)).await;
        let ids = drafts(&odoo, 12).await;
        let confirm = |(n, id): (i64, &ErpId)| {
            let (odoo, id) = (&odoo, *id);
            let ordered_at = ORDERED_AT.plus(Duration::from_secs(n.unsigned_abs()));
            calls::giving_way(true, async move {
                let order = odoo.confirm_order(id, ordered_at).await.unwrap();
                assert_eq!(
                    (order.id, order.state, order.ordered_at),
                    (id, OrderState::Confirmed, Some(ordered_at))
                );
            })
        };
        let before = total_calls(&odoo);
        // One that is alone takes its two calls.
        confirm((0, &ids[0])).await;
        assert_eq!(total_calls(&odoo) - before, 2, "{version:?}");
        join_all((1..).zip(&ids[1..]).map(confirm)).await;
        let calls = total_calls(&odoo) - before - 2;
        assert!(calls <= 8, "{version:?}: {calls} calls to confirm eleven orders");
        assert_eq!(server.ledger().count("stock.picking"), 12, "{version:?}");
    }
}

#[tokio::test]
async fn of_orders_that_are_confirmed_together_one_that_cannot_be_fails_alone() {
    for version in VERSIONS {
        let slow = Options {
            latency: Duration::from_millis(20),
            ..Options::version(version)
        };
        let (server, odoo) = start_narrow(slow).await;
        let ids = drafts(&odoo, 8).await;
        // Somebody confirmed one and cancelled another meanwhile, and a module has its own troubles with several.
        odoo.confirm_order(ids[2], ORDERED_AT).await.unwrap();
        odoo.cancel_order(ids[5], false).await.unwrap();
        let singleton = OdooError::custom("builtins.ValueError", "Expected singleton: sale.order(1, 2)");
        server.faults().add(
            Rule::new(Fault::Error(singleton))
                .method("action_confirm")
                .times(3),
        );
        let confirm = |id: &ErpId| confirmed_by_an_import(&odoo, *id);
        let before = server.ledger().calls_of("sale.order", "action_confirm");
        for (n, confirmed) in join_all(ids.iter().map(confirm)).await.into_iter().enumerate() {
            if n == 5 {
                assert!(
                    matches!(confirmed, Err(ErpError::Rejected { .. })),
                    "{version:?}: {confirmed:?}"
                );
                continue;
            }
            let order = confirmed.unwrap_or_else(|error| panic!("{version:?}: {n}: {error}"));
            assert_eq!(
                (order.id, order.state, order.ordered_at),
                (ids[n], OrderState::Confirmed, Some(ORDERED_AT))
            );
        }
        // All, and by turns halves, quarters and each: never more than twice as many calls as orders.
        let calls = server.ledger().calls_of("sale.order", "action_confirm") - before;
        assert!((9..=16).contains(&calls), "{version:?}: {calls}");
        assert_eq!(server.ledger().count("stock.picking"), 7, "{version:?}");
    }
}

#[tokio::test]
async fn orders_that_were_confirmed_together_without_an_answer_are_confirmed_once() {
    for version in VERSIONS {
        let (server, odoo) = start_narrow(Options::version(version)).await;
        let ids = drafts(&odoo, 6).await;
        let confirm = |id: &ErpId| confirmed_by_an_import(&odoo, *id);
        let lost = Rule::new(Fault::CloseAfter).method("action_confirm").times(6);
        server.faults().add(lost);
        for error in join_all(ids.iter().map(confirm)).await {
            let error = error.unwrap_err();
            assert!(matches!(error, ErpError::Unknown { .. }), "{version:?}: {error}");
        }
        server.faults().clear();
        let before = server.ledger().calls_of("sale.order", "action_confirm");
        for order in join_all(ids.iter().map(confirm)).await {
            assert_eq!(order.unwrap().ordered_at, Some(ORDERED_AT), "{version:?}");
        }
        assert_eq!(server.ledger().count("stock.picking"), 6, "{version:?}");
        let calls = server.ledger().calls_of("sale.order", "action_confirm") - before;
        assert_eq!(calls, 6, "{version:?}: what was lost together goes alone");
    }
}

#[tokio::test]
async fn orders_are_confirmed_also_where_a_module_confirms_the_first_of_several_only() {
    for version in VERSIONS {
        let options = Options {
            confirms_first_only: true,
            latency: Duration::from_millis(20),
            ..Options::version(version)
        };
        let (server, odoo) = start_narrow(options).await;
        let ids = drafts(&odoo, 6).await;
        let confirm = |id: &ErpId| confirmed_by_an_import(&odoo, *id);
        for order in join_all(ids.iter().map(confirm)).await {
            let order = order.unwrap_or_else(|error| panic!("{version:?}: {error}"));
            assert_eq!(
                (order.state, order.ordered_at),
                (OrderState::Confirmed, Some(ORDERED_AT))
            );
        }
        assert_eq!(server.ledger().count("stock.picking"), 6, "{version:?}");
    }
}

#[tokio::test]
async fn a_confirmation_that_lost_its_answer_or_its_date_is_completed() {
    for version in VERSIONS {
        let (server, odoo) = start(Options::version(version)).await;
        let (customer, product) = stock(&odoo).await;
        let save = order(&odoo, "order_1", customer, product).await;
        let order_id = odoo.save(&[save]).await.unwrap()[0];
        server
            .faults()
            .on("sale.order", "action_confirm", Fault::CloseAfter);
        let error = odoo.confirm_order(order_id, ORDERED_AT).await.unwrap_err();
        assert!(matches!(error, ErpError::Unknown { .. }), "{error}");
        let confirmed = odoo.confirm_order(order_id, ORDERED_AT).await.unwrap();
        assert_eq!(confirmed.ordered_at, Some(ORDERED_AT), "{version:?}");
        assert_eq!(server.ledger().count("stock.picking"), 1);
    }
}

#[tokio::test]
async fn parallel_confirmations_end_with_one_delivery_and_the_right_date() {
    for version in VERSIONS {
        let (server, odoo) = start(Options {
            races: true,
            latency: Duration::from_millis(5),
            ..Options::version(version)
        })
        .await;
        let (customer, product) = stock(&odoo).await;
        let save = order(&odoo, "order_1", customer, product).await;
        let order_id = odoo.save(&[save]).await.unwrap()[0];
        let confirmed = join_all((0..6).map(|_| async {
            loop {
                match odoo.confirm_order(order_id, ORDERED_AT).await {
                    Ok(order) => return order,
                    Err(ErpError::Busy { .. }) => {}
                    Err(error) => panic!("{version:?}: {error}"),
                }
            }
        }))
        .await;
        assert!(confirmed.iter().all(|order| order.state == OrderState::Confirmed));
        let order = odoo.order(order_id).await.unwrap().unwrap();
        assert_eq!(order.ordered_at, Some(ORDERED_AT), "{version:?}");
        assert_eq!(server.ledger().count("stock.picking"), 1, "{version:?}");
        assert!(
            server.ledger().calls_of("sale.order", "action_confirm") > 1,
            "they did race"
        );
    }
}

#[tokio::test]
async fn given_prices_stick_when_somebody_changes_the_quantity() {
    for version in VERSIONS {
        let (server, odoo) = start(Options::version(version)).await;
        let (customer, product) = stock(&odoo).await;
        let save = order(&odoo, "order_1", customer, product).await;
        let order_id = odoo.save(&[save]).await.unwrap()[0];
        let lines = odoo.order(order_id).await.unwrap().unwrap().lines;
        for line in &lines {
            server
                .as_admin(
                    "sale.order.line",
                    "write",
                    json!([[line.id.0], {"product_uom_qty": 2}]),
                    json!({}),
                )
                .unwrap();
        }
        let after = odoo.order(order_id).await.unwrap().unwrap().lines;
        let prices: Vec<Decimal> = after.iter().map(|line| line.unit_price).collect();
        assert_eq!(prices, ["9.99".parse().unwrap(), Decimal::ZERO], "{version:?}");
    }
}

#[tokio::test]
async fn orders_are_cancelled_whatever_state_they_are_in() {
    for version in VERSIONS {
        for auto_lock in [false, true] {
            let (server, odoo) = start(Options {
                auto_lock,
                ..Options::version(version)
            })
            .await;
            let (customer, product) = stock(&odoo).await;
            for (name, confirm) in [("order_1", false), ("order_2", true)] {
                let save = order(&odoo, name, customer, product).await;
                let order_id = odoo.save(&[save]).await.unwrap()[0];
                if confirm {
                    let confirmed = odoo.confirm_order(order_id, ORDERED_AT).await.unwrap();
                    assert_eq!(confirmed.locked, auto_lock, "{version:?}");
                }
                if confirm && auto_lock {
                    let refused = odoo.cancel_order(order_id, false).await.unwrap_err();
                    assert!(matches!(refused, ErpError::Rejected { .. }), "{refused}");
                    let kept = odoo.order(order_id).await.unwrap().unwrap();
                    assert_eq!((kept.state, kept.locked), (OrderState::Confirmed, true));
                }
                let cancelled = odoo.cancel_order(order_id, true).await.unwrap();
                assert_eq!(cancelled.state, OrderState::Cancelled, "{version:?} {name}");
                let before = server.ledger().calls_of("sale.order", "action_cancel");
                assert_eq!(
                    odoo.cancel_order(order_id, false).await.unwrap().state,
                    OrderState::Cancelled
                );
                assert_eq!(server.ledger().calls_of("sale.order", "action_cancel"), before);
                let refused = odoo.confirm_order(order_id, ORDERED_AT).await.unwrap_err();
                assert!(matches!(refused, ErpError::Rejected { .. }), "{refused}");
            }
        }
    }
}

#[tokio::test]
async fn lines_are_removed_even_when_some_are_gone() {
    for version in VERSIONS {
        let (server, odoo) = start(Options::version(version)).await;
        let (customer, product) = stock(&odoo).await;
        let save = order(&odoo, "order_1", customer, product).await;
        let order_id = odoo.save(&[save]).await.unwrap()[0];
        let lines: Vec<ErpId> = odoo
            .order(order_id)
            .await
            .unwrap()
            .unwrap()
            .lines
            .iter()
            .map(|line| line.id)
            .collect();
        odoo.remove_order_lines(order_id, &lines[..1]).await.unwrap();
        odoo.remove_order_lines(order_id, &lines).await.unwrap();
        odoo.remove_order_lines(order_id, &lines).await.unwrap();
        assert_eq!(odoo.order(order_id).await.unwrap().unwrap().lines, []);
        assert_eq!(server.ledger().count("sale.order.line"), 0);
    }
}

#[tokio::test]
async fn notes_and_lines_with_other_fields_keep_their_defaults() {
    for version in VERSIONS {
        let (_server, odoo) = start(Options::version(version)).await;
        let (customer, product) = stock(&odoo).await;
        let mut save = order(&odoo, "order_1", customer, product).await;
        let lines = save.lines.as_mut().unwrap();
        lines.rows[0].1.extend(fields(&[("discount", amount("10"))]));
        let note = fields(&[("name", text("Gift wrap")), ("display_type", text("line_note"))]);
        lines.rows.push((id("order_1_note"), note));
        let order_id = odoo.save(std::slice::from_ref(&save)).await.unwrap()[0];
        assert_eq!(odoo.save(&[save]).await.unwrap(), [order_id]);
        let read = odoo.order(order_id).await.unwrap().unwrap();
        assert_eq!(read.lines.len(), 3, "{version:?}: {:?}", read.lines);
        assert!(
            read.lines
                .iter()
                .any(|line| line.name == "Gift wrap" && line.product.is_none())
        );
        // 3 x 9.99 less 10 percent = 26.973, rounded to 26.97.
        assert_eq!(read.total, "26.97".parse::<Decimal>().unwrap(), "{version:?}");
    }
}

#[tokio::test]
async fn what_the_settings_declare_goes_into_every_order() {
    for version in VERSIONS {
        let server = OdooSandbox::start(Options {
            pricelists: vec![
                ("Dollars".to_owned(), "USD".to_owned()),
                ("Dollars B".to_owned(), "USD".to_owned()),
            ],
            ..Options::version(version)
        })
        .await
        .unwrap();
        let team = server
            .as_admin("crm.team", "create", json!([{"name": "Web shop"}]), json!({}))
            .unwrap();
        let declared = Settings {
            salesperson: Some(Reference::Id(server.uid())),
            sales_team: Some(Reference::Name("Web shop".to_owned())),
            pricelist: Some(Reference::Name("Dollars B".to_owned())),
            company: Some(Reference::Name("My Company".to_owned())),
            language: Some("de_DE".to_owned()),
            ..settings(&server.url())
        };
        let odoo = connect(declared.clone(), Secret::text(server.api_key()), &clock());
        let (customer, product) = stock(&odoo).await;
        let save = order(&odoo, "order_1", customer, product).await;
        odoo.save(&[save]).await.unwrap();
        let order = &server.ledger().orders()[0];
        assert_eq!(order.team_id, team.as_i64(), "{version:?}");
        let booked = server.ledger().record("sale.order", order.id).unwrap();
        let salesperson = booked["user_id"].as_i64().or(booked["user_id"][0].as_i64());
        assert_eq!(salesperson, Some(server.uid()), "{version:?}");
        assert_eq!(odoo.company_currency().await.unwrap().as_deref(), Some("USD"));
        let pricelist = found(&odoo, &[("currency", word("USD"))], "pricelist").await;
        assert_eq!(order.pricelist_id, Some(pricelist.0));

        let wrong = Settings {
            sales_team: Some(Reference::Name("Nobody".to_owned())),
            ..declared
        };
        let odoo = connect(wrong, Secret::text(server.api_key()), &clock());
        let error = odoo.declared("sale.order").await.unwrap_err();
        assert!(error.to_string().contains("sales_team = \"Nobody\""), "{error}");
    }
}

#[tokio::test]
async fn without_the_web_clients_methods_orders_work_all_the_same() {
    for version in VERSIONS {
        let (server, odoo) = start(Options::version(version)).await;
        let (customer, product) = stock(&odoo).await;
        let save = order(&odoo, "order_1", customer, product).await;
        let order_id = odoo.save(&[save]).await.unwrap()[0];
        let with = odoo.order(order_id).await.unwrap().unwrap();
        for method in ["web_read", "web_save"] {
            let unknown = OdooError::custom("builtins.AttributeError", "The method does not exist");
            server
                .faults()
                .add(Rule::new(Fault::Error(unknown)).method(method).always());
        }
        assert_eq!(odoo.order(order_id).await.unwrap().unwrap(), with, "{version:?}");
        assert_eq!(odoo.order(ErpId(999_999)).await.unwrap(), None);
        let confirmed = odoo.confirm_order(order_id, ORDERED_AT).await.unwrap();
        assert_eq!(
            (confirmed.state, confirmed.ordered_at),
            (OrderState::Confirmed, Some(ORDERED_AT))
        );
        assert_eq!(confirmed.total, with.total);
    }
}
