//! Expressions: plain paths, which are read straight from the facts, and MiniJinja for everything else.

use std::borrow::Cow;
use std::sync::{Arc, LazyLock};

use minijinja::machinery::parse_expr;
use minijinja::{Environment, ErrorKind, Expression, Value};
use rust_decimal::Decimal;

use super::check::{Checker, Reads, Scope, Wrong};
use super::filters::environment;
use super::types::{Kind, Typed};
use super::value::{Parts, json_leaf, json_to_value, nothing, to_fact, to_value};
use crate::domain::{Fact, Timestamp};

/// The longest expression that is taken.
const LONGEST: usize = 2_000;
/// The deepest nesting of brackets that is taken.
const DEEPEST: usize = 30;

static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(environment);

/// The values behind the names of a scope, by slot.
#[derive(Clone)]
pub(super) struct Frame<'f> {
    pub(super) slots: Vec<&'f Fact>,
}

impl<'f> Frame<'f> {
    pub(super) fn with(&self, fact: &'f Fact) -> Self {
        let mut slots = Vec::with_capacity(self.slots.len() + 3);
        slots.extend_from_slice(&self.slots);
        slots.push(fact);
        Self { slots }
    }
}

/// A compiled expression.
#[derive(Debug)]
pub(super) struct Compiled {
    /// As it was written.
    pub(super) text: String,
    pub(super) typed: Typed,
    code: Code,
}

#[derive(Debug)]
enum Code {
    Path {
        slot: usize,
        parts: Vec<String>,
    },
    Jinja {
        expression: Expression<'static, 'static>,
        reads: Vec<(Arc<str>, usize, Reads)>,
    },
}

impl Compiled {
    /// Compiles and checks an expression.
    pub(super) fn new(text: &str, scope: &Scope) -> Result<Self, Wrong> {
        let whole = |message: String| Wrong {
            place: 0..text.len(),
            message,
            label: "here".to_owned(),
            help: None,
        };
        if text.trim().is_empty() {
            return Err(whole("the expression is empty".to_owned()));
        }
        if text.len() > LONGEST || depth(text) > DEEPEST {
            return Err(whole(format!(
                "the expression is longer than {LONGEST} bytes or nested too deeply"
            )));
        }
        let syntax = |error: &minijinja::Error| Wrong {
            place: error.range().unwrap_or(0..text.len()),
            message: format!(
                "this is no valid expression: {}",
                error.detail().unwrap_or("syntax error")
            ),
            label: "here".to_owned(),
            help: None,
        };
        let tree = parse_expr(text).map_err(|error| syntax(&error))?;
        let mut checker = Checker::new(scope);
        let typed = checker.check(&tree)?;
        let reads = checker.reads;
        if let Some(parts) = plain_path(text)
            && let Some((slot, _)) = scope.slot(&parts[0])
        {
            return Ok(Self {
                text: text.to_owned(),
                typed,
                code: Code::Path {
                    slot,
                    parts: parts.into_iter().skip(1).collect(),
                },
            });
        }
        if matches!(typed.kind, Kind::Record(_)) {
            return Err(whole(
                "an expression cannot make a whole record; name one by its path".to_owned(),
            ));
        }
        let expression = ENVIRONMENT
            .compile_expression_owned(text.to_owned())
            .map_err(|error| syntax(&error))?;
        let reads: Vec<_> = reads
            .parts
            .into_iter()
            .filter_map(|(name, reads)| scope.slot(&name).map(|(slot, _)| (name, slot, reads)))
            .collect();
        // What the evaluator does not know shows only when it runs: it runs once, on made-up values, here.
        let context = Parts(
            reads
                .iter()
                .map(|(name, slot, _)| (Arc::clone(name), sample(&scope.names[*slot].1)))
                .collect(),
        );
        if let Err(error) = expression.eval(Value::from_object(context))
            && !matches!(error.kind(), ErrorKind::InvalidOperation)
        {
            return Err(whole(format!("this cannot be evaluated: {}", reason(&error))));
        }
        Ok(Self {
            text: text.to_owned(),
            typed,
            code: Code::Jinja { expression, reads },
        })
    }

