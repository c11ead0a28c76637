//! What the way out makes of linked records now, beside what it made of them when both sides last agreed: for whoever looks
//! for changes of the ERP that nobody sent.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::super::agree::{Agreement, hash};
use super::super::flow::{Flow, agreed_out_of};
use super::super::stop::{Stop, Subject};
use super::super::writes::Writes;
use super::super::{Engine, PreviewError, preview};
use super::told;
use crate::domain::{Canonical as _, Direction, ErpId, Fact, Link, LinkKind, LinkState, Object, ShopName};
use crate::erp::ErpError;
use crate::mapping::{Mapped, MappedField, Mapping, VARIANTS};

/// Why it cannot be told what the way out makes of records.
#[derive(Debug, thiserror::Error)]
pub enum AnewError {
    /// The ERP could not be asked.
    #[error("the ERP could not be asked")]
    Erp(#[source] ErpError),
    /// Anything else.
    #[error(transparent)]
    Other(PreviewError),
}

impl Engine {
    /// Those of these links of which the way out makes something else now than when both sides last agreed, or a problem. Read
    /// together, in few calls. Links that the way out never met are none of them: what stands differently there was left so.
    ///
    /// # Errors
    /// When the ERP or the store cannot be asked.
    pub async fn made_anew(
        &self,
        shop: &ShopName,
        object: Object,
        links: &[Link],
    ) -> Result<BTreeSet<ErpId>, AnewError> {
        let Some(context) = self.shop(shop) else {
            return Err(AnewError::Other(PreviewError::UnknownShop(shop.clone())));
        };
        let mappings = Arc::clone(&context.mappings.borrow());
        let subject = Subject {
            record: None,
            owner: context.owner.clone(),
            mapping: None,
        };
        let job = preview::nobodys_job(context, object, Direction::Out, String::new());
        let writes = Writes::default();
        let mut flow = Flow::new(context, &job, mappings, subject, &writes);
        let found = match flow.learn().await {
            Ok(()) => anew(&flow, object, links).await,
            Err(stop) => Err(stop),
        };
        found.map_err(|stop| match stop {
            // Whoever tries again asks it for how long to wait.
            Stop::Erp(source) => AnewError::Erp(source),
            other => AnewError::Other(told(context, other)),
        })
    }
}

async fn anew(flow: &Flow<'_>, object: Object, links: &[Link]) -> Result<BTreeSet<ErpId>, Stop> {
    let known = agreements(links);
    let ids: Vec<ErpId> = known.keys().copied().collect();
    if ids.is_empty() {
        return Ok(BTreeSet::new());
    }
    let erp = &flow.shop.erp;
    let mapping = flow.mapping(object, Direction::Out)?;
    let rules = mapping.out.clone().unwrap_or_default();
    let mut variants = BTreeMap::new();
    let mut records: Vec<(ErpId, Fact)> = Vec::new();
    match object {
        Object::Customer => {
            let partners = erp.partners(&ids, &rules.select).await?;
            records.extend(partners.iter().map(|one| (ErpId(one.id), one.fact())));
        }
        Object::Product => {
            let products = erp
                .product_records(&ids, &rules.select, &rules.variant_select)
                .await?;
            let of_all = products.iter().flat_map(|product| &product.variants);
            let numbers: Vec<ErpId> = of_all.map(|variant| ErpId(variant.id)).collect();
            let store = &flow.shop.store;
            let links = store
                .links_of_erp(&flow.shop.name, LinkKind::Variant, &numbers)
                .await?;
            variants = agreements(&links);
            records.extend(products.iter().map(|one| (ErpId(one.id), one.fact())));
        }
        Object::Order | Object::Inventory | Object::Shop => {}
    }
    let mut found = BTreeSet::new();
    for (id, fact) in records {
        let Some(known) = known.get(&id) else { continue };
        if is_anew(flow, &mapping, &fact, known, &variants).await {
            found.insert(id);
        }
    }
    Ok(found)
}

/// What the way out agreed on, by the ERP's records; of those that it met.
fn agreements(links: &[Link]) -> BTreeMap<ErpId, Agreement> {
    let linked = links.iter().filter(|link| link.state == LinkState::Linked);
    linked
        .map(|link| (link.erp_id, agreed_out_of(link)))
        .filter(|(_, agreed)| !agreed.is_empty())
        .collect()
}

async fn is_anew(
    flow: &Flow<'_>,
    mapping: &Mapping,
    fact: &Fact,
    known: &Agreement,
    variants: &BTreeMap<ErpId, Agreement>,
) -> bool {
    let mapped = flow.evaluate(mapping, fact, &flow.settings_fact(None)).await;
    // What cannot be worked out is looked at by itself: one record keeps no other from being compared.
    mapped.map_or(true, |mapped| {
        is_other(known, &mapped.fields) || are_other(variants, &mapped)
    })
}

fn are_other(variants: &BTreeMap<ErpId, Agreement>, mapped: &Mapped) -> bool {
    let rows = mapped.group(VARIANTS).map_or(&[][..], |group| &group.rows);
    rows.iter().any(|row| {
        let id = row.key.parse().ok().map(ErpId);
        let known = id.and_then(|id| variants.get(&id));
        known.is_some_and(|known| is_other(known, &row.fields))
    })
}

/// Whether the mapping makes another value than was agreed on. Fields that were never agreed on are left to their record's next
/// change, as a mapping that was extended is.
fn is_other(known: &Agreement, fields: &[MappedField]) -> bool {
    fields.iter().filter(|field| !field.create_only).any(|field| {
        let known = known.get(&*field.target);
        known.is_some_and(|known| known.source != hash(&field.value))
    })
}
