//! What happens to a random order after it was booked, and the arithmetic of the shop for it: what is taken off or comes back is
//! reckoned from the whole line each time, so that several steps never lose a cent.

use std::collections::BTreeMap;

use rust_decimal::RoundingStrategy;
use serde_json::{Value as Json, json};

use super::super::super::bench::*;
use super::super::super::*;
use super::event::Event;
use super::order::{Plan, bag, order, places, rates, sold_lines};

/// Amounts in the shop's currency and the buyer's.
type Both = [Decimal; 2];

/// A line with what became of it.
#[derive(Clone, Debug)]
struct Part {
    id: u64,
    units: u32,
    sent: u32,
    returned: u32,
    removed: u32,
    amount: Both,
    /// By percent.
    taxes: Vec<(&'static str, Both)>,
    back: Both,
    taxes_back: Vec<Both>,
    is_goods: bool,
}

/// An order and all that happened to it.
pub(super) struct History {
    plan: Plan,
    id: u64,
    order: Json,
    lines: Vec<Part>,
    shipping: Vec<Part>,
    goodwill: Both,
    /// Money that came in and went back.
    moved: [Both; 2],
    step: u64,
    refunds: Vec<Json>,
    parcels: Vec<Json>,
    transactions: Vec<Json>,
    pub(super) is_cancelled: bool,
}

/// What must stand in the ERP, in one of the two currencies.
#[derive(Clone, Debug)]
pub(super) struct Stated {
    pub(super) currency: String,
    /// What the order comes to with all that was taken off and came back.
    pub(super) current: Decimal,
    /// Given back without any line.
    pub(super) goodwill: Decimal,
    pub(super) received: Decimal,
    pub(super) paid_back: Decimal,
    /// Goods that left.
    pub(super) sent: u32,
}

fn parts(lines: Vec<(u64, u32, Both, Vec<(&'static str, Both)>, bool)>) -> Vec<Part> {
    lines
        .into_iter()
        .map(|(id, units, amount, taxes, is_goods)| Part {
            id,
            units,
            sent: 0,
            returned: 0,
            removed: 0,
            amount,
            taxes_back: vec![Both::default(); taxes.len()],
            taxes,
            back: Both::default(),
            is_goods,
        })
        .collect()
}

impl Part {
    /// Takes so many units off and says what they come to, and their taxes.
    fn take(&mut self, units: u32, places: [u32; 2]) -> (Both, Both) {
        let gone = Decimal::from(self.removed + self.returned + units);
        let whole = Decimal::from(self.units);
        let share = |amount: Decimal, side: usize| {
            (amount * gone / whole)
                .round_dp_with_strategy(places[side], RoundingStrategy::MidpointAwayFromZero)
        };
        let (mut amount, mut tax) = (Both::default(), Both::default());
        for side in 0..2 {
            let back = share(self.amount[side], side);
            amount[side] = back - self.back[side];
            self.back[side] = back;
            for ((_, whole), back) in self.taxes.iter().zip(&mut self.taxes_back) {
                let now = share(whole[side], side);
                tax[side] += now - back[side];
                back[side] = now;
            }
        }
        (amount, tax)
    }
}

fn text([one, other]: Both) -> Json {
    bag(one, other)
}

fn plus(a: Both, b: Both) -> Both {
    [a[0] + b[0], a[1] + b[1]]
}

impl History {
    pub(super) fn new(plan: &Plan, id: u64) -> Self {
        let (order, stated) = order(plan, id);
        let (lines, shipping) = sold_lines(plan, id);
        let total = [stated[0].1, stated[1].1];
        Self {
            plan: plan.clone(),
            id,
            transactions: order["transactions"].as_array().unwrap().clone(),
            order,
            lines: parts(lines),
            shipping: parts(shipping),
            goodwill: Both::default(),
            moved: [total, Both::default()],
            step: 0,
            refunds: Vec::new(),
            parcels: Vec::new(),
            is_cancelled: false,
        }
    }

    /// Lets it happen, as far as it can; whether anything did.
    pub(super) fn happen(&mut self, event: &Event) -> bool {
        if self.is_cancelled {
            return false;
        }
        self.step += 1;
        let places = places(&self.plan);
        match event {
            Event::Remove {
                line,
                units,
                paid_back,
            } => {
                let at = line % self.lines.len();
                let part = &mut self.lines[at];
                let units = (*units).min(part.units - part.sent - part.removed);
                // Something is left of an order that is not called off.
                let left: u32 = self
                    .lines
                    .iter()
                    .map(|part| part.units - part.removed - part.returned)
                    .sum();
                if units == 0 || left <= units {
                    return false;
                }
                let entries = vec![self.entry(at, units, "CANCEL", places)];
                self.refund(entries, Vec::new(), *paid_back);
            }
            Event::Return {
                line,
                units,
                restocked,
            } => {
                let at = line % self.lines.len();
                let part = &self.lines[at];
                let units = (*units).min(part.sent - part.returned);
                if units == 0 {
                    return false;
                }
                let kind = if *restocked { "RETURN" } else { "NO_RESTOCK" };
                let entries = vec![self.entry(at, units, kind, places)];
                self.refund(entries, Vec::new(), true);
            }
            Event::Shipping { line } => {
                let Some(entry) = self.shipping_back(*line, places) else {
                    return false;
                };
                self.refund(Vec::new(), vec![entry], true);
            }
            Event::Goodwill(amount) => {
                let amount = [0, 1].map(|side| Decimal::new(i64::from(*amount), places[side]));
                let stated = [0, 1].map(|side| self.total(side).0 - self.goodwill[side]);
                if amount[0] >= stated[0] || amount[1] >= stated[1] {
                    return false;
                }
                self.goodwill = plus(self.goodwill, amount);
                self.pay_back(amount);
                let id = self.number(700);
                self.refunds.push(json!({
                    "id": self.number(300), "createdAt": self.at(), "processedAt": self.at(), "totalRefundedSet": text(amount),
                    "orderAdjustments": [{
                        "id": id, "reason": "REFUND_DISCREPANCY", "amountSet": text([-amount[0], -amount[1]]), "taxAmountSet": "0",
                    }],
                    "transactions": [self.number(200)],
                }));
            }
            Event::Add(line) => {
                let plan = Plan::of_line(&self.plan, line);
                let id = self.number(0) + 50;
                let (added, _) = sold_lines(&plan, id);
                let (other, stated) = order(&plan, id);
                self.lines.extend(parts(added));
                let mut lines = self.order["lineItems"].as_array().unwrap().clone();
                lines.extend(other["lineItems"].as_array().unwrap().iter().cloned());
                self.order["lineItems"] = lines.into();
                let price = [stated[0].1, stated[1].1];
                self.moved[0] = plus(self.moved[0], price);
                self.transactions.push(json!({
                    "id": self.number(200), "gateway": "shopify_payments", "amountSet": text(price), "processedAt": self.at(),
                }));
                self.order["edited"] = true.into();
            }
            Event::Send { units } => {
                let (number, step) = (self.number(500), self.step);
                let mut sent = Vec::new();
                for (n, part) in self.lines.iter_mut().enumerate() {
                    let units = (*units).min(part.units - part.sent - part.removed);
                    if units > 0 {
                        part.sent += units;
                        sent.push(
                            json!({"id": number + 20 + n as u64, "lineItem": part.id, "quantity": units}),
                        );
                    }
                }
                if sent.is_empty() {
                    return false;
                }
                self.parcels.push(json!({
                    "id": number, "name": format!("F{step}"), "status": "SUCCESS", "createdAt": self.at(), "updatedAt": self.at(),
                    "requiresShipping": true, "fulfillmentLineItems": sent,
                }));
            }
            Event::Cancel => {
                if self.lines.iter().any(|part| part.sent > 0) {
                    return false;
                }
                let mut entries = Vec::new();
                for at in 0..self.lines.len() {
                    let part = &self.lines[at];
                    let left = part.units - part.removed;
                    if left > 0 {
                        entries.push(self.entry(at, left, "CANCEL", places));
                    }
                }
                let shipping = (0..self.shipping.len()).filter_map(|at| self.shipping_back(at, places));
                let shipping: Vec<Json> = shipping.collect();
                self.refund(entries, shipping, true);
                self.is_cancelled = true;
                self.order["cancelledAt"] = self.at().into();
                self.order["cancelReason"] = "CUSTOMER".into();
            }
        }
        true
    }

    /// A number of something that came with this step.
    fn number(&self, kind: u64) -> u64 {
        self.id + 100_000 + self.step * 1_000 + kind
    }

    fn at(&self) -> String {
        format!("2026-11-21T10:{:02}:00Z", self.step)
    }

    fn entry(&mut self, at: usize, units: u32, kind: &str, places: [u32; 2]) -> Json {
        let part = &mut self.lines[at];
        let (amount, tax) = part.take(units, places);
        if kind == "CANCEL" {
            part.removed += units;
        } else {
            part.returned += units;
        }
        json!({
            "lineItem": part.id, "quantity": units, "restockType": kind, "subtotalSet": text(amount), "totalTaxSet": text(tax),
        })
    }

    fn shipping_back(&mut self, line: usize, places: [u32; 2]) -> Option<Json> {
        let count = self.shipping.len().max(1);
        let part = self.shipping.get_mut(line % count)?;
        if part.removed > 0 || part.amount[0].is_zero() || part.amount[1].is_zero() {
            return None;
        }
        let (amount, tax) = part.take(1, places);
        part.removed = 1;
        Some(json!({
            "shippingLine": part.id, "subtotalAmountSet": text(amount), "taxAmountSet": text(tax),
        }))
    }

    fn refund(&mut self, lines: Vec<Json>, shipping: Vec<Json>, paid_back: bool) {
        let sum = |entries: &[Json], amount: &str, tax: &str| -> Both {
            entries.iter().fold(Both::default(), |sum, entry| {
                let read = |field: &str| -> Both {
                    let (one, other) = entry[field].as_str().unwrap().split_once('|').unwrap();
                    [one.parse().unwrap(), other.parse().unwrap()]
                };
                let taxes = if self.plan.taxes_included() {
                    Both::default()
                } else {
                    read(tax)
                };
                plus(sum, plus(read(amount), taxes))
            })
        };
        let worth = plus(
            sum(&lines, "subtotalSet", "totalTaxSet"),
            sum(&shipping, "subtotalAmountSet", "taxAmountSet"),
        );
        let is_paid = paid_back && !worth[0].is_zero() && !worth[1].is_zero();
        let (id, at) = (self.number(300), self.at());
        self.refunds.push(json!({
            "id": id, "createdAt": at, "processedAt": at, "refundLineItems": lines, "refundShippingLines": shipping,
            "totalRefundedSet": if is_paid { text(worth) } else { "0".into() },
            "transactions": if is_paid { json!([self.number(200)]) } else { json!([]) },
        }));
        if is_paid {
            self.pay_back(worth);
        }
        self.order["edited"] = true.into();
    }

    fn pay_back(&mut self, amount: Both) {
        self.moved[1] = plus(self.moved[1], amount);
        self.transactions.push(json!({
            "id": self.number(200), "kind": "REFUND", "gateway": "shopify_payments", "amountSet": text(amount),
            "parentTransaction": self.id + 201, "processedAt": self.at(),
        }));
    }

    /// Total and tax as the order stands now.
    fn total(&self, side: usize) -> (Decimal, Decimal) {
        let (mut goods, mut tax) = (Decimal::ZERO, Decimal::ZERO);
        for part in self.lines.iter().chain(&self.shipping) {
            goods += part.amount[side] - part.back[side];
            tax += part.taxes.iter().map(|(_, whole)| whole[side]).sum::<Decimal>();
            tax -= part.taxes_back.iter().map(|back| back[side]).sum::<Decimal>();
        }
        (
            if self.plan.taxes_included() {
                goods
            } else {
                goods + tax
            },
            tax,
        )
    }

    fn sold(&self, side: usize) -> (Decimal, Decimal) {
        let (mut goods, mut tax) = (Decimal::ZERO, Decimal::ZERO);
        for part in self.lines.iter().chain(&self.shipping) {
            goods += part.amount[side];
            tax += part.taxes.iter().map(|(_, whole)| whole[side]).sum::<Decimal>();
        }
        (
            if self.plan.taxes_included() {
                goods
            } else {
                goods + tax
            },
            tax,
        )
    }

    /// What must stand in the ERP.
    pub(super) fn stated(&self, presentment: bool) -> Stated {
        let side = usize::from(presentment);
        let field = if presentment {
            "presentmentCurrencyCode"
        } else {
            "currencyCode"
        };
        let goods = self.lines.iter().filter(|part| part.is_goods);
        Stated {
            currency: self.order[field].as_str().unwrap().to_owned(),
            current: self.total(side).0,
            goodwill: self.goodwill[side],
            received: self.moved[0][side],
            paid_back: self.moved[1][side],
            sent: goods.map(|part| part.sent).sum(),
        }
    }

    /// The order as the shop shows it now.
    pub(super) fn json(&self) -> Json {
        let mut order = self.order.clone();
        for (line, part) in order["lineItems"]
            .as_array_mut()
            .unwrap()
            .iter_mut()
            .zip(&self.lines)
        {
            line["currentQuantity"] = (part.units - part.removed - part.returned).into();
        }
        for (line, part) in order["shippingLines"]
            .as_array_mut()
            .unwrap()
            .iter_mut()
            .zip(&self.shipping)
        {
            let left = [0, 1].map(|side| part.amount[side] - part.back[side]);
            line["currentDiscountedPriceSet"] = text(left);
        }
        let both = |of: &dyn Fn(usize) -> Decimal| text([of(0), of(1)]);
        order["totalPriceSet"] = both(&|side| self.sold(side).0);
        order["totalTaxSet"] = both(&|side| self.sold(side).1);
        order["currentTotalPriceSet"] = both(&|side| self.total(side).0);
        order["currentTotalTaxSet"] = both(&|side| self.total(side).1);
        for (list, left) in [("taxLines", false), ("currentTaxLines", true)] {
            let mut taxes: BTreeMap<&str, Both> = BTreeMap::new();
            for part in self.lines.iter().chain(&self.shipping) {
                for ((percent, whole), back) in part.taxes.iter().zip(&part.taxes_back) {
                    let back = if left { *back } else { Both::default() };
                    let sum = taxes.entry(percent).or_default();
                    *sum = plus(*sum, [whole[0] - back[0], whole[1] - back[1]]);
                }
            }
            order[list] = taxes
                .into_iter()
                .map(|(percent, amount)| {
                    json!({"title": format!("Tax {percent}"), "rate": rates(percent), "priceSet": text(amount)})
                })
                .collect();
        }
        let unsent: u32 = self
            .lines
            .iter()
            .map(|part| part.units - part.sent - part.removed)
            .sum();
        let status = match (self.parcels.is_empty(), unsent) {
            (true, _) => "UNFULFILLED",
            (false, 0) => "FULFILLED",
            (false, _) => "PARTIALLY_FULFILLED",
        };
        order["displayFulfillmentStatus"] = status.into();
        order["displayFinancialStatus"] = if self.moved[1][0].is_zero() {
            "PAID"
        } else if self.moved[1][0] == self.moved[0][0] {
            "REFUNDED"
        } else {
            "PARTIALLY_REFUNDED"
        }
        .into();
        order["fulfillments"] = self.parcels.clone().into();
        order["refunds"] = self.refunds.clone().into();
        order["transactions"] = self.transactions.clone().into();
        order["updatedAt"] = format!("2026-11-21T10:{:02}:30Z", self.step).into();
        order
    }
}

#[test]
fn what_comes_back_in_steps_adds_up_to_the_whole() {
    let mut part = parts(vec![(
        1,
        3,
        [decimal("10.00"), decimal("10.00")],
        vec![("19", [decimal("1.60"), decimal("1.60")])],
        true,
    )])
    .remove(0);
    // 10.00 / 3 = 3.33, 6.67, 10.00; 1.60 / 3 = 0.53, 1.07, 1.60.
    let mut told = Vec::new();
    for _ in 0..3 {
        let (amount, tax) = part.take(1, [2, 2]);
        part.removed += 1;
        told.push((amount[0].to_string(), tax[0].to_string()));
    }
    let wanted = [("3.33", "0.53"), ("3.34", "0.54"), ("3.33", "0.53")];
    let wanted: Vec<(String, String)> = wanted
        .iter()
        .map(|(a, t)| ((*a).to_owned(), (*t).to_owned()))
        .collect();
    assert_eq!(told, wanted);
}
