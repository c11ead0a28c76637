//! Logs and metrics: the subscriber's set-up and the name of every metric.
//!
//! Log lines go to stderr, stdout belongs to data. A message can be read alone; ids are also fields (`shop`, `job`,
//! `event`, `request`). Secrets and customer data are never logged: bodies appear as length and hash, panics as their
//! place. Metrics are rendered by the admin listener; nothing is pushed anywhere.

pub mod calls;

use std::io::IsTerminal as _;
use std::sync::OnceLock;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tracing_subscriber::EnvFilter;

/// `[log]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// `human` for people, `json` for log collectors: one object per line.
    pub format: LogFormat,
    /// How much: `error`, `warn`, `info`, `debug`, `trace`, also by module (`info,lockstep::queue=debug`). The environment
    /// variable `LOCKSTEP_LOG` goes first.
    pub level: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            format: LogFormat::Human,
            level: "info".into(),
        }
    }
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One readable line each.
    Human,
    /// One JSON object each.
    Json,
}

/// Why logs could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The level cannot be read.
    #[error("`{level}` is no log level: expected e.g. `info` or `info,lockstep::queue=debug`")]
    Level {
        /// What was given.
        level: String,
        /// Why.
        #[source]
        source: tracing_subscriber::filter::ParseError,
    },
    /// Something else set logs up before.
    #[error("logs are set up already")]
    Twice,
}

fn filter(level: &str) -> Result<EnvFilter, TelemetryError> {
    EnvFilter::builder()
        .parse(level)
        .map_err(|source| TelemetryError::Level {
            level: level.to_owned(),
            source,
        })
}

impl Settings {
    /// Whether [`init_logs`] can make something of the level.
    pub fn level_is_usable(&self) -> bool {
        filter(&self.level).is_ok()
    }
}

/// Sets logs up for this process, and has panics logged by their place only (what they say may quote customer data).
///
/// # Errors
/// When the level cannot be read, or when it was called before.
pub fn init_logs(settings: &Settings) -> Result<(), TelemetryError> {
    let level = std::env::var("LOCKSTEP_LOG").unwrap_or_else(|_| settings.level.clone());
    let filter = filter(&level)?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    match settings.format {
        LogFormat::Human => lines.with_ansi(std::io::stderr().is_terminal()).try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    }
    .map_err(|_| TelemetryError::Twice)?;
    std::panic::set_hook(Box::new(|panic| {
        let place = panic
            .location()
            .map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
        tracing::error!(place, "internal error (a panic) at {place}");
    }));
    Ok(())
}

/// What a metric measures, for its description.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only goes up.
    Counter,
    /// Goes up and down.
    Gauge,
    /// A distribution in seconds.
    Seconds,
}

/// One metric.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// Its kind.
    pub kind: Kind,
    /// What it counts, and its labels.
    pub help: &'static str,
}

