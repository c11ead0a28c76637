//! Finding the ERP's product for one of the shop that is not linked.
//!
//! Our own external id counts first: an earlier attempt may have made it without saying so. A SKU or bar code only
//! proposes: as long as the ERP has products with the same one, nothing is made beside what may be the same product; a
//! person decides, or the mapping declares that an exact match is adopted.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::time::Duration;

use serde_json::json;

use super::super::agree::hash;
use super::super::flow::Flow;
use super::super::stop::Stop;
use super::{Known, TEMPLATE_OF, link, template_of};
use crate::domain::{ErpId, FieldValue, Link, LinkKind, LinkState, Product, ShopifyId};
use crate::erp::{ErpVariant, Find, Row};
use crate::failpoint::{FailPoint, reach};
use crate::mapping::{Mapped, VARIANTS};

/// How long a product that carries our mark is left to the job that made it.
const MADE_LATELY: Duration = Duration::from_mins(10);

/// When to look again whether that job has linked it.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// Waits for the job of the way out that made this product: it links the product, or dies before it does and does it in its next
/// attempt. To make a record for it meanwhile would be to have it twice in the ERP.
pub(super) async fn leave_to_its_maker(flow: &Flow<'_>, product: &Product) -> Result<(), Stop> {
    let now = flow.shop.clock.now();
    if product.created_at.plus(MADE_LATELY) <= now {
        return Ok(());
    }
    let Some(name) = flow.shop.target.ref_of_product(product.id).await? else {
        return Ok(());
    };
    flow.note("left_to_the_job_that_made_it", json!({ "erp_record": name }));
    Err(Stop::LeftToItsMaker {
        at: now.plus(LOOK_AGAIN),
    })
}

/// The product's template where an earlier attempt made it without saying so, or where it may be adopted.
pub(super) async fn identify_or_match(
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
pub(in crate::sync) struct Candidate {
    ours: ShopifyId,
    pub(in crate::sync) variant: ErpId,
    template: Option<ErpId>,
    pub(in crate::sync) by: String,
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

/// How many values one question may name.
const VALUES_AT_ONCE: usize = 500;

/// How many candidates are looked at; a person sees a few of them.
const MOST_CANDIDATES: u32 = 1_000;

/// The ERP's variants that may be variants of this product.
pub(in crate::sync) async fn candidates(flow: &Flow<'_>, mapped: &Mapped) -> Result<Vec<Candidate>, Stop> {
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
        if let Entry::Vacant(entry) = taken.entry(candidate.variant) {
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

/// For a preview: the template that would be adopted, and its variants by the numbers of ours.
pub(in crate::sync) async fn would_adopt(
    flow: &Flow<'_>,
    product: &Product,
    mapped: &Mapped,
    candidates: &[Candidate],
) -> Result<Option<(ErpId, BTreeMap<String, ErpId>)>, Stop> {
    if !mapped.adopt_exact {
        return Ok(None);
    }
    let Some(known) = exact(flow, product, mapped, candidates).await? else {
        return Ok(None);
    };
    let variants = known
        .variants
        .iter()
        .map(|(ours, link)| (ours.to_string(), link.erp_id));
    Ok(known
        .template
        .as_ref()
        .map(|link| (link.erp_id, variants.collect())))
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
