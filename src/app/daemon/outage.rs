//! What may have been missed while no node ran.
//!
//! Shopify tries a delivery for four hours. After a longer outage the next delta run begins where the last one ended, and finds
//! what changed meanwhile; a shop without delta runs has nothing that tells from when on to look, although its subscriptions
//! still stand. So nodes note every few minutes that they live, and one that starts looks when that was last.

use std::time::Duration;

use tokio::select;
use tokio_util::sync::CancellationToken;

use super::DELTA_OBJECTS;
use crate::app::gaps::{self, Missed};
use crate::app::reach;
use crate::config::Config;
use crate::domain::{Direction, SharedClock, Timestamp};
use crate::reconcile::Every;
use crate::store::{SharedStore, StoreError};
use crate::subscriptions::Toggle;

/// The named position of the last sign of life, by the database's clock.
const NAME: &str = "lived_at";

/// How often it is noted: gaps begin by no more than that too early.
const NOTED_EVERY: Duration = Duration::from_secs(300);

/// For how long Shopify tries a delivery: <https://shopify.dev/docs/apps/build/webhooks/troubleshooting-webhooks>.
const TRIED_FOR: Duration = Duration::from_secs(4 * 3600);

/// Opens gaps where nobody ran for longer than Shopify tries, for what no delta run looks after. To be called at the start, before
/// this node notes that it lives.
///
/// # Errors
/// When the store fails.
pub(super) async fn look_back(
    config: &Config,
    store: &SharedStore,
    clock: &SharedClock,
) -> Result<(), StoreError> {
    let text = store.cursor(&reach::installation(), NAME).await?;
    let lived_at = text
        .and_then(|text| text.parse().ok())
        .map(Timestamp::from_millis);
    let now = store.time(clock.now()).await?;
    if let Some(lived_at) = lived_at
        && now.since(lived_at) > TRIED_FOR
    {
        for shop in config.shops.values().filter(|shop| shop.runs.delta == Every::Off) {
            for object in DELTA_OBJECTS {
                if shop.sync.toggle(object, Direction::In) == Toggle::Off {
                    continue;
                }
                let missed = Missed {
                    shop: &shop.name,
                    start_at: shop.start_at,
                    object,
                    since: Some(lived_at),
                    reason: "lockstep did not run for longer than Shopify tries a delivery",
                };
                gaps::open(store, clock, missed).await?;
            }
        }
    }
    note(store, clock).await
}

/// Notes every few minutes that a node lives, until `stop`.
pub(super) async fn note_signs_of_life(store: SharedStore, clock: SharedClock, stop: CancellationToken) {
    loop {
        select! {
            () = stop.cancelled() => return,
            () = clock.sleep_until(clock.now().plus(NOTED_EVERY)) => {}
        }
        if let Err(error) = note(&store, &clock).await {
            // A gap that begins too early is only looked at for longer.
            tracing::debug!(error = %error, "cannot note that this node lives");
        }
    }
}

async fn note(store: &SharedStore, clock: &SharedClock) -> Result<(), StoreError> {
    let now = clock.now();
    let lived_at = store.time(now).await?.millis().to_string();
    store
        .set_cursor(&reach::installation(), NAME, &lived_at, now)
        .await
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;
    use std::path::Path;
    use std::sync::Arc;

    use super::*;
    use crate::app::gaps::OVERLAP;
    use crate::domain::{Clock as _, ManualClock, Object};
    use crate::store::testing::open_temp;

    const HOUR: Duration = Duration::from_secs(3600);

    #[tokio::test]
    async fn only_what_nothing_else_looks_after_is_looked_for_after_a_long_outage() {
        let manual = ManualClock::new(Timestamp::from_millis(1_795_514_400_000));
        let clock: SharedClock = Arc::new(manual.clone());
        let (_folder, store) = open_temp(Arc::clone(&clock)).await;
        let mut text = String::new();
        for (name, delta) in [("off", "off"), ("asked", "10m")] {
            write!(
                text,
                "[shops.{name}]\ndomain = '{name}.myshopify.com'\naccess_token = 'shpat_1'\nwebhook_secrets = ['s']\n\
                 start_at = 2000-01-01T00:00:00Z\n\
                 [shops.{name}.odoo]\nurl = 'https://erp.example.com'\ndatabase = 'prod'\nlogin = 'a@example.com'\n\
                 api_key = 'k'\n[shops.{name}.sync]\norders = {{ in = 'on' }}\ncustomers = {{ in = 'paused' }}\n\
                 [shops.{name}.runs]\ndelta = '{delta}'\n"
            )
            .unwrap();
        }
        let config = Config::parse(&text, Path::new("/etc/lockstep.toml"), &|_| None).unwrap();
        let start = async || {
            look_back(&config, &store, &clock).await.unwrap();
            store.gaps().await.unwrap()
        };
        assert!(start().await.is_empty(), "nothing is known");
        manual.advance(TRIED_FOR);
        assert!(start().await.is_empty(), "Shopify still tries");
        let lived_at = manual.now();
        manual.advance(TRIED_FOR + HOUR);
        let mut gaps = start().await;
        gaps.sort_by_key(|gap| gap.object);
        let found = gaps.iter().map(|gap| (gap.shop.as_str(), gap.object, gap.since));
        let since = lived_at.minus(OVERLAP);
        let mut expected = [("off", Object::Order, since), ("off", Object::Customer, since)];
        expected.sort_by_key(|(_, object, _)| *object);
        assert_eq!(found.collect::<Vec<_>>(), expected);
        let (one, two) = (gaps[0].opened_at, manual.now());
        assert_eq!(one, two);
        // The next start is one after a moment.
        manual.advance(HOUR);
        assert_eq!(start().await.len(), 2);
        assert!(store.gaps().await.unwrap().iter().all(|gap| gap.stood_at == two));
    }
}
