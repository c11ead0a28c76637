//! Countries, currencies, companies, users, messages, taxes and the small registers that others point to.

use super::{
    Field, Kind, Model, Version, boolean, char, date, datetime, float, html, int, many, many_many, one,
    select, text,
};

/// A register with a name and nothing that matters more.
fn register(name: &'static str, label: &'static str) -> Model {
    Model::new(
        name,
        label,
        "id",
        vec![
            char("name", "Name").required().indexed(),
            char("code", "Code").indexed(),
            int("sequence", "Sequence"),
            one("company_id", "Company", "res.company"),
            boolean("active", "Active"),
        ],
    )
}

pub(super) fn models(version: Version) -> Vec<Model> {
    let mut models = vec![
        country(),
        state(),
        currency(),
        lang(),
        company(version),
        users(),
        external_id(),
        model(),
        model_field(),
        tax(version),
    ];
    models.extend([
        message(),
        outgoing_mail(),
        Model::new(
            "res.partner.category",
            "Partner Tags",
            "name, id",
            vec![
                char("name", "Name").required(),
                one("parent_id", "Category", "res.partner.category"),
                boolean("active", "Active"),
            ],
        ),
        register("account.payment.term", "Payment Terms"),
        register("account.fiscal.position", "Fiscal Position"),
        register("account.tax.group", "Tax Group"),
        register("crm.tag", "CRM Tag"),
        register("delivery.carrier", "Shipping Methods"),
        Model::new(
            "ir.config_parameter",
            "System Parameter",
            "key",
            vec![char("key", "Key").required(), text("value", "Value")],
        ),
        Model::new(
            "decimal.precision",
            "Decimal Precision",
            "id",
            vec![char("name", "Usage").required(), int("digits", "Digits")],
        ),
    ]);
    if version.before_19() {
        models.push(register("res.partner.title", "Partner Title"));
        models.push(register("procurement.group", "Procurement Group"));
    }
    models
}

fn country() -> Model {
    Model::new(
        "res.country",
        "Country",
        "name, id",
        vec![
            char("name", "Country Name").required(),
            char("code", "Country Code").required().indexed(),
            one("currency_id", "Currency", "res.currency"),
            int("phone_code", "Country Calling Code"),
            many("state_ids", "States", "res.country.state", "country_id"),
        ],
    )
}

fn state() -> Model {
    Model::new(
        "res.country.state",
        "Country state",
        "code, id",
        vec![
            one("country_id", "Country", "res.country").required(),
            char("name", "State Name").required(),
            char("code", "State Code").required().indexed(),
        ],
    )
}

fn currency() -> Model {
    Model::new(
        "res.currency",
        "Currency",
        "id",
        vec![
            char("name", "Currency").required().indexed(),
            char("full_name", "Name"),
            char("symbol", "Symbol").required(),
            float("rate", "Current Rate"),
            float("rounding", "Rounding Factor"),
            int("decimal_places", "Decimal Places"),
            boolean("active", "Active"),
        ],
    )
}

fn lang() -> Model {
    Model::new(
        "res.lang",
        "Languages",
        "name, id",
        vec![
            char("name", "Name").required(),
            char("code", "Locale Code").required().indexed(),
            char("iso_code", "ISO code"),
            char("url_code", "URL Code"),
            boolean("active", "Active"),
        ],
    )
}

fn company(version: Version) -> Model {
    let mut fields = vec![
        char("name", "Company Name").required(),
        one("partner_id", "Partner", "res.partner").required(),
        one("currency_id", "Currency", "res.currency").required(),
        one("country_id", "Country", "res.country"),
        select(
            "tax_calculation_rounding_method",
            "Tax Calculation Rounding Method",
            &[
                ("round_per_line", "Round per Line"),
                ("round_globally", "Round Globally"),
            ],
        ),
        one("account_sale_tax_id", "Default Sale Tax", "account.tax"),
        select(
            "account_price_include",
            "Default Sales Price Include",
            &[("tax_included", "Tax Included"), ("tax_excluded", "Tax Excluded")],
        ),
        boolean("active", "Active"),
        date("fiscalyear_lock_date", "Global Lock Date"),
        date("tax_lock_date", "Tax Return Lock Date"),
    ];
    if version == Version::V17 {
        fields.push(date("period_lock_date", "Journals Entries Lock Date"));
    } else {
        fields.push(date("sale_lock_date", "Lock Sales"));
        fields.push(date("purchase_lock_date", "Lock Purchases"));
        fields.push(date("hard_lock_date", "Hard Lock Date"));
    }
    Model::new("res.company", "Companies", "id", fields)
}

