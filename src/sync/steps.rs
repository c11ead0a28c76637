//! What follows a booked order, step by step, as previews show it before it is done.

use std::fmt;

use rust_decimal::Decimal;
use serde::Serialize;

use crate::domain::{Currency, NewProblem};

/// Something that would be done about an order after it was booked.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Step {
    /// What kind of thing.
    pub act: Act,
    /// What it is about, in words.
    pub what: String,
    /// What it comes to, where it is about money.
    pub amount: Option<Decimal>,
    /// The currency of the amount.
    pub currency: Currency,
    /// Why a person would have to do it instead.
    pub problem: Option<NewProblem>,
}

/// A kind of step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Act {
    /// A parcel's goods leave the ERP.
    Deliver,
    /// A delivery of which nothing more will be sent is cancelled.
    CancelDelivery,
    /// Goods that are taken back.
    TakeBack,
    /// An invoice is made.
    Invoice,
    /// A draft invoice is put into the books.
    Post,
    /// A draft credit note is made for a refund.
    CreditNote,
    /// Money that came in is registered.
    Payment,
    /// Money that went back is registered.
    PaymentBack,
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Deliver => "deliver",
            Self::CancelDelivery => "cancel delivery",
            Self::TakeBack => "take back",
            Self::Invoice => "invoice",
            Self::Post => "post",
            Self::CreditNote => "credit note",
            Self::Payment => "payment",
            Self::PaymentBack => "payment back",
        })
    }
}

impl Step {
    /// A step without money.
    pub(super) fn new(act: Act, what: impl Into<String>, currency: Currency) -> Self {
        Self {
            act,
            what: what.into(),
            amount: None,
            currency,
            problem: None,
        }
    }

    /// With what it comes to.
    pub(super) fn of(mut self, amount: Decimal) -> Self {
        self.amount = Some(amount);
        self
    }

    /// Left to a person.
    pub(super) fn but(mut self, problem: Option<NewProblem>) -> Self {
        self.problem = problem;
        self
    }
}
