//! What is worked out on the facts themselves is what MiniJinja makes of the same expression.

use proptest::prelude::*;

use super::super::check::Scope;
use super::super::expr::{Compiled, Frame};
use super::super::types::Typed;
use super::properties::fact;
use crate::domain::{Fact, Shape};

/// Every kind of value, always there and maybe not, in a record and in one below it.
fn shape() -> Shape {
    let kinds = || {
        vec![
            ("flag".into(), Shape::Bool),
            ("count".into(), Shape::Integer),
            ("amount".into(), Shape::Decimal),
            ("name".into(), Shape::Text),
            ("kind".into(), Shape::OneOf(vec!["paid", "open"])),
            ("at".into(), Shape::Time),
            ("tags".into(), Shape::List(Box::new(Shape::Text))),
        ]
    };
    let maybe = Shape::Record(
        kinds()
            .into_iter()
            .map(|(name, shape)| (name, Shape::Optional(Box::new(shape))))
            .collect(),
    );
    let mut fields = kinds();
    fields.push(("maybe".into(), maybe.clone()));
    fields.push(("part".into(), Shape::Optional(Box::new(maybe))));
    Shape::Record(fields)
}

fn scope() -> Scope {
    Scope::default()
        .with("record", Typed::from(&shape()))
        .with("position", Typed::from(&Shape::Integer))
        .with(
            "whole",
            Typed::from(&Shape::Record(vec![("raw".into(), Shape::Raw)])),
        )
}

fn any_of(texts: &[&str]) -> BoxedStrategy<String> {
    let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
    prop::sample::select(texts).boxed()
}

/// A field of this name, wherever one stands.
fn field(name: &str) -> BoxedStrategy<String> {
    any_of(&[
        &format!("record.{name}"),
        &format!("record.maybe.{name}"),
        &format!("record.part.{name}"),
    ])
}

/// Expressions of one kind, and those that are made of them.
fn either(kind: BoxedStrategy<String>, depth: u32) -> BoxedStrategy<String> {
    if depth == 0 {
        return kind;
    }
    let less = either(kind.clone(), depth - 1);
    prop_oneof![
        2 => kind,
        1 => (less.clone(), condition(depth - 1), less.clone()).prop_map(|(a, when, b)| format!("({a} if {when} else {b})")),
        1 => (less.clone(), less.clone()).prop_map(|(a, b)| format!("({a} or {b})")),
        1 => (condition(depth - 1), less.clone()).prop_map(|(a, b)| format!("({a} and {b})")),
        1 => (less.clone(), less).prop_map(|(a, b)| format!("({a} | default({b}))")),
    ]
    .boxed()
}

fn number() -> BoxedStrategy<String> {
    prop_oneof![field("count"), any_of(&["position", "0", "1", "7"])].boxed()
}

fn text(depth: u32) -> BoxedStrategy<String> {
    let leaf = prop_oneof![
        3 => field("name"),
        1 => field("kind"),
        1 => any_of(&["'a'", "''", "' '", "'7'", "'a@b.c'", "'ä\u{a0}'"]),
    ]
    .boxed();
    if depth == 0 {
        return leaf;
    }
    let less = text(depth - 1);
    let there = less.clone().prop_map(|text| format!("({text} | default('-'))"));
    let between = any_of(&["", "''", "', '", "' '"]);
    let made = prop_oneof![
        2 => less.clone(),
        1 => (there.clone(), prop_oneof![there, any_of(&["position", "' '", "record.name"])])
            .prop_map(|(a, b)| format!("({a} ~ {b})")),
        1 => (prop::collection::vec(less, 0..4), between.clone())
            .prop_map(|(parts, between)| joined(&format!("[{}]", parts.join(", ")), &between)),
        1 => (field("tags"), between).prop_map(|(list, between)| joined(&list, &between)),
        1 => anything().prop_map(|path| format!("({path} | hash)")),
    ]
    .boxed();
    either(made, depth - 1)
}

/// A path of any kind.
fn anything() -> BoxedStrategy<String> {
    let fields = ["flag", "count", "amount", "name", "kind", "at", "tags"].map(field);
    prop_oneof![
        2 => any_of(&["record", "record.part", "record.maybe", "position"]),
        1 => prop::strategy::Union::new(fields),
    ]
    .boxed()
}

fn joined(list: &str, between: &str) -> String {
    if between.is_empty() {
        format!("({list} | joined)")
    } else {
        format!("({list} | joined({between}))")
    }
}

fn condition(depth: u32) -> BoxedStrategy<String> {
    let leaf = prop_oneof![
        2 => field("flag"),
        1 => any_of(&["true", "false", "record.part", "record.maybe"]),
        1 => field("name"),
        1 => field("at"),
        1 => field("tags"),
        1 => number(),
    ]
    .boxed();
    if depth == 0 {
        return leaf;
    }
    let amount = field("amount");
    let test = any_of(&["zero", "positive", "negative"]);
    let is = any_of(&["is", "is not"]);
    let filled = any_of(&["present", "empty"]);
    let whole = prop_oneof![leaf.clone(), text(depth - 1), amount.clone()];
    let equal = any_of(&["==", "!="]);
    let alike = prop_oneof![
        (text(depth - 1), text(depth - 1)),
        (number(), number()),
        (amount.clone(), amount.clone()),
        (field("at"), field("at")),
        (
            field("flag"),
            any_of(&["true", "false", "record.flag", "not record.flag"])
        ),
    ];
    let less = condition(depth - 1);
    prop_oneof![
        1 => leaf,
        1 => less.clone().prop_map(|a| format!("(not {a})")),
        1 => (less.clone(), any_of(&["and", "or"]), less).prop_map(|(a, op, b)| format!("({a} {op} {b})")),
        2 => (prop_oneof![amount, number()], is.clone(), test).prop_map(|(a, is, test)| format!("({a} {is} {test})")),
        2 => (whole, is, filled).prop_map(|(a, is, test)| format!("({a} {is} {test})")),
        2 => (alike, equal).prop_map(|((a, b), equal)| format!("({a} {equal} {b})")),
    ]
    .boxed()
}

