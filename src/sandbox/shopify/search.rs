//! Shopify's search syntax: `field:value` terms with comparisons, `AND`, `OR`, `NOT`, `-`, quotes and parentheses.
//!
//! Used by the `query` arguments of the API and by the `filter` of webhook subscriptions. A term on a field that the
//! resource does not know matches everything; the API adds a warning for it.

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use rust_decimal::Decimal;
use serde_json::Value as Json;

/// A parsed query.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Expr {
    And(Vec<Expr>),
    Or(Vec<Expr>),
    Not(Box<Expr>),
    Term(Term),
}

/// One condition; without a field it looks at the resource's default texts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Term {
    pub(super) field: Option<String>,
    pub(super) comparison: Comparison,
    pub(super) value: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Is,
    Below,
    AtMost,
    Above,
    AtLeast,
}

/// What a resource has in a field.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Text(String),
    Number(Decimal),
    Time(DateTime<Utc>),
}

impl Value {
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    pub(super) fn id(id: u64) -> Self {
        Self::Number(id.into())
    }
}

/// Parses a query; an empty one matches everything. Broken syntax is read as far as it goes, as Shopify does.
pub(super) fn parse(query: &str) -> Expr {
    let tokens = tokenize(query);
    let mut at = 0;
    parse_or(&tokens, &mut at)
}

/// Whether a resource matches. `look` gives the values of a field, or `None` when there is no such field; the names of
/// unknown fields are added to `unknown`.
pub(super) fn matches(
    expr: &Expr,
    look: &dyn Fn(&str) -> Option<Vec<Value>>,
    unknown: &mut Vec<Term>,
) -> bool {
    match expr {
        // Every part is looked at, so that every unknown field is found.
        Expr::And(parts) => parts.iter().filter(|p| !matches(p, look, unknown)).count() == 0,
        Expr::Or(parts) => parts.iter().filter(|p| matches(p, look, unknown)).count() > 0,
        Expr::Not(part) => !matches(part, look, unknown),
        // `tag_not:x` is `NOT tag:x` in one word.
        Expr::Term(term) if term.field.as_deref() == Some("tag_not") => {
            let tag = Term {
                field: Some("tag".to_owned()),
                ..term.clone()
            };
            !matches(&Expr::Term(tag), look, unknown)
        }
        Expr::Term(term) => {
            if let Some(values) = look(term.field.as_deref().unwrap_or("")) {
                return values.iter().any(|v| compare(term, v));
            }
            if !unknown.contains(term) {
                unknown.push(term.clone());
            }
            true
        }
    }
}

/// Whether a webhook body passes a subscription's filter. Fields are paths into the body; lists are looked through.
pub(super) fn matches_json(filter: Option<&str>, body: &Json) -> bool {
    let Some(filter) = filter.filter(|f| !f.trim().is_empty()) else {
        return true;
    };
    let look = |field: &str| {
        let mut found = Vec::new();
        collect(body, &field.split('.').collect::<Vec<_>>(), &mut found);
        Some(found)
    };
    matches(&parse(filter), &look, &mut Vec::new())
}

fn collect(json: &Json, path: &[&str], found: &mut Vec<Value>) {
    match (json, path) {
        (Json::Array(items), _) => items.iter().for_each(|item| collect(item, path, found)),
        (Json::Object(fields), [first, rest @ ..]) => {
            if let Some(value) = fields.get(*first) {
                collect(value, rest, found);
            }
        }
        (Json::String(text), []) => found.push(match DateTime::parse_from_rfc3339(text) {
            Ok(time) => Value::Time(time.to_utc()),
            Err(_) => text.parse().map_or_else(|_| Value::text(text), Value::Number),
        }),
        (Json::Number(number), []) => {
            found.extend(number.to_string().parse().ok().map(Value::Number));
        }
        (Json::Bool(flag), []) => found.push(Value::text(flag.to_string())),
        _ => {}
    }
}

fn compare(term: &Term, value: &Value) -> bool {
    match value {
        Value::Text(text) => {
            let (have, want) = (text.to_lowercase(), term.value.to_lowercase());
            match (term.comparison, want.strip_suffix('*')) {
                (Comparison::Is, _) if want == "*" => !have.is_empty(),
                (Comparison::Is, Some(prefix)) => have.starts_with(prefix),
                // Words without a field match beginnings of words.
                (Comparison::Is, None) if term.field.is_none() => {
                    have.split_whitespace().any(|word| word.starts_with(&want)) || have == want
                }
                (comparison, _) => holds(comparison, have.cmp(&want)),
            }
        }
        Value::Number(number) => {
            let wanted = term.value.rsplit('/').next().unwrap_or(&term.value);
            wanted
                .parse::<Decimal>()
                .is_ok_and(|want| holds(term.comparison, number.cmp(&want)))
        }
        Value::Time(time) => match parse_time(&term.value) {
            Some((from, to)) => match term.comparison {
                Comparison::Is => *time >= from && *time < to,
                Comparison::Below => *time < from,
                Comparison::AtLeast => *time >= from,
                Comparison::AtMost => *time < to,
                Comparison::Above => *time >= to,
            },
            None => false,
        },
    }
}

fn holds(comparison: Comparison, order: std::cmp::Ordering) -> bool {
    match comparison {
        Comparison::Is => order.is_eq(),
        Comparison::Below => order.is_lt(),
        Comparison::AtMost => order.is_le(),
        Comparison::Above => order.is_gt(),
        Comparison::AtLeast => order.is_ge(),
    }
}

