//! Section 8, "Tax arithmetic": every observed order, through create and read.

use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::support::Erp;
use crate::sandbox::odoo::value::{parse_decimal, round};
use crate::sandbox::odoo::{Options, Rounding, TaxSeed, Version};

const OBSERVATIONS: &str = include_str!("../../../../fixtures/odoo/odoo-tax-observations.json");

#[derive(Deserialize)]
struct Row {
    odoo: String,
    rounding: String,
    lines: Vec<Line>,
    result: Observed,
}

#[derive(Deserialize)]
struct Line {
    price_unit: Json,
    quantity: Json,
    discount: Json,
    taxes: Vec<Tax>,
}

#[derive(Deserialize)]
struct Tax {
    amount: Json,
    price_include: bool,
}

#[derive(Deserialize)]
struct Observed {
    price_unit_stored: Vec<f64>,
    quantity_stored: Vec<f64>,
    discount_stored: Vec<f64>,
    line_subtotals: Vec<f64>,
    line_totals: Vec<f64>,
    line_taxes: Vec<f64>,
    amount_untaxed: f64,
    amount_tax: f64,
    amount_total: f64,
    tax_totals: Totals,
}

#[derive(Deserialize)]
struct Totals {
    base: f64,
    tax: f64,
    total: f64,
}

/// Observed amounts are binary floats: two decimals are what was meant.
fn cents(float: f64) -> Decimal {
    round(parse_decimal(&float.to_string()).unwrap(), 2)
}

fn tax_of(tax: &Tax) -> TaxSeed {
    let amount = parse_decimal(&tax.amount.to_string()).unwrap().normalize();
    TaxSeed::new(amount, tax.price_include)
}

#[tokio::test]
async fn all_712_observed_orders_come_out_alike() {
    let rows: Vec<Row> = serde_json::from_str(OBSERVATIONS).unwrap();
    assert_eq!(rows.len(), 712);
    let mut compared = 0;
    for (version, serie) in [(Version::V18, "18.0"), (Version::V19, "19.0")] {
        for (rounding, method) in [
            (Rounding::PerLine, "round_per_line"),
            (Rounding::Globally, "round_globally"),
        ] {
            let rows: Vec<&Row> = rows
                .iter()
                .filter(|row| row.odoo == serie && row.rounding == method)
                .collect();
            compared += check_all(version, rounding, &rows).await;
        }
    }
    assert_eq!(compared, 712);
}

async fn check_all(version: Version, rounding: Rounding, rows: &[&Row]) -> usize {
    let mut seeds: Vec<TaxSeed> = Vec::new();
    for seed in rows
        .iter()
        .flat_map(|row| &row.lines)
        .flat_map(|line| &line.taxes)
        .map(tax_of)
    {
        if !seeds.contains(&seed) {
            seeds.push(seed);
        }
    }
    let erp = Erp::start(Options {
        rounding,
        taxes: seeds.clone(),
        ..Options::version(version)
    })
    .await;
    let mut ids = Vec::new();
    for seed in &seeds {
        ids.push(
            erp.tax(seed.amount.to_string().parse().unwrap(), seed.price_include)
                .await,
        );
    }
    let product = erp.product("Thing", 1.0).await;
    let partner = erp.create("res.partner", json!({"name": "Ada"})).await;
    for row in rows {
        let id_of = |tax: &Tax| ids[seeds.iter().position(|seed| *seed == tax_of(tax)).unwrap()];
        let lines: Vec<Json> = row
            .lines
            .iter()
            .map(|line| {
                let taxes: Vec<i64> = line.taxes.iter().map(id_of).collect();
                json!([0, 0, {
                    "product_id": product, "product_uom_qty": line.quantity, "price_unit": line.price_unit,
                    "discount": line.discount, erp.taxes(): [[6, 0, taxes]],
                }])
            })
            .collect();
        let order = erp
            .create("sale.order", json!({"partner_id": partner, "order_line": lines}))
            .await;
        let shown = format!("{version:?} {rounding:?} {lines:?}");
        check(&erp, order, &row.result, &shown).await;
    }
    rows.len()
}

async fn check(erp: &Erp, order: i64, observed: &Observed, shown: &str) {
    let fields = json!([
        "amount_untaxed",
        "amount_tax",
        "amount_total",
        "tax_totals",
        "order_line"
    ]);
    let read = erp.fields("sale.order", order, fields).await;
    let float = |json: &Json| json.as_f64().unwrap();
    for (name, expected) in [
        ("amount_untaxed", observed.amount_untaxed),
        ("amount_tax", observed.amount_tax),
        ("amount_total", observed.amount_total),
    ] {
        assert_eq!(cents(float(&read[name])), cents(expected), "{name} of {shown}");
    }
    for (name, expected) in [
        ("base_amount_currency", observed.tax_totals.base),
        ("tax_amount_currency", observed.tax_totals.tax),
        ("total_amount_currency", observed.tax_totals.total),
    ] {
        assert_eq!(
            cents(float(&read["tax_totals"][name])),
            cents(expected),
            "{name} of {shown}"
        );
    }
    let fields = json!([
        "price_unit",
        "product_uom_qty",
        "discount",
        "price_subtotal",
        "price_tax",
        "price_total"
    ]);
    let lines = erp
        .ok("sale.order.line", "read", json!([read["order_line"], fields]))
        .await;
    for (at, line) in lines.as_array().unwrap().iter().enumerate() {
        for (name, expected) in [
            ("price_unit", &observed.price_unit_stored),
            ("product_uom_qty", &observed.quantity_stored),
            ("discount", &observed.discount_stored),
            // The dust of binary floats too.
            ("price_tax", &observed.line_taxes),
        ] {
            assert!(
                (float(&line[name]) - expected[at]).abs() < f64::EPSILON,
                "{name} of line {at} of {shown}: {line}"
            );
        }
        assert_eq!(
            cents(float(&line["price_subtotal"])),
            cents(observed.line_subtotals[at]),
            "line {at} of {shown}"
        );
        assert_eq!(
            cents(float(&line["price_total"])),
            cents(observed.line_totals[at]),
            "line {at} of {shown}"
        );
    }
}
