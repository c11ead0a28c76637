//! Look-ups: questions with one record as the answer, asked once and remembered.
//!
//! Many workers that ask the same question at the same time share one call. What was found is kept for ten minutes, what
//! was missing only briefly, so that somebody who adds a tax does not wait for it to be seen. Nothing is guessed: several
//! candidates are an answer of their own, and a person decides.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use moka::Expiry;
use moka::future::Cache;
use serde_json::{Value, json};

use super::choose::{Language, Tax, TaxKeys, choose_tax, language, one_of};
use super::country::{Countries, Country};
use super::settings::Reference;
use super::value::{decimal, record, text};
use super::{Odoo, load, value};
use crate::domain::{ErpId, ExternalId, LOOK_UP_KINDS, LookUp, Needed, Scalar, Timestamp};
use crate::erp::ErpError;

const FOUND_KEPT: Duration = Duration::from_mins(10);
const MISSING_KEPT: Duration = Duration::from_secs(15);

/// How many candidates an ambiguous answer names.
const CANDIDATES: u32 = 10;

/// The answers that are remembered.
pub(super) struct LookUps {
    answers: Cache<LookUp, Needed>,
    taxes: Cache<(), Arc<Vec<Tax>>>,
    languages: Cache<(), Arc<Vec<Language>>>,
    declared: Cache<String, ErpId>,
    company: Cache<(), Company>,
    own_country: Cache<(), Option<String>>,
    countries: Cache<(), Arc<Countries>>,
    /// When each of the two lists was asked for last, in milliseconds.
    taxes_at: AtomicI64,
    languages_at: AtomicI64,
    /// When an absence was last told from memory, in milliseconds.
    absence_told_at: AtomicI64,
}

/// The company that is worked in.
#[derive(Clone)]
struct Company {
    /// The code of its currency.
    currency: Option<String>,
    /// Where it pays its taxes.
    country: Option<ErpId>,
}

/// What was found stays longer than what was not.
struct ByOutcome;

impl Expiry<LookUp, Needed> for ByOutcome {
    fn expire_after_create(&self, _: &LookUp, answer: &Needed, _: Instant) -> Option<Duration> {
        Some(match answer {
            Needed::Found(_) => FOUND_KEPT,
            Needed::Missing | Needed::Ambiguous(_) => MISSING_KEPT,
        })
    }
}

/// A list changes seldom, but a missing entry must be seen soon; the answers keep what was found for longer.
fn list<T: Clone + Send + Sync + 'static>() -> Cache<(), T> {
    Cache::builder()
        .max_capacity(1)
        .time_to_live(MISSING_KEPT)
        .build()
}

impl LookUps {
    pub(super) fn new() -> Self {
        Self {
            answers: Cache::builder()
                .max_capacity(10_000)
                .expire_after(ByOutcome)
                .build(),
            taxes: list(),
            languages: list(),
            declared: Cache::builder()
                .max_capacity(100)
                .time_to_live(FOUND_KEPT)
                .build(),
            company: Cache::builder().max_capacity(1).time_to_live(FOUND_KEPT).build(),
            own_country: Cache::builder().max_capacity(1).time_to_live(FOUND_KEPT).build(),
            countries: Cache::builder().max_capacity(1).time_to_live(FOUND_KEPT).build(),
            taxes_at: AtomicI64::new(i64::MIN),
            languages_at: AtomicI64::new(i64::MIN),
            absence_told_at: AtomicI64::new(i64::MIN),
        }
    }

    pub(super) fn forget(&self) {
        self.answers.invalidate_all();
        self.taxes.invalidate_all();
        self.languages.invalidate_all();
        self.declared.invalidate_all();
        self.company.invalidate_all();
        self.own_country.invalidate_all();
        self.countries.invalidate_all();
        self.absence_told_at.store(i64::MIN, Ordering::Relaxed);
    }

    /// Forgets all answers if one told an absence from memory since this moment.
    pub(super) fn forget_absences(&self, since: Timestamp) -> bool {
        let told = self.absence_told_at.load(Ordering::Relaxed) >= since.millis();
        if told {
            self.forget();
        }
        told
    }

    /// When the list behind a look-up of this kind was asked for; none for kinds without one.
    fn listed_at(&self, kind: &str) -> Option<i64> {
        match kind {
            "tax" => Some(self.taxes_at.load(Ordering::Relaxed)),
            "language" => Some(self.languages_at.load(Ordering::Relaxed)),
            _ => None,
        }
    }

