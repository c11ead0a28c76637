//! One call of a method of a model, in words that both protocols understand.

use serde_json::{Map, Value};

use crate::domain::ErpId;

/// A method call. JSON-RPC sends `args` by position and `options` by name; JSON-2 sends all of them by name.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) model: String,
    pub(super) method: &'static str,
    /// The records it is called on; `None` for a method of the model itself.
    pub(super) ids: Option<Vec<i64>>,
    /// Arguments from the first one on, without gaps, in the order of the method's signature.
    pub(super) args: Vec<(&'static str, Value)>,
    /// Further arguments.
    pub(super) options: Vec<(&'static str, Value)>,
    /// What stands in the context besides language, time zone and company.
    pub(super) context: Map<String, Value>,
    /// Whether it may change something: then no answer means that the outcome is unknown.
    pub(super) writes: bool,
}

impl Call {
    /// A call that changes nothing.
    pub(super) fn read(model: &str, method: &'static str) -> Self {
        Self {
            model: model.to_owned(),
            method,
            ids: None,
            args: Vec::new(),
            options: Vec::new(),
            context: Map::new(),
            writes: false,
        }
    }

    /// A call that may change something.
    pub(super) fn write(model: &str, method: &'static str) -> Self {
        Self {
            writes: true,
            ..Self::read(model, method)
        }
    }

    /// The records it is called on.
    pub(super) fn on(mut self, ids: impl IntoIterator<Item = ErpId>) -> Self {
        self.ids = Some(ids.into_iter().map(|id| id.0).collect());
        self
    }

    /// The next argument.
    pub(super) fn arg(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.args.push((name, value.into()));
        self
    }

    /// An argument that is always named.
    pub(super) fn option(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.options.push((name, value.into()));
        self
    }

    /// A value of the context.
    pub(super) fn context(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.context.insert(name.to_owned(), value.into());
        self
    }

    /// Includes archived records.
    pub(super) fn with_archived(self) -> Self {
        self.context("active_test", false)
    }

    /// Keeps Odoo from mailing "You have been assigned" and from logging every single field.
    pub(super) fn quietly(self) -> Self {
        self.context("mail_auto_subscribe_no_notify", true)
            .context("tracking_disable", true)
    }
}
