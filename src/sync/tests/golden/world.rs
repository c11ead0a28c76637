//! A shop and an ERP with the catalogue of the golden orders in them, and how a golden order runs between them.

use serde_json::{Value as Json, json};

use super::super::bench::*;
use super::super::*;
use super::compare::Difference;
use super::fixture::{Fixture, Only};
use crate::sandbox::odoo::{CustomField, Fault, JournalKind, JournalSeed, Rule, TaxSeed};
use crate::store::{Delivery, DeliveryAction, JobFilter, JobRow, Recorded};

/// What golden orders are sold from and booked into: `fixtures/orders/catalogue.json`.
pub(super) fn catalogue() -> &'static Json {
    static CATALOGUE: std::sync::OnceLock<Json> = std::sync::OnceLock::new();
    CATALOGUE.get_or_init(|| {
        let text = std::fs::read_to_string(super::fixture::folder().join("catalogue.json"));
        serde_json::from_str(&text.unwrap()).unwrap()
    })
}

/// Fills an ERP's options with the catalogue.
pub(super) fn erp_options(version: Version, rounding: Rounding) -> OdooOptions {
    let erp = &catalogue()["erp"];
    let texts = |list: &Json| -> Vec<String> {
        let items = list.as_array().unwrap().iter();
        items.map(|item| item.as_str().unwrap().to_owned()).collect()
    };
    let text = |json: &Json| json.as_str().map(str::to_owned);
    let currencies = texts(&erp["price_lists"]);
    OdooOptions {
        rounding,
        taxes: erp["sale_taxes"]
            .as_array()
            .unwrap()
            .iter()
            .flat_map(|tax| {
                let percent = tax.as_str().or(tax["percent"].as_str()).unwrap();
                let ways = [true, false]
                    .into_iter()
                    .filter(|way| tax["included"].is_null() || tax["included"] == *way);
                ways.map(move |price_include| TaxSeed {
                    name: text(&tax["name"]),
                    country: text(&tax["country"]),
                    ..TaxSeed::new(decimal(percent), price_include)
                })
            })
            .collect(),
        default_tax: decimal("19"),
        currencies: currencies.clone(),
        pricelists: currencies.into_iter().map(|code| (code.clone(), code)).collect(),
        journals: [JournalSeed::new("Customer Invoices", "INV", JournalKind::Sale)]
            .into_iter()
            .chain(
                erp["journals"]
                    .as_object()
                    .unwrap()
                    .keys()
                    .enumerate()
                    .map(|(place, name)| {
                        let kind = if name == "Cash" {
                            JournalKind::Cash
                        } else {
                            JournalKind::Bank
                        };
                        JournalSeed::new(name, &format!("PAY{place}"), kind)
                    }),
            )
            .collect(),
        custom_fields: erp["order_fields"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(name, kind)| CustomField::new("sale.order", name, kind.as_str().unwrap()))
            .collect(),
        services: texts(&erp["services"])
            .into_iter()
            .map(|purpose| ServiceSeed {
                code: format!("service:{purpose}"),
                external_id: Some(format!("__lockstep_main__.service_{purpose}")),
                name: purpose,
            })
            .collect(),
        ..OdooOptions::version(version)
    }
}

/// The journal of each gateway, as the shop declares it.
pub(super) fn journals() -> std::collections::BTreeMap<String, String> {
    let journals = catalogue()["erp"]["journals"].as_object().unwrap();
    let pairs = journals.iter().flat_map(|(journal, gateways)| {
        let gateways = gateways.as_array().unwrap().iter();
        gateways.map(move |gateway| (gateway.as_str().unwrap().to_owned(), journal.clone()))
    });
    pairs.collect()
}

/// The shipped mappings.
pub(super) fn mappings() -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("mappings")
}

