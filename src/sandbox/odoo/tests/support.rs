//! A plain client of both protocols, written for these tests alone.

use std::time::Duration;

use serde_json::{Value as Json, json};

use crate::sandbox::odoo::{OdooSandbox, Options, Version};

pub(super) const VERSIONS: [Version; 2] = [Version::V18, Version::V19];

/// What a call came to: the error's `name` and `message`.
pub(super) type Answer = Result<Json, (String, String)>;

/// A stand-in and a client of it.
pub(super) struct Erp {
    pub(super) sandbox: OdooSandbox,
    pub(super) http: reqwest::Client,
}

pub(super) fn client() -> reqwest::Client {
    reqwest::Client::builder()
        .timeout(Duration::from_secs(20))
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .build()
        .unwrap()
}

impl Erp {
    pub(super) async fn start(options: Options) -> Self {
        Self {
            sandbox: OdooSandbox::start(options).await.unwrap(),
            http: client(),
        }
    }

    pub(super) async fn of(version: Version) -> Self {
        Self::start(Options::version(version)).await
    }

    /// One JSON-RPC request as it is, with the whole reply.
    pub(super) async fn rpc_raw(&self, service: &str, method: &str, args: Json) -> Json {
        let body = json!({"jsonrpc": "2.0", "method": "call", "id": 7,
            "params": {"service": service, "method": method, "args": args}});
        let reply = self
            .http
            .post(format!("{}/jsonrpc", self.sandbox.url()))
            .json(&body)
            .send()
            .await
            .unwrap();
        assert_eq!(reply.status(), 200);
        reply.json().await.unwrap()
    }

    /// The whole reply of one model call.
    pub(super) async fn execute_raw(&self, model: &str, method: &str, args: Json, named: Json) -> Json {
        let options = self.sandbox.options();
        let key = self.sandbox.api_key();
        self.rpc_raw(
            "object",
            "execute_kw",
            json!([
                options.database,
                self.sandbox.uid(),
                key,
                model,
                method,
                args,
                named
            ]),
        )
        .await
    }

    /// One model call over JSON-RPC.
    pub(super) async fn call(&self, model: &str, method: &str, args: Json, named: Json) -> Answer {
        let reply = self.execute_raw(model, method, args, named).await;
        match reply.get("error") {
            Some(error) => Err((
                error["data"]["name"].as_str().unwrap().to_owned(),
                error["data"]["message"].as_str().unwrap().to_owned(),
            )),
            None => Ok(reply.get("result").cloned().unwrap_or(Json::Null)),
        }
    }

    /// A call that must succeed.
    pub(super) async fn ok(&self, model: &str, method: &str, args: Json) -> Json {
        self.call(model, method, args, json!({}))
            .await
            .unwrap_or_else(|error| panic!("{model}/{method}: {error:?}"))
    }

    /// A call that must fail: the class of its error.
    pub(super) async fn err(&self, model: &str, method: &str, args: Json) -> String {
        self.call(model, method, args, json!({}))
            .await
            .expect_err(&format!("{model}/{method}"))
            .0
    }

    /// One JSON-2 request: status and body.
    pub(super) async fn json2(&self, model: &str, method: &str, body: Json) -> (u16, Json) {
        let url = format!("{}/json/2/{model}/{method}", self.sandbox.url());
        let reply = self
            .http
            .post(url)
            .bearer_auth(self.sandbox.api_key())
            .header("X-Odoo-Database", &self.sandbox.options().database)
            .json(&body)
            .send()
            .await
            .unwrap();
        (reply.status().as_u16(), reply.json().await.unwrap())
    }

    /// Creates one record and gives its id.
    pub(super) async fn create(&self, model: &str, vals: Json) -> i64 {
        self.ok(model, "create", json!([vals])).await.as_i64().unwrap()
    }

    /// Some fields of one record; many2one values as bare ids.
    pub(super) async fn fields(&self, model: &str, id: i64, fields: Json) -> Json {
        let rows = self
            .call(model, "read", json!([[id], fields]), json!({"load": null}))
            .await
            .unwrap();
        rows[0].clone()
    }

    /// The id behind an external id.
    pub(super) async fn resolve(&self, module: &str, name: &str) -> Json {
        self.ok("ir.model.data", "check_object_reference", json!([module, name]))
            .await[1]
            .clone()
    }

    /// The database id of a country, currency… by code.
    pub(super) async fn by(&self, model: &str, field: &str, value: Json) -> i64 {
        let named = json!({"context": {"active_test": false}});
        self.call(model, "search", json!([[[field, "=", value]]]), named)
            .await
            .unwrap()[0]
            .as_i64()
            .unwrap()
    }

    /// A sale tax.
    pub(super) async fn tax(&self, percent: f64, included: bool) -> i64 {
        let domain = json!([
            ["type_tax_use", "=", "sale"],
            ["amount", "=", percent],
            ["price_include", "=", included]
        ]);
        self.ok("account.tax", "search", json!([domain])).await[0]
            .as_i64()
            .unwrap()
    }

    /// A goods variant with a list price.
    pub(super) async fn product(&self, name: &str, price: f64) -> i64 {
        let template = self
            .create("product.template", json!({"name": name, "list_price": price}))
            .await;
        self.fields("product.template", template, json!(["product_variant_id"]))
            .await["product_variant_id"]
            .as_i64()
            .unwrap()
    }

    /// What order lines call their taxes.
    pub(super) fn taxes(&self) -> &'static str {
        if self.sandbox.options().version == Version::V19 {
            "tax_ids"
        } else {
            "tax_id"
        }
    }
}
