//! Who may see a page or do what it offers. Every page is behind this.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::http::header::{HOST, ORIGIN};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Redirect, Response};
use sha2::{Digest as _, Sha256};

use super::error::{Refusal, refuse};
use super::session::Visitor;
use super::view::{self, percent_encoded};
use super::{Console, login};
use crate::app::api::auth;
use crate::config::Config;
use crate::domain::Role;

/// No form of ours is longer.
const LONGEST_FORM_BYTES: usize = 64 * 1024;

/// What stands in front of one page.
#[derive(Clone, Debug)]
pub(super) struct Gate {
    pub(super) console: Arc<Console>,
    pub(super) needs: Option<Role>,
    /// Whether the page does something instead of showing something.
    pub(super) changes: bool,
}

pub(super) async fn enter(State(gate): State<Gate>, mut request: Request, next: Next) -> Response {
    let config = Arc::clone(&gate.console.api.config.borrow());
    if !names_us(&config, gate.console.api.is_local, request.headers()) {
        return refuse(None, Refusal::OtherHost);
    }
    if config.admin.users.is_empty() {
        return login::nobody_yet(&config);
    }
    if !gate.console.api.is_local && !config.admin.behind_tls {
        return refuse(None, Refusal::Unencrypted);
    }
    if gate.changes && !comes_from_our_page(&config, request.headers()) {
        return refuse(None, Refusal::OtherOrigin);
    }
    let Some(needed) = gate.needs else {
        return next.run(request).await;
    };
    let visitor = match gate.console.visitor(&config, request.headers()).await {
        Ok(Some(visitor)) => visitor,
        Ok(None) if !gate.changes => return to_login(&request),
        Ok(None) => return refuse(None, Refusal::LoggedOut),
        Err(error) => return refuse(None, Refusal::store(&error)),
    };
    if !visitor.role.may(needed) {
        return refuse(Some(&visitor), Refusal::NotAllowed(needed));
    }
    if gate.changes {
        request = match with_token(request, &visitor).await {
            Ok(request) => request,
            Err(refusal) => return refuse(Some(&visitor), refusal),
        };
    }
    request.extensions_mut().insert(visitor);
    next.run(request).await
}

/// The log-in page, which leads back to where the person wanted to go.
fn to_login(request: &Request) -> Response {
    let wanted = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let target = if wanted == "/" {
        "/login".to_owned()
    } else {
        format!("/login?next={}", percent_encoded(wanted))
    };
    Redirect::to(&target).into_response()
}

/// On this machine the address must be one of this machine's: a name that somebody else made point here (DNS rebinding)
/// would let their page read ours. Behind TLS the proxy sees to names.
fn names_us(config: &Config, is_local: bool, headers: &HeaderMap) -> bool {
    let host = headers
        .get(HOST)
        .and_then(|host| host.to_str().ok())
        .unwrap_or_default();
    !is_local || config.admin.behind_tls || auth::is_this_machine(host)
}

/// Whether a form was sent by one of our own pages, as far as the browser tells. Browsers tell one of both; what is no
/// browser needs the session's token all the same.
fn comes_from_our_page(config: &Config, headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    if let Some(site) = text("sec-fetch-site") {
        return site == "same-origin";
    }
    let scheme = if config.admin.behind_tls { "https" } else { "http" };
    let host = text(HOST.as_str()).unwrap_or_default();
    text(ORIGIN.as_str()).is_none_or(|origin| origin == format!("{scheme}://{host}"))
}

/// The request, if its form shows the session's token.
async fn with_token(request: Request, visitor: &Visitor) -> Result<Request, Refusal> {
    let (parts, body) = request.into_parts();
    let bytes = axum::body::to_bytes(body, LONGEST_FORM_BYTES)
        .await
        .map_err(|_| Refusal::TooLarge)?;
    let fields: Vec<(String, String)> = view::form_fields(&bytes);
    let shown = fields.iter().find(|(name, _)| name == view::FORM_TOKEN);
    let is_right = shown.is_some_and(|(_, shown)| is_same(shown, &visitor.form_token));
    if !is_right {
        return Err(Refusal::StaleForm);
    }
    Ok(Request::from_parts(parts, Body::from(bytes)))
}

/// Compares hashes of both, so that how long it takes tells nothing.
fn is_same(shown: &str, ours: &str) -> bool {
    Sha256::digest(shown) == Sha256::digest(ours)
}
