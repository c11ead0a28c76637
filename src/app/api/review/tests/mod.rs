//! What people do about failed work, through the API: each action, twice, too late, and by whom.

mod plans;
mod tables;

use std::sync::Arc;

use reqwest::StatusCode;
use serde_json::{Value, json};

use super::super::routes;
use super::super::tests::{Rig, TOKEN, filled, text};
use crate::config::Config;
use crate::domain::{
    Direction, JobId, JobKey, NewProblem, Object, ProblemCode, Role, SharedClock, ShopName, SystemClock,
    TableKey,
};
use crate::store::{Delivery, DeliveryAction, OpenMode, Recorded, SharedStore};

const VIEWER: &str = "a token of a viewer";
const OPERATOR: &str = "a token of an operator";

/// A daemon that works on nothing, with a token for each role and a folder of mappings.
async fn rig() -> Rig {
    let tokens = format!(
        "tokens = ['{TOKEN}', {{ token = '{VIEWER}', name = 'wall', role = 'viewer' }}, {{ token = '{OPERATOR}', name = \
         'desk', role = 'operator' }}]"
    );
    let text = text("paused").replace(&format!("tokens = ['{TOKEN}']"), &tokens);
    Rig::with(&format!("{text}[mappings]\ndir = 'mappings'\n")).await
}

async fn store(rig: &Rig) -> SharedStore {
    let config = Config::load(&rig.path()).unwrap_or_else(|error| panic!("{error}"));
    let clock: SharedClock = Arc::new(SystemClock);
    crate::app::open(&config, &clock, OpenMode::Tool).await.unwrap()
}

