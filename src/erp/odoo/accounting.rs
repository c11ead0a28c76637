//! Invoices, credit notes, payments and closed periods in Odoo.
//!
//! The wizard that invoices an order is the only way that keeps orders and invoices together; it answers with a window,
//! so what it did is read afterwards. Posting a document into a closed period is not refused by Odoo: it moves the
//! document's date silently. So the lock dates are asked for before, and the date is read back after.
//!
//! Not observed: lock dates' rights for ordinary users, `load` of payments and credit notes, and matching by
//! `js_assign_outstanding_line`. They follow the published sources of 17 to 19.

use chrono::NaiveDate;
use serde_json::{Value, json};

use super::call::Call;
use super::value::{decimal, record, records, text};
use super::{Odoo, nonsense};
use crate::domain::{ErpId, FieldValue};
use crate::erp::{Closed, Document, DocumentKind, DocumentState, ErpError, PaymentSave, Save};
use crate::failpoint::{FailPoint, reach};

const ORDER: &str = "sale.order";
const MOVE: &str = "account.move";
const PAYMENT: &str = "account.payment";
const INVOICING: &str = "sale.advance.payment.inv";

/// What is read of a document.
const FIELDS: [&str; 11] = [
    "name",
    "state",
    "move_type",
    "partner_id",
    "ref",
    "invoice_date",
    "date",
    "currency_id",
    "amount_total",
    "amount_tax",
    "amount_residual",
];

/// Up to when everybody's books are closed, with what people call it. Odoo 17 has one more for those who are no advisers.
const LOCKS: [(&str, &str); 3] = [
    ("fiscalyear_lock_date", "the global lock date"),
    ("hard_lock_date", "the hard lock date"),
    ("period_lock_date", "the lock date for non-advisers"),
];

/// The same for documents with taxes of sales.
const SALES_LOCKS: [(&str, &str); 2] = [
    ("tax_lock_date", "the tax lock date"),
    ("sale_lock_date", "the lock date of sales"),
];

impl Odoo {
    pub(super) async fn documents_of(&self, order: ErpId) -> Result<Vec<Document>, ErpError> {
        let call = Call::read(ORDER, "read")
            .on([order])
            .arg("fields", json!(["invoice_ids"]));
        let rows = self.session.call(&call).await?;
        let ids = records(&rows[0]["invoice_ids"])
            .ok_or_else(|| nonsense(ORDER, "read", "invoice_ids is no list"))?;
        self.read_documents(&ids).await
    }

