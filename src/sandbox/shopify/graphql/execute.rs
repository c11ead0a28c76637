//! Runs a checked operation over the shop's data.
//!
//! Each record answers for its own fields; this file only walks the selections, fills in what the data lacks (null, or
//! the default of a type that must not be null), denies what the app has no scope for, and keeps errors at their paths.

use apollo_compiler::ExecutableDocument;
use apollo_compiler::ast::{Type, Value};
use apollo_compiler::executable::{Field, Operation, Selection, SelectionSet};
use apollo_compiler::schema::{ExtendedType, Schema};
use serde_json::{Map, Value as Json, json};

use super::node::{Args, Blank, Connection, ConnectionNode, Failure, Node, Out};
use super::page::WHOLE;
use super::scopes;
use super::variables::arguments;
use crate::sandbox::shopify::shop::Shop;

/// What came out.
pub(super) struct Outcome {
    pub(super) data: Json,
    pub(super) errors: Vec<Json>,
    /// `extensions.search`.
    pub(super) search: Vec<Json>,
}

/// A null that a type does not allow: it moves up to the next field that does.
struct MustNotBeNull;

/// Runs an operation on its root record.
pub(super) fn run<'a>(
    shop: &'a Shop,
    schema: &'a Schema,
    document: &'a ExecutableDocument,
    operation: &'a Operation,
    variables: &'a Args,
    root: &dyn Node<'a>,
) -> Outcome {
    let mut executor = Executor {
        shop,
        schema,
        document,
        variables,
        is_whole: false,
        errors: Vec::new(),
        search: Vec::new(),
        path: Vec::new(),
    };
    let data = executor
        .object(root, &[&operation.selection_set])
        .unwrap_or(Json::Null);
    Outcome {
        data,
        errors: executor.errors,
        search: executor.search,
    }
}

/// Runs a query with every connection whole, as bulk operations do.
pub(super) fn run_whole<'a>(
    shop: &'a Shop,
    schema: &'a Schema,
    document: &'a ExecutableDocument,
    operation: &'a Operation,
    root: &dyn Node<'a>,
) -> Outcome {
    let variables = Args::new();
    let mut executor = Executor {
        shop,
        schema,
        document,
        variables: &variables,
        is_whole: true,
        errors: Vec::new(),
        search: Vec::new(),
        path: Vec::new(),
    };
    let data = executor
        .object(root, &[&operation.selection_set])
        .unwrap_or(Json::Null);
    Outcome {
        data,
        errors: executor.errors,
        search: executor.search,
    }
}

struct Executor<'a, 'v> {
    shop: &'a Shop,
    schema: &'a Schema,
    document: &'a ExecutableDocument,
    variables: &'v Args,
    is_whole: bool,
    errors: Vec<Json>,
    search: Vec<Json>,
    path: Vec<Json>,
}

