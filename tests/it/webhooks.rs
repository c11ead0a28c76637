//! The subscriptions on Shopify follow the configuration file: with the daemon, killed in the middle, and by hand.

use lockstep::failpoint::FailPoint;
use lockstep::sandbox::shopify::webhook::Subscription;
use serde_json::Value;

use crate::support::daemon::{Daemon, Start, run};
use crate::support::world::{Database, World, until};

/// What the toggles of a [`World`] ask for.
const ALL: usize = 16;

/// A world whose subscriptions lockstep makes itself. Nothing is declared in the app's configuration.
async fn world(database: Database) -> World {
    let world = World::new(database).await;
    let declared: Vec<u64> = world
        .shop
        .read(|shop| shop.subscriptions().iter().map(|one| one.id).collect());
    world.shop.change(|shop| {
        for id in declared {
            shop.unregister(id);
        }
    });
    let text = std::fs::read_to_string(&world.config).expect("it was just written");
    let public_url = format!("[http]\npublic_url = \"http://127.0.0.1:{}\"\n", world.http_port);
    std::fs::write(&world.config, text.replacen("[http]\n", &public_url, 1)).expect("it can be written");
    world
}

fn registered(world: &World) -> Vec<Subscription> {
    world.shop.read(|shop| shop.subscriptions().to_vec())
}

/// The topics that are registered, in alphabetical order.
fn topics(world: &World) -> Vec<String> {
    let mut topics: Vec<String> = registered(world).into_iter().map(|one| one.topic).collect();
    topics.sort();
    topics
}

fn is_one_each(world: &World) {
    let topics = topics(world);
    let mut once = topics.clone();
    once.dedup();
    assert_eq!(topics, once);
}

async fn settled(world: &World, daemon: &Daemon) {
    until(
        "every subscription is registered",
        || (registered(world).len() >= ALL).then_some(()),
        || format!("{:?}\n{}", topics(world), daemon.log()),
    )
    .await;
}

/// What `webhooks plan` says must be done.
fn changes(world: &World) -> usize {
    let (code, out, err) = run(&world.config, &["webhooks", "plan", "--json"]);
    let report: Value = serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}{err}"));
    let lines = report["shops"][0]["lines"].as_array().expect("a plan has lines");
    let changes = lines
        .iter()
        .filter(|line| ["create", "update", "adopt", "delete"].contains(&line["kind"].as_str().unwrap_or("")))
        .count();
    assert_eq!(code, if changes > 0 { 2 } else { 0 }, "{out}{err}");
    changes
}

async fn killed(database: Database, action: &str) {
    let world = world(database).await;
    let start = Start {
        // Four are under way at once: the third of them is made, some are not answered.
        fail: Some(format!("{}:3={action}", FailPoint::SubscriptionCreated)),
        ..Start::default()
    };
    let mut made = 0;
    match Daemon::try_start(&world.config, &start) {
        Ok(mut daemon) => {
            if action == "abort" {
                daemon.wait();
            } else {
                until(
                    "the point is reached",
                    || daemon.has_struck(FailPoint::SubscriptionCreated).then_some(()),
                    || daemon.log(),
                )
                .await;
                daemon.kill();
            }
            made = registered(&world).len();
        }
        // It died before it said that it is ready.
        Err(log) => assert!(action == "abort" && log.contains("fail point struck"), "{log}"),
    }
    assert!(made < ALL, "it was killed in the middle");
    // The dead one's right to change something ends with it, long before its time.
    let mut daemon = world.start(&Start::default());
    settled(&world, &daemon).await;
    until(
        "nothing is left to do",
        || (changes(&world) == 0).then_some(()),
        || daemon.log(),
    )
    .await;
    is_one_each(&world);
    assert!(daemon.terminate().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_in_the_middle_of_registering_on_sqlite_one_of_each_is_there() {
    killed(Database::Sqlite, "abort").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_in_the_middle_of_registering_on_postgres_one_of_each_is_there() {
    killed(Database::Postgres, "abort").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_while_it_hangs_in_the_middle_of_registering_one_of_each_is_there() {
    killed(Database::Sqlite, "hang").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_commands_plan_apply_list_adopt_and_remove() {
    let world = world(Database::Sqlite).await;
    let told = |arguments: &[&str], expected: i32| {
        let (code, out, err) = run(&world.config, &[&["webhooks"], arguments].concat());
        assert_eq!(code, expected, "{arguments:?}: {out}{err}");
        format!("{out}{err}")
    };
    let plan = told(&["plan"], 2);
    assert!(
        plan.contains("+ create") && plan.contains("orders/create") && plan.contains("16 to create"),
        "{plan}"
    );
    assert!(registered(&world).is_empty(), "a plan changes nothing");
    let refused = told(&["apply"], 2);
    assert!(refused.contains("--yes"), "{refused}");
    assert!(registered(&world).is_empty());
    let applied = told(&["apply", "--yes"], 0);
    assert!(applied.contains("16 done; 16 stand as wanted."), "{applied}");
    is_one_each(&world);
    assert_eq!(changes(&world), 0);
    assert!(told(&["apply", "--yes"], 0).contains("Nothing to do: 16 as wanted."));

    let list: Value = serde_json::from_str(&told(&["list", "--json"], 0)).expect("it is JSON");
    let rows = list[0]["rows"].as_array().expect("a list has rows");
    assert_eq!(rows.len(), 16);
    assert!(rows.iter().all(|row| row["status"] == "unproven"), "{rows:?}");
    assert!(told(&["list"], 0).contains("unproven"));

    // One of another installation at our address, in the place of one of ours.
    let paid = registered(&world)
        .into_iter()
        .find(|one| one.topic == "ORDERS_PAID")
        .expect("it stands");
    let theirs = world.shop.change(|shop| {
        shop.unregister(paid.id);
        shop.register_through_api(
            "ORDERS_PAID",
            &paid.uri,
            Some("lockstep-ffffffff-orders_paid"),
            None,
        )
    });
    let plan = told(&["plan"], 0);
    assert!(
        plan.contains(&format!("lockstep webhooks adopt {theirs}")),
        "{plan}"
    );
    assert!(told(&["adopt", "4711", "--yes"], 1).contains("no subscription 4711"));
    told(&["adopt", &theirs.to_string(), "--yes"], 0);
    let adopted = registered(&world)
        .into_iter()
        .find(|one| one.id == theirs)
        .expect("it stands");
    assert_eq!(adopted.name, paid.name);

    assert!(told(&["apply", "--remove-shop", "other", "--yes"], 2).contains("no shop `other`"));
    let removed = told(&["apply", "--remove-shop", "main", "--yes"], 0);
    assert!(removed.contains("take [shops.main] out"), "{removed}");
    assert!(registered(&world).is_empty());
    // A daemon with the same configuration leaves it at that.
    let mut daemon = world.start(&Start::default());
    until(
        "it has looked",
        || daemon.log().contains("they stay away").then_some(()),
        || daemon.log(),
    )
    .await;
    assert!(daemon.terminate().success());
    assert!(registered(&world).is_empty());
    told(&["apply", "--yes"], 0);
    assert_eq!(registered(&world).len(), ALL);
}
