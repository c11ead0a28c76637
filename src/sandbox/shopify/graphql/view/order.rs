//! Orders.

use rust_decimal::Decimal;

use super::aftersale::{fulfillment, refund, transaction};
use super::customer::{CompanyNode, CustomerNode};
use super::line::{LineNode, discount, shipping_line};
use super::{
    address, attributes, bag, count, id, legacy, maybe_time, metafield, metafields, money, strings, tax_line,
    time,
};
use crate::sandbox::shopify::facts::{Discount, DiscountKind, FulfillmentStatus, Line, Order, Restock};
use crate::sandbox::shopify::graphql::node::{Args, Node, Out};
use crate::sandbox::shopify::graphql::page::page_of_list;
use crate::sandbox::shopify::money::{Bag, graphql_text};
use crate::sandbox::shopify::shop::Shop;

/// One order.
pub(super) struct OrderNode<'a> {
    pub(super) shop: &'a Shop,
    pub(super) order: &'a Order,
}

impl<'a> Node<'a> for OrderNode<'a> {
    fn type_name(&self) -> &'static str {
        "Order"
    }

    fn field(&self, name: &str, args: &Args) -> Out<'a> {
        let found = self.amounts(name);
        if !matches!(found, Out::Absent) {
            return found;
        }
        let order = self.order;
        match name {
            "id" => id("Order", order.id),
            "legacyResourceId" => legacy(order.id),
            "name" => Out::leaf(order.name.clone()),
            "number" => Out::leaf(order.number),
            "confirmationNumber" => Out::leaf(order.confirmation_number.clone()),
            "poNumber" => Out::leaf(order.po_number.clone()),
            "sourceName" => Out::leaf(order.source_name.clone()),
            "sourceIdentifier" => Out::leaf(order.source_identifier.clone()),
            "test" => Out::leaf(order.test),
            "note" => Out::leaf(order.note.clone()),
            "tags" => strings(&order.tags),
            "customAttributes" => attributes(&order.attributes),
            "createdAt" => time(order.created_at),
            "processedAt" => time(order.processed_at),
            "updatedAt" => time(order.updated_at),
            "closedAt" => maybe_time(order.closed_at),
            "closed" => Out::leaf(order.closed_at.is_some()),
            "cancelledAt" => maybe_time(order.cancellation.as_ref().map(|c| c.at)),
            "cancelReason" => Out::leaf(order.cancellation.as_ref().map(|c| c.reason)),
            "cancellation" => order.cancellation.as_ref().map_or(Out::Absent, |c| {
                Out::record(
                    "OrderCancellation",
                    vec![("staffNote", Out::leaf(c.note.clone()))],
                )
            }),
            "edited" => Out::leaf(order.edited),
            "confirmed" | "taxesIncluded" | "taxExempt" | "dutiesIncluded" | "estimatedTaxes" => {
                Out::leaf(match name {
                    "confirmed" => true,
                    "taxesIncluded" => order.taxes_included,
                    "taxExempt" => order.tax_exempt,
                    _ => false,
                })
            }
            "email" => Out::leaf(order.email.clone()),
            "phone" => Out::leaf(order.phone.clone()),
            "customerLocale" => Out::leaf(order.locale.clone()),
            "customer" => {
                let customer = order.customer.and_then(|c| self.shop.customer(c));
                Out::maybe(customer.map(|customer| CustomerNode {
                    shop: self.shop,
                    customer,
                }))
            }
            "purchasingEntity" => self.purchasing_entity(),
            "billingAddress" => order
                .billing_address
                .as_ref()
                .map_or(Out::Absent, |a| address(a, order.id)),
            "shippingAddress" => order
                .shipping_address
                .as_ref()
                .map_or(Out::Absent, |a| address(a, order.id)),
            "displayAddress" => {
                let shown = order.shipping_address.as_ref().or(order.billing_address.as_ref());
                shown.map_or(Out::Absent, |a| address(a, order.id))
            }
            "requiresShipping" => Out::leaf(order.lines.iter().any(|l| l.requires_shipping)),
            "fullyPaid" => Out::leaf(order.totals.outstanding.shop <= Decimal::ZERO),
            "unpaid" => Out::leaf(order.totals.received.is_zero()),
            "canMarkAsPaid" => Out::leaf(order.totals.outstanding.shop > Decimal::ZERO),
            "refundable" => Out::leaf(!(order.totals.received - order.totals.refunded).is_zero()),
            "restockable" | "fulfillable" => Out::leaf(
                order.cancellation.is_none() && order.lines.iter().any(|l| order.unfulfilled_quantity(l) > 0),
            ),
            "capturable" => Out::leaf(!order.totals.capturable.is_zero()),
            "displayFinancialStatus" => Out::leaf(order.totals.financial.name()),
            "displayFulfillmentStatus" => Out::leaf(order.totals.fulfillment.name()),
            "returnStatus" => Out::leaf(if self.returned() { "RETURNED" } else { "NO_RETURN" }),
            "currencyCode" => Out::leaf(order.money.shop.clone()),
            "presentmentCurrencyCode" => Out::leaf(order.money.presentment.clone()),
            "paymentGatewayNames" => strings(order.gateways()),
            "discountCodes" => strings(self.codes()),
            "discountCode" => Out::leaf(self.codes().first().copied()),
            "taxLines" => Out::list(order.totals.taxes.iter().map(|t| tax_line(t, &order.money))),
            "currentTaxLines" => Out::list(
                order
                    .totals
                    .current_taxes
                    .iter()
                    .map(|t| tax_line(t, &order.money)),
            ),
            "discountApplications" => {
                let all = order.discounts.iter().enumerate().collect();
                page_of_list(args, all, |(index, d)| discount(order, *index, d))
            }
            "lineItems" => page_of_list(args, order.lines.iter().collect(), |line| self.line(line)),
            "nonFulfillableLineItems" => {
                let tips = order.lines.iter().filter(|l| l.tip).collect();
                page_of_list(args, tips, |line| self.line(line))
            }
            "shippingLines" => {
                let removed = args
                    .get("includeRemovals")
                    .and_then(serde_json::Value::as_bool)
                    .unwrap_or(false);
                let lines = order
                    .shipping_lines
                    .iter()
                    .filter(|l| removed || !l.removed)
                    .collect();
                page_of_list(args, lines, |line| shipping_line(order, line))
            }
            "shippingLine" => order
                .shipping_lines
                .iter()
                .find(|l| !l.removed)
                .map_or(Out::Absent, |l| shipping_line(order, l)),
            "transactions" => limited(
                args,
                order
                    .transactions
                    .iter()
                    .map(|t| transaction(self.shop, order, t)),
            ),
            "transactionsCount" => count(order.transactions.len()),
            "refunds" => limited(args, order.refunds.iter().map(|r| refund(self.shop, order, r))),
            "fulfillments" => limited(
                args,
                order
                    .fulfillments
                    .iter()
                    .map(|f| fulfillment(self.shop, order, f)),
            ),
            "fulfillmentsCount" => count(order.fulfillments.len()),
            "metafield" => metafield(
                Out::node(OrderNode {
                    shop: self.shop,
                    order,
                }),
                &order.metafields,
                args,
            ),
            "metafields" => metafields(
                &Out::node(OrderNode {
                    shop: self.shop,
                    order,
                }),
                &order.metafields,
                args,
            ),
            "subtotalLineItemsQuantity" => Out::leaf(
                order
                    .lines
                    .iter()
                    .filter(|l| !l.tip)
                    .map(|l| l.quantity)
                    .sum::<u32>(),
            ),
            "currentSubtotalLineItemsQuantity" => Out::leaf(
                order
                    .lines
                    .iter()
                    .filter(|l| !l.tip)
                    .map(|l| order.current_quantity(l))
                    .sum::<u32>(),
            ),
            _ => Out::Absent,
        }
    }
}

