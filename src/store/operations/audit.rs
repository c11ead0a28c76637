//! What is kept of what people did: the audit log.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Serialize;

use crate::domain::{ShopName, Timestamp, Via};
use crate::store::StoreError;

/// Reading the audit log.
#[async_trait]
pub trait Audit: Send + Sync {
    /// Lines of the audit log, newest first.
    async fn audit(&self, filter: AuditFilter) -> Result<Vec<AuditRow>, StoreError>;

    /// How often people did what since then.
    async fn action_counts(&self, since: Timestamp) -> Result<Vec<ActionCount>, StoreError>;
}

/// Which lines of the audit log. What is not given is not asked.
#[derive(Clone, Debug, Default)]
pub struct AuditFilter {
    /// Of this shop.
    pub shop: Option<ShopName>,
    /// About this subject, e.g. `job:42`.
    pub subject: Option<String>,
    /// This action.
    pub action: Option<String>,
    /// By this person.
    pub actor: Option<String>,
    /// Done then or later.
    pub since: Option<Timestamp>,
    /// Older than this line (paging).
    pub before: Option<i64>,
    /// At most this many; 0 means 50.
    pub limit: u32,
}

/// One line of the audit log.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct AuditRow {
    /// Its number.
    pub id: i64,
    /// When.
    pub at: Timestamp,
    /// Who.
    pub actor: String,
    /// By which door.
    pub via: Via,
    /// `retry`, `carry_over`, `discard`, `hold`, `release`, `move_ahead`, `resolve`, `link`, `pause`, `resume`, `claim`, `unclaim`,
    /// `snooze`, `note`, `start_batch`, `stop_batch`, `edit_table`, `approve`, `reject`, `choose`, `toggle`,
    /// `apply_webhooks`, `push_all`, `reconcile`, `test_delivery`, `add_user`, `declare_endpoint`, `change_endpoint`, `remove_endpoint`, `pause_endpoint`, `resume_endpoint`, `redeliver` or
    /// `cancel_deliveries`.
    pub action: String,
    /// In which shop, where it concerns one.
    pub shop: Option<ShopName>,
    /// What it was done to: `job:42`, `shop:main`, `batch:3`, `cluster:CODE/CLUSTER`, `table:TABLE/KEY`,
    /// `limit:OBJECT`, `user:NAME`, `endpoint:NAME`, `delivery:42`, `deliveries:failed`.
    pub subject: String,
    /// Why.
    pub reason: Option<String>,
    /// What else belongs to it.
    pub detail: serde_json::Value,
}

/// How often an action was done in a shop.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ActionCount {
    /// The action, as [`AuditRow::action`] has it.
    pub action: String,
    /// The shop, where it concerned one.
    pub shop: Option<ShopName>,
    /// How often.
    pub count: u64,
}
