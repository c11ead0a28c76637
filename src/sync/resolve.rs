//! Fields that both sides changed and that the mapping leaves to a person: what is shown of them, and what was chosen.
//!
//! A choice is for the values that were shown, and for nothing else: their hashes are a part of it. It is looked at only by
//! an attempt that would end in the question again. Where the kept value is the target's, the other direction carries it over:
//! its job is made, with a choice of its own for the values that this attempt found.

use std::sync::PoisonError;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::agree::{Agreement, Change, decide, hash};
use super::both::{self, truth_in};
use super::flow::{Flow, Held, agreed_of, agreed_out_of};
use super::out::held;
use super::stop::Stop;
use crate::domain::{
    Direction, ErpId, FieldValue, JobId, JobKey, Link, LinkKind, LinkState, NewProblem, Object, Outcome,
    Priority, Report, ShopifyId, Timestamp,
};
use crate::mapping::{Mapped, MappedField, Truth, VARIANTS};
use crate::store::{Noted, SharedStore, StoreError};

/// The problem's code.
pub const CHANGED_ON_BOTH_SIDES: &str = "changed_on_both_sides";

/// How long the other direction may take to carry a kept value over.
const CARRIED_WITHIN: Duration = Duration::from_hours(24);

/// Whose value is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Keep {
    /// Shopify's.
    Shopify,
    /// The ERP's.
    Erp,
}

impl Keep {
    /// The side whose changes a direction carries over.
    const fn source_of(direction: Direction) -> Self {
        match direction {
            Direction::In => Self::Shopify,
            Direction::Out => Self::Erp,
        }
    }

    const fn truth(self) -> Truth {
        match self {
            Self::Shopify => Truth::Shopify,
            Self::Erp => Truth::Erp,
        }
    }
}

/// A field that both sides changed, as a problem shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conflict {
    /// What it is a field of, for people.
    pub of: Option<String>,
    /// The field of the direction's target.
    pub field: String,
    /// What Shopify says.
    pub shopify: String,
    /// What the ERP says.
    pub erp: String,
    /// Hash of the source's value.
    source: String,
    /// Hash of the target's.
    target: String,
}

impl Conflict {
    /// A field as the direction finds it: `field` of the source, `now` in the target.
    pub(super) fn new(direction: Direction, field: &MappedField, now: &FieldValue, held: &Held) -> Self {
        let (ours, theirs) = (field.value.to_string(), now.to_string());
        let (shopify, erp) = match direction {
            Direction::In => (ours, theirs),
            Direction::Out => (theirs, ours),
        };
        let named = |name: &&str| match held.get(*name) {
            Some(FieldValue::Text(text)) if *name != &*field.target => Some(text.clone()),
            _ => None,
        };
        Self {
            of: ["sku", "default_code", "title", "name", "email"]
                .iter()
                .find_map(named),
            field: field.target.to_string(),
            shopify,
            erp,
            source: hash(&field.value),
            target: hash(now),
        }
    }

    /// Stands for this row: its field and both values. (Several variants may have the same field in the question.)
    pub fn row(&self) -> String {
        format!("{}:{}:{}", self.field, self.source, self.target)
    }
}

/// What a person chose about one field of one record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Chosen {
    field: String,
    source: String,
    target: String,
    keep: Keep,
}

/// What a person chose about a record's job.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Choice {
    /// The job that asked; a later one asks anew.
    job: Option<JobId>,
    /// Where no job asked: until when it counts.
    until: Option<Timestamp>,
    fields: Vec<Chosen>,
}

impl Choice {
    /// Gives the fields that were chosen about the last word that was chosen.
    pub(super) fn apply(&self, mapped: &mut Mapped) {
        let rows = mapped.groups.iter_mut().flat_map(|group| &mut group.rows);
        let fields = mapped
            .fields
            .iter_mut()
            .chain(rows.flat_map(|row| &mut row.fields));
        for field in fields.filter(|field| field.truth == Truth::Hold) {
            let source = hash(&field.value);
            if let Some(chosen) = self.of(&field.target, &source).next() {
                field.truth = chosen.keep.truth();
            }
        }
    }

    /// Who has the last word about these two values, if something was chosen about this value of the source. Where that
    /// was for another value of the target, it is asked anew.
    pub(super) fn about(&self, field: &MappedField, now: &FieldValue) -> Option<Truth> {
        let (source, target) = (hash(&field.value), hash(now));
        let mut about = self.of(&field.target, &source).peekable();
        about.peek()?;
        let chosen = about.find(|chosen| chosen.target == target);
        Some(chosen.map_or(Truth::Hold, |chosen| chosen.keep.truth()))
    }

