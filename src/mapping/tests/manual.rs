//! The manual says what the program does: every word of the language is in it, and its examples are right.

use super::super::compile::TOP_KEYS;
use super::super::compile::group::GROUP_KEYS;
use super::super::compile::rule::{CHOICE_KEYS, RULE_KEYS};
use super::super::filters::{FILTERS, TESTS};
use super::super::outgoing::{OUT_GROUP_KEYS, OUT_KEYS};
use super::super::types::FieldType;
use super::super::{DEFAULTS, Mappings, Source};
use crate::domain::LOOK_UP_KINDS;
use crate::shopify::AdminSchema;

const MANUAL: &str = include_str!("../../../docs/reference/mapping.md");

#[test]
fn every_word_of_the_language_is_explained() {
    let words = TOP_KEYS
        .iter()
        .chain(GROUP_KEYS)
        .chain(OUT_KEYS)
        .chain(OUT_GROUP_KEYS)
        .chain(CHOICE_KEYS)
        .chain(RULE_KEYS)
        .copied()
        .chain(FILTERS.iter().map(|filter| filter.name))
        .chain(TESTS.iter().map(|test| test.name))
        .chain(LOOK_UP_KINDS.iter().map(|kind| kind.name))
        .chain(FieldType::ALL.iter().map(|(name, _)| *name));
    for word in words {
        let written = [
            format!("`{word}"),
            format!("{word} ="),
            format!("[{word}"),
            format!("is {word}"),
        ];
        assert!(
            written.iter().any(|form| MANUAL.contains(form)),
            "`{word}` is not in the manual"
        );
    }
}

/// The shipped file of an object with one more line in the first table of this name.
fn with(file: &str, table: &str, line: &str) -> Source {
    let (_, text) = DEFAULTS
        .iter()
        .find(|(name, _)| *name == file)
        .expect("it is shipped");
    let header = format!("\n{table}\n");
    assert!(text.contains(&header), "{file} has {table}");
    Source {
        file: file.to_owned(),
        text: text.replacen(&header, &format!("{header}{line}\n"), 1),
    }
}

#[test]
fn the_examples_are_taken_as_they_stand() {
    let example = |start: &str| {
        MANUAL
            .lines()
            .find(|line| line.starts_with(start))
            .unwrap_or_else(|| panic!("no example {start}"))
            .to_owned()
    };
    let taxes = example("tax_ids = { when");
    let (_, order) = DEFAULTS
        .iter()
        .find(|(name, _)| *name == "order.in.toml")
        .expect("it is shipped");
    let replaced: String = order
        .lines()
        .map(|line| {
            if line.starts_with("tax_ids = ") {
                format!("{taxes}\n")
            } else {
                format!("{line}\n")
            }
        })
        .collect();
    for source in [
        with("customer.in.toml", "[fields]", &example("category_id")),
        with("order.in.toml", "[fields]", &example("x_delivery_hint")),
        Source {
            file: "order.in.toml".into(),
            text: replaced,
        },
    ] {
        if let Err(errors) = Mappings::from_sources(vec![source], &AdminSchema) {
            panic!("{errors}");
        }
    }
    let special = MANUAL
        .split("```toml\n")
        .find(|block| block.starts_with("select"))
        .and_then(|rest| rest.split("```").next())
        .expect("an example of `select`");
    let (select, fields) = special.split_once("[fields]\n").expect("it has fields");
    let mut source = with("order.in.toml", "[fields]", fields);
    source.text = format!("{select}{}", source.text);
    if let Err(errors) = Mappings::from_sources(vec![source], &AdminSchema) {
        panic!("{errors}");
    }
    let glance = MANUAL
        .split("```toml\n")
        .nth(1)
        .and_then(|rest| rest.split("```").next())
        .expect("a whole file");
    let source = Source {
        file: "customer.in.toml".into(),
        text: glance.to_owned(),
    };
    if let Err(errors) = Mappings::from_sources(vec![source], &AdminSchema) {
        panic!("{errors}");
    }
}
