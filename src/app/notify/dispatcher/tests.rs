//! The dispatcher on a clock that is moved by hand, with real receivers on loopback.

mod clock;
mod databases;
mod endings;
mod faults;
mod pacing;
mod paused;
mod receiver;
mod removed;
mod troubles;
mod wanted;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::app::testing::until;
use crate::domain::{Clock as _, ManualClock, Object, SystemEntropy};
use crate::notify::{EventType, Notification, NotificationId, ObjectReference, ShopifyReference};
use crate::store::testing::{TempPostgres, open_temp};
use crate::store::{
    DispatchFilter, DispatchRow, DispatchState, EndpointAct, EndpointRow, NodeFile, Redeliver, Redelivered,
    TakenUp,
};
use receiver::Receiver;

/// 2026-11-25T12:00:00Z.
const NOON: i64 = 1_795_608_000_000;

const SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

/// Which database a test is made with.
#[derive(Clone, Copy, Debug)]
enum On {
    Sqlite,
    Postgres,
}

/// Where the store is, as long as the test runs.
enum Place {
    Folder { _folder: TempDir },
    Database { _database: TempPostgres },
}

struct Rig {
    _place: Place,
    store: SharedStore,
    clock: ManualClock,
    config: watch::Sender<Arc<Config>>,
    standing: watch::Sender<Standing>,
    stop: CancellationToken,
    running: Option<JoinHandle<()>>,
}

/// A configuration with these endpoints: name, receiver, more keys.
fn config(notify: &str, endpoints: &[(&str, &Receiver, &str)]) -> Arc<Config> {
    let mut text = format!(
        "[shops.main]\ndomain = 'main-store.myshopify.com'\naccess_token = 'token'\nwebhook_secrets = ['secret']\n\
         [shops.main.odoo]\nurl = 'http://127.0.0.1:9'\ndatabase = 'prod'\nlogin = 'a@example.com'\napi_key = 'key'\n\
         [shops.main.sync]\norders = {{ in = 'on' }}\n[notify]\nallow_networks = ['127.0.0.1']\n{notify}\n"
    );
    for (name, receiver, more) in endpoints {
        let url = receiver.url();
        let events = if more.contains("events") {
            ""
        } else {
            "events = ['order.*']"
        };
        let secrets = if more.contains("secrets_files") {
            String::new()
        } else {
            format!("secrets = ['{SECRET}']")
        };
        writeln!(
            text,
            "[notify.endpoints.{name}]\nurl = '{url}'\nallow_http = true\n{secrets}\n{events}\n{more}"
        )
        .unwrap();
    }
    let parsed = Config::parse(&text, Path::new("/nowhere/lockstep.toml"), &|_| None);
    Arc::new(parsed.unwrap_or_else(|error| panic!("{error:?}\n{text}")))
}

impl Rig {
    /// With these endpoints, and a dispatcher that runs.
    async fn new(notify: &str, endpoints: &[(&str, &Receiver, &str)]) -> Self {
        Self::new_on(On::Sqlite, notify, endpoints).await
    }

    async fn new_on(on: On, notify: &str, endpoints: &[(&str, &Receiver, &str)]) -> Self {
        let mut rig = Self::idle_on(on, notify, endpoints).await;
        rig.start();
        rig
    }

    /// The same before anything runs.
    async fn idle(notify: &str, endpoints: &[(&str, &Receiver, &str)]) -> Self {
        Self::idle_on(On::Sqlite, notify, endpoints).await
    }

    async fn idle_on(on: On, notify: &str, endpoints: &[(&str, &Receiver, &str)]) -> Self {
        let clock = ManualClock::new(Timestamp::from_millis(NOON));
        let shared: SharedClock = Arc::new(clock.clone());
        let (place, store) = match on {
            On::Sqlite => {
                let (folder, store) = open_temp(shared).await;
                (Place::Folder { _folder: folder }, store)
            }
            On::Postgres => {
                let database = TempPostgres::new().await;
                let store = database.open(shared).await;
                let place = Place::Database { _database: database };
                (place, store)
            }
        };
        let config = watch::Sender::new(config(notify, endpoints));
        let file = NodeFile {
            node: "a".to_owned(),
            hash: "hash".to_owned(),
            summary: String::new(),
            toggles: json!({}),
        };
        let standing = store
            .config_revision(file, TakenUp::Saved, clock.now())
            .await
            .unwrap();
        Self {
            _place: place,
            store,
            clock,
            config,
            standing: watch::Sender::new(standing),
            stop: CancellationToken::new(),
            running: None,
        }
    }

