//! A store that fails cannot keep what is to be told of it. So this is kept in memory: each node tells on its own that its
//! store has failed for a while, straight to whoever `[alerts]` names, and tries that on until somebody was reached. That it
//! works again is told by the store's own messages.

use std::time::Duration;

use super::found::clock_time;
use super::route::GENERAL;
use super::send::send;
use super::text::Lines;
use super::watch::to_all;
use crate::config::Alerts;
use crate::domain::Timestamp;
use crate::store::{NewMessage, StoreError};

/// A store may be busy for a moment.
const PATIENCE: Duration = Duration::from_secs(120);

/// The trouble with this node's store.
#[derive(Debug, Default)]
pub(super) struct Trouble {
    since: Option<Timestamp>,
    told: bool,
}

impl Trouble {
    /// Notes how the last round went. Gives messages to write where people are to hear that the store works again.
    pub(super) async fn note(
        &mut self,
        alerts: &Alerts,
        node: &str,
        failure: Option<StoreError>,
        now: Timestamp,
    ) -> Option<Vec<NewMessage>> {
        let Some(failure) = failure else {
            let ended = std::mem::take(self);
            let since = ended.since.filter(|_| ended.told)?;
            let text = format!(
                "The store works again on {node}. It had failed since {}.",
                clock_time(since)
            );
            return Some(messages(
                alerts,
                node,
                since,
                "the store works again",
                "over",
                &text,
            ));
        };
        let since = *self.since.get_or_insert(now);
        if self.told || now.since(since) < PATIENCE {
            return None;
        }
        let text = format!(
            "The store has failed on {node} since {}: {failure}. Deliveries are refused meanwhile; Shopify sends them again for \
             about four hours. Is the database there, and has its disk room?",
            clock_time(since)
        );
        for message in messages(alerts, node, since, "the store fails", "begun", &text) {
            match send(alerts, &message, since, now).await {
                Ok(()) => self.told = true,
                Err(not_sent) => tracing::warn!(
                    channel = message.channel.as_str(),
                    error = not_sent.error,
                    "cannot tell anybody that the store fails; trying on"
                ),
            }
        }
        None
    }
}

fn messages(
    alerts: &Alerts,
    node: &str,
    since: Timestamp,
    subject: &str,
    what: &str,
    text: &str,
) -> Vec<NewMessage> {
    let dedup = format!("store {node} {} {what}", since.millis());
    to_all(
        alerts,
        GENERAL,
        &dedup,
        &format!("lockstep: {subject}"),
        &[],
        |channel| {
            let mut lines = Lines::new(channel);
            lines.line(text);
            lines.text
        },
    )
}
