//! Is everything all right? Green only when it is true.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::Extension;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse as _, Redirect, Response};

use super::Console;
use super::concerns::{Concern, concerns};
use super::error::{Refusal, refuse};
use super::numbers::{self, NumbersView};
use super::parts::{direction_word, object_word, system_word};
use super::problems::Cause;
use super::seam::not_done;
use super::session::Visitor;
use super::view::{Frame, Moment, field, form_fields, page};
use crate::app::numbers::{Numbers, numbers as numbers_of};
use crate::app::review::ClusterFilter;
use crate::app::status::{self, LaneStatus, Status};
use crate::domain::{JobState, Object, ShopName, Timestamp};
use crate::store::{DeliverySum, RunRow};
use crate::subscriptions::Toggle;

/// So far back the numbers begin: with the hour that has begun, 24 of them.
const DAY_OF_HOURS: Duration = Duration::from_secs(23 * 3600);

/// Clusters on this page; the rest is on their own.
const CLUSTERS: usize = 8;

/// Clusters that are counted.
const COUNTED: u32 = 200;

/// A system that does not answer.
struct Outage {
    text: String,
}

/// One way of one object.
struct LaneView {
    object: &'static str,
    direction: &'static str,
    toggle: Option<Toggle>,
    waiting: u64,
    oldest: Option<Moment>,
    problems: u64,
    held: u64,
    done: u64,
}

struct ShopView {
    name: String,
    domain: String,
    disabled: Option<String>,
    /// Who paused it, why, and since when.
    paused: Option<(String, String, Moment)>,
    lanes: Vec<LaneView>,
    /// Subscriptions that stood when they were last looked at.
    subscriptions: usize,
    last_delivery: Option<Moment>,
    deliveries: u64,
    failures: u64,
    /// The last day's; none where nothing was done.
    numbers: Option<NumbersView>,
    last_run: Option<RunView>,
}

struct RunView {
    shop: String,
    object: &'static str,
    cause: String,
    outcome: String,
    moment: Moment,
}

#[derive(Template)]
#[template(path = "overview.html", config = ".config/askama.toml")]
struct OverviewPage {
    frame: Frame,
    concerns: Vec<Concern>,
    outages: Vec<Outage>,
    shops: Vec<ShopView>,
    causes: Vec<Cause>,
    more_causes: usize,
    runs: Vec<RunView>,
    /// When both sides of a shop are compared next.
    next_full: Option<Moment>,
    warnings: Vec<String>,
    events: u64,
    nodes: usize,
    revision: Option<i64>,
    /// Jobs done and problems open now, of what the last day asked for.
    done: u64,
    open: u64,
    problems: u64,
}

pub(super) async fn overview(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    query: RawQuery,
) -> Response {
    let fields = form_fields(query.0.unwrap_or_default().as_bytes());
    match console.overview_page(&visitor, field(&fields, "notice")).await {
        Ok(shown) => page(StatusCode::OK, &shown),
        Err(refusal) => refuse(Some(&visitor), refusal),
    }
}

