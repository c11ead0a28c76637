//! The shop's HTTP side on loopback.
//!
//! hyper is driven by hand rather than through `axum::serve`, because a fault may demand that a connection is closed
//! without an answer.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use hyper_util::rt::TokioIo;
use serde_json::{Value as Json, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;
use uuid::Uuid;

use super::bulk::BulkFile;
use super::faults::ApiFault;
use super::graphql;
use super::sandbox::Inner;

/// A server that runs until it is stopped.
pub(super) struct Running {
    pub(super) address: SocketAddr,
    stop: CancellationToken,
    tracker: TaskTracker,
}

impl Running {
    /// Binds loopback and serves.
    pub(super) async fn start(inner: Arc<Inner>, port: u16) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        let address = listener.local_addr()?;
        let (stop, tracker) = (CancellationToken::new(), TaskTracker::new());
        let router = Router::new()
            .route("/admin/api/{version}/graphql.json", post(graphql_endpoint))
            .route("/admin/oauth/access_token", post(token_endpoint))
            .route("/results/{id}/bulk.jsonl", get(bulk_endpoint))
            .fallback(|| async { errors_text(StatusCode::NOT_FOUND, "Not Found") })
            .with_state(inner);
        tracker.spawn(accept(listener, router, stop.clone(), tracker.clone()));
        Ok(Self {
            address,
            stop,
            tracker,
        })
    }

    /// Closes the port and all connections.
    pub(super) async fn stop(self) {
        self.stop.cancel();
        self.tracker.close();
        self.tracker.wait().await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn accept(listener: TcpListener, router: Router, stop: CancellationToken, tracker: TaskTracker) {
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                // A connection that was gone before it was taken.
                Err(_) => continue,
            },
            () = stop.cancelled() => return,
        };
        let (router, stop) = (router.clone(), stop.clone());
        tracker.spawn(async move {
            // Small answers go out at once.
            let _ = stream.set_nodelay(true);
            let service = hyper::service::service_fn(move |request: Request<hyper::body::Incoming>| {
                let router = router.clone();
                async move {
                    let response = match router.oneshot(request.map(Body::new)).await {
                        Ok(response) => response,
                        Err(never) => {
                            let never: Infallible = never;
                            match never {}
                        }
                    };
                    if response.extensions().get::<Cut>().is_some() {
                        Err(Cut)
                    } else {
                        Ok(response)
                    }
                }
            });
            let connection =
                hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            tokio::select! {
                // Ends with an error when the peer or a fault closes the connection: nothing to do about it.
                _ = connection => {}
                () = stop.cancelled() => {}
            }
        });
    }
}

/// Marks an answer that shall not be sent.
#[derive(Clone, Copy, Debug)]
struct Cut;

impl std::fmt::Display for Cut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the connection is cut on demand")
    }
}

impl std::error::Error for Cut {}

fn cut() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    response.extensions_mut().insert(Cut);
    response
}

/// `{"errors": "text"}`, as the API answers outside of GraphQL.
fn errors_text(status: StatusCode, text: &str) -> Response<Body> {
    (status, axum::Json(json!({"errors": text}))).into_response()
}

fn html(status: StatusCode) -> Response<Body> {
    let page = format!("<!DOCTYPE html><html><body><h1>{status}</h1></body></html>");
    (status, [(header::CONTENT_TYPE, "text/html; charset=utf-8")], page).into_response()
}

const UNAUTHORIZED: &str = "[API] Invalid API key or access token (unrecognized login or wrong password)";

async fn graphql_endpoint(
    State(inner): State<Arc<Inner>>,
    Path(version): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let request_id = Uuid::new_v4().to_string();
    let (mut response, served) = graphql_answer(&inner, &version, &headers, &body, &request_id).await;
    let headers = response.headers_mut();
    for (name, value) in [("X-Request-Id", &request_id), ("X-Shopify-API-Version", &served)] {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    }
    response
}

