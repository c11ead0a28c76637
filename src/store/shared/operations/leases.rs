//! [`Leases`] over either database.

use async_trait::async_trait;

use super::super::{Backend, leases};
use crate::domain::Timestamp;
use crate::store::{Leases, StoreError};

#[async_trait]
impl Leases for Backend {
    async fn take_lease(
        &self,
        name: &str,
        holder: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<bool, StoreError> {
        let (name, holder) = (name.to_owned(), self.holder(holder));
        change!(self, "take a lease", |conn| leases::take(
            conn, &name, &holder, now, until
        ))
    }

    async fn release_lease(&self, name: &str, holder: &str) -> Result<(), StoreError> {
        let (name, holder) = (name.to_owned(), self.holder(holder));
        change!(self, "give a lease back", |conn| {
            leases::release(conn, &name, &holder)
        })
    }
}
