//! Products: what template and variants share, prices, barcodes, names.

use rust_decimal::Decimal;
use serde_json::Value as Json;

use super::variants;
use crate::sandbox::odoo::db::{Key, Row};
use crate::sandbox::odoo::env::Env;
use crate::sandbox::odoo::error::{OdooError, Res};
use crate::sandbox::odoo::options::Version;
use crate::sandbox::odoo::orm::write::{self, Parsed};
use crate::sandbox::odoo::schema::Field;
use crate::sandbox::odoo::value::{Map, Val, float};

const TEMPLATE: &str = "product.template";
const VARIANT: &str = "product.product";

pub(super) fn defaults(env: &Env<'_>) -> Row {
    let mut row = Row::from([
        ("list_price", Val::Dec(Decimal::ONE)),
        ("sale_ok", Val::Bool(true)),
        ("purchase_ok", Val::Bool(true)),
        ("uom_id", Val::Int(1)),
        ("invoice_policy", Val::text("order")),
        ("tracking", Val::text("none")),
        ("sequence", Val::Int(1)),
    ]);
    if env.version() == Version::V17 {
        row.insert("detailed_type", Val::text("consu"));
    } else {
        row.insert("type", Val::text("consu"));
    }
    if env.version().before_19() {
        row.insert("categ_id", Val::Int(1));
        row.insert("uom_po_id", Val::Int(1));
    }
    row
}

pub(super) fn before_create_template(env: &mut Env<'_>, parsed: &mut Parsed) {
    let company = parsed
        .cells
        .get("company_id")
        .and_then(Val::as_id)
        .unwrap_or_else(|| env.company());
    if !parsed.has("taxes_id") {
        let tax = env.id("res.company", company, "account_sale_tax_id");
        parsed
            .cells
            .insert("taxes_id", Val::Ids(tax.into_iter().collect()));
    }
    type_of_17(parsed);
}

/// 17 keeps the old type beside the detailed one.
fn type_of_17(parsed: &mut Parsed) {
    if let Some(detailed) = parsed.cells.get("detailed_type").cloned() {
        parsed.cells.insert("type", detailed);
    }
}

pub(super) fn after_create_template(env: &mut Env<'_>, id: i64) -> Res<()> {
    env.stale_templates.remove(&id);
    variants::generate(env, id)
}

pub(super) fn before_write_template(env: &mut Env<'_>, id: i64, parsed: &mut Parsed) {
    type_of_17(parsed);
    if let Some(active) = parsed.cells.get("active").cloned() {
        for variant in env.db.children(VARIANT, "product_tmpl_id", id) {
            env.set(VARIANT, variant, [("active", active.clone())]);
        }
    }
}

pub(super) fn after_write_template(env: &mut Env<'_>, id: i64, parsed: &Parsed) -> Res<()> {
    if parsed.has("attribute_line_ids") {
        env.stale_templates.remove(&id);
        variants::generate(env, id)?;
    }
    // A template's write shows in its variants' write_date; a variant's write does not show in the template's.
    for variant in env.db.children(VARIANT, "product_tmpl_id", id) {
        env.touch(VARIANT, variant);
    }
    Ok(())
}

/// A variant made by itself brings its own template along.
pub(super) fn before_create_variant(env: &mut Env<'_>, parsed: &mut Parsed) -> Res<()> {
    let shared = std::mem::take(&mut parsed.template);
    if let Some(template) = parsed.cells.get("product_tmpl_id").and_then(Val::as_id) {
        if !shared.is_empty() {
            write::write(env, env.model(TEMPLATE), &[template], &shared)?;
        }
        return Ok(());
    }
    let template = write::create(env, env.model(TEMPLATE), &shared)?;
    for generated in env.db.children(VARIANT, "product_tmpl_id", template) {
        env.db.put(VARIANT, generated, None);
    }
    parsed.cells.insert("product_tmpl_id", Val::Int(template));
    Ok(())
}

/// Refuses a barcode that another variant has.
pub(super) fn check_barcode(env: &mut Env<'_>, id: i64) -> Res<()> {
    let barcode = env.text(VARIANT, id, "barcode");
    if barcode.is_empty() {
        return Ok(());
    }
    let holders = env
        .db
        .find(VARIANT, "barcode", &Key::Text(barcode.clone()))
        .unwrap_or_default();
    match holders.into_iter().find(|holder| *holder != id) {
        Some(other) => Err(OdooError::validation(format!(
            "Barcode(s) already assigned:\n\n- Barcode \"{barcode}\" already assigned to product(s): {}",
            variant_name(env, other)
        ))),
        None => Ok(()),
    }
}

/// Deleting the last variant deletes the template; one that was sold cannot be deleted.
pub(super) fn before_unlink_variant(env: &mut Env<'_>, id: i64) -> Res<()> {
    if variants::is_used(env, id) {
        return Err(OdooError::validation(
            "The operation cannot be completed: another model requires the record being deleted. If possible, archive it instead.\n\nModel: Sales Order Line (sale.order.line)\nConstraint: sale_order_line_product_id_fkey",
        ));
    }
    Ok(())
}

