//! The mark that ties a record of the shop to one of the ERP: a metafield of our own whose values are unique.

use serde_json::{Value, json};

use super::refusal::{accepted, incomplete, user_errors};
use crate::domain::{LinkKind, ShopifyId};
use crate::shopify::Shopify;
use crate::shopify::documents::{self, Document};
use crate::shopify::error::ShopifyError;

/// The app's own namespace, which nobody else writes to.
const NAMESPACE: &str = "$app";
const KEY: &str = "erp_ref";
/// The type whose values are unique and by which records are found.
const TYPE: &str = "id";

/// The mark as an input.
pub(super) fn mark(erp_ref: &str) -> Value {
    json!({ "namespace": NAMESPACE, "key": KEY, "type": TYPE, "value": erp_ref })
}

/// GraphQL's type and its name as an owner of metafields.
fn owner(kind: LinkKind) -> Option<(&'static str, &'static str)> {
    match kind {
        LinkKind::Customer => Some(("Customer", "CUSTOMER")),
        LinkKind::Product => Some(("Product", "PRODUCT")),
        LinkKind::Variant => Some(("ProductVariant", "PRODUCTVARIANT")),
        _ => None,
    }
}

impl Shopify {
    /// The customer that carries this name of the ERP's record.
    ///
    /// # Errors
    /// A [`ShopifyError`], whose disposition says what it means.
    pub async fn customer_of_ref(&self, erp_ref: &str) -> Result<Option<ShopifyId>, ShopifyError> {
        self.of_ref(&documents::CUSTOMER_OF_REF, erp_ref).await
    }

    /// The product that carries this name of the ERP's record.
    ///
    /// # Errors
    /// A [`ShopifyError`], whose disposition says what it means.
    pub async fn product_of_ref(&self, erp_ref: &str) -> Result<Option<ShopifyId>, ShopifyError> {
        self.of_ref(&documents::PRODUCT_OF_REF, erp_ref).await
    }

    /// The name of the ERP's record that a product carries; none where it carries none, or is gone.
    ///
    /// # Errors
    /// A [`ShopifyError`], whose disposition says what it means.
    pub async fn ref_of_product(&self, id: ShopifyId) -> Result<Option<String>, ShopifyError> {
        let document = &documents::PRODUCT_REF;
        let data = self
            .client
            .call(document, &json!({ "id": id.gid("Product") }))
            .await?;
        let value = data.pointer("/product/erpRef/value").and_then(Value::as_str);
        Ok(value.map(str::to_owned))
    }

    async fn of_ref(&self, document: &Document, erp_ref: &str) -> Result<Option<ShopifyId>, ShopifyError> {
        let data = match self.client.call(document, &json!({ "value": erp_ref })).await {
            Ok(data) => data,
            // Nobody has defined the mark yet, so nobody carries it.
            Err(ShopifyError::Refused { code, .. }) if code == "NOT_FOUND" => return Ok(None),
            Err(error) => return Err(error),
        };
        match data.pointer("/record/id").and_then(Value::as_str) {
            Some(id) => id
                .parse()
                .map(Some)
                .map_err(|_| incomplete(document, "the record has no number")),
            None => Ok(None),
        }
    }

    /// Writes the name of the ERP's record to the shop's. Other kinds than customers, products and variants carry none.
    ///
    /// # Errors
    /// A [`ShopifyError`]: refused when another record has this name already.
    pub async fn note_erp_ref(
        &self,
        kind: LinkKind,
        id: ShopifyId,
        erp_ref: &str,
    ) -> Result<(), ShopifyError> {
        let Some((name, _)) = owner(kind) else {
            return Ok(());
        };
        self.define_mark(kind).await?;
        let document = &documents::REF_NOTE;
        let mut field = mark(erp_ref);
        field["ownerId"] = json!(id.gid(name));
        let data = self.client.call(document, &json!({ "fields": [field] })).await?;
        accepted(document, &data["metafieldsSet"], &[], "metafields", None)
    }

    /// Sees to it that the mark is defined for a kind of record: only then its values are unique.
    pub(super) async fn define_mark(&self, kind: LinkKind) -> Result<(), ShopifyError> {
        let Some((name, owner_type)) = owner(kind) else {
            return Ok(());
        };
        // Whoever comes meanwhile waits: one definition is enough.
        let mut defined = self.known.definitions.lock().await;
        if defined.contains(name) {
            return Ok(());
        }
        let document = &documents::REF_DEFINE;
        let definition = json!({
            "name": "ERP record",
            "description": "The record of the ERP that this one belongs to, as lockstep names it.",
            "namespace": NAMESPACE,
            "key": KEY,
            "type": TYPE,
            "ownerType": owner_type,
        });
        let data = self
            .client
            .call(document, &json!({ "definition": definition }))
            .await?;
        let payload = &data["metafieldDefinitionCreate"];
        let taken = |code: Option<&str>| code == Some("TAKEN");
        // Somebody, most likely we, defined it before.
        if !user_errors(payload)
            .iter()
            .all(|error| taken(error.code.as_deref()))
        {
            accepted(document, payload, &[], "definition", None)?;
        }
        defined.insert(name);
        Ok(())
    }
}
