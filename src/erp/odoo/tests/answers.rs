//! What each answer means, over both protocols: the table of Odoo's errors, and what comes instead of an answer.

use std::time::Duration;

use serde_json::{Value, json};

use super::scripted::{Answer, Scripted};
use crate::erp::ErpError;
use crate::erp::odoo::call::Call;
use crate::telemetry::calls::Watch;
use crate::transport::Failure;

/// A word for an error, as the table below uses it.
fn word(error: &ErpError) -> &'static str {
    match error {
        ErpError::Unreachable(Failure::Page { .. }) => "page",
        other => other.code().trim_start_matches("erp_"),
    }
}

async fn outcome(
    json2: bool,
    writes: bool,
    answer: impl FnOnce(&Scripted) -> Vec<Answer>,
) -> Result<Value, ErpError> {
    let server = Scripted::start(json2, []).await;
    for answer in answer(&server) {
        server.then(answer);
    }
    let call = if writes {
        Call::write("res.partner", "write")
    } else {
        Call::read("res.partner", "read")
    };
    super::scripted(&server)
        .session
        .call(&call.on([crate::domain::ErpId(30)]))
        .await
}

/// The exception's name, its words, the status that JSON-2 gives it, and what it means.
const FAULTS: &[(&str, &str, u16, &str)] = &[
    (
        "odoo.exceptions.AccessError",
        "You are not allowed",
        403,
        "forbidden",
    ),
    (
        "odoo.exceptions.MissingError",
        "Record does not exist: res.partner(30,)",
        404,
        "record_missing",
    ),
    (
        "odoo.exceptions.ValidationError",
        "Missing required fields: name",
        422,
        "rejected",
    ),
    (
        "odoo.exceptions.ValidationError",
        "duplicate key value violates unique constraint \"x\"",
        422,
        "busy",
    ),
    (
        "odoo.exceptions.ValidationError",
        "Error, a partner cannot follow twice the same object.",
        422,
        "busy",
    ),
    (
        "odoo.exceptions.UserError",
        "It is not in a state requiring confirmation",
        422,
        "rejected",
    ),
    (
        "odoo.exceptions.UserError",
        "Object res.foo doesn't exist",
        422,
        "not_set_up",
    ),
    (
        "odoo.exceptions.UserError",
        "Invalid language code: xx_XX",
        422,
        "misconfigured",
    ),
    (
        "werkzeug.exceptions.NotFound",
        "the model 'res.foo' does not exist",
        404,
        "not_set_up",
    ),
    (
        "builtins.AttributeError",
        "The method 'res.partner.foo' does not exist",
        500,
        "not_set_up",
    ),
    (
        "builtins.ValueError",
        "Invalid field 'foo' on model 'res.partner'",
        500,
        "not_set_up",
    ),
    ("builtins.KeyError", "foo", 500, "not_set_up"),
    (
        "builtins.ValueError",
        "Wrong value for res.partner.type: 'x'",
        500,
        "rejected",
    ),
    ("builtins.TypeError", "unsupported operand", 500, "rejected"),
    (
        "psycopg2.errors.SerializationFailure",
        "could not serialize access due to concurrent update",
        500,
        "busy",
    ),
    (
        "psycopg2.errors.DeadlockDetected",
        "deadlock detected",
        500,
        "busy",
    ),
    (
        "psycopg2.errors.LockNotAvailable",
        "could not obtain lock",
        500,
        "busy",
    ),
    (
        "psycopg2.InterfaceError",
        "connection already closed",
        500,
        "busy",
    ),
    (
        "psycopg2.OperationalError",
        "connection refused\nIs the server running?",
        500,
        "down",
    ),
    (
        "psycopg2.errors.InvalidTextRepresentation",
        "invalid input syntax for integer: \"US\"",
        500,
        "rejected",
    ),
    (
        "werkzeug.exceptions.RequestEntityTooLarge",
        "The data value transmitted exceeds the limit",
        413,
        "rejected",
    ),
    ("werkzeug.exceptions.BadRequest", "", 400, "rejected"),
    ("third.party.Error", "Something", 500, "nonsense"),
];

#[tokio::test]
async fn every_fault_means_the_same_over_both_protocols() {
    for (name, message, status, expected) in FAULTS {
        for json2 in [false, true] {
            let error = outcome(json2, true, |server| vec![server.fault(*status, name, message)])
                .await
                .unwrap_err();
            assert_eq!(
                word(&error),
                *expected,
                "{name} {message}, JSON-2 {json2}: {error}"
            );
            let shown = format!("{error:?} {error}");
            assert!(!shown.contains("hunter2"), "the traceback stays out: {shown}");
        }
    }
}

#[tokio::test]
async fn what_comes_instead_of_an_answer_is_told_apart_for_reads_and_writes() {
    for (name, answer, read, write) in [
        ("cut", Answer::Cut, "unreachable", "no_answer"),
        ("gateway", Answer::page(502), "page", "no_answer"),
        ("gateway timeout", Answer::page(504), "page", "no_answer"),
        ("maintenance", Answer::Later(503, 7), "page", "page"),
        ("too many", Answer::Later(429, 7), "page", "page"),
        ("login page", Answer::page(200), "page", "page"),
        ("redirect", Answer::page(303), "page", "page"),
        ("too large for a proxy", Answer::page(413), "rejected", "rejected"),
        ("a firewall's page", Answer::page(403), "rejected", "rejected"),
        ("a proxy's bad request", Answer::page(400), "rejected", "rejected"),
        ("a wrong method", Answer::page(405), "rejected", "rejected"),
        ("a proxy's login page", Answer::page(401), "page", "page"),
        ("a worker's crash", Answer::page(500), "nonsense", "no_answer"),
        (
            "broken json",
            Answer::Plain(200, "application/json", "{\"a\":".to_owned()),
            "nonsense",
            "nonsense",
        ),
    ] {
        for json2 in [false, true] {
            for (writes, expected) in [(false, read), (true, write)] {
                let error = outcome(json2, writes, |_| vec![answer.clone()])
                    .await
                    .unwrap_err();
                assert_eq!(
                    word(&error),
                    expected,
                    "{name}, JSON-2 {json2}, writes {writes}: {error}"
                );
            }
        }
    }
}

