//! Metafields, their definitions, and tags.

use serde_json::Value as Json;

use super::{Complaint, Payload, Shown, input};
use crate::sandbox::shopify::facts::{Metafield, MetafieldDefinition};
use crate::sandbox::shopify::graphql::node::{Args, Failure};
use crate::sandbox::shopify::graphql::view::{digest, own_namespace};
use crate::sandbox::shopify::ids::parse_gid;
use crate::sandbox::shopify::shop::Shop;
use crate::sandbox::shopify::webhook::Change;

/// Most metafields of one `metafieldsSet`.
const MOST: usize = 25;

/// The type whose values are unique, and by which records can be looked up.
const ID: &str = "id";

/// The owner type of a kind of record.
fn owner_type(kind: &str) -> Option<&'static str> {
    Some(match kind {
        "Customer" => "CUSTOMER",
        "Product" => "PRODUCT",
        "ProductVariant" => "PRODUCTVARIANT",
        "Order" => "ORDER",
        _ => return None,
    })
}

impl Shop {
    /// The metafields of a record.
    pub(in crate::sandbox::shopify) fn metafields_of(&self, kind: &str, id: u64) -> Option<&[Metafield]> {
        match kind {
            "Customer" => self.customer(id).map(|c| c.metafields.as_slice()),
            "Product" => self.product(id).map(|p| p.metafields.as_slice()),
            "ProductVariant" => self.variant(id).map(|(_, v)| v.metafields.as_slice()),
            "Order" => self.order(id).map(|o| o.metafields.as_slice()),
            _ => None,
        }
    }

    fn definition_of(&self, kind: &str, namespace: &str, key: &str) -> Option<&MetafieldDefinition> {
        self.definitions.iter().find(|d| {
            Some(d.owner_type.as_str()) == owner_type(kind) && d.namespace == namespace && d.key == key
        })
    }

    /// Who has this value.
    fn owner_of_value(&self, kind: &str, namespace: &str, key: &str, value: &str) -> Option<u64> {
        let has = |fields: &[Metafield]| {
            fields
                .iter()
                .any(|f| f.namespace == namespace && f.key == key && f.value == value)
        };
        match kind {
            "Customer" => self.customers.values().find(|c| has(&c.metafields)).map(|c| c.id),
            "Product" => self.products.values().find(|p| has(&p.metafields)).map(|p| p.id),
            "ProductVariant" => self
                .products
                .values()
                .flat_map(|p| &p.variants)
                .find(|v| has(&v.metafields))
                .map(|v| v.id),
            _ => None,
        }
    }

    /// The record that a custom id names.
    pub(in crate::sandbox::shopify::graphql) fn owner_of_custom_id(
        &self,
        kind: &str,
        custom: &Json,
    ) -> Result<Option<u64>, Failure> {
        let namespace = own_namespace(custom["namespace"].as_str().unwrap_or_default());
        let key = custom["key"].as_str().unwrap_or_default();
        if self
            .definition_of(kind, &namespace, key)
            .is_none_or(|d| d.kind != ID)
        {
            return Err(Failure::new(
                "Metafield definition of type 'id' is required when using custom ids.",
                "NOT_FOUND",
            ));
        }
        let value = custom["value"].as_str().unwrap_or_default();
        Ok(self.owner_of_value(kind, &namespace, key, value))
    }
}

/// The metafield that a custom id is.
pub(super) fn of_custom_id(shop: &mut Shop, custom: &Json) -> Metafield {
    Metafield {
        id: shop.ids.take(),
        namespace: own_namespace(custom["namespace"].as_str().unwrap_or_default()),
        key: custom["key"].as_str().unwrap_or_default().to_owned(),
        kind: ID.to_owned(),
        value: custom["value"].as_str().unwrap_or_default().to_owned(),
    }
}

