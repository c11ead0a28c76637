//! A dry run of one record, without a daemon: reads both systems and the store, writes nothing.

use std::sync::Arc;

use tokio::sync::watch;

use super::daemon::{self, StartError};
use crate::config::{Config, Shop};
use crate::domain::{ErpId, Object, SharedClock, SharedEntropy, ShopifyId};
use crate::store::{OpenMode, StoreError};
use crate::sync::Engine;

pub use crate::sync::{
    ErpAmounts, ExplainedLine, ExplainedRow, ExplainedTotals, Explanation, Preview, PreviewError,
    PreviewedWrite, Step,
};

/// Why there is no preview.
#[derive(Debug, thiserror::Error)]
pub enum PreviewFailure {
    /// The shop cannot be connected, or the mappings cannot be used.
    #[error(transparent)]
    Wire(#[from] StartError),
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The record cannot be previewed.
    #[error(transparent)]
    Preview(#[from] PreviewError),
}

/// What would be written for the record now.
///
/// # Errors
/// When the record does not exist, or a side cannot be asked.
pub async fn preview(
    config: &Config,
    shop: &Shop,
    object: Object,
    id: ShopifyId,
    clock: &SharedClock,
    entropy: &SharedEntropy,
) -> Result<Preview, PreviewFailure> {
    with_engine(config, shop, (clock, entropy), async |engine| {
        engine.preview(&shop.name, object, id).await
    })
    .await
}

/// What would be written to the shop for a record of the ERP now.
///
/// # Errors
/// When the record does not exist, or a side cannot be asked.
pub async fn preview_out(
    config: &Config,
    shop: &Shop,
    object: Object,
    id: ErpId,
    clock: &SharedClock,
    entropy: &SharedEntropy,
) -> Result<Preview, PreviewFailure> {
    with_engine(config, shop, (clock, entropy), async |engine| {
        engine.preview_out(&shop.name, object, id).await
    })
    .await
}

async fn with_engine(
    config: &Config,
    shop: &Shop,
    (clock, entropy): (&SharedClock, &SharedEntropy),
    look: impl AsyncFnOnce(Engine) -> Result<Preview, PreviewError>,
) -> Result<Preview, PreviewFailure> {
    let mappings =
        crate::app::mappings::load(config.mappings.dir.as_deref()).map_err(StartError::Mappings)?;
    let mappings = watch::Sender::new(Arc::new(mappings));
    let store = super::open(config, clock, OpenMode::Tool).await?;
    let previewed = match daemon::context(shop, &mappings, &store, clock, entropy) {
        Ok(context) => look(Engine::new([context])).await.map_err(PreviewFailure::from),
        Err(error) => Err(error.into()),
    };
    store.close().await;
    previewed
}