/// Declares the constants and the table of all of them in one place.
macro_rules! metrics_table {
    ($($constant:ident = $name:literal, $kind:ident, $help:literal;)+) => {
        $(#[doc = $help] pub const $constant: &str = $name;)+

        /// Every metric.
        pub const METRICS: &[Metric] = &[$(Metric { name: $name, kind: Kind::$kind, help: $help }),+];
    };
}

metrics_table! {
    JOBS_COMPLETED = "lockstep_jobs_completed_total", Counter,
        "Jobs that ended well: completed, or obsolete, by shop, object, direction and outcome.";
    JOBS_FAILED = "lockstep_jobs_failed_total", Counter,
        "Attempts after which a job needs a person, by shop, object and direction.";
    JOBS_RETRIED = "lockstep_jobs_retried_total", Counter,
        "Attempts after which a job is tried again, by shop, object, direction and reason.";
    JOBS_RUNNING = "lockstep_jobs_running", Gauge,
        "Attempts that run at this moment.";
    DUPLICATES_SKIPPED = "lockstep_duplicates_skipped_total", Counter,
        "Deliveries that had been stored before, by shop.";
    QUEUE_DEPTH = "lockstep_queue_depth", Gauge,
        "Open jobs by shop, object, direction and state.";
    QUEUE_OLDEST_SECONDS = "lockstep_queue_oldest_seconds", Gauge,
        "Age of the oldest open job by shop, object, direction and state.";
    PLANS_WAITING = "lockstep_plans_waiting", Gauge,
        "Jobs that wait for a person to approve of their plan, by shop.";
    OPEN_PROBLEMS = "lockstep_problems_open", Gauge,
        "Problems that wait for a person.";
    ACTIONS = "lockstep_actions_total", Counter,
        "What people did to jobs, problems and shops, by shop and action.";
    MANUAL_CORRECTIONS = "lockstep_manual_corrections_total", Counter,
        "Work that people did by hand in the ERP and told of, by shop.";
    SOURCE_TO_TARGET_SECONDS = "lockstep_source_to_target_seconds", Seconds,
        "From the change at the source to the finished record in the target, by shop, object and direction.";
    DRIFT_UNEXPLAINED = "lockstep_drift_unexplained", Gauge,
        "What the last full run found to differ and nothing explains, by shop and object.";
    ALERTS_OPEN = "lockstep_alerts_open", Gauge,
        "Conditions that people are told of and that last.";
    ALERT_MESSAGES_WAITING = "lockstep_alert_messages_waiting", Gauge,
        "Messages about alerts that wait to be sent.";
    ALERT_MESSAGES = "lockstep_alert_messages_total", Counter,
        "Tries to send a message about alerts, by channel and outcome.";
    NOTIFY_DELIVERIES = "lockstep_notify_deliveries_total", Counter,
        "Notifications that were sent, by endpoint and outcome: delivered, retried, failed, problem, cancelled, discarded.";
    NOTIFY_SECONDS = "lockstep_notify_seconds", Seconds,
        "Requests that carry notifications, by endpoint.";
    NOTIFY_WAITING = "lockstep_notify_waiting", Gauge,
        "Deliveries that wait, by endpoint.";
    NOTIFY_PAUSED = "lockstep_notify_paused", Gauge,
        "1 while an endpoint is paused by a person or by its failures, by endpoint.";
    NOTIFY_UNREADABLE = "lockstep_notify_unreadable", Gauge,
        "Notifications that this version cannot read and leaves for a newer one.";
    NOTIFY_FAN_OUT_FAILURES = "lockstep_notify_fan_out_failures_total", Counter,
        "Pages of the outbox that could not be fanned out; they are tried again.";
    BREAKER_OPEN = "lockstep_breaker_open", Gauge,
        "1 while a shop's system counts as down, by shop and system.";
    INTAKE = "lockstep_intake_total", Counter,
        "Webhook deliveries by shop and outcome.";
    INTAKE_SECONDS = "lockstep_intake_seconds", Seconds,
        "From the complete request to the durable answer, by outcome.";
    HTTP_CONNECTIONS = "lockstep_http_connections", Gauge,
        "Open connections by listener.";
    ERP_CALL_SECONDS = "lockstep_erp_call_seconds", Seconds,
        "Calls to the ERP by shop, method and outcome.";
    ERP_ERRORS = "lockstep_erp_errors_total", Counter,
        "Failed calls to the ERP by shop, method and code.";
    POLL_SECONDS = "lockstep_poll_seconds", Seconds,
        "Polls of the ERP that succeeded, by shop and model.";
    POLL_ROWS = "lockstep_poll_rows_total", Counter,
        "Rows in the windows that polls read, by shop and model.";
    POLL_CHANGES = "lockstep_poll_changes_total", Counter,
        "Rows of them that had changed, by shop and model.";
    POLL_FAILURES = "lockstep_poll_failures_total", Counter,
        "Polls of the ERP that failed, by shop and model.";
    POLL_AGE_SECONDS = "lockstep_poll_age_seconds", Gauge,
        "Since the last poll that succeeded began, by shop and model: so long a change may have been waiting.";
    SHOPIFY_CALL_SECONDS = "lockstep_shopify_call_seconds", Seconds,
        "Calls to Shopify by shop and operation.";
    SHOPIFY_ERRORS = "lockstep_shopify_errors_total", Counter,
        "Failed calls to Shopify by shop and kind.";
    SHOPIFY_BUCKET_POINTS = "lockstep_shopify_bucket_points", Gauge,
        "Points left in the shop's cost bucket, by shop.";
    SHOPIFY_VERSION_DIFFERS = "lockstep_shopify_version_differs", Gauge,
        "1 while Shopify serves another API version than the one asked for, by shop.";
}

/// Bounds of the seconds' buckets: from a commit to an outage.
const SECONDS: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0,
    21_600.0, 86_400.0,
];

/// The metrics of this process. Calling it again gives the same ones. Whoever holds it calls
/// [`PrometheusHandle::run_upkeep`] from time to time, or histograms grow.
pub fn metrics() -> PrometheusHandle {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    HANDLE
        .get_or_init(|| {
            let recorder = recorder();
            let handle = recorder.handle();
            // Only fails when another recorder was installed; then ours renders nothing.
            if metrics::set_global_recorder(recorder).is_err() {
                tracing::warn!("metrics are recorded by something else in this process");
            }
            describe();
            handle
        })
        .clone()
}

