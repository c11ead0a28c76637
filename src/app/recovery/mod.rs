//! The recovery plan: what happens when the ERP, Shopify or lockstep itself is down for an hour, a day or a weekend, and what
//! people do about it.
//!
//! Every number is this installation's own: patience and schedules are those of its configuration, what would wait is reckoned
//! from what came in such a time before (`habit`). Where nothing was measured the plan says so. What Shopify does is told as its
//! documentation and its staff tell it. Nothing is asked of either system, so that the plan can be read while one is down.

mod habit;
mod owners;
mod runs;
mod text;
mod words;

#[cfg(test)]
mod tests;

use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;

use crate::config::{Config, Shop};
use crate::domain::{ShopName, Timestamp};
use crate::mapping::Mappings;
use crate::store::{SharedStore, StoreError};

pub use habit::{Amount, Basis, Measured, Waiting};
pub use owners::OwnerLine;

use habit::Habit;

/// The plan of all shops, or of one.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Recovery {
    /// The time of this plan.
    pub now: Timestamp,
    /// Each shop's.
    pub shops: Vec<ShopRecovery>,
}

/// A shop's plan.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct ShopRecovery {
    /// Its name.
    pub shop: ShopName,
    /// Whose clocks weekends are meant by.
    pub time_zone: String,
    /// What was measured.
    pub measured: Measured,
    /// How patiently a single record's failure is tried again.
    pub retries: Retries,
    /// What is never lost, whatever is down.
    pub never_lost: Vec<String>,
    /// What may be down.
    pub outages: Vec<Outage>,
    /// Who looks after what needs a person.
    pub owners: Vec<OwnerLine>,
}

/// How patiently a job is tried again that fails for a reason of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Retries {
    /// Attempts before it needs a person.
    pub attempts: u32,
    /// All waits between them come to this at least, in milliseconds.
    pub least_ms: u64,
    /// And to this at most.
    pub most_ms: u64,
}

/// What may be down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Down {
    /// The ERP.
    Erp,
    /// Shopify's API.
    Shopify,
    /// lockstep, all of its nodes.
    Lockstep,
}

impl Down {
    const ALL: [Self; 3] = [Self::Erp, Self::Shopify, Self::Lockstep];

    /// For people.
    pub fn title(self) -> &'static str {
        match self {
            Self::Erp => "The ERP is down",
            Self::Shopify => "Shopify is down",
            Self::Lockstep => "lockstep is down",
        }
    }
}

/// For how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Length {
    /// One hour.
    Hour,
    /// 24 hours.
    Day,
    /// From Friday, 18:00, to Monday, 8:00, by the shop's clocks.
    Weekend,
}

impl Length {
    const ALL: [Self; 3] = [Self::Hour, Self::Day, Self::Weekend];

    /// For people.
    pub fn words(self) -> &'static str {
        match self {
            Self::Hour => "For an hour",
            Self::Day => "For a day",
            Self::Weekend => "For a weekend",
        }
    }

    fn hours(self) -> u32 {
        match self {
            Self::Hour => 1,
            Self::Day => 24,
            Self::Weekend => 62,
        }
    }

    fn time(self) -> Duration {
        Duration::from_secs(3600) * self.hours()
    }
}

/// What happens while something is down, and what to do.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Outage {
    /// What is down.
    pub down: Down,
    /// What happens, however long it lasts.
    pub happens: Vec<String>,
    /// What comes of its length.
    pub lengths: Vec<AfterLength>,
    /// What to do, in this order.
    pub to_do: Vec<Step>,
}

/// What comes of an outage's length.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct AfterLength {
    /// How long it lasts.
    pub length: Length,
    /// What waits then.
    pub waiting: Waiting,
    /// What becomes of it.
    pub then: Vec<String>,
}

/// Something to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Step {
    /// When, or why.
    pub why: String,
    /// The command, where there is one.
    pub command: Option<String>,
}

/// The plan.
///
/// # Errors
/// When the store fails.
pub async fn recovery(
    config: &Config,
    mappings: &Mappings,
    store: &SharedStore,
    only: Option<&ShopName>,
    now: Timestamp,
) -> Result<Recovery, StoreError> {
    let mut shops = Vec::new();
    for shop in config.shops.values() {
        if only.is_none_or(|only| *only == shop.name) {
            let habit = Habit::read(store, shop, now).await?;
            shops.push(of_shop(config, mappings, shop, &habit, now));
        }
    }
    Ok(Recovery { now, shops })
}

fn of_shop(config: &Config, mappings: &Mappings, shop: &Shop, habit: &Habit, now: Timestamp) -> ShopRecovery {
    let told = words::Told::new(config, shop, now);
    ShopRecovery {
        shop: shop.name.clone(),
        time_zone: shop.time_zone.to_string(),
        measured: habit.measured(),
        retries: retries(config),
        never_lost: told.never_lost(),
        outages: Down::ALL
            .into_iter()
            .map(|down| Outage {
                down,
                happens: told.happens(down),
                lengths: Length::ALL
                    .into_iter()
                    .map(|length| AfterLength {
                        length,
                        waiting: habit.waiting(down, length),
                        then: told.then(down, length),
                    })
                    .collect(),
                to_do: told.to_do(down),
            })
            .collect(),
        owners: owners::owners(config, mappings, shop),
    }
}

fn retries(config: &Config) -> Retries {
    let policy = &config.queue.retry;
    let all = |unit: f64| -> u64 {
        let waits: Duration = (1..policy.max_attempts)
            .map(|failed| policy.wait(failed, unit, None))
            .sum();
        u64::try_from(waits.as_millis()).unwrap_or(u64::MAX)
    };
    Retries {
        attempts: policy.max_attempts,
        least_ms: all(0.0),
        most_ms: all(1.0),
    }
}
