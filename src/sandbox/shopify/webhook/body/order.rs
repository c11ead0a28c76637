//! Bodies of the `orders/*` topics.

use serde_json::{Map, Value as Json, json};

use super::aftersale::{fulfillment, refund};
use super::{address, customer, set, tax_line, time};
use crate::sandbox::shopify::facts::{
    Address, Allocation, AllocationMethod, Discount, DiscountKind, DiscountTarget, DiscountValue,
    FulfillmentStatus, Line, Order, ShippingLine,
};
use crate::sandbox::shopify::ids::gid;
use crate::sandbox::shopify::money::{Bag, graphql_text, rest_text};
use crate::sandbox::shopify::shop::Shop;

/// An order with everything that belongs to it.
pub(super) fn order(shop: &Shop, order: &Order) -> Json {
    let t = &order.totals;
    let money = &order.money;
    let mut body = Map::new();
    let mut put = |name: &str, value: Json| {
        body.insert(name.to_owned(), value);
    };
    put("id", order.id.into());
    put("admin_graphql_api_id", gid("Order", order.id).into());
    put("name", order.name.clone().into());
    put("number", (order.number.saturating_sub(1000)).into());
    put("order_number", order.number.into());
    put("confirmation_number", order.confirmation_number.clone().into());
    put("confirmed", true.into());
    put("test", order.test.into());
    put(
        "token",
        format!("{:032x}", u128::from(order.id) * 0x9E37_79B9_7F4A_7C15).into(),
    );
    put("created_at", time(shop, order.created_at));
    put("updated_at", time(shop, order.updated_at));
    put("processed_at", time(shop, order.processed_at));
    put(
        "cancelled_at",
        order.cancellation.as_ref().map(|c| time(shop, c.at)).into(),
    );
    put(
        "cancel_reason",
        order
            .cancellation
            .as_ref()
            .map(|c| c.reason.to_lowercase())
            .into(),
    );
    put("closed_at", order.closed_at.map(|at| time(shop, at)).into());
    put("currency", money.shop.clone().into());
    put("presentment_currency", money.presentment.clone().into());
    put("taxes_included", order.taxes_included.into());
    put("tax_exempt", order.tax_exempt.into());
    put("duties_included", false.into());
    put("estimated_taxes", false.into());
    put("email", order.email.clone().unwrap_or_default().into());
    put("contact_email", order.email.clone().into());
    put("phone", order.phone.clone().into());
    put("customer_locale", order.locale.clone().into());
    put("note", order.note.clone().into());
    put("note_attributes", pairs(&order.attributes));
    put("tags", order.tags.join(", ").into());
    put("po_number", order.po_number.clone().into());
    put("source_name", order.source_name.clone().into());
    put("source_identifier", order.source_identifier.clone().into());
    put("financial_status", t.financial.name().to_lowercase().into());
    put(
        "fulfillment_status",
        match t.fulfillment {
            FulfillmentStatus::Fulfilled => "fulfilled".into(),
            FulfillmentStatus::Partial => "partial".into(),
            FulfillmentStatus::NotRequired | FulfillmentStatus::Unfulfilled => Json::Null,
        },
    );
    put("payment_gateway_names", order.gateways().into());
    for (name, bag) in [
        ("subtotal_price", t.subtotal),
        ("total_line_items_price", t.line_items),
        ("total_discounts", t.discounts),
        ("total_tax", t.tax),
        ("total_price", t.total),
        ("current_subtotal_price", t.current_subtotal),
        ("current_total_discounts", t.current_discounts),
        ("current_total_tax", t.current_tax),
        ("current_total_price", t.current_total),
    ] {
        put(name, rest_text(bag.shop, &money.shop).into());
        put(&format!("{name}_set"), set(bag, money));
    }
    put(
        "total_outstanding",
        rest_text(t.outstanding.shop, &money.shop).into(),
    );
    put("total_tip_received", rest_text(t.tip.shop, &money.shop).into());
    put("total_shipping_price_set", set(t.shipping, money));
    put("current_shipping_price_set", set(t.current_shipping, money));
    let duties = |bag: Bag| {
        if t.duties.is_zero() {
            Json::Null
        } else {
            set(bag, money)
        }
    };
    put("original_total_duties_set", duties(t.duties));
    put("current_total_duties_set", duties(t.current_duties));
    put("original_total_additional_fees_set", Json::Null);
    put("current_total_additional_fees_set", Json::Null);
    put(
        "total_cash_rounding_payment_adjustment_set",
        set(t.payment_rounding, money),
    );
    put(
        "total_cash_rounding_refund_adjustment_set",
        set(t.refund_rounding, money),
    );
    put("tax_lines", t.taxes.iter().map(|l| tax_line(l, money)).collect());
    put("total_weight", 0.into());
    let buyer = order.customer.and_then(|id| shop.customer(id));
    put("customer", buyer.map(|c| customer::customer(shop, c)).into());
    put(
        "billing_address",
        order.billing_address.as_ref().map(with_place).into(),
    );
    put(
        "shipping_address",
        order.shipping_address.as_ref().map(with_place).into(),
    );
    put(
        "discount_applications",
        order.discounts.iter().map(application).collect(),
    );
    put("discount_codes", codes(order));
    put(
        "line_items",
        order.lines.iter().map(|l| line(shop, order, l)).collect(),
    );
    put(
        "shipping_lines",
        order
            .shipping_lines
            .iter()
            .map(|l| shipping_line(order, l))
            .collect(),
    );
    put(
        "fulfillments",
        order
            .fulfillments
            .iter()
            .map(|f| fulfillment(shop, order, f))
            .collect(),
    );
    put(
        "refunds",
        order.refunds.iter().map(|r| refund(shop, order, r)).collect(),
    );
    put("returns", Json::Array(Vec::new()));
    put("payment_terms", Json::Null);
    put(
        "company",
        order.purchasing.map(|p| company(shop, p.company)).into(),
    );
    Json::Object(body)
}

