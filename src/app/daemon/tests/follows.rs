//! The subscriptions of a stand-in shop follow the saved file, and what arrives through them is counted.

use std::time::Instant;

use super::*;
use crate::app::subscriptions::{self, Removal};
use crate::sandbox::shopify::draft::CustomerDraft;
use crate::sandbox::shopify::faults::ApiFault;
use crate::sandbox::shopify::{Options, ShopSandbox};
use crate::store::ProblemRow;
use crate::store::testing::TempPostgres;

/// A free port: the public address names it before anybody listens.
pub(super) fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

pub(super) fn write(place: &Place, sandbox: &ShopSandbox, port: u16, sync: &str) {
    let access = Options::default().access;
    let text = format!(
        r#"[http]
listen = "127.0.0.1:{port}"
public_url = "http://127.0.0.1:{port}"
[admin]
listen = "127.0.0.1:0"
# Every second, so that nobody waits.
[webhooks]
schedule = "* * * * * *"
[shops.main]
domain = "{domain}"
access_token = "{token}"
webhook_secrets = ["{secret}"]
base_url = "{url}"
[shops.main.odoo]
url = "http://127.0.0.1:9"
database = "prod"
login = "connector@example.com"
api_key = "key"
[shops.main.sync]
{sync}
"#,
        domain = sandbox.domain(),
        token = access.static_token.unwrap(),
        secret = access.client_secret,
        url = sandbox.url(),
    );
    std::fs::write(place.path(), text).unwrap();
}

fn registered(sandbox: &ShopSandbox) -> Vec<(u64, String)> {
    let mut all: Vec<(u64, String)> = sandbox.read(|shop| {
        let all = shop.subscriptions().iter();
        all.map(|one| (one.id, one.topic.clone())).collect()
    });
    all.sort_by(|one, other| one.1.cmp(&other.1));
    all
}

pub(super) fn topics(sandbox: &ShopSandbox) -> String {
    let all: Vec<String> = registered(sandbox).into_iter().map(|(_, topic)| topic).collect();
    all.join(" ")
}

/// Changes of subscriptions that were asked of the shop.
pub(super) fn writes(sandbox: &ShopSandbox) -> u64 {
    let calls = sandbox.ledger().calls.by_operation;
    calls
        .iter()
        .filter(|(name, _)| name.starts_with("LockstepSubscription") && *name != "LockstepSubscriptions")
        .map(|(_, n)| *n)
        .sum()
}

/// How often the shop was asked for its subscriptions.
fn looks(sandbox: &ShopSandbox) -> u64 {
    let calls = sandbox.ledger().calls.by_operation;
    calls.get("LockstepSubscriptions").copied().unwrap_or(0)
}

pub(super) const CUSTOMERS: &str =
    "APP_UNINSTALLED CUSTOMERS_CREATE CUSTOMERS_DELETE CUSTOMERS_MERGE CUSTOMERS_UPDATE";
pub(super) const PRODUCTS: &str =
    "APP_UNINSTALLED INVENTORY_LEVELS_UPDATE PRODUCTS_CREATE PRODUCTS_DELETE PRODUCTS_UPDATE";

#[tokio::test]
async fn saving_the_file_is_all_that_is_to_be_done() {
    let sandbox = ShopSandbox::start(Options::quick()).await.unwrap();
    let place = Place::new();
    let port = free_port();
    write(&place, &sandbox, port, "customers = { in = 'on' }");
    let daemon = place.start(system_clock()).await.unwrap();
    until("the toggle is followed at the start", async || {
        topics(&sandbox) == CUSTOMERS
    })
    .await;

    // What happens in the shop arrives, and is counted under the subscription's name.
    sandbox.change(|shop| {
        let draft = CustomerDraft {
            email: Some("ada@example.com".into()),
            ..CustomerDraft::default()
        };
        shop.create_customer(draft).unwrap()
    });
    let shop: ShopName = "main".parse().unwrap();
    until("the delivery is counted", async || {
        let sums = daemon
            .store
            .deliveries_since(&shop, Timestamp::default())
            .await
            .unwrap();
        sums.iter().any(|sum| {
            sum.topic == "customers/create" && sum.name.ends_with("-customers_create") && sum.accepted == 1
        })
    })
    .await;

    // Deleted behind our back: back by itself.
    let (gone, _) = registered(&sandbox)
        .into_iter()
        .find(|(_, topic)| topic == "CUSTOMERS_UPDATE")
        .unwrap();
    sandbox.change(|shop| shop.unregister(gone));
    until("the schedule heals it", async || topics(&sandbox) == CUSTOMERS).await;

    let saved = Instant::now();
    write(&place, &sandbox, port, "customers = { in = 'off' }");
    until("the toggle is followed after a save", async || {
        topics(&sandbox) == "APP_UNINSTALLED"
    })
    .await;
    let took = saved.elapsed();
    assert!(
        took < Duration::from_secs(50),
        "ten times what is promised: {took:?}"
    );
    let paused = "customers = { in = 'paused' }";
    write(&place, &sandbox, port, paused);
    until("and on again", async || topics(&sandbox) == CUSTOMERS).await;

    // Without the file being changed it is looked at and nothing is written.
    let (written, looked) = (writes(&sandbox), looks(&sandbox));
    daemon.reconcile_subscriptions();
    until("it is looked at again", async || looks(&sandbox) > looked + 2).await;
    assert_eq!(writes(&sandbox), written);
    daemon.stop().await;
}

