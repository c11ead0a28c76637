//! Orders are placed, changed, edited, archived and deleted.

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;

use super::price::{Taxation, discount, tax};
use super::{ActionError, not_found, refused, tidy_tags};
use crate::sandbox::shopify::draft::{
    Buyer, OrderDraft, OrderEdit, OrderPatch, Payment, RefundDraft, RefundMoney,
};
use crate::sandbox::shopify::facts::totals::Totals;
use crate::sandbox::shopify::facts::{
    FinancialStatus, Level, Order, Purchasing, Restock, Tax, Transaction, TransactionKind, TransactionStatus,
};
use crate::sandbox::shopify::money::{Bag, Currencies, round};
use crate::sandbox::shopify::shop::Shop;
use crate::sandbox::shopify::webhook::Change;

impl Shop {
    /// Places an order and returns its id.
    ///
    /// # Errors
    /// A customer, company or variant does not exist, or there is no line.
    pub fn place_order(&mut self, draft: OrderDraft) -> Result<u64, ActionError> {
        if draft.lines.is_empty() {
            return Err(refused("an order needs a line"));
        }
        let now = self.now();
        let money = match &draft.presentment {
            Some((code, rate)) => Currencies {
                shop: self.currency.clone(),
                presentment: code.clone(),
                rate: *rate,
            },
            None => Currencies::same(&self.currency),
        };
        let (customer, email, phone) = self.contact(&draft.buyer)?;
        if let Some(company) = draft.company.filter(|id| !self.companies.contains_key(id)) {
            return Err(not_found("company", company));
        }
        let mut lines = self.new_lines(&draft.lines, &money)?;
        let mut shipping = self.new_shipping(&draft.shipping, &money);
        discount(&mut lines, &mut shipping, &draft.discounts, &money);
        let taxation = Taxation {
            taxes: &draft.taxes,
            included: draft.taxes_included,
            exempt: draft.tax_exempt,
        };
        let line_taxes: Vec<Option<Vec<Tax>>> = draft.lines.iter().map(|l| l.taxes.clone()).collect();
        let shipping_taxes: Vec<Option<Vec<Tax>>> = draft.shipping.iter().map(|l| l.taxes.clone()).collect();
        tax(
            &mut lines,
            &line_taxes,
            &mut shipping,
            &shipping_taxes,
            &taxation,
            &money,
        );
        if draft.tip > Decimal::ZERO {
            lines.push(self.tip_line(draft.tip, &money)?);
        }
        let number = self.next_number;
        self.next_number += 1;
        let id = self.ids.take();
        let created_at = draft.created_at.unwrap_or(now);
        let mut order = Order {
            id,
            number,
            name: format!("#{number}"),
            confirmation_number: confirmation(id),
            money,
            customer,
            purchasing: draft.company.map(|company| Purchasing { company }),
            email,
            phone,
            locale: Some("de".to_owned()),
            billing_address: draft.billing_address,
            shipping_address: draft.shipping_address,
            source_name: draft.source_name,
            source_identifier: draft.source_identifier,
            po_number: draft.po_number,
            note: draft.note,
            tags: tidy_tags(draft.tags),
            attributes: draft.attributes,
            test: draft.test,
            taxes_included: draft.taxes_included,
            tax_exempt: draft.tax_exempt,
            lines,
            shipping_lines: shipping,
            discounts: draft.discounts,
            transactions: Vec::new(),
            refunds: Vec::new(),
            fulfillments: Vec::new(),
            cancellation: None,
            closed_at: None,
            edited: false,
            original_total: Bag::ZERO,
            metafields: Vec::new(),
            created_at,
            processed_at: draft.processed_at.unwrap_or(created_at),
            updated_at: created_at,
            totals: Totals::default(),
        };
        order.refresh();
        order.original_total = order.totals.total;
        for step in payments(&draft.payment, &order)? {
            let mut transaction = self.transaction(&order, step.kind, &step.gateway, step.amount, created_at);
            transaction.status = step.status;
            transaction.rounding = step.rounding;
            order.transactions.push(transaction);
        }
        order.refresh();
        let levels = self.commit_stock(&order);
        self.orders.insert(id, order);
        self.announce_new_order(id, customer, created_at, levels);
        Ok(id)
    }

    fn announce_new_order(&mut self, id: u64, customer: Option<u64>, at: DateTime<Utc>, levels: Vec<Change>) {
        let order = &self.orders[&id];
        let paid = order.totals.financial == FinancialStatus::Paid;
        let mut changes = vec![Change::Order("orders/create", id)];
        changes.extend(order.transactions.iter().map(|t| Change::Transaction(id, t.id)));
        if paid {
            changes.push(Change::Order("orders/paid", id));
        }
        // Fires right after every creation, too.
        changes.push(Change::Order("orders/updated", id));
        if let Some(customer) = customer {
            if let Some(record) = self.customers.get_mut(&customer) {
                record.updated_at = record.updated_at.max(at);
            }
            changes.push(Change::Customer("customers/update", customer));
        }
        changes.extend(levels);
        self.announce(&changes);
    }

