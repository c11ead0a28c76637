//! The tax arithmetic of orders and invoices, in exact decimals.
//!
//! Taxes are percentages that do not change each other's base. "Raw" is price times quantity less discount, unrounded.
//! The two rounding methods, and what differs between 18 and 19, are those observed on the real servers.

use rust_decimal::Decimal;
use serde_json::{Value as Json, json};

use super::invoicing;
use crate::sandbox::odoo::env::Env;
use crate::sandbox::odoo::options::Version;
use crate::sandbox::odoo::schema::sale_line_names;
use crate::sandbox::odoo::value::{Val, float, round};

const ORDER: &str = "sale.order";
const TAX: &str = "account.tax";
const HUNDRED: Decimal = Decimal::ONE_HUNDRED;

/// Where a kind of document keeps what its amounts come from.
#[derive(Debug)]
pub(super) struct Sheet {
    document: &'static str,
    lines: &'static str,
    parent: &'static str,
    quantity: &'static str,
}

/// Sale orders.
pub(super) const ORDERS: Sheet = Sheet {
    document: ORDER,
    lines: "sale.order.line",
    parent: "order_id",
    quantity: "product_uom_qty",
};

/// Invoices and credit notes. That they are computed as orders are is not observed.
pub(super) const INVOICES: Sheet = Sheet {
    document: "account.move",
    lines: "account.move.line",
    parent: "move_id",
    quantity: "quantity",
};

impl Sheet {
    fn taxes(&self, version: Version) -> &'static str {
        if self.document == ORDER {
            sale_line_names(version).1
        } else {
            "tax_ids"
        }
    }
}

/// One percentage tax on a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Tax {
    id: i64,
    percent: Decimal,
    included: bool,
}

/// A line ready to be computed.
#[derive(Debug)]
struct Priced {
    id: i64,
    raw: Decimal,
    taxes: Vec<Tax>,
}

/// What one line comes to.
#[derive(Debug, PartialEq, Eq)]
struct Amounts {
    subtotal: Decimal,
    total: Decimal,
}

/// How a company rounds.
#[derive(Debug, Clone, Copy)]
struct Method {
    globally: bool,
    digits: u32,
    version: Version,
}

impl Priced {
    /// Percent of all included taxes together.
    fn included(&self) -> Decimal {
        self.taxes
            .iter()
            .filter(|tax| tax.included)
            .map(|tax| tax.percent)
            .sum()
    }

    /// Raw price without any tax, times `percent`/100, divided last so that nothing is lost.
    fn share(&self, percent: Decimal) -> Decimal {
        self.raw * percent / (HUNDRED + self.included())
    }

    fn raw_base(&self) -> Decimal {
        self.share(HUNDRED)
    }

    /// Tax amounts rounded one by one: included ones out of the rounded total, excluded ones on the rounded base.
    fn per_line(&self, digits: u32) -> (Decimal, Vec<(Tax, Decimal)>) {
        let total = round(self.raw, digits);
        let divisor = HUNDRED + self.included();
        let mut base = total;
        let mut amounts = Vec::new();
        for tax in self.taxes.iter().filter(|tax| tax.included) {
            let amount = round(total * tax.percent / divisor, digits);
            base -= amount;
            amounts.push((*tax, amount));
        }
        for tax in self.taxes.iter().filter(|tax| !tax.included) {
            amounts.push((*tax, round(base * tax.percent / HUNDRED, digits)));
        }
        (base, amounts)
    }

    /// The line's own columns.
    fn amounts(&self, method: Method) -> Amounts {
        let digits = method.digits;
        if !method.globally {
            let (subtotal, taxes) = self.per_line(digits);
            let tax: Decimal = taxes.iter().map(|(_, amount)| *amount).sum();
            return Amounts {
                subtotal,
                total: subtotal + tax,
            };
        }
        let subtotal = round(self.raw_base(), digits);
        let percent: Decimal = self.taxes.iter().map(|tax| tax.percent).sum();
        let total = if method.version.before_19() {
            round(self.share(HUNDRED + percent), digits)
        } else {
            subtotal
                + self
                    .taxes
                    .iter()
                    .map(|tax| round(self.share(tax.percent), digits))
                    .sum::<Decimal>()
        };
        Amounts { subtotal, total }
    }
}

