//! Products, their options and variants, categories and units.

use super::{
    Field, Model, Version, boolean, char, float, html, image, int, many, many_many, one, select, text,
};

pub(super) fn models(version: Version) -> Vec<Model> {
    vec![
        template(version),
        variant(version),
        attribute(),
        attribute_value(),
        attribute_line(),
        template_value(),
        category(),
        unit(version),
    ]
}

/// What the product type may be: 17 had three, later ones say "storable" apart.
const TYPES_17: &[(&str, &str)] = &[
    ("consu", "Consumable"),
    ("service", "Service"),
    ("product", "Storable Product"),
];
const TYPES: &[(&str, &str)] = &[("consu", "Goods"), ("service", "Service"), ("combo", "Combo")];

/// Fields that belong to the template and that its variants show as their own.
fn shared(version: Version) -> Vec<Field> {
    let mut fields = vec![
        char("name", "Name").required().indexed(),
        float("list_price", "Sales Price").digits_before_19(version, 2),
        one("uom_id", "Unit", "uom.uom").required(),
        many_many("taxes_id", "Sales Taxes", "account.tax"),
        many_many("supplier_taxes_id", "Purchase Taxes", "account.tax"),
        boolean("sale_ok", "Sales"),
        boolean("purchase_ok", "Purchase"),
        html("description", "Description"),
        text("description_sale", "Sales Description"),
        text("description_purchase", "Purchase Description"),
        one("company_id", "Company", "res.company"),
        one("currency_id", "Currency", "res.currency").live(),
        select(
            "invoice_policy",
            "Invoicing Policy",
            &[
                ("order", "Ordered quantities"),
                ("delivery", "Delivered quantities"),
            ],
        ),
        select(
            "tracking",
            "Tracking",
            &[
                ("none", "By Quantity"),
                ("lot", "By Lots"),
                ("serial", "By Unique Serial Number"),
            ],
        ),
        int("sequence", "Sequence"),
        boolean("is_favorite", "Favorite"),
        many(
            "attribute_line_ids",
            "Product Attributes",
            "product.template.attribute.line",
            "product_tmpl_id",
        ),
        int("product_variant_count", "# Product Variants").live(),
    ];
    let category = one("categ_id", "Product Category", "product.category");
    fields.push(if version.before_19() {
        category.required()
    } else {
        category
    });
    if version == Version::V17 {
        fields.push(select("detailed_type", "Product Type", TYPES_17).required());
        fields.push(select("type", "Type", TYPES_17).computed());
    } else {
        fields.push(select("type", "Product Type", TYPES).required());
        fields.push(boolean("is_storable", "Track Inventory"));
    }
    if version.before_19() {
        fields.push(one("uom_po_id", "Purchase Unit", "uom.uom"));
    }
    fields
}

/// Fields that each variant has for itself; a template shows them when it has only one.
fn individual() -> Vec<Field> {
    vec![
        char("default_code", "Internal Reference").indexed(),
        char("barcode", "Barcode").indexed(),
        float("weight", "Weight").digits(2),
        float("volume", "Volume").digits(2),
        float("standard_price", "Cost"),
    ]
}

fn template(version: Version) -> Model {
    let mut fields = shared(version);
    fields.extend(individual().into_iter().map(Field::live));
    fields.extend([
        many(
            "product_variant_ids",
            "Products",
            "product.product",
            "product_tmpl_id",
        ),
        one("product_variant_id", "Product", "product.product").live(),
        float("qty_available", "Quantity On Hand").live(),
        float("virtual_available", "Forecasted Quantity").live(),
        image("image_1920", "Image"),
        many_many("message_ids", "Messages", "mail.message").live(),
        boolean("active", "Active"),
    ]);
    Model::new(
        "product.template",
        "Product",
        "is_favorite desc, name, id",
        fields,
    )
}

