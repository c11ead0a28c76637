//! What would be done about a product.

use std::collections::{BTreeMap, BTreeSet};

use super::super::flow::{Flow, agreed_of};
use super::super::live;
use super::super::products;
use super::super::products::standing::{self, ACTIVE};
use super::super::resync::of_variant;
use super::super::stop::Stop;
use super::{ComparedField, Preview, PreviewedWrite, bare, compare, created, named, read, shown, text};
use crate::domain::{
    Canonical as _, Direction, ErpId, FieldValue, Link, LinkKind, LinkState, Object, Product, ShopifyId,
};
use crate::mapping::{Mapped, MappedField, MappedGroup, VARIANTS};

/// `false` when Shopify does not have the product.
pub(super) async fn preview(flow: &Flow<'_>, id: ShopifyId, preview: &mut Preview) -> Result<bool, Stop> {
    let shop = flow.shop;
    let Some(record) = shop.source.product(id, flow.select(Object::Product)).await? else {
        return Ok(false);
    };
    preview.record_name = Some(record.title.clone());
    preview.changed_at = Some(record.updated_at);
    let mapping = flow.mapping(Object::Product, Direction::In)?;
    let fact = record.fact();
    flow.judge(&fact)?;
    let mapped = flow.evaluate(&mapping, &fact, &flow.settings_fact(None)).await?;
    let link = live(
        shop.store
            .links(&shop.name, LinkKind::Product, &[id.to_string()])
            .await?,
    );
    let (mut existing, mut stands) = (None, false);
    if let Some(link) = link {
        // One that was deleted in the ERP stands for nothing any more, and neither do its variants.
        let fields = [ACTIVE.to_owned()];
        let there = shop.erp.read(&mapped.model, &[link.erp_id], &fields).await?;
        if let Some(row) = there.first() {
            stands = row.fields.get(ACTIVE) == Some(&FieldValue::Bool(true));
            flow.source_stands(link.source_updated_at, record.updated_at);
            existing = Some((link.erp_id, Some(link)));
        }
    }
    if existing.is_none() {
        // Made by an attempt that did not live to say so.
        let made = shop.erp.identify(&flow.external_id(&mapped.external_id)?).await?;
        existing = made.map(|found| (found.id, None));
    }
    match existing {
        Some((template, link)) => {
            let to = (template, stands);
            linked(flow, &mapped, link.as_ref(), to, preview).await?;
        }
        None => unlinked(flow, &record, &mapped, preview).await?,
    }
    Ok(true)
}

/// A product that the ERP has: only what changed. `stands` says that it is known not to be archived there.
async fn linked(
    flow: &Flow<'_>,
    mapped: &Mapped,
    link: Option<&Link>,
    (template, stands): (ErpId, bool),
    preview: &mut Preview,
) -> Result<(), Stop> {
    let fields = &mapped.fields;
    changed(flow, &mapped.model, fields, link, (template, "update"), preview).await?;
    for group in &mapped.groups {
        let bound = match link {
            Some(_) => bound(flow, group, template).await?,
            // Its variants are found by their options, whatever was linked before.
            None => Bound::default(),
        };
        for row in &group.rows {
            match bound.links.get(&row.key) {
                Some(link) => {
                    let to = (link.erp_id, "update");
                    changed(flow, &group.model, &row.fields, Some(link), to, preview).await?;
                    if stands && bound.archived.contains(&link.erp_id) {
                        archived_by_itself(link, preview);
                    }
                }
                None => preview
                    .writes
                    .push(created(&group.model, &row.external_id, &row.fields)),
            }
        }
    }
    preview.verdict = if preview.writes.is_empty() {
        format!("product {template} is up to date")
    } else {
        format!("product {template} would be brought up to date")
    };
    Ok(())
}

/// Rows whose records still stand below the template.
#[derive(Default)]
struct Bound {
    /// Their links by the rows' keys.
    links: BTreeMap<String, Link>,
    /// Which of these variants the ERP has archived.
    archived: BTreeSet<ErpId>,
}

async fn bound(flow: &Flow<'_>, group: &MappedGroup, template: ErpId) -> Result<Bound, Stop> {
    let mut bound = Bound::default();
    for row in &group.rows {
        if let Some(link) = variant(flow, &row.key).await? {
            bound.links.insert(row.key.clone(), link);
        }
    }
    if bound.links.is_empty() || group.name != VARIANTS {
        return Ok(bound);
    }
    let ids: Vec<ErpId> = bound.links.values().map(|link| link.erp_id).collect();
    let fields = [products::TEMPLATE_OF.to_owned(), ACTIVE.to_owned()];
    let held = flow.shop.erp.read(&group.model, &ids, &fields).await?;
    bound.links.retain(|_, link| {
        let row = held.iter().find(|row| row.id == link.erp_id);
        row.and_then(products::template_of) == Some(template)
    });
    let archived = held
        .iter()
        .filter(|row| row.fields.get(ACTIVE) == Some(&FieldValue::Bool(false)));
    bound.archived.extend(archived.map(|row| row.id));
    Ok(bound)
}

