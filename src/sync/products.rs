//! Products: the template with its variants in the ERP that stands for a product of the shop. Variants are bound by link;
//! how a product without one is found is said in `matching`.

mod held;
mod matching;
mod settle;
pub(super) mod standing;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;

use super::agree::Agreement;
use super::flow::{Flow, agreed_of};
use super::resync::{of_variant, written_product};
use super::stop::Stop;
use super::{both, circles, gone, telling};
use crate::domain::{
    Canonical as _, Direction, ErpAbout, ErpId, FieldValue, Happening, Link, LinkKind, LinkState, Object,
    Product, ShopifyId, System,
};
use crate::erp::{ProductSave, Row, VariantSave};
use crate::failpoint::{FailPoint, reach};
use crate::mapping::{Mapped, MappedRow, VARIANTS};
use crate::sync::settings::Deleted;
use held::{HeldVariants, read_one, read_variants};
pub(super) use matching::{candidates, would_adopt};
use settle::{settle_out, settle_out_by_a_look};
use standing::ACTIVE;

/// What a product's job did.
pub(super) struct Synced {
    pub(super) links: Vec<Link>,
    pub(super) name: String,
    pub(super) summary: String,
}

/// The field of a variant that names its template.
pub(super) const TEMPLATE_OF: &str = "product_tmpl_id";

