//! Mutations. Each looks at everything that it was given before it changes anything, and what it does announces itself
//! like what a merchant does. Mutations that the shop does not carry out are refused by name, so that nobody takes
//! silence for success.

mod customers;
mod input;
mod inventory;
mod keys;
mod metafields;
mod products;
mod subscriptions;
mod variants;

use apollo_compiler::ExecutableDocument;
use apollo_compiler::executable::{Field, Operation, Selection, SelectionSet};
use apollo_compiler::schema::Schema;
use serde_json::{Value as Json, json};

pub(in crate::sandbox::shopify) use keys::Keys;

use super::bulk;
use super::execute::{Outcome, run as execute};
use super::node::{Args, Failure, Node, Out};
use super::scopes;
use super::variables::{arguments, literal};
use super::view::root::record;
use super::view::{definition, one_metafield_of, stored_address};
use crate::sandbox::shopify::facts::StockAdjustment;
use crate::sandbox::shopify::ids::{gid, utc_text};
use crate::sandbox::shopify::shop::Shop;

/// Most items of a list that is given to a mutation (<https://shopify.dev/docs/api/usage/limits>).
const LONGEST_LIST: usize = 250;

/// A user error.
#[derive(Clone, Debug)]
pub(in crate::sandbox::shopify) struct Complaint {
    field: Option<Vec<String>>,
    message: String,
    code: Option<String>,
}

impl Complaint {
    pub(in crate::sandbox::shopify) fn new(
        field: &[&str],
        message: impl Into<String>,
        code: Option<&str>,
    ) -> Self {
        Self {
            field: (!field.is_empty()).then(|| field.iter().map(|f| (*f).to_owned()).collect()),
            message: message.into(),
            code: code.map(str::to_owned),
        }
    }

    /// The same below `path`.
    fn below(mut self, path: &[&str]) -> Self {
        let mut field: Vec<String> = path.iter().map(|f| (*f).to_owned()).collect();
        field.extend(self.field.unwrap_or_default());
        self.field = Some(field);
        self
    }

    /// The same with another code.
    fn with_code(mut self, code: &str) -> Self {
        self.code = Some(code.to_owned());
        self
    }
}

