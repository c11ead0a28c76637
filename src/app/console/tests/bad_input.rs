//! What people do at the wrong moment, twice, or with strange texts: correct, clear, escaped, and without a double effect.

use super::*;
use crate::domain::{ErpId, JobState, Link, LinkKind, LinkState};
use crate::store::{Act, Action, AuditFilter, Claim, Lane};

impl Rig {
    /// As [`Rig::new`], and nothing is worked on: jobs stay as they are.
    async fn resting() -> Self {
        Self::with(&text(&users()).replace("in = 'on'", "in = 'paused'")).await
    }

    async fn seen(&self, job: JobId) -> (JobState, String) {
        let job = self.store.job(job).await.unwrap().unwrap().job;
        (job.state, job.updated_at.millis().to_string())
    }

    /// How often this was done.
    async fn count(&self, action: &str) -> usize {
        let filter = AuditFilter {
            action: Some(action.to_owned()),
            ..AuditFilter::default()
        };
        self.store.audit(filter).await.unwrap().len()
    }
}

fn notice(answer: &Answer) -> String {
    let location = answer
        .location
        .as_deref()
        .unwrap_or_else(|| panic!("{}", answer.text));
    location
        .split_once("notice=")
        .map_or("", |(_, notice)| notice)
        .to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_of_an_expired_session_does_nothing_and_says_so() {
    let rig = Rig::resting().await;
    let job = rig.problem("1042", "No tax of 21 %.").await;
    let browser = rig.logged_in("operator").await;
    let token = browser.token().await;
    let (_, seen) = rig.seen(job).await;
    rig.clock.advance(minutes(61));
    let fields = [("form_token", token.as_str()), ("seen", seen.as_str())];
    for path in [
        format!("/jobs/{job}/retry"),
        "/jobs/selected".to_owned(),
        "/tables/main/journal/set".to_owned(),
    ] {
        let answer = browser.post(&path, &fields).await;
        assert_eq!(answer.status, 401, "{path}: {}", answer.text);
        assert!(
            answer
                .text
                .contains("Your session has ended, and nothing was done"),
            "{}",
            answer.text
        );
    }
    assert_eq!(rig.seen(job).await, (JobState::Problem, seen));
    let page = browser.get(&format!("/jobs/{job}")).await;
    assert_eq!(
        page.location.as_deref(),
        Some(format!("/login?next=/jobs/{job}").as_str())
    );
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_clicks_are_one_retry_and_of_two_people_one_acts() {
    let rig = Rig::resting().await;
    let job = rig.problem("1042", "No tax of 21 %.").await;
    let browser = rig.logged_in("operator").await;
    let token = browser.token().await;
    rig.clock.advance(minutes(1));
    let (_, seen) = rig.seen(job).await;
    let fields = [("form_token", token.as_str()), ("seen", seen.as_str())];
    let path = format!("/jobs/{job}/retry");
    let (one, two) = tokio::join!(browser.post(&path, &fields), browser.post(&path, &fields));
    let mut notices = [notice(&one), notice(&two)];
    notices.sort();
    assert!(notices.contains(&"retried".to_owned()), "{notices:?}");
    assert_eq!(rig.count("retry").await, 1, "{notices:?}");
    assert_eq!(
        rig.store
            .jobs(crate::store::JobFilter::default())
            .await
            .unwrap()
            .len(),
        1
    );

    let other = rig.problem("1043", "No tax of 21 %.").await;
    let admin = rig.logged_in("admin").await;
    let admin_token = admin.token().await;
    rig.clock.advance(minutes(1));
    let (_, seen) = rig.seen(other).await;
    let hold = [
        ("form_token", token.as_str()),
        ("seen", seen.as_str()),
        ("reason", "ask Ada"),
    ];
    let discard = [
        ("form_token", admin_token.as_str()),
        ("seen", seen.as_str()),
        ("reason", "a copy"),
    ];
    let (held, discarded) = (format!("/jobs/{other}/hold"), format!("/jobs/{other}/discard"));
    let (one, two) = tokio::join!(browser.post(&held, &hold), admin.post(&discarded, &discard));
    let state = rig.seen(other).await.0;
    // Whoever was first is the one who acted; the other may only have followed upon that state, never beside it.
    match state {
        JobState::Held => assert_eq!(
            (notice(&one).as_str(), notice(&two).as_str()),
            ("held", "changed")
        ),
        JobState::Discarded => assert!(["held", "changed", "closed"].contains(&notice(&one).as_str())),
        other => panic!("{other:?}"),
    }
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_of_what_runs_or_has_just_succeeded_does_nothing() {
    let rig = Rig::resting().await;
    let shop: crate::domain::ShopName = "main".parse().unwrap();
    let browser = rig.logged_in("operator").await;
    let token = browser.token().await;
    let retry = async |job: JobId, seen: &str| {
        let fields = [("form_token", token.as_str()), ("seen", seen)];
        notice(&browser.post(&format!("/jobs/{job}/retry"), &fields).await)
    };
    let running = rig.problem("1042", "No tax of 21 %.").await;
    let (_, seen) = rig.seen(running).await;
    assert_eq!(retry(running, &seen).await, "retried");
    rig.clock.advance(minutes(1));
    let lane = Lane {
        shop: shop.clone(),
        object: Object::Order,
        direction: Direction::In,
    };
    let claim = Claim {
        node: "another".to_owned(),
        lanes: vec![(lane, 1)],
        now: crate::domain::Clock::now(&rig.clock),
        lease: Duration::from_secs(600),
    };
    let claimed = rig.store.claim(claim).await.unwrap();
    assert_eq!(claimed.len(), 1, "{claimed:?}");
    assert_eq!(retry(running, &seen).await, "running");
    let (state, now_seen) = rig.seen(running).await;
    assert_eq!(state, JobState::Running);
    assert_eq!(retry(running, &now_seen).await, "running");
    let page = browser.get(&format!("/jobs/{running}")).await;
    assert!(
        !page.text.contains("/retry"),
        "there is no such button: {}",
        page.text
    );

    let done = rig.problem("1043", "No tax of 21 %.").await;
    let (_, seen) = rig.seen(done).await;
    rig.clock.advance(minutes(1));
    let link = Link {
        shop,
        kind: LinkKind::Order,
        source_id: "1043".to_owned(),
        model: "sale.order".to_owned(),
        erp_id: ErpId(7),
        erp_name: Some("S00007".to_owned()),
        state: LinkState::Linked,
        source_updated_at: None,
        agreed: serde_json::Value::Null,
        agreed_out: serde_json::Value::Null,
        writes: serde_json::Value::Null,
    };
    let act = Act {
        actor: crate::domain::Actor::new("somebody else", crate::domain::Via::Cli),
        reason: None,
        at: crate::domain::Clock::now(&rig.clock),
        action: Action::Resolve {
            job: done,
            link: Box::new(link),
        },
    };
    rig.store.act(act).await.unwrap();
    assert_eq!(rig.seen(done).await.0, JobState::Completed);
    assert_eq!(retry(done, &seen).await, "changed");
    assert_eq!(
        rig.store
            .jobs(crate::store::JobFilter::default())
            .await
            .unwrap()
            .len(),
        2,
        "no new job"
    );
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn selected_jobs_are_acted_on_each_as_it_was_seen() {
    let rig = Rig::resting().await;
    let mut jobs = Vec::new();
    for id in ["1042", "1043", "1044"] {
        jobs.push(rig.problem(id, "No tax of 21 %.").await);
    }
    let browser = rig.logged_in("operator").await;
    let list = browser.get("/jobs").await;
    let token = list.form_token();
    let (_, form) = list.text.split_once(r#"action="/jobs/selected""#).unwrap();
    let first = form.split("<button").nth(1).unwrap();
    assert!(first.starts_with(" disabled>"), "Enter presses it: {first}");
    let shown: Vec<String> = list
        .text
        .split("name=\"job\" value=\"")
        .skip(1)
        .map(|rest| rest.split('"').next().unwrap().to_owned())
        .collect();
    assert_eq!(shown.len(), 3, "{}", list.text);
    let post = async |action: &str, reason: &str, jobs: &[&str]| {
        let mut fields = vec![
            ("form_token", token.as_str()),
            ("action", action),
            ("reason", reason),
        ];
        fields.extend(jobs.iter().map(|job| ("job", *job)));
        browser.post("/jobs/selected", &fields).await
    };
    rig.clock.advance(minutes(1));
    // Somebody else deals with one of them meanwhile.
    let (_, seen) = rig.seen(jobs[0]).await;
    let fields = [
        ("form_token", token.as_str()),
        ("seen", &seen),
        ("reason", "mine"),
    ];
    browser.post(&format!("/jobs/{}/hold", jobs[0]), &fields).await;
    let all: Vec<&str> = shown.iter().map(String::as_str).collect();
    let done = post("retry", "", &all).await;
    assert_eq!(done.status, 200, "{}", done.text);
    assert!(done.text.contains("2 of 3 done"), "{}", done.text);
    assert!(
        done.text.contains("has changed since you looked"),
        "{}",
        done.text
    );
    assert_eq!(rig.seen(jobs[0]).await.0, JobState::Held);
    assert_eq!(rig.seen(jobs[1]).await.0, JobState::Available);
    let again = post("retry", "", &all).await;
    assert!(
        again.text.contains("0 of 3 done"),
        "a second click: {}",
        again.text
    );
    assert_eq!(rig.count("retry").await, 2);
    for (action, reason, jobs, part) in [
        ("retry", "", &[][..], "select the jobs"),
        ("discard", "", &all[..], "say why"),
        ("explode", "", &all[..], "say what to do"),
        ("retry", "", &["1"][..], "none of ours"),
        ("retry", "", &["x:1"][..], "none of ours"),
        ("retry", "", &["99:1"][..], "There is no job 99"),
    ] {
        let answer = post(action, reason, jobs).await;
        assert!(answer.text.contains(part), "{action} {jobs:?}: {}", answer.text);
    }
    let viewer = rig.logged_in("viewer").await;
    assert!(!viewer.get("/jobs").await.text.contains("checkbox"));
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whose_value_is_kept_is_chosen_with_both_in_sight() {
    let rig = Rig::resting().await;
    let field = |name: &str, shopify: &str, erp: &str| {
        serde_json::json!({
            "of": "Hat", "field": name, "shopify": shopify, "erp": erp, "source": "aa", "target": "bb",
        })
    };
    let job = rig
        .problem_of(
            "1042",
            NewProblem {
                code: ProblemCode::from("changed_on_both_sides"),
                record: None,
                field: Some("name".to_owned()),
                reason: "`name` was changed on Shopify and in the ERP, differently.".to_owned(),
                fix: "Choose whose value is kept.".to_owned(),
                owner: "catalogue".to_owned(),
                mapping: None,
                cluster: "changed_on_both_sides:name".to_owned(),
                detail: serde_json::json!({
                    "fields": [field("name", "Red <b>hat</b>", "Hat, red"), field("price", "7.00", "8.00")],
                }),
            },
        )
        .await;
    let browser = rig.logged_in("operator").await;
    let page = browser.get(&format!("/jobs/{job}")).await;
    for part in [
        "Red &#60;b&#62;hat",
        "Hat, red",
        "7.00",
        "8.00",
        "Keep all of Shopify",
        "Keep the ERP&#39;s price of Hat",
        // Which row is meant: several variants may have the same field.
        r#"name="field" value="price:aa:bb""#,
    ] {
        assert!(page.text.contains(part), "{part}: {}", page.text);
    }
    let viewer = rig.logged_in("viewer").await;
    assert!(
        !viewer
            .get(&format!("/jobs/{job}"))
            .await
            .text
            .contains("Hat, red")
    );
    let token = page.form_token();
    let (_, seen) = rig.seen(job).await;
    let path = format!("/jobs/{job}/keep");
    let post = async |fields: &[(&str, &str)]| {
        let fields = [&[("form_token", token.as_str())][..], fields].concat();
        browser.post(&path, &fields).await
    };
    let nobody = post(&[("seen", &seen), ("side", "neither")]).await;
    assert_eq!(nobody.status, 400, "{}", nobody.text);
    let unknown = post(&[("seen", &seen), ("side", "erp"), ("field", "colour")]).await;
    assert_eq!(unknown.status, 409, "{}", unknown.text);
    assert_eq!(rig.seen(job).await.0, JobState::Problem);
    assert_eq!(notice(&post(&[("side", "erp")]).await), "changed");
    rig.clock.advance(minutes(1));
    assert_eq!(notice(&post(&[("seen", &seen), ("side", "erp")]).await), "kept");
    assert_eq!(rig.seen(job).await.0, JobState::Available);
    assert_eq!(
        notice(&post(&[("seen", &seen), ("side", "shopify")]).await),
        "changed",
        "a second click"
    );
    let chosen = AuditFilter {
        action: Some("choose".to_owned()),
        ..AuditFilter::default()
    };
    let chosen = rig.store.audit(chosen).await.unwrap();
    let told: Vec<_> = chosen
        .iter()
        .map(|row| (row.subject.as_str(), &row.detail["keep"], &row.detail["fields"]))
        .collect();
    let (keep, fields) = (serde_json::json!("erp"), serde_json::json!(["name", "price"]));
    assert_eq!(told, [(format!("job:{job}").as_str(), &keep, &fields)]);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unusually_many_changes_are_answered_where_nothing_is_held_too() {
    let rig = Rig::resting().await;
    let browser = rig.logged_in("operator").await;
    let token = browser.token().await;
    let post = async |path: &str, reason: &str| {
        let fields = [("form_token", token.as_str()), ("reason", reason)];
        browser.post(path, &fields).await
    };
    assert_eq!(
        notice(&post("/shops/main/limits/product/approve", "").await),
        "none_held"
    );
    assert_eq!(
        notice(&post("/shops/main/limits/product/reject", "").await),
        "no_reason"
    );
    assert_eq!(post("/shops/other/limits/product/approve", "").await.status, 404);
    assert_eq!(post("/shops/main/limits/hat/approve", "").await.status, 404);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn webhooks_are_found_by_resource_event_and_address_and_tried() {
    let rig = Rig::resting().await;
    let browser = rig.logged_in("operator").await;
    for query in [
        "resource=orders&event=create",
        "address=example",
        "resource=<script>",
        "q=%27%20OR%201%3D1",
    ] {
        let page = browser.get(&format!("/webhooks?{query}")).await;
        assert_eq!(page.status, 200, "{query}: {}", page.text);
        assert!(
            !page.text.contains("<script>") && page.text.contains("Show all"),
            "{}",
            page.text
        );
    }
    let token = browser.token().await;
    let fields = [("form_token", token.as_str()), ("shop", "main")];
    let tested = browser.post("/webhooks/test", &fields).await;
    assert_eq!(tested.status, 200);
    for part in ["taken", "It made no event and no job", "is not set"] {
        assert!(tested.text.contains(part), "{part}: {}", tested.text);
    }
    let fields = [("form_token", token.as_str()), ("shop", "other")];
    assert_eq!(browser.post("/webhooks/test", &fields).await.status, 404);
    rig.stop().await;
}
