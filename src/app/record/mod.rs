//! One record with everything that is to be said of it: how it stands, what both systems hold now, and what happened.
//!
//! What the store knows is always told. The two systems are asked at the same time and within a bound: one that does not
//! answer has a word for it in its column, and keeps nothing else from being shown. Nothing is written.

mod compare;
mod find;
mod mask;
mod order;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;
use tokio::sync::Semaphore;

use crate::app::review::{
    LastWrite, Outlook, References, Said, WhyError, kind_of, last_write, references, why,
};
use crate::config::Shop;
use crate::domain::{
    Direction, JobId, JobKey, JobState, Link, LinkState, NewProblem, Object, SharedClock, ShopName, Timestamp,
};
use crate::mapping::Mappings;
use crate::store::{JobFilter, JobRow, SharedStore, StoreError};

pub(in crate::app) use compare::ready;
pub use compare::{Compared, ComparedRow, Way};
pub use find::{LocateError, locate};
pub use order::{
    Amounts, DocumentFacts, LineFacts, LinePair, OrderFacts, OrderSides, Person, Shipment, Side,
};

/// How many jobs of a record are listed.
const MOST_JOBS: u32 = 50;

/// How many of them have their events listed.
const WITH_EVENTS: usize = 10;

/// How many people look at the systems at once; the systems have work to do.
const AT_ONCE: usize = 4;

static LOOKS: Semaphore = Semaphore::const_new(AT_ONCE);

/// How long somebody waits for a system.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For what one side holds.
    pub side: Duration,
    /// For both sides to be compared.
    pub comparison: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            side: Duration::from_secs(8),
            comparison: Duration::from_secs(30),
        }
    }
}

/// What is asked.
#[derive(Clone, Debug)]
pub struct Wanted<'a> {
    /// The record's shop.
    pub shop: &'a Shop,
    /// `order`, `customer` or `product`.
    pub object: Object,
    /// Shopify's number.
    pub id: &'a str,
    /// The two systems; none to tell only what the store knows.
    pub said: Option<&'a Said>,
    /// The mappings by which both sides are compared field by field; none where nobody asked for that.
    pub mappings: Option<Arc<Mappings>>,
    /// How long it may take.
    pub patience: Patience,
}

/// A record of the shop.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Record {
    /// The shop.
    pub shop: ShopName,
    /// What it is.
    pub object: Object,
    /// Shopify's number.
    pub id: String,
    /// Its name for people.
    pub name: String,
    /// How it stands, in one sentence.
    pub sentence: String,
    /// Where it is to be seen.
    pub references: References,
    /// An order as both systems have it; none for other records, and where no system was asked.
    pub order: Option<OrderSides>,
    /// Both sides, field by field, where that was asked for.
    pub comparison: Option<Compared>,
    /// Its jobs into the ERP and, when it is linked, back, newest first.
    pub jobs: Vec<JobFacts>,
    /// By which revision of the mappings it was written last, as far as its jobs tell.
    pub written: Option<LastWrite>,
    /// What came about it, newest first.
    pub events: Vec<EventFacts>,
    /// Its link, with hashes of what both sides agreed on.
    pub link: Option<LinkFacts>,
}

/// One of its jobs.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct JobFacts {
    /// Its number.
    pub id: JobId,
    /// Which way.
    pub direction: Direction,
    /// How it stands.
    pub state: JobState,
    /// What its last attempt did.
    pub summary: Option<String>,
    /// What a person is told.
    pub problem: Option<NewProblem>,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// All of it.
    #[serde(skip)]
    pub row: JobRow,
}

/// One event about it.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct EventFacts {
    /// Its number.
    pub id: i64,
    /// What happened, in Shopify's word.
    pub topic: String,
    /// When it came.
    pub received_at: Timestamp,
    /// The job that it joined.
    pub job: JobId,
}

/// How it is linked.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct LinkFacts {
    /// The ERP's model.
    pub model: String,
    /// The ERP's id.
    pub erp_id: i64,
    /// How far the link got.
    pub state: LinkState,
    /// Shopify's `updatedAt` of the version that was last applied.
    pub source_updated_at: Option<Timestamp>,
    /// Per field the hashes of the values that were last agreed on; an order's fingerprint.
    pub agreed: serde_json::Value,
    /// The same for the way back.
    pub agreed_out: serde_json::Value,
}

