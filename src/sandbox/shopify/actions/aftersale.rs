//! Orders are paid, sent, refunded and cancelled.

use rust_decimal::Decimal;

use super::{ActionError, not_found, refused};
use crate::sandbox::shopify::draft::{CancelDraft, RefundDraft, RefundMoney};
use crate::sandbox::shopify::facts::{
    Adjustment, Cancellation, FinancialStatus, Fulfillment, FulfillmentStatus, Order, Refund, RefundDuty,
    RefundLine, RefundShipping, Restock, Transaction, TransactionKind, TransactionStatus,
};
use crate::sandbox::shopify::money::Bag;
use crate::sandbox::shopify::shop::Shop;
use crate::sandbox::shopify::webhook::Change;

impl Shop {
    /// The money comes in: an authorization is captured, a pending or missing payment is made.
    ///
    /// # Errors
    /// The order does not exist or nothing is outstanding.
    pub fn pay_order(&mut self, id: u64) -> Result<(), ActionError> {
        let now = self.now();
        self.change_order(id, |shop, order| {
            let open = order.totals.outstanding;
            if open.shop <= Decimal::ZERO {
                return Err(refused("nothing is outstanding"));
            }
            let parent = order
                .transactions
                .iter()
                .find(|t| t.kind == TransactionKind::Authorization || t.status == TransactionStatus::Pending);
            let kind = match parent.map(|t| t.kind) {
                Some(TransactionKind::Authorization) => TransactionKind::Capture,
                _ => TransactionKind::Sale,
            };
            let gateway = parent.map_or("manual", |t| t.gateway.as_str()).to_owned();
            let parent = parent.map(|t| t.id);
            let mut transaction = shop.transaction(order, kind, &gateway, open, now);
            transaction.parent = parent;
            let transaction_id = transaction.id;
            order.transactions.push(transaction);
            order.refresh();
            let mut changes = vec![Change::Transaction(id, transaction_id)];
            if order.totals.financial == FinancialStatus::Paid {
                changes.push(Change::Order("orders/paid", id));
            }
            Ok(changes)
        })
    }

    /// The buyer's bank refuses what is still to be paid.
    ///
    /// # Errors
    /// The order does not exist.
    pub fn refuse_payment(&mut self, id: u64, gateway: &str) -> Result<u64, ActionError> {
        self.refuse(id, TransactionKind::Sale, gateway)
    }

    /// The buyer's bank does not take back what was paid.
    ///
    /// # Errors
    /// The order does not exist.
    pub fn refuse_refund(&mut self, id: u64, gateway: &str) -> Result<u64, ActionError> {
        self.refuse(id, TransactionKind::Refund, gateway)
    }

    fn refuse(&mut self, id: u64, kind: TransactionKind, gateway: &str) -> Result<u64, ActionError> {
        let now = self.now();
        let mut refused = 0;
        self.change_order(id, |shop, order| {
            let amount = match kind {
                TransactionKind::Refund => order.totals.received,
                _ => order.totals.outstanding,
            };
            let mut transaction = shop.transaction(order, kind, gateway, amount, now);
            transaction.status = TransactionStatus::Failure;
            refused = transaction.id;
            order.transactions.push(transaction);
            order.refresh();
            Ok(vec![Change::Transaction(id, refused)])
        })?;
        Ok(refused)
    }

    /// The carrier gives a parcel another number.
    ///
    /// # Errors
    /// The order or the fulfillment does not exist.
    pub fn track(&mut self, order: u64, fulfillment: u64, number: &str) -> Result<(), ActionError> {
        let now = self.now();
        self.change_order(order, |_, record| {
            let found = record.fulfillments.iter_mut().find(|f| f.id == fulfillment);
            let parcel = found.ok_or_else(|| not_found("fulfillment", fulfillment))?;
            parcel.tracking = Some(number.to_owned());
            parcel.updated_at = now;
            Ok(vec![Change::Fulfillment(
                "fulfillments/update",
                order,
                fulfillment,
            )])
        })
    }

