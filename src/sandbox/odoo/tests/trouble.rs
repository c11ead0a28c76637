//! Section 6's races, and the faults on demand.

use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};

use super::support::{Erp, VERSIONS};
use crate::sandbox::odoo::{Fault, OdooError, Options, Rule, Sabotage, Version};

/// Eight calls that all arrived before any of them is carried out.
async fn eight(erp: &Erp, model: &str, method: &str, args: Json) -> Vec<Result<Json, (String, String)>> {
    erp.sandbox.faults().hold();
    let calls = (0..8).map(|_| erp.call(model, method, args.clone(), json!({})));
    let release = async {
        until("eight arrivals", || erp.sandbox.faults().held() == 8).await;
        erp.sandbox.faults().release();
    };
    tokio::join!(futures_util::future::join_all(calls), release).0
}

fn racing(version: Version) -> Options {
    Options {
        races: true,
        ..Options::version(version)
    }
}

#[tokio::test]
async fn eight_loads_at_once_make_one_record() {
    for version in VERSIONS {
        for races in [false, true] {
            let erp = Erp::start(Options {
                races,
                ..racing(version)
            })
            .await;
            let before = erp.sandbox.ledger().count("res.partner");
            let args = json!([["id", "name"], [["a.b", "Ada"]]]);
            let replies = eight(&erp, "res.partner", "load", args.clone()).await;
            assert_eq!(erp.sandbox.ledger().count("res.partner"), before + 1);
            let lost: Vec<&Json> = replies
                .iter()
                .flatten()
                .filter(|reply| reply["ids"] == json!(false))
                .collect();
            assert_eq!(lost.len(), if races { 7 } else { 0 }, "{replies:?}");
            for reply in lost {
                let message = reply["messages"][0]["message"].as_str().unwrap();
                assert!(message.contains("could not serialize access"), "{message}");
            }
            let again = erp.ok("res.partner", "load", args).await;
            assert_eq!(again["ids"][0], erp.resolve("a", "b").await);
        }
    }
}

#[tokio::test]
async fn search_then_create_makes_eight_records() {
    let erp = Erp::start(racing(Version::V18)).await;
    let found = eight(
        &erp,
        "res.partner",
        "search",
        json!([[["email", "=", "a@x.com"]]]),
    )
    .await;
    assert!(found.into_iter().all(|found| found == Ok(json!([]))));
    eight(
        &erp,
        "res.partner",
        "create",
        json!([{"name": "Ada", "email": "a@x.com"}]),
    )
    .await;
    let partners = erp.sandbox.ledger().partners();
    assert_eq!(
        partners
            .iter()
            .filter(|partner| partner.email.is_some() && partner.name == "Ada")
            .count(),
        8
    );
}

#[tokio::test]
async fn of_parallel_confirmations_one_wins() {
    for (version, name) in [(Version::V18, "ValidationError"), (Version::V19, "UserError")] {
        let erp = Erp::start(racing(version)).await;
        let mug = erp.product("Mug", 5.0).await;
        let order = erp
            .create(
                "sale.order",
                json!({"partner_id": 1, "order_line": [[0, 0, {"product_id": mug}]]}),
            )
            .await;
        let replies = eight(&erp, "sale.order", "action_confirm", json!([[order]])).await;
        assert_eq!(replies.iter().filter(|reply| reply.is_ok()).count(), 1);
        assert!(replies.iter().flatten().all(|won| *won == json!(true)));
        assert!(
            replies
                .iter()
                .filter_map(|reply| reply.as_ref().err())
                .all(|(lost, _)| lost.ends_with(name))
        );
        assert_eq!(erp.sandbox.ledger().orders()[0].pickings.len(), 1);
    }
}

/// One request over JSON-RPC: status, content type and body, or the client's error.
async fn raw(erp: &Erp, patience: Duration) -> Result<(u16, String, String), reqwest::Error> {
    let options = erp.sandbox.options();
    let args = json!([options.database, erp.sandbox.uid(), erp.sandbox.api_key(), "res.partner", "create", [{"name": "Ada"}], {}]);
    let body = json!({"jsonrpc": "2.0", "id": 1, "params": {"service": "object", "method": "execute_kw", "args": args}});
    let reply = erp
        .http
        .post(format!("{}/jsonrpc", erp.sandbox.url()))
        .timeout(patience)
        .json(&body)
        .send()
        .await?;
    let content_type = reply.headers()[reqwest::header::CONTENT_TYPE]
        .to_str()
        .unwrap()
        .to_owned();
    Ok((reply.status().as_u16(), content_type, reply.text().await?))
}