async fn graphql_answer(
    inner: &Inner,
    version: &str,
    headers: &HeaderMap,
    body: &[u8],
    request_id: &str,
) -> (Response<Body>, String) {
    let Some(served) = inner.served_version(version) else {
        return (
            errors_text(StatusCode::NOT_FOUND, "Not Found"),
            version.to_owned(),
        );
    };
    let request: Result<graphql::Request, _> = serde_json::from_slice(body);
    let name = request.as_ref().map(graphql::Request::name).unwrap_or_default();
    let fault = inner.next_api_fault(&name);
    if let Some(ApiFault::Slow(time)) = &fault {
        tokio::time::sleep(*time).await;
    }
    if let Some(refusal) = fault.as_ref().and_then(|f| refusal(f, request_id)) {
        return (refusal, served);
    }
    let token = headers
        .get("X-Shopify-Access-Token")
        .and_then(|t| t.to_str().ok());
    if !inner.admits(token) {
        return (errors_text(StatusCode::UNAUTHORIZED, UNAUTHORIZED), served);
    }
    let is_json = headers
        .get(header::CONTENT_TYPE)
        .and_then(|t| t.to_str().ok())
        .is_some_and(|t| t.starts_with("application/json"));
    let request = match request {
        Ok(request) if is_json => request,
        _ => return (errors_text(StatusCode::BAD_REQUEST, "Bad Request"), served),
    };
    let mut answer = inner.graphql(&request);
    match fault {
        Some(ApiFault::CutAfter) => return (cut(), served),
        Some(ApiFault::PartialData) => spoil(&mut answer, request_id),
        Some(ApiFault::TokensEnd) => inner.revoke_tokens(),
        _ => {}
    }
    (axum::Json(answer).into_response(), served)
}

/// The answer of a fault that does not let the request through.
fn refusal(fault: &ApiFault, request_id: &str) -> Option<Response<Body>> {
    let plain = |status: u16, text: &str| {
        errors_text(
            StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            text,
        )
    };
    Some(match fault {
        ApiFault::Unauthorized => plain(401, UNAUTHORIZED),
        ApiFault::Frozen => plain(402, "Unavailable Shop"),
        ApiFault::Forbidden => plain(403, "[API] This action requires merchant approval."),
        ApiFault::NotFound => plain(404, "Not Found"),
        ApiFault::Locked => plain(423, "Locked"),
        ApiFault::TooManyRequests(seconds) => {
            let mut response = plain(429, "Exceeded 2 calls per second for api client.");
            if let Ok(value) = HeaderValue::from_str(&format!("{seconds:.1}")) {
                response.headers_mut().insert(header::RETRY_AFTER, value);
            }
            response
        }
        ApiFault::SecurityRejection => plain(430, "Shopify Security Rejection"),
        ApiFault::HtmlError(status) => html(StatusCode::from_u16(*status).unwrap_or(StatusCode::BAD_GATEWAY)),
        ApiFault::Throttled => axum::Json(json!({
            "errors": [{"message": "Throttled", "extensions": {"code": "THROTTLED",
                "documentation": "https://shopify.dev/api/usage/rate-limits"}}],
            "extensions": {"cost": {"requestedQueryCost": 100, "actualQueryCost": null, "throttleStatus":
                {"maximumAvailable": 2000.0, "currentlyAvailable": 0, "restoreRate": 100.0}}},
        }))
        .into_response(),
        ApiFault::InternalError => {
            axum::Json(json!({"errors": [internal_error(request_id)], "data": null})).into_response()
        }
        ApiFault::Garbage => (
            StatusCode::OK,
            [(header::CONTENT_TYPE, "application/json")],
            "{\"data\": {\"ord",
        )
            .into_response(),
        ApiFault::CutBefore => cut(),
        ApiFault::CutAfter | ApiFault::PartialData | ApiFault::TokensEnd | ApiFault::Slow(_) => return None,
    })
}

fn internal_error(request_id: &str) -> Json {
    json!({
        "message": format!("Internal error. Looks like something went wrong on our end. Request ID: {request_id} (include this in support requests)."),
        "extensions": {"code": "INTERNAL_SERVER_ERROR", "requestId": request_id},
    })
}

