//! `POST /jsonrpc`: the services `common` and `object`.

use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::{Method, Request};
use serde_json::{Value as Json, json};

use super::calls::{Arguments, Call, Caller, Outcome, service_fault};
use super::error::OdooError;
use super::http::{self, MOST_BYTES, Reply, Server};
use super::pages;
use super::system::lock;
use super::value::Map;

pub(super) async fn handle(State(server): State<Server>, request: Request<Body>) -> Reply {
    let before_19 = server.shared.sys.options.version.before_19();
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
    if http::media_type(request.headers()) != "application/json" {
        return if before_19 {
            http::page(
                400,
                pages::plain(400, "Bad Request", "Function only accepts requests of type json"),
            )
        } else {
            http::page(
                415,
                pages::plain(
                    415,
                    "Unsupported Media Type",
                    "Request inferred type is compatible with 'http' but the route is type='jsonrpc'.",
                ),
            )
        };
    }
    let Ok(bytes) = to_bytes(request.into_body(), MOST_BYTES).await else {
        return answer(&server, &Json::Null, Outcome::Failed(OdooError::too_large()));
    };
    let Ok(Json::Object(envelope)) = serde_json::from_slice::<Json>(&bytes) else {
        return http::page(400, pages::plain(400, "Bad Request", "Invalid JSON-RPC data"));
    };
    let id = envelope.get("id").cloned().unwrap_or(Json::Null);
    let params = envelope
        .get("params")
        .and_then(Json::as_object)
        .cloned()
        .unwrap_or_default();
    let outcome = serve(&server, &params).await;
    answer(&server, &id, outcome)
}

async fn serve(server: &Server, params: &Map) -> Outcome {
    let text = |name: &str| params.get(name).and_then(Json::as_str).unwrap_or_default();
    let args = params
        .get("args")
        .and_then(Json::as_array)
        .cloned()
        .unwrap_or_default();
    match (text("service"), text("method")) {
        ("common", method) => common(server, method, &args).await,
        ("object", method @ ("execute_kw" | "execute")) => object(server, method, args).await,
        (service, method) => Outcome::Failed(OdooError::access(format!(
            "Method not available: {service}.{method}"
        ))),
    }
}

async fn common(server: &Server, method: &str, args: &[Json]) -> Outcome {
    let shared = &server.shared;
    match method {
        "version" => lock(&shared.counters).versions += 1,
        "authenticate" | "login" => lock(&shared.counters).authentications += 1,
        _ => {}
    }
    if let Some(outcome) = service_fault(shared, "common", method).await {
        return outcome;
    }
    let version = shared.sys.options.version;
    match method {
        "version" => {
            let series = http::series(version);
            Outcome::Done(Some(json!({
                "server_version": format!("{series}-20250421"),
                "server_version_info": http::version_info(version),
                "server_serie": series,
                "protocol_version": 1,
            })))
        }
        "authenticate" | "login" => {
            tokio::time::sleep(shared.sys.options.authenticate_latency).await;
            let text = |at: usize| args.get(at).and_then(Json::as_str).unwrap_or_default();
            if shared.faults.is_postgres_down() {
                return Outcome::NoDatabase;
            }
            if text(0) != shared.sys.options.database {
                return Outcome::Failed(OdooError::no_database(text(0)));
            }
            let uid = shared.authenticate(text(1), text(2));
            Outcome::Done(Some(uid.map_or(Json::Bool(false), |uid| json!(uid))))
        }
        _ => Outcome::Failed(OdooError::attribute(format!("Method not found: {method}"))),
    }
}

async fn object(server: &Server, method: &str, args: Vec<Json>) -> Outcome {
    let mut args = args.into_iter();
    let mut next = || args.next().unwrap_or(Json::Null);
    let (database, uid, secret, model, name) = (next(), next(), next(), next(), next());
    let text = |json: &Json| json.as_str().unwrap_or_default().to_owned();
    let database = text(&database);
    let shared = &server.shared;
    let arguments = if method == "execute" {
        Arguments::Positional(args.collect(), Map::new())
    } else {
        let positional = next().as_array().cloned().unwrap_or_default();
        let named = next().as_object().cloned().unwrap_or_default();
        Arguments::Positional(positional, named)
    };
    if shared.faults.is_postgres_down() {
        return Outcome::NoDatabase;
    }
    if database != shared.sys.options.database {
        return Outcome::Failed(OdooError::no_database(&database));
    }
    let caller = Caller::Secret {
        uid: uid.as_i64().unwrap_or_default(),
        secret: text(&secret),
    };
    let call = Call {
        caller,
        model: text(&model),
        method: text(&name),
        arguments,
    };
    http::run_detached(server, call).await
}

/// Wraps an outcome: errors are HTTP 200 too, and a method that returns nothing has neither result nor error.
fn answer(server: &Server, id: &Json, outcome: Outcome) -> Reply {
    let outcome = match http::outside_protocol(outcome) {
        Ok(reply) => return reply,
        Err(outcome) => outcome,
    };
    let mut envelope = Map::from_iter([
        ("jsonrpc".to_owned(), json!("2.0")),
        ("id".to_owned(), id.clone()),
    ]);
    let error = match outcome {
        Outcome::Done(result) => {
            envelope.extend(result.map(|result| ("result".to_owned(), result)));
            return http::json_reply(200, &Json::Object(envelope));
        }
        Outcome::Failed(error) => error,
        _ => OdooError::postgres_down(),
    };
    let code = if server.shared.sys.options.version.before_19() {
        200
    } else {
        0
    };
    envelope.insert(
        "error".to_owned(),
        json!({"code": code, "message": "Odoo Server Error", "data": exception(&error)}),
    );
    http::json_reply(200, &Json::Object(envelope))
}

/// An exception as both protocols show it. The traceback is what must never be passed on.
pub(super) fn exception(error: &OdooError) -> Json {
    json!({
        "name": error.name,
        "message": error.message,
        "arguments": [error.message],
        "context": {},
        "debug": format!(
            "Traceback (most recent call last):\n  File \"/usr/lib/python3/dist-packages/odoo/http.py\", line 1963, in _transactioning\n{}: {}\n",
            error.name, error.message
        ),
    })
}
