//! Products: made whole, changed field by field.

use serde_json::{Value, json};

use super::MOST_PER_CALL;
use super::fields::{PRODUCT, VARIANT, not_writable};
use super::refs::mark;
use super::refusal::{accepted, gone, incomplete, rejected, user_errors};
use super::variants::MOST_VARIANTS;
use crate::domain::{Fields, LinkKind, NewProduct, NewVariant, Product, ShopifyId};
use crate::shopify::documents;
use crate::shopify::error::ShopifyError;
use crate::shopify::{Shopify, normalise};

/// Shopify's limit of options of a product.
const MOST_OPTIONS: usize = 3;
/// What stands for the option and its value where a product has none.
const NO_OPTION: (&str, &str) = ("Title", "Default Title");

impl Shopify {
    /// Makes a product with its variants: one call for the first 250 variants, one for each 250 more. If a product carries
    /// this name of the ERP's record already (an attempt whose answer was lost made it), that one gets these fields and
    /// the variants that it lacks; nothing is taken away from it.
    ///
    /// # Errors
    /// A [`ShopifyError`]. If variants after the first 250 are refused, the message says what was made; a repeat goes on there.
    pub async fn create_product(&self, new: &NewProduct) -> Result<Product, ShopifyError> {
        within_limits(new)?;
        let _written = (self.known.looks).writing(new.variants.iter().map(|variant| &variant.fields));
        let mut input = PRODUCT.input(&new.fields, 0)?;
        self.define_mark(LinkKind::Product).await?;
        let refs: Vec<&NewVariant> = new.variants.iter().collect();
        let mut variants = self.variant_inputs(&refs).await?;
        let plain = new.options.is_empty();
        if plain {
            for variant in &mut variants {
                variant["optionValues"] = json!([{ "optionName": NO_OPTION.0, "name": NO_OPTION.1 }]);
            }
        }
        let more = variants.split_off(variants.len().min(MOST_PER_CALL));
        input["productOptions"] = options(new);
        input["variants"] = Value::Array(variants);
        // Without an identifier this never touches a product that exists: Shopify refuses a second one with this mark.
        input["metafields"] = json!([mark(&new.erp_ref)]);
        let document = &documents::PRODUCT_SET;
        let mut data = self.client.call(document, &json!({ "input": input })).await?;
        let payload = &mut data["productSet"];
        let errors = user_errors(payload);
        if !errors.is_empty() {
            if let Some(id) = self.product_of_ref(&new.erp_ref).await? {
                return self.complete_product(id, new).await;
            }
            let tables = [&VARIANT, &PRODUCT];
            let refusals = errors
                .iter()
                .map(|error| {
                    let of_variant = error.index("variants").is_some();
                    error.refusal(&tables[usize::from(!of_variant)..][..1], "variants", 0)
                })
                .collect();
            return Err(rejected(document, &errors, refusals, None));
        }
        let mut record = payload["product"].take();
        let id: ShopifyId = record["id"]
            .as_str()
            .and_then(|id| id.parse().ok())
            .ok_or_else(|| incomplete(document, "it does not show the product"))?;
        let mut made = MOST_PER_CALL;
        for part in more.chunks(MOST_PER_CALL) {
            let (mut nodes, mut shown) = self.add_variants(id, part, made).await?;
            made += nodes.len();
            if let Some(Value::Array(all)) = record.pointer_mut("/variants/nodes") {
                all.append(&mut nodes);
            }
            for name in ["options", "updatedAt"] {
                record[name] = shown[name].take();
            }
        }
        Ok(normalise::product(record)?)
    }

    /// Gives a product that was found the fields and variants of one that was to be made.
    async fn complete_product(&self, id: ShopifyId, new: &NewProduct) -> Result<Product, ShopifyError> {
        let fields: Fields = new
            .fields
            .iter()
            .filter(|(name, _)| name != "handle")
            .cloned()
            .collect();
        if !fields.is_empty() {
            self.update_product(id, &fields).await?;
        }
        self.create_variants(id, &new.variants).await?;
        self.product(id, "")
            .await?
            .ok_or_else(|| gone(&documents::PRODUCT, "the product"))
    }

    /// Changes fields of a product. Its variants, options, tags and everything else stay. `handle` cannot be changed: it is
    /// part of addresses that others keep.
    ///
    /// # Errors
    /// A [`ShopifyError`].
    pub async fn update_product(&self, id: ShopifyId, fields: &Fields) -> Result<(), ShopifyError> {
        if fields.iter().any(|(name, _)| name == "handle") {
            return Err(not_writable(
                "handle",
                "it is set when a product is made and stays, because addresses contain it".to_owned(),
            ));
        }
        let mut input = PRODUCT.input(fields, 0)?;
        if fields.is_empty() {
            return Ok(());
        }
        input["id"] = json!(id.gid("Product"));
        let document = &documents::PRODUCT_UPDATE;
        let data = self.client.call(document, &json!({ "product": input })).await?;
        accepted(document, &data["productUpdate"], &[&PRODUCT], "variants", None)
    }
}

fn within_limits(new: &NewProduct) -> Result<(), ShopifyError> {
    if new.options.len() > MOST_OPTIONS {
        let reason = format!(
            "it has {} options, Shopify takes {MOST_OPTIONS}",
            new.options.len()
        );
        return Err(not_writable("options", reason));
    }
    if new.variants.len() > MOST_VARIANTS {
        let reason = format!(
            "it has {} variants, Shopify takes {MOST_VARIANTS}",
            new.variants.len()
        );
        return Err(not_writable("variants", reason));
    }
    let plain = new.options.is_empty();
    if new.variants.is_empty() || (plain && new.variants.len() > 1) {
        let reason = format!(
            "{} variants do not fit {} options",
            new.variants.len(),
            new.options.len()
        );
        return Err(not_writable("variants", reason));
    }
    Ok(())
}

fn options(new: &NewProduct) -> Value {
    if new.options.is_empty() {
        return json!([{ "name": NO_OPTION.0, "values": [{ "name": NO_OPTION.1 }] }]);
    }
    let values = |names: &[String]| -> Value { names.iter().map(|name| json!({ "name": name })).collect() };
    new.options
        .iter()
        .enumerate()
        .map(|(at, (name, names))| json!({ "name": name, "position": at + 1, "values": values(names) }))
        .collect()
}
