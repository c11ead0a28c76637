//! Stock: what the ERP has of a variant becomes the shop's quantity at each location.
//!
//! A quantity is an absolute number that sales and parcels change meanwhile, so four rules keep a push from inventing goods:
//! - It is written only if the shop still holds the number that it was computed beside (unless the mapping says that the ERP
//!   may overwrite). Else everything is read anew, on both sides.
//! - Units that left the shop with a parcel and the ERP's shelves not yet (its delivery is still open) are taken off.
//! - It never rises while an order that sells the variant is still to be carried into the ERP: the ERP counts those units as
//!   there.
//! - Units of open orders that reserve nothing in the ERP yet are taken off what may be sold (`minus_open_orders`). Of the units
//!   on hand the shop subtracts what is committed by itself.
//!
//! The write has no natural key. It is committed as an intent first and sent with the intent's idempotency key; an attempt
//! that finds one open sends the very same again before it looks at anything.

mod reckon;
mod send;

use std::time::Duration;

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive as _;
use serde_json::json;

use self::reckon::{Open, Place, Plan, Quantity, Wanted, assign, plan, units};
use self::send::{set, settle_intents};
use super::guard;
use crate::domain::{
    Canonical as _, Direction, Disposition, ErpId, ItemStock, JobId, Link, LinkKind, LinkState, Object,
    Outcome, QuantitiesSet, Report, ShopifyId, Stock,
};
use crate::failpoint::{FailPoint, reach};
use crate::mapping::Mapping;
use crate::sync::flow::Flow;
use crate::sync::stop::Stop;

/// How often numbers are read anew within one attempt because the shop's moved in between.
const TRIES: u32 = 3;

/// When to look again where the shop sells faster than numbers can be read and written.
const CROWDED: Duration = Duration::from_secs(5);

/// When to look again whether the orders that sell a variant are carried in.
const ORDER_IN_WORK: Duration = Duration::from_secs(10);

/// A push of one variant's stock: `variant` is the ERP's id.
pub(in crate::sync) async fn sync(flow: &mut Flow<'_>, variant: ErpId) -> Result<Report, Stop> {
    let shop = flow.shop;
    let mapping = flow.mapping(Object::Inventory, Direction::Out)?;
    let linked = shop
        .store
        .link_of_erp(&shop.name, LinkKind::Variant, variant)
        .await?;
    let Some(linked) = linked.filter(|link| link.state != LinkState::Retired) else {
        return Err(Stop::Obsolete("variant_not_linked".into()));
    };
    settle_intents(flow).await?;
    let places = places(flow, &mapping).await?;
    let mut known = Known::of(flow, &linked).await?;
    for _ in 0..TRIES {
        // In this order: an order that is carried in between two questions makes a number too small, never too large.
        let in_work = shop.store.order_in_work(&shop.name, &linked.source_id).await?;
        let held = known.held(flow, &linked).await?;
        if !held.tracked {
            return Err(Stop::Obsolete("not_tracked_on_shopify".into()));
        }
        let open = Open::of(flow, variant).await?;
        let stocks = stocks(flow, variant, &places).await?;
        let Some(first) = stocks.first() else {
            return Err(Stop::Obsolete("deleted_in_erp".into()));
        };
        flow.subject.record = Some(record_name(first));
        let skip = mapping.skip(&first.fact(), &flow.settings_fact(None));
        if let Some(skip) = skip.map_err(|problems| flow.field_problems(&problems))? {
            return Err(Stop::Obsolete(skip.reason.into()));
        }
        reach(FailPoint::SourceFetched).await?;
        let wanted = wanted(flow, &mapping, &places, &stocks).await?;
        let minus = mapping.out.as_ref().is_some_and(|rules| rules.minus_open_orders);
        let plan = plan(&open.taken_off(wanted, &held, minus), &held, in_work.is_none());
        reach(FailPoint::Planned).await?;
        if plan.sets.is_empty() {
            return Ok(known.report(flow, &plan, in_work, false));
        }
        guard::pass(flow, &plan.changes(known.item)).await?;
        match set(flow, &mapping, plan.quantity, known.item, &plan).await? {
            QuantitiesSet::Done => return Ok(known.report(flow, &plan, in_work, true)),
            QuantitiesSet::Stale(_) => flow.note("stock_moved_meanwhile", json!({ "item": known.item })),
        }
    }
    Err(Stop::Again {
        problem: Box::new(flow.subject.problem(
            "stock_keeps_moving",
            "",
            "The shop's stock of this variant changed each time between reading and writing it.".to_owned(),
            "Nothing: it is tried again. If this stays, look for another program that sets the same stock.",
        )),
        after: CROWDED,
    })
}

