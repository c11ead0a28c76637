//! What is done about notifications, for the API and the console alike.

use std::sync::Arc;

use crate::app::api::review::{capitalised, conflict};
use crate::app::api::{Api, Refused};
use crate::app::connect;
use crate::app::notify::{
    Again, EventType, NotifyPreview, SampleError, Trial, Turned, cancel, paused, preview, redeliver,
    sample_named, shown_event, synced, try_out, turn,
};
use crate::domain::{Actor, Object};
use crate::notify::{Endpoint, Notification};
use crate::store::{Redeliver, Redelivered};

/// How long somebody waits for a shop.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);

impl Api {
    /// The endpoint of this name.
    pub(in crate::app) fn endpoint(&self, name: &str) -> Result<Arc<Endpoint>, Refused> {
        let config = Arc::clone(&self.config.borrow());
        let found = config.endpoints.iter().find(|endpoint| endpoint.name == name);
        found.cloned().ok_or_else(|| no_endpoint(name))
    }

    /// Sends something to an endpoint now. Waits at most its timeout.
    pub(in crate::app) async fn try_endpoint(&self, name: &str, actor: &Actor) -> Result<Trial, Refused> {
        let endpoint = self.endpoint(name)?;
        let config = Arc::clone(&self.config.borrow());
        let trial = try_out(&config, &endpoint, &self.clock, &self.entropy).await;
        tracing::info!(endpoint = name, by = %actor, taken = trial.taken, "an endpoint was tried out");
        Ok(trial)
    }

    /// Pauses an endpoint, or lets it go on.
    pub(in crate::app) async fn turn_endpoint(
        &self,
        actor: Actor,
        how: (&str, bool, Option<&str>),
    ) -> Result<Turned, Refused> {
        let config = Arc::clone(&self.config.borrow());
        let turned = turn(&config, &self.store, &self.clock, actor, how).await?;
        self.controls.look();
        turned.ok_or_else(|| no_endpoint(how.0))
    }

    /// Gives up all that waits for an endpoint.
    pub(in crate::app) async fn cancel_endpoint(&self, actor: Actor, name: &str) -> Result<u64, Refused> {
        let config = Arc::clone(&self.config.borrow());
        let cancelled = cancel(&config, &self.store, &self.clock, actor, name).await?;
        cancelled.ok_or_else(|| no_endpoint(name))
    }

    /// What would be told about a real record as it is now.
    pub(in crate::app) async fn sampled(
        &self,
        shop: &str,
        object: Object,
        id: &str,
    ) -> Result<Notification, Refused> {
        let name = self.declared(shop)?;
        let config = Arc::clone(&self.config.borrow());
        let shop = config
            .shops
            .get(&name)
            .ok_or_else(|| Refused::Unknown(format!("No shop is declared as [shops.{name}].")))?;
        let unreachable = |error: &dyn std::error::Error| {
            Refused::Unreachable(format!("The shop cannot be asked: {error}."))
        };
        let client = self.clients.borrow().get(&name).cloned();
        let shopify = match client {
            Some(client) => client,
            None => {
                connect::shopify(shop, &self.clock, &self.entropy).map_err(|error| unreachable(&error))?
            }
        };
        let sides = (&*shopify, &self.store);
        let sampling = sample_named(shop, sides, (object, id), (&self.clock, &self.entropy));
        let sampled = tokio::time::timeout(PATIENCE, sampling).await;
        let Ok(sampled) = sampled else {
            return Err(Refused::Unreachable(
                "The shop took too long to answer.".to_owned(),
            ));
        };
        sampled.map_err(|error| match error {
            SampleError::Store(error) => Refused::Store(error),
            SampleError::Shopify(error) => unreachable(&error),
            SampleError::Unsupported(_) => Refused::Invalid(format!("{error}.")),
            SampleError::NotFound { .. } => Refused::Unknown(format!("{error}.")),
            SampleError::Find(error) => match error {
                crate::app::enqueue::FindError::Shopify(error) => unreachable(&error),
                crate::app::enqueue::FindError::Id(_) => Refused::Invalid(format!("{error}.")),
                other => Refused::Unknown(format!("{other}.")),
            },
        })
    }

    /// What an endpoint would be sent for a real record.
    pub(in crate::app) async fn previewed(
        &self,
        endpoint: &str,
        (shop, object, id): (&str, Object, &str),
        event: Option<EventType>,
    ) -> Result<NotifyPreview, Refused> {
        let endpoint = self.endpoint(endpoint)?;
        let event = shown_event(&endpoint, object, event).ok_or_else(|| {
            Refused::Invalid(format!("The endpoint `{}` gets no such event.", endpoint.name))
        })?;
        let mut notification = self.sampled(shop, object, id).await?;
        notification.event = event;
        let is_paused = self.is_paused(&endpoint).await?;
        Ok(preview(&endpoint, &notification, is_paused))
    }

    /// Whether nothing is sent to an endpoint for now.
    pub(in crate::app) async fn is_paused(&self, endpoint: &Endpoint) -> Result<bool, Refused> {
        let config = Arc::clone(&self.config.borrow());
        Ok(paused(&config, &self.store).await?.contains(&endpoint.name))
    }

    /// Sends once more what has ended.
    pub(in crate::app) async fn again(&self, actor: Actor, what: Redeliver) -> Result<Again, Refused> {
        let config = Arc::clone(&self.config.borrow());
        let again = redeliver(&config, &self.store, &self.clock, actor, what).await?;
        self.controls.look();
        let sentence = || format!("{}.", capitalised(&again.told));
        match again.result {
            Redelivered::Done(_) => Ok(again),
            Redelivered::Unknown => Err(Refused::Unknown(sentence())),
            Redelivered::UnderWay => Err(conflict("not_now", sentence())),
            Redelivered::Replaced => Err(conflict("replaced", sentence())),
            Redelivered::Removed => Err(conflict("removed", sentence())),
            Redelivered::Pruned => Err(conflict("pruned", sentence())),
            Redelivered::Undeclared => Err(conflict("undeclared", sentence())),
        }
    }
}

fn no_endpoint(name: &str) -> Refused {
    Refused::Unknown(format!("No endpoint is declared as [notify.endpoints.{name}]."))
}

/// A number of a delivery out of an address.
pub(in crate::app) fn delivery_id(text: &str) -> Result<i64, Refused> {
    text.parse()
        .map_err(|_| Refused::Invalid(format!("`{text}` is no number of a delivery.")))
}

/// Objects of which there are fields.
pub(in crate::app) fn object_of(text: &str) -> Result<Object, Refused> {
    let object = text.parse().ok().filter(|object| synced(*object).is_some());
    object.ok_or_else(|| Refused::Unknown("There are fields of order, customer and product.".to_owned()))
}
