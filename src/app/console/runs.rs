//! The runs that looked for missed changes, and the times of which events may be missing.

use std::collections::BTreeMap;
use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};

use super::Console;
use super::error::{Refusal, refuse};
use super::parts::{Chip, object_word};
use super::session::Visitor;
use super::view::{Frame, Moment, field, form_fields, page, span};
use crate::app::schedules::{self, LastRun, ScheduleStatus};
use crate::domain::{Actor, Timestamp, Via};
use crate::store::{DriftReportFilter, GapRow, ImportAct, ImportRow, ImportState, RunOutcome, RunRow};

/// How many imports are shown.
const IMPORTS: u32 = 20;

/// How many runs are shown.
const RUNS: u32 = 200;

struct RunLine {
    id: i64,
    shop: String,
    object: &'static str,
    cause: String,
    chip: Chip,
    error: String,
    since: Moment,
    began: Moment,
    took: String,
    records: u64,
    made: u64,
    pages: u64,
    node: String,
    /// Whether it has a report: how much it found.
    found: Option<u64>,
}

struct GapLine {
    shop: String,
    object: &'static str,
    reason: String,
    since: Moment,
    stood: Moment,
    next: Moment,
    failed: u32,
    run: Option<i64>,
}

/// Something that comes by itself.
struct ScheduleLine {
    what: &'static str,
    object: &'static str,
    shop: String,
    schedule: String,
    time_zone: String,
    last: Option<LastLine>,
    next: Vec<Moment>,
}

/// What became of it last.
struct LastLine {
    chip: Chip,
    began: Moment,
    error: String,
}

struct ImportLine {
    id: i64,
    shop: String,
    object: &'static str,
    chip: Chip,
    began: Moment,
    actor: String,
    listed: String,
    over: u64,
    made: String,
    problems: u64,
    error: String,
    /// What it does not see of what was asked for.
    warning: String,
    /// What its button does: stop it, or let it go on.
    button: Option<(&'static str, &'static str)>,
}

#[derive(Template)]
#[template(path = "runs.html", config = ".config/askama.toml")]
struct RunsPage {
    frame: Frame,
    gaps: Vec<GapLine>,
    schedules: Vec<ScheduleLine>,
    imports: Vec<ImportLine>,
    runs: Vec<RunLine>,
    shops: Vec<String>,
}

pub(super) async fn list(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    query: RawQuery,
) -> Response {
    let fields = form_fields(query.0.unwrap_or_default().as_bytes());
    match console.runs_page(&visitor, field(&fields, "notice")).await {
        Ok(shown) => page(StatusCode::OK, &shown),
        Err(refusal) => refuse(Some(&visitor), refusal),
    }
}

/// Stops an import, or lets it go on.
pub(super) async fn turn(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Path((id, turn)): Path<(i64, String)>,
    _body: Bytes,
) -> Response {
    let runs = match turn.as_str() {
        "resume" => true,
        "stop" => false,
        _ => {
            let unknown = Refusal::NotFound("An import can be stopped, or resumed.".to_owned());
            return refuse(Some(&visitor), unknown);
        }
    };
    let act = ImportAct {
        import: id,
        actor: Actor::new(visitor.name.clone(), Via::Console),
        at: console.api.clock.now(),
        runs,
    };
    let notice = match (console.api.store.act_on_import(act).await, runs) {
        (Ok(false), _) => "already",
        (Ok(true), true) => "import_resumed",
        (Ok(true), false) => "import_stopped",
        (Err(error), _) => return refuse(Some(&visitor), error.into()),
    };
    Redirect::to(&format!("/runs?notice={notice}")).into_response()
}

