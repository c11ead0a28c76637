//! The endpoints that are told what happens, the log of what was told, and what conditions and templates can read.

mod declare;
mod deliveries;
mod fields;

use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::Extension;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};

use super::Console;
use super::error::{Refusal, refuse};
use super::parts::Chip;
use super::session::Visitor;
use super::view::{Frame, Moment, field, form_fields, page, percent_encoded, span};
use crate::app::notify::{Again, EndpointView, Standing, Trial, Turned, endpoints, paused_words};
use crate::config::Config;
use crate::domain::{Actor, Role, Timestamp, Via};
use crate::store::{EndpointRow, PAUSED_BY_PERSON, Redeliver, Redelivered};

pub(super) use declare::{apply, edit, new, plan};
pub(super) use deliveries::{again, list as deliveries, range_again, show as delivery};
pub(super) use fields::show as fields;

/// An endpoint in the list.
struct EndpointLine {
    name: String,
    /// Where its actions go.
    url: String,
    /// Its deliveries.
    log: String,
    chip: Chip,
    /// Why it is paused, or since when it fails.
    note: String,
    host: String,
    events: String,
    shops: String,
    condition: Option<String>,
    description: Option<String>,
    owner: String,
    success: String,
    latency: String,
    waiting: u64,
    oldest: Option<Moment>,
    failed: u64,
    problems: u64,
    last_failure: Option<FailureLine>,
    can_pause: bool,
    can_resume: bool,
    is_removed: bool,
    /// Where it is changed.
    edit: String,
}

/// A delivery whose last try failed.
struct FailureLine {
    url: String,
    moment: Moment,
    text: String,
}

#[derive(Template)]
#[template(path = "notify.html", config = ".config/askama.toml")]
struct EndpointsPage {
    frame: Frame,
    endpoints: Vec<EndpointLine>,
}

pub(super) async fn list(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    query: RawQuery,
) -> Response {
    let fields = form_fields(query.0.unwrap_or_default().as_bytes());
    let config = Arc::clone(&console.api.config.borrow());
    let now = console.api.clock.now();
    match endpoints(&config, &console.api.store).await {
        Ok(views) => page(
            StatusCode::OK,
            &EndpointsPage {
                frame: Frame::new("Endpoints", "notify", Some(&visitor)).noticing(field(&fields, "notice")),
                endpoints: views.into_iter().map(|view| line(view, now)).collect(),
            },
        ),
        Err(error) => refuse(Some(&visitor), error.into()),
    }
}

fn line(view: EndpointView, now: Timestamp) -> EndpointLine {
    let paused = paused_words(&view);
    let (chip, note) = match (view.standing, paused) {
        (Standing::Paused, because) => {
            let since = view.paused_at.map(|at| Moment::new(now, at).relative);
            let words = because.into_iter().chain(since).collect::<Vec<_>>().join(", ");
            (("paused", "warn"), words)
        }
        (Standing::Removed, _) => (
            ("not in the configuration", "warn"),
            "nothing is sent to it any more".to_owned(),
        ),
        (Standing::Active, _) => match view.failing_since {
            Some(since) => {
                let since = Moment::new(now, since).relative;
                (("failing", "bad"), format!("nothing was taken since {since}"))
            }
            None => (("active", "good"), String::new()),
        },
    };
    let percent = view.recent.success_percent;
    let latency = view
        .recent
        .median_ms
        .zip(view.recent.slow_ms)
        .map(|(median, slow)| {
            let words = |ms| span(Duration::from_millis(ms));
            format!("{}; 95 % within {}", words(median), words(slow))
        });
    EndpointLine {
        url: format!("/notify/endpoints/{}", percent_encoded(&view.name)),
        log: format!("/notify/deliveries?endpoint={}", percent_encoded(&view.name)),
        chip: Chip {
            text: chip.0,
            tone: chip.1,
        },
        note,
        host: view.host.unwrap_or_default(),
        events: view.events.join(", "),
        shops: view.shops.join(", "),
        condition: view.condition,
        description: view.description,
        owner: view.owner.unwrap_or_default(),
        success: percent.map_or_else(String::new, |percent| {
            format!("{percent} % of the last {}", view.recent.tried)
        }),
        latency: latency.unwrap_or_default(),
        waiting: view.waiting,
        oldest: view.oldest_waiting.map(|at| Moment::new(now, at)),
        failed: view.failed,
        problems: view.problems,
        last_failure: view.recent.last_failure.map(|failure| FailureLine {
            url: format!("/notify/deliveries/{}", failure.delivery),
            moment: Moment::new(now, failure.created_at),
            text: failure.sentence.unwrap_or(failure.failure),
        }),
        can_pause: view.standing == Standing::Active,
        can_resume: view.standing == Standing::Paused
            && view.paused_because.as_deref() != Some("configuration"),
        is_removed: view.standing == Standing::Removed,
        edit: declare::edit_url(&view.name),
        name: view.name,
    }
}

