//! What a shop needs in the ERP before orders can be booked, and what there is to choose from.

use rust_decimal::Decimal;
use serde::Serialize;

use crate::domain::ErpId;

/// One thing that a shop needs in the ERP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetupWish {
    /// A currency that orders may be booked in.
    Currency {
        /// Its code.
        code: String,
    },
    /// A price list in a currency: it is what gives an order its currency.
    PriceList {
        /// The currency's code.
        currency: String,
        /// What it is called when it is made.
        label: String,
    },
    /// A service product for lines that are no goods.
    Service {
        /// What for, e.g. `shipping`.
        purpose: String,
        /// What it is called when it is made.
        label: String,
    },
    /// That what is sold as a gift card is owed, not earned: the account behind the product for gift cards.
    GiftCardAccount,
    /// A field of orders for facts that the ERP has no place for.
    OrderField {
        /// Its name.
        name: String,
        /// What people read beside it.
        label: String,
        /// What it holds.
        holds: OrderFieldKind,
    },
}

/// What a field of orders holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderFieldKind {
    /// A short text.
    Text,
    /// A text of several lines.
    Lines,
    /// A number.
    Number,
}

/// How it stands with a wish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetupState {
    /// It is there.
    There(String),
    /// It is not, and can be made.
    Missing {
        /// What would be made.
        note: String,
        /// How a person makes it, should the ERP refuse us after all.
        how: String,
    },
    /// It is not, and the API user may not make it.
    Administrator {
        /// What is to be made, as it is to be typed.
        note: String,
        /// Where and by whom; the same words for all things of a kind.
        how: String,
    },
    /// It is not, and a person has to see to it: what is to be done.
    ByHand(String),
    /// This ERP knows no such thing; nothing is to be done.
    Unneeded(String),
}

/// What there is to choose from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ChoiceKind {
    /// Journals that payments are booked in.
    Journal,
    /// Taxes on sales.
    Tax,
    /// Warehouses.
    Warehouse,
    /// Active currencies.
    Currency,
    /// Delivery carriers.
    Carrier,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Choice {
    /// Its id: how tables of mappings name a tax.
    pub id: ErpId,
    /// Its name: how tables of mappings name everything else.
    pub name: String,
    /// Other texts that it is known by: a short code, a label on invoices.
    pub aliases: Vec<String>,
    /// What tells it from others, for people.
    pub note: String,
    /// A tax's rate in percent.
    pub rate_percent: Option<Decimal>,
    /// Whether prices contain the tax.
    pub is_included: Option<bool>,
}