fn variant(version: Version) -> Model {
    let mut fields: Vec<Field> = shared(version)
        .into_iter()
        .map(|field| {
            if field.origin == super::Origin::Live {
                field
            } else {
                field.template()
            }
        })
        .map(|mut field| {
            field.required = false;
            field.indexed = false;
            if field.name == "attribute_line_ids" {
                field.kind = super::Kind::ManyMany("product.template.attribute.line");
            }
            field
        })
        .collect();
    fields.extend(individual());
    fields.extend([
        one("product_tmpl_id", "Product Template", "product.template").required(),
        float("lst_price", "Sales Price").live(),
        float("price_extra", "Variant Price Extra").live(),
        float("qty_available", "Quantity On Hand").live(),
        float("free_qty", "Free To Use Quantity").live(),
        float("virtual_available", "Forecasted Quantity").live(),
        float("incoming_qty", "Incoming").live(),
        float("outgoing_qty", "Outgoing").live(),
        many_many(
            "product_template_attribute_value_ids",
            "Attribute Values",
            "product.template.attribute.value",
        ),
        many_many(
            "product_template_variant_value_ids",
            "Variant Values",
            "product.template.attribute.value",
        )
        .live(),
        char("combination_indices", "Combination Indices").computed(),
        char("partner_ref", "Customer Ref").live(),
        image("image_1920", "Image"),
        image("image_variant_1920", "Variant Image"),
        many_many("message_ids", "Messages", "mail.message").live(),
        boolean("active", "Active"),
    ]);
    Model::new("product.product", "Product Variant", "default_code, id", fields)
}

fn attribute() -> Model {
    Model::new(
        "product.attribute",
        "Product Attribute",
        "sequence, id",
        vec![
            char("name", "Attribute").required().indexed(),
            select(
                "create_variant",
                "Variant Creation",
                &[
                    ("always", "Instantly"),
                    ("dynamic", "Dynamically"),
                    ("no_variant", "Never"),
                ],
            )
            .required(),
            select(
                "display_type",
                "Display Type",
                &[
                    ("radio", "Radio"),
                    ("pills", "Pills"),
                    ("select", "Select"),
                    ("color", "Color"),
                    ("multi", "Multi-checkbox"),
                ],
            )
            .required(),
            many("value_ids", "Values", "product.attribute.value", "attribute_id"),
            int("sequence", "Sequence"),
            boolean("active", "Active"),
        ],
    )
}

fn attribute_value() -> Model {
    Model::new(
        "product.attribute.value",
        "Attribute Value",
        "sequence, id",
        vec![
            char("name", "Value").required().indexed(),
            one("attribute_id", "Attribute", "product.attribute").required(),
            int("sequence", "Sequence"),
            char("html_color", "Color"),
            boolean("active", "Active"),
        ],
    )
}

fn attribute_line() -> Model {
    Model::new(
        "product.template.attribute.line",
        "Product Template Attribute Line",
        "sequence, id",
        vec![
            one("product_tmpl_id", "Product Template", "product.template").required(),
            one("attribute_id", "Attribute", "product.attribute").required(),
            many_many("value_ids", "Values", "product.attribute.value"),
            many(
                "product_template_value_ids",
                "Product Attribute Values",
                "product.template.attribute.value",
                "attribute_line_id",
            ),
            int("value_count", "Value Count").live(),
            int("sequence", "Sequence"),
            boolean("active", "Active"),
        ],
    )
}

fn template_value() -> Model {
    Model::new(
        "product.template.attribute.value",
        "Product Template Attribute Value",
        "attribute_line_id, id",
        vec![
            char("name", "Value").live(),
            one(
                "product_attribute_value_id",
                "Attribute Value",
                "product.attribute.value",
            )
            .required(),
            one(
                "attribute_line_id",
                "Attribute Line",
                "product.template.attribute.line",
            )
            .required(),
            one("attribute_id", "Attribute", "product.attribute").computed(),
            one("product_tmpl_id", "Product Template", "product.template").computed(),
            float("price_extra", "Extra Price").digits(2),
            boolean("ptav_active", "Active"),
        ],
    )
}

fn category() -> Model {
    Model::new(
        "product.category",
        "Product Category",
        "complete_name, id",
        vec![
            char("name", "Name").required().indexed(),
            char("complete_name", "Complete Name").computed(),
            one("parent_id", "Parent Category", "product.category"),
        ],
    )
}

fn unit(version: Version) -> Model {
    let mut fields = vec![
        char("name", "Unit").required().indexed(),
        float("factor", "Absolute Quantity"),
        boolean("active", "Active"),
    ];
    if version.before_19() {
        fields.push(float("rounding", "Rounding Precision"));
    }
    Model::new("uom.uom", "Product Unit of Measure", "id", fields)
}
