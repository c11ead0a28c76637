//! One job: what it is about, what is wrong and what to do, and everything that happened.

use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse as _, Redirect, Response};
use serde_json::Value;

use super::Console;
use super::asks::{Limited, conflicts, lacking_of, limited};
use super::error::{Refusal, refuse};
use super::parts::{Chip, ProblemView, chip, direction_word, name_of, object_word};
use super::plans::PlanView;
use super::record::address_of;
use super::seam::{Done, Wish};
use super::session::Visitor;
use super::tables::Lacking;
use super::timeline::{Step, steps};
use super::view::{Frame, Moment, counted, field, form_fields, page};
use crate::app::record::expected;
use crate::app::review::{Candidate, Conflict, Reference, References, sides};
use crate::domain::{Direction, EventId, JobId, JobState, Object, Role, Timestamp};
use crate::store::{AuditFilter, HELD_BY_PERSON, JobRow};

/// How many actions of people are shown of a job.
const ACTIONS: u32 = 200;

#[derive(Template)]
#[template(path = "job.html", config = ".config/askama.toml")]
#[expect(
    clippy::struct_excessive_bools,
    reason = "one for each button that is shown or not"
)]
struct JobPage {
    frame: Frame,
    id: i64,
    chip: Chip,
    object: &'static str,
    direction: &'static str,
    shop: String,
    references: Vec<(&'static str, Reference)>,
    /// The page of its record.
    record: Option<String>,
    /// What else there is to say of how it stands.
    standing: Vec<String>,
    problem: Option<ProblemView>,
    /// Entries of tables that would be the answer.
    lacking: Vec<Lacking>,
    /// Fields that both sides changed: a person says whose value is kept.
    conflicts: Vec<Conflict>,
    /// Whether the limits on sudden change hold it back, with the shop's changes of the same kind.
    limited: Option<Limited>,
    problem_seen: Option<(Moment, Moment, u32)>,
    /// What would be written, when it waits for a yes.
    plan: Option<PlanView>,
    can_retry: bool,
    /// A closed job gets a new one.
    retry_text: &'static str,
    can_discard: bool,
    can_hold: bool,
    can_release: bool,
    can_go_ahead: bool,
    can_resolve: bool,
    /// Whether the ERP may have a record that is meant.
    has_candidates: bool,
    /// What the forms show, so that they do nothing to another state than this one.
    seen: i64,
    steps: Vec<Step>,
    made: Moment,
    changed: Moment,
    attempts: String,
    key: String,
}

fn id_of(text: &str) -> Result<JobId, Refusal> {
    text.parse()
        .map(JobId)
        .map_err(|_| Refusal::NotFound("Jobs have numbers, like 42.".to_owned()))
}

pub(super) async fn show(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Path(id): Path<String>,
    query: RawQuery,
) -> Response {
    let fields = form_fields(query.0.unwrap_or_default().as_bytes());
    match console.job_page(&visitor, &id, field(&fields, "notice")).await {
        Ok(shown) => page(StatusCode::OK, &shown),
        Err(refusal) => refuse(Some(&visitor), refusal),
    }
}

impl Console {
    async fn job_page(&self, visitor: &Visitor, id: &str, notice: Option<&str>) -> Result<JobPage, Refusal> {
        let id = id_of(id)?;
        let config = Arc::clone(&self.api.config.borrow());
        let found = sides(&config, &self.api.store, id).await?;
        let story = found
            .story
            .ok_or_else(|| Refusal::NotFound(format!("There is no job {id}.")))?;
        let actions = AuditFilter {
            subject: Some(format!("job:{id}")),
            limit: ACTIONS,
            ..AuditFilter::default()
        };
        let actions = self.api.store.audit(actions).await?;
        let now = self.api.clock.now();
        let job = &story.job;
        let turn = expected(&self.api.store, &self.api.clock, job).await?;
        let turn = turn.map(|turn| format!("Waits for its turn: {turn}."));
        let title = format!("{} {}", capitalised(object_word(job.key.object)), name_of(job));
        let open_problem = story.problems.iter().rev().find(|row| row.closed_at.is_none());
        Ok(JobPage {
            frame: Frame::new(title, "jobs", Some(visitor)).noticing(notice),
            id: job.id.0,
            chip: chip(job.state),
            object: object_word(job.key.object),
            direction: direction_word(job.key.direction),
            shop: job.key.shop.to_string(),
            record: address_of(job, &found.references),
            references: both(found.references),
            standing: standing(job, now).into_iter().chain(turn).collect(),
            problem: job.problem.as_ref().map(ProblemView::new),
            lacking: job
                .problem
                .as_ref()
                .map(|problem| lacking_of(job, problem))
                .unwrap_or_default(),
            problem_seen: open_problem.map(|row| {
                (
                    Moment::new(now, row.opened_at),
                    Moment::new(now, row.seen_at),
                    row.count,
                )
            }),
            conflicts: conflicts(job),
            limited: limited(job),
            plan: PlanView::of(job, visitor.role.may(Role::Operator)),
            can_retry: job.state != JobState::Running && job.state != JobState::Available,
            retry_text: if job.state.is_open() {
                "Try again now"
            } else {
                "Do it again"
            },
            can_discard: job.state.is_open() && job.state != JobState::Running,
            can_hold: job.state.is_open() && !matches!(job.state, JobState::Running | JobState::Held),
            can_release: held_by_person(job),
            can_go_ahead: matches!(
                job.state,
                JobState::Available | JobState::Scheduled | JobState::Retryable
            ),
            can_resolve: job.state.is_open()
                && job.state != JobState::Running
                && (job.key.object, job.key.direction) == (Object::Order, Direction::In),
            has_candidates: job.state == JobState::Problem
                && job.key.direction == Direction::In
                && matches!(job.key.object, Object::Order | Object::Customer),
            seen: job.updated_at.millis(),
            made: Moment::new(now, job.created_at),
            changed: Moment::new(now, job.updated_at),
            attempts: counted(u64::from(job.attempts), "attempt"),
            key: job.key.to_string(),
            steps: steps(&story, actions, visitor.role.may(Role::Operator), now),
        })
    }
}

/// Both sides, as far as they are known.
pub(super) fn both(sides: References) -> Vec<(&'static str, Reference)> {
    let named = [("Shopify", sides.shopify), ("ERP", sides.erp)];
    named
        .into_iter()
        .filter_map(|(system, side)| Some((system, side?)))
        .collect()
}

fn standing(job: &JobRow, now: Timestamp) -> Vec<String> {
    let mut told = Vec::new();
    if let Some(reason) = &job.reason {
        told.push(format!("Closed: {reason}"));
    }
    if let Some(record) = &job.waits_on {
        told.push(format!("Waits for {record}."));
    }
    if let Some(at) = job.run_at.filter(|_| job.state.is_open()) {
        told.push(format!("Next try {}.", Moment::new(now, at).relative));
    }
    told
}

/// Whether a person holds it back, so that a person lets it go.
fn held_by_person(job: &JobRow) -> bool {
    let code = job.problem.as_ref().map(|problem| problem.code.0.as_str());
    job.state == JobState::Held && code == Some(HELD_BY_PERSON)
}

pub(super) fn capitalised(word: &str) -> String {
    let mut letters = word.chars();
    letters
        .next()
        .map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// Shows the job again, with what became of the action.
fn answered(visitor: &Visitor, done: Result<Done, Refusal>) -> Response {
    match done {
        Ok((id, notice)) => Redirect::to(&format!("/jobs/{id}?notice={notice}")).into_response(),
        Err(refusal) => refuse(Some(visitor), refusal),
    }
}

/// Whatever a person does about a job, by the last word of the address.
pub(super) async fn act(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Path(id): Path<String>,
    uri: Uri,
    body: Bytes,
) -> Response {
    let fields = form_fields(&body);
    let said = (field(&fields, "seen"), field(&fields, "reason"));
    let action = uri.path().rsplit('/').next().unwrap_or_default();
    let done = match (id_of(&id), Wish::of(action, &fields)) {
        (Ok(id), Ok(wish)) => console.act(&visitor, id, wish, said).await,
        (Err(refusal), _) | (_, Err(refusal)) => Err(refusal),
    };
    answered(&visitor, done)
}

#[derive(Template)]
#[template(path = "candidates.html", config = ".config/askama.toml")]
struct CandidatesPage {
    frame: Frame,
    id: i64,
    seen: i64,
    is_customer: bool,
    found: Vec<Candidate>,
}

pub(super) async fn candidates(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Path(id): Path<String>,
) -> Response {
    match console.candidates_page(&visitor, &id).await {
        Ok(shown) => page(StatusCode::OK, &shown),
        Err(refusal) => refuse(Some(&visitor), refusal),
    }
}

impl Console {
    async fn candidates_page(&self, visitor: &Visitor, id: &str) -> Result<CandidatesPage, Refusal> {
        let id = id_of(id)?;
        let story = self.api.store.job(id).await?;
        let story = story.ok_or_else(|| Refusal::NotFound(format!("There is no job {id}.")))?;
        let found = self.api.candidates(&self.reviewer(visitor), id).await?;
        Ok(CandidatesPage {
            frame: Frame::new("Records in the ERP", "jobs", Some(visitor)),
            id: id.0,
            seen: story.job.updated_at.millis(),
            is_customer: found.iter().any(|one| one.model == "res.partner"),
            found,
        })
    }
}

#[derive(Template)]
#[template(path = "event.html", config = ".config/askama.toml")]
struct EventPage {
    frame: Frame,
    topic: String,
    shop: String,
    received: Moment,
    webhook_id: Option<String>,
    sha256: String,
    reason: Option<String>,
    body: Option<String>,
    is_masked: bool,
}

pub(super) async fn event(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Path(id): Path<String>,
) -> Response {
    match console.event_page(&visitor, &id).await {
        Ok(shown) => page(StatusCode::OK, &shown),
        Err(refusal) => refuse(Some(&visitor), refusal),
    }
}

impl Console {
    async fn event_page(&self, visitor: &Visitor, id: &str) -> Result<EventPage, Refusal> {
        let unknown = || Refusal::NotFound("There is no such event.".to_owned());
        let id = id.parse().map(EventId).map_err(|_| unknown())?;
        let event = self.api.store.event(id).await?.ok_or_else(unknown)?;
        let is_masked = !visitor.role.may(Role::Operator);
        let body = event.body.map(|body| shown_body(&body, is_masked));
        Ok(EventPage {
            frame: Frame::new(format!("Event {id}"), "jobs", Some(visitor)),
            topic: event.topic,
            shop: event.shop.to_string(),
            received: Moment::new(self.api.clock.now(), event.received_at),
            webhook_id: event.webhook_id,
            sha256: event.body_sha256,
            reason: event.reason,
            body,
            is_masked,
        })
    }
}

/// The body for people. Masked, all that is left of it is its shape: which fields there are.
fn shown_body(body: &[u8], is_masked: bool) -> String {
    match serde_json::from_slice::<Value>(body) {
        Ok(mut value) => {
            if is_masked {
                mask(&mut value);
            }
            format!("{value:#}")
        }
        Err(_) if is_masked => "(no JSON)".to_owned(),
        Err(_) => String::from_utf8_lossy(body).into_owned(),
    }
}

fn mask(value: &mut Value) {
    match value {
        Value::String(text) => {
            *text = if text.is_empty() {
                String::new()
            } else {
                "•••".to_owned()
            }
        }
        Value::Number(_) => *value = Value::from("•••"),
        Value::Array(items) => items.iter_mut().for_each(mask),
        Value::Object(fields) => fields.values_mut().for_each(mask),
        Value::Null | Value::Bool(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_masked_body_shows_fields_and_nothing_of_anybody() {
        let body = br#"{"id": 42, "email": "ada@example.com", "tags": ["vip"], "test": false, "note": null}"#;
        let masked = shown_body(body, true);
        for part in ["42", "ada", "vip"] {
            assert!(!masked.contains(part), "{masked}");
        }
        for part in ["email", "tags", "false", "null"] {
            assert!(masked.contains(part), "{masked}");
        }
        assert!(shown_body(body, false).contains("ada@example.com"));
        assert_eq!(shown_body(b"Ada Lovelace", true), "(no JSON)");
    }
}
