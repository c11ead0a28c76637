//! The same race against the stand-in Odoo over both of its protocols, and the whole way from a poll to its cost in calls.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};

use super::{shop, watched};
use crate::domain::{Direction, JobState, ManualClock, Object, Priority, SharedClock, Timestamp};
use crate::erp::odoo::{Odoo, Settings};
use crate::poll::{Poll, poll};
use crate::sandbox::odoo::{OdooSandbox, Options, Version};
use crate::secret::Secret;
use crate::store::testing::open_temp;
use crate::store::{JobFilter, Lane, SharedStore};
use crate::transport;

/// A hundredth of what the pollers' own test has.
const ROWS: usize = 100;

/// 2026-01-01 00:00:00 UTC, in microseconds.
const START: i64 = 1_767_225_600_000_000;

struct Place {
    erp: OdooSandbox,
    odoo: Odoo,
    store: SharedStore,
    clock: SharedClock,
    manual: ManualClock,
    micros: Arc<AtomicI64>,
    _folder: tempfile::TempDir,
}

impl Place {
    async fn new(version: Version) -> Self {
        let micros = Arc::new(AtomicI64::new(0));
        let hand = Arc::clone(&micros);
        let erp = OdooSandbox::start(Options {
            clock: Arc::new(move || moment(hand.load(Ordering::SeqCst))),
            ..Options::version(version)
        })
        .await
        .unwrap();
        let manual = ManualClock::new(Timestamp::from_millis(1_700_000_000_000));
        let clock: SharedClock = Arc::new(manual.clone());
        let settings = Settings {
            calls_per_second: 10_000,
            ..Settings::new(erp.url(), "prod", "connector@example.com")
        };
        let key = Secret::text(erp.api_key());
        let connection = transport::Settings::default();
        let odoo = Odoo::connect(settings, key, &connection, shop(), Arc::clone(&clock)).unwrap();
        let (folder, store) = open_temp(Arc::clone(&clock)).await;
        Self {
            erp,
            odoo,
            store,
            clock,
            manual,
            micros,
            _folder: folder,
        }
    }

    fn wait(&self, millis: i64) {
        self.micros.fetch_add(millis * 1_000, Ordering::SeqCst);
        self.manual
            .advance(Duration::from_millis(u64::try_from(millis).unwrap()));
    }

    async fn poll(&self) {
        let poller = Poll {
            shop: shop(),
            watched: watched(),
            erp: &self.odoo,
            store: &self.store,
            clock: &self.clock,
            holder: "serve-one".to_owned(),
            priority: Priority::LIVE,
        };
        poll(&poller).await.unwrap();
    }

    /// What the open jobs read now.
    async fn work(&self, synced: &mut BTreeMap<i64, Value>) {
        let filter = JobFilter {
            states: vec![JobState::Available],
            limit: 10_000,
            ..JobFilter::default()
        };
        let ids: Vec<i64> = self
            .store
            .jobs(filter)
            .await
            .unwrap()
            .iter()
            .map(|job| job.key.source_id.parse().unwrap())
            .collect();
        let lane = Lane {
            shop: shop(),
            object: Object::Customer,
            direction: Direction::Out,
        };
        self.store
            .discard_waiting(&lane, "done", self.clock.now())
            .await
            .unwrap();
        synced.extend(self.names(Some(&ids)));
    }

    fn names(&self, ids: Option<&[i64]>) -> Vec<(i64, Value)> {
        let domain = ids.map_or(json!([["name", "like", "Row"]]), |ids| json!([["id", "in", ids]]));
        let rows = self
            .erp
            .as_admin("res.partner", "search_read", json!([domain, ["name"]]), json!({}))
            .unwrap();
        let rows = rows.as_array().unwrap().iter();
        rows.map(|row| (row["id"].as_i64().unwrap(), row["name"].clone()))
            .collect()
    }
}

fn moment(micros: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(START + micros).unwrap()
}

#[tokio::test]
async fn late_rows_of_many_writers_are_all_found_in_both_versions() {
    for version in [Version::V18, Version::V19] {
        let place = Place::new(version).await;
        let mut random = StdRng::seed_from_u64(11);
        place.wait(700_000);
        place.poll().await;
        let (mut made, mut synced) = (Vec::new(), BTreeMap::new());
        while made.len() < ROWS {
            place.wait(random.random_range(100..4_000));
            // Three transactions end now; they began up to a minute ago, some in the same second.
            for writer in 0..3 {
                let now = place.micros.load(Ordering::SeqCst);
                let began = moment(now - random.random_range(0..60_000_000));
                let values: Vec<Value> = (0..3)
                    .map(|n| json!({"name": format!("Row {} {writer} {n}", made.len())}))
                    .collect();
                let ids = place
                    .erp
                    .as_admin_since(began, "res.partner", "create", json!([values]), json!({}))
                    .unwrap();
                made.extend(ids.as_array().unwrap().iter().map(|id| id.as_i64().unwrap()));
            }
            // A row of a moment ago is changed, in a transaction that began after it was made.
            let changed = made[made.len() - 1 - random.random_range(0..3_usize)];
            place
                .erp
                .as_admin(
                    "res.partner",
                    "write",
                    json!([[changed], {"name": format!("Row again {}", made.len())}]),
                    json!({}),
                )
                .unwrap();
            if random.random_bool(0.7) {
                place.poll().await;
                place.work(&mut synced).await;
            }
        }
        place.wait(15_000);
        place.poll().await;
        place.work(&mut synced).await;
        let all: BTreeMap<i64, Value> = place.names(None).into_iter().collect();
        assert_eq!(all.len(), made.len());
        assert_eq!(synced, all, "{version:?}");

        place.wait(15_000);
        place.poll().await;
        let before = place.erp.ledger().calls();
        place.wait(15_000);
        place.poll().await;
        let after = place.erp.ledger().calls();
        let sum = |calls: &BTreeMap<String, u64>| calls.values().sum::<u64>();
        assert_eq!(
            sum(&after) - sum(&before),
            2,
            "{version:?}: a poll that finds nothing"
        );
    }
}
