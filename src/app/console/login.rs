//! Logging in and out.

use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::header::{RETRY_AFTER, SET_COOKIE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Redirect, Response};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::Semaphore;

use super::Console;
use super::error::{Refusal, refuse};
use super::session::{Visitor, set_cookie};
use super::view::{Frame, field, form_fields, page, span};
use crate::config::Config;
use crate::http;

/// Compared where there is no such account, so that it takes as long: the hash of nothing that anybody has.
const NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$bG9ja3N0ZXAtbm9ib2R5$Sn5Xc6dCDaMJ3vGkBEqO0RmXxHc2oBzVZ9ytQ5iLdDo";

#[derive(Template)]
#[template(path = "login.html", config = ".config/askama.toml")]
struct LoginPage {
    frame: Frame,
    name: String,
    next: String,
    wrong: Option<String>,
}

#[derive(Template)]
#[template(path = "nobody.html", config = ".config/askama.toml")]
struct NobodyPage {
    frame: Frame,
    path: String,
}

/// Without an account there is nothing to see but how to make one.
pub(super) fn nobody_yet(config: &Config) -> Response {
    let shown = NobodyPage {
        frame: Frame::new("No account yet", "", None),
        path: config.path.display().to_string(),
    };
    page(StatusCode::OK, &shown)
}

/// Only pages of ours: anything else would lead to another place after a log-in here.
fn safe_next(next: Option<&str>) -> String {
    next.filter(|next| {
        next.starts_with('/')
            && !next.starts_with("//")
            && !next.contains('\\')
            && next.bytes().all(|byte| byte.is_ascii_graphic())
    })
    .unwrap_or("/")
    .to_owned()
}

pub(super) async fn form(
    State(console): State<Arc<Console>>,
    query: RawQuery,
    headers: HeaderMap,
) -> Response {
    let config = Arc::clone(&console.api.config.borrow());
    let fields = form_fields(query.0.unwrap_or_default().as_bytes());
    let next = safe_next(field(&fields, "next"));
    if let Ok(Some(_)) = console.visitor(&config, &headers).await {
        return Redirect::to(&next).into_response();
    }
    let shown = LoginPage {
        frame: Frame::new("Log in", "", None),
        name: String::new(),
        next,
        wrong: None,
    };
    page(StatusCode::OK, &shown)
}

pub(super) async fn log_in(State(console): State<Arc<Console>>, headers: HeaderMap, body: Bytes) -> Response {
    let config = Arc::clone(&console.api.config.borrow());
    let fields = form_fields(&body);
    let name = field(&fields, "name").unwrap_or_default().to_owned();
    let next = safe_next(field(&fields, "next"));
    // A password may begin or end with a space.
    let password = fields.iter().find(|(key, _)| key == "password");
    let password = SecretString::from(password.map(|(_, value)| value.clone()).unwrap_or_default());
    let refused = |status, wrong: String| {
        let shown = LoginPage {
            frame: Frame::new("Log in", "", None),
            name: name.chars().take(40).collect(),
            next: next.clone(),
            wrong: Some(wrong),
        };
        page(status, &shown)
    };
    if let Err(wait) = console.guard.attempt(
        &name,
        config.admin.users.contains_key(&name),
        console.api.clock.now(),
    ) {
        tracing::warn!("log-ins to the console pause after too many wrong passwords");
        let text = format!("Too many wrong passwords. Wait {}, then try again.", span(wait));
        let mut response = refused(StatusCode::TOO_MANY_REQUESTS, text);
        response
            .headers_mut()
            .insert(RETRY_AFTER, wait.as_secs().saturating_add(1).into());
        return response;
    }
    let known = config.admin.users.get(&name);
    let hash = known
        .map_or(NOBODY, |user| user.password_hash.expose_secret())
        .to_owned();
    let is_right = compare(&console.guard.turns, hash.clone(), password).await && known.is_some();
    if !is_right {
        tracing::warn!("a log-in to the console was refused");
        let text = "The name or the password is wrong.".to_owned();
        return refused(StatusCode::UNAUTHORIZED, text);
    }
    console.guard.right(&name);
    match console.begin(&config, &name, &hash, &headers).await {
        Ok(cookie) => {
            tracing::info!(account = %name, "logged in to the console");
            let mut response = Redirect::to(&next).into_response();
            if let Some(cookie) = set_cookie(config.admin.behind_tls, Some(&cookie)) {
                response.headers_mut().insert(SET_COOKIE, cookie);
            }
            response
        }
        Err(error) => refuse(None, Refusal::store(&error)),
    }
}

/// A few at a time, on a thread that serves nobody else.
async fn compare(turns: &Arc<Semaphore>, hash: String, password: SecretString) -> bool {
    let Ok(turn) = Arc::clone(turns).acquire_owned().await else {
        return false;
    };
    // The turn ends with the comparison: who hangs up meanwhile does not make room for one more.
    let compared = tokio::task::spawn_blocking(move || {
        let is_right = http::is_password(&hash, &password);
        drop(turn);
        is_right
    });
    compared.await.unwrap_or(false)
}

pub(super) async fn log_out(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
) -> Response {
    if let Err(error) = console.api.store.close_session(&visitor.session).await {
        return refuse(Some(&visitor), Refusal::store(&error));
    }
    let behind_tls = console.api.config.borrow().admin.behind_tls;
    let mut response = Redirect::to("/login").into_response();
    if let Some(cookie) = set_cookie(behind_tls, None) {
        response.headers_mut().insert(SET_COOKIE, cookie);
    }
    response
}

#[cfg(test)]
mod tests {
    use std::task::Poll;

    use super::*;

    #[test]
    fn a_log_in_leads_to_no_other_place() {
        for (next, expected) in [
            (Some("/jobs?state=problem"), "/jobs?state=problem"),
            (None, "/"),
            (Some("https://evil.example"), "/"),
            (Some("//evil.example"), "/"),
            (Some("/\\evil.example"), "/"),
            (Some("/a\r\nSet-Cookie: x"), "/"),
            (Some("javascript:alert(1)"), "/"),
        ] {
            assert_eq!(safe_next(next), expected);
        }
    }

    #[tokio::test]
    async fn who_hangs_up_makes_no_room_until_the_comparison_ends() {
        let turns = Arc::new(Semaphore::new(1));
        let password = SecretString::from("a guess".to_owned());
        let mut attempt = Box::pin(compare(&turns, NOBODY.to_owned(), password));
        let once = std::future::poll_fn(|context| Poll::Ready(attempt.as_mut().poll(context)));
        assert!(once.await.is_pending());
        drop(attempt);
        assert!(turns.try_acquire().is_err(), "the comparison goes on");
        let turn = tokio::time::timeout(std::time::Duration::from_mins(1), turns.acquire()).await;
        drop(turn.expect("it ends").unwrap());
    }

    #[test]
    fn a_name_that_does_not_exist_takes_as_long() {
        assert!(http::is_password_hash(NOBODY));
        assert!(!http::is_password(NOBODY, &SecretString::from(String::new())));
    }
}
