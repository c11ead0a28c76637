//! The ERP is polled as the toggles say, and Odoo's hint makes it sooner.

mod sweeps;

use serde_json::{Value, json};

use super::*;
use crate::domain::{Clock as _, Direction, Object};
use crate::poll::Hold;
use crate::sandbox::odoo::{Fault, OdooSandbox, Options, Rule, Version};
use crate::store::JobRow;
use crate::store::testing::TempPostgres;

const TOKEN: &str = "a-token-that-nobody-guesses";

/// An ERP, and a configuration that names it. Nobody listens where the shop should be.
struct Polled {
    erp: OdooSandbox,
    place: Place,
}

impl Polled {
    async fn new(version: Version) -> Self {
        Self {
            erp: OdooSandbox::start(Options::version(version)).await.unwrap(),
            place: Place::new(),
        }
    }

    /// Polls every second or every hour, with these toggles.
    fn write(&self, place: &Place, every: &str, sync: &str, store: &str) {
        let text = format!(
            r#"[http]
listen = "127.0.0.1:0"
[admin]
listen = "127.0.0.1:0"
{store}
[shops.main]
domain = "main-store.myshopify.com"
access_token = "token"
webhook_secrets = ["secret"]
base_url = "http://127.0.0.1:9"
time_zone = "Europe/Berlin"
runs = {{ full = "off" }}
[shops.main.odoo]
url = "{url}"
database = "prod"
login = "connector@example.com"
api_key = "{key}"
hint_token = "{TOKEN}"
poll = "{every}"
calls_per_second = 1000
[shops.main.sync]
{sync}
"#,
            url = self.erp.url(),
            key = self.erp.api_key(),
        );
        std::fs::write(place.path(), text).unwrap();
    }

    async fn start(&self, every: &str, sync: &str) -> Daemon {
        self.write(&self.place, every, sync, "");
        self.place.start(system_clock()).await.unwrap()
    }

    fn admin(&self, model: &str, method: &str, args: Value) -> Value {
        self.erp.as_admin(model, method, args, json!({})).unwrap()
    }

    fn partner(&self, name: &str) -> i64 {
        let made = self.admin(
            "res.partner",
            "create",
            json!([{"name": name, "customer_rank": 1}]),
        );
        made.as_i64().unwrap()
    }

    fn rename(&self, id: i64, name: &str) {
        self.admin("res.partner", "write", json!([[id], {"name": name}]));
    }
}

fn main() -> ShopName {
    "main".parse().unwrap()
}

/// Waits until the model is followed.
async fn followed(daemon: &Daemon, model: &str) {
    until("the first poll", async || {
        let cursor = daemon.store.poll_cursor(&main(), model).await.unwrap();
        cursor.is_some_and(|cursor| cursor.swept_at.is_some())
    })
    .await;
}

/// The jobs of the way back: object and record.
async fn out(daemon: &Daemon) -> Vec<(Object, String)> {
    let jobs: Vec<JobRow> = daemon.store.jobs(JobFilter::default()).await.unwrap();
    let out = jobs.into_iter().filter(|job| job.key.direction == Direction::Out);
    let mut out: Vec<_> = out.map(|job| (job.key.object, job.key.source_id)).collect();
    out.sort();
    out
}

async fn hint(daemon: &Daemon, token: &str) -> u16 {
    let client = client();
    let url = format!("http://{}/webhooks/odoo/main/{token}", daemon.http_addr);
    let body = json!({"_model": "res.partner", "_id": 1, "_action": "Tell lockstep"}).to_string();
    client.send(client.post(&url).body(body)).await.unwrap().status()
}

