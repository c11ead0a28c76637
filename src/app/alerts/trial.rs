//! Sending one message by every way, so that it is known before it is needed that they work.

use futures_util::future::join_all;
use schemars::JsonSchema;
use serde::Serialize;

use super::route::everybody;
use super::send::send;
use super::watch::addresses;
use crate::config::Alerts;
use crate::domain::Timestamp;
use crate::store::{Channel, NewMessage};

/// What became of a trial.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Trial {
    /// Whose it is: an owner's name, or `general`.
    pub owner: String,
    /// How.
    pub channel: Channel,
    /// The address, for a mail.
    pub address: Option<String>,
    /// Why it failed; nothing when it was taken.
    pub error: Option<String>,
}

/// Sends a message to everybody, once and by all ways at once.
pub async fn trials(alerts: &Alerts, now: Timestamp) -> Vec<Trial> {
    let mut ways = Vec::new();
    for (owner, _) in everybody(alerts) {
        for (channel, address) in addresses(alerts, owner) {
            ways.push((owner.to_owned(), channel, address));
        }
    }
    join_all(ways.into_iter().map(|(owner, channel, address)| async move {
        let message = NewMessage {
            dedup: "trial".to_owned(),
            channel,
            recipient: address.clone(),
            subject: "lockstep: a test".to_owned(),
            body: format!("This is a test of lockstep's alerts for {owner}. Nothing is wrong.\n"),
            quotes: Vec::new(),
        };
        let result = send(alerts, &message, now, now).await;
        Trial {
            owner,
            channel,
            address: (channel == Channel::Email).then_some(address),
            error: result.err().map(|not_sent| not_sent.error),
        }
    }))
    .await
}