fn company(shop: &Shop, id: u64) -> Json {
    json!({"id": id, "location_id": shop.companies.get(&id).map(|c| c.location)})
}

fn with_place(entry: &Address) -> Json {
    let mut fields = address(entry);
    fields.insert("latitude".to_owned(), Json::Null);
    fields.insert("longitude".to_owned(), Json::Null);
    fields.into()
}

fn pairs(pairs: &[(String, String)]) -> Json {
    pairs
        .iter()
        .map(|(name, value)| json!({"name": name, "value": value}))
        .collect()
}

/// Value and kind of a discount as the bodies write them.
fn discount_value(value: DiscountValue) -> (String, &'static str) {
    match value {
        DiscountValue::Percentage(p) => (graphql_text(p), "percentage"),
        DiscountValue::Amount(a) => (graphql_text(a), "fixed_amount"),
    }
}

fn application(discount: &Discount) -> Json {
    let (value, value_type) = discount_value(discount.value);
    let mut fields = json!({
        "target_type": if discount.target == DiscountTarget::Shipping { "shipping_line" } else { "line_item" },
        "value": value,
        "value_type": value_type,
        "allocation_method": match discount.method {
            AllocationMethod::Across => "across",
            AllocationMethod::Each => "each",
        },
        "target_selection": discount.selection().to_lowercase(),
    });
    let (kind, key) = match &discount.kind {
        DiscountKind::Code(_) => ("discount_code", "code"),
        DiscountKind::Automatic(_) => ("automatic", "title"),
        DiscountKind::Manual(..) => ("manual", "title"),
        DiscountKind::Script(_) => ("script", "title"),
    };
    fields["type"] = kind.into();
    fields[key] = discount.kind.label().into();
    if let DiscountKind::Manual(_, description) = &discount.kind {
        fields["description"] = description.clone().into();
    }
    fields
}

fn codes(order: &Order) -> Json {
    order
        .discounts
        .iter()
        .enumerate()
        .filter_map(|(index, discount)| {
            let DiscountKind::Code(code) = &discount.kind else {
                return None;
            };
            let on_lines = order.lines.iter().flat_map(|l| &l.allocations);
            let on_shipping = order.shipping_lines.iter().flat_map(|l| &l.allocations);
            let amount: Bag = on_lines
                .chain(on_shipping)
                .filter(|a| a.discount == index)
                .map(|a| a.amount)
                .sum();
            let kind = match (&discount.target, discount.value) {
                (DiscountTarget::Shipping, _) => "shipping",
                (_, DiscountValue::Percentage(_)) => "percentage",
                (_, DiscountValue::Amount(_)) => "fixed_amount",
            };
            Some(json!({"code": code, "amount": rest_text(amount.shop, &order.money.shop), "type": kind}))
        })
        .collect()
}

