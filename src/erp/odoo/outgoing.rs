//! Partners, products and stock as they are read for the way back to the shop, in few calls whatever their size.

mod listing;

use serde_json::{Map, Value, json};

use super::call::Call;
use super::names::wire_name;
use super::products::Known;
use super::value::{self, record, text};
use super::{Odoo, nonsense};
use crate::domain::{
    ErpId, ErpProduct, ErpVariantRecord, OptionValue, Partner, ProductOption, Stock, Timestamp,
};
use crate::erp::ErpError;

const PARTNER: &str = "res.partner";
const TEMPLATE: &str = "product.template";
const VARIANT: &str = "product.product";

/// What is read of a partner.
const OF_PARTNER: &[&str] = &[
    "name",
    "is_company",
    "company_name",
    "email",
    "phone",
    "street",
    "street2",
    "zip",
    "city",
    "country_id",
    "state_id",
    "lang",
    "comment",
    "customer_rank",
    "parent_id",
    "active",
    "write_date",
];

/// What is read of a template.
const OF_TEMPLATE: &[&str] = &[
    "name",
    "description_sale",
    "active",
    "sale_ok",
    "list_price",
    "type",
    "detailed_type",
    "is_storable",
    "categ_id",
    "write_date",
];

/// What is read of a variant besides what tells variants apart.
const OF_VARIANT: &[&str] = &["lst_price", "standard_price", "weight"];

/// What is read of a variant's stock.
const OF_STOCK: &[&str] = &[
    "name",
    "default_code",
    "active",
    "type",
    "detailed_type",
    "is_storable",
    "qty_available",
    "free_qty",
    "virtual_available",
];

/// The fields of Odoo that a part of a canonical record is made of, and those from which Odoo works them out: a person takes the
/// address of the company that it is put under, a variant its price of its template.
pub(super) fn made_of(path: &str) -> Option<&'static [&'static str]> {
    Some(match path {
        "partner.name" | "partner.first_name" | "partner.last_name" => &["name", "is_company"],
        "partner.is_company" => &["is_company"],
        "partner.company_name" => &["company_name", "name", "is_company", "parent_id"],
        "partner.email" => &["email"],
        "partner.phone" => &["phone"],
        "partner.street" => &["street", "parent_id"],
        "partner.street2" => &["street2", "parent_id"],
        "partner.zip" => &["zip", "parent_id"],
        "partner.city" => &["city", "parent_id"],
        "partner.country_code" => &["country_id", "state_id", "parent_id"],
        "partner.province_code" => &["state_id", "country_id", "parent_id"],
        "partner.locale" => &["lang", "parent_id"],
        "partner.note" => &["comment"],
        "partner.is_customer" => &["customer_rank"],
        "partner.active" | "product.active" => &["active"],
        "product.name" => &["name"],
        "product.description" => &["description_sale"],
        "product.saleable" => &["sale_ok"],
        "product.price" => &["list_price"],
        "product.stocked" | "product.service" => &["type", "detailed_type", "is_storable"],
        "product.category" => &["categ_id"],
        "variant.active" => &["active", "attribute_line_ids"],
        "variant.sku" => &["default_code"],
        "variant.barcode" => &["barcode"],
        "variant.price" => &["lst_price", "list_price", "price_extra", "attribute_line_ids"],
        "variant.cost" => &["standard_price"],
        "variant.weight_kg" => &["weight"],
        _ => return None,
    })
}

impl Odoo {
    pub(super) async fn read_partner(
        &self,
        id: ErpId,
        extra: &[String],
    ) -> Result<Option<Partner>, ErpError> {
        let fields = self.present_fields(PARTNER, OF_PARTNER, extra).await?;
        match self.read_raw(PARTNER, &[id], &fields, &Map::new()).await?.pop() {
            Some(row) => self.partner_of(row).await.map(Some),
            None => Ok(None),
        }
    }

