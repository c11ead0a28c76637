//! Open problems by cause, as SQLite keeps them: every count is exact at any time.

use sqlx::QueryBuilder;

use crate::store::ClusterFilter;
use crate::store::sqlite::Db;

/// Where the counts are read.
pub(super) const NAME: &str = "problem_counts";

/// What stands before a question about them: nothing.
pub(super) fn push_begin(_query: &mut QueryBuilder<Db>, _filter: &ClusterFilter, _limit: i64) {}
