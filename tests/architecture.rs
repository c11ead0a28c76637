//! The allowed directions of dependency between modules, read from the sources themselves.
//!
//! `domain` uses nothing of ours. The pillars (`store`, `shopify`, `erp`, `mapping`) use `domain` and the leaves, never each
//! other. `sync` joins the pillars. `queue` knows `domain` and `store` and runs handlers through a trait that it owns.
//! `config` embeds every module's settings. `http` knows no pillar but the store. `app` wires everything; `cli` and `demo`
//! call `app`. `sandbox` uses nothing of ours, so that it cannot share our mistakes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Leaves that everybody but `domain` and `sandbox` may use.
const LEAVES: &[&str] = &["domain", "failpoint", "secret", "telemetry", "transport"];

/// What each module may use besides itself.
fn allowed() -> BTreeMap<&'static str, Vec<&'static str>> {
    let with_leaves = |more: &[&'static str]| [LEAVES, more].concat();
    BTreeMap::from([
        ("domain", vec![]),
        ("failpoint", vec!["domain"]),
        ("secret", vec![]),
        ("telemetry", vec!["domain"]),
        ("transport", vec!["domain"]),
        ("sandbox", vec![]),
        ("store", with_leaves(&[])),
        ("shopify", with_leaves(&[])),
        ("erp", with_leaves(&[])),
        ("mapping", with_leaves(&[])),
        ("queue", with_leaves(&["store"])),
        ("http", with_leaves(&["store"])),
        ("sync", with_leaves(&["store", "shopify", "erp", "mapping"])),
        (
            "config",
            with_leaves(&["store", "shopify", "erp", "mapping", "queue", "http", "sync"]),
        ),
        (
            "app",
            with_leaves(&[
                "config", "store", "shopify", "erp", "mapping", "queue", "http", "sync",
            ]),
        ),
        ("cli", with_leaves(&["app", "config", "demo", "store", "mapping"])),
        ("demo", with_leaves(&["app", "config", "sandbox", "store"])),
        ("main", vec!["cli"]),
        ("lib", vec![]),
    ])
}

/// All Rust files below `folder`.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("the source folder can be read") {
        let path = entry.expect("its entries can be read").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The modules that `text` names after `prefix` (`crate::`, or `lockstep::` in the binary), comments aside.
fn uses(text: &str, prefix: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    // Unit tests may join modules that the code itself must not.
    let code = text.split("\n#[cfg(test)]\nmod ").next().unwrap_or(text);
    for line in code.lines().filter(|line| !line.trim_start().starts_with("//")) {
        for (at, _) in line.match_indices(prefix) {
            let rest = &line[at + prefix.len()..];
            let listed: Vec<&str> = match rest.strip_prefix('{') {
                Some(list) => list.split(',').collect(),
                None => vec![rest],
            };
            for item in listed {
                let name: String = item
                    .trim()
                    .chars()
                    .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
                    .collect();
                if !name.is_empty() && name != "self" {
                    names.insert(name);
                }
            }
        }
    }
    names
}

#[test]
fn modules_depend_on_each_other_only_in_the_allowed_directions() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let allowed = allowed();
    let mut files = Vec::new();
    sources(&root, &mut files);
    assert!(files.len() > 20, "the sources were found");
    let mut wrong = Vec::new();
    for file in files {
        let inside = file.strip_prefix(&root).expect("it was found below the root");
        // Test support beside the code may join modules like unit tests do.
        if inside
            .file_stem()
            .is_some_and(|stem| stem == "tests" || stem == "testing")
            || inside.components().any(|part| part.as_os_str() == "tests")
        {
            continue;
        }
        let first = inside
            .components()
            .next()
            .expect("it has a name")
            .as_os_str()
            .to_string_lossy()
            .into_owned();
        let module = first.trim_end_matches(".rs").to_owned();
        let Some(may_use) = allowed.get(module.as_str()) else {
            wrong.push(format!(
                "{module} is a new module: give it its directions in tests/architecture.rs"
            ));
            continue;
        };
        let prefix = if module == "main" { "lockstep::" } else { "crate::" };
        for used in uses(&fs::read_to_string(&file).expect("a source can be read"), prefix) {
            if used != module && allowed.contains_key(used.as_str()) && !may_use.contains(&used.as_str()) {
                wrong.push(format!("{} uses {used}", inside.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "forbidden dependencies:\n{}", wrong.join("\n"));
}

#[test]
fn the_reader_sees_plain_and_grouped_uses_but_no_comments_or_unit_tests() {
    let text = "//! crate::http\nuse crate::{domain::X, store};\nlet a = crate::erp::f();\n#[cfg(test)]\nmod tests { use crate::cli; }";
    assert_eq!(
        uses(text, "crate::"),
        ["domain", "erp", "store"].map(str::to_owned).into()
    );
}
