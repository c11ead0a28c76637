//! [`Notices`] over either database.

use async_trait::async_trait;

use super::super::{Backend, notices};
use crate::domain::{Actor, Fence, Timestamp};
use crate::store::{
    ClaimedDispatch, DispatchFilter, DispatchRow, DispatchStory, EndedDispatch, EndpointAct, EndpointAfter,
    EndpointRow, FannedOut, Notices, OutboxPage, OutboxRow, Redeliver, Redelivered, StoreError,
};

impl Backend {
    /// Makes due what waits until later, in steps.
    async fn hasten_dispatches(
        &self,
        trying: &'static str,
        mut hastening: notices::Hastening,
    ) -> Result<(), StoreError> {
        while !hastening.is_over() {
            hastening = change!(self, trying, |conn| notices::hasten_step(conn, hastening))?;
        }
        Ok(())
    }
}

#[async_trait]
impl Notices for Backend {
    async fn add_notifications(&self, bodies: Vec<String>, now: Timestamp) -> Result<(), StoreError> {
        if bodies.is_empty() {
            return Ok(());
        }
        change!(self, "add notifications", |conn| async {
            let bodies: Vec<(&str, Timestamp)> = bodies.iter().map(|body| (body.as_str(), now)).collect();
            notices::add(conn, &bodies).await
        })?;
        self.ring_told().await;
        Ok(())
    }

    async fn notifications_arrived(&self) {
        self.told.notified().await;
    }

    async fn outbox(&self, limit: u32) -> Result<Vec<OutboxRow>, StoreError> {
        Ok(self.outbox_after(0, limit, u64::MAX).await?.rows)
    }

    async fn outbox_after(&self, after: i64, limit: u32, bytes: u64) -> Result<OutboxPage, StoreError> {
        ask!(self, "read the outbox", |conn| notices::outbox(
            conn, after, limit, bytes
        ))
    }

    async fn fan_out(&self, rows: Vec<FannedOut>, now: Timestamp) -> Result<u64, StoreError> {
        change!(self, "fan notifications out", |conn| notices::fan_out(
            conn, &rows, now
        ))
    }

    async fn claim_dispatches(
        &self,
        endpoint: &str,
        now: Timestamp,
        until: Timestamp,
        limit: u32,
    ) -> Result<Vec<ClaimedDispatch>, StoreError> {
        let endpoint = endpoint.to_owned();
        change!(self, "take deliveries to send", |conn| notices::claim(
            conn, &endpoint, now, until, limit
        ))
    }

    async fn batch_dispatches(&self, ids: Vec<(i64, Fence)>, batch: &str) -> Result<bool, StoreError> {
        let batch = batch.to_owned();
        change!(self, "note what is sent together", |conn| notices::batch(
            conn, &ids, &batch
        ))
    }

    async fn may_be_sent(&self, ids: Vec<(i64, Fence)>) -> Result<bool, StoreError> {
        ask!(self, "look at deliveries once more", |conn| {
            notices::may_be_sent(conn, &ids)
        })
    }

    async fn end_dispatches(
        &self,
        ended: Vec<EndedDispatch>,
        now: Timestamp,
    ) -> Result<Vec<i64>, StoreError> {
        let tells = ended.iter().any(|end| !end.notifications.is_empty());
        let stale = change!(self, "note what became of deliveries", |conn| notices::end(
            conn, &ended, now
        ))?;
        if tells {
            self.ring_told().await;
        }
        Ok(stale)
    }

    async fn reclaim_dispatches(&self, now: Timestamp) -> Result<u64, StoreError> {
        let mut count = 0;
        loop {
            let step = change!(self, "take back deliveries", |conn| notices::reclaim_step(
                conn,
                now.millis(),
                now
            ))?;
            if step == 0 {
                break;
            }
            count += step;
        }
        if count > 0 {
            self.ring_told().await;
        }
        Ok(count)
    }

    async fn mend_dispatch_times(&self, now: Timestamp) -> Result<(), StoreError> {
        let trying = "mend the times of deliveries";
        let hastening = change!(self, trying, |conn| notices::put_off(conn, now))?;
        self.hasten_dispatches(trying, hastening).await
    }

    async fn next_dispatch(&self) -> Result<Vec<(String, Timestamp)>, StoreError> {
        ask!(self, "find the next delivery", |conn| notices::next(conn))
    }

    async fn endpoints(&self) -> Result<Vec<EndpointRow>, StoreError> {
        ask!(self, "list endpoints", |conn| notices::endpoints(conn))
    }

    async fn set_endpoint(&self, act: EndpointAct) -> Result<bool, StoreError> {
        let trying = "pause or resume an endpoint";
        // Before it goes on: whoever is killed meanwhile finds it paused, and lets it go on once more.
        if !act.pause && ask!(self, trying, |conn| notices::is_paused(conn, &act.name))? {
            self.hasten_dispatches(trying, notices::Hastening::of_endpoint(&act.name, act.at))
                .await?;
        }
        let changed = change!(self, trying, |conn| notices::set_endpoint(conn, &act))?;
        self.ring_told().await;
        Ok(changed)
    }

    async fn dispatches(&self, filter: DispatchFilter) -> Result<Vec<DispatchRow>, StoreError> {
        ask!(self, "list deliveries", |conn| notices::dispatches(conn, &filter))
    }

    async fn tried_dispatches(&self, endpoint: &str, limit: u32) -> Result<Vec<DispatchRow>, StoreError> {
        ask!(self, "list deliveries that were tried", |conn| {
            notices::tried_dispatches(conn, endpoint, limit)
        })
    }

    async fn dispatch(&self, id: i64) -> Result<Option<DispatchStory>, StoreError> {
        ask!(self, "read a delivery", |conn| notices::dispatch(conn, id))
    }

    async fn redeliver(
        &self,
        what: Redeliver,
        actor: Actor,
        now: Timestamp,
    ) -> Result<Redelivered, StoreError> {
        let trying = "send deliveries once more";
        let (asked, by) = (what.clone(), actor.clone());
        let begun = change!(self, trying, |conn| notices::redeliver(conn, &asked, &by, now))?;
        let redelivered = match begun {
            notices::Begun::Over(redelivered) => redelivered,
            notices::Begun::Steps(mut progress) => {
                while !progress.is_over() {
                    let (asked, by) = (what.clone(), actor.clone());
                    progress = change!(self, trying, |conn| notices::redeliver_step(
                        conn, &asked, progress, &by, now
                    ))?;
                }
                Redelivered::Done(progress.count)
            }
        };
        self.ring_told().await;
        Ok(redelivered)
    }

    async fn cancel_dispatches(
        &self,
        endpoint: &str,
        after: EndpointAfter,
        actor: Actor,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        let mut progress = notices::Cancelled::default();
        while !progress.is_over {
            let (endpoint, by) = (endpoint.to_owned(), actor.clone());
            progress = change!(self, "cancel deliveries", |conn| notices::cancel_step(
                conn, &endpoint, after, progress, &by, now
            ))?;
        }
        Ok(progress.count)
    }

    async fn prune_dispatches(&self, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        change!(self, "delete old deliveries", |conn| notices::prune(
            conn, before, limit
        ))
    }
}