impl Console {
    async fn overview_page(&self, visitor: &Visitor, notice: Option<&str>) -> Result<OverviewPage, Refusal> {
        let config = Arc::clone(&self.api.config.borrow());
        let status = status::status(&config, &self.api.store, &self.api.clock).await?;
        let filter = ClusterFilter {
            limit: COUNTED,
            ..ClusterFilter::default()
        };
        let causes = self.causes(filter).await?;
        let pauses = self.api.store.pauses().await?;
        let now = status.now;
        let mut shops = Vec::new();
        let mut days = BTreeMap::new();
        for shop in &status.shops {
            let Ok(name) = shop.name.parse::<ShopName>() else {
                continue;
            };
            let standing = self.api.store.subscriptions(&name).await?;
            let arrived = self
                .api
                .store
                .deliveries_since(&name, now.minus(Duration::from_secs(24 * 3600)))
                .await?;
            // The hours that have begun in the last day.
            let day = numbers_of(&self.api.store, Some(&name), now.minus(DAY_OF_HOURS), now).await?;
            let last_run = status.runs.iter().find(|run| run.shop == name);
            shops.push(ShopView {
                numbers: NumbersView::new(&day),
                last_run: last_run.map(|run| run_view(run, now)),
                name: shop.name.clone(),
                domain: shop.domain.clone(),
                disabled: shop.disabled.clone(),
                paused: pauses.iter().find(|pause| pause.shop == name).map(|pause| {
                    let why = pause.reason.clone().unwrap_or_default();
                    (pause.actor.clone(), why, Moment::new(now, pause.since))
                }),
                lanes: status
                    .lanes
                    .iter()
                    .filter(|lane| lane.shop == shop.name && is_shown(lane))
                    .map(|lane| lane_view(lane, now))
                    .collect(),
                subscriptions: standing.iter().filter(|row| row.removed_at.is_none()).count(),
                last_delivery: last_delivery(&arrived).map(|at| Moment::new(now, at)),
                deliveries: arrived.iter().map(|sum| sum.accepted).sum(),
                failures: arrived.iter().map(|sum| sum.failed).sum(),
            });
            days.insert(name, day);
        }
        let sum = |states: &[JobState]| -> u64 {
            let of_lane = |lane: &LaneStatus| {
                states
                    .iter()
                    .filter_map(|state| lane.jobs.get(state))
                    .sum::<u64>()
            };
            status.lanes.iter().map(of_lane).sum()
        };
        Ok(OverviewPage {
            frame: Frame::new("Overview", "overview", Some(visitor)).noticing(notice),
            concerns: concerns(
                &status,
                &causes,
                &pauses,
                &config,
                &self.api.store.endpoints().await?,
            ),
            outages: outages(&status, &days),
            shops,
            more_causes: causes.len().saturating_sub(CLUSTERS),
            causes: causes
                .iter()
                .take(CLUSTERS)
                .map(|view| Cause::new(view, now))
                .collect(),
            runs: status.runs.iter().take(5).map(|run| run_view(run, now)).collect(),
            next_full: status
                .schedules
                .iter()
                .filter(|schedule| schedule.is_full)
                .filter_map(|schedule| schedule.next.first())
                .min()
                .map(|at| Moment::new(now, *at)),
            warnings: status.warnings.clone(),
            events: status.events,
            nodes: status.nodes.len(),
            revision: status.revision.as_ref().map(|revision| revision.id),
            done: sum(&[JobState::Completed]),
            open: sum(WAITING),
            problems: status.open_problems,
        })
    }
}

fn run_view(run: &RunRow, now: Timestamp) -> RunView {
    RunView {
        shop: run.shop.to_string(),
        object: object_word(run.object),
        cause: run.cause.clone(),
        outcome: run
            .outcome
            .map_or_else(|| "under way".to_owned(), |outcome| outcome.to_string()),
        moment: Moment::new(now, run.started_at),
    }
}

/// Whether a lane says anything: it is switched on, or has jobs.
fn is_shown(lane: &LaneStatus) -> bool {
    lane.jobs.values().any(|count| *count > 0) || lane.toggle.is_some_and(|toggle| toggle != Toggle::Off)
}

/// Jobs that are done by themselves, sooner or later.
pub(super) const WAITING: &[JobState] = &[
    JobState::Available,
    JobState::Scheduled,
    JobState::Running,
    JobState::Retryable,
];

pub(super) fn count(lane: &LaneStatus, states: &[JobState]) -> u64 {
    states.iter().filter_map(|state| lane.jobs.get(state)).sum()
}

fn lane_view(lane: &LaneStatus, now: Timestamp) -> LaneView {
    LaneView {
        object: object_word(lane.object),
        direction: direction_word(lane.direction),
        toggle: lane.toggle,
        waiting: count(lane, WAITING),
        oldest: lane
            .oldest_open
            .filter(|_| count(lane, WAITING) > 0)
            .map(|at| Moment::new(now, at)),
        problems: count(lane, &[JobState::Problem]),
        held: count(lane, &[JobState::Held]),
        done: count(lane, &[JobState::Completed]),
    }
}

fn last_delivery(arrived: &[DeliverySum]) -> Option<Timestamp> {
    arrived.iter().map(|sum| sum.last_at).max()
}

