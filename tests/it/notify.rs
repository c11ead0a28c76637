//! Notifications: killed at any step, they arrive all the same, under the id that they had.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::HeaderMap;
use lockstep::domain::{SharedClock, SystemClock, SystemEntropy};
use lockstep::failpoint::FailPoint;
use lockstep::notify::{EventType, Notification, NotificationId};
use lockstep::sandbox::shopify::draft::Buyer;
use lockstep::store::{self, OpenMode};

use crate::crashes::{Action, struck};
use crate::support::daemon::{Daemon, Start, run};
use crate::support::world::{Database, World, until};

pub(crate) type Ids = Arc<Mutex<Vec<String>>>;

/// A receiver that takes everything and notes the ids.
pub(crate) async fn receiver() -> (u16, Ids) {
    let ids = Ids::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let port = listener.local_addr().expect("it has an address").port();
    let router = Router::new().fallback(note).with_state(Arc::clone(&ids));
    tokio::spawn(async move { axum::serve(listener, router).await });
    (port, ids)
}

async fn note(State(ids): State<Ids>, headers: HeaderMap) {
    let id = headers["webhook-id"].to_str().expect("ids are plain").to_owned();
    ids.lock().expect("not poisoned").push(id);
}

/// Commits a notification while no daemon runs; its id.
async fn commit(world: &World) -> String {
    let clock: SharedClock = Arc::new(SystemClock);
    let settings = store::Settings {
        url: "sqlite://lockstep.db".to_owned(),
        ..store::Settings::default()
    };
    let store = store::open(&settings, world.folder.path(), clock.clone(), OpenMode::Tool)
        .await
        .expect("the store opens");
    let notification = Notification::new(
        NotificationId::new(&SystemEntropy),
        EventType::RunFinished,
        clock.now(),
    );
    let body = serde_json::to_string(&notification).expect("it is JSON");
    store
        .add_notifications(vec![body], clock.now())
        .await
        .expect("it is committed");
    store.close().await;
    notification.id.as_str().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_step_a_notification_arrives_under_the_same_id() {
    let world = World::new(Database::Sqlite).await;
    let (port, ids) = receiver().await;
    let mut text = std::fs::read_to_string(&world.config).expect("it was just written");
    text += "[notify]\nallow_networks = ['127.0.0.1']\n[notify.endpoints.log]\nallow_http = true\nevents = ['run.*']\n";
    text.extend(["url = 'http://127.0.0.1:", &port.to_string(), "/'\n"]);
    std::fs::write(&world.config, text).expect("it can be written");
    assert!(world.start(&Start::default()).terminate().success());

    let clock = world.folder.path().join("clock");
    for (round, (point, sent)) in [
        (FailPoint::NotifyFannedOut, 0),
        (FailPoint::NotifyBeforeSend, 0),
        // It was sent, and nobody knows: once too often is better than never.
        (FailPoint::NotifyAfterSend, 1),
    ]
    .into_iter()
    .enumerate()
    {
        let minutes =
            |count: usize| std::fs::write(&clock, (count * 60_000).to_string()).expect("it can be set");
        let count = |id: &str| {
            ids.lock()
                .expect("not poisoned")
                .iter()
                .filter(|one| *one == id)
                .count()
        };
        let start = |fail: Option<String>| Start {
            fail,
            clock: Some(clock.clone()),
        };
        minutes(round * 2);
        let id = commit(&world).await;
        match Daemon::try_start(&world.config, &start(Some(format!("{point}=abort")))) {
            Ok(mut armed) => struck(&mut armed, point, Action::Abort, &point.to_string()).await,
            // It died before it said that it is ready.
            Err(log) => assert!(log.contains("fail point struck"), "{log}"),
        }
        assert_eq!(count(&id), sent, "{point}");
        // What was claimed becomes due again once its claim has ended.
        minutes(round * 2 + 1);
        let mut daemon = world.start(&start(None));
        until(
            &format!("{point}: it arrives"),
            || (count(&id) == sent + 1).then_some(()),
            || daemon.log(),
        )
        .await;
        assert!(daemon.terminate().success(), "{}", daemon.log());
    }
    // Nothing else was sent, and nothing is sent again.
    let mut daemon = world.start(&Start {
        clock: Some(clock.clone()),
        ..Start::default()
    });
    assert!(daemon.terminate().success());
    assert_eq!(ids.lock().expect("not poisoned").len(), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_order_is_shown_as_it_is_sent_then() {
    let bodies: Bodies = Arc::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let port = listener.local_addr().expect("it has an address").port();
    let router = Router::new().fallback(keep).with_state(Arc::clone(&bodies));
    tokio::spawn(async move { axum::serve(listener, router).await });

    let world = World::new(Database::Sqlite).await;
    let mut text = std::fs::read_to_string(&world.config).expect("it was just written");
    let table = format!(
        "[notify]\nallow_networks = ['127.0.0.1']\n[notify.endpoints.sheet]\nallow_http = true\n\
         url = 'http://127.0.0.1:{port}/'\nevents = ['order.synced']\npersonal_data = true\n\
         [notify.endpoints.sheet.body]\nmime = 'text/plain'\n\
         template = '{{{{ order.name }}}}, {{{{ order.totals.total }}}} {{{{ order.currency }}}}, {{{{ order.shipping_address.last_name }}}}'\n"
    );
    text.push_str(&table);
    std::fs::write(&world.config, text).expect("it can be written");
    let daemon = world.start(&Start::default());
    let variants = world.product();
    let customer = world.customer("ada@example.com");
    world.idle(&daemon).await;
    world.shop.hold_deliveries();
    let (id, name) = world.order(Buyer::Customer(customer), variants[0]);

    // By its number, and by its name with and without the sign before it.
    let number = id.to_string();
    for called in [name.as_str(), name.trim_start_matches('#'), &number] {
        let shown = world.json(&["notify", "fields", "order", called]);
        assert_eq!(shown["record"], name.as_str(), "{called}");
        let fields = shown["fields"].as_array().expect("a list");
        let value = |path: &str| {
            let field = fields.iter().find(|field| field["path"] == path);
            field.unwrap_or_else(|| panic!("{path} is listed"))["value"].clone()
        };
        assert_eq!(value("order.name"), name.as_str());
        assert_eq!(value("order.totals.total"), "64.87");
        assert_eq!(value("order.lines[].sku"), "SHIRT-S");
        assert_eq!(value("event.object.shopify.number"), id);
    }
    let (code, out, err) = run(&world.config, &["notify", "fields", "order", &name]);
    assert_eq!(code, 0, "{out}{err}");
    for part in ["NOW", "order.totals.total", "64.87", &name] {
        assert!(out.contains(part), "{part}: {out}");
    }
    let preview = world.json(&["notify", "preview", "sheet", "order", &name]);
    assert_eq!(preview["is_sent"], true, "{preview}");
    assert_eq!(preview["mime"], "text/plain");
    let shown = preview["body"].as_str().expect("a body").to_owned();
    assert_eq!(shown, format!("{name}, 64.87 EUR, Lovelace"));
    let (code, out, err) = run(&world.config, &["notify", "preview", "sheet", "order", &name]);
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains(&shown) && out.contains("nothing was sent"), "{out}");
    assert!(
        bodies.lock().expect("not poisoned").is_empty(),
        "nothing was sent"
    );

    let (code, out, err) = run(&world.config, &["sync", "order", &name]);
    assert_eq!(code, 0, "{out}{err}");
    until(
        "it is told",
        || (!bodies.lock().expect("not poisoned").is_empty()).then_some(()),
        || daemon.log(),
    )
    .await;
    assert_eq!(*bodies.lock().expect("not poisoned"), [shown]);
}

/// What a receiver was sent.
type Bodies = Arc<Mutex<Vec<String>>>;

async fn keep(State(bodies): State<Bodies>, body: String) {
    bodies.lock().expect("not poisoned").push(body);
}
