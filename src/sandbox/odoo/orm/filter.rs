//! Search domains: parsed and checked against the schema, then tested on records.

use serde_json::Value as Json;

use super::search;
use crate::sandbox::odoo::db::Key;
use crate::sandbox::odoo::env::Env;
use crate::sandbox::odoo::error::{OdooError, Res};
use crate::sandbox::odoo::models;
use crate::sandbox::odoo::options::Version;
use crate::sandbox::odoo::schema::{Field, Kind, Model};
use crate::sandbox::odoo::value::{self, Val};

/// A parsed domain.
#[derive(Debug)]
pub(in crate::sandbox::odoo) enum Filter {
    All(Vec<Filter>),
    Any(Vec<Filter>),
    Not(Box<Filter>),
    Const(bool),
    /// Some record behind a relation satisfies the filter.
    Through(&'static Field, Box<Filter>),
    Leaf(Leaf),
}

/// `[field, operator, value]` on a field of the model itself.
#[derive(Debug)]
pub(in crate::sandbox::odoo) struct Leaf {
    field: &'static Field,
    op: Op,
    value: Json,
    /// The value in the field's own type, for `=`, `in` and comparisons.
    operands: Vec<Val>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Op {
    In,
    NotIn,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    Like { exact: bool, fold: bool, negated: bool },
    ChildOf,
    ParentOf,
}

impl Filter {
    /// Reads a domain for `model`.
    pub(in crate::sandbox::odoo) fn parse(env: &Env<'_>, model: &'static Model, domain: &Json) -> Res<Self> {
        let items = match domain {
            Json::Null | Json::Bool(false) => return Ok(Self::Const(true)),
            Json::Array(items) => items,
            other => return Err(malformed(other)),
        };
        let mut terms = Vec::new();
        let mut rest = items.as_slice();
        while !rest.is_empty() {
            terms.push(term(env, model, &mut rest, domain)?);
        }
        Ok(Self::All(terms))
    }

    /// Whether a domain speaks of `name` at its top level: a leaf on `active` switches hiding off.
    pub(in crate::sandbox::odoo) fn mentions(domain: &Json, name: &str) -> bool {
        domain.as_array().is_some_and(|items| {
            items
                .iter()
                .any(|item| item.get(0).and_then(Json::as_str) == Some(name))
        })
    }

    /// Whether a record satisfies it.
    pub(in crate::sandbox::odoo) fn matches(&self, env: &Env<'_>, model: &'static Model, id: i64) -> bool {
        match self {
            Self::All(terms) => terms.iter().all(|term| term.matches(env, model, id)),
            Self::Any(terms) => terms.iter().any(|term| term.matches(env, model, id)),
            Self::Not(term) => !term.matches(env, model, id),
            Self::Const(known) => *known,
            Self::Through(field, term) => {
                let comodel = env.model(field.kind.comodel().unwrap_or(model.name));
                related(env, model, id, field)
                    .into_iter()
                    .any(|target| term.matches(env, comodel, target))
            }
            Self::Leaf(leaf) => leaf.matches(env, model, id),
        }
    }

