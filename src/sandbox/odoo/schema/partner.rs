//! Contacts, sales teams and price lists.

use super::{
    Field, Kind, Model, Version, boolean, char, float, html, image, int, many, many_many, one, select,
};

/// Kinds of address.
const TYPES: &[(&str, &str)] = &[
    ("contact", "Contact"),
    ("invoice", "Invoice Address"),
    ("delivery", "Delivery Address"),
    ("other", "Other Address"),
];

pub(super) fn models(version: Version) -> Vec<Model> {
    vec![partner(version), team(), pricelist()]
}

fn partner(version: Version) -> Model {
    let mut fields = vec![
        char("name", "Name").indexed(),
        char("complete_name", "Complete Name").computed(),
        char("email", "Email").indexed(),
        char("email_normalized", "Normalized Email").computed().indexed(),
        char("phone", "Phone").indexed(),
        char("street", "Street"),
        char("street2", "Street2"),
        char("city", "City"),
        char("zip", "Zip"),
        one("state_id", "State", "res.country.state"),
        one("country_id", "Country", "res.country"),
        char("country_code", "Country Code").live(),
        char("vat", "Tax ID").indexed(),
        char("company_registry", "Company ID"),
        Field::new("lang", "Language", Kind::Lang),
        Field::new("tz", "Timezone", Kind::Timezone),
        select("type", "Address Type", TYPES),
        one("parent_id", "Related Company", "res.partner"),
        many("child_ids", "Contact", "res.partner", "parent_id"),
        one("commercial_partner_id", "Commercial Entity", "res.partner").computed(),
        one("company_id", "Company", "res.company"),
        boolean("is_company", "Is a Company"),
        select(
            "company_type",
            "Company Type",
            &[("person", "Individual"), ("company", "Company")],
        )
        .live(),
        char("company_name", "Company Name"),
        char("ref", "Reference").indexed(),
        html("comment", "Notes"),
        char("website", "Website Link"),
        char("function", "Job Position"),
        char("barcode", "Barcode"),
        many_many("category_id", "Tags", "res.partner.category"),
        one("user_id", "Salesperson", "res.users"),
        many("user_ids", "Users", "res.users", "partner_id"),
        boolean("employee", "Employee"),
        int("color", "Color Index"),
        int("customer_rank", "Customer Rank"),
        int("supplier_rank", "Supplier Rank"),
        one("property_product_pricelist", "Pricelist", "product.pricelist"),
        one(
            "property_payment_term_id",
            "Customer Payment Terms",
            "account.payment.term",
        ),
        one(
            "property_account_position_id",
            "Fiscal Position",
            "account.fiscal.position",
        ),
        many("sale_order_ids", "Sales Order", "sale.order", "partner_id"),
        int("sale_order_count", "Sale Order Count").live(),
        many_many("message_ids", "Messages", "mail.message").live(),
        image("image_1920", "Image"),
        boolean("active", "Active"),
    ];
    if version.before_19() {
        fields.push(char("mobile", "Mobile"));
        fields.push(one("title", "Title", "res.partner.title"));
    }
    Model::new("res.partner", "Contact", "complete_name, id desc", fields)
}

fn team() -> Model {
    Model::new(
        "crm.team",
        "Sales Team",
        "sequence, id desc",
        vec![
            char("name", "Sales Team").required(),
            int("sequence", "Sequence"),
            one("company_id", "Company", "res.company"),
            one("user_id", "Team Leader", "res.users"),
            boolean("active", "Active"),
        ],
    )
}

fn pricelist() -> Model {
    Model::new(
        "product.pricelist",
        "Pricelist",
        "sequence, id",
        vec![
            char("name", "Pricelist Name").required(),
            one("currency_id", "Currency", "res.currency").required(),
            one("company_id", "Company", "res.company"),
            int("sequence", "Sequence"),
            float("discount", "Discount").live(),
            boolean("active", "Active"),
        ],
    )
}
