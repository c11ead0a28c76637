//! Plain expressions: the small part of the language that nearly every rule of every row is written in, worked out on the
//! facts themselves. It means exactly what MiniJinja makes of the same text, which a property test holds it to; an
//! expression with anything else in it goes to MiniJinja as a whole.
//!
//! It cannot fail: what could is left to MiniJinja, above all everything about amounts but their sign.

use std::borrow::Cow;

use minijinja::machinery::ast::{BinOpKind, CallArg, Expr, Filter, UnaryOpKind};
use minijinja::value::ValueKind;
use rust_decimal::Decimal;

use super::check::Scope;
use super::expr::Frame;
use super::filter_work::hash_of_fact;
use super::path::Path;
use super::types::{Kind, Typed};
use super::value::is_empty;
use crate::domain::Fact;

/// A plain expression.
#[derive(Debug)]
pub(super) enum Plain {
    Path(Path),
    Constant(Fact),
    Not(Box<Plain>),
    And(Box<Plain>, Box<Plain>),
    Or(Box<Plain>, Box<Plain>),
    Equal(Box<Plain>, Box<Plain>),
    Test(Test, Box<Plain>),
    Choice {
        when: Box<Plain>,
        yes: Box<Plain>,
        no: Box<Plain>,
    },
    /// `a ~ b`
    Concat(Box<Plain>, Box<Plain>),
    Default(Box<Plain>, Box<Plain>),
    Joined {
        parts: Parts,
        between: String,
    },
    Hash(Path),
}

