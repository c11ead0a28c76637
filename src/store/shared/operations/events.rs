//! [`Events`] over either database.

use std::sync::Arc;

use async_trait::async_trait;

use super::super::{Backend, events, notices, shops};
use crate::domain::{EventId, JobId, RecordKey, ShopName, Timestamp};
use crate::store::{ComplianceRecord, EventRow, Events, StoreError};

#[async_trait]
impl Events for Backend {
    async fn event(&self, id: EventId) -> Result<Option<EventRow>, StoreError> {
        ask!(self, "read an event", |conn| events::event(conn, id))
    }

    async fn events_of(&self, job: JobId, with_bodies: bool) -> Result<Vec<EventRow>, StoreError> {
        ask!(self, "read events", |conn| events::of_job(conn, job, with_bodies))
    }

    async fn redact(
        &self,
        shop: &ShopName,
        records: &[RecordKey],
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        self.refresh_lanes().await?;
        let mentions = ask!(
            self,
            "look for mentions of a customer",
            |conn| events::mentioning(conn, shop, records, &self.lanes)
        )?;
        // What is fanned out meanwhile is found by its keys.
        let told = ask!(self, "look for mentions of a customer", |conn| {
            notices::waiting_mentions(conn, shop, Some(records))
        })?;
        let (shop, records, lanes) = (shop.clone(), records.to_vec(), Arc::clone(&self.lanes));
        let touched = change!(self, "remove a customer's data", |conn| async {
            let touched = events::redact(&mut *conn, &shop, &records, &mentions, &lanes).await?;
            Ok(touched + notices::redact(conn, &shop, &records, &told, now).await?)
        })?;
        self.empty_log().await;
        Ok(touched)
    }

    async fn redact_shop(&self, shop: &ShopName, now: Timestamp) -> Result<u64, StoreError> {
        self.refresh_lanes().await?;
        let trying = "remove a shop's data";
        let last = ask!(self, trying, |conn| events::highest(conn))?;
        let mut touched = 0;
        let mut after = 0;
        while after < last {
            let (shop, lanes) = (shop.clone(), Arc::clone(&self.lanes));
            touched += change!(self, trying, |conn| events::redact_shop_step(
                conn, &shop, after, &lanes
            ))?;
            after += events::STEP;
        }
        let mut next = Some((String::new(), String::new()));
        while let Some(position) = next {
            let shop = shop.clone();
            let (rows, further) = change!(self, trying, |conn| events::redact_shop_links(
                conn, &shop, &position
            ))?;
            touched += rows;
            next = further;
        }
        let told = ask!(self, trying, |conn| notices::waiting_mentions(conn, shop, None))?;
        touched += change!(self, trying, |conn| notices::redact_shop_outbox(conn, &told))?;
        let (first, last) = ask!(self, trying, |conn| notices::ends_of_numbers(conn))?;
        let mut after = first - 1;
        while after < last {
            let shop = shop.clone();
            touched += change!(self, trying, |conn| notices::redact_shop_step(
                conn, &shop, after, now
            ))?;
            after += events::STEP;
        }
        self.empty_log().await;
        Ok(touched)
    }

    async fn record_compliance(&self, record: ComplianceRecord) -> Result<(), StoreError> {
        change!(self, "record a privacy request", |conn| shops::record_compliance(
            conn, &record
        ))
    }

    async fn compliance_records(&self, shop: &ShopName) -> Result<Vec<ComplianceRecord>, StoreError> {
        ask!(self, "read privacy requests", |conn| shops::compliance(
            conn, shop
        ))
    }
}
