//! Invoices, credit notes and payments as the books show them.

use chrono::NaiveDate;
use rust_decimal::Decimal;

use super::views::{Record, TaxView, taxes};
use crate::sandbox::odoo::env::Env;
use crate::sandbox::odoo::models::invoicing;
use crate::sandbox::odoo::options::Version;

/// One invoice or credit note.
#[derive(Debug, Clone, PartialEq)]
pub struct InvoiceView {
    /// Database id.
    pub id: i64,
    /// Its number; none for a draft that was never posted.
    pub name: Option<String>,
    /// External ids, oldest first.
    pub external_ids: Vec<String>,
    /// `out_invoice` or `out_refund`.
    pub kind: String,
    /// `draft`, `posted` or `cancel`.
    pub state: String,
    /// `not_paid`, `partial`, `paid`, `in_payment` or `reversed`.
    pub payment_state: String,
    /// Customer: the order's invoice address.
    pub partner_id: Option<i64>,
    /// Date on the document.
    pub invoice_date: Option<NaiveDate>,
    /// Date in the books.
    pub date: Option<NaiveDate>,
    /// Reference.
    pub reference: Option<String>,
    /// Numbers of the orders it was made of.
    pub origin: Option<String>,
    /// Name of its journal.
    pub journal: String,
    /// ISO code of its currency.
    pub currency: String,
    /// Net.
    pub amount_untaxed: Decimal,
    /// Tax.
    pub amount_tax: Decimal,
    /// Gross.
    pub amount_total: Decimal,
    /// What is still due.
    pub amount_residual: Decimal,
    /// The invoice that a credit note takes back.
    pub reversed_entry_id: Option<i64>,
    /// Orders that its lines are on.
    pub orders: Vec<i64>,
    /// Lines in their order.
    pub lines: Vec<InvoiceLineView>,
}

/// One line of an invoice.
#[derive(Debug, Clone, PartialEq)]
pub struct InvoiceLineView {
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
    /// `product`, `line_section` or `line_note`.
    pub display_type: String,
    /// Quantity; positive on credit notes too.
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
    /// Order lines it is tied to.
    pub sale_line_ids: Vec<i64>,
}

/// One payment.
#[derive(Debug, Clone, PartialEq)]
pub struct PaymentView {
    /// Database id.
    pub id: i64,
    /// Its number; none for a draft.
    pub name: Option<String>,
    /// External ids, oldest first.
    pub external_ids: Vec<String>,
    /// `draft`, `posted` (17), `in_process`, `paid`, `cancel` (17) or `canceled`.
    pub state: String,
    /// `inbound` or `outbound`.
    pub kind: String,
    /// Customer.
    pub partner_id: Option<i64>,
    /// Amount, never negative.
    pub amount: Decimal,
    /// ISO code of its currency.
    pub currency: String,
    /// Name of its journal.
    pub journal: String,
    /// Date.
    pub date: Option<NaiveDate>,
    /// Text: `memo`, in 17 `ref`.
    pub memo: Option<String>,
    /// Invoices that it settles.
    pub invoices: Vec<i64>,
}

pub(super) fn invoice(env: &Env<'_>, id: i64) -> InvoiceView {
    let row = Record {
        env,
        model: "account.move",
        id,
    };
    InvoiceView {
        id,
        name: row.text("name").filter(|name| name != "/"),
        external_ids: row.external_ids(),
        kind: row.word("move_type"),
        state: row.word("state"),
        payment_state: row.word("payment_state"),
        partner_id: row.one("partner_id"),
        invoice_date: row.day("invoice_date"),
        date: row.day("date"),
        reference: row.text("ref"),
        origin: row.text("invoice_origin"),
        journal: row
            .of("journal_id", "account.journal", "name")
            .unwrap_or_default(),
        currency: row.of("currency_id", "res.currency", "name").unwrap_or_default(),
        amount_untaxed: row.dec("amount_untaxed"),
        amount_tax: row.dec("amount_tax"),
        amount_total: row.dec("amount_total"),
        amount_residual: row.dec("amount_residual"),
        reversed_entry_id: row.one("reversed_entry_id"),
        orders: invoicing::orders(env, id),
        lines: env
            .ids("account.move", id, "invoice_line_ids")
            .into_iter()
            .map(|item| line(env, item))
            .collect(),
    }
}

fn line(env: &Env<'_>, id: i64) -> InvoiceLineView {
    let row = Record {
        env,
        model: "account.move.line",
        id,
    };
    InvoiceLineView {
        id,
        external_ids: row.external_ids(),
        product_id: row.one("product_id"),
        sku: row.of("product_id", "product.product", "default_code"),
        name: row.word("name"),
        display_type: row.word("display_type"),
        quantity: row.dec("quantity"),
        price_unit: row.dec("price_unit"),
        discount: row.dec("discount"),
        taxes: taxes(env, "account.move.line", id, "tax_ids"),
        price_subtotal: row.dec("price_subtotal"),
        price_total: row.dec("price_total"),
        sale_line_ids: env.ids("account.move.line", id, "sale_line_ids"),
    }
}

pub(super) fn payment(env: &Env<'_>, id: i64) -> PaymentView {
    let row = Record {
        env,
        model: "account.payment",
        id,
    };
    let memo = if env.version() == Version::V17 {
        "ref"
    } else {
        "memo"
    };
    PaymentView {
        id,
        name: row.text("name"),
        external_ids: row.external_ids(),
        state: row.word("state"),
        kind: row.word("payment_type"),
        partner_id: row.one("partner_id"),
        amount: row.dec("amount"),
        currency: row.of("currency_id", "res.currency", "name").unwrap_or_default(),
        journal: row
            .of("journal_id", "account.journal", "name")
            .unwrap_or_default(),
        date: row.day("date"),
        memo: row.text(memo),
        invoices: env.ids("account.payment", id, "reconciled_invoice_ids"),
    }
}
