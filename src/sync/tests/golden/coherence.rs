//! Whether golden orders are coherent in themselves: made by hand, they must add up before they can judge anything.
//!
//! The arithmetic is this file's own; nothing of the product is used.

use std::fmt::Write as _;

use rust_decimal::{Decimal, RoundingStrategy};
use serde_json::Value as Json;

use super::fixture::{self, Fixture, Only};

/// One of the two currencies of an order.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Shop,
    Presentment,
}

/// An order on one side.
struct Reading<'a> {
    order: &'a Json,
    side: Side,
    /// Whether rates are named that are not charged.
    names_uncharged: bool,
    wrong: Vec<String>,
}

/// What does not add up in any state of the fixture's order or in its expectations.
pub(super) fn contradictions(fixture: &Fixture) -> Vec<String> {
    let mut wrong = Vec::new();
    for (step, order) in fixture.states().iter().enumerate() {
        for (side, word) in [(Side::Shop, "shop"), (Side::Presentment, "presentment")] {
            let mut reading = Reading {
                order,
                side,
                names_uncharged: fixture.covers.iter().any(|kind| kind == "rate without an amount"),
                wrong: Vec::new(),
            };
            reading.check();
            wrong.extend(
                reading
                    .wrong
                    .into_iter()
                    .map(|why| format!("step {step}, {word}: {why}")),
            );
        }
    }
    let globally = fixture.settings.erp_rounding.as_deref() == Some("globally");
    for (only, way) in [(Only::Stepwise, "expect"), (Only::AtOnce, "expect_at_once")] {
        for major in [18, 19] {
            let expected = fixture.expected(only, major);
            wrong.extend(expectation(&expected, globally).map(|why| format!("{way} {major}: {why}")));
        }
    }
    wrong.dedup();
    wrong
}

fn expectation(expected: &Json, globally: bool) -> Option<String> {
    let amount = |key: &str| number(&expected[key]);
    let (untaxed, tax, total) = (amount("untaxed")?, amount("tax")?, amount("total")?);
    if untaxed + tax != total {
        return Some(format!("untaxed {untaxed} + tax {tax} is not {total}"));
    }
    let taxes = expected["taxes"].as_object().into_iter().flatten();
    let taxes: Decimal = taxes.filter_map(|(_, amount)| number(amount)).sum();
    if taxes != tax {
        return Some(format!("the taxes add up to {taxes}, not {tax}"));
    }
    let lines = expected["lines"].as_array()?;
    let totals: Option<Vec<Decimal>> = lines.iter().map(|line| number(&line["total"])).collect();
    let sum: Decimal = totals?.into_iter().sum();
    // Under global rounding the lines of an order need not add up to it.
    (!globally && sum != total).then(|| format!("the lines add up to {sum}, not {total}"))
}

fn number(json: &Json) -> Option<Decimal> {
    json.as_str()?.parse().ok()
}

fn list<'a>(json: &'a Json, field: &str) -> &'a [Json] {
    json[field].as_array().map_or(&[], Vec::as_slice)
}

