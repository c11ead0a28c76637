//! Stock: where it lies, what is there, and setting it.

use std::time::Duration;

use serde_json::{Value, json};

use super::fields::not_writable;
use super::refusal::{incomplete, rejected, user_errors};
use super::{MOST_PER_CALL, lock};
use crate::domain::{ItemStock, LevelStock, Location, QuantitiesSet, SetQuantities, ShopifyId};
use crate::shopify::Shopify;
use crate::shopify::documents::{self, Document};
use crate::shopify::error::ShopifyError;

/// How long the places are remembered.
const PLACES_HOLD: Duration = Duration::from_mins(5);
/// More pages than there are places.
const MOST_PAGES: usize = 50;
/// Shopify's word for "the true number is another"; the reference says who says so.
const REASON: &str = "correction";

/// Shopify's largest quantity.
const HIGHEST: i64 = 1_000_000_000;

const STALE: [&str; 2] = ["CHANGE_FROM_QUANTITY_STALE", "COMPARE_QUANTITY_STALE"];
const FAILED_BEFORE: &str = "IDEMPOTENCY_PREVIOUS_ATTEMPT_FAILED";

impl Shopify {
    /// The places of the shop, those out of use included. Remembered for five minutes.
    ///
    /// # Errors
    /// A [`ShopifyError`], whose disposition says what it means.
    pub async fn locations(&self) -> Result<Vec<Location>, ShopifyError> {
        let now = self.clock.now();
        if let Some((at, known)) = lock(&self.known.locations).as_ref()
            && now.since(*at) < PLACES_HOLD
        {
            return Ok(known.clone());
        }
        let document = &documents::STOCK_LOCATIONS;
        let mut places = Vec::new();
        let mut cursor = Value::Null;
        for page in 0.. {
            if page == MOST_PAGES {
                return Err(incomplete(document, "its pages do not end"));
            }
            let data = self.client.call(document, &json!({ "cursor": cursor })).await?;
            let list = &data["locations"];
            let nodes = list["nodes"]
                .as_array()
                .ok_or_else(|| incomplete(document, "it has no list of locations"))?;
            for node in nodes {
                places.push(place(node).ok_or_else(|| incomplete(document, "a location lacks a field"))?);
            }
            match next(list) {
                Some(next) => cursor = next,
                None => break,
            }
        }
        *lock(&self.known.locations) = Some((now, places.clone()));
        Ok(places)
    }

    /// The inventory items of these variants: (variant, item). A variant that the shop does not have (any more) is left out.
    ///
    /// # Errors
    /// A [`ShopifyError`], whose disposition says what it means.
    pub async fn items_of(
        &self,
        variants: &[ShopifyId],
    ) -> Result<Vec<(ShopifyId, ShopifyId)>, ShopifyError> {
        let document = &documents::VARIANT_ITEMS;
        let mut found = Vec::new();
        for part in variants.chunks(MOST_PER_CALL) {
            let ids: Vec<String> = part.iter().map(|id| id.gid("ProductVariant")).collect();
            let data = self.client.call(document, &json!({ "ids": ids })).await?;
            let nodes = data["nodes"]
                .as_array()
                .ok_or_else(|| incomplete(document, "it has no list of variants"))?;
            for node in nodes.iter().filter(|node| node["id"].is_string()) {
                let pair = id(&node["id"]).zip(id(&node["inventoryItem"]["id"]));
                found.push(pair.ok_or_else(|| incomplete(document, "a variant lacks its item"))?);
            }
        }
        Ok(found)
    }

    /// What the shop has of these items; one that it does not have (any more) is left out.
    ///
    /// # Errors
    /// A [`ShopifyError`], whose disposition says what it means.
    pub async fn item_stock(&self, items: &[ShopifyId]) -> Result<Vec<ItemStock>, ShopifyError> {
        let document = &documents::ITEM_STOCK;
        let mut found = Vec::new();
        for part in items.chunks(MOST_PER_CALL) {
            let ids: Vec<String> = part.iter().map(|id| id.gid("InventoryItem")).collect();
            let data = self.client.call(document, &json!({ "ids": ids })).await?;
            let nodes = data["nodes"]
                .as_array()
                .ok_or_else(|| incomplete(document, "it has no list of items"))?;
            for node in nodes.iter().filter(|node| node["id"].is_string()) {
                let mut item =
                    item(node).ok_or_else(|| incomplete(document, "an inventory item lacks a field"))?;
                let levels = &node["inventoryLevels"];
                read_levels(document, levels, &mut item)?;
                let mut cursor = next(levels);
                while let Some(after) = cursor {
                    cursor = self.more_levels(&after, &mut item).await?;
                }
                found.push(item);
            }
        }
        Ok(found)
    }

    async fn more_levels(&self, after: &Value, item: &mut ItemStock) -> Result<Option<Value>, ShopifyError> {
        let document = &documents::ITEM_LEVELS;
        let variables = json!({ "id": item.item.gid("InventoryItem"), "cursor": after });
        let data = self.client.call(document, &variables).await?;
        let levels = &data["inventoryItem"]["inventoryLevels"];
        read_levels(document, levels, item)?;
        Ok(next(levels).filter(|next| next != after))
    }