    fn of<'c>(&'c self, field: &'c str, source: &'c str) -> impl Iterator<Item = &'c Chosen> {
        self.fields
            .iter()
            .filter(move |chosen| chosen.field == field && chosen.source == source)
    }

    fn name(key: &JobKey) -> String {
        format!("choice:{}:{}:{}", key.direction, key.object, key.source_id)
    }

    async fn read(store: &SharedStore, key: &JobKey) -> Result<Option<Self>, StoreError> {
        let text = store.cursor(&key.shop, &Self::name(key)).await?;
        let choice: Option<Self> = text.and_then(|text| serde_json::from_str(&text).ok());
        Ok(choice.filter(|choice| !choice.fields.is_empty()))
    }

    async fn write(&self, store: &SharedStore, key: &JobKey, now: Timestamp) -> Result<(), StoreError> {
        let Noted { name, value } = self.noted(key);
        store.set_cursor(&key.shop, &name, &value, now).await
    }

    fn noted(&self, key: &JobKey) -> Noted {
        Noted {
            name: Self::name(key),
            value: serde_json::to_string(self).unwrap_or_default(),
        }
    }
}

impl Flow<'_> {
    /// Ends the attempt where a person is to decide about fields first.
    pub(super) fn agreed(&self) -> Result<(), Stop> {
        let conflicts = self.conflicts.lock().unwrap_or_else(PoisonError::into_inner);
        match question(self, &conflicts) {
            Some(problem) => Err(problem.into()),
            None => Ok(()),
        }
    }

    /// Forgets the fields that a person is to decide about: they are looked at anew.
    pub(super) fn look_anew(&self) {
        let mut conflicts = self.conflicts.lock().unwrap_or_else(PoisonError::into_inner);
        conflicts.clear();
    }
}

/// What is to be asked about fields that both sides changed.
pub(super) fn question(flow: &Flow<'_>, conflicts: &[Conflict]) -> Option<NewProblem> {
    let first = conflicts.first()?;
    let mut names: Vec<String> = conflicts
        .iter()
        .map(|conflict| format!("`{}`", conflict.field))
        .collect();
    names.dedup();
    let others = names.len() - 1;
    let reason = match others {
        0 => format!("{} was changed on Shopify and in the ERP, differently.", names[0]),
        _ => format!(
            "{} and {others} more fields were changed on Shopify and in the ERP, differently.",
            names[0]
        ),
    };
    let job = flow.job.id;
    let fix = format!(
        "Choose whose value is kept: `lockstep jobs resolve {job} --keep shopify` or `--keep erp` (with `--field NAME` for one of several). Or make both sides hold the same value, then retry."
    );
    let mut problem = flow
        .subject
        .problem(CHANGED_ON_BOTH_SIDES, &first.field, reason, &fix);
    problem.field = Some(first.field.clone());
    problem.detail = json!({ "shopify": first.shopify, "erp": first.erp, "fields": conflicts });
    Some(problem)
}

/// Whether an attempt ended in that question.
pub(super) fn is_asked(report: &Report) -> bool {
    matches!(&report.outcome, Outcome::Problem(problem) if problem.code.0 == CHANGED_ON_BOTH_SIDES)
}

/// What was chosen about this attempt's record, if that still counts.
pub(super) async fn chosen(flow: &Flow<'_>) -> Result<Option<Choice>, Stop> {
    let now = flow.shop.clock.now();
    let choice = Choice::read(&flow.shop.store, &flow.job.key).await?;
    Ok(choice.filter(|choice| {
        choice.job.is_none_or(|job| job == flow.job.id) && choice.until.is_none_or(|until| now < until)
    }))
}

