//! The kinds of orders that were demanded, each with what shows it.

use rust_decimal::Decimal;
use serde_json::Value as Json;

use super::facts::{Facts, amount, list, rates};

/// A kind's name as fixtures declare it, and whether the data show it.
pub(super) type Kind = (&'static str, fn(&Facts<'_>) -> bool);

fn is_guest(f: &Facts<'_>) -> bool {
    f.first()["customer"].is_null()
}

fn is_discounted(line: &Json) -> bool {
    list(line, "discountAllocations")
        .iter()
        .any(|known| !amount(&known["allocatedAmountSet"]).is_zero())
}

fn discount_of(f: &Facts<'_>, kind: &str) -> bool {
    f.discount(|known| known["__typename"] == kind)
}

fn is_percentage(known: &Json) -> bool {
    known["value"].is_number() || known["value"]["percentage"].is_number()
}

fn is_on_shipping(f: &Facts<'_>) -> bool {
    f.discount(|known| known["targetType"] == "SHIPPING_LINE") && f.shipping(is_discounted)
}

fn is_risky(f: &Facts<'_>) -> bool {
    f.any(|order| order["risk"]["recommendation"] == "CANCEL")
}

fn currency(f: &Facts<'_>, codes: &[&str]) -> bool {
    f.any(|order| codes.contains(&order["currencyCode"].as_str().unwrap_or("EUR")))
}

fn was_cancelled(f: &Facts<'_>) -> bool {
    !f.last()["cancelledAt"].is_null()
}

/// A parcel that left, or a delivery that a person carried out.
fn was_delivered(f: &Facts<'_>) -> bool {
    f.acted("deliver") || f.any(|order| !list(order, "fulfillments").is_empty())
}

fn was_invoiced(f: &Facts<'_>) -> bool {
    f.acted("invoice") || matches!(f.flow_or("invoices", "none"), "draft" | "post")
}

/// Money back without units, shipping or duties.
fn is_amount_only(refund: &Json) -> bool {
    list(refund, "refundLineItems").is_empty()
        && list(refund, "refundShippingLines").is_empty()
        && !list(refund, "orderAdjustments").is_empty()
}

