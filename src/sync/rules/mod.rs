//! A shop's rules: which records are carried over at all (scope), and which plans wait for a person (review).
//!
//! Rules are conditions of the mappings' language about one record, checked when the configuration is read. A record that is out
//! of scope is recorded as such and left alone; a plan that waits is kept with its job until somebody approves of it
//! ([`super::review`]).

mod settings;
mod trial;

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;

use super::flow::Flow;
use super::stop::Stop;
use crate::domain::{Direction, Fact, Object, Order};
use crate::mapping::{Condition, ConditionError};

pub use settings::{FirstTime, ReviewSettings, RuleTexts, ScopeSettings};
pub use trial::{Ruling, Series};

/// Why a record is left alone that is out of scope.
pub const OUT_OF_SCOPE: &str = "out_of_scope";

/// What is declared about one object in one direction.
type ByLane<T> = BTreeMap<(Object, Direction), T>;

/// Everything that a shop declares about scope and review, ready for use.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    scope: ByLane<Condition>,
    review: ByLane<Condition>,
    first_time: BTreeSet<FirstTime>,
    manual: ByLane<Manual>,
}

/// Every plan of a lane waits for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manual {
    /// Who looks at the plans.
    pub owner: String,
    /// The last day for which it is meant. Nothing ends then by itself: people are reminded.
    pub until: NaiveDate,
}

/// A rule that cannot be used.
#[derive(Debug)]
pub struct RuleError {
    /// Its place in the shop's section, e.g. `scope`, `orders`, `in`.
    pub path: [&'static str; 3],
    /// What is wrong with it.
    pub error: ConditionError,
}

impl Rules {
    /// Checks what a shop's sections `scope` and `review` say. Every rule that is wrong is told.
    ///
    /// # Errors
    /// With all of them.
    pub fn new(scope: &ScopeSettings, review: &ReviewSettings) -> Result<Self, Vec<RuleError>> {
        let mut errors = Vec::new();
        let rules = Self {
            scope: compiled("scope", &scope.texts(), &mut errors),
            review: compiled("review", &review.texts(), &mut errors),
            first_time: review.first_time.iter().copied().collect(),
            manual: BTreeMap::new(),
        };
        if errors.is_empty() { Ok(rules) } else { Err(errors) }
    }

    /// Every plan of this lane waits from now on.
    pub fn review_all(&mut self, object: Object, direction: Direction, manual: Manual) {
        self.manual.insert((object, direction), manual);
    }

    /// The lanes of which every plan waits.
    pub fn reviewed(&self) -> impl Iterator<Item = (Object, Direction, &Manual)> {
        self.manual
            .iter()
            .map(|((object, direction), manual)| (*object, *direction, manual))
    }

    /// Whether anything is declared about scope or review of these records.
    pub fn concern(&self, object: Object, direction: Direction) -> bool {
        self.scope.contains_key(&(object, direction)) || self.may_hold(object, direction)
    }

    /// Whether plans of this lane may have to wait.
    pub(super) fn may_hold(&self, object: Object, direction: Direction) -> bool {
        let lane = (object, direction);
        self.manual.contains_key(&lane)
            || self.review.contains_key(&lane)
            || (lane == (Object::Order, Direction::In) && !self.first_time.is_empty())
    }

    /// The rule by which a record is carried over.
    pub(super) fn scope(&self, object: Object, direction: Direction) -> Option<&Condition> {
        self.scope.get(&(object, direction))
    }

    /// The rule by which its plan waits.
    pub(super) fn review(&self, object: Object, direction: Direction) -> Option<&Condition> {
        self.review.get(&(object, direction))
    }

    /// The values that are to be looked at when they come for the first time.
    pub(super) fn first_time(&self) -> &BTreeSet<FirstTime> {
        &self.first_time
    }

