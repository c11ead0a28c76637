//! Plans that wait for a yes.

use super::*;
use crate::app::testing::planned;
use crate::domain::JobState;
use crate::store::JobFilter;

async fn state(rig: &Rig, job: JobId) -> JobState {
    rig.store.job(job).await.unwrap().unwrap().job.state
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_is_shown_field_by_field_and_answered_as_it_was_seen() {
    let rig = Rig::new().await;
    let job = planned(&rig.store, "7", "Ada <b>Lovelace</b>").await;
    let viewer = rig.logged_in("viewer").await;
    let page = viewer.get(&format!("/jobs/{job}")).await;
    assert_eq!(page.status, 200, "{}", page.text);
    assert!(
        page.text.contains("res.partner") && page.text.contains("name"),
        "{}",
        page.text
    );
    assert!(
        !page.text.contains("Lovelace"),
        "a viewer sees no values: {}",
        page.text
    );
    assert!(!page.text.contains("/approve"), "{}", page.text);
    // Calls hold no value of a record: a viewer sees them, too.
    for part in ["1 call: the ERP 1, 37 ms", "web_read res.partner"] {
        assert!(page.text.contains(part), "{part}: {}", page.text);
    }
    assert!(!page.text.contains("What it did"), "{}", page.text);
    let browser = rig.logged_in("operator").await;
    let page = browser.get(&format!("/jobs/{job}")).await;
    assert!(page.text.contains("Ada &#60;b&#62;Lovelace"), "{}", page.text);
    assert!(page.text.contains("What it did (1)"), "{}", page.text);
    assert!(
        page.text.contains(&format!("/jobs/{job}/approve")),
        "{}",
        page.text
    );
    let seen = rig
        .store
        .job(job)
        .await
        .unwrap()
        .unwrap()
        .job
        .updated_at
        .millis()
        .to_string();
    let token = browser.token().await;
    let path = format!("/jobs/{job}/approve");
    let form = |plan: &'static str| {
        [
            ("form_token", token.clone()),
            ("seen", seen.clone()),
            ("plan", plan.to_owned()),
        ]
    };
    for (plan, notice) in [
        ("another", &["plan_changed"][..]),
        ("hash-Ada <b>Lovelace</b>", &["approved"]),
        // The daemon may have begun already.
        ("hash-Ada <b>Lovelace</b>", &["changed", "running"]),
    ] {
        let fields = form(plan);
        let fields: Vec<(&str, &str)> = fields
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        let answer = browser.post(&path, &fields).await;
        let location = answer.location.unwrap_or(answer.text);
        assert!(
            notice
                .iter()
                .any(|notice| location.ends_with(&format!("notice={notice}"))),
            "{plan}: {location}"
        );
    }
    assert_ne!(state(&rig, job).await, JobState::Held);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_plans_are_approved_of_as_they_were_listed_and_one_is_rejected() {
    let rig = Rig::new().await;
    let mut jobs = Vec::new();
    for id in ["1", "2", "3"] {
        jobs.push(planned(&rig.store, id, id).await);
    }
    let browser = rig.logged_in("operator").await;
    let list = browser.get("/jobs?state=waiting-for-approval").await;
    assert!(list.text.contains("Approve the 3 plans"), "{}", list.text);
    let token = list.form_token();
    // One is rejected by somebody else meanwhile.
    let seen = rig
        .store
        .job(jobs[0])
        .await
        .unwrap()
        .unwrap()
        .job
        .updated_at
        .millis()
        .to_string();
    let fields = [
        ("form_token", token.as_str()),
        ("seen", &seen),
        ("reason", "not ours"),
    ];
    let answer = browser.post(&format!("/jobs/{}/reject", jobs[0]), &fields).await;
    assert!(answer.location.unwrap().ends_with("notice=rejected"));
    let plans: Vec<String> = jobs
        .iter()
        .zip(["1", "2", "3"])
        .map(|(job, name)| format!("{job}:hash-{name}"))
        .collect();
    let mut fields = vec![("form_token", token.as_str())];
    fields.extend(plans.iter().map(|plan| ("plan", plan.as_str())));
    let answer = browser.post("/jobs/approve", &fields).await;
    assert!(answer.location.unwrap().ends_with("notice=approved_some"));
    assert_eq!(state(&rig, jobs[0]).await, JobState::Discarded);
    assert_ne!(state(&rig, jobs[1]).await, JobState::Held);
    assert_ne!(state(&rig, jobs[2]).await, JobState::Held);
    let held = JobFilter {
        states: vec![JobState::Held],
        ..JobFilter::default()
    };
    assert!(rig.store.jobs(held).await.unwrap().is_empty());
    let answer = browser
        .post("/jobs/approve", &[("form_token", token.as_str())])
        .await;
    assert_eq!(answer.status, 400);
    rig.stop().await;
}