/// Adds a second shop, `slow`, that is the stand-in `sandbox`.
fn add_shop(place: &Place, sandbox: &ShopSandbox) {
    let access = Options::default().access;
    let text = std::fs::read_to_string(place.path()).unwrap();
    let shop = format!(
        "[shops.slow]\ndomain = \"slow.myshopify.com\"\naccess_token = \"{}\"\nwebhook_secrets = [\"{}\"]\nbase_url = \"{}\"\n\
         [shops.slow.odoo]\nurl = \"http://127.0.0.1:9\"\ndatabase = \"prod\"\nlogin = \"a@example.com\"\napi_key = \"key\"\n\
         [shops.slow.sync]\ncustomers = {{ in = 'on' }}\n",
        access.static_token.unwrap(),
        access.client_secret,
        sandbox.url(),
    );
    std::fs::write(place.path(), text + &shop).unwrap();
}

#[tokio::test]
async fn a_shop_that_does_not_answer_holds_no_other_up_when_a_file_is_saved() {
    let (sandbox, slow) = (
        ShopSandbox::start(Options::quick()).await.unwrap(),
        ShopSandbox::start(Options::quick()).await.unwrap(),
    );
    // Longer than this test waits for anything.
    slow.inject(ApiFault::Slow(Duration::from_secs(600)), None, 1000);
    let place = Place::new();
    let port = free_port();
    write(&place, &sandbox, port, "customers = { in = 'on' }");
    add_shop(&place, &slow);
    let daemon = place.start(system_clock()).await.unwrap();
    until("the one that answers follows", async || {
        topics(&sandbox) == CUSTOMERS
    })
    .await;
    // The look is not over, and will not be for minutes.
    write(&place, &sandbox, port, "products = { in = 'on' }");
    add_shop(&place, &slow);
    until("a save is followed all the same", async || {
        topics(&sandbox) == PRODUCTS
    })
    .await;
    // Nor does the stop wait for it, or leave a lease behind.
    let store = daemon.store.clone();
    tokio::time::timeout(PATIENCE, daemon.stop())
        .await
        .expect("it ends");
    drop(store);
}

#[tokio::test]
async fn a_shop_that_is_enabled_again_is_looked_at_without_waiting_for_the_schedule() {
    let sandbox = ShopSandbox::start(Options::quick()).await.unwrap();
    let place = Place::new();
    write(&place, &sandbox, free_port(), "customers = { in = 'on' }");
    replace(&place, "\"* * * * * *\"", "\"0 0 0 1 1 *\"");
    let daemon = place.start(system_clock()).await.unwrap();
    until("it registers", async || topics(&sandbox) == CUSTOMERS).await;
    // As after an uninstallation: the subscriptions are gone, and the shop is disabled until our access works.
    for (id, _) in registered(&sandbox) {
        sandbox.change(|shop| shop.unregister(id));
    }
    let main: ShopName = "main".parse().unwrap();
    let now = system_clock().now();
    daemon
        .store
        .set_shop_disabled(&main, Some("the app was uninstalled"), now)
        .await
        .unwrap();
    until("it is enabled and registers", async || {
        topics(&sandbox) == CUSTOMERS
    })
    .await;
    daemon.stop().await;
}

#[tokio::test]
async fn from_saving_to_the_shop_changed_it_takes_seconds() {
    let sandbox = ShopSandbox::start(Options::quick()).await.unwrap();
    // As long as an answer of the real one takes.
    sandbox.inject(ApiFault::Slow(Duration::from_millis(250)), None, 10_000);
    let place = Place::new();
    let port = free_port();
    write(&place, &sandbox, port, "customers = { in = 'on' }");
    let daemon = place.start(system_clock()).await.unwrap();
    until("it registers", async || topics(&sandbox) == CUSTOMERS).await;
    let saved = Instant::now();
    write(&place, &sandbox, port, "products = { in = 'on' }");
    until("the shop is changed", async || topics(&sandbox) == PRODUCTS).await;
    let took = saved.elapsed();
    println!("four deleted and four made {took:?} after the save");
    assert!(
        took < Duration::from_secs(50),
        "ten times what is promised: {took:?}"
    );
    daemon.stop().await;
}