/// Systems that do not answer, with what that means for the people.
fn outages(status: &Status, days: &BTreeMap<ShopName, Numbers>) -> Vec<Outage> {
    status
        .breakers
        .iter()
        .map(|breaker| {
            let waiting: u64 = status
                .lanes
                .iter()
                .filter(|lane| lane.shop == breaker.shop.as_str())
                .map(|lane| count(lane, WAITING))
                .sum();
            Outage {
                text: numbers::outage(
                    breaker.shop.as_str(),
                    system_word(breaker.system),
                    breaker.since,
                    breaker.reason.as_deref(),
                    waiting,
                    days.get(&breaker.shop).and_then(Numbers::pace),
                    status.now,
                ),
            }
        })
        .collect()
}

/// Stops all work of a shop, or lets it go on, by the last word of the address.
pub(super) async fn pause(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Path(shop): Path<String>,
    uri: Uri,
    body: Bytes,
) -> Response {
    let pauses = uri.path().ends_with("/pause");
    match console
        .pause_shop(&visitor, &shop, pauses, &form_fields(&body))
        .await
    {
        Ok(notice) => Redirect::to(&format!("/?notice={notice}")).into_response(),
        Err(refusal) => refuse(Some(&visitor), refusal),
    }
}

impl Console {
    async fn pause_shop(
        &self,
        visitor: &Visitor,
        shop: &str,
        pauses: bool,
        fields: &[(String, String)],
    ) -> Result<&'static str, Refusal> {
        let config = Arc::clone(&self.api.config.borrow());
        let known = config.shops.keys().find(|name| name.as_str() == shop).cloned();
        // One that was taken out of the configuration while it was paused can be let go on all the same.
        let known = match known {
            None if !pauses => {
                let paused = self.api.store.pauses().await?.into_iter();
                paused.map(|pause| pause.shop).find(|name| name.as_str() == shop)
            }
            known => known,
        };
        let shop = &known.ok_or_else(|| Refusal::NotFound("There is no such shop.".to_owned()))?;
        let reviewer = self.reviewer(visitor);
        let reason = field(fields, "reason");
        let acted = match (pauses, reason) {
            (true, None) => return Ok("no_reason"),
            (true, Some(reason)) => reviewer.pause(shop, reason).await?,
            (false, reason) => reviewer.resume(shop, reason).await?,
        };
        self.api.controls.look();
        match not_done(&acted) {
            Some(refusal) => Err(refusal),
            None if !acted.is_change() => Ok("already"),
            None if pauses => Ok("paused"),
            None => Ok("resumed"),
        }
    }
}

/// The answer to unusually many changes: they go, or are given up, by the last word of the address.
pub(super) async fn limits(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Path((shop, object)): Path<(String, String)>,
    uri: Uri,
    body: Bytes,
) -> Response {
    let approves = uri.path().ends_with("/approve");
    let fields = form_fields(&body);
    match console
        .answer_limits(&visitor, (&shop, &object), approves, &fields)
        .await
    {
        Ok(notice) => Redirect::to(&format!("/problems?notice={notice}")).into_response(),
        Err(refusal) => refuse(Some(&visitor), refusal),
    }
}

impl Console {
    async fn answer_limits(
        &self,
        visitor: &Visitor,
        (shop, object): (&str, &str),
        approves: bool,
        fields: &[(String, String)],
    ) -> Result<&'static str, Refusal> {
        let unknown = || Refusal::NotFound("There are no such limits.".to_owned());
        let config = Arc::clone(&self.api.config.borrow());
        let shop = config
            .shops
            .keys()
            .find(|name| name.as_str() == shop)
            .ok_or_else(unknown)?;
        let object: Object = object.parse().map_err(|_| unknown())?;
        let reviewer = self.reviewer(visitor);
        let jobs = match (approves, field(fields, "reason")) {
            (true, reason) => reviewer.approve(shop, object, reason).await?,
            (false, Some(reason)) => reviewer.reject(shop, object, reason).await?,
            (false, None) => return Ok("no_reason"),
        };
        self.api.controls.look();
        Ok(match (jobs, approves) {
            (0, _) => "none_held",
            (_, true) => "limit_approved",
            (_, false) => "limit_rejected",
        })
    }
}
