//! What `check --live` asks an Odoo server. Every failure is a row with what to do about it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::Odoo;
use super::call::Call;
use super::settings::Settings;
use crate::domain::{CheckOutcome, CheckRow, FieldNeed, LookUp, Needed, Scalar};
use crate::erp::{ErpError, Needs};
use crate::transport::Failure;

/// Models that are read whatever the mappings say.
const ALWAYS_READ: [&str; 2] = ["res.company", "res.lang"];

const READ: &[&str] = &["read"];
const MAKE: &[&str] = &["read", "create"];
const WRITE: &[&str] = &["read", "write", "create"];

/// What this adapter does by itself when a mapping writes a model: no mapping names these.
const IMPLIED: &[(&str, &str, &[&str])] = &[
    ("res.partner", "res.country", READ),
    ("res.partner", "res.country.state", READ),
    ("product.template", "product.attribute", MAKE),
    ("product.template", "product.attribute.value", MAKE),
    ("product.template", "product.template.attribute.line", WRITE),
    ("product.template", "product.product", WRITE),
    ("sale.order", "product.product", READ),
    ("sale.order", "product.pricelist", READ),
    ("sale.order", "res.currency", READ),
    ("sale.order", "account.tax", READ),
];

impl Odoo {
    pub(super) async fn check_live(&self, needs: &Needs) -> Vec<CheckRow> {
        let mut rows = Vec::new();
        let settings = self.session.settings();
        if let Some(warning) = settings.expiry_warning(self.session.now()) {
            rows.push(row("API key", CheckOutcome::Warning, warning));
        }
        let login = match self.session.login().await {
            Ok(login) => login,
            Err(error) => {
                rows.push(row(
                    "connection",
                    CheckOutcome::Failed,
                    format!("{error}. {}", advice(&error)),
                ));
                rows.push(row(
                    "rights, fields, languages, currencies",
                    CheckOutcome::Skipped,
                    "need a login".to_owned(),
                ));
                return rows;
            }
        };
        let about = &login.about;
        rows.push(row(
            "connection",
            CheckOutcome::Ok,
            format!("Odoo {} over {}", about.version, about.protocol),
        ));
        rows.push(row(
            "login",
            CheckOutcome::Ok,
            format!("user {} in company {}", login.uid, login.company),
        ));
        rows.push(match &login.email {
            Some(_) => row("e-mail of the API user", CheckOutcome::Ok, "set".to_owned()),
            None => row(
                "e-mail of the API user",
                CheckOutcome::Failed,
                "the API user has none: Odoo 18 then refuses to change some orders. Set one in its preferences".to_owned(),
            ),
        });
        self.check_declared(&mut rows).await;
        self.check_services(needs, &mut rows).await;
        self.check_rights(needs, about.major, &mut rows).await;
        self.check_fields(needs, &mut rows).await;
        let own = login.context.get("lang").and_then(serde_json::Value::as_str);
        self.check_languages(needs, own, &mut rows).await;
        self.check_currencies(needs, &mut rows).await;
        rows
    }

    /// The warehouse, sales team, salesperson and price list that the settings name.
    async fn check_declared(&self, rows: &mut Vec<CheckRow>) {
        let settings = self.session.settings();
        for (key, model, reference) in [
            ("warehouse", "stock.warehouse", &settings.warehouse),
            ("sales_team", "crm.team", &settings.sales_team),
            ("salesperson", "res.users", &settings.salesperson),
            ("pricelist", "product.pricelist", &settings.pricelist),
        ] {
            let Some(reference) = reference else { continue };
            let found = match self.declared_record(key, model, reference).await {
                Ok(id) => self
                    .read_rows(model, &[id], &[])
                    .await
                    .map(|rows| !rows.is_empty()),
                Err(error) => Err(error),
            };
            rows.push(match found {
                Ok(true) => row(key, CheckOutcome::Ok, format!("{reference} is there")),
                Ok(false) => row(
                    key,
                    CheckOutcome::Failed,
                    format!("there is no {model} {reference}"),
                ),
                Err(error) => row(key, CheckOutcome::Failed, error.to_string()),
            });
        }
    }

