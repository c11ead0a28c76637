//! Products: the template with its variants in the ERP that stands for a product of the shop.
//!
//! Variants are bound by link. A SKU or bar code only proposes: as long as nothing is linked and the ERP has products with
//! the same SKU or bar code, nothing is made beside what may be the same product; a person decides (or the mapping declares
//! that an exact match is adopted).

use std::collections::BTreeMap;

use serde_json::json;

use super::agree::Agreement;
use super::flow::{Flow, agreed_of, agreement};
use super::stop::Stop;
use crate::domain::{
    Canonical as _, Direction, ErpId, FieldValue, Link, LinkKind, LinkState, Object, Product, ShopifyId,
    System,
};
use crate::erp::{ErpVariant, Find, ProductSave, Row, VariantSave};
use crate::failpoint::{FailPoint, reach};
use crate::mapping::{Mapped, MappedRow};
use crate::sync::settings::Deleted;

/// What a product's job did.
pub(super) struct Synced {
    pub(super) links: Vec<Link>,
    pub(super) name: String,
    pub(super) summary: String,
}

/// The name of the mapping's group that holds the variants.
const VARIANTS: &str = "variants";

/// A product's own job.
pub(super) async fn sync(flow: &Flow<'_>, id: ShopifyId) -> Result<Synced, Stop> {
    let Some(product) = flow.shop.source.product(id).await? else {
        return deleted(flow, id).await;
    };
    reach(FailPoint::SourceFetched).await?;
    let mapping = flow.mapping(Object::Product, Direction::In)?;
    let mapped = flow
        .evaluate(&mapping, &product.fact(), &flow.settings_fact(None))
        .await?;
    reach(FailPoint::Planned).await?;
    let known = Known::read(flow, &product).await?;
    let known = match known.template {
        Some(_) => known,
        None => match identify_or_match(flow, &product, &mapped).await? {
            Some(found) => found,
            None => known,
        },
    };
    write(flow, &product, &mapped, known).await
}

/// What is linked so far.
#[derive(Default)]
struct Known {
    template: Option<Link>,
    variants: BTreeMap<ShopifyId, Link>,
}

impl Known {
    async fn read(flow: &Flow<'_>, product: &Product) -> Result<Self, Stop> {
        let shop = flow.shop;
        let template = shop
            .store
            .links(&shop.name, LinkKind::Product, &[product.id.to_string()])
            .await?;
        let ids: Vec<String> = product
            .variants
            .iter()
            .map(|variant| variant.id.to_string())
            .collect();
        let variants = shop.store.links(&shop.name, LinkKind::Variant, &ids).await?;
        Ok(Self {
            template: template.into_iter().find(|link| link.state != LinkState::Retired),
            variants: variants
                .into_iter()
                .filter(|link| link.state != LinkState::Retired)
                .filter_map(|link| Some((link.source_id.parse().ok()?, link)))
                .collect(),
        })
    }
}

/// The product's template where an earlier attempt made it without saying so, or where it may be adopted.
async fn identify_or_match(
    flow: &Flow<'_>,
    product: &Product,
    mapped: &Mapped,
) -> Result<Option<Known>, Stop> {
    let shop = flow.shop;
    if let Some(found) = shop.erp.identify(&flow.external_id(&mapped.external_id)?).await? {
        let link = link(
            flow,
            LinkKind::Product,
            product.id,
            &mapped.model,
            found.id,
            LinkState::Linked,
        );
        return Ok(Some(Known {
            template: Some(link),
            variants: BTreeMap::new(),
        }));
    }
    let candidates = candidates(flow, mapped).await?;
    if candidates.is_empty() {
        return Ok(None);
    }
    if mapped.adopt_exact
        && let Some(known) = exact(flow, product, mapped, &candidates).await?
    {
        let mut links: Vec<Link> = known.variants.values().cloned().collect();
        links.extend(known.template.clone());
        flow.commit_links(links).await?;
        reach(FailPoint::LinkAdopted).await?;
        flow.note(
            "adopted",
            json!({ "model": mapped.model, "id": known.template.as_ref().map(|link| link.erp_id) }),
        );
        return Ok(Some(known));
    }
    let shown: Vec<String> = candidates
        .iter()
        .map(|found| format!("{} ({})", found.variant, found.by))
        .collect();
    let mut problem = flow.subject.problem(
        "product_match_proposed",
        "",
        format!(
            "The ERP has products that may be this one ({}), and nothing is linked yet.",
            shown.join(", ")
        ),
        "If they are the same, declare `adopt = \"exact\"` in product.in.toml (every SKU then matches exactly one variant of one product); if not, give the ERP's product another SKU. Then retry.",
    );
    problem.field = Some("sku".into());
    problem.detail = json!({ "candidates": shown });
    Err(problem.into())
}

