//! The load: connections that send one delivery after the other, each as soon as the one before is answered.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use lockstep::shopify::webhook;
use secrecy::SecretString;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::server::{DOMAIN, SECRET};

/// Different orders; each delivery is another event of one of them.
const ORDERS: u64 = 20_000;

const BODY_BYTES: usize = 6 * 1024;

pub(crate) struct Load {
    address: SocketAddr,
    /// Requests without the line that makes each one unique: before it, after it.
    requests: Arc<Vec<Vec<u8>>>,
    next: Arc<AtomicU64>,
}

pub(crate) struct Result {
    pub(crate) per_second: f64,
    pub(crate) refused: u64,
    /// Sorted.
    latencies: Vec<Duration>,
}

impl Result {
    pub(crate) fn percentile_ms(&self, share: f64) -> f64 {
        let last = self.latencies.len().saturating_sub(1);
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "an index"
        )]
        let at = (last as f64 * share) as usize;
        self.latencies
            .get(at)
            .map_or(f64::NAN, |latency| latency.as_secs_f64() * 1000.0)
    }
}

impl Load {
    pub(crate) fn new(address: SocketAddr) -> Self {
        let secret = SecretString::from(SECRET.to_owned());
        let requests = (0..ORDERS)
            .map(|order| {
                let body = body(450_000_000 + order);
                let signature = webhook::sign(&secret, &body);
                let mut request = format!(
                    "content-type: application/json\r\ncontent-length: {}\r\nx-shopify-topic: orders/updated\r\n\
                     x-shopify-hmac-sha256: {signature}\r\nx-shopify-shop-domain: {DOMAIN}\r\n\
                     x-shopify-api-version: 2026-10\r\nx-shopify-triggered-at: 2026-11-20T10:00:00.000Z\r\n\r\n",
                    body.len()
                )
                .into_bytes();
                request.extend_from_slice(&body);
                request
            })
            .collect();
        Self {
            address,
            requests: Arc::new(requests),
            next: Arc::default(),
        }
    }

    pub(crate) async fn run(&self, connections: usize, time: Duration) -> Result {
        let began = Instant::now();
        let tasks: Vec<_> = (0..connections)
            .map(|_| {
                tokio::spawn(connection(
                    self.address,
                    self.requests.clone(),
                    self.next.clone(),
                    began + time,
                ))
            })
            .collect();
        let mut latencies = Vec::new();
        let mut refused = 0;
        for task in tasks {
            let (more, bad) = task.await.expect("a connection works");
            latencies.extend(more);
            refused += bad;
        }
        let took = began.elapsed();
        latencies.sort_unstable();
        #[expect(clippy::cast_precision_loss, reason = "a rate")]
        let per_second = latencies.len() as f64 / took.as_secs_f64();
        Result {
            per_second,
            refused,
            latencies,
        }
    }
}

async fn connection(
    address: SocketAddr,
    requests: Arc<Vec<Vec<u8>>>,
    next: Arc<AtomicU64>,
    until: Instant,
) -> (Vec<Duration>, u64) {
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    stream.set_nodelay(true).ok();
    let mut latencies = Vec::with_capacity(10_000);
    let mut refused = 0;
    let mut answer = vec![0; 4096];
    while Instant::now() < until {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let order = usize::try_from(number % ORDERS).expect("an index");
        let mut request = format!(
            "POST /webhooks/shopify HTTP/1.1\r\nhost: bench\r\nx-shopify-webhook-id: 00000000-0000-4000-8000-{number:012}\r\n"
        )
        .into_bytes();
        request.extend_from_slice(&requests[order]);
        let began = Instant::now();
        stream.write_all(&request).await.expect("a request is sent");
        let mut read = 0;
        // Good answers have no body; others are counted and end the connection.
        while !answer[..read].windows(4).any(|end| end == b"\r\n\r\n") {
            let more = stream.read(&mut answer[read..]).await.expect("an answer");
            assert!(more > 0, "the connection is kept");
            read += more;
        }
        latencies.push(began.elapsed());
        if !answer.starts_with(b"HTTP/1.1 200") {
            refused += 1;
            break;
        }
    }
    (latencies, refused)
}

/// An order as Shopify sends it, near enough: repetitive names, varied values.
fn body(id: u64) -> Vec<u8> {
    let mut text = format!(
        r##"{{"id":{id},"admin_graphql_api_id":"gid://shopify/Order/{id}","name":"#{}","currency":"EUR","line_items":["##,
        id % 100_000
    );
    let mut line = 0_u64;
    while text.len() < BODY_BYTES - 200 {
        let number = id.wrapping_mul(2_654_435_761).wrapping_add(line * 40_503) % 1_000_000_007;
        if line > 0 {
            text.push(',');
        }
        write!(
            text,
            r#"{{"id":{number},"variant_id":{},"title":"Article {}","sku":"SKU-{}","quantity":{},"price":"{}.{:02}","taxable":true}}"#,
            number ^ 0x5555,
            number % 977,
            number % 7919,
            line % 4 + 1,
            number % 300,
            number % 100
        )
        .expect("a text takes everything");
        line += 1;
    }
    text.push_str(r#"],"updated_at":"2026-11-20T10:00:00Z"}"#);
    text.into_bytes()
}
