//! Many orders at once, without their lines, and which rows are new: for whoever compares everything.

use serde_json::json;

use super::value::{decimal, record, text, time, time_text};
use super::{Odoo, nonsense};
use crate::domain::{ErpId, Timestamp};
use crate::erp::{ErpError, OrderStanding, OrderState};

const ORDER: &str = "sale.order";

/// The field that keeps the shop's number of an order.
const REFERENCE: &str = "client_order_ref";

/// What says how an order stands.
const FIELDS: [&str; 6] = [
    "name",
    "state",
    REFERENCE,
    "date_order",
    "amount_tax",
    "amount_total",
];

impl Odoo {
    pub(super) async fn standings(&self, ids: &[ErpId]) -> Result<Vec<OrderStanding>, ErpError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let numbers: Vec<i64> = ids.iter().map(|id| id.0).collect();
        // A search leaves out those that are gone; a reading would fail for all.
        let domain = vec![json!(["id", "in", numbers])];
        let fields = FIELDS.map(str::to_owned);
        let rows = self.search_read(ORDER, domain, &fields, None, true).await?;
        let standing = |row: &serde_json::Value| {
            let bad = |what: &str| nonsense(ORDER, "search_read", format!("an order without {what}"));
            Ok(OrderStanding {
                id: record(&row["id"]).ok_or_else(|| bad("an id"))?,
                name: text(&row["name"]).unwrap_or_default(),
                reference: text(&row[REFERENCE]),
                state: match row["state"].as_str() {
                    Some("draft" | "sent") => OrderState::Draft,
                    // 17 and older call a locked order done.
                    Some("sale" | "done") => OrderState::Confirmed,
                    Some("cancel") => OrderState::Cancelled,
                    _ => OrderState::Other,
                },
                ordered_at: time(&row["date_order"]),
                tax: decimal(&row["amount_tax"]).ok_or_else(|| bad("taxes"))?,
                total: decimal(&row["amount_total"]).ok_or_else(|| bad("a total"))?,
            })
        };
        rows.iter().map(standing).collect()
    }

    pub(super) async fn referring_orders(
        &self,
        references: &[String],
    ) -> Result<Vec<(ErpId, String)>, ErpError> {
        if references.is_empty() {
            return Ok(Vec::new());
        }
        let table = self.table(ORDER).await?;
        let mut domain = vec![
            json!([REFERENCE, "in", references]),
            json!(["state", "!=", "cancel"]),
        ];
        domain.append(&mut self.company_domain(&table).await?);
        let fields = [REFERENCE.to_owned()];
        let rows = self.search_read(ORDER, domain, &fields, None, false).await?;
        let named = |row: &serde_json::Value| {
            let id =
                record(&row["id"]).ok_or_else(|| nonsense(ORDER, "search_read", "a row without an id"))?;
            Ok((id, text(&row[REFERENCE]).unwrap_or_default()))
        };
        rows.iter().map(named).collect()
    }

    pub(super) async fn created_since(
        &self,
        model: &str,
        ids: &[ErpId],
        since: Timestamp,
    ) -> Result<Vec<ErpId>, ErpError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let numbers: Vec<i64> = ids.iter().map(|id| id.0).collect();
        let domain = vec![
            json!(["id", "in", numbers]),
            json!(["create_date", ">=", time_text(since)]),
        ];
        let rows = self
            .search_read(model, domain, &["id".to_owned()], None, true)
            .await?;
        let id = |row: &serde_json::Value| {
            record(&row["id"]).ok_or_else(|| nonsense(model, "search_read", "a row without an id"))
        };
        rows.iter().map(id).collect()
    }
}
