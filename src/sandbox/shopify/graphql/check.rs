//! Documents: parsed, checked against the schema, and what is wrong with them in Shopify's words.
//!
//! The commonest mistakes (unknown field, argument or type, missing argument, missing selection) are found by a walk of our
//! own, because their errors carry codes and names that programs read. Whatever else the specification forbids is
//! found by the GraphQL library and passed on in its words.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use apollo_compiler::ast::{self, Definition, Selection};
use apollo_compiler::parser::SourceMap;
use apollo_compiler::schema::ExtendedType;
use apollo_compiler::validation::Valid;
use apollo_compiler::{ExecutableDocument, Name, Node, Schema};
use serde_json::{Value as Json, json};

use super::errors::document_error;

/// A document that may run.
pub(in crate::sandbox::shopify) type Checked = Arc<Valid<ExecutableDocument>>;

/// Documents that were checked before; clients send the same few.
#[derive(Default)]
pub(in crate::sandbox::shopify) struct Documents(Mutex<HashMap<String, Result<Checked, Vec<Json>>>>);

impl Documents {
    /// Checks a document, or remembers it.
    pub(super) fn check(&self, schema: &Valid<Schema>, text: &str) -> Result<Checked, Vec<Json>> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(result) = known.get(text) {
            return result.clone();
        }
        let result = check(schema, text).map(Arc::new);
        if known.len() >= 512 {
            known.clear();
        }
        known.insert(text.to_owned(), result.clone());
        result
    }
}

fn check(schema: &Valid<Schema>, text: &str) -> Result<Valid<ExecutableDocument>, Vec<Json>> {
    let document = ast::Document::parse(text, "query.graphql").map_err(|broken| {
        let what = broken.errors.iter().next();
        let at = what
            .as_ref()
            .and_then(apollo_compiler::diagnostic::Diagnostic::line_column_range)
            .map(|r| (r.start.line, r.start.column));
        let words = what.map_or_else(String::new, |d| d.error.to_string());
        let place = at.map_or_else(String::new, |(line, column)| format!(" at [{line}, {column}]"));
        vec![document_error(
            &format!("syntax error, {words}{place}"),
            at,
            &[],
            json!({"code": "PARSE_ERROR"}),
        )]
    })?;
    let mut walk = Walk {
        schema,
        sources: &document.sources,
        errors: Vec::new(),
    };
    walk.document(&document);
    if !walk.errors.is_empty() {
        return Err(walk.errors);
    }
    document.to_executable_validate(schema).map_err(|list| {
        list.errors
            .iter()
            .map(|d| {
                let at = d.line_column_range().map(|r| (r.start.line, r.start.column));
                document_error(&d.error.to_string(), at, &[], json!({"code": "invalidDocument"}))
            })
            .collect()
    })
}

struct Walk<'a> {
    schema: &'a Schema,
    sources: &'a SourceMap,
    errors: Vec<Json>,
}