/// SKU, barcode, weight and cost of a template are those of its only variant; with several they are not kept.
pub(super) fn write_only_variant(env: &mut Env<'_>, id: i64, field: &'static Field, json: &Json) -> Res<()> {
    if let [only] = all_variants(env, id)[..] {
        let values = Map::from_iter([(field.name.to_owned(), json.clone())]);
        env.sudo(|env| write::write(env, env.model(VARIANT), &[only], &values))?;
    }
    Ok(())
}

/// Writing one variant's `lst_price` changes the template's price, and so that of all its variants.
pub(super) fn write_list_price(env: &mut Env<'_>, id: i64, json: &Json) -> Res<()> {
    let price = super::sent_number(json)? - price_extra(env, id);
    let template = env.id(VARIANT, id, "product_tmpl_id").unwrap_or_default();
    let values = Map::from_iter([("list_price".to_owned(), Json::from(float(price)))]);
    write::write(env, env.model(TEMPLATE), &[template], &values)
}

fn all_variants(env: &Env<'_>, template: i64) -> Vec<i64> {
    let mut ids = env.db.children(VARIANT, "product_tmpl_id", template);
    ids.retain(|id| env.row(VARIANT, *id).is_some_and(|row| row["active"].as_bool()));
    ids
}

pub(super) fn price_extra(env: &Env<'_>, id: i64) -> Decimal {
    let values = env.ids(VARIANT, id, "product_template_attribute_value_ids");
    values
        .into_iter()
        .map(|value| env.dec("product.template.attribute.value", value, "price_extra"))
        .sum()
}

/// What a variant costs without a price list.
pub(super) fn list_price(env: &Env<'_>, id: i64) -> Decimal {
    env.dec(VARIANT, id, "list_price") + price_extra(env, id)
}

pub(super) fn live_template(env: &Env<'_>, id: i64, name: &str) -> Val {
    let variants = all_variants(env, id);
    match name {
        "product_variant_id" => Val::one(variants.first().copied()),
        "product_variant_count" => Val::Int(i64::try_from(variants.len()).unwrap_or(i64::MAX)),
        "currency_id" => {
            let company = env
                .id(TEMPLATE, id, "company_id")
                .unwrap_or_else(|| env.company());
            env.get("res.company", company, "currency_id")
        }
        "default_code" | "barcode" | "weight" | "volume" | "standard_price" => match variants[..] {
            [only] => env.get(VARIANT, only, name),
            _ => Val::Empty,
        },
        "qty_available" | "virtual_available" => Val::Dec(
            variants
                .iter()
                .map(|id| super::quant::quantity(env, *id, name).as_dec())
                .sum(),
        ),
        _ => Val::Empty,
    }
}

pub(super) fn live_variant(env: &Env<'_>, id: i64, name: &str) -> Val {
    match name {
        "lst_price" => Val::Dec(list_price(env, id)),
        "price_extra" => Val::Dec(price_extra(env, id)),
        "partner_ref" => Val::Text(variant_name(env, id)),
        "product_template_variant_value_ids" => {
            let several = |value: &i64| {
                let line = env.id("product.template.attribute.value", *value, "attribute_line_id");
                line.is_some_and(|line| {
                    env.ids("product.template.attribute.line", line, "value_ids")
                        .len()
                        > 1
                })
            };
            let values = env.ids(VARIANT, id, "product_template_attribute_value_ids");
            Val::Ids(values.into_iter().filter(several).collect())
        }
        "product_variant_count" | "currency_id" => match env.id(VARIANT, id, "product_tmpl_id") {
            Some(template) => live_template(env, template, name),
            None => Val::Empty,
        },
        _ => Val::Empty,
    }
}

pub(super) fn template_name(env: &Env<'_>, id: i64) -> String {
    with_code(
        env.get(TEMPLATE, id, "default_code").as_text(),
        env.text(TEMPLATE, id, "name"),
    )
}

/// `[SKU] Name (Red, L)`.
pub(super) fn variant_name(env: &Env<'_>, id: i64) -> String {
    let mut name = env.text(VARIANT, id, "name");
    let values = live_variant(env, id, "product_template_variant_value_ids");
    if !values.as_ids().is_empty() {
        let names: Vec<String> = values
            .as_ids()
            .iter()
            .map(|value| {
                variants::live(env, "product.template.attribute.value", *value, "name")
                    .as_text()
                    .to_owned()
            })
            .collect();
        name = format!("{name} ({})", names.join(", "));
    }
    with_code(&env.text(VARIANT, id, "default_code"), name)
}

fn with_code(code: &str, name: String) -> String {
    if code.is_empty() {
        name
    } else {
        format!("[{code}] {name}")
    }
}

/// Whether a product's stock is counted.
pub(super) fn is_stored(env: &Env<'_>, id: i64) -> bool {
    if env.version() == Version::V17 {
        env.text(VARIANT, id, "detailed_type") == "product"
    } else {
        env.is(VARIANT, id, "is_storable")
    }
}

/// Whether orders of a product make transfers.
pub(super) fn is_goods(env: &Env<'_>, id: i64) -> bool {
    let field = if env.version() == Version::V17 {
        "detailed_type"
    } else {
        "type"
    };
    env.text(VARIANT, id, field) != "service"
}
