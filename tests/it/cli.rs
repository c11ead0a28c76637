//! The commands as a shell sees them: exit codes, data on stdout, everything else on stderr.

use std::net::TcpStream;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::daemon::{Start, run};
use crate::support::world::{Database, World};

/// A folder with a configuration whose two systems nobody answers for.
struct Place {
    folder: TempDir,
}

impl Place {
    fn new() -> Self {
        let place = Self {
            folder: tempfile::tempdir().expect("a temporary folder"),
        };
        place.write("lockstep.toml", CONFIG);
        place
    }

    fn config(&self) -> PathBuf {
        self.folder.path().join("lockstep.toml")
    }

    fn write(&self, file: &str, text: &str) {
        let path = self.folder.path().join(file);
        std::fs::create_dir_all(path.parent().expect("it is in the folder")).expect("a folder can be made");
        std::fs::write(path, text).expect("a file can be written");
    }

    fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        run(&self.config(), arguments)
    }

    /// The JSON that a command prints, which ends with this code.
    fn json(&self, arguments: &[&str], expected: i32) -> Value {
        let (code, out, err) = self.run(&[arguments, &["--json"]].concat());
        assert_eq!(code, expected, "{arguments:?}: {out}{err}");
        serde_json::from_str(&out)
            .unwrap_or_else(|error| panic!("{arguments:?} printed no JSON ({error}): {out}{err}"))
    }
}

const CONFIG: &str = r#"[http]
listen = "127.0.0.1:0"
public_url = "https://sync.example.com"
[admin]
listen = "127.0.0.1:0"
[shops.main]
domain = "main-store.myshopify.com"
access_token = "token"
webhook_secrets = ["secret"]
base_url = "http://127.0.0.1:9"
[shops.main.odoo]
url = "http://127.0.0.1:9"
database = "prod"
login = "connector@example.com"
api_key = "key"
[shops.main.sync]
orders = { in = "on" }
"#;

#[test]
fn exit_codes_say_whether_it_could_begin_and_how_it_ended() {
    let good = Place::new();
    let broken = Place::new();
    broken.write("lockstep.toml", &CONFIG.replace("\"on\"", "\"onn\""));
    let mapping = Place::new();
    mapping.write(
        "lockstep.toml",
        &format!("{CONFIG}[mappings]\ndir = \"mappings\"\n"),
    );
    mapping.write("mappings/order.in.toml", "version = 1\nnonsense");
    let absent = Place::new();
    std::fs::remove_file(absent.config()).expect("it can be removed");
    // What is asked, its exit code, whether data comes on stdout, and what stderr says.
    for (place, arguments, expected, data, said) in [
        (&good, &["check"][..], 0, true, ""),
        (&good, &["status"], 0, true, ""),
        (&good, &["jobs", "list"], 0, true, ""),
        (&good, &["check", "--live"], 1, true, "failed"),
        (&good, &["jobs", "show", "7"], 1, false, "7"),
        (&good, &["jobs", "retry", "7"], 1, true, ""),
        (&good, &["jobs", "discard", "7", "--reason", "x"], 1, false, "7"),
        (&good, &["statsu"], 2, false, "status"),
        (&good, &["jobs", "discard", "7"], 2, false, "--reason"),
        (
            &good,
            &["sync", "order", "1", "--shop", "other"],
            2,
            false,
            "no shop `other`",
        ),
        (
            &good,
            &["check", "--live", "--shop", "other"],
            2,
            false,
            "no shop `other`",
        ),
        (&broken, &["check"], 2, false, "not one of: on, off, paused"),
        (&broken, &["serve"], 2, false, "not one of: on, off, paused"),
        (&broken, &["status"], 2, false, "not one of: on, off, paused"),
        (&mapping, &["check"], 2, false, "order.in.toml:2"),
        (&mapping, &["serve"], 2, false, "order.in.toml:2"),
        (&mapping, &["preview", "order", "1"], 2, false, "order.in.toml:2"),
        (&absent, &["check"], 2, false, "lockstep init"),
        (&absent, &["serve"], 2, false, "lockstep init"),
        (&absent, &["migrate"], 2, false, "lockstep init"),
    ] {
        let (code, out, err) = place.run(arguments);
        assert_eq!(code, expected, "{arguments:?}: {out}{err}");
        assert!(data || out.is_empty(), "{arguments:?} wrote to stdout: {out}");
        assert!(
            !data || !out.trim().is_empty(),
            "{arguments:?} wrote nothing to stdout"
        );
        assert!(err.contains(said), "{arguments:?}: {err}");
        assert_eq!(err.trim().is_empty(), said.is_empty(), "{arguments:?}: {err}");
    }
}

