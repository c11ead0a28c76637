//! Units of work made ready by the caller, so that the writer spends no time on hashing, compression or look-ups.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use crate::domain::{Direction, JobKey, RecordKey, ShopName, System};
use crate::store::body::{self, Packed};
use crate::store::{Delivery, DeliveryAction, Finish, Lane};

/// A delivery to record.
pub(super) struct PreparedDelivery {
    pub(super) delivery: Delivery,
    /// What makes it unique, see [`body::dedup`].
    pub(super) dedup: [u8; 16],
    pub(super) packed: Packed,
    /// The lane of the job that it asks for.
    pub(super) lane_id: Option<i64>,
}

impl PreparedDelivery {
    pub(super) fn new(mut delivery: Delivery, lane_id: Option<i64>) -> Self {
        let body = std::mem::take(&mut delivery.body);
        Self {
            dedup: body::dedup(&delivery.shop, &delivery.dedup_key, delivery.triggered_at),
            packed: body::pack(&body),
            delivery,
            lane_id,
        }
    }

    /// The key of the job that a delivery asks for.
    pub(super) fn key(delivery: &Delivery) -> Option<&JobKey> {
        match &delivery.action {
            DeliveryAction::Job { key, .. } | DeliveryAction::Problem { key, .. } => Some(key),
            DeliveryAction::Record { .. } => None,
        }
    }
}

/// An attempt's end to save.
pub(super) struct PreparedFinish {
    pub(super) finish: Finish,
    /// The lanes of `finish.enqueue`, in its order.
    pub(super) lane_ids: Vec<i64>,
    /// The lane and source id of the job about the record that a [`crate::store::Verdict::Wait`] waits for, if there is
    /// such a lane.
    pub(super) awaited: Option<(i64, String)>,
}

/// The lanes that are known, by name and by number. Lanes are never deleted or changed.
#[derive(Default)]
pub(super) struct Lanes {
    known: RwLock<Known>,
}

#[derive(Default)]
struct Known {
    by_lane: HashMap<Lane, i64>,
    by_id: HashMap<i64, Lane>,
}

impl Lanes {
    pub(super) fn id(&self, lane: &Lane) -> Option<i64> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.by_lane.get(lane).copied()
    }

    pub(super) fn lane(&self, id: i64) -> Option<Lane> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.by_id.get(&id).cloned()
    }

    /// The lanes from Shopify to the ERP.
    pub(super) fn inward(&self) -> Vec<(i64, Lane)> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let lanes = known
            .by_id
            .iter()
            .filter(|(_, lane)| lane.direction == Direction::In);
        lanes.map(|(id, lane)| (*id, lane.clone())).collect()
    }

    /// The lanes of a shop.
    pub(super) fn of_shop(&self, shop: &ShopName) -> Vec<(i64, Lane)> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let lanes = known.by_id.iter().filter(|(_, lane)| lane.shop == *shop);
        lanes.map(|(id, lane)| (*id, lane.clone())).collect()
    }

    /// The lane and source id of the jobs about a record: Shopify's records are the sources of `in`, the ERP's of `out`.
    pub(super) fn about(&self, record: &RecordKey) -> Option<(i64, String)> {
        let lane = Lane {
            shop: record.shop.clone(),
            object: record.model.parse().ok()?,
            direction: match record.system {
                System::Shopify => Direction::In,
                System::Erp => Direction::Out,
            },
        };
        Some((self.id(&lane)?, record.id.clone()))
    }

    pub(super) fn learn(&self, lanes: Vec<(i64, Lane)>) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        for (id, lane) in lanes {
            known.by_lane.insert(lane.clone(), id);
            known.by_id.insert(id, lane);
        }
    }
}

impl Lane {
    /// The lane of a job.
    pub fn of(key: &JobKey) -> Self {
        Self {
            shop: key.shop.clone(),
            object: key.object,
            direction: key.direction,
        }
    }

    /// The key of the job of this lane about this record.
    pub fn key(&self, source_id: &str) -> JobKey {
        JobKey {
            shop: self.shop.clone(),
            object: self.object,
            direction: self.direction,
            source_id: source_id.to_owned(),
        }
    }
}