/// The span that a written time covers: a second, or a day when only the date is given.
fn parse_time(text: &str) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        let time = time.to_utc();
        return Some((time, time + chrono::Duration::seconds(1)));
    }
    if let Ok(time) = chrono::NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S") {
        return Some((time.and_utc(), time.and_utc() + chrono::Duration::seconds(1)));
    }
    let day = NaiveDate::parse_from_str(text, "%Y-%m-%d")
        .ok()?
        .and_time(NaiveTime::MIN)
        .and_utc();
    Some((day, day + chrono::Duration::days(1)))
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Open,
    Close,
    And,
    Or,
    Not,
    Term(Term),
}

fn tokenize(query: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut chars = query.chars().peekable();
    while let Some(&c) = chars.peek() {
        match c {
            ' ' | '\t' | '\n' | '\r' => {
                chars.next();
            }
            '(' | ')' => {
                chars.next();
                tokens.push(if c == '(' { Token::Open } else { Token::Close });
            }
            '-' => {
                chars.next();
                tokens.push(Token::Not);
            }
            _ => tokens.push(word(&mut chars)),
        }
    }
    tokens
}

/// A keyword or a term; quotes may enclose the value and keep blanks together.
fn word(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Token {
    let (mut text, mut field, mut quoted) = (String::new(), None, false);
    while let Some(&c) = chars.peek() {
        match c {
            '"' | '\'' => {
                chars.next();
                quoted = true;
                while let Some(inner) = chars.next() {
                    match inner {
                        '\\' => text.extend(chars.next()),
                        inner if inner == c => break,
                        inner => text.push(inner),
                    }
                }
            }
            '\\' => {
                chars.next();
                text.extend(chars.next());
            }
            ':' if field.is_none() && !quoted => {
                chars.next();
                field = Some(std::mem::take(&mut text));
            }
            ' ' | '\t' | '\n' | '\r' | '(' | ')' => break,
            _ => {
                chars.next();
                text.push(c);
            }
        }
    }
    if field.is_none() && !quoted {
        match text.as_str() {
            "AND" => return Token::And,
            "OR" => return Token::Or,
            "NOT" => return Token::Not,
            _ => {}
        }
    }
    let signs = [
        (">=", Comparison::AtLeast),
        ("<=", Comparison::AtMost),
        (">", Comparison::Above),
        ("<", Comparison::Below),
    ];
    let found = signs
        .iter()
        .find(|(sign, _)| field.is_some() && text.starts_with(sign));
    let (comparison, value) = match found {
        Some((sign, comparison)) => (*comparison, text[sign.len()..].to_owned()),
        None => (Comparison::Is, text),
    };
    Token::Term(Term {
        field,
        comparison,
        value,
    })
}

fn parse_or(tokens: &[Token], at: &mut usize) -> Expr {
    let mut parts = vec![parse_and(tokens, at)];
    while tokens.get(*at) == Some(&Token::Or) {
        *at += 1;
        parts.push(parse_and(tokens, at));
    }
    if parts.len() == 1 {
        parts.remove(0)
    } else {
        Expr::Or(parts)
    }
}

fn parse_and(tokens: &[Token], at: &mut usize) -> Expr {
    let mut parts = Vec::new();
    loop {
        match tokens.get(*at) {
            Some(Token::And) => *at += 1,
            None | Some(Token::Or | Token::Close) => break,
            Some(_) => parts.extend(parse_not(tokens, at)),
        }
    }
    if parts.len() == 1 {
        parts.remove(0)
    } else {
        Expr::And(parts)
    }
}

fn parse_not(tokens: &[Token], at: &mut usize) -> Option<Expr> {
    let token = tokens.get(*at)?;
    *at += 1;
    match token {
        Token::Not => parse_not(tokens, at).map(|part| Expr::Not(Box::new(part))),
        Token::Open => {
            let inner = parse_or(tokens, at);
            if tokens.get(*at) == Some(&Token::Close) {
                *at += 1;
            }
            Some(inner)
        }
        Token::Term(term) => Some(Expr::Term(term.clone())),
        Token::Close | Token::And | Token::Or => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn body() -> Json {
        json!({"status": "active", "tags": "a, b", "price": "12.50", "test": false,
            "updated_at": "2026-11-20T10:00:00+01:00", "variants": [{"price": "5.00"}, {"price": "20.00"}]})
    }

    #[test]
    fn queries_match_as_documented() {
        for (query, expected) in [
            ("", true),
            ("status:active", true),
            ("status:ACTIVE", true),
            ("-status:active", false),
            ("NOT status:active", false),
            ("status:draft OR price:>=12.5", true),
            ("status:draft OR price:>12.5", false),
            ("status:active AND variants.price:>=10", true),
            ("status:active variants.price:>20", false),
            ("(status:draft OR status:active) AND price:<13", true),
            ("updated_at:>=2026-11-20T09:00:00Z", true),
            ("updated_at:>2026-11-20T09:00:00Z", false),
            ("updated_at:>='2026-11-20T09:00:00Z'", true),
            ("updated_at:<\"2026-11-20T09:00:00Z\"", false),
            ("updated_at:2026-11-20", true),
            ("updated_at:>2026-11-20", false),
            ("status:act*", true),
            ("test:false", true),
            ("((status:active", true),
            ("AND OR )", true),
        ] {
            assert_eq!(matches_json(Some(query), &body()), expected, "{query}");
        }
    }

    #[test]
    fn unknown_fields_match_and_are_reported() {
        let mut unknown = Vec::new();
        let look = |field: &str| (field == "known").then(|| vec![Value::text("x")]);
        assert!(matches(&parse("nope:1 AND known:x"), &look, &mut unknown));
        assert_eq!(unknown.len(), 1);
        assert_eq!(unknown[0].field.as_deref(), Some("nope"));
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read(query in ".{0,60}") {
            matches_json(Some(&query), &body());
        }
    }
}