/// An ERP variant that may be one of ours.
struct Candidate {
    ours: ShopifyId,
    variant: ErpId,
    template: Option<ErpId>,
    by: String,
}

async fn candidates(flow: &Flow<'_>, mapped: &Mapped) -> Result<Vec<Candidate>, Stop> {
    let mut found = Vec::new();
    let Some(group) = mapped.group(VARIANTS) else {
        return Ok(found);
    };
    for row in &group.rows {
        let Ok(ours) = row.key.parse::<ShopifyId>() else {
            continue;
        };
        for key in &row.match_keys {
            let find = Find {
                model: group.model.clone(),
                equal: key.equal.clone(),
                fields: vec!["product_tmpl_id".into()],
                limit: 3,
            };
            let by = key
                .equal
                .iter()
                .map(|(name, value)| format!("{name} {value}"))
                .collect::<Vec<_>>()
                .join(", ");
            for held in flow.shop.erp.find(&find).await? {
                let template = match held.fields.get("product_tmpl_id") {
                    Some(FieldValue::Record(id)) => Some(*id),
                    _ => None,
                };
                found.push(Candidate {
                    ours,
                    variant: held.id,
                    template,
                    by: by.clone(),
                });
            }
            if found.len() >= 20 {
                return Ok(found);
            }
        }
    }
    Ok(found)
}

/// The adoption in which every variant of ours has exactly one candidate, all of one template, with none left over.
async fn exact(
    flow: &Flow<'_>,
    product: &Product,
    mapped: &Mapped,
    candidates: &[Candidate],
) -> Result<Option<Known>, Stop> {
    let Some(template) = candidates.first().and_then(|candidate| candidate.template) else {
        return Ok(None);
    };
    let mut pairs: BTreeMap<ShopifyId, ErpId> = BTreeMap::new();
    for candidate in candidates {
        if candidate.template != Some(template)
            || pairs
                .insert(candidate.ours, candidate.variant)
                .is_some_and(|other| other != candidate.variant)
        {
            return Ok(None);
        }
    }
    let theirs: Vec<ErpVariant> = flow.shop.erp.variants(template).await?;
    if pairs.len() != product.variants.len() || theirs.len() != pairs.len() {
        return Ok(None);
    }
    let group_model = mapped
        .group(VARIANTS)
        .map_or("product.product", |group| group.model.as_str());
    Ok(Some(Known {
        template: Some(link(
            flow,
            LinkKind::Product,
            product.id,
            &mapped.model,
            template,
            LinkState::Adopted,
        )),
        variants: pairs
            .into_iter()
            .map(|(ours, theirs)| {
                (
                    ours,
                    link(
                        flow,
                        LinkKind::Variant,
                        ours,
                        group_model,
                        theirs,
                        LinkState::Adopted,
                    ),
                )
            })
            .collect(),
    }))
}