    /// The value for these facts; empty where nothing is there.
    ///
    /// # Errors
    /// When a filter cannot work with a value, e.g. text that is no number. The reason names no value.
    pub(super) fn value<'f>(&self, frame: &Frame<'f>) -> Result<Cow<'f, Fact>, String> {
        match &self.code {
            Code::Path { slot, parts } => Ok(at(frame.slots.get(*slot).copied(), parts)),
            Code::Jinja { expression, reads } => {
                let context = Parts(
                    reads
                        .iter()
                        .map(|(name, slot, reads)| {
                            let value = frame
                                .slots
                                .get(*slot)
                                .map_or_else(nothing, |fact| select(fact, reads));
                            (Arc::clone(name), value)
                        })
                        .collect(),
                );
                let value = expression
                    .eval(Value::from_object(context))
                    .map_err(|error| reason(&error))?;
                to_fact(&value).map(Cow::Owned)
            }
        }
    }

    /// Whether a condition holds.
    pub(super) fn holds(&self, frame: &Frame<'_>) -> Result<bool, String> {
        self.value(frame).map(|fact| match &*fact {
            Fact::Bool(value) => *value,
            other => !super::value::is_empty(other),
        })
    }
}

fn reason(error: &minijinja::Error) -> String {
    match error.kind() {
        ErrorKind::OutOfFuel => "the expression takes too long".to_owned(),
        _ => error.detail().unwrap_or("the expression failed").to_owned(),
    }
}

/// A made-up value of a type.
fn sample(typed: &Typed) -> Value {
    match &typed.kind {
        Kind::Bool => Value::from(true),
        Kind::Integer => Value::from(1),
        Kind::Decimal => to_value(&Fact::Decimal(Decimal::new(1234, 2))),
        Kind::Text => Value::from("text"),
        Kind::OneOf(texts) => texts
            .first()
            .map_or_else(nothing, |text| Value::from(text.as_str())),
        Kind::Time => to_value(&Fact::Time(Timestamp::from_millis(1_700_000_000_000))),
        Kind::Date => Value::from("2023-11-14"),
        Kind::List(item) => Value::from(vec![sample(item)]),
        Kind::Record(fields) => Value::from_object(Parts(
            fields
                .iter()
                .map(|(name, typed)| (Arc::from(name.as_str()), sample(typed)))
                .collect(),
        )),
        Kind::Any | Kind::Mixed | Kind::Nothing => nothing(),
    }
}

/// How deep brackets are nested.
fn depth(text: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    for byte in text.bytes() {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

/// The parts of a path such as `order.customer.email`.
fn plain_path(text: &str) -> Option<Vec<String>> {
    let parts: Vec<String> = text.trim().split('.').map(str::to_owned).collect();
    let named = |part: &String| {
        part.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    };
    (parts.iter().all(named) && !matches!(parts[0].as_str(), "true" | "false" | "none")).then_some(parts)
}

/// The fact at a path.
fn at<'f>(fact: Option<&'f Fact>, parts: &[String]) -> Cow<'f, Fact> {
    let Some(mut fact) = fact else {
        return Cow::Owned(Fact::Null);
    };
    for (n, part) in parts.iter().enumerate() {
        match fact {
            Fact::Record(fields) => match fields.iter().find(|(name, _)| name == part) {
                Some((_, value)) => fact = value,
                None => return Cow::Owned(Fact::Null),
            },
            Fact::Raw(json) => {
                let leaf = parts[n..].iter().try_fold(&**json, |json, part| json.get(part));
                return Cow::Owned(leaf.map_or(Fact::Null, json_leaf));
            }
            _ => return Cow::Owned(Fact::Null),
        }
    }
    Cow::Borrowed(fact)
}

/// The parts of a fact that an expression reads.
fn select(fact: &Fact, reads: &Reads) -> Value {
    if reads.whole {
        return to_value(fact);
    }
    match fact {
        Fact::Record(fields) => Value::from_object(Parts(
            reads
                .parts
                .iter()
                .map(|(name, reads)| {
                    let part = fields.iter().find(|(known, _)| **known == **name);
                    (
                        Arc::clone(name),
                        part.map_or_else(nothing, |(_, fact)| select(fact, reads)),
                    )
                })
                .collect(),
        )),
        Fact::Raw(json) => select_json(json, reads),
        _ => nothing(),
    }
}

fn select_json(json: &serde_json::Value, reads: &Reads) -> Value {
    if reads.whole {
        return json_to_value(json);
    }
    if !json.is_object() {
        return nothing();
    }
    Value::from_object(Parts(
        reads
            .parts
            .iter()
            .map(|(name, reads)| {
                (
                    Arc::clone(name),
                    json.get(&**name)
                        .map_or_else(nothing, |json| select_json(json, reads)),
                )
            })
            .collect(),
    ))
}
