//! What people see and do: a job that needs them says so plainly, and after the fix a retry just works.

use lockstep::sandbox::shopify::draft::Buyer;

use crate::support::daemon::{Start, run};
use crate::support::world::{Database, World, rows, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_mapping_names_record_field_reason_fix_and_owner_and_a_retry_works_after_the_fix() {
    let world = World::new(Database::Sqlite).await;
    let shipped = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/mappings/order.in.toml"))
        .expect("the shipped mapping can be read");
    let broken = shipped.replace(
        "client_order_ref = \"order.name\"",
        "client_order_ref = { value = \"order.po_number\", missing = \"fail\" }",
    );
    assert_ne!(broken, shipped);
    let mapping = world.folder.path().join("mappings/order.in.toml");
    std::fs::write(&mapping, broken).expect("the mapping can be written");
    let daemon = world.start(&Start::default());
    let variants = world.product();
    let (_, name) = world.order(Buyer::Nobody, variants[0]);
    let job = until(
        "the job needs a person",
        || {
            rows(&world.json(&["jobs", "list", "--problems"]))
                .into_iter()
                .next()
        },
        || daemon.log(),
    )
    .await;
    let problem = &job["problem"];
    assert_eq!(problem["record"], name.as_str());
    assert_eq!(problem["field"], "client_order_ref");
    for part in ["reason", "fix", "owner", "mapping"] {
        assert!(
            problem[part].as_str().is_some_and(|text| !text.is_empty()),
            "{part}: {problem}"
        );
    }
    let id = job["id"].to_string();
    let (code, out, _) = run(&world.config, &["jobs", "show", &id]);
    assert_eq!(code, 0);
    assert!(
        out.contains("client_order_ref") && out.contains("order desk"),
        "{out}"
    );

    std::fs::write(&mapping, shipped).expect("the mapping can be written");
    // The daemon takes up changed files within seconds; a retry before that ends in the same problem, so it is repeated.
    until(
        "the retry works",
        || {
            let (code, out, err) = run(&world.config, &["jobs", "retry", &id]);
            assert!(
                code == 0 || out.contains("runs") || err.contains("runs"),
                "{out}{err}"
            );
            world
                .erp
                .ledger()
                .orders_by_reference(&name)
                .into_iter()
                .find(|order| order.state == "sale")
        },
        || daemon.log(),
    )
    .await;
    world.idle(&daemon).await;
    assert!(rows(&world.json(&["jobs", "list", "--problems"])).is_empty());
    assert_eq!(world.erp.ledger().orders().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn preview_writes_nothing_and_sync_books_what_no_webhook_told() {
    let world = World::new(Database::Sqlite).await;
    let daemon = world.start(&Start::default());
    let variants = world.product();
    world.idle(&daemon).await;
    world.shop.hold_deliveries();
    let (id, name) = world.order(Buyer::Nobody, variants[0]);
    let preview = world.json(&["preview", "order", &id.to_string()]);
    assert!(
        preview.to_string().contains("would be created and confirmed"),
        "{preview}"
    );
    assert!(world.erp.ledger().orders().is_empty());
    let (code, out, err) = run(&world.config, &["sync", "order", &name]);
    assert_eq!(code, 0, "{out}{err}");
    world.booked(&name, "sale", &daemon).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_live_says_that_both_sides_work_and_what_is_wrong_when_they_do_not() {
    let world = World::new(Database::Sqlite).await;
    let (code, out, err) = run(&world.config, &["check"]);
    assert_eq!(code, 0, "{out}{err}");
    let (_, out, err) = run(&world.config, &["check", "--live"]);
    assert!(out.contains("main"), "{out}{err}");
    world.erp.down().await.expect("the ERP goes down");
    let (code, out, err) = run(&world.config, &["check", "--live"]);
    assert_eq!(code, 1, "{out}{err}");
    assert!(out.contains("refused"), "{out}{err}");
}
