//! [`Imports`] over either database.

use async_trait::async_trait;

use super::super::{Backend, imports};
use crate::domain::{Actor, Fence, JobId, Timestamp};
use crate::store::{
    ImportAct, ImportEffect, ImportFed, ImportPage, ImportRow, Imports, ImportsBegun, Lane, NewImport,
    StoreError,
};

#[async_trait]
impl Imports for Backend {
    async fn begin_imports(
        &self,
        imports: Vec<NewImport>,
        actor: Actor,
        now: Timestamp,
    ) -> Result<ImportsBegun, StoreError> {
        change!(self, "begin imports", |conn| imports::begin(
            conn, &imports, &actor, now
        ))
    }

    async fn act_on_import(&self, act: ImportAct) -> Result<bool, StoreError> {
        change!(self, "stop or resume an import", |conn| imports::act(conn, &act))
    }

    async fn save_import_page(&self, page: ImportPage) -> Result<bool, StoreError> {
        change!(self, "save what an import listed", |conn| imports::listed(
            conn, &page
        ))
    }

    async fn feed_import(
        &self,
        import: i64,
        lane: Lane,
        most: u32,
        now: Timestamp,
    ) -> Result<ImportFed, StoreError> {
        // Asked many times a second while an import runs: without room nothing is locked, and nobody is woken.
        let room = ask!(self, "look for room for an import", |conn| imports::room(
            conn, import, most, now
        ))?;
        if room.is_empty() {
            return Ok(ImportFed {
                open: room.open,
                made: 0,
            });
        }
        let lane_id = self.lane_ids(vec![lane]).await?[0];
        let fed = change!(self, "make jobs of an import", |conn| imports::feed(
            conn, import, lane_id, most, now
        ))?;
        if fed.made > 0 {
            self.ring().await;
        }
        Ok(fed)
    }

    async fn end_import(
        &self,
        import: i64,
        notifications: Vec<String>,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let is_told = !notifications.is_empty();
        let is_over = change!(self, "end an import", |conn| imports::end(
            conn,
            import,
            &notifications,
            now
        ))?;
        if is_over && is_told {
            self.ring_told().await;
        }
        Ok(is_over)
    }

    async fn note_import_error(&self, import: i64, error: Option<&str>) -> Result<(), StoreError> {
        let error = error.map(str::to_owned);
        change!(self, "note why an import waits", |conn| imports::note_error(
            conn,
            import,
            error.as_deref()
        ))
    }

    async fn note_import_effect(
        &self,
        job: JobId,
        fence: Fence,
        effect: ImportEffect,
    ) -> Result<(), StoreError> {
        change!(self, "note what an import did", |conn| imports::effect(
            conn, job, fence, effect
        ))
    }

    async fn imports(&self, limit: u32) -> Result<Vec<ImportRow>, StoreError> {
        ask!(self, "list imports", |conn| imports::last(conn, limit))
    }

    async fn imports_of(&self, ids: Vec<i64>) -> Result<Vec<ImportRow>, StoreError> {
        ask!(self, "read imports", |conn| imports::of(conn, &ids))
    }

    async fn open_imports(&self) -> Result<Vec<ImportRow>, StoreError> {
        ask!(self, "list open imports", |conn| imports::open(conn))
    }
}