/// Untaxed amount and the sum of each tax, for a whole order.
fn order_amounts(lines: &[Priced], method: Method) -> (Decimal, Vec<(Tax, Decimal)>) {
    let mut by_tax: Vec<(Tax, Decimal)> = Vec::new();
    let mut add = |tax: Tax, amount: Decimal| match by_tax.iter_mut().find(|(known, _)| *known == tax) {
        Some((_, sum)) => *sum += amount,
        None => by_tax.push((tax, amount)),
    };
    if !method.globally {
        let mut untaxed = Decimal::ZERO;
        for line in lines {
            let (base, taxes) = line.per_line(method.digits);
            untaxed += base;
            for (tax, amount) in taxes {
                add(tax, amount);
            }
        }
        return (untaxed, by_tax);
    }
    for line in lines {
        for tax in &line.taxes {
            add(*tax, line.share(tax.percent));
        }
    }
    for (_, amount) in &mut by_tax {
        *amount = round(*amount, method.digits);
    }
    let raw_base = round(lines.iter().map(Priced::raw_base).sum(), method.digits);
    let only_included = by_tax.iter().all(|(tax, _)| tax.included);
    let untaxed = if method.version.before_19() || !only_included {
        raw_base
    } else {
        // 19 keeps the shelf price: what is not tax is the base.
        let shelf = round(lines.iter().map(|line| line.raw).sum(), method.digits);
        shelf - by_tax.iter().map(|(_, amount)| *amount).sum::<Decimal>()
    };
    (untaxed, by_tax)
}

fn method(env: &Env<'_>, sheet: &Sheet, document: i64) -> Method {
    let company = env.id(sheet.document, document, "company_id").unwrap_or(1);
    let currency = env
        .id(sheet.document, document, "currency_id")
        .unwrap_or_default();
    let digits = env.id("res.currency", currency, "decimal_places").unwrap_or(2);
    Method {
        globally: env.text("res.company", company, "tax_calculation_rounding_method") == "round_globally",
        digits: u32::try_from(digits).unwrap_or(2),
        version: env.version(),
    }
}

fn priced_lines(env: &Env<'_>, sheet: &Sheet, document: i64) -> Vec<Priced> {
    let taxes = sheet.taxes(env.version());
    let lines = env.db.children(sheet.lines, sheet.parent, document);
    lines
        .into_iter()
        .filter(|line| ["", "product"].contains(&env.text(sheet.lines, *line, "display_type").as_str()))
        .map(|line| {
            let discount = env.dec(sheet.lines, line, "discount");
            let price = env.dec(sheet.lines, line, "price_unit") * env.dec(sheet.lines, line, sheet.quantity);
            let stored = env
                .row(sheet.lines, line)
                .and_then(|row| row.get(taxes))
                .map(|val| val.as_ids().to_vec());
            let taxes = stored.unwrap_or_default().into_iter().map(|id| Tax {
                id,
                percent: env.dec(TAX, id, "amount"),
                included: env.is(TAX, id, "price_include"),
            });
            Priced {
                id: line,
                raw: price * (HUNDRED - discount) / HUNDRED,
                taxes: taxes.collect(),
            }
        })
        .collect()
}