pub(super) const BOUGHT: &[Kind] = &[
    ("guest per contact", |f| {
        is_guest(f)
            && f.flow_or("guests", "per_contact") == "per_contact"
            && f.fixture.expect["partner"].is_object()
    }),
    ("guest per order", |f| {
        is_guest(f) && f.flow("guests", "per_order")
    }),
    ("guest on the fallback partner", |f| {
        is_guest(f) && f.flow("guests", "partner") && f.fixture.expect["partner"]["id"] == "@partner"
    }),
    ("point of sale", |f| f.any(|order| order["sourceName"] == "pos")),
    ("draft order", |f| {
        f.any(|order| order["sourceName"] == "shopify_draft_order")
    }),
    ("b2b company and location", |f| {
        f.any(|order| {
            order["purchasingEntity"]["company"].is_object()
                && order["purchasingEntity"]["location"].is_object()
        })
    }),
    ("billing unlike shipping", |f| {
        f.any(|order| {
            let place = |field: &str| (order[field]["address1"].clone(), order[field]["city"].clone());
            order["shippingAddress"].is_object() && place("billingAddress") != place("shippingAddress")
        })
    }),
    ("no shipping address", |f| {
        f.any(|order| order["shippingAddress"].is_null())
    }),
    ("custom line fallback", |f| {
        f.custom_line() && f.flow_or("custom_lines", "fallback") == "fallback" && f.erp_line("service:custom")
    }),
    ("custom line problem", |f| {
        f.custom_line() && f.expects("problem", "custom_line")
    }),
    ("deleted product fallback", |f| {
        f.deleted_product() && f.erp_line("service:custom")
    }),
    ("deleted product problem", |f| {
        f.deleted_product() && f.expects("problem", "deleted_product")
    }),
    ("same variant twice", |f| {
        f.any(|order| {
            let lines = list(order, "lineItems");
            lines.iter().enumerate().any(|(n, line)| {
                !line["variant"].is_null()
                    && lines[..n].iter().any(|other| other["variant"] == line["variant"])
            })
        })
    }),
    ("two variants with one sku", |f| {
        let of = |line: &Json| matches!(line["variant"].as_u64(), Some(2081 | 2082));
        f.any(|order| list(order, "lineItems").iter().filter(|line| of(line)).count() >= 2)
    }),
    ("gift card sold", |f| {
        f.line(|line| line["isGiftCard"] == true || line["variant"] == 2051)
            && f.erp_line("service:gift_card")
    }),
    ("tip", |f| {
        f.any(|order| !amount(&order["totalTipReceivedSet"]).is_zero()) && f.erp_line("service:tip")
    }),
    ("duties", |f| {
        f.line(|line| !list(line, "duties").is_empty()) && f.erp_line("service:duty")
    }),
    ("additional fees", |f| {
        f.any(|order| !list(order, "additionalFees").is_empty()) && f.erp_line("service:fee")
    }),
    ("bundle with lineitemgroup", |f| {
        let parts = |order: &Json| {
            list(order, "lineItems")
                .iter()
                .filter(|line| line["lineItemGroup"].is_object())
                .count()
        };
        f.any(|order| parts(order) >= 2)
    }),
    ("130 lines", |f| {
        f.any(|order| list(order, "lineItems").len() >= 130) && list(&f.fixture.expect, "lines").len() >= 130
    }),
    ("quantity 1 000", |f| f.line(|line| line["quantity"] == 1000)),
    ("three decimals", |f| currency(f, &["KWD"])),
    ("zero price", |f| {
        f.line(|line| {
            !line["originalUnitPriceSet"].is_null() && amount(&line["originalUnitPriceSet"]).is_zero()
        })
    }),
    ("100 discount", |f| {
        f.line(|line| {
            let off: Decimal = list(line, "discountAllocations")
                .iter()
                .map(|known| amount(&known["allocatedAmountSet"]))
                .sum();
            let full =
                amount(&line["originalUnitPriceSet"]) * Decimal::from(line["quantity"].as_i64().unwrap_or(0));
            !off.is_zero() && off == full
        })
    }),
    ("test order", |f| f.any(|order| order["test"] == true)),
    ("html and emoji", |f| {
        f.any(|order| {
            order["note"]
                .as_str()
                .is_some_and(|note| note.contains('<') && note.chars().any(|c| c > '\u{ffff}'))
        })
    }),
    ("line properties", |f| {
        f.line(|line| !list(line, "customAttributes").is_empty())
    }),
    ("line text", |f| {
        list(&f.fixture.expect, "lines")
            .iter()
            .any(|line| line["name"].is_string())
    }),
    ("tags", |f| {
        f.any(|order| !list(order, "tags").is_empty())
            && f.fixture.expect["order_fields"]["x_shopify_tags"].is_string()
    }),
    ("source channel", |f| {
        f.fixture.expect["order_fields"]["x_shopify_channel"].is_string()
    }),
    ("purchase order number", |f| {
        f.any(|order| order["poNumber"].is_string())
    }),
    ("high fraud risk booked", |f| {
        is_risky(f) && f.expects("state", "confirmed") && f.flow("high_risk", "book")
    }),
    ("high fraud risk held", |f| {
        is_risky(f) && f.expects("problem", "high_fraud_risk")
    }),
    ("high fraud risk left out", |f| {
        is_risky(f) && f.expects("state", "none") && f.flow("high_risk", "skip")
    }),
    ("address without a country", |f| {
        f.any(|order| {
            order["shippingAddress"].is_object() && order["shippingAddress"]["countryCodeV2"].is_null()
        })
    }),
    ("customer not yet in the erp", |f| {
        !is_guest(f) && f.fixture.settings.partners.is_empty() && f.fixture.expect["partner"].is_object()
    }),
    ("partner adopted by e mail", |f| {
        f.fixture
            .settings
            .partners
            .keys()
            .any(|name| f.fixture.expect["partner"]["name"] == name.as_str())
    }),
    ("customer edited after the order", |f| {
        f.fixture.then.iter().any(|step| !step.customer.is_empty())
    }),
    ("deleted customer", |f| {
        f.any(|order| order["customer"]["id"] == 3999)
    }),
    ("merged customer", |f| {
        f.any(|order| order["customer"]["id"] == 3998)
    }),
    ("imported history", |f| {
        f.flow("before_start", "book") && f.fixture.settings.start_at.is_some()
    }),
];