#[tokio::test]
async fn a_change_in_the_erp_is_a_job_within_one_poll() {
    for version in [Version::V18, Version::V19] {
        let polled = Polled::new(version).await;
        let ada = polled.partner("Ada");
        let daemon = polled
            .start(
                "1s",
                "customers = { out = 'paused' }\nproducts = { out = 'paused' }\ninventory = {}",
            )
            .await;
        for model in ["res.partner", "product.template", "product.product"] {
            followed(&daemon, model).await;
        }
        assert_eq!(out(&daemon).await, [], "what was there is no work");
        polled.rename(ada, "Ada L");
        let template = polled.admin("product.template", "create", json!([{"name": "Hat"}]));
        let expected = [
            (Object::Customer, ada.to_string()),
            (Object::Product, template.to_string()),
        ];
        until("both are jobs", async || out(&daemon).await == expected).await;
        // Paused: kept, not worked on.
        let jobs = daemon.store.jobs(JobFilter::default()).await.unwrap();
        assert!(
            jobs.iter().all(|job| job.state == JobState::Available),
            "{jobs:?}"
        );
        daemon.stop().await;
    }
}

#[tokio::test]
async fn switched_on_means_worked_on_and_off_means_from_now_on() {
    let polled = Polled::new(Version::V18).await;
    let ada = polled.partner("Ada");
    let daemon = polled.start("1s", "customers = { out = 'on' }").await;
    followed(&daemon, "res.partner").await;
    polled.rename(ada, "Ada L");
    until("the job is done", async || {
        let jobs = daemon.store.jobs(JobFilter::default()).await.unwrap();
        jobs.iter()
            .any(|job| !job.state.is_open() && job.key.source_id == ada.to_string())
    })
    .await;

    // As full runs note it.
    let noted = ["full:out:customer", "full:seen:customer"];
    for name in noted {
        let (at, now) = ("2026-01-01T00:00:00+00:00", Timestamp::from_millis(0));
        daemon.store.set_cursor(&main(), name, at, now).await.unwrap();
    }
    polled.write(&polled.place, "1s", "customers = { out = 'off' }", "");
    daemon.reload().await.unwrap();
    until("what was known is forgotten", async || {
        let cursor = daemon.store.poll_cursor(&main(), "res.partner").await.unwrap();
        let mut left = 0;
        for name in noted {
            let known = daemon.store.cursor(&main(), name).await.unwrap();
            left += known.map_or(0, |known| known.len());
        }
        cursor.is_none() && left == 0
    })
    .await;
    let missed = polled.partner("made while it was off");
    polled.rename(ada, "changed while it was off");
    polled.write(&polled.place, "1s", "customers = { out = 'paused' }", "");
    daemon.reload().await.unwrap();
    followed(&daemon, "res.partner").await;
    let eve = polled.partner("Eve");
    until("only what came afterwards", async || {
        out(&daemon).await.contains(&(Object::Customer, eve.to_string()))
    })
    .await;
    let all = out(&daemon).await;
    assert!(!all.contains(&(Object::Customer, missed.to_string())), "{all:?}");
    let adas = all.iter().filter(|(_, id)| *id == ada.to_string()).count();
    assert_eq!(adas, 1, "the job of before: {all:?}");
    daemon.stop().await;
}

#[tokio::test]
async fn a_hint_makes_it_sooner_and_a_wrong_token_does_not() {
    let polled = Polled::new(Version::V19).await;
    let ada = polled.partner("Ada");
    let daemon = polled.start("1h", "customers = { out = 'paused' }").await;
    followed(&daemon, "res.partner").await;
    polled.rename(ada, "Ada L");
    polled.erp.ledger().reset_calls();
    // Fewer than are too many from one address.
    for _ in 0..10 {
        assert_eq!(hint(&daemon, "a-token-that-somebody-guessed").await, 401);
    }
    // Many times as long as it takes to look what is due.
    for _ in 0..200 {
        get(daemon.http_addr, "/healthz").await;
    }
    assert_eq!(polled.erp.ledger().total_calls(), 0, "nothing is due for an hour");
    let began = std::time::Instant::now();
    assert_eq!(hint(&daemon, TOKEN).await, 202);
    until("it is a job at once", async || {
        out(&daemon).await == [(Object::Customer, ada.to_string())]
    })
    .await;
    // Ten times the claim.
    assert!(began.elapsed() < Duration::from_secs(20));
    let asked = polled.erp.ledger().calls();
    assert!(
        asked.keys().all(|call| call.starts_with("res.partner/")),
        "only what was hinted at is looked at: {asked:?}"
    );
    daemon.stop().await;
}

