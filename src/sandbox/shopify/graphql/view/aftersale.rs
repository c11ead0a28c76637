//! Transactions, refunds and fulfillments of an order.

use super::line::{LineNode, duty_node, shipping_line};
use super::shop::location;
use super::{bag, id, legacy, time};
use crate::sandbox::shopify::facts::{
    Fulfillment, Order, Refund, Transaction, TransactionKind, TransactionStatus,
};
use crate::sandbox::shopify::graphql::node::{Args, Node, Out};
use crate::sandbox::shopify::graphql::page::page_of_list;
use crate::sandbox::shopify::money::{Bag, graphql_text};
use crate::sandbox::shopify::shop::Shop;

/// A movement of money.
pub(super) fn transaction<'a>(shop: &'a Shop, order: &'a Order, transaction: &'a Transaction) -> Out<'a> {
    Out::node(TransactionNode {
        shop,
        order,
        transaction,
    })
}

struct TransactionNode<'a> {
    shop: &'a Shop,
    order: &'a Order,
    transaction: &'a Transaction,
}

impl<'a> Node<'a> for TransactionNode<'a> {
    fn type_name(&self) -> &'static str {
        "OrderTransaction"
    }

    fn field(&self, name: &str, _: &Args) -> Out<'a> {
        let (shop, order, t) = (self.shop, self.order, self.transaction);
        match name {
            "id" => id("OrderTransaction", t.id),
            "kind" => Out::leaf(t.kind.name()),
            "status" => Out::leaf(t.status.name()),
            "gateway" => Out::leaf(t.gateway.clone()),
            "formattedGateway" => Out::leaf(formatted(&t.gateway)),
            "manualPaymentGateway" => Out::leaf(is_manual(&t.gateway)),
            "manuallyCapturable" => Out::leaf(t.kind == TransactionKind::Authorization),
            "test" => Out::leaf(t.test),
            "paymentId" => Out::leaf(t.payment_id.clone()),
            "errorCode" => Out::leaf((t.status == TransactionStatus::Failure).then_some("GENERIC_ERROR")),
            "createdAt" => time(t.created_at),
            "processedAt" => time(t.processed_at),
            "amountSet" => bag(t.amount, &order.money),
            "amount" => Out::leaf(graphql_text(t.amount.shop)),
            "amountRoundingSet" => t.rounding.map_or(Out::Absent, |r| bag(r, &order.money)),
            "parentTransaction" => {
                let parent = order.transactions.iter().find(|p| Some(p.id) == t.parent);
                parent.map_or(Out::Absent, |p| transaction(shop, order, p))
            }
            "order" => Out::node(super::order::OrderNode { shop, order }),
            _ => Out::Absent,
        }
    }
}

/// Gateways that the merchant works by hand.
fn is_manual(gateway: &str) -> bool {
    matches!(
        gateway,
        "manual" | "cash" | "Bank Deposit" | "Cash on Delivery (COD)" | "Money Order"
    )
}

fn formatted(gateway: &str) -> String {
    let words: Vec<String> = gateway
        .split('_')
        .map(|word| {
            let mut letters = word.chars();
            letters
                .next()
                .map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
        })
        .collect();
    words.join(" ")
}

/// Units, shipping and money given back.
pub(super) fn refund<'a>(shop: &'a Shop, order: &'a Order, refund: &'a Refund) -> Out<'a> {
    Out::node(RefundNode { shop, order, refund })
}

struct RefundNode<'a> {
    shop: &'a Shop,
    order: &'a Order,
    refund: &'a Refund,
}

impl<'a> RefundNode<'a> {
    fn transactions(&self) -> impl Iterator<Item = &'a Transaction> + use<'a> {
        let id = self.refund.id;
        self.order
            .transactions
            .iter()
            .filter(move |t| t.refund == Some(id))
    }
}

