//! Whole files: what is accepted, and how what is not is shown.

use std::fmt::Write as _;

use miette::{GraphicalReportHandler, GraphicalTheme};
use proptest::prelude::*;

use super::*;
use crate::subscriptions::Toggle;

fn environment(name: &str) -> Option<String> {
    match name {
        "SHOPIFY_TOKEN" | "SHOPIFY_SECRET" | "ODOO_KEY" => Some(format!("the-{name}")),
        _ => None,
    }
}

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(text, Path::new("/etc/lockstep/lockstep.toml"), &environment)
}

/// The smallest file without findings, with `changes` applied to it: pairs of what stands there and what is put there.
fn with(changes: &[(&str, &str)]) -> String {
    let mut text = r#"[http]
listen = "0.0.0.0:8080"
public_url = "https://sync.example.com"

[shops.main]
domain = "main-store.myshopify.com"
access_token = "${SHOPIFY_TOKEN}"
webhook_secrets = ["${SHOPIFY_SECRET}"]

[shops.main.odoo]
url = "https://erp.example.com"
database = "prod"
login = "connector@example.com"
api_key = "${ODOO_KEY}"

[shops.main.sync]
orders = { in = "on" }
"#
    .to_owned();
    for (from, to) in changes {
        assert!(text.contains(from), "{from}");
        text = text.replace(from, to);
    }
    text
}

/// All findings as a person without colours sees them.
fn shown(text: &str) -> String {
    let findings = match parse(text) {
        Ok(config) => config.warnings,
        Err(ConfigError::Invalid(findings)) => *findings,
        Err(error) => panic!("{error}"),
    };
    let handler = GraphicalReportHandler::new_themed(GraphicalTheme::unicode_nocolor())
        .with_width(100)
        .with_context_lines(1);
    let mut out = String::new();
    for report in findings.reports() {
        handler.render_report(&mut out, &report).unwrap();
        out.write_str("\n").unwrap();
    }
    out
}

#[test]
fn the_example_is_accepted_without_a_warning() {
    let config = parse(EXAMPLE).unwrap();
    assert!(config.warnings.is_empty(), "{}", config.warnings);
    let shop = config.shops.values().next().unwrap();
    assert_eq!(shop.sync.orders.inward, Toggle::On);
    assert_eq!(config.store.url, "sqlite:///etc/lockstep/lockstep.db");
}

#[test]
fn the_smallest_file_is_accepted_without_a_warning() {
    let config = parse(&with(&[])).unwrap();
    assert!(config.warnings.is_empty(), "{}", config.warnings);
}

#[test]
fn debug_shows_no_secret() {
    let text = with(&[
        ("${ODOO_KEY}", "hunter2"),
        (
            "[http]",
            "[store]\nurl = \"postgres://me:hunter2@db/lockstep\"\n[http]",
        ),
    ]);
    let config = parse(&text).unwrap();
    let debug = format!("{config:?}");
    for secret in ["hunter2", "the-SHOPIFY_TOKEN", "the-SHOPIFY_SECRET"] {
        assert!(!debug.contains(secret), "{debug}");
    }
}

#[test]
fn everything_wrong_is_shown_at_once_with_its_place() {
    insta::assert_snapshot!(shown(&with(&[
        ("listen = \"0.0.0.0:8080\"", "lisen = \"0.0.0.0:8080\""),
        ("https://sync.example.com", "sync.example.com"),
        ("main-store.myshopify.com", "https://shop.example.com"),
        ("${SHOPIFY_TOKEN}", "${SHOPIFY_TOKN}"),
        ("database = \"prod\"", "database = 7"),
        ("https://erp", "erp"),
        (
            "orders = { in = \"on\" }",
            "orders = { in = \"onn\", out = \"on\" }\ncustomers = { in = true }"
        ),
    ])));
}

#[test]
fn what_repetitions_are_known_by_is_kept_for_a_week() {
    let days = |days: u32| with(&[("[http]", &format!("[store]\nkeep_days = {days}\n[http]"))]);
    assert!(shown(&days(6)).contains("at least 7 days"), "{}", shown(&days(6)));
    assert!(!shown(&days(7)).contains("keep_days"), "{}", shown(&days(7)));
}