    /// A record that a setting names.
    pub(super) async fn declared(
        &self,
        key: String,
        fetch: impl Future<Output = Result<ErpId, ErpError>>,
    ) -> Result<ErpId, ErpError> {
        self.declared.try_get_with(key, fetch).await.map_err(shared)
    }
}

/// The error of a call that several waited for.
#[expect(clippy::needless_pass_by_value, reason = "the shape that map_err gives")]
fn shared(error: Arc<ErpError>) -> ErpError {
    ErpError::clone(&error)
}

fn ids(rows: &[Value]) -> Vec<ErpId> {
    rows.iter()
        .filter_map(|row| row["id"].as_i64().map(ErpId))
        .collect()
}

impl Odoo {
    pub(super) async fn answer(&self, look_up: &LookUp) -> Result<Needed, ErpError> {
        let asked_at = self.session.now().millis();
        let entry = self
            .look_ups
            .answers
            .entry_by_ref(look_up)
            .or_try_insert_with(Box::pin(self.ask(look_up)))
            .await
            .map_err(shared)?;
        let listed_at = self.look_ups.listed_at(&look_up.kind);
        let remembered = !entry.is_fresh() || listed_at.is_some_and(|at| at < asked_at);
        let answer = entry.into_value();
        if remembered && !matches!(answer, Needed::Found(_)) {
            let told_at = self.session.now().millis();
            self.look_ups
                .absence_told_at
                .fetch_max(told_at, Ordering::Relaxed);
        }
        Ok(answer)
    }

    async fn ask(&self, look_up: &LookUp) -> Result<Needed, ErpError> {
        let setup = |message: String| ErpError::Setup { message };
        let kind = LOOK_UP_KINDS
            .iter()
            .find(|kind| kind.name == look_up.kind)
            .ok_or_else(|| setup(format!("there is no look-up of kind `{}`", look_up.kind)))?;
        let missing = kind.required.iter().find(|key| !look_up.keys.contains_key(**key));
        if let Some(key) = missing {
            return Err(setup(format!("the look-up `{look_up}` lacks the key `{key}`")));
        }
        let key = |name: &str| look_up.keys.get(name).map(ToString::to_string);
        let required = |name: &str| key(name).unwrap_or_default();
        match kind.name {
            "country" => {
                let code = required("code").to_uppercase();
                self.one("res.country", vec![json!(["code", "=", code])]).await
            }
            "state" => {
                let country = required("country").to_uppercase();
                let domain = vec![
                    json!(["country_id.code", "=", country]),
                    json!(["code", "=", required("code")]),
                ];
                self.one("res.country.state", domain).await
            }
            "currency" => {
                self.one("res.currency", vec![json!(["name", "=", required("code")])])
                    .await
            }
            "pricelist" => self.pricelist(&required("currency")).await,
            "language" => {
                let languages = self.languages().await?;
                Ok(language(&languages, &required("code")))
            }
            "tax" => self.tax(look_up).await,
            "service" => self.service(&required("purpose")).await,
            "record" => self.any_record(look_up).await,
            other => Err(setup(format!("Odoo answers no look-up of kind `{other}`"))),
        }
    }

    /// The one record of `model` that `domain` finds.
    async fn one(&self, model: &str, domain: Vec<Value>) -> Result<Needed, ErpError> {
        let rows = self
            .search_read(model, domain, &["id"], Some(CANDIDATES), false)
            .await?;
        Ok(one_of(ids(&rows)))
    }

    /// The declared price list when it is in this currency, else the only one in it.
    async fn pricelist(&self, currency: &str) -> Result<Needed, ErpError> {
        let table = self.table("product.pricelist").await?;
        let mut domain = vec![json!(["currency_id.name", "=", currency])];
        domain.append(&mut self.company_domain(&table).await?);
        let rows = self
            .search_read("product.pricelist", domain, &["id"], Some(CANDIDATES), false)
            .await?;
        let found = ids(&rows);
        if let Some(reference) = &self.session.settings().pricelist {
            let declared = self
                .declared_record("pricelist", "product.pricelist", reference)
                .await?;
            if found.contains(&declared) {
                return Ok(Needed::Found(declared));
            }
        }
        Ok(one_of(found))
    }

