//! What the overview finds not to be as it should.

use std::time::Duration;

use super::notify::untold;
use super::overview::{WAITING, count};
use super::parts::{direction_word, object_word, system_word};
use super::view::{Moment, counted, span};
use crate::app::review::ClusterView;
use crate::app::status::Status;
use crate::config::Config;
use crate::domain::{Direction, JobState, Object};
use crate::store::{EndpointRow, PauseRow, RunOutcome};
use crate::subscriptions::Toggle;

/// A job that is due and waits longer than this is something to look at.
const LONG_WAIT: Duration = Duration::from_secs(600);

/// Something that is not as it should be.
pub(super) struct Concern {
    pub(super) text: String,
    pub(super) url: &'static str,
}

/// Everything that is not as it should be.
pub(super) fn concerns(
    status: &Status,
    causes: &[ClusterView],
    pauses: &[PauseRow],
    config: &Config,
    endpoints: &[EndpointRow],
) -> Vec<Concern> {
    let mut found = Vec::new();
    let mut add = |text: String, url| found.push(Concern { text, url });
    if status.open_problems > 0 {
        let causes = counted(causes.len() as u64, "cause");
        let text = match status.open_problems {
            1 => "1 problem needs a person".to_owned(),
            many => format!("{many} problems need a person ({causes})"),
        };
        add(text, "/problems");
    }
    let held: u64 = status
        .lanes
        .iter()
        .map(|lane| count(lane, &[JobState::Held]))
        .sum();
    if held > 0 {
        add(format!("{} for a yes", waits(held)), "/jobs?state=held");
    }
    for breaker in &status.breakers {
        let text = format!(
            "{} of {} does not answer",
            system_word(breaker.system),
            breaker.shop
        );
        add(text, "/jobs?state=retryable");
    }
    for pause in pauses {
        let text = format!("{} is paused by {}", pause.shop, pause.actor);
        add(text, "/");
    }
    for lane in &status.lanes {
        let late = lane
            .oldest_open
            .is_some_and(|at| status.now.since(at) > LONG_WAIT);
        let is_on = lane.toggle == Some(Toggle::On) || lane.object == Object::Shop;
        if late && is_on && count(lane, WAITING) > 0 {
            let text = format!(
                "{}, {}: the oldest {} job has waited for {}",
                lane.shop,
                direction_word(lane.direction),
                object_word(lane.object),
                lane.oldest_open
                    .map(|at| span(status.now.since(at)))
                    .unwrap_or_default(),
            );
            add(text, "/jobs?state=available");
        }
        if lane.toggle == Some(Toggle::Paused) {
            let text = format!(
                "{}: {} {} is paused",
                lane.shop,
                object_word(lane.object),
                direction_word(lane.direction)
            );
            add(text, "/settings");
        }
    }
    for gap in &status.gaps {
        let text = format!(
            "{}: changes of {} since {} may be missing until they are looked for",
            gap.shop,
            object_word(gap.object),
            Moment::new(status.now, gap.since).exact
        );
        add(text, "/");
    }
    for schedule in &status.schedules {
        let last = schedule.last.as_ref();
        let failed = last.filter(|last| schedule.is_full && last.outcome == Some(RunOutcome::Failed));
        if let (Some(failed), Some(object)) = (failed, schedule.object) {
            let text = format!(
                "{}: both sides of {} could not be compared at {}",
                schedule.shop,
                object_word(object),
                Moment::new(status.now, failed.began).exact
            );
            add(text, "/runs");
        }
    }
    for refused in &status.rejections {
        let text = format!(
            "{} refused in the last 24 hours: {} ({})",
            if refused.count == 1 {
                "1 delivery was".to_owned()
            } else {
                format!("{} deliveries were", refused.count)
            },
            refused.reason,
            refused.shop
        );
        add(text, "/webhooks");
    }
    for text in untold(endpoints, config) {
        add(text, "/notify");
    }
    for warning in &status.warnings {
        add(warning.clone(), "/");
    }
    if status.nodes.is_empty() {
        add("no daemon is at work".to_owned(), "/");
    }
    for shop in config.shops.values() {
        let nothing_is_on = Object::ALL.iter().all(|object| {
            Direction::ALL
                .iter()
                .all(|direction| shop.sync.toggle(*object, *direction) == Toggle::Off)
        });
        if nothing_is_on {
            add(format!("{}: nothing is switched on", shop.name), "/settings");
        }
    }
    found
}

fn waits(count: u64) -> String {
    if count == 1 {
        "1 job waits".to_owned()
    } else {
        format!("{count} jobs wait")
    }
}
