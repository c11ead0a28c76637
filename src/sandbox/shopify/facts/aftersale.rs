//! What happens to an order after the sale: payments, parcels, refunds, cancellation.

use chrono::{DateTime, Utc};

use crate::sandbox::shopify::money::Bag;

/// What a transaction did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransactionKind {
    /// Money is reserved.
    Authorization,
    /// Reserved money is taken.
    Capture,
    /// Money is taken at once.
    Sale,
    /// Money is given back.
    Refund,
    /// Reserved money is set free.
    Void,
    /// Change from cash.
    Change,
}

impl TransactionKind {
    /// The enum value of the API; webhook bodies use it in lower case.
    pub fn name(self) -> &'static str {
        match self {
            Self::Authorization => "AUTHORIZATION",
            Self::Capture => "CAPTURE",
            Self::Sale => "SALE",
            Self::Refund => "REFUND",
            Self::Void => "VOID",
            Self::Change => "CHANGE",
        }
    }
}

/// How a transaction went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransactionStatus {
    /// Done.
    Success,
    /// Not yet known.
    Pending,
    /// Refused.
    Failure,
}

impl TransactionStatus {
    /// The enum value of the API; webhook bodies use it in lower case.
    pub fn name(self) -> &'static str {
        match self {
            Self::Success => "SUCCESS",
            Self::Pending => "PENDING",
            Self::Failure => "FAILURE",
        }
    }
}

/// A movement of money.
#[derive(Clone, Debug)]
pub struct Transaction {
    /// Number part of the gid.
    pub id: u64,
    /// What it did.
    pub kind: TransactionKind,
    /// How it went.
    pub status: TransactionStatus,
    /// `shopify_payments`, `gift_card`, `manual` …
    pub gateway: String,
    /// Positive.
    pub amount: Bag,
    /// Cash rounding on top of the amount.
    pub rounding: Option<Bag>,
    /// The transaction that this one captures, voids or refunds.
    pub parent: Option<u64>,
    /// Refund that it belongs to.
    pub refund: Option<u64>,
    /// Made by a test gateway.
    pub test: bool,
    /// Reference at the gateway.
    pub payment_id: Option<String>,
    /// When it was recorded.
    pub created_at: DateTime<Utc>,
    /// When it happened.
    pub processed_at: DateTime<Utc>,
}

/// What happened to the goods of a refund line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restock {
    /// Never sent; taken off the order.
    Cancel,
    /// Came back.
    Return,
    /// Not put back.
    None,
}

impl Restock {
    /// The enum value of the API; webhook bodies use it in lower case.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cancel => "CANCEL",
            Self::Return => "RETURN",
            Self::None => "NO_RESTOCK",
        }
    }
}

/// Units, shipping and money taken off an order.
#[derive(Clone, Debug)]
pub struct Refund {
    /// Number part of the gid.
    pub id: u64,
    /// Note.
    pub note: Option<String>,
    /// Units.
    pub lines: Vec<RefundLine>,
    /// Shipping.
    pub shipping: Vec<RefundShipping>,
    /// Import duties.
    pub duties: Vec<RefundDuty>,
    /// What balances lines and money.
    pub adjustments: Vec<Adjustment>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// Last change.
    pub updated_at: DateTime<Utc>,
}

/// Units of one line.
#[derive(Clone, Debug)]
pub struct RefundLine {
    /// Number part of the gid.
    pub id: u64,
    /// The line.
    pub line: u64,
    /// Units.
    pub quantity: u32,
    /// Where the goods went.
    pub restock: Restock,
    /// The place that got them back.
    pub location: Option<u64>,
    /// Their price after discounts, before or with tax as the order says.
    pub subtotal: Bag,
    /// Their tax.
    pub tax: Bag,
    /// Their tax per tax line of the order line.
    pub taxes: Vec<Bag>,
    /// Discounts of these units.
    pub discount: Bag,
}

/// Shipping that was given back. As with units, the amount contains tax when the order's prices do.
#[derive(Clone, Debug)]
pub struct RefundShipping {
    /// Number part of the gid.
    pub id: u64,
    /// The shipping line.
    pub line: u64,
    /// Amount.
    pub subtotal: Bag,
    /// Tax of the amount.
    pub tax: Bag,
    /// Tax per tax line of the shipping line.
    pub taxes: Vec<Bag>,
}

/// Import duty that was given back.
#[derive(Clone, Debug)]
pub struct RefundDuty {
    /// The duty.
    pub duty: u64,
    /// Amount.
    pub amount: Bag,
    /// Its tax.
    pub tax: Bag,
}

/// The difference between what a refund was worth and the money that was given.
#[derive(Clone, Debug)]
pub struct Adjustment {
    /// Number part of the gid.
    pub id: u64,
    /// Enum value of the API.
    pub reason: &'static str,
    /// Worth minus money: negative when the buyer got more.
    pub amount: Bag,
    /// Tax of the difference.
    pub tax: Bag,
}

/// A parcel.
#[derive(Clone, Debug)]
pub struct Fulfillment {
    /// Number part of the gid.
    pub id: u64,
    /// `#1001-F1`.
    pub name: String,
    /// Line and units.
    pub lines: Vec<(u64, u64, u32)>,
    /// The place that sent it.
    pub location: u64,
    /// Carrier.
    pub company: Option<String>,
    /// Number of the parcel.
    pub tracking: Option<String>,
    /// It reached the buyer.
    pub delivered: bool,
    /// It was called back.
    pub cancelled: bool,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// Last change.
    pub updated_at: DateTime<Utc>,
}

/// When and why an order was cancelled.
#[derive(Clone, Debug)]
pub struct Cancellation {
    /// When.
    pub at: DateTime<Utc>,
    /// Enum value of the API (`CUSTOMER`, `INVENTORY` …).
    pub reason: &'static str,
    /// Note of the staff.
    pub note: Option<String>,
}

/// State of payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FinancialStatus {
    /// Reserved.
    Authorized,
    /// Paid in full.
    Paid,
    /// Paid in part.
    PartiallyPaid,
    /// Given back in part.
    PartiallyRefunded,
    /// Not paid.
    Pending,
    /// Given back in full.
    Refunded,
    /// Set free or cancelled unpaid.
    Voided,
}

impl FinancialStatus {
    /// The enum value of the API; webhook bodies use it in lower case.
    pub fn name(self) -> &'static str {
        match self {
            Self::Authorized => "AUTHORIZED",
            Self::Paid => "PAID",
            Self::PartiallyPaid => "PARTIALLY_PAID",
            Self::PartiallyRefunded => "PARTIALLY_REFUNDED",
            Self::Pending => "PENDING",
            Self::Refunded => "REFUNDED",
            Self::Voided => "VOIDED",
        }
    }
}

/// State of delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FulfillmentStatus {
    /// All sent.
    Fulfilled,
    /// Nothing to send.
    NotRequired,
    /// Sent in part.
    Partial,
    /// Nothing sent.
    Unfulfilled,
}

impl FulfillmentStatus {
    /// The enum value of the API (`FULFILLMENT_NOT_REQUIRED` is new in 2026-10).
    pub fn name(self) -> &'static str {
        match self {
            Self::Fulfilled => "FULFILLED",
            Self::NotRequired => "FULFILLMENT_NOT_REQUIRED",
            Self::Partial => "PARTIALLY_FULFILLED",
            Self::Unfulfilled => "UNFULFILLED",
        }
    }
}
