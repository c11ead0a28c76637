//! One attempt under way: what every flow of it shares.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};

use super::ShopContext;
use super::agree::{Agreed, Agreement, Change, Truth, decide, hash};
use super::gather::{Answers, gather};
use super::stop::{Stop, Subject};
use super::writes::Writes;
use crate::domain::{
    Canonical as _, Direction, ErpId, ExternalId, Fact, FieldValue, Link, LinkKind, Object, RecordKey, System,
};
use crate::erp::{ErpError, Row};
use crate::mapping::{FieldProblem, Mapped, MappedField, Mapping, Mappings, ShopFacts};
use crate::store::{ClaimedJob, Locked, Saved};

/// How long a job that waits for a lock or another record sleeps at most; a release wakes it at once.
const WAIT_AT_MOST: Duration = Duration::from_secs(120);

/// One attempt of one job.
pub(super) struct Flow<'a> {
    pub(super) shop: &'a ShopContext,
    pub(super) job: &'a ClaimedJob,
    pub(super) mappings: Arc<Mappings>,
    pub(super) subject: Subject,
    /// What it sends to the ERP.
    writes: &'a Writes,
    /// What was decided and written so far, for people.
    notes: Mutex<Vec<Note>>,
}

/// One thing that an attempt did or found, as the job's story shows it.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Note {
    what: &'static str,
    #[serde(flatten)]
    detail: Value,
}

impl<'a> Flow<'a> {
    pub(super) fn new(
        shop: &'a ShopContext,
        job: &'a ClaimedJob,
        mappings: Arc<Mappings>,
        subject: Subject,
        writes: &'a Writes,
    ) -> Self {
        Self {
            shop,
            job,
            mappings,
            subject,
            writes,
            notes: Mutex::default(),
        }
    }

    /// Adds to the story.
    pub(super) fn note(&self, what: &'static str, detail: Value) {
        self.notes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(Note { what, detail });
    }

    /// The story so far.
    pub(super) fn story(&self) -> Value {
        let notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        serde_json::to_value(&*notes).unwrap_or_default()
    }

    /// The mapping in force when this attempt began.
    pub(super) fn mapping(&self, object: Object, direction: Direction) -> Result<Arc<Mapping>, Stop> {
        self.mappings.get(object, direction).cloned().ok_or_else(|| {
            self.subject
                .problem(
                    "no_mapping",
                    &format!("{object}.{direction}"),
                    format!("There is no mapping {object}.{direction}.toml."),
                    "Add the mapping file, or switch this direction off, then retry.",
                )
                .into()
        })
    }

    /// What the mapping of an object reads of the shop's own record besides what is always read.
    pub(super) fn select(&self, object: Object) -> &str {
        self.mappings
            .get(object, Direction::In)
            .map_or("", |mapping| mapping.select.as_str())
    }

    /// What the mapping may read of the shop. `buyer` is the customer link's id of an order's buyer.
    pub(super) fn settings_fact(&self, buyer: Option<&str>) -> Fact {
        let settings = &self.shop.settings;
        let facts = ShopFacts {
            guest_partner: settings.guest_partner,
            buyer: buyer.map(str::to_owned),
            book_test_orders: settings.book_test_orders,
            rounding_limit: settings.rounding_limit,
            tax_tolerance: settings.tax_tolerance,
            ..self.shop.facts.clone()
        };
        facts.fact()
    }

    /// Gathers what the mapping needs and evaluates it.
    pub(super) async fn evaluate(
        &self,
        mapping: &Mapping,
        record: &Fact,
        settings: &Fact,
    ) -> Result<Mapped, Stop> {
        let answers = self.gather(mapping, record, settings).await?;
        self.mapped(mapping, record, settings, &answers)
    }

    /// The facts that the mapping needs.
    pub(super) async fn gather(
        &self,
        mapping: &Mapping,
        record: &Fact,
        settings: &Fact,
    ) -> Result<Answers, Stop> {
        let needs = mapping.needs(record, settings);
        Ok(gather(&self.shop.name, &*self.shop.store, &*self.shop.erp, &needs).await?)
    }

    /// Evaluates the mapping with the gathered facts. Fields that wait for a person hold the record.
    pub(super) fn mapped(
        &self,
        mapping: &Mapping,
        record: &Fact,
        settings: &Fact,
        answers: &Answers,
    ) -> Result<Mapped, Stop> {
        let mapped = mapping
            .evaluate(record, settings, answers)
            .map_err(|problems| self.field_problems(&problems))?;
        match mapped.held.first() {
            Some(held) => Err(Stop::Held(Box::new(held.problem(self.subject.record.as_deref())))),
            None => Ok(mapped),
        }
    }

    /// Several fields at fault make one problem: the first says what to do, the others are listed with it.
    pub(super) fn field_problems(&self, problems: &[FieldProblem]) -> Stop {
        let Some(first) = problems.first() else {
            return Stop::Stale;
        };
        let mut problem = first.problem(self.subject.record.as_deref());
        if problems.len() > 1 {
            problem.detail = json!({
                "source": first.source,
                "also": problems[1..].iter().map(|other| format!("{}: {}", other.target, other.reason)).collect::<Vec<_>>(),
            });
        }
        if problems.iter().all(|problem| problem.hold) {
            Stop::Held(Box::new(problem))
        } else {
            problem.into()
        }
    }