fn recorder() -> metrics_exporter_prometheus::PrometheusRecorder {
    METRICS
        .iter()
        .filter(|metric| metric.kind == Kind::Seconds)
        .try_fold(PrometheusBuilder::new(), |builder, metric| {
            builder.set_buckets_for_metric(Matcher::Full(metric.name.to_owned()), SECONDS)
        })
        .unwrap_or_default()
        .build_recorder()
}

fn describe() {
    for Metric { name, kind, help } in METRICS.iter().copied() {
        match kind {
            Kind::Counter => metrics::describe_counter!(name, help),
            Kind::Gauge => metrics::describe_gauge!(name, help),
            Kind::Seconds => metrics::describe_histogram!(name, metrics::Unit::Seconds, help),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_is_listed_and_follows_the_naming_rules() {
        let names: Vec<&str> = METRICS.iter().map(|metric| metric.name).collect();
        assert_eq!(
            names,
            [
                "lockstep_jobs_completed_total",
                "lockstep_jobs_failed_total",
                "lockstep_jobs_retried_total",
                "lockstep_jobs_running",
                "lockstep_duplicates_skipped_total",
                "lockstep_queue_depth",
                "lockstep_queue_oldest_seconds",
                "lockstep_plans_waiting",
                "lockstep_problems_open",
                "lockstep_actions_total",
                "lockstep_manual_corrections_total",
                "lockstep_source_to_target_seconds",
                "lockstep_drift_unexplained",
                "lockstep_alerts_open",
                "lockstep_alert_messages_waiting",
                "lockstep_alert_messages_total",
                "lockstep_notify_deliveries_total",
                "lockstep_notify_seconds",
                "lockstep_notify_waiting",
                "lockstep_notify_paused",
                "lockstep_notify_unreadable",
                "lockstep_notify_fan_out_failures_total",
                "lockstep_breaker_open",
                "lockstep_intake_total",
                "lockstep_intake_seconds",
                "lockstep_http_connections",
                "lockstep_erp_call_seconds",
                "lockstep_erp_errors_total",
                "lockstep_poll_seconds",
                "lockstep_poll_rows_total",
                "lockstep_poll_changes_total",
                "lockstep_poll_failures_total",
                "lockstep_poll_age_seconds",
                "lockstep_shopify_call_seconds",
                "lockstep_shopify_errors_total",
                "lockstep_shopify_bucket_points",
                "lockstep_shopify_version_differs",
            ],
            "names are public: dashboards and alerts use them"
        );
        for metric in METRICS {
            assert_eq!(
                metric.name.ends_with("_total"),
                metric.kind == Kind::Counter,
                "{}",
                metric.name
            );
            assert!(
                metric.kind != Kind::Seconds || metric.name.ends_with("_seconds"),
                "{}",
                metric.name
            );
        }
    }

    #[test]
    fn every_metric_is_rendered_with_its_help() {
        let recorder = recorder();
        metrics::with_local_recorder(&recorder, || {
            describe();
            for Metric { name, kind, .. } in METRICS.iter().copied() {
                match kind {
                    Kind::Counter => metrics::counter!(name).increment(1),
                    Kind::Gauge => metrics::gauge!(name).set(1.0),
                    Kind::Seconds => metrics::histogram!(name).record(1.0),
                }
            }
        });
        let text = recorder.handle().render();
        for Metric { name, help, .. } in METRICS {
            assert!(
                text.contains(&format!("# HELP {name} {help}\n")),
                "{name}:\n{text}"
            );
        }
    }

    #[test]
    fn histograms_are_rendered_as_buckets_with_their_help() {
        let recorder = recorder();
        let handle = recorder.handle();
        metrics::with_local_recorder(&recorder, || {
            describe();
            metrics::counter!(INTAKE, "shop" => "main", "outcome" => "new").increment(2);
            metrics::histogram!(INTAKE_SECONDS, "outcome" => "new").record(0.004);
        });
        handle.run_upkeep();
        let text = handle.render();
        for line in [
            "# HELP lockstep_intake_total Webhook deliveries by shop and outcome.",
            r#"lockstep_intake_total{shop="main",outcome="new"} 2"#,
            r#"lockstep_intake_seconds_bucket{outcome="new",le="0.005"} 1"#,
            r#"lockstep_intake_seconds_bucket{outcome="new",le="0.0025"} 0"#,
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
    }

    #[test]
    fn a_level_that_cannot_be_read_is_named() {
        let settings = Settings {
            level: "lockstep=loud".into(),
            ..Settings::default()
        };
        let error = init_logs(&settings).unwrap_err();
        assert!(error.to_string().contains("`lockstep=loud`"), "{error}");
    }
}
