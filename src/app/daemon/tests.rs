//! Daemons in this process: started, asked, changed, stopped. Neither system is reached: what is shown here happens before.

mod between;
mod delta;
mod elsewhere;
mod follows;
mod gaps;
mod imports;
mod nodes;
mod notices;
mod polls;
mod pushes;
mod replay;
mod resync;
mod saving;
mod seen;
mod told;

use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::SecretString;
use tempfile::TempDir;

use super::*;
use crate::domain::{JobState, ManualClock, Object, SystemClock, Timestamp};
use crate::shopify::webhook;
use crate::store::JobFilter;
use crate::transport::{Answer, Client, Settings};

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A folder with a configuration in it.
struct Place {
    folder: TempDir,
}

impl Place {
    fn new() -> Self {
        let place = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        place.write("on", "");
        place
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("lockstep.toml")
    }

    /// Writes the configuration with this toggle for orders and these further lines for Odoo. Nobody listens at either address.
    fn write(&self, orders: &str, odoo: &str) {
        std::fs::write(self.path(), Self::text(&format!("{{ in = \"{orders}\" }}"), odoo)).unwrap();
    }

    /// The configuration with these orders and these further lines for Odoo.
    fn text(orders: &str, odoo: &str) -> String {
        format!(
            r#"[http]
listen = "127.0.0.1:0"
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
{odoo}
[shops.main.sync]
orders = {orders}
"#
        )
    }

    async fn start(&self, clock: SharedClock) -> Result<Daemon, StartError> {
        let config = Config::load(&self.path()).unwrap_or_else(|error| panic!("{error}"));
        start(config, DaemonOptions::new(clock)).await
    }
}

fn client() -> Client {
    Client::new(&Settings::default()).unwrap()
}

async fn get(address: SocketAddr, path: &str) -> Answer {
    let client = client();
    client
        .send(client.get(&format!("http://{address}{path}")))
        .await
        .unwrap()
}

/// Delivers `orders/create` of this order, rightly signed.
async fn deliver(daemon: &Daemon, order: u64) -> u16 {
    let body = format!(r#"{{"id":{order}}}"#);
    let client = client();
    let request = client
        .post(&format!("http://{}/webhooks/shopify", daemon.http_addr))
        .header("X-Shopify-Shop-Domain", "main-store.myshopify.com")
        .header("X-Shopify-Topic", "orders/create")
        .header("X-Shopify-Webhook-Id", format!("delivery-{order}"))
        .header(
            webhook::SIGNATURE_HEADER,
            webhook::sign(&SecretString::from("secret"), body.as_bytes()),
        )
        .body(body);
    client.send(request).await.unwrap().status()
}

/// Waits until `holds` says so.
async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    crate::app::testing::until(what, async || holds().await.then_some(())).await;
}

async fn order_jobs(daemon: &Daemon) -> Vec<(String, JobState)> {
    let filter = JobFilter {
        object: Some(Object::Order),
        ..JobFilter::default()
    };
    let jobs = daemon.store.jobs(filter).await.unwrap();
    jobs.into_iter()
        .map(|job| (job.key.source_id, job.state))
        .collect()
}

fn system_clock() -> SharedClock {
    Arc::new(SystemClock)
}

#[tokio::test]
async fn a_daemon_takes_deliveries_answers_and_can_be_started_again() {
    let place = Place::new();
    let daemon = place.start(system_clock()).await.unwrap();
    for path in ["/healthz", "/readyz"] {
        assert_eq!(get(daemon.http_addr, path).await.status(), 200, "{path}");
    }
    assert_eq!(get(daemon.admin_addr, "/metrics").await.status(), 200);
    assert_eq!(deliver(&daemon, 1).await, 200);
    let Err(StartError::Store(StoreError::InUse { .. })) = place.start(system_clock()).await else {
        panic!("two daemons on one database");
    };
    let elsewhere = Place::new();
    let second = elsewhere.start(system_clock()).await.unwrap();
    assert_eq!(order_jobs(&second).await, []);
    second.stop().await;

    let (http_addr, jobs) = (daemon.http_addr, order_jobs(&daemon).await);
    assert_eq!(jobs.len(), 1, "{jobs:?}");
    daemon.stop().await;
    assert!(tokio::net::TcpStream::connect(http_addr).await.is_err());
    let again = place.start(system_clock()).await.unwrap();
    assert_eq!(order_jobs(&again).await.len(), 1, "what was taken is still there");
    again.stop().await;
}

