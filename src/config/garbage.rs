//! Garbage in every field: each leaf of the published schema gets values that do not belong there.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use miette::{GraphicalReportHandler, GraphicalTheme};
use serde_json::Value;

use super::{Config, ConfigError, Findings, Level};

/// A file that is accepted, as one line for each value.
fn base() -> BTreeMap<String, String> {
    [
        ("http.public_url", "\"https://sync.example.com\""),
        ("notify.endpoints.main.events", "[\"order.*\"]"),
        ("notify.endpoints.main.url", "\"https://hooks.example.com/x\""),
        ("shops.main.domain", "\"main-store.myshopify.com\""),
        ("shops.main.access_token", "\"token\""),
        ("shops.main.webhook_secrets", "[\"secret\"]"),
        ("shops.main.odoo.url", "\"https://erp.example.com\""),
        ("shops.main.odoo.database", "\"prod\""),
        ("shops.main.odoo.login", "\"connector@example.com\""),
        ("shops.main.odoo.api_key", "\"key\""),
        ("shops.main.sync.orders.in", "\"on\""),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .into()
}

/// The text with `value` at `leaf`, and the line on which it stands.
fn with(leaf: &str, value: &str) -> (String, usize) {
    let mut values = base();
    values.insert(leaf.to_owned(), value.to_owned());
    let mut text = String::new();
    let mut place = 0;
    for (n, (key, value)) in values.iter().enumerate() {
        writeln!(text, "{key} = {value}").unwrap();
        if key == leaf {
            place = n + 1;
        }
    }
    (text, place)
}

/// The paths of everything that is no table of known keys.
fn leaves(schema: &Value, node: &Value, path: &str, found: &mut Vec<String>) {
    let mut tables = Vec::new();
    tables_of(schema, node, &mut tables);
    let mut keys: Vec<(String, &Value)> = Vec::new();
    for table in tables {
        for (key, value) in table["properties"].as_object().into_iter().flatten() {
            keys.push((key.clone(), value));
        }
        // Names that people choose.
        if table["additionalProperties"].is_object() {
            keys.push(("main".to_owned(), &table["additionalProperties"]));
        }
    }
    if keys.is_empty() {
        found.push(path.to_owned());
    }
    for (key, value) in keys {
        let path = if path.is_empty() {
            key
        } else {
            format!("{path}.{key}")
        };
        leaves(schema, value, &path, found);
    }
}

/// Every alternative of a node that is a table.
fn tables_of<'s>(schema: &'s Value, node: &'s Value, found: &mut Vec<&'s Value>) {
    if let Some(name) = node["$ref"]
        .as_str()
        .and_then(|name| name.strip_prefix("#/$defs/"))
    {
        tables_of(schema, &schema["$defs"][name], found);
    }
    for either in node["anyOf"].as_array().into_iter().flatten() {
        tables_of(schema, either, found);
    }
    if node["properties"].is_object() || node["additionalProperties"].is_object() {
        found.push(node);
    }
}

#[test]
fn every_leaf_of_the_schema_takes_garbage_or_names_its_line() {
    let schema = super::schema();
    let mut all = Vec::new();
    leaves(&schema, &schema, "", &mut all);
    for known in [
        "store.url_file",
        "queue.breaker.failures",
        "notify.endpoints.main.url_file",
        "notify.endpoints.main.secrets_files",
        "notify.endpoints.main.hmac.secret_file",
        "notify.endpoints.main.auth.password_file",
        "notify.endpoints.main.auth.bearer_file",
        "notify.endpoints.main.body.template_file",
        "notify.endpoints.main.client_certificate_file",
        "notify.endpoints.main.ca_file",
        "notify.endpoints.main.headers.main",
        "shops.main.connection.headers.main",
        "shops.main.odoo.connection.proxy_file",
        "shops.main.odoo.services.main",
        "shops.main.sync.inventory.out",
        "shops.main.flow.tax_tolerance",
    ] {
        assert!(
            all.iter().any(|leaf| leaf == known),
            "{known} is not among {all:?}"
        );
    }
    assert!(all.len() > 80, "{}", all.len());
    let long = format!("\"{}\"", "x".repeat(10_000));
    let garbage = [
        "0",
        "-1",
        "9223372036854775807",
        "\"\"",
        long.as_str(),
        "true",
        "1.5",
        "[[1], \"a\"]",
        "{ a = { b = 1 } }",
        "{}",
        "1979-05-27T07:32:00Z",
        "\"${NOWHERE}\"",
    ];
    for leaf in &all {
        for value in garbage {
            let (text, place) = with(leaf, value);
            let what = || format!("{leaf} = {}", &value[..value.len().min(40)]);
            let findings = match Config::parse(&text, Path::new("/nowhere/lockstep.toml"), &|_| None) {
                Ok(_) => continue,
                Err(ConfigError::Invalid(findings)) => *findings,
                Err(error) => panic!("{}: {error}", what()),
            };
            assert!(
                findings
                    .rows()
                    .iter()
                    .any(|row| row.level == Level::Error && row.line == place),
                "{}: line {place}, but {findings}",
                what()
            );
            can_be_shown(&findings);
        }
    }
}

fn can_be_shown(findings: &Findings) {
    for row in findings.rows() {
        assert!(
            !row.message.is_empty() && row.message.len() < 1_000,
            "{}",
            row.message
        );
    }
    let handler = GraphicalReportHandler::new_themed(GraphicalTheme::none());
    for report in findings.reports() {
        handler.render_report(&mut String::new(), &report).unwrap();
    }
}
