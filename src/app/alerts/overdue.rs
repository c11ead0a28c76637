//! Comparisons of both sides that do not come although they are due: nothing fails then, and nobody would be told.

use std::time::Duration;

use super::found::{Looked, clock_time, is_paused, of_a_shop};
use crate::app::schedules::full::{FullSchedule, OBJECTS, is_compared, read};
use crate::config::Config;
use crate::domain::Timestamp;
use crate::store::{AlertRow, SharedStore};

/// How the keys begin.
pub(super) const OF_OVERDUE: &str = "overdue:";

/// It is told once it was seen for so long: after a start, what was missed is made up for by itself.
const SEEN_FOR: Duration = Duration::from_secs(30 * 60);

/// Runs whose next one is due as well by now.
pub(super) async fn overdue(
    config: &Config,
    store: &SharedStore,
    known: &[AlertRow],
    now: Timestamp,
) -> Looked {
    let pauses = store.pauses().await?;
    let mut found = Vec::new();
    for shop in config.shops.values() {
        let Some(schedule) = FullSchedule::of(shop).filter(|_| !is_paused(shop, &pauses)) else {
            continue;
        };
        for object in OBJECTS.into_iter().filter(|object| is_compared(shop, *object)) {
            // None before the first look.
            let Some(standing) = read(store, &shop.name, object).await? else {
                continue;
            };
            let Some(since) = schedule.overdue_since(&standing, now) else {
                continue;
            };
            let key = format!("{OF_OVERDUE}{}/{object}", shop.name);
            let is_told = known
                .iter()
                .any(|row| row.key == key && row.ended_at.is_none() && now.since(row.since) >= SEEN_FOR);
            let text = format!(
                "{}: the comparison of {object} records that was due at {} has not come to its end, and the next one is due, too. Does \
                 `lockstep status` name the shop as connected, and what does the log say? `lockstep reconcile` makes one now.",
                shop.name,
                clock_time(since)
            );
            let alert = of_a_shop(config, shop, "overdue_run", key, text, now, "/runs");
            found.push((alert, is_told));
        }
    }
    Ok(found)
}