    /// The service products: the settings name them, or they carry our external id. One that nobody made is missed only
    /// by the first order that needs it.
    async fn check_services(&self, needs: &Needs, rows: &mut Vec<CheckRow>) {
        let declared = &self.session.settings().services;
        let purposes: BTreeSet<&String> = needs.services.iter().chain(declared.keys()).collect();
        for purpose in purposes {
            let what = format!("service for {purpose}");
            let found = self.answer(&look_up("service", "purpose", purpose)).await;
            rows.push(match (found, declared.get(purpose)) {
                (Ok(Needed::Found(_)), Some(reference)) => {
                    row(&what, CheckOutcome::Ok, format!("{reference} is there"))
                }
                (Ok(Needed::Found(id)), None) => {
                    row(&what, CheckOutcome::Ok, format!("product {id}, by its external id"))
                }
                (Ok(Needed::Missing), Some(reference)) => row(
                    &what,
                    CheckOutcome::Failed,
                    format!("no product has the internal reference {reference}"),
                ),
                (Ok(Needed::Missing), None) => row(
                    &what,
                    CheckOutcome::Warning,
                    format!(
                        "none: an order with such a line will wait for a person. `lockstep setup apply` makes one; or name the \
                         internal reference of your own as `{purpose}` in this shop's `odoo.services`"
                    ),
                ),
                (Ok(Needed::Ambiguous(ids)), _) => row(
                    &what,
                    CheckOutcome::Failed,
                    format!("{} products could be meant: name one by its id", ids.len()),
                ),
                (Err(error), _) => row(&what, CheckOutcome::Failed, error.to_string()),
            });
        }
    }

    async fn check_rights(&self, needs: &Needs, major: u32, rows: &mut Vec<CheckRow>) {
        for (model, operations) in wanted_rights(needs, self.session.settings()) {
            let mut denied = Vec::new();
            let mut failed = None;
            for operation in &operations {
                match self.may(major, model, operation).await {
                    Ok(true) => {}
                    Ok(false) | Err(ErpError::Forbidden { .. }) => denied.push(*operation),
                    Err(error) => failed = Some(error),
                }
            }
            let what = format!("rights on {model}");
            rows.push(match failed {
                Some(error) => row(&what, CheckOutcome::Failed, format!("{error}. {}", advice(&error))),
                None if denied.is_empty() => row(&what, CheckOutcome::Ok, Vec::from_iter(operations).join(", ")),
                None => row(
                    &what,
                    CheckOutcome::Failed,
                    format!(
                        "the API user may not {}: give it a group that may (sales, inventory, contacts, invoicing)",
                        denied.join(", ")
                    ),
                ),
            });
        }
    }

    /// Whether the API user may do this on some records of the model.
    pub(super) async fn may(&self, major: u32, model: &str, operation: &str) -> Result<bool, ErpError> {
        let answer = if major >= 18 {
            let call = Call::read(model, "has_access").on([]).arg("operation", operation);
            self.session.call(&call).await?
        } else {
            let call = Call::read(model, "check_access_rights")
                .arg("operation", operation)
                .option("raise_exception", json!(false));
            self.session.call(&call).await?
        };
        Ok(answer == true)
    }

    async fn check_fields(&self, needs: &Needs, rows: &mut Vec<CheckRow>) {
        for (model, wanted) in &needs.fields {
            let what = format!("fields of {model}");
            let table = match self.table(model).await {
                Ok(table) => table,
                Err(error) => {
                    rows.push(row(
                        &what,
                        CheckOutcome::Failed,
                        format!("{error}. {}", advice(&error)),
                    ));
                    continue;
                }
            };
            let named = |fault: &dyn Fn(&FieldNeed) -> bool| -> String {
                let named: Vec<String> = wanted
                    .iter()
                    .filter(|field| fault(field))
                    .map(|field| format!("{} ({})", field.name, field.place))
                    .collect();
                named.join(", ")
            };
            let missing = named(&|field| !field.optional && !table.0.contains_key(&field.name));
            let left_out = named(&|field| field.optional && !table.0.contains_key(&field.name));
            let readonly =
                named(&|field| field.written && table.0.get(&field.name).is_some_and(|known| known.readonly));
            rows.push(if !missing.is_empty() {
                row(
                    &what,
                    CheckOutcome::Failed,
                    format!(
                        "Odoo has no {missing}: correct the mapping, or install the module that brings it"
                    ),
                )
            } else if !readonly.is_empty() {
                row(
                    &what,
                    CheckOutcome::Warning,
                    format!("Odoo computes {readonly} itself and ignores what is written"),
                )
            } else if left_out.is_empty() {
                row(&what, CheckOutcome::Ok, format!("all {} are there", wanted.len()))
            } else {
                let note = format!("optional, and left out while Odoo does not have them: {left_out}");
                row(&what, CheckOutcome::Ok, note)
            });
            if model == "sale.order.line" && !table.0.contains_key("technical_price_unit") {
                rows.push(row(
                    "prices on order lines",
                    CheckOutcome::Warning,
                    "this Odoo recomputes a price when somebody changes the quantity of a line".to_owned(),
                ));
            }
        }
    }

