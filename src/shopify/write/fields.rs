//! Our fields and where they stand in Shopify's inputs.

use rust_decimal::Decimal;
use serde_json::{Map, Number, Value, json};

use crate::domain::FieldValue;
use crate::shopify::error::ShopifyError;

/// What kind of value a field takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    /// Two capital letters.
    Country,
    /// One of [`STATUSES`].
    Status,
    Bool,
    /// In the shop's currency, with no more decimals than that has.
    Price,
    /// In the shop's currency; Shopify rounds it.
    Cost,
    /// In kilograms.
    Weight,
}

/// What a product's status can be.
const STATUSES: [&str; 4] = ["ACTIVE", "ARCHIVED", "DRAFT", "UNLISTED"];

/// What stands for an empty field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Empty {
    Null,
    Blank,
    Zero,
    /// The field cannot be empty.
    Never,
}

/// A field that can be written.
#[derive(Debug)]
struct Writable {
    name: &'static str,
    path: &'static [&'static str],
    kind: Kind,
    empty: Empty,
}

/// The writable fields of one kind of record.
#[derive(Debug)]
pub(super) struct Table {
    /// What stands before the names, e.g. `address.`.
    prefix: &'static str,
    fields: &'static [Writable],
}

macro_rules! fields {
    ($($name:literal $path:expr, $kind:ident, $empty:ident;)+) => {
        &[$(Writable { name: $name, path: &$path, kind: Kind::$kind, empty: Empty::$empty }),+]
    };
}

pub(super) const CUSTOMER: Table = Table {
    prefix: "",
    fields: fields![
        "first_name" ["firstName"], Text, Null;
        "last_name" ["lastName"], Text, Null;
        "email" ["email"], Text, Null;
        "phone" ["phone"], Text, Null;
        "note" ["note"], Text, Null;
        "locale" ["locale"], Text, Never;
        "tax_exempt" ["taxExempt"], Bool, Never;
    ],
};

pub(super) const ADDRESS: Table = Table {
    prefix: "address.",
    fields: fields![
        "company" ["company"], Text, Null;
        "first_name" ["firstName"], Text, Null;
        "last_name" ["lastName"], Text, Null;
        "address1" ["address1"], Text, Null;
        "address2" ["address2"], Text, Null;
        "zip" ["zip"], Text, Null;
        "city" ["city"], Text, Null;
        "country_code" ["countryCode"], Country, Null;
        "province_code" ["provinceCode"], Text, Null;
        "phone" ["phone"], Text, Null;
    ],
};

pub(super) const PRODUCT: Table = Table {
    prefix: "",
    fields: fields![
        "title" ["title"], Text, Never;
        "description_html" ["descriptionHtml"], Text, Blank;
        "vendor" ["vendor"], Text, Blank;
        "product_type" ["productType"], Text, Blank;
        "status" ["status"], Status, Never;
        "handle" ["handle"], Text, Never;
    ],
};

pub(super) const VARIANT: Table = Table {
    prefix: "",
    fields: fields![
        "price" ["price"], Price, Never;
        "compare_at_price" ["compareAtPrice"], Price, Null;
        "barcode" ["barcode"], Text, Null;
        "sku" ["inventoryItem", "sku"], Text, Null;
        "weight_kg" ["inventoryItem", "measurement", "weight"], Weight, Zero;
        "cost" ["inventoryItem", "cost"], Cost, Null;
        "taxable" ["taxable"], Bool, Never;
        "tracked" ["inventoryItem", "tracked"], Bool, Never;
        "requires_shipping" ["inventoryItem", "requiresShipping"], Bool, Never;
    ],
};

impl Table {
    /// Whether a field of ours belongs to this table.
    pub(super) fn has(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    fn find(&self, name: &str) -> Option<&'static Writable> {
        let bare = name.strip_prefix(self.prefix)?;
        self.fields.iter().find(|field| field.name == bare)
    }

    /// Our name of the field that an error points at.
    pub(super) fn name_of(&self, path: &[String]) -> Option<String> {
        let in_address = path
            .iter()
            .any(|step| matches!(step.as_str(), "address" | "addresses"));
        if in_address == self.prefix.is_empty() {
            return None;
        }
        path.iter().rev().find_map(|step| {
            let found = self
                .fields
                .iter()
                .find(|field| field.path.last() == Some(&step.as_str()))?;
            Some(format!("{}{}", self.prefix, found.name))
        })
    }

