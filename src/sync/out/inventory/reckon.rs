//! What is to be shown where: from the ERP's numbers and the shop's, without asking anybody.

use std::collections::BTreeMap;

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive as _;

use super::super::guard;
use super::articles::Article;
use crate::domain::{ErpId, FieldValue, ItemStock, JobId, LevelStock, Location, ShopifyId};
use crate::mapping::Truth;
use crate::sync::agree::{self, Agreed, Agreement, Change, decide};

/// A location of the shop, and the warehouse that feeds it (none: all of them).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) location: ShopifyId,
    pub(super) warehouse: Option<ErpId>,
}

/// A single location is fed by everything unless something else is said. Of several, those that the table names are fed.
pub(super) fn assign(
    locations: &[Location],
    feeds: &BTreeMap<ShopifyId, Option<ErpId>>,
) -> Result<(Vec<Place>, Vec<String>), Vec<String>> {
    let named = |location: &Location| format!("{} ({})", location.name, location.id);
    if let ([only], true) = (locations, feeds.is_empty()) {
        let place = Place {
            location: only.id,
            warehouse: None,
        };
        return Ok((vec![place], Vec::new()));
    }
    let fed = |location: &Location| {
        Some(Place {
            location: location.id,
            warehouse: *feeds.get(&location.id)?,
        })
    };
    let places: Vec<Place> = locations.iter().filter_map(fed).collect();
    let left = locations.iter().filter(|location| fed(location).is_none());
    let left: Vec<String> = left.map(named).collect();
    if places.is_empty() {
        return Err(left);
    }
    Ok((places, left))
}

/// What the mapping makes of the ERP's numbers, for each location.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    /// Which of the shop's quantities is set.
    pub(super) quantity: Quantity,
    /// Who has the last word about it.
    pub(super) truth: Truth,
    pub(super) at: Vec<(ShopifyId, i64)>,
}

impl Default for Wanted {
    fn default() -> Self {
        Self {
            quantity: Quantity::default(),
            truth: Truth::Erp,
            at: Vec::new(),
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Quantity {
    #[default]
    OnHand,
    Available,
}

impl Quantity {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::OnHand => "on_hand",
            Self::Available => "available",
        }
    }

    pub(super) const fn of(self, level: &LevelStock) -> i64 {
        match self {
            Self::OnHand => level.on_hand,
            Self::Available => level.available,
        }
    }
}

/// Whole units that can be sold: parts of one are not there yet, and fewer than none the shop does not take.
pub(super) fn units(value: &FieldValue) -> i64 {
    match value {
        FieldValue::Integer(units) => (*units).max(0),
        FieldValue::Decimal(units) => units.floor().max(Decimal::ZERO).to_i64().unwrap_or(i64::MAX),
        _ => 0,
    }
}

/// What the ERP is still to deliver of a variant to the shop's orders.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Open {
    pub(super) demanded: i64,
    pub(super) reserved: i64,
}

impl Open {
    /// What may be shown of what the ERP has.
    pub(super) fn taken_off(self, mut wanted: Wanted, held: &ItemStock, minus_open_orders: bool) -> Wanted {
        let committed: i64 = held.levels.iter().map(|level| level.committed).sum();
        // The shop has sent these already (they are committed no more), the ERP has not.
        let ahead = (self.demanded - committed).max(0);
        match wanted.quantity {
            Quantity::OnHand => {
                for (_, quantity) in &mut wanted.at {
                    *quantity = (*quantity - ahead).max(0);
                }
            }
            Quantity::Available if minus_open_orders => {
                let left = (committed.max(self.demanded) - self.reserved).max(0);
                for (location, quantity) in &mut wanted.at {
                    let here = held.levels.iter().find(|level| level.location == *location);
                    // Which of the places' units are reserved nobody knows: rather too few than too many everywhere.
                    let taken = here.map_or(0, |level| level.committed).max(0) + ahead;
                    *quantity = (*quantity - taken.min(left)).max(0);
                }
            }
            Quantity::Available => {}
        }
        wanted
    }
}

/// What is to be done, level by level.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) quantity: Quantity,
    /// To be written: with the number that the shop holds now, where it holds one.
    pub(super) sets: Vec<Set>,
    /// To rise once the orders in work are carried in.
    pub(super) waits: Vec<Waiting>,
    /// Changed on both sides, where a person decides.
    pub(super) conflicts: Vec<Level>,
    /// All levels that were looked at.
    pub(super) levels: Vec<Level>,
}

/// A quantity to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Set {
    pub(super) item: ShopifyId,
    pub(super) location: ShopifyId,
    pub(super) quantity: i64,
    pub(super) from: Option<i64>,
}

