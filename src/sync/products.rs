//! Products: the template with its variants in the ERP that stands for a product of the shop.
//!
//! Variants are bound by link. A SKU or bar code only proposes: as long as nothing is linked and the ERP has products with
//! the same SKU or bar code, nothing is made beside what may be the same product; a person decides (or the mapping declares
//! that an exact match is adopted).

use std::collections::BTreeMap;

use serde_json::json;

use super::agree::{Agreement, hash};
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
    if known.template.is_none()
        && let Some(found) = identify_or_match(flow, &product, &mapped).await?
    {
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
        .take(20)
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

impl Candidate {
    fn new(ours: ShopifyId, held: &Row, by: String) -> Self {
        Self {
            ours,
            variant: held.id,
            template: template_of(held),
            by,
        }
    }
}

/// The field of a variant that names its template.
const TEMPLATE_OF: &str = "product_tmpl_id";

/// How many values one question may name.
const VALUES_AT_ONCE: usize = 500;

/// How many candidates are looked at; a person sees a few of them.
const MOST_CANDIDATES: u32 = 1_000;

fn template_of(variant: &Row) -> Option<ErpId> {
    match variant.fields.get(TEMPLATE_OF) {
        Some(FieldValue::Record(id)) => Some(*id),
        _ => None,
    }
}

async fn candidates(flow: &Flow<'_>, mapped: &Mapped) -> Result<Vec<Candidate>, Stop> {
    let mut found: Vec<Candidate> = Vec::new();
    let Some(group) = mapped.group(VARIANTS) else {
        return Ok(found);
    };
    let mut keys: BTreeMap<&str, Vec<(ShopifyId, &FieldValue)>> = BTreeMap::new();
    let mut others = Vec::new();
    for row in &group.rows {
        let Ok(ours) = row.key.parse::<ShopifyId>() else {
            continue;
        };
        for key in &row.match_keys {
            match key.equal.as_slice() {
                [(field, value)] => keys.entry(field).or_default().push((ours, value)),
                several => others.push((ours, several)),
            }
        }
    }
    let asked = |equal: &[(String, FieldValue)], one_of, field: Option<&str>| Find {
        model: group.model.clone(),
        equal: equal.to_vec(),
        one_of,
        fields: std::iter::once(TEMPLATE_OF)
            .chain(field)
            .map(str::to_owned)
            .collect(),
        limit: MOST_CANDIDATES,
    };
    // One question for each field, however many variants there are.
    for (field, wanted) in keys {
        for wanted in wanted.chunks(VALUES_AT_ONCE) {
            let values = wanted.iter().map(|(_, value)| (*value).clone()).collect();
            let find = asked(&[], Some((field.to_owned(), values)), Some(field));
            for held in flow.shop.erp.find(&find).await? {
                let now = held.fields.get(field).map(hash);
                for (ours, value) in wanted.iter().filter(|(_, value)| now == Some(hash(value))) {
                    found.push(Candidate::new(*ours, &held, format!("{field} {value}")));
                }
            }
        }
    }
    for (ours, equal) in others {
        for held in flow.shop.erp.find(&asked(equal, None, None)).await? {
            let by = equal.iter().map(|(name, value)| format!("{name} {value}"));
            found.push(Candidate::new(ours, &held, by.collect::<Vec<_>>().join(", ")));
        }
    }
    free(flow, found).await
}

/// Those candidates that stand for no other variant of the shop yet: two products of one shop may share a SKU.
async fn free(flow: &Flow<'_>, found: Vec<Candidate>) -> Result<Vec<Candidate>, Stop> {
    let shop = flow.shop;
    let mut taken: BTreeMap<ErpId, bool> = BTreeMap::new();
    for candidate in &found {
        if let std::collections::btree_map::Entry::Vacant(entry) = taken.entry(candidate.variant) {
            let link = shop
                .store
                .link_of_erp(&shop.name, LinkKind::Variant, candidate.variant)
                .await?;
            entry.insert(link.is_some_and(|link| link.state != LinkState::Retired));
        }
    }
    Ok(found
        .into_iter()
        .filter(|candidate| taken.get(&candidate.variant) != Some(&true))
        .collect())
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
    let mut held_variants = read_variants(flow, &variant_model, &linked, &rows).await?;
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
    let mut written = Written::default();
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
        flow.note(
            "saved",
            json!({ "model": mapped.model, "fields": names(&save.fields), "variants": save.variants.len() }),
        );
        let saved = shop.erp.save_product(&save).await?;
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
    let mut held = held;
    if changed || !all_bound {
        // As both sides agree from now on: the ERP's own forms of what was written.
        let ids: Vec<ErpId> = bound.iter().map(|(_, theirs)| *theirs).collect();
        held = read_one(flow, mapped, template).await?;
        held_variants = read_variants(flow, &variant_model, &ids, &rows).await?;
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
    product_link.agreed = to_json(agreement(
        &mapped.fields,
        &written.template,
        held.as_ref(),
        &template_agreed,
    ));
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
            let after = held_variants.get(&theirs);
            variant_link.agreed = to_json(agreement(&row.fields, &writes, after, &before));
        }
        links.push(variant_link);
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
    template: Vec<(String, FieldValue)>,
    variants: BTreeMap<ShopifyId, Vec<(String, FieldValue)>>,
}

async fn read_one(flow: &Flow<'_>, mapped: &Mapped, id: ErpId) -> Result<Option<Row>, Stop> {
    let fields = targets(&mapped.fields);
    let rows = flow.shop.erp.read(&mapped.model, &[id], &fields).await?;
    Ok(rows.into_iter().next())
}

/// Variants as the ERP holds them, each with its template, in one call.
async fn read_variants(
    flow: &Flow<'_>,
    model: &str,
    ids: &[ErpId],
    rows: &BTreeMap<ShopifyId, &MappedRow>,
) -> Result<BTreeMap<ErpId, Row>, Stop> {
    if ids.is_empty() {
        return Ok(BTreeMap::new());
    }
    let mut fields = vec![TEMPLATE_OF.to_owned()];
    for field in rows.values().flat_map(|row| targets(&row.fields)) {
        if !fields.contains(&field) {
            fields.push(field);
        }
    }
    let read = flow.shop.erp.read(model, ids, &fields).await?;
    Ok(read.into_iter().map(|row| (row.id, row)).collect())
}

async fn deleted(flow: &Flow<'_>, id: ShopifyId) -> Result<Synced, Stop> {
    let shop = flow.shop;
    let links = shop
        .store
        .links(&shop.name, LinkKind::Product, &[id.to_string()])
        .await?;
    let Some(link) = links.into_iter().find(|link| link.state != LinkState::Retired) else {
        return Err(Stop::Obsolete("deleted_before_import".into()));
    };
    match shop.settings.deleted_products {
        Deleted::Ignore => {}
        Deleted::Archive => shop.erp.set_active(&link.model, link.erp_id, false).await?,
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
