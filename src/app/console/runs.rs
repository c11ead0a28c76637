//! The runs that looked for missed changes, and the times of which events may be missing.

use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use super::Console;
use super::error::{Refusal, refuse};
use super::parts::{Chip, object_word};
use super::session::Visitor;
use super::view::{Frame, Moment, page, span};
use crate::domain::Timestamp;
use crate::store::{GapRow, RunOutcome, RunRow};

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

#[derive(Template)]
#[template(path = "runs.html", config = ".config/askama.toml")]
struct RunsPage {
    frame: Frame,
    gaps: Vec<GapLine>,
    runs: Vec<RunLine>,
}

pub(super) async fn list(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
) -> Response {
    match console.runs_page(&visitor).await {
        Ok(shown) => page(StatusCode::OK, &shown),
        Err(refusal) => refuse(Some(&visitor), refusal),
    }
}

impl Console {
    async fn runs_page(&self, visitor: &Visitor) -> Result<RunsPage, Refusal> {
        let now = self.api.clock.now();
        let runs = self.api.store.runs(RUNS).await?;
        let gaps = self.api.store.gaps().await?;
        Ok(RunsPage {
            frame: Frame::new("Runs", "runs", Some(visitor)),
            gaps: gaps.into_iter().map(|gap| gap_line(gap, now)).collect(),
            runs: runs.into_iter().map(|run| run_line(run, now)).collect(),
        })
    }
}

fn run_line(run: RunRow, now: Timestamp) -> RunLine {
    let (text, tone) = match run.outcome {
        None => ("under way", "busy"),
        Some(RunOutcome::Done) => ("done", "good"),
        Some(RunOutcome::Failed) => ("failed", "bad"),
        Some(RunOutcome::Cut) => ("cut short", "warn"),
    };
    RunLine {
        id: run.id,
        shop: run.shop.to_string(),
        object: object_word(run.object),
        cause: run.cause.replace('_', " "),
        chip: Chip { text, tone },
        error: run.error.unwrap_or_default(),
        since: Moment::new(now, run.since),
        began: Moment::new(now, run.started_at),
        took: span(run.ended_at.unwrap_or(now).since(run.started_at)),
        records: run.counts.records,
        made: run.counts.made,
        pages: run.counts.pages,
        node: run.node,
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
