//! The final table.

use std::time::Duration;

use serde::Serialize;

use super::DemoError;
use crate::domain::JobState;
use crate::sandbox::odoo::OdooSandbox;
use crate::sandbox::shopify::ShopSandbox;
use crate::store::{JobFilter, JobRow, SharedStore};

/// Jobs are read in pages of so many.
const PAGE: u32 = 1_000;

/// What the demonstration came to.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Whether every expectation held.
    pub held: bool,
    /// What did not hold, one sentence each.
    pub broken: Vec<String>,
    /// Figures: what, and how many.
    pub figures: Vec<(String, String)>,
    /// Jobs that wait for a person, with their reasons.
    pub problems: Vec<String>,
}

/// Every job there is, newest first.
pub(super) async fn all_jobs(store: &SharedStore) -> Result<Vec<JobRow>, DemoError> {
    let mut jobs: Vec<JobRow> = Vec::new();
    loop {
        let page = store
            .jobs(JobFilter {
                before: jobs.last().map(|job| job.id),
                limit: PAGE,
                ..JobFilter::default()
            })
            .await?;
        let is_last = page.len() < PAGE as usize;
        jobs.extend(page);
        if is_last {
            return Ok(jobs);
        }
    }
}

/// How many attempts failed and were repeated. A job that took one attempt and is done had none.
async fn retries(store: &SharedStore, jobs: &[JobRow]) -> Result<usize, DemoError> {
    let mut retries = 0;
    for job in jobs.iter().filter(|job| job.attempts > 1 || job.state.is_open()) {
        let story = store.job(job.id).await?;
        retries += story
            .iter()
            .flat_map(|story| &story.attempts)
            .filter(|attempt| attempt.outcome == "retry")
            .count();
    }
    Ok(retries)
}

impl Report {
    pub(super) async fn make(
        shop: &ShopSandbox,
        erp: &OdooSandbox,
        store: &SharedStore,
        jobs: &[JobRow],
        broken: Vec<String>,
        took: Duration,
    ) -> Result<Self, DemoError> {
        let (sold, booked) = (shop.ledger(), erp.ledger());
        let counts = store
            .counts(crate::domain::Clock::now(&crate::domain::SystemClock))
            .await?;
        let retries = retries(store, jobs).await?;
        let accepted: u64 = sold.deliveries.iter().map(|each| u64::from(each.accepted)).sum();
        let in_state = |state: JobState| jobs.iter().filter(|job| job.state == state).count();
        let attempts: u32 = jobs.iter().map(|job| job.attempts).sum();
        let joined: u32 = jobs.iter().map(|job| job.events.saturating_sub(1)).sum();
        let mut latencies = Vec::new();
        let mut compared = 0;
        for order in &sold.orders {
            let views = booked.orders_by_reference(&order.name);
            compared += views.len();
            if let (Some(at), Some(made)) = (
                sold.accepted_at("orders/create", order.id),
                views.first().and_then(|view| view.created_at),
            ) {
                latencies.push((made.and_utc() - at).num_milliseconds().max(0));
            }
        }
        latencies.sort_unstable();
        let percentile = |percent: usize| {
            let at = latencies.len().saturating_sub(1) * percent / 100;
            latencies
                .get(at)
                .map_or_else(|| "-".to_owned(), |millis| format!("{millis} ms"))
        };
        let figure = |what: &str, value: String| (what.to_owned(), value);
        let figures = vec![
            figure("webhooks delivered and accepted", accepted.to_string()),
            figure("events stored", counts.events.to_string()),
            figure(
                "  duplicates avoided",
                accepted.saturating_sub(counts.events).to_string(),
            ),
            figure(
                "jobs",
                format!("{} ({} events joined one that was waiting)", jobs.len(), joined),
            ),
            figure("  completed", in_state(JobState::Completed).to_string()),
            figure(
                "  nothing to do (test order, cancelled before import)",
                in_state(JobState::Obsolete).to_string(),
            ),
            figure("  waiting for a person", in_state(JobState::Problem).to_string()),
            figure("attempts", attempts.to_string()),
            figure("  that failed and were repeated", retries.to_string()),
            figure(
                "faults that the ERP was told to make",
                erp.faults().fired().len().to_string(),
            ),
            figure("sales orders in the ERP", booked.orders().len().to_string()),
            figure("partners in the ERP", booked.partners().len().to_string()),
            figure("product variants in the ERP", booked.products().len().to_string()),
            figure("totals compared, to the cent", compared.to_string()),
            figure("from webhook to sales order, half of them within", percentile(50)),
            figure("  95 % of them within (the outage included)", percentile(95)),
            figure("took", format!("{:.1} s", took.as_secs_f32())),
        ];
        let problems = jobs
            .iter()
            .filter(|job| matches!(job.state, JobState::Problem | JobState::Held))
            .map(|job| {
                let name = job.record_name.as_deref().unwrap_or(&job.key.source_id);
                let why = job.problem.as_ref().map_or_else(String::new, |problem| {
                    format!("{} To do ({}): {}", problem.reason, problem.owner, problem.fix)
                });
                format!("job {} ({} {name}): {why}", job.id, job.key.object)
            })
            .collect();
        Ok(Self {
            held: broken.is_empty(),
            broken,
            figures,
            problems,
        })
    }
}
