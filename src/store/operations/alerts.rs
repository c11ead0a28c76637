//! Conditions that people are told of, and the messages that tell them.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Serialize;

use crate::domain::{ShopName, Timestamp};
use crate::store::StoreError;

/// Conditions while they last, and messages until they are sent.
#[async_trait]
pub trait Alerts: Send + Sync {
    /// The conditions that last, and those whose end people are still to be told of.
    async fn alerts(&self) -> Result<Vec<AlertRow>, StoreError>;

    /// Saves what a look at the conditions found. Of one condition there is one row while it lasts.
    async fn change_alerts(&self, changes: AlertChanges, now: Timestamp) -> Result<(), StoreError>;

    /// Writes messages together with what they tell. False, and nothing happened, when any of it was told already.
    async fn tell_alerts(&self, told: AlertsTold, now: Timestamp) -> Result<bool, StoreError>;

    /// Takes up to `limit` messages that are due. Whoever took them says what became of them before `until`; then they are due
    /// again.
    async fn claim_messages(
        &self,
        now: Timestamp,
        until: Timestamp,
        limit: u32,
    ) -> Result<Vec<DueMessage>, StoreError>;

    /// Notes what became of a message.
    async fn end_message(&self, id: i64, end: MessageEnd, now: Timestamp) -> Result<(), StoreError>;

    /// When a message to this recipient was last written.
    async fn last_message(&self, recipient: &str) -> Result<Option<Timestamp>, StoreError>;

    /// How telling people goes.
    async fn alert_standing(&self) -> Result<AlertStanding, StoreError>;
}

/// A condition that is there and was not before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewAlert {
    /// What makes it the same condition, e.g. `breaker:main/erp`.
    pub key: String,
    /// Which kind of condition.
    pub kind: String,
    /// Shop, where it concerns one.
    pub shop: Option<ShopName>,
    /// Who is told: the name of an owner with a contact, or `general`.
    pub owner: String,
    /// One sentence. It names no customers, unless it quotes.
    pub text: String,
    /// The page of the console that shows more, as a path.
    pub url: Option<String>,
    /// Whether the sentence or the page quote what a job's problem says, which may name a customer.
    pub quotes: bool,
    /// Since when.
    pub since: Timestamp,
}

/// A condition that people are told of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct AlertRow {
    /// Its number.
    pub id: i64,
    /// What makes it the same condition.
    pub key: String,
    /// Which kind of condition.
    pub kind: String,
    /// Shop, where it concerns one.
    pub shop: Option<ShopName>,
    /// Who is told.
    pub owner: String,
    /// One sentence.
    pub text: String,
    /// The page of the console that shows more, as a path.
    pub url: Option<String>,
    /// Whether the sentence or the page quote what a job's problem says.
    pub quotes: bool,
    /// Since when.
    pub since: Timestamp,
    /// When a message about it was written.
    pub told_at: Option<Timestamp>,
    /// Since when it was not seen any more.
    pub absent_since: Option<Timestamp>,
    /// When it was over.
    pub ended_at: Option<Timestamp>,
}

/// What a look at the conditions found.
#[derive(Clone, Debug, Default)]
pub struct AlertChanges {
    /// New ones. One that lasts already stays as it is.
    pub raised: Vec<NewAlert>,
    /// No longer seen, since now.
    pub absent: Vec<i64>,
    /// Seen again.
    pub back: Vec<i64>,
    /// Those that last and are to be told in other words than before.
    pub renewed: Vec<Renewed>,
    /// Over. Nobody is told of the end of what nobody was told of.
    pub ended: Vec<i64>,
}

impl AlertChanges {
    /// Whether there is nothing to save.
    pub fn is_empty(&self) -> bool {
        self.raised.is_empty()
            && self.absent.is_empty()
            && self.back.is_empty()
            && self.renewed.is_empty()
            && self.ended.is_empty()
    }
}

/// How a condition that lasts is told by now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Renewed {
    /// Which alert.
    pub id: i64,
    /// One sentence.
    pub text: String,
    /// The page of the console that shows more, as a path.
    pub url: Option<String>,
    /// Whether the sentence or the page quote what a job's problem says.
    pub quotes: bool,
}

/// How a message goes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Channel {
    /// By e-mail.
    Email,
    /// By a chat's webhook.
    Chat,
}

impl Channel {
    /// As it is stored.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Chat => "chat",
        }
    }

    /// The channel that is stored like this.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Email, Self::Chat]
            .into_iter()
            .find(|channel| channel.as_str() == text)
    }
}

/// A message to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewMessage {
    /// No second one of the same is written.
    pub dedup: String,
    /// How.
    pub channel: Channel,
    /// To whom: an owner's name, or `general`.
    pub recipient: String,
    /// A few words.
    pub subject: String,
    /// All of it.
    pub body: String,
    /// The shops whose jobs' problems it quotes.
    pub quotes: Vec<ShopName>,
}

/// Messages and what they tell, written together.
#[derive(Clone, Debug, Default)]
pub struct AlertsTold {
    /// Alerts whose begin is told.
    pub begun: Vec<i64>,
    /// Alerts whose end is told.
    pub ended: Vec<i64>,
    /// The messages.
    pub messages: Vec<NewMessage>,
}

/// A message that is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueMessage {
    /// Its number.
    pub id: i64,
    /// What.
    pub message: NewMessage,
    /// When it was written.
    pub created_at: Timestamp,
    /// How often sending it failed.
    pub tries: u32,
}

/// What became of sending a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MessageEnd {
    /// It was taken.
    Sent,
    /// It is tried again then.
    Failed {
        /// Why; no secrets.
        error: String,
        /// When.
        next_at: Timestamp,
    },
    /// It is not tried any more.
    GivenUp {
        /// Why; no secrets.
        error: String,
    },
}

/// How telling people goes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct AlertStanding {
    /// Conditions that last.
    pub open: u64,
    /// Messages that wait to be sent.
    pub waiting: u64,
    /// The oldest of them.
    pub waiting_since: Option<Timestamp>,
    /// The last failure to send, unless something was sent on that channel since.
    pub failure: Option<SendFailure>,
    /// The last one of each recipient, the newest first. Not all of them may still be in the configuration, of which the store
    /// knows nothing.
    #[serde(skip)]
    pub failures: Vec<SendFailure>,
}

impl AlertStanding {
    /// Leaves out failures to reach whom this does not fit.
    #[must_use]
    pub fn only(mut self, fits: impl Fn(Channel, &str) -> bool) -> Self {
        self.failures
            .retain(|failure| fits(failure.channel, &failure.recipient));
        self.failure = self.failures.first().cloned();
        self
    }
}

/// A failure to send a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct SendFailure {
    /// When.
    pub at: Timestamp,
    /// How.
    pub channel: Channel,
    /// To whom.
    pub recipient: String,
    /// Why.
    pub error: String,
    /// Whether it was given up.
    pub given_up: bool,
}
