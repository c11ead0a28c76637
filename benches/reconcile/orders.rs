//! Orders as lockstep books them: the first is carried in by the daemon, the others are made like it on both sides.

use std::path::Path;

use lockstep::domain::{ErpId, Link, LinkKind, Timestamp};
use lockstep::sandbox::odoo::OdooSandbox;
use lockstep::sandbox::shopify::ShopSandbox;
use lockstep::sandbox::shopify::draft::{
    Buyer, CustomerDraft, LineDraft, OrderDraft, ProductDraft, ShippingDraft, VariantDraft,
};
use lockstep::sandbox::shopify::facts::Tax;
use lockstep::store::SharedStore;
use rust_decimal::Decimal;
use serde_json::{Map, Value, json};

use crate::command::command;
use crate::daemon::serve;
use crate::hash_of;

/// The shop's order, its name and its lines.
type Placed = (u64, String, Vec<String>);

/// An order that the daemon booked.
pub(crate) struct Pattern {
    draft: OrderDraft,
    placed: Placed,
    link: Link,
    /// Its record in the ERP, by those fields that full runs compare, with its lines.
    values: Map<String, Value>,
    /// Where the ERP keeps our names of its lines, and these names.
    module: String,
    names: Vec<String>,
}

/// What the shop has before the daemon carries it in: a customer, a product of one variant and an order.
pub(crate) fn place_first(shop: &ShopSandbox) -> (OrderDraft, u64) {
    shop.change(|shop| {
        let customer = shop.create_customer(CustomerDraft {
            first_name: Some("Ada".to_owned()),
            email: Some("ada@example.com".to_owned()),
            ..CustomerDraft::default()
        });
        let product = shop.create_product(ProductDraft {
            title: "Cup".to_owned(),
            options: vec!["Size".to_owned()],
            variants: vec![VariantDraft::new(&["M"], "CUP-M", Decimal::new(1_999, 2))],
            ..ProductDraft::default()
        });
        let variant = shop.product(product).expect("it was just made").variants[0].id;
        let draft = OrderDraft {
            buyer: Buyer::Customer(customer.expect("a customer")),
            lines: vec![LineDraft::variant(variant, 3)],
            shipping: vec![ShippingDraft::new("Standard", Decimal::new(490, 2))],
            taxes: vec![Tax::new("MwSt", Decimal::new(19, 2))],
            taxes_included: true,
            processed_at: Some("2026-01-05T10:00:00Z".parse().expect("a time")),
            ..OrderDraft::default()
        };
        let order = shop.place_order(draft.clone()).expect("the shop takes it");
        (draft, order)
    })
}

/// Has the daemon carry everything in that is on the shop.
pub(crate) fn carry_in(config: &Path) {
    let (mut daemon, _) = serve(config);
    command(config, &["import", "all", "--since", "2020-01-01", "--json"]);
    daemon.kill().expect("it is running");
    daemon.wait().expect("it ends");
}

impl Pattern {
    pub(crate) async fn read(
        shop: &ShopSandbox,
        erp: &OdooSandbox,
        store: &SharedStore,
        (draft, id): (OrderDraft, u64),
    ) -> Self {
        let name = "main".parse().expect("a name");
        let links = store.links(&name, LinkKind::Order, &[id.to_string()]).await;
        let link = links.expect("links").pop().expect("the order was booked");
        let fields = &link.agreed["fields"];
        let mut own: Vec<String> = keys(&fields["own"]);
        own.extend(["order_line".to_owned()]);
        let record = read(erp, &link.model, &[link.erp_id.0], &own).remove(0);
        let lines: Vec<i64> = serde_json::from_value(record["order_line"].clone()).expect("its lines");
        let of_lines = fields["lines"].as_object().expect("hashes of its lines");
        let of_line: Vec<String> = keys(of_lines.values().next().expect("a line"));
        let rows = read(erp, "sale.order.line", &lines, &of_line);
        let mut values = written(record);
        let rows: Vec<Value> = rows.into_iter().map(|row| json!([0, 0, written(row)])).collect();
        assert_eq!(rows.len(), of_lines.len(), "each line is ours");
        values.insert("order_line".to_owned(), Value::Array(rows));
        let data = lines.iter().map(|line| {
            let wanted = json!([[["model", "=", "sale.order.line"], ["res_id", "=", line]]]);
            let found = erp.as_admin(
                "ir.model.data",
                "search_read",
                wanted,
                json!({ "fields": ["module", "name"] }),
            );
            let found = found.expect("the ERP is asked")[0].clone();
            let text = |field: &str| found[field].as_str().expect("our name of it").to_owned();
            (text("module"), text("name"))
        });
        let (modules, names): (Vec<String>, Vec<String>) = data.unzip();
        Self {
            placed: placed(shop, id),
            draft,
            link,
            values,
            module: modules[0].clone(),
            names,
        }
    }

