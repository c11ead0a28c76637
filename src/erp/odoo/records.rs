//! Records of any model: their fields, finding, reading and writing them.

use std::collections::BTreeMap;
use std::slice::from_ref;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::call::Call;
use super::names::{common_name, wire_name};
use super::reads::Question;
use super::settings::Reference;
use super::{Odoo, load, nonsense, value};
use crate::domain::{ErpId, ExternalId, FieldValue, Fields};
use crate::erp::{ErpError, FieldInfo, FieldTable, Find, Identified, Row, Save};

/// What is asked about each field.
const ATTRIBUTES: [&str; 5] = ["type", "required", "readonly", "relation", "digits"];

impl Odoo {
    /// The fields of a model, by the names that everybody else uses.
    pub(super) async fn table(&self, model: &str) -> Result<Arc<FieldTable>, ErpError> {
        let fetch = async {
            let major = self.major().await?;
            let call = Call::read(model, "fields_get").option("attributes", json!(ATTRIBUTES));
            let answer = self.session.call(&call).await?;
            let fields = answer
                .as_object()
                .ok_or_else(|| nonsense(model, "fields_get", "it is no object"))?;
            let table = fields.iter().map(|(name, info)| {
                let field = FieldInfo {
                    kind: info["type"].as_str().unwrap_or_default().to_owned(),
                    required: info["required"].as_bool().unwrap_or_default(),
                    readonly: info["readonly"].as_bool().unwrap_or_default(),
                    relation: value::text(&info["relation"]),
                    digits: info["digits"][1]
                        .as_u64()
                        .and_then(|digits| u32::try_from(digits).ok()),
                };
                (common_name(major, model, name).to_owned(), field)
            });
            Ok(Arc::new(FieldTable(table.collect())))
        };
        self.tables
            .try_get_with(model.to_owned(), fetch)
            .await
            .map_err(|error: Arc<ErpError>| ErpError::clone(&error))
    }

