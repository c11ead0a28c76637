//! Accounting: journals, invoices and credit notes, payments, and the wizards that make them.
//!
//! Of the entries behind an invoice only the receivable line is kept (what payments are matched with); tax lines and
//! the other side of payments' books are not.

use super::{
    Field, Kind, Model, Version, boolean, char, date, float, html, int, many, many_many, money, one, select,
    text,
};

pub(super) fn models(version: Version) -> Vec<Model> {
    vec![
        journal(),
        account(),
        method_line(),
        invoice(version),
        item(version),
        partial(),
        payment(version),
        advance(),
        reversal(),
        register(),
    ]
}

const JOURNAL_TYPES: &[(&str, &str)] = &[
    ("sale", "Sales"),
    ("purchase", "Purchase"),
    ("cash", "Cash"),
    ("bank", "Bank"),
    ("credit", "Credit Card"),
    ("general", "Miscellaneous"),
];
const MOVE_TYPES: &[(&str, &str)] = &[
    ("entry", "Journal Entry"),
    ("out_invoice", "Customer Invoice"),
    ("out_refund", "Customer Credit Note"),
    ("in_invoice", "Vendor Bill"),
    ("in_refund", "Vendor Credit Note"),
];
const MOVE_STATES: &[(&str, &str)] = &[("draft", "Draft"), ("posted", "Posted"), ("cancel", "Cancelled")];
const PAYMENT_STATES: &[(&str, &str)] = &[
    ("not_paid", "Not Paid"),
    ("in_payment", "In Payment"),
    ("paid", "Paid"),
    ("partial", "Partially Paid"),
    ("reversed", "Reversed"),
];
const DISPLAY_TYPES: &[(&str, &str)] = &[
    ("product", "Product"),
    ("payment_term", "Payment Term"),
    ("line_section", "Section"),
    ("line_note", "Note"),
];
const ACCOUNT_TYPES: &[(&str, &str)] = &[
    ("asset_receivable", "Receivable"),
    ("asset_cash", "Bank and Cash"),
    ("asset_current", "Current Assets"),
    ("liability_current", "Current Liabilities"),
    ("income", "Income"),
    ("expense", "Expenses"),
];
const DIRECTIONS: &[(&str, &str)] = &[("outbound", "Send"), ("inbound", "Receive")];
const PARTNER_TYPES: &[(&str, &str)] = &[("customer", "Customer"), ("supplier", "Vendor")];
const STATES_17: &[(&str, &str)] = &[("draft", "Draft"), ("posted", "Posted"), ("cancel", "Cancelled")];
const STATES: &[(&str, &str)] = &[
    ("draft", "Draft"),
    ("in_process", "In Process"),
    ("paid", "Paid"),
    ("canceled", "Canceled"),
    ("rejected", "Rejected"),
];

fn journal() -> Model {
    Model::new(
        "account.journal",
        "Journal",
        "sequence, type, code",
        vec![
            char("name", "Journal Name").required().indexed(),
            char("code", "Short Code").required().indexed(),
            select("type", "Type", JOURNAL_TYPES).required(),
            int("sequence", "Sequence"),
            one("company_id", "Company", "res.company").required(),
            one("currency_id", "Currency", "res.currency"),
            many(
                "inbound_payment_method_line_ids",
                "Inbound Payment Methods",
                "account.payment.method.line",
                "journal_id",
            ),
            boolean("active", "Active"),
        ],
    )
}

fn account() -> Model {
    Model::new(
        "account.account",
        "Account",
        "code, id",
        vec![
            char("name", "Account Name").required(),
            char("code", "Code").indexed(),
            select("account_type", "Type", ACCOUNT_TYPES).required(),
            boolean("reconcile", "Allow Reconciliation"),
            boolean("active", "Active"),
        ],
    )
}

fn method_line() -> Model {
    Model::new(
        "account.payment.method.line",
        "Payment Methods",
        "id",
        vec![
            char("name", "Name"),
            char("code", "Code"),
            select("payment_type", "Payment Type", DIRECTIONS),
            one("journal_id", "Journal", "account.journal"),
        ],
    )
}