#[tokio::test]
async fn a_changed_toggle_takes_effect_and_a_mistake_changes_nothing() {
    let place = Place::new();
    place.write("off", "");
    let daemon = place.start(system_clock()).await.unwrap();
    assert_eq!(deliver(&daemon, 1).await, 200);
    assert_eq!(order_jobs(&daemon).await, [], "off: recorded only");

    place.write("onn", "");
    let refused = daemon.reload().await.unwrap_err();
    assert!(refused.contains("lockstep.toml:17:"), "{refused}");
    assert_eq!(deliver(&daemon, 2).await, 200);
    assert_eq!(order_jobs(&daemon).await, [], "a mistake changes nothing");

    place.write("paused", "");
    daemon.reload().await.unwrap();
    assert_eq!(deliver(&daemon, 3).await, 200);
    let kept = [("3".to_owned(), JobState::Available)];
    assert_eq!(order_jobs(&daemon).await, kept, "paused: kept, not worked on");

    // Without being asked: the file is followed.
    place.write("on", "");
    until("work begins", async || order_jobs(&daemon).await != kept).await;
    daemon.stop().await;
}

#[tokio::test]
async fn what_happens_while_a_toggle_is_off_is_looked_for_afterwards() {
    let place = Place::new();
    place.write("on", "");
    let daemon = place.start(system_clock()).await.unwrap();
    let orders = async || {
        let gaps = daemon.store.gaps().await.unwrap();
        gaps.into_iter().find(|gap| gap.object == Object::Order)
    };
    // Nobody reaches the shop here: whatever stands there stays, and deliveries go on being answered.
    until("the first toggles are known", async || {
        let shop = reach::installation();
        let acted_on = daemon.store.cursor(&shop, reload::TOGGLES_ACTED_ON).await;
        acted_on.unwrap().is_some()
    })
    .await;
    assert_eq!(orders().await, None);
    place.write("off", "");
    daemon.reload().await.unwrap();
    until("it is noted when it was switched off", async || {
        orders().await.is_some()
    })
    .await;
    let off = orders().await.unwrap();
    assert_eq!(deliver(&daemon, 1).await, 200);
    assert_eq!(order_jobs(&daemon).await, [], "recorded only");
    place.write("on", "");
    daemon.reload().await.unwrap();
    until("and when events count again", async || {
        orders().await.is_some_and(|gap| gap.stood_at > off.stood_at)
    })
    .await;
    assert_eq!(orders().await.unwrap().since, off.since);
    daemon.stop().await;
}

#[tokio::test]
async fn what_fails_for_another_reason_than_the_text_is_tried_again_and_shown_meanwhile() {
    let place = Place::new();
    let daemon = place.start(system_clock()).await.unwrap();
    let first = daemon.revision();
    let warnings = async || {
        let config = Config::load(&place.path());
        let store = daemon.store.clone();
        // While the file cannot be read as a configuration, the one of before stands in for it.
        let config = config.unwrap_or_else(|_| {
            place.write("on", "");
            let before = Config::load(&place.path()).unwrap();
            write_with_key_file(&place);
            before
        });
        let status = crate::app::status::status(&config, &store, &system_clock()).await;
        status.unwrap().warnings.join("\n")
    };
    assert!(!warnings().await.contains("could not take"));

    write_with_key_file(&place);
    let refused = daemon.reload().await.unwrap_err();
    assert!(refused.contains("this secret cannot be read"), "{refused}");
    let shown = warnings().await;
    assert!(
        shown.contains("could not take the changed files") && shown.contains(&refused),
        "{shown}"
    );

    // The text stays what it is; the file that it names comes.
    std::fs::write(place.folder.path().join("key"), "key").unwrap();
    until("the files are taken", async || daemon.revision() != first).await;
    until("and nothing is said any more", async || {
        !warnings().await.contains("could not take")
    })
    .await;
    daemon.stop().await;
}

/// The configuration with another toggle, whose key stands in a file.
fn write_with_key_file(place: &Place) {
    place.write("paused", "");
    let text = std::fs::read_to_string(place.path()).unwrap();
    std::fs::write(
        place.path(),
        text.replace("api_key = \"key\"", "api_key_file = \"key\""),
    )
    .unwrap();
}

#[tokio::test]
async fn a_broken_mapping_keeps_the_good_ones_in_force() {
    let place = Place::new();
    let mappings = place.folder.path().join("mappings");
    std::fs::create_dir(&mappings).unwrap();
    let with_folder = std::fs::read_to_string(place.path()).unwrap() + "[mappings]\ndir = \"mappings\"\n";
    std::fs::write(place.path(), with_folder).unwrap();
    let shipped = crate::mapping::DEFAULTS
        .iter()
        .find(|(file, _)| *file == "order.in.toml")
        .map(|(_, text)| *text)
        .unwrap();
    let file = mappings.join("order.in.toml");
    std::fs::write(&file, shipped).unwrap();
    let daemon = place.start(system_clock()).await.unwrap();
    let first = daemon.revision();

    std::fs::write(&file, "version = 1\nthis is broken").unwrap();
    let refused = daemon.reload().await.unwrap_err();
    assert!(refused.contains("order.in.toml:2"), "{refused}");
    assert_eq!(daemon.revision(), first, "nothing of a broken set is taken");

    // Without being asked: the folder is followed.
    std::fs::write(&file, format!("{shipped}\n# changed\n")).unwrap();
    until("the changed mapping is taken", async || {
        daemon.revision() != first
    })
    .await;
    daemon.stop().await;
}

