//! The description of the API in `OpenAPI` 3.1, made of the routes and of the types that they answer with.

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::routes::{self, Route};

/// The description.
pub fn description() -> Value {
    let mut settings = SchemaSettings::draft2020_12();
    settings.definitions_path = "/components/schemas".into();
    settings.meta_schema = None;
    let mut generator = settings.for_serialize().into_generator();
    let mut paths = Map::new();
    for route in routes::table() {
        let operation = operation(&route, &mut generator);
        let entry = paths
            .entry(route.path)
            .or_insert_with(|| Value::Object(Map::new()));
        if let Value::Object(methods) = entry {
            methods.insert(route.method.to_owned(), operation);
        }
    }
    let mut schemas = generator.take_definitions(true);
    schemas.insert("Problem".to_owned(), problem());
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "lockstep",
            "version": "1",
            "summary": "What the command line can do, for programs.",
            "description": "Fields may be added to answers; what is here stays. What is refused is \
                            `application/problem+json` with a stable `code`.",
        },
        "paths": paths,
        "security": [{ "token": [] }],
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "token": { "type": "http", "scheme": "bearer", "description": "One of the `tokens` in [admin]." }
            },
        },
    })
}

fn operation(route: &Route, generator: &mut schemars::SchemaGenerator) -> Value {
    let refused = |about: &str| {
        json!({
            "description": about,
            "content": { "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } } },
        })
    };
    let success = match route.response {
        Some(schema) => (
            "200",
            json!({ "description": "Done.", "content": { "application/json": { "schema": schema(generator) } } }),
        ),
        None => ("204", json!({ "description": "Done." })),
    };
    let mut parameters: Vec<Value> = path_parameters(route.path)
        .map(|name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }))
        .collect();
    parameters.extend(route.query.iter().map(|parameter| {
        json!({
            "name": parameter.name, "in": "query", "required": false,
            "description": parameter.about, "schema": { "type": "string" },
        })
    }));
    let mut operation = json!({
        "operationId": route.id,
        "summary": route.summary,
        "responses": {
            success.0: success.1,
            "401": refused("No token, or none of this installation."),
            "default": refused("Refused, and why."),
        },
    });
    if let Value::Object(fields) = &mut operation {
        if !parameters.is_empty() {
            fields.insert("parameters".to_owned(), Value::Array(parameters));
        }
        if let Some(schema) = route.request {
            let body = json!({
                "required": true,
                "content": { "application/json": { "schema": schema(generator) } },
            });
            fields.insert("requestBody".to_owned(), body);
        }
    }
    operation
}

/// The names between braces.
fn path_parameters(path: &str) -> impl Iterator<Item = &str> {
    path.split('/')
        .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
}

fn problem() -> Value {
    json!({
        "type": "object",
        "description": "RFC 9457.",
        "required": ["title", "status", "code", "detail"],
        "properties": {
            "type": { "type": "string" },
            "title": { "type": "string" },
            "status": { "type": "integer" },
            "code": { "type": "string", "description": "Stable: programs may rely on it." },
            "detail": { "type": "string", "description": "A sentence for people." },
            "request_id": { "type": ["string", "null"] },
        },
    })
}
