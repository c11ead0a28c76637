//! The handle of a running stand-in shop.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value as Json;

use super::access::Keys;
use super::bucket::Bucket;
use super::bulk::BulkFile;
use super::faults::{ApiFault, DeliveryFault, Plan};
use super::graphql::{self, Documents};
use super::ids::Clock;
use super::ledger::{Calls, Ledger, records};
use super::options::{Options, Rate};
use super::server::Running;
use super::shop::Shop;
use super::webhook::deliver::Delivery;

/// What the server and the handle share.
pub(super) struct Inner {
    shop: Arc<Mutex<Shop>>,
    keys: Arc<Mutex<Keys>>,
    documents: Documents,
    bucket: Mutex<Bucket>,
    faults: Mutex<Plan<ApiFault>>,
    calls: Mutex<Calls>,
    supported: Vec<String>,
    clock: Clock,
    delivery: Arc<Delivery>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A test that panicked in a closure must not hide its own message behind a poisoned lock.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Inner {
    /// The version that answers: the one that was asked for, or the oldest. `None` for what is no version.
    pub(super) fn served_version(&self, asked: &str) -> Option<String> {
        if self.supported.iter().any(|v| v == asked) {
            return Some(asked.to_owned());
        }
        let looks_right = asked.len() == 7 && asked.as_bytes().get(4) == Some(&b'-');
        looks_right.then(|| self.supported.first().cloned()).flatten()
    }

    pub(super) fn next_api_fault(&self, operation: &str) -> Option<ApiFault> {
        let fault = lock(&self.faults).next(operation);
        if fault.is_some() {
            lock(&self.calls).faults += 1;
        }
        fault
    }

    pub(super) fn admits(&self, token: Option<&str>) -> bool {
        let admitted = lock(&self.keys).admits(token, (self.clock)());
        let mut calls = lock(&self.calls);
        calls.graphql += 1;
        calls.unauthorized += u64::from(!admitted);
        admitted
    }

    pub(super) fn grant(&self, id: &str, secret: &str) -> Option<(String, String, i64)> {
        let (token, seconds) = lock(&self.keys).grant(id, secret, (self.clock)())?;
        lock(&self.calls).token_grants += 1;
        Some((token, lock(&self.shop).scopes.join(","), seconds))
    }

    pub(super) fn revoke_tokens(&self) {
        lock(&self.keys).revoke_granted();
    }

    pub(super) fn bulk_file(&self, id: u64) -> BulkFile {
        lock(&self.calls).bulk_files += 1;
        lock(&self.shop).bulk_file(id)
    }

    pub(super) fn graphql(&self, request: &graphql::Request) -> Json {
        let now = (self.clock)();
        let (answer, report, announced) = {
            let mut shop = lock(&self.shop);
            let mut bucket = lock(&self.bucket);
            let (answer, report) = graphql::answer(&mut shop, &self.documents, &mut bucket, request, now);
            (answer, report, std::mem::take(&mut shop.announced))
        };
        self.delivery.hand_over(announced);
        let mut calls = lock(&self.calls);
        let name = report.operation.unwrap_or_else(|| "anonymous".to_owned());
        *calls.by_operation.entry(name).or_default() += 1;
        calls.requested_cost += report.requested;
        calls.throttled += u64::from(report.throttled);
        answer
    }
}

/// Topics that a connector of orders, customers, products and stock listens to.
pub const CONNECTOR_TOPICS: &[&str] = &[
    "orders/create",
    "orders/updated",
    "orders/edited",
    "orders/paid",
    "orders/cancelled",
    "orders/fulfilled",
    "orders/partially_fulfilled",
    "orders/delete",
    "refunds/create",
    "order_transactions/create",
    "fulfillments/create",
    "fulfillments/update",
    "fulfillment_events/create",
    "customers/create",
    "customers/update",
    "customers/delete",
    "customers/merge",
    "products/create",
    "products/update",
    "products/delete",
    "inventory_levels/update",
    "app/uninstalled",
];

/// A stand-in Shopify shop on loopback. It stops when it is dropped.
pub struct ShopSandbox {
    inner: Arc<Inner>,
    running: tokio::sync::Mutex<Option<Running>>,
    port: u16,
    domain: String,
}

impl ShopSandbox {
    /// Starts a shop in the current runtime.
    ///
    /// # Errors
    /// The port cannot be bound, or the webhook client cannot be built.
    pub async fn start(options: Options) -> io::Result<Self> {
        let shop = Arc::new(Mutex::new(Shop::new(&options)));
        let keys = Arc::new(Mutex::new(Keys::new(&options.access)));
        let delivery = Delivery::new(
            options.delivery.clone(),
            options.clock.clone(),
            Arc::clone(&keys),
            Arc::clone(&shop),
        )
        .map_err(io::Error::other)?;
        let now = (options.clock)();
        let inner = Arc::new(Inner {
            shop,
            keys,
            documents: Documents::default(),
            bucket: Mutex::new(Bucket::new(options.rate, now)),
            faults: Mutex::default(),
            calls: Mutex::default(),
            supported: options.versions.supported.clone(),
            clock: options.clock.clone(),
            delivery,
        });
        let running = Running::start(Arc::clone(&inner), options.port).await?;
        let port = running.address.port();
        lock(&inner.shop).bulk_host = format!("http://127.0.0.1:{port}");
        Ok(Self {
            inner,
            running: tokio::sync::Mutex::new(Some(running)),
            port,
            domain: options.domain,
        })
    }

