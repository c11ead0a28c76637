//! Plans of random orders, and the arithmetic of the shop that turns one into an order.

use std::collections::BTreeMap;

use proptest::prelude::*;
use rust_decimal::RoundingStrategy;
use serde_json::{Value as Json, json};

use super::super::super::bench::*;
use super::super::super::*;
use super::super::world::catalogue;

/// Shop's currency, buyer's currency, buyer's units for one of the shop's.
const CURRENCIES: [(&str, &str, &str); 7] = [
    ("EUR", "EUR", "1"),
    ("EUR", "EUR", "1"),
    ("EUR", "USD", "1.0843"),
    ("EUR", "JPY", "163.27"),
    ("JPY", "JPY", "1"),
    ("KWD", "KWD", "1"),
    ("GBP", "KWD", "0.3941"),
];

/// Rates (percent) of the taxes that one line may have.
const TAXES: [&[&str]; 6] = [&["19"], &["7"], &["20"], &["8.875"], &["5", "9.975"], &[]];

#[derive(Clone, Debug)]
enum Discount {
    None,
    /// Percent of the line.
    Percent(u32),
    /// So many percent of the line, told as an amount.
    Amount(u32),
}

#[derive(Clone, Debug)]
pub(super) struct Line {
    variant: usize,
    /// In the smallest unit of the shop's currency.
    price: u32,
    quantity: u32,
    taxes: usize,
    discount: Discount,
    /// Units given back, as far as there are so many.
    returned: u32,
}

#[derive(Clone, Debug)]
struct Shipping {
    price: u32,
    taxes: usize,
    is_free: bool,
    is_refunded: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Plan {
    currencies: usize,
    taxes_included: bool,
    lines: Vec<Line>,
    /// On all lines together.
    discount: Discount,
    shipping: Vec<Shipping>,
}

fn discounts() -> impl Strategy<Value = Discount> {
    prop_oneof![
        4 => Just(Discount::None),
        1 => (1u32..=100).prop_map(Discount::Percent),
        1 => (1u32..=60).prop_map(Discount::Amount),
    ]
}

pub(super) fn lines() -> impl Strategy<Value = Line> {
    let quantity = prop_oneof![8 => 1u32..=5, 2 => 6u32..=40, 1 => Just(1000u32)];
    let returned = prop_oneof![4 => Just(0u32), 1 => 1u32..=3];
    (
        0usize..8,
        1u32..=20_000,
        quantity,
        0usize..TAXES.len(),
        discounts(),
        returned,
    )
        .prop_map(|(variant, price, quantity, taxes, discount, returned)| Line {
            variant,
            price,
            quantity,
            taxes,
            discount,
            returned,
        })
}

pub(super) fn plans() -> impl Strategy<Value = Plan> {
    let shipping = (
        0u32..=1_500,
        0usize..TAXES.len(),
        prop::bool::weighted(0.2),
        prop::bool::weighted(0.1),
    )
        .prop_map(|(price, taxes, is_free, is_refunded)| Shipping {
            price,
            taxes,
            is_free,
            is_refunded,
        });
    (
        0usize..CURRENCIES.len(),
        any::<bool>(),
        prop::collection::vec(lines(), 1..=4),
        discounts(),
        prop::collection::vec(shipping, 0..=2),
    )
        .prop_map(|(currencies, taxes_included, lines, discount, shipping)| Plan {
            currencies,
            taxes_included,
            lines,
            discount,
            shipping,
        })
}

impl Plan {
    /// The same with nothing given back.
    pub(super) fn sold_only(mut self) -> Self {
        for line in &mut self.lines {
            line.returned = 0;
        }
        for line in &mut self.shipping {
            line.is_refunded = false;
        }
        self
    }

    /// An order of this line alone, in the same shop for the same buyer.
    pub(super) fn of_line(other: &Self, line: &Line) -> Self {
        Self {
            lines: vec![Line {
                discount: Discount::None,
                returned: 0,
                ..line.clone()
            }],
            discount: Discount::None,
            shipping: Vec::new(),
            ..other.clone()
        }
    }

