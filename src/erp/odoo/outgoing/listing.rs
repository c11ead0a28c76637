//! Many partners or products at once, for whoever goes through a whole catalogue.

use serde_json::json;

use super::{OF_PARTNER, OF_TEMPLATE, OF_VARIANT, PARTNER, TEMPLATE, VARIANT, product_of};
use crate::domain::{ErpId, ErpProduct, Partner};
use crate::erp::ErpError;
use crate::erp::odoo::Odoo;
use crate::erp::odoo::value::record;

impl Odoo {
    pub(in crate::erp::odoo) async fn read_partners(
        &self,
        ids: &[ErpId],
        extra: &[String],
    ) -> Result<Vec<Partner>, ErpError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let fields = self.present_fields(PARTNER, OF_PARTNER, extra).await?;
        // A search leaves out those that are gone; a reading would fail for all.
        let rows = self.search_read(PARTNER, among(ids), &fields, None, true).await?;
        let mut partners = Vec::with_capacity(rows.len());
        for row in rows {
            partners.push(self.partner_of(row).await?);
        }
        Ok(partners)
    }

    pub(in crate::erp::odoo) async fn read_products(
        &self,
        ids: &[ErpId],
        extra: &[String],
        variant_extra: &[String],
    ) -> Result<Vec<ErpProduct>, ErpError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let fields = self.present_fields(TEMPLATE, OF_TEMPLATE, extra).await?;
        let rows = self
            .search_read(TEMPLATE, among(ids), &fields, None, true)
            .await?;
        let more = self.present_fields(VARIANT, OF_VARIANT, variant_extra).await?;
        let mut variants = self.known_variants_of(ids, &more).await?;
        rows.into_iter()
            .map(|row| {
                let known = record(&row["id"]).and_then(|id| variants.remove(&id));
                product_of(row, known.unwrap_or_default())
            })
            .collect()
    }
}

fn among(ids: &[ErpId]) -> Vec<serde_json::Value> {
    let ids: Vec<i64> = ids.iter().map(|id| id.0).collect();
    vec![json!(["id", "in", ids])]
}
