//! Runs, gaps and imports on their page.

use super::live::all_in;
use super::*;
use crate::store::{NewImport, NewRun, RunCounts, RunKind, RunOutcome};

#[tokio::test(flavor = "multi_thread")]
async fn runs_are_listed_with_how_they_ended_and_what_is_missing() {
    let rig = Rig::new().await;
    let now = Timestamp::parse_rfc3339("2026-12-01T09:00:00Z").unwrap();
    let run = |object, cause: &str| NewRun {
        kind: RunKind::Delta,
        shop: "main".parse().unwrap(),
        object,
        cause: cause.to_owned(),
        since: now.minus(minutes(60)),
        node: "node-1".to_owned(),
        now,
    };
    let counts = RunCounts {
        pages: 2,
        records: 31,
        made: 4,
    };
    let first = rig
        .store
        .start_run(run(Object::Product, "catch_up"))
        .await
        .unwrap()
        .unwrap();
    let ended = now.plus(minutes(3));
    assert!(rig.store.run_goes_on(first, counts, now).await.unwrap());
    rig.store
        .finish_run(
            first,
            RunOutcome::Failed,
            Some("<i>refused</i>"),
            Vec::new(),
            ended,
        )
        .await
        .unwrap();
    let viewer = rig.logged_in("viewer").await;
    let page = viewer.get("/runs").await;
    assert_eq!(page.status, 200, "{}", page.text);
    insta::assert_snapshot!("runs", super::pages::still(&rig, &page));
    all_in(
        &page.text,
        &[
            "product",
            "failed",
            "3 min",
            "31 ",
            "on 2 pages",
            "catch up",
            "&#60;i&#62;refused",
            "node-1",
        ],
    );

    // An import can be stopped by who may work with jobs, once.
    let wanted = NewImport {
        shop: "main".parse().unwrap(),
        object: Object::Customer,
        since: None,
        until: None,
        warning: Some("<b>old ones</b> are hidden".to_owned()),
    };
    let actor = crate::domain::Actor::new("<i>ada</i>", crate::domain::Via::Cli);
    rig.store.begin_imports(vec![wanted], actor, now).await.unwrap();
    let page = viewer.get("/runs").await;
    all_in(
        &page.text,
        &[
            "Imports",
            "customer",
            "under way",
            "&#60;i&#62;ada",
            "Not everything: <bdi>&#60;b&#62;old ones",
        ],
    );
    assert!(!page.text.contains("Stop it"), "{}", page.text);
    let operator = rig.logged_in("operator").await;
    let page = operator.get("/runs").await;
    all_in(&page.text, &["Stop it"]);
    let token = operator.token().await;
    for notice in ["import_stopped", "already"] {
        let answer = operator
            .post("/runs/imports/1/stop", &[("form_token", &token)])
            .await;
        assert!(answer.location.unwrap().ends_with(notice), "{notice}");
    }
    all_in(&operator.get("/runs").await.text, &["stopped", "Let it go on"]);
    rig.stop().await;
}