    pub(super) fn taxes_included(&self) -> bool {
        self.taxes_included
    }
}

/// Decimals of the shop's currency and of the buyer's.
pub(super) fn places(plan: &Plan) -> [u32; 2] {
    let (shop, buyer, _) = CURRENCIES[plan.currencies];
    [digits(shop), digits(buyer)]
}

/// A rate as Shopify tells it.
pub(super) fn rates(percent: &str) -> Json {
    let rate: f64 = rate(percent).normalize().to_string().parse().unwrap();
    rate.into()
}

/// A line as sold: its id, units, amount, taxes by percent in both currencies, and whether it is goods.
type Sold = (u64, u32, [Decimal; 2], Vec<(&'static str, [Decimal; 2])>, bool);

/// The lines and the shipping lines of [`order`], as sold.
pub(super) fn sold_lines(plan: &Plan, id: u64) -> (Vec<Sold>, Vec<Sold>) {
    let (_, _, exchange) = CURRENCIES[plan.currencies];
    let places = places(plan);
    let shop = Side::of(plan, places[0], places[0], Decimal::ONE);
    let buyer = Side::of(plan, places[1], places[0], decimal(exchange));
    let both = |one: &Amounts, other: &Amounts, taxes: usize| {
        let percents = TAXES[taxes].iter().enumerate();
        let taxes = percents.map(|(n, percent)| (*percent, [one.taxes[n], other.taxes[n]]));
        ([one.amount, other.amount], taxes.collect())
    };
    let variants = variants();
    let lines = plan.lines.iter().enumerate().map(|(n, line)| {
        let (amount, taxes) = both(&shop.lines[n], &buyer.lines[n], line.taxes);
        let is_goods = variants[line.variant % variants.len()]["requires_shipping"] != false;
        (id + 1 + n as u64, line.quantity, amount, taxes, is_goods)
    });
    let shipping = plan.shipping.iter().enumerate().map(|(n, line)| {
        let (amount, taxes) = both(&shop.shipping[n], &buyer.shipping[n], line.taxes);
        (id + 101 + n as u64, 1, amount, taxes, false)
    });
    (lines.collect(), shipping.collect())
}

fn variants() -> Vec<&'static Json> {
    catalogue()["products"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|product| product["gift_card"] != true)
        .flat_map(|product| product["variants"].as_array().unwrap())
        .collect()
}

fn digits(currency: &str) -> u32 {
    match currency {
        "JPY" => 0,
        "KWD" => 3,
        _ => 2,
    }
}

fn rate(percent: &str) -> Decimal {
    decimal(percent) / Decimal::ONE_HUNDRED
}

/// What a line, or what is left of it, comes to.
#[derive(Clone, Debug, Default)]
struct Amounts {
    price: Decimal,
    /// By discount.
    off: Vec<(usize, Decimal)>,
    amount: Decimal,
    taxes: Vec<Decimal>,
    returned: Decimal,
    returned_taxes: Vec<Decimal>,
}

/// One side of an order: everything in one currency.
struct Side {
    lines: Vec<Amounts>,
    shipping: Vec<Amounts>,
    total: Decimal,
    tax: Decimal,
    current_total: Decimal,
    current_tax: Decimal,
}

impl Side {
    fn of(plan: &Plan, places: u32, shop_places: u32, exchange: Decimal) -> Self {
        let round =
            |amount: Decimal| amount.round_dp_with_strategy(places, RoundingStrategy::MidpointAwayFromZero);
        let money = |smallest: u32| round(Decimal::new(i64::from(smallest), shop_places) * exchange);
        let percent =
            |amount: Decimal, percent: u32| round(amount * Decimal::from(percent) / Decimal::ONE_HUNDRED);
        let mut lines: Vec<Amounts> = Vec::new();
        for (place, line) in plan.lines.iter().enumerate() {
            let price = money(line.price);
            let full = price * Decimal::from(line.quantity);
            let off = match line.discount {
                Discount::None => None,
                Discount::Percent(part) | Discount::Amount(part) => Some((place, percent(full, part))),
            };
            let amount = full - off.map_or(Decimal::ZERO, |(_, off)| off);
            lines.push(Amounts {
                price,
                off: off.into_iter().collect(),
                amount,
                ..Amounts::default()
            });
        }
        // What is taken off all lines together is spread in proportion, and the last line takes the rest.
        if let Discount::Percent(part) | Discount::Amount(part) = plan.discount {
            let all: Decimal = lines.iter().map(|line| line.amount).sum();
            let mut left = percent(all, part);
            let (whole, last) = (left, lines.len() - 1);
            for (place, line) in lines.iter_mut().enumerate() {
                let share = if place == last || all.is_zero() {
                    left
                } else {
                    round(whole * line.amount / all)
                };
                let share = share.min(line.amount).min(left);
                line.off.push((plan.lines.len(), share));
                line.amount -= share;
                left -= share;
            }
        }
        let tax = |amount: Decimal, taxes: usize| -> Vec<Decimal> {
            let rates: Vec<Decimal> = TAXES[taxes].iter().map(|percent| rate(percent)).collect();
            let all: Decimal = rates.iter().sum();
            let base = if plan.taxes_included {
                amount / (Decimal::ONE + all)
            } else {
                amount
            };
            rates.iter().map(|rate| round(base * rate)).collect()
        };
        for (line, planned) in lines.iter_mut().zip(&plan.lines) {
            line.taxes = tax(line.amount, planned.taxes);
            let part = Decimal::from(returned(plan, planned)) / Decimal::from(planned.quantity);
            line.returned = round(line.amount * part);
            line.returned_taxes = line.taxes.iter().map(|tax| round(*tax * part)).collect();
        }
        let mut shipping: Vec<Amounts> = Vec::new();
        for planned in &plan.shipping {
            let price = money(planned.price);
            let off = if planned.is_free { price } else { Decimal::ZERO };
            let amount = price - off;
            let taxes = tax(amount, planned.taxes);
            let (returned, returned_taxes) = if planned.is_refunded {
                (amount, taxes.clone())
            } else {
                (Decimal::ZERO, vec![Decimal::ZERO; taxes.len()])
            };
            shipping.push(Amounts {
                price,
                off: if planned.is_free {
                    vec![(free(plan), off)]
                } else {
                    Vec::new()
                },
                amount,
                taxes,
                returned,
                returned_taxes,
            });
        }
        let (mut goods, mut tax, mut back, mut tax_back) = <(Decimal, Decimal, Decimal, Decimal)>::default();
        for part in lines.iter().chain(&shipping) {
            goods += part.amount;
            tax += part.taxes.iter().sum::<Decimal>();
            back += part.returned;
            tax_back += part.returned_taxes.iter().sum::<Decimal>();
        }
        let total = |goods: Decimal, tax: Decimal| if plan.taxes_included { goods } else { goods + tax };
        Self {
            total: total(goods, tax),
            tax,
            current_total: total(goods - back, tax - tax_back),
            current_tax: tax - tax_back,
            lines,
            shipping,
        }
    }
}

/// The place of free shipping among the discounts.
fn free(plan: &Plan) -> usize {
    plan.lines.len() + usize::from(!matches!(plan.discount, Discount::None))
}

/// Units given back: never all of the first line, so that something is left.
fn returned(plan: &Plan, line: &Line) -> u32 {
    let first = std::ptr::eq(line, &raw const plan.lines[0]);
    line.returned.min(line.quantity - u32::from(first))
}

pub(super) fn bag(shop: Decimal, presentment: Decimal) -> Json {
    format!("{shop}|{presentment}").into()
}

/// The order as the shop shows it, and its current total and tax in both currencies.
pub(super) fn order(plan: &Plan, id: u64) -> (Json, [(String, Decimal, Decimal); 2]) {
    let (shop_code, buyer_code, exchange) = CURRENCIES[plan.currencies];
    let shop_places = digits(shop_code);
    let shop = Side::of(plan, shop_places, shop_places, Decimal::ONE);
    let buyer = Side::of(plan, digits(buyer_code), shop_places, decimal(exchange));
    let variants = variants();
    let mut lists: BTreeMap<&str, BTreeMap<&str, (Decimal, Decimal)>> = BTreeMap::new();
    let mut tax_lines = |taxes: usize, one: &Amounts, other: &Amounts| -> Json {
        let all = TAXES[taxes].iter().enumerate();
        all.map(|(n, percent)| {
            for (list, left) in [("taxLines", false), ("currentTaxLines", true)] {
                let back = |part: &Amounts| if left { part.returned_taxes[n] } else { Decimal::ZERO };
                let sum = lists.entry(list).or_default().entry(percent).or_default();
                sum.0 += one.taxes[n] - back(one);
                sum.1 += other.taxes[n] - back(other);
            }
            let rate: f64 = rate(percent).normalize().to_string().parse().unwrap();
            json!({"title": format!("Tax {percent}"), "rate": rate, "priceSet": bag(one.taxes[n], other.taxes[n])})
        })
        .collect()
    };
    let allocations = |one: &Amounts, other: &Amounts| -> Json {
        let pairs = one.off.iter().zip(&other.off);
        pairs
            .map(|((place, one), (_, other))| {
                json!({"allocatedAmountSet": bag(*one, *other), "discountApplication": place_of(plan, *place)})
            })
            .collect()
    };
    let (mut lines, mut shipping_lines, mut refunded, mut refunded_shipping) =
        (vec![], vec![], vec![], vec![]);
    for (n, line) in plan.lines.iter().enumerate() {
        let (one, other) = (&shop.lines[n], &buyer.lines[n]);
        let number = id + 1 + n as u64;
        let back = returned(plan, line);
        let variant = variants[line.variant % variants.len()];
        lines.push(json!({
            "id": number, "variant": variant["id"], "quantity": line.quantity, "currentQuantity": line.quantity - back,
            "originalUnitPriceSet": bag(one.price, other.price), "taxLines": tax_lines(line.taxes, one, other),
            "discountAllocations": allocations(one, other),
        }));
        if back > 0 {
            let taxes = |part: &Amounts| part.returned_taxes.iter().sum::<Decimal>();
            refunded.push(json!({
                "lineItem": number, "quantity": back, "restockType": "CANCEL",
                "subtotalSet": bag(one.returned, other.returned), "totalTaxSet": bag(taxes(one), taxes(other)),
            }));
        }
    }
    for (n, line) in plan.shipping.iter().enumerate() {
        let (one, other) = (&shop.shipping[n], &buyer.shipping[n]);
        let number = id + 101 + n as u64;
        shipping_lines.push(json!({
            "id": number, "title": format!("Parcel {n}"), "originalPriceSet": bag(one.price, other.price),
            "discountedPriceSet": bag(one.amount, other.amount),
            "currentDiscountedPriceSet": bag(one.amount - one.returned, other.amount - other.returned),
            "taxLines": tax_lines(line.taxes, one, other), "discountAllocations": allocations(one, other),
        }));
        if line.is_refunded {
            let taxes = |part: &Amounts| part.returned_taxes.iter().sum::<Decimal>();
            refunded_shipping.push(json!({
                "shippingLine": number, "subtotalAmountSet": bag(one.returned, other.returned),
                "taxAmountSet": bag(taxes(one), taxes(other)),
            }));
        }
    }
    let listed = |list: &str| -> Json {
        let taxes = lists.get(list).into_iter().flatten();
        taxes
            .map(|(percent, (one, other))| {
                let rate: f64 = rate(percent).normalize().to_string().parse().unwrap();
                json!({"title": format!("Tax {percent}"), "rate": rate, "priceSet": bag(*one, *other)})
            })
            .collect()
    };
    let is_refunded = !(refunded.is_empty() && refunded_shipping.is_empty());
    let (back, back_other) = (shop.total - shop.current_total, buyer.total - buyer.current_total);
    let mut transactions = vec![json!({
        "id": id + 201, "gateway": "shopify_payments", "amountSet": bag(shop.total, buyer.total),
    })];
    let mut refunds = vec![];
    if is_refunded {
        transactions.push(json!({
            "id": id + 202, "kind": "REFUND", "gateway": "shopify_payments", "amountSet": bag(back, back_other),
            "parentTransaction": id + 201,
        }));
        refunds.push(json!({
            "id": id + 301, "refundLineItems": refunded, "refundShippingLines": refunded_shipping,
            "totalRefundedSet": bag(back, back_other), "transactions": [id + 202],
        }));
    }
    let whole = json!({
        "id": id, "name": format!("#{id}"), "processedAt": "2026-11-20T10:00:00Z", "customer": 3001,
        "currencyCode": shop_code, "presentmentCurrencyCode": buyer_code, "taxesIncluded": plan.taxes_included,
        "displayFinancialStatus": if is_refunded { "PARTIALLY_REFUNDED" } else { "PAID" },
        "totalPriceSet": bag(shop.total, buyer.total), "totalTaxSet": bag(shop.tax, buyer.tax),
        "currentTotalPriceSet": bag(shop.current_total, buyer.current_total),
        "currentTotalTaxSet": bag(shop.current_tax, buyer.current_tax),
        "taxLines": listed("taxLines"), "currentTaxLines": listed("currentTaxLines"),
        "discountApplications": applications(plan), "lineItems": lines, "shippingLines": shipping_lines,
        "transactions": transactions, "refunds": refunds,
    });
    let stated = [(shop_code, &shop), (buyer_code, &buyer)];
    let stated = stated.map(|(code, side)| (code.to_owned(), side.current_total, side.current_tax));
    (whole, stated)
}

/// All discounts in their order: one per discounted line, the one on all lines, free shipping.
fn applications(plan: &Plan) -> Json {
    let told = |discount: &Discount| match discount {
        Discount::None => None,
        Discount::Percent(part) => Some(json!(part)),
        Discount::Amount(_) => Some(json!("1.00")),
    };
    let mut all: Vec<Json> = plan
        .lines
        .iter()
        .filter_map(|line| told(&line.discount))
        .map(|value| json!({"__typename": "ManualDiscountApplication", "title": "On the line", "value": value}))
        .collect();
    all.extend(told(&plan.discount).map(|value| json!({"code": "ALL", "value": value})));
    if plan.shipping.iter().any(|line| line.is_free) {
        let value = json!({"title": "Free shipping", "value": 100, "targetType": "SHIPPING_LINE"});
        all.push(value);
    }
    all.into()
}

/// The place of a discount in [`applications`], which leaves out lines without one.
fn place_of(plan: &Plan, place: usize) -> usize {
    let none = |line: &&Line| matches!(line.discount, Discount::None);
    place - plan.lines.iter().take(place).filter(none).count()
}

#[test]
fn the_arithmetic_is_the_shops() {
    let plan = Plan {
        currencies: 0,
        taxes_included: true,
        lines: vec![Line {
            variant: 0,
            price: 999,
            quantity: 3,
            taxes: 2,
            discount: Discount::Percent(10),
            returned: 1,
        }],
        discount: Discount::None,
        shipping: vec![],
    };
    // 29.97 less 3.00 is 26.97; 20/120 of it is 4.495; a third of each is 8.99 and 1.50.
    let side = Side::of(&plan, 2, 2, Decimal::ONE);
    assert_eq!((side.total, side.tax), (decimal("26.97"), decimal("4.50")));
    assert_eq!(
        (side.current_total, side.current_tax),
        (decimal("17.98"), decimal("3.00"))
    );
}
