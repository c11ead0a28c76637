//! Every write of an attempt, to either side.

use super::super::imported;
use super::super::stop::Stop;
use super::Flow;
use crate::erp::ErpError;
use crate::failpoint::{FailPoint, reach};
use crate::shopify::ShopifyError;

impl Flow<'_> {
    /// Ends the attempt where it must not write to the ERP: before it is noted what is written.
    pub(in crate::sync) fn may_write(&self) -> Result<(), Stop> {
        self.agreed()?;
        self.may_write_unplanned()
    }

    /// Sends a write to the ERP. Every write goes through here: an attempt that ends while one is under way, or without
    /// knowing what became of it, says so.
    pub(in crate::sync) async fn write<T>(
        &self,
        call: impl Future<Output = Result<T, ErpError>>,
    ) -> Result<T, Stop> {
        self.may_write()?;
        imported::writes(self).await?;
        Ok(self.writes.send(call).await?)
    }

    /// The same where only the answer says whether anything was done: see [`Self::did_write`].
    pub(in crate::sync) async fn write_unjudged<T>(
        &self,
        call: impl Future<Output = Result<T, ErpError>>,
    ) -> Result<T, Stop> {
        self.may_write()?;
        imported::writes(self).await?;
        Ok(self.writes.send_unjudged(call).await?)
    }

    /// Says that a write that was sent unjudged did something.
    pub(in crate::sync) fn did_write(&self) {
        self.writes.did_something();
    }

    /// Sends a write to the shop, likewise.
    pub(in crate::sync) async fn send<T>(
        &self,
        call: impl Future<Output = Result<T, ShopifyError>>,
    ) -> Result<T, Stop> {
        self.agreed()?;
        let answer = self.writes.send(call).await?;
        reach(FailPoint::ShopWritten).await?;
        Ok(answer)
    }

    /// The same where only the answer says whether anything was done: see [`Self::did_write`].
    pub(in crate::sync) async fn send_unjudged<T>(
        &self,
        call: impl Future<Output = Result<T, ShopifyError>>,
    ) -> Result<T, Stop> {
        self.agreed()?;
        let answer = self.writes.send_unjudged(call).await?;
        reach(FailPoint::ShopWritten).await?;
        Ok(answer)
    }

    /// Sends a write that nothing keeps from being done twice but a look at what stands in the ERP, which was taken just
    /// before. A look tells nothing as long as the same, sent by an earlier attempt, may still take effect: then the attempt
    /// ends, to look again when it no longer can.
    pub(in crate::sync) async fn act<T>(
        &self,
        call: impl Future<Output = Result<T, ErpError>>,
    ) -> Result<T, Stop> {
        match self.job.settled_at() {
            Some(at) if at > self.shop.clock.now() => Err(Stop::Later { at }),
            _ => self.write(call).await,
        }
    }
}
