//! What an endpoint gets to see: only what it asks for, and nothing about people unless it asks for that.
//!
//! Of a record, numbers, times and choices are kept; of texts only those that are named here. So a text that is added to a
//! record later is not told to anybody before somebody decided that it may be. What people type in freely is not among them: tags
//! and discounts may be anybody's ("for Ada"), and so may what a line is called that sells no product.

use serde_json::Value;

use super::notification::{ErpReference, Notification};
use crate::domain::{Canonical as _, Customer, Object, Order, Shape};

/// What an endpoint gets besides the envelope.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is asked for by itself")]
pub struct Includes {
    /// The whole record.
    pub record: bool,
    /// Records that belong to it.
    pub related: bool,
    /// Changed fields with their values before and after.
    pub values: bool,
    /// Whether names, addresses and whatever else tells of a person may be in it.
    pub personal_data: bool,
}

/// Names of parts that tell of a person wherever they stand, whatever is in them.
const PEOPLE: &[&str] = &[
    "customer",
    "company",
    "billing_address",
    "shipping_address",
    "default_address",
    "addresses",
];

/// Texts of orders that tell of nobody, by their place; lists are passed over.
const ORDER: &[&str] = &[
    "id",
    "name",
    "cancel_reason",
    "fulfillment_status",
    "currency",
    "source_name",
    "gateways",
    "lines.key",
    "lines.product_id",
    "lines.variant_id",
    "lines.sku",
    "lines.title",
    "lines.variant_title",
    "lines.taxes.title",
    "lines.group",
    "payments.id",
    "payments.kind",
    "payments.status",
    "payments.gateway",
    "payments.parent",
    "refunds.id",
    "refunds.lines.key",
    "refunds.lines.location",
    "refunds.lines.taxes.title",
    "refunds.shipping.key",
    "refunds.adjustments.reason",
    "fulfillments.id",
    "fulfillments.status",
    "fulfillments.display_status",
    "fulfillments.lines.key",
    "fulfillments.tracking_company",
    "fulfillments.location",
    "discounts.kind",
    "retail_location",
];

/// Texts of customers that tell of nobody.
const CUSTOMER: &[&str] = &["id", "locale", "state"];

/// Models of the ERP whose numbers for people tell of nobody. Any other's may be a name: a partner's, a contact's, an
/// employee's.
const NUMBERED: &[&str] = &[
    "sale.order",
    "account.move",
    "account.payment",
    "stock.picking",
    "stock.warehouse",
    "stock.location",
    "product.product",
    "product.template",
];

impl Notification {
    /// This notification as an endpoint gets it.
    #[must_use]
    pub fn shown(&self, includes: Includes) -> Self {
        let mut shown = if includes.record {
            self.clone()
        } else {
            self.without_record()
        };
        if !includes.related {
            shown.related = None;
        }
        if !includes.values {
            shown.values = None;
        }
        if !includes.personal_data {
            shown.forget_people();
        }
        shown
    }

    fn forget_people(&mut self) {
        let kind = self.kind();
        if let Some(object) = &mut self.object {
            // A customer's title is the person's name; what is about the shop as a whole may be what a person asks of it
            // (privacy), and nothing says what such a one is called.
            if matches!(object.kind, Object::Customer | Object::Shop) {
                object.title = None;
                object.name = None;
            }
            forget_number(object.erp.as_mut());
        }
        for related in self.related.iter_mut().flatten() {
            forget_number(related.erp.as_mut());
        }
        // Carriers show for it where the parcel goes.
        if let Some(numbers) = self.detail.get_mut("tracking_numbers") {
            *numbers = Value::Array(Vec::new());
        }
        if let Some(problem) = &mut self.problem {
            problem.reason = None;
            problem.fix = None;
        }
        let (shape, kept) = match kind {
            // Goods are nobody.
            Some(Object::Product | Object::Inventory) => return,
            Some(Object::Order) => (Order::shape(), ORDER),
            Some(Object::Customer) => (Customer::shape(), CUSTOMER),
            // What is asked of a shop names people.
            Some(Object::Shop) | None => (Shape::Raw, &[][..]),
        };
        if let Some(record) = &mut self.record {
            if kind == Some(Object::Order) {
                forget_custom_lines(record);
            }
            forget_texts(record, &shape, "", kept);
        }
        for changed in self.values.iter_mut().flatten() {
            changed.old = nobody(&changed.old);
            changed.new = nobody(&changed.new);
        }
    }
}

/// Empties what lines are called that sell no product of the shop: somebody typed it in for this one customer.
fn forget_custom_lines(order: &mut Value) {
    let lines = order.get_mut("lines").and_then(Value::as_array_mut);
    for line in lines.into_iter().flatten().filter_map(Value::as_object_mut) {
        if line.get("product_id").is_none_or(Value::is_null) {
            for text in ["title", "variant_title", "sku"] {
                line.insert(text.to_owned(), Value::Null);
            }
        }
    }
}