/// Tells, where both sides are compared, that the ERP's variant was archived since both sides agreed, and its product was not. No
/// mapping writes that.
fn archived_by_itself(link: &Link, preview: &mut Preview) {
    let Some(variant) = preview.compared.as_mut().and_then(|compared| compared.last_mut()) else {
        return;
    };
    let is_mapped = variant.fields.iter().any(|field| field.field == ACTIVE);
    if is_mapped || standing::stood(&agreed_of(link)) != Some(true) {
        return;
    }
    variant.fields.push(ComparedField {
        field: ACTIVE.to_owned(),
        wanted: text(&FieldValue::Bool(true)),
        held: text(&FieldValue::Bool(false)),
        source: "the shop has this variant".to_owned(),
        differs: true,
        is_agreed: false,
        is_written: false,
    });
}

async fn variant(flow: &Flow<'_>, key: &str) -> Result<Option<Link>, Stop> {
    let shop = flow.shop;
    let links = shop
        .store
        .links(&shop.name, LinkKind::Variant, &[key.to_owned()])
        .await?;
    Ok(links.into_iter().find(|link| link.state != LinkState::Retired))
}

/// Shows an update where the flow would write a field, and an adoption in any case.
async fn changed(
    flow: &Flow<'_>,
    model: &str,
    fields: &[MappedField],
    link: Option<&Link>,
    (id, action): (ErpId, &str),
    preview: &mut Preview,
) -> Result<(), Stop> {
    let Some(held) = read(flow, model, &[id], fields).await?.into_iter().next() else {
        return Err(flow
            .subject
            .problem(
                "erp_record_missing",
                model,
                format!("The product {id} does not exist any more in the ERP."),
                "Restore it in the ERP, then retry.",
            )
            .into());
    };
    let agreed = link.map(agreed_of).unwrap_or_default();
    if let Some(compared) = &mut preview.compared {
        let own = (id.to_string(), link.map_or("", |link| link.source_id.as_str()));
        compared.push(compare::record(model, own, fields, &held.fields, &agreed));
    }
    let place = match link {
        Some(link) if link.kind == LinkKind::Variant => of_variant(&link.source_id),
        _ => String::new(),
    };
    let writes = flow.changes_below(&place, fields, &agreed, &held)?;
    let fields = named(fields, &writes);
    if action == "adopt" || !fields.is_empty() {
        preview.writes.push(PreviewedWrite {
            fields: shown(fields, Some(&held)),
            ..bare(action, model, id)
        });
    }
    Ok(())
}

/// A product that the ERP does not have under our name.
async fn unlinked(
    flow: &Flow<'_>,
    product: &Product,
    mapped: &Mapped,
    preview: &mut Preview,
) -> Result<(), Stop> {
    let candidates = products::candidates(flow, mapped).await?;
    if let Some((template, variants)) = products::would_adopt(flow, product, mapped, &candidates).await? {
        let to = (template, "adopt");
        changed(flow, &mapped.model, &mapped.fields, None, to, preview).await?;
        for group in &mapped.groups {
            for row in &group.rows {
                if let Some(id) = variants.get(&row.key) {
                    changed(flow, &group.model, &row.fields, None, (*id, "adopt"), preview).await?;
                }
            }
        }
        preview.verdict = format!("product {template} would be adopted");
        return Ok(());
    }
    if !candidates.is_empty() {
        let found: Vec<String> = candidates
            .iter()
            .map(|candidate| format!("{} ({})", candidate.variant, candidate.by))
            .collect();
        let found = found.join(", ");
        preview.verdict = format!("would need a person: the ERP has products that may be this one: {found}");
        return Ok(());
    }
    preview.verdict = "a product would be created".to_owned();
    preview
        .writes
        .push(created(&mapped.model, &mapped.external_id, &mapped.fields));
    let groups: &[MappedGroup] = &mapped.groups;
    for group in groups {
        for row in &group.rows {
            preview
                .writes
                .push(created(&group.model, &row.external_id, &row.fields));
        }
    }
    Ok(())
}