fn allocations(order: &Order, parts: &[Allocation]) -> Json {
    parts
        .iter()
        .map(|part| {
            json!({
                "amount": rest_text(part.amount.shop, &order.money.shop),
                "amount_set": set(part.amount, &order.money),
                "discount_application_index": part.discount,
            })
        })
        .collect()
}

/// One line, by itself or inside its order.
pub(super) fn line(shop: &Shop, order: &Order, line: &Line) -> Json {
    let money = &order.money;
    let open = order.unfulfilled_quantity(line);
    let status = match (order.fulfilled_quantity(line.id), open) {
        (0, _) => Json::Null,
        (_, 0) => "fulfilled".into(),
        _ => "partial".into(),
    };
    let line_level: Bag = line
        .allocations
        .iter()
        .filter(|a| {
            order
                .discounts
                .get(a.discount)
                .is_some_and(Discount::is_line_level)
        })
        .map(|a| a.amount)
        .sum();
    json!({
        "id": line.id,
        "admin_graphql_api_id": gid("LineItem", line.id),
        "attributed_staffs": [],
        "current_quantity": order.current_quantity(line),
        "fulfillable_quantity": open,
        "fulfillment_service": "manual",
        "fulfillment_status": status,
        "gift_card": line.gift_card,
        "grams": 0,
        "name": line.name(),
        "price": rest_text(line.unit_price.shop, &money.shop),
        "price_set": set(line.unit_price, money),
        "product_exists": line.product.is_some_and(|p| shop.product(p).is_some()),
        "product_id": line.product,
        "properties": pairs(&line.attributes),
        "quantity": line.quantity,
        "requires_shipping": line.requires_shipping,
        "sales_line_item_group_id": line.group.as_ref().map(|g| g.id),
        "sku": line.sku,
        "taxable": line.taxable,
        "title": line.title,
        "total_discount": rest_text(line_level.shop, &money.shop),
        "total_discount_set": set(line_level, money),
        "variant_id": line.variant,
        "variant_inventory_management": line.variant.map(|_| "shopify"),
        "variant_title": line.variant_title,
        "vendor": line.vendor,
        "tax_lines": line.taxes.iter().map(|t| tax_line(t, money)).collect::<Vec<_>>(),
        "duties": line.duties.iter().map(|d| json!({
            "id": d.id, "harmonized_system_code": d.hs_code, "country_code_of_origin": d.origin,
            "shop_money": set(d.price, money)["shop_money"], "presentment_money": set(d.price, money)["presentment_money"],
            "tax_lines": d.taxes.iter().map(|t| tax_line(t, money)).collect::<Vec<_>>(),
        })).collect::<Vec<_>>(),
        "discount_allocations": allocations(order, &line.allocations),
    })
}

fn shipping_line(order: &Order, line: &ShippingLine) -> Json {
    let money = &order.money;
    let off: Bag = order
        .refunds
        .iter()
        .flat_map(|r| &r.shipping)
        .filter(|r| r.line == line.id)
        .map(|r| r.subtotal)
        .sum();
    json!({
        "id": line.id,
        "carrier_identifier": null,
        "code": line.code,
        "current_discounted_price_set": set(line.total() - off, money),
        "discounted_price": rest_text(line.total().shop, &money.shop),
        "discounted_price_set": set(line.total(), money),
        "is_removed": line.removed,
        "phone": null,
        "price": rest_text(line.price.shop, &money.shop),
        "price_set": set(line.price, money),
        "requested_fulfillment_service_id": null,
        "source": line.source,
        "title": line.title,
        "tax_lines": line.taxes.iter().map(|t| tax_line(t, money)).collect::<Vec<_>>(),
        "discount_allocations": allocations(order, &line.allocations),
    })
}