pub(super) const COST: &[Kind] = &[
    ("percentage discount", |f| {
        f.discount(is_percentage) && f.line(is_discounted)
    }),
    ("amount discount", |f| {
        f.discount(|known| !is_percentage(known)) && f.line(is_discounted)
    }),
    ("order discount", |f| {
        f.discount(|known| {
            known["targetSelection"] == "ALL"
                || known["allocationMethod"] == "ACROSS"
                || known["targetSelection"].is_null()
        })
    }),
    ("discount code", |f| f.discount(|known| known["code"].is_string())),
    ("automatic discount", |f| {
        discount_of(f, "AutomaticDiscountApplication")
    }),
    ("manual discount", |f| discount_of(f, "ManualDiscountApplication")),
    ("script discount", |f| discount_of(f, "ScriptDiscountApplication")),
    ("shipping discount", is_on_shipping),
    ("discount on shipping", is_on_shipping),
    ("exact unit price", |f| {
        f.line(is_discounted) && !f.erp_line("service:discount")
    }),
    ("discount as a line", |f| {
        f.line(is_discounted) && f.erp_line("service:discount")
    }),
    ("tax included", |f| f.any(|order| order["taxesIncluded"] == true)),
    ("tax excluded", |f| f.any(|order| order["taxesIncluded"] != true)),
    ("several tax lines per line", |f| {
        f.line(|line| list(line, "taxLines").len() > 1)
    }),
    ("rate without an amount", |f| {
        f.line(|line| {
            list(line, "taxLines")
                .iter()
                .any(|tax| !tax["rate"].is_null() && amount(&tax["priceSet"]).is_zero())
        })
    }),
    ("two rates included", |f| {
        f.any(|order| order["taxesIncluded"] == true && rates(order).len() > 1)
    }),
    ("missing tax", |f| f.expects("problem", "tax_not_found")),
    ("tax matched by the table", |f| {
        let mut all = f.fixture.settings.tax_table.values();
        all.any(|name| f.erp_tax(name) && !f.tax_title(name))
    }),
    ("tax matched by name", |f| {
        let mut all = f.fixture.settings.taxes.iter();
        all.any(|tax| f.erp_tax(&tax.name) && f.tax_title(&tax.name))
    }),
    ("tax matched by country", |f| {
        let Some(country) = f.first()["shippingAddress"]["countryCodeV2"].as_str() else {
            return false;
        };
        let mut all = f.fixture.settings.taxes.iter();
        all.any(|tax| {
            tax.country.as_deref() == Some(country) && f.erp_tax(&tax.name) && !f.tax_title(&tax.name)
        })
    }),
    ("exempt customer", |f| f.any(|order| order["taxExempt"] == true)),
    ("exempt line", |f| {
        f.any(|order| {
            let (with, without): (Vec<_>, Vec<_>) = list(order, "lineItems")
                .iter()
                .partition(|line| !list(line, "taxLines").is_empty());
            !with.is_empty() && !without.is_empty()
        })
    }),
    ("channel liable tax", |f| {
        f.line(|line| {
            list(line, "taxLines")
                .iter()
                .any(|tax| tax["channelLiable"] == true)
        })
    }),
    ("shipping with its own tax", |f| {
        f.shipping(|line| !list(line, "taxLines").is_empty())
    }),
    ("several shipping lines", |f| {
        f.any(|order| list(order, "shippingLines").len() > 1)
    }),
    ("removed shipping line", |f| {
        f.shipping(|line| line["isRemoved"] == true)
    }),
    ("cash rounding", |f| {
        f.any(|order| !amount(&order["totalCashRoundingAdjustment"]["paymentSet"]).is_zero())
    }),
    ("zero decimals", |f| currency(f, &["JPY"])),
    ("presentment currency", |f| {
        let buyers = |order: &Json| {
            order["presentmentCurrencyCode"].is_string()
                && order["presentmentCurrencyCode"] != order["currencyCode"]
        };
        f.fixture.settings.currency.as_deref() == Some("presentment") && f.any(buyers)
    }),
    ("price list", |f| {
        f.fixture.expect["currency"]
            .as_str()
            .is_some_and(|code| code != "EUR")
    }),
    ("round globally", |f| {
        f.fixture.settings.erp_rounding.as_deref() == Some("globally")
    }),
    ("per line rounding", |f| {
        f.fixture.settings.erp_rounding.as_deref() != Some("globally")
            && f.line(|line| line["quantity"].as_i64() > Some(1) && !list(line, "taxLines").is_empty())
    }),
    ("rounding line within the tolerance", |f| {
        f.erp_line("service:rounding")
    }),
    ("difference above the tolerance", |f| {
        f.expects("problem", "total_differs")
    }),
];

