//! Discounts and prices as the ERP can hold them exactly: where a line's units have no exact discounted price, the line
//! keeps its original price and a second row with the same taxes takes the discount off. Never a percentage: ERPs round
//! those. Where the ERP keeps fewer decimals of a price than it has, a row of the same taxes carries the difference.

use rust_decimal::Decimal;

use super::rule::Discounts;
use super::types::{Kind, Typed};
use crate::domain::{Fact, LineKind, round_half_up};

/// The parts that a booked line must have for this.
const PARTS: &[&str] = &[
    "key",
    "kind",
    "title",
    "quantity",
    "original_unit_price",
    "discount",
    "amount",
    "unit_price",
    "net",
    "gross",
    "taxes",
];

/// The shape of a line after the split: its unit price is always there, its net and gross are not.
pub(super) fn split_shape(line: &Typed) -> Option<Typed> {
    let Kind::Record(fields) = &line.kind else {
        return None;
    };
    if !PARTS
        .iter()
        .all(|part| fields.iter().any(|(name, _)| name == part))
    {
        return None;
    }
    let fields = fields
        .iter()
        .map(|(name, typed)| {
            let optional = match name.as_str() {
                "unit_price" => false,
                "net" | "gross" => true,
                _ => typed.optional,
            };
            (
                name.clone(),
                Typed {
                    kind: typed.kind.clone(),
                    optional,
                },
            )
        })
        .collect();
    Some(Typed::of(Kind::Record(fields)))
}

/// A line that costs something for no units: it cannot be booked.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NoUnits;

/// The rows of a booked line; none when the line is a row as it stands.
///
/// `digits` is how many decimals of a price the ERP keeps. A price that has more is rounded, and what that leaves over
/// stands on a row of its own with the same taxes, so that the line's amount is exact.
pub(super) fn split(
    line: &Fact,
    discounts: Discounts,
    digits: Option<u32>,
) -> Result<Option<Vec<Fact>>, NoUnits> {
    if discounts == Discounts::AsTheyStand {
        return Ok(None);
    }
    let quantity = decimal(line, "quantity");
    let original = decimal(line, "original_unit_price");
    let amount = decimal(line, "amount");
    let exact = match line.at("unit_price") {
        Some(Fact::Decimal(price)) => Some(*price),
        _ => None,
    };
    if quantity.is_zero() {
        return match (exact, amount.is_zero()) {
            (Some(_), _) => Ok(None),
            (None, true) => Ok(Some(vec![with(line, &[("unit_price", Fact::Decimal(original))])])),
            (None, false) => Err(NoUnits),
        };
    }
    let (price, discount) = match exact {
        Some(price) if discounts == Discounts::UnitPriceElseLine => (price, Decimal::ZERO),
        _ => (original, decimal(line, "discount")),
    };
    let kept = |price: Decimal| digits.map_or(price, |digits| round_half_up(price, digits));
    let (unit, off) = (kept(price), kept(discount));
    let goods = quantity.checked_mul(unit).ok_or(NoUnits)?;
    let rest = amount
        .checked_sub(goods)
        .and_then(|rest| rest.checked_add(off))
        .ok_or(NoUnits)?;
    if off.is_zero() && rest.is_zero() {
        return Ok((exact != Some(unit)).then(|| vec![with(line, &[("unit_price", Fact::Decimal(unit))])]));
    }
    let whole = with(
        line,
        &[
            ("unit_price", Fact::Decimal(unit)),
            ("discount", Fact::Decimal(Decimal::ZERO)),
            ("amount", Fact::Decimal(goods)),
            ("net", Fact::Null),
            ("gross", Fact::Null),
        ],
    );
    let mut rows = vec![whole];
    if !off.is_zero() {
        rows.push(beside(line, LineKind::Discount, Decimal::ONE, -off));
    }
    if !rest.is_zero() {
        let (units, price) = in_small_units(rest, digits);
        rows.push(beside(line, LineKind::Correction, units, price));
    }
    Ok(Some(rows))
}