/// A job that needs a person, because a table lacks an entry.
async fn problem(store: &SharedStore, id: &str) -> JobId {
    let shop: ShopName = "main".parse().unwrap();
    let now = crate::domain::Clock::now(&SystemClock);
    let problem = NewProblem {
        code: ProblemCode::from("journal_missing"),
        record: Some(format!("#{id}")),
        field: None,
        reason: "No journal is declared for `klarna`.".to_owned(),
        fix: "Name it, then retry.".to_owned(),
        owner: "accounting".to_owned(),
        mapping: None,
        cluster: "journal_missing:klarna".to_owned(),
        detail: json!({ "buyer": "ada@example.com" }),
    };
    let entry = TableKey {
        table: "journal".to_owned(),
        key: "klarna".to_owned(),
    };
    let key = JobKey {
        shop: shop.clone(),
        object: Object::Order,
        direction: Direction::In,
        source_id: id.to_owned(),
    };
    let delivery = Delivery {
        shop,
        topic: "orders/create".to_owned(),
        webhook_id: Some(format!("webhook-{id}")),
        event_id: None,
        dedup_key: id.to_owned(),
        triggered_at: Some(now),
        api_version: None,
        received_at: now,
        body: b"{}".to_vec().into(),
        body_sha256: "00".repeat(32),
        action: DeliveryAction::Problem {
            key,
            problem: problem.answered_by(Some(&entry)),
        },
    };
    match store.record_delivery(delivery).await.unwrap() {
        Recorded::New { job: Some(job), .. } => job,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_asks_for_the_role_that_it_declares() {
    let rig = rig().await;
    for route in routes::table() {
        let path = filled(route.path);
        for (role, token) in [
            (Role::Viewer, VIEWER),
            (Role::Operator, OPERATOR),
            (Role::Admin, TOKEN),
        ] {
            let (status, body) = rig.call(route.method, &path, Some(token), None).await;
            let what = format!("{} {path} as {role}: {status} {body}", route.method);
            let is_refused = status == StatusCode::FORBIDDEN && body["code"] == "not_allowed";
            assert_eq!(is_refused, !role.may(route.needs), "{what}");
        }
        assert!(
            route.method == "get" || route.needs > Role::Viewer,
            "{path} changes something"
        );
    }
    // What is no route of ours is nobody's but an administrator's.
    let (status, _) = rig
        .call("post", "/api/v1/jobs/1/retrying", Some(OPERATOR), None)
        .await;
    assert!(status.is_client_error(), "{status}");
    rig.daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_acted_on_once_as_it_was_seen_and_by_name() {
    let rig = rig().await;
    let store = store(&rig).await;
    let (one, two) = (problem(&store, "1042").await, problem(&store, "1043").await);
    let post = async |path: String, body: Value| rig.call("post", &path, Some(OPERATOR), Some(body)).await;
    let refused = async |path: String, body: Value, status: StatusCode, code: &str| {
        let answer = post(path.clone(), body.clone()).await;
        assert_eq!(
            (answer.0, &answer.1["code"]),
            (status, &Value::from(code)),
            "{path} {body}: {}",
            answer.1
        );
    };

    // Finding them. A filter that is misspelt is no filter for all.
    let (status, jobs) = rig
        .get("/api/v1/jobs?state=problem,held&code=journal_missing")
        .await;
    assert_eq!(
        (status, jobs.as_array().unwrap().len()),
        (StatusCode::OK, 2),
        "{jobs}"
    );
    for wrong in [
        "stat=problem",
        "state=sometimes",
        "limit=0",
        "limit=x",
        "email=a@b",
        "changed_since=now",
        "object=x",
    ] {
        let (status, body) = rig.get(&format!("/api/v1/jobs?{wrong}")).await;
        assert_eq!(
            (status, &body["code"]),
            (StatusCode::BAD_REQUEST, &"invalid".into()),
            "{wrong}: {body}"
        );
    }
    let (_, story) = rig.get(&format!("/api/v1/jobs/{one}")).await;
    assert_eq!(
        story["job"]["problem"]["detail"]["buyer"], "ada@example.com",
        "{story}"
    );
    for path in [
        format!("/api/v1/jobs/{one}"),
        "/api/v1/jobs".to_owned(),
        "/api/v1/problems/clusters".to_owned(),
    ] {
        let (status, body) = rig.call("get", &path, Some(VIEWER), None).await;
        assert_eq!(status, StatusCode::OK);
        assert!(!body.to_string().contains("ada@example.com"), "{path}: {body}");
    }
    let (status, _) = rig.get("/api/v1/jobs/99").await;
    assert_eq!(status, StatusCode::NOT_FOUND);

    // One: with a reason where one is due, and only as it was seen.
    let of = |action: &str| format!("/api/v1/jobs/{one}/{action}");
    refused(of("hold"), json!({}), StatusCode::BAD_REQUEST, "invalid").await;
    refused(
        of("hold"),
        json!({ "why": "x" }),
        StatusCode::BAD_REQUEST,
        "invalid",
    )
    .await;
    refused(
        of("hold"),
        json!({ "reason": "x", "seen": "available" }),
        StatusCode::CONFLICT,
        "changed",
    )
    .await;
    let hold = json!({ "reason": "ask Ada first", "seen": "problem" });
    let (status, told) = post(of("hold"), hold.clone()).await;
    assert_eq!(
        (status, &told["result"]),
        (StatusCode::OK, &"done".into()),
        "{told}"
    );
    // The answer was lost and the call is repeated: nothing is done, whichever way it is asked.
    refused(of("hold"), hold, StatusCode::CONFLICT, "changed").await;
    let (_, told) = post(of("hold"), json!({ "reason": "ask Ada first" })).await;
    assert_eq!(told["result"], "already", "{told}");
    let (status, told) = post(of("release"), json!({})).await;
    assert_eq!(status, StatusCode::OK, "{told}");
    let (status, _) = post(of("note"), json!({ "reason": "Ada knows" })).await;
    assert_eq!(status, StatusCode::OK);
    let (status, told) = post(of("discard"), json!({ "reason": "a copy" })).await;
    assert_eq!(
        (status, &told["result"]),
        (StatusCode::OK, &"done".into()),
        "{told}"
    );
    // It was open when it was seen: no new job is made of a retry that comes too late.
    refused(
        of("retry"),
        json!({ "seen": "problem" }),
        StatusCode::CONFLICT,
        "not_now",
    )
    .await;
    let (_, told) = post(of("discard"), json!({ "reason": "again" })).await;
    assert_eq!(told["result"], "already", "{told}");
    refused(
        "/api/v1/jobs/99/retry".to_owned(),
        json!({}),
        StatusCode::NOT_FOUND,
        "unknown",
    )
    .await;
    refused(
        "/api/v1/jobs/x/retry".to_owned(),
        json!({}),
        StatusCode::BAD_REQUEST,
        "invalid",
    )
    .await;

    // Nothing is known of the job's record that could be looked for.
    let of_two = |action: &str| format!("/api/v1/jobs/{two}/{action}");
    let (status, body) = rig.call("get", &of_two("candidates"), Some(OPERATOR), None).await;
    assert_eq!((status, &body), (StatusCode::OK, &json!([])));
    // The ERP does not answer in this world, and that is said.
    let by_number = json!({ "erp_ref": "S00815" });
    refused(
        of_two("resolve"),
        by_number,
        StatusCode::BAD_GATEWAY,
        "unreachable",
    )
    .await;
    refused(of_two("resolve"), json!({}), StatusCode::BAD_REQUEST, "invalid").await;
    let both = json!({ "keep": "erp", "erp_ref": "S1" });
    refused(of_two("resolve"), both, StatusCode::BAD_REQUEST, "invalid").await;
    refused(
        of_two("resolve"),
        json!({ "keep": "erp" }),
        StatusCode::CONFLICT,
        "not_asked",
    )
    .await;
    let no_customer = json!({ "erp_id": 7 });
    refused(of_two("link"), no_customer, StatusCode::CONFLICT, "not_done").await;

    let (status, _) = rig.call("post", &of_two("retry"), Some(OPERATOR), None).await;
    assert_eq!(status, StatusCode::OK, "the body may be left out");

    let (_, audit) = rig.get(&format!("/api/v1/audit?job={one}")).await;
    let actions: Vec<&str> = audit
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["action"].as_str().unwrap())
        .collect();
    assert_eq!(
        actions,
        ["discard", "note", "release", "hold"],
        "each once: {audit}"
    );
    assert!(
        audit
            .as_array()
            .unwrap()
            .iter()
            .all(|row| row["actor"] == "desk" && row["via"] == "api"),
        "{audit}"
    );
    store.close().await;
    rig.daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_are_tried_again_and_problems_have_owners() {
    let rig = rig().await;
    let store = store(&rig).await;
    for id in ["1042", "1043", "1044"] {
        problem(&store, id).await;
    }
    let post = async |path: &str, body: Value| rig.call("post", path, Some(OPERATOR), Some(body)).await;
    let cluster = json!({ "shop": "main", "code": "journal_missing", "cluster": "journal_missing:klarna" });
    let with = |more: Value| {
        let mut all = cluster.as_object().unwrap().clone();
        all.extend(more.as_object().unwrap().clone());
        Value::Object(all)
    };
    let (_, clusters) = rig.get("/api/v1/problems/clusters?code=journal_missing").await;
    assert_eq!(clusters[0]["problems"], 3, "{clusters}");
    let (status, _) = post("/api/v1/problems/claim", cluster.clone()).await;
    assert_eq!(status, StatusCode::OK);
    let (status, body) = rig
        .call(
            "post",
            "/api/v1/problems/claim",
            Some(TOKEN),
            Some(cluster.clone()),
        )
        .await;
    assert_eq!(
        (status, &body["code"]),
        (StatusCode::CONFLICT, &"taken".into()),
        "{body}"
    );
    let over = Some(with(json!({ "over": true })));
    let (status, _) = rig
        .call("post", "/api/v1/problems/claim", Some(TOKEN), over)
        .await;
    assert_eq!(status, StatusCode::OK);
    for (path, body, expected) in [
        ("unclaim", json!({}), StatusCode::OK),
        ("note", json!({ "reason": "asked" }), StatusCode::OK),
        ("note", json!({}), StatusCode::BAD_REQUEST),
        (
            "snooze",
            json!({ "until": "2099-01-01T00:00:00Z" }),
            StatusCode::OK,
        ),
        ("snooze", json!({}), StatusCode::OK),
        ("snooze", json!({ "until": "tomorrow" }), StatusCode::BAD_REQUEST),
    ] {
        let (status, answer) = post(&format!("/api/v1/problems/{path}"), with(body.clone())).await;
        assert_eq!(status, expected, "{path} {body}: {answer}");
    }

    let retry = "/api/v1/jobs/retry";
    for wrong in [
        json!({}),
        json!({ "jobs": [] }),
        json!({ "jobs": [1], "filter": {} }),
        json!({ "filter": {}, "per_second": 0 }),
        json!({ "filter": { "stat": "x" } }),
    ] {
        let (status, _) = post(retry, wrong.clone()).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{wrong}");
    }
    let some = json!({ "jobs": [1, 99], "reason": "mended" });
    let (status, retried) = post(retry, some).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(retried["jobs"][0]["result"], json!({ "again": 1 }), "{retried}");
    assert_eq!(retried["jobs"][1]["result"], "unknown", "{retried}");
    let all = json!({ "filter": { "cluster": "journal_missing:klarna" }, "per_second": 1 });
    let (_, first) = post(retry, all.clone()).await;
    let (_, second) = post(retry, all).await;
    let id = first["batch"]["id"].as_i64().unwrap();
    assert_eq!(second["batch"]["id"], id, "the same while it goes on: {second}");
    let (status, batch) = rig.get(&format!("/api/v1/batches/{id}")).await;
    assert_eq!(
        (status, &batch["per_second"]),
        (StatusCode::OK, &1.into()),
        "{batch}"
    );
    let (_, batches) = rig.get("/api/v1/batches").await;
    assert!(!batches.as_array().unwrap().is_empty());
    let (status, _) = post(
        &format!("/api/v1/batches/{id}/stop"),
        json!({ "reason": "enough" }),
    )
    .await;
    assert_eq!(status, StatusCode::OK);
    for (path, expected) in [
        ("/api/v1/batches/999", StatusCode::NOT_FOUND),
        ("/api/v1/batches/x", StatusCode::BAD_REQUEST),
    ] {
        assert_eq!(rig.get(path).await.0, expected, "{path}");
    }

    // A whole shop.
    let shop = |what: &str| format!("/api/v1/shops/main/{what}");
    assert_eq!(post(&shop("pause"), json!({})).await.0, StatusCode::BAD_REQUEST);
    let (_, paused) = post(&shop("pause"), json!({ "reason": "stocktaking" })).await;
    let (_, again) = post(&shop("pause"), json!({ "reason": "stocktaking" })).await;
    assert_eq!(
        (&paused["result"], &again["result"]),
        (&"done".into(), &"already".into())
    );
    assert_eq!(post(&shop("resume"), json!({})).await.1["result"], "done");
    let (_, answered) = post(&shop("limits/product/approve"), json!({})).await;
    assert_eq!(answered["jobs"], 0, "{answered}");
    assert_eq!(
        post(&shop("limits/product/reject"), json!({})).await.0,
        StatusCode::BAD_REQUEST
    );
    for unknown in ["limits/order/approve", "limits/hat/approve"] {
        assert_eq!(
            post(&shop(unknown), json!({})).await.0,
            StatusCode::NOT_FOUND,
            "{unknown}"
        );
    }
    assert_eq!(
        post("/api/v1/shops/other/pause", json!({ "reason": "x" }))
            .await
            .0,
        StatusCode::NOT_FOUND
    );

    let (status, why) = rig.get("/api/v1/why?order=%231042&offline=true").await;
    assert_eq!(
        (status, &why[0]["shop"]),
        (StatusCode::OK, &"main".into()),
        "{why}"
    );
    let (status, _) = rig.get("/api/v1/why?order=%231&shop=other").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert_eq!(rig.get("/api/v1/why?order=").await.0, StatusCode::BAD_REQUEST);
    store.close().await;
    rig.daemon.stop().await;
}
