//! Partners and products as the books show them.

use rust_decimal::Decimal;

use super::views::Record;
use crate::sandbox::odoo::env::Env;
use crate::sandbox::odoo::external;

/// One partner: customer, company or address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartnerView {
    /// Database id.
    pub id: i64,
    /// External ids, oldest first.
    pub external_ids: Vec<String>,
    /// Name.
    pub name: String,
    /// E-mail as entered.
    pub email: Option<String>,
    /// E-mail as compared.
    pub email_normalized: Option<String>,
    /// Phone.
    pub phone: Option<String>,
    /// `contact`, `invoice`, `delivery` or `other`.
    pub kind: String,
    /// The record it is an address of.
    pub parent_id: Option<i64>,
    /// Street.
    pub street: Option<String>,
    /// Second line.
    pub street2: Option<String>,
    /// Postcode.
    pub zip: Option<String>,
    /// City.
    pub city: Option<String>,
    /// ISO code of the country.
    pub country: Option<String>,
    /// Code of the state.
    pub state: Option<String>,
    /// Tax number.
    pub vat: Option<String>,
    /// Language code.
    pub lang: Option<String>,
    /// Company it belongs to; none is all.
    pub company_id: Option<i64>,
    /// Whether it is a company.
    pub is_company: bool,
    /// Own reference.
    pub reference: Option<String>,
    /// How much of a customer it is: 0 is none.
    pub customer_rank: i64,
    /// False when archived.
    pub active: bool,
}

/// One product variant.
#[derive(Debug, Clone, PartialEq)]
pub struct ProductView {
    /// Database id of the variant.
    pub id: i64,
    /// Database id of its template.
    pub template_id: i64,
    /// External ids of the variant.
    pub external_ids: Vec<String>,
    /// External ids of the template.
    pub template_external_ids: Vec<String>,
    /// Name of the template.
    pub name: String,
    /// SKU.
    pub sku: Option<String>,
    /// Barcode.
    pub barcode: Option<String>,
    /// Price of the template.
    pub list_price: Decimal,
    /// Price of this variant: with the extras of its values.
    pub price: Decimal,
    /// Weight in kg.
    pub weight: Decimal,
    /// Values by attribute, in the order of the template's lines.
    pub options: Vec<(String, String)>,
    /// `consu`, `service` or `combo`.
    pub kind: String,
    /// False when archived.
    pub active: bool,
}

pub(super) fn partner(env: &Env<'_>, id: i64) -> PartnerView {
    let row = Record {
        env,
        model: "res.partner",
        id,
    };
    PartnerView {
        id,
        external_ids: row.external_ids(),
        name: row.word("name"),
        email: row.text("email"),
        email_normalized: row.text("email_normalized"),
        phone: row.text("phone"),
        kind: row.word("type"),
        parent_id: row.one("parent_id"),
        street: row.text("street"),
        street2: row.text("street2"),
        zip: row.text("zip"),
        city: row.text("city"),
        country: row.of("country_id", "res.country", "code"),
        state: row.of("state_id", "res.country.state", "code"),
        vat: row.text("vat"),
        lang: row.text("lang"),
        company_id: row.one("company_id"),
        is_company: row.is("is_company"),
        reference: row.text("ref"),
        customer_rank: row.id("customer_rank"),
        active: row.is("active"),
    }
}

pub(super) fn product(env: &Env<'_>, id: i64) -> ProductView {
    let row = Record {
        env,
        model: "product.product",
        id,
    };
    let template = row.id("product_tmpl_id");
    let values = env
        .ids("product.product", id, "product_template_attribute_value_ids")
        .into_iter();
    ProductView {
        id,
        template_id: template,
        external_ids: row.external_ids(),
        template_external_ids: external::names(env, "product.template", template),
        name: row.word("name"),
        sku: row.text("default_code"),
        barcode: row.text("barcode"),
        list_price: row.dec("list_price"),
        price: row.dec("lst_price"),
        weight: row.dec("weight"),
        options: values
            .map(|value| {
                let offered = Record {
                    env,
                    model: "product.template.attribute.value",
                    id: value,
                };
                (
                    offered
                        .of("attribute_id", "product.attribute", "name")
                        .unwrap_or_default(),
                    offered.word("name"),
                )
            })
            .collect(),
        kind: row.word("type"),
        active: row.is("active"),
    }
}
