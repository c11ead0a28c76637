//! What a shop declares, as far as mappings may read it: `settings.…`.

use rust_decimal::Decimal;

use crate::domain::canonical;
use crate::domain::{Canonical as _, Shape};

canonical! {
    /// A shop's own values. All of them may stand in expressions as `settings.NAME`. What every new order gets from the
    /// shop's ERP settings (warehouse, sales team, salesperson, price list) the ERP's adapter adds by itself.
    ShopFacts {
        /// The shop's name in the configuration.
        name: String,
        /// Where its records stand in Shopify's admin, e.g. `https://main-store.myshopify.com/admin`: `/customers/NUMBER`,
        /// `/products/NUMBER` and `/orders/NUMBER` lead from there to a record.
        admin_url: String,
        /// The currency of the ERP's company, e.g. `EUR`; none in previews without an ERP.
        company_currency: Option<String>,
        /// The country of the ERP's company, e.g. `DE`; known only where customers are brought to the shop.
        company_country: Option<String>,
        /// The partner (its database id) on which all guests are booked, where the shop wants that.
        guest_partner: Option<i64>,
        /// For an order, who buys, as the customer link's id: the customer's number or `guest_…`. None where all guests
        /// are booked on `guest_partner`, and for other records.
        buyer: Option<String>,
        /// Whether orders of a test gateway are booked.
        book_test_orders: bool,
        /// The largest difference that may go on a visible rounding line, in the order's currency.
        rounding_limit: Decimal,
        /// How many decimals of a unit price the ERP keeps; none where it keeps all.
        price_digits: Option<u32>,
        /// How far an order's tax may be from Shopify's while the total is exact.
        tax_tolerance: Decimal,
    }
}

impl Default for ShopFacts {
    fn default() -> Self {
        Self {
            name: "main".to_owned(),
            admin_url: "https://main-store.myshopify.com/admin".to_owned(),
            company_currency: None,
            company_country: None,
            guest_partner: None,
            buyer: None,
            book_test_orders: false,
            rounding_limit: Decimal::new(2, 2),
            price_digits: None,
            tax_tolerance: Decimal::new(2, 2),
        }
    }
}

/// The shape of `settings`.
pub(super) fn settings_shape() -> Shape {
    ShopFacts::shape()
}
