//! What a refusal by Odoo means.
//!
//! Both protocols name the exception that ended a call, and that name decides; the status of JSON-2 only helps where no
//! name is known, since its 500 covers lost races as well as plain mistakes. Messages are translated by Odoo, so a text
//! decides only where Odoo leaves no other sign.

use std::time::Duration;

use crate::domain::ErpId;
use crate::erp::ErpError;

/// Longest part of Odoo's words that is kept.
const WORDS_LIMIT: usize = 400;

/// An exception as one of the protocols reports it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// HTTP status; 200 for every fault of JSON-RPC.
    pub(super) status: u16,
    /// Name of the exception, e.g. `odoo.exceptions.UserError`; empty when none was given.
    pub(super) name: String,
    /// Odoo's words.
    pub(super) message: String,
}

/// What a fault means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// The login or key is not accepted.
    Refused,
    /// A right is missing.
    Forbidden,
    /// A module, model, method or field is missing.
    Setup,
    /// The language of every call is not installed.
    Language,
    /// The record is gone.
    Missing,
    /// A rule or a bad value.
    Rejected,
    /// A lost race, a lock, a call that was broken off: rolled back.
    Busy,
    /// The database is down.
    Down,
    /// There is no such database: a wrong name, or one that is away for the moment.
    NoDatabase,
    /// Nothing that is known.
    Unclear,
}

impl Fault {
    /// What this fault of a call by user `uid` means.
    pub(super) fn meaning(&self, uid: i64) -> Meaning {
        let text = self.message.as_str();
        match self.name.as_str() {
            "odoo.exceptions.AccessDenied"
            | "odoo.http.SessionExpiredException"
            | "werkzeug.exceptions.Unauthorized" => Meaning::Refused,
            "odoo.exceptions.AccessError" | "werkzeug.exceptions.Forbidden" => Meaning::Forbidden,
            // JSON-RPC's answer to a user number that does not exist (any more).
            "odoo.exceptions.MissingError" if text.contains(&format!("res.users({uid}")) => Meaning::Refused,
            "odoo.exceptions.MissingError" => Meaning::Missing,
            "odoo.exceptions.ValidationError"
            | "odoo.exceptions.UserError"
            | "odoo.exceptions.RedirectWarning"
                if is_lost_race(text) =>
            {
                Meaning::Busy
            }
            "odoo.exceptions.UserError" if text.contains("Invalid language code") => Meaning::Language,
            "odoo.exceptions.UserError" if is_missing_model(text) => Meaning::Setup,
            "odoo.exceptions.ValidationError"
            | "odoo.exceptions.UserError"
            | "odoo.exceptions.RedirectWarning"
            | "odoo.exceptions.CacheMiss"
            | "werkzeug.exceptions.RequestEntityTooLarge"
            | "werkzeug.exceptions.BadRequest"
            | "werkzeug.exceptions.UnprocessableEntity" => Meaning::Rejected,
            "builtins.AttributeError" | "builtins.KeyError" | "werkzeug.exceptions.NotFound" => {
                Meaning::Setup
            }
            "builtins.ValueError" if text.starts_with("Invalid field") => Meaning::Setup,
            "werkzeug.exceptions.ServiceUnavailable" => Meaning::Down,
            // The last three are the limits of a worker, raised inside the call: rolled back, and it may be less busy later.
            "odoo.exceptions.LockError"
            | "odoo.exceptions.ConcurrencyError"
            | "werkzeug.exceptions.TooManyRequests"
            | "builtins.MemoryError"
            | "builtins.TimeoutError"
            | "builtins.ConnectionError" => Meaning::Busy,
            name if name.starts_with("builtins.") => Meaning::Rejected,
            name => match name.strip_prefix("psycopg2.") {
                Some(database) => database_meaning(database, text),
                None => self.meaning_by_status(),
            },
        }
    }

