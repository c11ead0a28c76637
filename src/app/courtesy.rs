//! Work that nobody waits for lets the daemon's go first: both share the limits of both sides.

use std::time::Duration;

use crate::config::Shop;
use crate::domain::{SharedClock, Timestamp};
use crate::store::{SharedStore, StoreError};
use crate::subscriptions::Toggle;

/// How long a record waits at most while the daemon has work of the shop.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long all records of a command wait at most: the daemon's work may be of a kind that does not end.
const PATIENCE_OF_ALL: Duration = Duration::from_secs(60);

/// How soon it is looked again whether it still has.
const LOOK: Duration = Duration::from_millis(200);

/// The patience that is left.
pub(super) struct Courtesy {
    left: Duration,
}

impl Courtesy {
    pub(super) const fn new() -> Self {
        Self {
            left: PATIENCE_OF_ALL,
        }
    }

    /// Waits while the daemon does what people wait for, as long as there is patience.
    pub(super) async fn let_the_daemon_work(
        &mut self,
        store: &SharedStore,
        clock: &SharedClock,
        shop: &Shop,
    ) -> Result<(), StoreError> {
        let began = clock.now();
        let most = PATIENCE.min(self.left);
        loop {
            let now = clock.now();
            let waited = now.since(began);
            if waited >= most || !is_busy(store, shop, now).await? {
                self.left = self.left.saturating_sub(waited);
                return Ok(());
            }
            clock.sleep_until(now.plus(LOOK)).await;
        }
    }
}

/// Whether there is work of the shop that somebody does. What is ready waits in vain where no daemon runs, where the shop or the lane is
/// paused, and where one of the shop's sides is down; and an import's can wait.
async fn is_busy(store: &SharedStore, shop: &Shop, now: Timestamp) -> Result<bool, StoreError> {
    let ready = store.ready_lanes(now).await?;
    let is_urgent = ready.iter().any(|ready| {
        let lane = &ready.lane;
        lane.shop == shop.name
            && !ready.has_only_imports
            && shop.sync.toggle(lane.object, lane.direction) == Toggle::On
    });
    if !is_urgent || store.nodes(now).await?.is_empty() {
        return Ok(false);
    }
    if store.pauses().await?.iter().any(|pause| pause.shop == shop.name) {
        return Ok(false);
    }
    let breakers = store.breakers().await?;
    let is_down = breakers
        .iter()
        .any(|breaker| breaker.shop == shop.name && breaker.state == "open");
    Ok(!is_down)
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use super::*;
    use crate::config::Config;
    use crate::domain::{Direction, JobKey, ManualClock, Object, Priority};
    use crate::store::testing::open_temp;
    use crate::store::{NewJob, NodeFile, TakenUp};

    const SHOP: &str = "[shops.main]\ndomain = 'main.myshopify.com'\naccess_token = 'shpat_1'\nwebhook_secrets = ['s']\n\
                        [shops.main.odoo]\nurl = 'https://erp.example.com'\ndatabase = 'prod'\n\
                        login = 'a@example.com'\napi_key = 'k'\n[shops.main.sync]\norders = { in = 'on' }\n";

    #[tokio::test]
    async fn nobody_waits_for_what_nobody_does_and_not_for_ever_for_the_rest() {
        let manual = ManualClock::new(Timestamp::parse_rfc3339("2026-11-20T12:00:00Z").unwrap());
        let clock: SharedClock = Arc::new(manual.clone());
        let (_folder, store) = open_temp(clock.clone()).await;
        let config = Config::parse(SHOP, Path::new("/etc/lockstep.toml"), &|_| None);
        let config = config.unwrap_or_else(|error| panic!("{error:?}"));
        let shop = config.shops.values().next().unwrap();
        let job = |object| NewJob {
            key: JobKey {
                shop: shop.name.clone(),
                object,
                direction: Direction::In,
                source_id: "7".to_owned(),
            },
            priority: Priority::LIVE,
            now: clock.now(),
            cause: "test".to_owned(),
        };
        store.enqueue(job(Object::Order)).await.unwrap();
        let mut courtesy = Courtesy::new();
        let asked = courtesy.let_the_daemon_work(&store, &clock, shop).await;
        asked.unwrap();
        assert_eq!(courtesy.left, PATIENCE_OF_ALL, "no daemon runs");

        let file = NodeFile {
            node: "one".to_owned(),
            hash: "hash".to_owned(),
            summary: String::new(),
            toggles: serde_json::Value::Null,
        };
        store
            .config_revision(file, TakenUp::Saved, clock.now())
            .await
            .unwrap();
        assert!(is_busy(&store, shop, clock.now()).await.unwrap());
        let moving = async {
            loop {
                manual.advance(LOOK);
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            () = moving => unreachable!(),
            asked = courtesy.let_the_daemon_work(&store, &clock, shop) => asked.unwrap(),
        }
        assert!(courtesy.left + PATIENCE <= PATIENCE_OF_ALL, "{:?}", courtesy.left);
        courtesy.left = Duration::ZERO;
        let asked = courtesy.let_the_daemon_work(&store, &clock, shop).await;
        asked.unwrap();
    }
}
