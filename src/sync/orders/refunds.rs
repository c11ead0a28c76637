//! What each refund becomes in the ERP, decided without I/O.
//!
//! Shopify takes refunded units off its order, whether they were sent or not. In the ERP only what was never delivered
//! comes off the order; what was delivered stays on it, and a credit note stands for it. Whether units were delivered is
//! told by Shopify's own parcels where lockstep carries out deliveries by them, so that the result is the same however late
//! it looks; else by the ERP. A refund that became a credit note stays one, for ever.

use std::collections::BTreeMap;

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::super::settings::{Fulfillments, Refunds, Settings};
use crate::domain::{
    BookedLine, BookedTax, Currency, Fulfillment, LineKind, Order, Refund, RefundedLine, Restock, ShopifyId,
    round_half_up,
};

/// What the ERP holds of a line, by the line's key.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct InErp {
    pub(super) quantity: Decimal,
    pub(super) delivered: Decimal,
    pub(super) invoiced: Decimal,
    pub(super) total: Decimal,
}

/// Which part of a refund a credit note stands for; kept with its link.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Credit {
    /// Units of each line.
    pub(super) units: BTreeMap<String, Decimal>,
    /// How many of them stay on the order.
    pub(super) kept: BTreeMap<String, Decimal>,
    /// Whether its shipping and duties are credited, and stay on the order.
    pub(super) charges: bool,
    /// Whether its adjustments are credited.
    pub(super) adjustments: bool,
}

/// What an earlier attempt decided about a refund.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Made {
    pub(super) credit: Credit,
    /// Whether the document that stands for it was proven. If not it is still to be, as it was decided: a draft changes what
    /// the ERP says of the order, so that it could not be decided anew.
    pub(super) is_proven: bool,
}

impl Credit {
    fn is_nothing(&self) -> bool {
        self.units.values().all(Decimal::is_zero) && !self.charges && !self.adjustments
    }
}

/// What becomes of the refunds of an order.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::sync) struct Decided {
    /// The order with the units and charges that stay on it.
    pub(in crate::sync) order: Order,
    /// What each refund needs beside the order, by its position.
    pub(super) credits: Vec<(usize, Credit)>,
    /// Those of them that the shop's policy leaves to finance.
    pub(super) finance: Vec<usize>,
}

impl Decided {
    /// Of an order without refunds.
    pub(super) fn nothing(order: &Order) -> Self {
        Self {
            order: order.clone(),
            credits: Vec::new(),
            finance: Vec::new(),
        }
    }
}

/// Decides. `made` are the refunds that became credit notes before, proven or not.
pub(super) fn decide(
    order: &Order,
    settings: &Settings,
    erp: &BTreeMap<String, InErp>,
    made: &BTreeMap<ShopifyId, Made>,
) -> Decided {
    let mut credits: Vec<Credit> = order
        .refunds
        .iter()
        .map(|refund| {
            let known = made.get(&refund.id);
            known.map(|known| known.credit.clone()).unwrap_or_default()
        })
        .collect();
    for line in &order.lines {
        let at = erp.get(&line.key).copied().unwrap_or_default();
        assign(order, settings, line, at, made, &mut credits);
    }
    let delivered_in_erp = erp.values().any(|line| !line.delivered.is_zero());
    for (refund, credit) in order.refunds.iter().zip(&mut credits) {
        if made.contains_key(&refund.id) {
            continue;
        }
        credit.charges = has_charges(refund)
            && (is_finance(settings, refund) || stay(order, settings, refund, erp, delivered_in_erp));
        credit.adjustments = adjusted(refund) != Decimal::ZERO;
    }
    let mut decided = Decided::nothing(order);
    for (position, (refund, credit)) in order.refunds.iter().zip(credits).enumerate() {
        keep(&mut decided.order, refund, &credit);
        let known = made.get(&refund.id);
        if known.is_some_and(|known| known.is_proven) || credit.is_nothing() {
            continue;
        }
        let worth = value(refund, &credit, order.currency);
        // No money went back, and what was sent stays on the order: there is nothing to credit.
        if known.is_none() && worth.is_zero() && credit.units == credit.kept && !is_finance(settings, refund)
        {
            continue;
        }
        let is_negative = worth < Decimal::ZERO;
        // A draft that we made is ours to prove, whatever the shop declares since.
        if known.is_none() && (settings.refunds != Refunds::CreditNote || is_negative) {
            decided.finance.push(position);
        }
        decided.credits.push((position, credit));
    }
    decided
}

