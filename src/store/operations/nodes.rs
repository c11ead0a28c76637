//! Configurations as numbered revisions, and which node runs which.

use std::time::Duration;

use async_trait::async_trait;
use serde::Serialize;
use serde_json::Value;

use crate::domain::Timestamp;
use crate::store::StoreError;

/// Nodes, and which configuration they act on.
#[async_trait]
pub trait Nodes: Send + Sync {
    /// Notes what a node runs and that it lives, and says how that stands to the newest revision, on which all nodes act.
    /// What somebody saved while the node ran is the newest from now on, even if it stood before; what it found at its start
    /// or runs still becomes the newest only if no other node runs the newest, or did a moment ago (for one that begins while
    /// no other lives, what was run a moment ago is over). To be repeated every few seconds (see [`NODE_DEAD_AFTER`]).
    async fn config_revision(
        &self,
        file: NodeFile,
        how: TakenUp,
        now: Timestamp,
    ) -> Result<Standing, StoreError>;

    /// What all nodes act on.
    async fn newest_revision(&self) -> Result<Option<Revision>, StoreError>;

    /// The nodes that live, by name.
    async fn nodes(&self, now: Timestamp) -> Result<Vec<NodeRow>, StoreError>;

    /// A node ends in order. What it ran counts as run for [`NODE_DEAD_AFTER`] still, because it may only be restarted.
    async fn node_gone(&self, node: &str) -> Result<(), StoreError>;
}

/// A node that was not heard of for so long is taken for dead. It says every few seconds that it lives.
pub const NODE_DEAD_AFTER: Duration = Duration::from_secs(60);

/// A configuration that every node acts on, or did.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Revision {
    /// Its number: the highest is the newest.
    pub id: i64,
    /// A hash over configuration and mappings, without secrets.
    pub hash: String,
    /// What it is, for people.
    pub summary: String,
    /// The toggles of each shop.
    pub toggles: Value,
    /// The node that took it up first.
    pub node: String,
    /// When.
    pub created_at: Timestamp,
}

/// The configuration that a node runs.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeFile {
    /// The node.
    pub node: String,
    /// A hash over configuration and mappings, without secrets.
    pub hash: String,
    /// What it is, for people.
    pub summary: String,
    /// The toggles of each shop.
    pub toggles: Value,
}

/// How a node came to the configuration that it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TakenUp {
    /// Somebody saved it while the node ran: that is the newest from now on.
    Saved,
    /// It found it at its start, or runs it still: it is the newest only if no other live node runs the newest.
    Found,
}

/// What a node runs compared with what all are to act on.
#[derive(Clone, Debug, PartialEq)]
pub struct Standing {
    /// The number of what the node runs.
    pub own: i64,
    /// What all nodes act on.
    pub newest: Revision,
    /// Whether they are the same.
    pub is_newest: bool,
}

/// A node that was heard of lately.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NodeRow {
    /// The node.
    pub node: String,
    /// The hash of the configuration that it runs.
    pub hash: String,
    /// When it said so last.
    pub seen_at: Timestamp,
}
