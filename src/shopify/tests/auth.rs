//! Tokens: static ones, granted ones, their renewal, and that they stay unseen.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;
use wiremock::matchers::{header, path};
use wiremock::{Mock, Request, ResponseTemplate};

use super::support::{Stage, answer, ok, shop_id};
use crate::secret::Secret;
use crate::shopify::{Credentials, ShopifyError};

fn grant() -> Credentials {
    Credentials::ClientCredentials {
        client_id: "app-1".to_owned(),
        client_secret: Secret::text("shpss_secret"),
    }
}

fn token(name: &str, life_s: u64) -> ResponseTemplate {
    ok(&json!({"access_token": name, "scope": "read_orders", "expires_in": life_s}))
}

fn refused() -> ResponseTemplate {
    answer(401, &json!({"errors": "[API] Invalid API key or access token"}))
}

#[tokio::test]
async fn a_token_is_asked_for_once_and_renewed_ten_minutes_early() {
    let stage = Stage::new().await;
    let shop = stage.shop_with(grant());
    stage.answers([token("one", 86_399), shop_id()]);
    shop.probe().await.unwrap();
    shop.probe().await.unwrap();
    let asked = stage.asked();
    assert_eq!(asked[0].path, "/admin/oauth/access_token");
    assert_eq!(
        asked[0].body,
        "grant_type=client_credentials&client_id=app-1&client_secret=shpss_secret"
    );
    assert_eq!(asked[0].token, None);
    let later: Vec<(&str, Option<&str>)> = asked[1..]
        .iter()
        .map(|asked| (asked.path.as_str(), asked.token.as_deref()))
        .collect();
    assert_eq!(later, [("/admin/api/2026-10/graphql.json", Some("one")); 2]);

    stage.clock.advance_s(86_399 - 601);
    shop.probe().await.unwrap();
    assert_eq!(stage.asked().len(), 1, "not yet");
    stage.clock.advance_s(2);
    stage.answers([token("two", 86_399), shop_id()]);
    shop.probe().await.unwrap();
    let asked = stage.asked();
    assert_eq!((asked.len(), asked[1].token.as_deref()), (2, Some("two")));
}

#[tokio::test]
async fn token_requests_are_measured_like_every_call() {
    // For this thread, in which the whole test runs.
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let metrics = recorder.handle();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let stage = Stage::new().await;
    let shop = stage.shop_with(grant());
    stage.answers([token("one", 86_399), shop_id()]);
    shop.probe().await.unwrap();
    let text = metrics.render();
    let asked = "lockstep_shopify_call_seconds_count{shop=\"main\",operation=\"access_token\"} 1";
    assert!(text.contains(asked), "{text}");
}

#[tokio::test]
async fn a_short_life_is_used_for_half_of_it() {
    let stage = Stage::new().await;
    let shop = stage.shop_with(grant());
    stage.answers([token("one", 60), shop_id()]);
    shop.probe().await.unwrap();
    stage.clock.advance_s(29);
    shop.probe().await.unwrap();
    assert_eq!(stage.asked().len(), 3);
    stage.clock.advance_s(2);
    stage.answers([token("two", 60), shop_id()]);
    shop.probe().await.unwrap();
    assert_eq!(stage.asked()[1].token.as_deref(), Some("two"));
}

#[tokio::test]
async fn many_at_once_share_one_renewal() {
    let stage = Stage::new().await;
    let grants = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&grants);
    Mock::given(path("/admin/oauth/access_token"))
        .respond_with(move |_: &Request| {
            counter.fetch_add(1, Ordering::SeqCst);
            token("one", 86_399)
        })
        .with_priority(1)
        .mount(&stage.server)
        .await;
    stage.answers([shop_id()]);
    let shop = stage.shop_with(grant());
    let all = futures_util::future::join_all((0..20).map(|_| shop.probe())).await;
    assert!(all.iter().all(Result::is_ok), "{all:?}");
    assert_eq!(grants.load(Ordering::SeqCst), 1);

    // All of them are refused with the same token: one renewal serves everybody.
    stage.server.reset().await;
    let counter = Arc::clone(&grants);
    Mock::given(path("/admin/oauth/access_token"))
        .respond_with(move |_: &Request| {
            counter.fetch_add(1, Ordering::SeqCst);
            token("two", 86_399)
        })
        .with_priority(1)
        .mount(&stage.server)
        .await;
    Mock::given(header("X-Shopify-Access-Token", "one"))
        .respond_with(refused())
        .with_priority(2)
        .mount(&stage.server)
        .await;
    Mock::given(header("X-Shopify-Access-Token", "two"))
        .respond_with(shop_id())
        .with_priority(2)
        .mount(&stage.server)
        .await;
    let all = futures_util::future::join_all((0..20).map(|_| shop.probe())).await;
    assert!(all.iter().all(Result::is_ok), "{all:?}");
    assert_eq!(grants.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_refused_token_is_renewed_once_and_then_it_is_over() {
    let stage = Stage::new().await;
    let shop = stage.shop_with(grant());
    stage.answers([token("one", 86_399), refused(), token("two", 86_399), shop_id()]);
    shop.probe().await.unwrap();
    let tokens: Vec<Option<String>> = stage.asked().into_iter().map(|asked| asked.token).collect();
    assert_eq!(
        tokens,
        [None, Some("one".to_owned()), None, Some("two".to_owned())]
    );

    stage.answers([refused(), token("three", 86_399), refused()]);
    let error = shop.probe().await.unwrap_err();
    assert!(matches!(error, ShopifyError::Unauthorized { .. }), "{error:?}");
    assert_eq!(stage.asked().len(), 3, "no loop");
}

#[tokio::test]
async fn a_static_token_is_read_again_from_its_file_when_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "old\n").unwrap();
    let stage = Stage::new().await;
    let shop = stage.shop_with(Credentials::Token(Secret::file(&file)));
    stage.answers([shop_id()]);
    shop.probe().await.unwrap();

    stage.answers([refused()]);
    stage.asked();
    shop.probe().await.unwrap_err();
    assert_eq!(stage.asked().len(), 1, "the same token is not tried again");

    // A file that changed within one tick of the file system's clock looks unchanged, until the token is refused.
    let then = std::fs::metadata(&file).unwrap().modified().unwrap();
    std::fs::write(&file, "new\n").unwrap();
    let written = std::fs::File::options().append(true).open(&file).unwrap();
    written.set_modified(then).unwrap();
    stage.answers([refused(), shop_id()]);
    shop.probe().await.unwrap();
    let tokens: Vec<Option<String>> = stage.asked().into_iter().map(|asked| asked.token).collect();
    assert_eq!(tokens, [Some("old".to_owned()), Some("new".to_owned())]);
}

