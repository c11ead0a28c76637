//! Routes and replies: what the server says over HTTP, whichever protocol was spoken.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, Response, StatusCode, Uri, header};
use axum::routing::{any, get};
use serde_json::{Value as Json, json};
use tokio_util::sync::CancellationToken;

use super::calls::{Outcome, Shared, service_fault};
use super::options::Version;
use super::{json2, jsonrpc, pages};

/// Larger bodies are refused.
pub(super) const MOST_BYTES: usize = 128 * 1024 * 1024;

/// What every handler gets: the stand-in and the life of this server process.
#[derive(Debug, Clone)]
pub(super) struct Server {
    pub(super) shared: Arc<Shared>,
    pub(super) alive: CancellationToken,
}

/// Marks a reply that is never sent: the connection is closed instead.
#[derive(Debug, Clone, Copy)]
pub(super) struct CutConnection;

pub(super) type Reply = Response<Body>;

pub(super) fn router(server: Server) -> Router {
    Router::new()
        .route("/jsonrpc", any(jsonrpc::handle))
        .route("/json/2/{model}/{method}", any(json2::handle))
        .route("/json/version", get(version))
        .route("/web/version", get(version))
        .route("/web/health", get(health))
        .route("/web/login", any(|| async { page(200, pages::LOGIN.to_owned()) }))
        .fallback(|| async { not_found() })
        .with_state(server)
}

fn not_found() -> Reply {
    page(
        404,
        pages::plain(404, "Not Found", "The requested URL was not found on the server."),
    )
}

/// `/web/version` and `/json/version`: 19 and later.
async fn version(State(server): State<Server>) -> Reply {
    if let Some(outcome) = service_fault(&server.shared, "web", "version").await {
        return failed(outcome);
    }
    let version = server.shared.sys.options.version;
    if version.before_19() {
        return not_found();
    }
    json_reply(
        200,
        &json!({"version_info": version_info(version), "version": series(version)}),
    )
}

/// Alive while PostgreSQL is down, unless asked about PostgreSQL.
async fn health(State(server): State<Server>, uri: Uri) -> Reply {
    if let Some(outcome) = service_fault(&server.shared, "web", "health").await {
        return failed(outcome);
    }
    let asked = uri
        .query()
        .is_some_and(|query| query.split('&').any(|part| part == "db_server_status=1"));
    let down = server.shared.faults.is_postgres_down();
    match (asked, down) {
        (true, true) => json_reply(500, &json!({"status": "fail", "db_server_status": false})),
        (true, false) => json_reply(200, &json!({"status": "pass", "db_server_status": true})),
        (false, _) => json_reply(200, &json!({"status": "pass"})),
    }
}

fn failed(outcome: Outcome) -> Reply {
    outside_protocol(outcome).unwrap_or_else(|_| page(500, pages::plain(500, "Internal Server Error", "")))
}

pub(super) fn series(version: Version) -> String {
    format!("{}.0", version.major())
}

pub(super) fn version_info(version: Version) -> Json {
    json!([version.major(), 0, 0, "final", 0, ""])
}

/// The replies that look the same in every protocol; anything else is given back.
pub(super) fn outside_protocol(outcome: Outcome) -> Result<Reply, Outcome> {
    match outcome {
        Outcome::Cut => {
            let mut reply = Response::new(Body::empty());
            reply.extensions_mut().insert(CutConnection);
            Ok(reply)
        }
        Outcome::Page {
            status,
            html,
            body,
            retry_after,
        } => {
            let mut reply = page(status, body);
            if !html {
                reply.headers_mut().insert(header::CONTENT_TYPE, JSON_TYPE);
            }
            if let Some(seconds) = retry_after {
                reply
                    .headers_mut()
                    .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
            }
            Ok(reply)
        }
        other => Err(other),
    }
}

const JSON_TYPE: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");
const HTML_TYPE: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");

/// An HTML reply.
pub(super) fn page(status: u16, body: String) -> Reply {
    reply(status, HTML_TYPE, Body::from(body))
}

/// A JSON reply.
pub(super) fn json_reply(status: u16, json: &Json) -> Reply {
    reply(status, JSON_TYPE, Body::from(json.to_string()))
}

/// The answer of an older version to routes it does not know: a way to the login page.
pub(super) fn to_login() -> Reply {
    let mut reply = page(
        303,
        pages::plain(303, "See Other", "You should be redirected to /web/login."),
    );
    reply
        .headers_mut()
        .insert(header::LOCATION, HeaderValue::from_static("/web/login"));
    reply
}

fn reply(status: u16, content_type: HeaderValue, body: Body) -> Reply {
    let mut reply = Response::new(body);
    *reply.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = reply.headers_mut();
    headers.insert(header::CONTENT_TYPE, content_type);
    headers.insert(
        header::SERVER,
        HeaderValue::from_static("Werkzeug/3.0.1 Python/3.12.3"),
    );
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    reply
}

/// The media type of a request, without its parameters.
pub(super) fn media_type(headers: &axum::http::HeaderMap) -> String {
    let value = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    value
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase()
}

/// Runs a call apart from its connection: a client that leaves does not stop it.
pub(super) async fn run_detached(server: &Server, call: super::calls::Call) -> Outcome {
    let Server { shared, alive } = server.clone();
    let running = tokio::spawn(async move { super::calls::run(&shared, &alive, call).await });
    running.await.unwrap_or(Outcome::Cut)
}
