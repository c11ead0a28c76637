//! Polls against a world of writers, and step by step.

mod odoo;
mod pure;
mod steps;
mod world;
mod writers;

use std::sync::Arc;

use tempfile::TempDir;

use self::world::World;
use super::{Poll, PollError, Polled, poll};
use crate::domain::{Direction, JobState, ManualClock, Object, Priority, SharedClock, ShopName, Timestamp};
use crate::erp::Watched;
use crate::store::testing::open_temp;
use crate::store::{JobFilter, Lane, SharedStore};

const MODEL: &str = "res.partner";

/// A store, a clock of ours, and the ERP.
struct Rig {
    world: World,
    store: SharedStore,
    clock: SharedClock,
    manual: ManualClock,
    _folder: TempDir,
}

fn shop() -> ShopName {
    "main".parse().unwrap()
}

fn watched() -> Watched {
    Watched {
        through: None,
        object: Object::Customer,
        model: MODEL,
        owner: Some("parent_id"),
        fields: vec!["name".to_owned()],
        forecast_only: false,
    }
}

impl Rig {
    async fn new(world: World) -> Self {
        // Ours is not the ERP's clock: nothing may depend on that.
        let manual = ManualClock::new(Timestamp::from_millis(1_700_000_000_000));
        let clock: SharedClock = Arc::new(manual.clone());
        let (folder, store) = open_temp(Arc::clone(&clock)).await;
        Self {
            world,
            store,
            clock,
            manual,
            _folder: folder,
        }
    }

    fn poller(&self) -> Poll<'_, World> {
        Poll {
            shop: shop(),
            watched: watched(),
            erp: &self.world,
            store: &self.store,
            clock: &self.clock,
            holder: "serve-one".to_owned(),
            priority: Priority::LIVE,
        }
    }

    async fn poll(&self) -> Polled {
        self.try_poll().await.unwrap()
    }

    async fn try_poll(&self) -> Result<Polled, PollError> {
        poll(&self.poller()).await
    }

    /// Time goes by on both sides.
    fn wait(&self, seconds: u64) {
        self.manual.advance(std::time::Duration::from_secs(seconds));
        self.world.advance(seconds * 1_000_000);
    }

    /// The records with an open job; all of those are done now.
    async fn work(&self) -> Vec<i64> {
        let filter = JobFilter {
            states: vec![JobState::Available],
            limit: 100_000,
            ..JobFilter::default()
        };
        let jobs = self.store.jobs(filter).await.unwrap();
        let lane = Lane {
            shop: shop(),
            object: Object::Customer,
            direction: Direction::Out,
        };
        let done = self
            .store
            .discard_waiting(&lane, "done", self.clock.now())
            .await
            .unwrap();
        assert_eq!(done, jobs.len() as u64);
        let mut ids: Vec<i64> = jobs
            .iter()
            .map(|job| job.key.source_id.parse().unwrap())
            .collect();
        ids.sort_unstable();
        ids
    }
}
