//! Variants: which of Odoo's is which of ours, and what is written on each.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{Odoo, record, records, same, text, value};
use crate::domain::{ErpId, FieldValue, Fields, ShopifyId};
use crate::erp::odoo::load::{self, Batch};
use crate::erp::{ErpError, ErpVariant, FieldTable, VariantSave};

const VARIANT: &str = "product.product";
const LINE_VALUE: &str = "product.template.attribute.value";

/// The field of both that names their template.
const TEMPLATE_OF: &str = "product_tmpl_id";

/// A variant with everything that was read of it.
pub(in crate::erp::odoo) struct Known {
    pub(in crate::erp::odoo) id: ErpId,
    pub(in crate::erp::odoo) active: bool,
    pub(in crate::erp::odoo) options: Vec<(String, String)>,
    pub(in crate::erp::odoo) row: Value,
}

impl Odoo {
    pub(in crate::erp::odoo) async fn read_variants(
        &self,
        template: ErpId,
    ) -> Result<Vec<ErpVariant>, ErpError> {
        let known = self.known_variants(template, &[]).await?;
        let variant = |known: Known| ErpVariant {
            id: known.id,
            sku: text(&known.row["default_code"]),
            barcode: text(&known.row["barcode"]),
            options: known.options,
        };
        Ok(known
            .into_iter()
            .filter(|known| known.active)
            .map(variant)
            .collect())
    }

    /// All variants of a template, archived ones last, with the values that they stand for.
    pub(in crate::erp::odoo) async fn known_variants(
        &self,
        template: ErpId,
        more: &[String],
    ) -> Result<Vec<Known>, ErpError> {
        let rows = self.variant_rows(&[template], more).await?;
        let values = self.variant_values(&[template]).await?;
        Ok(read_known(rows, &values))
    }

    /// All variants of a template, to find the wanted ones among them: what they stand for is asked only where one is not
    /// linked or not there any more.
    pub(super) async fn variants_for(
        &self,
        wanted: &[VariantSave],
        template: ErpId,
        more: &[String],
    ) -> Result<Vec<Known>, ErpError> {
        let rows = self.variant_rows(&[template], more).await?;
        let there: BTreeSet<ErpId> = rows.iter().filter_map(|row| record(&row["id"])).collect();
        let is_there = |variant: &VariantSave| variant.existing.is_some_and(|id| there.contains(&id));
        let values = if wanted.iter().all(is_there) {
            Vec::new()
        } else {
            self.variant_values(&[template]).await?
        };
        Ok(read_known(rows, &values))
    }

    /// All variants of many templates, in two calls: of each template its own.
    pub(in crate::erp::odoo) async fn known_variants_of(
        &self,
        templates: &[ErpId],
        more: &[String],
    ) -> Result<BTreeMap<ErpId, Vec<Known>>, ErpError> {
        let rows = self.variant_rows(templates, more).await?;
        let values = self.variant_values(templates).await?;
        let mut of: BTreeMap<ErpId, (Vec<Value>, Vec<Value>)> = BTreeMap::new();
        for row in rows {
            if let Some(template) = record(&row[TEMPLATE_OF]) {
                of.entry(template).or_default().0.push(row);
            }
        }
        for value in values {
            if let Some(template) = record(&value[TEMPLATE_OF]) {
                of.entry(template).or_default().1.push(value);
            }
        }
        let known = of
            .into_iter()
            .map(|(template, (rows, values))| (template, read_known(rows, &values)));
        Ok(known.collect())
    }

    /// The rows of variants, archived ones too.
    async fn variant_rows(&self, templates: &[ErpId], more: &[String]) -> Result<Vec<Value>, ErpError> {
        let mut fields = vec![
            TEMPLATE_OF,
            "default_code",
            "barcode",
            "active",
            "product_template_attribute_value_ids",
        ];
        let extra = more.iter().map(String::as_str);
        let extra: Vec<&str> = extra.filter(|name| !fields.contains(name)).collect();
        fields.extend(extra);
        self.rows_of_owners(VARIANT, TEMPLATE_OF, templates, &fields, true)
            .await
    }

