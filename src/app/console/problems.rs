//! Problems by cause: what keeps many jobs from being done is one thing to be fixed.

use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::Extension;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse as _, Redirect, Response};

use super::Console;
use super::error::{Refusal, refuse};
use super::jobs::Choice;
use super::parts::{JobLine, ProblemView};
use super::seam::not_done;
use super::session::Visitor;
use super::tables::{Lacking, lacking};
use super::view::{Frame, Moment, counted, field, form_fields, page, percent_encoded};
use crate::app::review::{ClusterFilter, ClusterView, clusters};
use crate::domain::Timestamp;
use crate::store::{Acted, AuditFilter, BatchRow, BatchState, Cluster, JobFilter};

/// Jobs shown of one cluster.
const SHOWN: u32 = 100;

/// Clusters shown.
pub(super) const CLUSTERS: u32 = 200;

/// Batches shown besides those that run.
const BATCHES: u32 = 3;

/// A cause as pages show it.
pub(super) struct Cause {
    pub(super) shop: String,
    pub(super) code: String,
    pub(super) cluster: String,
    /// What it is called.
    pub(super) title: String,
    /// What one of its jobs says, where that is something else.
    pub(super) instance: Option<String>,
    pub(super) problem: ProblemView,
    pub(super) jobs: u64,
    /// `137 jobs`, or `the shop itself`.
    pub(super) size: String,
    pub(super) first: Moment,
    pub(super) last: Moment,
    /// Its own page.
    pub(super) url: String,
    pub(super) claimed_by: Option<String>,
    pub(super) snoozed: Option<Moment>,
    /// The newest of its jobs, and what people call its record.
    pub(super) example: Option<(i64, String)>,
}

impl Cause {
    pub(super) fn new(view: &ClusterView, now: Timestamp) -> Self {
        let row = &view.row;
        let Cluster { shop, code, cluster } = &row.cluster;
        Self {
            shop: shop.to_string(),
            code: code.clone(),
            cluster: cluster.clone(),
            title: view.title.clone(),
            instance: Some(row.example.reason.clone()).filter(|reason| *reason != view.title),
            problem: ProblemView::new(&row.example),
            jobs: row.jobs,
            size: if row.jobs == 0 {
                "the shop itself".to_owned()
            } else {
                counted(row.jobs, "job")
            },
            first: Moment::new(now, row.opened_at),
            last: Moment::new(now, row.seen_at),
            url: url_of(&row.cluster),
            claimed_by: row.claimed_by.clone(),
            snoozed: row
                .snoozed_until
                .filter(|_| view.is_snoozed)
                .map(|until| Moment::new(now, until)),
            example: row.example_job.map(|job| {
                let name = row.example.record.clone();
                (job.0, name.unwrap_or_else(|| format!("job {job}")))
            }),
        }
    }
}

/// The page of a cause.
pub(in crate::app) fn url_of(cluster: &Cluster) -> String {
    format!(
        "/problems/cluster?shop={}&code={}&cluster={}",
        percent_encoded(cluster.shop.as_str()),
        percent_encoded(&cluster.code),
        percent_encoded(&cluster.cluster)
    )
}

/// The page of the causes among which this one is, without naming it: a cause is made of values.
pub(in crate::app) fn code_page(cluster: &Cluster) -> String {
    format!(
        "/problems?shop={}&code={}",
        percent_encoded(cluster.shop.as_str()),
        percent_encoded(&cluster.code)
    )
}

/// Jobs that are tried again together.
struct BatchView {
    id: i64,
    state: &'static str,
    is_running: bool,
    done: u64,
    total: u64,
    who: String,
    what: String,
    began: Moment,
}

impl BatchView {
    fn new(row: &BatchRow, now: Timestamp) -> Self {
        let filter = &row.filter;
        let what = filter.cluster.as_ref().or(filter.code.as_ref()).cloned();
        Self {
            id: row.id,
            state: match row.state {
                BatchState::Running => "under way",
                BatchState::Done => "done",
                BatchState::Stopped => "stopped",
            },
            is_running: row.state == BatchState::Running,
            done: row.done,
            total: row.total,
            who: row.actor.to_string(),
            what: what.unwrap_or_else(|| "all that need a person".to_owned()),
            began: Moment::new(now, row.started_at),
        }
    }
}

#[derive(Template)]
#[template(path = "problems.html", config = ".config/askama.toml")]
struct ProblemsPage {
    frame: Frame,
    causes: Vec<Cause>,
    batches: Vec<BatchView>,
    /// Only those that this person looks after.
    only_mine: bool,
    shops: Vec<Choice>,
    /// Only of this kind; empty for all.
    code: String,
    /// Kinds that are there, for those who type.
    codes: Vec<String>,
    is_filtered: bool,
    /// Whether there may be more than are shown.
    is_cut: bool,
}

