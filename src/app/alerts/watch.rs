//! The rounds: look, keep what was found, write messages, send what is due.
//!
//! Of all nodes one looks, by a lease. Whatever the lease comes to, nothing is told twice: the rows of the store decide. A
//! message is sent at least once: a process that is killed between sending and noting it sends it again, under the same
//! message id.
//!
//! Nothing here holds up the sync: it is a task of its own, and sending takes bounded time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use sha2::{Digest as _, Sha256};
use tokio::select;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::daily;
use super::found::{self, Found};
use super::route::{GENERAL, contact, everybody};
use super::send::{NotSent, send};
use super::text::News;
use super::trouble::Trouble;
use crate::config::{Alerts, Config};
use crate::domain::{SharedClock, ShopName, Timestamp};
use crate::store::{
    AlertChanges, AlertRow, AlertsTold, Channel, DueMessage, MessageEnd, NewMessage, Renewed, SERVING,
    SharedStore, StoreError,
};
use crate::telemetry;

/// How often it is looked.
const LOOK: Duration = Duration::from_secs(30);

/// The right to look is had for so long.
const LEASE: Duration = Duration::from_secs(120);

/// The name of that right.
const LEASE_NAME: &str = "alerts";

/// What is gone for so long is over: it may only have been away for a moment.
const GONE_FOR: Duration = Duration::from_secs(180);

/// Whoever took a message says within this what became of it.
const SENT_WITHIN: Duration = Duration::from_secs(300);

/// So many messages are sent at once.
const AT_ONCE: u32 = 10;

/// The first pause after a failure to send; it doubles up to the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(60);

/// The longest one.
const LONGEST_PAUSE: Duration = Duration::from_secs(1800);

/// A message that cannot be sent for so long is given up.
const GIVEN_UP_AFTER: Duration = Duration::from_secs(3 * 24 * 3600);

/// What tells people.
pub struct Watch {
    config: watch::Receiver<Arc<Config>>,
    store: SharedStore,
    clock: SharedClock,
    holder: String,
    node: String,
    trouble: Trouble,
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch")
            .field("node", &self.node)
            .finish_non_exhaustive()
    }
}

impl Watch {
    /// Tells of this store, by the configuration in force.
    pub fn new(
        config: watch::Receiver<Arc<Config>>,
        store: SharedStore,
        clock: SharedClock,
        node: &str,
    ) -> Self {
        Self {
            config,
            store,
            clock,
            holder: format!("{SERVING}{node}"),
            node: node.to_owned(),
            trouble: Trouble::default(),
        }
    }

