//! Endpoints that are declared, changed and taken out.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_declares_changes_and_takes_out_endpoints_after_a_look() {
    let rig = Rig::telling().await;
    let admin = rig.logged_in("admin").await;
    let token = admin.token().await;
    let operator = rig.logged_in("operator").await;
    for path in ["/notify/new", "/notify/endpoints/own/edit"] {
        assert_eq!(operator.get(path).await.status, 403, "{path}");
    }
    assert!(!operator.get("/notify").await.text.contains("/notify/new"));
    let list = admin.get("/notify").await;
    assert!(
        list.text.contains("href=\"/notify/new\"") && list.text.contains("/notify/endpoints/own/edit"),
        "{}",
        list.text
    );
    let post = async |step: &str, more: &[(&str, &str)]| {
        let fields: Vec<(&str, &str)> = [("form_token", token.as_str())]
            .into_iter()
            .chain(more.iter().copied())
            .collect();
        admin.post(&format!("/notify/declare/{step}"), &fields).await
    };
    // What does not do is told above the form, which keeps what was written.
    let crm = [
        ("what", "new"),
        ("endpoint", "crm"),
        ("url", "https://crm.example.com/T0/secret"),
        ("events", "order.*, sync.failed"),
        ("state", "active"),
        ("when_paused", "keep"),
        ("priority", "high"),
        ("batch", "10"),
        ("timeout", "7s"),
        ("include", "record, values"),
        ("new_secret", "true"),
    ];
    let wrong: Vec<(&str, &str)> = crm
        .iter()
        .map(|(name, value)| {
            if *name == "events" {
                (*name, "oder.*")
            } else {
                (*name, *value)
            }
        })
        .collect();
    let refused = post("plan", &wrong).await;
    assert_eq!(refused.status, 409);
    assert!(
        refused.text.contains("role=\"alert\"") && refused.text.contains("value=\"oder.*\""),
        "{}",
        refused.text
    );
    let planned = post("plan", &crm).await;
    assert!(
        planned.text.contains("+[notify.endpoints.crm]")
            && planned.text.contains("batch = 10")
            && planned.text.contains("priority = &#34;high&#34;")
            && planned.text.contains("timeout = &#34;7s&#34;")
            && planned
                .text
                .contains("include = [&#34;record&#34;, &#34;values&#34;]"),
        "{}",
        planned.text
    );
    let shown = planned.text.split("name=\"url\"").next().unwrap();
    assert!(
        !shown.contains("T0"),
        "the difference shows no address: {}",
        planned.text
    );
    let path = rig.path();
    let before = std::fs::read_to_string(&path).unwrap();
    assert!(!before.contains("crm"), "a plan writes nothing");
    let hash = |page: &str| -> String {
        let rest = page.split("name=\"hash\" value=\"").nth(1).unwrap();
        rest.split('"').next().unwrap().to_owned()
    };
    let agreed = hash(&planned.text);
    let stale = post("apply", &[&crm[..], &[("hash", "another")]].concat()).await;
    assert!(
        stale.text.contains("has changed since you looked"),
        "{}",
        stale.text
    );
    let saved = post("apply", &[&crm[..], &[("hash", agreed.as_str())]].concat()).await;
    assert_eq!(saved.status, 200, "{}", saved.text);
    let kept = std::fs::read_to_string(path.with_file_name("notify-crm.secret")).unwrap();
    assert!(
        saved.text.contains(kept.trim()),
        "the new secret is shown: {}",
        saved.text
    );
    let edit = admin.get("/notify/endpoints/crm/edit").await;
    assert!(
        edit.text.contains("value=\"order.* sync.failed\""),
        "{}",
        edit.text
    );
    for hidden in [kept.trim(), "T0"] {
        assert!(!edit.text.contains(hidden), "{hidden}: {}", edit.text);
    }

    // Only what a person changed is written.
    let text = std::fs::read_to_string(&path).unwrap();
    let change = [
        ("what", "change"),
        ("endpoint", "crm"),
        ("was.events", "order.* sync.failed"),
        ("events", "order.* sync.failed"),
        ("was.state", "active"),
        ("state", "active"),
        ("was.when_paused", "keep"),
        ("when_paused", "keep"),
        ("was.batch", "10"),
        ("batch", "10"),
        ("was.rate", ""),
        ("rate", "5/s"),
    ];
    let agreed = hash(&post("plan", &change).await.text);
    let changed = post("apply", &[&change[..], &[("hash", agreed.as_str())]].concat()).await;
    assert_eq!(
        changed.location.as_deref(),
        Some("/notify?notice=endpoint_changed"),
        "{}",
        changed.text
    );
    let now = std::fs::read_to_string(&path).unwrap();
    let added: Vec<&str> = now.lines().filter(|line| !text.contains(line)).collect();
    assert_eq!(added, ["rate = \"5/s\""], "{now}");
    let unchanged = post("plan", &change[..10]).await;
    assert_eq!(
        unchanged.location.as_deref(),
        Some("/notify?notice=unchanged"),
        "{}",
        unchanged.text
    );

    let take_out = [("what", "remove"), ("endpoint", "crm")];
    let planned = post("plan", &take_out).await;
    assert!(planned.text.contains("Nothing waits for it."), "{}", planned.text);
    let agreed = hash(&planned.text);
    let gone = post("apply", &[&take_out[..], &[("hash", agreed.as_str())]].concat()).await;
    assert_eq!(
        gone.location.as_deref(),
        Some("/notify?notice=endpoint_removed"),
        "{}",
        gone.text
    );
    assert_eq!(
        std::fs::read_to_string(&path).unwrap(),
        before,
        "the file is as it was"
    );
    rig.stop().await;
}
