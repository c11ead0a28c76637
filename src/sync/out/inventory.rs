//! Stock: what the ERP has of a product's variants becomes the shop's quantities at each location.
//!
//! A quantity is an absolute number that sales and parcels change meanwhile, so four rules keep a push from inventing goods:
//! - It is written only if the shop still holds the number that it was computed beside (unless the mapping says that the ERP
//!   may overwrite). Else it is read anew, on both sides.
//! - Units that left the shop with a parcel and the ERP's shelves not yet (its delivery is still open) are taken off.
//! - It never rises while an order that sells the variant is still to be carried into the ERP: the ERP counts those units as
//!   there.
//! - Units of open orders that reserve nothing in the ERP yet are taken off what may be sold (`minus_open_orders`). Of the units
//!   on hand the shop subtracts what is committed by itself.
//!
//! All variants of a product are read and written together. One that has to wait, or that the shop refuses, keeps no other from
//! being written. The write has no natural key. It is committed as an intent first and sent with the intent's idempotency key;
//! an attempt that finds one open sends the very same again before it looks at anything.

mod articles;
mod compare;
mod noticed;
mod reckon;
mod report;
mod send;

use std::collections::BTreeSet;
use std::time::Duration;

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive as _;
use serde_json::json;

use self::articles::{Article, articles, held};
use self::reckon::{Open, Place, Plan, Quantity, Wanted, assign, plan, units};
use self::report::Found;
use self::send::{Sent, send_all, settle_intents};
use super::guard;
use crate::domain::{
    Canonical as _, Direction, ErpId, FieldValue, JobKey, LinkKind, Object, Outcome, Priority, Report,
    ShopifyId, Stock, StockOf, TableKey,
};
use crate::failpoint::{FailPoint, reach};
use crate::mapping::Mapping;
use crate::sync::flow::{Flow, agreed_out_of};
use crate::sync::stop::Stop;

/// When to look again whether the orders that sell a variant are carried in.
const ORDER_IN_WORK: Duration = Duration::from_secs(10);

/// The field of a variant that names its product.
const PRODUCT_OF_VARIANT: &str = "product_tmpl_id";

/// How often numbers are read anew within one attempt because the shop's moved in between.
const TRIES: u32 = 3;

pub use compare::{StockFailed, StockFound, StockLevel, StockStanding};
pub(super) use noticed::noticed;

/// When to look again where the shop sells faster than numbers can be read and written.
const CROWDED: Duration = Duration::from_secs(5);

/// A push of the stock of a product's variants.
pub(in crate::sync) async fn sync(flow: &mut Flow<'_>) -> Result<Report, Stop> {
    let mapping = flow.mapping(Object::Inventory, Direction::Out)?;
    settle_intents(flow).await?;
    let product = match flow.job.key.stock_of() {
        Some(StockOf::Product(product)) => product,
        Some(StockOf::Variant(variant)) => return handed_over(flow, variant).await,
        None => return Err(super::unusable_id(flow)),
    };
    let variants = flow.shop.erp.variants_of(product).await?;
    if variants.is_empty() {
        return Err(Stop::Obsolete("deleted_in_erp".into()));
    }
    let places = places(flow, &mapping).await?;
    let mut found = Found::default();
    let mut open = articles(flow, &variants).await?;
    if open.is_empty() {
        return Err(Stop::Obsolete("variant_not_linked".into()));
    }
    let mut crowded: BTreeSet<ShopifyId> = BTreeSet::new();
    for _ in 0..TRIES {
        let mut plan = look(flow, &mapping, &places, &mut open, &mut found).await?;
        reach(FailPoint::Planned).await?;
        plan.sets.retain(|set| !found.is_refused(set));
        if !plan.sets.is_empty() {
            guard::pass(flow, &plan.changes(&open)).await?;
        }
        let mut sent = Sent::default();
        let outcome = send_all(flow, &mapping, &plan, &crowded, &mut sent).await;
        found.settle(&mut open, &plan, &sent);
        crowded.extend(sent.stale.iter().map(|set| set.item));
        let (left, done): (Vec<Article>, Vec<Article>) =
            open.into_iter().partition(|article| sent.is_left(article.item));
        found.done.extend(done);
        open = left;
        if let Err(stop) = outcome {
            found.done.extend(open);
            // What was written and found out by now stays known.
            flow.commit_links(found.links()).await?;
            flow.tells_in_parting(found.told(flow, true));
            return Err(stop);
        }
        if open.is_empty() {
            return found.report(flow).await;
        }
    }
    found.is_crowded = true;
    found.done.extend(open);
    found.report(flow).await
}