impl Console {
    async fn runs_page(&self, visitor: &Visitor, notice: Option<&str>) -> Result<RunsPage, Refusal> {
        let now = self.api.clock.now();
        let runs = self.api.store.runs(RUNS).await?;
        let gaps = self.api.store.gaps().await?;
        let reports = self
            .api
            .store
            .drift_reports(DriftReportFilter::default(), RUNS)
            .await?;
        let found: BTreeMap<i64, u64> = reports
            .iter()
            .map(|report| (report.run, report.found()))
            .collect();
        let config = Arc::clone(&self.api.config.borrow());
        let mut planned = Vec::new();
        for shop in config.shops.values() {
            planned.extend(schedules::of_shop(shop, &self.api.store, &runs, now).await?);
        }
        let imports = self.api.store.imports(IMPORTS).await?;
        Ok(RunsPage {
            frame: Frame::new("Runs", "runs", Some(visitor)).noticing(notice),
            schedules: planned
                .into_iter()
                .map(|schedule| schedule_line(schedule, now))
                .collect(),
            shops: config.shops.keys().map(ToString::to_string).collect(),
            gaps: gaps.into_iter().map(|gap| gap_line(gap, now)).collect(),
            imports: imports
                .into_iter()
                .map(|import| import_line(import, now))
                .collect(),
            runs: runs
                .into_iter()
                .map(|run| {
                    let found = found.get(&run.id).copied();
                    run_line(run, found, now)
                })
                .collect(),
        })
    }
}

/// How a run ended.
pub(super) const fn outcome_chip(outcome: Option<RunOutcome>) -> Chip {
    let (text, tone) = match outcome {
        None => ("under way", "busy"),
        Some(RunOutcome::Done) => ("done", "good"),
        Some(RunOutcome::Failed) => ("failed", "bad"),
        Some(RunOutcome::Cut) => ("cut short", "warn"),
        Some(RunOutcome::Stopped) => ("stopped", "warn"),
    };
    Chip { text, tone }
}

fn schedule_line(schedule: ScheduleStatus, now: Timestamp) -> ScheduleLine {
    let last = |last: LastRun| LastLine {
        chip: outcome_chip(last.outcome),
        began: Moment::new(now, last.began),
        error: last.error.unwrap_or_default(),
    };
    ScheduleLine {
        what: schedule.what,
        object: schedule.object.map_or("", object_word),
        shop: schedule.shop.to_string(),
        schedule: schedule.schedule,
        time_zone: schedule.time_zone,
        last: schedule.last.map(last),
        next: schedule.next.into_iter().map(|at| Moment::new(now, at)).collect(),
    }
}

fn run_line(run: RunRow, found: Option<u64>, now: Timestamp) -> RunLine {
    RunLine {
        id: run.id,
        shop: run.shop.to_string(),
        object: object_word(run.object),
        cause: run.cause.replace('_', " "),
        chip: outcome_chip(run.outcome),
        error: run.error.unwrap_or_default(),
        since: Moment::new(now, run.since),
        began: Moment::new(now, run.started_at),
        took: span(run.ended_at.unwrap_or(now).since(run.started_at)),
        records: run.counts.records,
        made: run.counts.made,
        pages: run.counts.pages,
        node: run.node,
        found,
    }
}

fn import_line(import: ImportRow, now: Timestamp) -> ImportLine {
    let (text, tone, button) = match import.state {
        ImportState::Running => ("under way", "busy", Some(("stop", "Stop it"))),
        ImportState::Stopped => ("stopped", "warn", Some(("resume", "Let it go on"))),
        ImportState::Done => ("done", "good", None),
        ImportState::Dropped => ("given up", "warn", None),
    };
    let counts = import.counts;
    ImportLine {
        id: import.id,
        shop: import.shop.to_string(),
        object: object_word(import.object),
        chip: Chip { text, tone },
        began: Moment::new(now, import.started_at),
        actor: import.actor,
        listed: if import.is_listed {
            import.listed.to_string()
        } else {
            format!("{} so far", import.listed)
        },
        over: counts.over(),
        made: format!(
            "{} created, {} updated, {} unchanged, {} left out by rule",
            counts.created, counts.updated, counts.unchanged, counts.left_out
        ),
        problems: counts.problems,
        error: import.error.unwrap_or_default(),
        warning: import.warning.unwrap_or_default(),
        button,
    }
}

fn gap_line(gap: GapRow, now: Timestamp) -> GapLine {
    GapLine {
        shop: gap.shop.to_string(),
        object: object_word(gap.object),
        reason: gap.reason,
        since: Moment::new(now, gap.since),
        stood: Moment::new(now, gap.stood_at),
        next: Moment::new(now, gap.next_at),
        failed: gap.failed,
        run: gap.run,
    }
}
