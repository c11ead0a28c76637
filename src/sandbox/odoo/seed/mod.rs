//! What a fresh database holds: places, currencies, companies, users, taxes, a warehouse, units.

use rust_decimal::Decimal;
use serde_json::json;

use self::places::{COUNTRIES, CURRENCIES, LANGUAGES, STATES};
use super::db::{Db, Key, Row};
use super::env::{ADMIN_UID, Env, SYSTEM_UID};
use super::error::Res;
use super::external;
use super::options::{Options, Rounding, TaxSeed, Version};
use super::orm::write;
use super::system::System;
use super::value::{Map, Val};

mod accounts;
mod places;

/// The API user, as in the databases that were observed.
pub(super) const API_UID: i64 = 6;

/// Where United States stand in a real database, by id.
const UNITED_STATES: i64 = 233;

/// Fills an empty database.
pub(super) fn plant(db: &mut Db, sys: &System) -> Res<()> {
    let now = (sys.options.clock)().naive_utc();
    let mut env = Env::new(db, sys, SYSTEM_UID, now, 0);
    countries(&mut env)?;
    currencies(&mut env)?;
    languages(&mut env)?;
    companies_and_users(&mut env)?;
    let inner = Map::from_iter([("lang".to_owned(), json!("en_US"))]);
    env.enter(inner)?;
    registers(&mut env)?;
    models(&mut env);
    taxes(&mut env)?;
    accounts::plant(&mut env)?;
    pricelists(&mut env)?;
    services(&mut env)?;
    db.commit();
    db.marks.clear();
    Ok(())
}

/// `code rest` of each entry in a list.
fn entries(list: &'static str) -> impl Iterator<Item = (&'static str, &'static str)> {
    list.split('|').filter_map(|entry| entry.split_once(' '))
}

fn countries(env: &mut Env<'_>) -> Res<()> {
    let us = entries(COUNTRIES).filter(|(code, _)| *code == "US");
    let before: Vec<_> = entries(COUNTRIES).take_while(|(code, _)| *code != "US").collect();
    let after = entries(COUNTRIES).skip_while(|(code, _)| *code != "US").skip(1);
    for (code, name) in before {
        country(env, code, name)?;
    }
    env.db.reserve("res.country", UNITED_STATES);
    for (code, name) in us.chain(after) {
        country(env, code, name)?;
    }
    for (country_code, states) in STATES {
        let country = find(env, "res.country", "code", country_code);
        for (code, name) in entries(states) {
            let row = Row::from([
                ("country_id", Val::one(country)),
                ("name", Val::text(name)),
                ("code", Val::text(code)),
            ]);
            let id = env.insert("res.country.state", row);
            let name = format!(
                "base.state_{}_{}",
                country_code.to_lowercase(),
                code.to_lowercase()
            );
            external::attach(env, &name, "res.country.state", id)?;
        }
    }
    Ok(())
}

fn country(env: &mut Env<'_>, code: &str, name: &str) -> Res<()> {
    let id = env.insert(
        "res.country",
        Row::from([("name", Val::text(name)), ("code", Val::text(code))]),
    );
    let local = if code == "GB" {
        "uk".to_owned()
    } else {
        code.to_lowercase()
    };
    external::attach(env, &format!("base.{local}"), "res.country", id)
}

fn find(env: &Env<'_>, model: &str, field: &str, text: &str) -> Option<i64> {
    env.db
        .find(model, field, &Key::Text(text.to_owned()))?
        .first()
        .copied()
}

fn currencies(env: &mut Env<'_>) -> Res<()> {
    let options = &env.sys.options;
    let active: Vec<String> = options
        .companies
        .iter()
        .map(|company| company.currency.clone())
        .chain(options.currencies.iter().cloned())
        .chain(options.pricelists.iter().map(|(_, currency)| currency.clone()))
        .collect();
    for (code, about) in entries(CURRENCIES) {
        let (symbol, places) = about.split_once(' ').unwrap_or((about, "2"));
        let places: i64 = places.parse().unwrap_or(2);
        let row = Row::from([
            ("name", Val::text(code)),
            ("symbol", Val::text(symbol)),
            ("rate", Val::Dec(Decimal::ONE)),
            (
                "rounding",
                Val::Dec(Decimal::new(1, u32::try_from(places).unwrap_or(2))),
            ),
            ("decimal_places", Val::Int(places)),
            ("active", Val::Bool(active.iter().any(|known| known == code))),
        ]);
        let id = env.insert("res.currency", row);
        external::attach(env, &format!("base.{code}"), "res.currency", id)?;
    }
    Ok(())
}

fn languages(env: &mut Env<'_>) -> Res<()> {
    let installed = env.sys.options.languages.clone();
    for (code, name) in entries(LANGUAGES) {
        let row = Row::from([
            ("name", Val::text(name)),
            ("code", Val::text(code)),
            ("iso_code", Val::text(code.split('_').next().unwrap_or(code))),
            ("url_code", Val::text(code.split('_').next().unwrap_or(code))),
            (
                "active",
                Val::Bool(code == "en_US" || installed.iter().any(|known| known == code)),
            ),
        ]);
        let id = env.insert("res.lang", row);
        external::attach(
            env,
            &format!("base.lang_{}", code.split('_').next().unwrap_or(code)),
            "res.lang",
            id,
        )?;
    }
    Ok(())
}

