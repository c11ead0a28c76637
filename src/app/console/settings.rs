//! The toggles as switches. What is saved is looked at first: the change of the file, and what it means on Shopify.

use std::collections::BTreeSet;
use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};

use super::Console;
use super::error::{Refusal, refuse};
use super::parts::{direction_word, object_word};
use super::session::Visitor;
use super::view::{Frame, field, form_fields, page};
use super::webhooks::{Change, changes};
use crate::app::api::OfShop;
use crate::app::review::whole;
use crate::app::toggle::{self, Switch, Switching, ToggleError, Wanted, category_name};
use crate::config::Config;
use crate::domain::{Direction, Object};
use crate::subscriptions::{Toggle, WhenOff};

/// What the fields of the form begin with: `toggle.main.order.in`.
const FIELD: &str = "toggle.";

const STATES: [Toggle; 3] = [Toggle::On, Toggle::Off, Toggle::Paused];

struct Position {
    value: String,
    text: &'static str,
    is_set: bool,
}

struct SwitchView {
    field: String,
    legend: String,
    direction: &'static str,
    positions: Vec<Position>,
}

struct ShopSwitches {
    shop: String,
    domain: String,
    switches: Vec<SwitchView>,
}

#[derive(Template)]
#[template(path = "settings.html", config = ".config/askama.toml")]
struct SettingsPage {
    frame: Frame,
    shops: Vec<ShopSwitches>,
    path: String,
}

/// Whether there is a toggle at all: an order is made in the shop, and shops themselves have none.
fn has_toggle(object: Object, direction: Direction) -> bool {
    category_name(object).is_some() && (object, direction) != (Object::Order, Direction::Out)
}

fn position_text(toggle: Toggle) -> &'static str {
    match toggle {
        Toggle::On => "on",
        Toggle::Off => "off",
        Toggle::Paused => "paused",
    }
}

fn switches(config: &Config) -> Vec<ShopSwitches> {
    let lanes = Object::ALL
        .iter()
        .flat_map(|object| Direction::ALL.iter().map(|direction| (*object, *direction)))
        .filter(|(object, direction)| has_toggle(*object, *direction));
    let lanes: Vec<_> = lanes.collect();
    config
        .shops
        .values()
        .map(|shop| ShopSwitches {
            shop: shop.name.to_string(),
            domain: shop.shopify.domain.clone(),
            switches: lanes
                .iter()
                .map(|(object, direction)| {
                    let now = shop.sync.toggle(*object, *direction);
                    SwitchView {
                        field: format!("{FIELD}{}.{object}.{direction}", shop.name),
                        legend: category_name(*object).unwrap_or_default().to_owned(),
                        direction: direction_word(*direction),
                        positions: STATES
                            .iter()
                            .map(|state| Position {
                                value: state.to_string(),
                                text: position_text(*state),
                                is_set: *state == now,
                            })
                            .collect(),
                    }
                })
                .collect(),
        })
        .collect()
}

pub(super) async fn show(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    query: RawQuery,
) -> Response {
    let fields = form_fields(query.0.unwrap_or_default().as_bytes());
    let config = Arc::clone(&console.api.config.borrow());
    let shown = SettingsPage {
        frame: Frame::new("Settings", "settings", Some(&visitor)).noticing(field(&fields, "notice")),
        shops: switches(&config),
        path: config.path.display().to_string(),
    };
    page(StatusCode::OK, &shown)
}