fn users() -> Model {
    Model::new(
        "res.users",
        "User",
        "login, id",
        vec![
            char("login", "Login").required().indexed(),
            char("name", "Name").live(),
            char("email", "Email").live(),
            one("partner_id", "Related Partner", "res.partner").required(),
            one("company_id", "Company", "res.company").required(),
            many_many("company_ids", "Companies", "res.company"),
            Field::new("lang", "Language", Kind::Lang),
            Field::new("tz", "Timezone", Kind::Timezone),
            boolean("share", "Share User"),
            boolean("active", "Active"),
        ],
    )
}

/// External ids. Two columns are not Odoo's: the name and the record in one piece, to look them up by.
fn external_id() -> Model {
    Model::new(
        "ir.model.data",
        "Model Data",
        "id",
        vec![
            char("module", "Module"),
            char("name", "External Identifier"),
            char("model", "Model Name").required(),
            int("res_id", "Record ID"),
            boolean("noupdate", "Non Updatable"),
            char("complete_name", "Complete ID").indexed(),
            char("reference", "Reference").indexed(),
        ],
    )
}

fn model() -> Model {
    Model::new(
        "ir.model",
        "Models",
        "model",
        vec![
            char("model", "Model").required().indexed(),
            char("name", "Model Description").required(),
            select("state", "Type", ORIGINS),
            many("field_id", "Fields", "ir.model.fields", "model_id"),
        ],
    )
}

const ORIGINS: &[(&str, &str)] = &[("manual", "Custom"), ("base", "Base")];

/// Custom fields; those that models bring along are told by `fields_get` and not kept here.
fn model_field() -> Model {
    Model::new(
        "ir.model.fields",
        "Fields",
        "name, id",
        vec![
            char("name", "Field Name").required().indexed(),
            char("model", "Model Name").indexed().computed(),
            one("model_id", "Model", "ir.model").required(),
            char("field_description", "Field Label").required(),
            select(
                "ttype",
                "Field Type",
                &[
                    ("boolean", "boolean"),
                    ("char", "char"),
                    ("date", "date"),
                    ("datetime", "datetime"),
                    ("float", "float"),
                    ("html", "html"),
                    ("integer", "integer"),
                    ("many2one", "many2one"),
                    ("monetary", "monetary"),
                    ("selection", "selection"),
                    ("text", "text"),
                ],
            )
            .required(),
            select("state", "Type", ORIGINS),
            text("help", "Field Help"),
            char("relation", "Related Model"),
            boolean("required", "Required"),
            boolean("readonly", "Readonly"),
            boolean("index", "Indexed"),
            boolean("store", "Stored"),
            boolean("copied", "Copied"),
        ],
    )
}

fn tax(version: Version) -> Model {
    let included = boolean("price_include", "Included in Price");
    let mut fields = vec![
        char("name", "Tax Name").required(),
        select(
            "type_tax_use",
            "Tax Type",
            &[("sale", "Sales"), ("purchase", "Purchases"), ("none", "None")],
        )
        .required(),
        select(
            "amount_type",
            "Tax Computation",
            &[
                ("percent", "Percentage"),
                ("fixed", "Fixed"),
                ("division", "Percentage Tax Included"),
            ],
        ),
        float("amount", "Amount").digits(4),
        if version == Version::V17 {
            included
        } else {
            included.computed()
        },
        boolean("include_base_amount", "Affect Base of Subsequent Taxes"),
        int("sequence", "Sequence"),
        one("company_id", "Company", "res.company").required(),
        one("country_id", "Country", "res.country"),
        one("tax_group_id", "Tax Group", "account.tax.group"),
        html("description", "Description"),
        char("invoice_label", "Label on Invoices"),
        boolean("active", "Active"),
    ];
    if version != Version::V17 {
        fields.push(select(
            "price_include_override",
            "Included in Price",
            &[("tax_included", "Tax Included"), ("tax_excluded", "Tax Excluded")],
        ));
    }
    Model::new("account.tax", "Tax", "sequence, id", fields)
}

fn message() -> Model {
    Model::new(
        "mail.message",
        "Message",
        "id desc",
        vec![
            char("model", "Related Document Model"),
            int("res_id", "Related Document ID"),
            char("reference", "Reference").indexed(),
            char("subject", "Subject"),
            html("body", "Contents"),
            char("message_type", "Type"),
            char("subtype", "Subtype"),
            one("author_id", "Author", "res.partner"),
            datetime("date", "Date"),
        ],
    )
}

/// Mails that would leave the house.
fn outgoing_mail() -> Model {
    Model::new(
        "mail.mail",
        "Outgoing Mails",
        "id desc",
        vec![
            char("subject", "Subject"),
            char("model", "Related Document Model"),
            int("res_id", "Related Document ID"),
            one("recipient_id", "To", "res.partner"),
            char("state", "Status"),
        ],
    )
}