    /// The values that tell the variants of templates apart.
    async fn variant_values(&self, templates: &[ErpId]) -> Result<Vec<Value>, ErpError> {
        let fields = [TEMPLATE_OF, "attribute_id", "product_attribute_value_id", "name"];
        self.rows_of_owners(LINE_VALUE, TEMPLATE_OF, templates, &fields, false)
            .await
    }

    /// Writes the fields of variants that differ, in one call for each set of fields.
    pub(super) async fn write_variants(
        &self,
        wanted: &[VariantSave],
        ids: &[ErpId],
        there: &[Known],
    ) -> Result<(), ErpError> {
        let table = self.table(VARIANT).await?;
        let major = self.major().await?;
        let mut batches: Vec<Batch> = Vec::new();
        for (index, (variant, id)) in wanted.iter().zip(ids).enumerate() {
            let row = there.iter().find(|known| known.id == *id).map(|known| &known.row);
            let changed: Fields = variant
                .fields
                .iter()
                .filter(|(name, value)| {
                    row.is_none_or(|row| !same_as_read(&table, name, &row[name.as_str()], value))
                })
                .cloned()
                .collect();
            if changed.is_empty() {
                continue;
            }
            let cells = load::cells(major, VARIANT, &table, &changed)?;
            let columns: Vec<String> = std::iter::once(".id".to_owned())
                .chain(cells.keys().cloned())
                .collect();
            let row: Vec<String> = std::iter::once(id.to_string())
                .chain(cells.into_values())
                .collect();
            match batches.iter_mut().find(|batch| batch.columns == columns) {
                Some(batch) => {
                    batch.rows.push(row);
                    batch.saves.push(index);
                }
                None => batches.push(Batch {
                    model: VARIANT.to_owned(),
                    columns,
                    rows: vec![row],
                    saves: vec![index],
                }),
            }
        }
        for batch in &batches {
            self.load(batch).await?;
        }
        Ok(())
    }
}

/// Variants with their option values, archived ones last. Odoo does not list the value of an option that has only one for the whole
/// template, so it is filled in.
fn read_known(rows: Vec<Value>, values: &[Value]) -> Vec<Known> {
    // Of each value: its id, its attribute's id and name, its own name.
    let values: Vec<(ErpId, ErpId, String, String)> = values
        .iter()
        .filter_map(|row| {
            let attribute = &row["attribute_id"];
            let shown = text(&row["product_attribute_value_id"][1])?;
            let option = text(&attribute[1])?;
            // Shown as `Size: M` or as `M`, depending on the context; `name` is the plain one.
            let name = text(&row["name"]).unwrap_or_else(|| {
                let plain = shown.strip_prefix(&format!("{option}: "));
                plain.unwrap_or(&shown).to_owned()
            });
            Some((record(&row["id"])?, record(attribute)?, option, name))
        })
        .collect();
    let only = |attribute: ErpId| values.iter().filter(|(_, of, ..)| *of == attribute).count() == 1;
    let known = rows.into_iter().filter_map(|row| {
        let own = records(&row["product_template_attribute_value_ids"])?;
        let options = values
            .iter()
            .filter(|(id, attribute, ..)| own.contains(id) || only(*attribute))
            .map(|(_, _, option, value)| (option.clone(), value.clone()))
            .collect();
        Some(Known {
            id: record(&row["id"])?,
            active: row["active"] != false,
            options,
            row,
        })
    });
    let mut known: Vec<Known> = known.collect();
    known.sort_by_key(|variant| !variant.active);
    known
}

/// The ERP variant of each wanted one: the linked one when it is still there, else the one with the same option values.
pub(super) fn match_variants(wanted: &[VariantSave], there: &[Known]) -> Result<Vec<ErpId>, ErpError> {
    let mut taken: Vec<ErpId> = wanted
        .iter()
        .filter_map(|variant| variant.existing)
        .filter(|id| there.iter().any(|known| known.id == *id))
        .collect();
    let mut pairs = Vec::with_capacity(wanted.len());
    for variant in wanted {
        if let Some(id) = variant.existing.filter(|id| taken.contains(id)) {
            pairs.push(id);
            continue;
        }
        let found = there
            .iter()
            .find(|known| !taken.contains(&known.id) && same_options(&known.options, &variant.options));
        let Some(found) = found else {
            return Err(no_counterpart(variant.id, &variant.options));
        };
        taken.push(found.id);
        pairs.push(found.id);
    }
    Ok(pairs)
}