/// What stands before `| joined(…)`.
#[derive(Debug)]
pub(super) enum Parts {
    WrittenOut(Vec<Plain>),
    List(Path),
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Test {
    Zero,
    Positive,
    Negative,
    Present,
    Empty,
}

/// The expression as a plain one, if it is one. It must have passed the check, with this type.
pub(super) fn plain(expr: &Expr<'_>, typed: &Typed, scope: &Scope) -> Option<Plain> {
    // A list as a result would have to be gone through for blank texts.
    let single = matches!(
        typed.kind,
        Kind::Bool | Kind::Integer | Kind::Decimal | Kind::Text | Kind::OneOf(_) | Kind::Time | Kind::Date
    );
    single.then(|| part(expr, scope)).flatten()
}

fn part(expr: &Expr<'_>, scope: &Scope) -> Option<Plain> {
    let boxed = |expr| part(expr, scope).map(Box::new);
    Some(match expr {
        Expr::Var(_) | Expr::GetAttr(_) => Plain::Path(path(expr, scope)?),
        Expr::Const(constant) => {
            let value = &constant.value;
            Plain::Constant(match value.kind() {
                ValueKind::String => Fact::Text(value.as_str()?.to_owned()),
                ValueKind::Bool => Fact::Bool(value.is_true()),
                ValueKind::Number if value.is_integer() => Fact::Integer(value.as_i64()?),
                _ => return None,
            })
        }
        Expr::UnaryOp(op) => match op.op {
            UnaryOpKind::Not => Plain::Not(boxed(&op.expr)?),
            UnaryOpKind::Neg => return None,
        },
        Expr::BinOp(op) => {
            let (left, right) = (boxed(&op.left)?, boxed(&op.right)?);
            match op.op {
                BinOpKind::ScAnd => Plain::And(left, right),
                BinOpKind::ScOr => Plain::Or(left, right),
                BinOpKind::Eq => Plain::Equal(left, right),
                BinOpKind::Ne => Plain::Not(Box::new(Plain::Equal(left, right))),
                BinOpKind::Concat => Plain::Concat(left, right),
                _ => return None,
            }
        }
        Expr::IfExpr(choice) => Plain::Choice {
            when: boxed(&choice.test_expr)?,
            yes: boxed(&choice.true_expr)?,
            no: boxed(choice.false_expr.as_ref()?)?,
        },
        Expr::Test(test) => {
            let kind = match test.name {
                "zero" => Test::Zero,
                "positive" => Test::Positive,
                "negative" => Test::Negative,
                "present" => Test::Present,
                "empty" => Test::Empty,
                _ => return None,
            };
            Plain::Test(kind, boxed(&test.expr)?)
        }
        Expr::Filter(filter) => filtered(filter, scope)?,
        _ => return None,
    })
}

fn filtered(filter: &Filter<'_>, scope: &Scope) -> Option<Plain> {
    let input = filter.expr.as_ref()?;
    match (filter.name, filter.args.as_slice()) {
        ("default", [CallArg::Pos(default)]) => Some(Plain::Default(
            Box::new(part(input, scope)?),
            Box::new(part(default, scope)?),
        )),
        ("joined", args) => {
            let parts = match input {
                Expr::List(list) => Parts::WrittenOut(
                    list.items
                        .iter()
                        .map(|item| part(item, scope))
                        .collect::<Option<_>>()?,
                ),
                Expr::Var(_) | Expr::GetAttr(_) => Parts::List(path(input, scope)?),
                _ => return None,
            };
            let between = match args {
                [] => " ",
                [CallArg::Pos(Expr::Const(between))] => between.value.as_str()?,
                _ => return None,
            };
            Some(Plain::Joined {
                parts,
                between: between.to_owned(),
            })
        }
        ("hash", []) => Some(Plain::Hash(path(input, scope)?)),
        _ => None,
    }
}

/// A path whose every part is declared: what the source's own record has is not known before it is there.
fn path(expr: &Expr<'_>, scope: &Scope) -> Option<Path> {
    let mut names = Vec::new();
    let mut at = expr;
    while let Expr::GetAttr(get) = at {
        names.push(get.name);
        at = &get.expr;
    }
    let Expr::Var(var) = at else { return None };
    names.push(var.id);
    names.reverse();
    let (path, typed) = Path::new(&names, scope)?;
    is_declared(&typed?).then_some(path)
}

fn is_declared(typed: &Typed) -> bool {
    match &typed.kind {
        Kind::Any | Kind::Mixed | Kind::Nothing => false,
        Kind::List(item) => is_declared(item),
        Kind::Record(fields) => fields.iter().all(|(_, typed)| is_declared(typed)),
        _ => true,
    }
}

impl Plain {
    /// The value for these facts; empty where nothing is there.
    pub(super) fn value<'v>(&'v self, frame: &Frame<'v>) -> Cow<'v, Fact> {
        match self {
            Self::Path(path) => match path.fact(frame) {
                // Blank text of a record says nothing; written out in the mapping it is text.
                fact if matches!(&*fact, Fact::Text(text) if text.trim().is_empty()) => {
                    Cow::Owned(Fact::Null)
                }
                fact => fact,
            },
            Self::Constant(fact) => Cow::Borrowed(fact),
            Self::Not(of) => yes_or_no(!is_true(&of.value(frame))),
            Self::And(left, right) => match left.value(frame) {
                left if is_true(&left) => right.value(frame),
                left => left,
            },
            Self::Or(left, right) => match left.value(frame) {
                left if is_true(&left) => left,
                _ => right.value(frame),
            },
            Self::Equal(left, right) => yes_or_no(left.value(frame) == right.value(frame)),
            Self::Test(test, of) => yes_or_no(test.holds(&of.value(frame))),
            Self::Choice { when, yes, no } => {
                if is_true(&when.value(frame)) {
                    yes.value(frame)
                } else {
                    no.value(frame)
                }
            }
            Self::Concat(left, right) => {
                let mut text = String::new();
                for side in [left, right] {
                    append(&mut text, &side.value(frame));
                }
                Cow::Owned(Fact::Text(text))
            }
            Self::Default(of, default) => match of.value(frame) {
                value if is_empty(&value) => default.value(frame),
                value => value,
            },
            Self::Joined { parts, between } => {
                let joined = match parts {
                    Parts::WrittenOut(parts) => {
                        let parts: Vec<_> = parts.iter().map(|part| part.value(frame)).collect();
                        joined(parts.iter().map(|part| &**part), between)
                    }
                    Parts::List(path) => match &*path.fact(frame) {
                        Fact::List(parts) => joined(parts.iter(), between),
                        _ => Fact::Null,
                    },
                };
                Cow::Owned(joined)
            }
            Self::Hash(path) => Cow::Owned(Fact::Text(hash_of_fact(&path.fact(frame)))),
        }
    }
}

impl Test {
    fn holds(self, fact: &Fact) -> bool {
        let sign = |holds: fn(&Decimal) -> bool| match fact {
            Fact::Decimal(number) => holds(number),
            Fact::Integer(number) => holds(&Decimal::from(*number)),
            _ => false,
        };
        match self {
            Self::Zero => sign(Decimal::is_zero),
            Self::Positive => sign(|number| *number > Decimal::ZERO),
            Self::Negative => sign(|number| *number < Decimal::ZERO),
            Self::Present => !is_empty(fact),
            Self::Empty => is_empty(fact),
        }
    }
}

fn yes_or_no<'v>(value: bool) -> Cow<'v, Fact> {
    Cow::Owned(Fact::Bool(value))
}

/// Whether a value counts as yes in a condition.
fn is_true(fact: &Fact) -> bool {
    match fact {
        Fact::Null => false,
        Fact::Bool(value) => *value,
        Fact::Integer(number) => *number != 0,
        Fact::Decimal(number) => !number.is_zero(),
        Fact::Text(text) => !text.is_empty(),
        Fact::List(items) => !items.is_empty(),
        Fact::Time(_) | Fact::Record(_) | Fact::Raw(_) => true,
    }
}

fn append(text: &mut String, fact: &Fact) {
    match fact {
        Fact::Text(more) => text.push_str(more),
        Fact::Integer(number) => text.push_str(&number.to_string()),
        // The check lets nothing else through.
        _ => {}
    }
}

/// The texts that say something, each once, with a text between them.
fn joined<'v>(parts: impl Iterator<Item = &'v Fact>, between: &str) -> Fact {
    let mut texts: Vec<&str> = Vec::new();
    for part in parts {
        if let Fact::Text(text) = part {
            let text = text.trim();
            if !text.is_empty() && !texts.contains(&text) {
                texts.push(text);
            }
        }
    }
    if texts.is_empty() {
        Fact::Null
    } else {
        Fact::Text(texts.join(between))
    }
}
