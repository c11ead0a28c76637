//! What the buttons do, also when they are pressed twice or too late.

use super::*;
use crate::app::testing::until;
use crate::domain::JobState;

impl Rig {
    async fn state(&self, job: JobId) -> (JobState, String) {
        let job = self.store.job(job).await.unwrap().unwrap().job;
        (job.state, job.updated_at.millis().to_string())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_has_changed_meanwhile_is_left_alone() {
    let rig = Rig::new().await;
    let job = rig.problem("1042", "No tax of 21 %.").await;
    let browser = rig.logged_in("operator").await;
    let token = browser.token().await;
    let (_, seen) = rig.state(job).await;
    let post = async |action: &str, fields: &[(&str, &str)]| {
        let fields = [&[("form_token", token.as_str())][..], fields].concat();
        let answer = browser.post(&format!("/jobs/{job}/{action}"), &fields).await;
        let location = answer.location.unwrap_or_else(|| panic!("{}", answer.text));
        location.split_once("notice=").unwrap().1.to_owned()
    };
    assert_eq!(post("discard", &[("seen", &seen)]).await, "no_reason");
    assert_eq!(
        post("discard", &[("seen", &seen), ("reason", "  ")]).await,
        "no_reason"
    );
    assert_eq!(post("discard", &[("reason", "a copy")]).await, "changed");
    assert_eq!(rig.state(job).await.0, JobState::Problem);
    rig.clock.advance(minutes(1));
    assert_eq!(
        post("discard", &[("seen", &seen), ("reason", "a copy")]).await,
        "discarded"
    );
    assert_eq!(rig.state(job).await.0, JobState::Discarded);
    // The second click, and somebody who looked before.
    assert_eq!(
        post("discard", &[("seen", &seen), ("reason", "a copy")]).await,
        "changed"
    );
    assert_eq!(post("retry", &[("seen", &seen)]).await, "changed");
    let page = browser.get(&format!("/jobs/{job}?notice=changed")).await;
    assert!(
        page.text.contains("has changed since you looked"),
        "{}",
        page.text
    );
    assert!(
        page.text.contains("a copy") && page.text.contains("Do it again"),
        "{}",
        page.text
    );
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_is_tried_again_as_a_whole() {
    let rig = Rig::new().await;
    let one = rig.problem("1042", "No tax of 21 %.").await;
    let two = rig.problem("1043", "No tax of 21 %.").await;
    let other = rig.problem("1044", "No such country.").await;
    let browser = rig.logged_in("operator").await;
    let token = browser.token().await;
    let fields = |cluster: &'static str| {
        [
            ("form_token", token.clone()),
            ("shop", "main".to_owned()),
            ("code", "tax_not_found".to_owned()),
            ("cluster", cluster.to_owned()),
        ]
    };
    let post = async |cluster| {
        let fields = fields(cluster);
        let fields: Vec<(&str, &str)> = fields
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        browser.post("/problems/retry", &fields).await.location.unwrap()
    };
    assert_eq!(post("tax:No tax of 21 %.").await, "/problems?notice=batch");
    // The daemon does it, a few in each second; the clock moves it on.
    until("both are tried again", async || {
        rig.clock.advance(Duration::from_secs(1));
        let page = browser.get("/problems").await;
        page.text.contains("2 of 2 tried again, done").then_some(())
    })
    .await;
    for job in [one, two] {
        assert_ne!(rig.state(job).await.0, JobState::Problem);
    }
    assert_eq!(rig.state(other).await.0, JobState::Problem);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn toggles_are_saved_after_a_look_and_only_what_was_looked_at() {
    let rig = Rig::new().await;
    let browser = rig.logged_in("admin").await;
    let token = browser.token().await;
    let before = rig.file();
    let wish = [
        ("form_token", token.as_str()),
        ("toggle.main.order.in", "paused"),
        ("toggle.main.customer.in", "on"),
        ("toggle.main.product.in", "off"),
    ];
    let plan = browser.post("/settings/plan", &wish).await;
    assert_eq!(plan.status, 200, "{}", plan.text);
    assert_eq!(rig.file(), before, "a look writes nothing");
    let shown = plan.text.replace("&#39;", "'").replace("&#34;", "\"");
    for part in [
        "+orders = { in = 'paused' } # the toggles",
        "+customers = { in = \"on\" }",
        "Save and apply",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    assert!(!shown.contains("shpat_1"), "{shown}");
    let hash = {
        let (_, rest) = plan.text.split_once("name=\"hash\" value=\"").unwrap();
        rest.split('"').next().unwrap().to_owned()
    };
    let yes = [wish.as_slice(), &[("hash", hash.as_str())]].concat();
    // Somebody edits the file meanwhile: it is shown anew, and nothing is written.
    std::fs::write(rig.path(), format!("{before}# mine\n")).unwrap();
    let again = browser.post("/settings/apply", &yes).await;
    assert!(
        again.text.contains("has changed since you looked"),
        "{}",
        again.text
    );
    assert_eq!(rig.file(), format!("{before}# mine\n"));
    std::fs::write(rig.path(), &before).unwrap();
    let saved = browser.post("/settings/apply", &yes).await;
    assert_eq!(
        saved.location.as_deref(),
        Some("/settings?notice=saved"),
        "{}",
        saved.text
    );
    assert!(
        rig.file().contains("orders = { in = 'paused' } # the toggles"),
        "{}",
        rig.file()
    );
    let audit = browser.get("/audit?action=toggle").await;
    assert_eq!(
        audit.text.matches("<th scope=\"row\">").count(),
        2,
        "{}",
        audit.text
    );
    // It is in force, and the second click does nothing.
    let settings = browser.get("/settings").await;
    let checked = "value=\"paused\" checked";
    assert_eq!(settings.text.matches(checked).count(), 1, "{}", settings.text);
    let twice = browser.post("/settings/apply", &yes).await;
    assert_eq!(twice.location.as_deref(), Some("/settings?notice=unchanged"));
    // What was left as it was shown is not asked for: stock follows the products.
    let both = [
        ("form_token", token.as_str()),
        ("was.toggle.main.inventory.in", "off"),
        ("toggle.main.inventory.in", "off"),
        ("was.toggle.main.product.in", "off"),
        ("toggle.main.product.in", "on"),
    ];
    let plan = browser.post("/settings/plan", &both).await;
    assert!(plan.text.contains("+products"), "{}", plan.text);
    assert!(!plan.text.contains("+inventory"), "{}", plan.text);
    for wrong in [
        ("toggle.main.order", "on"),
        ("toggle.main.order.in", "sometimes"),
        ("toggle.main.order.sideways", "on"),
        ("toggle.other.order.in", "on"),
        ("toggle.main.order.out", "on"),
    ] {
        let answer = browser
            .post("/settings/plan", &[("form_token", &token), wrong])
            .await;
        assert!(
            matches!(answer.status, 400 | 409),
            "{wrong:?}: {} {}",
            answer.status,
            answer.text
        );
    }
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_people_do_is_kept_with_their_name() {
    let rig = Rig::new().await;
    let job = rig.problem("1042", "No tax of 21 %.").await;
    let browser = rig.logged_in("operator").await;
    let token = browser.token().await;
    let post = async |path: &str, fields: &[(&str, &str)]| {
        let fields = [&[("form_token", token.as_str())][..], fields].concat();
        let answer = browser.post(path, &fields).await;
        answer
            .location
            .unwrap_or_else(|| panic!("{path}: {}", answer.text))
    };
    let (_, seen) = rig.state(job).await;
    let held = post(
        &format!("/jobs/{job}/hold"),
        &[("seen", &seen), ("reason", "ask Ada first")],
    )
    .await;
    assert!(held.ends_with("notice=held"), "{held}");
    assert_eq!(rig.state(job).await.0, JobState::Held);
    let page = browser.get(&format!("/jobs/{job}")).await;
    for part in ["operator: hold", "ask Ada first", "Release"] {
        assert!(page.text.contains(part), "{part}: {}", page.text);
    }
    let cluster = [
        ("shop", "main"),
        ("code", "tax_not_found"),
        ("cluster", "tax:No tax of 21 %."),
    ];
    // A note about problems that are hidden behind the hold is kept all the same.
    let noted = post(
        "/problems/note",
        &[&cluster[..], &[("reason", "the tax is new")]].concat(),
    )
    .await;
    assert!(noted.ends_with("notice=noted"), "{noted}");
    let paused = post("/shops/main/pause", &[("reason", "stock-taking")]).await;
    assert_eq!(paused, "/?notice=paused");
    assert_eq!(
        post("/shops/main/pause", &[("reason", "again")]).await,
        "/?notice=already"
    );
    let overview = browser.get("/").await;
    assert!(overview.text.contains("stock-taking"), "{}", overview.text);
    assert_eq!(post("/shops/main/resume", &[]).await, "/?notice=resumed");
    let audit = browser.get("/audit").await;
    for part in [
        "hold",
        "note",
        "pause",
        "resume",
        "stock-taking",
        "operator",
        "console",
    ] {
        assert!(audit.text.contains(part), "{part}: {}", audit.text);
    }
    assert!(!audit.text.contains("again"), "what was refused is no action");
    let filtered = browser.get("/audit?action=pause").await;
    assert_eq!(
        filtered.text.matches("<th scope=\"row\">").count(),
        1,
        "{}",
        filtered.text
    );
    rig.stop().await;
}