    fn meaning_by_status(&self) -> Meaning {
        match self.status {
            400 | 413 | 415 | 422 => Meaning::Rejected,
            401 => Meaning::Refused,
            403 => Meaning::Forbidden,
            404 => Meaning::Setup,
            429 => Meaning::Busy,
            502..=504 => Meaning::Down,
            _ => Meaning::Unclear,
        }
    }

    /// Odoo's words, short and on one line. Of a database error only the first line: the others quote values.
    pub(super) fn words(&self) -> String {
        let text = self.message.trim();
        let text = if self.name.starts_with("psycopg2.") {
            text.lines().next().unwrap_or_default()
        } else {
            text
        };
        let words = short(text);
        if words.is_empty() {
            self.name.clone()
        } else {
            words
        }
    }

    /// The error that this fault is for `method` on `model`. `NoDatabase` counts as a wrong name here; the session
    /// decides whether it is one.
    pub(super) fn into_error(
        self,
        meaning: Meaning,
        model: &str,
        method: &str,
        retry_after: Option<Duration>,
    ) -> ErpError {
        let (model, method) = (model.to_owned(), method.to_owned());
        let message = self.words();
        match meaning {
            Meaning::Refused => ErpError::Refused { message },
            Meaning::Forbidden => ErpError::Forbidden {
                model,
                method,
                message,
            },
            Meaning::Setup => ErpError::Setup {
                message: match self.name.as_str() {
                    "builtins.KeyError" => format!("{model} has no field {message}"),
                    _ => format!("{method} on {model}: {message}"),
                },
            },
            Meaning::Language | Meaning::NoDatabase => ErpError::Misconfigured { message },
            Meaning::Missing => ErpError::Missing {
                id: named_record(&self.message, &model),
                model,
            },
            Meaning::Rejected => ErpError::Rejected {
                model,
                method,
                message,
            },
            Meaning::Busy => ErpError::Busy { message, retry_after },
            Meaning::Down => ErpError::Down { retry_after },
            Meaning::Unclear => ErpError::Nonsense {
                model,
                method,
                message: format!("an unknown error {} (HTTP {}): {message}", self.name, self.status),
            },
        }
    }
}

/// PostgreSQL's errors, by the class that the driver gives them.
fn database_meaning(class: &str, text: &str) -> Meaning {
    match class {
        "OperationalError" if text.contains("does not exist") => Meaning::NoDatabase,
        "OperationalError"
        | "errors.AdminShutdown"
        | "errors.CrashShutdown"
        | "errors.CannotConnectNow"
        | "errors.DiskFull"
        | "errors.OutOfMemory"
        | "errors.TooManyConnections"
        | "errors.ReadOnlySqlTransaction" => Meaning::Down,
        "InterfaceError"
        | "pool.PoolError"
        | "errors.SerializationFailure"
        | "errors.DeadlockDetected"
        | "errors.LockNotAvailable"
        | "errors.QueryCanceled"
        | "errors.InFailedSqlTransaction"
        | "errors.UniqueViolation" => Meaning::Busy,
        "errors.UndefinedTable" | "errors.UndefinedColumn" | "errors.InsufficientPrivilege" => Meaning::Setup,
        _ => Meaning::Rejected,
    }
}

/// Whether a refusal only says that somebody else was faster: read again, then decide.
pub(super) fn is_lost_race(text: &str) -> bool {
    [
        "duplicate key value violates unique constraint",
        "could not serialize access",
        "deadlock detected",
        "could not obtain lock",
        "cannot follow twice the same object",
    ]
    .iter()
    .any(|sign| text.contains(sign))
}

fn is_missing_model(text: &str) -> bool {
    text.starts_with("Object ") && (text.contains("doesn't exist") || text.contains("does not exist"))
}

/// The id in `model(30,)`, as Odoo names records that are gone.
fn named_record(text: &str, model: &str) -> Option<ErpId> {
    let rest = text.split_once(&format!("{model}("))?.1;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok().map(ErpId)
}

/// A text on one line and of limited length.
pub(super) fn short(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= WORDS_LIMIT {
        return line;
    }
    let mut kept: String = line.chars().take(WORDS_LIMIT).collect();
    kept.push('…');
    kept
}
