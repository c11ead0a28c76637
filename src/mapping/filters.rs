//! The filters and tests of expressions: for each what it takes and gives (checked at load) and what it does.
//!
//! An empty value passes every filter unchanged but the few that say otherwise, so that the rule's own `missing` applies.

use chrono_tz::Tz;
use minijinja::value::Rest;
use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior, Value};
use rust_decimal::Decimal;

use super::filter_work::{
    amount, attribute, cents, combine, date, decimal, digits, fixed, hash, html, items, joined, normal_email,
    parts, shortened, slack, split, str_of, sum, truncate, whole,
};
use super::json_lines;
use super::phone::phone;
use super::types::{Kind, Typed};
use super::value::{canonical_text, is_nothing, nothing, value_is_empty};
use crate::domain::{parse_decimal, round_half_up};

/// An argument as the check sees it.
pub(super) struct Arg {
    pub(super) typed: Typed,
    /// Its text, when it is written out.
    pub(super) text: Option<String>,
    /// Its number, when it is written out.
    pub(super) number: Option<i64>,
}

type Check = fn(&Typed, &[Arg]) -> Result<Typed, String>;
type Run = fn(&Value, &[Value]) -> Result<Value, String>;

/// A filter.
pub(super) struct Filter {
    pub(super) name: &'static str,
    /// What it gives for these inputs, or why it does not take them.
    pub(super) check: Check,
    run: Run,
    /// Whether it also sees empty values.
    takes_empty: bool,
}

/// A test (`is …`).
pub(super) struct Test {
    pub(super) name: &'static str,
    /// Why it does not take this, if so.
    pub(super) check: fn(&Typed) -> Result<(), String>,
    run: fn(&Value) -> bool,
}

const fn filter(name: &'static str, check: Check, run: Run) -> Filter {
    Filter {
        name,
        check,
        run,
        takes_empty: false,
    }
}

const fn of_empty(name: &'static str, check: Check, run: Run) -> Filter {
    Filter {
        name,
        check,
        run,
        takes_empty: true,
    }
}