    /// Makes rounds until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        loop {
            select! {
                () = stop.cancelled() => break,
                () = self.round() => {}
            }
            select! {
                () = stop.cancelled() => break,
                () = self.clock.sleep_until(self.clock.now().plus(LOOK)) => {}
                Ok(()) = self.config.changed() => {}
            }
        }
        let _gone = self.store.release_lease(LEASE_NAME, &self.holder).await;
    }

    /// One round. A store that fails is told of from memory, because it cannot keep anything.
    pub(super) async fn round(&mut self) {
        let config = Arc::clone(&self.config.borrow_and_update());
        for channel in [Channel::Email, Channel::Chat] {
            count(channel, "sent", 0);
        }
        if everybody(&config.alerts).is_empty() {
            for name in [telemetry::ALERTS_OPEN, telemetry::ALERT_MESSAGES_WAITING] {
                metrics::gauge!(name).set(0.0);
            }
            return;
        }
        let now = self.clock.now();
        // A store that can be read and not written must be noticed, too. One question that fails is not the store's failure.
        let lease = self
            .store
            .take_lease(LEASE_NAME, &self.holder, now, now.plus(LEASE))
            .await;
        let is_ours = matches!(lease, Ok(true));
        let works = match lease {
            Ok(_) => self.store.ping().await,
            Err(error) => Err(error),
        };
        let is_there = works.is_ok();
        if let Err(error) = &works {
            tracing::debug!(%error, "the store fails the round of alerts");
        }
        let recovered = self
            .trouble
            .note(&config.alerts, &self.node, works.err(), now)
            .await;
        if let Some(messages) = recovered {
            let told = AlertsTold {
                messages,
                ..AlertsTold::default()
            };
            if let Err(error) = self.store.tell_alerts(told, now).await {
                tracing::warn!(%error, "cannot note that the store works again");
            }
        }
        if !is_there {
            return;
        }
        if is_ours {
            self.look_and_tell(&config, now).await;
        }
        match self.store.alert_standing().await {
            Ok(standing) => {
                metrics::gauge!(telemetry::ALERTS_OPEN).set(gauge(standing.open));
                metrics::gauge!(telemetry::ALERT_MESSAGES_WAITING).set(gauge(standing.waiting));
            }
            Err(error) => tracing::debug!(%error, "cannot count what is to be told"),
        }
    }

    /// Each step for itself: what fails in one must not keep people from hearing of the rest. What waits to be sent goes first.
    async fn look_and_tell(&self, config: &Config, now: Timestamp) {
        let steps = [
            ("send what is due", self.send_due(&config.alerts, now).await),
            ("keep what was found", self.look(config, now).await),
            ("tell what is new", self.tell(config, now).await),
            ("write the digest", daily::write(config, &self.store, now).await),
            ("send what is new", self.send_due(&config.alerts, now).await),
        ];
        for (trying, result) in steps {
            if let Err(error) = result {
                tracing::warn!(trying, %error, "a step of the round of alerts failed");
            }
        }
    }

    async fn look(&self, config: &Config, now: Timestamp) -> Result<(), StoreError> {
        let known = self.store.alerts().await?;
        let found = found::look(config, &self.store, &known, now).await;
        let changes = compare(found, &known, now);
        if !changes.is_empty() {
            self.store.change_alerts(changes, now).await?;
        }
        Ok(())
    }

    /// Writes what is new to each recipient, all of it in one message, unless they had one a moment ago.
    async fn tell(&self, config: &Config, now: Timestamp) -> Result<(), StoreError> {
        let rows = self.store.alerts().await?;
        let mut news: BTreeMap<&str, (Vec<&AlertRow>, Vec<&AlertRow>)> = BTreeMap::new();
        for row in &rows {
            // Whoever left the configuration is stood in for.
            let recipient = match config.alerts.owners.get(&row.owner) {
                Some(owner) if !owner.contact.is_empty() => row.owner.as_str(),
                _ => GENERAL,
            };
            let of_them = news.entry(recipient).or_default();
            match (row.told_at, row.ended_at) {
                (None, None) => of_them.0.push(row),
                (Some(_), Some(_)) => of_them.1.push(row),
                _ => {}
            }
        }
        let pause = Duration::from_secs(60) * config.alerts.settings.every_minutes;
        for (recipient, (begun, ended)) in news {
            let addresses = addresses(&config.alerts, recipient);
            if addresses.is_empty() || begun.len() + ended.len() == 0 {
                continue;
            }
            let mut last = None;
            for (_, address) in &addresses {
                last = last.max(self.store.last_message(address).await?);
            }
            if last.is_some_and(|last| now.since(last) < pause) {
                continue;
            }
            let written = News {
                begun: &begun,
                ended: &ended,
                console_url: config.alerts.settings.console_url.as_deref(),
            };
            let ids = |rows: &[&AlertRow]| rows.iter().map(|row| row.id).collect::<Vec<_>>();
            let told = AlertsTold {
                messages: addresses
                    .iter()
                    .map(|(channel, address)| {
                        let what = format!("begun {:?} ended {:?}", ids(&begun), ids(&ended));
                        let digest = hex::encode(Sha256::digest(what));
                        let dedup = format!("{}/{address}/{digest}", channel.as_str());
                        written.message(*channel, address, dedup)
                    })
                    .collect(),
                begun: ids(&begun),
                ended: ids(&ended),
            };
            self.store.tell_alerts(told, now).await?;
        }
        Ok(())
    }

    async fn send_due(&self, alerts: &Alerts, now: Timestamp) -> Result<(), StoreError> {
        let due = self
            .store
            .claim_messages(now, now.plus(SENT_WITHIN), AT_ONCE)
            .await?;
        let sent = join_all(
            due.iter()
                .map(|due| async move { (due, send(alerts, &due.message, due.created_at, now).await) }),
        )
        .await;
        for (due, result) in sent {
            let end = ending(due, result, self.clock.now());
            let outcome = match &end {
                MessageEnd::Sent => "sent",
                MessageEnd::Failed { .. } => "failed",
                MessageEnd::GivenUp { .. } => "given_up",
            };
            count(due.message.channel, outcome, 1);
            let channel = due.message.channel.as_str();
            if let MessageEnd::Failed { error, .. } | MessageEnd::GivenUp { error } = &end {
                tracing::warn!(channel, outcome, error, "a message about alerts was not sent");
            }
            self.store.end_message(due.id, end, self.clock.now()).await?;
        }
        Ok(())
    }
}

