//! Plans, through the API: shown, approved of as they were seen, given up.

use super::*;
use crate::app::testing::planned;
use crate::domain::JobState;

#[tokio::test(flavor = "multi_thread")]
async fn plans_are_listed_and_answered_as_they_were_seen() {
    let rig = rig().await;
    let store = store(&rig).await;
    let mut jobs = Vec::new();
    for name in ["one", "two", "three", "four", "five"] {
        jobs.push(planned(&store, name, name).await);
    }
    let state = async |job: JobId| store.job(job).await.unwrap().unwrap().job.state;
    let post = async |path: String, body: Value| rig.call("post", &path, Some(OPERATOR), Some(body)).await;
    let refused = async |path: String, body: Value, status: StatusCode, code: &str| {
        let (got, answer) = post(path.clone(), body.clone()).await;
        assert_eq!(
            (got, &answer["code"]),
            (status, &Value::from(code)),
            "{path} {body}: {answer}"
        );
    };
    let get = async |path: &str| rig.call("get", path, Some(OPERATOR), None).await;

    // A viewer gets no values, and no plan.
    let (status, _) = rig.call("get", "/api/v1/plans", Some(VIEWER), None).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    let (status, all) = get("/api/v1/plans?object=customer&direction=in&shop=main").await;
    assert_eq!(status, StatusCode::OK, "{all}");
    let listed: Vec<&Value> = all
        .as_array()
        .unwrap()
        .iter()
        .map(|row| &row["plan"]["plan"])
        .collect();
    assert_eq!(
        listed,
        ["hash-five", "hash-four", "hash-three", "hash-two", "hash-one"]
    );
    assert_eq!(get("/api/v1/plans?object=order").await.1, json!([]));
    let (_, page) = get(&format!("/api/v1/plans?before={}&limit=1", jobs[4])).await;
    assert_eq!(page[0]["job"], json!(jobs[3]), "{page}");
    assert_eq!(get("/api/v1/plans?objekt=order").await.0, StatusCode::BAD_REQUEST);
    let (_, one) = get(&format!("/api/v1/jobs/{}/plan", jobs[0])).await;
    assert_eq!(one["plan"]["writes"][0]["fields"][0]["then"], "one", "{one}");
    assert_eq!(one["owner"], "anna", "{one}");

    // One: another plan than the one that was seen is not approved of, and a second yes is none.
    let approve = format!("/api/v1/jobs/{}/plan/approve", jobs[0]);
    refused(
        approve.clone(),
        json!({ "plan": "hash-x" }),
        StatusCode::CONFLICT,
        "plan_changed",
    )
    .await;
    assert_eq!(state(jobs[0]).await, JobState::Held);
    let (status, told) = post(
        approve.clone(),
        json!({ "plan": "hash-one", "reason": "it is right" }),
    )
    .await;
    assert_eq!(status, StatusCode::OK, "{told}");
    assert!(
        told["told"]
            .as_str()
            .unwrap()
            .ends_with("its plan is carried out now"),
        "{told}"
    );
    assert_ne!(state(jobs[0]).await, JobState::Held);
    let (status, told) = post(approve, json!({})).await;
    assert_eq!(
        (status, &told["result"]),
        (StatusCode::OK, &json!("already")),
        "a second click: {told}"
    );
    let plan = format!("/api/v1/jobs/{}/plan", jobs[0]);
    assert_eq!(get(&plan).await.1["code"], "not_waiting");
    for (path, status) in [
        ("/api/v1/jobs/9999/plan/approve", StatusCode::NOT_FOUND),
        ("/api/v1/jobs/x/plan/approve", StatusCode::BAD_REQUEST),
    ] {
        assert_eq!(post(path.to_owned(), json!({})).await.0, status, "{path}");
    }

    // A no needs a reason, and means the plan that was seen.
    let reject = format!("/api/v1/jobs/{}/plan/reject", jobs[1]);
    refused(reject.clone(), json!({}), StatusCode::BAD_REQUEST, "invalid").await;
    let other = json!({ "plan": "hash-x", "reason": "not ours" });
    refused(reject.clone(), other, StatusCode::CONFLICT, "plan_changed").await;
    let (status, told) = post(reject, json!({ "plan": "hash-two", "reason": "not ours" })).await;
    assert_eq!(status, StatusCode::OK, "{told}");
    assert_eq!(state(jobs[1]).await, JobState::Discarded);

    // Several as they were seen, and all that fit; neither is nothing.
    let several = "/api/v1/plans/approve".to_owned();
    let seen = json!({ "plans": [
        { "job": jobs[2], "plan": "hash-three" },
        { "job": jobs[3], "plan": "hash-of-yesterday" },
    ] });
    let (status, many) = post(several.clone(), seen).await;
    assert_eq!(status, StatusCode::OK, "{many}");
    assert_eq!(
        (&many["approved"], &many["passed_by"]),
        (&json!(1), &json!(1)),
        "{many}"
    );
    assert_eq!(
        (&many["plans"][0]["approved"], &many["plans"][1]["approved"]),
        (&json!(true), &json!(false)),
        "{many}"
    );
    assert_eq!(state(jobs[3]).await, JobState::Held);
    for body in [
        json!({}),
        json!({ "plans": [] }),
        json!({ "filter": { "objekt": "order" } }),
    ] {
        refused(several.clone(), body, StatusCode::BAD_REQUEST, "invalid").await;
    }
    let (_, none) = post(several.clone(), json!({ "filter": { "object": "order" } })).await;
    assert_eq!(none["approved"], 0, "{none}");
    let (_, rest) = post(several, json!({ "filter": {}, "reason": "all looked at" })).await;
    assert_eq!(rest["approved"], 2, "{rest}");
    assert_eq!(get("/api/v1/plans").await.1, json!([]));

    let (_, audit) = rig.get("/api/v1/audit?limit=10").await;
    let lines: Vec<String> = audit
        .as_array()
        .unwrap()
        .iter()
        .map(|row| format!("{} {} {}", row["actor"], row["action"], row["subject"]))
        .collect();
    assert_eq!(
        lines.iter().filter(|line| line.contains("\"approve\"")).count(),
        4,
        "{lines:?}"
    );
    assert!(lines.iter().all(|line| line.starts_with("\"desk\"")), "{lines:?}");
    store.close().await;
    rig.daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_sees_the_calls_of_an_attempt_and_nothing_else_of_it() {
    let rig = rig().await;
    let store = store(&rig).await;
    let job = planned(&store, "1", "Ada").await;
    let path = format!("/api/v1/jobs/{job}");
    let detail = async |token: &str| {
        let (_, story) = rig.call("get", &path, Some(token), None).await;
        story["attempts"][0]["detail"].clone()
    };
    let seen = detail(VIEWER).await;
    assert_eq!(seen.as_array().unwrap().len(), 1, "{seen}");
    assert_eq!(seen[0]["what"], "calls");
    assert_eq!(
        seen[0]["detail"]["first"][0],
        json!({ "system": "erp", "name": "web_read res.partner", "took_ms": 37, "outcome": "ok" })
    );
    assert_eq!(detail(OPERATOR).await.as_array().unwrap().len(), 2);
    store.close().await;
    rig.daemon.stop().await;
}
