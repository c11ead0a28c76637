//! The table is held against the sources.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::*;

/// Codes of failures that only tests ask for.
const ONLY_TESTS: [&str; 2] = ["injected", "injected_failure"];

/// What stands before a code in the sources: a literal, or the name of a constant.
const BEFORE: [&str; 9] = [
    "problem(",
    "own_fault(job,",
    "ProblemCode::from(",
    "code: ",
    "let code = ",
    "CODE: &str = ",
    "error(",
    "fail(",
    "wrong(",
];

/// Files in which every arm of a `match` names a code.
const MATCHES: [&str; 3] = ["shopify/error.rs", "erp/types.rs", "mapping/words.rs"];

/// A file whose constants are codes.
const CONSTANTS: &str = "app/subscriptions/problems.rs";

fn sources() -> BTreeMap<PathBuf, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = BTreeMap::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let skipped = ["tests", "tests.rs", "conformance", "catalogue", "sandbox", "demo"];
            if skipped.contains(&name.as_str()) {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|kind| kind == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                let end = text.find("#[cfg(test)]\nmod tests {").unwrap_or(text.len());
                let name = path.strip_prefix(&root).unwrap().to_owned();
                found.insert(name, text[..end].to_owned());
            }
        }
    }
    found
}

fn is_code(text: &str) -> bool {
    text.contains('_')
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
        && text.starts_with(|letter: char| letter.is_ascii_lowercase())
}

/// The literal that a text begins with.
fn literal(text: &str) -> Option<&str> {
    let inside = text.trim_start().strip_prefix('"')?;
    inside.split('"').next()
}

/// The values of the constants in a text, by name.
fn constants(text: &str) -> BTreeMap<&str, &str> {
    text.split("const ")
        .skip(1)
        .filter_map(|rest| {
            let (name, rest) = rest.split_once(": &str =")?;
            Some((name, literal(rest)?))
        })
        .filter(|(name, _)| name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_'))
        .collect()
}

/// The codes that the sources use where it can be seen, with a file for each.
fn used() -> BTreeMap<String, PathBuf> {
    let sources = sources();
    let everywhere: BTreeMap<&str, &str> = sources.values().flat_map(|text| constants(text)).collect();
    let mut used = BTreeMap::new();
    for (path, text) in &sources {
        let own = constants(text);
        let mut codes: Vec<&str> = Vec::new();
        for before in BEFORE {
            for rest in text.split(before).skip(1) {
                let rest = rest.trim_start();
                if let Some(code) = literal(rest) {
                    codes.push(code);
                    continue;
                }
                let name: &str = rest
                    .split(|letter: char| !letter.is_ascii_uppercase() && letter != '_')
                    .next()
                    .unwrap_or_default();
                if before != "error(" {
                    codes.extend(own.get(name).or_else(|| everywhere.get(name)));
                }
            }
        }
        if MATCHES.iter().any(|file| path.ends_with(file)) {
            let arms = text.split("=>").skip(1);
            codes.extend(arms.filter_map(|arm| {
                let arm = arm.trim_start();
                literal(arm.strip_prefix(['(', '{']).unwrap_or(arm))
            }));
        }
        if path.ends_with(CONSTANTS) {
            codes.extend(own.values());
        }
        for code in codes {
            if is_code(code) && !ONLY_TESTS.contains(&code) {
                used.insert(code.to_owned(), path.clone());
            }
        }
    }
    used
}

/// What is no problem's code although it stands where one could.
fn is_something_else(code: &str, path: &Path) -> bool {
    // Codes of refused requests of the API, and kinds of other errors.
    let place = path.to_string_lossy();
    place.starts_with("http") && !place.starts_with("http/intake")
        || place.starts_with("app/api")
        || place.starts_with("transport")
        || code.is_empty()
}

#[test]
fn every_code_that_the_sources_use_is_explained() {
    let used = used();
    let missing: Vec<String> = used
        .iter()
        .filter(|(code, path)| entry(code).is_none() && !is_something_else(code, path))
        .map(|(code, path)| format!("{code} ({})", path.display()))
        .collect();
    assert!(missing.is_empty(), "not in the catalogue: {missing:#?}");
    // The eyes see: codes by literal, by constant, in a match, in a table of the mappings.
    for code in [
        "refund_total_differs",
        "sudden_change",
        "erp_forbidden",
        "not_in_table",
        "twin_installation",
    ] {
        assert!(used.contains_key(code), "{code}");
    }
}

#[test]
fn every_entry_is_used_somewhere_and_stands_once() {
    let sources = sources();
    let mut seen = BTreeSet::new();
    for entry in entries() {
        assert!(seen.insert(entry.code), "{} stands twice", entry.code);
        let literal = match entry.code.strip_prefix(KIND) {
            Some(rest) => format!("{{}}{rest}\""),
            None => format!("\"{}\"", entry.code),
        };
        assert!(
            sources.values().any(|text| text.contains(&literal)),
            "{} is used nowhere",
            entry.code
        );
        for text in [entry.cause, entry.fix] {
            assert!(text.ends_with('.'), "{}: {text}", entry.code);
        }
    }
}

#[test]
fn a_look_ups_code_is_found_by_its_ending() {
    assert_eq!(
        entry("tax_not_found").map(|entry| entry.code),
        Some("KIND_not_found")
    );
    assert_eq!(
        entry("tax_ambiguous").map(|entry| entry.code),
        Some("KIND_ambiguous")
    );
    assert_eq!(
        entry("customer_ambiguous").map(|entry| entry.code),
        Some("customer_ambiguous")
    );
    assert_eq!(entry("nonsense_not_found"), None);
    assert_eq!(entry("KIND_not_found"), None);
}

#[test]
fn the_page_is_fresh() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference/problems.md");
    let fresh = page();
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
