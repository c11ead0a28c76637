//! Endpoints and deliveries, by whom.

use std::sync::Arc;

use reqwest::StatusCode;
use serde_json::{Value, json};

use super::{Rig, TOKEN, text};
use crate::app::testing::told;
use crate::config::Config;
use crate::domain::{Clock as _, SharedClock, SystemClock};
use crate::sandbox::receiver::Receiver;
use crate::store::{DispatchEnd, OpenMode};

const SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
const VIEWER: &str = "a token of a viewer";

/// A daemon that may tell one receiver, and rests another endpoint.
async fn rig(receiver: &Receiver) -> Rig {
    let tokens = format!("tokens = ['{TOKEN}', {{ token = '{VIEWER}', name = 'wall', role = 'viewer' }}]");
    let text = text("paused").replace(&format!("tokens = ['{TOKEN}']"), &tokens);
    Rig::with(&format!(
        "{text}[notify]\nallow_networks = ['127.0.0.1']\n[notify.endpoints.own]\nurl = '{}'\nallow_http = true\n\
         events = ['order.*']\nsecrets = ['{SECRET}']\n[notify.endpoints.resting]\n\
         url = 'https://hooks.example.com/T0/secret'\nevents = ['customer.synced']\nstate = 'paused'\n",
        receiver.url()
    ))
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn endpoints_are_listed_tried_out_paused_and_resumed() {
    let receiver = Receiver::start(SECRET).await.unwrap();
    let rig = rig(&receiver).await;
    let (status, listed) = rig
        .call("get", "/api/v1/notify/endpoints", Some(VIEWER), None)
        .await;
    assert_eq!(status, StatusCode::OK, "{listed}");
    assert_eq!(listed[0]["name"], "own");
    assert_eq!(listed[1]["host"], "hooks.example.com");
    assert!(!listed.to_string().contains("T0"), "{listed}");
    let post = async |path: &str, body: Option<Value>| {
        rig.call("post", &format!("/api/v1/notify/{path}"), Some(TOKEN), body)
            .await
    };
    let (status, trial) = post("endpoints/own/test", None).await;
    assert_eq!(
        (status, &trial["taken"]),
        (StatusCode::OK, &true.into()),
        "{trial}"
    );
    assert_eq!(receiver.told().len(), 1);
    let (_, paused) = post("endpoints/own/pause", Some(json!({ "reason": "moving" }))).await;
    assert_eq!(
        (&paused["result"], &paused["paused"]),
        (&"done".into(), &true.into())
    );
    let (_, again) = post("endpoints/own/pause", None).await;
    assert_eq!(again["result"], "already");
    let (_, resumed) = post("endpoints/own/resume", None).await;
    assert_eq!(resumed["result"], "done");
    for (path, status, code) in [
        (
            "endpoints/resting/resume",
            StatusCode::CONFLICT,
            "paused_in_configuration",
        ),
        ("endpoints/onw/test", StatusCode::NOT_FOUND, "unknown"),
        ("endpoints/onw/pause", StatusCode::NOT_FOUND, "unknown"),
        ("redeliver", StatusCode::BAD_REQUEST, "invalid"),
        ("deliveries/4711/redeliver", StatusCode::NOT_FOUND, "unknown"),
    ] {
        let answer = post(path, None).await;
        assert_eq!((answer.0, &answer.1["code"]), (status, &code.into()), "{path}");
    }
    let (_, audit) = rig.get("/api/v1/audit?limit=10").await;
    assert!(audit.to_string().contains("moving"), "{audit}");
    rig.daemon.stop().await;
    receiver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deliveries_are_told_without_people_to_those_who_only_look() {
    let receiver = Receiver::start(SECRET).await.unwrap();
    let rig = rig(&receiver).await;
    let config = Config::load(&rig.path()).unwrap_or_else(|error| panic!("{error}"));
    let clock: SharedClock = Arc::new(SystemClock);
    let store = crate::app::open(&config, &clock, OpenMode::Tool).await.unwrap();
    let now = SystemClock.now();
    let id = told(&store, "resting", DispatchEnd::Failed, "no, Ada", now).await;
    let paths = [
        "/api/v1/notify/deliveries?endpoint=resting&state=failed".to_owned(),
        format!("/api/v1/notify/deliveries/{id}"),
    ];
    for path in &paths {
        let (status, whole) = rig.get(path).await;
        assert_eq!(status, StatusCode::OK, "{whole}");
        assert!(whole.to_string().contains("Ada"), "{path}: {whole}");
        let (status, masked) = rig.call("get", path, Some(VIEWER), None).await;
        assert_eq!(status, StatusCode::OK, "{masked}");
        assert!(masked.to_string().contains("customer.synced"), "{masked}");
        assert!(!masked.to_string().contains("Ada"), "{path}: {masked}");
    }
    let (status, fields) = rig
        .call("get", "/api/v1/notify/fields/order.synced", Some(VIEWER), None)
        .await;
    assert_eq!(status, StatusCode::OK);
    assert!(fields.to_string().contains("order.totals.total"), "{fields}");
    // The shop does not answer here.
    let (status, body) = rig.get("/api/v1/notify/fields/main/order/1001").await;
    assert_eq!(
        (status, &body["code"]),
        (StatusCode::BAD_GATEWAY, &"unreachable".into()),
        "{body}"
    );
    let (status, again) = rig
        .call(
            "post",
            &format!("/api/v1/notify/deliveries/{id}/redeliver"),
            Some(TOKEN),
            None,
        )
        .await;
    assert_eq!((status, &again["count"]), (StatusCode::OK, &1.into()), "{again}");
    store.close().await;
    rig.daemon.stop().await;
    receiver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_are_sent_again_what_waits_is_given_up_and_a_preview_asks_the_shop() {
    let receiver = Receiver::start(SECRET).await.unwrap();
    let rig = rig(&receiver).await;
    let config = Config::load(&rig.path()).unwrap_or_else(|error| panic!("{error}"));
    let clock: SharedClock = Arc::new(SystemClock);
    let store = crate::app::open(&config, &clock, OpenMode::Tool).await.unwrap();
    let now = SystemClock.now();
    // To an endpoint that rests: what is to be sent again stays waiting.
    for _ in 0..2 {
        told(&store, "resting", DispatchEnd::Failed, "no", now).await;
    }
    told(&store, "resting", DispatchEnd::Delivered, "yes", now).await;
    let post = async |path: &str, body: Option<Value>| {
        rig.call("post", &format!("/api/v1/notify/{path}"), Some(TOKEN), body)
            .await
    };
    let failed = json!({ "endpoint": "resting", "failed": true });
    let (status, again) = post("redeliver", Some(failed.clone())).await;
    assert_eq!((status, &again["count"]), (StatusCode::OK, &2.into()), "{again}");
    let (status, none) = post("redeliver", Some(failed)).await;
    assert_eq!((status, &none["count"]), (StatusCode::OK, &0.into()), "{none}");
    let (status, cancelled) = post("endpoints/resting/cancel", None).await;
    assert_eq!(
        (status, &cancelled["cancelled"]),
        (StatusCode::OK, &2.into()),
        "{cancelled}"
    );
    let hour = std::time::Duration::from_secs(3600);
    let range = json!({
        "endpoint": "resting",
        "since": now.minus(hour).to_string(),
        "until": now.plus(hour).to_string(),
    });
    let (status, again) = post("redeliver", Some(range)).await;
    assert_eq!((status, &again["count"]), (StatusCode::OK, &3.into()), "{again}");
    let (status, refused) = post("endpoints/onw/cancel", None).await;
    assert_eq!(
        (status, &refused["code"]),
        (StatusCode::NOT_FOUND, &"unknown".into())
    );

    let preview = async |path: &str| rig.get(&format!("/api/v1/notify/endpoints/{path}")).await;
    let (status, body) = preview("own/preview/main/customer/7").await;
    assert_eq!(
        (status, &body["code"]),
        (StatusCode::BAD_REQUEST, &"invalid".into()),
        "it gets no such event: {body}"
    );
    // The shop does not answer here.
    let (status, body) = preview("own/preview/main/order/1001").await;
    assert_eq!(
        (status, &body["code"]),
        (StatusCode::BAD_GATEWAY, &"unreachable".into()),
        "{body}"
    );
    store.close().await;
    rig.daemon.stop().await;
    receiver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn endpoints_are_declared_changed_and_taken_out_with_what_waits() {
    let receiver = Receiver::start(SECRET).await.unwrap();
    let rig = rig(&receiver).await;
    let call = async |method: &str, path: &str, body: Option<Value>| {
        rig.call(
            method,
            &format!("/api/v1/notify/endpoints/{path}"),
            Some(TOKEN),
            body,
        )
        .await
    };
    let names = async || -> Vec<String> {
        let (_, listed) = rig.get("/api/v1/notify/endpoints").await;
        let names = listed.as_array().unwrap().iter();
        names
            .map(|one| one["name"].as_str().unwrap().to_owned())
            .collect()
    };
    let crm = json!({ "url": "https://crm.example.com/T0/secret", "events": ["order.*"], "owner": null });
    let (status, planned) = call("put", "crm?dry_run=true&new_secret=true", Some(crm.clone())).await;
    assert_eq!(
        (status, &planned["written"]),
        (StatusCode::OK, &false.into()),
        "{planned}"
    );
    assert_eq!(names().await, ["own", "resting"]);
    let (status, made) = call("put", "crm?new_secret=true", Some(crm.clone())).await;
    assert_eq!(
        (status, &made["written"]),
        (StatusCode::OK, &true.into()),
        "{made}"
    );
    let secret = made["secret"].as_str().unwrap();
    assert!(
        secret.starts_with("whsec_") && made["revision"].is_i64(),
        "{made}"
    );
    assert!(!made["diff"].as_str().unwrap().contains("T0"), "{made}");
    assert_eq!(names().await, ["crm", "own", "resting"], "it is in force");
    let (status, changed) = call("patch", "crm", Some(json!({ "rate": "5/s", "state": "paused" }))).await;
    assert_eq!(status, StatusCode::OK, "{changed}");
    let (_, listed) = rig.get("/api/v1/notify/endpoints").await;
    assert_eq!(listed[0]["standing"], "paused", "{listed}");
    assert!(!listed.to_string().contains("secret"), "{listed}");

    for (method, path, body, status, code) in [
        ("put", "crm", Some(crm), StatusCode::CONFLICT, "endpoint_exists"),
        ("patch", "crn", Some(json!({})), StatusCode::NOT_FOUND, "unknown"),
        ("delete", "crn", None, StatusCode::NOT_FOUND, "unknown"),
        ("put", "A", Some(json!({})), StatusCode::BAD_REQUEST, "invalid"),
        ("put", "new", Some(json!([])), StatusCode::BAD_REQUEST, "invalid"),
        (
            "put",
            "spy?dry_run=true",
            Some(json!({ "url": "https://spy.example.com", "events": ["${PATH}"] })),
            StatusCode::BAD_REQUEST,
            "invalid",
        ),
        (
            "patch",
            "crm",
            Some(json!({ "body": { "template_file": "/proc/self/environ", "mime": "text/plain" } })),
            StatusCode::BAD_REQUEST,
            "invalid",
        ),
        (
            "patch",
            "crm?wet_run=true",
            None,
            StatusCode::BAD_REQUEST,
            "invalid",
        ),
        (
            "patch",
            "crm",
            Some(json!({ "evnets": ["*"] })),
            StatusCode::CONFLICT,
            "endpoint_refused",
        ),
    ] {
        let (found, answer) = call(method, path, body).await;
        assert_eq!(
            (found, &answer["code"]),
            (status, &code.into()),
            "{method} {path}: {answer}"
        );
    }
    let (status, _) = rig
        .call("delete", "/api/v1/notify/endpoints/crm", Some(VIEWER), None)
        .await;
    assert_eq!(status, StatusCode::FORBIDDEN);

    // What waits for it goes with it.
    let clock: SharedClock = Arc::new(SystemClock);
    let config = Config::load(&rig.path()).unwrap();
    let store = crate::app::open(&config, &clock, OpenMode::Tool).await.unwrap();
    let waiting = told(&store, "resting", DispatchEnd::Failed, "x", clock.now()).await;
    let (_, again) = rig
        .call(
            "post",
            &format!("/api/v1/notify/deliveries/{waiting}/redeliver"),
            Some(TOKEN),
            None,
        )
        .await;
    assert_eq!(again["result"]["done"], 1, "{again}");
    let (status, gone) = call("delete", "resting", None).await;
    assert_eq!((status, &gone["waiting"]), (StatusCode::OK, &1.into()), "{gone}");
    let (_, row) = rig.get(&format!("/api/v1/notify/deliveries/{waiting}")).await;
    assert_eq!(row["row"]["state"], "cancelled", "{row}");
    assert_eq!(names().await, ["crm", "own"]);
    let kept = std::fs::read_to_string(rig.path()).unwrap();
    assert!(
        !kept.contains("resting") && kept.contains("# the toggles"),
        "{kept}"
    );
    let (_, audit) = rig.get("/api/v1/audit?limit=20").await;
    let audit = audit.to_string();
    for action in ["declare_endpoint", "change_endpoint", "remove_endpoint"] {
        assert!(audit.contains(action), "{action}: {audit}");
    }
    assert!(!audit.contains("T0") && !audit.contains(secret), "{audit}");
    store.close().await;
    rig.daemon.stop().await;
    receiver.stop().await;
}
