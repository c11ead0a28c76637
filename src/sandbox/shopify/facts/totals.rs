//! What follows from an order's facts: its totals, as sold and as they stand, and its states.
//!
//! The rules (all amounts are bags, both currencies side by side):
//! - subtotal = lines after all discounts, tips apart; with tax when the prices contain it;
//! - total = subtotal + shipping after discounts + duties + tips, and tax on top when the prices do not contain it;
//! - "current" amounts are the same less what refunds and removals took off, unit by unit. Money that was given back
//!   beyond that (goodwill) or held back is an adjustment: it is in the refund discrepancy, not in the current total;
//! - outstanding = current total - (received - refunded) + discrepancy.
//!
//! Shopify documents the words, not the sums; the split of goodwill into the discrepancy is read from the field
//! descriptions of the schema and from recorded refunds.

use super::{
    FinancialStatus, FulfillmentStatus, Line, Order, Restock, TaxLine, TransactionKind, TransactionStatus,
};
use crate::sandbox::shopify::money::Bag;

/// Totals and states of one order.
#[derive(Clone, Debug)]
pub struct Totals {
    /// Lines before discounts, tips apart.
    pub line_items: Bag,
    /// Lines after all discounts, tips apart.
    pub subtotal: Bag,
    /// All discounts, shipping included.
    pub discounts: Bag,
    /// Shipping before discounts.
    pub shipping: Bag,
    /// Shipping after discounts.
    pub discounted_shipping: Bag,
    /// All taxes.
    pub tax: Bag,
    /// Tips.
    pub tip: Bag,
    /// Import duties.
    pub duties: Bag,
    /// What the order cost.
    pub total: Bag,
    /// Taxes by title and rate.
    pub taxes: Vec<TaxLine>,
    /// The same after removals and refunds.
    pub current_subtotal: Bag,
    /// Discounts on what is left.
    pub current_discounts: Bag,
    /// Shipping that is left.
    pub current_shipping: Bag,
    /// Taxes on what is left.
    pub current_tax: Bag,
    /// Duties on what is left.
    pub current_duties: Bag,
    /// What the order costs now.
    pub current_total: Bag,
    /// Taxes on what is left, by title and rate.
    pub current_taxes: Vec<TaxLine>,
    /// Money that came in.
    pub received: Bag,
    /// Money that was given back.
    pub refunded: Bag,
    /// Shipping that was given back.
    pub refunded_shipping: Bag,
    /// Worth of all refunds less the money given.
    pub refund_discrepancy: Bag,
    /// Money still to move: positive from the buyer, negative to the buyer.
    pub outstanding: Bag,
    /// Reserved and not yet taken.
    pub capturable: Bag,
    /// Cash rounding of payments.
    pub payment_rounding: Bag,
    /// Cash rounding of refunds.
    pub refund_rounding: Bag,
    /// State of payment.
    pub financial: FinancialStatus,
    /// State of delivery.
    pub fulfillment: FulfillmentStatus,
}

impl Default for Totals {
    fn default() -> Self {
        let zero = Bag::ZERO;
        Self {
            line_items: zero,
            subtotal: zero,
            discounts: zero,
            shipping: zero,
            discounted_shipping: zero,
            tax: zero,
            tip: zero,
            duties: zero,
            total: zero,
            taxes: Vec::new(),
            current_subtotal: zero,
            current_discounts: zero,
            current_shipping: zero,
            current_tax: zero,
            current_duties: zero,
            current_total: zero,
            current_taxes: Vec::new(),
            received: zero,
            refunded: zero,
            refunded_shipping: zero,
            refund_discrepancy: zero,
            outstanding: zero,
            capturable: zero,
            payment_rounding: zero,
            refund_rounding: zero,
            financial: FinancialStatus::Pending,
            fulfillment: FulfillmentStatus::Unfulfilled,
        }
    }
}

impl Order {
    /// Recomputes [`Order::totals`]; to be called after every change of the facts.
    pub fn refresh(&mut self) {
        self.totals = self.compute_totals();
    }