/// Computes and stores the amounts of a document's lines; gives its untaxed amount and its tax.
pub(super) fn lines(env: &mut Env<'_>, sheet: &Sheet, document: i64) -> (Decimal, Decimal) {
    let method = method(env, sheet, document);
    let lines = priced_lines(env, sheet, document);
    for line in &lines {
        let amounts = line.amounts(method);
        env.set(
            sheet.lines,
            line.id,
            [
                ("price_subtotal", Val::Dec(amounts.subtotal)),
                ("price_tax", Val::Dec(amounts.total - amounts.subtotal)),
                ("price_total", Val::Dec(amounts.total)),
            ],
        );
    }
    let (untaxed, taxes) = order_amounts(&lines, method);
    (untaxed, taxes.iter().map(|(_, amount)| *amount).sum())
}

/// Computes and stores the amounts of an order and of its lines, and what of it is invoiced.
pub(in crate::sandbox::odoo) fn compute(env: &mut Env<'_>, order: i64) {
    if !env.db.exists(ORDER, order) {
        return;
    }
    let (mut untaxed, tax) = lines(env, &ORDERS, order);
    untaxed += env.db.bends.get(&order).copied().unwrap_or_default();
    env.set(
        ORDER,
        order,
        [
            ("amount_untaxed", Val::Dec(untaxed)),
            ("amount_tax", Val::Dec(tax)),
            ("amount_total", Val::Dec(untaxed + tax)),
        ],
    );
    invoicing::compute(env, order);
}

/// The taxes of one group in the summary, and what they are raised on.
fn group(env: &Env<'_>, lines: &[Priced], method: Method, id: i64, taxes: &[(Tax, Decimal)]) -> Json {
    let involved: Vec<i64> = taxes.iter().map(|(tax, _)| tax.id).collect();
    let based = lines
        .iter()
        .filter(|line| line.taxes.iter().any(|tax| involved.contains(&tax.id)));
    let base = if method.globally {
        round(based.map(Priced::raw_base).sum(), method.digits)
    } else {
        based.map(|line| line.per_line(method.digits).0).sum()
    };
    let (base, tax) = (float(base), float(taxes.iter().map(|(_, amount)| *amount).sum()));
    json!({
        "id": id, "group_name": env.text("account.tax.group", id, "name"), "group_label": false,
        "involved_tax_ids": involved,
        "base_amount_currency": base, "base_amount": base,
        "tax_amount_currency": tax, "tax_amount": tax,
        "display_base_amount_currency": base, "display_base_amount": base,
    })
}

/// `tax_totals`: the summary shown under an order or invoice, one part for each tax group.
pub(super) fn tax_totals(env: &Env<'_>, sheet: &Sheet, document: i64) -> Json {
    let method = method(env, sheet, document);
    let lines = priced_lines(env, sheet, document);
    let (untaxed, taxes) = order_amounts(&lines, method);
    let tax: Decimal = taxes.iter().map(|(_, amount)| *amount).sum();
    let (base, tax_sum, total) = (float(untaxed), float(tax), float(untaxed + tax));
    let mut by_group: Vec<(i64, Vec<(Tax, Decimal)>)> = Vec::new();
    for (tax, amount) in &taxes {
        let id = env.id(TAX, tax.id, "tax_group_id").unwrap_or(1);
        match by_group.iter_mut().find(|(known, _)| *known == id) {
            Some((_, members)) => members.push((*tax, *amount)),
            None => by_group.push((id, vec![(*tax, *amount)])),
        }
    }
    let groups: Vec<Json> = by_group
        .iter()
        .map(|(id, members)| group(env, &lines, method, *id, members))
        .collect();
    json!({
        "currency_id": env.id(sheet.document, document, "currency_id"),
        "has_tax_groups": !taxes.is_empty(),
        "same_tax_base": true,
        "base_amount_currency": base, "base_amount": base,
        "tax_amount_currency": tax_sum, "tax_amount": tax_sum,
        "total_amount_currency": total, "total_amount": total,
        "subtotals": [{
            "name": "Untaxed Amount", "base_amount_currency": base, "base_amount": base,
            "tax_amount_currency": tax_sum, "tax_amount": tax_sum, "tax_groups": groups,
        }],
    })
}