    /// The fields as an input.
    ///
    /// # Errors
    /// A field that is not of this table, or a value that it cannot take.
    pub(super) fn input<'a>(
        &self,
        fields: impl IntoIterator<Item = &'a (String, FieldValue)>,
        price_decimals: u32,
    ) -> Result<Value, ShopifyError> {
        let mut input = Value::Object(Map::new());
        for (name, value) in fields {
            let field = self.find(name).ok_or_else(|| {
                not_writable(
                    name,
                    "there is no such field, or it cannot be written here".to_owned(),
                )
            })?;
            let value = field.value(name, value, price_decimals)?;
            let mut place = &mut input;
            for step in field.path {
                place = &mut place[*step];
            }
            *place = value;
        }
        Ok(input)
    }
}

impl Writable {
    fn value(&self, name: &str, value: &FieldValue, price_decimals: u32) -> Result<Value, ShopifyError> {
        let amount = match value {
            FieldValue::Decimal(amount) => Some(*amount),
            FieldValue::Integer(amount) => Some(Decimal::from(*amount)),
            _ => None,
        };
        let wrong = |expected: &str| not_writable(name, format!("the shop takes {expected} here"));
        match (value, self.kind) {
            (FieldValue::Clear, kind) => match self.empty {
                Empty::Null => Ok(Value::Null),
                Empty::Blank => Ok(json!("")),
                Empty::Zero if kind == Kind::Weight => Ok(weight(&Number::from(0))),
                Empty::Zero => Ok(json!("0")),
                Empty::Never => Err(not_writable(name, "it cannot be empty on the shop".to_owned())),
            },
            (FieldValue::Text(text), Kind::Text) => Ok(json!(text)),
            (_, Kind::Text) => Err(wrong("a text")),
            (FieldValue::Text(code), Kind::Country)
                if code.len() == 2 && code.bytes().all(|b| b.is_ascii_uppercase()) =>
            {
                Ok(json!(code))
            }
            (_, Kind::Country) => Err(wrong("a country as two capital letters (ISO 3166-1)")),
            (FieldValue::Text(status), Kind::Status) if STATUSES.contains(&status.as_str()) => {
                Ok(json!(status))
            }
            (_, Kind::Status) => Err(wrong("ACTIVE, ARCHIVED, DRAFT or UNLISTED")),
            (FieldValue::Bool(flag), Kind::Bool) => Ok(json!(flag)),
            (_, Kind::Bool) => Err(wrong("yes or no")),
            (_, Kind::Price) => {
                let amount = amount.ok_or_else(|| wrong("an amount"))?.normalize();
                if amount.scale() > price_decimals {
                    let reason = format!(
                        "{amount} has more decimals than the shop's currency, which has {price_decimals}"
                    );
                    return Err(not_writable(name, reason));
                }
                Ok(json!(amount.to_string()))
            }
            (_, Kind::Cost) => {
                let amount = amount.ok_or_else(|| wrong("an amount"))?;
                Ok(json!(amount.normalize().to_string()))
            }
            (_, Kind::Weight) => {
                let kilograms = amount.ok_or_else(|| wrong("a number of kilograms"))?;
                // GraphQL's `Float` is a number on the wire; the digits are the decimal's.
                let number: Option<Number> = serde_json::from_str(&kilograms.normalize().to_string()).ok();
                Ok(weight(&number.ok_or_else(|| wrong("a number of kilograms"))?))
            }
        }
    }
}

fn weight(kilograms: &Number) -> Value {
    json!({ "value": kilograms, "unit": "KILOGRAMS" })
}

/// A value that never was sent.
pub(super) fn not_writable(field: &str, reason: String) -> ShopifyError {
    ShopifyError::NotWritable {
        field: field.to_owned(),
        reason,
    }
}