    /// Units taken off a line so far.
    pub fn removed_quantity(&self, line: u64) -> u32 {
        self.refund_lines(line).map(|r| r.quantity).sum()
    }

    /// Units of a line that are left.
    pub fn current_quantity(&self, line: &Line) -> u32 {
        line.quantity.saturating_sub(self.removed_quantity(line.id))
    }

    /// Units of a line that were sent.
    pub fn fulfilled_quantity(&self, line: u64) -> u32 {
        let sent = self
            .fulfillments
            .iter()
            .filter(|f| !f.cancelled)
            .flat_map(|f| &f.lines);
        sent.filter(|(_, of, _)| *of == line)
            .map(|(_, _, quantity)| quantity)
            .sum()
    }

    /// Units of a line that are still to be sent.
    pub fn unfulfilled_quantity(&self, line: &Line) -> u32 {
        if line.tip {
            return 0;
        }
        let returned: u32 = self
            .refund_lines(line.id)
            .filter(|r| r.restock == Restock::Return)
            .map(|r| r.quantity)
            .sum();
        let sent = self.fulfilled_quantity(line.id).saturating_sub(returned);
        self.current_quantity(line).saturating_sub(sent)
    }

    fn refund_lines(&self, line: u64) -> impl Iterator<Item = &super::RefundLine> {
        self.refunds
            .iter()
            .flat_map(|r| &r.lines)
            .filter(move |r| r.line == line)
    }

    /// Tax that is on top of the prices; none when they contain it.
    fn on_top(&self, tax: Bag) -> Bag {
        if self.taxes_included { Bag::ZERO } else { tax }
    }

    fn compute_totals(&self) -> Totals {
        let mut t = Totals::default();
        for line in &self.lines {
            let mut left = line.total();
            let mut discount = line.discount();
            for refund in self.refund_lines(line.id) {
                left = left - refund.subtotal;
                discount = discount - refund.discount;
            }
            if line.tip {
                // A tip that was given back is out of the current total through its units, like any line.
                t.tip += line.total();
                t.current_total += left;
                continue;
            }
            t.line_items += line.original_total();
            t.subtotal += line.total();
            t.discounts += line.discount();
            t.current_subtotal += left;
            t.current_discounts += discount;
            for (index, tax) in line.taxes.iter().enumerate() {
                let off = self
                    .refund_lines(line.id)
                    .filter_map(|r| r.taxes.get(index).copied())
                    .sum();
                add_tax(&mut t.taxes, tax, tax.amount);
                add_tax(&mut t.current_taxes, tax, tax.amount - off);
            }
            for duty in &line.duties {
                let (mut price, mut tax_off) = (duty.price, Bag::ZERO);
                for refund in self
                    .refunds
                    .iter()
                    .flat_map(|r| &r.duties)
                    .filter(|r| r.duty == duty.id)
                {
                    price = price - refund.amount;
                    tax_off += refund.tax;
                }
                t.duties += duty.price;
                t.current_duties += price;
                for (index, tax) in duty.taxes.iter().enumerate() {
                    let off = if index == 0 { tax_off } else { Bag::ZERO };
                    add_tax(&mut t.taxes, tax, tax.amount);
                    add_tax(&mut t.current_taxes, tax, tax.amount - off);
                }
            }
        }
        self.add_shipping(&mut t);
        t.tax = t.taxes.iter().map(|x| x.amount).sum();
        t.current_tax = t.current_taxes.iter().map(|x| x.amount).sum();
        t.current_taxes.retain(|x| !x.amount.is_zero());
        t.total = t.subtotal + t.discounted_shipping + self.on_top(t.tax) + t.tip + t.duties;
        t.current_total +=
            t.current_subtotal + t.current_shipping + self.on_top(t.current_tax) + t.current_duties;
        self.add_payments(&mut t);
        t.fulfillment = self.fulfillment_status();
        t
    }

