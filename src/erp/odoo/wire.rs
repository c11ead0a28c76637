//! The two protocols: how a call is written down and how an answer is read.
//!
//! Pure: bytes in, bytes out. JSON-RPC answers every fault with HTTP 200 and an `error` object, and leaves out `result`
//! when a method returns nothing; JSON-2 answers with the bare result, or with a status and an object that names the
//! exception.

use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Map, Value, json};

use super::call::Call;
use super::fault::Fault;

/// What came back.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Reply {
    /// A result; null when the method returned nothing.
    Value(Value),
    /// An exception.
    Fault(Fault),
}

/// The body of a JSON-RPC call of a model's method.
pub(super) fn json_rpc_call(
    database: &str,
    uid: i64,
    key: &SecretString,
    call: &Call,
    context: &Map<String, Value>,
) -> Value {
    let mut positional: Vec<Value> = Vec::with_capacity(call.args.len() + 1);
    positional.extend(call.ids.as_ref().map(|ids| json!(ids)));
    positional.extend(call.args.iter().map(|(_, value)| value.clone()));
    let mut named = by_name(&call.options);
    named.insert("context".to_owned(), merged(context, &call.context));
    json_rpc(
        "object",
        "execute_kw",
        &json!([
            database,
            uid,
            key.expose_secret(),
            call.model,
            call.method,
            positional,
            named
        ]),
    )
}

/// The body of a JSON-RPC request.
pub(super) fn json_rpc(service: &str, method: &str, args: &Value) -> Value {
    json!({
        "jsonrpc": "2.0",
        "method": "call",
        "id": 1,
        "params": {"service": service, "method": method, "args": args},
    })
}

/// The body of a JSON-2 call. It is always an object: an empty body would be taken as a call without ids.
pub(super) fn json2_call(call: &Call, context: &Map<String, Value>) -> Value {
    let mut body = by_name(&call.args);
    body.append(&mut by_name(&call.options));
    if let Some(ids) = &call.ids {
        body.insert("ids".to_owned(), json!(ids));
    }
    body.insert("context".to_owned(), merged(context, &call.context));
    Value::Object(body)
}

fn by_name(values: &[(&'static str, Value)]) -> Map<String, Value> {
    values
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.clone()))
        .collect()
}

fn merged(base: &Map<String, Value>, more: &Map<String, Value>) -> Value {
    let mut context = base.clone();
    context.extend(more.iter().map(|(name, value)| (name.clone(), value.clone())));
    Value::Object(context)
}

/// Reads an answer of JSON-RPC; the error is a sentence about what is wrong with it.
pub(super) fn read_json_rpc(status: u16, body: &[u8]) -> Result<Reply, String> {
    let mut answer: Map<String, Value> = serde_json::from_slice(body).map_err(|error| not_json(&error))?;
    match answer.remove("error") {
        None | Some(Value::Null) => {}
        Some(error) => {
            let data = &error["data"];
            let message = Some(text(&data["message"])).filter(|message| !message.is_empty());
            return Ok(Reply::Fault(Fault {
                status,
                name: text(&data["name"]),
                message: message.unwrap_or_else(|| text(&error["message"])),
            }));
        }
    }
    if !answer.contains_key("jsonrpc") {
        return Err("it is no JSON-RPC answer".to_owned());
    }
    // A `result` that is missing is null: the method returned nothing.
    Ok(Reply::Value(answer.remove("result").unwrap_or_default()))
}

/// Reads an answer of JSON-2; the error is a sentence about what is wrong with it.
pub(super) fn read_json2(status: u16, body: &[u8]) -> Result<Reply, String> {
    let value: Value = serde_json::from_slice(body).map_err(|error| not_json(&error))?;
    if (200..300).contains(&status) {
        return Ok(Reply::Value(value));
    }
    Ok(Reply::Fault(Fault {
        status,
        name: text(&value["name"]),
        message: text(&value["message"]),
    }))
}

/// The text of a value that should be one.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null | Value::Bool(false) => String::new(),
        other => other.to_string(),
    }
}

/// Says where the JSON is broken without quoting it.
fn not_json(error: &serde_json::Error) -> String {
    format!(
        "it is not valid JSON (line {}, column {})",
        error.line(),
        error.column()
    )
}
