//! The list of jobs: search, filters, pages that begin where the last one ended.

use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::Extension;
use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;

use super::Console;
use super::error::{Refusal, refuse};
use super::parts::{JobLine, chip, direction_word, object_word};
use super::plans::in_list;
use super::seam::Wish;
use super::session::Visitor;
use super::view::{Frame, Notice, field, form_fields, page, percent_encoded};
use crate::app::review::WAITING_FOR_APPROVAL;
use crate::domain::{Direction, JobId, JobState, Object, Role, ShopName, Timestamp};
use crate::store::{JobFilter, JobName, JobRow, StoreError};

/// Jobs on one page.
const PAGE: u32 = 50;

/// One choice of a filter.
pub(super) struct Choice {
    pub(super) value: String,
    pub(super) text: String,
    pub(super) is_chosen: bool,
}

#[derive(Template)]
#[template(path = "jobs.html", config = ".config/askama.toml")]
struct JobsPage {
    frame: Frame,
    query: String,
    shops: Vec<Choice>,
    objects: Vec<Choice>,
    states: Vec<Choice>,
    directions: Vec<Choice>,
    times: Vec<Choice>,
    jobs: Vec<JobLine>,
    /// Plans that wait, as a form names them.
    plans: Vec<String>,
    is_filtered: bool,
    /// Where older ones are.
    older: Option<String>,
    is_first: bool,
}

/// What the person asked for.
#[derive(Clone, Debug, Default)]
struct Asked {
    query: Option<String>,
    filter: JobFilter,
}

/// The group of states that means "needs a person".
const NEEDS_A_PERSON: &str = "needs-a-person";

/// Held, because a plan waits for a yes.
const WAITS_FOR_APPROVAL: &str = "waiting-for-approval";

/// Times that can be chosen: name, text, hours.
const TIMES: [(&str, &str, u64); 4] = [
    ("hour", "last hour", 1),
    ("day", "last day", 24),
    ("week", "last week", 7 * 24),
    ("month", "last 30 days", 30 * 24),
];

fn asked(fields: &[(String, String)], now: Timestamp) -> Result<Asked, String> {
    let unknown = |what: &str| format!("This filter is not known: {what}.");
    let mut filter = JobFilter {
        limit: PAGE,
        ..JobFilter::default()
    };
    if let Some(shop) = field(fields, "shop") {
        filter.shop = Some(shop.parse().map_err(|_| unknown("shop"))?);
    }
    if let Some(object) = field(fields, "object") {
        filter.object = Some(object.parse().map_err(|_| unknown("object"))?);
    }
    if let Some(direction) = field(fields, "direction") {
        filter.direction = Some(direction.parse().map_err(|_| unknown("direction"))?);
    }
    if let Some(time) = field(fields, "changed") {
        let known = TIMES.iter().find(|(name, ..)| *name == time);
        let (.., hours) = known.ok_or_else(|| unknown("changed"))?;
        filter.changed_since = Some(now.minus(Duration::from_secs(hours * 3600)));
    }
    match field(fields, "state") {
        None => {}
        Some(NEEDS_A_PERSON) => filter.states = vec![JobState::Problem, JobState::Held],
        Some(WAITS_FOR_APPROVAL) => {
            filter.states = vec![JobState::Held];
            filter.code = Some(WAITING_FOR_APPROVAL.to_owned());
        }
        Some(state) => filter.states = vec![state.parse().map_err(|_| unknown("state"))?],
    }
    if let Some(before) = field(fields, "before") {
        filter.before = Some(JobId(before.parse().map_err(|_| unknown("before"))?));
    }
    Ok(Asked {
        query: field(fields, "q").map(str::to_owned),
        filter,
    })
}

/// What a search may mean, in the order in which it is tried: a name on either side, an id, a name without its `#`, a stock
/// keeping unit; what has an `@` may be an e-mail address, of which each shop has a hash of its own.
fn meanings(query: &str, shops: &[ShopName]) -> Vec<JobFilter> {
    let name = |text: String| JobFilter {
        name: Some(text),
        ..JobFilter::default()
    };
    let id = |text: &str| JobFilter {
        source_id: Some(text.to_owned()),
        ..JobFilter::default()
    };
    if let Some((_, last)) = query.strip_prefix("gid://").and_then(|gid| gid.rsplit_once('/')) {
        return vec![id(last)];
    }
    let mut meanings = vec![name(query.to_owned()), id(query)];
    if !query.starts_with('#') {
        meanings.push(name(format!("#{query}")));
    }
    let known_by = |name: JobName, shop: Option<&ShopName>| JobFilter {
        known_by: Some(name),
        shop: shop.cloned(),
        ..JobFilter::default()
    };
    meanings.push(known_by(JobName::Sku(query.to_owned()), None));
    if query.contains('@') {
        let hashes = shops
            .iter()
            .map(|shop| known_by(JobName::of_email(shop, query), Some(shop)));
        meanings.extend(hashes);
    }
    meanings
}