/// What the form asks for. A switch that the person left as it was shown is not asked for: it may follow another one.
fn wanted(fields: &[(String, String)]) -> Result<Vec<Wanted>, Refusal> {
    let unknown = || {
        let text = "This form is none of ours. Nothing was done.".to_owned();
        Refusal::Not(StatusCode::BAD_REQUEST, text)
    };
    let mut wanted = Vec::new();
    for (name, value) in fields {
        let Some(lane) = name.strip_prefix(FIELD) else {
            continue;
        };
        if field(fields, &format!("was.{name}")) == Some(value.as_str()) {
            continue;
        }
        let mut parts = lane.split('.');
        let (Some(shop), Some(object), Some(direction), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(unknown());
        };
        let toggle = STATES.into_iter().find(|state| state.to_string() == *value);
        wanted.push(Wanted {
            shop: shop.parse().map_err(|_| unknown())?,
            object: object.parse().map_err(|_| unknown())?,
            direction: direction.parse().map_err(|_| unknown())?,
            toggle: toggle.ok_or_else(unknown)?,
        });
    }
    Ok(wanted)
}

/// One toggle that is to be another, for people.
struct SwitchLine {
    shop: String,
    object: &'static str,
    direction: &'static str,
    before: Toggle,
    after: Toggle,
    /// What becomes of jobs that wait, and other things to know before.
    note: &'static str,
    field: String,
}

impl SwitchLine {
    fn new(switch: &Switch) -> Self {
        let wanted = &switch.wanted;
        Self {
            shop: wanted.shop.to_string(),
            object: object_word(wanted.object),
            direction: direction_word(wanted.direction),
            before: switch.before,
            after: wanted.toggle,
            note: note(switch),
            field: format!("{FIELD}{}.{}.{}", wanted.shop, wanted.object, wanted.direction),
        }
    }
}

/// What a person should know before they say yes.
fn note(switch: &Switch) -> &'static str {
    match (switch.wanted.toggle, switch.when_off, switch.wanted.direction) {
        (Toggle::On, _, Direction::Out) if switch.before == Toggle::Off => {
            "What changes in the ERP from now on is carried over; what is there already is not."
        }
        (Toggle::On, ..) => "",
        (Toggle::Paused, ..) => "Jobs are made and wait until it is on again. Nothing is lost.",
        (Toggle::Off, WhenOff::Drain, _) => {
            "Jobs that wait are still done. To stop at once, take \"paused\" instead."
        }
        (Toggle::Off, WhenOff::Hold, _) => "Jobs that wait are kept until it is on again.",
        (Toggle::Off, WhenOff::Discard, _) => "Jobs that wait are given up.",
    }
}

struct ShopChanges {
    shop: String,
    error: Option<(String, String)>,
    changes: Vec<Change>,
}

#[derive(Template)]
#[template(path = "settings_plan.html", config = ".config/askama.toml")]
struct PlanPage {
    frame: Frame,
    switches: Vec<SwitchLine>,
    diff: Vec<(&'static str, String)>,
    hash: String,
    shops: Vec<ShopChanges>,
    /// Why this is shown again.
    again: Option<&'static str>,
    /// Why the file cannot be written.
    read_only: Option<String>,
    path: String,
}

/// A line of the difference with what it is.
pub(super) fn diff_lines(diff: &str) -> Vec<(&'static str, String)> {
    diff.lines()
        .map(|line| {
            let kind = match line.bytes().next() {
                Some(b'+') if !line.starts_with("+++") => "added",
                Some(b'-') if !line.starts_with("---") => "removed",
                _ => "same",
            };
            (kind, line.to_owned())
        })
        .collect()
}

fn told(error: &ToggleError) -> Refusal {
    let below = std::error::Error::source(error).map(|source| format!(": {source}"));
    Refusal::Not(
        StatusCode::CONFLICT,
        format!("{error}{}", below.unwrap_or_default()),
    )
}

impl Console {
    async fn switching(&self, wanted: Vec<Wanted>, agreed: Option<String>) -> Result<Switching, Refusal> {
        let path = self.api.config.borrow().path.clone();
        let work = tokio::task::spawn_blocking(move || match agreed {
            None => toggle::plan(&path, &wanted),
            Some(agreed) => toggle::set_all(&path, &wanted, &agreed),
        });
        match work.await {
            Ok(result) => result.map_err(|error| told(&error)),
            Err(error) => Err(Refusal::Not(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())),
        }
    }

