//! Changes: the newest one, those within a time, and all ids.
//!
//! `write_date` is when the writing transaction *began*, in whole seconds as it is told, and it is compared with the stored
//! microseconds before 19. So nobody asks for what is newer than the last one seen: a window of whole seconds is asked for,
//! from its start on (`>=`) and up to its end (`<`), page by page in the order of the ids, which no write moves.

use serde_json::{Value, json};

use super::call::Call;
use super::value::{record, text, time, time_text};
use super::{Odoo, nonsense};
use crate::domain::{ErpId, Object, Timestamp};
use crate::erp::{ChangedRow, ErpError, PresentRow, Watched};

const PARTNER: &str = "res.partner";

/// What a customer on the shop may be made of.
const PARTNER_FIELDS: &[&str] = &[
    "name",
    "is_company",
    "company_name",
    "email",
    "phone",
    "mobile",
    "street",
    "street2",
    "zip",
    "city",
    "country_id",
    "state_id",
    "lang",
    "comment",
    "vat",
    "customer_rank",
    "parent_id",
    "type",
    "active",
];

const TEMPLATE_FIELDS: &[&str] = &[
    "name",
    "description_sale",
    "list_price",
    "type",
    "detailed_type",
    "is_storable",
    "sale_ok",
    "categ_id",
    "attribute_line_ids",
    "active",
];

const VARIANT_FIELDS: &[&str] = &[
    "default_code",
    "barcode",
    "standard_price",
    "weight",
    "product_template_attribute_value_ids",
    "product_tmpl_id",
    "active",
];

/// Neither variant nor template shows that one of these changed.
const VALUE_FIELDS: &[&str] = &["price_extra", "product_attribute_value_id", "ptav_active"];

/// What moves goods shows only here.
const QUANT_FIELDS: &[&str] = &["quantity", "reserved_quantity", "location_id", "product_id"];

/// What is to come or to leave shows only here, as long as nothing is reserved.
const MOVE_FIELDS: &[&str] = &[
    "product_id",
    "state",
    "product_qty",
    "product_uom_qty",
    "quantity",
    "location_id",
    "location_dest_id",
];

/// A level names a variant, and the variant its product.
const THROUGH_VARIANT: Option<(&str, &str)> = Some(("product.product", "product_tmpl_id"));

/// What is watched for an object. Orders are not: they go the other way.
pub(super) fn watched(object: Object) -> Vec<Watched> {
    let watch = |model, owner, fields: &[&str]| Watched {
        object,
        model,
        owner,
        through: None,
        fields: fields.iter().map(|field| (*field).to_owned()).collect(),
        forecast_only: false,
    };
    match object {
        Object::Customer => vec![watch(PARTNER, Some("parent_id"), PARTNER_FIELDS)],
        Object::Product => vec![
            watch("product.template", None, TEMPLATE_FIELDS),
            watch("product.product", Some("product_tmpl_id"), VARIANT_FIELDS),
            watch(
                "product.template.attribute.value",
                Some("product_tmpl_id"),
                VALUE_FIELDS,
            ),
        ],
        // The stock of a product's variants is one piece of work.
        Object::Inventory => vec![
            Watched {
                through: THROUGH_VARIANT,
                ..watch("stock.quant", Some("product_id"), QUANT_FIELDS)
            },
            Watched {
                through: THROUGH_VARIANT,
                forecast_only: true,
                ..watch("stock.move", Some("product_id"), MOVE_FIELDS)
            },
        ],
        Object::Order | Object::Shop => Vec::new(),
    }
}

impl Odoo {
    /// When the row that was written last was.
    pub(super) async fn last_write(&self, model: &str) -> Result<Option<Timestamp>, ErpError> {
        let call = Call::read(model, "search_read")
            // In descending order rows without a value would come first.
            .arg("domain", json!([["write_date", "!=", false]]))
            .arg("fields", json!(["write_date"]))
            .option("order", "write_date desc")
            .option("limit", 1)
            .option("load", Value::Null)
            .with_archived();
        let answer = self.session.call(&call).await?;
        let rows = list(model, &answer)?;
        rows.first().map(|row| written(model, row)).transpose()
    }