#[test]
fn what_is_missing_is_named() {
    insta::assert_snapshot!(
        "sections",
        shown(
            "[shops.main]\n\n[shops.other]\ndomain = \"a.myshopify.com\"\nclient_id = \"1\"\n[shops.other.odoo]\n"
        )
    );
    insta::assert_snapshot!("nothing", shown(""));
}

#[test]
fn a_file_that_is_no_toml_shows_the_place_and_no_secret() {
    insta::assert_snapshot!(
        "bracket",
        shown("[shops.main\naccess_token = \"shpat_0123456789\"\n")
    );
    assert!(!shown("[shops.main]\naccess_token: hunter2\n").contains("hunter2"));
    insta::assert_snapshot!(
        "quote",
        shown("[shops.main]\naccess_token = \"shpat_0123456789\ndomain = 1\n")
    );
}

#[test]
fn secrets_never_appear_under_a_caret() {
    let out = shown(&with(&[
        (
            "access_token = \"${SHOPIFY_TOKEN}\"",
            "acess_token = \"shpat_0123456789\"",
        ),
        ("api_key = \"${ODOO_KEY}\"", "api_key = 1234567890"),
    ]));
    assert!(out.contains("acess_token") && out.contains("api_key"), "{out}");
    assert!(
        !out.contains("0123456789") && !out.contains("1234567890"),
        "{out}"
    );
}

#[test]
fn what_should_be_looked_at_is_a_warning() {
    insta::assert_snapshot!(shown(&with(&[
        ("https://sync.example.com", "http://127.0.0.1:8080"),
        ("domain =", "api_version = \"2026-07\"\ndomain ="),
        ("https://erp", "http://erp"),
        (
            "orders = { in = \"on\" }",
            "customers = { out = \"on\" }\nproducts = { out = \"paused\" }\ninventory = { out = \"on\" }",
        ),
    ])));
}

/// The findings as `LINE: MESSAGE`.
fn found(text: &str) -> Vec<String> {
    let findings = match parse(text) {
        Ok(config) => config.warnings,
        Err(ConfigError::Invalid(findings)) => *findings,
        Err(error) => panic!("{error}"),
    };
    let rows = findings.rows().into_iter();
    rows.map(|row| format!("{}: {}", row.line, row.message)).collect()
}

#[test]
fn the_times_of_full_runs_are_checked_at_their_line() {
    let runs = |full: &str| format!("{}\n[shops.main.runs]\nfull = \"{full}\"\n", with(&[]));
    for full in ["0 3 * * *", "0 3 * * 1", "0 0 3 * * Mon-Fri", "@daily", "off"] {
        let config = parse(&runs(full)).unwrap_or_else(|error| panic!("{full}: {error}"));
        let shop = config.shops.values().next().unwrap();
        assert_eq!(shop.runs.full.to_string(), full);
    }
    let config = parse(&with(&[])).unwrap_or_else(|error| panic!("{error}"));
    let shop = config.shops.values().next().unwrap();
    assert_eq!(shop.runs.full.to_string(), "0 3 * * *", "every night");
    for (full, reason) in [
        ("3 o'clock", "five fields"),
        ("0 3 * * 8", "days of the week"),
        ("0 3 1 * 1", "a day of the week"),
        ("0 3 30 2 *", "no such time"),
        ("", "five fields"),
    ] {
        let shown = shown(&runs(full));
        for part in [reason, "lockstep.toml:20", "\"off\""] {
            assert!(shown.contains(part), "{full}: {part}: {shown}");
        }
    }
}