/// The first root field is lost.
fn spoil(answer: &mut Json, request_id: &str) {
    let mut error = internal_error(request_id);
    if let Some((name, value)) = answer["data"].as_object_mut().and_then(|d| d.iter_mut().next()) {
        *value = Json::Null;
        error["path"] = json!([name]);
    }
    answer["errors"] = json!([error]);
}

/// The service that keeps the results of bulk operations: whoever knows the address may read, and a token of the shop has
/// no business there.
async fn bulk_endpoint(
    State(inner): State<Arc<Inner>>,
    Path(id): Path<u64>,
    headers: HeaderMap,
) -> Response<Body> {
    if headers.contains_key("X-Shopify-Access-Token") || headers.contains_key(header::AUTHORIZATION) {
        return (
            StatusCode::BAD_REQUEST,
            "<Error><Code>InvalidRequest</Code></Error>",
        )
            .into_response();
    }
    let broken_off = |bytes: Vec<u8>, end: BoxStream<'static, Result<Bytes, Cut>>| {
        let start = futures_util::stream::once(async { Ok(Bytes::from(bytes)) });
        Response::new(Body::from_stream(start.chain(end)))
    };
    match inner.bulk_file(id) {
        BulkFile::Refused(status) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::FORBIDDEN);
            (status, "<Error><Code>ExpiredToken</Code></Error>").into_response()
        }
        BulkFile::Whole(bytes) => ([(header::CONTENT_TYPE, "application/jsonl")], bytes).into_response(),
        BulkFile::Broken(bytes) => broken_off(bytes, futures_util::stream::once(async { Err(Cut) }).boxed()),
        BulkFile::Silent(bytes) => broken_off(bytes, futures_util::stream::pending().boxed()),
    }
}

/// The client credentials grant, as form or JSON.
async fn token_endpoint(State(inner): State<Arc<Inner>>, headers: HeaderMap, body: Bytes) -> Response<Body> {
    if let Some(fault) = inner.next_api_fault("access_token") {
        if let ApiFault::Slow(time) = fault {
            tokio::time::sleep(time).await;
        } else if let Some(response) = refusal(&fault, "token") {
            return response;
        }
    }
    let is_json = headers
        .get(header::CONTENT_TYPE)
        .and_then(|t| t.to_str().ok())
        .is_some_and(|t| t.starts_with("application/json"));
    let fields: Json = if is_json {
        serde_json::from_slice(&body).unwrap_or_default()
    } else {
        let pairs = body.split(|b| *b == b'&').filter_map(|pair| {
            let text = std::str::from_utf8(pair).ok()?;
            let (name, value) = text.split_once('=')?;
            Some((name.to_owned(), Json::from(decode(value))))
        });
        Json::Object(pairs.collect())
    };
    let text = |name: &str| fields[name].as_str().unwrap_or_default();
    if text("grant_type") != "client_credentials" {
        let body =
            json!({"error": "unsupported_grant_type", "error_description": "grant type is not supported"});
        return (StatusCode::BAD_REQUEST, axum::Json(body)).into_response();
    }
    let Some((token, scope, seconds)) = inner.grant(text("client_id"), text("client_secret")) else {
        let body = json!({"error": "invalid_client", "error_description": "client id or secret is wrong"});
        return (StatusCode::UNAUTHORIZED, axum::Json(body)).into_response();
    };
    axum::Json(json!({"access_token": token, "scope": scope, "expires_in": seconds})).into_response()
}

/// Percent-decoding of a form value.
fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        match (first, tail) {
            (b'+', _) => bytes.push(b' '),
            (b'%', [a, b, after @ ..]) => {
                let hex = std::str::from_utf8(&[*a, *b])
                    .ok()
                    .and_then(|h| u8::from_str_radix(h, 16).ok());
                bytes.push(hex.unwrap_or(b'%'));
                if hex.is_some() {
                    rest = after;
                }
            }
            (byte, _) => bytes.push(*byte),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