    /// Locks another record for the rest of this attempt, or ends the attempt to wait for it.
    pub(super) async fn lock(&self, system: System, model: &str, id: &str) -> Result<(), Stop> {
        let record = RecordKey {
            shop: self.shop.name.clone(),
            system,
            model: model.to_owned(),
            id: id.to_owned(),
        };
        match self
            .shop
            .store
            .lock(self.job.id, self.job.fence, vec![record])
            .await?
        {
            Locked::Taken => Ok(()),
            Locked::Busy(on) => Err(Stop::Wait {
                on,
                at_most: WAIT_AT_MOST,
            }),
            Locked::Stale => Err(Stop::Stale),
        }
    }

    /// Commits links in the middle of the attempt, under its fence.
    pub(super) async fn commit_links(&self, links: Vec<Link>) -> Result<(), Stop> {
        let named = links.first().map(|link| (link.kind, link.erp_id));
        match self
            .shop
            .store
            .save_links(self.job.id, self.job.fence, links)
            .await?
        {
            Saved::Done => Ok(()),
            Saved::Stale => Err(Stop::Stale),
            Saved::Conflict => {
                let (kind, erp_id) = named.unwrap_or((LinkKind::Order, ErpId(0)));
                Err(self
                    .subject
                    .problem(
                        "erp_record_linked_twice",
                        &format!("{kind}:{erp_id}"),
                        format!("The ERP record {erp_id} belongs to another {kind} of the shop already."),
                        "Decide which of the two it belongs to; merge or separate the records, then retry.",
                    )
                    .into())
            }
        }
    }

    /// Sends a write to the ERP. Every write goes through here: an attempt that ends while one is under way, or without
    /// knowing what became of it, says so.
    pub(super) async fn write<T>(&self, call: impl Future<Output = Result<T, ErpError>>) -> Result<T, Stop> {
        Ok(self.writes.send(call).await?)
    }

    /// Ends the attempt as having nothing to do; not before everything that an earlier attempt sent has taken effect.
    pub(super) fn nothing_to_do(&self, reason: &'static str) -> Stop {
        match self.job.settled_at() {
            Some(at) if at > self.shop.clock.now() => Stop::Later { at },
            _ => Stop::Obsolete(reason.into()),
        }
    }

    /// The external id of `name` within this shop.
    pub(super) fn external_id(&self, name: &str) -> Result<ExternalId, Stop> {
        ExternalId::new(&self.shop.name, name).map_err(|error| {
            self.subject
                .problem(
                    "external_id_invalid",
                    "",
                    error.to_string(),
                    "Correct the `external_id` of the mapping: it may hold letters, digits and `_` only.",
                )
                .into()
        })
    }

    /// Which of the mapped fields are to be written over what the ERP holds, and the differences for people. A field
    /// that both sides changed and that the mapping leaves to a person ends the attempt.
    pub(super) fn changes(
        &self,
        fields: &[MappedField],
        agreed: &Agreement,
        held: &Row,
    ) -> Result<Vec<(String, FieldValue)>, Stop> {
        self.look_for_a_stranger(agreed, held)?;
        let mut writes = Vec::new();
        for field in fields.iter().filter(|field| !field.create_only) {
            let now = held.fields.get(&field.target).unwrap_or(&FieldValue::Clear);
            match decide(agreed.get(&field.target), &field.value, now, field.truth.into()) {
                Change::Keep => {}
                Change::Write => writes.push((field.target.clone(), field.value.clone())),
                Change::Conflict => {
                    let mut problem = self.subject.problem(
                        "changed_on_both_sides",
                        &field.target,
                        format!(
                            "`{}` was changed on Shopify and in the ERP, differently.",
                            field.target
                        ),
                        "Make both sides hold the same value, then retry.",
                    );
                    problem.field = Some(field.target.clone());
                    problem.detail = json!({ "shopify": field.value.to_string(), "erp": now.to_string() });
                    return Err(problem.into());
                }
            }
        }
        Ok(writes)
    }

    /// An ERP that was restored or exchanged holds strangers under the numbers that we know. A record of which no single
    /// agreed value is left is taken for a stranger and not written to.
    fn look_for_a_stranger(&self, agreed: &Agreement, held: &Row) -> Result<(), Stop> {
        let known: Vec<bool> = agreed
            .iter()
            .filter_map(|(field, agreed)| Some((field, agreed.target.as_ref()?)))
            .filter_map(|(field, target)| Some(hash(held.fields.get(field)?) == *target))
            .collect();
        if known.len() < 3 || known.contains(&true) {
            return Ok(());
        }
        Err(self
            .subject
            .problem(
                "erp_record_is_a_stranger",
                "",
                format!("The ERP record {} has nothing in common with what was written to it before.", held.id),
                "Find out whether the ERP was restored or exchanged. If the record is right, discard this job and sync the record again.",
            )
            .into())
    }
}

/// What both sides agree on after a write: the wanted values, and the values as they were read back.
pub(super) fn agreement(fields: &[MappedField], read_back: Option<&Row>, before: &Agreement) -> Agreement {
    fields
        .iter()
        .map(|field| {
            let source = hash(&field.value);
            let target = match read_back {
                Some(row) => row.fields.get(&field.target).map(hash),
                None => before
                    .get(&field.target)
                    .filter(|agreed| agreed.source == source)
                    .and_then(|a| a.target.clone()),
            };
            (field.target.clone(), Agreed { source, target })
        })
        .collect()
}

/// What a link keeps as agreed.
pub(super) fn agreed_of(link: &Link) -> Agreement {
    serde_json::from_value(link.agreed.clone()).unwrap_or_default()
}

impl From<crate::mapping::Truth> for Truth {
    fn from(truth: crate::mapping::Truth) -> Self {
        match truth {
            crate::mapping::Truth::Shopify => Self::Shopify,
            crate::mapping::Truth::Erp => Self::Erp,
            crate::mapping::Truth::Hold => Self::Hold,
        }
    }
}
