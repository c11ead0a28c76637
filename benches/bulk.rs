//! Memory while the result of a bulk operation with 1,000,000 lines is read: everything of a shop with 500,000 products of one
//! variant each.
//!
//! `cargo bench --bench bulk` (`-- 10000` for fewer lines). The file is made as it is sent, by a server of this process, so that nothing but
//! the reader can hold it. Fails when the process needs more than 100 MB at any time.

#![expect(clippy::print_stdout, reason = "a bench prints its numbers")]

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::Uri;
use axum::routing::{get, post};
use futures_util::StreamExt as _;
use lockstep::domain::{Object, SystemClock, SystemEntropy};
use lockstep::secret::Secret;
use lockstep::shopify::{Credentials, Settings, Shopify};
use lockstep::transport;
use serde_json::{Value, json};

const LINES: u64 = 1_000_000;

/// Lines of one piece.
const PIECE: u64 = 500;

const MOST_KB: u64 = 100 * 1024;

fn main() {
    let asked = std::env::args()
        .skip(1)
        .find_map(|argument| argument.parse().ok());
    let lines: u64 = asked.unwrap_or(LINES);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let began = Instant::now();
    let (records, variants) = runtime.block_on(read(lines));
    assert_eq!((records, variants), (lines / 2, lines / 2));
    let peak = peak_kb();
    println!(
        "{lines} lines in {:.1} s, at most {:.1} MB in memory",
        began.elapsed().as_secs_f64(),
        f64::from(u32::try_from(peak).unwrap_or(u32::MAX)) / 1024.0
    );
    if peak > MOST_KB {
        eprintln!("that is more than 100 MB");
        std::process::exit(1);
    }
}

async fn read(lines: u64) -> (u64, u64) {
    let base = serve(lines).await;
    let settings = Settings {
        base_url: Some(base),
        ..Settings::new("bench-shop.myshopify.com")
    };
    let shop = Shopify::connect(
        "main".parse().expect("a name"),
        &settings,
        Credentials::Token(Secret::text("token")),
        &transport::Settings::default(),
        Arc::new(SystemClock),
        Arc::new(SystemEntropy),
    )
    .expect("a client");
    let mut everything = shop.everything(Object::Product).await.expect("an operation");
    let (mut records, mut variants) = (0, 0);
    while let Some(record) = everything.next().await.expect("a record") {
        records += 1;
        variants += record.variants.len() as u64;
    }
    (records, variants)
}

/// A shop that knows bulk operations and nothing else.
async fn serve(lines: u64) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let base = format!("http://{}", listener.local_addr().expect("an address"));
    let url = format!("{base}/file");
    let answer = move |body: Bytes| {
        let url = url.clone();
        async move {
            let asked: Value = serde_json::from_slice(&body).unwrap_or_default();
            let data = match asked["operationName"].as_str().unwrap_or_default() {
                "LockstepBulkRun" => {
                    json!({"bulkOperationRunQuery": {"bulkOperation": {"id": "gid://shopify/BulkOperation/1"}, "userErrors": []}})
                }
                "LockstepBulkState" => {
                    json!({"bulkOperation": {"status": "COMPLETED", "objectCount": lines.to_string(),
                    "rootObjectCount": (lines / 2).to_string(), "url": url}})
                }
                _ => json!({"total": {"count": lines}}),
            };
            axum::Json(json!({ "data": data }))
        }
    };
    let router = Router::new()
        .route("/admin/api/{version}/graphql.json", post(answer))
        .route("/file", get(move |_: Uri| async move { file(lines) }));
    tokio::spawn(async move { axum::serve(listener, router).await });
    base
}

fn file(lines: u64) -> Body {
    let pieces = (0..lines / 2).step_by(usize::try_from(PIECE).unwrap_or(1));
    let piece = move |first: u64| {
        let mut text = String::new();
        for n in first..(first + PIECE).min(lines / 2) {
            let gid = format!("gid://shopify/Product/{}", 7_000_000_000_000 + n);
            let product = json!({"id": gid, "title": format!("Product number {n}"), "status": "ACTIVE",
                "createdAt": "2026-01-02T03:04:05Z", "updatedAt": "2026-01-02T03:04:05Z", "variantsCount": {"count": 1}});
            let variant = json!({"id": format!("gid://shopify/ProductVariant/{}", 8_000_000_000_000 + n),
                "sku": format!("SKU-{n}"), "inventoryItem": {"id": format!("gid://shopify/InventoryItem/{}", 9_000_000_000_000 + n)}, "__parentId": gid});
            for line in [product, variant] {
                text.push_str(&line.to_string());
                text.push('\n');
            }
        }
        Ok::<_, std::convert::Infallible>(Bytes::from(text))
    };
    Body::from_stream(futures_util::stream::iter(pieces).map(piece))
}

/// The most memory that this process had so far.
fn peak_kb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux tells it");
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM"))
        .expect("it is there");
    let number = line.split_whitespace().nth(1).expect("a number");
    number.parse().expect("a number")
}
