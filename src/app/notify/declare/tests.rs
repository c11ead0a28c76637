//! Files as people write them, and what becomes of their endpoints.

use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;

use serde_json::json;

use super::*;
use crate::config::ConfigError;
use crate::domain::SystemEntropy;
use crate::notify::SigningSecret;

const HEAD: &str = r#"# Ours.
[shops.main]
domain = "main-store.myshopify.com"
access_token = "${TOKEN}"
webhook_secrets = ["hunter2"]
odoo = { url = "https://erp.example.com", database = "prod", login = "connector@example.com", api_key = "${TOKEN}" }
"#;

const CHAT: &str = r#"
# Ask Ada before changing this.
[notify.endpoints.chat]
url = "https://hooks.example.com/T0/secret" # of the team's channel
events = ["order.*"]    # all of them
concurrency = 1

[notify.endpoints.chat.body]
template = "{{ event.id }}"   # short
mime = "text/plain"

# The other one.
[notify.endpoints.sheet]
url = "https://sheets.example.com/1"
events = ["*"]
"#;

struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new(text: &str) -> Self {
        let place = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        std::fs::write(place.path(), text).unwrap();
        place
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("lockstep.toml")
    }

    fn text(&self) -> String {
        std::fs::read_to_string(self.path()).unwrap()
    }

    fn files(&self) -> Vec<String> {
        let names = std::fs::read_dir(self.folder.path()).unwrap();
        let mut names: Vec<String> = names
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    fn declare(&self, wanted: &Declaration, extent: &Extent) -> Result<Declared, DeclareError> {
        let entropy: SharedEntropy = Arc::new(SystemEntropy);
        let environment = |name: &str| (name == "TOKEN").then(|| "token".to_owned());
        declare_with(&self.path(), wanted, extent, &entropy, &environment)
    }
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        other => panic!("{other}"),
    }
}

fn new(endpoint: &str, values: Value) -> Declaration {
    Declaration {
        endpoint: endpoint.to_owned(),
        what: Declare::New(object(values)),
        new_secret: false,
        from_afar: false,
    }
}

fn change(endpoint: &str, values: Value) -> Declaration {
    Declaration {
        what: Declare::Changed(object(values)),
        ..new(endpoint, json!({}))
    }
}

fn remove(endpoint: &str) -> Declaration {
    Declaration {
        what: Declare::Removed,
        ..new(endpoint, json!({}))
    }
}

#[test]
fn a_new_endpoint_is_added_and_nothing_else_changes() {
    let wanted = new(
        "crm",
        json!({ "url": "https://crm.example.com/in", "events": ["order.synced", "sync.failed"], "rate": "50/s", "batch": 10,
                "unique": true, "owner": null, "headers": { "X-Team": "one" } }),
    );
    let section = "[notify.endpoints.crm]\nurl = \"https://crm.example.com/in\"\n\
                   events = [\"order.synced\", \"sync.failed\"]\nrate = \"50/s\"\nbatch = 10\nunique = true\n\
                   headers = { X-Team = \"one\" }\n";
    for (name, text) in [
        ("the first", HEAD.to_owned()),
        ("one of several", format!("{HEAD}{CHAT}")),
        (
            "beside other settings",
            format!("{HEAD}[notify]\nkeep_days = 7 # a week\n"),
        ),
    ] {
        let place = Place::new(&text);
        let declared = place.declare(&wanted, &Extent::Write).unwrap();
        assert!(declared.written, "{name}");
        let after = place.text();
        let Some(rest) = after.strip_prefix(text.as_str()) else {
            panic!("{name}: {after}");
        };
        let mut lines: Vec<&str> = rest.trim_start().lines().collect();
        let mut expected: Vec<&str> = section.lines().collect();
        lines.sort_unstable();
        expected.sort_unstable();
        assert_eq!(lines, expected, "{name}: {after}");
        assert!(
            !declared.diff.contains("crm.example.com"),
            "an address may be a secret: {}",
            declared.diff
        );
        let again = place.declare(&wanted, &Extent::Write);
        assert!(matches!(again, Err(DeclareError::There(_))), "{name}: {again:?}");
        assert_eq!(place.files(), ["lockstep.toml"], "{name}");
    }
}

