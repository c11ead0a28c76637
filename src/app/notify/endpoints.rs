//! The endpoints as they stand: the configuration's, and those that it does not have any more and something waits for.

use std::collections::{BTreeMap, BTreeSet};

use reqwest::Url;
use schemars::JsonSchema;
use secrecy::ExposeSecret as _;
use serde::Serialize;

use crate::config::Config;
use crate::domain::{Actor, SharedClock, Timestamp, text_enum};
use crate::notify::{Endpoint, EndpointState, Health};
use crate::store::{
    DispatchRow, DispatchState, EndpointAct, EndpointAfter, EndpointRow, PAUSED_BY_PERSON, SharedStore,
    StoreError,
};

/// So many of an endpoint's last deliveries are its recent ones.
const RECENT: u32 = 200;

text_enum! {
    /// Whether an endpoint is sent anything.
    Standing, "standing of an endpoint" {
        /// It is.
        Active = "active",
        /// Not for now.
        Paused = "paused",
        /// It is not in the configuration any more.
        Removed = "removed",
    }
}

/// One endpoint. No secret is in it: of its address only the host is shown, since addresses of chats are secrets as a whole.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct EndpointView {
    /// Its name in the configuration.
    pub name: String,
    /// Whether it is sent anything.
    pub standing: Standing,
    /// Why it is paused: `configuration`, `person`, `gone` (it answered 410) or `nothing_taken` (for too long nothing but failures).
    pub paused_because: Option<String>,
    /// Who paused it, where a person did.
    pub paused_by: Option<String>,
    /// Since when.
    pub paused_at: Option<Timestamp>,
    /// The host that is sent to.
    pub host: Option<String>,
    /// Which events it gets, as it is written.
    pub events: Vec<String>,
    /// Of which shops; empty for all.
    pub shops: Vec<String>,
    /// What else must hold.
    pub condition: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// Who looks after it.
    pub owner: Option<String>,
    /// Deliveries that wait for their turn, or to be tried again.
    pub waiting: u64,
    /// Since when the oldest of them waits.
    pub oldest_waiting: Option<Timestamp>,
    /// Deliveries that were given up and are kept.
    pub failed: u64,
    /// Deliveries of which it cannot be said what is to be sent, or whether anything is.
    pub problems: u64,
    /// Since when nothing but failures came.
    pub failing_since: Option<Timestamp>,
    /// Failures since it last took something.
    pub failures: u32,
    /// When it last took something.
    pub last_success_at: Option<Timestamp>,
    /// How its last deliveries went.
    pub recent: Recent,
}

/// How the last deliveries of an endpoint went: up to 200 that were tried.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Recent {
    /// How many that are.
    pub tried: u64,
    /// Of those, how many were taken so far.
    pub delivered: u64,
    /// The same per cent, rounded down; none where nothing was tried.
    pub success_percent: Option<u64>,
    /// How long the answer to half of those that were taken took at most, in milliseconds.
    pub median_ms: Option<u64>,
    /// How long the answer to 95 of 100 of those took at most, in milliseconds.
    pub slow_ms: Option<u64>,
    /// The newest one whose last try failed.
    pub last_failure: Option<LastFailure>,
}

/// A delivery whose last try failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct LastFailure {
    /// The delivery.
    pub delivery: i64,
    /// When its event happened.
    pub created_at: Timestamp,
    /// Why, as a code.
    pub failure: String,
    /// Why, in a sentence.
    pub sentence: Option<String>,
    /// Status of the answer, if there was one.
    pub status: Option<u16>,
}

