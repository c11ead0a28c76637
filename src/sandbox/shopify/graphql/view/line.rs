//! Lines, shipping lines and discounts of an order.

use rust_decimal::Decimal;

use super::product::{ProductNode, VariantNode};
use super::{attributes, bag, float, id, money, tax_line};
use crate::sandbox::shopify::facts::{
    Allocation, AllocationMethod, Discount, DiscountKind, DiscountTarget, DiscountValue, Duty, Line, Order,
    ShippingLine,
};
use crate::sandbox::shopify::graphql::node::{Args, Node, Out};
use crate::sandbox::shopify::money::{Bag, graphql_text};
use crate::sandbox::shopify::shop::Shop;

/// Import duty of a line.
pub(super) fn duty_node<'a>(order: &Order, duty: &Duty) -> Out<'a> {
    Out::record(
        "Duty",
        vec![
            ("id", id("Duty", duty.id)),
            ("price", bag(duty.price, &order.money)),
            ("countryCodeOfOrigin", Out::leaf(duty.origin.clone())),
            ("harmonizedSystemCode", Out::leaf(duty.hs_code.clone())),
            (
                "taxLines",
                Out::list(duty.taxes.iter().map(|t| tax_line(t, &order.money))),
            ),
        ],
    )
}

/// One line.
pub(super) struct LineNode<'a> {
    pub(super) shop: &'a Shop,
    pub(super) order: &'a Order,
    pub(super) line: &'a Line,
}

impl<'a> Node<'a> for LineNode<'a> {
    fn type_name(&self) -> &'static str {
        "LineItem"
    }

    fn field(&self, name: &str, args: &Args) -> Out<'a> {
        let (order, line) = (self.order, self.line);
        let set = |amount: Bag| bag(amount, &order.money);
        let per_unit = |total: Bag| {
            // Unit prices after discounts are approximate by nature; they are given to the cent.
            set(order.money.round(total.over(Decimal::from(line.quantity))))
        };
        let line_level = || -> Bag {
            line.allocations
                .iter()
                .filter(|a| {
                    order
                        .discounts
                        .get(a.discount)
                        .is_some_and(Discount::is_line_level)
                })
                .map(|a| a.amount)
                .sum()
        };
        match name {
            "id" => id("LineItem", line.id),
            "title" => Out::leaf(line.title.clone()),
            "variantTitle" => Out::leaf(line.variant_title.clone()),
            "name" => Out::leaf(line.name()),
            "sku" => Out::leaf(line.sku.clone()),
            "vendor" => Out::leaf(line.vendor.clone()),
            "quantity" => Out::leaf(line.quantity),
            "currentQuantity" | "refundableQuantity" => Out::leaf(order.current_quantity(line)),
            "unfulfilledQuantity" => Out::leaf(order.unfulfilled_quantity(line)),
            "nonFulfillableQuantity" => Out::leaf(if line.tip {
                line.quantity
            } else {
                order.removed_quantity(line.id)
            }),
            "isGiftCard" => Out::leaf(line.gift_card),
            "requiresShipping" => Out::leaf(line.requires_shipping),
            "taxable" => Out::leaf(line.taxable),
            "restockable" => Out::leaf(line.variant.is_some()),
            "product" => {
                let product = line.product.and_then(|p| self.shop.product(p));
                Out::maybe(product.map(|product| ProductNode {
                    shop: self.shop,
                    product,
                }))
            }
            "variant" => {
                let found = line.variant.and_then(|v| self.shop.variant(v));
                Out::maybe(found.map(|(product, variant)| VariantNode {
                    shop: self.shop,
                    product,
                    variant,
                }))
            }
            "lineItemGroup" => line.group.as_ref().map_or(Out::Absent, |g| {
                Out::record(
                    "LineItemGroup",
                    vec![
                        ("id", id("LineItemGroup", g.id)),
                        ("title", Out::leaf(g.title.clone())),
                        ("quantity", Out::leaf(g.quantity)),
                    ],
                )
            }),
            "customAttributes" => attributes(&line.attributes),
            "originalUnitPriceSet" => set(line.unit_price),
            "originalUnitPrice" => Out::leaf(graphql_text(line.unit_price.shop)),
            "originalTotalSet" => set(line.original_total()),
            "originalTotal" => Out::leaf(graphql_text(line.original_total().shop)),
            "discountedTotalSet" => {
                let with_codes = args
                    .get("withCodeDiscounts")
                    .and_then(serde_json::Value::as_bool)
                    .unwrap_or(false);
                let codes: Bag = line
                    .allocations
                    .iter()
                    .filter(|a| {
                        let discount = order.discounts.get(a.discount);
                        with_codes && discount.is_some_and(|d| matches!(d.kind, DiscountKind::Code(_)))
                    })
                    .map(|a| a.amount)
                    .sum();
                set(line.original_total() - line_level() - codes)
            }
            "discountedUnitPriceSet" => per_unit(line.original_total() - line_level()),
            "discountedUnitPriceAfterAllDiscountsSet" => per_unit(line.total()),
            "totalDiscountSet" => set(line_level()),
            "priceAfterAllDiscountsBeforeTaxesSet" => set(self.net_of_current()),
            "unfulfilledOriginalTotalSet" => set(line
                .unit_price
                .times(Decimal::from(order.unfulfilled_quantity(line)))),
            "unfulfilledDiscountedTotalSet" => {
                set(order
                    .money
                    .share(line.total(), order.unfulfilled_quantity(line), line.quantity))
            }
            "discountAllocations" => allocations(order, &line.allocations),
            "taxLines" => Out::list(line.taxes.iter().map(|t| tax_line(t, &order.money))),
            "duties" => Out::list(line.duties.iter().map(|duty| duty_node(order, duty))),
            _ => Out::Absent,
        }
    }
}