    /// A partner from its row.
    async fn partner_of(&self, row: Value) -> Result<Partner, ErpError> {
        let id = record(&row["id"]).ok_or_else(|| nonsense(PARTNER, "read", "a row without an id"))?;
        let country = record(&row["country_id"]);
        let countries = self.countries().await?;
        let country = countries.0.iter().find(|known| Some(known.id) == country);
        let province = match record(&row["state_id"]) {
            Some(state) => self.state_code(state).await?,
            None => None,
        };
        let name = text(&row["name"]).unwrap_or_default();
        let is_company = row["is_company"] == true;
        let (first, last) = if is_company { (None, None) } else { names(&name) };
        Ok(Partner {
            id: id.0,
            first_name: first,
            last_name: last,
            is_company,
            company_name: text(&row["company_name"]).or_else(|| is_company.then(|| name.clone())),
            email: trimmed(&row["email"]),
            phone: trimmed(&row["phone"]),
            street: trimmed(&row["street"]),
            street2: trimmed(&row["street2"]),
            zip: trimmed(&row["zip"]),
            city: trimmed(&row["city"]),
            country_code: country.map(|country| country.code.clone()),
            province_code: province,
            locale: text(&row["lang"]).map(|code| tag(&code)),
            note: text(&row["comment"])
                .map(|html| plain(&html))
                .filter(|note| !note.is_empty()),
            // Without the module that counts customers everybody may be one.
            is_customer: row
                .get("customer_rank")
                .is_none_or(|rank| rank.as_i64().is_some_and(|rank| rank > 0)),
            belongs_to: record(&row["parent_id"]).map(|parent| parent.0),
            active: row["active"] != false,
            updated_at: written(PARTNER, &row)?,
            name,
            raw: row.into(),
        })
    }

    pub(super) async fn read_product(
        &self,
        id: ErpId,
        extra: &[String],
        variant_extra: &[String],
    ) -> Result<Option<ErpProduct>, ErpError> {
        let fields = self.present_fields(TEMPLATE, OF_TEMPLATE, extra).await?;
        let Some(row) = self.read_raw(TEMPLATE, &[id], &fields, &Map::new()).await?.pop() else {
            return Ok(None);
        };
        let more = self.present_fields(VARIANT, OF_VARIANT, variant_extra).await?;
        let known = self.known_variants(id, &more).await?;
        product_of(row, known).map(Some)
    }

    pub(super) async fn variant_ids(&self, product: ErpId) -> Result<Vec<ErpId>, ErpError> {
        let of_product = vec![json!(["product_tmpl_id", "=", product.0])];
        let rows = self.search_read(VARIANT, of_product, &["id"], None, true).await?;
        Ok(rows.iter().filter_map(|row| record(&row["id"])).collect())
    }

    pub(super) async fn read_stock(
        &self,
        variants: &[ErpId],
        warehouses: &[ErpId],
    ) -> Result<Vec<Stock>, ErpError> {
        if variants.is_empty() {
            return Ok(Vec::new());
        }
        let fields = self.present_fields(VARIANT, OF_STOCK, &[]).await?;
        if !fields.iter().any(|field| field == "qty_available") {
            return Err(ErpError::Setup {
                message: "it counts no stock: the app Inventory (module stock) is not installed".to_owned(),
            });
        }
        let places: Vec<Option<ErpId>> = match warehouses {
            [] => vec![None],
            some => some.iter().copied().map(Some).collect(),
        };
        let mut stock = Vec::new();
        for warehouse in places {
            let mut context = Map::new();
            if let Some(id) = warehouse {
                // 17 knows the first name only, later versions the second.
                context.insert("warehouse".to_owned(), json!(id.0));
                context.insert("warehouse_id".to_owned(), json!(id.0));
            }
            for row in self.read_raw(VARIANT, variants, &fields, &context).await? {
                let kind = kind_of(&row);
                let number = |name: &str| {
                    value::decimal(&row[name])
                        .ok_or_else(|| nonsense(VARIANT, "read", format!("`{name}` is no number")))
                };
                let Some(variant) = record(&row["id"]) else {
                    continue;
                };
                stock.push(Stock {
                    variant: variant.0,
                    name: trimmed(&row["name"]),
                    sku: trimmed(&row["default_code"]),
                    stocked: kind.stocked,
                    active: row["active"] != false,
                    on_hand: number("qty_available")?,
                    free: number("free_qty")?,
                    forecast: number("virtual_available")?,
                    warehouse: warehouse.map(|id| id.0),
                });
            }
        }
        Ok(stock)
    }

