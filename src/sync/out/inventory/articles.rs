//! The variants of a product that both sides have, each with its inventory item on the shop.

use std::collections::BTreeMap;

use super::report::Found;
use crate::domain::{ErpId, ItemStock, JobId, Link, LinkKind, LinkState, ShopifyId};
use crate::sync::flow::Flow;
use crate::sync::stop::Stop;

/// A variant that both sides have.
#[derive(Clone, Debug)]
pub(super) struct Article {
    /// The ERP's variant.
    pub(super) theirs: ErpId,
    /// The shop's variant.
    pub(super) ours: String,
    pub(super) item: ShopifyId,
    /// What the ERP calls it, once it was read.
    pub(super) sku: Option<String>,
    /// The product's name there, once it was read.
    pub(super) name: Option<String>,
    /// Of the inventory item.
    pub(super) link: Link,
    /// An order that sells it and is still to be carried in.
    pub(super) in_work: Option<JobId>,
    /// Whether the link is to be saved.
    pub(super) is_changed: bool,
}

/// Those of the variants that are linked. Their items are remembered from earlier pushes; the others are asked for.
pub(super) async fn articles(flow: &Flow<'_>, variants: &[ErpId]) -> Result<Vec<Article>, Stop> {
    let shop = flow.shop;
    let linked = shop
        .store
        .links_of_erp(&shop.name, LinkKind::Variant, variants)
        .await?;
    let items = shop
        .store
        .links_of_erp(&shop.name, LinkKind::Inventory, variants)
        .await?;
    let item_of: BTreeMap<ErpId, Link> = items.into_iter().map(|link| (link.erp_id, link)).collect();
    let mut found = Vec::new();
    let mut unknown = Vec::new();
    for variant in linked {
        let known = item_of.get(&variant.erp_id);
        match known.and_then(|link| Some((link, link.source_id.parse().ok()?))) {
            Some((link, item)) => found.push(Article {
                theirs: variant.erp_id,
                ours: variant.source_id.clone(),
                item,
                link: link.clone(),
                sku: None,
                name: None,
                in_work: None,
                is_changed: false,
            }),
            None => unknown.push(variant),
        }
    }
    found.extend(ask(flow, &unknown).await?);
    found.sort_by_key(|article| article.theirs);
    Ok(found)
}

/// Asks the shop for the items of these variants. One that is gone there is left out.
async fn ask(flow: &Flow<'_>, variants: &[Link]) -> Result<Vec<Article>, Stop> {
    let numbers: Vec<ShopifyId> = variants
        .iter()
        .filter_map(|link| link.source_id.parse().ok())
        .collect();
    if numbers.is_empty() {
        return Ok(Vec::new());
    }
    let items = flow.shop.target.items_of(&numbers).await?;
    let article = |variant: &Link| {
        let number: ShopifyId = variant.source_id.parse().ok()?;
        let (_, item) = items.iter().find(|(of, _)| *of == number)?;
        Some(Article {
            theirs: variant.erp_id,
            ours: variant.source_id.clone(),
            item: *item,
            link: Link {
                kind: LinkKind::Inventory,
                source_id: item.to_string(),
                erp_name: None,
                state: LinkState::Linked,
                source_updated_at: None,
                agreed: serde_json::Value::Null,
                agreed_out: serde_json::Value::Null,
                writes: serde_json::Value::Null,
                ..variant.clone()
            },
            sku: None,
            name: None,
            in_work: None,
            is_changed: true,
        })
    };
    Ok(variants.iter().filter_map(article).collect())
}

/// What the shop shows now of these articles. A variant that was made anew on the shop has another item; one that is gone is
/// taken out.
pub(super) async fn held(
    flow: &Flow<'_>,
    articles: &mut Vec<Article>,
    found: &mut Found,
) -> Result<BTreeMap<ShopifyId, ItemStock>, Stop> {
    let target = &flow.shop.target;
    let items =
        |articles: &[Article]| -> Vec<ShopifyId> { articles.iter().map(|article| article.item).collect() };
    let mut stock = by_item(target.item_stock(&items(articles)).await?);
    let is_of = |article: &Article, stock: &BTreeMap<ShopifyId, ItemStock>| {
        let stock = stock.get(&article.item)?;
        let of = stock.variant.map(|of| of.to_string());
        of.is_none_or(|of| of == article.ours).then_some(())
    };
    let (known, strange): (Vec<Article>, Vec<Article>) = std::mem::take(articles)
        .into_iter()
        .partition(|article| is_of(article, &stock).is_some());
    *articles = known;
    if strange.is_empty() {
        return Ok(stock);
    }
    let retired = strange.iter().map(|article| Link {
        state: LinkState::Retired,
        ..article.link.clone()
    });
    flow.commit_links(retired.collect()).await?;
    let variants: Vec<Link> = strange
        .iter()
        .map(|article| Link {
            kind: LinkKind::Variant,
            source_id: article.ours.clone(),
            ..article.link.clone()
        })
        .collect();
    let asked = ask(flow, &variants).await?;
    stock.extend(by_item(target.item_stock(&items(&asked)).await?));
    for old in strange {
        let now = asked.iter().find(|article| article.theirs == old.theirs);
        match now.filter(|article| stock.contains_key(&article.item)) {
            Some(now) => articles.push(Article {
                in_work: old.in_work,
                ..now.clone()
            }),
            None => found.gone("deleted_on_shopify"),
        }
    }
    articles.sort_by_key(|article| article.theirs);
    Ok(stock)
}

fn by_item(stock: Vec<ItemStock>) -> BTreeMap<ShopifyId, ItemStock> {
    stock.into_iter().map(|stock| (stock.item, stock)).collect()
}