#[test]
fn what_serve_would_refuse_is_refused_here_at_its_own_line() {
    for (changes, expected) in [
        (
            ("[http]", "[log]\nlevel = \"lockstep=loud\"\n[http]"),
            "2: this is no log level",
        ),
        (
            ("[http]", "[store]\nurl = \"sqlite://x.db?mode=rwc\"\n[http]"),
            "2: this names no file, or has parameters",
        ),
        (
            ("[http]", "[store]\nurl = \"postgres://me@host:port/x\"\n[http]"),
            "2: this is no address of a store",
        ),
        (
            ("login =", "warehouse = true\nlogin ="),
            "13: `warehouse` must be a name in quotes or a database id, not true or false",
        ),
        (
            (
                "[shops.main.odoo]",
                "[shops.main.connection]\ntimeout_s = 5\nca_file = \"/nowhere/ca.pem\"\n[shops.main.odoo]",
            ),
            "12: cannot read /nowhere/ca.pem: No such file or directory (os error 2)",
        ),
        (
            (
                "login =",
                "connection.timeout_s = 5\nconnection.headers = { \"a b\" = \"c\" }\nlogin =",
            ),
            "14: header a b is not usable: its name has characters that are not allowed",
        ),
        (
            (
                "login =",
                "connection.timeout_s = 5\nconnection.proxy = \"::\"\nlogin =",
            ),
            "14: proxy is not usable: it is no address such as http://proxy.example.com:3128",
        ),
    ] {
        let text = with(&[changes]);
        assert_eq!(found(&text), [expected], "{text}");
    }
    let path = Path::new("/etc/c#d/lockstep.toml");
    let Err(ConfigError::Invalid(findings)) = Config::parse(&with(&[]), path, &environment) else {
        panic!("a folder that SQLite's addresses cannot name was accepted")
    };
    assert!(findings.to_string().contains("not allowed in it"), "{findings}");
}

#[test]
fn every_secret_may_stand_in_a_file_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lockstep.toml");
    for (file, content) in [
        ("store", "postgres://me:hunter2@db/lockstep\n"),
        ("proxy", "http://me:hunter2@proxy.example.com:3128\n"),
        ("headers", "X-Gate: hunter2\n\nX-Other: b\n"),
    ] {
        std::fs::write(folder.path().join(file), content).unwrap();
    }
    let files = "connection.proxy_file = \"proxy\"\nconnection.headers_file = \"headers\"\n";
    let text = with(&[
        ("[http]", "[store]\nurl_file = \"store\"\n[http]"),
        ("domain =", &format!("{files}domain =")),
    ]);
    let config = Config::parse(&text, &path, &environment).unwrap();
    assert_eq!(config.store.url, "postgres://me:hunter2@db/lockstep");
    assert!(!format!("{config:?}").contains("hunter2"), "{config:?}");

    std::fs::write(folder.path().join("headers"), "X-Gate: hunter2\nhunter2\n").unwrap();
    let twice = text
        .replace("url_file", "url = \"sqlite://a.db\"\nurl_file")
        .replace(
            "connection.proxy_file",
            "connection.proxy = \"http://a:1\"\nconnection.proxy_file",
        );
    for (text, expected) in [
        (
            &text,
            "headers_file line 2 is not usable: it must be `Name: value`",
        ),
        (&twice, "both `url` and `url_file` are set"),
        (
            &text.replace("\"store\"", "\"nowhere\""),
            "this file cannot be read",
        ),
    ] {
        let Err(ConfigError::Invalid(findings)) = Config::parse(text, &path, &environment) else {
            panic!("{expected}: accepted")
        };
        let findings = findings.to_string();
        assert!(
            findings.contains(expected) && !findings.contains("hunter2"),
            "{findings}"
        );
    }
}

#[test]
fn a_shop_may_have_any_name() {
    for name in ["hockey", "tokens", "my-secrets", "passwords", "headers"] {
        let rename = |text: String| text.replace("shops.main", &format!("shops.{name}"));
        let hash = |text: String| parse(&text).unwrap().hash;
        let on = hash(rename(with(&[])));
        let off = hash(rename(with(&[("{ in = \"on\" }", "{ in = \"off\" }")])));
        assert_ne!(on, off, "{name}: its toggles are part of the hash");
        let out = shown(&rename(with(&[("https://erp", "erp")])));
        assert!(out.contains("erp.example.com"), "{name}: {out}");
    }
}

#[test]
fn an_unencrypted_way_to_shopify_is_a_warning_unless_it_is_local() {
    for (address, warned) in [
        ("http://proxy.example.com", true),
        ("https://proxy.example.com", false),
        ("http://127.0.0.1:4010", false),
    ] {
        let line = format!("base_url = \"{address}\"\ndomain =");
        let out = shown(&with(&[("domain =", &line)]));
        assert_eq!(
            out.contains("the access token travels unencrypted"),
            warned,
            "{address}: {out}"
        );
    }
}