#[test]
fn check_prints_json_whatever_is_wrong() {
    let place = Place::new();
    let right = place.json(&["check"], 0);
    assert_eq!(
        (&right["ok"], right["config"].as_array().map(Vec::len)),
        (&Value::Bool(true), Some(0))
    );

    place.write("lockstep.toml", &CONFIG.replace("\"on\"", "\"onn\""));
    let broken = place.json(&["check"], 2);
    assert_eq!(broken["ok"], false);
    assert_eq!(
        (&broken["config"][0]["line"], &broken["config"][0]["level"]),
        (&17.into(), &"error".into())
    );

    place.write(
        "lockstep.toml",
        &format!("{CONFIG}[mappings]\ndir = \"mappings\"\n"),
    );
    place.write("mappings/order.in.toml", "version = 1\nnonsense");
    let mapping = place.json(&["check"], 2);
    assert_eq!(
        (&mapping["ok"], &mapping["mappings"][0]["line"]),
        (&Value::Bool(false), &2.into())
    );

    std::fs::remove_file(place.config()).expect("it can be removed");
    let absent = place.json(&["check"], 2);
    assert_eq!(absent["ok"], false);
    let message = absent["config"][0]["message"].as_str().unwrap_or_default();
    assert!(message.contains("cannot read the configuration"), "{absent}");
}

#[test]
fn init_writes_what_can_be_begun_with_and_overwrites_nothing() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let config = folder.path().join("lockstep.toml");
    let (code, out, err) = run(&config, &["init"]);
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    assert!(
        out.contains("lockstep.toml") && out.contains("lockstep check --live"),
        "{out}"
    );
    let written = std::fs::read_to_string(&config).expect("it was written");
    let schema = std::fs::read_to_string(folder.path().join("lockstep.schema.json")).expect("it was written");
    assert!(
        serde_json::from_str::<Value>(&schema).is_ok_and(|schema| schema["properties"]["shops"].is_object())
    );
    // All that is missing are the variables that it names.
    let (code, _, err) = run(&config, &["check"]);
    assert_eq!(code, 2);
    for line in err.lines().filter(|line| line.contains('×')) {
        assert!(line.contains("environment variable"), "{err}");
    }

    let (code, out, err) = run(&config, &["init"]);
    assert_eq!((code, out.as_str()), (1, ""), "{err}");
    assert!(err.contains("is there already"), "{err}");
    assert_eq!(
        std::fs::read_to_string(&config).expect("it is still there"),
        written
    );

    let other = folder.path().join("other.toml");
    let (code, out, _) = run(&other, &["init", "--json"]);
    let told: Value = serde_json::from_str(&out).expect("it prints JSON");
    assert_eq!(code, 0);
    assert!(
        Path::new(told["config"].as_str().expect("it names the file")).exists(),
        "{told}"
    );
}

#[test]
fn migrate_tells_what_it_would_do_what_it_did_and_that_nothing_is_left() {
    let place = Place::new();
    let numbers = |report: &Value, list: &str| -> Vec<i64> {
        let names = report[list]
            .as_array()
            .unwrap_or_else(|| panic!("{list}: {report}"));
        names.iter().filter_map(|name| name["version"].as_i64()).collect()
    };
    let all = |report: &Value| {
        (
            numbers(report, "applied"),
            numbers(report, "applied_now"),
            numbers(report, "pending"),
        )
    };
    let before = place.json(&["migrate", "--dry-run"], 0);
    let pending = numbers(&before, "pending");
    assert!(!pending.is_empty(), "{before}");
    assert_eq!(all(&before), (vec![], vec![], pending.clone()));
    assert_eq!(
        place.json(&["migrate", "--dry-run"], 0),
        before,
        "nothing was done"
    );
    let done = place.json(&["migrate"], 0);
    assert_eq!(all(&done), (vec![], pending.clone(), vec![]));
    let after = place.json(&["migrate"], 0);
    assert_eq!(all(&after), (pending, vec![], vec![]));
    let (code, out, err) = place.run(&["migrate"]);
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    assert!(out.contains("up to date"), "{out}");
}