impl Console {
    async fn find(&self, asked: &Asked) -> Result<Vec<JobRow>, StoreError> {
        let Some(query) = &asked.query else {
            return self.api.store.jobs(asked.filter.clone()).await;
        };
        let shops: Vec<ShopName> = match &asked.filter.shop {
            Some(shop) => vec![shop.clone()],
            None => self.api.config.borrow().shops.keys().cloned().collect(),
        };
        for meaning in meanings(query, &shops) {
            let filter = JobFilter {
                name: meaning.name,
                source_id: meaning.source_id,
                known_by: meaning.known_by,
                shop: meaning.shop.or_else(|| asked.filter.shop.clone()),
                ..asked.filter.clone()
            };
            let found = self.api.store.jobs(filter).await?;
            if !found.is_empty() {
                return Ok(found);
            }
        }
        Ok(Vec::new())
    }
}

pub(super) async fn list(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    query: RawQuery,
) -> Response {
    let fields = form_fields(query.0.unwrap_or_default().as_bytes());
    let now = console.api.clock.now();
    let asked = match asked(&fields, now) {
        Ok(asked) => asked,
        Err(text) => return refuse(Some(&visitor), Refusal::Not(StatusCode::BAD_REQUEST, text)),
    };
    let found = match console.find(&asked).await {
        Ok(found) => found,
        Err(error) => return refuse(Some(&visitor), Refusal::store(&error)),
    };
    let config = Arc::clone(&console.api.config.borrow());
    let older = (found.len() == PAGE as usize)
        .then(|| found.last())
        .flatten()
        .map(|last| older(&fields, last.id));
    let state = field(&fields, "state").unwrap_or_default();
    let choice = |value: &str, text: &str, chosen: &str| Choice {
        value: value.to_owned(),
        text: text.to_owned(),
        is_chosen: value == chosen,
    };
    let shown = JobsPage {
        frame: Frame::new("Jobs", "jobs", Some(&visitor)).noticing(field(&fields, "notice")),
        query: asked.query.clone().unwrap_or_default(),
        shops: config
            .shops
            .keys()
            .map(|shop| {
                choice(
                    shop.as_str(),
                    shop.as_str(),
                    field(&fields, "shop").unwrap_or_default(),
                )
            })
            .collect(),
        objects: Object::ALL
            .iter()
            .map(|object| {
                let chosen = field(&fields, "object").unwrap_or_default();
                choice(object.as_str(), object_word(*object), chosen)
            })
            .collect(),
        states: [
            choice(NEEDS_A_PERSON, "needs a person, or is held", state),
            choice(WAITS_FOR_APPROVAL, "waiting for approval", state),
        ]
        .into_iter()
        .chain(
            JobState::ALL
                .iter()
                .map(|one| choice(one.as_str(), chip(*one).text, state)),
        )
        .collect(),
        directions: Direction::ALL
            .iter()
            .map(|direction| {
                let chosen = field(&fields, "direction").unwrap_or_default();
                choice(direction.as_str(), direction_word(*direction), chosen)
            })
            .collect(),
        times: TIMES
            .iter()
            .map(|(name, text, _)| choice(name, text, field(&fields, "changed").unwrap_or_default()))
            .collect(),
        jobs: found.iter().map(|job| JobLine::new(job, now)).collect(),
        plans: if state == WAITS_FOR_APPROVAL && visitor.role.may(Role::Operator) {
            found.iter().filter_map(in_list).collect()
        } else {
            Vec::new()
        },
        is_filtered: asked.query.is_some()
            || asked.filter.shop.is_some()
            || asked.filter.object.is_some()
            || asked.filter.direction.is_some()
            || asked.filter.changed_since.is_some()
            || !asked.filter.states.is_empty(),
        older,
        is_first: asked.filter.before.is_none(),
    };
    page(StatusCode::OK, &shown)
}

/// What became of one of the selected jobs.
struct SelectedLine {
    job: i64,
    is_done: bool,
    tone: &'static str,
    told: String,
}

#[derive(Template)]
#[template(path = "selected.html", config = ".config/askama.toml")]
struct SelectedPage {
    frame: Frame,
    rows: Vec<SelectedLine>,
    done: usize,
}

/// Does the same to several jobs that were selected, each as it was seen.
pub(super) async fn selected(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    body: Bytes,
) -> Response {
    match console.act_on_selected(&visitor, &form_fields(&body)).await {
        Ok(shown) => page(StatusCode::OK, &shown),
        Err(refusal) => refuse(Some(&visitor), refusal),
    }
}

