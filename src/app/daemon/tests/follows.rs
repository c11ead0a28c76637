//! The subscriptions of a stand-in shop follow the saved file, and what arrives through them is counted.

use std::time::Instant;

use super::*;
use crate::sandbox::shopify::draft::CustomerDraft;
use crate::sandbox::shopify::{Options, ShopSandbox};

/// A free port: the public address names it before anybody listens.
fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

fn write(place: &Place, sandbox: &ShopSandbox, port: u16, sync: &str) {
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

fn topics(sandbox: &ShopSandbox) -> String {
    let all: Vec<String> = registered(sandbox).into_iter().map(|(_, topic)| topic).collect();
    all.join(" ")
}

const CUSTOMERS: &str = "APP_UNINSTALLED CUSTOMERS_CREATE CUSTOMERS_DELETE CUSTOMERS_MERGE CUSTOMERS_UPDATE";

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
    let writes = || {
        let calls = sandbox.ledger().calls.by_operation;
        calls
            .iter()
            .filter(|(name, _)| name.starts_with("LockstepSubscription") && *name != "LockstepSubscriptions")
            .map(|(_, n)| *n)
            .sum::<u64>()
    };
    let looks = || {
        sandbox
            .ledger()
            .calls
            .by_operation
            .get("LockstepSubscriptions")
            .copied()
            .unwrap_or(0)
    };
    let (written, looked) = (writes(), looks());
    daemon.reconcile_subscriptions();
    until("it is looked at again", async || looks() > looked + 2).await;
    assert_eq!(writes(), written);

    // A shop that is taken out says what it leaves behind.
    let text = std::fs::read_to_string(place.path())
        .unwrap()
        .replace("shops.main", "shops.other");
    std::fs::write(place.path(), text).unwrap();
    until("it is a problem", async || {
        let open = daemon.store.open_problems(10).await.unwrap();
        open.iter()
            .any(|row| row.shop == shop && row.problem.code.0 == "shop_removed")
    })
    .await;
    write(&place, &sandbox, port, paused);
    until("until it is there again", async || {
        let open = daemon.store.open_problems(10).await.unwrap();
        open.iter()
            .all(|row| row.shop != shop || row.problem.code.0 != "shop_removed")
    })
    .await;
    daemon.stop().await;
}
