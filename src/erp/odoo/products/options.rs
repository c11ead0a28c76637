//! Options of the shop as attributes of Odoo, and the lines by which a template lists them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use moka::future::Cache;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{Odoo, nonsense, record, records, text};
use crate::domain::{ErpId, ExternalId, FieldValue};
use crate::erp::{ErpError, Save};
use crate::telemetry::calls;

const ATTRIBUTE: &str = "product.attribute";
const ATTRIBUTE_VALUE: &str = "product.attribute.value";
pub(super) const LINE: &str = "product.template.attribute.line";

/// The field of a value that names its attribute.
const ATTRIBUTE_OF: &str = "attribute_id";

/// How long an attribute is remembered with its values. Most products of a shop have the same few options.
const KEPT: Duration = Duration::from_mins(1);

/// What was seen lately. What was removed from Odoo since is refused there, and with the refusal all of this is forgotten.
#[derive(Debug)]
pub(in crate::erp::odoo) struct Options {
    /// Attributes, by their names.
    seen: Cache<String, Arc<Seen>>,
    /// What stands for options that products of an import have. Many have the same at the same time: one asks for them and makes
    /// them, and the others are told.
    of_imports: Cache<Vec<Choice>, Vec<Attribute>>,
}

/// An option of the shop with its values, by their names.
type Choice = (String, Vec<String>);

/// An attribute that is there.
#[derive(Debug)]
struct Seen {
    id: ErpId,
    /// Its values by their names.
    values: BTreeMap<String, ErpId>,
}

/// Of each attribute its values by their names.
type Values = BTreeMap<ErpId, BTreeMap<String, ErpId>>;

impl Options {
    pub(in crate::erp::odoo) fn new() -> Self {
        Self {
            seen: Cache::builder().max_capacity(1_000).time_to_live(KEPT).build(),
            of_imports: Cache::builder().max_capacity(1_000).time_to_live(KEPT).build(),
        }
    }

    pub(in crate::erp::odoo) fn forget(&self) {
        self.seen.invalidate_all();
        self.of_imports.invalidate_all();
    }

    /// What was seen of these options, of each in its place.
    async fn seen(&self, options: &[Choice]) -> Vec<Option<Arc<Seen>>> {
        let mut seen = Vec::with_capacity(options.len());
        for (name, _) in options {
            seen.push(self.seen.get(name).await);
        }
        seen
    }

    async fn note(&self, options: &[Choice], seen: Vec<Option<Arc<Seen>>>) {
        for ((name, _), known) in options.iter().zip(seen) {
            if let Some(known) = known {
                self.seen.insert(name.clone(), known).await;
            }
        }
    }
}

/// An option of the shop as an attribute of Odoo.
#[derive(Clone, Debug)]
pub(super) struct Attribute {
    pub(super) name: String,
    pub(super) id: ErpId,
    pub(super) values: Vec<ErpId>,
}

impl Odoo {
    /// The commands that add to a template the options and values that it lacks.
    pub(super) async fn missing_options(
        &self,
        template: ErpId,
        attributes: &[Attribute],
    ) -> Result<Vec<Value>, ErpError> {
        let domain = vec![json!(["product_tmpl_id", "=", template.0])];
        let lines = self
            .search_read(LINE, domain, &["attribute_id", "value_ids"], None, false)
            .await?;
        let mut commands = Vec::new();
        let foreign = lines.iter().find(|line| {
            let id = record(&line["attribute_id"]);
            attributes.iter().all(|attribute| Some(attribute.id) != id)
        });
        for attribute in attributes {
            let line = lines
                .iter()
                .find(|line| record(&line["attribute_id"]) == Some(attribute.id));
            match (line, foreign) {
                // Named in another way there: an option beside it would multiply the variants.
                (None, Some(foreign)) => {
                    return Err(ErpError::Rejected {
                        model: LINE.to_owned(),
                        method: "match".to_owned(),
                        message: format!(
                            "the product has the option {} where Shopify has {}; give both the same name, or add the new value in the ERP by hand",
                            foreign["attribute_id"][1].as_str().unwrap_or("?"),
                            attribute.name
                        ),
                    });
                }
                (None, None) => commands.push(json!([0, 0, {
                    "attribute_id": attribute.id.0,
                    "value_ids": [[6, 0, attribute.values.iter().map(|id| id.0).collect::<Vec<_>>()]],
                }])),
                (Some(line), _) => {
                    let there = records(&line["value_ids"]).unwrap_or_default();
                    let additions: Vec<Value> = attribute
                        .values
                        .iter()
                        .filter(|value| !there.contains(value))
                        .map(|value| json!([4, value.0]))
                        .collect();
                    if !additions.is_empty() {
                        commands.push(json!([1, line["id"], {"value_ids": additions}]));
                    }
                }
            }
        }
        Ok(commands)
    }

