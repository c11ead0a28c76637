//! What the pages show.

use insta::assert_snapshot;

use super::*;

/// The page without what differs from run to run.
pub(super) fn still(rig: &Rig, answer: &Answer) -> String {
    let mut text = answer
        .text
        .replace(&rig.folder.path().display().to_string(), "FOLDER")
        .replace(env!("CARGO_PKG_VERSION"), "VERSION");
    for mark in ["name=\"form_token\" value=\"", "name=\"hash\" value=\""] {
        let mut from = 0;
        while let Some(found) = text[from..].find(mark) {
            let start = from + found + mark.len();
            let end = start + text[start..].find('"').unwrap();
            text.replace_range(start..end, "…");
            from = start;
        }
    }
    text.lines()
        .filter(|line| !line.trim().is_empty())
        .collect::<Vec<_>>()
        .join("\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_look_as_they_did() {
    let rig = Rig::new().await;
    // What the daemon finds by itself comes first: causes that are equal stand in the order in which they came.
    let found = async {
        while rig.store.open_problems(1).await.unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    assert!(
        tokio::time::timeout(std::time::Duration::from_secs(60), found)
            .await
            .is_ok()
    );
    let job = rig.problem("1042", "No tax of 21 % is known.").await;
    rig.problem("1043", "No tax of 21 % is known.").await;
    rig.problem("1044", "The country XX does not exist.").await;
    assert_snapshot!(
        "login",
        still(&rig, &rig.browser().get("/login?next=/jobs").await)
    );
    let operator = rig.logged_in("operator").await;
    for (name, path) in [
        ("jobs", "/jobs".to_owned()),
        ("job", format!("/jobs/{job}")),
        ("problems", "/problems".to_owned()),
        (
            "cluster",
            format!(
                "/problems/cluster?shop=main&code=tax_not_found&cluster={}",
                percent_encoded("tax:No tax of 21 % is known.")
            ),
        ),
        ("settings_of_an_operator", "/settings".to_owned()),
        ("webhooks", "/webhooks".to_owned()),
        ("event", "/events/1".to_owned()),
        ("refused", "/webhooks/plan".to_owned()),
    ] {
        let answer = operator.get(&path).await;
        assert_snapshot!(name, still(&rig, &answer));
    }
    let admin = rig.logged_in("admin").await;
    assert_snapshot!("settings", still(&rig, &admin.get("/settings").await));
    let viewer = rig.logged_in("viewer").await;
    let page = viewer.get(&format!("/jobs/{job}")).await;
    assert!(
        !page.text.contains("/retry"),
        "a viewer has no buttons: {}",
        page.text
    );
    let event = viewer.get("/events/1").await;
    assert!(!event.text.contains("ada@example.com"), "{}", event.text);
    assert!(event.text.contains("email"), "{}", event.text);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_others_wrote_becomes_a_part_of_a_page() {
    let rig = Rig::new().await;
    let hostile = [
        "<script>alert(1)</script>",
        "\"><img src=x onerror=alert(1)>",
        "' OR 1=1 --",
        "#1042/A",
        "😀 \u{202e}evil",
        "طلب ١٠٤٢",
        "{{ 7 * 7 }}",
    ];
    let mut jobs = Vec::new();
    for text in hostile {
        jobs.push((text, rig.problem(text, text).await));
    }
    let browser = rig.logged_in("operator").await;
    let clean = |page: &Answer, what: &str| {
        assert_eq!(page.status, 200, "{what}: {}", page.text);
        let text = &page.text;
        assert!(
            !text.contains("<script") && !text.contains("<img"),
            "{what}: {text}"
        );
        for tag in text.split('<').skip(1).filter_map(|rest| rest.split('>').next()) {
            // What stands between quotes is a value.
            let bare: String = tag.split('"').step_by(2).collect();
            assert!(
                !bare.contains(" on") && !bare.contains("style="),
                "{what}: <{tag}>"
            );
        }
        assert!(!text.contains(">49<"), "{what}: {text}");
    };
    for (text, job) in &jobs {
        let page = browser.get(&format!("/jobs/{job}")).await;
        clean(&page, text);
        let found = browser.get(&format!("/jobs?q={}", percent_encoded(text))).await;
        let rows = found.text.matches("<a href=\"/jobs/").count();
        assert_eq!(
            rows, 1,
            "searching for {text} finds it and nothing else: {}",
            found.text
        );
        clean(&found, text);
        let cluster = format!(
            "/problems/cluster?shop=main&code=tax_not_found&cluster={}",
            percent_encoded(&format!("tax:{text}"))
        );
        clean(&browser.get(&cluster).await, text);
    }
    for path in ["/problems", "/jobs", "/"] {
        let page = browser.get(path).await;
        assert!(
            !page.text.contains("<script") && !page.text.contains("<img"),
            "{}",
            page.text
        );
        assert!(
            page.text.contains("&#60;script&#62;"),
            "it is shown as it is: {}",
            page.text
        );
    }
    for (name, expected) in [
        ("content-security-policy", "default-src 'none'; style-src 'self'"),
        ("x-frame-options", "DENY"),
        ("x-content-type-options", "nosniff"),
        ("cache-control", "no-store"),
    ] {
        let page = browser.get("/").await;
        let value = page.headers[name].to_str().unwrap().to_owned();
        assert!(value.starts_with(expected), "{name}: {value}");
    }
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_exist_is_told_on_a_page() {
    let rig = Rig::new().await;
    let browser = rig.logged_in("admin").await;
    for (path, status) in [
        ("/jobs/99", 404),
        ("/jobs/x", 404),
        ("/jobs/1%2F2", 404),
        ("/events/99", 404),
        ("/mappings/..%2Flockstep.toml", 404),
        ("/problems/cluster", 404),
        ("/problems/cluster?shop=main&code=x&cluster=y", 404),
        ("/jobs?state=sometimes", 400),
        ("/jobs?before=-1", 200),
        ("/jobs?q=%00%ff", 200),
    ] {
        let answer = browser.get(path).await;
        assert_eq!(answer.status, status, "{path}: {}", answer.text);
        assert!(answer.text.contains("<main"), "{path}: {}", answer.text);
    }
    rig.stop().await;
}