/// Why a choice was not taken.
#[derive(Debug, thiserror::Error)]
pub enum ChooseError {
    /// The problem asks for no choice.
    #[error("it does not ask whose value is kept")]
    NotAsked,
    /// The problem is about other fields.
    #[error("both sides did not change `{field}`; they changed: {}", known.join(", "))]
    NoSuchField {
        /// The field that was named.
        field: String,
        /// The fields that were changed.
        known: Vec<String>,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a person chose about the fields that a job's problem shows: about all, about one in all rows that have it (its name),
/// or about one row ([`Conflict::row`]). Returns those that the
/// choice is about, and what is to be noted for the job's next attempt; fields that were chosen about before stay chosen.
///
/// # Errors
/// When the problem asks nothing of that, or the store fails.
pub async fn choose(
    store: &SharedStore,
    (job, key, problem): (JobId, &JobKey, &NewProblem),
    keep: Keep,
    field: Option<&str>,
) -> Result<(Vec<Conflict>, Noted), ChooseError> {
    if problem.code.0 != CHANGED_ON_BOTH_SIDES {
        return Err(ChooseError::NotAsked);
    }
    let asked: Vec<Conflict> =
        serde_json::from_value(problem.detail["fields"].clone()).map_err(|_| ChooseError::NotAsked)?;
    let is_meant =
        |conflict: &&Conflict| field.is_none_or(|field| field == conflict.field || field == conflict.row());
    let meant: Vec<Conflict> = asked.iter().filter(is_meant).cloned().collect();
    if let (Some(field), true) = (field, meant.is_empty()) {
        let mut known: Vec<String> = asked.into_iter().map(|conflict| conflict.field).collect();
        known.dedup();
        return Err(ChooseError::NoSuchField {
            field: field.to_owned(),
            known,
        });
    }
    let before = Choice::read(store, key)
        .await?
        .filter(|choice| choice.job == Some(job));
    let mut choice = before.unwrap_or_default();
    choice.job = Some(job);
    let is_about = |chosen: &Chosen, conflict: &Conflict| {
        (&chosen.field, &chosen.source, &chosen.target)
            == (&conflict.field, &conflict.source, &conflict.target)
    };
    choice
        .fields
        .retain(|chosen| !meant.iter().any(|conflict| is_about(chosen, conflict)));
    choice.fields.extend(meant.iter().map(|conflict| Chosen {
        field: conflict.field.clone(),
        source: conflict.source.clone(),
        target: conflict.target.clone(),
        keep,
    }));
    Ok((meant, choice.noted(key)))
}

/// Has the other direction carry over what was kept on this one's target. To be called when everything else is done.
pub(super) async fn hand_over(flow: &Flow<'_>, choice: &Choice, report: &mut Report) -> Result<(), Stop> {
    let key = &flow.job.key;
    let kind = match key.object {
        Object::Customer => LinkKind::Customer,
        Object::Product => LinkKind::Product,
        _ => return Ok(()),
    };
    if choice.job.is_none() {
        // It was handed over to this job, and is carried out. What it kept is written: should this end not be saved, nothing
        // is left to be asked.
        let now = flow.shop.clock.now();
        Choice::default().write(&flow.shop.store, key, now).await?;
        return Ok(());
    }
    let source = Keep::source_of(key.direction);
    let keeps_target = choice.fields.iter().any(|chosen| chosen.keep != source);
    let is_carried = match key.direction {
        Direction::In => flow.is_sent_out(key.object),
        Direction::Out => flow.is_taken_in(key.object),
    };
    if !is_carried {
        // Nothing carries it over: the two sides differ from now on, as was chosen.
        if keeps_target {
            let off = match key.direction {
                Direction::In => "`out` is off: Shopify keeps its value",
                Direction::Out => "`in` is off: the ERP keeps its value",
            };
            report.summary = format!("{}; {off}", report.summary);
        }
        return Ok(());
    }
    let link = report
        .links
        .iter()
        .find(|link| link.kind == kind && link.state != LinkState::Retired);
    let Some(link) = link.cloned() else {
        return Ok(());
    };
    let Ok(ours) = link.source_id.parse::<ShopifyId>() else {
        return Ok(());
    };
    let (direction, source_id) = match key.direction {
        Direction::In => (Direction::Out, link.erp_id.to_string()),
        Direction::Out => (Direction::In, link.source_id.clone()),
    };
    let other = JobKey {
        direction,
        source_id,
        ..key.clone()
    };
    if keeps_target {
        let conflicts = match direction {
            Direction::Out => conflicts_out(flow, &link, ours, &report.links).await?,
            Direction::In => conflicts_in(flow, &link, ours, &report.links).await?,
        };
        let keep = Keep::source_of(direction);
        let fields = conflicts.into_iter().map(|conflict| Chosen {
            field: conflict.field,
            source: conflict.source,
            target: conflict.target,
            keep,
        });
        let now = flow.shop.clock.now();
        let choice = Choice {
            job: None,
            until: Some(now.plus(CARRIED_WITHIN)),
            fields: fields.collect(),
        };
        choice.write(&flow.shop.store, &other, now).await?;
    } else if direction == Direction::In {
        // The shop tells of our write by itself.
        return Ok(());
    }
    report.enqueue.push((
        other,
        Priority::LIVE,
        "a person chose whose value is kept".to_owned(),
    ));
    Ok(())
}

/// What the way out would ask about a record now.
async fn conflicts_out(
    flow: &Flow<'_>,
    link: &Link,
    ours: ShopifyId,
    links: &[Link],
) -> Result<Vec<Conflict>, Stop> {
    let source = &flow.shop.source;
    let select = flow.select(flow.job.key.object);
    if link.kind == LinkKind::Customer {
        let mapped = both::partner_out(flow, link.erp_id).await?;
        let customer = source.customer(ours, select).await?;
        let (Some(mapped), Some(customer)) = (mapped, customer) else {
            return Ok(Vec::new());
        };
        let held = held::customer(&customer);
        return Ok(conflicts(
            Direction::Out,
            &mapped.fields,
            &agreed_out_of(link),
            &held,
        ));
    }
    let mapped = both::product_out(flow, link.erp_id).await?;
    let product = source.product(ours, select).await?;
    let (Some(mapped), Some(product)) = (mapped, product) else {
        return Ok(Vec::new());
    };
    let held = held::product(&product);
    let mut all = conflicts(Direction::Out, &mapped.fields, &agreed_out_of(link), &held);
    for row in mapped.group(VARIANTS).map_or(&[][..], |group| &group.rows) {
        let of_row = |link: &&Link| link.kind == LinkKind::Variant && link.erp_id.to_string() == row.key;
        let Some(link) = links.iter().find(of_row) else {
            continue;
        };
        let mut variants = product.variants.iter();
        if let Some(variant) = variants.find(|variant| variant.id.to_string() == link.source_id) {
            let held = held::variant(variant);
            all.extend(conflicts(
                Direction::Out,
                &row.fields,
                &agreed_out_of(link),
                &held,
            ));
        }
    }
    Ok(all)
}

/// What the way in would ask about a record now.
async fn conflicts_in(
    flow: &Flow<'_>,
    link: &Link,
    ours: ShopifyId,
    links: &[Link],
) -> Result<Vec<Conflict>, Stop> {
    let source = &flow.shop.source;
    let select = flow.select(flow.job.key.object);
    let mapped = if link.kind == LinkKind::Customer {
        match source.customer(ours, select).await? {
            Some(customer) => both::customer_in(flow, &customer).await?,
            None => None,
        }
    } else {
        match source.product(ours, select).await? {
            Some(product) => both::product_in(flow, &product).await?,
            None => None,
        }
    };
    let Some(mapped) = mapped else {
        return Ok(Vec::new());
    };
    let mut all = in_record(flow, link, &mapped.fields).await?;
    for row in mapped.group(VARIANTS).map_or(&[][..], |group| &group.rows) {
        let of_row = |link: &&Link| link.kind == LinkKind::Variant && link.source_id == row.key;
        if let Some(link) = links.iter().find(of_row) {
            all.extend(in_record(flow, link, &row.fields).await?);
        }
    }
    Ok(all)
}

async fn in_record(flow: &Flow<'_>, link: &Link, fields: &[MappedField]) -> Result<Vec<Conflict>, Stop> {
    let names: Vec<String> = fields.iter().map(|field| field.target.to_string()).collect();
    let ids: [ErpId; 1] = [link.erp_id];
    let rows = flow.shop.erp.read(&link.model, &ids, &names).await?;
    let found = rows
        .first()
        .map(|row| conflicts(Direction::In, fields, &agreed_of(link), &row.fields));
    Ok(found.unwrap_or_default())
}

fn conflicts(direction: Direction, fields: &[MappedField], agreed: &Agreement, held: &Held) -> Vec<Conflict> {
    let conflict = |field: &MappedField| {
        let now = held.get(&*field.target).unwrap_or(&FieldValue::Clear);
        let truth = truth_in(direction, field);
        let change = decide(agreed.get(&*field.target), &field.value, now, truth);
        (change == Change::Conflict).then(|| Conflict::new(direction, field, now, held))
    };
    let compared = fields.iter().filter(|field| !field.create_only);
    compared.filter_map(conflict).collect()
}
