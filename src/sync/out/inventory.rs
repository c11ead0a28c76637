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

use std::collections::BTreeMap;
use std::time::Duration;

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive as _;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::domain::{
    Canonical as _, Direction, Disposition, ErpId, FieldValue, ItemStock, JobId, LevelStock, Link, LinkKind,
    LinkState, Location, Object, Outcome, QuantitiesSet, Report, SetQuantities, SetQuantity, ShopifyId,
    Stock,
};
use crate::failpoint::{FailPoint, reach};
use crate::mapping::Mapping;
use crate::store::NewIntent;
use crate::sync::flow::Flow;
use crate::sync::stop::Stop;

use super::guard;

/// The kind of the intents.
const SET: &str = "set_quantities";

/// How long Shopify surely remembers an idempotency key. An older intent is not sent again: its number is out of date, and
/// whatever it did shows in the shop by now.
const KEY_LIVES: Duration = Duration::from_secs(12 * 3600);

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

/// A location of the shop, and the warehouse that feeds it (none: all of them).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    location: ShopifyId,
    warehouse: Option<ErpId>,
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

/// A single location is fed by everything unless something else is said. Of several, those that the table names are fed.
fn assign(
    locations: &[Location],
    feeds: &BTreeMap<ShopifyId, Option<ErpId>>,
) -> Result<(Vec<Place>, Vec<String>), Vec<String>> {
    let named = |location: &Location| format!("{} ({})", location.name, location.id);
    if let ([only], true) = (locations, feeds.is_empty()) {
        let place = Place {
            location: only.id,
            warehouse: None,
        };
        return Ok((vec![place], Vec::new()));
    }
    let fed = |location: &Location| {
        Some(Place {
            location: location.id,
            warehouse: *feeds.get(&location.id)?,
        })
    };
    let places: Vec<Place> = locations.iter().filter_map(fed).collect();
    let left = locations.iter().filter(|location| fed(location).is_none());
    let left: Vec<String> = left.map(named).collect();
    if places.is_empty() {
        return Err(left);
    }
    Ok((places, left))
}

/// What the mapping makes of the ERP's numbers, for each location.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Wanted {
    /// Which of the shop's quantities is set.
    quantity: Quantity,
    at: Vec<(ShopifyId, i64)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Quantity {
    OnHand,
    Available,
}

impl Quantity {
    const fn name(self) -> &'static str {
        match self {
            Self::OnHand => "on_hand",
            Self::Available => "available",
        }
    }

    const fn of(self, level: &LevelStock) -> i64 {
        match self {
            Self::OnHand => level.on_hand,
            Self::Available => level.available,
        }
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

/// Whole units that can be sold: parts of one are not there yet, and fewer than none the shop does not take.
fn units(value: &FieldValue) -> i64 {
    match value {
        FieldValue::Integer(units) => (*units).max(0),
        FieldValue::Decimal(units) => units.floor().max(Decimal::ZERO).to_i64().unwrap_or(i64::MAX),
        _ => 0,
    }
}

/// What the ERP is still to deliver of a variant to the shop's orders.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Open {
    demanded: i64,
    reserved: i64,
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

    /// What may be shown of what the ERP has.
    fn taken_off(self, mut wanted: Wanted, held: &ItemStock, minus_open_orders: bool) -> Wanted {
        let committed: i64 = held.levels.iter().map(|level| level.committed).sum();
        match wanted.quantity {
            Quantity::OnHand => {
                // The shop has sent these already (they are committed no more), the ERP has not.
                let ahead = (self.demanded - committed).max(0);
                for (_, quantity) in &mut wanted.at {
                    *quantity = (*quantity - ahead).max(0);
                }
            }
            Quantity::Available if minus_open_orders => {
                let mut left = (committed - self.reserved).max(0);
                for (location, quantity) in &mut wanted.at {
                    let here = held.levels.iter().find(|level| level.location == *location);
                    let taken = here.map_or(0, |level| level.committed).clamp(0, left);
                    left -= taken;
                    *quantity = (*quantity - taken).max(0);
                }
            }
            Quantity::Available => {}
        }
        wanted
    }
}

