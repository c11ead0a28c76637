//! What an answer of Shopify means.
//!
//! An answer is good when its status is 2xx, it has `data`, no `errors` and, for a write, neither a missing payload nor
//! `userErrors`. Everything else is told apart here, in one place, so that a table test can name every shape that was
//! seen. HTTP 200 says nothing by itself: throttling, refused access and inner failures all come with it.

use std::time::Duration;

use serde_json::Value;

use super::documents::Document;
use super::error::{RequestId, ShopifyError};
use super::throttle::{Cost, Status};
use crate::domain::Timestamp;
use crate::transport::{Answer, Failure};

/// The header that tells the API version served.
pub(super) const VERSION_HEADER: &str = "x-shopify-api-version";
/// The header with Shopify's own number of the request.
const REQUEST_HEADER: &str = "x-request-id";
/// Shopify's own status for "security rejection": slow down, do not hammer.
const SECURITY_REJECTION: u16 = 430;
/// How long nobody asks anything after a security rejection.
const SECURITY_PAUSE: Duration = Duration::from_mins(2);
/// Longest part of a message of Shopify that is repeated.
const LONGEST_REASON: usize = 300;

/// Fields that a record can do without. Personal data: without approval Shopify refuses such fields one by one and answers the
/// rest; the customer or address is then used without them, as it would be if the buyer had left them empty. Places: they
/// need a scope of their own (`read_locations`), and an order is booked all the same when nobody knows where it was sold.
const DISPENSABLE: &[&str] = &[
    "email",
    "phone",
    "firstName",
    "lastName",
    "name",
    "company",
    "address1",
    "address2",
    "city",
    "zip",
    "province",
    "provinceCode",
    "countryCodeV2",
    "note",
    "billingAddress",
    "shippingAddress",
    "defaultAddress",
    "defaultEmailAddress",
    "defaultPhoneNumber",
    "location",
    "retailLocation",
];

/// Where `data` names the fields that were refused, as dotted paths. No field of GraphQL can have this name.
pub(super) const REFUSED: &str = "@refused";

/// An answer, understood.
#[derive(Debug)]
pub(super) struct Reply {
    /// What it says about cost.
    pub(super) cost: Cost,
    /// The API version that served it.
    pub(super) version: Option<String>,
    /// Shopify's number of the request.
    pub(super) request: RequestId,
    /// Scopes that personal fields were refused for.
    pub(super) refused: Vec<String>,
    /// `data`, or why there is none.
    pub(super) data: Result<Value, ShopifyError>,
}

/// Reads an answer to `document`.
pub(super) fn read(document: &Document, answer: &Answer, now: Timestamp) -> Reply {
    let request = RequestId(answer.header(REQUEST_HEADER).map(|id| shorten(id, 100)));
    let body: Option<Value> = answer
        .json(now)
        .ok()
        .and_then(|bytes| serde_json::from_slice(bytes).ok());
    let mut refused = Vec::new();
    let data = match by_status(document, answer, body.as_ref(), &request, now) {
        Some(error) => Err(error),
        None => by_body(document, answer, body.as_ref(), &request, now, &mut refused),
    };
    Reply {
        cost: cost(body.as_ref()),
        version: answer.header(VERSION_HEADER).map(str::to_owned),
        request,
        refused,
        data,
    }
}