    /// Sends what is left of the order, or these units (position of the line, units). Returns the fulfillment's id.
    ///
    /// # Errors
    /// The order or a line does not exist, or there is nothing to send.
    pub fn fulfill_order(&mut self, id: u64, lines: Option<&[(usize, u32)]>) -> Result<u64, ActionError> {
        let now = self.now();
        let location = self.main_location();
        let fulfillment_id = self.ids.take();
        self.change_order(id, |shop, order| {
            let all: Vec<(usize, u32)> = (0..order.lines.len()).map(|i| (i, u32::MAX)).collect();
            let mut sent = Vec::new();
            for (index, quantity) in lines.unwrap_or(&all) {
                let line = order.lines.get(*index).ok_or_else(|| refused("no such line"))?;
                let quantity = order.unfulfilled_quantity(line).min(*quantity);
                if quantity > 0 {
                    sent.push((shop.ids.take(), line.id, quantity));
                }
            }
            if sent.is_empty() {
                return Err(refused("nothing is left to send"));
            }
            for (_, line, quantity) in &sent {
                let variant = order.lines.iter().find(|l| l.id == *line).and_then(|l| l.variant);
                // What can be sold does not change, so nobody is told.
                let _ = shop.move_stock(variant, location, |level| level.committed -= i64::from(*quantity));
            }
            order.fulfillments.push(Fulfillment {
                id: fulfillment_id,
                name: format!("{}-F{}", order.name, order.fulfillments.len() + 1),
                lines: sent,
                location,
                company: Some("DHL".to_owned()),
                tracking: Some(format!("00340{fulfillment_id}")),
                delivered: false,
                cancelled: false,
                created_at: now,
                updated_at: now,
            });
            order.refresh();
            let topic = match order.totals.fulfillment {
                FulfillmentStatus::Fulfilled => "orders/fulfilled",
                _ => "orders/partially_fulfilled",
            };
            Ok(vec![
                Change::Fulfillment("fulfillments/create", id, fulfillment_id),
                Change::Order(topic, id),
            ])
        })?;
        Ok(fulfillment_id)
    }

    /// The parcel reached the buyer.
    ///
    /// # Errors
    /// The order or the fulfillment does not exist.
    pub fn deliver(&mut self, order: u64, fulfillment: u64) -> Result<(), ActionError> {
        let now = self.now();
        self.change_order(order, |_, record| {
            let found = record.fulfillments.iter_mut().find(|f| f.id == fulfillment);
            let parcel = found.ok_or_else(|| not_found("fulfillment", fulfillment))?;
            parcel.delivered = true;
            parcel.updated_at = now;
            Ok(vec![
                Change::FulfillmentEvent {
                    order,
                    fulfillment,
                    status: "delivered",
                },
                Change::Fulfillment("fulfillments/update", order, fulfillment),
            ])
        })
    }

    /// Takes units, shipping or money back. Returns the refund's id.
    ///
    /// # Errors
    /// The order or a line does not exist, or fewer units are left.
    pub fn refund_order(&mut self, id: u64, draft: &RefundDraft) -> Result<u64, ActionError> {
        let mut refund_id = 0;
        self.change_order(id, |shop, order| {
            let (refund, changes) = shop.book_refund(order, draft)?;
            refund_id = refund;
            Ok(changes)
        })?;
        Ok(refund_id)
    }