/// What a field of a payload shows.
#[derive(Clone)]
enum Shown {
    Leaf(Json),
    /// Kind and number of a record.
    Record(&'static str, u64),
    Records(&'static str, Vec<u64>),
    /// A customer's address.
    Address {
        customer: u64,
        address: u64,
    },
    /// Owner's kind and number, namespace, key.
    Metafields(Vec<(String, u64, String, String)>),
    Definition(u64),
    Adjustment(StockAdjustment),
    /// Item and location.
    Level(u64, u64),
}

/// What a mutation did: what it shows, and what was wrong.
#[derive(Clone, Default)]
struct Payload {
    shown: Vec<(&'static str, Shown)>,
    complaints: Vec<Complaint>,
}

impl Payload {
    fn show(&mut self, field: &'static str, shown: Shown) {
        self.shown.push((field, shown));
    }

    fn refused(complaints: Vec<Complaint>) -> Self {
        Self {
            shown: Vec::new(),
            complaints,
        }
    }
}

/// Runs the root fields one after the other, each seeing what the one before did.
pub(super) fn run(
    shop: &mut Shop,
    schema: &Schema,
    document: &ExecutableDocument,
    operation: &Operation,
    variables: &Args,
) -> Outcome {
    let mut fields = Vec::new();
    roots(document, &operation.selection_set, &mut fields);
    let mut done = Vec::new();
    for field in fields {
        let args = arguments(field, variables);
        let payload_type = field.definition.ty.inner_named_type().to_string();
        let error_type = schema.type_field(&payload_type, "userErrors").map_or_else(
            |_| "UserError".to_owned(),
            |f| f.ty.inner_named_type().to_string(),
        );
        done.push(Done {
            key: field.response_key().to_string(),
            payload_type,
            error_type,
            outcome: one(shop, field, &args, variables),
        });
    }
    let root = MutationRoot { shop, done: &done };
    execute(shop, schema, document, operation, variables, &root)
}

/// Carries out one root field: rights, limits, the key, then the thing itself.
fn one(shop: &mut Shop, field: &Field, args: &Args, variables: &Args) -> Result<Payload, Failure> {
    let name = field.name.as_str();
    let scopes = rights(name, args);
    if !scopes.is_empty() && !scopes.iter().any(|scope| shop.has_scope(scope)) {
        return Err(scopes::denied(name, scopes));
    }
    // A product is set as a whole, whatever the number of its variants.
    if name != "productSet" {
        short_lists(&Json::Object(args.clone()))?;
    }
    let key = field
        .directives
        .get("idempotent")
        .and_then(|directive| directive.specified_argument_by_name("key"))
        .and_then(|value| literal(value, variables))
        .and_then(|value| value.as_str().map(str::to_owned));
    if keys::are_needed(name) && key.is_none() {
        let message = "The @idempotent directive is required for this mutation but was not provided.";
        return Err(Failure::new(message, "BAD_REQUEST"));
    }
    if let Some(complaint) = shop.next_refusal(name) {
        return Ok(Payload::refused(vec![complaint]));
    }
    match key {
        Some(key) => keys::once(shop, &key, name, args, apply),
        None => apply(shop, name, args),
    }
}

fn short_lists(value: &Json) -> Result<(), Failure> {
    match value {
        Json::Array(items) if items.len() > LONGEST_LIST => Err(Failure::new(
            format!(
                "The input array size of {} is greater than the maximum allowed of {LONGEST_LIST}.",
                items.len()
            ),
            "MAX_INPUT_SIZE_EXCEEDED",
        )),
        Json::Array(items) => items.iter().try_for_each(short_lists),
        Json::Object(fields) => fields.values().try_for_each(short_lists),
        _ => Ok(()),
    }
}

/// Any one of these scopes is enough for the mutation.
fn rights(name: &str, args: &Args) -> &'static [&'static str] {
    let of_kind = |kind: &str| -> &'static [&'static str] {
        match kind {
            "Customer" | "CUSTOMER" => &["write_customers"],
            "Order" | "ORDER" => &["write_orders"],
            "Product" | "ProductVariant" | "PRODUCT" | "PRODUCTVARIANT" => &["write_products"],
            "Location" | "LOCATION" => &["write_locations"],
            _ => &[],
        }
    };
    let owner = |value: &Json| {
        let gid = value.as_str().and_then(crate::sandbox::shopify::ids::parse_gid);
        gid.map_or(&[] as &[&str], |(kind, _)| of_kind(kind))
    };
    match name {
        "customerSet" | "customerUpdate" | "customerAddressCreate" | "customerAddressUpdate" => {
            &["write_customers"]
        }
        "productSet" | "productUpdate" | "productVariantsBulkUpdate" | "productVariantsBulkCreate" => {
            &["write_products"]
        }
        "inventorySetQuantities" | "inventoryActivate" | "inventoryItemUpdate" => &["write_inventory"],
        "metafieldDefinitionCreate" => of_kind(args["definition"]["ownerType"].as_str().unwrap_or_default()),
        "metafieldsSet" => owner(&args["metafields"][0]["ownerId"]),
        "tagsAdd" | "tagsRemove" => owner(&args["id"]),
        _ => &[],
    }
}

fn roots<'a>(document: &'a ExecutableDocument, set: &'a SelectionSet, fields: &mut Vec<&'a Field>) {
    for selection in &set.selections {
        match selection {
            Selection::Field(field) => fields.push(field),
            Selection::InlineFragment(inline) => roots(document, &inline.selection_set, fields),
            Selection::FragmentSpread(spread) => {
                if let Some(fragment) = document.fragments.get(&spread.fragment_name) {
                    roots(document, &fragment.selection_set, fields);
                }
            }
        }
    }
}

fn apply(shop: &mut Shop, name: &str, args: &Args) -> Result<Payload, Failure> {
    match name {
        "webhookSubscriptionCreate" => subscriptions::create(shop, args),
        "webhookSubscriptionUpdate" => Ok(subscriptions::update(shop, args)),
        "webhookSubscriptionDelete" => Ok(subscriptions::delete(shop, args)),
        "customerSet" => customers::set(shop, args),
        "customerUpdate" => Ok(customers::update(shop, args)),
        "customerAddressCreate" => Ok(customers::create_address(shop, args)),
        "customerAddressUpdate" => Ok(customers::update_address(shop, args)),
        "productSet" => products::set(shop, args),
        "productUpdate" => products::update(shop, args),
        "productVariantsBulkUpdate" => Ok(variants::update(shop, args)),
        "productVariantsBulkCreate" => Ok(variants::create(shop, args)),
        "inventorySetQuantities" => inventory::set_quantities(shop, args),
        "inventoryActivate" => Ok(inventory::activate(shop, args)),
        "inventoryItemUpdate" => Ok(inventory::update_item(shop, args)),
        "metafieldsSet" => Ok(metafields::set(shop, args)),
        "metafieldDefinitionCreate" => Ok(metafields::define(shop, args)),
        "bulkOperationRunQuery" => Ok(bulk_payload(bulk::start(shop, args))),
        "bulkOperationCancel" => Ok(bulk_payload(bulk::cancel(shop, args))),
        "tagsAdd" => Ok(metafields::add_tags(shop, args)),
        "tagsRemove" => Ok(metafields::remove_tags(shop, args)),
        _ => Err(Failure::new(
            format!("the stand-in shop does not carry out {name}"),
            "NOT_IMPLEMENTED",
        )),
    }
}