fn record_name(stock: &Stock) -> String {
    let of = stock
        .sku
        .clone()
        .unwrap_or_else(|| format!("variant {}", stock.variant));
    format!("stock of {of}")
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
        Err(locations) => Err(flow
            .subject
            .problem(
                "location_not_mapped",
                "",
                format!(
                    "The shop has several locations ({}), and the mapping does not say which warehouse feeds which.",
                    locations.join(", ")
                ),
                "Add `[tables.locations]` to inventory.out.toml: each location's number with the id of a warehouse, then retry.",
            )
            .into()),
    }
}

async fn wanted(
    flow: &Flow<'_>,
    mapping: &Mapping,
    places: &[Place],
    stocks: &[Stock],
) -> Result<Wanted, Stop> {
    let mut wanted = Wanted {
        quantity: Quantity::OnHand,
        at: Vec::new(),
    };
    let settings = flow.settings_fact(None);
    for place in places {
        let warehouse = place.warehouse.map(|id| id.0);
        let Some(stock) = stocks.iter().find(|stock| stock.warehouse == warehouse) else {
            return Err(unknown_warehouse(flow, place));
        };
        let mapped = flow.evaluate(mapping, &stock.fact(), &settings).await?;
        let Some(field) = mapped.fields.first() else {
            continue;
        };
        if *field.target == *Quantity::Available.name() {
            wanted.quantity = Quantity::Available;
        }
        wanted.at.push((place.location, units(&field.value)));
    }
    Ok(wanted)
}

/// The ERP's numbers: of each warehouse that feeds a location, and their sum where one is fed by all.
async fn stocks(flow: &Flow<'_>, variant: ErpId, places: &[Place]) -> Result<Vec<Stock>, Stop> {
    let warehouses: Vec<ErpId> = places.iter().filter_map(|place| place.warehouse).collect();
    let erp = &flow.shop.erp;
    let mut stocks = Vec::new();
    if places.iter().any(|place| place.warehouse.is_none()) {
        stocks = erp.stock(&[variant], &[]).await?;
    }
    if !warehouses.is_empty() {
        stocks.extend(erp.stock(&[variant], &warehouses).await?);
    }
    Ok(stocks)
}

fn unknown_warehouse(flow: &Flow<'_>, place: &Place) -> Stop {
    let warehouse = place.warehouse.map_or(0, |id| id.0);
    let mut problem = flow.subject.problem(
        "warehouse_not_found",
        &warehouse.to_string(),
        format!(
            "The ERP has no warehouse {warehouse}, which is to feed the shop's location {}.",
            place.location
        ),
        "Correct the id in `[tables.locations]` of inventory.out.toml, then retry.",
    );
    problem.field = Some("tables.locations".to_owned());
    problem.into()
}

impl Open {
    async fn of(flow: &Flow<'_>, variant: ErpId) -> Result<Self, Stop> {
        let shop = flow.shop;
        let (mut demanded, mut reserved) = (Decimal::ZERO, Decimal::ZERO);
        for delivery in shop.erp.open_deliveries(variant).await? {
            let link = shop
                .store
                .link_of_erp(&shop.name, LinkKind::Order, delivery.order)
                .await?;
            // Orders that somebody wrote in the ERP are none of the shop's.
            if link.is_some_and(|link| link.state != LinkState::Retired) {
                demanded += delivery.demanded;
                reserved += delivery.reserved;
            }
        }
        Ok(Self {
            demanded: demanded.ceil().to_i64().unwrap_or(i64::MAX),
            reserved: reserved.floor().to_i64().unwrap_or_default(),
        })
    }
}