    /// The page that shows a plan.
    async fn plan_page(
        &self,
        visitor: &Visitor,
        switching: Switching,
        again: Option<&'static str>,
    ) -> Result<Response, Refusal> {
        let mut shops = Vec::new();
        let touched: BTreeSet<_> = switching
            .switches
            .iter()
            .map(|switch| switch.wanted.shop.clone())
            .collect();
        for shop in touched {
            let of_shop = OfShop {
                shop: Some(shop.to_string()),
            };
            let reports = self.api.plans_under(&switching.after, &of_shop).await?;
            shops.extend(reports.shops.into_iter().map(|report| ShopChanges {
                shop: report.shop.to_string(),
                error: report.error.map(|error| (error.reason, error.fix)),
                changes: changes(&report.lines),
            }));
        }
        let shown = PlanPage {
            frame: Frame::new("Look before you save", "settings", Some(visitor)),
            switches: switching.switches.iter().map(SwitchLine::new).collect(),
            diff: diff_lines(&switching.diff),
            hash: switching.hash,
            shops,
            again,
            read_only: switching.read_only,
            path: switching.after.path.display().to_string(),
        };
        Ok(page(StatusCode::OK, &shown))
    }

    async fn planned(&self, visitor: &Visitor, fields: &[(String, String)]) -> Result<Response, Refusal> {
        let switching = self.switching(wanted(fields)?, None).await?;
        if switching.switches.is_empty() {
            return Ok(Redirect::to("/settings?notice=unchanged").into_response());
        }
        self.plan_page(visitor, switching, None).await
    }

    async fn applied(
        self: &Arc<Self>,
        visitor: &Visitor,
        fields: &[(String, String)],
    ) -> Result<Response, Refusal> {
        let agreed = field(fields, "hash").unwrap_or_default().to_owned();
        let wanted = wanted(fields)?;
        let (console, reviewer) = (Arc::clone(self), self.reviewer(visitor));
        // A browser that hangs up parts neither the file from its line in the audit log, nor from being taken up.
        let work = async move {
            let switching = console.switching(wanted, Some(agreed)).await?;
            if !switching.written {
                return Ok(switching);
            }
            let kept = reviewer.switched(&switching.switches).await;
            console.api.controls.reload().await.map_err(|text| {
                let text = format!("The file was saved, but could not be taken up: {text}");
                Refusal::Not(StatusCode::CONFLICT, text)
            })?;
            kept?;
            Ok(switching)
        };
        let broken = || {
            let text = "This ended without a word. Look at the settings before you try again.".to_owned();
            Err(Refusal::Not(StatusCode::INTERNAL_SERVER_ERROR, text))
        };
        let switching: Switching = whole(work).await.unwrap_or_else(broken)?;
        if switching.switches.is_empty() {
            // Somebody else was faster, or this is the second click.
            return Ok(Redirect::to("/settings?notice=unchanged").into_response());
        }
        if switching.differs {
            let again =
                "The file has changed since you looked. Nothing was saved: this is what it would be now.";
            return self.plan_page(visitor, switching, Some(again)).await;
        }
        if switching.read_only.is_some() {
            return self.plan_page(visitor, switching, None).await;
        }
        tracing::info!(
            account = %visitor.name,
            toggles = switching.switches.len(),
            "toggles changed on the console"
        );
        Ok(Redirect::to("/settings?notice=saved").into_response())
    }
}

pub(super) async fn plan(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    body: Bytes,
) -> Response {
    let planned = console.planned(&visitor, &form_fields(&body)).await;
    planned.unwrap_or_else(|refusal| refuse(Some(&visitor), refusal))
}

pub(super) async fn apply(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    body: Bytes,
) -> Response {
    let applied = console.applied(&visitor, &form_fields(&body)).await;
    applied.unwrap_or_else(|refusal| refuse(Some(&visitor), refusal))
}