fn bulk_payload(operation: Result<u64, Complaint>) -> Payload {
    match operation {
        Ok(id) => {
            let mut payload = Payload::default();
            payload.show("bulkOperation", Shown::Record("BulkOperation", id));
            payload
        }
        Err(complaint) => Payload::refused(vec![complaint]),
    }
}

/// A root field that was carried out.
struct Done {
    key: String,
    payload_type: String,
    error_type: String,
    outcome: Result<Payload, Failure>,
}

/// `Mutation`, after everything was done.
struct MutationRoot<'a, 'd> {
    shop: &'a Shop,
    done: &'d [Done],
}

impl<'a> Node<'a> for MutationRoot<'a, '_> {
    fn type_name(&self) -> &'static str {
        "Mutation"
    }

    fn field(&self, name: &str, args: &Args) -> Out<'a> {
        self.keyed(name, name, args)
    }

    fn keyed(&self, key: &str, _: &str, _: &Args) -> Out<'a> {
        match self.done.iter().find(|done| done.key == key) {
            Some(done) => match &done.outcome {
                Ok(payload) => Out::node(PayloadNode {
                    shop: self.shop,
                    type_name: done.payload_type.clone(),
                    error_type: done.error_type.clone(),
                    payload: payload.clone(),
                }),
                Err(failure) => Out::Failed(failure.clone()),
            },
            None => Out::Absent,
        }
    }
}

struct PayloadNode<'a> {
    shop: &'a Shop,
    type_name: String,
    error_type: String,
    payload: Payload,
}

impl<'a> Node<'a> for PayloadNode<'a> {
    fn type_name(&self) -> &str {
        &self.type_name
    }

    fn field(&self, name: &str, _: &Args) -> Out<'a> {
        if name == "userErrors" {
            return Out::list(self.payload.complaints.iter().map(|complaint| {
                Out::node(ComplaintNode {
                    type_name: self.error_type.clone(),
                    complaint: complaint.clone(),
                })
            }));
        }
        let found = self.payload.shown.iter().find(|(field, _)| *field == name);
        found.map_or(Out::Absent, |(_, shown)| show(self.shop, shown))
    }
}

struct ComplaintNode {
    type_name: String,
    complaint: Complaint,
}

impl<'a> Node<'a> for ComplaintNode {
    fn type_name(&self) -> &str {
        &self.type_name
    }

    fn field(&self, name: &str, _: &Args) -> Out<'a> {
        match name {
            "field" => Out::leaf(json!(self.complaint.field)),
            "message" => Out::leaf(self.complaint.message.clone()),
            "code" => Out::leaf(self.complaint.code.clone()),
            _ => Out::Absent,
        }
    }
}

fn show<'a>(shop: &'a Shop, shown: &Shown) -> Out<'a> {
    let one = |kind: &str, id: u64| record(shop, kind, id).unwrap_or(Out::Absent);
    match shown {
        Shown::Leaf(value) => Out::leaf(value.clone()),
        Shown::Record(kind, id) => one(kind, *id),
        Shown::Records(kind, ids) => Out::list(ids.iter().map(|id| one(kind, *id))),
        Shown::Address { customer, address } => stored_address(shop, *customer, *address),
        Shown::Metafields(all) => Out::list(all.iter().map(|(kind, owner, namespace, key)| {
            one_metafield_of(shop, one(kind, *owner), kind, *owner, namespace, key)
        })),
        Shown::Definition(id) => definition(shop, *id),
        Shown::Level(item, location) => super::view::level_of(shop, *item, *location),
        Shown::Adjustment(adjustment) => Out::record(
            "InventoryAdjustmentGroup",
            vec![
                ("id", Out::leaf(gid("InventoryAdjustmentGroup", adjustment.id))),
                ("createdAt", Out::leaf(utc_text(adjustment.at))),
                ("reason", Out::leaf(adjustment.reason.clone())),
                ("referenceDocumentUri", Out::leaf(adjustment.reference.clone())),
                (
                    "changes",
                    Out::list(adjustment.changes.iter().map(|change| {
                        Out::record(
                            "InventoryChange",
                            vec![
                                ("name", Out::leaf(change.name)),
                                ("delta", Out::leaf(change.delta)),
                                ("quantityAfterChange", Out::leaf(change.after)),
                                ("item", one("InventoryItem", change.item)),
                                ("location", one("Location", change.location)),
                            ],
                        )
                    })),
                ),
            ],
        ),
    }
}