    /// Customer, e-mail and phone of an order.
    fn contact(&self, buyer: &Buyer) -> Result<Contact, ActionError> {
        Ok(match buyer {
            Buyer::Customer(id) => {
                let customer = self.customer(*id).ok_or_else(|| not_found("customer", *id))?;
                (Some(*id), customer.email.clone(), customer.phone.clone())
            }
            Buyer::Guest { email, phone } => (None, email.clone(), phone.clone()),
            Buyer::Nobody => (None, None, None),
        })
    }

    /// Sold goods are committed at the main place; returns the changed levels.
    fn commit_stock(&mut self, order: &Order) -> Vec<Change> {
        let location = self.main_location();
        let mut changes = Vec::new();
        for line in &order.lines {
            let quantity = i64::from(line.quantity);
            changes.extend(self.move_stock(line.variant, location, |level| {
                level.available -= quantity;
                level.committed += quantity;
            }));
        }
        changes
    }

    /// Changes the level of a variant that still exists and is tracked.
    pub(super) fn move_stock(
        &mut self,
        variant: Option<u64>,
        location: u64,
        change: impl FnOnce(&mut Level),
    ) -> Option<Change> {
        let variant = variant?;
        let item = self
            .variant(variant)
            .map(|(_, v)| &v.item)
            .filter(|i| i.tracked)?
            .id;
        self.change_stock(variant, location, change).ok()?;
        Some(Change::Level("inventory_levels/update", item, location))
    }

    pub(super) fn transaction(
        &mut self,
        order: &Order,
        kind: TransactionKind,
        gateway: &str,
        amount: Bag,
        at: DateTime<Utc>,
    ) -> Transaction {
        let id = self.ids.take();
        Transaction {
            id,
            kind,
            status: TransactionStatus::Success,
            gateway: gateway.to_owned(),
            amount,
            rounding: None,
            parent: None,
            refund: None,
            test: order.test,
            payment_id: Some(format!("{}.{}", order.name, order.transactions.len() + 1)),
            created_at: at,
            processed_at: at,
        }
    }

    /// Changes an order, recomputes it, stamps it and announces the changes that the closure names beside
    /// `orders/updated`.
    pub(super) fn change_order(
        &mut self,
        id: u64,
        change: impl FnOnce(&mut Self, &mut Order) -> Result<Vec<Change>, ActionError>,
    ) -> Result<(), ActionError> {
        let now = self.now();
        let mut order = self.orders.remove(&id).ok_or_else(|| not_found("order", id))?;
        let before = order.clone();
        let outcome = change(self, &mut order);
        let changes = match outcome {
            Ok(changes) => {
                order.updated_at = now;
                order.refresh();
                self.orders.insert(id, order);
                changes
            }
            Err(why) => {
                self.orders.insert(id, before);
                return Err(why);
            }
        };
        self.announce(&[changes, vec![Change::Order("orders/updated", id)]].concat());
        Ok(())
    }

    /// Changes what does not touch the lines.
    ///
    /// # Errors
    /// The order does not exist.
    pub fn patch_order(&mut self, id: u64, patch: OrderPatch) -> Result<(), ActionError> {
        self.change_order(id, |_, order| {
            if let Some(note) = patch.note {
                order.note = Some(note);
            }
            if let Some(tags) = patch.tags {
                order.tags = tidy_tags(tags);
            }
            if let Some(email) = patch.email {
                order.email = Some(email);
            }
            if let Some(address) = patch.shipping_address {
                order.shipping_address = Some(address);
            }
            if let Some(number) = patch.po_number {
                order.po_number = Some(number);
            }
            if let Some(field) = patch.metafield {
                order
                    .metafields
                    .retain(|m| m.namespace != field.namespace || m.key != field.key);
                order.metafields.push(field);
            }
            Ok(Vec::new())
        })
    }