/// Fills a shop with the catalogue's customers, companies and places, and with the products of these ids.
pub(super) fn stock(shop: &ShopSandbox, products: &[u64]) {
    let all = |list: &str| catalogue()[list].as_array().unwrap().iter();
    let text = |json: &Json| json.as_str().map(str::to_owned);
    shop.change(|shop| {
        for place in all("locations") {
            let words = ["name", "city", "country"].map(|field| place[field].as_str().unwrap());
            shop.put_location(place["id"].as_u64().unwrap(), words[0], words[1], words[2]);
        }
        for product in all("products") {
            let id = product["id"].as_u64().unwrap();
            if !products.contains(&id) {
                continue;
            }
            let variants = product["variants"].as_array().unwrap();
            let draft = ProductDraft {
                title: text(&product["title"]).unwrap(),
                gift_card: product["gift_card"] == true,
                options: text(&product["option"]).into_iter().collect(),
                variants: variants
                    .iter()
                    .map(|variant| {
                        let values: Vec<&str> = variant["value"].as_str().into_iter().collect();
                        let price = decimal(variant["price"].as_str().unwrap());
                        VariantDraft {
                            requires_shipping: variant["requires_shipping"] != false,
                            taxable: variant["taxable"] != false,
                            ..VariantDraft::new(&values, variant["sku"].as_str().unwrap(), price)
                        }
                    })
                    .collect(),
                ..ProductDraft::default()
            };
            let ids: Vec<u64> = variants
                .iter()
                .map(|variant| variant["id"].as_u64().unwrap())
                .collect();
            shop.put_product(id, &ids, draft).unwrap();
        }
        for customer in all("customers") {
            let address = &customer["address"];
            let draft = CustomerDraft {
                first_name: text(&customer["first_name"]),
                last_name: text(&customer["last_name"]),
                email: text(&customer["email"]),
                phone: text(&customer["phone"]),
                addresses: vec![Address {
                    first_name: text(&customer["first_name"]),
                    last_name: text(&customer["last_name"]),
                    company: text(&address["company"]),
                    address1: text(&address["address1"]),
                    zip: text(&address["zip"]),
                    city: text(&address["city"]),
                    province_code: text(&address["province"]),
                    country_code: text(&address["country"]),
                    ..Address::default()
                }],
                ..CustomerDraft::default()
            };
            shop.put_customer(customer["id"].as_u64().unwrap(), draft)
                .unwrap();
        }
        for company in all("companies") {
            shop.put_record("Company", company).unwrap();
        }
    });
}

/// The catalogue's products whose variants an order mentions.
pub(super) fn products_of(orders: &[Json]) -> Vec<u64> {
    let mentioned: Vec<u64> = orders
        .iter()
        .flat_map(|order| order["lineItems"].as_array().into_iter().flatten())
        .flat_map(|line| [line["variant"].as_u64(), line["product"].as_u64()])
        .flatten()
        .collect();
    let all = catalogue()["products"].as_array().unwrap().iter();
    all.filter(|product| {
        let variants = product["variants"].as_array().unwrap().iter();
        let mut ids = variants.map(|variant| &variant["id"]).chain([&product["id"]]);
        ids.any(|id| mentioned.contains(&id.as_u64().unwrap()))
    })
    .map(|product| product["id"].as_u64().unwrap())
    .collect()
}

/// A golden order between its two systems.
pub(super) struct World {
    pub(super) bench: Bench,
    /// The partner that `@partner` stands for.
    pub(super) partner: Option<i64>,
    order: u64,
}

/// Shop options without limits: the pace of the API is not what is tested here.
pub(super) fn shop_options() -> ShopOptions {
    let mut options = ShopOptions::default();
    options.rate.maximum_available = 1e9;
    options
}