    /// Whose plans all wait.
    pub(super) fn manual(&self, object: Object, direction: Direction) -> Option<&Manual> {
        self.manual.get(&(object, direction))
    }
}

fn compiled(
    section: &'static str,
    texts: &[(&'static str, Object, &RuleTexts)],
    errors: &mut Vec<RuleError>,
) -> ByLane<Condition> {
    let mut conditions = ByLane::new();
    for (name, object, texts) in texts {
        for (key, direction, text) in [
            ("in", Direction::In, &texts.inward),
            ("out", Direction::Out, &texts.outward),
        ] {
            let Some(text) = text else { continue };
            match Condition::new(text, *object, direction) {
                Ok(condition) => {
                    conditions.insert((*object, direction), condition);
                }
                Err(error) => errors.push(RuleError {
                    path: [section, name, key],
                    error,
                }),
            }
        }
    }
    conditions
}

/// What of an order may be seen for the first time: the kind, and the value as people know it.
pub(super) fn values_of(order: &Order) -> Vec<(FirstTime, String)> {
    let mut values: Vec<(FirstTime, String)> = order
        .gateways
        .iter()
        .map(|gateway| (FirstTime::Gateway, gateway.clone()))
        .collect();
    let country = [&order.shipping_address, &order.billing_address]
        .into_iter()
        .flatten()
        .find_map(|address| address.country_code.clone());
    values.extend(country.map(|country| (FirstTime::Country, country)));
    values.extend(
        order
            .retail_location
            .clone()
            .map(|location| (FirstTime::Location, location)),
    );
    values.retain(|(_, value)| !value.trim().is_empty());
    values
}

/// The named position that says that a value was seen.
fn seen(kind: FirstTime, value: &str) -> String {
    format!("seen:{kind}:{value}")
}

impl Flow<'_> {
    /// Ends the attempt where the record is not one that the shop wants carried over.
    pub(super) fn in_scope(&self, record: &Fact) -> Result<(), Stop> {
        let key = &self.job.key;
        let Some(rule) = self.shop.rules.scope(key.object, key.direction) else {
            return Ok(());
        };
        if self.rule_holds("scope", rule, record)? {
            return Ok(());
        }
        self.note_anew(OUT_OF_SCOPE, serde_json::json!({ "rule": rule.text() }));
        Err(self.nothing_to_do(OUT_OF_SCOPE))
    }

    /// As [`Self::in_scope`], and notes whether the plan for it is to wait.
    pub(super) fn judge(&self, record: &Fact) -> Result<(), Stop> {
        self.in_scope(record)?;
        let key = &self.job.key;
        if let Some(rule) = self.shop.rules.review(key.object, key.direction)
            && self.rule_holds("review", rule, record)?
        {
            self.waits_because(format!("the shop's rule says so: {}", rule.text()));
        }
        Ok(())
    }

    /// Notes whether the plan for an order is to wait.
    pub(super) async fn review_order(&self, order: &Order, record: &Fact) -> Result<(), Stop> {
        if let Some(rule) = self.shop.rules.review(Object::Order, Direction::In)
            && self.rule_holds("review", rule, record)?
        {
            self.waits_because(format!("the shop's rule says so: {}", rule.text()));
        }
        for (kind, value) in self.first_seen(order).await? {
            self.waits_because(trial::first_time(kind, &value));
        }
        Ok(())
    }

    /// Whether a job asked for this attempt, and not somebody who only looks.
    pub(super) fn is_claimed(&self) -> bool {
        self.job.id != crate::domain::JobId(0)
    }

    /// Why what is planned waits for a person, as far as is known by now.
    pub(super) fn reasons_to_wait(&self) -> Vec<String> {
        let reasons = self.reasons.lock();
        reasons.unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    fn waits_because(&self, reason: String) {
        let mut reasons = self
            .reasons
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if !reasons.contains(&reason) {
            reasons.push(reason);
        }
    }

    /// Whether a rule holds for a record.
    fn rule_holds(&self, section: &str, rule: &Condition, record: &Fact) -> Result<bool, Stop> {
        rule.holds(record, &self.settings_fact(None)).map_err(|reason| {
            let mut problem = self.subject.problem(
                "rule_failed",
                &format!("{section}.{}.{}", self.job.key.object, self.job.key.direction),
                format!(
                    "The rule `{}` cannot be worked out for this record: {reason}.",
                    rule.text()
                ),
                "Correct the value on the record, or the rule in the configuration, then retry.",
            );
            problem.mapping = None;
            problem.field = Some(section.to_owned());
            problem.into()
        })
    }

    /// The values of an order that are to be looked at, because none with them was ever carried over.
    pub(super) async fn first_seen(&self, order: &Order) -> Result<Vec<(FirstTime, String)>, Stop> {
        let watched = self.shop.rules.first_time();
        let mut first = Vec::new();
        for (kind, value) in values_of(order) {
            if watched.contains(&kind) && !self.was_seen(kind, &value).await? {
                first.push((kind, value));
            }
        }
        Ok(first)
    }

    async fn was_seen(&self, kind: FirstTime, value: &str) -> Result<bool, Stop> {
        let shop = self.shop;
        if shop.seen.has(&seen(kind, value)) {
            return Ok(true);
        }
        Ok(shop.store.cursor(&shop.name, &seen(kind, value)).await?.is_some())
    }

    /// Remembers what of an order was carried over, whether a rule asks for it now or only later.
    pub(super) async fn note_seen(&self, order: &Order) -> Result<(), Stop> {
        let shop = self.shop;
        for (kind, value) in values_of(order) {
            let name = seen(kind, &value);
            if shop.seen.has(&name) {
                continue;
            }
            if shop.store.cursor(&shop.name, &name).await?.is_none() {
                let order = order.id.to_string();
                shop.store
                    .set_cursor(&shop.name, &name, &order, shop.clock.now())
                    .await?;
            }
            shop.seen.add(name);
        }
        Ok(())
    }
}

/// Values that this process knows to be known, so that the store is not asked for them with every order.
#[derive(Clone, Debug, Default)]
pub struct Seen(std::sync::Arc<std::sync::Mutex<BTreeSet<String>>>);

/// So many are remembered; what is more is asked of the store each time.
const MOST_REMEMBERED: usize = 1_000;

impl Seen {
    fn has(&self, name: &str) -> bool {
        let known = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        known.contains(name)
    }

    fn add(&self, name: String) {
        let mut known = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if known.len() < MOST_REMEMBERED {
            known.insert(name);
        }
    }
}
