//! Records and answers that the tests share.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;

use rust_decimal::Decimal;

use super::super::{Mapped, MappedField, Mapping, ShopFacts};
use crate::domain::{
    Address, BookedLine, BookedTax, Canonical as _, Customer, ErpId, Fact, FinancialStatus, LineKind, Need,
    Needed, OptionValue, Order, OrderCustomer, OrderTotals, Product, ProductOption, Risk, ShopifyId,
    Timestamp, Variant,
};

pub(super) fn number(text: &str) -> Decimal {
    text.parse().unwrap()
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn time(text: &str) -> Timestamp {
    Timestamp::parse_rfc3339(text).unwrap()
}

pub(super) fn berlin() -> Address {
    Address {
        first_name: some("Ada"),
        last_name: some("Byron"),
        name: some("Ada Byron"),
        company: some("Engines GmbH"),
        address1: some("Hauptstr. 1"),
        city: some("Berlin"),
        zip: some("10115"),
        country_code: some("DE"),
        phone: some("+49 30 1"),
        ..Address::nothing()
    }
}

pub(super) fn los_angeles() -> Address {
    Address {
        name: some("Grace Hopper"),
        address1: some("1 Main St"),
        address2: some("Apt 2"),
        city: some("Los Angeles"),
        zip: some("90001"),
        province_code: some("CA"),
        country_code: some("US"),
        ..Address::nothing()
    }
}

pub(super) fn customer() -> Customer {
    Customer {
        id: ShopifyId(7),
        first_name: some("Ada"),
        last_name: some("Byron"),
        display_name: "Ada Byron".into(),
        company: some("Engines GmbH"),
        email: some("Ada@Example.com "),
        phone: some("+49301"),
        locale: some("de"),
        note: some("likes <tea>\n& calm"),
        tags: vec!["vip".into()],
        tax_exempt: false,
        state: some("ENABLED"),
        default_address: Some(berlin()),
        addresses: vec![berlin()],
        refused: vec![],
        created_at: time("2026-11-01T10:00:00Z"),
        updated_at: time("2026-11-02T10:00:00Z"),
        raw: Arc::new(serde_json::json!({ "verifiedEmail": true })),
    }
}

/// A customer of whom nothing is known but a phone number.
pub(super) fn phone_only() -> Customer {
    Customer {
        id: ShopifyId(8),
        first_name: None,
        last_name: None,
        display_name: "+49301".into(),
        company: None,
        email: None,
        locale: None,
        note: None,
        tags: vec![],
        default_address: None,
        addresses: vec![],
        ..customer()
    }
}

pub(super) fn tax(rate: &str, amount: &str) -> BookedTax {
    BookedTax {
        title: "VAT".into(),
        rate_percent: number(rate),
        amount: number(amount),
        channel_liable: false,
    }
}

pub(super) fn line(
    key: &str,
    quantity: &str,
    price: &str,
    discount: &str,
    unit_price: Option<&str>,
) -> BookedLine {
    let amount = number(quantity) * number(price) - number(discount);
    BookedLine {
        key: key.into(),
        kind: LineKind::Product,
        product_id: Some(ShopifyId(70)),
        variant_id: Some(ShopifyId(700)),
        sku: some("MUG-B"),
        title: "Mug".into(),
        variant_title: some("Blue"),
        quantity: number(quantity),
        sold_quantity: number(quantity),
        original_unit_price: number(price),
        discount: number(discount),
        amount,
        unit_price: unit_price.map(number),
        net: amount,
        gross: amount,
        taxes: vec![tax("19.00", "1.00")],
        properties: vec![],
        group: None,
        is_custom: false,
        requires_shipping: true,
    }
}

/// Two mugs, three cups with a discount that has no exact unit price, an untaxed custom line, shipping; taxes included.
pub(super) fn order() -> Order {
    let service = |key: &str, kind, title: &str, price: &str| BookedLine {
        kind,
        product_id: None,
        variant_id: None,
        sku: None,
        title: title.into(),
        variant_title: None,
        is_custom: kind == LineKind::Product,
        requires_shipping: false,
        ..line(key, "1", price, "0", Some(price))
    };
    Order {
        id: ShopifyId(1001),
        name: "#1042".into(),
        processed_at: time("2026-11-20T08:30:00+01:00"),
        created_at: time("2026-11-20T08:30:05+01:00"),
        updated_at: time("2026-11-20T09:00:00+01:00"),
        cancelled_at: None,
        cancel_reason: None,
        test: false,
        edited: false,
        financial_status: FinancialStatus::Paid,
        fulfillment_status: some("UNFULFILLED"),
        currency: "EUR".parse().unwrap(),
        taxes_included: true,
        email: some("ada@example.com"),
        phone: None,
        customer: Some(OrderCustomer {
            id: ShopifyId(7),
            display_name: "Ada Byron".into(),
            email: some("ada@example.com"),
            phone: None,
        }),
        billing_address: Some(berlin()),
        shipping_address: Some(los_angeles()),
        note: None,
        tags: vec![],
        source_name: some("web"),
        po_number: None,
        gateways: vec!["shopify_payments".into()],
        discount_codes: vec![],
        lines: vec![
            line("line_1", "2", "10.00", "1.00", Some("9.50")),
            BookedLine {
                title: "Cup".into(),
                properties: vec!["Engraving: A".into()],
                ..line("line_2", "3", "10.00", "1.00", None)
            },
            BookedLine {
                taxes: vec![],
                ..service("line_3", LineKind::Product, "Gift wrap", "2.00")
            },
            service("shipping_1", LineKind::Shipping, "Standard", "4.90"),
        ],
        totals: OrderTotals {
            total: number("54.90"),
            tax: number("8.45"),
            discounts: number("2.00"),
            shipping: number("4.90"),
            received: number("54.90"),
            refunded: Decimal::ZERO,
            outstanding: Decimal::ZERO,
        },
        payments: vec![],
        refunds: vec![],
        fulfillments: vec![],
        company: None,
        risk: Risk::None,
        tax_exempt: false,
        discounts: vec![],
        confirmation_number: None,
        retail_location: None,
        raw: Arc::new(serde_json::json!({
            "customAttributes": [{ "key": "gift", "value": "no" }, { "key": "channel", "value": "till 4" }],
            "weight": { "json": 1.25, "value": "1.25" },
            "poNumber": "P-1",
        })),
    }
}

pub(super) fn product() -> Product {
    let variant = |id, size: &str, sku: Option<&str>, barcode: Option<&str>| Variant {
        id: ShopifyId(id),
        inventory_item_id: Some(ShopifyId(id + 9000)),
        title: size.into(),
        sku: sku.map(str::to_owned),
        barcode: barcode.map(str::to_owned),
        price: number("19.99"),
        compare_at_price: None,
        cost: None,
        weight_kg: Some(number("0.35")),
        taxable: true,
        requires_shipping: true,
        tracked: true,
        options: vec![OptionValue {
            name: "Size".into(),
            value: size.into(),
        }],
    };
    Product {
        id: ShopifyId(70),
        title: "Shirt".into(),
        handle: "shirt".into(),
        description_html: some("<p>soft</p>"),
        vendor: None,
        product_type: None,
        status: "ACTIVE".into(),
        tags: vec![],
        is_gift_card: false,
        options: vec![ProductOption {
            name: "Size".into(),
            values: vec!["S".into(), "M".into()],
        }],
        variants: vec![
            variant(700, "S", Some("SH-S"), Some("4006381333931")),
            variant(701, "M", None, Some(" ")),
        ],
        created_at: time("2026-11-01T10:00:00Z"),
        updated_at: time("2026-11-02T10:00:00Z"),
        raw: Arc::new(serde_json::Value::Null),
    }
}

/// The shop's settings for an order of a customer or guest.
pub(super) fn settings(buyer: Option<&str>) -> Fact {
    ShopFacts {
        buyer: buyer.map(str::to_owned),
        ..ShopFacts::default()
    }
    .fact()
}

/// Answers every need: the first with record 101, the next with 102, and so on, but for what `exceptions` say.
pub(super) fn answers(
    mapping: &Mapping,
    record: &Fact,
    settings: &Fact,
    exceptions: &[(&str, Needed)],
) -> HashMap<Need, Needed> {
    let mut answers = HashMap::new();
    for (n, need) in mapping.needs(record, settings).into_iter().enumerate() {
        let shown = show_need(&need);
        let exception = exceptions
            .iter()
            .find(|(part, _)| shown.contains(part))
            .map(|(_, answer)| answer.clone());
        let answer = exception.unwrap_or(Needed::Found(ErpId(101 + i64::try_from(n).unwrap())));
        assert!(answers.insert(need, answer).is_none(), "{shown} is asked once");
    }
    answers
}

pub(super) fn show_need(need: &Need) -> String {
    match need {
        Need::Link { kind, source_id } => format!("link {kind} {source_id}"),
        Need::LookUp(look_up) => format!("look-up {look_up}"),
    }
}

/// What would be written, as a person reads it.
pub(super) fn show(mapped: &Mapped) -> String {
    let mut text = format!("{} {}\n", mapped.model, mapped.external_id);
    if let Some(stage) = mapped.stage {
        let _ = writeln!(text, "  stage: {stage:?}");
    }
    for key in &mapped.match_keys {
        let _ = writeln!(text, "  match: {:?}", key.equal);
    }
    show_fields(&mut text, "  ", &mapped.fields);
    for group in &mapped.groups {
        let field = group.field.as_deref().unwrap_or("records of their own");
        let once = if group.once { ", once" } else { "" };
        let _ = writeln!(text, "  {} ({field}, {}{once})", group.name, group.model);
        for row in &group.rows {
            let linked = row.linked.map_or_else(String::new, |id| format!(" = #{id}"));
            let _ = writeln!(text, "    {}{linked} from {}", row.external_id, row.source_index);
            for key in &row.match_keys {
                let _ = writeln!(text, "      match: {:?}", key.equal);
            }
            show_fields(&mut text, "      ", &row.fields);
        }
    }
    for held in &mapped.held {
        let _ = writeln!(text, "  held: {} {}", held.code, held.target);
    }
    text
}

fn show_fields(text: &mut String, indent: &str, fields: &[MappedField]) {
    for field in fields {
        let lossy = if field.lossy { " (lossy)" } else { "" };
        let create = if field.create_only { " (on create)" } else { "" };
        let _ = writeln!(
            text,
            "{indent}{} = {:?}{lossy}{create}",
            field.target, field.value
        );
    }
}