fn count(channel: Channel, outcome: &'static str, by: u64) {
    metrics::counter!(telemetry::ALERT_MESSAGES, "channel" => channel.as_str(), "outcome" => outcome)
        .increment(by);
}

#[expect(clippy::cast_precision_loss, reason = "a gauge: counts stay far below 2^53")]
fn gauge(count: u64) -> f64 {
    count as f64
}

/// Where a recipient's messages go to: each address, and the chat under the recipient's name, because its address is a secret.
pub(super) fn addresses(alerts: &Alerts, recipient: &str) -> Vec<(Channel, String)> {
    let contact = contact(alerts, recipient);
    let mail = contact
        .email
        .iter()
        .map(|address| (Channel::Email, address.clone()));
    let chat = contact.chat.iter().map(|_| (Channel::Chat, recipient.to_owned()));
    mail.chain(chat).collect()
}

/// What changed since the last look.
fn compare(found: Found, known: &[AlertRow], now: Timestamp) -> AlertChanges {
    let lasting: BTreeMap<&str, &AlertRow> = known
        .iter()
        .filter(|row| row.ended_at.is_none())
        .map(|row| (row.key.as_str(), row))
        .collect();
    let mut changes = AlertChanges::default();
    let mut seen = BTreeSet::new();
    for (alert, is_told) in found.alerts {
        match lasting.get(alert.key.as_str()) {
            Some(row) => {
                seen.insert(row.id);
                if row.absent_since.is_some() {
                    changes.back.push(row.id);
                }
                let is_as_before =
                    row.text == alert.text && row.url == alert.url && row.quotes == alert.quotes;
                if !is_as_before {
                    changes.renewed.push(Renewed {
                        id: row.id,
                        text: alert.text,
                        url: alert.url,
                        quotes: alert.quotes,
                    });
                }
            }
            None if is_told => changes.raised.push(alert),
            None => {}
        }
    }
    for row in lasting.values().filter(|row| !seen.contains(&row.id)) {
        if found.not_looked.iter().any(|keys| row.key.starts_with(keys)) {
            continue;
        }
        match row.absent_since {
            None => changes.absent.push(row.id),
            Some(since) if now.since(since) >= GONE_FOR => changes.ended.push(row.id),
            Some(_) => {}
        }
    }
    changes
}

/// What becomes of a message that was, or was not, sent.
fn ending(due: &DueMessage, result: Result<(), NotSent>, now: Timestamp) -> MessageEnd {
    match result {
        Ok(()) => MessageEnd::Sent,
        Err(NotSent { error, is_final, .. }) if is_final || now.since(due.created_at) >= GIVEN_UP_AFTER => {
            MessageEnd::GivenUp { error }
        }
        Err(NotSent {
            error, retry_after, ..
        }) => {
            let pause = FIRST_PAUSE
                .saturating_mul(1 << due.tries.min(10))
                .min(LONGEST_PAUSE);
            let pause = retry_after.map_or(pause, |asked| pause.max(asked.min(GIVEN_UP_AFTER / 12)));
            MessageEnd::Failed {
                error,
                next_at: now.plus(pause),
            }
        }
    }
}

/// The same message for each of a recipient's addresses.
pub(super) fn to_all(
    alerts: &Alerts,
    recipient: &str,
    dedup: &str,
    subject: &str,
    quotes: &[ShopName],
    body: impl Fn(Channel) -> String,
) -> Vec<NewMessage> {
    addresses(alerts, recipient)
        .into_iter()
        .map(|(channel, address)| NewMessage {
            dedup: format!("{dedup}/{}/{address}", channel.as_str()),
            channel,
            subject: subject.to_owned(),
            body: body(channel),
            quotes: quotes.to_vec(),
            recipient: address,
        })
        .collect()
}