/// Writes what differs and binds every variant.
async fn write(flow: &Flow<'_>, product: &Product, mapped: &Mapped, known: Known) -> Result<Synced, Stop> {
    let shop = flow.shop;
    let group = mapped.group(VARIANTS);
    let variant_model = group
        .map_or("product.product", |group| group.model.as_str())
        .to_owned();
    let rows: BTreeMap<ShopifyId, &MappedRow> = group
        .map(|group| {
            group
                .rows
                .iter()
                .filter_map(|row| Some((row.key.parse().ok()?, row)))
                .collect()
        })
        .unwrap_or_default();

    let existing = known.template.as_ref().map(|link| link.erp_id);
    let template_agreed = known.template.as_ref().map(agreed_of).unwrap_or_default();
    let template_writes = match existing {
        None => all_of(&mapped.fields),
        Some(id) => {
            flow.lock(System::Erp, &mapped.model, &id.to_string()).await?;
            let held = read_one(flow, &mapped.model, id, &targets(&mapped.fields)).await?;
            flow.changes(&mapped.fields, &template_agreed, &held)?
        }
    };
    let mut variant_saves = Vec::new();
    let mut variant_agreed: BTreeMap<ShopifyId, Agreement> = BTreeMap::new();
    let held_variants = read_variants(flow, &variant_model, &known, &rows).await?;
    let mut all_bound = true;
    let mut changed = existing.is_none() || !template_writes.is_empty();
    for variant in &product.variants {
        let row = rows.get(&variant.id);
        let link = known.variants.get(&variant.id);
        let agreed = link.map(agreed_of).unwrap_or_default();
        let fields = match (row, link.and_then(|link| held_variants.get(&link.erp_id))) {
            (None, _) => Vec::new(),
            (Some(row), None) => all_of(&row.fields),
            (Some(row), Some(held)) => flow.changes(&row.fields, &agreed, held)?,
        };
        all_bound &= link.is_some();
        changed |= !fields.is_empty();
        variant_agreed.insert(variant.id, agreed);
        variant_saves.push(VariantSave {
            id: variant.id,
            existing: link.map(|link| link.erp_id),
            options: variant
                .options
                .iter()
                .map(|option| (option.name.clone(), option.value.clone()))
                .collect(),
            fields,
        });
    }
    let summary = match (existing, changed || !all_bound) {
        (None, _) => "created the product",
        (Some(_), true) => "updated the product",
        (Some(_), false) => "product is up to date",
    };
    let (template, bound) = if changed || !all_bound {
        let save = ProductSave {
            external_id: flow.external_id(&mapped.external_id)?,
            existing,
            fields: template_writes,
            options: product
                .options
                .iter()
                .map(|option| (option.name.clone(), option.values.clone()))
                .collect(),
            variants: variant_saves,
        };
        flow.note(
            "saved",
            json!({ "model": mapped.model, "fields": names(&save.fields), "variants": save.variants.len() }),
        );
        let saved = flow.write(shop.erp.save_product(&save)).await?;
        reach(FailPoint::RecordSaved).await?;
        (saved.template, saved.variants)
    } else {
        let bound = known
            .variants
            .iter()
            .map(|(ours, link)| (*ours, link.erp_id))
            .collect();
        (existing.unwrap_or(ErpId(0)), bound)
    };

    let mut links = Vec::new();
    let held = read_one(flow, &mapped.model, template, &targets(&mapped.fields)).await?;
    let mut product_link = link(
        flow,
        LinkKind::Product,
        product.id,
        &mapped.model,
        template,
        LinkState::Linked,
    );
    product_link.source_updated_at = Some(product.updated_at);
    product_link.agreed = to_json(agreement(&mapped.fields, Some(&held), &template_agreed));
    links.push(product_link);
    for (ours, theirs) in bound {
        let mut variant_link = link(
            flow,
            LinkKind::Variant,
            ours,
            &variant_model,
            theirs,
            LinkState::Linked,
        );
        variant_link.source_updated_at = Some(product.updated_at);
        if let Some(row) = rows.get(&ours) {
            let before = variant_agreed.remove(&ours).unwrap_or_default();
            variant_link.agreed = to_json(agreement(&row.fields, held_variants.get(&theirs), &before));
        }
        links.push(variant_link);
    }
    Ok(Synced {
        links,
        name: product.title.clone(),
        summary: summary.to_owned(),
    })
}

