//! What is said only in mappings of the direction out: which fields the shop has, what the ERP is asked for besides, what
//! becomes of archived records, and how stock is sent.

use toml::de::{DeTable, DeValue};

use super::compile::is_identifier;
use super::diagnose::Diagnostics;
use super::document::{self as doc, Node, entries, get, text};
use super::rule::{Mapping, Missing, Rule, Table};
use super::types::FieldType;
use crate::domain::{ErpId, FieldValue, Object, ShopField, ShopFieldKind, ShopifyId};

/// What becomes of the shop's record when the ERP's is archived or deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Archived {
    /// It is archived, too.
    Archive,
    /// Nothing.
    #[default]
    Ignore,
    /// A person decides.
    Problem,
}

/// What a mapping of the direction out says besides its fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a key of its own in the file"
)]
pub struct OutRules {
    /// Fields of the ERP's record that are read besides what is always read, for `raw`.
    pub select: Vec<String>,
    /// The same of a product's variants.
    pub variant_select: Vec<String>,
    /// What becomes of archived records.
    pub archived: Archived,
    /// Whether units of open orders that reserve nothing in the ERP yet are subtracted from what is sent.
    pub minus_open_orders: bool,
    /// Whether a quantity is written whatever the shop holds.
    pub overwrite: bool,
    /// Whether records of the shop that were found, not made, are marked with our name of the ERP's record, too.
    pub mark_adopted: bool,
    /// Whether stock that is expected (`stock.forecast`) may be read: then moves that are planned count, too.
    pub reads_forecast: bool,
}

/// The fact of stock that planned moves change.
const FORECAST: &str = "forecast";

/// The table of an inventory mapping that says which warehouse feeds which location.
const LOCATIONS: &str = "locations";

/// The names of the group of a product's variants and of the record in it.
pub const VARIANTS: &str = "variants";

/// Keys of a mapping of the direction out.
pub(super) const OUT_KEYS: &[&str] = &[
    "version",
    "erp",
    "object",
    "direction",
    "owner",
    "note",
    "external_id",
    "adopt",
    "truth",
    "select",
    "skip",
    "let",
    "tables",
    "fields",
    "groups",
    "match",
    "archived",
    "minus_open_orders",
    "overwrite",
    "mark_adopted",
];

/// Keys of a group of the direction out.
pub(super) const OUT_GROUP_KEYS: &[&str] = &["each", "as", "when", "fields", "match", "select", "note"];

