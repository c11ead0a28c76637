//! Whatever stands in a mapping file or a record: an error or a problem, never a panic, never a question that was not
//! asked, never an amount that is not exact.

use std::collections::HashMap;
use std::sync::Arc;

use proptest::prelude::*;
use rust_decimal::Decimal;

use super::super::check::Scope;
use super::super::compile::source_of;
use super::super::expr::{Compiled, Frame};
use super::super::types::Typed;
use super::super::{DEFAULTS, Mapped, MappedField, Mappings, Source};
use super::samples;
use crate::domain::{
    Canonical as _, Direction, ErpId, Fact, FieldValue, Need, Needed, Object, Shape, Timestamp,
};
use crate::shopify::AdminSchema;

const OBJECTS: [Object; 3] = [Object::Order, Object::Customer, Object::Product];

fn text() -> BoxedStrategy<String> {
    prop_oneof![
        4 => "[A-Za-z0-9 @.#-]{0,12}",
        1 => Just(String::new()),
        1 => Just("  \t".to_owned()),
        1 => ".{0,20}",
        1 => Just("a@b.c".to_owned()),
    ]
    .boxed()
}

fn decimal() -> BoxedStrategy<Decimal> {
    prop_oneof![
        4 => (-1_000_000_i64..1_000_000, 0_u32..5).prop_map(|(units, scale)| Decimal::new(units, scale)),
        1 => Just(Decimal::MAX),
        1 => Just(Decimal::MIN),
        1 => Just(Decimal::ZERO),
        1 => (any::<i64>(), 0_u32..28).prop_map(|(units, scale)| Decimal::new(units, scale)),
    ]
    .boxed()
}

fn json() -> BoxedStrategy<serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        any::<u64>().prop_map(Into::into),
        text().prop_map(Into::into),
    ];
    leaf.prop_recursive(2, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
            prop::collection::hash_map("[a-c]", inner, 0..4)
                .prop_map(|fields| serde_json::Value::Object(fields.into_iter().collect())),
        ]
    })
    .boxed()
}

/// Any fact of a shape.
pub(super) fn fact(shape: &Shape) -> BoxedStrategy<Fact> {
    match shape {
        Shape::Bool => any::<bool>().prop_map(Fact::Bool).boxed(),
        Shape::Integer => any::<i64>().prop_map(Fact::Integer).boxed(),
        Shape::Decimal => decimal().prop_map(Fact::Decimal).boxed(),
        Shape::Text => text().prop_map(Fact::Text).boxed(),
        Shape::OneOf(texts) => prop::sample::select(texts.clone())
            .prop_map(|text| Fact::Text(text.to_owned()))
            .boxed(),
        Shape::Time => any::<i64>()
            .prop_map(|millis| Fact::Time(Timestamp::from_millis(millis)))
            .boxed(),
        Shape::Optional(inner) => prop_oneof![Just(Fact::Null), fact(inner)].boxed(),
        Shape::List(item) => prop::collection::vec(fact(item), 0..4)
            .prop_map(Fact::List)
            .boxed(),
        Shape::Record(fields) => {
            let names: Vec<&'static str> = fields
                .iter()
                .map(|(name, _)| match name {
                    std::borrow::Cow::Borrowed(name) => *name,
                    std::borrow::Cow::Owned(name) => panic!("`{name}` is no field of a canonical record"),
                })
                .collect();
            let values: Vec<BoxedStrategy<Fact>> = fields.iter().map(|(_, shape)| fact(shape)).collect();
            values
                .prop_map(move |values| Fact::Record(names.iter().copied().zip(values).collect()))
                .boxed()
        }
        Shape::Raw => json().prop_map(|json| Fact::Raw(Arc::new(json))).boxed(),
    }
}

fn record(object: Object) -> BoxedStrategy<Fact> {
    fact(&source_of(object, Direction::In).expect("it has a shape").1)
}

fn settings() -> BoxedStrategy<Fact> {
    fact(&super::super::ShopFacts::shape())
}

fn needed() -> BoxedStrategy<Needed> {
    prop_oneof![
        4 => (1_i64..50).prop_map(|id| Needed::Found(ErpId(id))),
        1 => Just(Needed::Missing),
        1 => Just(Needed::Ambiguous(vec![ErpId(1), ErpId(2)])),
    ]
    .boxed()
}

/// Evaluates a mapping as the engine does, with each need answered by the next of `given`.
fn carry_out(
    mappings: &Mappings,
    object: Object,
    record: &Fact,
    settings: &Fact,
    given: &[Needed],
) -> Option<Mapped> {
    let mapping = mappings.get(object, Direction::In)?;
    drop(mapping.skip(record, settings));
    drop(mapping.identity(record, settings));
    let answers: HashMap<Need, Needed> = mapping
        .needs(record, settings)
        .into_iter()
        .zip(given.iter().cycle().cloned())
        .collect();
    drop(mapping.prepare(record, settings, &answers));
    match mapping.evaluate(record, settings, &answers) {
        Ok(mapped) => Some(mapped),
        Err(problems) => {
            assert!(!problems.is_empty(), "a failure names its problems");
            for problem in problems {
                assert_ne!(problem.code, "not_gathered", "{problem:?}");
                drop(problem.problem(Some("#1")));
            }
            None
        }
    }
}