impl World {
    /// Both systems with what the fixture needs, products synchronised. What cannot be declared is a difference.
    pub(super) async fn of(fixture: &Fixture, version: Version) -> Result<Self, Difference> {
        let declared = &fixture.settings;
        let rounding = match declared.erp_rounding.as_deref() {
            None | Some("per_line") => Rounding::PerLine,
            Some("globally") => Rounding::Globally,
            Some(other) => {
                return Err(Difference::new(
                    "settings.erp_rounding",
                    "per_line or globally",
                    other,
                ));
            }
        };
        let currency = match declared.currency.as_deref() {
            None | Some("shop") => CurrencyChoice::Shop,
            Some("presentment") => CurrencyChoice::Presentment,
            Some(other) => return Err(Difference::new("settings.currency", "shop or presentment", other)),
        };
        let mut options = erp_options(version, rounding);
        options.companies[0].currency = "EUR".to_owned();
        options.companies[0].country = "DE".to_owned();
        options.taxes.extend(declared.taxes.iter().map(|tax| TaxSeed {
            name: Some(tax.name.clone()),
            country: tax.country.clone(),
            ..TaxSeed::new(decimal(&tax.percent), tax.included)
        }));
        let erp = OdooSandbox::start(options).await.unwrap();
        let mut flow = declared.flow.clone();
        let partner = (flow["guest_partner"] == "@partner").then(|| {
            let values = json!([{"name": "Guests"}]);
            let made = erp.as_admin("res.partner", "create", values, json!({})).unwrap();
            made.as_i64().unwrap()
        });
        if let Some(partner) = partner {
            flow["guest_partner"] = partner.into();
        }
        if flow.is_null() {
            flow = json!({});
        }
        let mut settings: Settings =
            serde_json::from_value(flow).map_err(|e| Difference::new("settings.flow", "settings", e))?;
        if settings.journals.is_empty() {
            settings.journals = journals();
        }
        for (name, email) in &declared.partners {
            let values = json!([{ "name": name, "email": email }]);
            erp.as_admin("res.partner", "create", values, json!({})).unwrap();
        }
        let mappings = super::declared::mappings(declared, &erp)?;
        let start_at = match declared.start_at.as_deref().map(Timestamp::parse_rfc3339) {
            None => None,
            Some(Ok(at)) => Some(at),
            Some(Err(e)) => return Err(Difference::new("settings.start_at", "a time", e)),
        };
        let bench = Bench::connected(shop_options(), erp, currency, mappings, |shop| {
            shop.settings = settings;
            if start_at.is_some() {
                shop.start_at = start_at;
            }
        })
        .await;
        let states = fixture.states();
        let products = products_of(&states);
        stock(&bench.shop, &products);
        let world = Self {
            bench,
            partner,
            order: fixture.order["id"].as_u64().unwrap_or(0),
        };
        let records: Vec<(Object, u64)> = products.iter().map(|id| (Object::Product, *id)).collect();
        for (state, why) in world.bench.sync_at_once(&records).await {
            if state != JobState::Completed {
                return Err(Difference::new(
                    "product sync",
                    "completed",
                    format!("{state:?}: {why:?}"),
                ));
            }
        }
        Ok(world)
    }

    /// Lets everything happen.
    pub(super) async fn run(&self, fixture: &Fixture, only: Only) -> Result<(), Difference> {
        for step in 0..=fixture.then.len() {
            self.before(fixture, step)?;
            if only == Only::Stepwise {
                self.after(fixture, step).await;
            }
        }
        if only == Only::AtOnce {
            // The newest first: nothing may depend on the order of events.
            for step in (0..=fixture.then.len()).rev() {
                self.hear(topic(fixture, step)).await;
            }
            self.bench.drain().await;
        }
        Ok(())
    }

    /// What happens in the ERP and then in the shop; the first step is the order itself.
    pub(super) fn before(&self, fixture: &Fixture, step: usize) -> Result<(), Difference> {
        if step > 0 {
            let step = &fixture.then[step - 1];
            for action in &step.erp {
                self.in_the_erp(action)?;
            }
            self.change_customer(fixture, step)?;
            if step.deleted {
                let gone = self.bench.shop.change(|shop| shop.delete_order(self.order));
                return gone.map_err(|e| Difference::new("deletion", "an order", e));
            }
        }
        self.put(&fixture.order_after(step))
    }

    /// The event about it, and everything that follows.
    pub(super) async fn after(&self, fixture: &Fixture, step: usize) {
        if step > 0 && !fixture.then[step - 1].customer.is_empty() {
            let customer = fixture.order["customer"].as_u64().unwrap_or_default();
            self.bench.sync(Object::Customer, customer).await;
        }
        self.hear(topic(fixture, step)).await;
        self.bench.drain().await;
    }

    /// What becomes of the buyer on Shopify.
    fn change_customer(&self, fixture: &Fixture, step: &super::fixture::Step) -> Result<(), Difference> {
        if step.customer.is_empty() {
            return Ok(());
        }
        if let Some(other) = step
            .customer
            .keys()
            .find(|field| !["last_name", "email", "city"].contains(&field.as_str()))
        {
            return Err(Difference::new("customer", "last_name, email or city", other));
        }
        let id = fixture.order["customer"].as_u64().unwrap_or_default();
        let edited = self.bench.shop.change(|shop| {
            shop.edit_customer(id, |customer| {
                let new = |field: &str| step.customer.get(field).cloned();
                if let Some(name) = new("last_name") {
                    customer.last_name = Some(name);
                }
                if let Some(email) = new("email") {
                    customer.email = Some(email);
                }
                if let (Some(city), Some(address)) = (new("city"), customer.addresses.first_mut()) {
                    address.city = Some(city);
                }
            })
        });
        edited.map_err(|e| Difference::new("customer", "a customer", e))
    }