/// Companies, the partners behind them, and the three users. Written as rows: they depend on each other.
fn companies_and_users(env: &mut Env<'_>) -> Res<()> {
    let options: Options = env.sys.options.clone();
    let rounding = match options.rounding {
        Rounding::PerLine => "round_per_line",
        Rounding::Globally => "round_globally",
    };
    let mut allowed = Vec::new();
    for seed in &options.companies {
        let country = find(env, "res.country", "code", &seed.country);
        let partner = partner(env, &seed.name, None, true, country);
        let row = Row::from([
            ("name", Val::text(seed.name.as_str())),
            ("partner_id", Val::Int(partner)),
            (
                "currency_id",
                Val::one(find(env, "res.currency", "name", &seed.currency)),
            ),
            ("country_id", Val::one(country)),
            ("tax_calculation_rounding_method", Val::text(rounding)),
            ("account_price_include", Val::text("tax_excluded")),
            ("active", Val::Bool(true)),
        ]);
        let id = env.insert("res.company", row);
        if seed.allowed {
            allowed.push(id);
        }
    }
    external::attach(env, "base.main_company", "res.company", 1)?;
    external::attach(env, "base.main_partner", "res.partner", 1)?;
    let everywhere = env.db.ids("res.company");
    for (uid, login, name, email) in [
        (
            SYSTEM_UID,
            "__system__",
            "OdooBot",
            Some("odoobot@example.com".to_owned()),
        ),
        (
            ADMIN_UID,
            "admin",
            "Administrator",
            Some("admin@example.com".to_owned()),
        ),
        (
            API_UID,
            options.login.as_str(),
            "Connector",
            options.user_email.clone(),
        ),
    ] {
        let partner = partner(env, name, email, false, None);
        let own = if uid == API_UID {
            allowed.clone()
        } else {
            everywhere.clone()
        };
        env.db.reserve("res.users", uid);
        let mut row = Row::from([
            ("login", Val::text(login)),
            ("partner_id", Val::Int(partner)),
            ("company_id", Val::one(own.first().copied())),
            ("company_ids", Val::Ids(own)),
            ("lang", Val::text("en_US")),
            ("active", Val::Bool(uid != SYSTEM_UID)),
        ]);
        if let Some(tz) = options.user_tz.as_ref().filter(|_| uid == API_UID) {
            row.insert("tz", Val::text(tz.as_str()));
        }
        env.insert("res.users", row);
    }
    external::attach(env, "base.user_root", "res.users", SYSTEM_UID)?;
    external::attach(env, "base.user_admin", "res.users", ADMIN_UID)
}

fn partner(env: &mut Env<'_>, name: &str, email: Option<String>, company: bool, country: Option<i64>) -> i64 {
    let mut row = Row::from([
        ("name", Val::text(name)),
        ("complete_name", Val::text(name)),
        ("type", Val::text("contact")),
        ("lang", Val::text("en_US")),
        ("is_company", Val::Bool(company)),
        ("country_id", Val::one(country)),
        ("active", Val::Bool(true)),
    ]);
    if let Some(email) = email {
        row.insert("email_normalized", Val::Text(email.to_lowercase()));
        row.insert("email", Val::Text(email));
    }
    let id = env.insert("res.partner", row);
    env.set("res.partner", id, [("commercial_partner_id", Val::Int(id))]);
    id
}

fn registers(env: &mut Env<'_>) -> Res<()> {
    let tax_group = env.insert("account.tax.group", Row::from([("name", Val::text("Tax 15%"))]));
    debug_assert_eq!(tax_group, 1, "taxes refer to the first group");
    let before_19 = env.version().before_19();
    let categories: &[&str] = if before_19 {
        &["All"]
    } else {
        &["Goods", "Services", "Expenses"]
    };
    for name in categories {
        create(env, "product.category", json!({"name": name}))?;
    }
    if before_19 {
        create(
            env,
            "product.category",
            json!({"name": "Saleable", "parent_id": 1}),
        )?;
    }
    for (name, factor) in [
        ("Units", "1"),
        ("Dozens", "12"),
        ("kg", "1"),
        ("g", "1"),
        ("m", "1"),
    ] {
        create(env, "uom.uom", json!({"name": name, "factor": factor}))?;
    }
    external::attach(env, "uom.product_uom_unit", "uom.uom", 1)?;
    create(env, "crm.team", json!({"name": "Sales", "sequence": 10}))?;
    create(env, "crm.team", json!({"name": "Website", "sequence": 20}))?;
    for (at, company) in env.db.ids("res.company").into_iter().enumerate() {
        let name = env.text("res.company", company, "name");
        let code = if at == 0 {
            "WH".to_owned()
        } else {
            format!("WH{}", at + 1)
        };
        warehouse(env, &name, &code, company)?;
    }
    for (name, code) in env.sys.options.warehouses.clone() {
        warehouse(env, &name, &code, 1)?;
    }
    for name in env.sys.options.carriers.clone() {
        create(env, "delivery.carrier", json!({"name": name}))?;
    }
    create(
        env,
        "ir.config_parameter",
        json!({"key": "database.uuid", "value": "5ea1ab1e-0000-4000-8000-000000000001"}),
    )?;
    for (usage, digits) in [
        ("Product Price", 2),
        ("Discount", 2),
        ("Product Unit of Measure", 2),
    ] {
        create(env, "decimal.precision", json!({"name": usage, "digits": digits}))?;
    }
    Ok(())
}