/// What a credit note of this part of a refund comes to. Below zero the shop kept more than it gave back, and an invoice
/// stands for it.
pub(super) fn value(refund: &Refund, credit: &Credit, currency: Currency) -> Decimal {
    let units: Decimal = credited(refund, credit)
        .into_iter()
        .map(|(entry, units)| share(entry.gross, units, entry.quantity, currency))
        .sum();
    let charges = if credit.charges {
        refund.duties + refund.shipping.iter().map(|line| line.gross).sum::<Decimal>()
    } else {
        Decimal::ZERO
    };
    units
        + charges
        + if credit.adjustments {
            adjusted(refund)
        } else {
            Decimal::ZERO
        }
}

/// What balances a refund's lines and its money, with tax.
fn adjusted(refund: &Refund) -> Decimal {
    refund.adjustments.iter().map(|entry| entry.net + entry.tax).sum()
}

/// The entries of a refund that are credited, with how many units of each. Shopify may split a line by where the goods
/// went.
pub(super) fn credited<'r>(refund: &'r Refund, credit: &Credit) -> Vec<(&'r RefundedLine, Decimal)> {
    let mut left = credit.units.clone();
    refund
        .lines
        .iter()
        .filter_map(|entry| {
            let units = left.get_mut(&entry.key)?;
            let taken = (*units).min(entry.quantity);
            *units -= taken;
            (!taken.is_zero()).then_some((entry, taken))
        })
        .collect()
}

/// `amount * part / whole`, in the currency's smallest unit.
pub(super) fn share(amount: Decimal, part: Decimal, whole: Decimal, currency: Currency) -> Decimal {
    if part == whole {
        return amount;
    }
    let share = amount
        .checked_mul(part)
        .and_then(|product| product.checked_div(whole))
        .unwrap_or_default();
    round_half_up(share, currency.decimals())
}

fn has_charges(refund: &Refund) -> bool {
    !refund.duties.is_zero() || !refund.shipping.is_empty()
}

/// Whether the shop leaves this refund to finance, whatever it is: money went back, or goods came back.
fn is_finance(settings: &Settings, refund: &Refund) -> bool {
    settings.refunds == Refunds::Problem && !is_edit(refund)
}

/// Whether it only takes units off that were never sent, and no money went back: an edit in other words.
fn is_edit(refund: &Refund) -> bool {
    refund.paid_back.is_zero()
        && refund.pending.is_zero()
        && refund.adjustments.is_empty()
        && !has_charges(refund)
        && refund.lines.iter().all(|line| line.restock == Restock::Cancel)
}

/// The parcels of an order that are on their way or arrived.
pub(super) fn parcels(order: &Order) -> impl Iterator<Item = &Fulfillment> {
    order
        .fulfillments
        .iter()
        .filter(|parcel| parcel.status == "SUCCESS")
}

/// Units of a line that were sent.
pub(super) fn sent(order: &Order, key: &str) -> Decimal {
    parcels(order)
        .flat_map(|parcel| &parcel.lines)
        .filter(|line| line.key == key)
        .map(|line| line.quantity)
        .sum()
}