fn no_counterpart(variant: ShopifyId, options: &[(String, String)]) -> ErpError {
    let options: Vec<String> = options
        .iter()
        .map(|(name, value)| format!("{name}: {value}"))
        .collect();
    ErpError::Rejected {
        model: VARIANT.to_owned(),
        method: "match".to_owned(),
        message: format!(
            "Odoo has no variant for {} (Shopify's variant {variant}); an exclusion or another option on the product may \
             be the reason",
            if options.is_empty() {
                "the only variant".to_owned()
            } else {
                options.join(", ")
            }
        ),
    }
}

/// Whether two sets of option values are the same, in any order.
fn same_options(a: &[(String, String)], b: &[(String, String)]) -> bool {
    let sorted = |options: &[(String, String)]| {
        let mut options: Vec<(String, String)> = options
            .iter()
            .map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
            .collect();
        options.sort();
        options
    };
    sorted(a) == sorted(b)
}

fn same_as_read(table: &FieldTable, name: &str, raw: &Value, wanted: &FieldValue) -> bool {
    let kind = table.0.get(name).map_or("", |info| info.kind.as_str());
    value::decode(kind, raw).is_ok_and(|now| same(&now, wanted))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn options(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs
            .iter()
            .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()))
            .collect()
    }

    fn known(id: i64, pairs: &[(&str, &str)]) -> Known {
        Known {
            id: ErpId(id),
            active: true,
            options: options(pairs),
            row: Value::Null,
        }
    }

    fn wanted(id: u64, existing: Option<i64>, pairs: &[(&str, &str)]) -> VariantSave {
        VariantSave {
            id: ShopifyId(id),
            existing: existing.map(ErpId),
            options: options(pairs),
            fields: Fields::new(),
        }
    }

    #[test]
    fn variants_are_matched_by_link_then_by_option_values() {
        let there = [
            known(1, &[("Size", "S"), ("Colour", "red")]),
            known(2, &[("Size", "M"), ("Colour", "red")]),
            known(3, &[("Size", "L"), ("Colour", "red")]),
        ];
        let m = [("Colour", "red"), ("Size", "M ")];
        let s = [("Size", "S"), ("Colour", "red")];
        for (name, wanted, expected) in [
            (
                "by options, in any order",
                vec![wanted(10, None, &m), wanted(11, None, &s)],
                Some(vec![2, 1]),
            ),
            ("the link wins", vec![wanted(10, Some(3), &m)], Some(vec![3])),
            (
                "a link that is gone",
                vec![wanted(10, Some(9), &m)],
                Some(vec![2]),
            ),
            (
                "a linked one is not given away",
                vec![wanted(10, None, &m), wanted(11, Some(2), &s)],
                None,
            ),
            (
                "nothing fits",
                vec![wanted(10, None, &[("Size", "XL"), ("Colour", "red")])],
                None,
            ),
        ] {
            let pairs = match_variants(&wanted, &there).ok();
            assert_eq!(
                pairs,
                expected.map(|ids| ids.into_iter().map(ErpId).collect()),
                "{name}"
            );
        }
    }

    #[test]
    fn an_option_with_one_value_counts_although_odoo_does_not_list_it() {
        let values = [
            json!({"id": 1, "attribute_id": [5, "Size"], "product_attribute_value_id": [50, "Size: S"], "name": "S"}),
            json!({"id": 2, "attribute_id": [5, "Size"], "product_attribute_value_id": [51, "Size: M"]}),
            json!({"id": 3, "attribute_id": [6, "Material"], "product_attribute_value_id": [60, "Wool"]}),
        ];
        let rows = vec![json!({"id": 9, "active": true, "product_template_attribute_value_ids": [2]})];
        let known = read_known(rows, &values);
        assert!(same_options(
            &known[0].options,
            &options(&[("Size", "M"), ("Material", "Wool")])
        ));
    }
}