    /// `http://127.0.0.1:PORT`; the API is below `/admin/api/`.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// `{shop}.myshopify.com`.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// Closes the port and all connections; data, subscriptions and waiting deliveries stay.
    pub async fn stop(&self) {
        let running = self.running.lock().await.take();
        if let Some(running) = running {
            running.stop().await;
        }
    }

    /// Opens the port again after [`Self::stop`].
    ///
    /// # Errors
    /// Somebody else took the port.
    pub async fn restart(&self) -> io::Result<()> {
        let mut running = self.running.lock().await;
        if running.is_none() {
            *running = Some(Running::start(Arc::clone(&self.inner), self.port).await?);
        }
        Ok(())
    }

    /// Does something in the shop and sends the webhooks that follow from it.
    pub fn change<T>(&self, change: impl FnOnce(&mut Shop) -> T) -> T {
        let (result, announced) = {
            let mut shop = lock(&self.inner.shop);
            let result = change(&mut shop);
            (result, std::mem::take(&mut shop.announced))
        };
        self.inner.delivery.hand_over(announced);
        result
    }

    /// Looks at the shop's data.
    pub fn read<T>(&self, look: impl FnOnce(&Shop) -> T) -> T {
        look(&lock(&self.inner.shop))
    }

    /// Registers a webhook that belongs to the app's configuration: it is not listed by the API and survives failures.
    pub fn register(&self, topic: &str, url: &str) {
        self.change(|shop| shop.register(topic, url));
    }

    /// Registers all [`CONNECTOR_TOPICS`] like [`Self::register`].
    pub fn register_all(&self, url: &str) {
        for topic in CONNECTOR_TOPICS {
            self.register(topic, url);
        }
    }

    /// The merchant removes the app: its tokens end, `app/uninstalled` is sent, its subscriptions are gone.
    pub fn uninstall(&self) {
        self.revoke_tokens();
        self.set_static_token(None);
        self.change(Shop::uninstall);
    }

    /// A copy of the shop's own truth.
    pub fn ledger(&self) -> Ledger {
        let (orders, customers, products, deleted, adjustments) = self.read(|shop| {
            let (orders, customers, products) = records(shop);
            let adjustments = shop.adjustments.clone();
            (orders, customers, products, shop.deleted.clone(), adjustments)
        });
        Ledger {
            orders,
            customers,
            products,
            deleted,
            adjustments,
            calls: lock(&self.inner.calls).clone(),
            deliveries: self.inner.delivery.records(),
            deleted_subscriptions: self.inner.delivery.deleted_subscriptions(),
        }
    }

    /// Lets the next `times` API requests of an operation (of any when `None`; `access_token` for the token endpoint) fail.
    pub fn inject(&self, fault: ApiFault, operation: Option<&str>, times: u32) {
        lock(&self.inner.faults).add(fault, operation, times);
    }

    /// Lets the next `times` deliveries of a topic (of any when `None`) fail.
    pub fn inject_delivery(&self, fault: DeliveryFault, topic: Option<&str>, times: u32) {
        self.inner.delivery.inject(fault, topic, times);
    }

    /// Forgets all faults that did not strike yet.
    pub fn clear_faults(&self) {
        lock(&self.inner.faults).clear();
        self.inner.delivery.clear_faults();
    }

    /// Keeps new webhook deliveries back until [`Self::release`].
    pub fn hold_deliveries(&self) {
        self.inner.delivery.hold();
    }

    /// Topic and record of the deliveries that are held back, in the order in which they happened.
    pub fn held(&self) -> Vec<(&'static str, Option<u64>)> {
        self.inner.delivery.held()
    }

    /// Sends what was held back one by one, in this order of positions (the rest behind), and waits for each.
    pub async fn release(&self, order: &[usize]) {
        self.inner.delivery.release(order).await;
    }

    /// Sends one of the deliveries that are held back, by its position, and waits until it was accepted, dropped or given
    /// up; the others stay, and new ones are held back as before. Without such a position nothing happens.
    pub async fn release_one(&self, position: usize) {
        self.inner.delivery.release_one(position).await;
    }

    /// Sends delayed deliveries and waiting retries at once, and waits until nothing is under way.
    pub async fn deliver_now(&self) {
        while self.pending() > 0 {
            self.inner.delivery.hurry();
            tokio::select! {
                () = self.inner.delivery.settle() => {}
                () = tokio::time::sleep(std::time::Duration::from_millis(5)) => {}
            }
        }
    }

    /// Waits until every delivery was accepted, dropped or given up.
    pub async fn settle(&self) {
        self.inner.delivery.settle().await;
    }

    /// Deliveries that are under way or wait for their next attempt.
    pub fn pending(&self) -> usize {
        self.inner.delivery.pending()
    }

    /// A new app secret: it signs from now on, the old one is still taken by the token endpoint.
    pub fn rotate_secret(&self, secret: &str) {
        lock(&self.inner.keys).rotate(secret);
    }

    /// All granted tokens end now.
    pub fn revoke_tokens(&self) {
        self.inner.revoke_tokens();
    }

    /// Another static token, or none.
    pub fn set_static_token(&self, token: Option<&str>) {
        lock(&self.inner.keys).set_static_token(token.map(str::to_owned));
    }

    /// Other limits of query cost.
    pub fn set_rate(&self, rate: Rate) {
        lock(&self.inner.bucket).set_rate(rate, (self.inner.clock)());
    }

    /// Leaves at most this many points in the bucket.
    pub fn drain_bucket(&self, points: f64) {
        lock(&self.inner.bucket).drain_to(points, (self.inner.clock)());
    }
}

impl Drop for ShopSandbox {
    fn drop(&mut self) {
        self.inner.delivery.stop();
    }
}