    /// A small set of ids that holds all matches, when an index knows one.
    pub(in crate::sandbox::odoo) fn candidates(
        &self,
        env: &Env<'_>,
        model: &'static Model,
    ) -> Option<Vec<i64>> {
        match self {
            Self::All(terms) => terms
                .iter()
                .filter_map(|term| term.candidates(env, model))
                .min_by_key(Vec::len),
            Self::Leaf(leaf) if leaf.op == Op::In => {
                let mut found = Vec::new();
                for operand in &leaf.operands {
                    match operand {
                        Val::Int(id) if leaf.field.name == "id" => found.push(*id),
                        Val::Int(id) => {
                            found.extend(env.db.find(model.name, leaf.field.name, &Key::Id(*id))?);
                        }
                        Val::Text(text) if !text.is_empty() && leaf.field.kind.comodel().is_none() => {
                            found.extend(env.db.find(
                                model.name,
                                leaf.field.name,
                                &Key::Text(text.clone()),
                            )?);
                        }
                        _ => return None,
                    }
                }
                found.sort_unstable();
                found.dedup();
                Some(found)
            }
            Self::Leaf(leaf) if leaf.field.name == "id" && leaf.op == Op::Greater => {
                match leaf.operands.first() {
                    Some(Val::Int(id)) => Some(env.db.ids_from(model.name, id.saturating_add(1))),
                    _ => None,
                }
            }
            _ => None,
        }
    }
}

fn malformed(domain: &Json) -> OdooError {
    OdooError::value(format!("Malformed domain {domain}"))
}

/// Takes one term in prefix notation from the front of `rest`.
fn term(env: &Env<'_>, model: &'static Model, rest: &mut &[Json], domain: &Json) -> Res<Filter> {
    let (first, tail) = rest.split_first().ok_or_else(|| malformed(domain))?;
    *rest = tail;
    match first {
        Json::String(operator) => match operator.as_str() {
            "!" => Ok(Filter::Not(Box::new(term(env, model, rest, domain)?))),
            "&" => Ok(Filter::All(vec![
                term(env, model, rest, domain)?,
                term(env, model, rest, domain)?,
            ])),
            "|" => Ok(Filter::Any(vec![
                term(env, model, rest, domain)?,
                term(env, model, rest, domain)?,
            ])),
            _ => Err(malformed(domain)),
        },
        Json::Array(leaf) => match leaf.as_slice() {
            [Json::String(path), Json::String(op), value] => leaf_on_path(env, model, path, op, value, first),
            [Json::Number(left), Json::String(op), Json::Number(right)] if op == "=" => {
                Ok(Filter::Const(left == right))
            }
            _ => Err(malformed(domain)),
        },
        _ => Err(malformed(domain)),
    }
}

fn leaf_on_path(
    env: &Env<'_>,
    model: &'static Model,
    path: &str,
    op: &str,
    value: &Json,
    shown: &Json,
) -> Res<Filter> {
    let (name, behind) = path
        .split_once('.')
        .map_or((path, None), |(name, behind)| (name, Some(behind)));
    let field = model
        .field(name)
        .ok_or_else(|| OdooError::value(format!("Invalid field {}.{name} in leaf {shown}", model.name)))?;
    let comodel =
        || {
            field.kind.comodel().map(|name| env.model(name)).ok_or_else(|| {
                OdooError::value(format!("Invalid field {}.{path} in leaf {shown}", model.name))
            })
        };
    if let Some(behind) = behind {
        let inner = leaf_on_path(env, comodel()?, behind, op, value, shown)?;
        return Ok(Filter::Through(field, Box::new(inner)));
    }
    if op == "any" || op == "not any" {
        let inner = Filter::parse(env, comodel()?, value)?;
        let through = Filter::Through(field, Box::new(inner));
        return Ok(if op == "any" {
            through
        } else {
            Filter::Not(Box::new(through))
        });
    }
    let like = |exact, fold, negated| Op::Like { exact, fold, negated };
    let op = match op {
        "=" | "in" | "==" => Op::In,
        "!=" | "not in" | "<>" => Op::NotIn,
        "<" => Op::Less,
        "<=" => Op::LessEqual,
        ">" => Op::Greater,
        ">=" => Op::GreaterEqual,
        "like" => like(false, false, false),
        "not like" => like(false, false, true),
        "ilike" => like(false, true, false),
        "not ilike" => like(false, true, true),
        "=like" => like(true, false, false),
        "=ilike" => like(true, true, false),
        "child_of" => Op::ChildOf,
        "parent_of" => Op::ParentOf,
        _ => return Err(OdooError::value(format!("Invalid operator in leaf {shown}"))),
    };
    let values = match value {
        Json::Array(values) => values.clone(),
        single => vec![single.clone()],
    };
    let operands = if matches!(op, Op::Like { .. }) {
        Vec::new()
    } else {
        values
            .iter()
            .map(|value| operand(env, field, value))
            .collect::<Res<_>>()?
    };
    Ok(Filter::Leaf(Leaf {
        field,
        op,
        value: value.clone(),
        operands,
    }))
}

/// A searched value in the type of its field. Names of related records stay text.
fn operand(env: &Env<'_>, field: &Field, value: &Json) -> Res<Val> {
    if matches!(value, Json::Null | Json::Bool(false)) {
        return Ok(if field.kind == Kind::Bool {
            Val::Bool(false)
        } else {
            Val::Empty
        });
    }
    let text = value.as_str();
    Ok(match (field.kind, text) {
        (Kind::One(_) | Kind::Many(..) | Kind::ManyMany(_), Some(name)) => Val::text(name),
        (Kind::One(_) | Kind::Many(..) | Kind::ManyMany(_), None) => Val::one(value.as_i64()),
        (Kind::Int, Some(text)) => Val::Int(text.parse().map_err(|_| OdooError::integer_text(text))?),
        (Kind::Int, None) => value.as_i64().map_or(Val::Dec(number(value)), Val::Int),
        (Kind::Float | Kind::Money, Some(text)) => Val::Dec(value::parse_decimal(text).ok_or_else(|| {
            OdooError::custom(
                "psycopg2.errors.InvalidTextRepresentation",
                format!("invalid input syntax for type double precision: \"{text}\"\n"),
            )
        })?),
        (Kind::Float | Kind::Money, None) => Val::Dec(number(value)),
        (Kind::Bool, _) => Val::Bool(!value::is_falsy(value)),
        (Kind::Datetime, Some(text)) => Val::Time(searched_time(env.version(), text)?),
        (Kind::Date, Some(text)) => Val::Date(searched_time(env.version(), text)?.date()),
        (_, Some(text)) => Val::text(text),
        (_, None) => Val::text(value.to_string()),
    })
}

fn number(value: &Json) -> rust_decimal::Decimal {
    match value {
        Json::Number(number) => value::decimal(number).unwrap_or_default(),
        _ => rust_decimal::Decimal::ZERO,
    }
}

/// 18 leaves the text to PostgreSQL, which understands ISO 8601; 19 refuses it.
fn searched_time(version: Version, text: &str) -> Res<chrono::NaiveDateTime> {
    let plain = if version.before_19() {
        text.replace('T', " ").replace('Z', "")
    } else {
        text.to_owned()
    };
    let exact = plain.len() == 10 || plain.len() >= 19 && !plain.ends_with('Z');
    let time = chrono::NaiveDateTime::parse_from_str(&plain, "%Y-%m-%d %H:%M:%S%.f").ok();
    time.or_else(|| value::parse_datetime(&plain))
        .filter(|_| exact)
        .ok_or_else(|| {
            OdooError::value(format!(
                "time data '{text}' does not match format '{}'",
                value::DATETIME
            ))
        })
}

fn related(env: &Env<'_>, model: &'static Model, id: i64, field: &Field) -> Vec<i64> {
    match env.get(model.name, id, field.name) {
        Val::Int(target) => vec![target],
        Val::Ids(targets) => targets,
        _ => Vec::new(),
    }
}

impl Leaf {
    fn matches(&self, env: &Env<'_>, model: &'static Model, id: i64) -> bool {
        match self.op {
            Op::In => self.is_among(env, model, id),
            Op::NotIn => !self.is_among(env, model, id),
            Op::Less | Op::LessEqual | Op::Greater | Op::GreaterEqual => self.compares(env, model, id),
            Op::Like { exact, fold, negated } => self.is_like(env, model, id, exact, fold) != negated,
            Op::ChildOf => self.hierarchy(env, model, id, true),
            Op::ParentOf => self.hierarchy(env, model, id, false),
        }
    }