#[tokio::test]
async fn each_fault_looks_as_it_should_and_leaves_what_it_should() {
    for (fault, status, part, stored) in [
        (Fault::CloseBefore, 0, "", 0),
        (Fault::CloseAfter, 0, "", 1),
        (Fault::Delay(Duration::from_millis(50)), 200, "result", 1),
        (Fault::ApplyLate(Duration::from_millis(50)), 200, "result", 1),
        (
            Fault::Http {
                status: 429,
                retry_after: Some(3),
            },
            429,
            "<html>",
            0,
        ),
        (
            Fault::Http {
                status: 503,
                retry_after: None,
            },
            503,
            "<html>",
            0,
        ),
        (Fault::HttpAfter(502), 502, "Bad Gateway", 1),
        (Fault::HttpAfter(504), 504, "Gateway Time-out", 1),
        (Fault::Serialization, 200, "SerializationFailure", 0),
        (Fault::PostgresDown, 200, "psycopg2.OperationalError", 0),
        (Fault::ConnectionLost, 200, "psycopg2.InterfaceError", 0),
        (Fault::ExpiredKey, 200, "AccessDenied", 0),
        (Fault::LoginPage, 200, "oe_login_form", 0),
        (Fault::Garbage, 200, "[tru", 0),
        (Fault::HugeBody(1_000_000), 200, "xxxx", 0),
        (Fault::Error(OdooError::custom("x.Odd", "odd")), 200, "x.Odd", 0),
    ] {
        let erp = Erp::of(Version::V18).await;
        let before = erp.sandbox.ledger().count("res.partner");
        erp.sandbox.faults().next(fault.clone());
        match raw(&erp, Duration::from_secs(10)).await {
            Ok((got, content_type, body)) => {
                assert_eq!(got, status, "{fault:?}");
                assert!(body.contains(part), "{fault:?}: {}", &body[..body.len().min(300)]);
                let html = body.trim_start().starts_with('<');
                assert_eq!(content_type.starts_with("text/html"), html, "{fault:?}");
            }
            Err(error) => assert_eq!(status, 0, "{fault:?}: {error}"),
        }
        assert_eq!(
            erp.sandbox.ledger().count("res.partner") - before,
            stored,
            "{fault:?}"
        );
        assert_eq!(
            erp.sandbox.faults().fired(),
            [("res.partner/create".to_owned(), fault)]
        );
        // Once only.
        assert_eq!(raw(&erp, Duration::from_secs(10)).await.unwrap().0, 200);
    }
}

