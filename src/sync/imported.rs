//! What an import's job did to the ERP, for the sum at the import's end.
//!
//! It is noted before an attempt's first write: an attempt that fails later, is cut or killed leaves a record that its
//! successor finds as it should be, and that was made by the import all the same.

use std::sync::atomic::{AtomicBool, Ordering};

use super::flow::Flow;
use super::live;
use super::stop::Stop;
use crate::domain::{LinkKind, Object};
use crate::store::ImportEffect;

/// How things stood before an attempt of an import's job.
#[derive(Debug)]
pub(super) struct Before {
    was_known: bool,
    /// Whether it is noted that something is written.
    is_noted: AtomicBool,
}

/// Looks how things stand; nothing where no import asked for the job.
pub(super) async fn before(flow: &Flow<'_>) -> Result<Option<Before>, Stop> {
    let key = &flow.job.key;
    let kind = match key.object {
        _ if flow.job.import.is_none() => return Ok(None),
        Object::Order => LinkKind::Order,
        Object::Customer => LinkKind::Customer,
        Object::Product => LinkKind::Product,
        Object::Inventory | Object::Shop => return Ok(None),
    };
    let ids = std::slice::from_ref(&key.source_id);
    let links = flow.shop.store.links(&flow.shop.name, kind, ids).await?;
    Ok(Some(Before {
        was_known: live(links).is_some(),
        is_noted: AtomicBool::new(false),
    }))
}

/// Notes, once in an attempt, that it is about to write to the ERP.
pub(super) async fn writes(flow: &Flow<'_>) -> Result<(), Stop> {
    match &flow.imported {
        Some(before) if !before.is_noted.swap(true, Ordering::Relaxed) => {
            let effect = if before.was_known {
                ImportEffect::Updated
            } else {
                ImportEffect::Created
            };
            note(flow, effect).await
        }
        _ => Ok(()),
    }
}

/// Notes of an attempt that went well and wrote nothing that nothing was to be done; also what was found in the ERP.
pub(super) async fn ended(flow: &Flow<'_>) -> Result<(), Stop> {
    match &flow.imported {
        Some(before) if !before.is_noted.load(Ordering::Relaxed) => note(flow, ImportEffect::Unchanged).await,
        _ => Ok(()),
    }
}

async fn note(flow: &Flow<'_>, effect: ImportEffect) -> Result<(), Stop> {
    let (job, fence) = (flow.job.id, flow.job.fence);
    flow.shop.store.note_import_effect(job, fence, effect).await?;
    Ok(())
}