    fn is_among(&self, env: &Env<'_>, model: &'static Model, id: i64) -> bool {
        if self.field.kind.comodel().is_some() {
            let targets = related(env, model, id, self.field);
            let comodel = self.field.kind.comodel().unwrap_or(model.name);
            return self.operands.iter().any(|operand| match operand {
                Val::Empty => targets.is_empty(),
                Val::Int(wanted) => targets.contains(wanted),
                Val::Text(name) => targets
                    .iter()
                    .any(|id| models::display_name(env, comodel, *id) == *name),
                _ => false,
            });
        }
        let own = env.get(model.name, id, self.field.name);
        self.operands
            .iter()
            .any(|operand| equal(env.version(), self.field, &own, operand))
    }

    fn compares(&self, env: &Env<'_>, model: &'static Model, id: i64) -> bool {
        let own = env.get(model.name, id, self.field.name);
        let Some(operand) = self.operands.first() else {
            return false;
        };
        let order = match (&own, operand) {
            (Val::Time(own), Val::Time(operand)) => seconds(env.version(), *own).cmp(operand),
            (Val::Date(own), Val::Date(operand)) => own.cmp(operand),
            (Val::Text(own), Val::Text(operand)) => own.cmp(operand),
            (Val::Int(_) | Val::Dec(_), Val::Int(_) | Val::Dec(_)) => own.as_dec().cmp(&operand.as_dec()),
            _ => return false,
        };
        match self.op {
            Op::Less => order.is_lt(),
            Op::LessEqual => order.is_le(),
            Op::Greater => order.is_gt(),
            _ => order.is_ge(),
        }
    }

