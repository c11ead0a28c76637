//! The kinds of orders that a shop sees.

/// Kinds of orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum OrderKind {
    /// A customer of the shop, tax in the prices, parcel, paid.
    Everyday,
    /// Tax on top of the prices, two taxes on each line.
    TaxOnTop,
    /// Two tax rates in one order, tax in the prices.
    TwoRates,
    /// A discount on one line, by amount per unit.
    LineDiscount,
    /// A percentage code over the whole order.
    PercentCode,
    /// An amount as a code over the whole order.
    AmountCode,
    /// A code that makes shipping free.
    FreeShipping,
    /// A line discount and a code together.
    StackedDiscounts,
    /// No account, e-mail only.
    Guest,
    /// Sold at the till to nobody known; no address, no shipping.
    PointOfSale,
    /// A company with a VAT number, no tax charged.
    Company,
    /// A customer with a phone and no e-mail.
    PhoneOnly,
    /// Billing and shipping addresses differ.
    GiftToOthers,
    /// To be paid by bank transfer.
    Pending,
    /// Reserved on a card, not captured.
    Authorized,
    /// Partly paid with a gift card.
    GiftCardRedeemed,
    /// A gift card is sold.
    GiftCardSold,
    /// A line that is no product of the shop.
    CustomLine,
    /// Components of a bundle.
    Bundle,
    /// Paid in another currency.
    ForeignCurrency,
    /// With a tip.
    Tip,
    /// Paid in cash, rounded to five cents.
    CashRounding,
    /// Sent abroad with duties.
    Duties,
    /// More lines than a page holds.
    ManyLines,
    /// Everything is free.
    ZeroTotal,
    /// Made by a test gateway.
    Test,
}

impl OrderKind {
    /// Every kind.
    pub const ALL: [Self; 26] = [
        Self::Everyday,
        Self::TaxOnTop,
        Self::TwoRates,
        Self::LineDiscount,
        Self::PercentCode,
        Self::AmountCode,
        Self::FreeShipping,
        Self::StackedDiscounts,
        Self::Guest,
        Self::PointOfSale,
        Self::Company,
        Self::PhoneOnly,
        Self::GiftToOthers,
        Self::Pending,
        Self::Authorized,
        Self::GiftCardRedeemed,
        Self::GiftCardSold,
        Self::CustomLine,
        Self::Bundle,
        Self::ForeignCurrency,
        Self::Tip,
        Self::CashRounding,
        Self::Duties,
        Self::ManyLines,
        Self::ZeroTotal,
        Self::Test,
    ];

    /// What every shop has every day.
    pub const EVERYDAY: [Self; 14] = [
        Self::Everyday,
        Self::TaxOnTop,
        Self::TwoRates,
        Self::LineDiscount,
        Self::PercentCode,
        Self::AmountCode,
        Self::FreeShipping,
        Self::StackedDiscounts,
        Self::Guest,
        Self::PhoneOnly,
        Self::GiftToOthers,
        Self::Pending,
        Self::Authorized,
        Self::Everyday,
    ];
}