/// Every field of every row.
fn all_fields(mapped: &Mapped) -> impl Iterator<Item = &MappedField> {
    let rows = mapped
        .groups
        .iter()
        .flat_map(|group| &group.rows)
        .flat_map(|row| &row.fields);
    mapped.fields.iter().chain(rows)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn any_record_is_mapped_or_refused_with_reasons(
        object in prop::sample::select(OBJECTS.to_vec()),
        seeds in (record(Object::Order), record(Object::Customer), record(Object::Product)),
        settings in settings(),
        given in prop::collection::vec(needed(), 1..8),
    ) {
        let mappings = Mappings::load(None, &AdminSchema).expect("the shipped mappings are right");
        let record = match object {
            Object::Order => seeds.0,
            Object::Customer => seeds.1,
            _ => seeds.2,
        };
        if let Some(mapped) = carry_out(&mappings, object, &record, &settings, &given) {
            // Amounts arrive as decimals and as nothing else.
            for field in all_fields(&mapped) {
                if ["price_unit", "list_price", "product_uom_qty", "weight"].contains(&&*field.target) {
                    prop_assert!(matches!(field.value, FieldValue::Decimal(_)), "{field:?}");
                }
            }
            for group in &mapped.groups {
                let keys: std::collections::BTreeSet<&str> = group.rows.iter().map(|row| row.key.as_str()).collect();
                prop_assert_eq!(keys.len(), group.rows.len(), "keys of a group are unique");
            }
        }
    }

    #[test]
    fn any_text_in_place_of_any_part_of_a_file_is_an_error_or_a_mapping(
        file in 0..DEFAULTS.len(),
        cuts in prop::collection::vec((any::<prop::sample::Index>(), 0_usize..40, piece()), 1..4),
    ) {
        let (name, text) = DEFAULTS[file];
        let mut chars: Vec<char> = text.chars().collect();
        for (at, length, piece) in cuts {
            let at = at.index(chars.len().max(1)).min(chars.len());
            let end = (at + length).min(chars.len());
            chars.splice(at..end, piece.chars());
        }
        let text: String = chars.into_iter().collect();
        match Mappings::from_sources(vec![Source { file: name.to_owned(), text }], &AdminSchema) {
            Ok(mappings) => {
                for (object, record) in [
                    (Object::Order, samples::order().fact()),
                    (Object::Customer, samples::customer().fact()),
                    (Object::Product, samples::product().fact()),
                ] {
                    drop(carry_out(&mappings, object, &record, &samples::settings(Some("7")), &[Needed::Found(ErpId(1)), Needed::Missing]));
                }
            }
            Err(errors) => {
                prop_assert!(!errors.errors.is_empty());
                for error in errors.errors {
                    let mut shown = String::new();
                    let handler = miette::GraphicalReportHandler::new_themed(miette::GraphicalTheme::ascii());
                    prop_assert!(handler.render_report(&mut shown, &error).is_ok());
                }
            }
        }
    }

    #[test]
    fn any_expression_is_refused_or_evaluates(tokens in prop::collection::vec(token(), 1..14), record in record(Object::Order)) {
        let (name, shape) = source_of(Object::Order, Direction::In).expect("orders have a shape");
        let scope = Scope::default().with(name, Typed::from(&shape));
        let text = tokens.join(" ");
        if let Ok(compiled) = Compiled::new(&text, &scope) {
            let frame = Frame { slots: vec![&record] };
            drop(compiled.value(&frame));
            drop(compiled.holds(&frame));
        }
    }

    #[test]
    fn garbage_is_no_mapping(text in ".{0,200}") {
        let source = Source { file: "order.in.toml".into(), text };
        prop_assert!(Mappings::from_sources(vec![source], &AdminSchema).is_err());
    }
}

fn piece() -> BoxedStrategy<String> {
    prop_oneof![
        ".{0,6}",
        prop::sample::select(vec![
            "",
            "\"",
            "'",
            "{",
            "}",
            "[",
            "]",
            "=",
            "\n",
            "order",
            "{ value = \"order.name\" }",
            "missing = \"skip\"",
            "1.5",
            "true",
            " | first",
            " | sum('amount')",
            "settings.",
            "[[match]]\n",
            "same_as",
            "look_up",
            "-9223372036854775808",
            "1979-05-27",
        ])
        .prop_map(str::to_owned),
    ]
    .boxed()
}

fn token() -> BoxedStrategy<String> {
    prop::sample::select(vec![
        "order.name",
        "order.totals.total",
        "order.lines",
        "order.customer.email",
        "order.raw.a.b",
        "order.test",
        "order.tags",
        "order.processed_at",
        "order",
        "|",
        "|",
        "|",
        "upper",
        "first",
        "sum('amount')",
        "plus('1.5')",
        "times(3)",
        "round_to(2)",
        "joined(',')",
        "pluck('title')",
        "hash",
        "default('')",
        "date('UTC')",
        "fixed(2)",
        "decimal",
        "cents",
        "count",
        "is",
        "zero",
        "present",
        "not",
        "and",
        "or",
        "if",
        "else",
        "==",
        "<",
        "in",
        "~",
        "+",
        "-",
        "*",
        "(",
        ")",
        "[",
        "]",
        ",",
        "'a'",
        "1",
        "0",
        "none",
        "true",
        "[0]",
        ".a",
        "-1",
        "'9'",
        "text",
        "normal_email",
        "phone('DE', none)",
        "split(' ')",
        "truncate(2)",
    ])
    .prop_map(str::to_owned)
    .boxed()
}