fn expression() -> BoxedStrategy<String> {
    prop_oneof![
        4 => text(3),
        4 => condition(3),
        1 => either(number(), 2),
        1 => either(field("amount"), 2),
        1 => either(field("at"), 2),
    ]
    .boxed()
}

/// Both results, for an expression that is plain.
fn both(text: &str, record: &Fact, position: i64) -> Option<[String; 2]> {
    let scope = scope();
    let compiled = Compiled::new(text, &scope).ok()?;
    let (by_minijinja, true) = compiled.by_minijinja(&scope).ok()? else {
        return None;
    };
    let position = Fact::Integer(position);
    let frame = Frame {
        slots: vec![record, &position],
    };
    // As they are written, so that 1.0 is not 1.00.
    Some(
        [&compiled, &by_minijinja]
            .map(|compiled| format!("{:?}, {:?}", compiled.value(&frame), compiled.holds(&frame))),
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, max_global_rejects: 20_000, ..ProptestConfig::default() })]

    #[test]
    fn plain_expressions_mean_what_minijinja_makes_of_them(
        text in expression(),
        record in fact(&shape()),
        position in any::<i64>(),
    ) {
        let both = both(&text, &record, position);
        prop_assume!(both.is_some());
        let [plain, by_minijinja] = both.expect("assumed");
        prop_assert_eq!(plain, by_minijinja, "{}", text);
    }
}

#[test]
fn what_is_plain_and_what_is_not() {
    let scope = scope();
    for (text, expected) in [
        ("record.amount is not zero", true),
        ("not record.flag and record.kind != 'paid'", true),
        ("record.part.name or 'a' ~ position", true),
        ("'a' if record.part else record.kind", true),
        ("[record.name, record.tags | joined(', ')] | joined", true),
        ("record.part.amount | default(record.amount)", true),
        ("record.part | hash", true),
        // A path alone is read even more directly.
        ("record.name", false),
        // The result is a list, which would have to be gone through for blank texts.
        ("record.tags or record.part.tags", false),
        ("record.flag and record.tags", false),
        ("record.name | upper", false),
        ("record.count + 1", false),
        // What its parts are is not declared.
        ("record.part is present and whole | hash", false),
        ("whole is present", false),
        ("record.name in ['a', 'b']", false),
        ("record.name if record.flag", false),
        ("[record.name, record.name | upper] | joined", false),
    ] {
        let compiled = Compiled::new(text, &scope).expect(text);
        let (_, is_plain) = compiled.by_minijinja(&scope).expect(text);
        assert_eq!(is_plain, expected, "{text}");
    }
}

/// The borders that chance seldom meets: what is blank, written out or not, zero, or empty all through.
#[test]
fn blank_and_empty_values_count_as_in_minijinja() {
    let empty = |shape: &Shape| match shape {
        Shape::Bool => Fact::Bool(false),
        Shape::Integer => Fact::Integer(0),
        Shape::Decimal => Fact::Decimal(rust_decimal::Decimal::new(0, 2)),
        Shape::OneOf(texts) => Fact::Text(texts[0].to_owned()),
        Shape::Time => Fact::Time(crate::domain::Timestamp::from_millis(0)),
        Shape::List(_) => Fact::List(vec![Fact::Text(" ".into())]),
        Shape::Text => Fact::Text(" ".into()),
        _ => Fact::Null,
    };
    let Shape::Record(fields) = shape() else {
        panic!("a record")
    };
    let record = Fact::Record(
        fields
            .iter()
            .map(|(name, shape)| {
                let name = [
                    "flag", "count", "amount", "name", "kind", "at", "tags", "maybe", "part",
                ]
                .into_iter()
                .find(|known| known == name)
                .expect("known");
                (name, empty(shape))
            })
            .collect(),
    );
    for text in [
        "not ' '",
        "not ''",
        "' ' or record.kind",
        "'' or record.kind",
        "'' and record.kind",
        "' ' and record.kind",
        "' ' | default('x')",
        "record.name or ' '",
        "record.name | default(' ')",
        "record.name == ''",
        "record.name == ' '",
        "record.name == record.maybe.name",
        "'' if record.flag else record.name",
        "'-' ~ record.name",
        "not ('-' ~ record.name)",
        "not record.count",
        "not record.amount is zero",
        "record.amount is zero",
        "record.amount == record.maybe.amount",
        "not record.tags",
        "record.tags is empty",
        "record.tags | joined",
        "[' ', 'a ', 'a', record.name] | joined('')",
        "not record.part",
        "record.part is present",
        "record.part.tags is present",
        "not record.at",
        "record | hash",
        "record.tags | hash",
        "record.part | hash",
    ] {
        let [plain, by_minijinja] = both(text, &record, 0).unwrap_or_else(|| panic!("`{text}` is not plain"));
        assert_eq!(plain, by_minijinja, "{text}");
    }
}
