//! From what happened to notifications.
//!
//! Endpoints are asked first: what none of them wants is not made, and nothing of a record is attached that none of them gets to
//! see, but for the numbers of records that belong to it, by which it is found and removed. A record of which nothing had to be
//! done is told to endpoints that ask for that (`skipped`) only: every echo of our own writes is one.

mod reference;
#[cfg(test)]
pub(in crate::app) mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;
use tokio::sync::watch;

use self::reference::{object, object_of, related};
use crate::config::Config;
use crate::domain::{
    Carried, Changed, Direction, Entropy, FieldValue, Happened, HappenedDetail, JobKey, NewProblem, Object,
    SharedEntropy, ShopName, System, Timestamp,
};
use crate::notify::{
    ChangedValue, Detail, Endpoint, EndpointDetail, EventType, Notification, NotificationId, PaymentDetail,
    Place, ProblemNote, RefundDetail, RunDetail, ShipmentDetail, Status, SubscriptionDetail, to_json,
};
use crate::queue::{Ending, Notifier};
use crate::reconcile::{RunEnded, RunNotifier};
use crate::store::{GivenUpDeliveries, GivenUpJob, ImportRow, RunKind, RunOutcome, Verdict};

/// Who wants to know what, and what both sides of each shop are called.
#[derive(Debug, Default)]
pub struct Audience {
    endpoints: Vec<Arc<Endpoint>>,
    /// The store's permanent name and the ERP's database of each shop.
    places: BTreeMap<ShopName, (String, String)>,
}

/// What must be attached to a notification for those that want it.
#[derive(Clone, Copy, Debug, Default)]
struct Wanted {
    record: bool,
    related: bool,
    values: bool,
}

impl Audience {
    /// These endpoints, with the shops' names in the configuration, their stores and their ERPs' databases.
    pub fn new(
        endpoints: Vec<Arc<Endpoint>>,
        shops: impl IntoIterator<Item = (ShopName, (String, String))>,
    ) -> Self {
        Self {
            endpoints,
            places: shops.into_iter().collect(),
        }
    }

    /// The endpoints of a configuration.
    pub fn of(config: &Config) -> Self {
        let places = config.shops.values().map(|shop| {
            let places = (shop.shopify.domain.clone(), shop.odoo.server.database.clone());
            (shop.name.clone(), places)
        });
        Self::new(config.endpoints.clone(), places)
    }

    /// What those need that want such an event; none where nobody does.
    fn wants(&self, event: EventType, shop: Option<&ShopName>, status: Option<Status>) -> Option<Wanted> {
        let mut all: Option<Wanted> = None;
        for endpoint in &self.endpoints {
            if endpoint.wants_type(event, shop) && endpoint.wants_status(status) {
                let wanted = all.get_or_insert_default();
                wanted.record |= endpoint.reads_record(event);
                wanted.related |= endpoint.includes.related;
                wanted.values |= endpoint.includes.values;
            }
        }
        all
    }

    /// Says where what a job is about comes from and goes to.
    fn locate(&self, notification: &mut Notification, key: &JobKey) {
        let (source, destination) = match key.direction {
            Direction::In => (System::Shopify, System::Erp),
            Direction::Out => (System::Erp, System::Shopify),
        };
        let is_of_a_record = key.object != Object::Shop;
        notification.shop = Some(key.shop.clone());
        notification.direction = is_of_a_record.then_some(key.direction);
        notification.source = self.place(&key.shop, source);
        notification.destination = is_of_a_record
            .then(|| self.place(&key.shop, destination))
            .flatten();
    }

    fn place(&self, shop: &ShopName, system: System) -> Option<Place> {
        let (shopify, erp) = self.places.get(shop)?;
        let name = match system {
            System::Shopify => shopify,
            System::Erp => erp,
        };
        Some(Place {
            system,
            name: name.clone(),
        })
    }
}

/// Makes notifications for the endpoints in force.
#[derive(Clone, Debug)]
pub struct Events {
    audience: watch::Receiver<Arc<Audience>>,
    entropy: SharedEntropy,
}

impl Events {
    /// For this audience, whatever it becomes.
    pub fn new(audience: watch::Receiver<Arc<Audience>>, entropy: SharedEntropy) -> Self {
        Self { audience, entropy }
    }

    /// For the endpoints of one configuration, in a process that does not follow it.
    pub fn once(config: &Config, entropy: SharedEntropy) -> Self {
        // Its sender may go: what was sent last stays.
        let (_, audience) = watch::channel(Arc::new(Audience::of(config)));
        Self::new(audience, entropy)
    }

    /// For nobody.
    pub fn silent(entropy: SharedEntropy) -> Self {
        let (_, audience) = watch::channel(Arc::default());
        Self::new(audience, entropy)
    }

    /// A webhook subscription that is needed was gone from the shop, or is there again. As it is kept in the outbox; none where
    /// nobody wants to know.
    pub fn subscription(
        &self,
        event: EventType,
        shop: &ShopName,
        detail: SubscriptionDetail,
        at: Timestamp,
    ) -> Option<String> {
        let audience = self.now();
        audience.wants(event, Some(shop), None)?;
        let mut notification = self.bare(event, at);
        notification.source = audience.place(shop, System::Shopify);
        notification.shop = Some(shop.clone());
        written(&notification.with_detail(&Detail::Subscription(detail)))
    }

