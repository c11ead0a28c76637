//! Retries: of some jobs one by one, and of many by the daemon.

use clap::Args;
use serde::Serialize;

use super::super::actor;
use super::super::failure::{FAILED, Failure};
use super::super::output::{Output, counted, time};
use super::review::told;
use crate::app;
use crate::app::review::{DEFAULT_PER_SECOND, MOST_PER_SECOND, Reviewer, answer};
use crate::config::Config;
use crate::domain::{Direction, JobId, Object, SharedClock, ShopName};
use crate::store::{Acted, BatchFilter, BatchRow, BatchState, SharedStore};

/// Which of the jobs that need a person are tried again, by the daemon, a few in each second.
#[derive(Debug, Args)]
pub(in crate::cli) struct Matching {
    /// All whose problem has this cause, as `lockstep jobs clusters` shows it.
    #[arg(long, conflicts_with = "ids")]
    cluster: Option<String>,
    /// All whose problem is of this kind.
    #[arg(long, conflicts_with = "ids")]
    code: Option<String>,
    /// Of those, only this shop's.
    #[arg(long, value_name = "NAME", conflicts_with = "ids")]
    shop: Option<ShopName>,
    /// Of those, only about this object.
    #[arg(long, value_name = "OBJECT", conflicts_with = "ids")]
    object: Option<Object>,
    /// Of those, only in this direction: in or out.
    #[arg(long, value_name = "DIRECTION", conflicts_with = "ids")]
    direction: Option<Direction>,
    /// How many in a second.
    #[arg(long, value_name = "N", default_value_t = DEFAULT_PER_SECOND,
          value_parser = clap::value_parser!(u32).range(1..=i64::from(MOST_PER_SECOND)))]
    per_second: u32,
    /// Why, for those who ask later.
    #[arg(long)]
    pub(in crate::cli) reason: Option<String>,
}

impl Matching {
    /// Whether many are meant.
    pub(in crate::cli) fn is_given(&self) -> bool {
        self.cluster.is_some()
            || self.code.is_some()
            || self.shop.is_some()
            || self.object.is_some()
            || self.direction.is_some()
    }

    /// Begins it.
    pub(in crate::cli) async fn start(
        self,
        output: Output,
        config: &Config,
        store: &SharedStore,
        clock: &SharedClock,
    ) -> Result<(), Failure> {
        let filter = BatchFilter {
            shop: self.shop,
            object: self.object,
            direction: self.direction,
            code: self.code,
            cluster: self.cluster,
        };
        let reviewer = Reviewer::new(store.clone(), clock.clone(), actor());
        let acted = reviewer
            .retry_matching(filter, self.per_second, self.reason.as_deref())
            .await?;
        let Acted::Batch { id, is_new } = acted else {
            return told(output, &acted, "no job that needs a person fits".to_owned());
        };
        app::ring::ring(config, store).await;
        let batches = store.batches(false, 0).await?;
        let batch = batches.into_iter().find(|batch| batch.id == id);
        if output.json {
            return output.document(&batch);
        }
        let total = batch.map_or(0, |batch| batch.total);
        output.line(if is_new {
            format!("batch {id}: the daemon tries {} again", counted(total, "job"))
        } else {
            format!("batch {id} does that already")
        });
        output.line("how far it is: lockstep jobs batches");
        output.line(format!("to end it before: lockstep jobs stop {id}"));
        Ok(())
    }
}

/// Batches and how far they are.
pub(super) fn list(output: Output, rows: &[BatchRow], clock: &SharedClock) {
    if rows.is_empty() {
        output.line("no retries of many jobs");
        return;
    }
    let now = clock.now();
    output.table(
        ["BATCH", "STATE", "DONE", "OF", "WHICH", "WHO", "BEGAN"],
        rows.iter().map(|row| {
            [
                row.id.to_string(),
                match row.state {
                    BatchState::Running => "running",
                    BatchState::Done => "done",
                    BatchState::Stopped => "stopped",
                }
                .to_owned(),
                row.done.to_string(),
                row.total.to_string(),
                which(&row.filter),
                row.actor.to_string(),
                time(now, row.started_at),
            ]
        }),
    );
}

fn which(filter: &BatchFilter) -> String {
    let parts = [
        filter.cluster.clone(),
        filter.code.clone(),
        filter.shop.as_ref().map(ToString::to_string),
        filter.object.map(|object| object.to_string()),
        filter.direction.map(|direction| direction.to_string()),
    ];
    let given: Vec<String> = parts.into_iter().flatten().collect();
    if given.is_empty() {
        "all".to_owned()
    } else {
        given.join(", ")
    }
}

/// What became of the retry of one job, for programs.
#[derive(Serialize)]
pub(in crate::cli) struct RetriedRow {
    job: JobId,
    result: &'static str,
    new_job: Option<JobId>,
}

/// Tries these jobs again, one by one.
pub(in crate::cli) async fn retry(
    output: Output,
    ids: &[JobId],
    reason: Option<&str>,
    config: &Config,
    store: &SharedStore,
    clock: &SharedClock,
) -> Result<(), Failure> {
    let reviewer = Reviewer::new(store.clone(), clock.clone(), actor());
    let mut rows = Vec::new();
    let mut lines = Vec::new();
    for id in ids {
        let acted = reviewer.retry(*id, None, reason).await?;
        let (result, new_job) = match &acted {
            Acted::New(new) => ("new_job", Some(*new)),
            Acted::Later(later) => ("later_job", Some(*later)),
            Acted::NotNow(_) => ("running", None),
            Acted::Unknown => ("unknown", None),
            _ => ("available", None),
        };
        lines.push(answer(*id, &acted, ""));
        rows.push(RetriedRow {
            job: *id,
            result,
            new_job,
        });
    }
    app::ring::ring(config, store).await;
    if output.json {
        output.document(&rows)?;
    } else if rows.is_empty() {
        output.line("no job needs a person");
    } else {
        for line in lines {
            output.line(line);
        }
    }
    if rows.iter().any(|row| row.result == "unknown") {
        Err(Failure::Told(FAILED))
    } else {
        Ok(())
    }
}