/// `account.move`: invoices, credit notes, and the entries of payments.
fn invoice(version: Version) -> Model {
    let mut fields = vec![
        char("name", "Number").indexed(),
        char("ref", "Reference").indexed(),
        date("date", "Date").required(),
        // Written by the buttons only.
        select("state", "Status", MOVE_STATES).computed(),
        select("move_type", "Type", MOVE_TYPES).required(),
        one("journal_id", "Journal", "account.journal").required(),
        one("company_id", "Company", "res.company").required(),
        one("currency_id", "Currency", "res.currency").required(),
        one("partner_id", "Partner", "res.partner"),
        one("partner_shipping_id", "Delivery Address", "res.partner"),
        date("invoice_date", "Invoice/Bill Date"),
        date("invoice_date_due", "Due Date"),
        char("invoice_origin", "Origin").indexed(),
        one("invoice_user_id", "Salesperson", "res.users"),
        one("team_id", "Sales Team", "crm.team"),
        one("invoice_payment_term_id", "Payment Terms", "account.payment.term"),
        one("fiscal_position_id", "Fiscal Position", "account.fiscal.position"),
        char("payment_reference", "Payment Reference"),
        html("narration", "Terms and Conditions"),
        many(
            "invoice_line_ids",
            "Invoice lines",
            "account.move.line",
            "move_id",
        ),
        many("line_ids", "Journal Items", "account.move.line", "move_id"),
        money("amount_untaxed", "Untaxed Amount").computed(),
        money("amount_tax", "Tax").computed(),
        money("amount_total", "Total").computed(),
        money("amount_residual", "Amount Due").computed(),
        money("amount_untaxed_signed", "Untaxed Amount Signed").live(),
        money("amount_total_signed", "Total Signed").live(),
        money("amount_residual_signed", "Amount Due Signed").live(),
        select("payment_state", "Payment Status", PAYMENT_STATES).computed(),
        one("reversed_entry_id", "Reversal of", "account.move"),
        boolean("posted_before", "Posted Before").computed(),
        Field::new("tax_totals", "Invoice Totals", Kind::Json).live(),
        Field::new(
            "invoice_outstanding_credits_debits_widget",
            "Outstanding Credits",
            Kind::Json,
        )
        .live(),
        many_many("message_ids", "Messages", "mail.message").live(),
    ];
    if version == Version::V17 {
        fields.push(one("payment_id", "Payment", "account.payment"));
        fields.push(many(
            "reversal_move_id",
            "Reversals",
            "account.move",
            "reversed_entry_id",
        ));
    } else {
        fields.push(one("origin_payment_id", "Payment", "account.payment"));
        fields.push(many(
            "reversal_move_ids",
            "Reversals",
            "account.move",
            "reversed_entry_id",
        ));
        fields.push(many_many("matched_payment_ids", "Matched Payments", "account.payment").live());
    }
    Model::new(
        "account.move",
        "Journal Entry",
        "date desc, name desc, invoice_date desc, id desc",
        fields,
    )
}

/// `account.move.line`. That its price keeps the digits an order line's does is not observed.
fn item(version: Version) -> Model {
    Model::new(
        "account.move.line",
        "Journal Item",
        "sequence, id",
        vec![
            one("move_id", "Journal Entry", "account.move").required(),
            int("sequence", "Sequence"),
            text("name", "Label"),
            select("display_type", "Display Type", DISPLAY_TYPES).required(),
            one("product_id", "Product", "product.product"),
            one("product_uom_id", "Unit", "uom.uom"),
            float("quantity", "Quantity").digits(2),
            float("price_unit", "Unit Price").digits_before_19(version, 2),
            float("discount", "Discount (%)").digits(2),
            many_many("tax_ids", "Taxes", "account.tax"),
            one("account_id", "Account", "account.account"),
            many_many("sale_line_ids", "Sales Order Lines", "sale.order.line"),
            money("price_subtotal", "Subtotal").computed(),
            float("price_tax", "Tax").computed(),
            money("price_total", "Total").computed(),
            money("balance", "Balance").computed(),
            money("amount_residual", "Residual Amount").computed(),
            boolean("reconciled", "Reconciled").computed(),
            select("account_type", "Account Type", ACCOUNT_TYPES).live(),
            select("parent_state", "Status", MOVE_STATES).live(),
            select("move_type", "Type", MOVE_TYPES).live(),
            char("move_name", "Number").live(),
            one("currency_id", "Currency", "res.currency").live(),
            one("company_id", "Company", "res.company").live(),
            one("partner_id", "Partner", "res.partner").live(),
            one("journal_id", "Journal", "account.journal").live(),
            one("payment_id", "Payment", "account.payment").live(),
            date("date", "Date").live(),
        ],
    )
}