/// What is to be done at the locations.
#[derive(Debug, PartialEq, Eq)]
struct Plan {
    quantity: Quantity,
    /// To be written: with the number that the shop holds now, where it holds one.
    sets: Vec<Set>,
    /// To rise once the orders in work are carried in.
    waits: Vec<(ShopifyId, i64)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Set {
    location: ShopifyId,
    quantity: i64,
    from: Option<i64>,
}

impl Plan {
    /// What the limits on sudden change are to know.
    fn changes(&self, item: ShopifyId) -> guard::Changes {
        let zeroed = self
            .sets
            .iter()
            .filter(|set| set.quantity == 0 && set.from.is_some_and(|from| from > 0));
        guard::Changes {
            zeroed: zeroed.map(|set| format!("{item}@{}", set.location)).collect(),
            plan: self
                .sets
                .iter()
                .map(|set| (set.location.to_string(), FieldValue::Integer(set.quantity)))
                .collect(),
            ..guard::Changes::default()
        }
    }
}

fn plan(wanted: &Wanted, held: &ItemStock, may_rise: bool) -> Plan {
    let mut plan = Plan {
        quantity: wanted.quantity,
        sets: Vec::new(),
        waits: Vec::new(),
    };
    for &(location, quantity) in &wanted.at {
        let level = held.levels.iter().find(|level| level.location == location);
        let from = level.map(|level| wanted.quantity.of(level));
        // A location that never had any of it shows none.
        let shown = from.unwrap_or(0);
        if quantity > shown && !may_rise {
            plan.waits.push((location, quantity));
        } else if quantity != shown {
            plan.sets.push(Set {
                location,
                quantity,
                from,
            });
        }
    }
    plan
}

/// An intent's content: what is sent, but for its key.
#[derive(Debug, Serialize, Deserialize)]
struct Sent {
    name: String,
    reference: String,
    /// Item, location, quantity, and what it is changed from.
    items: Vec<(ShopifyId, ShopifyId, i64, Option<i64>)>,
}

impl Sent {
    fn with_key(self, key: String) -> SetQuantities {
        SetQuantities {
            name: self.name,
            key,
            reference: self.reference,
            items: self
                .items
                .into_iter()
                .map(|(item, location, quantity, from)| SetQuantity {
                    item,
                    location,
                    quantity,
                    from,
                })
                .collect(),
        }
    }
}

/// Commits the write as an intent, sends it, and closes the intent when its outcome is known.
async fn set(
    flow: &Flow<'_>,
    mapping: &Mapping,
    quantity: Quantity,
    item: ShopifyId,
    plan: &Plan,
) -> Result<QuantitiesSet, Stop> {
    let shop = flow.shop;
    let overwrite = mapping.out.as_ref().is_some_and(|rules| rules.overwrite);
    let sent = Sent {
        name: quantity.name().to_owned(),
        reference: format!("gid://lockstep/Job/{}", flow.job.id),
        items: plan
            .sets
            .iter()
            .map(|set| (item, set.location, set.quantity, set.from.filter(|_| !overwrite)))
            .collect(),
    };
    let key = uuid::Uuid::new_v4().to_string();
    let intent = NewIntent {
        kind: SET.to_owned(),
        key: key.clone(),
        payload: serde_json::to_value(&sent).unwrap_or_default(),
    };
    let now = shop.clock.now();
    let opened = shop
        .store
        .open_intent(flow.job.id, flow.job.fence, intent, now)
        .await?;
    let Some(intent) = opened else {
        return Err(Stop::Stale);
    };
    send(flow, intent, &sent.with_key(key)).await
}

async fn send(flow: &Flow<'_>, intent: i64, set: &SetQuantities) -> Result<QuantitiesSet, Stop> {
    let shop = flow.shop;
    let outcome = match flow.send(shop.target.set_quantities(set)).await {
        Ok(outcome) => outcome,
        Err(stop) => {
            // What the shop refused it did not do; of anything else nobody knows.
            if stop.is_refused_by_shop() {
                close(flow, intent).await?;
            }
            return Err(stop);
        }
    };
    flow.note(
        "set_quantities",
        json!({
            "name": set.name,
            "outcome": if matches!(outcome, QuantitiesSet::Done) { "done" } else { "stale" },
            "items": set.items.iter().map(|item| json!({
                "location": item.location, "quantity": item.quantity, "from": item.from,
            })).collect::<Vec<_>>(),
        }),
    );
    close(flow, intent).await?;
    Ok(outcome)
}

async fn close(flow: &Flow<'_>, intent: i64) -> Result<(), Stop> {
    let now = flow.shop.clock.now();
    let store = &flow.shop.store;
    if store
        .close_intent(flow.job.id, flow.job.fence, intent, now)
        .await?
    {
        Ok(())
    } else {
        Err(Stop::Stale)
    }
}

/// Sends again what an earlier attempt may or may not have sent. With the same key it takes effect once.
async fn settle_intents(flow: &Flow<'_>) -> Result<(), Stop> {
    let shop = flow.shop;
    for intent in shop.store.open_intents(&flow.job.key).await? {
        let is_fresh = shop.clock.now().since(intent.created_at) < KEY_LIVES;
        match serde_json::from_value::<Sent>(intent.payload) {
            Ok(sent) if is_fresh && intent.kind == SET => {
                flow.note("sent_again", json!({ "key": intent.key }));
                send(flow, intent.id, &sent.with_key(intent.key)).await?;
            }
            _ => close(flow, intent.id).await?,
        }
    }
    Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;

    fn location(id: u64, name: &str) -> Location {
        Location {
            id: ShopifyId(id),
            name: name.to_owned(),
            active: true,
            fulfills_online: true,
        }
    }

    #[test]
    fn one_location_is_fed_by_everything_and_several_as_the_table_says() {
        let one = [location(1, "Shop")];
        let two = [location(1, "Shop"), location(2, "Depot")];
        let feeds = |pairs: &[(u64, i64)]| {
            let feed = |(location, warehouse): &(u64, i64)| {
                (
                    ShopifyId(*location),
                    (*warehouse > 0).then_some(ErpId(*warehouse)),
                )
            };
            pairs.iter().map(feed).collect()
        };
        let place = |location, warehouse: Option<i64>| Place {
            location: ShopifyId(location),
            warehouse: warehouse.map(ErpId),
        };
        assert_eq!(assign(&one, &feeds(&[])), Ok((vec![place(1, None)], vec![])));
        assert_eq!(
            assign(&one, &feeds(&[(1, 7)])),
            Ok((vec![place(1, Some(7))], vec![]))
        );
        assert_eq!(
            assign(&two, &feeds(&[(2, 7)])),
            Ok((vec![place(2, Some(7))], vec!["Shop (1)".to_owned()]))
        );
        let nothing = vec!["Shop (1)".to_owned(), "Depot (2)".to_owned()];
        assert_eq!(assign(&two, &feeds(&[])), Err(nothing));
        assert!(assign(&one, &feeds(&[(9, 7)])).is_err());
    }

    #[test]
    fn only_whole_units_that_are_there_are_sent() {
        for (value, expected) in [
            (FieldValue::Integer(5), 5),
            (FieldValue::Integer(-2), 0),
            (FieldValue::Decimal(Decimal::new(29, 1)), 2),
            (FieldValue::Decimal(Decimal::new(-5, 1)), 0),
            (FieldValue::Clear, 0),
        ] {
            assert_eq!(units(&value), expected, "{value}");
        }
    }

    fn level(location: ShopifyId, on_hand: i64, committed: i64) -> LevelStock {
        LevelStock {
            location,
            available: on_hand - committed,
            on_hand,
            committed,
        }
    }

    fn held(levels: Vec<LevelStock>) -> ItemStock {
        ItemStock {
            item: ShopifyId(5),
            variant: None,
            tracked: true,
            levels,
        }
    }

    #[test]
    fn units_that_nobody_reserved_are_taken_off_where_they_are_committed() {
        let (front, back) = (ShopifyId(1), ShopifyId(2));
        let held = held(vec![level(front, 3, 3), level(back, 4, 4)]);
        let sent = Wanted {
            quantity: Quantity::Available,
            at: vec![(front, 10), (back, 2)],
        };
        let after = |reserved, minus| {
            let open = Open {
                demanded: reserved,
                reserved,
            };
            let wanted = open.taken_off(sent.clone(), &held, minus);
            (wanted.at[0].1, wanted.at[1].1)
        };
        assert_eq!(after(0, false), (10, 2), "the mapping does not ask");
        assert_eq!(after(7, true), (10, 2), "all is reserved");
        assert_eq!(after(9, true), (10, 2));
        assert_eq!(after(5, true), (8, 2));
        assert_eq!(after(0, true), (7, 0), "never below none");
    }

    #[test]
    fn what_the_shop_sent_and_the_erp_did_not_is_taken_off_what_is_on_hand() {
        let at = ShopifyId(1);
        for (name, erp, demanded, committed, expected) in [
            ("nothing open", 12, 0, 0, 12),
            ("sold, and sent by nobody", 12, 3, 3, 12),
            ("sent by the shop", 12, 3, 0, 9),
            ("one of two parcels sent", 12, 5, 2, 9),
            ("sold, and not carried in yet", 12, 0, 4, 12),
            ("more than there is", 2, 5, 0, 0),
        ] {
            let wanted = Wanted {
                quantity: Quantity::OnHand,
                at: vec![(at, erp)],
            };
            let open = Open {
                demanded,
                reserved: 0,
            };
            let held = held(vec![level(at, 7, committed)]);
            assert_eq!(
                open.taken_off(wanted, &held, false).at,
                [(at, expected)],
                "{name}"
            );
        }
    }

    #[test]
    fn fewer_are_sent_at_once_and_more_only_when_no_order_is_in_work() {
        let at = ShopifyId(1);
        let set = |quantity, from| {
            (
                vec![Set {
                    location: at,
                    quantity,
                    from,
                }],
                vec![],
            )
        };
        let nothing = (vec![], vec![]);
        for (name, wanted, shown, may_rise, expected) in [
            ("never stocked there", 5, None, true, set(5, None)),
            ("fewer", 2, Some(3), false, set(2, Some(3))),
            ("more", 9, Some(3), true, set(9, Some(3))),
            (
                "more, with an order in work",
                9,
                Some(3),
                false,
                (vec![], vec![(at, 9)]),
            ),
            ("the same", 3, Some(3), false, nothing.clone()),
            ("none where nothing ever was", 0, None, false, nothing),
        ] {
            let wanted = Wanted {
                quantity: Quantity::OnHand,
                at: vec![(at, wanted)],
            };
            let held = held(shown.map(|shown| level(at, shown, 1)).into_iter().collect());
            let plan = plan(&wanted, &held, may_rise);
            assert_eq!((plan.sets, plan.waits), expected, "{name}");
        }
    }
}
