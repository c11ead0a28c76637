//! Setting Odoo up for a shop: what is missing, and making it. Everything that is made carries an external id or a name
//! that Odoo keeps unique, so that a repetition makes nothing twice.

use serde_json::{Value, json};

use super::call::Call;
use super::check::look_up;
use super::settings::Reference;
use super::value::{record, text};
use super::{Odoo, nonsense};
use crate::domain::{ErpId, ExternalId, FieldValue, Fields, Needed};
use crate::erp::{Choice, ChoiceKind, ErpError, OrderFieldKind, Save, SetupState, SetupWish};

/// The model of service products: the variant, as order lines want it.
const PRODUCT: &str = "product.product";
const FIELDS: &str = "ir.model.fields";
const ORDER: &str = "sale.order";

/// Purposes that are no sale: no tax belongs to them.
const UNTAXED: [&str; 3] = ["gift_card", "rounding", "tip"];

/// How many candidates are named to a person.
const NAMED: usize = 8;

impl Odoo {
    pub(super) async fn state_of(&self, wish: &SetupWish) -> Result<SetupState, ErpError> {
        match wish {
            SetupWish::Currency { code } => self.currency_state(code).await,
            SetupWish::PriceList { currency, label } => self.price_list_state(currency, label).await,
            SetupWish::Service { purpose, label } => self.service_state(purpose, label).await,
            SetupWish::GiftCardAccount => self.gift_card_state().await,
            SetupWish::OrderField { name, label, holds } => self.order_field_state(name, label, *holds).await,
        }
    }

    /// Makes it. What is remembered of the ERP is forgotten, so that it counts at once.
    pub(super) async fn make(&self, wish: &SetupWish) -> Result<(), ErpError> {
        let made = match wish {
            SetupWish::PriceList { currency, label } => self.make_price_list(currency, label).await,
            SetupWish::Service { purpose, label } => self.make_service(purpose, label).await,
            SetupWish::OrderField { name, label, holds } => self.make_order_field(name, label, *holds).await,
            SetupWish::Currency { .. } | SetupWish::GiftCardAccount => Err(ErpError::Setup {
                message: "this is for a person to decide".to_owned(),
            }),
        };
        self.look_ups.forget();
        self.tables.invalidate_all();
        made
    }

    async fn currency_state(&self, code: &str) -> Result<SetupState, ErpError> {
        Ok(match self.answer(&look_up("currency", "code", code)).await? {
            Needed::Found(_) => SetupState::There("active".to_owned()),
            _ => SetupState::ByHand(format!(
                "activate it: Accounting, Configuration, Currencies (without Accounting: Settings, Technical, Currencies \
                 in developer mode); open {code}, switch Active on and set its rate"
            )),
        })
    }

    async fn price_list_state(&self, currency: &str, label: &str) -> Result<SetupState, ErpError> {
        Ok(
            match self.answer(&look_up("pricelist", "currency", currency)).await? {
                Needed::Found(id) => SetupState::There(format!("price list {id}")),
                Needed::Ambiguous(ids) => SetupState::ByHand(format!(
                    "{} price lists are in {currency}: name the one for this shop as `pricelist` in its `odoo` table",
                    ids.len()
                )),
                Needed::Missing => match self.answer(&look_up("currency", "code", currency)).await? {
                    Needed::Found(_) => {
                        let how = "Sales, Products, Pricelists, New (if the menu is missing: Sales, Configuration, Settings, \
                                   Pricelists)";
                        let needed = format!("`{label}`");
                        self.makeable("product.pricelist", needed, how.to_owned()).await?
                    }
                    _ => SetupState::ByHand(format!("activate the currency {currency} first")),
                },
            },
        )
    }

    async fn make_price_list(&self, currency: &str, label: &str) -> Result<(), ErpError> {
        let Needed::Found(id) = self.answer(&look_up("currency", "code", currency)).await? else {
            return Err(ErpError::Setup {
                message: format!("the currency {currency} is not active"),
            });
        };
        let fields = vec![
            ("name".to_owned(), FieldValue::Text(label.to_owned())),
            ("currency_id".to_owned(), FieldValue::Record(id)),
        ];
        self.make_record("product.pricelist", &format!("pricelist_{currency}"), fields)
            .await
    }