pub(super) const PAID: &[Kind] = &[
    ("authorised is not paid", |f| {
        f.status("AUTHORIZED") && f.expects("state", "quotation")
    }),
    ("several gateways", |f| f.different("transactions", "gateway") > 1),
    ("gift card as payment", |f| {
        f.transaction(|known| known["gateway"] == "gift_card")
    }),
    ("partially paid", |f| f.status("PARTIALLY_PAID")),
    ("structured payment facts", |f| {
        f.fixture.expect["order_fields"]["x_shopify_payment_references"].is_string()
    }),
    ("payments registered", |f| {
        f.flow("payments", "register") && f.fixture.expect["documents"]["payments"].is_array()
    }),
    ("invoice posted", |f| {
        f.documents("invoices")
            .iter()
            .any(|known| known["state"] == "posted")
            || f.flow("invoices", "post")
    }),
    ("invoice draft", |f| {
        f.documents("invoices")
            .iter()
            .any(|known| known["state"] == "draft")
    }),
    ("closed accounting period", |f| {
        f.acted("close_period") || f.expects("problem", "accounting_period_closed")
    }),
    ("capture later", |f| {
        f.states.len() > 1 && f.transaction(|known| known["kind"] == "CAPTURE")
    }),
    ("expired", |f| f.status("EXPIRED")),
    ("voided", |f| f.status("VOIDED")),
];

