//! The admin listener's routes: metrics and a sign of life.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::select;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use crate::domain::{DriftFate, SharedClock, SharedEntropy, ShopName, Timestamp};
use crate::store::{
    ActionCount, ClusterFilter, ClusterRow, Counts, DriftKind, DriftReport, DriftReportFilter, Lane,
    LaneCount, SharedStore, WAITING_FOR_APPROVAL,
};
use crate::telemetry;

use super::{finish, health};

/// Counts of the store are good for this long.
const COUNTS_GOOD_FOR: Duration = Duration::from_secs(5);

/// How long the store may take to count; a scrape has the rest in any case.
const COUNT_WITHIN: Duration = Duration::from_secs(2);

/// How often histograms are compacted when nobody scrapes.
const UPKEEP: Duration = Duration::from_secs(30);

/// What the admin routes need.
pub struct Admin {
    store: SharedStore,
    clock: SharedClock,
    metrics: PrometheusHandle,
    counted: Mutex<Counted>,
}

/// What the gauges show.
#[derive(Default)]
struct Counted {
    at: Option<Timestamp>,
    /// Lanes that were ever shown: one that is empty now must show 0, not its last count.
    shown: BTreeSet<(Lane, &'static str)>,
    /// Shops of which plans waited, likewise.
    plans_of: BTreeSet<ShopName>,
}

/// Plans are counted by cause, and each lane has one.
const MOST_LANES: u32 = 1_000;

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admin").finish_non_exhaustive()
    }
}

impl Admin {
    /// Metrics of this process and counts of this store.
    pub fn new(store: SharedStore, clock: SharedClock, metrics: PrometheusHandle) -> Self {
        Self {
            store,
            clock,
            metrics,
            counted: Mutex::default(),
        }
    }

    async fn refresh(&self) {
        let mut counted = self.counted.lock().await;
        let now = self.clock.now();
        if counted.at.is_some_and(|at| now.since(at) < COUNTS_GOOD_FOR) {
            return;
        }
        match tokio::time::timeout(COUNT_WITHIN, self.store.counts(now)).await {
            Err(_) => tracing::warn!("the store does not count jobs in time for the metrics"),
            Ok(Ok(counts)) => {
                counted.at = Some(now);
                show(&counts, &mut counted.shown, now);
                let shops = counts.jobs.iter().map(|count| count.lane.shop.clone());
                counted.plans_of.extend(shops);
            }
            Ok(Err(failure)) => tracing::warn!(error = %failure, "cannot count jobs for the metrics"),
        }
        let plans = ClusterFilter {
            code: Some(WAITING_FOR_APPROVAL.to_owned()),
            limit: MOST_LANES,
            ..ClusterFilter::default()
        };
        match tokio::time::timeout(COUNT_WITHIN, self.store.problem_clusters(plans)).await {
            Err(_) => tracing::warn!("the store does not count plans in time for the metrics"),
            Ok(Ok(rows)) => show_plans(&rows, &mut counted.plans_of),
            Ok(Err(failure)) => tracing::warn!(error = %failure, "cannot count plans for the metrics"),
        }
        let latest = DriftReportFilter {
            latest: true,
            ..DriftReportFilter::default()
        };
        match tokio::time::timeout(COUNT_WITHIN, self.store.drift_reports(latest, MOST_LANES)).await {
            Err(_) => tracing::warn!("the store does not tell of full runs in time for the metrics"),
            Ok(Ok(reports)) => show_drift(&reports),
            Ok(Err(failure)) => tracing::warn!(error = %failure, "cannot read full runs for the metrics"),
        }
        let ever = Timestamp::from_millis(0);
        match tokio::time::timeout(COUNT_WITHIN, self.store.action_counts(ever)).await {
            Err(_) => tracing::warn!("the store does not count actions in time for the metrics"),
            Ok(Ok(counts)) => show_actions(&counts),
            Ok(Err(failure)) => tracing::warn!(error = %failure, "cannot count actions for the metrics"),
        }
    }
}

