//! The GraphQL endpoint: from a request body to an answer.
//!
//! Steps, as Shopify takes them: check the document, coerce the variables, reserve its cost, run it, give back what it did
//! not use.

mod bulk;
mod check;
mod cost;
mod errors;
mod execute;
mod mutate;
mod node;
mod page;
mod scopes;
mod variables;
mod view;

use chrono::{DateTime, Utc};
use serde_json::{Value as Json, json};

pub(super) use check::Documents;
pub(super) use mutate::{Complaint, Keys};

use super::bucket::Bucket;
use super::schema::schema;
use super::shop::Shop;
use errors::{error, refusal};
use node::Args;
use view::root::Root;

/// A request body.
#[derive(Debug, serde::Deserialize)]
pub(super) struct Request {
    pub(super) query: String,
    #[serde(default)]
    variables: Option<Args>,
    #[serde(default, rename = "operationName")]
    operation_name: Option<String>,
}

impl Request {
    /// Name of the operation that is asked for, as far as it can be seen without parsing.
    pub(super) fn name(&self) -> String {
        self.operation_name.clone().unwrap_or_else(|| {
            let words = self
                .query
                .split(|c: char| !(c.is_alphanumeric() || c == '_'))
                .filter(|w| !w.is_empty());
            let mut words = words.skip_while(|w| *w != "query" && *w != "mutation");
            words.nth(1).unwrap_or_default().to_owned()
        })
    }
}

/// What one request did, for the counters.
#[derive(Debug, Default)]
pub(super) struct Report {
    /// Name of the operation.
    pub(super) operation: Option<String>,
    /// Points that were asked for.
    pub(super) requested: u64,
    /// It was refused for want of points.
    pub(super) throttled: bool,
}

/// Answers a request.
pub(super) fn answer(
    shop: &mut Shop,
    documents: &Documents,
    bucket: &mut Bucket,
    request: &Request,
    now: DateTime<Utc>,
) -> (Json, Report) {
    let mut report = Report::default();
    let document = match documents.check(schema(), &request.query) {
        Ok(document) => document,
        Err(errors) => return (refusal(&errors), report),
    };
    let Ok(operation) = document.operations.get(request.operation_name.as_deref()) else {
        let message = match &request.operation_name {
            Some(name) => format!("No operation named \"{name}\""),
            None => "An operation name is required".to_owned(),
        };
        return (refusal(&[error(message, "BAD_REQUEST")]), report);
    };
    report.operation = operation.name.as_ref().map(ToString::to_string);
    let none = Args::new();
    let variables = match variables::coerce(schema(), operation, request.variables.as_ref().unwrap_or(&none))
    {
        Ok(variables) => variables,
        Err(errors) => return (refusal(&errors), report),
    };
    let requested = cost::of(&document, operation, &variables, None);
    report.requested = requested;
    let limit = bucket.rate().max_query_cost;
    if requested > limit {
        let error = json!({
            "message": format!("Query cost is {requested}, which exceeds the single query max cost limit ({limit})."),
            "extensions": {"code": "MAX_COST_EXCEEDED", "cost": requested, "maxCost": limit,
                "documentation": "https://shopify.dev/api/usage/limits#rate-limits"},
        });
        return (refusal(&[error]), report);
    }
    let cost = |actual: Json, bucket: &mut Bucket| {
        json!({"cost": {"requestedQueryCost": requested, "actualQueryCost": actual,
            "throttleStatus": bucket.status(now)}})
    };
    if !bucket.take(requested, now) {
        report.throttled = true;
        let error = json!({
            "message": "Throttled",
            "extensions": {"code": "THROTTLED", "documentation": "https://shopify.dev/api/usage/rate-limits"},
        });
        return (
            json!({"errors": [error], "extensions": cost(Json::Null, bucket)}),
            report,
        );
    }
    let outcome = if operation.is_mutation() {
        mutate::run(shop, schema(), &document, operation, &variables)
    } else {
        execute::run(shop, schema(), &document, operation, &variables, &Root(shop))
    };
    let actual = cost::of(&document, operation, &variables, Some(&outcome.data)).min(requested);
    bucket.refund(requested - actual);
    let mut extensions = cost(actual.into(), bucket);
    if !outcome.search.is_empty() {
        extensions["search"] = outcome.search.into();
    }
    let mut body = json!({"data": outcome.data, "extensions": extensions});
    if !outcome.errors.is_empty() {
        body["errors"] = outcome.errors.into();
    }
    (body, report)
}
