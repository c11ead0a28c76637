//! What stands in the ERP, read past its API from its own books, in the words of an expectation.

use std::collections::BTreeMap;

use rust_decimal::RoundingStrategy;
use serde_json::{Map, Value as Json, json};

use super::super::*;
use super::world::{World, catalogue};
use crate::sandbox::odoo::{LineView, PartnerView};

impl World {
    /// Everything that an expectation may speak about.
    pub(super) async fn actual(&self) -> Json {
        let job = self.job().await;
        let problem = match (&job.problem, job.state) {
            (Some(problem), _) => Json::from(problem.code.0.as_str()),
            (None, JobState::Completed | JobState::Obsolete) => Json::Null,
            (None, state) => format!("job is {state}: {}", job.last_summary.unwrap_or_default()).into(),
        };
        let skipped = (job.state == JobState::Obsolete).then_some(job.reason);
        let mut actual = Map::new();
        actual.insert("problem".into(), problem);
        actual.insert("skipped".into(), skipped.into());
        let mut orders = self.bench.erp.ledger().orders();
        if orders.len() > 1 {
            let state = format!("{} sales orders", orders.len());
            actual.insert("state".into(), state.into());
            return actual.into();
        }
        let documents = self.documents(orders.first());
        actual.insert("documents".into(), documents);
        actual.insert("mails".into(), json!(self.bench.erp.ledger().mails()));
        let Some(order) = orders.pop() else {
            actual.insert("state".into(), "none".into());
            return actual.into();
        };
        let state = match order.state.as_str() {
            "sale" => "confirmed",
            "draft" | "sent" => "quotation",
            "cancel" => "cancelled",
            other => other,
        };
        actual.insert("state".into(), state.into());
        for (key, value) in [
            ("currency", json!(order.currency)),
            ("untaxed", json!(order.amount_untaxed.to_string())),
            ("tax", json!(order.amount_tax.to_string())),
            ("total", json!(order.amount_total.to_string())),
            ("taxes", self.taxes(&order)),
            ("lines", self.lines(&order)),
            ("partner", self.person(order.partner_id)),
            ("invoice_address", self.person(order.partner_invoice_id)),
            ("delivery_address", self.person(order.partner_shipping_id)),
        ] {
            actual.insert(key.into(), value);
        }
        let fields = self.bench.erp.ledger().record("sale.order", order.id);
        actual.insert("order_fields".into(), fields.unwrap_or_default());
        actual.into()
    }

    fn person(&self, id: i64) -> Json {
        let partners = self.bench.erp.ledger().partners();
        let find = |id: i64| partners.iter().find(|partner| partner.id == id);
        let Some(PartnerView {
            name,
            email,
            phone,
            street,
            street2,
            zip,
            city,
            country,
            state,
            kind,
            parent_id,
            is_company,
            ..
        }) = find(id)
        else {
            return Json::Null;
        };
        let shown_id = match self.partner {
            Some(guests) if guests == id => json!("@partner"),
            _ => json!(id),
        };
        json!({
            "id": shown_id, "name": name, "email": email, "phone": phone, "street": street, "street2": street2,
            "zip": zip, "city": city, "country": country, "state": state, "kind": kind, "is_company": is_company,
            "parent": parent_id.and_then(find).map(|parent| parent.name.clone()),
        })
    }

    /// A product by the word that fixtures use: its SKU, and the shop's variant where others have the same.
    fn product(&self, id: Option<i64>, sku: Option<&str>) -> String {
        let Some(sku) = sku else {
            return format!("product {id:?} without SKU");
        };
        let variants = catalogue()["products"].as_array().unwrap().iter();
        let same = variants
            .flat_map(|product| product["variants"].as_array().unwrap())
            .filter(|variant| variant["sku"] == sku);
        let same: Vec<&Json> = same.collect();
        if same.len() < 2 {
            return sku.to_owned();
        }
        // Told apart by the value of their option, as a person would.
        let products = self.bench.erp.ledger().products();
        let known = products.iter().find(|known| Some(known.id) == id);
        let values = known.map_or(&[][..], |known| &known.options);
        let variant = same
            .iter()
            .find(|variant| values.iter().any(|(_, value)| variant["value"] == value.as_str()));
        format!(
            "{sku}#{}",
            variant.map_or_else(|| "?".to_owned(), |variant| variant["id"].to_string())
        )
    }

    fn lines(&self, order: &OrderView) -> Json {
        let priced = order.lines.iter().filter(|line| line.display_type.is_none());
        priced
            .map(|line| {
                json!({
                    "product": self.product(line.product_id, line.sku.as_deref()),
                    "quantity": line.quantity.to_string(),
                    "total": line.price_total.to_string(),
                    "untaxed": line.price_subtotal.to_string(),
                    "price": line.price_unit.to_string(),
                    "name": line.name,
                    "tax_names": self.tax_names(line),
                })
            })
            .collect()
    }

    /// The names of a line's taxes.
    fn tax_names(&self, line: &LineView) -> String {
        let ledger = self.bench.erp.ledger();
        let names = line.taxes.iter().filter_map(|tax| {
            let record = ledger.record("account.tax", tax.id)?;
            Some(record["name"].as_str()?.to_owned())
        });
        names.collect::<Vec<_>>().join(", ")
    }

