//! "Link what is there": a catalogue that exists on both sides is linked before anything of it is written. Without a daemon;
//! beside a running one, which finds the links with its next attempt.

use std::sync::Arc;

use tokio::sync::watch;

use super::daemon::{self, StartError};
use crate::config::{Config, Shop};
use crate::domain::{Object, SharedClock, SharedEntropy};
use crate::store::{OpenMode, StoreError};
use crate::sync::Engine;

pub use crate::shopify::{Listing, Shopify};
pub use crate::sync::{Ambiguity, MatchError, MatchProgress, Matched, MatchedPair, NamedRecord, OutCounts};

/// Why nothing was linked, or not all.
#[derive(Debug, thiserror::Error)]
pub enum MatchFailure {
    /// The shop cannot be connected, or the mappings cannot be used.
    #[error(transparent)]
    Wire(#[from] StartError),
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The records cannot be matched.
    #[error(transparent)]
    Match(#[from] MatchError),
}

/// Links the records of an object that exist on both sides; with `dry_run` only says what would be.
///
/// # Errors
/// When a side cannot be asked; links that were made stay.
pub async fn match_records(
    config: &Config,
    shop: &Shop,
    object: Object,
    dry_run: bool,
    (clock, entropy): (&SharedClock, &SharedEntropy),
    progress: &(dyn Fn(MatchProgress) + Sync),
) -> Result<Matched, MatchFailure> {
    with_engine(config, shop, (clock, entropy), async |engine| {
        engine.match_records(&shop.name, object, dry_run, progress).await
    })
    .await
}

/// Counts the records of an object in the ERP by what the way back would do with them.
///
/// # Errors
/// When the ERP or the store cannot be asked.
pub async fn count_out(
    config: &Config,
    shop: &Shop,
    object: Object,
    (clock, entropy): (&SharedClock, &SharedEntropy),
) -> Result<OutCounts, MatchFailure> {
    with_engine(config, shop, (clock, entropy), async |engine| {
        engine.count_out(&shop.name, object).await
    })
    .await
}

async fn with_engine<T>(
    config: &Config,
    shop: &Shop,
    (clock, entropy): (&SharedClock, &SharedEntropy),
    ask: impl AsyncFnOnce(Engine) -> Result<T, MatchError>,
) -> Result<T, MatchFailure> {
    let mappings =
        crate::app::mappings::load(config.mappings.dir.as_deref()).map_err(StartError::Mappings)?;
    let mappings = watch::Sender::new(Arc::new(mappings));
    let store = super::open(config, clock, OpenMode::Tool).await?;
    let answer = match daemon::context(shop, &mappings, &store, clock, entropy) {
        Ok(context) => ask(Engine::new([context])).await.map_err(MatchFailure::from),
        Err(error) => Err(error.into()),
    };
    store.close().await;
    answer
}
