//! Pairs of records of both sides. Some are linked beside the queue: no attempt of a job does it, so no fence protects it.

use async_trait::async_trait;

use crate::domain::{ErpId, Fence, JobId, Link, LinkKind, RecordKey, ShopName, Timestamp};
use crate::store::StoreError;

/// Links between records of both sides, found from either one.
#[async_trait]
pub trait Links: Send + Sync {
    /// The links of these source ids; absent ones are missing from the answer.
    async fn links(
        &self,
        shop: &ShopName,
        kind: LinkKind,
        source_ids: &[String],
    ) -> Result<Vec<Link>, StoreError>;

    /// The link of an ERP record.
    async fn link_of_erp(
        &self,
        shop: &ShopName,
        kind: LinkKind,
        erp_id: ErpId,
    ) -> Result<Option<Link>, StoreError>;

    /// The live links of these ERP records, in no particular order; those that are not linked are missing from the answer.
    async fn links_of_erp(
        &self,
        shop: &ShopName,
        kind: LinkKind,
        erp_ids: &[ErpId],
    ) -> Result<Vec<Link>, StoreError>;

    /// The live links of a kind in the order of their ERP records, at most `limit`, from the first one after `after` on.
    async fn links_in_order(
        &self,
        shop: &ShopName,
        kind: LinkKind,
        after: Option<ErpId>,
        limit: u32,
    ) -> Result<Vec<Link>, StoreError>;

    /// How many records of a kind are linked.
    async fn count_links(&self, shop: &ShopName, kind: LinkKind) -> Result<u64, StoreError>;

    /// Commits links before an attempt ends (adoption, references), under its fence.
    async fn save_links(&self, job: JobId, fence: Fence, links: Vec<Link>) -> Result<Saved, StoreError>;

    /// Links records that exist on both sides, each group of links wholly or not at all, and only where no attempt works on
    /// one of its records and none of them is linked. An attempt that begins later finds the links. Answers in the order given.
    async fn adopt_links(&self, groups: Vec<Adoption>, now: Timestamp) -> Result<Vec<Adopted>, StoreError>;
}

/// Whether links were saved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Saved {
    /// Committed.
    Done,
    /// The attempt is no longer ours; nothing was saved.
    Stale,
    /// Another source record is linked to the same ERP record; nothing was saved.
    Conflict,
}

/// Links that belong together: a customer's, or a product's with those of its variants.
#[derive(Clone, Debug, PartialEq)]
pub struct Adoption {
    /// The records that they pair, as attempts lock them.
    pub records: Vec<RecordKey>,
    /// The links, among them retired ones whose ERP record another one takes over.
    pub links: Vec<Link>,
}

/// What became of an [`Adoption`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Adopted {
    /// All of its links are saved.
    Done,
    /// An attempt works on one of the records at this moment; nothing was saved.
    Busy,
    /// One of the records is linked already; nothing was saved.
    Taken,
}
