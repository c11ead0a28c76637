//! Limits on sudden change: a bad import in the ERP must not empty the shop.
//!
//! Writes to the shop are counted by record. Where more records would change within a short time than is usual, a price
//! jumps, or many levels become none, nothing more of that object is written: the jobs are held together as one problem until a
//! person approves or rejects them. What is held stays held however long it takes: time alone is no approval.

use std::num::NonZeroU64;
use std::time::Duration;

use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::domain::{FieldValue, Fields, JobKey, LinkKind, NewProblem, Object, ShopName, Timestamp};
use crate::store::{Noted, Store, StoreError};
use crate::sync::agree::{append_content, hash};
use crate::sync::flow::Flow;
use crate::sync::stop::Stop;

/// The code of the problem.
pub const SUDDEN_CHANGE: &str = "sudden_change";

/// `[shops.NAME.limits]`: how much the ERP may change on the shop within ten minutes before a person is asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Part of the linked records of an object, in percent; never fewer than 20 records.
    pub records_percent: NonZeroU64,
    /// How far one price may move, in percent of what the shop shows.
    pub price_percent: NonZeroU64,
    /// Levels that become none.
    pub levels_to_zero: NonZeroU64,
}

impl Default for Limits {
    fn default() -> Self {
        let number = |n| NonZeroU64::new(n).unwrap_or(NonZeroU64::MIN);
        Self {
            records_percent: number(5),
            price_percent: number(50),
            levels_to_zero: number(20),
        }
    }
}

/// The time over which is counted.
const WINDOW: Duration = Duration::from_mins(10);

/// So many records may always change: a small catalogue has no five percent to speak of.
const ALWAYS: u64 = 20;

/// What one job is going to change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::sync) struct Changes {
    /// Prices: what the shop shows, and what it is to show.
    pub(in crate::sync) prices: Vec<(Decimal, Decimal)>,
    /// The records that change; none where it is the job's own.
    pub(in crate::sync) records: Vec<String>,
    /// Levels that become none, by a name that tells them apart.
    pub(in crate::sync) zeroed: Vec<String>,
    /// All that is to be written, by name: what a person approves of.
    pub(in crate::sync) plan: Fields,
}

impl Changes {
    /// These fields of one record.
    pub(in crate::sync) fn of(fields: &Fields) -> Self {
        Self {
            plan: fields.clone(),
            ..Self::default()
        }
    }

    /// What an approval names.
    fn hash(&self) -> String {
        let mut text = String::new();
        for (name, value) in &self.plan {
            text.push_str(name);
            append_content(&mut text, value);
            text.push('\n');
        }
        for level in &self.zeroed {
            text.push_str(level);
        }
        hash(&FieldValue::Text(text))
    }
}

/// Passes, or holds the job. To be called before the first write of a record.
pub(in crate::sync) async fn pass(flow: &Flow<'_>, changes: &Changes) -> Result<(), Stop> {
    flow.agreed()?;
    flow.means_to_write(&changes.plan);
    let shop = flow.shop;
    let key = &flow.job.key;
    let now = shop.clock.now();
    let plan = changes.hash();
    flow.changes_as_approved(&plan)?;
    let state = LimitState::read(&*shop.store, &shop.name, key.object).await?;
    let reason = match state {
        LimitState::Closed { .. } => Some("others like it wait for a person".to_owned()),
        LimitState::Open => exceeds(flow, changes, now.minus(WINDOW), true).await?,
        // Who asks for everything approves of many changes, and of nothing else.
        LimitState::Pushing { until } => {
            let counts = flow.job.wanted_since > until;
            exceeds(flow, changes, now.minus(WINDOW), counts).await?
        }
    };
    if let Some(reason) = reason {
        if is_approved(flow, &plan).await? {
            // What a person approved of does not count against what comes after.
            return Ok(());
        }
        if !matches!(state, LimitState::Closed { .. }) {
            LimitState::Closed { since: now }
                .write(&*shop.store, &shop.name, key.object, now)
                .await?;
        }
        let mut problem = flow.subject.problem(
            SUDDEN_CHANGE,
            key.object.as_str(),
            format!("The ERP wants to change unusually much on the shop: {reason}."),
            "Look at what changed in the ERP. If it is right: `lockstep jobs approve --shop SHOP --object OBJECT`. If not: correct it in the ERP, then `lockstep jobs reject` with the same options.",
        );
        problem.detail = json!({ "reason": reason, "plan": plan });
        return Err(Stop::Held(Box::new(problem)));
    }
    let store = &shop.store;
    for record in records(flow, changes) {
        store
            .note_out_write(&shop.name, key.object, "write", record, now)
            .await?;
    }
    for level in &changes.zeroed {
        store
            .note_out_write(&shop.name, key.object, "zero", level, now)
            .await?;
    }
    Ok(())
}

/// The records that a job changes.
fn records<'a>(flow: &'a Flow<'_>, changes: &'a Changes) -> Vec<&'a str> {
    if changes.records.is_empty() {
        return vec![&flow.job.key.source_id];
    }
    changes.records.iter().map(String::as_str).collect()
}

/// The named position of the plan of a record that a person approved of.
fn approval(object: Object, record: &str) -> String {
    format!("approved:{object}:{record}")
}

/// Whether a person approved of exactly this.
async fn is_approved(flow: &Flow<'_>, plan: &str) -> Result<bool, Stop> {
    let key = &flow.job.key;
    let name = approval(key.object, &key.source_id);
    let approved = flow.shop.store.cursor(&flow.shop.name, &name).await?;
    Ok(approved.as_deref() == Some(plan))
}