    /// Cancels an order: everything that is left is taken off, reserved money is set free, money is given back if asked.
    ///
    /// # Errors
    /// The order does not exist, was sent or is cancelled already.
    pub fn cancel_order(&mut self, id: u64, draft: &CancelDraft) -> Result<(), ActionError> {
        let now = self.now();
        self.change_order(id, |shop, order| {
            if order.cancellation.is_some() {
                return Err(refused("the order is cancelled already"));
            }
            if order.fulfillments.iter().any(|f| !f.cancelled) {
                return Err(refused("an order that was sent cannot be cancelled"));
            }
            let restock = if draft.restock {
                Restock::Cancel
            } else {
                Restock::None
            };
            let left = |(index, line)| (index, order.current_quantity(line), restock);
            let lines = order
                .lines
                .iter()
                .enumerate()
                .map(left)
                .filter(|(_, units, _)| *units > 0)
                .collect();
            let refund = RefundDraft {
                lines,
                shipping: Some(None),
                money: if draft.refund {
                    RefundMoney::Worth
                } else {
                    RefundMoney::Nothing
                },
                pending: false,
                note: None,
            };
            let (_, mut changes) = shop.book_refund(order, &refund)?;
            let reserved = order
                .transactions
                .iter()
                .find(|t| t.kind == TransactionKind::Authorization);
            if let Some(reserved) = reserved.cloned().filter(|_| !order.totals.capturable.is_zero()) {
                let amount = order.totals.capturable;
                let mut void = shop.transaction(order, TransactionKind::Void, &reserved.gateway, amount, now);
                void.parent = Some(reserved.id);
                changes.push(Change::Transaction(id, void.id));
                order.transactions.push(void);
            }
            order.cancellation = Some(Cancellation {
                at: now,
                reason: draft.reason,
                note: None,
            });
            order.closed_at = Some(now);
            changes.push(Change::Order("orders/cancelled", id));
            Ok(changes)
        })
    }

    fn book_refund(
        &mut self,
        order: &mut Order,
        draft: &RefundDraft,
    ) -> Result<(u64, Vec<Change>), ActionError> {
        let now = self.now();
        let mut refund = self.make_refund(order, draft)?;
        let id = refund.id;
        let mut levels = Vec::new();
        for line in &refund.lines {
            let variant = order
                .lines
                .iter()
                .find(|l| l.id == line.line)
                .and_then(|l| l.variant);
            let units = i64::from(line.quantity);
            if let Some(location) = line.location {
                levels.extend(self.move_stock(variant, location, |level| {
                    level.available += units;
                    if line.restock == Restock::Cancel {
                        level.committed -= units;
                    }
                }));
            }
        }
        let worth = worth(order, &refund);
        order.refunds.push(refund.clone());
        order.refresh();
        // What the shop owes after the units are off; goodwill of earlier refunds does not count against it.
        let owed = (-order.totals.outstanding).min(worth);
        let owed = if owed.shop.is_sign_negative() {
            Bag::ZERO
        } else {
            owed
        };
        let money = match draft.money {
            RefundMoney::Worth => owed,
            RefundMoney::Amount(amount) => {
                let available = order.totals.received - order.totals.refunded;
                order.money.bag(amount).min(available)
            }
            RefundMoney::Nothing => Bag::ZERO,
        };
        if matches!(draft.money, RefundMoney::Amount(_)) && money != owed {
            refund.adjustments.push(Adjustment {
                id: self.ids.take(),
                reason: "REFUND_DISCREPANCY",
                amount: owed - money,
                tax: Bag::ZERO,
            });
        }
        order.refunds.pop();
        order.refunds.push(refund);
        let mut changes = vec![Change::Refund(order.id, id)];
        for (parent, gateway, amount) in give_back(order, money) {
            let mut transaction = self.transaction(order, TransactionKind::Refund, &gateway, amount, now);
            transaction.parent = Some(parent);
            transaction.refund = Some(id);
            if draft.pending {
                transaction.status = TransactionStatus::Pending;
            }
            changes.push(Change::Transaction(order.id, transaction.id));
            order.transactions.push(transaction);
        }
        order.refresh();
        changes.extend(levels);
        Ok((id, changes))
    }

