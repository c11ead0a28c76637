//! Accounts, journals and payment methods.

use serde_json::json;

use super::create;
use crate::sandbox::odoo::db::Row;
use crate::sandbox::odoo::env::Env;
use crate::sandbox::odoo::error::Res;
use crate::sandbox::odoo::options::{JournalKind, JournalSeed};
use crate::sandbox::odoo::value::Val;

/// The few accounts that are told apart here: code, name, type.
const ACCOUNTS: [(&str, &str, &str); 4] = [
    ("101402", "Outstanding Receipts", "asset_current"),
    ("121000", "Account Receivable", "asset_receivable"),
    ("400000", "Product Sales", "income"),
    ("101401", "Bank", "asset_cash"),
];

pub(super) fn plant(env: &mut Env<'_>) -> Res<()> {
    for (code, name, kind) in ACCOUNTS {
        let row = Row::from([
            ("code", Val::text(code)),
            ("name", Val::text(name)),
            ("account_type", Val::text(kind)),
            ("reconcile", Val::Bool(kind == "asset_receivable")),
            ("active", Val::Bool(true)),
        ]);
        env.insert("account.account", row);
    }
    let mut seeds = env.sys.options.journals.clone();
    if !seeds.iter().any(|seed| seed.kind == JournalKind::Sale) {
        seeds.insert(0, JournalSeed::new("Customer Invoices", "INV", JournalKind::Sale));
    }
    for company in env.db.ids("res.company") {
        for (at, seed) in seeds.iter().enumerate() {
            let vals = json!({
                "name": seed.name, "code": seed.code, "type": seed.kind.word(), "company_id": company,
                "sequence": 5 + at,
            });
            let journal = create(env, "account.journal", vals)?;
            if matches!(seed.kind, JournalKind::Bank | JournalKind::Cash) {
                for direction in ["inbound", "outbound"] {
                    let vals = json!({
                        "name": "Manual Payment", "code": "manual", "payment_type": direction, "journal_id": journal,
                    });
                    create(env, "account.payment.method.line", vals)?;
                }
            }
        }
    }
    Ok(())
}
