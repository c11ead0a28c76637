//! What the console shows of full runs, and beginning one.

use super::*;
use crate::domain::{DriftClass, DriftFate, ErpId, ShopifyId};
use crate::store::{DriftCount, DriftKind, DriftLooked, DriftReport, DriftRow, NewRun, RunKind, RunOutcome};

async fn kept(rig: &Rig) -> i64 {
    let now = Timestamp::parse_rfc3339("2026-12-01T09:00:00Z").unwrap();
    let run = rig.store.start_run(NewRun {
        kind: RunKind::Full,
        shop: "main".parse().unwrap(),
        object: Object::Customer,
        cause: "full".to_owned(),
        since: Timestamp::from_millis(0),
        node: "node-1".to_owned(),
        now,
    });
    let run = run.await.unwrap().unwrap();
    let row = |position, class, fate, field: &str| DriftRow {
        position,
        shop: "main".parse().unwrap(),
        object: Object::Customer,
        class,
        fate,
        source_id: Some(ShopifyId(1042)),
        erp_id: Some(ErpId(7)),
        model: Some("res.partner 7".to_owned()),
        name: None,
        field: Some(field.to_owned()),
        shopify: Some("<b>Berlin</b>".to_owned()),
        erp: Some("Potsdam".to_owned()),
        why: Some("changed_in_the_erp".to_owned()),
        direction: None,
        job: None,
    };
    let rows = vec![
        row(0, DriftClass::FieldDiffers, DriftFate::LeftAlone, "city"),
        row(1, DriftClass::Archived, DriftFate::Unexplained, "active"),
    ];
    rig.store.save_drift(run, rows).await.unwrap();
    let count = |class, fate| DriftCount {
        class,
        fate,
        count: 1,
    };
    let report = DriftReport {
        run,
        shop: "main".parse().unwrap(),
        object: Object::Customer,
        kind: DriftKind::Full,
        dry_run: false,
        cause: "full".to_owned(),
        since: None,
        started_at: now,
        ended_at: now,
        looked: DriftLooked::default(),
        counts: vec![
            count(DriftClass::FieldDiffers, DriftFate::LeftAlone),
            count(DriftClass::Archived, DriftFate::Unexplained),
        ],
        kept: 2,
        withheld: None,
    };
    rig.store.save_drift_report(report).await.unwrap();
    rig.store
        .finish_run(run, RunOutcome::Done, None, Vec::new(), now)
        .await
        .unwrap();
    run
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runs_report_is_shown_filtered_and_masked() {
    let rig = Rig::new().await;
    let run = kept(&rig).await;
    let operator = rig.logged_in("operator").await;
    let list = operator.get("/runs").await;
    assert!(
        list.text
            .contains(&format!("<a href=\"/runs/{run}\">2 found</a>")),
        "{}",
        list.text
    );
    let page = operator.get(&format!("/runs/{run}")).await;
    for part in [
        "&#60;b&#62;Berlin",
        "Potsdam",
        "left alone: changed in the erp",
        "/records/main/customer/1042",
        "unexplained",
    ] {
        assert!(page.text.contains(part), "{part}: {}", page.text);
    }
    let some = operator.get(&format!("/runs/{run}?class=archived&fate=")).await;
    assert!(!some.text.contains("<code>city</code>") && some.text.contains("<code>active</code>"));
    let viewer = rig.logged_in("viewer").await;
    let masked = viewer.get(&format!("/runs/{run}")).await;
    assert!(
        !masked.text.contains("Berlin") && !masked.text.contains("Potsdam"),
        "{}",
        masked.text
    );
    assert!(masked.text.contains("<code>city</code>") && !masked.text.contains("/runs/start"));
    for unknown in ["/runs/999", "/runs/x", "/runs/-1"] {
        assert_eq!(operator.get(unknown).await.status, 404, "{unknown}");
    }
    let metrics = rig.browser().get("/metrics").await;
    let gauge = r#"lockstep_drift_unexplained{shop="main",object="customer"} 1"#;
    assert!(metrics.text.contains(gauge), "{}", metrics.text);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_begun_by_hand() {
    let rig = Rig::new().await;
    let operator = rig.logged_in("operator").await;
    let token = operator.token().await;
    let of = async |fields: &[(&str, &str)]| {
        let mut all = vec![("form_token", token.as_str())];
        all.extend_from_slice(fields);
        operator.post("/runs/start", &all).await
    };
    assert_eq!(of(&[("shop", "nowhere")]).await.status, 404);
    assert_eq!(of(&[("shop", "main"), ("object", "stock")]).await.status, 404);
    let begun = of(&[("shop", "main"), ("object", "customer"), ("dry_run", "yes")]).await;
    assert_eq!(begun.location.as_deref(), Some("/runs?notice=run_looks"));
    // Neither system answers here: the run says so.
    let ended = async {
        loop {
            let runs = rig.store.runs(5).await.unwrap();
            if let Some(run) = runs
                .into_iter()
                .find(|run| run.cause == "asked for by operator (console)" && run.ended_at.is_some())
            {
                return run;
            }
            tokio::task::yield_now().await;
        }
    };
    let run = tokio::time::timeout(Duration::from_secs(60), ended)
        .await
        .unwrap();
    assert!(run.error.is_some(), "{run:?}");
    // One that another node makes is not begun a second time.
    let now = crate::domain::Clock::now(&rig.clock);
    let elsewhere = rig.store.start_run(NewRun {
        kind: RunKind::Full,
        shop: "main".parse().unwrap(),
        object: Object::Customer,
        cause: "full".to_owned(),
        since: Timestamp::from_millis(0),
        node: "node-2".to_owned(),
        now,
    });
    elsewhere.await.unwrap().unwrap();
    let refused = of(&[("shop", "main"), ("object", "customer")]).await;
    assert_eq!(refused.status, 409, "{}", refused.text);
    let filter = crate::store::AuditFilter {
        action: Some("reconcile".to_owned()),
        ..crate::store::AuditFilter::default()
    };
    let noted = rig.store.audit(filter).await.unwrap();
    let noted: Vec<_> = noted
        .iter()
        .map(|row| (row.actor.as_str(), row.subject.as_str(), &row.detail))
        .collect();
    let detail = serde_json::json!({ "object": "customer", "dry_run": true });
    assert_eq!(noted, [("operator", "shop:main", &detail)]);
    rig.stop().await;
}