impl Reading<'_> {
    fn amount(&self, json: &Json) -> Option<Decimal> {
        let text = json.as_str()?;
        match (text.split_once('|'), self.side) {
            (Some((shop, _)), Side::Shop) => shop.parse().ok(),
            (Some((_, presentment)), Side::Presentment) => presentment.parse().ok(),
            (None, _) => text.parse().ok(),
        }
    }

    fn or_zero(&self, json: &Json) -> Decimal {
        self.amount(json).unwrap_or_default()
    }

    fn digits(&self) -> u32 {
        let shop = self.order["currencyCode"].as_str().unwrap_or("EUR");
        let code = match self.side {
            Side::Shop => shop,
            Side::Presentment => self.order["presentmentCurrencyCode"].as_str().unwrap_or(shop),
        };
        match code {
            "JPY" => 0,
            "KWD" => 3,
            _ => 2,
        }
    }

    fn round(&self, amount: Decimal) -> Decimal {
        amount.round_dp_with_strategy(self.digits(), RoundingStrategy::MidpointAwayFromZero)
    }

    fn smallest(&self) -> Decimal {
        Decimal::new(1, self.digits())
    }

    /// The value of a field must be this, give or take.
    fn must(&mut self, field: &str, wanted: Decimal, tolerance: Decimal) {
        if let Some(stated) = self.amount(&self.order[field])
            && (stated - wanted).abs() > tolerance
        {
            self.wrong
                .push(format!("{field} is {stated}, its parts make {wanted}"));
        }
    }

    fn check(&mut self) {
        let included = self.order["taxesIncluded"] == true;
        let (mut subtotal, mut shipping, mut taxes, mut extras) =
            (Decimal::ZERO, Decimal::ZERO, Decimal::ZERO, Decimal::ZERO);
        let mut shipping_prices = Decimal::ZERO;
        let (mut current, mut current_taxes, mut slack) = (Decimal::ZERO, Decimal::ZERO, Decimal::ZERO);
        let mut changed = self.order["edited"] == true;
        for line in list(self.order, "lineItems") {
            let sold = Decimal::from(line["quantity"].as_i64().unwrap_or(0));
            let left = line["currentQuantity"].as_i64().map_or(sold, Decimal::from);
            changed |= left != sold;
            if sold < Decimal::ZERO {
                self.wrong
                    .push(format!("the quantity of {} is {sold}", line["title"]));
            }
            let price = self.or_zero(&line["originalUnitPriceSet"]);
            let off = self.allocations(line);
            let amount = price * sold - off;
            subtotal += amount;
            let tax = self.taxes_of(line, amount, included);
            taxes += tax;
            for duty in list(line, "duties") {
                let price = self.or_zero(&duty["price"]);
                extras += price;
                taxes += self.taxes_of(duty, price, included);
            }
            if sold.is_zero() {
                continue;
            }
            current += price * left - self.round(off * left / sold);
            current_taxes += self.round(tax * left / sold);
            if left != sold {
                let parts = 1 + list(line, "taxLines").len() + list(line, "discountAllocations").len();
                slack += self.smallest() * Decimal::from(parts);
            }
        }
        for line in list(self.order, "shippingLines") {
            let price = self.or_zero(&line["originalPriceSet"]) - self.allocations(line);
            if let Some(stated) = self.amount(&line["discountedPriceSet"])
                && stated != price
            {
                self.wrong
                    .push(format!("discounted shipping is {stated}, its parts make {price}"));
            }
            let tax = self.taxes_of(line, price, included);
            if line["isRemoved"] == true {
                changed = true;
                continue;
            }
            shipping += price;
            shipping_prices += self.or_zero(&line["originalPriceSet"]);
            taxes += tax;
        }
        for fee in list(self.order, "additionalFees") {
            let price = self.or_zero(&fee["price"]);
            extras += price;
            taxes += self.taxes_of(fee, price, included);
        }
        let all = |goods: Decimal, taxes: Decimal| {
            goods + shipping + extras + if included { Decimal::ZERO } else { taxes }
        };
        let refunds = list(self.order, "refunds");
        if !changed && refunds.is_empty() {
            // Nothing happened since the sale: everything is exact.
            // A tip is a line, but not a part of the subtotal.
            let tip = self.or_zero(&self.order["totalTipReceivedSet"]);
            for field in ["subtotalPriceSet", "currentSubtotalPriceSet"] {
                self.must(field, subtotal - tip, Decimal::ZERO);
            }
            for field in ["totalTaxSet", "currentTotalTaxSet"] {
                self.must(field, taxes, Decimal::ZERO);
            }
            for field in ["totalPriceSet", "currentTotalPriceSet"] {
                self.must(field, all(subtotal, taxes), Decimal::ZERO);
            }
            // Discounts are taken off it or not, depending on the field's description one believes.
            if self.amount(&self.order["totalShippingPriceSet"]) != Some(shipping_prices) {
                self.must("totalShippingPriceSet", shipping, Decimal::ZERO);
            }
            let listed: Decimal = list(self.order, "taxLines")
                .iter()
                .map(|tax| self.or_zero(&tax["priceSet"]))
                .sum();
            if !list(self.order, "taxLines").is_empty() && listed != taxes {
                self.wrong
                    .push(format!("taxLines add up to {listed}, not {taxes}"));
            }
        } else if refunds.iter().all(|refund| {
            list(refund, "orderAdjustments").is_empty() && list(refund, "refundShippingLines").is_empty()
        }) {
            let price = self.order.get("currentTotalPriceSet").is_some();
            let (wanted, field) = (all(current, current_taxes), "currentTotalPriceSet");
            if price {
                self.must(field, wanted, slack);
            }
        }
        self.payments();
    }

    fn allocations(&self, line: &Json) -> Decimal {
        let all = list(line, "discountAllocations").iter();
        all.map(|allocation| self.or_zero(&allocation["allocatedAmountSet"]))
            .sum()
    }

    /// The taxes of one line as stated, each of which must be its rate of the line's amount.
    fn taxes_of(&mut self, line: &Json, amount: Decimal, included: bool) -> Decimal {
        let all = list(line, "taxLines");
        let rate = |tax: &Json| tax["rate"].to_string().parse::<Decimal>().unwrap_or_default();
        let rates: Decimal = all.iter().map(rate).sum();
        let mut sum = Decimal::ZERO;
        for tax in all {
            let stated = self.or_zero(&tax["priceSet"]);
            sum += stated;
            if stated.is_zero() && self.names_uncharged {
                continue;
            }
            let base = if included {
                amount / (Decimal::ONE + rates)
            } else {
                amount
            };
            let wanted = self.round(base * rate(tax));
            if (stated - wanted).abs() > self.smallest() {
                let title = &line["title"];
                self.wrong.push(format!(
                    "tax of {title} is {stated}, {} of it is {wanted}",
                    tax["rate"]
                ));
            }
        }
        sum
    }

    fn payments(&mut self) {
        let mut received = Decimal::ZERO;
        let transactions = list(self.order, "transactions");
        for transaction in transactions {
            let amount = self.or_zero(&transaction["amountSet"]);
            if transaction["status"].as_str().unwrap_or("SUCCESS") != "SUCCESS" {
                continue;
            }
            match transaction["kind"].as_str().unwrap_or("SALE") {
                "SALE" | "CAPTURE" => received += amount,
                "CHANGE" => received -= amount,
                _ => {}
            }
        }
        if !transactions.is_empty() {
            self.must("totalReceivedSet", received, Decimal::ZERO);
        }
    }
}