/// An amount as units of a price that the ERP keeps: one unit where it can, else parts of the smallest price (0.004 as 0.4
/// units of 0.01).
pub fn in_small_units(amount: Decimal, digits: Option<u32>) -> (Decimal, Decimal) {
    let Some(digits) = digits.filter(|digits| amount.normalize().scale() > *digits) else {
        return (Decimal::ONE, amount);
    };
    let mut smallest = Decimal::new(1, digits);
    smallest.set_sign_negative(amount.is_sign_negative());
    match amount.checked_div(smallest) {
        Some(units) => (units.normalize(), smallest),
        None => (Decimal::ONE, amount),
    }
}

/// A row beside a line, with its taxes.
fn beside(line: &Fact, kind: LineKind, units: Decimal, price: Decimal) -> Fact {
    let key = match line.at("key") {
        Some(Fact::Text(text)) => text.as_str(),
        _ => "",
    };
    with(
        line,
        &[
            ("key", Fact::Text(format!("{key}_{kind}"))),
            ("kind", Fact::Text(kind.as_str().to_owned())),
            ("product_id", Fact::Null),
            ("variant_id", Fact::Null),
            ("sku", Fact::Null),
            ("quantity", Fact::Decimal(units)),
            ("original_unit_price", Fact::Decimal(price)),
            ("discount", Fact::Decimal(Decimal::ZERO)),
            ("amount", Fact::Decimal(units * price)),
            ("unit_price", Fact::Decimal(price)),
            ("net", Fact::Null),
            ("gross", Fact::Null),
            ("properties", Fact::List(Vec::new())),
        ],
    )
}

fn decimal(line: &Fact, name: &str) -> Decimal {
    match line.at(name) {
        Some(Fact::Decimal(value)) => *value,
        _ => Decimal::ZERO,
    }
}