    /// The rows of a window after this id, in the order of their ids.
    pub(super) async fn written_in(
        &self,
        model: &str,
        owner: Option<&str>,
        since: Timestamp,
        until: Timestamp,
        after: Option<ErpId>,
        limit: u32,
    ) -> Result<Vec<ChangedRow>, ErpError> {
        let mut domain = vec![
            json!(["write_date", ">=", time_text(since)]),
            json!(["write_date", "<", time_text(until)]),
        ];
        let mut fields = vec!["write_date"];
        fields.extend(owner);
        // An address belongs to its owner alone.
        let has_kinds = model == PARTNER && owner.is_some();
        if has_kinds {
            fields.push("type");
        }
        let answer = self.page(model, &mut domain, &fields, after, limit).await?;
        let rows = list(model, &answer)?.iter().map(|row| {
            let id = number(model, row)?;
            let is_person = has_kinds && text(&row["type"]).is_none_or(|kind| kind == "contact");
            let of = owner_of(row, owner);
            Ok(ChangedRow {
                id,
                at: written(model, row)?,
                owner: of,
                // Numbers of another model mean nothing by themselves.
                alone: owner.is_none() || is_person || (has_kinds && of.is_none()),
            })
        });
        rows.collect()
    }

    /// All rows after this id, archived ones too.
    pub(super) async fn present(
        &self,
        model: &str,
        owner: Option<&str>,
        after: Option<ErpId>,
        limit: u32,
    ) -> Result<Vec<PresentRow>, ErpError> {
        let table = self.table(model).await?;
        let mut fields = vec!["id"];
        fields.extend(
            ["active", "ptav_active"]
                .into_iter()
                .filter(|name| table.0.contains_key(*name)),
        );
        fields.extend(owner);
        let answer = self.page(model, &mut Vec::new(), &fields, after, limit).await?;
        let rows = list(model, &answer)?.iter().map(|row| {
            let id = number(model, row)?;
            let hidden = |name: &str| row[name] == json!(false);
            Ok(PresentRow {
                id,
                active: !hidden("active") && !hidden("ptav_active"),
                owner: owner_of(row, owner),
            })
        });
        rows.collect()
    }

    async fn page(
        &self,
        model: &str,
        domain: &mut Vec<Value>,
        fields: &[&str],
        after: Option<ErpId>,
        limit: u32,
    ) -> Result<Value, ErpError> {
        if let Some(after) = after {
            domain.push(json!(["id", ">", after.0]));
        }
        let table = self.table(model).await?;
        domain.append(&mut self.company_domain(&table).await?);
        let call = Call::read(model, "search_read")
            .arg("domain", std::mem::take(domain))
            .arg("fields", json!(fields))
            // Not by time, and not by offset: rows move while they are read.
            .option("order", "id")
            .option("limit", limit.max(1))
            // The names of owners are worth no look-up.
            .option("load", Value::Null)
            .with_archived();
        self.session.call(&call).await
    }
}

fn list<'a>(model: &str, answer: &'a Value) -> Result<&'a Vec<Value>, ErpError> {
    answer
        .as_array()
        .ok_or_else(|| nonsense(model, "search_read", "it is no list"))
}

fn number(model: &str, row: &Value) -> Result<ErpId, ErpError> {
    record(&row["id"]).ok_or_else(|| nonsense(model, "search_read", "a row without an id"))
}

fn written(model: &str, row: &Value) -> Result<Timestamp, ErpError> {
    time(&row["write_date"]).ok_or_else(|| nonsense(model, "search_read", "a row without write_date"))
}

fn owner_of(row: &Value, owner: Option<&str>) -> Option<ErpId> {
    owner.and_then(|name| record(&row[name]))
}
