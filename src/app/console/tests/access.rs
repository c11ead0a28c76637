//! Who gets in, and who does not.

use secrecy::SecretString;

use super::super::routes;
use super::*;

/// The path with something in place of its parameters.
fn filled(path: &str) -> String {
    path.replace("{id}", "1")
        .replace("{name}", "order.in.toml")
        .replace("{shop}", "main")
        .replace("{table}", "journal")
        .replace("{object}", "product")
        .replace("{turn}", "stop")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_asks_for_the_role_that_it_declares() {
    let rig = Rig::new().await;
    rig.problem("1042", "No tax of 21 %.").await;
    let nobody = rig.browser();
    for page in routes::table() {
        let path = filled(page.path);
        let answer = match page.method {
            "get" => nobody.get(&path).await,
            _ => nobody.post(&path, &[("form_token", "x")]).await,
        };
        let what = format!("{} {path} without a session: {}", page.method, answer.text);
        match (page.needs, page.method) {
            (None, _) => assert!(answer.status == 200 || answer.text.contains("wrong"), "{what}"),
            (Some(_), "get") => {
                assert_eq!(answer.status, 303, "{what}");
                assert!(answer.location.unwrap().starts_with("/login"), "{what}");
            }
            (Some(_), _) => assert_eq!(answer.status, 401, "{what}"),
        }
        for role in Role::ALL {
            let browser = rig.logged_in(role.as_str()).await;
            let token = browser.token().await;
            let answer = match page.method {
                "get" => browser.get(&path).await,
                _ => browser.post(&path, &[("form_token", &token)]).await,
            };
            let what = format!(
                "{} {path} as {role}: {} {}",
                page.method, answer.status, answer.text
            );
            let may = page.needs.is_none_or(|needed| role.may(needed));
            let is_refused = answer.status == 403 && answer.text.contains("This needs the role");
            assert_eq!(is_refused, !may, "{what}");
            if may && page.needs.is_some() {
                assert_ne!(answer.status, 401, "{what}");
                let leads_out = answer.location.as_deref() == Some("/login");
                assert_eq!(leads_out, path == "/logout", "{what}");
            }
        }
    }
    // The style sheet is the only thing for everybody.
    assert_eq!(nobody.get(super::super::view::STYLE_PATH).await.status, 200);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_account_there_is_only_how_to_make_one() {
    let rig = Rig::with(&text("")).await;
    for page in routes::table() {
        let path = filled(page.path);
        let answer = match page.method {
            "get" => rig.browser().get(&path).await,
            _ => rig.browser().post(&path, &[]).await,
        };
        assert!(answer.text.contains("user add NAME"), "{path}: {}", answer.text);
    }
    // The first account counts without a restart.
    rig.save(&text(&users())).await;
    rig.logged_in("admin").await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_of_another_place_does_nothing() {
    let rig = Rig::new().await;
    let job = rig.problem("1042", "No tax of 21 %.").await;
    let mut browser = rig.logged_in("operator").await;
    let path = format!("/jobs/{job}/retry");
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
    let other = rig.logged_in("operator").await.token().await;
    assert_ne!(token, other);
    for wrong in [None, Some(""), Some(other.as_str()), Some(&token[1..])] {
        let mut fields = vec![("seen", seen.as_str())];
        fields.extend(wrong.map(|wrong| ("form_token", wrong)));
        let answer = browser.post(&path, &fields).await;
        assert_eq!(answer.status, 403, "{wrong:?}: {}", answer.text);
    }
    let host = rig.daemon.admin_addr.to_string();
    let good = [("form_token", token.as_str()), ("seen", seen.as_str())];
    for headers in [
        vec![("sec-fetch-site", "cross-site".to_owned())],
        vec![("sec-fetch-site", "same-site".to_owned())],
        vec![("origin", "https://evil.example".to_owned())],
        vec![("origin", "null".to_owned())],
        vec![("origin", format!("https://{host}"))],
        vec![
            ("host", "evil.example".to_owned()),
            ("origin", "http://evil.example".to_owned()),
        ],
    ] {
        browser.headers.clone_from(&headers);
        assert_eq!(browser.post(&path, &good).await.status, 403, "{headers:?}");
        let mut stranger = rig.browser();
        stranger.headers.clone_from(&headers);
        let answer = stranger.log_in("admin", PASSWORD).await;
        assert_eq!((answer.status, answer.set_cookie), (403, None), "{headers:?}");
    }
    // Whatever an address says, nothing of ours is shown under a name that somebody else made point here.
    browser.headers = vec![("host", "evil.example".to_owned())];
    assert_eq!(browser.get("/jobs").await.status, 403);
    let story = rig.store.job(job).await.unwrap().unwrap();
    assert_eq!(
        story.job.updated_at.millis().to_string(),
        seen,
        "nothing was done"
    );
    browser.headers.clear();
    let answer = browser.post(&path, &good).await;
    assert_eq!(answer.status, 303, "{}", answer.text);
    assert!(answer.location.unwrap().ends_with("notice=retried"));
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_new_at_each_log_in_and_over_after_the_last() {
    let rig = Rig::new().await;
    // Somebody else's cookie is no session, and does not become one.
    let planted = "a".repeat(64);
    let mut browser = rig.browser();
    browser.cookie = Some(planted.clone());
    assert_eq!(browser.get("/").await.status, 303);
    browser.log_in("viewer", PASSWORD).await;
    let first = browser.clone();
    assert_ne!(first.cookie.as_deref(), Some(planted.as_str()));
    assert_eq!(first.get("/").await.status, 200);
    let mut old = rig.browser();
    old.cookie = Some(planted);
    assert_eq!(old.get("/").await.status, 303);
    // Logged in again, the session before is over.
    browser.log_in("operator", PASSWORD).await;
    assert_ne!(first.cookie, browser.cookie);
    assert_eq!(first.get("/").await.status, 303);
    // The store knows no cookie.
    let known = rig.store.session(browser.cookie.as_ref().unwrap()).await.unwrap();
    assert_eq!(known, None);
    // Logged out, the cookie is taken back and worth nothing.
    let token = browser.token().await;
    let answer = browser.post("/logout", &[("form_token", &token)]).await;
    assert!(answer.set_cookie.unwrap().contains("Max-Age=0"));
    assert_eq!(browser.get("/").await.status, 303);
    // An account that is gone, or has another password, is out at once; another role counts at once.
    let admin = rig.logged_in("admin").await;
    let viewer = rig.logged_in("viewer").await;
    let operator = rig.logged_in("operator").await;
    let hash = hash_password(&SecretString::from("another horse".to_owned()), [8; 16]).unwrap();
    let changed = text(&format!(
        "[admin.users.viewer]\nrole = 'viewer'\npassword_hash = '{hash}'\n[admin.users.operator]{}",
        users()
            .split("[admin.users.operator]")
            .nth(1)
            .unwrap()
            .split('[')
            .next()
            .unwrap()
    ));
    rig.save(&changed.replace("'operator'", "'viewer'")).await;
    assert_eq!(admin.get("/").await.status, 303);
    assert_eq!(viewer.get("/").await.status, 303);
    assert_eq!(operator.get("/").await.status, 200);
    let token = operator.token().await;
    let answer = operator.post("/jobs/1/retry", &[("form_token", &token)]).await;
    assert_eq!(answer.status, 403);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_ends_when_nobody_is_there_and_at_the_end_of_the_day() {
    let rig = Rig::new().await;
    let idle = rig.logged_in("viewer").await;
    let busy = rig.logged_in("viewer").await;
    for _ in 0..14 {
        rig.clock.advance(minutes(50));
        assert_eq!(busy.get("/jobs").await.status, 200);
    }
    assert_eq!(idle.get("/jobs").await.status, 303);
    rig.clock.advance(minutes(21));
    assert_eq!(busy.get("/jobs").await.status, 303, "twelve hours are enough");
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn guessing_passwords_gets_slow_and_tells_nothing() {
    let rig = Rig::new().await;
    let mut answers = Vec::new();
    for name in ["admin", "nobody"] {
        for _ in 0..5 {
            let answer = rig.browser().log_in(name, "wrong horse").await;
            assert_eq!((answer.status, answer.set_cookie), (401, None));
            answers.push(answer.text.replace(name, "NAME"));
        }
        // Now the right one does not help either.
        let answer = rig.browser().log_in(name, PASSWORD).await;
        assert_eq!(answer.status, 429, "{}", answer.text);
        assert!(answer.headers.contains_key("retry-after"));
    }
    assert!(
        answers.iter().all(|one| *one == answers[0]),
        "the same words for all names"
    );
    // Others are not locked out, and the account is not for long.
    rig.logged_in("viewer").await;
    rig.clock.advance(Duration::from_secs(16));
    rig.logged_in("admin").await;
    // Forty at once are no way around it.
    let mut tries = Vec::new();
    for n in 0..40 {
        let mut browser = rig.browser();
        let password = if n == 39 { PASSWORD } else { "wrong horse" };
        tries.push(async move { browser.log_in("operator", password).await.status });
    }
    let statuses = futures_util::future::join_all(tries).await;
    let compared = statuses.iter().filter(|status| **status != 429).count();
    assert!(compared <= 6, "{statuses:?}");
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_tls_cookies_are_for_tls() {
    let behind = text(&users()).replace("[admin]\n", "[admin]\nbehind_tls = true\n");
    let rig = Rig::with(&behind).await;
    let mut browser = rig.browser();
    browser.headers = vec![
        ("host", "console.example.com".to_owned()),
        ("origin", "https://console.example.com".to_owned()),
    ];
    let answer = browser.log_in("admin", PASSWORD).await;
    let cookie = answer.set_cookie.unwrap();
    assert!(
        cookie.starts_with("__Host-lockstep=") && cookie.contains("; Secure"),
        "{cookie}"
    );
    browser.headers = vec![
        ("host", "console.example.com".to_owned()),
        ("origin", "http://console.example.com".to_owned()),
    ];
    assert_eq!(browser.log_in("admin", PASSWORD).await.status, 403);
    rig.stop().await;
}
