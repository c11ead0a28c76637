//! Errors as Odoo's server raises them: a Python class name and a message. Each protocol renders them its own way.

use std::borrow::Cow;

/// What a method call may end in.
pub(super) type Res<T> = Result<T, OdooError>;

/// An exception of the server, named as the real one names it in `error.data.name`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name}: {message}")]
pub struct OdooError {
    /// The Python class, with its module: `odoo.exceptions.UserError`.
    pub name: Cow<'static, str>,
    /// The text for people, in the server's language.
    pub message: String,
}

impl OdooError {
    fn new(name: &'static str, message: impl Into<String>) -> Self {
        Self {
            name: Cow::Borrowed(name),
            message: message.into(),
        }
    }

    pub(super) fn access_denied() -> Self {
        Self::new("odoo.exceptions.AccessDenied", "Access Denied")
    }

    pub(super) fn access(message: impl Into<String>) -> Self {
        Self::new("odoo.exceptions.AccessError", message)
    }

    pub(super) fn missing(model: &str, id: i64, uid: i64) -> Self {
        Self::new(
            "odoo.exceptions.MissingError",
            format!("Record does not exist or has been deleted.\n(Record: {model}({id},), User: {uid})"),
        )
    }

    pub(super) fn validation(message: impl Into<String>) -> Self {
        Self::new("odoo.exceptions.ValidationError", message)
    }

    pub(super) fn user(message: impl Into<String>) -> Self {
        Self::new("odoo.exceptions.UserError", message)
    }

    pub(super) fn value(message: impl Into<String>) -> Self {
        Self::new("builtins.ValueError", message)
    }

    pub(super) fn key(message: impl Into<String>) -> Self {
        Self::new("builtins.KeyError", message)
    }

    pub(super) fn type_error(message: impl Into<String>) -> Self {
        Self::new("builtins.TypeError", message)
    }

    pub(super) fn attribute(message: impl Into<String>) -> Self {
        Self::new("builtins.AttributeError", message)
    }

    pub(super) fn integer_text(text: &str) -> Self {
        Self::new(
            "psycopg2.errors.InvalidTextRepresentation",
            format!("invalid input syntax for type integer: \"{text}\"\n"),
        )
    }

    pub(super) fn serialization() -> Self {
        Self::new(
            "psycopg2.errors.SerializationFailure",
            "could not serialize access due to concurrent update\n",
        )
    }

    pub(super) fn postgres_down() -> Self {
        Self::new(
            "psycopg2.OperationalError",
            "connection to server at \"127.0.0.1\", port 5432 failed: Connection refused\n\tIs the server running on that host and accepting TCP/IP connections?\n",
        )
    }

    pub(super) fn no_database(name: &str) -> Self {
        Self::new(
            "psycopg2.OperationalError",
            format!(
                "connection to server at \"127.0.0.1\", port 5432 failed: FATAL:  database \"{name}\" does not exist\n"
            ),
        )
    }

    pub(super) fn connection_lost() -> Self {
        Self::new("psycopg2.InterfaceError", "connection already closed")
    }

    pub(super) fn too_large() -> Self {
        Self::new(
            "werkzeug.exceptions.RequestEntityTooLarge",
            "The data value transmitted exceeds the capacity limit.",
        )
    }

    pub(super) fn unauthorized() -> Self {
        Self::new("werkzeug.exceptions.Unauthorized", "Invalid apikey")
    }

    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new("werkzeug.exceptions.BadRequest", message)
    }

    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Self::new("werkzeug.exceptions.NotFound", message)
    }

    pub(super) fn unprocessable(message: impl Into<String>) -> Self {
        Self::new("werkzeug.exceptions.UnprocessableEntity", message)
    }

    /// An exception of any class, for faults on demand.
    pub fn custom(name: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            name: Cow::Owned(name.into()),
            message: message.into(),
        }
    }

    /// The class name without its module.
    pub(super) fn class(&self) -> &str {
        self.name.rsplit('.').next().unwrap_or(&self.name)
    }

    /// The HTTP status that JSON-2 answers with.
    pub(super) fn json2_status(&self) -> u16 {
        match self.class() {
            "BadRequest" => 400,
            "Unauthorized" | "AccessDenied" => 401,
            "AccessError" => 403,
            "MissingError" | "NotFound" => 404,
            "RequestEntityTooLarge" => 413,
            "UserError" | "ValidationError" | "UnprocessableEntity" => 422,
            _ => 500,
        }
    }
}
