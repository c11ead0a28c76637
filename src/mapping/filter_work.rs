//! What the filters of expressions do. What they take and give is checked before, in `filters`.

use std::fmt::Write as _;

use chrono_tz::Tz;
use minijinja::Value;
use minijinja::value::ValueKind;
use rust_decimal::Decimal;
use sha2::{Digest as _, Sha256};

use super::value::{Amount, Moment, Parts, canonical_text, is_nothing, nothing, value_is_empty};
use crate::domain::{Fact, parse_decimal, round_half_up};

pub(super) fn amount(value: Decimal) -> Value {
    Value::from_object(Amount(value))
}

/// An exact number from an amount, a whole number, or a number that is written out as text.
pub(super) fn decimal(value: &Value) -> Result<Decimal, String> {
    if let Some(Amount(amount)) = value.downcast_object_ref() {
        return Ok(*amount);
    }
    if let Some(text) = value.as_str() {
        return parse_decimal(text.trim()).map_err(|error| error.to_string());
    }
    match value.as_i64() {
        Some(whole) if value.is_integer() => Ok(Decimal::from(whole)),
        _ => Err(format!("a {} is no exact number", value.kind())),
    }
}

pub(super) fn combine(
    value: &Value,
    args: &[Value],
    with: fn(Decimal, Decimal) -> Option<Decimal>,
) -> Result<Value, String> {
    let other = args.first().ok_or("an argument is missing")?;
    with(decimal(value)?, decimal(other)?)
        .map(amount)
        .ok_or_else(|| "the result is too large".to_owned())
}

pub(super) fn digits(args: &[Value]) -> Result<u32, String> {
    args.first()
        .and_then(Value::as_i64)
        .and_then(|n| u32::try_from(n).ok())
        .ok_or_else(|| "digits are missing".into())
}

pub(super) fn cents(value: &Value, _: &[Value]) -> Result<Value, String> {
    let cents = decimal(value)?
        .checked_mul(Decimal::ONE_HUNDRED)
        .ok_or("the amount is too large")?;
    if !cents.fract().is_zero() {
        return Err("the amount has fractions of a cent: round it first".to_owned());
    }
    i64::try_from(cents)
        .map(Value::from)
        .map_err(|_| "the amount is too large".to_owned())
}

/// Rounded down: of 2.7 units there are 2 to sell.
pub(super) fn whole(value: &Value, _: &[Value]) -> Result<Value, String> {
    i64::try_from(decimal(value)?.floor())
        .map(Value::from)
        .map_err(|_| "the number is too large".to_owned())
}

pub(super) fn fixed(value: &Value, args: &[Value]) -> Result<Value, String> {
    let digits = digits(args)?;
    let rounded = round_half_up(decimal(value)?, digits);
    Ok(Value::from(format!(
        "{rounded:.precision$}",
        precision = digits as usize
    )))
}

pub(super) fn sum(value: &Value, args: &[Value]) -> Result<Value, String> {
    let values = if args.is_empty() {
        items(value)?
    } else {
        parts(value, args)?
    };
    let mut total = Decimal::ZERO;
    for value in values.iter().filter(|value| !is_nothing(value)) {
        total = total.checked_add(decimal(value)?).ok_or("the sum is too large")?;
    }
    Ok(amount(total))
}

pub(super) fn str_of(value: &Value) -> Result<&str, String> {
    value
        .as_str()
        .ok_or_else(|| format!("a {} is no text", value.kind()))
}

pub(super) fn truncate(value: &Value, args: &[Value]) -> Result<Value, String> {
    let limit = args
        .first()
        .and_then(Value::as_usize)
        .ok_or("the number of characters is missing")?;
    Ok(Value::from(
        str_of(value)?.chars().take(limit).collect::<String>(),
    ))
}

/// The beginning of a text that is longer than that, with a word that says so.
pub(super) fn shortened(value: &Value, args: &[Value]) -> Result<Value, String> {
    let text = str_of(value)?;
    let limit = args
        .first()
        .and_then(Value::as_usize)
        .ok_or("the number of characters is missing")?;
    match text.char_indices().nth(limit) {
        None => Ok(Value::from(text)),
        Some((end, _)) => Ok(Value::from(format!("{} … (shortened)", text[..end].trim_end()))),
    }
}

pub(super) fn split(value: &Value, args: &[Value]) -> Result<Value, String> {
    let separator = str_of(args.first().ok_or("the separator is missing")?)?;
    let parts = str_of(value)?
        .split(separator)
        .map(str::trim)
        .filter(|part| !part.is_empty());
    Ok(Value::from(parts.map(Value::from).collect::<Vec<_>>()))
}

/// Text as Slack shows it as it is: no mention, no link under other words
/// (<https://docs.slack.dev/messaging/formatting-message-text#escaping>). Chats that read Slack's text do the same.
pub(super) fn slack(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// Text as html that shows it as it is, with its line breaks.
pub(super) fn html(text: &str) -> String {
    let mut html = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\n' => html.push_str("<br>"),
            '\r' => {}
            c => html.push(c),
        }
    }
    html
}