    fn now(&self) -> Arc<Audience> {
        Arc::clone(&self.audience.borrow())
    }

    fn bare(&self, event: EventType, at: Timestamp) -> Notification {
        Notification::new(NotificationId::new(&*self.entropy), event, at)
    }

    /// A notification about what an attempt was about.
    fn of_attempt(
        &self,
        audience: &Audience,
        wanted: Wanted,
        event: EventType,
        ending: &Ending<'_>,
        happened: Option<&Happened>,
    ) -> Notification {
        let about = happened
            .and_then(|happened| happened.about.as_deref())
            .or(ending.about);
        let mut notification = self.bare(event, ending.at);
        audience.locate(&mut notification, &ending.job.key);
        notification.object = object(ending, about);
        if let Some(about) = about {
            if wanted.record {
                notification.record = about.record.as_deref().map(to_json);
            }
            // Whoever is related, above all the customer, is kept with it whoever gets to see that: on a privacy request it
            // is found by them. Each endpoint's own copy goes without where it did not ask for them.
            if wanted.related || !about.related.is_empty() {
                notification.related = Some(about.related.iter().map(related).collect());
            }
        }
        notification
    }

    fn happened(&self, audience: &Audience, ending: &Ending<'_>, happened: &Happened) -> Option<String> {
        // The names are one list: a test goes through it.
        let event: EventType = happened.what.as_str().parse().ok()?;
        let status = happened.status.map(|status| match status {
            Carried::Created => Status::Created,
            Carried::Updated => Status::Updated,
            Carried::Skipped => Status::Skipped,
        });
        let wanted = audience.wants(event, Some(&ending.job.key.shop), status)?;
        let mut notification = self.of_attempt(audience, wanted, event, ending, Some(happened));
        notification.status = status;
        notification.changed = happened
            .changed
            .iter()
            .map(|changed| changed.field.clone())
            .collect();
        if wanted.values {
            notification.values = Some(happened.changed.iter().map(values).collect());
        }
        if let Some(detail) = detail(&happened.detail) {
            notification = notification.with_detail(&detail);
        }
        written(&notification)
    }

    /// What is told of the job itself. A problem is told when it is opened, with the row that says so: whoever is told finds it on
    /// the list of problems. As long as it stays open it is only seen again; another one of the same job is told.
    ///
    /// That another event came meanwhile, so that the job is tried again at once, changes nothing: the problem is open until that
    /// attempt ends well, which is told then.
    fn of_job(&self, audience: &Audience, ending: &Ending<'_>) -> Option<String> {
        let known = ending.job.problem.as_deref();
        let (event, status, problem) = match ending.verdict {
            Verdict::Problem(problem) if !is_open(known, problem) => {
                (EventType::SyncFailed, Status::Failed, Some(problem))
            }
            Verdict::Held(problem) if !is_open(known, problem) => {
                (EventType::SyncHeld, Status::Held, Some(problem))
            }
            Verdict::Completed | Verdict::Obsolete { .. } if known.is_some() => {
                (EventType::SyncRecovered, Status::Recovered, None)
            }
            Verdict::Problem(_)
            | Verdict::Held(_)
            | Verdict::Completed
            | Verdict::Obsolete { .. }
            | Verdict::Retry { .. }
            | Verdict::Wait { .. }
            | Verdict::Release => return None,
        };
        let wanted = audience.wants(event, Some(&ending.job.key.shop), Some(status))?;
        let mut notification = self.of_attempt(audience, wanted, event, ending, None);
        notification.status = Some(status);
        notification.problem = problem.map(|problem| ProblemNote::new(problem, Some(ending.job.id.0)));
        written(&notification)
    }
}

impl Notifier for Events {
    fn of(&self, ending: &Ending<'_>) -> Vec<String> {
        let audience = self.now();
        if audience.endpoints.is_empty() {
            return Vec::new();
        }
        let happened = ending.happened.iter();
        happened
            .filter_map(|happened| self.happened(&audience, ending, happened))
            .chain(self.of_job(&audience, ending))
            .collect()
    }
}

/// What is told of a job that the store made a problem by itself. Whether anybody wants it is seen when it is fanned out.
pub(super) fn given_up_job(
    audience: &Audience,
    entropy: &dyn Entropy,
    job: &GivenUpJob,
    at: Timestamp,
) -> Notification {
    let mut notification = Notification::new(NotificationId::new(entropy), EventType::SyncFailed, at);
    audience.locate(&mut notification, &job.key);
    notification.object = object_of(&job.key, job.record.as_deref());
    notification.status = Some(Status::Failed);
    notification.problem = Some(ProblemNote::new(&job.problem, Some(job.job.0)));
    notification
}

