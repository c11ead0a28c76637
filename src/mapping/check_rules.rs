//! Rules about single values in expressions: parts, constants, comparisons, arithmetic.

use minijinja::Value;
use minijinja::machinery::ast::{BinOpKind, Expr};

use super::check::{Checked, Wrong, place, wrong, wrong_with};
use super::diagnose::hint;
use super::types::{Kind, Typed};

/// The type of a part, or why there is none.
pub(super) fn part_of(typed: &Typed, name: &str) -> Result<Typed, (String, Option<String>)> {
    match &typed.kind {
        Kind::Record(fields) => {
            let names: Vec<&str> = fields.iter().map(|(known, _)| known.as_str()).collect();
            match fields.iter().find(|(known, _)| known == name) {
                Some((_, part)) => Ok(part.clone().or_empty(typed.optional)),
                None => Err((format!("there is no `{name}` here"), hint(name, &names))),
            }
        }
        Kind::Any => Ok(Typed::maybe(Kind::Any)),
        Kind::List(_) => Err((
            format!("`{name}` is asked of a list"),
            Some(
                "a group's `each` goes through a list; `| first`, `| pluck('…')` and `| sum('…')` take one"
                    .to_owned(),
            ),
        )),
        _ => Err((format!("`{name}` is asked of {typed}, which has no parts"), None)),
    }
}

pub(super) fn constant_type(value: &Value, expr: &Expr<'_>) -> Checked {
    if value.as_str().is_some() {
        return Ok(Typed::of(Kind::Text));
    }
    if value.is_none() {
        return Ok(Typed::maybe(Kind::Nothing));
    }
    if matches!(value.kind(), minijinja::value::ValueKind::Bool) {
        return Ok(Typed::of(Kind::Bool));
    }
    if value.is_integer() && value.as_i64().is_some() {
        return Ok(Typed::of(Kind::Integer));
    }
    if value.kind() == minijinja::value::ValueKind::Number {
        return wrong_with(
            expr,
            "this number is not exact",
            "a float",
            "write it as text and make it exact: `'0.19' | decimal`",
        );
    }
    // The parser folds lists of constants; they are checked where they are compared.
    if value.kind() == minijinja::value::ValueKind::Seq {
        let mut item = Typed::of(Kind::Nothing);
        for value in value.try_iter().into_iter().flatten() {
            item = item.union(&constant_type(&value, expr)?);
        }
        return Ok(Typed::list(item));
    }
    wrong(expr, "this has no place in a mapping", "here")
}

pub(super) fn may_be_empty(typed: &Typed) -> &'static str {
    if typed.optional { " that may be empty" } else { "" }
}

pub(super) fn comparable(left: &Typed, right: &Typed, expr: &Expr<'_>) -> Result<(), Wrong> {
    let same = matches!(
        (&left.kind, &right.kind),
        (
            Kind::Any | Kind::Nothing,
            Kind::Text | Kind::OneOf(_) | Kind::Bool | Kind::Integer
        ) | (
            Kind::Text | Kind::OneOf(_) | Kind::Bool | Kind::Integer,
            Kind::Any | Kind::Nothing
        ) | (Kind::Text | Kind::OneOf(_), Kind::Text | Kind::OneOf(_))
            | (Kind::Bool, Kind::Bool)
            | (Kind::Integer, Kind::Integer)
            | (Kind::Decimal, Kind::Decimal)
            | (Kind::Time, Kind::Time)
            | (Kind::Date, Kind::Date)
    );
    if same {
        return Ok(());
    }
    let help = if left.kind == Kind::Decimal || right.kind == Kind::Decimal {
        Some(
            "say `is zero`, `is positive`, `is negative`, or make both exact: `> ('1.50' | decimal)`"
                .to_owned(),
        )
    } else if left.kind == Kind::Nothing || right.kind == Kind::Nothing {
        Some("say `is present` or `is empty`".to_owned())
    } else {
        None
    };
    Err(Wrong {
        place: place(expr),
        message: format!("{left} and {right} cannot be compared"),
        label: "not alike".to_owned(),
        help,
    })
}

/// A text that is written out and compared with one of a few must be one of them.
pub(super) fn one_of(typed: &Typed, literal: &Expr<'_>) -> Result<(), Wrong> {
    let (Kind::OneOf(known), Expr::Const(constant)) = (&typed.kind, literal) else {
        return Ok(());
    };
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    let texts: Vec<Value> = match constant.value.as_str() {
        Some(_) => vec![constant.value.clone()],
        None => constant
            .value
            .try_iter()
            .map(Iterator::collect)
            .unwrap_or_default(),
    };
    for text in texts.iter().filter_map(|text| text.as_str()) {
        if !known.contains(&text) {
            return Err(Wrong {
                place: place(literal),
                message: format!("it is never `{text}`"),
                label: "not one of its values".to_owned(),
                help: hint(text, &known),
            });
        }
    }
    Ok(())
}

pub(super) fn arithmetic(op: BinOpKind, left: &Typed, right: &Typed, expr: &Expr<'_>) -> Checked {
    let (sign, filter) = match op {
        BinOpKind::Add => ("+", "plus"),
        BinOpKind::Sub => ("-", "minus"),
        BinOpKind::Mul => ("*", "times"),
        _ => ("this operator", "times"),
    };
    if left.is_text() && right.is_text() {
        return wrong_with(
            expr,
            format!("`{sign}` does not join texts"),
            "here",
            "join texts with `~`",
        );
    }
    let help = if left.kind == Kind::Decimal || right.kind == Kind::Decimal || left.kind == Kind::Any {
        format!("amounts are exact; write `… | {filter}(…)`")
    } else {
        "only whole numbers that are always there are added like this".to_owned()
    };
    wrong_with(
        expr,
        format!("`{sign}` does not take {left} and {right}"),
        "here",
        help,
    )
}
