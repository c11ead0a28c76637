//! Every way in which Shopify was seen to fail, and what each of them means.

use std::time::Duration;

use serde_json::{Value, json};
use wiremock::ResponseTemplate;

use super::support::{Stage, answer, ok};
use crate::domain::{Disposition, System};
use crate::shopify::ShopifyError;
use crate::shopify::documents::{CUSTOMER, Document, ORDERS_BY_NAME, PROBE};

/// A write, of which this version has none of its own yet.
pub(super) const WRITE: Document = Document {
    name: "Write",
    text: "mutation Write { tagsAdd(id: 1, tags: []) { node { id } userErrors { field message } } }",
    points: 10.0,
    writes: true,
    tells_refusals: false,
    searches: false,
};

pub(super) fn page(status: u16) -> ResponseTemplate {
    ResponseTemplate::new(status).set_body_raw("<html><body>Sign in</body></html>", "text/html")
}

pub(super) fn error(code: &str, message: &str) -> ResponseTemplate {
    ok(&json!({"errors": [{"message": message, "extensions": {"code": code}}]}))
}

pub(super) fn denied(path: &Value, customer: &Value) -> ResponseTemplate {
    ok(&json!({
        "data": {"customer": customer},
        "errors": [{
            "message": "Access denied for phone field.", "path": path,
            "extensions": {
                "code": "ACCESS_DENIED", "documentation": "https://shopify.dev/api/usage/access-scopes",
                "requiredAccess": "`read_customers` access scope.",
            },
        }],
    }))
}

pub(super) async fn outcome(
    stage: &Stage,
    document: &Document,
    answers: Vec<ResponseTemplate>,
) -> Result<Value, ShopifyError> {
    stage.answers(answers);
    stage.shop().client.call(document, &json!({})).await
}

pub(super) fn later(seconds: Option<u64>) -> Disposition {
    Disposition::Transient {
        retry_after: seconds.map(Duration::from_secs),
    }
}

pub(super) fn down(seconds: Option<u64>) -> Disposition {
    Disposition::SystemDown {
        system: System::Shopify,
        retry_after: seconds.map(Duration::from_secs),
    }
}