    fn start(&mut self) {
        let dispatcher = Dispatcher::new(
            self.config.subscribe(),
            self.standing.subscribe(),
            self.store.clone(),
            Arc::new(self.clock.clone()),
            Arc::new(SystemEntropy),
            "a",
        );
        self.stop = CancellationToken::new();
        self.running = Some(tokio::spawn(dispatcher.run(self.stop.clone())));
    }

    async fn stop(&mut self) {
        self.stop.cancel();
        if let Some(running) = self.running.take() {
            running.await.unwrap();
        }
    }

    /// Commits notifications about these orders; their ids.
    async fn add(&self, orders: impl IntoIterator<Item = u64>) -> Vec<String> {
        let now = self.clock.now();
        let (mut ids, mut bodies) = (Vec::new(), Vec::new());
        for order in orders {
            let notification = order_synced(order, now);
            ids.push(notification.id.as_str().to_owned());
            bodies.push(serde_json::to_string(&notification).unwrap());
        }
        self.store.add_notifications(bodies, now).await.unwrap();
        ids
    }

    async fn dispatches(&self, endpoint: &str) -> Vec<DispatchRow> {
        let filter = DispatchFilter {
            endpoint: Some(endpoint.to_owned()),
            limit: 2_000,
            ..DispatchFilter::default()
        };
        self.store.dispatches(filter).await.unwrap()
    }

    /// Waits until so many of the endpoint's dispatches are in this state.
    async fn reach(&self, endpoint: &str, state: DispatchState, count: usize) -> Vec<DispatchRow> {
        until(&format!("{count} of {endpoint} are {state}"), async || {
            let mut rows = self.dispatches(endpoint).await;
            rows.retain(|row| row.state == state);
            (rows.len() == count).then_some(rows)
        })
        .await
    }

    /// How an endpoint stands, once something was made for it.
    async fn endpoint(&self, name: &str) -> EndpointRow {
        until("the endpoint is known", async || {
            let rows = self.store.endpoints().await.unwrap();
            rows.into_iter().find(|row| row.name == name)
        })
        .await
    }

    /// Moves the clock to when the endpoint's next try is due, and waits until it was made. Says whether there was one.
    async fn next_try(&self, endpoint: &str) -> bool {
        // What was sent a moment ago may not be noted yet.
        until("nothing is under way", async || {
            let rows = self.dispatches(endpoint).await;
            let is_quiet = rows.iter().all(|row| row.state != DispatchState::Sending);
            is_quiet.then_some(())
        })
        .await;
        let waiting = async || {
            let mut rows = self.dispatches(endpoint).await;
            rows.retain(|row| row.state == DispatchState::Waiting);
            rows
        };
        let Some(due) = waiting().await.iter().map(|row| row.due_at).min() else {
            return false;
        };
        self.clock.advance(due.since(self.clock.now()));
        until("the try is made", async || {
            let rows = self.dispatches(endpoint).await;
            let is_settled = |row: &DispatchRow| match row.state {
                DispatchState::Waiting => row.due_at > due,
                DispatchState::Sending => false,
                _ => true,
            };
            (rows.iter().all(is_settled) || self.endpoint(endpoint).await.is_paused).then_some(())
        })
        .await;
        true
    }
}

fn order_synced(order: u64, at: Timestamp) -> Notification {
    let mut notification = Notification::new(NotificationId::new(&SystemEntropy), EventType::OrderSynced, at);
    notification.shop = Some("main".parse().unwrap());
    notification.object = Some(ObjectReference {
        kind: Object::Order,
        title: None,
        sku: None,
        name: Some(format!("#{order}")),
        shopify: Some(ShopifyReference::new("Order", order.to_string().parse().unwrap())),
        erp: None,
    });
    notification.record = Some(json!({ "totals": { "total": "12.00" } }));
    notification
}

/// Those of a list, once each.
fn once(ids: &[String]) -> BTreeSet<&str> {
    ids.iter().map(String::as_str).collect()
}