/// Every filter, amounts first.
pub(super) const FILTERS: &[Filter] = &[
    filter("plus", exact_with_one, |value, args| {
        combine(value, args, Decimal::checked_add)
    }),
    filter("minus", exact_with_one, |value, args| {
        combine(value, args, Decimal::checked_sub)
    }),
    filter("times", exact_with_one, |value, args| {
        combine(value, args, Decimal::checked_mul)
    }),
    filter("negate", exact, |value, _| Ok(amount(-decimal(value)?))),
    filter("absolute", exact, |value, _| Ok(amount(decimal(value)?.abs()))),
    filter("round_to", exact_with_digits, |value, args| {
        Ok(amount(round_half_up(decimal(value)?, digits(args)?)))
    }),
    filter(
        "cents",
        |input, args| {
            exact(input, args).map(|typed| Typed {
                kind: Kind::Integer,
                ..typed
            })
        },
        cents,
    ),
    filter(
        "whole",
        |input, args| {
            exact(input, args).map(|typed| Typed {
                kind: Kind::Integer,
                ..typed
            })
        },
        whole,
    ),
    filter(
        "fixed",
        |input, args| text_result(exact_with_digits(input, args)?),
        fixed,
    ),
    filter("decimal", to_decimal, |value, _| Ok(amount(decimal(value)?))),
    of_empty("sum", sum_type, sum),
    filter("upper", text, |value, _| {
        Ok(Value::from(str_of(value)?.to_uppercase()))
    }),
    filter("lower", text, |value, _| {
        Ok(Value::from(str_of(value)?.to_lowercase()))
    }),
    filter("trim", text, |value, _| Ok(Value::from(str_of(value)?.trim()))),
    filter("truncate", text_with_number, truncate),
    filter("shortened", text_with_number, shortened),
    filter("replace", text_with_two_texts, |value, args| {
        Ok(Value::from(
            str_of(value)?.replace(str_of(&args[0])?, str_of(&args[1])?),
        ))
    }),
    filter(
        "split",
        |input, args| {
            text_with_text(input, args).map(|typed| Typed {
                kind: Kind::List(Box::new(Typed::of(Kind::Text))),
                ..typed
            })
        },
        split,
    ),
    filter("digits", text, |value, _| {
        Ok(Value::from(
            str_of(value)?
                .chars()
                .filter(char::is_ascii_digit)
                .collect::<String>(),
        ))
    }),
    filter("html", text, |value, _| Ok(Value::from(html(str_of(value)?)))),
    filter("slack", text, |value, _| Ok(Value::from(slack(str_of(value)?)))),
    filter(
        "normal_email",
        |input, args| text(input, args).map(|typed| typed.or_empty(true)),
        normal_email,
    ),
    // A country that is not there is no reason to have no number.
    of_empty("phone", text_with_countries, phone),
    filter("text", to_text, |value, _| Ok(Value::from(canonical_text(value)))),
    of_empty("joined", joined_type, joined),
    of_empty("json_lines", json_lines::check, json_lines::run),
    of_empty(
        "hash",
        |_, args| none_of(args).map(|()| Typed::of(Kind::Text)),
        |value, _| Ok(Value::from(hash(value))),
    ),
    of_empty("default", default_type, |value, args| {
        Ok(if value_is_empty(value) {
            args[0].clone()
        } else {
            value.clone()
        })
    }),
    filter("first", item, |value, _| {
        Ok(items(value)?.into_iter().next().unwrap_or_else(nothing))
    }),
    filter("last", item, |value, _| {
        Ok(items(value)?.into_iter().next_back().unwrap_or_else(nothing))
    }),
    of_empty(
        "count",
        |input, args| {
            list_of(input)
                .and_then(|_| none_of(args))
                .map(|()| Typed::of(Kind::Integer))
        },
        |value, _| Ok(Value::from(items(value)?.len())),
    ),
    filter(
        "pluck",
        |input, args| Ok(Typed::list(part_of(input, args)?).or_empty(input.optional)),
        |value, args| Ok(Value::from(parts(value, args)?)),
    ),
    filter("attribute", attribute_type, attribute),
    of_empty("any", condition_of, |value, args| {
        Ok(Value::from(parts(value, args)?.iter().any(Value::is_true)))
    }),
    of_empty("all", condition_of, |value, args| {
        Ok(Value::from(parts(value, args)?.iter().all(Value::is_true)))
    }),
    filter("date", date_type, date),
];

/// Every test.
pub(super) const TESTS: &[Test] = &[
    Test {
        name: "zero",
        check: number,
        run: |value| decimal(value).is_ok_and(|amount| amount.is_zero()),
    },
    Test {
        name: "positive",
        check: number,
        run: |value| decimal(value).is_ok_and(|amount| amount > Decimal::ZERO),
    },
    Test {
        name: "negative",
        check: number,
        run: |value| decimal(value).is_ok_and(|amount| amount < Decimal::ZERO),
    },
    Test {
        name: "present",
        check: |_| Ok(()),
        run: |value| !value_is_empty(value),
    },
    Test {
        name: "empty",
        check: |_| Ok(()),
        run: value_is_empty,
    },
];

/// An environment with exactly these filters and tests, bounded in what one evaluation may cost.
pub(super) fn environment() -> Environment<'static> {
    let mut environment = Environment::empty();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(5_000));
    environment.set_recursion_limit(40);
    environment.set_debug(false);
    for filter in FILTERS {
        let (run, takes_empty) = (filter.run, filter.takes_empty);
        environment.add_filter(filter.name, move |value: &Value, Rest(args): Rest<Value>| {
            if !takes_empty && (is_nothing(value) || args.iter().any(is_nothing)) {
                return Ok(nothing());
            }
            run(value, &args).map_err(|reason| Error::new(ErrorKind::InvalidOperation, reason))
        });
    }
    for test in TESTS {
        environment.add_test(test.name, test.run);
    }
    environment
}

// What filters take and give.

fn none_of(args: &[Arg]) -> Result<(), String> {
    if args.is_empty() {
        Ok(())
    } else {
        Err("it takes no arguments".to_owned())
    }
}

fn one(args: &[Arg]) -> Result<&Arg, String> {
    match args {
        [arg] => Ok(arg),
        _ => Err("it takes one argument".to_owned()),
    }
}

