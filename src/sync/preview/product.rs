//! What would be done about a product.

use super::super::flow::{Flow, agreed_of};
use super::super::live;
use super::super::products;
use super::super::stop::Stop;
use super::{Preview, PreviewedWrite, bare, created, named, read, shown};
use crate::domain::{Canonical as _, Direction, ErpId, Link, LinkKind, LinkState, Object, ShopifyId};
use crate::mapping::{Mapped, MappedField, MappedGroup};

/// `false` when Shopify does not have the product.
pub(super) async fn preview(flow: &Flow<'_>, id: ShopifyId, preview: &mut Preview) -> Result<bool, Stop> {
    let shop = flow.shop;
    let Some(record) = shop.source.product(id, flow.select(Object::Product)).await? else {
        return Ok(false);
    };
    preview.record_name = Some(record.title.clone());
    let mapping = flow.mapping(Object::Product, Direction::In)?;
    let mapped = flow
        .evaluate(&mapping, &record.fact(), &flow.settings_fact(None))
        .await?;
    let link = live(
        shop.store
            .links(&shop.name, LinkKind::Product, &[id.to_string()])
            .await?,
    );
    let existing = match &link {
        Some(link) => Some(link.erp_id),
        // Made by an attempt that did not live to say so.
        None => shop
            .erp
            .identify(&flow.external_id(&mapped.external_id)?)
            .await?
            .map(|found| found.id),
    };
    match existing {
        Some(template) => linked(flow, &mapped, link.as_ref(), template, preview).await?,
        None => unlinked(flow, &mapped, preview).await?,
    }
    Ok(true)
}

/// A product that the ERP has: only what changed.
async fn linked(
    flow: &Flow<'_>,
    mapped: &Mapped,
    link: Option<&Link>,
    template: ErpId,
    preview: &mut Preview,
) -> Result<(), Stop> {
    changed(flow, &mapped.model, &mapped.fields, link, template, preview).await?;
    for group in &mapped.groups {
        for row in &group.rows {
            match variant(flow, &row.key).await? {
                Some(link) => {
                    let id = link.erp_id;
                    changed(flow, &group.model, &row.fields, Some(&link), id, preview).await?;
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

async fn variant(flow: &Flow<'_>, key: &str) -> Result<Option<Link>, Stop> {
    let shop = flow.shop;
    let links = shop
        .store
        .links(&shop.name, LinkKind::Variant, &[key.to_owned()])
        .await?;
    Ok(links.into_iter().find(|link| link.state != LinkState::Retired))
}

/// Shows an update where the flow would write a field.
async fn changed(
    flow: &Flow<'_>,
    model: &str,
    fields: &[MappedField],
    link: Option<&Link>,
    id: ErpId,
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
    let writes = flow.changes(fields, &agreed, &held)?;
    let fields = named(fields, &writes);
    if !fields.is_empty() {
        preview.writes.push(PreviewedWrite {
            fields: shown(fields, Some(&held)),
            ..bare("update", model, id)
        });
    }
    Ok(())
}

/// A product that the ERP does not have under our name.
async fn unlinked(flow: &Flow<'_>, mapped: &Mapped, preview: &mut Preview) -> Result<(), Stop> {
    let candidates = products::candidates(flow, mapped).await?;
    if !candidates.is_empty() {
        let found: Vec<String> = candidates
            .iter()
            .map(|candidate| format!("{} ({})", candidate.variant, candidate.by))
            .collect();
        let found = found.join(", ");
        preview.verdict = if mapped.adopt_exact {
            format!("would be adopted if every variant fits exactly one of {found}, else need a person")
        } else {
            format!("would need a person: the ERP has products that may be this one: {found}")
        };
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
