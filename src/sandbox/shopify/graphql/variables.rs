//! Variables and arguments: checked against their types, defaults filled in.

use apollo_compiler::ast::{Type, Value};
use apollo_compiler::executable::{Field, Operation};
use apollo_compiler::schema::ExtendedType;
use apollo_compiler::validation::Valid;
use apollo_compiler::{Node, Schema};
use serde_json::{Map, Value as Json, json};

use super::node::Args;
use crate::sandbox::shopify::ids::parse_gid;

/// Coerces the variables of a request, or says what is wrong with them.
pub(super) fn coerce(schema: &Valid<Schema>, operation: &Operation, given: &Args) -> Result<Args, Vec<Json>> {
    let mut values = Map::new();
    let mut errors = Vec::new();
    for definition in &operation.variables {
        let name = definition.name.as_str();
        let mut problems = Vec::new();
        let value = match (given.get(name), &definition.default_value) {
            (Some(value), _) => coerce_value(schema, &definition.ty, value, &mut Vec::new(), &mut problems),
            (None, Some(default)) => literal(default, &Map::new()).unwrap_or(Json::Null),
            (None, None) if definition.ty.is_non_null() => {
                problems.push(problem(&[], "Expected value to not be null"));
                Json::Null
            }
            (None, None) => continue,
        };
        if problems.is_empty() {
            values.insert(name.to_owned(), value);
            continue;
        }
        let details: Vec<String> = problems
            .iter()
            .filter(|p| p["path"].as_array().is_some_and(|path| !path.is_empty()))
            .map(|p| {
                let path: Vec<String> = p["path"].as_array().into_iter().flatten().map(plain).collect();
                format!("{} ({})", path.join("."), plain(&p["explanation"]))
            })
            .collect();
        let details = if details.is_empty() {
            String::new()
        } else {
            format!(" for {}", details.join(", "))
        };
        errors.push(json!({
            "message": format!("Variable ${name} of type {} was provided invalid value{details}", definition.ty),
            "extensions": {
                "code": "INVALID_VARIABLE",
                "value": given.get(name).cloned().unwrap_or_default(),
                "problems": problems,
            },
        }));
    }
    if errors.is_empty() {
        Ok(values)
    } else {
        Err(errors)
    }
}

fn plain(json: &Json) -> String {
    json.as_str().map_or_else(|| json.to_string(), str::to_owned)
}

fn problem(path: &[Json], explanation: impl Into<String>) -> Json {
    json!({"path": path, "explanation": explanation.into()})
}

fn coerce_value(
    schema: &Valid<Schema>,
    ty: &Type,
    value: &Json,
    path: &mut Vec<Json>,
    problems: &mut Vec<Json>,
) -> Json {
    if value.is_null() {
        if ty.is_non_null() {
            problems.push(problem(path, "Expected value to not be null"));
        }
        return Json::Null;
    }
    if ty.is_list() {
        let Some(items) = value.as_array() else {
            return Json::Array(vec![coerce_value(schema, ty.item_type(), value, path, problems)]);
        };
        return items
            .iter()
            .enumerate()
            .map(|(index, item)| {
                path.push(index.into());
                let item = coerce_value(schema, ty.item_type(), item, path, problems);
                path.pop();
                item
            })
            .collect();
    }
    let name = ty.inner_named_type();
    match schema.types.get(name) {
        Some(ExtendedType::Enum(definition)) => {
            if !value.as_str().is_some_and(|v| definition.values.contains_key(v)) {
                let known: Vec<&str> = definition
                    .values
                    .keys()
                    .map(apollo_compiler::Name::as_str)
                    .collect();
                let explanation = format!("Expected {value} to be one of: {}", known.join(", "));
                problems.push(problem(path, explanation));
            }
            value.clone()
        }
        Some(ExtendedType::InputObject(definition)) => {
            let Some(fields) = value.as_object() else {
                problems.push(problem(
                    path,
                    format!("Expected {value} to be a key-value object."),
                ));
                return Json::Null;
            };
            for unknown in fields
                .keys()
                .filter(|k| !definition.fields.contains_key(k.as_str()))
            {
                path.push(unknown.as_str().into());
                problems.push(problem(path, format!("Field is not defined on {name}")));
                path.pop();
            }
            let mut out = Map::new();
            for (field_name, field) in &definition.fields {
                path.push(field_name.as_str().into());
                match fields.get(field_name.as_str()) {
                    Some(value) => {
                        let value = coerce_value(schema, &field.ty, value, path, problems);
                        out.insert(field_name.to_string(), value);
                    }
                    None => match &field.default_value {
                        Some(default) => {
                            let default = literal(default, &Map::new()).unwrap_or_default();
                            out.insert(field_name.to_string(), default);
                        }
                        None if field.ty.is_non_null() => {
                            problems.push(problem(path, "Expected value to not be null"));
                        }
                        None => {}
                    },
                }
                path.pop();
            }
            out.into()
        }
        _ => {
            if let Err(explanation) = scalar(name, value) {
                problems.push(problem(path, explanation));
            }
            value.clone()
        }
    }
}

