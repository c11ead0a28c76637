//! Sale orders and their lines.

use super::{
    Field, Kind, Model, Version, boolean, char, date, datetime, float, html, int, many, many_many, money,
    one, select, text,
};

pub(super) fn models(version: Version) -> Vec<Model> {
    vec![order(), line(version)]
}

const STATES: &[(&str, &str)] = &[
    ("draft", "Quotation"),
    ("sent", "Quotation Sent"),
    ("sale", "Sales Order"),
    ("cancel", "Cancelled"),
];
const INVOICE_STATES: &[(&str, &str)] = &[
    ("upselling", "Upselling Opportunity"),
    ("invoiced", "Fully Invoiced"),
    ("to invoice", "To Invoice"),
    ("no", "Nothing to Invoice"),
];
const DELIVERY_STATES: &[(&str, &str)] = &[
    ("pending", "Not Delivered"),
    ("started", "Started"),
    ("partial", "Partially Delivered"),
    ("full", "Fully Delivered"),
];
const DISPLAY_TYPES: &[(&str, &str)] = &[("line_section", "Section"), ("line_note", "Note")];
const DISPLAY_TYPES_19: &[(&str, &str)] = &[
    ("line_section", "Section"),
    ("line_subsection", "Subsection"),
    ("line_note", "Note"),
];

fn order() -> Model {
    Model::new(
        "sale.order",
        "Sales Order",
        "date_order desc, id desc",
        vec![
            char("name", "Order Reference").required().indexed(),
            one("partner_id", "Customer", "res.partner").required(),
            one("partner_invoice_id", "Invoice Address", "res.partner").required(),
            one("partner_shipping_id", "Delivery Address", "res.partner").required(),
            datetime("date_order", "Order Date").required(),
            select("state", "Status", STATES),
            boolean("locked", "Locked"),
            char("client_order_ref", "Customer Reference").indexed(),
            char("origin", "Source Document").indexed(),
            char("reference", "Payment Ref."),
            html("note", "Terms and conditions"),
            one("company_id", "Company", "res.company").required(),
            one("currency_id", "Currency", "res.currency").computed(),
            float("currency_rate", "Currency Rate").computed(),
            one("pricelist_id", "Pricelist", "product.pricelist"),
            one("user_id", "Salesperson", "res.users"),
            one("team_id", "Sales Team", "crm.team"),
            one("warehouse_id", "Warehouse", "stock.warehouse"),
            one("payment_term_id", "Payment Terms", "account.payment.term"),
            one("fiscal_position_id", "Fiscal Position", "account.fiscal.position"),
            one("carrier_id", "Delivery Method", "delivery.carrier"),
            many_many("tag_ids", "Tags", "crm.tag"),
            datetime("commitment_date", "Delivery Date"),
            date("validity_date", "Expiration"),
            boolean("require_signature", "Online signature"),
            boolean("require_payment", "Online payment"),
            many("order_line", "Order Lines", "sale.order.line", "order_id"),
            money("amount_untaxed", "Untaxed Amount").computed(),
            money("amount_tax", "Taxes").computed(),
            money("amount_total", "Total").computed(),
            Field::new("tax_totals", "Tax Totals", Kind::Json).live(),
            select("invoice_status", "Invoice Status", INVOICE_STATES).computed(),
            select("delivery_status", "Delivery Status", DELIVERY_STATES).live(),
            many("picking_ids", "Transfers", "stock.picking", "sale_id"),
            int("delivery_count", "Delivery Orders").live(),
            many_many("invoice_ids", "Invoices", "account.move").live(),
            int("invoice_count", "Invoice Count").live(),
            one("journal_id", "Invoicing Journal", "account.journal"),
            many_many("message_ids", "Messages", "mail.message").live(),
        ],
    )
}

fn line(version: Version) -> Model {
    let (unit, taxes) = sale_line_names(version);
    let display = if version.before_19() {
        DISPLAY_TYPES
    } else {
        DISPLAY_TYPES_19
    };
    Model::new(
        "sale.order.line",
        "Sales Order Line",
        "order_id, sequence, id",
        vec![
            one("order_id", "Order Reference", "sale.order").required(),
            one("product_id", "Product", "product.product"),
            one("product_template_id", "Product Template", "product.template").live(),
            text("name", "Description").required(),
            float("product_uom_qty", "Quantity").digits(2),
            one(unit, "Unit", "uom.uom"),
            float("price_unit", "Unit Price").digits_before_19(version, 2),
            float("technical_price_unit", "Technical Price Unit"),
            float("discount", "Discount (%)").digits(2),
            many_many(taxes, "Taxes", "account.tax"),
            money("price_subtotal", "Subtotal").computed(),
            float("price_tax", "Total Tax").computed(),
            money("price_total", "Total").computed(),
            int("sequence", "Sequence"),
            select("display_type", "Display Type", display),
            boolean("is_delivery", "Is a Delivery"),
            boolean("is_downpayment", "Is a down payment"),
            float("customer_lead", "Lead Time"),
            float("qty_delivered", "Delivery Quantity").digits(2),
            float("qty_invoiced", "Invoiced Quantity").computed(),
            float("qty_to_invoice", "Quantity To Invoice").computed(),
            select("invoice_status", "Invoice Status", INVOICE_STATES).computed(),
            many_many("invoice_lines", "Invoice Lines", "account.move.line").live(),
            one("currency_id", "Currency", "res.currency").live(),
            one("company_id", "Company", "res.company").live(),
            one("order_partner_id", "Customer", "res.partner").live(),
            select("state", "Order Status", STATES).live(),
            many("move_ids", "Stock Moves", "stock.move", "sale_line_id"),
        ],
    )
}

/// What a line calls its unit and its taxes.
pub(in crate::sandbox::odoo) const fn sale_line_names(version: Version) -> (&'static str, &'static str) {
    match version {
        Version::V17 | Version::V18 => ("product_uom", "tax_id"),
        Version::V19 => ("product_uom_id", "tax_ids"),
    }
}
