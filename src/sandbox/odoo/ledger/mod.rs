//! The ERP's own books, read past its API: what really is there, and how it was called.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value as Json, json};

use super::calls::{Counters, Shared};
use super::env::{Env, SYSTEM_UID};
use super::external;
use super::orm::read;
use super::system::lock;
use super::value::Map;

mod accounts;
mod records;
mod views;

pub use self::accounts::{InvoiceLineView, InvoiceView, PaymentView};
pub use self::records::{PartnerView, ProductView};
pub use self::views::{LineView, MoveView, OrderView, PickingView, TaxView};

/// Reads the ERP's own truth. Cheap to clone; stays readable after the stand-in was stopped.
#[derive(Debug, Clone)]
pub struct Ledger {
    shared: Arc<Shared>,
}

impl Ledger {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    fn with<T>(&self, look: impl FnOnce(&Env<'_>) -> T) -> T {
        let mut db = lock(&self.shared.db);
        let now = (self.shared.sys.options.clock)().naive_utc();
        let mut env = Env::new(&mut db, &self.shared.sys, SYSTEM_UID, now, 0);
        let all = Map::from_iter([("active_test".to_owned(), Json::Bool(false))]);
        let entered = env.enter(all);
        debug_assert!(entered.is_ok(), "the ledger's own context is fine");
        look(&env)
    }

    /// All sale orders in the books, oldest first. One that sabotage lost is not there.
    pub fn orders(&self) -> Vec<OrderView> {
        let lost = lock(&self.shared.books).lost.clone();
        self.with(|env| {
            let ids = env.db.ids("sale.order");
            ids.into_iter()
                .filter(|id| !lost.contains(id))
                .map(|id| views::order(env, id))
                .collect()
        })
    }

    /// Orders that carry `reference` as the customer's reference.
    pub fn orders_by_reference(&self, reference: &str) -> Vec<OrderView> {
        self.orders()
            .into_iter()
            .filter(|order| order.client_order_ref.as_deref() == Some(reference))
            .collect()
    }

    /// All invoices and credit notes, oldest first.
    pub fn invoices(&self) -> Vec<InvoiceView> {
        self.with(|env| {
            let mut ids = env.db.ids("account.move");
            ids.retain(|id| env.text("account.move", *id, "move_type") != "entry");
            ids.into_iter().map(|id| accounts::invoice(env, id)).collect()
        })
    }

    /// Invoices and credit notes with lines of an order, oldest first.
    pub fn invoices_of(&self, order: i64) -> Vec<InvoiceView> {
        let mut all = self.invoices();
        all.retain(|invoice| invoice.orders.contains(&order));
        all
    }

    /// All payments, oldest first.
    pub fn payments(&self) -> Vec<PaymentView> {
        self.with(|env| {
            let ids = env.db.ids("account.payment").into_iter();
            ids.map(|id| accounts::payment(env, id)).collect()
        })
    }

    /// All transfers, oldest first.
    pub fn pickings(&self) -> Vec<PickingView> {
        self.with(|env| {
            let ids = env.db.ids("stock.picking").into_iter();
            ids.map(|id| views::picking(env, id)).collect()
        })
    }

    /// All partners, oldest first, archived ones too.
    pub fn partners(&self) -> Vec<PartnerView> {
        self.with(|env| {
            env.db
                .ids("res.partner")
                .into_iter()
                .map(|id| records::partner(env, id))
                .collect()
        })
    }

    /// All product variants, oldest first, archived ones too.
    pub fn products(&self) -> Vec<ProductView> {
        self.with(|env| {
            env.db
                .ids("product.product")
                .into_iter()
                .map(|id| records::product(env, id))
                .collect()
        })
    }

    /// Model and id behind an external id (`module.name`).
    pub fn find_by_external_id(&self, name: &str) -> Option<(String, i64)> {
        let lost = lock(&self.shared.books).lost.clone();
        let found = self.with(|env| external::resolve(env, name))?;
        (found.0 != "sale.order" || !lost.contains(&found.1)).then_some(found)
    }

    /// All external ids of a record.
    pub fn external_ids(&self, model: &str, id: i64) -> Vec<String> {
        self.with(|env| external::names(env, model, id))
    }

    /// One record with all its fields, as `read` shows them; relations as bare ids.
    pub fn record(&self, model: &str, id: i64) -> Option<Json> {
        self.with(|env| {
            let declared = env.schema.model(model)?;
            let all: Vec<&str> = declared.fields().map(|field| field.name).collect();
            read::read(env, declared, &json!([id]), &json!(all), false)
                .ok()?
                .pop()
        })
    }

    /// How many records a model has, archived ones too; 0 for a model that does not exist.
    pub fn count(&self, model: &str) -> usize {
        let lost = if model == "sale.order" {
            lock(&self.shared.books).lost.len()
        } else {
            0
        };
        self.with(|env| {
            env.schema
                .model(model)
                .map_or(0, |declared| env.db.len(declared.name))
                - lost
        })
    }

    /// Subjects of mails that would have left.
    pub fn mails(&self) -> Vec<String> {
        self.with(|env| {
            env.db
                .ids("mail.mail")
                .into_iter()
                .map(|id| env.text("mail.mail", id, "subject"))
                .collect()
        })
    }

    /// How often each `model/method` was called since the last reset, also by calls that a fault ate.
    pub fn calls(&self) -> BTreeMap<String, u64> {
        lock(&self.shared.counters).calls.clone()
    }

    /// How often one method was called since the last reset.
    pub fn calls_of(&self, model: &str, method: &str) -> u64 {
        lock(&self.shared.counters)
            .calls
            .get(&format!("{model}/{method}"))
            .copied()
            .unwrap_or(0)
    }

    /// All model calls since the last reset: `execute_kw` and JSON-2, not `common`.
    pub fn total_calls(&self) -> u64 {
        lock(&self.shared.counters).calls.values().sum()
    }

    /// The `model/method` of every call since the last reset, in order of arrival.
    pub fn call_log(&self) -> Vec<String> {
        lock(&self.shared.counters).log.clone()
    }

    /// How often `common.authenticate` was called since the last reset.
    pub fn authentications(&self) -> u64 {
        lock(&self.shared.counters).authentications
    }

    /// How often `common.version` was called since the last reset.
    pub fn version_calls(&self) -> u64 {
        lock(&self.shared.counters).versions
    }

    /// Counts from zero again.
    pub fn reset_calls(&self) {
        *lock(&self.shared.counters) = Counters::default();
    }
}
