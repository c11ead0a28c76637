//! Why an order is not in the ERP, or where it is: one sentence and the one fitting step.
//!
//! The store is asked first. What it never saw is looked for on both systems.

mod live;
mod words;

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;

use self::words::{called, held, in_time, left_alone, told};
use super::last_write::{LastWrite, last_write};
use super::places::{References, references};
use crate::app::enqueue::Named;
use crate::config::Shop;
use crate::domain::{
    Direction, JobId, JobKey, JobState, Link, LinkKind, LinkState, Object, SharedClock, ShopifyId, Timestamp,
};
use crate::erp::{ErpError, SharedErp};
use crate::shopify::{Shopify, ShopifyError};
use crate::store::{JobFilter, JobRow, SharedStore, StoreError};
use crate::subscriptions::Toggle;
use crate::sync::BY_PERSON;

/// How many jobs of one name are looked at.
const MOST_JOBS: u32 = 20;

/// How it stands with an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outlook {
    /// Neither we nor the systems that were asked know it.
    Unknown,
    /// Shopify has it, and never told us.
    NeverDelivered,
    /// Deliveries of this shop are refused, and none about it was taken.
    Rejected,
    /// It is older than the shop's start.
    BeforeStart,
    /// The mapping or a rule leaves it alone.
    OutOfScope,
    /// It was placed with a test gateway.
    Test,
    /// Its work waits because somebody wants it: a pause or a toggle.
    Paused,
    /// Its work waits for its turn, a time or a system.
    Queued,
    /// It is worked on at this moment.
    Running,
    /// Somebody or a limit holds it back.
    Held,
    /// It needs a person.
    Problem,
    /// It is in the ERP.
    Booked,
    /// It was given up by a person.
    Discarded,
    /// It was cancelled before it was ever booked.
    Cancelled,
    /// It does not exist on Shopify any more.
    Deleted,
    /// The ERP's record was merged or deleted, and nothing stands for it now.
    Merged,
}

/// What is said about an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Why {
    /// How it stands.
    pub outlook: Outlook,
    /// One plain sentence.
    pub sentence: String,
    /// What to do now, where there is something to do.
    pub next: Option<String>,
    /// Its job.
    pub job: Option<JobId>,
    /// By which revision of the mappings it was written last, as far as its jobs tell.
    pub written: Option<LastWrite>,
    /// Where it is to be seen.
    pub references: References,
}

/// Why it cannot be said.
#[derive(Debug, thiserror::Error)]
pub enum WhyError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Shopify could not be asked.
    #[error("Shopify could not be asked about it")]
    Shopify(#[source] ShopifyError),
    /// The ERP could not be asked.
    #[error("the ERP could not be asked about it")]
    Erp(#[from] ErpError),
}

/// The two systems, for what the store never saw.
#[derive(Clone)]
pub struct Said {
    /// The shop.
    pub shopify: Arc<Shopify>,
    /// Its ERP.
    pub erp: SharedErp,
}

impl std::fmt::Debug for Said {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Said").finish_non_exhaustive()
    }
}

/// What is to be said about the order of the shop that is called so: by its name (`#1042` or `1042`), its number or gid,
/// the address of its page, or the ERP's number. Without `live` only the store is asked.
///
/// # Errors
/// When the store fails, or a system that must be asked does not answer.
pub async fn why(
    store: &SharedStore,
    clock: &SharedClock,
    shop: &Shop,
    asked: &str,
    live: Option<&Said>,
) -> Result<Why, WhyError> {
    let asked = asked.trim();
    let id = match Named::parse(Object::Order, asked) {
        Ok(Named::Id(id)) => Some(id),
        _ => None,
    };
    let look = Look {
        store,
        shop,
        now: clock.now(),
    };
    if let Some(job) = look.job(asked, id).await? {
        return look.of_job(job).await;
    }
    if let Some(id) = id
        && let Some(link) = look.link(id).await?
    {
        return look.of_link(&link).await;
    }
    match live {
        Some(live) => look.live(asked, id, live).await,
        None => Ok(look.unknown(asked)),
    }
}

struct Look<'a> {
    store: &'a SharedStore,
    shop: &'a Shop,
    now: Timestamp,
}