/// Waits for something to become true, a minute at most.
async fn until(what: &str, holds: impl Fn() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(
            started.elapsed() < Duration::from_secs(60),
            "{what} did not happen"
        );
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_client_that_gives_up_does_not_stop_the_server() {
    let erp = Erp::of(Version::V18).await;
    let before = erp.sandbox.ledger().count("res.partner");
    erp.sandbox
        .faults()
        .next(Fault::ApplyLate(Duration::from_secs(5)));
    let gave_up = raw(&erp, Duration::from_millis(50)).await.unwrap_err();
    assert!(gave_up.is_timeout());
    assert_eq!(erp.sandbox.ledger().count("res.partner"), before, "not yet");
    until("the late commit", || erp.sandbox.faults().landed() == 1).await;
    assert_eq!(erp.sandbox.ledger().count("res.partner"), before + 1);
}

#[tokio::test]
async fn services_beside_the_models_fail_only_when_named() {
    let erp = Erp::of(Version::V19).await;
    erp.sandbox.faults().next(Fault::Garbage);
    assert!(
        erp.rpc_raw("common", "version", json!([]))
            .await
            .get("result")
            .is_some()
    );
    erp.sandbox.faults().add(
        Rule::new(Fault::Http {
            status: 503,
            retry_after: None,
        })
        .model("web")
        .method("version"),
    );
    let page = erp
        .http
        .get(format!("{}/web/version", erp.sandbox.url()))
        .send()
        .await
        .unwrap();
    assert_eq!(page.status(), 503);
    assert_eq!(erp.sandbox.faults().pending(), 1);
    erp.sandbox.faults().clear();
    erp.ok("res.users", "context_get", json!([])).await;
}

#[tokio::test]
async fn an_outage_refuses_connections_and_keeps_the_data() {
    let erp = Erp::of(Version::V18).await;
    raw(&erp, Duration::from_secs(10)).await.unwrap();
    let count = erp.sandbox.ledger().count("res.partner");
    for _ in 0..2 {
        erp.sandbox.down().await.unwrap();
        erp.sandbox.down().await.unwrap();
        let refused = raw(&erp, Duration::from_secs(10)).await.unwrap_err();
        assert!(refused.is_connect(), "{refused:?}");
        erp.sandbox.up().await.unwrap();
        erp.sandbox.up().await.unwrap();
        assert_eq!(
            erp.ok("res.users", "context_get", json!([])).await["uid"],
            json!(erp.sandbox.uid())
        );
    }
    assert_eq!(erp.sandbox.ledger().count("res.partner"), count);
    // A call that runs when the server is killed leaves nothing, and its connection is cut.
    erp.sandbox
        .faults()
        .next(Fault::ApplyLate(Duration::from_secs(5)));
    let (cut, downed) = tokio::join!(raw(&erp, Duration::from_secs(10)), async {
        until("the call's arrival", || !erp.sandbox.faults().fired().is_empty()).await;
        erp.sandbox.down().await
    });
    downed.unwrap();
    assert!(cut.is_err_and(|error| !error.is_timeout()));
    assert_eq!(erp.sandbox.ledger().count("res.partner"), count);
    let ledger = erp.sandbox.ledger();
    erp.sandbox.stop().await;
    assert_eq!(ledger.count("res.partner"), count, "the books stay readable");
}

#[tokio::test]
async fn sabotage_shows_in_the_books_alone() {
    for version in VERSIONS {
        for sabotage in [Sabotage::Lose, Sabotage::Double, Sabotage::Cent] {
            let erp = Erp::of(version).await;
            let mug = erp.product("Mug", 50.0).await.to_string();
            erp.sandbox.faults().sabotage(sabotage);
            let fields = json!([
                "id",
                "partner_id/.id",
                "client_order_ref",
                "order_line/id",
                "order_line/product_id/.id"
            ]);
            for n in 1..=2 {
                let row = json!([[format!("s.{n}"), "1", format!("#{n}"), format!("s.{n}_1"), mug]]);
                let loaded = erp.ok("sale.order", "load", json!([fields, row])).await;
                let id = loaded["ids"][0].as_i64().unwrap();
                let draft = erp.fields("sale.order", id, json!(["amount_total"])).await;
                assert_eq!(draft["amount_total"], json!(57.5), "the read-back is right");
                erp.ok("sale.order", "action_confirm", json!([[id]])).await;
                assert_eq!(
                    erp.fields("sale.order", id, json!(["state"])).await["state"],
                    json!("sale")
                );
            }
            let orders = erp.sandbox.ledger().orders();
            let totals: Vec<String> = orders
                .iter()
                .map(|order| order.amount_total.to_string())
                .collect();
            let refs: Vec<&str> = orders
                .iter()
                .filter_map(|order| order.client_order_ref.as_deref())
                .collect();
            match sabotage {
                Sabotage::Lose => {
                    assert_eq!((refs, erp.sandbox.ledger().count("sale.order")), (vec!["#2"], 1));
                }
                Sabotage::Double => assert_eq!(refs, ["#1", "#1", "#2"]),
                Sabotage::Cent => assert_eq!(totals, ["57.51", "57.5"]),
            }
            assert_eq!(
                erp.sandbox.ledger().find_by_external_id("s.1").is_none(),
                sabotage == Sabotage::Lose
            );
        }
    }
}

#[tokio::test]
async fn calls_are_counted_by_method_and_in_order() {
    let erp = Erp::of(Version::V19).await;
    erp.ok("res.partner", "search", json!([[]])).await;
    erp.json2("res.partner", "search", json!({"domain": []})).await;
    erp.sandbox.faults().next(Fault::Serialization);
    erp.err("res.partner", "read", json!([[1]])).await;
    let ledger = erp.sandbox.ledger();
    assert_eq!(
        ledger.call_log(),
        ["res.partner/search", "res.partner/search", "res.partner/read"]
    );
    assert_eq!(
        (ledger.calls_of("res.partner", "search"), ledger.total_calls()),
        (2, 3)
    );
    assert_eq!(ledger.calls().len(), 2);
    ledger.reset_calls();
    assert_eq!(ledger.total_calls(), 0);
}
