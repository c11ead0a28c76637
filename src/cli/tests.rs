//! What the commands say about themselves.

use std::path::Path;

use clap::CommandFactory as _;

use super::*;

/// Parses a command line as the binary would.
fn parse(line: &[&str]) -> Result<Arguments, clap::Error> {
    Arguments::try_parse_from(std::iter::once("lockstep").chain(line.iter().copied()))
}

#[test]
fn the_definition_is_consistent() {
    Arguments::command().debug_assert();
}

#[test]
fn help_is_what_it_was() {
    let mut root = definition().term_width(100);
    root.build();
    insta::assert_snapshot!("lockstep", root.render_help().to_string());
}

#[test]
fn usage_errors_name_what_is_wrong() {
    for (line, part) in [
        (&["statsu"][..], "'status'"),
        (
            &["jobs", "list", "--state", "runing"],
            "one of available scheduled running",
        ),
        (&["jobs", "discard", "4"], "--reason"),
        (&["jobs", "retry"], "<IDS>"),
        (&["jobs", "list", "--limit", "0"], "1..=1000"),
        (&["sync", "invoice", "1"], "order, customer, product"),
        (&["sync", "order", "1", "--shop", "Main"], "1 to 40 of a-z"),
    ] {
        let error = parse(line).unwrap_err().to_string();
        assert!(error.contains(part), "{line:?}: {error}");
    }
}

#[test]
fn completions_and_manual_pages_are_made() {
    for shell in ["bash", "zsh", "fish"] {
        parse(&["completions", shell]).unwrap();
    }
    let mut root = definition();
    root.build();
    let mut page = Vec::new();
    clap_mangen::Man::new(root).render(&mut page).unwrap();
    let page = String::from_utf8(page).unwrap();
    assert!(page.contains("lockstep\\-jobs(1)"), "{page}");
}

#[test]
fn the_reference_is_fresh() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference/cli.md");
    let fresh = pages::reference();
    if std::env::var_os("LOCKSTEP_WRITE_DOCS").is_some() {
        std::fs::write(&path, &fresh).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == fresh,
        "{} is stale: run this test with LOCKSTEP_WRITE_DOCS=1",
        path.display()
    );
}

#[tokio::test]
async fn what_a_command_changes_outside_of_the_store_is_written_down() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lockstep.toml");
    let text = "[shops.main]\ndomain = 'main.myshopify.com'\naccess_token = 'shpat_1'\nwebhook_secrets = ['s']\n\
                [shops.main.odoo]\nurl = 'http://127.0.0.1:9'\ndatabase = 'p'\nlogin = 'a@example.com'\napi_key = 'k'\n";
    std::fs::write(&path, text).unwrap();
    let config = Config::load(&path).unwrap_or_else(|error| panic!("{error}"));
    let role = crate::domain::Role::Admin;
    written_down(&config, async |reviewer| {
        reviewer.added_user("ada", role, false).await
    })
    .await;
    let (store, _) = opened(&config).await.unwrap_or_else(|_| panic!("a store"));
    let rows = store.audit(crate::store::AuditFilter::default()).await.unwrap();
    assert_eq!(rows.len(), 1);
    let row = &rows[0];
    assert_eq!(
        (
            row.action.as_str(),
            row.subject.as_str(),
            row.via,
            row.shop.clone()
        ),
        ("add_user", "user:ada", Via::Cli, None)
    );
    assert_eq!(
        row.detail,
        serde_json::json!({ "role": "admin", "was_there": false })
    );
}
