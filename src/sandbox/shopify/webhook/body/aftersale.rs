//! Bodies of the topics about what happens to an order later: transactions, refunds, parcels, edits.

use serde_json::{Value as Json, json};

use super::order::line;
use super::{set, time};
use crate::sandbox::shopify::facts::{Fulfillment, Order, Refund, Transaction};
use crate::sandbox::shopify::ids::gid;
use crate::sandbox::shopify::money::{Bag, rest_text};
use crate::sandbox::shopify::shop::Shop;

/// A movement of money.
pub(super) fn transaction(shop: &Shop, order: &Order, transaction: &Transaction) -> Json {
    json!({
        "id": transaction.id,
        "admin_graphql_api_id": gid("OrderTransaction", transaction.id),
        "order_id": order.id,
        "amount": rest_text(transaction.amount.presentment, &order.money.presentment),
        "currency": order.money.presentment,
        "kind": transaction.kind.name().to_lowercase(),
        "status": transaction.status.name().to_lowercase(),
        "gateway": transaction.gateway,
        "message": null,
        "error_code": null,
        "test": transaction.test,
        "parent_id": transaction.parent,
        "payment_id": transaction.payment_id,
        "source_name": order.source_name,
        "amount_rounding": transaction.rounding.map(|r| rest_text(r.shop, &order.money.shop)),
        "created_at": time(shop, transaction.created_at),
        "processed_at": time(shop, transaction.processed_at),
    })
}

/// Units, shipping and money given back.
pub(super) fn refund(shop: &Shop, order: &Order, refund: &Refund) -> Json {
    let money = &order.money;
    let lines: Vec<Json> = refund
        .lines
        .iter()
        .map(|part| {
            json!({
                "id": part.id,
                "line_item_id": part.line,
                "line_item": order.lines.iter().find(|l| l.id == part.line).map(|l| line(shop, order, l)),
                "location_id": part.location,
                "quantity": part.quantity,
                "restock_type": part.restock.name().to_lowercase(),
                "subtotal": rest_text(part.subtotal.shop, &money.shop),
                "subtotal_set": set(part.subtotal, money),
                "total_tax": rest_text(part.tax.shop, &money.shop),
                "total_tax_set": set(part.tax, money),
            })
        })
        .collect();
    let shipping: Vec<Json> = refund
        .shipping
        .iter()
        .map(|part| {
            json!({
                "id": part.id, "shipping_line_id": part.line, "subtotal_amount_set": set(part.subtotal, money),
                "tax_amount_set": set(part.tax, money),
            })
        })
        .collect();
    let mut adjustments: Vec<Json> = refund
        .shipping
        .iter()
        .map(|part| {
            adjustment(
                order,
                refund,
                part.id,
                "shipping_refund",
                "Shipping refund",
                -part.subtotal,
                -part.tax,
            )
        })
        .collect();
    adjustments.extend(refund.adjustments.iter().map(|part| {
        adjustment(
            order,
            refund,
            part.id,
            "refund_discrepancy",
            "Refund discrepancy",
            part.amount,
            part.tax,
        )
    }));
    json!({
        "id": refund.id,
        "admin_graphql_api_id": gid("Refund", refund.id),
        "order_id": order.id,
        "note": refund.note,
        "restock": refund.lines.iter().any(|l| l.location.is_some()),
        "user_id": null,
        "created_at": time(shop, refund.created_at),
        "processed_at": time(shop, refund.created_at),
        "duties": refund.duties.iter().map(|d| json!({
            "duty_id": d.duty, "amount_set": set(d.amount, money),
        })).collect::<Vec<_>>(),
        "refund_line_items": lines,
        "refund_shipping_lines": shipping,
        "order_adjustments": adjustments,
        "transactions": order.transactions.iter().filter(|t| t.refund == Some(refund.id))
            .map(|t| transaction(shop, order, t)).collect::<Vec<_>>(),
    })
}

fn adjustment(
    order: &Order,
    refund: &Refund,
    id: u64,
    kind: &str,
    reason: &str,
    amount: Bag,
    tax: Bag,
) -> Json {
    json!({
        "id": id, "order_id": order.id, "refund_id": refund.id, "kind": kind, "reason": reason,
        "amount": rest_text(amount.shop, &order.money.shop), "amount_set": set(amount, &order.money),
        "tax_amount": rest_text(tax.shop, &order.money.shop), "tax_amount_set": set(tax, &order.money),
    })
}

/// A parcel.
pub(super) fn fulfillment(shop: &Shop, order: &Order, parcel: &Fulfillment) -> Json {
    let lines: Vec<Json> = parcel
        .lines
        .iter()
        .filter_map(|(_, id, quantity)| {
            let mut item = line(shop, order, order.lines.iter().find(|l| l.id == *id)?);
            item["quantity"] = (*quantity).into();
            Some(item)
        })
        .collect();
    json!({
        "id": parcel.id,
        "admin_graphql_api_id": gid("Fulfillment", parcel.id),
        "order_id": order.id,
        "name": parcel.name,
        "status": if parcel.cancelled { "cancelled" } else { "success" },
        "shipment_status": parcel.delivered.then_some("delivered"),
        "location_id": parcel.location,
        "service": "manual",
        "tracking_company": parcel.company,
        "tracking_number": parcel.tracking,
        "tracking_numbers": parcel.tracking.iter().collect::<Vec<_>>(),
        "tracking_url": null,
        "tracking_urls": [],
        "email": order.email,
        "created_at": time(shop, parcel.created_at),
        "updated_at": time(shop, parcel.updated_at),
        "line_items": lines,
    })
}

/// What happened to a parcel on its way.
pub(super) fn fulfillment_event(shop: &Shop, order: &Order, parcel: &Fulfillment, status: &str) -> Json {
    // One event per parcel is kept, so the parcel's number serves for it.
    json!({
        "id": parcel.id,
        "admin_graphql_api_id": gid("FulfillmentEvent", parcel.id),
        "fulfillment_id": parcel.id,
        "order_id": order.id,
        "shop_id": shop.id,
        "status": status,
        "message": null,
        "happened_at": time(shop, parcel.updated_at),
        "created_at": time(shop, parcel.updated_at),
        "updated_at": time(shop, parcel.updated_at),
    })
}

/// What an edit changed; not an order, but its own shape.
pub(super) fn edit(shop: &Shop, order: u64, additions: &[(u64, u32)], removals: &[(u64, u32)]) -> Json {
    let delta = |parts: &[(u64, u32)]| -> Json {
        parts
            .iter()
            .map(|(id, units)| json!({"id": id, "delta": units}))
            .collect()
    };
    let at = shop.order(order).map(|o| time(shop, o.updated_at));
    json!({"order_edit": {
        "id": shop.order(order).map(|o| o.id),
        "app_id": null,
        "created_at": at,
        "committed_at": at,
        "notify_customer": false,
        "order_id": order,
        "staff_note": "",
        "user_id": null,
        "line_items": {"additions": delta(additions), "removals": delta(removals)},
        "discounts": {"line_item": {"additions": [], "removals": []}},
        "shipping_lines": {"additions": [], "removals": []},
    }})
}
