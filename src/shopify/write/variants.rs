//! Variants: changed and made in bulk.

use serde_json::{Value, json};

use super::MOST_PER_CALL;
use super::fields::{VARIANT, has_decimals, not_writable};
use super::refs::mark;
use super::refusal::{gone, incomplete, rejected, user_errors};
use crate::domain::{
    Currency, Fields, LinkKind, NewVariant, OptionValue, Product, Refusal, ShopifyId, Variant,
};
use crate::shopify::documents;
use crate::shopify::error::ShopifyError;
use crate::shopify::{Shopify, normalise, recent};

/// Shopify's limit of variants of a product.
pub(super) const MOST_VARIANTS: usize = 2048;
/// Decimals of a price where none was given.
const NO_PRICES: u32 = 0;

impl Shopify {
    /// Changes variants of one product, 250 in a call. A variant is changed whole or not at all: those that are refused are
    /// returned with their index, the others are written.
    ///
    /// # Errors
    /// A [`ShopifyError`] when nothing can be told of single variants, e.g. because the product is gone.
    pub async fn update_variants(
        &self,
        product: ShopifyId,
        variants: &[(ShopifyId, Fields)],
    ) -> Result<Vec<Refusal>, ShopifyError> {
        let document = &documents::VARIANTS_UPDATE;
        let _written = (self.known.looks).writing(variants.iter().map(|(_, fields)| fields));
        let decimals = self
            .decimals_for(variants.iter().flat_map(|(_, fields)| fields))
            .await?;
        let mut refusals = Vec::new();
        let mut inputs = Vec::new();
        for (index, (id, fields)) in variants.iter().enumerate() {
            match VARIANT.input(fields, decimals) {
                Ok(mut input) => {
                    input["id"] = json!(id.gid("ProductVariant"));
                    inputs.push((index, input));
                }
                Err(ShopifyError::NotWritable { field, reason }) => refusals.push(Refusal {
                    index: Some(index),
                    field: Some(field),
                    message: reason,
                    code: None,
                }),
                Err(error) => return Err(error),
            }
        }
        let mut before = 0;
        for part in inputs.chunks(MOST_PER_CALL) {
            let list: Vec<&Value> = part.iter().map(|(_, input)| input).collect();
            let variables = json!({ "product": product.gid("Product"), "variants": list });
            let data = self.client.call(document, &variables).await?;
            let errors = user_errors(&data["productVariantsBulkUpdate"]);
            for error in &errors {
                let mut refusal = error.refusal(&[&VARIANT], "variants", 0);
                // The position is that within the call.
                let Some((index, _)) = refusal.index.and_then(|at| part.get(at)) else {
                    let besides = (before > 0).then(|| format!("the first {before} variants are written"));
                    return Err(rejected(document, &errors, vec![refusal], besides.as_deref()));
                };
                refusal.index = Some(*index);
                refusals.push(refusal);
            }
            before += part.len();
        }
        refusals.sort_by_key(|refusal| refusal.index);
        Ok(refusals)
    }

    /// Adds variants to a product, 250 in a call. One whose option values are there already (an attempt whose answer was
    /// lost made it, or somebody else did) gets these fields instead. Returned in the given order.
    ///
    /// # Errors
    /// A [`ShopifyError`]; nothing is removed from the product in any case.
    pub async fn create_variants(
        &self,
        product: ShopifyId,
        variants: &[NewVariant],
    ) -> Result<Vec<Variant>, ShopifyError> {
        let _written = (self.known.looks).writing(variants.iter().map(|variant| &variant.fields));
        let standing = self.product_there(product).await?;
        let mut known: Vec<Option<ShopifyId>> = Vec::new();
        let (mut missing, mut changed) = (Vec::new(), Vec::new());
        for new in variants {
            let found = standing
                .variants
                .iter()
                .find(|v| same_options(&v.options, &new.options));
            known.push(found.map(|v| v.id));
            match found {
                Some(_) if new.fields.is_empty() => {}
                Some(found) => changed.push((found.id, new.fields.clone())),
                None => missing.push(new),
            }
        }
        if standing.variants.len() + missing.len() > MOST_VARIANTS {
            let reason = format!(
                "the product has {} variants and would get {} more: Shopify takes {MOST_VARIANTS}",
                standing.variants.len(),
                missing.len()
            );
            return Err(not_writable("variants", reason));
        }
        let inputs = self.variant_inputs(&missing).await?;
        if !changed.is_empty() {
            let refusals = self.update_variants(product, &changed).await?;
            if !refusals.is_empty() {
                return Err(refused(&refusals));
            }
        }
        let mut made = Vec::new();
        for part in inputs.chunks(MOST_PER_CALL) {
            let (mut nodes, _) = self.add_variants(product, part, made.len()).await?;
            for node in nodes.drain(..) {
                made.push(normalise::variant(&node, standing.options.is_empty())?);
            }
        }
        // What was changed is shown as it is now.
        let standing = if changed.is_empty() {
            standing
        } else {
            self.product_there(product).await?
        };
        let mut made = made.into_iter();
        known
            .into_iter()
            .map(|known| match known {
                Some(id) => standing.variants.iter().find(|v| v.id == id).cloned(),
                None => made.next(),
            })
            .map(|variant| {
                variant.ok_or_else(|| incomplete(&documents::VARIANTS_CREATE, "it does not show a variant"))
            })
            .collect()
    }