#[test]
fn a_change_keeps_comments_and_layout_and_goes_key_by_key() {
    let text = format!("{HEAD}{CHAT}");
    for (values, from, to) in [
        (
            json!({ "events": ["customer.*"] }),
            "events = [\"order.*\"]    # all of them",
            "events = [\"customer.*\"]    # all of them",
        ),
        (json!({ "concurrency": null }), "concurrency = 1\n", ""),
        (
            json!({ "concurrency": 5, "owner": null }),
            "concurrency = 1\n",
            "concurrency = 5\n",
        ),
        (
            json!({ "state": "paused" }),
            "concurrency = 1\n",
            "concurrency = 1\nstate = \"paused\"\n",
        ),
        (
            json!({ "body": { "template": "{{ event.type }}" } }),
            "template = \"{{ event.id }}\"   # short",
            "template = \"{{ event.type }}\"   # short",
        ),
    ] {
        assert!(text.contains(from), "{from}");
        for (ends, text) in [("\n", text.clone()), ("\r\n", text.replace('\n', "\r\n"))] {
            let place = Place::new(&format!("\u{feff}{text}"));
            place
                .declare(&change("chat", values.clone()), &Extent::Write)
                .unwrap();
            let expected = text.replace(&from.replace('\n', ends), &to.replace('\n', ends));
            assert_eq!(place.text(), format!("\u{feff}{expected}"), "{values}");
        }
    }
    let place = Place::new(&text);
    let same = place
        .declare(&change("chat", json!({ "concurrency": 1 })), &Extent::Write)
        .unwrap();
    assert!(!same.written && same.diff.is_empty());
}

#[test]
fn every_way_to_write_an_endpoint_is_understood() {
    for (name, notify, expected) in [
        (
            "on one line",
            "[notify.endpoints]\nchat = { url = 'https://a.example', events = ['*'] } # c\n",
            "[notify.endpoints]\nchat = { url = 'https://a.example', events = ['*'], batch = 5 } # c\n",
        ),
        (
            "dotted",
            "[notify]\nendpoints.chat.url = 'https://a.example'\nendpoints.chat.events = ['*']\n",
            "[notify]\nendpoints.chat.url = 'https://a.example'\nendpoints.chat.events = ['*']\nendpoints.chat.batch = 5\n",
        ),
        (
            "quoted",
            "[\"notify\".'endpoints'.\"chat\"]\nurl = 'https://a.example'\nevents = ['*']\n",
            "[\"notify\".'endpoints'.\"chat\"]\nurl = 'https://a.example'\nevents = ['*']\nbatch = 5\n",
        ),
    ] {
        let place = Place::new(&format!("{HEAD}{notify}"));
        place
            .declare(&change("chat", json!({ "batch": 5 })), &Extent::Write)
            .unwrap();
        assert_eq!(place.text(), format!("{HEAD}{expected}"), "{name}");
        place
            .declare(
                &new("two", json!({ "url": "https://b.example", "events": ["*"] })),
                &Extent::Write,
            )
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        place.declare(&remove("chat"), &Extent::Write).unwrap();
        place.declare(&remove("two"), &Extent::Write).unwrap();
        let left = place.text();
        assert!(
            !left.contains("chat") && !left.contains("b.example"),
            "{name}: {left}"
        );
    }
}

#[test]
fn what_is_taken_out_goes_with_its_tables_and_the_others_stay() {
    let place = Place::new(&format!("{HEAD}{CHAT}"));
    let planned = place.declare(&remove("chat"), &Extent::Plan).unwrap();
    assert!(
        !planned.written && planned.diff.contains("-[notify.endpoints.chat.body]"),
        "{}",
        planned.diff
    );
    assert_eq!(place.text(), format!("{HEAD}{CHAT}"), "a plan writes nothing");
    let stale = Extent::Agreed("another".to_owned());
    let differs = place.declare(&remove("chat"), &stale).unwrap();
    assert!(differs.differs && !differs.written);
    let done = place
        .declare(&remove("chat"), &Extent::Agreed(planned.hash))
        .unwrap();
    assert!(done.written);
    let rest = CHAT.split_once("\n# The other one.").unwrap().1;
    assert_eq!(place.text(), format!("{HEAD}\n# The other one.{rest}"));
    assert!(matches!(
        place.declare(&remove("chat"), &Extent::Write),
        Err(DeclareError::Unknown(_))
    ));
}