impl Console {
    async fn act_on_selected(
        &self,
        visitor: &Visitor,
        fields: &[(String, String)],
    ) -> Result<SelectedPage, Refusal> {
        let not = |text: &str| Refusal::Not(StatusCode::BAD_REQUEST, format!("Nothing was done: {text}."));
        let (wish, title) = match field(fields, "action") {
            Some("retry") => (Wish::Retry, "Tried again"),
            Some("hold") => (Wish::Hold, "Held back"),
            Some("release") => (Wish::Release, "Released"),
            Some("discard") => (Wish::Discard, "Given up"),
            _ => return Err(not("say what to do")),
        };
        let reason = field(fields, "reason");
        if reason.is_none() && matches!(wish, Wish::Hold | Wish::Discard) {
            return Err(not("say why, for those who ask later"));
        }
        let mut meant = Vec::new();
        for (_, value) in fields.iter().filter(|(name, _)| name == "job") {
            let parts = value
                .split_once(':')
                .and_then(|(id, seen)| Some((JobId(id.parse().ok()?), seen)));
            meant.push(parts.ok_or_else(|| not("this form is none of ours"))?);
        }
        if meant.is_empty() {
            return Err(not("select the jobs that are meant"));
        }
        let mut rows = Vec::new();
        for (id, seen) in meant {
            let done = self.act(visitor, id, wish.clone(), (Some(seen), reason)).await;
            let (notice, told) = match done {
                Ok((_, code)) => (Notice::of(code), String::new()),
                Err(refusal @ (Refusal::NotFound(_) | Refusal::Not(..))) => (None, refusal.text()),
                Err(refusal) => return Err(refusal),
            };
            let is_done = notice.is_some_and(|notice| notice.tone == "good");
            rows.push(SelectedLine {
                job: id.0,
                is_done,
                tone: if is_done { "good" } else { "warn" },
                told: notice.map_or(told, |notice| notice.text.to_owned()),
            });
        }
        Ok(SelectedPage {
            frame: Frame::new(title, "jobs", Some(visitor)),
            done: rows.iter().filter(|row| row.is_done).count(),
            rows,
        })
    }
}

/// The same question about older jobs.
fn older(fields: &[(String, String)], last: JobId) -> String {
    let mut address = "/jobs?".to_owned();
    for (name, value) in fields {
        let is_asked = ["q", "shop", "object", "state", "direction", "changed"].contains(&name.as_str());
        if is_asked && !value.is_empty() {
            for part in [name.as_str(), "=", &percent_encoded(value), "&"] {
                address.push_str(part);
            }
        }
    }
    address + &format!("before={last}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_is_a_name_an_id_or_a_number() {
        let shops: Vec<ShopName> = vec!["main".parse().unwrap(), "other".parse().unwrap()];
        let tried = |query: &str| -> Vec<(Option<String>, Option<String>, Option<JobName>)> {
            meanings(query, &shops)
                .into_iter()
                .map(|filter| (filter.name, filter.source_id, filter.known_by))
                .collect()
        };
        let (some, none) = (|text: &str| Some(text.to_owned()), None);
        assert_eq!(
            tried("1042"),
            [
                (some("1042"), none.clone(), None),
                (none.clone(), some("1042"), None),
                (some("#1042"), none.clone(), None),
                (none.clone(), none.clone(), Some(JobName::Sku("1042".to_owned()))),
            ]
        );
        assert_eq!(tried("#1042/A").len(), 3);
        assert_eq!(tried("gid://shopify/Order/7"), [(none, some("7"), None)]);
        // Each shop has a hash of its own.
        let by_mail = tried("Ada@Example.com");
        assert_eq!(by_mail.len(), 6);
        assert_eq!(
            by_mail[4].2,
            Some(JobName::of_email(&shops[0], "ada@example.com"))
        );
        assert_ne!(by_mail[4].2, by_mail[5].2);
    }

    #[test]
    fn the_next_page_asks_the_same() {
        let fields = form_fields(b"q=%27+OR+1%3D1&state=problem&shop=&notice=x&before=9");
        assert_eq!(
            older(&fields, JobId(3)),
            "/jobs?q=%27%20OR%201%3D1&state=problem&before=3"
        );
    }

    #[test]
    fn a_filter_that_is_not_known_is_told() {
        for query in [
            "state=x",
            "object=x",
            "shop=X%20",
            "before=x",
            "direction=up",
            "changed=never",
        ] {
            let told = asked(&form_fields(query.as_bytes()), Timestamp::default()).unwrap_err();
            let name = query.split('=').next().unwrap();
            assert!(told.contains(name), "{told}");
        }
    }
}