    /// The attributes and values for a product's options: found by exact name, made when missing.
    pub(super) async fn attributes(
        &self,
        product: &ExternalId,
        options: &[Choice],
    ) -> Result<Vec<Attribute>, ErpError> {
        if options.is_empty() {
            return Ok(Vec::new());
        }
        if let Some(attributes) = chosen(options, &self.options.seen(options).await) {
            return Ok(attributes);
        }
        let find_or_make = Box::pin(self.find_or_make(product, options));
        if !calls::gives_way() {
            return find_or_make.await;
        }
        let told = self
            .options
            .of_imports
            .try_get_with(options.to_vec(), find_or_make);
        told.await.map_err(|error: Arc<ErpError>| ErpError::clone(&error))
    }

    async fn find_or_make(
        &self,
        product: &ExternalId,
        options: &[Choice],
    ) -> Result<Vec<Attribute>, ErpError> {
        let names: Vec<&str> = options.iter().map(|(name, _)| name.as_str()).collect();
        let mut by_name = self.attributes_named(&names).await?;
        self.make_attributes(product, &names, &mut by_name).await?;
        let mut values = self.values_of(by_name.values().copied().collect()).await?;
        self.make_values(product, options, &by_name, &mut values).await?;
        let known = |(name, _): &Choice| {
            let id = *by_name.get(name)?;
            let values = values.get(&id).cloned().unwrap_or_default();
            Some(Arc::new(Seen { id, values }))
        };
        let known: Vec<_> = options.iter().map(known).collect();
        let attributes = chosen(options, &known)
            .ok_or_else(|| nonsense(ATTRIBUTE, "load", "an option is missing after it was made"))?;
        self.options.note(options, known).await;
        Ok(attributes)
    }

    /// The attributes with these names, of several with one name the oldest.
    async fn attributes_named(&self, names: &[&str]) -> Result<BTreeMap<String, ErpId>, ErpError> {
        let domain = vec![json!(["create_variant", "=", "always"])];
        let texts = names.iter().map(|name| json!(name)).collect();
        let rows = self
            .rows_of_texts(ATTRIBUTE, "name", texts, domain, &["name"], None)
            .await?;
        let mut by_name = BTreeMap::new();
        for row in &rows {
            if let (Some(name), Some(id)) = (text(&row["name"]), record(&row["id"])) {
                by_name.entry(name).or_insert(id);
            }
        }
        Ok(by_name)
    }

    /// The values of these attributes, of several with one name the oldest.
    async fn values_of(&self, attributes: Vec<ErpId>) -> Result<Values, ErpError> {
        let fields = ["name", ATTRIBUTE_OF];
        let rows = self
            .rows_of_owners(ATTRIBUTE_VALUE, ATTRIBUTE_OF, &attributes, &fields, false)
            .await?;
        let mut values = Values::new();
        for row in &rows {
            let (name, of, id) = (text(&row["name"]), record(&row[ATTRIBUTE_OF]), record(&row["id"]));
            if let (Some(name), Some(of), Some(id)) = (name, of, id) {
                values.entry(of).or_default().entry(name).or_insert(id);
            }
        }
        Ok(values)
    }

