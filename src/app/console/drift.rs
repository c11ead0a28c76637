//! What a full run found, and beginning one by hand.

use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};
use tokio::sync::oneshot;

use super::Console;
use super::error::{Refusal, refuse};
use super::parts::object_word;
use super::record::{address, object_of, shop_of};
use super::seam::unreachable;
use super::session::Visitor;
use super::view::{Frame, Moment, field, form_fields, page, span};
use crate::app::reconcile::{ByHand, Found, Wanted, beside, objects_of, with_findings};
use crate::app::record::ready;
use crate::domain::{DriftClass, DriftFate, Object, Role};
use crate::reconcile::{FullShop, RunError};
use crate::store::{DriftFilter, DriftKind, DriftReportFilter};
use crate::sync::Engine;

/// Findings on a page.
const FINDINGS: u32 = 200;

/// One class, with how much of it had which fate.
struct CountRow {
    class: &'static str,
    sentence: &'static str,
    counts: Vec<u64>,
}

/// A choice of the filter: its value, its words, and whether it is chosen.
type Choice = (&'static str, &'static str, bool);

struct FoundRow {
    record: String,
    url: Option<String>,
    erp: Option<i64>,
    sentence: &'static str,
    field: String,
    model: String,
    shopify: String,
    in_erp: String,
    became: String,
    job: Option<i64>,
}

#[derive(Template)]
#[template(path = "drift.html", config = ".config/askama.toml")]
struct DriftPage {
    frame: Frame,
    run: i64,
    object: &'static str,
    shop: String,
    how: &'static str,
    began: Moment,
    took: String,
    on_shopify: u64,
    in_erp: u64,
    linked: u64,
    in_step: u64,
    compared: u64,
    left_to_events: u64,
    unnoted: u64,
    adopted: u64,
    corrections: u64,
    withheld: Option<String>,
    fates: Vec<&'static str>,
    counts: Vec<CountRow>,
    classes: Vec<Choice>,
    chosen_fates: Vec<Choice>,
    found: Vec<FoundRow>,
    older: Option<String>,
    is_masked: bool,
}

pub(super) async fn show(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Path(run): Path<String>,
    query: RawQuery,
) -> Response {
    let fields = form_fields(query.0.unwrap_or_default().as_bytes());
    match console.drift_page(&visitor, &run, &fields).await {
        Ok(shown) => page(StatusCode::OK, &shown),
        Err(refusal) => refuse(Some(&visitor), refusal),
    }
}

/// What became of something, for people.
const fn fate_word(fate: DriftFate) -> &'static str {
    match fate {
        DriftFate::Repaired => "repaired",
        DriftFate::Repairable => "would be repaired",
        DriftFate::InWork => "in work",
        DriftFate::NeedsPerson => "needs a person",
        DriftFate::LeftAlone => "left alone",
        DriftFate::Unexplained => "unexplained",
    }
}

impl Console {
    async fn drift_page(
        &self,
        visitor: &Visitor,
        run: &str,
        fields: &[(String, String)],
    ) -> Result<DriftPage, Refusal> {
        let unknown = || Refusal::NotFound("This run has no report.".to_owned());
        let run: i64 = run.parse().ok().filter(|run| *run > 0).ok_or_else(unknown)?;
        let filter = DriftReportFilter {
            run: Some(run),
            ..DriftReportFilter::default()
        };
        let mut reports = self.api.store.drift_reports(filter, 1).await?;
        let report = reports.pop().ok_or_else(unknown)?;
        let class: Option<DriftClass> = field(fields, "class").and_then(|text| text.parse().ok());
        let fate: Option<DriftFate> = field(fields, "fate").and_then(|text| text.parse().ok());
        let from = field(fields, "from")
            .and_then(|text| text.parse().ok())
            .unwrap_or(0);
        let filter = DriftFilter { class, fate, from };
        let drift = with_findings(&self.api.store, report, filter, FINDINGS).await?;
        let is_masked = !visitor.role.may(Role::Operator);
        let report = drift.report;
        let now = self.api.clock.now();
        let is_full = drift.findings.len() == FINDINGS as usize;
        let older = drift.findings.last().filter(|_| is_full).map(|last| {
            format!(
                "/runs/{run}?class={}&fate={}&from={}",
                class.map_or("", DriftClass::as_str),
                fate.map_or("", DriftFate::as_str),
                last.row.position + 1
            )
        });
        let shown = drift.findings.into_iter().map(|found| {
            let found = if is_masked { found.masked() } else { found };
            found_row(&found)
        });
        let of = |class: DriftClass| {
            let fates = DriftFate::ALL.iter();
            let counts = fates.map(|fate| {
                let mut counts = report.counts.iter();
                counts
                    .find(|count| count.class == class && count.fate == *fate)
                    .map_or(0, |count| count.count)
            });
            CountRow {
                class: class.as_str(),
                sentence: class.sentence(),
                counts: counts.collect(),
            }
        };
        let how = match (report.kind, report.dry_run) {
            (DriftKind::Full, false) => "everything was compared, and repaired where that is possible",
            (DriftKind::Full, true) => "everything was compared; it only looked",
            (DriftKind::Sample, false) => "some records, picked at random, were compared and repaired",
            (DriftKind::Sample, true) => "some records, picked at random, were compared; it only looked",
        };
        Ok(DriftPage {
            frame: Frame::new(format!("Run {run}"), "runs", Some(visitor)).noticing(field(fields, "notice")),
            run,
            object: match report.object {
                Object::Inventory => "stock level",
                object => object_word(object),
            },
            shop: report.shop.to_string(),
            how,
            began: Moment::new(now, report.started_at),
            took: span(report.ended_at.since(report.started_at)),
            on_shopify: report.looked.on_shopify,
            in_erp: report.looked.in_erp,
            linked: report.looked.linked,
            in_step: report.looked.in_step,
            compared: report.looked.compared,
            left_to_events: report.looked.left_to_events,
            unnoted: report.looked.unnoted,
            adopted: report.looked.adopted,
            corrections: report.looked.corrections,
            withheld: report.withheld.clone(),
            fates: DriftFate::ALL.iter().map(|fate| fate_word(*fate)).collect(),
            counts: DriftClass::ALL
                .iter()
                .map(|class| of(*class))
                .filter(|row| row.counts.iter().any(|count| *count > 0))
                .collect(),
            classes: DriftClass::ALL
                .iter()
                .map(|one| (one.as_str(), one.sentence(), class == Some(*one)))
                .collect(),
            chosen_fates: DriftFate::ALL
                .iter()
                .map(|one| (one.as_str(), fate_word(*one), fate == Some(*one)))
                .collect(),
            found: shown.collect(),
            older,
            is_masked,
        })
    }
}