    /// The languages that are needed, and the one that every call names (declared, else the API user's own).
    async fn check_languages(&self, needs: &Needs, own: Option<&str>, rows: &mut Vec<CheckRow>) {
        let needed = needs.languages.iter().map(String::as_str);
        for code in own.into_iter().chain(needed).collect::<BTreeSet<_>>() {
            let what = format!("language {code}");
            rows.push(match self.answer(&look_up("language", "code", code)).await {
                Ok(Needed::Found(_)) => row(&what, CheckOutcome::Ok, "installed".to_owned()),
                Ok(Needed::Missing) => row(
                    &what,
                    CheckOutcome::Failed,
                    "not installed: add it in Odoo under Settings, Languages".to_owned(),
                ),
                Ok(Needed::Ambiguous(_)) => row(
                    &what,
                    CheckOutcome::Warning,
                    "several variants are installed: name one with its country, e.g. de_DE".to_owned(),
                ),
                Err(error) => row(&what, CheckOutcome::Failed, error.to_string()),
            });
        }
    }

    async fn check_currencies(&self, needs: &Needs, rows: &mut Vec<CheckRow>) {
        for code in needs.currencies.iter().collect::<BTreeSet<_>>() {
            let what = format!("currency {code}");
            match self.answer(&look_up("currency", "code", code)).await {
                Ok(Needed::Found(_)) => {}
                Ok(_) => {
                    rows.push(row(
                        &what,
                        CheckOutcome::Failed,
                        "not active: an accountant can activate it in Odoo".to_owned(),
                    ));
                    continue;
                }
                Err(error) => {
                    rows.push(row(&what, CheckOutcome::Failed, error.to_string()));
                    continue;
                }
            }
            rows.push(match self.answer(&look_up("pricelist", "currency", code)).await {
                Ok(Needed::Found(id)) => row(&what, CheckOutcome::Ok, format!("active, price list {id}")),
                Ok(Needed::Missing) => row(
                    &what,
                    CheckOutcome::Warning,
                    "active, but there is no price list in it: orders in it work only if it is the company's own currency. \
                     `lockstep setup apply` makes one"
                        .to_owned(),
                ),
                Ok(Needed::Ambiguous(ids)) => row(
                    &what,
                    CheckOutcome::Failed,
                    format!("{} price lists are in it: name one with `pricelist`", ids.len()),
                ),
                Err(error) => row(&what, CheckOutcome::Failed, error.to_string()),
            });
        }
    }
}

/// The operations that are needed on each model.
fn wanted_rights<'n>(needs: &'n Needs, settings: &Settings) -> BTreeMap<&'n str, BTreeSet<&'static str>> {
    let mut rights: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let mut add = |model, operations: &[&'static str]| {
        rights.entry(model).or_default().extend(operations);
    };
    for model in ALWAYS_READ {
        add(model, READ);
    }
    for (model, fields) in &needs.fields {
        add(
            model,
            if fields.iter().any(|field| field.written) {
                WRITE
            } else {
                READ
            },
        );
        for (_, implied, operations) in IMPLIED.iter().filter(|(cause, ..)| cause == model) {
            add(implied, operations);
        }
    }
    for (model, declared) in [
        ("stock.warehouse", &settings.warehouse),
        ("crm.team", &settings.sales_team),
        ("product.pricelist", &settings.pricelist),
    ] {
        if declared.is_some() {
            add(model, READ);
        }
    }
    rights
}

fn row(what: &str, outcome: CheckOutcome, note: String) -> CheckRow {
    CheckRow {
        what: format!("ERP {what}"),
        outcome,
        note,
    }
}

pub(super) fn look_up(kind: &str, key: &str, value: &str) -> LookUp {
    LookUp {
        kind: kind.to_owned(),
        keys: [(key.to_owned(), Scalar::Text(value.to_owned()))].into(),
    }
}

/// What to do about a failure.
fn advice(error: &ErpError) -> &'static str {
    match error {
        ErpError::Unreachable(failure) => match failure {
            Failure::Name { .. } => "Check `url` for a typing mistake, and this machine's name resolution",
            Failure::ConnectionRefused { .. } => "Check the port in `url`, and whether Odoo runs",
            Failure::Certificate { .. } | Failure::Tls { .. } => {
                "Check `connection.ca_file` and `connection.client_certificate_file`"
            }
            Failure::Proxy { .. } => "Check `connection.proxy`",
            Failure::Page { .. } => "Check that `url` leads to Odoo itself: a login page or a proxy answered",
            _ => "Check `url` and the network between here and there",
        },
        ErpError::Refused { .. } => "Check `login` and the API key, and whether the key has expired",
        ErpError::Misconfigured { .. } => "Correct the settings of this shop's `odoo` table",
        ErpError::Down { .. } => "Its database server is down",
        ErpError::Setup { .. } => "A module may not be installed",
        ErpError::Forbidden { .. } => "Give the API user the rights for it",
        _ => "Try again; if it stays, look into Odoo's log",
    }
}