    async fn service_state(&self, purpose: &str, label: &str) -> Result<SetupState, ErpError> {
        let declared = self.session.settings().services.get(purpose);
        Ok(
            match (
                self.answer(&look_up("service", "purpose", purpose)).await?,
                declared,
            ) {
                (Needed::Found(id), Some(reference)) => {
                    // An id is taken on trust by look-ups; here is the time to see whether it is one.
                    if self.read_rows(PRODUCT, &[id], &[]).await?.is_empty() {
                        SetupState::ByHand(format!(
                            "there is no product variant {reference}: correct `{purpose}` in `odoo.services`"
                        ))
                    } else {
                        SetupState::There(format!("product {reference}, as declared"))
                    }
                }
                (Needed::Found(id), None) => SetupState::There(format!("product {id}")),
                (Needed::Ambiguous(ids), _) => SetupState::ByHand(format!(
                    "{} products could be meant: name one by its id as `{purpose}` in `odoo.services`",
                    ids.len()
                )),
                (Needed::Missing, _) => {
                    let how = "Sales, Products, New: type Service, no price; then name its internal reference under the row's \
                               name in this shop's `odoo.services`";
                    self.makeable(PRODUCT, format!("`{label}`"), how.to_owned())
                        .await?
                }
            },
        )
    }

    async fn make_service(&self, purpose: &str, label: &str) -> Result<(), ErpError> {
        let table = self.table(PRODUCT).await?;
        let has = |field: &str| table.0.contains_key(field);
        let words = |text: &str| FieldValue::Text(text.to_owned());
        // 17 tells goods from services in another field than later versions.
        let kind = if has("detailed_type") {
            "detailed_type"
        } else {
            "type"
        };
        let mut fields: Fields = vec![
            ("name".to_owned(), words(label)),
            (kind.to_owned(), words("service")),
            ("list_price".to_owned(), FieldValue::Decimal(0.into())),
            ("purchase_ok".to_owned(), FieldValue::Bool(false)),
        ];
        if let Some(Reference::Name(code)) = self.session.settings().services.get(purpose) {
            fields.push(("default_code".to_owned(), words(code)));
        }
        if has("invoice_policy") {
            // What was ordered is invoiced: nobody delivers a service product.
            fields.push(("invoice_policy".to_owned(), words("order")));
        }
        if UNTAXED.contains(&purpose) {
            fields.push(("taxes_id".to_owned(), FieldValue::Records(Vec::new())));
        }
        fields.retain(|(name, _)| has(name));
        self.make_record(PRODUCT, &format!("service_{purpose}"), fields)
            .await?;
        self.look_ups.forget();
        match self.answer(&look_up("service", "purpose", purpose)).await? {
            Needed::Found(_) => Ok(()),
            _ => Err(ErpError::Setup {
                message: format!(
                    "the product for {purpose} is there but not in use: restore it from the archive in Odoo"
                ),
            }),
        }
    }