fn number(input: &Typed) -> Result<(), String> {
    match input.kind {
        Kind::Decimal | Kind::Integer | Kind::Any => Ok(()),
        _ => Err(format!("it takes an exact number, and this is {input}")),
    }
}

fn exact(input: &Typed, args: &[Arg]) -> Result<Typed, String> {
    none_of(args)?;
    number(input)?;
    Ok(Typed {
        kind: Kind::Decimal,
        optional: input.optional,
    })
}

fn exact_with_one(input: &Typed, args: &[Arg]) -> Result<Typed, String> {
    number(input)?;
    let arg = one(args)?;
    match (&arg.typed.kind, &arg.text) {
        (Kind::Text, Some(text)) => {
            parse_decimal(text).map_err(|_| format!("`{text}` is not a number such as '1.19'"))?;
        }
        _ => number(&arg.typed)?,
    }
    Ok(Typed {
        kind: Kind::Decimal,
        optional: input.optional || arg.typed.optional,
    })
}

fn exact_with_digits(input: &Typed, args: &[Arg]) -> Result<Typed, String> {
    number(input)?;
    match one(args)?.number {
        Some(0..=12) => Ok(Typed {
            kind: Kind::Decimal,
            optional: input.optional,
        }),
        _ => Err("it takes a number of digits between 0 and 12, e.g. `round_to(2)`".to_owned()),
    }
}

fn text_result(typed: Typed) -> Result<Typed, String> {
    Ok(Typed {
        kind: Kind::Text,
        ..typed
    })
}

fn to_decimal(input: &Typed, args: &[Arg]) -> Result<Typed, String> {
    none_of(args)?;
    match input.kind {
        Kind::Decimal | Kind::Integer | Kind::Text | Kind::Any => Ok(Typed {
            kind: Kind::Decimal,
            optional: input.optional,
        }),
        _ => Err(format!("it takes a number as text, and this is {input}")),
    }
}

fn to_text(input: &Typed, args: &[Arg]) -> Result<Typed, String> {
    none_of(args)?;
    match input.kind {
        Kind::Integer | Kind::Text | Kind::OneOf(_) | Kind::Any => Ok(Typed {
            kind: Kind::Text,
            optional: input.optional,
        }),
        Kind::Decimal => Err("say with how many digits: `fixed(2)`".to_owned()),
        _ => Err(format!("it takes a whole number or a text, and this is {input}")),
    }
}

fn text_input(input: &Typed) -> Result<Typed, String> {
    match input.kind {
        Kind::Text | Kind::OneOf(_) | Kind::Any => Ok(Typed {
            kind: Kind::Text,
            optional: input.optional,
        }),
        _ => Err(format!("it takes a text, and this is {input}")),
    }
}

fn text(input: &Typed, args: &[Arg]) -> Result<Typed, String> {
    none_of(args)?;
    text_input(input)
}

fn text_with_text(input: &Typed, args: &[Arg]) -> Result<Typed, String> {
    match one(args)?.text.as_deref() {
        Some(text) if !text.is_empty() => text_input(input),
        _ => Err("it takes a text that is written out, e.g. `split(',')`".to_owned()),
    }
}

fn text_with_countries(input: &Typed, args: &[Arg]) -> Result<Typed, String> {
    if args.is_empty() {
        return Err(
            "it takes the country's two letters, e.g. `phone(partner.country_code, 'DE')`".to_owned(),
        );
    }
    for arg in args {
        text_input(&arg.typed)?;
    }
    text_input(input)
}

fn text_with_two_texts(input: &Typed, args: &[Arg]) -> Result<Typed, String> {
    match args {
        [old, new] if old.text.as_deref().is_some_and(|text| !text.is_empty()) && new.text.is_some() => {
            text_input(input)
        }
        _ => Err("it takes two texts that are written out, e.g. `replace('#', '')`".to_owned()),
    }
}

fn text_with_number(input: &Typed, args: &[Arg]) -> Result<Typed, String> {
    match one(args)?.number {
        Some(1..=100_000) => text_input(input),
        _ => Err("it takes a number of characters, e.g. `truncate(64)`".to_owned()),
    }
}

pub(super) fn list_of(input: &Typed) -> Result<Typed, String> {
    match &input.kind {
        Kind::List(item) => Ok((**item).clone()),
        Kind::Any => Ok(Typed::maybe(Kind::Any)),
        _ => Err(format!("it takes a list, and this is {input}")),
    }
}