/// All endpoints, by name.
///
/// # Errors
/// When the store fails.
pub async fn endpoints(config: &Config, store: &SharedStore) -> Result<Vec<EndpointView>, StoreError> {
    let mut rows: BTreeMap<String, EndpointRow> = store
        .endpoints()
        .await?
        .into_iter()
        .map(|row| (row.name.clone(), row))
        .collect();
    let mut views = Vec::new();
    for endpoint in &config.endpoints {
        let row = rows.remove(&endpoint.name);
        let condition = config
            .notify
            .endpoints
            .get(&endpoint.name)
            .and_then(|section| section.condition.clone());
        let recent = recent(store, &endpoint.name).await?;
        views.push(EndpointView {
            condition,
            recent,
            ..declared(endpoint, row.as_ref())
        });
    }
    for row in rows.into_values().filter(|row| row.waiting > 0) {
        views.push(EndpointView {
            recent: recent(store, &row.name).await?,
            ..standing(&row)
        });
    }
    views.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(views)
}

/// The endpoints that are sent nothing for now: by the configuration, by a person or by themselves.
///
/// # Errors
/// When the store fails.
pub async fn paused(config: &Config, store: &SharedStore) -> Result<BTreeSet<String>, StoreError> {
    let rows = store.endpoints().await?.into_iter();
    let paused = rows.filter(|row| row.is_paused).map(|row| row.name);
    let configured = config
        .endpoints
        .iter()
        .filter(|endpoint| endpoint.state == EndpointState::Paused)
        .map(|endpoint| endpoint.name.clone());
    Ok(paused.chain(configured).collect())
}

fn declared(endpoint: &Endpoint, row: Option<&EndpointRow>) -> EndpointView {
    let mut view = row.map_or_else(|| unknown(&endpoint.name), standing);
    view.standing = match (endpoint.state, row) {
        (EndpointState::Paused, _) => {
            // Whatever a person or a failure did: before the configuration says so, nothing is sent.
            view.paused_because = Some("configuration".to_owned());
            view.paused_by = None;
            view.paused_at = None;
            Standing::Paused
        }
        (EndpointState::Active, Some(row)) if row.is_paused => Standing::Paused,
        (EndpointState::Active, _) => Standing::Active,
    };
    view.host = host(endpoint);
    view.events = endpoint
        .events
        .iter()
        .map(|pattern| pattern.as_str().to_owned())
        .collect();
    view.shops = endpoint.shops.iter().map(ToString::to_string).collect();
    view.description.clone_from(&endpoint.description);
    view.owner.clone_from(&endpoint.owner);
    view
}

fn unknown(name: &str) -> EndpointView {
    EndpointView {
        name: name.to_owned(),
        standing: Standing::Removed,
        paused_because: None,
        paused_by: None,
        paused_at: None,
        host: None,
        events: Vec::new(),
        shops: Vec::new(),
        condition: None,
        description: None,
        owner: None,
        waiting: 0,
        oldest_waiting: None,
        failed: 0,
        problems: 0,
        failing_since: None,
        failures: 0,
        last_success_at: None,
        recent: Recent::default(),
    }
}

/// What the store knows of an endpoint.
fn standing(row: &EndpointRow) -> EndpointView {
    let health: Health = serde_json::from_str(&row.health).unwrap_or_default();
    EndpointView {
        paused_because: row.paused_because.clone(),
        paused_by: row.paused_by.clone(),
        paused_at: row.paused_at,
        waiting: row.waiting,
        oldest_waiting: row.oldest_waiting,
        failed: row.failed,
        problems: row.problems,
        failing_since: health.failing_since,
        failures: health.failures,
        last_success_at: health.last_success_at,
        ..unknown(&row.name)
    }
}

/// Host and port of the address; none where its file cannot be read now.
fn host(endpoint: &Endpoint) -> Option<String> {
    let text = endpoint.target.url.current().ok()?;
    let url: Url = text.expose_secret().trim().parse().ok()?;
    let host = url.host_str()?;
    Some(
        url.port()
            .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")),
    )
}

async fn recent(store: &SharedStore, endpoint: &str) -> Result<Recent, StoreError> {
    Ok(Recent::of(&store.tried_dispatches(endpoint, RECENT).await?))
}