/// Says which refunds the units of a line that were taken off after they were delivered (or invoiced) belong to.
fn assign(
    order: &Order,
    settings: &Settings,
    line: &BookedLine,
    erp: InErp,
    made: &BTreeMap<ShopifyId, Made>,
    credits: &mut [Credit],
) {
    let entries: Vec<(usize, Restock, Decimal)> = order
        .refunds
        .iter()
        .enumerate()
        .flat_map(|(at, refund)| refund.lines.iter().map(move |entry| (at, entry)))
        .filter(|(_, entry)| entry.key == line.key)
        .map(|(at, entry)| (at, entry.restock, entry.quantity))
        .collect();
    if entries.is_empty() {
        return;
    }
    let all: Decimal = entries.iter().map(|(_, _, units)| units).sum();
    let nothing = Decimal::ZERO;
    let mut kept = (erp.delivered - line.quantity).max(nothing);
    if settings.fulfillments == Fulfillments::Validate {
        let sent = sent(order, &line.key);
        kept = kept
            .max(sent_and_refunded(line, sent, &entries))
            .max(sent - line.quantity);
    }
    let invoiced = (erp.invoiced - line.quantity - kept).max(nothing);
    let mut credited_only = invoiced;
    if settings.refunds != Refunds::CreditNote {
        // What finance has to see to stays on the order until then.
        kept += credited_only;
        credited_only = nothing;
    }
    let before = |what: fn(&Credit) -> &BTreeMap<String, Decimal>| -> Decimal {
        made.values()
            .filter_map(|known| what(&known.credit).get(&line.key))
            .sum()
    };
    let mut kept = (kept.min(all) - before(|credit| &credit.kept)).max(nothing);
    // Goods that came back first, and the latest first: what was taken off before they were sent is older.
    let mut by_turn: Vec<&(usize, Restock, Decimal)> = entries
        .iter()
        .filter(|(at, _, _)| {
            let refund = &order.refunds[*at];
            let is_left_to_the_edit = settings.refunds != Refunds::CreditNote && is_edit(refund);
            !made.contains_key(&refund.id) && !is_left_to_the_edit
        })
        .collect();
    by_turn.sort_by_key(|(at, restock, _)| {
        let turn = match restock {
            Restock::Return => 0,
            Restock::Cancel => 2,
            _ => 1,
        };
        (turn, std::cmp::Reverse(*at))
    });
    let mut spare = Vec::with_capacity(by_turn.len());
    for (at, _, units) in &by_turn {
        let is_left_to_finance = is_finance(settings, &order.refunds[*at])
            && !(erp.quantity > nothing && erp.quantity <= line.quantity);
        let taken = if is_left_to_finance {
            *units
        } else {
            kept.min(*units)
        };
        kept = (kept - taken).max(nothing);
        spare.push(*units - taken);
        if !taken.is_zero() {
            *credits[*at].units.entry(line.key.clone()).or_default() += taken;
            *credits[*at].kept.entry(line.key.clone()).or_default() += taken;
        }
    }
    // Invoiced and never sent: credited, and off the order all the same.
    for ((at, _, _), spare) in by_turn.iter().zip(spare).rev() {
        let taken = credited_only.min(spare).max(nothing);
        credited_only -= taken;
        if !taken.is_zero() {
            *credits[*at].units.entry(line.key.clone()).or_default() += taken;
        }
    }
}

/// Units that were sent and refunded, as Shopify's facts say. Where they do not say whether units had been sent
/// (`NO_RESTOCK`), those that were never sent at all are taken for them first.
fn sent_and_refunded(line: &BookedLine, sent: Decimal, entries: &[(usize, Restock, Decimal)]) -> Decimal {
    let of = |wanted: fn(&Restock) -> bool| -> Decimal {
        entries
            .iter()
            .filter(|(_, restock, _)| wanted(restock))
            .map(|(_, _, units)| units)
            .sum()
    };
    let cancelled = of(|restock| *restock == Restock::Cancel);
    let returned = of(|restock| *restock == Restock::Return);
    let unsure = of(|restock| !matches!(restock, Restock::Cancel | Restock::Return));
    let never_sent = (line.sold_quantity - sent - cancelled).max(Decimal::ZERO);
    (returned + unsure - unsure.min(never_sent)).min(sent)
}

/// Whether shipping and duties of a refund stay on the order and are credited.
fn stay(
    order: &Order,
    settings: &Settings,
    refund: &Refund,
    erp: &BTreeMap<String, InErp>,
    delivered_in_erp: bool,
) -> bool {
    let when = refund.created_at.or(refund.processed_at);
    if settings.fulfillments == Fulfillments::Validate
        && parcels(order).any(|parcel| when.is_none_or(|when| parcel.created_at <= when))
    {
        return true;
    }
    // Still at the amount from before this refund, and delivered or invoiced.
    charges(order, refund).any(|(line, gross)| {
        erp.get(&line.key).is_some_and(|at| {
            let is_higher = at.total >= line.gross + gross / Decimal::TWO;
            let is_delivered = delivered_in_erp && settings.fulfillments != Fulfillments::Validate;
            is_higher && (is_delivered || !at.invoiced.is_zero())
        })
    })
}