/// The failure that the HTTP status alone tells.
fn by_status(
    document: &Document,
    answer: &Answer,
    body: Option<&Value>,
    request: &RequestId,
    now: Timestamp,
) -> Option<ShopifyError> {
    let request = request.clone();
    let retry_after = answer.retry_after(now);
    let status = answer.status();
    let said = || body.and_then(first_message).unwrap_or_default();
    let reason = |text: &str| match said() {
        said if said.is_empty() => format!("{text} (HTTP {status})"),
        said => format!("{text} (HTTP {status}: {said})"),
    };
    Some(match status {
        200..=299 => return None,
        401 => ShopifyError::Unauthorized { request },
        402 => ShopifyError::ShopUnavailable {
            reason: reason("it is frozen until its bill is paid"),
            retry_after,
            request,
        },
        403 => ShopifyError::ShopUnavailable {
            reason: reason("access is forbidden"),
            retry_after,
            request,
        },
        404 => ShopifyError::NoSuchShop { request },
        423 => ShopifyError::ShopUnavailable {
            reason: reason("it is locked"),
            retry_after,
            request,
        },
        429 => ShopifyError::Throttled {
            reason: "too many requests (HTTP 429)",
            retry_after,
            request,
        },
        SECURITY_REJECTION => ShopifyError::Throttled {
            reason: "it took our requests for an attack (HTTP 430)",
            retry_after: Some(retry_after.unwrap_or(SECURITY_PAUSE).max(SECURITY_PAUSE)),
            request,
        },
        // 3xx, proxies' own pages, and everything that is not Shopify's.
        300..=399 | 407 => ShopifyError::Transport(answer.failure(now)),
        408 | 500..=599 => ShopifyError::Internal {
            reason: reason("it is overloaded or broken"),
            retry_after,
            request,
        },
        _ => ShopifyError::Refused {
            operation: document.name,
            code: format!("HTTP {status}"),
            reason: reason("the request is not accepted"),
            request,
        },
    })
}

/// The data of an answer with a good status, or the failure that its body tells.
fn by_body(
    document: &Document,
    answer: &Answer,
    body: Option<&Value>,
    request: &RequestId,
    now: Timestamp,
    refused: &mut Vec<String>,
) -> Result<Value, ShopifyError> {
    let incomplete = |reason: &str| ShopifyError::Incomplete {
        operation: document.name,
        reason: reason.to_owned(),
        request: request.clone(),
    };
    let body = match (answer.json(now), body) {
        (Err(page), _) => return Err(page.into()),
        (Ok(_), None) => {
            return Err(ShopifyError::Transport(Failure::Unreadable {
                host: answer.host().to_owned(),
                reason: "it is no JSON".to_owned(),
            }));
        }
        (Ok(_), Some(body)) => body,
    };
    let data = body.get("data").filter(|data| data.is_object());
    let mut paths = Vec::new();
    if let Some(errors) = body.get("errors").filter(|errors| !is_nothing(errors)) {
        judge(document, errors, data, request, refused, &mut paths)?;
    }
    let data = data.ok_or_else(|| incomplete("it has neither data nor errors"))?;
    if document.searches
        && let Some(reason) = search_warning(body)
    {
        return Err(ShopifyError::SearchIgnored {
            operation: document.name,
            reason,
            request: request.clone(),
        });
    }
    if document.writes {
        payloads(document, data, request)?;
    }
    let mut data = data.clone();
    if !paths.is_empty() {
        data[REFUSED] = Value::from(paths);
    }
    Ok(data)
}

fn is_nothing(errors: &Value) -> bool {
    errors.is_null() || errors.as_array().is_some_and(Vec::is_empty)
}

/// What a top-level error is about, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Throttled,
    ShopInactive,
    TooExpensive,
    Refused,
    Denied,
    Internal,
}

fn kind(error: &Value) -> Kind {
    let code = error
        .pointer("/extensions/code")
        .and_then(Value::as_str)
        .unwrap_or("");
    match code {
        "THROTTLED" => Kind::Throttled,
        "SHOP_INACTIVE" => Kind::ShopInactive,
        "MAX_COST_EXCEEDED" => Kind::TooExpensive,
        "ACCESS_DENIED" => Kind::Denied,
        "INVALID_VARIABLE"
        | "INVALID_FIELD_ARGUMENTS"
        | "MAX_INPUT_SIZE_EXCEEDED"
        | "BAD_REQUEST"
        | "NOT_FOUND"
        | "RESOURCE_NOT_FOUND" => Kind::Refused,
        // The parser's and validator's own codes are written like this: undefinedField, argumentNotAccepted…
        code if code.starts_with(|c: char| c.is_ascii_lowercase()) => Kind::Refused,
        "" if error.get("message").and_then(Value::as_str) == Some("Throttled") => Kind::Throttled,
        // INTERNAL_SERVER_ERROR and everything unknown: the attempt cap ends it if it does not end by itself.
        _ => Kind::Internal,
    }
}