/// What is noted when a person approves of the plan with which a job was held. Another plan of the same record is not
/// approved by it.
pub fn approval_of(key: &JobKey, problem: &NewProblem) -> Noted {
    Noted {
        name: approval(key.object, &key.source_id),
        value: problem.detail["plan"].as_str().unwrap_or_default().to_owned(),
    }
}

/// What is exceeded, in words; none when nothing is.
async fn exceeds(
    flow: &Flow<'_>,
    changes: &Changes,
    since: Timestamp,
    counts: bool,
) -> Result<Option<String>, Stop> {
    let shop = flow.shop;
    let limits = &shop.settings.limits;
    let object = flow.job.key.object;
    if let Some((from, to)) = changes.prices.iter().find(|(from, to)| jumps(*from, *to, limits)) {
        return Ok(Some(format!("a price would move from {from} to {to}")));
    }
    let store = &shop.store;
    if !changes.zeroed.is_empty() {
        let levels = changes.zeroed.len() as u64;
        let mut before = store
            .out_writes_since(&shop.name, object, "zero", "", since)
            .await?;
        if before + levels > limits.levels_to_zero.get() {
            let own: Vec<&str> = changes.zeroed.iter().map(String::as_str).collect();
            before = of_others(flow, "zero", &own, since, before).await?;
        }
        let all = before + levels;
        if all > limits.levels_to_zero.get() {
            return Ok(Some(format!(
                "{all} stock levels would become none within ten minutes"
            )));
        }
    }
    if !counts {
        return Ok(None);
    }
    let records = records(flow, changes);
    let own = records.len() as u64;
    let mut before = store
        .out_writes_since(&shop.name, object, "write", "", since)
        .await?;
    if before + own <= ALWAYS {
        return Ok(None);
    }
    let linked = store.count_links(&shop.name, link_kind(object)).await?;
    let most = (linked.saturating_mul(limits.records_percent.get()) / 100).max(ALWAYS);
    if before + own <= most {
        return Ok(None);
    }
    before = of_others(flow, "write", &records, since, before).await?;
    // A product with many variants is one thing that somebody did: alone it is nothing sudden.
    if before == 0 || before + own <= most {
        return Ok(None);
    }
    Ok(Some(format!(
        "more than {most} of {linked} records within ten minutes"
    )))
}

/// How many of `all` that were noted are not the job's own: those that it wrote a moment ago already, in an earlier attempt or
/// before numbers were read anew, are no others.
async fn of_others(
    flow: &Flow<'_>,
    kind: &str,
    own: &[&str],
    since: Timestamp,
    all: u64,
) -> Result<u64, Stop> {
    let (shop, object) = (flow.shop, flow.job.key.object);
    let mut before = all;
    for &name in own {
        let others = shop
            .store
            .out_writes_since(&shop.name, object, kind, name, since)
            .await?;
        before = before.saturating_sub(all.saturating_sub(others));
    }
    Ok(before)
}

const fn link_kind(object: Object) -> LinkKind {
    match object {
        Object::Customer => LinkKind::Customer,
        Object::Inventory => LinkKind::Variant,
        Object::Product | Object::Order | Object::Shop => LinkKind::Product,
    }
}

/// Whether a price moves further than it may. One that the shop did not have yet does not move.
fn jumps(from: Decimal, to: Decimal, limits: &Limits) -> bool {
    if from.is_zero() {
        return false;
    }
    let moved = (to - from).abs() * Decimal::ONE_HUNDRED;
    moved > from.abs() * Decimal::from(limits.price_percent.get())
}

/// How it stands with the changes of one object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitState {
    /// Within the limits so far.
    Open,
    /// Held until a person decides.
    Closed {
        /// Since when.
        since: Timestamp,
    },
    /// A person asked for everything: of what was wanted by then any number may change.
    Pushing {
        /// What is wanted later is counted again.
        until: Timestamp,
    },
}

impl LimitState {
    fn cursor(object: Object) -> String {
        format!("limits:{object}")
    }

    /// As the store has it.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn read(store: &dyn Store, shop: &ShopName, object: Object) -> Result<Self, StoreError> {
        let text = store.cursor(shop, &Self::cursor(object)).await?;
        let parsed = text.as_deref().and_then(|text| {
            let (what, at) = text.split_once(' ')?;
            let at = Timestamp::from_millis(at.parse().ok()?);
            match what {
                "closed" => Some(Self::Closed { since: at }),
                "pushing" => Some(Self::Pushing { until: at }),
                _ => None,
            }
        });
        Ok(parsed.unwrap_or(Self::Open))
    }

    /// Remembers it.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn write(
        self,
        store: &dyn Store,
        shop: &ShopName,
        object: Object,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let Noted { name, value } = self.noted(object);
        store.set_cursor(shop, &name, &value, now).await
    }

    /// How it is noted.
    pub fn noted(self, object: Object) -> Noted {
        Noted {
            name: Self::cursor(object),
            value: match self {
                Self::Open => "open".to_owned(),
                Self::Closed { since } => format!("closed {}", since.millis()),
                Self::Pushing { until } => format!("pushing {}", until.millis()),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_may_move_by_half_and_no_further() {
        let limits = Limits::default();
        for (from, to, expected) in [
            ("10.00", "15.00", false),
            ("10.00", "15.01", true),
            ("10.00", "5.00", false),
            ("10.00", "4.99", true),
            ("10.00", "0", true),
            ("0", "1", false),
            ("0", "0", false),
        ] {
            let (from, to): (Decimal, Decimal) = (from.parse().unwrap(), to.parse().unwrap());
            assert_eq!(jumps(from, to, &limits), expected, "{from} to {to}");
        }
    }
}