/// A job that names a variant: its product's job brings over the stock of all variants.
async fn handed_over(flow: &Flow<'_>, variant: ErpId) -> Result<Report, Stop> {
    let model = super::model_of_variants(flow);
    let mut report = Report::of(
        Outcome::Completed,
        "the stock of all variants of its product is looked at together",
    );
    report.enqueue =
        vec![job_of_product(flow, &model, variant, format!("stock of variant {variant}")).await?];
    Ok(report)
}

/// The job of the product to which a variant of the ERP belongs.
async fn job_of_product(
    flow: &Flow<'_>,
    model: &str,
    variant: ErpId,
    cause: String,
) -> Result<(JobKey, Priority, String), Stop> {
    let names = [PRODUCT_OF_VARIANT.to_owned()];
    let rows = flow.shop.erp.read(model, &[variant], &names).await?;
    let product = rows.first().and_then(|row| row.fields.get(PRODUCT_OF_VARIANT));
    let Some(FieldValue::Record(product)) = product else {
        return Err(Stop::Obsolete("deleted_in_erp".into()));
    };
    let key = JobKey::of_erp(&flow.shop.name, Object::Inventory, *product);
    flow.note("handed_over", json!({ "variant": variant, "to": key.source_id }));
    Ok((key, Priority::LIVE, cause))
}

/// Reads both sides of these articles and plans. Articles that are not to be written are taken out, and noted as found.
async fn look(
    flow: &mut Flow<'_>,
    mapping: &Mapping,
    places: &[Place],
    articles: &mut Vec<Article>,
    found: &mut Found,
) -> Result<Plan, Stop> {
    let shop = flow.shop;
    // In this order: an order that is carried in between two questions makes a number too small, never too large.
    for article in articles.iter_mut() {
        article.in_work = shop.store.order_in_work(&shop.name, &article.ours).await?;
    }
    let held = held(flow, articles, found).await?;
    let variants: Vec<ErpId> = articles.iter().map(|article| article.theirs).collect();
    let open = Open::of(flow, &variants).await?;
    let stocks = stocks(flow, &variants, places).await?;
    if let Some(first) = stocks.first() {
        let more = articles.len().saturating_sub(1);
        flow.subject.record = Some(record_name(first, more));
    }
    reach(FailPoint::SourceFetched).await?;
    let minus = mapping.out.as_ref().is_some_and(|rules| rules.minus_open_orders);
    let settings = flow.settings_fact(None);
    let mut all = Plan::default();
    let mut left = Vec::new();
    for mut article in std::mem::take(articles) {
        let mut own = stocks.iter().filter(|stock| stock.variant == article.theirs.0);
        let (Some(first), Some(held)) = (own.next(), held.get(&article.item)) else {
            found.skip(article, "deleted_in_erp");
            continue;
        };
        if !held.tracked {
            found.skip(article, "not_tracked_on_shopify");
            continue;
        }
        let skip = mapping.skip(&first.fact(), &settings);
        if let Some(skip) = skip.map_err(|problems| flow.field_problems(&problems))? {
            found.skip(article, &skip.reason);
            continue;
        }
        let wanted = wanted(flow, mapping, places, &stocks, article.theirs, found).await?;
        let open = open.iter().find(|(variant, _)| *variant == article.theirs);
        let open = open.map_or_else(Open::default, |(_, open)| *open);
        article.sku.clone_from(&first.sku);
        article.name.clone_from(&first.name);
        let known = agreed_out_of(&article.link);
        let wanted = open.taken_off(wanted, held, minus);
        all.add(plan(&wanted, held, &known, article.in_work));
        left.push(article);
    }
    *articles = left;
    Ok(all)
}

fn record_name(stock: &Stock, more: usize) -> String {
    let of = stock
        .sku
        .clone()
        .unwrap_or_else(|| format!("variant {}", stock.variant));
    match more {
        0 => format!("stock of {of}"),
        more => format!("stock of {of} and {more} more"),
    }
}

/// The entry of the table that says which warehouse feeds a location.
fn table_key(location: ShopifyId) -> TableKey {
    TableKey {
        table: "locations".to_owned(),
        key: location.to_string(),
    }
}