/// Accepts errors that only say that fields are kept from us that we can do without; anything else is the failure that matters most.
fn judge(
    document: &Document,
    errors: &Value,
    data: Option<&Value>,
    request: &RequestId,
    refused: &mut Vec<String>,
    paths: &mut Vec<String>,
) -> Result<(), ShopifyError> {
    let alone = std::slice::from_ref(errors);
    let list = errors.as_array().map_or(alone, Vec::as_slice);
    let mut worst: Option<(Kind, &Value)> = None;
    for error in list {
        let kind = kind(error);
        if kind == Kind::Denied && data.is_some_and(|data| is_dispensable(error, data)) {
            refused.push(needed(error));
            paths.extend(path(error));
        } else if worst.is_none_or(|(known, _)| kind < known) {
            worst = Some((kind, error));
        }
    }
    let Some((kind, error)) = worst else {
        return Ok(());
    };
    let request = request.clone();
    let extension = |name: &str| match error.pointer(&format!("/extensions/{name}")) {
        Some(Value::String(text)) => shorten(text, LONGEST_REASON),
        Some(Value::Number(number)) => number.to_string(),
        _ => "?".to_owned(),
    };
    let reason = first_message(error).unwrap_or_else(|| "it gives no reason".to_owned());
    Err(match kind {
        Kind::Throttled => ShopifyError::Throttled {
            reason: "the cost bucket of the shop is empty",
            retry_after: None,
            request,
        },
        Kind::ShopInactive => ShopifyError::ShopUnavailable {
            reason: format!("it is inactive ({reason})"),
            retry_after: None,
            request,
        },
        Kind::TooExpensive => ShopifyError::TooExpensive {
            operation: document.name,
            cost: extension("cost"),
            limit: extension("maxCost"),
            request,
        },
        Kind::Denied => ShopifyError::AccessDenied {
            path: path(error).unwrap_or_else(|| document.name.to_owned()),
            needed: needed(error),
            request,
        },
        Kind::Refused => ShopifyError::Refused {
            operation: document.name,
            code: extension("code"),
            reason,
            request,
        },
        Kind::Internal => ShopifyError::Internal {
            reason,
            retry_after: None,
            request: match &request.0 {
                Some(_) => request,
                None => RequestId(
                    error
                        .pointer("/extensions/requestId")
                        .and_then(Value::as_str)
                        .map(|id| shorten(id, 100)),
                ),
            },
        },
    })
}

/// Whether the error refuses one dispensable field, and nothing around it was lost with it.
fn is_dispensable(error: &Value, data: &Value) -> bool {
    let Some(steps) = error.get("path").and_then(Value::as_array) else {
        return false;
    };
    let Some(Value::String(last)) = steps.last() else {
        return false;
    };
    let mut at = data;
    for step in steps {
        let next = match step {
            Value::String(name) => at.get(name.as_str()),
            Value::Number(index) => index
                .as_u64()
                .and_then(|index| usize::try_from(index).ok())
                .and_then(|index| at.get(index)),
            _ => None,
        };
        // A parent that is null was emptied because it cannot be without this field: then a whole customer is missing.
        match next {
            Some(next) => at = next,
            None => return false,
        }
    }
    at.is_null() && DISPENSABLE.contains(&last.as_str())
}

fn path(error: &Value) -> Option<String> {
    let steps = error.get("path")?.as_array()?;
    let names: Vec<String> = steps
        .iter()
        .filter_map(|step| match step {
            Value::String(name) => Some(name.clone()),
            Value::Number(index) => Some(index.to_string()),
            _ => None,
        })
        .collect();
    Some(shorten(&names.join("."), LONGEST_REASON))
}

/// What Shopify asks for before it shows a field, e.g. `` `read_customers` access scope. ``
fn needed(error: &Value) -> String {
    let text = error
        .pointer("/extensions/requiredAccess")
        .and_then(Value::as_str)
        .map(str::to_owned)
        .or_else(|| first_message(error))
        .unwrap_or_else(|| "an approval that it does not name".to_owned());
    shorten(text.trim_end_matches('.'), LONGEST_REASON)
}

