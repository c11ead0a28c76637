//! What outlives single calls: options, rights and keys of the running stand-in.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::options::{CustomField, Denied, Options};
use super::schema::Schema;

const CHANGES: &[&str] = &["write", "create", "unlink"];

/// Models that an ordinary user may not touch, and with which operations.
const CLOSED: [(&str, &[&str]); 9] = [
    ("ir.model.data", &["read", "write", "create", "unlink"]),
    ("ir.config_parameter", &["read", "write", "create", "unlink"]),
    ("decimal.precision", &["read", "write", "create", "unlink"]),
    // That the rest may be read is observed of companies and currencies only.
    ("ir.model", CHANGES),
    ("ir.model.fields", CHANGES),
    ("res.company", CHANGES),
    ("res.currency", CHANGES),
    ("account.journal", CHANGES),
    ("account.account", CHANGES),
];

/// Settings shared by all calls.
#[derive(Debug)]
pub(super) struct System {
    pub(super) options: Options,
    schema: Mutex<&'static Schema>,
    denied: Mutex<Vec<Denied>>,
    keys: Mutex<Vec<String>>,
}

/// Locks, going on after a panic elsewhere: the data behind our locks is consistent between statements.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl System {
    pub(super) fn new(options: Options) -> Self {
        Self {
            schema: Mutex::new(Schema::with(
                options.version,
                &options.custom_fields.iter().cloned().collect(),
            )),
            denied: Mutex::new(options.denied.clone()),
            keys: Mutex::new(options.api_keys.clone()),
            options,
        }
    }

    /// The models as they are declared now.
    pub(super) fn schema(&self) -> &'static Schema {
        *lock(&self.schema)
    }

    /// Declares the models with these custom fields from now on.
    pub(super) fn declare(&self, custom: &BTreeSet<CustomField>) {
        *lock(&self.schema) = Schema::with(self.options.version, custom);
    }

    pub(super) fn denies(&self, model: &str, operation: &str) -> bool {
        let closed = CLOSED
            .iter()
            .any(|(name, operations)| *name == model && operations.contains(&operation));
        (closed && !self.options.is_admin)
            || lock(&self.denied)
                .iter()
                .any(|denied| denied.model == model && denied.operations.iter().any(|op| op == operation))
    }

    pub(super) fn deny(&self, denied: Denied) {
        lock(&self.denied).push(denied);
    }

    pub(super) fn allow_all(&self) {
        lock(&self.denied).clear();
    }

    pub(super) fn is_key(&self, secret: &str) -> bool {
        lock(&self.keys).iter().any(|key| key == secret)
    }

    pub(super) fn set_keys(&self, keys: Vec<String>) {
        *lock(&self.keys) = keys;
    }
}
