//! What a shop's rules would have made of its records of the last days. Reads the shop and the store, writes nothing.

use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;
use tokio::sync::watch;

use crate::app::daemon::{self, StartError};
use crate::config::{Config, Shop};
use crate::domain::{Object, SharedClock, SharedEntropy, ShopifyId, Timestamp};
use crate::shopify::ShopifyError;
use crate::store::{OpenMode, StoreError};
use crate::sync::{Engine, PreviewError, Ruling, Series, ShopContext};

/// What is tried.
#[derive(Clone, Debug)]
pub struct Trial {
    /// About which records.
    pub objects: Vec<Object>,
    /// That changed within so many days.
    pub days: u32,
    /// At most so many of each object are read; the oldest change comes first.
    pub limit: usize,
}

/// What the rules made of the records of one object.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct RuleTrial {
    /// The shop.
    pub shop: String,
    /// The object.
    pub object: Object,
    /// Records that changed since then were read.
    pub since: Timestamp,
    /// Whether all of them were: else there are more than the limit.
    pub is_complete: bool,
    /// How many were read.
    pub looked_at: u64,
    /// How many would be carried over without a question.
    pub carried: u64,
    /// How many would be left alone.
    pub out_of_scope: u64,
    /// How many would wait for a person.
    pub waiting: u64,
    /// How many a rule cannot be worked out for: each would be a problem.
    pub failing: u64,
    /// Those that would not simply be carried over, in the order in which they changed.
    pub records: Vec<Tried>,
}

/// One record that would not simply be carried over.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Tried {
    /// Its number on Shopify.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// `out_of_scope`, `waits` or `fails`.
    pub ruling: &'static str,
    /// Why.
    pub why: Vec<String>,
}

/// Why the rules cannot be tried.
#[derive(Debug, thiserror::Error)]
pub enum TrialError {
    /// The shop cannot be connected, or the mappings cannot be used.
    #[error(transparent)]
    Wire(#[from] StartError),
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The shop cannot be asked for its records.
    #[error(transparent)]
    Shopify(#[from] ShopifyError),
    /// A record cannot be looked at.
    #[error(transparent)]
    Record(#[from] PreviewError),
}

/// Tries a shop's rules on what changed of late.
///
/// # Errors
/// When the shop or the store cannot be asked.
pub async fn try_rules(
    config: &Config,
    shop: &Shop,
    trial: &Trial,
    clock: &SharedClock,
    entropy: &SharedEntropy,
) -> Result<Vec<RuleTrial>, TrialError> {
    let mappings =
        crate::app::mappings::load(config.mappings.dir.as_deref()).map_err(StartError::Mappings)?;
    let mappings = watch::Sender::new(Arc::new(mappings));
    let store = crate::app::open(config, clock, OpenMode::Tool).await?;
    let tried = match daemon::context(shop, &mappings, &store, clock, entropy) {
        Ok(context) => all(context, trial).await,
        Err(error) => Err(error.into()),
    };
    store.close().await;
    tried
}

async fn all(context: ShopContext, trial: &Trial) -> Result<Vec<RuleTrial>, TrialError> {
    let now = context.clock.now();
    let since = now.minus(Duration::from_secs(u64::from(trial.days) * 86_400));
    let engine = Engine::new([context.clone()]);
    let mut tried = Vec::new();
    for object in &trial.objects {
        tried.push(one(&engine, &context, *object, since, trial.limit).await?);
    }
    Ok(tried)
}

async fn one(
    engine: &Engine,
    context: &ShopContext,
    object: Object,
    since: Timestamp,
    limit: usize,
) -> Result<RuleTrial, TrialError> {
    let mut told = RuleTrial {
        shop: context.name.to_string(),
        object,
        since,
        is_complete: true,
        looked_at: 0,
        carried: 0,
        out_of_scope: 0,
        waiting: 0,
        failing: 0,
        records: Vec::new(),
    };
    let mut series = Series::default();
    let mut after = None;
    let mut left = limit;
    loop {
        let page = context.source.changed_since(object, since, after).await?;
        for (id, _) in page.records {
            if left == 0 {
                told.is_complete = false;
                return Ok(told);
            }
            left -= 1;
            if let Some((name, ruling)) = engine.try_rules(&context.name, object, id, &mut series).await? {
                told.add(id, name, ruling);
            }
        }
        after = page.next;
        if after.is_none() {
            return Ok(told);
        }
    }
}

impl RuleTrial {
    fn add(&mut self, id: ShopifyId, name: String, ruling: Ruling) {
        self.looked_at += 1;
        let (count, ruling, why) = match ruling {
            Ruling::Carried => {
                self.carried += 1;
                return;
            }
            Ruling::OutOfScope(rule) => (&mut self.out_of_scope, "out_of_scope", vec![rule]),
            Ruling::Waits(why) => (&mut self.waiting, "waits", why),
            Ruling::Fails(why) => (&mut self.failing, "fails", vec![why]),
        };
        *count += 1;
        self.records.push(Tried {
            id: id.to_string(),
            name,
            ruling,
            why,
        });
    }
}
