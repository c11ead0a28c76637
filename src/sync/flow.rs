//! One attempt under way: what every flow of it shares.

mod changes;
mod identity;
mod story;
mod writing;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::NaiveDate;
use serde_json::json;

use super::ShopContext;
use super::agree::Agreement;
use super::gather::{Answers, gather};
use super::imported::Before;
use super::resolve::{Choice, Conflict};
use super::resync::ResyncMark;
use super::stop::{Stop, Subject};
use super::telling::Telling;
use super::writes::Writes;
use crate::domain::{
    Canonical as _, Direction, ErpId, ExternalId, Fact, FieldValue, Fields, Link, LinkKind, Object,
    RecordKey, System, Timestamp,
};
use crate::mapping::{FieldProblem, Mapped, Mapping, Mappings, ShopFacts};
use crate::store::{ClaimedJob, Locked, Saved};

use story::Note;

/// How long a job that waits for a lock or another record sleeps at most; a release wakes it at once.
const WAIT_AT_MOST: Duration = Duration::from_secs(120);

/// Fields of a record of either side, by that side's names, as they were read.
pub(super) type Held = BTreeMap<String, FieldValue>;

/// One attempt of one job.
pub(super) struct Flow<'a> {
    pub(super) shop: &'a ShopContext,
    pub(super) job: &'a ClaimedJob,
    pub(super) mappings: Arc<Mappings>,
    pub(super) subject: Subject,
    /// What it sends to the ERP.
    writes: &'a Writes,
    /// Whether this is the second look at a record that could not be carried out: what is remembered of the ERP is then
    /// asked again, and linked records must prove that they exist.
    pub(super) distrustful: bool,
    /// The currency of the ERP's company.
    company_currency: Option<String>,
    company_country: Option<String>,
    /// How many decimals of a unit price the ERP keeps.
    price_digits: Option<u32>,
    /// What it means to write to the shop, for people where that is refused.
    meant: Mutex<Fields>,
    /// What was decided and written so far, for people.
    notes: Mutex<Vec<Note>>,
    /// Fields that both sides changed and that a person is to decide about.
    pub(super) conflicts: Mutex<Vec<Conflict>>,
    /// What a person chose about such fields.
    pub(super) choice: Option<Choice>,
    /// Where it is to leave alone what a person changed: why.
    pub(super) care: Option<ResyncMark>,
    /// What it left alone for that: the field, what stands there, and what the mapping makes of it.
    pub(super) kept: Mutex<Vec<(String, FieldValue, FieldValue)>>,
    /// Whether its record changed at its source and nobody carried that over yet, where it is to be carried over with care.
    pub(super) source_moved: AtomicBool,
    /// Why what is planned waits for a person.
    pub(super) reasons: Mutex<Vec<String>>,
    /// Whether it is carried out because a person approved of it.
    pub(super) approved: bool,
    /// Why whatever it writes to the ERP waits for a person, although its plan holds nothing: what the rehearsal cannot show is
    /// not written unasked either. Empty where nothing waits.
    pub(super) unasked: Vec<String>,
    /// Hashes of the changes that it meant to write to the shop.
    pub(super) meant_changes: Mutex<BTreeSet<String>>,
    /// Those that were planned, and approved of where that is needed; none where any may be written.
    pub(super) approved_changes: Option<BTreeSet<String>>,
    /// How things stood, where an import asked for the job.
    pub(super) imported: Option<Before>,
    /// What others are to be told of it.
    pub(super) telling: Mutex<Telling>,
}

