//! What people do about failed work, for programs: the same use cases as the console's and the command line's.
//!
//! What was done already is told as such and done no second time, so that a call whose answer was lost can be repeated. With
//! `seen` a call names the job's state that its maker saw: when it is another one by then, nothing is done.

mod by_hand;
pub(super) mod frame;
mod jobs;
mod plans;
mod problems;
mod shops;
mod tables;
#[cfg(test)]
mod tests;
mod why;

use axum::body::Bytes;
use axum::extract::Query;
use axum::extract::rejection::QueryRejection;
use axum::http::Extensions;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::auth::Caller;
use super::routes::Route;
use super::{Api, Refused};
use crate::app::review::{Reviewer, answer};
use crate::domain::{Actor, JobId, JobState, Role, Via};
use crate::store::Acted;

/// The routes of this module.
pub(super) fn table() -> Vec<Route> {
    let tables = [
        jobs::table(),
        plans::table(),
        problems::table(),
        shops::table(),
        tables::table(),
    ];
    tables.into_iter().flatten().collect()
}

/// Rows that are answered at most.
const MOST: u32 = 1000;

/// What is said with an action.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Words {
    /// Why, for those who ask later.
    pub(super) reason: Option<String>,
}

/// What is said with an action on a job.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct OnJob {
    /// Why, for those who ask later. Discards, holds and notes need one.
    reason: Option<String>,
    /// The state in which the job was seen: in another one nothing is done.
    seen: Option<JobState>,
}

/// What became of an action.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Told {
    /// What was done, or that it stood like that already.
    result: Acted,
    /// One sentence.
    pub(super) told: String,
}

/// Whether the caller may see personal data.
pub(super) fn sees_people(request: &Extensions) -> bool {
    request
        .get::<Caller>()
        .is_some_and(|caller| caller.role.may(Role::Operator))
}

impl Api {
    /// The caller as the one who acts.
    pub(super) fn reviewer(&self, request: &Extensions) -> Reviewer {
        let name = request.get::<Caller>().map_or("-", |caller| caller.name.as_str());
        Reviewer::new(self.store.clone(), self.clock.clone(), Actor::new(name, Via::Api))
    }

    /// What became of an action on a job. What was not done is refused.
    pub(super) fn of_job(&self, job: JobId, acted: Acted, done: &str) -> Result<Told, Refused> {
        self.controls.look();
        let told = answer(job, &acted, done);
        let sentence = || format!("{}.", capitalised(&told));
        match &acted {
            Acted::Unknown => Err(Refused::Unknown(sentence())),
            Acted::NotNow(_) => Err(conflict("not_now", sentence())),
            Acted::Taken(_) => Err(conflict("taken", sentence())),
            Acted::Linked(_) => Err(conflict("linked", sentence())),
            Acted::Later(_) => Err(conflict("later_job", sentence())),
            Acted::Jobs(_)
            | Acted::Done
            | Acted::Again(_)
            | Acted::New(_)
            | Acted::Batch { .. }
            | Acted::Already => Ok(Told { told, result: acted }),
        }
    }

    /// Refuses when the job's state is not the one that was seen.
    pub(super) async fn as_seen(&self, job: JobId, seen: Option<JobState>) -> Result<(), Refused> {
        let Some(seen) = seen else { return Ok(()) };
        let story = self.store.job(job).await?;
        let story = story.ok_or_else(|| no_job(job))?;
        if story.job.state == seen {
            return Ok(());
        }
        let detail = format!("Job {job} is {} now; nothing was done.", story.job.state);
        Err(conflict("changed", detail))
    }
}

pub(super) fn conflict(code: &'static str, detail: String) -> Refused {
    Refused::Conflict { code, detail }
}

fn no_job(job: JobId) -> Refused {
    Refused::Unknown(format!("There is no job {job}."))
}

pub(super) fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters
        .next()
        .map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// A job's number out of an address.
pub(super) fn job_id(text: &str) -> Result<JobId, Refused> {
    text.parse()
        .map(JobId)
        .map_err(|_| Refused::Invalid(format!("`{text}` is no number of a job.")))
}

/// A body, which may be left out where everything in it may.
pub(super) fn body<T: DeserializeOwned>(bytes: &Bytes) -> Result<T, Refused> {
    let text: &[u8] = if bytes.is_empty() { b"{}" } else { bytes };
    serde_json::from_slice(text)
        .map_err(|error| Refused::Invalid(format!("The body cannot be used: {error}.")))
}

pub(super) fn query<T>(asked: Result<Query<T>, QueryRejection>) -> Result<T, Refused> {
    asked
        .map(|Query(asked)| asked)
        .map_err(|rejection| Refused::Invalid(rejection.body_text()))
}

/// How many rows are asked for.
pub(super) fn limited(limit: Option<u32>) -> Result<u32, Refused> {
    match limit {
        None => Ok(50),
        Some(limit) if (1..=MOST).contains(&limit) => Ok(limit),
        Some(_) => Err(Refused::Invalid(format!("`limit` is from 1 to {MOST}."))),
    }
}

/// A text that must be there.
fn needed<'t>(text: Option<&'t str>, what: &str) -> Result<&'t str, Refused> {
    let text = text.map(str::trim).filter(|text| !text.is_empty());
    text.ok_or_else(|| Refused::Invalid(format!("Nothing was done: `{what}` is needed.")))
}
