//! The stand-in Odoo, and what the tests put into it.

use crate::domain::{ErpId, ExternalId, FieldValue, Fields, LookUp, Needed, Scalar, Timestamp};
use crate::erp::odoo::{Odoo, Settings};
use crate::erp::{Erp as _, Lines, Save};
use crate::sandbox::odoo::{OdooSandbox, Options, Version};
use crate::secret::Secret;

use super::{clock, connect, settings};

pub(super) const VERSIONS: [Version; 2] = [Version::V18, Version::V19];

/// 2024-02-29 23:30:01 UTC.
pub(super) const ORDERED_AT: Timestamp = Timestamp::from_millis(1_709_249_401_000);

pub(super) async fn start(options: Options) -> (OdooSandbox, Odoo) {
    let box_ = OdooSandbox::start(options).await.unwrap();
    let odoo = connect(settings(&box_.url()), Secret::text(box_.api_key()), &clock());
    (box_, odoo)
}

/// The same where an import has one call at a time: what comes meanwhile waits for it.
pub(super) async fn start_narrow(options: Options) -> (OdooSandbox, Odoo) {
    let box_ = OdooSandbox::start(options).await.unwrap();
    let narrow = Settings {
        max_concurrent_calls: 2,
        ..settings(&box_.url())
    };
    let odoo = connect(narrow, Secret::text(box_.api_key()), &clock());
    (box_, odoo)
}

pub(super) fn id(name: &str) -> ExternalId {
    ExternalId::new(&"main".parse().unwrap(), name).unwrap()
}

pub(super) fn text(value: &str) -> FieldValue {
    FieldValue::Text(value.to_owned())
}

pub(super) fn amount(value: &str) -> FieldValue {
    FieldValue::Decimal(value.parse().unwrap())
}

pub(super) fn fields(values: &[(&str, FieldValue)]) -> Fields {
    values
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.clone()))
        .collect()
}

pub(super) fn partner(name: &str, values: &[(&str, FieldValue)]) -> Save {
    Save {
        model: "res.partner".to_owned(),
        external_id: id(name),
        fields: fields(values),
        lines: None,
    }
}

pub(super) async fn find(odoo: &Odoo, look_up: &[(&str, Scalar)], kind: &str) -> Needed {
    let keys = look_up
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.clone()));
    let look_up = LookUp {
        kind: kind.to_owned(),
        keys: keys.collect(),
    };
    odoo.look_up(&look_up).await.unwrap()
}

pub(super) async fn found(odoo: &Odoo, look_up: &[(&str, Scalar)], kind: &str) -> ErpId {
    match find(odoo, look_up, kind).await {
        Needed::Found(id) => id,
        other => panic!("{kind} {look_up:?}: {other:?}"),
    }
}

pub(super) fn word(text: &str) -> Scalar {
    Scalar::Text(text.to_owned())
}

pub(super) fn tax_keys(rate: &str, included: bool) -> [(&'static str, Scalar); 2] {
    [
        ("rate", Scalar::Decimal(rate.parse().unwrap())),
        ("included", Scalar::Bool(included)),
    ]
}

/// A customer and a product to sell.
pub(super) async fn stock(odoo: &Odoo) -> (ErpId, ErpId) {
    let customer = odoo
        .save(&[partner("customer_1", &[("name", text("Ada"))])])
        .await
        .unwrap()[0];
    let product = Save {
        model: "product.product".to_owned(),
        external_id: id("variant_1"),
        fields: fields(&[
            ("name", text("Hat")),
            ("list_price", amount("50")),
            ("default_code", text("HAT")),
        ]),
        lines: None,
    };
    (customer, odoo.save(&[product]).await.unwrap()[0])
}

pub(super) async fn order(odoo: &Odoo, name: &str, customer: ErpId, product: ErpId) -> Save {
    let tax = found(odoo, &tax_keys("20", true), "tax").await;
    let line = |quantity: &str, price: &str| {
        fields(&[
            ("product_id", FieldValue::Record(product)),
            ("name", text("A hat")),
            ("product_uom_qty", amount(quantity)),
            ("price_unit", amount(price)),
            ("tax_ids", FieldValue::Records(vec![tax])),
        ])
    };
    Save {
        model: "sale.order".to_owned(),
        external_id: id(name),
        fields: fields(&[
            ("partner_id", FieldValue::Record(customer)),
            ("client_order_ref", text("#1001")),
            ("date_order", FieldValue::Time(ORDERED_AT)),
        ]),
        lines: Some(Lines {
            field: "order_line".to_owned(),
            model: "sale.order.line".to_owned(),
            rows: vec![
                (id(&format!("{name}_line_1")), line("3", "9.99")),
                (id(&format!("{name}_line_2")), line("1", "0")),
            ],
        }),
    }
}

pub(super) fn total_calls(odoo: &Odoo) -> u64 {
    odoo.calls().iter().map(|(_, count)| count).sum()
}
