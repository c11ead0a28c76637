//! Sending: attempts, retries with backoff, faults on demand, and a record of every delivery.
//!
//! A retry carries the same body to the same address under the same ids. What is to be sent first waits for one of a few
//! places; a delivery that waits for its next attempt does not hold a place, so a receiver that is down does not hold up
//! others.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::Announcement;
use super::sign::signature;
use crate::sandbox::shopify::access::Keys;
use crate::sandbox::shopify::faults::{DeliveryFault, Plan};
use crate::sandbox::shopify::ids::Clock;
use crate::sandbox::shopify::options::DeliveryOptions;
use crate::sandbox::shopify::shop::Shop;

/// What became of one delivery.
#[derive(Clone, Debug)]
pub struct DeliveryRecord {
    /// Id of the delivery, equal on every attempt.
    pub webhook_id: Uuid,
    /// Id of the merchant's action.
    pub event_id: Uuid,
    /// `orders/create` and so on.
    pub topic: &'static str,
    /// Number of the record that it is about.
    pub resource: Option<u64>,
    /// When the event happened.
    pub triggered_at: DateTime<Utc>,
    /// When the receiver first accepted it.
    pub accepted_at: Option<DateTime<Utc>>,
    /// What each attempt ended with: an HTTP status, or `None` for no answer.
    pub attempts: Vec<Option<u16>>,
    /// Attempts that were accepted: more than one for duplicates.
    pub accepted: u32,
    /// Never sent, as a fault demanded.
    pub dropped: bool,
    /// No attempt is left.
    pub given_up: bool,
}

/// The engine; one per shop.
pub(in crate::sandbox::shopify) struct Delivery {
    options: DeliveryOptions,
    clock: Clock,
    client: reqwest::Client,
    keys: Arc<Mutex<Keys>>,
    shop: Arc<Mutex<Shop>>,
    state: Mutex<State>,
    places: Semaphore,
    tracker: TaskTracker,
    stop: CancellationToken,
    /// Deliveries that are not settled yet.
    pending: watch::Sender<usize>,
    /// Raised when waiting retries shall go at once.
    hurry: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    faults: Plan<DeliveryFault>,
    records: Vec<DeliveryRecord>,
    holding: bool,
    held: VecDeque<Announcement>,
    deleted_subscriptions: u32,
}