    async fn gift_card_state(&self) -> Result<SetupState, ErpError> {
        const ACCOUNT: &str = "property_account_income_id";
        let Needed::Found(product) = self.answer(&look_up("service", "purpose", "gift_card")).await? else {
            return Ok(SetupState::ByHand(
                "make the service product for gift_card first".to_owned(),
            ));
        };
        let table = self.table(PRODUCT).await?;
        if !table.0.contains_key(ACCOUNT) {
            return Ok(SetupState::Unneeded(
                "this Odoo keeps no accounts on products".to_owned(),
            ));
        }
        let rows = self.read_rows(PRODUCT, &[product], &[ACCOUNT.to_owned()]).await?;
        let account = rows.first().and_then(|row| row.fields.get(ACCOUNT));
        let how = |candidates: &str| {
            format!(
                "open product {product}, page Accounting, and set Income Account to the liability account for gift \
                 cards{candidates}"
            )
        };
        Ok(match account {
            Some(FieldValue::Record(id)) => {
                let kinds = self
                    .read_rows("account.account", &[*id], &["account_type".to_owned()])
                    .await?;
                let kind = kinds.first().and_then(|row| row.fields.get("account_type"));
                match kind {
                    Some(FieldValue::Text(kind)) if kind.starts_with("liability") => {
                        SetupState::There(format!("account {id}, a liability"))
                    }
                    _ => SetupState::ByHand(format!("account {id} is no liability: {}", how(""))),
                }
            }
            _ => {
                let domain = vec![json!(["account_type", "=", "liability_current"])];
                let rows = self
                    .search_read("account.account", domain, &["code", "name"], None, false)
                    .await
                    .unwrap_or_default();
                let names: Vec<String> = rows
                    .iter()
                    .take(NAMED)
                    .filter_map(|row| {
                        let code = text(&row["code"]).unwrap_or_default();
                        Some(format!("{code} {}", text(&row["name"])?).trim().to_owned())
                    })
                    .collect();
                let candidates = if names.is_empty() {
                    String::new()
                } else {
                    format!(" (there are: {})", names.join(", "))
                };
                SetupState::ByHand(how(&candidates))
            }
        })
    }

    async fn order_field_state(
        &self,
        name: &str,
        label: &str,
        holds: OrderFieldKind,
    ) -> Result<SetupState, ErpError> {
        let table = self.table(ORDER).await?;
        let kind = field_kind(holds);
        if let Some(field) = table.0.get(name) {
            let fits = match holds {
                OrderFieldKind::Number => matches!(field.kind.as_str(), "float" | "monetary"),
                OrderFieldKind::Text | OrderFieldKind::Lines => {
                    matches!(field.kind.as_str(), "char" | "text")
                }
            };
            return Ok(if fits {
                SetupState::There(format!("of type {}", field.kind))
            } else {
                SetupState::ByHand(format!(
                    "it is of type {} and should be {kind}: remove it in Odoo and run this again",
                    field.kind
                ))
            });
        }
        let needed = format!("label `{label}`, type {kind}");
        let how = "in developer mode: Settings, Technical, Database Structure, Fields, New; Model is `Sales Order` \
                   (sale.order), Copied is off, name, label and type as shown; or run `lockstep setup apply` with login and API key of an administrator"
            .to_owned();
        self.makeable(FIELDS, needed, how).await
    }

    async fn make_order_field(&self, name: &str, label: &str, holds: OrderFieldKind) -> Result<(), ErpError> {
        let domain = vec![json!(["model", "=", ORDER])];
        let rows = self
            .search_read("ir.model", domain, &["id"], Some(1), false)
            .await?;
        let model = rows.first().and_then(|row| row["id"].as_i64());
        let model =
            model.ok_or_else(|| nonsense("ir.model", "search_read", "it does not know sale.order"))?;
        let mut values = json!({
            "name": name,
            "field_description": label,
            "model_id": model,
            "ttype": field_kind(holds),
            "state": "manual",
        });
        // A copy of an order is no order of the shop.
        if self.table(FIELDS).await?.0.contains_key("copied") {
            values["copied"] = json!(false);
        }
        let call = Call::write(FIELDS, "create").arg("vals_list", json!([values]));
        match self.session.call(&call).await {
            Ok(_) => Ok(()),
            // Somebody made it at the same moment: a name is unique within its model.
            Err(error @ ErpError::Rejected { .. }) => {
                self.tables.invalidate_all();
                if self.table(ORDER).await?.0.contains_key(name) {
                    Ok(())
                } else {
                    Err(error)
                }
            }
            Err(error) => Err(error),
        }
    }

    /// Missing and to be made, or a person's task where the API user may not. `needed` is what has to be typed, `how` is
    /// where.
    async fn makeable(&self, model: &str, needed: String, how: String) -> Result<SetupState, ErpError> {
        let major = self.major().await?;
        match self.may(major, model, "create").await {
            Ok(true) => Ok(SetupState::Missing { note: needed, how }),
            // Some versions hide the technical models altogether from whoever may not use them.
            Ok(false)
            | Err(ErpError::Forbidden { .. } | ErpError::Setup { .. } | ErpError::Rejected { .. }) => {
                Ok(SetupState::Administrator { note: needed, how })
            }
            Err(error) => Err(error),
        }
    }

