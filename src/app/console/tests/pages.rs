//! What the pages show.

use insta::assert_snapshot;

use super::*;
use crate::app::testing::until;
use crate::domain::TableKey;

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
    until("the daemon finds it", async || {
        let found = rig.store.open_problems(1).await.unwrap();
        (!found.is_empty()).then_some(())
    })
    .await;
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

#[tokio::test(flavor = "multi_thread")]
async fn problems_are_filtered_by_shop_and_kind_and_called_by_their_cause() {
    let rig = Rig::new().await;
    let known = "The ERP has no sales tax of 21 % on top of the price.";
    for (id, line) in [("1042", "line_5"), ("1043", "line_9")] {
        let problem = NewProblem {
            code: ProblemCode::from("tax_not_found"),
            record: Some(format!("#{id}")),
            field: Some(format!("lines[{line}].tax_id")),
            reason: format!("`lines[{line}].tax_id`: the ERP has no sales tax of 21 % on top of the price."),
            fix: "Make it.".to_owned(),
            owner: "accounting".to_owned(),
            mapping: None,
            cluster: "tax_not_found:21".to_owned(),
            detail: serde_json::Value::Null,
        };
        rig.problem_of(id, problem.titled(known)).await;
    }
    let unmapped = NewProblem {
        code: ProblemCode::from("location_not_mapped"),
        record: None,
        field: None,
        reason: "The shop has several locations.".to_owned(),
        fix: "Say which.".to_owned(),
        owner: "operations".to_owned(),
        mapping: None,
        cluster: "location_not_mapped".to_owned(),
        detail: serde_json::Value::Null,
    };
    let entry = |key: &str| TableKey {
        table: "locations".to_owned(),
        key: key.to_owned(),
    };
    rig.problem_of("7", unmapped.answered_by_all(&[entry("655"), entry("656")]))
        .await;
    let browser = rig.logged_in("operator").await;
    let all = browser.get("/problems").await.text;
    assert!(all.contains(&format!("<bdi>{known}</bdi></a></h2>")), "{all}");
    assert!(
        all.contains("For instance <bdi>#104"),
        "an example has its own sentence: {all}"
    );
    let shows = async |query: &str| {
        let page = browser.get(&format!("/problems?{query}")).await;
        assert_eq!(page.status, 200, "{query}: {}", page.text);
        (
            page.text.contains(known),
            page.text.contains("location_not_mapped</code>"),
        )
    };
    for (query, expected) in [
        ("shop=main&code=tax_not_found", (true, false)),
        ("code=location_not_mapped", (false, true)),
        ("shop=main", (true, true)),
        ("shop=other", (false, false)),
        ("code=%3Cscript%3E", (false, false)),
        ("whose=mine&code=tax_not_found", (false, false)),
    ] {
        assert_eq!(shows(query).await, expected, "{query}");
    }
    let page = browser.get("/problems?code=tax_not_found").await.text;
    assert!(page.contains("value=\"tax_not_found\" list=\"codes\""), "{page}");
    assert_eq!(browser.get("/problems?shop=%2F").await.status, 400);
    // Every entry that would be the answer can be filled in from the cause's page.
    let cluster = browser
        .get("/problems/cluster?shop=main&code=location_not_mapped&cluster=location_not_mapped")
        .await
        .text;
    for key in ["655", "656"] {
        assert!(
            cluster.contains(&format!("/tables/main/locations?key={key}")),
            "{cluster}"
        );
    }
    rig.stop().await;
}