/// The warning of a search that did not use all of its terms.
fn search_warning(body: &Value) -> Option<String> {
    let searches = body.pointer("/extensions/search")?.as_array()?;
    let warnings = searches
        .iter()
        .filter_map(|search| search.get("warnings")?.as_array())
        .flatten();
    let texts: Vec<String> = warnings
        .map(|warning| {
            let text = |name: &str| warning.get(name).and_then(Value::as_str).unwrap_or("?");
            format!("{}: {}", text("field"), text("message"))
        })
        .collect();
    (!texts.is_empty()).then(|| shorten(&texts.join("; "), LONGEST_REASON))
}

/// Looks through the payload of every mutation: it must be there and name no user errors.
fn payloads(document: &Document, data: &Value, request: &RequestId) -> Result<(), ShopifyError> {
    for (name, payload) in data.as_object().into_iter().flatten() {
        let Some(fields) = payload.as_object() else {
            return Err(ShopifyError::Incomplete {
                operation: document.name,
                reason: format!("{name} has no payload"),
                request: request.clone(),
            });
        };
        if document.tells_refusals {
            continue;
        }
        let errors: Vec<&Value> = fields
            .iter()
            .filter(|(field, _)| *field == "userErrors" || field.ends_with("UserErrors"))
            .filter_map(|(_, errors)| errors.as_array())
            .flatten()
            .collect();
        let Some(first) = errors.first() else { continue };
        let texts: Vec<String> = errors.iter().map(|error| user_error(error)).collect();
        return Err(ShopifyError::Rejected {
            operation: document.name,
            reason: shorten(&texts.join("; "), LONGEST_REASON),
            code: first.get("code").and_then(Value::as_str).map(str::to_owned),
            refusals: Vec::new(),
            request: request.clone(),
        });
    }
    Ok(())
}

fn user_error(error: &Value) -> String {
    let field: Vec<&str> = match error.get("field") {
        Some(Value::Array(steps)) => steps.iter().filter_map(Value::as_str).collect(),
        Some(Value::String(field)) => vec![field],
        _ => Vec::new(),
    };
    let message = error
        .get("message")
        .and_then(Value::as_str)
        .unwrap_or("no message");
    let code = match error.get("code").and_then(Value::as_str) {
        Some(code) => format!(" ({code})"),
        None => String::new(),
    };
    if field.is_empty() {
        format!("{message}{code}")
    } else {
        format!("{}: {message}{code}", field.join("."))
    }
}

/// The first message of whatever stands where errors are due: `{"errors": "text"}`, a list of texts or objects, a map of
/// texts, or the `error_description` of the token endpoint.
pub(super) fn first_message(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text.as_str(),
        Value::Array(list) => return list.iter().find_map(first_message),
        Value::Object(fields) => {
            let known = ["message", "errors", "error_description", "error"];
            if let Some(found) = known.iter().find_map(|name| fields.get(*name)) {
                return first_message(found);
            }
            let (name, value) = fields.iter().next()?;
            return first_message(value).map(|text| shorten(&format!("{name}: {text}"), LONGEST_REASON));
        }
        _ => return None,
    };
    let text = text.trim();
    (!text.is_empty()).then(|| shorten(text, LONGEST_REASON))
}

/// At most `longest` characters, on one line.
pub(super) fn shorten(text: &str, longest: usize) -> String {
    let printable = |c: char| if c.is_control() { ' ' } else { c };
    let mut short: String = text.chars().take(longest).map(printable).collect();
    if text.chars().nth(longest).is_some() {
        short.push('…');
    }
    short
}

fn cost(body: Option<&Value>) -> Cost {
    let number = |value: &Value| value.as_f64().filter(|number| number.is_finite());
    let at = |path: &str| body.and_then(|body| body.pointer(path)).and_then(number);
    let status = |name: &str| at(&format!("/extensions/cost/throttleStatus/{name}"));
    Cost {
        requested: at("/extensions/cost/requestedQueryCost").filter(|points| *points >= 0.0),
        status: (|| {
            Some(Status {
                maximum: status("maximumAvailable").filter(|points| *points > 0.0)?,
                level: status("currentlyAvailable")?,
                rate: status("restoreRate").filter(|rate| *rate > 0.0)?,
            })
        })(),
    }
}