    /// Those of the fields that are always read which this server has, and the extra ones, which it must have.
    async fn present_fields(
        &self,
        model: &str,
        usual: &[&str],
        extra: &[String],
    ) -> Result<Vec<String>, ErpError> {
        let table = self.table(model).await?;
        if let Some(unknown) = extra.iter().find(|name| !table.0.contains_key(*name)) {
            return Err(ErpError::Setup {
                message: format!("{model} has no field `{unknown}`, which the mapping selects"),
            });
        }
        let usual = usual.iter().filter(|name| table.0.contains_key(**name));
        let mut fields: Vec<String> = usual.map(|name| (*name).to_owned()).collect();
        fields.extend(
            extra
                .iter()
                .filter(|name| !fields.contains(name))
                .cloned()
                .collect::<Vec<_>>(),
        );
        Ok(fields)
    }

    /// Rows as Odoo sends them. Records that are gone are absent.
    async fn read_raw(
        &self,
        model: &str,
        ids: &[ErpId],
        fields: &[String],
        context: &Map<String, Value>,
    ) -> Result<Vec<Value>, ErpError> {
        let major = self.major().await?;
        let names: Vec<&str> = fields
            .iter()
            .map(|field| wire_name(major, model, field))
            .collect();
        let mut call = Call::read(model, "read")
            .on(ids.iter().copied())
            .arg("fields", json!(names));
        for (name, value) in context {
            call = call.context(name, value.clone());
        }
        match self.session.call(&call).await {
            Ok(Value::Array(rows)) => Ok(rows),
            Ok(_) => Err(nonsense(model, "read", "it is no list")),
            Err(ErpError::Missing { .. }) => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// The code of a state or province, remembered.
    async fn state_code(&self, id: ErpId) -> Result<Option<String>, ErpError> {
        if let Some(known) = self.state_codes.get(&id).await {
            return Ok(known);
        }
        let rows = self
            .read_raw("res.country.state", &[id], &["code".to_owned()], &Map::new())
            .await?;
        let code = rows.first().and_then(|row| text(&row["code"]));
        self.state_codes.insert(id, code.clone()).await;
        Ok(code)
    }
}

/// A product from its row and its variants.
fn product_of(row: Value, mut known: Vec<Known>) -> Result<ErpProduct, ErpError> {
    let id = record(&row["id"]).ok_or_else(|| nonsense(TEMPLATE, "read", "a row without an id"))?;
    known.sort_by_key(|variant| variant.id);
    let mut variants = Vec::with_capacity(known.len());
    let mut options: Vec<ProductOption> = Vec::new();
    for variant in known {
        if variant.active {
            offer(&mut options, &variant.options);
        }
        let number = |name: &str| value::decimal(&variant.row[name]);
        variants.push(ErpVariantRecord {
            id: variant.id.0,
            active: variant.active,
            sku: trimmed(&variant.row["default_code"]),
            barcode: trimmed(&variant.row["barcode"]),
            price: number("lst_price")
                .ok_or_else(|| nonsense(VARIANT, "search_read", "a price that is no number"))?,
            cost: number("standard_price").filter(|cost| !cost.is_zero()),
            weight_kg: number("weight").filter(|weight| !weight.is_zero()),
            options: variant
                .options
                .into_iter()
                .map(|(name, value)| OptionValue { name, value })
                .collect(),
            raw: variant.row.into(),
        });
    }
    let kind = kind_of(&row);
    Ok(ErpProduct {
        id: id.0,
        name: text(&row["name"]).unwrap_or_default(),
        description: text(&row["description_sale"]),
        active: row["active"] != false,
        saleable: row["sale_ok"] != false,
        price: value::decimal(&row["list_price"])
            .ok_or_else(|| nonsense(TEMPLATE, "read", "a price that is no number"))?,
        stocked: kind.stocked,
        service: kind.service,
        category: text(&row["categ_id"][1]),
        options,
        variants,
        updated_at: written(TEMPLATE, &row)?,
        raw: row.into(),
    })
}

/// What a product is: 17 says it in one word, later versions say "storable" apart.
struct Kind {
    stocked: bool,
    service: bool,
}

fn kind_of(row: &Value) -> Kind {
    let word = row["detailed_type"].as_str().or_else(|| row["type"].as_str());
    Kind {
        stocked: row["is_storable"] == true || word == Some("product"),
        service: word == Some("service"),
    }
}

/// Adds a variant's option values to what the product offers.
fn offer(options: &mut Vec<ProductOption>, chosen: &[(String, String)]) {
    for (name, value) in chosen {
        let at = options.iter().position(|option| option.name == *name);
        let at = at.unwrap_or_else(|| {
            options.push(ProductOption {
                name: name.clone(),
                values: Vec::new(),
            });
            options.len() - 1
        });
        if !options[at].values.contains(value) {
            options[at].values.push(value.clone());
        }
    }
}

fn written(model: &str, row: &Value) -> Result<Timestamp, ErpError> {
    value::time(&row["write_date"])
        .ok_or_else(|| nonsense(model, "read", "it has no time of its last change"))
}

fn trimmed(value: &Value) -> Option<String> {
    let text = text(value)?;
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// A person's name in two: its first word, and the others.
fn names(whole: &str) -> (Option<String>, Option<String>) {
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    match whole.trim().split_once(char::is_whitespace) {
        Some((first, rest)) => (some(first), some(rest.trim())),
        None => (some(whole.trim()), None),
    }
}

/// Odoo's `de_DE` or `sr@latin` as a language tag.
fn tag(code: &str) -> String {
    code.split('@').next().unwrap_or_default().replace('_', "-")
}

/// The text of html: tags become nothing, ends of paragraphs and breaks become lines.
fn plain(html: &str) -> String {
    let mut out = String::with_capacity(html.len());
    let mut rest = html;
    while let Some(open) = rest.find('<') {
        out.push_str(&rest[..open]);
        let Some(close) = rest[open..].find('>') else {
            rest = &rest[open..];
            break;
        };
        let inner = rest[open + 1..open + close].trim_end_matches('/').trim();
        let name: String = inner
            .chars()
            .take_while(|c| *c == '/' || c.is_ascii_alphanumeric())
            .collect::<String>()
            .to_ascii_lowercase();
        if matches!(
            name.as_str(),
            "br" | "/p" | "/div" | "/li" | "/h1" | "/h2" | "/h3" | "/tr"
        ) {
            out.push('\n');
        }
        rest = &rest[open + close + 1..];
    }
    out.push_str(rest);
    let text = out
        .replace("&nbsp;", " ")
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&#39;", "'")
        .replace("&#34;", "\"")
        // Last, so that what was escaped twice is not read twice.
        .replace("&amp;", "&");
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    lines.join("\n").trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_html_is_what_a_person_sees() {
        for (html, expected) in [
            ("<p>likes &lt;tea&gt;<br>&amp; calm</p>", "likes <tea>\n& calm"),
            ("<p>one</p><p>two</p>", "one\ntwo"),
            ("plain", "plain"),
            ("<div><br/></div>", ""),
            ("a < b", "a < b"),
            ("&amp;lt;", "&lt;"),
        ] {
            assert_eq!(plain(html), expected, "{html}");
        }
    }

    #[test]
    fn names_are_parted_at_the_first_space() {
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(names("Ada Byron Lovelace"), (some("Ada"), some("Byron Lovelace")));
        assert_eq!(names(" Ada "), (some("Ada"), None));
        assert_eq!(names(""), (None, None));
        assert_eq!(tag("pt_BR"), "pt-BR");
        assert_eq!(tag("sr@latin"), "sr");
    }
}