    fn is_like(&self, env: &Env<'_>, model: &'static Model, id: i64, exact: bool, fold: bool) -> bool {
        let mut wanted = self.value.as_str().unwrap_or_default().to_owned();
        let own = match self.field.kind.comodel() {
            Some(comodel) => related(env, model, id, self.field)
                .into_iter()
                .map(|id| models::display_name(env, comodel, id))
                .collect::<Vec<_>>()
                .join("\n"),
            None => env.get(model.name, id, self.field.name).as_text().to_owned(),
        };
        let mut own = own;
        if fold {
            wanted = wanted.to_lowercase();
            own = own.to_lowercase();
        }
        if !exact {
            wanted = format!("%{wanted}%");
        }
        wildcard(
            &own.chars().collect::<Vec<_>>(),
            &wanted.chars().collect::<Vec<_>>(),
        )
    }

    /// Whether the record (or its relation) lies under or above one of the searched ids.
    fn hierarchy(&self, env: &Env<'_>, model: &'static Model, id: i64, below: bool) -> bool {
        let (comodel, starts) = match self.field.kind.comodel() {
            Some(comodel) => (comodel, related(env, model, id, self.field)),
            None => (model.name, vec![id]),
        };
        let wanted: Vec<i64> = self.operands.iter().filter_map(Val::as_id).collect();
        starts.into_iter().any(|start| {
            if below {
                search::ancestors(env, comodel, start)
                    .iter()
                    .any(|id| wanted.contains(id))
            } else {
                wanted
                    .iter()
                    .any(|id| search::ancestors(env, comodel, *id).contains(&start))
            }
        })
    }
}

/// 19 compares whole seconds; 18 the stored microseconds with the second that was sent.
fn seconds(version: Version, time: chrono::NaiveDateTime) -> chrono::NaiveDateTime {
    use chrono::Timelike as _;
    if version.before_19() {
        time
    } else {
        time.with_nanosecond(0).unwrap_or(time)
    }
}

fn equal(version: Version, field: &Field, own: &Val, operand: &Val) -> bool {
    match (own, operand) {
        (Val::Time(own), Val::Time(operand)) => seconds(version, *own) == *operand,
        (Val::Empty, Val::Empty) | (Val::Empty | Val::Bool(false), Val::Bool(false)) => true,
        (Val::Text(text), Val::Empty) | (Val::Empty, Val::Text(text)) => text.is_empty(),
        (own, operand) if matches!(field.kind, Kind::Int | Kind::Float | Kind::Money) => {
            own.as_dec() == operand.as_dec()
        }
        (own, operand) => own == operand,
    }
}

/// SQL's LIKE: `%` any text, `_` one character, `\` takes the next one literally.
fn wildcard(text: &[char], pattern: &[char]) -> bool {
    match pattern.split_first() {
        None => text.is_empty(),
        Some(('%', rest)) => (0..=text.len()).any(|skip| wildcard(&text[skip..], rest)),
        Some(('_', rest)) => text.split_first().is_some_and(|(_, text)| wildcard(text, rest)),
        Some(('\\', rest)) if !rest.is_empty() => {
            text.first() == rest.first() && wildcard(&text[1..], &rest[1..])
        }
        Some((c, rest)) => text.first() == Some(c) && wildcard(&text[1..], rest),
    }
}
