//! What needs both systems: entered by hand, "it is this one", and who may be meant. The console does it through here, too.

use std::sync::Arc;

use super::super::{Api, Refused};
use super::{conflict, no_job};
use crate::app::connect;
use crate::app::review::{ByHandError, Candidate, Reviewer};
use crate::config::{Config, Shop};
use crate::domain::{ErpId, JobId, ShopifyId};
use crate::erp::SharedErp;
use crate::store::{Acted, JobStory};

fn unreachable(what: &str, error: &dyn std::error::Error) -> Refused {
    Refused::Unreachable(format!("{what}: {error}. Nothing was done."))
}

fn refused(error: ByHandError) -> Refused {
    match error {
        ByHandError::Store(error) => Refused::Store(error),
        ByHandError::UnknownJob(job) => no_job(job),
        ByHandError::Erp(source) => unreachable("The ERP could not be asked", &source),
        error @ (ByHandError::NoSuchRecord { .. } | ByHandError::Several { .. } | ByHandError::NotSo(_)) => {
            conflict("not_done", format!("Nothing was done: {error}."))
        }
    }
}

impl Api {
    async fn story(&self, job: JobId) -> Result<JobStory, Refused> {
        self.store.job(job).await?.ok_or_else(|| no_job(job))
    }

    /// The job's shop, and a client of its ERP.
    fn erp_of<'c>(&self, config: &'c Config, story: &JobStory) -> Result<(&'c Shop, SharedErp), Refused> {
        let name = &story.job.key.shop;
        let shop = config
            .shops
            .get(name)
            .ok_or_else(|| Refused::Unknown(format!("The configuration has no shop {name} any more.")))?;
        let erp = connect::erp(shop, &self.clock)
            .map_err(|error| unreachable("The ERP cannot be connected", &error))?;
        Ok((shop, erp))
    }

    /// The order was entered into the ERP by hand, under this number.
    pub(in crate::app) async fn entered_by_hand(
        &self,
        reviewer: &Reviewer,
        job: JobId,
        number: &str,
        reason: Option<&str>,
    ) -> Result<Acted, Refused> {
        let config = Arc::clone(&self.config.borrow());
        let story = self.story(job).await?;
        let (shop, erp) = self.erp_of(&config, &story)?;
        let client = self.clients.borrow().get(&shop.name).cloned();
        // As it is now: only so a later change is seen as one.
        let order = match (story.job.key.source_id.parse::<ShopifyId>(), client) {
            (Ok(id), Some(client)) => client
                .order(id, "")
                .await
                .map_err(|error| unreachable("The order cannot be read from Shopify", &error))?,
            _ => None,
        };
        let done = reviewer.resolve(shop, &*erp, job, number, order.as_ref(), reason);
        done.await.map_err(refused)
    }

    /// The records of the ERP that the job may mean.
    pub(in crate::app) async fn candidates(
        &self,
        reviewer: &Reviewer,
        job: JobId,
    ) -> Result<Vec<Candidate>, Refused> {
        let config = Arc::clone(&self.config.borrow());
        let story = self.story(job).await?;
        let (shop, erp) = self.erp_of(&config, &story)?;
        reviewer.candidates(shop, &*erp, job).await.map_err(refused)
    }

    /// This partner of the ERP is the job's customer.
    pub(in crate::app) async fn link(
        &self,
        reviewer: &Reviewer,
        job: JobId,
        erp_id: i64,
        reason: Option<&str>,
    ) -> Result<Acted, Refused> {
        let config = Arc::clone(&self.config.borrow());
        let story = self.story(job).await?;
        let (shop, erp) = self.erp_of(&config, &story)?;
        let done = reviewer.link(shop, &*erp, job, ErpId(erp_id), reason);
        done.await.map_err(refused)
    }
}
