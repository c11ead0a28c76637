//! Notifications: killed at any step, they arrive all the same, under the id that they had.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::HeaderMap;
use lockstep::domain::{SharedClock, SystemClock, SystemEntropy};
use lockstep::failpoint::FailPoint;
use lockstep::notify::{EventType, Notification, NotificationId};
use lockstep::sandbox::receiver::Receiver;
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
    let mut first = world.start(&Start::default());
    assert!(first.terminate().success(), "{}", first.log());

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

const SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

/// What a person does about one endpoint, `log`, of a running daemon.
struct Hands<'w> {
    world: &'w World,
    daemon: &'w Daemon,
    receiver: &'w Receiver,
}

impl Hands<'_> {
    /// A command's JSON.
    fn notify(&self, arguments: &[&str]) -> serde_json::Value {
        let arguments: Vec<&str> = std::iter::once("notify")
            .chain(arguments.iter().copied())
            .collect();
        self.world.json(&arguments)
    }

    /// The exit code of a command, and all that it said.
    fn says(&self, arguments: &[&str]) -> (i32, String) {
        let arguments: Vec<&str> = std::iter::once("notify")
            .chain(arguments.iter().copied())
            .collect();
        let (code, out, err) = run(&self.world.config, &arguments);
        (code, out + &err)
    }

    /// The deliveries in a state, once there are so many.
    async fn deliveries(&self, state: &str, count: usize) -> Vec<serde_json::Value> {
        until(
            &format!("{count} deliveries are {state}"),
            || {
                let rows = self.notify(&["deliveries", "--endpoint", "log", "--state", state]);
                let rows = rows.as_array().expect("a list").clone();
                (rows.len() == count).then_some(rows)
            },
            || self.daemon.log(),
        )
        .await
    }

    /// Waits until this event was taken so often.
    async fn taken(&self, id: &str, times: u64) {
        until(
            &format!("{id} is taken {times} times"),
            || {
                let told = self.receiver.told();
                (told.get(id).map_or(0, |told| told.times) == times).then_some(())
            },
            || self.daemon.log(),
        )
        .await;
    }
}

fn id_of(delivery: &serde_json::Value) -> String {
    delivery["id"].to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deliveries_are_looked_after_by_commands() {
    let world = World::new(Database::Sqlite).await;
    let receiver = Receiver::start(SECRET).await.expect("the receiver starts");
    let mut text = std::fs::read_to_string(&world.config).expect("it was just written");
    let table = format!(
        "[notify]\nallow_networks = ['127.0.0.1']\n[notify.endpoints.log]\nallow_http = true\nevents = ['run.*']\n\
         url = '{}'\nsecrets = ['{SECRET}']\nretry = {{ max_attempts = 1 }}\n",
        receiver.url()
    );
    text.push_str(&table);
    std::fs::write(&world.config, text).expect("it can be written");
    let mut daemon = world.start(&Start::default());
    {
        let hands = Hands {
            world: &world,
            daemon: &daemon,
            receiver: &receiver,
        };
        assert_eq!(hands.notify(&["test", "log"])["taken"], true);
        assert_eq!(receiver.told().len(), 1, "the test");

        // What comes while it is paused waits, and can be given up.
        let paused = hands.notify(&["pause", "log", "--reason", "moving house"]);
        assert_eq!(
            (&paused["result"], &paused["paused"]),
            (&"done".into(), &true.into())
        );
        assert!(hands.says(&["list"]).1.contains("paused"));
        let first = commit(&world).await;
        hands.deliveries("waiting", 1).await;
        assert_eq!(hands.notify(&["cancel", "log"])["cancelled"], 1);
        let given_up = hands.deliveries("cancelled", 1).await;
        assert_eq!(given_up[0]["notification"], first.as_str());

        // What waits goes out when it goes on.
        let second = commit(&world).await;
        hands.deliveries("waiting", 1).await;
        assert_eq!(hands.notify(&["resume", "log"])["result"], "done");
        hands.taken(&second, 1).await;
        let delivered = hands.deliveries("delivered", 1).await;
        let story = hands.notify(&["show", &id_of(&delivered[0])]);
        assert_eq!(story["row"]["notification"], second.as_str(), "{story}");
        assert_eq!(story["tries"][0]["status"], 204, "{story}");
        let (code, told) = hands.says(&["show", &id_of(&delivered[0])]);
        assert_eq!(code, 0, "{told}");
        assert!(told.contains("try 1") && told.contains("taken"), "{told}");

        // What is refused is kept, and says why; what the receiver says does not steer the terminal.
        receiver.answer(500, "\u{1b}[2Jout of order");
        let third = commit(&world).await;
        let failed = hands.deliveries("failed", 1).await;
        assert_eq!(failed[0]["status"], 500);
        for arguments in [
            &["deliveries", "--state", "failed"][..],
            &["show", &id_of(&failed[0])],
            &["test", "log"],
        ] {
            let (code, told) = hands.says(arguments);
            assert_eq!(code, i32::from(arguments[0] == "test"), "{told}");
            assert!(told.contains("500") && !told.contains('\u{1b}'), "{told:?}");
            assert_eq!(
                told.contains("[2Jout of order"),
                arguments[0] != "deliveries",
                "{told:?}"
            );
        }

        // All that failed, one, and all of a time.
        receiver.answer(204, "");
        assert_eq!(
            hands.notify(&["redeliver", "--endpoint", "log", "--failed"])["count"],
            1
        );
        hands.taken(&third, 1).await;
        assert_eq!(hands.notify(&["redeliver", &id_of(&delivered[0])])["count"], 1);
        hands.taken(&second, 2).await;
        hands.deliveries("delivered", 2).await;
        let range = hands.notify(&["redeliver", "--endpoint", "log", "--since", "2020-01-01"]);
        assert_eq!(range["count"], 3, "{range}");
        for (id, times) in [(&first, 1), (&second, 3), (&third, 2)] {
            hands.taken(id, times).await;
        }

        for (arguments, code, says) in [
            (&["redeliver", "4711"][..], 1, "no such delivery"),
            (&["show", "4711"], 1, "no delivery 4711"),
            (&["pause", "lgo"], 2, "did you mean `log`?"),
            (&["cancel", "lgo"], 2, "did you mean `log`?"),
            (&["resume", "log"], 0, "active already"),
        ] {
            let told = hands.says(arguments);
            assert_eq!(told.0, code, "{arguments:?}: {told:?}");
            assert!(told.1.contains(says), "{arguments:?}: {told:?}");
        }
    }
    assert!(daemon.terminate().success(), "{}", daemon.log());
    assert!(receiver.refused().is_empty(), "every signature was right");
}

/// What a receiver was sent.
type Bodies = Arc<Mutex<Vec<String>>>;

async fn keep(State(bodies): State<Bodies>, body: String) {
    bodies.lock().expect("not poisoned").push(body);
}