    pub(super) async fn resolve(&self, id: &ExternalId) -> Result<Option<Identified>, ErpError> {
        // Without archived records the answer for one of them would be `false` instead of its id.
        let call = Call::read("ir.model.data", "check_object_reference")
            .arg("module", load::module(id))
            .arg("xml_id", id.name.clone())
            .with_archived();
        let method = call.method;
        let answer = match self.rows(Question::whole(call)).await {
            Ok(answer) => Value::Array(answer),
            // That is how Odoo says that nobody has this name; its words are translated.
            Err(ErpError::Rejected { .. } | ErpError::Missing { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        match (answer[0].as_str(), &answer[1]) {
            // Deleted behind Odoo's back: the next `load` makes a new one.
            (Some(_), Value::Bool(false) | Value::Null) => Ok(None),
            (Some(model), number) => {
                let id = number
                    .as_i64()
                    .ok_or_else(|| nonsense("ir.model.data", method, "it names no id"))?;
                Ok(Some(Identified {
                    model: model.to_owned(),
                    id: ErpId(id),
                }))
            }
            (None, _) => Err(nonsense("ir.model.data", method, "it names no model")),
        }
    }

    pub(super) async fn names_of(
        &self,
        model: &str,
        ids: &[ErpId],
    ) -> Result<Vec<(ErpId, ExternalId)>, ErpError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let call = Call::read(model, "get_external_id").on(ids.iter().copied());
        let answer = match self.session.call(&call).await {
            Ok(answer) => answer,
            Err(ErpError::Missing { .. }) => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut named = Vec::new();
        let mut foreign = Vec::new();
        for id in ids {
            match answer[id.to_string()].as_str() {
                None | Some("") => {}
                Some(name) => match load::parse_name(name) {
                    Some(name) => named.push((*id, name)),
                    None => foreign.push(*id),
                },
            }
        }
        if !foreign.is_empty() {
            // Only the first name is told above; a record that was exported or imported by a person has another one too.
            let call = Call::read(model, "get_metadata").on(foreign);
            let answer = self.session.call(&call).await?;
            for record in answer.as_array().into_iter().flatten() {
                let ours = record["xmlids"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .find_map(|entry| load::parse_name(entry["xmlid"].as_str()?));
                if let (Some(id), Some(name)) = (record["id"].as_i64(), ours) {
                    named.push((ErpId(id), name));
                }
            }
        }
        Ok(named)
    }

    pub(super) async fn search(&self, find: &Find) -> Result<Vec<Row>, ErpError> {
        let table = self.table(&find.model).await?;
        let major = self.major().await?;
        let by_text = ByText::of(find, &table);
        let is_left = |place| by_text.as_ref().is_none_or(|text| text.place != place);
        let mut domain = Vec::new();
        for (place, (name, wanted)) in find.equal.iter().enumerate() {
            if !is_left(Place::Equal(place)) {
                continue;
            }
            let name = wire_name(major, &find.model, name);
            domain.push(match wanted {
                FieldValue::Records(ids) => {
                    json!([name, "in", ids.iter().map(|id| id.0).collect::<Vec<_>>()])
                }
                wanted => json!([name, "=", value::encode(wanted)]),
            });
        }
        if let Some((name, values)) = &find.one_of
            && is_left(Place::OneOf)
        {
            let name = wire_name(major, &find.model, name);
            domain.push(json!([
                name,
                "in",
                values.iter().map(value::encode).collect::<Vec<_>>()
            ]));
        }
        domain.append(&mut self.company_domain(&table).await?);
        let limit = Some(find.limit.max(1));
        let rows = match by_text {
            Some(ByText { name, texts, .. }) => {
                self.rows_of_texts(&find.model, name, texts, domain, &find.fields, limit)
                    .await?
            }
            None => {
                self.search_read(&find.model, domain, &find.fields, limit, false)
                    .await?
            }
        };
        decode_rows(major, &find.model, &table, &find.fields, &rows)
    }

    /// The rows that have just one of these texts in a field, besides what the domain says. An import's go together with
    /// others'.
    pub(super) async fn rows_of_texts(
        &self,
        model: &str,
        field: &str,
        texts: Vec<Value>,
        domain: Vec<Value>,
        fields: &[impl AsRef<str>],
        limit: Option<u32>,
    ) -> Result<Vec<Value>, ErpError> {
        let mut fields: Vec<&str> = fields.iter().map(AsRef::as_ref).collect();
        // By it rows are told apart.
        if !fields.contains(&field) {
            fields.push(field);
        }
        let major = self.major().await?;
        let call = search_call(major, model, domain, &fields);
        let field = wire_name(major, model, field);
        self.rows(Question::of_texts(call, field, texts, limit)).await
    }

    /// The rows that name one of these records in a field, which has to be among those that are read. An import's go together
    /// with others'.
    pub(super) async fn rows_of_owners(
        &self,
        model: &str,
        field: &str,
        owners: &[ErpId],
        fields: &[&str],
        archived: bool,
    ) -> Result<Vec<Value>, ErpError> {
        let major = self.major().await?;
        let mut call = search_call(major, model, Vec::new(), fields);
        if archived {
            call = call.with_archived();
        }
        let field = wire_name(major, model, field);
        self.rows(Question::of_owners(call, field, owners)).await
    }

    /// Limits a search to the declared company and to records without one, which is Odoo's default.
    pub(super) async fn company_domain(&self, table: &FieldTable) -> Result<Vec<Value>, ErpError> {
        if !table.0.contains_key("company_id") {
            return Ok(Vec::new());
        }
        let company = self.session.login().await?.company;
        Ok(vec![
            json!("|"),
            json!(["company_id", "=", false]),
            json!(["company_id", "=", company.0]),
        ])
    }

    /// The plain search: rows as Odoo sends them, in the order of their ids.
    pub(super) async fn search_read(
        &self,
        model: &str,
        domain: Vec<Value>,
        fields: &[impl AsRef<str>],
        limit: Option<u32>,
        archived: bool,
    ) -> Result<Vec<Value>, ErpError> {
        let mut call = search_call(self.major().await?, model, domain, fields);
        if let Some(limit) = limit {
            call = call.option("limit", limit.max(1));
        }
        if archived {
            call = call.with_archived();
        }
        let answer = self.session.call(&call).await?;
        match answer {
            Value::Array(rows) => Ok(rows),
            _ => Err(nonsense(model, "search_read", "it is no list")),
        }
    }

    pub(super) async fn read_rows(
        &self,
        model: &str,
        ids: &[ErpId],
        fields: &[String],
    ) -> Result<Vec<Row>, ErpError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let table = self.table(model).await?;
        let major = self.major().await?;
        let names: Vec<&str> = fields
            .iter()
            .map(|field| wire_name(major, model, field))
            .collect();
        let call = Call::read(model, "read").arg(
            "fields",
            if names.is_empty() {
                json!(["id"])
            } else {
                json!(names)
            },
        );
        let rows = self.rows(Question::of_records(call, ids)).await?;
        decode_rows(major, model, &table, fields, &rows)
    }

    pub(super) async fn load_all(&self, saves: &[Save]) -> Result<Vec<ErpId>, ErpError> {
        let mut saves = saves.to_vec();
        let mut tables = BTreeMap::new();
        for save in &mut saves {
            self.complete(save).await?;
            let lines = save.lines.as_ref().map(|lines| lines.model.clone());
            for model in std::iter::once(save.model.clone()).chain(lines) {
                if !tables.contains_key(&model) {
                    tables.insert(model.clone(), self.table(&model).await?);
                }
            }
        }
        let major = self.major().await?;
        let batches = load::plan(major, &saves, |model| tables.get(model).map(|table| &**table))?;
        let mut ids = vec![ErpId(0); saves.len()];
        for batch in &batches {
            for (index, id) in batch.saves.iter().zip(self.load(batch).await?) {
                ids[*index] = id;
            }
        }
        Ok(ids)
    }

    /// Adds what the shop's settings declare, and translates what only Odoo needs translated.
    async fn complete(&self, save: &mut Save) -> Result<(), ErpError> {
        // Odoo derives team and price list from the customer whenever the customer is written: what is declared goes along.
        if save.fields.iter().any(|(name, _)| name == "partner_id") {
            for (name, value) in self.declared_fields(&save.model).await? {
                if !save.fields.iter().any(|(given, _)| *given == name) {
                    save.fields.push((name, value));
                }
            }
        }
        for (name, value) in &mut save.fields {
            // A language is a code in Odoo's fields, while a look-up answers with a record.
            if let ("lang", FieldValue::Record(id)) = (name.as_str(), &*value) {
                *value = FieldValue::Text(self.language_code(*id).await?);
            }
        }
        Ok(())
    }

    pub(super) async fn declared_fields(&self, model: &str) -> Result<Fields, ErpError> {
        if model != "sale.order" {
            return Ok(Vec::new());
        }
        let settings = self.session.settings();
        let mut fields = Vec::new();
        for (key, field, of, reference) in [
            (
                "warehouse",
                "warehouse_id",
                "stock.warehouse",
                &settings.warehouse,
            ),
            ("sales_team", "team_id", "crm.team", &settings.sales_team),
            ("salesperson", "user_id", "res.users", &settings.salesperson),
            (
                "pricelist",
                "pricelist_id",
                "product.pricelist",
                &settings.pricelist,
            ),
        ] {
            if let Some(reference) = reference {
                let id = self.declared_record(key, of, reference).await?;
                fields.push((field.to_owned(), FieldValue::Record(id)));
            }
        }
        Ok(fields)
    }

    /// The record that a setting names.
    pub(super) async fn declared_record(
        &self,
        key: &str,
        model: &str,
        reference: &Reference,
    ) -> Result<ErpId, ErpError> {
        let name = match reference {
            Reference::Id(id) => return Ok(ErpId(*id)),
            Reference::Name(name) => name,
        };
        let fetch = async {
            let table = self.table(model).await?;
            let mut domain = vec![json!(["name", "=", name])];
            domain.append(&mut self.company_domain(&table).await?);
            let rows = self.search_read(model, domain, &["name"], Some(2), false).await?;
            match rows.as_slice() {
                [row] => row["id"].as_i64().map(ErpId),
                _ => None,
            }
            .ok_or_else(|| ErpError::Setup {
                message: format!(
                    "[shops.{}.odoo] {key} = {name:?}: {} {model} has this name",
                    self.session.shop(),
                    if rows.is_empty() { "no" } else { "more than one" }
                ),
            })
        };
        self.look_ups.declared(format!("{model} {name}"), fetch).await
    }

    pub(super) async fn write_fields(&self, model: &str, id: ErpId, fields: &Fields) -> Result<(), ErpError> {
        let major = self.major().await?;
        let mut values = Map::new();
        for (name, value) in fields {
            let encoded = match value {
                FieldValue::Record(id) if name == "lang" => json!(self.language_code(*id).await?),
                value => value::encode(value),
            };
            values.insert(wire_name(major, model, name).to_owned(), encoded);
        }
        let call = Call::write(model, "write")
            .on([id])
            .arg("vals", Value::Object(values))
            .quietly();
        self.session.call(&call).await.map(drop)
    }
}

/// A plain search, for rows in the order of their ids.
fn search_call(major: u32, model: &str, domain: Vec<Value>, fields: &[impl AsRef<str>]) -> Call {
    let fields: Vec<&str> = fields
        .iter()
        .map(|field| wire_name(major, model, field.as_ref()))
        .collect();
    Call::read(model, "search_read")
        .arg("domain", Value::Array(domain))
        // Without fields Odoo would send all of them, more than some users may read.
        .arg(
            "fields",
            if fields.is_empty() {
                json!(["id"])
            } else {
                json!(fields)
            },
        )
        .option("order", "id")
}

/// Which of a search's conditions it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// This one of `equal`.
    Equal(usize),
    OneOf,
}

/// The condition of a search by texts: searches that differ in nothing else can be made together.
struct ByText<'a> {
    place: Place,
    name: &'a str,
    texts: Vec<Value>,
}

impl<'a> ByText<'a> {
    /// The first such condition.
    fn of(find: &'a Find, table: &FieldTable) -> Option<Self> {
        let is_text = |value: &FieldValue| matches!(value, FieldValue::Text(text) if !text.is_empty());
        let texts = |name: &str, values: &[FieldValue]| {
            let is_by_text = table.0.get(name)?.kind == "char" && !values.is_empty();
            let all = is_by_text && values.iter().all(is_text);
            all.then(|| values.iter().map(value::encode).collect::<Vec<_>>())
        };
        let equal = find.equal.iter().enumerate();
        let equal = equal.map(|(place, (name, wanted))| (Place::Equal(place), name, from_ref(wanted)));
        let one_of = find.one_of.iter();
        let one_of = one_of.map(|(name, values)| (Place::OneOf, name, values.as_slice()));
        equal.chain(one_of).find_map(|(place, name, values)| {
            let texts = texts(name, values)?;
            Some(Self { place, name, texts })
        })
    }
}

/// Rows as the fields' types say.
fn decode_rows(
    major: u32,
    model: &str,
    table: &FieldTable,
    fields: &[String],
    rows: &[Value],
) -> Result<Vec<Row>, ErpError> {
    let read = |row: &Value| {
        let id = row["id"]
            .as_i64()
            .ok_or_else(|| nonsense(model, "read", "a row without an id"))?;
        let mut decoded = BTreeMap::new();
        for name in fields {
            let kind = table.0.get(name).map_or("", |info| info.kind.as_str());
            let raw = row
                .get(wire_name(major, model, name))
                .ok_or_else(|| nonsense(model, "read", format!("the field {name} is missing")))?;
            let value = value::decode(kind, raw)
                .map_err(|what| nonsense(model, "read", format!("{name} has {what}")))?;
            decoded.insert(name.clone(), value);
        }
        Ok(Row {
            id: ErpId(id),
            fields: decoded,
        })
    };
    rows.iter().map(read).collect()
}
