//! The environment of one call: who calls, in which context, at what time, on which database.

use std::collections::BTreeSet;

use chrono::NaiveDateTime;
use chrono_tz::Tz;
use rust_decimal::Decimal;
use serde_json::Value as Json;

use super::db::{Db, Key, Row};
use super::error::{OdooError, Res};
use super::models;
use super::options::Version;
use super::orm::order;
use super::schema::{Kind, Model, Origin, Schema};
use super::system::System;
use super::value::{Map, Val};

/// The user that may do everything, without checks: `__system__`.
pub(super) const SYSTEM_UID: i64 = 1;
/// The administrator.
pub(super) const ADMIN_UID: i64 = 2;

/// The keyword `context`, as far as it changes anything here.
#[derive(Debug, Clone, Default)]
pub(super) struct Context {
    raw: Map,
    pub(super) lang: Option<String>,
    pub(super) tz: Option<Tz>,
    /// Companies the call works in; the first one is the current one.
    pub(super) companies: Vec<i64>,
}

impl Context {
    /// Whether a flag is set to something true.
    pub(super) fn flag(&self, name: &str) -> bool {
        self.raw
            .get(name)
            .is_some_and(|value| !super::value::is_falsy(value))
    }

    pub(super) fn get(&self, name: &str) -> Option<&Json> {
        self.raw.get(name)
    }

    /// Whether archived records stay hidden.
    pub(super) fn active_test(&self) -> bool {
        self.raw
            .get("active_test")
            .is_none_or(|value| !super::value::is_falsy(value))
    }
}

/// One running call.
pub(super) struct Env<'a> {
    pub(super) db: &'a mut Db,
    pub(super) sys: &'a System,
    pub(super) schema: &'static Schema,
    pub(super) uid: i64,
    /// Start of the transaction: what `write_date` becomes.
    pub(super) now: NaiveDateTime,
    /// The commit count when the call arrived: what it could see.
    pub(super) snapshot: u64,
    pub(super) context: Context,
    /// Orders whose amounts are out of date.
    pub(super) stale_orders: BTreeSet<i64>,
    /// Invoices whose amounts are out of date.
    pub(super) stale_moves: BTreeSet<i64>,
    /// Templates whose variants are generated when the outermost write ends.
    pub(super) stale_templates: BTreeSet<i64>,
    /// Whether custom fields came or went.
    pub(super) fields_changed: bool,
    /// Orders that this call created or confirmed, for sabotage.
    pub(super) created_orders: Vec<i64>,
    pub(super) confirmed_orders: Vec<i64>,
    pub(super) depth: u32,
}

impl<'a> Env<'a> {
    pub(super) fn new(db: &'a mut Db, sys: &'a System, uid: i64, now: NaiveDateTime, snapshot: u64) -> Self {
        Self {
            db,
            sys,
            schema: sys.schema(),
            uid,
            now,
            snapshot,
            context: Context::default(),
            stale_orders: BTreeSet::new(),
            stale_moves: BTreeSet::new(),
            stale_templates: BTreeSet::new(),
            fields_changed: false,
            created_orders: Vec::new(),
            confirmed_orders: Vec::new(),
            depth: 0,
        }
    }

    pub(super) fn version(&self) -> Version {
        self.sys.options.version
    }

    /// Takes the keyword `context` of a call.
    pub(super) fn enter(&mut self, raw: Map) -> Res<()> {
        if let Some(lang) = raw.get("lang").and_then(Json::as_str) {
            if !self.is_installed(lang) {
                return Err(OdooError::user(format!("Invalid language code: {lang}")));
            }
            self.context.lang = Some(lang.to_owned());
        }
        let user_tz = self.text("res.users", self.uid, "tz");
        let tz = raw.get("tz").and_then(Json::as_str).filter(|tz| !tz.is_empty());
        self.context.tz = tz.unwrap_or(&user_tz).parse().ok();
        let own = self.ids("res.users", self.uid, "company_ids");
        self.context.companies = match raw.get("allowed_company_ids") {
            Some(Json::Array(asked)) if !asked.is_empty() => {
                let asked: Vec<i64> = asked.iter().filter_map(Json::as_i64).collect();
                if !self.is_system() && asked.iter().any(|id| !own.contains(id)) {
                    return Err(OdooError::access("Access to unauthorized or invalid companies."));
                }
                asked
            }
            _ => {
                let main = self.id("res.users", self.uid, "company_id");
                let others = own.into_iter().filter(|id| Some(*id) != main);
                main.into_iter().chain(others).collect()
            }
        };
        self.context.raw = raw;
        Ok(())
    }