/// Reads a list of metafields for a record of this kind (`owner` when it exists), or complains; the paths of complaints
/// begin with the position in the list.
pub(super) fn read(
    shop: &mut Shop,
    kind: &str,
    owner: Option<u64>,
    list: &Json,
) -> Result<Vec<Metafield>, Vec<Complaint>> {
    let (mut found, mut complaints) = (Vec::new(), Vec::new());
    for (index, one) in list.as_array().into_iter().flatten().enumerate() {
        let index = index.to_string();
        let mut complain = |field: &str, message: &str, code: &str| {
            complaints.push(Complaint::new(&[index.as_str(), field], message, Some(code)));
        };
        let namespace = own_namespace(one["namespace"].as_str().unwrap_or_default());
        let key = one["key"].as_str().unwrap_or_default().to_owned();
        let value = one["value"].as_str().unwrap_or_default().to_owned();
        let defined = shop.definition_of(kind, &namespace, &key).map(|d| d.kind.clone());
        let given = one["type"].as_str().map(str::to_owned);
        if !(2..=64).contains(&key.len()) {
            complain("key", "Key must be 2 to 64 characters long", "TOO_SHORT");
            continue;
        }
        if value.is_empty() {
            complain("value", "Value can't be blank", "BLANK");
            continue;
        }
        let Some(field_type) = defined.clone().or_else(|| given.clone()) else {
            complain("type", "Type can't be blank", "BLANK");
            continue;
        };
        if given.is_some_and(|given| given != field_type) {
            let message = format!("Type must be consistent with the definition's type '{field_type}'");
            complain("type", &message, "INVALID_TYPE");
            continue;
        }
        if field_type == ID {
            let taken = shop
                .owner_of_value(kind, &namespace, &key, &value)
                .is_some_and(|other| Some(other) != owner);
            if defined.is_none() {
                complain("type", "Type id needs a definition", "INVALID_TYPE");
                continue;
            }
            if taken {
                complain(
                    "value",
                    "Value must be unique, and it is already assigned to another record",
                    "CAPABILITY_VIOLATION",
                );
                continue;
            }
        }
        found.push(Metafield {
            id: shop.ids.take(),
            namespace,
            key,
            kind: field_type,
            value,
        });
    }
    if complaints.is_empty() {
        Ok(found)
    } else {
        Err(complaints)
    }
}

/// Puts new values over old ones; ids of known keys stay.
pub(super) fn put(fields: &mut Vec<Metafield>, new: Vec<Metafield>) {
    for mut one in new {
        let old = fields
            .iter()
            .position(|f| f.namespace == one.namespace && f.key == one.key);
        match old {
            Some(at) => {
                one.id = fields[at].id;
                fields[at] = one;
            }
            None => fields.push(one),
        }
    }
}

/// `metafieldsSet`: all or none.
pub(super) fn set(shop: &mut Shop, args: &Args) -> Payload {
    let list = args["metafields"].as_array().cloned().unwrap_or_default();
    if list.len() > MOST {
        let message = format!("Exceeded the maximum metafields input limit of {MOST}.");
        return Payload::refused(vec![Complaint::new(
            &["metafields"],
            message,
            Some("LESS_THAN_OR_EQUAL_TO"),
        )]);
    }
    let mut complaints = Vec::new();
    let mut ready: Vec<(String, u64, Metafield)> = Vec::new();
    for (index, one) in list.iter().enumerate() {
        let at = index.to_string();
        let gid = one["ownerId"].as_str().and_then(parse_gid);
        let owner = gid.filter(|(kind, id)| shop.metafields_of(kind, *id).is_some());
        let Some((kind, id)) = owner else {
            let path = ["metafields", at.as_str(), "ownerId"];
            complaints.push(Complaint::new(&path, "Owner does not exist.", Some("INVALID")));
            continue;
        };
        match read(shop, kind, Some(id), &Json::Array(vec![one.clone()])) {
            Ok(fields) => {
                for field in fields {
                    let stored = shop.metafields_of(kind, id).and_then(|all| {
                        all.iter()
                            .find(|f| f.namespace == field.namespace && f.key == field.key)
                    });
                    let expected = one.get("compareDigest");
                    let fits = expected.is_none_or(|want| want.as_str() == stored.map(digest).as_deref());
                    if !fits {
                        complaints.push(Complaint::new(
                            &["metafields", &at, "compareDigest"],
                            "The metafield has been modified since it was loaded.",
                            Some("STALE_OBJECT"),
                        ));
                    }
                    ready.push((kind.to_owned(), id, field));
                }
            }
            Err(found) => complaints.extend(found.into_iter().map(|mut complaint| {
                // The list had one item, so its position is that of the whole list.
                if let Some(field) = &mut complaint.field {
                    field[0].clone_from(&at);
                }
                complaint.below(&["metafields"])
            })),
        }
    }
    if !complaints.is_empty() {
        return Payload::refused(complaints);
    }
    let mut payload = Payload::default();
    let shown = ready
        .iter()
        .map(|(kind, id, f)| (kind.clone(), *id, f.namespace.clone(), f.key.clone()));
    payload.show("metafields", Shown::Metafields(shown.collect()));
    for (kind, id, field) in ready {
        // Existing records only, as was checked.
        let _ = match kind.as_str() {
            "Customer" => shop.edit_customer(id, |c| put(&mut c.metafields, vec![field])),
            "Product" => shop.edit_product(id, |p| put(&mut p.metafields, vec![field])),
            "ProductVariant" => shop.edit_variant(id, |v| put(&mut v.metafields, vec![field])),
            _ => {
                if let Some(order) = shop.orders.get_mut(&id) {
                    put(&mut order.metafields, vec![field]);
                }
                Ok(())
            }
        };
    }
    payload
}