#[test]
fn a_discarded_job_keeps_its_reason_and_is_closed_once() {
    let place = Place::new();
    let asked = place.json(&["sync", "product", "77"], 0);
    let job = asked["job"].to_string();
    let (code, out, err) = place.run(&["jobs", "discard", &job, "--reason", "sold elsewhere"]);
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    let story = place.json(&["jobs", "show", &job], 0).to_string();
    assert!(
        story.contains("discarded") && story.contains("sold elsewhere"),
        "{story}"
    );
    let (code, out, err) = place.run(&["jobs", "discard", &job, "--reason", "again"]);
    assert_eq!((code, out.as_str()), (1, ""), "{err}");
    assert!(!err.is_empty());
    let listed = place
        .json(&["jobs", "list", "--state", "discarded"], 0)
        .to_string();
    assert!(listed.contains("sold elsewhere"), "{listed}");
    // Whoever wants it after all gets a new job.
    let again = place.json(&["sync", "product", "77"], 0);
    assert_ne!(again["job"], asked["job"]);
}

#[test]
fn a_record_of_the_erp_is_carried_over_by_its_number_there() {
    let place = Place::new();
    let asked = place.json(&["sync", "inventory", "17", "--out"], 0);
    let job = asked["job"].to_string();
    // What somebody holds back stays held.
    let (code, _, err) = place.run(&["jobs", "hold", &job, "--reason", "they count"]);
    assert_eq!(code, 0, "{err}");
    let (code, _, err) = place.run(&["sync", "inventory", "17", "--out"]);
    assert!(
        code != 0 && err.contains("lockstep jobs release"),
        "{code}: {err}"
    );
    let (code, _, err) = place.run(&["jobs", "release", &job]);
    assert_eq!(code, 0, "{err}");
    assert_eq!(
        (&asked["object"], &asked["direction"], &asked["id"]),
        (&"inventory".into(), &"out".into(), &17.into())
    );
    let again = place.json(&["sync", "inventory", "17", "--out"], 0);
    assert_eq!(again["job"], asked["job"]);
    for (arguments, said) in [
        (&["sync", "inventory", "17"][..], "add --out"),
        (
            &["sync", "order", "17", "--out"],
            "orders go from the shop to the ERP",
        ),
        (
            &["sync", "order", "all", "--out", "--yes"],
            "orders go from the shop to the ERP",
        ),
        (
            &["sync", "product", "0", "--out"],
            "is no number of a record in the ERP",
        ),
        (
            &["sync", "product", "#17", "--out"],
            "is no number of a record in the ERP",
        ),
        // Nobody is there to say yes.
        (&["sync", "product", "all", "--out"], "add --yes"),
        (&["sync", "product", "17", "--yes"], "--out"),
        (
            &["preview", "inventory", "17"],
            "stock goes from the ERP to the shop",
        ),
    ] {
        let (code, out, err) = place.run(arguments);
        assert_eq!((code, out.as_str()), (2, ""), "{arguments:?}: {err}");
        assert!(err.contains(said), "{arguments:?}: {err}");
    }
}

#[test]
fn completions_are_scripts_for_the_shell_that_is_named() {
    let nowhere = Path::new("/nowhere/lockstep.toml");
    for (shell, mark) in [
        ("bash", "complete -F"),
        ("zsh", "#compdef lockstep"),
        ("fish", "complete -c lockstep"),
    ] {
        let (code, out, err) = run(nowhere, &["completions", shell]);
        assert_eq!((code, err.as_str()), (0, ""), "{shell}");
        for part in [mark, "check", "discard"] {
            assert!(out.contains(part), "{shell}: {part}");
        }
    }
    let (code, out, err) = run(nowhere, &["completions", "tcsh"]);
    assert_eq!((code, out.as_str()), (2, ""));
    assert!(err.contains("bash"), "{err}");
}