#[test]
fn golden_orders_add_up() {
    let mut report = String::new();
    for fixture in fixture::all().0 {
        let wrong = contradictions(&fixture);
        if fixture.inconsistent {
            if wrong.is_empty() {
                writeln!(
                    report,
                    "{}: says that it is inconsistent, and is not",
                    fixture.name
                )
                .unwrap();
            }
            continue;
        }
        for why in wrong {
            writeln!(report, "{}: {why}", fixture.name).unwrap();
        }
    }
    assert!(report.is_empty(), "{report}");
}

#[test]
fn an_order_that_does_not_add_up_is_seen() {
    for (pointer, value, said) in [
        ("/order/totalPriceSet", "29.98", "totalPriceSet is 29.98"),
        ("/order/totalTaxSet", "5.01", "totalTaxSet is 5.01"),
        ("/order/lineItems/0/taxLines/0/priceSet", "5.20", "tax of"),
        (
            "/order/lineItems/0/originalUnitPriceSet",
            "9.98",
            "subtotalPriceSet is 29.97",
        ),
        (
            "/order/transactions/0/amountSet",
            "1.00",
            "totalReceivedSet is 29.97",
        ),
        ("/expect/tax", "5.01", "untaxed 24.97 + tax 5.01"),
        ("/expect/taxes/20", "5.01", "the taxes add up"),
        ("/expect/lines/0/total", "29.96", "the lines add up"),
    ] {
        let mut json: Json = serde_json::from_str(&super::sample()).unwrap();
        *json.pointer_mut(pointer).unwrap() = value.into();
        let fixture = Fixture::parse("changed", &json.to_string()).unwrap();
        let wrong = contradictions(&fixture);
        assert!(wrong.iter().any(|why| why.contains(said)), "{pointer}: {wrong:?}");
    }
}
