//! The digest of the day: what is open, and what the last 24 hours brought.

use std::time::Duration;

use super::found::clock_time;
use super::route::{GENERAL, everybody};
use super::text::{Lines, quoted};
use super::watch::to_all;
use crate::app::numbers;
use crate::config::Config;
use crate::domain::Timestamp;
use crate::store::{AlertRow, AlertsTold, SharedStore, StoreError};

const DAY: Duration = Duration::from_secs(24 * 3600);

/// A digest that could not be written for so long is left out.
const LATEST: Duration = Duration::from_secs(6 * 3600);

/// Writes the digest when its time has come. That there is one for each day is seen to by its name in the store.
pub(super) async fn write(config: &Config, store: &SharedStore, now: Timestamp) -> Result<(), StoreError> {
    let Some(minute) = config.alerts.daily_minute else {
        return Ok(());
    };
    let midnight = Timestamp::from_millis(now.millis() - now.millis().rem_euclid(24 * 3_600_000));
    let today = midnight.plus(Duration::from_secs(u64::from(minute) * 60));
    // One that is due late in the evening may still be written after midnight.
    let due = if now < today { today.minus(DAY) } else { today };
    if now.since(due) > LATEST {
        return Ok(());
    }
    let dedup = format!("daily {}", due.to_utc().format("%Y-%m-%d"));
    // Asked before everything is read: a round is made twice a minute.
    let marker = crate::app::reach::installation();
    if store.cursor(&marker, CURSOR).await?.as_deref() == Some(dedup.as_str()) {
        return Ok(());
    }
    let rows = store.alerts().await?;
    let open: Vec<&AlertRow> = rows.iter().filter(|row| row.ended_at.is_none()).collect();
    let day = numbers::numbers(store, None, now.minus(DAY), now).await?;
    let console = config.alerts.settings.console_url.as_deref();
    let mut messages = Vec::new();
    for (name, _) in everybody(&config.alerts) {
        let theirs: Vec<&AlertRow> = open
            .iter()
            .copied()
            .filter(|row| name == GENERAL || row.owner == name)
            .collect();
        if theirs.is_empty() && name != GENERAL {
            continue;
        }
        let quotes = quoted(theirs.iter().copied());
        let subject = format!("lockstep: {} open", theirs.len());
        messages.extend(to_all(
            &config.alerts,
            name,
            &dedup,
            &subject,
            &quotes,
            |channel| {
                let mut lines = Lines::new(channel);
                lines.line(&format!("lockstep at {}", clock_time(now)));
                lines.line(&day.in_words());
                if theirs.is_empty() {
                    lines.line("Nothing is open.");
                }
                lines.list("Open", &theirs, console);
                lines.text
            },
        ));
    }
    let told = AlertsTold {
        messages,
        ..AlertsTold::default()
    };
    store.tell_alerts(told, now).await?;
    store.set_cursor(&marker, CURSOR, &dedup, now).await
}

/// The last digest that was written, so that it is not made anew twice a minute.
const CURSOR: &str = "alerts_daily";
