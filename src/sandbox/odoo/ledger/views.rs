//! Orders and transfers as the books show them.

use std::collections::BTreeMap;

use chrono::{NaiveDate, NaiveDateTime};
use rust_decimal::Decimal;
use serde_json::Value as Json;

use crate::sandbox::odoo::env::Env;
use crate::sandbox::odoo::external;
use crate::sandbox::odoo::schema::sale_line_names;
use crate::sandbox::odoo::value::{Val, show};

/// One sale order.
#[derive(Debug, Clone, PartialEq)]
pub struct OrderView {
    /// Database id.
    pub id: i64,
    /// Odoo's number, such as `S00001`.
    pub name: String,
    /// External ids, oldest first.
    pub external_ids: Vec<String>,
    /// `draft`, `sent`, `sale` or `cancel`.
    pub state: String,
    /// Whether it is locked.
    pub locked: bool,
    /// Customer.
    pub partner_id: i64,
    /// Invoice address.
    pub partner_invoice_id: i64,
    /// Delivery address.
    pub partner_shipping_id: i64,
    /// The customer's reference: the shop's number belongs here.
    pub client_order_ref: Option<String>,
    /// Source document.
    pub origin: Option<String>,
    /// Terms and notes, as cleaned HTML.
    pub note: Option<String>,
    /// ISO code of the order's currency.
    pub currency: String,
    /// Order date, UTC.
    pub date_order: Option<NaiveDateTime>,
    /// Company.
    pub company_id: i64,
    /// Warehouse.
    pub warehouse_id: Option<i64>,
    /// Sales team.
    pub team_id: Option<i64>,
    /// Salesperson.
    pub user_id: Option<i64>,
    /// Price list.
    pub pricelist_id: Option<i64>,
    /// Net.
    pub amount_untaxed: Decimal,
    /// Tax.
    pub amount_tax: Decimal,
    /// Gross.
    pub amount_total: Decimal,
    /// Lines in their order.
    pub lines: Vec<LineView>,
    /// Transfers.
    pub pickings: Vec<PickingView>,
    /// `no`, `to invoice`, `invoiced` or `upselling`.
    pub invoice_status: String,
    /// `pending`, `started`, `partial` or `full`; none without transfers.
    pub delivery_status: Option<String>,
    /// Custom fields (`x_…`) as `read` shows them.
    pub custom: BTreeMap<String, Json>,
    /// When it was created.
    pub created_at: Option<NaiveDateTime>,
    /// When it was last written.
    pub written_at: Option<NaiveDateTime>,
}

/// One order line.
#[derive(Debug, Clone, PartialEq)]
pub struct LineView {
    /// Database id.
    pub id: i64,
    /// External ids.
    pub external_ids: Vec<String>,
    /// Product variant.
    pub product_id: Option<i64>,
    /// The product's SKU.
    pub sku: Option<String>,
    /// Description.
    pub name: String,
    /// `line_section`, `line_note`, or none for a priced line.
    pub display_type: Option<String>,
    /// Quantity.
    pub quantity: Decimal,
    /// Price of one.
    pub price_unit: Decimal,
    /// Percent.
    pub discount: Decimal,
    /// Taxes.
    pub taxes: Vec<TaxView>,
    /// Net.
    pub price_subtotal: Decimal,
    /// Gross.
    pub price_total: Decimal,
    /// Position.
    pub sequence: i64,
    /// Units delivered.
    pub delivered: Decimal,
    /// Units invoiced, drafts counted in and credit notes taken off.
    pub invoiced: Decimal,
}

/// One tax of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaxView {
    /// Database id.
    pub id: i64,
    /// Percent.
    pub amount: Decimal,
    /// Whether prices contain it.
    pub price_include: bool,
}

/// One transfer of an order.
#[derive(Debug, Clone, PartialEq)]
pub struct PickingView {
    /// Database id.
    pub id: i64,
    /// Its state: `confirmed`, `done`, `cancel`…
    pub state: String,
    /// `outgoing` or `incoming`.
    pub kind: String,
    /// Its number, such as `WH/OUT/00001`.
    pub name: String,
    /// Tracking reference.
    pub tracking: Option<String>,
    /// When it was done, UTC.
    pub done_at: Option<NaiveDateTime>,
    /// The transfer that it continues.
    pub backorder_of: Option<i64>,
    /// Demand by product, in the order of moves.
    pub moves: Vec<(i64, Decimal)>,
    /// Moves in full.
    pub lines: Vec<MoveView>,
}

/// One move of a transfer.
#[derive(Debug, Clone, PartialEq)]
pub struct MoveView {
    /// Database id.
    pub id: i64,
    /// Product variant.
    pub product_id: i64,
    /// The product's SKU.
    pub sku: Option<String>,
    /// The order line it delivers.
    pub sale_line_id: Option<i64>,
    /// What was asked for.
    pub demand: Decimal,
    /// What is reserved or, once done, moved.
    pub quantity: Decimal,
    /// Whether somebody took it off the shelf.
    pub picked: bool,
    /// Its state: `confirmed`, `assigned`, `done`, `cancel`…
    pub state: String,
}

/// Shortcuts to one record's fields.
pub(super) struct Record<'e, 'd> {
    pub(super) env: &'e Env<'d>,
    pub(super) model: &'static str,
    pub(super) id: i64,
}

impl Record<'_, '_> {
    pub(super) fn text(&self, field: &str) -> Option<String> {
        Some(self.env.text(self.model, self.id, field)).filter(|text| !text.is_empty())
    }

    pub(super) fn word(&self, field: &str) -> String {
        self.text(field).unwrap_or_default()
    }

