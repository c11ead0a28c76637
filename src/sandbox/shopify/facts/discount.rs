//! Discounts of an order and how they fall on its lines.

use rust_decimal::Decimal;

use crate::sandbox::shopify::money::Bag;

/// Part of a discount that falls on one line.
#[derive(Clone, Copy, Debug)]
pub struct Allocation {
    /// Index in `Order::discounts`.
    pub discount: usize,
    /// Amount, positive.
    pub amount: Bag,
}

/// How a discount came about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DiscountKind {
    /// A code that the buyer typed.
    Code(String),
    /// By the shop's rules; the title.
    Automatic(String),
    /// By hand; title and description.
    Manual(String, Option<String>),
    /// By a script; the title.
    Script(String),
}

impl DiscountKind {
    /// Code or title.
    pub fn label(&self) -> &str {
        match self {
            Self::Code(t) | Self::Automatic(t) | Self::Manual(t, _) | Self::Script(t) => t,
        }
    }
}

/// Size of a discount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiscountValue {
    /// 10 for 10 %.
    Percentage(Decimal),
    /// In the shop's currency: per unit with [`AllocationMethod::Each`], else in all.
    Amount(Decimal),
}

/// What a discount is taken from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DiscountTarget {
    /// All lines.
    AllLines,
    /// The lines with these positions.
    Lines(Vec<usize>),
    /// All ways of delivery.
    Shipping,
}

/// How the amount is spread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AllocationMethod {
    /// One amount over all targets, by price.
    Across,
    /// On every target by itself.
    Each,
}

/// One discount of an order.
#[derive(Clone, Debug)]
pub struct Discount {
    /// How it came about.
    pub kind: DiscountKind,
    /// Its size.
    pub value: DiscountValue,
    /// What it is taken from.
    pub target: DiscountTarget,
    /// How it is spread.
    pub method: AllocationMethod,
}

impl Discount {
    /// Enum value of `targetSelection`; webhook bodies use it in lower case.
    pub fn selection(&self) -> &'static str {
        match (&self.target, &self.kind) {
            (DiscountTarget::Lines(_), DiscountKind::Manual(..)) => "EXPLICIT",
            (DiscountTarget::Lines(_), _) => "ENTITLED",
            (DiscountTarget::AllLines | DiscountTarget::Shipping, _) => "ALL",
        }
    }

    /// It belongs to single lines, so `discountedTotalSet` already contains it; codes never do by default.
    pub fn is_line_level(&self) -> bool {
        self.method == AllocationMethod::Each
            && self.target != DiscountTarget::Shipping
            && !matches!(self.kind, DiscountKind::Code(_))
    }
}
