//! The allowed directions of dependency between modules, read from the sources themselves.
//!
//! `domain` uses nothing of ours. The pillars (`store`, `shopify`, `erp`, `mapping`, `notify`) use `domain` and the leaves, never each
//! other. `sync` joins the pillars. `queue` knows `domain` and `store` and runs handlers through a trait that it owns.
//! `config` embeds every module's settings. `http` knows no pillar but the store. `app` wires everything; `cli` and `demo`
//! call `app`. `sandbox` uses nothing of ours, so that it cannot share our mistakes.
//!
//! The same eyes see to it that a release build cannot be told to fail or to live in another time.

mod reader;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use reader::{blanked, closing, depth, item_start, uses};

/// Leaves that everybody but `domain` and `sandbox` may use.
const LEAVES: &[&str] = &["domain", "failpoint", "files", "secret", "telemetry", "transport"];

/// What each module may use besides itself.
fn allowed() -> BTreeMap<&'static str, Vec<&'static str>> {
    let with_leaves = |more: &[&'static str]| [LEAVES, more].concat();
    BTreeMap::from([
        ("domain", vec![]),
        ("failpoint", vec!["domain"]),
        ("files", vec![]),
        ("secret", vec!["files"]),
        ("telemetry", vec!["domain"]),
        ("transport", vec!["domain", "files"]),
        ("sandbox", vec![]),
        ("store", with_leaves(&[])),
        ("subscriptions", with_leaves(&["store", "shopify"])),
        (
            "reconcile",
            with_leaves(&["store", "shopify", "erp", "sync", "poll"]),
        ),
        ("poll", with_leaves(&["store", "erp"])),
        ("shopify", with_leaves(&[])),
        ("erp", with_leaves(&[])),
        ("mapping", with_leaves(&[])),
        ("notify", with_leaves(&[])),
        ("queue", with_leaves(&["store"])),
        ("http", with_leaves(&["store"])),
        ("sync", with_leaves(&["store", "shopify", "erp", "mapping"])),
        (
            "config",
            with_leaves(&[
                "store",
                "shopify",
                "erp",
                "mapping",
                "queue",
                "http",
                "sync",
                "subscriptions",
                "reconcile",
                "notify",
            ]),
        ),
        (
            "app",
            with_leaves(&[
                "config",
                "store",
                "shopify",
                "erp",
                "mapping",
                "queue",
                "http",
                "sync",
                "subscriptions",
                "reconcile",
                "poll",
                "notify",
            ]),
        ),
        (
            "cli",
            with_leaves(&["app", "config", "demo", "store", "mapping", "subscriptions"]),
        ),
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

/// Our source files with their place below `src`.
fn all_sources() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    assert!(files.len() > 20, "the sources were found");
    files
        .into_iter()
        .map(|file| {
            let inside = file.strip_prefix(&root).expect("it was found below the root");
            (
                inside.to_owned(),
                fs::read_to_string(&file).expect("a source can be read"),
            )
        })
        .collect()
}

#[test]
fn modules_depend_on_each_other_only_in_the_allowed_directions() {
    let allowed = allowed();
    let mut wrong = Vec::new();
    for (inside, text) in all_sources() {
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
                "{module} is a new module: give it its directions in tests/architecture/main.rs"
            ));
            continue;
        };
        let root = if module == "main" { "lockstep" } else { "crate" };
        for used in uses(&text, root, depth(&inside)) {
            let known = used == "*" || allowed.contains_key(used.as_str());
            if used != module && known && !may_use.contains(&used.as_str()) {
                wrong.push(format!("{} uses {used}", inside.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "forbidden dependencies:\n{}", wrong.join("\n"));
}

#[test]
fn the_reader_sees_every_way_to_name_a_module_and_nothing_else() {
    for (name, depth, text, expected) in [
        (
            "comments",
            1,
            "//! crate::http\n/* crate::cli */ // crate::app",
            &[][..],
        ),
        (
            "strings",
            1,
            "let a = \"crate::http\"; let b = r#\"crate::cli \" \"#; let c = '\"'; crate::erp::f();",
            &["erp"],
        ),
        (
            "one line",
            1,
            "use crate::{domain::X, store};",
            &["domain", "store"],
        ),
        (
            "several lines",
            1,
            "use crate::{\n    domain::{A, B},\n    erp,\n    store::{\n        C,\n    },\n};",
            &["domain", "erp", "store"],
        ),
        (
            "outside of use",
            1,
            "fn f() -> crate::erp::X { <crate::http::Y>::new() }",
            &["erp", "http"],
        ),
        ("through a macro", 1, "$crate::cli::run!()", &["cli"]),
        ("everything", 1, "use crate::*;", &["*"]),
        (
            "below a declaration",
            1,
            "#[cfg(test)]\nmod tests;\nuse crate::cli;",
            &["cli"],
        ),
        (
            "below unit tests",
            1,
            "#[cfg(test)]\nmod tests { fn f() { use crate::app; } }\nuse crate::cli;",
            &["cli"],
        ),
        (
            "attributes between",
            1,
            "#[cfg(test)]\n#[expect(x, reason = \"{\")]\npub(super) mod tests { use crate::app; }",
            &[],
        ),
        (
            "super of a module root",
            1,
            "use super::cli; fn f() { super::app::g() }",
            &["app", "cli"],
        ),
        (
            "a list of super",
            1,
            "use super::{http::A, erp};",
            &["erp", "http"],
        ),
        (
            "super inside",
            2,
            "use super::cli; use super::super::app;",
            &["app"],
        ),
        (
            "super of an inline module",
            1,
            "mod inner { use super::cli; use super::super::app; }\nuse super::erp;",
            &["app", "erp"],
        ),
        ("nested super", 2, "use super::{super::http, store};", &["http"]),
        (
            "lifetimes",
            1,
            "fn f<'a>(a: &'a str) -> char { '\\'' } use crate::erp;",
            &["erp"],
        ),
    ] {
        let found: Vec<String> = uses(text, "crate", depth).into_iter().collect();
        assert_eq!(found, expected, "{name}");
    }
    for (file, expected) in [
        ("store/mod.rs", 1),
        ("secret.rs", 1),
        ("lib.rs", 0),
        ("store/open.rs", 2),
        ("a/b/mod.rs", 2),
    ] {
        assert_eq!(depth(Path::new(file)), expected, "{file}");
    }
}

/// What only a debug build may know.
const DEBUG_ONLY: [&str; 2] = ["LOCKSTEP_FAIL", "LOCKSTEP_CLOCK"];

/// The lines that name one of these outside of comments and of items under `#[cfg(debug_assertions)]`.
fn known_to_releases(text: &str) -> Vec<usize> {
    let code = blanked(text, true);
    let readable = blanked(text, false);
    let mark = "#[cfg(debug_assertions)]";
    let gated: Vec<_> = code
        .match_indices(mark)
        .map(|(at, _)| {
            let start = item_start(&code, at + mark.len());
            let end = code[start..]
                .find(['{', ';'])
                .map_or(code.len(), |found| start + found);
            at..if code[end..].starts_with('{') {
                closing(&code, end)
            } else {
                end
            }
        })
        .collect();
    DEBUG_ONLY
        .iter()
        .flat_map(|name| readable.match_indices(name))
        .filter(|(at, _)| !gated.iter().any(|range| range.contains(at)))
        .map(|(at, _)| readable[..at].matches('\n').count() + 1)
        .collect()
}

#[test]
fn a_release_build_knows_no_fail_points_and_no_shifted_clock() {
    let mut wrong = Vec::new();
    let mut named = 0;
    for (inside, text) in all_sources() {
        named += DEBUG_ONLY.iter().filter(|name| text.contains(**name)).count();
        wrong.extend(
            known_to_releases(&text)
                .into_iter()
                .map(|line| format!("{}:{line}", inside.display())),
        );
    }
    assert!(named >= DEBUG_ONLY.len(), "the names are still looked for");
    assert!(
        wrong.is_empty(),
        "not under #[cfg(debug_assertions)]:\n{}",
        wrong.join("\n")
    );
    let manifest = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml"))
        .expect("the manifest can be read");
    assert!(
        !manifest.contains("debug-assertions"),
        "a profile that switches them on would make releases of debug builds"
    );
}

#[test]
fn what_releases_know_is_seen() {
    for (name, text, expected) in [
        ("a comment", "// LOCKSTEP_FAIL", &[][..]),
        ("plain", "fn f() {\n    var(\"LOCKSTEP_FAIL\");\n}", &[2]),
        (
            "gated",
            "#[cfg(debug_assertions)]\nfn f() { if a { b(\"}\") } var(\"LOCKSTEP_CLOCK\"); }",
            &[],
        ),
        (
            "in a gated module",
            "#[cfg(debug_assertions)]\n#[allow(x)]\nmod a { fn f() { var(\"LOCKSTEP_FAIL\"); } }",
            &[],
        ),
        (
            "a gated constant",
            "#[cfg(debug_assertions)]\nconst A: &str = \"LOCKSTEP_FAIL\";\nconst B: &str = \"LOCKSTEP_FAIL\";",
            &[3],
        ),
        (
            "behind a gated item",
            "#[cfg(debug_assertions)]\nfn f() {}\nfn g() { var(\"LOCKSTEP_CLOCK\") }",
            &[3],
        ),
        (
            "gated the other way",
            "#[cfg(not(debug_assertions))]\nfn f() { var(\"LOCKSTEP_FAIL\") }",
            &[2],
        ),
    ] {
        assert_eq!(known_to_releases(text), expected, "{name}");
    }
}
