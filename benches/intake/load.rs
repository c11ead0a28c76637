//! The load: connections that send one delivery after the other, each as soon as the one before is answered.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use lockstep::domain::{Clock as _, SystemClock};
use lockstep::shopify::webhook;
use secrecy::SecretString;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::server::{DOMAIN, SECRET};

/// Events of one order, one right after the other: an order that is placed and paid makes about so many. So one delivery in
/// four makes a job and the others join it. With few orders that come again and again nearly all would join, which is the
/// cheaper way.
const TOPICS: [&str; 4] = ["orders/create", "orders/updated", "orders/paid", "orders/updated"];

const BODY_BYTES: usize = 6 * 1024;

pub(crate) struct Load {
    address: SocketAddr,
    /// The number of the next order; no order comes twice.
    next: Arc<AtomicU64>,
}

pub(crate) struct Result {
    pub(crate) per_second: f64,
    /// Answered with 200.
    pub(crate) taken: u64,
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
        Self {
            address,
            next: Arc::default(),
        }
    }

    pub(crate) async fn run(&self, connections: usize, time: Duration) -> Result {
        let began = Instant::now();
        let tasks: Vec<_> = (0..connections)
            .map(|_| tokio::spawn(connection(self.address, self.next.clone(), began + time)))
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
            taken: latencies.len() as u64 - refused,
            refused,
            latencies,
        }
    }
}

async fn connection(address: SocketAddr, next: Arc<AtomicU64>, until: Instant) -> (Vec<Duration>, u64) {
    let secret = SecretString::from(SECRET.to_owned());
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    stream.set_nodelay(true).ok();
    let mut latencies = Vec::with_capacity(10_000);
    let mut answer = vec![0; 4096];
    while Instant::now() < until {
        let order = next.fetch_add(1, Ordering::Relaxed);
        let rest = signed(450_000_000 + order, &secret);
        for (event, topic) in TOPICS.iter().enumerate() {
            let mut request = format!(
                "POST /webhooks/shopify HTTP/1.1\r\nhost: bench\r\nx-shopify-topic: {topic}\r\n\
                 x-shopify-webhook-id: 00000000-0000-4000-800{event}-{order:012}\r\n\
                 x-shopify-triggered-at: {}\r\n",
                SystemClock
                    .now()
                    .to_utc()
                    .to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
            )
            .into_bytes();
            request.extend_from_slice(&rest);
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
                return (latencies, 1);
            }
        }
    }
    (latencies, 0)
}

/// What the requests of one order have in common.
fn signed(order: u64, secret: &SecretString) -> Vec<u8> {
    let body = body(order);
    let signature = webhook::sign(secret, &body);
    let mut request = format!(
        "content-type: application/json\r\ncontent-length: {}\r\nx-shopify-hmac-sha256: {signature}\r\n\
         x-shopify-shop-domain: {DOMAIN}\r\nx-shopify-api-version: 2026-10\r\n\r\n",
        body.len()
    )
    .into_bytes();
    request.extend_from_slice(&body);
    request
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