    pub(super) async fn read_documents(&self, ids: &[ErpId]) -> Result<Vec<Document>, ErpError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let call = Call::read(MOVE, "read")
            .on(ids.iter().copied())
            .arg("fields", json!(FIELDS));
        let rows = self.session.call(&call).await?;
        let rows = rows
            .as_array()
            .ok_or_else(|| nonsense(MOVE, "read", "it is no list"))?;
        rows.iter()
            .map(|row| {
                parse_document(row)
                    .ok_or_else(|| nonsense(MOVE, "read", "a field is missing or has another type"))
            })
            .collect()
    }

    async fn existing_document(&self, id: ErpId) -> Result<Document, ErpError> {
        self.read_documents(&[id])
            .await?
            .pop()
            .ok_or_else(|| ErpError::Missing {
                model: MOVE.to_owned(),
                id: Some(id),
            })
    }

    /// Odoo counts drafts as invoiced: where nothing is left to invoice it refuses, so that repeating this is safe.
    pub(super) async fn make_invoice(&self, order: ErpId) -> Result<(), ErpError> {
        let values = json!({"advance_payment_method": "delivered", "sale_order_ids": [[6, 0, [order.0]]]});
        let call = Call::write(INVOICING, "create")
            .arg("vals_list", json!([values]))
            .quietly();
        let made = self.session.call(&call).await?;
        let wizard = records(&made)
            .and_then(|ids| ids.first().copied())
            .ok_or_else(|| nonsense(INVOICING, "create", "it names no record"))?;
        let call = Call::write(INVOICING, "create_invoices").on([wizard]).quietly();
        self.session.call(&call).await.map(drop)
    }

    pub(super) async fn post(&self, id: ErpId) -> Result<Document, ErpError> {
        let call = Call::write(MOVE, "action_post").on([id]).quietly();
        if let Err(error) = self.act(&call).await {
            if !matches!(error, ErpError::Rejected { .. } | ErpError::Busy { .. }) {
                return Err(error);
            }
            // It may be posted already, by an earlier attempt or by somebody else at this moment.
            let document = self.existing_document(id).await?;
            return if document.state == DocumentState::Posted {
                Ok(document)
            } else {
                Err(error)
            };
        }
        let document = self.existing_document(id).await?;
        if document.state == DocumentState::Posted {
            return Ok(document);
        }
        Err(refused(
            MOVE,
            "action_post",
            "the document is still no part of the books afterwards",
        ))
    }

    pub(super) async fn lock_date(&self, of_sales: bool) -> Result<Option<Closed>, ErpError> {
        let table = self.table("res.company").await?;
        let locks: Vec<(&str, &str)> = LOCKS
            .into_iter()
            .chain(SALES_LOCKS.into_iter().filter(|_| of_sales))
            .filter(|(field, _)| table.0.contains_key(*field))
            .collect();
        let company = self.session.login().await?.company;
        let fields: Vec<&str> = locks.iter().map(|(field, _)| *field).collect();
        let call = Call::read("res.company", "read")
            .on([company])
            .arg("fields", json!(fields));
        let rows = self.session.call(&call).await?;
        let latest = locks
            .into_iter()
            .filter_map(|(field, lock)| Some((day(&rows[0][field])?, lock)))
            .max_by_key(|(until, _)| *until);
        Ok(latest.map(|(until, lock)| Closed {
            until,
            lock: lock.to_owned(),
        }))
    }

    pub(super) async fn register_payment(&self, save: &PaymentSave) -> Result<ErpId, ErpError> {
        let id = match self.resolve(&save.external_id).await? {
            Some(known) => known.id,
            None => {
                let memo = if self.table(PAYMENT).await?.0.contains_key("memo") {
                    "memo"
                } else {
                    "ref"
                };
                let kind = if save.inbound { "inbound" } else { "outbound" };
                let fields = vec![
                    ("payment_type".to_owned(), FieldValue::Text(kind.into())),
                    ("partner_type".to_owned(), FieldValue::Text("customer".into())),
                    ("partner_id".to_owned(), FieldValue::Record(save.partner)),
                    ("amount".to_owned(), FieldValue::Decimal(save.amount)),
                    ("currency_id".to_owned(), FieldValue::Record(save.currency)),
                    ("journal_id".to_owned(), FieldValue::Record(save.journal)),
                    ("date".to_owned(), FieldValue::Date(save.date)),
                    (memo.to_owned(), FieldValue::Text(save.memo.clone())),
                ];
                let payment = Save {
                    model: PAYMENT.to_owned(),
                    external_id: save.external_id.clone(),
                    fields,
                    lines: None,
                };
                let ids = self.load_all(std::slice::from_ref(&payment)).await?;
                ids.first()
                    .copied()
                    .ok_or_else(|| nonsense(PAYMENT, "load", "it names no record"))?
            }
        };
        reach(FailPoint::PaymentSaved).await?;
        if self.payment_state(id).await? == "draft" {
            self.act(&Call::write(PAYMENT, "action_post").on([id]).quietly())
                .await?;
            if self.payment_state(id).await? == "draft" {
                return Err(refused(
                    PAYMENT,
                    "action_post",
                    "the payment is still a draft afterwards",
                ));
            }
        }
        Ok(id)
    }

    async fn payment_state(&self, id: ErpId) -> Result<String, ErpError> {
        let call = Call::read(PAYMENT, "read")
            .on([id])
            .arg("fields", json!(["state"]));
        let rows = self.session.call(&call).await?;
        text(&rows[0]["state"]).ok_or_else(|| ErpError::Missing {
            model: PAYMENT.to_owned(),
            id: Some(id),
        })
    }

    /// Matches a payment with an invoice as far as both go. A payment that is matched already has no open item.
    pub(super) async fn match_payment(&self, invoice: ErpId, payment: ErpId) -> Result<bool, ErpError> {
        let call = Call::read(PAYMENT, "read")
            .on([payment])
            .arg("fields", json!(["move_id"]));
        let rows = self.session.call(&call).await?;
        let Some(entry) = record(&rows[0]["move_id"]) else {
            // From 18 on a journal without an outstanding account books nothing before the bank statement comes; the
            // payment then only names its invoice.
            if self.table(PAYMENT).await?.0.contains_key("invoice_ids") {
                let call = Call::read(PAYMENT, "read")
                    .on([payment])
                    .arg("fields", json!(["invoice_ids"]));
                let rows = self.session.call(&call).await?;
                let mut named = rows[0]["invoice_ids"].as_array().into_iter().flatten();
                if named.any(|id| id.as_i64() == Some(invoice.0)) {
                    return Ok(false);
                }
                let values = json!({"invoice_ids": [[4, invoice.0]]});
                let call = Call::write(PAYMENT, "write")
                    .on([payment])
                    .arg("vals", values)
                    .quietly();
                self.session.call(&call).await?;
            }
            return Ok(true);
        };
        let call = Call::read("account.move.line", "search_read")
            .arg(
                "domain",
                json!([
                    ["move_id", "=", entry.0],
                    ["account_type", "=", "asset_receivable"]
                ]),
            )
            .arg("fields", json!(["reconciled"]));
        let rows = self.session.call(&call).await?;
        let open = rows
            .as_array()
            .into_iter()
            .flatten()
            .find(|row| row["reconciled"] != true)
            .and_then(|row| record(&row["id"]));
        let Some(item) = open else {
            return Ok(false);
        };
        let call = Call::write(MOVE, "js_assign_outstanding_line")
            .on([invoice])
            .arg("line_id", item.0)
            .quietly();
        self.session.call(&call).await?;
        Ok(true)
    }
}

fn refused(model: &str, method: &str, message: &str) -> ErpError {
    ErpError::Rejected {
        model: model.to_owned(),
        method: method.to_owned(),
        message: message.to_owned(),
    }
}

fn day(value: &Value) -> Option<NaiveDate> {
    NaiveDate::parse_from_str(value.as_str()?, "%Y-%m-%d").ok()
}

fn parse_document(row: &Value) -> Option<Document> {
    Some(Document {
        id: record(&row["id"])?,
        name: text(&row["name"]),
        kind: match row["move_type"].as_str()? {
            "out_invoice" => DocumentKind::Invoice,
            "out_refund" => DocumentKind::CreditNote,
            _ => DocumentKind::Other,
        },
        state: match row["state"].as_str()? {
            "draft" => DocumentState::Draft,
            "posted" => DocumentState::Posted,
            _ => DocumentState::Cancelled,
        },
        partner: record(&row["partner_id"]),
        reference: text(&row["ref"]),
        dated: day(&row["invoice_date"]),
        booked: day(&row["date"]),
        currency: record(&row["currency_id"]),
        total: row["amount_total"]
            .is_number()
            .then(|| decimal(&row["amount_total"]))??,
        tax: decimal(&row["amount_tax"])?,
        open: decimal(&row["amount_residual"])?,
    })
}