    async fn product_there(&self, id: ShopifyId) -> Result<Product, ShopifyError> {
        self.product(id, "")
            .await?
            .ok_or_else(|| gone(&documents::PRODUCT, "the product"))
    }

    /// One call that makes variants: what Shopify shows of them, and of the product. `before` were made already.
    pub(super) async fn add_variants(
        &self,
        product: ShopifyId,
        inputs: &[Value],
        before: usize,
    ) -> Result<(Vec<Value>, Value), ShopifyError> {
        let document = &documents::VARIANTS_CREATE;
        let variables = json!({ "product": product.gid("Product"), "variants": inputs });
        let mut data = self.client.call(document, &variables).await?;
        let payload = &mut data["productVariantsBulkCreate"];
        let errors = user_errors(payload);
        if !errors.is_empty() {
            let refusals = errors
                .iter()
                .map(|error| error.refusal(&[&VARIANT], "variants", before))
                .collect();
            let besides = (before > 0)
                .then(|| format!("the first {before} variants are made, and a retry makes the others"));
            return Err(rejected(document, &errors, refusals, besides.as_deref()));
        }
        let nodes = payload["productVariants"].take();
        let shown = payload["product"].take();
        match nodes {
            Value::Array(nodes) if nodes.len() == inputs.len() => Ok((nodes, shown)),
            _ => Err(incomplete(document, "it does not show all variants")),
        }
    }

    /// New variants as inputs, each with its mark.
    pub(super) async fn variant_inputs(&self, variants: &[&NewVariant]) -> Result<Vec<Value>, ShopifyError> {
        if variants.is_empty() {
            return Ok(Vec::new());
        }
        let decimals = self
            .decimals_for(variants.iter().flat_map(|new| &new.fields))
            .await?;
        self.define_mark(LinkKind::Variant).await?;
        let input = |(index, new): (usize, &&NewVariant)| {
            let mut input = VARIANT
                .input(&new.fields, decimals)
                .map_err(|error| match error {
                    ShopifyError::NotWritable { field, reason } => {
                        not_writable(&format!("variants[{index}].{field}"), reason)
                    }
                    error => error,
                })?;
            let values = new
                .options
                .iter()
                .map(|(option, value)| json!({ "optionName": option, "name": value }));
            input["optionValues"] = values.collect();
            input["metafields"] = json!([mark(&new.erp_ref)]);
            Ok(input)
        };
        variants.iter().enumerate().map(input).collect()
    }

    /// Decimals of the shop's currency; asked once, and only if there is a price that has any.
    async fn decimals_for<'a>(
        &self,
        fields: impl Iterator<Item = &'a (String, crate::domain::FieldValue)>,
    ) -> Result<u32, ShopifyError> {
        if !has_decimals(fields) {
            return Ok(NO_PRICES);
        }
        Ok(self.currency().await?.decimals())
    }

    /// The currency that the shop's prices are in; asked once.
    ///
    /// # Errors
    /// A [`ShopifyError`], whose disposition says what it means.
    pub async fn currency(&self) -> Result<Currency, ShopifyError> {
        // Whoever comes meanwhile waits for the answer.
        let mut known = self.known.currency.lock().await;
        if let Some(known) = *known {
            return Ok(known);
        }
        let codes = recent::currencies(&self.client, crate::shopify::CurrencyChoice::Shop).await?;
        let currency: Option<Currency> = codes.first().and_then(|code| code.parse().ok());
        let currency =
            currency.ok_or_else(|| incomplete(&documents::CHECK, "the shop's currency is no currency"))?;
        *known = Some(currency);
        Ok(currency)
    }
}

/// Refusals of variants that all had to be written.
pub(super) fn refused(refusals: &[Refusal]) -> ShopifyError {
    let texts: Vec<String> = refusals
        .iter()
        .take(5)
        .map(|refusal| {
            let index = refusal
                .index
                .map_or_else(String::new, |i| format!("variants[{i}]"));
            let field = refusal
                .field
                .as_ref()
                .map_or_else(String::new, |f| format!(".{f}"));
            format!("{index}{field}: {}", refusal.message)
        })
        .collect();
    ShopifyError::Rejected {
        operation: documents::VARIANTS_UPDATE.name,
        reason: texts.join("; "),
        code: refusals.iter().find_map(|refusal| refusal.code.clone()),
        refusals: refusals.to_vec(),
        request: crate::shopify::RequestId::default(),
    }
}

/// Whether a variant has just these option values.
fn same_options(have: &[OptionValue], want: &[(String, String)]) -> bool {
    have.len() == want.len()
        && want.iter().all(|(name, value)| {
            have.iter()
                .any(|option| option.name == *name && option.value == *value)
        })
}
