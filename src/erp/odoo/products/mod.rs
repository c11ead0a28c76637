//! Products with options and variants.
//!
//! Odoo makes the variants itself: every combination of the values that a template lists. So options come first
//! (attributes and their values, found by name, made when missing), then the template that lists them, then each variant
//! is recognised by the values that it stands for and gets its SKU, bar code and weight. Values are only ever added:
//! taking one away would delete variants together with their history. A variant's price is never written: `lst_price` of
//! one variant rewrites the price of all of them.

mod options;
mod variants;

pub(super) use options::Options;
pub(super) use variants::Known;

use serde_json::{Map, Value};

use super::call::Call;
use super::value::{self, record, records, text};
use super::{Odoo, nonsense};
use crate::domain::{ErpId, ExternalId, FieldValue, Fields};
use crate::erp::{ErpError, Lines, ProductSave, ProductSaved, Save, VariantSave};
use crate::failpoint::{FailPoint, reach};

use self::options::{Attribute, LINE, digest};
use self::variants::match_variants;

const TEMPLATE: &str = "product.template";

/// Fields that would change the price of all variants when written on one.
const PRICES: [&str; 3] = ["lst_price", "list_price", "price"];

impl Odoo {
    pub(super) async fn write_product(&self, save: &ProductSave) -> Result<ProductSaved, ErpError> {
        let priced = |variant: &VariantSave| {
            variant
                .fields
                .iter()
                .any(|(name, _)| PRICES.contains(&name.as_str()))
        };
        if save.variants.iter().any(priced) {
            return Err(ErpError::Setup {
                message: "the price of one variant cannot be written: in Odoo it would become the price of all of them. \
                          Set list_price on the product, or send prices on order lines only"
                    .to_owned(),
            });
        }
        // The options of a product whose variants are all bound are left as they are: an adopted product may name them
        // in its own way, and one more option would make Odoo multiply its variants.
        let bound = save.existing.is_some() && save.variants.iter().all(|variant| variant.existing.is_some());
        let attributes = if bound {
            Vec::new()
        } else {
            self.attributes(&save.external_id, &save.options).await?
        };
        reach(FailPoint::ProductOptionsSaved).await?;
        let fields = by_version(self.major().await?, &save.fields);
        let template = match save.existing {
            Some(id) => {
                self.update_template(id, &fields, &attributes).await?;
                id
            }
            None => self.make_template(&save.external_id, fields, &attributes).await?,
        };
        reach(FailPoint::ProductTemplateSaved).await?;
        let mut names: Vec<String> = Vec::new();
        for (name, _) in save.variants.iter().flat_map(|variant| &variant.fields) {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
        let there = self.variants_for(&save.variants, template, &names).await?;
        let pairs = match_variants(&save.variants, &there)?;
        self.write_variants(&save.variants, &pairs, &there).await?;
        Ok(ProductSaved {
            template,
            variants: save
                .variants
                .iter()
                .zip(&pairs)
                .map(|(variant, id)| (variant.id, *id))
                .collect(),
        })
    }

    async fn make_template(
        &self,
        id: &ExternalId,
        fields: Fields,
        attributes: &[Attribute],
    ) -> Result<ErpId, ErpError> {
        let mut rows = Vec::new();
        for attribute in attributes {
            let name = ExternalId::new(
                &id.shop,
                &format!("{}_option_{}", id.name, digest(&[&attribute.name])),
            );
            let name = name.map_err(|error| ErpError::Setup {
                message: error.to_string(),
            })?;
            let fields = vec![
                ("attribute_id".to_owned(), FieldValue::Record(attribute.id)),
                (
                    "value_ids".to_owned(),
                    FieldValue::Records(attribute.values.clone()),
                ),
            ];
            rows.push((name, fields));
        }
        let lines = (!rows.is_empty()).then(|| Lines {
            field: "attribute_line_ids".to_owned(),
            model: LINE.to_owned(),
            rows,
        });
        let save = Save {
            model: TEMPLATE.to_owned(),
            external_id: id.clone(),
            fields,
            lines,
        };
        let ids = self.load_all(std::slice::from_ref(&save)).await?;
        ids.first()
            .copied()
            .ok_or_else(|| nonsense(TEMPLATE, "load", "it names no record"))
    }

    /// Writes what differs: a write that changes nothing would still count as a change of the record.
    async fn update_template(
        &self,
        id: ErpId,
        fields: &Fields,
        attributes: &[Attribute],
    ) -> Result<(), ErpError> {
        let mut values = Map::new();
        if !fields.is_empty() {
            let names: Vec<String> = fields.iter().map(|(name, _)| name.clone()).collect();
            let now = self.read_rows(TEMPLATE, &[id], &names).await?;
            let now = now.first().ok_or_else(|| ErpError::Missing {
                model: TEMPLATE.to_owned(),
                id: Some(id),
            })?;
            let changed = fields
                .iter()
                .filter(|(name, value)| now.fields.get(name).is_none_or(|now| !same(now, value)));
            values.extend(changed.map(|(name, value)| (name.clone(), value::encode(value))));
        }
        if !attributes.is_empty() {
            let commands = self.missing_options(id, attributes).await?;
            if !commands.is_empty() {
                values.insert("attribute_line_ids".to_owned(), Value::Array(commands));
            }
        }
        if values.is_empty() {
            return Ok(());
        }
        let call = Call::write(TEMPLATE, "write")
            .on([id])
            .arg("vals", Value::Object(values))
            .quietly();
        self.session.call(&call).await.map(drop)
    }
}

/// Whether a field has this value already.
fn same(now: &FieldValue, wanted: &FieldValue) -> bool {
    match (now, wanted) {
        (FieldValue::Records(now), FieldValue::Records(wanted)) => {
            let sorted = |ids: &[ErpId]| {
                let mut ids = ids.to_vec();
                ids.sort();
                ids
            };
            sorted(now) == sorted(wanted)
        }
        (FieldValue::Clear, FieldValue::Text(text)) => text.is_empty(),
        (now, wanted) => now == wanted,
    }
}

/// Odoo 17 says in one field what later versions say in two.
fn by_version(major: u32, fields: &Fields) -> Fields {
    if major >= 18 {
        return fields.clone();
    }
    let storable = fields
        .iter()
        .any(|(name, value)| name == "is_storable" && *value == FieldValue::Bool(true));
    fields
        .iter()
        .filter(|(name, _)| name != "is_storable")
        .map(|(name, value)| match name.as_str() {
            "type" if storable => ("detailed_type".to_owned(), FieldValue::Text("product".to_owned())),
            "type" => ("detailed_type".to_owned(), value.clone()),
            _ => (name.clone(), value.clone()),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odoo_17_knows_storable_products_by_another_field() {
        let fields = vec![
            ("type".to_owned(), FieldValue::Text("consu".to_owned())),
            ("is_storable".to_owned(), FieldValue::Bool(true)),
        ];
        assert_eq!(by_version(18, &fields), fields);
        let expected = vec![("detailed_type".to_owned(), FieldValue::Text("product".to_owned()))];
        assert_eq!(by_version(17, &fields), expected);
    }
}
