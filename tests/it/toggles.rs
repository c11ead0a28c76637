//! Toggles, from a person's hand to the ERP: the command, the file, the daemon.

use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use lockstep::sandbox::shopify::draft::{Buyer, OrderPatch};

use crate::support::daemon::{Daemon, Start, run};
use crate::support::world::{Database, World, attempts, rows, until};

/// How often the daemon has taken a changed configuration up.
fn taken(daemon: &Daemon) -> usize {
    daemon.log().matches("took the changed configuration").count()
}

async fn takes(daemon: &Daemon, times: usize) {
    until(
        "the configuration is taken",
        || (taken(daemon) >= times).then_some(()),
        || daemon.log(),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pause_loses_nothing_and_makes_one_job_of_each_order() {
    let world = World::new(Database::Sqlite).await;
    let daemon = world.start(&Start::default());
    let variants = world.product();
    let customer = world.customer("ada@example.com");
    world.idle(&daemon).await;
    let toggle = |state: &str| world.json(&["toggle", "orders", "in", state, "--shop", "main"]);
    let saved = Instant::now();
    let printed = toggle("paused");
    assert_eq!(
        (&printed["written"], &printed["before"]),
        (&true.into(), &"on".into())
    );
    takes(&daemon, 1).await;
    assert!(saved.elapsed() < Duration::from_secs(30), "{:?}", saved.elapsed());

    let orders: Vec<(u64, String)> = (0..5)
        .map(|_| world.order(Buyer::Customer(customer), variants[0]))
        .collect();
    for (id, _) in &orders {
        world.shop.change(|shop| {
            let patch = OrderPatch {
                note: Some("more".into()),
                ..OrderPatch::default()
            };
            shop.patch_order(*id, patch).expect("the shop takes it");
        });
    }
    world.shop.settle().await;
    let waiting = rows(&world.json(&["jobs", "list", "--object", "order"]));
    assert_eq!(waiting.len(), 5, "{waiting:?}");
    for job in &waiting {
        assert_eq!(job["state"], "available", "{job}");
        assert!(job["events"].as_u64() >= Some(2), "{job}");
    }
    assert!(
        orders
            .iter()
            .all(|(_, name)| world.erp.ledger().orders_by_reference(name).is_empty())
    );

    toggle("on");
    for (_, name) in &orders {
        world.booked(name, "sale", &daemon).await;
    }
    world.idle(&daemon).await;
    let stories = world.stories(&["--object", "order"]);
    assert_eq!(stories.len(), 5, "one job for each order");
    for story in &stories {
        assert_eq!(attempts(story, "completed").len(), 1, "{story}");
    }

    // Off: what comes is answered and recorded.
    toggle("off");
    takes(&daemon, 3).await;
    let (_, name) = world.order(Buyer::Customer(customer), variants[0]);
    world.idle(&daemon).await;
    assert_eq!(world.stories(&["--object", "order"]).len(), 5);
    assert!(world.erp.ledger().orders_by_reference(&name).is_empty());
    let deliveries = world.shop.ledger().deliveries;
    assert!(
        deliveries
            .iter()
            .flat_map(|delivery| &delivery.attempts)
            .all(|answer| *answer == Some(200)),
        "late deliveries are answered 200"
    );
    let status = world.json(&["status"]);
    assert_eq!(status["revision"]["is_this_one"], true, "{status}");
    assert_eq!(rows(&status["nodes"]).len(), 1, "{status}");
    assert_eq!(status["nodes"][0]["is_newest"], true, "{status}");
    let kept: Vec<String> = rows(&world.json(&["audit", "--action", "toggle"]))
        .iter()
        .map(|row| format!("{} {}", row["via"], row["detail"]["after"]))
        .collect();
    assert_eq!(kept, [r#""cli" "off""#, r#""cli" "on""#, r#""cli" "paused""#]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hang_up_takes_the_files_up_at_once_and_a_mistake_is_told() {
    let world = World::new(Database::Sqlite).await;
    let daemon = world.start(&Start::default());
    // Nothing has changed: only the signal can be the reason.
    daemon.hang_up();
    takes(&daemon, 1).await;
    let revision = world.json(&["status"])["revision"]["id"].clone();
    let good = std::fs::read_to_string(&world.config).expect("it can be read");
    std::fs::write(&world.config, good.replace("orders = { in", "orders = { inn"))
        .expect("it can be written");
    daemon.hang_up();
    until(
        "the mistake is logged with its place",
        || {
            let log = daemon.log();
            (log.contains("the changed files are not taken") && log.contains("unknown key `inn`"))
                .then_some(())
        },
        || daemon.log(),
    )
    .await;
    assert_eq!(taken(&daemon), 1);
    std::fs::write(&world.config, &good).expect("it can be written");
    daemon.hang_up();
    takes(&daemon, 2).await;
    assert_eq!(
        world.json(&["status"])["revision"]["id"],
        revision,
        "nothing of it is new"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_of_a_file_that_the_daemon_does_not_run_change_nothing_on_the_shop() {
    let world = World::new(Database::Sqlite).await;
    let text = std::fs::read_to_string(&world.config).expect("it can be read");
    let text = text.replace("[http]\n", "[http]\npublic_url = \"http://127.0.0.1:9\"\n");
    std::fs::write(&world.config, text).expect("it can be written");
    let mut daemon = world.start(&Start::default());
    until(
        "nothing is left to do",
        || (run(&world.config, &["webhooks", "plan"]).0 == 0).then_some(()),
        || daemon.log(),
    )
    .await;
    let other = world.config.with_file_name("other.toml");
    let text = std::fs::read_to_string(&world.config).expect("it can be read");
    let text = text.replace("orders = { in = \"on\"", "orders = { in = \"paused\"");
    std::fs::write(&other, text).expect("it can be written");
    let before = world.json(&["webhooks", "list"]);
    for arguments in [
        &["webhooks", "apply", "--yes"][..],
        &["webhooks", "adopt", "7", "--yes"],
        &["webhooks", "apply", "--remove-shop", "main", "--yes"],
    ] {
        let (code, out, err) = run(&other, arguments);
        assert_eq!((code, out.as_str()), (1, ""), "{arguments:?}: {err}");
        assert!(err.contains("acts on another configuration"), "{err}");
    }
    assert_eq!(run(&other, &["webhooks", "plan"]).0, 0, "looking is free");
    assert_eq!(
        rows(&world.json(&["webhooks", "list"])).len(),
        rows(&before).len()
    );
    // Nobody runs the other one, and nobody runs anything.
    daemon.terminate();
    let (code, _, err) = run(&other, &["webhooks", "apply", "--yes"]);
    assert_eq!(code, 0, "{err}");
    // Nobody moved anything, and without a yes the id stays.
    assert_eq!(run(&other, &["webhooks", "adopt", "--moved", "--yes"]).0, 2);
    assert_eq!(run(&other, &["webhooks", "new-instance"]).0, 2);
    let instance = world.json(&["webhooks", "new-instance", "--yes"])["instance"].clone();
    assert_eq!(instance.as_str().map(str::len), Some(8), "{instance}");
}

#[test]
fn toggle_says_what_it_did_and_what_it_could_not() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("lockstep.toml");
    let text = "[http]\npublic_url = \"https://sync.example.com\"\n[shops.main]\ndomain = \"main.myshopify.com\"\n\
                access_token = \"hunter2\"\nwebhook_secrets = [\"hunter2\"]\n[shops.main.odoo]\n\
                url = \"https://erp.example.com\"\ndatabase = \"d\"\nlogin = \"l\"\napi_key = \"hunter2\"\n\
                [shops.main.sync]   # ours\norders = { in = \"on\" }\n";
    let write = |text: &str| std::fs::write(&path, text).expect("it can be written");
    let read = || std::fs::read_to_string(&path).expect("it can be read");
    write(text);
    for (arguments, expected, out, err) in [
        (&["orders", "in", "on"][..], 0, "is \"on\" already", ""),
        (
            &["orders", "in", "paused"],
            0,
            "+orders = { in = \"paused\" }",
            "",
        ),
        (
            &["order", "in", "off", "--shop", "main"],
            0,
            "\"paused\" -> \"off\"",
            "",
        ),
        (&["orders", "in", "off"], 0, "already", ""),
        (&["orders", "out", "on"], 2, "", "an order is made in the shop"),
        (
            &["orders", "in", "on", "--shop", "other"],
            2,
            "",
            "no shop `other`",
        ),
        (&["orders", "both", "on"], 2, "", "possible values: in, out"),
        (&["ordres", "in", "on"], 2, "", "orders"),
        (&["orders", "in", "yes"], 2, "", "on, off, paused"),
    ] {
        let (code, said, complained) = run(&path, &[&["toggle"], arguments].concat());
        assert_eq!(code, expected, "{arguments:?}: {said}{complained}");
        assert!(said.contains(out), "{arguments:?}: {said}");
        assert!(complained.contains(err), "{arguments:?}: {complained}");
        assert!(
            !said.contains("hunter2") && !complained.contains("hunter2"),
            "{said}{complained}"
        );
    }
    assert_eq!(
        read(),
        text.replace("\"on\"", "\"off\""),
        "nothing else has changed"
    );

    // A file that may not be written: the difference on stdout, and nothing else there.
    let mut permissions = std::fs::metadata(&path).expect("it is there").permissions();
    permissions.set_mode(0o444);
    std::fs::set_permissions(&path, permissions).expect("it is ours");
    let (code, out, err) = run(&path, &["toggle", "orders", "in", "on"]);
    assert_eq!(code, 0, "{out}{err}");
    assert!(
        out.starts_with("--- ") && out.contains("\n+orders = { in = \"on\" }\n"),
        "{out}"
    );
    assert!(err.contains("was left as it is"), "{err}");
    assert_eq!(read(), text.replace("\"on\"", "\"off\""));
    let (code, out, _) = run(&path, &["toggle", "orders", "in", "on", "--json"]);
    let printed: serde_json::Value = serde_json::from_str(&out).expect("it is JSON");
    assert_eq!(
        (code, &printed["written"], &printed["changed"]),
        (0, &false.into(), &true.into())
    );
    assert!(printed["read_only"].is_string(), "{printed}");

    // A file that is wrong already is shown with its place.
    std::fs::remove_file(&path).expect("it can be removed");
    write(&text.replace("orders =", "ordres ="));
    let (code, out, err) = run(&path, &["toggle", "orders", "in", "off"]);
    assert!(
        code == 2 && out.is_empty() && err.contains("did you mean `orders`"),
        "{code} {out}{err}"
    );
}
