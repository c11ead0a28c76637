//! Records as the ERP holds them, neutral of the ERP: what the mappings of the direction out read.

use std::sync::Arc;

use rust_decimal::Decimal;

use super::canonical::canonical;
use super::{OptionValue, ProductOption};
use crate::domain::Timestamp;

canonical! {
    /// A person or company as the ERP has it now.
    Partner {
        /// The ERP's id.
        id: i64,
        /// The whole name.
        name: String,
        /// Given name: the first word of a person's name; none for a company.
        first_name: Option<String>,
        /// Family name: what follows the first word; none for a company.
        last_name: Option<String>,
        /// Whether it is a company and no person.
        is_company: bool,
        /// The company that a person belongs to, else the name of a company itself.
        company_name: Option<String>,
        /// E-mail as entered.
        email: Option<String>,
        /// Phone as entered.
        phone: Option<String>,
        /// Street and number.
        street: Option<String>,
        /// Flat, floor, and so on.
        street2: Option<String>,
        /// Postal code.
        zip: Option<String>,
        /// City.
        city: Option<String>,
        /// Country: ISO 3166-1, two letters.
        country_code: Option<String>,
        /// State or province: the part of ISO 3166-2 after the country.
        province_code: Option<String>,
        /// Language as a tag, e.g. `de` or `pt-BR`.
        locale: Option<String>,
        /// Note as plain text.
        note: Option<String>,
        /// Whether the ERP counts it among the customers.
        is_customer: bool,
        /// The record that it is a contact or an address of.
        belongs_to: Option<i64>,
        /// Whether it is in use (not archived).
        active: bool,
        /// When it last changed, to the second.
        updated_at: Timestamp,
        /// The ERP's own record: what was read of it, by the ERP's field names.
        raw: Arc<serde_json::Value>,
    }
}

canonical! {
    /// One variant as the ERP has it now.
    ErpVariantRecord {
        /// The ERP's id.
        id: i64,
        /// Whether it is in use (not archived).
        active: bool,
        /// Stock keeping unit.
        sku: Option<String>,
        /// Bar code.
        barcode: Option<String>,
        /// Sales price in the company's currency: the product's price with the variant's extras.
        price: Decimal,
        /// What it costs the company, in the company's currency.
        cost: Option<Decimal>,
        /// Weight in kilograms.
        weight_kg: Option<Decimal>,
        /// The chosen option values; empty where the product has one variant only.
        options: Vec<OptionValue>,
        /// The ERP's own record: what was read of it, by the ERP's field names.
        raw: Arc<serde_json::Value>,
    }
}

canonical! {
    /// A product as the ERP has it now.
    ErpProduct {
        /// The ERP's id.
        id: i64,
        /// Name.
        name: String,
        /// The text that customers see, as plain text.
        description: Option<String>,
        /// Whether it is in use (not archived).
        active: bool,
        /// Whether it may be sold.
        saleable: bool,
        /// Sales price without the variants' extras, in the company's currency.
        price: Decimal,
        /// Whether the ERP keeps stock of it.
        stocked: bool,
        /// Whether it is a service.
        service: bool,
        /// The category's name, with those above it.
        category: Option<String>,
        /// Options that variants choose from; empty where there is one variant only.
        options: Vec<ProductOption>,
        /// All variants, archived ones included.
        variants: Vec<ErpVariantRecord>,
        /// When it last changed, to the second.
        updated_at: Timestamp,
        /// The ERP's own record: what was read of it, by the ERP's field names.
        raw: Arc<serde_json::Value>,
    }
}

canonical! {
    /// How many of a variant the ERP has: in one warehouse, or in all of them.
    Stock {
        /// The ERP's id of the variant.
        variant: i64,
        /// What the product is called.
        name: Option<String>,
        /// Stock keeping unit.
        sku: Option<String>,
        /// Whether the ERP keeps stock of it.
        stocked: bool,
        /// Whether it is in use (not archived).
        active: bool,
        /// Units in the shelves.
        on_hand: Decimal,
        /// Units in the shelves that no delivery has reserved.
        free: Decimal,
        /// Units once everything expected has come and everything promised has gone.
        forecast: Decimal,
        /// The ERP's id of the warehouse; none for the sum of all.
        warehouse: Option<i64>,
    }
}
