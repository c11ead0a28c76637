//! [`Nodes`] over either database.

use async_trait::async_trait;

use super::super::{Backend, nodes};
use crate::domain::Timestamp;
use crate::store::{NodeFile, NodeRow, Nodes, Revision, Standing, StoreError, TakenUp};

#[async_trait]
impl Nodes for Backend {
    async fn config_revision(
        &self,
        file: NodeFile,
        how: TakenUp,
        now: Timestamp,
    ) -> Result<Standing, StoreError> {
        let node_id = self.node_id();
        change!(self, "number a configuration", |conn| nodes::take_up(
            conn, &file, how, node_id, now
        ))
    }

    async fn newest_revision(&self) -> Result<Option<Revision>, StoreError> {
        ask!(self, "read the newest configuration", |conn| nodes::newest(conn))
    }

    async fn nodes(&self, now: Timestamp) -> Result<Vec<NodeRow>, StoreError> {
        ask!(self, "list nodes", |conn| nodes::live(conn, now))
    }

    async fn node_gone(&self, node: &str) -> Result<(), StoreError> {
        let node = node.to_owned();
        change!(self, "forget a node", |conn| nodes::gone(conn, &node))
    }
}
