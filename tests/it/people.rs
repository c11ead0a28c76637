//! What people see and do: a job that needs them says so plainly, and after the fix a retry just works.

use lockstep::sandbox::shopify::draft::Buyer;

use crate::support::daemon::{Start, run};
use crate::support::world::{Database, World, until};

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
        || world.problems().into_iter().next(),
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
    until(
        "the daemon takes the corrected mapping",
        || daemon.log().contains("took changed mappings").then_some(()),
        || daemon.log(),
    )
    .await;
    let (code, out, err) = run(&world.config, &["jobs", "retry", &id]);
    assert_eq!(code, 0, "{out}{err}");
    world.booked(&name, "sale", &daemon).await;
    world.idle(&daemon).await;
    // What it asked of both systems is kept with the attempt, and shown.
    let (_, out, _) = run(&world.config, &["jobs", "show", &id]);
    for part in [
        "CALLS",
        "Calls of attempt",
        "load sale.order",
        "LockstepOrder",
        "ok",
    ] {
        assert!(out.contains(part), "{part}: {out}");
    }
    assert!(world.problems().is_empty(), "{:?}", world.problems());
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
    world.erp.ledger().reset_calls();
    let preview = world.json(&["preview", "order", &id.to_string()]);
    assert!(
        preview.to_string().contains("would be created and confirmed"),
        "{preview}"
    );
    let asked = world.erp.ledger().call_log();
    assert!(!asked.is_empty(), "it looks things up");
    for call in &asked {
        let (_, method) = call.split_once('/').expect("model and method");
        let reads = [
            "search",
            "search_read",
            "read",
            "web_read",
            "fields_get",
            "check_object_reference",
        ];
        let is_read = reads.contains(&method);
        assert!(is_read, "a preview writes nothing: {asked:?}");
    }
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
    let (code, out, err) = run(&world.config, &["check", "--live"]);
    assert!(
        out.contains("main") && !out.contains("FAILED"),
        "{code}: {out}{err}"
    );
    world.erp.down().await.expect("the ERP goes down");
    let (code, out, err) = run(&world.config, &["check", "--live"]);
    assert_eq!(code, 1, "{out}{err}");
    assert!(out.contains("refused"), "{out}{err}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sighup_reads_the_files_again_although_they_have_not_changed() {
    let world = World::new(Database::Sqlite).await;
    let mapping = world.folder.path().join("mappings/order.in.toml");
    let daemon = world.start(&Start::default());
    std::fs::write(&mapping, "version = 1\n").expect("the mapping can be written");
    let refusals = || daemon.log().matches("the changed files are not taken").count();
    until(
        "the daemon sees the mistake by itself",
        || (refusals() == 1).then_some(()),
        || daemon.log(),
    )
    .await;
    // The same mistake is told once, unless somebody asks.
    daemon.hang_up();
    until(
        "the daemon looks again because it was asked to",
        || (refusals() == 2).then_some(()),
        || daemon.log(),
    )
    .await;
    assert!(daemon.log().contains("SIGHUP"), "{}", daemon.log());
}
