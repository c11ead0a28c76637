//! The stock of linked variants as both sides have it now, for whoever looks for drift: the same questions and the same rules as
//! a push's, and nothing written or remembered.

use std::collections::BTreeMap;

use super::articles::{Article, articles};
use super::noticed::has_fallen;
use super::reckon::{Level, Open, Place, Plan, Wanted, agreed_as, plan};
use super::report::Found;
use super::{PRODUCT_OF_VARIANT, places, stocks, wanted};
use crate::domain::{
    Canonical as _, Direction, ErpId, FieldValue, ItemStock, Object, ShopName, ShopifyId, Stock,
};
use crate::mapping::Mapping;
use crate::sync::flow::{Flow, agreed_out_of};
use crate::sync::preview::nobodys_job;
use crate::sync::stop::{Stop, Subject};
use crate::sync::writes::Writes;
use crate::sync::{Engine, PreviewError};

/// A variant's stock at one location of the shop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StockLevel {
    /// The ERP's variant.
    pub variant: ErpId,
    /// The ERP's product that it belongs to; known of levels that differ.
    pub product: Option<ErpId>,
    /// The shop's variant.
    pub source: Option<ShopifyId>,
    /// Its stock keeping unit.
    pub sku: Option<String>,
    /// The shop's inventory item.
    pub item: ShopifyId,
    /// Which of the shop's quantities, and where: `on_hand@71`.
    pub field: String,
    /// The units that the ERP wants shown, by the mapping.
    pub wanted: i64,
    /// The units that the shop shows; none where the location never had any of it.
    pub shown: Option<i64>,
    /// Whether that is less than was agreed on, as after a sale that nobody told of yet.
    pub has_fallen: bool,
    /// What a push would do about it.
    pub standing: StockStanding,
}

/// What a push would do about a level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StockStanding {
    /// Both sides have the same.
    InStep,
    /// It would be written.
    Differs,
    /// Both sides changed it, and the mapping leaves the choice to a person.
    Conflict,
    /// By the mapping's `truth` the shop's own number stands.
    Stands,
    /// It is in flux: an order that sells the variant is still to be carried in.
    OrderInWork,
}

/// A variant whose number could not be reckoned: a person must act, as its push will say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StockFailed {
    /// The ERP's variant.
    pub variant: ErpId,
    /// The shop's variant.
    pub source: Option<ShopifyId>,
    /// The code of the problem that its push would have.
    pub code: String,
}

/// What was found of some variants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StockFound {
    /// All levels that are kept in step.
    pub levels: Vec<StockLevel>,
    /// Variants whose number could not be reckoned.
    pub failed: Vec<StockFailed>,
    /// Variants of which no stock is kept in step, by the mapping's rules or because one side does not track it.
    pub left_alone: u64,
    /// Warehouses that are to feed a location and that the ERP does not have.
    pub unknown: Vec<ErpId>,
}

impl Engine {
    /// The stock of these variants of the ERP, as far as they are linked, on both sides.
    ///
    /// # Errors
    /// When a side cannot be asked, there is no mapping, or it does not say which warehouse feeds which location.
    pub async fn stock_levels(
        &self,
        shop: &ShopName,
        variants: &[ErpId],
    ) -> Result<StockFound, PreviewError> {
        let Some(context) = self.shop(shop) else {
            return Err(PreviewError::UnknownShop(shop.clone()));
        };
        let mappings = std::sync::Arc::clone(&context.mappings.borrow());
        let subject = Subject {
            record: None,
            owner: context.owner.clone(),
            mapping: None,
        };
        let job = nobodys_job(context, Object::Inventory, Direction::Out, String::new());
        let writes = Writes::default();
        let mut flow = Flow::new(context, &job, mappings, subject, &writes);
        let found = match flow.learn().await {
            Ok(()) => found(&flow, variants).await,
            Err(stop) => Err(stop),
        };
        found.map_err(|stop| crate::sync::drift::told(context, stop))
    }
}

