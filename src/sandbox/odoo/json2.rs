//! `POST /json/2/{model}/{method}`, from 19 on: named arguments, bare results, errors by status.

use axum::body::{Body, to_bytes};
use axum::extract::{Path, State};
use axum::http::{Method, Request, header};
use serde_json::Value as Json;

use super::calls::{Arguments, Call, Caller, Outcome};
use super::error::OdooError;
use super::http::{self, MOST_BYTES, Reply, Server};
use super::jsonrpc::exception;
use super::pages;
use super::value::Map;

pub(super) async fn handle(
    State(server): State<Server>,
    Path((model, method)): Path<(String, String)>,
    request: Request<Body>,
) -> Reply {
    let options = &server.shared.sys.options;
    if options.version.before_19() {
        return http::to_login();
    }
    if request.method() != Method::POST {
        return http::page(
            405,
            pages::plain(
                405,
                "Method Not Allowed",
                "The method is not allowed for the requested URL.",
            ),
        );
    }
    let headers = request.headers().clone();
    let text = |name: &str| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned)
    };
    // The host leads to the only database when none is named.
    let database = text("x-odoo-database").unwrap_or_else(|| options.database.clone());
    if database != options.database || server.shared.faults.is_postgres_down() {
        return http::page(404, pages::NO_DATABASE.to_owned());
    }
    let key = text(header::AUTHORIZATION.as_str())
        .and_then(|value| value.strip_prefix("Bearer ").map(str::to_owned))
        .unwrap_or_default();
    let media = http::media_type(&headers);
    let Ok(bytes) = to_bytes(request.into_body(), MOST_BYTES).await else {
        return answer(Outcome::Failed(OdooError::too_large()));
    };
    if media != "application/json" && !bytes.is_empty() {
        return http::page(
            415,
            pages::plain(
                415,
                "Unsupported Media Type",
                "Request inferred type is compatible with 'http' but the route is type='json2'.",
            ),
        );
    }
    let body = match serde_json::from_slice::<Json>(&bytes) {
        Ok(Json::Object(body)) => body,
        // A list, or nothing at all, runs without ids.
        Ok(_) => Map::new(),
        Err(_) if bytes.is_empty() => Map::new(),
        Err(_) => return answer(Outcome::Failed(OdooError::bad_request("Invalid JSON data"))),
    };
    let call = Call {
        caller: Caller::Key(key),
        model,
        method,
        arguments: Arguments::Named(body),
    };
    answer(http::run_detached(&server, call).await)
}

fn answer(outcome: Outcome) -> Reply {
    match http::outside_protocol(outcome) {
        Ok(reply) => reply,
        Err(Outcome::Done(result)) => http::json_reply(200, &result.unwrap_or(Json::Null)),
        Err(Outcome::Failed(error)) => {
            // A key that has ended looks like a wrong one.
            let error = if error.class() == "AccessDenied" {
                OdooError::unauthorized()
            } else {
                error
            };
            let mut shown = exception(&error);
            if error.name.starts_with("werkzeug.") {
                shown["arguments"] = serde_json::json!([error.message, error.json2_status()]);
            }
            http::json_reply(error.json2_status(), &shown)
        }
        Err(_) => http::page(404, pages::NO_DATABASE.to_owned()),
    }
}
