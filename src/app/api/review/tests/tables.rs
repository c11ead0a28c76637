//! Editing tables, what the ERP has for them, and deliveries to ourselves.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_table_is_edited_as_it_was_looked_at_and_taken_back() {
    let rig = rig().await;
    let put = async |body: Value| {
        let path = "/api/v1/shops/main/tables/journal/entry";
        rig.call("put", path, Some(OPERATOR), Some(body)).await
    };
    let (_, tables) = rig.get("/api/v1/shops/main/tables").await;
    assert!(
        tables
            .as_array()
            .unwrap()
            .iter()
            .any(|table| table["name"] == "journal"),
        "{tables}"
    );
    let entry = json!({ "key": "klarna", "value": "Klarna" });
    let path = "/api/v1/shops/main/tables/journal/plan";
    let (status, plan) = rig.call("post", path, Some(OPERATOR), Some(entry)).await;
    assert_eq!(status, StatusCode::OK, "{plan}");
    assert!(
        plan["diff"].as_str().unwrap().contains("+klarna = \"Klarna\""),
        "{plan}"
    );
    let other = json!({ "key": "klarna", "value": "Klarna", "hash": "0000" });
    let (status, body) = put(other).await;
    assert_eq!(
        (status, &body["code"]),
        (StatusCode::CONFLICT, &"plan_changed".into()),
        "{body}"
    );
    let agreed =
        json!({ "key": "klarna", "value": "Klarna", "hash": plan["hash"], "reason": "asked accounting" });
    let (status, made) = put(agreed.clone()).await;
    assert_eq!(
        (status, &made["changed"]),
        (StatusCode::OK, &true.into()),
        "{made}"
    );
    assert!(made["revision"].is_i64(), "{made}");
    let (_, again) = put(agreed).await;
    assert_eq!(again["changed"], false, "{again}");
    let (_, changed) = put(json!({ "key": "klarna", "value": "Bank" })).await;
    assert_eq!(changed["before"], "Klarna", "{changed}");
    let (_, edits) = rig.get("/api/v1/tables/edits?shop=main").await;
    let ids: Vec<i64> = edits
        .as_array()
        .unwrap()
        .iter()
        .map(|edit| edit["id"].as_i64().unwrap())
        .collect();
    assert_eq!(ids.len(), 2, "{edits}");
    let revert = async |id: i64| {
        let path = format!("/api/v1/tables/edits/{id}/revert");
        rig.call("post", &path, Some(OPERATOR), None).await
    };
    // The older edit is not what stands there any more.
    let (status, body) = revert(ids[1]).await;
    assert_eq!(
        (status, &body["code"]),
        (StatusCode::CONFLICT, &"changed".into()),
        "{body}"
    );
    let (status, back) = revert(ids[0]).await;
    assert_eq!(
        (status, &back["after"]),
        (StatusCode::OK, &"Klarna".into()),
        "{back}"
    );
    let (status, _) = revert(ids[1]).await;
    assert_eq!(status, StatusCode::OK);
    let text =
        std::fs::read_to_string(rig.path().with_file_name("mappings").join("tables.main.toml")).unwrap();
    assert!(!text.contains("klarna"), "{text}");
    for (body, expected) in [
        (json!({ "key": "", "value": "x" }), StatusCode::BAD_REQUEST),
        (json!({ "value": "x" }), StatusCode::BAD_REQUEST),
        (json!({ "key": "klarna", "value": "7" }), StatusCode::CONFLICT),
    ] {
        let (status, answer) = put(body.clone()).await;
        assert_eq!(status, expected, "{body}: {answer}");
    }
    assert_eq!(revert(999).await.0, StatusCode::NOT_FOUND);
    assert_eq!(
        rig.get("/api/v1/shops/other/tables").await.0,
        StatusCode::NOT_FOUND
    );
    let choices = "/api/v1/shops/main/tables/journal/choices?key=klarna";
    assert_eq!(rig.get(choices).await.0, StatusCode::BAD_GATEWAY);
    rig.daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_delivery_is_judged_like_a_real_one_and_leaves_only_who_sent_it() {
    let rig = rig().await;
    let test = async || {
        rig.call("post", "/api/v1/shops/main/webhooks/test", Some(OPERATOR), None)
            .await
            .1
    };
    let sent = test().await;
    assert_eq!(
        (&sent["taken"], &sent["way"], &sent["status"]),
        (&true.into(), &"local".into(), &200.into()),
        "{sent}"
    );
    assert!(
        sent["notes"][0]
            .as_str()
            .unwrap()
            .contains("`public_url` is not set"),
        "{sent}"
    );
    let (_, jobs) = rig.get("/api/v1/jobs").await;
    assert_eq!(jobs, json!([]));
    let (_, status) = rig.get("/api/v1/status").await;
    assert_eq!(status["events"], 0, "{status}");
    let (_, audit) = rig.get("/api/v1/audit?action=test_delivery").await;
    let lines = audit.as_array().unwrap();
    assert_eq!(lines.len(), 1, "{audit}");
    assert_eq!(
        (&lines[0]["subject"], &lines[0]["via"]),
        (&"shop:main".into(), &"api".into()),
        "{audit}"
    );

    // Through the public address, which may lead to somebody else.
    let listener = rig.daemon.http_addr;
    let file = std::fs::read_to_string(rig.path()).unwrap();
    let public = |url: &str| {
        let to = format!("listen = '127.0.0.1:0'\npublic_url = '{url}'\n[admin]");
        file.replacen("listen = '127.0.0.1:0'\n[admin]", &to, 1)
    };
    let stranger = crate::sandbox::shopify::ShopSandbox::start(crate::sandbox::shopify::Options::default())
        .await
        .unwrap();
    for (url, taken, way, part) in [
        (format!("http://{listener}"), true, "public", "Taken"),
        (stranger.url(), false, "public", "something else answers"),
        ("http://127.0.0.1:9".to_owned(), true, "local", "Taken"),
    ] {
        std::fs::write(rig.path(), public(&url)).unwrap();
        rig.daemon.reload().await.unwrap();
        let sent = test().await;
        assert_eq!(
            (&sent["taken"], &sent["way"]),
            (&taken.into(), &way.into()),
            "{url}: {sent}"
        );
        assert!(sent["told"].as_str().unwrap().contains(part), "{url}: {sent}");
    }
    rig.daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_erp_has_to_choose_from_is_offered_with_what_fits_first() {
    use crate::sandbox::odoo::{OdooSandbox, Options, Version};
    let erp = OdooSandbox::start(Options::version(Version::V18)).await.unwrap();
    let file = text("paused")
        .replace(
            "url = 'http://127.0.0.1:9'\ndatabase",
            &format!("url = '{}'\ndatabase", erp.url()),
        )
        .replace("login = 'a@example.com'", "login = 'connector@example.com'")
        .replace("api_key = 'k'", &format!("api_key = '{}'", erp.api_key()));
    let rig = Rig::with(&file).await;
    let choices = async |path: &str| {
        let (status, choices) = rig.get(&format!("/api/v1/shops/main/tables/{path}")).await;
        assert_eq!(status, StatusCode::OK, "{path}: {choices}");
        choices.as_array().unwrap().clone()
    };
    let taxes = choices("tax/choices?key=19%20included%20MwSt").await;
    assert!(taxes.len() > 1, "{taxes:?}");
    assert_eq!(taxes[0]["fits"], true, "{taxes:?}");
    assert!(
        taxes[0]["label"].as_str().unwrap().starts_with("19% incl."),
        "{taxes:?}"
    );
    assert!(
        taxes
            .iter()
            .all(|tax| tax["value"].as_str().unwrap().parse::<i64>().is_ok()),
        "by number: {taxes:?}"
    );
    let none = choices("tax/choices?key=3%20included").await;
    assert!(none.iter().all(|tax| tax["fits"] == false), "{none:?}");
    assert_eq!(choices("warehouse/choices").await[0]["value"], "My Company");
    assert_eq!(
        choices("stage/choices").await,
        Vec::<Value>::new(),
        "its values are no records"
    );
    rig.daemon.stop().await;
}