#[tokio::test]
async fn an_api_key_that_ends_soon_becomes_a_problem_until_it_is_replaced() {
    let place = Place::new();
    place.write("on", "api_key_expires = 2026-12-20");
    let clock = ManualClock::new(Timestamp::parse_rfc3339("2026-12-01T00:00:00Z").unwrap());
    let daemon = place.start(Arc::new(clock.clone())).await.unwrap();
    let problems = async || {
        let mut open = daemon.store.open_problems(10).await.unwrap();
        open.retain(|row| row.problem.code.0 == "api_key_expires");
        open
    };
    assert_eq!(problems().await.len(), 0, "19 days are long");
    clock.advance(Duration::from_secs(6 * 24 * 3600));
    until("13 days are not", async || {
        // The look may just have begun to wait for its next hour.
        clock.advance(Duration::from_secs(3600));
        !problems().await.is_empty()
    })
    .await;
    let open = problems().await;
    assert!(
        open[0].problem.reason.contains("2026-12-20"),
        "{:?}",
        open[0].problem
    );

    place.write("on", "api_key_expires = 2027-03-01");
    daemon.reload().await.unwrap();
    until("a new key closes it", async || problems().await.is_empty()).await;
    daemon.stop().await;
}

#[tokio::test]
async fn what_cannot_start_says_why() {
    let place = Place::new();
    let text = std::fs::read_to_string(place.path()).unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    std::fs::write(
        place.path(),
        text.replacen("127.0.0.1:0", &address.to_string(), 1),
    )
    .unwrap();
    let Err(error @ StartError::Http(_)) = place.start(system_clock()).await else {
        panic!("two listeners on one port");
    };
    assert!(error.to_string().contains(&address.to_string()), "{error}");

    std::fs::create_dir(place.folder.path().join("mappings")).unwrap();
    std::fs::write(place.folder.path().join("mappings/order.in.toml"), "nonsense").unwrap();
    std::fs::write(place.path(), text.clone() + "[mappings]\ndir = \"mappings\"\n").unwrap();
    assert!(matches!(
        place.start(system_clock()).await,
        Err(StartError::Mappings(_))
    ));
    assert!(!Path::new(&place.folder.path().join("lockstep.db")).exists());
}

#[tokio::test]
async fn a_reload_keeps_the_clients_whose_settings_did_not_change() {
    let place = Place::new();
    let clock = system_clock();
    let entropy: SharedEntropy = Arc::new(SystemEntropy);
    let in_force = crate::app::mappings::load(None).unwrap();
    let mappings = watch::Sender::new(Arc::new(crate::app::mappings::load(None).unwrap()));
    let (_folder, store) = crate::store::testing::open_temp(Arc::clone(&clock)).await;
    let shop: ShopName = "main".parse().unwrap();
    let acted_on = ActedOn::default();
    let wire = async |before: Option<&shops::Before<'_>>| {
        let config = Config::load(&place.path()).unwrap_or_else(|error| panic!("{error}"));
        let disabled = Disabled::read(&config, &store, &clock).await.unwrap();
        let wired = Wired::new(
            &config, &in_force, &mappings, &store, &clock, &entropy, &disabled, &acted_on, "node", before,
        );
        let wired = wired.await.unwrap();
        (wired.engine, wired.clients, config)
    };
    let (mut engine, mut clients, mut config) = wire(None).await;
    for (orders, odoo, token, keeps_shopify, keeps_odoo) in [
        ("paused", "", "token", true, true),
        ("paused", "calls_per_second = 3", "token", true, false),
        ("on", "calls_per_second = 3", "another token", false, true),
    ] {
        place.write(orders, odoo);
        let text = std::fs::read_to_string(place.path()).unwrap();
        let text = text.replace("access_token = \"token\"", &format!("access_token = \"{token}\""));
        std::fs::write(place.path(), text).unwrap();
        let before = shops::Before {
            config: &config,
            engine: &engine,
            clients: &clients,
            hash: "",
        };
        let (new, new_clients, new_config) = wire(Some(&before)).await;
        let (old, now) = (engine.shop(&shop).unwrap(), new.shop(&shop).unwrap());
        assert_eq!(
            Arc::ptr_eq(&old.source, &now.source),
            keeps_shopify,
            "{orders} {odoo} {token}"
        );
        assert_eq!(
            Arc::ptr_eq(&old.erp, &now.erp),
            keeps_odoo,
            "{orders} {odoo} {token}"
        );
        (engine, clients, config) = (new, new_clients, new_config);
    }
}