    pub(super) fn is_installed(&self, lang: &str) -> bool {
        let found = self
            .db
            .find("res.lang", "code", &Key::Text(lang.to_owned()))
            .unwrap_or_default();
        found.first().is_some_and(|id| {
            self.row("res.lang", *id)
                .is_some_and(|row| row["active"].as_bool())
        })
    }

    pub(super) fn company(&self) -> i64 {
        self.context.companies.first().copied().unwrap_or(1)
    }

    /// The admin and the system itself: no access checks.
    pub(super) fn is_system(&self) -> bool {
        self.uid == SYSTEM_UID || self.uid == ADMIN_UID
    }

    /// Runs `work` with all rights, as Odoo's own code does for what a user's action entails.
    pub(super) fn sudo<T>(&mut self, work: impl FnOnce(&mut Self) -> T) -> T {
        let uid = std::mem::replace(&mut self.uid, SYSTEM_UID);
        let done = work(self);
        self.uid = uid;
        done
    }

    pub(super) fn model(&self, name: &str) -> &'static Model {
        self.schema.known(name)
    }

    pub(super) fn row(&self, model: &str, id: i64) -> Option<&Row> {
        self.db.row(model, id)
    }

    /// A field's value, stored or computed, whatever the caller's rights.
    pub(super) fn get(&self, model: &str, id: i64, name: &str) -> Val {
        let declared = self.model(model);
        let Some(field) = declared.field(name) else {
            return Val::Empty;
        };
        if name == "id" {
            return Val::Int(id);
        }
        match (field.origin, field.kind) {
            (Origin::Live, _) => models::live(self, declared, id, field),
            (Origin::Template, _) => match self.row(model, id).map(|row| row["product_tmpl_id"].clone()) {
                Some(Val::Int(template)) => self.get("product.template", template, name),
                _ => Val::Empty,
            },
            (_, Kind::Many(comodel, inverse)) => {
                let mut ids = self.db.children(comodel, inverse, id);
                if name == "invoice_line_ids" {
                    ids.retain(|item| models::account::is_invoice_line(self, *item));
                }
                Val::Ids(self.visible(comodel, ids))
            }
            (_, Kind::ManyMany(comodel)) => {
                let ids = self
                    .row(model, id)
                    .and_then(|row| row.get(name))
                    .map(|val| val.as_ids().to_vec());
                Val::Ids(self.visible(comodel, ids.unwrap_or_default()))
            }
            _ => self
                .row(model, id)
                .and_then(|row| row.get(name))
                .cloned()
                .unwrap_or_default(),
        }
    }

    /// Related records as a relation shows them: existing ones, archived ones hidden, in the model's order.
    fn visible(&self, comodel: &str, mut ids: Vec<i64>) -> Vec<i64> {
        let declared = self.model(comodel);
        let hide = declared.has("active") && self.context.active_test();
        ids.retain(|id| {
            self.row(comodel, *id)
                .is_some_and(|row| !hide || row.get("active").is_none_or(Val::as_bool))
        });
        order::sort(self, declared, &mut ids, &order::default(declared));
        ids
    }

    pub(super) fn id(&self, model: &str, id: i64, field: &str) -> Option<i64> {
        self.get(model, id, field).as_id()
    }

    pub(super) fn ids(&self, model: &str, id: i64, field: &str) -> Vec<i64> {
        self.get(model, id, field).as_ids().to_vec()
    }

    pub(super) fn text(&self, model: &str, id: i64, field: &str) -> String {
        self.get(model, id, field).as_text().to_owned()
    }

    pub(super) fn dec(&self, model: &str, id: i64, field: &str) -> Decimal {
        self.get(model, id, field).as_dec()
    }

    pub(super) fn is(&self, model: &str, id: i64, field: &str) -> bool {
        self.get(model, id, field).as_bool()
    }

    /// Changes stored values without hooks, rights or stamps.
    pub(super) fn set(
        &mut self,
        model: &str,
        id: i64,
        values: impl IntoIterator<Item = (&'static str, Val)>,
    ) {
        let declared = self.model(model);
        let Some(old) = self.row(model, id) else { return };
        let mut row = old.clone();
        row.extend(values);
        if row == *old {
            return;
        }
        self.db.put(declared.name, id, Some(row));
    }

    /// Refuses an operation that the user has no right to.
    pub(super) fn allow(&self, model: &Model, operation: &str) -> Res<()> {
        if self.is_system() || !self.sys.denies(model.name, operation) {
            return Ok(());
        }
        let verb = match operation {
            "read" => "access",
            "write" => "modify",
            "create" => "create",
            _ => "delete",
        };
        Err(OdooError::access(format!(
            "You are not allowed to {verb} '{}' ({}) records.\n\nNo group currently allows this operation.\n\nContact your administrator to request access if necessary.",
            model.label, model.name
        )))
    }

    /// Whether the multi-company rules let the caller see a record.
    pub(super) fn in_company(&self, model: &Model, id: i64) -> bool {
        if self.is_system()
            || !model
                .field("company_id")
                .is_some_and(|field| field.origin == Origin::Own)
        {
            return true;
        }
        self.row(model.name, id)
            .and_then(|row| row.get("company_id"))
            .and_then(Val::as_id)
            .is_none_or(|company| self.context.companies.contains(&company))
    }

    /// Refuses ids that do not exist or belong to another company.
    pub(super) fn must_exist(&self, model: &Model, ids: &[i64]) -> Res<()> {
        for id in ids {
            if !self.db.exists(model.name, *id) {
                return Err(OdooError::missing(model.name, *id, self.uid));
            }
            if !self.in_company(model, *id) {
                return Err(OdooError::access(format!(
                    "Due to security restrictions, you are not allowed to access '{}' ({}) records.\n\nRecords: id={id}",
                    model.label, model.name
                )));
            }
        }
        Ok(())
    }

    /// Posts a message on a record's chatter.
    pub(super) fn post(&mut self, model: &'static str, id: i64, body: &str, kind: &str) -> i64 {
        let author = self.id("res.users", self.uid, "partner_id");
        let now = self.now;
        self.insert(
            "mail.message",
            Row::from([
                ("model", Val::text(model)),
                ("res_id", Val::Int(id)),
                ("reference", Val::text(format!("{model},{id}"))),
                ("body", Val::text(body)),
                ("message_type", Val::text(kind)),
                ("author_id", Val::one(author)),
                ("date", Val::Time(now)),
            ]),
        )
    }

    /// Stores a new row with its stamps, without hooks.
    pub(super) fn insert(&mut self, model: &str, mut row: Row) -> i64 {
        let declared = self.model(model);
        let id = self.db.next_id(declared.name);
        row.insert("create_date", Val::Time(self.now));
        row.insert("write_date", Val::Time(self.now));
        row.insert("create_uid", Val::Int(self.uid));
        row.insert("write_uid", Val::Int(self.uid));
        self.db.put(declared.name, id, Some(row));
        id
    }

    /// Moves a record's `write_date`.
    pub(super) fn touch(&mut self, model: &str, id: i64) {
        let stamps = [
            ("write_date", Val::Time(self.now)),
            ("write_uid", Val::Int(self.uid)),
        ];
        self.set(model, id, stamps);
    }
}