#[test]
fn looking_at_a_shop_decides_nothing_about_its_orders() {
    let place = Place::new();
    let since = |place: &Place| place.json(&["status"], 0)["shops"][0]["start_at"].clone();
    let first = since(&place);
    let second = (0..50).map(|_| since(&place)).find(|start| *start != first);
    assert!(
        second.is_some(),
        "the first look set the time from which orders are booked: {first}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sound_installation_passes_check_live_down_to_currency_language_and_webhooks() {
    let world = World::new(Database::Sqlite).await;
    publish(&world);
    let (code, out, err) = run(&world.config, &["check", "--live", "--json"]);
    let report: Value = serde_json::from_str(&out).unwrap_or_else(|_| panic!("no JSON: {out}{err}"));
    assert_eq!(code, 0, "{report:#}");
    let rows: Vec<&Value> = report["live"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|part| part["rows"].as_array())
        .flatten()
        .collect();
    let row = |what: &str| {
        rows.iter()
            .find(|row| row["what"] == what)
            .unwrap_or_else(|| panic!("no row {what}: {report:#}"))
    };
    let ledger = world.shop.ledger();
    assert!(ledger.orders.is_empty(), "nothing was written");
    // The shop's own currency, and the API user's own language.
    assert_ne!(row("ERP currency EUR")["outcome"], "failed");
    assert_eq!(row("ERP language en_US")["outcome"], "ok");
    assert_eq!(row("ERP rights on product.attribute")["outcome"], "ok");
    assert_eq!(row("ERP service for shipping")["outcome"], "ok");
    assert_eq!(row("Shopify scopes")["outcome"], "ok");
    assert_eq!(row("public_url")["outcome"], "warning");
    assert_eq!(row("ERP fields of res.partner")["outcome"], "ok");
    let webhooks = row("Shopify webhooks")["note"].as_str().unwrap_or_default();
    let address = format!("http://127.0.0.1:{}/webhooks/shopify", world.http_port);
    assert!(
        webhooks.contains(&address) && webhooks.contains("refunds/create"),
        "{webhooks}"
    );
    let (code, out, err) = run(&world.config, &["check", "--live"]);
    assert_eq!(code, 0, "{out}{err}");
    assert!(
        !out.contains("all checks passed") && out.contains("no check failed"),
        "{out}"
    );
}

/// Declares where the world's daemon is reached from outside: at its own address.
fn publish(world: &World) {
    let text = std::fs::read_to_string(&world.config).expect("the configuration can be read");
    let listen = format!("listen = \"127.0.0.1:{}\"\n", world.http_port);
    let public = format!("{listen}public_url = \"http://127.0.0.1:{}\"\n", world.http_port);
    let changed = text.replacen(&listen, &public, 1);
    assert_ne!(changed, text);
    std::fs::write(&world.config, changed).expect("the configuration can be written");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_running_daemon_is_recognised_whatever_shops_are_declared() {
    let world = World::new(Database::Sqlite).await;
    publish(&world);
    let daemon = world.start(&Start::default());
    for address in [&daemon.http, &daemon.admin] {
        assert!(
            TcpStream::connect(address).is_ok(),
            "{address} of the ready line takes connections"
        );
    }
    // The same store, with a shop that comes first.
    let text = std::fs::read_to_string(&world.config).expect("the configuration can be read");
    let other = world.folder.path().join("other.toml");
    let first = "\n[shops.aaa]\ndomain = \"aaa.myshopify.com\"\naccess_token = \"a\"\nwebhook_secrets = [\"b\"]\n\
                 [shops.aaa.odoo]\nurl = \"http://127.0.0.1:9\"\ndatabase = \"d\"\nlogin = \"l\"\napi_key = \"k\"\n";
    std::fs::write(&other, text + first).expect("the configuration can be written");
    let (_, out, err) = run(&other, &["check", "--live", "--shop", "main"]);
    assert!(
        out.contains("the running daemon answered through it"),
        "{out}{err}"
    );
}