/// Which location shows what.
async fn places(flow: &Flow<'_>, mapping: &Mapping) -> Result<Vec<Place>, Stop> {
    let mut locations = flow.shop.target.locations().await?;
    locations.retain(|location| location.active);
    let feeds = mapping.locations().into_iter().collect();
    match assign(&locations, &feeds) {
        Ok((places, unmapped)) => {
            if !unmapped.is_empty() {
                flow.note("locations_left_alone", json!(unmapped));
            }
            Ok(places)
        }
        Err(unmapped) => Err(flow
            .subject
            .problem(
                "location_not_mapped",
                "",
                format!(
                    "The shop has several locations ({}), and the mapping does not say which warehouse feeds which.",
                    unmapped.join(", ")
                ),
                "Enter in `[tables.locations]` of inventory.out.toml or of the shop's own tables which warehouse (its id) feeds each \
                 location (its number) that is to show stock, then retry.",
            )
            .answered_by_all(&locations.iter().map(|location| table_key(location.id)).collect::<Vec<_>>())
            .into()),
    }
}

async fn wanted(
    flow: &Flow<'_>,
    mapping: &Mapping,
    places: &[Place],
    stocks: &[Stock],
    variant: ErpId,
    found: &mut Found,
) -> Result<Wanted, Stop> {
    let mut wanted = Wanted::default();
    let settings = flow.settings_fact(None);
    for place in places {
        let warehouse = place.warehouse.map(|id| id.0);
        let own = |stock: &&Stock| stock.variant == variant.0 && stock.warehouse == warehouse;
        let Some(stock) = stocks.iter().find(own) else {
            // The other places are seen to all the same.
            found.unknown.insert(*place);
            continue;
        };
        let mapped = flow.evaluate(mapping, &stock.fact(), &settings).await?;
        let Some(field) = mapped.fields.first() else {
            continue;
        };
        if *field.target == *Quantity::Available.name() {
            wanted.quantity = Quantity::Available;
        }
        wanted.truth = field.truth;
        wanted.at.push((place.location, units(&field.value)));
    }
    Ok(wanted)
}

/// The ERP's numbers: of each warehouse that feeds a location, and their sum where one is fed by all.
async fn stocks(flow: &Flow<'_>, variants: &[ErpId], places: &[Place]) -> Result<Vec<Stock>, Stop> {
    let mut warehouses: Vec<ErpId> = places.iter().filter_map(|place| place.warehouse).collect();
    warehouses.sort_unstable();
    warehouses.dedup();
    let erp = &flow.shop.erp;
    let mut stocks = Vec::new();
    if places.iter().any(|place| place.warehouse.is_none()) {
        stocks = erp.stock(variants, &[]).await?;
    }
    if !warehouses.is_empty() {
        stocks.extend(erp.stock(variants, &warehouses).await?);
    }
    Ok(stocks)
}

impl Open {
    /// What the ERP is still to deliver to the shop's orders, by variant.
    async fn of(flow: &Flow<'_>, variants: &[ErpId]) -> Result<Vec<(ErpId, Self)>, Stop> {
        let shop = flow.shop;
        let deliveries = shop.erp.open_deliveries(variants).await?;
        let mut orders: Vec<ErpId> = deliveries.iter().map(|delivery| delivery.order).collect();
        orders.sort_unstable();
        orders.dedup();
        // Orders that somebody wrote in the ERP are none of the shop's.
        let links = shop
            .store
            .links_of_erp(&shop.name, LinkKind::Order, &orders)
            .await?;
        let is_ours = |order: ErpId| links.iter().any(|link| link.erp_id == order);
        let of = |variant: &ErpId| {
            let (mut demanded, mut reserved) = (Decimal::ZERO, Decimal::ZERO);
            let own = deliveries.iter().filter(|delivery| delivery.variant == *variant);
            for delivery in own.filter(|delivery| is_ours(delivery.order)) {
                demanded += delivery.demanded;
                reserved += delivery.reserved;
            }
            let open = Self {
                demanded: demanded.ceil().to_i64().unwrap_or(i64::MAX),
                reserved: reserved.floor().to_i64().unwrap_or_default(),
            };
            (*variant, open)
        };
        Ok(variants.iter().map(of).collect())
    }
}