impl Recent {
    /// `rows` were tried, and are newest first.
    fn of(rows: &[DispatchRow]) -> Self {
        let is_taken = |row: &&DispatchRow| row.state == DispatchState::Delivered;
        let tried = rows.len() as u64;
        let mut took: Vec<u64> = rows
            .iter()
            .filter(is_taken)
            .filter_map(|row| row.took_ms)
            .collect();
        took.sort_unstable();
        let delivered = took.len() as u64;
        // Of so many, at most this one's time: nearest rank.
        let rank = |hundredths: usize| {
            took.get((took.len() * hundredths).div_ceil(100).saturating_sub(1))
                .copied()
        };
        let last_failure = rows.iter().find_map(|row| {
            Some(LastFailure {
                delivery: row.id,
                created_at: row.created_at,
                failure: row.failure.clone()?,
                sentence: row.sentence.clone(),
                status: row.status,
            })
        });
        Self {
            tried,
            delivered,
            success_percent: (delivered * 100).checked_div(tried),
            median_ms: rank(50),
            slow_ms: rank(95),
            last_failure,
        }
    }
}

/// What became of pausing an endpoint, or of letting it go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Turned {
    /// It was done.
    Done,
    /// It stood like that already.
    Already,
    /// Only the configuration can let it go on, which has it paused.
    Configured,
}

/// Pauses an endpoint, or lets it go on; then it gets its whole time again before failures pause it. None where neither the
/// configuration nor the store knows it.
///
/// # Errors
/// When the store fails.
pub async fn turn(
    config: &Config,
    store: &SharedStore,
    clock: &SharedClock,
    actor: Actor,
    (name, pause, reason): (&str, bool, Option<&str>),
) -> Result<Option<Turned>, StoreError> {
    let declared = config.endpoints.iter().find(|endpoint| endpoint.name == name);
    let row = store.endpoints().await?.into_iter().find(|row| row.name == name);
    if declared.is_none() && row.is_none() {
        return Ok(None);
    }
    if declared.is_some_and(|endpoint| endpoint.state == EndpointState::Paused) {
        return Ok(Some(if pause {
            Turned::Already
        } else {
            Turned::Configured
        }));
    }
    let health = row
        .and_then(|row| serde_json::from_str::<Health>(&row.health).ok())
        .filter(|_| !pause)
        .and_then(|health| serde_json::to_string(&health.resumed()).ok());
    let act = EndpointAct {
        name: name.to_owned(),
        pause,
        health,
        reason: reason
            .map(str::trim)
            .filter(|text| !text.is_empty())
            .map(str::to_owned),
        actor,
        at: clock.now(),
    };
    let is_new = store.set_endpoint(act).await?;
    Ok(Some(if is_new { Turned::Done } else { Turned::Already }))
}

/// Gives up all that waits for an endpoint; one that is declared stays as it stands, paused or not. None where neither the
/// configuration nor the store knows it.
///
/// # Errors
/// When the store fails.
pub async fn cancel(
    config: &Config,
    store: &SharedStore,
    clock: &SharedClock,
    actor: Actor,
    name: &str,
) -> Result<Option<u64>, StoreError> {
    let is_declared = config.endpoints.iter().any(|endpoint| endpoint.name == name);
    let row = store.endpoints().await?.into_iter().find(|row| row.name == name);
    if !is_declared && row.is_none() {
        return Ok(None);
    }
    let after = if is_declared {
        EndpointAfter::Kept
    } else {
        EndpointAfter::Forgotten
    };
    let count = store.cancel_dispatches(name, after, actor, clock.now()).await?;
    Ok(Some(count))
}

/// Why an endpoint is paused, for people.
pub fn paused_words(view: &EndpointView) -> Option<String> {
    if view.standing != Standing::Paused {
        return None;
    }
    Some(match view.paused_because.as_deref() {
        Some("configuration") => "the configuration has it paused".to_owned(),
        Some("gone") => "it answered that it is gone (410)".to_owned(),
        Some("nothing_taken") => "it took nothing for too long".to_owned(),
        Some(PAUSED_BY_PERSON) => match &view.paused_by {
            Some(who) => format!("{who} paused it"),
            None => "a person paused it".to_owned(),
        },
        Some(other) => other.replace('_', " "),
        None => "paused".to_owned(),
    })
}
