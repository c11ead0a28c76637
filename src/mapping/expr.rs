//! Expressions: paths and what is plain, worked out on the facts themselves, and MiniJinja for everything else.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::{Arc, LazyLock};

use minijinja::machinery::parse_expr;
use minijinja::{Environment, ErrorKind, Expression, Value};
use rust_decimal::Decimal;

use super::check::{Checker, Reads, Scope, Wrong};
use super::filters::environment;
use super::path::Path;
use super::plain::{Plain, plain};
use super::types::{Kind, Typed};
use super::value::{Parts, json_to_value, nothing, to_fact, to_value};
use crate::domain::{Fact, Timestamp, parse_decimal};

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
        self.with_all(&[fact])
    }

    /// With a row's item and its position or role.
    pub(super) fn with_row(&self, item: &'f Fact, second: &'f Fact) -> Self {
        self.with_all(&[item, second])
    }

    fn with_all(&self, facts: &[&'f Fact]) -> Self {
        let mut slots = Vec::with_capacity(self.slots.len() + facts.len());
        slots.extend_from_slice(&self.slots);
        slots.extend_from_slice(facts);
        Self { slots }
    }
}

/// A compiled expression.
#[derive(Debug)]
pub(super) struct Compiled {
    /// As it was written.
    pub(super) text: String,
    pub(super) typed: Typed,
    /// The slots of the names that it reads.
    pub(super) slots: Vec<usize>,
    code: Code,
}

#[derive(Debug)]
enum Code {
    Path(Path),
    Plain(Plain),
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
        let tree = parse_expr(text).map_err(|error| syntax(text, &error))?;
        let mut checker = Checker::new(scope);
        let typed = checker.check(&tree)?;
        let names = checker.reads.parts.iter();
        let slots = names
            .filter_map(|(name, _)| scope.slot(name).map(|(slot, _)| slot))
            .collect();
        let code = if let Some(names) = Path::names(text)
            && let Some((path, _)) = Path::new(&names, scope)
        {
            Code::Path(path)
        } else if matches!(typed.kind, Kind::Record(_)) {
            return Err(whole(
                "an expression cannot make a whole record; name one by its path".to_owned(),
            ));
        } else if !checker.written.is_empty() {
            let exact = exact(text, checker.written)?;
            Code::jinja(&exact, checker.reads, scope).map_err(|wrong| Wrong {
                place: 0..text.len(),
                ..wrong
            })?
        } else if let Some(plain) = plain(&tree, &typed, scope) {
            Code::Plain(plain)
        } else {
            Code::jinja(text, checker.reads, scope)?
        };
        Ok(Self {
            text: text.to_owned(),
            typed,
            slots,
            code,
        })
    }

    /// The same with everything left to MiniJinja, and whether it is plain.
    #[cfg(test)]
    pub(super) fn by_minijinja(&self, scope: &Scope) -> Result<(Self, bool), Wrong> {
        let tree = parse_expr(&self.text).map_err(|error| syntax(&self.text, &error))?;
        let mut checker = Checker::new(scope);
        let whole = Self {
            text: self.text.clone(),
            typed: checker.check(&tree)?,
            slots: self.slots.clone(),
            code: Code::jinja(&self.text, checker.reads, scope)?,
        };
        Ok((whole, matches!(self.code, Code::Plain(_))))
    }

    /// The value for these facts; empty where nothing is there.
    ///
    /// # Errors
    /// When a filter cannot work with a value, e.g. text that is no number. The reason names no value.
    pub(super) fn value<'v>(&'v self, frame: &Frame<'v>) -> Result<Cow<'v, Fact>, String> {
        match &self.code {
            Code::Path(path) => Ok(path.fact(frame)),
            Code::Plain(plain) => Ok(plain.value(frame)),
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

impl Code {
    fn jinja(text: &str, reads: Reads, scope: &Scope) -> Result<Self, Wrong> {
        let expression = ENVIRONMENT
            .compile_expression_owned(text.to_owned())
            .map_err(|error| syntax(text, &error))?;
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
            return Err(Wrong {
                place: 0..text.len(),
                message: format!("this cannot be evaluated: {}", reason(&error)),
                label: "here".to_owned(),
                help: None,
            });
        }
        Ok(Self::Jinja { expression, reads })
    }
}

fn syntax(text: &str, error: &minijinja::Error) -> Wrong {
    Wrong {
        place: error.range().unwrap_or(0..text.len()),
        message: format!(
            "this is no valid expression: {}",
            error.detail().unwrap_or("syntax error")
        ),
        label: "here".to_owned(),
        help: None,
    }
}

fn reason(error: &minijinja::Error) -> String {
    match error.kind() {
        ErrorKind::OutOfFuel => "the expression takes too long".to_owned(),
        _ => error.detail().unwrap_or("the expression failed").to_owned(),
    }
}

/// The text with the numbers at these places made exact.
fn exact(text: &str, mut places: Vec<Range<usize>>) -> Result<String, Wrong> {
    places.sort_by_key(|place| place.start);
    let mut exact = String::new();
    let mut done = 0;
    for place in places {
        let number = text.get(place.clone()).unwrap_or_default();
        if parse_decimal(number).is_err() {
            return Err(Wrong {
                place,
                message: "this number cannot be taken as it is written".to_owned(),
                label: "here".to_owned(),
                help: Some("write digits and a point, e.g. 1000 or 99.95".to_owned()),
            });
        }
        exact.push_str(text.get(done..place.start).unwrap_or_default());
        exact.extend(["('", number, "' | decimal)"]);
        done = place.end;
    }
    exact.push_str(text.get(done..).unwrap_or_default());
    Ok(exact)
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