fn partial() -> Model {
    Model::new(
        "account.partial.reconcile",
        "Partial Reconcile",
        "id",
        vec![
            one("debit_move_id", "Debit Move", "account.move.line").required(),
            one("credit_move_id", "Credit Move", "account.move.line").required(),
            money("amount", "Amount"),
        ],
    )
}

fn payment(version: Version) -> Model {
    let mut fields = vec![
        char("name", "Number").indexed(),
        select("payment_type", "Payment Type", DIRECTIONS).required(),
        select("partner_type", "Partner Type", PARTNER_TYPES).required(),
        one("partner_id", "Customer/Vendor", "res.partner"),
        money("amount", "Amount"),
        one("currency_id", "Currency", "res.currency").required(),
        one("journal_id", "Journal", "account.journal").required(),
        one(
            "payment_method_line_id",
            "Payment Method",
            "account.payment.method.line",
        ),
        one("company_id", "Company", "res.company").required(),
        date("date", "Date").required(),
        char("payment_reference", "Payment Reference"),
        one("move_id", "Journal Entry", "account.move").computed(),
        boolean("is_reconciled", "Is Reconciled").live(),
        many_many("reconciled_invoice_ids", "Reconciled Invoices", "account.move").live(),
        int("reconciled_invoices_count", "# Reconciled Invoices").live(),
        many_many("message_ids", "Messages", "mail.message").live(),
    ];
    if version == Version::V17 {
        fields.push(char("ref", "Reference").indexed());
        fields.push(select("state", "Status", STATES_17).computed());
    } else {
        fields.push(char("memo", "Memo").indexed());
        fields.push(select("state", "Status", STATES).computed());
        fields.push(many_many("invoice_ids", "Invoices", "account.move"));
    }
    Model::new(
        "account.payment",
        "Payments",
        "date desc, name desc, id desc",
        fields,
    )
}

/// The wizard that invoices orders.
fn advance() -> Model {
    Model::new(
        "sale.advance.payment.inv",
        "Sales Advance Payment Invoice",
        "id",
        vec![
            select(
                "advance_payment_method",
                "Create Invoice",
                &[
                    ("delivered", "Regular invoice"),
                    ("percentage", "Down payment (percentage)"),
                    ("fixed", "Down payment (fixed amount)"),
                ],
            )
            .required(),
            many_many("sale_order_ids", "Sales Orders", "sale.order"),
            boolean("consolidated_billing", "Consolidated Billing"),
            boolean("deduct_down_payments", "Deduct down payments"),
            float("amount", "Down Payment"),
            money("fixed_amount", "Down Payment Amount (Fixed)"),
        ],
    )
}

/// The wizard that makes credit notes of invoices.
fn reversal() -> Model {
    Model::new(
        "account.move.reversal",
        "Account Move Reversal",
        "id",
        vec![
            many_many("move_ids", "Journal Entries", "account.move"),
            many_many("new_move_ids", "New Entries", "account.move"),
            one("journal_id", "Journal", "account.journal"),
            one("company_id", "Company", "res.company"),
            date("date", "Reversal date"),
            char("reason", "Reason"),
        ],
    )
}

/// The wizard that pays invoices.
fn register() -> Model {
    Model::new(
        "account.payment.register",
        "Pay",
        "id",
        vec![
            date("payment_date", "Payment Date").required(),
            money("amount", "Amount"),
            char("communication", "Memo"),
            boolean("group_payment", "Group Payments"),
            one("currency_id", "Currency", "res.currency"),
            one("journal_id", "Journal", "account.journal"),
            one(
                "payment_method_line_id",
                "Payment Method",
                "account.payment.method.line",
            ),
            select(
                "payment_difference_handling",
                "Payment Difference Handling",
                &[("open", "Keep open"), ("reconcile", "Mark as fully paid")],
            ),
            many_many("line_ids", "Journal items", "account.move.line"),
        ],
    )
}