    async fn make_attributes(
        &self,
        product: &ExternalId,
        names: &[&str],
        by_name: &mut BTreeMap<String, ErpId>,
    ) -> Result<(), ErpError> {
        let mut saves = Vec::new();
        let mut made = Vec::new();
        for name in names {
            if by_name.contains_key(*name) {
                continue;
            }
            let id = key(product, "attribute", &[name])?;
            // Renamed by a person since we made it: theirs is the better name, and it stays.
            if let Some(found) = self.resolve(&id).await? {
                by_name.insert((*name).to_owned(), found.id);
                continue;
            }
            let fields = vec![
                ("name".to_owned(), FieldValue::Text((*name).to_owned())),
                ("create_variant".to_owned(), FieldValue::Text("always".to_owned())),
            ];
            saves.push(Save {
                model: ATTRIBUTE.to_owned(),
                external_id: id,
                fields,
                lines: None,
            });
            made.push((*name).to_owned());
        }
        if !saves.is_empty() {
            by_name.extend(made.into_iter().zip(self.load_all(&saves).await?));
        }
        Ok(())
    }

    async fn make_values(
        &self,
        product: &ExternalId,
        options: &[Choice],
        by_name: &BTreeMap<String, ErpId>,
        values: &mut Values,
    ) -> Result<(), ErpError> {
        let mut saves = Vec::new();
        let mut made = Vec::new();
        for (option, wanted) in options {
            let Some(attribute) = by_name.get(option) else {
                continue;
            };
            let there = values.entry(*attribute).or_default();
            for (name, sequence) in wanted.iter().zip(1_i64..) {
                if there.contains_key(name) {
                    continue;
                }
                let id = key(product, "value", &[option, name])?;
                if let Some(found) = self.resolve(&id).await? {
                    there.insert(name.clone(), found.id);
                    continue;
                }
                let fields = vec![
                    ("name".to_owned(), FieldValue::Text(name.clone())),
                    ("attribute_id".to_owned(), FieldValue::Record(*attribute)),
                    ("sequence".to_owned(), FieldValue::Integer(sequence)),
                ];
                saves.push(Save {
                    model: ATTRIBUTE_VALUE.to_owned(),
                    external_id: id,
                    fields,
                    lines: None,
                });
                made.push((*attribute, name.clone()));
            }
        }
        if !saves.is_empty() {
            for ((attribute, name), id) in made.into_iter().zip(self.load_all(&saves).await?) {
                values.entry(attribute).or_default().insert(name, id);
            }
        }
        Ok(())
    }
}

/// The options with the attributes that stand for them and the values that were asked for; none where one is not known.
fn chosen(options: &[Choice], known: &[Option<Arc<Seen>>]) -> Option<Vec<Attribute>> {
    let attribute = |((name, wanted), known): (&Choice, &Option<Arc<Seen>>)| {
        let known = known.as_ref()?;
        let values = wanted.iter().map(|value| known.values.get(value).copied());
        Some(Attribute {
            name: name.clone(),
            id: known.id,
            values: values.collect::<Option<_>>()?,
        })
    };
    options.iter().zip(known).map(attribute).collect()
}

/// The external id of something that is named by texts.
fn key(product: &ExternalId, kind: &str, texts: &[&str]) -> Result<ExternalId, ErpError> {
    let readable: String = texts
        .last()
        .map_or("", |text| text)
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .take(30)
        .collect();
    let name = format!("{kind}_{}_{}", readable.to_lowercase(), digest(texts));
    ExternalId::new(&product.shop, &name).map_err(|error| ErpError::Setup {
        message: error.to_string(),
    })
}

/// A short digest of texts, for names that must be stable and safe.
pub(super) fn digest(texts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for text in texts {
        hash.update(text.len().to_be_bytes());
        hash.update(text.as_bytes());
    }
    hex::encode(&hash.finalize()[..8])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_options_are_stable_safe_and_distinct() {
        let product = ExternalId::new(&"main".parse().unwrap(), "product_1").unwrap();
        let name = |texts: &[&str]| key(&product, "value", texts).unwrap().name;
        assert_eq!(name(&["Größe", "M/L"]), name(&["Größe", "M/L"]));
        assert!(name(&["Größe", "M/L"]).starts_with("value_ml_"));
        assert_ne!(name(&["a", "bc"]), name(&["ab", "c"]));
        assert!(name(&["大きさ", "大"]).starts_with("value__"));
    }
}
