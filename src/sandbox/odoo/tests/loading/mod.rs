//! Sections 6 and 8: `load` and external ids.

mod cells;
mod names;
mod orders;

use serde_json::{Value as Json, json};

use super::support::{Erp, VERSIONS};
use crate::sandbox::odoo::{Denied, Options};

impl Erp {
    async fn load(&self, model: &str, fields: Json, rows: Json) -> Json {
        self.ok(model, "load", json!([fields, rows])).await
    }

    /// A load that must store something: its ids.
    async fn loads(&self, model: &str, fields: Json, rows: Json) -> Vec<i64> {
        let reply = self.load(model, fields, rows).await;
        assert_eq!(reply["messages"], json!([]), "{reply}");
        assert_eq!(reply["nextrow"], json!(0));
        reply["ids"]
            .as_array()
            .unwrap()
            .iter()
            .map(|id| id.as_i64().unwrap())
            .collect()
    }

    /// A load that must be refused: the first message.
    async fn refuses(&self, model: &str, fields: Json, rows: Json) -> String {
        let before = self.sandbox.ledger().count(model);
        let reply = self.load(model, fields, rows).await;
        assert_eq!(reply["ids"], json!(false), "{reply}");
        assert_eq!(self.sandbox.ledger().count(model), before, "nothing is stored");
        let error = reply["messages"]
            .as_array()
            .unwrap()
            .iter()
            .find(|message| message["type"] == json!("error"));
        error.unwrap()["message"].as_str().unwrap().to_owned()
    }
}