#[tokio::test]
async fn a_poll_that_fails_is_tried_again_and_misses_nothing() {
    let polled = Polled::new(Version::V18).await;
    let ada = polled.partner("Ada");
    let daemon = polled.start("1s", "customers = { out = 'paused' }").await;
    followed(&daemon, "res.partner").await;
    polled
        .erp
        .faults()
        .add(Rule::new(Fault::PostgresDown).model("res.partner").always());
    polled.erp.ledger().reset_calls();
    polled.rename(ada, "Ada L");
    until("some polls fail", async || {
        polled.erp.ledger().calls_of("res.partner", "search_read") >= 2
    })
    .await;
    assert_eq!(out(&daemon).await, []);
    polled.erp.faults().clear();
    until("it is a job once the ERP is back", async || {
        out(&daemon).await == [(Object::Customer, ada.to_string())]
    })
    .await;
    daemon.stop().await;
}

/// Needs PostgreSQL.
#[tokio::test]
async fn of_two_nodes_one_polls_and_either_takes_the_hint() {
    let database = TempPostgres::new().await;
    let polled = Polled::new(Version::V19).await;
    let ada = polled.partner("Ada");
    let store = format!("[store]\nurl = \"{}\"", database.url());
    let other = Place::new();
    for place in [&polled.place, &other] {
        polled.write(place, "1h", "customers = { out = 'paused' }", &store);
    }
    let first = polled.place.start(system_clock()).await.unwrap();
    followed(&first, "res.partner").await;
    let second = other.start(system_clock()).await.unwrap();
    until("the second node looks", async || second.is_newest()).await;
    polled.rename(ada, "Ada L");
    assert_eq!(hint(&second, TOKEN).await, 202);
    until("whoever polls was told", async || {
        out(&first).await == [(Object::Customer, ada.to_string())]
    })
    .await;
    second.stop().await;
    first.stop().await;
}

/// A product whose stock is counted: its variant.
fn stored(polled: &Polled) -> i64 {
    let hat = json!([{"name": "Hat", "is_storable": true}]);
    polled.admin("product.product", "create", hat).as_i64().unwrap()
}

/// The key of the job of a variant's stock: that of its product.
fn stock_of(polled: &Polled, variant: i64) -> String {
    let read = polled.admin("product.product", "read", json!([[variant], ["product_tmpl_id"]]));
    format!("product_{}", read[0]["product_tmpl_id"][0])
}

#[tokio::test]
async fn a_level_that_changes_is_a_job_of_the_variants_product() {
    for version in [Version::V18, Version::V19] {
        let polled = Polled::new(version).await;
        let (counted, other) = (stored(&polled), stored(&polled));
        for variant in [counted, other] {
            polled.erp.set_stock(variant, None, 3).unwrap();
        }
        let daemon = polled
            .start("1s", "products = {}\ninventory = { out = 'paused' }")
            .await;
        followed(&daemon, "stock.quant").await;
        assert_eq!(out(&daemon).await, [], "what was there is no work");
        polled.erp.set_stock(counted, None, 5).unwrap();
        let expected = [(Object::Inventory, stock_of(&polled, counted))];
        until("it is a job", async || out(&daemon).await == expected).await;
        // The mapping reads nothing that planned moves change.
        let moves = daemon.store.poll_cursor(&main(), "stock.move").await.unwrap();
        assert_eq!(moves, None);
        daemon.stop().await;
    }
}

