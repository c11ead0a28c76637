//! One record: where it is, what both systems hold, and what happened to it.

use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::Extension;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};

use super::Console;
use super::error::{Refusal, refuse};
use super::job::{both, capitalised};
use super::parts::{JobLine, object_word, pretty};
use super::seam::{not_done, unreachable};
use super::session::Visitor;
use super::view::{Frame, Moment, field, form_fields, page, percent_encoded};
use crate::app::connect;
use crate::app::enqueue::FindError;
use crate::app::record::{
    Compared, ComparedRow, LinePair, LocateError, OrderFacts, OrderSides, Patience, Record, RecordError,
    Side, Wanted, Way, locate, record,
};
use crate::app::review::{Reference, References, Said};
use crate::config::{Config, Shop};
use crate::domain::{Direction, JobKey, JobState, Object, Role, ShopifyId, Timestamp};
use crate::store::{Acted, JobRow};

/// The objects that have a page for each record.
const OBJECTS: [Object; 3] = [Object::Order, Object::Customer, Object::Product];

/// Where a record's page is.
pub(super) fn address(shop: &str, object: Object, id: &str) -> Option<String> {
    let is_number = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit());
    (OBJECTS.contains(&object) && is_number)
        .then(|| format!("/records/{}/{object}/{id}", percent_encoded(shop)))
}

/// The page of a job's record, as far as it is known on Shopify.
pub(super) fn address_of(job: &JobRow, references: &References) -> Option<String> {
    let side = references.shopify.as_ref()?;
    address(job.key.shop.as_str(), job.key.object, &side.id)
}

/// An event that came about it.
struct EventLine {
    id: i64,
    topic: String,
    moment: Moment,
    job: i64,
}

/// How long somebody who only opens a page waits for both sides of a customer or a product.
const AT_FIRST: Duration = Duration::from_secs(3);

/// A fact that both systems tell.
struct FactRow {
    title: String,
    shopify: Vec<String>,
    erp: Vec<String>,
    /// Whether they tell something else.
    differs: bool,
}

#[derive(Template)]
#[template(path = "record.html", config = ".config/askama.toml")]
pub(super) struct RecordPage {
    frame: Frame,
    address: String,
    shop: String,
    object: &'static str,
    sentence: String,
    references: Vec<(&'static str, Reference)>,
    facts: Vec<FactRow>,
    /// What a system that does not answer said instead.
    silent: Vec<(&'static str, String)>,
    totals_agree: Option<bool>,
    lines: Vec<LinePair>,
    comparison: Option<Compared>,
    jobs: Vec<JobLine>,
    /// The revision of the mappings that it was written by last, and the job that did.
    written: Option<(String, i64)>,
    events: Vec<EventLine>,
    link: Option<LinkView>,
    is_masked: bool,
}

/// The technical side of it.
struct LinkView {
    text: String,
    applied: Option<Moment>,
    agreed: Option<String>,
    agreed_out: Option<String>,
}

#[derive(Template)]
#[template(path = "records.html", config = ".config/askama.toml")]
struct FindPage {
    frame: Frame,
    shops: Vec<(String, bool)>,
    objects: Vec<(&'static str, bool)>,
    query: String,
    failure: Option<String>,
}

/// The record of a page's address.
pub(super) type Place = Path<(String, String, String)>;

pub(super) async fn show(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Path((shop, object, id)): Place,
    query: RawQuery,
) -> Response {
    let fields = form_fields(query.0.unwrap_or_default().as_bytes());
    match console
        .record_page(&visitor, (&shop, &object, &id), &fields)
        .await
    {
        Ok(shown) => page(StatusCode::OK, &shown),
        Err(refusal) => refuse(Some(&visitor), refusal),
    }
}

/// The shop of this name.
pub(super) fn shop_of<'c>(config: &'c Config, name: &str) -> Result<&'c Shop, Refusal> {
    let mut shops = config.shops.values();
    shops
        .find(|shop| shop.name.as_str() == name)
        .ok_or_else(|| Refusal::NotFound("The configuration has no shop of this name.".to_owned()))
}

pub(super) fn object_of(text: &str) -> Result<Object, Refusal> {
    OBJECTS
        .into_iter()
        .find(|object| object.as_str() == text)
        .ok_or_else(|| Refusal::NotFound("There are records of orders, customers and products.".to_owned()))
}

impl Console {
    /// The shop's clients: the one of Shopify that is in use, and one of its ERP.
    pub(super) fn said(&self, shop: &Shop) -> Result<Said, Refusal> {
        let failed = |error: &dyn std::error::Error| unreachable("The shop cannot be connected", error);
        let client = self.api.clients.borrow().get(&shop.name).cloned();
        let shopify = match client {
            Some(client) => client,
            None => connect::shopify(shop, &self.api.clock, &self.entropy).map_err(|error| failed(&error))?,
        };
        Ok(Said {
            shopify,
            erp: connect::erp(shop, &self.api.clock).map_err(|error| failed(&error))?,
        })
    }

