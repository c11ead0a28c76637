//! How a stand-in shop is set up.

use std::time::Duration;

use chrono_tz::Tz;

use super::ids::{Clock, system_clock};
use super::schema::PINNED_VERSION;

/// Everything a shop starts with. The default is a small European shop with a static token and all scopes.
#[derive(Clone)]
pub struct Options {
    /// TCP port on 127.0.0.1; 0 takes a free one.
    pub port: u16,
    /// `{shop}.myshopify.com`.
    pub domain: String,
    /// Name of the shop.
    pub name: String,
    /// The shop's currency.
    pub currency: String,
    /// Two letters.
    pub country: String,
    /// Zone of the times in webhook bodies.
    pub time_zone: Tz,
    /// Where the shop reads the time.
    pub clock: Clock,
    /// Number of the first order (its name is `#` and this).
    pub first_order_number: u64,
    /// Credentials and scopes of the app.
    pub access: Access,
    /// API versions and which one is served.
    pub versions: Versions,
    /// The leaky bucket.
    pub rate: Rate,
    /// Webhook deliveries.
    pub delivery: DeliveryOptions,
    /// Changes younger than this are not found by searches yet: the real index lags, too.
    pub search_lag: Duration,
}

/// Credentials and scopes of the one app that talks to the shop.
#[derive(Clone)]
pub struct Access {
    /// A token that never expires, if the app has one.
    pub static_token: Option<String>,
    /// Client id of the client credentials grant.
    pub client_id: String,
    /// Client secret of the grant; also signs webhooks until it is rotated.
    pub client_secret: String,
    /// Life of a granted token.
    pub token_lifetime: Duration,
    /// Handles of the granted access scopes.
    pub scopes: Vec<String>,
}

/// API versions of the shop.
#[derive(Clone)]
pub struct Versions {
    /// Served versions, oldest first. A version that is not in the list falls forward to the oldest.
    pub supported: Vec<String>,
    /// Version that webhook bodies are made in.
    pub webhooks: String,
}

/// The leaky bucket of query cost.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    /// Points per second.
    pub restore_rate: f64,
    /// Size of the bucket.
    pub maximum_available: f64,
    /// Limit of one query.
    pub max_query_cost: u64,
}

/// How webhooks are delivered.
#[derive(Clone)]
pub struct DeliveryOptions {
    /// Time in which a receiver must have answered.
    pub timeout: Duration,
    /// Waits before the retries (Shopify: 8 over 4 hours).
    pub backoff: Vec<Duration>,
    /// Factor on the waits, for tests and demos.
    pub backoff_scale: f64,
    /// Failed attempts in a row that cost a subscription made through the API its life.
    pub failures_until_deletion: u32,
    /// Deliveries under way at the same time.
    pub concurrency: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            port: 0,
            domain: "sandbox-shop.myshopify.com".to_owned(),
            name: "Sandbox Shop".to_owned(),
            currency: "EUR".to_owned(),
            country: "DE".to_owned(),
            time_zone: chrono_tz::Europe::Berlin,
            clock: system_clock(),
            first_order_number: 1001,
            access: Access::default(),
            versions: Versions::default(),
            rate: Rate::default(),
            delivery: DeliveryOptions::default(),
            search_lag: Duration::ZERO,
        }
    }
}

impl Options {
    /// The default shop with retries that follow each other within milliseconds.
    pub fn quick() -> Self {
        let mut options = Self::default();
        options.delivery.backoff_scale = 0.000_01;
        options
    }
}

impl Default for Access {
    fn default() -> Self {
        Self {
            static_token: Some("shpat_sandbox_0123456789abcdef".to_owned()),
            client_id: "sandbox-client-id".to_owned(),
            client_secret: "shpss_sandbox_fedcba9876543210".to_owned(),
            token_lifetime: Duration::from_secs(86_399),
            scopes: ALL_SCOPES.iter().map(|s| (*s).to_owned()).collect(),
        }
    }
}

/// The scopes that a connector asks for.
pub const ALL_SCOPES: &[&str] = &[
    "read_orders",
    "write_orders",
    "read_all_orders",
    "read_customers",
    "write_customers",
    "read_products",
    "write_products",
    "read_inventory",
    "write_inventory",
    "read_locations",
    "read_fulfillments",
    "read_merchant_managed_fulfillment_orders",
    "write_merchant_managed_fulfillment_orders",
    "read_returns",
    "read_draft_orders",
    "read_customer_merge",
];

impl Default for Versions {
    fn default() -> Self {
        Self {
            supported: ["2026-01", "2026-04", "2026-07", PINNED_VERSION]
                .map(str::to_owned)
                .to_vec(),
            webhooks: PINNED_VERSION.to_owned(),
        }
    }
}

impl Default for Rate {
    fn default() -> Self {
        Self {
            restore_rate: 100.0,
            maximum_available: 2000.0,
            max_query_cost: 1000,
        }
    }
}

impl Default for DeliveryOptions {
    fn default() -> Self {
        // Eight retries that double up to about four hours in all.
        let backoff = [60, 120, 240, 480, 960, 1920, 3840, 6780]
            .map(Duration::from_secs)
            .to_vec();
        Self {
            timeout: Duration::from_secs(5),
            backoff,
            backoff_scale: 1.0,
            failures_until_deletion: 8,
            concurrency: 8,
        }
    }
}
