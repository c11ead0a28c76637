//! [`Drift`] over either database.

use async_trait::async_trait;

use super::super::{Backend, drift};
use crate::domain::Timestamp;
use crate::store::{
    Correction, CorrectionCount, Drift, DriftFilter, DriftReport, DriftReportFilter, DriftRow, StoreError,
};

#[async_trait]
impl Drift for Backend {
    async fn save_drift(&self, run: i64, rows: Vec<DriftRow>) -> Result<(), StoreError> {
        change!(self, "keep what a run found", |conn| drift::save(
            conn, run, &rows
        ))
    }

    async fn save_drift_report(&self, report: DriftReport) -> Result<(), StoreError> {
        change!(self, "keep a run's report", |conn| drift::save_report(
            conn, &report
        ))
    }

    async fn drift_reports(
        &self,
        filter: DriftReportFilter,
        limit: u32,
    ) -> Result<Vec<DriftReport>, StoreError> {
        ask!(self, "read reports of runs", |conn| drift::reports(
            conn, &filter, limit
        ))
    }

    async fn drift(&self, run: i64, filter: DriftFilter, limit: u32) -> Result<Vec<DriftRow>, StoreError> {
        ask!(self, "read what a run found", |conn| drift::rows(
            conn, run, &filter, limit
        ))
    }

    async fn count_corrections(
        &self,
        corrections: Vec<Correction>,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        change!(self, "count corrections", |conn| drift::count_corrections(
            conn,
            &corrections,
            now
        ))
    }

    async fn corrections(&self, since: Timestamp) -> Result<Vec<CorrectionCount>, StoreError> {
        ask!(self, "read corrections", |conn| drift::corrections(conn, since))
    }
}
