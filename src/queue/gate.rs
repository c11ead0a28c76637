//! Which lanes may be claimed at all.

use std::fmt;
use std::sync::Arc;

use crate::domain::{Object, System};
use crate::store::Lane;

use super::Settings;

/// Says which lanes may be claimed: not those of disabled shops, of toggles that are off or paused, of shops that are no
/// longer configured. Jobs of a closed lane stay available and keep coalescing.
#[derive(Clone)]
pub struct LaneGate(Arc<dyn Fn(&Lane) -> bool + Send + Sync>);

impl LaneGate {
    /// A gate that asks `is_open` about each lane.
    pub fn new(is_open: impl Fn(&Lane) -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(is_open))
    }

    /// A gate that lets everything through.
    pub fn open() -> Self {
        Self::new(|_| true)
    }

    /// Whether jobs of the lane may be claimed.
    pub fn lets(&self, lane: &Lane) -> bool {
        (self.0)(lane)
    }
}

impl fmt::Debug for LaneGate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LaneGate")
    }
}

/// What the queue follows while it runs. The app sends a new one when the configuration changes.
#[derive(Clone, Debug)]
pub struct Live {
    /// `[queue]`.
    pub settings: Settings,
    /// Which lanes may be claimed.
    pub gate: LaneGate,
    /// The configuration's revision, for the attempts' rows.
    pub revision: Option<i64>,
}

/// Whether jobs of the lane cannot be done while `system` is down. Notices about the shop itself (the app was uninstalled,
/// a privacy request) concern our own data first: they are never stopped.
pub(super) fn needs(lane: &Lane, _system: System) -> bool {
    lane.object != Object::Shop
}