    fn put(&self, order: &Json) -> Result<(), Difference> {
        let put = self.bench.shop.change(|shop| shop.put_order(order));
        put.map(|_| ())
            .map_err(|e| Difference::new("order", "what the schema knows", e))
    }

    /// Delivers an event about the order.
    async fn hear(&self, topic: &str) {
        static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let name = format!(
            "{topic} {}",
            NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
        );
        let delivery = Delivery {
            shop: "main".parse().unwrap(),
            topic: topic.to_owned(),
            webhook_id: None,
            event_id: None,
            dedup_key: name.clone(),
            triggered_at: None,
            api_version: None,
            received_at: crate::domain::Clock::now(&SystemClock),
            body: b"{}".to_vec().into(),
            body_sha256: name,
            action: DeliveryAction::Job {
                key: self.bench.key(Object::Order, self.order),
                priority: Priority::LIVE,
            },
        };
        let recorded = self.bench.store.record_delivery(delivery).await.unwrap();
        assert!(
            matches!(recorded, Recorded::New { job: Some(_), .. }),
            "{recorded:?}"
        );
    }

    /// The newest job about the order.
    pub(super) async fn job(&self) -> JobRow {
        let filter = JobFilter {
            object: Some(Object::Order),
            source_id: Some(self.order.to_string()),
            ..JobFilter::default()
        };
        self.bench.store.jobs(filter).await.unwrap().remove(0)
    }

    /// What a person does in the ERP.
    fn in_the_erp(&self, action: &str) -> Result<(), Difference> {
        let orders = self.bench.erp.ledger().orders();
        let Some(order) = orders.first() else {
            return Err(Difference::new(format!("erp {action}"), "a sales order", "none"));
        };
        self.act(action, order)
            .map_err(|why| Difference::new(format!("erp {action}"), "to be done", why))
    }

    fn act(&self, action: &str, order: &OrderView) -> Result<(), String> {
        let erp = &self.bench.erp;
        let done = match action.split_once(':') {
            None if action == "confirm" => erp.confirm(order.id),
            None if action == "lock" => erp.lock(order.id),
            None if action == "deliver" => return self.deliver(order),
            None if action == "invoice" => erp.invoice(order.id).map(drop),
            // From now on deliveries are answered with a question, until that is dealt with.
            None if action == "ask" => {
                let rule = Rule::new(Fault::Question).model("stock.picking");
                erp.faults().add(rule.method("button_validate").always());
                Ok(())
            }
            None if action == "answer" => {
                erp.faults().clear();
                Ok(())
            }
            Some(("close_period", day)) => erp.close_period(day.parse().map_err(|e| format!("{day}: {e}"))?),
            _ => return Err("an action that is not known here".to_owned()),
        };
        done.map_err(|e| e.to_string())
    }

    /// The warehouse takes everything that is open off the shelf and validates the transfers.
    fn deliver(&self, order: &OrderView) -> Result<(), String> {
        let call = |model: &str, method: &str, args: Json| {
            let done = self.bench.erp.as_admin(model, method, args, json!({}));
            done.map_err(|e| e.to_string())
        };
        let is_open = |state: &str| !matches!(state, "done" | "cancel");
        for picking in order
            .pickings
            .iter()
            .filter(|p| p.kind == "outgoing" && is_open(&p.state))
        {
            for part in &picking.lines {
                let values =
                    json!({"quantity": part.demand.to_string().parse::<f64>().unwrap(), "picked": true});
                call("stock.move", "write", json!([[part.id], values]))?;
            }
            let answer = call("stock.picking", "button_validate", json!([[picking.id]]))?;
            if answer != true {
                return Err(format!("button_validate answered {answer}"));
            }
        }
        Ok(())
    }
}

/// What the shop tells about a step.
fn topic(fixture: &Fixture, step: usize) -> &'static str {
    match step.checked_sub(1).map(|step| fixture.then[step].deleted) {
        None => "orders/create",
        Some(false) => "orders/updated",
        Some(true) => "orders/delete",
    }
}
