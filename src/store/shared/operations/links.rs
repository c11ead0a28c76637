//! [`Links`] over either database.

use async_trait::async_trait;

use super::super::{Backend, intents, links};
use crate::domain::{ErpId, Fence, JobId, Link, LinkKind, ShopName, Timestamp};
use crate::store::{Adopted, Adoption, Links, Saved, StoreError};

#[async_trait]
impl Links for Backend {
    async fn links(
        &self,
        shop: &ShopName,
        kind: LinkKind,
        source_ids: &[String],
    ) -> Result<Vec<Link>, StoreError> {
        ask!(self, "read links", |conn| links::of_sources(
            conn, shop, kind, source_ids
        ))
    }

    async fn link_of_erp(
        &self,
        shop: &ShopName,
        kind: LinkKind,
        erp_id: ErpId,
    ) -> Result<Option<Link>, StoreError> {
        ask!(self, "read a link", |conn| links::of_erp(
            conn, shop, kind, erp_id
        ))
    }

    async fn links_of_erp(
        &self,
        shop: &ShopName,
        kind: LinkKind,
        erp_ids: &[ErpId],
    ) -> Result<Vec<Link>, StoreError> {
        ask!(self, "read links", |conn| links::of_erp_records(
            conn, shop, kind, erp_ids
        ))
    }

    async fn links_in_order(
        &self,
        shop: &ShopName,
        kind: LinkKind,
        after: Option<ErpId>,
        limit: u32,
    ) -> Result<Vec<Link>, StoreError> {
        ask!(self, "read links in order", |conn| links::in_order(
            conn, shop, kind, after, limit
        ))
    }

    async fn count_links(&self, shop: &ShopName, kind: LinkKind) -> Result<u64, StoreError> {
        ask!(self, "count links", |conn| intents::linked(conn, shop, kind))
    }

    async fn save_links(&self, job: JobId, fence: Fence, links: Vec<Link>) -> Result<Saved, StoreError> {
        change!(self, "save links", |conn| links::save_under_fence(
            conn, job, fence, &links
        ))
    }

    async fn adopt_links(&self, groups: Vec<Adoption>, now: Timestamp) -> Result<Vec<Adopted>, StoreError> {
        change!(self, "link records of both sides", |conn| links::adopt(
            conn, &groups, now
        ))
    }
}