fn scalar(name: &str, value: &Json) -> Result<(), String> {
    let wrong = || format!("Could not coerce value {value} to {name}");
    match name {
        "Int" => value
            .as_i64()
            .filter(|n| i32::try_from(*n).is_ok())
            .map(|_| ())
            .ok_or_else(wrong),
        "Float" => value.is_number().then_some(()).ok_or_else(wrong),
        "Boolean" => value.is_boolean().then_some(()).ok_or_else(wrong),
        "String" | "URL" | "HTML" | "FormattedString" => value.is_string().then_some(()).ok_or_else(wrong),
        "ID" => match value {
            Json::String(text) if parse_gid(text).is_none() => Err(format!("Invalid global id '{text}'")),
            Json::String(_) | Json::Number(_) => Ok(()),
            _ => Err(wrong()),
        },
        "Decimal" | "Money" => {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            text.parse::<rust_decimal::Decimal>()
                .map(|_| ())
                .map_err(|_| wrong())
        }
        "DateTime" => value
            .as_str()
            .and_then(|t| chrono::DateTime::parse_from_rfc3339(t).ok())
            .map(|_| ())
            .ok_or_else(wrong),
        _ => Ok(()),
    }
}

/// The arguments of a field, with variables and defaults put in.
pub(super) fn arguments(field: &Field, variables: &Args) -> Args {
    let mut values = Map::new();
    for definition in &field.definition.arguments {
        let given: Option<&Node<Value>> = field.specified_argument_by_name(&definition.name);
        let value = given.and_then(|value| literal(value, variables)).or_else(|| {
            definition
                .default_value
                .as_ref()
                .and_then(|default| literal(default, &Map::new()))
        });
        if let Some(value) = value {
            values.insert(definition.name.to_string(), value);
        }
    }
    values
}

/// A literal as JSON; `None` for a variable that was not given.
pub(super) fn literal(value: &Value, variables: &Args) -> Option<Json> {
    Some(match value {
        Value::Null => Json::Null,
        Value::Enum(name) => name.as_str().into(),
        Value::Variable(name) => return variables.get(name.as_str()).cloned(),
        Value::String(text) => text.as_str().into(),
        Value::Float(number) => number.as_str().parse::<f64>().map_or(Json::Null, Json::from),
        Value::Int(number) => number.as_str().parse::<i64>().map_or(Json::Null, Json::from),
        Value::Boolean(flag) => (*flag).into(),
        Value::List(items) => items
            .iter()
            .map(|i| literal(i, variables).unwrap_or_default())
            .collect(),
        Value::Object(fields) => Json::Object(
            fields
                .iter()
                .filter_map(|(name, value)| Some((name.to_string(), literal(value, variables)?)))
                .collect(),
        ),
    })
}
