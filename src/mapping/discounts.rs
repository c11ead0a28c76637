//! Discounts as exact prices: where a line's units have no exact discounted price, the line keeps its original price and
//! a second row with the same taxes takes the discount off. Never a percentage: ERPs round those.

use rust_decimal::Decimal;

use super::types::{Kind, Typed};
use crate::domain::{Fact, LineKind};

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

/// The one or two rows of a booked line; none when the line is a row as it stands.
pub(super) fn split(line: &Fact) -> Result<Option<Vec<Fact>>, NoUnits> {
    let quantity = decimal(line, "quantity");
    let original = decimal(line, "original_unit_price");
    let discount = decimal(line, "discount");
    if line.at("unit_price").is_some_and(|price| *price != Fact::Null) {
        return Ok(None);
    }
    let units = |price: Decimal| with(line, &[("unit_price", Fact::Decimal(price))]);
    if quantity.is_zero() {
        let free = decimal(line, "amount").is_zero();
        return if free {
            Ok(Some(vec![units(original)]))
        } else {
            Err(NoUnits)
        };
    }
    if discount.is_zero() {
        return Ok(Some(vec![units(original)]));
    }
    let goods = with(
        line,
        &[
            ("unit_price", Fact::Decimal(original)),
            ("discount", Fact::Decimal(Decimal::ZERO)),
            (
                "amount",
                Fact::Decimal(decimal(line, "amount").checked_add(discount).ok_or(NoUnits)?),
            ),
            ("net", Fact::Null),
            ("gross", Fact::Null),
        ],
    );
    let text = |name: &str| match line.at(name) {
        Some(Fact::Text(text)) => text.clone(),
        _ => String::new(),
    };
    let off = Fact::Decimal(-discount);
    let taken_off = with(
        line,
        &[
            ("key", Fact::Text(format!("{}_discount", text("key")))),
            ("kind", Fact::Text(LineKind::Discount.as_str().to_owned())),
            ("product_id", Fact::Null),
            ("variant_id", Fact::Null),
            ("sku", Fact::Null),
            ("quantity", Fact::Decimal(Decimal::ONE)),
            ("original_unit_price", off.clone()),
            ("discount", Fact::Decimal(Decimal::ZERO)),
            ("amount", off.clone()),
            ("unit_price", off),
            ("net", Fact::Null),
            ("gross", Fact::Null),
            ("properties", Fact::List(Vec::new())),
        ],
    );
    Ok(Some(vec![goods, taken_off]))
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
            let rows = split(&whole).unwrap().unwrap_or_else(|| vec![whole.clone()]);
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
        assert_eq!(split(&line("0", "10.00", "1.00", None)), Err(NoUnits));
    }
}