/// What is remembered of a variant's stock: its inventory item.
struct Known {
    link: Link,
    item: ShopifyId,
}

impl Known {
    /// From the link of earlier pushes; the first one asks the shop for the item.
    async fn of(flow: &Flow<'_>, variant: &Link) -> Result<Self, Stop> {
        let shop = flow.shop;
        let known = shop
            .store
            .link_of_erp(&shop.name, LinkKind::Inventory, variant.erp_id)
            .await?
            .filter(|link| link.state != LinkState::Retired);
        if let Some(link) = known
            && let Ok(item) = link.source_id.parse()
        {
            return Ok(Self { link, item });
        }
        Self::ask(flow, variant).await
    }

    async fn ask(flow: &Flow<'_>, variant: &Link) -> Result<Self, Stop> {
        let Ok(of) = variant.source_id.parse::<ShopifyId>() else {
            return Err(Stop::Obsolete("variant_not_linked".into()));
        };
        let found = flow.shop.target.items_of(&[of]).await?;
        let Some((_, item)) = found.into_iter().next() else {
            return Err(Stop::Obsolete("deleted_on_shopify".into()));
        };
        let link = Link {
            kind: LinkKind::Inventory,
            source_id: item.to_string(),
            erp_name: None,
            state: LinkState::Linked,
            source_updated_at: None,
            agreed: serde_json::Value::Null,
            ..variant.clone()
        };
        Ok(Self { link, item })
    }

    /// What the shop shows now. A variant that was made anew on the shop has another item.
    async fn held(&mut self, flow: &Flow<'_>, variant: &Link) -> Result<ItemStock, Stop> {
        let is_of = |stock: &ItemStock| {
            let of = stock.variant.map(|of| of.to_string());
            of.is_none_or(|of| of == variant.source_id)
        };
        let target = &flow.shop.target;
        let found = target.item_stock(&[self.item]).await?.into_iter().next();
        if let Some(found) = found.filter(is_of) {
            return Ok(found);
        }
        let retired = Link {
            state: LinkState::Retired,
            ..self.link.clone()
        };
        flow.commit_links(vec![retired]).await?;
        *self = Self::ask(flow, variant).await?;
        let found = target.item_stock(&[self.item]).await?.into_iter().next();
        found.ok_or_else(|| Stop::Obsolete("deleted_on_shopify".into()))
    }

    fn report(self, flow: &Flow<'_>, plan: &Plan, in_work: Option<JobId>, written: bool) -> Report {
        let (outcome, summary) = match in_work {
            Some(order) if !plan.waits.is_empty() => {
                flow.note("rises_later", json!({ "order_job": order, "to": plan.waits }));
                (
                    waits_for(flow, order),
                    "stock rises when the orders in work are carried in",
                )
            }
            _ if written => (Outcome::Completed, "set the stock"),
            _ => (Outcome::Completed, "stock is up to date"),
        };
        let mut report = Report::of(outcome, summary);
        report.links = vec![self.link];
        report
    }
}

/// Looked at again soon, then more and more rarely; where it takes too long a person is told what stands in the way.
fn waits_for(flow: &Flow<'_>, order: JobId) -> Outcome {
    let mut problem = flow.subject.problem(
        "stock_waits_for_an_order",
        &order.to_string(),
        format!(
            "The ERP has more of this than the shop shows, and it must not be offered before order job {order} is carried into the ERP, which sells it."
        ),
        "See to that order (`lockstep jobs show NUMBER`) or discard its job, then retry.",
    );
    problem.detail = json!({ "order_job": order });
    Outcome::Failed {
        disposition: Disposition::Transient {
            retry_after: Some(ORDER_IN_WORK),
        },
        problem,
    }
}
