//! What follows an order: invoices, credit notes, payments and deliveries, in words that fit every ERP.

use chrono::NaiveDate;
use rust_decimal::Decimal;
use serde::Serialize;

use crate::domain::{ErpId, ExternalId};

/// An invoice or a credit note.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Document {
    /// Id.
    pub id: ErpId,
    /// Number for people; a draft may have none.
    pub name: Option<String>,
    /// What it is.
    pub kind: DocumentKind,
    /// How far it is.
    pub state: DocumentState,
    /// Whom it is for.
    pub partner: Option<ErpId>,
    /// Its reference.
    pub reference: Option<String>,
    /// The day that stands on it; a draft may have none.
    pub dated: Option<NaiveDate>,
    /// The day on which it counts in the books.
    pub booked: Option<NaiveDate>,
    /// The currency's record.
    pub currency: Option<ErpId>,
    /// Total with tax, in its currency.
    pub total: Decimal,
    /// The tax in it.
    pub tax: Decimal,
    /// What is still to be paid of it.
    pub open: Decimal,
}

impl Document {
    /// Its number, or what a person finds it by.
    pub fn label(&self) -> String {
        match &self.name {
            Some(name) if name != "/" => name.clone(),
            _ => format!("the draft {}", self.id),
        }
    }
}

/// What a document is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DocumentKind {
    /// An invoice to a customer.
    Invoice,
    /// A credit note to a customer.
    CreditNote,
    /// Anything else.
    Other,
}

/// How far a document is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DocumentState {
    /// Not in the books yet.
    Draft,
    /// In the books.
    Posted,
    /// Cancelled.
    Cancelled,
}

/// Up to when the books are closed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Closed {
    /// The last closed day.
    pub until: NaiveDate,
    /// What the ERP calls this lock.
    pub lock: String,
}

/// A payment to register.
#[derive(Clone, Debug, PartialEq)]
pub struct PaymentSave {
    /// The key.
    pub external_id: ExternalId,
    /// Whether the money came in; it went out if not.
    pub inbound: bool,
    /// Who paid, or was paid.
    pub partner: ErpId,
    /// How much, positive.
    pub amount: Decimal,
    /// The currency's record.
    pub currency: ErpId,
    /// The journal.
    pub journal: ErpId,
    /// When.
    pub date: NaiveDate,
    /// What stands on it for people.
    pub memo: String,
}

/// Goods on their way out of an order, or back.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Delivery {
    /// Id.
    pub id: ErpId,
    /// Number for people.
    pub name: String,
    /// How far it is.
    pub state: DeliveryState,
    /// Whether the goods go to the customer.
    pub outgoing: bool,
    /// Whether the goods only move within the warehouse, as where they are picked and packed in steps of their own.
    pub internal: bool,
    /// Whether they go there straight from the supplier, who was asked for them by a purchase order.
    pub dropship: bool,
    /// Tracking number.
    pub tracking: Option<String>,
    /// What is in it.
    pub moves: Vec<DeliveryMove>,
}

/// How far a delivery is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// Not carried out yet.
    Open,
    /// Carried out.
    Done,
    /// Cancelled.
    Cancelled,
}

/// Goods of one order line in a delivery.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DeliveryMove {
    /// Id.
    pub id: ErpId,
    /// The order's line.
    pub line: Option<ErpId>,
    /// What is moved. It is not what the line sells where that is a kit, or where somebody exchanged it.
    pub product: Option<ErpId>,
    /// Units to be moved.
    pub demand: Decimal,
    /// Units that were moved, or are reserved for it.
    pub quantity: Decimal,
    /// Whether it was cancelled.
    pub is_cancelled: bool,
}