    async fn tax(&self, look_up: &LookUp) -> Result<Needed, ErpError> {
        let wrong = |key: &str| ErpError::Setup {
            message: format!("the look-up `{look_up}`: `{key}` has the wrong type"),
        };
        let rate = match look_up.keys.get("rate") {
            Some(Scalar::Decimal(rate)) => *rate,
            Some(Scalar::Text(text)) => crate::domain::parse_decimal(text).map_err(|_| wrong("rate"))?,
            _ => return Err(wrong("rate")),
        };
        let Some(Scalar::Bool(included)) = look_up.keys.get("included") else {
            return Err(wrong("included"));
        };
        let code = |key: &str| look_up.keys.get(key).map(ToString::to_string);
        let countries = self.countries().await?;
        let country = match code("country") {
            None => None,
            Some(code) => match countries.with_code(&code) {
                None => return Ok(Needed::Missing),
                known => known,
            },
        };
        let title = code("title");
        // A place that the ERP does not know decides nothing.
        let ship_to = code("ship_to").and_then(|code| countries.with_code(&code));
        let home = self.own_company().await?.country;
        let named = countries.named_in(title.as_deref().unwrap_or_default(), ship_to.or(home));
        let keys = TaxKeys {
            rate_percent: rate,
            included: *included,
            country,
            title: title.as_deref(),
            named: &named,
            ship_to,
            home,
            channel: look_up.keys.get("channel") == Some(&Scalar::Bool(true)),
        };
        Ok(choose_tax(&self.taxes().await?, keys))
    }

    /// All countries.
    pub(super) async fn countries(&self) -> Result<Arc<Countries>, ErpError> {
        let fetch = async {
            let rows = self
                .search_read("res.country", Vec::new(), &["code", "name"], None, false)
                .await?;
            let country = |row: &Value| {
                Some(Country {
                    id: ErpId(row["id"].as_i64()?),
                    code: text(&row["code"])?,
                    name: text(&row["name"])?,
                })
            };
            Ok(Arc::new(Countries(rows.iter().filter_map(country).collect())))
        };
        self.look_ups
            .countries
            .try_get_with((), fetch)
            .await
            .map_err(shared)
    }

    /// All sale taxes of the company that are a percentage: one call for any number of look-ups.
    pub(super) async fn taxes(&self) -> Result<Arc<Vec<Tax>>, ErpError> {
        let fetch = async {
            let now = self.session.now().millis();
            self.look_ups.taxes_at.store(now, Ordering::Relaxed);
            let table = self.table("account.tax").await?;
            let countries = self.countries().await?;
            let mut domain = vec![
                json!(["type_tax_use", "=", "sale"]),
                json!(["amount_type", "=", "percent"]),
            ];
            domain.append(&mut self.company_domain(&table).await?);
            let wanted = ["name", "amount", "price_include", "country_id", "invoice_label"];
            let fields: Vec<&str> = wanted
                .into_iter()
                .filter(|field| table.0.contains_key(*field))
                .collect();
            let rows = self
                .search_read("account.tax", domain, &fields, None, false)
                .await?;
            let tax = |row: &Value| {
                let name = text(&row["name"]).unwrap_or_default();
                let country = countries.whose(&name, record(&row["country_id"]));
                Some(Tax {
                    id: ErpId(row["id"].as_i64()?),
                    names: [&row["name"], &row["invoice_label"]]
                        .into_iter()
                        .filter_map(text)
                        .collect(),
                    rate_percent: decimal(&row["amount"])?,
                    included: row["price_include"].as_bool()?,
                    country,
                    states: countries.states(country),
                })
            };
            Ok(Arc::new(rows.iter().filter_map(tax).collect()))
        };
        self.look_ups.taxes.try_get_with((), fetch).await.map_err(shared)
    }

    /// The code of our company's currency.
    pub(super) async fn own_currency(&self) -> Result<Option<String>, ErpError> {
        Ok(self.own_company().await?.currency)
    }

    /// The two letters of our company's country.
    pub(super) async fn own_country(&self) -> Result<Option<String>, ErpError> {
        let Some(country) = self.own_company().await?.country else {
            return Ok(None);
        };
        let fetch = async {
            let domain = vec![json!(["id", "=", country.0])];
            let rows = self
                .search_read("res.country", domain, &["code"], Some(1), false)
                .await?;
            Ok(rows.first().and_then(|row| text(&row["code"])))
        };
        self.look_ups
            .own_country
            .try_get_with((), fetch)
            .await
            .map_err(shared)
    }