#[derive(Template)]
#[template(path = "notify_test.html", config = ".config/askama.toml")]
struct TrialPage {
    frame: Frame,
    trial: Trial,
    took: String,
}

/// What people should know of endpoints that others are not told by, in one line about deliveries and one about pauses. What a person
/// or the configuration paused is meant to be.
pub(super) fn untold(rows: &[EndpointRow], config: &Config) -> Vec<String> {
    let declared = |row: &&EndpointRow| config.endpoints.iter().any(|endpoint| endpoint.name == row.name);
    let names = |rows: &[&EndpointRow]| match rows {
        [one] => format!("the endpoint {}", one.name),
        many => format!("{} endpoints", many.len()),
    };
    let mut told = Vec::new();
    let failed: Vec<&EndpointRow> = rows
        .iter()
        .filter(declared)
        .filter(|row| row.failed + row.problems > 0)
        .collect();
    if !failed.is_empty() {
        let count = match failed.iter().map(|row| row.failed + row.problems).sum::<u64>() {
            1 => "1 delivery".to_owned(),
            many => format!("{many} deliveries"),
        };
        told.push(format!("{count} to {} failed", names(&failed)));
    }
    let paused: Vec<&EndpointRow> = rows
        .iter()
        .filter(declared)
        .filter(|row| row.is_paused && row.paused_because.as_deref() != Some(PAUSED_BY_PERSON))
        .collect();
    if !paused.is_empty() {
        let is = if paused.len() == 1 { "is" } else { "are" };
        told.push(format!(
            "{} {is} paused because of failures: nothing is sent there until somebody resumes",
            names(&paused)
        ));
    }
    told
}

/// The notice about what is sent again.
pub(super) fn sent_again(again: &Again) -> &'static str {
    if again.is_paused {
        "waits_paused"
    } else {
        "sent_again"
    }
}

/// Does what a person wants of an endpoint.
pub(super) async fn act(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Path((name, action)): Path<(String, String)>,
    body: Bytes,
) -> Response {
    let fields = form_fields(&body);
    match console.act_on_endpoint(&visitor, &name, &action, &fields).await {
        Ok(response) => response,
        Err(refusal) => refuse(Some(&visitor), refusal),
    }
}

impl Console {
    async fn act_on_endpoint(
        &self,
        visitor: &Visitor,
        name: &str,
        action: &str,
        fields: &[(String, String)],
    ) -> Result<Response, Refusal> {
        let actor = Actor::new(visitor.name.clone(), Via::Console);
        let notice = match action {
            "test" => {
                let trial = self.api.try_endpoint(name, &actor).await?;
                let shown = TrialPage {
                    frame: Frame::new("Test of an endpoint", "notify", Some(visitor)),
                    took: span(Duration::from_millis(trial.took_ms)),
                    trial,
                };
                return Ok(page(StatusCode::OK, &shown));
            }
            "pause" | "resume" => {
                let pause = action == "pause";
                let how = (name, pause, field(fields, "reason"));
                match (self.api.turn_endpoint(actor, how).await?, pause) {
                    (Turned::Done, true) => "endpoint_paused",
                    (Turned::Done, false) => "endpoint_resumed",
                    (Turned::Already, _) => "already",
                    (Turned::Configured, _) => "endpoint_configured",
                }
            }
            "redeliver" => {
                let what = Redeliver::Failed {
                    endpoint: Some(name.to_owned()),
                };
                let again = self.api.again(actor, what).await?;
                match again.result {
                    Redelivered::Done(0) => "none_failed",
                    _ => sent_again(&again),
                }
            }
            "cancel" if visitor.role.may(Role::Admin) => {
                self.api.cancel_endpoint(actor, name).await?;
                "given_up"
            }
            "cancel" => return Err(Refusal::NotAllowed(Role::Admin)),
            _ => return Err(Refusal::NotFound("There is no such action.".to_owned())),
        };
        Ok(Redirect::to(&format!("/notify?notice={notice}")).into_response())
    }
}
