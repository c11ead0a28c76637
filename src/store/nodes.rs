//! Configurations as numbered revisions, and which node runs which.

use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use crate::domain::Timestamp;

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