/// What an attempt asked of the ERP before it began, for others that look at records of the same kind.
#[derive(Clone, Debug)]
pub(super) struct Learnt {
    company_currency: Option<String>,
    company_country: Option<String>,
    price_digits: Option<u32>,
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
            distrustful: false,
            company_currency: None,
            company_country: None,
            price_digits: None,
            meant: Mutex::default(),
            notes: Mutex::default(),
            conflicts: Mutex::default(),
            choice: None,
            care: None,
            kept: Mutex::default(),
            source_moved: AtomicBool::default(),
            reasons: Mutex::default(),
            approved: false,
            unasked: Vec::new(),
            meant_changes: Mutex::default(),
            approved_changes: None,
            imported: None,
            telling: Mutex::default(),
        }
    }

    /// The same attempt, to see what it would write: what it notes is its own.
    pub(super) fn rehearsed(&self, writes: &'a Writes) -> Self {
        Self {
            distrustful: self.distrustful,
            company_currency: self.company_currency.clone(),
            company_country: self.company_country.clone(),
            price_digits: self.price_digits,
            choice: self.choice.clone(),
            care: self.care.clone(),
            ..Self::new(
                self.shop,
                self.job,
                Arc::clone(&self.mappings),
                self.subject.clone(),
                writes,
            )
        }
    }

    /// How many decimals of a unit price the ERP keeps; none where it keeps all.
    pub(super) fn price_digits(&self) -> Option<u32> {
        self.price_digits
    }

    /// The currency of the ERP's company; none where the ERP does not say.
    pub(super) fn company_currency(&self) -> Option<&str> {
        self.company_currency.as_deref()
    }

    /// Whether it changed anything on either side.
    pub(super) fn wrote(&self) -> bool {
        self.writes.were_sent()
    }

    /// The mapping in force when this attempt began.
    pub(super) fn mapping(&self, object: Object, direction: Direction) -> Result<Arc<Mapping>, Stop> {
        let shop = self.shop.name.as_str();
        self.mappings
            .of_shop(shop, object, direction)
            .cloned()
            .ok_or_else(|| {
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
            .of_shop(self.shop.name.as_str(), object, Direction::In)
            .map_or("", |mapping| mapping.select.as_str())
    }

    /// Asks the ERP for what mappings may read of the shop.
    pub(super) async fn learn(&mut self) -> Result<(), Stop> {
        self.company_currency = self.shop.erp.company_currency().await?;
        // What the way back makes of a partner is worked out on the way in, too.
        let key = &self.job.key;
        if self.is_sent_out(Object::Customer)
            || (key.object == Object::Customer && key.direction == Direction::Out)
        {
            self.company_country = self.shop.erp.company_country().await?;
        }
        if self.job.key.object == Object::Order {
            self.price_digits = self.shop.erp.price_digits().await?;
        }
        Ok(())
    }

    /// What it learnt.
    pub(super) fn learnt(&self) -> Learnt {
        Learnt {
            company_currency: self.company_currency.clone(),
            company_country: self.company_country.clone(),
            price_digits: self.price_digits,
        }
    }

    /// Takes over what was learnt before.
    pub(super) fn knows(&mut self, learnt: Learnt) {
        self.company_currency = learnt.company_currency;
        self.company_country = learnt.company_country;
        self.price_digits = learnt.price_digits;
    }

    /// The day of a moment, in the shop's time zone.
    pub(super) fn day(&self, at: Timestamp) -> NaiveDate {
        at.to_utc()
            .with_timezone(&self.shop.settings.time_zone)
            .date_naive()
    }

    /// What the mapping may read of the shop. `buyer` is the customer link's id of an order's buyer.
    pub(super) fn settings_fact(&self, buyer: Option<&str>) -> Fact {
        let settings = &self.shop.settings;
        let facts = ShopFacts {
            admin_url: format!("https://{}/admin", self.shop.domain),
            guest_partner: settings.guest_partner,
            buyer: buyer.map(str::to_owned),
            book_test_orders: settings.book_test_orders,
            rounding_limit: settings.rounding_limit,
            company_currency: self.company_currency.clone(),
            company_country: self.company_country.clone(),
            price_digits: self.price_digits,
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
        self.mapped(mapping, record, settings, &answers).await
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

    /// Evaluates the mapping with the gathered facts. Fields that wait for a person hold the record; optional ones that the
    /// ERP does not have are left out.
    pub(super) async fn mapped(
        &self,
        mapping: &Mapping,
        record: &Fact,
        settings: &Fact,
        answers: &Answers,
    ) -> Result<Mapped, Stop> {
        let mut mapped = mapping
            .evaluate(record, settings, answers)
            .map_err(|problems| self.field_problems(&problems))?;
        if let Some(held) = mapped.held.first() {
            return Err(Stop::Held(Box::new(held.problem(self.subject.record.as_deref()))));
        }
        for (model, target) in mapping.optional_fields() {
            if self.shop.erp.fields(model).await?.0.contains_key(target) {
                continue;
            }
            if mapped.model == model {
                mapped.fields.retain(|field| *field.target != *target);
            }
            let rows = mapped.groups.iter_mut().filter(|group| group.model == model);
            for row in rows.flat_map(|group| &mut group.rows) {
                row.fields.retain(|field| *field.target != *target);
            }
        }
        if let Some(choice) = &self.choice {
            choice.apply(&mut mapped);
        }
        Ok(mapped)
    }

    /// Several fields at fault make one problem: the first says what to do, the others are listed with it.
    pub(super) fn field_problems(&self, problems: &[FieldProblem]) -> Stop {
        let Some(first) = problems.first() else {
            return Stop::Stale;
        };
        let mut problem = first.problem(self.subject.record.as_deref());
        if problems.len() > 1 {
            problem.detail["also"] = json!(
                problems[1..]
                    .iter()
                    .map(|other| format!("{}: {}", other.target, other.reason))
                    .collect::<Vec<_>>()
            );
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
        let own = links.iter().find(|link| self.is_own_order(link)).cloned();
        match self
            .shop
            .store
            .save_links(self.job.id, self.job.fence, links)
            .await?
        {
            Saved::Done => {
                if let Some(link) = own {
                    self.has_linked(link);
                }
                Ok(())
            }
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

    /// Whether changes of an object in the ERP are brought to the shop.
    pub(super) fn is_sent_out(&self, object: Object) -> bool {
        self.shop.out.contains(&object)
    }

    /// Whether changes of an object on the shop are brought to the ERP.
    pub(super) fn is_taken_in(&self, object: Object) -> bool {
        !self.shop.not_in.contains(&object)
    }

    /// Ends the attempt without saving what was agreed on, to start over at once.
    pub(super) fn look_again(&self) -> Stop {
        self.note("edited_meanwhile", serde_json::json!({}));
        Stop::Later {
            at: self.shop.clock.now(),
        }
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
}

/// What a link keeps as agreed on the way out.
pub(super) fn agreed_out_of(link: &Link) -> Agreement {
    serde_json::from_value(link.agreed_out.clone()).unwrap_or_default()
}

/// What a link keeps as agreed.
pub(super) fn agreed_of(link: &Link) -> Agreement {
    serde_json::from_value(link.agreed.clone()).unwrap_or_default()
}