#[tokio::test]
async fn a_refused_client_secret_is_said_with_shopifys_words_and_not_asked_for_in_a_loop() {
    let stage = Stage::new().await;
    let shop = stage.shop_with(grant());
    stage.answers([answer(
        400,
        &json!({"error": "invalid_client", "error_description": "The client secret is wrong"}),
    )]);
    for _ in 0..50 {
        let error = shop.probe().await.unwrap_err();
        assert_eq!(error.code(), "shopify_credentials_refused");
        assert!(
            error.to_string().contains("The client secret is wrong"),
            "{error}"
        );
        assert!(!error.to_string().contains("shpss_secret"));
    }
    assert_eq!(stage.asked().len(), 5, "a burst, then nobody is bothered");
    stage.clock.advance_s(11);
    stage.answers([token("one", 86_399), shop_id()]);
    shop.probe().await.unwrap();
}

#[tokio::test]
async fn a_rotated_client_secret_is_read_from_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret");
    std::fs::write(&file, "old").unwrap();
    let secret = Secret::file(&file);
    secret.current().unwrap();
    let then = std::fs::metadata(&file).unwrap().modified().unwrap();
    let stage = Stage::new().await;
    let shop = stage.shop_with(Credentials::ClientCredentials {
        client_id: "app-1".to_owned(),
        client_secret: secret,
    });
    std::fs::write(&file, "new").unwrap();
    // A file that changed within one tick of the file system's clock looks unchanged, until the secret is refused.
    let written = std::fs::File::options().append(true).open(&file).unwrap();
    written.set_modified(then).unwrap();
    stage.answers([
        answer(401, &json!({"error": "invalid_client"})),
        token("one", 86_399),
        shop_id(),
    ]);
    shop.probe().await.unwrap();
    let asked = stage.asked();
    assert!(asked[0].body.ends_with("client_secret=old"), "{asked:?}");
    assert!(asked[1].body.ends_with("client_secret=new"), "{asked:?}");
}

#[tokio::test]
async fn a_failed_early_renewal_goes_on_with_the_old_token() {
    let stage = Stage::new().await;
    let shop = stage.shop_with(grant());
    stage.answers([token("one", 3600), shop_id()]);
    shop.probe().await.unwrap();
    stage.clock.advance_s(3100);
    stage.asked();
    stage.answers([ResponseTemplate::new(503), shop_id()]);
    shop.probe().await.unwrap();
    shop.probe().await.unwrap();
    let tokens: Vec<Option<String>> = stage.asked().into_iter().map(|asked| asked.token).collect();
    assert_eq!(tokens, [None, Some("one".to_owned()), Some("one".to_owned())]);
    // At its end it is of no use any more.
    stage.clock.advance_s(600);
    stage.answers([ResponseTemplate::new(503)]);
    shop.probe().await.unwrap_err();
}

#[tokio::test]
async fn the_token_endpoints_failures_are_told_apart() {
    for (name, reply, code) in [
        (
            "wrong app",
            answer(400, &json!({"error": "application_cannot_be_found"})),
            "shopify_credentials_refused",
        ),
        (
            "a page",
            ResponseTemplate::new(400).set_body_raw("<html>Oauth error</html>", "text/html"),
            "shopify_credentials_refused",
        ),
        (
            "other organisation",
            answer(
                403,
                &json!({"error": "shop_not_permitted", "error_description": "Client credentials cannot be performed on this shop."}),
            ),
            "shopify_credentials_refused",
        ),
        (
            "no token",
            ok(&json!({"scope": "x"})),
            "shopify_credentials_refused",
        ),
        ("no such shop", answer(404, &json!({})), "shop_not_found"),
        ("frozen", answer(402, &json!({})), "shop_unavailable"),
        ("too many", ResponseTemplate::new(429), "shopify_throttled"),
        ("broken", answer(500, &json!({})), "shopify_internal_error"),
    ] {
        let stage = Stage::new().await;
        stage.answers([reply]);
        let error = stage.shop_with(grant()).probe().await.unwrap_err();
        assert_eq!(error.code(), code, "{name}: {error}");
    }
}

#[tokio::test]
async fn no_token_is_ever_shown() {
    let stage = Stage::new().await;
    let shop = stage.shop_with(grant());
    stage.answers([token("shpat_granted", 86_399), shop_id()]);
    shop.probe().await.unwrap();
    let shown = format!("{shop:?}");
    assert!(
        !shown.contains("shpat_granted") && !shown.contains("shpss_secret"),
        "{shown}"
    );
    let broken = stage.shop_with(Credentials::Token(Secret::text("a\nb")));
    let error = broken.probe().await.unwrap_err();
    assert!(matches!(error, ShopifyError::Unauthorized { .. }), "{error:?}");
}