    /// Adds lines and takes units off after the sale.
    ///
    /// Units that were taken off stay on their line as removed (through a refund without money, as the API shows it).
    ///
    /// # Errors
    /// The order or a line does not exist, is cancelled, or has fewer units left.
    pub fn edit_order(&mut self, id: u64, edit: &OrderEdit) -> Result<(), ActionError> {
        let now = self.now();
        self.change_order(id, |shop, order| {
            if order.cancellation.is_some() {
                return Err(refused("a cancelled order cannot be edited"));
            }
            let money = order.money.clone();
            let inherited: Vec<Tax> = order
                .lines
                .iter()
                .find(|l| !l.taxes.is_empty())
                .map(|l| l.taxes.iter().map(|t| t.tax.clone()).collect())
                .unwrap_or_default();
            let taxation = Taxation {
                taxes: &inherited,
                included: order.taxes_included,
                exempt: order.tax_exempt,
            };
            let mut added = shop.new_lines(&edit.add, &money)?;
            let own: Vec<Option<Vec<Tax>>> = edit.add.iter().map(|l| l.taxes.clone()).collect();
            tax(&mut added, &own, &mut [], &[], &taxation, &money);
            let additions: Vec<(u64, u32)> = added.iter().map(|l| (l.id, l.quantity)).collect();
            order.lines.extend(added);
            let mut removals = Vec::new();
            if !edit.remove.is_empty() {
                let draft = RefundDraft {
                    lines: edit
                        .remove
                        .iter()
                        .map(|(line, units)| (*line, *units, Restock::Cancel))
                        .collect(),
                    money: RefundMoney::Nothing,
                    ..RefundDraft::goodwill(Decimal::ZERO)
                };
                let refund = shop.make_refund(order, &draft)?;
                removals = refund.lines.iter().map(|l| (l.line, l.quantity)).collect();
                order.refunds.push(refund);
            }
            order.edited = true;
            order.refresh();
            if let Some(gateway) = &edit.settle {
                let open = order.totals.outstanding;
                let (kind, amount) = if open.shop.is_sign_negative() {
                    (TransactionKind::Refund, -open)
                } else {
                    (TransactionKind::Sale, open)
                };
                if !open.is_zero() {
                    let transaction = shop.transaction(order, kind, gateway, amount, now);
                    order.transactions.push(transaction);
                }
            }
            Ok(vec![Change::OrderEdit {
                order: id,
                additions,
                removals,
            }])
        })
    }

    /// Archives an order.
    ///
    /// # Errors
    /// The order does not exist.
    pub fn close_order(&mut self, id: u64) -> Result<(), ActionError> {
        let now = self.now();
        self.change_order(id, |_, order| {
            order.closed_at = Some(now);
            Ok(Vec::new())
        })
    }

    /// Deletes an order; only archived, cancelled and test orders can be.
    ///
    /// # Errors
    /// The order does not exist or is a live one.
    pub fn delete_order(&mut self, id: u64) -> Result<(), ActionError> {
        if self.delete_raw_order(id) {
            return Ok(());
        }
        let order = self.orders.get(&id).ok_or_else(|| not_found("order", id))?;
        if order.closed_at.is_none() && order.cancellation.is_none() && !order.test {
            return Err(refused("only archived, cancelled or test orders can be deleted"));
        }
        self.orders.remove(&id);
        self.deleted.push(("Order", id));
        self.announce(&[Change::Deleted("orders/delete", "Order", id)]);
        Ok(())
    }
}

/// Customer, e-mail and phone of an order.
type Contact = (Option<u64>, Option<String>, Option<String>);

/// A transaction that a way of payment makes.
struct PaymentStep {
    kind: TransactionKind,
    status: TransactionStatus,
    gateway: String,
    amount: Bag,
    rounding: Option<Bag>,
}

impl PaymentStep {
    fn sale(gateway: &str, amount: Bag) -> Self {
        Self {
            kind: TransactionKind::Sale,
            status: TransactionStatus::Success,
            gateway: gateway.to_owned(),
            amount,
            rounding: None,
        }
    }
}

fn payments(payment: &Payment, order: &Order) -> Result<Vec<PaymentStep>, ActionError> {
    let total = order.totals.total;
    if total.is_zero() {
        return Ok(Vec::new());
    }
    Ok(match payment {
        Payment::Paid(gateway) => vec![PaymentStep::sale(gateway, total)],
        Payment::Authorized(gateway) => {
            vec![PaymentStep {
                kind: TransactionKind::Authorization,
                ..PaymentStep::sale(gateway, total)
            }]
        }
        // A manual gateway leaves a pending sale behind, which is no money yet.
        Payment::Pending(gateway) => {
            vec![PaymentStep {
                status: TransactionStatus::Pending,
                ..PaymentStep::sale(gateway, total)
            }]
        }
        Payment::Deposit(gateway, amount) => {
            vec![PaymentStep::sale(gateway, order.money.bag(*amount).min(total))]
        }
        Payment::Split(parts) => {
            let mut left = total;
            let mut steps = Vec::new();
            for (gateway, amount) in parts {
                let amount = amount.map_or(left, |a| order.money.bag(a).min(left));
                left = left - amount;
                steps.push(PaymentStep::sale(gateway, amount));
            }
            steps.retain(|step| !step.amount.is_zero());
            steps
        }
        Payment::Cash(step) => {
            if *step <= Decimal::ZERO {
                return Err(refused("cash is rounded to a positive amount"));
            }
            let rounded = round(total.shop / step, 0) * step;
            let rounding = order.money.bag(rounded - total.shop);
            vec![PaymentStep {
                rounding: Some(rounding),
                ..PaymentStep::sale("cash", total)
            }]
        }
        Payment::None => Vec::new(),
    })
}

/// Nine letters and digits, as buyers see them.
fn confirmation(id: u64) -> String {
    const LETTERS: &[u8] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";
    let mut rest = id.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (0..9)
        .map(|_| {
            let letter = LETTERS[usize::try_from(rest % 32).unwrap_or(0)];
            rest /= 32;
            char::from(letter)
        })
        .collect()
}