/// The problem about what a shop that was taken out left behind.
async fn left_behind(daemon: &Daemon) -> Option<ProblemRow> {
    let open = daemon.store.open_problems(10).await.unwrap();
    open.into_iter()
        .find(|row| row.shop.as_str() == "main" && row.problem.code.0 == "shop_removed")
}

pub(super) fn replace(place: &Place, from: &str, to: &str) {
    let text = std::fs::read_to_string(place.path()).unwrap();
    let changed = text.replace(from, to);
    assert_ne!(changed, text);
    std::fs::write(place.path(), changed).unwrap();
}

#[tokio::test]
async fn a_shop_with_another_name_keeps_its_subscriptions() {
    let sandbox = ShopSandbox::start(Options::quick()).await.unwrap();
    let place = Place::new();
    write(&place, &sandbox, free_port(), "customers = { in = 'on' }");
    let daemon = place.start(system_clock()).await.unwrap();
    until("it registers", async || topics(&sandbox) == CUSTOMERS).await;
    replace(&place, "shops.main", "shops.other");
    daemon.reload().await.unwrap();
    let other: ShopName = "other".parse().unwrap();
    until("its rows follow", async || {
        daemon.store.subscribed_shops().await.unwrap() == [other.clone()]
    })
    .await;
    assert_eq!(daemon.store.subscriptions(&other).await.unwrap().len(), 5);
    let looked = looks(&sandbox);
    until("it is looked at again", async || looks(&sandbox) > looked + 2).await;
    assert_eq!(writes(&sandbox), 5);
    assert!(left_behind(&daemon).await.is_none());
    let gaps = daemon.store.gaps().await.unwrap();
    assert!(
        gaps.iter()
            .all(|gap| gap.shop == other && gap.reason.starts_with("there was no subscription")),
        "those of the first registration follow, and there are no others: {gaps:?}"
    );
    daemon.stop().await;
}

#[tokio::test]
async fn what_a_shop_that_is_taken_out_leaves_behind_is_planned_told_once_and_removed_on_demand() {
    let sandbox = ShopSandbox::start(Options::quick()).await.unwrap();
    let place = Place::new();
    write(&place, &sandbox, free_port(), "customers = { in = 'on' }");
    let daemon = place.start(system_clock()).await.unwrap();
    until("it registers", async || topics(&sandbox) == CUSTOMERS).await;
    replace(&place, "shops.main", "shops.other");
    replace(&place, sandbox.domain(), "other.myshopify.com");
    replace(&place, &sandbox.url(), "http://127.0.0.1:9");
    daemon.reload().await.unwrap();
    let told = |row: Option<ProblemRow>| {
        row.map(|row| (row.problem.detail["plan"].as_array().map(Vec::len), row.count))
    };
    until("it is planned", async || {
        told(left_behind(&daemon).await) == Some((Some(5), 1))
    })
    .await;
    let row = left_behind(&daemon).await.unwrap();
    let problem = row.problem;
    assert!(
        problem
            .fix
            .contains("webhooks apply --remove-shop main` while this daemon runs"),
        "{}",
        problem.fix
    );
    let looked = looks(&sandbox);
    until("it is looked at again", async || looks(&sandbox) > looked + 2).await;
    assert_eq!(told(left_behind(&daemon).await), Some((Some(5), 1)), "told once");
    assert_eq!(
        left_behind(&daemon).await.map(|row| row.id),
        Some(row.id),
        "and not over and over as something new"
    );
    assert_eq!((topics(&sandbox).as_str(), writes(&sandbox)), (CUSTOMERS, 5));

    // What Shopify deletes by itself is gone.
    let (id, _) = registered(&sandbox).remove(1);
    sandbox.change(|shop| shop.unregister(id));
    until("it is noticed", async || {
        told(left_behind(&daemon).await) == Some((Some(4), 1))
    })
    .await;

    let mut config = Config::load(&place.path()).unwrap();
    config.admin.listen = daemon.admin_addr;
    let main: ShopName = "main".parse().unwrap();
    let done = subscriptions::remove_through_daemon(&config, &daemon.store, &main).await;
    let Removal::Done(done) = done else {
        panic!("{done:?}")
    };
    assert_eq!(done[0]["is_complete"], true, "{done}");
    assert_eq!(topics(&sandbox), "");
    assert!(left_behind(&daemon).await.is_none());
    until("nobody knows it any more", async || {
        let removal = subscriptions::remove_through_daemon(&config, &daemon.store, &main).await;
        matches!(&removal, Removal::Refused { code, detail } if !code.is_empty() && detail.contains("main"))
    })
    .await;
    config.admin.listen = "127.0.0.1:9".parse().unwrap();
    let removal = subscriptions::remove_through_daemon(&config, &daemon.store, &main).await;
    assert!(matches!(&removal, Removal::Silent(_)), "{removal:?}");
    daemon.stop().await;
}