impl Walk<'_> {
    fn document(&mut self, document: &ast::Document) {
        for definition in &document.definitions {
            match definition {
                Definition::OperationDefinition(operation) => {
                    let root = match operation.operation_type {
                        ast::OperationType::Query => "QueryRoot",
                        ast::OperationType::Mutation => "Mutation",
                        ast::OperationType::Subscription => continue,
                    };
                    let word = operation.operation_type.name();
                    let name = operation.name.as_ref();
                    let path = vec![name.map_or_else(|| word.to_owned(), |n| format!("{word} {n}"))];
                    for variable in &operation.variables {
                        self.known_type(variable.ty.inner_named_type(), &path);
                    }
                    self.selections(root, &operation.selection_set, &path);
                }
                Definition::FragmentDefinition(fragment) => {
                    let path = vec![format!("fragment {}", fragment.name)];
                    if self.known_type(&fragment.type_condition, &path) {
                        self.selections(&fragment.type_condition, &fragment.selection_set, &path);
                    }
                }
                _ => {}
            }
        }
    }

    fn at<T>(&self, node: &Node<T>) -> Option<(usize, usize)> {
        node.location()?
            .line_column_range(self.sources)
            .map(|r| (r.start.line, r.start.column))
    }

    fn at_name(&self, name: &Name) -> Option<(usize, usize)> {
        name.line_column_range(self.sources)
            .map(|r| (r.start.line, r.start.column))
    }

    fn known_type(&mut self, name: &Name, path: &[String]) -> bool {
        let known = self.schema.types.contains_key(name);
        if !known {
            self.errors.push(document_error(
                &format!("No such type {name}, so it can't be a fragment condition"),
                self.at_name(name),
                path,
                json!({"code": "undefinedType", "typeName": name.as_str()}),
            ));
        }
        known
    }

    fn selections(&mut self, type_name: &str, selections: &[Selection], path: &[String]) {
        for selection in selections {
            match selection {
                Selection::Field(field) => self.field(type_name, field, path),
                Selection::InlineFragment(inline) => {
                    self.directives(&inline.directives, path);
                    match &inline.type_condition {
                        Some(condition) => {
                            let path = [path, &[format!("... on {condition}")]].concat();
                            if self.known_type(condition, &path) {
                                self.selections(condition, &inline.selection_set, &path);
                            }
                        }
                        None => self.selections(type_name, &inline.selection_set, path),
                    }
                }
                Selection::FragmentSpread(spread) => self.directives(&spread.directives, path),
            }
        }
    }

    fn field(&mut self, type_name: &str, field: &Node<ast::Field>, path: &[String]) {
        let path = [path, &[field.response_name().to_string()]].concat();
        let at = self.at(field);
        self.directives(&field.directives, &path);
        let Ok(definition) = self.schema.type_field(type_name, &field.name) else {
            let message = format!("Field '{}' doesn't exist on type '{type_name}'", field.name);
            let extensions =
                json!({"code": "undefinedField", "typeName": type_name, "fieldName": field.name.as_str()});
            self.errors.push(document_error(&message, at, &path, extensions));
            return;
        };
        for argument in &field.arguments {
            if definition.argument_by_name(&argument.name).is_none() {
                let message = format!(
                    "Field '{}' doesn't accept argument '{}'",
                    field.name, argument.name
                );
                let extensions = json!({"code": "argumentNotAccepted", "name": field.name.as_str(),
                    "typeName": "Field", "argumentName": argument.name.as_str()});
                let path = [path.as_slice(), &[argument.name.to_string()]].concat();
                self.errors
                    .push(document_error(&message, self.at(argument), &path, extensions));
            }
        }
        let missing: Vec<&str> = definition
            .arguments
            .iter()
            .filter(|a| a.is_required() && field.arguments.iter().all(|given| given.name != a.name))
            .map(|a| a.name.as_str())
            .collect();
        if !missing.is_empty() {
            let names = missing.join(", ");
            let message = format!("Field '{}' is missing required arguments: {names}", field.name);
            let extensions = json!({"code": "missingRequiredArguments", "className": "Field",
                "name": field.name.as_str(), "arguments": names});
            self.errors.push(document_error(&message, at, &path, extensions));
        }
        self.literals(field, definition, &path);
        let inner = definition.ty.inner_named_type();
        let leaf = !matches!(
            self.schema.types.get(inner),
            Some(ExtendedType::Object(_) | ExtendedType::Interface(_) | ExtendedType::Union(_))
        );
        if leaf != field.selection_set.is_empty() {
            let message = if leaf {
                format!(
                    "Selections can't be made on scalars (field '{}' returns {inner} but has selections)",
                    field.name
                )
            } else {
                format!(
                    "Field must have selections (field '{0}' returns {inner} but has no selections. Did you mean '{0} {{ ... }}'?)",
                    field.name
                )
            };
            let extensions = json!({"code": "selectionMismatch",
                "nodeName": format!("field '{}'", field.name), "typeName": inner.as_str()});
            self.errors.push(document_error(&message, at, &path, extensions));
            return;
        }
        self.selections(inner, &field.selection_set, &path);
    }

    /// Literals of the wrong kind. Only what is plain to see: scalars and enums that are not variables.
    fn literals(&mut self, field: &Node<ast::Field>, definition: &ast::FieldDefinition, path: &[String]) {
        for argument in &field.arguments {
            let Some(wanted) = definition.argument_by_name(&argument.name) else {
                continue;
            };
            if wanted.ty.is_list() {
                continue;
            }
            let name = wanted.ty.inner_named_type();
            let fits = match (self.schema.types.get(name), argument.value.as_ref()) {
                (_, ast::Value::Variable(_)) => true,
                (_, ast::Value::Null) => !wanted.ty.is_non_null(),
                (Some(ExtendedType::Enum(values)), ast::Value::Enum(value)) => {
                    values.values.contains_key(value)
                }
                (Some(ExtendedType::Enum(_)), _) => false,
                (Some(ExtendedType::Scalar(_)), value) => match name.as_str() {
                    "Int" => matches!(value, ast::Value::Int(_)),
                    "Boolean" => matches!(value, ast::Value::Boolean(_)),
                    "String" => matches!(value, ast::Value::String(_)),
                    "ID" => matches!(value, ast::Value::String(_) | ast::Value::Int(_)),
                    _ => true,
                },
                _ => true,
            };
            if !fits {
                let message = format!(
                    "Argument '{}' on Field '{}' has an invalid value ({}). Expected type '{}'.",
                    argument.name,
                    field.name,
                    argument.value.serialize().no_indent(),
                    wanted.ty
                );
                let extensions = json!({"code": "argumentLiteralsIncompatible", "typeName": "Field",
                    "argumentName": argument.name.as_str()});
                let path = [path, &[argument.name.to_string()]].concat();
                self.errors
                    .push(document_error(&message, self.at(argument), &path, extensions));
            }
        }
    }

    fn directives(&mut self, directives: &ast::DirectiveList, path: &[String]) {
        for directive in directives {
            if !self.schema.directive_definitions.contains_key(&directive.name) {
                self.errors.push(document_error(
                    &format!("Directive @{} is not defined", directive.name),
                    self.at(directive),
                    path,
                    json!({"code": "undefinedDirective", "directiveName": directive.name.as_str()}),
                ));
            }
        }
    }
}