fn forget_number(erp: Option<&mut ErpReference>) {
    if let Some(erp) = erp
        && !NUMBERED.contains(&erp.model.as_str())
    {
        erp.number = None;
    }
}

/// A value that can tell of nobody; text may, whatever it is.
fn nobody(value: &Value) -> Value {
    match value {
        Value::Bool(_) | Value::Number(_) => value.clone(),
        Value::Null | Value::String(_) | Value::Array(_) | Value::Object(_) => Value::Null,
    }
}

/// Empties every text of a record but those whose place is in `kept`, and what its shape does not know.
fn forget_texts(value: &mut Value, shape: &Shape, path: &str, kept: &[&str]) {
    match (shape, &mut *value) {
        (Shape::Optional(inner), _) => forget_texts(value, inner, path, kept),
        (Shape::List(item), Value::Array(items))
            if !matches!(**item, Shape::Text) || kept.contains(&path) =>
        {
            for value in items {
                forget_texts(value, item, path, kept);
            }
        }
        (Shape::Record(shapes), Value::Object(parts)) => {
            for (name, part) in parts.iter_mut() {
                let shape = shapes.iter().find(|(known, _)| known == name);
                let path = if path.is_empty() {
                    name.clone()
                } else {
                    format!("{path}.{name}")
                };
                match shape {
                    Some((_, shape)) if !PEOPLE.contains(&name.as_str()) => {
                        forget_texts(part, shape, &path, kept);
                    }
                    _ => *part = Value::Null,
                }
            }
        }
        // Exact numbers and times are written as texts, and choices are one of a few.
        (Shape::Decimal | Shape::Time | Shape::OneOf(_), Value::String(_))
        | (Shape::Bool | Shape::Integer, Value::Bool(_) | Value::Number(_)) => {}
        (Shape::Text, Value::String(_)) if kept.contains(&path) => {}
        _ => *value = Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::event::EventType;
    use super::super::notification::tests::full;
    use super::super::notification::{ChangedValue, RelatedRecord, Shown};
    use super::*;
    use crate::domain::ErpId;

    /// The places of all texts of a shape.
    fn texts(shape: &Shape, path: &str, found: &mut BTreeSet<String>) {
        match shape {
            Shape::Optional(inner) | Shape::List(inner) => texts(inner, path, found),
            Shape::Record(parts) => {
                for (name, shape) in parts {
                    let path = if path.is_empty() {
                        name.to_string()
                    } else {
                        format!("{path}.{name}")
                    };
                    texts(shape, &path, found);
                }
            }
            Shape::Text => drop(found.insert(path.to_owned())),
            _ => {}
        }
    }

    #[test]
    fn every_text_that_is_kept_exists() {
        for (shape, kept) in [(Order::shape(), ORDER), (Customer::shape(), CUSTOMER)] {
            let mut known = BTreeSet::new();
            texts(&shape, "", &mut known);
            for place in kept {
                assert!(known.contains(*place), "{place}");
            }
        }
    }

    fn order() -> Notification {
        let mut order = full();
        order.record = Some(serde_json::json!({
            "id": "450789469",
            "name": "#1001",
            "email": "ada@example.com",
            "phone": "+4912345",
            "note": "ring twice",
            "tags": ["for Ada"],
            "discount_codes": ["ADA10"],
            "discounts": [{ "title": "Ada's birthday", "code": "ADA10", "kind": "fixed" }],
            "financial_status": "paid",
            "created_at": "2023-11-14T22:13:20.000Z",
            "totals": { "total": "12.00" },
            "customer": { "id": "7", "display_name": "Ada" },
            "shipping_address": { "city": "London" },
            "lines": [
                {
                    "product_id": "5", "sku": "X-1", "title": "Mug", "quantity": "2",
                    "properties": ["engraving: Ada"], "unheard_of": "Ada",
                },
                {
                    "product_id": null, "title": "Engraving for Ada Lovelace", "variant_title": "Ada",
                    "sku": "ADA", "quantity": "1",
                },
            ],
            "payments": [{ "amount": "12.00", "reference": "ada-1" }],
        }));
        order.values = Some(vec![
            ChangedValue {
                field: "note".to_owned(),
                old: Value::from("Ada"),
                new: Value::Null,
            },
            ChangedValue {
                field: "confirmed".to_owned(),
                old: Value::from(false),
                new: Value::from(true),
            },
        ]);
        order
    }

    const ALL: Includes = Includes {
        record: true,
        related: true,
        values: true,
        personal_data: false,
    };

    #[test]
    fn nobody_is_named_where_nobody_asked_for_it() {
        let shown = order().shown(ALL);
        let text = serde_json::to_string(&shown).unwrap();
        for part in ["Ada", "ADA", "ada", "London", "4912345", "ring"] {
            assert!(!text.contains(part), "{part}: {text}");
        }
        let record = shown.record.unwrap();
        assert_eq!(record["totals"]["total"], "12.00");
        assert_eq!(record["lines"][0]["sku"], "X-1");
        assert_eq!(record["lines"][0]["title"], "Mug");
        assert_eq!(record["lines"][1]["quantity"], "1");
        assert_eq!(record["lines"][0]["quantity"], "2");
        assert_eq!(record["created_at"], "2023-11-14T22:13:20.000Z");
        assert_eq!(record["financial_status"], "paid");
        assert_eq!(record["discounts"][0]["kind"], "fixed");
        assert_eq!(shown.values.unwrap()[1].new, Value::from(true));
        assert_eq!(shown.problem.unwrap().code, "tax_not_found");
    }

    #[test]
    fn whoever_asks_gets_everything() {
        let all = Includes {
            personal_data: true,
            ..ALL
        };
        assert_eq!(order().shown(all), order());
        let none = order().shown(Includes::default());
        assert_eq!((none.record, none.values), (None, None));
    }

    #[test]
    fn a_customer_keeps_references_and_loses_names() {
        let mut customer = full();
        customer.event = EventType::CustomerSynced;
        let object = customer.object.as_mut().unwrap();
        object.kind = Object::Customer;
        object.title = Some(Shown("Ada".to_owned()));
        object.erp = Some(ErpReference {
            model: "res.partner".to_owned(),
            id: ErpId(9),
            number: Some(Shown("Ada".to_owned())),
        });
        customer.record = Some(serde_json::json!({
            "id": "7", "display_name": "Ada", "tags": ["Ada's friend"], "tax_exempt": true,
        }));
        let shown = customer.shown(ALL);
        let text = serde_json::to_string(&shown).unwrap();
        assert!(!text.contains("Ada"), "{text}");
        assert_eq!(shown.object.unwrap().erp.unwrap().id, ErpId(9));
        let record = shown.record.unwrap();
        assert_eq!(
            (&record["id"], &record["tax_exempt"]),
            (&Value::from("7"), &Value::from(true))
        );
    }

    #[test]
    fn only_numbers_that_are_no_names_are_shown_of_the_erp() {
        let related = |kind: &str, model: &str, number: &str| RelatedRecord {
            kind: kind.to_owned(),
            shopify: None,
            erp: Some(ErpReference {
                model: model.to_owned(),
                id: ErpId(9),
                number: Some(Shown(number.to_owned())),
            }),
        };
        let mut order = full();
        order.related = Some(vec![
            related("invoice", "account.move", "INV/2026/0001"),
            related("invoice_address", "res.partner", "Ada Lovelace"),
            related("salesperson", "res.users", "Ada"),
            related("something new", "x_guest", "Ada"),
        ]);
        let shown = order.shown(ALL);
        let numbers: Vec<Option<&str>> = shown
            .related
            .iter()
            .flatten()
            .map(|related| {
                related
                    .erp
                    .as_ref()?
                    .number
                    .as_ref()
                    .map(|number| number.0.as_str())
            })
            .collect();
        assert_eq!(numbers, [Some("INV/2026/0001"), None, None, None]);
        let own = shown.object.unwrap().erp.unwrap();
        assert_eq!(
            (own.id, own.number),
            (ErpId(42), Some(Shown("S00042".to_owned())))
        );
    }

    #[test]
    fn a_parcel_cannot_be_looked_up_at_its_carrier() {
        let mut parcel = full();
        parcel.event = EventType::ShipmentCreated;
        parcel.detail =
            serde_json::json!({ "shipment": "5", "carrier": "DHL", "tracking_numbers": ["JJD0001"] });
        let shown = parcel.shown(ALL).detail;
        assert_eq!(
            shown,
            serde_json::json!({ "shipment": "5", "carrier": "DHL", "tracking_numbers": [] })
        );
        let all = Includes {
            personal_data: true,
            ..ALL
        };
        assert_eq!(parcel.shown(all).detail["tracking_numbers"][0], "JJD0001");
    }

    #[test]
    fn what_a_person_asks_of_a_shop_names_nobody() {
        let mut asked = full();
        asked.event = EventType::SyncFailed;
        let object = asked.object.as_mut().unwrap();
        object.kind = Object::Shop;
        object.title = Some(Shown("Ada".to_owned()));
        object.name = Some("ada@example.com".to_owned());
        asked.record = Some(serde_json::json!({ "customer": { "email": "ada@example.com" } }));
        asked.values = Some(vec![ChangedValue {
            field: "email".to_owned(),
            old: Value::from("ada@example.com"),
            new: Value::Null,
        }]);
        let text = serde_json::to_string(&asked.shown(ALL)).unwrap();
        assert!(!text.contains("Ada") && !text.contains("ada@"), "{text}");
    }

    #[test]
    fn goods_are_nobody() {
        let mut product = full();
        product.event = EventType::ProductSynced;
        let object = product.object.as_mut().unwrap();
        object.kind = Object::Product;
        object.title = Some(Shown("Lamp".to_owned()));
        product.record = Some(serde_json::json!({ "title": "Lamp", "vendor": "Acme" }));
        let shown = product.shown(ALL);
        assert_eq!(shown.record.unwrap()["vendor"], "Acme");
        assert_eq!(shown.object.unwrap().title, Some(Shown("Lamp".to_owned())));
    }
}