pub(super) async fn list(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    query: RawQuery,
) -> Response {
    let fields = form_fields(query.0.unwrap_or_default().as_bytes());
    match console.problems_page(&visitor, &fields).await {
        Ok(shown) => page(StatusCode::OK, &shown),
        Err(refusal) => refuse(Some(&visitor), refusal),
    }
}

impl Console {
    /// The open problems by cause.
    pub(super) async fn causes(&self, filter: ClusterFilter) -> Result<Vec<ClusterView>, Refusal> {
        let config = Arc::clone(&self.api.config.borrow());
        Ok(clusters(&config, &self.api.store, filter, self.api.clock.now()).await?)
    }

    async fn problems_page(
        &self,
        visitor: &Visitor,
        fields: &[(String, String)],
    ) -> Result<ProblemsPage, Refusal> {
        let only_mine = field(fields, "whose") == Some("mine");
        let shop = match field(fields, "shop") {
            Some(shop) => Some(shop.parse().map_err(|_| {
                Refusal::Not(
                    StatusCode::BAD_REQUEST,
                    "This filter is not known: shop.".to_owned(),
                )
            })?),
            None => None,
        };
        let code = field(fields, "code").map(str::to_owned);
        let filter = ClusterFilter {
            shop: shop.clone(),
            code: code.clone(),
            claimed_by: only_mine.then(|| visitor.name.clone()),
            limit: CLUSTERS,
            ..ClusterFilter::default()
        };
        let found = self.causes(filter).await?;
        let now = self.api.clock.now();
        let batches = self.api.store.batches(false, BATCHES).await?;
        let running = self.api.store.batches(true, 0).await?;
        let older = batches.iter().filter(|batch| batch.state != BatchState::Running);
        let config = Arc::clone(&self.api.config.borrow());
        let mut codes: Vec<String> = found.iter().map(|view| view.row.cluster.code.clone()).collect();
        codes.sort();
        codes.dedup();
        Ok(ProblemsPage {
            frame: Frame::new("Problems", "problems", Some(visitor)).noticing(field(fields, "notice")),
            shops: config
                .shops
                .keys()
                .map(|name| Choice {
                    value: name.to_string(),
                    text: name.to_string(),
                    is_chosen: shop.as_ref() == Some(name),
                })
                .collect(),
            is_filtered: only_mine || shop.is_some() || code.is_some(),
            code: code.unwrap_or_default(),
            codes,
            is_cut: found.len() >= CLUSTERS as usize,
            causes: found.iter().map(|view| Cause::new(view, now)).collect(),
            batches: running
                .iter()
                .chain(older)
                .map(|row| BatchView::new(row, now))
                .collect(),
            only_mine,
        })
    }
}

/// What somebody said about a cause.
struct NoteView {
    who: String,
    what: String,
    text: String,
    moment: Moment,
}

#[derive(Template)]
#[template(path = "cluster.html", config = ".config/askama.toml")]
struct ClusterPage {
    frame: Frame,
    cause: Cause,
    is_mine: bool,
    /// Entries of tables that would be the answer.
    lacking: Vec<Lacking>,
    jobs: Vec<JobLine>,
    not_shown: u64,
    notes: Vec<NoteView>,
}

/// Which cluster a form or an address means.
fn meant(fields: &[(String, String)]) -> Option<Cluster> {
    // A cluster's name may be empty or begin with a space: it is taken as it is.
    let (_, cluster) = fields.iter().find(|(key, _)| key == "cluster")?;
    Some(Cluster {
        shop: field(fields, "shop")?.parse().ok()?,
        code: field(fields, "code")?.to_owned(),
        cluster: cluster.clone(),
    })
}

fn which() -> Refusal {
    let text = "Say which problems are meant.".to_owned();
    Refusal::Not(StatusCode::BAD_REQUEST, text)
}

pub(super) async fn cluster(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    query: RawQuery,
) -> Response {
    let fields = form_fields(query.0.unwrap_or_default().as_bytes());
    match console.cluster_page(&visitor, &fields).await {
        Ok(shown) => page(StatusCode::OK, &shown),
        Err(refusal) => refuse(Some(&visitor), refusal),
    }
}