impl Look<'_> {
    /// The newest job of the order: by its name on either side, else by its number.
    async fn job(&self, asked: &str, id: Option<ShopifyId>) -> Result<Option<JobRow>, StoreError> {
        let filter = JobFilter {
            shop: Some(self.shop.name.clone()),
            object: Some(Object::Order),
            direction: Some(Direction::In),
            limit: MOST_JOBS,
            ..JobFilter::default()
        };
        let with_sign = format!("#{}", asked.trim_start_matches('#'));
        for name in [asked.to_owned(), with_sign] {
            let filter = JobFilter {
                name: Some(name),
                ..filter.clone()
            };
            if let Some(job) = self.store.jobs(filter).await?.into_iter().next() {
                // A later job of the same order may not know its name yet.
                let by_id = JobFilter {
                    name: None,
                    source_id: Some(job.key.source_id.clone()),
                    ..self.of_orders()
                };
                let newest = self.store.jobs(by_id).await?.into_iter().next();
                return Ok(newest.or(Some(job)));
            }
        }
        let Some(id) = id else { return Ok(None) };
        let filter = JobFilter {
            source_id: Some(id.to_string()),
            ..filter
        };
        Ok(self.store.jobs(filter).await?.into_iter().next())
    }

    fn of_orders(&self) -> JobFilter {
        JobFilter {
            shop: Some(self.shop.name.clone()),
            object: Some(Object::Order),
            direction: Some(Direction::In),
            limit: 1,
            ..JobFilter::default()
        }
    }

    async fn link(&self, id: ShopifyId) -> Result<Option<Link>, StoreError> {
        Ok(self
            .store
            .links(&self.shop.name, LinkKind::Order, &[id.to_string()])
            .await?
            .pop())
    }

    async fn of_job(&self, job: JobRow) -> Result<Why, WhyError> {
        let names = (job.record_name.as_deref(), job.erp_name.as_deref());
        let references = references(self.store, self.shop, &job.key, names).await?;
        let (outlook, sentence, next) = self.judge(&job, &references).await?;
        Ok(Why {
            outlook,
            sentence,
            next,
            job: Some(job.id),
            written: last_write(self.store, &self.jobs_of(&job).await?).await?,
            references,
        })
    }

    /// The jobs of the same order, the newest first.
    async fn jobs_of(&self, job: &JobRow) -> Result<Vec<JobRow>, StoreError> {
        let filter = JobFilter {
            source_id: Some(job.key.source_id.clone()),
            limit: MOST_JOBS,
            ..self.of_orders()
        };
        self.store.jobs(filter).await
    }

    async fn judge(
        &self,
        job: &JobRow,
        references: &References,
    ) -> Result<(Outlook, String, Option<String>), WhyError> {
        let what = called(job);
        let summary = job.last_summary.clone().unwrap_or_default();
        Ok(match job.state {
            JobState::Available | JobState::Scheduled | JobState::Retryable => {
                self.waiting(job, &what).await?
            }
            JobState::Running => (
                Outlook::Running,
                format!("{what} is worked on at this moment (attempt {}).", job.attempts),
                Some("Look again in a minute.".to_owned()),
            ),
            JobState::Problem => {
                let (reason, fix) = told(job);
                (
                    Outlook::Problem,
                    format!("{what} needs a person: {reason}"),
                    Some(format!("{fix} Then: lockstep jobs retry {}", job.id)),
                )
            }
            JobState::Held => held(job, &what),
            JobState::Completed => self.completed(job, &what, references).await?,
            JobState::Obsolete => {
                let reason = job.reason.as_deref().unwrap_or_default();
                left_alone(&what, reason, self.start().await?)
            }
            JobState::Discarded => (
                Outlook::Discarded,
                format!(
                    "{what} was given up by a person: {}",
                    job.reason.clone().unwrap_or(summary)
                ),
                Some(format!(
                    "If it is wanted after all: lockstep jobs retry {}",
                    job.id
                )),
            ),
        })
    }

    /// A job that waits: for a pause to end, a toggle, a system, a record, a time, or its turn.
    async fn waiting(&self, job: &JobRow, what: &str) -> Result<(Outlook, String, Option<String>), WhyError> {
        let shop = &self.shop.name;
        let pauses = self.store.pauses().await?;
        if let Some(pause) = pauses.iter().find(|pause| pause.shop == *shop) {
            let why = pause
                .reason
                .clone()
                .map_or_else(String::new, |why| format!(": {why}"));
            return Ok((
                Outlook::Paused,
                format!("{what} waits because {} paused {shop}{why}.", pause.actor),
                Some(format!("When it may go on: lockstep resume --shop {shop}")),
            ));
        }
        if let Some(reason) = self.store.shop_state(shop, self.now).await?.disabled {
            return Ok((
                Outlook::Paused,
                format!("{what} waits because {shop} is disabled: {reason}"),
                Some("Mend the access to the shop; `lockstep check --live` says what is missing.".to_owned()),
            ));
        }
        if self.shop.sync.toggle(Object::Order, Direction::In) == Toggle::Paused {
            return Ok((
                Outlook::Paused,
                format!("{what} waits because orders of {shop} are paused by their toggle."),
                Some(format!(
                    "Switch them on: lockstep toggle orders in on --shop {shop}"
                )),
            ));
        }
        let breakers = self.store.breakers().await?;
        let down = breakers
            .iter()
            .find(|breaker| breaker.shop == *shop && breaker.state != "closed");
        if let Some(breaker) = down {
            return Ok((
                Outlook::Queued,
                format!(
                    "{what} waits because {} of {shop} does not answer.",
                    breaker.system
                ),
                Some("Nothing: it is tried again by itself as soon as the system answers.".to_owned()),
            ));
        }
        if let Some(record) = &job.waits_on {
            return Ok((
                Outlook::Queued,
                format!("{what} waits for {record}."),
                Some(
                    "Nothing: it goes on by itself when that is done. Whether that needs a person: lockstep jobs list --problems"
                        .to_owned(),
                ),
            ));
        }
        if let (JobState::Retryable, Some(at)) = (job.state, job.run_at) {
            return Ok((
                Outlook::Queued,
                format!(
                    "{what} failed and is tried again {}: {}",
                    in_time(self.now, at),
                    job.last_summary.clone().unwrap_or_default()
                ),
                Some(format!("To try it now: lockstep jobs retry {}", job.id)),
            ));
        }
        let place = self.store.queue_place(job.id, self.now).await?;
        let (ahead, expected) = place.map_or((0, None), |place| (place.ahead, place.expected()));
        let expected = match expected {
            Some(wait) => format!(", expected {}", in_time(self.now, self.now.plus(wait))),
            None => String::new(),
        };
        Ok((
            Outlook::Queued,
            format!("{what} waits for its turn, {ahead} before it{expected}."),
            Some(format!("To have it done first: lockstep jobs ahead {}", job.id)),
        ))
    }

    async fn completed(
        &self,
        job: &JobRow,
        what: &str,
        references: &References,
    ) -> Result<(Outlook, String, Option<String>), WhyError> {
        if let Some(erp) = &references.erp {
            let by_hand = job.reason.as_deref() == Some("resolved_by_hand");
            let how = if by_hand { " by hand" } else { "" };
            return Ok((
                Outlook::Booked,
                format!("{what} is in the ERP as {}{how}.", erp.name),
                None,
            ));
        }
        let known = self
            .store
            .links(
                &self.shop.name,
                LinkKind::Order,
                std::slice::from_ref(&job.key.source_id),
            )
            .await?;
        Ok(match known.first() {
            Some(_) => (
                Outlook::Merged,
                format!("{what} was in the ERP, and its record there stands for it no more."),
                Some(format!(
                    "To book it anew: lockstep sync order {}",
                    job.key.source_id
                )),
            ),
            None => (
                Outlook::OutOfScope,
                format!(
                    "{what} was worked on and made no sales order: {}",
                    job.last_summary.clone().unwrap_or_default()
                ),
                Some(format!("What was done: lockstep jobs show {}", job.id)),
            ),
        })
    }

    async fn start(&self) -> Result<Timestamp, StoreError> {
        match self.shop.start_at {
            Some(start) => Ok(start),
            None => Ok(self
                .store
                .shop_state(&self.shop.name, self.now)
                .await?
                .first_seen_at),
        }
    }

    /// An order whose jobs are gone, and whose link is left.
    async fn of_link(&self, link: &Link) -> Result<Why, WhyError> {
        let key = JobKey {
            shop: self.shop.name.clone(),
            object: Object::Order,
            direction: Direction::In,
            source_id: link.source_id.clone(),
        };
        let references = references(self.store, self.shop, &key, (None, None)).await?;
        let name = link.erp_name.clone().unwrap_or_else(|| link.erp_id.to_string());
        let how = if link.agreed.get(BY_PERSON).is_some() {
            " by hand"
        } else {
            ""
        };
        Ok(if link.state == LinkState::Retired {
            Why {
                outlook: Outlook::Deleted,
                sentence: format!(
                    "Order {} was in the ERP as {name} until it was deleted.",
                    link.source_id
                ),
                next: None,
                job: None,
                written: None,
                references,
            }
        } else {
            Why {
                outlook: Outlook::Booked,
                sentence: format!("Order {} is in the ERP as {name}{how}.", link.source_id),
                next: None,
                job: None,
                written: None,
                references,
            }
        })
    }

    fn unknown(&self, asked: &str) -> Why {
        Why {
            outlook: Outlook::Unknown,
            sentence: format!("{} knows no order `{asked}`.", self.shop.name),
            next: Some(
                "Check the number: an order's name (#1042), Shopify's number or gid, or the ERP's number."
                    .to_owned(),
            ),
            job: None,
            written: None,
            references: References::default(),
        }
    }
}
