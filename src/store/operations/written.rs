//! Which revision of the mappings wrote what, as the stories of attempts tell it.

use async_trait::async_trait;
use serde_json::Value;

use crate::domain::{Direction, Object, ShopName, Timestamp};
use crate::store::StoreError;

/// Which revision of the mappings wrote what.
#[async_trait]
pub trait Written: Send + Sync {
    /// The revisions of the mappings that stories of attempts tell wrote records of a shop, in the order of their names.
    async fn mappings_that_wrote(&self, shop: &ShopName) -> Result<Vec<String>, StoreError>;

    /// The records that a revision wrote, in their order, at most `limit`, each with the stories that tell it.
    async fn written_records(
        &self,
        filter: WrittenFilter,
        limit: u32,
    ) -> Result<Vec<WrittenRecord>, StoreError>;

    /// How many records a revision wrote; a filter's `after` and `stories` play no part.
    async fn written_count(&self, filter: WrittenFilter) -> Result<u64, StoreError>;
}

/// Which records are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrittenFilter {
    /// Of this shop.
    pub shop: ShopName,
    /// That this revision of the mappings wrote, by its whole name.
    pub mapping: String,
    /// Only of this object.
    pub object: Option<Object>,
    /// Of all but this one.
    pub except: Option<Object>,
    /// So many stories of each record are told: the newest ones. What older ones wrote was written over by these, but for fields
    /// that none of so many wrote again.
    pub stories: u32,
    /// Those that come after this one.
    pub after: Option<WrittenPlace>,
}

/// The place of a record among those that a revision wrote.
pub type WrittenPlace = (Direction, Object, String);

/// A record that a revision of the mappings wrote.
#[derive(Clone, Debug, PartialEq)]
pub struct WrittenRecord {
    /// `in` for one that was written to the ERP, `out` for one that was written to the shop.
    pub direction: Direction,
    /// What it is.
    pub object: Object,
    /// Its number on the side where it comes from, or the name that a guest has.
    pub source_id: String,
    /// The stories of the attempts that wrote it, with when each began, the newest first; at most
    /// [`WrittenFilter::stories`].
    pub stories: Vec<(Timestamp, Value)>,
    /// Whether there are older ones than these.
    pub has_older: bool,
}

impl WrittenRecord {
    /// Its place: what comes next is asked for with it.
    pub fn place(&self) -> WrittenPlace {
        (self.direction, self.object, self.source_id.clone())
    }
}