/// The same record with some parts exchanged.
fn with(line: &Fact, changes: &[(&str, Fact)]) -> Fact {
    let Fact::Record(fields) = line else {
        return line.clone();
    };
    Fact::Record(
        fields
            .iter()
            .map(|(name, value)| {
                let changed = changes
                    .iter()
                    .find(|(changed, _)| changed == name)
                    .map(|(_, value)| value);
                (*name, changed.unwrap_or(value).clone())
            })
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{BookedLine, Canonical as _};

    fn line(quantity: &str, price: &str, discount: &str, unit_price: Option<&str>) -> Fact {
        let number = |text: &str| text.parse::<Decimal>().unwrap();
        let amount = number(quantity) * number(price) - number(discount);
        BookedLine {
            key: "line_7".into(),
            kind: LineKind::Product,
            product_id: None,
            variant_id: None,
            sku: None,
            title: "Mug".into(),
            variant_title: None,
            quantity: number(quantity),
            sold_quantity: number(quantity),
            original_unit_price: number(price),
            discount: number(discount),
            amount,
            unit_price: unit_price.map(number),
            net: amount,
            gross: amount,
            taxes: Vec::new(),
            properties: Vec::new(),
            group: None,
            is_custom: false,
            requires_shipping: true,
        }
        .fact()
    }

    #[test]
    fn rows_add_up_to_the_amount_and_use_no_inexact_price() {
        // quantity, price, discount, exact unit price -> rows as (key, quantity, unit price)
        let cases: &[(&str, &str, &str, Option<&str>, &[(&str, &str, &str)])] = &[
            ("2", "10.00", "0", Some("10.00"), &[("line_7", "2", "10.00")]),
            ("2", "10.00", "1.00", Some("9.50"), &[("line_7", "2", "9.50")]),
            // 3 x 10.00 - 1.00 = 29.00: 9.666… is not exact.
            (
                "3",
                "10.00",
                "1.00",
                None,
                &[("line_7", "3", "10.00"), ("line_7_discount", "1", "-1.00")],
            ),
            ("0", "10.00", "0", None, &[("line_7", "0", "10.00")]),
        ];
        for (quantity, price, discount, unit_price, expected) in cases {
            let whole = line(quantity, price, discount, *unit_price);
            let rows = split(&whole, Discounts::UnitPriceElseLine, None)
                .unwrap()
                .unwrap_or_else(|| vec![whole.clone()]);
            let seen: Vec<(String, Decimal, Decimal)> = rows
                .iter()
                .map(|row| {
                    let Some(Fact::Text(key)) = row.at("key") else {
                        panic!("no key")
                    };
                    (key.clone(), decimal(row, "quantity"), decimal(row, "unit_price"))
                })
                .collect();
            let wanted: Vec<(String, Decimal, Decimal)> = expected
                .iter()
                .map(|(key, quantity, price)| {
                    (
                        (*key).to_owned(),
                        quantity.parse().unwrap(),
                        price.parse().unwrap(),
                    )
                })
                .collect();
            assert_eq!(seen, wanted, "{quantity} x {price} - {discount}");
            let total: Decimal = seen.iter().map(|(_, quantity, price)| quantity * price).sum();
            assert_eq!(
                total,
                decimal(&line(quantity, price, discount, *unit_price), "amount")
            );
        }
    }

    #[test]
    fn money_for_no_units_is_refused() {
        let line = line("0", "10.00", "1.00", None);
        assert_eq!(split(&line, Discounts::UnitPriceElseLine, None), Err(NoUnits));
        assert_eq!(split(&line, Discounts::Line, Some(2)), Err(NoUnits));
    }

    #[test]
    fn prices_are_held_with_the_digits_that_the_erp_keeps() {
        use Discounts::{Line, UnitPriceElseLine as Price};
        // how, digits, quantity, price, discount, exact price -> rows
        let two = Some(2);
        let cases: &[(Discounts, Option<u32>, &str, &str, &str, Option<&str>, &str)] = &[
            (
                Price,
                two,
                "1000",
                "0.125",
                "0",
                Some("0.125"),
                "1000 x 0.13, correction 1 x -5.000",
            ),
            (Price, None, "1000", "0.125", "0", Some("0.125"), "as it stands"),
            (
                Price,
                Some(3),
                "1000",
                "0.125",
                "0",
                Some("0.125"),
                "as it stands",
            ),
            // 1.234 is 1.23 and 0.4 units of a hundredth.
            (
                Price,
                two,
                "1",
                "1.234",
                "0",
                Some("1.234"),
                "1 x 1.23, correction 0.4 x 0.01",
            ),
            (
                Price,
                two,
                "1",
                "1.239",
                "0",
                Some("1.239"),
                "1 x 1.24, correction 0.1 x -0.01",
            ),
            // 3 x 1.250 - 0.501 = 3.249, exact 1.083 each: 3 x 1.08 = 3.24 and 0.9 hundredths.
            (
                Price,
                two,
                "3",
                "1.250",
                "0.501",
                Some("1.083"),
                "3 x 1.08, correction 0.9 x 0.01",
            ),
            // Without an exact price: 3 x 1.25 - 0.50 = 3.25, and one thousandth less.
            (
                Price,
                two,
                "3",
                "1.250",
                "0.500",
                None,
                "3 x 1.25, discount 1 x -0.50",
            ),
            (
                Price,
                two,
                "3",
                "1.250",
                "0.504",
                None,
                "3 x 1.25, discount 1 x -0.50, correction 0.4 x -0.01",
            ),
            (Price, two, "2", "10.00", "1.00", Some("9.50"), "as it stands"),
            (
                Line,
                two,
                "2",
                "10.00",
                "1.00",
                Some("9.50"),
                "2 x 10.00, discount 1 x -1.00",
            ),
            (
                Line,
                None,
                "1",
                "10.00",
                "10.00",
                Some("0.00"),
                "1 x 10.00, discount 1 x -10.00",
            ),
            (Line, None, "2", "10.00", "0", Some("10.00"), "as it stands"),
        ];
        for (how, digits, quantity, price, discount, exact, expected) in cases {
            let whole = line(quantity, price, discount, *exact);
            let rows = split(&whole, *how, *digits).unwrap();
            let shown = match &rows {
                None => "as it stands".to_owned(),
                Some(rows) => {
                    let show = |row: &Fact| {
                        let kind = match row.at("kind") {
                            Some(Fact::Text(kind)) if kind != "product" => format!("{kind} "),
                            _ => String::new(),
                        };
                        format!(
                            "{kind}{} x {}",
                            decimal(row, "quantity"),
                            decimal(row, "unit_price")
                        )
                    };
                    rows.iter().map(show).collect::<Vec<_>>().join(", ")
                }
            };
            assert_eq!(shown, *expected, "{quantity} x {price} - {discount}");
            let amount = |row: &Fact| decimal(row, "quantity") * decimal(row, "unit_price");
            if let Some(rows) = rows {
                assert_eq!(
                    rows.iter().map(amount).sum::<Decimal>(),
                    decimal(&whole, "amount")
                );
            }
        }
    }
}