#[tokio::test]
async fn what_was_left_behind_before_the_start_is_told_until_a_person_leaves_it() {
    let sandbox = ShopSandbox::start(Options::quick()).await.unwrap();
    let place = Place::new();
    write(&place, &sandbox, free_port(), "customers = { in = 'on' }");
    let daemon = place.start(system_clock()).await.unwrap();
    until("it registers", async || topics(&sandbox) == CUSTOMERS).await;
    let is_noted = async || {
        let rows = daemon
            .store
            .subscriptions(&"main".parse().unwrap())
            .await
            .unwrap();
        rows.len() == 5
    };
    until("what it registered is noted", is_noted).await;
    daemon.stop().await;
    replace(&place, "shops.main", "shops.other");
    replace(&place, sandbox.domain(), "other.myshopify.com");
    replace(&place, &sandbox.url(), "http://127.0.0.1:9");
    let daemon = place.start(system_clock()).await.unwrap();
    until("it is told", async || left_behind(&daemon).await.is_some()).await;
    let problem = left_behind(&daemon).await.unwrap().problem;
    assert!(problem.fix.contains("Put [shops.main]"), "{}", problem.fix);
    assert_eq!(problem.detail["plan"], serde_json::Value::Null, "nobody can look");
    let entropy: SharedEntropy = Arc::new(SystemEntropy);
    let at = Installation::new(&daemon.store, &system_clock(), &entropy, None)
        .await
        .unwrap();
    assert_eq!(
        subscriptions::forget(&at, &"main".parse().unwrap())
            .await
            .unwrap(),
        5
    );
    assert!(left_behind(&daemon).await.is_none());
    let config = Config::load(&place.path()).unwrap();
    let news = subscriptions::note_departed(&at, &config, &Departed::default()).await;
    assert!(news.unwrap().is_empty(), "it is over");
    assert!(left_behind(&daemon).await.is_none());
    assert_eq!((topics(&sandbox).as_str(), writes(&sandbox)), (CUSTOMERS, 5));
    daemon.stop().await;
}

#[tokio::test]
async fn two_nodes_with_different_toggles_do_not_undo_each_others_work() {
    let sandbox = ShopSandbox::start(Options::quick()).await.unwrap();
    let postgres = TempPostgres::new().await;
    let (first, second) = (Place::new(), Place::new());
    let port = free_port();
    // The same address for both, as behind one reverse proxy.
    let write = |place: &Place, sync: &str, listen: u16| {
        write(place, &sandbox, port, sync);
        let text = std::fs::read_to_string(place.path()).unwrap();
        let text = text.replace(
            &format!("listen = \"127.0.0.1:{port}\""),
            &format!("listen = \"127.0.0.1:{listen}\""),
        );
        let store = format!("[store]\nurl = \"{}\"\nmax_connections = 5\n", postgres.url());
        std::fs::write(place.path(), store + &text).unwrap();
    };
    write(&first, "customers = { in = 'on' }", port);
    let one = first.start(system_clock()).await.unwrap();
    until("the first registers", async || topics(&sandbox) == CUSTOMERS).await;

    write(&second, "products = { in = 'on' }", 0);
    let two = second.start(system_clock()).await.unwrap();
    let looked = looks(&sandbox);
    two.reconcile_subscriptions();
    until("the first looks on", async || looks(&sandbox) > looked + 3).await;
    assert_eq!(writes(&sandbox), 5, "the second keeps its hands off");
    assert_eq!(topics(&sandbox), CUSTOMERS);

    // The first is only restarted (for another version, say): the second does not jump in.
    one.stop().await;
    let one = first.start(system_clock()).await.unwrap();
    assert!(one.is_newest() && !two.is_newest());
    let looked = looks(&sandbox);
    two.reconcile_subscriptions();
    until("the first looks on", async || looks(&sandbox) > looked + 3).await;
    assert_eq!(writes(&sandbox), 5, "a restart changes nothing on the shop");

    // The file that was saved last counts, on whichever node.
    write(&second, "products = { in = 'on' } # saved", 0);
    two.reload().await.unwrap();
    write(&second, "products = { in = 'paused' }", 0);
    two.reload().await.unwrap();
    // All of them: the changes of one apply are several requests, and those to come are no work of the first node.
    until("the second's toggles", async || topics(&sandbox) == PRODUCTS).await;
    until("the first knows", async || !one.is_newest()).await;
    let looked = looks(&sandbox);
    one.reconcile_subscriptions();
    until("the second looks on", async || looks(&sandbox) > looked + 3).await;
    assert_eq!(
        writes(&sandbox),
        5 + 4 + 4,
        "five made for the first, four of them deleted and four made for the second, and nothing else"
    );
    one.stop().await;
    two.stop().await;
}