impl LineNode<'_> {
    /// Price of the units that are left, after all discounts, without tax.
    fn net_of_current(&self) -> Bag {
        let refunds = || {
            self.order
                .refunds
                .iter()
                .flat_map(|r| &r.lines)
                .filter(|r| r.line == self.line.id)
        };
        let left = self.line.total() - refunds().map(|r| r.subtotal).sum();
        let tax = self.line.tax() - refunds().map(|r| r.tax).sum();
        if self.order.taxes_included {
            left - tax
        } else {
            left
        }
    }
}

/// A way of delivery.
pub(super) fn shipping_line<'a>(order: &'a Order, line: &'a ShippingLine) -> Out<'a> {
    let set = |amount: Bag| bag(amount, &order.money);
    let off: Bag = order
        .refunds
        .iter()
        .flat_map(|r| &r.shipping)
        .filter(|r| r.line == line.id)
        .map(|r| r.subtotal)
        .sum();
    Out::record(
        "ShippingLine",
        vec![
            ("id", id("ShippingLine", line.id)),
            ("title", Out::leaf(line.title.clone())),
            ("code", Out::leaf(line.code.clone())),
            ("source", Out::leaf(line.source.clone())),
            ("custom", Out::leaf(line.custom)),
            ("isRemoved", Out::leaf(line.removed)),
            ("price", Out::leaf(graphql_text(line.price.shop))),
            ("originalPriceSet", set(line.price)),
            ("originalPrice", money(line.price.shop, &order.money.shop)),
            ("discountedPriceSet", set(line.total())),
            ("discountedPrice", money(line.total().shop, &order.money.shop)),
            ("currentDiscountedPriceSet", set(line.total() - off)),
            (
                "taxLines",
                Out::list(line.taxes.iter().map(|t| tax_line(t, &order.money))),
            ),
            ("discountAllocations", allocations(order, &line.allocations)),
        ],
    )
}

fn allocations<'a>(order: &'a Order, parts: &[Allocation]) -> Out<'a> {
    Out::list(parts.iter().filter_map(|part| {
        let application = discount(order, part.discount, order.discounts.get(part.discount)?);
        Some(Out::record(
            "DiscountAllocation",
            vec![
                ("allocatedAmountSet", bag(part.amount, &order.money)),
                ("allocatedAmount", money(part.amount.shop, &order.money.shop)),
                ("discountApplication", application),
            ],
        ))
    }))
}

/// A discount as the application that it is to the API.
pub(super) fn discount<'a>(order: &'a Order, index: usize, discount: &'a Discount) -> Out<'a> {
    let type_name = match &discount.kind {
        DiscountKind::Code(_) => "DiscountCodeApplication",
        DiscountKind::Automatic(_) => "AutomaticDiscountApplication",
        DiscountKind::Manual(..) => "ManualDiscountApplication",
        DiscountKind::Script(_) => "ScriptDiscountApplication",
    };
    let value = match discount.value {
        DiscountValue::Percentage(p) => Out::record(
            "PricingPercentageValue",
            vec![("percentage", Out::leaf(float(p)))],
        ),
        DiscountValue::Amount(a) => money(order.money.bag(a).presentment, &order.money.presentment),
    };
    let description = match &discount.kind {
        DiscountKind::Manual(_, description) => description.clone(),
        _ => None,
    };
    Out::record(
        type_name,
        vec![
            ("index", Out::leaf(index)),
            (
                "allocationMethod",
                Out::leaf(match discount.method {
                    AllocationMethod::Across => "ACROSS",
                    AllocationMethod::Each => "EACH",
                }),
            ),
            ("targetSelection", Out::leaf(discount.selection())),
            (
                "targetType",
                Out::leaf(match discount.target {
                    DiscountTarget::Shipping => "SHIPPING_LINE",
                    _ => "LINE_ITEM",
                }),
            ),
            ("value", value),
            ("code", Out::leaf(discount.kind.label())),
            ("title", Out::leaf(discount.kind.label())),
            ("description", Out::leaf(description)),
        ],
    )
}