    /// So many more like it, on both sides; their links, as the daemon would have written them.
    pub(crate) fn more(
        &self,
        shop: &ShopSandbox,
        erp: &OdooSandbox,
        count: usize,
        applied: Timestamp,
    ) -> Vec<Link> {
        let place = |_| shop.change(|shop| shop.place_order(self.draft.clone()).expect("an order"));
        let ours: Vec<Placed> = (0..count).map(place).map(|id| placed(shop, id)).collect();
        let values: Vec<Value> = ours.iter().map(|ours| self.values_of(ours)).collect();
        let theirs: Vec<i64> = admin(erp, "sale.order", "create", json!([values]));
        admin::<Value>(erp, "sale.order", "action_confirm", json!([theirs]));
        // Odoo sets the time at which it confirms; lockstep puts back when it was placed.
        let placed_at = json!({ "date_order": self.values["date_order"] });
        admin::<Value>(erp, "sale.order", "write", json!([theirs, placed_at]));
        let rows = read(
            erp,
            "sale.order",
            &theirs,
            &["name".to_owned(), "order_line".to_owned()],
        );
        let mut data = Vec::new();
        let links = ours.iter().zip(&rows).map(|(ours, row)| {
            let lines = row["order_line"].as_array().expect("lines");
            data.extend(lines.iter().zip(&self.names).map(|(line, name)| {
                json!({ "module": self.module, "name": self.renamed(name, ours), "model": "sale.order.line", "res_id": line })
            }));
            Link {
                source_id: ours.0.to_string(),
                erp_id: ErpId(row["id"].as_i64().expect("a number")),
                erp_name: row["name"].as_str().map(str::to_owned),
                source_updated_at: Some(applied),
                agreed: self.agreed_of(ours),
                ..self.link.clone()
            }
        });
        let links = links.collect();
        admin::<Value>(erp, "ir.model.data", "create", json!([data]));
        links
    }

    /// The same of another order: numbers are part of names.
    fn renamed(&self, text: &str, ours: &Placed) -> String {
        let lines = self.placed.2.iter().zip(&ours.2);
        lines.fold(
            text.replace(&self.placed.0.to_string(), &ours.0.to_string()),
            |text, (before, now)| text.replace(before, now),
        )
    }

    fn values_of(&self, ours: &Placed) -> Value {
        let mut values = self.values.clone();
        for value in values
            .values_mut()
            .filter(|value| **value == json!(self.placed.1))
        {
            *value = json!(ours.1);
        }
        Value::Object(values)
    }

    fn agreed_of(&self, ours: &Placed) -> Value {
        let mut agreed = self.link.agreed.clone();
        agreed["reference"] = json!(ours.1);
        let lines = agreed["fields"]["lines"]
            .as_object()
            .expect("hashes of its lines");
        let renamed = lines
            .iter()
            .map(|(name, marks)| (self.renamed(name, ours), marks.clone()));
        agreed["fields"]["lines"] = Value::Object(renamed.collect());
        let (before, now) = (hash_of(&self.placed.1), hash_of(&ours.1));
        for mark in agreed["fields"]["own"]
            .as_object_mut()
            .expect("hashes")
            .values_mut()
        {
            if *mark == json!(before) {
                *mark = json!(now);
            }
        }
        agreed
    }
}

fn placed(shop: &ShopSandbox, id: u64) -> Placed {
    shop.change(|shop| {
        let order = shop.order(id).expect("it was placed");
        let lines = order.lines.iter().map(|line| line.id.to_string());
        let shipping = order.shipping_lines.iter().map(|line| line.id.to_string());
        (id, order.name.clone(), lines.chain(shipping).collect())
    })
}

/// The fields of these, as Odoo 18 calls them.
fn keys(object: &Value) -> Vec<String> {
    let names = object.as_object().expect("fields").keys();
    names
        .map(|name| if name == "tax_ids" { "tax_id" } else { name }.to_owned())
        .collect()
}

fn read(erp: &OdooSandbox, model: &str, ids: &[i64], fields: &[String]) -> Vec<Value> {
    admin(erp, model, "read", json!([ids, fields, "_classic_read"]))
}

fn admin<T: serde::de::DeserializeOwned>(
    erp: &OdooSandbox,
    model: &str,
    method: &str,
    arguments: Value,
) -> T {
    let done = erp.as_admin(model, method, arguments, json!({}));
    serde_json::from_value(done.expect("the stand-in ERP does it")).expect("what it answers")
}

/// What was read, as it is written: of a record that it points to, the number.
fn written(row: Value) -> Map<String, Value> {
    let Value::Object(row) = row else {
        panic!("{row} is no record")
    };
    row.into_iter()
        .filter(|(field, _)| field != "id")
        .map(|(field, value)| match value.as_array().map(Vec::as_slice) {
            Some([id, Value::String(_)]) => (field, id.clone()),
            Some(ids) if !ids.is_empty() => (field, json!([[6, 0, ids]])),
            _ => (field, value),
        })
        .collect()
}