fn item(input: &Typed, args: &[Arg]) -> Result<Typed, String> {
    none_of(args)?;
    Ok(list_of(input)?.or_empty(true))
}

/// The type of the part that the argument names in the list's records.
fn part_of(input: &Typed, args: &[Arg]) -> Result<Typed, String> {
    let name = one(args)?
        .text
        .clone()
        .ok_or("it takes the name of a part, e.g. `pluck('price')`")?;
    match list_of(input)?.kind {
        Kind::Record(fields) => {
            let names: Vec<&str> = fields.iter().map(|(known, _)| known.as_str()).collect();
            fields
                .iter()
                .find(|(known, _)| *known == name)
                .map(|(_, typed)| typed.clone())
                .ok_or_else(|| {
                    let hint = super::diagnose::hint(&name, &names).unwrap_or_default();
                    format!("its items have no `{name}`; {hint}")
                })
        }
        Kind::Any => Ok(Typed::maybe(Kind::Any)),
        _ => Err("the items of this list have no parts".to_owned()),
    }
}

/// Shopify's own lists of `{ key, value }` (custom attributes, line properties) are found in by key.
fn attribute_type(input: &Typed, args: &[Arg]) -> Result<Typed, String> {
    if one(args)?.text.is_none() {
        return Err("it takes the name of an attribute, e.g. `attribute('gift_note')`".to_owned());
    }
    let item = list_of(input)?;
    match item.kind {
        Kind::Record(fields) => {
            let part = |name: &str| {
                fields
                    .iter()
                    .find(|(known, _)| known == name)
                    .map(|(_, typed)| typed)
            };
            match (part("key"), part("value")) {
                (Some(key), Some(value)) if key.is_text() => Ok(value.clone().or_empty(true)),
                _ => Err("its items are no pairs of `key` and `value`".to_owned()),
            }
        }
        Kind::Any => Ok(Typed::maybe(Kind::Any)),
        _ => Err("its items are no pairs of `key` and `value`".to_owned()),
    }
}

fn condition_of(input: &Typed, args: &[Arg]) -> Result<Typed, String> {
    match part_of(input, args)?.kind {
        Kind::Bool | Kind::Any => Ok(Typed::of(Kind::Bool)),
        _ => Err("the part is not a yes or no".to_owned()),
    }
}

fn sum_type(input: &Typed, args: &[Arg]) -> Result<Typed, String> {
    let item = if args.is_empty() {
        list_of(input)?
    } else {
        part_of(input, args)?
    };
    number(&item)?;
    Ok(Typed::of(Kind::Decimal))
}

fn joined_type(input: &Typed, args: &[Arg]) -> Result<Typed, String> {
    let item = list_of(input)?;
    if args.len() > 1 || args.iter().any(|arg| arg.text.is_none()) {
        return Err("it takes the text between the parts, written out, e.g. `joined(', ')`".to_owned());
    }
    match item.kind {
        Kind::Text | Kind::OneOf(_) | Kind::Any | Kind::Nothing => Ok(Typed::maybe(Kind::Text)),
        _ => Err("it joins texts only".to_owned()),
    }
}

fn default_type(input: &Typed, args: &[Arg]) -> Result<Typed, String> {
    let arg = one(args)?;
    let union = Typed {
        kind: input.kind.clone(),
        optional: false,
    }
    .union(&arg.typed);
    match union.kind {
        Kind::Mixed => Err(format!("this is {input}, and the default is {}", arg.typed)),
        _ => Ok(union),
    }
}

fn date_type(input: &Typed, args: &[Arg]) -> Result<Typed, String> {
    let zone = one(args)?
        .text
        .clone()
        .ok_or("it takes a time zone that is written out, e.g. `date('Europe/Berlin')`")?;
    zone.parse::<Tz>()
        .map_err(|_| format!("`{zone}` is no time zone such as `Europe/Berlin`"))?;
    match input.kind {
        Kind::Time => Ok(Typed {
            kind: Kind::Date,
            optional: input.optional,
        }),
        _ => Err(format!("it takes a time, and this is {input}")),
    }
}
