//! Endpoints, deliveries and fields.

use super::*;
use crate::app::testing::told;
use crate::store::DispatchEnd;

const HOSTILE: &str = "<script>alert(1)</script> \"><img src=x onerror=alert(1)>";

impl Rig {
    /// With an endpoint that is sent nothing, since it rests, and one that does not answer.
    pub(super) async fn telling() -> Self {
        let notify = "[notify]\nallow_networks = ['127.0.0.1']\n[notify.endpoints.resting]\n\
                      url = 'https://hooks.example.com/T0/secret'\nevents = ['customer.*']\nstate = 'paused'\n\
                      description = 'For <b>them</b>'\nowner = 'ops'\n[notify.endpoints.own]\n\
                      url = 'http://127.0.0.1:9/T0/secret'\nallow_http = true\nevents = ['order.synced']\n\
                      condition = \"event.direction == 'in'\"\n";
        Self::with(&text(&format!("{}{notify}", users()))).await
    }

    async fn told(&self, end: DispatchEnd) -> i64 {
        let at = Timestamp::parse_rfc3339("2026-12-01T09:57:00Z").unwrap();
        told(&self.store, "resting", end, HOSTILE, at).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn endpoints_and_deliveries_are_shown_and_what_others_wrote_is_text() {
    let rig = Rig::telling().await;
    let (taken, failed) = (
        rig.told(DispatchEnd::Delivered).await,
        rig.told(DispatchEnd::Failed).await,
    );
    let operator = rig.logged_in("operator").await;
    let viewer = rig.logged_in("viewer").await;
    let list = operator.get("/notify").await;
    for part in [
        "50 % of the last 2",
        "37 ms; 95 % within 37 ms",
        "the configuration has it paused",
        "For &#60;b&#62;them&#60;/b&#62;",
        "hooks.example.com answered HTTP 500",
        "event.direction == &#39;in&#39;",
        "action=\"/notify/endpoints/own/pause\"",
        "action=\"/notify/endpoints/resting/redeliver\"",
    ] {
        assert!(list.text.contains(part), "{part}: {}", list.text);
    }
    assert!(
        !list.text.contains("/notify/endpoints/resting/resume"),
        "{}",
        list.text
    );
    assert!(
        !list.text.contains("T0"),
        "an address may be a secret: {}",
        list.text
    );
    let log = operator.get("/notify/deliveries?endpoint=resting").await;
    for id in [taken, failed] {
        assert!(
            log.text.contains(&format!("href=\"/notify/deliveries/{id}\"")),
            "{}",
            log.text
        );
    }
    assert!(
        log.text.contains("Ada Lovelace") && log.text.contains("3 min ago"),
        "{}",
        log.text
    );
    let one = operator.get(&format!("/notify/deliveries/{failed}")).await;
    assert!(
        one.text.contains("action=\"/notify/deliveries/"),
        "it can be sent again: {}",
        one.text
    );
    assert!(
        one.text.contains("x-said: ") && one.text.contains("HTTP 500"),
        "{}",
        one.text
    );
    assert!(
        !one.text.contains("<script") && !one.text.contains("<img"),
        "{}",
        one.text
    );
    assert!(one.text.contains("Ada Lovelace"), "{}", one.text);
    for path in [
        "/notify".to_owned(),
        "/notify/deliveries".to_owned(),
        format!("/notify/deliveries/{failed}"),
        "/notify/fields?event=customer.synced".to_owned(),
    ] {
        let page = viewer.get(&path).await;
        assert_eq!(page.status, 200, "{path}: {}", page.text);
        assert!(
            !page.text.contains("Ada") && !page.text.contains("alert("),
            "{path}: {}",
            page.text
        );
        assert!(
            !page.text.contains("method=\"post\" action=\"/notify"),
            "{path}: {}",
            page.text
        );
    }
    let found = operator.get("/notify/deliveries?state=delivered&q=7").await;
    assert!(
        found.text.contains(&format!("/notify/deliveries/{taken}\"")),
        "{}",
        found.text
    );
    assert!(
        !found.text.contains(&format!("/notify/deliveries/{failed}\"")),
        "{}",
        found.text
    );
    for (path, status) in [
        ("/notify/deliveries?state=lost", 400),
        ("/notify/deliveries?since=soon", 400),
        ("/notify/deliveries?before=x", 400),
        ("/notify/deliveries/4711", 404),
        ("/notify/deliveries/x", 400),
        ("/notify/fields?event=order.sunk", 400),
    ] {
        assert_eq!(operator.get(path).await.status, status, "{path}");
    }
    let values = viewer.get("/notify/fields?number=1001").await;
    assert_eq!(values.status, 403, "values may tell of people");
    // The shop does not answer in this world, which the page says.
    let values = operator
        .get("/notify/fields?shop=main&object=order&number=1001")
        .await;
    assert!(values.text.contains("cannot be asked"), "{}", values.text);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn endpoints_are_tried_out_paused_and_told_again() {
    let rig = Rig::telling().await;
    let failed = rig.told(DispatchEnd::Failed).await;
    let operator = rig.logged_in("operator").await;
    let token = operator.token().await;
    let post = async |path: &str, more: &[(&str, &str)]| {
        let fields: Vec<(&str, &str)> = [("form_token", token.as_str())]
            .into_iter()
            .chain(more.iter().copied())
            .collect();
        operator.post(path, &fields).await
    };
    let test = post("/notify/endpoints/own/test", &[]).await;
    assert_eq!(test.status, 200);
    assert!(
        test.text.contains("It was not taken.") && test.text.contains("127.0.0.1:9"),
        "{}",
        test.text
    );
    for (path, notice) in [
        ("/notify/endpoints/own/pause", "endpoint_paused"),
        ("/notify/endpoints/own/pause", "already"),
        ("/notify/endpoints/own/resume", "endpoint_resumed"),
        ("/notify/endpoints/resting/resume", "endpoint_configured"),
        ("/notify/endpoints/resting/redeliver", "waits_paused"),
        ("/notify/endpoints/resting/redeliver", "none_failed"),
    ] {
        let answer = post(path, &[]).await;
        let expected = format!("/notify?notice={notice}");
        assert_eq!(
            answer.location.as_deref(),
            Some(expected.as_str()),
            "{path}: {}",
            answer.text
        );
        let page = operator.get(&expected).await;
        assert!(page.text.contains("role=\"status\""), "{path}: {}", page.text);
    }
    // It waits already, and is due now.
    let again = post(&format!("/notify/deliveries/{failed}/redeliver"), &[]).await;
    assert_eq!(again.status, 303, "{}", again.text);
    let expected = format!("/notify/deliveries/{failed}?notice=waits_paused");
    assert_eq!(again.location.as_deref(), Some(expected.as_str()));
    let range = [("endpoint", "resting"), ("since", "2026-12-01T09:00")];
    let again = post("/notify/redeliver", &range).await;
    let location = again.location.unwrap_or_else(|| panic!("{}", again.text));
    assert!(
        location.ends_with("endpoint=resting&notice=none_fits"),
        "{location}"
    );
    assert_eq!(post("/notify/redeliver", &range[..1]).await.status, 400);
    // Giving up what waits is for administrators.
    assert_eq!(post("/notify/endpoints/resting/cancel", &[]).await.status, 403);
    let admin = rig.logged_in("admin").await;
    let token = admin.token().await;
    let cancelled = admin
        .post("/notify/endpoints/resting/cancel", &[("form_token", &token)])
        .await;
    assert_eq!(
        cancelled.location.as_deref(),
        Some("/notify?notice=given_up"),
        "{}",
        cancelled.text
    );
    let story = rig.store.dispatch(failed).await.unwrap().unwrap();
    assert_eq!(story.row.state.as_str(), "cancelled");
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn problems_alone_can_be_sent_again_and_are_seen_on_the_overview() {
    let rig = Rig::telling().await;
    let operator = rig.logged_in("operator").await;
    let button = "action=\"/notify/endpoints/resting/redeliver\"";
    let line = "1 delivery to the endpoint resting failed";
    assert!(!operator.get("/notify").await.text.contains(button));
    assert!(!operator.get("/").await.text.contains(line));
    let sentence = "its condition cannot be worked out".to_owned();
    rig.told(DispatchEnd::Problem { sentence }).await;
    let page = operator.get("/notify").await;
    assert!(page.text.contains(button), "{}", page.text);
    let overview = operator.get("/").await;
    assert!(
        overview.text.contains(line) && overview.text.contains("href=\"/notify\""),
        "{}",
        overview.text
    );
    rig.stop().await;
}