impl<'a> Node<'a> for RefundNode<'a> {
    fn type_name(&self) -> &'static str {
        "Refund"
    }

    fn field(&self, name: &str, args: &Args) -> Out<'a> {
        let (shop, order, refund) = (self.shop, self.order, self.refund);
        let set = move |amount: Bag| bag(amount, &order.money);
        match name {
            "id" => id("Refund", refund.id),
            "legacyResourceId" => legacy(refund.id),
            "createdAt" | "processedAt" => time(refund.created_at),
            "updatedAt" => time(refund.updated_at),
            "note" => Out::leaf(refund.note.clone()),
            "totalRefundedSet" => {
                let done = self
                    .transactions()
                    .filter(|t| t.status == TransactionStatus::Success);
                set(done.map(|t| t.amount).sum())
            }
            "transactions" => page_of_list(args, self.transactions().collect(), |t| {
                transaction(shop, order, t)
            }),
            "refundLineItems" => page_of_list(args, refund.lines.iter().collect(), |part| {
                let line = order.lines.iter().find(|l| l.id == part.line);
                Out::record(
                    "RefundLineItem",
                    vec![
                        ("id", id("RefundLineItem", part.id)),
                        ("quantity", Out::leaf(part.quantity)),
                        ("restockType", Out::leaf(part.restock.name())),
                        ("restocked", Out::leaf(part.location.is_some())),
                        (
                            "location",
                            part.location.map_or(Out::Absent, |l| location(shop, l)),
                        ),
                        (
                            "lineItem",
                            Out::maybe(line.map(|line| LineNode { shop, order, line })),
                        ),
                        ("subtotalSet", set(part.subtotal)),
                        ("totalTaxSet", set(part.tax)),
                        ("priceSet", line.map_or(Out::Absent, |l| set(l.unit_price))),
                    ],
                )
            }),
            "refundShippingLines" => page_of_list(args, refund.shipping.iter().collect(), |part| {
                let line = order.shipping_lines.iter().find(|l| l.id == part.line);
                Out::record(
                    "RefundShippingLine",
                    vec![
                        ("id", id("RefundShippingLine", part.id)),
                        ("subtotalAmountSet", set(part.subtotal)),
                        ("taxAmountSet", set(part.tax)),
                        (
                            "shippingLine",
                            line.map_or(Out::Absent, |l| shipping_line(order, l)),
                        ),
                    ],
                )
            }),
            "orderAdjustments" => page_of_list(args, refund.adjustments.iter().collect(), |part| {
                Out::record(
                    "OrderAdjustment",
                    vec![
                        ("id", id("OrderAdjustment", part.id)),
                        ("reason", Out::leaf(part.reason)),
                        ("amountSet", set(part.amount)),
                        ("taxAmountSet", set(part.tax)),
                    ],
                )
            }),
            "duties" => Out::list(refund.duties.iter().map(|part| {
                let mut duties = order.lines.iter().flat_map(|l| &l.duties);
                let original = duties.find(|d| d.id == part.duty);
                Out::record(
                    "RefundDuty",
                    vec![
                        ("amountSet", set(part.amount)),
                        (
                            "originalDuty",
                            original.map_or(Out::Absent, |duty| duty_node(order, duty)),
                        ),
                    ],
                )
            })),
            "order" => Out::node(super::order::OrderNode { shop, order }),
            _ => Out::Absent,
        }
    }
}

/// A parcel.
pub(super) fn fulfillment<'a>(shop: &'a Shop, order: &'a Order, parcel: &'a Fulfillment) -> Out<'a> {
    Out::node(FulfillmentNode { shop, order, parcel })
}

struct FulfillmentNode<'a> {
    shop: &'a Shop,
    order: &'a Order,
    parcel: &'a Fulfillment,
}

impl<'a> Node<'a> for FulfillmentNode<'a> {
    fn type_name(&self) -> &'static str {
        "Fulfillment"
    }

    fn field(&self, name: &str, args: &Args) -> Out<'a> {
        let (shop, order, parcel) = (self.shop, self.order, self.parcel);
        match name {
            "id" => id("Fulfillment", parcel.id),
            "legacyResourceId" => legacy(parcel.id),
            "name" => Out::leaf(parcel.name.clone()),
            "status" => Out::leaf(if parcel.cancelled { "CANCELLED" } else { "SUCCESS" }),
            "displayStatus" => Out::leaf(match (parcel.cancelled, parcel.delivered) {
                (true, _) => "CANCELED",
                (false, true) => "DELIVERED",
                (false, false) => "FULFILLED",
            }),
            "createdAt" => time(parcel.created_at),
            "updatedAt" => time(parcel.updated_at),
            "totalQuantity" => Out::leaf(parcel.lines.iter().map(|(_, _, units)| units).sum::<u32>()),
            "requiresShipping" => Out::leaf(true),
            "trackingInfo" => {
                let known = parcel.tracking.is_some() || parcel.company.is_some();
                Out::list(known.then(|| {
                    Out::record(
                        "FulfillmentTrackingInfo",
                        vec![
                            ("company", Out::leaf(parcel.company.clone())),
                            ("number", Out::leaf(parcel.tracking.clone())),
                        ],
                    )
                }))
            }
            "location" => location(shop, parcel.location),
            "order" => Out::node(super::order::OrderNode { shop, order }),
            "fulfillmentLineItems" => {
                page_of_list(args, parcel.lines.iter().collect(), |(part, line, units)| {
                    let line = order.lines.iter().find(|l| l.id == *line);
                    Out::record(
                        "FulfillmentLineItem",
                        vec![
                            ("id", id("FulfillmentLineItem", *part)),
                            ("quantity", Out::leaf(*units)),
                            (
                                "lineItem",
                                Out::maybe(line.map(|line| LineNode { shop, order, line })),
                            ),
                        ],
                    )
                })
            }
            _ => Out::Absent,
        }
    }
}