impl Console {
    async fn cluster_page(
        &self,
        visitor: &Visitor,
        fields: &[(String, String)],
    ) -> Result<ClusterPage, Refusal> {
        let gone = || Refusal::NotFound("No open problem has this cause (any more).".to_owned());
        let cluster = meant(fields).ok_or_else(gone)?;
        let filter = ClusterFilter {
            shop: Some(cluster.shop.clone()),
            code: Some(cluster.code.clone()),
            cluster: Some(cluster.cluster.clone()),
            limit: 1,
            ..ClusterFilter::default()
        };
        let found = self.causes(filter).await?.pop().ok_or_else(gone)?;
        let now = self.api.clock.now();
        let jobs = JobFilter {
            shop: Some(cluster.shop.clone()),
            code: Some(cluster.code.clone()),
            cluster: Some(cluster.cluster.clone()),
            limit: SHOWN,
            ..JobFilter::default()
        };
        let jobs = self.api.store.jobs(jobs).await?;
        let notes = AuditFilter {
            shop: Some(cluster.shop.clone()),
            subject: Some(format!("cluster:{}/{}", cluster.code, cluster.cluster)),
            ..AuditFilter::default()
        };
        let notes = self.api.store.audit(notes).await?;
        let cause = Cause::new(&found, now);
        let shown = jobs.iter().filter_map(|job| job.problem.as_ref());
        let problems = std::iter::once(&found.row.example).chain(shown);
        Ok(ClusterPage {
            frame: Frame::new("Problem", "problems", Some(visitor)).noticing(field(fields, "notice")),
            is_mine: cause.claimed_by.as_deref() == Some(&visitor.name),
            lacking: lacking(&cluster, problems),
            not_shown: cause.jobs.saturating_sub(jobs.len() as u64),
            jobs: jobs.iter().map(|job| JobLine::new(job, now)).collect(),
            cause,
            notes: notes
                .into_iter()
                .map(|row| NoteView {
                    who: row.actor,
                    what: row.action,
                    text: row.reason.unwrap_or_default(),
                    moment: Moment::new(now, row.at),
                })
                .collect(),
        })
    }
}

pub(super) async fn retry(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    body: Bytes,
) -> Response {
    let Some(cluster) = meant(&form_fields(&body)) else {
        return refuse(Some(&visitor), which());
    };
    match console.retry_cluster(&visitor, &cluster).await {
        Ok(Acted::Batch { is_new: true, .. }) => Redirect::to("/problems?notice=batch").into_response(),
        Ok(Acted::Batch { .. }) => Redirect::to("/problems?notice=batch_runs").into_response(),
        Ok(_) => Redirect::to("/problems?notice=already").into_response(),
        Err(refusal) => refuse(Some(&visitor), refusal),
    }
}

/// Claims, snoozes and notes, by the last word of the address.
pub(super) async fn act(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    uri: Uri,
    body: Bytes,
) -> Response {
    let fields = form_fields(&body);
    let done = match meant(&fields) {
        Some(cluster) => {
            let action = uri.path().rsplit('/').next().unwrap_or_default();
            let done = console.act_on_cluster(&visitor, &cluster, action, &fields).await;
            done.map(|notice| format!("{}&notice={notice}", url_of(&cluster)))
        }
        None => Err(which()),
    };
    match done {
        Ok(address) => Redirect::to(&address).into_response(),
        Err(refusal) => refuse(Some(&visitor), refusal),
    }
}

impl Console {
    async fn act_on_cluster(
        &self,
        visitor: &Visitor,
        cluster: &Cluster,
        action: &str,
        fields: &[(String, String)],
    ) -> Result<&'static str, Refusal> {
        let reviewer = self.reviewer(visitor);
        let reason = field(fields, "reason");
        let (acted, done) = match action {
            "claim" => {
                let over = field(fields, "over").is_some();
                (reviewer.claim_problem(cluster, over).await?, "claimed")
            }
            "unclaim" => (reviewer.unclaim_problem(cluster).await?, "unclaimed"),
            "snooze" => {
                let days: Option<u64> = field(fields, "days").and_then(|days| days.parse().ok());
                let days = days.filter(|days| (1..=90).contains(days));
                let until = days.map(|days| {
                    let length = Duration::from_secs(days * 24 * 3600);
                    self.api.clock.now().plus(length)
                });
                let done = if until.is_some() { "snoozed" } else { "awake" };
                (reviewer.snooze(cluster, until, reason).await?, done)
            }
            _ => match reason {
                Some(text) => (reviewer.note_cluster(cluster, text).await?, "noted"),
                None => return Ok("no_reason"),
            },
        };
        match not_done(&acted) {
            Some(refusal) => Err(refusal),
            None if acted.is_change() => Ok(done),
            None => Ok("already"),
        }
    }
}

pub(super) async fn stop(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Path(id): Path<String>,
) -> Response {
    let Ok(id) = id.parse::<i64>() else {
        return refuse(
            Some(&visitor),
            Refusal::NotFound("There is no such batch.".to_owned()),
        );
    };
    match console.reviewer(&visitor).stop_batch(id, None).await {
        Ok(acted) => match not_done(&acted) {
            Some(refusal) => refuse(Some(&visitor), refusal),
            None if acted.is_change() => Redirect::to("/problems?notice=batch_stopped").into_response(),
            None => Redirect::to("/problems?notice=already").into_response(),
        },
        Err(error) => refuse(Some(&visitor), Refusal::store(&error)),
    }
}