/// Sets the gauges.
fn show(counts: &Counts, shown: &mut BTreeSet<(Lane, &'static str)>, now: Timestamp) {
    metrics::gauge!(telemetry::OPEN_PROBLEMS).set(float(counts.open_problems));
    let open = counts.jobs.iter().filter(|count| count.state.is_open());
    let mut gone = std::mem::take(shown);
    for LaneCount {
        lane,
        state,
        count,
        oldest,
    } in open
    {
        set(lane, state.as_str(), *count, now.since(*oldest));
        gone.remove(&(lane.clone(), state.as_str()));
        shown.insert((lane.clone(), state.as_str()));
    }
    for (lane, state) in gone {
        set(&lane, state, 0, Duration::ZERO);
        shown.insert((lane, state));
    }
}

/// Sets the gauges of plans that wait.
fn show_plans(rows: &[ClusterRow], shown: &mut BTreeSet<ShopName>) {
    let mut waiting: BTreeMap<ShopName, u64> = shown.iter().map(|shop| (shop.clone(), 0)).collect();
    for row in rows {
        *waiting.entry(row.cluster.shop.clone()).or_default() += row.jobs;
    }
    for (shop, count) in waiting {
        metrics::gauge!(telemetry::PLANS_WAITING, "shop" => shop.to_string()).set(float(count));
        shown.insert(shop);
    }
}

/// Sets the gauges of what full runs found and nothing explains. A sample says nothing about the rest.
fn show_drift(reports: &[DriftReport]) {
    for report in reports.iter().filter(|report| report.kind == DriftKind::Full) {
        let labels = [
            metrics::Label::new("shop", report.shop.as_str().to_owned()),
            metrics::Label::new("object", report.object.as_str()),
        ];
        let unexplained = report.of_fate(DriftFate::Unexplained);
        metrics::gauge!(telemetry::DRIFT_UNEXPLAINED, labels.to_vec()).set(float(unexplained));
    }
}

/// What counts as a correction by hand.
const BY_HAND: [&str; 2] = ["resolve", "link"];

/// Sets the counters of what people did. The store counts: actions come by other processes, too.
fn show_actions(counts: &[ActionCount]) {
    let mut corrections: BTreeMap<String, u64> = BTreeMap::new();
    for count in counts {
        let shop = count
            .shop
            .as_ref()
            .map_or_else(|| "-".to_owned(), ToString::to_string);
        let corrected = corrections.entry(shop.clone()).or_default();
        if BY_HAND.contains(&count.action.as_str()) {
            *corrected += count.count;
        }
        metrics::counter!(telemetry::ACTIONS, "shop" => shop, "action" => count.action.clone())
            .absolute(count.count);
    }
    for (shop, count) in corrections {
        metrics::counter!(telemetry::MANUAL_CORRECTIONS, "shop" => shop).absolute(count);
    }
}

fn set(lane: &Lane, state: &'static str, count: u64, age: Duration) {
    let labels = [
        metrics::Label::new("shop", lane.shop.as_str().to_owned()),
        metrics::Label::new("object", lane.object.as_str()),
        metrics::Label::new("direction", lane.direction.as_str()),
        metrics::Label::new("state", state),
    ];
    metrics::gauge!(telemetry::QUEUE_DEPTH, labels.to_vec()).set(float(count));
    metrics::gauge!(telemetry::QUEUE_OLDEST_SECONDS, labels.to_vec()).set(age.as_secs_f64());
}

#[expect(clippy::cast_precision_loss, reason = "a gauge: counts stay far below 2^53")]
fn float(count: u64) -> f64 {
    count as f64
}

/// The routes of the admin listener, `more` among them.
pub fn admin_router(admin: Arc<Admin>, more: Router, entropy: SharedEntropy) -> Router {
    let router = Router::new()
        .route("/metrics", get(render))
        .route("/healthz", get(health::alive))
        .with_state(admin)
        .merge(more);
    finish(router, entropy)
}

async fn render(State(admin): State<Arc<Admin>>) -> Response {
    admin.refresh().await;
    let text = admin.metrics.render();
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}

/// Compacts histograms now and then until `stop`, so that they do not grow where nobody scrapes.
pub async fn keep_metrics_small(metrics: PrometheusHandle, clock: SharedClock, stop: CancellationToken) {
    loop {
        select! {
            () = stop.cancelled() => return,
            () = clock.sleep_until(clock.now().plus(UPKEEP)) => metrics.run_upkeep(),
        }
    }
}

#[cfg(test)]
mod tests {
    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::*;
    use crate::domain::{Direction, JobState, Object};

    #[test]
    fn what_people_do_is_counted_and_corrections_by_hand_apart() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let handle = recorder.handle();
        let count = |action: &str, shop: Option<&str>, count| ActionCount {
            action: action.to_owned(),
            shop: shop.map(|shop| shop.parse().unwrap()),
            count,
        };
        metrics::with_local_recorder(&recorder, || {
            show_actions(&[
                count("retry", Some("main"), 7),
                count("resolve", Some("main"), 2),
                count("link", Some("main"), 1),
                count("stop_batch", None, 1),
            ]);
        });
        let text = handle.render();
        for line in [
            r#"lockstep_actions_total{shop="main",action="retry"} 7"#,
            r#"lockstep_actions_total{shop="-",action="stop_batch"} 1"#,
            r#"lockstep_manual_corrections_total{shop="main"} 3"#,
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
    }

    #[test]
    fn an_emptied_lane_shows_zero() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let handle = recorder.handle();
        let lane = Lane {
            shop: "main".parse().unwrap(),
            object: Object::Order,
            direction: Direction::In,
        };
        let full = Counts {
            jobs: vec![
                LaneCount {
                    lane: lane.clone(),
                    state: JobState::Available,
                    count: 7,
                    oldest: Timestamp::from_millis(1_000),
                },
                LaneCount {
                    lane,
                    state: JobState::Completed,
                    count: 900,
                    oldest: Timestamp::from_millis(0),
                },
            ],
            events: 0,
            last_event_at: None,
            open_problems: 2,
        };
        metrics::with_local_recorder(&recorder, || {
            let mut shown = BTreeSet::new();
            show(&full, &mut shown, Timestamp::from_millis(61_000));
            let text = handle.render();
            let labels = r#"{shop="main",object="order",direction="in",state="available"}"#;
            assert!(
                text.contains(&format!("lockstep_queue_depth{labels} 7")),
                "{text}"
            );
            assert!(
                text.contains(&format!("lockstep_queue_oldest_seconds{labels} 60")),
                "{text}"
            );
            assert!(text.contains("lockstep_problems_open 2"), "{text}");
            assert!(!text.contains("completed"), "closed jobs are no queue: {text}");
            show(&Counts::default(), &mut shown, Timestamp::from_millis(62_000));
            assert!(
                handle
                    .render()
                    .contains(&format!("lockstep_queue_depth{labels} 0"))
            );
        });
    }
}