impl<'a> Executor<'a, '_> {
    fn object(&mut self, node: &dyn Node<'a>, sets: &[&'a SelectionSet]) -> Result<Json, MustNotBeNull> {
        let type_name = node.type_name().to_owned();
        let mut grouped: Vec<(&'a str, Vec<&'a Field>)> = Vec::new();
        for set in sets {
            self.collect(&type_name, set, &mut grouped);
        }
        let mut out = Map::new();
        for (key, fields) in grouped {
            self.path.push(key.into());
            let value = self.field(&type_name, node, &fields);
            self.path.pop();
            out.insert(key.to_owned(), value?);
        }
        Ok(out.into())
    }

    fn collect(&self, type_name: &str, set: &'a SelectionSet, grouped: &mut Vec<(&'a str, Vec<&'a Field>)>) {
        for selection in &set.selections {
            if !self.included(selection) {
                continue;
            }
            match selection {
                Selection::Field(field) => {
                    let key = field.response_key().as_str();
                    match grouped.iter_mut().find(|(k, _)| *k == key) {
                        Some((_, fields)) => fields.push(field),
                        None => grouped.push((key, vec![field])),
                    }
                }
                Selection::InlineFragment(inline) => {
                    let applies = inline
                        .type_condition
                        .as_ref()
                        .is_none_or(|c| self.applies(type_name, c.as_str()));
                    if applies {
                        self.collect(type_name, &inline.selection_set, grouped);
                    }
                }
                Selection::FragmentSpread(spread) => {
                    if let Some(fragment) = self.document.fragments.get(&spread.fragment_name)
                        && self.applies(type_name, fragment.type_condition().as_str())
                    {
                        self.collect(type_name, &fragment.selection_set, grouped);
                    }
                }
            }
        }
    }

    fn included(&self, selection: &Selection) -> bool {
        let flag = |directive: &str| {
            let value = selection
                .directives()
                .get(directive)?
                .specified_argument_by_name("if")?;
            match value.as_ref() {
                Value::Boolean(flag) => Some(*flag),
                Value::Variable(name) => self.variables.get(name.as_str())?.as_bool(),
                _ => None,
            }
        };
        flag("include") != Some(false) && flag("skip") != Some(true)
    }

    fn applies(&self, type_name: &str, condition: &str) -> bool {
        type_name == condition
            || match self.schema.types.get(condition) {
                Some(ExtendedType::Union(union)) => union.members.iter().any(|m| m.name == type_name),
                Some(ExtendedType::Interface(_)) => match self.schema.types.get(type_name) {
                    Some(ExtendedType::Object(object)) => {
                        object.implements_interfaces.iter().any(|i| i.name == condition)
                    }
                    _ => false,
                },
                _ => false,
            }
    }

    fn field(
        &mut self,
        type_name: &str,
        node: &dyn Node<'a>,
        fields: &[&'a Field],
    ) -> Result<Json, MustNotBeNull> {
        let field = fields[0];
        if field.name == "__typename" {
            return Ok(type_name.into());
        }
        let ty = &field.definition.ty;
        if let Some(needed) = scopes::missing(self.shop, type_name, &field.name, ty.inner_named_type()) {
            self.fail(&scopes::denied(&field.name, needed), field);
            return self.nullify(ty, Err(MustNotBeNull));
        }
        let mut arguments = arguments(field, self.variables);
        if self.is_whole && ty.inner_named_type().ends_with("Connection") {
            arguments.insert("first".to_owned(), WHOLE.into());
        }
        let out = node.keyed(field.response_key(), &field.name, &arguments);
        let value = self.complete(ty, out, fields);
        self.nullify(ty, value)
    }

    #[expect(clippy::unused_self, reason = "a step of the walk like the others")]
    fn nullify(&self, ty: &Type, value: Result<Json, MustNotBeNull>) -> Result<Json, MustNotBeNull> {
        match value {
            Err(MustNotBeNull) if !ty.is_non_null() => Ok(Json::Null),
            value => value,
        }
    }

    fn fail(&mut self, failure: &Failure, field: &Field) {
        let mut error =
            json!({"message": failure.message, "path": self.path, "extensions": failure.extensions});
        if let Some(at) = field.name.line_column_range(&self.document.sources) {
            error["locations"] = json!([{"line": at.start.line, "column": at.start.column}]);
        }
        self.errors.push(error);
    }

    fn complete(&mut self, ty: &Type, out: Out<'a>, fields: &[&'a Field]) -> Result<Json, MustNotBeNull> {
        match out {
            Out::Absent if !ty.is_non_null() => Ok(Json::Null),
            Out::Absent => self.default(ty, fields),
            Out::Leaf(value) => Ok(value),
            Out::Failed(failure) => {
                self.fail(&failure, fields[0]);
                Err(MustNotBeNull)
            }
            Out::List(items) => {
                let inner = ty.item_type();
                let mut values = Vec::with_capacity(items.len());
                for (index, item) in items.into_iter().enumerate() {
                    self.path.push(index.into());
                    let value = self.complete(inner, item, fields);
                    let value = self.nullify(inner, value);
                    self.path.pop();
                    values.push(value?);
                }
                Ok(values.into())
            }
            Out::Connection(page) => {
                if let Some(mut note) = page.search.clone() {
                    note["path"] = self.path.clone().into();
                    self.search.push(note);
                }
                let type_name = ty.inner_named_type().to_string();
                self.object(&ConnectionNode { type_name, page }, &sets(fields))
            }
            Out::Node(node) => self.object(node.as_ref(), &sets(fields)),
        }
    }

    /// What a field shows that must not be null and of which the shop has no data.
    fn default(&mut self, ty: &Type, fields: &[&'a Field]) -> Result<Json, MustNotBeNull> {
        if ty.is_list() {
            return Ok(Json::Array(Vec::new()));
        }
        let name = ty.inner_named_type();
        match self.schema.types.get(name) {
            Some(ExtendedType::Scalar(_)) => Ok(match name.as_str() {
                "Int" => 0.into(),
                "Float" => 0.0.into(),
                "Boolean" => false.into(),
                "Money" | "Decimal" => "0.0".into(),
                "UnsignedInt64" => "0".into(),
                "DateTime" => "1970-01-01T00:00:00Z".into(),
                "URL" => "https://example.invalid/".into(),
                "JSON" => json!({}),
                _ => "".into(),
            }),
            Some(ExtendedType::Enum(_)) if name == "CurrencyCode" => Ok(self.shop.currency.clone().into()),
            Some(ExtendedType::Enum(values)) => Ok(values
                .values
                .keys()
                .next()
                .map_or(Json::Null, |value| value.as_str().into())),
            Some(ExtendedType::Object(_)) if name.ends_with("Connection") => {
                let node = ConnectionNode {
                    type_name: name.to_string(),
                    page: Connection::default(),
                };
                self.object(&node, &sets(fields))
            }
            Some(ExtendedType::Object(_)) => self.object(&Blank(name.to_string()), &sets(fields)),
            Some(ExtendedType::Interface(_)) => {
                let objects = self.schema.types.values().filter_map(ExtendedType::as_object);
                let member = objects
                    .into_iter()
                    .find(|o| o.implements_interfaces.contains(name));
                let member = member.map_or_else(|| name.to_string(), |o| o.name.to_string());
                self.object(&Blank(member), &sets(fields))
            }
            Some(ExtendedType::Union(union)) => {
                let member = union
                    .members
                    .first()
                    .map_or_else(|| name.to_string(), |m| m.name.to_string());
                self.object(&Blank(member), &sets(fields))
            }
            _ => {
                let failure = Failure::new(format!("no {name} to show"), "INTERNAL_SERVER_ERROR");
                self.fail(&failure, fields[0]);
                Err(MustNotBeNull)
            }
        }
    }
}

fn sets<'a>(fields: &[&'a Field]) -> Vec<&'a SelectionSet> {
    fields.iter().map(|f| &f.selection_set).collect()
}
