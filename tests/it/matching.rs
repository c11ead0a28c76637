//! Linking a whole catalogue is killed in the middle, and done again.

use std::collections::BTreeMap;
use std::process::Command;

use lockstep::sandbox::shopify::draft::{ProductDraft, VariantDraft};
use rust_decimal::Decimal;
use serde_json::json;
use sqlx::{Connection as _, Row as _, SqliteConnection};

use crate::support::daemon::{Start, run};
use crate::support::world::{Database, World};

/// More than are linked in one transaction (fifty), so that it can be killed between two.
const PRODUCTS: i64 = 120;

/// After a crash nobody else may link for so long.
const AFTER_A_CRASH_MS: u64 = 6 * 60 * 1000;

const MATCH: [&str; 4] = ["import", "--match-only", "--object", "products"];

/// The live links of products: the shop's number by the ERP's.
async fn links(world: &World) -> BTreeMap<i64, String> {
    let path = world.folder.path().join("lockstep.db");
    let mut store = SqliteConnection::connect(&format!("sqlite://{}", path.display()))
        .await
        .expect("the store can be read");
    let rows = sqlx::query(
        "SELECT erp_id, source_id FROM links WHERE kind = 'product' AND state <> 'retired' ORDER BY erp_id",
    )
    .fetch_all(&mut store)
    .await
    .expect("the store has links");
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_match_that_is_killed_in_the_middle_goes_on_when_it_is_repeated() {
    let world = World::new(Database::Sqlite).await;
    world.start(&Start::default()).terminate();
    let mut expected = BTreeMap::new();
    for n in 0..PRODUCTS {
        let sku = format!("CUP-{n}");
        let ours = world.shop.change(|shop| {
            shop.create_product(ProductDraft {
                title: format!("Cup {n}"),
                variants: vec![VariantDraft::new(&[], &sku, Decimal::ONE)],
                ..ProductDraft::default()
            })
        });
        let values = json!([{ "name": format!("Cup, {n}"), "default_code": sku, "type": "consu" }]);
        let made = world.erp.as_admin("product.product", "create", values, json!({}));
        let made = made.expect("the ERP takes it");
        let read = json!([[made], ["product_tmpl_id"]]);
        let read = world.erp.as_admin("product.product", "read", read, json!({}));
        let template = read.expect("it is there")[0]["product_tmpl_id"][0].as_i64();
        expected.insert(template.expect("a number"), ours.to_string());
    }
    let before = (
        crate::way_back::writes(&world),
        world.erp.ledger().count("product.product"),
    );

    let killed = Command::new(env!("CARGO_BIN_EXE_lockstep"))
        .args(MATCH)
        .env("LOCKSTEP_CONFIG", &world.config)
        .env("LOCKSTEP_FAIL", "link_adopted:2=abort")
        .output()
        .expect("the binary can be run");
    assert_eq!(killed.status.code(), None, "{killed:?}");
    let in_between = links(&world).await;
    assert_eq!(in_between.len(), 100, "two transactions");
    assert!(
        in_between
            .iter()
            .all(|(theirs, ours)| expected.get(theirs) == Some(ours))
    );

    // Nobody can know yet that it is dead, and it says when that will be.
    let (code, _, err) = run(&world.config, &MATCH);
    assert!(code == 1 && err.contains("five minutes"), "{code} {err}");
    assert_eq!(links(&world).await, in_between);
    let clock = world.folder.path().join("clock");
    std::fs::write(&clock, AFTER_A_CRASH_MS.to_string()).expect("a clock");
    let repeated = Command::new(env!("CARGO_BIN_EXE_lockstep"))
        .args(MATCH)
        .env("LOCKSTEP_CONFIG", &world.config)
        .env("LOCKSTEP_CLOCK", &clock)
        .env_remove("LOCKSTEP_FAIL")
        .output()
        .expect("the binary can be run");
    assert!(repeated.status.success(), "{repeated:?}");
    assert_eq!(links(&world).await, expected);
    let after = (
        crate::way_back::writes(&world),
        world.erp.ledger().count("product.product"),
    );
    assert_eq!(after, before, "nothing is written on either side");
}