#[tokio::test]
async fn planned_moves_count_where_the_mapping_reads_the_forecast() {
    for version in [Version::V18, Version::V19] {
        let polled = Polled::new(version).await;
        let variant = stored(&polled);
        let folder = polled.place.path().with_file_name("mappings");
        std::fs::create_dir(&folder).unwrap();
        let shipped = include_str!("../../../../mappings/inventory.out.toml");
        let mapping = shipped.replace("\"stock.on_hand | whole\"", "\"stock.forecast | whole\"");
        assert_ne!(mapping, shipped);
        std::fs::write(folder.join("inventory.out.toml"), mapping).unwrap();
        let sync = "products = {}\ninventory = { out = 'paused' }";
        polled.write(&polled.place, "1s", sync, "[mappings]\ndir = \"mappings\"");
        let daemon = polled.place.start(system_clock()).await.unwrap();
        for model in ["stock.quant", "stock.move"] {
            followed(&daemon, model).await;
        }
        // Nothing is on the shelf: nothing can be reserved, and no level changes.
        let buyer = polled.partner("Ada");
        let order = json!([{"partner_id": buyer, "order_line": [[0, 0, {"product_id": variant, "product_uom_qty": 2}]]}]);
        let order = polled.admin("sale.order", "create", order);
        polled.admin("sale.order", "action_confirm", json!([[order]]));
        let levels = polled.admin("stock.quant", "search", json!([[["product_id", "=", variant]]]));
        assert_eq!(levels, json!([]));
        let expected = [(Object::Inventory, stock_of(&polled, variant))];
        until("it is a job", async || out(&daemon).await == expected).await;
        daemon.stop().await;
    }
}

#[tokio::test]
async fn an_erp_that_lost_many_records_is_asked_about_before_anything_is_done() {
    let polled = Polled::new(Version::V18).await;
    let partners: Vec<i64> = (0..40).map(|n| polled.partner(&format!("Ada {n}"))).collect();
    let clock = ManualClock::new(SystemClock.now());
    polled.write(&polled.place, "1s", "customers = { out = 'paused' }", "");
    let daemon = polled.place.start(Arc::new(clock.clone())).await.unwrap();
    followed(&daemon, "res.partner").await;
    let hold = async || Hold::read(&daemon.store, &main(), "res.partner").await.unwrap();
    let problems = async || {
        let open = daemon.store.open_problems(100).await.unwrap();
        let open = open
            .into_iter()
            .filter(|row| row.problem.code.0 == "erp_records_vanished");
        open.map(|row| row.problem).collect::<Vec<_>>()
    };
    let (gone, left) = partners.split_at(25);
    polled.admin("res.partner", "unlink", json!([gone]));
    clock.advance(Duration::from_hours(25));
    // Time goes on: a step that was under way when it leapt has lost its lease and is made again a little later.
    until("a person is asked", async || {
        clock.advance(Duration::from_secs(1));
        !problems().await.is_empty()
    })
    .await;
    let problem = problems().await.remove(0);
    assert!(problem.reason.contains("25 of "), "{}", problem.reason);
    assert!(
        problem
            .fix
            .contains("lockstep sync customer all --out --shop main")
    );
    assert_eq!(out(&daemon).await, []);
    until("it is noted", async || hold().await == Hold::Held).await;
    // A person says that it is right.
    Hold::Accepted
        .write(&daemon.store, &main(), "res.partner", clock.now())
        .await
        .unwrap();
    until("what is gone is work", async || {
        clock.advance(Duration::from_secs(1));
        out(&daemon).await.len() == gone.len()
    })
    .await;
    let all = out(&daemon).await;
    assert!(
        gone.iter()
            .all(|id| all.contains(&(Object::Customer, id.to_string()))),
        "{all:?}"
    );
    until("the problem is closed", async || problems().await.is_empty()).await;
    until("nothing is held", async || hold().await == Hold::None).await;
    assert!(!left.is_empty());
    daemon.stop().await;
}
