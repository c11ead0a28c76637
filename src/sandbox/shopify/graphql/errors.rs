//! Errors in the shapes that Shopify gives them.

use serde_json::{Value as Json, json};

/// A top-level error with a code.
pub(super) fn error(message: impl Into<String>, code: &str) -> Json {
    json!({"message": message.into(), "extensions": {"code": code}})
}

/// A mistake in the document: place, path from the operation on, and what else the code tells.
pub(super) fn document_error(
    message: &str,
    at: Option<(usize, usize)>,
    path: &[String],
    extensions: Json,
) -> Json {
    let mut error = json!({"message": message});
    if let Some((line, column)) = at {
        error["locations"] = json!([{"line": line, "column": column}]);
    }
    if !path.is_empty() {
        error["path"] = json!(path);
    }
    error["extensions"] = extensions;
    error
}

/// The whole answer when a query may not run.
pub(super) fn refusal(errors: &[Json]) -> Json {
    json!({"errors": errors})
}