#[tokio::test]
async fn every_shape_of_failure_is_told_apart() {
    let permanent = Disposition::Permanent;
    let text = |status, text: &str| answer(status, &json!({ "errors": text }));
    let user_errors = |payload: Value| ok(&json!({"data": {"tagsAdd": payload}}));
    let stage = Stage::new().await;
    for (name, document, reply, code, disposition) in [
        // HTTP statuses, with the body as text, list, map, page, or nothing.
        (
            "401 with text",
            &PROBE,
            text(
                401,
                "[API] Invalid API key or access token (unrecognized login or wrong password)",
            ),
            "shopify_credentials_refused",
            down(None),
        ),
        (
            "401 without body",
            &PROBE,
            ResponseTemplate::new(401),
            "shopify_credentials_refused",
            down(None),
        ),
        (
            "402",
            &PROBE,
            text(402, "Unavailable Shop"),
            "shop_unavailable",
            down(None),
        ),
        (
            "403",
            &PROBE,
            text(403, "[API] This action requires merchant approval"),
            "shop_unavailable",
            down(None),
        ),
        ("403 page", &PROBE, page(403), "shop_unavailable", down(None)),
        (
            "404",
            &PROBE,
            text(404, "Not Found"),
            "shop_not_found",
            down(None),
        ),
        ("404 page", &PROBE, page(404), "shop_not_found", down(None)),
        (
            "423 asking for patience",
            &PROBE,
            text(423, "Locked").insert_header("Retry-After", "600"),
            "shop_unavailable",
            down(Some(600)),
        ),
        (
            "400 with a map",
            &PROBE,
            answer(
                400,
                &json!({"errors": {"query": "Required parameter missing or invalid"}}),
            ),
            "shopify_query_refused",
            permanent.clone(),
        ),
        (
            "406",
            &PROBE,
            answer(406, &json!({})),
            "shopify_query_refused",
            permanent.clone(),
        ),
        (
            "408",
            &PROBE,
            ResponseTemplate::new(408),
            "shopify_internal_error",
            later(None),
        ),
        (
            "500",
            &PROBE,
            text(500, "Internal Server Error"),
            "shopify_internal_error",
            later(None),
        ),
        (
            "502 page",
            &PROBE,
            page(502),
            "shopify_internal_error",
            later(None),
        ),
        (
            "503 asking for patience",
            &PROBE,
            page(503).insert_header("Retry-After", "30"),
            "shopify_internal_error",
            later(Some(30)),
        ),
        (
            "504",
            &PROBE,
            ResponseTemplate::new(504),
            "shopify_internal_error",
            later(None),
        ),
        (
            "redirect",
            &PROBE,
            ResponseTemplate::new(301).insert_header("Location", "https://other.example.com/"),
            "shopify_unreadable_answer",
            down(None),
        ),
        (
            "proxy login",
            &PROBE,
            ResponseTemplate::new(407),
            "shopify_unreachable",
            down(None),
        ),
        // HTTP 200 that is no answer.
        (
            "200 page",
            &PROBE,
            page(200),
            "shopify_unreadable_answer",
            down(None),
        ),
        (
            "200 garbage",
            &PROBE,
            ResponseTemplate::new(200).set_body_raw("{\"data\": {", "application/json"),
            "shopify_unreadable_answer",
            later(None),
        ),
        (
            "200 empty",
            &PROBE,
            ResponseTemplate::new(200).set_body_raw("", "application/json"),
            "shopify_unreadable_answer",
            later(None),
        ),
        (
            "200 null",
            &PROBE,
            ok(&json!(null)),
            "shopify_answer_incomplete",
            later(None),
        ),
        (
            "200 list",
            &PROBE,
            ok(&json!([])),
            "shopify_answer_incomplete",
            later(None),
        ),
        (
            "200 {}",
            &PROBE,
            ok(&json!({})),
            "shopify_answer_incomplete",
            later(None),
        ),
        (
            "data null",
            &PROBE,
            ok(&json!({"data": null})),
            "shopify_answer_incomplete",
            later(None),
        ),
        (
            "data text",
            &PROBE,
            ok(&json!({"data": "x"})),
            "shopify_answer_incomplete",
            later(None),
        ),
        (
            "errors empty, data missing",
            &PROBE,
            ok(&json!({"errors": []})),
            "shopify_answer_incomplete",
            later(None),
        ),
        // HTTP 200 with errors.
        (
            "errors as text",
            &PROBE,
            text(200, "Something"),
            "shopify_internal_error",
            later(None),
        ),
        (
            "errors as texts",
            &PROBE,
            ok(&json!({"errors": ["Something"]})),
            "shopify_internal_error",
            later(None),
        ),
        (
            "an error that is nothing",
            &PROBE,
            ok(&json!({"errors": [null]})),
            "shopify_internal_error",
            later(None),
        ),
        (
            "MAX_COST_EXCEEDED",
            &PROBE,
            ok(&json!({"errors": [{
                "message": "Query cost is 2010, which exceeds the single query max cost limit (1000).",
                "extensions": {"code": "MAX_COST_EXCEEDED", "cost": 2010, "maxCost": 1000},
            }]})),
            "shopify_query_too_expensive",
            permanent.clone(),
        ),
        (
            "SHOP_INACTIVE",
            &PROBE,
            error("SHOP_INACTIVE", "Shop is inactive"),
            "shop_unavailable",
            down(None),
        ),
        (
            "INTERNAL_SERVER_ERROR",
            &PROBE,
            ok(&json!({"errors": [{
                "message": "Internal error. Looks like something went wrong on our end.",
                "extensions": {"code": "INTERNAL_SERVER_ERROR", "requestId": "1b355a21"},
            }]})),
            "shopify_internal_error",
            later(None),
        ),
        (
            "partial data with an inner failure",
            &PROBE,
            ok(&json!({
                "data": {"shop": null},
                "errors": [{"message": "x", "path": ["shop"], "extensions": {"code": "INTERNAL_SERVER_ERROR"}}],
            })),
            "shopify_internal_error",
            later(None),
        ),
        (
            "unknown code",
            &PROBE,
            error("NEW_IN_2027", "New"),
            "shopify_internal_error",
            later(None),
        ),
        (
            "undefinedField",
            &PROBE,
            error("undefinedField", "Field 'x' doesn't exist"),
            "shopify_query_refused",
            permanent.clone(),
        ),
        (
            "argumentLiteralsIncompatible",
            &PROBE,
            error("argumentLiteralsIncompatible", "Argument has an invalid value"),
            "shopify_query_refused",
            permanent.clone(),
        ),
        (
            "undefinedType",
            &PROBE,
            error(
                "undefinedType",
                "No such type X, so it can't be a fragment condition",
            ),
            "shopify_query_refused",
            permanent.clone(),
        ),
        (
            "undefinedDirective",
            &PROBE,
            error("undefinedDirective", "Directive @x is not defined"),
            "shopify_query_refused",
            permanent.clone(),
        ),
        (
            "argumentNotAccepted",
            &PROBE,
            error("argumentNotAccepted", "Field 'x' doesn't accept argument 'y'"),
            "shopify_query_refused",
            permanent.clone(),
        ),
        (
            "missingRequiredArguments",
            &PROBE,
            error(
                "missingRequiredArguments",
                "Field 'x' is missing required arguments: id",
            ),
            "shopify_query_refused",
            permanent.clone(),
        ),
        (
            "INVALID_FIELD_ARGUMENTS",
            &PROBE,
            error("INVALID_FIELD_ARGUMENTS", "Invalid field arguments"),
            "shopify_query_refused",
            permanent.clone(),
        ),
        (
            "NOT_FOUND",
            &PROBE,
            error(
                "NOT_FOUND",
                "Metafield definition of type 'id' is required when using custom ids.",
            ),
            "shopify_query_refused",
            permanent.clone(),
        ),
        (
            "INVALID_VARIABLE",
            &PROBE,
            error("INVALID_VARIABLE", "Variable $id"),
            "shopify_query_refused",
            permanent.clone(),
        ),
        (
            "BAD_REQUEST",
            &PROBE,
            error("BAD_REQUEST", "The @idempotent directive"),
            "shopify_query_refused",
            permanent.clone(),
        ),
        (
            "RESOURCE_NOT_FOUND",
            &PROBE,
            error("RESOURCE_NOT_FOUND", "invalid id"),
            "shopify_query_refused",
            permanent.clone(),
        ),
        // Refused access.
        (
            "denied without data",
            &PROBE,
            error("ACCESS_DENIED", "Access denied for shop field."),
            "shopify_scope_missing",
            permanent.clone(),
        ),
        (
            "denied whole record",
            &CUSTOMER,
            denied(&json!(["customer"]), &json!(null)),
            "shopify_scope_missing",
            permanent.clone(),
        ),
        (
            "denied a field that must be there, so its record is gone",
            &CUSTOMER,
            denied(&json!(["customer", "displayName"]), &json!(null)),
            "shopify_scope_missing",
            permanent.clone(),
        ),
        (
            "denied a field that is not personal",
            &CUSTOMER,
            denied(&json!(["customer", "taxExempt"]), &json!({"taxExempt": null})),
            "shopify_scope_missing",
            permanent.clone(),
        ),
        (
            "denied without a path",
            &CUSTOMER,
            denied(&json!(null), &json!({"phone": null})),
            "shopify_scope_missing",
            permanent.clone(),
        ),
        // Searches and writes.
        (
            "a search term that is ignored",
            &ORDERS_BY_NAME,
            ok(&json!({
                "data": {"orders": {"nodes": []}},
                "extensions": {"search": [{"path": ["orders"], "query": "nmae:x", "warnings": [
                    {"field": "nmae", "message": "Invalid search field for this query.", "code": "invalid_field"},
                ]}]},
            })),
            "shopify_search_ignored",
            permanent.clone(),
        ),
        (
            "user errors",
            &WRITE,
            user_errors(json!({"node": null, "userErrors": [
                {"field": ["input", "email"], "message": "has already been taken", "code": "TAKEN"},
            ]})),
            "shopify_write_rejected",
            permanent.clone(),
        ),
        (
            "user errors under another name",
            &WRITE,
            user_errors(
                json!({"job": {"id": "1"}, "orderCancelUserErrors": [{"field": null, "message": "no"}]}),
            ),
            "shopify_write_rejected",
            permanent.clone(),
        ),
        (
            "no payload",
            &WRITE,
            user_errors(json!(null)),
            "shopify_answer_incomplete",
            later(None),
        ),
    ] {
        match outcome(&stage, document, vec![reply]).await {
            Ok(data) => panic!("{name}: taken for an answer: {data}"),
            Err(error) => {
                assert_eq!(
                    (error.code(), error.disposition()),
                    (code, disposition),
                    "{name}: {error}"
                );
                assert!(
                    !error.fix().is_empty() && !error.to_string().contains("shpat"),
                    "{name}"
                );
            }
        }
    }
}