impl Delivery {
    pub(in crate::sandbox::shopify) fn new(
        options: DeliveryOptions,
        clock: Clock,
        keys: Arc<Mutex<Keys>>,
        shop: Arc<Mutex<Shop>>,
    ) -> Result<Arc<Self>, reqwest::Error> {
        let client = reqwest::Client::builder()
            .timeout(options.timeout)
            .connect_timeout(Duration::from_secs(1))
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()?;
        Ok(Arc::new(Self {
            places: Semaphore::new(options.concurrency.max(1)),
            options,
            clock,
            client,
            keys,
            shop,
            state: Mutex::default(),
            tracker: TaskTracker::new(),
            stop: CancellationToken::new(),
            pending: watch::Sender::new(0),
            hurry: watch::Sender::new(0),
        }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes over what was announced.
    pub(in crate::sandbox::shopify) fn hand_over(self: &Arc<Self>, announced: Vec<Announcement>) {
        for announcement in announced {
            {
                let mut state = self.state();
                state.records.push(DeliveryRecord {
                    webhook_id: announcement.webhook_id,
                    event_id: announcement.event_id,
                    topic: announcement.topic,
                    resource: announcement.resource,
                    triggered_at: announcement.at,
                    accepted_at: None,
                    attempts: Vec::new(),
                    accepted: 0,
                    dropped: false,
                    given_up: false,
                });
                if state.holding {
                    state.held.push_back(announcement);
                    continue;
                }
            }
            self.start(&announcement);
        }
    }

    fn start(self: &Arc<Self>, announcement: &Announcement) {
        let fault = self.state().faults.next(announcement.topic);
        if fault == Some(DeliveryFault::Drop) {
            self.record(announcement, |r| r.dropped = true);
            return;
        }
        let copies = match fault {
            Some(DeliveryFault::Duplicate(n)) => n,
            _ => 0,
        };
        for _ in 0..=copies {
            let (this, announcement, fault) = (Arc::clone(self), announcement.clone(), fault.clone());
            self.pending.send_modify(|n| *n += 1);
            self.tracker.spawn(async move {
                let stop = this.stop.clone();
                tokio::select! {
                    () = this.deliver(&announcement, fault.as_ref()) => {}
                    () = stop.cancelled() => {}
                }
                this.pending.send_modify(|n| *n -= 1);
            });
        }
    }

    async fn deliver(&self, announcement: &Announcement, fault: Option<&DeliveryFault>) {
        if let Some(DeliveryFault::Delay(time)) = fault {
            self.wait(*time).await;
        }
        let waits = self
            .options
            .backoff
            .iter()
            .map(|w| w.mul_f64(self.options.backoff_scale));
        for wait in waits.map(Some).chain([None]) {
            let status = self.attempt(announcement, fault).await;
            let accepted = status.is_some_and(|s| (200..300).contains(&s));
            let now = (self.clock)();
            self.record(announcement, |r| {
                r.attempts.push(status);
                if accepted {
                    r.accepted += 1;
                    r.accepted_at.get_or_insert(now);
                }
            });
            self.count_against_subscription(announcement.subscription, accepted);
            if accepted {
                return;
            }
            match wait {
                Some(wait) => self.wait(wait).await,
                None => self.record(announcement, |r| r.given_up = true),
            }
        }
    }

    /// One HTTP request; the status of the answer, or `None` without one.
    async fn attempt(&self, announcement: &Announcement, fault: Option<&DeliveryFault>) -> Option<u16> {
        let _place = self.places.acquire().await.ok()?;
        let signed = {
            let keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
            let secret = match fault {
                Some(DeliveryFault::OldSecret) => keys.old_secret(),
                Some(DeliveryFault::CorruptSignature) => "not the secret",
                _ => keys.secret(),
            };
            signature(secret, &announcement.body)
        };
        let domain = self
            .shop
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .domain
            .clone();
        let mut request = self
            .client
            .post(&announcement.uri)
            .header("Content-Type", "application/json")
            .header("User-Agent", "Shopify-Captain-Hook")
            .header("X-Shopify-Topic", announcement.topic)
            .header("X-Shopify-Hmac-Sha256", signed)
            .header("X-Shopify-Shop-Domain", domain)
            .header("X-Shopify-API-Version", &announcement.version)
            .header("X-Shopify-Webhook-Id", announcement.webhook_id.to_string())
            .header("X-Shopify-Event-Id", announcement.event_id.to_string())
            .header(
                "X-Shopify-Triggered-At",
                announcement.at.to_rfc3339_opts(SecondsFormat::Nanos, true),
            );
        if let Some(name) = &announcement.name {
            request = request.header("X-Shopify-Name", name);
        }
        let response = request.body(announcement.body.to_vec()).send().await.ok()?;
        let status = response.status().as_u16();
        // The whole answer has to be there in time.
        response.bytes().await.ok()?;
        Some(status)
    }

    async fn wait(&self, time: Duration) {
        let mut hurry = self.hurry.subscribe();
        hurry.mark_unchanged();
        tokio::select! {
            () = tokio::time::sleep(time) => {}
            _ = hurry.changed() => {}
        }
    }

    fn record(&self, announcement: &Announcement, change: impl FnOnce(&mut DeliveryRecord)) {
        let mut state = self.state();
        if let Some(record) = state
            .records
            .iter_mut()
            .rfind(|r| r.webhook_id == announcement.webhook_id)
        {
            change(record);
        }
    }

    /// Failures in a row cost a subscription that was made through the API its life.
    fn count_against_subscription(&self, id: u64, accepted: bool) {
        let mut shop = self.shop.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(subscription) = shop.subscriptions.iter_mut().find(|s| s.id == id) else {
            return;
        };
        if accepted {
            subscription.failures = 0;
            return;
        }
        subscription.failures += 1;
        if subscription.through_api && subscription.failures >= self.options.failures_until_deletion {
            shop.subscriptions.retain(|s| s.id != id);
            drop(shop);
            self.state().deleted_subscriptions += 1;
        }
    }

    /// Adds a fault for the next `times` deliveries of a topic (of any when `None`).
    pub(in crate::sandbox::shopify) fn inject(&self, fault: DeliveryFault, topic: Option<&str>, times: u32) {
        self.state().faults.add(fault, topic, times);
    }

    /// Forgets all faults that did not strike yet.
    pub(in crate::sandbox::shopify) fn clear_faults(&self) {
        self.state().faults.clear();
    }

    /// Keeps new deliveries back until they are released.
    pub(in crate::sandbox::shopify) fn hold(&self) {
        self.state().holding = true;
    }

    /// Topic and record of what is held back, in the order in which it happened.
    pub(in crate::sandbox::shopify) fn held(&self) -> Vec<(&'static str, Option<u64>)> {
        self.state().held.iter().map(|a| (a.topic, a.resource)).collect()
    }

    /// Sends what is held back, one after the other in this order of positions; what is not named is sent last.
    pub(in crate::sandbox::shopify) async fn release(self: &Arc<Self>, order: &[usize]) {
        let mut held: Vec<Option<Announcement>> = {
            let mut state = self.state();
            state.holding = false;
            state.held.drain(..).map(Some).collect()
        };
        let mut sequence: Vec<Announcement> = order
            .iter()
            .filter_map(|i| held.get_mut(*i).and_then(Option::take))
            .collect();
        sequence.extend(held.into_iter().flatten());
        for announcement in sequence {
            self.start(&announcement);
            self.settle().await;
        }
    }

    /// Sends one of those held back and waits for it; the others stay.
    pub(in crate::sandbox::shopify) async fn release_one(self: &Arc<Self>, position: usize) {
        let announcement = self.state().held.remove(position);
        if let Some(announcement) = announcement {
            self.start(&announcement);
            self.settle().await;
        }
    }

    /// Lets waiting retries and delayed deliveries go at once.
    pub(in crate::sandbox::shopify) fn hurry(&self) {
        self.hurry.send_modify(|n| *n += 1);
    }

    /// Waits until nothing is under way any more: everything was accepted, dropped or given up. What is held back stays.
    pub(in crate::sandbox::shopify) async fn settle(&self) {
        let mut pending = self.pending.subscribe();
        // The sender lives as long as `self`.
        let _ = pending.wait_for(|n| *n == 0).await;
    }

    /// Deliveries that are under way or wait for their next attempt.
    pub(in crate::sandbox::shopify) fn pending(&self) -> usize {
        *self.pending.borrow()
    }

    pub(in crate::sandbox::shopify) fn records(&self) -> Vec<DeliveryRecord> {
        self.state().records.clone()
    }

    pub(in crate::sandbox::shopify) fn deleted_subscriptions(&self) -> u32 {
        self.state().deleted_subscriptions
    }

    pub(in crate::sandbox::shopify) fn stop(&self) {
        self.stop.cancel();
        self.tracker.close();
    }
}