/// Reads what the file says besides its fields.
pub(super) fn rules(d: &mut Diagnostics, top: &DeTable<'_>, object: Object) -> OutRules {
    let choices: &[(&'static str, Archived)] = match object {
        Object::Product => &[
            ("archive", Archived::Archive),
            ("ignore", Archived::Ignore),
            ("problem", Archived::Problem),
        ],
        // Nothing else can be archived on the shop.
        _ => &[("ignore", Archived::Ignore), ("problem", Archived::Problem)],
    };
    let variants = get(top, "groups")
        .and_then(doc::table)
        .and_then(|groups| get(groups, VARIANTS))
        .and_then(doc::table);
    if object != Object::Inventory {
        for key in ["minus_open_orders", "overwrite"] {
            if let Some(node) = get(top, key) {
                d.add(node.span(), format!("only stock has `{key}`"), "no meaning here");
            }
        }
    }
    if object == Object::Inventory
        && let Some(node) = get(top, "mark_adopted")
    {
        d.add(
            node.span(),
            "stock has no `mark_adopted`",
            "its variants belong to a product",
        );
    }
    OutRules {
        select: selected(d, top),
        variant_select: variants.map(|group| selected(d, group)).unwrap_or_default(),
        archived: doc::choice_at(d, top, "archived", choices).unwrap_or_default(),
        minus_open_orders: doc::flag_at(d, top, "minus_open_orders"),
        overwrite: doc::flag_at(d, top, "overwrite"),
        mark_adopted: doc::flag_at(d, top, "mark_adopted"),
        reads_forecast: object == Object::Inventory
            && entries(top).iter().any(|entry| mentions(entry.value, FORECAST)),
    }
}

/// Whether a name stands in any text below, in expressions as elsewhere: to look too often is no mistake.
fn mentions(node: &Node<'_>, name: &str) -> bool {
    match node.get_ref() {
        DeValue::String(text) => text
            .split(|letter: char| !letter.is_alphanumeric() && letter != '_')
            .any(|word| word == name),
        DeValue::Array(array) => array.iter().any(|node| mentions(node, name)),
        DeValue::Table(table) => table.iter().any(|(_, node)| mentions(node, name)),
        _ => false,
    }
}

/// `select = ["x_studio_note"]`: names of the ERP's fields.
fn selected(d: &mut Diagnostics, owner: &DeTable<'_>) -> Vec<String> {
    let Some(node) = get(owner, "select") else {
        return Vec::new();
    };
    let Some(array) = node.get_ref().as_array() else {
        doc::not_a(d, node, "a list of the ERP's field names, e.g. `[\"x_note\"]`");
        return Vec::new();
    };
    let mut names = Vec::new();
    let nodes: Vec<&Node<'_>> = array.iter().collect();
    for node in nodes {
        let Some(name) = text(d, node) else { continue };
        if !is_identifier(name) || name.contains('.') {
            d.add(
                node.span(),
                "this is no name of a field",
                "letters, digits and `_` only",
            );
        }
        names.push(name.to_owned());
    }
    names
}

/// The type that rules for a field of the shop have.
pub(super) const fn type_of(field: &ShopField) -> FieldType {
    match field.kind {
        ShopFieldKind::Text | ShopFieldKind::OneOf(_) => FieldType::Text,
        ShopFieldKind::Bool => FieldType::Bool,
        ShopFieldKind::Decimal => FieldType::Decimal,
        ShopFieldKind::Integer => FieldType::Integer,
    }
}

/// Whether a rule gives a field only what the shop takes there; says what it does not.
pub(super) fn check_rule(d: &mut Diagnostics, node: &Node<'_>, field: &ShopField, rule: &mut Rule) {
    rule.create_only |= field.create_only;
    if rule.optional {
        d.add(
            node.span(),
            "`optional` has no meaning here: the shop's fields are the same everywhere",
            "no meaning here",
        );
    }
    let empties = rule
        .choices
        .iter()
        .any(|choice| matches!(choice.missing, Some(Missing::Clear)));
    if empties && !field.may_be_empty {
        d.add_with_help(
            node.span(),
            format!("the shop cannot hold nothing in `{}`", field.name),
            "this may empty it",
            Some("use `missing = \"skip\"` or `\"fail\"`, or a `default`".to_owned()),
        );
    }
    let ShopFieldKind::OneOf(known) = field.kind else {
        return;
    };
    for (value, line) in rule.written_out() {
        let FieldValue::Text(text) = value else { continue };
        if known.contains(&text.as_str()) {
            continue;
        }
        let place = d.find(node.span(), text).unwrap_or_else(|| node.span());
        d.add_with_help(
            place,
            format!("`{text}` is no value of `{}` (line {line})", field.name),
            "not known",
            super::diagnose::hint(text, known).or_else(|| Some(format!("one of: {}", known.join(", ")))),
        );
    }
}

/// Checks what an inventory mapping as a whole must say.
pub(super) fn check_stock(d: &mut Diagnostics, top: &DeTable<'_>, rules: &[Rule], locations: Option<&Table>) {
    let fields = get(top, "fields").map_or(0..0, Node::span);
    if rules.len() != 1 && d.errors.is_empty() {
        d.add_with_help(
            fields.clone(),
            "exactly one quantity is sent",
            format!("{} here", rules.len()),
            Some("`on_hand` (the shop subtracts its own commitments) or `available`".to_owned()),
        );
    }
    let minus = get(top, "minus_open_orders").is_some_and(|node| node.get_ref().as_bool() == Some(true));
    if let Some(rule) = rules.iter().find(|rule| &*rule.target == "available" && !minus) {
        let place = d
            .find(fields.clone(), &rule.target)
            .unwrap_or_else(|| fields.clone());
        d.add_with_help(
            place,
            "`available` would offer again what open orders have taken",
            "not without `minus_open_orders = true`",
            Some("add `minus_open_orders = true`, or send `on_hand`".to_owned()),
        );
    }
    let Some(table) = locations else {
        d.add(
            0..0,
            "`[tables.locations]` is missing",
            "say which warehouse feeds which location",
        );
        return;
    };
    let place = get(top, "tables")
        .and_then(doc::table)
        .and_then(|tables| get(tables, LOCATIONS))
        .map_or(0..0, Node::span);
    check_feeds(d, &place, table);
    for (key, value) in &*table.entries {
        let sound = key.parse::<ShopifyId>().is_ok()
            && matches!(value, FieldValue::Integer(warehouse) if *warehouse >= 0);
        if !sound {
            let message = format!("`{key} = {value}` is no location of the shop and no warehouse of the ERP");
            let help = "the location's number on Shopify = the warehouse's id in the ERP; 0 stands for all warehouses";
            let in_shop = table.overrides.as_ref().and_then(|overrides| {
                overrides.at_key(LOCATIONS, key, message.clone(), Some(help.to_owned()))
            });
            match in_shop {
                Some(mistake) => d.errors.push(mistake),
                None => d.add_with_help(place.clone(), message, "in this table", Some(help.to_owned())),
            }
        }
    }
}

/// A warehouse that feeds two locations would have its goods sold twice.
fn check_feeds(d: &mut Diagnostics, place: &std::ops::Range<usize>, table: &Table) {
    let mut fed: Vec<&FieldValue> = table.entries.values().collect();
    let all = fed.contains(&&FieldValue::Integer(0));
    fed.sort_by_key(ToString::to_string);
    let twice = fed.windows(2).any(|pair| pair[0] == pair[1]);
    if twice || (all && fed.len() > 1) {
        d.add_with_help(
            place.clone(),
            "two locations would offer the same goods",
            "in this table",
            Some("give each location a warehouse of its own; 0 (all warehouses) only for a location that is alone".to_owned()),
        );
    }
}

/// Refuses groups that the direction out does not have.
pub(super) fn check_groups(d: &mut Diagnostics, top: &DeTable<'_>, object: Object) {
    let Some(groups) = get(top, "groups").and_then(doc::table) else {
        return;
    };
    for entry in entries(groups) {
        if object != Object::Product || entry.key != VARIANTS {
            d.add_with_help(
                entry.key_place(),
                format!("the shop's {object} has no `{}`", entry.key),
                "not known",
                (object == Object::Product).then(|| "a product has `variants`".to_owned()),
            );
        }
    }
}

impl Mapping {
    /// For an inventory mapping, which warehouse feeds which location: the location's number on the shop, and the ERP's
    /// id of the warehouse, or none where the sum of all warehouses is sent.
    pub fn locations(&self) -> Vec<(ShopifyId, Option<ErpId>)> {
        let Some(table) = self.tables.get(LOCATIONS) else {
            return Vec::new();
        };
        let entry = |(key, value): (&String, &FieldValue)| match value {
            FieldValue::Integer(warehouse) => {
                Some((key.parse().ok()?, (*warehouse > 0).then_some(ErpId(*warehouse))))
            }
            _ => None,
        };
        table.entries.iter().filter_map(entry).collect()
    }
}
