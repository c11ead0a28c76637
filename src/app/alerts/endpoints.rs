//! What people are to be told of endpoints of notifications.

use std::time::Duration;

use super::found::{Looked, clock_time, told};
use super::route::{GENERAL, is_reached};
use crate::config::Config;
use crate::domain::Timestamp;
use crate::notify::{Health, WhenPaused};
use crate::store::{EndpointRow, NewAlert, PAUSED_BY_PERSON, SharedStore};

/// For so long people are told of what an endpoint that takes other things did not take.
const GIVEN_UP_LASTS: Duration = Duration::from_secs(24 * 3600);

/// How the keys of endpoints that take nothing begin.
pub(super) const OF_ENDPOINTS: &str = "endpoint:";

/// Endpoints that were paused by themselves, and those for which something was given up or cannot be told: as long as they take nothing
/// and there is something for them, and for a day where they take other things. That something is sent once more says nothing of the
/// rest, nor that it is taken this time.
pub(super) async fn endpoints(config: &Config, store: &SharedStore, now: Timestamp) -> Looked {
    if config.endpoints.is_empty() {
        return Ok(Vec::new());
    }
    let rows = store.endpoints().await?;
    Ok(told(rows.iter().filter_map(|row| {
        let endpoint = config
            .endpoints
            .iter()
            .find(|endpoint| endpoint.name == row.name)?;
        let (since, text) = what_is_wrong(row, endpoint.when_paused, now)?;
        let owner = endpoint
            .owner
            .as_deref()
            .filter(|owner| is_reached(&config.alerts, owner));
        Some(NewAlert {
            key: format!("{OF_ENDPOINTS}{}", row.name),
            kind: "endpoint_failing".to_owned(),
            shop: None,
            owner: owner.unwrap_or(GENERAL).to_owned(),
            text,
            url: Some("/notify".to_owned()),
            quotes: false,
            since,
        })
    })))
}

fn what_is_wrong(row: &EndpointRow, when_paused: WhenPaused, now: Timestamp) -> Option<(Timestamp, String)> {
    let health: Health = serde_json::from_str(&row.health).unwrap_or_default();
    let is_paused = row.is_paused && row.paused_because.as_deref() != Some(PAUSED_BY_PERSON);
    let kept = row.failed + row.problems;
    let given_up_at = row.given_up_at.filter(|_| kept > 0);
    let failing_since = health.failing_since.or(row.paused_at.filter(|_| is_paused));
    let has_something = kept > 0 || row.waiting > 0 || row.is_sending;
    let has_given_up = |since: Timestamp| row.given_up_at.is_some_and(|at| at >= since);
    let takes_nothing = failing_since.filter(|since| is_paused || (has_something && has_given_up(*since)));
    let what = match (is_paused, when_paused) {
        (true, WhenPaused::Keep) => "It was paused and goes on when somebody lets it.",
        (true, WhenPaused::Discard) => {
            "It was paused and goes on when somebody lets it; what comes meanwhile is discarded, as its `when_paused` says."
        }
        (false, _) if row.problems > 0 => {
            "Deliveries that were tried for the last time, or that cannot be told, are kept and can be sent once more."
        }
        (false, _) if row.failed > 0 => {
            "Deliveries that were tried for the last time are kept and can be sent once more."
        }
        (false, _) => "What was tried for the last time is being sent once more.",
    };
    let name = &row.name;
    match (takes_nothing, given_up_at) {
        (Some(since), _) => {
            let (at, waiting) = (clock_time(since), counted(row.waiting));
            let nothing = format!("has taken nothing since {at}; {waiting} wait for it.");
            Some((since, format!("The endpoint {name} {nothing} {what}")))
        }
        (None, Some(at)) if now.since(at) < GIVEN_UP_LASTS => {
            let some = not_taken(row, &clock_time(at));
            Some((at, format!("The endpoint {name} {some} {what}")))
        }
        _ => None,
    }
}

/// What did not come to an endpoint that takes other things.
fn not_taken(row: &EndpointRow, last: &str) -> String {
    let problems = counted(row.problems);
    let why = "its condition or its body's template cannot be worked out for what they tell.";
    match (row.failed, row.problems) {
        (0, _) => format!("was not sent {problems}, the last time {last}: {why}"),
        (failed, 0) => format!(
            "did not take {}, the last time {last}, though it takes others.",
            counted(failed)
        ),
        (failed, _) => format!(
            "did not take {}, and was not sent {problems}, the last time {last}: {why}",
            counted(failed)
        ),
    }
}

fn counted(deliveries: u64) -> String {
    match deliveries {
        1 => "1 delivery".to_owned(),
        many => format!("{many} deliveries"),
    }
}
