//! Privacy requests, killed half-way.

use lockstep::sandbox::shopify::draft::Buyer;
use serde_json::json;

use crate::support::daemon::Start;
use crate::support::world::{Database, World, rows, until};

/// Kills the daemon after a shop's data were removed and before that is recorded: the request is still readable, and is
/// carried out again after the restart.
pub(crate) async fn killed_before_it_is_recorded(database: Database) {
    let world = World::new(database).await;
    let url = format!("http://127.0.0.1:{}/webhooks/shopify", world.http_port);
    world.shop.register("shop/redact", &url);
    let mut daemon = world.start(&Start {
        fail: Some("redacted=abort".to_owned()),
        ..Start::default()
    });
    let variants = world.product();
    let customer = world.customer("ada@example.com");
    let (_, name) = world.order(Buyer::Customer(customer), variants[0]);
    world.booked(&name, "sale", &daemon).await;
    world.idle(&daemon).await;
    let body = json!({ "shop_id": 954_889, "shop_domain": world.shop.domain() });
    world.shop.change(|shop| shop.send_raw("shop/redact", body));
    until(
        "the daemon dies before it records the request",
        || daemon.has_ended().then_some(()),
        String::new,
    )
    .await;

    let daemon = world.start(&Start::default());
    until(
        "the request is carried out",
        || {
            let jobs = rows(&world.json(&["jobs", "list", "--limit", "500"]));
            let request = jobs.iter().find(|job| job.to_string().contains("shop/redact"))?;
            (request["state"] == "completed").then_some(())
        },
        || daemon.log(),
    )
    .await;
    let problems = rows(&world.json(&["jobs", "list", "--problems"]));
    assert!(problems.is_empty(), "{database:?}: {problems:?}");
}