/// What others are told of an endpoint of which the store gave deliveries up by itself.
pub(super) fn given_up_deliveries(
    entropy: &dyn Entropy,
    deliveries: &GivenUpDeliveries,
    at: Timestamp,
) -> Notification {
    let detail = Detail::Endpoint(EndpointDetail {
        endpoint: deliveries.endpoint.clone(),
        since: None,
        failure: Some(deliveries.failure.clone()),
        waiting: None,
        paused: deliveries.is_paused,
    });
    Notification::new(NotificationId::new(entropy), EventType::EndpointFailing, at).with_detail(&detail)
}

/// Whether this very problem is open already.
fn is_open(known: Option<&str>, problem: &NewProblem) -> bool {
    known.is_some_and(|known| known == problem.mark())
}

/// As it is kept in the outbox.
fn written(notification: &Notification) -> Option<String> {
    match serde_json::to_string(notification) {
        Ok(text) => Some(text),
        Err(error) => {
            tracing::error!(event = %notification.event, error = %error, "a notification cannot be written down");
            None
        }
    }
}

fn values(changed: &Changed) -> ChangedValue {
    ChangedValue {
        field: changed.field.clone(),
        old: changed.old.as_ref().map_or(Value::Null, value),
        new: changed.new.as_ref().map_or(Value::Null, value),
    }
}

/// Amounts are texts, so that no digit is lost.
fn value(value: &FieldValue) -> Value {
    match value {
        FieldValue::Clear => Value::Null,
        FieldValue::Text(text) => Value::from(text.as_str()),
        FieldValue::Bool(value) => Value::from(*value),
        FieldValue::Integer(value) => Value::from(*value),
        FieldValue::Decimal(value) => Value::from(value.to_string()),
        FieldValue::Date(day) => Value::from(day.to_string()),
        FieldValue::Time(at) => Value::from(at.to_string()),
        FieldValue::Record(id) => Value::from(id.0),
        FieldValue::Records(ids) => ids.iter().map(|id| id.0).collect(),
    }
}

fn detail(detail: &HappenedDetail) -> Option<Detail> {
    Some(match detail {
        HappenedDetail::None => return None,
        HappenedDetail::Payment {
            id,
            amount,
            currency,
            gateway,
            kind,
        } => Detail::Payment(PaymentDetail {
            payment: Some(id.to_string()),
            amount: Some(*amount),
            currency: Some(currency.as_str().to_owned()),
            gateway: gateway.clone(),
            kind: Some(kind.clone()),
        }),
        HappenedDetail::Refund { id, amount, currency } => Detail::Refund(RefundDetail {
            refund: Some(id.to_string()),
            amount: Some(*amount),
            currency: Some(currency.as_str().to_owned()),
        }),
        HappenedDetail::Shipment {
            id,
            carrier,
            tracking_numbers,
            status,
        } => Detail::Shipment(ShipmentDetail {
            shipment: Some(id.to_string()),
            carrier: carrier.clone(),
            tracking_numbers: tracking_numbers.clone(),
            status: status.clone(),
        }),
    })
}

impl Events {
    /// An import has ended, with all of its records. As it is kept in the outbox.
    pub fn import_ended(&self, import: &ImportRow, at: Timestamp) -> Vec<String> {
        let detail = RunDetail {
            kind: Some("import".to_owned()),
            run: Some(import.id),
            object: Some(import.object.as_str().to_owned()),
            outcome: Some(RunOutcome::Done.as_str().to_owned()),
            // The row is as it stood before the last look at the shop's list.
            seen: import.is_listed.then_some(import.listed),
            found: None,
        };
        self.run(EventType::RunFinished, &import.shop, detail, at)
            .into_iter()
            .collect()
    }

    fn run(&self, event: EventType, shop: &ShopName, detail: RunDetail, at: Timestamp) -> Option<String> {
        let audience = self.now();
        audience.wants(event, Some(shop), None)?;
        let mut notification = self.bare(event, at);
        // Stock is the ERP's; everything else is compared with what the shop has.
        let (source, destination) = if detail.object.as_deref() == Some(Object::Inventory.as_str()) {
            (System::Erp, System::Shopify)
        } else {
            (System::Shopify, System::Erp)
        };
        notification.source = audience.place(shop, source);
        notification.destination = audience.place(shop, destination);
        notification.shop = Some(shop.clone());
        written(&notification.with_detail(&Detail::Run(detail)))
    }
}

impl RunNotifier for Events {
    fn of_run(&self, ended: &RunEnded<'_>) -> Vec<String> {
        let tell = |event| {
            let detail = RunDetail {
                kind: Some(ended.kind.as_str().to_owned()),
                run: Some(ended.run),
                object: Some(ended.object.as_str().to_owned()),
                outcome: Some(ended.outcome.as_str().to_owned()),
                seen: Some(ended.seen),
                found: ended.found,
            };
            self.run(event, ended.shop, detail, ended.at)
        };
        // What webhooks missed is carried over by jobs, which tell of it; that two sides differ is found by comparing them.
        let differs = ended.kind == RunKind::Full && ended.found.is_some_and(|found| found > 0);
        let drift = differs.then(|| tell(EventType::DriftFound)).flatten();
        tell(EventType::RunFinished).into_iter().chain(drift).collect()
    }
}