    async fn record_page(
        &self,
        visitor: &Visitor,
        (shop, object, id): (&str, &str, &str),
        fields: &[(String, String)],
    ) -> Result<RecordPage, Refusal> {
        let config = Arc::clone(&self.api.config.borrow());
        let (shop, object) = (shop_of(&config, shop)?, object_of(object)?);
        let said = self.said(shop)?;
        // Of an order both sides are told in plain words anyway; of the others they are what is compared.
        let is_asked = field(fields, "compare").is_some();
        let mappings = if is_asked || object != Object::Order {
            match self.mapping_files().await {
                Ok(mappings) => Some(Arc::new(mappings)),
                Err(refusal) if is_asked => return Err(refusal),
                // The rest of the page needs no mapping.
                Err(_) => None,
            }
        } else {
            None
        };
        let mut patience = Patience::default();
        if !is_asked {
            patience.comparison = AT_FIRST;
            // Of these it is only asked whether Shopify has them. An order's sides are what its page is opened for.
            if object != Object::Order {
                patience.side = AT_FIRST;
            }
        }
        let wanted = Wanted {
            shop,
            object,
            id,
            said: Some(&said),
            mappings,
            patience,
        };
        let found = record(&self.api.store, &self.api.clock, wanted)
            .await
            .map_err(unknown)?;
        let is_masked = !visitor.role.may(Role::Operator);
        let found = if is_masked { found.masked() } else { found };
        let notice = field(fields, "notice");
        let how = (is_asked, is_masked);
        Ok(shown(visitor, found, how, notice, self.api.clock.now()))
    }
}

fn unknown(error: RecordError) -> Refusal {
    match error {
        RecordError::Store(error) => Refusal::store(&error),
        RecordError::Unknown { .. } => Refusal::NotFound(
            "Nobody knows this record: no job, no link, and no system that answers has it.".to_owned(),
        ),
        error @ (RecordError::Unsupported(_) | RecordError::NoNumber(_)) => {
            Refusal::NotFound(format!("{}.", capitalised(&error.to_string())))
        }
    }
}

/// The page. `is_asked` says that somebody asked for the comparison; else it only has what both sides hold, and where they were not
/// compared or need a person, why.
pub(super) fn shown(
    visitor: &Visitor,
    found: Record,
    (is_asked, is_masked): (bool, bool),
    notice: Option<&str>,
    now: Timestamp,
) -> RecordPage {
    let word = object_word(found.object);
    let title = if found.name.starts_with(word) {
        capitalised(&found.name)
    } else {
        format!("{} {}", capitalised(word), found.name)
    };
    let (mut facts, silent) = found.order.as_ref().map(facts).unwrap_or_default();
    let mut comparison = found.comparison;
    if let Some(compared) = comparison.as_mut().filter(|_| !is_asked) {
        compared.ways.truncate(1);
        for way in &mut compared.ways {
            facts.extend(both_sides(way, &found.id));
            for rows in [&mut way.differences, &mut way.agreed, &mut way.same] {
                rows.clear();
            }
        }
        if !facts.is_empty() {
            compared.ways.retain(|way| way.problem.is_some());
        }
        comparison = comparison.filter(|compared| compared.failure.is_some() || !compared.ways.is_empty());
    }
    RecordPage {
        frame: Frame::new(title, "records", Some(visitor)).noticing(notice),
        address: format!(
            "/records/{}/{}/{}",
            percent_encoded(found.shop.as_str()),
            found.object,
            found.id
        ),
        shop: found.shop.to_string(),
        object: word,
        sentence: found.sentence,
        references: both(found.references),
        facts,
        silent,
        totals_agree: found.order.as_ref().and_then(|order| order.totals_agree),
        lines: found.order.map(|order| order.lines).unwrap_or_default(),
        comparison,
        jobs: found.jobs.iter().map(|job| JobLine::new(&job.row, now)).collect(),
        written: found.written.map(|write| (write.mapping, write.job.0)),
        events: found
            .events
            .into_iter()
            .map(|event| EventLine {
                id: event.id,
                topic: event.topic,
                moment: Moment::new(now, event.received_at),
                job: event.job.0,
            })
            .collect(),
        link: found.link.map(|link| LinkView {
            text: format!("{} to {} {}", link.state, link.model, link.erp_id),
            applied: link.source_updated_at.map(|at| Moment::new(now, at)),
            agreed: pretty(&link.agreed),
            agreed_out: pretty(&link.agreed_out),
        }),
        is_masked,
    }
}

/// What both sides hold of a record and of its parts, field by field. What differs comes first.
fn both_sides(way: &Way, id: &str) -> Vec<FactRow> {
    let row = |row: &ComparedRow, differs| {
        let cell = |text: &String| (!text.is_empty()).then(|| text.clone()).into_iter().collect();
        FactRow {
            title: if row.part.is_empty() || row.part == id {
                row.field.clone()
            } else {
                format!("{}: {}", row.part, row.field)
            },
            shopify: cell(&row.shopify),
            erp: cell(&row.erp),
            differs,
        }
    };
    let differences = way.differences.iter().map(|one| row(one, true));
    let rest = way.same.iter().chain(&way.agreed).map(|one| row(one, false));
    differences.chain(rest).collect()
}

/// What a customer asks, with both systems' answers; and what is wrong with a system that has none.
fn facts(order: &OrderSides) -> (Vec<FactRow>, Vec<(&'static str, String)>) {
    let row = |title: &'static str, of: &dyn Fn(&OrderFacts) -> Vec<String>| {
        let cell = |side: &Side<OrderFacts>| match side {
            Side::Held { record } => of(record),
            Side::Absent if title == "State" => vec!["does not have it".to_owned()],
            Side::Silent { .. } if title == "State" => vec!["does not answer".to_owned()],
            Side::Absent | Side::Silent { .. } => Vec::new(),
        };
        FactRow {
            title: title.to_owned(),
            shopify: cell(&order.shopify),
            erp: cell(&order.erp),
            differs: false,
        }
    };
    let mut rows = vec![
        row("State", &|facts| vec![facts.state.clone()]),
        row("Paid", &|facts| vec![facts.amounts.paid.clone()]),
        row("Paid back", &|facts| vec![facts.amounts.refunded.clone()]),
        row("Still to be paid", &|facts| vec![facts.amounts.open.clone()]),
        row("Shipments", &|facts| {
            let parcels = facts.shipments.iter();
            parcels
                .map(|one| {
                    let mut told = format!("{}: {}, {} units", one.name, one.state, one.units);
                    for part in one.carrier.iter().chain(&one.tracking) {
                        told.push_str(", ");
                        told.push_str(part);
                    }
                    told
                })
                .collect()
        }),
        row("Buyer", &|facts| {
            let buyer = facts.buyer.iter();
            let parts =
                buyer.flat_map(|buyer| [Some(&buyer.name), buyer.email.as_ref(), buyer.phone.as_ref()]);
            parts.flatten().cloned().collect()
        }),
        row("Shipping address", &|facts| facts.shipping.clone()),
        row("Billing address", &|facts| facts.billing.clone()),
        row("Total", &|facts| vec![facts.amounts.total.clone()]),
        row("Tax in it", &|facts| vec![facts.amounts.tax.clone()]),
        row("Documents", &|facts| {
            let documents = facts.documents.iter();
            documents
                .map(|one| match &one.open {
                    Some(open) => format!("{}, {}: {}, {open} open", one.name, one.state, one.total),
                    None => format!("{}, {}: {}", one.name, one.state, one.total),
                })
                .collect()
        }),
        row("Note", &|facts| facts.note.iter().cloned().collect()),
        row("Placed", &|facts| {
            let at = facts.ordered_at.iter();
            at.map(|at| at.to_utc().format("%Y-%m-%d %H:%M:%SZ").to_string())
                .collect()
        }),
    ];
    rows.retain(|row| !(row.shopify.is_empty() && row.erp.is_empty()));
    let silent = [("Shopify", &order.shopify), ("The ERP", &order.erp)]
        .into_iter()
        .filter_map(|(system, side)| match side {
            Side::Silent { reason } => Some((system, reason.clone())),
            Side::Held { .. } | Side::Absent => None,
        })
        .collect();
    (rows, silent)
}

/// Carries the record over now: its job is made, or the open one is next.
pub(super) async fn sync(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Path((shop, object, id)): Place,
    _body: Bytes,
) -> Response {
    match console.sync_record(&visitor, (&shop, &object, &id)).await {
        Ok((job, notice)) => Redirect::to(&format!("/jobs/{job}?notice={notice}")).into_response(),
        Err(refusal) => refuse(Some(&visitor), refusal),
    }
}

impl Console {
    async fn sync_record(
        &self,
        visitor: &Visitor,
        (shop, object, id): (&str, &str, &str),
    ) -> Result<(i64, &'static str), Refusal> {
        let config = Arc::clone(&self.api.config.borrow());
        let (shop, object) = (shop_of(&config, shop)?, object_of(object)?);
        let id: ShopifyId = id
            .parse()
            .map_err(|_| Refusal::NotFound("Records have Shopify's number.".to_owned()))?;
        let key = JobKey {
            shop: shop.name.clone(),
            object,
            direction: Direction::In,
            source_id: id.to_string(),
        };
        let (job, acted) = self.reviewer(visitor).carry_over(key).await?;
        self.api.controls.look();
        if let Some(refusal) = not_done(&acted) {
            return Err(refusal);
        }
        Ok(match acted {
            Acted::New(job) | Acted::Again(job) => (job.0, "retried"),
            Acted::NotNow(JobState::Running) => (job.0, "running"),
            Acted::NotNow(_) => (job.0, "closed"),
            _ => (job.0, "already"),
        })
    }
}

pub(super) async fn find(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    query: RawQuery,
) -> Response {
    let fields = form_fields(query.0.unwrap_or_default().as_bytes());
    match console.found(&visitor, &fields).await {
        Ok(Ok(address)) => Redirect::to(&address).into_response(),
        Ok(Err(shown)) => page(StatusCode::OK, &*shown),
        Err(refusal) => refuse(Some(&visitor), refusal),
    }
}

impl Console {
    /// Where the record is that is looked for, or the page to look for one.
    async fn found(
        &self,
        visitor: &Visitor,
        fields: &[(String, String)],
    ) -> Result<Result<String, Box<FindPage>>, Refusal> {
        let config = Arc::clone(&self.api.config.borrow());
        let (asked, shop) = (field(fields, "q"), field(fields, "shop"));
        let object = object_of(field(fields, "object").unwrap_or("order"))?;
        let mut failure = None;
        if let (Some(asked), Some(shop)) = (asked, shop) {
            let shop = shop_of(&config, shop)?;
            let said = self.said(shop)?;
            match locate(&self.api.store, shop, object, asked, Some(&said.shopify)).await {
                Ok(id) => {
                    let found = address(shop.name.as_str(), object, &id);
                    return found
                        .map(Ok)
                        .ok_or_else(|| Refusal::NotFound("There is no such record.".to_owned()));
                }
                Err(LocateError::Store(error)) => return Err(Refusal::store(&error)),
                Err(LocateError::Find(FindError::Shopify(error))) => {
                    return Err(unreachable("Shopify could not be asked", &error));
                }
                Err(error) => failure = Some(format!("{}.", capitalised(&error.to_string()))),
            }
        }
        let shops = config.shops.values().map(|one| one.name.to_string());
        Ok(Err(Box::new(FindPage {
            frame: Frame::new("Records", "records", Some(visitor)),
            shops: shops
                .map(|name| (name.clone(), Some(name.as_str()) == shop))
                .collect(),
            objects: OBJECTS.map(|one| (one.as_str(), one == object)).to_vec(),
            query: asked.unwrap_or_default().to_owned(),
            failure,
        })))
    }
}