/// A product's own job.
pub(super) async fn sync(flow: &Flow<'_>, id: ShopifyId) -> Result<Synced, Stop> {
    let Some(product) = flow.shop.source.product(id, flow.select(Object::Product)).await? else {
        gone::was_deleted(flow).await?;
        return deleted(flow, id).await;
    };
    reach(FailPoint::SourceFetched).await?;
    let mapping = flow.mapping(Object::Product, Direction::In)?;
    let record = Arc::new(product.fact());
    flow.is_about(telling::of_product(&product, Some(Arc::clone(&record))));
    flow.in_scope(&record)?;
    let mapped = flow
        .evaluate(&mapping, &record, &flow.settings_fact(None))
        .await?;
    reach(FailPoint::Planned).await?;
    let mut known = Known::read(flow, &product).await?;
    let mut held = match &known.template {
        Some(link) => read_one(flow, &mapped, link.erp_id).await?,
        None => None,
    };
    if held.is_none()
        && let Some(link) = known.template.take()
    {
        // Deleted in the ERP, and its variants with it: what stands for it now is to be found or made.
        flow.note("link_is_dead", json!({ "model": link.model, "id": link.erp_id }));
        let variants = std::mem::take(&mut known.variants).into_values();
        let retired = std::iter::once(link).chain(variants).map(|link| Link {
            state: LinkState::Retired,
            ..link
        });
        flow.commit_links(retired.collect()).await?;
    }
    if known.template.is_none() && flow.is_sent_out(Object::Product) {
        matching::leave_to_its_maker(flow, &product).await?;
    }
    if known.template.is_none()
        && let Some(found) = matching::identify_or_match(flow, &product, &mapped).await?
    {
        // What carries our name was made by an attempt that did not live to say so.
        if found
            .template
            .as_ref()
            .is_some_and(|link| link.state == LinkState::Linked)
        {
            flow.is_made();
        }
        known = found;
    }
    if let (None, Some(link)) = (&held, &known.template) {
        held = read_one(flow, &mapped, link.erp_id).await?;
    }
    write(flow, &product, &mapped, known, held).await
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

/// Writes what differs and binds every variant.
async fn write(
    flow: &Flow<'_>,
    product: &Product,
    mapped: &Mapped,
    known: Known,
    held: Option<Row>,
) -> Result<Synced, Stop> {
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
    let applied = known.template.as_ref().and_then(|link| link.source_updated_at);
    flow.source_stands(applied, product.updated_at);
    let template_agreed = known.template.as_ref().map(agreed_of).unwrap_or_default();
    let template_writes = match (existing, &held) {
        (Some(id), Some(held)) => {
            flow.lock(System::Erp, &mapped.model, &id.to_string()).await?;
            flow.changes(&mapped.fields, &template_agreed, held)?
        }
        _ => all_of(&mapped.fields),
    };
    let mut variant_saves = Vec::new();
    let mut variant_agreed: BTreeMap<ShopifyId, Agreement> = BTreeMap::new();
    let linked: Vec<ErpId> = known.variants.values().map(|link| link.erp_id).collect();
    let HeldVariants {
        rows: mut held_variants,
        mut active,
    } = read_variants(flow, &variant_model, &linked, &rows).await?;
    // One that is gone, or moved to another product, is found again by its options.
    held_variants.retain(|_, row| template_of(row) == existing);
    let mut all_bound = true;
    let mut changed = existing.is_none() || !template_writes.is_empty();
    for variant in &product.variants {
        let row = rows.get(&variant.id);
        let link = known
            .variants
            .get(&variant.id)
            .filter(|link| held_variants.contains_key(&link.erp_id));
        let agreed = link.map(agreed_of).unwrap_or_default();
        let fields = match (row, link.and_then(|link| held_variants.get(&link.erp_id))) {
            (None, _) => Vec::new(),
            (Some(row), None) => all_of(&row.fields),
            (Some(row), Some(held)) => {
                flow.changes_below(&of_variant(&variant.id.to_string()), &row.fields, &agreed, held)?
            }
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
    let mut written = Written::default();
    let mut known_links = Known::default();
    let mut sent = None;
    if changed || !all_bound {
        if let Some(link) = &known.template {
            let mut link = link.clone();
            let all = variant_saves.iter().flat_map(|save| &save.fields);
            let writes: Vec<_> = template_writes.iter().chain(all).cloned().collect();
            if !writes.is_empty() {
                circles::remember(flow, &mut link, "ERP", &writes)?;
            }
            sent = both::product_out(flow, link.erp_id).await?;
            known_links.template = Some(link);
        }
        known_links.variants.clone_from(&known.variants);
    }
    let (template, bound) = if changed || !all_bound {
        if let (Some(link), Some(held)) = (&known.template, &held)
            && link.state == LinkState::Linked
        {
            let agreed = variant_agreed.iter().filter_map(|(ours, agreed)| {
                Some((agreed, held_variants.get(&known.variants.get(ours)?.erp_id)?))
            });
            let evidence: Vec<_> = std::iter::once((&template_agreed, held)).chain(agreed).collect();
            flow.check_identity(mapped, &mapped.external_id, &evidence)
                .await?;
        }
        written.template.clone_from(&template_writes);
        written.anything = true;
        for save in &variant_saves {
            written.variants.insert(save.id, save.fields.clone());
        }
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
        flow.may_write()?;
        flow.note_written(
            "saved",
            json!({ "model": mapped.model, "fields": names(&save.fields), "variants": save.variants.len() }),
            written_product(flow, product.id, &save, held.as_ref(), &held_variants),
        );
        let saved = flow.write(shop.erp.save_product(&save)).await?;
        if existing.is_none() {
            flow.is_made();
        }
        flow.has_written(&save.fields, held.as_ref().map(|row| &row.fields));
        for variant in &save.variants {
            let place = of_variant(&variant.id.to_string());
            let row = variant.existing.and_then(|id| held_variants.get(&id));
            for (field, value) in &variant.fields {
                let old = row.and_then(|row| row.fields.get(field)).cloned();
                flow.has_written_value(format!("{place}{field}"), old, value);
            }
        }
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

    flow.stands_for(ErpAbout::new(&mapped.model, template));
    let both = flow.is_sent_out(Object::Product);
    let all_writes: Vec<(String, FieldValue)> = written
        .template
        .iter()
        .chain(written.variants.values().flatten())
        .cloned()
        .collect();
    let mut links = Vec::new();
    let mut held = held;
    let mut meddled = false;
    if changed || !all_bound {
        // As both sides agree from now on: the ERP's own forms of what was written.
        let ids: Vec<ErpId> = bound.iter().map(|(_, theirs)| *theirs).collect();
        let (was, were) = (held, held_variants);
        held = read_one(flow, mapped, template).await?;
        HeldVariants {
            rows: held_variants,
            active,
        } = read_variants(flow, &variant_model, &ids, &rows).await?;
        if let (Some(was), Some(now)) = (&was, &held) {
            meddled = both::is_meddled_with(&was.fields, &now.fields, &mapped.fields, &written.template);
        }
        meddled |= bound.iter().any(|(ours, theirs)| {
            let writes = written.variants.get(ours).map_or(&[][..], Vec::as_slice);
            let (Some(was), Some(now)) = (were.get(theirs), held_variants.get(theirs)) else {
                return false;
            };
            let fields = rows.get(ours).map_or(&[][..], |row| row.fields.as_slice());
            both::is_meddled_with(&was.fields, &now.fields, fields, writes)
        });
    }
    let mut product_link = link(
        flow,
        LinkKind::Product,
        product.id,
        &mapped.model,
        template,
        LinkState::Linked,
    );
    product_link.source_updated_at = Some(product.updated_at);
    let agreed = both::agreement(
        Direction::In,
        &mapped.fields,
        &written.template,
        held.as_ref().map(|row| &row.fields),
        &template_agreed,
        both,
    );
    let mut looked = both::is_settled_by_a_look(&template_agreed, &agreed, &written.template);
    product_link.agreed = to_json(agreed);
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
            let writes = written.variants.remove(&ours).unwrap_or_default();
            let after = held_variants.get(&theirs).map(|row| &row.fields);
            let mut agreed = both::agreement(Direction::In, &row.fields, &writes, after, &before, both);
            looked |= both::is_settled_by_a_look(&before, &agreed, &writes);
            let product = held.as_ref().and_then(|row| row.fields.get(ACTIVE));
            standing::note(&mut agreed, before.get(ACTIVE), active.get(&theirs), product);
            variant_link.agreed = to_json(agreed);
        }
        links.push(variant_link);
    }
    if written.anything {
        let ours = both::OwnWrites::new(&*shop.erp, &all_writes);
        settle_out(
            flow,
            product,
            &mut links,
            &known_links,
            sent.as_ref(),
            meddled,
            &ours,
        )
        .await?;
    }
    if both && looked {
        settle_out_by_a_look(flow, product, &mut links, &known).await?;
        let ids: Vec<ErpId> = held_variants.keys().copied().collect();
        let now = read_one(flow, mapped, template).await?;
        let are = read_variants(flow, &variant_model, &ids, &rows).await?.rows;
        let is_same = |was: &Row| are.get(&was.id).is_some_and(|row| row.fields == was.fields);
        if now.map(|row| row.fields) != held.map(|row| row.fields) || !held_variants.values().all(is_same) {
            // Somebody edited it between the looks of the two directions: each may have seen another value.
            return Err(flow.look_again());
        }
    }
    Ok(Synced {
        links,
        name: product.title.clone(),
        summary: summary.to_owned(),
    })
}

/// What an attempt wrote.
#[derive(Default)]
struct Written {
    anything: bool,
    template: Vec<(String, FieldValue)>,
    variants: BTreeMap<ShopifyId, Vec<(String, FieldValue)>>,
}

pub(super) fn template_of(variant: &Row) -> Option<ErpId> {
    match variant.fields.get(TEMPLATE_OF) {
        Some(FieldValue::Record(id)) => Some(*id),
        _ => None,
    }
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
    flow.is_about(telling::of_link(Object::Product, &link));
    flow.is_gone(Happening::ProductDeleted);
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
        agreed_out: serde_json::Value::Null,
        writes: serde_json::Value::Null,
    }
}

fn all_of(fields: &[crate::mapping::MappedField]) -> Vec<(String, FieldValue)> {
    fields
        .iter()
        .map(|field| (field.target.to_string(), field.value.clone()))
        .collect()
}

fn names(fields: &[(String, FieldValue)]) -> Vec<&str> {
    fields.iter().map(|(name, _)| name.as_str()).collect()
}

fn to_json(agreement: Agreement) -> serde_json::Value {
    serde_json::to_value(agreement).unwrap_or_default()
}