/// The lines of an order that a refund's shipping and duties were taken off, with the amounts. Duties of an order with
/// several of them cannot be told apart.
pub(super) fn charges<'a>(
    order: &'a Order,
    refund: &'a Refund,
) -> impl Iterator<Item = (&'a BookedLine, Decimal)> {
    let mut duties = order.lines.iter().filter(|line| line.kind == LineKind::Duty);
    let duty = match (duties.next(), duties.next()) {
        (Some(only), None) if !refund.duties.is_zero() => Some((only, refund.duties)),
        _ => None,
    };
    let shipping = refund
        .shipping
        .iter()
        .filter_map(|taken| Some((shipping_line(order, &taken.key)?, taken.gross)));
    shipping.chain(duty)
}

/// The shipping line of this key; the only one where Shopify does not say which.
pub(super) fn shipping_line<'a>(order: &'a Order, key: &str) -> Option<&'a BookedLine> {
    let mut all = order.lines.iter().filter(|line| line.kind == LineKind::Shipping);
    order
        .lines
        .iter()
        .find(|line| line.key == key)
        .or_else(|| all.next().filter(|_| key == "shipping"))
}

/// Puts back on the order what stays on it.
fn keep(order: &mut Order, refund: &Refund, credit: &Credit) {
    let currency = order.currency;
    let included = order.taxes_included;
    let mut back = (Decimal::ZERO, Decimal::ZERO);
    let mut left = credit.kept.clone();
    for entry in &refund.lines {
        let Some(units) = left.get_mut(&entry.key) else {
            continue;
        };
        let taken = (*units).min(entry.quantity);
        *units -= taken;
        if taken.is_zero() {
            continue;
        }
        let part = |amount| share(amount, taken, entry.quantity, currency);
        let Some(line) = order.lines.iter_mut().find(|line| line.key == entry.key) else {
            continue;
        };
        let taxes: Vec<BookedTax> = entry
            .taxes
            .iter()
            .map(|tax| BookedTax {
                amount: part(tax.amount),
                ..tax.clone()
            })
            .collect();
        let (gross, tax) = (part(entry.gross), part(entry.tax));
        put_back(line, taken, part(entry.amount), (gross, tax), &taxes, currency);
        back.0 += gross;
        back.1 += tax;
    }
    if credit.charges {
        let found: Vec<(String, Decimal, Decimal)> = refund
            .shipping
            .iter()
            .filter_map(|taken| {
                Some((
                    shipping_line(order, &taken.key)?.key.clone(),
                    taken.gross,
                    taken.tax,
                ))
            })
            .chain(
                charges(order, refund)
                    .filter(|(line, _)| line.kind == LineKind::Duty)
                    .map(|(line, gross)| (line.key.clone(), gross, Decimal::ZERO)),
            )
            .collect();
        for (key, gross, tax) in found {
            let Some(line) = order.lines.iter_mut().find(|line| line.key == key) else {
                continue;
            };
            let units = if line.quantity.is_zero() {
                Decimal::ONE
            } else {
                Decimal::ZERO
            };
            let amount = if included { gross } else { gross - tax };
            // What is left of a price and what was taken off it are one price again.
            line.original_unit_price = if units.is_zero() {
                line.original_unit_price + amount
            } else {
                line.original_unit_price
            };
            let taxes: Vec<BookedTax> = line
                .taxes
                .first()
                .map(|first| BookedTax {
                    amount: tax,
                    ..first.clone()
                })
                .into_iter()
                .collect();
            put_back(line, units, amount, (gross, tax), &taxes, currency);
            back.0 += gross;
            back.1 += tax;
            order.totals.shipping += gross;
        }
    }
    order.totals.total += back.0;
    order.totals.tax += back.1;
}

fn put_back(
    line: &mut BookedLine,
    units: Decimal,
    amount: Decimal,
    (gross, tax): (Decimal, Decimal),
    taxes: &[BookedTax],
    currency: Currency,
) {
    line.quantity += units;
    line.amount += amount;
    line.gross += gross;
    line.net += gross - tax;
    line.discount = line.quantity * line.original_unit_price - line.amount;
    let price = line
        .amount
        .checked_div(line.quantity)
        .map(|price| round_half_up(price, currency.decimals()));
    line.unit_price = price.filter(|price| *price * line.quantity == line.amount);
    for tax in taxes {
        let same =
            |known: &&mut BookedTax| known.title == tax.title && known.rate_percent == tax.rate_percent;
        match line.taxes.iter_mut().find(same) {
            Some(known) => known.amount += tax.amount,
            None => line.taxes.push(tax.clone()),
        }
    }
}
