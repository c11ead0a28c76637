//! User errors of a payload, and what they say about our own fields.

use serde_json::Value;

use super::fields::Table;
use crate::domain::Refusal;
use crate::shopify::answer::shorten;
use crate::shopify::documents::Document;
use crate::shopify::error::{RequestId, ShopifyError};

/// Longest message that is repeated.
const LONGEST_MESSAGE: usize = 300;

/// A user error as Shopify gives it.
#[derive(Clone, Debug)]
pub(super) struct UserError {
    path: Vec<String>,
    message: String,
    pub(super) code: Option<String>,
}

impl UserError {
    /// Our name of the field, by its place in the input.
    fn field(&self, tables: &[&Table]) -> Option<String> {
        tables.iter().find_map(|table| table.name_of(&self.path))
    }

    /// The position in the list called `list`.
    pub(super) fn index(&self, list: &str) -> Option<usize> {
        let at = self.path.iter().position(|step| step == list)?;
        self.path.get(at + 1)?.parse().ok()
    }

    /// Whether it says that the record itself is unknown. Some mutations have no codes: there the place says it, because an
    /// id of ours is never malformed.
    fn is_unknown_record(&self) -> bool {
        self.code.is_none() && self.path.len() <= 2 && self.path.last().is_some_and(|step| step == "id")
    }

    /// In our words; `list` is the list whose positions count, `offset` that of its first item.
    pub(super) fn refusal(&self, tables: &[&Table], list: &str, offset: usize) -> Refusal {
        Refusal {
            index: self.index(list).map(|index| index + offset),
            field: self.field(tables),
            message: self.message.clone(),
            code: self.code.clone(),
        }
    }

    /// Path, message and code.
    fn text(&self) -> String {
        let code = self.code.as_ref().map_or_else(String::new, |c| format!(" ({c})"));
        if self.path.is_empty() {
            format!("{}{code}", self.message)
        } else {
            format!("{}: {}{code}", self.path.join("."), self.message)
        }
    }
}

/// The user errors of a payload.
pub(super) fn user_errors(payload: &Value) -> Vec<UserError> {
    let list = payload.get("userErrors").and_then(Value::as_array);
    let read = |error: &Value| UserError {
        path: match error.get("field") {
            Some(Value::Array(steps)) => steps
                .iter()
                .filter_map(|step| match step {
                    Value::String(text) => Some(text.clone()),
                    Value::Number(number) => Some(number.to_string()),
                    _ => None,
                })
                .collect(),
            _ => Vec::new(),
        },
        message: shorten(
            error
                .get("message")
                .and_then(Value::as_str)
                .unwrap_or("no message"),
            LONGEST_MESSAGE,
        ),
        code: error.get("code").and_then(Value::as_str).map(str::to_owned),
    };
    list.into_iter().flatten().map(read).collect()
}

/// The failure of a write that Shopify did not carry out; `besides` says what was written before.
pub(super) fn rejected(
    document: &Document,
    errors: &[UserError],
    refusals: Vec<Refusal>,
    besides: Option<&str>,
) -> ShopifyError {
    let texts: Vec<String> = errors.iter().take(5).map(UserError::text).collect();
    let mut reason = texts.join("; ");
    if errors.len() > texts.len() {
        reason.push_str("; and more");
    }
    if let Some(besides) = besides {
        reason.push_str("; ");
        reason.push_str(besides);
    }
    ShopifyError::Rejected {
        operation: document.name,
        reason,
        code: errors.iter().find_map(|error| error.code.clone()),
        refusals,
        request: RequestId::default(),
    }
}

/// Fails if the payload names user errors.
pub(super) fn accepted(
    document: &Document,
    payload: &Value,
    tables: &[&Table],
    list: &str,
    besides: Option<&str>,
) -> Result<(), ShopifyError> {
    let errors = user_errors(payload);
    if errors.is_empty() {
        return Ok(());
    }
    if errors.iter().any(UserError::is_unknown_record) {
        return Err(gone(document, "the record"));
    }
    let refusals = errors
        .iter()
        .map(|error| error.refusal(tables, list, 0))
        .collect();
    Err(rejected(document, &errors, refusals, besides))
}

/// An answer that lacks what was asked for.
pub(super) fn incomplete(document: &Document, reason: &str) -> ShopifyError {
    ShopifyError::Incomplete {
        operation: document.name,
        reason: reason.to_owned(),
        request: RequestId::default(),
    }
}

/// A record that is not there any more.
pub(super) fn gone(document: &Document, what: &str) -> ShopifyError {
    ShopifyError::Rejected {
        operation: document.name,
        reason: format!("{what} is not there any more"),
        code: Some("NOT_FOUND".to_owned()),
        refusals: Vec::new(),
        request: RequestId::default(),
    }
}