    fn add_shipping(&self, t: &mut Totals) {
        for line in &self.shipping_lines {
            let discount: Bag = line.allocations.iter().map(|a| a.amount).sum();
            let refunds = || {
                self.refunds
                    .iter()
                    .flat_map(|r| &r.shipping)
                    .filter(|r| r.line == line.id)
            };
            let off: Bag = refunds().map(|r| r.subtotal).sum();
            t.shipping += line.price;
            t.discounted_shipping += line.total();
            t.discounts += discount;
            t.refunded_shipping += off;
            t.current_shipping += line.total() - off;
            if off.is_zero() || off != line.total() {
                t.current_discounts += discount;
            }
            for (index, tax) in line.taxes.iter().enumerate() {
                let off = refunds().filter_map(|r| r.taxes.get(index).copied()).sum();
                add_tax(&mut t.taxes, tax, tax.amount);
                add_tax(&mut t.current_taxes, tax, tax.amount - off);
            }
        }
    }

    fn add_payments(&self, t: &mut Totals) {
        let mut authorized = Bag::ZERO;
        let mut voided = false;
        for transaction in self
            .transactions
            .iter()
            .filter(|x| x.status == TransactionStatus::Success)
        {
            let rounding = transaction.rounding.unwrap_or_default();
            match transaction.kind {
                TransactionKind::Sale | TransactionKind::Capture => {
                    t.received += transaction.amount;
                    t.payment_rounding += rounding;
                }
                TransactionKind::Change => t.received = t.received - transaction.amount,
                TransactionKind::Refund => {
                    t.refunded += transaction.amount;
                    t.refund_rounding += rounding;
                }
                TransactionKind::Authorization => authorized += transaction.amount,
                TransactionKind::Void => voided = true,
            }
            if transaction.kind == TransactionKind::Capture {
                authorized = authorized - transaction.amount.min(authorized);
            }
        }
        t.capturable = if voided { Bag::ZERO } else { authorized };
        t.refund_discrepancy = self
            .refunds
            .iter()
            .flat_map(|r| &r.adjustments)
            .map(|a| a.amount)
            .sum();
        t.outstanding = t.current_total - (t.received - t.refunded) + t.refund_discrepancy;
        t.financial = if t.refunded.shop.is_sign_positive() && !t.refunded.is_zero() {
            if t.refunded.shop >= t.received.shop {
                FinancialStatus::Refunded
            } else {
                FinancialStatus::PartiallyRefunded
            }
        } else if !t.received.is_zero() {
            // Removing lines from a paid order leaves money to give back, not a part that is unpaid.
            if t.received.shop >= t.current_total.shop {
                FinancialStatus::Paid
            } else {
                FinancialStatus::PartiallyPaid
            }
        } else if voided || self.cancellation.is_some() {
            FinancialStatus::Voided
        } else if !t.capturable.is_zero() {
            FinancialStatus::Authorized
        } else if t.total.is_zero() {
            FinancialStatus::Paid
        } else {
            FinancialStatus::Pending
        };
    }

    fn fulfillment_status(&self) -> FulfillmentStatus {
        let goods = || self.lines.iter().filter(|l| !l.tip);
        let sent: u32 = goods().map(|l| self.fulfilled_quantity(l.id)).sum();
        let open: u32 = goods().map(|l| self.unfulfilled_quantity(l)).sum();
        if goods().next().is_none() {
            FulfillmentStatus::NotRequired
        } else if sent == 0 {
            FulfillmentStatus::Unfulfilled
        } else if open == 0 {
            FulfillmentStatus::Fulfilled
        } else {
            FulfillmentStatus::Partial
        }
    }
}

fn add_tax(taxes: &mut Vec<TaxLine>, like: &TaxLine, amount: Bag) {
    match taxes.iter_mut().find(|t| t.tax == like.tax) {
        Some(known) => known.amount += amount,
        None => taxes.push(TaxLine {
            tax: like.tax.clone(),
            amount,
        }),
    }
}