impl<'a> OrderNode<'a> {
    fn line(&self, line: &'a Line) -> Out<'a> {
        Out::node(LineNode {
            shop: self.shop,
            order: self.order,
            line,
        })
    }

    fn codes(&self) -> Vec<&'a str> {
        let codes = self.order.discounts.iter().filter_map(|d| match &d.kind {
            DiscountKind::Code(code) => Some(code.as_str()),
            _ => None,
        });
        codes.collect()
    }

    fn returned(&self) -> bool {
        let sent = self.order.totals.fulfillment != FulfillmentStatus::Unfulfilled;
        sent && self
            .order
            .refunds
            .iter()
            .flat_map(|r| &r.lines)
            .any(|l| l.restock == Restock::Return)
    }

    fn purchasing_entity(&self) -> Out<'a> {
        let order = self.order;
        let company = order.purchasing.and_then(|p| self.shop.companies.get(&p.company));
        if let Some(company) = company {
            let node = |kind| {
                Out::node(CompanyNode {
                    shop: self.shop,
                    company,
                    kind,
                })
            };
            let fields = vec![
                ("company", node("Company")),
                ("contact", node("CompanyContact")),
                ("location", node("CompanyLocation")),
            ];
            return Out::record("PurchasingCompany", fields);
        }
        let customer = order.customer.and_then(|c| self.shop.customer(c));
        Out::maybe(customer.map(|customer| CustomerNode {
            shop: self.shop,
            customer,
        }))
    }

    /// All amounts: bags, and the deprecated plain ones beside them.
    fn amounts(&self, name: &str) -> Out<'a> {
        let order = self.order;
        let t = &order.totals;
        let set = |amount: Bag| bag(amount, &order.money);
        let duties = |amount: Bag| {
            if t.duties.is_zero() {
                Out::Absent
            } else {
                set(amount)
            }
        };
        let net = t.received - t.refunded;
        let cart = |current: bool| {
            let all = if current { t.current_discounts } else { t.discounts };
            let single: Bag = order
                .lines
                .iter()
                .flat_map(|l| &l.allocations)
                .filter(|a| {
                    order
                        .discounts
                        .get(a.discount)
                        .is_some_and(Discount::is_line_level)
                })
                .map(|a| a.amount)
                .sum();
            all - single.min(all)
        };
        match name {
            "subtotalPriceSet" => set(t.subtotal),
            "totalPriceSet" => set(t.total),
            "originalTotalPriceSet" => set(order.original_total),
            "totalTaxSet" => set(t.tax),
            "totalDiscountsSet" => set(t.discounts),
            "cartDiscountAmountSet" => set(cart(false)),
            "currentCartDiscountAmountSet" => set(cart(true)),
            "totalShippingPriceSet" => set(t.shipping),
            "totalTipReceivedSet" => set(t.tip),
            "totalTipReceived" => money(t.tip.shop, &order.money.shop),
            "totalRefundedSet" => set(t.refunded),
            "totalRefundedShippingSet" => set(t.refunded_shipping),
            "totalReceivedSet" => set(t.received),
            "totalOutstandingSet" => set(t.outstanding),
            "totalCapturableSet" => set(t.capturable),
            "netPaymentSet" => set(net),
            "refundDiscrepancySet" => set(t.refund_discrepancy),
            "originalTotalDutiesSet" => duties(t.duties),
            "currentTotalDutiesSet" => duties(t.current_duties),
            "currentSubtotalPriceSet" => set(t.current_subtotal),
            "currentTotalPriceSet" => set(t.current_total),
            "currentTotalTaxSet" => set(t.current_tax),
            "currentTotalDiscountsSet" => set(t.current_discounts),
            "currentShippingPriceSet" => set(t.current_shipping),
            "totalCashRoundingAdjustment" => Out::record(
                "CashRoundingAdjustment",
                vec![
                    ("paymentSet", set(t.payment_rounding)),
                    ("refundSet", set(t.refund_rounding)),
                ],
            ),
            "subtotalPrice" => Out::leaf(graphql_text(t.subtotal.shop)),
            "totalPrice" => Out::leaf(graphql_text(t.total.shop)),
            "totalTax" => Out::leaf(graphql_text(t.tax.shop)),
            "totalDiscounts" => Out::leaf(graphql_text(t.discounts.shop)),
            "totalShippingPrice" => Out::leaf(graphql_text(t.shipping.shop)),
            "totalReceived" => Out::leaf(graphql_text(t.received.shop)),
            "totalRefunded" => Out::leaf(graphql_text(t.refunded.shop)),
            "totalCapturable" => Out::leaf(graphql_text(t.capturable.shop)),
            "netPayment" => Out::leaf(graphql_text(net.shop)),
            _ => Out::Absent,
        }
    }
}

/// A plain list with an optional `first`.
fn limited<'a>(args: &Args, items: impl Iterator<Item = Out<'a>>) -> Out<'a> {
    let first = args.get("first").and_then(serde_json::Value::as_u64);
    let first = first.and_then(|n| usize::try_from(n).ok()).unwrap_or(usize::MAX);
    Out::list(items.take(first))
}

/// Whether an order may be seen: older ones than 60 days need a scope of their own.
pub(super) fn visible(shop: &Shop, order: &Order) -> bool {
    visible_since(shop, order.created_at)
}

/// Whether an order of this age may be seen.
pub(super) fn visible_since(shop: &Shop, created_at: chrono::DateTime<chrono::Utc>) -> bool {
    shop.has_scope("read_all_orders") || created_at >= shop.now() - chrono::Duration::days(60)
}