async fn found(flow: &Flow<'_>, variants: &[ErpId]) -> Result<StockFound, Stop> {
    let mapping = flow.mapping(Object::Inventory, Direction::Out)?;
    let places = places(flow, &mapping).await?;
    let articles = articles(flow, variants).await?;
    let items: Vec<ShopifyId> = articles.iter().map(|article| article.item).collect();
    let held = flow.shop.target.item_stock(&items).await?;
    let held: BTreeMap<ShopifyId, ItemStock> = held.into_iter().map(|stock| (stock.item, stock)).collect();
    let ids: Vec<ErpId> = articles.iter().map(|article| article.theirs).collect();
    let open = Open::of(flow, &ids).await?;
    let stocks = stocks(flow, &ids, &places).await?;
    let mut all = StockFound::default();
    let mut unknown = Found::default();
    for article in &articles {
        // One that was made anew on the shop has another item: its next push sees to that.
        let held = held.get(&article.item);
        let held = held.filter(|held| held.variant.is_none_or(|of| of.to_string() == article.ours));
        let open = open.iter().find(|(variant, _)| *variant == article.theirs);
        let open = open.map_or_else(Open::default, |(_, open)| *open);
        let sides = (held, stocks.as_slice(), open);
        match planned(flow, &mapping, &places, article, sides, &mut unknown).await {
            Ok(Some((plan, sku))) => levels(flow, article, &plan, sku.as_ref(), &mut all).await?,
            Ok(None) => all.left_alone += 1,
            // One bad article keeps no other from being compared. What a side or the store failed at goes on for all.
            Err(stop) => all.failed.push(StockFailed {
                variant: article.theirs,
                source: article.ours.parse().ok(),
                code: stop.of_record()?.code.0,
            }),
        }
    }
    name_products(flow, &mut all).await?;
    all.unknown = unknown
        .unknown
        .iter()
        .filter_map(|place| place.warehouse)
        .collect();
    all.unknown.sort_unstable();
    all.unknown.dedup();
    Ok(all)
}

/// What a push would do about a variant, if no order were in work; none where it has no stock to be set.
async fn planned(
    flow: &Flow<'_>,
    mapping: &Mapping,
    places: &[Place],
    article: &Article,
    (held, stocks, open): (Option<&ItemStock>, &[Stock], Open),
    unknown: &mut Found,
) -> Result<Option<(Plan, Option<String>)>, Stop> {
    let mut own = stocks.iter().filter(|stock| stock.variant == article.theirs.0);
    let (Some(first), Some(held)) = (own.next(), held.filter(|held| held.tracked)) else {
        return Ok(None);
    };
    let settings = flow.settings_fact(None);
    let skip = mapping.skip(&first.fact(), &settings);
    if skip.map_err(|problems| flow.field_problems(&problems))?.is_some() {
        return Ok(None);
    }
    let rules = mapping.out.as_ref();
    let minus = rules.is_some_and(|rules| rules.minus_open_orders);
    let wanted: Wanted = wanted(flow, mapping, places, stocks, article.theirs, unknown).await?;
    let wanted = open.taken_off(wanted, held, minus);
    let known = agreed_out_of(&article.link);
    Ok(Some((plan(&wanted, held, &known, None), first.sku.clone())))
}

/// Takes in the levels of a variant. Whether an order is in work is asked only where one of them differs.
async fn levels(
    flow: &Flow<'_>,
    article: &Article,
    plan: &Plan,
    sku: Option<&String>,
    all: &mut StockFound,
) -> Result<(), Stop> {
    let differs = |level: &Level| level.wanted != level.shown.unwrap_or(0);
    let shop = flow.shop;
    let is_in_work = plan.levels.iter().any(differs)
        && shop
            .store
            .order_in_work(&shop.name, &article.ours)
            .await?
            .is_some();
    let known = agreed_out_of(&article.link);
    for level in &plan.levels {
        let field = agreed_as(plan.quantity, level.location);
        let is_set = plan.sets.iter().any(|set| set.location == level.location);
        let standing = if !differs(level) {
            StockStanding::InStep
        } else if is_in_work {
            StockStanding::OrderInWork
        } else if plan.conflicts.contains(level) {
            StockStanding::Conflict
        } else if is_set {
            StockStanding::Differs
        } else {
            StockStanding::Stands
        };
        all.levels.push(StockLevel {
            variant: article.theirs,
            product: None,
            source: article.ours.parse().ok(),
            sku: sku.cloned(),
            item: article.item,
            has_fallen: level
                .shown
                .is_some_and(|shown| has_fallen(known.get(&field), shown)),
            field,
            wanted: level.wanted,
            shown: level.shown,
            standing,
        });
    }
    Ok(())
}

/// Says of the levels that differ to which product they belong: its job brings the stock of all its variants over.
async fn name_products(flow: &Flow<'_>, all: &mut StockFound) -> Result<(), Stop> {
    let is_other = |level: &&mut StockLevel| level.standing != StockStanding::InStep;
    let mut variants: Vec<ErpId> = all
        .levels
        .iter_mut()
        .filter(is_other)
        .map(|level| level.variant)
        .collect();
    variants.sort_unstable();
    variants.dedup();
    if variants.is_empty() {
        return Ok(());
    }
    let model = super::super::model_of_variants(flow);
    let names = [PRODUCT_OF_VARIANT.to_owned()];
    let rows = flow.shop.erp.read(&model, &variants, &names).await?;
    for level in all.levels.iter_mut().filter(is_other) {
        let row = rows.iter().find(|row| row.id == level.variant);
        level.product = match row.and_then(|row| row.fields.get(PRODUCT_OF_VARIANT)) {
            Some(FieldValue::Record(product)) => Some(*product),
            _ => None,
        };
    }
    Ok(())
}