/// Whether a price has decimals, so that the currency must be asked how many it has.
pub(super) fn has_decimals<'a>(fields: impl IntoIterator<Item = &'a (String, FieldValue)>) -> bool {
    fields.into_iter().any(|(name, value)| {
        VARIANT.find(name).is_some_and(|field| field.kind == Kind::Price)
            && matches!(value, FieldValue::Decimal(amount) if amount.normalize().scale() > 0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn d(text: &str) -> FieldValue {
        FieldValue::Decimal(text.parse().unwrap())
    }

    fn one(table: &Table, name: &str, value: FieldValue) -> Result<Value, String> {
        let fields = [(name.to_owned(), value)];
        table.input(&fields, 2).map_err(|error| error.to_string())
    }

    #[test]
    fn fields_stand_where_shopify_has_them() {
        let text = |text: &str| FieldValue::Text(text.to_owned());
        for (table, name, value, expected) in [
            (&CUSTOMER, "first_name", text("Ana"), json!({"firstName": "Ana"})),
            (&CUSTOMER, "email", FieldValue::Clear, json!({"email": null})),
            (
                &CUSTOMER,
                "tax_exempt",
                FieldValue::Bool(true),
                json!({"taxExempt": true}),
            ),
            (
                &ADDRESS,
                "address.country_code",
                text("DE"),
                json!({"countryCode": "DE"}),
            ),
            (&PRODUCT, "vendor", FieldValue::Clear, json!({"vendor": ""})),
            (&VARIANT, "price", d("19.90"), json!({"price": "19.9"})),
            (&VARIANT, "price", FieldValue::Integer(5), json!({"price": "5"})),
            (
                &VARIANT,
                "compare_at_price",
                FieldValue::Clear,
                json!({"compareAtPrice": null}),
            ),
            (&VARIANT, "sku", text("A"), json!({"inventoryItem": {"sku": "A"}})),
            (
                &VARIANT,
                "weight_kg",
                d("0.25"),
                json!({"inventoryItem": {"measurement": {"weight": {"value": 0.25, "unit": "KILOGRAMS"}}}}),
            ),
        ] {
            assert_eq!(one(table, name, value), Ok(expected), "{name}");
        }
    }

    #[test]
    fn values_that_the_shop_cannot_take_never_leave() {
        for (table, name, value, expected) in [
            (&VARIANT, "price", d("19.999"), "price: 19.999 has more decimals"),
            (&VARIANT, "price", FieldValue::Clear, "price: it cannot be empty"),
            (
                &VARIANT,
                "title",
                FieldValue::Clear,
                "title: there is no such field",
            ),
            (
                &CUSTOMER,
                "email",
                FieldValue::Bool(true),
                "email: the shop takes a text",
            ),
            (&PRODUCT, "title", FieldValue::Clear, "title: it cannot be empty"),
        ] {
            let error = one(table, name, value).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
        // A price with zeros at the end has none.
        assert_eq!(one(&VARIANT, "price", d("19.9000")), Ok(json!({"price": "19.9"})));
    }

    #[test]
    fn values_that_are_one_of_few_are_checked_here() {
        let text = |text: &str| FieldValue::Text(text.to_owned());
        for (table, name, value, is_fine) in [
            (&ADDRESS, "address.country_code", "DE", true),
            (&ADDRESS, "address.country_code", "de", false),
            (&ADDRESS, "address.country_code", "Germany", false),
            (&ADDRESS, "address.country_code", "", false),
            (&PRODUCT, "status", "UNLISTED", true),
            (&PRODUCT, "status", "draft", false),
        ] {
            assert_eq!(one(table, name, text(value)).is_ok(), is_fine, "{name} {value}");
        }
    }

    #[test]
    fn errors_are_told_in_our_names() {
        let path = |text: &str| text.split('.').map(str::to_owned).collect::<Vec<_>>();
        for (table, at, expected) in [
            (&CUSTOMER, "input.email", Some("email")),
            (&CUSTOMER, "input.addresses.0.phone", None),
            (&ADDRESS, "input.addresses.0.phone", Some("address.phone")),
            (&ADDRESS, "address.countryCode", Some("address.country_code")),
            (&VARIANT, "variants.3.price", Some("price")),
            (&VARIANT, "variants.3.inventoryItem.sku", Some("sku")),
            (
                &VARIANT,
                "variants.3.inventoryItem.measurement.weight.value",
                Some("weight_kg"),
            ),
            (&VARIANT, "variants.3.optionValues", None),
        ] {
            assert_eq!(table.name_of(&path(at)).as_deref(), expected, "{at}");
        }
    }
}