fn found_row(found: &Found) -> FoundRow {
    let row = &found.row;
    let number = row.source_id.map(|id| id.to_string());
    FoundRow {
        record: row
            .name
            .clone()
            .or_else(|| number.clone())
            .unwrap_or_else(|| "–".to_owned()),
        url: number.and_then(|id| address(row.shop.as_str(), row.object, &id)),
        erp: row.erp_id.map(|id| id.0),
        sentence: row.class.sentence(),
        field: row.field.clone().unwrap_or_default(),
        model: row.model.clone().unwrap_or_default(),
        shopify: row.shopify.clone().unwrap_or_default(),
        in_erp: row.erp.clone().unwrap_or_default(),
        became: found.became(),
        job: row.job.map(|job| job.0),
    }
}

/// Begins a run: it goes on when the person leaves, and ends with the daemon.
pub(super) async fn start(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    body: Bytes,
) -> Response {
    match console.start_run(&visitor, &form_fields(&body)).await {
        Ok(notice) => Redirect::to(&format!("/runs?notice={notice}")).into_response(),
        Err(refusal) => refuse(Some(&visitor), refusal),
    }
}

impl Console {
    async fn start_run(
        &self,
        visitor: &Visitor,
        fields: &[(String, String)],
    ) -> Result<&'static str, Refusal> {
        let config = Arc::clone(&self.api.config.borrow());
        let shop = shop_of(&config, field(fields, "shop").unwrap_or_default())?;
        let objects: Vec<Object> = match field(fields, "object").unwrap_or_default() {
            "" => objects_of(shop),
            "inventory" => vec![Object::Inventory],
            object => vec![object_of(object)?],
        };
        let dry_run = field(fields, "dry_run").is_some();
        let said = self.said(shop)?;
        let mappings = Arc::new(self.mapping_files().await?);
        let context = ready(shop, &said, &self.api.store, &self.api.clock, mappings)
            .map_err(|error| unreachable("The shop cannot be connected", &error))?;
        let full = FullShop {
            beside: beside(&config, shop),
            name: shop.name.clone(),
            shops: config.shops.keys().cloned().collect(),
            engine: Engine::new([context]),
            entropy: Arc::clone(&self.entropy),
            node: self.api.installation.holder.clone(),
            notifier: Arc::new(self.api.installation.events.clone()),
        };
        let reviewer = self.reviewer(visitor);
        let wanted = Wanted {
            actor: reviewer.actor().clone(),
            objects,
            dry_run,
            since: None,
            sample: None,
        };
        let by_hand = ByHand::new(wanted, reviewer);
        let (began, has_begun) = oneshot::channel();
        self.api
            .controls
            .aside(|stop| by_hand.carry_out(full, began, stop));
        match has_begun.await {
            Ok(Ok(first)) if !first.is_first => Ok("run_some"),
            Ok(Ok(_)) if dry_run => Ok("run_looks"),
            Ok(Ok(_)) => Ok("run_began"),
            Ok(Err(RunError::UnderWay)) => Err(Refusal::Not(
                StatusCode::CONFLICT,
                "Nothing was begun: a full run of these records is under way already.".to_owned(),
            )),
            Ok(Err(RunError::Store(error))) => Err(error.into()),
            Ok(Err(RunError::NotCompared(object))) => Err(Refusal::NotFound(format!(
                "Nothing was begun: {object} records are not compared as a whole."
            ))),
            Ok(Err(error)) => Err(unreachable("No run was begun", &error)),
            Err(_) => Err(Refusal::Not(
                StatusCode::SERVICE_UNAVAILABLE,
                "Nothing was begun: the daemon is stopping.".to_owned(),
            )),
        }
    }
}
