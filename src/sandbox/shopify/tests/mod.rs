//! The shop as its clients see it: over HTTP.

mod api;
mod bulk;
mod conformity;
mod limits;
mod mutations;
mod raw;
mod totals;
mod webhooks;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use rust_decimal::Decimal;
use serde_json::{Value as Json, json};

use super::draft::{Buyer, CustomerDraft, LineDraft, OrderDraft, ProductDraft, ShippingDraft, VariantDraft};
use super::facts::{Address, Tax};
use super::options::Access;
use super::{Options, Shop, ShopSandbox};

const DOCUMENTS: &str = include_str!("../../../../fixtures/shopify/connector-documents.graphql");

fn d(text: &str) -> Decimal {
    text.parse().unwrap()
}

fn quick() -> Options {
    Options::quick()
}

fn address() -> Address {
    Address {
        first_name: Some("Ana".into()),
        last_name: Some("Berg".into()),
        address1: Some("Lindenweg 3".into()),
        city: Some("Ulm".into()),
        zip: Some("89073".into()),
        country_code: Some("DE".into()),
        ..Address::default()
    }
}

fn customer(shop: &mut Shop, email: &str) -> u64 {
    let draft = CustomerDraft {
        first_name: Some("Ana".into()),
        last_name: Some("Berg".into()),
        email: Some(email.into()),
        addresses: vec![address()],
        ..CustomerDraft::default()
    };
    shop.create_customer(draft).unwrap()
}

/// A product with one variant per price; returns product and variants.
fn product(shop: &mut Shop, title: &str, prices: &[&str]) -> (u64, Vec<u64>) {
    let variants = prices
        .iter()
        .enumerate()
        .map(|(i, price)| VariantDraft::new(&[&format!("S{i}")], &format!("{title}-{i}"), d(price)))
        .collect();
    let id = shop.create_product(ProductDraft {
        title: title.into(),
        vendor: "Acme".into(),
        options: vec!["Size".into()],
        variants,
        ..ProductDraft::default()
    });
    (
        id,
        shop.product(id).unwrap().variants.iter().map(|v| v.id).collect(),
    )
}

/// An order of one customer with two lines and shipping, German tax in the prices.
fn order(shop: &mut Shop) -> u64 {
    let buyer = customer(shop, &format!("ana{}@example.com", shop.orders.len()));
    let (_, variants) = product(shop, "Tee", &["19.99", "5.00"]);
    shop.place_order(OrderDraft {
        buyer: Buyer::Customer(buyer),
        lines: vec![
            LineDraft::variant(variants[0], 2),
            LineDraft::variant(variants[1], 1),
        ],
        shipping: vec![ShippingDraft::new("DHL", d("4.90"))],
        taxes: vec![Tax::new("DE MwSt", d("0.19"))],
        taxes_included: true,
        shipping_address: Some(address()),
        billing_address: Some(address()),
        ..OrderDraft::default()
    })
    .unwrap()
}

async fn start(options: Options) -> ShopSandbox {
    ShopSandbox::start(options).await.unwrap()
}

fn client() -> reqwest::Client {
    reqwest::Client::builder()
        .timeout(Duration::from_secs(20))
        .no_proxy()
        .build()
        .unwrap()
}

fn request(
    shop: &ShopSandbox,
    version: &str,
    query: &str,
    variables: &Json,
    name: Option<&str>,
) -> reqwest::RequestBuilder {
    client()
        .post(format!("{}/admin/api/{version}/graphql.json", shop.url()))
        .header("X-Shopify-Access-Token", Access::default().static_token.unwrap())
        .json(&json!({"query": query, "variables": variables, "operationName": name}))
}

/// Runs a query and returns the whole answer.
async fn run(shop: &ShopSandbox, query: &str, variables: Json) -> Json {
    request(shop, "2026-10", query, &variables, None)
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap()
}

/// Runs one of the recorded documents; it must succeed.
async fn run_named(shop: &ShopSandbox, name: &str, variables: Json) -> Json {
    let answer = request(shop, "2026-10", DOCUMENTS, &variables, Some(name))
        .send()
        .await
        .unwrap();
    let answer: Json = answer.json().await.unwrap();
    assert_eq!(answer["errors"], Json::Null, "{name}: {answer:#}");
    answer["data"].clone()
}

/// What a receiver of webhooks got.
#[derive(Clone)]
struct Received {
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Received {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |v| v.to_str().unwrap())
    }

    fn json(&self) -> Json {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// A receiver that answers with the given statuses in turn, then with 200.
#[derive(Clone, Default)]
struct Receiver {
    got: Arc<Mutex<Vec<Received>>>,
    answers: Arc<Mutex<Vec<u16>>>,
    url: String,
}

impl Receiver {
    async fn start(answers: &[u16]) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hooks", listener.local_addr().unwrap());
        let receiver = Self {
            url,
            answers: Arc::new(Mutex::new(answers.to_vec())),
            ..Self::default()
        };
        let router = Router::new()
            .route("/hooks", post(receive))
            .with_state(receiver.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        receiver
    }

    fn got(&self) -> Vec<Received> {
        self.got.lock().unwrap().clone()
    }

    fn topics(&self) -> Vec<String> {
        self.got()
            .iter()
            .map(|r| r.header("X-Shopify-Topic").to_owned())
            .collect()
    }
}

async fn receive(State(receiver): State<Receiver>, headers: HeaderMap, body: Bytes) -> StatusCode {
    receiver.got.lock().unwrap().push(Received {
        headers,
        body: body.to_vec(),
    });
    let mut answers = receiver.answers.lock().unwrap();
    if answers.is_empty() {
        StatusCode::OK
    } else {
        StatusCode::from_u16(answers.remove(0)).unwrap()
    }
}