    /// Sets quantities, all or none; at most 250. The same key with the same quantities is carried out once. `Stale` is also
    /// the answer when an earlier call under this key failed: nothing was written, and a new plan needs a new key.
    ///
    /// # Errors
    /// A [`ShopifyError`]: refused with the index of each quantity that cannot be set.
    pub async fn set_quantities(&self, set: &SetQuantities) -> Result<QuantitiesSet, ShopifyError> {
        if set.items.is_empty() {
            return Ok(QuantitiesSet::Done);
        }
        if set.items.len() > MOST_PER_CALL {
            let reason = format!(
                "{} quantities at once, Shopify takes {MOST_PER_CALL}",
                set.items.len()
            );
            return Err(not_writable(&set.name, reason));
        }
        if let Some((index, one)) = set
            .items
            .iter()
            .enumerate()
            .find(|(_, one)| !(0..=HIGHEST).contains(&one.quantity))
        {
            let reason = format!(
                "quantities[{index}] is {}: Shopify takes 0 to {HIGHEST}",
                one.quantity
            );
            return Err(not_writable(&set.name, reason));
        }
        let document = &documents::QUANTITIES_SET;
        let quantities: Vec<Value> = set
            .items
            .iter()
            .map(|one| {
                json!({
                    "inventoryItemId": one.item.gid("InventoryItem"),
                    "locationId": one.location.gid("Location"),
                    "quantity": one.quantity,
                    // Must be there: null says that it may be anything.
                    "changeFromQuantity": one.from,
                })
            })
            .collect();
        let variables = json!({ "key": set.key, "input": {
            "name": set.name,
            "reason": REASON,
            "referenceDocumentUri": set.reference,
            "quantities": quantities,
        }});
        let data = self.client.call(document, &variables).await?;
        let errors = user_errors(&data["inventorySetQuantities"]);
        if errors.is_empty() {
            return Ok(QuantitiesSet::Done);
        }
        let all = || (0..set.items.len()).collect::<Vec<_>>();
        let has =
            |code: &Option<String>, codes: &[&str]| code.as_deref().is_some_and(|code| codes.contains(&code));
        if errors.iter().any(|error| has(&error.code, &[FAILED_BEFORE])) {
            return Ok(QuantitiesSet::Stale(all()));
        }
        if errors.iter().all(|error| has(&error.code, &STALE)) {
            let mut stale: Vec<usize> = errors
                .iter()
                .filter_map(|error| error.index("quantities"))
                .filter(|index| *index < set.items.len())
                .collect();
            stale.sort_unstable();
            stale.dedup();
            return Ok(QuantitiesSet::Stale(if stale.is_empty() { all() } else { stale }));
        }
        // A place may have been closed since we last asked.
        *lock(&self.known.locations) = None;
        // A stale quantity beside one that can never be set is the smaller trouble.
        let refusals = errors
            .iter()
            .filter(|error| !has(&error.code, &STALE))
            .map(|error| {
                let mut refusal = error.refusal(&[], "quantities", 0);
                if refusal.index.is_some() {
                    refusal.field = Some(set.name.clone());
                }
                refusal
            })
            .collect();
        Err(rejected(document, &errors, refusals, None))
    }
}

/// Where the next page begins, if there is one.
fn next(list: &Value) -> Option<Value> {
    let more = list.pointer("/pageInfo/hasNextPage").and_then(Value::as_bool);
    (more == Some(true)).then(|| list.pointer("/pageInfo/endCursor").cloned().unwrap_or_default())
}

fn id(value: &Value) -> Option<ShopifyId> {
    value.as_str()?.parse().ok()
}

fn place(node: &Value) -> Option<Location> {
    Some(Location {
        id: id(&node["id"])?,
        name: node["name"].as_str()?.to_owned(),
        active: node["isActive"].as_bool()?,
        fulfills_online: node["fulfillsOnlineOrders"].as_bool()?,
    })
}

fn item(node: &Value) -> Option<ItemStock> {
    Some(ItemStock {
        item: id(&node["id"])?,
        variant: node.pointer("/variants/nodes/0/id").and_then(id),
        tracked: node["tracked"].as_bool()?,
        levels: Vec::new(),
    })
}

fn read_levels(document: &Document, list: &Value, item: &mut ItemStock) -> Result<(), ShopifyError> {
    let nodes = list["nodes"]
        .as_array()
        .ok_or_else(|| incomplete(document, "an inventory item has no list of levels"))?;
    for node in nodes {
        let quantity = |name: &str| {
            let all = node["quantities"].as_array()?;
            let found = all.iter().find(|one| one["name"] == name)?;
            found["quantity"].as_i64()
        };
        let level = (|| {
            Some(LevelStock {
                location: id(&node["location"]["id"])?,
                available: quantity("available")?,
                on_hand: quantity("on_hand")?,
                committed: quantity("committed")?,
            })
        })();
        item.levels
            .push(level.ok_or_else(|| incomplete(document, "a level lacks its location or a quantity"))?);
    }
    Ok(())
}
