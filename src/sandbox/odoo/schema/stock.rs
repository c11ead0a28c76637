//! Warehouses and the transfers that a confirmed order makes.

use super::{Model, Version, boolean, char, datetime, float, int, many, many_many, one, select};

pub(super) fn models(version: Version) -> Vec<Model> {
    vec![
        warehouse(),
        location(),
        picking(version),
        stock_move(version),
        backorder(),
        quant(),
    ]
}

const PICKING_STATES: &[(&str, &str)] = &[
    ("draft", "Draft"),
    ("waiting", "Waiting Another Operation"),
    ("confirmed", "Waiting"),
    ("assigned", "Ready"),
    ("done", "Done"),
    ("cancel", "Cancelled"),
];

const MOVE_STATES: &[(&str, &str)] = &[
    ("draft", "New"),
    ("waiting", "Waiting Another Move"),
    ("confirmed", "Waiting Availability"),
    ("partially_available", "Partially Available"),
    ("assigned", "Available"),
    ("done", "Done"),
    ("cancel", "Cancelled"),
];

fn warehouse() -> Model {
    Model::new(
        "stock.warehouse",
        "Warehouse",
        "sequence, id",
        vec![
            char("name", "Warehouse").required(),
            char("code", "Short Name").required(),
            int("sequence", "Sequence"),
            one("company_id", "Company", "res.company").required(),
            one("lot_stock_id", "Location Stock", "stock.location"),
            boolean("active", "Active"),
        ],
    )
}

fn location() -> Model {
    Model::new(
        "stock.location",
        "Inventory Locations",
        "id",
        vec![
            char("name", "Location Name").required(),
            char("complete_name", "Full Location Name"),
            select(
                "usage",
                "Location Type",
                &[
                    ("internal", "Internal Location"),
                    ("customer", "Customer Location"),
                    ("supplier", "Vendor Location"),
                ],
            ),
            one("company_id", "Company", "res.company"),
            boolean("active", "Active"),
        ],
    )
}

fn picking(version: Version) -> Model {
    let mut fields = vec![
        char("name", "Reference"),
        char("origin", "Source Document"),
        one("partner_id", "Contact", "res.partner"),
        one("sale_id", "Sales Order", "sale.order"),
        select("state", "Status", PICKING_STATES).computed(),
        select(
            "picking_type_code",
            "Type of Operation",
            &[
                ("incoming", "Receipt"),
                ("outgoing", "Delivery"),
                ("internal", "Internal Transfer"),
                ("dropship", "Dropship"),
            ],
        ),
        boolean("is_dropship", "Is a Dropship").computed(),
        datetime("scheduled_date", "Scheduled Date"),
        datetime("date_done", "Date of Transfer"),
        char("carrier_tracking_ref", "Tracking Reference"),
        one("carrier_id", "Carrier", "delivery.carrier"),
        one("backorder_id", "Back Order of", "stock.picking"),
        one("company_id", "Company", "res.company"),
        many("move_ids", "Stock Moves", "stock.move", "picking_id"),
        many_many("message_ids", "Messages", "mail.message").live(),
    ];
    if version.before_19() {
        fields.push(one("group_id", "Procurement Group", "procurement.group"));
        fields.push(many(
            "move_ids_without_package",
            "Stock move",
            "stock.move",
            "picking_id",
        ));
    }
    Model::new("stock.picking", "Transfer", "id desc", fields)
}

fn stock_move(version: Version) -> Model {
    let mut fields = vec![
        one("picking_id", "Transfer", "stock.picking"),
        one("product_id", "Product", "product.product").required(),
        one("sale_line_id", "Sale Line", "sale.order.line"),
        float("product_uom_qty", "Demand").digits(2),
        float("quantity", "Quantity").digits(2),
        boolean("picked", "Picked"),
        select("state", "Status", MOVE_STATES).computed(),
        datetime("date", "Date Scheduled"),
    ];
    if version.before_19() {
        fields.push(char("name", "Description"));
    }
    Model::new("stock.move", "Stock Move", "id", fields)
}

/// The wizard that asks what to do with the rest.
fn backorder() -> Model {
    Model::new(
        "stock.backorder.confirmation",
        "Backorder Confirmation",
        "id",
        vec![many_many("pick_ids", "Transfers", "stock.picking")],
    )
}

/// How many of a product lie where.
fn quant() -> Model {
    Model::new(
        "stock.quant",
        "Quants",
        "id",
        vec![
            one("product_id", "Product", "product.product").required(),
            one("location_id", "Location", "stock.location").required(),
            one("company_id", "Company", "res.company"),
            float("quantity", "Quantity").digits(2),
            float("reserved_quantity", "Reserved Quantity").live(),
            float("available_quantity", "Available Quantity").live(),
            float("inventory_quantity", "Counted Quantity").digits(2),
            boolean("inventory_quantity_set", "Inventory Quantity Set"),
            float("inventory_quantity_auto_apply", "Inventoried Quantity").live(),
        ],
    )
}