async fn read_one(flow: &Flow<'_>, model: &str, id: ErpId, fields: &[String]) -> Result<Row, Stop> {
    let rows = flow.shop.erp.read(model, &[id], fields).await?;
    rows.into_iter().next().ok_or_else(|| {
        flow.subject
            .problem(
                "erp_record_missing",
                model,
                format!("The product {id} does not exist any more in the ERP."),
                "Restore it in the ERP, then retry.",
            )
            .into()
    })
}

/// The linked variants as the ERP holds them, in one call.
async fn read_variants(
    flow: &Flow<'_>,
    model: &str,
    known: &Known,
    rows: &BTreeMap<ShopifyId, &MappedRow>,
) -> Result<BTreeMap<ErpId, Row>, Stop> {
    let ids: Vec<ErpId> = known.variants.values().map(|link| link.erp_id).collect();
    let Some(row) = rows.values().next() else {
        return Ok(BTreeMap::new());
    };
    if ids.is_empty() {
        return Ok(BTreeMap::new());
    }
    let read = flow.shop.erp.read(model, &ids, &targets(&row.fields)).await?;
    Ok(read.into_iter().map(|row| (row.id, row)).collect())
}

async fn deleted(flow: &Flow<'_>, id: ShopifyId) -> Result<Synced, Stop> {
    let shop = flow.shop;
    let links = shop
        .store
        .links(&shop.name, LinkKind::Product, &[id.to_string()])
        .await?;
    let Some(link) = links.into_iter().find(|link| link.state != LinkState::Retired) else {
        return Err(flow.nothing_to_do("deleted_before_import"));
    };
    match shop.settings.deleted_products {
        Deleted::Ignore => {}
        Deleted::Archive => {
            flow.write(shop.erp.set_active(&link.model, link.erp_id, false))
                .await?;
        }
        Deleted::Problem => {
            return Err(flow
                .subject
                .problem(
                    "product_deleted",
                    "",
                    format!(
                        "The product was deleted on Shopify; {} is still there in the ERP.",
                        link.erp_id
                    ),
                    "Archive the product in the ERP or keep it, then discard this job.",
                )
                .into());
        }
    }
    let link = Link {
        state: LinkState::Retired,
        ..link
    };
    Ok(Synced {
        links: vec![link],
        name: id.to_string(),
        summary: "the product was deleted on Shopify".to_owned(),
    })
}

fn link(
    flow: &Flow<'_>,
    kind: LinkKind,
    ours: ShopifyId,
    model: &str,
    erp_id: ErpId,
    state: LinkState,
) -> Link {
    Link {
        shop: flow.shop.name.clone(),
        kind,
        source_id: ours.to_string(),
        model: model.to_owned(),
        erp_id,
        erp_name: None,
        state,
        source_updated_at: None,
        agreed: serde_json::Value::Null,
    }
}

fn all_of(fields: &[crate::mapping::MappedField]) -> Vec<(String, FieldValue)> {
    fields
        .iter()
        .map(|field| (field.target.clone(), field.value.clone()))
        .collect()
}

/// The fields to compare and agree on: those that are written only at creation are never looked at again (and some of them
/// exist in some versions only).
fn targets(fields: &[crate::mapping::MappedField]) -> Vec<String> {
    fields
        .iter()
        .filter(|field| !field.create_only)
        .map(|field| field.target.clone())
        .collect()
}

fn names(fields: &[(String, FieldValue)]) -> Vec<&str> {
    fields.iter().map(|(name, _)| name.as_str()).collect()
}

fn to_json(agreement: Agreement) -> serde_json::Value {
    serde_json::to_value(agreement).unwrap_or_default()
}