    /// The tax of each percentage by the formulas that were observed on the real servers, reckoned from prices and
    /// quantities in the books.
    fn taxes(&self, order: &OrderView) -> Json {
        let digits = match order.currency.as_str() {
            "JPY" => 0,
            "KWD" => 3,
            _ => 2,
        };
        let round =
            |amount: Decimal| amount.round_dp_with_strategy(digits, RoundingStrategy::MidpointAwayFromZero);
        let company = self
            .bench
            .erp
            .ledger()
            .record("res.company", order.company_id)
            .unwrap();
        let globally = company["tax_calculation_rounding_method"] == "round_globally";
        let hundred = Decimal::ONE_HUNDRED;
        let mut sums: BTreeMap<(i64, Decimal), Decimal> = BTreeMap::new();
        for line in &order.lines {
            let raw = raw(line);
            let included: Decimal = included(line);
            let gross = if globally { raw } else { round(raw) };
            let mut base = gross * hundred / (hundred + included);
            let mut parts = Vec::new();
            for tax in line.taxes.iter().filter(|tax| tax.price_include) {
                parts.push((tax, gross * tax.amount / (hundred + included)));
            }
            if !globally {
                let taken: Decimal = parts.iter().map(|(_, amount)| round(*amount)).sum();
                base = gross - taken;
            }
            for tax in line.taxes.iter().filter(|tax| !tax.price_include) {
                parts.push((tax, base * tax.amount / hundred));
            }
            for (tax, amount) in parts {
                let amount = if globally { amount } else { round(amount) };
                *sums.entry((tax.id, tax.amount.normalize())).or_default() += amount;
            }
        }
        let mut taxes: BTreeMap<String, Decimal> = BTreeMap::new();
        for ((_, percent), amount) in sums {
            *taxes.entry(percent.to_string()).or_default() += round(amount);
        }
        let taxes = taxes.into_iter();
        taxes
            .map(|(percent, amount)| (percent, Json::from(amount.to_string())))
            .collect()
    }

    pub(super) fn documents(&self, order: Option<&OrderView>) -> Json {
        let rows = |model: &str, domain: Json, fields: Json| -> Result<Vec<Json>, String> {
            let erp = &self.bench.erp;
            let rows = erp.as_admin(model, "search_read", json!([domain, fields]), json!({}));
            let rows = rows.map_err(|e| format!("{model}: {e}"))?;
            Ok(rows.as_array().cloned().unwrap_or_default())
        };
        let told = |rows: Result<Json, String>| rows.unwrap_or_else(Json::from);
        let invoices = |kind: &str| {
            let fields = json!([
                "state",
                "amount_total",
                "amount_untaxed",
                "amount_tax",
                "payment_state"
            ]);
            rows("account.move", json!([["move_type", "=", kind]]), fields).map(|rows| {
                rows.iter()
                    .map(|row| {
                        json!({
                            "state": row["state"], "total": row["amount_total"], "untaxed": row["amount_untaxed"],
                            "tax": row["amount_tax"], "payment_state": row["payment_state"],
                        })
                    })
                    .collect()
            })
        };
        let payments = || {
            let fields = json!(["amount", "journal_id", "state", "payment_type"]);
            rows("account.payment", json!([]), fields).map(|rows| {
                let live = rows
                    .iter()
                    .filter(|row| !matches!(row["state"].as_str(), Some("cancel" | "canceled")));
                live.map(|row| {
                    json!({
                        "amount": row["amount"], "journal": row["journal_id"][1], "state": row["state"],
                        "type": row["payment_type"],
                    })
                })
                .collect()
            })
        };
        json!({
            "invoices": told(invoices("out_invoice")),
            "credit_notes": told(invoices("out_refund")),
            "payments": told(payments()),
            "deliveries": order.map_or(json!([]), |order| self.deliveries(order)),
        })
    }

    fn deliveries(&self, order: &OrderView) -> Json {
        let outgoing = order
            .pickings
            .iter()
            .filter(|picking| picking.kind == "outgoing" && picking.state != "cancel");
        let products = self.bench.erp.ledger().products();
        outgoing
            .map(|picking| {
                let record = self.bench.erp.ledger().record("stock.picking", picking.id);
                let mut moves: BTreeMap<String, Decimal> = BTreeMap::new();
                for (product, quantity) in &picking.moves {
                    let sku = products
                        .iter()
                        .find(|known| known.id == *product)
                        .and_then(|known| known.sku.as_deref());
                    *moves.entry(self.product(Some(*product), sku)).or_default() += *quantity;
                }
                let moves: Map<String, Json> = moves
                    .into_iter()
                    .map(|(sku, quantity)| (sku, quantity.to_string().into()))
                    .collect();
                json!({
                    "state": picking.state, "moves": moves,
                    "tracking": record.map(|record| record["carrier_tracking_ref"].clone()),
                })
            })
            .collect()
    }
}

fn raw(line: &LineView) -> Decimal {
    let left = (Decimal::ONE_HUNDRED - line.discount) / Decimal::ONE_HUNDRED;
    line.price_unit * line.quantity * left
}

fn included(line: &LineView) -> Decimal {
    let included = line.taxes.iter().filter(|tax| tax.price_include);
    included.map(|tax| tax.amount).sum()
}