/// Why nothing can be told of a record.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// Records of this kind have no page.
    #[error("there are records of orders, customers and products, not of `{0}`")]
    Unsupported(Object),
    /// It is not one of Shopify's numbers.
    #[error("`{0}` is no number of a record on Shopify")]
    NoNumber(String),
    /// Neither the store nor a system that was asked knows it.
    #[error("nobody knows {object} {id} of {shop}")]
    Unknown {
        /// The shop.
        shop: ShopName,
        /// What.
        object: Object,
        /// Its number.
        id: String,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What is known of a record, and what both systems say of it now.
///
/// # Errors
/// When nobody knows it, or the store fails. That a system does not answer is a part of what is told.
pub async fn record(
    store: &SharedStore,
    clock: &SharedClock,
    wanted: Wanted<'_>,
) -> Result<Record, RecordError> {
    let Wanted { shop, object, id, .. } = wanted;
    if !matches!(object, Object::Order | Object::Customer | Object::Product) {
        return Err(RecordError::Unsupported(object));
    }
    let number = id.parse().map_err(|_| RecordError::NoNumber(id.to_owned()))?;
    let id = crate::domain::ShopifyId::to_string(&number);
    let key = JobKey {
        shop: shop.name.clone(),
        object,
        direction: Direction::In,
        source_id: id.clone(),
    };
    let link = match kind_of(object) {
        Some(kind) => store
            .links(&shop.name, kind, std::slice::from_ref(&id))
            .await?
            .pop(),
        None => None,
    };
    let rows = jobs(store, &key, link.as_ref()).await?;
    let events = events(store, &rows).await?;
    let of_store = (link.as_ref(), !rows.is_empty() || link.is_some());
    let (order, comparison, unknown) = look(store, clock, &wanted, number, of_store).await;
    let is_there = order.as_ref().is_some_and(OrderSides::is_anywhere)
        || comparison
            .as_ref()
            .is_some_and(|compared| !compared.ways.is_empty());
    if rows.is_empty() && link.is_none() && !is_there && matches!(unknown, Unseen::Nowhere) {
        return Err(RecordError::Unknown {
            shop: shop.name.clone(),
            object,
            id,
        });
    }
    let named = rows.iter().find(|job| job.key.direction == Direction::In);
    let names = (
        named.and_then(|job| job.record_name.as_deref()),
        named.and_then(|job| job.erp_name.as_deref()),
    );
    let references = references(store, shop, &key, names).await?;
    let on_shopify = order.as_ref().and_then(|order| order.shopify.held());
    let name = names.0.map(str::to_owned);
    let name = name.or_else(|| on_shopify.map(|facts| facts.name.clone()));
    let name = name.or(match unknown {
        Unseen::There(name) => name,
        Unseen::Nowhere | Unseen::Unasked => None,
    });
    let name = name.unwrap_or_else(|| id.clone());
    let sentence = match object {
        Object::Order => {
            let said = wanted.said.filter(|_| on_shopify.is_some());
            let said = standing_of_order(store, clock, shop, &id, (said, wanted.patience)).await?;
            order.as_ref().map_or(said.clone(), |order| order.told(&said))
        }
        _ => standing(store, clock, (object, &name), &rows, link.as_ref(), &references).await?,
    };
    Ok(Record {
        shop: shop.name.clone(),
        object,
        id,
        name,
        sentence,
        references,
        order,
        comparison,
        written: last_write(store, &rows).await?,
        jobs: rows.into_iter().map(JobFacts::from).collect(),
        events,
        link: link.map(LinkFacts::from),
    })
}

impl From<JobRow> for JobFacts {
    fn from(row: JobRow) -> Self {
        Self {
            id: row.id,
            direction: row.key.direction,
            state: row.state,
            summary: row.last_summary.clone(),
            problem: row.problem.clone(),
            updated_at: row.updated_at,
            row,
        }
    }
}

impl From<Link> for LinkFacts {
    fn from(link: Link) -> Self {
        Self {
            model: link.model,
            erp_id: link.erp_id.0,
            state: link.state,
            source_updated_at: link.source_updated_at,
            agreed: link.agreed,
            agreed_out: link.agreed_out,
        }
    }
}

/// Its jobs in both directions, newest first.
async fn jobs(store: &SharedStore, key: &JobKey, link: Option<&Link>) -> Result<Vec<JobRow>, StoreError> {
    let mut rows = jobs_of(store, key).await?;
    if let Some(link) = link {
        let back = JobKey {
            direction: Direction::Out,
            source_id: link.erp_id.to_string(),
            ..key.clone()
        };
        rows.extend(jobs_of(store, &back).await?);
        rows.sort_by_key(|job| std::cmp::Reverse(job.id));
    }
    Ok(rows)
}

async fn jobs_of(store: &SharedStore, key: &JobKey) -> Result<Vec<JobRow>, StoreError> {
    let filter = JobFilter {
        shop: Some(key.shop.clone()),
        object: Some(key.object),
        direction: Some(key.direction),
        source_id: Some(key.source_id.clone()),
        limit: MOST_JOBS,
        ..JobFilter::default()
    };
    store.jobs(filter).await
}

async fn events(store: &SharedStore, jobs: &[JobRow]) -> Result<Vec<EventFacts>, StoreError> {
    let mut events = Vec::new();
    for job in jobs.iter().take(WITH_EVENTS) {
        let of_job = store.events_of(job.id, false).await?;
        events.extend(of_job.into_iter().map(|event| EventFacts {
            id: event.id.0,
            topic: event.topic,
            received_at: event.received_at,
            job: job.id,
        }));
    }
    events.sort_by_key(|event| std::cmp::Reverse(event.id));
    Ok(events)
}

/// Asks both systems, as far as they are to be asked.
async fn look(
    store: &SharedStore,
    clock: &SharedClock,
    wanted: &Wanted<'_>,
    id: crate::domain::ShopifyId,
    (link, is_known): (Option<&Link>, bool),
) -> (Option<OrderSides>, Option<Compared>, Unseen) {
    let Some(said) = wanted.said else {
        return (None, None, Unseen::Nowhere);
    };
    let Patience { side, comparison } = wanted.patience;
    let Ok(Ok(_turn)) = tokio::time::timeout(side, LOOKS.acquire()).await else {
        return (
            None,
            Some(Compared::failed("Many people look at records at this moment.")),
            Unseen::Unasked,
        );
    };
    let sides = async {
        match wanted.object {
            Object::Order => Some(Box::pin(order::both(said, wanted.shop, id, link, side)).await),
            _ => None,
        }
    };
    let compared = async {
        let mappings = Arc::clone(wanted.mappings.as_ref()?);
        let comparing = Box::pin(compare::compare(store, clock, wanted, said, mappings, id));
        match tokio::time::timeout(comparison, comparing).await {
            Ok(compared) => Some(compared),
            Err(_) => Some(Compared::failed("The two systems took too long to answer.")),
        }
    };
    let unseen = async {
        // Both sides are asked for orders in any case.
        if is_known || wanted.object == Object::Order {
            return Unseen::Nowhere;
        }
        let asked = Box::pin(on_shopify(said, wanted.object, id));
        let answered = tokio::time::timeout(side, asked).await;
        answered.unwrap_or(Unseen::Nowhere)
    };
    tokio::join!(sides, compared, unseen)
}

/// Whether Shopify has a record that the store knows nothing of.
enum Unseen {
    /// It has, perhaps under a name.
    There(Option<String>),
    /// No system that was to be asked and that answers has it.
    Nowhere,
    /// Nobody could be asked: nothing is known of it, not that it is not there.
    Unasked,
}

/// Asks Shopify for a customer or a product.
async fn on_shopify(said: &Said, object: Object, id: crate::domain::ShopifyId) -> Unseen {
    let found = match object {
        Object::Customer => said
            .shopify
            .customer(id, "")
            .await
            .map(|found| found.map(|_| None)),
        Object::Product => {
            let found = said.shopify.product(id, "").await;
            found.map(|found| found.map(|product| Some(product.title)))
        }
        _ => Ok(None),
    };
    match found {
        Ok(Some(name)) => Unseen::There(name),
        Ok(None) | Err(_) => Unseen::Nowhere,
    }
}

/// How an order stands. What the store never saw and Shopify has is asked of the systems once more, for why it never came.
async fn standing_of_order(
    store: &SharedStore,
    clock: &SharedClock,
    shop: &Shop,
    id: &str,
    (said, patience): (Option<&Said>, Patience),
) -> Result<String, StoreError> {
    let known = match why(store, clock, shop, id, None).await {
        Ok(why) => why,
        Err(WhyError::Store(error)) => return Err(error),
        // Without the systems none of them is asked.
        Err(WhyError::Shopify(_) | WhyError::Erp(_)) => return Ok(String::new()),
    };
    let Some(said) = said.filter(|_| known.outlook == Outlook::Unknown) else {
        return Ok(known.sentence);
    };
    match tokio::time::timeout(patience.side, Box::pin(why(store, clock, shop, id, Some(said)))).await {
        Ok(Ok(found)) => Ok(found.sentence),
        Ok(Err(WhyError::Store(error))) => Err(error),
        Ok(Err(WhyError::Shopify(_) | WhyError::Erp(_))) | Err(_) => {
            Ok(format!("Nothing of order {id} ever came to lockstep."))
        }
    }
}

/// How a customer or a product stands.
async fn standing(
    store: &SharedStore,
    clock: &SharedClock,
    (object, name): (Object, &str),
    jobs: &[JobRow],
    link: Option<&Link>,
    references: &References,
) -> Result<String, StoreError> {
    let what = if name.starts_with(object.as_str()) {
        capitalised(name)
    } else {
        format!("{} {name}", capitalised(object.as_str()))
    };
    let place = match (&references.erp, link) {
        (Some(erp), _) => format!("{what} is in the ERP as {}", erp.name),
        (None, Some(_)) => format!("{what} was in the ERP, and nothing stands for it there now"),
        (None, None) => format!("{what} is not in the ERP"),
    };
    let open = jobs.iter().find(|job| job.state.is_open());
    Ok(match open {
        None => format!("{place}."),
        Some(job) => format!("{place}; {}.", waiting(store, clock, job).await?),
    })
}

/// What an open job of the record does or waits for.
async fn waiting(store: &SharedStore, clock: &SharedClock, job: &JobRow) -> Result<String, StoreError> {
    let reason = || {
        let problem = job.problem.as_ref().map(|problem| problem.reason.as_str());
        let told = problem.or(job.last_summary.as_deref()).unwrap_or_default();
        told.trim_end_matches('.').to_owned()
    };
    Ok(match job.state {
        JobState::Problem => format!("a change needs a person: {}", reason()),
        JobState::Held => format!("a change is held back: {}", reason()),
        JobState::Running => "a change is carried over at this moment".to_owned(),
        JobState::Retryable => format!("a change failed and is tried again by itself: {}", reason()),
        _ => match expected(store, clock, job).await? {
            Some(expected) => format!("a change waits for its turn, {expected}"),
            None => "a change waits".to_owned(),
        },
    })
}

/// How many stand before a waiting job, and when it is expected to be done.
///
/// # Errors
/// When the store fails.
pub async fn expected(
    store: &SharedStore,
    clock: &SharedClock,
    job: &JobRow,
) -> Result<Option<String>, StoreError> {
    if job.state != JobState::Available {
        return Ok(None);
    }
    let place = store.queue_place(job.id, clock.now()).await?;
    Ok(place.map(|place| {
        let when = place.expected().map(|wait| match wait.as_secs() {
            0..=1 => ", expected now".to_owned(),
            seconds @ 2..=99 => format!(", expected in {seconds} s"),
            seconds @ 100..=5_999 => format!(", expected in {} min", seconds / 60),
            seconds => format!(", expected in {} h", seconds / 3_600),
        });
        format!("{} before it{}", place.ahead, when.unwrap_or_default())
    }))
}

fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters
        .next()
        .map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