/// An e-mail address as ERPs compare it: trimmed and in lower case; empty when it cannot be one.
pub(super) fn normal_email(value: &Value, _: &[Value]) -> Result<Value, String> {
    let email = str_of(value)?.trim().to_lowercase();
    let plausible = email
        .split_once('@')
        .is_some_and(|(local, host)| !local.is_empty() && !host.is_empty() && !host.contains('@'))
        && !email.contains(char::is_whitespace);
    Ok(if plausible { Value::from(email) } else { nothing() })
}

/// The parts that say something, each once, with a text between them.
pub(super) fn joined(value: &Value, args: &[Value]) -> Result<Value, String> {
    let between = args.first().map_or(Ok(" "), str_of)?;
    let mut texts: Vec<String> = Vec::new();
    for part in items(value)? {
        if value_is_empty(&part) {
            continue;
        }
        let text = str_of(&part)?.trim().to_owned();
        if !texts.contains(&text) {
            texts.push(text);
        }
    }
    Ok(if texts.is_empty() {
        nothing()
    } else {
        Value::from(texts.join(between))
    })
}

/// 32 hexadecimal digits that stand for the content. Of an address it equals `domain::Address::content_hash`.
pub(super) fn hash(value: &Value) -> String {
    fn feed(value: &Value, hasher: &mut Sha256) {
        if let Some(parts) = value.downcast_object_ref::<Parts>() {
            parts.0.iter().for_each(|(_, part)| feed(part, hasher));
        } else if matches!(value.kind(), ValueKind::Seq | ValueKind::Iterable) {
            value
                .try_iter()
                .into_iter()
                .flatten()
                .for_each(|item| feed(&item, hasher));
        } else {
            hasher.update(canonical_text(value).as_bytes());
            hasher.update([0]);
        }
    }
    let mut hasher = Sha256::new();
    feed(value, &mut hasher);
    hex::encode(&hasher.finalize()[..16])
}

/// The same of a fact; of one with nothing of the source's own record in it.
pub(super) fn hash_of_fact(fact: &Fact) -> String {
    fn feed(fact: &Fact, text: &mut String) {
        let written = match fact {
            Fact::Record(fields) => return fields.iter().for_each(|(_, part)| feed(part, text)),
            Fact::List(items) => return items.iter().for_each(|item| feed(item, text)),
            Fact::Null | Fact::Raw(_) => Ok(()),
            // As MiniJinja writes them.
            Fact::Bool(value) => {
                text.push_str(if *value { "True" } else { "False" });
                Ok(())
            }
            Fact::Integer(value) => write!(text, "{value}"),
            Fact::Decimal(value) => write!(text, "{}", value.normalize()),
            Fact::Text(value) => {
                text.push_str(value.trim());
                Ok(())
            }
            Fact::Time(time) => write!(text, "{time}"),
        };
        debug_assert!(written.is_ok(), "writing to text does not fail");
        text.push('\0');
    }
    let mut text = String::with_capacity(200);
    feed(fact, &mut text);
    hex::encode(&Sha256::digest(text)[..16])
}

pub(super) fn items(value: &Value) -> Result<Vec<Value>, String> {
    if is_nothing(value) {
        return Ok(Vec::new());
    }
    match value.kind() {
        ValueKind::Seq | ValueKind::Iterable => value
            .try_iter()
            .map(Iterator::collect)
            .map_err(|error| error.to_string()),
        other => Err(format!("a {other} is no list")),
    }
}

/// The named part of each item; parts of empty items are empty.
pub(super) fn parts(value: &Value, args: &[Value]) -> Result<Vec<Value>, String> {
    let name = str_of(args.first().ok_or("the name of the part is missing")?)?;
    Ok(items(value)?
        .iter()
        .map(|item| {
            item.downcast_object_ref::<Parts>()
                .and_then(|parts| parts.get(name))
                .cloned()
        })
        .map(|part| part.unwrap_or_else(nothing))
        .collect())
}

/// The value of the attribute of this name; empty when there is none.
pub(super) fn attribute(value: &Value, args: &[Value]) -> Result<Value, String> {
    let name = str_of(args.first().ok_or("the name of the attribute is missing")?)?;
    let found = items(value)?.into_iter().find_map(|item| {
        let pair = item.downcast_object_ref::<Parts>()?;
        (pair.get("key")?.as_str() == Some(name)).then(|| pair.get("value").cloned())?
    });
    Ok(found.unwrap_or_else(nothing))
}

/// The day on which a time falls in a zone, as `YYYY-MM-DD`.
pub(super) fn date(value: &Value, args: &[Value]) -> Result<Value, String> {
    let zone: Tz = str_of(args.first().ok_or("the time zone is missing")?)?
        .parse()
        .map_err(|_| "this is no time zone".to_owned())?;
    let Some(Moment(time)) = value.downcast_object_ref() else {
        return Err(format!("a {} is no time", value.kind()));
    };
    Ok(Value::from(
        time.to_utc().with_timezone(&zone).date_naive().to_string(),
    ))
}