#[test]
fn a_new_secret_is_made_kept_beside_the_file_and_told_once() {
    let place = Place::new(HEAD);
    std::fs::set_permissions(place.path(), std::fs::Permissions::from_mode(0o644)).unwrap();
    let wanted = Declaration {
        new_secret: true,
        ..new(
            "crm",
            json!({ "url": "https://crm.example.com/in", "events": ["*"] }),
        )
    };
    let planned = place.declare(&wanted, &Extent::Plan).unwrap();
    assert_eq!(place.files(), ["lockstep.toml"], "a plan leaves no secret behind");
    assert!(planned.secret.is_none());
    let made = place.declare(&wanted, &Extent::Agreed(planned.hash)).unwrap();
    assert!(made.written, "{made:?}");
    let file = place.folder.path().join("notify-crm.secret");
    assert_eq!(made.secret_file.as_deref(), Some(file.as_path()));
    let kept = std::fs::read_to_string(&file).unwrap();
    assert_eq!(made.secret.as_deref(), Some(kept.trim()));
    SigningSecret::parse(&kept).unwrap();
    let mode = std::fs::metadata(&file).unwrap().permissions().mode() & 0o777;
    assert_eq!(
        mode, 0o640,
        "the world may not read it, though it may read the configuration"
    );
    assert!(
        place.text().contains("secrets_files = [\"notify-crm.secret\"]"),
        "{}",
        place.text()
    );

    // One that is being rotated signs beside the one before.
    let rotated = Declaration {
        what: Declare::Changed(Map::new()),
        ..wanted
    };
    let next = place.declare(&rotated, &Extent::Write).unwrap();
    assert_ne!(next.secret, made.secret);
    assert!(
        place
            .text()
            .contains("secrets_files = [\"notify-crm-2.secret\", \"notify-crm.secret\"]"),
        "{}",
        place.text()
    );
}

#[test]
fn what_cannot_be_used_is_refused_and_nothing_is_left_behind() {
    let text = format!("{HEAD}{CHAT}");
    let place = Place::new(&text);
    for (wanted, part) in [
        (
            new("crm", json!({ "url": "no address", "events": ["*"] })),
            "address",
        ),
        (
            new(
                "crm",
                json!({ "url": "https://crm.example.com", "events": ["oder.*"] }),
            ),
            "oder.*",
        ),
        (
            new(
                "crm",
                json!({ "urll": "https://crm.example.com", "events": ["*"] }),
            ),
            "urll",
        ),
        (change("chat", json!({ "concurrency": 0 })), "concurrency = 0"),
        (change("chat", json!({ "condition": "order.totl > 1" })), "totl"),
    ] {
        let wanted = Declaration {
            new_secret: true,
            ..wanted
        };
        let refused = place.declare(&wanted, &Extent::Write).unwrap_err();
        let DeclareError::Edit(EditError::Refused(ConfigError::Invalid(findings))) = &refused else {
            panic!("{refused:?}");
        };
        let told = findings.in_words();
        assert!(told.contains(part), "{part}: {told}");
        assert_eq!(place.text(), text, "{part}");
        assert_eq!(place.files(), ["lockstep.toml"], "{part}");
    }
    for name in ["../chat", "Chat", "", "a b"] {
        let refused = place.declare(&new(name, json!({})), &Extent::Write);
        assert!(
            matches!(refused, Err(DeclareError::Name(_))),
            "{name}: {refused:?}"
        );
    }
    for value in [json!([null]), json!(u64::MAX)] {
        let refused = place.declare(&change("chat", json!({ "batch": value })), &Extent::Write);
        assert!(matches!(refused, Err(DeclareError::Value { .. })), "{refused:?}");
    }
    let broken = Place::new("[shops");
    let refused = broken.declare(&new("crm", json!({})), &Extent::Write);
    assert!(
        matches!(refused, Err(DeclareError::Edit(EditError::Config(_)))),
        "{refused:?}"
    );
}

#[test]
fn a_file_that_may_not_be_written_is_left_and_the_secret_with_it() {
    let place = Place::new(HEAD);
    std::fs::set_permissions(place.path(), std::fs::Permissions::from_mode(0o444)).unwrap();
    let wanted = Declaration {
        new_secret: true,
        ..new(
            "crm",
            json!({ "url": "https://crm.example.com/in", "events": ["*"] }),
        )
    };
    let left = place.declare(&wanted, &Extent::Write).unwrap();
    assert!(!left.written && left.read_only.is_some() && left.secret.is_none());
    assert!(left.diff.contains("+[notify.endpoints.crm]"), "{}", left.diff);
    assert_eq!(place.files(), ["lockstep.toml"]);
}