    async fn own_company(&self) -> Result<Company, ErpError> {
        let fetch = async {
            let company = self.session.login().await?.company;
            let table = self.table("res.company").await?;
            let fields: Vec<&str> = ["currency_id", "country_id", "account_fiscal_country_id"]
                .into_iter()
                .filter(|field| table.0.contains_key(*field))
                .collect();
            let domain = vec![json!(["id", "=", company.0])];
            let rows = self
                .search_read("res.company", domain, &fields, Some(1), false)
                .await?;
            let row = rows.first().unwrap_or(&Value::Null);
            Ok(Company {
                // A currency is shown by its code.
                currency: text(&row["currency_id"][1]),
                country: record(&row["account_fiscal_country_id"]).or_else(|| record(&row["country_id"])),
            })
        };
        self.look_ups
            .company
            .try_get_with((), fetch)
            .await
            .map_err(shared)
    }

    /// The installed languages.
    pub(super) async fn languages(&self) -> Result<Arc<Vec<Language>>, ErpError> {
        let fetch = async {
            let now = self.session.now().millis();
            self.look_ups.languages_at.store(now, Ordering::Relaxed);
            let rows = self
                .search_read("res.lang", Vec::new(), &["code"], None, false)
                .await?;
            let language = |row: &Value| {
                Some(Language {
                    id: ErpId(row["id"].as_i64()?),
                    code: text(&row["code"])?,
                })
            };
            Ok(Arc::new(rows.iter().filter_map(language).collect()))
        };
        self.look_ups
            .languages
            .try_get_with((), fetch)
            .await
            .map_err(shared)
    }

    /// The code of an installed language.
    pub(super) async fn language_code(&self, id: ErpId) -> Result<String, ErpError> {
        let languages = self.languages().await?;
        languages
            .iter()
            .find(|language| language.id == id)
            .map(|language| language.code.clone())
            .ok_or(ErpError::Missing {
                model: "res.lang".to_owned(),
                id: Some(id),
            })
    }

    /// The service product for a purpose: the one that the settings name, else the one with our external id
    /// `service_PURPOSE`. Always a variant, as order lines want it.
    async fn service(&self, purpose: &str) -> Result<Needed, ErpError> {
        match self.session.settings().services.get(purpose) {
            Some(Reference::Id(id)) => return Ok(Needed::Found(ErpId(*id))),
            Some(Reference::Name(code)) => {
                let table = self.table("product.product").await?;
                let mut domain = vec![json!(["default_code", "=", code])];
                domain.append(&mut self.company_domain(&table).await?);
                return self.one("product.product", domain).await;
            }
            None => {}
        }
        let Ok(name) = ExternalId::new(self.session.shop(), &format!("service_{purpose}")) else {
            return Ok(Needed::Missing);
        };
        let Some(found) = self.resolve(&name).await? else {
            return Ok(Needed::Missing);
        };
        match found.model.as_str() {
            "product.product" => Ok(Needed::Found(found.id)),
            "product.template" => {
                self.one(
                    "product.product",
                    vec![json!(["product_tmpl_id", "=", found.id.0])],
                )
                .await
            }
            other => Err(ErpError::Setup {
                message: format!("{} is a {other} and no product", load::full_name(&name)),
            }),
        }
    }

    async fn any_record(&self, look_up: &LookUp) -> Result<Needed, ErpError> {
        let model = look_up
            .keys
            .get("model")
            .map(ToString::to_string)
            .unwrap_or_default();
        let table = self.table(&model).await?;
        let mut domain = Vec::new();
        for (name, wanted) in look_up.keys.iter().filter(|(name, _)| *name != "model") {
            if !table.0.contains_key(name.split('.').next().unwrap_or(name)) {
                return Err(ErpError::Setup {
                    message: format!("{model} has no field {name}"),
                });
            }
            let wanted = match wanted {
                Scalar::Text(text) => json!(text),
                Scalar::Bool(value) => json!(value),
                Scalar::Decimal(value) => value::encode(&crate::domain::FieldValue::Decimal(*value)),
            };
            domain.push(json!([name, "=", wanted]));
        }
        domain.append(&mut self.company_domain(&table).await?);
        self.one(&model, domain).await
    }
}
