//! An endpoint whose settings are right: who wants what, and how it gets it.

use std::time::Duration;

use super::event::{EventPattern, EventType};
use super::facts::record_name;
use super::notification::{Notification, Status};
use super::pace::Limits;
use super::personal::Includes;
use super::render::{Condition, Message, RenderError, Template};
use super::send::Target;
use super::settings::{EndpointState, WhenPaused};
use crate::domain::{RetryPolicy, ShopName};

/// An endpoint. `Debug` shows no secret.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// Its name in the configuration.
    pub name: String,
    /// Which events it wants.
    pub events: Vec<EventPattern>,
    /// Of which shops; empty for all, and for what belongs to no shop.
    pub shops: Vec<ShopName>,
    /// What else must hold.
    pub condition: Option<Condition>,
    /// Whether it is sent anything, as far as the configuration says.
    pub state: EndpointState,
    /// What becomes of events while it is paused.
    pub when_paused: WhenPaused,
    /// Where and how it is sent to.
    pub target: Target,
    /// Its own limits.
    pub limits: Limits,
    /// Whether a newer waiting event of the same type about the same record replaces the older one.
    pub unique: bool,
    /// Whether it wants to know of records of which nothing had to be done.
    pub skipped: bool,
    /// Events in one request.
    pub batch: u32,
    /// How often and how patiently it is tried.
    pub retry: RetryPolicy,
    /// What it gets to see.
    pub includes: Includes,
    /// Its own body.
    pub template: Option<Template>,
    /// What it is for.
    pub description: Option<String>,
    /// Who looks after it.
    pub owner: Option<String>,
}

/// Whether an endpoint wants a notification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wants {
    /// It does.
    Yes,
    /// It does not.
    No,
    /// Its condition cannot be worked out. The reason names no value.
    Unclear(String),
}

impl Endpoint {
    /// Whether it wants this one. Its condition looks at what the endpoint may see and at nothing else, and is not asked of
    /// `test.ping`. One that cannot be told is for the log, and is not sent: the endpoint asked for those that meet its
    /// condition.
    pub fn wants(&self, notification: &Notification) -> Wants {
        if !self.wants_type(notification.event, notification.shop.as_ref())
            || !self.wants_status(notification.status)
        {
            return Wants::No;
        }
        // What it tells of itself would be sent to itself, for ever.
        if notification.event == EventType::EndpointFailing
            && notification.detail.get("endpoint").and_then(|name| name.as_str()) == Some(&self.name)
        {
            return Wants::No;
        }
        let Some(condition) = &self.condition else {
            return Wants::Yes;
        };
        // Nobody tries out an endpoint to hear nothing.
        if notification.event == EventType::TestPing {
            return Wants::Yes;
        }
        // What it may not see must not show in what it gets either: whether an order of `ada@example.com` comes or not would
        // tell whose it is.
        let seen;
        let seen = if self.includes.personal_data {
            notification
        } else {
            seen = notification.shown(Includes {
                record: true,
                related: true,
                values: true,
                personal_data: false,
            });
            &seen
        };
        match condition.holds(seen) {
            Ok(true) => Wants::Yes,
            Ok(false) => Wants::No,
            Err(reason) => Wants::Unclear(reason),
        }
    }

    /// Whether it wants events of this type of this shop, as far as that tells.
    pub fn wants_type(&self, event: EventType, shop: Option<&ShopName>) -> bool {
        self.events.iter().any(|pattern| pattern.matches(event))
            && (self.shops.is_empty() || shop.is_some_and(|shop| self.shops.contains(shop)))
    }

    /// Whether it wants to know of records of which this came.
    pub fn wants_status(&self, status: Option<Status>) -> bool {
        self.skipped || status != Some(Status::Skipped)
    }

    /// Whether the record must be kept for it with an event of this type: it gets the record, or reads of it.
    pub fn reads_record(&self, event: EventType) -> bool {
        self.includes.record
            || ((self.condition.is_some() || self.template.is_some()) && record_name(event).is_some())
    }

    /// Of which type of event it is told where this one happens: another one only where it is tried out, and its template was not made
    /// for trials.
    pub fn told_of(&self, event: EventType) -> EventType {
        let template = self.template.as_ref().filter(|_| self.batch <= 1);
        template
            .and_then(|template| template.tried_with(event))
            .unwrap_or(event)
    }

    /// What it is sent for these notifications, which are as many as it takes in one request.
    ///
    /// # Errors
    /// When there is no body.
    pub fn message(&self, notifications: &[Notification]) -> Result<Message, RenderError> {
        match notifications {
            // A receiver that gets batches gets nothing else, so that it has one form to read.
            [one] if self.batch <= 1 => Message::of(one, self.includes, self.template.as_ref()),
            many => Message::batch(&self.name, many, self.includes),
        }
    }

    /// This endpoint after new settings were read, with what `old` (the same one before) knows of its secrets' files: which
    /// content they had until a short while ago, so that it goes on signing beside the new one until
    /// [`Target::rotation`] is over. To be called for every endpoint whenever settings are read again while lockstep
    /// runs, and before a [`Sender`](super::Sender) is made of it.
    ///
    /// Nothing is kept of it over a restart: a restart ends the overlap. Two files in `secrets_files`, the old secret and the
    /// new one, sign for as long as both are named, whatever happens in between.
    #[must_use]
    pub fn carry_over(&self, old: &Self) -> Self {
        let mut new = self.clone();
        for secret in &mut new.target.secrets {
            if let Some(known) = old.target.secrets.iter().find(|known| known.is_same(secret)) {
                *secret = known.clone();
            }
        }
        new
    }

    /// For how long nothing but failures may come before it is paused; none for ever.
    pub fn pause_after(hours: u32) -> Option<Duration> {
        (hours > 0).then(|| Duration::from_secs(u64::from(hours) * 3600))
    }
}