fn warehouse(env: &mut Env<'_>, name: &str, code: &str, company: i64) -> Res<i64> {
    let location = json!({"name": "Stock", "complete_name": format!("{code}/Stock"), "usage": "internal", "company_id": company});
    let location = create(env, "stock.location", location)?;
    let warehouse =
        json!({"name": name, "code": code, "company_id": company, "lot_stock_id": location, "sequence": 10});
    create(env, "stock.warehouse", warehouse)
}

/// The models, and the custom fields that are declared from the start.
fn models(env: &mut Env<'_>) {
    let all: Vec<(&str, &str)> = env
        .schema
        .models()
        .map(|model| (model.name, model.label))
        .collect();
    for (model, label) in all {
        let row = Row::from([
            ("model", Val::text(model)),
            ("name", Val::text(label)),
            ("state", Val::text("base")),
        ]);
        env.insert("ir.model", row);
    }
    for custom in env.sys.options.custom_fields.clone() {
        let model = find(env, "ir.model", "model", &custom.model);
        let row = Row::from([
            ("model", Val::Text(custom.model)),
            ("model_id", Val::one(model)),
            ("name", Val::Text(custom.name)),
            ("field_description", Val::Text(custom.label)),
            ("ttype", Val::Text(custom.kind)),
            ("state", Val::text("manual")),
            ("store", Val::Bool(true)),
        ]);
        env.insert("ir.model.fields", row);
    }
}

fn create(env: &mut Env<'_>, model: &str, vals: serde_json::Value) -> Res<i64> {
    let vals = match vals {
        serde_json::Value::Object(map) => map,
        _ => Map::new(),
    };
    write::create(env, env.model(model), &vals)
}

fn taxes(env: &mut Env<'_>) -> Res<()> {
    let options = env.sys.options.clone();
    for company in env.db.ids("res.company") {
        let mut seeds = options.taxes.clone();
        let default = TaxSeed::new(options.default_tax, false);
        let plain = |seed: &TaxSeed| (seed.amount, seed.price_include) == (default.amount, false);
        if !seeds.iter().any(plain) {
            seeds.insert(0, default.clone());
        }
        let mut chosen = false;
        for seed in seeds {
            let id = tax(env, company, &seed, "sale")?;
            if plain(&seed) && !std::mem::replace(&mut chosen, true) {
                env.set("res.company", company, [("account_sale_tax_id", Val::Int(id))]);
            }
        }
        tax(env, company, &default, "purchase")?;
    }
    Ok(())
}

fn tax(env: &mut Env<'_>, company: i64, seed: &TaxSeed, usage: &str) -> Res<i64> {
    let percent = seed.amount.normalize();
    let made = if seed.price_include {
        format!("{percent}% incl.")
    } else {
        format!("{percent}%")
    };
    let name = seed.name.clone().unwrap_or(made);
    let mut vals = json!({
        "name": name, "type_tax_use": usage, "amount": percent.to_string(), "company_id": company,
    });
    if env.version() == Version::V17 {
        vals["price_include"] = json!(seed.price_include);
    } else if seed.price_include {
        vals["price_include_override"] = json!("tax_included");
    }
    if let Some(country) = &seed.country {
        vals["country_id"] = json!(find(env, "res.country", "code", country));
    }
    if let Some(group) = &seed.group {
        let known = find(env, "account.tax.group", "name", group);
        let id = known.unwrap_or_else(|| {
            env.insert(
                "account.tax.group",
                Row::from([("name", Val::text(group.as_str()))]),
            )
        });
        vals["tax_group_id"] = json!(id);
    }
    create(env, "account.tax", vals)
}

fn pricelists(env: &mut Env<'_>) -> Res<()> {
    for (name, currency) in env.sys.options.pricelists.clone() {
        let currency = find(env, "res.currency", "name", &currency);
        create(
            env,
            "product.pricelist",
            json!({"name": name, "currency_id": currency}),
        )?;
    }
    Ok(())
}

fn services(env: &mut Env<'_>) -> Res<()> {
    let kind = if env.version() == Version::V17 {
        "detailed_type"
    } else {
        "type"
    };
    for service in env.sys.options.services.clone() {
        let vals = json!({
            "name": service.name, "default_code": service.code, "list_price": 0, kind: "service", "purchase_ok": false,
        });
        let template = create(env, "product.template", vals)?;
        let variants = env.db.children("product.product", "product_tmpl_id", template);
        if let (Some(name), Some(variant)) = (service.external_id, variants.first()) {
            external::attach(env, &name, "product.product", *variant)?;
        }
    }
    Ok(())
}