/// `metafieldDefinitionCreate`.
pub(super) fn define(shop: &mut Shop, args: &Args) -> Payload {
    let wanted = &args["definition"];
    let text = |name: &str| wanted[name].as_str().unwrap_or_default().to_owned();
    let (namespace, key, owner) = (own_namespace(&text("namespace")), text("key"), text("ownerType"));
    let refuse = |field: &str, message: String, code: &str| {
        Payload::refused(vec![Complaint::new(&["definition", field], message, Some(code))])
    };
    if text("name").trim().is_empty() {
        return refuse("name", "Name can't be blank".to_owned(), "BLANK");
    }
    if !(2..=64).contains(&key.len()) {
        return refuse(
            "key",
            "Key must be 2 to 64 characters long".to_owned(),
            "TOO_SHORT",
        );
    }
    if text("type") == ID && wanted["capabilities"]["uniqueValues"]["enabled"].as_bool() == Some(false) {
        return refuse(
            "capabilities",
            "The capability unique_values is required for the definition type but is disabled.".to_owned(),
            "CAPABILITY_REQUIRED_BUT_DISABLED",
        );
    }
    let twin = |d: &&MetafieldDefinition| d.owner_type == owner && d.namespace == namespace && d.key == key;
    if shop.definitions.iter().any(|d| twin(&d)) {
        let message = format!("Key is in use for {owner} metafields on the '{namespace}' namespace.");
        return refuse("key", message, "TAKEN");
    }
    let id = shop.ids.take();
    shop.definitions.push(MetafieldDefinition {
        id,
        owner_type: owner,
        namespace,
        key,
        name: text("name"),
        kind: text("type"),
    });
    let mut payload = Payload::default();
    payload.show("createdDefinition", Shown::Definition(id));
    payload
}

/// `tagsAdd`.
pub(super) fn add_tags(shop: &mut Shop, args: &Args) -> Payload {
    let more = input::texts(&args["tags"]);
    tags(shop, args, |tags| tags.extend(more))
}

/// `tagsRemove`.
pub(super) fn remove_tags(shop: &mut Shop, args: &Args) -> Payload {
    let gone: Vec<String> = input::texts(&args["tags"])
        .iter()
        .map(|t| t.to_lowercase())
        .collect();
    tags(shop, args, |tags| {
        tags.retain(|tag| !gone.contains(&tag.to_lowercase()));
    })
}

fn tags(shop: &mut Shop, args: &Args, change: impl FnOnce(&mut Vec<String>)) -> Payload {
    let tidy = |tags: &mut Vec<String>| {
        tags.sort();
        // Tags that differ in case only are one.
        tags.dedup_by_key(|tag| tag.to_lowercase());
    };
    let mut payload = Payload::default();
    let missing = || Payload::refused(vec![Complaint::new(&["id"], "Resource not found", None)]);
    let Some((kind, id)) = args["id"].as_str().and_then(parse_gid) else {
        return missing();
    };
    let shown = match kind {
        "Customer" if shop.customers.contains_key(&id) => {
            let _ = shop.edit_customer(id, |c| {
                change(&mut c.tags);
                tidy(&mut c.tags);
            });
            "Customer"
        }
        "Product" if shop.products.contains_key(&id) => {
            let _ = shop.edit_product(id, |p| {
                change(&mut p.tags);
                tidy(&mut p.tags);
            });
            "Product"
        }
        "Order" if shop.orders.contains_key(&id) => {
            let now = shop.now();
            if let Some(order) = shop.orders.get_mut(&id) {
                change(&mut order.tags);
                tidy(&mut order.tags);
                order.updated_at = now;
            }
            shop.announce(&[Change::Order("orders/updated", id)]);
            "Order"
        }
        _ => return missing(),
    };
    payload.show("node", Shown::Record(shown, id));
    payload
}