    /// The refund of units, shipping and duties, without money.
    pub(super) fn make_refund(&mut self, order: &Order, draft: &RefundDraft) -> Result<Refund, ActionError> {
        let now = self.now();
        let mut refund = Refund {
            id: self.ids.take(),
            note: draft.note.clone(),
            lines: Vec::new(),
            shipping: Vec::new(),
            duties: Vec::new(),
            adjustments: Vec::new(),
            created_at: now,
            updated_at: now,
        };
        for (index, quantity, restock) in &draft.lines {
            let line = order.lines.get(*index).ok_or_else(|| refused("no such line"))?;
            let before = order.removed_quantity(line.id);
            let after = before + quantity;
            if *quantity == 0 || after > line.quantity {
                return Err(refused("fewer units are left than are taken back"));
            }
            let part = |total: Bag| {
                order.money.share(total, after, line.quantity)
                    - order.money.share(total, before, line.quantity)
            };
            let taxes: Vec<Bag> = line.taxes.iter().map(|t| part(t.amount)).collect();
            refund.lines.push(RefundLine {
                id: self.ids.take(),
                line: line.id,
                quantity: *quantity,
                restock: *restock,
                location: Some(self.main_location()).filter(|_| *restock != Restock::None),
                subtotal: part(line.total()),
                tax: taxes.iter().copied().sum(),
                taxes,
                discount: part(line.discount()),
            });
            for duty in &line.duties {
                let tax: Bag = duty.taxes.iter().map(|t| t.amount).sum();
                refund.duties.push(RefundDuty {
                    duty: duty.id,
                    amount: part(duty.price),
                    tax: part(tax),
                });
            }
        }
        if let Some(amount) = draft.shipping {
            self.refund_shipping(order, amount, &mut refund);
        }
        Ok(refund)
    }

    fn refund_shipping(&mut self, order: &Order, amount: Option<Decimal>, refund: &mut Refund) {
        let mut left = amount.map(|a| order.money.bag(a));
        for line in &order.shipping_lines {
            let earlier = || {
                order
                    .refunds
                    .iter()
                    .flat_map(|r| &r.shipping)
                    .filter(|r| r.line == line.id)
            };
            let before: Bag = earlier().map(|r| r.subtotal).sum();
            let open = line.total() - before;
            let off = left.map_or(open, |l| l.min(open));
            if off.is_zero() {
                continue;
            }
            left = left.map(|l| l - off);
            let after = before + off;
            let taxes: Vec<Bag> = line
                .taxes
                .iter()
                .enumerate()
                .map(|(index, tax)| {
                    let gone: Bag = earlier().filter_map(|r| r.taxes.get(index).copied()).sum();
                    let share = |tax: Decimal, after: Decimal, total: Decimal| {
                        if total.is_zero() { tax } else { tax * after / total }
                    };
                    let total = line.total();
                    let due = Bag {
                        shop: share(tax.amount.shop, after.shop, total.shop),
                        presentment: share(tax.amount.presentment, after.presentment, total.presentment),
                    };
                    order.money.round(due) - gone
                })
                .collect();
            refund.shipping.push(RefundShipping {
                id: self.ids.take(),
                line: line.id,
                subtotal: off,
                tax: taxes.iter().copied().sum(),
                taxes,
            });
        }
    }
}

/// What the parts of a refund are worth.
fn worth(order: &Order, refund: &Refund) -> Bag {
    let on_top = |tax: Bag| if order.taxes_included { Bag::ZERO } else { tax };
    let lines: Bag = refund.lines.iter().map(|l| l.subtotal + on_top(l.tax)).sum();
    let shipping: Bag = refund.shipping.iter().map(|l| l.subtotal + on_top(l.tax)).sum();
    let duties: Bag = refund.duties.iter().map(|d| d.amount + on_top(d.tax)).sum();
    lines + shipping + duties
}

/// Money goes back the ways it came, the last first.
fn give_back(order: &Order, money: Bag) -> Vec<(u64, String, Bag)> {
    let mut left = money;
    let mut parts = Vec::new();
    let came = |t: &&Transaction| {
        t.status == TransactionStatus::Success
            && matches!(t.kind, TransactionKind::Sale | TransactionKind::Capture)
    };
    for payment in order.transactions.iter().filter(came).rev() {
        let gone: Bag = order
            .transactions
            .iter()
            .filter(|t| t.kind == TransactionKind::Refund && t.parent == Some(payment.id))
            .map(|t| t.amount)
            .sum();
        let amount = (payment.amount - gone).min(left);
        if amount.shop > Decimal::ZERO {
            parts.push((payment.id, payment.gateway.clone(), amount));
            left = left - amount;
        }
    }
    parts
}
