//! How soon a change in the ERP stands on the shop, through the running daemon: by polling alone, by Odoo's hint, and when
//! there are many changes at once.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use rust_decimal::Decimal;
use serde_json::json;

use crate::support::daemon::{Daemon, Start};
use crate::support::world::{Database, Settings, World, until};
use crate::way_back::{quiet, writes};

const TOKEN: &str = "a-token-that-nobody-guesses";

/// A shirt that both sides have: the ERP's template, and the shop's variant.
struct Shirt {
    template: i64,
    variant: u64,
}

async fn world(every: &'static str) -> (World, Daemon, Shirt) {
    let settings = Settings {
        way_back: Some(every),
        odoo: "hint_token = \"a-token-that-nobody-guesses\"",
        ..Settings::default()
    };
    let world = World::with(Database::Sqlite, settings).await;
    let daemon = world.start(&Start::default());
    // Only what changes after the first look is work.
    let looks = || world.erp.ledger().calls_of("product.product", "search_read");
    until(
        "the ERP is followed",
        || (looks() > 0).then_some(()),
        || daemon.log(),
    )
    .await;
    let variant = world.product()[0];
    world.idle(&daemon).await;
    let articles = world.erp.ledger().products();
    let made = articles
        .iter()
        .find(|article| article.sku.as_deref() == Some("SHIRT-S"));
    let template = made.expect("it was carried in").template_id;
    (world, daemon, Shirt { template, variant })
}

fn set_price(world: &World, shirt: &Shirt, cents: i64) {
    let price: f64 = Decimal::new(cents, 2).to_string().parse().expect("a number");
    let price = json!([[shirt.template], { "list_price": price }]);
    let done = world.erp.as_admin("product.template", "write", price, json!({}));
    done.expect("the ERP takes it");
}

fn price(world: &World, shirt: &Shirt) -> Decimal {
    let found = world
        .shop
        .read(|shop| shop.variant(shirt.variant).map(|(_, variant)| variant.price));
    found.expect("it is there")
}

/// Waits until the shop shows the price; how long that took.
async fn shown(world: &World, daemon: &Daemon, shirt: &Shirt, cents: i64) -> Duration {
    let began = Instant::now();
    let wanted = Decimal::new(cents, 2);
    until(
        "the shop shows the price",
        || (price(world, shirt) == wanted).then_some(()),
        || format!("{}\n{}", price(world, shirt), daemon.log()),
    )
    .await;
    began.elapsed()
}

/// Odoo's hint that a record of the model changed; the status of the answer.
fn hint(daemon: &Daemon, token: &str) -> String {
    let body = json!({ "_model": "product.template", "_id": 1, "_action": "Tell lockstep" }).to_string();
    let mut stream = TcpStream::connect(&daemon.http).expect("it listens");
    let head = format!(
        "POST /webhooks/odoo/main/{token} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        daemon.http,
        body.len()
    );
    stream.write_all((head + &body).as_bytes()).expect("it takes it");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    answer.split(' ').nth(1).unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edit_in_the_erp_stands_on_the_shop_by_polling_alone() {
    let (world, daemon, shirt) = world("2s").await;
    for cents in [2_050, 2_150] {
        quiet(&world, &daemon).await;
        set_price(&world, &shirt, cents);
        let took = shown(&world, &daemon, &shirt, cents).await;
        // Ten times what is claimed of the default interval would be 200 s; this interval is 2 s.
        assert!(took < Duration::from_secs(40), "{took:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edit_in_the_erp_stands_on_the_shop_at_once_after_a_hint() {
    let (world, daemon, shirt) = world("1h").await;
    for cents in [2_050, 2_150] {
        set_price(&world, &shirt, cents);
        assert_eq!(hint(&daemon, "a-token-that-somebody-guessed"), "401");
        assert_eq!(hint(&daemon, TOKEN), "202");
        let took = shown(&world, &daemon, &shirt, cents).await;
        assert!(took < Duration::from_secs(20), "ten times the claim: {took:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_hundred_edits_within_a_second_few_are_written_and_the_last_one_stands() {
    let (world, daemon, shirt) = world("1s").await;
    quiet(&world, &daemon).await;
    let before = writes(&world);
    let began = Instant::now();
    let mut pace = tokio::time::interval(Duration::from_millis(10));
    for n in 0..100 {
        pace.tick().await;
        set_price(&world, &shirt, 2_000 + n);
    }
    let edited = began.elapsed();
    shown(&world, &daemon, &shirt, 2_099).await;
    quiet(&world, &daemon).await;
    assert_eq!(
        price(&world, &shirt),
        Decimal::new(2_099, 2),
        "the last one stands"
    );
    // One write for each look of the poller while the price moved (a look a second), and one for the end.
    let most = edited.as_secs() + 4;
    let written = writes(&world) - before;
    assert!(
        (1..=most).contains(&written),
        "{written} writes for 100 edits in {edited:?}"
    );
}