    pub(super) fn one(&self, field: &str) -> Option<i64> {
        self.env.id(self.model, self.id, field)
    }

    pub(super) fn id(&self, field: &str) -> i64 {
        self.one(field).unwrap_or_default()
    }

    pub(super) fn dec(&self, field: &str) -> Decimal {
        self.env.dec(self.model, self.id, field).normalize()
    }

    pub(super) fn is(&self, field: &str) -> bool {
        self.env.is(self.model, self.id, field)
    }

    pub(super) fn day(&self, field: &str) -> Option<NaiveDate> {
        match self.env.get(self.model, self.id, field) {
            Val::Date(day) => Some(day),
            _ => None,
        }
    }

    pub(super) fn time(&self, field: &str) -> Option<NaiveDateTime> {
        match self.env.get(self.model, self.id, field) {
            Val::Time(time) => Some(time),
            _ => None,
        }
    }

    pub(super) fn of(&self, field: &str, model: &str, column: &str) -> Option<String> {
        self.one(field)
            .map(|id| self.env.text(model, id, column))
            .filter(|text| !text.is_empty())
    }

    /// Values of the custom fields.
    pub(super) fn custom(&self) -> BTreeMap<String, Json> {
        let declared = self.env.model(self.model);
        let custom = declared.fields().filter(|field| field.name.starts_with("x_"));
        custom
            .map(|field| {
                let val = self.env.get(self.model, self.id, field.name);
                (field.name.to_owned(), show(field, &val))
            })
            .collect()
    }

    pub(super) fn external_ids(&self) -> Vec<String> {
        external::names(self.env, self.model, self.id)
    }
}

pub(super) fn order(env: &Env<'_>, id: i64) -> OrderView {
    let row = Record {
        env,
        model: "sale.order",
        id,
    };
    OrderView {
        id,
        name: row.word("name"),
        external_ids: row.external_ids(),
        state: row.word("state"),
        locked: row.is("locked"),
        partner_id: row.id("partner_id"),
        partner_invoice_id: row.id("partner_invoice_id"),
        partner_shipping_id: row.id("partner_shipping_id"),
        client_order_ref: row.text("client_order_ref"),
        origin: row.text("origin"),
        note: row.text("note"),
        currency: row.of("currency_id", "res.currency", "name").unwrap_or_default(),
        date_order: row.time("date_order"),
        company_id: row.id("company_id"),
        warehouse_id: row.one("warehouse_id"),
        team_id: row.one("team_id"),
        user_id: row.one("user_id"),
        pricelist_id: row.one("pricelist_id"),
        amount_untaxed: row.dec("amount_untaxed"),
        amount_tax: row.dec("amount_tax"),
        amount_total: row.dec("amount_total"),
        lines: env
            .ids("sale.order", id, "order_line")
            .into_iter()
            .map(|line| line_view(env, line))
            .collect(),
        pickings: env
            .db
            .children("stock.picking", "sale_id", id)
            .into_iter()
            .map(|id| picking(env, id))
            .collect(),
        invoice_status: row.word("invoice_status"),
        delivery_status: row.text("delivery_status"),
        custom: row.custom(),
        created_at: row.time("create_date"),
        written_at: row.time("write_date"),
    }
}

fn line_view(env: &Env<'_>, id: i64) -> LineView {
    let row = Record {
        env,
        model: "sale.order.line",
        id,
    };
    let (_, column) = sale_line_names(env.version());
    LineView {
        id,
        external_ids: row.external_ids(),
        product_id: row.one("product_id"),
        sku: row.of("product_id", "product.product", "default_code"),
        name: row.word("name"),
        display_type: row.text("display_type"),
        quantity: row.dec("product_uom_qty"),
        price_unit: row.dec("price_unit"),
        discount: row.dec("discount"),
        taxes: taxes(env, "sale.order.line", id, column),
        delivered: row.dec("qty_delivered"),
        invoiced: row.dec("qty_invoiced"),
        price_subtotal: row.dec("price_subtotal"),
        price_total: row.dec("price_total"),
        sequence: row.id("sequence"),
    }
}

/// The taxes in a relation of a line.
pub(super) fn taxes(env: &Env<'_>, model: &str, line: i64, column: &str) -> Vec<TaxView> {
    env.ids(model, line, column)
        .into_iter()
        .map(|id| TaxView {
            id,
            amount: env.dec("account.tax", id, "amount").normalize(),
            price_include: env.is("account.tax", id, "price_include"),
        })
        .collect()
}

fn stock_move(env: &Env<'_>, id: i64) -> MoveView {
    let row = Record {
        env,
        model: "stock.move",
        id,
    };
    MoveView {
        id,
        product_id: row.id("product_id"),
        sku: row.of("product_id", "product.product", "default_code"),
        sale_line_id: row.one("sale_line_id"),
        demand: row.dec("product_uom_qty"),
        quantity: row.dec("quantity"),
        picked: row.is("picked"),
        state: row.word("state"),
    }
}

pub(super) fn picking(env: &Env<'_>, id: i64) -> PickingView {
    let row = Record {
        env,
        model: "stock.picking",
        id,
    };
    let moves = env.db.children("stock.move", "picking_id", id);
    let lines: Vec<MoveView> = moves.into_iter().map(|id| stock_move(env, id)).collect();
    PickingView {
        id,
        state: row.word("state"),
        kind: row.word("picking_type_code"),
        name: row.word("name"),
        tracking: row.text("carrier_tracking_ref"),
        done_at: row.time("date_done"),
        backorder_of: row.one("backorder_id"),
        moves: lines.iter().map(|line| (line.product_id, line.demand)).collect(),
        lines,
    }
}