#[test]
fn where_webhooks_cannot_be_sent_to_is_refused_as_soon_as_a_real_shop_needs_it() {
    let local = ("domain =", "base_url = \"http://127.0.0.1:4010\"\ndomain =");
    let proxy = ("domain =", "base_url = \"https://proxy.example.com\"\ndomain =");
    let off = ("{ in = \"on\" }", "{ in = \"off\" }");
    let paused = ("{ in = \"on\" }", "{ in = \"paused\" }");
    for (url, changes, level) in [
        ("https://sync.example.com", &[][..], ""),
        ("https://sync.example.com/hooks", &[], ""),
        ("http://sync.example.com", &[], "error"),
        ("http://sync.example.com", &[paused], "error"),
        ("http://sync.example.com", &[off], "warning"),
        ("http://sync.example.com", &[proxy], "error"),
        ("https://127.0.0.1", &[], "error"),
        ("https://10.1.2.3:8443", &[], "error"),
        ("https://192.168.1.4", &[off], "warning"),
        ("https://172.16.0.1", &[], "error"),
        ("https://100.64.0.9", &[], "error"),
        ("https://100.128.0.9", &[], ""),
        ("https://169.254.169.254", &[], "error"),
        ("https://[::1]", &[], "error"),
        ("https://[fe80::1]", &[], "error"),
        ("https://[::ffff:10.0.0.1]", &[], "error"),
        ("https://localhost", &[], "error"),
        ("https://lockstep", &[], "error"),
        ("https://erp.local", &[], "error"),
        ("https://sync.internal.", &[], "error"),
        ("https://main-store.myshopify.com", &[], "error"),
        ("https://notmyshopify.com", &[], ""),
        // A stand-in shop sends anywhere.
        ("http://127.0.0.1:8080", &[local], ""),
        ("http://sync.example.com", &[local], ""),
    ] {
        let text = with(&[&[("https://sync.example.com", url)], changes].concat());
        let findings = match parse(&text) {
            Ok(config) => config.warnings,
            Err(ConfigError::Invalid(findings)) => *findings,
            Err(error) => panic!("{error}"),
        };
        let found = findings.rows().into_iter().find(|row| row.line == 3);
        let seen = match found.as_ref().map(|row| row.level) {
            None => "",
            Some(Level::Error) => "error",
            Some(Level::Warning) => "warning",
        };
        assert_eq!(seen, level, "{url} {changes:?}: {findings}");
        if let Some(row) = found {
            assert_eq!(
                row.message.contains("and [shops.main] needs it"),
                level == "error",
                "{row:?}"
            );
        }
    }
}

#[test]
fn a_file_without_a_public_address_can_be_used() {
    let config = parse(&with(&[("public_url = \"https://sync.example.com\"\n", "")])).unwrap();
    assert_eq!(
        config.warnings.rows()[0].message,
        "`public_url` is not set",
        "the first steps must not fail"
    );
}

#[test]
fn further_topics_are_checked_one_by_one_at_their_own_place() {
    insta::assert_snapshot!(shown(&with(&[(
        "orders = { in = \"on\" }",
        "orders = { in = \"on\", topics = [\n  \"orders/fulfilled\",\n  \"order/paid\",\n  \"customers/merge\",\n  \
         \"customers/redact\",\n  \"app/uninstalled\",\n  \"ORDERS_PAID\",\n  \"weather/changed\",\n] }\n\
         customers = { topics = [\"customers/merge\"] }\nproducts = { in = \"on\", topics = \"products/update\" }\n\
         inventory = { topics = [\"inventory_levels/update\", 7] }"
    )])));
}

#[test]
fn what_the_toggles_do_not_have_is_named_with_what_was_meant() {
    for (sync, expected) in [
        ("order = { in = \"on\" }", "17: unknown key `order`"),
        ("orders = { inn = \"on\" }", "17: unknown key `inn`"),
        ("orders = { both = \"on\" }", "17: unknown key `both`"),
        (
            "orders = { in = \"on\", when_off = \"discards\" }",
            "17: `when_off` has a value that is not one of: drain, hold, discard",
        ),
        (
            "orders = { in = \"on\", priority = 1 }",
            "17: `priority` must be a text in quotes",
        ),
        (
            "orders = { out = \"paused\" }",
            "17: orders are not carried from the ERP to Shopify",
        ),
    ] {
        let seen = found(&with(&[("orders = { in = \"on\" }", sync)]));
        assert!(seen.iter().any(|row| row == expected), "{sync}: {seen:?}");
    }
}

