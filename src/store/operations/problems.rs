//! What needs a person.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Serialize;

use crate::domain::{JobId, NewProblem, ShopName, Timestamp};
use crate::store::StoreError;

/// Problems: those of a shop itself, which no job has, and all that are open.
#[async_trait]
pub trait Problems: Send + Sync {
    /// Opens a problem of the shop itself (or raises its count when one of the same cluster is open).
    async fn open_shop_problem(
        &self,
        shop: &ShopName,
        problem: NewProblem,
        now: Timestamp,
    ) -> Result<(), StoreError>;

    /// Closes the shop's open problems of this code. Returns how many.
    async fn close_shop_problems(
        &self,
        shop: &ShopName,
        code: &str,
        now: Timestamp,
    ) -> Result<u64, StoreError>;

    /// Closes the shop's open problem of this code and cluster, if there is one.
    async fn close_shop_problem(
        &self,
        shop: &ShopName,
        code: &str,
        cluster: &str,
        now: Timestamp,
    ) -> Result<u64, StoreError>;

    /// All open problems, newest first, up to `limit`.
    async fn open_problems(&self, limit: u32) -> Result<Vec<ProblemRow>, StoreError>;
}

/// One problem.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct ProblemRow {
    /// Number.
    pub id: i64,
    /// Shop.
    pub shop: ShopName,
    /// The job, unless the shop itself has the problem.
    pub job: Option<JobId>,
    /// What a person is told.
    pub problem: NewProblem,
    /// First seen.
    pub opened_at: Timestamp,
    /// Last seen.
    pub seen_at: Timestamp,
    /// How often.
    pub count: u32,
    /// When it was over.
    pub closed_at: Option<Timestamp>,
}