    async fn make_record(&self, model: &str, name: &str, fields: Fields) -> Result<(), ErpError> {
        let external_id = ExternalId::new(self.session.shop(), name).map_err(|error| ErpError::Setup {
            message: error.to_string(),
        })?;
        let save = Save {
            model: model.to_owned(),
            external_id,
            fields,
            lines: None,
        };
        self.load_all(&[save]).await.map(drop)
    }

    /// What there is of a kind, by name.
    pub(super) async fn choices(&self, kind: ChoiceKind) -> Result<Vec<Choice>, ErpError> {
        let (model, domain, wanted) = match kind {
            ChoiceKind::Tax => return self.tax_choices().await,
            ChoiceKind::Journal => (
                "account.journal",
                vec![json!(["type", "in", ["bank", "cash", "credit"]])],
                &["name", "code", "type"][..],
            ),
            ChoiceKind::Warehouse => ("stock.warehouse", Vec::new(), &["name", "code"][..]),
            ChoiceKind::Currency => ("res.currency", Vec::new(), &["name"][..]),
            ChoiceKind::Carrier => ("delivery.carrier", Vec::new(), &["name"][..]),
        };
        let table = self.table(model).await?;
        let has = |field: &str| table.0.contains_key(field);
        let mut domain: Vec<Value> = domain
            .into_iter()
            .filter(|leaf: &Value| leaf[0].as_str().is_some_and(has))
            .collect();
        domain.append(&mut self.company_domain(&table).await?);
        let fields: Vec<&str> = wanted.iter().copied().filter(|field| has(field)).collect();
        let rows = self.search_read(model, domain, &fields, None, false).await?;
        Ok(rows
            .iter()
            .filter_map(|row| {
                Some(Choice {
                    id: record(&row["id"])?,
                    name: text(&row["name"])?,
                    aliases: text(&row["code"]).into_iter().collect(),
                    note: text(&row["type"])
                        .or_else(|| text(&row["code"]))
                        .unwrap_or_default(),
                    rate_percent: None,
                    is_included: None,
                })
            })
            .collect())
    }

    async fn tax_choices(&self) -> Result<Vec<Choice>, ErpError> {
        let taxes = self.taxes().await?;
        let named: Vec<ErpId> = taxes.iter().filter_map(|tax| tax.country).collect();
        let countries = self.country_codes(&named).await?;
        Ok(taxes
            .iter()
            .filter_map(|tax| {
                let (name, aliases) = tax.names.split_first()?;
                let how = if tax.included { "included" } else { "added" };
                let country = tax.country.and_then(|id| {
                    let found = countries.iter().find(|(known, _)| *known == id);
                    found.map(|(_, code)| format!(", {code}"))
                });
                Some(Choice {
                    id: tax.id,
                    name: name.clone(),
                    aliases: aliases.to_vec(),
                    note: format!(
                        "{} %, {how}{}",
                        tax.rate_percent.normalize(),
                        country.unwrap_or_default()
                    ),
                    rate_percent: Some(tax.rate_percent),
                    is_included: Some(tax.included),
                })
            })
            .collect())
    }

    async fn country_codes(&self, ids: &[ErpId]) -> Result<Vec<(ErpId, String)>, ErpError> {
        let mut ids: Vec<i64> = ids.iter().map(|id| id.0).collect();
        ids.sort_unstable();
        ids.dedup();
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let domain = vec![json!(["id", "in", ids])];
        let rows = self
            .search_read("res.country", domain, &["code"], None, false)
            .await?;
        Ok(rows
            .iter()
            .filter_map(|row| Some((record(&row["id"])?, text(&row["code"])?)))
            .collect())
    }
}

/// Odoo's word for the type of a custom field.
const fn field_kind(holds: OrderFieldKind) -> &'static str {
    match holds {
        OrderFieldKind::Text => "char",
        OrderFieldKind::Lines => "text",
        OrderFieldKind::Number => "float",
    }
}