/// A level that may not rise yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Waiting {
    pub(super) item: ShopifyId,
    pub(super) location: ShopifyId,
    pub(super) quantity: i64,
    /// The job of an order that sells it.
    pub(super) order: JobId,
}

/// A level: what the ERP wants it to be, and what the shop shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Level {
    pub(super) item: ShopifyId,
    pub(super) location: ShopifyId,
    pub(super) wanted: i64,
    pub(super) shown: Option<i64>,
    /// Who has the last word.
    pub(super) truth: Truth,
}

impl Plan {
    /// Takes in what is to be done about another article.
    pub(super) fn add(&mut self, other: Self) {
        // An article without levels names no quantity.
        if !other.levels.is_empty() {
            self.quantity = other.quantity;
        }
        self.sets.extend(other.sets);
        self.waits.extend(other.waits);
        self.conflicts.extend(other.conflicts);
        self.levels.extend(other.levels);
    }

    /// What the limits on sudden change are to know.
    pub(super) fn changes(&self, articles: &[Article]) -> guard::Changes {
        let name = |set: &Set| format!("{}@{}", set.item, set.location);
        let zeroed = self
            .sets
            .iter()
            .filter(|set| set.quantity == 0 && set.from.is_some_and(|from| from > 0));
        let is_written = |article: &&Article| self.sets.iter().any(|set| set.item == article.item);
        guard::Changes {
            zeroed: zeroed.map(name).collect(),
            records: articles
                .iter()
                .filter(is_written)
                .map(|article| article.theirs.to_string())
                .collect(),
            plan: self
                .sets
                .iter()
                .map(|set| (name(set), FieldValue::Integer(set.quantity)))
                .collect(),
            ..guard::Changes::default()
        }
    }
}

/// The name under which a level is agreed on.
pub(super) fn agreed_as(quantity: Quantity, location: ShopifyId) -> String {
    format!("{}@{location}", quantity.name())
}

/// What is to be done about the levels of one article.
pub(super) fn plan(wanted: &Wanted, held: &ItemStock, known: &Agreement, in_work: Option<JobId>) -> Plan {
    let mut plan = Plan {
        quantity: wanted.quantity,
        ..Plan::default()
    };
    for &(location, quantity) in &wanted.at {
        let found = held.levels.iter().find(|level| level.location == location);
        let level = Level {
            item: held.item,
            location,
            wanted: quantity,
            shown: found.map(|level| wanted.quantity.of(level)),
            truth: wanted.truth,
        };
        plan.levels.push(level);
        match decided(&level, known.get(&agreed_as(wanted.quantity, location))) {
            Change::Keep => {}
            Change::Conflict => plan.conflicts.push(level),
            Change::Write => match in_work {
                // A location that never had any of it shows none.
                Some(order) if quantity > level.shown.unwrap_or(0) => plan.waits.push(Waiting {
                    item: held.item,
                    location,
                    quantity,
                    order,
                }),
                _ => plan.sets.push(Set {
                    item: held.item,
                    location,
                    quantity,
                    from: level.shown,
                }),
            },
        }
    }
    plan
}

/// What to do about a level. Where the ERP has the last word its number is written whenever the shop shows another one; else the
/// sides are compared with what they agreed on, as fields are.
fn decided(level: &Level, agreed: Option<&Agreed>) -> Change {
    let shown = level.shown.unwrap_or(0);
    if level.wanted == shown {
        return Change::Keep;
    }
    // A level that is there and was never set says nothing that could be kept.
    let is_blank = agreed.is_none() && shown == 0;
    if level.truth == Truth::Erp || level.shown.is_none() || is_blank {
        return Change::Write;
    }
    let truth = agree::Truth::from(level.truth).seen_from_the_erp();
    decide(
        agreed,
        &FieldValue::Integer(level.wanted),
        &FieldValue::Integer(shown),
        truth,
    )
}

impl Level {
    /// What both sides agree on about it now. `written` says that the shop shows what the ERP wants by now.
    pub(super) fn agreed(&self, before: Option<&Agreed>, written: bool) -> Agreed {
        let wanted = FieldValue::Integer(self.wanted);
        let now = if written {
            wanted.clone()
        } else {
            FieldValue::Integer(self.shown.unwrap_or(0))
        };
        let changed = before.is_some_and(|known| known.source != agree::hash(&wanted));
        // It changed and was not written: the shop's own number won.
        let given_up = !written && changed && self.truth == Truth::Shopify;
        agree::settle(before, &wanted, &now, written, false, given_up)
    }
}

#[cfg(test)]
mod tests;
