//! What outlives single calls: options, rights and keys of the running stand-in.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::options::{Denied, Options};
use super::schema::Schema;

/// Models that an ordinary user may not touch, and with which operations.
const CLOSED: [(&str, &[&str]); 3] = [
    ("ir.model.data", &["read", "write", "create", "unlink"]),
    ("ir.config_parameter", &["read", "write", "create", "unlink"]),
    ("decimal.precision", &["read", "write", "create", "unlink"]),
];

/// Settings shared by all calls.
#[derive(Debug)]
pub(super) struct System {
    pub(super) options: Options,
    pub(super) schema: &'static Schema,
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
            schema: Schema::of(options.version),
            denied: Mutex::new(options.denied.clone()),
            keys: Mutex::new(options.api_keys.clone()),
            options,
        }
    }

    pub(super) fn denies(&self, model: &str, operation: &str) -> bool {
        let closed = CLOSED
            .iter()
            .any(|(name, operations)| *name == model && operations.contains(&operation));
        closed
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