pub(super) const HAPPENED: &[Kind] = &[
    ("removed line", |f| f.line(|line| line["currentQuantity"] == 0)),
    ("added line", |f| f.line_added()),
    ("changed quantity", |f| f.quantity_changed()),
    ("quantity up", |f| f.quantity_raised()),
    ("locked order", |f| f.acted("lock")),
    ("delivered order", |f| f.acted("deliver")),
    ("invoiced order", was_invoiced),
    ("address changed after booking", |f| {
        f.first()["shippingAddress"]["city"] != f.last()["shippingAddress"]["city"]
    }),
    ("note changed after booking", |f| {
        f.first()["note"] != f.last()["note"]
    }),
    ("cancellation before import", |f| {
        !f.first()["cancelledAt"].is_null()
    }),
    ("cancellation after import", |f| {
        f.first()["cancelledAt"].is_null() && was_cancelled(f) && f.expects("state", "cancelled")
    }),
    ("cancellation after delivery", |f| {
        was_cancelled(f) && was_delivered(f)
    }),
    ("cancellation after invoice", |f| {
        was_cancelled(f) && was_invoiced(f)
    }),
    ("deleted order", |f| {
        f.fixture.then.iter().any(|step| step.deleted)
    }),
    ("refund with restock", |f| f.restock(&["CANCEL", "RETURN"])),
    ("refund without restock", |f| f.restock(&["NO_RESTOCK"])),
    ("restock to another location", |f| {
        f.refund(|refund| {
            list(refund, "refundLineItems")
                .iter()
                .any(|line| line["location"] == 9002)
        })
    }),
    ("partial refund", |f| f.refund(|_| true) && !f.status("REFUNDED")),
    ("refund of shipping only", |f| {
        f.refund(|refund| {
            list(refund, "refundLineItems").is_empty() && !list(refund, "refundShippingLines").is_empty()
        })
    }),
    ("refund of an amount only", |f| f.refund(is_amount_only)),
    ("several refunds", |f| list(f.last(), "refunds").len() > 1),
    ("full refund", |f| f.refund(|_| true) && f.status("REFUNDED")),
    ("orderadjustments", |f| {
        f.refund(|refund| !list(refund, "orderAdjustments").is_empty())
    }),
    ("refund with money pending", |f| {
        f.transaction(|known| known["kind"] == "REFUND" && known["status"] == "PENDING")
            || f.refund(|refund| {
                list(refund, "transactions")
                    .iter()
                    .any(|known| known["status"] == "PENDING")
            })
    }),
    ("refunds quantity", |f| {
        f.refund(|_| true) && f.flow_or("refunds", "quantity") == "quantity"
    }),
    ("refunds credit note", |f| {
        f.refund(|_| true) && f.flow("refunds", "credit_note")
    }),
    ("refunds problem", |f| {
        f.refund(|_| true) && f.flow("refunds", "problem")
    }),
    ("fulfillments validate", |f| {
        f.flow("fulfillments", "validate") && f.any(|order| !list(order, "fulfillments").is_empty())
    }),
    ("fulfillments leave", |f| {
        f.flow("fulfillments", "leave") && f.any(|order| !list(order, "fulfillments").is_empty())
    }),
    ("fulfillments hold", |f| {
        f.flow("fulfillments", "hold") && f.any(|order| !list(order, "fulfillments").is_empty())
    }),
    ("already shipped", |f| !list(f.first(), "fulfillments").is_empty()),
    ("two fulfilments", |f| list(f.last(), "fulfillments").len() > 1),
    ("cancelled fulfilment", |f| {
        list(f.last(), "fulfillments")
            .iter()
            .any(|known| known["status"] == "CANCELLED")
    }),
    ("wizard answer counts as not done", |f| f.acted("ask")),
    ("totals that contradict each other", |f| {
        f.fixture.inconsistent && f.expects("problem", "totals_do_not_add_up")
    }),
    ("unknown financial status", |f| f.status("ON_ACCOUNT")),
    ("unknown restock type", |f| {
        f.refund(|refund| {
            list(refund, "refundLineItems").iter().any(|line| {
                !matches!(
                    line["restockType"].as_str(),
                    Some("CANCEL" | "RETURN" | "NO_RESTOCK" | "LEGACY_RESTOCK")
                )
            })
        })
    }),
    ("unknown transaction kind", |f| {
        f.transaction(|known| {
            !matches!(
                known["kind"].as_str().unwrap_or("SALE"),
                "SALE" | "CAPTURE" | "REFUND" | "VOID" | "AUTHORIZATION" | "CHANGE"
            )
        })
    }),
    ("negative quantity", |f| {
        f.line(|line| line["quantity"].as_i64().is_some_and(|units| units < 0))
    }),
    ("currency not active in the erp", |f| {
        f.expects("problem", "pricelist_not_found")
    }),
    // Estonia's provinces are Shopify's, and Odoo has none of them.
    ("country without states", |f| {
        f.any(|order| {
            order["shippingAddress"]["countryCodeV2"] == "EE"
                && order["shippingAddress"]["provinceCode"].is_string()
        })
    }),
    ("very long note", |f| {
        f.any(|order| order["note"].as_str().is_some_and(|note| note.len() > 10_000))
    }),
];