#[test]
fn one_store_is_declared_once() {
    let second = "\n[shops.second]\ndomain = \"Main-Store.myshopify.com\"\naccess_token = \"a\"\nwebhook_secrets = [\"b\"]\n\
        [shops.second.odoo]\nurl = \"https://erp.example.com\"\ndatabase = \"prod\"\nlogin = \"x\"\napi_key = \"y\"\n";
    let out = shown(&(with(&[]) + second));
    assert!(out.contains("[shops.main] has the same domain"), "{out}");
}

#[test]
fn a_secret_file_is_read_and_a_missing_one_is_an_error_at_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let text = with(&[("api_key = \"${ODOO_KEY}\"", "api_key_file = \"odoo-key\"")]);
    let path = folder.path().join("lockstep.toml");
    let Err(ConfigError::Invalid(findings)) = Config::parse(&text, &path, &environment) else {
        panic!("a missing file was accepted")
    };
    let rows = findings.rows();
    assert_eq!((rows.len(), rows[0].line), (1, 14), "{findings}");
    std::fs::write(folder.path().join("odoo-key"), "k\n").unwrap();
    Config::parse(&text, &path, &environment).unwrap();
}

#[test]
fn the_hash_follows_what_is_carried_over_and_not_secrets_or_layout() {
    let hash = |changes: &[(&str, &str)]| parse(&with(changes)).unwrap().hash;
    let base = hash(&[]);
    for (changes, same) in [
        (("${ODOO_KEY}", "another"), true),
        (("orders = { in", "# a remark\norders   = { in"), true),
        (("0.0.0.0:8080", "0.0.0.0:8090"), true),
        (("https://sync.example.com", "https://hooks.example.com"), false),
        (("{ in = \"on\" }", "{ in = \"paused\" }"), false),
        (("database = \"prod\"", "database = \"test\""), false),
    ] {
        assert_eq!(hash(&[changes]) == base, same, "{changes:?}");
    }
    // Nodes may keep their files in different places.
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("key"), "k").unwrap();
    let file = format!("api_key_file = \"{}\"", folder.path().join("key").display());
    assert_eq!(hash(&[("api_key = \"${ODOO_KEY}\"", &file)]), base);
}

#[test]
fn the_schema_in_the_docs_is_the_schema_of_this_version() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference/config.schema.json");
    let fresh = serde_json::to_string_pretty(&schema()).unwrap() + "\n";
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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Cuts, doubles, exchanges and overwrites pieces of a good file.
    #[test]
    fn damage_never_panics_and_always_names_a_line(
        damages in proptest::collection::vec((0_usize..2000, 0_usize..60, "[\\PC\n]{0,12}|=|\\[|\"|\\$\\{|\\{ in = 5 \\}|[0-9]{1,30}"), 1..6)
    ) {
        let mut text = EXAMPLE.to_owned();
        for (at, length, put) in damages {
            let (from, to) = (floor(&text, at), floor(&text, at + length));
            text.replace_range(from..to, &put);
        }
        let lines = text.split('\n').count();
        let findings = match parse(&text) {
            Ok(config) => config.warnings,
            Err(ConfigError::Invalid(findings)) => {
                prop_assert!(findings.errors() > 0);
                *findings
            }
            Err(error) => panic!("{error}"),
        };
        for row in findings.rows() {
            prop_assert!((1..=lines).contains(&row.line), "{}", row.line);
            prop_assert!(!row.message.is_empty());
        }
        let handler = GraphicalReportHandler::new_themed(GraphicalTheme::none());
        for report in findings.reports() {
            handler.render_report(&mut String::new(), &report).unwrap();
        }
    }
}

fn floor(text: &str, at: usize) -> usize {
    let at = at.min(text.len());
    (0..=at).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}