#[tokio::test]
async fn pages_of_a_server_that_never_worked_are_an_outage() {
    for status in [400, 403, 405, 500] {
        let server = Scripted::start(false, []).await;
        let odoo = super::scripted(&server);
        odoo.session.login().await.unwrap();
        odoo.session.forget_that_it_worked();
        server.then(Answer::page(status));
        let call = Call::read("res.partner", "read").on([crate::domain::ErpId(30)]);
        let error = odoo.session.call(&call).await.unwrap_err();
        assert_eq!(word(&error), "page", "{status}: {error}");
    }
}

#[tokio::test]
async fn patience_that_is_asked_for_is_passed_on() {
    let error = outcome(false, true, |_| vec![Answer::Later(503, 7)])
        .await
        .unwrap_err();
    assert_eq!(
        error.disposition(),
        crate::domain::Disposition::SystemDown {
            system: crate::domain::System::Erp,
            retry_after: Some(Duration::from_secs(7))
        }
    );
}

#[tokio::test]
async fn results_may_be_missing_or_null() {
    let nothing = json!({"jsonrpc": "2.0", "id": 1});
    assert_eq!(
        outcome(false, true, |_| vec![Answer::json(200, &nothing)])
            .await
            .unwrap(),
        Value::Null
    );
    assert_eq!(
        outcome(true, true, |_| vec![Answer::json(200, &Value::Null)])
            .await
            .unwrap(),
        Value::Null
    );
}

#[tokio::test]
async fn a_missing_database_is_a_wrong_name_unless_it_worked_before_or_its_server_is_down() {
    let up = json!({"status": "pass", "db_server_status": true});
    let down = json!({"status": "fail", "db_server_status": false});
    let words = "connection to server failed: FATAL: database \"prod\" does not exist";
    for (name, worked, health, expected) in [
        ("never worked, server up", false, Some(&up), "misconfigured"),
        ("never worked, server silent", false, None, "misconfigured"),
        ("never worked, server down", false, Some(&down), "down"),
        ("worked before, server up", true, Some(&up), "down"),
        ("worked before, server silent", true, None, "down"),
    ] {
        for json2 in [false, true] {
            let server = Scripted::start(json2, []).await;
            server.set_health(health.cloned());
            let odoo = super::scripted(&server);
            let call = Call::read("res.partner", "read").on([crate::domain::ErpId(30)]);
            odoo.session.login().await.unwrap();
            if !worked {
                // A login works through the database, so only a server that lost it right then gets here.
                odoo.session.forget_that_it_worked();
            }
            server.then(if json2 {
                Answer::page(404)
            } else {
                server.fault(200, "psycopg2.OperationalError", words)
            });
            let watch = Watch::default();
            let error = watch.over(odoo.session.call(&call)).await.unwrap_err();
            assert_eq!(word(&error), expected, "{name}, JSON-2 {json2}: {error}");
            // A page in its place, or that it fails, is nothing that went well.
            let calls = watch.calls().first;
            if let Some(asked) = calls.iter().find(|call| call.name == "health") {
                let is_up = health.is_some_and(|health| health["status"] == "pass");
                assert_eq!(asked.outcome == "ok", is_up, "{name}: {asked:?}");
            }
            assert_eq!(calls.iter().any(|call| call.name == "health"), !worked, "{name}");
        }
    }
}

#[tokio::test]
async fn a_wizard_means_that_nothing_was_done() {
    for json2 in [false, true] {
        let server = Scripted::start(json2, []).await;
        server
            .then(server.result(&json!({"type": "ir.actions.act_window", "res_model": "sale.order.cancel"})));
        server.then(server.result(&json!(true)));
        server.then(server.result(&json!({"type": "something else"})));
        let odoo = super::scripted(&server);
        let call = Call::write("sale.order", "action_cancel").on([crate::domain::ErpId(5)]);
        assert!(matches!(odoo.act(&call).await, Err(ErpError::Asked { .. })));
        assert_eq!(odoo.act(&call).await.unwrap(), json!(true));
        assert!(odoo.act(&call).await.is_ok());
    }
}

#[tokio::test]
async fn every_call_names_language_time_zone_and_company() {
    for json2 in [false, true] {
        let server = Scripted::start(json2, []).await;
        server.then(server.result(&json!(true)));
        let odoo = super::scripted(&server);
        let call = Call::write("sale.order", "action_cancel")
            .on([crate::domain::ErpId(5)])
            .context("disable_cancel_warning", true);
        odoo.session.call(&call).await.unwrap();
        let seen = server.seen();
        let context = if json2 {
            &seen[0]["context"]
        } else {
            &seen[0]["params"]["args"][6]["context"]
        };
        assert_eq!(
            *context,
            json!({"lang": "en_US", "tz": "UTC", "allowed_company_ids": [1], "disable_cancel_warning": true})
        );
        let ids = if json2 {
            &seen[0]["ids"]
        } else {
            &seen[0]["params"]["args"][5][0]
        };
        assert_eq!(*ids, json!([5]));
    }
}
